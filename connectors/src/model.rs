//! Models that turn rows of inputs into rows of outputs: where other serving systems are plugged in.
//!
//! A definition names its backend and that backend's parameters; [`open`] finds it. To add one, implement
//! [`ModelBackend`] in a file beside [`http`](self) and give it a name in [`open`].
//!
//! Promises: every row has an answer, in its place: outputs, or a reason why there are none. A call that fails as a
//! whole is an error after its retries, never a column of nulls. No secret stands in a definition or a message.

mod double;
mod http;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use serde_json::Value;
use unskewed_planner::diagnostic::nearest;
use unskewed_planner::schema::Schema;

use crate::error::{Error, Result};

/// What is asked of one model.
#[derive(Clone, Copy, Debug)]
pub struct ModelCall<'a> {
    /// Its name.
    pub model: &'a str,
    /// The backend's parameters, as the definition states them.
    pub parameters: &'a BTreeMap<String, String>,
    /// What the job was told to tell its models.
    pub context: &'a Value,
    /// The columns it gives.
    pub outputs: &'a Schema,
}

/// A row that a model had no answer for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRow {
    /// Its position among the inputs.
    pub row: usize,
    /// Why, in the model's words.
    pub reason: String,
}

/// The answers to rows.
#[derive(Clone, Debug)]
pub struct Inferred {
    /// One row for each input, in order; null in every column where there is no answer.
    pub outputs: RecordBatch,
    /// The rows without an answer, in order.
    pub failed: Vec<FailedRow>,
}

/// Something that runs models.
///
/// # Contract
/// As many outputs as inputs, in their order and in the columns asked for, whatever the sizes of the batches that it
/// makes of them. An error means that nothing was answered, and that asking again was tried where it could help.
pub trait ModelBackend: fmt::Debug + Send + Sync {
    /// Runs a model on rows.
    fn infer(&self, call: &ModelCall<'_>, inputs: &RecordBatch) -> Result<Inferred>;
}

/// The names [`open`] knows.
pub const BACKENDS: [&str; 2] = ["http", "double"];

/// The backend of a name, as its parameters say.
pub fn open(name: &str, parameters: &BTreeMap<String, String>) -> Result<Arc<dyn ModelBackend>> {
    Ok(match name {
        "http" => Arc::new(http::Http::new(parameters)?),
        "double" => Arc::new(double::Double::new(parameters)?),
        _ => {
            let near = nearest(name, BACKENDS).map(|near| format!("; did you mean {near:?}?"));
            return Err(Error::ModelParameter {
                parameter: "modelBackend",
                problem: format!(
                    "there is no backend {name:?}, but {}{}",
                    BACKENDS.join(" and "),
                    near.unwrap_or_default()
                ),
            });
        }
    })
}

/// A whole number above 0 among the parameters, or what stands for it.
fn number(
    parameters: &BTreeMap<String, String>,
    parameter: &'static str,
    default: u32,
) -> Result<u32> {
    let Some(text) = parameters.get(parameter) else {
        return Ok(default);
    };
    match text.parse() {
        Ok(0) | Err(_) => Err(Error::ModelParameter {
            parameter,
            problem: format!("{text:?} is no whole number from 1 to {}", u32::MAX),
        }),
        Ok(number) => Ok(number),
    }
}
