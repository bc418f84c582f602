//! Conditions moved towards the tables whose columns they read.
//!
//! Promises: a condition passes an operator only where the rows that come out are the same: never into the side of an
//! outer join that is filled with nulls, never below a limit, below windows only by their partition keys, below
//! aggregates only by their keys.

use crate::expr::rewrite::{moved, rewrite};
use crate::expr::{Expr, ExprKind};
use crate::query::from::{conjuncts, key};
use crate::query::select::filter;
use crate::query::tree::{Join, JoinKind, Operator, Relation};

/// The rows of a relation that meet conditions over its columns.
#[expect(clippy::too_many_lines, reason = "one arm for each operator")]
pub(super) fn push(relation: Relation, conditions: Vec<Expr>) -> Relation {
    let Relation { schema, operator } = relation;
    let whole = |operator| Relation::new(schema.clone(), operator);
    match operator {
        Operator::Scan { table, mut filters } => {
            filters.extend(conditions);
            whole(Operator::Scan { table, filters })
        }
        Operator::Filter {
            input,
            conditions: own,
        } => {
            let mut all: Vec<Expr> = own.into_iter().flat_map(conjuncts).collect();
            all.extend(conditions);
            push(*input, all)
        }
        Operator::Project { input, expressions } => {
            let cheap = |c: usize| is_cheap(&expressions[c]);
            let (below, above) = split(conditions, |e| e.columns().into_iter().all(cheap));
            let below = below.iter().map(|e| substituted(e, &expressions)).collect();
            let input = Box::new(push(*input, below));
            filter(whole(Operator::Project { input, expressions }), above)
        }
        Operator::Join(join) => {
            let (join, above) = push_join(*join, conditions);
            filter(whole(Operator::Join(Box::new(join))), above)
        }
        Operator::Aggregate {
            input,
            keys,
            aggregates,
        } => {
            let by_keys = |e: &Expr| {
                let columns = e.columns();
                !columns.is_empty()
                    && columns
                        .into_iter()
                        .all(|c| c < keys.len() && is_cheap(&keys[c]))
            };
            let (below, above) = split(conditions, by_keys);
            let below = below.iter().map(|e| substituted(e, &keys)).collect();
            let input = Box::new(push(*input, below));
            let operator = Operator::Aggregate {
                input,
                keys,
                aggregates,
            };
            filter(whole(operator), above)
        }
        Operator::Window {
            input,
            partition,
            order,
            functions,
        } => {
            let width = input.width();
            let is_key =
                |c: usize| c < width && partition.iter().any(|p| p.kind == ExprKind::Column(c));
            let by_keys = |e: &Expr| {
                let columns = e.columns();
                !columns.is_empty() && columns.into_iter().all(is_key)
            };
            let (below, above) = split(conditions, by_keys);
            let input = Box::new(push(*input, below));
            let operator = Operator::Window {
                input,
                partition,
                order,
                functions,
            };
            filter(whole(operator), above)
        }
        Operator::Generate { input, generator } => {
            let width = input.width();
            let own = |e: &Expr| e.columns().into_iter().all(|c| c < width);
            let (below, above) = split(conditions, own);
            let input = Box::new(push(*input, below));
            filter(whole(Operator::Generate { input, generator }), above)
        }
        Operator::Sort { input, keys } => {
            let input = Box::new(push(*input, conditions));
            whole(Operator::Sort { input, keys })
        }
        Operator::Union(inputs) => {
            let inputs = inputs.into_iter().map(|i| push(i, conditions.clone()));
            whole(Operator::Union(inputs.collect()))
        }
        Operator::Expand { input, projections } => {
            let input = Box::new(push(*input, Vec::new()));
            filter(whole(Operator::Expand { input, projections }), conditions)
        }
        Operator::Limit {
            input,
            offset,
            limit,
        } => {
            let input = Box::new(push(*input, Vec::new()));
            let operator = Operator::Limit {
                input,
                offset,
                limit,
            };
            filter(whole(operator), conditions)
        }
        Operator::Single(input) => {
            let input = Box::new(push(*input, Vec::new()));
            filter(whole(Operator::Single(input)), conditions)
        }
        leaf @ (Operator::Values(_) | Operator::Range { .. }) => filter(whole(leaf), conditions),
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

fn split(conditions: Vec<Expr>, goes: impl Fn(&Expr) -> bool) -> (Vec<Expr>, Vec<Expr>) {
    conditions.into_iter().partition(|e| goes(e))
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
