//! The plainly right answer: every event of a key is looked at for every row.
//!
//! Never fast. It is the twin of [`crate::limit`] in tests, and the bench runs it at a small size
//! to say what the cleverness is worth.

use std::collections::BTreeMap;

use crate::input::{Event, Query};
use crate::window::{Features, WINDOWS};

/// Answers each query, in their order. Events are given in the order of the input.
pub fn answer(events: &[Event], queries: &[Query]) -> Vec<[Features; WINDOWS.len()]> {
    let mut by_user: BTreeMap<i64, Vec<Event>> = BTreeMap::new();
    for event in events {
        by_user.entry(event.user).or_default().push(*event);
    }
    let none = Vec::new();
    queries
        .iter()
        .map(|query| {
            let events = by_user.get(&query.user).unwrap_or(&none);
            WINDOWS.each_ref().map(|window| {
                let tail = window.tail(query.ts);
                fold(
                    events
                        .iter()
                        .filter(|event| tail <= event.ts && event.ts < query.ts),
                )
            })
        })
        .collect()
}

fn fold<'a>(events: impl Iterator<Item = &'a Event>) -> Features {
    let mut features = Features::NONE;
    let mut last_ts = i64::MIN;
    for event in events {
        let is_first = features.count == 0;
        features.count += 1;
        features.sum += event.amount;
        features.max = if is_first {
            event.amount
        } else {
            features.max.max(event.amount)
        };
        if event.ts > last_ts {
            (last_ts, features.last) = (event.ts, event.amount);
        }
    }
    features
}
