//! Constants that a statement counts with.

use crate::expr::coerce::is_integral;
use crate::expr::{Expr, ExprKind, Literal};

/// The value of an expression of integer constants; `None` if it is none, or too large.
pub(super) fn integer(expr: &Expr) -> Option<i64> {
    match &expr.kind {
        _ if !is_integral(&expr.data_type) => None,
        ExprKind::Literal(Literal::Integer(value)) => Some(*value),
        ExprKind::Cast(input) => integer(input),
        ExprKind::Call {
            function,
            arguments,
        } => match (*function, arguments.as_slice()) {
            ("negative", [input]) => integer(input)?.checked_neg(),
            ("+", [a, b]) => integer(a)?.checked_add(integer(b)?),
            ("-", [a, b]) => integer(a)?.checked_sub(integer(b)?),
            ("*", [a, b]) => integer(a)?.checked_mul(integer(b)?),
            _ => None,
        },
        _ => None,
    }
}
