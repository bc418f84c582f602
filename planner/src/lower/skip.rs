//! Conditions that let a scan skip whole row groups: what every reader of the scan asks of a plain column.

use crate::expr::{Expr, ExprKind, Literal};
use crate::physical::{ColumnPredicate, Comparison, DataflowPlan, NodeId, Operator};
use crate::schema::DataType;

/// Fills in [`crate::physical::Scan::skip`].
pub(super) fn push_down(plan: &mut DataflowPlan) {
    let scans: Vec<NodeId> = plan
        .nodes
        .iter()
        .filter(|node| matches!(node.operator, Operator::Scan(_)))
        .map(|node| node.id)
        .collect();
    for id in scans {
        let mut skip = common_predicates(plan, id);
        // Days are chosen by the range; their column is in no file.
        skip.retain(|predicate| !is_day(plan, id, predicate.column));
        if let Operator::Scan(scan) = &mut plan.nodes[id.0].operator {
            scan.skip = skip;
        }
    }
}

fn is_day(plan: &DataflowPlan, scan: NodeId, column: usize) -> bool {
    let node = plan.node(scan);
    let Operator::Scan(scan) = &node.operator else {
        return false;
    };
    let days = scan.days.as_ref();
    days.is_some_and(|days| node.schema.fields[column].name == days.column)
}

/// The conditions that all readers share; none if any reader takes all rows.
fn common_predicates(plan: &DataflowPlan, scan: NodeId) -> Vec<ColumnPredicate> {
    let readers = plan
        .nodes
        .iter()
        .filter(|node| node.operator.inputs().contains(&scan));
    let mut common: Option<Vec<ColumnPredicate>> = None;
    for reader in readers {
        let mut own = Vec::new();
        if let Operator::Project(project) = &reader.operator {
            project
                .filters
                .iter()
                .for_each(|filter| conjuncts(filter, &mut own));
        }
        common = Some(match common {
            None => own,
            Some(before) => before.into_iter().filter(|one| own.contains(one)).collect(),
        });
    }
    common.unwrap_or_default()
}

fn conjuncts(filter: &Expr, found: &mut Vec<ColumnPredicate>) {
    let ExprKind::Call {
        function,
        arguments,
    } = &filter.kind
    else {
        return;
    };
    if *function == "and" {
        arguments
            .iter()
            .for_each(|argument| conjuncts(argument, found));
        return;
    }
    let [left, right] = &arguments[..] else {
        return;
    };
    let comparison = |mirrored: bool| {
        Some(match (*function, mirrored) {
            ("=" | "==", _) => Comparison::Equal,
            ("<", false) | (">", true) => Comparison::Less,
            ("<=", false) | (">=", true) => Comparison::LessOrEqual,
            (">", false) | ("<", true) => Comparison::Greater,
            (">=", false) | ("<=", true) => Comparison::GreaterOrEqual,
            _ => return None,
        })
    };
    let (column, constant, mirrored) = match (&left.kind, &right.kind) {
        (ExprKind::Column(index), _) => (*index, right, false),
        (_, ExprKind::Column(index)) => (*index, left, true),
        _ => return,
    };
    let Some(literal) = literal(constant) else {
        return;
    };
    // Floats are left out: NaN is greatest in Spark, and absent from statistics.
    let exact = matches!(
        literal,
        Literal::Integer(_) | Literal::String(_) | Literal::Boolean(_)
    );
    if let (true, Some(comparison)) = (
        exact && left.data_type == right.data_type,
        comparison(mirrored),
    ) {
        found.push(ColumnPredicate {
            column,
            comparison,
            literal: literal.clone(),
        });
    }
}

/// The constant of an expression, also behind a cast between whole numbers that holds it.
fn literal(expr: &Expr) -> Option<Literal> {
    let whole = |data_type: &DataType| {
        matches!(
            data_type,
            DataType::Byte | DataType::Short | DataType::Int | DataType::Long
        )
    };
    match &expr.kind {
        ExprKind::Literal(literal) => Some(literal.clone()),
        ExprKind::Cast(inner) if whole(&inner.data_type) && expr.data_type == DataType::Long => {
            literal(inner)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{bind, parse};
    use crate::schema::{Field, Schema};

    /// What of a condition can skip row groups: comparisons of a column with a constant of its own type.
    #[test]
    fn conditions_that_skip() {
        let schema = Schema::new(vec![
            Field::new("a", DataType::Long),
            Field::new("s", DataType::String),
            Field::new("d", DataType::Double),
        ]);
        let skips = |text: &str| {
            let mut found = Vec::new();
            conjuncts(&bind(&parse(text).unwrap(), &schema).unwrap(), &mut found);
            found
                .iter()
                .map(|p| (p.column, p.comparison, p.literal.clone()))
                .collect::<Vec<_>>()
        };
        let five = || Literal::Integer(5);
        assert_eq!(skips("a = 5"), [(0, Comparison::Equal, five())]);
        assert_eq!(
            skips("5 < a AND s >= 'x' AND a + 1 > 3"),
            [
                (0, Comparison::Greater, five()),
                (1, Comparison::GreaterOrEqual, Literal::String("x".into()))
            ]
        );
        for none in [
            "a = 5 OR s = 'x'",
            "d > 1.0",
            "a <> 5",
            "NOT (a = 5)",
            "s = a",
            "a = d",
        ] {
            assert_eq!(skips(none), [], "{none}");
        }
    }
}
