//! From rows to elements: nulls skipped, lists exploded.
//!
//! A [`Fold`] is what the loops see: states of rows that may be absent. Hot path: no allocation per row beyond what
//! the state itself needs. `keyed.rs` and `tensor.rs` hold the folds that split a row by key or position.

use std::ops::Range;

use arrow_array::ArrayRef;
use arrow_buffer::{NullBuffer, OffsetBuffer};

use super::output::Output;
use super::saved::Placed;
use super::stored::Stored;
use super::{Aggregator, Elements, Windows, WorkOrder};
use crate::error::KernelError;

/// An operation over the rows of a run; the state of no value is `None`.
pub trait Fold {
    /// What is kept of at least one value.
    type State: Clone;
    /// Where finished values are collected.
    type Output: Output;
    /// As [`Aggregator::FROM_ROWS`].
    const FROM_ROWS: bool;

    /// As [`Aggregator::work_order`].
    fn work_order(&self) -> WorkOrder;

    /// As [`Aggregator::copy`].
    fn copy(&self, state: &Self::State) -> Self::State;

    /// As [`Aggregator::ship`].
    fn ship(&self, state: &Self::State) -> Self::State;

    /// Adds a row.
    fn update(&self, state: &mut Option<Self::State>, row: usize);

    /// Takes a row back, where the operation can; else does nothing.
    fn delete(&self, state: &mut Option<Self::State>, row: usize);

    /// Adds a later state.
    fn merge(&self, state: &mut Self::State, later: &Self::State);

    /// An empty column of finished values.
    fn output(&self) -> Self::Output;

    /// Appends the finished value.
    fn finish(&self, state: &Self::State, output: &mut Self::Output);

    /// The state as it is stored.
    fn store(&self, state: &Self::State) -> Stored;

    /// The state that was stored as this; `None` where no state is stored so.
    fn load(&self, stored: Placed<'_>) -> Option<Self::State>;

    /// As [`Aggregator::by_ranges`].
    fn by_ranges(&self, windows: Windows<'_>) -> Option<Vec<Self::Output>> {
        let _ = windows;
        None
    }

    /// The first row that broke a rule the fold relies on, found during the updates; `Ok` when there was none.
    fn check(&self) -> Result<(), KernelError> {
        Ok(())
    }
}

/// Adds an optional later state to an optional state.
#[inline]
pub(crate) fn merge_option<F: Fold>(
    fold: &F,
    state: &mut Option<F::State>,
    later: Option<&F::State>,
) {
    match (state.as_mut(), later) {
        (Some(state), Some(later)) => fold.merge(state, later),
        (None, Some(later)) => *state = Some(fold.copy(later)),
        (_, None) => {}
    }
}

/// A loop that is compiled for each fold it may be handed.
pub trait Visitor {
    /// What the loop answers.
    type Answer;

    /// Runs the loop.
    fn visit<F: Fold>(self, fold: &F) -> Result<Self::Answer, KernelError>;
}

/// The value of a row is one element.
#[derive(Debug)]
pub struct Scalar<A> {
    pub(crate) aggregator: A,
    pub(crate) nulls: Option<NullBuffer>,
    pub(crate) row_count: usize,
}

impl<A: Aggregator> Fold for Scalar<A> {
    type State = A::State;
    type Output = A::Output;
    const FROM_ROWS: bool = A::FROM_ROWS;

    fn work_order(&self) -> WorkOrder {
        self.aggregator.work_order()
    }

    #[inline]
    fn copy(&self, state: &A::State) -> A::State {
        self.aggregator.copy(state)
    }

    fn ship(&self, state: &A::State) -> A::State {
        self.aggregator.ship(state)
    }

    #[inline]
    fn update(&self, state: &mut Option<A::State>, row: usize) {
        if self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
            add(&self.aggregator, state, row);
        }
    }

    #[inline]
    fn delete(&self, state: &mut Option<A::State>, row: usize) {
        if self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
            take_back(&self.aggregator, state, row);
        }
    }

    #[inline]
    fn merge(&self, state: &mut A::State, later: &A::State) {
        self.aggregator.merge(state, later);
    }

    fn output(&self) -> A::Output {
        self.aggregator.output(true)
    }

    #[inline]
    fn finish(&self, state: &A::State, output: &mut A::Output) {
        self.aggregator.finish(state, output);
    }

    fn store(&self, state: &A::State) -> Stored {
        self.aggregator.store(state)
    }

    fn load(&self, stored: Placed<'_>) -> Option<A::State> {
        self.aggregator.load(stored)
    }

    fn by_ranges(&self, windows: Windows<'_>) -> Option<Vec<A::Output>> {
        let elements = Elements {
            nulls: self.nulls.as_ref(),
            row_count: self.row_count,
        };
        self.aggregator.by_ranges(elements, windows)
    }
}

/// Adds one element to a state that may be absent.
#[inline]
pub(crate) fn add<A: Aggregator>(aggregator: &A, state: &mut Option<A::State>, element: usize) {
    match state {
        Some(state) => aggregator.update(state, element),
        None => *state = Some(aggregator.start(element)),
    }
}

/// Takes one element back from a state that may be absent; does nothing where the operation cannot.
#[inline]
pub(crate) fn take_back<A: Aggregator>(
    aggregator: &A,
    state: &mut Option<A::State>,
    element: usize,
) {
    if A::DELETES {
        match state {
            Some(state) => aggregator.delete(state, element),
            None => *state = Some(aggregator.start_deleted(element)),
        }
    }
}

/// The value of a row is a list whose non-null items are elements.
#[derive(Debug)]
pub struct Exploded<A> {
    pub(crate) aggregator: A,
    pub(crate) items: Items,
}

/// Where the items of each row's list lie.
#[derive(Clone, Debug)]
pub struct Items {
    /// Item ranges.
    pub(crate) offsets: OffsetBuffer<i32>,
    /// Rows that hold a list.
    pub(crate) lists: Option<NullBuffer>,
    /// Items that hold a value.
    pub(crate) items: Option<NullBuffer>,
}

impl Items {
    /// The items of a row's list; `None` when there is no list.
    #[inline]
    pub(crate) fn range(&self, row: usize) -> Option<Range<usize>> {
        let present = self.lists.as_ref().is_none_or(|lists| lists.is_valid(row));
        present.then(|| self.offsets[row] as usize..self.offsets[row + 1] as usize)
    }

    /// Whether an item holds a value.
    #[inline]
    pub(crate) fn has(&self, item: usize) -> bool {
        self.items.as_ref().is_none_or(|items| items.is_valid(item))
    }

    /// The elements of a row.
    #[inline]
    pub(crate) fn of(&self, row: usize) -> impl Iterator<Item = usize> {
        let range = self.range(row).unwrap_or(0..0);
        range.filter(|item| self.has(*item))
    }
}

impl<A: Aggregator> Fold for Exploded<A> {
    type State = A::State;
    type Output = A::Output;
    const FROM_ROWS: bool = A::FROM_ROWS;

    fn work_order(&self) -> WorkOrder {
        self.aggregator.work_order()
    }

    #[inline]
    fn copy(&self, state: &A::State) -> A::State {
        self.aggregator.copy(state)
    }

    fn ship(&self, state: &A::State) -> A::State {
        self.aggregator.ship(state)
    }

    #[inline]
    fn update(&self, state: &mut Option<A::State>, row: usize) {
        for item in self.items.of(row) {
            add(&self.aggregator, state, item);
        }
    }

    #[inline]
    fn delete(&self, state: &mut Option<A::State>, row: usize) {
        for item in self.items.of(row) {
            take_back(&self.aggregator, state, item);
        }
    }

    #[inline]
    fn merge(&self, state: &mut A::State, later: &A::State) {
        self.aggregator.merge(state, later);
    }

    fn output(&self) -> A::Output {
        self.aggregator.output(true)
    }

    #[inline]
    fn finish(&self, state: &A::State, output: &mut A::Output) {
        self.aggregator.finish(state, output);
    }

    fn store(&self, state: &A::State) -> Stored {
        self.aggregator.store(state)
    }

    fn load(&self, stored: Placed<'_>) -> Option<A::State> {
        self.aggregator.load(stored)
    }
}

/// The columns one part reads in a call.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The input column.
    pub value: &'a ArrayRef,
    /// The bucketing column, when there is one.
    pub bucket: Option<&'a ArrayRef>,
    /// The time of each row, by which FIRST, LAST and their kin order them.
    pub times: &'a [i64],
    /// Whether an AVERAGE answers the SUM too: a struct of the two.
    pub with_sum: bool,
    /// Whether states are wanted as they are stored, in the reference's order.
    pub stored: bool,
}
