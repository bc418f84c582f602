//! APPROX_HISTOGRAM_K: exact counts up to k distinct values, then a frequent-items sketch.
//!
//! Keys of the finished map are the values as Java prints them. The sketch is fed in the order of a Java hash map, so
//! it shows the values that the reference shows and is a function of the fold alone. Stored states are ours: the
//! reference's are Java's own serialisation.

mod items;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::DataType as ArrowType;
use unskewed_planner::aggregation::AggregatePart;

use super::Aggregator;
use super::bind::{Shape, type_error};
use super::fold::Visitor;
use super::output::{Maps, Numbers, Output};
use super::stored::{NEW_BUCKETS, Stored, hash_of_bits, hash_of_text, in_hash_order};
use crate::error::KernelError;
use crate::eval::java::number::double_to_string;
use items::Items;

/// Picks the aggregator by the operand's type.
pub(crate) fn bind<V: Visitor>(
    part: &AggregatePart,
    elements: &ArrayRef,
    shape: Shape<V>,
) -> Result<V::Answer, KernelError> {
    let k = part.arguments.k.unwrap_or(8) as usize;
    match elements.data_type() {
        ArrowType::Int64 => {
            let values = elements.as_primitive::<Int64Type>().values().to_vec();
            shape.with(Frequent { values, k })
        }
        ArrowType::Float64 => {
            let values = elements.as_primitive::<Float64Type>().values();
            let values: Vec<u64> = values.iter().map(|value| bits(*value)).collect();
            shape.with(Frequent { values, k })
        }
        ArrowType::Utf8 => {
            let strings = elements.as_string::<i32>();
            let values: Vec<String> = (0..elements.len())
                .map(|element| strings.value(element).to_owned())
                .collect();
            shape.with(Frequent { values, k })
        }
        other => Err(type_error(part, other)),
    }
}

/// A value that can be counted and printed.
pub(crate) trait Countable: Clone + Ord {
    /// The number of its type in stored states: 0 for strings, 1 for longs, 2 for doubles.
    const TYPE: u8;

    /// Its `hashCode`.
    fn java_hash(&self) -> i32;

    /// Appends its form in a stored sketch.
    fn append_bytes(&self, bytes: &mut Vec<u8>);

    /// As `String.valueOf` prints it.
    fn print(&self) -> String;
}

impl Countable for i64 {
    const TYPE: u8 = 1;

    fn java_hash(&self) -> i32 {
        hash_of_bits(self.cast_unsigned())
    }

    fn append_bytes(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Countable for String {
    const TYPE: u8 = 0;

    fn java_hash(&self) -> i32 {
        hash_of_text(self)
    }

    fn append_bytes(&self, bytes: &mut Vec<u8>) {
        bytes.extend((self.len() as u32).to_le_bytes());
        bytes.extend(self.as_bytes());
    }

    fn print(&self) -> String {
        self.clone()
    }
}

/// Doubles are counted by their bits.
impl Countable for u64 {
    const TYPE: u8 = 2;

    fn java_hash(&self) -> i32 {
        hash_of_bits(*self)
    }

    fn append_bytes(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }

    fn print(&self) -> String {
        double_to_string(f64::from_bits(*self))
    }
}

/// The bits of a double; all NaN are one.
pub(crate) fn bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN } else { value }.to_bits()
}

/// What was counted.
#[derive(Clone, Debug)]
pub(crate) enum Counts<T> {
    /// Exactly, sorted by value.
    Exact(Vec<(T, i64)>),
    /// Approximately.
    Sketch(Box<Items<T>>),
}

impl<T: Countable> Counts<T> {
    /// No counts.
    pub(crate) fn new() -> Self {
        Self::Exact(Vec::new())
    }

    /// Adds to the count of a value; more than k values turn into a sketch.
    pub(crate) fn add(&mut self, value: &T, count: i64, k: usize) {
        match self {
            Self::Exact(entries) => {
                count_exactly(entries, value, count);
                self.overflow(k);
            }
            Self::Sketch(sketch) => sketch.update(value, count),
        }
    }

    /// Adds later counts.
    pub(crate) fn merge(&mut self, later: &Self, k: usize) {
        match (&mut *self, later) {
            (Self::Exact(entries), Self::Exact(later)) => {
                for (value, count) in later {
                    count_exactly(entries, value, *count);
                }
                self.overflow(k);
            }
            (Self::Sketch(sketch), Self::Sketch(later)) => sketch.merge(later),
            (Self::Sketch(sketch), Self::Exact(later)) => feed(sketch, later),
            (Self::Exact(entries), Self::Sketch(later)) => {
                let mut merged = later.clone();
                feed(&mut merged, entries);
                *self = Self::Sketch(merged);
            }
        }
    }

    /// Turns more than k exact counts into a sketch.
    fn overflow(&mut self, k: usize) {
        if let Self::Exact(entries) = self
            && entries.len() > k
        {
            let mut sketch = Box::new(Items::new(k));
            feed(&mut sketch, entries);
            *self = Self::Sketch(sketch);
        }
    }

    /// The stored form: the type's number; 0 and a sketch of exact counts that never overflowed, or 1 and the sketch
    /// proper. Both are in Apache's form of the type.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let (overflowed, sketch) = match self {
            Self::Sketch(sketch) => (1, sketch.to_bytes()),
            Self::Exact(entries) => {
                let mut sketch = Items::new(entries.len() * 2);
                feed(&mut sketch, entries);
                (0, sketch.to_bytes())
            }
        };
        let mut bytes = vec![T::TYPE, overflowed];
        bytes.extend(sketch);
        bytes
    }

    /// The values and counts to show: all exact ones, or the k most frequent of the sketch.
    pub(crate) fn top(&self, k: usize) -> Vec<(String, i64)> {
        let print = |(value, count): (&T, i64)| (value.print(), count);
        match self {
            Self::Exact(entries) => entries
                .iter()
                .map(|(v, count)| print((v, *count)))
                .collect(),
            Self::Sketch(sketch) => sketch.frequent().into_iter().take(k).map(print).collect(),
        }
    }
}

fn count_exactly<T: Countable>(entries: &mut Vec<(T, i64)>, value: &T, count: i64) {
    match entries.binary_search_by(|entry| entry.0.cmp(value)) {
        Ok(place) => entries[place].1 += count,
        Err(place) => entries.insert(place, (value.clone(), count)),
    }
}

/// Feeds exact counts to a sketch, in the order of a Java hash map.
fn feed<T: Countable>(sketch: &mut Items<T>, entries: &[(T, i64)]) {
    let hashed = entries.iter().map(|entry| (entry.0.java_hash(), entry));
    for (value, count) in in_hash_order(hashed.collect(), NEW_BUCKETS) {
        sketch.update(value, *count);
    }
}

struct Frequent<T> {
    values: Vec<T>,
    k: usize,
}

impl<T: Countable> Aggregator for Frequent<T> {
    type State = Counts<T>;
    type Output = Maps<Words, Numbers<Int64Type>>;
    const FROM_ROWS: bool = true;

    fn start(&self, element: usize) -> Counts<T> {
        let mut state = Counts::new();
        self.update(&mut state, element);
        state
    }

    fn update(&self, state: &mut Counts<T>, element: usize) {
        state.add(&self.values[element], 1, self.k);
    }

    fn merge(&self, state: &mut Counts<T>, later: &Counts<T>) {
        state.merge(later, self.k);
    }

    fn store(&self, state: &Counts<T>) -> Stored {
        Stored::Bytes(state.to_bytes())
    }

    fn output(&self, _direct: bool) -> Self::Output {
        Maps::new(Words(Vec::new()), Numbers::new(false))
    }

    fn finish(&self, state: &Counts<T>, output: &mut Self::Output) {
        output.append(|keys, counts| {
            for (key, count) in state.top(self.k) {
                keys.0.push(Some(key));
                counts.append(count);
            }
        });
    }
}

/// A column of strings that are made on the way.
#[derive(Debug)]
pub(crate) struct Words(Vec<Option<String>>);

impl Output for Words {
    fn append_null(&mut self) {
        self.0.push(None);
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn into_array(self) -> Result<ArrayRef, KernelError> {
        Ok(Arc::new(StringArray::from(self.0)))
    }
}
