//! `from_json`.
//!
//! A field that cannot be read is null, and its record malformed; a record that is no JSON, or of
//! another shape than the schema, is null all over. The column for malformed records, if the schema
//! has one, gets their text.

use arrow_array::Array;
use unskewed_planner::expr::temporal;
use unskewed_planner::schema::{DataType, Field};

use super::cell::{Cell, assemble};
use super::options::{DATE, Options, TIMESTAMP};
use crate::error::KernelError;
use crate::eval::build::Built;
use crate::eval::call::Call;
use crate::eval::java::date_pattern::DatePattern;
use crate::eval::java::decimal::{Rounding, rescale};
use crate::eval::java::encode::unbase64_padded;
use crate::eval::java::json::{JsonSyntax, JsonValue, parse};

/// A value, and whether all of it could be read.
type Partial = (Cell, bool);

/// How texts become values.
pub(super) struct Reader {
    pub(super) date: DatePattern,
    pub(super) timestamp: DatePattern,
}

impl Reader {
    pub(super) fn new(options: &Options) -> Result<Self, KernelError> {
        Ok(Self {
            date: options.pattern("dateformat", DATE)?,
            timestamp: options.pattern("timestampformat", TIMESTAMP)?,
        })
    }

    /// By the pattern, else as a cast reads dates, else as a number of days.
    pub(super) fn date(&self, text: &str) -> Option<i64> {
        let by_pattern = self.date.parse_micros(text);
        let days = by_pattern.map(|micros| micros.div_euclid(temporal::MICROS_PER_DAY));
        days.or_else(|| temporal::parse_date(text).map(i64::from))
            .or_else(|| text.parse::<i32>().ok().map(i64::from))
    }

    /// By the pattern, else as a cast reads timestamps.
    pub(super) fn timestamp(&self, text: &str) -> Option<i64> {
        self.timestamp
            .parse_micros(text)
            .or_else(|| temporal::parse_timestamp(text))
    }
}

pub(super) fn syntax(options: &Options) -> Result<JsonSyntax, KernelError> {
    let base = JsonSyntax::SCHEMA;
    Ok(JsonSyntax {
        single_quotes: options.flag("allowsinglequotes", base.single_quotes)?,
        control_characters: options.flag("allowunquotedcontrolchars", base.control_characters)?,
        non_numeric_numbers: options.flag("allownonnumericnumbers", base.non_numeric_numbers)?,
        unquoted_names: options.flag("allowunquotedfieldnames", base.unquoted_names)?,
        leading_zeros: options.flag("allownumericleadingzeros", base.leading_zeros)?,
        any_escape: options.flag("allowbackslashescapinganycharacter", base.any_escape)?,
        comments: options.flag("allowcomments", base.comments)?,
    })
}

pub(super) fn from_json(call: &Call<'_>) -> Built {
    let options = Options::read(call, 1)?;
    let (syntax, reader) = (syntax(&options)?, Reader::new(&options)?);
    let fails_fast = options.fails_fast()?;
    let corrupt = options
        .get("columnnameofcorruptrecord")
        .unwrap_or("_corrupt_record");
    let text = call.strings(0);
    let mut cells = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let Some(text) = text.get(row) else {
            cells.push(Cell::Null);
            continue;
        };
        let parsed = match parse(text, syntax) {
            Ok(None) => {
                cells.push(Cell::Null);
                continue;
            }
            Ok(Some(value)) => reader.root(&value, call.data_type),
            Err(()) => None,
        };
        let whole = matches!(parsed, Some((_, true)));
        if !whole && fails_fast {
            return Err(Call::row_error(row, format!("malformed record '{text}'")));
        }
        let (mut cell, _) = parsed.unwrap_or_else(|| (nothing(call.data_type), false));
        if let (Cell::Struct(values), DataType::Struct(fields)) = (&mut cell, call.data_type)
            && let Some(at) = corrupt_column(fields, corrupt)
        {
            values[at] = if whole {
                Cell::Null
            } else {
                Cell::Text(text.to_owned())
            };
        }
        cells.push(cell);
    }
    assemble(cells, call.data_type)
}

fn corrupt_column(fields: &[Field], name: &str) -> Option<usize> {
    fields
        .iter()
        .position(|f| f.name == name && f.data_type == DataType::String)
}

/// What stands for a record that says nothing.
fn nothing(data_type: &DataType) -> Cell {
    match data_type {
        DataType::Struct(fields) => Cell::Struct(vec![Cell::Null; fields.len()]),
        _ => Cell::Null,
    }
}

impl Reader {
    /// A whole record; nothing if it is of another shape.
    fn root(&self, value: &JsonValue, data_type: &DataType) -> Option<Partial> {
        match (value, data_type) {
            (JsonValue::Null, _) => None,
            (JsonValue::Object(_), DataType::Array(element))
                if matches!(**element, DataType::Struct(_)) =>
            {
                let (cell, whole) = self.read(value, element)?;
                Some((Cell::List(vec![cell]), whole))
            }
            _ => self.read(value, data_type),
        }
    }

    /// A value of a type; nothing if it cannot be one, a part of it if not all of it can.
    fn read(&self, value: &JsonValue, data_type: &DataType) -> Option<Partial> {
        if *value == JsonValue::Null {
            return Some((Cell::Null, true));
        }
        match (data_type, value) {
            (DataType::Struct(fields), JsonValue::Object(given)) => {
                Some(self.object(given, fields))
            }
            (DataType::Array(element), JsonValue::Array(items)) => {
                let mut whole = true;
                let mut cells = Vec::with_capacity(items.len());
                for item in items {
                    let (cell, complete) = self.read(item, element)?;
                    whole &= complete;
                    cells.push(cell);
                }
                Some((Cell::List(cells), whole))
            }
            (DataType::Map(_, inner), JsonValue::Object(given)) => {
                let mut whole = true;
                let mut entries = Vec::with_capacity(given.len());
                for (name, item) in given {
                    let (cell, complete) = self.read(item, inner)?;
                    whole &= complete;
                    entries.push((name.clone(), cell));
                }
                Some((Cell::Map(entries), whole))
            }
            _ => self.scalar(value, data_type).map(|cell| (cell, true)),
        }
    }

    /// Fields that cannot be read stay null; of repeated ones the last holds.
    fn object(&self, given: &[(String, JsonValue)], fields: &[Field]) -> Partial {
        let mut values = vec![Cell::Null; fields.len()];
        let mut whole = true;
        for (name, value) in given {
            let Some(at) = fields.iter().position(|field| field.name == *name) else {
                continue;
            };
            match self.read(value, &fields[at].data_type) {
                Some((cell, complete)) => {
                    whole &= complete;
                    values[at] = cell;
                }
                None => whole = false,
            }
        }
        (Cell::Struct(values), whole)
    }

    fn scalar(&self, value: &JsonValue, data_type: &DataType) -> Option<Cell> {
        let integer = |low: i64, high: i64| match value {
            JsonValue::Integer(text) => {
                let value = text.parse::<i64>().ok()?;
                (low..=high).contains(&value).then_some(value)
            }
            _ => None,
        };
        Some(match (data_type, value) {
            (DataType::Boolean, JsonValue::Boolean(value)) => Cell::Boolean(*value),
            // Java's parser takes bytes without a sign too.
            (DataType::Byte, _) => {
                let value = integer(-128, 255)?;
                Cell::Integer(if value > 127 { value - 256 } else { value })
            }
            (DataType::Short, _) => Cell::Integer(integer(i16::MIN.into(), i16::MAX.into())?),
            (DataType::Int, _) => Cell::Integer(integer(i32::MIN.into(), i32::MAX.into())?),
            (DataType::Long, _) => Cell::Integer(integer(i64::MIN, i64::MAX)?),
            (DataType::Float | DataType::Double, JsonValue::Text(text)) => {
                Cell::Real(match text.as_str() {
                    "NaN" => f64::NAN,
                    "+INF" | "+Infinity" | "Infinity" => f64::INFINITY,
                    "-INF" | "-Infinity" => f64::NEG_INFINITY,
                    _ => return None,
                })
            }
            (DataType::Float | DataType::Double, number) => Cell::Real(number.as_double()?),
            (DataType::Decimal(precision, scale), JsonValue::Text(text)) => {
                Cell::Decimal(decimal(&text.replace(',', ""), *precision, *scale)?)
            }
            (
                DataType::Decimal(precision, scale),
                JsonValue::Integer(text) | JsonValue::Real(text),
            ) => Cell::Decimal(decimal(text, *precision, *scale)?),
            (DataType::String, JsonValue::Text(text)) => Cell::Text(text.clone()),
            (DataType::String, other) => Cell::Text(other.to_text()),
            (DataType::Binary, JsonValue::Text(text)) => Cell::Bytes(unbase64_padded(text)?),
            (DataType::Date, JsonValue::Text(text)) if !text.is_empty() => {
                Cell::Integer(self.date(text)?)
            }
            (DataType::Timestamp, JsonValue::Text(text)) if !text.is_empty() => {
                Cell::Integer(self.timestamp(text)?)
            }
            (DataType::Timestamp, JsonValue::Integer(text)) => {
                Cell::Integer(text.parse::<i64>().ok()?.wrapping_mul(1_000_000))
            }
            (DataType::TimestampNtz, JsonValue::Text(text)) if !text.is_empty() => {
                Cell::Integer(temporal::parse_timestamp_ntz(text, false)?)
            }
            _ => return None,
        })
    }
}

/// A decimal number as written, rounded to the scale; nothing if it does not fit.
pub(super) fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let all = format!("{whole}{fraction}");
    if !all.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut from = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    let mut significant = all.trim_start_matches('0');
    // More digits than fit: those far behind the point cannot matter but for rounding, which looks
    // at the first.
    while significant.len() > 38 && from > i32::from(scale) + 1 {
        significant = &significant[..significant.len() - 1];
        from -= 1;
    }
    let value: i128 = match significant {
        "" => 0,
        text if text.len() <= 38 => text.parse().ok()?,
        _ => return None,
    };
    if value == 0 {
        return Some(0);
    }
    let value = rescale(value, from, scale.into(), Rounding::HalfUp)?;
    let limit = 10i128.checked_pow(precision.into())?;
    (value < limit).then_some(sign * value)
}

/// Whether an array holds a value in this row.
pub(super) fn is_valid(array: &dyn Array, row: usize) -> bool {
    array.is_valid(row) && !array.data_type().is_null()
}
