//! A group-by as a reader of the key-value store needs it: from its serving info alone, no table at hand.
//!
//! Promises: types are those that the upload settled, so what is read back means what was written; derivations are
//! bound to the same names as offline (keys, `ts`, `ds`, values).

use crate::aggregation::AggregatePart;
use crate::avro::{ParseError, Record, UnsupportedColumn};
use crate::definition::{Accuracy, DataModel, GroupBy, custom_flag};
use crate::diagnostic::Diagnostic;
use crate::expr::Expr;
use crate::logical::DerivationText;
use crate::naming::{PARTITION_COLUMN, TIME_COLUMN};
use crate::schema::{DataType, Field, Schema};
use crate::serving::ServingInfo;
use crate::time::Partition;

use super::derive::{self, Projection};
use super::{Problems, group, upload};

/// A group-by as a reader needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServedGroup {
    /// The full name.
    pub name: String,
    /// The key columns, in the order of their bytes.
    pub keys: Vec<Field>,
    /// The schema of their bytes.
    pub key: Record,
    /// What the store holds of a key.
    pub stored: Stored,
    /// What is answered before derivations.
    pub values: Vec<Field>,
    /// Keys, `ts`, `ds`, values: what derivations are bound to.
    pub base: Schema,
    /// The derived columns over `base`; `None` without derivations.
    pub derived: Option<Vec<(Field, Expr)>>,
    /// The schema of an answer.
    pub answer: Record,
    /// The day after the batch's last.
    pub batch_end: Partition,
}

/// What the store holds of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// Values as they are answered.
    Values(Record),
    /// The states of a batch, and what came after it.
    States(Box<StoredStates>),
}

/// The states of a batch, and what came after it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredStates {
    /// Events, or entities with mutations.
    pub model: DataModel,
    /// What is finished, one for each value.
    pub parts: Vec<AggregatePart>,
    /// For each part the number of its aggregation and bucket.
    pub bases: Vec<usize>,
    /// The columns that are aggregated, under the names that parts know them by.
    pub inputs: Schema,
    /// The schema of their bytes.
    pub selected: Record,
    /// Whether a stream keeps states of tiles rather than rows.
    pub tiled: bool,
}

impl ServedGroup {
    /// What is answered after derivations.
    pub fn outputs(&self) -> Vec<&Field> {
        match &self.derived {
            Some(derived) => derived.iter().map(|(field, _)| field).collect(),
            None => self.values.iter().collect(),
        }
    }
}

/// Resolves a group-by from its serving info.
pub(super) fn resolve(info: &ServingInfo, problems: &mut Problems) -> Option<ServedGroup> {
    let group_by = &info.group_by;
    let key = parsed(info.key(), "keyAvroSchema", problems)?;
    let selected = parsed(info.selected(), "selectedAvroSchema", problems)?;
    let key_fields = key.schema().fields;
    let keys = renamed(
        "keyAvroSchema",
        &key_fields,
        &group_by.key_columns,
        problems,
    )?;
    let (stored, values) = match group_by.aggregations() {
        None => (
            Stored::Values(selected.clone()),
            selected.clean_schema().fields,
        ),
        Some(_) => aggregated(group_by, &selected, problems)?,
    };
    let base = base(&keys, &values);
    let texts = group::derivation_texts(group_by.derivations(), "groupBy");
    let derived = match &texts[..] {
        [] => None,
        texts => Some(derive::project(Projection {
            derivations: &starred(texts, &values),
            base: &base,
            ensured: &[],
            problems,
        })?),
    };
    let outputs: Vec<Field> = match &derived {
        Some(derived) => derived.iter().map(|(field, _)| field.clone()).collect(),
        None => values.clone(),
    };
    Some(ServedGroup {
        name: group_by.name().into(),
        answer: record("Value", outputs, problems)?,
        keys,
        key,
        stored,
        values,
        base,
        derived,
        batch_end: info.batch_end,
    })
}

/// `*` stands for the values, not for keys and times.
fn starred(texts: &[DerivationText], values: &[Field]) -> Vec<DerivationText> {
    let names: Vec<String> = values.iter().map(|field| field.name.clone()).collect();
    derive::expanded(texts, &names)
}

fn aggregated(
    group_by: &GroupBy,
    selected: &Record,
    problems: &mut Problems,
) -> Option<(Stored, Vec<Field>)> {
    let names = upload::aggregated_columns(group_by);
    let fields = selected.schema().fields;
    let inputs = renamed("selectedAvroSchema", &fields, &names, problems)?;
    let inputs = Schema::new(inputs);
    let before = problems.list.len();
    let parts = group::parts(group_by, &inputs, "groupBy", problems);
    if problems.list.len() > before {
        return None;
    }
    let output = |part: &AggregatePart| Field::new(&part.output_name, part.output_type.clone());
    let values: Vec<Field> = parts.iter().map(output).collect();
    if group_by.accuracy() == Accuracy::Snapshot {
        let record = record("Value", values.clone(), problems)?;
        return Some((Stored::Values(record), values));
    }
    let model = group_by.data_model()?;
    let states = StoredStates {
        model,
        bases: upload::bases(group_by),
        parts,
        inputs,
        selected: selected.clone(),
        tiled: model == DataModel::Events && custom_flag(&group_by.meta_data, "enable_tiling"),
    };
    Some((Stored::States(Box::new(states)), values))
}

/// Fields of a stored schema under the names that the definition has for them.
fn renamed(
    path: &str,
    fields: &[Field],
    names: &[String],
    problems: &mut Problems,
) -> Option<Vec<Field>> {
    if fields.len() != names.len() {
        let problem = format!(
            "{} columns are stored, {} are named",
            fields.len(),
            names.len()
        );
        problems.report(
            Diagnostic::error(path, problem)
                .hint("upload the group-by again: its serving info is not of this definition"),
        );
        return None;
    }
    let pairs = fields.iter().zip(names);
    Some(
        pairs
            .map(|(field, name)| Field::new(name, field.data_type.clone()))
            .collect(),
    )
}

fn record(name: &str, fields: Vec<Field>, problems: &mut Problems) -> Option<Record> {
    let made = Record::of(name, &Schema::new(fields));
    let tell = |columns: Vec<UnsupportedColumn>| {
        for column in columns {
            problems.error("groupBy", column.to_string());
        }
    };
    made.map_err(tell).ok()
}

fn parsed(
    record: Result<Record, ParseError>,
    path: &str,
    problems: &mut Problems,
) -> Option<Record> {
    record
        .map_err(|error| problems.error(path, error.to_string()))
        .ok()
}

/// Keys, times, values; a value of a key's name is the value.
fn base(keys: &[Field], values: &[Field]) -> Schema {
    let taken = |field: &&Field| values.iter().all(|value| value.name != field.name);
    let times = [
        Field::new(TIME_COLUMN, DataType::Long),
        Field::new(PARTITION_COLUMN, DataType::String),
    ];
    let fields = keys.iter().chain(&times).filter(taken).chain(values);
    Schema::new(fields.cloned().collect())
}
