//! Arrow batches and bytes to and from outside systems, time included. Knows no plan, no window, no
//! timely.
//!
//! [`table`] is the warehouse of Parquet tables, [`stream`] where events come from, [`kv`] the store that features are
//! served from, [`model`] what runs models; [`lock`] keeps writers of a table apart, [`memory`] is its twin for tests;
//! [`clock`] and [`spawn`] are the only ways to time and threads.

pub mod clock;
pub mod error;
pub mod kv;
pub mod lock;
pub mod memory;
pub mod model;
pub mod spawn;
mod storage;
pub mod stream;
pub mod table;

pub use storage::{Hook, Operation, Verdict};
