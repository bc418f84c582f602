//! UNIQUE_COUNT, BOUNDED_UNIQUE_COUNT and HISTOGRAM.
//!
//! Values are numbered for the call, so a state is a sorted list of numbers. `0.0` and `-0.0` are two values and all
//! NaN are one, as Java's boxed doubles are. Every row of bytes is a value of its own: the reference compares arrays
//! by identity, and stored states show it.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType as ArrowType;
use md5::{Digest, Md5};
use unskewed_planner::aggregation::{AggregatePart, Operation};
use unskewed_planner::schema::DataType;

use super::bind::{Shape, type_error};
use super::dictionary::Dictionary;
use super::fold::Visitor;
use super::output::{Maps, Numbers, Output, Taken};
use super::stored::{COPY_BUCKETS, NEW_BUCKETS, Stored, hash_of_bits, hash_of_text, in_hash_order};
use super::{Aggregator, Elements, Windows};
use crate::error::KernelError;
use crate::hash::FixedMap;

/// Picks the aggregator of the unique counts.
pub(crate) fn bind_unique<V: Visitor>(
    part: &AggregatePart,
    elements: &ArrayRef,
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
    let mut examples = vec![0; ids.iter().max().map_or(0, |id| *id as usize + 1)];
    for (element, id) in ids.iter().enumerate().rev() {
        if let Some(example) = examples.get_mut(*id as usize) {
            *example = element as u32;
        }
    }
    shape.with(Unique {
        ids,
        bound,
        examples,
        elements: Arc::clone(elements),
        narrow: matches!(part.element_type, DataType::Int | DataType::Short),
        float: part.element_type == DataType::Float,
        digest: part.operation == Operation::BoundedUniqueCount,
    })
}

/// Picks the aggregator of HISTOGRAM.
pub(crate) fn bind_histogram<V: Visitor>(
    part: &AggregatePart,
    elements: &ArrayRef,
    copied: bool,
    shape: Shape<V>,
) -> Result<V::Answer, KernelError> {
    if *elements.data_type() != ArrowType::Utf8 {
        return Err(type_error(part, elements.data_type()));
    }
    shape.with(Histogram {
        values: Dictionary::new(elements.as_string::<i32>()),
        k: part.arguments.k.unwrap_or(0) as usize,
        least_buckets: if copied { COPY_BUCKETS } else { NEW_BUCKETS },
    })
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
        let mut ids = state.clone();
        ids.sort_unstable_by_key(|id| self.examples[*id as usize]);
        Stored::List(in_hash_order(
            ids.into_iter().map(|id| self.hashed(id)).collect(),
            NEW_BUCKETS,
        ))
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
        let mut counts = vec![0_u32; self.ids.iter().max().map_or(0, |id| *id as usize + 1)];
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

struct Histogram {
    values: Dictionary,
    /// How many entries are kept at the end; 0 for all.
    k: usize,
    /// The smallest table of the hash map by whose order ties are resolved.
    least_buckets: usize,
}

impl Histogram {
    /// The entries to show. With more than k, those that a Java hash map gives first among the ones whose count is not
    /// below the k-th largest, as the reference does; so of ties at the boundary even a larger count may be left out.
    /// Of one bucket, what appeared first comes first.
    fn kept(&self, state: &[Seen]) -> Vec<Seen> {
        if self.k == 0 || state.len() <= self.k {
            return state.to_vec();
        }
        let mut counts: Vec<i32> = state.iter().map(|entry| entry.count).collect();
        let (_, cut_off, _) = counts.select_nth_unstable_by_key(self.k - 1, |c| Reverse(*c));
        let names = self.values.names.as_string::<i32>();
        let mut hashed: Vec<(i32, Seen)> = state
            .iter()
            .map(|entry| (hash_of_text(names.value(entry.id as usize)), *entry))
            .collect();
        hashed.sort_unstable_by_key(|(_, entry)| entry.order);
        let mut kept = in_hash_order(hashed, self.least_buckets);
        kept.retain(|entry| entry.count >= *cut_off);
        kept.truncate(self.k);
        kept.sort_unstable_by_key(|entry| entry.id);
        kept
    }

    fn add(&self, state: &mut Vec<Seen>, id: u32, count: i32) {
        match state.binary_search_by_key(&id, |entry| entry.id) {
            Ok(place) => {
                let entry = &mut state[place];
                entry.count = entry.count.wrapping_add(count);
                if entry.count == 0 {
                    state.remove(place);
                }
            }
            Err(place) => {
                let order = match self.k {
                    0 => 0,
                    _ => state.iter().map(|entry| entry.order + 1).max().unwrap_or(0),
                };
                state.insert(place, Seen { id, count, order });
            }
        }
    }

    fn one(&self, element: usize, count: i32) -> Vec<Seen> {
        let id = self.values.ids[element];
        vec![Seen {
            id,
            count,
            order: 0,
        }]
    }
}

/// How often a value was seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    id: u32,
    count: i32,
    /// Its place in the order of appearance; only kept where entries are limited.
    order: u32,
}

impl Aggregator for Histogram {
    /// Sorted by the number of the value.
    type State = Vec<Seen>;
    type Output = Maps<Taken, Numbers<Int32Type>>;
    const DELETES: bool = true;

    fn start(&self, element: usize) -> Vec<Seen> {
        self.one(element, 1)
    }

    fn update(&self, state: &mut Vec<Seen>, element: usize) {
        self.add(state, self.values.ids[element], 1);
    }

    fn merge(&self, state: &mut Vec<Seen>, later: &Vec<Seen>) {
        if self.k == 0 {
            for seen in later {
                self.add(state, seen.id, seen.count);
            }
            return;
        }
        let mut later = later.clone();
        later.sort_unstable_by_key(|entry| entry.order);
        for seen in later {
            self.add(state, seen.id, seen.count);
        }
    }

    fn start_deleted(&self, element: usize) -> Vec<Seen> {
        self.one(element, -1)
    }

    fn delete(&self, state: &mut Vec<Seen>, element: usize) {
        self.add(state, self.values.ids[element], -1);
    }

    fn store(&self, state: &Vec<Seen>) -> Stored {
        let names = self.values.names.as_string::<i32>();
        let entry = |seen: &Seen| {
            let name = names.value(seen.id as usize).to_owned();
            (name, Stored::Whole(i64::from(seen.count)))
        };
        Stored::Map(state.iter().map(entry).collect())
    }

    fn output(&self, _direct: bool) -> Self::Output {
        Maps::new(Taken::new(&self.values.names, false), Numbers::new(false))
    }

    fn finish(&self, state: &Vec<Seen>, output: &mut Self::Output) {
        let kept = self.kept(state);
        output.append(|keys, counts| {
            for seen in &kept {
                keys.append(seen.id);
                counts.append(seen.count);
            }
        });
    }
}
