//! As-of and snapshots: the plan's evaluator, over arrangements.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray};
use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use unskewed_planner::physical::{AnswerRule, AsOf, EvaluatorPlan, Node, NodeId, Snapshots};
use unskewed_planner::time::Partition;

use super::evaluator::evaluator;
use super::{Shared, name_of};
use crate::arrange::{Arrangement, CHUNK_ROWS};
use crate::error::EngineError;
use crate::exchange::{Batch, Epoch};
use crate::operators::{self, Limits};

/// Answers to queries.
pub(super) fn as_of<'scope>(
    right: Arrangement<'scope, CHUNK_ROWS>,
    queries: Arrangement<'scope, CHUNK_ROWS>,
    shared: &Arc<Shared>,
    node: &Node,
    as_of: &AsOf,
) -> Result<Stream<'scope, Epoch, Batch>, EngineError> {
    let options = options(
        shared,
        node,
        as_of.right,
        &as_of.evaluator,
        &[],
        as_of.answer,
    )?;
    Ok(operators::as_of(right, queries, options))
}

/// Values of every key at each day's end: key columns, `ds`, the day's end, values.
pub(super) fn snapshots<'scope>(
    right: Arrangement<'scope, CHUNK_ROWS>,
    shared: &Arc<Shared>,
    node: &Node,
    snapshots: &Snapshots,
) -> Result<Stream<'scope, Epoch, Batch>, EngineError> {
    let Snapshots {
        right: id,
        evaluator,
        keys,
        answer,
        ..
    } = snapshots;
    let options = options(shared, node, *id, evaluator, keys, *answer)?;
    let times = snapshots.days.iter().map(Partition::end_millis).collect();
    let values = operators::snapshots(right, times, options);
    let key_count = keys.len();
    let name = format!("{} days", name_of(node));
    Ok(
        values.unary::<NoopBuilder<Batch>, _, _, _>(Pipeline, &name, move |_, _| {
            move |input, output| {
                input.for_each(|capability, batch| {
                    let mut batch = std::mem::take(batch);
                    let days: ArrayRef = Arc::new(days_before(&batch.ts));
                    let ends: ArrayRef = Arc::new(Int64Array::from(std::mem::take(&mut batch.ts)));
                    batch.columns.splice(key_count..key_count, [days, ends]);
                    // What tells the rows of a day apart is their key.
                    let key = std::mem::take(&mut batch.key);
                    batch.position = key.into_iter().map(|key| (key >> 64) as u64).collect();
                    output
                        .session_with_builder(&capability)
                        .give_container(&mut batch);
                });
            }
        }),
    )
}

/// The days that end at these midnights.
fn days_before(midnights: &[i64]) -> StringArray {
    let mut last = (i64::MIN, String::new());
    let mut days = arrow_array::builder::StringBuilder::new();
    for &midnight in midnights {
        if midnight != last.0 {
            last = (midnight, Partition::of_millis(midnight - 1).to_string());
        }
        days.append_value(&last.1);
    }
    days.finish()
}

fn options(
    shared: &Shared,
    node: &Node,
    right: NodeId,
    plan: &EvaluatorPlan,
    carries: &[usize],
    rule: AnswerRule,
) -> Result<operators::AsOf, EngineError> {
    let payload = shared.schema(right);
    Ok(operators::AsOf {
        name: name_of(node),
        evaluator: evaluator(plan, payload)?,
        payload: payload
            .fields
            .iter()
            .map(|f| f.data_type.to_arrow())
            .collect(),
        carries: carries.to_vec(),
        rule,
        limits: Limits::default(),
        failure: shared.failure.clone(),
        meter: Some(shared.meters.of(node.id.0)),
    })
}
