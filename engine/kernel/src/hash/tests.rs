//! Identities of keys: fixed, injective where promised, nulls told apart.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray};

use super::{FixedMap, hash_keys};

fn column<A: arrow_array::Array + 'static>(array: A) -> ArrayRef {
    Arc::new(array)
}

/// The hashes are part of what processes agree on: they must never change.
#[test]
fn hashes_are_fixed() {
    let ids = hash_keys(&[column(Int64Array::from(vec![Some(0), Some(1), None]))]).unwrap();
    assert_eq!(ids[0], 0xe220_a839_7b1d_cdaf_u128 << 64);
    assert_eq!(ids[1] as u64, 0);
    assert_eq!(ids[2] as u64, 1);
    let names = hash_keys(&[column(StringArray::from(vec!["a", ""]))]).unwrap();
    assert_eq!(names[0], xxhash_rust::xxh3::xxh3_128(b"a"));
}

/// An integer has the same identity in every width it fits in, and different integers never collide.
#[test]
fn integers_do_not_collide() {
    let wide: Vec<i64> = (-5_000..5_000).collect();
    let narrow: Vec<i32> = (-5_000..5_000).collect();
    let wide = hash_keys(&[column(Int64Array::from(wide))]).unwrap();
    let narrow = hash_keys(&[column(Int32Array::from(narrow))]).unwrap();
    assert_eq!(wide, narrow);
    assert_eq!(wide.iter().collect::<BTreeSet<_>>().len(), 10_000);
}

/// Nulls belong to the key: no two of the nine pairs over {a, b, null} are the same.
#[test]
fn nulls_are_part_of_the_key() {
    let values = [Some("a"), Some("b"), None];
    let (mut first, mut second) = (vec![], vec![]);
    for x in values {
        for y in values {
            first.push(x);
            second.push(y);
        }
    }
    let ids = hash_keys(&[
        column(StringArray::from(first)),
        column(StringArray::from(second)),
    ])
    .unwrap();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 9);
    let shifted = hash_keys(&[
        column(StringArray::from(vec!["ab", "a"])),
        column(StringArray::from(vec!["c", "bc"])),
        column(BooleanArray::from(vec![true, true])),
    ])
    .unwrap();
    assert_ne!(shifted[0], shifted[1]);
}

/// `-0.0` is `0.0` and every NaN is NaN, as when Spark groups.
#[test]
fn floats_are_normalised() {
    let other_nan = f64::from_bits(f64::NAN.to_bits() | 1);
    let ids = hash_keys(&[column(Float64Array::from(vec![
        0.0,
        -0.0,
        f64::NAN,
        other_nan,
    ]))]);
    let ids = ids.unwrap();
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[2], ids[3]);
    assert_ne!(ids[0], ids[2]);
}

/// The map answers look-ups.
#[test]
fn fixed_map() {
    let mut map = FixedMap::new();
    assert_eq!(map.insert("a".to_owned(), 1), None);
    *map.get_or_insert_with("a".to_owned(), || 7) += 1;
    assert_eq!(map.get("a"), Some(&2));
    assert_eq!(map.remove("a"), Some(2));
    assert!(map.is_empty());
}
