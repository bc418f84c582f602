//! Writes answers as Hive-layout Parquet: one folder a day, rows sorted by key and time, zstd.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use arrow_buffer::NullBuffer;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::input::Query;
use crate::window::{Features, WINDOWS};

/// The beginning of feature columns: the name of the group-by in `benches/definitions`.
pub const PREFIX: &str = "perf_plain_v1_amount_";
const BATCH_ROWS: usize = 1 << 16;

/// One answered row.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The left row.
    pub query: Query,
    /// One entry a window.
    pub features: [Features; WINDOWS.len()],
}

/// Writes one day's rows, which it sorts.
pub fn write_day(table: &Path, day: &str, mut answers: Vec<Answer>) -> Result<()> {
    answers.sort_unstable_by_key(|answer| {
        (answer.query.user, answer.query.ts, answer.query.request_id)
    });
    let folder = table.join(format!("ds={day}"));
    fs::create_dir_all(&folder)?;
    let file = File::create(folder.join("part-0.parquet"))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let schema = batch(&[])?.schema();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties))?;
    for rows in answers.chunks(BATCH_ROWS) {
        writer.write(&batch(rows)?)?;
    }
    writer.close()?;
    Ok(())
}

fn batch(rows: &[Answer]) -> Result<RecordBatch> {
    let long = |value: fn(&Query) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(
            rows.iter().map(|row| value(&row.query)),
        ))
    };
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("user".to_owned(), long(|query| query.user)),
        ("request_id".to_owned(), long(|query| query.request_id)),
        ("ts".to_owned(), long(|query| query.ts)),
    ];
    for (index, window) in WINDOWS.iter().enumerate() {
        let of = |row: &Answer| row.features[index];
        let known: NullBuffer = rows.iter().map(|row| of(row).count > 0).collect();
        let double = |value: fn(Features) -> f64| -> ArrayRef {
            let values = rows.iter().map(|row| value(of(row))).collect();
            Arc::new(Float64Array::new(values, Some(known.clone())))
        };
        let counts = rows.iter().map(|row| i64::from(of(row).count)).collect();
        let count: ArrayRef = Arc::new(Int64Array::new(counts, Some(known.clone())));
        for (operation, column) in [
            ("sum", double(|features| features.sum)),
            ("count", count),
            (
                "average",
                double(|features| features.sum / f64::from(features.count)),
            ),
            ("max", double(|features| features.max)),
            ("last", double(|features| features.last)),
        ] {
            columns.push((format!("{PREFIX}{operation}_{}", window.name), column));
        }
    }
    Ok(RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )?)
}
