//! Element-wise aggregation: each position of a list has a state of its own, the finished value is a list.
//!
//! All lists of a key must be equally long and hold no null; the first that is not is an error that names its row.
//! Floats in the list stay as they are, NaN too.

use std::cell::Cell;

use super::fold::{Fold, Items, add, take_back};
use super::output::Lists;
use super::saved::Placed;
use super::stored::Stored;
use super::{Aggregator, WorkOrder};
use crate::error::KernelError;

/// The fold.
#[derive(Debug)]
pub(crate) struct Tensor<A> {
    aggregator: A,
    items: Items,
    /// The first row that broke the rule, and how.
    fault: Cell<Option<(usize, &'static str)>>,
}

/// The states of all positions.
#[derive(Clone, Debug)]
pub(crate) struct Positions<S> {
    /// A row that went into it, to be named when another one does not fit.
    row: usize,
    states: Vec<S>,
}

const LENGTH: &str = "element-wise aggregation needs lists of equal length";
const NULLS: &str = "element-wise aggregation needs lists without nulls";

impl<A: Aggregator> Tensor<A> {
    pub(crate) fn new(aggregator: A, items: Items) -> Self {
        Self {
            aggregator,
            items,
            fault: Cell::new(None),
        }
    }

    fn refuse(&self, row: usize, why: &'static str) {
        if self.fault.get().is_none() {
            self.fault.set(Some((row, why)));
        }
    }

    fn apply(
        &self,
        state: &mut Option<Positions<A::State>>,
        row: usize,
        change: impl Fn(&A, &mut Option<A::State>, usize),
    ) {
        let Some(range) = self.items.range(row) else {
            return;
        };
        if range.clone().any(|item| !self.items.has(item)) {
            return self.refuse(row, NULLS);
        }
        let old = state.take().map(|positions| positions.states);
        if old.as_ref().is_some_and(|old| old.len() != range.len()) {
            return self.refuse(row, LENGTH);
        }
        let mut old = old.into_iter().flatten();
        let changed = range.filter_map(|item| {
            let mut position = old.next();
            change(&self.aggregator, &mut position, item);
            position
        });
        let states = changed.collect();
        *state = Some(Positions { row, states });
    }
}

impl<A: Aggregator> Fold for Tensor<A> {
    type State = Positions<A::State>;
    type Output = Lists<A::Output>;
    const FROM_ROWS: bool = A::FROM_ROWS;

    fn work_order(&self) -> WorkOrder {
        self.aggregator.work_order()
    }

    fn copy(&self, state: &Self::State) -> Self::State {
        Positions {
            row: state.row,
            states: state
                .states
                .iter()
                .map(|s| self.aggregator.copy(s))
                .collect(),
        }
    }

    fn ship(&self, state: &Self::State) -> Self::State {
        Positions {
            row: state.row,
            states: state
                .states
                .iter()
                .map(|s| self.aggregator.ship(s))
                .collect(),
        }
    }

    fn update(&self, state: &mut Option<Self::State>, row: usize) {
        self.apply(state, row, add);
    }

    fn delete(&self, state: &mut Option<Self::State>, row: usize) {
        if A::DELETES {
            self.apply(state, row, take_back);
        }
    }

    fn merge(&self, state: &mut Self::State, later: &Self::State) {
        if state.states.len() != later.states.len() {
            return self.refuse(later.row, LENGTH);
        }
        for (state, later) in state.states.iter_mut().zip(&later.states) {
            self.aggregator.merge(state, later);
        }
    }

    fn output(&self) -> Self::Output {
        Lists::new(self.aggregator.output(false))
    }

    fn finish(&self, state: &Self::State, output: &mut Self::Output) {
        output.append(|items| {
            for state in &state.states {
                self.aggregator.finish(state, items);
            }
        });
    }

    fn store(&self, state: &Self::State) -> Stored {
        let states = state.states.iter();
        Stored::List(states.map(|state| self.aggregator.store(state)).collect())
    }

    fn load(&self, stored: Placed<'_>) -> Option<Self::State> {
        let states = stored.list()?.map(|state| self.aggregator.load(state));
        Some(Positions {
            row: stored.first_row as usize,
            states: states.collect::<Option<_>>()?,
        })
    }

    fn check(&self) -> Result<(), KernelError> {
        match self.fault.get() {
            None => Ok(()),
            Some((row, why)) => Err(KernelError::Row {
                row,
                message: why.into(),
            }),
        }
    }
}
