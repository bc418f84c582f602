//! `analyze`: what a definition reads and gives, and whether its sources are fit for it, before anything is computed.
//!
//! Promises: writes nothing but the exported schema; what it finds wrong fails the job after everything was looked at.

mod sources;

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, StructBuilder};
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::DataType as ArrowType;
use unskewed_planner::definition::{Definition, GroupBy, Join, MetaData};
use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::logical::FeatureJoin;
use unskewed_planner::lower::Analysis;
use unskewed_planner::naming::{PARTITION_COLUMN, TableSuffix, output_table};
use unskewed_planner::resolve::{resolve_features, resolve_join};
use unskewed_planner::schema::{DataType, Field, Schema};
use unskewed_planner::time::{Partition, PartitionRange};
use unskewed_planner::validate::join_availability;

use super::catalog::WarehouseCatalog;
use super::error::{Error, Result};
use super::rows::replace_partitions;
use super::tables::{self, Written};
use super::{Context, Job, Outcome};
use crate::error::EngineError;
use crate::findings::{Content, Findings, Table};

/// The days that are looked at unless others are asked for.
const DAYS_BEFORE_END: i32 = 3;

/// Runs the job.
pub(super) fn run(job: &Job, context: &Context<'_>) -> Result<Outcome> {
    match &job.definition {
        Definition::Join(join) => of_join(job, join, context),
        Definition::GroupBy(group_by) => of_group_by(job, group_by, context),
        Definition::StagingQuery(_) => Err(Error::WrongDefinition {
            job: job.kind.name(),
            wanted: "join or group-by",
            found: "staging query",
        }),
    }
}

/// Keys and values of a definition's output.
pub(super) struct OutputSchema {
    pub(super) keys: Vec<Field>,
    pub(super) values: Vec<Field>,
}

impl OutputSchema {
    /// What a join gives beside the columns of its left.
    pub(super) fn of_join(join: &Join, feature: &FeatureJoin) -> Self {
        let left = &feature.left.schema;
        let keys = feature.left_keys();
        let derived = |name: &str| join.derivations().iter().any(|d| d.name == name);
        let on_left = |name: &str| left.fields.iter().any(|field| field.name == name);
        let output = feature.output_schema().fields.into_iter();
        let is_value = |field: &Field| {
            field.name != PARTITION_COLUMN && (!on_left(&field.name) || derived(&field.name))
        };
        Self {
            keys: keys
                .into_iter()
                .map(|index| left.fields[index].clone())
                .collect(),
            values: output.filter(is_value).collect(),
        }
    }
}

fn of_join(job: &Job, join: &Join, context: &Context<'_>) -> Result<Outcome> {
    let catalog = WarehouseCatalog::new(context.warehouse);
    let resolved = catalog.checked(resolve_join(join, &catalog))?;
    let feature = resolved.value;
    let mut findings = Findings::new(format!("analysis of join {}", feature.name));
    add_output_table(&mut findings, &join.meta_data);
    let schema = OutputSchema::of_join(join, &feature);
    add_fields(
        &mut findings,
        ("left_schema", "left side"),
        &feature.left.schema.fields,
    );
    let features: Vec<Field> = feature
        .parts
        .iter()
        .flat_map(|part| part.features.iter().map(|(_, field)| field.clone()))
        .collect();
    add_fields(&mut findings, ("right_schema", "right side"), &features);
    add_fields(&mut findings, ("key_schema", "keys"), &schema.keys);
    add_fields(&mut findings, ("output_schema", "output"), &schema.values);
    let days = days(job);
    let mut analyses = vec![analysis_of_left(job, &feature, days)];
    analyses.extend(feature.parts.iter().map(|part| {
        let group = &part.group;
        analysis(
            job,
            (&part.full_prefix, &group.sources),
            (&group.rendered, &group.keys),
            days,
        )
    }));
    let mut outcome = sources::look(&analyses, job, &mut findings, context)?;
    let mut warnings = resolved.warnings;
    warnings.extend(join_availability(
        &feature,
        first_unfilled(&feature, job.options.end, context)?,
    ));
    add_validations(&mut findings, &warnings);
    if job.options.measure.export_schema {
        outcome.partitions_written += export(&schema, &join.meta_data, job, context)?;
    }
    outcome.findings = Some(Box::new(findings));
    Ok(outcome)
}

fn of_group_by(job: &Job, group_by: &GroupBy, context: &Context<'_>) -> Result<Outcome> {
    let catalog = WarehouseCatalog::new(context.warehouse);
    let resolved = catalog.checked(resolve_features(group_by, &catalog))?;
    let group = &resolved.value.group;
    let mut findings = Findings::new(format!("analysis of group-by {}", group.name));
    add_output_table(&mut findings, &group_by.meta_data);
    add_fields(&mut findings, ("key_schema", "keys"), &group.keys);
    add_fields(
        &mut findings,
        ("output_schema", "output"),
        &resolved.value.values,
    );
    let label = &group.clean_name;
    let look = analysis(
        job,
        (label, &group.sources),
        (&group.rendered, &group.keys),
        days(job),
    );
    let mut outcome = sources::look(&[look], job, &mut findings, context)?;
    add_validations(&mut findings, &resolved.warnings);
    if job.options.measure.export_schema {
        let schema = OutputSchema {
            keys: group.keys.clone(),
            values: resolved.value.values.clone(),
        };
        outcome.partitions_written += export(&schema, &group_by.meta_data, job, context)?;
    }
    outcome.findings = Some(Box::new(findings));
    Ok(outcome)
}

fn days(job: &Job) -> PartitionRange {
    let end = job.options.end;
    let start = job
        .options
        .measure
        .start
        .unwrap_or(end.plus_days(-DAYS_BEFORE_END));
    PartitionRange {
        start: start.min(end),
        end,
    }
}

fn analysis<'a>(
    job: &Job,
    (label, sources): (&'a str, &'a [unskewed_planner::logical::RowSource]),
    (schema, keys): (&'a Schema, &[Field]),
    days: PartitionRange,
) -> Analysis<'a> {
    let position = |name: &str| schema.fields.iter().position(|field| field.name == name);
    let time = position(unskewed_planner::naming::TIME_COLUMN);
    Analysis {
        label,
        sources,
        schema,
        keys: keys.iter().filter_map(|key| position(&key.name)).collect(),
        time: time.filter(|time| schema.fields[*time].data_type == DataType::Long),
        days,
        frequent: job.options.measure.frequent,
        sample: job.options.measure.sample,
    }
}

fn analysis_of_left<'a>(job: &Job, feature: &'a FeatureJoin, days: PartitionRange) -> Analysis<'a> {
    let left = &feature.left;
    let sources = std::slice::from_ref(&left.rows);
    Analysis {
        keys: feature.left_keys(),
        time: left.time,
        ..analysis(job, ("left", sources), (&left.schema, &[]), days)
    }
}

/// The first day that a backfill would compute.
fn first_unfilled(
    feature: &FeatureJoin,
    end: Partition,
    context: &Context<'_>,
) -> Result<Partition> {
    let rows = &feature.left.rows;
    let existing = tables::days(&context.warehouse.table(&feature.tables.output)?)?;
    let first = rows
        .allowed
        .0
        .or(rows.available.map(|days| days.0))
        .unwrap_or(end);
    let start = existing.first().map_or(first, |day| first.max(*day));
    let range = PartitionRange {
        start: start.min(end),
        end,
    };
    Ok(range
        .iter()
        .find(|day| !existing.contains(day))
        .unwrap_or(end))
}

fn add_output_table(findings: &mut Findings, meta_data: &MetaData) {
    let mut table = Table::new(["table"]);
    if let Some(name) = output_table(meta_data) {
        table.push([name.into()]);
    }
    findings.add("output_table", "output table", Content::Table(table));
}

fn add_fields(findings: &mut Findings, (name, title): (&str, &str), fields: &[Field]) {
    let mut table = Table::new(["name", "type"]);
    for field in fields {
        table.push([
            field.name.as_str().into(),
            field.data_type.to_string().into(),
        ]);
    }
    findings.add(name, format!("schema: {title}"), Content::Table(table));
}

fn add_validations(findings: &mut Findings, warnings: &[Diagnostic]) {
    let mut table = Table::new(["level", "finding"]);
    for problem in &findings.problems {
        table.push(["error".into(), problem.as_str().into()]);
    }
    for warning in warnings {
        table.push(["warning".into(), warning.to_string().into()]);
    }
    if table.rows.is_empty() {
        table.push(["ok".into(), "nothing stands against a backfill".into()]);
    }
    findings.add("validations", "validations", Content::Table(table));
}

/// Writes the schema's table; how many partitions there were.
fn export(
    schema: &OutputSchema,
    meta_data: &MetaData,
    job: &Job,
    context: &Context<'_>,
) -> Result<u64> {
    let name = super::tables::output(meta_data)? + TableSuffix::Schema.text();
    let field = Field::new("name", DataType::String);
    let entry = DataType::Struct(vec![field, Field::new("data_type", DataType::String)]);
    let columns = Schema::new(vec![
        Field::new("key_schema", DataType::array(entry.clone())),
        Field::new("value_schema", DataType::array(entry)),
        Field::new(PARTITION_COLUMN, DataType::String),
    ]);
    let day: ArrayRef = Arc::new(StringArray::from(vec![job.options.end.to_string()]));
    let lists = [&schema.keys, &schema.values].map(|fields| schema_list(fields, &columns));
    let [keys, values] = lists;
    let batch = RecordBatch::try_new(Arc::new(columns.to_arrow()), vec![keys, values, day]);
    let batch = batch.map_err(EngineError::Arrow)?;
    let _lock = tables::lock(context.warehouse, std::slice::from_ref(&name))?;
    let table = context.warehouse.table(&name)?;
    let written = replace_partitions(&table, &batch, &[PARTITION_COLUMN])?;
    let about = Written {
        kind: "schema",
        meta_data,
        hashes: None,
        more: vec![],
    };
    tables::describe(&table, &columns, &about)?;
    Ok(written)
}

/// One list of names and types.
fn schema_list(fields: &[Field], columns: &Schema) -> ArrayRef {
    let arrow = columns.fields[0].data_type.to_arrow();
    let ArrowType::List(item) = &arrow else {
        unreachable!("the column was declared as a list");
    };
    let ArrowType::Struct(inner) = item.data_type() else {
        unreachable!("its elements were declared as structs");
    };
    let texts = || Box::new(StringBuilder::new());
    let entry = StructBuilder::new(inner.clone(), vec![texts(), texts()]);
    let mut list = ListBuilder::new(entry).with_field(Arc::clone(item));
    for field in fields {
        let texts = [field.name.clone(), field.data_type.to_string()];
        for (index, text) in texts.into_iter().enumerate() {
            let builder = list.values().field_builder::<StringBuilder>(index);
            builder.expect("both fields are texts").append_value(text);
        }
        list.values().append(true);
    }
    list.append(true);
    Arc::new(list.finish())
}
