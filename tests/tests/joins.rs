//! What holds of joins whatever the data: bootstrapped values stand for computed ones, and which of several counts; a
//! chain is its joins one after the other.
//!
//! Each property is tried on random tables of several seeds and with one, two and four workers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use unskewed_engine::job::Kind;
use unskewed_tests::tables::code::{COUNT, SNAPSHOT, SUM, TEMPORAL};
use unskewed_tests::tables::{
    DAY, START, group_by, join, longs, partitions, read, row_count, run, texts, write,
};

const DAYS: [&str; 5] = [
    "2024-01-01",
    "2024-01-02",
    "2024-01-03",
    "2024-01-04",
    "2024-01-05",
];
const END: &str = "2024-01-05";
const SUM_COLUMN: &str = "team_right_v1_x_sum_1d";
const COUNT_COLUMN: &str = "team_right_v1_x_count_3d";

/// A small generator of repeatable randomness.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Days of events on both sides: rows of few users, at random times of their day, some users null.
fn fill(warehouse: &Path, random: &mut Random) -> BTreeMap<i64, &'static str> {
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

fn feature_join(accuracy: u8) -> Value {
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

fn named(mut definition: Value, name: &str) -> Value {
    definition["metaData"]["name"] = json!(name);
    definition
}

/// Writes a bootstrap table of these rows: id, sum, count.
fn write_boot(
    warehouse: &Path,
    table: &str,
    day_of: &BTreeMap<i64, &str>,
    rows: &[(i64, Option<i64>, Option<i64>)],
) {
    for ds in DAYS {
        let own: Vec<_> = rows.iter().filter(|(id, ..)| day_of[id] == ds).collect();
        let ids: Vec<_> = own.iter().map(|row| Some(row.0)).collect();
        let sums: Vec<_> = own.iter().map(|row| row.1).collect();
        let counts: Vec<_> = own.iter().map(|row| row.2).collect();
        let columns = vec![
            ("id", longs(&ids)),
            (SUM_COLUMN, longs(&sums)),
            (COUNT_COLUMN, longs(&counts)),
        ];
        write(warehouse, table, ds, columns);
    }
}

fn part_rows(warehouse: &Path, table: &str) -> usize {
    partitions(warehouse, table)
        .values()
        .flatten()
        .map(|file| row_count(file))
        .sum()
}

/// A join bootstrapped with its own values of some rows equals the plain join; and the rows that need no computing
/// are not computed.
#[test]
fn bootstrapped_with_its_own_values_a_join_stays_the_same() {
    for seed in 0..6 {
        let accuracy = if seed % 2 == 0 { TEMPORAL } else { SNAPSHOT };
        let folder = tempfile::tempdir().unwrap();
        let (warehouse, mut random) = (folder.path(), Random(seed));
        let day_of = fill(warehouse, &mut random);
        run(warehouse, Kind::Join, &feature_join(accuracy), END, 1);
        let sums = read(warehouse, "team_join_v1", "id", SUM_COLUMN);
        let counts = read(warehouse, "team_join_v1", "id", COUNT_COLUMN);
        assert_eq!(sums.len(), day_of.len());
        let kept: Vec<_> = sums
            .iter()
            .filter(|_| random.below(2) == 0)
            .map(|(id, sum)| (*id, *sum, counts[id]))
            .collect();
        write_boot(warehouse, "boot", &day_of, &kept);
        for workers in [1, 2, 4] {
            let name = format!("team_boot{workers}_v1");
            let mut definition = named(feature_join(accuracy), &format!("team.boot{workers}.v1"));
            definition["bootstrapParts"] = json!([{"table": "feat.boot", "keyColumns": ["id"]}]);
            run(warehouse, Kind::Join, &definition, END, workers);
            assert_eq!(
                read(warehouse, &name, "id", SUM_COLUMN),
                sums,
                "seed {seed}"
            );
            assert_eq!(
                read(warehouse, &name, "id", COUNT_COLUMN),
                counts,
                "seed {seed}"
            );
            if accuracy == TEMPORAL {
                let asked = part_rows(warehouse, &format!("{name}_team_right_v1"));
                let all = part_rows(warehouse, "team_join_v1_team_right_v1");
                assert!(asked < all, "{asked} of {all} rows were computed");
            }
        }
    }
}

/// Of several bootstrap parts the first that has a value wins, over the computed one too; of several rows of one part
/// the first by source position does. Joins of kept tables give the same.
#[test]
fn the_first_bootstrapped_value_wins() {
    for workers in [1, 2, 4] {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = folder.path();
        let day_of = fill(warehouse, &mut Random(7));
        run(warehouse, Kind::Join, &feature_join(TEMPORAL), END, workers);
        let plain = read(warehouse, "team_join_v1", "id", SUM_COLUMN);
        let first = [
            (0, Some(-1), None),
            (0, Some(-2), Some(-2)),
            (1, None, Some(-3)),
        ];
        let second = [
            (0, Some(-4), Some(-4)),
            (1, Some(-5), Some(-5)),
            (100, Some(-6), None),
        ];
        write_boot(warehouse, "one", &day_of, &first);
        write_boot(warehouse, "two", &day_of, &second);
        let mut definition = named(feature_join(TEMPORAL), "team.boot.v1");
        definition["rowIds"] = json!(["id"]);
        definition["bootstrapParts"] = json!([{"table": "feat.one"}, {"table": "feat.two"}]);
        run(warehouse, Kind::Join, &definition, END, workers);
        let sums = read(warehouse, "team_boot_v1", "id", SUM_COLUMN);
        let counts = read(warehouse, "team_boot_v1", "id", COUNT_COLUMN);
        let mut want = plain;
        want.extend([(0, Some(-1)), (1, Some(-5)), (100, Some(-6))]);
        assert_eq!(sums, want);
        assert_eq!((counts[&0], counts[&1]), (Some(-4), Some(-3)));
        assert_eq!(
            counts[&100], None,
            "the row is covered, so what is missing stays missing"
        );
        std::fs::remove_dir_all(warehouse.join("feat.db/team_boot_v1")).unwrap();
        run(warehouse, Kind::JoinFinal, &definition, END, workers);
        assert_eq!(read(warehouse, "team_boot_v1", "id", SUM_COLUMN), want);
        assert_eq!(read(warehouse, "team_boot_v1", "id", COUNT_COLUMN), counts);
    }
}

/// A group-by over a join's output (or over a table): sums the parent's feature by user.
fn spend(source: &Value, accuracy: u8) -> Value {
    let windows = json!([{"length": 2, "timeUnit": 1}]);
    let parts = json!([{"inputColumn": "y", "operation": SUM, "argMap": {}, "windows": windows}]);
    let mut group = group_by(&["user"], &["user", "y"], &parts, accuracy);
    group["metaData"]["name"] = json!("team.spend.v1");
    group["sources"] = json!([source]);
    group
}

fn selecting(column: &str) -> Value {
    json!({"selects": {"user": "user", "y": column}, "timeColumn": "ts", "setups": []})
}

/// The parent: its left is the events that the child aggregates, its derivation what the child reads.
fn parent(name: &str, accuracy: u8) -> Value {
    let mut parent = named(feature_join(accuracy), name);
    parent["left"]["events"]["topic"] = json!("left");
    parent["derivations"] = json!([
        {"name": "*", "expression": "*"},
        {"name": "doubled", "expression": format!("coalesce({SUM_COLUMN}, 0) * 2 + id")},
    ]);
    parent
}

const SPEND_COLUMN: &str = "team_spend_v1_y_sum_2d";

/// A source that reads a column of a join.
fn over(join: &Value, column: &str) -> Value {
    json!({"joinSource": {"join": join, "query": selecting(column)}})
}

/// A source that reads a column of a table.
fn table(name: &str, column: &str) -> Value {
    let query = selecting(column);
    json!({"events": {"table": format!("feat.{name}"), "query": query}})
}

/// A join of the left with the sums of this source.
fn spending(name: &str, source: &Value, accuracy: u8) -> Value {
    let mut join = join(&["user", "id"], &spend(source, accuracy));
    join["left"]["events"]["topic"] = json!("left");
    named(join, name)
}

/// A chain of three joins, computed by running the last one, equals running them by hand, each over the table of the
/// one before.
#[test]
fn a_chain_equals_its_joins_one_by_one() {
    for seed in 0..4 {
        let accuracy = if seed % 2 == 0 { TEMPORAL } else { SNAPSHOT };
        let (chained, by_hand) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fill(chained.path(), &mut Random(seed + 20));
        fill(by_hand.path(), &mut Random(seed + 20));
        let first = parent("team.first.v1", accuracy);
        let second = |source: &Value| spending("team.second.v1", source, accuracy);
        let third = |source: &Value| spending("team.third.v1", source, accuracy);
        let chain = third(&over(&second(&over(&first, "doubled")), SPEND_COLUMN));
        run(chained.path(), Kind::Join, &chain, END, 1 << (seed % 3));
        // One day less of each parent than of its child, as a chain asks.
        let hand = by_hand.path();
        run(hand, Kind::Join, &first, "2024-01-03", 1);
        let source = table("team_first_v1", "doubled");
        run(hand, Kind::Join, &second(&source), "2024-01-04", 1);
        let source = table("team_second_v1", SPEND_COLUMN);
        run(hand, Kind::Join, &third(&source), END, 1);
        for (name, column) in [
            ("team_first_v1", "doubled"),
            ("team_second_v1", SPEND_COLUMN),
            ("team_third_v1", SPEND_COLUMN),
        ] {
            let want = read(hand, name, "id", column);
            let some = want.values().any(Option::is_some);
            assert!(some, "seed {seed}: {name} is empty");
            let got = read(chained.path(), name, "id", column);
            assert_eq!(got, want, "seed {seed}: {name}");
        }
    }
}

/// A group-by's own backfill over a join computes the join first, to the same last day.
#[test]
fn a_group_by_over_a_join_computes_the_join_first() {
    for accuracy in [TEMPORAL, SNAPSHOT] {
        let (chained, by_hand) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fill(chained.path(), &mut Random(31));
        fill(by_hand.path(), &mut Random(31));
        let first = parent("team.first.v1", accuracy);
        let backfilled = |source: &Value| {
            let mut group = spend(source, accuracy);
            group["backfillStartDate"] = json!("2024-01-02");
            group
        };
        let chain = backfilled(&over(&first, "doubled"));
        run(chained.path(), Kind::GroupByBackfill, &chain, END, 2);
        run(by_hand.path(), Kind::Join, &first, END, 1);
        let plain = backfilled(&table("team_first_v1", "doubled"));
        run(by_hand.path(), Kind::GroupByBackfill, &plain, END, 1);
        for name in ["team_first_v1", "team_spend_v1"] {
            let want = part_rows(by_hand.path(), name);
            assert!(want > 0, "{name} is empty");
            assert_eq!(part_rows(chained.path(), name), want, "{name}");
        }
    }
}
