//! A job that is killed at any moment leaves nothing half, and the next run completes it.
//!
//! The test starts itself as a child process that runs the job, kills it after a random time, and
//! looks: each partition a reader can see is whole, and a second run makes the same rows as a run
//! that nobody disturbed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use unskewed_connectors::clock::{Clock, SystemClock};
use unskewed_engine::job::Kind;
use unskewed_tests::tables::code::{COUNT, SUM, TEMPORAL};
use unskewed_tests::tables::{
    DAY, START, group_by, join, longs, partitions, read, row_count, run, texts, write,
};

const CHILD: &str = "UNSKEWED_TESTS_KILLED_WAREHOUSE";
const DAYS: i64 = 8;
const ROWS: i64 = 2_000;
const LAST: &str = "2024-01-08";

/// A small generator with good enough bits (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((bits ^ (bits >> 31)) >> 1).unwrap() % bound
    }
}

fn fill(warehouse: &Path) {
    let mut random = Random(7);
    for day in 0..DAYS {
        for table in ["left", "right"] {
            let users: Vec<String> = (0..ROWS)
                .map(|_| format!("user-{}", random.below(200)))
                .collect();
            let users: Vec<Option<&str>> = users.iter().map(|user| Some(user.as_str())).collect();
            let numbers: Vec<Option<i64>> = (0..ROWS).map(|row| Some(day * ROWS + row)).collect();
            let times: Vec<Option<i64>> = (0..ROWS)
                .map(|_| Some(START + day * DAY + random.below(DAY)))
                .collect();
            let columns = vec![
                ("user", texts(&users)),
                ("id", longs(&numbers)),
                ("ts", longs(&times)),
            ];
            write(
                warehouse,
                table,
                &format!("2024-01-{:02}", day + 1),
                columns,
            );
        }
    }
}

fn definition() -> Value {
    let windows = json!([{"length": 3, "timeUnit": 1}, {"length": 2, "timeUnit": 0}]);
    let parts = json!([
        {"inputColumn": "id", "operation": COUNT, "argMap": {}, "windows": windows},
        {"inputColumn": "id", "operation": SUM, "argMap": {}},
    ]);
    join(
        &["user", "id"],
        &group_by(&["user"], &["user", "id"], &parts, TEMPORAL),
    )
}

fn run_join(warehouse: &Path) {
    run(warehouse, Kind::Join, &definition(), LAST, 2);
}

/// Rows a reader sees of each day, by the name of the day.
fn rows_by_day(warehouse: &Path) -> BTreeMap<String, usize> {
    let days = partitions(warehouse, "team_join_v1").into_iter();
    days.map(|(day, files)| (day, files.iter().map(|file| row_count(file)).sum()))
        .collect()
}

/// Not a test of its own: what the child process does.
#[test]
fn child() {
    if let Ok(warehouse) = env::var(CHILD) {
        run_join(Path::new(&warehouse));
    }
}

#[test]
fn a_killed_join_leaves_whole_partitions_and_is_completed() {
    let clock = SystemClock::new();
    let calm = tempfile::tempdir().unwrap();
    fill(calm.path());
    let before = clock.monotonic();
    run_join(calm.path());
    let needed = clock.monotonic() - before;
    let column = "team_right_v1_id_count_3d";
    let expected = read(calm.path(), "team_join_v1", "id", column);
    assert_eq!(expected.len(), usize::try_from(DAYS * ROWS).unwrap());

    let seed = 11;
    let mut random = Random(seed);
    for attempt in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path());
        // Several kills in a row: the second meets what the first left behind.
        for _ in 0..2 {
            let mut child = Command::new(env::current_exe().unwrap())
                .args(["--exact", "child"])
                .env(CHILD, folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let share = u32::try_from(random.below(100)).unwrap();
            clock.sleep(needed * share / 80);
            child.kill().unwrap();
            child.wait().unwrap();
            for (day, rows) in rows_by_day(folder.path()) {
                let whole = usize::try_from(ROWS).unwrap();
                assert_eq!(
                    rows, whole,
                    "{day} after a kill, seed {seed}, attempt {attempt}"
                );
            }
        }
        run_join(folder.path());
        let got = read(folder.path(), "team_join_v1", "id", column);
        assert!(got == expected, "seed {seed}, attempt {attempt}");
    }
}
