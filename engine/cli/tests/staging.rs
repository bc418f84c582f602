//! Staging queries as users run them: what macros stand for, where rows go, and how wrong input is refused.
//!
//! What a query gives is read from the names of partitions, which are its values.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// A folder with the warehouse `warehouse` in it, which holds the recorded table `src.events`.
struct Place(tempfile::TempDir);

/// How a run ended: its exit code, and all that it said.
struct Ended {
    code: Option<i32>,
    said: String,
}

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/cases");
        let input = cases.join("sq_macros/input/src.events");
        copy(&input, &place.warehouse().join("src.db/events"));
        place
    }

    fn warehouse(&self) -> PathBuf {
        self.0.path().join("warehouse")
    }

    /// Runs a query with these fields of its definition beside the usual ones.
    fn run(&self, query: &str, more: &Value) -> Ended {
        let mut definition = json!({
            "metaData": {"name": "alpha.sq.v1", "outputNamespace": "feat", "team": "alpha"},
            "query": query,
        });
        for (name, value) in more.as_object().unwrap() {
            match definition[name].as_object_mut() {
                Some(inner) => inner.extend(value.as_object().unwrap().clone()),
                None => definition[name] = value.clone(),
            }
        }
        let conf = self.0.path().join("sq.v1");
        std::fs::write(&conf, definition.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_unskewed"));
        command.arg("--warehouse").arg(self.warehouse());
        command.args(["staging-query-backfill", "--end-date", "2024-03-01"]);
        command.args(["--step-days", "2", "--conf-path"]).arg(conf);
        let output = command.env_remove("UNSKEWED__CONFIG").output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        Ended {
            code: output.status.code(),
            said: String::from_utf8_lossy(&said).into_owned(),
        }
    }

    /// The folders of a table that hold files, sorted.
    fn partitions(&self, table: &str) -> Vec<String> {
        let root = self.warehouse().join(table);
        let mut found = Vec::new();
        each_file(&root, &mut |file| {
            let folder = file.parent().unwrap().strip_prefix(&root).unwrap();
            found.push(folder.to_string_lossy().into_owned());
        });
        found.sort();
        found.dedup();
        found
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(std::fs::copy(&path, &target).unwrap()),
        }
    }
}

/// Visits the files of rows below a folder.
fn each_file(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match path.is_dir() {
            true => each_file(&path, visit),
            false if name.starts_with(['.', '_']) => {}
            false => visit(&path),
        }
    }
}

/// Each step has its own first and last day; the last day asked for and the greatest partition are the same in all.
#[test]
fn macros_stand_for_days() {
    let place = Place::new();
    let query = "SELECT 1 AS one, ds, '{{ start_date }}' AS first, '{{end_date}}' AS last, \
                 '{{ latest_date }}' AS latest, '{{ max_date(table=src.events) }}' AS greatest FROM src.events \
                 WHERE ds BETWEEN '{{ start_date }}' AND '{{ end_date }}' GROUP BY ds";
    let columns = r#"{"additional_partition_cols": ["first", "last", "latest", "greatest"]}"#;
    let more = json!({"startPartition": "2024-02-28", "metaData": {"customJson": columns}});
    let ended = place.run(query, &more);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let rest = "latest=2024-03-01/greatest=2024-03-04";
    let wanted = [
        format!("ds=2024-02-28/first=2024-02-28/last=2024-02-29/{rest}"),
        format!("ds=2024-02-29/first=2024-02-28/last=2024-02-29/{rest}"),
        format!("ds=2024-03-01/first=2024-03-01/last=2024-03-01/{rest}"),
    ];
    assert_eq!(place.partitions("feat.db/alpha_sq_v1"), wanted);
}

/// Without a start there is one run, which may not speak of steps, and replaces the partitions that its rows name.
#[test]
fn without_a_start_the_rows_say_their_days() {
    let place = Place::new();
    let query = "SELECT x, concat('2020-01-0', x) ds FROM VALUES (1), (2) AS v(x)";
    for _ in 0..2 {
        let ended = place.run(query, &json!({}));
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        assert!(
            ended.said.contains("partitions written 2"),
            "{}",
            ended.said
        );
    }
    let wanted = ["ds=2020-01-01", "ds=2020-01-02"];
    assert_eq!(place.partitions("feat.db/alpha_sq_v1"), wanted);
}

/// A view is a table of the run's rows, a sign says that the day is there; what only tunes Spark is passed over aloud.
#[test]
fn views_and_setups() {
    let place = Place::new();
    let setups = [
        "CREATE OR REPLACE TEMPORARY VIEW a AS SELECT 1 AS x UNION ALL SELECT 2",
        "create temp view b as select x + 1 as y from a where x > 1;",
        "SET spark.sql.shuffle.partitions=3",
        "ADD JAR s3://bucket/udf.jar",
        "CREATE TEMPORARY FUNCTION f AS 'com.example.F'",
    ];
    let more = json!({"setups": setups, "createView": true});
    let ended = place.run("SELECT * FROM b", &more);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(ended.said.contains("rows out 1"), "{}", ended.said);
    for part in ["setups[2]", "setups[3]", "setups[4]"] {
        assert!(ended.said.contains(part), "{part}: {}", ended.said);
    }
    assert_eq!(place.partitions("feat.db/alpha_sq_v1"), [""]);
    let signal = place.partitions("feat.db/chronon_signal_partitions");
    assert_eq!(signal, ["ds=2024-03-01/table_name=feat.alpha_sq_v1"]);
}

/// Wrong definitions, macros and statements: exit 2, the reason and its place, and no file.
#[test]
#[expect(clippy::too_many_lines, reason = "a list of cases")]
fn wrong_input_is_refused() {
    let place = Place::new();
    let start = json!({"startPartition": "2024-02-28"});
    let query = "SELECT 1 AS one, '2024-03-01' AS ds";
    for (query, more, part) in [
        (
            "SELECT '{{ strat_date }}' AS ds",
            &start,
            "did you mean start_date?",
        ),
        ("SELECT '{{ ds }}' AS ds", &start, "unknown macro ds"),
        (
            "SELECT '{{ max_date }}' AS ds",
            &start,
            "max_date(table=db.table)",
        ),
        (
            "SELECT '{{ max_date(table=src.nope) }}' AS ds",
            &start,
            "no partition of table src.nope",
        ),
        (
            "SELECT '{{ max_date(table=src.events' AS ds }}",
            &start,
            "lacks its ')'",
        ),
        (
            "SELECT '{{ start_date }}' AS ds",
            &json!({}),
            "the query has no startPartition",
        ),
        (
            "SELECT '{{ end_date }}' AS ds",
            &json!({"createView": true}),
            "or makes a view",
        ),
        ("SELECT user,\n  FROM src.events", &start, "line 2 column"),
        ("SELECT user FORM src.events", &start, "line 1 column"),
        ("SELECT (1 AS ds", &start, "line 1 column"),
        ("SELECT 'x AS ds", &start, "line 1 column"),
        (
            "SELECT usr, ds\nFROM src.events",
            &start,
            "line 1 column 8: unknown column usr",
        ),
        (
            "SELECT ds FROM src.evnts",
            &start,
            "there is no table src.evnts",
        ),
        (
            "SELECT frobnicate(ds) AS ds FROM src.events",
            &start,
            "unknown function frobnicate",
        ),
        (
            "INSERT INTO src.events SELECT * FROM src.events",
            &start,
            "INSERT is refused",
        ),
        (
            "SELECT 1 AS one; DROP TABLE src.events",
            &start,
            "line 1 column 16",
        ),
        ("CREATE TABLE x AS SELECT 1", &start, "CREATE is refused"),
        ("SELECT 1 AS one", &start, "the query has no column ds"),
        (
            "SELECT 1 AS a, 2 AS A, '2024-03-01' AS ds",
            &start,
            "two columns are named A",
        ),
        (
            "SELECT null AS a, '2024-03-01' AS ds",
            &start,
            "column a is null without a type",
        ),
        (
            query,
            &json!({"startPartition": "last week"}),
            "is no day: expected yyyy-MM-dd",
        ),
        (
            query,
            &json!({"setups": ["DROP TABLE src.events"]}),
            "setups[0]",
        ),
        (
            query,
            &json!({"setups": ["CREATE TEMPORARY VIEW v (SELECT 1)"]}),
            "setups[0]",
        ),
        (
            "SELECT * FROM v",
            &json!({"setups": ["CREATE TEMP VIEW v AS SELECT nope"]}),
            "unknown column nope",
        ),
        (
            query,
            &json!({"metaData": {"customJson": r#"{"additional_partition_cols": "hr"}"#}}),
            "additional_partition_cols is not a list of names",
        ),
        (
            query,
            &json!({"metaData": {"customJson": r#"{"additional_partition_cols": ["hr"]}"#}}),
            "the query has no column hr",
        ),
        (
            query,
            &json!({"metaData": {"outputNamespace": "../outside"}}),
            "\"../outside\" cannot be an output namespace",
        ),
        (
            query,
            &json!({"metaData": {"outputNamespace": "/outside", "name": "_sq"}}),
            "\"_sq\" cannot name a table",
        ),
    ] {
        let ended = place.run(query, more);
        assert_eq!(ended.code, Some(2), "{query} {more}: {}", ended.said);
        assert!(ended.said.contains(part), "{query} {more}: {}", ended.said);
        assert!(!ended.said.contains("panicked"), "{query}: {}", ended.said);
    }
    let mut files = Vec::new();
    each_file(place.0.path(), &mut |file| files.push(file.to_owned()));
    let known = |file: &PathBuf| {
        file.starts_with(place.warehouse().join("src.db/events")) || file.ends_with("sq.v1")
    };
    files.retain(|file| !known(file));
    assert_eq!(files, Vec::<PathBuf>::new());
}

/// A value that is a path names a folder inside of the table, and no other; a name that is a path is no table.
#[test]
fn nothing_leaves_the_warehouse() {
    let place = Place::new();
    let query = "SELECT 1 AS one, ds FROM VALUES ('../../../../outside'), ('/outside'), ('a/b'), ('..') AS v(ds)";
    let ended = place.run(query, &json!({}));
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let partitions = place.partitions("feat.db/alpha_sq_v1");
    assert_eq!(partitions.len(), 4, "{partitions:?}");
    for partition in &partitions {
        assert!(
            partition.starts_with("ds=") && !partition.contains('/'),
            "{partitions:?}"
        );
    }
    each_file(place.0.path(), &mut |file| {
        assert!(
            file.starts_with(place.warehouse()) || file.ends_with("sq.v1"),
            "{}",
            file.display()
        );
    });
    for table in ["`../src.db`.events", "src.`../../outside`", "`/etc`.passwd"] {
        let ended = place.run(
            &format!("SELECT 1 AS one, '2024-03-01' AS ds FROM {table}"),
            &json!({}),
        );
        assert_eq!(ended.code, Some(2), "{table}: {}", ended.said);
    }
}
