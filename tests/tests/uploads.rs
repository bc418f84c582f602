//! Uploads end to end: bytes that a standard Avro library reads, columns that cannot be stored, and a load that is
//! killed at any moment.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, MapBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch};
use arrow_avro::reader::ReaderBuilder;
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use serde_json::{Value, json};
use unskewed_connectors::clock::{Clock, ManualClock};
use unskewed_connectors::kv::{self, Get, KvStore};
use unskewed_connectors::table::{Selection, Warehouse};
use unskewed_engine::job::{self, Context, Error, Kind, NoWatcher, Options};
use unskewed_kernel::codec::avro;
use unskewed_planner::avro::Record;
use unskewed_planner::definition::{Definition, Dialect};
use unskewed_planner::serving::{SERVING_INFO_KEY, ServingInfo, batch_dataset};
use unskewed_tests::tables::code::{COUNT, SUM, TEMPORAL};
use unskewed_tests::tables::{DAY, START, group_by, longs, run, run_with, texts, write};

const SNAPSHOT: u8 = 1;
const DATASET: &str = "TEAM_RIGHT_V1_BATCH";

fn entities(keys: &[&str], selects: &Value) -> Value {
    let mut definition = group_by(keys, &[], &json!([]), SNAPSHOT);
    let fields = definition.as_object_mut().unwrap();
    fields.remove("aggregations");
    fields["sources"] = json!([{"entities": {
        "snapshotTable": "feat.right",
        "query": {"selects": selects},
    }}]);
    definition
}

/// The upload table: keys and values, and the serving info by itself.
fn uploaded(warehouse: &Path) -> (BinaryArray, BinaryArray, ServingInfo) {
    let warehouse = Warehouse::open(warehouse.to_str().unwrap()).unwrap();
    let table = warehouse.table("feat.team_right_v1_upload").unwrap();
    let columns = ["key_bytes", "value_bytes"];
    let (mut keys, mut values, mut info) = (vec![], vec![], None);
    for batch in table.read(&Selection::all(), Some(&columns)).unwrap() {
        let (key, value) = (
            batch.column(0).as_binary::<i32>(),
            batch.column(1).as_binary::<i32>(),
        );
        for row in 0..batch.num_rows() {
            if key.value(row) == SERVING_INFO_KEY.as_bytes() {
                let text = std::str::from_utf8(value.value(row)).unwrap();
                info = Some(ServingInfo::from_text(text, Dialect::Airbnb).unwrap());
            } else {
                keys.push(key.value(row).to_vec());
                values.push(value.value(row).to_vec());
            }
        }
    }
    let array = |rows: &[Vec<u8>]| BinaryArray::from_iter_values(rows);
    (array(&keys), array(&values), info.unwrap())
}

/// Datums decoded by the library of Apache's Arrow project, which wants to be told the schema before each.
fn by_the_standard(schema: &str, datums: &BinaryArray) -> RecordBatch {
    let schema = AvroSchema::new(schema.to_owned());
    let fingerprint = schema.fingerprint(FingerprintAlgorithm::Rabin).unwrap();
    let Fingerprint::Rabin(number) = fingerprint else {
        panic!("{fingerprint:?}");
    };
    let mut store = SchemaStore::new();
    store.register(schema).unwrap();
    let reader = ReaderBuilder::new().with_writer_schema_store(store);
    let reader = reader.with_active_fingerprint(fingerprint);
    let mut decoder = reader.build_decoder().unwrap();
    for datum in datums.iter().flatten() {
        let head = [&[0xc3, 0x01][..], &number.to_le_bytes()].concat();
        let bytes = [&head[..], datum].concat();
        assert_eq!(decoder.decode(&bytes).unwrap(), bytes.len());
    }
    decoder.flush().unwrap().unwrap()
}

fn texts_of(columns: &[ArrayRef]) -> Vec<Vec<String>> {
    let text =
        |column: &ArrayRef, row| arrow_cast::display::array_value_to_string(column, row).unwrap();
    let column = |column: &ArrayRef| (0..column.len()).map(|row| text(column, row)).collect();
    columns.iter().map(column).collect()
}

/// Keys and values of an upload are datums of the schemas that its serving info names, to a reader that is not ours.
#[test]
fn a_standard_library_reads_uploads() {
    let folder = tempfile::tempdir().unwrap();
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("x"), Some("yy")]);
    lists.append_null();
    lists.append_value([Some("\u{1f600}")]);
    let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for row in 0..3 {
        maps.keys().append_value("one");
        maps.values().append_value(format!("value {row}"));
        maps.append(row > 0).unwrap();
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("user", texts(&[Some("u1"), None, Some("ü3")])),
        ("shop", longs(&[Some(-1), Some(1 << 40), None])),
        ("tags", Arc::new(lists.finish())),
        ("notes", Arc::new(maps.finish())),
        ("amount", longs(&[None, Some(7), Some(i64::MIN)])),
    ];
    write(folder.path(), "right", "2024-01-01", columns);
    let selects = json!({
        "user": "user", "shop": "shop", "tags": "tags", "notes": "notes",
        "half": "cast(amount as double) / 2", "small": "cast(amount as smallint)",
        "pair": "named_struct('a', amount, 'b', user)",
    });
    let definition = entities(&["user", "shop"], &selects);
    let done = run(
        folder.path(),
        Kind::GroupByUpload,
        &definition,
        "2024-01-01",
        2,
    );
    assert_eq!((done.rows_out, done.bad_rows), (4, 0));
    let (keys, values, info) = uploaded(folder.path());
    assert_eq!(info.batch_end.to_string(), "2024-01-02");
    for (datums, schema) in [(&keys, &info.key_schema), (&values, &info.selected_schema)] {
        let theirs = by_the_standard(schema, datums);
        let record = Record::parse(schema).unwrap();
        let ours = avro::decode(&record, datums).unwrap();
        assert!(ours.bad.is_empty());
        let names: Vec<_> = record
            .fields
            .iter()
            .map(|field| field.name.clone())
            .collect();
        let found: Vec<_> = theirs
            .schema()
            .fields()
            .iter()
            .map(|f| f.name().clone())
            .collect();
        assert_eq!(names, found);
        assert_eq!(texts_of(&ours.columns), texts_of(theirs.columns()));
    }
}

/// Columns without an Avro form are refused by name, all at once, before anything is written.
#[test]
fn columns_that_cannot_be_stored_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let columns = vec![
        ("user", texts(&[Some("u1")])),
        ("ts", longs(&[Some(START)])),
    ];
    write(folder.path(), "right", "2024-01-01", columns);
    let selects = json!({
        "user": "user", "when": "timestamp_millis(ts)", "price": "cast(ts as decimal(20,2))",
        "fine": "ts", "by_number": "map(ts, user)",
    });
    let definition = entities(&["user"], &selects);
    let options = Options::until("2024-01-01".parse().unwrap());
    let run = run_with(folder.path(), Kind::GroupByUpload, &definition, options, 1);
    let Err(Error::Definition(problems)) = run else {
        panic!("{run:?}");
    };
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 3, "{texts:#?}");
    for (column, part) in [
        ("when", "timestamp"),
        ("price", "decimal(20,2)"),
        ("by_number", "keys"),
    ] {
        let told = |text: &&String| {
            text.contains(&format!("selects.{column}"))
                && text.contains(part)
                && text.contains("cast")
        };
        assert_eq!(texts.iter().filter(told).count(), 1, "{column}: {texts:#?}");
    }
    assert!(!folder.path().join("feat.db/team_right_v1_upload").exists());
}

/// A row that has no Avro form is left out and named; the others are uploaded.
#[test]
fn rows_that_cannot_be_stored_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("x"), None]);
    lists.append_value([Some("y")]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("user", texts(&[Some("u1"), Some("u2")])),
        ("tags", Arc::new(lists.finish())),
    ];
    write(folder.path(), "right", "2024-01-01", columns);
    let definition = entities(&["user"], &json!({"user": "user", "tags": "tags"}));
    let done = run(
        folder.path(),
        Kind::GroupByUpload,
        &definition,
        "2024-01-01",
        1,
    );
    assert_eq!(
        (done.rows_out, done.bad_rows),
        (2, 1),
        "{:?}",
        done.bad_samples
    );
    assert!(
        done.bad_samples[0].contains("an item of tags is null"),
        "{:?}",
        done.bad_samples
    );
    let mut limited = Options::until("2024-01-01".parse().unwrap());
    limited.max_bad_rows = Some(0);
    let refused = run_with(folder.path(), Kind::GroupByUpload, &definition, limited, 1);
    assert!(
        matches!(refused, Err(Error::TooManyBadRows { .. })),
        "{refused:?}"
    );
}

const CHILD: &str = "UNSKEWED_TESTS_LOADED_FOLDER";
const KEYS: i64 = 3_000;

fn temporal() -> Value {
    let aggregations = json!([
        {"inputColumn": "amount", "operation": SUM, "windows": [{"length": 3, "timeUnit": 1}]},
        {"inputColumn": "amount", "operation": COUNT},
    ]);
    group_by(&["user"], &["user", "amount"], &aggregations, TEMPORAL)
}

/// Events of two days; on the second every amount is another.
fn fill(folder: &Path) {
    for day in 0..2 {
        let users: Vec<String> = (0..KEYS).map(|key| format!("user-{key}")).collect();
        let users: Vec<Option<&str>> = users.iter().map(|user| Some(user.as_str())).collect();
        let amounts: Vec<Option<i64>> = (0..KEYS).map(|key| Some(key + day)).collect();
        let times: Vec<Option<i64>> = (0..KEYS).map(|key| Some(START + day * DAY + key)).collect();
        let columns = vec![
            ("user", texts(&users)),
            ("amount", longs(&amounts)),
            ("ts", longs(&times)),
        ];
        write(folder, "right", &format!("2024-01-{:02}", day + 1), columns);
    }
}

fn store(folder: &Path) -> Arc<dyn KvStore> {
    let address = format!("embedded:{}", folder.join("kv").display());
    kv::open(&address, Arc::new(ManualClock::at_millis(0))).unwrap()
}

fn load(folder: &Path) {
    let warehouse = Warehouse::open(folder.to_str().unwrap()).unwrap();
    let clock = ManualClock::at_millis(0);
    let context = Context {
        warehouse: &warehouse,
        clock: &clock,
        workers: 1,
        memory_bytes: None,
        watcher: &NoWatcher,
    };
    let definition = Definition::load(&temporal().to_string(), Dialect::Airbnb).unwrap();
    job::bulk_load(&definition, store(folder).as_ref(), &context).unwrap();
}

/// The end of the batch that is served, after making sure that it is whole.
fn served(folder: &Path) -> i64 {
    let store = store(folder);
    assert_eq!(batch_dataset("team.right.v1"), DATASET);
    let batch = store.batch(DATASET).unwrap().unwrap();
    let keys: Vec<Vec<u8>> = (0..KEYS)
        .map(|key| {
            let user = format!("user-{key}");
            [&[2, user.len() as u8 * 2][..], user.as_bytes()].concat()
        })
        .collect();
    let gets: Vec<Get<'_>> = keys
        .iter()
        .map(|key| Get {
            dataset: DATASET,
            generation: Some(batch.generation),
            key,
        })
        .collect();
    let found = store.multi_get(&gets).unwrap();
    let whole = |found: &Option<kv::Timed>| {
        found
            .as_ref()
            .is_some_and(|found| found.millis == batch.end_millis)
    };
    let count = found.iter().filter(|found| whole(found)).count();
    assert_eq!(
        count,
        gets.len(),
        "rows of the batch that ends at {}",
        batch.end_millis
    );
    batch.end_millis
}

/// The process that [`a_killed_load_leaves_the_old_batch`] kills; in the parent it has nothing to do.
#[test]
fn child_that_loads() {
    if let Ok(folder) = env::var(CHILD) {
        load(folder.as_ref());
    }
}

/// A load that is killed at any moment leaves the old batch whole, or has put the new one in place; the next one works.
#[test]
fn a_killed_load_leaves_the_old_batch() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fill(folder);
    let upload = |day| drop(run(folder, Kind::GroupByUpload, &temporal(), day, 2));
    upload("2024-01-01");
    load(folder);
    let (old, new) = (START + DAY, START + 2 * DAY);
    assert_eq!(served(folder), old);
    upload("2024-01-02");
    let clock = unskewed_connectors::clock::SystemClock::new();
    for attempt in 0..6 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child_that_loads"])
            .env(CHILD, folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Kills spread over the load, whose length is the machine's affair.
        let deadline = clock.now_millis() + 20 * attempt * attempt;
        while clock.now_millis() < deadline && child.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        child.kill().ok();
        child.wait().unwrap();
        let end = served(folder);
        assert!(end == old || end == new, "{end}");
    }
    load(folder);
    assert_eq!(served(folder), new);
}

/// The bytes of an upload do not depend on the number of workers.
#[test]
fn uploads_are_the_same_with_any_workers() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let mut first = None;
    for workers in [1, 2, 4] {
        run(
            folder.path(),
            Kind::GroupByUpload,
            &temporal(),
            "2024-01-02",
            workers,
        );
        let (keys, values, _) = uploaded(folder.path());
        assert_eq!(keys.len() as i64, KEYS);
        let found = (keys, values);
        assert_eq!(
            *first.get_or_insert(found.clone()),
            found,
            "{workers} workers"
        );
    }
}
