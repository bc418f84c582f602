//! The examples' compiled definitions are what their Python says, and give what their input says.
//!
//! Compiles the Python of each example in a temporary folder with the installed `chronon-ai` and
//! compares the files with the committed ones, byte for byte; makes the shop's input and its
//! training table. Where the virtual environment is not installed (`make venv`) a test says so and
//! passes; continuous integration installs it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a skipped test says why")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use unskewed_connectors::clock::ManualClock;
use unskewed_connectors::table::Warehouse;
use unskewed_engine::job::{self, Context, Job, Kind, NoWatcher, Options, Outcome};
use unskewed_planner::definition::{Definition, Dialect};

/// Folder of definitions, and the file in it that compiles.
const DEFINITIONS: &[(&str, &str)] = &[
    ("examples/quickstart/definitions", "joins/flights/delays.py"),
    ("examples/shop/definitions", "joins/shop/training_set.py"),
    ("benches/definitions", "joins/perf/queries.py"),
];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("the tests package lies in the workspace")
        .to_path_buf()
}

/// All files below a folder: path relative to it → bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_path_buf();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn compiled_definitions_are_what_the_python_says() {
    let python = root().join(".venv/bin/python");
    let compiler = root().join(".venv/bin/compile.py");
    if !python.exists() || !compiler.exists() {
        assert!(
            env::var_os("CI").is_none(),
            "CI must run `make venv` before the tests"
        );
        println!("skipped: no chronon-ai in .venv; `make venv` installs it");
        return;
    }
    for (folder, conf) in DEFINITIONS {
        let committed = root().join(folder);
        let copy = tempfile::tempdir().unwrap();
        for (name, bytes) in contents(&committed) {
            let is_source = name
                .extension()
                .is_some_and(|ending| ending == "py" || ending == "json");
            if is_source && !name.starts_with("production") {
                let target = copy.path().join(name);
                fs::create_dir_all(target.parent().unwrap()).unwrap();
                fs::write(target, bytes).unwrap();
            }
        }
        let output = Command::new(&python)
            .arg(&compiler)
            .args(["--yes", "--chronon_root"])
            .arg(copy.path())
            .args(["--conf", conf])
            .env("PYTHONPATH", copy.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "compiling {folder}/{conf} failed:\n{log}"
        );
        let fresh = contents(&copy.path().join("production"));
        assert!(
            !fresh.is_empty(),
            "compiling {folder}/{conf} wrote nothing:\n{log}"
        );
        assert!(
            fresh == contents(&committed.join("production")),
            "{folder}/production is not what {conf} compiles to: run `make compile` and commit it",
        );
    }
}

/// All rows of a table's Parquet files, in the order of partitions and files.
fn rows(table: &Path) -> Vec<RecordBatch> {
    let mut batches = vec![];
    for (name, _) in contents(table) {
        if name.extension().is_some_and(|ending| ending == "parquet") {
            let file = fs::File::open(table.join(&name)).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(file)
                .unwrap()
                .build()
                .unwrap();
            batches.extend(reader.map(Result::unwrap));
        }
    }
    batches
}

fn texts(batch: &RecordBatch, name: &str) -> StringArray {
    batch
        .column_by_name(name)
        .unwrap()
        .as_string::<i32>()
        .clone()
}

fn longs(batch: &RecordBatch, name: &str) -> Int64Array {
    batch
        .column_by_name(name)
        .unwrap()
        .as_primitive::<Int64Type>()
        .clone()
}

/// The interpreter that has the examples' packages, or nothing after saying so.
fn python() -> Option<PathBuf> {
    let python = root().join(".venv/bin/python");
    if python.exists() {
        return Some(python);
    }
    assert!(
        env::var_os("CI").is_none(),
        "CI must run `make venv` before the tests"
    );
    println!("skipped: no Python packages in .venv; `make venv` installs them");
    None
}

/// Runs a script of an example and panics with what it said if it fails.
fn run_script(python: &Path, script: &str, arguments: &[&str]) {
    let output = Command::new(python)
        .arg(root().join("examples").join(script))
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&said)
    );
}

/// Makes an example's input in a folder and its training table until a day.
fn run_example(python: &Path, folder: &Path, example: &str, join: &str, end: &str) -> Outcome {
    run_script(
        python,
        &format!("{example}/make_input.py"),
        &[folder.to_str().unwrap()],
    );
    let conf = root().join(format!(
        "examples/{example}/definitions/production/joins/{join}"
    ));
    let definition = Definition::load(&fs::read_to_string(conf).unwrap(), Dialect::Airbnb);
    let job = Job {
        kind: Kind::Join,
        definition: definition.unwrap(),
        options: Options::until(end.parse().unwrap()),
    };
    let context = Context {
        warehouse: &Warehouse::open(folder.to_str().unwrap()).unwrap(),
        clock: &ManualClock::at_millis(1_712_000_000_000),
        workers: 2,
        memory_bytes: None,
        watcher: &NoWatcher,
    };
    job::run(&job, &context).unwrap()
}

/// Shows that two days of the real flights have the features that plain Python computes.
#[test]
fn the_quickstart_agrees_with_plain_python() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (join, end) = ("flights/delays.v1", "2013-02-02");
    let outcome = run_example(&python, folder.path(), "quickstart", join, end);
    assert_eq!(outcome.bad_rows, 0, "{:?}", outcome.bad_samples);
    run_script(
        &python,
        "quickstart/check.py",
        &[folder.path().to_str().unwrap(), end],
    );
}

/// Shows that the shop's training table has each checkout once, with the sum of the user's purchases
/// that a plain walk over the input gives.
#[test]
fn the_shop_gets_its_training_table() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let outcome = run_example(
        &python,
        folder.path(),
        "shop",
        "shop/training_set.v1",
        "2024-03-30",
    );
    assert_eq!((outcome.rows_out, outcome.bad_rows), (15 * 150, 0));
    let mut purchases: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
    for batch in rows(&folder.path().join("shop.db/purchases")) {
        let (users, times) = (texts(&batch, "user_id"), longs(&batch, "purchased_ms"));
        let cents = longs(&batch, "price_cents");
        for row in 0..batch.num_rows() {
            let price = f64::from(i32::try_from(cents.value(row)).unwrap()) / 100.0;
            let of_user = purchases.entry(users.value(row).to_owned()).or_default();
            of_user.push((times.value(row), price));
        }
    }
    let mut seen = BTreeSet::new();
    for batch in rows(&folder.path().join("training.db/shop_training_set_v1")) {
        let (users, times) = (texts(&batch, "user_id"), longs(&batch, "ts"));
        let checkouts = longs(&batch, "checkout_id");
        let sums = batch
            .column_by_name("shop_purchases_v1_price_sum_14d")
            .unwrap();
        let sums = sums.as_primitive::<Float64Type>();
        for row in 0..batch.num_rows() {
            assert!(
                seen.insert(checkouts.value(row)),
                "checkout {} twice",
                checkouts.value(row)
            );
            let day = 86_400_000;
            let tail = (times.value(row) - 14 * day) / day * day;
            let own = users
                .is_valid(row)
                .then(|| purchases.get(users.value(row)))
                .flatten();
            let counted: Vec<f64> = own
                .into_iter()
                .flatten()
                .filter(|(time, _)| tail <= *time && *time < times.value(row))
                .map(|(_, price)| *price)
                .collect();
            let expected = (!counted.is_empty()).then(|| counted.iter().sum::<f64>());
            let got = sums.is_valid(row).then(|| sums.value(row));
            let is_close = match (got, expected) {
                (Some(got), Some(expected)) => (got - expected).abs() <= 1e-9 * expected.abs(),
                (got, expected) => got.is_none() && expected.is_none(),
            };
            assert!(
                is_close,
                "{}: {got:?} and not {expected:?}",
                checkouts.value(row)
            );
        }
    }
    assert_eq!(seen.len(), 15 * 150);
}
