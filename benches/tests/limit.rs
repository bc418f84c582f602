//! The single-purpose program answers what its naive twin answers, for many seeds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use unskewed_benches::input::{Event, Query};
use unskewed_benches::{limit, naive};

/// A small generator with good enough bits (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % bound
    }
}

/// Times fall on few moments, many of them hop edges, so that ties and edges are common.
fn moment(random: &mut Random) -> i64 {
    let hour = 3_600_000;
    let base = 1_704_067_200_000 + hour * i64::try_from(random.below(40 * 24)).unwrap();
    base + i64::try_from(random.below(5)).unwrap() - 2
}

#[test]
fn limit_equals_naive() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let users = 1 + random.below(40);
        let user = |random: &mut Random| i64::try_from(random.below(users)).unwrap() - 3;
        let events: Vec<Event> = (0..random.below(3000))
            .map(|_| Event {
                user: user(&mut random),
                ts: moment(&mut random),
                amount: f64::from(i32::try_from(random.below(8000)).unwrap() - 4000) / 4.0,
            })
            .collect();
        let queries: Vec<Query> = (0..random.below(500))
            .map(|_| Query {
                user: user(&mut random),
                ts: moment(&mut random),
                request_id: 0,
                day: 0,
            })
            .collect();
        let expected = naive::answer(&events, &queries);
        for threads in [1, 2, 3] {
            let got = limit::answer_in_memory(&events, &queries, threads);
            assert_eq!(got, expected, "seed {seed}, {threads} threads");
        }
    }
}
