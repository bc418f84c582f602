//! Operators that timely and differential lack: queries answered over what an arrangement keeps.
//!
//! [`as_of()`] answers queries of an arrangement, [`snapshots`] answers a fixed list of times for every key. Both emit
//! `new − old` for the answers a round of input changes, and keep no output. Each has a slow twin in its tests.

pub mod as_of;
mod block;
mod change;
mod compare;
mod versions;
mod walk;

pub use as_of::{AsOf, Limits, as_of, snapshots};
use unskewed_planner::physical::AnswerRule;

#[cfg(test)]
mod tests;
