//! Points and spans of event time, and the only date arithmetic in the house.
//!
//! All times are milliseconds since the epoch, UTC. The rules of rounding come from the
//! specification's §2 and §3
//! and stand once more in `docs/semantics.md`. Never reads a clock.

use std::fmt;
use std::str::FromStr;

/// One day in milliseconds.
pub const DAY_MILLIS: i64 = 86_400_000;
/// One hour in milliseconds.
pub const HOUR_MILLIS: i64 = 3_600_000;
/// The smallest tile in milliseconds.
pub const FIVE_MINUTES_MILLIS: i64 = 300_000;

/// How far back an aggregation looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Window {
    /// A whole number of hours.
    Hours(i32),
    /// A whole number of days.
    Days(i32),
    /// Everything that was scanned.
    Unbounded,
}

impl Window {
    /// Length in milliseconds; `None` when unbounded.
    pub fn millis(self) -> Option<i64> {
        match self {
            Self::Hours(n) => Some(i64::from(n) * HOUR_MILLIS),
            Self::Days(n) => Some(i64::from(n) * DAY_MILLIS),
            Self::Unbounded => None,
        }
    }

    /// The tile that the tail is rounded to: a day from 12 days on, an hour from 12 hours on, else
    /// five minutes.
    pub fn tail_hop_millis(self) -> i64 {
        match self.millis() {
            Some(length) if length < 12 * HOUR_MILLIS => FIVE_MINUTES_MILLIS,
            Some(length) if length < 12 * DAY_MILLIS => HOUR_MILLIS,
            _ => DAY_MILLIS,
        }
    }

    /// First instant inside the window of a query at `query_millis`, tail rounded down to its hop;
    /// `i64::MIN` when
    /// unbounded.
    pub fn tail_millis(self, query_millis: i64) -> i64 {
        match self.millis() {
            Some(length) => floor_to(query_millis - length, self.tail_hop_millis()),
            None => i64::MIN,
        }
    }

    /// The suffix in a feature's name: `_7d`, `_12h`, or nothing when unbounded.
    pub fn suffix(self) -> String {
        match self {
            Self::Hours(n) => format!("_{n}h"),
            Self::Days(n) => format!("_{n}d"),
            Self::Unbounded => String::new(),
        }
    }
}

/// `millis` rounded down (towards minus infinity) to a multiple of `hop_millis`.
pub fn floor_to(millis: i64, hop_millis: i64) -> i64 {
    millis.div_euclid(hop_millis) * hop_millis
}

/// A daily partition: days since 1970-01-01. Prints and parses as `yyyy-MM-dd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// Days since 1970-01-01.
    pub day: i32,
}

impl Partition {
    /// The partition whose day holds this instant.
    pub fn of_millis(millis: i64) -> Self {
        Self {
            day: millis
                .div_euclid(DAY_MILLIS)
                .clamp(i32::MIN.into(), i32::MAX.into()) as i32,
        }
    }

    /// First instant of the day.
    pub fn start_millis(self) -> i64 {
        i64::from(self.day) * DAY_MILLIS
    }

    /// First instant after the day.
    pub fn end_millis(self) -> i64 {
        self.start_millis() + DAY_MILLIS
    }

    /// This many days later (earlier when negative).
    #[must_use]
    pub fn plus_days(self, days: i32) -> Self {
        Self {
            day: self.day.saturating_add(days),
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_of_days(self.day);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// A text that is not a day of the form `yyyy-MM-dd`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a day of the form yyyy-MM-dd")]
pub struct NotADay(pub String);

impl FromStr for Partition {
    type Err = NotADay;

    fn from_str(text: &str) -> Result<Self, NotADay> {
        let wrong = || NotADay(text.into());
        let mut parts = text.splitn(3, '-').map(|p| {
            if !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()) {
                p.parse::<i32>().ok()
            } else {
                None
            }
        });
        let mut next = || parts.next().flatten().ok_or_else(wrong);
        let (year, month, day) = (next()?, next()?, next()?);
        if text.len() != 10 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return Err(wrong());
        }
        let days = days_of_civil(year, month, day);
        if civil_of_days(days) == (year, month, day) {
            Ok(Self { day: days })
        } else {
            Err(wrong())
        }
    }
}

/// A run of days, both ends included; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PartitionRange {
    /// First day.
    pub start: Partition,
    /// Last day.
    pub end: Partition,
}

impl PartitionRange {
    /// The range, or `None` when `start` is after `end`.
    pub fn new(start: Partition, end: Partition) -> Option<Self> {
        (start <= end).then_some(Self { start, end })
    }

    /// Number of days.
    pub fn days(self) -> usize {
        usize::try_from(i64::from(self.end.day) - i64::from(self.start.day) + 1).unwrap_or(0)
    }

    /// Whether the day lies inside.
    pub fn contains(self, partition: Partition) -> bool {
        self.start <= partition && partition <= self.end
    }

    /// The days in order.
    pub fn iter(self) -> impl Iterator<Item = Partition> {
        (self.start.day..=self.end.day).map(|day| Partition { day })
    }

    /// Consecutive slices of at most `step_days` days.
    pub fn steps(self, step_days: i32) -> impl Iterator<Item = PartitionRange> {
        let step = step_days.max(1);
        (self.start.day..=self.end.day)
            .step_by(step as usize)
            .map(move |day| PartitionRange {
                start: Partition { day },
                end: Partition {
                    day: day.saturating_add(step - 1).min(self.end.day),
                },
            })
    }
}

impl fmt::Display for PartitionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} … {}]", self.start, self.end)
    }
}

/// Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant, "chrono-Compatible
/// Low-Level Date
/// Algorithms", `days_from_civil`).
pub fn days_of_civil(year: i32, month: i32, day: i32) -> i32 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of days since 1970-01-01 (`civil_from_days` of the same source).
pub fn civil_of_days(days: i32) -> (i32, i32, i32) {
    let z = i64::from(days) + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as i32, month as i32, day as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every day of eight centuries prints, parses back and converts both ways.
    #[test]
    fn days_and_dates_are_inverse() {
        for day in -146_097..146_097 {
            let (y, m, d) = civil_of_days(day);
            assert_eq!(days_of_civil(y, m, d), day);
            let partition = Partition { day };
            assert_eq!(partition.to_string().parse(), Ok(partition));
        }
        for wrong in [
            "2024-02-30",
            "2024-2-03",
            "20240203",
            "2024-13-01",
            "",
            "2024-01-01x",
        ] {
            assert!(wrong.parse::<Partition>().is_err(), "{wrong}");
        }
    }

    /// The thresholds of the tail hop are inclusive: 12 days take days, 12 hours take hours.
    #[test]
    fn tail_hops() {
        assert_eq!(Window::Days(12).tail_hop_millis(), DAY_MILLIS);
        assert_eq!(Window::Hours(288).tail_hop_millis(), DAY_MILLIS);
        assert_eq!(Window::Hours(287).tail_hop_millis(), HOUR_MILLIS);
        assert_eq!(Window::Hours(12).tail_hop_millis(), HOUR_MILLIS);
        assert_eq!(Window::Hours(11).tail_hop_millis(), FIVE_MINUTES_MILLIS);
        assert_eq!(Window::Unbounded.tail_hop_millis(), DAY_MILLIS);
        assert_eq!(Window::Hours(1).tail_millis(3_600_000 + 299_999), 0);
    }

    /// Steps cover the range once, in order.
    #[test]
    fn steps_cover() {
        let day = |day| Partition { day };
        let range = PartitionRange::new(day(3), day(9)).unwrap();
        let steps: Vec<_> = range.steps(3).map(|r| (r.start.day, r.end.day)).collect();
        assert_eq!(steps, [(3, 5), (6, 8), (9, 9)]);
        assert_eq!(range.days(), 7);
    }
}
