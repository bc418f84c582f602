//! Project: rows dropped and columns computed, batch by batch, where the rows are.

use std::collections::BTreeMap;
use std::sync::Arc;

use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use unskewed_planner::physical::{Node, Project};

use super::{Shared, name_of};
use crate::error::EngineError;
use crate::exchange::{Batch, Epoch, SPLIT_SHIFT};
use crate::stages::project::Projector;

/// The rows that stay, with the computed columns.
pub(super) fn project<'scope>(
    input: Stream<'scope, Epoch, Batch>,
    shared: &Arc<Shared>,
    node: &Node,
    project: &Project,
) -> Result<Stream<'scope, Epoch, Batch>, EngineError> {
    let shared = Arc::clone(shared);
    let facts = &shared.left_facts;
    let projector = Projector::new(&node.label, project, &node.schema, facts)?;
    let mut running = Running {
        projector,
        input: Arc::new(shared.schema(project.input).to_arrow()),
        renumbers: project.generator.is_some(),
        numbered: BTreeMap::new(),
    };
    let meter = shared.meters.of(node.id.0);
    Ok(
        input.unary_frontier::<NoopBuilder<Batch>, _, _, _>(Pipeline, &name_of(node), |_, _| {
            move |(input, frontier), output| {
                input.for_each(|capability, batch| {
                    let batch = std::mem::take(batch);
                    for (epoch, batch) in batch.by_epoch() {
                        let applied = meter.time(|| match shared.keeps_running {
                            true => Ok(running.apply_what_can_be(epoch, &batch)),
                            false => running.apply(epoch, batch).map(|batch| vec![batch]),
                        });
                        let batches = applied.unwrap_or_else(|error| {
                            shared.failure.record(error);
                            vec![]
                        });
                        for mut batch in batches.into_iter().filter(|batch| !batch.is_empty()) {
                            meter.count(batch.len(), batch.bytes());
                            let mut session = output.session_with_builder(&capability);
                            session.give_container(&mut batch);
                        }
                    }
                });
                if shared.keeps_running || frontier.is_empty() {
                    shared.report(&running.projector.take_bad_rows());
                }
            }
        }),
    )
}

struct Running {
    projector: Projector,
    input: arrow_schema::SchemaRef,
    /// Whether rows are multiplied, so that positions no longer tell them apart.
    renumbers: bool,
    /// Rows that left each split so far.
    numbered: BTreeMap<u64, u64>,
}

impl Running {
    /// As [`Running::apply`], but a row whose expressions fail is left out, counted and sampled: its neighbours, and
    /// those to come, are not at fault.
    fn apply_what_can_be(&mut self, epoch: Epoch, batch: &Batch) -> Vec<Batch> {
        match self.apply(epoch, batch.clone()) {
            Ok(batch) => vec![batch],
            Err(error) if batch.len() <= 1 => {
                self.projector.refuse(&error.to_string());
                vec![]
            }
            Err(_) => {
                let middle = batch.len() / 2;
                let mut batches = self.apply_what_can_be(epoch, &batch.slice(0..middle));
                let rest = batch.slice(middle..batch.len());
                batches.extend(self.apply_what_can_be(epoch, &rest));
                batches
            }
        }
    }

    fn apply(&mut self, epoch: Epoch, batch: Batch) -> Result<Batch, EngineError> {
        let record_batch = batch.to_record_batch(&self.input)?;
        let changes = self.projector.apply(&record_batch, batch.into_changes())?;
        let mut batch = Batch::from_changes(epoch, changes);
        if self.renumbers {
            // A split's rows come in order on one worker, so their numbers depend on the split alone.
            for position in &mut batch.position {
                let split = *position >> SPLIT_SHIFT;
                let next = self.numbered.entry(split).or_default();
                *position = split << SPLIT_SHIFT | *next;
                *next += 1;
            }
        }
        Ok(batch)
    }
}
