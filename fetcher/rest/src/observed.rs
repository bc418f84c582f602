//! What is counted and measured of requests, for Prometheus.
//!
//! Promises: labels have few values: routes, statuses, names of joins and group-bys; never keys.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Upper bounds of latencies in milliseconds.
const LATENCY_MILLIS: [f64; 14] = [
    0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0,
];

/// Where counts and measures are kept.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

/// There is a recorder in this process already.
#[derive(Debug, thiserror::Error)]
#[error("metrics are already kept in this process")]
pub struct AlreadyKept;

impl Metrics {
    /// Keeps the metrics of this process. Once.
    pub fn install() -> Result<Self, AlreadyKept> {
        let builder = PrometheusBuilder::new().set_buckets(&LATENCY_MILLIS);
        let handle = builder.map_err(|_| AlreadyKept)?.install_recorder();
        handle.map(Self).map_err(|_| AlreadyKept)
    }

    /// Metrics that nothing is written to, for a process that keeps them elsewhere.
    pub fn unattached() -> Self {
        Self(PrometheusBuilder::new().build_recorder().handle())
    }

    pub(crate) fn render(&self) -> String {
        self.0.render()
    }
}

/// A request was answered.
pub(crate) fn answered(route: &'static str, status: u16, took: Duration, bytes: usize) {
    let status = status.to_string();
    counter!("http_requests_total", "route" => route, "status" => status).increment(1);
    histogram!("http_request_latency_millis", "route" => route).record(took.as_secs_f64() * 1e3);
    counter!("http_response_bytes_total", "route" => route).increment(bytes as u64);
}

/// Requests being answered.
pub(crate) fn in_flight(count: usize) {
    gauge!("http_requests_in_flight").set(count as f64);
}
