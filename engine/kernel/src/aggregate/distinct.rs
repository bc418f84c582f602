//! UNIQUE_COUNT and BOUNDED_UNIQUE_COUNT.
//!
//! Values are numbered for the call, so a state is a sorted list of numbers. `0.0` and `-0.0` are two values and all
//! NaN are one, as Java's boxed doubles are. Every row of bytes is a value of its own: the reference compares arrays
//! by identity, and stored states show it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::DataType as ArrowType;
use md5::{Digest, Md5};
use unskewed_planner::aggregation::{AggregatePart, Operation};
use unskewed_planner::schema::DataType;

use super::bind::{Shape, type_error};
use super::dictionary::{Dictionary, NONE};
use super::fold::Visitor;
use super::java_map::JavaMap;
use super::output::{Numbers, Output};
use super::saved::Placed;
use super::stored::{Stored, hash_of_bits, hash_of_text};
use super::{Aggregator, Elements, Windows, WorkOrder};
use crate::error::KernelError;
use crate::hash::FixedMap;

/// What the reference stores instead of a set of strings that reached its bound.
const SENTINEL: &str = "__SENTINEL__";

/// The largest bound that a stored sentinel is believed to have reached.
const BOUND_READ_MAX: usize = 1 << 20;

/// Picks the aggregator of the unique counts.
pub(crate) fn bind_unique<V: Visitor>(
    part: &AggregatePart,
    elements: &ArrayRef,
    stored: bool,
    shape: Shape<V>,
) -> Result<V::Answer, KernelError> {
    let bound = match part.operation {
        Operation::BoundedUniqueCount => part.arguments.k.unwrap_or(8) as usize,
        _ => usize::MAX,
    };
    let ids = match elements.data_type() {
        ArrowType::Int64 => {
            let values = elements.as_primitive::<Int64Type>().values();
            number(values.iter().map(|v| v.cast_unsigned()))
        }
        ArrowType::Float64 => {
            let values = elements.as_primitive::<Float64Type>().values();
            number(values.iter().map(|v| {
                if v.is_nan() {
                    f64::NAN.to_bits()
                } else {
                    v.to_bits()
                }
            }))
        }
        ArrowType::Utf8 => Dictionary::new(elements.as_string::<i32>()).ids,
        ArrowType::Binary => (0..elements.len() as u32).collect(),
        other => return Err(type_error(part, other)),
    };
    // A null's number is beyond all others.
    let largest = ids.iter().filter(|id| **id != NONE).max();
    let mut examples = vec![0; largest.map_or(0, |id| *id as usize + 1)];
    for (element, id) in ids.iter().enumerate().rev() {
        if let Some(example) = examples.get_mut(*id as usize) {
            *example = element as u32;
        }
    }
    let unique = Unique {
        ids,
        bound,
        examples,
        elements: Arc::clone(elements),
        narrow: matches!(part.element_type, DataType::Int | DataType::Short),
        float: part.element_type == DataType::Float,
        digest: part.operation == Operation::BoundedUniqueCount,
    };
    if stored {
        shape.with(Gathered(unique))
    } else {
        shape.with(unique)
    }
}

/// Numbers values in order of appearance.
fn number(values: impl Iterator<Item = u64>) -> Vec<u32> {
    let mut seen: FixedMap<u64, u32> = FixedMap::new();
    values
        .map(|value| {
            let next = seen.len() as u32;
            *seen.get_or_insert_with(value, || next)
        })
        .collect()
}

struct Unique {
    /// Per element the number of its value.
    ids: Vec<u32>,
    /// The count stays at this value once it is reached.
    bound: usize,
    /// Per number an element of this value, the first.
    examples: Vec<u32>,
    /// The values.
    elements: ArrayRef,
    /// Whether values are boxed as `Integer` or `Short`.
    narrow: bool,
    /// Whether values are boxed as `Float`.
    float: bool,
    /// Whether strings are stored by their digest.
    digest: bool,
}

impl Unique {
    /// A value with the hash code that Java gives it.
    fn hashed(&self, id: u32) -> (i32, Stored) {
        let element = self.examples[id as usize];
        let at = element as usize;
        match self.elements.data_type() {
            ArrowType::Int64 => {
                let value = self.elements.as_primitive::<Int64Type>().value(at);
                let hash = if self.narrow {
                    value as i32
                } else {
                    hash_of_bits(value.cast_unsigned())
                };
                (hash, Stored::Whole(value))
            }
            ArrowType::Float64 => {
                let value = self.elements.as_primitive::<Float64Type>().value(at);
                let hash = if self.float {
                    (value as f32).to_bits().cast_signed()
                } else {
                    hash_of_bits(value.to_bits())
                };
                (hash, Stored::Floating(value))
            }
            ArrowType::Utf8 => {
                let value = self.elements.as_string::<i32>().value(at);
                if self.digest {
                    let digest = digest_of_java_string(value);
                    return (hash_of_text(&digest), Stored::Text(digest));
                }
                (hash_of_text(value), Stored::Element(element))
            }
            _ => (0, Stored::Element(element)),
        }
    }

    /// Whether a stored string says that the bound was reached.
    fn is_sentinel(&self, element: u32) -> bool {
        let strings = self.elements.as_string_opt::<i32>();
        strings.is_some_and(|strings| strings.value(element as usize) == SENTINEL)
    }

    fn insert(&self, state: &mut Vec<u32>, id: u32) {
        if state.len() < self.bound
            && let Err(place) = state.binary_search(&id)
        {
            state.insert(place, id);
        }
    }
}

impl Aggregator for Unique {
    /// Sorted numbers of the distinct values, at most `bound` of them.
    type State = Vec<u32>;
    type Output = Numbers<Int64Type>;

    fn start(&self, element: usize) -> Vec<u32> {
        vec![self.ids[element]]
    }

    fn update(&self, state: &mut Vec<u32>, element: usize) {
        self.insert(state, self.ids[element]);
    }

    fn merge(&self, state: &mut Vec<u32>, later: &Vec<u32>) {
        if later.len() < 8 || state.len() >= self.bound {
            later.iter().for_each(|id| self.insert(state, *id));
            return;
        }
        state.extend_from_slice(later);
        state.sort_unstable();
        state.dedup();
        state.truncate(self.bound);
    }

    fn store(&self, state: &Vec<u32>) -> Stored {
        let values = state.iter();
        Stored::List(values.map(|id| self.hashed(*id).1).collect())
    }

    fn load(&self, stored: Placed<'_>) -> Option<Vec<u32>> {
        let elements = stored.elements()?;
        if let ([only], true) = (elements.as_slice(), self.digest)
            && self.is_sentinel(*only)
        {
            return (self.bound <= BOUND_READ_MAX).then(|| (0..self.bound as u32).collect());
        }
        let ids = elements.iter().map(|element| self.ids[*element as usize]);
        let mut state: Vec<u32> = ids.collect();
        state.sort_unstable();
        state.dedup();
        state.truncate(self.bound);
        Some(state)
    }

    fn output(&self, direct: bool) -> Self::Output {
        Numbers::new(direct)
    }

    fn finish(&self, state: &Vec<u32>, output: &mut Self::Output) {
        output.append(state.len() as i64);
    }

    /// Windows slide forward over a key's rows, so each row enters and leaves a window once.
    fn by_ranges(&self, elements: Elements<'_>, windows: Windows<'_>) -> Option<Vec<Self::Output>> {
        let Windows { timeline, windows } = windows;
        let mut counts = vec![0_u32; self.examples.len()];
        let mut outputs = Vec::with_capacity(windows.len());
        for window in windows {
            let mut output = self.output(true);
            let (mut from, mut to, mut distinct) = (0, 0, 0_usize);
            for slot in 0..timeline.slot_count() {
                let first = timeline.first_row(*window, slot);
                for query in timeline.queries_of_slot(slot) {
                    let end = timeline.end_row(query);
                    let first = first.min(end);
                    for row in (from..first.min(to)).filter(|row| elements.has(*row)) {
                        let count = &mut counts[self.ids[row] as usize];
                        *count -= 1;
                        distinct -= usize::from(*count == 0);
                    }
                    for row in (to.max(first)..end).filter(|row| elements.has(*row)) {
                        let count = &mut counts[self.ids[row] as usize];
                        distinct += usize::from(*count == 0);
                        *count += 1;
                    }
                    (from, to) = (first, end);
                    if distinct == 0 {
                        output.append_null();
                    } else {
                        output.append(distinct.min(self.bound) as i64);
                    }
                }
            }
            for row in (from..to).filter(|row| elements.has(*row)) {
                counts[self.ids[row] as usize] = 0;
            }
            outputs.push(output);
        }
        Some(outputs)
    }
}

/// The strings as bounded sets store them.
pub(crate) fn digests(strings: &ArrayRef) -> ArrayRef {
    let strings = strings.as_string::<i32>().iter();
    let digests = strings.map(|string| string.map(digest_of_java_string));
    Arc::new(StringArray::from_iter(digests))
}

/// MD5, in hexadecimal, of a string as Java serialises it: what bounded sets of strings are stored by.
fn digest_of_java_string(text: &str) -> String {
    let mut utf8 = Vec::new();
    for unit in text.encode_utf16() {
        match unit {
            1..=0x7f => utf8.push(unit as u8),
            0 | 0x80..=0x7ff => {
                utf8.extend([0xc0 | (unit >> 6) as u8, 0x80 | (unit & 0x3f) as u8]);
            }
            _ => utf8.extend([
                0xe0 | (unit >> 12) as u8,
                0x80 | ((unit >> 6) & 0x3f) as u8,
                0x80 | (unit & 0x3f) as u8,
            ]),
        }
    }
    let mut digest = Md5::new();
    digest.update([0xac, 0xed, 0x00, 0x05]);
    match u16::try_from(utf8.len()) {
        Ok(length) => {
            digest.update([0x74]);
            digest.update(length.to_be_bytes());
        }
        Err(_) => {
            digest.update([0x7c]);
            digest.update((utf8.len() as u64).to_be_bytes());
        }
    }
    digest.update(&utf8);
    let hex = |byte: u8| format!("{byte:02x}");
    digest.finalize().into_iter().map(hex).collect()
}

/// The same values in a Java hash set, in whose order they are stored.
struct Gathered(Unique);

impl Aggregator for Gathered {
    type State = JavaMap<u32, ()>;
    type Output = Numbers<Int64Type>;

    fn work_order(&self) -> WorkOrder {
        WorkOrder::Rows
    }

    fn copy(&self, state: &JavaMap<u32, ()>) -> JavaMap<u32, ()> {
        // An empty set that is filled from another, not one that is made for its size.
        state.rewritten()
    }

    fn start(&self, element: usize) -> JavaMap<u32, ()> {
        let mut state = JavaMap::default();
        self.update(&mut state, element);
        state
    }

    fn update(&self, state: &mut JavaMap<u32, ()>, element: usize) {
        let id = self.0.ids[element];
        let hash = self.0.hashed(id).0;
        if state.len() < self.0.bound && state.get_mut(hash, &id).is_none() {
            state.insert(hash, id, ());
        }
    }

    fn merge(&self, state: &mut JavaMap<u32, ()>, later: &JavaMap<u32, ()>) {
        for (hash, id, ()) in later.iter() {
            if state.len() < self.0.bound && state.get_mut(hash, id).is_none() {
                state.insert(hash, *id, ());
            }
        }
    }

    fn store(&self, state: &JavaMap<u32, ()>) -> Stored {
        let values = state.iter();
        Stored::List(values.map(|(_, id, ())| self.0.hashed(*id).1).collect())
    }

    fn load(&self, stored: Placed<'_>) -> Option<JavaMap<u32, ()>> {
        let mut state = JavaMap::default();
        for element in stored.elements()? {
            self.update(&mut state, element as usize);
        }
        Some(state)
    }

    fn output(&self, direct: bool) -> Self::Output {
        self.0.output(direct)
    }

    fn finish(&self, state: &JavaMap<u32, ()>, output: &mut Self::Output) {
        output.append(state.len() as i64);
    }
}
