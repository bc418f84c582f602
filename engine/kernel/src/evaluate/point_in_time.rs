//! Features of events as of a time: `tail(q − W) ≤ ts < q`, for TEMPORAL and SNAPSHOT accuracy alike.
//!
//! SNAPSHOT asks at midnights with tails rounded to days; everything else is the same. Right rows with an absurd or
//! missing time must have been dropped before; the order of rows with equal times is their position's.

use std::ops::Range;

use unskewed_planner::aggregation::AggregatePart;
use unskewed_planner::schema::{Field, Schema};

use crate::aggregate::Windows;
use crate::aggregate::replay::{AsOf, Asked};
use crate::aggregate::row::RowAggregate;
use crate::aggregate::sawtooth::Sawtooth;
use crate::error::KernelError;
use crate::run::{Evaluated, Evaluator, Needs, Queries, Run};
use crate::window::Resolution;
use crate::window::timeline::Timeline;

/// The evaluator.
#[derive(Clone, Debug)]
pub struct PointInTime {
    aggregate: RowAggregate,
    resolution: Resolution,
}

impl PointInTime {
    /// Compiles parts over right rows with these columns.
    pub fn new(
        parts: &[AggregatePart],
        right: &Schema,
        resolution: Resolution,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            aggregate: RowAggregate::new(parts, right)?,
            resolution,
        })
    }
}

impl Evaluator for PointInTime {
    fn output(&self) -> &[Field] {
        self.aggregate.output()
    }

    fn needs(&self) -> Needs {
        self.aggregate.needs(self.resolution)
    }

    fn evaluate(&mut self, right: Run<'_>, queries: Queries<'_>) -> Result<Evaluated, KernelError> {
        let all = self.aggregate.windows();
        let timeline = Timeline::build(right, queries, all, self.resolution);
        let asked = Asked {
            run: right,
            queries,
            by: self.resolution,
        };
        let columns = self
            .aggregate
            .evaluate(right.columns, right.ts, |windows| AsOf {
                sawtooth: Sawtooth(Windows {
                    timeline: &timeline,
                    windows,
                }),
                asked,
                windows: windows.iter().map(|window| all[*window]).collect(),
            })?;
        Ok(Evaluated::one_each(queries, columns))
    }

    fn reach(&self, ts_millis: i64) -> Range<i64> {
        let windows = self.aggregate.windows().iter();
        let expiries = windows.map(|w| self.resolution.expiry_millis(*w, ts_millis));
        let from = ts_millis.saturating_add(1);
        from..expiries.max().unwrap_or(from).max(from)
    }

    fn looks_at(&self, query_millis: i64) -> Range<i64> {
        let windows = self.aggregate.windows().iter();
        let tails = windows.map(|w| self.resolution.tail_millis(*w, query_millis));
        tails.min().unwrap_or(query_millis)..query_millis
    }
}
