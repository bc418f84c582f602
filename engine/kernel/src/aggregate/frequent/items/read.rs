//! Frequent-items sketches, read back from their bytes.
//!
//! Never trusts a number in them: a table is no larger than the sketch's own size allows, a list no longer than the bytes
//! at hand.

use super::super::read::Readable;
use super::{Items, LG_SIZE_MIN, capacity, empty};

impl<T: Readable> Items<T> {
    /// Reads what [`Items::to_bytes`] wrote of a sketch for `k`, as Apache reads it.
    pub(in super::super) fn read(bytes: &[u8], k: usize) -> Option<Self> {
        let head = Head::of(bytes)?;
        let mut sketch = Self::new(1 << Self::new(k).lg_size_max);
        let sizes = LG_SIZE_MIN..=sketch.lg_size_max;
        if head.lg_size_max != sketch.lg_size_max || !sizes.contains(&head.lg_size) {
            return None;
        }
        if head.active == 0 {
            return Some(sketch);
        }
        if head.active > capacity(1 << head.lg_size) {
            return None;
        }
        let items = Self::read_items(bytes)?;
        sketch.slots = empty(1 << head.lg_size);
        for (item, count) in items {
            sketch.put(item, count);
        }
        (sketch.weight, sketch.offset) = (head.weight, head.offset);
        Some(sketch)
    }

    /// Reads the items with their counts.
    pub(in super::super) fn read_items(bytes: &[u8]) -> Option<Vec<(T, i64)>> {
        let head = Head::of(bytes)?;
        if head.active == 0 {
            return Some(Vec::new());
        }
        // Every item takes bytes beyond its count, so their number cannot be a lie.
        let (counts, mut rest) = bytes
            .get(HEAD_BYTES..)?
            .split_at_checked(head.active.checked_mul(8)?)?;
        let mut items = Vec::with_capacity(head.active);
        for count in counts.chunks(8) {
            let count = believed(i64::from_le_bytes(count.try_into().ok()?))?;
            let (item, behind) = T::read_bytes(rest)?;
            items.push((item, count));
            rest = behind;
        }
        rest.is_empty().then_some(items)
    }
}

/// The first bytes of a sketch with items.
const HEAD_BYTES: usize = 32;

/// What the head of a stored sketch says.
struct Head {
    lg_size_max: u32,
    lg_size: u32,
    active: usize,
    weight: i64,
    offset: i64,
}

impl Head {
    fn of(bytes: &[u8]) -> Option<Self> {
        let [preamble, version, family, lg_size_max, lg_size, ..] = *bytes.first_chunk::<8>()?;
        if version != 1 || family != 10 {
            return None;
        }
        let number = |at: usize| {
            let bytes = bytes.get(at..)?.first_chunk()?;
            believed(i64::from_le_bytes(*bytes))
        };
        let (active, weight, offset) = match preamble {
            1 => (0, 0, 0),
            _ => (number(8)?, number(16)?, number(24)?),
        };
        Some(Self {
            lg_size_max: lg_size_max.into(),
            lg_size: lg_size.into(),
            active: usize::try_from(active).ok()?,
            weight,
            offset,
        })
    }
}

/// A count that is not absurd: what is merged of any number of them can be counted.
fn believed(count: i64) -> Option<i64> {
    (0..1 << 40).contains(&count).then_some(count)
}
