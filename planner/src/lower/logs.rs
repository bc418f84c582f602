//! Logged requests, a column for each field that any version of the join logged.
//!
//! Each version has a projection of its own over the same scan: it takes the rows logged under its hash, decodes keys and
//! values, and gives nulls for fields that it did not log. Rows that no version can decode are bad rows.

use crate::avro::Record;
use crate::diagnostic::Diagnostic;
use crate::expr::{Expr, ExprKind};
use crate::metrics::over;
use crate::naming::{PARTITION_COLUMN, TIME_COLUMN};
use crate::physical::{
    DataflowPlan, DayFilter, NodeId, Operator, OutputTable, Project, Requirement, Sink,
};
use crate::schema::{DataType, Field, Schema};
use crate::time::PartitionRange;

use super::analysis::text;
use super::left::columns_only;
use super::right::{scan, union};

/// The column of a log, raw or flat, that names the version a row was logged under.
pub const SCHEMA_HASH_COLUMN: &str = "schema_hash";
/// Fields that requests carry are logged among the keys too, under their own names.
const CONTEXTUAL_PREFIX: &str = "ext_contextual";

/// One version of what a join logs.
#[derive(Clone, Debug)]
pub struct LogVersion {
    /// Its hash.
    pub hash: String,
    /// What keys are encoded by.
    pub keys: Record,
    /// What values are encoded by.
    pub values: Record,
}

/// One run of the flattening.
#[derive(Clone, Debug)]
pub struct LogRun<'a> {
    /// The raw log.
    pub table: &'a str,
    /// Its columns.
    pub schema: &'a Schema,
    /// The days flattened.
    pub days: PartitionRange,
    /// The join's name in the log.
    pub path: &'a str,
    /// The versions there are, in order.
    pub versions: &'a [LogVersion],
    /// The table written.
    pub output: &'a str,
}

/// The columns of a raw log.
const RAW: [(&str, DataType); 6] = [
    ("key_base64", DataType::String),
    ("value_base64", DataType::String),
    ("ts_millis", DataType::Long),
    (SCHEMA_HASH_COLUMN, DataType::String),
    ("name", DataType::String),
    (PARTITION_COLUMN, DataType::String),
];

/// All fields of all versions: of keys first, then of values, each where it is first seen. A field that two versions log
/// with different types is a problem that names both.
pub fn log_fields(versions: &[LogVersion]) -> Result<Vec<Field>, Vec<Diagnostic>> {
    let mut fields: Vec<(Field, &str)> = vec![];
    let mut problems = vec![];
    let of_all = |part: fn(&LogVersion) -> &Record| {
        versions.iter().flat_map(move |version| {
            let fields = part(version).clean_schema().fields;
            fields
                .into_iter()
                .map(|field| (field, version.hash.as_str()))
        })
    };
    for (field, hash) in of_all(|version| &version.keys).chain(of_all(|version| &version.values)) {
        match fields.iter().find(|(known, _)| known.name == field.name) {
            None => fields.push((field, hash)),
            Some((known, first)) if known.data_type != field.data_type => {
                let Field { name, data_type } = &field;
                let message = format!(
                    "field {name:?} is {} in version {first} of the log, but {data_type} in version {hash}",
                    known.data_type
                );
                problems.push(Diagnostic::error("", message).hint(
                    "flatten the days of one version first, or log the field under another name",
                ));
            }
            Some(_) => {}
        }
    }
    let fields = fields.into_iter().map(|(field, _)| field);
    let kept = fields.filter(|field| !field.name.starts_with(CONTEXTUAL_PREFIX));
    if problems.is_empty() {
        Ok(kept.collect())
    } else {
        Err(problems)
    }
}

/// What a raw log lacks.
pub fn check_log(table: &str, schema: &Schema) -> Vec<Diagnostic> {
    let check = |(name, data_type): &(&str, DataType)| {
        let found = schema.fields.iter().find(|field| field.name == *name);
        let problem = match found {
            None => format!("log table {table} has no column {name:?}"),
            Some(field) if field.data_type != *data_type => {
                format!(
                    "column {name:?} of log table {table} is {}, not {data_type}",
                    field.data_type
                )
            }
            Some(_) => return None,
        };
        Some(Diagnostic::error("", problem).hint("give the raw log with --log-table"))
    };
    RAW.iter().filter_map(check).collect()
}

/// The plan that flattens logs into their table.
pub fn flat_logs(run: &LogRun<'_>) -> Result<DataflowPlan, Vec<Diagnostic>> {
    let fields = log_fields(run.versions)?;
    let mut plan = DataflowPlan::default();
    let days = DayFilter {
        column: PARTITION_COLUMN.into(),
        range: Some(run.days),
    };
    let rows = scan(&mut plan, run.table, run.schema, &Some(days));
    let mut branches: Vec<NodeId> = run
        .versions
        .iter()
        .map(|version| branch(run, version, rows, &fields, &mut plan))
        .collect();
    branches.push(unknown(run, rows, &fields, &mut plan));
    let input = union(&mut plan, branches, "the log");
    let schema = plan.node(input).schema.clone();
    let position = |name: &str| schema.fields.iter().position(|field| field.name == name);
    let sink = Sink {
        input,
        under: Vec::new(),
        table: OutputTable {
            name: run.output.into(),
            kind: "logged",
            expands: true,
        },
        distinct: vec![],
        sort: position(TIME_COLUMN).into_iter().collect(),
        partition: position(PARTITION_COLUMN),
        days: Some(run.days),
    };
    plan.add(
        format!("table {}", run.output),
        schema,
        Operator::Sink(sink),
    );
    Ok(super::finished(plan))
}

fn column(schema: &Schema, name: &str) -> usize {
    let found = schema.fields.iter().position(|field| field.name == name);
    found.expect("the log was checked to have the column")
}

/// The columns of the flat log.
fn output(fields: &[Field]) -> Schema {
    let mut all = vec![
        Field::new(SCHEMA_HASH_COLUMN, DataType::String),
        Field::new(TIME_COLUMN, DataType::Long),
    ];
    all.extend(fields.iter().cloned());
    all.push(Field::new(PARTITION_COLUMN, DataType::String));
    Schema::new(all)
}

/// This join's rows.
fn is_own(run: &LogRun<'_>) -> Expr {
    let name = Expr::column(column(run.schema, "name"), DataType::String);
    Expr::call("=", vec![name, text(run.path)], DataType::Boolean)
}

/// The rows of one version, decoded; those that cannot be are bad.
fn branch(
    run: &LogRun<'_>,
    version: &LogVersion,
    rows: NodeId,
    fields: &[Field],
    plan: &mut DataflowPlan,
) -> NodeId {
    let raw = |name: &str| {
        let index = column(run.schema, name);
        Expr::column(index, run.schema.fields[index].data_type.clone())
    };
    let decoded = |name: &str, record: &Record| {
        let schema = text(&record.to_text());
        let fields = record.clean_schema().fields;
        Expr::call(
            "logged record",
            vec![raw(name), schema],
            DataType::Struct(fields),
        )
    };
    let (keys, values) = (
        decoded("key_base64", &version.keys),
        decoded("value_base64", &version.values),
    );
    let schema = Schema::new(vec![
        Field::new(SCHEMA_HASH_COLUMN, DataType::String),
        Field::new(TIME_COLUMN, DataType::Long),
        Field::new("key_base64", keys.data_type.clone()),
        Field::new("value_base64", values.data_type.clone()),
        Field::new(PARTITION_COLUMN, DataType::String),
    ]);
    let hash = raw(SCHEMA_HASH_COLUMN);
    let is_version = Expr::call(
        "=",
        vec![hash.clone(), text(&version.hash)],
        DataType::Boolean,
    );
    let project = Project {
        filters: vec![is_own(run), is_version],
        requirements: vec![Requirement::CountNull(2), Requirement::CountNull(3)],
        ..columns_only(
            rows,
            vec![hash, raw("ts_millis"), keys, values, raw(PARTITION_COLUMN)],
        )
    };
    let label = format!("log of version {}", version.hash);
    let input = plan.add(&label, schema.clone(), Operator::Project(project));
    let field = |wanted: &Field| {
        let inside = |at: usize| match &schema.fields[at].data_type {
            DataType::Struct(fields) => fields.iter().position(|f| f.name == wanted.name),
            _ => None,
        };
        let from = |at: usize, index: usize| {
            let input = Box::new(Expr::column(at, schema.fields[at].data_type.clone()));
            Expr::new(wanted.data_type.clone(), ExprKind::Field { input, index })
        };
        match (inside(2), inside(3)) {
            (Some(key), _) => from(2, key),
            (None, Some(value)) => from(3, value),
            (None, None) => Expr::null(wanted.data_type.clone()),
        }
    };
    let plain = |at: usize| Expr::column(at, schema.fields[at].data_type.clone());
    let mut columns = vec![plain(0), plain(1)];
    columns.extend(fields.iter().map(field));
    columns.push(plain(4));
    let project = Operator::Project(columns_only(input, columns));
    plan.add(label, output(fields), project)
}

/// Rows logged under no known version: all of them are bad.
fn unknown(run: &LogRun<'_>, rows: NodeId, fields: &[Field], plan: &mut DataflowPlan) -> NodeId {
    let hash = column(run.schema, SCHEMA_HASH_COLUMN);
    let known: Vec<String> = run
        .versions
        .iter()
        .map(|version| quoted(&version.hash))
        .collect();
    let condition = match known.is_empty() {
        true => "true".into(),
        false => format!("c{hash} IS NULL OR c{hash} NOT IN ({})", known.join(", ")),
    };
    let schema = output(fields);
    let null = |field: &Field| Expr::null(field.data_type.clone());
    let project = Project {
        filters: vec![is_own(run), over(run.schema, &condition)],
        requirements: vec![Requirement::CountNull(0)],
        ..columns_only(rows, schema.fields.iter().map(null).collect())
    };
    plan.add(
        "log of unknown versions",
        schema,
        Operator::Project(project),
    )
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
