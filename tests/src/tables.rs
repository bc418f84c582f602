//! Small warehouses: tables of a few rows, the definitions over them, and what a job wrote.
//!
//! All tables lie in the database `feat`. Anything unexpected panics: only tests call this.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use unskewed_connectors::clock::ManualClock;
use unskewed_connectors::table::Warehouse;
use unskewed_engine::job::{self, Context, Job, Kind, NoWatcher, Options, Outcome};
use unskewed_planner::definition::{Definition, Dialect};

/// A day in milliseconds.
pub const DAY: i64 = 86_400_000;
/// An hour in milliseconds.
pub const HOUR: i64 = 3_600_000;
/// 2024-01-01.
pub const START: i64 = 1_704_067_200_000;
/// Codes of operations and accuracies in compiled definitions.
pub mod code {
    /// COUNT
    pub const COUNT: u8 = 6;
    /// SUM
    pub const SUM: u8 = 7;
    /// As of the millisecond.
    pub const TEMPORAL: u8 = 0;
    /// As of the last midnight.
    pub const SNAPSHOT: u8 = 1;
}

/// A column of strings.
pub fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// A column of longs.
pub fn longs(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

/// Writes one partition of a table of the database `feat`.
pub fn write(warehouse: &Path, table: &str, ds: &str, columns: Vec<(&str, ArrayRef)>) {
    let folder = warehouse.join(format!("feat.db/{table}/ds={ds}"));
    fs::create_dir_all(&folder).unwrap();
    let nullable = columns
        .into_iter()
        .map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(nullable).unwrap();
    let file = File::create(folder.join("part-0.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn metadata(name: &str) -> Value {
    json!({
        "name": name, "online": 0, "production": 0, "customJson": "{}", "dependencies": [],
        "tableProperties": {}, "outputNamespace": "feat", "team": "team",
        "offlineSchedule": "@daily",
    })
}

fn events(table: &str, selects: &[&str]) -> Value {
    let selects: BTreeMap<&str, &str> = selects.iter().map(|name| (*name, *name)).collect();
    json!({"events": {"table": format!("feat.{table}"), "query": {
        "selects": selects, "timeColumn": "ts", "setups": [],
    }}})
}

/// A group-by `team.right.v1` over the events of `feat.right`.
pub fn group_by(keys: &[&str], selects: &[&str], aggregations: &Value, accuracy: u8) -> Value {
    let mut metadata = metadata("team.right.v1");
    metadata.as_object_mut().unwrap().remove("online");
    metadata.as_object_mut().unwrap().remove("production");
    json!({
        "metaData": metadata, "sources": [events("right", selects)], "keyColumns": keys,
        "aggregations": aggregations, "accuracy": accuracy,
    })
}

/// A join `team.join.v1` of the events of `feat.left` with one group-by.
pub fn join(left_selects: &[&str], right: &Value) -> Value {
    let mut left = events("left", left_selects);
    left["events"]["query"]["selects"]["ts"] = json!("ts");
    json!({"metaData": metadata("team.join.v1"), "left": left, "joinParts": [{"groupBy": right}]})
}

/// Runs a job in process until a day.
pub fn run(warehouse: &Path, kind: Kind, definition: &Value, end: &str, workers: usize) -> Outcome {
    let options = Options::until(end.parse().unwrap());
    run_with(warehouse, kind, definition, options, workers).unwrap()
}

/// Runs a job in process with these options.
pub fn run_with(
    warehouse: &Path,
    kind: Kind,
    definition: &Value,
    options: Options,
    workers: usize,
) -> job::Result<Outcome> {
    let warehouse = Warehouse::open(warehouse.to_str().unwrap()).unwrap();
    let job = Job {
        kind,
        definition: Definition::load(&definition.to_string(), Dialect::Airbnb).unwrap(),
        options,
    };
    let context = Context {
        warehouse: &warehouse,
        clock: &ManualClock::at_millis(START + 40 * DAY),
        workers,
        memory_bytes: None,
        watcher: &NoWatcher,
    };
    job::run(&job, &context)
}

/// The files a reader sees of each partition, by the partition's folder, in order.
pub fn partitions(warehouse: &Path, table: &str) -> BTreeMap<String, Vec<PathBuf>> {
    let mut found = BTreeMap::new();
    let folder = warehouse.join(format!("feat.db/{table}"));
    for partition in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = partition.file_name().to_string_lossy().into_owned();
        if name.starts_with("ds=") {
            let files = fs::read_dir(partition.path()).unwrap().flatten();
            let hidden = |path: &PathBuf| {
                let name = path.file_name().unwrap().to_string_lossy();
                name.starts_with(['_', '.'])
            };
            let mut files: Vec<PathBuf> = files
                .map(|file| file.path())
                .filter(|path| !hidden(path))
                .collect();
            files.sort();
            found.insert(name, files);
        }
    }
    found
}

/// All rows of a file.
pub fn batches(file: &Path) -> impl Iterator<Item = RecordBatch> + use<> {
    let file = File::open(file).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap();
    reader.map(Result::unwrap)
}

/// The rows of a table of `feat`: by the value of one long column, another one's long value.
pub fn read(warehouse: &Path, table: &str, by: &str, value: &str) -> BTreeMap<i64, Option<i64>> {
    let mut rows = BTreeMap::new();
    for batch in partitions(warehouse, table)
        .values()
        .flatten()
        .flat_map(|file| batches(file))
    {
        let column = |name: &str| {
            let column = batch.column_by_name(name);
            Arc::clone(column.unwrap_or_else(|| panic!("no {name} in {:?}", batch.schema())))
        };
        let (by, value) = (column(by), column(value));
        let (by, value) = (
            by.as_primitive::<Int64Type>(),
            value.as_primitive::<Int64Type>(),
        );
        for row in 0..batch.num_rows() {
            let cell = value.is_valid(row).then(|| value.value(row));
            let before = rows.insert(by.value(row), cell);
            assert!(before.is_none(), "{} is there twice", by.value(row));
        }
    }
    rows
}

/// The rows of a table of `feat`: by the value of a long column, another one's text.
pub fn read_texts(
    warehouse: &Path,
    table: &str,
    by: &str,
    value: &str,
) -> BTreeMap<i64, Option<String>> {
    let mut rows = BTreeMap::new();
    let files = partitions(warehouse, table);
    for batch in files.values().flatten().flat_map(|file| batches(file)) {
        let (by, value) = (
            batch.column_by_name(by).unwrap(),
            batch.column_by_name(value).unwrap(),
        );
        let (by, value) = (by.as_primitive::<Int64Type>(), value.as_string::<i32>());
        for row in 0..batch.num_rows() {
            let cell = value.is_valid(row).then(|| value.value(row).to_owned());
            let before = rows.insert(by.value(row), cell);
            assert!(before.is_none(), "{} is there twice", by.value(row));
        }
    }
    rows
}

/// Rows of a Parquet file, which must be whole.
pub fn row_count(file: &Path) -> usize {
    batches(file).map(|batch| batch.num_rows()).sum()
}
