//! Walking the chunks of several batches key by key, in ascending order.
//!
//! Hot path. A walk only moves forward, and gallops: keys and chunks that are not asked for cost next to nothing.

use std::ops::Range;
use std::rc::Rc;

use crate::arrange::RowBatch;
use crate::arrange::chunk::gallop;
use crate::arrange::rows::Rows;

/// Rows of one key within one chunk.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) rows: Rc<Rows>,
    pub(super) range: Range<usize>,
}

/// A walk over batches.
#[derive(Default)]
pub(super) struct Walk<const TARGET: usize> {
    batches: Vec<Cursor<TARGET>>,
}

/// The next key of one batch.
struct Cursor<const TARGET: usize> {
    batch: RowBatch<TARGET>,
    chunk: usize,
    key: usize,
}

impl<const TARGET: usize> Walk<TARGET> {
    pub(super) fn new(batches: Vec<RowBatch<TARGET>>) -> Self {
        let cursor = |batch| Cursor {
            batch,
            chunk: 0,
            key: 0,
        };
        Self {
            batches: batches.into_iter().map(cursor).collect(),
        }
    }

    /// The least key that has not been passed.
    pub(super) fn peek(&self) -> Option<u128> {
        self.batches.iter().filter_map(Cursor::peek).min()
    }

    /// Passes all keys up to this one, and adds its slices, batch by batch, each batch's in order.
    pub(super) fn take(&mut self, key: u128, slices: &mut Vec<Slice>) {
        for cursor in &mut self.batches {
            cursor.take(key, slices);
        }
    }
}

impl<const TARGET: usize> Cursor<TARGET> {
    fn peek(&self) -> Option<u128> {
        self.batch
            .chunks
            .get(self.chunk)
            .map(|c| c.0.keys[self.key])
    }

    fn take(&mut self, key: u128, slices: &mut Vec<Slice>) {
        let ends_below = |chunk: usize| self.batch.chunks[chunk].0.keys.last() < Some(&key);
        let count = self.batch.chunks.len();
        if self.chunk < count && ends_below(self.chunk) {
            let (mut low, mut step) = (self.chunk + 1, 1);
            while low + step < count && ends_below(low + step) {
                low += step;
                step <<= 1;
            }
            let mut high = (low + step).min(count);
            while low < high {
                let middle = usize::midpoint(low, high);
                if ends_below(middle) {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            (self.chunk, self.key) = (low, 0);
        }
        while let Some(chunk) = self.batch.chunks.get(self.chunk) {
            let keys = &chunk.0.keys;
            if keys[self.key] < key {
                self.key = gallop(keys, self.key, &key);
            }
            if keys.get(self.key) == Some(&key) {
                let range = chunk.0.range(self.key);
                slices.push(Slice {
                    rows: Rc::clone(&chunk.0),
                    range,
                });
                self.key += 1;
            }
            if self.key < keys.len() {
                return;
            }
            (self.chunk, self.key) = (self.chunk + 1, 0);
        }
    }
}
