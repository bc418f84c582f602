//! Looking for elements, and ordering them.

use std::cmp::Ordering;

use arrow_array::types::Int64Type;
use arrow_array::{Array, UInt32Array};
use arrow_select::take::take;

use crate::eval::build::{Built, ListBuilder};
use crate::eval::call::Call;
use crate::eval::node::row_number;
use crate::eval::order::comparator;

/// Unknown if it is not found and there is a null.
pub(super) fn contains(call: &Call<'_>) -> Built {
    let (lists, value) = (call.lists(0), &call.columns[1]);
    let elements = lists.elements();
    let compare = comparator(elements, &value.array);
    call.build_booleans(|row| {
        let range = lists.get(row).filter(|_| !value.is_null(row))?;
        let mut unknown = false;
        for at in range {
            if elements.is_null(at) {
                unknown = true;
            } else if compare(at, value.index(row)).is_eq() {
                return Some(true);
            }
        }
        (!unknown).then_some(false)
    })
}

/// From one; zero if it is not found.
pub(super) fn position(call: &Call<'_>) -> Built {
    let (lists, value) = (call.lists(0), &call.columns[1]);
    let elements = lists.elements();
    let compare = comparator(elements, &value.array);
    call.build::<Int64Type>(|row| {
        let mut range = lists.get(row).filter(|_| !value.is_null(row))?;
        let found =
            range.position(|at| elements.is_valid(at) && compare(at, value.index(row)).is_eq());
        Some(found.and_then(|at| i64::try_from(at + 1).ok()).unwrap_or(0))
    })
}

pub(super) fn remove(call: &Call<'_>) -> Built {
    let (lists, value) = (call.lists(0), &call.columns[1]);
    let elements = lists.elements();
    let compare = comparator(elements, &value.array);
    let mut builder = ListBuilder::new();
    for row in 0..call.rows {
        let Some(range) = lists.get(row).filter(|_| !value.is_null(row)) else {
            builder.null();
            continue;
        };
        let kept =
            range.filter(|at| elements.is_null(*at) || compare(*at, value.index(row)).is_ne());
        kept.for_each(|at| builder.pick(Some(at)));
        builder.close();
    }
    builder.finish(elements, call.data_type)
}

/// The greatest or least element, nulls left out.
pub(super) fn extreme(call: &Call<'_>, greatest: bool) -> Built {
    let lists = call.lists(0);
    let elements = lists.elements();
    let compare = comparator(elements, elements);
    let void = elements.data_type().is_null();
    let picks: UInt32Array = (0..call.rows)
        .map(|row| {
            let mut best: Option<usize> = None;
            for at in lists.get(row)? {
                let better = best.is_none_or(|best| {
                    let order = compare(at, best);
                    if greatest {
                        order.is_gt()
                    } else {
                        order.is_lt()
                    }
                });
                if better && !void && elements.is_valid(at) {
                    best = Some(at);
                }
            }
            best.map(row_number)
        })
        .collect();
    Ok(take(elements, &picks, None)?)
}

/// Nulls first when rising, last when falling.
pub(super) fn sort(call: &Call<'_>) -> Built {
    let (lists, ascending) = (call.lists(0), call.booleans(1));
    let elements = lists.elements();
    let compare = comparator(elements, elements);
    let mut builder = ListBuilder::new();
    for row in 0..call.rows {
        let (Some(range), Some(ascending)) = (lists.get(row), ascending.get(row)) else {
            builder.null();
            continue;
        };
        let mut order: Vec<usize> = range.collect();
        order.sort_by(|a, b| {
            let order: Ordering = compare(*a, *b);
            if ascending { order } else { order.reverse() }
        });
        order.into_iter().for_each(|at| builder.pick(Some(at)));
        builder.close();
    }
    builder.finish(elements, call.data_type)
}
