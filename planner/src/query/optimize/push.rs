//! Conditions moved towards the tables whose columns they read.
//!
//! Promises: a condition passes an operator only where the rows that come out are the same: never into the side of an
//! outer join that is filled with nulls, never below a limit, below windows only by their partition keys, below
//! aggregates only by their keys.

use crate::expr::rewrite::{moved, rewrite};
use crate::expr::{Expr, ExprKind};
use crate::query::from::conjuncts;
use crate::query::join::key;
use crate::query::select::filter;
use crate::query::tree::{Join, JoinKind, Operator, Relation};

/// The rows of a relation that meet conditions over its columns.
pub(super) fn push(relation: Relation, conditions: Vec<Expr>) -> Relation {
    let Relation { schema, operator } = relation;
    match operator {
        Operator::Scan { table, mut filters } => {
            filters.extend(conditions);
            Relation::new(schema, Operator::Scan { table, filters })
        }
        Operator::Filter {
            input,
            conditions: own,
        } => {
            let mut all: Vec<Expr> = own.into_iter().flat_map(conjuncts).collect();
            all.extend(conditions);
            push(*input, all)
        }
        Operator::Join(join) => {
            let (join, above) = push_join(*join, conditions);
            filter(Relation::new(schema, Operator::Join(Box::new(join))), above)
        }
        operator => {
            let (mut below, mut above) = (Vec::new(), Vec::new());
            for condition in conditions {
                match passed(&operator, &condition) {
                    Some(condition) => below.push(condition),
                    None => above.push(condition),
                }
            }
            let operator = operator.over(&mut |input| push(input, below.clone()));
            filter(Relation::new(schema, operator), above)
        }
    }
}

/// The condition over the operator's inputs, if those may be asked instead.
fn passed(operator: &Operator, condition: &Expr) -> Option<Expr> {
    let columns = condition.columns();
    let all = |goes: &dyn Fn(usize) -> bool| columns.iter().all(|column| goes(*column));
    match operator {
        Operator::Project { expressions, .. } => {
            all(&|c| is_cheap(&expressions[c])).then(|| substituted(condition, expressions))
        }
        Operator::Aggregate { keys, .. } => {
            let by_keys = !columns.is_empty() && all(&|c| c < keys.len() && is_cheap(&keys[c]));
            by_keys.then(|| substituted(condition, keys))
        }
        Operator::Window {
            input, partition, ..
        } => {
            let is_key = |c: usize| {
                c < input.width() && partition.iter().any(|p| p.kind == ExprKind::Column(c))
            };
            (!columns.is_empty() && all(&is_key)).then(|| condition.clone())
        }
        Operator::Generate { input, .. } => all(&|c| c < input.width()).then(|| condition.clone()),
        Operator::Sort { .. } | Operator::Union(_) => Some(condition.clone()),
        _ => None,
    }
}

/// Whether computing it twice costs next to nothing.
fn is_cheap(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Column(_) | ExprKind::Literal(_) => true,
        ExprKind::Cast(input) | ExprKind::Field { input, .. } => is_cheap(input),
        _ => false,
    }
}

fn substituted(expr: &Expr, with: &[Expr]) -> Expr {
    rewrite(expr, &mut |part| match part.kind {
        ExprKind::Column(index) => Some(with[index].clone()),
        _ => None,
    })
}

/// The join with conditions on its output, and those that stay above it.
fn push_join(join: Join, conditions: Vec<Expr>) -> (Join, Vec<Expr>) {
    let Join {
        left,
        right,
        kind,
        mut keys,
        conditions: own,
    } = join;
    let width = left.width();
    let on_left = |e: &Expr| e.columns().into_iter().all(|c| c < width);
    let on_right = |e: &Expr| {
        let columns = e.columns();
        !columns.is_empty() && columns.into_iter().all(|c| c >= width)
    };
    let (mut to_left, mut to_right) = (Vec::new(), Vec::new());
    let (mut above, mut rest) = (Vec::new(), Vec::new());
    for condition in conditions {
        match kind {
            _ if keeps_left(kind) && on_left(&condition) => to_left.push(condition),
            _ if keeps_right(kind) && on_right(&condition) => to_right.push(condition),
            JoinKind::Inner => rest.push(condition),
            _ => above.push(condition),
        }
    }
    // A condition of the join itself may drop rows of a side that is not kept whole.
    for condition in own {
        match kind {
            JoinKind::Inner | JoinKind::Right if on_left(&condition) => to_left.push(condition),
            JoinKind::Semi if on_left(&condition) => to_left.push(condition),
            JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti
                if on_right(&condition) =>
            {
                to_right.push(condition);
            }
            _ => rest.push(condition),
        }
    }
    let mut own = Vec::new();
    for condition in rest {
        match key(&condition, width) {
            Some(key) => keys.push(key),
            None => own.push(condition),
        }
    }
    let to_right = to_right.iter().map(|e| moved(e, &|c| c - width)).collect();
    let join = Join {
        left: push(left, to_left),
        right: push(right, to_right),
        kind,
        keys,
        conditions: own,
    };
    (join, above)
}

/// Left rows come out unchanged and only if they are there: a condition on them may go first.
fn keeps_left(kind: JoinKind) -> bool {
    matches!(
        kind,
        JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti
    )
}

fn keeps_right(kind: JoinKind) -> bool {
    matches!(kind, JoinKind::Inner | JoinKind::Right)
}
