//! Encode: columns packed into datums, batch by batch, where the rows are.

use std::sync::Arc;

use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use unskewed_planner::physical::{Encode, Node};

use super::{Shared, name_of};
use crate::exchange::{Batch, Epoch};
use crate::stages::encode::Encoder;

/// The rows that have all datums, as those.
pub(super) fn encode<'scope>(
    input: Stream<'scope, Epoch, Batch>,
    shared: &Arc<Shared>,
    node: &Node,
    encode: &Encode,
) -> Stream<'scope, Epoch, Batch> {
    let shared = Arc::clone(shared);
    let mut encoder = Encoder::new(&node.label, encode);
    let meter = shared.meters.of(node.id.0);
    input.unary_frontier::<NoopBuilder<Batch>, _, _, _>(Pipeline, &name_of(node), |_, _| {
        move |(input, frontier), output| {
            input.for_each(|capability, batch| {
                for (epoch, batch) in std::mem::take(batch).by_epoch() {
                    match meter.time(|| encoder.apply(batch.into_changes())) {
                        Err(error) => shared.failure.record(error),
                        Ok(changes) if changes.is_empty() => {}
                        Ok(changes) => {
                            let mut batch = Batch::from_changes(epoch, changes);
                            meter.count(batch.len(), batch.bytes());
                            let mut session = output.session_with_builder(&capability);
                            session.give_container(&mut batch);
                        }
                    }
                }
            });
            if shared.keeps_running || frontier.is_empty() {
                shared.report(&encoder.take_bad_rows());
            }
        }
    })
}
