//! Which rows belong to which window, decided once for all columns of a run.
//!
//! ```text
//!  tail = floor(q − W, hop)                                                                    head      q
//!   ├─ five minutes ─┤── hours ──┤────── days ──────┤── hours ──┤── five minutes ──┤ events, one by one )
//! ```
//! A [`timeline::Timeline`] cuts each key's rows into the non-empty five-minute tiles, hours and days and says for
//! every query slot and window which of them make up `[tail, head)`. The decomposition is the canonical order of
//! floating sums (decision D8): a window's value depends on the window's content and the query only.
//! Never looks at payloads.

pub mod timeline;

use unskewed_planner::time::{DAY_MILLIS, FIVE_MINUTES_MILLIS, Window};

use crate::evaluate::batch_states::cut_millis;

/// How finely tails are rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// TEMPORAL: by the window's own hop, from five minutes to a day.
    FiveMinutes,
    /// SNAPSHOT: always to the day.
    Daily,
    /// What a batch collapses: from two days after the tail on, in whole hops (see `evaluate::batch_states`).
    Collapsed,
}

/// The largest multiple of `hop_millis` that is not after `millis`; stays put at the far end of time.
pub fn floor_to(millis: i64, hop_millis: i64) -> i64 {
    millis.saturating_sub(millis.rem_euclid(hop_millis))
}

/// The smallest multiple of `hop_millis` that is not before `millis`; stays put at the far end of time.
pub fn ceiling_to(millis: i64, hop_millis: i64) -> i64 {
    match millis.rem_euclid(hop_millis) {
        0 => millis,
        past => millis.saturating_add(hop_millis - past),
    }
}

impl Resolution {
    /// The tile that the tail of this window is rounded to.
    pub fn tail_hop_millis(self, window: Window) -> i64 {
        match self {
            Self::FiveMinutes | Self::Collapsed => window.tail_hop_millis(),
            Self::Daily => DAY_MILLIS,
        }
    }

    /// First instant inside the window of a query; `i64::MIN` when unbounded.
    pub fn tail_millis(self, window: Window, query_millis: i64) -> i64 {
        if self == Self::Collapsed {
            return cut_millis(window, query_millis);
        }
        match window.millis() {
            Some(length) => {
                let start = query_millis.saturating_sub(length);
                floor_to(start, self.tail_hop_millis(window))
            }
            None => i64::MIN,
        }
    }

    /// The first query time whose window no longer holds a row at `ts_millis`; `i64::MAX` when there is none.
    pub fn expiry_millis(self, window: Window, ts_millis: i64) -> i64 {
        match window.millis() {
            Some(length) => {
                let hop = self.tail_hop_millis(window);
                let next_tail = floor_to(ts_millis, hop).saturating_add(hop);
                next_tail.saturating_add(length)
            }
            None => i64::MAX,
        }
    }
}

/// The start of the five-minute slot of a query: rows from here to the query are taken one by one.
pub fn head_millis(query_millis: i64) -> i64 {
    floor_to(query_millis, FIVE_MINUTES_MILLIS)
}
