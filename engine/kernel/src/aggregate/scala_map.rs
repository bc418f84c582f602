//! The order in which a Scala 2.12 immutable map gives its entries: what the reference copies a Java map into before it
//! feeds it on.
//!
//! Up to four entries keep their order; more lie in a trie by five bits of the mixed hash at a time, lowest first.
//! Entries of one mixed hash keep their order. *Source: the documentation of `scala.collection.immutable.HashMap` and
//! of `##`; checked against recorded outputs.*

/// Up to this many entries are kept in a row.
const ROW: usize = 4;

/// Puts entries with their Scala hashes in order.
pub(crate) fn in_scala_order<T>(entries: Vec<(i32, T)>) -> Vec<T> {
    let mut entries = entries;
    if entries.len() > ROW {
        entries.sort_by_key(|(hash, _)| path(*hash));
    }
    entries.into_iter().map(|(_, entry)| entry).collect()
}

/// The way through the trie, first step in the highest bits.
fn path(hash: i32) -> u64 {
    let mut mixed = hash.cast_unsigned();
    mixed = mixed.wrapping_add(!(mixed << 9));
    mixed ^= mixed >> 14;
    mixed = mixed.wrapping_add(mixed << 4);
    mixed ^= mixed >> 10;
    (0..7).fold(0, |path, step| {
        path << 5 | u64::from(mixed >> (5 * step) & 31)
    })
}

/// `##` of a long: equal for equal numbers of all types.
pub(crate) fn hash_of_long(value: i64) -> i32 {
    match i32::try_from(value) {
        Ok(small) => small,
        Err(_) => super::stored::hash_of_bits(value.cast_unsigned()),
    }
}

/// `##` of a double: equal for equal numbers of all types.
pub(crate) fn hash_of_double(value: f64) -> i32 {
    let (small, whole, single) = (value as i32, value as i64, value as f32);
    if f64::from(small) == value {
        small
    } else if whole as f64 == value {
        super::stored::hash_of_bits(whole.cast_unsigned())
    } else if f64::from(single) == value {
        single.to_bits().cast_signed()
    } else {
        super::stored::hash_of_bits(value.to_bits())
    }
}

#[cfg(test)]
mod tests {
    use super::{hash_of_double, hash_of_long, in_scala_order};

    /// Numbers hash alike whatever their type.
    #[test]
    fn equal_numbers_have_equal_hashes() {
        for value in [0, 1, -7, i64::from(i32::MAX), 1 << 40, -(1 << 52)] {
            assert_eq!(hash_of_long(value), hash_of_double(value as f64), "{value}");
        }
        assert_eq!(hash_of_double(-0.0), 0);
        assert_eq!(hash_of_double(0.25), 0.25_f32.to_bits().cast_signed());
        assert_eq!(hash_of_double(f64::INFINITY), 0x7f80_0000);
        assert_eq!(hash_of_double(f64::NAN), 0x7ff8_0000);
    }

    /// Four entries stay as they are; the order of five was read off Scala 2.12's trie of 1 to 5.
    #[test]
    fn five_entries_lie_in_a_trie() {
        let entries = |keys: &[i32]| keys.iter().map(|key| (*key, *key)).collect::<Vec<_>>();
        assert_eq!(in_scala_order(entries(&[4, 1, 3, 2])), [4, 1, 3, 2]);
        assert_eq!(in_scala_order(entries(&[1, 2, 3, 4, 5])), [5, 1, 2, 3, 4]);
    }
}
