//! `group-by-streaming`: what came after the batch of a TEMPORAL group-by, kept in the store one row a key.
//!
//! Promises: a key's row is written whole, so writing it again changes nothing; rows are durable when the job ends.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use unskewed_connectors::kv::{KvStore, Put};
use unskewed_planner::definition::{Definition, GroupBy};
use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::lower::{STREAM_ROWS, stream_rows};
use unskewed_planner::resolve::resolve_upload;
use unskewed_planner::serving::streaming_dataset;
use unskewed_planner::time::Partition;

use super::catalog::WarehouseCatalog;
use super::error::{Error, Result};
use super::{Context, Event, Options, Outcome, step, wrong_definition};

/// Rows handed to the store at once.
const PUT_ROWS: usize = 4_096;

/// Streams the days of the tables behind a group-by's topics, from this day to the last, and ends.
pub fn replay(
    definition: &Definition,
    since: Partition,
    options: &Options,
    store: &dyn KvStore,
    context: &Context<'_>,
) -> Result<Outcome> {
    let Definition::GroupBy(group_by) = definition else {
        return Err(wrong_definition(
            "group-by-streaming",
            "group-by",
            definition,
        ));
    };
    let catalog = WarehouseCatalog::new(context.warehouse);
    let resolved = catalog.checked(resolve_upload(group_by, &catalog))?;
    step::warn(&resolved.warnings, context);
    let plan = stream_rows(&resolved.value, since).map_err(Error::Definition)?;
    let plan = plan.ok_or_else(|| nothing_streams(group_by))?;
    let mut executed = step::execute(&plan, None, context)?;
    executed.check_bad_rows(options, &Outcome::default())?;
    let mut outcome = executed.outcome();
    let dataset = streaming_dataset(group_by.name());
    store.create(&dataset)?;
    if let Some(rows) = executed.take_collected(STREAM_ROWS) {
        put(&rows, &dataset, store)?;
        outcome.rows_out = rows.num_rows() as u64;
    }
    let text = format!("{dataset}: {} keys, from {since} on", outcome.rows_out);
    context.watcher.on(&Event::Note(&text));
    Ok(outcome)
}

fn nothing_streams(group_by: &GroupBy) -> Error {
    Error::Definition(vec![
        Diagnostic::error("accuracy", "nothing comes after a batch of this group-by")
            .detail(format!(
                "{} is answered from its batch alone",
                group_by.name()
            ))
            .hint("values as of now need accuracy TEMPORAL, and a mutationTable for entities"),
    ])
}

fn put(rows: &RecordBatch, dataset: &str, store: &dyn KvStore) -> Result<()> {
    let column = |name: &str| {
        let found = rows.column_by_name(name);
        found.expect("the plan hands on this column")
    };
    let (keys, values) = (
        column("key_bytes").as_binary::<i32>(),
        column("row").as_binary::<i32>(),
    );
    let millis = column("millis").as_primitive::<Int64Type>();
    let numbers: Vec<usize> = (0..rows.num_rows()).collect();
    for numbers in numbers.chunks(PUT_ROWS) {
        let put = |row: &usize| Put {
            dataset,
            key: keys.value(*row),
            value: values.value(*row),
            millis: millis.value(*row),
            expires_millis: None,
        };
        store.multi_put(&numbers.iter().map(put).collect::<Vec<_>>())?;
    }
    Ok(())
}
