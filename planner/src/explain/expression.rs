//! A typed expression as text, columns by their names. For people: it need not parse back.

use crate::expr::{Expr, ExprKind, Literal};
use crate::schema::DataType;

/// The expression over columns of these names.
pub(super) fn text(expr: &Expr, column: &dyn Fn(usize) -> String) -> String {
    let inner = |expr: &Expr| text(expr, column);
    match &expr.kind {
        ExprKind::Column(index) => column(*index),
        ExprKind::Literal(value) => literal(value, &expr.data_type),
        ExprKind::Variable(number) => format!("v{number}"),
        ExprKind::Call {
            function,
            arguments,
        } => {
            let arguments: Vec<String> = arguments.iter().map(inner).collect();
            let is_word = function.chars().all(|c| c.is_alphanumeric() || c == '_');
            match &arguments[..] {
                [left, right] if !is_word || ["and", "or"].contains(function) => {
                    format!("({left} {function} {right})")
                }
                _ => format!("{function}({})", arguments.join(", ")),
            }
        }
        ExprKind::Cast(input) => format!("cast({} as {})", inner(input), expr.data_type),
        ExprKind::Case {
            branches,
            otherwise,
        } => {
            let mut out = String::from("case");
            for (condition, value) in branches {
                out += &format!(" when {} then {}", inner(condition), inner(value));
            }
            if let Some(value) = otherwise {
                out += &format!(" else {}", inner(value));
            }
            out + " end"
        }
        ExprKind::Field { input, index } => {
            let name = match &input.data_type {
                DataType::Struct(fields) => fields.get(*index).map(|field| field.name.clone()),
                _ => None,
            };
            format!(
                "{}.{}",
                inner(input),
                name.unwrap_or_else(|| index.to_string())
            )
        }
        ExprKind::Lambda { parameters, body } => {
            let names: Vec<String> = parameters
                .iter()
                .map(|number| format!("v{number}"))
                .collect();
            format!("({}) -> {}", names.join(", "), inner(body))
        }
    }
}

pub(super) fn literal(value: &Literal, data_type: &DataType) -> String {
    match value {
        Literal::Null => "null".into(),
        Literal::Boolean(value) => value.to_string(),
        Literal::Integer(value) => match data_type {
            DataType::Int | DataType::Long => value.to_string(),
            other => format!("{other} {value}"),
        },
        Literal::Double(value) => format!("{value:?}"),
        Literal::Decimal(value) => format!("{data_type} {value}"),
        Literal::String(value) => format!("'{}'", value.escape_debug()),
        Literal::Binary(bytes) => {
            let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            format!("X'{}'", hex.concat())
        }
        Literal::Calendar {
            months,
            days,
            micros,
        } => {
            format!("interval {months} months {days} days {micros} micros")
        }
    }
}
