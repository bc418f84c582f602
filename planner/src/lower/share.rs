//! Scans of one table over overlapping days become one scan of all of them.
//!
//! Which days a part reads is meaning, so each reader of a wider scan keeps its own days by a condition. Partitions
//! read twice would be decoded twice; the condition costs a comparison.

use crate::expr::{Expr, Literal};
use crate::physical::{DataflowPlan, DayFilter, NodeId, Operator};
use crate::schema::DataType;
use crate::time::{Partition, PartitionRange};

/// Merges scans; those left without readers go when the plan is pruned.
pub(super) fn merge_scans(plan: &mut DataflowPlan) {
    let mut scans: Vec<(NodeId, PartitionRange)> = plan
        .nodes
        .iter()
        .filter_map(|node| match &node.operator {
            Operator::Scan(scan) => {
                let range = scan.days.as_ref()?.range?;
                only_projections_read(plan, node.id).then_some((node.id, range))
            }
            _ => None,
        })
        .collect();
    scans.sort_by_key(|(id, range)| (range.start, range.end, *id));
    while let Some((first, range)) = scans.first().copied() {
        let mut whole = range;
        let mut cluster = vec![(first, range)];
        for (id, other) in &scans[1..] {
            if same_table(plan, first, *id) && other.start <= whole.end {
                whole.end = whole.end.max(other.end);
                cluster.push((*id, *other));
            }
        }
        scans.retain(|(id, _)| cluster.iter().all(|(member, _)| member != id));
        if cluster.len() > 1 {
            merge(plan, &cluster, whole);
        }
    }
}

fn only_projections_read(plan: &DataflowPlan, scan: NodeId) -> bool {
    let mut readers = plan
        .nodes
        .iter()
        .filter(|node| node.operator.inputs().contains(&scan));
    readers.all(|node| matches!(node.operator, Operator::Project(_)))
}

fn same_table(plan: &DataflowPlan, left: NodeId, right: NodeId) -> bool {
    let (left, right) = (plan.node(left), plan.node(right));
    match (&left.operator, &right.operator) {
        (Operator::Scan(a), Operator::Scan(b)) => {
            let column = |days: &Option<DayFilter>| days.as_ref().map(|days| days.column.clone());
            a.table == b.table && column(&a.days) == column(&b.days) && left.schema == right.schema
        }
        _ => false,
    }
}

fn merge(plan: &mut DataflowPlan, cluster: &[(NodeId, PartitionRange)], whole: PartitionRange) {
    let kept = cluster
        .iter()
        .map(|(id, _)| *id)
        .min()
        .expect("a cluster has members");
    let Operator::Scan(scan) = &mut plan.nodes[kept.0].operator else {
        return;
    };
    let Some(days) = &mut scan.days else { return };
    days.range = Some(whole);
    let Some(column) = days_column(plan, kept) else {
        return;
    };
    for (id, range) in cluster {
        let own_days = within(column, *range, whole);
        for node in &mut plan.nodes {
            let Operator::Project(project) = &mut node.operator else {
                continue;
            };
            if project.input == *id {
                project.input = kept;
                project.filters.extend(own_days.iter().cloned());
            }
        }
    }
}

/// The position of the partition column in the scan.
fn days_column(plan: &DataflowPlan, scan: NodeId) -> Option<usize> {
    let node = plan.node(scan);
    let Operator::Scan(scan) = &node.operator else {
        return None;
    };
    let column = node.schema.index_of(&scan.days.as_ref()?.column)?;
    (node.schema.fields[column].data_type == DataType::String).then_some(column)
}

/// Conditions for the days of a range among those of a whole.
pub(super) fn within(column: usize, range: PartitionRange, whole: PartitionRange) -> Vec<Expr> {
    let compared = |function: &'static str, day: Partition| {
        let column = Expr::column(column, DataType::String);
        let day = Expr::literal(Literal::String(day.to_string()), DataType::String);
        Expr::call(function, vec![column, day], DataType::Boolean)
    };
    let mut conditions = Vec::new();
    if range.start > whole.start {
        conditions.push(compared(">=", range.start));
    }
    if range.end < whole.end {
        conditions.push(compared("<=", range.end));
    }
    conditions
}
