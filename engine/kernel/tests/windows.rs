//! Every operation over every type, window and accuracy gives the bits of the naive twin.
//!
//! Seeded loops over random runs; a failure prints the seed, the part, the key's rows and the query.

use unskewed_kernel::evaluate::mutated_snapshot::{MutatedSnapshot, MutationColumns};
use unskewed_kernel::evaluate::point_in_time::PointInTime;
use unskewed_kernel::evaluate::snapshot_rows::SnapshotRows;
use unskewed_kernel::naive::generate::{Random, Recipe, Sample, sample};
use unskewed_kernel::naive::value::Value;
use unskewed_kernel::naive::{self, Answers};
use unskewed_kernel::run::Evaluator;
use unskewed_kernel::window::Resolution;
use unskewed_planner::aggregation::{AggregatePart, Arguments, Operation, PartSpec};
use unskewed_planner::schema::{DataType, Schema};
use unskewed_planner::time::{DAY_MILLIS, Window};

/// Parts of all operations over all columns that take them, in these windows.
fn parts(schema: &Schema, windows: &[Window]) -> Vec<AggregatePart> {
    let mut parts = Vec::new();
    for operation in Operation::ALL {
        for field in &schema.fields {
            for bucket in BUCKETS {
                for element_wise in [false, field.name == "tensor"] {
                    for k in sizes(operation) {
                        for window in windows {
                            let spec = PartSpec {
                                input: field.name.clone(),
                                operation,
                                arguments: Arguments {
                                    k: k.or(operation.default_k()),
                                    percentiles: vec![0.25, 0.5, 0.99],
                                },
                                window: *window,
                                bucket: bucket.map(str::to_owned),
                                element_wise,
                            };
                            parts.extend(spec.typed(schema).ok());
                        }
                    }
                }
            }
        }
    }
    parts.dedup();
    parts
}

/// Sizes to try; `None` for the default.
fn sizes(operation: Operation) -> Vec<Option<u32>> {
    match operation {
        Operation::FirstK | Operation::LastK | Operation::TopK | Operation::BottomK => {
            vec![Some(1), Some(3)]
        }
        Operation::BoundedUniqueCount | Operation::Histogram | Operation::ApproxHistogramK => {
            vec![Some(2), None]
        }
        Operation::ApproxPercentile => vec![Some(8)],
        Operation::ApproxUniqueCount => vec![Some(4)],
        _ => vec![None],
    }
}

const BUCKETS: [Option<&str>; 2] = [None, Some("bucket")];

/// Compares an evaluator's answer with the twin's, cell by cell.
fn assert_same(
    evaluator: &mut dyn Evaluator,
    expected: &Answers,
    sample: &Sample,
    parts: &[AggregatePart],
    seed: u64,
) {
    let found = evaluator
        .evaluate(sample.run(), sample.queries())
        .expect("the parts are typed against the sample");
    assert_eq!(found.query.len(), sample.query_ts.len());
    assert_eq!(found.columns.len(), parts.len());
    for ((part, column), expected) in parts.iter().zip(&found.columns).zip(expected) {
        assert_eq!(column.data_type(), &part.output_type.to_arrow(), "{part:?}");
        let found = Value::column(column);
        for key in 0..sample.run().key_count() {
            for query in sample.queries().of_key(key) {
                assert_eq!(
                    found[query],
                    expected[query],
                    "seed {seed}, {} ({} {:?} {:?}), key {key}, query at {}, rows at {:?}",
                    part.output_name,
                    part.operation,
                    part.window,
                    part.shape,
                    sample.query_ts[query],
                    &sample.row_ts[sample.run().rows(key)],
                );
            }
        }
    }
}

fn recipe(random: &mut Random, daily: bool) -> Recipe {
    Recipe {
        key_count: 1 + random.below(4),
        rows_max: random.pick(&[3, 12, 60]),
        queries_max: random.pick(&[3, 12]),
        span_days: random.pick(&[1, 1, 3, 40]),
        daily,
        specials: random.one_in(3),
    }
}

/// TEMPORAL events: every hop size, windows longer and shorter than the data.
#[test]
fn point_in_time_equals_naive() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let recipe = recipe(&mut random, false);
        let sample = sample(&mut random, recipe);
        let windows = random.pick(&[
            [Window::Hours(1), Window::Days(7), Window::Unbounded],
            [Window::Hours(6), Window::Hours(13), Window::Days(1)],
            [Window::Hours(11), Window::Days(12), Window::Days(30)],
        ]);
        let parts = parts(&sample.schema, &windows);
        let by = Resolution::FiveMinutes;
        let expected =
            naive::point_in_time(&parts, &sample.schema, by, sample.run(), sample.queries());
        let mut evaluator = PointInTime::new(&parts, &sample.schema, by).unwrap();
        assert_same(&mut evaluator, &expected, &sample, &parts, seed);
    }
}

/// SNAPSHOT events: midnights and whole days.
#[test]
fn daily_point_in_time_equals_naive() {
    for seed in 100..110 {
        let mut random = Random::new(seed);
        let recipe = recipe(&mut random, true);
        let sample = sample(&mut random, recipe);
        let windows = [Window::Days(1), Window::Days(7), Window::Unbounded];
        let parts = parts(&sample.schema, &windows);
        let by = Resolution::Daily;
        let expected =
            naive::point_in_time(&parts, &sample.schema, by, sample.run(), sample.queries());
        let mut evaluator = PointInTime::new(&parts, &sample.schema, by).unwrap();
        assert_same(&mut evaluator, &expected, &sample, &parts, seed);
    }
}

/// Entity snapshots: rows carry the end of their partition and an own time.
#[test]
fn snapshot_rows_equal_naive() {
    for seed in 200..210 {
        let mut random = Random::new(seed);
        let sample = entity_sample(&mut random, false);
        for windows in [
            vec![Window::Unbounded],
            vec![Window::Hours(5), Window::Days(2), Window::Unbounded],
        ] {
            let parts = parts(&sample.schema, &windows);
            let (run, queries, time) = (sample.run(), sample.queries(), Some("own_time"));
            let expected = naive::snapshot_rows(&parts, &sample.schema, time, run, queries);
            let mut evaluator = SnapshotRows::new(&parts, &sample.schema, time).unwrap();
            assert_same(&mut evaluator, &expected, &sample, &parts, seed);
        }
    }
}

/// Entities with mutations: snapshot rows, inserts and deletes of the day, any own time.
#[test]
fn mutated_snapshot_equals_naive() {
    for seed in 300..312 {
        let mut random = Random::new(seed);
        let sample = entity_sample(&mut random, true);
        let windows = [Window::Hours(5), Window::Days(2), Window::Unbounded];
        let parts = parts(&sample.schema, &windows);
        let columns = MutationColumns {
            tag: "tag",
            own_time: "own_time",
            reversal: "reversal",
        };
        let (run, queries) = (sample.run(), sample.queries());
        let expected = naive::mutated_snapshot(&parts, &sample.schema, columns, run, queries);
        let mut evaluator = MutatedSnapshot::new(&parts, &sample.schema, columns).unwrap();
        assert_same(&mut evaluator, &expected, &sample, &parts, seed);
    }
}

/// Rows at midnights, with the columns that entities have besides.
fn entity_sample(random: &mut Random, mutated: bool) -> Sample {
    let recipe = Recipe {
        key_count: 1 + random.below(3),
        rows_max: random.pick(&[4, 20]),
        queries_max: 8,
        span_days: 3,
        daily: !mutated,
        specials: random.one_in(3),
    };
    let mut sample = sample(random, recipe);
    let rows = sample.row_ts.len();
    let tags: Vec<i32> = (0..rows)
        .map(|_| i32::from(mutated && random.one_in(2)))
        .collect();
    for (ts, tag) in sample.row_ts.iter_mut().zip(&tags) {
        if *tag == 0 {
            *ts = ts.div_euclid(DAY_MILLIS) * DAY_MILLIS;
        }
    }
    let own: Vec<Option<i64>> = (0..rows)
        .map(|row| {
            let near = random.pick(&[0, 1, -1, 3_600_000, -3_600_000, -DAY_MILLIS, -40_000_000]);
            (!random.one_in(9)).then_some(sample.row_ts[row] + near)
        })
        .collect();
    let reversal: Vec<Option<bool>> = tags
        .iter()
        .map(|tag| (*tag == 1).then(|| random.one_in(3)))
        .collect();
    // The changed times must be sorted again; payloads are random, so only times and tags have to move together.
    let mut order: Vec<usize> = (0..rows).collect();
    for key in sample.row_offsets.windows(2) {
        order[key[0] as usize..key[1] as usize].sort_by_key(|row| sample.row_ts[*row]);
    }
    let moved = |row: &usize| *row;
    sample.row_ts = order.iter().map(|row| sample.row_ts[*row]).collect();
    let tags: Vec<i32> = order.iter().map(moved).map(|row| tags[row]).collect();
    let own: Vec<_> = order.iter().map(moved).map(|row| own[row]).collect();
    let reversal: Vec<_> = order.iter().map(moved).map(|row| reversal[row]).collect();
    let tags: Vec<bool> = tags.into_iter().map(|tag| tag == 1).collect();
    let tags = arrow_array::BooleanArray::from(tags);
    let own = arrow_array::Int64Array::from(own);
    let reversal = arrow_array::BooleanArray::from(reversal);
    sample.push("tag", DataType::Boolean, std::sync::Arc::new(tags));
    sample.push("own_time", DataType::Long, std::sync::Arc::new(own));
    sample.push("reversal", DataType::Boolean, std::sync::Arc::new(reversal));
    sample
}
