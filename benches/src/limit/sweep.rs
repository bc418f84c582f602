//! One key's events and queries, both in time order, walked once.
//!
//! Hot path: each pointer only moves forward; buffers are reused from key to key.

use std::collections::VecDeque;

use crate::window::{Features, WINDOWS};

/// Buffers and the answers of the last run.
#[derive(Default)]
pub(super) struct Sweep {
    prefix: Vec<f64>,
    /// Per window: events whose amount no later event within reach exceeds, largest first.
    maxima: [VecDeque<usize>; WINDOWS.len()],
    answers: Vec<[Features; WINDOWS.len()]>,
}

impl Sweep {
    pub(super) fn run(
        &mut self,
        times: &[i64],
        amounts: &[f64],
        queries: impl Iterator<Item = i64>,
    ) {
        self.answers.clear();
        self.maxima.iter_mut().for_each(VecDeque::clear);
        self.prefix.clear();
        self.prefix.push(0.0);
        let mut total = 0.0;
        self.prefix.extend(amounts.iter().map(|amount| {
            total += amount;
            total
        }));
        let mut head = 0;
        let mut tails = [0; WINDOWS.len()];
        // The first event at the time of the event before the head: it wins a tie for the last.
        let mut latest = 0;
        for query_ts in queries {
            let entered = head;
            while head < times.len() && times[head] < query_ts {
                if times[latest] != times[head] {
                    latest = head;
                }
                head += 1;
            }
            let mut answer = [Features::NONE; WINDOWS.len()];
            for (index, window) in WINDOWS.iter().enumerate() {
                let tail_ts = window.tail(query_ts);
                let tail = &mut tails[index];
                while *tail < head && times[*tail] < tail_ts {
                    *tail += 1;
                }
                let maxima = &mut self.maxima[index];
                for entering in entered.max(*tail)..head {
                    while maxima
                        .back()
                        .is_some_and(|last| amounts[*last] <= amounts[entering])
                    {
                        maxima.pop_back();
                    }
                    maxima.push_back(entering);
                }
                while maxima.front().is_some_and(|first| first < tail) {
                    maxima.pop_front();
                }
                if let Some(largest) = maxima.front() {
                    answer[index] = Features {
                        count: u32::try_from(head - *tail).expect("fewer events than 2^32"),
                        sum: self.prefix[head] - self.prefix[*tail],
                        max: amounts[*largest],
                        last: amounts[latest],
                    };
                }
            }
            self.answers.push(answer);
        }
    }

    pub(super) fn features(&self, query: usize) -> [Features; WINDOWS.len()] {
        self.answers[query]
    }
}
