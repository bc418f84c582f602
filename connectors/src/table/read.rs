//! Reading a table piece by piece, as canonical Arrow batches. Hot path: no allocation per row, no
//! locks.
//!
//! Promises: splits come in the order of (partition, file, row), numbered; the position of a
//! batch's first row within its split is known, also when row groups were left out, so a row's
//! position never depends on what was pruned. Reads only the wanted columns and the row groups that
//! may matter. In an object store the next row group is under way while one is decoded. Filters no
//! rows.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, new_null_array};
use arrow_schema::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::RowGroupMetaData;
use unskewed_planner::schema::{DataType, Schema};

use super::conform::conform;
use super::footer::{Footer, LocalChunks, Pieces, Shared, damaged};
use super::layout::PartitionKey;
use super::prune::{Comparison, kept};
use super::schema::widest;
use crate::error::{Error, Result};
use crate::storage::object::PendingRanges;
use crate::storage::{Backend, FileMeta, Storage};

/// Row groups are joined to a split up to so many rows …
const SPLIT_ROWS: u64 = 512 * 1024;
/// … and so many bytes.
const SPLIT_BYTES: u64 = 64 * 1024 * 1024;
/// Rows of a batch, at most.
const BATCH_ROWS: usize = 32 * 1024;

/// A piece of a table: some row groups of one file.
#[derive(Clone, Debug)]
pub struct Split {
    /// Its number in the order of reading.
    pub ordinal: u64,
    /// The partition it belongs to.
    pub partition: PartitionKey,
    /// How many rows it holds.
    pub rows: u64,
    /// How many bytes they take in the file.
    pub bytes: u64,
    file: FileMeta,
    row_groups: Range<usize>,
    footer: Arc<Footer>,
    storage: Arc<Storage>,
}

/// Cuts a file into splits.
pub(super) fn cut(
    storage: &Arc<Storage>,
    key: &PartitionKey,
    file: &FileMeta,
    footer: &Arc<Footer>,
    splits: &mut Vec<Split>,
) {
    let groups = footer.metadata.metadata().row_groups();
    let mut start = 0;
    while start < groups.len() {
        let (mut rows, mut bytes, mut end) = (0, 0, start);
        while end < groups.len() {
            let more_rows = rows_of(&groups[end]);
            let more_bytes = u64::try_from(groups[end].compressed_size()).unwrap_or(0);
            let full = rows + more_rows > SPLIT_ROWS || bytes + more_bytes > SPLIT_BYTES;
            if end > start && full {
                break;
            }
            rows += more_rows;
            bytes += more_bytes;
            end += 1;
        }
        splits.push(Split {
            ordinal: u64::try_from(splits.len()).expect("a count fits"),
            partition: key.clone(),
            rows,
            bytes,
            file: file.clone(),
            row_groups: start..end,
            footer: Arc::clone(footer),
            storage: Arc::clone(storage),
        });
        start = end;
    }
}

fn rows_of(group: &RowGroupMetaData) -> u64 {
    u64::try_from(group.num_rows()).unwrap_or(0)
}

impl Split {
    /// The file, as a user would write its path.
    pub fn file(&self) -> String {
        self.storage.shown(&self.file.path)
    }

    /// Begins to read these columns, in this order and of these types: usually some of
    /// [`super::Table::schema`]. A column that the file lacks is null; one that cannot be read as
    /// its type without loss is an error. Row groups that cannot meet every comparison are left
    /// out; rows are not filtered.
    pub fn open(&self, columns: &Schema, comparisons: &[Comparison]) -> Result<SplitReader> {
        let groups = kept(&self.footer, self.row_groups.clone(), comparisons);
        let (sources, roots) = self.sources(columns)?;
        let footer = &self.footer.metadata;
        let mask = ProjectionMask::roots(footer.parquet_schema(), roots);
        let mut first_row = 0;
        let mut waiting = VecDeque::new();
        for group in self.row_groups.clone() {
            if groups.contains(&group) {
                waiting.push_back((group, first_row));
            }
            first_row += rows_of(footer.metadata().row_group(group));
        }
        let local = match &self.storage.backend {
            Backend::Local(files) if !waiting.is_empty() => {
                let file = files.open(&self.storage, &self.file)?;
                Some(Arc::new(LocalChunks(file)))
            }
            _ => None,
        };
        let mut reader = SplitReader {
            split: self.clone(),
            schema: Arc::new(columns.to_arrow()),
            columns: columns.clone(),
            sources,
            mask,
            local,
            waiting,
            ahead: None,
            current: None,
            next_row: 0,
            batch_row: 0,
        };
        reader.read_ahead()?;
        Ok(reader)
    }

    /// Where each wanted column comes from, and which columns of the file are read.
    fn sources(&self, columns: &Schema) -> Result<(Vec<Source>, Vec<usize>)> {
        let found = columns.fields.iter().map(|field| {
            let values = &self.partition.values;
            let partition = values
                .iter()
                .find(|(column, _)| column.eq_ignore_ascii_case(&field.name));
            if let Some((_, value)) = partition {
                return Ok(Source::Constant(constant(value.as_deref(), BATCH_ROWS)));
            }
            let Some(at) = self.footer.schema.index_of(&field.name) else {
                return Ok(Source::Missing);
            };
            let from = &self.footer.schema.fields[at].data_type;
            if widest(from, &field.data_type).as_ref() != Some(&field.data_type) {
                return Err(Error::TypeConflict {
                    column: field.name.clone(),
                    first: "what is asked for".into(),
                    first_type: Box::new(field.data_type.clone()),
                    second: self.file(),
                    second_type: Box::new(from.clone()),
                });
            }
            Ok(Source::File(at))
        });
        let found = found.collect::<Result<Vec<_>>>()?;
        let mut roots: Vec<usize> = found.iter().filter_map(Source::root).collect();
        roots.sort_unstable();
        roots.dedup();
        // From here on, a column's place among those that are read.
        let place = |source| match source {
            Source::File(at) => Source::File(roots.binary_search(&at).expect("it is one of them")),
            other => other,
        };
        Ok((found.into_iter().map(place).collect(), roots))
    }
}

/// Where a column comes from.
#[derive(Debug)]
enum Source {
    File(usize),
    Constant(ArrayRef),
    Missing,
}

impl Source {
    fn root(&self) -> Option<usize> {
        match self {
            Self::File(at) => Some(*at),
            Self::Constant(_) | Self::Missing => None,
        }
    }
}

fn constant(value: Option<&str>, rows: usize) -> ArrayRef {
    match value {
        Some(value) => Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
            value, rows,
        ))),
        None => new_null_array(&DataType::String.to_arrow(), rows),
    }
}

/// Reads a split to its end.
pub struct SplitReader {
    split: Split,
    schema: SchemaRef,
    columns: Schema,
    sources: Vec<Source>,
    mask: ProjectionMask,
    local: Option<Arc<LocalChunks>>,
    /// Row groups to come, each with the position of its first row.
    waiting: VecDeque<(usize, u64)>,
    ahead: Option<PendingRanges>,
    current: Option<ParquetRecordBatchReader>,
    next_row: u64,
    batch_row: u64,
}

impl std::fmt::Debug for SplitReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SplitReader")
            .field("file", &self.split.file())
            .field("next_row", &self.next_row)
            .finish_non_exhaustive()
    }
}

impl SplitReader {
    /// The schema of every batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The position within the split of the last batch's first row.
    pub fn batch_row(&self) -> u64 {
        self.batch_row
    }

    /// The next rows; `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(current) = &mut self.current {
                match current.next() {
                    Some(Ok(batch)) => return self.finish(&batch).map(Some),
                    Some(Err(source)) => return Err(damaged(&self.split.file(), source)),
                    None => self.current = None,
                }
            }
            let Some((group, first_row)) = self.waiting.pop_front() else {
                return Ok(None);
            };
            self.next_row = first_row;
            self.current = Some(self.begin(group)?);
        }
    }

    fn begin(&mut self, group: usize) -> Result<ParquetRecordBatchReader> {
        let built = match &self.local {
            Some(file) => self.build(Shared(Arc::clone(file)), group),
            None => {
                let ahead = self.ahead.take().expect("a row group is asked for ahead");
                let pieces = Pieces {
                    size: self.split.file.size,
                    pieces: ahead.take()?,
                };
                self.read_ahead()?;
                self.build(Shared(Arc::new(pieces)), group)
            }
        };
        built.map_err(|source| damaged(&self.split.file(), source))
    }

    fn build<R: parquet::file::reader::ChunkReader + 'static>(
        &self,
        chunks: R,
        group: usize,
    ) -> parquet::errors::Result<ParquetRecordBatchReader> {
        let metadata = self.split.footer.metadata.clone();
        ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, metadata)
            .with_projection(self.mask.clone())
            .with_row_groups(vec![group])
            .with_batch_size(BATCH_ROWS)
            .build()
    }

    /// Asks the object store for the next row group's columns.
    fn read_ahead(&mut self) -> Result<()> {
        let Backend::Object(files) = &self.split.storage.backend else {
            return Ok(());
        };
        let Some((group, _)) = self.waiting.front() else {
            return Ok(());
        };
        let metadata = self.split.footer.metadata.metadata();
        let columns = metadata.row_group(*group).columns().iter().enumerate();
        let wanted = columns.filter(|(leaf, _)| self.mask.leaf_included(*leaf));
        let ranges = wanted.map(|(_, column)| {
            let (start, length) = column.byte_range();
            start..start + length
        });
        let ranges = ranges.collect();
        let pending = files.start_ranges(&self.split.storage, &self.split.file, ranges)?;
        self.ahead = Some(pending);
        Ok(())
    }

    /// The wanted columns, in canonical form.
    fn finish(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let columns = self.columns.fields.iter().zip(&self.sources);
        let columns = columns.map(|(field, source)| match source {
            Source::File(at) => {
                let column = batch.column(*at);
                conform(column, &field.data_type).map_err(|source| Error::Conversion {
                    column: field.name.clone(),
                    from: column.data_type().to_string(),
                    to: Box::new(field.data_type.clone()),
                    source,
                })
            }
            Source::Constant(values) => conform(&values.slice(0, rows), &field.data_type)
                .map_err(|source| damaged(&self.split.file(), source)),
            Source::Missing => Ok(new_null_array(&field.data_type.to_arrow(), rows)),
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.schema);
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)
            .map_err(|source| damaged(&self.split.file(), source))?;
        self.batch_row = self.next_row;
        self.next_row += u64::try_from(rows).expect("a count fits");
        Ok(batch)
    }
}
