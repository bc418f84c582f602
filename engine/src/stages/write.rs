//! Turns the rows of days into partitions of a table.
//!
//! Promises: the content of a partition depends on its rows only (D15): sorted by the plan's
//! columns, then by position,
//! whatever the order they came in; rows equal in the plan's distinct columns are written once; a
//! day without rows is
//! not written. Never makes anything visible: what is staged is committed by the job.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_select::interleave::interleave;
use unskewed_connectors::table::{PartitionKey, StagedPartition, TableWrite, WriteOptions};
use unskewed_planner::physical::Sink;
use unskewed_planner::schema::Schema;
use unskewed_planner::time::Partition;

use super::Changes;
use crate::error::EngineError;

/// Rows handed to the writer at once.
const BLOCK_ROWS: usize = 1 << 16;

/// Collects the rows of a sink, a day at a time.
#[derive(Debug)]
pub struct PartitionWriter {
    sink: Sink,
    schema: Schema,
    partition_column: Option<String>,
    batches: Vec<Vec<ArrayRef>>,
    /// Rows by day: their batch, row and position. Those of a table without partitions are under one name.
    days: BTreeMap<String, Vec<Row>>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    batch: u32,
    row: u32,
    position: u64,
    count: i64,
}

impl PartitionWriter {
    /// A writer of rows of this schema.
    pub fn new(sink: &Sink, schema: &Schema) -> Self {
        Self {
            partition_column: sink
                .partition
                .map(|column| schema.fields[column].name.clone()),
            sink: sink.clone(),
            schema: schema.clone(),
            batches: Vec::new(),
            days: BTreeMap::new(),
        }
    }

    /// Takes in rows.
    pub fn add(&mut self, changes: Changes) -> Result<(), EngineError> {
        let partition = self.sink.partition.map(|column| &changes.columns[column]);
        let days = partition.map(|column| column.as_string::<i32>());
        let batch = self.batches.len() as u32;
        let mut last: Option<(String, Vec<Row>)> = None;
        for (row, position) in changes.position.iter().enumerate() {
            let day = match days {
                Some(days) if days.is_null(row) => continue,
                Some(days) => days.value(row),
                None => "",
            };
            if last.as_ref().is_none_or(|(l, _)| l != day) {
                if let Some((day, rows)) = last.take() {
                    self.days.entry(day).or_default().extend(rows);
                }
                last = Some((day.into(), Vec::new()));
            }
            if let Some((_, rows)) = &mut last {
                let count = changes.diff.get(row);
                rows.push(Row {
                    batch,
                    row: row as u32,
                    position: *position,
                    count,
                });
            }
        }
        if let Some((day, rows)) = last {
            self.days.entry(day).or_default().extend(rows);
        }
        self.batches.push(changes.columns);
        Ok(())
    }

    /// Writes every day's rows. What is staged waits for the commit of `write`.
    pub fn finish(
        mut self,
        write: &TableWrite,
        options: &WriteOptions,
    ) -> Result<Vec<StagedPartition>, EngineError> {
        let mut staged = Vec::new();
        while let Some((day, rows)) = self.days.pop_first() {
            let wanted = match (&self.sink.days, day.parse::<Partition>()) {
                _ if self.sink.partition.is_none() => true,
                (Some(range), Ok(day)) => range.contains(day),
                (Some(_), Err(_)) => false,
                (None, _) => true,
            };
            let rows = if wanted {
                self.ordered(rows)?
            } else {
                Vec::new()
            };
            if rows.is_empty() {
                continue;
            }
            let column = self.partition_column.clone();
            let own = column.map(|column| (column, day));
            let key = PartitionKey::new(self.sink.under.iter().cloned().chain(own));
            let mut writer = write.writer(&self.schema, &key, 0, options)?;
            for block in rows.chunks(BLOCK_ROWS) {
                writer.write(&self.block(block)?)?;
            }
            staged.push(writer.finish()?);
        }
        Ok(staged)
    }

    /// The rows to write, in order.
    fn ordered(&self, mut rows: Vec<Row>) -> Result<Vec<(usize, usize)>, EngineError> {
        if self.batches.iter().any(|b| b.is_empty()) {
            return Ok(Vec::new());
        }
        rows.sort_by_key(|r| (r.batch, r.row));
        let keys = SortKeys::new(&self.schema, &self.sink.sort, &self.batches, &rows)?;
        let distinct = SortKeys::new(&self.schema, &self.sink.distinct, &self.batches, &rows)?;
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        let at = |i: &u32| *i as usize;
        order.sort_unstable_by(|a, b| {
            let place = |i: &u32| (rows[at(i)].position, rows[at(i)].batch, rows[at(i)].row);
            keys.compare(at(a), at(b))
                .then_with(|| place(a).cmp(&place(b)))
        });
        let mut seen = BTreeSet::new();
        let mut written = Vec::with_capacity(order.len());
        for i in order {
            let row = &rows[at(&i)];
            let place = (row.batch as usize, row.row as usize);
            if self.sink.distinct.is_empty() {
                written.extend(std::iter::repeat_n(place, row.count.max(0) as usize));
            } else if seen.insert(distinct.bytes(at(&i))) {
                written.push(place);
            }
        }
        Ok(written)
    }

    fn block(&self, rows: &[(usize, usize)]) -> Result<RecordBatch, EngineError> {
        let mut columns = Vec::with_capacity(self.schema.fields.len());
        for column in 0..self.schema.fields.len() {
            let sources: Vec<&dyn Array> =
                self.batches.iter().map(|b| b[column].as_ref()).collect();
            columns.push(interleave(&sources, rows)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let schema = Arc::new(self.schema.to_arrow());
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }
}

/// Sort keys of rows that are ordered by batch, in the row format.
struct SortKeys {
    rows: Option<Rows>,
}

impl SortKeys {
    fn new(
        schema: &Schema,
        columns: &[usize],
        batches: &[Vec<ArrayRef>],
        rows: &[Row],
    ) -> Result<Self, EngineError> {
        if columns.is_empty() {
            return Ok(Self { rows: None });
        }
        let types = columns
            .iter()
            .map(|c| schema.fields[*c].data_type.to_arrow());
        let converter = RowConverter::new(types.map(SortField::new).collect())?;
        let mut converted = converter.empty_rows(rows.len(), rows.len() * 16);
        for batch in rows.chunk_by(|a, b| a.batch == b.batch) {
            let taken = arrow_array::UInt32Array::from_iter_values(batch.iter().map(|r| r.row));
            let source = &batches[batch[0].batch as usize];
            let arrays = columns
                .iter()
                .map(|c| arrow_select::take::take(&source[*c], &taken, None))
                .collect::<Result<Vec<_>, _>>()?;
            converter.append(&mut converted, &arrays)?;
        }
        Ok(Self {
            rows: Some(converted),
        })
    }

    fn compare(&self, a: usize, b: usize) -> std::cmp::Ordering {
        self.rows
            .as_ref()
            .map_or(std::cmp::Ordering::Equal, |r| r.row(a).cmp(&r.row(b)))
    }

    fn bytes(&self, row: usize) -> &[u8] {
        self.rows.as_ref().map_or(&[], |r| r.row(row).data())
    }
}
