//! Generators: functions that make any number of rows out of one.

use super::ast::{Node, NodeKind};
use super::bind::Binder;
use super::coerce::wider_of;
use super::ir::{Expr, Generator, GeneratorKind, Literal};
use super::problem::Problem;
use crate::schema::{DataType, Field};

const NAMES: [&str; 7] = [
    "explode",
    "explode_outer",
    "posexplode",
    "posexplode_outer",
    "inline",
    "inline_outer",
    "stack",
];

pub(crate) fn is_generator(name: &str) -> bool {
    NAMES.contains(&name)
}

/// `None` if the node is no generator; `Some(None)` if it is a faulty one, its problems noted.
pub(crate) fn bind(binder: &mut Binder<'_>, node: &Node) -> Option<Option<Generator>> {
    let NodeKind::Call { name, arguments } = &node.kind else {
        return None;
    };
    if !is_generator(name) {
        return None;
    }
    let inputs = binder.bind_all(arguments);
    Some(inputs.and_then(|inputs| {
        let made = make(name, inputs).map_err(|message| Problem::new(node.span, message));
        binder.noted(made)
    }))
}

fn make(name: &str, inputs: Vec<Expr>) -> Result<Generator, String> {
    if name == "stack" {
        return stack(inputs);
    }
    let [input] = inputs.as_slice() else {
        return Err(format!("{name} takes 1 argument, not {}", inputs.len()));
    };
    let base = name.strip_suffix("_outer").unwrap_or(name);
    let fail = |wanted: &str| Err(format!("{name} takes {wanted}, not {}", input.data_type));
    let mut columns = Vec::new();
    if base == "posexplode" {
        columns.push(Field::new("pos", DataType::Int));
    }
    let kind = match base {
        "inline" => GeneratorKind::Inline,
        "posexplode" => GeneratorKind::PositionExplode,
        _ => GeneratorKind::Explode,
    };
    match (&input.data_type, kind) {
        (DataType::Array(element), GeneratorKind::Inline) => match &**element {
            DataType::Struct(fields) => columns.extend(fields.iter().cloned()),
            _ => return fail("an array of structs"),
        },
        (_, GeneratorKind::Inline) => return fail("an array of structs"),
        (DataType::Array(element), _) => columns.push(Field::new("col", (**element).clone())),
        (DataType::Map(key, value), _) => {
            columns.push(Field::new("key", (**key).clone()));
            columns.push(Field::new("value", (**value).clone()));
        }
        _ => return fail("an array or a map"),
    }
    Ok(Generator {
        kind,
        outer: base != name,
        inputs,
        columns,
    })
}

fn stack(mut inputs: Vec<Expr>) -> Result<Generator, String> {
    if inputs.len() < 2 {
        return Err("stack takes a number of rows and their values".into());
    }
    let values = inputs.split_off(1);
    let rows = match inputs[0].as_literal() {
        Some(Literal::Integer(rows)) if *rows > 0 => usize::try_from(*rows).ok(),
        _ => None,
    };
    let Some(rows) = rows else {
        return Err("the number of rows of stack must be a positive constant".into());
    };
    let width = values.len().div_ceil(rows);
    let mut columns = Vec::new();
    for column in 0..width {
        let types = values
            .iter()
            .skip(column)
            .step_by(width)
            .map(|v| &v.data_type);
        let Some(common) = wider_of(types) else {
            return Err(format!("column {column} of stack has no common type"));
        };
        columns.push(Field::new(format!("col{column}"), common));
    }
    let inputs = values
        .into_iter()
        .enumerate()
        .map(|(i, value)| value.cast(&columns[i % width].data_type))
        .collect();
    Ok(Generator {
        kind: GeneratorKind::Stack(rows),
        outer: false,
        inputs,
        columns,
    })
}
