//! From a plan's evaluator to the kernel's function.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, Int32Array};
use unskewed_kernel::error::KernelError;
use unskewed_kernel::evaluate::batch_states::BatchStates;
use unskewed_kernel::evaluate::day_states::DayStates;
use unskewed_kernel::evaluate::lookup::Lookup;
use unskewed_kernel::evaluate::mutated_snapshot::{MutatedSnapshot, MutationColumns};
use unskewed_kernel::evaluate::point_in_time::PointInTime;
use unskewed_kernel::evaluate::snapshot_rows::SnapshotRows;
use unskewed_kernel::evaluate::stream_rows::StreamRows;
use unskewed_kernel::evaluate::stream_tiles::StreamTiles;
use unskewed_kernel::run::{Evaluated, Evaluator, Needs, Queries, Run};
use unskewed_kernel::window;
use unskewed_planner::physical::{EvaluatorPlan, Resolution};
use unskewed_planner::schema::{DataType, Field, Schema};

use crate::error::EngineError;

/// The kernel's function for a plan's evaluator, over rows of this payload.
pub(super) fn evaluator(
    plan: &EvaluatorPlan,
    payload: &Schema,
) -> Result<Box<dyn Evaluator>, EngineError> {
    let name = |column: usize| payload.fields[column].name.as_str();
    Ok(match plan {
        EvaluatorPlan::PointInTime { parts, resolution } => {
            let resolution = match resolution {
                Resolution::FiveMinutes => window::Resolution::FiveMinutes,
                Resolution::Daily => window::Resolution::Daily,
            };
            Box::new(PointInTime::new(parts, payload, resolution)?)
        }
        EvaluatorPlan::Lookup { columns, matches } => {
            let values: Vec<Field> = columns.iter().map(|c| payload.fields[*c].clone()).collect();
            let lookup = Lookup::new(&values, payload)?;
            Box::new(lookup.matching(*matches))
        }
        EvaluatorPlan::SnapshotRows { parts, time } => {
            Box::new(SnapshotRows::new(parts, payload, time.map(name))?)
        }
        EvaluatorPlan::MutatedSnapshot {
            parts,
            is_mutation,
            is_before,
            time,
        } => {
            let columns = MutationColumns {
                tag: name(*is_mutation),
                own_time: name(*time),
                reversal: name(*is_before),
            };
            let mut tagged = payload.clone();
            tagged.fields[*is_mutation].data_type = DataType::Int;
            let inner = MutatedSnapshot::new(parts, &tagged, columns)?;
            Box::new(Tagged {
                inner,
                tag: *is_mutation,
            })
        }
        EvaluatorPlan::DayStates { parts } => Box::new(DayStates::new(parts, payload)?),
        EvaluatorPlan::StreamTiles { parts, bases } => {
            Box::new(StreamTiles::new(parts, bases, payload)?)
        }
        EvaluatorPlan::StreamRows {
            datum,
            schema,
            since_millis,
        } => Box::new(StreamRows::new(*datum, *schema, *since_millis)),
        EvaluatorPlan::BatchStates { parts, bases, time } => {
            Box::new(BatchStates::new(parts, bases, payload, time.map(name))?)
        }
    })
}

/// A mutated snapshot whose rows say with a boolean what the kernel takes as 0 and 1.
struct Tagged {
    inner: MutatedSnapshot,
    tag: usize,
}

impl Evaluator for Tagged {
    fn output(&self) -> &[Field] {
        self.inner.output()
    }

    fn needs(&self) -> Needs {
        self.inner.needs()
    }

    fn evaluate(&mut self, right: Run<'_>, queries: Queries<'_>) -> Result<Evaluated, KernelError> {
        let mut columns: Vec<ArrayRef> = right.columns.to_vec();
        if let Some(truths) = columns[self.tag].as_boolean_opt() {
            let tags: Int32Array = truths.iter().map(|truth| truth.map(i32::from)).collect();
            columns[self.tag] = Arc::new(tags);
        }
        self.inner.evaluate(
            Run {
                columns: &columns,
                ..right
            },
            queries,
        )
    }

    fn reach(&self, ts_millis: i64) -> Range<i64> {
        self.inner.reach(ts_millis)
    }

    fn looks_at(&self, query_millis: i64) -> Range<i64> {
        self.inner.looks_at(query_millis)
    }
}
