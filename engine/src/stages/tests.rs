//! Stages against plain restatements of what they mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, StringArray};
use proptest::prelude::*;
use unskewed_connectors::table::{Selection, Warehouse, WriteOptions};
use unskewed_planner::expr::Expr;
use unskewed_planner::physical::{Facts, NodeId, OutputTable, Sink};
use unskewed_planner::schema::{DataType, Field, Schema};

use super::Changes;
use super::assemble::Assembler;
use super::facts::FactCollector;
use super::write::PartitionWriter;
use crate::rle::Rle;

fn longs(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn changes(rows: &[(u64, i64, i64)]) -> Changes {
    Changes {
        position: rows.iter().map(|r| r.0).collect(),
        diff: rows
            .iter()
            .map(|r| r.2)
            .collect::<Vec<i64>>()
            .into_iter()
            .fold((Rle::Constant(1), 0), |(mut rle, count), diff| {
                rle.push(count, diff);
                (rle, count + 1)
            })
            .0,
        columns: vec![longs(rows.iter().map(|r| r.1))],
    }
}

/// Rows kept by (position, value), with their count.
type Bag = BTreeMap<(u64, i64), i64>;

fn apply(bag: &mut Bag, rows: &[(u64, i64, i64)]) {
    for (position, value, diff) in rows {
        *bag.entry((*position, *value)).or_default() += diff;
    }
    bag.retain(|_, count| *count != 0);
}

/// The join, restated: every left row with every combination of answers, nulls (here −1) where a
/// part has none.
fn joined(left: &Bag, parts: &[Bag; 2]) -> BTreeMap<(i64, i64, i64), i64> {
    let mut out = BTreeMap::new();
    for ((position, value), count) in left {
        let answers = |part: &Bag| {
            let found: Vec<(i64, i64)> = part
                .iter()
                .filter(|((p, _), _)| p == position)
                .map(|((_, v), c)| (*v, *c))
                .collect();
            if found.is_empty() {
                vec![(-1, 1)]
            } else {
                found
            }
        };
        for (a, a_count) in answers(&parts[0]) {
            for (b, b_count) in answers(&parts[1]) {
                *out.entry((*value, a, b)).or_default() += count * a_count * b_count;
            }
        }
    }
    out.retain(|_, count: &mut i64| *count != 0);
    out
}

proptest! {
    /// After every epoch of a random history, what the assembler gave out sums to the join of what
    /// it was given.
    #[test]
    fn assembling_is_incremental(
        epochs in prop::collection::vec(
            prop::collection::vec((0..3usize, 0..6u64, 0..3i64, prop::bool::weighted(0.3)), 0..12),
            1..6,
        ),
    ) {
        let schema = Schema::new(vec![Field::new("v", DataType::Long)]);
        let columns: Vec<Expr> = (0..3).map(|c| Expr::column(c, DataType::Long)).collect();
        let mut assembler =
            Assembler::new(&schema, &[&schema, &schema], &columns, false).unwrap();
        let mut sides = [Bag::new(), Bag::new(), Bag::new()];
        let mut given: BTreeMap<(u64, (i64, i64, i64)), i64> = BTreeMap::new();
        for epoch in epochs {
            let mut moves: [Vec<(u64, i64, i64)>; 3] = Default::default();
            for (side, position, value, takes) in epoch {
                let key = (position, value);
                let there = sides[side].get(&key).copied().unwrap_or(0)
                    + moves[side].iter().filter(|m| (m.0, m.1) == key).map(|m| m.2).sum::<i64>();
                moves[side].push((position, value, if takes && there > 0 { -1 } else { 1 }));
            }
            for (side, moves) in moves.iter().enumerate() {
                apply(&mut sides[side], moves);
                if moves.is_empty() {
                    continue;
                }
                match side {
                    0 => assembler.left(changes(moves)),
                    part => assembler.answers(part - 1, changes(moves)),
                }
            }
            assembler.close(&mut |out| {
                let cell = |column: usize, row: usize| {
                    let column = out.columns[column].as_primitive::<Int64Type>();
                    if column.is_null(row) { -1 } else { column.value(row) }
                };
                for row in 0..out.len() {
                    let content = (cell(0, row), cell(1, row), cell(2, row));
                    *given.entry((out.position[row], content)).or_default() += out.diff.get(row);
                }
                Ok(())
            }).unwrap();
            given.retain(|_, count| *count != 0);
            let [left, a, b] = &sides;
            // Only the first of several rows made of one left row is at its position.
            let mut content = BTreeMap::new();
            for ((position, row), count) in &given {
                prop_assert!(*count > 0, "{row:?} at {position} is taken away only");
                *content.entry(*row).or_default() += count;
            }
            prop_assert_eq!(&content, &joined(left, &[a.clone(), b.clone()]));
        }
    }
}

/// Rows of two days in disorder come out sorted by key then time, without repeats of what tells
/// rows apart, and days
/// outside the range are not written.
#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story: rows in, partitions out, twice"
)]
fn partitions_are_sorted_and_distinct() {
    let schema = Schema::new(vec![
        Field::new("user", DataType::String),
        Field::new("ts", DataType::Long),
        Field::new("ds", DataType::String),
    ]);
    let sink = Sink {
        under: Vec::new(),
        input: NodeId(0),
        table: OutputTable {
            name: "db.out".into(),
            kind: "join",
            expands: true,
        },
        distinct: vec![0, 1, 2],
        sort: vec![0, 1],
        partition: Some(2),
        days: "2024-01-01"
            .parse()
            .ok()
            .zip("2024-01-02".parse().ok())
            .map(|(start, end)| unskewed_planner::time::PartitionRange { start, end }),
    };
    let rows = [
        ("b", 2, "2024-01-01", 0),
        ("a", 9, "2024-01-02", 1),
        ("a", 5, "2024-01-01", 2),
        ("b", 1, "2024-01-01", 3),
        ("b", 1, "2024-01-01", 4),
        ("z", 1, "2024-01-03", 5),
        ("a", 3, "2024-01-02", 6),
    ];
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Warehouse::open(folder.path().to_str().unwrap()).unwrap();
    let table = warehouse.table("db.out").unwrap();
    let mut contents = Vec::new();
    for reversed in [false, true] {
        let mut rows = rows.to_vec();
        if reversed {
            rows.reverse();
        }
        let mut writer = PartitionWriter::new(&sink, &schema);
        for part in rows.chunks(3) {
            let text =
                |f: fn(&(&'static str, i64, &'static str, u64)) -> &'static str| -> ArrayRef {
                    Arc::new(StringArray::from_iter_values(part.iter().map(f)))
                };
            writer
                .add(&Changes {
                    position: part.iter().map(|r| r.3).collect(),
                    diff: Rle::Constant(1),
                    columns: vec![
                        text(|r| r.0),
                        longs(part.iter().map(|r| r.1)),
                        text(|r| r.2),
                    ],
                })
                .unwrap();
        }
        let write = table.begin_write().unwrap();
        let staged = writer.finish(&write, &WriteOptions::default()).unwrap();
        assert_eq!(staged.iter().map(|s| s.rows).collect::<Vec<_>>(), [3, 2]);
        write.commit(staged).unwrap();
        let mut found = Vec::new();
        for split in table.splits(&Selection::all()).unwrap() {
            let mut reader = split.open(&schema, &[]).unwrap();
            while let Some(batch) = reader.next_batch().unwrap() {
                for row in 0..batch.num_rows() {
                    let user = batch.column(0).as_string::<i32>().value(row).to_owned();
                    found.push((user, batch.column(1).as_primitive::<Int64Type>().value(row)));
                }
            }
        }
        contents.push(found);
    }
    let wanted = [("a", 5), ("b", 1), ("b", 2), ("a", 3), ("a", 9)];
    let wanted: Vec<_> = wanted.map(|(user, ts)| (user.to_owned(), ts)).to_vec();
    assert_eq!(contents, [wanted.clone(), wanted]);
}

/// Facts of shares merge into the facts of all, and key values are dropped for a large left.
#[test]
fn facts_merge() {
    let schema = Schema::new(vec![
        Field::new("user", DataType::Long),
        Field::new("ts", DataType::Long),
        Field::new("ds", DataType::String),
    ]);
    for (small_rows_max, small) in [(4, true), (3, false)] {
        let facts = Facts {
            number: 0,
            input: NodeId(0),
            time: Some(1),
            day: 2,
            keys: vec![0],
            small_rows_max,
        };
        let share = |rows: &[(i64, i64, &str)]| {
            let mut collector = FactCollector::new(&facts, &schema);
            let days: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.2)));
            let columns = [
                longs(rows.iter().map(|r| r.0)),
                longs(rows.iter().map(|r| r.1)),
                days,
            ];
            collector.add(&columns).unwrap();
            collector.finish()
        };
        let mut all = share(&[(7, 30, "2024-01-02"), (7, 10, "2024-01-01")]);
        all.merge(
            share(&[(8, 20, "2024-01-03"), (7, 50, "2024-01-02")]),
            small_rows_max,
        )
        .unwrap();
        assert_eq!((all.row_count, all.time_millis), (4, Some((10, 50))));
        assert_eq!(all.day, Some(("2024-01-01".into(), "2024-01-03".into())));
        let values = all
            .key_values
            .map(|v| v["user"].as_primitive::<Int64Type>().values().to_vec());
        assert_eq!(values, small.then(|| vec![7, 8]));
    }
}
