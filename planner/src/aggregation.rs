//! One output column of a group-by: which operation, over what, how far back, and of which types.
//!
//! Promises: [`expand`] gives the parts of an aggregation in the order of the output columns (buckets outside,
//! windows inside) with the names users already rely on; [`PartSpec::typed`] settles every type before any data is
//! read, or says why it cannot. The signatures live in [`signature`]; adding an operation is a row there, an arm in
//! [`Operation`] and a state in the kernel. Never touches data.

mod arguments;
mod batch;
mod operation;
mod signature;
#[cfg(test)]
mod tests;

pub use arguments::{ArgumentError, Arguments};
pub use batch::{base_parts, batch_fields};
pub use operation::Operation;
pub use signature::{InputShape, Signature, SignatureError};

use crate::schema::{DataType, Schema};
use crate::time::Window;

/// A part as written: one bucket, one window, no types yet.
#[derive(Clone, Debug, PartialEq)]
pub struct PartSpec {
    /// The input column, a name in the rendered source.
    pub input: String,
    /// What is computed.
    pub operation: Operation,
    /// Its parsed arguments.
    pub arguments: Arguments,
    /// How far back it looks.
    pub window: Window,
    /// The column that splits the value into a map.
    pub bucket: Option<String>,
    /// Whether each position of a list is aggregated by itself.
    pub element_wise: bool,
}

/// A part with every type settled: what the kernel compiles.
///
/// Parts with the same ([`AggregatePart::base`]) share one state over all their windows.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregatePart {
    /// The input column, a name in the rendered source.
    pub input: String,
    /// What is computed.
    pub operation: Operation,
    /// Its parsed arguments.
    pub arguments: Arguments,
    /// How far back it looks.
    pub window: Window,
    /// The column that splits the value into a `map<string, …>`.
    pub bucket: Option<String>,
    /// Whether each position of a list is aggregated by itself ([`InputShape::Tensor`]).
    pub element_wise: bool,
    /// How one input value becomes inputs of the operation.
    pub shape: InputShape,
    /// Type of the input column.
    pub input_type: DataType,
    /// Type of one element after `shape` has been unwrapped (the effective type).
    pub element_type: DataType,
    /// Type the operation computes on: `element_type` widened or narrowed as the operation asks.
    pub operand_type: DataType,
    /// Type of the unfinished state, as stored; a map or list of states when bucketed, mapped or element-wise.
    pub state_type: DataType,
    /// Type of the finished value; a map or list when bucketed, mapped or element-wise.
    pub output_type: DataType,
    /// Name of the finished column: `{input}_{operation}{window}{bucket}`.
    pub output_name: String,
    /// Name without the window: the column of the shared state in the daily incremental table.
    pub incremental_name: String,
}

/// What tells one shared state from another: everything but the window and what only finishing needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Base {
    /// The input column.
    pub input: String,
    /// What is computed.
    pub operation: Operation,
    /// The size argument, where the state depends on it.
    pub k: Option<u32>,
    /// The bucketing column.
    pub bucket: Option<String>,
    /// Whether positions are aggregated by themselves.
    pub element_wise: bool,
}

/// Why a part cannot be computed over this schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// The input column is not in the rendered source.
    #[error("column {column} is not among the selected columns")]
    MissingColumn {
        /// The missing column.
        column: String,
    },
    /// The bucketing column is not in the rendered source.
    #[error("bucket column {column} is not among the selected columns")]
    MissingBucket {
        /// The missing column.
        column: String,
    },
    /// The bucketing column is not a string.
    #[error("bucket column {column} must be string, but is {data_type}")]
    BucketType {
        /// The bucketing column.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// The operation does not take this input.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// The parts of one aggregation in output order: buckets outside, windows inside; no bucket is one part without a
/// bucket, no window is one unbounded window.
pub fn expand(
    input: &str,
    operation: Operation,
    arguments: &Arguments,
    windows: &[Window],
    buckets: &[String],
    element_wise: bool,
) -> Vec<PartSpec> {
    let part = |window: Window, bucket: Option<&String>| PartSpec {
        input: input.into(),
        operation,
        arguments: arguments.clone(),
        window,
        bucket: bucket.cloned(),
        element_wise,
    };
    let windows = if windows.is_empty() {
        &[Window::Unbounded]
    } else {
        windows
    };
    let buckets: Vec<Option<&String>> = if buckets.is_empty() {
        vec![None]
    } else {
        buckets.iter().map(Some).collect()
    };
    buckets
        .into_iter()
        .flat_map(|bucket| windows.iter().map(move |window| (*window, bucket)))
        .map(|(window, bucket)| part(window, bucket))
        .collect()
}

impl PartSpec {
    /// Name of the finished column: `{input}_{operation}{window}{bucket}`.
    pub fn output_name(&self) -> String {
        let suffix = self.operation.suffix(&self.arguments);
        let bucket = self.bucket_suffix();
        format!("{}_{suffix}{}{bucket}", self.input, self.window.suffix())
    }

    /// The name without the window.
    pub fn incremental_name(&self) -> String {
        let suffix = self.operation.suffix(&self.arguments);
        format!("{}_{suffix}{}", self.input, self.bucket_suffix())
    }

    fn bucket_suffix(&self) -> String {
        self.bucket
            .as_ref()
            .map_or_else(String::new, |bucket| format!("_by_{bucket}"))
    }

    /// The part over a rendered source of this schema; every problem, not only the first.
    pub fn typed(&self, source: &Schema) -> Result<AggregatePart, Vec<PartError>> {
        let mut problems = Vec::new();
        if let Some(bucket) = &self.bucket {
            match source.field(bucket) {
                None => problems.push(PartError::MissingBucket {
                    column: bucket.clone(),
                }),
                Some(field) if field.data_type != DataType::String => {
                    problems.push(PartError::BucketType {
                        column: bucket.clone(),
                        data_type: field.data_type.clone(),
                    });
                }
                Some(_) => {}
            }
        }
        let Some(field) = source.field(&self.input) else {
            problems.push(PartError::MissingColumn {
                column: self.input.clone(),
            });
            return Err(problems);
        };
        let bucketed = self.bucket.is_some();
        match Signature::of(
            self.operation,
            &field.data_type,
            self.element_wise,
            bucketed,
        ) {
            Ok(signature) if problems.is_empty() => Ok(self.with_signature(signature)),
            Ok(_) => Err(problems),
            Err(problem) => {
                problems.push(problem.at_column(&self.input).into());
                Err(problems)
            }
        }
    }

    fn with_signature(&self, signature: Signature) -> AggregatePart {
        AggregatePart {
            input: self.input.clone(),
            operation: self.operation,
            arguments: self.arguments.clone(),
            window: self.window,
            bucket: self.bucket.clone(),
            element_wise: self.element_wise,
            shape: signature.shape,
            input_type: signature.input_type,
            element_type: signature.element_type,
            operand_type: signature.operand_type,
            state_type: signature.state_type,
            output_type: signature.output_type,
            output_name: self.output_name(),
            incremental_name: self.incremental_name(),
        }
    }
}

impl AggregatePart {
    /// What parts must have in common to share one state.
    pub fn base(&self) -> Base {
        Base {
            input: self.input.clone(),
            operation: self.operation,
            k: self.arguments.k,
            bucket: self.bucket.clone(),
            element_wise: self.element_wise,
        }
    }

    /// Whether the value depends on the rows' times beyond the window's edges.
    pub fn is_timed(&self) -> bool {
        self.operation.is_timed()
    }
}
