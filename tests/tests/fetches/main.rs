//! Fetching: recorded requests get the reference's recorded answers, and any request the value that a training table
//! has for the same keys and time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod killed;
mod online;
mod poison;
mod recorded;
#[path = "../../../connectors/tests/stores/server.rs"]
#[allow(dead_code, reason = "the tests of the stores use the rest of it")]
mod server;
mod tikv;
mod training;
