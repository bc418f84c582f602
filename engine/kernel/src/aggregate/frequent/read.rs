//! Counts of frequent values, read back from the bytes they were stored as.
//!
//! Never trusts a number in them: what is read is no larger than the bytes at hand, or than the definition allows.

use super::items::Items;
use super::{Countable, Counts, JavaMap, count};

/// A value that can be read back.
pub(crate) trait Readable: Countable {
    /// Reads the first value of stored bytes; also gives the rest.
    fn read_bytes(bytes: &[u8]) -> Option<(Self, &[u8])>;

    /// Counts that were read, if they are of this type.
    fn counts(saved: &SavedCounts) -> Option<&Counts<Self>>;
}

impl Readable for i64 {
    fn read_bytes(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (value, rest) = bytes.split_first_chunk()?;
        Some((Self::from_le_bytes(*value), rest))
    }

    fn counts(saved: &SavedCounts) -> Option<&Counts<Self>> {
        match saved {
            SavedCounts::Longs(counts) => Some(counts),
            _ => None,
        }
    }
}

impl Readable for String {
    fn read_bytes(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        Some((Self::from_utf8(text.to_vec()).ok()?, rest))
    }

    fn counts(saved: &SavedCounts) -> Option<&Counts<Self>> {
        match saved {
            SavedCounts::Strings(counts) => Some(counts),
            _ => None,
        }
    }
}

impl Readable for u64 {
    fn read_bytes(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (value, rest) = bytes.split_first_chunk()?;
        Some((Self::from_le_bytes(*value), rest))
    }

    fn counts(saved: &SavedCounts) -> Option<&Counts<Self>> {
        match saved {
            SavedCounts::Doubles(counts) => Some(counts),
            _ => None,
        }
    }
}

/// Counts that were read back.
#[derive(Clone, Debug)]
pub(crate) enum SavedCounts {
    Longs(Counts<i64>),
    Doubles(Counts<u64>),
    Strings(Counts<String>),
}

impl SavedCounts {
    /// Reads the bytes of a state that shows `k` values; `None` when they are something else.
    pub(crate) fn read(bytes: &[u8], k: usize) -> Option<Self> {
        match *bytes.first()? {
            i64::TYPE => Counts::read(bytes, k).map(Self::Longs),
            u64::TYPE => Counts::read(bytes, k).map(Self::Doubles),
            String::TYPE => Counts::read(bytes, k).map(Self::Strings),
            _ => None,
        }
    }
}

impl<T: Readable> Counts<T> {
    /// Reads what [`Counts::to_bytes`] wrote of a state that shows `k` values.
    fn read(bytes: &[u8], k: usize) -> Option<Self> {
        let [data_type, overflowed, sketch @ ..] = bytes else {
            return None;
        };
        match (*data_type == T::TYPE, overflowed) {
            (true, 1) => Items::read(sketch, k).map(Self::Sketch),
            (true, 0) => {
                let mut exact = JavaMap::default();
                for (value, times) in Items::read_items(sketch)? {
                    count(&mut exact, &value, times);
                }
                (exact.len() <= k).then_some(Self::Exact(exact))
            }
            _ => None,
        }
    }
}
