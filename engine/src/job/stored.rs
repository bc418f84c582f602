//! Statistics in the form in which a key-value store takes them: the join's path as the key, a row's values as the
//! value, both Avro, and the schemas of both under keys of their own.
//!
//! Promises: the names, schemas and bytes are those that an existing fetcher of statistics reads; the rows of a day
//! stand in the order of their bytes, as those of other uploads do.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow_ord::sort::{SortColumn, lexsort_to_indices};
use arrow_schema::ArrowError;
use arrow_select::take::take_record_batch;
use unskewed_kernel::codec::avro;
use unskewed_planner::avro::{Record, UnsupportedColumn};
use unskewed_planner::definition::MetaData;
use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::naming::{PARTITION_COLUMN, TIME_COLUMN};
use unskewed_planner::schema::{DataType, Field, Schema};
use unskewed_planner::time::Partition;

use super::error::{Error, Result};
use super::rows::{Rows, replace_partitions};
use super::{Context, tables};
use crate::error::EngineError;

/// What is stored.
pub(super) struct Stored<'a> {
    /// The table written.
    pub(super) table: &'a str,
    /// What the reference calls its kind.
    pub(super) kind: &'a str,
    /// The definition it belongs to.
    pub(super) meta_data: &'a MetaData,
    /// Further properties of the table.
    pub(super) more: Vec<(String, String)>,
    /// The join's name as a path.
    pub(super) path: &'a str,
    /// Rows with `ts`, `ds` and the values.
    pub(super) rows: &'a RecordBatch,
    /// The names of the values.
    pub(super) values: Vec<String>,
}

/// Writes the rows, and the schemas on the day it is; how many partitions there were. The caller holds the lock.
pub(super) fn write(stored: &Stored<'_>, context: &Context<'_>) -> Result<u64> {
    let rows = encoded(stored)?;
    let batch = batch(stored, &rows, context.clock.now_millis())?;
    let table = context.warehouse.table(stored.table)?;
    let written = replace_partitions(&table, &batch, &[PARTITION_COLUMN])?;
    let more = stored
        .more
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()));
    let about = tables::Written {
        kind: stored.kind,
        meta_data: stored.meta_data,
        hashes: None,
        more: more.collect(),
    };
    tables::describe(&table, &columns_of_uploads(), &about)?;
    Ok(written)
}

/// Keys and values as bytes, and the names under which the schemas of both are stored.
struct Encoded {
    keys: BinaryArray,
    values: BinaryArray,
    schemas: [(&'static str, String); 2],
}

fn encoded(stored: &Stored<'_>) -> Result<Encoded> {
    let all = Schema::from_arrow(stored.rows.schema_ref());
    let mut fields = all.expect("the house's batches have Spark types").fields;
    fields.retain(|field| stored.values.contains(&field.name));
    let columns: Vec<ArrayRef> = fields
        .iter()
        .filter_map(|field| stored.rows.column_by_name(&field.name).cloned())
        .collect();
    let path = Schema::new(vec![Field::new("JoinPath", DataType::String)]);
    let paths: ArrayRef = Arc::new(StringArray::from(vec![stored.path; stored.rows.num_rows()]));
    let (key, value) = (
        record("Key", &path)?,
        record("Value", &Schema::new(fields))?,
    );
    let bytes = |record: &Record, columns: &[ArrayRef]| -> Result<BinaryArray> {
        Ok(avro::encode(record, columns)
            .map_err(EngineError::Kernel)?
            .datums)
    };
    Ok(Encoded {
        keys: bytes(&key, &[paths])?,
        values: bytes(&value, &columns)?,
        schemas: [
            ("__keySchema", key.to_pretty_text()),
            ("__valueSchema", value.to_pretty_text()),
        ],
    })
}

fn record(name: &str, schema: &Schema) -> Result<Record> {
    Record::of(name, schema).map_err(|problems| {
        let problem = |column: &UnsupportedColumn| Diagnostic::error("", column.to_string());
        Error::Definition(problems.iter().map(problem).collect())
    })
}

/// The rows and one for each schema, by their bytes.
fn batch(stored: &Stored<'_>, encoded: &Encoded, now_millis: i64) -> Result<RecordBatch> {
    let rows = Rows(stored.rows);
    let (times, days) = (rows.longs(TIME_COLUMN), rows.texts(PARTITION_COLUMN));
    let today = Partition::of_millis(now_millis).to_string();
    let schemas = &encoded.schemas;
    let bytes = |rows: &BinaryArray, more: [String; 2]| -> BinaryArray {
        let rows = rows.iter().map(|bytes| bytes.map(<[u8]>::to_vec));
        rows.chain(more.map(|text| Some(text.into_bytes())))
            .collect()
    };
    let named = |(suffix, _): &(&str, String)| format!("{}{suffix}", stored.path);
    let nothing = || std::iter::repeat_n(None, stored.rows.num_rows());
    let key_json: StringArray = nothing()
        .chain(schemas.iter().map(|(suffix, _)| Some(*suffix)))
        .collect();
    let value_json: StringArray = nothing()
        .chain(schemas.iter().map(|(_, text)| Some(text.as_str())))
        .collect();
    let ts: Int64Array = times.iter().chain([Some(now_millis); 2]).collect();
    let ds: StringArray = days.iter().chain([Some(today.as_str()); 2]).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(bytes(&encoded.keys, schemas.each_ref().map(named))),
        Arc::new(bytes(
            &encoded.values,
            schemas.each_ref().map(|(_, text)| text.clone()),
        )),
        Arc::new(key_json),
        Arc::new(value_json),
        Arc::new(ts),
        Arc::new(ds),
    ];
    let schema = Arc::new(columns_of_uploads().to_arrow());
    let sorted = RecordBatch::try_new(schema, columns).and_then(|batch| by_bytes(&batch));
    Ok(sorted.map_err(EngineError::Arrow)?)
}

/// The rows in the order of their keys, and of their values among equal keys.
fn by_bytes(batch: &RecordBatch) -> std::result::Result<RecordBatch, ArrowError> {
    let column = |index: usize| SortColumn {
        values: Arc::clone(batch.column(index)),
        options: None,
    };
    let order = lexsort_to_indices(&[column(0), column(1)], None)?;
    take_record_batch(batch, &order)
}

fn columns_of_uploads() -> Schema {
    Schema::new(vec![
        Field::new("key_bytes", DataType::Binary),
        Field::new("value_bytes", DataType::Binary),
        Field::new("key_json", DataType::String),
        Field::new("value_json", DataType::String),
        Field::new(TIME_COLUMN, DataType::Long),
        Field::new(PARTITION_COLUMN, DataType::String),
    ])
}

/// The names of the values of statistics: what stands between the path and the hour.
pub(super) fn value_names(rows: &RecordBatch) -> Vec<String> {
    let names = rows.schema_ref().fields().iter().map(|field| field.name());
    names
        .skip(1)
        .take_while(|name| *name != TIME_COLUMN)
        .cloned()
        .collect()
}
