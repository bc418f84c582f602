//! Renders a plan into a differential dataflow and runs it on many workers.
//!
//! The path of the data: [`exchange`] carries columns between workers, [`arrange`] sorts and keeps
//! them,
//! [`operators`] answers queries over what is kept, [`stages`] are what happens to rows before and
//! after.
//! The time of the dataflow is the epoch, a round of input; event time is data. Never decides
//! anything a plan leaves
//! open, and never reads a clock.

pub mod arrange;
#[cfg(feature = "sql")]
mod bridge;
mod columns;
pub mod error;
pub mod exchange;
pub mod findings;
pub mod job;
pub mod live;
pub mod meter;
pub mod naive;
pub mod operators;
pub mod partitions;
mod render;
pub mod rle;
pub mod run;
#[cfg(feature = "sql")]
pub mod sql;
pub mod stages;
#[cfg(test)]
mod testing;
