//! Mathematical functions.

use super::{Call, Function, Takes, Typed, double, int, long, string};
use crate::expr::coerce::{bounded_decimal, is_integral};
use crate::expr::ir::{Expr, Literal};
use crate::schema::DataType;

pub(super) fn functions() -> Vec<Function> {
    let mut all = real();
    all.extend(whole());
    all
}

/// Functions of doubles.
fn real() -> Vec<Function> {
    let one = |names| Function::new(names, [double()], DataType::Double);
    let two = |names| Function::new(names, [double(), double()], DataType::Double);
    vec![
        one(&["sqrt"]),
        one(&["cbrt"]),
        one(&["exp"]),
        one(&["expm1"]),
        one(&["ln"]),
        one(&["log10"]),
        one(&["log2"]),
        one(&["log1p"]),
        one(&["sin"]),
        one(&["cos"]),
        one(&["tan"]),
        one(&["cot"]),
        one(&["sec"]),
        one(&["csc"]),
        one(&["asin"]),
        one(&["acos"]),
        one(&["atan"]),
        one(&["sinh"]),
        one(&["cosh"]),
        one(&["tanh"]),
        one(&["asinh"]),
        one(&["acosh"]),
        one(&["atanh"]),
        one(&["degrees"]),
        one(&["radians"]),
        one(&["rint"]),
        Function::custom(&["signum", "sign"], 1..=1, sign),
        two(&["atan2"]),
        two(&["hypot"]),
        two(&["power", "pow"]),
        Function::custom(&["log"], 1..=2, log),
        Function::rewrite(&["e"], 0..=0, |_| Ok(constant(std::f64::consts::E))),
        Function::rewrite(&["pi"], 0..=0, |_| Ok(constant(std::f64::consts::PI))),
        Function::custom(&["width_bucket"], 4..=4, width_bucket),
    ]
}

/// Rounding, and functions of integers.
fn whole() -> Vec<Function> {
    let shift = |names| Function::custom(names, 2..=2, shifted);
    vec![
        Function::custom(&["abs"], 1..=1, abs),
        Function::custom(&["round"], 1..=2, round),
        Function::custom(&["bround"], 1..=2, round),
        Function::custom(&["ceil", "ceiling"], 1..=2, floor_or_ceil),
        Function::custom(&["floor"], 1..=2, floor_or_ceil),
        Function::new(&["bin"], [long()], DataType::String),
        Function::new(&["conv"], [string(), int(), int()], DataType::String),
        Function::new(&["factorial"], [int()], DataType::Long),
        shift(&["shiftleft"]),
        shift(&["shiftright"]),
        shift(&["shiftrightunsigned"]),
        Function::custom(&["bit_get", "getbit"], 2..=2, bit_get),
    ]
}

fn constant(value: f64) -> Expr {
    Expr::literal(Literal::Double(value), DataType::Double)
}

/// `log(x)` is the natural one, `log(base, x)` any.
fn log(mut call: Call<'_, '_>) -> Typed {
    call.take_rest(0, &double())?;
    if call.len() == 1 {
        return Ok(Expr::call("ln", call.arguments, DataType::Double));
    }
    call.returns(DataType::Double)
}

fn sign(mut call: Call<'_, '_>) -> Typed {
    if !matches!(
        call.data_type(0),
        DataType::DayTimeInterval(..) | DataType::YearMonthInterval(..)
    ) {
        call.take(0, &double())?;
    }
    call.returns(DataType::Double)
}

fn abs(mut call: Call<'_, '_>) -> Typed {
    if !matches!(
        call.data_type(0),
        DataType::DayTimeInterval(..) | DataType::YearMonthInterval(..)
    ) {
        call.take(0, &Takes::Numeric)?;
    }
    let returns = call.data_type(0).clone();
    call.returns(returns)
}

/// The constant number of decimals, 0 if it is left out; `None` for a constant null.
fn scale(call: &mut Call<'_, '_>) -> Result<Option<i32>, super::Problem> {
    if call.len() == 1 {
        call.arguments
            .push(Expr::literal(Literal::Integer(0), DataType::Int));
        return Ok(Some(0));
    }
    call.take(1, &int())?;
    match call.arguments[1].as_literal() {
        Some(Literal::Null) => Ok(None),
        Some(Literal::Integer(value)) => Ok(i32::try_from(*value).ok()),
        _ => call.fail(format!(
            "the number of decimals of {} must be constant",
            call.name
        )),
    }
}

fn round(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &Takes::Numeric)?;
    let scale = scale(&mut call)?;
    let returns = match (call.data_type(0).clone(), scale) {
        (DataType::Decimal(p, s), Some(scale)) => rounded(p.into(), s.into(), scale),
        (other, _) => other,
    };
    call.returns(returns)
}

/// Rounding may carry into a new digit on the left.
fn rounded(precision: i32, scale: i32, to: i32) -> DataType {
    let whole = precision - scale + 1;
    if to < 0 {
        bounded_decimal(whole.max(1 - to), 0)
    } else {
        let scale = scale.min(to);
        bounded_decimal(whole + scale, scale)
    }
}

/// One argument: a bigint, or a decimal without decimals. Two: a decimal with as many.
fn floor_or_ceil(mut call: Call<'_, '_>) -> Typed {
    if call.len() == 1 {
        let takes = Takes::OneOf(vec![long(), Takes::DoubleOrDecimal]);
        let from = call.data_type(0).clone();
        // Floats go by way of doubles, and narrow integers are wide ones.
        match from {
            ref t if is_integral(t) => call.cast(0, &DataType::Long),
            DataType::Float | DataType::String | DataType::Null => {
                call.take(0, &double())?;
            }
            _ => call.take(0, &takes)?,
        }
        let returns = match call.data_type(0) {
            DataType::Decimal(p, s) => {
                let carry = i32::from(*s != 0);
                bounded_decimal(i32::from(*p) - i32::from(*s) + carry, 0)
            }
            _ => DataType::Long,
        };
        return call.returns(returns);
    }
    if *call.data_type(1) != DataType::Int {
        let message = format!("the number of decimals of {} must be an int", call.name);
        return call.fail(message);
    }
    let decimal = match call.data_type(0) {
        DataType::Decimal(..) => call.data_type(0).clone(),
        other => crate::expr::coerce::decimal_for(other).unwrap_or(DataType::Decimal(38, 18)),
    };
    call.take(0, &Takes::Type(decimal.clone()))?;
    let Some(to) = scale(&mut call)? else {
        let message = format!("the number of decimals of {} must not be null", call.name);
        return call.fail(message);
    };
    let DataType::Decimal(p, s) = decimal else {
        unreachable!("made above");
    };
    call.returns(rounded(p.into(), s.into(), to))
}

fn shifted(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &Takes::OneOf(vec![int(), long()]))?;
    call.take(1, &int())?;
    let returns = call.data_type(0).clone();
    call.returns(returns)
}

fn bit_get(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &Takes::Integral)?;
    call.take(1, &int())?;
    call.returns(DataType::Byte)
}

fn width_bucket(mut call: Call<'_, '_>) -> Typed {
    let interval = |t: &DataType| {
        matches!(
            t,
            DataType::DayTimeInterval(..) | DataType::YearMonthInterval(..)
        )
    };
    if (0..3).any(|index| interval(call.data_type(index))) {
        let kind = std::mem::discriminant(call.data_type(0));
        if (0..3).any(|index| std::mem::discriminant(call.data_type(index)) != kind) {
            return call.fail("width_bucket needs a value and bounds of one type");
        }
    } else {
        for index in 0..3 {
            call.take(index, &double())?;
        }
    }
    call.take(3, &long())?;
    call.returns(DataType::Long)
}
