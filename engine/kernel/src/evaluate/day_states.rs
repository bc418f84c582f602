//! The unfinished states of each day: what the daily incremental table of a group-by holds.
//!
//! A query at midnight gets, per part, the state of the rows of the day that ends there, in the part's state type and
//! under its name without the window; windows do not matter. States are folded as windows fold a day.

use std::ops::Range;

use unskewed_planner::aggregation::AggregatePart;
use unskewed_planner::schema::{Field, Schema};
use unskewed_planner::time::{DAY_MILLIS, Window};

use crate::aggregate::Windows;
use crate::aggregate::replay::{Asked, StoredStates};
use crate::aggregate::row::RowAggregate;
use crate::aggregate::sawtooth::SawtoothStates;
use crate::error::KernelError;
use crate::run::{Evaluated, Evaluator, Needs, Queries, Run};
use crate::window::Resolution;
use crate::window::timeline::Timeline;

/// The evaluator.
#[derive(Clone, Debug)]
pub struct DayStates {
    aggregate: RowAggregate,
    output: Vec<Field>,
}

impl DayStates {
    /// Compiles parts over right rows with these columns.
    pub fn new(parts: &[AggregatePart], right: &Schema) -> Result<Self, KernelError> {
        let daily = |part: &AggregatePart| AggregatePart {
            window: Window::Days(1),
            ..part.clone()
        };
        let parts: Vec<AggregatePart> = parts.iter().map(daily).collect();
        let output = parts
            .iter()
            .map(|part| Field::new(&part.incremental_name, part.state_type.clone()))
            .collect();
        Ok(Self {
            aggregate: RowAggregate::for_states(&parts, right)?,
            output,
        })
    }
}

impl Evaluator for DayStates {
    fn output(&self) -> &[Field] {
        &self.output
    }

    fn needs(&self) -> Needs {
        self.aggregate.needs(Resolution::Daily)
    }

    fn evaluate(&mut self, right: Run<'_>, queries: Queries<'_>) -> Result<Evaluated, KernelError> {
        let windows = self.aggregate.windows();
        let timeline = Timeline::build(right, queries, windows, Resolution::Daily);
        let columns = self
            .aggregate
            .evaluate_states(right.columns, right.ts, |chosen| StoredStates {
                sawtooth: SawtoothStates(Windows {
                    timeline: &timeline,
                    windows: chosen,
                }),
                asked: Asked {
                    run: right,
                    queries,
                    by: Resolution::Daily,
                },
                windows: chosen.iter().map(|window| windows[*window]).collect(),
            })?;
        Ok(Evaluated::one_each(queries, columns))
    }

    /// The midnight that ends the row's day.
    fn reach(&self, ts_millis: i64) -> Range<i64> {
        let expiry = Resolution::Daily.expiry_millis(Window::Days(1), ts_millis);
        ts_millis.saturating_add(1)..expiry
    }

    /// The day before the query.
    fn looks_at(&self, query_millis: i64) -> Range<i64> {
        query_millis.saturating_sub(DAY_MILLIS)..query_millis
    }
}
