//! Fetching: recorded requests get the reference's recorded answers, and any request the value that a training table
//! has for the same keys and time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod killed;
mod online;
mod poison;
mod recorded;
mod training;
