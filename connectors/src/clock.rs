//! Time is an outside system too: whoever needs it takes a [`Clock`].
//!
//! Promises: the only file of the house that names `Instant` or `SystemTime`. [`ManualClock`] moves
//! only when it is told to, so a simulation owns time. Never used to decide what an answer is, only
//! when to wait and what to report.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

/// A source of time.
///
/// # Contract
/// `monotonic` never goes back; `now_millis` may. `sleep` returns once `monotonic` has advanced by
/// the duration.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Milliseconds since 1970-01-01, UTC.
    fn now_millis(&self) -> i64;

    /// Time since some fixed moment before.
    fn monotonic(&self) -> Duration;

    /// Waits this long.
    fn sleep(&self, duration: Duration);
}

/// The clock on the wall.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A clock whose `monotonic` starts at zero.
    #[allow(clippy::disallowed_methods, reason = "the one place that may ask")]
    pub fn new() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that may ask")]
    fn now_millis(&self) -> i64 {
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        }
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// A clock that is cranked by hand; sleeping cranks it.
#[derive(Debug, Default)]
pub struct ManualClock {
    state: Mutex<(i64, Duration)>,
}

impl ManualClock {
    /// A clock that shows this time.
    pub fn at_millis(now_millis: i64) -> Self {
        Self {
            state: Mutex::new((now_millis, Duration::ZERO)),
        }
    }

    /// Moves time on.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.state.lock().expect("no holder panics");
        state.0 += i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        state.1 += duration;
    }
}

impl Clock for ManualClock {
    fn now_millis(&self) -> i64 {
        self.state.lock().expect("no holder panics").0
    }

    fn monotonic(&self) -> Duration {
        self.state.lock().expect("no holder panics").1
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}

/// `yyyyMMddHHmmss` of an instant, UTC: the suffix of an archived table's name.
pub fn compact_utc(now_millis: i64) -> String {
    use unskewed_planner::time::{DAY_MILLIS, Partition};
    let day = Partition::of_millis(now_millis)
        .to_string()
        .replace('-', "");
    let second = now_millis.rem_euclid(DAY_MILLIS) / 1000;
    format!(
        "{day}{:02}{:02}{:02}",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manual clock shows what it was cranked to, and sleeping cranks it.
    #[test]
    fn manual_clock_moves_only_by_hand() {
        let clock = ManualClock::at_millis(1_709_301_599_000);
        assert_eq!(compact_utc(clock.now_millis()), "20240301135959");
        clock.sleep(Duration::from_secs(2));
        assert_eq!(compact_utc(clock.now_millis()), "20240301140001");
        assert_eq!(clock.monotonic(), Duration::from_secs(2));
    }

    /// The system clock's monotonic time does not go back.
    #[test]
    fn system_clock_goes_on() {
        let clock = SystemClock::new();
        let before = clock.monotonic();
        clock.sleep(Duration::from_millis(2));
        assert!(clock.monotonic() >= before + Duration::from_millis(2));
        assert!(clock.now_millis() > 1_600_000_000_000);
    }
}
