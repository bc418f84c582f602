//! `bulk-load`: an upload table into the key-value store, where fetchers find it.
//!
//! Promises: readers see the old batch or the new one, never a part: the serving info moves last. What a killed load
//! leaves is invisible and goes with the next one. Memory stays at a bounded number of rows.

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use unskewed_connectors::kv::{BatchWrite, KvStore};
use unskewed_connectors::table::Selection;
use unskewed_planner::definition::Definition;
use unskewed_planner::naming::{PARTITION_COLUMN, TableSuffix};
use unskewed_planner::schema::{Field, Schema};
use unskewed_planner::serving::{EDGE_COLUMN, SERVING_INFO_KEY, batch_dataset};
use unskewed_planner::time::Partition;

use super::error::{Error, Result};
use super::{Context, Event, Outcome, wrong_definition};

/// Rows handed to the store at once.
const PUT_ROWS: usize = 4_096;

/// What the serving-info row says.
struct Info {
    text: Vec<u8>,
    day: Partition,
}

/// Loads the upload table of a group-by.
pub fn bulk_load(
    definition: &Definition,
    store: &dyn KvStore,
    context: &Context<'_>,
) -> Result<Outcome> {
    let Definition::GroupBy(group_by) = definition else {
        return Err(wrong_definition("bulk-load", "group-by", definition));
    };
    let name = super::tables::output(&group_by.meta_data)? + TableSuffix::Upload.text();
    let table = context.warehouse.table(&name)?;
    let stored = table.schema()?;
    let wanted = ["key_bytes", "value_bytes", PARTITION_COLUMN];
    let mut columns = table.project(&stored, &wanted)?;
    let edge = stored.field(EDGE_COLUMN);
    let edge = edge.map(|field| Field::new(EDGE_COLUMN, field.data_type.clone()));
    columns.fields.extend(edge);
    let info = serving_info(&table.splits(&Selection::all())?, &columns)?;
    let info = info.ok_or_else(|| Error::NoServingInfo {
        table: name.clone(),
    })?;
    let dataset = batch_dataset(group_by.name());
    let mut write = store.begin_batch(&dataset, info.day.end_millis())?;
    let mut outcome = Outcome::default();
    for split in table.splits(&Selection::all())? {
        let mut reader = split.open(&columns, &[])?;
        while let Some(batch) = reader.next_batch()? {
            outcome.rows_in += batch.num_rows() as u64;
            outcome.rows_out += put(&batch, write.as_mut())?;
        }
    }
    write.commit(SERVING_INFO_KEY.as_bytes(), &info.text)?;
    outcome.rows_out += 1;
    let text = format!("{dataset}: the batch of {} is served", info.day);
    context.watcher.on(&Event::Note(&text));
    Ok(outcome)
}

/// The serving-info row of a table, wherever it lies.
fn serving_info(
    splits: &[unskewed_connectors::table::Split],
    columns: &Schema,
) -> Result<Option<Info>> {
    // Ours lies last.
    for split in splits.iter().rev() {
        let mut reader = split.open(columns, &[])?;
        while let Some(batch) = reader.next_batch()? {
            let keys = batch.column(0).as_binary::<i32>();
            let at = (0..keys.len()).find(|row| is_info(keys, *row));
            let Some(row) = at else { continue };
            let day = batch.column(2).as_string::<i32>();
            let day = day.is_valid(row).then(|| day.value(row).parse().ok());
            let value = batch.column(1).as_binary::<i32>();
            return Ok(day.flatten().map(|day| Info {
                text: value.value(row).to_vec(),
                day,
            }));
        }
    }
    Ok(None)
}

fn is_info(keys: &arrow_array::BinaryArray, row: usize) -> bool {
    keys.is_valid(row) && keys.value(row) == SERVING_INFO_KEY.as_bytes()
}

/// Writes the rows of a batch, but for the serving info; how many.
fn put(batch: &RecordBatch, write: &mut dyn BatchWrite) -> Result<u64> {
    let (keys, values) = (
        batch.column(0).as_binary::<i32>(),
        batch.column(1).as_binary::<i32>(),
    );
    let edges = batch
        .columns()
        .get(3)
        .map(|column| column.as_binary::<i32>());
    let rows: Vec<usize> = (0..batch.num_rows())
        .filter(|row| keys.is_valid(*row) && values.is_valid(*row) && !is_info(keys, *row))
        .collect();
    for rows in rows.chunks(PUT_ROWS) {
        // What lies beyond the reference's value belongs right behind it: together they are one datum.
        let whole = |row: usize| match edges {
            Some(edges) if edges.is_valid(row) => [values.value(row), edges.value(row)].concat(),
            _ => values.value(row).to_vec(),
        };
        let whole: Vec<Vec<u8>> = rows.iter().map(|row| whole(*row)).collect();
        let pairs = rows.iter().zip(&whole);
        let pairs: Vec<(&[u8], &[u8])> = pairs.map(|(row, v)| (keys.value(*row), &v[..])).collect();
        write.put(&pairs)?;
    }
    Ok(rows.len() as u64)
}
