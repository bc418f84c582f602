//! The library of functions, the other half of the planner's catalogue.
//!
//! **Adding a function touches two files**: the planner's `expr/functions/<area>.rs` (names and
//! types) and `functions/<area>.rs` here, where its canonical name gets an evaluator:
//! - [`eager`]: `fn(&Call) -> Result<ArrayRef, KernelError>`. Arguments already have the types that
//!   the catalogue promises. Read them with [`Call::strings`], [`Call::primitives`] and their like
//!   (`get(row)` is `None` for a null, and knows constants); write with `call.build*`, which run a
//!   closure over the rows (see [`super::build`]; `try_` forms for errors, which name the row).
//!   Whatever is computed once per call and not per row (a compiled pattern of a constant argument)
//!   goes before the closure: `call.columns[i].constant` says if one value serves all rows.
//! - [`lazy`]: `fn(&Lazy) -> Result<Column, KernelError>` evaluates its arguments itself, on the
//!   rows it needs: for functions that must not raise errors of arguments not needed, and for those
//!   that take lambdas.
//!
//! [`super::order`] compares values of any type, [`super::build::ListBuilder`] makes lists and maps
//! by picking elements.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use arrow_array::ArrayRef;

use super::call::{Call, Evaluator, Lazy};
use super::column::Column;
use crate::error::KernelError;

mod arithmetic;
mod array;
mod comparison;
mod conditional;
mod datetime;
mod hash;
mod interval;
mod json;
mod lambda;
mod map;
mod math;
mod measures;
mod misc;
mod string;
mod structs;

/// A canonical name and what computes it.
type Entry = (&'static str, Evaluator);

fn eager(name: &'static str, evaluator: fn(&Call<'_>) -> Result<ArrayRef, KernelError>) -> Entry {
    (name, Evaluator::Eager(evaluator))
}

fn lazy(name: &'static str, evaluator: fn(&Lazy<'_>) -> Result<Column, KernelError>) -> Entry {
    (name, Evaluator::Lazy(evaluator))
}

static LIBRARY: LazyLock<BTreeMap<&'static str, Evaluator>> = LazyLock::new(|| {
    let areas = [
        arithmetic::functions(),
        array::functions(),
        comparison::functions(),
        conditional::functions(),
        datetime::functions(),
        hash::functions(),
        interval::functions(),
        json::functions(),
        lambda::functions(),
        map::functions(),
        math::functions(),
        measures::functions(),
        misc::functions(),
        string::functions(),
        structs::functions(),
    ];
    areas.into_iter().flatten().collect()
});

pub(crate) fn find(name: &str) -> Result<Evaluator, KernelError> {
    LIBRARY.get(name).copied().ok_or_else(|| KernelError::Type {
        operation: format!("the function {name}"),
        column: "an expression".into(),
        data_type: "any".into(),
    })
}

/// The names of all functions that have an evaluator, sorted.
pub fn evaluators() -> Vec<&'static str> {
    LIBRARY.keys().copied().collect()
}
