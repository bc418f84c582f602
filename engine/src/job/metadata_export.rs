//! `metadata-export`: definitions with what is known of their features, for catalogues.
//!
//! Promises: a definition that cannot be resolved is exported with the reason as `exception`, so that no file is lost;
//! the words are those that readers of the reference's exports look for.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use serde_json::{Map, Value, json};
use unskewed_planner::aggregation::AggregatePart;
use unskewed_planner::definition::{Definition, Dialect, GroupBy, Join, StagingQuery};
use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::logical::FeatureJoin;
use unskewed_planner::naming::PARTITION_COLUMN;
use unskewed_planner::resolve::{GroupFeatures, resolve_features, resolve_join};
use unskewed_planner::schema::{DataType, Field, Schema};
use unskewed_planner::time::{Partition, Window};

use super::analyze::OutputSchema;
use super::catalog::WarehouseCatalog;
use super::error::{Error, Result};
use super::rows::replace_partitions;
use super::{Context, tables};
use crate::error::EngineError;

/// The kinds of what is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity {
    /// A group-by with a file of its own.
    GroupBy,
    /// A group-by that only stands inside joins.
    EmbeddedGroupBy,
    /// A join.
    Join,
    /// A staging query.
    StagingQuery,
}

impl Entity {
    /// Its value in the column `entityType`.
    pub fn name(self) -> &'static str {
        match self {
            Self::GroupBy => "groupBy",
            Self::EmbeddedGroupBy => "embeddedGroupBy",
            Self::Join => "join",
            Self::StagingQuery => "stagingQueries",
        }
    }

    /// The folder that its files lie in.
    pub fn folder(self) -> &'static str {
        match self {
            Self::GroupBy => "group_bys",
            Self::EmbeddedGroupBy => "embedded_group_bys",
            Self::Join => "joins",
            Self::StagingQuery => "staging_queries",
        }
    }
}

/// One exported definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// The file it came from, or would have come from.
    pub path: String,
    /// Its kind.
    pub entity: Entity,
    /// The definition with its features.
    pub metadata: Value,
    /// Why it has none, if it has none.
    pub failure: Option<String>,
}

/// A definition's text with its features; `None` for text that is no definition at all.
pub fn export_definition(
    path: &str,
    text: &str,
    dialect: Dialect,
    context: &Context<'_>,
) -> Option<(Exported, Option<Definition>)> {
    let Ok(Value::Object(mut metadata)) = serde_json::from_str(text) else {
        return None;
    };
    let by_folder = [Entity::GroupBy, Entity::Join, Entity::StagingQuery];
    let by_folder = by_folder
        .into_iter()
        .find(|entity| path.contains(&format!("/{}", entity.folder())));
    let loaded = Definition::load(text, dialect);
    let entity = match &loaded {
        Ok(Definition::GroupBy(_)) => Entity::GroupBy,
        Ok(Definition::Join(_)) => Entity::Join,
        Ok(Definition::StagingQuery(_)) => Entity::StagingQuery,
        Err(_) => by_folder?,
    };
    let features = match &loaded {
        Ok(definition) => features(definition, context).map_err(|error| told(&error)),
        Err(problems) => Err(lines(problems)),
    };
    let failure = enrich(&mut metadata, features);
    let exported = Exported {
        path: path.into(),
        entity,
        metadata: Value::Object(metadata),
        failure,
    };
    Some((exported, loaded.ok()))
}

/// A group-by that has no file of its own.
pub fn export_embedded(path: &str, group_by: &GroupBy, context: &Context<'_>) -> Exported {
    let definition = Definition::GroupBy(group_by.clone());
    let Value::Object(mut metadata) = definition.to_json() else {
        unreachable!("a definition is written as an object");
    };
    let features = features(&definition, context).map_err(|error| told(&error));
    let failure = enrich(&mut metadata, features);
    let metadata = Value::Object(metadata);
    Exported {
        path: path.into(),
        entity: Entity::EmbeddedGroupBy,
        metadata,
        failure,
    }
}

fn enrich(
    metadata: &mut Map<String, Value>,
    features: std::result::Result<Vec<Value>, String>,
) -> Option<String> {
    match features {
        Ok(features) => {
            metadata.insert("features".into(), Value::Array(features));
            None
        }
        Err(failure) => {
            metadata.insert("exception".into(), json!(failure));
            Some(failure)
        }
    }
}

fn told(error: &Error) -> String {
    match error {
        Error::Definition(problems) => lines(problems),
        other => other.to_string(),
    }
}

fn lines(problems: &[Diagnostic]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn features(definition: &Definition, context: &Context<'_>) -> Result<Vec<Value>> {
    let catalog = WarehouseCatalog::new(context.warehouse);
    match definition {
        Definition::GroupBy(group_by) => {
            let resolved = catalog.checked(resolve_features(group_by, &catalog))?;
            Ok(of_group_by(&resolved.value))
        }
        Definition::Join(join) => {
            let resolved = catalog.checked(resolve_join(join, &catalog))?;
            Ok(of_join(join, &resolved.value))
        }
        Definition::StagingQuery(query) => of_staging_query(query, context),
    }
}

/// One feature in the export's words.
#[derive(Default)]
struct Feature<'a> {
    name: String,
    data_type: Option<&'a DataType>,
    operation: Option<String>,
    window: Option<String>,
    input: Option<String>,
    group_by: Option<&'a str>,
}

impl Feature<'_> {
    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "window": self.window,
            "columnType": self.data_type.map(|data_type| type_name(data_type, &self.name)),
            "inputColumn": self.input,
            "operation": self.operation,
            "groupBy": self.group_by,
        })
    }
}

fn of_group_by(features: &GroupFeatures) -> Vec<Value> {
    let group = &features.group;
    if group.derivations.is_empty() && !group.passes_through() {
        return group
            .parts
            .iter()
            .map(|part| aggregated(part, None, None).to_json())
            .collect();
    }
    let derived = !group.derivations.is_empty();
    features
        .values
        .iter()
        .map(|field| plain(field, derived).to_json())
        .collect()
}

fn aggregated<'a>(
    part: &'a AggregatePart,
    prefix: Option<&str>,
    group_by: Option<&'a str>,
) -> Feature<'a> {
    let name = &part.output_name;
    let window = match part.window {
        Window::Unbounded => "unbounded".into(),
        Window::Hours(hours) => format!("{hours}h"),
        Window::Days(days) => format!("{days}d"),
    };
    Feature {
        name: prefix.map_or_else(|| name.clone(), |prefix| format!("{prefix}_{name}")),
        data_type: Some(&part.output_type),
        operation: Some(part.operation.to_string().to_lowercase()),
        window: Some(window),
        input: Some(part.input.to_lowercase()),
        group_by,
    }
}

/// A feature that is not aggregated.
fn plain(field: &Field, derived: bool) -> Feature<'_> {
    let operation = if derived {
        "Derivation"
    } else {
        "No Operation"
    };
    Feature {
        name: field.name.clone(),
        data_type: Some(&field.data_type),
        operation: Some(operation.into()),
        window: Some("Unbounded".into()),
        input: Some(field.name.clone()),
        group_by: None,
    }
}

/// The columns of what a query gives.
#[cfg(feature = "sql")]
fn of_staging_query(query: &StagingQuery, context: &Context<'_>) -> Result<Vec<Value>> {
    let columns = super::staging_query::columns(query, context)?;
    let feature = |field: &Field| {
        Feature {
            name: field.name.clone(),
            data_type: Some(&field.data_type),
            operation: Some("StagingQuery".into()),
            ..Feature::default()
        }
        .to_json()
    };
    Ok(columns.iter().map(feature).collect())
}

/// Without SQL nothing is known of a query's columns.
#[cfg(not(feature = "sql"))]
fn of_staging_query(_: &StagingQuery, _: &Context<'_>) -> Result<Vec<Value>> {
    let what = "the columns of a staging query, in a build without SQL".into();
    Err(Error::NotYet { what })
}

fn of_join(join: &Join, feature: &FeatureJoin) -> Vec<Value> {
    if !join.derivations().is_empty() {
        let output = OutputSchema::of_join(join, feature).values;
        return output
            .iter()
            .map(|field| plain(field, true).to_json())
            .collect();
    }
    let mut all = vec![];
    for part in &feature.parts {
        let group = &part.group;
        let name = Some(group.name.as_str());
        if group.derivations.is_empty() && !group.passes_through() {
            let parts = group.parts.iter();
            all.extend(parts.map(|p| aggregated(p, Some(&part.full_prefix), name).to_json()));
            continue;
        }
        let derived = !group.derivations.is_empty();
        for (index, field) in &part.features {
            let input = part.table_schema.fields[*index].name.clone();
            let feature = Feature {
                input: Some(input),
                group_by: name,
                ..plain(field, derived)
            };
            all.push(feature.to_json());
        }
    }
    for part in join.external_parts() {
        let prefix = unskewed_planner::naming::external_prefix(part);
        for field in part.source.value_schema.fields().into_iter().flatten() {
            let feature = Feature {
                name: format!("{prefix}_{}", field.name),
                data_type: Some(&field.data_type),
                input: Some(field.name.clone()),
                group_by: part.source.value_schema.name.as_deref(),
                ..Feature::default()
            };
            all.push(feature.to_json());
        }
    }
    all
}

/// A type in the reference's own words.
fn type_name(data_type: &DataType, field: &str) -> String {
    match data_type {
        DataType::Boolean => "bool".into(),
        DataType::Byte => "byte".into(),
        DataType::Short => "short".into(),
        DataType::Int => "int".into(),
        DataType::Long => "long".into(),
        DataType::Float => "float".into(),
        DataType::Double => "double".into(),
        DataType::String => "string".into(),
        DataType::Binary => "binary".into(),
        DataType::Date => "date".into(),
        DataType::Timestamp => "timestamp".into(),
        DataType::Array(element) => {
            format!("list_{}", type_name(element, &format!("{field}Element")))
        }
        DataType::Map(key, value) => format!(
            "map_{}_{}",
            type_name(key, &format!("{field}Key")),
            type_name(value, &format!("{field}Value"))
        ),
        DataType::Struct(_) => {
            let mut letters = field.chars();
            let first = letters
                .next()
                .map(|c| c.to_uppercase().to_string())
                .unwrap_or_default();
            format!("struct_{first}{}Struct", letters.as_str())
        }
        _ => "unknown_type".into(),
    }
}

/// Writes exported definitions as the partitions `entityType`, `ds` of a table; how many there were. `properties` are put
/// to the table's.
pub fn write_exported(
    exported: &[Exported],
    name: &str,
    day: Partition,
    properties: &[(String, String)],
    context: &Context<'_>,
) -> Result<u64> {
    let fields = ["path", "metadata", "entityType", PARTITION_COLUMN];
    let schema = Schema::new(
        fields
            .map(|field| Field::new(field, DataType::String))
            .to_vec(),
    );
    let column = |value: &dyn Fn(&Exported) -> String| -> ArrayRef {
        Arc::new(
            exported
                .iter()
                .map(|one| Some(value(one)))
                .collect::<StringArray>(),
        )
    };
    let columns = vec![
        column(&|one| one.path.clone()),
        column(&|one| one.metadata.to_string()),
        column(&|one| one.entity.name().into()),
        column(&|_| day.to_string()),
    ];
    let batch = RecordBatch::try_new(Arc::new(schema.to_arrow()), columns);
    let batch = batch.map_err(EngineError::Arrow)?;
    let _lock = tables::lock(context.warehouse, &[name.to_owned()])?;
    let table = context.warehouse.table(name)?;
    let written = replace_partitions(&table, &batch, &["entityType", PARTITION_COLUMN])?;
    for (name, value) in properties {
        table.set_property(name, Some(value))?;
    }
    Ok(written)
}
