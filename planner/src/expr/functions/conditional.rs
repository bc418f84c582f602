//! `if`, `coalesce` and their relatives, `greatest` and `least`.

use super::{ANY, Call, Function, Takes, Typed};
use crate::expr::bind::make_case;
use crate::expr::coerce::{is_orderable, wider_without_strings};
use crate::expr::ir::Expr;
use crate::schema::DataType;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::rewrite(&["if"], 3..=3, if_else),
        Function::custom(&["coalesce"], 1..=ANY, coalesce),
        Function::rewrite(&["nvl", "ifnull"], 2..=2, as_coalesce),
        Function::rewrite(&["nvl2"], 3..=3, nvl2),
        Function::rewrite(&["nullif"], 2..=2, nullif),
        Function::custom(&["nanvl"], 2..=2, nanvl),
        Function::custom(&["greatest"], 2..=ANY, extreme),
        Function::custom(&["least"], 2..=ANY, extreme),
    ]
}

fn if_else(mut call: Call<'_, '_>) -> Typed {
    if !matches!(call.data_type(0), DataType::Boolean | DataType::Null) {
        let message = format!("a condition must be boolean, this is {}", call.data_type(0));
        return call.fail(message);
    }
    call.cast(0, &DataType::Boolean);
    let span = call.span;
    let mut arguments = std::mem::take(&mut call.arguments).into_iter();
    let mut next = || arguments.next().expect("three arguments");
    let branches = vec![(next(), next())];
    make_case(branches, Some(next()), span)
}

fn coalesce(mut call: Call<'_, '_>) -> Typed {
    let common = call.same_type(0..call.len())?;
    call.returns(common)
}

fn as_coalesce(mut call: Call<'_, '_>) -> Typed {
    call.function = "coalesce";
    coalesce(call)
}

fn nvl2(mut call: Call<'_, '_>) -> Typed {
    let span = call.span;
    let mut arguments = std::mem::take(&mut call.arguments).into_iter();
    let mut next = || arguments.next().expect("three arguments");
    let condition = Expr::call("isnotnull", vec![next()], DataType::Boolean);
    let branches = vec![(condition, next())];
    make_case(branches, Some(next()), span)
}

/// `if(a = b, null, a)`: the comparison coerces, the value does not.
fn nullif(mut call: Call<'_, '_>) -> Typed {
    let span = call.span;
    let value = call.arguments[0].clone();
    let same = super::find("=").expect("in the catalogue");
    call.function = "=";
    let super::Typing::Custom(typing) = same.typing else {
        unreachable!("= has its own typing");
    };
    let same = typing(call)?;
    let null = Expr::null(value.data_type.clone());
    make_case(vec![(same, null)], Some(value), span)
}

fn nanvl(mut call: Call<'_, '_>) -> Typed {
    let floating = Takes::OneOf(vec![
        Takes::Type(DataType::Double),
        Takes::Type(DataType::Float),
    ]);
    call.take(0, &floating)?;
    call.take(1, &floating)?;
    let common = call.same_type(0..2)?;
    call.returns(common)
}

/// No number becomes a string to be compared with one.
fn extreme(mut call: Call<'_, '_>) -> Typed {
    let types = call.arguments.iter().map(|a| &a.data_type);
    let meet = |met: DataType, next| wider_without_strings(&met, next);
    let Some(common) = types.clone().try_fold(DataType::Null, meet) else {
        let names: Vec<String> = types.map(ToString::to_string).collect();
        let message = format!(
            "{} needs values of one type, not {}",
            call.name,
            names.join(", ")
        );
        return call.fail(message);
    };
    for index in 0..call.len() {
        call.cast(index, &common);
    }
    if !is_orderable(&common) {
        return call.fail(format!("values of {common} cannot be compared"));
    }
    call.returns(common)
}
