//! Literals: numbers with suffixes, typed literals (`DATE'…'`, `X'…'`), intervals.

use super::ast::{Node, NodeKind};
use super::ir::Literal;
use super::parse::{Parsed, Parser};
use super::parse_type::interval_of;
use super::problem::{Problem, Span};
use super::temporal;
use super::token::TokenKind;
use crate::schema::{DataType, IntervalField};

impl Parser<'_> {
    /// A number; `-` before it is part of it, so that the least integers can be written.
    pub(crate) fn number(&mut self, negative: bool, start: Span) -> Parsed<Node> {
        let TokenKind::Number(text) = self.advance() else {
            return self.unexpected("a number");
        };
        let span = self.since(start);
        match number(&text, negative) {
            Ok((literal, data_type)) => self.build(NodeKind::Literal(literal, data_type), start),
            Err(message) => Err(Problem::new(span, message)),
        }
    }

    /// `word'…'`; `None` if the word is not one that types a literal.
    pub(crate) fn typed_literal(&mut self, word: &str, start: Span) -> Parsed<Option<Node>> {
        if !matches!(
            word,
            "date" | "timestamp" | "timestamp_ltz" | "timestamp_ntz" | "x"
        ) {
            return Ok(None);
        }
        self.advance();
        let TokenKind::Text(text) = self.advance() else {
            return self.unexpected("a string in quotes");
        };
        let integer =
            |value: Option<i64>, data_type| value.map(|v| (Literal::Integer(v), data_type));
        let parsed = match word {
            "date" => integer(temporal::date_literal(&text).map(i64::from), DataType::Date),
            "timestamp_ntz" => integer(
                temporal::parse_timestamp_ntz(&text, false),
                DataType::TimestampNtz,
            ),
            "x" => hex(&text).map(|bytes| (Literal::Binary(bytes), DataType::Binary)),
            _ => integer(temporal::timestamp_literal(&text), DataType::Timestamp),
        };
        match parsed {
            Some((literal, data_type)) => self
                .build(NodeKind::Literal(literal, data_type), start)
                .map(Some),
            None => Err(Problem::new(
                self.since(start),
                format!("'{text}' is not a {word} literal"),
            )),
        }
    }

    pub(crate) fn starts_interval(&self) -> bool {
        match self.peek_at(1) {
            TokenKind::Number(_) | TokenKind::Text(_) => true,
            TokenKind::Symbol("+" | "-") => {
                matches!(self.peek_at(2), TokenKind::Number(_) | TokenKind::Text(_))
                    && matches!(self.peek_at(3), TokenKind::Word(_))
            }
            _ => false,
        }
    }

    /// What follows the word INTERVAL.
    pub(crate) fn interval(&mut self, start: Span) -> Parsed<Node> {
        let mut units = Vec::new();
        let mut text = String::new();
        let mut parts = 0;
        loop {
            let negative = self.accept("-");
            if !negative {
                self.accept("+");
            }
            let value = match self.peek().clone() {
                TokenKind::Number(digits) => {
                    self.advance();
                    digits
                }
                TokenKind::Text(_) => self.text_literal()?,
                _ => return self.unexpected("the value of an interval"),
            };
            let TokenKind::Word(unit) = self.peek().clone() else {
                // INTERVAL '1 day 2 hours'
                if parts == 0 && !negative {
                    return self.interval_text(&value, start);
                }
                return self.unexpected("a unit of time");
            };
            if parts == 0 && unit_name(&unit).is_none() && !negative && value.contains(' ') {
                return self.interval_text(&value, start);
            }
            if parts == 0 && self.is_word_at(1, "to") {
                return self.unit_to_unit(&value, negative, start);
            }
            let Some(unit) = unit_name(&unit) else {
                return self.unexpected("a unit of time");
            };
            self.advance();
            let sign = if negative { "-" } else { "" };
            text.push_str(&format!(" {sign}{value} {unit}"));
            units.push(unit);
            parts += 1;
            if !self.continues_interval() {
                break;
            }
        }
        self.interval_of_units(&text, &units, start)
    }

    fn continues_interval(&self) -> bool {
        let value = usize::from(self.is_symbol("-") || self.is_symbol("+"));
        // `INTERVAL 1 DAY - 2` is a subtraction: only a value followed by a unit goes on.
        matches!(
            self.peek_at(value),
            TokenKind::Number(_) | TokenKind::Text(_)
        ) && matches!(self.peek_at(value + 1), TokenKind::Word(w) if unit_name(w).is_some())
    }

    fn interval_text(&mut self, text: &str, start: Span) -> Parsed<Node> {
        let units: Vec<&str> = text.split_whitespace().filter_map(unit_name).collect();
        self.interval_of_units(text, &units, start)
    }

    fn interval_of_units(&self, text: &str, units: &[&str], start: Span) -> Parsed<Node> {
        let fail = |message: &str| Err(Problem::new(self.since(start), message));
        let Some((months, days, micros)) = temporal::parse_interval(text) else {
            return fail("malformed interval");
        };
        let fields = units.iter().map(|unit| match *unit {
            "year" => IntervalField::Year,
            "month" => IntervalField::Month,
            "day" | "week" => IntervalField::Day,
            "hour" => IntervalField::Hour,
            "minute" => IntervalField::Minute,
            _ => IntervalField::Second,
        });
        let (Some(from), Some(to)) = (fields.clone().min(), fields.max()) else {
            return fail("malformed interval");
        };
        let Some(data_type) = interval_of(from, to) else {
            return fail("an interval cannot mix months with days or time");
        };
        let value = match data_type {
            DataType::YearMonthInterval(..) => Some(i64::from(months)),
            _ => i64::from(days)
                .checked_mul(temporal::MICROS_PER_DAY)
                .and_then(|d| d.checked_add(micros)),
        };
        match value {
            Some(value) => self.build(NodeKind::Literal(Literal::Integer(value), data_type), start),
            None => fail("interval out of range"),
        }
    }

    fn unit_to_unit(&mut self, value: &str, negative: bool, start: Span) -> Parsed<Node> {
        let Some(from) = self.interval_field() else {
            return self.unexpected("a unit of time");
        };
        self.expect_word("to")?;
        let Some(to) = self.interval_field() else {
            return self.unexpected("a unit of time");
        };
        let problem = |message: &str| Problem::new(self.since(start), message);
        let data_type =
            interval_of(from, to).ok_or_else(|| problem("there is no such interval"))?;
        let amount = temporal::parse_interval_fields(value, from, to)
            .ok_or_else(|| problem("malformed interval"))?;
        let amount = if negative { -amount } else { amount };
        self.build(
            NodeKind::Literal(Literal::Integer(amount), data_type),
            start,
        )
    }
}

fn unit_name(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let singular = word.strip_suffix('s').unwrap_or(&word);
    temporal::UNITS.into_iter().find(|unit| *unit == singular)
}

/// The value and type of a number as written.
fn number(text: &str, negative: bool) -> Result<(Literal, DataType), String> {
    let sign = if negative { "-" } else { "" };
    let upper = text.to_ascii_uppercase();
    let integer =
        |digits: &str, low: i64, high: i64, data_type: DataType| match format!("{sign}{digits}")
            .parse::<i64>()
        {
            Ok(value) if (low..=high).contains(&value) => Ok((Literal::Integer(value), data_type)),
            _ => Err(format!("{sign}{digits} is not a {data_type}")),
        };
    if let Some(digits) = upper.strip_suffix("BD") {
        return decimal(digits, negative);
    }
    if let Some(digits) = upper.strip_suffix('L') {
        return integer(digits, i64::MIN, i64::MAX, DataType::Long);
    }
    if let Some(digits) = upper.strip_suffix('S') {
        return integer(digits, i16::MIN.into(), i16::MAX.into(), DataType::Short);
    }
    if let Some(digits) = upper.strip_suffix('Y') {
        return integer(digits, i8::MIN.into(), i8::MAX.into(), DataType::Byte);
    }
    if let Some(digits) = upper.strip_suffix('F') {
        return float(&format!("{sign}{digits}"));
    }
    if let Some(digits) = upper.strip_suffix('D') {
        return double(&format!("{sign}{digits}"));
    }
    if upper.contains('E') {
        return double(&format!("{sign}{upper}"));
    }
    if upper.contains('.') {
        return decimal(&upper, negative);
    }
    match format!("{sign}{upper}").parse::<i64>() {
        Ok(value) if i32::try_from(value).is_ok() => Ok((Literal::Integer(value), DataType::Int)),
        Ok(value) => Ok((Literal::Integer(value), DataType::Long)),
        Err(_) => decimal(&upper, negative),
    }
}

fn double(text: &str) -> Result<(Literal, DataType), String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok((Literal::Double(value), DataType::Double)),
        _ => Err(format!("{text} is not a double")),
    }
}

/// The limit is on the written value, so that what would round down to the greatest float is refused as well.
fn float(text: &str) -> Result<(Literal, DataType), String> {
    let wide = text.parse::<f64>().unwrap_or(f64::INFINITY);
    match text.parse::<f32>() {
        Ok(value) if wide.abs() <= f64::from(f32::MAX) => {
            Ok((Literal::Double(f64::from(value)), DataType::Float))
        }
        _ => Err(format!("{text} is not a float")),
    }
}

/// As many digits as are written; an exponent moves the point.
fn decimal(text: &str, negative: bool) -> Result<(Literal, DataType), String> {
    let too_long = || format!("{text} has more than 38 digits");
    let (mantissa, exponent) = text.split_once('E').unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().map_err(|_| too_long())?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let mut digits = digits.trim_start_matches('0').to_owned();
    let mut scale = i64::try_from(fraction.len()).map_err(|_| too_long())? - exponent;
    if scale < 0 {
        let zeros = usize::try_from(-scale).map_err(|_| too_long())?;
        if digits.len() + zeros > 38 && !digits.is_empty() {
            return Err(too_long());
        }
        if !digits.is_empty() {
            digits.push_str(&"0".repeat(zeros));
        }
        scale = 0;
    }
    let precision = digits
        .len()
        .max(1)
        .max(usize::try_from(scale).unwrap_or(99));
    if precision > 38 {
        return Err(too_long());
    }
    let value: i128 = match digits.is_empty() {
        true => 0,
        false => digits.parse().map_err(|_| too_long())?,
    };
    let value = if negative { -value } else { value };
    let (precision, scale) = (
        u8::try_from(precision).map_err(|_| too_long())?,
        i8::try_from(scale).map_err(|_| too_long())?,
    );
    Ok((Literal::Decimal(value), DataType::Decimal(precision, scale)))
}

/// Hexadecimal digits to bytes; an odd count has a zero before it.
fn hex(text: &str) -> Option<Vec<u8>> {
    let padded = match text.len() % 2 {
        0 => text.to_owned(),
        _ => format!("0{text}"),
    };
    let digits: Option<Vec<u8>> = padded
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect();
    Some(
        digits?
            .chunks(2)
            .map(|pair| pair[0] * 16 + pair[1])
            .collect(),
    )
}
