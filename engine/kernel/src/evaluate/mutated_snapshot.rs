//! TEMPORAL entities: the snapshot at the last midnight, brought up to the query by the day's mutations.
//!
//! **Right rows** come as one run of two kinds, told apart by the `tag` column ([`MutationColumns`]):
//! | tag | row | `ts` of the run | `reversal` |
//! |---|---|---|---|
//! | false | a row of the snapshot partition that ends at midnight B | B (end of the partition) | null or false |
//! | true | a row of the mutation partition of the day that begins at B | the mutation's time | true for a before image |
//!
//! Both carry the row's `own_time` (`long`, milliseconds; may be null) and the payload. Equal `ts` are in the order of
//! position. A mutation whose time lies outside the day of its partition must not be handed in.
//!
//! **A query** at `q` of the day that begins at B sees, for a window W and `tail = floor(q − W, hop(W))`:
//! first the snapshot rows at B with `tail ≤ own time < B`, then, in order, the mutations with `B ≤ ts < q` and
//! `tail ≤ own time < q`, before images taken back where the operation can. This is the point-in-time rule applied to
//! the entity's rows; unlike the reference's it does not depend on which other queries were asked that day
//! (a deviation of decision D13). Rows without an own time are left out.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{Array, BooleanArray};
use arrow_schema::DataType as ArrowType;
use unskewed_planner::aggregation::AggregatePart;
use unskewed_planner::schema::{DataType, Field, Schema};
use unskewed_planner::time::{DAY_MILLIS, Window};

use super::lookup::rows_at;
use super::snapshot_rows::{Times, own_time};
use crate::aggregate::row::RowAggregate;
use crate::aggregate::script::{Perform, Script};
use crate::error::KernelError;
use crate::run::{Evaluated, Evaluator, Queries, Run};
use crate::window::{Resolution, floor_to};

/// Names of the columns that make a mutated snapshot.
#[derive(Clone, Copy, Debug)]
pub struct MutationColumns<'a> {
    /// `boolean`, or `int` 0 and 1: whether the row is a mutation.
    pub tag: &'a str,
    /// `long`: the row's own time in milliseconds.
    pub own_time: &'a str,
    /// `boolean`: whether a mutation is a before image.
    pub reversal: &'a str,
}

/// The evaluator.
#[derive(Clone, Debug)]
pub struct MutatedSnapshot {
    aggregate: RowAggregate,
    tag: usize,
    time: usize,
    reversal: usize,
}

impl MutatedSnapshot {
    /// Compiles parts over right rows with these columns.
    pub fn new(
        parts: &[AggregatePart],
        right: &Schema,
        columns: MutationColumns<'_>,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            aggregate: RowAggregate::new(parts, right)?,
            tag: column_of(right, columns.tag, &[DataType::Boolean, DataType::Int])?,
            time: own_time(right, columns.own_time)?,
            reversal: column_of(right, columns.reversal, &[DataType::Boolean])?,
        })
    }
}

fn column_of(right: &Schema, name: &str, expected: &[DataType]) -> Result<usize, KernelError> {
    let position = right
        .index_of(name)
        .ok_or_else(|| KernelError::MissingColumn {
            column: name.into(),
        })?;
    let found = &right.fields[position].data_type;
    if expected.contains(found) {
        return Ok(position);
    }
    Err(KernelError::Type {
        operation: "a mutated snapshot".into(),
        column: name.into(),
        data_type: found.to_string(),
    })
}

impl Evaluator for MutatedSnapshot {
    fn output(&self) -> &[Field] {
        self.aggregate.output()
    }

    fn evaluate(&mut self, right: Run<'_>, queries: Queries<'_>) -> Result<Evaluated, KernelError> {
        let tag = arrow_cast::cast(&right.columns[self.tag], &ArrowType::Boolean)?;
        let rows = Rows {
            run: right,
            tag: tag.as_boolean(),
            times: Times::new(right, Some(self.time)),
            reversal: right.columns[self.reversal].as_boolean(),
        };
        let windows = self.aggregate.windows().iter();
        let scripts: Vec<Script> = windows.map(|w| rows.script(queries, *w)).collect();
        let times = rows.times.values;
        let columns = self
            .aggregate
            .evaluate(right.columns, times, |windows| Perform {
                scripts: windows.iter().map(|w| &scripts[*w]).collect(),
                shipped: false,
            })?;
        Ok(Evaluated::one_each(queries, columns))
    }

    /// From the row itself to the end of its day.
    fn reach(&self, ts_millis: i64) -> Range<i64> {
        ts_millis..floor_to(ts_millis, DAY_MILLIS).saturating_add(DAY_MILLIS)
    }

    /// The snapshot at the query's midnight and the mutations from there to the query.
    fn looks_at(&self, query_millis: i64) -> Range<i64> {
        let midnight = floor_to(query_millis, DAY_MILLIS);
        midnight..query_millis.max(midnight.saturating_add(1))
    }
}

/// The right rows of a call.
struct Rows<'a> {
    run: Run<'a>,
    tag: &'a BooleanArray,
    times: Times<'a>,
    reversal: &'a BooleanArray,
}

/// Where the script of a key stands after a query.
struct Progress {
    midnight: i64,
    tail: i64,
    /// First row that was not looked at yet.
    next_row: usize,
    /// Whether a mutation was left out because its own time is not before the query: a later query may see it, but
    /// in its place in the order, so the fold must start anew.
    deferred: bool,
}

impl Rows<'_> {
    /// The steps of one window.
    fn script(&self, queries: Queries<'_>, window: Window) -> Script {
        let mut script = Script::default();
        for key in 0..self.run.key_count() {
            let mut progress: Option<Progress> = None;
            for query in queries.of_key(key) {
                let query_millis = queries.ts[query];
                let midnight = floor_to(query_millis, DAY_MILLIS);
                let tail = Resolution::FiveMinutes.tail_millis(window, query_millis);
                let current = match progress.take() {
                    Some(p) if p.midnight == midnight && p.tail == tail && !p.deferred => {
                        script.begin(false);
                        p
                    }
                    _ => {
                        script.begin(true);
                        self.snapshot(key, midnight, tail, &mut script)
                    }
                };
                progress = Some(self.mutations(key, query_millis, current, &mut script));
            }
        }
        script
    }

    /// Adds the snapshot rows of a midnight.
    fn snapshot(&self, key: usize, midnight: i64, tail: i64, script: &mut Script) -> Progress {
        let rows = rows_at(self.run, key, midnight);
        for row in rows.clone() {
            let time = self.times.of(row);
            let inside = time.is_some_and(|time| tail <= time && time < midnight);
            if inside && !self.is_mutation(row) {
                script.step(row, false);
            }
        }
        Progress {
            midnight,
            tail,
            next_row: rows.start,
            deferred: false,
        }
    }

    /// Adds the mutations up to a query.
    fn mutations(
        &self,
        key: usize,
        query_millis: i64,
        mut progress: Progress,
        script: &mut Script,
    ) -> Progress {
        let end = self.run.rows(key).end;
        while progress.next_row < end && self.run.ts[progress.next_row] < query_millis {
            let row = progress.next_row;
            progress.next_row += 1;
            let Some(time) = self.times.of(row).filter(|_| self.is_mutation(row)) else {
                continue;
            };
            if time >= query_millis {
                progress.deferred = true;
            } else if progress.tail <= time {
                let take_back = self.reversal.is_valid(row) && self.reversal.value(row);
                script.step(row, take_back);
            }
        }
        progress
    }

    fn is_mutation(&self, row: usize) -> bool {
        self.tag.is_valid(row) && self.tag.value(row)
    }
}
