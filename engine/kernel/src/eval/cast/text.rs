//! Anything to text.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, IntervalMonthDayNanoType,
};
use arrow_array::{Array, ArrayRef};
use unskewed_planner::expr::temporal::MICROS_PER_DAY;
use unskewed_planner::schema::{DataType, IntervalField};

use super::{integers, unsupported};
use crate::error::KernelError;
use crate::eval::java::calendar::Civil;
use crate::eval::java::decimal::scientific_string;
use crate::eval::java::number::{double_to_string, float_to_string};

pub(super) fn to_string(array: &ArrayRef, from: &DataType) -> Result<ArrayRef, KernelError> {
    let write = writer(array, from)?;
    let mut builder = StringBuilder::with_capacity(array.len(), array.len() * 8);
    let mut text = String::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            builder.append_null();
        } else {
            text.clear();
            write(row, &mut text).map_err(|message| KernelError::Row { row, message })?;
            builder.append_value(&text);
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// Appends the text of a row's value, which is not null.
type Writer<'a> = Box<dyn Fn(usize, &mut String) -> Result<(), String> + 'a>;

fn simple<'a>(write: impl Fn(usize, &mut String) + 'a) -> Result<Writer<'a>, KernelError> {
    Ok(Box::new(move |row, out| {
        write(row, out);
        Ok(())
    }))
}

fn writer<'a>(array: &'a ArrayRef, from: &'a DataType) -> Result<Writer<'a>, KernelError> {
    match from {
        DataType::Null => simple(|_, _| {}),
        DataType::Boolean => {
            let values = array.as_boolean();
            simple(move |row, out| out.push_str(if values.value(row) { "true" } else { "false" }))
        }
        DataType::String => {
            let values = array.as_string::<i32>();
            simple(move |row, out| out.push_str(values.value(row)))
        }
        DataType::Binary => {
            let values = array.as_binary::<i32>();
            Ok(Box::new(move |row, out| {
                let text = std::str::from_utf8(values.value(row));
                out.push_str(text.map_err(|_| "the bytes are not UTF-8 text".to_owned())?);
                Ok(())
            }))
        }
        DataType::Float => {
            let values = array.as_primitive::<Float32Type>();
            simple(move |row, out| out.push_str(&float_to_string(values.value(row))))
        }
        DataType::Double => {
            let values = array.as_primitive::<Float64Type>();
            simple(move |row, out| out.push_str(&double_to_string(values.value(row))))
        }
        DataType::Decimal(_, scale) => {
            let (values, scale) = (array.as_primitive::<Decimal128Type>(), i32::from(*scale));
            simple(move |row, out| out.push_str(&scientific_string(values.value(row), scale)))
        }
        DataType::Date => {
            let values = array.as_primitive::<Date32Type>();
            // Rows of a day mostly come together.
            let last = RefCell::new((0, legacy_date_text(0)));
            simple(move |row, out| {
                let (days, mut last) = (values.value(row).into(), last.borrow_mut());
                if last.0 != days {
                    *last = (days, legacy_date_text(days));
                }
                out.push_str(&last.1);
            })
        }
        DataType::CalendarInterval => {
            let values = array.as_primitive::<IntervalMonthDayNanoType>();
            simple(move |row, out| {
                let value = values.value(row);
                calendar_text(value.months, value.days, value.nanoseconds / 1000, out);
            })
        }
        DataType::Array(_) | DataType::Map(..) | DataType::Struct(_) => nested(array, from),
        _ => {
            let read = integers(array, from).ok_or_else(|| unsupported(from, &DataType::String))?;
            match from {
                DataType::Timestamp | DataType::TimestampNtz => {
                    simple(move |row, out| out.push_str(&timestamp_text(read(row))))
                }
                DataType::DayTimeInterval(first, last) => {
                    simple(move |row, out| day_time_text(read(row), *first, *last, out))
                }
                DataType::YearMonthInterval(first, last) => {
                    simple(move |row, out| year_month_text(read(row), *first, *last, out))
                }
                _ => simple(move |row, out| {
                    write!(out, "{}", read(row)).expect("writing to a string");
                }),
            }
        }
    }
}

/// `[1, null]`, `{a -> 1}`, `{1, x}`.
fn nested<'a>(array: &'a ArrayRef, from: &'a DataType) -> Result<Writer<'a>, KernelError> {
    let or_null = |array: &'a ArrayRef, write: Writer<'a>| -> Writer<'a> {
        Box::new(
            move |row, out| match array.is_null(row) || array.data_type().is_null() {
                true => {
                    out.push_str("null");
                    Ok(())
                }
                false => write(row, out),
            },
        )
    };
    match from {
        DataType::Array(element) => {
            let lists = array.as_list::<i32>();
            let write = or_null(lists.values(), writer(lists.values(), element)?);
            Ok(Box::new(move |row, out| {
                out.push('[');
                for (i, at) in range(lists.value_offsets(), row).enumerate() {
                    out.push_str(if i == 0 { "" } else { ", " });
                    write(at, out)?;
                }
                out.push(']');
                Ok(())
            }))
        }
        DataType::Map(key, value) => {
            let map = array.as_map();
            let keys = or_null(map.keys(), writer(map.keys(), key)?);
            let values = or_null(map.values(), writer(map.values(), value)?);
            Ok(Box::new(move |row, out| {
                out.push('{');
                for (i, at) in range(map.value_offsets(), row).enumerate() {
                    out.push_str(if i == 0 { "" } else { ", " });
                    keys(at, out)?;
                    out.push_str(" -> ");
                    values(at, out)?;
                }
                out.push('}');
                Ok(())
            }))
        }
        DataType::Struct(fields) => {
            let mut writers = Vec::new();
            for (column, field) in array.as_struct().columns().iter().zip(fields) {
                writers.push(or_null(column, writer(column, &field.data_type)?));
            }
            Ok(Box::new(move |row, out| {
                out.push('{');
                for (i, write) in writers.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { ", " });
                    write(row, out)?;
                }
                out.push('}');
                Ok(())
            }))
        }
        _ => Err(unsupported(from, &DataType::String)),
    }
}

fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    let at = |k: usize| usize::try_from(offsets[k]).expect("offsets are not negative");
    at(row)..at(row + 1)
}

/// `2024-02-29`; years past 9999 carry a plus.
pub(crate) fn date_text(days: i64) -> String {
    let civil = Civil::of_days(days);
    let year = civil.year.unsigned_abs();
    let sign = match civil.year {
        y if y < 0 => "-",
        y if y > 9999 => "+",
        _ => "",
    };
    format!("{sign}{year:04}-{:02}-{:02}", civil.month, civil.day)
}

/// The days that Julian and Gregorian calendars leave out between them, since 1970.
const CUTOVER_GAP: std::ops::Range<i64> = -141_437..-141_427;

/// A date as the LEGACY policy writes it: `java.text` knows neither signs of years (those before
/// Christ count backwards) nor the days from 5 to 14 October 1582.
pub(crate) fn legacy_date_text(days: i64) -> String {
    let days = if CUTOVER_GAP.contains(&days) {
        CUTOVER_GAP.end
    } else {
        days
    };
    let civil = Civil::of_days(days);
    let year = if civil.year > 0 {
        civil.year
    } else {
        1 - civil.year
    };
    format!("{year:04}-{:02}-{:02}", civil.month, civil.day)
}

/// `2024-02-29 01:02:03.4`, zeros after the point left out.
pub(crate) fn timestamp_text(micros: i64) -> String {
    let (days, time) = (
        micros.div_euclid(MICROS_PER_DAY),
        micros.rem_euclid(MICROS_PER_DAY),
    );
    let (seconds, fraction) = (time / 1_000_000, time % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{} {hour:02}:{minute:02}:{second:02}", date_text(days));
    push_fraction(fraction, &mut text);
    text
}

fn push_fraction(micros: i64, out: &mut String) {
    if micros != 0 {
        let digits = format!(".{micros:06}");
        out.push_str(digits.trim_end_matches('0'));
    }
}

fn unit(field: IntervalField) -> String {
    field.to_string().to_uppercase()
}

fn span(first: IntervalField, last: IntervalField) -> String {
    match first == last {
        true => unit(first),
        false => format!("{} TO {}", unit(first), unit(last)),
    }
}

/// `INTERVAL '1-2' YEAR TO MONTH`
fn year_month_text(months: i64, first: IntervalField, last: IntervalField, out: &mut String) {
    let sign = if months < 0 { "-" } else { "" };
    let (years, rest) = (months.unsigned_abs() / 12, months.unsigned_abs() % 12);
    let body = match (first, last) {
        (IntervalField::Year, IntervalField::Year) => format!("{years}"),
        (IntervalField::Year, _) => format!("{years}-{rest}"),
        _ => format!("{}", months.unsigned_abs()),
    };
    write!(out, "INTERVAL '{sign}{body}' {}", span(first, last)).expect("writing to a string");
}

/// `INTERVAL '1 02:03:04.5' DAY TO SECOND`
fn day_time_text(micros: i64, first: IntervalField, last: IntervalField, out: &mut String) {
    let sign = if micros < 0 { "-" } else { "" };
    let total = micros.unsigned_abs();
    let mut body = String::new();
    let mut rest = total;
    for (field, size) in [
        (IntervalField::Day, 86_400_000_000_u64),
        (IntervalField::Hour, 3_600_000_000),
        (IntervalField::Minute, 60_000_000),
        (IntervalField::Second, 1_000_000),
    ] {
        if field < first || field > last {
            continue;
        }
        let amount = rest / size;
        rest %= size;
        let separator = match field {
            _ if field == first => "",
            IntervalField::Hour => " ",
            _ => ":",
        };
        let day = field == IntervalField::Day;
        let digits = if day {
            format!("{amount}")
        } else {
            format!("{amount:02}")
        };
        body.push_str(separator);
        body.push_str(&digits);
    }
    if last == IntervalField::Second {
        push_fraction(i64::try_from(rest).unwrap_or(0), &mut body);
    }
    write!(out, "INTERVAL '{sign}{body}' {}", span(first, last)).expect("writing to a string");
}

/// `1 years 2 months 3 days 4 hours 5 minutes 6.5 seconds`, zeros left out.
fn calendar_text(months: i32, days: i32, micros: i64, out: &mut String) {
    let mut parts = Vec::new();
    let mut push = |amount: i64, unit: &str| {
        if amount != 0 {
            parts.push(format!("{amount} {unit}"));
        }
    };
    push((months / 12).into(), "years");
    push((months % 12).into(), "months");
    push(days.into(), "days");
    push(micros / 3_600_000_000, "hours");
    push(micros % 3_600_000_000 / 60_000_000, "minutes");
    let seconds = micros % 60_000_000;
    if seconds != 0 {
        let mut text = String::from(if seconds < 0 { "-" } else { "" });
        text.push_str(&(seconds.abs() / 1_000_000).to_string());
        push_fraction(seconds.abs() % 1_000_000, &mut text);
        parts.push(format!("{text} seconds"));
    }
    if parts.is_empty() {
        parts.push("0 seconds".into());
    }
    out.push_str(&parts.join(" "));
}
