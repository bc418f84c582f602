//! The point-in-time loop in the reference's order of work, for operations whose answers show it.
//!
//! ```text
//!  tail = floor(q − W, hop)                                    head      q
//!   ├──────── hops of the window's own size ────────┤─ smaller ─┤─ rows ─)
//! ```
//! Per key: rows are added in the order of their positions to a state for each day, hour and five minutes; each of
//! these states is shipped. Times are asked in order: a window is merged from the hops of its own size and then from
//! smaller ones, going on from what was merged for the time before where that began at the same hop. The states at the
//! heads are shipped again (TEMPORAL), and the rows of the head join them as one state; where answers depend on the
//! questions, as one state for the rows between each two questions. SNAPSHOT asks at every midnight from the key's
//! first question to its last. Copies are made where the reference makes them: a state that is merged into nothing, and
//! one that is gone on from. What is stored of rows is one state that they are added to. *Source: rule 22 of
//! `docs/semantics.md`.*
//!
//! Cost: linear in rows × sizes of hops, and in questions × windows × hops that enter. Never used where the canonical
//! fold gives the same bits.

use std::ops::Range;

use arrow_array::ArrayRef;
use unskewed_planner::time::{DAY_MILLIS, FIVE_MINUTES_MILLIS, HOUR_MILLIS, Window};

use super::WorkOrder;
use super::fold::{Fold, Visitor, merge_option};
use super::output::Output;
use super::sawtooth::{Sawtooth, SawtoothStates};
use super::stored::Stored;
use crate::error::KernelError;
use crate::run::{Queries, Run};
use crate::window::{Resolution, floor_to, head_millis};

/// The sizes of hops, largest first.
const SIZES: [i64; 3] = [DAY_MILLIS, HOUR_MILLIS, FIVE_MINUTES_MILLIS];

/// What is asked of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The right rows.
    pub(crate) run: Run<'a>,
    /// The questions.
    pub(crate) queries: Queries<'a>,
    /// How tails are rounded.
    pub(crate) by: Resolution,
}

/// Answers windows by the loop that the operation asks for; one column each.
#[derive(Debug)]
pub(crate) struct AsOf<'a> {
    /// The canonical loop.
    pub(crate) sawtooth: Sawtooth<'a>,
    /// What is asked.
    pub(crate) asked: Asked<'a>,
    /// The windows.
    pub(crate) windows: Vec<Window>,
}

impl Visitor for AsOf<'_> {
    type Answer = Vec<ArrayRef>;

    fn visit<F: Fold>(self, fold: &F) -> Result<Vec<ArrayRef>, KernelError> {
        if !fold.work_order().is_followed(self.asked.by) {
            return self.sawtooth.visit(fold);
        }
        let mut outputs: Vec<F::Output> = self.windows.iter().map(|_| fold.output()).collect();
        for key in 0..self.asked.run.key_count() {
            Replay::new(fold, self.asked, &self.windows, key).answer(&mut outputs);
        }
        fold.check()?;
        outputs.into_iter().map(Output::into_array).collect()
    }
}

/// The states of windows that are stored as one: rows are added to them one by one, whatever hops they cover.
#[derive(Debug)]
pub(crate) struct StoredStates<'a> {
    /// The canonical loop.
    pub(crate) sawtooth: SawtoothStates<'a>,
    /// What is asked.
    pub(crate) asked: Asked<'a>,
    /// The windows.
    pub(crate) windows: Vec<Window>,
}

impl Visitor for StoredStates<'_> {
    type Answer = Vec<Vec<Stored>>;

    fn visit<F: Fold>(self, fold: &F) -> Result<Self::Answer, KernelError> {
        if fold.work_order() == WorkOrder::Free {
            return self.sawtooth.visit(fold);
        }
        let Asked { run, queries, by } = self.asked;
        let of_window = |window: &Window| {
            let mut states = Vec::with_capacity(queries.ts.len());
            for key in 0..run.key_count() {
                for end in &queries.ts[queries.of_key(key)] {
                    let times = by.tail_millis(*window, *end)..*end;
                    let rows = within(run, run.rows(key), times);
                    states.push(of_stored_rows(fold, run, rows));
                }
            }
            states
        };
        let states = self.windows.iter().map(of_window).collect();
        fold.check()?;
        Ok(states)
    }
}

/// The state of rows as it is stored.
pub(crate) fn of_stored_rows<F: Fold>(fold: &F, run: Run<'_>, rows: Range<usize>) -> Stored {
    let state = of_rows(fold, run, rows);
    state.map_or(Stored::Null, |state| fold.store(&fold.ship(&state)))
}

/// The rows whose times lie in a range.
fn within(run: Run<'_>, rows: Range<usize>, times: Range<i64>) -> Range<usize> {
    let ts = &run.ts[rows.clone()];
    let from = ts.partition_point(|ts| *ts < times.start);
    let to = ts.partition_point(|ts| *ts < times.end).max(from);
    rows.start + from..rows.start + to
}

/// The state of rows, added in the order of their positions.
fn of_rows<F: Fold>(fold: &F, run: Run<'_>, rows: Range<usize>) -> Option<F::State> {
    let mut state = None;
    let sorted = run
        .positions
        .get(rows.clone())
        .is_none_or(<[u64]>::is_sorted);
    if sorted {
        rows.for_each(|row| fold.update(&mut state, row));
    } else {
        let mut rows: Vec<usize> = rows.collect();
        rows.sort_by_key(|row| run.positions[*row]);
        rows.iter().for_each(|row| fold.update(&mut state, *row));
    }
    state
}

/// A hop of a key that has rows.
struct Hop<S> {
    start_millis: i64,
    state: Option<S>,
}

/// What was merged last for a window out of hops of one size.
struct Merged<S> {
    hops: Range<usize>,
    state: Option<S>,
}

/// The work on one key.
struct Replay<'a, F: Fold> {
    fold: &'a F,
    asked: Asked<'a>,
    windows: &'a [Window],
    key: usize,
    /// The hops of each size, ascending.
    hops: [Vec<Hop<F::State>>; 3],
    /// For each size, what was merged last for each window.
    merged: [Vec<Option<Merged<F::State>>>; 3],
}

impl<'a, F: Fold> Replay<'a, F> {
    fn new(fold: &'a F, asked: Asked<'a>, windows: &'a [Window], key: usize) -> Self {
        let mut replay = Self {
            fold,
            asked,
            windows,
            key,
            hops: Default::default(),
            merged: [(); 3].map(|()| windows.iter().map(|_| None).collect()),
        };
        let queries = asked.queries.of_key(key);
        let Some(first) = queries.clone().next() else {
            return replay;
        };
        let (first, last) = (asked.queries.ts[first], asked.queries.ts[queries.end - 1]);
        let tails = windows.iter();
        let tail = tails.map(|w| asked.by.tail_millis(*w, first)).min();
        let rows = asked.run.rows(key);
        let rows = within(asked.run, rows, tail.unwrap_or(first)..last.max(first));
        let largest = windows.iter().map(|w| replay.size_of_tail(*w)).min();
        for (size, size_millis) in replay.sizes(largest.unwrap_or(0)) {
            replay.hops[size] = replay.hops_of(rows.clone(), size_millis);
        }
        replay
    }

    fn size_of_tail(&self, window: Window) -> usize {
        let hop = self.asked.by.tail_hop_millis(window);
        SIZES.iter().position(|size| *size == hop).unwrap_or(0)
    }

    /// The sizes in use, from this one down.
    fn sizes(&self, largest: usize) -> impl Iterator<Item = (usize, i64)> + use<F> {
        let count = match self.asked.by {
            Resolution::Daily => 1,
            Resolution::FiveMinutes | Resolution::Collapsed => SIZES.len(),
        };
        SIZES.into_iter().enumerate().take(count).skip(largest)
    }

    fn hops_of(&self, mut rows: Range<usize>, size_millis: i64) -> Vec<Hop<F::State>> {
        let run = self.asked.run;
        let mut hops = Vec::new();
        while !rows.is_empty() {
            let start_millis = floor_to(run.ts[rows.start], size_millis);
            let end = start_millis.saturating_add(size_millis);
            let hop = within(run, rows.clone(), i64::MIN..end);
            // At the far end of time the last hop has no end.
            let hop = if hop.is_empty() { rows.clone() } else { hop };
            let state = of_rows(self.fold, run, hop.clone());
            let state = state.map(|state| self.fold.ship(&state));
            hops.push(Hop {
                start_millis,
                state,
            });
            rows.start = hop.end;
        }
        hops
    }

    fn answer(mut self, outputs: &mut [F::Output]) {
        let queries = self.asked.queries.of_key(self.key);
        if queries.is_empty() {
            return;
        }
        match self.asked.by {
            Resolution::Daily => self.answer_midnights(queries, outputs),
            Resolution::FiveMinutes | Resolution::Collapsed => self.answer_slots(queries, outputs),
        }
    }

    /// All states are made before the first is finished: later ones may change what earlier ones share.
    fn answer_midnights(&mut self, queries: Range<usize>, outputs: &mut [F::Output]) {
        let asked = &self.asked.queries.ts[queries];
        let mut midnights = asked.to_vec();
        if self.fold.work_order() == WorkOrder::Questions {
            let between = asked[0]..asked[asked.len() - 1];
            midnights.extend(self.turns().filter(|turn| between.contains(turn)));
            midnights.sort_unstable();
        }
        midnights.dedup();
        let states: Vec<_> = midnights.iter().map(|at| self.windows_at(*at)).collect();
        for time in asked {
            let place = midnights.partition_point(|at| at < time);
            self.finish(&states[place], outputs);
        }
    }

    /// The midnights at which a day enters or leaves a window: at all others nothing is merged.
    fn turns(&self) -> impl Iterator<Item = i64> {
        let days = self.hops[0].iter().map(|hop| hop.start_millis);
        days.flat_map(move |day| {
            let windows = self.windows.iter();
            let leaves = windows.map(move |w| self.asked.by.expiry_millis(*w, day));
            leaves.chain([day.saturating_add(DAY_MILLIS)])
        })
    }

    fn answer_slots(&mut self, queries: Range<usize>, outputs: &mut [F::Output]) {
        let ts = &self.asked.queries.ts[queries];
        let slots: Vec<&[i64]> = ts
            .chunk_by(|a, b| head_millis(*a) == head_millis(*b))
            .collect();
        let heads = slots.iter().map(|slot| head_millis(slot[0]));
        let states: Vec<_> = heads.map(|head| self.windows_at(head)).collect();
        for (slot, states) in slots.into_iter().zip(states) {
            let ship = |state: Option<F::State>| state.map(|state| self.fold.ship(&state));
            self.answer_slot(slot, states.into_iter().map(ship).collect(), outputs);
        }
    }

    /// The questions of one slot, from the states at its head.
    fn answer_slot(
        &self,
        slot: &[i64],
        mut states: Vec<Option<F::State>>,
        outputs: &mut [F::Output],
    ) {
        let rows = self.asked.run.rows(self.key);
        let goes_on = self.fold.work_order() == WorkOrder::Questions;
        let mut from = head_millis(slot[0]);
        for questions in slot.chunk_by(|a, b| a == b) {
            let bin = within(self.asked.run, rows.clone(), from..questions[0]);
            let mut answers = states.clone();
            if !bin.is_empty() {
                let copy = |state: &Option<F::State>| state.as_ref().map(|s| self.fold.copy(s));
                answers = states.iter().map(copy).collect();
                let bin = of_rows(self.fold, self.asked.run, bin);
                for state in &mut answers {
                    merge_option(self.fold, state, bin.as_ref());
                }
            }
            for _ in questions {
                self.finish(&answers, outputs);
            }
            if goes_on {
                (states, from) = (answers, questions[0]);
            }
        }
    }

    fn finish(&self, states: &[Option<F::State>], outputs: &mut [F::Output]) {
        for (state, output) in states.iter().zip(outputs) {
            match state {
                Some(state) => self.fold.finish(state, output),
                None => output.append_null(),
            }
        }
    }

    /// The state of every window at a time.
    fn windows_at(&mut self, end: i64) -> Vec<Option<F::State>> {
        let mut states = Vec::with_capacity(self.windows.len());
        for (place, window) in self.windows.iter().enumerate() {
            let mut state = None;
            let mut start = self.asked.by.tail_millis(*window, end);
            for (size, size_millis) in self.sizes(self.size_of_tail(*window)) {
                let until = floor_to(end, size_millis);
                let merged = self.merged(size, place, start..until);
                merge_option(self.fold, &mut state, merged.as_ref());
                start = until;
            }
            states.push(state);
        }
        states
    }

    /// The hops of one size whose starts lie in a range.
    fn merged(&mut self, size: usize, window: usize, times: Range<i64>) -> Option<F::State> {
        let hops = &self.hops[size];
        let last = &self.merged[size][window];
        let mut first = last.as_ref().map_or(0, |last| last.hops.start);
        while hops
            .get(first)
            .is_some_and(|hop| hop.start_millis < times.start)
        {
            first += 1;
        }
        let (mut state, mut end) = match last {
            Some(last) if last.hops.start == first => (
                last.state.as_ref().map(|s| self.fold.copy(s)),
                last.hops.end,
            ),
            _ => (None, first),
        };
        while let Some(hop) = hops.get(end).filter(|hop| hop.start_millis < times.end) {
            merge_option(self.fold, &mut state, hop.state.as_ref());
            end += 1;
        }
        let hops = first..end;
        if last.as_ref().is_none_or(|last| last.hops != hops) {
            let state = state.clone();
            self.merged[size][window] = Some(Merged { hops, state });
        }
        state
    }
}
