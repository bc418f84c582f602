//! Labels: left rows of some days with what is known of their keys at the end of the label's day.
//!
//! ```text
//! left ─ project ─┬─ queries at the end of the label's day ─┐
//!                 │   source ─ arrange ─ snapshots ─ arrange ┴─ as_of ─┐   (part table written beside)
//!                 └─────────────────────────────────────────────── assemble ─ sink
//! ```

use crate::diagnostic::Diagnostic;
use crate::expr::Expr;
use crate::logical::{FeatureLabels, FeaturePart, PartMethod, RowSource};
use crate::naming::{LABEL_PARTITION_COLUMN, PARTITION_COLUMN};
use crate::physical::{
    Assemble, DataflowPlan, DayFilter, Facts, Matches, NodeId, Operator, OutputTable, Project,
    Queries, QueryTime, Requirement, Sink,
};
use crate::schema::{DataType, Field, Schema};
use crate::time::{Partition, PartitionRange};

use super::left::{columns_only, on_day, source_days};
use super::look_up::{LookedUp, answers};
use super::right::{RightUse, Rights, scan, union};
use super::{LeftFacts, SMALL_ROWS_MAX, finished, group, remap};

/// One run of labels over a range of left days.
#[derive(Clone, Copy, Debug)]
pub struct LabelRun<'a> {
    /// The labels.
    pub labels: &'a FeatureLabels,
    /// The left days.
    pub days: PartitionRange,
    /// The day at whose end labels are taken.
    pub label_day: Partition,
}

/// The plan that finds facts about the left rows to be labelled.
pub fn label_facts(run: &LabelRun<'_>) -> Result<DataflowPlan, Vec<Diagnostic>> {
    let mut plan = DataflowPlan::default();
    let left = emit_left(run, &mut plan)?;
    let mut keys: Vec<usize> = run
        .labels
        .parts
        .iter()
        .flat_map(|p| p.left_keys.clone())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let facts = Facts {
        number: 0,
        input: left,
        time: None,
        day: run.labels.left.day,
        keys,
        small_rows_max: SMALL_ROWS_MAX,
    };
    let label = format!("facts of {}", run.labels.name);
    plan.add(label, Schema::default(), Operator::Facts(facts));
    Ok(finished(plan))
}

/// The plan that labels left rows and writes the tables of aggregated labels.
pub fn labels(run: &LabelRun<'_>, facts: &LeftFacts) -> Result<DataflowPlan, Vec<Diagnostic>> {
    let mut rights = Rights::default();
    let mut prepared = Vec::new();
    for part in &run.labels.parts {
        prepared.push(prepare(run, part, facts, &mut rights)?);
    }
    let mut plan = DataflowPlan::default();
    let left = emit_left(run, &mut plan)?;
    let found: Vec<NodeId> = run
        .labels
        .parts
        .iter()
        .zip(&prepared)
        .map(|(part, prepared)| emit_part(run, part, prepared, left, &rights, &mut plan))
        .collect();
    emit_output(run, left, &found, &mut plan);
    Ok(finished(plan))
}

/// What a label reads.
enum Prepared {
    Aggregated(RightUse),
    PassedThrough(Vec<(RowSource, Option<DayFilter>)>),
}

fn label_days(run: &LabelRun<'_>) -> PartitionRange {
    PartitionRange {
        start: run.label_day,
        end: run.label_day,
    }
}

fn prepare(
    run: &LabelRun<'_>,
    part: &FeaturePart,
    facts: &LeftFacts,
    rights: &mut Rights,
) -> Result<Prepared, Vec<Diagnostic>> {
    let (days, group) = (label_days(run), &part.group);
    if group.passes_through() {
        let sources = group.sources.iter();
        let sources = sources.map(|source| source_days(source, days, group.max_window));
        return Ok(Prepared::PassedThrough(sources.collect::<Result<_, _>>()?));
    }
    let in_left = |(column, index): (usize, &usize)| Requirement::InLeft {
        column,
        facts: 0,
        left_column: run.labels.left.schema.fields[*index].name.clone(),
    };
    let small = facts.rows <= SMALL_ROWS_MAX;
    let keys = part.left_keys.iter().enumerate().filter(|_| small);
    let shape = group::Shape {
        method: part.method,
        snapshots: days,
        mutations: days,
        key_filters: part.right_filter.iter().cloned().collect(),
        requirements: keys.map(in_left).collect(),
        key_payload: true,
        states: false,
    };
    Ok(Prepared::Aggregated(group::intern(group, &shape, rights)?))
}

fn emit_left(run: &LabelRun<'_>, plan: &mut DataflowPlan) -> Result<NodeId, Vec<Diagnostic>> {
    let left = &run.labels.left;
    let rows = &left.rows;
    let days = rows.partition.partitioned.then(|| DayFilter {
        column: rows.partition.name.clone(),
        range: Some(run.days),
    });
    let rows = on_day(rows, days.as_ref())?;
    let project = Project {
        input: scan(plan, &rows.table.table, &rows.table_schema, &days),
        filters: rows.filters.clone(),
        generator: rows.generator.clone(),
        columns: rows
            .columns
            .iter()
            .map(|(_, value)| value.clone())
            .collect(),
        output_filters: left.skew_filter.iter().cloned().collect(),
        requirements: Vec::new(),
    };
    let label = format!("left of {}", run.labels.name);
    Ok(plan.add(label, left.schema.clone(), Operator::Project(project)))
}

fn emit_part(
    run: &LabelRun<'_>,
    part: &FeaturePart,
    prepared: &Prepared,
    left: NodeId,
    rights: &Rights,
    plan: &mut DataflowPlan,
) -> NodeId {
    let label = format!("label {}", part.full_prefix);
    let right = match prepared {
        Prepared::Aggregated(right) => {
            let arrange = rights.arrange(right, plan);
            let days = label_days(run);
            let rows = group::snapshots(&part.group, part.method, right, arrange, days, plan);
            debug_assert_eq!(part.method, PartMethod::SnapshotEvents);
            // Keys and `ds` lead both, the day's end stands between them and the values.
            let head = part.group.keys.len() + 1;
            let columns =
                table_columns(part, rows, &|at| if at < head { at } else { at + 1 }, plan);
            emit_table(run, part, rows, &columns, plan);
            let time = Expr::column(head, DataType::Long);
            arrange_rows(part, &label, rows, (columns, time), plan)
        }
        Prepared::PassedThrough(sources) => {
            let rows = passed_through(part, sources, plan);
            let columns = table_columns(part, rows, &|at| at, plan);
            let time = Expr::column(part.group.rendered.fields.len(), DataType::Long);
            arrange_rows(part, &label, rows, (columns, time), plan)
        }
    };
    let queries = Queries {
        left,
        keys: part.left_keys.clone(),
        time: QueryTime::Fixed(run.label_day.end_millis()),
        filters: part.left_filter.iter().cloned().collect(),
    };
    let queries = plan.add(label.clone(), Schema::default(), Operator::Queries(queries));
    answers(&label, right, queries, Matches::First, plan)
}

/// The columns of the part's table over rows that hold its base columns at these positions.
fn table_columns(
    part: &FeaturePart,
    rows: NodeId,
    position: &dyn Fn(usize) -> usize,
    plan: &DataflowPlan,
) -> Vec<Expr> {
    let schema = &plan.node(rows).schema;
    let base = |index: usize| {
        let at = position(index);
        Expr::column(at, schema.fields[at].data_type.clone())
    };
    match &part.derived {
        None => (0..part.base.fields.len()).map(base).collect(),
        Some(derived) => {
            let values = derived.iter();
            values
                .map(|(_, value)| remap::replace(value, &base))
                .collect()
        }
    }
}

/// Rows of the part's table columns, arranged by the group-by's keys.
fn arrange_rows(
    part: &FeaturePart,
    label: &str,
    rows: NodeId,
    (columns, time): (Vec<Expr>, Expr),
    plan: &mut DataflowPlan,
) -> NodeId {
    let fields = &part.table_schema.fields;
    let position = |name: &str| fields.iter().position(|field| field.name == name);
    let keys = part.group.keys.iter().map(|key| {
        let at = position(&key.name).expect("resolution checked that keys are kept");
        (key.clone(), columns[at].clone())
    });
    let values = part.features.iter();
    let values = values.map(|(at, field)| (field.clone(), columns[*at].clone()));
    let looked_up = LookedUp {
        label: label.into(),
        keys: keys.collect(),
        time,
        values: values.collect(),
    };
    let project = |columns, requirements, _: &mut DataflowPlan| Project {
        requirements,
        ..columns_only(rows, columns)
    };
    looked_up.arrange(project, plan)
}

/// Rows of the label day's snapshots, with the end of their day.
fn passed_through(
    part: &FeaturePart,
    sources: &[(RowSource, Option<DayFilter>)],
    plan: &mut DataflowPlan,
) -> NodeId {
    let group = &part.group;
    let mut schema = group.rendered.clone();
    schema.fields.push(Field::new("right_time", DataType::Long));
    let keys: Vec<usize> = group
        .keys
        .iter()
        .filter_map(|key| schema.index_of(&key.name))
        .collect();
    let filters = part.right_filter.iter();
    let filters: Vec<Expr> = filters
        .map(|filter| remap::moved(filter, &|key| keys[key]))
        .collect();
    let inputs: Vec<NodeId> = sources
        .iter()
        .map(|(source, days)| {
            let mut columns: Vec<Expr> = source
                .columns
                .iter()
                .map(|(_, value)| value.clone())
                .collect();
            columns.push(group::end_of_day(source));
            let project = Project {
                input: scan(plan, &source.table.table, &source.table_schema, days),
                filters: source.filters.clone(),
                generator: source.generator.clone(),
                columns,
                output_filters: filters.clone(),
                requirements: vec![Requirement::AnyNotNull(keys.clone())],
            };
            let label = format!("source {}", source.table.table);
            plan.add(label, schema.clone(), Operator::Project(project))
        })
        .collect();
    union(plan, inputs, &part.full_prefix)
}

/// The table of an aggregated label: its day is the label's, and no column.
fn emit_table(
    run: &LabelRun<'_>,
    part: &FeaturePart,
    rows: NodeId,
    columns: &[Expr],
    plan: &mut DataflowPlan,
) {
    let schema = part.part_table_schema();
    let kept = part.table_schema.fields.iter().zip(columns);
    let kept = kept.filter(|(field, _)| field.name != PARTITION_COLUMN);
    let columns = kept.map(|(_, value)| value.clone()).collect();
    let label = format!("table {}", part.table);
    let project = Operator::Project(columns_only(rows, columns));
    let input = plan.add(label.clone(), schema.clone(), project);
    let key = |key: &Field| {
        schema
            .fields
            .iter()
            .position(|field| field.name == key.name)
    };
    let sink = Sink {
        under: under(run.label_day),
        input,
        table: OutputTable {
            name: part.table.clone(),
            kind: "join_part",
            expands: false,
        },
        distinct: Vec::new(),
        sort: part.group.keys.iter().filter_map(key).collect(),
        partition: None,
        days: None,
    };
    plan.add(label, schema, Operator::Sink(sink));
}

fn under(label_day: Partition) -> Vec<(String, String)> {
    vec![(LABEL_PARTITION_COLUMN.into(), label_day.to_string())]
}

fn emit_output(run: &LabelRun<'_>, left: NodeId, parts: &[NodeId], plan: &mut DataflowPlan) {
    let labels = run.labels;
    let left_schema = plan.node(left).schema.clone();
    let on_left =
        |index: &usize| Expr::column(*index, left_schema.fields[*index].data_type.clone());
    let mut columns: Vec<Expr> = labels.identifier.iter().map(on_left).collect();
    let mut offset = left_schema.fields.len();
    for node in parts {
        let fields = &plan.node(*node).schema.fields;
        let of_part = fields.iter().enumerate();
        columns
            .extend(of_part.map(|(at, field)| Expr::column(offset + at, field.data_type.clone())));
        offset += fields.len();
    }
    columns.push(on_left(&labels.left.day));
    let schema = labels.label_schema();
    let assemble = Assemble {
        left,
        parts: parts.to_vec(),
        columns,
    };
    let label = format!("labels of {}", labels.name);
    let input = plan.add(label, schema.clone(), Operator::Assemble(assemble));
    let day = schema.fields.len() - 1;
    let identifier: Vec<usize> = (0..labels.identifier.len()).collect();
    let sink = Sink {
        under: under(run.label_day),
        input,
        table: OutputTable {
            name: labels.tables.labels.clone(),
            kind: "label",
            expands: true,
        },
        distinct: identifier.iter().copied().chain([day]).collect(),
        sort: identifier,
        partition: Some(day),
        days: Some(run.days),
    };
    let label = format!("table {}", labels.tables.labels);
    plan.add(label, schema, Operator::Sink(sink));
}
