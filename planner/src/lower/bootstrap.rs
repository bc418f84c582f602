//! Bootstrapped values at the left rows they belong to: one look-up a source, by its keys and the row's day.
//!
//! Of several rows with the same keys and day the first by source position counts, so an answer does not depend on
//! the order in which rows come.

use crate::expr::{Expr, Literal};
use crate::logical::{BootstrapMark, BootstrapSource, FeatureJoin, RowSource};
use crate::physical::{
    AnswerRule, Arrange, AsOf, Assemble, DataflowPlan, DayFilter, EvaluatorPlan, NodeId, Operator,
    Project, Queries, QueryTime, Requirement,
};
use crate::schema::{DataType, Field, Schema};

use super::group;
use super::right::scan;

/// The rows of the left table: left rows with what was bootstrapped, and padding.
pub(super) fn emit(
    join: &FeatureJoin,
    sources: &[(RowSource, Option<DayFilter>)],
    left: NodeId,
    plan: &mut DataflowPlan,
) -> NodeId {
    let look_ups = join.bootstrap_sources.iter().zip(sources);
    let parts = look_ups
        .map(|(source, (rows, days))| {
            let right = arrange(source, rows, days, plan);
            look_up(join, source, right, left, plan)
        })
        .collect();
    let columns = join.bootstrap.iter().map(|(_, value)| value.clone());
    let assemble = Assemble {
        left,
        parts,
        columns: columns.collect(),
    };
    plan.add(
        format!("left table of {}", join.name),
        join.bootstrap_schema(),
        Operator::Assemble(assemble),
    )
}

/// The source's rows by key and day; kept are its values and the mark.
fn arrange(
    source: &BootstrapSource,
    rows: &RowSource,
    days: &Option<DayFilter>,
    plan: &mut DataflowPlan,
) -> NodeId {
    let rendered = |index: &usize| rows.columns[*index].clone();
    let mut columns: Vec<(Field, Expr)> =
        source.keys.iter().map(|(_, key)| rendered(key)).collect();
    let time = columns.len();
    columns.push((
        Field::new("right_time", DataType::Long),
        group::end_of_day(rows),
    ));
    columns.extend(source.values.iter().map(rendered));
    columns.push((
        Field::new("bootstrap_hash", DataType::String),
        mark(source, rows),
    ));
    let mut requirements = vec![Requirement::CountNull(time)];
    if time > 0 {
        requirements.push(Requirement::AnyNotNull((0..time).collect()));
    }
    let (fields, columns): (Vec<Field>, Vec<Expr>) = columns.into_iter().unzip();
    let schema = Schema::new(fields);
    let project = Project {
        input: scan(plan, &rows.table.table, &rows.table_schema, days),
        filters: rows.filters.clone(),
        generator: rows.generator.clone(),
        columns,
        output_filters: Vec::new(),
        requirements,
    };
    let label = format!("bootstrap {}", rows.table.table);
    let input = plan.add(label.clone(), schema.clone(), Operator::Project(project));
    let payload: Vec<usize> = (time + 1..schema.fields.len()).collect();
    let kept = Schema::new(schema.fields[time + 1..].to_vec());
    let arrange = Arrange {
        input,
        keys: (0..time).collect(),
        time,
        payload,
    };
    plan.add(label, kept, Operator::Arrange(arrange))
}

fn mark(source: &BootstrapSource, rows: &RowSource) -> Expr {
    match &source.mark {
        BootstrapMark::Part(hash) => Expr::literal(Literal::String(hash.clone()), DataType::String),
        BootstrapMark::Column(index) => rows.columns[*index].1.clone(),
    }
}

/// The first matching row of each left row.
fn look_up(
    join: &FeatureJoin,
    source: &BootstrapSource,
    right: NodeId,
    left: NodeId,
    plan: &mut DataflowPlan,
) -> NodeId {
    let queries = Queries {
        left,
        keys: source.keys.iter().map(|(key, _)| *key).collect(),
        time: QueryTime::EndOfDay(join.left.day),
        filters: Vec::new(),
    };
    let label = format!("bootstrap {}", source.rows.table.table);
    let queries = plan.add(label.clone(), Schema::default(), Operator::Queries(queries));
    let schema = plan.node(right).schema.clone();
    let evaluator = EvaluatorPlan::Lookup {
        columns: (0..schema.fields.len()).collect(),
        first_only: true,
    };
    let as_of = AsOf {
        right,
        queries,
        evaluator,
        answer: AnswerRule::AnyRow,
    };
    plan.add(label, schema, Operator::AsOf(as_of))
}
