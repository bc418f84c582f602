//! Logs and comparisons, on small tables whose answers are counted by hand.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use base64::Engine as _;
use serde_json::{Value, json};
use unskewed_connectors::table::Warehouse;
use unskewed_engine::job::{self, Kind, Options, Outcome};
use unskewed_engine::run::{Run, run};
use unskewed_kernel::codec::avro;
use unskewed_planner::avro::Record;
use unskewed_planner::lower::{ComparedTable, ComparisonRun, comparison};
use unskewed_planner::schema::{DataType, Field, Schema};
use unskewed_planner::time::PartitionRange;
use unskewed_tests::tables::code::{SNAPSHOT, SUM};
use unskewed_tests::tables::{
    START, batches, group_by, join, longs, partitions, run_with, texts, write,
};

const DAY_NAME: &str = "2024-01-01";

/// A join that logs all requests.
fn definition() -> Value {
    let parts = json!([{"inputColumn": "id", "operation": SUM, "argMap": {}}]);
    let mut join = join(
        &["user"],
        &group_by(&["user"], &["user", "id"], &parts, SNAPSHOT),
    );
    join["metaData"]["samplePercent"] = json!(100.0);
    join
}

/// A version of the log: its hash, and the values it holds beside the key `user`.
struct Version {
    hash: &'static str,
    keys: Record,
    values: Record,
}

fn version(hash: &'static str, values: &[(&str, DataType)]) -> Version {
    let schema = |fields: &[(&str, DataType)]| {
        Schema::new(
            fields
                .iter()
                .map(|(name, kind)| Field::new(*name, kind.clone()))
                .collect(),
        )
    };
    let keys = Record::of("keys", &schema(&[("user", DataType::String)])).unwrap();
    let values = Record::of("values", &schema(values)).unwrap();
    Version { hash, keys, values }
}

/// One row's datum as the log holds it.
fn datum(record: &Record, columns: &[ArrayRef]) -> String {
    let encoded = avro::encode(record, columns).unwrap();
    base64::engine::general_purpose::STANDARD.encode(encoded.datums.value(0))
}

/// Publishes versions as the table of logged schemas does.
fn publish(warehouse: &Path, versions: &[&Version]) {
    let hashes: Vec<Option<&str>> = versions.iter().map(|version| Some(version.hash)).collect();
    let text = |version: &&Version| {
        let (keys, values) = (version.keys.to_text(), version.values.to_text());
        json!({"join_name": "team.join.v1", "key_schema": keys, "value_schema": values}).to_string()
    };
    let published: Vec<String> = versions.iter().map(text).collect();
    let published: Vec<Option<&str>> = published.iter().map(|text| Some(text.as_str())).collect();
    let columns = vec![
        ("schema_hash", texts(&hashes)),
        ("schema_value_last", texts(&published)),
    ];
    write(warehouse, "log_schemas", DAY_NAME, columns);
}

/// Logs rows: hash, key, value, each as the log holds it.
fn log(warehouse: &Path, name: &str, rows: &[(Option<&str>, &str, &str)]) {
    let hashes: Vec<Option<&str>> = rows.iter().map(|row| row.0).collect();
    let keys: Vec<Option<&str>> = rows.iter().map(|row| Some(row.1)).collect();
    let values: Vec<Option<&str>> = rows.iter().map(|row| Some(row.2)).collect();
    let times: Vec<Option<i64>> = (0..rows.len())
        .map(|row| Some(START + row as i64))
        .collect();
    let columns = vec![
        ("key_base64", texts(&keys)),
        ("value_base64", texts(&values)),
        ("ts_millis", longs(&times)),
        ("schema_hash", texts(&hashes)),
    ];
    write(
        warehouse,
        "raw_log",
        &format!("{DAY_NAME}/name={name}"),
        columns,
    );
}

fn flatten(warehouse: &Path, workers: usize) -> job::Result<Outcome> {
    let mut options = Options::until(DAY_NAME.parse().unwrap());
    options.measure.log_table = Some("feat.raw_log".into());
    options.measure.schema_table = Some("feat.log_schemas".into());
    run_with(
        warehouse,
        Kind::LogFlattener,
        &definition(),
        options,
        workers,
    )
}

fn double(value: f64) -> ArrayRef {
    Arc::new(Float64Array::from(vec![value]))
}

/// Shows that each row is read by its own version, that what a version lacks is null, and that rows which cannot be
/// decoded, have an unknown version or none are counted while the rest goes on.
#[test]
fn logs_that_do_not_decode_are_counted() {
    let old = version(
        "old",
        &[
            ("a", DataType::Double),
            ("ext_contextual_c", DataType::String),
        ],
    );
    let new = version("new", &[("b", DataType::Long), ("a", DataType::Double)]);
    let key = |name: &str| datum(&old.keys, &[texts(&[Some(name)])]);
    let first = datum(&old.values, &[double(1.5), texts(&[Some("c")])]);
    let second = datum(&new.values, &[longs(&[Some(7)]), double(2.5)]);
    for workers in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        publish(folder.path(), &[&old, &new]);
        let rows = [
            (Some("old"), &*key("u1"), &*first),
            (Some("new"), &*key("u2"), &*second),
            (Some("new"), &*key("u3"), "no base64 at all"),
            (Some("old"), &*key("u4"), "////"),
            (Some("unknown"), &*key("u5"), &*first),
            (None, &*key("u6"), &*first),
        ];
        log(folder.path(), "team%2Fjoin.v1", &rows);
        // Another join's log is none of this one's business.
        log(folder.path(), "team%2Fother.v1", &[(Some("x"), "?", "?")]);
        let outcome = flatten(folder.path(), workers).unwrap();
        assert_eq!(
            (outcome.rows_out, outcome.bad_rows),
            (2, 4),
            "{:?}",
            outcome.bad_samples
        );
        assert_eq!(
            outcome.rows_in, 6,
            "the other join's partition stays closed"
        );
        assert!(!outcome.bad_samples.is_empty());
        let files = &partitions(folder.path(), "team_join_v1_logged")["ds=2024-01-01"];
        let rows: Vec<RecordBatch> = files.iter().flat_map(|file| batches(file)).collect();
        let names: Vec<String> = rows[0]
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        assert_eq!(
            names,
            ["schema_hash", "ts", "user", "b", "a"],
            "sorted by hash, keys first"
        );
        let text = format!("{:?}", rows[0].columns());
        assert!(
            text.contains("\"u1\"") && text.contains("\"u2\"") && !text.contains("u3"),
            "{text}"
        );
        let again = flatten(folder.path(), workers).unwrap();
        assert_eq!(again.partitions_written, 0, "the day is there");
        let table = Warehouse::open(folder.path().to_str().unwrap()).unwrap();
        let properties = table
            .table("feat.team_join_v1_logged")
            .unwrap()
            .properties()
            .unwrap();
        for name in ["schema_hash_old", "schema_hash_new", "chronon_log_table"] {
            assert!(properties.properties.contains_key(name), "{name}");
        }
    }
}

/// Shows that one field logged with two types is refused, with both versions named.
#[test]
fn types_that_clash_name_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let old = version("old", &[("a", DataType::Double)]);
    let new = version("new", &[("a", DataType::String)]);
    publish(folder.path(), &[&old, &new]);
    log(folder.path(), "team%2Fjoin.v1", &[(Some("old"), "", "")]);
    let job::Error::Definition(problems) = flatten(folder.path(), 1).unwrap_err() else {
        panic!("a problem of what was logged");
    };
    let text = problems[0].to_string();
    for part in ["\"a\"", "double", "string", "version old", "version new"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(partitions(folder.path(), "team_join_v1_logged").is_empty());
}

/// A small generator with good enough bits.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

type Side = Vec<(Option<i64>, Option<i64>)>;

fn side(random: &mut Random) -> Side {
    let pick =
        |random: &mut Random, bound: u64| (random.below(6) > 0).then(|| random.below(bound) as i64);
    (0..random.below(40))
        .map(|_| (pick(random, 12), pick(random, 3)))
        .collect()
}

/// What the rows of a plain full outer join amount to: all, both null, left null, right null, mismatches.
fn plainly(left: &Side, right: &Side) -> [i64; 5] {
    let mut pairs = vec![];
    let mut met = vec![false; right.len()];
    for (key, value) in left {
        let mut any = false;
        for (index, (other, answer)) in right.iter().enumerate() {
            if key.is_some() && key == other {
                (any, met[index]) = (true, true);
                pairs.push((*value, *answer));
            }
        }
        if !any {
            pairs.push((*value, None));
        }
    }
    let alone = right.iter().zip(&met).filter(|(_, met)| !**met);
    pairs.extend(alone.map(|((_, answer), _)| (None, *answer)));
    let count = |holds: fn(&(Option<i64>, Option<i64>)) -> bool| {
        pairs.iter().filter(|pair| holds(pair)).count() as i64
    };
    [
        pairs.len() as i64,
        count(|pair| pair.0.is_none() && pair.1.is_none()),
        count(|pair| pair.0.is_none() && pair.1.is_some()),
        count(|pair| pair.0.is_some() && pair.1.is_none()),
        count(|pair| matches!(pair, (Some(a), Some(b)) if a != b)),
    ]
}

/// Shows that the comparison counts what a plain full outer join of both tables counts, null keys, repeated keys and
/// empty sides included, whatever the number of workers.
#[test]
fn comparisons_equal_a_plain_outer_join() {
    let schema = Schema::new(vec![
        Field::new("k", DataType::Long),
        Field::new("v", DataType::Long),
        Field::new("ds", DataType::String),
    ]);
    let day = DAY_NAME.parse().unwrap();
    let days = Some(PartitionRange {
        start: day,
        end: day,
    });
    let mut random = Random(11);
    for _ in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        let sides = [side(&mut random), side(&mut random)];
        for (name, rows) in ["one", "two"].iter().zip(&sides) {
            let (keys, values): (Vec<_>, Vec<_>) = rows.iter().copied().unzip();
            write(
                folder.path(),
                name,
                DAY_NAME,
                vec![("k", longs(&keys)), ("v", longs(&values))],
            );
        }
        let want = plainly(&sides[0], &sides[1]);
        let warehouse = Warehouse::open(folder.path().to_str().unwrap()).unwrap();
        let table = |table| ComparedTable {
            table,
            schema: &schema,
            days,
        };
        let plan = comparison(&ComparisonRun {
            left: table("feat.one"),
            right: table("feat.two"),
            keys: &["k".to_owned(), "ds".into()],
            values: &schema.fields[1..2],
            path: "p",
            rows: None,
            metrics: "feat.metrics",
            daily: true,
        });
        for workers in [1, 2, 4] {
            let output = run(&Run {
                plan: &plan,
                warehouse: &warehouse,
                workers,
                memory_bytes: None,
                left_facts: &[],
            });
            let found = sums(output.unwrap().collected.get("metrics"));
            let names = [
                "v_total_count",
                "v_both_null_sum",
                "v_left_null_sum",
                "v_right_null_sum",
                "v_mismatch_sum",
            ];
            let got = names.map(|name| found.get(name).copied().unwrap_or(0));
            assert_eq!(got, want, "{workers} workers, {sides:?}");
        }
    }
}

/// The sum of each column of whole numbers.
fn sums(batch: Option<&RecordBatch>) -> BTreeMap<String, i64> {
    use arrow_array::cast::AsArray;
    let mut found = BTreeMap::new();
    if let Some(batch) = batch {
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            if let Some(numbers) = column.as_primitive_opt::<arrow_array::types::Int64Type>() {
                found.insert(field.name().clone(), numbers.iter().flatten().sum());
            }
        }
    }
    found
}
