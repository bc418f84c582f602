//! What ours does on purpose otherwise than the reference, through whole jobs.
//!
//! Each test is named in the last section of `docs/semantics.md`, makes the smallest tables on which
//! the reference is documented to lose or confuse something, and asks for the right answer. Every
//! test runs with one and with two workers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::ListArray;
use arrow_array::types::Int64Type;
use serde_json::json;
use unskewed_engine::job::Kind;
use unskewed_tests::tables::code::{COUNT, SNAPSHOT, SUM, TEMPORAL};
use unskewed_tests::tables::{DAY, HOUR, START, group_by, join, longs, read, run, texts, write};

fn with_workers(body: impl Fn(&Path, usize)) {
    for workers in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        body(folder.path(), workers);
    }
}

/// Two left rows of one key and time, in two partitions: the reference answers one of them.
#[test]
fn equal_left_rows_of_two_days_both_get_features() {
    with_workers(|warehouse, workers| {
        let asked = START + 2 * DAY + 12 * HOUR;
        for (id, ds) in [(1, "2024-01-03"), (2, "2024-01-04")] {
            let columns = vec![
                ("user", texts(&[Some("a")])),
                ("id", longs(&[Some(id)])),
                ("ts", longs(&[Some(asked)])),
            ];
            write(warehouse, "left", ds, columns);
        }
        for (day, ds) in ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]
            .iter()
            .enumerate()
        {
            let ts = START + i64::try_from(day).unwrap() * DAY + HOUR;
            let columns = vec![
                ("user", texts(&[Some("a")])),
                ("x", longs(&[Some(1)])),
                ("ts", longs(&[Some(ts)])),
            ];
            write(warehouse, "right", ds, columns);
        }
        let windows = json!([{"length": 1, "timeUnit": 1}]);
        let parts =
            json!([{"inputColumn": "x", "operation": COUNT, "argMap": {}, "windows": windows}]);
        let right = group_by(&["user"], &["user", "x"], &parts, TEMPORAL);
        run(
            warehouse,
            Kind::Join,
            &join(&["user", "id"], &right),
            "2024-01-04",
            workers,
        );
        let rows = read(warehouse, "team_join_v1", "id", "team_right_v1_x_count_1d");
        assert_eq!(rows, BTreeMap::from([(1, Some(1)), (2, Some(1))]));
    });
}

/// A right row without a time: the reference counts it as of 1970, where no window forgets it.
#[test]
fn right_rows_without_a_time_are_left_out_and_counted() {
    with_workers(|warehouse, workers| {
        write(
            warehouse,
            "left",
            "2024-01-02",
            vec![
                ("user", texts(&[Some("a")])),
                ("id", longs(&[Some(1)])),
                ("ts", longs(&[Some(START + DAY + HOUR)])),
            ],
        );
        for ds in ["2024-01-01", "2024-01-02"] {
            write(
                warehouse,
                "right",
                ds,
                vec![
                    ("user", texts(&[Some("a"), Some("a")])),
                    ("x", longs(&[Some(1), Some(10)])),
                    ("ts", longs(&[Some(START + HOUR), None])),
                ],
            );
        }
        let parts = json!([{"inputColumn": "x", "operation": SUM, "argMap": {}}]);
        let right = group_by(&["user"], &["user", "x"], &parts, TEMPORAL);
        let definition = join(&["user", "id"], &right);
        let outcome = run(warehouse, Kind::Join, &definition, "2024-01-02", workers);
        let rows = read(warehouse, "team_join_v1", "id", "team_right_v1_x_sum");
        assert_eq!(rows, BTreeMap::from([(1, Some(2))]));
        assert_eq!(outcome.bad_rows, 2, "{:?}", outcome.bad_samples);
        assert!(!outcome.bad_samples.is_empty());
    });
}

/// Keys that differ only in which part is null: the reference's hash takes them for one.
#[test]
fn keys_with_nulls_in_different_places_are_different() {
    with_workers(|warehouse, workers| {
        write(
            warehouse,
            "right",
            "2024-01-01",
            vec![
                ("a", texts(&[Some("k"), None, Some("k")])),
                ("b", texts(&[None, Some("k"), None])),
                ("x", longs(&[Some(1), Some(10), Some(100)])),
                (
                    "ts",
                    longs(&[Some(START), Some(START + 1), Some(START + 2)]),
                ),
            ],
        );
        let parts = json!([
            {"inputColumn": "x", "operation": SUM, "argMap": {}},
            {"inputColumn": "x", "operation": COUNT, "argMap": {}},
        ]);
        let mut definition = group_by(&["a", "b"], &["a", "b", "x"], &parts, SNAPSHOT);
        definition["backfillStartDate"] = json!("2024-01-01");
        run(
            warehouse,
            Kind::GroupByBackfill,
            &definition,
            "2024-01-01",
            workers,
        );
        let rows = read(warehouse, "team_right_v1", "x_sum", "x_count");
        assert_eq!(rows, BTreeMap::from([(101, Some(2)), (10, Some(1))]));
    });
}

/// Element-wise sums of lists: the reference fails with a wrong cast in every backfill.
#[test]
fn element_wise_aggregations_work_in_a_backfill() {
    with_workers(|warehouse, workers| {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([
            Some(vec![Some(1), Some(2)]),
            Some(vec![Some(10), Some(20)]),
        ]);
        write(
            warehouse,
            "right",
            "2024-01-01",
            vec![
                ("user", texts(&[Some("a"), Some("a")])),
                ("x", Arc::new(lists)),
                ("ts", longs(&[Some(START), Some(START + 1)])),
            ],
        );
        let parts = json!([
            {"inputColumn": "x", "operation": SUM, "argMap": {}, "elementWise": true},
        ]);
        let mut definition = group_by(&["user"], &["user", "x"], &parts, SNAPSHOT);
        definition["backfillStartDate"] = json!("2024-01-01");
        definition["derivations"] = json!([
            {"name": "first", "expression": "x_sum[0]"},
            {"name": "second", "expression": "x_sum[1]"},
        ]);
        run(
            warehouse,
            Kind::GroupByBackfill,
            &definition,
            "2024-01-01",
            workers,
        );
        let rows = read(warehouse, "team_right_v1", "first", "second");
        assert_eq!(rows, BTreeMap::from([(11, Some(22))]));
    });
}
