//! Reads the two tables of the workload: events and left rows, from Hive-layout Parquet.
//!
//! Null amounts are dropped while reading: none of the five operations counts them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const BATCH_ROWS: usize = 1 << 16;

/// One event whose amount is known.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Key.
    pub user: i64,
    /// Event time in milliseconds.
    pub ts: i64,
    /// The value that is aggregated.
    pub amount: f64,
}

/// One left row.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Key.
    pub user: i64,
    /// Asking time in milliseconds.
    pub ts: i64,
    /// The row's own name.
    pub request_id: i64,
    /// Ordinal of the partition it stands in.
    pub day: u32,
}

/// A table's partitions in order: name of the day, files in order.
pub fn partitions(table: &Path) -> Result<Vec<(String, Vec<PathBuf>)>> {
    let mut days = Vec::new();
    for entry in fs::read_dir(table).with_context(|| format!("no table at {}", table.display()))? {
        let folder = entry?.path();
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if let Some(day) = name.strip_prefix("ds=") {
            let mut files: Vec<PathBuf> = fs::read_dir(&folder)?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<std::io::Result<_>>()?;
            files.retain(|path| path.extension().is_some_and(|ending| ending == "parquet"));
            files.sort();
            days.push((day.to_owned(), files));
        }
    }
    ensure!(!days.is_empty(), "no partition ds=… in {}", table.display());
    days.sort();
    Ok(days)
}

fn for_each_batch(
    path: &Path,
    columns: [&str; 3],
    mut body: impl FnMut(&RecordBatch) -> Result<()>,
) -> Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
    for batch in builder
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build()?
    {
        body(&batch?)?;
    }
    Ok(())
}

fn longs<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a [i64]> {
    let column = batch
        .column_by_name(name)
        .with_context(|| format!("no column {name}"))?;
    let column = column
        .as_primitive_opt::<Int64Type>()
        .with_context(|| format!("{name} is {} and not a long", column.data_type()))?;
    ensure!(
        column.null_count() == 0,
        "{name} has nulls; the workload has none"
    );
    Ok(column.values())
}

/// Hands over the events of a file in order.
pub fn read_events(path: &Path, mut take: impl FnMut(Event)) -> Result<()> {
    for_each_batch(path, ["user", "ts", "amount"], |batch| {
        let (users, times) = (longs(batch, "user")?, longs(batch, "ts")?);
        let amounts = batch
            .column_by_name("amount")
            .and_then(|column| column.as_primitive_opt::<Float64Type>())
            .context("no column amount of doubles")?;
        let values = amounts.values();
        for row in 0..batch.num_rows() {
            if amounts.is_valid(row) {
                take(Event {
                    user: users[row],
                    ts: times[row],
                    amount: values[row],
                });
            }
        }
        Ok(())
    })
}

/// Hands over the left rows of a file in order.
pub fn read_queries(path: &Path, day: u32, mut take: impl FnMut(Query)) -> Result<()> {
    for_each_batch(path, ["user", "ts", "request_id"], |batch| {
        let (users, times) = (longs(batch, "user")?, longs(batch, "ts")?);
        let requests = longs(batch, "request_id")?;
        for row in 0..batch.num_rows() {
            take(Query {
                user: users[row],
                ts: times[row],
                request_id: requests[row],
                day,
            });
        }
        Ok(())
    })
}
