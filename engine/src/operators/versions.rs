//! The rows of one key before and after an epoch, out of slices of several batches.
//!
//! Hot path. Rows come out by (ts, position) as stretches of rows that lie together, each with how often they count
//! before and after; a key that lies in one slice of one epoch is one stretch.

use std::ops::Range;

use super::walk::Slice;
use crate::exchange::Epoch;

/// Rows that lie together and count equally often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Which of the slices the rows lie in.
    pub(super) slice: usize,
    /// The rows of the slice's chunk.
    pub(super) rows: Range<usize>,
    /// How often each row counts before the epoch.
    pub(super) old: i64,
    /// And from the epoch on.
    pub(super) new: i64,
}

/// What is to be told apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    /// The epoch.
    pub(super) epoch: Epoch,
    /// Slices up to here come from before every epoch at hand, whatever times compaction left in them.
    pub(super) history: usize,
}

impl At {
    /// Times by which a row of this slice counts before and after.
    fn counts(self, slice: usize, time: Epoch, diff: i64) -> (i64, i64) {
        if slice < self.history || time < self.epoch {
            (diff, diff)
        } else if time == self.epoch {
            (0, diff)
        } else {
            (0, 0)
        }
    }

    /// Whether a row of this slice changes at the epoch.
    pub(super) fn is_change(self, slice: usize, time: Epoch) -> bool {
        slice >= self.history && time == self.epoch
    }
}

/// Rows of a slice whose time lies in a range.
pub(super) fn within(slice: &Slice, times: &Range<i64>) -> Range<usize> {
    let ts = &slice.rows.ts[slice.range.clone()];
    if ts.first().is_some_and(|t| *t >= times.start) && ts.last().is_some_and(|t| *t < times.end) {
        return slice.range.clone();
    }
    let low = ts.partition_point(|&t| t < times.start);
    let high = low + ts[low..].partition_point(|&t| t < times.end);
    slice.range.start + low..slice.range.start + high
}

/// One slice being read.
#[derive(Debug)]
pub(super) struct Reader {
    index: usize,
    next: usize,
    end: usize,
    /// How often each row counts, where that is the same for all.
    uniform: Option<(i64, i64)>,
}

impl Reader {
    fn head(&self, slices: &[Slice]) -> (i64, u64) {
        slices[self.index].rows.identity(self.next)
    }
}

/// The rows of a key whose times lie in a range, in order. The readers are scratch.
pub(super) fn versions(
    slices: &[Slice],
    at: At,
    times: &Range<i64>,
    readers: &mut Vec<Reader>,
    out: &mut Vec<Stretch>,
) {
    out.clear();
    readers.clear();
    for (index, slice) in slices.iter().enumerate() {
        let rows = within(slice, times);
        let constant = (slice.rows.time.constant(), slice.rows.diff.constant());
        let uniform = match constant {
            (Some(time), Some(diff)) => Some(at.counts(index, time, diff)),
            (None, Some(diff)) if index < at.history => Some((diff, diff)),
            _ => None,
        };
        if !rows.is_empty() && uniform != Some((0, 0)) {
            readers.push(Reader {
                index,
                next: rows.start,
                end: rows.end,
                uniform,
            });
        }
    }
    let mut writer = Writer { slices, out };
    while readers.len() > 1 {
        let (least, bound) = least_and_bound(slices, readers);
        let reader = &mut readers[least];
        let start = reader.next;
        let rows = &slices[reader.index].rows;
        let mut end = start + 1;
        if reader.uniform.is_some() {
            // All that comes before every other slice's next row.
            let mut step = 1;
            while end + step < reader.end && rows.identity(end + step) < bound {
                end += step;
                step <<= 1;
            }
            let (mut low, mut high) = (end, (end + step).min(reader.end));
            while low < high {
                let middle = usize::midpoint(low, high);
                if rows.identity(middle) < bound {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            end = low;
        }
        writer.read(reader, at, start..end);
        reader.next = end;
        if end == reader.end {
            readers.remove(least);
        }
    }
    if let Some(last) = readers.first() {
        writer.read(last, at, last.next..last.end);
    }
    out.retain(|s| (s.old, s.new) != (0, 0));
}

/// The reader with the least next row, and the least next row of the others.
fn least_and_bound(slices: &[Slice], readers: &[Reader]) -> (usize, (i64, u64)) {
    let (mut least, mut head) = (0, readers[0].head(slices));
    let mut bound = (i64::MAX, u64::MAX);
    for (index, reader) in readers.iter().enumerate().skip(1) {
        let other = reader.head(slices);
        if other < head {
            bound = head;
            (least, head) = (index, other);
        } else if other < bound {
            bound = other;
        }
    }
    (least, bound)
}

struct Writer<'a> {
    slices: &'a [Slice],
    out: &'a mut Vec<Stretch>,
}

impl Writer<'_> {
    fn read(&mut self, reader: &Reader, at: At, rows: Range<usize>) {
        if let Some((old, new)) = reader.uniform {
            self.push(reader.index, rows, old, new);
            return;
        }
        let from = &self.slices[reader.index].rows;
        for row in rows {
            let (old, new) = at.counts(reader.index, from.time.get(row), from.diff.get(row));
            self.push(reader.index, row..row + 1, old, new);
        }
    }

    /// Appends rows; if the first is the last one again, their counts are summed.
    fn push(&mut self, slice: usize, mut rows: Range<usize>, old: i64, new: i64) {
        let from = &self.slices[slice].rows;
        if let Some(last) = self.out.last_mut()
            && self.slices[last.slice].rows.identity(last.rows.end - 1) == from.identity(rows.start)
        {
            let summed = (last.old + old, last.new + new);
            if last.rows.len() == 1 {
                (last.old, last.new) = summed;
            } else {
                let row = last.rows.end - 1;
                last.rows.end = row;
                let single = Stretch {
                    slice: last.slice,
                    rows: row..row + 1,
                    old: summed.0,
                    new: summed.1,
                };
                self.out.push(single);
            }
            rows.start += 1;
            if rows.is_empty() {
                return;
            }
        }
        if let Some(last) = self.out.last_mut()
            && last.slice == slice
            && last.rows.end == rows.start
            && (last.old, last.new) == (old, new)
        {
            last.rows.end = rows.end;
            return;
        }
        self.out.push(Stretch {
            slice,
            rows,
            old,
            new,
        });
    }
}
