//! The sketch against exact counts, and its stored form.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use datasketches::frequencies::FrequentItemsSketch;

use super::Items;

/// A stream in which small numbers are frequent.
fn stream(seed: u64, length: usize) -> Vec<i64> {
    let mut state = seed;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (a, b) = ((state >> 33) % 40, (state >> 50) % 40);
        (a.min(b) as i64) - 5
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// True counts lie within the bounds, and what is called frequent is.
#[test]
fn bounds_hold() {
    for seed in 0..50 {
        for k in [2, 8, 9, 30] {
            let (mut left, mut right) = (Items::new(k), Items::new(k));
            let mut truth: BTreeMap<i64, i64> = BTreeMap::new();
            for (at, item) in stream(seed, 600).iter().enumerate() {
                let sketch = if at % 3 == 0 { &mut right } else { &mut left };
                sketch.update(item, 1);
                *truth.entry(*item).or_default() += 1;
            }
            left.merge(&right);
            assert_eq!(left.active, left.slots.iter().flatten().count());
            assert_eq!(left.weight, 600);
            for slot in left.slots.iter().flatten() {
                let count = truth[&slot.item];
                assert!(
                    slot.count <= count && count <= slot.count + left.offset,
                    "seed {seed}"
                );
            }
            let kept = |item: &i64| left.slots.iter().flatten().any(|slot| slot.item == *item);
            for (item, count) in &truth {
                assert!(kept(item) || *count <= left.offset, "seed {seed}, {item}");
            }
        }
    }
}

/// Every item is found from its home without crossing an empty slot.
#[test]
fn clusters_have_no_holes() {
    for seed in 0..50 {
        let mut sketch = Items::new(16);
        for item in stream(seed, 400) {
            sketch.update(&item, 1);
            let mask = sketch.slots.len() - 1;
            for (place, slot) in sketch.slots.iter().enumerate() {
                let Some(slot) = slot else { continue };
                let home = sketch.home(&slot.item);
                assert_eq!((home + slot.drift - 1) & mask, place);
                let way = (0..slot.drift).map(|step| (home + step) & mask);
                assert!(way.into_iter().all(|place| sketch.slots[place].is_some()));
            }
        }
    }
}

/// Apache's own reader takes the bytes.
#[test]
fn bytes_are_apaches() {
    let mut sketch = Items::new(16);
    stream(7, 500)
        .iter()
        .for_each(|item| sketch.update(item, 1));
    let read = FrequentItemsSketch::<i64>::deserialize(&sketch.to_bytes()).unwrap();
    assert_eq!(read.total_weight(), 500);
    assert_eq!(read.maximum_error() as i64, sketch.offset);
    for slot in sketch.slots.iter().flatten() {
        assert_eq!(read.lower_bound(&slot.item) as i64, slot.count);
    }
    let none = Items::<String>::new(8).to_bytes();
    assert!(
        FrequentItemsSketch::<String>::deserialize(&none)
            .unwrap()
            .is_empty()
    );
    let mut words = Items::new(8);
    words.update(&"é".to_owned(), 3);
    let read = FrequentItemsSketch::<String>::deserialize(&words.to_bytes()).unwrap();
    assert_eq!(read.lower_bound("é"), 3);
}
