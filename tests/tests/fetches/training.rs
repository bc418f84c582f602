//! What is fetched is what the training table has, for the same keys and times: the one promise of the whole house.
//!
//! Random events of few users over seven days, every operation with windows of hours and days, plain and bucketed. The
//! batch ends after the fifth day, the stream brings the rest, and every left row of the two days that a batch serves is
//! asked for: at its own time, at times of events, at edges of hops, of windows and of the batch.

use std::collections::BTreeSet;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_select::concat::concat_batches;
use serde_json::{Value as Json, json};
use unskewed_connectors::table::{Selection, Warehouse};
use unskewed_engine::job::Kind;
use unskewed_tests::random_join::Random;
use unskewed_tests::tables::code::TEMPORAL;
use unskewed_tests::tables::{DAY, HOUR, START, group_by, join, longs, texts, write};
use unskewed_tests::topic::Topic;

use super::answers::difference;
use super::online::{Online, answer, definition, request};

const DAYS: i64 = 7;
/// The last day of the batch.
const BATCH: &str = "2024-01-05";
const AFTER: &str = "2024-01-06";
const END: &str = "2024-01-07";
/// The first day that a stream keeps.
const SINCE: &str = "2024-01-04";
pub(crate) const TOPIC: &str = "kafka://events";
const BATCH_END: i64 = START + 5 * DAY;

fn ds(day: i64) -> String {
    format!("2024-01-{:02}", day + 1)
}

/// Times that tell off-by-one errors: a millisecond around hops, windows and the batch's end.
fn edge(random: &mut Random) -> i64 {
    let hop = [5 * 60_000, HOUR, DAY][random.below(3) as usize];
    let at = BATCH_END + random.below(2 * DAY / hop) * hop;
    at + random.below(3) - 1
}

/// Columns of texts and longs.
fn words(values: &[Option<String>]) -> ArrayRef {
    texts(&values.iter().map(Option::as_deref).collect::<Vec<_>>())
}

fn numbers(values: &[i64]) -> ArrayRef {
    longs(&values.iter().copied().map(Some).collect::<Vec<_>>())
}

/// A value, or now and then none.
fn mostly<T>(random: &mut Random, value: impl Fn(&mut Random) -> T) -> Option<T> {
    (random.below(8) > 0).then(|| value(random))
}

/// Writes the events of a day; their times.
fn events_of(warehouse: &Path, random: &mut Random, day: i64) -> Vec<i64> {
    let range = START + day * DAY..=START + (day + 1) * DAY - 1;
    let count = 4 + random.below(30);
    let at = |random: &mut Random| match random.below(4) {
        0 => {
            let at = edge(random) - random.below(2) * 2 * DAY;
            at.clamp(*range.start(), *range.end())
        }
        // Now and then a row lies in the partition of the day before its time.
        1 => range.start() + random.below(DAY + HOUR),
        _ => range.start() + random.below(DAY),
    };
    let mut times: Vec<i64> = (0..count).map(|_| at(random)).collect();
    // LAST_K and FIRST_K of equal times are in another order online: stored states do not tell positions.
    let mut seen = BTreeSet::new();
    times.retain(|at| seen.insert(*at));
    let user = |random: &mut Random| mostly(random, |random| format!("u{}", random.below(4)));
    let users: Vec<_> = times.iter().map(|_| user(random)).collect();
    let value = |random: &mut Random| mostly(random, |random| random.below(40) - 12);
    let values: Vec<_> = times.iter().map(|_| value(random)).collect();
    let word = |random: &mut Random| mostly(random, |random| format!("w{}", random.below(5)));
    let said: Vec<_> = times.iter().map(|_| word(random)).collect();
    let columns = vec![
        ("user", words(&users)),
        ("x", longs(&values)),
        ("word", words(&said)),
        ("ts", numbers(&times)),
    ];
    write(warehouse, "right", &ds(day), columns);
    times
}

/// Writes the left rows of a day, some of them at times of events and at edges, all on a grid.
fn left_of(warehouse: &Path, random: &mut Random, (day, grid): (i64, i64), events: &[i64]) {
    const ROWS: i64 = 12;
    let start = START + day * DAY;
    let near = |random: &mut Random| events[random.below(events.len() as i64) as usize];
    let at = |random: &mut Random| match random.below(3) {
        0 => near(random) + random.below(3) - 1,
        1 => edge(random),
        _ => random.below(DAY),
    };
    let mut times: Vec<i64> = (0..ROWS).map(|_| at(random)).collect();
    times
        .iter_mut()
        .for_each(|at| *at = start + at.rem_euclid(DAY) / grid * grid);
    times[0] = start;
    let ids: Vec<i64> = (0..ROWS).map(|row| day * ROWS + row).collect();
    let users: Vec<_> = (0..ROWS)
        .map(|_| Some(format!("u{}", random.below(5))))
        .collect();
    let columns = vec![
        ("user", words(&users)),
        ("id", numbers(&ids)),
        ("ts", numbers(&times)),
    ];
    write(warehouse, "left", &ds(day), columns);
}

pub(crate) fn fill(warehouse: &Path, random: &mut Random, grid: i64) {
    let events: Vec<i64> = (0..DAYS)
        .flat_map(|day| events_of(warehouse, random, day))
        .collect();
    for day in 5..DAYS {
        left_of(warehouse, random, (day, grid), &events);
    }
}

/// Every operation that a column of the type takes, by its code in compiled definitions.
fn aggregations() -> Json {
    let windows = json!([
        {"length": 1, "timeUnit": 0}, {"length": 30, "timeUnit": 0}, {"length": 1, "timeUnit": 1},
        {"length": 3, "timeUnit": 1}, {"length": 2147483647, "timeUnit": 1},
    ]);
    let one = |input: &str, operation: u8, arguments: Json, buckets: Json| {
        let mut all = json!({
            "inputColumn": input, "operation": operation, "argMap": arguments, "windows": windows,
        });
        if !buckets.is_null() {
            all["buckets"] = buckets;
        }
        all
    };
    let plain = |input: &str, operation: u8| one(input, operation, json!({}), Json::Null);
    let few = |input: &str, operation: u8| one(input, operation, json!({"k": "2"}), Json::Null);
    let mut all = vec![];
    // MIN, MAX, FIRST, LAST, UNIQUE_COUNT, COUNT, SUM, AVERAGE, VARIANCE, SKEW, KURTOSIS
    all.extend([0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11].map(|operation| plain("x", operation)));
    // FIRST_K, LAST_K, TOP_K, BOTTOM_K
    all.extend([13, 14, 15, 16].map(|operation| few("x", operation)));
    // HISTOGRAM, BOUNDED_UNIQUE_COUNT
    all.extend([
        one("word", 17, json!({}), Json::Null),
        one("word", 19, json!({"k": "3"}), Json::Null),
    ]);
    all.extend([
        one("x", 7, json!({}), json!(["word"])),
        one("x", 3, json!({}), json!(["word"])),
    ]);
    Json::Array(all)
}

/// The events of the days since one as a topic: each user's on one partition, in any order of times.
pub(crate) fn topic_of(warehouse: &Path, since: &str, random: &mut Random) -> Topic {
    topic_with(warehouse, since, random, |_, _| true)
}

/// As [`topic_of`], but rows that are not well are messages that cannot be decoded.
pub(crate) fn topic_with(
    warehouse: &Path,
    since: &str,
    random: &mut Random,
    is_well: impl Fn(&RecordBatch, usize) -> bool,
) -> Topic {
    let warehouse = Warehouse::open(warehouse.to_str().unwrap()).unwrap();
    let selection = Selection::all().between("ds", Some(since), None);
    let batches = warehouse
        .table("feat.right")
        .unwrap()
        .read(&selection, None)
        .unwrap();
    let rows = concat_batches(&batches[0].schema(), &batches).unwrap();
    let users = rows.column_by_name("user").unwrap().as_string::<i32>();
    let mut partitions = vec![Vec::new(); 3];
    for (row, user) in users.iter().enumerate() {
        let partition = user.map_or(0, |user| user.as_bytes()[1] as usize % 3);
        let at = random.below(partitions[partition].len() as i64 + 1) as usize;
        let message = is_well(&rows, row).then_some(row as u32);
        partitions[partition].insert(at, message);
        if random.below(20) == 0 {
            partitions[partition].push(None);
        }
    }
    Topic::new(rows, &partitions, random)
}

/// The rows of the training table.
fn training_rows(warehouse: &Path) -> Vec<RecordBatch> {
    let warehouse = Warehouse::open(warehouse.to_str().unwrap()).unwrap();
    let table = warehouse.table("feat.team_join_v1").unwrap();
    table.read(&Selection::all(), None).unwrap()
}

/// How what came after the batch gets into the store, and lies there.
#[derive(Clone, Copy)]
pub(crate) struct Streamed {
    pub(crate) from_topics: bool,
    pub(crate) tiled: bool,
}

fn check(seed: u64, streamed: Streamed) {
    check_in("memory:", seed, streamed);
}

/// Checks a history in the store of an address; how many requests were made.
pub(crate) fn check_in(store: &str, seed: u64, streamed: Streamed) -> u64 {
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    // A tile counts whole or not at all, so it tells the truth at the end of tiles only.
    let grid = if streamed.tiled { 5 * 60_000 } else { 1 };
    fill(folder.path(), &mut random, grid);
    let mut right = group_by(&["user"], &["user", "x", "word"], &aggregations(), TEMPORAL);
    right["sources"][0]["events"]["topic"] = json!(TOPIC);
    if streamed.tiled {
        right["metaData"]["customJson"] = json!("{\"enable_tiling\": true}");
    }
    let join = definition(&join(&["user", "id"], &right));
    let right = definition(&right);
    let online = Online::beside(folder.path(), 1 + (seed % 2) as usize, store);
    online.run(Kind::Join, &join, END);
    online.run(Kind::GroupByUpload, &right, BATCH);
    online.load(&right);
    if streamed.from_topics {
        let topic = topic_of(folder.path(), SINCE, &mut random);
        online.stream_topic(&right, TOPIC, topic, seed);
    } else {
        online.stream(&right, AFTER);
    }
    online.describe(&join);
    let fetcher = online.fetcher();
    let mut compared = 0;
    for batch in training_rows(folder.path()) {
        for row in 0..batch.num_rows() {
            let column = |name: &str| batch.column_by_name(name).unwrap();
            let user = column("user").as_string::<i32>().value(row).to_owned();
            let at = column("ts")
                .as_primitive::<arrow_array::types::Int64Type>()
                .value(row);
            let asked = request("team/join.v1", &json!({"user": user}), Some(at));
            let response = futures::executor::block_on(fetcher.fetch_join(&[asked]));
            let given = answer(&response[0]);
            let expected = json!({"values": features(&batch, row)});
            let wrong = difference(&expected, &given);
            assert_eq!(
                wrong,
                None,
                "seed {seed}: user {user} at {at}, {} ms after the batch",
                at - BATCH_END
            );
            compared += 1;
        }
    }
    assert!(compared >= 20, "{compared}");
    compared
}

/// The features of a training row, as an answer has them.
fn features(batch: &RecordBatch, row: usize) -> Json {
    let names = batch.schema();
    let own = names
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, f)| f.name().starts_with("team_right_v1_"));
    let values = own.map(|(index, field)| (field.name().clone(), cell(batch.column(index), row)));
    Json::Object(values.collect())
}

/// A cell as JSON.
fn cell(column: &dyn Array, row: usize) -> Json {
    use arrow_array::types::{Float64Type, Int32Type, Int64Type};
    use arrow_schema::DataType;
    if column.is_null(row) {
        return Json::Null;
    }
    match column.data_type() {
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            (0..items.len()).map(|item| cell(&items, item)).collect()
        }
        DataType::Map(..) => {
            let entries = column.as_map().value(row);
            let entry = |at: usize| {
                let key = cell(entries.column(0), at);
                (
                    key.as_str().unwrap().to_owned(),
                    cell(entries.column(1), at),
                )
            };
            Json::Object((0..entries.len()).map(entry).collect())
        }
        other => panic!("{other}"),
    }
}

/// Twelve histories.
#[test]
fn fetched_is_trained() {
    let (from_topics, tiled) = (false, false);
    (1..=12).for_each(|seed| check(seed, Streamed { from_topics, tiled }));
}

/// As many, whose events come on a topic: those of the days before too, many of them late, some messages broken.
#[test]
fn streamed_is_trained() {
    let (from_topics, tiled) = (true, false);
    (21..=32).for_each(|seed| check(seed, Streamed { from_topics, tiled }));
}

/// As many, of which tiles are kept.
#[test]
fn tiled_is_trained() {
    let from_topics = |seed: u64| seed.is_multiple_of(2);
    (41..=52).for_each(|seed| {
        let streamed = Streamed {
            from_topics: from_topics(seed),
            tiled: true,
        };
        check(seed, streamed);
    });
}
