//! Bad input as users meet it: what is refused before anything is read, what stops a job, and what a job goes on over.
//!
//! Tables are made by the command itself, from rows written in the test.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// 2024-01-01 in milliseconds.
const START: i64 = 1_704_067_200_000;
const DAY: i64 = 86_400_000;
const END: &str = "2024-01-03";

/// A folder with the warehouse `warehouse` in it.
struct Place(tempfile::TempDir);

/// How a run ended: its exit code, and all that it said.
struct Ended {
    code: Option<i32>,
    said: String,
}

impl Ended {
    /// Checks exit code and pieces of what was said.
    #[track_caller]
    fn must(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.said);
        for part in parts {
            assert!(self.said.contains(part), "{part:?} in {}", self.said);
        }
        assert!(!self.said.contains("panicked"), "{}", self.said);
    }
}

impl Place {
    /// A warehouse with the tables `src.left` and `src.right`, five rows on each of three days.
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let mut rows = Vec::new();
        for day in 0..3 {
            for row in 0..5 {
                let ts = START + day * DAY + row * 3_600_000;
                let ds = format!("2024-01-0{}", day + 1);
                rows.push(format!(
                    "('u{}', {}L, {ts}L, 'w', '{ds}')",
                    row % 2,
                    day * 10 + row
                ));
            }
        }
        for table in ["left", "right"] {
            place.make(table, &rows.join(", "));
        }
        place
    }

    fn warehouse(&self) -> PathBuf {
        self.0.path().join("warehouse")
    }

    /// Fills the partitions of a table that these rows name: user, x, ts, word, ds.
    fn make(&self, table: &str, rows: &str) {
        let query = format!("SELECT * FROM VALUES {rows} AS v(user, x, ts, word, ds)");
        let name = json!({"name": table, "outputNamespace": "src", "team": "team"});
        let made = self.run(
            "staging-query-backfill",
            &json!({"metaData": name, "query": query}),
            &[],
        );
        assert_eq!(made.code, Some(0), "{}", made.said);
    }

    /// Runs a job on a definition.
    fn run(&self, job: &str, definition: &Value, more: &[&str]) -> Ended {
        let conf = self.0.path().join("definition.v1");
        std::fs::write(&conf, definition.to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_unskewed"));
        command.arg("--warehouse").arg(self.warehouse());
        command.args([job, "--conf-path"]).arg(conf);
        command.args(["--end-date", END]).args(more);
        let output = command.env_remove("UNSKEWED__CONFIG").output().unwrap();
        Ended {
            code: output.status.code(),
            said: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        }
    }

    /// The one file of a partition of a table of the database `src`.
    fn file(&self, table: &str, ds: &str) -> PathBuf {
        let folder = self.warehouse().join(format!("src.db/{table}/ds={ds}"));
        let mut files = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some()).unwrap()
    }

    /// Whether anything stands in the database of outputs.
    fn wrote(&self) -> bool {
        self.warehouse().join("feat.db").exists()
    }
}

fn meta_data(name: &str) -> Value {
    json!({"name": name, "team": "team", "outputNamespace": "feat"})
}

fn events(table: &str, columns: &[&str]) -> Value {
    let selects: serde_json::Map<String, Value> = columns
        .iter()
        .map(|name| ((*name).to_owned(), json!(name)))
        .collect();
    json!({"events": {"table": format!("src.{table}"), "query": {"selects": selects, "timeColumn": "ts"}}})
}

/// COUNT is 6, SUM is 7; accuracy 0 is TEMPORAL, 1 SNAPSHOT.
fn group_by(accuracy: u8) -> Value {
    json!({
        "metaData": meta_data("team.g.v1"), "sources": [events("right", &["user", "x", "word"])],
        "keyColumns": ["user"], "accuracy": accuracy,
        "aggregations": [{"inputColumn": "x", "operation": 7}, {"inputColumn": "x", "operation": 6}],
    })
}

fn join(part: &Value) -> Value {
    json!({
        "metaData": meta_data("team.j.v1"), "left": events("left", &["user", "x", "ts"]),
        "joinParts": [{"groupBy": part}],
    })
}

/// The value at a path of names and numbers, to be changed.
fn at<'a>(tree: &'a mut Value, path: &[&str]) -> &'a mut Value {
    path.iter()
        .fold(tree, |tree, step| match step.parse::<usize>() {
            Ok(index) => &mut tree[index],
            Err(_) => &mut tree[*step],
        })
}

fn changed(tree: &Value, changes: &[(&[&str], Value)]) -> Value {
    let mut tree = tree.clone();
    for (path, value) in changes {
        *at(&mut tree, path) = value.clone();
    }
    tree
}

/// Everything wrong with a definition comes at once with path, message and hint; nothing is written, no lock either.
#[test]
fn every_problem_of_a_definition_at_once() {
    let place = Place::new();
    let good = join(&group_by(0));
    let query = &[
        "joinParts",
        "0",
        "groupBy",
        "sources",
        "0",
        "events",
        "query",
        "selects",
    ][..];
    let wrong = changed(
        &good,
        &[
            (&["metaData", "outputNamespace"], json!("../outside")),
            (&["left", "events", "query", "selects", "x"], json!("xx")),
            (query, json!({"user": "usr", "x": "x"})),
            (&["joinParts", "0", "prefix"], json!("a/b=c")),
            (
                &[
                    "joinParts",
                    "0",
                    "groupBy",
                    "aggregations",
                    "0",
                    "inputColumn",
                ],
                json!("y"),
            ),
            (
                &[
                    "joinParts",
                    "0",
                    "groupBy",
                    "aggregations",
                    "1",
                    "operation",
                ],
                json!(13),
            ),
        ],
    );
    let ended = place.run("join", &wrong, &[]);
    ended.must(
        2,
        &[
            "\"../outside\" cannot be an output namespace\n  --> metaData.outputNamespace",
            "= help: name one folder",
            "unknown column xx; did you mean x?\n  --> left.events.query.selects.x",
            "unknown column usr; did you mean user?\n  --> joinParts[0].groupBy.sources[0].events.query.selects.user",
            "\"a/b=c\" cannot be part of a table's name\n  --> joinParts[0].prefix",
            "no select gives column \"y\"\n  --> joinParts[0].groupBy.aggregations[0].inputColumn",
            "LAST_K needs the argument k\n  --> joinParts[0].groupBy.aggregations[1].argMap",
            "nothing was written",
        ],
    );
    assert!(!place.wrote());
}

/// No name in a definition leads out of the warehouse, whatever the job.
#[test]
fn names_of_tables_stay_inside() {
    let place = Place::new();
    let good = join(&group_by(0));
    let prefixed = changed(
        &good,
        &[(&["joinParts", "0", "prefix"], json!("../../outside"))],
    );
    place.run("join", &prefixed, &[]).must(
        2,
        &["cannot be part of a table's name\n  --> joinParts[0].prefix"],
    );
    for job in [
        "stats-summary",
        "label-join",
        "group-by-backfill",
        "analyze",
    ] {
        let outside = changed(
            &good,
            &[(&["metaData", "outputNamespace"], json!("../outside"))],
        );
        let definition = match job {
            "group-by-backfill" => changed(
                &group_by(1),
                &[(&["metaData"], outside["metaData"].clone())],
            ),
            "label-join" => changed(
                &outside,
                &[(
                    &["labelPart"],
                    json!({"labels": [{"groupBy": group_by(1)}]}),
                )],
            ),
            _ => outside,
        };
        let more: &[&str] = if job == "analyze" {
            &["--export-schema"]
        } else {
            &[]
        };
        place
            .run(job, &definition, more)
            .must(2, &["cannot be an output namespace"]);
    }
    assert!(!place.wrote());
}

/// Labels whose offsets make no sense, or reach further than any table, are refused at once.
#[test]
fn offsets_of_labels_are_held_to_what_can_be() {
    let place = Place::new();
    for (start, end, part) in [
        (
            0,
            1,
            "an offset of 0 days is after the label's own day\n  --> labelPart.leftStartOffset",
        ),
        (
            -3,
            -5,
            "an offset of -5 days is after the label's own day\n  --> labelPart.leftEndOffset",
        ),
        (1, 2, "the end comes first\n  --> labelPart.leftStartOffset"),
        (
            i32::MAX,
            1,
            "longer than a lifetime of data\n  --> labelPart.leftStartOffset",
        ),
    ] {
        let labels = json!({
            "labels": [{"groupBy": group_by(1)}], "leftStartOffset": start, "leftEndOffset": end,
        });
        let definition = changed(&join(&group_by(0)), &[(&["labelPart"], labels)]);
        place
            .run("label-join", &definition, &[])
            .must(2, &[part, "= help: "]);
    }
    assert!(!place.wrote());
}

/// Files that cannot be read stop a job with their name and what to do; no partition is written, and once they are
/// mended the next run fills the table.
#[test]
fn unreadable_files_are_named() {
    let definition = join(&group_by(1));
    for table in ["left", "right"] {
        let place = Place::new();
        let file = place.file(table, "2024-01-02");
        let good = std::fs::read(&file).unwrap();
        let damaged = |from: usize| {
            let mut bytes = good.clone();
            bytes[from..from + 20].fill(0x5a);
            bytes
        };
        for (bytes, part) in [
            (vec![], "it is empty (0 bytes)"),
            (good[..good.len() / 2].to_vec(), "it is cut off"),
            (b"user,x\nu1,1\n".to_vec(), "is not readable Parquet"),
            (damaged(good.len() - 40), "is damaged"),
            (damaged(4), "is damaged"),
        ] {
            std::fs::write(&file, bytes).unwrap();
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let ended = place.run("join", &definition, &[]);
            ended.must(
                1,
                &[
                    part,
                    &format!("ds=2024-01-02/{name}"),
                    "= help: write the partition again",
                ],
            );
            assert!(
                !place
                    .warehouse()
                    .join("feat.db/team_j_v1/ds=2024-01-01")
                    .exists()
            );
        }
        std::fs::write(&file, good).unwrap();
        place
            .run("join", &definition, &[])
            .must(0, &["rows out 15"]);
    }
}

/// A file that has a column with another type than its siblings is refused, with both named.
#[test]
fn files_of_other_schemas() {
    let place = Place::new();
    let definition = join(&group_by(0));
    let row = format!("('u1', 'one', {START}L, 'w', '2024-01-02')");
    place.make("other", &row);
    std::fs::copy(
        place.file("other", "2024-01-02"),
        place.file("right", "2024-01-02"),
    )
    .unwrap();
    place.run("join", &definition, &[]).must(
        1,
        &[
            "column x is bigint in",
            "but string in",
            "ds=2024-01-02",
            "= help: write the partitions of one of the two again",
        ],
    );
}

/// A left time that is null stops a TEMPORAL join with the row; a wrong unit of time does not ask for millions of days.
#[test]
fn times_of_the_left() {
    let place = Place::new();
    let row = |time: &str| format!("('u1', 7L, {time}, 'w', '2024-01-02')");
    place.make(
        "left",
        &format!("{}, {}", row("null"), row("1704153600000L")),
    );
    place.run("join", &join(&group_by(0)), &[]).must(
        1,
        &[
            "column ts is null in row (user=u1",
            "= help: leave such rows out in the wheres",
        ],
    );
    for time in [
        "1704153600000000L",
        "9223372036854775807L",
        "-9223372036854775808L",
    ] {
        place.make("left", &format!("{}, {}", row(time), row("1704153600000L")));
        place.run("join", &join(&group_by(1)), &[]).must(
            1,
            &[
                "the left's times on",
                "= help: times are milliseconds since 1970",
            ],
        );
        place
            .run("join", &join(&group_by(0)), &["--unset-semantic-hash"])
            .must(0, &["rows out 12"]);
        std::fs::remove_dir_all(place.warehouse().join("feat.db")).unwrap();
    }
}

/// Right times that are null are bad rows; absurd ones count where they belong and stop nothing.
#[test]
fn times_of_the_right() {
    let place = Place::new();
    let times = [
        "null",
        "-5L",
        "9223372036854775807L",
        "-9223372036854775808L",
        "1704153600000L",
    ];
    let rows = times.map(|time| format!("('u1', 7L, {time}, 'w', '2024-01-02')"));
    place.make("right", &rows.join(", "));
    for accuracy in [0, 1] {
        let ended = place.run("join", &join(&group_by(accuracy)), &[]);
        ended.must(
            0,
            &["bad row: source src.right", "rows out 15, bad rows 1,"],
        );
    }
    let strict = place.run("join", &join(&group_by(0)), &["--max-bad-rows", "0"]);
    strict.must(
        1,
        &["1 bad rows, more than the 0 allowed", "--max-bad-rows"],
    );
}

/// Jobs whose input another job writes say which; days asked for the wrong way round are refused.
#[test]
fn what_is_not_there_yet_is_said() {
    let place = Place::new();
    let definition = join(&group_by(0));
    for (job, more, code, part) in [
        (
            "join-final",
            &[][..],
            1,
            "feat.team_j_v1_bootstrap is not there yet; join-left writes it",
        ),
        (
            "stats-summary",
            &[],
            1,
            "feat.team_j_v1 is not there yet; join writes it",
        ),
        (
            "log-summary",
            &[],
            1,
            "feat.team_j_v1_logged is not there yet; log-flattener writes it",
        ),
        (
            "consistency-metrics-compute",
            &[],
            1,
            "feat.team_j_v1_logged is not there yet; log-flattener writes it",
        ),
        (
            "compare-join-query",
            &["--query-table", "src.rigth"],
            2,
            "there is no table src.rigth\n  --> --query-table",
        ),
        (
            "join",
            &["--start-partition-override", "2024-01-09"],
            2,
            "2024-01-09 is after the last day, 2024-01-03",
        ),
    ] {
        place.run(job, &definition, more).must(code, &[part]);
    }
}

/// A place on disk that the job may not write into stops it and says so.
#[test]
fn a_warehouse_that_is_no_folder() {
    let place = Place::new();
    let output = place.warehouse().join("feat.db");
    std::fs::write(&output, "a file").unwrap();
    place
        .run("join", &join(&group_by(0)), &[])
        .must(1, &["feat.db"]);
    assert!(Path::new(&output).is_file());
}
