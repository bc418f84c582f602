//! The order of the rows of a part: packed words where they fit, comparisons where they do not.
//!
//! Hot path. A word is the key's upper half (without the bits the part shares), the time from the part's first, and
//! where the row lies; what a word cannot tell apart is compared in full.

use std::cmp::Ordering;

use crate::exchange::Batch;

/// A row that stands in the sorted output, with its summed difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) piece: u32,
    pub(super) row: u32,
    pub(super) diff: i64,
}

/// The rows of the pieces by (key, ts, position, epoch), equal ones summed, those of no difference left out. The keys
/// share their top `shared_bits`.
pub(super) fn sorted_places(pieces: &[Batch], shared_bits: u32) -> Vec<Place> {
    let mut places = Vec::with_capacity(pieces.iter().map(Batch::len).sum());
    if let Some(packing) = Packing::of(pieces, shared_bits) {
        packing.sort(pieces, &mut places);
    } else {
        let rows = |(p, b): (usize, &Batch)| (0..b.len() as u32).map(move |r| (p as u32, r));
        let mut all: Vec<(u32, u32)> = pieces.iter().enumerate().flat_map(rows).collect();
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
}

fn bits(values: u64) -> u32 {
    u64::BITS - values.leading_zeros()
}

impl Packing {
    /// Nothing if the times span too much.
    fn of(pieces: &[Batch], shared_bits: u32) -> Option<Self> {
        let times = || pieces.iter().flat_map(|b| b.ts.iter().copied());
        let (first, last) = (times().min()?, times().max()?);
        let rows = pieces.iter().map(Batch::len).max().unwrap_or(0);
        let row_bits = bits(rows as u64);
        let index_bits = row_bits + bits(pieces.len() as u64);
        let span_bits = bits(last.abs_diff(first));
        (index_bits + span_bits <= 64 + shared_bits).then_some(Self {
            shared_bits,
            first_ts: first,
            row_bits,
            index_bits,
        })
    }

    /// Sorts all rows onto the end of `places`.
    fn sort(&self, pieces: &[Batch], places: &mut Vec<Place>) {
        let mut words = Vec::with_capacity(pieces.iter().map(Batch::len).sum());
        for (piece, batch) in pieces.iter().enumerate() {
            let piece = (piece as u128) << self.row_bits;
            words.extend(
                batch
                    .key
                    .iter()
                    .zip(&batch.ts)
                    .enumerate()
                    .map(|(row, (&key, &ts))| {
                        let upper = (key >> 64) << (64 + self.shared_bits);
                        let ts = u128::from(ts.abs_diff(self.first_ts)) << self.index_bits;
                        upper | ts | piece | row as u128
                    }),
            );
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
        let key = |word: u128| {
            let (piece, row) = self.place(word);
            pieces[piece as usize].key[row as usize]
        };
        let first = key(words[0]);
        words.iter().any(|&w| key(w) != first)
    }
}
