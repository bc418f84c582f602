//! Comparisons, boolean connectives and `IN`; the place of `LIKE` is with the strings.

use super::{ANY, Call, Function, Takes, Typed, boolean};
use crate::expr::coerce::{
    comparison_type, decimal_for, is_numeric, is_orderable, tightest, wider, wider_of,
};
use crate::expr::ir::{Expr, Literal};
use crate::schema::DataType;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::custom(&["="], 2..=2, equality),
        Function::custom(&["<=>", "equal_null"], 2..=2, equality),
        Function::rewrite(&["!="], 2..=2, different),
        Function::custom(&["<"], 2..=2, comparison),
        Function::custom(&["<="], 2..=2, comparison),
        Function::custom(&[">"], 2..=2, comparison),
        Function::custom(&[">="], 2..=2, comparison),
        Function::new(
            &["and"],
            [boolean(), boolean(), boolean()],
            DataType::Boolean,
        )
        .variadic(),
        Function::new(
            &["or"],
            [boolean(), boolean(), boolean()],
            DataType::Boolean,
        )
        .variadic(),
        Function::new(&["not"], [boolean()], DataType::Boolean),
        Function::custom(&["in"], 1..=ANY, member),
        Function::new(&["isnull"], [Takes::Any], DataType::Boolean),
        Function::new(&["isnotnull"], [Takes::Any], DataType::Boolean),
        Function::new(
            &["isnan"],
            [Takes::OneOf(vec![
                Takes::Type(DataType::Double),
                Takes::Type(DataType::Float),
            ])],
            DataType::Boolean,
        ),
    ]
}

fn different(mut call: Call<'_, '_>) -> Typed {
    call.function = "=";
    let same = equality(call)?;
    Ok(Expr::call("not", vec![same], DataType::Boolean))
}

/// A boolean against a number: only the constants 0 and 1 are truth values.
fn equality(mut call: Call<'_, '_>) -> Typed {
    for (index, other) in [(0, 1), (1, 0)] {
        if *call.data_type(index) == DataType::Boolean && is_numeric(call.data_type(other)) {
            let number = call.data_type(other).clone();
            match call.arguments[other].as_literal() {
                Some(Literal::Integer(value @ (0 | 1))) => {
                    let truth = Literal::Boolean(*value == 1);
                    call.arguments[other] = Expr::literal(truth, DataType::Boolean);
                }
                _ => call.cast(index, &number),
            }
            return call.returns(DataType::Boolean);
        }
    }
    comparison(call)
}

fn comparison(mut call: Call<'_, '_>) -> Typed {
    let (left, right) = (call.data_type(0).clone(), call.data_type(1).clone());
    let common = comparison_type(&left, &right)
        .or_else(|| tightest(&left, &right))
        .or_else(|| with_decimal(&left, &right));
    let Some(common) = common else {
        let message = format!("{left} and {right} cannot be compared");
        return call.fail(message);
    };
    let equality = matches!(call.function, "=" | "<=>");
    let comparable = match (&common, equality) {
        (DataType::CalendarInterval, true) => true,
        _ => is_orderable(&common),
    };
    if !comparable {
        let message = format!("values of {common} cannot be compared");
        return call.fail(message);
    }
    call.cast(0, &common);
    call.cast(1, &common);
    call.returns(DataType::Boolean)
}

fn with_decimal(left: &DataType, right: &DataType) -> Option<DataType> {
    let numbers = is_numeric(left) && is_numeric(right);
    let decimal = matches!(left, DataType::Decimal(..)) || matches!(right, DataType::Decimal(..));
    (numbers && decimal && decimal_for(left).is_some()).then(|| wider(left, right))?
}

/// Equal but for the names of struct fields.
fn same_structure(a: &DataType, b: &DataType) -> bool {
    match (a, b) {
        (DataType::Array(a), DataType::Array(b)) => same_structure(a, b),
        (DataType::Map(k, v), DataType::Map(l, w)) => same_structure(k, l) && same_structure(v, w),
        (DataType::Struct(f), DataType::Struct(g)) => {
            let mut pairs = f.iter().zip(g);
            f.len() == g.len() && pairs.all(|(x, y)| same_structure(&x.data_type, &y.data_type))
        }
        _ => a == b,
    }
}

fn member(mut call: Call<'_, '_>) -> Typed {
    let types = call.arguments.iter().map(|a| &a.data_type);
    let first = call.data_type(0);
    // Names of fields do not count here: `(a, b) IN ((1, 2), (3, 4))`.
    let alike = || {
        types
            .clone()
            .all(|t| same_structure(first, t))
            .then(|| first.clone())
    };
    let Some(common) = wider_of(types.clone()).or_else(alike) else {
        return call.fail("the values of IN have no common type");
    };
    if !is_orderable(&common) {
        return call.fail(format!("values of {common} cannot be compared"));
    }
    for index in 0..call.len() {
        call.cast(index, &common);
    }
    call.returns(DataType::Boolean)
}
