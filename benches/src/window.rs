//! The three windows of the workload, the rule for their tails, and a feature's value.
//!
//! States the rule a second time on purpose: the benches must not borrow the engine's arithmetic.

const HOUR_MILLIS: i64 = 3_600_000;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;

/// A window: its name in column names, its length, and the hop to which its tail is rounded.
pub struct Window {
    /// The end of the column names.
    pub name: &'static str,
    /// Length in milliseconds.
    pub length_millis: i64,
    /// The tail is rounded down to a multiple of this.
    pub hop_millis: i64,
}

/// The windows of the plain features. Tails move by an hour from twelve hours on, by a day from
/// twelve days on.
pub const WINDOWS: [Window; 3] = [
    Window {
        name: "1d",
        length_millis: DAY_MILLIS,
        hop_millis: HOUR_MILLIS,
    },
    Window {
        name: "7d",
        length_millis: 7 * DAY_MILLIS,
        hop_millis: HOUR_MILLIS,
    },
    Window {
        name: "30d",
        length_millis: 30 * DAY_MILLIS,
        hop_millis: DAY_MILLIS,
    },
];

impl Window {
    /// The first moment that counts for a row that asks at `query_ts`.
    pub fn tail(&self, query_ts: i64) -> i64 {
        let start = query_ts - self.length_millis;
        start / self.hop_millis * self.hop_millis
    }
}

/// What one window of one row holds. With `count` zero, the rest means nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Features {
    /// Events whose amount is not null.
    pub count: u32,
    /// Sum of amounts.
    pub sum: f64,
    /// Largest amount.
    pub max: f64,
    /// Amount of the latest event; of several at one time, of the first in the input.
    pub last: f64,
}

impl Features {
    /// Of no events.
    pub const NONE: Features = Features {
        count: 0,
        sum: 0.0,
        max: 0.0,
        last: 0.0,
    };
}
