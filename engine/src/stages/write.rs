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
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, UInt32Array};
use arrow_row::{RowConverter, Rows, SortField};
use arrow_select::interleave::interleave;
use unskewed_connectors::table::{PartitionKey, StagedPartition, TableWrite, WriteOptions};
use unskewed_planner::physical::Sink;
use unskewed_planner::schema::Schema;
use unskewed_planner::time::Partition;

use super::Changes;
use crate::columns::take_rows;
use crate::error::EngineError;

/// Rows handed to the writer at once.
const BLOCK_ROWS: usize = 1 << 16;

/// Collects the rows of a sink, a day at a time.
#[derive(Debug)]
pub struct PartitionWriter {
    sink: Sink,
    schema: Schema,
    partition_column: Option<String>,
    /// Rows by day, in the pieces in which they came. Those of a table without partitions are under one name.
    days: BTreeMap<String, Vec<Changes>>,
}

/// Where a row lies: its piece and its row there.
type Place = (usize, usize);

impl PartitionWriter {
    /// A writer of rows of this schema.
    pub fn new(sink: &Sink, schema: &Schema) -> Self {
        Self {
            partition_column: sink
                .partition
                .map(|column| schema.fields[column].name.clone()),
            sink: sink.clone(),
            schema: schema.clone(),
            days: BTreeMap::new(),
        }
    }

    /// Takes in rows.
    pub fn add(&mut self, changes: &Changes) -> Result<(), EngineError> {
        let by_day = match self.sink.partition {
            Some(column) => rows_by_day(changes.columns[column].as_string::<i32>()),
            None => BTreeMap::from([("", (0..changes.len() as u32).collect())]),
        };
        for (day, rows) in by_day {
            let piece = changes.piece(rows)?;
            self.days.entry(day.into()).or_default().push(piece);
        }
        Ok(())
    }

    /// Writes every day's rows. What is staged waits for the commit of `write`.
    pub fn finish(
        mut self,
        write: &TableWrite,
        options: &WriteOptions,
    ) -> Result<Vec<StagedPartition>, EngineError> {
        let mut staged = Vec::new();
        while let Some((day, pieces)) = self.days.pop_first() {
            let wanted = match (&self.sink.days, day.parse::<Partition>()) {
                _ if self.sink.partition.is_none() => true,
                (Some(range), Ok(day)) => range.contains(day),
                (Some(_), Err(_)) => false,
                (None, _) => true,
            };
            let rows = if wanted {
                self.ordered(&pieces)?
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
                writer.write(&self.block(&pieces, block)?)?;
            }
            staged.push(writer.finish()?);
        }
        Ok(staged)
    }

    /// The rows to write, in order.
    fn ordered(&self, pieces: &[Changes]) -> Result<Vec<Place>, EngineError> {
        let places =
            |(piece, changes): (usize, &Changes)| (0..changes.len()).map(move |row| (piece, row));
        let places: Vec<Place> = pieces.iter().enumerate().flat_map(places).collect();
        let place = |row: u32| places[row as usize];
        let keys = self.keys(&self.sink.sort, pieces)?;
        let order = keys.sorted(|row| {
            let (piece, at) = place(row);
            (pieces[piece].position[at], row)
        });
        let mut written = Vec::with_capacity(order.len());
        if self.sink.distinct.is_empty() {
            for row in order {
                let (piece, at) = place(row);
                let count = pieces[piece].diff.get(at).max(0) as usize;
                written.extend(std::iter::repeat_n((piece, at), count));
            }
            return Ok(written);
        }
        let (apart, columns) = self.telling_apart();
        let distinct = self.keys(&columns, pieces)?;
        let mut seen = BTreeSet::new();
        for equal in order.chunk_by(|a, b| !apart || keys.compare(*a, *b).is_eq()) {
            if let [only] = equal {
                written.push(place(*only));
                continue;
            }
            seen.clear();
            let first = |row: &&u32| seen.insert(distinct.bytes(**row));
            written.extend(equal.iter().filter(first).map(|row| place(*row)));
        }
        Ok(written)
    }

    /// Whether rows that sort apart are distinct, and the columns that tell the others of one day apart.
    fn telling_apart(&self) -> (bool, Vec<usize>) {
        let Sink {
            sort,
            distinct,
            partition,
            ..
        } = &self.sink;
        if !sort.iter().all(|c| distinct.contains(c)) {
            return (false, distinct.clone());
        }
        let known = |c: &usize| sort.contains(c) || Some(*c) == *partition;
        let others = distinct.iter().copied().filter(|c| !known(c));
        (true, others.collect())
    }

    fn keys(&self, columns: &[usize], pieces: &[Changes]) -> Result<SortKeys, EngineError> {
        SortKeys::new(&self.schema, columns, pieces)
    }

    fn block(&self, pieces: &[Changes], rows: &[Place]) -> Result<RecordBatch, EngineError> {
        let columns = if let [piece] = pieces {
            let rows = rows.iter().map(|&(_, row)| row as u32);
            take_rows(&piece.columns, &UInt32Array::from_iter_values(rows))?
        } else {
            let column = |column: usize| {
                let sources = pieces.iter().map(|piece| piece.columns[column].as_ref());
                interleave(&sources.collect::<Vec<&dyn Array>>(), rows)
            };
            let columns = (0..self.schema.fields.len()).map(column);
            columns.collect::<Result<_, _>>()?
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let schema = Arc::new(self.schema.to_arrow());
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }
}

/// The rows of each day; rows without one have none.
fn rows_by_day(days: &StringArray) -> BTreeMap<&str, Vec<u32>> {
    let mut rows: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    let mut start = 0;
    // Rows of a day mostly come together.
    while start < days.len() {
        let day = |row: usize| days.is_valid(row).then(|| days.value(row));
        let of_first = day(start);
        let others = (start + 1..days.len()).find(|row| day(*row) != of_first);
        let end = others.unwrap_or(days.len());
        if let Some(day) = of_first {
            let stretch = start as u32..end as u32;
            rows.entry(day).or_default().extend(stretch);
        }
        start = end;
    }
    rows
}

impl Changes {
    /// These rows, in ascending order; not copied where they lie together.
    fn piece(&self, rows: Vec<u32>) -> Result<Self, EngineError> {
        let start = rows.first().map_or(0, |first| *first as usize);
        let end = start + rows.len();
        if rows.last().is_none_or(|last| *last as usize + 1 == end) {
            let slice = |column: &ArrayRef| column.slice(start, rows.len());
            return Ok(Self {
                position: self.position[start..end].to_vec(),
                diff: self.diff.slice(start..end),
                columns: self.columns.iter().map(slice).collect(),
            });
        }
        Ok(Self {
            position: rows
                .iter()
                .map(|row| self.position[*row as usize])
                .collect(),
            diff: self.diff.take(&rows),
            columns: take_rows(&self.columns, &UInt32Array::from(rows))?,
        })
    }
}

/// Sort keys of the rows of all pieces, in the row format.
struct SortKeys {
    rows: Option<Rows>,
    count: u32,
}

impl SortKeys {
    fn new(schema: &Schema, columns: &[usize], pieces: &[Changes]) -> Result<Self, EngineError> {
        let all = pieces.iter().map(Changes::len).sum::<usize>();
        let count = all as u32;
        if columns.is_empty() {
            return Ok(Self { rows: None, count });
        }
        let types = columns
            .iter()
            .map(|c| schema.fields[*c].data_type.to_arrow());
        let converter = RowConverter::new(types.map(SortField::new).collect())?;
        let mut rows = converter.empty_rows(all, all * 16);
        for piece in pieces {
            let pick = |c: &usize| Arc::clone(&piece.columns[*c]);
            converter.append(&mut rows, &columns.iter().map(pick).collect::<Vec<_>>())?;
        }
        Ok(Self {
            rows: Some(rows),
            count,
        })
    }

    /// The numbers of all rows in the order of their keys, and of equal keys in that of their places.
    fn sorted<P: Ord>(&self, place: impl Fn(u32) -> P) -> Vec<u32> {
        // Mostly the first bytes decide, and numbers are compared faster than bytes.
        let mut order: Vec<([u64; 2], u32)> =
            (0..self.count).map(|row| (self.head(row), row)).collect();
        order.sort_unstable_by(|(head, a), (other, b)| {
            head.cmp(other)
                .then_with(|| self.compare(*a, *b))
                .then_with(|| place(*a).cmp(&place(*b)))
        });
        order.into_iter().map(|(_, row)| row).collect()
    }

    /// The first bytes of a key, as numbers of the same order.
    fn head(&self, row: u32) -> [u64; 2] {
        let bytes = self.bytes(row);
        let mut head = [[0; 8]; 2];
        for (word, bytes) in head.iter_mut().zip(bytes.chunks(8)) {
            word[..bytes.len()].copy_from_slice(bytes);
        }
        head.map(u64::from_be_bytes)
    }

    fn compare(&self, a: u32, b: u32) -> std::cmp::Ordering {
        self.bytes(a).cmp(self.bytes(b))
    }

    fn bytes(&self, row: u32) -> &[u8] {
        let rows = self.rows.as_ref();
        rows.map_or(&[], |rows| rows.row(row as usize).data())
    }
}
