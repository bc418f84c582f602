//! What one request may take.

use std::time::Duration;

/// What one request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of its body.
    pub body_bytes: usize,
    /// Objects of keys in its body.
    pub rows: usize,
    /// From the first byte of its head to the last of the answer.
    pub time: Duration,
    /// Requests being answered at once; more are told to come again.
    pub in_flight: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 4 << 20,
            rows: 10_000,
            time: Duration::from_secs(10),
            in_flight: 1_024,
        }
    }
}
