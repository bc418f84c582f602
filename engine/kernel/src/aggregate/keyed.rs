//! A state per bucket or per map key: the finished value is a map.
//!
//! A bucket exists once a value fell into it; a map that is there but empty gives an empty map. Entries are in the
//! order of their keys, and floats in them stay as they are, NaN too.

use std::cmp::Ordering;

use arrow_array::cast::AsArray;
use arrow_buffer::{NullBuffer, OffsetBuffer};

use super::dictionary::{Dictionary, NONE};
use super::fold::{Fold, Items, add, take_back};
use super::output::{Maps, Taken};
use super::saved::Placed;
use super::stored::Stored;
use super::{Aggregator, WorkOrder};

/// The fold.
#[derive(Debug)]
pub(crate) struct Keyed<A> {
    pub(crate) aggregator: A,
    pub(crate) entries: Entries,
    pub(crate) keys: Dictionary,
}

/// How a row becomes keys and elements.
#[derive(Debug)]
pub(crate) enum Entries {
    /// One key per row, the bucket; the row itself is the element, where it is not null.
    Bucket(Option<NullBuffer>),
    /// One key per row, the bucket; the items of its list are the elements.
    BucketOfItems(Items),
    /// The entries of a map.
    Map {
        /// Entry ranges.
        offsets: OffsetBuffer<i32>,
        /// Rows that hold a map.
        maps: Option<NullBuffer>,
        /// Entries that hold a value.
        values: Option<NullBuffer>,
    },
}

fn holds(nulls: Option<&NullBuffer>, at: usize) -> bool {
    nulls.is_none_or(|nulls| nulls.is_valid(at))
}

impl<A: Aggregator> Keyed<A> {
    /// Calls `each` for every key and element of a row.
    #[inline]
    fn each(&self, row: usize, mut each: impl FnMut(u32, usize)) {
        match &self.entries {
            Entries::Bucket(values) => {
                let key = self.keys.ids[row];
                if key != NONE && holds(values.as_ref(), row) {
                    each(key, row);
                }
            }
            Entries::BucketOfItems(items) => {
                let key = self.keys.ids[row];
                if key != NONE {
                    items.of(row).for_each(|item| each(key, item));
                }
            }
            Entries::Map {
                offsets, values, ..
            } => {
                if self.is_map(row) {
                    for entry in offsets[row] as usize..offsets[row + 1] as usize {
                        if holds(values.as_ref(), entry) {
                            each(self.keys.ids[entry], entry);
                        }
                    }
                }
            }
        }
    }

    /// Whether the row holds a map, which alone makes the result one.
    fn is_map(&self, row: usize) -> bool {
        match &self.entries {
            Entries::Map { maps, .. } => holds(maps.as_ref(), row),
            _ => false,
        }
    }

    fn apply(
        &self,
        state: &mut Option<Vec<(u32, A::State)>>,
        row: usize,
        change: impl Fn(&A, &mut Option<A::State>, usize),
    ) {
        if self.is_map(row) && state.is_none() {
            *state = Some(Vec::new());
        }
        self.each(row, |key, element| {
            let states = state.get_or_insert_default();
            let place = states.partition_point(|(k, _)| *k < key);
            let old = match states.get(place) {
                Some((k, _)) if *k == key => Some(states.remove(place).1),
                _ => None,
            };
            let mut new = old;
            change(&self.aggregator, &mut new, element);
            if let Some(new) = new {
                states.insert(place, (key, new));
            }
        });
    }
}

impl<A: Aggregator> Fold for Keyed<A> {
    /// Sorted by key.
    type State = Vec<(u32, A::State)>;
    type Output = Maps<Taken, A::Output>;
    const FROM_ROWS: bool = A::FROM_ROWS;

    fn work_order(&self) -> WorkOrder {
        self.aggregator.work_order()
    }

    fn copy(&self, state: &Self::State) -> Self::State {
        let copy = |(key, state): &(u32, A::State)| (*key, self.aggregator.copy(state));
        state.iter().map(copy).collect()
    }

    fn ship(&self, state: &Self::State) -> Self::State {
        let ship = |(key, state): &(u32, A::State)| (*key, self.aggregator.ship(state));
        state.iter().map(ship).collect()
    }

    fn update(&self, state: &mut Option<Self::State>, row: usize) {
        self.apply(state, row, add);
    }

    fn delete(&self, state: &mut Option<Self::State>, row: usize) {
        if A::DELETES {
            self.apply(state, row, take_back);
        }
    }

    fn merge(&self, state: &mut Self::State, later: &Self::State) {
        let mut merged = Vec::with_capacity(state.len().max(later.len()));
        let mut old = std::mem::take(state).into_iter().peekable();
        let mut new = later.iter().peekable();
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some(a), Some(b)) => a.0.cmp(&b.0),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            let kept = if order.is_le() { old.next() } else { None };
            let added = if order.is_ge() { new.next() } else { None };
            match (kept, added) {
                (Some((key, mut state)), Some((_, later))) => {
                    self.aggregator.merge(&mut state, later);
                    merged.push((key, state));
                }
                (Some(entry), None) => merged.push(entry),
                (None, added) => {
                    merged.extend(added.map(|(key, later)| (*key, self.aggregator.copy(later))));
                }
            }
        }
        *state = merged;
    }

    fn output(&self) -> Self::Output {
        let keys = Taken::new(&self.keys.names, false);
        Maps::new(keys, self.aggregator.output(false))
    }

    fn finish(&self, state: &Self::State, output: &mut Self::Output) {
        output.append(|keys, values| {
            for (key, state) in state {
                keys.append(*key);
                self.aggregator.finish(state, values);
            }
        });
    }

    fn store(&self, state: &Self::State) -> Stored {
        let name = |key: u32| {
            self.keys
                .names
                .as_string::<i32>()
                .value(key as usize)
                .to_owned()
        };
        let entries = state.iter();
        Stored::Map(
            entries
                .map(|(key, state)| (name(*key), self.aggregator.store(state)))
                .collect(),
        )
    }

    fn load(&self, stored: Placed<'_>) -> Option<Self::State> {
        let entry = |(row, state): (u32, Placed<'_>)| {
            // Rows that lend have one entry each, so a map's entries are numbered as its rows are.
            let key = *self.keys.ids.get(row as usize)?;
            (key != NONE).then_some((key, self.aggregator.load(state)?))
        };
        let mut states: Self::State = stored.keyed()?.map(entry).collect::<Option<_>>()?;
        states.sort_by_key(|(key, _)| *key);
        let twice = states.windows(2).any(|pair| pair[0].0 == pair[1].0);
        (!twice).then_some(states)
    }
}
