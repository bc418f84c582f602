//! The jobs that measure, on small tables whose answers are counted by hand.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use arrow_array::Float64Array;
use serde_json::{Value, json};
use unskewed_engine::findings::{Cell, Findings, Table};
use unskewed_engine::job::{self, Kind, Options, Outcome};
use unskewed_planner::time::PartitionRange;
use unskewed_tests::tables::code::{SNAPSHOT, SUM};
use unskewed_tests::tables::{
    DAY, HOUR, START, group_by, join, longs, partitions, row_count, run_with, texts, write,
};

fn definition() -> Value {
    let parts = json!([{"inputColumn": "id", "operation": SUM, "argMap": {}}]);
    join(
        &["user"],
        &group_by(&["user"], &["user", "id"], &parts, SNAPSHOT),
    )
}

fn options(end: &str) -> Options {
    let mut options = Options::until(end.parse().unwrap());
    options.measure.sample = 1.0;
    options
}

/// A day of the join's output: `rows` rows, every fourth without its feature, values around `centre`.
fn fill(warehouse: &Path, day: i64, rows: i64, centre: f64) {
    let users: Vec<String> = (0..rows).map(|row| format!("user-{}", row % 17)).collect();
    let users: Vec<Option<&str>> = users.iter().map(|user| Some(user.as_str())).collect();
    let times: Vec<Option<i64>> = (0..rows)
        .map(|row| Some(START + day * DAY + (row % 24) * HOUR + row))
        .collect();
    let values = (0..rows).map(|row| (row % 4 != 0).then_some(centre + (row % 100) as f64));
    let columns: Vec<(&str, arrow_array::ArrayRef)> = vec![
        ("user", texts(&users)),
        ("ts", longs(&times)),
        (
            "team_right_v1_id_sum",
            Arc::new(values.collect::<Float64Array>()),
        ),
    ];
    write(
        warehouse,
        "team_join_v1",
        &format!("2024-01-{:02}", day + 1),
        columns,
    );
}

fn findings(outcome: Outcome) -> Findings {
    *outcome.findings.unwrap()
}

fn count(table: &Table, row: usize, column: &str) -> i64 {
    match table.cell(row, column) {
        Some(Cell::Count(count)) => *count,
        other => panic!("{column}: {other:?}"),
    }
}

fn share(table: &Table, row: usize, column: &str) -> f64 {
    match table.cell(row, column) {
        Some(Cell::Share(value) | Cell::Number(value)) => *value,
        other => panic!("{column}: {other:?}"),
    }
}

fn files(warehouse: &Path, table: &str) -> Vec<Vec<u8>> {
    let partitions = partitions(warehouse, table);
    let files = partitions.values().flatten();
    files.map(|file| std::fs::read(file).unwrap()).collect()
}

/// Shows that rows and nulls are counted, hour by hour, whatever the number of workers, and each day once.
#[test]
fn statistics_count_rows_and_nulls() {
    let mut written = vec![];
    for workers in [1, 2, 4] {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), 0, 96, 0.0);
        fill(folder.path(), 1, 48, 0.0);
        let run = |end| {
            run_with(
                folder.path(),
                Kind::StatsSummary,
                &definition(),
                options(end),
                workers,
            )
        };
        let first = run("2024-01-02").unwrap();
        assert_eq!(
            (first.rows_in, first.rows_out, first.partitions_written),
            (144, 48, 5)
        );
        let found = findings(first);
        let table = found.table("features").unwrap();
        assert_eq!(table.rows.len(), 1, "the key is not measured");
        assert_eq!(
            (count(table, 0, "rows"), count(table, 0, "nulls")),
            (144, 36)
        );
        assert_eq!(share(table, 0, "null_rate"), 0.25);
        written.push(files(folder.path(), "team_join_v1_daily_stats"));
        assert_eq!(
            run("2024-01-02").unwrap().partitions_written,
            0,
            "nothing is missing"
        );
        let days = partitions(folder.path(), "team_join_v1_daily_stats");
        let rows: usize = days.values().flatten().map(|file| row_count(file)).sum();
        assert_eq!(rows, 48, "an hour each");
    }
    assert!(!written[0].is_empty() && written.iter().all(|files| *files == written[0]));
}

/// Shows that a share of the rows is the same share in every run, and about as large as asked for.
#[test]
fn samples_repeat() {
    let measured = || {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), 0, 5_000, 0.0);
        let mut options = options("2024-01-01");
        options.measure.sample = 0.2;
        let outcome = run_with(folder.path(), Kind::StatsSummary, &definition(), options, 2);
        let found = findings(outcome.unwrap());
        let rows = count(found.table("features").unwrap(), 0, "rows");
        (rows, files(folder.path(), "team_join_v1_daily_stats"))
    };
    let (first, second) = (measured(), measured());
    assert!((800..1_200).contains(&first.0), "{}", first.0);
    assert!(first == second);
}

/// Shows that a day like the others has not drifted, that a moved one has, and that a limit makes that an error.
#[test]
fn drift_is_found_and_judged() {
    let folder = tempfile::tempdir().unwrap();
    for day in 0..4 {
        fill(folder.path(), day, 1_000, if day == 3 { 80.0 } else { 0.0 });
    }
    let run = |kind, options| run_with(folder.path(), kind, &definition(), options, 2);
    let missing = run(Kind::Drift, options("2024-01-03")).unwrap_err();
    assert!(
        matches!(missing, job::Error::NoStatistics { .. }),
        "{missing}"
    );
    run(Kind::StatsSummary, options("2024-01-04")).unwrap();
    let drift = |end: &str, reference: Option<(&str, &str)>| {
        let mut options = options(end);
        options.measure.stability_max = Some(0.25);
        options.measure.reference = reference
            .and_then(|(a, b)| PartitionRange::new(a.parse().unwrap(), b.parse().unwrap()));
        findings(run(Kind::Drift, options).unwrap())
    };
    let same = drift("2024-01-03", None);
    let table = same.table("drift").unwrap();
    assert_eq!(table.cell(0, "drift"), Some(&Cell::Text("small".into())));
    assert!(share(table, 0, "psi") < 0.01 && same.problems.is_empty());
    let moved = drift("2024-01-04", Some(("2024-01-01", "2024-01-03")));
    let table = moved.table("drift").unwrap();
    assert_eq!(table.cell(0, "drift"), Some(&Cell::Text("major".into())));
    assert!(share(table, 0, "l_infinity") > 0.7, "{table:?}");
    assert_eq!(moved.problems.len(), 1, "{:?}", moved.problems);
}

/// Shows that a definition that changed has its output measured anew, and that being asked to does the same.
#[test]
fn changed_definitions_are_measured_anew() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 0, 24, 0.0);
    let run = |force| {
        let mut options = options("2024-01-01");
        options.measure.force = force;
        run_with(folder.path(), Kind::StatsSummary, &definition(), options, 1).unwrap()
    };
    // The day twice, once as it is stored, and the schemas on the day of the run.
    assert_eq!(run(false).partitions_written, 3);
    assert_eq!(run(false).partitions_written, 0);
    assert_eq!(run(true).partitions_written, 3);
}

/// Shows that times of another unit and missing ones are found, and that frequent keys are counted.
#[test]
fn analysis_finds_times_and_frequent_keys() {
    let folder = tempfile::tempdir().unwrap();
    let users: Vec<Option<&str>> = (0..40)
        .map(|row| Some(if row < 30 { "a" } else { "b" }))
        .collect();
    let times = |seconds: bool| -> Vec<Option<i64>> {
        let unit = if seconds { 1_000 } else { 1 };
        (0..40)
            .map(|row| (row != 7).then(|| (START + row) / unit))
            .collect()
    };
    let ids: Vec<Option<i64>> = (0..40).map(Some).collect();
    write(
        folder.path(),
        "left",
        "2024-01-01",
        vec![("user", texts(&users)), ("ts", longs(&times(false)))],
    );
    let right = vec![
        ("user", texts(&users)),
        ("id", longs(&ids)),
        ("ts", longs(&times(true))),
    ];
    write(folder.path(), "right", "2024-01-01", right);
    let mut options = options("2024-01-01");
    options.measure.frequent = Some(64);
    let outcome = run_with(folder.path(), Kind::Analyze, &definition(), options, 2).unwrap();
    let found = findings(outcome);
    assert_eq!(
        found.problems,
        [
            "left: 1 of 40 rows have no time",
            "team_right_v1: 1 of 40 rows have no time",
            "team_right_v1: 39 of 40 times are not between 31536000000 and 4102473599999; \
             they must be milliseconds since 1970",
        ]
    );
    let frequent = found.table("left_frequent_values").unwrap();
    let expected = [
        ("user", "a", 30),
        ("user", "b", 10),
        ("ts_year", "2024", 39),
        ("ts_year", "NULL", 1),
    ];
    for (row, (column, value, rows)) in expected.into_iter().enumerate() {
        assert_eq!(frequent.rows[row][..2], [column.into(), value.into()]);
        assert_eq!(count(frequent, row, "rows"), rows);
    }
    let days = found.table("left_days").unwrap();
    assert_eq!(
        (count(days, 0, "rows"), count(days, 0, "null_times")),
        (40, 1)
    );
}

/// Shows that a join compared with other rows names what differs and where, and leaves out what the others lack.
#[test]
fn a_join_is_compared_with_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let users = texts(&[Some("a"), Some("b"), Some("c"), None]);
    let times = longs(&[Some(START), Some(START), Some(START + HOUR), Some(START)]);
    let column = |values: [Option<i64>; 4]| longs(&values);
    let joined = vec![
        ("user", Arc::clone(&users)),
        ("ts", Arc::clone(&times)),
        (
            "team_right_v1_id_sum",
            column([Some(1), Some(2), None, Some(4)]),
        ),
        ("extra", column([Some(0); 4])),
    ];
    write(folder.path(), "team_join_v1", "2024-01-01", joined);
    let other = vec![
        ("user", users),
        ("ts", times),
        (
            "team_right_v1_id_sum",
            column([Some(1), Some(20), Some(3), Some(4)]),
        ),
    ];
    write(folder.path(), "other", "2024-01-01", other);
    let mut options = options("2024-01-01");
    options.measure.query_table = Some("feat.other".into());
    let outcome = run_with(
        folder.path(),
        Kind::CompareJoinQuery,
        &definition(),
        options.clone(),
        2,
    );
    let outcome = outcome.unwrap();
    assert_eq!(
        (outcome.rows_out, outcome.partitions_written),
        (5, 2),
        "the null key stands twice"
    );
    let found = findings(outcome);
    let table = found.table("columns").unwrap();
    assert_eq!(
        table.rows.len(),
        1,
        "what the other side lacks is not compared"
    );
    for (column, wanted) in [
        ("rows", 5),
        ("mismatches", 1),
        ("only_other", 2),
        ("only_join", 1),
        ("differing", 4),
    ] {
        assert_eq!(count(table, 0, column), wanted, "{column}");
    }
    let days = found.table("days").unwrap();
    assert_eq!(count(days, 0, "discrepancies"), 4);
    options.measure.query_table = None;
    let nothing = run_with(
        folder.path(),
        Kind::CompareJoinQuery,
        &definition(),
        options,
        1,
    );
    assert!(matches!(nothing, Err(job::Error::Definition(_))));
}
