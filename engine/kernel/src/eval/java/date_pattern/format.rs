//! Writing a time by a pattern.

use std::fmt::Write as _;

use super::super::calendar::{MICROS_PER_DAY, split_micros};
use super::resolve::{HybridDate, week_fields};
use super::{DatePattern, Fraction, Letter, MONTHS, Token, WEEKDAYS};

impl DatePattern {
    /// Whether Java can write a time: its microseconds in the hybrid calendar must fit, too.
    pub fn writes(micros: i64) -> bool {
        let (days, time) = split_micros(micros);
        let days = HybridDate::of_days(days).number();
        let there = i128::from(days) * i128::from(MICROS_PER_DAY) + i128::from(time);
        i64::try_from(there).is_ok()
    }

    /// The text of a time in UTC, in microseconds.
    pub fn format(&self, micros: i64) -> String {
        let (days, time) = split_micros(micros);
        let date = HybridDate::of_days(days);
        let mut out = String::with_capacity(32);
        for token in &self.tokens {
            match token {
                Token::Literal(c) => out.push(*c),
                Token::Field(letter, count) => {
                    self.write_field(&mut out, *letter, *count, &date, time);
                }
            }
        }
        out
    }

    fn write_field(
        &self,
        out: &mut String,
        letter: Letter,
        count: usize,
        date: &HybridDate,
        time: i64,
    ) {
        let second_of_day = time / 1_000_000;
        let hour = second_of_day / 3600;
        let pad = |out: &mut String, value: i64| {
            write!(out, "{value:0count$}").expect("a string takes any text");
        };
        match letter {
            Letter::Era => out.push_str(if date.year > 0 { "AD" } else { "BC" }),
            Letter::Year => write_year(out, date.year_of_era(), count),
            Letter::WeekYear => write_year(out, week_fields(date).0, count),
            Letter::Month if count >= 4 => out.push_str(MONTHS[(date.month - 1) as usize]),
            Letter::Month if count == 3 => out.push_str(&MONTHS[(date.month - 1) as usize][..3]),
            Letter::Month => pad(out, date.month),
            Letter::DayOfMonth => pad(out, date.day),
            Letter::HourOfDayFromOne => pad(out, if hour == 0 { 24 } else { hour }),
            Letter::HourOfDay => pad(out, hour),
            Letter::Minute => pad(out, second_of_day / 60 % 60),
            Letter::Second => pad(out, second_of_day % 60),
            Letter::Millisecond => match self.fraction {
                Fraction::Millis => pad(out, time / 1000 % 1000),
                Fraction::Decimals => {
                    let decimals = format!("{:06}", time % 1_000_000);
                    out.extend(decimals.chars().chain(std::iter::repeat('0')).take(count));
                }
            },
            Letter::DayOfWeek => {
                let name = WEEKDAYS[(date.day_of_week() - 1) as usize];
                out.push_str(if count >= 4 { name } else { &name[..3] });
            }
            Letter::DayOfYear => pad(out, date.day_of_year()),
            Letter::DayOfWeekInMonth => pad(out, (date.day - 1) / 7 + 1),
            Letter::WeekOfYear => pad(out, week_fields(date).1),
            Letter::WeekOfMonth => pad(out, week_fields(date).2),
            Letter::AmPm => out.push_str(if hour < 12 { "AM" } else { "PM" }),
            Letter::HourFromOne => pad(out, if hour % 12 == 0 { 12 } else { hour % 12 }),
            Letter::Hour => pad(out, hour % 12),
            Letter::ZoneName => out.push_str(if count >= 4 {
                "Coordinated Universal Time"
            } else {
                "UTC"
            }),
            Letter::ZoneOffset => out.push_str("+0000"),
            Letter::IsoDayOfWeek => pad(out, (date.day_of_week() + 5) % 7 + 1),
            Letter::IsoOffset => out.push('Z'),
        }
    }
}

fn write_year(out: &mut String, year: i64, count: usize) {
    let value = if count == 2 { year % 100 } else { year };
    write!(out, "{value:0count$}").expect("a string takes any text");
}
