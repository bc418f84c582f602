//! Bootstrapped values at the left rows they belong to: one look-up a source, by its keys and the row's day.
//!
//! Of several rows with the same keys and day the first by source position counts, so an answer does not depend on
//! the order in which rows come.

use crate::expr::{Expr, Literal};
use crate::logical::{BootstrapMark, BootstrapSource, FeatureJoin, RowSource};
use crate::physical::{
    Assemble, DataflowPlan, DayFilter, Matches, NodeId, Operator, Project, Queries, QueryTime,
};
use crate::schema::{DataType, Field, Schema};

use super::group;
use super::look_up::{LookedUp, answers};
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
    let mark = match &source.mark {
        BootstrapMark::Part(hash) => Expr::literal(Literal::String(hash.clone()), DataType::String),
        BootstrapMark::Column(index) => rows.columns[*index].1.clone(),
    };
    let mark = (Field::new("bootstrap_hash", DataType::String), mark);
    let looked_up = LookedUp {
        label: label(source),
        keys: source.keys.iter().map(|(_, key)| rendered(key)).collect(),
        time: group::end_of_day(rows),
        values: source.values.iter().map(rendered).chain([mark]).collect(),
    };
    let project = |columns, requirements, plan: &mut DataflowPlan| Project {
        input: scan(plan, &rows.table.table, &rows.table_schema, days),
        filters: rows.filters.clone(),
        generator: rows.generator.clone(),
        columns,
        output_filters: Vec::new(),
        requirements,
    };
    looked_up.arrange(project, plan)
}

fn label(source: &BootstrapSource) -> String {
    format!("bootstrap {}", source.rows.table.table)
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
    let label = label(source);
    let queries = plan.add(label.clone(), Schema::default(), Operator::Queries(queries));
    answers(&label, right, queries, Matches::First, plan)
}
