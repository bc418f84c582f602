//! A frequent-items sketch (Misra and Gries with median purges, as in Anderson et al., "A High-Performance Algorithm for
//! Identifying Frequent Items in Data Streams", 2017) that keeps its items where Apache's Java sketch does.
//!
//! Which of equally frequent items are shown depends on the places of a hash table, so the table is Java's: linear
//! probing by a mix of `hashCode`, read in strides of the golden ratio. Two habits of the Java sketch (0.13.4) show too:
//! a sketch for fewer than eight slots estimates its median from fewer counts until it is read back from bytes, and one
//! whose items were all purged reads back as new. *Source: the sketch's documented form, checked against recorded
//! outputs.* Never allocates but to grow the table.

mod read;

use super::Countable;

/// Binary logarithm of the smallest table.
const LG_SIZE_MIN: u32 = 3;

/// How many counts a purge looks at.
const SAMPLE_MAX: usize = 1024;

/// The sketch.
#[derive(Clone, Debug)]
pub(crate) struct Items<T> {
    lg_size_max: u32,
    /// How many counts a purge looks at, at most.
    sample_max: usize,
    slots: Vec<Option<Slot<T>>>,
    active: usize,
    /// What purges took off every count.
    offset: i64,
    /// The sum of all counts fed.
    weight: i64,
}

#[derive(Clone, Debug)]
struct Slot<T> {
    item: T,
    count: i64,
    /// One more than the distance from the slot that the hash names.
    drift: usize,
}

impl<T: Countable> Items<T> {
    /// An empty sketch whose table has at most the smallest power of two of slots that holds `k`.
    pub(crate) fn new(k: usize) -> Self {
        let size = k.max(2).next_power_of_two();
        Self::of(size, LG_SIZE_MIN)
    }

    /// An empty sketch that was asked for a table of `size`, with a table of 2^`lg_size`.
    fn of(size: usize, lg_size: u32) -> Self {
        Self {
            lg_size_max: size.trailing_zeros().max(LG_SIZE_MIN),
            sample_max: (size * 3 / 4).min(SAMPLE_MAX),
            slots: empty(1 << lg_size),
            active: 0,
            offset: 0,
            weight: 0,
        }
    }

    /// The sketch as it is read back from its bytes: items are put one by one, in the order of their slots.
    pub(crate) fn reread(&self) -> Self {
        let size = 1 << self.lg_size_max;
        if self.active == 0 {
            return Self::of(size, LG_SIZE_MIN);
        }
        let mut read = Self::of(size, self.slots.len().trailing_zeros());
        for slot in self.slots.iter().flatten() {
            read.put(slot.item.clone(), slot.count);
        }
        read.offset = self.offset;
        read.weight = self.weight;
        read
    }

    /// Adds to the count of an item.
    pub(crate) fn update(&mut self, item: &T, count: i64) {
        if count <= 0 {
            return;
        }
        self.weight = self.weight.saturating_add(count);
        self.put(item.clone(), count);
        if self.active <= capacity(self.slots.len()) {
            return;
        }
        if self.slots.len() < 1 << self.lg_size_max {
            let grown = empty(2 * self.slots.len());
            let old = std::mem::replace(&mut self.slots, grown);
            self.active = 0;
            for slot in old.into_iter().flatten() {
                self.put(slot.item, slot.count);
            }
        } else {
            self.purge();
        }
    }

    /// Adds the items of another sketch.
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.active == 0 {
            return;
        }
        let weight = self.weight.saturating_add(other.weight);
        for slot in other.in_strides() {
            self.update(&slot.item, slot.count);
        }
        self.offset += other.offset;
        self.weight = weight;
    }

    /// The items that are certainly frequent with their estimated counts, most frequent first.
    pub(crate) fn frequent(&self) -> Vec<(&T, i64)> {
        let sure = self.in_strides().filter(|slot| slot.count >= self.offset);
        let mut found: Vec<_> = sure
            .map(|slot| (&slot.item, slot.count + self.offset))
            .collect();
        found.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        found
    }

    /// Apache's serialised form.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let lg_size = self.slots.len().trailing_zeros() as u8;
        let empty = self.active == 0;
        let (preamble, flags) = if empty { (1, 5) } else { (4, 0) };
        let mut bytes = vec![
            preamble,
            1,
            10,
            self.lg_size_max as u8,
            lg_size,
            flags,
            0,
            0,
        ];
        if empty {
            return bytes;
        }
        bytes.extend((self.active as u64).to_le_bytes());
        bytes.extend(self.weight.to_le_bytes());
        bytes.extend(self.offset.to_le_bytes());
        let slots = || self.slots.iter().flatten();
        bytes.extend(slots().flat_map(|slot| slot.count.to_le_bytes()));
        slots().for_each(|slot| slot.item.append_bytes(&mut bytes));
        bytes
    }

    fn home(&self, item: &T) -> usize {
        let mut hash = i64::from(item.java_hash()).cast_unsigned();
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        (hash ^ (hash >> 33)) as usize & (self.slots.len() - 1)
    }

    fn put(&mut self, item: T, count: i64) {
        let mask = self.slots.len() - 1;
        let mut place = self.home(&item);
        let mut drift = 1;
        while let Some(slot) = &mut self.slots[place] {
            if slot.item == item {
                slot.count = slot.count.saturating_add(count);
                return;
            }
            place = (place + 1) & mask;
            drift += 1;
        }
        self.slots[place] = Some(Slot { item, count, drift });
        self.active += 1;
    }

    /// Takes the median count off all counts and forgets what has none left.
    fn purge(&mut self) {
        let counts = self.slots.iter().flatten().map(|slot| slot.count);
        let mut sample: Vec<i64> = counts.take(self.sample_max).collect();
        let middle = sample.len() / 2;
        let (_, median, _) = sample.select_nth_unstable(middle);
        let median = *median;
        self.offset += median;
        for slot in self.slots.iter_mut().flatten() {
            slot.count -= median;
        }
        // From the last empty slot backwards, so that clusters are worked through from their ends.
        let free = self.slots.iter().rposition(Option::is_none);
        let free = free.expect("a table is never full");
        for place in (0..free).rev().chain((free..self.slots.len()).rev()) {
            if self.slots[place]
                .as_ref()
                .is_some_and(|slot| slot.count <= 0)
            {
                self.remove(place);
                self.active -= 1;
            }
        }
    }

    /// Empties a slot and moves later items of its cluster nearer to their homes.
    fn remove(&mut self, place: usize) {
        let mask = self.slots.len() - 1;
        let mut hole = place;
        self.slots[hole] = None;
        let mut drift = 1;
        let mut probe = (hole + 1) & mask;
        while let Some(slot) = &self.slots[probe] {
            if slot.drift > drift {
                self.slots.swap(hole, probe);
                if let Some(moved) = &mut self.slots[hole] {
                    moved.drift -= drift;
                }
                hole = probe;
                drift = 0;
            }
            probe = (probe + 1) & mask;
            drift += 1;
        }
    }

    /// The items in Apache's order of reading.
    fn in_strides(&self) -> impl Iterator<Item = &Slot<T>> {
        let size = self.slots.len();
        let stride = (size as f64 * ((5_f64.sqrt() - 1.0) / 2.0)) as usize | 1;
        let places = (0..size).map(move |step| step.wrapping_mul(stride) & (size - 1));
        places.filter_map(|place| self.slots[place].as_ref())
    }
}

fn empty<T>(size: usize) -> Vec<Option<Slot<T>>> {
    std::iter::repeat_with(|| None).take(size).collect()
}

/// How many items a table of this size may hold.
fn capacity(size: usize) -> usize {
    size / 4 * 3
}

#[cfg(test)]
mod tests;
