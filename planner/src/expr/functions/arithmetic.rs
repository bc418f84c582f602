//! `+ - * / % div` and bitwise operators, typed by Spark's numeric and decimal rules.

use super::{Call, Function, Takes, Typed, interval};
use crate::expr::coerce::{
    adjusted_decimal, bounded_decimal, decimal_for, is_integral, is_numeric, tightest,
};
use crate::expr::ir::{Expr, Literal};
use crate::schema::DataType;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::custom(&["+"], 2..=2, |call| binary(call, "+")),
        Function::custom(&["-"], 2..=2, |call| binary(call, "-")),
        Function::custom(&["*"], 2..=2, |call| binary(call, "*")),
        Function::custom(&["/"], 2..=2, |call| binary(call, "/")),
        Function::custom(&["%", "mod"], 2..=2, |call| binary(call, "%")),
        Function::custom(&["div"], 2..=2, |call| binary(call, "div")),
        Function::custom(&["pmod"], 2..=2, |call| binary(call, "pmod")),
        Function::custom(&["&"], 2..=2, |call| binary(call, "&")),
        Function::custom(&["|"], 2..=2, |call| binary(call, "|")),
        Function::custom(&["^"], 2..=2, |call| binary(call, "^")),
        Function::custom(&["try_add"], 2..=2, |call| binary(call, "+")),
        Function::custom(&["try_subtract"], 2..=2, |call| binary(call, "-")),
        Function::custom(&["try_multiply"], 2..=2, |call| binary(call, "*")),
        Function::rewrite(&["try_divide"], 2..=2, |call| binary_as(call, "/", "/")),
        Function::custom(&["~"], 1..=1, |call| unary(call, &Takes::Integral)),
        Function::custom(&["negative"], 1..=1, negative),
        Function::rewrite(&["positive"], 1..=1, positive),
    ]
}

fn unary(mut call: Call<'_, '_>, takes: &Takes) -> Typed {
    call.take(0, takes)?;
    let returns = call.data_type(0).clone();
    call.returns(returns)
}

fn is_interval(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::CalendarInterval
            | DataType::DayTimeInterval(..)
            | DataType::YearMonthInterval(..)
    )
}

fn negative(call: Call<'_, '_>) -> Typed {
    if is_interval(call.data_type(0)) {
        let returns = call.data_type(0).clone();
        return call.returns(returns);
    }
    unary(call, &Takes::Numeric)
}

fn positive(mut call: Call<'_, '_>) -> Typed {
    if !is_interval(call.data_type(0)) {
        call.take(0, &Takes::Numeric)?;
    }
    Ok(call.arguments.remove(0))
}

fn binary(call: Call<'_, '_>, operator: &str) -> Typed {
    let function = call.function;
    binary_as(call, operator, function)
}

/// Types `operator` and calls `function`.
fn binary_as(mut call: Call<'_, '_>, operator: &str, function: &'static str) -> Typed {
    call.function = function;
    if matches!(operator, "+" | "-" | "*" | "/")
        && let Some(typed) = interval::arithmetic(&mut call, operator)
    {
        return typed;
    }
    for index in 0..2 {
        if *call.data_type(index) == DataType::String {
            call.cast(index, &DataType::Double);
        }
    }
    let decimal = |t: &DataType| matches!(t, DataType::Decimal(..));
    let (left, right) = (call.data_type(0).clone(), call.data_type(1).clone());
    if (decimal(&left) || decimal(&right)) && is_numeric(&left) && is_numeric(&right) {
        return with_decimal(call, operator);
    }
    let Some(common) = tightest(&left, &right) else {
        return mismatch(&call, operator);
    };
    // A quotient has the type of its dividend, and one of no type is a double.
    if operator == "/" && left == DataType::Null && decimal(&right) {
        call.cast(0, &DataType::Double);
        call.cast(1, &DataType::Double);
        return call.returns(DataType::Double);
    }
    let common = match operator {
        "/" if is_numeric(&common) && !decimal(&common) || common == DataType::Null => {
            DataType::Double
        }
        "div" if is_integral(&common) || common == DataType::Null => DataType::Long,
        _ => common,
    };
    let common = if common == DataType::Null {
        DataType::Double
    } else {
        common
    };
    let allowed = match operator {
        "&" | "|" | "^" => is_integral(&common),
        "div" => is_integral(&common) || decimal(&common),
        _ => is_numeric(&common),
    };
    if !allowed {
        return mismatch(&call, operator);
    }
    call.cast(0, &common);
    call.cast(1, &common);
    if decimal(&common) {
        return with_decimal(call, operator);
    }
    call.returns(common)
}

fn mismatch(call: &Call<'_, '_>, operator: &str) -> Typed {
    call.fail(format!(
        "{operator} cannot take {} and {}",
        call.data_type(0),
        call.data_type(1)
    ))
}

/// The narrowest decimal of an integer constant, as written.
fn decimal_of_constant(expr: &Expr) -> Option<DataType> {
    match expr.as_literal()? {
        Literal::Integer(value) if is_integral(&expr.data_type) => {
            let digits = value
                .unsigned_abs()
                .checked_ilog10()
                .map_or(1, |log| log + 1);
            Some(bounded_decimal(i32::try_from(digits).ok()?, 0))
        }
        _ => None,
    }
}

/// Both sides numeric, at least one a decimal.
fn with_decimal(mut call: Call<'_, '_>, operator: &str) -> Typed {
    if matches!(operator, "&" | "|" | "^") {
        return mismatch(&call, operator);
    }
    let fractional = |t: &DataType| matches!(t, DataType::Float | DataType::Double);
    if fractional(call.data_type(0)) || fractional(call.data_type(1)) {
        if operator == "div" {
            return mismatch(&call, operator);
        }
        call.cast(0, &DataType::Double);
        call.cast(1, &DataType::Double);
        return call.returns(DataType::Double);
    }
    for index in 0..2 {
        let own = decimal_of_constant(&call.arguments[index]);
        let to = own.or_else(|| decimal_for(call.data_type(index)));
        if let Some(to) = to {
            call.cast(index, &to);
        }
    }
    let (DataType::Decimal(p1, s1), DataType::Decimal(p2, s2)) =
        (call.data_type(0).clone(), call.data_type(1).clone())
    else {
        return mismatch(&call, operator);
    };
    let (p1, s1, p2, s2) = (i32::from(p1), i32::from(s1), i32::from(p2), i32::from(s2));
    let returns = match operator {
        "+" | "-" => {
            let scale = s1.max(s2);
            adjusted_decimal((p1 - s1).max(p2 - s2) + scale + 1, scale)
        }
        "*" => adjusted_decimal(p1 + p2 + 1, s1 + s2),
        "/" => {
            let scale = 6.max(s1 + p2 + 1);
            adjusted_decimal(p1 - s1 + s2 + scale, scale)
        }
        "div" => DataType::Long,
        _ => {
            let scale = s1.max(s2);
            adjusted_decimal((p1 - s1).min(p2 - s2) + scale, scale)
        }
    };
    call.returns(returns)
}
