//! `java.text.SimpleDateFormat` of the US locale in UTC, not lenient: how Spark's LEGACY policy
//! reads and writes times.
//!
//! [`DatePattern::parse`] compiles a pattern once; [`mod@format`] and [`parse`] apply it. Promises
//! Java's rules for adjacent numbers, two-digit years, names in any case, trailing text (ignored)
//! and contradictory or impossible fields (nothing). The window of two-digit years is fixed, where
//! Java's moves with the clock, so that answers never depend on the day.

mod format;
mod parse;
mod resolve;

/// A letter of a pattern and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Letter {
    Era,
    Year,
    Month,
    DayOfMonth,
    HourOfDayFromOne,
    HourOfDay,
    Minute,
    Second,
    Millisecond,
    DayOfWeek,
    DayOfYear,
    DayOfWeekInMonth,
    WeekOfYear,
    WeekOfMonth,
    AmPm,
    HourFromOne,
    Hour,
    ZoneName,
    ZoneOffset,
    WeekYear,
    IsoDayOfWeek,
    IsoOffset,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Literal(char),
    Field(Letter, usize),
}

/// How many digits a fraction of a second has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fraction {
    /// `S` is the number of milliseconds (`SimpleDateFormat`).
    Millis,
    /// `S` runs are decimals of a second (`FastDateFormat` as Spark extends it).
    Decimals,
}

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatePattern {
    pub(crate) tokens: Vec<Token>,
    pub(crate) fraction: Fraction,
    pub(crate) lenient: bool,
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatePatternError {
    /// A letter that means nothing.
    #[error("illegal pattern character '{0}'")]
    IllegalCharacter(char),
    /// A quote that does not end.
    #[error("unterminated quote in the date pattern")]
    UnterminatedQuote,
    /// More than three X.
    #[error("invalid ISO 8601 format: length={0}")]
    IsoOffset(usize),
}

impl DatePattern {
    /// Compiles a pattern with the rules of `SimpleDateFormat`.
    pub fn parse(pattern: &str) -> Result<Self, DatePatternError> {
        let mut tokens = Vec::new();
        let chars: Vec<char> = pattern.chars().collect();
        let mut quoted = false;
        let mut at = 0;
        while at < chars.len() {
            let c = chars[at];
            if c == '\'' {
                if chars.get(at + 1) == Some(&'\'') {
                    tokens.push(Token::Literal('\''));
                    at += 2;
                    continue;
                }
                quoted = !quoted;
                at += 1;
                continue;
            }
            if quoted || !c.is_ascii_alphabetic() {
                tokens.push(Token::Literal(c));
                at += 1;
                continue;
            }
            let letter = letter_of(c).ok_or(DatePatternError::IllegalCharacter(c))?;
            let count = chars[at..].iter().take_while(|next| **next == c).count();
            if letter == Letter::IsoOffset && count > 3 {
                return Err(DatePatternError::IsoOffset(count));
            }
            tokens.push(Token::Field(letter, count));
            at += count;
        }
        if quoted {
            return Err(DatePatternError::UnterminatedQuote);
        }
        Ok(Self {
            tokens,
            fraction: Fraction::Millis,
            lenient: false,
        })
    }

    /// Compiles a pattern with the rules of `FastDateFormat`, as JSON and CSV options use: lenient,
    /// decimals of seconds.
    pub fn parse_fast(pattern: &str) -> Result<Self, DatePatternError> {
        let compiled = Self::parse(pattern)?;
        Ok(Self {
            fraction: Fraction::Decimals,
            lenient: true,
            ..compiled
        })
    }
}

fn letter_of(c: char) -> Option<Letter> {
    Some(match c {
        'G' => Letter::Era,
        'y' => Letter::Year,
        'M' | 'L' => Letter::Month,
        'd' => Letter::DayOfMonth,
        'k' => Letter::HourOfDayFromOne,
        'H' => Letter::HourOfDay,
        'm' => Letter::Minute,
        's' => Letter::Second,
        'S' => Letter::Millisecond,
        'E' => Letter::DayOfWeek,
        'D' => Letter::DayOfYear,
        'F' => Letter::DayOfWeekInMonth,
        'w' => Letter::WeekOfYear,
        'W' => Letter::WeekOfMonth,
        'a' => Letter::AmPm,
        'h' => Letter::HourFromOne,
        'K' => Letter::Hour,
        'z' => Letter::ZoneName,
        'Z' => Letter::ZoneOffset,
        'Y' => Letter::WeekYear,
        'u' => Letter::IsoDayOfWeek,
        'X' => Letter::IsoOffset,
        _ => return None,
    })
}

pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Sunday first, as Java's calendar counts.
pub(crate) const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

#[cfg(test)]
mod tests;
