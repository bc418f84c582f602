//! What holds of joins whatever the data: bootstrapped values stand for computed ones, and which of several counts; a
//! chain is its joins one after the other.
//!
//! Each property is tried on random tables of several seeds and with one, two and four workers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use serde_json::{Value, json};
use unskewed_engine::job::{Kind, Options};
use unskewed_tests::random_join::{
    COUNT_COLUMN, DAYS, END, Random, SUM_COLUMN, feature_join, fill, named,
};
use unskewed_tests::tables::code::{SNAPSHOT, SUM, TEMPORAL};
use unskewed_tests::tables::{
    DAY, START, batches, group_by, join, longs, partitions, read, read_texts, row_count, run,
    run_with, texts, write,
};

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

/// A label of each user as of a day: entities, or the sum of events over some days.
fn label_part(sums: bool, offsets: (i32, i32)) -> Value {
    let mut group = if sums {
        let windows = json!([{"length": offsets.0, "timeUnit": 1}]);
        let parts =
            json!([{"inputColumn": "x", "operation": SUM, "argMap": {}, "windows": windows}]);
        group_by(&["user"], &["user", "x"], &parts, TEMPORAL)
    } else {
        let mut group = group_by(&["user"], &["user", "y"], &json!(null), SNAPSHOT);
        let fields = group.as_object_mut().unwrap();
        fields.remove("aggregations");
        fields["sources"] = json!([{"entities": {"snapshotTable": "feat.states", "query": {
            "selects": {"user": "user", "y": "y"}, "setups": [],
        }}}]);
        group
    };
    group["metaData"]["name"] = json!("team.label.v1");
    json!({"labels": [{"groupBy": group}], "leftStartOffset": offsets.0, "leftEndOffset": offsets.1})
}

/// Snapshots of each user's state, some twice: the first counts. What each is, by day.
fn fill_states(warehouse: &Path, random: &mut Random) -> BTreeMap<(String, &'static str), i64> {
    let mut states = BTreeMap::new();
    for ds in DAYS {
        let rows: Vec<(String, i64)> = (0..6)
            .map(|_| (format!("u{}", random.below(4)), random.below(1000)))
            .collect();
        for (user, state) in &rows {
            states.entry((user.clone(), ds)).or_insert(*state);
        }
        let users: Vec<Option<&str>> = rows.iter().map(|(user, _)| Some(user.as_str())).collect();
        let values: Vec<Option<i64>> = rows.iter().map(|(_, state)| Some(*state)).collect();
        write(
            warehouse,
            "states",
            ds,
            vec![("user", texts(&users)), ("y", longs(&values))],
        );
    }
    states
}

/// Labels of entities are the state of the label day whatever the left's; labelled rows have every version, the latest
/// ones the last; a day changes when its training rows or labels do and goes when they go. Any number of workers.
#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, whose steps rest on each other"
)]
fn labels_are_as_of_their_day_and_labelled_rows_follow() {
    for (seed, workers) in [(41, 1), (42, 2), (43, 4)] {
        let folder = tempfile::tempdir().unwrap();
        let (warehouse, mut random) = (folder.path(), Random(seed));
        let day_of = fill(warehouse, &mut random);
        let states = fill_states(warehouse, &mut random);
        let mut definition = feature_join(TEMPORAL);
        definition["rowIds"] = json!(["id"]);
        definition["labelPart"] = label_part(false, (3, 2));
        run(warehouse, Kind::Join, &definition, END, workers);
        let users = read_texts(warehouse, "team_join_v1", "id", "user");
        let want = |label_day: &'static str, days: &[&str]| -> BTreeMap<i64, Option<i64>> {
            let labelled = day_of.iter().filter(|(_, ds)| days.contains(ds));
            labelled
                .map(|(id, _)| {
                    let user = users[id].clone().unwrap_or_default();
                    (*id, states.get(&(user, label_day)).copied())
                })
                .collect()
        };
        run(
            warehouse,
            Kind::LabelJoin,
            &definition,
            "2024-01-03",
            workers,
        );
        let column = "team_label_v1_y";
        let first = want("2024-01-03", &["2024-01-01", "2024-01-02"]);
        let labels = |day: &str| {
            let under = format!("team_join_v1_labels/label_ds={day}");
            read(warehouse, &under, "id", column)
        };
        assert_eq!(labels("2024-01-03"), first);
        run(
            warehouse,
            Kind::LabelJoin,
            &definition,
            "2024-01-04",
            workers,
        );
        let second = want("2024-01-04", &["2024-01-02", "2024-01-03"]);
        assert_eq!(
            labels("2024-01-03"),
            first,
            "another label day stays as it is"
        );
        assert_eq!(labels("2024-01-04"), second);
        let mut latest: BTreeMap<i64, Option<i64>> = day_of.keys().map(|id| (*id, None)).collect();
        latest.extend(first.clone());
        latest.extend(second.clone());
        let label = format!("label_{column}");
        assert_eq!(
            read(warehouse, "team_join_v1_labeled_latest", "id", &label),
            latest
        );
        let rows = part_rows(warehouse, "team_join_v1_labeled");
        let twice = day_of.values().filter(|ds| **ds == "2024-01-02").count();
        assert_eq!(rows, day_of.len() + twice);
        for gone in [
            "team_join_v1/ds=2024-01-05",
            "team_join_v1_labels/label_ds=2024-01-04/ds=2024-01-03",
        ] {
            std::fs::remove_dir_all(warehouse.join("feat.db").join(gone)).unwrap();
        }
        definition["labelPart"] = label_part(false, (2, 2));
        run(
            warehouse,
            Kind::LabelJoin,
            &definition,
            "2024-01-02",
            workers,
        );
        latest.extend(
            want("2024-01-02", &["2024-01-01"])
                .keys()
                .map(|id| (*id, first[id])),
        );
        latest.retain(|id, _| day_of[id] != "2024-01-05");
        for (id, label) in &mut latest {
            if day_of[id] == "2024-01-03" {
                *label = None;
            }
        }
        assert_eq!(
            read(warehouse, "team_join_v1_labeled_latest", "id", &label),
            latest
        );
    }
}

/// The events of the right: user, value, time.
fn right_rows(warehouse: &Path) -> Vec<(Option<String>, Option<i64>, i64)> {
    let mut rows = Vec::new();
    for file in partitions(warehouse, "right").values().flatten() {
        for batch in batches(file) {
            let column = |name| batch.column_by_name(name).unwrap();
            let users = column("user").as_string::<i32>().iter();
            let values = column("x").as_primitive::<Int64Type>().iter();
            let times = column("ts").as_primitive::<Int64Type>().iter();
            rows.extend(
                users
                    .zip(values)
                    .zip(times)
                    .map(|((user, value), time)| (user.map(str::to_owned), value, time.unwrap())),
            );
        }
    }
    rows
}

/// An aggregated label is the plain sum of the user's events in the window that ends with the label's day; a user
/// without events in it, and a row without a user, have none.
#[test]
fn aggregated_labels_equal_a_plain_sum() {
    for seed in 0..6 {
        let workers = 1 << (seed % 3);
        let window = 1 + i32::try_from(seed % 3).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let warehouse = folder.path();
        let day_of = fill(warehouse, &mut Random(seed + 70));
        let (events, users) = (
            right_rows(warehouse),
            read_texts(warehouse, "left", "id", "user"),
        );
        let mut definition = feature_join(TEMPORAL);
        definition["rowIds"] = json!(["id"]);
        definition["labelPart"] = label_part(true, (window, window));
        for (index, label_day) in DAYS.iter().enumerate().skip(2) {
            run(warehouse, Kind::LabelJoin, &definition, label_day, workers);
            let end = START + (i64::try_from(index).unwrap() + 1) * DAY;
            let inside = end - i64::from(window) * DAY..end;
            let left_day = DAYS[index + 1 - usize::try_from(window).unwrap()];
            let rows = day_of.iter().filter(|(_, ds)| **ds == left_day);
            let wanted: BTreeMap<i64, Option<i64>> = rows
                .map(|(id, _)| {
                    let own = events.iter().filter(|(user, _, time)| {
                        user.is_some() && *user == users[id] && inside.contains(time)
                    });
                    let values: Vec<i64> = own.filter_map(|(_, value, _)| *value).collect();
                    (*id, (!values.is_empty()).then(|| values.iter().sum()))
                })
                .collect();
            let found = read(
                warehouse,
                &format!("team_join_v1_labels/label_ds={label_day}"),
                "id",
                &format!("team_label_v1_x_sum_{window}d"),
            );
            assert_eq!(
                found, wanted,
                "seed {seed}, {window} days, label day {label_day}"
            );
        }
    }
}

/// Left rows of skewed keys, and those without the key, go, brought from elsewhere or not; every other row is what the
/// bootstrap brought, nulls included, or what the join without either computes.
#[test]
fn skewed_keys_go_beside_bootstraps() {
    for seed in 0..6 {
        let accuracy = if seed % 2 == 0 { TEMPORAL } else { SNAPSHOT };
        let folder = tempfile::tempdir().unwrap();
        let (warehouse, mut random) = (folder.path(), Random(seed + 90));
        let day_of = fill(warehouse, &mut random);
        let users = read_texts(warehouse, "left", "id", "user");
        run(warehouse, Kind::Join, &feature_join(accuracy), END, 1);
        let mut boot: BTreeMap<i64, (Option<i64>, Option<i64>)> = BTreeMap::new();
        for id in day_of.keys().filter(|id| *id % 3 == 0) {
            let some = |random: &mut Random| (random.below(4) > 0).then(|| -random.below(100));
            boot.insert(*id, (some(&mut random), some(&mut random)));
        }
        let rows: Vec<_> = boot
            .iter()
            .map(|(id, both)| (*id, both.0, both.1))
            .collect();
        write_boot(warehouse, "boot", &day_of, &rows);
        let mut wanted =
            [SUM_COLUMN, COUNT_COLUMN].map(|column| read(warehouse, "team_join_v1", "id", column));
        for (id, both) in &boot {
            wanted[0].insert(*id, both.0);
            wanted[1].insert(*id, both.1);
        }
        let skewed = ["u1", "u3"];
        let kept = |id: &i64| {
            users[id]
                .as_deref()
                .is_some_and(|user| !skewed.contains(&user))
        };
        for column in &mut wanted {
            column.retain(|id, _| kept(id));
        }
        for workers in [1, 2, 4] {
            let name = format!("team_skew{workers}_v1");
            let mut definition = named(feature_join(accuracy), &format!("team.skew{workers}.v1"));
            definition["skewKeys"] = json!({"user": ["'u1'", "'u3'"]});
            definition["bootstrapParts"] = json!([{"table": "feat.boot", "keyColumns": ["id"]}]);
            run(warehouse, Kind::Join, &definition, END, workers);
            for (column, wanted) in [SUM_COLUMN, COUNT_COLUMN].into_iter().zip(&wanted) {
                let found = read(warehouse, &name, "id", column);
                assert_eq!(found, *wanted, "seed {seed}, {workers} workers, {column}");
            }
        }
    }
}

/// With the option, several rows of a part for one left row fail the job and write no training table; without it they
/// multiply the row.
#[test]
fn several_rows_of_a_part_fail_where_one_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (warehouse, mut random) = (folder.path(), Random(51));
    let left = fill(warehouse, &mut random).len();
    fill_states(warehouse, &mut random);
    let group = label_part(false, (1, 1))["labels"][0]["groupBy"].clone();
    let definition = join(&["user", "id"], &group);
    let mut options = Options::until(END.parse().unwrap());
    options.unique_parts = true;
    let failure = run_with(warehouse, Kind::Join, &definition, options.clone(), 2).unwrap_err();
    let cause = std::error::Error::source(&failure).map(ToString::to_string);
    assert!(
        cause.unwrap_or_default().contains("only one is allowed"),
        "{failure}"
    );
    assert_eq!(part_rows(warehouse, "team_join_v1"), 0);
    options.unique_parts = false;
    run_with(warehouse, Kind::Join, &definition, options, 2).unwrap();
    assert!(part_rows(warehouse, "team_join_v1") > left);
}

/// Other bootstrap parts make every table of the join worthless; with the option they stay as they are. A left table
/// whose rows carry marks that the definition no longer knows is not used as it is.
#[test]
fn changed_bootstrap_parts_set_tables_aside_unless_told_not_to() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = folder.path();
    let day_of = fill(warehouse, &mut Random(61));
    for (table, value) in [("one", -1), ("two", -2)] {
        let rows: Vec<_> = day_of
            .keys()
            .map(|id| (*id, Some(value), Some(value)))
            .collect();
        write_boot(warehouse, table, &day_of, &rows);
    }
    let from = |table: &str| {
        let mut definition = feature_join(TEMPORAL);
        definition["rowIds"] = json!(["id"]);
        definition["bootstrapParts"] = json!([{"table": format!("feat.{table}")}]);
        definition
    };
    let sums = || read(warehouse, "team_join_v1", "id", SUM_COLUMN);
    let all = |value: i64| -> BTreeMap<i64, Option<i64>> {
        day_of.keys().map(|id| (*id, Some(value))).collect()
    };
    run(warehouse, Kind::Join, &from("one"), END, 1);
    assert_eq!(sums(), all(-1));
    let mut options = Options::until(END.parse().unwrap());
    options.unset_semantic_hash = true;
    run_with(warehouse, Kind::Join, &from("two"), options.clone(), 1).unwrap();
    assert_eq!(sums(), all(-1), "kept");
    std::fs::remove_dir_all(warehouse.join("feat.db/team_join_v1")).unwrap();
    let stale = run_with(warehouse, Kind::JoinFinal, &from("two"), options, 1).unwrap_err();
    assert!(stale.to_string().contains("matched_hashes"), "{stale}");
    run(warehouse, Kind::Join, &from("one"), END, 1);
    assert_eq!(sums(), all(-1));
    run(warehouse, Kind::Join, &from("two"), END, 1);
    assert_eq!(sums(), all(-2), "computed anew");
}
