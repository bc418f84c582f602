//! Whole statements of Spark SQL, for staging queries: text to a typed relational tree.
//!
//! The story: `parse` cuts the text (around the expression parser of [`crate::expr`]), `bind` finds tables in the
//! catalog and types everything by Spark 3.5's rules into a [`Relation`], `optimize` moves conditions
//! to the tables they speak of and drops columns nobody reads. What runs the tree is the engine's affair.
//! Promises: all problems of a statement at once, each with its place; nothing that writes is taken; no text panics or
//! overflows the stack. Never looks at data, never reads a clock.

mod aggregate;
pub(crate) mod ast;
mod bind;
mod constant;
mod decorrelate;
mod explain;
mod from;
mod group;
mod join;
pub mod macros;
mod optimize;
mod parse;
mod parse_call;
mod parse_from;
mod pivot;
mod prepare;
mod pretty;
mod projection;
mod scope;
mod select;
mod set;
pub mod setup;
mod subquery;
pub mod tree;
mod window;

pub use explain::text;

use crate::catalog::Catalog;
use crate::expr::problem::ExprError;
use crate::expr::variables;
use tree::Relation;

/// The typed tree of a query over the tables of a catalog.
pub fn plan(text: &str, catalog: &dyn Catalog) -> Result<Relation, ExprError> {
    plan_with(text, &[], catalog)
}

/// [`plan`] with views: names and the queries they stand for, which may name earlier ones.
pub fn plan_with(
    text: &str,
    views: &[(String, String)],
    catalog: &dyn Catalog,
) -> Result<Relation, ExprError> {
    let mut binder = bind::Binder::new(catalog);
    for (name, view) in views {
        let view = variables::substitute(view)?;
        let query = parse::parse(&view)?;
        let bound = binder.query(&query, None);
        if !binder.problems.is_empty() {
            return Err(ExprError::new(&view, binder.problems));
        }
        binder.name_relation(name, bound.map(|answer| answer.relation));
    }
    let text = variables::substitute(text)?;
    let query = parse::parse(&text)?;
    let bound = binder.query(&query, None);
    match bound {
        Some(answer) if binder.problems.is_empty() => Ok(optimize::optimized(answer.relation)),
        _ => Err(ExprError::new(&text, binder.problems)),
    }
}
