//! What spans crates: conformance, differential runs, tidy.

pub mod tables;
