//! What is counted and measured of fetches, under the reference's names with underscores for dots. Whoever runs the
//! process chooses where it goes; with nobody it costs next to nothing.
//!
//! Promises: labels are names of joins and group-bys, and kinds of failures; never keys or values.

use std::time::Duration;

use metrics::{counter, histogram};

use crate::error::FetchError;
use crate::request::Response;

/// Requests to a join or group-by were answered.
pub(crate) fn answered(kind: &'static str, name: &str, responses: &[&Response]) {
    let (request_count, label) = match kind {
        "join" => ("join_request_count", "join"),
        _ => ("group_by_request_count", "group_by"),
    };
    counter!(request_count, label => name.to_owned()).increment(responses.len() as u64);
    for response in responses {
        match &response.outcome {
            Err(error) => failed(label, name, error),
            Ok(Some(features)) => {
                features
                    .failures
                    .values()
                    .for_each(|error| failed(label, name, error));
            }
            Ok(None) => {}
        }
    }
}

fn failed(label: &'static str, name: &str, error: &FetchError) {
    counter!("fetch_failure_count", label => name.to_owned(), "exception" => error.kind())
        .increment(1);
}

/// A call took this long from its first line to its last.
pub(crate) fn overall(kind: &'static str, took: Duration) {
    histogram!("overall_latency_millis", "environment" => kind).record(millis(took));
}

/// The store was asked for so many rows, and gave so many bytes.
pub(crate) fn store_read(gets: usize, bytes: usize, took: Duration) {
    histogram!("multi_get_batch_size").record(gets as f64);
    counter!("multi_get_bytes").increment(bytes as u64);
    histogram!("multi_get_latency_millis").record(millis(took));
}

/// A group-by answered from a batch so old that its longest windows count too much.
pub(crate) fn degraded(group_by: &str, requests: usize) {
    counter!("group_by_degraded_counter_count", "group_by" => group_by.to_owned())
        .increment(requests as u64);
}

/// A request that should have been logged could not be.
pub(crate) fn not_logged(join: &str, reason: &str) {
    counter!("logging_request_failure_count", "join" => join.to_owned()).increment(1);
    tracing::debug!(join, reason, "an answer could not be logged");
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
