//! A batch's states, stored and read back, and what came after it, give what a scan of everything gives: every
//! operation over every type, window and bucket, against the naive twins of training tables.
//!
//! Seeded loops over random runs; a failure prints the seed, the part, the key's rows and the query.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BooleanArray, Int64Array, new_null_array};
use unskewed_kernel::codec::batch_state::BatchCodec;
use unskewed_kernel::codec::streamed::RowCodec;
use unskewed_kernel::evaluate::after_batch::{AfterBatch, Question, TileStates};
use unskewed_kernel::evaluate::mutated_snapshot::MutationColumns;
use unskewed_kernel::naive::generate::{Random, Recipe, Sample, sample};
use unskewed_kernel::naive::value::Value;
use unskewed_kernel::naive::{self, Answers};
use unskewed_kernel::run::LaterRows;
use unskewed_kernel::window::{Resolution, floor_to};
use unskewed_planner::aggregation::{Arguments, Operation, PartSpec};
use unskewed_planner::schema::{DataType, Field, Schema};
use unskewed_planner::time::{DAY_MILLIS, FIVE_MINUTES_MILLIS, Window};

#[path = "after_batch/support.rs"]
mod support;

use support::{
    Cell, Parts, ask_after, asked, batches, has_ties, stored, streamed, tiled, windows,
    without_inner_nulls, witness_of,
};

fn recipe(random: &mut Random, specials: bool) -> Recipe {
    Recipe {
        key_count: 1 + random.below(3),
        rows_max: random.pick(&[4, 20, 40]),
        queries_max: 0,
        span_days: random.pick(&[3, 5, 40]),
        daily: false,
        specials,
    }
}

/// A midnight before, among or after the rows.
fn some_end(random: &mut Random, sample: &Sample, span_days: i64) -> i64 {
    let first = sample.row_ts.first().copied().unwrap_or(0);
    (first.div_euclid(DAY_MILLIS) + random.between(0, span_days + 2)) * DAY_MILLIS
}

/// One question for each query of each key, of its batch, tiles and later rows.
fn answers(
    online: &AfterBatch,
    sample: &Sample,
    (values, end): (&[Vec<u8>], i64),
    tiles: &[TileStates],
    later: &LaterRows,
) -> Vec<Vec<Value>> {
    let batches = batches(online, values, end);
    let question = |(number, (key, query_millis)): (usize, (usize, i64))| Question {
        batch: &batches[key],
        tiles: tiles.get(number),
        query_millis,
    };
    let questions = asked(sample).into_iter().enumerate().map(question);
    let questions: Vec<Question<'_>> = questions.collect();
    let columns = online.evaluate(&questions, later).unwrap();
    for (column, field) in columns.iter().zip(online.output()) {
        assert_eq!(*column.data_type(), field.data_type.to_arrow());
    }
    columns.iter().map(Value::column).collect()
}

/// Compares cell by cell.
fn assert_right(
    sample: &Sample,
    Parts { parts, .. }: &Parts,
    expected: &Answers,
    found: &[Vec<Value>],
    own_times: &[i64],
    what: &str,
) -> usize {
    let mut present = 0;
    for (index, part) in parts.iter().enumerate() {
        let witness = witness_of(part, parts);
        for key in 0..sample.run().key_count() {
            let rows = sample.run().rows(key);
            for query in sample.queries().of_key(key) {
                let cell = Cell {
                    part,
                    expected: &expected[index][query],
                    found: &found[index][query],
                    witness: witness.map(|index| &expected[index][query]),
                    ties: has_ties(&own_times[rows.clone()]),
                };
                present += usize::from(*cell.expected != Value::Null);
                assert!(
                    cell.is_right(),
                    "{what}, {} ({} {:?} {:?}), key {key}, query at {}: {:?} expected, {:?} found, rows at {:?}",
                    part.output_name,
                    part.operation,
                    part.window,
                    part.shape,
                    sample.query_ts[query],
                    cell.expected,
                    cell.found,
                    &own_times[rows.clone()],
                );
            }
        }
    }
    present
}

/// Events: what a training table says of any time up to two days after the batch.
#[test]
fn events_after_a_batch_equal_naive() {
    let mut present = 0;
    for seed in 0..12 {
        let mut random = Random::new(seed + 7_000);
        let recipe = recipe(&mut random, false);
        let mut sample = sample(&mut random, recipe);
        without_inner_nulls(&mut sample);
        let windows = windows(&mut random);
        let parts = Parts::all(&sample.schema, seed, &windows);
        present += check_events(&mut random, &mut sample, recipe.span_days, &parts, seed);
    }
    assert!(present > 10_000, "{present} values");
}

/// NaN, infinities and zeros of two signs come through, where the order of work does not show.
#[test]
fn special_numbers_come_through() {
    let mut present = 0;
    for seed in 0..6 {
        let mut random = Random::new(seed + 7_100);
        let recipe = recipe(&mut random, true);
        let mut sample = sample(&mut random, recipe);
        without_inner_nulls(&mut sample);
        let windows = windows(&mut random);
        let mut parts = Parts::all(&sample.schema, seed, &windows);
        parts.retain(|part| {
            use Operation::{
                BoundedUniqueCount, Count, First, FirstK, Last, LastK, Max, Min, UniqueCount,
            };
            matches!(
                part.operation,
                BoundedUniqueCount
                    | Count
                    | First
                    | FirstK
                    | Last
                    | LastK
                    | Max
                    | Min
                    | UniqueCount
            )
        });
        present += check_events(&mut random, &mut sample, recipe.span_days, &parts, seed);
    }
    assert!(present > 10_000, "{present} values");
}

fn check_events(
    random: &mut Random,
    sample: &mut Sample,
    span: i64,
    parts: &Parts,
    seed: u64,
) -> usize {
    let end = some_end(random, sample, span);
    let windows: Vec<_> = parts.parts.iter().map(|part| part.window).collect();
    ask_after(random, sample, end, &windows);
    let (run, queries) = (sample.run(), sample.queries());
    let by = Resolution::FiveMinutes;
    let expected = naive::point_in_time(&parts.parts, &sample.schema, by, run, queries);
    let online = AfterBatch::new(&parts.parts, &parts.bases, &sample.schema).unwrap();
    let codec = RowCodec::new(&sample.schema, false).unwrap();
    // The store may still hold rows that the batch has too.
    let later = streamed(&codec, &sample.columns, sample, |row, _| {
        sample.row_ts[row] >= end - DAY_MILLIS
    });
    let values = stored(sample, parts, end, None);
    let found = answers(&online, sample, (&values, end), &[], &later);
    let what = format!("seed {seed}, batch to {end}");
    for query in &sample.query_ts {
        assert!(!online.is_degraded(end, *query));
    }
    assert_right(sample, parts, &expected, &found, &sample.row_ts, &what)
}

/// Tiles with the rows of the tile that is asked in answer as rows do, at any time.
#[test]
fn tiles_after_a_batch_equal_naive() {
    let mut present = 0;
    for seed in 0..9 {
        let mut random = Random::new(seed + 7_400);
        let recipe = recipe(&mut random, false);
        let mut sample = sample(&mut random, recipe);
        without_inner_nulls(&mut sample);
        let windows = windows(&mut random);
        let parts = Parts::all(&sample.schema, seed, &windows);
        let end = some_end(&mut random, &sample, recipe.span_days);
        ask_after(&mut random, &mut sample, end, &windows);
        let (run, queries) = (sample.run(), sample.queries());
        let by = Resolution::FiveMinutes;
        let expected = naive::point_in_time(&parts.parts, &sample.schema, by, run, queries);
        let online = AfterBatch::new(&parts.parts, &parts.bases, &sample.schema).unwrap();
        let hops = windows.iter().map(|window| window.tail_hop_millis());
        let tile_millis = hops.min().unwrap();
        let tiles = tiled(&online, &parts, &sample, tile_millis);
        let codec = RowCodec::new(&sample.schema, false).unwrap();
        let later = streamed(&codec, &sample.columns, &sample, |row, query| {
            floor_to(sample.row_ts[row], tile_millis) == floor_to(query, tile_millis)
        });
        let values = stored(&sample, &parts, end, None);
        let found = answers(&online, &sample, (&values, end), &tiles, &later);
        let what = format!("seed {seed}, batch to {end}, tiles of {tile_millis}");
        present += assert_right(&sample, &parts, &expected, &found, &sample.row_ts, &what);
    }
    assert!(present > 10_000, "{present} values");
}

/// Entities: the snapshot at the batch's end, and up to two days of mutations, deletes among them.
#[test]
fn entities_after_a_batch_equal_naive() {
    let mut present = 0;
    for seed in 0..12 {
        let mut random = Random::new(seed + 7_200);
        let recipe = recipe(&mut random, false);
        let mut sample = sample(&mut random, recipe);
        without_inner_nulls(&mut sample);
        let windows = windows(&mut random);
        let parts = Parts::all(&sample.schema, seed, &windows);
        let selected = sample.schema.clone();
        let end = some_end(&mut random, &sample, 2);
        let entities = Entities::of(&mut random, &mut sample, end);
        ask_after(&mut random, &mut sample, end, &windows);
        let columns = MutationColumns {
            tag: "tag",
            own_time: "own_time",
            reversal: "reversal",
        };
        let (run, queries) = (sample.run(), sample.queries());
        let expected = naive::after_batch(&parts.parts, &sample.schema, columns, end, run, queries);
        let online = AfterBatch::new(&parts.parts, &parts.bases, &selected).unwrap();
        let codec = RowCodec::new(&selected, true).unwrap();
        let mut streamed_columns = sample.columns[..selected.fields.len()].to_vec();
        streamed_columns.extend([
            Arc::clone(&entities.own_time),
            Arc::clone(&entities.reversal),
        ]);
        let later = streamed(&codec, &streamed_columns, &sample, |row, _| {
            entities.tags[row]
        });
        let values = stored(&sample, &parts, end, Some("own_time"));
        let found = answers(&online, &sample, (&values, end), &[], &later);
        let own = entities.own_time.as_primitive::<Int64Type>().iter();
        // Rows without a time have none in common.
        let own = own
            .enumerate()
            .map(|(row, time)| time.unwrap_or(i64::MIN + row as i64));
        let own_times: Vec<i64> = own.collect();
        let what = format!("seed {seed}, batch to {end}");
        present += assert_right(&sample, &parts, &expected, &found, &own_times, &what);
    }
    assert!(present > 10_000, "{present} values");
}

/// Rows that are of the snapshot at the batch's end, or mutations after it.
struct Entities {
    tags: Vec<bool>,
    own_time: ArrayRef,
    reversal: ArrayRef,
}

impl Entities {
    fn of(random: &mut Random, sample: &mut Sample, end: i64) -> Self {
        let mut tags = Vec::new();
        for key in 0..sample.run().key_count() {
            let rows = sample.run().rows(key);
            let snapshot_count = random.below(rows.len() as u64 + 1) as usize;
            let mut known: Vec<i64> = rows
                .clone()
                .map(|_| end + random.between(0, 2 * DAY_MILLIS))
                .collect();
            known[..snapshot_count].fill(end);
            known.sort_unstable();
            tags.extend((0..rows.len()).map(|row| row >= snapshot_count));
            sample.row_ts[rows].copy_from_slice(&known);
        }
        let own = sample.row_ts.iter().map(|known| {
            let near = random.pick(&[0, 1, -1, 3_600_000, -3_600_000, -DAY_MILLIS, -40_000_000]);
            let far = random.pick(&[0, 0, 3 * DAY_MILLIS, 13 * DAY_MILLIS]);
            (!random.one_in(9)).then_some(known + near - far)
        });
        let own_time: ArrayRef = Arc::new(own.collect::<Int64Array>());
        let reversal = tags.iter().map(|tag| tag.then(|| random.one_in(3)));
        let reversal: ArrayRef = Arc::new(reversal.collect::<BooleanArray>());
        let tag = Arc::new(BooleanArray::from(tags.clone()));
        sample.push("tag", DataType::Boolean, tag);
        sample.push("own_time", DataType::Long, Arc::clone(&own_time));
        sample.push("reversal", DataType::Boolean, Arc::clone(&reversal));
        Self {
            tags,
            own_time,
            reversal,
        }
    }
}

/// A sum over one window, and two rows of a key.
fn two_rows(window: Window, times: [i64; 2]) -> (Sample, Parts) {
    let schema = Schema::new(vec![Field::new("amount", DataType::Long)]);
    let spec = PartSpec {
        input: "amount".into(),
        operation: Operation::Sum,
        arguments: Arguments::default(),
        window,
        bucket: None,
        element_wise: false,
    };
    let parts = Parts {
        parts: vec![spec.typed(&schema).unwrap()],
        bases: vec![0],
    };
    let sample = Sample {
        schema,
        row_offsets: vec![0, 2],
        row_ts: times.to_vec(),
        row_positions: vec![0, 1],
        columns: vec![Arc::new(Int64Array::from(vec![1, 10]))],
        query_offsets: vec![0, 0],
        query_ts: Vec::new(),
    };
    (sample, parts)
}

/// The sums as of these times, out of the batch alone.
fn sums(sample: &Sample, parts: &Parts, values: &[Vec<u8>], end: i64, at: &[i64]) -> Vec<Value> {
    let online = AfterBatch::new(&parts.parts, &parts.bases, &sample.schema).unwrap();
    let codec = RowCodec::new(&sample.schema, false).unwrap();
    let asked = Sample {
        query_offsets: vec![0, at.len() as u32],
        query_ts: at.to_vec(),
        ..sample.clone()
    };
    let later = codec.no_rows(at.len()).unwrap();
    answers(&online, &asked, (values, end), &[], &later).remove(0)
}

/// A row of the very instant a window before the batch's end is in no tail, as in the reference's bytes, but in the
/// edge, and so counts for the one hop of queries that can see it.
#[test]
fn a_row_at_the_edge_counts() {
    let end = 20_000 * DAY_MILLIS;
    let start = end - 2 * DAY_MILLIS;
    let (sample, parts) = two_rows(Window::Days(2), [start, start + 1]);
    let values = stored(&sample, &parts, end, None);
    let columns = BatchCodec::new(&parts.parts, &parts.bases)
        .unwrap()
        .decode(&values[0])
        .unwrap();
    let hour = |column: usize| match Value::read(&columns[column], 0) {
        Value::List(hops) => hops[1].clone(),
        other => panic!("{other:?}"),
    };
    let only = |amount| {
        let hop = vec![Value::Whole(amount), Value::Whole(start)];
        Value::List(vec![Value::Struct(hop)])
    };
    assert_eq!((hour(1), hour(2)), (only(10), only(1)));
    let hour = FIVE_MINUTES_MILLIS * 12;
    let found = sums(
        &sample,
        &parts,
        &values,
        end,
        &[end, end + hour - 1, end + hour],
    );
    assert_eq!(found, [Value::Whole(11), Value::Whole(11), Value::Null]);
    // Values of two fields, as others write them, are read too: the byte that says there is an edge, and it, are left out.
    let codec = BatchCodec::new(&parts.parts, &parts.bases).unwrap();
    let none = new_null_array(columns[2].data_type(), 1);
    let plain = codec
        .encode(&[Arc::clone(&columns[0]), Arc::clone(&columns[1]), none])
        .unwrap();
    let plain = plain.datums.value(0);
    let (last, plain) = plain.split_last().unwrap();
    assert_eq!(*last, 0, "no edge");
    let found = sums(&sample, &parts, &[plain.to_vec()], end, &[end]);
    assert_eq!(found, [Value::Whole(10)]);
}

/// Two days after the batch the tail begins to move over what was collapsed: that is told, and counts as the reference
/// counts it.
#[test]
fn a_batch_that_is_too_old_is_told() {
    let end = 20_000 * DAY_MILLIS;
    let (sample, parts) = two_rows(
        Window::Days(7),
        [end - 7 * DAY_MILLIS, end - 5 * DAY_MILLIS],
    );
    let values = stored(&sample, &parts, end, None);
    let online = AfterBatch::new(&parts.parts, &parts.bases, &sample.schema).unwrap();
    let last = end + 2 * DAY_MILLIS;
    let times = [end, last, last + 3_600_000, last + 4 * DAY_MILLIS];
    let degraded = times.map(|at| online.is_degraded(end, at));
    assert_eq!(degraded, [false, false, true, true]);
    let found = sums(&sample, &parts, &values, end, &times);
    let [all, kept] = [Value::Whole(11), Value::Whole(10)];
    assert_eq!(found, [all, kept.clone(), kept.clone(), kept]);
    let batch = online.batch_state(&values[0], end).unwrap();
    let question = Question {
        batch: &batch,
        tiles: None,
        query_millis: end - 1,
    };
    let later = RowCodec::new(&sample.schema, false)
        .unwrap()
        .no_rows(1)
        .unwrap();
    let refused = online.evaluate(&[question], &later).unwrap_err();
    assert!(refused.to_string().contains("asked as of"), "{refused}");
}

/// Broken bytes cost an error or another answer, never a panic, and never more memory than the bytes justify.
#[test]
fn broken_values_do_no_harm() {
    for seed in 0..3 {
        let mut random = Random::new(seed + 7_300);
        let recipe = Recipe {
            key_count: 3,
            rows_max: 40,
            queries_max: 0,
            span_days: 5,
            daily: false,
            specials: true,
        };
        let mut sample = sample(&mut random, recipe);
        without_inner_nulls(&mut sample);
        let windows = [Window::Hours(7), Window::Days(4)];
        let parts = Parts::all(&sample.schema, seed, &windows);
        let end = some_end(&mut random, &sample, 3);
        ask_after(&mut random, &mut sample, end, &windows);
        let online = AfterBatch::new(&parts.parts, &parts.bases, &sample.schema).unwrap();
        let codec = RowCodec::new(&sample.schema, false).unwrap();
        let values = stored(&sample, &parts, end, None);
        let (mut read, mut answered) = (0, 0);
        for _ in 0..80 {
            let mut broken = random.pick(&[0, 1, 2]);
            let mut value = values[broken].clone();
            broken = value.len();
            for _ in 0..1 + random.below(3) {
                let at = random.below(broken as u64) as usize;
                value[at] = random.number() as u8;
            }
            let Ok(batch) = online.batch_state(&value, end) else {
                continue;
            };
            read += 1;
            let question = Question {
                batch: &batch,
                tiles: None,
                query_millis: end + DAY_MILLIS,
            };
            let later = codec.no_rows(1).unwrap();
            answered += u32::from(online.evaluate(&[question], &later).is_ok());
        }
        assert!(read > 0 && answered > 0, "{read} read, {answered} answered");
    }
}
