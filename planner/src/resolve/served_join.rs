//! A join as a reader of the key-value store needs it: what is asked of which group-by, and what is made of the answers.
//!
//! Promises: names, types and derivations are those of the training table. A group-by that is not served costs its own
//! columns and what is derived of them, no others.

use std::collections::BTreeSet;

use crate::avro::Record;
use crate::definition::{ExternalPart, Join};
use crate::expr::Expr;
use crate::logical::DerivationText;
use crate::naming::{self, PARTITION_COLUMN, TIME_COLUMN};
use crate::schema::{DataType, Field, Schema};

use super::served_group::ServedGroup;
use super::{Problems, bind, derive, group, left, scala_order};

/// A join as a reader needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServedJoin {
    /// The full name.
    pub name: String,
    /// What is asked of group-bys.
    pub parts: Vec<ServedPart>,
    /// What is asked of others.
    pub externals: Vec<ServedExternal>,
    /// The request's keys as far as their types are known.
    pub keys: Vec<Field>,
    /// What is answered before derivations.
    pub values: Vec<Field>,
    /// Keys, `ts`, `ds`, values: what derivations are bound to.
    pub base: Schema,
    /// What is answered; `None` without derivations: the values.
    pub derived: Option<Vec<DerivedColumn>>,
    /// The schema of a logged request's keys.
    pub logged_keys: Record,
    /// The schema of a logged answer: the values, then what is derived.
    pub logged_values: Record,
}

/// What is asked of a group-by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedPart {
    /// The group-by's full name.
    pub group_by: String,
    /// The definition's own prefix.
    pub prefix: Option<String>,
    /// What its columns begin with.
    pub full_prefix: String,
    /// For each of its keys, the request's key that it is.
    pub keys: Vec<RequestKey>,
}

/// A key of what is asked, and the key of the request that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The name in the request.
    pub left: String,
    /// The name where it is asked.
    pub right: String,
}

/// What is asked of an external source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedExternal {
    /// The source's name.
    pub source: String,
    /// The definition's own prefix.
    pub prefix: Option<String>,
    /// What its columns begin with.
    pub full_prefix: String,
    /// Whether the request itself brings the values.
    pub contextual: bool,
    /// Its keys.
    pub keys: Vec<RequestKey>,
    /// Types of its keys.
    pub key_types: Vec<DataType>,
    /// Its values, under its own names.
    pub values: Vec<Field>,
}

/// A column of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivedColumn {
    /// Its name.
    pub name: String,
    /// How it is computed over the join's base; or why it cannot be.
    pub value: Result<Expr, String>,
}

impl ServedJoin {
    /// The prefix of what a column of the base comes from; nothing for keys and times.
    pub fn owner(&self, column: usize) -> Option<&str> {
        self.full_prefix_of(&self.base.fields[column].name)
    }

    /// What a value comes from: the name of the group-by or external source, the definition's own prefix, and the keys.
    pub fn origin(&self, value: &str) -> Option<(&str, Option<&str>, &[RequestKey])> {
        let owner = self.full_prefix_of(value)?;
        if let Some(part) = self.parts.iter().find(|part| part.full_prefix == owner) {
            return Some((&part.group_by, part.prefix.as_deref(), &part.keys));
        }
        let mut externals = self.externals.iter();
        let found = externals.find(|external| external.full_prefix == owner)?;
        Some((&found.source, found.prefix.as_deref(), &found.keys))
    }

    fn full_prefix_of(&self, name: &str) -> Option<&str> {
        let parts = self.parts.iter().map(|part| &part.full_prefix);
        let externals = self.externals.iter().map(|external| &external.full_prefix);
        // The longest: one prefix may begin with another.
        parts
            .chain(externals)
            .filter(|prefix| {
                name.strip_prefix(*prefix)
                    .is_some_and(|rest| rest.starts_with('_'))
            })
            .max_by_key(|prefix| prefix.len())
            .map(String::as_str)
    }
}

pub(super) fn resolve<'a>(
    join: &Join,
    served: &dyn Fn(&str) -> Option<&'a ServedGroup>,
    problems: &mut Problems,
) -> Option<ServedJoin> {
    let (mut keys, mut values) = (Fields::default(), Fields::default());
    let mut parts = Vec::new();
    for part in join.parts() {
        let full_prefix = naming::full_prefix(part);
        let pairs = part.right_to_left().into_iter();
        let pairs: Vec<RequestKey> = pairs
            .map(|(right, left)| RequestKey { left, right })
            .collect();
        if let Some(group) = served(part.group_by.name()) {
            for (key, field) in pairs.iter().zip(&group.keys) {
                keys.add(&key.left, &field.data_type);
            }
            for field in group.outputs() {
                let name = naming::feature_column(&full_prefix, &field.name);
                values.set(&name, &field.data_type);
            }
        }
        parts.push(ServedPart {
            group_by: part.group_by.name().into(),
            prefix: part.prefix.clone(),
            full_prefix,
            keys: pairs,
        });
    }
    let mut externals = Vec::new();
    for (index, part) in join.external_parts().iter().enumerate() {
        let path = format!("onlineExternalParts[{index}].source");
        let (left, prefixed) = left::external_fields(part, &path, problems)?;
        left.iter()
            .for_each(|field| keys.add(&field.name, &field.data_type));
        prefixed
            .iter()
            .for_each(|field| values.set(&field.name, &field.data_type));
        externals.push(external(part)?);
    }
    // Answers have no times of their own.
    values
        .0
        .retain(|field| ![TIME_COLUMN, PARTITION_COLUMN].contains(&field.name.as_str()));
    let base = base(&keys.0, &values.0);
    let derived = derived(join, &base, &values.0);
    let clean = naming::clean(join.name());
    let logged = logged_fields(&values.0, derived.as_deref());
    let mut record = |name: String, fields: &[Field]| {
        let made = Record::of(&name, &Schema::new(fields.to_vec()));
        made.map_err(|columns| {
            for column in columns {
                problems.error("", column.to_string());
            }
        })
    };
    Some(ServedJoin {
        name: join.name().into(),
        logged_keys: record(format!("{clean}_key"), &keys.0).ok()?,
        logged_values: record(format!("join_combined_{clean}"), &logged).ok()?,
        derived,
        parts,
        externals,
        keys: keys.0,
        values: values.0,
        base,
    })
}

/// The values and what is derived, in the order of the map that the reference merges them in; a derived column of a
/// value's name is that column.
fn logged_fields(values: &[Field], derived: Option<&[DerivedColumn]>) -> Vec<Field> {
    let mut fields = Fields(values.to_vec());
    for column in derived.unwrap_or_default() {
        if let Ok(value) = &column.value {
            fields.set(&column.name, &value.data_type);
        }
    }
    let order = scala_order::of_map(fields.0.iter().map(|field| field.name.as_str()));
    let place = |field: &Field| order.iter().position(|name| *name == field.name);
    let mut ordered = fields.0.clone();
    ordered.sort_by_key(place);
    ordered
}

fn external(part: &ExternalPart) -> Option<ServedExternal> {
    let (keys, values) = (
        part.source.key_schema.fields()?,
        part.source.value_schema.fields()?,
    );
    let left = |key: &str| {
        let entries = part.key_mapping.iter().flat_map(|mapping| mapping.iter());
        let found = entries.filter(|(_, right)| *right == key).last();
        found.map_or_else(|| key.to_owned(), |(left, _)| left.to_owned())
    };
    Some(ServedExternal {
        source: part.source.metadata.name.clone().unwrap_or_default(),
        prefix: part.prefix.clone(),
        full_prefix: naming::external_prefix(part),
        contextual: left::is_contextual(part),
        key_types: keys.iter().map(|key| key.data_type.clone()).collect(),
        keys: keys
            .into_iter()
            .map(|key| RequestKey {
                left: left(&key.name),
                right: key.name,
            })
            .collect(),
        values,
    })
}

/// Fields, each name once.
#[derive(Default)]
struct Fields(Vec<Field>);

impl Fields {
    /// Adds a field unless the name is there.
    fn add(&mut self, name: &str, data_type: &DataType) {
        if self.0.iter().all(|field| field.name != name) {
            self.0.push(Field::new(name, data_type.clone()));
        }
    }

    /// Adds a field, or gives the one of the name this type.
    fn set(&mut self, name: &str, data_type: &DataType) {
        match self.0.iter_mut().find(|field| field.name == name) {
            Some(field) => field.data_type = data_type.clone(),
            None => self.0.push(Field::new(name, data_type.clone())),
        }
    }
}

fn base(keys: &[Field], values: &[Field]) -> Schema {
    let mut fields = Fields(values.to_vec());
    let times = [
        Field::new(TIME_COLUMN, DataType::Long),
        Field::new(PARTITION_COLUMN, DataType::String),
    ];
    for field in keys.iter().chain(&times) {
        fields.add(&field.name, &field.data_type);
    }
    Schema::new(fields.0)
}

fn derived(join: &Join, base: &Schema, values: &[Field]) -> Option<Vec<DerivedColumn>> {
    if join.derivations().is_empty() {
        return None;
    }
    let names: Vec<String> = values.iter().map(|field| field.name.clone()).collect();
    let texts = group::derivation_texts(join.derivations(), "");
    let mut taken = BTreeSet::new();
    let column = |text: DerivationText| {
        let mut problems = Problems::default();
        let value = bind::expression(&text.expression, base, &text.path, &mut problems);
        let problem = || {
            problems
                .list
                .first()
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        DerivedColumn {
            name: text.name,
            value: value.ok_or_else(problem),
        }
    };
    let all = derive::expanded(&texts, &names).into_iter();
    // The later of two of one name is the one a map of answers would keep.
    let mut columns: Vec<DerivedColumn> = all.map(column).collect();
    columns.reverse();
    columns.retain(|column| taken.insert(column.name.clone()));
    columns.reverse();
    Some(columns)
}
