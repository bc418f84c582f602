//! Arithmetic of dates, timestamps and intervals.

use arrow_array::Array;
use arrow_array::types::{
    Date32Type, Decimal128Type, DurationMicrosecondType, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalYearMonthType,
    TimestampMicrosecondType,
};
use arrow_schema::{DataType as ArrowType, IntervalUnit};
use unskewed_planner::expr::temporal::MICROS_PER_DAY;

use super::{Entry, eager};
use crate::eval::build::Built;
use crate::eval::call::Call;
use crate::eval::java::calendar;

pub(super) fn functions() -> Vec<Entry> {
    vec![
        eager("date plus days", |call| days(call, i32::wrapping_add)),
        eager("date minus days", |call| days(call, i32::wrapping_sub)),
        eager("date minus date", |call| {
            let (left, right) = (
                call.primitives::<Date32Type>(0),
                call.primitives::<Date32Type>(1),
            );
            call.build::<DurationMicrosecondType>(|row| {
                let days = i64::from(left.get(row)?) - i64::from(right.get(row)?);
                days.checked_mul(MICROS_PER_DAY)
            })
        }),
        eager("timestamp minus timestamp", |call| {
            let left = call.primitives::<TimestampMicrosecondType>(0);
            let right = call.primitives::<TimestampMicrosecondType>(1);
            call.build::<DurationMicrosecondType>(|row| left.get(row)?.checked_sub(right.get(row)?))
        }),
        eager("add interval", add),
        eager("scale interval", |call| scale(call, false)),
        eager("divide interval", |call| scale(call, true)),
    ]
}

fn days(call: &Call<'_>, shift: fn(i32, i32) -> i32) -> Built {
    let (date, count) = (
        call.primitives::<Date32Type>(0),
        call.primitives::<Int32Type>(1),
    );
    call.build::<Date32Type>(|row| Some(shift(date.get(row)?, count.get(row)?)))
}

/// Months, days and microseconds of the interval argument.
type Reader<'a> = Box<dyn Fn(usize) -> Option<(i64, i64, i64)> + 'a>;

fn reader<'a>(call: &'a Call<'_>, index: usize) -> Reader<'a> {
    match call.columns[index].array.data_type() {
        ArrowType::Duration(_) => {
            let values = call.primitives::<DurationMicrosecondType>(index);
            Box::new(move |row| Some((0, 0, values.get(row)?)))
        }
        ArrowType::Interval(IntervalUnit::YearMonth) => {
            let values = call.primitives::<IntervalYearMonthType>(index);
            Box::new(move |row| Some((values.get(row)?.into(), 0, 0)))
        }
        _ => {
            let values = call.primitives::<IntervalMonthDayNanoType>(index);
            Box::new(move |row| {
                let value = values.get(row)?;
                Some((
                    value.months.into(),
                    value.days.into(),
                    value.nanoseconds / 1000,
                ))
            })
        }
    }
}

fn add(call: &Call<'_>) -> Built {
    let interval = reader(call, 1);
    if call.columns[0].array.data_type() == &ArrowType::Date32 {
        let date = call.primitives::<Date32Type>(0);
        return call.try_build::<Date32Type>(|row| {
            let (Some(date), Some((months, days, micros))) = (date.get(row), interval(row)) else {
                return Ok(None);
            };
            // With ANSI off, time in a calendar interval is carried over whole days only.
            let shifted = calendar::add_months(date.into(), months) + days;
            let shifted = shifted + micros.div_euclid(MICROS_PER_DAY);
            let shifted = i32::try_from(shifted).map_err(|_| "date out of range".to_owned())?;
            Ok(Some(shifted))
        });
    }
    let moment = call.primitives::<TimestampMicrosecondType>(0);
    call.try_build::<TimestampMicrosecondType>(|row| {
        let (Some(moment), Some((months, days, micros))) = (moment.get(row), interval(row)) else {
            return Ok(None);
        };
        let shifted = calendar::add_interval(moment, months, days, micros);
        shifted
            .map(Some)
            .ok_or_else(|| "timestamp out of range".to_owned())
    })
}

/// A factor: exact if it is an integer or a decimal.
enum Factor {
    Integer(i64),
    Decimal(i128, i32),
    Double(f64),
}

fn factors<'a>(call: &'a Call<'_>) -> Box<dyn Fn(usize) -> Option<Factor> + 'a> {
    match call.columns[1].array.data_type() {
        ArrowType::Int8 => {
            let values = call.primitives::<Int8Type>(1);
            Box::new(move |row| Some(Factor::Integer(values.get(row)?.into())))
        }
        ArrowType::Int16 => {
            let values = call.primitives::<Int16Type>(1);
            Box::new(move |row| Some(Factor::Integer(values.get(row)?.into())))
        }
        ArrowType::Int32 => {
            let values = call.primitives::<Int32Type>(1);
            Box::new(move |row| Some(Factor::Integer(values.get(row)?.into())))
        }
        ArrowType::Int64 => {
            let values = call.primitives::<Int64Type>(1);
            Box::new(move |row| Some(Factor::Integer(values.get(row)?)))
        }
        ArrowType::Decimal128(_, scale) => {
            let (values, scale) = (call.primitives::<Decimal128Type>(1), i32::from(*scale));
            Box::new(move |row| Some(Factor::Decimal(values.get(row)?, scale)))
        }
        _ => {
            let values = call.primitives::<Float64Type>(1);
            Box::new(move |row| Some(Factor::Double(values.get(row)?)))
        }
    }
}

/// Rounded half up, away from zero; an error if it does not fit, or by zero.
fn scaled(amount: i64, factor: &Factor, divide: bool) -> Result<i64, String> {
    let range = || "interval overflow".to_owned();
    let exact = |numerator: i128, denominator: i128| {
        if denominator == 0 {
            return Err("division by zero".to_owned());
        }
        let (quotient, rest) = (numerator / denominator, numerator % denominator);
        let up = rest.unsigned_abs() * 2 >= denominator.unsigned_abs();
        let sign = if (numerator < 0) == (denominator < 0) {
            1
        } else {
            -1
        };
        i64::try_from(quotient + if up { sign } else { 0 }).map_err(|_| range())
    };
    let power = |scale: i32| {
        10_i128
            .checked_pow(u32::try_from(scale).unwrap_or(0))
            .ok_or_else(range)
    };
    let wide = i128::from(amount);
    match factor {
        Factor::Integer(by) if divide => exact(wide, (*by).into()),
        Factor::Integer(by) => amount.checked_mul(*by).ok_or_else(range),
        Factor::Decimal(by, scale) if divide => {
            exact(wide.checked_mul(power(*scale)?).ok_or_else(range)?, *by)
        }
        Factor::Decimal(by, scale) => {
            exact(wide.checked_mul(*by).ok_or_else(range)?, power(*scale)?)
        }
        Factor::Double(by) => {
            if divide && *by == 0.0 {
                return Err("division by zero".to_owned());
            }
            #[allow(clippy::cast_precision_loss, reason = "as the reference does")]
            let amount = amount as f64;
            let value = if divide { amount / by } else { amount * by };
            // Half away from zero.
            let value = value.round();
            if !value.is_finite() || value.abs() >= 9.3e18 {
                return Err(range());
            }
            #[allow(clippy::cast_possible_truncation, reason = "checked above")]
            Ok(value as i64)
        }
    }
}

fn scale(call: &Call<'_>, divide: bool) -> Built {
    let (interval, factor) = (reader(call, 0), factors(call));
    let both = |row| Some((interval(row)?, factor(row)?));
    match call.columns[0].array.data_type() {
        ArrowType::Duration(_) => {
            call.try_build::<DurationMicrosecondType>(|row| match both(row) {
                None => Ok(None),
                Some(((_, _, micros), factor)) => scaled(micros, &factor, divide).map(Some),
            })
        }
        ArrowType::Interval(IntervalUnit::YearMonth) => {
            call.try_build::<IntervalYearMonthType>(|row| match both(row) {
                None => Ok(None),
                Some(((months, _, _), factor)) => {
                    let months = scaled(months, &factor, divide)?;
                    i32::try_from(months)
                        .map(Some)
                        .map_err(|_| "interval overflow".to_owned())
                }
            })
        }
        _ => call.try_build::<IntervalMonthDayNanoType>(|row| match both(row) {
            None => Ok(None),
            Some((parts, Factor::Double(factor))) => calendar_scaled(parts, factor, divide),
            Some(_) => Err("a calendar interval is scaled by a double".to_owned()),
        }),
    }
}

/// What is left of a month is dropped; what is left of a day becomes time. A division by zero is null.
fn calendar_scaled(
    (months, days, micros): (i64, i64, i64),
    factor: f64,
    divide: bool,
) -> Result<Option<IntervalMonthDayNano>, String> {
    if divide && factor == 0.0 {
        return Ok(None);
    }
    #[allow(clippy::cast_precision_loss, reason = "as the reference does")]
    let scaled = |value: i64| {
        let value = value as f64;
        if divide {
            value / factor
        } else {
            value * factor
        }
    };
    let (months, days, micros) = (scaled(months), scaled(days), scaled(micros));
    #[allow(clippy::cast_precision_loss, reason = "a constant below 2^53")]
    let micros = micros + days.fract() * MICROS_PER_DAY as f64;
    let fits = |value: f64| value.is_finite() && value.abs() < 2_147_483_648.0;
    if !fits(months) || !fits(days) || !micros.is_finite() || micros.abs() >= 9.2e15 {
        return Err("interval overflow".to_owned());
    }
    #[allow(clippy::cast_possible_truncation, reason = "checked above")]
    let (months, days, micros) = (months as i32, days as i32, micros.round() as i64);
    Ok(Some(IntervalMonthDayNano::new(months, days, micros * 1000)))
}
