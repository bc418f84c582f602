//! Publish: rows as they are after an epoch, to whoever keeps the plan running.

use std::sync::Arc;

use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use unskewed_planner::physical::Node;

use super::{Shared, name_of};
use crate::exchange::{Batch, Epoch};

/// Hands on the rows that came; of those that went nothing is said.
pub(super) fn publish<'scope>(
    input: Stream<'scope, Epoch, Batch>,
    shared: &Arc<Shared>,
    node: &Node,
) -> Stream<'scope, Epoch, Batch> {
    let shared = Arc::clone(shared);
    let (label, meter) = (node.label.clone(), shared.meters.of(node.id.0));
    let schema = Arc::new(node.schema.to_arrow());
    input.unary::<NoopBuilder<Batch>, _, _, _>(Pipeline, &name_of(node), move |_, _| {
        move |input, _output| {
            input.for_each(|_, batch| {
                let batch = std::mem::take(batch);
                let came = (0..batch.len()).filter(|row| batch.diff.get(*row) > 0);
                let came: Vec<u32> = came.map(|row| row as u32).collect();
                let batch = if came.len() == batch.len() {
                    batch
                } else {
                    batch.take(came)
                };
                meter.count(batch.len(), batch.bytes());
                match batch.to_record_batch(&schema) {
                    Ok(rows) if rows.num_rows() > 0 => {
                        let mut left_behind = shared.left_behind();
                        let published = left_behind.published.entry(label.clone());
                        published.or_default().push(rows);
                    }
                    Ok(_) => {}
                    Err(error) => shared.failure.record(error),
                }
            });
        }
    })
}
