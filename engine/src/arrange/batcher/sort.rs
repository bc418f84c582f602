//! The order of the rows of a part: packed words where they fit, comparisons where they do not.
//!
//! Hot path. A word is the key's upper half (without the bits the part shares), the time from the part's first, and
//! where the row lies; what a word cannot tell apart is compared in full.

use std::cmp::Ordering;
use std::ops::Range;

use crate::exchange::Batch;

/// A row that stands in the sorted output, with its summed difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) piece: u32,
    pub(super) row: u32,
    pub(super) diff: i64,
}

/// These rows of each piece by (key, ts, position, epoch), equal ones summed, those of no difference left out. The keys
/// share their top `shared_bits`.
pub(super) fn sorted_places(
    pieces: &[Batch],
    ranges: &[Range<usize>],
    shared_bits: u32,
) -> Vec<Place> {
    let mut places = Vec::with_capacity(ranges.iter().map(Range::len).sum());
    if let Some(packing) = Packing::of(pieces, ranges, shared_bits) {
        packing.sort(pieces, ranges, &mut places);
    } else {
        let rows = |(p, r): (usize, &Range<usize>)| r.clone().map(move |r| (p as u32, r as u32));
        let mut all: Vec<(u32, u32)> = ranges.iter().enumerate().flat_map(rows).collect();
        sort_and_sum(pieces, &mut all, &mut places);
    }
    places
}

/// The full order of two rows.
fn compare(pieces: &[Batch], left: (u32, u32), right: (u32, u32)) -> Ordering {
    let order = |(piece, row): (u32, u32)| {
        let (batch, row) = (&pieces[piece as usize], row as usize);
        (
            batch.key[row],
            batch.ts[row],
            batch.position[row],
            batch.time.get(row),
            piece,
            row,
        )
    };
    order(left).cmp(&order(right))
}

fn same(pieces: &[Batch], left: (u32, u32), right: (u32, u32)) -> bool {
    let identity = |(piece, row): (u32, u32)| {
        let (batch, row) = (&pieces[piece as usize], row as usize);
        (
            batch.key[row],
            batch.ts[row],
            batch.position[row],
            batch.time.get(row),
        )
    };
    identity(left) == identity(right)
}

/// Puts rows in full order and sums equal ones.
fn sort_and_sum(pieces: &[Batch], rows: &mut [(u32, u32)], places: &mut Vec<Place>) {
    rows.sort_unstable_by(|&l, &r| compare(pieces, l, r));
    for equal in rows.chunk_by(|&l, &r| same(pieces, l, r)) {
        let diff = |&(piece, row): &(u32, u32)| pieces[piece as usize].diff.get(row as usize);
        let diff = equal.iter().map(diff).sum();
        if diff != 0 {
            let (piece, row) = equal[0];
            places.push(Place { piece, row, diff });
        }
    }
}

/// How (ts, piece, row) share the lower bits of a word with the key above them.
struct Packing {
    shared_bits: u32,
    first_ts: i64,
    row_bits: u32,
    index_bits: u32,
    /// Whether all keys have one lower half, so that the upper one tells them apart.
    one_lower_half: bool,
}

fn bits(values: u64) -> u32 {
    u64::BITS - values.leading_zeros()
}

impl Packing {
    /// Nothing if the times span too much.
    fn of(pieces: &[Batch], ranges: &[Range<usize>], shared_bits: u32) -> Option<Self> {
        let (mut first, mut last) = (i64::MAX, i64::MIN);
        let (mut lower, mut end) = (None, 0);
        let mut other_bits = 0;
        for (batch, range) in pieces.iter().zip(ranges) {
            for &ts in &batch.ts[range.clone()] {
                (first, last) = (first.min(ts), last.max(ts));
            }
            for &key in &batch.key[range.clone()] {
                other_bits |= *lower.get_or_insert(key as u64) ^ key as u64;
            }
            end = end.max(range.end);
        }
        let row_bits = bits(end as u64);
        let index_bits = row_bits + bits(pieces.len() as u64);
        let span_bits = bits(last.abs_diff(first));
        (first <= last && index_bits + span_bits <= 64 + shared_bits).then_some(Self {
            shared_bits,
            first_ts: first,
            row_bits,
            index_bits,
            one_lower_half: other_bits == 0,
        })
    }

    /// Sorts all rows onto the end of `places`.
    fn sort(&self, pieces: &[Batch], ranges: &[Range<usize>], places: &mut Vec<Place>) {
        let mut words = Vec::with_capacity(ranges.iter().map(Range::len).sum());
        for (piece, (batch, range)) in pieces.iter().zip(ranges).enumerate() {
            let piece = (piece as u128) << self.row_bits;
            let (keys, times) = (&batch.key[range.clone()], &batch.ts[range.clone()]);
            let rows = keys.iter().zip(times).zip(range.clone());
            words.extend(rows.map(|((&key, &ts), row)| {
                let upper = (key >> 64) << (64 + self.shared_bits);
                let ts = u128::from(ts.abs_diff(self.first_ts)) << self.index_bits;
                upper | ts | piece | row as u128
            }));
        }
        words.sort_unstable();
        let mut stretch = Vec::new();
        for upper_half in words.chunk_by(|l, r| self.upper(*l) == self.upper(*r)) {
            if self.has_two_keys(pieces, upper_half) {
                stretch.clear();
                stretch.extend(upper_half.iter().map(|&w| self.place(w)));
                sort_and_sum(pieces, &mut stretch, places);
                continue;
            }
            let tied = |l: &u128, r: &u128| l >> self.index_bits == r >> self.index_bits;
            for tie in upper_half.chunk_by(tied) {
                if let &[word] = tie {
                    let (piece, row) = self.place(word);
                    let diff = pieces[piece as usize].diff.get(row as usize);
                    if diff != 0 {
                        places.push(Place { piece, row, diff });
                    }
                } else {
                    stretch.clear();
                    stretch.extend(tie.iter().map(|&w| self.place(w)));
                    sort_and_sum(pieces, &mut stretch, places);
                }
            }
        }
    }

    fn upper(&self, word: u128) -> u128 {
        word >> (64 + self.shared_bits)
    }

    fn place(&self, word: u128) -> (u32, u32) {
        let row_mask = (1_u128 << self.row_bits) - 1;
        let piece_mask = (1_u128 << (self.index_bits - self.row_bits)) - 1;
        (
            (word >> self.row_bits & piece_mask) as u32,
            (word & row_mask) as u32,
        )
    }

    /// Whether two keys of one upper half are among these words.
    fn has_two_keys(&self, pieces: &[Batch], words: &[u128]) -> bool {
        if self.one_lower_half {
            return false;
        }
        let key = |word: u128| {
            let (piece, row) = self.place(word);
            pieces[piece as usize].key[row as usize]
        };
        let first = key(words[0]);
        words.iter().any(|&w| key(w) != first)
    }
}
