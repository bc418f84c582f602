//! Where rows lie in a TiKV cluster.
//!
//! ```text
//! key of a single row     P  1  L dataset  key
//! key of a batch's row    P  2  L dataset  generation  key
//! key of the named batch  P  3  L dataset
//! ```
//! `P` is the address's prefix behind its length (a byte), `L` the dataset's length (four bytes), `generation` eight bytes;
//! numbers are big-endian. Every part but the last has a fixed or a stated length, so no two rows share a key, whatever
//! bytes names and keys hold, and a generation's rows are one range.

use std::ops::Range;

use super::super::Generation;

const SINGLE: u8 = 1;
const BATCH: u8 = 2;
const NAMED: u8 = 3;

/// The keys below one prefix.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    prefix: Vec<u8>,
}

impl Layout {
    /// Below a prefix of at most 255 bytes.
    pub(super) fn new(prefix: &str) -> Self {
        let length = u8::try_from(prefix.len()).expect("the address was checked");
        let mut bytes = vec![length];
        bytes.extend(prefix.as_bytes());
        Self { prefix: bytes }
    }

    /// A single row.
    pub(super) fn single(&self, dataset: &str, key: &[u8]) -> Vec<u8> {
        let mut bytes = self.of_dataset(SINGLE, dataset, key.len());
        bytes.extend(key);
        bytes
    }

    /// A row of a batch.
    pub(super) fn row(&self, dataset: &str, generation: Generation, key: &[u8]) -> Vec<u8> {
        let mut bytes = self.of_dataset(BATCH, dataset, 8 + key.len());
        bytes.extend(generation.0.to_be_bytes());
        bytes.extend(key);
        bytes
    }

    /// The rows of all batches with numbers in a range.
    pub(super) fn rows(&self, dataset: &str, generations: &Range<u64>) -> Range<Vec<u8>> {
        let from = self.row(dataset, Generation(generations.start), &[]);
        from..self.row(dataset, Generation(generations.end), &[])
    }

    /// The row that names the batch readers see.
    pub(super) fn named(&self, dataset: &str) -> Vec<u8> {
        self.of_dataset(NAMED, dataset, 0)
    }

    fn of_dataset(&self, kind: u8, dataset: &str, more: usize) -> Vec<u8> {
        let length = u32::try_from(dataset.len()).expect("no name has 4 GiB");
        let bytes = self.prefix.len() + 5 + dataset.len() + more;
        let mut key = Vec::with_capacity(bytes);
        key.extend(&self.prefix);
        key.push(kind);
        key.extend(length.to_be_bytes());
        key.extend(dataset.as_bytes());
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, numbers and keys that could be confused lead to different keys, and none to another's range.
    #[test]
    fn keys_are_told_apart() {
        let mut keys = Vec::new();
        for prefix in ["", "a", "a\u{1}"] {
            let layout = Layout::new(prefix);
            for dataset in ["", "a", "aa", "a\0", "a\u{1}\0\0\0"] {
                keys.push(layout.named(dataset));
                for key in [&b""[..], b"a", b"\0", b"\0\0\0\0\0\0\0\x01"] {
                    keys.push(layout.single(dataset, key));
                    for generation in [0, 1, 256, u64::MAX] {
                        keys.push(layout.row(dataset, Generation(generation), key));
                    }
                }
            }
        }
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    /// A range of generations holds their rows, and no others' rows.
    #[test]
    fn a_range_holds_its_generations() {
        let layout = Layout::new("p");
        let range = layout.rows("d", &(3..5));
        for key in [&b""[..], b"\0", b"\xff\xff"] {
            for generation in 0..8 {
                let row = layout.row("d", Generation(generation), key);
                assert_eq!(range.contains(&row), (3..5).contains(&generation));
                assert!(!range.contains(&layout.row("dd", Generation(generation), key)));
                assert!(!range.contains(&layout.single("d", key)));
            }
        }
        assert!(!range.contains(&layout.named("d")));
    }
}
