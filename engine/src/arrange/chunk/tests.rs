//! Merging, compacting and packing agree with a plain map, for chunks so small that keys and rows straddle them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::Int64Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use differential_dataflow::trace::chunk::is_graded;

use super::*;
use crate::testing::Random;

const TARGET: usize = 16;
type Small = RowChunk<TARGET>;
type Content = BTreeMap<(u128, i64, u64, Epoch), i64>;

fn payload(key: u128, ts: i64, position: u64) -> i64 {
    key as i64 * 1_000_003 + ts * 101 + position as i64
}

fn chunks(content: &Content, random: &mut Random) -> Vec<Small> {
    let all: Vec<_> = content.iter().collect();
    let mut chunks = Vec::new();
    let mut start = 0;
    while start < all.len() {
        let end = (start + 1 + random.below(TARGET as u64) as usize).min(all.len());
        let mut rows = Rows::default();
        let mut values = Vec::new();
        for (have, &(&(key, ts, position, time), &diff)) in all[start..end].iter().enumerate() {
            if rows.keys.last() != Some(&key) {
                rows.keys.push(key);
                rows.offsets.push(0);
            }
            *rows.offsets.last_mut().unwrap() = have as u32 + 1;
            rows.ts.push(ts);
            rows.position.push(position);
            rows.time.push(have, time);
            rows.diff.push(have, diff);
            values.push(payload(key, ts, position));
        }
        rows.columns = vec![Arc::new(Int64Array::from(values))];
        chunks.push(Small::new(rows));
        start = end;
    }
    chunks
}

fn read(chunks: &[Small]) -> Content {
    let mut content = Content::new();
    let mut last = None;
    for chunk in chunks {
        let rows = &chunk.0;
        let values = rows.columns[0].as_primitive::<Int64Type>();
        assert_eq!(*rows.offsets.last().unwrap() as usize, rows.len());
        for (index, &key) in rows.keys.iter().enumerate() {
            for row in rows.range(index) {
                let at = (key, rows.ts[row], rows.position[row], rows.time.get(row));
                assert!(last < Some(at), "sorted and consolidated");
                last = Some(at);
                assert_eq!(values.value(row), payload(key, at.1, at.2));
                assert_ne!(rows.diff.get(row), 0);
                content.insert(at, rows.diff.get(row));
            }
        }
    }
    content
}

fn random_content(random: &mut Random) -> Content {
    let (rows, keys) = (random.below(90), 1 + random.below(6));
    let mut content = Content::new();
    for _ in 0..rows {
        let at = (
            u128::from(random.below(keys)),
            random.below(5) as i64,
            random.below(4),
            random.below(4),
        );
        content.insert(at, [1, -1, 2][random.below(3) as usize]);
    }
    content
}

fn sum(contents: &[&Content], time: impl Fn(Epoch) -> Epoch) -> Content {
    let mut total = Content::new();
    for content in contents {
        for (&(key, ts, position, at), diff) in *content {
            *total.entry((key, ts, position, time(at))).or_default() += diff;
        }
    }
    total.retain(|_, diff| *diff != 0);
    total
}

/// The merger differential runs, step by step: merge, advance, settle.
#[test]
fn merges_and_compacts_like_a_map() {
    for seed in 0..3_000 {
        let mut random = Random::new(seed);
        let (left, right) = (random_content(&mut random), random_content(&mut random));
        let since = random.below(5);
        let frontier = [since];
        let frontier = AntichainRef::new(&frontier);
        let mut in1: VecDeque<_> = chunks(&left, &mut random).into();
        let mut in2: VecDeque<_> = chunks(&right, &mut random).into();
        let (mut merged, mut advanced, mut settled) =
            (VecDeque::new(), VecDeque::new(), VecDeque::new());
        while !in1.is_empty() && !in2.is_empty() {
            let before = in1.len() + in2.len();
            Small::merge(&mut in1, &mut in2, &mut merged);
            assert!(in1.len() + in2.len() < before, "each call uses up a chunk");
            if random.below(2) == 0 {
                Small::advance(&mut merged, frontier, false, &mut advanced);
                Small::settle(&mut advanced, false, &mut settled);
            }
        }
        merged.extend(in1.drain(..).chain(in2.drain(..)));
        Small::advance(&mut merged, frontier, true, &mut advanced);
        Small::settle(&mut advanced, true, &mut settled);
        let settled: Vec<_> = settled.into();
        assert!(is_graded(&settled), "seed {seed}");
        let want = sum(&[&left, &right], |t| t.max(since));
        assert_eq!(read(&settled), want, "seed {seed}");
    }
}

/// Extraction keeps exactly the rows at or after the frontier, and says their least epoch.
#[test]
fn extracts_by_epoch() {
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let content = random_content(&mut random);
        let bound = [random.below(5)];
        let mut input: VecDeque<_> = chunks(&content, &mut random).into();
        let (mut keep, mut ship) = (VecDeque::new(), VecDeque::new());
        let mut residual = Antichain::new();
        while !input.is_empty() {
            let frontier = AntichainRef::new(&bound);
            Small::extract(&mut input, frontier, &mut residual, &mut keep, &mut ship);
        }
        let side = |kept: bool| {
            let mut side = content.clone();
            side.retain(|at, _| (at.3 >= bound[0]) == kept);
            side
        };
        assert_eq!(read(&Vec::from(keep)), side(true));
        assert_eq!(read(&Vec::from(ship)), side(false));
        let least = side(true).keys().map(|at| at.3).min();
        assert_eq!(residual.elements().first().copied(), least);
    }
}
