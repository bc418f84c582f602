//! The sketch is as exact as promised, reproducible, and Apache's reader takes its bytes.

use datasketches::common::SearchCriteria;
use datasketches::kll::{KllFloat, KllSketch};

use super::Kll;

/// Values in an order that is neither sorted nor periodic.
fn values(count: u32) -> impl Iterator<Item = f32> {
    (0..count).map(|i| (i.wrapping_mul(2_654_435_761) % 1_000_003) as f32)
}

/// Below its size the sketch is exact: the exclusive rank of 0.5 among ten is the sixth.
#[test]
fn small_sketches_are_exact() {
    let mut sketch = Kll::new(128);
    for value in [3.0, 1.0, 2.0, 5.0, 4.0, 10.0, 9.0, 8.0, 7.0, 6.0, f32::NAN] {
        sketch.update(value);
    }
    let found = sketch.quantiles(&[0.0, 0.25, 0.5, 1.0]).unwrap();
    assert_eq!(found, [1.0, 3.0, 6.0, 10.0]);
    assert_eq!(Kll::new(128).quantiles(&[0.5]), None);
}

/// Ranks are within 3 % at k = 128, updated one by one or merged from pieces, and the same whenever repeated.
#[test]
fn ranks_are_close() {
    let all: Vec<f32> = values(100_000).collect();
    let mut sorted = all.clone();
    sorted.sort_by(f32::total_cmp);
    let build = |piece: usize| {
        let mut whole = Kll::new(128);
        for values in all.chunks(piece) {
            let mut part = Kll::new(128);
            values.iter().for_each(|value| part.update(*value));
            whole.merge(&part);
        }
        whole
    };
    for piece in [1, 17, 5_000, 100_000] {
        let sketch = build(piece);
        assert_eq!(sketch.to_bytes(), build(piece).to_bytes());
        for fraction in [0.01, 0.25, 0.5, 0.75, 0.99] {
            let found = sketch.quantiles(&[fraction]).unwrap()[0];
            let rank = sorted.partition_point(|value| *value < found) as f64 / 100_000.0;
            assert!((rank - fraction).abs() < 0.03, "{piece} {fraction} {rank}");
        }
    }
}

/// Apache's reader takes the bytes of any size and answers as we do, and we read Apache's.
#[test]
fn bytes_are_apaches() {
    let fractions = [0.05, 0.5, 0.9];
    for count in [0, 1, 2, 10, 127, 128, 1_000, 30_000] {
        let (mut ours, mut theirs) = (Kll::new(128), KllSketch::new(128).unwrap());
        for value in values(count) {
            ours.update(value);
            theirs.update(KllFloat::<f32>::new(value).unwrap());
        }
        let read = KllSketch::<KllFloat<f32>>::deserialize(&ours.to_bytes()).unwrap();
        let answers = read
            .quantiles(&fractions, SearchCriteria::Exclusive)
            .unwrap();
        let answers = answers.map(|list| list.into_iter().map(KllFloat::into_inner).collect());
        assert_eq!(answers, ours.quantiles(&fractions), "{count}");
        let back = Kll::from_bytes(&ours.to_bytes()).unwrap();
        assert_eq!(back.to_bytes(), ours.to_bytes());
        let foreign = Kll::from_bytes(&theirs.serialize()).unwrap();
        let answers = theirs
            .quantiles(&fractions, SearchCriteria::Exclusive)
            .unwrap();
        let answers = answers.map(|list| list.into_iter().map(KllFloat::into_inner).collect());
        assert_eq!(answers, foreign.quantiles(&fractions), "{count}");
    }
}

/// Bytes that are no sketch are refused, whatever is cut off or changed.
#[test]
fn other_bytes_are_refused() {
    let mut sketch = Kll::new(8);
    values(100).for_each(|value| sketch.update(value));
    let bytes = sketch.to_bytes();
    for cut in 0..bytes.len() {
        assert!(Kll::from_bytes(&bytes[..cut]).is_none(), "{cut}");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x55;
        // May be read as another sketch, but never panics.
        if let Some(read) = Kll::from_bytes(&changed) {
            assert!(read.quantiles(&[0.5]).is_some() || read.is_empty());
        }
    }
}
