//! Reading a time by a pattern.

use super::resolve::Fields;
use super::{DatePattern, Fraction, Letter, MONTHS, Token, WEEKDAYS};

/// Two-digit years mean the hundred years from this one on.
const CENTURY_START: i64 = 1945;

/// Zone names that Java knows in English, with their offset in minutes; longer names first.
const ZONES: [(&str, i64); 40] = [
    ("Coordinated Universal Time", 0),
    ("Greenwich Mean Time", 0),
    ("Pacific Standard Time", -480),
    ("Pacific Daylight Time", -420),
    ("Mountain Standard Time", -420),
    ("Mountain Daylight Time", -360),
    ("Central Standard Time", -360),
    ("Central Daylight Time", -300),
    ("Eastern Standard Time", -300),
    ("Eastern Daylight Time", -240),
    ("Central European Standard Time", 60),
    ("Central European Summer Time", 120),
    ("Japan Standard Time", 540),
    ("India Standard Time", 330),
    ("British Summer Time", 60),
    ("AKST", -540),
    ("AKDT", -480),
    ("AEST", 600),
    ("AEDT", 660),
    ("ACST", 570),
    ("AWST", 480),
    ("CEST", 120),
    ("EEST", 180),
    ("NZST", 720),
    ("NZDT", 780),
    ("WEST", 60),
    ("UTC", 0),
    ("PST", -480),
    ("PDT", -420),
    ("MST", -420),
    ("MDT", -360),
    ("CST", -360),
    ("CDT", -300),
    ("EST", -300),
    ("EDT", -240),
    ("CET", 60),
    ("EET", 120),
    ("WET", 0),
    ("JST", 540),
    ("MSK", 180),
];

struct Reader<'t> {
    text: &'t [char],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    /// Spaces and tabs before a field; nothing if the text ends with them.
    fn skip_blanks(&mut self) -> Option<()> {
        while matches!(self.peek()?, ' ' | '\t') {
            self.at += 1;
        }
        Some(())
    }

    /// A whole number, up to the text's position `end`.
    fn number(&mut self, end: usize) -> Option<i64> {
        let negative = self.peek() == Some('-') && self.at < end;
        let start = self.at + usize::from(negative);
        let mut stop = start;
        while stop < end && self.text.get(stop).is_some_and(char::is_ascii_digit) {
            stop += 1;
        }
        if stop == start {
            return None;
        }
        let digits: String = self.text[start..stop].iter().collect();
        self.at = stop;
        // Java keeps the low 32 bits of what fits a long, and saturates beyond.
        let value = digits
            .parse::<i64>()
            .map_or(i64::from(i32::MAX), |v| i64::from(v as i32));
        Some(if negative { -value } else { value })
    }

    /// The longest of the names that the text goes on with, in any case; three letters of a name do
    /// too.
    fn name(&mut self, names: &[&str], short: usize) -> Option<usize> {
        let rest = &self.text[self.at..];
        let starts = |name: &str| {
            let length = name.chars().count();
            rest.len() >= length
                && rest
                    .iter()
                    .zip(name.chars())
                    .all(|(a, b)| a.eq_ignore_ascii_case(&b))
        };
        for length in [usize::MAX, short] {
            for (index, name) in names.iter().enumerate() {
                let candidate = &name[..name.len().min(length)];
                if starts(candidate) {
                    self.at += candidate.len();
                    return Some(index);
                }
            }
        }
        None
    }

    fn digit(&mut self) -> Option<i64> {
        let digit = self.peek()?.to_digit(10)?;
        self.at += 1;
        Some(i64::from(digit))
    }

    /// `hh[:]mm`, or `hh` alone if `minutes` is false; seconds.
    fn offset(&mut self, sign: i64, minutes: bool, colon: bool, one_digit: bool) -> Option<i64> {
        let mut hours = self.digit()?;
        match self.digit() {
            Some(digit) => hours = hours * 10 + digit,
            None if one_digit => {}
            None => return None,
        }
        let mut total = hours * 60;
        if minutes {
            if colon {
                if self.peek()? != ':' {
                    return None;
                }
                self.at += 1;
            }
            let value = self.digit()? * 10 + self.digit()?;
            if value > 59 {
                return None;
            }
            total += value;
        }
        (hours <= 23).then_some(total * 60 * sign)
    }

    fn sign(&mut self) -> Option<i64> {
        let sign = match self.peek()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        self.at += 1;
        Some(sign)
    }

    fn zone(&mut self) -> Option<i64> {
        if let Some(sign) = self.sign() {
            return self.offset(sign, true, false, false);
        }
        if self.name(&["GMT"], usize::MAX).is_some() {
            return match self.sign() {
                Some(sign) => self.offset(sign, true, true, true),
                None => Some(0),
            };
        }
        let names: Vec<&str> = ZONES.iter().map(|(name, _)| *name).collect();
        let index = self.name(&names, usize::MAX)?;
        Some(ZONES[index].1 * 60)
    }
}

fn is_adjacent_number(token: Option<&Token>) -> bool {
    match token {
        Some(Token::Field(Letter::Month, count)) => *count <= 2,
        Some(Token::Field(letter, _)) => !matches!(
            letter,
            Letter::Era
                | Letter::DayOfWeek
                | Letter::AmPm
                | Letter::ZoneName
                | Letter::ZoneOffset
                | Letter::IsoOffset
        ),
        _ => false,
    }
}

impl DatePattern {
    /// The time that a text means, in microseconds; text after the pattern's end is ignored.
    pub fn parse_micros(&self, text: &str) -> Option<i64> {
        self.parse_wide(text)
            .and_then(|micros| i64::try_from(micros).ok())
    }

    /// The same, also where the microseconds do not fit.
    pub fn parse_wide(&self, text: &str) -> Option<i128> {
        let chars: Vec<char> = text.chars().collect();
        let mut reader = Reader {
            text: &chars,
            at: 0,
        };
        let mut fields = Fields::default();
        for (index, token) in self.tokens.iter().enumerate() {
            match token {
                Token::Literal(c) => {
                    if reader.peek()? != *c {
                        return None;
                    }
                    reader.at += 1;
                }
                Token::Field(letter, count) => {
                    let obey = is_adjacent_number(self.tokens.get(index + 1));
                    self.read_field(&mut reader, &mut fields, *letter, *count, obey)?;
                }
            }
        }
        // `SimpleDateFormat` takes a pattern that matched no text for a failure.
        if reader.at == 0 && self.fraction == Fraction::Millis {
            return None;
        }
        fields.resolve(self.lenient)
    }

    fn read_field(
        &self,
        reader: &mut Reader<'_>,
        fields: &mut Fields,
        letter: Letter,
        count: usize,
        obey_count: bool,
    ) -> Option<()> {
        let start = reader.at;
        reader.skip_blanks()?;
        match letter {
            Letter::Era => fields.set(letter, reader.name(&["BC", "AD"], usize::MAX)? as i64),
            Letter::AmPm => fields.set(letter, reader.name(&["AM", "PM"], usize::MAX)? as i64),
            Letter::DayOfWeek => fields.set(letter, reader.name(&WEEKDAYS, 3)? as i64 + 1),
            Letter::Month if count > 2 => fields.set(letter, reader.name(&MONTHS, 3)? as i64),
            Letter::ZoneName | Letter::ZoneOffset => fields.offset_seconds = Some(reader.zone()?),
            Letter::IsoOffset => {
                if reader.peek()? == 'Z' {
                    reader.at += 1;
                    fields.offset_seconds = Some(0);
                } else {
                    let sign = reader.sign()?;
                    fields.offset_seconds =
                        Some(reader.offset(sign, count > 1, count == 3, false)?);
                }
            }
            _ => {
                let end = if obey_count {
                    start + count
                } else {
                    reader.text.len()
                };
                if end > reader.text.len() {
                    return None;
                }
                let from = reader.at;
                let value = reader.number(end)?;
                self.set_number(fields, letter, count, value, &reader.text[from..reader.at])?;
            }
        }
        Some(())
    }

    fn set_number(
        &self,
        fields: &mut Fields,
        letter: Letter,
        count: usize,
        value: i64,
        digits: &[char],
    ) -> Option<()> {
        let (letter, value) = match letter {
            Letter::Year | Letter::WeekYear if count <= 2 && digits.len() == 2 && value >= 0 => {
                let pivot = CENTURY_START % 100;
                let century = CENTURY_START / 100 * 100 + if value < pivot { 100 } else { 0 };
                (letter, value + century)
            }
            Letter::Month => (letter, value - 1),
            Letter::HourOfDayFromOne => {
                if !self.lenient && !(1..=24).contains(&value) {
                    return None;
                }
                (Letter::HourOfDay, if value == 24 { 0 } else { value })
            }
            Letter::HourFromOne => {
                if !self.lenient && !(1..=12).contains(&value) {
                    return None;
                }
                (Letter::Hour, if value == 12 { 0 } else { value })
            }
            Letter::IsoDayOfWeek => (Letter::DayOfWeek, if value == 7 { 1 } else { value + 1 }),
            Letter::Millisecond if self.fraction == Fraction::Decimals => {
                let text: String = digits
                    .iter()
                    .copied()
                    .chain(std::iter::repeat('0'))
                    .take(6)
                    .collect();
                fields.fraction_micros = text.parse().ok();
                return Some(());
            }
            other => (other, value),
        };
        fields.set(letter, value);
        Some(())
    }
}
