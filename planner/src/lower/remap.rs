//! Expressions with their columns moved or replaced.

use crate::expr::{Expr, ExprKind, Generator};

/// The expression with each column replaced by what `column` gives for it.
pub(super) fn replace(expr: &Expr, column: &dyn Fn(usize) -> Expr) -> Expr {
    let kind = match &expr.kind {
        ExprKind::Column(index) => return column(*index),
        ExprKind::Literal(_) | ExprKind::Variable(_) => expr.kind.clone(),
        ExprKind::Call {
            function,
            arguments,
        } => ExprKind::Call {
            function,
            arguments: arguments
                .iter()
                .map(|argument| replace(argument, column))
                .collect(),
        },
        ExprKind::Cast(input) => ExprKind::Cast(Box::new(replace(input, column))),
        ExprKind::Case {
            branches,
            otherwise,
        } => ExprKind::Case {
            branches: branches
                .iter()
                .map(|(condition, value)| (replace(condition, column), replace(value, column)))
                .collect(),
            otherwise: otherwise
                .as_ref()
                .map(|value| Box::new(replace(value, column))),
        },
        ExprKind::Field { input, index } => ExprKind::Field {
            input: Box::new(replace(input, column)),
            index: *index,
        },
        ExprKind::Lambda { parameters, body } => ExprKind::Lambda {
            parameters: parameters.clone(),
            body: Box::new(replace(body, column)),
        },
    };
    Expr::new(expr.data_type.clone(), kind)
}

/// The expression with its columns at other positions.
pub(super) fn moved(expr: &Expr, position: &dyn Fn(usize) -> usize) -> Expr {
    let data_type = |expr: &Expr, wanted: usize| {
        let mut found = None;
        expr.visit(&mut |inner| {
            if inner.kind == ExprKind::Column(wanted) {
                found = Some(inner.data_type.clone());
            }
        });
        found.expect("the column is in the expression that was visited")
    };
    replace(expr, &|index| {
        Expr::column(position(index), data_type(expr, index))
    })
}

/// A generator with its inputs' columns at other positions.
pub(super) fn moved_generator(
    generator: &Generator,
    position: &dyn Fn(usize) -> usize,
) -> Generator {
    Generator {
        inputs: generator
            .inputs
            .iter()
            .map(|input| moved(input, position))
            .collect(),
        ..generator.clone()
    }
}
