//! What spans crates: conformance, differential runs, tidy.

pub mod model_service;
pub mod random_join;
pub mod tables;
pub mod topic;
