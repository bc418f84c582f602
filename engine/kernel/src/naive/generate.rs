//! Seeded random runs and queries that seek out the edges. Only for tests.
//!
//! Times cluster around five-minute, hour and day edges, events share times, queries stand on events and exactly a
//! window after them; times before 1970 occur. Values hold nulls, NaN, infinities, negative zeros, empty lists and
//! maps, strings beyond the basic plane.

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder,
    MapBuilder, MapFieldNames, StringBuilder,
};
use arrow_array::{ArrayRef, StructArray};
use arrow_schema::Field as ArrowField;
use unskewed_planner::schema::{DataType, Field, Schema};
use unskewed_planner::time::{DAY_MILLIS, FIVE_MINUTES_MILLIS, HOUR_MILLIS};

use crate::run::{Queries, Run};

/// A stream of numbers from a seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    /// A number in `from..to`.
    pub fn between(&mut self, from: i64, to: i64) -> i64 {
        from + self.below(u64::try_from(to - from).unwrap_or(1)) as i64
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// A run and queries that own their columns.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Names and types of `columns`.
    pub schema: Schema,
    /// Row ranges of the keys.
    pub row_offsets: Vec<u32>,
    /// Times of the rows.
    pub row_ts: Vec<i64>,
    /// Positions of the rows, ascending among rows of one key and time.
    pub row_positions: Vec<u64>,
    /// The payload.
    pub columns: Vec<ArrayRef>,
    /// Query ranges of the keys.
    pub query_offsets: Vec<u32>,
    /// Times of the queries.
    pub query_ts: Vec<i64>,
}

impl Sample {
    /// The right rows.
    pub fn run(&self) -> Run<'_> {
        Run {
            offsets: &self.row_offsets,
            ts: &self.row_ts,
            positions: &self.row_positions,
            columns: &self.columns,
        }
    }

    /// The queries.
    pub fn queries(&self) -> Queries<'_> {
        Queries {
            offsets: &self.query_offsets,
            ts: &self.query_ts,
        }
    }

    /// One column more.
    pub fn push(&mut self, name: &str, data_type: DataType, column: ArrayRef) {
        self.schema.fields.push(Field::new(name, data_type));
        self.columns.push(column);
    }
}

/// How a sample is made.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Number of keys, some without rows or without queries.
    pub key_count: u64,
    /// Rows of a key, at most.
    pub rows_max: u64,
    /// Queries of a key, at most.
    pub queries_max: u64,
    /// Days over which rows spread.
    pub span_days: i64,
    /// Whether queries ask at midnights only.
    pub daily: bool,
    /// Whether doubles may be NaN or infinite.
    pub specials: bool,
}

/// A sample over every payload type.
pub fn sample(random: &mut Random, recipe: Recipe) -> Sample {
    let (mut row_offsets, mut row_ts) = (vec![0], Vec::new());
    let (mut query_offsets, mut query_ts) = (vec![0], Vec::new());
    for _ in 0..recipe.key_count {
        let day = random.pick(&[0, -3, 19_783]);
        let origin = day * DAY_MILLIS;
        let mut rows: Vec<i64> = (0..random.below(recipe.rows_max + 1))
            .map(|_| time(random, origin, recipe.span_days))
            .collect();
        for at in 1..rows.len() {
            if random.one_in(6) {
                rows[at] = rows[at - 1];
            }
        }
        rows.sort_unstable();
        let mut queries: Vec<i64> = (0..random.below(recipe.queries_max + 1))
            .map(|_| query(random, &rows, origin, recipe))
            .collect();
        queries.sort_unstable();
        row_ts.extend(rows);
        query_ts.extend(queries);
        row_offsets.push(row_ts.len() as u32);
        query_offsets.push(query_ts.len() as u32);
    }
    let mut sample = Sample {
        schema: Schema::default(),
        row_offsets,
        row_positions: positions(random, &row_ts),
        row_ts,
        columns: Vec::new(),
        query_offsets,
        query_ts,
    };
    payload(&mut sample, random, recipe.specials);
    sample
}

/// Positions in no order, but ascending among neighbours of one time.
fn positions(random: &mut Random, ts: &[i64]) -> Vec<u64> {
    let mut positions: Vec<u64> = ts.iter().map(|_| random.below(1 << 40)).collect();
    let mut start = 0;
    for times in ts.chunk_by(|a, b| a == b) {
        positions[start..start + times.len()].sort_unstable();
        start += times.len();
    }
    positions
}

/// A time near an edge, or anywhere.
pub fn time(random: &mut Random, origin: i64, span_days: i64) -> i64 {
    let at = random.between(0, span_days * DAY_MILLIS);
    let hop = random.pick(&[1, FIVE_MINUTES_MILLIS, HOUR_MILLIS, DAY_MILLIS]);
    let near = at.div_euclid(hop) * hop + random.pick(&[-1, 0, 0, 1, 7]);
    origin + near
}

fn query(random: &mut Random, rows: &[i64], origin: i64, recipe: Recipe) -> i64 {
    let anywhere = time(random, origin, recipe.span_days + 2);
    let near = if rows.is_empty() || random.one_in(3) {
        anywhere
    } else {
        let row = random.pick(rows);
        let after = random.pick(&[
            0,
            HOUR_MILLIS,
            6 * HOUR_MILLIS,
            DAY_MILLIS,
            7 * DAY_MILLIS,
            14 * DAY_MILLIS,
        ]);
        row + after + random.pick(&[-1, 0, 1, FIVE_MINUTES_MILLIS, HOUR_MILLIS])
    };
    if recipe.daily {
        near.div_euclid(DAY_MILLIS) * DAY_MILLIS
    } else {
        near
    }
}

/// A double: mostly inexact, sometimes special.
pub fn double(random: &mut Random, specials: bool) -> f64 {
    if specials && random.one_in(12) {
        return random.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, 1e300]);
    }
    random.between(-500, 500) as f64 / 7.0
}

const WORDS: [&str; 9] = [
    "",
    "a",
    "b",
    "ab",
    "z",
    "é",
    "\u{ffee}",
    "\u{1f600}",
    "\u{e000}x",
];

fn payload(sample: &mut Sample, random: &mut Random, specials: bool) {
    let rows = sample.row_ts.len();
    let mut longs = Int64Builder::new();
    let (mut doubles, mut booleans) = (Float64Builder::new(), BooleanBuilder::new());
    let (mut strings, mut binaries) = (StringBuilder::new(), BinaryBuilder::new());
    let mut buckets = StringBuilder::new();
    for _ in 0..rows {
        let null = random.one_in(8);
        longs.append_option((!null).then(|| random.between(-9, 10)));
        doubles.append_option((!random.one_in(8)).then(|| double(random, specials)));
        booleans.append_option((!random.one_in(8)).then(|| random.one_in(2)));
        strings.append_option((!random.one_in(8)).then(|| random.pick(&WORDS)));
        binaries.append_option((!random.one_in(8)).then(|| random.pick(&WORDS)));
        buckets.append_option((!random.one_in(8)).then(|| random.pick(&WORDS[..4])));
    }
    let longs: ArrayRef = Arc::new(longs.finish());
    let doubles: ArrayRef = Arc::new(doubles.finish());
    let cast = |array: &ArrayRef, to: &DataType| {
        arrow_cast::cast(array, &to.to_arrow()).expect("numbers cast")
    };
    for to in [
        DataType::Byte,
        DataType::Short,
        DataType::Int,
        DataType::Long,
    ] {
        let name = format!("a_{to}");
        sample.push(&name, to.clone(), cast(&longs, &to));
    }
    for to in [DataType::Float, DataType::Double] {
        let name = format!("a_{to}");
        sample.push(&name, to.clone(), cast(&doubles, &to));
    }
    sample.push("a_boolean", DataType::Boolean, Arc::new(booleans.finish()));
    sample.push("a_string", DataType::String, Arc::new(strings.finish()));
    sample.push("a_binary", DataType::Binary, Arc::new(binaries.finish()));
    sample.push("bucket", DataType::String, Arc::new(buckets.finish()));
    nested(sample, random, specials);
}

fn nested(sample: &mut Sample, random: &mut Random, specials: bool) {
    let rows = sample.row_ts.len();
    let double_list = lists(random, rows, Float64Builder::new(), |random, items| {
        items.append_value(double(random, specials));
    });
    sample.push("doubles", DataType::array(DataType::Double), double_list);
    let long_list = lists(random, rows, Int64Builder::new(), |random, items| {
        items.append_value(random.between(-9, 10));
    });
    sample.push("longs", DataType::array(DataType::Long), long_list);
    let string_list = lists(random, rows, StringBuilder::new(), |random, items| {
        items.append_value(random.pick(&WORDS));
    });
    sample.push("strings", DataType::array(DataType::String), string_list);
    let names = MapFieldNames {
        entry: "entries".into(),
        key: "key".into(),
        value: "value".into(),
    };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), Float64Builder::new());
    for _ in 0..rows {
        let null = random.one_in(8);
        for word in WORDS.iter().take(if null { 0 } else { 4 }) {
            if random.one_in(2) {
                maps.keys().append_value(word);
                let value = (!random.one_in(5)).then(|| double(random, specials));
                maps.values().append_option(value);
            }
        }
        maps.append(!null)
            .expect("keys and values are appended in pairs");
    }
    let map: ArrayRef = Arc::new(maps.finish());
    sample.push(
        "map",
        DataType::map(DataType::String, DataType::Double),
        map,
    );
    let tensor = tensors(random, rows);
    sample.push("tensor", DataType::array(DataType::Double), tensor);
    let fields = vec![
        Field::new("x", DataType::Long),
        Field::new("y", DataType::String),
    ];
    let of = |name: &str| {
        let index = sample.schema.index_of(name).expect("made above");
        Arc::clone(&sample.columns[index])
    };
    let struct_type = DataType::Struct(fields.clone());
    let arrow_fields: Vec<ArrowField> = fields.iter().map(Field::to_arrow).collect();
    let columns = vec![of("a_bigint"), of("a_string")];
    let structs = StructArray::new(arrow_fields.into(), columns, None);
    sample.push("struct", struct_type, Arc::new(structs));
}

/// Lists of up to three items, some of them null.
fn lists<B>(
    random: &mut Random,
    rows: usize,
    items: B,
    mut append: impl FnMut(&mut Random, &mut B),
) -> ArrayRef
where
    B: ArrayBuilder + AppendNull,
{
    let element = ArrowField::new("element", items.element_type(), true);
    let mut lists = ListBuilder::new(items).with_field(element);
    for _ in 0..rows {
        let null = random.one_in(8);
        for _ in 0..(if null { 0 } else { random.below(4) }) {
            if random.one_in(6) {
                lists.values().append_none();
            } else {
                append(random, lists.values());
            }
        }
        lists.append(!null);
    }
    Arc::new(lists.finish())
}

/// Lists of exactly three doubles without nulls, for element-wise aggregation; some lists are null.
fn tensors(random: &mut Random, rows: usize) -> ArrayRef {
    let element = ArrowField::new("element", arrow_schema::DataType::Float64, true);
    let mut lists = ListBuilder::new(Float64Builder::new()).with_field(element);
    for _ in 0..rows {
        let null = random.one_in(8);
        for _ in 0..(if null { 0 } else { 3 }) {
            lists.values().append_value(double(random, false));
        }
        lists.append(!null);
    }
    Arc::new(lists.finish())
}

/// What the builders of list items have in common.
trait AppendNull {
    fn append_none(&mut self);
    fn element_type(&self) -> arrow_schema::DataType;
}

impl AppendNull for Float64Builder {
    fn append_none(&mut self) {
        self.append_null();
    }

    fn element_type(&self) -> arrow_schema::DataType {
        arrow_schema::DataType::Float64
    }
}

impl AppendNull for Int64Builder {
    fn append_none(&mut self) {
        self.append_null();
    }

    fn element_type(&self) -> arrow_schema::DataType {
        arrow_schema::DataType::Int64
    }
}

impl AppendNull for StringBuilder {
    fn append_none(&mut self) {
        self.append_null();
    }

    fn element_type(&self) -> arrow_schema::DataType {
        arrow_schema::DataType::Utf8
    }
}
