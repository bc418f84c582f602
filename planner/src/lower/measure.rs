//! Metrics of rows by bucket: a projection, an arrangement by the bucket, and one snapshot of it.
//!
//! Every row gets the same time, so that one snapshot sees all of them: buckets are keys here, and time is none.

use crate::aggregation::AggregatePart;
use crate::expr::{Expr, Literal};
use crate::metrics::Metric;
use crate::physical::{
    AnswerRule, Arrange, DataflowPlan, EvaluatorPlan, NodeId, Operator, Project, Requirement,
    Snapshots,
};
use crate::schema::{DataType, Field, Schema};
use crate::time::{Partition, PartitionRange};

use super::left::columns_only;

/// What is measured.
pub(super) struct Measure<'a> {
    /// What it is for.
    pub(super) label: &'a str,
    /// The rows.
    pub(super) rows: NodeId,
    /// Conditions that rows must meet.
    pub(super) filters: Vec<Expr>,
    /// The bucket of a row, over the rows' columns; rows without one are bad.
    pub(super) bucket: Vec<(Field, Expr)>,
    /// What is measured of the rows of a bucket.
    pub(super) metrics: &'a [Metric],
    /// Whether finished values are given, not states that can be merged.
    pub(super) finished: bool,
}

/// Adds the nodes; the last one has the bucket's columns, then a value for each metric.
pub(super) fn emit(measure: &Measure<'_>, plan: &mut DataflowPlan) -> NodeId {
    let day = Partition::of_millis(0);
    // A snapshot of rows sees those of just its time, a day's states those of the day before.
    let time = match measure.finished {
        true => day.end_millis(),
        false => day.end_millis() - 1,
    };
    let time = Expr::literal(Literal::Integer(time), DataType::Long);
    let (mut fields, mut columns): (Vec<Field>, Vec<Expr>) = measure.bucket.iter().cloned().unzip();
    if fields.is_empty() {
        fields.push(Field::new("all", DataType::Boolean));
        columns.push(Expr::literal(Literal::Boolean(true), DataType::Boolean));
    }
    let keys: Vec<usize> = (0..fields.len()).collect();
    let named = |(index, metric): (usize, &Metric)| AggregatePart {
        input: format!("m{index}"),
        ..metric.part.clone()
    };
    let parts: Vec<AggregatePart> = measure.metrics.iter().enumerate().map(named).collect();
    for (part, metric) in parts.iter().zip(measure.metrics) {
        fields.push(Field::new(&part.input, metric.value.data_type.clone()));
        columns.push(metric.value.clone());
    }
    let time_column = fields.len();
    fields.push(Field::new("measured_at", DataType::Long));
    columns.push(time);
    let requirements = measure.bucket.iter().enumerate();
    let project = Project {
        input: measure.rows,
        filters: measure.filters.clone(),
        generator: None,
        columns,
        output_filters: vec![],
        requirements: requirements
            .map(|(index, _)| Requirement::CountNull(index))
            .collect(),
    };
    let schema = Schema::new(fields);
    let payload: Vec<usize> = (0..time_column).collect();
    let kept = Schema::new(schema.fields[..time_column].to_vec());
    let input = plan.add(measure.label, schema, Operator::Project(project));
    let arrange = Arrange {
        input,
        keys: keys.clone(),
        time: time_column,
        payload,
    };
    let right = plan.add(measure.label, kept.clone(), Operator::Arrange(arrange));
    snapshot(measure, (right, &kept.fields[..keys.len()]), parts, plan)
}

/// The one snapshot, without the day that it is of.
fn snapshot(
    measure: &Measure<'_>,
    (right, keys): (NodeId, &[Field]),
    parts: Vec<AggregatePart>,
    plan: &mut DataflowPlan,
) -> NodeId {
    let day = Partition::of_millis(0);
    let values = |part: &AggregatePart| {
        let data_type = if measure.finished {
            &part.output_type
        } else {
            &part.state_type
        };
        Field::new(&part.output_name, data_type.clone())
    };
    let mut fields = keys.to_vec();
    fields.push(Field::new("snapshot_day", DataType::String));
    fields.push(Field::new("snapshot_end", DataType::Long));
    fields.extend(parts.iter().map(values));
    let schema = Schema::new(fields);
    let evaluator = match measure.finished {
        true => EvaluatorPlan::SnapshotRows { parts, time: None },
        false => EvaluatorPlan::DayStates { parts },
    };
    let snapshots = Snapshots {
        right,
        days: PartitionRange {
            start: day,
            end: day,
        },
        evaluator,
        keys: (0..keys.len()).collect(),
        answer: AnswerRule::AnyRow,
    };
    let node = plan.add(
        measure.label,
        schema.clone(),
        Operator::Snapshots(snapshots),
    );
    let is_bucket = |index: &usize| *index < measure.bucket.len();
    let is_value = |index: &usize| *index >= keys.len() + 2;
    let kept: Vec<usize> = (0..schema.fields.len())
        .filter(|index| is_bucket(index) || is_value(index))
        .collect();
    let field = |index: &usize| schema.fields[*index].clone();
    let column = |index: &usize| Expr::column(*index, schema.fields[*index].data_type.clone());
    let project = columns_only(node, kept.iter().map(column).collect());
    let schema = Schema::new(kept.iter().map(field).collect());
    plan.add(measure.label, schema, Operator::Project(project))
}
