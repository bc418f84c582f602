//! Text to typed expressions, with problems at a path of the user's file.

use crate::diagnostic::Diagnostic;
use crate::diagnostic::nearest;
use crate::expr::{self, Expr, ExprError, Scope, Selected};
use crate::schema::{DataType, Schema};

use super::Problems;

/// An expression over a schema.
pub(super) fn expression(
    text: &str,
    schema: &Schema,
    path: &str,
    problems: &mut Problems,
) -> Option<Expr> {
    let bound = expr::parse(text).and_then(|ast| expr::bind(&ast, schema));
    bound.map_err(|error| report(&error, path, problems)).ok()
}

/// An entry of a select list: a value or a generator.
pub(super) fn selected(
    text: &str,
    schema: &Schema,
    path: &str,
    problems: &mut Problems,
) -> Option<Selected> {
    let scope = Scope {
        schema: Some(schema),
        relation: None,
    };
    let bound = expr::parse(text).and_then(|ast| expr::bind_select(&ast, &scope));
    bound.map_err(|error| report(&error, path, problems)).ok()
}

/// A condition: a boolean expression.
pub(super) fn condition(
    text: &str,
    schema: &Schema,
    path: &str,
    problems: &mut Problems,
) -> Option<Expr> {
    let bound = expression(text, schema, path, problems)?;
    if matches!(bound.data_type, DataType::Boolean | DataType::Null) {
        return Some(bound.cast(&DataType::Boolean));
    }
    let message = format!(
        "a condition must be boolean, but this is {}",
        bound.data_type
    );
    problems.report(Diagnostic::error(path, message).detail(text.to_owned()));
    None
}

/// A column by name.
pub(super) fn column(
    name: &str,
    schema: &Schema,
    path: &str,
    problems: &mut Problems,
) -> Option<Expr> {
    if let Some(index) = schema.index_of(name) {
        return Some(Expr::column(index, schema.fields[index].data_type.clone()));
    }
    problems.report(missing_column(name, schema, path));
    None
}

/// The problem of a column that is not there.
pub(super) fn missing_column(name: &str, schema: &Schema, path: &str) -> Diagnostic {
    let names: Vec<&str> = schema
        .fields
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    let problem = Diagnostic::error(path, format!("there is no column {name:?}"))
        .detail(format!("the columns are {}", names.join(", ")));
    match nearest(name, names) {
        Some(near) => problem.hint(format!("did you mean {near:?}?")),
        None => problem,
    }
}

fn report(error: &ExprError, path: &str, problems: &mut Problems) {
    for problem in &error.problems {
        let upto = &error.text[..problem.span.start.min(error.text.len())];
        let column = upto.chars().count() + 1;
        problems.report(
            Diagnostic::error(path, problem.message.clone())
                .detail(format!("at character {column} of `{}`", error.text)),
        );
    }
}
