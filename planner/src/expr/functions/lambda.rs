//! Higher-order functions: their lambdas are bound when the types of what they run over are known.

use super::{Call, Function, Typed};
use crate::expr::coerce::wider_without_strings;
use crate::expr::ir::Expr;
use crate::expr::problem::Problem;
use crate::schema::DataType;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::custom(&["transform"], 2..=2, transform),
        Function::custom(&["filter"], 2..=2, |mut call| {
            let element = call.element(0)?;
            predicate(&mut call, &[element.clone(), DataType::Int])?;
            call.returns(DataType::array(element))
        }),
        Function::custom(&["exists"], 2..=2, quantified),
        Function::custom(&["forall"], 2..=2, quantified),
        Function::custom(&["aggregate", "reduce"], 3..=4, aggregate),
        Function::custom(&["zip_with"], 3..=3, |mut call| {
            let (left, right) = (call.element(0)?, call.element(1)?);
            arity(&call, 2, 2)?;
            let body = call.lambda(2, &[left, right])?;
            call.returns(DataType::array(body))
        }),
        Function::custom(&["array_sort"], 1..=2, array_sort),
        Function::custom(&["map_filter"], 2..=2, |mut call| {
            let (key, value) = call.entry(0)?;
            arity(&call, 1, 2)?;
            predicate(&mut call, &[key.clone(), value.clone()])?;
            call.returns(DataType::map(key, value))
        }),
        Function::custom(&["transform_keys"], 2..=2, |mut call| {
            let (key, value) = call.entry(0)?;
            arity(&call, 1, 2)?;
            let body = call.lambda(1, &[key, value.clone()])?;
            super::map::map_of(call, body, value)
        }),
        Function::custom(&["transform_values"], 2..=2, |mut call| {
            let (key, value) = call.entry(0)?;
            arity(&call, 1, 2)?;
            let body = call.lambda(1, &[key.clone(), value])?;
            call.returns(DataType::map(key, body))
        }),
        Function::custom(&["map_zip_with"], 3..=3, map_zip_with),
    ]
}

/// True if some argument of the function may be a lambda.
pub(crate) fn takes_lambdas(function: &str) -> bool {
    functions().iter().any(|f| f.names[0] == function)
}

/// Fails unless the lambda at `index` has exactly `count` parameters.
fn arity(call: &Call<'_, '_>, index: usize, count: usize) -> Result<(), Problem> {
    let found = call.lambda_arity(index);
    if found == count || !call.is_lambda(index) {
        return Ok(());
    }
    let message = format!(
        "the lambda of {} takes {count} parameters, not {found}",
        call.name
    );
    Err(Problem::new(call.nodes[index].span, message))
}

fn transform(mut call: Call<'_, '_>) -> Typed {
    let element = call.element(0)?;
    let body = call.lambda(1, &[element, DataType::Int])?;
    call.returns(DataType::array(body))
}

/// Binds the lambda at 1, whose body must be a truth value.
fn predicate(call: &mut Call<'_, '_>, types: &[DataType]) -> Result<(), Problem> {
    match call.lambda(1, types)? {
        DataType::Boolean => Ok(()),
        DataType::Null => {
            retype(&mut call.arguments[1], &DataType::Boolean);
            Ok(())
        }
        other => {
            let message = format!(
                "the lambda of {} must be boolean, this is {other}",
                call.name
            );
            Err(Problem::new(call.nodes[1].span, message))
        }
    }
}

/// Casts a lambda's body.
fn retype(lambda: &mut Expr, to: &DataType) {
    use crate::expr::ir::ExprKind;
    if let ExprKind::Lambda { body, .. } = &mut lambda.kind {
        let old = std::mem::replace(&mut **body, Expr::null(DataType::Null));
        **body = old.cast(to);
        lambda.data_type = to.clone();
    }
}

fn quantified(mut call: Call<'_, '_>) -> Typed {
    let element = call.element(0)?;
    arity(&call, 1, 1)?;
    predicate(&mut call, &[element])?;
    call.returns(DataType::Boolean)
}

fn aggregate(mut call: Call<'_, '_>) -> Typed {
    let element = call.element(0)?;
    let state = call.data_type(1).clone();
    arity(&call, 2, 2)?;
    let merged = call.lambda(2, &[state.clone(), element])?;
    if merged == DataType::Null && state != DataType::Null {
        retype(&mut call.arguments[2], &state);
    } else if merged != state {
        return call.fail(format!(
            "the merging lambda gives {merged}, the start is {state}: they must be the same"
        ));
    }
    if call.len() == 3 {
        return call.returns(state);
    }
    arity(&call, 3, 1)?;
    let finished = call.lambda(3, &[state])?;
    call.returns(finished)
}

fn array_sort(mut call: Call<'_, '_>) -> Typed {
    let element = call.element(0)?;
    if call.len() == 1 {
        call.orderable(&element)?;
        return call.returns(DataType::array(element));
    }
    if !call.is_lambda(1) {
        return call.fail("array_sort compares by a lambda of two parameters");
    }
    arity(&call, 1, 2)?;
    match call.lambda(1, &[element.clone(), element.clone()])? {
        DataType::Int => call.returns(DataType::array(element)),
        other => call.fail(format!(
            "the comparing lambda must give an int, not {other}"
        )),
    }
}

fn map_zip_with(mut call: Call<'_, '_>) -> Typed {
    let ((left_key, left), (right_key, right)) = (call.entry(0)?, call.entry(1)?);
    let Some(key) = wider_without_strings(&left_key, &right_key) else {
        return call.fail(format!(
            "keys of {left_key} and {right_key} have no common type"
        ));
    };
    call.cast(0, &DataType::map(key.clone(), left.clone()));
    call.cast(1, &DataType::map(key.clone(), right.clone()));
    arity(&call, 2, 3)?;
    let body = call.lambda(2, &[key.clone(), left, right])?;
    call.returns(DataType::map(key, body))
}
