//! What the tests of evaluation after a batch have in common: parts, stored forms, and when two values are the same.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, ListArray, MapArray, StructArray, make_array};
use arrow_schema::DataType;
use unskewed_kernel::codec::batch_state::BatchCodec;
use unskewed_kernel::codec::streamed::RowCodec;
use unskewed_kernel::codec::tile::TileCodec;
use unskewed_kernel::evaluate::after_batch::{AfterBatch, BatchState, TileStates};
use unskewed_kernel::evaluate::batch_states::BatchStates;
use unskewed_kernel::evaluate::tile_states::TilesOfRows;
use unskewed_kernel::naive::generate::{Random, Sample};
use unskewed_kernel::naive::value::Value;
use unskewed_kernel::run::{Evaluator, LaterRows, Queries, Run};
use unskewed_kernel::window::floor_to;
use unskewed_planner::aggregation::{AggregatePart, Arguments, InputShape, Operation, PartSpec};
use unskewed_planner::schema::Schema;
use unskewed_planner::time::{DAY_MILLIS, FIVE_MINUTES_MILLIS, HOUR_MILLIS, Window};

/// Parts and the numbers of their bases.
pub(crate) struct Parts {
    pub(crate) parts: Vec<AggregatePart>,
    pub(crate) bases: Vec<usize>,
}

impl Parts {
    /// All operations over every third column that they take, from column `turn` on, in these windows.
    pub(crate) fn all(schema: &Schema, turn: u64, windows: &[Window]) -> Self {
        let (mut parts, mut bases, mut number) = (Vec::new(), Vec::new(), 0);
        for operation in Operation::ALL {
            for field in schema.fields.iter().skip(turn as usize % 3).step_by(3) {
                for bucket in [None, Some("bucket")] {
                    for element_wise in [false, field.name == "tensor"] {
                        for k in sizes(operation) {
                            let before = parts.len();
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
                            bases.extend(std::iter::repeat_n(number, parts.len() - before));
                            number += 1;
                        }
                    }
                }
            }
        }
        Self { parts, bases }
    }

    /// Keeps some.
    pub(crate) fn retain(&mut self, keep: impl Fn(&AggregatePart) -> bool) {
        let kept: Vec<bool> = self.parts.iter().map(keep).collect();
        let mut at = kept.iter();
        self.parts.retain(|_| *at.next().unwrap());
        let mut at = kept.iter();
        self.bases.retain(|_| *at.next().unwrap());
    }
}

/// Sizes to try; `None` for the default. Sketches are large enough to be exact for most columns.
fn sizes(operation: Operation) -> Vec<Option<u32>> {
    match operation {
        Operation::FirstK | Operation::LastK | Operation::TopK | Operation::BottomK => {
            vec![Some(1), Some(3)]
        }
        Operation::Histogram => vec![None, Some(2)],
        Operation::BoundedUniqueCount => vec![Some(2), None],
        Operation::ApproxHistogramK => vec![Some(20)],
        _ => vec![None],
    }
}

/// Gives items of lists and values of maps that are null a value: Avro has none for them.
pub(crate) fn without_inner_nulls(sample: &mut Sample) {
    for column in &mut sample.columns {
        let full = |child: &ArrayRef| {
            let data = child.to_data().into_builder().nulls(None);
            make_array(data.build().unwrap())
        };
        *column = match column.data_type() {
            DataType::List(item) => {
                let list = column.as_list::<i32>();
                let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
                let items = full(list.values());
                Arc::new(ListArray::new(Arc::clone(item), offsets, items, nulls))
            }
            DataType::Map(field, sorted) => {
                let map = column.as_map();
                let fields = map.entries().fields().clone();
                let columns = vec![Arc::clone(map.keys()), full(map.values())];
                let entries = StructArray::new(fields, columns, None);
                let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
                let field = Arc::clone(field);
                Arc::new(MapArray::new(field, offsets, entries, nulls, *sorted))
            }
            _ => continue,
        };
    }
}

/// Windows of one test: of all hops, with tails that are whole hops and tails that are not.
pub(crate) fn windows(random: &mut Random) -> [Window; 3] {
    random.pick(&[
        [Window::Hours(1), Window::Days(7), Window::Unbounded],
        [Window::Hours(6), Window::Hours(13), Window::Days(2)],
        [Window::Hours(49), Window::Days(12), Window::Days(30)],
        [Window::Hours(300), Window::Hours(290), Window::Days(3)],
    ])
}

/// Queries at the end of the batch for every key.
fn at_end(sample: &Sample, end: i64) -> (Vec<u32>, Vec<i64>) {
    let keys = sample.run().key_count();
    ((0..=keys as u32).collect(), vec![end; keys])
}

/// Queries from the end of the batch to two days after: at it, at edges of hops, at rows, and a window after rows.
pub(crate) fn ask_after(random: &mut Random, sample: &mut Sample, end: i64, windows: &[Window]) {
    let last = end + 2 * DAY_MILLIS;
    let (mut offsets, mut ts) = (vec![0], Vec::new());
    for key in 0..sample.run().key_count() {
        let rows = &sample.row_ts[sample.run().rows(key)];
        let mut own = vec![end, end + 1, last - 1, last];
        for _ in 0..5 {
            let step = random.pick(&[1, FIVE_MINUTES_MILLIS, HOUR_MILLIS, 12 * HOUR_MILLIS]);
            own.push(end + random.below(4) as i64 * step + random.pick(&[-1, 0, 1, step / 2]));
            if !rows.is_empty() {
                let row = random.pick(rows) + random.pick(&[0, 1, FIVE_MINUTES_MILLIS]);
                own.push(row);
                let length = random.pick(windows).millis();
                own.extend(length.map(|length| row + length + random.pick(&[-1, 0, 1])));
            }
        }
        own.retain(|at| (end..=last).contains(at));
        own.sort_unstable();
        ts.extend(own);
        offsets.push(ts.len() as u32);
    }
    (sample.query_offsets, sample.query_ts) = (offsets, ts);
}

/// What a batch that ends at `end` stores of each key, as bytes.
pub(crate) fn stored(
    sample: &Sample,
    parts: &Parts,
    end: i64,
    own_time: Option<&str>,
) -> Vec<Vec<u8>> {
    let (offsets, ts) = at_end(sample, end);
    let queries = Queries {
        offsets: &offsets,
        ts: &ts,
    };
    let Parts { parts, bases } = parts;
    let mut states = BatchStates::new(parts, bases, &sample.schema, own_time).unwrap();
    let states = states.evaluate(sample.run(), queries).unwrap().columns;
    let encoded = BatchCodec::new(parts, bases)
        .unwrap()
        .encode(&states)
        .unwrap();
    assert!(encoded.bad.is_empty(), "{:?}", encoded.bad);
    let values = encoded.datums.iter();
    values.map(|value| value.unwrap().to_vec()).collect()
}

/// The batch of each key, read back.
pub(crate) fn batches(online: &AfterBatch, values: &[Vec<u8>], end: i64) -> Vec<BatchState> {
    let values = values.iter();
    values
        .map(|value| online.batch_state(value, end).unwrap())
        .collect()
}

/// The key and time of each query.
pub(crate) fn asked(sample: &Sample) -> Vec<(usize, i64)> {
    let keys = 0..sample.run().key_count();
    let of_key = |key: usize| {
        let queries = sample.queries().of_key(key);
        queries.map(move |query| (key, sample.query_ts[query]))
    };
    keys.flat_map(of_key).collect()
}

/// Rows that a stream stored, for each query of each key: those that `is_stored` says, in no order of time.
pub(crate) fn streamed(
    codec: &RowCodec,
    columns: &[ArrayRef],
    sample: &Sample,
    is_stored: impl Fn(usize, i64) -> bool,
) -> LaterRows {
    let encoded = codec.encode(columns).unwrap();
    assert!(encoded.bad.is_empty(), "{:?}", encoded.bad);
    let rows: Vec<Vec<(i64, &[u8])>> = asked(sample)
        .into_iter()
        .map(|(key, query)| {
            let rows = sample.run().rows(key).filter(|row| is_stored(*row, query));
            let stored = rows.map(|row| (sample.row_ts[row], encoded.datums.value(row)));
            let mut stored: Vec<_> = stored.collect();
            // Rows of one time stay in order, whatever else comes between.
            stored.sort_by_key(|(ts, _)| ts % 7);
            stored
        })
        .collect();
    let (rows, bad) = codec.decode(&rows).unwrap();
    assert!(bad.is_empty(), "{bad:?}");
    rows
}

/// Tiles of all rows that a stream stored, for each query of each key: all but the one that the query lies in.
pub(crate) fn tiled(
    online: &AfterBatch,
    parts: &Parts,
    sample: &Sample,
    tile_millis: i64,
) -> Vec<TileStates> {
    let mut offsets = vec![0];
    let mut tiles: Vec<(usize, i64)> = Vec::new();
    for key in 0..sample.run().key_count() {
        let rows = &sample.row_ts[sample.run().rows(key)];
        let floor = |ts: &i64| floor_to(*ts, tile_millis);
        for tile in rows.chunk_by(|a, b| floor(a) == floor(b)) {
            offsets.push(offsets.last().unwrap() + tile.len() as u32);
            tiles.extend(tile.last().map(|latest| (key, *latest)));
        }
    }
    let run = Run {
        offsets: &offsets,
        ..sample.run()
    };
    let states = TilesOfRows::new(&parts.parts, &parts.bases, &sample.schema).unwrap();
    let states = states.states(run).unwrap();
    let codec = TileCodec::new("team.group-by.v1", &parts.parts, &parts.bases).unwrap();
    let complete = BooleanArray::from(vec![true; tiles.len()]);
    let encoded = codec.encode(states, &complete).unwrap();
    assert!(encoded.bad.is_empty(), "{:?}", encoded.bad);
    let of_query = |(key, query): (usize, i64)| {
        let numbered = tiles.iter().enumerate().rev();
        let others = numbered.filter(|(_, (of, latest))| {
            *of == key && floor_to(*latest, tile_millis) != floor_to(query, tile_millis)
        });
        let stored: Vec<(i64, &[u8])> = others
            .map(|(number, (_, latest))| (*latest, encoded.datums.value(number)))
            .collect();
        online.tile_states(&stored).unwrap()
    };
    asked(sample).into_iter().map(of_query).collect()
}

/// Whether two rows of a key share a time.
pub(crate) fn has_ties(times: &[i64]) -> bool {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.windows(2).any(|pair| pair[0] == pair[1])
}

/// The part whose exact answers say what a part may answer that shows some of many values: of a HISTOGRAM with a limit
/// the one without, of an APPROX_HISTOGRAM_K the number of distinct values.
pub(crate) fn witness_of(part: &AggregatePart, parts: &[AggregatePart]) -> Option<usize> {
    let operation = match part.operation {
        Operation::ApproxHistogramK => Operation::UniqueCount,
        operation => operation,
    };
    let of = |part: &AggregatePart| {
        let (input, bucket) = (part.input.clone(), part.bucket.clone());
        (input, bucket, part.window, part.shape)
    };
    let mut parts = parts.iter();
    parts.position(|other| {
        let unlimited = other.arguments.k.unwrap_or(0) == 0;
        of(other) == of(part) && other.operation == operation && unlimited
    })
}

/// A cell of the answer.
pub(crate) struct Cell<'a> {
    pub(crate) part: &'a AggregatePart,
    pub(crate) expected: &'a Value,
    pub(crate) found: &'a Value,
    /// What the part's witness says (see [`witness_of`]).
    pub(crate) witness: Option<&'a Value>,
    /// Whether rows of the key share a time.
    pub(crate) ties: bool,
}

impl Cell<'_> {
    /// Whether what was found is what was expected: bit for bit but for floating sums, which are folded in another order
    /// (decision D8), sketches of many values, and ties that a stored heap cannot tell apart.
    pub(crate) fn is_right(&self) -> bool {
        let limit = self.part.arguments.k.unwrap_or(0) as usize;
        match self.part.operation {
            Operation::FirstK | Operation::LastK if self.ties => true,
            Operation::Histogram if limit > 0 => {
                let unlimited = self.witness.expect("both forms are asked for");
                self.each(unlimited, |all, shown| is_limited(all, shown, limit))
            }
            Operation::ApproxHistogramK if self.has_more_values_than(limit) => {
                // Which of them are shown depends on how sketches were merged.
                self.each(
                    self.expected,
                    |_, shown| matches!(shown, Value::Map(shown) if shown.len() <= limit),
                )
            }
            operation => self.each(self.expected, |a, b| same(operation, a, b)),
        }
    }

    /// Whether a state has seen more different values than this.
    fn has_more_values_than(&self, limit: usize) -> bool {
        let most = match self.witness.expect("the distinct values are asked for") {
            Value::Map(counts) => counts.iter().map(|(_, count)| count).max(),
            count => Some(count),
        };
        matches!(most, Some(Value::Whole(count)) if *count > limit as i64)
    }

    /// Compares the whole, or in a map of buckets or keys each value.
    fn each(&self, expected: &Value, same: impl Fn(&Value, &Value) -> bool) -> bool {
        let keyed = self.part.bucket.is_some() || self.part.shape == InputShape::Map;
        match (expected, self.found) {
            (Value::Map(a), Value::Map(b)) if keyed => {
                let mut pairs = a.iter().zip(b);
                a.len() == b.len() && pairs.all(|((k, v), (l, w))| k == l && same(v, w))
            }
            (a, b) => same(a, b),
        }
    }
}

/// Whether a limited histogram shows what an unlimited one may.
fn is_limited(all: &Value, shown: &Value, limit: usize) -> bool {
    let (Value::Map(all), Value::Map(shown)) = (all, shown) else {
        return all == shown;
    };
    let mut counts: Vec<&Value> = all.iter().map(|(_, count)| count).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let least = counts.get(limit - 1).or(counts.last()).copied();
    let may_be = |entry: &(Value, Value)| all.contains(entry) && Some(&entry.1) >= least;
    shown.len() == all.len().min(limit) && shown.iter().all(may_be)
}

fn same(operation: Operation, expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (a, b) if a.is_floating() && b.is_floating() => {
            let (a, b) = (a.as_double(), b.as_double());
            let tolerance = match operation {
                Operation::Sum | Operation::Average | Operation::Variance => 1e-12,
                Operation::Skew | Operation::Kurtosis => 1e-6,
                _ => 0.0,
            };
            // Sums of numbers below 100 that cancel each other.
            let scale = a.abs().max(b.abs()).max(1_000.0);
            a.to_bits() == b.to_bits()
                || (tolerance > 0.0 && (a - b).abs() <= tolerance * scale)
                || (tolerance > 0.0 && !a.is_finite() && !b.is_finite())
        }
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(operation, a, b))
        }
        (Value::Whole(a), Value::Whole(b)) if operation == Operation::ApproxUniqueCount => {
            (a - b).abs() <= 1 + a / 20
        }
        (a, b) => a == b,
    }
}
