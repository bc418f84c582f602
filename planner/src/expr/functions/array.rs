//! Functions of arrays.

use super::{ANY, Call, Function, Takes, Typed, int};
use crate::expr::ast::NodeKind;
use crate::expr::coerce::{is_integral, tightest};
use crate::expr::ir::{Expr, Literal};
use crate::schema::{DataType, Field};

pub(super) fn functions() -> Vec<Function> {
    let mut all = vec![
        Function::custom(&["array"], 0..=ANY, array),
        Function::new(&["size", "cardinality"], [Takes::ArrayOrMap], DataType::Int),
        Function::new(&["array_size"], [Takes::Array], DataType::Int),
        Function::rewrite(&["get"], 2..=2, get),
        Function::custom(&["element_at", "try_element_at"], 2..=2, element_at),
        Function::custom(&["slice"], 3..=3, |mut call| {
            call.take(1, &int())?;
            call.take(2, &int())?;
            same_array(call)
        }),
        Function::custom(&["sort_array"], 1..=2, sort_array),
        Function::custom(&["array_contains"], 2..=2, contains),
        Function::custom(&["array_position"], 2..=2, |mut call| {
            let common = meet_tightly(&mut call, 1)?;
            call.orderable(&common)?;
            call.returns(DataType::Long)
        }),
        Function::custom(&["array_remove"], 2..=2, extended),
        Function::custom(&["array_append"], 2..=2, extended),
        Function::custom(&["array_prepend"], 2..=2, extended),
        Function::custom(&["array_insert"], 3..=3, insert),
        Function::custom(&["array_distinct"], 1..=1, |mut call| {
            call.take(0, &Takes::Array)?;
            call.orderable(&call.element(0)?)?;
            same_array(call)
        }),
        Function::custom(&["array_compact"], 1..=1, same_array),
        Function::custom(&["array_union"], 2..=2, two_arrays),
        Function::custom(&["array_intersect"], 2..=2, two_arrays),
        Function::custom(&["array_except"], 2..=2, two_arrays),
        Function::custom(&["arrays_overlap"], 2..=2, |mut call| {
            meet_arrays(&mut call)?;
            call.returns(DataType::Boolean)
        }),
        Function::custom(&["array_join"], 2..=3, join),
        Function::custom(&["array_repeat"], 2..=2, |mut call| {
            call.take(1, &Takes::Only(DataType::Int))?;
            let returns = DataType::array(call.data_type(0).clone());
            call.returns(returns)
        }),
        Function::custom(&["arrays_zip"], 1..=ANY, zip),
        Function::custom(&["flatten"], 1..=1, flatten),
        Function::custom(&["sequence"], 2..=3, sequence),
    ];
    for name in [&["array_min"], &["array_max"]] {
        all.push(Function::custom(name, 1..=1, |mut call| {
            call.take(0, &Takes::Array)?;
            let element = call.element(0)?;
            call.orderable(&element)?;
            call.returns(element)
        }));
    }
    all
}

fn array(mut call: Call<'_, '_>) -> Typed {
    let common = call.same_type(0..call.len())?;
    call.returns(DataType::array(common))
}

/// Answers with the type of the first argument, which must be an array.
fn same_array(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &Takes::Array)?;
    let returns = DataType::array(call.element(0)?);
    call.returns(returns)
}

fn get(mut call: Call<'_, '_>) -> Typed {
    let element = call.element(0)?;
    call.take(1, &Takes::Integral)?;
    call.cast(1, &DataType::Int);
    call.cast(1, &DataType::Long);
    call.function = "array item";
    call.returns(element)
}

fn element_at(mut call: Call<'_, '_>) -> Typed {
    if let DataType::Map(key, value) = call.data_type(0).clone() {
        let Some(common) = tightest(&key, call.data_type(1)) else {
            let message = format!("the map's key is {key}, this is {}", call.data_type(1));
            return call.fail(message);
        };
        call.cast(0, &DataType::map(common.clone(), (*value).clone()));
        call.cast(1, &common);
        call.function = "map item";
        return call.returns(*value);
    }
    let element = call.element(0)?;
    if *call.data_type(1) == DataType::Long || !is_integral(call.data_type(1)) {
        return call.fail(format!(
            "an index must be an int, this is {}",
            call.data_type(1)
        ));
    }
    call.cast(1, &DataType::Int);
    call.returns(element)
}

fn sort_array(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &Takes::Array)?;
    call.orderable(&call.element(0)?)?;
    if call.len() == 1 {
        let ascending = Expr::literal(Literal::Boolean(true), DataType::Boolean);
        call.arguments.push(ascending);
    }
    match call.arguments[1].as_literal() {
        Some(Literal::Boolean(_)) => same_array(call),
        _ => call.fail("the order of sort_array must be a constant boolean"),
    }
}

fn contains(mut call: Call<'_, '_>) -> Typed {
    if *call.data_type(0) == DataType::Null || *call.data_type(1) == DataType::Null {
        return call.fail("array_contains cannot look for a bare null");
    }
    let common = call.element_and_value(0, 1)?;
    call.orderable(&common)?;
    call.returns(DataType::Boolean)
}

/// Brings an array's elements and a value to the tightest type that holds both.
fn meet_tightly(call: &mut Call<'_, '_>, value: usize) -> Result<DataType, crate::expr::Problem> {
    let common = tightest(&call.element(0)?, call.data_type(value));
    call.meet(0, value, common)
}

fn extended(mut call: Call<'_, '_>) -> Typed {
    let common = meet_tightly(&mut call, 1)?;
    call.returns(DataType::array(common))
}

fn insert(mut call: Call<'_, '_>) -> Typed {
    if *call.data_type(1) == DataType::Long || !is_integral(call.data_type(1)) {
        let message = format!("the position must be an int, this is {}", call.data_type(1));
        return call.fail(message);
    }
    call.cast(1, &DataType::Int);
    let common = meet_tightly(&mut call, 2)?;
    call.returns(DataType::array(common))
}

/// Brings two arrays to one type.
fn meet_arrays(call: &mut Call<'_, '_>) -> Result<DataType, crate::expr::Problem> {
    let (left, right) = (call.element(0)?, call.element(1)?);
    let Some(common) = tightest(&left, &right) else {
        return call.fail(format!(
            "arrays of {left} and of {right} have no common type"
        ));
    };
    call.orderable(&common)?;
    let array = DataType::array(common);
    call.cast(0, &array);
    call.cast(1, &array);
    Ok(array)
}

fn two_arrays(mut call: Call<'_, '_>) -> Typed {
    let array = meet_arrays(&mut call)?;
    call.returns(array)
}

fn join(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &Takes::Type(DataType::array(DataType::String)))?;
    call.take_rest(1, &Takes::Only(DataType::String))?;
    call.returns(DataType::String)
}

/// The fields are named like the arguments that have names, else by position.
fn zip(mut call: Call<'_, '_>) -> Typed {
    let mut fields = Vec::new();
    for index in 0..call.len() {
        call.take(index, &Takes::Array)?;
        let name = match &call.nodes[index].kind {
            NodeKind::Name(parts) => parts.last().cloned().unwrap_or_default(),
            NodeKind::Field { name, .. } => name.clone(),
            _ => index.to_string(),
        };
        fields.push(Field::new(name, call.element(index)?));
    }
    call.returns(DataType::array(DataType::Struct(fields)))
}

fn flatten(call: Call<'_, '_>) -> Typed {
    match call.element(0)? {
        DataType::Array(inner) => call.returns(DataType::Array(inner)),
        _ => call.fail("flatten takes an array of arrays"),
    }
}

/// Integers by integers, dates and timestamps by intervals. A step that is left out stays so.
fn sequence(mut call: Call<'_, '_>) -> Typed {
    let (start, stop) = (call.data_type(0).clone(), call.data_type(1).clone());
    let step = call.arguments.get(2).map(|step| step.data_type.clone());
    let Some(common) = tightest(&start, &stop) else {
        return call.fail(format!("sequence cannot go from {start} to {stop}"));
    };
    if is_integral(&common) {
        let with_step = match &step {
            Some(step) => tightest(&common, step).filter(is_integral),
            None => Some(common),
        };
        let Some(with_step) = with_step else {
            return call.fail("the step of this sequence must be an integer");
        };
        for index in 0..call.len() {
            call.cast(index, &with_step);
        }
        return call.returns(DataType::array(with_step));
    }
    if !matches!(
        common,
        DataType::Date | DataType::Timestamp | DataType::TimestampNtz
    ) {
        return call.fail(format!("sequence cannot go from {start} to {stop}"));
    }
    match step {
        // A day forwards, or backwards if the sequence falls.
        None
        | Some(
            DataType::DayTimeInterval(..)
            | DataType::YearMonthInterval(..)
            | DataType::CalendarInterval,
        ) => {}
        Some(other) => {
            return call.fail(format!(
                "the step of this sequence must be an interval, not {other}"
            ));
        }
    }
    call.cast(0, &common);
    call.cast(1, &common);
    call.returns(DataType::array(common))
}
