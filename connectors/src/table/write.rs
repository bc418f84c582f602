//! Writing partitions: staged out of sight, then committed.
//!
//! Promises: zstd, statistics, row groups of bounded rows and bytes, dictionaries only where the
//! first rows repeat; the same batches give the same bytes. What is not committed is removed when
//! dropped, and never seen. Writers of several parts may run on several threads.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use unskewed_planner::schema::{DataType, Field, Schema};

use super::commit::new_folder;
use super::files::{local_part, object_part};
use super::layout::PartitionKey;
use super::properties::data_columns;
use super::{Table, unique_id};
use crate::error::{Error, Result};
use crate::storage::sink::FileSink;

/// How files are written.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// Rows of a row group, at most.
    pub row_group_rows: usize,
    /// Bytes of a row group, about.
    pub row_group_bytes: usize,
    /// 1 is fast, 3 is smaller.
    pub zstd_level: i32,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            row_group_rows: 1024 * 1024,
            row_group_bytes: 128 * 1024 * 1024,
            zstd_level: 1,
        }
    }
}

/// Partitions being written, to be committed together. Dropped without a commit, it leaves nothing.
#[derive(Debug)]
pub struct TableWrite {
    pub(super) table: Table,
    pub(super) id: String,
    pub(super) swept: bool,
    columns: Option<Vec<String>>,
}

impl Table {
    /// Begins to write partitions of this table, which need not exist. The caller holds the table's
    /// lock until the commit.
    pub fn begin_write(&self) -> Result<TableWrite> {
        let columns = match self.partition_columns() {
            Ok(columns) => Some(columns),
            Err(Error::NoSuchTable { .. }) => None,
            Err(error) => return Err(error),
        };
        // A folder that somebody made by hand decides nothing yet.
        let decided = self.properties()?.schema.is_some();
        let columns = columns.filter(|c| decided || !c.is_empty());
        Ok(TableWrite {
            table: self.clone(),
            id: unique_id(),
            swept: false,
            columns,
        })
    }
}

impl TableWrite {
    /// A writer of one part of a partition. Parts of one partition are numbered by the caller;
    /// their files are read in that order. The schema may name the partition's columns: they are
    /// left out of the file.
    pub fn writer(
        &self,
        schema: &Schema,
        partition: &PartitionKey,
        part: u32,
        options: &WriteOptions,
    ) -> Result<Writer> {
        if let Some(columns) = &self.columns
            && !partition.columns().eq(columns.iter().map(String::as_str))
        {
            return Err(Error::Layout {
                path: format!("{} of table {}", partition, self.table.name()),
                problem: format!("the table's partition columns are ({})", columns.join(", ")),
            });
        }
        let stored = data_columns(schema, partition.columns());
        for field in &stored.fields {
            check_storable(field)?;
        }
        let kept = schema.fields.iter().enumerate();
        let kept = kept.filter(|(_, f)| stored.field(&f.name).is_some_and(|s| s.name == f.name));
        let kept = kept.map(|(at, _)| at).collect();
        let (folder, file) = if self.table.is_local() {
            (self.staged_folder(partition), local_part(part))
        } else {
            let folder = self.table.partition_folder(partition);
            (folder, object_part(part, &self.id))
        };
        Ok(Writer {
            table: self.table.clone(),
            given: schema.to_arrow().into(),
            stored,
            kept,
            partition: partition.clone(),
            path: format!("{folder}/{file}"),
            file,
            options: options.clone(),
            state: State::Empty,
            rows: 0,
        })
    }

    pub(super) fn folder(&self) -> String {
        format!("{}/{}", self.table.name.staging_folder(), self.id)
    }

    pub(super) fn staged_folder(&self, partition: &PartitionKey) -> String {
        new_folder(&self.folder(), partition)
    }
}

impl Drop for TableWrite {
    fn drop(&mut self) {
        if !self.swept {
            // Nobody is left to tell; the next holder of the lock sweeps what stays.
            self.table.remove_staging(&self.folder()).ok();
        }
    }
}

/// Parquet has no form for some types.
fn check_storable(field: &Field) -> Result<()> {
    fn storable(data_type: &DataType) -> bool {
        match data_type {
            DataType::CalendarInterval => false,
            DataType::Array(element) => storable(element),
            DataType::Map(key, value) => storable(key) && storable(value),
            DataType::Struct(fields) => {
                !fields.is_empty() && fields.iter().all(|f| storable(&f.data_type))
            }
            _ => true,
        }
    }
    if storable(&field.data_type) {
        return Ok(());
    }
    Err(Error::Unstorable {
        column: field.name.clone(),
        data_type: Box::new(field.data_type.clone()),
    })
}

/// Writes one file.
#[derive(Debug)]
pub struct Writer {
    table: Table,
    given: arrow_schema::SchemaRef,
    stored: Schema,
    kept: Vec<usize>,
    partition: PartitionKey,
    path: String,
    file: String,
    options: WriteOptions,
    state: State,
    rows: u64,
}

#[derive(Debug)]
enum State {
    Empty,
    Writing(Box<ArrowWriter<FileSink>>),
}

/// A file that is written and waits for its commit.
#[derive(Clone, Debug)]
pub struct StagedPartition {
    /// The partition it is part of.
    pub partition: PartitionKey,
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
    pub(super) file: String,
    pub(super) schema: Schema,
}

impl Writer {
    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Appends rows: columns of the writer's schema, in canonical form.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let differs = |problem: String| Error::WrongBatch {
            table: self.table.name(),
            problem,
        };
        if batch.num_columns() != self.given.fields().len() {
            return Err(differs(format!(
                "it has {} columns, not {}",
                batch.num_columns(),
                self.given.fields().len()
            )));
        }
        for (field, column) in self.given.fields().iter().zip(batch.columns()) {
            if field.data_type() != column.data_type() {
                return Err(differs(format!(
                    "column {} is {}, not {}",
                    field.name(),
                    column.data_type(),
                    field.data_type()
                )));
            }
        }
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let columns = self.kept.iter().map(|at| Arc::clone(batch.column(*at)));
        let schema = Arc::new(self.stored.to_arrow());
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(schema, columns.collect(), &options)
            .map_err(|error| differs(error.to_string()))?;
        let failed = self.failed();
        let writer = self.begin(Some(&batch))?;
        writer.write(&batch).map_err(failed)?;
        self.rows += u64::try_from(batch.num_rows()).expect("a count fits");
        Ok(())
    }

    /// Makes the file durable, still out of sight. A writer that got no rows makes an empty file.
    pub fn finish(mut self) -> Result<StagedPartition> {
        let failed = self.failed();
        self.begin(None)?;
        let State::Writing(writer) = std::mem::replace(&mut self.state, State::Empty) else {
            unreachable!("it was begun just now");
        };
        // Writes the footer, too.
        let sink = writer.into_inner().map_err(failed)?;
        let bytes = sink.finish()?;
        Ok(StagedPartition {
            partition: self.partition.clone(),
            rows: self.rows,
            bytes,
            file: self.file.clone(),
            schema: self.stored.clone(),
        })
    }

    fn failed(&self) -> impl Fn(ParquetError) -> Error + use<> {
        let path = self.table.storage().shown(&self.path);
        move |source| Error::Write {
            path: path.clone(),
            source,
        }
    }

    fn begin(&mut self, first: Option<&RecordBatch>) -> Result<&mut ArrowWriter<FileSink>> {
        if let State::Empty = self.state {
            let sink = FileSink::create(self.table.storage(), &self.path)?;
            let options = ArrowWriterOptions::new().with_properties(self.properties(first));
            let schema = Arc::new(self.stored.to_arrow());
            let writer =
                ArrowWriter::try_new_with_options(sink, schema, options).map_err(self.failed())?;
            self.state = State::Writing(Box::new(writer));
        }
        match &mut self.state {
            State::Writing(writer) => Ok(writer),
            State::Empty => unreachable!("it was begun just now"),
        }
    }

    fn properties(&self, first: Option<&RecordBatch>) -> WriterProperties {
        let level = ZstdLevel::try_new(self.options.zstd_level).unwrap_or_default();
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_max_row_group_row_count(Some(self.options.row_group_rows.max(1)))
            .set_max_row_group_bytes(Some(self.options.row_group_bytes.max(1)))
            .set_created_by("unskewed".into())
            .set_coerce_types(true);
        for (field, column) in self
            .stored
            .fields
            .iter()
            .zip(first.map_or(&[][..], |b| b.columns()))
        {
            if !repeats(column) {
                let path = ColumnPath::new(vec![field.name.clone()]);
                properties = properties.set_column_dictionary_enabled(path, false);
            }
        }
        properties.build()
    }
}

/// Whether the first rows hold so few distinct values that a dictionary pays.
fn repeats(column: &ArrayRef) -> bool {
    const SAMPLE_ROWS: usize = 4096;
    let rows = column.len().min(SAMPLE_ROWS);
    let data = column.to_data();
    let distinct = if let Some(width) = column.data_type().primitive_width() {
        let values = &data.buffers()[0].as_slice()[data.offset() * width..];
        let values = values.chunks_exact(width).take(rows);
        match width {
            8 => count_distinct(values.map(|v| v.first_chunk().copied().map(u64::from_ne_bytes))),
            _ => count_distinct(values),
        }
    } else if let DataType::String | DataType::Binary = of_column(column) {
        let (offsets, values) = (data.buffers()[0].typed_data::<i32>(), &data.buffers()[1]);
        let offset = |at: usize| usize::try_from(offsets[data.offset() + at]).unwrap_or(0);
        count_distinct((0..rows).map(|row| &values.as_slice()[offset(row)..offset(row + 1)]))
    } else {
        return true;
    };
    distinct * 2 <= rows.max(1)
}

fn count_distinct<T: Ord>(values: impl Iterator<Item = T>) -> usize {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.dedup();
    values.len()
}

/// The type of a plain column; of no interest for others.
fn of_column(column: &ArrayRef) -> DataType {
    DataType::from_arrow("", column.data_type()).unwrap_or(DataType::Null)
}
