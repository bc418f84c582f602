//! Rows that a job has in hand: read by name, and written as partitions of a table.
//!
//! Promises: a partition is replaced at once; rows keep their order. For few rows, such as findings: whatever is as
//! large as data goes through a plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow_schema::DataType as ArrowType;
use arrow_select::take::take_record_batch;
use unskewed_connectors::table::{PartitionKey, Table, WriteOptions};
use unskewed_planner::schema::Schema;

use super::error::Result;
use crate::error::EngineError;

/// Columns of a batch by name.
pub(super) struct Rows<'a>(pub(super) &'a RecordBatch);

impl Rows<'_> {
    fn cast(&self, name: &str, to: &ArrowType) -> Option<ArrayRef> {
        let column = self.0.column_by_name(name)?;
        arrow_cast::cast(column, to).ok()
    }

    /// A column of text.
    pub(super) fn texts(&self, name: &str) -> StringArray {
        let column = self.cast(name, &ArrowType::Utf8);
        column.map_or_else(
            || StringArray::new_null(self.0.num_rows()),
            |column| column.as_string::<i32>().clone(),
        )
    }

    /// A column of whole numbers.
    pub(super) fn longs(&self, name: &str) -> Int64Array {
        let column = self.cast(name, &ArrowType::Int64);
        column.map_or_else(
            || Int64Array::new_null(self.0.num_rows()),
            |column| column.as_primitive::<Int64Type>().clone(),
        )
    }

    /// A number of a row; nothing counts as 0.
    pub(super) fn count(&self, name: &str, row: usize) -> i64 {
        let column = self.longs(name);
        if column.is_valid(row) {
            column.value(row)
        } else {
            0
        }
    }
}

/// Replaces the partitions that rows belong to, by the values of these columns; how many partitions there were. The
/// caller holds the table's lock.
pub(super) fn replace_partitions(
    table: &Table,
    batch: &RecordBatch,
    columns: &[&str],
) -> Result<u64> {
    let schema = Schema::from_arrow(&batch.schema()).expect("the house's batches have Spark types");
    let rows = Rows(batch);
    let values: Vec<StringArray> = columns.iter().map(|name| rows.texts(name)).collect();
    let mut partitions: BTreeMap<Vec<Option<String>>, Vec<u32>> = BTreeMap::new();
    for row in 0..batch.num_rows() {
        let value =
            |column: &StringArray| column.is_valid(row).then(|| column.value(row).to_owned());
        partitions
            .entry(values.iter().map(value).collect())
            .or_default()
            .push(row as u32);
    }
    let write = table.begin_write()?;
    let mut staged = vec![];
    for (values, rows) in partitions {
        let named = columns.iter().map(|name| (*name).to_owned()).zip(values);
        let key = PartitionKey {
            values: named.collect(),
        };
        let part =
            take_record_batch(batch, &UInt32Array::from(rows)).map_err(EngineError::Arrow)?;
        let part = RecordBatch::try_new(Arc::new(schema.to_arrow()), part.columns().to_vec());
        let mut writer = write.writer(&schema, &key, 0, &WriteOptions::default())?;
        writer.write(&part.map_err(EngineError::Arrow)?)?;
        staged.push(writer.finish()?);
    }
    Ok(write.commit(staged)?.partitions.len() as u64)
}
