//! Arrays as sets; a null is an element like any other.

use std::ops::Range;

use arrow_array::Array;

use super::Joined;
use crate::eval::build::{Built, ListBuilder};
use crate::eval::call::Call;
use crate::eval::order::{Comparator, identity};

/// Adds the elements that are not among those already kept.
fn keep_new(kept: &mut Vec<usize>, candidates: impl Iterator<Item = usize>, same: &Comparator) {
    for at in candidates {
        if !kept.iter().any(|other| same(at, *other).is_eq()) {
            kept.push(at);
        }
    }
}

fn push(builder: &mut ListBuilder, kept: Vec<usize>) {
    kept.into_iter().for_each(|at| builder.pick(Some(at)));
    builder.close();
}

/// The first of equal elements.
pub(super) fn distinct(call: &Call<'_>) -> Built {
    let lists = call.lists(0);
    let same = identity(lists.elements(), lists.elements());
    let mut builder = ListBuilder::new();
    for row in 0..call.rows {
        match lists.get(row) {
            None => builder.null(),
            Some(range) => {
                let mut kept = Vec::new();
                keep_new(&mut kept, range, &same);
                push(&mut builder, kept);
            }
        }
    }
    builder.finish(lists.elements(), call.data_type)
}

/// The elements of both arguments in one array, and where a row's stand.
struct Pair {
    joined: Joined,
    same: Comparator,
}

impl Pair {
    fn new(call: &Call<'_>) -> Result<Self, crate::error::KernelError> {
        let (left, right) = (call.lists(0), call.lists(1));
        let joined = Joined::new(&[left.elements().as_ref(), right.elements().as_ref()])?;
        let same = identity(&joined.source, &joined.source);
        Ok(Self { joined, same })
    }

    fn ranges(&self, call: &Call<'_>, row: usize) -> Option<(Range<usize>, Range<usize>)> {
        let (left, right) = (call.lists(0).get(row)?, call.lists(1).get(row)?);
        let right = self.joined.at(1, right.start)..self.joined.at(1, right.end);
        Some((left, right))
    }
}

pub(super) fn union(call: &Call<'_>) -> Built {
    let pair = Pair::new(call)?;
    let mut builder = ListBuilder::new();
    for row in 0..call.rows {
        match pair.ranges(call, row) {
            None => builder.null(),
            Some((left, right)) => {
                let mut kept = Vec::new();
                keep_new(&mut kept, left.chain(right), &pair.same);
                push(&mut builder, kept);
            }
        }
    }
    builder.finish(&pair.joined.source, call.data_type)
}

/// The left elements that are, or are not, among the right ones.
pub(super) fn by_membership(call: &Call<'_>, member: bool) -> Built {
    let pair = Pair::new(call)?;
    let mut builder = ListBuilder::new();
    for row in 0..call.rows {
        match pair.ranges(call, row) {
            None => builder.null(),
            Some((left, right)) => {
                let mut kept = Vec::new();
                let among = |at: &usize| {
                    right.clone().any(|other| (pair.same)(*at, other).is_eq()) == member
                };
                keep_new(&mut kept, left.filter(among), &pair.same);
                push(&mut builder, kept);
            }
        }
    }
    builder.finish(&pair.joined.source, call.data_type)
}

/// Unknown if nothing is common but a null might be.
pub(super) fn overlap(call: &Call<'_>) -> Built {
    let pair = Pair::new(call)?;
    let source = &pair.joined.source;
    let is_null = |at: usize| source.data_type().is_null() || source.is_null(at);
    call.build_booleans(|row| {
        let (left, right) = pair.ranges(call, row)?;
        let common = |at: usize| {
            !is_null(at)
                && right
                    .clone()
                    .any(|other| !is_null(other) && (pair.same)(at, other).is_eq())
        };
        if left.clone().any(common) {
            return Some(true);
        }
        let both = !left.is_empty() && !right.is_empty();
        let unknown = both && left.chain(right).any(is_null);
        (!unknown).then_some(false)
    })
}
