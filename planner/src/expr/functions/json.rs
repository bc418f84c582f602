//! JSON and CSV.

use super::{Call, Function, Typed, only_string};
use crate::expr::ir::{Expr, ExprKind};
use crate::expr::parse_type::parse_schema;
use crate::schema::DataType;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new(
            &["get_json_object"],
            [only_string(), only_string()],
            DataType::String,
        ),
        // A column of json_tuple.
        Function::new(
            &["json member"],
            [only_string(), only_string()],
            DataType::String,
        ),
        Function::new(&["json_array_length"], [only_string()], DataType::Int),
        Function::new(
            &["json_object_keys"],
            [only_string()],
            DataType::array(DataType::String),
        ),
        Function::custom(&["from_json"], 2..=3, from_json),
        Function::custom(&["to_json"], 1..=2, to_json),
        Function::custom(&["schema_of_json"], 1..=2, schema_of),
        Function::custom(&["from_csv"], 2..=3, from_csv),
        Function::custom(&["to_csv"], 1..=2, to_csv),
        Function::custom(&["schema_of_csv"], 1..=2, schema_of),
    ]
}

fn is_constant(expr: &Expr) -> bool {
    let mut constant = true;
    expr.visit(&mut |part| {
        constant &= !matches!(part.kind, ExprKind::Column(_) | ExprKind::Variable(_));
    });
    constant
}

/// The options: a constant map of strings at this position, if there is one.
fn options(call: &mut Call<'_, '_>, index: usize) -> Result<(), super::Problem> {
    if call.len() <= index {
        return Ok(());
    }
    let wanted = DataType::map(DataType::String, DataType::String);
    if *call.data_type(index) != wanted || !is_constant(&call.arguments[index]) {
        return call.fail("options must be a constant map of strings");
    }
    Ok(())
}

fn schema(call: &mut Call<'_, '_>) -> Result<DataType, super::Problem> {
    let text = call.constant_text(1)?;
    let parsed = parse_schema(&text);
    call.arguments.remove(1);
    match parsed {
        Ok(data_type) => Ok(data_type),
        Err(_) => call.fail(format!("'{text}' is not a schema")),
    }
}

fn from_json(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &only_string())?;
    let data_type = schema(&mut call)?;
    if !matches!(
        data_type,
        DataType::Struct(_) | DataType::Array(_) | DataType::Map(..)
    ) {
        return call.fail(format!(
            "from_json makes structs, arrays and maps, not {data_type}"
        ));
    }
    if has_other_keys(&data_type) {
        return call.fail("the keys of a map in JSON are strings");
    }
    options(&mut call, 1)?;
    call.returns(data_type)
}

fn to_json(mut call: Call<'_, '_>) -> Typed {
    match call.data_type(0) {
        DataType::Struct(_) | DataType::Array(_) | DataType::Map(..) => {}
        other => {
            let message = format!("to_json takes structs, arrays and maps, not {other}");
            return call.fail(message);
        }
    }
    options(&mut call, 1)?;
    call.returns(DataType::String)
}

fn schema_of(mut call: Call<'_, '_>) -> Typed {
    if *call.data_type(0) == DataType::Null {
        let message = format!("the argument of {} must not be null", call.name);
        return call.fail(message);
    }
    call.take(0, &only_string())?;
    if !is_constant(&call.arguments[0]) {
        let message = format!("the argument of {} must be constant", call.name);
        return call.fail(message);
    }
    options(&mut call, 1)?;
    call.returns(DataType::String)
}

fn from_csv(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &only_string())?;
    let data_type = schema(&mut call)?;
    let DataType::Struct(fields) = &data_type else {
        return call.fail(format!("from_csv makes structs, not {data_type}"));
    };
    let nested = fields.iter().find(|f| {
        matches!(
            f.data_type,
            DataType::Struct(_) | DataType::Array(_) | DataType::Map(..)
        )
    });
    if let Some(field) = nested {
        let message = format!("a column of CSV cannot be {}", field.data_type);
        return call.fail(message);
    }
    options(&mut call, 1)?;
    call.returns(data_type)
}

fn to_csv(mut call: Call<'_, '_>) -> Typed {
    if !matches!(call.data_type(0), DataType::Struct(_)) {
        let message = format!("to_csv takes a struct, not {}", call.data_type(0));
        return call.fail(message);
    }
    options(&mut call, 1)?;
    call.returns(DataType::String)
}

/// True if there is a map whose keys are not strings.
fn has_other_keys(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(key, value) => **key != DataType::String || has_other_keys(value),
        DataType::Array(element) => has_other_keys(element),
        DataType::Struct(fields) => fields.iter().any(|f| has_other_keys(&f.data_type)),
        _ => false,
    }
}
