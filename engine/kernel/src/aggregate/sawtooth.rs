//! The point-in-time loop: every window of every query by the canonical fold over a timeline.
//!
//! Hot path. Tile, hour and day states are folded once per column; consecutive slots take over what their windows
//! have in common; the queries of a slot extend one fold. The result has the bits of folding each window from
//! nothing, because only prefixes of the same sequence of merges are reused.

use std::ops::Range;

use arrow_array::ArrayRef;

use super::fold::{Fold, Visitor, merge_option};
use super::output::Output;
use super::replay::of_stored_rows;
use super::stored::Stored;
use super::{Windows, WorkOrder};
use crate::error::KernelError;
use crate::run::Run;
use crate::window::timeline::{Pieces, Shared, Timeline, Unit};

/// Answers these windows of a timeline, one column each.
#[derive(Debug)]
pub(crate) struct Sawtooth<'a>(pub(crate) Windows<'a>);

impl Visitor for Sawtooth<'_> {
    type Answer = Vec<ArrayRef>;

    fn visit<F: Fold>(self, fold: &F) -> Result<Vec<ArrayRef>, KernelError> {
        let Windows { timeline, windows } = self.0;
        let outputs = match fold.by_ranges(self.0) {
            Some(outputs) => outputs,
            None => {
                let levels = Levels::build(fold, timeline);
                windows
                    .iter()
                    .map(|window| {
                        let mut output = fold.output();
                        levels.answer(fold, timeline, *window, |state| match state {
                            Some(state) => fold.finish(state, &mut output),
                            None => output.append_null(),
                        });
                        output
                    })
                    .collect()
            }
        };
        fold.check()?;
        outputs.into_iter().map(Output::into_array).collect()
    }
}

/// The same loop, giving the states themselves; one list for each window.
#[derive(Debug)]
pub(crate) struct SawtoothStates<'a>(pub(crate) Windows<'a>);

impl Visitor for SawtoothStates<'_> {
    type Answer = Vec<Vec<Stored>>;

    fn visit<F: Fold>(self, fold: &F) -> Result<Self::Answer, KernelError> {
        let Windows { timeline, windows } = self.0;
        let levels = Levels::build(fold, timeline);
        let states = |window: &usize| {
            let mut states = Vec::new();
            levels.answer(fold, timeline, *window, |state| {
                states.push(state.map_or(Stored::Null, |state| fold.store(state)));
            });
            states
        };
        let answer = windows.iter().map(states).collect();
        fold.check()?;
        Ok(answer)
    }
}

/// Rows of a unit of a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) unit: Unit,
    pub(crate) rows: Range<usize>,
}

/// The states of single stretches, in one list.
#[derive(Debug)]
pub(crate) struct UnitStates<'a> {
    pub(crate) run: Run<'a>,
    pub(crate) timeline: &'a Timeline,
    pub(crate) stretches: &'a [Stretch],
}

impl Visitor for UnitStates<'_> {
    type Answer = Vec<Vec<Stored>>;

    fn visit<F: Fold>(self, fold: &F) -> Result<Self::Answer, KernelError> {
        let state = |stretch: &Stretch| {
            if fold.work_order() != WorkOrder::Free {
                return of_stored_rows(fold, self.run, stretch.rows.clone());
            }
            let state = unit_state(fold, self.timeline, stretch.unit, &stretch.rows);
            state.map_or(Stored::Null, |state| fold.store(&state))
        };
        let states = self.stretches.iter().map(state).collect();
        fold.check()?;
        Ok(vec![states])
    }
}

/// The state of those rows of a unit that lie in a range: five minutes fold their rows, hours their five minutes, days
/// their hours; where merging costs accuracy all fold their rows.
fn unit_state<F: Fold>(
    fold: &F,
    timeline: &Timeline,
    unit: Unit,
    within: &Range<usize>,
) -> Option<F::State> {
    let mut state = None;
    let mut add = |children: &mut dyn Iterator<Item = Unit>| {
        for child in children {
            let child = unit_state(fold, timeline, child, within);
            merge_option(fold, &mut state, child.as_ref());
        }
    };
    match unit {
        Unit::Hour(hour) if !F::FROM_ROWS => {
            add(&mut timeline.tiles_of_hour(hour).map(Unit::Tile));
        }
        Unit::Day(day) if !F::FROM_ROWS => add(&mut timeline.hours_of_day(day).map(Unit::Hour)),
        _ => {
            let rows = timeline.rows_of(unit);
            let rows = rows.start.max(within.start)..rows.end.min(within.end);
            rows.for_each(|row| fold.update(&mut state, row));
        }
    }
    state
}

/// The states of all tiles, hours and days.
///
/// An hour of one tile has that tile's state, a day of one hour that hour's. States that own memory are not copied for
/// them: sparse keys, whose tiles hold a row or two, would pay three times.
struct Levels<S> {
    tiles: Vec<Option<S>>,
    hours: Vec<Option<S>>,
    days: Vec<Option<S>>,
}

impl<S: Clone> Levels<S> {
    /// Whether an only child stands for its parent, whose own place then stays empty.
    const ONLY_CHILDREN_STAND: bool = std::mem::needs_drop::<S>();

    fn build<F: Fold<State = S>>(fold: &F, timeline: &Timeline) -> Self {
        let of_rows = |rows: Range<usize>| {
            let mut state = None;
            for row in rows {
                fold.update(&mut state, row);
            }
            state
        };
        let ranges = timeline.tiles();
        let rows_of = |tiles: Range<usize>| {
            let (first, last) = (&ranges[tiles.start], &ranges[tiles.end - 1]);
            first.start as usize..last.end as usize
        };
        let mut levels = Self {
            tiles: (0..ranges.len())
                .map(|tile| of_rows(rows_of(tile..tile + 1)))
                .collect(),
            hours: Vec::with_capacity(timeline.hour_count()),
            days: Vec::with_capacity(timeline.day_count()),
        };
        for hour in 0..timeline.hour_count() {
            let children = timeline.tiles_of_hour(hour);
            let mut state = None;
            if F::FROM_ROWS && children.len() > 1 {
                state = of_rows(rows_of(children));
            } else if children.len() > 1 || !Self::ONLY_CHILDREN_STAND {
                extend(fold, &mut state, levels.tiles(children));
            }
            levels.hours.push(state);
        }
        for day in 0..timeline.day_count() {
            let children = timeline.hours_of_day(day);
            let mut state = None;
            if F::FROM_ROWS && children.len() > 1 {
                let first = timeline.tiles_of_hour(children.start);
                let last = timeline.tiles_of_hour(children.end - 1);
                state = of_rows(rows_of(first.start..last.end));
            } else if children.len() > 1 || !Self::ONLY_CHILDREN_STAND {
                extend(fold, &mut state, levels.hours(timeline, children));
            }
            levels.days.push(state);
        }
        levels
    }

    fn tiles(&self, tiles: Range<usize>) -> impl Iterator<Item = Option<&S>> {
        self.tiles[tiles].iter().map(Option::as_ref)
    }

    fn hour(&self, timeline: &Timeline, hour: usize) -> Option<&S> {
        if Self::ONLY_CHILDREN_STAND {
            let tiles = timeline.tiles_of_hour(hour);
            if tiles.len() == 1 {
                return self.tiles[tiles.start].as_ref();
            }
        }
        self.hours[hour].as_ref()
    }

    fn hours(&self, timeline: &Timeline, hours: Range<usize>) -> impl Iterator<Item = Option<&S>> {
        hours.map(|hour| self.hour(timeline, hour))
    }

    fn days(&self, timeline: &Timeline, days: Range<usize>) -> impl Iterator<Item = Option<&S>> {
        days.map(|day| {
            if Self::ONLY_CHILDREN_STAND {
                let hours = timeline.hours_of_day(day);
                if hours.len() == 1 {
                    return self.hour(timeline, hours.start);
                }
            }
            self.days[day].as_ref()
        })
    }

    /// One window of every query, in order.
    fn answer<F: Fold<State = S>>(
        &self,
        fold: &F,
        timeline: &Timeline,
        window: usize,
        mut answer: impl FnMut(Option<&S>),
    ) {
        let mut kept = Kept {
            days: None,
            hours: None,
        };
        let mut shared = Shared::Nothing;
        for slot in 0..timeline.slot_count() {
            let pieces = timeline.pieces(window, slot);
            let next = timeline.shared_with_next(window, slot);
            let mut state = if shared == Shared::Hours {
                kept.hours.take()
            } else {
                let mut state = if shared == Shared::Days {
                    kept.days.take()
                } else {
                    self.up_to_days(fold, timeline, &pieces)
                };
                if days_are_shared(timeline, window, slot) {
                    kept.days.clone_from(&state);
                }
                extend(fold, &mut state, self.hours(timeline, pieces.last_hours));
                state
            };
            if next == Shared::Hours {
                kept.hours.clone_from(&state);
            }
            shared = next;
            extend(fold, &mut state, self.tiles(pieces.last_tiles));
            let mut row = timeline.head_row(slot);
            for query in timeline.queries_of_slot(slot) {
                let end = timeline.end_row(query);
                while row < end {
                    fold.update(&mut state, row);
                    row += 1;
                }
                answer(state.as_ref());
            }
        }
    }

    /// The fold of a window from its tail to the end of its whole days.
    fn up_to_days<F: Fold<State = S>>(
        &self,
        fold: &F,
        timeline: &Timeline,
        pieces: &Pieces,
    ) -> Option<S> {
        let mut state = None;
        extend(fold, &mut state, self.tiles(pieces.first_tiles.clone()));
        extend(
            fold,
            &mut state,
            self.hours(timeline, pieces.first_hours.clone()),
        );
        extend(fold, &mut state, self.days(timeline, pieces.days.clone()));
        state
    }
}

/// What a slot leaves for the slots after it.
struct Kept<S> {
    /// The fold up to the end of the whole days.
    days: Option<S>,
    /// The fold up to the end of the hours.
    hours: Option<S>,
}

/// Merges states in order.
#[inline]
fn extend<'a, F: Fold>(
    fold: &F,
    state: &mut Option<F::State>,
    states: impl Iterator<Item = Option<&'a F::State>>,
) where
    F::State: 'a,
{
    for child in states {
        merge_option(fold, state, child);
    }
}

/// Whether a later slot goes on from the end of this slot's days. Slots that only share hours in between go on from
/// there, so each slot is looked at once per chain.
fn days_are_shared(timeline: &Timeline, window: usize, slot: usize) -> bool {
    (slot..timeline.slot_count())
        .map(|slot| timeline.shared_with_next(window, slot))
        .find(|shared| *shared != Shared::Hours)
        == Some(Shared::Days)
}
