//! Aggregated entity snapshots: a query at midnight sees the rows of the partition that ends there.
//!
//! A window is exact, `q − W ≤ own time < q`, with no rounding, and hours are allowed. Where the group-by has no
//! window at all every row of the partition counts, whatever its own time. Rows without an own time are left out as
//! soon as time matters: where there is a window, or for FIRST, LAST and their kin.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, Int64Array};
use unskewed_planner::aggregation::AggregatePart;
use unskewed_planner::schema::{Field, Schema};
use unskewed_planner::time::Window;

use super::lookup::rows_at;
use crate::aggregate::row::RowAggregate;
use crate::aggregate::script::{Perform, Script};
use crate::error::KernelError;
use crate::run::{Evaluated, Evaluator, Queries, Run};

/// The evaluator.
#[derive(Clone, Debug)]
pub struct SnapshotRows {
    aggregate: RowAggregate,
    time: Option<usize>,
    windowed: bool,
    timed: bool,
}

impl SnapshotRows {
    /// Compiles parts over right rows with these columns; `time_column` names the rows' own time (milliseconds,
    /// `long`), which must be given when a part has a window or depends on time.
    pub fn new(
        parts: &[AggregatePart],
        right: &Schema,
        time_column: Option<&str>,
    ) -> Result<Self, KernelError> {
        let windowed = parts.iter().any(|part| part.window != Window::Unbounded);
        let timed = parts.iter().any(AggregatePart::is_timed);
        let time = match time_column {
            Some(column) if windowed || timed => Some(own_time(right, column)?),
            None if windowed || timed => {
                return Err(KernelError::MissingColumn {
                    column: "ts".into(),
                });
            }
            _ => None,
        };
        Ok(Self {
            aggregate: RowAggregate::new(parts, right)?,
            time,
            windowed,
            timed,
        })
    }

    /// Whether a row counts in a window of a query.
    fn counts(&self, times: &Times<'_>, row: usize, window: Window, query_millis: i64) -> bool {
        if self.windowed {
            let tail = window
                .millis()
                .map_or(i64::MIN, |length| query_millis.saturating_sub(length));
            times
                .of(row)
                .is_some_and(|time| tail <= time && time < query_millis)
        } else {
            !self.timed || times.of(row).is_some()
        }
    }
}

impl Evaluator for SnapshotRows {
    fn output(&self) -> &[Field] {
        self.aggregate.output()
    }

    fn evaluate(&mut self, right: Run<'_>, queries: Queries<'_>) -> Result<Evaluated, KernelError> {
        let times = Times::new(right, self.time);
        let script = |window: &Window| {
            let mut script = Script::default();
            for key in 0..right.key_count() {
                for query in queries.of_key(key) {
                    script.begin(true);
                    let query_millis = queries.ts[query];
                    for row in rows_at(right, key, query_millis) {
                        if self.counts(&times, row, *window, query_millis) {
                            script.step(row, false);
                        }
                    }
                }
            }
            script
        };
        let scripts: Vec<Script> = self.aggregate.windows().iter().map(script).collect();
        let columns = self
            .aggregate
            .evaluate(right.columns, times.values, |windows| Perform {
                scripts: windows.iter().map(|w| &scripts[*w]).collect(),
                shipped: true,
            })?;
        Ok(Evaluated::one_each(queries, columns))
    }

    fn reach(&self, ts_millis: i64) -> Range<i64> {
        ts_millis..ts_millis.saturating_add(1)
    }

    fn looks_at(&self, query_millis: i64) -> Range<i64> {
        query_millis..query_millis.saturating_add(1)
    }
}

/// The rows' own times.
pub(crate) struct Times<'a> {
    /// Per row; where there is no time column, the sort time.
    pub(crate) values: &'a [i64],
    column: Option<&'a Int64Array>,
}

impl<'a> Times<'a> {
    pub(crate) fn new(run: Run<'a>, column: Option<usize>) -> Self {
        let column = column.map(|column| run.columns[column].as_primitive::<Int64Type>());
        Self {
            values: column.map_or(run.ts, |column| column.values()),
            column,
        }
    }

    /// The own time of a row.
    pub(crate) fn of(&self, row: usize) -> Option<i64> {
        let present = self.column.is_none_or(|column| column.is_valid(row));
        present.then(|| self.values[row])
    }
}

/// Position of a `long` time column.
pub(crate) fn own_time(right: &Schema, column: &str) -> Result<usize, KernelError> {
    let missing = || KernelError::MissingColumn {
        column: column.into(),
    };
    let position = right.index_of(column).ok_or_else(missing)?;
    let data_type = &right.fields[position].data_type;
    if *data_type == unskewed_planner::schema::DataType::Long {
        return Ok(position);
    }
    Err(KernelError::Type {
        operation: "the row's time".into(),
        column: column.into(),
        data_type: data_type.to_string(),
    })
}
