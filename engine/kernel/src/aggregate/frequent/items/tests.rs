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
            let stream = stream(seed, 600);
            for (at, item) in stream.iter().enumerate() {
                let sketch = if at % 3 == 0 { &mut right } else { &mut left };
                sketch.update(item, 1);
            }
            left.merge(&right);
            // As in Java, a sketch whose items were all purged counts for nothing.
            let purged = right.active == 0;
            let mut truth: BTreeMap<i64, i64> = BTreeMap::new();
            for (at, item) in stream.iter().enumerate() {
                if at % 3 != 0 || !purged {
                    *truth.entry(*item).or_default() += 1;
                }
            }
            assert_eq!(left.active, left.slots.iter().flatten().count());
            assert_eq!(left.weight, truth.values().sum::<i64>());
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

/// Read back, a sketch holds the same counts; one without items is new.
#[test]
fn a_sketch_reads_back() {
    for seed in 0..20 {
        let mut sketch = Items::new(9);
        for item in stream(seed, 300) {
            sketch.update(&item, 1);
        }
        let read = sketch.reread();
        let counts = |sketch: &Items<i64>| {
            let slots = sketch.slots.iter().flatten();
            slots.map(|s| (s.item, s.count)).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(counts(&read), counts(&sketch));
        let rest = |sketch: &Items<i64>| (sketch.active, sketch.offset, sketch.weight);
        assert_eq!(rest(&read), rest(&sketch));
    }
    let mut purged = Items::new(2);
    (0..7_i64).for_each(|item| purged.update(&item, 1));
    assert_eq!((purged.active, purged.offset), (0, 1));
    let read = purged.reread();
    assert_eq!((read.offset, read.weight, read.sample_max), (0, 0, 6));
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
