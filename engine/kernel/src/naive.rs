//! The slow twins: every evaluator stated plainly, one window at a time, over plain values.
//!
//! Each answer rescans all rows of its key. [`point_in_time`] says the canonical fold of decision D8 in a dozen lines:
//! a row belongs to the largest of day, hour and five minutes that lies wholly inside `[tail, head)`; the fold merges
//! those in order of time and then adds the rows of the head. Only for tests; shares no code with the fast path but
//! the sketches.

pub mod generate;
mod java;
mod replay;
pub mod state;
pub mod value;

use std::collections::BTreeMap;

use unskewed_planner::aggregation::{AggregatePart, Operation};
use unskewed_planner::schema::Schema;
use unskewed_planner::time::{DAY_MILLIS, FIVE_MINUTES_MILLIS, HOUR_MILLIS};

use crate::evaluate::mutated_snapshot::MutationColumns;
use crate::run::{Queries, Run};
use crate::window::{Resolution, floor_to};
use state::{Item, State};
use value::Value;

/// Per part the answers to all queries.
pub type Answers = Vec<Vec<Value>>;

/// What a part reads of one row.
fn item(part: &AggregatePart, right: &Schema, run: Run<'_>, row: usize, time: i64) -> Item {
    let read = |column: &str| {
        let index = right
            .index_of(column)
            .expect("parts name columns of the run");
        Value::read(&run.columns[index], row)
    };
    Item {
        time,
        row,
        value: read(&part.input),
        bucket: part.bucket.as_deref().map(read),
    }
}

/// Every query of every key by a function of the key's rows and the query's time.
fn answers(
    parts: &[AggregatePart],
    run: Run<'_>,
    queries: Queries<'_>,
    answer: impl Fn(&AggregatePart, std::ops::Range<usize>, i64) -> Option<State>,
) -> Answers {
    let of_part = |part: &AggregatePart| {
        let mut column = Vec::new();
        for key in 0..run.key_count() {
            for query in queries.of_key(key) {
                let state = answer(part, run.rows(key), queries.ts[query]);
                column.push(state.map_or(Value::Null, |state| state.finish(part)));
            }
        }
        column
    };
    parts.iter().map(of_part).collect()
}

/// The twin of [`crate::evaluate::point_in_time::PointInTime`].
pub fn point_in_time(
    parts: &[AggregatePart],
    right: &Schema,
    by: Resolution,
    run: Run<'_>,
    queries: Queries<'_>,
) -> Answers {
    let mut columns = canonical(parts, right, by, run, queries);
    let is_sibling = |a: &AggregatePart, b: &AggregatePart| {
        a.base() == b.base() && a.arguments == b.arguments && replay::shows_order(a, by)
    };
    for (place, part) in parts.iter().enumerate() {
        // The windows of one base are worked on together, each once, when the first of them comes up.
        let siblings = parts.iter().filter(|other| is_sibling(part, other));
        let mut windows: Vec<&AggregatePart> = Vec::new();
        for sibling in siblings {
            if !windows.iter().any(|known| known.window == sibling.window) {
                windows.push(sibling);
            }
        }
        if !parts[..place].iter().any(|other| is_sibling(part, other)) && !windows.is_empty() {
            let replayed = replay::answers(&windows, right, by, run, queries);
            for (other, column) in parts.iter().zip(&mut columns) {
                let window = windows.iter().position(|w| w.window == other.window);
                if let (true, Some(window)) = (is_sibling(part, other), window) {
                    column.clone_from(&replayed[window]);
                }
            }
        }
    }
    columns
}

/// The canonical fold, for all parts.
fn canonical(
    parts: &[AggregatePart],
    right: &Schema,
    by: Resolution,
    run: Run<'_>,
    queries: Queries<'_>,
) -> Answers {
    answers(parts, run, queries, |part, rows, query| {
        if replay::shows_order(part, by) {
            return None;
        }
        let tail = by.tail_millis(part.window, query);
        let head = floor_to(query, FIVE_MINUTES_MILLIS);
        let inside = rows.filter(|row| tail <= run.ts[*row] && run.ts[*row] < query);
        // Start and length of the largest whole unit that a row lies in.
        let unit = |ts: i64| {
            [DAY_MILLIS, HOUR_MILLIS]
                .into_iter()
                .map(|length| (floor_to(ts, length), length))
                .find(|(start, length)| tail <= *start && start + length <= head)
                .unwrap_or((floor_to(ts, FIVE_MINUTES_MILLIS), FIVE_MINUTES_MILLIS))
        };
        let mut units: BTreeMap<(i64, i64), Vec<Item>> = BTreeMap::new();
        let mut head_items = Vec::new();
        for row in inside {
            let ts = run.ts[row];
            let item = item(part, right, run, row, ts);
            if ts < head {
                units.entry(unit(ts)).or_default().push(item);
            } else {
                head_items.push(item);
            }
        }
        let mut state = None;
        for ((_, length), items) in &units {
            state = State::merged(part, state, unit_state(part, items, *length));
        }
        for item in &head_items {
            state = State::updated(part, state, item);
        }
        state
    })
}

/// The state of a unit: five minutes fold their rows, hours their five minutes, days their hours; but where merging
/// costs accuracy all units fold their rows.
fn unit_state(part: &AggregatePart, items: &[Item], length: i64) -> Option<State> {
    use Operation::{ApproxUniqueCount, Variance};
    let from_rows = matches!(part.operation, Variance | ApproxUniqueCount);
    let child = match length {
        DAY_MILLIS if !from_rows => HOUR_MILLIS,
        HOUR_MILLIS if !from_rows => FIVE_MINUTES_MILLIS,
        _ => {
            return items
                .iter()
                .fold(None, |state, item| State::updated(part, state, item));
        }
    };
    let mut children: BTreeMap<i64, Vec<Item>> = BTreeMap::new();
    for item in items {
        let start = floor_to(item.time, child);
        children.entry(start).or_default().push(item.clone());
    }
    children.values().fold(None, |state, items| {
        State::merged(part, state, unit_state(part, items, child))
    })
}

/// The rows' own times, where the column is given.
fn own_time(right: &Schema, run: Run<'_>, column: &str, row: usize) -> Option<i64> {
    let index = right
        .index_of(column)
        .expect("the time column is in the run");
    match Value::read(&run.columns[index], row) {
        Value::Whole(time) => Some(time),
        _ => None,
    }
}

/// The twin of [`crate::evaluate::snapshot_rows::SnapshotRows`].
pub fn snapshot_rows(
    parts: &[AggregatePart],
    right: &Schema,
    time_column: Option<&str>,
    run: Run<'_>,
    queries: Queries<'_>,
) -> Answers {
    let windowed = parts.iter().any(|part| part.window.millis().is_some());
    let timed = parts.iter().any(AggregatePart::is_timed);
    answers(parts, run, queries, |part, rows, query| {
        let mut state = None;
        for row in rows.filter(|row| run.ts[*row] == query) {
            let time = time_column.and_then(|column| own_time(right, run, column, row));
            let inside = match time {
                Some(time) if windowed => {
                    let length = part.window.millis();
                    time < query && length.is_none_or(|length| query - length <= time)
                }
                Some(_) => true,
                None => !windowed && !timed,
            };
            if inside {
                let item = item(part, right, run, row, time.unwrap_or(0));
                state = State::updated(part, state, &item);
            }
        }
        state.as_ref().map(State::shipped)
    })
}

/// The twin of [`crate::evaluate::mutated_snapshot::MutatedSnapshot`].
pub fn mutated_snapshot(
    parts: &[AggregatePart],
    right: &Schema,
    columns: MutationColumns<'_>,
    run: Run<'_>,
    queries: Queries<'_>,
) -> Answers {
    let midnight_of = |query| floor_to(query, DAY_MILLIS);
    mutated_since(parts, right, columns, midnight_of, run, queries)
}

/// The twin of [`crate::evaluate::after_batch::AfterBatch`] over entities: the snapshot at the batch's end and all
/// mutations since.
pub fn after_batch(
    parts: &[AggregatePart],
    right: &Schema,
    columns: MutationColumns<'_>,
    end_millis: i64,
    run: Run<'_>,
    queries: Queries<'_>,
) -> Answers {
    mutated_since(parts, right, columns, |_| end_millis, run, queries)
}

fn mutated_since(
    parts: &[AggregatePart],
    right: &Schema,
    columns: MutationColumns<'_>,
    midnight_of: impl Fn(i64) -> i64,
    run: Run<'_>,
    queries: Queries<'_>,
) -> Answers {
    let read = |column: &str, row: usize| {
        let index = right.index_of(column).expect("the column is in the run");
        Value::read(&run.columns[index], row)
    };
    answers(parts, run, queries, |part, rows, query| {
        let midnight = midnight_of(query);
        let tail = Resolution::FiveMinutes.tail_millis(part.window, query);
        let mut state = None;
        for mutations in [false, true] {
            for row in rows.clone() {
                let is_mutation = read(columns.tag, row) == Value::Boolean(true);
                let Some(time) = own_time(right, run, columns.own_time, row) else {
                    continue;
                };
                let (relevant, before) = if mutations {
                    (midnight <= run.ts[row] && run.ts[row] < query, query)
                } else {
                    (run.ts[row] == midnight, midnight)
                };
                if is_mutation != mutations || !relevant || time < tail || time >= before {
                    continue;
                }
                let item = item(part, right, run, row, time);
                state = if mutations && read(columns.reversal, row) == Value::Boolean(true) {
                    State::deleted(part, state, &item)
                } else {
                    State::updated(part, state, &item)
                };
            }
        }
        state
    })
}
