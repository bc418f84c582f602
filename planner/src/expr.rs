//! Spark SQL expressions: text to a typed tree.
//!
//! The story: [`parse()`] cuts the text ([`Ast`], positions kept), [`bind()`] resolves names and
//! types
//! every node by Spark 3.5's coercion rules (ANSI off) into an [`Expr`], in which every cast is
//! explicit. One entry per function stands in [`functions`]; what the functions compute is the
//! kernel's affair. Promises: all problems of an expression at once, each with its place; no input
//! panics or overflows the stack. Never looks at data; never reads a clock.

pub(crate) mod ast;
pub(crate) mod bind;
pub(crate) mod coerce;
pub mod functions;
pub(crate) mod generator;
mod ir;
mod literal;
pub(crate) mod nearest;
pub mod number_format;
pub(crate) mod parse;
mod parse_type;
pub(crate) mod primary;
pub(crate) mod problem;
pub(crate) mod rewrite;
pub mod temporal;
pub(crate) mod token;
pub(crate) mod variables;

pub use ast::Ast;
pub use bind::{Scope, bind, bind_condition, bind_in, bind_select};
pub use coerce::Takes;
pub use ir::{Expr, ExprKind, Generator, GeneratorKind, Literal, Selected};
pub use parse::parse;
pub use parse_type::{parse_data_type, parse_schema};
pub use problem::{ExprError, Problem, Span};
