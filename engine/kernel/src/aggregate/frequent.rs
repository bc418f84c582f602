//! APPROX_HISTOGRAM_K: exact counts up to k distinct values, then a frequent-items sketch.
//!
//! Keys of the finished map are the values as Java prints them. The counts go through what the reference's do, so that
//! the same values are shown with the same estimates: a Java hash map, then the sketch, copied and shipped where the
//! reference copies and ships. States are shared as the reference's objects are: exact counts that meet a later sketch
//! are fed into *that* sketch, which its other holders see too, so that values may be counted more than once. Stored
//! states are ours: the reference's are Java's own serialisation.

pub(crate) mod items;
pub(crate) mod read;

use std::cell::RefCell;
use std::rc::Rc;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{ArrayRef, StringArray};
use arrow_schema::DataType as ArrowType;
use unskewed_planner::aggregation::AggregatePart;

use super::bind::{Shape, type_error};
use super::fold::Visitor;
use super::java_map::JavaMap;
use super::output::{Maps, Numbers, Output};
use super::saved::Placed;
use super::scala_map::{hash_of_double, hash_of_long, in_scala_order};
use super::stored::{Stored, hash_of_bits, hash_of_text};
use super::{Aggregator, WorkOrder};
use crate::error::KernelError;
use crate::eval::java::number::double_to_string;
use items::Items;
use read::Readable;

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

    /// Its `##`.
    fn scala_hash(&self) -> i32;

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

    fn scala_hash(&self) -> i32 {
        hash_of_long(*self)
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

    fn scala_hash(&self) -> i32 {
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

    fn scala_hash(&self) -> i32 {
        hash_of_double(f64::from_bits(*self))
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
    /// Exactly.
    Exact(JavaMap<T, i64>),
    /// Approximately.
    Sketch(Items<T>),
}

impl<T: Countable> Counts<T> {
    /// Adds one to the count of a value; more than k values turn into a sketch.
    fn add(&mut self, value: &T, k: usize) {
        match self {
            Self::Exact(counts) => {
                count(counts, value, 1);
                self.overflow(k);
            }
            Self::Sketch(sketch) => sketch.update(value, 1),
        }
    }

    /// Turns more than k exact counts into a sketch.
    fn overflow(&mut self, k: usize) {
        if let Self::Exact(counts) = self
            && counts.len() > k
        {
            let mut sketch = Items::new(k);
            feed(&mut sketch, counts);
            *self = Self::Sketch(sketch);
        }
    }

    /// Changed by the way through its own copy, or through bytes.
    fn moved(&self, exact: impl Fn(&JavaMap<T, i64>) -> JavaMap<T, i64>) -> Self {
        match self {
            Self::Exact(counts) => Self::Exact(exact(counts)),
            Self::Sketch(sketch) => Self::Sketch(sketch.reread()),
        }
    }

    /// The stored form: the type's number; 0 and a sketch of exact counts that never overflowed, or 1 and the sketch
    /// proper. Both are in Apache's form of the type.
    fn to_bytes(&self) -> Vec<u8> {
        let (overflowed, sketch) = match self {
            Self::Sketch(sketch) => (1, sketch.to_bytes()),
            Self::Exact(counts) => {
                let mut sketch = Items::new(counts.len() * 2);
                feed(&mut sketch, counts);
                (0, sketch.to_bytes())
            }
        };
        let mut bytes = vec![T::TYPE, overflowed];
        bytes.extend(sketch);
        bytes
    }

    /// The values and counts to show: all exact ones, or the k most frequent of the sketch.
    fn top(&self, k: usize) -> Vec<(String, i64)> {
        match self {
            Self::Exact(counts) => {
                let mut shown: Vec<(&T, i64)> = counts.iter().map(|(_, v, n)| (v, *n)).collect();
                shown.sort_unstable();
                let shown = shown.into_iter();
                shown.map(|(value, count)| (value.print(), count)).collect()
            }
            Self::Sketch(sketch) => {
                let shown = sketch.frequent().into_iter().take(k);
                shown.map(|(value, count)| (value.print(), count)).collect()
            }
        }
    }
}

fn count<T: Countable>(counts: &mut JavaMap<T, i64>, value: &T, times: i64) {
    let hash = value.java_hash();
    match counts.get_mut(hash, value) {
        Some(count) => *count += times,
        None => counts.insert(hash, value.clone(), times),
    }
}

/// The entries in the order in which the reference passes them on.
fn passed_on<T: Countable>(counts: &JavaMap<T, i64>) -> Vec<(&T, i64)> {
    let entries = counts.iter();
    let hashed = entries.map(|(_, value, count)| (value.scala_hash(), (value, *count)));
    in_scala_order(hashed.collect())
}

/// Feeds exact counts to a sketch.
fn feed<T: Countable>(sketch: &mut Items<T>, counts: &JavaMap<T, i64>) {
    for (value, count) in passed_on(counts) {
        sketch.update(value, count);
    }
}

/// Counts that several states may hold.
type Shared<T> = Rc<RefCell<Counts<T>>>;

fn shared<T>(counts: Counts<T>) -> Shared<T> {
    Rc::new(RefCell::new(counts))
}

/// Adds later counts. Two exact ones make a new map; exact ones end in the other's sketch.
fn merge<T: Countable>(state: &mut Shared<T>, later: &Shared<T>, k: usize) {
    if Rc::ptr_eq(state, later) {
        let apart = shared(later.borrow().clone());
        return merge(state, &apart, k);
    }
    let merged = match (&mut *state.borrow_mut(), &mut *later.borrow_mut()) {
        (Counts::Exact(counts), Counts::Exact(later)) => {
            let mut all = JavaMap::default();
            for (value, times) in passed_on(counts).into_iter().chain(passed_on(later)) {
                count(&mut all, value, times);
            }
            let mut all = Counts::Exact(all);
            all.overflow(k);
            Some(shared(all))
        }
        (Counts::Sketch(sketch), Counts::Sketch(later)) => {
            sketch.merge(later);
            None
        }
        (Counts::Sketch(sketch), Counts::Exact(later)) => {
            feed(sketch, later);
            None
        }
        (Counts::Exact(counts), Counts::Sketch(sketch)) => {
            feed(sketch, counts);
            Some(Rc::clone(later))
        }
    };
    if let Some(merged) = merged {
        *state = merged;
    }
}

struct Frequent<T> {
    values: Vec<T>,
    k: usize,
}

impl<T: Readable> Aggregator for Frequent<T> {
    type State = Shared<T>;
    type Output = Maps<Words, Numbers<Int64Type>>;

    fn work_order(&self) -> WorkOrder {
        WorkOrder::Questions
    }

    fn copy(&self, state: &Shared<T>) -> Shared<T> {
        shared(state.borrow().moved(JavaMap::copied))
    }

    fn ship(&self, state: &Shared<T>) -> Shared<T> {
        shared(state.borrow().moved(JavaMap::rewritten))
    }

    fn start(&self, element: usize) -> Shared<T> {
        let mut counts = Counts::Exact(JavaMap::default());
        counts.add(&self.values[element], self.k);
        shared(counts)
    }

    fn update(&self, state: &mut Shared<T>, element: usize) {
        state.borrow_mut().add(&self.values[element], self.k);
    }

    fn merge(&self, state: &mut Shared<T>, later: &Shared<T>) {
        merge(state, later, self.k);
    }

    fn store(&self, state: &Shared<T>) -> Stored {
        Stored::Bytes(state.borrow().to_bytes())
    }

    fn load(&self, stored: Placed<'_>) -> Option<Shared<T>> {
        T::counts(stored.frequent()?).cloned().map(shared)
    }

    fn output(&self, _direct: bool) -> Self::Output {
        Maps::new(Words(Vec::new()), Numbers::new(false))
    }

    fn finish(&self, state: &Shared<T>, output: &mut Self::Output) {
        output.append(|keys, counts| {
            for (key, count) in state.borrow().top(self.k) {
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
