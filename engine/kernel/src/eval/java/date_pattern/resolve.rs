//! From calendar fields to a date and back, in Java's hybrid calendar (Julian before 1582-10-15).
//!
//! Spark keeps the year, month and day when it moves between that calendar and its own, so only
//! weekdays, weeks and the days that exist in one calendar alone tell the two apart.

use super::super::calendar::{Civil, MICROS_PER_DAY, MICROS_PER_SECOND};
use super::Letter;

const SWITCH: (i64, i64, i64) = (1582, 10, 15);

/// A date by its fields, read in the hybrid calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HybridDate {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
}

fn julian_days(year: i64, month: i64, day: i64) -> i64 {
    let adjusted = year - i64::from(month <= 2);
    let month_index = (month + 9) % 12;
    365 * adjusted + adjusted.div_euclid(4) + (153 * month_index + 2) / 5 + day - 1 - 719_470
}

impl HybridDate {
    /// The fields that a day of Spark's calendar shows.
    pub(crate) fn of_days(days: i64) -> Self {
        let civil = Civil::of_days(days);
        let fields = (civil.year, civil.month, civil.day);
        // The ten days that the reform left out show as the day of the switch.
        let (year, month, day) = if fields >= (1582, 10, 5) && fields < SWITCH {
            SWITCH
        } else {
            fields
        };
        Self { year, month, day }
    }

    /// A running day number, the same that Java counts.
    pub(crate) fn number(&self) -> i64 {
        if (self.year, self.month, self.day) < SWITCH {
            julian_days(self.year, self.month, self.day)
        } else {
            let (year, month, day) = (self.year, self.month, self.day);
            Civil { year, month, day }.days()
        }
    }

    fn of_number(number: i64) -> Self {
        let civil = Civil::of_days(number);
        if (civil.year, civil.month, civil.day) >= SWITCH {
            return Self {
                year: civil.year,
                month: civil.month,
                day: civil.day,
            };
        }
        let mut year = civil.year;
        while julian_days(year, 1, 1) > number {
            year -= 1;
        }
        while julian_days(year + 1, 1, 1) <= number {
            year += 1;
        }
        let month = (1..=12)
            .rev()
            .find(|m| julian_days(year, *m, 1) <= number)
            .unwrap_or(1);
        Self {
            year,
            month,
            day: number - julian_days(year, month, 1) + 1,
        }
    }

    pub(crate) fn year_of_era(&self) -> i64 {
        if self.year > 0 {
            self.year
        } else {
            1 - self.year
        }
    }

    /// Sunday is 1.
    pub(crate) fn day_of_week(&self) -> i64 {
        (self.number() + 4).rem_euclid(7) + 1
    }

    pub(crate) fn day_of_year(&self) -> i64 {
        self.number()
            - Self {
                month: 1,
                day: 1,
                ..*self
            }
            .number()
            + 1
    }

    /// The day in Spark's calendar with the same fields; a day that it lacks becomes the next one.
    fn days(&self) -> i64 {
        let (year, month) = (self.year, self.month);
        Civil {
            year,
            month,
            day: 1,
        }
        .days()
            + self.day
            - 1
    }
}

/// Week year, week of year and week of month: weeks begin on Sunday and the first has at least one
/// day.
pub(crate) fn week_fields(date: &HybridDate) -> (i64, i64, i64) {
    let number = date.number();
    let week_start = number - (date.day_of_week() - 1);
    let first_of = |year: i64| {
        let first = HybridDate {
            year,
            month: 1,
            day: 1,
        };
        first.number() - (first.day_of_week() - 1)
    };
    let week_year = if first_of(date.year + 1) <= week_start {
        date.year + 1
    } else {
        date.year
    };
    let first_of_month = HybridDate { day: 1, ..*date };
    let month_start = first_of_month.number() - (first_of_month.day_of_week() - 1);
    (
        week_year,
        (week_start - first_of(week_year)) / 7 + 1,
        (week_start - month_start) / 7 + 1,
    )
}

/// The fields a text gave, each with the order in which it was set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    set: std::collections::BTreeMap<Letter, (i64, usize)>,
    stamps: usize,
    pub(crate) offset_seconds: Option<i64>,
    pub(crate) fraction_micros: Option<i64>,
}

impl Fields {
    /// Sets a field in Java's terms: months from 0, weekdays from Sunday = 1, hours folded into
    /// `HourOfDay` and `Hour`.
    pub(crate) fn set(&mut self, letter: Letter, value: i64) {
        self.stamps += 1;
        self.set.insert(letter, (value, self.stamps));
    }

    fn value(&self, letter: Letter) -> Option<i64> {
        self.set.get(&letter).map(|(value, _)| *value)
    }

    fn stamp(&self, letter: Letter) -> usize {
        self.set.get(&letter).map_or(0, |(_, stamp)| *stamp)
    }

    /// The time in microseconds, whether or not they fit; nothing if a field is out of range or contradicts another
    /// (unless lenient).
    pub(crate) fn resolve(&self, lenient: bool) -> Option<i128> {
        if !lenient && !self.in_range() {
            return None;
        }
        let date = self.date();
        if !lenient && !self.agrees(&date) {
            return None;
        }
        let hour = self.hour();
        let seconds = hour * 3600
            + self.value(Letter::Minute).unwrap_or(0) * 60
            + self.value(Letter::Second).unwrap_or(0);
        let fraction = self
            .fraction_micros
            .unwrap_or(self.value(Letter::Millisecond).unwrap_or(0) * 1000);
        let local = i128::from(date.days()) * i128::from(MICROS_PER_DAY)
            + i128::from(seconds) * i128::from(MICROS_PER_SECOND)
            + i128::from(fraction);
        let offset = self.offset_seconds.unwrap_or(0);
        Some(local - i128::from(offset * MICROS_PER_SECOND))
    }

    fn in_range(&self) -> bool {
        self.set.iter().all(|(letter, (value, _))| {
            let range = match letter {
                Letter::Year => 1..=292_278_994,
                Letter::Month => 0..=11,
                Letter::DayOfMonth => 1..=31,
                Letter::HourOfDay => 0..=23,
                Letter::Hour => 0..=11,
                Letter::Minute | Letter::Second => 0..=59,
                Letter::Millisecond => 0..=999,
                Letter::DayOfWeek => 1..=7,
                Letter::DayOfYear => 1..=366,
                Letter::DayOfWeekInMonth => -1..=6,
                Letter::WeekOfYear => 1..=53,
                Letter::WeekOfMonth => 0..=6,
                Letter::AmPm | Letter::Era => 0..=1,
                _ => i64::MIN..=i64::MAX,
            };
            range.contains(value)
        })
    }

    fn hour(&self) -> i64 {
        let half = self.stamp(Letter::Hour).max(self.stamp(Letter::AmPm));
        let both = self.stamp(Letter::Hour) > 0 && self.stamp(Letter::AmPm) > 0;
        let best_half = if both || self.stamp(Letter::HourOfDay) == 0 {
            half
        } else {
            0
        };
        if self.stamp(Letter::HourOfDay) >= best_half && self.stamp(Letter::HourOfDay) > 0 {
            self.value(Letter::HourOfDay).unwrap_or(0)
        } else {
            self.value(Letter::Hour).unwrap_or(0) + 12 * self.value(Letter::AmPm).unwrap_or(0)
        }
    }

    fn year(&self) -> i64 {
        let year = self.value(Letter::Year).unwrap_or(1970);
        if self.value(Letter::Era) == Some(0) {
            1 - year
        } else {
            year
        }
    }

    /// Which group of fields says the day: the one set last, as Java's calendar decides.
    fn date(&self) -> HybridDate {
        let week_date = self.stamp(Letter::WeekYear) > self.stamp(Letter::Year);
        if week_date {
            let week_year = self.value(Letter::WeekYear).unwrap_or(1970);
            let week = self.value(Letter::WeekOfYear).unwrap_or(1);
            return self.of_week(
                week_year,
                week,
                Some(self.value(Letter::DayOfWeek).unwrap_or(1)),
            );
        }
        let weekday = self.stamp(Letter::DayOfWeek);
        let with_weekday = |letter: Letter| {
            let stamp = self.stamp(letter);
            if stamp == 0 || weekday == 0 {
                0
            } else {
                stamp.max(weekday)
            }
        };
        let mut day_of_month = self.stamp(Letter::DayOfMonth);
        let mut of_month = with_weekday(Letter::WeekOfMonth);
        let mut in_month = with_weekday(Letter::DayOfWeekInMonth);
        let day_of_year = self.stamp(Letter::DayOfYear);
        let mut of_year = with_weekday(Letter::WeekOfYear);
        let mut best = day_of_month
            .max(of_month)
            .max(in_month)
            .max(day_of_year)
            .max(of_year);
        if best == 0 {
            of_month = self.stamp(Letter::WeekOfMonth);
            in_month = self.stamp(Letter::DayOfWeekInMonth).max(weekday);
            of_year = self.stamp(Letter::WeekOfYear);
            best = of_month.max(in_month).max(of_year);
            if best == 0 {
                day_of_month = self.stamp(Letter::Month);
                best = day_of_month;
            }
        }
        let first = self.first_of_month();
        let day = self.value(Letter::DayOfWeek);
        if best == day_of_month {
            let day = self.value(Letter::DayOfMonth).unwrap_or(1);
            return self.shifted(first, day - 1);
        }
        let later = self.stamp(Letter::WeekOfYear);
        if best == of_month && self.stamp(Letter::WeekOfMonth) >= later {
            let week = self.value(Letter::WeekOfMonth).unwrap_or(1);
            let start = first.number() - (first.day_of_week() - 1) + 7 * (week - 1);
            return HybridDate::of_number(start + day.unwrap_or(1) - 1);
        }
        if best == in_month && self.stamp(Letter::DayOfWeekInMonth) >= later {
            let nth = self.value(Letter::DayOfWeekInMonth).unwrap_or(1);
            let ahead = (day.unwrap_or(1) - first.day_of_week()).rem_euclid(7);
            return HybridDate::of_number(first.number() + ahead + 7 * (nth - 1));
        }
        let year = self.year();
        if best == day_of_year {
            let start = HybridDate {
                year,
                month: 1,
                day: 1,
            };
            return self.shifted(start, self.value(Letter::DayOfYear).unwrap_or(1) - 1);
        }
        self.of_week(year, self.value(Letter::WeekOfYear).unwrap_or(1), day)
    }

    fn first_of_month(&self) -> HybridDate {
        let month = self.value(Letter::Month).unwrap_or(0);
        HybridDate {
            year: self.year() + month.div_euclid(12),
            month: month.rem_euclid(12) + 1,
            day: 1,
        }
    }

    fn of_week(&self, year: i64, week: i64, weekday: Option<i64>) -> HybridDate {
        let first = HybridDate {
            year,
            month: 1,
            day: 1,
        };
        let start = first.number() - (first.day_of_week() - 1);
        HybridDate::of_number(start + 7 * (week - 1) + weekday.unwrap_or(1) - 1)
    }

    fn shifted(&self, from: HybridDate, days: i64) -> HybridDate {
        HybridDate::of_number(from.number() + days)
    }

    fn agrees(&self, date: &HybridDate) -> bool {
        let (_, week_of_year, week_of_month) = week_fields(date);
        let hour = self.hour();
        self.set.iter().all(|(letter, (value, _))| match letter {
            Letter::Year => date.year_of_era() == *value,
            Letter::Month => date.month - 1 == *value,
            Letter::DayOfMonth => date.day == *value,
            Letter::DayOfYear => date.day_of_year() == *value,
            Letter::DayOfWeek => date.day_of_week() == *value,
            Letter::WeekOfYear => week_of_year == *value,
            Letter::WeekOfMonth => week_of_month == *value,
            Letter::DayOfWeekInMonth => (date.day - 1) / 7 + 1 == *value,
            Letter::HourOfDay => hour == *value,
            Letter::Hour => hour % 12 == *value,
            Letter::AmPm => hour / 12 == *value,
            _ => true,
        })
    }
}
