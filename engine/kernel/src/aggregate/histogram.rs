//! HISTOGRAM: how often each string was seen, or only the k most frequent.
//!
//! With more than k the reference shows those that its hash map gives first among the ones whose count is not below
//! the k-th largest, so of ties at the boundary even a larger count may be left out; a limited histogram therefore
//! counts in a [`JavaMap`] and goes through every copy that the reference makes.

use std::cmp::Reverse;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_schema::DataType as ArrowType;
use unskewed_planner::aggregation::AggregatePart;

use super::bind::{Shape, type_error};
use super::dictionary::{Dictionary, NONE};
use super::fold::Visitor;
use super::java_map::JavaMap;
use super::output::{Maps, Numbers, Taken};
use super::saved::Placed;
use super::stored::{Stored, hash_of_text};
use super::{Aggregator, WorkOrder};
use crate::error::KernelError;

/// Picks the aggregator: with a limit or without.
pub(crate) fn bind<V: Visitor>(
    part: &AggregatePart,
    elements: &ArrayRef,
    shape: Shape<V>,
) -> Result<V::Answer, KernelError> {
    if *elements.data_type() != ArrowType::Utf8 {
        return Err(type_error(part, elements.data_type()));
    }
    let values = Dictionary::new(elements.as_string::<i32>());
    match part.arguments.k.unwrap_or(0) as usize {
        0 => shape.with(Histogram { values }),
        k => {
            let names = values.names.as_string::<i32>().iter();
            let hashes = names.map(|name| name.map_or(0, hash_of_text)).collect();
            shape.with(Limited { values, hashes, k })
        }
    }
}

/// How often a value was seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    id: u32,
    count: i32,
}

/// All values.
struct Histogram {
    values: Dictionary,
}

fn add(state: &mut Vec<Seen>, id: u32, count: i32) {
    match state.binary_search_by_key(&id, |entry| entry.id) {
        Ok(place) => {
            let entry = &mut state[place];
            entry.count = entry.count.wrapping_add(count);
            if entry.count == 0 {
                state.remove(place);
            }
        }
        Err(place) => state.insert(place, Seen { id, count }),
    }
}

/// Appends entries in the order of their strings.
fn append(entries: &[Seen], output: &mut Maps<Taken, Numbers<Int32Type>>) {
    output.append(|keys, counts| {
        for seen in entries {
            keys.append(seen.id);
            counts.append(seen.count);
        }
    });
}

fn store(values: &Dictionary, entries: impl Iterator<Item = Seen>) -> Stored {
    let names = values.names.as_string::<i32>();
    let entry = |seen: Seen| {
        let name = names.value(seen.id as usize).to_owned();
        (name, Stored::Whole(i64::from(seen.count)))
    };
    Stored::Map(entries.map(entry).collect())
}

/// A stored value's number and count.
fn load(values: &Dictionary, seen: Placed<'_>) -> Option<(u32, i32)> {
    let [element, count] = seen.fields()?;
    let id = *values.ids.get(element.element()? as usize)?;
    let count = i32::try_from(count.whole()?).ok()?;
    (id != NONE).then_some((id, count))
}

impl Aggregator for Histogram {
    /// Sorted by the number of the value.
    type State = Vec<Seen>;
    type Output = Maps<Taken, Numbers<Int32Type>>;
    const DELETES: bool = true;

    fn start(&self, element: usize) -> Vec<Seen> {
        let id = self.values.ids[element];
        vec![Seen { id, count: 1 }]
    }

    fn update(&self, state: &mut Vec<Seen>, element: usize) {
        add(state, self.values.ids[element], 1);
    }

    fn merge(&self, state: &mut Vec<Seen>, later: &Vec<Seen>) {
        for seen in later {
            add(state, seen.id, seen.count);
        }
    }

    fn start_deleted(&self, element: usize) -> Vec<Seen> {
        let id = self.values.ids[element];
        vec![Seen { id, count: -1 }]
    }

    fn delete(&self, state: &mut Vec<Seen>, element: usize) {
        add(state, self.values.ids[element], -1);
    }

    fn store(&self, state: &Vec<Seen>) -> Stored {
        store(&self.values, state.iter().copied())
    }

    fn load(&self, stored: Placed<'_>) -> Option<Vec<Seen>> {
        let mut state = Vec::new();
        for seen in stored.list()? {
            let (id, count) = load(&self.values, seen)?;
            add(&mut state, id, count);
        }
        Some(state)
    }

    fn output(&self, _direct: bool) -> Self::Output {
        Maps::new(Taken::new(&self.values.names, false), Numbers::new(false))
    }

    fn finish(&self, state: &Vec<Seen>, output: &mut Self::Output) {
        append(state, output);
    }
}

/// At most k values.
struct Limited {
    values: Dictionary,
    /// The `hashCode` of each value.
    hashes: Vec<i32>,
    k: usize,
}

impl Limited {
    fn add(&self, state: &mut JavaMap<u32, i32>, id: u32, count: i32) {
        let hash = self.hashes[id as usize];
        match state.get_mut(hash, &id) {
            None => state.insert(hash, id, count),
            Some(old) => {
                *old = old.wrapping_add(count);
                if *old == 0 {
                    state.remove(hash, &id);
                }
            }
        }
    }
}

fn seen((_, id, count): (i32, &u32, &i32)) -> Seen {
    Seen {
        id: *id,
        count: *count,
    }
}

impl Aggregator for Limited {
    type State = JavaMap<u32, i32>;
    type Output = Maps<Taken, Numbers<Int32Type>>;
    const DELETES: bool = true;

    fn work_order(&self) -> WorkOrder {
        WorkOrder::Questions
    }

    fn copy(&self, state: &JavaMap<u32, i32>) -> JavaMap<u32, i32> {
        state.copied()
    }

    fn ship(&self, state: &JavaMap<u32, i32>) -> JavaMap<u32, i32> {
        state.rewritten()
    }

    fn start(&self, element: usize) -> JavaMap<u32, i32> {
        let mut state = JavaMap::default();
        self.update(&mut state, element);
        state
    }

    fn update(&self, state: &mut JavaMap<u32, i32>, element: usize) {
        self.add(state, self.values.ids[element], 1);
    }

    fn merge(&self, state: &mut JavaMap<u32, i32>, later: &JavaMap<u32, i32>) {
        for (_, id, count) in later.iter() {
            self.add(state, *id, *count);
        }
    }

    fn start_deleted(&self, element: usize) -> JavaMap<u32, i32> {
        let mut state = JavaMap::default();
        self.delete(&mut state, element);
        state
    }

    fn delete(&self, state: &mut JavaMap<u32, i32>, element: usize) {
        self.add(state, self.values.ids[element], -1);
    }

    fn store(&self, state: &JavaMap<u32, i32>) -> Stored {
        let mut entries: Vec<Seen> = state.iter().map(seen).collect();
        entries.sort_unstable_by_key(|entry| entry.id);
        store(&self.values, entries.into_iter())
    }

    fn load(&self, stored: Placed<'_>) -> Option<JavaMap<u32, i32>> {
        let mut state = JavaMap::default();
        for seen in stored.list()? {
            let (id, count) = load(&self.values, seen)?;
            self.add(&mut state, id, count);
        }
        Some(state)
    }

    fn output(&self, _direct: bool) -> Self::Output {
        Maps::new(Taken::new(&self.values.names, false), Numbers::new(false))
    }

    fn finish(&self, state: &JavaMap<u32, i32>, output: &mut Self::Output) {
        let mut entries: Vec<Seen> = state.iter().map(seen).collect();
        if entries.len() > self.k {
            let mut counts: Vec<i32> = entries.iter().map(|entry| entry.count).collect();
            let (_, cut_off, _) = counts.select_nth_unstable_by_key(self.k - 1, |c| Reverse(*c));
            entries.retain(|entry| entry.count >= *cut_off);
            entries.truncate(self.k);
        }
        entries.sort_unstable_by_key(|entry| entry.id);
        append(&entries, output);
    }
}
