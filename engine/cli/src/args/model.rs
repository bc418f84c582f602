//! Options of the job that runs models.

use clap::Args;
use serde_json::Value;

use super::JobArgs;

/// `model-transform-batch`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ModelArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Handed on to the models with every request
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub(crate) job_context_json: Option<Value>,
    /// Refused: a day's table holds what all models give
    #[arg(long, value_name = "NAME", hide = true)]
    model_transform_override: Option<String>,
}

impl ModelArgs {
    /// Refuses to run one model of several: the day would count as done.
    pub(crate) fn check(&self) -> Result<(), String> {
        match &self.model_transform_override {
            None => Ok(()),
            Some(name) => Err(format!(
                "--model-transform-override {name}: a day's table holds what all models give, \
                 so they are run together"
            )),
        }
    }
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))
}
