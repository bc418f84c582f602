//! Expressions with parts replaced.

use super::ir::{Expr, ExprKind};

/// The expression with each part for which `replace` has an answer replaced by it, from the top down.
pub(crate) fn rewrite(expr: &Expr, replace: &mut dyn FnMut(&Expr) -> Option<Expr>) -> Expr {
    if let Some(other) = replace(expr) {
        return other;
    }
    let kind = match &expr.kind {
        ExprKind::Column(_) | ExprKind::Literal(_) | ExprKind::Variable(_) => expr.kind.clone(),
        ExprKind::Call {
            function,
            arguments,
        } => ExprKind::Call {
            function,
            arguments: arguments.iter().map(|a| rewrite(a, replace)).collect(),
        },
        ExprKind::Cast(input) => ExprKind::Cast(Box::new(rewrite(input, replace))),
        ExprKind::Case {
            branches,
            otherwise,
        } => ExprKind::Case {
            branches: branches
                .iter()
                .map(|(condition, value)| (rewrite(condition, replace), rewrite(value, replace)))
                .collect(),
            otherwise: otherwise.as_ref().map(|v| Box::new(rewrite(v, replace))),
        },
        ExprKind::Field { input, index } => ExprKind::Field {
            input: Box::new(rewrite(input, replace)),
            index: *index,
        },
        ExprKind::Lambda { parameters, body } => ExprKind::Lambda {
            parameters: parameters.clone(),
            body: Box::new(rewrite(body, replace)),
        },
    };
    Expr::new(expr.data_type.clone(), kind)
}

/// The expression with its columns at other positions.
pub(crate) fn moved(expr: &Expr, position: &dyn Fn(usize) -> usize) -> Expr {
    rewrite(expr, &mut |part| match part.kind {
        ExprKind::Column(index) => Some(Expr::column(position(index), part.data_type.clone())),
        _ => None,
    })
}
