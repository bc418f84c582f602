//! `+ - * / % div` and bitwise operators: integers wrap, division by zero is null, decimals that overflow are null.

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType,
    IntervalYearMonthType,
};
use arrow_array::{Array, ArrowNativeTypeOp, Datum, Scalar};
use arrow_schema::{DataType as ArrowType, IntervalUnit};

use super::{Entry, eager};
use crate::error::KernelError;
use crate::eval::build::Built;
use crate::eval::call::Call;
use crate::eval::decimal::{self, Number};

pub(super) fn functions() -> Vec<Entry> {
    vec![
        eager("+", |call| arithmetic(call, Operator::Add, false)),
        eager("-", |call| arithmetic(call, Operator::Subtract, false)),
        eager("*", |call| arithmetic(call, Operator::Multiply, false)),
        eager("/", |call| arithmetic(call, Operator::Divide, false)),
        eager("%", |call| arithmetic(call, Operator::Remainder, false)),
        eager("div", |call| {
            arithmetic(call, Operator::IntegralDivide, false)
        }),
        eager("pmod", |call| {
            arithmetic(call, Operator::PositiveRemainder, false)
        }),
        eager("try_add", |call| arithmetic(call, Operator::Add, true)),
        eager("try_subtract", |call| {
            arithmetic(call, Operator::Subtract, true)
        }),
        eager("try_multiply", |call| {
            arithmetic(call, Operator::Multiply, true)
        }),
        eager("&", |call| bitwise(call, |a, b| a & b)),
        eager("|", |call| bitwise(call, |a, b| a | b)),
        eager("^", |call| bitwise(call, |a, b| a ^ b)),
        eager("~", not),
        eager("negative", negative),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    IntegralDivide,
    PositiveRemainder,
}

fn arithmetic(call: &Call<'_>, operator: Operator, checked: bool) -> Built {
    match call.columns[0].array.data_type() {
        ArrowType::Int8 => numbers::<Int8Type>(call, operator, checked),
        ArrowType::Int16 => numbers::<Int16Type>(call, operator, checked),
        ArrowType::Int32 => numbers::<Int32Type>(call, operator, checked),
        ArrowType::Int64 => numbers::<Int64Type>(call, operator, checked),
        ArrowType::Float32 => numbers::<Float32Type>(call, operator, false),
        ArrowType::Float64 => numbers::<Float64Type>(call, operator, false),
        ArrowType::Decimal128(..) => decimals(call, operator),
        ArrowType::Duration(_) => intervals::<DurationMicrosecondType>(call, operator),
        ArrowType::Interval(IntervalUnit::YearMonth) => {
            intervals::<IntervalYearMonthType>(call, operator)
        }
        ArrowType::Interval(_) => calendar_intervals(call, operator),
        _ => Err(call.unsupported()),
    }
}

fn numbers<T: ArrowPrimitiveType>(call: &Call<'_>, operator: Operator, checked: bool) -> Built {
    if !checked && let Some(vectors) = vectors(call, operator) {
        return vectors;
    }
    let (left, right) = (call.primitives::<T>(0), call.primitives::<T>(1));
    call.build::<T>(|row| {
        let (a, b) = (left.get(row)?, right.get(row)?);
        match operator {
            Operator::Add if checked => a.add_checked(b).ok(),
            Operator::Subtract if checked => a.sub_checked(b).ok(),
            Operator::Multiply if checked => a.mul_checked(b).ok(),
            Operator::Add => Some(a.add_wrapping(b)),
            Operator::Subtract => Some(a.sub_wrapping(b)),
            Operator::Multiply => Some(a.mul_wrapping(b)),
            // NaN is no zero, and `is_zero` holds for -0.0.
            _ if b.is_zero() || b == T::Native::ZERO => None,
            Operator::Divide | Operator::IntegralDivide => Some(a.div_wrapping(b)),
            Operator::Remainder => Some(remainder(a, b)),
            Operator::PositiveRemainder => {
                let rest = remainder(a, b);
                let negative = rest
                    .partial_cmp(&T::Native::ZERO)
                    .is_some_and(|o| o.is_lt());
                Some(if negative {
                    remainder(rest.add_wrapping(b), b)
                } else {
                    rest
                })
            }
        }
    })
}

/// Sums, differences and products by Arrow's own loops, which wrap too.
fn vectors(call: &Call<'_>, operator: Operator) -> Option<Built> {
    let kernel = match operator {
        Operator::Add => arrow_arith::numeric::add_wrapping,
        Operator::Subtract => arrow_arith::numeric::sub_wrapping,
        Operator::Multiply => arrow_arith::numeric::mul_wrapping,
        _ => return None,
    };
    let operand = |index: usize| -> Box<dyn Datum> {
        let column = &call.columns[index];
        match column.constant && call.rows != 1 {
            true => Box::new(Scalar::new(Arc::clone(&column.array))),
            false => Box::new(Arc::clone(&column.array)),
        }
    };
    Some(kernel(operand(0).as_ref(), operand(1).as_ref()).map_err(KernelError::from))
}

fn remainder<N: ArrowNativeTypeOp>(a: N, b: N) -> N {
    a.mod_wrapping(b)
}

fn decimals(call: &Call<'_>, operator: Operator) -> Built {
    let (left, right) = (
        call.primitives::<Decimal128Type>(0),
        call.primitives::<Decimal128Type>(1),
    );
    let scale = |index: usize| match call.columns[index].array.data_type() {
        ArrowType::Decimal128(_, scale) => i32::from(*scale),
        _ => 0,
    };
    let (left_scale, right_scale) = (scale(0), scale(1));
    let operands = |row| {
        let a = Number::new(left.get(row)?, left_scale);
        Some((a, Number::new(right.get(row)?, right_scale)))
    };
    if operator == Operator::IntegralDivide {
        return call.build::<Int64Type>(|row| {
            let (a, b) = operands(row)?;
            decimal::integral_quotient(a, b)
        });
    }
    let (precision, result_scale) = match call.data_type {
        unskewed_planner::schema::DataType::Decimal(p, s) => (*p, i32::from(*s)),
        _ => return Err(call.unsupported()),
    };
    call.build::<Decimal128Type>(|row| {
        let (a, b) = operands(row)?;
        let exact = match operator {
            Operator::Add => decimal::add(a, b, false),
            Operator::Subtract => decimal::add(a, b, true),
            Operator::Multiply => decimal::multiply(a, b),
            Operator::Divide => return decimal::divide(a, b, precision, result_scale),
            Operator::PositiveRemainder => decimal::positive_remainder(a, b)?,
            _ => decimal::remainder(a, b)?,
        };
        decimal::fit(exact, precision, result_scale)
    })
}

/// Intervals overflow with an error.
fn intervals<T: ArrowPrimitiveType>(call: &Call<'_>, operator: Operator) -> Built {
    let (left, right) = (call.primitives::<T>(0), call.primitives::<T>(1));
    call.try_build::<T>(|row| {
        let (Some(a), Some(b)) = (left.get(row), right.get(row)) else {
            return Ok(None);
        };
        let sum = match operator {
            Operator::Subtract => a.sub_checked(b),
            _ => a.add_checked(b),
        };
        sum.map(Some).map_err(|_| "interval overflow".to_owned())
    })
}

fn calendar_intervals(call: &Call<'_>, operator: Operator) -> Built {
    let left = call.primitives::<IntervalMonthDayNanoType>(0);
    let right = call.primitives::<IntervalMonthDayNanoType>(1);
    call.try_build::<IntervalMonthDayNanoType>(|row| {
        let (Some(a), Some(b)) = (left.get(row), right.get(row)) else {
            return Ok(None);
        };
        let b = match operator {
            Operator::Subtract => negated(b),
            _ => Some(b),
        };
        let sum = b.and_then(|b| {
            Some(IntervalMonthDayNano::new(
                a.months.checked_add(b.months)?,
                a.days.checked_add(b.days)?,
                a.nanoseconds.checked_add(b.nanoseconds)?,
            ))
        });
        sum.map(Some).ok_or_else(|| "interval overflow".to_owned())
    })
}

fn negated(value: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    Some(IntervalMonthDayNano::new(
        value.months.checked_neg()?,
        value.days.checked_neg()?,
        value.nanoseconds.checked_neg()?,
    ))
}

fn bitwise(call: &Call<'_>, operator: fn(i64, i64) -> i64) -> Built {
    fn typed<T: ArrowPrimitiveType>(call: &Call<'_>, operator: fn(i64, i64) -> i64) -> Built
    where
        T::Native: Into<i64> + TryFrom<i64>,
    {
        let (left, right) = (call.primitives::<T>(0), call.primitives::<T>(1));
        call.build::<T>(|row| {
            let value = operator(left.get(row)?.into(), right.get(row)?.into());
            T::Native::try_from(value).ok()
        })
    }
    match call.columns[0].array.data_type() {
        ArrowType::Int8 => typed::<Int8Type>(call, operator),
        ArrowType::Int16 => typed::<Int16Type>(call, operator),
        ArrowType::Int32 => typed::<Int32Type>(call, operator),
        _ => typed::<Int64Type>(call, operator),
    }
}

fn not(call: &Call<'_>) -> Built {
    fn typed<T: ArrowPrimitiveType>(call: &Call<'_>) -> Built
    where
        T::Native: std::ops::Not<Output = T::Native>,
    {
        let input = call.primitives::<T>(0);
        call.build::<T>(|row| input.get(row).map(|value| !value))
    }
    match call.columns[0].array.data_type() {
        ArrowType::Int8 => typed::<Int8Type>(call),
        ArrowType::Int16 => typed::<Int16Type>(call),
        ArrowType::Int32 => typed::<Int32Type>(call),
        _ => typed::<Int64Type>(call),
    }
}

fn negative(call: &Call<'_>) -> Built {
    fn wrapping<T: ArrowPrimitiveType>(call: &Call<'_>) -> Built {
        let input = call.primitives::<T>(0);
        call.build::<T>(|row| input.get(row).map(T::Native::neg_wrapping))
    }
    fn checked<T: ArrowPrimitiveType>(call: &Call<'_>) -> Built {
        let input = call.primitives::<T>(0);
        call.try_build::<T>(|row| match input.get(row) {
            None => Ok(None),
            Some(value) => {
                let negated = value.neg_checked().map(Some);
                negated.map_err(|_| "interval overflow".to_owned())
            }
        })
    }
    match call.columns[0].array.data_type() {
        ArrowType::Int8 => wrapping::<Int8Type>(call),
        ArrowType::Int16 => wrapping::<Int16Type>(call),
        ArrowType::Int32 => wrapping::<Int32Type>(call),
        ArrowType::Int64 => wrapping::<Int64Type>(call),
        ArrowType::Float32 => wrapping::<Float32Type>(call),
        ArrowType::Float64 => wrapping::<Float64Type>(call),
        ArrowType::Decimal128(..) => wrapping::<Decimal128Type>(call),
        ArrowType::Duration(_) => checked::<DurationMicrosecondType>(call),
        ArrowType::Interval(IntervalUnit::YearMonth) => checked::<IntervalYearMonthType>(call),
        ArrowType::Interval(_) => {
            let input = call.primitives::<IntervalMonthDayNanoType>(0);
            call.try_build::<IntervalMonthDayNanoType>(|row| match input.get(row) {
                None => Ok(None),
                Some(value) => {
                    let value = negated(value).map(Some);
                    value.ok_or_else(|| "interval overflow".to_owned())
                }
            })
        }
        _ => Err(call.unsupported()),
    }
}
