//! Anything to dates, timestamps and intervals.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, DurationMicrosecondType, Float32Type, Float64Type,
    IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalYearMonthType,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use unskewed_planner::expr::temporal::{
    MICROS_PER_DAY, parse_date, parse_interval, parse_interval_fields, parse_timestamp,
    parse_timestamp_ntz,
};
use unskewed_planner::schema::{DataType, IntervalField};

use super::numeric::{decimal_units, unit_of};
use super::{integers, map_primitive, map_text, nulls, unsupported};
use crate::error::KernelError;

type Casted = Result<ArrayRef, KernelError>;

pub(super) fn to_moment(array: &ArrayRef, from: &DataType, to: &DataType) -> Casted {
    Ok(match (from, to) {
        (DataType::String, DataType::Date) => map_text::<Date32Type>(array, to, parse_date),
        (DataType::String, DataType::Timestamp) => {
            map_text::<TimestampMicrosecondType>(array, to, parse_timestamp)
        }
        (DataType::String, _) => {
            let parse = |text: &str| parse_timestamp_ntz(text, true);
            map_text::<TimestampMicrosecondType>(array, to, parse)
        }
        (DataType::Timestamp | DataType::TimestampNtz, DataType::Date) => {
            map_primitive::<TimestampMicrosecondType, Date32Type>(array, to, |micros| {
                i32::try_from(micros.div_euclid(MICROS_PER_DAY)).ok()
            })
        }
        (_, DataType::Date) => return Err(unsupported(from, to)),
        (DataType::Date, _) => return date_to_timestamp(array, to),
        (DataType::Timestamp | DataType::TimestampNtz, _) => {
            map_primitive::<TimestampMicrosecondType, TimestampMicrosecondType>(array, to, Some)
        }
        (_, DataType::TimestampNtz) => return Err(unsupported(from, to)),
        (DataType::Float, _) => {
            map_primitive::<Float32Type, TimestampMicrosecondType>(array, to, |v| seconds(v.into()))
        }
        (DataType::Double, _) => {
            map_primitive::<Float64Type, TimestampMicrosecondType>(array, to, seconds)
        }
        (DataType::Decimal(_, scale), _) => {
            let micros = decimal_units(array, i32::from(*scale), 6).into_iter();
            #[allow(
                clippy::cast_possible_truncation,
                clippy::as_conversions,
                reason = "low bits"
            )]
            let values: PrimitiveArray<TimestampMicrosecondType> =
                micros.map(|v| v.map(|v| v as i64)).collect();
            Arc::new(values.with_data_type(to.to_arrow()))
        }
        _ => {
            let read = integers(array, from).ok_or_else(|| unsupported(from, to))?;
            // A truth value is one microsecond, a number so many seconds.
            let unit = if *from == DataType::Boolean {
                1
            } else {
                1_000_000
            };
            let values: PrimitiveArray<TimestampMicrosecondType> = (0..array.len())
                .map(|row| array.is_valid(row).then(|| read(row).saturating_mul(unit)))
                .collect();
            Arc::new(values.with_data_type(to.to_arrow()))
        }
    })
}

/// Seconds as TRY_CAST takes them: null beyond the range of timestamps.
pub(super) fn seconds_in_range(array: &ArrayRef, from: &DataType) -> Casted {
    let to = DataType::Timestamp;
    let fits =
        |value: f64| (-9.223_372_036_854_776e18..9.223_372_036_854_776e18).contains(&(value * 1e6));
    let micros = |value: f64| fits(value).then(|| seconds(value))?;
    Ok(match from {
        DataType::Float => {
            map_primitive::<Float32Type, TimestampMicrosecondType>(array, &to, |v| micros(v.into()))
        }
        _ => map_primitive::<Float64Type, TimestampMicrosecondType>(array, &to, micros),
    })
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::as_conversions,
    reason = "saturating is meant"
)]
fn seconds(value: f64) -> Option<i64> {
    value.is_finite().then_some((value * 1e6) as i64)
}

/// Days beyond the range of timestamps fail, as in the reference.
fn date_to_timestamp(array: &ArrayRef, to: &DataType) -> Casted {
    let days = array.as_primitive::<Date32Type>();
    let mut values = Vec::with_capacity(days.len());
    for (row, day) in days.iter().enumerate() {
        let micros = match day {
            None => None,
            Some(day) => {
                let micros = i64::from(day).checked_mul(MICROS_PER_DAY);
                Some(micros.ok_or_else(|| KernelError::Row {
                    row,
                    message: "date out of the range of timestamps".into(),
                })?)
            }
        };
        values.push(micros);
    }
    let values = PrimitiveArray::<TimestampMicrosecondType>::from(values);
    Ok(Arc::new(values.with_data_type(to.to_arrow())))
}

pub(super) fn to_interval(array: &ArrayRef, from: &DataType, to: &DataType) -> Casted {
    Ok(match (from, to) {
        (DataType::String, DataType::CalendarInterval) => {
            map_text::<IntervalMonthDayNanoType>(array, to, |text| {
                let (months, days, micros) = parse_interval(text)?;
                let nanos = micros.checked_mul(1000)?;
                Some(IntervalMonthDayNano::new(months, days, nanos))
            })
        }
        (DataType::String, DataType::DayTimeInterval(first, last)) => {
            let texts = array.as_string::<i32>();
            interval_or_error::<DurationMicrosecondType>(array, to, |row| {
                fields_of_text(texts.value(row), *first, *last)
            })?
        }
        (DataType::String, DataType::YearMonthInterval(first, last)) => {
            let texts = array.as_string::<i32>();
            interval_or_error::<IntervalYearMonthType>(array, to, |row| {
                i32::try_from(fields_of_text(texts.value(row), *first, *last)?).ok()
            })?
        }
        (DataType::DayTimeInterval(..), DataType::DayTimeInterval(_, last)) => {
            let unit = if *last == IntervalField::Second {
                1
            } else {
                unit_of(*last)
            };
            map_primitive::<DurationMicrosecondType, DurationMicrosecondType>(array, to, |v| {
                Some(v / unit * unit)
            })
        }
        (DataType::YearMonthInterval(..), DataType::YearMonthInterval(_, last)) => {
            let unit = if *last == IntervalField::Year { 12 } else { 1 };
            map_primitive::<IntervalYearMonthType, IntervalYearMonthType>(array, to, |v| {
                Some(v / unit * unit)
            })
        }
        (DataType::Date, _) => nulls(array, to),
        (_, DataType::DayTimeInterval(_, last)) => {
            let read = integers(array, from).ok_or_else(|| unsupported(from, to))?;
            let unit = unit_of(*last);
            interval_or_error::<DurationMicrosecondType>(array, to, |row| {
                read(row).checked_mul(unit)
            })?
        }
        (_, DataType::YearMonthInterval(_, last)) => {
            let read = integers(array, from).ok_or_else(|| unsupported(from, to))?;
            let unit = if *last == IntervalField::Year { 12 } else { 1 };
            interval_or_error::<IntervalYearMonthType>(array, to, |row| {
                i32::try_from(read(row).checked_mul(unit)?).ok()
            })?
        }
        _ => return Err(unsupported(from, to)),
    })
}

/// Value by value; what is no interval, or too long for one, fails as in the reference.
fn interval_or_error<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    to: &DataType,
    value: impl Fn(usize) -> Option<T::Native>,
) -> Casted {
    let mut values = Vec::with_capacity(array.len());
    for row in 0..array.len() {
        let value = match array.is_valid(row) {
            false => None,
            true => Some(value(row).ok_or_else(|| KernelError::Row {
                row,
                message: format!("the value is no {to}, or too long for one"),
            })?),
        };
        values.push(value);
    }
    let values = PrimitiveArray::<T>::from_iter(values);
    Ok(Arc::new(values.with_data_type(to.to_arrow())))
}

/// `1 02:03:04`, or the same written as a literal: `INTERVAL '1 02:03:04' DAY TO SECOND`.
fn fields_of_text(text: &str, first: IntervalField, last: IntervalField) -> Option<i64> {
    let trimmed = text.trim();
    let lower = trimmed.to_ascii_lowercase();
    let Some(rest) = lower.strip_prefix("interval ") else {
        return parse_interval_fields(trimmed, first, last);
    };
    let (sign, quoted) = match rest.trim_start().strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, rest.trim_start()),
    };
    let (value, unit) = quoted.trim_start().strip_prefix('\'')?.split_once('\'')?;
    let wanted = match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    };
    let unit: Vec<&str> = unit.split_whitespace().collect();
    (unit.join(" ") == wanted)
        .then(|| parse_interval_fields(value, first, last))?
        .map(|v| v * sign)
}
