//! What spans crates: conformance, differential runs, tidy.

pub mod random_join;
pub mod tables;
