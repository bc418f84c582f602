//! Dates and times of the proleptic Gregorian calendar as plain numbers, and Spark's arithmetic on
//! them.
//!
//! A date is days since 1970-01-01, a time is microseconds; both may be negative. Promises the
//! results of java.time. Never looks at a time zone.

/// Microseconds in a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
/// Microseconds in a day.
pub const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// A date by year, month and day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Civil {
    /// Proleptic year; year 0 precedes year 1.
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
}

/// Whether February has 29 days.
pub fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month.
pub fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl Civil {
    /// The date, if there is one.
    pub fn new(year: i64, month: i64, day: i64) -> Option<Self> {
        let valid = (1..=12).contains(&month) && day >= 1 && day <= month_length(year, month);
        valid.then_some(Self { year, month, day })
    }

    /// The date of an epoch day.
    pub fn of_days(days: i64) -> Self {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_index = (5 * day_of_year + 2) / 153;
        let month = if month_index < 10 {
            month_index + 3
        } else {
            month_index - 9
        };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_index + 2) / 5 + 1,
        }
    }

    /// The epoch day.
    pub fn days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_index = (self.month + 9) % 12;
        let day_of_year = (153 * month_index + 2) / 5 + self.day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year
            - 719_468
    }

    /// 1 to 366.
    pub fn day_of_year(self) -> i64 {
        self.days()
            - Self {
                month: 1,
                day: 1,
                ..self
            }
            .days()
            + 1
    }

    /// Months since year 0.
    pub fn months(self) -> i64 {
        self.year * 12 + self.month - 1
    }

    fn first_of_month(months: i64) -> Self {
        Self {
            year: months.div_euclid(12),
            month: months.rem_euclid(12) + 1,
            day: 1,
        }
    }
}

/// Monday is 0, Sunday 6.
pub fn weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7)
}

/// The ISO week's year and number.
pub fn iso_week(days: i64) -> (i64, i64) {
    let thursday = days - weekday(days) + 3;
    let civil = Civil::of_days(thursday);
    (civil.year, (civil.day_of_year() - 1) / 7 + 1)
}

/// Splits microseconds into the epoch day and the microsecond of the day.
pub fn split_micros(micros: i64) -> (i64, i64) {
    (
        micros.div_euclid(MICROS_PER_DAY),
        micros.rem_euclid(MICROS_PER_DAY),
    )
}

/// The last day of the date's month.
pub fn last_day(days: i64) -> i64 {
    let civil = Civil::of_days(days);
    days - civil.day + month_length(civil.year, civil.month)
}

/// The same day of another month, or its last day if it is shorter.
pub fn add_months(days: i64, months: i64) -> i64 {
    let civil = Civil::of_days(days);
    let first = Civil::first_of_month(civil.months() + months);
    let day = civil.day.min(month_length(first.year, first.month));
    first.days() + day - 1
}

/// A weekday by Spark's names (two or three letters or whole, any case); Monday is 0.
pub fn weekday_of_name(name: &str) -> Option<i64> {
    const NAMES: [&str; 7] = [
        "MONDAY",
        "TUESDAY",
        "WEDNESDAY",
        "THURSDAY",
        "FRIDAY",
        "SATURDAY",
        "SUNDAY",
    ];
    let upper = name.trim_matches(|c: char| c <= ' ').to_uppercase();
    let matches = |full: &str| upper == full || upper == full[..2] || upper == full[..3];
    NAMES
        .iter()
        .position(|full| matches(full))
        .map(|i| i as i64)
}

/// The first date after `days` that is the weekday.
pub fn next_day(days: i64, weekday_wanted: i64) -> i64 {
    days + 1 + (weekday_wanted - weekday(days + 1)).rem_euclid(7)
}

/// What a date or time is cut to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the units")]
pub enum TruncateTo {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl TruncateTo {
    /// The unit that a format word of `trunc` or `date_trunc` names.
    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name.to_uppercase().as_str() {
            "MICROSECOND" => Self::Microsecond,
            "MILLISECOND" => Self::Millisecond,
            "SECOND" => Self::Second,
            "MINUTE" => Self::Minute,
            "HOUR" => Self::Hour,
            "DAY" | "DD" => Self::Day,
            "WEEK" => Self::Week,
            "MON" | "MONTH" | "MM" => Self::Month,
            "QUARTER" => Self::Quarter,
            "YEAR" | "YYYY" | "YY" => Self::Year,
            _ => return None,
        })
    }
}

/// The first day of the date's week, month, quarter or year.
pub fn truncate_date(days: i64, unit: TruncateTo) -> i64 {
    let civil = Civil::of_days(days);
    match unit {
        TruncateTo::Week => days - weekday(days),
        TruncateTo::Month => days - civil.day + 1,
        TruncateTo::Quarter => Civil::first_of_month(civil.months() / 3 * 3).days(),
        TruncateTo::Year => Civil {
            month: 1,
            day: 1,
            ..civil
        }
        .days(),
        _ => days,
    }
}

/// The start of the unit that the time lies in.
pub fn truncate_micros(micros: i64, unit: TruncateTo) -> i64 {
    let floor = |step: i64| micros - micros.rem_euclid(step);
    match unit {
        TruncateTo::Microsecond => micros,
        TruncateTo::Millisecond => floor(1000),
        TruncateTo::Second => floor(MICROS_PER_SECOND),
        TruncateTo::Minute => floor(60 * MICROS_PER_SECOND),
        TruncateTo::Hour => floor(3600 * MICROS_PER_SECOND),
        TruncateTo::Day => floor(MICROS_PER_DAY),
        _ => truncate_date(split_micros(micros).0, unit).wrapping_mul(MICROS_PER_DAY),
    }
}

/// Spark's `months_between`: whole months if both are the same day or both the last day of their
/// month, otherwise with a fraction of a 31-day month, counted in seconds.
pub fn months_between(end_micros: i64, start_micros: i64, round_off: bool) -> f64 {
    let (end_day, end_time) = split_micros(end_micros);
    let (start_day, start_time) = split_micros(start_micros);
    let (end, start) = (Civil::of_days(end_day), Civil::of_days(start_day));
    let months = (end.months() - start.months()) as f64;
    let is_last = |civil: Civil| civil.day == month_length(civil.year, civil.month);
    if end.day == start.day || (is_last(end) && is_last(start)) {
        return months;
    }
    let seconds = (end.day - start.day) * 86_400 + end_time / MICROS_PER_SECOND
        - start_time / MICROS_PER_SECOND;
    let exact = months + seconds as f64 / (31.0 * 86_400.0);
    if round_off {
        java_round(exact * 1e8) as f64 / 1e8
    } else {
        exact
    }
}

/// Java's `Math.round`: the nearest whole number, a half upwards.
pub fn java_round(value: f64) -> i64 {
    let floor = value.floor();
    if value - floor >= 0.5 {
        floor as i64 + 1
    } else {
        floor as i64
    }
}

/// Whole months from `start` to `end`, counted towards zero with the time of day.
pub fn whole_months_between(start_micros: i64, end_micros: i64) -> i64 {
    let (start_day, start_time) = split_micros(start_micros);
    let (end_day, end_time) = split_micros(end_micros);
    let (start, end) = (Civil::of_days(start_day), Civil::of_days(end_day));
    let months = end.months() - start.months();
    let start_rest = (start.day, start_time);
    let end_rest = (end.day, end_time);
    if months > 0 && end_rest < start_rest {
        months - 1
    } else if months < 0 && end_rest > start_rest {
        months + 1
    } else {
        months
    }
}

/// Adds months (clamping the day), then days, then microseconds; nothing on overflow.
pub fn add_interval(micros: i64, months: i64, days: i64, rest_micros: i64) -> Option<i64> {
    let (day, time) = split_micros(micros);
    let moved = add_months(day, months).checked_add(days)?;
    let whole =
        i128::from(moved) * i128::from(MICROS_PER_DAY) + i128::from(time) + i128::from(rest_micros);
    i64::try_from(whole).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i64, month: i64, day: i64) -> i64 {
        Civil::new(year, month, day).unwrap().days()
    }

    #[test]
    fn days_and_dates_are_inverse() {
        for days in (-1_000_000..1_000_000).step_by(37) {
            let civil = Civil::of_days(days);
            assert_eq!(
                Civil::new(civil.year, civil.month, civil.day)
                    .unwrap()
                    .days(),
                days
            );
        }
        assert_eq!(day(2024, 2, 29), 19_782);
        assert_eq!(day(0, 1, 1), -719_528);
        assert!(Civil::new(2023, 2, 29).is_none());
    }

    #[test]
    fn arithmetic_as_spark() {
        let leap = day(2024, 2, 29);
        assert_eq!(add_months(leap, 12), 20_147);
        assert_eq!(last_day(leap), leap);
        assert_eq!(
            next_day(leap, weekday_of_name("Thursday").unwrap()),
            leap + 7
        );
        assert_eq!(next_day(leap, weekday_of_name("SU").unwrap()), 19_785);
        assert_eq!(weekday_of_name("xx"), None);
        assert_eq!(truncate_date(-1, TruncateTo::Quarter), -92);
        assert_eq!(truncate_date(leap, TruncateTo::Week), 19_779);
        assert_eq!(iso_week(leap), (2024, 9));
        assert_eq!(iso_week(day(2021, 1, 3)), (2020, 53));
        let midnight = |days: i64| days * MICROS_PER_DAY;
        assert_eq!(
            months_between(midnight(day(2024, 3, 30)), midnight(day(2024, 1, 31)), true),
            1.96774194
        );
        assert_eq!(months_between(-1, 0, true), -3.7e-7);
        assert_eq!(
            months_between(midnight(leap), midnight(day(2024, 1, 31)), true),
            1.0
        );
        assert_eq!(truncate_micros(-1, TruncateTo::Millisecond), -1000);
        assert_eq!(
            whole_months_between(midnight(leap) + 1, midnight(day(2024, 3, 29))),
            0
        );
    }
}
