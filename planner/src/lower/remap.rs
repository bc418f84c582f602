//! Expressions with their columns moved or replaced.

use crate::expr::rewrite::rewrite;
use crate::expr::{Expr, ExprKind, Generator};

pub(super) use crate::expr::rewrite::moved;

/// The expression with each column replaced by what `column` gives for it.
pub(super) fn replace(expr: &Expr, column: &dyn Fn(usize) -> Expr) -> Expr {
    rewrite(expr, &mut |part| match part.kind {
        ExprKind::Column(index) => Some(column(index)),
        _ => None,
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
