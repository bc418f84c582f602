//! A join over random rows: few users, many times, some nulls, and what the seed says.
//!
//! Anything unexpected panics: only tests call this.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::tables::code::{COUNT, SUM};
use crate::tables::{DAY, START, group_by, join, longs, texts, write};

/// The days there are.
pub const DAYS: [&str; 5] = [
    "2024-01-01",
    "2024-01-02",
    "2024-01-03",
    "2024-01-04",
    "2024-01-05",
];
/// The last of them.
pub const END: &str = "2024-01-05";
/// The feature of [`feature_join`] that sums a day.
pub const SUM_COLUMN: &str = "team_right_v1_x_sum_1d";
/// The feature of [`feature_join`] that counts three days.
pub const COUNT_COLUMN: &str = "team_right_v1_x_count_3d";

/// A small generator of repeatable randomness.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number from 0 to below the bound.
    pub fn below(&mut self, bound: i64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Days of events on both sides: rows of few users, at random times of their day, some users null. The day of each left
/// row, by its `id`.
pub fn fill(warehouse: &Path, random: &mut Random) -> BTreeMap<i64, &'static str> {
    let mut day_of = BTreeMap::new();
    for (day, ds) in (0_i64..).zip(DAYS) {
        let rows = 3 + random.below(12);
        let users: Vec<Option<String>> = (0..rows)
            .map(|_| (random.below(8) > 0).then(|| format!("u{}", random.below(4))))
            .collect();
        let users: Vec<Option<&str>> = users.iter().map(|user| user.as_deref()).collect();
        let times = |random: &mut Random| -> Vec<Option<i64>> {
            (0..rows)
                .map(|_| Some(START + day * DAY + random.below(DAY)))
                .collect()
        };
        let (left, right) = (times(random), times(random));
        let ids: Vec<Option<i64>> = (0..rows).map(|row| Some(day * 100 + row)).collect();
        let values: Vec<Option<i64>> = (0..rows)
            .map(|_| (random.below(6) > 0).then(|| random.below(50)))
            .collect();
        day_of.extend(ids.iter().flatten().map(|id| (*id, ds)));
        let left = vec![
            ("user", texts(&users)),
            ("id", longs(&ids)),
            ("ts", longs(&left)),
        ];
        write(warehouse, "left", ds, left);
        let right = vec![
            ("user", texts(&users)),
            ("x", longs(&values)),
            ("ts", longs(&right)),
        ];
        write(warehouse, "right", ds, right);
    }
    day_of
}

/// A join of the left with a sum over one day and a count over three.
pub fn feature_join(accuracy: u8) -> Value {
    let windows = |days: u8| json!([{"length": days, "timeUnit": 1}]);
    let parts = json!([
        {"inputColumn": "x", "operation": SUM, "argMap": {}, "windows": windows(1)},
        {"inputColumn": "x", "operation": COUNT, "argMap": {}, "windows": windows(3)},
    ]);
    join(
        &["user", "id"],
        &group_by(&["user"], &["user", "x"], &parts, accuracy),
    )
}

/// The same definition under another name.
#[must_use]
pub fn named(mut definition: Value, name: &str) -> Value {
    definition["metaData"]["name"] = json!(name);
    definition
}
