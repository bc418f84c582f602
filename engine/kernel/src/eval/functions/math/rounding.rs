//! `abs`, `round`, `bround`, `ceil`, `floor`.
//!
//! Integers wrap where a rounded value does not fit, as Java's narrowing does; decimals that do not
//! fit are null.

use arrow_array::types::{
    ArrowPrimitiveType, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, IntervalYearMonthType,
};
use unskewed_planner::schema::DataType;

use super::{Entry, eager};
use crate::eval::build::Built;
use crate::eval::call::Call;
use crate::eval::java::decimal::{Rounding, rescale, round_double};

pub(super) fn functions() -> Vec<Entry> {
    vec![
        eager("abs", abs),
        eager("round", |call| round(call, Rounding::HalfUp)),
        eager("bround", |call| round(call, Rounding::HalfEven)),
        eager("ceil", |call| toward(call, true)),
        eager("floor", |call| toward(call, false)),
    ]
}

fn map<T: ArrowPrimitiveType>(call: &Call<'_>, f: impl Fn(T::Native) -> T::Native) -> Built {
    let value = call.primitives::<T>(0);
    call.build::<T>(|row| value.get(row).map(&f))
}

fn abs(call: &Call<'_>) -> Built {
    match call.data_type {
        DataType::Byte => map::<Int8Type>(call, i8::wrapping_abs),
        DataType::Short => map::<Int16Type>(call, i16::wrapping_abs),
        DataType::Int => map::<Int32Type>(call, i32::wrapping_abs),
        DataType::Long => map::<Int64Type>(call, i64::wrapping_abs),
        DataType::Float => map::<Float32Type>(call, f32::abs),
        DataType::Double => map::<Float64Type>(call, f64::abs),
        DataType::Decimal(..) => map::<Decimal128Type>(call, i128::abs),
        DataType::DayTimeInterval(..) => map::<DurationMicrosecondType>(call, i64::wrapping_abs),
        DataType::YearMonthInterval(..) => map::<IntervalYearMonthType>(call, i32::wrapping_abs),
        _ => Err(call.unsupported()),
    }
}

/// The number of decimals, a constant; `None` if it is null.
fn decimals(call: &Call<'_>) -> Option<i32> {
    call.primitives::<Int32Type>(1).get(0)
}

fn power_of_ten(exponent: i32) -> Option<i128> {
    10i128.checked_pow(u32::try_from(exponent).ok()?)
}

/// Rounds tens, hundreds and so on.
fn round_whole(value: i128, places: i32, rounding: Rounding) -> i128 {
    if places >= 0 {
        return value;
    }
    let rounded = rescale(value, 0, places, rounding).unwrap_or(0);
    power_of_ten(-places).map_or(0, |unit| rounded * unit)
}

/// A decimal that has at most so many digits.
fn fits(value: i128, precision: u8) -> Option<i128> {
    let limit = power_of_ten(precision.into())?;
    (value.abs() < limit).then_some(value)
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "narrowing wraps, as in Java"
)]
fn round(call: &Call<'_>, rounding: Rounding) -> Built {
    let Some(places) = decimals(call) else {
        let nulls = arrow_array::new_null_array(&call.data_type.to_arrow(), call.rows);
        return Ok(nulls);
    };
    let whole = |value: i128| round_whole(value, places, rounding);
    match call.data_type {
        DataType::Byte => map::<Int8Type>(call, |v| whole(v.into()) as i8),
        DataType::Short => map::<Int16Type>(call, |v| whole(v.into()) as i16),
        DataType::Int => map::<Int32Type>(call, |v| whole(v.into()) as i32),
        DataType::Long => map::<Int64Type>(call, |v| whole(v.into()) as i64),
        DataType::Float => map::<Float32Type>(call, |v| match v.is_finite() {
            true => round_double(v.into(), places, rounding) as f32,
            false => v,
        }),
        DataType::Double => map::<Float64Type>(call, |v| round_double(v, places, rounding)),
        DataType::Decimal(precision, scale) => {
            let (from, to) = (decimal_scale(call.types[0]), i32::from(*scale));
            let value = call.primitives::<Decimal128Type>(0);
            call.build::<Decimal128Type>(|row| {
                let value = value.get(row)?;
                let value = match places {
                    0.. => rescale(value, from, to, rounding)?,
                    _ => rescale(value, from, places, rounding)?
                        .checked_mul(power_of_ten(-places)?)?,
                };
                fits(value, *precision)
            })
        }
        _ => Err(call.unsupported()),
    }
}

fn decimal_scale(data_type: &DataType) -> i32 {
    match data_type {
        DataType::Decimal(_, scale) => (*scale).into(),
        _ => 0,
    }
}

/// The next value with fewer decimals, upwards or downwards.
fn toward_decimal(value: i128, from: i32, to: i32, up: bool) -> Option<i128> {
    if to >= from {
        return value.checked_mul(power_of_ten(to - from)?);
    }
    let Some(unit) = power_of_ten(from - to) else {
        return Some(if up {
            i128::from(value > 0)
        } else {
            -i128::from(value < 0)
        });
    };
    let floor = value.div_euclid(unit);
    Some(floor + i128::from(up && value.rem_euclid(unit) != 0))
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "doubles saturate, as in Java"
)]
fn toward(call: &Call<'_>, up: bool) -> Built {
    match (call.types[0], call.data_type) {
        (DataType::Long, DataType::Long) => map::<Int64Type>(call, |v| v),
        (DataType::Double, DataType::Long) => {
            let value = call.primitives::<Float64Type>(0);
            call.build::<Int64Type>(|row| {
                let value = value.get(row)?;
                Some(if up { value.ceil() } else { value.floor() } as i64)
            })
        }
        (DataType::Decimal(..), DataType::Decimal(precision, scale)) => {
            let (from, to) = (decimal_scale(call.types[0]), i32::from(*scale));
            let places = if call.len() > 1 {
                decimals(call)
            } else {
                Some(0)
            };
            let value = call.primitives::<Decimal128Type>(0);
            call.build::<Decimal128Type>(|row| {
                let (value, places) = (value.get(row)?, places?);
                let value = match places {
                    0.. => toward_decimal(value, from, to, up)?,
                    _ => toward_decimal(value, from, places, up)?
                        .checked_mul(power_of_ten(-places)?)?,
                };
                fits(value, *precision)
            })
        }
        _ => Err(call.unsupported()),
    }
}
