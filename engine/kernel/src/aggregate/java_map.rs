//! A hash map that gives its entries in the order of a `java.util.HashMap`.
//!
//! The order shows in what HISTOGRAM and APPROX_HISTOGRAM_K answer, so the table is Java's: chains that grow at their
//! ends, sixteen buckets at the first value, twice as many whenever three quarters are exceeded, and a copy begins with
//! as many as its size asks for. Buckets that Java would turn into trees (eight entries and more of one bucket in a
//! table of at least 64) keep the order of insertion here.
//! *Source: the documentation of `java.util.HashMap`; checked against recorded outputs.*

/// The buckets of a table that was not copied.
const FIRST_BUCKETS: usize = 16;

/// No entry.
const END: u32 = u32::MAX;

/// The map. Keys come with their `hashCode`.
#[derive(Clone, Debug)]
pub(crate) struct JavaMap<K, V> {
    /// The first entry of each bucket; no bucket until there is an entry.
    buckets: Vec<u32>,
    /// Entries, also those that were removed since the table grew.
    entries: Vec<Entry<K, V>>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Entry<K, V> {
    hash: i32,
    key: K,
    value: V,
    next: u32,
}

impl<K, V> Default for JavaMap<K, V> {
    fn default() -> Self {
        Self {
            buckets: Vec::new(),
            entries: Vec::new(),
            len: 0,
        }
    }
}

impl<K: Eq + Clone, V: Clone> JavaMap<K, V> {
    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The value of a key.
    pub(crate) fn get_mut(&mut self, hash: i32, key: &K) -> Option<&mut V> {
        let place = self.place(hash, key)?;
        Some(&mut self.entries[place].value)
    }

    /// Adds a key that is not there.
    pub(crate) fn insert(&mut self, hash: i32, key: K, value: V) {
        if self.buckets.is_empty() {
            self.buckets = vec![END; FIRST_BUCKETS];
        }
        self.append(hash, key, value);
        if self.len * 4 > self.buckets.len() * 3 {
            *self = self.rebuilt(self.buckets.len() * 2);
        }
    }

    /// Removes a key.
    pub(crate) fn remove(&mut self, hash: i32, key: &K) {
        let bucket = self.bucket(hash);
        let (mut last, mut at) = (END, self.buckets[bucket]);
        while at != END {
            let entry = &self.entries[at as usize];
            let next = entry.next;
            if entry.key == *key {
                match last {
                    END => self.buckets[bucket] = next,
                    last => self.entries[last as usize].next = next,
                }
                self.len -= 1;
                return;
            }
            (last, at) = (at, next);
        }
    }

    /// Hash, key and value of each entry, in Java's order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i32, &K, &V)> {
        let chain =
            |first: &u32| std::iter::successors(self.entry(*first), |entry| self.entry(entry.next));
        let entries = self.buckets.iter().flat_map(chain);
        entries.map(|entry| (entry.hash, &entry.key, &entry.value))
    }

    /// What the copying constructor makes: a table just large enough, filled in order.
    pub(crate) fn copied(&self) -> Self {
        match self.len {
            0 => Self::default(),
            len => self.rebuilt((len * 4 / 3 + 1).next_power_of_two()),
        }
    }

    /// What is read after it was written entry by entry: a new map, filled in order.
    pub(crate) fn rewritten(&self) -> Self {
        let mut map = Self::default();
        for (hash, key, value) in self.iter() {
            map.insert(hash, key.clone(), value.clone());
        }
        map
    }

    fn rebuilt(&self, buckets: usize) -> Self {
        let mut map = Self {
            buckets: vec![END; buckets],
            entries: Vec::with_capacity(self.len),
            len: 0,
        };
        for (hash, key, value) in self.iter() {
            map.append(hash, key.clone(), value.clone());
        }
        map
    }

    fn append(&mut self, hash: i32, key: K, value: V) {
        let new = self.entries.len() as u32;
        let bucket = self.bucket(hash);
        let mut at = self.buckets[bucket];
        if at == END {
            self.buckets[bucket] = new;
        } else {
            while self.entries[at as usize].next != END {
                at = self.entries[at as usize].next;
            }
            self.entries[at as usize].next = new;
        }
        let next = END;
        self.entries.push(Entry {
            hash,
            key,
            value,
            next,
        });
        self.len += 1;
    }

    fn place(&self, hash: i32, key: &K) -> Option<usize> {
        let mut at = match self.buckets.is_empty() {
            true => END,
            false => self.buckets[self.bucket(hash)],
        };
        while at != END && self.entries[at as usize].key != *key {
            at = self.entries[at as usize].next;
        }
        (at != END).then_some(at as usize)
    }

    fn entry(&self, at: u32) -> Option<&Entry<K, V>> {
        self.entries.get(at as usize)
    }

    fn bucket(&self, hash: i32) -> usize {
        let hash = hash.cast_unsigned();
        (hash ^ (hash >> 16)) as usize & (self.buckets.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::JavaMap;

    fn keys(map: &JavaMap<i32, ()>) -> Vec<i32> {
        map.iter().map(|entry| *entry.1).collect()
    }

    fn of(keys: &[i32]) -> JavaMap<i32, ()> {
        let mut map = JavaMap::default();
        for key in keys {
            map.insert(*key, *key, ());
        }
        map
    }

    /// Buckets come in order, and of one bucket the first that came; hashes are spread by their upper half.
    #[test]
    fn order_is_by_bucket_and_then_by_insertion() {
        let map = of(&[33, 1, 17, 0, 15, 0x10000]);
        assert_eq!(keys(&map), [0, 33, 1, 17, 0x10000, 15]);
    }

    /// The thirteenth entry makes thirty-two buckets; what shares a bucket keeps its order.
    #[test]
    fn it_grows_at_three_quarters() {
        let twelve: Vec<i32> = (0..12).map(|key| key * 16).rev().collect();
        assert_eq!(keys(&of(&twelve)), twelve);
        let thirteen: Vec<i32> = (0..13).map(|key| key * 16).rev().collect();
        let even = thirteen.iter().filter(|key| **key % 32 == 0);
        let odd = thirteen.iter().filter(|key| **key % 32 == 16);
        let expected: Vec<i32> = even.chain(odd).copied().collect();
        assert_eq!(keys(&of(&thirteen)), expected);
    }

    /// A copy of two entries has four buckets, of three eight; rewritten it has sixteen again.
    #[test]
    fn copies_are_as_small_as_they_can_be() {
        let two = of(&[9, 4]);
        assert_eq!(keys(&two), [4, 9]);
        assert_eq!(keys(&two.copied()), [4, 9]);
        let two = of(&[5, 14]);
        assert_eq!(two.copied().buckets.len(), 4);
        let three = of(&[9, 2, 1]);
        assert_eq!(keys(&three.copied()), [1, 9, 2]);
        assert_eq!(three.copied().buckets.len(), 8);
        assert_eq!(keys(&three.copied().rewritten()), [1, 2, 9]);
        assert_eq!(of(&[]).copied().buckets.len(), 0);
    }

    /// A removed key leaves the others in their order and may come back at the end.
    #[test]
    fn removal_unlinks() {
        let mut map = of(&[1, 17, 33]);
        map.remove(17, &17);
        assert_eq!((keys(&map), map.len()), (vec![1, 33], 2));
        map.insert(17, 17, ());
        assert_eq!(keys(&map), [1, 33, 17]);
        assert!(map.get_mut(17, &17).is_some());
        assert!(map.get_mut(49, &49).is_none());
    }
}
