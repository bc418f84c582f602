//! Anything to numbers.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type,
};
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use unskewed_planner::expr::temporal::MICROS_PER_DAY;
use unskewed_planner::schema::{DataType, IntervalField};

use super::{integers, map_primitive, map_text, nulls, parse, unsupported};
use crate::error::KernelError;
use crate::eval::decimal::{Number, fit};
use crate::eval::java::number::Digits;

type Casted = Result<ArrayRef, KernelError>;

pub(super) fn to_number(array: &ArrayRef, from: &DataType, to: &DataType) -> Casted {
    if *from == DataType::Date {
        return Ok(nulls(array, to));
    }
    match to {
        DataType::Byte => to_integer::<Int8Type>(array, from, to),
        DataType::Short => to_integer::<Int16Type>(array, from, to),
        DataType::Int => to_integer::<Int32Type>(array, from, to),
        DataType::Long => to_integer::<Int64Type>(array, from, to),
        DataType::Float => to_float(array, from, to),
        DataType::Double => to_double(array, from, to),
        DataType::Decimal(precision, scale) => {
            to_decimal(array, from, *precision, i32::from(*scale))
        }
        _ => Err(unsupported(from, to)),
    }
}

/// An integer type that narrows as Java does.
trait Narrow: ArrowPrimitiveType {
    fn wrap(value: i64) -> Self::Native;
    /// Saturates at 32 bits, or at 64 for the widest, then wraps.
    fn saturate(value: f64) -> Self::Native;
    fn exact(value: i64) -> Option<Self::Native>;
}

macro_rules! narrow {
    ($type:ty, $native:ty, $through:ty) => {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::as_conversions,
            reason = "wrapping and saturating are meant"
        )]
        impl Narrow for $type {
            fn wrap(value: i64) -> $native {
                value as $native
            }

            fn saturate(value: f64) -> $native {
                (value as $through) as $native
            }

            fn exact(value: i64) -> Option<$native> {
                <$native>::try_from(value).ok()
            }
        }
    };
}

narrow!(Int8Type, i8, i32);
narrow!(Int16Type, i16, i32);
narrow!(Int32Type, i32, i32);
narrow!(Int64Type, i64, i64);

fn to_integer<T: Narrow>(array: &ArrayRef, from: &DataType, to: &DataType) -> Casted {
    Ok(match from {
        DataType::String => {
            map_text::<T>(array, to, |text| T::exact(parse::integer_of_text(text)?))
        }
        DataType::Float => {
            map_primitive::<Float32Type, T>(array, to, |v| Some(T::saturate(v.into())))
        }
        DataType::Double => map_primitive::<Float64Type, T>(array, to, |v| Some(T::saturate(v))),
        DataType::Decimal(_, scale) => {
            let divisor = 10_i128.pow(u32::try_from(*scale).unwrap_or(0));
            map_primitive::<Decimal128Type, T>(array, to, |v| Some(T::wrap(low_bits(v / divisor))))
        }
        DataType::Timestamp => map_integers::<T>(array, from, to, |micros| {
            Some(T::wrap(micros.div_euclid(1_000_000)))
        })?,
        DataType::DayTimeInterval(_, last) => {
            let unit = unit_of(*last);
            map_integers::<T>(array, from, to, |micros| T::exact(micros / unit))?
        }
        DataType::YearMonthInterval(_, last) => {
            let unit = if *last == IntervalField::Year { 12 } else { 1 };
            map_integers::<T>(array, from, to, |months| T::exact(months / unit))?
        }
        _ => map_integers::<T>(array, from, to, |value| Some(T::wrap(value)))?,
    })
}

/// Null for what does not fit: fractions of text, numbers out of range.
pub(super) fn to_integer_strictly(array: &ArrayRef, from: &DataType, to: &DataType) -> Casted {
    match to {
        DataType::Byte => strictly::<Int8Type>(array, from, to),
        DataType::Short => strictly::<Int16Type>(array, from, to),
        DataType::Int => strictly::<Int32Type>(array, from, to),
        _ => strictly::<Int64Type>(array, from, to),
    }
}

fn strictly<T: Narrow>(array: &ArrayRef, from: &DataType, to: &DataType) -> Casted {
    // Whole parts in range fit; the upper bound of 64 bits is not a double.
    let of_double = |value: f64| {
        let low = -9_223_372_036_854_775_808.0_f64;
        let whole = value.trunc();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::as_conversions,
            reason = "checked"
        )]
        (whole >= low && whole < -low).then(|| T::exact(whole as i64))?
    };
    Ok(match from {
        DataType::String => map_text::<T>(array, to, |text| {
            let whole = !text.contains('.');
            whole.then(|| T::exact(parse::integer_of_text(text)?))?
        }),
        DataType::Float => map_primitive::<Float32Type, T>(array, to, |v| of_double(v.into())),
        DataType::Double => map_primitive::<Float64Type, T>(array, to, of_double),
        DataType::Decimal(_, scale) => {
            let divisor = 10_i128.pow(u32::try_from(*scale).unwrap_or(0));
            map_primitive::<Decimal128Type, T>(array, to, |v| {
                T::exact(i64::try_from(v / divisor).ok()?)
            })
        }
        DataType::Timestamp => map_integers::<T>(array, from, to, |micros| {
            T::exact(micros.div_euclid(1_000_000))
        })?,
        DataType::Byte | DataType::Short | DataType::Int | DataType::Long => {
            map_integers::<T>(array, from, to, T::exact)?
        }
        _ => return to_number(array, from, to),
    })
}

/// Microseconds of a field of day-time intervals.
pub(super) fn unit_of(field: IntervalField) -> i64 {
    match field {
        IntervalField::Hour => 3_600_000_000,
        IntervalField::Minute => 60_000_000,
        IntervalField::Second => 1_000_000,
        _ => MICROS_PER_DAY,
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::as_conversions,
    reason = "the low bits are meant"
)]
fn low_bits(value: i128) -> i64 {
    value as i64
}

fn map_integers<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    from: &DataType,
    to: &DataType,
    value: impl Fn(i64) -> Option<T::Native>,
) -> Casted {
    let read = integers(array, from).ok_or_else(|| unsupported(from, to))?;
    let output: PrimitiveArray<T> = (0..array.len())
        .map(|row| {
            if array.is_null(row) {
                None
            } else {
                value(read(row))
            }
        })
        .collect();
    Ok(Arc::new(output.with_data_type(to.to_arrow())))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "rounding is meant"
)]
fn to_float(array: &ArrayRef, from: &DataType, to: &DataType) -> Casted {
    Ok(match from {
        DataType::String => map_text::<Float32Type>(array, to, parse::float_of_text),
        DataType::Double => {
            map_primitive::<Float64Type, Float32Type>(array, to, |v| Some(v as f32))
        }
        DataType::Decimal(_, scale) => {
            map_primitive::<Decimal128Type, Float32Type>(array, to, |v| {
                format!("{v}e-{scale}").parse().ok()
            })
        }
        DataType::Timestamp => {
            map_integers::<Float32Type>(array, from, to, |v| Some((v as f64 / 1e6) as f32))?
        }
        _ => map_integers::<Float32Type>(array, from, to, |v| Some(v as f32))?,
    })
}

#[allow(
    clippy::cast_precision_loss,
    clippy::as_conversions,
    reason = "rounding is meant"
)]
fn to_double(array: &ArrayRef, from: &DataType, to: &DataType) -> Casted {
    Ok(match from {
        DataType::String => map_text::<Float64Type>(array, to, parse::double_of_text),
        DataType::Float => map_primitive::<Float32Type, Float64Type>(array, to, |v| Some(v.into())),
        DataType::Decimal(_, scale) => {
            map_primitive::<Decimal128Type, Float64Type>(array, to, |v| {
                format!("{v}e-{scale}").parse().ok()
            })
        }
        DataType::Timestamp => {
            map_integers::<Float64Type>(array, from, to, |v| Some(v as f64 / 1e6))?
        }
        _ => map_integers::<Float64Type>(array, from, to, |v| Some(v as f64))?,
    })
}

/// The decimal digits that Java prints of a double, rounded half up.
fn decimal_of_double(value: f64, precision: u8, scale: i32) -> Option<i128> {
    if !value.is_finite() {
        return None;
    }
    let digits = Digits::of_double(value, true);
    let ascii: Vec<u8> = digits.digits.iter().map(|d| d + b'0').collect();
    let number = parse::digits_at(&ascii, i64::from(digits.exponent), scale)?;
    let number = if digits.negative { -number } else { number };
    (number.abs() < 10_i128.pow(precision.into())).then_some(number)
}

fn to_decimal(array: &ArrayRef, from: &DataType, precision: u8, scale: i32) -> Casted {
    let to = &DataType::Decimal(precision, i8::try_from(scale).unwrap_or(0));
    let of_double = |value: f64| decimal_of_double(value, precision, scale);
    Ok(match from {
        DataType::String => map_text::<Decimal128Type>(array, to, |text| {
            parse::decimal_of_text(text, precision, scale)
        }),
        DataType::Float => {
            map_primitive::<Float32Type, Decimal128Type>(array, to, |v| of_double(v.into()))
        }
        DataType::Double => map_primitive::<Float64Type, Decimal128Type>(array, to, of_double),
        DataType::Decimal(_, old) => {
            let old = i32::from(*old);
            map_primitive::<Decimal128Type, Decimal128Type>(array, to, |v| {
                fit(Number::new(v, old), precision, scale)
            })
        }
        #[allow(
            clippy::cast_precision_loss,
            clippy::as_conversions,
            reason = "as the reference"
        )]
        DataType::Timestamp => {
            map_integers::<Decimal128Type>(array, from, to, |v| of_double(v as f64 / 1e6))?
        }
        DataType::DayTimeInterval(_, last) => {
            let last = *last;
            let digits = if last == IntervalField::Second { 6 } else { 0 };
            let unit = if digits == 6 { 1 } else { unit_of(last) };
            map_integers::<Decimal128Type>(array, from, to, |v| {
                fit(Number::new((v / unit).into(), digits), precision, scale)
            })?
        }
        DataType::YearMonthInterval(_, last) => {
            let unit = if *last == IntervalField::Year { 12 } else { 1 };
            map_integers::<Decimal128Type>(array, from, to, |v| {
                fit(Number::new((v / unit).into(), 0), precision, scale)
            })?
        }
        _ => map_integers::<Decimal128Type>(array, from, to, |v| {
            fit(Number::new(v.into(), 0), precision, scale)
        })?,
    })
}

/// A decimal's value as whole units of `10^-digits`, cut toward zero.
pub(super) fn decimal_units(array: &ArrayRef, scale: i32, digits: i32) -> Vec<Option<i128>> {
    let values = array.as_primitive::<Decimal128Type>();
    let shift = digits - scale;
    let power = |n: i32| 10_i128.checked_pow(u32::try_from(n).unwrap_or(0));
    let one = |v: i128| match shift >= 0 {
        true => v.checked_mul(power(shift)?),
        false => Some(v / power(-shift)?),
    };
    values.iter().map(|v| v.and_then(one)).collect()
}
