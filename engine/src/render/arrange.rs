//! Arrange and queries: rows get the identity of their key and a time, and are sorted and kept by them.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray};
use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use unskewed_kernel::eval::Program;
use unskewed_kernel::hash::hash_keys;
use unskewed_planner::physical::{Arrange, Node, Queries, QueryTime};
use unskewed_planner::time::{DAY_MILLIS, Partition, floor_to};

use super::{Shared, name_of};
use crate::arrange::{Arrangement, CHUNK_ROWS, arrange_metered};
use crate::error::EngineError;
use crate::exchange::{Batch, Epoch};

/// Rows by key and time.
pub(super) fn arrange_rows<'scope>(
    input: Stream<'scope, Epoch, Batch>,
    shared: &Arc<Shared>,
    node: &Node,
    arrange: &Arrange,
) -> Arrangement<'scope, CHUNK_ROWS> {
    let arrange = arrange.clone();
    let keyed = keyed(input, shared, node, move |batch| {
        let pick = |c: &usize| Arc::clone(&batch.columns[*c]);
        let keys: Vec<ArrayRef> = arrange.keys.iter().map(pick).collect();
        let key = identities(&keys, batch.len())?;
        let time = batch.columns[arrange.time]
            .as_primitive::<Int64Type>()
            .clone();
        let columns = arrange.payload.iter().map(pick).collect();
        let keyed = Batch {
            key,
            ts: time.values().to_vec(),
            columns,
            ..batch
        };
        if time.null_count() == 0 {
            return Ok(keyed);
        }
        // A row without a time is nowhere; the plan's requirements have counted it.
        let rows = (0..keyed.len() as u32).filter(|r| time.is_valid(*r as usize));
        Ok(keyed.take(rows.collect()))
    });
    arrange_metered(keyed, &name_of(node), shared.meters.of(node.id.0))
}

/// Points in time at which the left asks.
pub(super) fn arrange_queries<'scope>(
    left: Stream<'scope, Epoch, Batch>,
    shared: &Arc<Shared>,
    node: &Node,
    queries: &Queries,
) -> Result<Arrangement<'scope, CHUNK_ROWS>, EngineError> {
    let filters = queries
        .filters
        .iter()
        .map(Program::new)
        .collect::<Result<Vec<_>, _>>()?;
    let schema = Arc::new(shared.schema(queries.left).to_arrow());
    let queries = queries.clone();
    let asked = keyed(left, shared, node, move |batch| {
        let mut asks = vec![true; batch.len()];
        if !filters.is_empty() {
            let record_batch = batch.to_record_batch(&schema)?;
            for filter in &filters {
                let mask: BooleanArray = filter.select(&record_batch)?;
                asks.iter_mut()
                    .enumerate()
                    .for_each(|(row, asks)| *asks &= mask.value(row));
            }
        }
        let keys: Vec<ArrayRef> = queries
            .keys
            .iter()
            .map(|c| Arc::clone(&batch.columns[*c]))
            .collect();
        for key in keys.iter().filter(|k| k.null_count() > 0) {
            asks.iter_mut()
                .enumerate()
                .for_each(|(row, asks)| *asks &= key.is_valid(row));
        }
        let key = identities(&keys, batch.len())?;
        let mut ts = Vec::with_capacity(batch.len());
        times(&batch, queries.time, &mut ts, &mut asks);
        let rows: Vec<u32> = (0..batch.len() as u32)
            .filter(|r| asks[*r as usize])
            .collect();
        let asked = Batch {
            key,
            ts,
            columns: Vec::new(),
            ..batch
        };
        Ok(if rows.len() == asked.len() {
            asked
        } else {
            asked.take(rows)
        })
    });
    Ok(arrange_metered(
        asked,
        &name_of(node),
        shared.meters.of(node.id.0),
    ))
}

/// When each row asks; a row without a time does not.
fn times(batch: &Batch, time: QueryTime, ts: &mut Vec<i64>, asks: &mut [bool]) {
    match time {
        QueryTime::At(column) | QueryTime::MidnightBefore(column) => {
            let column = batch.columns[column].as_primitive::<Int64Type>();
            let to_midnight = matches!(time, QueryTime::MidnightBefore(_));
            for (row, &value) in column.values().iter().enumerate() {
                asks[row] &= column.is_valid(row);
                ts.push(if to_midnight {
                    floor_to(value, DAY_MILLIS)
                } else {
                    value
                });
            }
        }
        QueryTime::Fixed(millis) => ts.resize(asks.len(), millis),
        QueryTime::EndOfDay(column) => {
            let column = batch.columns[column].as_string::<i32>();
            let mut last: (&str, Option<i64>) = ("", None);
            for (row, asks) in asks.iter_mut().enumerate() {
                let day = if column.is_valid(row) {
                    column.value(row)
                } else {
                    ""
                };
                if day != last.0 {
                    last = (
                        day,
                        day.parse::<Partition>().ok().map(Partition::end_millis),
                    );
                }
                *asks &= last.1.is_some();
                ts.push(last.1.unwrap_or(0));
            }
        }
    }
}

/// The identities of keys; without key columns all rows have the same.
fn identities(keys: &[ArrayRef], rows: usize) -> Result<Vec<u128>, EngineError> {
    if keys.is_empty() {
        return Ok(vec![0; rows]);
    }
    Ok(hash_keys(keys)?)
}

/// Gives rows keys and times.
fn keyed<'scope>(
    input: Stream<'scope, Epoch, Batch>,
    shared: &Arc<Shared>,
    node: &Node,
    mut key: impl FnMut(Batch) -> Result<Batch, EngineError> + 'static,
) -> Stream<'scope, Epoch, Batch> {
    let (failure, meter) = (shared.failure.clone(), shared.meters.of(node.id.0));
    let name = format!("{} keys", name_of(node));
    input.unary::<NoopBuilder<Batch>, _, _, _>(Pipeline, &name, move |_, _| {
        move |input, output| {
            input.for_each(|capability, batch| {
                let batch = std::mem::take(batch);
                match meter.time(|| key(batch)) {
                    Err(error) => failure.record(error),
                    Ok(batch) if batch.is_empty() => {}
                    Ok(mut batch) => {
                        meter.count(batch.len(), batch.bytes());
                        output
                            .session_with_builder(&capability)
                            .give_container(&mut batch);
                    }
                }
            });
        }
    })
}
