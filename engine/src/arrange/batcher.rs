//! Forming batches: rows are partitioned by key on arrival and sorted, part by part, when their epoch is complete.
//!
//! Hot path of a bulk load. Only packed (key, ts, index) words are sorted; each column is moved twice, once into
//! cache-sized parts and once into sorted chunks, and a part is freed as soon as it is sorted. Small epochs are sorted
//! as they came. Promises: chunks are sorted and consolidated whatever the times and positions are; where they do not
//! fit the packed word, a plain comparison sorts them.

use std::collections::BTreeMap;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_select::interleave::interleave;
use differential_dataflow::batcher::{Batcher, Extract};
use differential_dataflow::trace::chunk::ChunkBatch;
use timely::progress::Antichain;
use timely::progress::frontier::AntichainRef;

use super::chunk::RowChunk;
use super::rows::Rows;
use crate::columns::take_rows;
use crate::exchange::{Batch, Epoch};
use crate::meter::Meter;

mod sort;

use sort::{Place, sorted_places};

/// Rows are partitioned by this many top bits of their keys.
const PART_BITS: u32 = 8;
/// Rows that are partitioned at once; an epoch of fewer rows is not partitioned at all.
const STAGE_ROWS: usize = 1 << 17;

/// Collects rows by epoch, and makes sorted batches of those whose epoch is complete.
#[derive(Debug, Default)]
pub struct RadixBatcher<const TARGET: usize> {
    staged: BTreeMap<Epoch, Staged>,
    frontier: Antichain<Epoch>,
    meter: Option<Meter>,
}

impl<const TARGET: usize> RadixBatcher<TARGET> {
    /// A batcher whose work is counted.
    pub(crate) fn metered(meter: Meter) -> Self {
        Self {
            meter: Some(meter),
            ..Self::default()
        }
    }
}

fn timed<R>(meter: Option<&Meter>, work: impl FnOnce() -> R) -> R {
    match meter {
        Some(meter) => meter.time(work),
        None => work(),
    }
}

/// The rows of one epoch.
#[derive(Debug, Default)]
struct Staged {
    /// As they came.
    raw: Vec<Batch>,
    raw_rows: usize,
    /// Partitioned; empty, or one list for each part.
    parts: Vec<Vec<Batch>>,
}

impl Staged {
    fn add(&mut self, batch: Batch) {
        self.raw_rows += batch.len();
        self.raw.push(batch);
        if self.raw_rows >= STAGE_ROWS {
            self.partition();
        }
    }

    /// Moves the raw rows to their parts, each into memory of its own.
    fn partition(&mut self) {
        self.parts.resize_with(1 << PART_BITS, Vec::new);
        let raw = std::mem::take(&mut self.raw);
        let (columns, rows) = (raw[0].columns.len(), self.raw_rows);
        self.raw_rows = 0;
        let part_of = |key: u128| (key >> (128 - PART_BITS)) as usize;
        let mut places: Vec<Vec<(usize, usize)>> = Vec::new();
        places.resize_with(1 << PART_BITS, || {
            Vec::with_capacity((rows >> PART_BITS) * 5 / 4)
        });
        for (source, batch) in raw.iter().enumerate() {
            for (row, &key) in batch.key.iter().enumerate() {
                places[part_of(key)].push((source, row));
            }
        }
        let arrays: Vec<Vec<&dyn Array>> = (0..columns)
            .map(|c| raw.iter().map(|b| b.columns[c].as_ref()).collect())
            .collect();
        let (time, diff) = (
            common(&raw, |b| b.time.constant()),
            common(&raw, |b| b.diff.constant()),
        );
        for (part, places) in self.parts.iter_mut().zip(places) {
            if places.is_empty() {
                continue;
            }
            let each = || places.iter().map(|&(source, row)| (&raw[source], row));
            let mut batch = Batch {
                key: each().map(|(b, r)| b.key[r]).collect(),
                ts: each().map(|(b, r)| b.ts[r]).collect(),
                position: each().map(|(b, r)| b.position[r]).collect(),
                columns: gather(&arrays, &places),
                ..Batch::default()
            };
            for (length, (from, row)) in each().enumerate() {
                if time.is_some() && diff.is_some() {
                    break;
                }
                batch.time.push(length, from.time.get(row));
                batch.diff.push(length, from.diff.get(row));
            }
            if let (Some(time), Some(diff)) = (time, diff) {
                batch.time = crate::rle::Rle::Constant(time);
                batch.diff = crate::rle::Rle::Constant(diff);
            }
            part.push(batch);
        }
    }
}

/// What all batches have in common, if they do.
fn common<X: PartialEq>(batches: &[Batch], of: impl Fn(&Batch) -> Option<X>) -> Option<X> {
    let mut all = batches.iter().map(of);
    let first = all.next()??;
    all.all(|x| x.as_ref() == Some(&first)).then_some(first)
}

fn gather(arrays: &[Vec<&dyn Array>], places: &[(usize, usize)]) -> Vec<ArrayRef> {
    let column = |a: &Vec<&dyn Array>| {
        interleave(a, places).expect("a chunk holds at most two gigabytes of one column")
    };
    arrays.iter().map(column).collect()
}

impl<const TARGET: usize> Batcher<Batch> for RadixBatcher<TARGET> {
    fn insert(&mut self, container: &mut Batch) {
        let batch = std::mem::take(container);
        if batch.is_empty() {
            return;
        }
        if let Some(time) = batch.time.constant() {
            let staged = self.staged.entry(time).or_default();
            timed(self.meter.as_ref(), || staged.add(batch));
            return;
        }
        let mut by_time: BTreeMap<Epoch, Vec<u32>> = BTreeMap::new();
        for row in 0..batch.len() {
            by_time
                .entry(batch.time.get(row))
                .or_default()
                .push(row as u32);
        }
        for (time, rows) in by_time {
            let mut part = batch.take(rows);
            part.time = crate::rle::Rle::Constant(time);
            self.staged.entry(time).or_default().add(part);
        }
    }
}

impl<const TARGET: usize> Extract for RadixBatcher<TARGET> {
    type Time = Epoch;
    type Output = ChunkBatch<RowChunk<TARGET>>;

    fn extract<'a>(
        &'a mut self,
        upper: AntichainRef<'_, Epoch>,
    ) -> (Option<Self::Output>, AntichainRef<'a, Epoch>) {
        let later = match upper.iter().next() {
            Some(bound) => self.staged.split_off(bound),
            None => BTreeMap::new(),
        };
        let ready = std::mem::replace(&mut self.staged, later);
        self.frontier.clear();
        self.frontier.extend(self.staged.keys().next().copied());
        let ready = ready.into_values().collect();
        let chunks = timed(self.meter.as_ref(), || sorted_chunks(ready));
        (
            (!chunks.is_empty()).then(|| ChunkBatch::new(chunks)),
            self.frontier.borrow(),
        )
    }
}

/// All rows of these epochs as sorted chunks.
fn sorted_chunks<const TARGET: usize>(mut ready: Vec<Staged>) -> Vec<RowChunk<TARGET>> {
    let mut writer = ChunkWriter::default();
    if ready.iter().all(|s| s.parts.is_empty()) {
        let raw = ready
            .iter_mut()
            .flat_map(|s| std::mem::take(&mut s.raw))
            .collect();
        writer.add(raw, 0);
        return writer.finish();
    }
    for staged in &mut ready {
        if !staged.raw.is_empty() {
            staged.partition();
        }
    }
    for part in 0..1 << PART_BITS {
        let of_part = |s: &mut Staged| s.parts.get_mut(part).map(std::mem::take);
        let pieces: Vec<Batch> = ready.iter_mut().filter_map(of_part).flatten().collect();
        writer.add(pieces, PART_BITS);
    }
    writer.finish()
}

/// Writes sorted chunks of about `TARGET` rows out of parts that come in key order.
#[derive(Debug)]
struct ChunkWriter<const TARGET: usize> {
    chunks: Vec<RowChunk<TARGET>>,
    /// What the rows being written are taken from.
    sources: Vec<Batch>,
    places: Vec<(usize, usize)>,
    rows: Rows,
}

impl<const TARGET: usize> Default for ChunkWriter<TARGET> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            sources: Vec::new(),
            places: Vec::new(),
            rows: Rows::default(),
        }
    }
}

impl<const TARGET: usize> ChunkWriter<TARGET> {
    /// Sorts rows whose keys share their top `shared_bits`, and writes them.
    fn add(&mut self, pieces: Vec<Batch>, shared_bits: u32) {
        let places = sorted_places(&pieces, shared_bits);
        let base = self.sources.len();
        self.sources.extend(pieces);
        let mut start = 0;
        while start < places.len() {
            let room = TARGET.max(1) - self.rows.len();
            let end = (start + room).min(places.len());
            self.write(base, &places[start..end]);
            start = end;
            if self.rows.len() >= TARGET {
                self.flush();
            }
        }
        // The sources stay in memory until their chunk is full, which a few parts do.
        if self.rows.len() >= TARGET - TARGET / 4 {
            self.flush();
            self.sources.clear();
        }
    }

    fn write(&mut self, base: usize, places: &[Place]) {
        let rows = &mut self.rows;
        for place in places {
            let (source, row) = (base + place.piece as usize, place.row as usize);
            let from = &self.sources[source];
            let have = rows.ts.len();
            rows.ts.push(from.ts[row]);
            rows.position.push(from.position[row]);
            rows.time.push(have, from.time.get(row));
            rows.diff.push(have, place.diff);
            let key = from.key[row];
            if rows.keys.last() != Some(&key) {
                rows.keys.push(key);
                rows.offsets.push(have as u32 + 1);
            } else if let Some(end) = rows.offsets.last_mut() {
                *end = have as u32 + 1;
            }
            self.places.push((source, row));
        }
    }

    fn flush(&mut self) {
        if self.rows.is_empty() {
            return;
        }
        let mut rows = std::mem::take(&mut self.rows);
        let columns = self.sources[0].columns.len();
        rows.columns = match single_source(&self.places) {
            Some(source) => {
                let indices = self.places.iter().map(|&(_, row)| row as u32);
                take_rows(
                    &self.sources[source].columns,
                    &UInt32Array::from_iter_values(indices),
                )
                .expect("a chunk holds at most two gigabytes of one column")
            }
            None => {
                let arrays: Vec<Vec<&dyn Array>> = (0..columns)
                    .map(|c| self.sources.iter().map(|b| b.columns[c].as_ref()).collect())
                    .collect();
                gather(&arrays, &self.places)
            }
        };
        self.places.clear();
        rows.keys.shrink_to_fit();
        rows.offsets.shrink_to_fit();
        rows.ts.shrink_to_fit();
        rows.position.shrink_to_fit();
        self.chunks.push(RowChunk::new(rows));
    }

    fn finish(mut self) -> Vec<RowChunk<TARGET>> {
        self.flush();
        self.chunks
    }
}

/// The source of all places, if it is one.
fn single_source(places: &[(usize, usize)]) -> Option<usize> {
    let (first, _) = *places.first()?;
    places
        .iter()
        .all(|&(source, _)| source == first)
        .then_some(first)
}

#[cfg(test)]
mod tests;
