//! Text to dates, timestamps, intervals and zones, exactly as Spark's casts and literals read them.
//!
//! Promises: what Spark takes is taken with the same value, everything else is `None`. Never asks the clock, so forms
//! that mean "today" (a time without a date, `now`) are `None` too.

use chrono::{Datelike, NaiveDate, Offset, TimeZone};

use crate::schema::IntervalField;

/// Microseconds in a day.
pub const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Units of time in the singular.
pub(crate) const UNITS: [&str; 9] = [
    "year",
    "month",
    "week",
    "day",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
];

/// Spark's `trimAll`: blanks and control characters of ASCII go.
pub fn trim_all(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ' || c == '\u{7f}')
}

/// Days since 1970-01-01 of a civil date, if there is such a day.
pub fn days_from_civil(year: i32, month: u32, day: u32) -> Option<i32> {
    let date = NaiveDate::from_ymd_opt(year, month, day)?;
    Some(date.num_days_from_ce() - 719_163)
}

/// `CAST(text AS DATE)`.
pub fn parse_date(text: &str) -> Option<i32> {
    let bytes = trim_all(text).as_bytes();
    let (sign, mut at) = sign_of(bytes)?;
    let mut segments = [1_i64; 3];
    let (mut segment, mut value, mut digits) = (0, 0_i64, 0);
    let valid = |segment: usize, digits: usize| match segment {
        0 => (4..=7).contains(&digits),
        _ => (1..=2).contains(&digits),
    };
    while at < bytes.len() && !matches!(bytes[at], b' ' | b'T') {
        if segment < 2 && bytes[at] == b'-' {
            if !valid(segment, digits) {
                return None;
            }
            segments[segment] = value;
            (segment, value, digits) = (segment + 1, 0, 0);
        } else if bytes[at].is_ascii_digit() && digits < 8 {
            value = value * 10 + i64::from(bytes[at] - b'0');
            digits += 1;
        } else {
            return None;
        }
        at += 1;
    }
    if !valid(segment, digits) || segment < 2 && at < bytes.len() {
        return None;
    }
    segments[segment] = value;
    let year = i32::try_from(sign * segments[0]).ok()?;
    civil_any_year(
        year,
        u32::try_from(segments[1]).ok()?,
        u32::try_from(segments[2]).ok()?,
    )
}

/// [`days_from_civil`] for years beyond the date crate's range too: a shift by whole 400-year cycles changes nothing.
fn civil_any_year(year: i32, month: u32, day: u32) -> Option<i32> {
    let cycles = year.div_euclid(400);
    let days = i64::from(days_from_civil(year.rem_euclid(400), month, day)?);
    i32::try_from(days + i64::from(cycles) * 146_097).ok()
}

fn sign_of(bytes: &[u8]) -> Option<(i64, usize)> {
    Some(match bytes.first()? {
        b'-' => (-1, 1),
        b'+' => (1, 1),
        _ => (1, 0),
    })
}

/// The pieces of a timestamp's text.
struct TimestampParts {
    /// Year, month, day, hour, minute, second, micros.
    segments: [i64; 9],
    zone: Option<String>,
    just_time: bool,
}

fn valid_digits(segment: usize, digits: usize) -> bool {
    match segment {
        6 => true,
        0 => (4..=6).contains(&digits),
        7 => digits <= 2,
        _ => (1..=2).contains(&digits),
    }
}

/// One pass over the bytes; the segment numbers are those of [`TimestampParts`], 7 being the zone.
fn timestamp_parts(text: &str) -> Option<TimestampParts> {
    let text = trim_all(text);
    let bytes = text.as_bytes();
    let (sign, mut at) = sign_of(bytes)?;
    let signed = at == 1;
    let mut segments = [1, 1, 1, 0, 0, 0, 0, 0, 0];
    let (mut segment, mut value, mut digits, mut fraction_digits) = (0_usize, 0_i64, 0_usize, 0);
    let mut zone = None;
    let mut just_time = false;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte.is_ascii_digit() {
            if segment == 6 {
                fraction_digits += 1;
            }
            if segment != 6 && digits > 6 {
                return None;
            }
            if segment != 6 || digits < 6 {
                value = value * 10 + i64::from(byte - b'0');
            }
            digits += 1;
            at += 1;
            continue;
        }
        if at == 0 && byte == b'T' {
            just_time = true;
            segment = 3;
            at += 1;
            continue;
        }
        let (store, next) = match (segment, byte) {
            (0 | 1, b'-') => (segment, segment + 1),
            (0, b':') if !signed => {
                just_time = true;
                (3, 4)
            }
            (2, b' ' | b'T') => (2, 3),
            (3 | 4, b':') => (segment, segment + 1),
            (5, b'.') => (5, 6),
            (5 | 6, _) => {
                zone = Some(text.get(at..)?.to_owned());
                at = bytes.len() - 1;
                (segment, 7)
            }
            (7, b':' | b' ') => (7, 8),
            _ => return None,
        };
        if !valid_digits(store, digits) {
            return None;
        }
        segments[store] = value;
        (segment, value, digits) = (next, 0, 0);
        at += 1;
    }
    if !valid_digits(segment, digits) {
        return None;
    }
    segments[segment] = value;
    for _ in fraction_digits..6 {
        segments[6] *= 10;
    }
    segments[0] *= sign;
    Some(TimestampParts {
        segments,
        zone,
        just_time,
    })
}

impl TimestampParts {
    /// Microseconds since the epoch, the text read as UTC.
    fn micros(&self) -> Option<i64> {
        let part = |i: usize| u32::try_from(self.segments[i]).ok();
        let year = i32::try_from(self.segments[0]).ok()?;
        let days = i64::from(civil_any_year(year, part(1)?, part(2)?)?);
        let [hour, minute, second, micros] = [3, 4, 5, 6].map(|i| self.segments[i]);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let seconds = hour * 3600 + minute * 60 + second;
        days.checked_mul(MICROS_PER_DAY)?
            .checked_add(seconds * 1_000_000 + micros)
    }
}

/// `CAST(text AS TIMESTAMP)` with UTC as the session's zone.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let parts = timestamp_parts(text)?;
    if parts.just_time {
        return None;
    }
    let local = parts.micros()?;
    match &parts.zone {
        None => Some(local),
        Some(zone) => Zone::parse(zone.trim())?.to_utc(local),
    }
}

/// `CAST(text AS TIMESTAMP_NTZ)`; a zone is ignored if `allow_zone`, else refused.
pub fn parse_timestamp_ntz(text: &str, allow_zone: bool) -> Option<i64> {
    let parts = timestamp_parts(text)?;
    if parts.just_time {
        return None;
    }
    if let Some(zone) = &parts.zone {
        Zone::parse(zone.trim())?;
        if !allow_zone {
            return None;
        }
    }
    parts.micros()
}

/// `DATE'text'`.
pub(crate) fn date_literal(text: &str) -> Option<i32> {
    match trim_all(text).eq_ignore_ascii_case("epoch") {
        true => Some(0),
        false => parse_date(text),
    }
}

/// `TIMESTAMP'text'`.
pub(crate) fn timestamp_literal(text: &str) -> Option<i64> {
    match trim_all(text).eq_ignore_ascii_case("epoch") {
        true => Some(0),
        false => parse_timestamp(text),
    }
}

/// A time zone as Java's `ZoneId.of` reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Seconds east of UTC.
    Fixed(i32),
    /// A region of the IANA database.
    Region(chrono_tz::Tz),
}

/// Java's `ZoneId.SHORT_IDS`.
const SHORT_ZONES: [(&str, &str); 28] = [
    ("ACT", "Australia/Darwin"),
    ("AET", "Australia/Sydney"),
    ("AGT", "America/Argentina/Buenos_Aires"),
    ("ART", "Africa/Cairo"),
    ("AST", "America/Anchorage"),
    ("BET", "America/Sao_Paulo"),
    ("BST", "Asia/Dhaka"),
    ("CAT", "Africa/Harare"),
    ("CNT", "America/St_Johns"),
    ("CST", "America/Chicago"),
    ("CTT", "Asia/Shanghai"),
    ("EAT", "Africa/Addis_Ababa"),
    ("ECT", "Europe/Paris"),
    ("IET", "America/Indiana/Indianapolis"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MIT", "Pacific/Apia"),
    ("NET", "Asia/Yerevan"),
    ("NST", "Pacific/Auckland"),
    ("PLT", "Asia/Karachi"),
    ("PNT", "America/Phoenix"),
    ("PRT", "America/Puerto_Rico"),
    ("PST", "America/Los_Angeles"),
    ("SST", "Pacific/Guadalcanal"),
    ("VST", "Asia/Ho_Chi_Minh"),
    ("EST", "-05:00"),
    ("MST", "-07:00"),
    ("HST", "-10:00"),
];

impl Zone {
    /// Reads an offset, a region or one of Java's short names; `None` if there is no such zone.
    pub fn parse(text: &str) -> Option<Zone> {
        let text = SHORT_ZONES
            .iter()
            .find(|(short, _)| *short == text)
            .map_or(text, |(_, long)| long);
        if text == "Z" {
            return Some(Zone::Fixed(0));
        }
        if text.starts_with(['+', '-']) {
            return offset(text).map(Zone::Fixed);
        }
        for prefix in ["UTC", "GMT", "UT"] {
            match text.strip_prefix(prefix) {
                Some("") => return Some(Zone::Fixed(0)),
                Some(rest) if rest.starts_with(['+', '-']) => {
                    return offset(rest).map(Zone::Fixed);
                }
                _ => {}
            }
        }
        text.parse().ok().map(Zone::Region)
    }

    /// The instant at which clocks of the zone show `local`; in a gap they have sprung forward, in an overlap the
    /// earlier instant is meant.
    pub fn to_utc(self, local: i64) -> Option<i64> {
        let shift = |seconds: i32| local.checked_sub(i64::from(seconds) * 1_000_000);
        let zone = match self {
            Zone::Fixed(seconds) => return shift(seconds),
            Zone::Region(zone) => zone,
        };
        let clock = chrono::DateTime::from_timestamp_micros(local)?.naive_utc();
        match zone.offset_from_local_datetime(&clock) {
            chrono::LocalResult::Single(found) | chrono::LocalResult::Ambiguous(found, _) => {
                shift(found.fix().local_minus_utc())
            }
            chrono::LocalResult::None => {
                let before = clock - chrono::TimeDelta::days(1);
                let found = zone.offset_from_local_datetime(&before).earliest()?;
                shift(found.fix().local_minus_utc())
            }
        }
    }

    /// What clocks of the zone show at the instant `utc`.
    pub fn to_local(self, utc: i64) -> Option<i64> {
        let seconds = match self {
            Zone::Fixed(seconds) => seconds,
            Zone::Region(zone) => {
                let instant = chrono::DateTime::from_timestamp_micros(utc)?.naive_utc();
                zone.offset_from_utc_datetime(&instant)
                    .fix()
                    .local_minus_utc()
            }
        };
        utc.checked_add(i64::from(seconds) * 1_000_000)
    }
}

/// `+h`, `+hh`, `+hh:mm`, `+hhmm`, `+hh:mm:ss`, `+hhmmss`, and Spark's `+h:mm` and `+hh:m`.
fn offset(text: &str) -> Option<i32> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let body = &text[1..];
    let parts: Vec<&str> = match body.contains(':') {
        true => body.split(':').collect(),
        false => match body.len() {
            1 | 2 => vec![body],
            4 => vec![body.get(..2)?, body.get(2..)?],
            6 => vec![body.get(..2)?, body.get(2..4)?, body.get(4..)?],
            _ => return None,
        },
    };
    let mut seconds = 0;
    for (i, part) in parts.iter().enumerate() {
        let short_ok = i == 0 || i == 1 && parts.len() == 2;
        let digits = part.len() == 2 || part.len() == 1 && short_ok;
        if i > 2 || !digits || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let value: i32 = part.parse().ok()?;
        if i > 0 && value > 59 {
            return None;
        }
        seconds += value * [3600, 60, 1][i];
    }
    (seconds <= 18 * 3600).then_some(sign * seconds)
}

/// `CAST(text AS INTERVAL)`: months, days and microseconds of `1 year 2 days 3.5 seconds`.
pub fn parse_interval(text: &str) -> Option<(i32, i32, i64)> {
    let lower = trim_all(text).to_ascii_lowercase();
    let body = match lower.strip_prefix("interval") {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_whitespace()) => rest,
        Some(_) => return None,
        None => &lower,
    };
    let mut rest = body.trim_start();
    if rest.is_empty() {
        return None;
    }
    let (mut months, mut days, mut micros) = (0_i32, 0_i32, 0_i64);
    while !rest.is_empty() {
        let (negative, unsigned) = match rest.as_bytes()[0] {
            b'-' => (true, rest[1..].trim_start()),
            b'+' => (false, rest[1..].trim_start()),
            _ => (false, rest),
        };
        let length = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|length| *length > 0)?;
        let (value, after) = unsigned.split_at(length);
        let after_blank = after.trim_start();
        if after_blank.len() == after.len() {
            return None;
        }
        let word = after_blank
            .find(|c: char| c.is_ascii_whitespace())
            .unwrap_or(after_blank.len());
        let (unit, remaining) = after_blank.split_at(word);
        let unit = unit.strip_suffix('s').unwrap_or(unit);
        let amount = Amount::parse(value, negative, unit == "second")?;
        match unit {
            "year" => months = months.checked_add(amount.whole_i32()?.checked_mul(12)?)?,
            "month" => months = months.checked_add(amount.whole_i32()?)?,
            "week" => days = days.checked_add(amount.whole_i32()?.checked_mul(7)?)?,
            "day" => days = days.checked_add(amount.whole_i32()?)?,
            _ => micros = micros.checked_add(amount.micros(unit)?)?,
        }
        rest = remaining.trim_start();
    }
    Some((months, days, micros))
}

/// A number before a unit.
struct Amount {
    whole: i64,
    /// Microseconds of a fraction of a second, of the number's sign.
    fraction: i64,
}

impl Amount {
    fn parse(text: &str, negative: bool, fraction_allowed: bool) -> Option<Amount> {
        let (whole, fraction) = match text.split_once('.') {
            Some(_) if !fraction_allowed => return None,
            Some((whole, fraction)) => (whole, fraction),
            None => (text, ""),
        };
        if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 {
            return None;
        }
        let sign = if negative { "-" } else { "" };
        let whole = match whole {
            "" => 0,
            digits => format!("{sign}{digits}").parse().ok()?,
        };
        let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
        let micros = nanos / 1000;
        let fraction = if negative { -micros } else { micros };
        Some(Amount { whole, fraction })
    }

    fn whole_i32(&self) -> Option<i32> {
        i32::try_from(self.whole).ok()
    }

    fn micros(&self, unit: &str) -> Option<i64> {
        let scale = match unit {
            "hour" => 3_600_000_000,
            "minute" => 60_000_000,
            "second" => 1_000_000,
            "millisecond" => 1000,
            "microsecond" => 1,
            _ => return None,
        };
        self.whole.checked_mul(scale)?.checked_add(self.fraction)
    }
}

/// `1-2` over year to month gives months; `1 2:03:04.5` over day to second and its narrower forms gives microseconds.
pub fn parse_interval_fields(text: &str, from: IntervalField, to: IntervalField) -> Option<i64> {
    let text = trim_all(text);
    let (sign, body) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let number = |part: &str, limit: i64| -> Option<i64> {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let value: i64 = digits.then(|| part.parse().ok())??;
        (value <= limit).then_some(value)
    };
    let big = i64::from(i32::MAX);
    if to <= IntervalField::Month {
        if from == to {
            let scale = if from == IntervalField::Year { 12 } else { 1 };
            return Some(sign * number(body, big)? * scale);
        }
        let (years, months) = body.split_once('-')?;
        let months = number(years, big)?.checked_mul(12)? + number(months, 11)?;
        return (months <= big).then_some(sign * months);
    }
    let mut fields = [
        IntervalField::Day,
        IntervalField::Hour,
        IntervalField::Minute,
        IntervalField::Second,
    ]
    .into_iter()
    .filter(|field| (from..=to).contains(field))
    .peekable();
    let mut micros = 0_i64;
    let mut rest = body;
    let mut first = true;
    while let Some(field) = fields.next() {
        let part = match fields.peek() {
            None => std::mem::take(&mut rest),
            Some(_) => {
                let separator = if field == IntervalField::Day {
                    ' '
                } else {
                    ':'
                };
                let (part, after) = rest.split_once(separator)?;
                rest = after.trim_start();
                part
            }
        };
        let limit = |usual| if first { big * 60 } else { usual };
        let amount = match field {
            IntervalField::Day => number(part, big)?.checked_mul(MICROS_PER_DAY)?,
            IntervalField::Hour => number(part, limit(23))?.checked_mul(3_600_000_000)?,
            IntervalField::Minute => number(part, limit(59))?.checked_mul(60_000_000)?,
            _ => {
                let (whole, fraction) = part.split_once('.').unwrap_or((part, ""));
                if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
                number(whole, limit(59))?.checked_mul(1_000_000)? + nanos / 1000
            }
        };
        micros = micros.checked_add(amount)?;
        first = false;
    }
    Some(sign * micros)
}
