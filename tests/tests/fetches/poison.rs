//! A row that cannot be computed, and a message that cannot be decoded, cost themselves: what a stream stores is what it
//! would store had they never come, and they are counted.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use serde_json::json;
use unskewed_tests::random_join::Random;
use unskewed_tests::tables::code::TEMPORAL;
use unskewed_tests::tables::group_by;

use super::online::{Online, definition};
use super::training::{TOPIC, fill, topic_with};

/// The value that fails.
const POISON: i64 = 7;

#[test]
fn bad_rows_cost_themselves() {
    for seed in 1..=4 {
        let mut random = Random(seed);
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), &mut random, 1);
        let sum = json!([{"inputColumn": "x", "operation": 7, "argMap": {}}]);
        let mut right = group_by(&["user"], &["user", "x"], &sum, TEMPORAL);
        right["sources"][0]["events"]["topic"] = json!(TOPIC);
        let selects = &mut right["sources"][0]["events"]["query"]["selects"];
        selects["x"] = json!(format!("IF(x = {POISON}, raise_error('it is poison'), x)"));
        let right = definition(&right);
        let stored = |with_poison: bool| {
            let online = Online::new(folder.path(), 1 + (seed % 2) as usize);
            let mut random = Random(seed);
            let topic = topic_with(folder.path(), "2024-01-01", &mut random, |rows, row| {
                let x = rows.column_by_name("x").unwrap();
                let x = x.as_primitive::<Int64Type>();
                with_poison || x.iter().nth(row) != Some(Some(POISON))
            });
            let outcome = online.stream_topic(&right, TOPIC, topic, seed);
            let keys = ["u0", "u1", "u2", "u3"].map(|user| [&[2, 4], user.as_bytes()].concat());
            (
                online.streamed("TEAM_RIGHT_V1_STREAMING", &keys),
                outcome.bad_rows,
            )
        };
        let (with, bad_with) = stored(true);
        let (without, bad_without) = stored(false);
        assert_eq!(with, without, "seed {seed}");
        // As a message or as a row, each is counted.
        assert_eq!(bad_with, bad_without, "seed {seed}");
        assert!(bad_with > 0, "seed {seed}");
    }
}
