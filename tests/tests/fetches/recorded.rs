//! Recorded requests, answered from recorded tables.

use std::fs;
use std::path::{Path, PathBuf};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use unskewed_connectors::table::{Selection, Warehouse};
use unskewed_engine::job::{Kind, Options};
use unskewed_fetcher::log::{Logged, SCHEMA_PUBLISH_EVENT};
use unskewed_planner::definition::{Definition, Dialect};

use super::answers::difference;
use super::online::{Online, answer, request};

fn load(path: &Path) -> Definition {
    Definition::load(&fs::read_to_string(path).unwrap(), Dialect::Airbnb).unwrap()
}

fn lay_tables(from: &Path, warehouse: &Path) {
    for table in fs::read_dir(from).unwrap() {
        let table = table.unwrap().path();
        let name = table.file_name().unwrap().to_string_lossy().into_owned();
        let (database, name) = name.split_once('.').unwrap();
        copy(&table, &warehouse.join(format!("{database}.db/{name}")));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Every definition below a folder of compiled ones, each kind's folder a name of its path.
fn definitions(folder: &Path) -> Vec<Definition> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.components().any(|name| name.as_os_str() == "joins") {
                found.push(load(&path));
            }
        }
    }
    found
}

fn lines(path: &Path) -> Vec<Json> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The answers to the requests of a file, joins and group-bys in one go each.
fn fetch(online: &Online, requests: &[Json]) -> Vec<Json> {
    let fetcher = online.fetcher();
    let of = |kind: &str| {
        let own = requests.iter().filter(|one| one["type"] == kind);
        own.map(|one| {
            request(
                one["name"].as_str().unwrap(),
                &one["keys"],
                one["ts"].as_i64(),
            )
        })
        .collect::<Vec<_>>()
    };
    let joins = futures::executor::block_on(fetcher.fetch_join(&of("join")));
    let (mut joins, mut groups) = (
        joins.iter(),
        fetcher.fetch_group_by(&of("group_by")).into_iter(),
    );
    let next = |one: &Json| match one["type"] == "join" {
        true => answer(joins.next().unwrap()),
        false => answer(&groups.next().unwrap()),
    };
    requests.iter().map(next).collect()
}

/// Features that are not compared: the case, the ending of their names, and why.
const KNOWN: [(&str, &str, &str); 1] = [(
    "fetch_temporal_events",
    "category_histogram_2d",
    "an event of the very instant two days before the batch's end counts, as offline (deviation D13)",
)];

/// An answer without what is not compared.
fn known_aside(case: &str, mut answer: Json) -> Json {
    if let Some(values) = answer["values"].as_object_mut() {
        for (_, ending, _) in KNOWN.iter().filter(|(of, ..)| *of == case) {
            values.retain(|name, _| !name.ends_with(ending));
        }
    }
    answer
}

/// A row of the raw log: name, hash, time, keys, values. A schema's time is when it was first needed.
type Row = (String, Option<String>, Option<i64>, String, String);

fn row(logged: &Logged) -> Row {
    let time = logged.schema_hash.is_some().then_some(logged.ts_millis);
    let (keys, values) = (&logged.key_bytes, &logged.value_bytes);
    let name = logged.join_name.clone();
    (
        name,
        logged.schema_hash.clone(),
        time,
        STANDARD.encode(keys),
        STANDARD.encode(values),
    )
}

/// The rows of a recorded log table, sorted.
fn recorded(folder: &Path) -> Vec<Row> {
    let warehouse = tempfile::tempdir().unwrap();
    lay_tables(folder, warehouse.path());
    logged(warehouse.path())
}

/// The rows of a warehouse's log table, sorted.
fn logged(warehouse: &Path) -> Vec<Row> {
    let warehouse = Warehouse::open(warehouse.to_str().unwrap()).unwrap();
    let table = warehouse.table("online_logs.mock_log_table").unwrap();
    let mut rows = Vec::new();
    for batch in table.read(&Selection::all(), None).unwrap() {
        let text = |name: &str, row: usize| {
            let column = batch.column_by_name(name).unwrap().as_string::<i32>();
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        let times = batch
            .column_by_name("ts_millis")
            .unwrap()
            .as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let hash = text("schema_hash", row);
            let time = hash.is_some().then_some(times.value(row));
            let of = |name| text(name, row).unwrap();
            rows.push((of("name"), hash, time, of("key_base64"), of("value_base64")));
        }
    }
    rows.sort();
    rows
}

/// Holds answers against the recorded ones.
fn compare(case: &str, expected: &[Json], given: &[Json]) {
    assert_eq!(expected.len(), given.len());
    let aside = |answer: &Json| known_aside(case, answer.clone());
    let wrong: Vec<String> = (1..)
        .zip(expected.iter().zip(given))
        .filter_map(|(number, (want, got))| {
            let text = difference(&aside(want), &aside(got))?;
            Some(format!("answer {number}: {text}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The value of an option among a step's arguments.
fn argument<'a>(step: &'a Json, option: &str) -> &'a str {
    let words = step["args"].as_array().unwrap();
    let at = words.iter().position(|word| *word == option).unwrap();
    words[at + 1].as_str().unwrap()
}

/// Runs the steps of a case up to its requests, and compares the answers.
fn replay(name: &str) {
    let case = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("conformance/cases")
        .join(name);
    let folder = tempfile::tempdir().unwrap();
    let online = Online::new(folder.path(), 2);
    let steps: Json =
        serde_json::from_str(&fs::read_to_string(case.join("case.json")).unwrap()).unwrap();
    let mut fetched = false;
    for step in steps["steps"].as_array().unwrap() {
        let path = |field: &str| -> PathBuf { case.join(step[field].as_str().unwrap()) };
        let what = step["action"].as_str().or(step["job"].as_str()).unwrap();
        match what {
            "load" => lay_tables(&path("dir"), folder.path()),
            "group-by-upload" => {
                let definition = load(&path("conf"));
                online.run(
                    Kind::GroupByUpload,
                    &definition,
                    argument(step, "--end-date"),
                );
            }
            "bulk_load" => online.load(&load(&path("conf"))),
            "stream" => online.stream(&load(&path("conf")), step["ds"].as_str().unwrap()),
            "metadata_upload" => definitions(&path("dir"))
                .iter()
                .for_each(|d| online.describe(d)),
            "fetch" => {
                let given = fetch(&online, &lines(&path("requests")));
                compare(name, &lines(&path("responses")), &given);
                fetched = true;
            }
            "flush_log" => {
                let recorded = recorded(&case.join("expected/flush_log"));
                let mut own: Vec<Row> = online.log.0.lock().unwrap().iter().map(row).collect();
                own.sort();
                assert_eq!(own, recorded, "what was logged");
                online.write_log("online_logs.mock_log_table");
                assert_eq!(
                    logged(folder.path()),
                    recorded,
                    "what was logged as a table"
                );
            }
            "log_schema_table" => {
                lay_tables(&case.join("expected/log_schema_table"), folder.path());
            }
            "log-flattener" => {
                let mut options = Options::until(argument(step, "--end-date").parse().unwrap());
                options.measure.log_table = Some(argument(step, "--log-table").into());
                options.measure.schema_table = Some(argument(step, "--schema-table").into());
                let outcome = online.run_with(Kind::LogFlattener, &load(&path("conf")), options);
                let rows = logged(folder.path()).into_iter();
                let rows = rows
                    .filter(|(name, ..)| name != SCHEMA_PUBLISH_EVENT)
                    .count() as u64;
                assert_eq!(
                    (outcome.rows_out, outcome.bad_rows),
                    (rows, 0),
                    "what is flattened"
                );
            }
            // The rest comes after the requests, or before them and for their sake only by the reference's driver.
            _ => {}
        }
    }
    assert!(fetched);
}

macro_rules! recorded {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name));
            }
        )*
    };
}

recorded! {
    fetch_chained
    fetch_entities_mutations
    fetch_log_flatten_consistency
    fetch_snapshot_mixed
    fetch_temporal_events
    join_bootstrap_log
}
