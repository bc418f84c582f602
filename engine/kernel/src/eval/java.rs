//! What Java's and Spark's runtime libraries answer, as pure routines over plain values.
//!
//! Each file is one idea (a formatter, a parser, a hash), knows no Arrow and no planner, and is
//! tested against answers of the real thing. The functions of the evaluator are thin loops over
//! these.

pub(crate) mod big;
pub mod calendar;
pub mod date_pattern;
pub mod decimal;
pub mod decimal_format;
pub mod encode;
pub mod formatter;
pub mod hash;
pub mod json;
pub mod like;
pub mod number;
pub mod regex;
pub(crate) mod strict_math;
pub mod text;
pub mod url;

#[cfg(test)]
mod tests;
