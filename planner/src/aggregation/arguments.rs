//! The arguments of an operation, parsed from the definition's map of strings. Never guesses: what cannot be read
//! is an error that names the argument.

use std::collections::BTreeMap;

use super::Operation;

/// Parsed arguments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments {
    /// The size: kept values, log2 of the sketch size, sketch size, or bound; `None` where the operation has none.
    pub k: Option<u32>,
    /// The fractions of APPROX_PERCENTILE, in the order of the answer; empty elsewhere.
    pub percentiles: Vec<f64>,
}

/// An argument that is missing or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// A mandatory argument is absent.
    #[error("{operation} needs the argument k")]
    MissingK {
        /// The operation.
        operation: Operation,
    },
    /// `k` is no number in the range the operation takes.
    #[error(
        "argument k of {operation} must be a whole number from {from} to {to}, but is {found:?}"
    )]
    BadK {
        /// The operation.
        operation: Operation,
        /// As written.
        found: String,
        /// Smallest allowed.
        from: u32,
        /// Largest allowed.
        to: u32,
    },
    /// `percentiles` is no list of fractions.
    #[error("argument percentiles must be a JSON list of numbers from 0 to 1, but is {found:?}")]
    BadPercentiles {
        /// As written.
        found: String,
    },
}

impl Arguments {
    /// Reads the arguments of an operation; defaults stand in for what is absent.
    pub fn parse(
        operation: Operation,
        written: &BTreeMap<String, String>,
    ) -> Result<Self, Vec<ArgumentError>> {
        let mut problems = Vec::new();
        let mut arguments = Self {
            k: operation.default_k(),
            percentiles: Vec::new(),
        };
        match written.get("k") {
            Some(text) if takes_k(operation) => match parse_k(operation, text) {
                Ok(k) => arguments.k = Some(k),
                Err(problem) => problems.push(problem),
            },
            None if operation.needs_k() => problems.push(ArgumentError::MissingK { operation }),
            _ => {}
        }
        if operation == Operation::ApproxPercentile {
            match written.get("percentiles") {
                None => arguments.percentiles = vec![0.5],
                Some(text) => match parse_percentiles(text) {
                    Some(percentiles) => arguments.percentiles = percentiles,
                    None => {
                        problems.push(ArgumentError::BadPercentiles {
                            found: text.clone(),
                        });
                    }
                },
            }
        }
        if problems.is_empty() {
            Ok(arguments)
        } else {
            Err(problems)
        }
    }
}

fn takes_k(operation: Operation) -> bool {
    operation.needs_k() || operation.default_k().is_some()
}

/// The sizes an operation can work with: those its sketch accepts, or any count that fits.
fn range_of_k(operation: Operation) -> (u32, u32) {
    match operation {
        Operation::ApproxUniqueCount => (4, 26),
        Operation::ApproxPercentile => (8, 65_535),
        Operation::Histogram => (0, i32::MAX as u32),
        _ => (1, i32::MAX as u32),
    }
}

fn parse_k(operation: Operation, text: &str) -> Result<u32, ArgumentError> {
    let (from, to) = range_of_k(operation);
    text.trim()
        .parse()
        .ok()
        .filter(|k| (from..=to).contains(k))
        .ok_or_else(|| ArgumentError::BadK {
            operation,
            found: text.into(),
            from,
            to,
        })
}

fn parse_percentiles(text: &str) -> Option<Vec<f64>> {
    let fractions: Vec<f64> = serde_json::from_str(text).ok()?;
    let all_fractions = fractions
        .iter()
        .all(|fraction| (0.0..=1.0).contains(fraction));
    (all_fractions && !fractions.is_empty()).then_some(fractions)
}
