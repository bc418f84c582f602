//! Differential's chunk over our rows: how sorted runs are merged, split by epoch, compacted and packed.
//!
//! Times are totally ordered, so advancing a row's epoch keeps rows sorted. A row's identity is (key, ts, position);
//! the payload is moved by index and never compared. Chunks are shared, so what is kept whole costs no copy.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::rc::Rc;

use differential_dataflow::trace::chunk::{Chunk, pack};
use timely::progress::Antichain;
use timely::progress::frontier::AntichainRef;

use super::rows::{Rows, Writer};
use crate::exchange::Epoch;
use crate::rle::Rle;

/// Sorted, consolidated rows, about `TARGET` of them.
#[derive(Clone, Debug, Default)]
pub struct RowChunk<const TARGET: usize>(pub Rc<Rows>);

impl<const TARGET: usize> RowChunk<TARGET> {
    pub(super) fn new(rows: Rows) -> Self {
        Self(Rc::new(rows))
    }

    fn into_rows(self) -> Rows {
        Rc::try_unwrap(self.0).unwrap_or_else(|shared| (*shared).clone())
    }

    /// Puts rows `from..` back at the front, if there are any.
    fn put_back(self, from: usize, queue: &mut VecDeque<Self>) {
        match from {
            0 => queue.push_front(self),
            from if from < self.0.len() => {
                queue.push_front(Self::new(self.0.slice(from..self.0.len())));
            }
            _ => {}
        }
    }
}

impl<const TARGET: usize> timely::Accountable for RowChunk<TARGET> {
    fn record_count(&self) -> i64 {
        self.0.len() as i64
    }
}

/// First index from `from` on whose value is not below `bound`.
#[inline]
pub(crate) fn gallop<T: Ord>(values: &[T], from: usize, bound: &T) -> usize {
    let (mut low, mut step) = (from, 1);
    while low + step < values.len() && values[low + step] < *bound {
        low += step;
        step <<= 1;
    }
    let high = (low + step).min(values.len());
    low + values[low..high].partition_point(|v| v < bound)
}

impl<const TARGET: usize> Chunk for RowChunk<TARGET> {
    type Time = Epoch;
    const TARGET: usize = TARGET;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn merge(in1: &mut VecDeque<Self>, in2: &mut VecDeque<Self>, out: &mut VecDeque<Self>) {
        let (Some(left), Some(right)) = (in1.pop_front(), in2.pop_front()) else {
            return;
        };
        let (left_end, right_end) = merge_rows(&left.0, &right.0, out);
        left.put_back(left_end, in1);
        right.put_back(right_end, in2);
    }

    fn extract(
        input: &mut VecDeque<Self>,
        frontier: AntichainRef<'_, Epoch>,
        residual: &mut Antichain<Epoch>,
        keep: &mut VecDeque<Self>,
        ship: &mut VecDeque<Self>,
    ) {
        let Some(chunk) = input.pop_front() else {
            return;
        };
        if let Rle::Constant(time) = chunk.0.time {
            if frontier.less_equal(&time) {
                residual.insert(time);
                keep.push_back(chunk);
            } else {
                ship.push_back(chunk);
            }
            return;
        }
        let mut sides = [(); 2].map(|()| Writer::new(vec![&*chunk.0]));
        for (index, &key) in chunk.0.keys.iter().enumerate() {
            for row in chunk.0.range(index) {
                let time = chunk.0.time.get(row);
                let kept = frontier.less_equal(&time);
                if kept {
                    residual.insert(time);
                }
                sides[usize::from(kept)].extend(0, key, row..row + 1);
            }
        }
        for (side, queue) in sides.iter_mut().zip([ship, keep]) {
            if side.len() > 0 {
                queue.push_back(Self::new(side.finish()));
            }
        }
    }

    fn advance(
        input: &mut VecDeque<Self>,
        frontier: AntichainRef<'_, Epoch>,
        done: bool,
        out: &mut VecDeque<Self>,
    ) {
        let since = frontier.iter().next().copied().unwrap_or(Epoch::MAX);
        // Whether the front is two chunks joined, so that equal rows may stand in it.
        let mut joined = false;
        while let Some(chunk) = input.pop_front() {
            // Whether the last row goes on in the next chunk shows only once that is there.
            if input.is_empty() && !done {
                match joined {
                    true => input.extend(advance_rows(chunk, since, joined)),
                    false => input.push_front(chunk),
                }
                return;
            }
            let goes_on = input
                .front()
                .is_some_and(|next| continues(&chunk.0, &next.0));
            let advanced = advance_rows(chunk, since, joined);
            joined = goes_on;
            match input.pop_front() {
                // Compacted before it is joined, a row of many epochs is not copied once for each chunk.
                Some(next) if goes_on => {
                    let run: Vec<Self> = advanced.into_iter().chain([next]).collect();
                    input.push_front(join(&run));
                }
                next => {
                    out.extend(advanced);
                    if let Some(next) = next {
                        input.push_front(next);
                    }
                }
            }
        }
    }

    fn settle(input: &mut VecDeque<Self>, done: bool, out: &mut VecDeque<Self>) {
        let split = |chunk: Self, at: usize| {
            let rows = &chunk.0;
            (
                Self::new(rows.slice(0..at)),
                Self::new(rows.slice(at..rows.len())),
            )
        };
        pack(input, done, out, |run| join(&run), split, |chunk| chunk);
    }
}

/// Merges until one side is used up, which is as far as both are known; answers how far each was used.
fn merge_rows<const TARGET: usize>(
    left: &Rows,
    right: &Rows,
    out: &mut VecDeque<RowChunk<TARGET>>,
) -> (usize, usize) {
    let mut writer = Writer::new(vec![left, right]);
    let mut sides = [Side::new(0, left), Side::new(1, right)];
    loop {
        let [l, r] = &mut sides;
        let (Some(left_key), Some(right_key)) = (l.key(), r.key()) else {
            break;
        };
        match left_key.cmp(&right_key) {
            Ordering::Less => l.write_below(right_key, TARGET, &mut writer),
            Ordering::Greater => r.write_below(left_key, TARGET, &mut writer),
            Ordering::Equal => merge_key(left_key, l, r, &mut writer),
        }
        if writer.len() >= TARGET {
            out.push_back(RowChunk::new(writer.finish()));
        }
    }
    if writer.len() > 0 {
        out.push_back(RowChunk::new(writer.finish()));
    }
    (sides[0].row, sides[1].row)
}

/// Merges the rows of one key until one side has no more of it.
fn merge_key(key: u128, left: &mut Side<'_>, right: &mut Side<'_>, writer: &mut Writer<'_>) {
    let (left_end, right_end) = (left.key_end(), right.key_end());
    while left.row < left_end && right.row < right_end {
        match left.rows.compare(left.row, right.rows, right.row) {
            Ordering::Less => left.write_row_below(key, left_end, right, writer),
            Ordering::Greater => right.write_row_below(key, right_end, left, writer),
            Ordering::Equal => {
                let time = left.rows.time.get(left.row);
                let diff = left.rows.diff.get(left.row) + right.rows.diff.get(right.row);
                if diff != 0 {
                    writer.push(left.source, key, left.row, time, diff);
                }
                left.row += 1;
                right.row += 1;
            }
        }
    }
    // A side that has used up its chunk may have more of the key in its next one: the other's rows must wait.
    let exhausted = left.row == left.rows.len() || right.row == right.rows.len();
    if !exhausted {
        writer.extend(left.source, key, left.row..left_end);
        writer.extend(right.source, key, right.row..right_end);
        (left.row, right.row) = (left_end, right_end);
    }
    left.settle_key();
    right.settle_key();
}

/// How far one side of a merge has been read.
struct Side<'a> {
    source: usize,
    rows: &'a Rows,
    key: usize,
    row: usize,
}

impl<'a> Side<'a> {
    fn new(source: usize, rows: &'a Rows) -> Self {
        Self {
            source,
            rows,
            key: 0,
            row: 0,
        }
    }

    fn key(&self) -> Option<u128> {
        self.rows.keys.get(self.key).copied()
    }

    fn key_end(&self) -> usize {
        self.rows.offsets[self.key + 1] as usize
    }

    fn settle_key(&mut self) {
        if self.key < self.rows.keys.len() && self.row == self.key_end() {
            self.key += 1;
        }
    }

    /// Writes keys below `bound`, stopping after about `target` rows.
    fn write_below(&mut self, bound: u128, target: usize, writer: &mut Writer<'_>) {
        let end = gallop(&self.rows.keys, self.key, &bound);
        let most = self.row + target;
        let fits = self.rows.offsets[..=end].partition_point(|&o| o as usize <= most) - 1;
        let end = fits.clamp(self.key + 1, end);
        writer.extend_keys(self.source, self.key..end);
        self.key = end;
        self.row = self.rows.offsets[end] as usize;
    }

    /// Writes the rows of a key that come before the other side's next row.
    fn write_row_below(
        &mut self,
        key: u128,
        end: usize,
        other: &Side<'_>,
        writer: &mut Writer<'_>,
    ) {
        let start = self.row;
        self.row += 1;
        while self.row < end && self.rows.compare(self.row, other.rows, other.row) == Ordering::Less
        {
            self.row += 1;
        }
        writer.extend(self.source, key, start..self.row);
    }
}

/// Whether the last row of a chunk and the first of the next are the same row at two epochs.
fn continues(chunk: &Rows, next: &Rows) -> bool {
    chunk.keys.last() == next.keys.first() && chunk.identity(chunk.len() - 1) == next.identity(0)
}

/// Brings all epochs up to `since` and sums what is then equal; nothing if nothing is left.
fn advance_rows<const TARGET: usize>(
    chunk: RowChunk<TARGET>,
    since: Epoch,
    joined: bool,
) -> Option<RowChunk<TARGET>> {
    if let (Rle::Constant(time), false) = (&chunk.0.time, joined) {
        let time = *time;
        // One epoch for all: no two rows are equal, and none become so.
        if time >= since {
            return Some(chunk);
        }
        let mut rows = chunk.into_rows();
        rows.time = Rle::Constant(since);
        return Some(RowChunk::new(rows));
    }
    let rows = &*chunk.0;
    let mut writer = Writer::new(vec![rows]);
    for (index, &key) in rows.keys.iter().enumerate() {
        for row in rows.range(index) {
            writer.push(
                0,
                key,
                row,
                rows.time.get(row).max(since),
                rows.diff.get(row),
            );
        }
    }
    (writer.len() > 0).then(|| RowChunk::new(writer.finish()))
}

/// One chunk of several that follow each other.
fn join<const TARGET: usize>(chunks: &[RowChunk<TARGET>]) -> RowChunk<TARGET> {
    let mut writer = Writer::new(chunks.iter().map(|c| &*c.0).collect());
    for (source, chunk) in chunks.iter().enumerate() {
        writer.extend_keys(source, 0..chunk.0.keys.len());
    }
    RowChunk::new(writer.finish())
}

#[cfg(test)]
mod tests;
