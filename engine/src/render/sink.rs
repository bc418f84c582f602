//! Sinks: rows into partitions that wait for their commit, and facts about rows.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::{DistributorPact, Pipeline};
use timely::dataflow::operators::generic::Operator;
use unskewed_planner::physical::{Collect, Facts, Node, Sink};

use super::{Shared, malformed, name_of};
use crate::error::EngineError;
use crate::exchange::{Batch, Distribute, Epoch, Route};
use crate::stages::collect::Collector;
use crate::stages::facts::FactCollector;
use crate::stages::write::PartitionWriter;

/// Sends each partition's rows to its owner, and writes it once all have come.
pub(super) fn sink(
    input: Stream<'_, Epoch, Batch>,
    shared: &Arc<Shared>,
    node: &Node,
    sink: &Sink,
) {
    let shared = Arc::clone(shared);
    let (id, meter) = (node.id, shared.meters.of(node.id.0));
    let mut writer = Some(PartitionWriter::new(sink, &node.schema));
    let route = sink.partition.map_or(Route::Together, Route::Partition);
    let pact = DistributorPact(move |peers| Distribute::new(route, peers));
    input.unary_frontier::<NoopBuilder<Batch>, _, _, _>(pact, &name_of(node), |_, _| {
        move |(input, frontier), _output| {
            let Some(open) = &mut writer else {
                return;
            };
            input.for_each(|_, batch| {
                let batch = std::mem::take(batch);
                meter.count(batch.len(), batch.bytes());
                if let Err(error) = meter.time(|| open.add(&batch.into_changes())) {
                    shared.failure.record(error);
                }
            });
            if !frontier.is_empty() || shared.failure.is_set() {
                return;
            }
            let finished = writer.take().map(|writer| {
                let write = shared
                    .writes
                    .get(&id)
                    .ok_or_else(|| malformed(id, "an open write"))?;
                meter.time(|| writer.finish(write, &shared.write_options))
            });
            match finished {
                Some(Ok(staged)) => {
                    shared
                        .left_behind()
                        .staged
                        .entry(id)
                        .or_default()
                        .extend(staged);
                }
                Some(Err(error)) => shared.failure.record(error),
                None => {}
            }
        }
    });
}

/// Keeps rows for the caller, in the order of the plan's columns, on one worker.
pub(super) fn collect(
    input: Stream<'_, Epoch, Batch>,
    shared: &Arc<Shared>,
    node: &Node,
    collect: &Collect,
) {
    let shared = Arc::clone(shared);
    let (label, meter) = (node.label.clone(), shared.meters.of(node.id.0));
    let mut collector = Some(Collector::new(collect, &node.schema));
    let pact = DistributorPact(|peers| Distribute::new(Route::Together, peers));
    input.unary_frontier::<NoopBuilder<Batch>, _, _, _>(pact, &name_of(node), |_, _| {
        move |(input, frontier), _output| {
            let Some(open) = &mut collector else {
                return;
            };
            input.for_each(|_, batch| {
                let batch = std::mem::take(batch);
                meter.count(batch.len(), batch.bytes());
                open.add(batch.into_changes());
            });
            if !frontier.is_empty() || shared.failure.is_set() {
                return;
            }
            match collector.take().map(Collector::finish) {
                Some(Ok(rows)) if rows.num_rows() > 0 => {
                    shared.left_behind().collected.insert(label.clone(), rows);
                }
                Some(Err(error)) => shared.failure.record(error),
                _ => {}
            }
        }
    });
}

/// Sums up rows where they are; the workers' facts are merged.
pub(super) fn facts(
    input: Stream<'_, Epoch, Batch>,
    shared: &Arc<Shared>,
    node: &Node,
    facts: &Facts,
) {
    let shared = Arc::clone(shared);
    let (number, small_rows_max) = (facts.number, facts.small_rows_max);
    let mut collector = Some(FactCollector::new(facts, shared.schema(facts.input)));
    input.unary_frontier::<NoopBuilder<Batch>, _, _, _>(Pipeline, &name_of(node), |_, _| {
        move |(input, frontier), _output| {
            let Some(open) = &mut collector else {
                return;
            };
            input.for_each(|_, batch| {
                if let Err(error) = open.add(&std::mem::take(batch).columns) {
                    shared.failure.record(error);
                }
            });
            if frontier.is_empty()
                && let Some(collector) = collector.take()
                && let Err(error) = merge(&shared, collector, number, small_rows_max)
            {
                shared.failure.record(error);
            }
        }
    });
}

fn merge(
    shared: &Shared,
    collector: FactCollector,
    number: usize,
    small_rows_max: u64,
) -> Result<(), EngineError> {
    let facts = collector.finish();
    let mut left_behind = shared.left_behind();
    match left_behind.facts.entry(number) {
        Entry::Occupied(mut all) => all.get_mut().merge(facts, small_rows_max),
        Entry::Vacant(none) => {
            none.insert(facts);
            Ok(())
        }
    }
}
