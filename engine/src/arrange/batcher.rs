//! Forming batches: rows are partitioned by key on arrival and sorted, part by part, when their epoch is complete.
//!
//! Hot path of a bulk load. Only packed (key, ts, index) words are sorted; each column is moved twice, once into
//! cache-sized parts and once into sorted chunks. Neighbouring parts lie together on shelves, which are few enough that
//! an array each costs little, and many enough that freeing one after the other keeps memory low. Small epochs are
//! sorted as they came. Promises: chunks are sorted and consolidated whatever the times and
//! positions are; where they do not fit the packed word, a plain comparison sorts them.

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
use crate::rle::Rle;

mod sort;

use sort::{Place, sorted_places};

/// Rows are partitioned by this many top bits of their keys.
const PART_BITS: u32 = 8;
/// The parts of a shelf share this many top bits.
const SHELF_BITS: u32 = 4;
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
    /// Partitioned; empty, or one list for each shelf.
    shelves: Vec<Vec<Shelf>>,
}

/// Rows, those of each part together, part after part.
#[derive(Debug)]
struct Shelf {
    rows: Batch,
    /// Part `p` owns rows `starts[p]..starts[p + 1]`.
    starts: Vec<usize>,
}

impl Shelf {
    /// All rows as one part.
    fn whole(rows: Batch) -> Self {
        let starts = vec![0, rows.len()];
        Self { rows, starts }
    }
}

impl Staged {
    fn add(&mut self, batch: Batch) {
        self.raw_rows += batch.len();
        self.raw.push(batch);
        if self.raw_rows >= STAGE_ROWS {
            self.partition();
        }
    }

    /// Moves the raw rows to the shelves of their parts.
    fn partition(&mut self) {
        let raw = std::mem::take(&mut self.raw);
        self.raw_rows = 0;
        let by_part = ByPart::of(&raw);
        let columns = raw[0].columns.len();
        let arrays: Vec<Vec<&dyn Array>> = (0..columns)
            .map(|c| raw.iter().map(|b| b.columns[c].as_ref()).collect())
            .collect();
        let constant = common(&raw, |b| b.time.constant()).zip(common(&raw, |b| b.diff.constant()));
        let parts = 1 << (PART_BITS - SHELF_BITS);
        self.shelves.resize_with(1 << SHELF_BITS, Vec::new);
        for (shelf, shelves) in self.shelves.iter_mut().enumerate() {
            let starts = &by_part.starts[shelf * parts..=(shelf + 1) * parts];
            let range = starts[0]..starts[parts];
            if range.is_empty() {
                continue;
            }
            let places = &by_part.places[range.clone()];
            let mut rows = Batch {
                key: by_part.key[range.clone()].to_vec(),
                ts: by_part.ts[range.clone()].to_vec(),
                position: by_part.position[range].to_vec(),
                columns: gather(&arrays, places),
                ..Batch::default()
            };
            if let Some((time, diff)) = constant {
                (rows.time, rows.diff) = (Rle::Constant(time), Rle::Constant(diff));
            } else {
                for (length, &(source, row)) in places.iter().enumerate() {
                    rows.time.push(length, raw[source].time.get(row));
                    rows.diff.push(length, raw[source].diff.get(row));
                }
            }
            let starts = starts.iter().map(|start| start - starts[0]).collect();
            shelves.push(Shelf { rows, starts });
        }
    }
}

/// What a row is sorted by, those of each part together, and where the rest of it lies: its batch and row there.
struct ByPart {
    starts: Vec<usize>,
    key: Vec<u128>,
    ts: Vec<i64>,
    position: Vec<u64>,
    places: Vec<(usize, usize)>,
}

impl ByPart {
    fn of(batches: &[Batch]) -> Self {
        let part_of = |key: u128| (key >> (128 - PART_BITS)) as usize;
        let mut starts = vec![0; (1 << PART_BITS) + 1];
        for key in batches.iter().flat_map(|b| &b.key) {
            starts[part_of(*key) + 1] += 1;
        }
        for part in 0..1 << PART_BITS {
            starts[part + 1] += starts[part];
        }
        let (mut free, rows) = (starts.clone(), starts[1 << PART_BITS]);
        let mut all = Self {
            starts,
            key: vec![0; rows],
            ts: vec![0; rows],
            position: vec![0; rows],
            places: vec![(0, 0); rows],
        };
        for (source, batch) in batches.iter().enumerate() {
            let sorted_by = batch.key.iter().zip(&batch.ts).zip(&batch.position);
            for (row, ((&key, &ts), &position)) in sorted_by.enumerate() {
                let place = &mut free[part_of(key)];
                all.key[*place] = key;
                all.ts[*place] = ts;
                all.position[*place] = position;
                all.places[*place] = (source, row);
                *place += 1;
            }
        }
        all
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
            part.time = Rle::Constant(time);
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
    if ready.iter().all(|s| s.shelves.is_empty()) {
        let raw = ready.into_iter().flat_map(|s| s.raw);
        writer.add(raw.map(Shelf::whole).collect(), 0);
        return writer.finish();
    }
    for staged in &mut ready {
        if !staged.raw.is_empty() {
            staged.partition();
        }
    }
    for number in 0..1 << SHELF_BITS {
        let of_number = |s: &mut Staged| s.shelves.get_mut(number).map(std::mem::take);
        let shelves = ready.iter_mut().filter_map(of_number).flatten();
        writer.add(shelves.collect(), PART_BITS);
    }
    writer.finish()
}

/// Writes sorted chunks of about `TARGET` rows out of shelves that come in key order.
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
    /// Sorts rows part by part and writes them. Keys of one part share their top `shared_bits`.
    fn add(&mut self, shelves: Vec<Shelf>, shared_bits: u32) {
        let base = self.sources.len();
        let parts = shelves.first().map_or(0, |s| s.starts.len() - 1);
        let (sources, starts): (Vec<Batch>, Vec<_>) =
            shelves.into_iter().map(|s| (s.rows, s.starts)).unzip();
        self.sources.extend(sources);
        for part in 0..parts {
            let range = |s: &Vec<usize>| s[part]..s[part + 1];
            let ranges: Vec<_> = starts.iter().map(range).collect();
            let places = sorted_places(&self.sources[base..], &ranges, shared_bits);
            self.write_chunks(base, &places);
        }
        // The sources stay in memory until their chunk is full, which a few parts do.
        if self.rows.len() >= TARGET - TARGET / 4 {
            self.flush();
        }
        if self.rows.is_empty() {
            self.sources.clear();
        }
    }

    fn write_chunks(&mut self, base: usize, mut places: &[Place]) {
        while !places.is_empty() {
            let room = TARGET.max(1) - self.rows.len();
            let (next, rest) = places.split_at(room.min(places.len()));
            self.write(base, next);
            places = rest;
            if self.rows.len() >= TARGET {
                self.flush();
            }
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
