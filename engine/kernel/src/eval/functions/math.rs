//! Mathematical functions.

use arrow_array::types::{
    ArrowPrimitiveType, DurationMicrosecondType, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalYearMonthType,
};
use unskewed_planner::schema::DataType;

use super::{Entry, eager};
use crate::eval::build::Built;
use crate::eval::call::Call;
use crate::eval::java::encode::convert_base;
use crate::eval::java::strict_math;

mod rounding;

pub(super) fn functions() -> Vec<Entry> {
    let mut all = real();
    all.extend(trigonometric());
    all.extend(whole());
    all.extend(rounding::functions());
    all
}

fn map_double(call: &Call<'_>, f: impl Fn(f64) -> f64) -> Built {
    let value = call.primitives::<Float64Type>(0);
    call.build::<Float64Type>(|row| value.get(row).map(&f))
}

/// A function that is null at and below a bound.
fn above(call: &Call<'_>, bound: f64, f: fn(f64) -> f64) -> Built {
    let value = call.primitives::<Float64Type>(0);
    call.build::<Float64Type>(|row| value.get(row).filter(|v| v.is_nan() || *v > bound).map(f))
}

fn two_doubles(call: &Call<'_>, f: fn(f64, f64) -> f64) -> Built {
    let (a, b) = (
        call.primitives::<Float64Type>(0),
        call.primitives::<Float64Type>(1),
    );
    call.build::<Float64Type>(|row| Some(f(a.get(row)?, b.get(row)?)))
}

fn real() -> Vec<Entry> {
    vec![
        eager("sqrt", |call| map_double(call, f64::sqrt)),
        eager("cbrt", |call| map_double(call, strict_math::cbrt)),
        eager("exp", |call| map_double(call, libm::exp)),
        eager("expm1", |call| map_double(call, libm::expm1)),
        eager("ln", |call| above(call, 0.0, strict_math::log)),
        eager("log10", |call| above(call, 0.0, libm::log10)),
        eager("log2", |call| {
            above(call, 0.0, |v| strict_math::log(v) / strict_math::log(2.0))
        }),
        eager("log1p", |call| above(call, -1.0, libm::log1p)),
        eager("log", |call| {
            let (base, value) = (
                call.primitives::<Float64Type>(0),
                call.primitives::<Float64Type>(1),
            );
            let positive = |v: &f64| v.is_nan() || *v > 0.0;
            call.build::<Float64Type>(|row| {
                let base = base.get(row).filter(positive)?;
                let value = value.get(row).filter(positive)?;
                Some(strict_math::log(value) / strict_math::log(base))
            })
        }),
        eager("rint", |call| map_double(call, f64::round_ties_even)),
        eager("signum", signum),
        eager("hypot", |call| two_doubles(call, libm::hypot)),
        eager("power", |call| two_doubles(call, power)),
        eager("width_bucket", width_bucket),
    ]
}

fn trigonometric() -> Vec<Entry> {
    vec![
        eager("sin", |call| map_double(call, f64::sin)),
        eager("cos", |call| map_double(call, f64::cos)),
        eager("tan", |call| map_double(call, f64::tan)),
        eager("cot", |call| map_double(call, |v| 1.0 / v.tan())),
        eager("sec", |call| map_double(call, |v| 1.0 / v.cos())),
        eager("csc", |call| map_double(call, |v| 1.0 / v.sin())),
        eager("asin", |call| map_double(call, libm::asin)),
        eager("acos", |call| map_double(call, libm::acos)),
        eager("atan", |call| map_double(call, libm::atan)),
        eager("atan2", |call| {
            two_doubles(call, |y, x| libm::atan2(y + 0.0, x + 0.0))
        }),
        eager("sinh", |call| map_double(call, libm::sinh)),
        eager("cosh", |call| map_double(call, libm::cosh)),
        eager("tanh", |call| map_double(call, strict_math::tanh)),
        eager("asinh", |call| {
            map_double(call, |v| match v {
                f64::NEG_INFINITY => v,
                v => strict_math::log(v + (v * v + 1.0).sqrt()),
            })
        }),
        eager("acosh", |call| {
            map_double(call, |v| strict_math::log(v + (v * v - 1.0).sqrt()))
        }),
        eager("atanh", |call| {
            map_double(call, |v| 0.5 * (libm::log1p(v) - libm::log1p(-v)))
        }),
        eager("degrees", |call| {
            map_double(call, |v| v * 57.29577951308232)
        }),
        eager("radians", |call| {
            map_double(call, |v| v * 0.017453292519943295)
        }),
    ]
}

fn whole() -> Vec<Entry> {
    vec![
        eager("bin", |call| {
            let value = call.primitives::<Int64Type>(0);
            call.build_strings(|row| value.get(row).map(|v| format!("{v:b}")))
        }),
        eager("conv", |call| {
            let (text, from) = (call.strings(0), call.primitives::<Int32Type>(1));
            let to = call.primitives::<Int32Type>(2);
            call.build_strings(|row| convert_base(text.get(row)?, from.get(row)?, to.get(row)?))
        }),
        eager("factorial", |call| {
            let value = call.primitives::<Int32Type>(0);
            call.build::<Int64Type>(|row| {
                let value = value.get(row).filter(|v| (0..=20).contains(v))?;
                Some((1..=i64::from(value)).product())
            })
        }),
        eager("shiftleft", |call| {
            shift(call, i32::wrapping_shl, i64::wrapping_shl)
        }),
        eager("shiftright", |call| {
            shift(call, i32::wrapping_shr, i64::wrapping_shr)
        }),
        eager("shiftrightunsigned", |call| {
            shift(
                call,
                |value, by| value.cast_unsigned().wrapping_shr(by).cast_signed(),
                |value, by| value.cast_unsigned().wrapping_shr(by).cast_signed(),
            )
        }),
        eager("bit_get", bit_get),
    ]
}

/// Java differs from C where the base is 1 or −1 and the exponent no number.
fn power(base: f64, exponent: f64) -> f64 {
    if exponent.is_nan() || (base.abs() == 1.0 && exponent.is_infinite()) {
        return f64::NAN;
    }
    libm::pow(base, exponent)
}

fn sign_of(value: f64) -> f64 {
    if value == 0.0 || value.is_nan() {
        value
    } else {
        value.signum()
    }
}

fn signum(call: &Call<'_>) -> Built {
    match call.types[0] {
        DataType::DayTimeInterval(..) => {
            let value = call.primitives::<DurationMicrosecondType>(0);
            call.build::<Float64Type>(|row| value.get(row).map(|v| f64::from(v.signum() as i32)))
        }
        DataType::YearMonthInterval(..) => {
            let value = call.primitives::<IntervalYearMonthType>(0);
            call.build::<Float64Type>(|row| value.get(row).map(|v| f64::from(v.signum())))
        }
        _ => map_double(call, sign_of),
    }
}

fn shift(call: &Call<'_>, int: fn(i32, u32) -> i32, long: fn(i64, u32) -> i64) -> Built {
    let by = call.primitives::<Int32Type>(1);
    match call.data_type {
        DataType::Int => {
            let value = call.primitives::<Int32Type>(0);
            call.build::<Int32Type>(|row| Some(int(value.get(row)?, by.get(row)?.cast_unsigned())))
        }
        _ => {
            let value = call.primitives::<Int64Type>(0);
            call.build::<Int64Type>(|row| Some(long(value.get(row)?, by.get(row)?.cast_unsigned())))
        }
    }
}

fn bit_of<T: ArrowPrimitiveType>(call: &Call<'_>, bits: i32) -> Built
where
    T::Native: Into<i64>,
{
    let (value, position) = (call.primitives::<T>(0), call.primitives::<Int32Type>(1));
    call.try_build::<Int8Type>(|row| {
        let (Some(value), Some(position)) = (value.get(row), position.get(row)) else {
            return Ok(None);
        };
        if !(0..bits).contains(&position) {
            return Err(format!("there is no bit {position} among {bits}"));
        }
        let value: i64 = value.into();
        Ok(Some(i8::from(value >> position & 1 == 1)))
    })
}

fn bit_get(call: &Call<'_>) -> Built {
    match call.types[0] {
        DataType::Byte => bit_of::<Int8Type>(call, 8),
        DataType::Short => bit_of::<Int16Type>(call, 16),
        DataType::Int => bit_of::<Int32Type>(call, 32),
        _ => bit_of::<Int64Type>(call, 64),
    }
}

/// The bucket of a value among equal ones: 0 below, one more than there are above, counted
/// backwards if the bounds are.
fn bucket(value: f64, from: f64, to: f64, buckets: i64) -> Option<i64> {
    let fine = buckets > 0
        && buckets < i64::MAX
        && !value.is_nan()
        && from.is_finite()
        && to.is_finite()
        && from != to;
    if !fine {
        return None;
    }
    let (low, high) = (from.min(to), from.max(to));
    let backwards = from > to;
    let before = if backwards { value > high } else { value < low };
    let after = if backwards {
        value <= low
    } else {
        value >= high
    };
    Some(if before {
        0
    } else if after {
        buckets + 1
    } else {
        let distance = if backwards { high - value } else { value - low };
        (buckets as f64 * distance / (high - low)) as i64 + 1
    })
}

fn width_bucket(call: &Call<'_>) -> Built {
    fn of<T: ArrowPrimitiveType>(call: &Call<'_>, wide: fn(T::Native) -> f64) -> Built {
        let bounds = [0, 1, 2].map(|i| call.primitives::<T>(i));
        let buckets = call.primitives::<Int64Type>(3);
        call.build::<Int64Type>(|row| {
            let [value, from, to] = [0, 1, 2].map(|i: usize| bounds[i].get(row).map(wide));
            bucket(value?, from?, to?, buckets.get(row)?)
        })
    }
    match call.types[0] {
        DataType::DayTimeInterval(..) => of::<DurationMicrosecondType>(call, |v| v as f64),
        DataType::YearMonthInterval(..) => of::<IntervalYearMonthType>(call, f64::from),
        _ => of::<Float64Type>(call, |v| v),
    }
}
