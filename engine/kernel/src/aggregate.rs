//! The operations: what they keep, how they add a value, merge, take back and finish.
//!
//! | layer | file | what it does |
//! |---|---|---|
//! | [`Aggregator`] | one file per family | one operation over the elements of a bound array: no nulls, no lists, no buckets |
//! | [`fold::Fold`] | `fold.rs`, `keyed.rs`, `tensor.rs` | makes rows of elements: skips nulls, explodes lists, splits by bucket or map key or position |
//! | [`bind::bind`] | `bind.rs` | the one place where an operation and its types pick an aggregator |
//! | [`fold::Visitor`] | `sawtooth.rs`, `replay.rs`, `script.rs` | loops over a run with the fold it is handed, monomorphic inside |
//! | [`row::RowAggregate`] | `row.rs` | the parts of a group-by, compiled: shares one fold among the windows of a column |
//!
//! **Adding an operation** touches two files: its row in `planner/src/aggregation` (signature and name), and its family
//! file here with an arm in [`bind`]. Implement [`Aggregator`], give it to `shape.with(…)` in the family's `bind`
//! function, and every evaluator, list, map and bucket follows; say in `naive` plainly what it means.
//!
//! States may hold element indices of the bound array instead of values: they live for one call. A state that leaves
//! the call (an upload, the daily incremental table) does so as a [`stored::Stored`], and comes back as a
//! [`saved::Saved`].
//!
//! Promises: a state is a function of the sequence of `start`, `update`, `merge` and `delete` calls only. Never looks
//! at clocks, seeds or addresses.

pub(crate) mod approximate;
pub mod bind;
mod count;
mod dictionary;
mod distinct;
mod extremes;
pub mod fold;
pub(crate) mod frequent;
mod heap;
mod histogram;
pub(crate) mod java_map;
mod kept;
mod keyed;
pub(crate) mod kll;
mod moments;
pub mod output;
pub(crate) mod replay;
pub(crate) mod restore;
pub(crate) mod resume;
pub mod row;
pub mod saved;
pub(crate) mod sawtooth;
pub(crate) mod scala_map;
pub(crate) mod script;
pub mod stored;
mod sum;
mod tensor;
mod timed;
pub(crate) mod values;

use output::Output;
use saved::Placed;
use stored::Stored;

use crate::window::Resolution;
use crate::window::timeline::Timeline;

/// One operation bound to the elements of a call.
///
/// # Contract
/// * `element` is a position in the bound array that holds no null.
/// * `merge(state, other)` takes `other` to lie after `state` in time; ties are resolved for `state`.
/// * An operation with [`Aggregator::DELETES`] undoes `update` by `delete`, up to rounding of floats.
pub trait Aggregator {
    /// What is kept; a column of an absent state is a null.
    type State: Clone;
    /// Where finished values are collected.
    type Output: Output;
    /// Whether a value can be taken back.
    const DELETES: bool = false;
    /// Whether the state of an hour or a day is folded from its rows, not merged from its five minutes: for operations
    /// whose merges cost accuracy.
    const FROM_ROWS: bool = false;

    /// Whether the order of work shows in the answers.
    fn work_order(&self) -> WorkOrder {
        WorkOrder::Free
    }

    /// A state that later changes to this one leave alone, as the reference copies it.
    fn copy(&self, state: &Self::State) -> Self::State {
        state.clone()
    }

    /// The state after the reference wrote it for another task and read it back.
    fn ship(&self, state: &Self::State) -> Self::State {
        self.copy(state)
    }

    /// The state of one element.
    fn start(&self, element: usize) -> Self::State;

    /// Adds an element.
    fn update(&self, state: &mut Self::State, element: usize);

    /// Adds a later state.
    fn merge(&self, state: &mut Self::State, later: &Self::State);

    /// The state of one element taken back from nothing; only called with [`Aggregator::DELETES`].
    fn start_deleted(&self, element: usize) -> Self::State {
        self.start(element)
    }

    /// Takes an element back; only called with [`Aggregator::DELETES`].
    fn delete(&self, state: &mut Self::State, element: usize) {
        let _ = (state, element);
    }

    /// An empty column of finished values. Where `direct`, a float that is not finite becomes null.
    fn output(&self, direct: bool) -> Self::Output;

    /// Appends the finished value.
    fn finish(&self, state: &Self::State, output: &mut Self::Output);

    /// The state as it is stored; elements are positions in the array before operands are cast.
    fn store(&self, state: &Self::State) -> Stored;

    /// The state that was stored as this; `None` where no state is stored so.
    fn load(&self, stored: Placed<'_>) -> Option<Self::State>;

    /// Answers these windows of a timeline from ranges of rows, when the operation can do that with the very bits of
    /// the canonical fold: exact operations only. `elements` says which rows hold an element. `None` when it cannot.
    fn by_ranges(&self, elements: Elements<'_>, windows: Windows<'_>) -> Option<Vec<Self::Output>> {
        let _ = (elements, windows);
        None
    }
}

/// Whether the order of work, in which values are added and states merged, shows in what is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkOrder {
    /// No.
    Free,
    /// No more than in the last digits: the canonical fold serves, but where all hops are days and where states are
    /// stored.
    Digits,
    /// Yes: the reference's order is followed (`replay.rs`).
    Rows,
    /// Yes, and so does which other times are asked for the key.
    Questions,
}

impl WorkOrder {
    /// Whether windows with these tails are answered in the reference's order.
    pub(crate) fn is_followed(self, by: Resolution) -> bool {
        match by {
            Resolution::Daily => self >= Self::Digits,
            Resolution::FiveMinutes | Resolution::Collapsed => self >= Self::Rows,
        }
    }
}

/// Some windows of a timeline.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    /// The timeline.
    pub timeline: &'a Timeline,
    /// Positions among its windows.
    pub windows: &'a [usize],
}

/// Which rows of a scalar column hold a value.
#[derive(Clone, Copy, Debug)]
pub struct Elements<'a> {
    /// The column's nulls, or `None` when every row holds a value.
    pub nulls: Option<&'a arrow_buffer::NullBuffer>,
    /// Number of rows.
    pub row_count: usize,
}

impl Elements<'_> {
    /// Whether the row holds a value.
    pub fn has(&self, row: usize) -> bool {
        self.nulls.is_none_or(|nulls| nulls.is_valid(row))
    }
}
