//! Sorted rows of many keys: a trie of keys over columns.
//!
//! Hot path. Rows are sorted by (key, ts, position, epoch); (key, ts, position) is a row's identity, its payload
//! follows from it and is never compared.

use std::cmp::Ordering;
use std::ops::Range;

use arrow_array::ArrayRef;

use crate::columns::Pieces;
use crate::exchange::Epoch;
use crate::rle::Rle;

/// Sorted rows of many keys.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The keys, ascending, each once.
    pub keys: Vec<u128>,
    /// Key `k` owns rows `offsets[k]..offsets[k + 1]`.
    pub offsets: Vec<u32>,
    /// Sort times.
    pub ts: Vec<i64>,
    /// Source positions.
    pub position: Vec<u64>,
    /// The payload.
    pub columns: Vec<ArrayRef>,
    /// Epochs of the changes.
    pub time: Rle<Epoch>,
    /// Differences.
    pub diff: Rle<i64>,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            offsets: vec![0],
            ts: Vec::new(),
            position: Vec::new(),
            columns: Vec::new(),
            time: Rle::Constant(0),
            diff: Rle::Constant(1),
        }
    }
}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ts.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.ts.is_empty()
    }

    /// The rows of a key.
    #[inline]
    pub fn range(&self, key: usize) -> Range<usize> {
        self.offsets[key] as usize..self.offsets[key + 1] as usize
    }

    /// The index of the key that owns a row.
    pub fn key_of_row(&self, row: usize) -> usize {
        self.offsets.partition_point(|&o| o as usize <= row) - 1
    }

    /// Memory of the rows, without what slices of the payload keep alive beside them.
    pub fn bytes(&self) -> usize {
        let slice = |c: &ArrayRef| c.to_data().get_slice_memory_size().unwrap_or(0);
        let payload: usize = self.columns.iter().map(slice).sum();
        self.keys.len() * 20 + self.len() * 16 + payload + self.time.bytes() + self.diff.bytes()
    }

    /// Time and position of a row: its identity within a key.
    #[inline]
    pub fn identity(&self, row: usize) -> (i64, u64) {
        (self.ts[row], self.position[row])
    }

    /// Order of two rows of one key, epochs included.
    #[inline]
    pub(super) fn compare(&self, row: usize, other: &Self, other_row: usize) -> Ordering {
        self.identity(row)
            .cmp(&other.identity(other_row))
            .then_with(|| self.time.get(row).cmp(&other.time.get(other_row)))
    }

    /// Consecutive rows; the payload is not copied.
    #[must_use]
    pub fn slice(&self, rows: Range<usize>) -> Self {
        if rows.is_empty() {
            return Self::default();
        }
        let (first, last) = (self.key_of_row(rows.start), self.key_of_row(rows.end - 1));
        let inner = self.offsets[first + 1..=last]
            .iter()
            .map(|&o| o - rows.start as u32);
        let offsets = std::iter::once(0)
            .chain(inner)
            .chain([rows.len() as u32])
            .collect();
        Self {
            keys: self.keys[first..=last].to_vec(),
            offsets,
            ts: self.ts[rows.clone()].to_vec(),
            position: self.position[rows.clone()].to_vec(),
            columns: self
                .columns
                .iter()
                .map(|c| c.slice(rows.start, rows.len()))
                .collect(),
            time: self.time.slice(rows.clone()),
            diff: self.diff.slice(rows),
        }
    }
}

/// Writes sorted rows from pieces of others: the columns are moved once, at the end.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    sources: Vec<&'a Rows>,
    rows: Rows,
    pieces: Pieces,
}

impl<'a> Writer<'a> {
    pub(super) fn new(sources: Vec<&'a Rows>) -> Self {
        Self {
            sources,
            rows: Rows::default(),
            pieces: Pieces::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Appends rows of one key of a source.
    pub(super) fn extend(&mut self, source: usize, key: u128, rows: Range<usize>) {
        if rows.is_empty() {
            return;
        }
        self.copy(source, rows);
        self.end_key(key);
    }

    /// Appends whole keys of a source.
    pub(super) fn extend_keys(&mut self, source: usize, keys: Range<usize>) {
        if keys.is_empty() {
            return;
        }
        let from = self.sources[source];
        if self.rows.keys.last() == Some(&from.keys[keys.start]) {
            self.extend(source, from.keys[keys.start], from.range(keys.start));
            return self.extend_keys(source, keys.start + 1..keys.end);
        }
        let rows = from.offsets[keys.start] as usize..from.offsets[keys.end] as usize;
        let (have, start) = (self.rows.len() as u32, rows.start as u32);
        self.copy(source, rows);
        self.rows.keys.extend_from_slice(&from.keys[keys.clone()]);
        let ends = &from.offsets[keys.start + 1..=keys.end];
        self.rows
            .offsets
            .extend(ends.iter().map(|&o| o - start + have));
    }

    /// Appends one row with an epoch and a difference of its own, summed into the last row if that is the same row of
    /// the same epoch.
    pub(super) fn push(&mut self, source: usize, key: u128, row: usize, time: Epoch, diff: i64) {
        let from = self.sources[source];
        let have = self.rows.len();
        let same = have > 0
            && self.rows.keys.last() == Some(&key)
            && self.rows.identity(have - 1) == from.identity(row)
            && self.rows.time.get(have - 1) == time;
        let diff = if same {
            self.rows.diff.get(have - 1) + diff
        } else {
            diff
        };
        if same {
            self.pop();
        }
        if diff == 0 {
            return;
        }
        let have = self.rows.len();
        self.rows.ts.push(from.ts[row]);
        self.rows.position.push(from.position[row]);
        self.rows.time.push(have, time);
        self.rows.diff.push(have, diff);
        self.pieces.push(source, row..row + 1);
        self.end_key(key);
    }

    fn copy(&mut self, source: usize, rows: Range<usize>) {
        let (from, have) = (self.sources[source], self.rows.len());
        self.rows.time.extend(have, &from.time, rows.clone());
        self.rows.diff.extend(have, &from.diff, rows.clone());
        self.rows.ts.extend_from_slice(&from.ts[rows.clone()]);
        self.rows
            .position
            .extend_from_slice(&from.position[rows.clone()]);
        self.pieces.push(source, rows);
    }

    fn end_key(&mut self, key: u128) {
        let end = self.rows.ts.len() as u32;
        if self.rows.keys.last() == Some(&key) {
            *self
                .rows
                .offsets
                .last_mut()
                .expect("offsets start with zero") = end;
        } else {
            self.rows.keys.push(key);
            self.rows.offsets.push(end);
        }
    }

    fn pop(&mut self) {
        let rows = &mut self.rows;
        rows.ts.pop();
        rows.position.pop();
        let left = rows.ts.len();
        rows.time.truncate(left);
        rows.diff.truncate(left);
        self.pieces.pop_row();
        let last = rows.keys.len() - 1;
        rows.offsets[last + 1] = left as u32;
        if rows.offsets[last] as usize == left {
            rows.keys.pop();
            rows.offsets.pop();
        }
    }

    /// The rows written so far; the writer starts afresh.
    pub(super) fn finish(&mut self) -> Rows {
        let mut rows = std::mem::take(&mut self.rows);
        let columns = self.sources.first().map_or(0, |s| s.columns.len());
        rows.columns = self
            .pieces
            .gather(
                columns,
                |s| self.sources[s].columns.as_slice(),
                self.sources.len(),
            )
            .expect("a chunk holds at most two gigabytes of one column");
        self.pieces.clear();
        rows
    }
}
