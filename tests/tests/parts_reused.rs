//! When a day of a part's table is used again, and when it must be computed anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use unskewed_engine::job::Kind;
use unskewed_tests::tables::code::{SNAPSHOT, SUM};
use unskewed_tests::tables::{DAY, HOUR, START, group_by, join, longs, read, run, texts, write};

fn left(warehouse: &Path, ds: &str, user: &str, id: i64, asked: i64) {
    let columns = vec![
        ("user", texts(&[Some(user)])),
        ("id", longs(&[Some(id)])),
        ("ts", longs(&[Some(asked)])),
    ];
    write(warehouse, "left", ds, columns);
}

/// Events of `a` and `b` on the first day; a sum without windows, as of midnight.
fn definition(warehouse: &Path) -> Value {
    let columns = vec![
        ("user", texts(&[Some("a"), Some("b")])),
        ("x", longs(&[Some(1), Some(2)])),
        ("ts", longs(&[Some(START + HOUR), Some(START + HOUR)])),
    ];
    write(warehouse, "right", "2024-01-01", columns);
    let parts = json!([{"inputColumn": "x", "operation": SUM, "argMap": {}}]);
    let right = group_by(&["user"], &["user", "x"], &parts, SNAPSHOT);
    join(&["user", "id"], &right)
}

/// A late row of an earlier left day asks for a midnight of which few left rows make a part's day of their keys only.
/// Those of the day itself ask for others.
#[test]
fn a_late_left_row_takes_no_values_from_the_next_day() {
    for workers in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = folder.path();
        let definition = definition(warehouse);
        left(warehouse, "2024-01-02", "a", 1, START + 2 * DAY + HOUR);
        left(warehouse, "2024-01-03", "b", 2, START + 2 * DAY + 2 * HOUR);
        for end in ["2024-01-02", "2024-01-03"] {
            run(warehouse, Kind::Join, &definition, end, workers);
        }
        let rows = read(warehouse, "team_join_v1", "id", "team_right_v1_x_sum");
        assert_eq!(rows, BTreeMap::from([(1, Some(1)), (2, Some(2))]));
    }
}
