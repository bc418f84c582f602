//! Rows scattered to buckets by key, and one bucket brought into the order (key, time, position).
//!
//! Hot path: a scattered row costs one append; blocks keep appends from copying.

use crate::input::{Event, Query};

const BITS: u32 = 10;
/// How many buckets there are: a bucket of the large workload fits a second-level cache.
pub(super) const COUNT: usize = 1 << BITS;
const BLOCK_ROWS: usize = 512;

/// Rows of one reader by bucket, each bucket in the order of reading.
pub(super) struct Buckets<T> {
    blocks: Vec<Vec<Vec<T>>>,
}

fn mix(key: i64) -> u64 {
    let key = u64::from_ne_bytes(key.to_ne_bytes());
    let spread = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    spread ^ (spread >> 32)
}

fn bucket_of(key: i64) -> usize {
    usize::try_from(mix(key) >> (64 - BITS)).expect("ten bits")
}

impl<T> Buckets<T> {
    pub(super) fn new() -> Self {
        Buckets {
            blocks: (0..COUNT).map(|_| Vec::new()).collect(),
        }
    }

    pub(super) fn push(&mut self, key: i64, row: T) {
        let blocks = &mut self.blocks[bucket_of(key)];
        match blocks.last_mut() {
            Some(block) if block.len() < BLOCK_ROWS => block.push(row),
            _ => {
                let mut block = Vec::with_capacity(BLOCK_ROWS);
                block.push(row);
                blocks.push(block);
            }
        }
    }

    pub(super) fn len(&self, bucket: usize) -> usize {
        self.blocks[bucket].iter().map(Vec::len).sum()
    }

    pub(super) fn rows(&self, bucket: usize) -> impl Iterator<Item = &T> {
        self.blocks[bucket].iter().flatten()
    }
}

/// One bucket's events and queries by key, each key's in time order.
#[derive(Default)]
pub(super) struct Sorted {
    table: KeyTable,
    scattered: Vec<(u32, i64, f64)>,
    event_offsets: Vec<usize>,
    query_offsets: Vec<usize>,
    order: Vec<(i64, u32)>,
    times: Vec<i64>,
    amounts: Vec<f64>,
    asking: Vec<usize>,
}

impl Sorted {
    /// Replaces the content by a bucket's. Only keys that are asked for are kept.
    pub(super) fn fill<'a>(&mut self, events: impl Iterator<Item = &'a Event>, queries: &[Query]) {
        self.table.clear();
        let keys_of_queries: Vec<u32> = queries
            .iter()
            .map(|query| self.table.insert(query.user))
            .collect();
        let keys = self.table.len();

        self.scattered.clear();
        self.scattered.extend(events.filter_map(|event| {
            self.table
                .find(event.user)
                .map(|key| (key, event.ts, event.amount))
        }));
        count_offsets(
            keys,
            self.scattered.iter().map(|(key, ..)| *key),
            &mut self.event_offsets,
        );
        count_offsets(
            keys,
            keys_of_queries.iter().copied(),
            &mut self.query_offsets,
        );

        self.order.clear();
        self.order.resize(self.scattered.len(), (0, 0));
        let mut free = self.event_offsets.clone();
        for (index, (key, ts, _)) in (0_u32..).zip(&self.scattered) {
            let slot = &mut free[*key as usize];
            self.order[*slot] = (*ts, index);
            *slot += 1;
        }
        for key in 0..keys {
            self.order[self.event_offsets[key]..self.event_offsets[key + 1]].sort_unstable();
        }
        self.times.clear();
        self.times.extend(self.order.iter().map(|(ts, _)| *ts));
        self.amounts.clear();
        self.amounts.extend(
            self.order
                .iter()
                .map(|(_, index)| self.scattered[*index as usize].2),
        );

        self.asking.clear();
        self.asking.resize(queries.len(), 0);
        let mut free = self.query_offsets.clone();
        for (index, key) in keys_of_queries.iter().enumerate() {
            let slot = &mut free[*key as usize];
            self.asking[*slot] = index;
            *slot += 1;
        }
        for key in 0..keys {
            self.asking[self.query_offsets[key]..self.query_offsets[key + 1]]
                .sort_unstable_by_key(|index| queries[*index].ts);
        }
    }

    pub(super) fn keys(&self) -> usize {
        self.table.len()
    }

    /// Times and amounts of a key's events, and the ordinals of its queries, in time order.
    pub(super) fn key(&self, key: usize) -> (&[i64], &[f64], &[usize]) {
        let events = self.event_offsets[key]..self.event_offsets[key + 1];
        let queries = self.query_offsets[key]..self.query_offsets[key + 1];
        (
            &self.times[events.clone()],
            &self.amounts[events],
            &self.asking[queries],
        )
    }
}

fn count_offsets(keys: usize, of: impl Iterator<Item = u32>, offsets: &mut Vec<usize>) {
    offsets.clear();
    offsets.resize(keys + 1, 0);
    for key in of {
        offsets[key as usize + 1] += 1;
    }
    for key in 0..keys {
        offsets[key + 1] += offsets[key];
    }
}

/// Numbers keys in the order of their first sight: open addressing, at most half full.
#[derive(Default)]
struct KeyTable {
    slots: Vec<u32>,
    keys: Vec<i64>,
}

const FREE: u32 = u32::MAX;

impl KeyTable {
    fn clear(&mut self) {
        self.slots.fill(FREE);
        self.keys.clear();
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    /// The slot that holds the key, or the free one where it belongs.
    fn slot(&self, key: i64) -> usize {
        let mask = self.slots.len() - 1;
        // The top bits chose the bucket and are the same for all keys here.
        let mut slot = usize::try_from((mix(key) << BITS) >> 32).expect("32 bits") & mask;
        while self.slots[slot] != FREE && self.keys[self.slots[slot] as usize] != key {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn find(&self, key: i64) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        Some(self.slots[self.slot(key)]).filter(|number| *number != FREE)
    }

    fn insert(&mut self, key: i64) -> u32 {
        if self.keys.len() * 2 >= self.slots.len() {
            self.slots = vec![FREE; (self.slots.len() * 2).max(1024)];
            for (number, key) in (0_u32..).zip(&self.keys) {
                let slot = self.slot(*key);
                self.slots[slot] = number;
            }
        }
        let slot = self.slot(key);
        if self.slots[slot] == FREE {
            self.slots[slot] = u32::try_from(self.keys.len()).expect("fewer keys than 2^32");
            self.keys.push(key);
        }
        self.slots[slot]
    }
}
