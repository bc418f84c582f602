//! Training rows beside their labels: every version of them, and the latest of each day.

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::expr::{self, Expr};
use crate::logical::LabelTables;
use crate::naming::{LABEL_PARTITION_COLUMN, PARTITION_COLUMN};
use crate::physical::{
    Assemble, DataflowPlan, DayFilter, Matches, NodeId, Operator, OutputTable, Project, Queries,
    QueryTime, Sink,
};
use crate::schema::{DataType, Field, Schema};
use crate::time::{Partition, PartitionRange};

use super::left::{all_columns, columns_only};
use super::look_up::{LookedUp, answers};
use super::right::scan;
use super::{finished, group};

/// What the names of label columns begin with.
const LABEL_PREFIX: &str = "label";

/// Training rows of some days and the labels there are.
#[derive(Clone, Debug)]
pub struct LabeledRun<'a> {
    /// The tables.
    pub tables: &'a LabelTables,
    /// The columns that tell training rows apart, besides the day.
    pub identifier: &'a [String],
    /// The columns of the training table.
    pub output: &'a Schema,
    /// The columns of the table of labels.
    pub labels: &'a Schema,
    /// The days.
    pub days: PartitionRange,
    /// The latest label day of each day that has labels.
    pub latest: &'a BTreeMap<Partition, Partition>,
}

/// The plan that writes both tables of labelled rows.
pub fn labeled(run: &LabeledRun<'_>) -> Result<DataflowPlan, Vec<Diagnostic>> {
    check_names(run)?;
    let mut plan = DataflowPlan::default();
    let days = Some(DayFilter {
        column: PARTITION_COLUMN.into(),
        range: Some(run.days),
    });
    let left = scan(&mut plan, &run.tables.output, run.output, &days);
    let label = format!("rows of {}", run.tables.output);
    let rows = Operator::Project(columns_only(left, all_columns(run.output)));
    let left = plan.add(label, run.output.clone(), rows);
    let found = emit_labels(run, &days, left, &mut plan);
    let (schema, columns) = columns(run, found, &plan);
    let assemble = Assemble {
        left,
        parts: vec![found],
        columns,
    };
    let label = format!("labelled rows of {}", run.tables.output);
    let rows = plan.add(label.clone(), schema.clone(), Operator::Assemble(assemble));
    emit_sink(run, &run.tables.labeled, rows, &mut plan);
    let mut latest = columns_only(rows, all_columns(&schema));
    latest.filters.extend(is_latest(run, &schema));
    let rows = plan.add(label, schema, Operator::Project(latest));
    emit_sink(run, &run.tables.labeled_latest, rows, &mut plan);
    Ok(finished(plan))
}

/// Whether a column tells rows apart, the day among them.
fn identifies(run: &LabeledRun<'_>, name: &str) -> bool {
    name == PARTITION_COLUMN || run.identifier.iter().any(|key| key == name)
}

/// The label columns under their names beside training rows.
fn label_fields(run: &LabeledRun<'_>) -> Vec<(usize, Field)> {
    let fields = run.labels.fields.iter().enumerate();
    let own = fields.filter(|(_, field)| !identifies(run, &field.name));
    own.map(|(at, field)| {
        let name = match field.name.strip_prefix(LABEL_PREFIX) {
            Some(_) => field.name.clone(),
            None => format!("{LABEL_PREFIX}_{}", field.name),
        };
        (at, Field::new(name, field.data_type.clone()))
    })
    .collect()
}

fn check_names(run: &LabeledRun<'_>) -> Result<(), Vec<Diagnostic>> {
    let missing = run
        .identifier
        .iter()
        .filter(|name| run.output.fields.iter().all(|f| f.name != **name));
    let mut problems: Vec<Diagnostic> = missing
        .map(|name| {
            let message =
                format!("the training table has no column {name:?}, which labels are joined by");
            Diagnostic::error("derivations", message)
                .hint("keep the keys of labels, or state row_ids that are kept")
        })
        .collect();
    for (_, field) in label_fields(run) {
        if run
            .output
            .fields
            .iter()
            .any(|other| other.name == field.name)
        {
            let message = format!(
                "label column {:?} is also a column of the training table",
                field.name
            );
            problems.push(
                Diagnostic::error("labelPart.labels", message).hint("give the label a prefix"),
            );
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// All versions of the labels of each training row.
fn emit_labels(
    run: &LabeledRun<'_>,
    days: &Option<DayFilter>,
    left: NodeId,
    plan: &mut DataflowPlan,
) -> NodeId {
    let rows = scan(plan, &run.tables.labels, run.labels, days);
    let column = |schema: &Schema, name: &str| {
        let found = schema.fields.iter().position(|field| field.name == name);
        found.expect("identifiers and days are columns of both tables")
    };
    let of_label = |at: usize| {
        let field = &run.labels.fields[at];
        (field.clone(), Expr::column(at, field.data_type.clone()))
    };
    let label = format!("labels {}", run.tables.labels);
    let values = label_fields(run).into_iter();
    let values = values.map(|(at, field)| (field, of_label(at).1));
    let looked_up = LookedUp {
        label: label.clone(),
        keys: run
            .identifier
            .iter()
            .map(|name| of_label(column(run.labels, name)))
            .collect(),
        time: group::end_of_day_column(column(run.labels, PARTITION_COLUMN)),
        values: values.collect(),
    };
    let project = |columns, requirements, _: &mut DataflowPlan| Project {
        requirements,
        ..columns_only(rows, columns)
    };
    let right = looked_up.arrange(project, plan);
    let queries = Queries {
        left,
        keys: run
            .identifier
            .iter()
            .map(|name| column(run.output, name))
            .collect(),
        time: QueryTime::EndOfDay(column(run.output, PARTITION_COLUMN)),
        filters: Vec::new(),
    };
    let queries = plan.add(label.clone(), Schema::default(), Operator::Queries(queries));
    answers(&label, right, queries, Matches::All, plan)
}

/// Identifiers and the day, the other columns of the training table, then labels.
fn columns(run: &LabeledRun<'_>, labels: NodeId, plan: &DataflowPlan) -> (Schema, Vec<Expr>) {
    let output = &run.output.fields;
    let mut order: Vec<usize> = (0..output.len()).collect();
    order.sort_by_key(|at| !identifies(run, &output[*at].name));
    let own = order.iter().map(|at| {
        (
            output[*at].clone(),
            Expr::column(*at, output[*at].data_type.clone()),
        )
    });
    let labels = plan.node(labels).schema.fields.iter().enumerate();
    let labels = labels.map(|(at, field)| {
        (
            field.clone(),
            Expr::column(output.len() + at, field.data_type.clone()),
        )
    });
    let (fields, columns) = own.chain(labels).unzip();
    (Schema::new(fields), columns)
}

/// Rows of the latest label of their day; all rows of days without labels. `None` where no day has any.
fn is_latest(run: &LabeledRun<'_>, schema: &Schema) -> Option<Expr> {
    let own = run
        .latest
        .iter()
        .filter(|(day, _)| run.days.contains(**day));
    let cases: Vec<String> = own
        .map(|(day, label)| {
            format!("WHEN {PARTITION_COLUMN} = '{day}' THEN {LABEL_PARTITION_COLUMN} = '{label}'")
        })
        .collect();
    if cases.is_empty() {
        return None;
    }
    let text = format!("CASE {} ELSE true END", cases.join(" "));
    let bound = expr::parse(&text).and_then(|ast| expr::bind(&ast, schema));
    let bound = bound.expect("days are columns of the labelled rows");
    Some(bound.cast(&DataType::Boolean))
}

fn emit_sink(run: &LabeledRun<'_>, table: &str, input: NodeId, plan: &mut DataflowPlan) {
    let schema = plan.node(input).schema.clone();
    let position = |name: &str| schema.fields.iter().position(|field| field.name == name);
    let by = run
        .identifier
        .iter()
        .map(String::as_str)
        .chain([LABEL_PARTITION_COLUMN]);
    let sink = Sink {
        under: Vec::new(),
        input,
        table: OutputTable {
            name: table.into(),
            kind: "labeled",
            expands: true,
        },
        distinct: Vec::new(),
        sort: by.filter_map(position).collect(),
        partition: position(PARTITION_COLUMN),
        days: Some(run.days),
    };
    plan.add(format!("table {table}"), schema, Operator::Sink(sink));
}
