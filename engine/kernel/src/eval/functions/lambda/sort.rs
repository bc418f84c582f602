//! `array_sort`: by Spark's order, or by a lambda that compares two elements.

use std::cmp::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, UInt32Array};

use super::Evaluated;
use crate::error::KernelError;
use crate::eval::build::ListBuilder;
use crate::eval::call::{Call, Lazy};
use crate::eval::column::Column;
use crate::eval::node::row_number;
use crate::eval::order::comparator;

/// Nulls last, unless a lambda says otherwise.
pub(super) fn array_sort(call: &Lazy<'_>) -> Evaluated {
    let input = call.evaluate(0)?;
    let lists = input.lists();
    let elements = lists.elements();
    let void = elements.data_type().is_null();
    let is_null = |at: usize| void || elements.is_null(at);
    let compare = comparator(elements, elements);
    let mut builder = ListBuilder::new();
    for row in 0..call.frame.rows {
        let Some(range) = lists.get(row) else {
            builder.null();
            continue;
        };
        let mut order: Vec<usize> = range.collect();
        if call.arguments.len() == 2 {
            order = by_lambda(call, row, elements, order)?;
        } else {
            order.sort_by(|a, b| match (is_null(*a), is_null(*b)) {
                (false, false) => compare(*a, *b),
                (a, b) => a.cmp(&b),
            });
        }
        order.into_iter().for_each(|at| builder.pick(Some(at)));
        builder.close();
    }
    Ok(Column::of_rows(builder.finish(elements, call.data_type)?))
}

/// A stable merge sort by rounds: each round compares what it needs in one run of the lambda.
fn by_lambda(
    call: &Lazy<'_>,
    row: usize,
    elements: &ArrayRef,
    order: Vec<usize>,
) -> Result<Vec<usize>, KernelError> {
    let mut runs: Vec<Vec<usize>> = order.into_iter().map(|at| vec![at]).collect();
    while runs.len() > 1 {
        let mut merges: Vec<Merge> = Vec::new();
        let mut sources = runs.into_iter();
        while let Some(left) = sources.next() {
            merges.push(Merge::new(left, sources.next().unwrap_or_default()));
        }
        loop {
            let pairs: Vec<(usize, usize)> = merges.iter().filter_map(Merge::question).collect();
            if pairs.is_empty() {
                break;
            }
            let mut answers = ask(call, row, elements, &pairs)?.into_iter();
            for merge in merges.iter_mut().filter(|merge| merge.question().is_some()) {
                merge.answer(answers.next().expect("an answer for each question"));
            }
        }
        runs = merges.into_iter().map(Merge::finish).collect();
    }
    Ok(runs.pop().unwrap_or_default())
}

/// Two sorted runs being merged.
struct Merge {
    left: Vec<usize>,
    right: Vec<usize>,
    at: (usize, usize),
    merged: Vec<usize>,
}

impl Merge {
    fn new(left: Vec<usize>, right: Vec<usize>) -> Self {
        Self {
            left,
            right,
            at: (0, 0),
            merged: Vec::new(),
        }
    }

    /// The elements whose order must be known next.
    fn question(&self) -> Option<(usize, usize)> {
        Some((*self.left.get(self.at.0)?, *self.right.get(self.at.1)?))
    }

    fn answer(&mut self, order: Ordering) {
        if order.is_gt() {
            self.merged.push(self.right[self.at.1]);
            self.at.1 += 1;
        } else {
            self.merged.push(self.left[self.at.0]);
            self.at.0 += 1;
        }
    }

    fn finish(mut self) -> Vec<usize> {
        self.merged.extend_from_slice(&self.left[self.at.0..]);
        self.merged.extend_from_slice(&self.right[self.at.1..]);
        self.merged
    }
}

fn ask(
    call: &Lazy<'_>,
    row: usize,
    elements: &ArrayRef,
    pairs: &[(usize, usize)],
) -> Result<Vec<Ordering>, KernelError> {
    let side = |pick: fn(&(usize, usize)) -> usize| {
        let picks: UInt32Array = pairs.iter().map(|pair| row_number(pick(pair))).collect();
        Column::of_rows(ArrayRef::clone(elements)).take(&picks)
    };
    let rows = UInt32Array::from(vec![row_number(row); pairs.len()]);
    let result = call.lambda(1, &rows, &[side(|p| p.0), side(|p| p.1)])?;
    let result = result.expect("there is a pair").expand(pairs.len());
    let answers = result.as_primitive::<Int32Type>();
    let one = |answer: Option<i32>| match answer {
        Some(answer) => Ok(answer.cmp(&0)),
        None => Err(Call::row_error(row, "the comparing lambda gave null")),
    };
    answers.iter().map(one).collect()
}
