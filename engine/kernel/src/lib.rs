//! The arithmetic of features: expressions, aggregate states, tiles, windows. Pure and deterministic.
//!
//! [`run`] is the shape of the data. Never does IO, never reads a clock, never starts a thread, knows no timely.

pub mod aggregate;
pub mod codec;
pub mod distribution;
pub mod error;
pub mod eval;
pub mod evaluate;
pub mod hash;
#[cfg(feature = "testkit")]
pub mod naive;
pub mod run;
pub mod window;
