//! The reference's order of work, plainly: every hop, every copy, one question after the other. Only for tests.

use std::collections::BTreeMap;

use unskewed_planner::aggregation::{AggregatePart, Operation};
use unskewed_planner::schema::{DataType, Schema};
use unskewed_planner::time::{DAY_MILLIS, FIVE_MINUTES_MILLIS, HOUR_MILLIS};

use super::state::{Item, State};
use super::value::Value;
use super::{Answers, item};
use crate::run::{Queries, Run};
use crate::window::{Resolution, floor_to};

/// Whether a part is answered in the reference's order of work.
pub(super) fn shows_order(part: &AggregatePart, by: Resolution) -> bool {
    let by_days = by == Resolution::Daily;
    match part.operation {
        Operation::Sum if part.operand_type == DataType::Double => by_days,
        Operation::Average | Operation::Variance | Operation::ApproxUniqueCount => by_days,
        Operation::Skew | Operation::Kurtosis | Operation::ApproxPercentile => true,
        Operation::TopK | Operation::BottomK => {
            matches!(part.operand_type, DataType::Float | DataType::Double)
        }
        _ => depends_on_questions(part),
    }
}

/// Whether they also depend on the other questions.
fn depends_on_questions(part: &AggregatePart) -> bool {
    part.operation == Operation::ApproxHistogramK
        || part.operation == Operation::Histogram && part.arguments.k.unwrap_or(0) > 0
}

/// The twin of `aggregate/replay.rs`: parts of one base, which differ in the window only.
pub(super) fn answers(
    parts: &[&AggregatePart],
    right: &Schema,
    by: Resolution,
    run: Run<'_>,
    queries: Queries<'_>,
) -> Answers {
    let mut answers = vec![Vec::new(); parts.len()];
    for key in 0..run.key_count() {
        let mut items: Vec<Item> = run
            .rows(key)
            .map(|row| item(parts[0], right, run, row, run.ts[row]))
            .collect();
        items.sort_by_key(|item| run.positions[item.row]);
        let asked = &queries.ts[queries.of_key(key)];
        let states = match by {
            Resolution::Daily => at_midnights(parts, &items, asked),
            Resolution::FiveMinutes | Resolution::Collapsed => at_any_time(parts, &items, asked),
        };
        for states in states {
            for ((answers, part), state) in answers.iter_mut().zip(parts).zip(states) {
                answers.push(state.map_or(Value::Null, |state| state.finish(part)));
            }
        }
    }
    answers
}

/// The state of each part.
type States = Vec<Option<State>>;

fn at_midnights(parts: &[&AggregatePart], items: &[Item], asked: &[i64]) -> Vec<States> {
    let (Some(first), Some(last)) = (asked.first(), asked.last()) else {
        return Vec::new();
    };
    let mut work = Work::new(parts, items, &[DAY_MILLIS], Resolution::Daily);
    let mut states = BTreeMap::new();
    for midnight in (*first..=*last).step_by(DAY_MILLIS as usize) {
        states.insert(midnight, work.windows(midnight));
    }
    asked.iter().map(|time| states[time].clone()).collect()
}

fn at_any_time(parts: &[&AggregatePart], items: &[Item], asked: &[i64]) -> Vec<States> {
    let sizes = [DAY_MILLIS, HOUR_MILLIS, FIVE_MINUTES_MILLIS];
    let mut work = Work::new(parts, items, &sizes, Resolution::FiveMinutes);
    let mut heads = BTreeMap::new();
    for time in asked {
        let head = floor_to(*time, FIVE_MINUTES_MILLIS);
        heads.entry(head).or_insert_with(|| work.windows(head));
    }
    for state in heads.values_mut().flatten() {
        *state = state.as_ref().map(State::shipped);
    }
    // What the last question of the slot left, and when it was asked.
    let mut left: Option<(i64, i64, States)> = None;
    let mut answers = Vec::new();
    for time in asked {
        let head = floor_to(*time, FIVE_MINUTES_MILLIS);
        let goes_on = depends_on_questions(parts[0]);
        let (from, mut states) = match left.take() {
            Some((slot, from, states)) if slot == head && goes_on => (from, states),
            _ => (head, heads[&head].clone()),
        };
        let bin: Vec<&Item> = items
            .iter()
            .filter(|item| from <= item.time && item.time < *time)
            .collect();
        if !bin.is_empty() {
            let added = folded(parts[0], bin);
            for state in &mut states {
                let copy = state.as_ref().map(State::copied);
                *state = State::merged(parts[0], copy, added.clone());
            }
        }
        left = Some((head, *time, states.clone()));
        answers.push(states);
    }
    answers
}

fn folded(part: &AggregatePart, items: Vec<&Item>) -> Option<State> {
    let add = |state, item: &Item| State::updated(part, state, item);
    items.into_iter().fold(None, add)
}

/// The work on one key.
struct Work<'a> {
    parts: &'a [&'a AggregatePart],
    sizes: &'a [i64],
    by: Resolution,
    /// Per size the hops that have rows, by their starts.
    hops: Vec<Vec<(i64, Option<State>)>>,
    /// Per size and part what was merged last: from the hop at this place to before that one.
    last: BTreeMap<(usize, usize), (usize, usize, Option<State>)>,
}

impl<'a> Work<'a> {
    fn new(
        parts: &'a [&'a AggregatePart],
        items: &[Item],
        sizes: &'a [i64],
        by: Resolution,
    ) -> Self {
        let hops = sizes.iter().map(|size| {
            let mut hops: BTreeMap<i64, Vec<&Item>> = BTreeMap::new();
            for item in items {
                let start = floor_to(item.time, *size);
                hops.entry(start).or_default().push(item);
            }
            let hop = |(start, items)| {
                let state = folded(parts[0], items);
                (start, state.as_ref().map(State::shipped))
            };
            hops.into_iter().map(hop).collect()
        });
        Self {
            parts,
            sizes,
            by,
            hops: hops.collect(),
            last: BTreeMap::new(),
        }
    }

    /// The states of all parts at a time, one after the other.
    fn windows(&mut self, end: i64) -> States {
        let mut states = Vec::new();
        for (place, part) in self.parts.iter().enumerate() {
            let hop = self.by.tail_hop_millis(part.window);
            let mut from = self.by.tail_millis(part.window, end);
            let mut state = None;
            for size in 0..self.sizes.len() {
                if self.sizes[size] > hop {
                    continue;
                }
                let to = floor_to(end, self.sizes[size]);
                let more = self.merged(size, place, from, to);
                state = State::merged(part, state, more);
                from = to;
            }
            states.push(state);
        }
        states
    }

    fn merged(&mut self, size: usize, place: usize, from: i64, to: i64) -> Option<State> {
        let hops = &self.hops[size];
        let last = self.last.get(&(size, place));
        let first = (last.map_or(0, |last| last.0)..hops.len())
            .find(|hop| hops[*hop].0 >= from)
            .unwrap_or(hops.len().max(last.map_or(0, |last| last.0)));
        let (mut end, mut state) = match last {
            Some((begin, end, state)) if *begin == first => {
                (*end, state.as_ref().map(State::copied))
            }
            _ => (first, None),
        };
        while end < hops.len() && hops[end].0 < to {
            state = State::merged(self.parts[place], state, hops[end].1.clone());
            end += 1;
        }
        if last.is_none_or(|last| (last.0, last.1) != (first, end)) {
            self.last.insert((size, place), (first, end, state.clone()));
        }
        state
    }
}
