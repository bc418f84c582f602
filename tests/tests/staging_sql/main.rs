//! Whole queries, those of `tests/sql/queries` and of `queries.jsonl` beside it, run over the tables of the folder and
//! held against the answers of a real Spark 3.5.
//!
//! Promises: columns have Spark's names and types, rows are Spark's by the rules of that folder's README; what is not
//! supported is a clean error and never another answer. `SQL_ONLY=window` (a part of a name) runs those queries only
//! and prints what differs: `SQL_ONLY=… cargo test -p unskewed-tests --test staging_sql -- --nocapture`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::print_stdout,
    reason = "a report for who asks with --nocapture"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use serde_json::Value;
use unskewed_connectors::table::Warehouse;
use unskewed_engine::job::WarehouseCatalog;
use unskewed_engine::sql;
use unskewed_planner::query;
use unskewed_planner::schema::Schema;

#[path = "../../../engine/kernel/tests/spark_sql/codec.rs"]
#[allow(dead_code, reason = "shared with the tests of expressions")]
mod codec;
mod correlated;
mod meaning;

/// The least share of equal answers, in percent.
const FLOOR: f64 = 98.9;

/// What sums of doubles and their like may differ by, relatively.
const TOLERANCE: f64 = 1e-12;

/// A query's columns and rows, cells in the data's encoding.
pub(crate) struct Answer {
    pub(crate) schema: Schema,
    pub(crate) rows: Vec<Vec<Value>>,
}

/// A warehouse of the queries' tables, in a folder that goes with it.
pub(crate) struct Tables {
    _folder: tempfile::TempDir,
    pub(crate) warehouse: Warehouse,
}

fn queries() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/queries")
}

pub(crate) fn tables() -> Tables {
    let folder = tempfile::tempdir().unwrap();
    for name in ["users", "events", "items", "t"] {
        let table = folder.path().join(format!("default.db/{name}"));
        std::fs::create_dir_all(&table).unwrap();
        let file = queries().join(format!("tables/{name}.parquet"));
        std::fs::copy(file, table.join("part-0.parquet")).unwrap();
    }
    Tables {
        warehouse: Warehouse::open(folder.path().to_str().unwrap()).unwrap(),
        _folder: folder,
    }
}

/// Plans a query; the error as the user sees it.
pub(crate) fn plan(tables: &Tables, text: &str) -> Result<query::tree::Relation, String> {
    let catalog = WarehouseCatalog::new(&tables.warehouse);
    query::plan(text, &catalog).map_err(|error| error.to_string())
}

/// Runs a query in so much memory.
pub(crate) fn answer(tables: &Tables, text: &str, memory: Option<u64>) -> Result<Answer, String> {
    let relation = plan(tables, text)?;
    let mut running =
        sql::run(&relation, &tables.warehouse, memory).map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    while let Some(batch) = running.next_batch().map_err(|error| error.to_string())? {
        rows.extend(cells(&batch, &relation.schema));
    }
    Ok(Answer {
        schema: relation.schema,
        rows,
    })
}

fn cells(batch: &RecordBatch, schema: &Schema) -> Vec<Vec<Value>> {
    let cell = |row: usize, column: usize| {
        let data_type = &schema.fields[column].data_type;
        codec::encode(batch.column(column), row, data_type)
    };
    (0..batch.num_rows())
        .map(|row| (0..batch.num_columns()).map(|c| cell(row, c)).collect())
        .collect()
}

/// What differs between an answer and Spark's record of it.
pub(crate) fn difference(answer: &Answer, record: &Value) -> Option<String> {
    let columns: Vec<(String, String)> = answer
        .schema
        .fields
        .iter()
        .map(|f| (f.name.clone(), f.data_type.to_string()))
        .collect();
    let wanted: Vec<(String, String)> = serde_json::from_value(record["columns"].clone()).unwrap();
    if columns != wanted {
        return Some(format!("columns {columns:?}, Spark {wanted:?}"));
    }
    let wanted = record["rows"].as_array().unwrap();
    if answer.rows.len() != wanted.len() {
        return Some(format!(
            "{} rows, Spark {}",
            answer.rows.len(),
            wanted.len()
        ));
    }
    let ordered = record["ordered"].as_bool().unwrap();
    let mut left: Vec<&Vec<Value>> = answer.rows.iter().collect();
    for row in wanted {
        let same = |found: &&Vec<Value>| {
            let cells = found.iter().zip(row.as_array().unwrap());
            cells
                .zip(&answer.schema.fields)
                .all(|((found, wanted), field)| {
                    codec::same(found, wanted, &field.data_type, TOLERANCE)
                })
        };
        let place = match ordered {
            true => left.first().filter(|found| same(found)).map(|_| 0),
            false => left.iter().position(same),
        };
        match place {
            Some(place) => {
                left.remove(place);
            }
            None => return Some(format!("no row {row}; left are {left:?}")),
        }
    }
    None
}

enum Outcome {
    Equal,
    Refused(String),
    Different(String),
}

fn judge(tables: &Tables, text: &str, record: &Value) -> Outcome {
    let run = || answer(tables, text, None);
    let Ok(answer) = catch_unwind(AssertUnwindSafe(run)) else {
        return Outcome::Different("panic".into());
    };
    match (answer, record["error"].is_object()) {
        (Err(_), true) => Outcome::Equal,
        (Err(message), false) => Outcome::Refused(message),
        (Ok(_), true) => Outcome::Different(format!("Spark refuses it: {}", record["error"])),
        (Ok(answer), false) => match difference(&answer, record) {
            None => Outcome::Equal,
            Some(difference) => Outcome::Different(difference),
        },
    }
}

/// A query, its text and what Spark answered.
struct Recorded {
    name: String,
    text: String,
    record: Value,
}

fn recorded() -> Vec<Recorded> {
    let folder = std::fs::read_dir(queries()).unwrap().flatten();
    let in_files = folder.filter_map(|entry| {
        let text = entry.path();
        let name = text.file_name()?.to_string_lossy().into_owned();
        let name = name.strip_suffix(".sql")?.to_owned();
        let record = std::fs::read_to_string(text.with_extension("jsonl")).unwrap();
        Some(Recorded {
            name,
            text: std::fs::read_to_string(text).unwrap(),
            record: serde_json::from_str(&record).unwrap(),
        })
    });
    let lines = std::fs::read_to_string(queries().with_extension("jsonl")).unwrap();
    let in_lines = lines.lines().map(|line| {
        let record: Value = serde_json::from_str(line).unwrap();
        Recorded {
            name: record["id"].as_str().unwrap().to_owned(),
            text: record["sql"].as_str().unwrap().to_owned(),
            record,
        }
    });
    let mut all: Vec<Recorded> = in_files.chain(in_lines).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

#[test]
fn answers_are_those_of_spark() {
    let only = std::env::var("SQL_ONLY").ok();
    let tables = tables();
    let (mut equal, mut all) = (0_u32, 0_u32);
    let mut different = Vec::new();
    for Recorded { name, text, record } in recorded() {
        if only.as_ref().is_some_and(|only| !name.contains(only)) {
            continue;
        }
        all += 1;
        match judge(&tables, &text, &record) {
            Outcome::Equal => equal += 1,
            Outcome::Refused(message) => println!("refused {name}: {message}"),
            Outcome::Different(message) => different.push(format!("{name}: {message}")),
        }
    }
    let share = 100.0 * f64::from(equal) / f64::from(all);
    println!("{equal} of {all} queries equal: {share:.1} %");
    assert!(
        different.is_empty(),
        "different answers:\n{}",
        different.join("\n")
    );
    assert!(share >= FLOOR, "{share:.1} % equal, the floor is {FLOOR} %");
}

/// With little memory everything is sorted and merged, and the answers are the same.
#[test]
fn little_memory_changes_no_answer() {
    let tables = tables();
    for Recorded { name, text, .. } in recorded() {
        let Ok(free) = answer(&tables, &text, None) else {
            continue;
        };
        let bounded = answer(&tables, &text, Some(64 << 20));
        let bounded = bounded.unwrap_or_else(|error| panic!("{name}: {error}"));
        let sorted = |answer: Answer| {
            let mut rows: Vec<String> = answer.rows.iter().map(|r| format!("{r:?}")).collect();
            rows.sort();
            rows
        };
        assert_eq!(sorted(bounded), sorted(free), "{name}");
    }
}
