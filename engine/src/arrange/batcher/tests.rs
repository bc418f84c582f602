//! A batch is what sorting and summing all its changes in a plain map gives, and what is not ready stays.

use std::sync::Arc;

use arrow_array::Int64Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use differential_dataflow::trace::chunk::Chunk;

use super::*;
use crate::testing::Random;

type Content = BTreeMap<(u128, i64, u64, Epoch), (i64, i64)>;

fn read<const TARGET: usize>(chunks: &[RowChunk<TARGET>]) -> Content {
    let mut content = Content::new();
    let mut last = None;
    for chunk in chunks {
        let rows = &chunk.0;
        assert!(!rows.is_empty() && chunk.len() <= TARGET);
        assert_eq!(rows.offsets.len(), rows.keys.len() + 1);
        let payload = rows.columns[0].as_primitive::<Int64Type>();
        for (index, &key) in rows.keys.iter().enumerate() {
            for row in rows.range(index) {
                let at = (key, rows.ts[row], rows.position[row], rows.time.get(row));
                assert!(last < Some(at), "sorted, each once");
                last = Some(at);
                content.insert(at, (payload.value(row), rows.diff.get(row)));
            }
        }
    }
    content
}

/// Random containers of random epochs, few keys and times (ties, equal upper halves) or many; times that fit the
/// packed word and times that do not; small epochs and partitioned ones.
#[test]
fn sorts_and_sums_like_a_map() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let (keys, times) = (1 + random.below(40), 1 + random.below(50) as i64);
        let spread = [1_i64, 1_000_003, i64::MAX / 128][random.below(3) as usize];
        let containers = if seed % 20 == 0 { 150 } else { random.below(9) };
        let mut batcher = RadixBatcher::<64>::default();
        let mut want = Content::new();
        for _ in 0..containers {
            let rows = random.below(if seed % 20 == 0 { 2_000 } else { 60 });
            let mut batch = Batch::default();
            let mut payload = Vec::new();
            let constant = random.below(2) == 0;
            let fixed = (random.below(3), 1 - 2 * random.below(2) as i64);
            for row in 0..rows as usize {
                let key =
                    u128::from(random.below(keys) << 56 | 1) << 64 | u128::from(random.below(2));
                let ts = (random.below(times as u64) as i64 - times / 2) * spread;
                let position = random.below(1_000);
                let (time, diff) = match constant {
                    true => fixed,
                    false => (random.below(3), 1 - 2 * random.below(2) as i64),
                };
                let value = (position * 31) as i64;
                batch.key.push(key);
                batch.ts.push(ts);
                batch.position.push(position);
                batch.time.push(row, time);
                batch.diff.push(row, diff);
                payload.push(value);
                let entry = want.entry((key, ts, position, time)).or_insert((value, 0));
                entry.1 += diff;
            }
            batch.columns = vec![Arc::new(Int64Array::from(payload))];
            batcher.insert(&mut batch);
        }
        want.retain(|_, (_, diff)| *diff != 0);
        let mut upper = 0;
        while upper < 3 {
            upper += 1 + random.below(2);
            let bound = [upper];
            let (batch, kept) = batcher.extract(AntichainRef::new(&bound));
            let kept: Vec<Epoch> = kept.iter().copied().collect();
            let got = batch.map(|b| read(&b.chunks)).unwrap_or_default();
            let (ready, rest) = want.into_iter().partition(|(at, _)| at.3 < upper);
            want = rest;
            assert_eq!(got, ready, "seed {seed}");
            assert!(kept.first().is_none_or(|k| *k >= upper));
            let least = want.keys().map(|at| at.3).min();
            assert!(kept.first().copied() <= least || least.is_none());
        }
        let (batch, _) = batcher.extract(AntichainRef::new(&[]));
        assert_eq!(batch.map(|b| read(&b.chunks)).unwrap_or_default(), want);
    }
}
