//! What the engine is measured against.
//!
//! [`limit`] answers one join (sum, count, average, max and last of one column over 1, 7 and 30
//! days) and nothing else, as fast as this house knows how: plain Arrow and Parquet, no dataflow,
//! no increments, no other type, no other window. It says how much of the engine's time is the
//! work itself. [`naive`] answers the same by looking at every event for every row, and is what
//! the limit is tested against.
//!
//! Both promise the answers of `unskewed join` on `benches/definitions`, column for column; the
//! driver `benches/run.py` compares them in every run.

pub mod input;
pub mod limit;
pub mod naive;
pub mod output;
pub mod window;
