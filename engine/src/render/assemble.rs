//! Assemble and attach: left rows stay where they are, and answers come to them by position.

use std::collections::BTreeMap;
use std::sync::Arc;

use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::{DistributorPact, Pipeline};
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{InputHandleCore, OutputBuilder};
use timely::dataflow::operators::{Capability, InputCapability};
use timely::progress::frontier::MutableAntichain;
use unskewed_planner::expr::Expr;
use unskewed_planner::physical::{Node, NodeId};
use unskewed_planner::schema::Schema;

use super::{Shared, name_of};
use crate::error::EngineError;
use crate::exchange::{Batch, Distribute, Epoch, Route};
use crate::stages::assemble::Assembler;

/// What came in an epoch that is not complete yet.
struct Open {
    capability: Capability<Epoch>,
    /// Each with the input it came by; the left is the first.
    batches: Vec<(usize, Batch)>,
}

/// How left rows and answers are joined.
pub(super) struct Join<'a> {
    /// The left.
    pub(super) left: NodeId,
    /// Where answers come from.
    pub(super) parts: &'a [NodeId],
    /// The columns computed of both.
    pub(super) columns: &'a [Expr],
    /// Whether a left row without an answer of each part is left out.
    pub(super) inner: bool,
}

/// Left rows with the answers of parts.
pub(super) fn assemble<'scope>(
    join: &Join<'_>,
    left: Stream<'scope, Epoch, Batch>,
    answers: Vec<Stream<'scope, Epoch, Batch>>,
    shared: &Arc<Shared>,
    node: &Node,
) -> Result<Stream<'scope, Epoch, Batch>, EngineError> {
    let schemas: Vec<&Schema> = join.parts.iter().map(|p| shared.schema(*p)).collect();
    let left_schema = shared.schema(join.left);
    let mut assembler = Assembler::new(left_schema, &schemas, join.columns, join.inner)?;
    let mut builder = OperatorBuilder::new(name_of(node), left.scope());
    let mut left = builder.new_input(left, Pipeline);
    let mut inputs = Vec::new();
    for answers in answers {
        let route = Route::Split(Arc::clone(&shared.owners));
        let pact = DistributorPact(move |peers| Distribute::new(route, peers));
        inputs.push(builder.new_input(answers, pact));
    }
    let (output, stream) = builder.new_output();
    let mut output = OutputBuilder::<_, NoopBuilder<Batch>>::from(output);
    let (failure, meter) = (shared.failure.clone(), shared.meters.of(node.id.0));
    builder.build(move |_capabilities| {
        let mut open: BTreeMap<Epoch, Open> = BTreeMap::new();
        move |frontiers: &[MutableAntichain<Epoch>]| {
            collect(&mut left, 0, &mut open);
            for (part, input) in inputs.iter_mut().enumerate() {
                collect(input, part + 1, &mut open);
            }
            let bound = frontiers
                .iter()
                .filter_map(|f| f.frontier().first().copied())
                .min();
            let mut output = output.activate();
            while let Some(entry) = open.first_entry()
                && bound.is_none_or(|b| *entry.key() < b)
            {
                let (
                    epoch,
                    Open {
                        capability,
                        batches,
                    },
                ) = entry.remove_entry();
                for (input, batch) in batches {
                    match input {
                        0 => assembler.left(batch.into_changes()),
                        part => assembler.answers(part - 1, batch.into_changes()),
                    }
                }
                let mut emit = |changes| {
                    let mut batch = Batch::from_changes(epoch, changes);
                    meter.count(batch.len(), batch.bytes());
                    output
                        .session_with_builder(&capability)
                        .give_container(&mut batch);
                    Ok(())
                };
                if let Err(error) = meter.time(|| assembler.close(&mut emit)) {
                    failure.record(error);
                }
            }
        }
    });
    Ok(stream)
}

/// Puts what has come by an input to its epochs.
fn collect<P>(
    handle: &mut InputHandleCore<Epoch, Batch, P>,
    input: usize,
    open: &mut BTreeMap<Epoch, Open>,
) where
    P: timely::communication::Pull<timely::dataflow::channels::Message<Epoch, Batch>>,
{
    handle.for_each(|capability: InputCapability<Epoch>, batch: &mut Batch| {
        for (epoch, batch) in std::mem::take(batch).by_epoch() {
            let entry = open.entry(epoch).or_insert_with(|| Open {
                capability: capability.delayed(&epoch, 0),
                batches: Vec::new(),
            });
            entry.batches.push((input, batch));
        }
    });
}
