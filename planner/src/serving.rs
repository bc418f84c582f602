//! What a reader of the key-value store finds where: names of datasets and keys, and the serving info of a group-by.
//!
//! The only place that names datasets. Promises: the serving info's JSON is the one existing fetchers read, and is read
//! back with the definition checked as a file of its own is.

use serde_json::{Map, Value};

use crate::aggregation::{AggregatePart, base_parts};
use crate::avro::{Kind, ParseError, Record, RecordField, Shape};
use crate::definition::{DataModel, Definition, Dialect, GroupBy, MetaData};
use crate::diagnostic::Diagnostic;
use crate::naming::{REVERSAL_COLUMN, TIME_COLUMN, clean};
use crate::resolve::UploadGroup;
use crate::schema::{DataType, Field, Schema};
use crate::time::{NotADay, Partition};

/// The key, in a group-by's batch dataset, of its serving info.
pub const SERVING_INFO_KEY: &str = "group_by_serving_info";
/// The column of an upload table whose bytes belong behind those of the value, for readers that look there.
pub const EDGE_COLUMN: &str = "edge_bytes";
/// The dataset of compiled definitions.
pub const METADATA_DATASET: &str = "ZIPLINE_METADATA";
/// The dataset of each team's definitions: under `joins/{team}` the keys of its joins, under `joins` the teams that have
/// any, in Base64 each and separated by commas.
pub const TEAM_DATASET: &str = "CHRONON_ENTITY_BY_TEAM";

/// The dataset of what batches store of a group-by, by the group-by's name in any of its forms.
pub fn batch_dataset(group_by_name: &str) -> String {
    clean(group_by_name).to_ascii_uppercase() + "_BATCH"
}

/// The dataset of what streams store of a group-by.
pub fn streaming_dataset(group_by_name: &str) -> String {
    clean(group_by_name).to_ascii_uppercase() + "_STREAMING"
}

/// What a stream keeps of a row: what is aggregated, and of a mutation its own time and whether it is the side before.
pub fn stream_row(selected: &Record, model: DataModel) -> Record {
    let mut fields = selected.fields.clone();
    if model == DataModel::Entities {
        let own = [(TIME_COLUMN, Kind::Long), (REVERSAL_COLUMN, Kind::Boolean)];
        fields.extend(own.map(|(name, kind)| RecordField {
            name: name.into(),
            shape: Shape {
                kind,
                null_branch: Some(0),
            },
        }));
    }
    Record {
        name: "Row".into(),
        fields,
    }
}

/// What a stream keeps of a tile: the states of all bases, and whether it is complete.
pub fn tile_fields(parts: &[AggregatePart], bases: &[usize]) -> [Field; 2] {
    let state = |part: &AggregatePart| Field::new(&part.incremental_name, part.state_type.clone());
    let states = base_parts(parts, bases).into_iter().map(state).collect();
    [
        Field::new("collapsedIr", DataType::Struct(states)),
        Field::new("isComplete", DataType::Boolean),
    ]
}

/// Tells tiles of another make apart: the fingerprint of their schema. `None` where they cannot be stored.
pub fn tile_fingerprint(parts: &[AggregatePart], bases: &[usize]) -> Option<u64> {
    let schema = Schema::new(tile_fields(parts, bases).into());
    let record = Record::of("_TILE_IR", &schema).ok()?;
    Some(record.fingerprint())
}

/// The folder that definitions of this kind are kept under.
pub fn kind_folder(definition: &Definition) -> &'static str {
    match definition {
        Definition::GroupBy(_) => "group_bys",
        Definition::Join(_) => "joins",
        Definition::StagingQuery(_) => "staging_queries",
    }
}

/// The key of a definition in [`METADATA_DATASET`]: `joins/team/name.v1`.
pub fn metadata_key(definition: &Definition) -> String {
    let name = definition.meta_data().name.as_deref().unwrap_or_default();
    format!("{}/{}", kind_folder(definition), name.replacen('.', "/", 1))
}

/// The key of a definition's file: the last three names of its path, where the first of them is a folder of
/// definitions; else the key of its name.
pub fn metadata_key_of(path: &str, definition: &Definition) -> String {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    match names[..] {
        [.., kind, team, file] if kind == kind_folder(definition) => {
            format!("{kind}/{team}/{file}")
        }
        _ => metadata_key(definition),
    }
}

/// The team a definition counts to: `team_override` of its custom JSON, else its team.
pub fn team(meta_data: &MetaData) -> Option<String> {
    let custom = meta_data.custom_json.as_deref().unwrap_or("{}");
    let custom: Value = serde_json::from_str(custom).unwrap_or_default();
    let own = custom.get("team_override").and_then(Value::as_str);
    own.or(meta_data.team.as_deref()).map(str::to_owned)
}

/// What a fetcher must know of a group-by to read its batch.
#[derive(Clone, Debug, PartialEq)]
pub struct ServingInfo {
    /// The definition.
    pub group_by: GroupBy,
    /// The schema of the columns that a stream must give, as text.
    pub input_schema: Option<String>,
    /// The schema of what is aggregated, or of the raw values, as text.
    pub selected_schema: String,
    /// The schema of keys, as text.
    pub key_schema: String,
    /// The day after the batch's last: the batch holds everything before its midnight.
    pub batch_end: Partition,
}

/// A serving info that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServingInfoError {
    /// It is no JSON.
    #[error("the serving info is no JSON")]
    Json(#[from] serde_json::Error),
    /// A field is missing or of another type.
    #[error("the serving info has no text {0}")]
    Missing(&'static str),
    /// Its definition is not one of a group-by.
    #[error("the serving info's definition cannot be used: {}", .0.first().map_or_else(String::new, ToString::to_string))]
    Definition(Vec<Diagnostic>),
    /// Its batch end is no day.
    #[error("the serving info's batchEndDate cannot be read")]
    BatchEnd(#[from] NotADay),
}

impl ServingInfo {
    /// The serving info of an upload whose last day is `day`.
    pub fn of(group_by: &GroupBy, upload: &UploadGroup, day: Partition) -> Self {
        Self {
            group_by: group_by.clone(),
            input_schema: upload.input.as_ref().map(Record::to_pretty_text),
            selected_schema: upload.selected.to_pretty_text(),
            key_schema: upload.key.to_pretty_text(),
            batch_end: day.plus_days(1),
        }
    }

    /// Its JSON.
    pub fn to_text(&self) -> String {
        let mut info = Map::new();
        let definition = Definition::GroupBy(self.group_by.clone());
        info.insert("groupBy".into(), definition.to_json());
        if let Some(input) = &self.input_schema {
            info.insert("inputAvroSchema".into(), input.clone().into());
        }
        info.insert(
            "selectedAvroSchema".into(),
            self.selected_schema.clone().into(),
        );
        info.insert("keyAvroSchema".into(), self.key_schema.clone().into());
        info.insert("batchEndDate".into(), self.batch_end.to_string().into());
        Value::Object(info).to_string()
    }

    /// Reads it back.
    pub fn from_text(text: &str, dialect: Dialect) -> Result<Self, ServingInfoError> {
        let info: Value = serde_json::from_str(text)?;
        let text = |name: &'static str| {
            let value = info.get(name).and_then(Value::as_str);
            value
                .map(str::to_owned)
                .ok_or(ServingInfoError::Missing(name))
        };
        let definition = info.get("groupBy").unwrap_or(&Value::Null);
        let definition = Definition::from_json(definition, dialect);
        let group_by = match definition.map_err(ServingInfoError::Definition)? {
            Definition::GroupBy(group_by) => group_by,
            _ => return Err(ServingInfoError::Missing("groupBy")),
        };
        Ok(Self {
            group_by,
            input_schema: text("inputAvroSchema").ok(),
            selected_schema: text("selectedAvroSchema")?,
            key_schema: text("keyAvroSchema")?,
            batch_end: text("batchEndDate")?.parse()?,
        })
    }

    /// The schema of keys.
    pub fn key(&self) -> Result<Record, ParseError> {
        Record::parse(&self.key_schema)
    }

    /// The schema of what is aggregated.
    pub fn selected(&self) -> Result<Record, ParseError> {
        Record::parse(&self.selected_schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of datasets and keys, in any form of a group-by's name.
    #[test]
    fn names_of_datasets() {
        assert_eq!(batch_dataset("alpha.g-1.v1"), "ALPHA_G_1_V1_BATCH");
        assert_eq!(batch_dataset("alpha/g-1.v1"), "ALPHA_G_1_V1_BATCH");
        assert_eq!(streaming_dataset("alpha.g.v1"), "ALPHA_G_V1_STREAMING");
        let text =
            include_str!("../tests/definitions/join_multi_parts-compiled__joins__alpha__j.v1.json");
        let definition = Definition::load(text, Dialect::Airbnb).unwrap();
        assert_eq!(metadata_key(&definition), "joins/alpha/j.v1");
        assert_eq!(
            metadata_key_of("out/joins/beta/j.v2", &definition),
            "joins/beta/j.v2"
        );
        assert_eq!(
            metadata_key_of("here/j.v2", &definition),
            "joins/alpha/j.v1"
        );
        assert_eq!(team(definition.meta_data()).as_deref(), Some("alpha"));
        let mut meta_data = definition.meta_data().clone();
        meta_data.custom_json = Some(r#"{"team_override": "beta"}"#.into());
        assert_eq!(team(&meta_data).as_deref(), Some("beta"));
    }
}
