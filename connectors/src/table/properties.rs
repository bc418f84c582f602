//! What a table says about itself: `_properties.json` in its folder.
//!
//! Promises: replaced at once; unknown entries of `properties` are kept. The schema recorded here
//! is for columns that no file has yet; where files differ, [`super::schema`]'s rules hold. Absent
//! for tables that others wrote.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use unskewed_planner::schema::Schema;

use super::schema::{Union, from_json, to_json};
use super::{Table, TableName};
use crate::error::{Error, Result};

/// A table's record of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// Free words, such as the semantic hash.
    pub properties: BTreeMap<String, String>,
    /// The partition columns, outermost first.
    pub partition_columns: Vec<String>,
    /// The columns without those of the partition, if recorded.
    pub schema: Option<Schema>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct OnDisk {
    #[serde(default)]
    properties: BTreeMap<String, String>,
    #[serde(default)]
    partition_columns: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema: Option<Value>,
}

impl Properties {
    fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, serde_json::Error> {
        let read: OnDisk = serde_json::from_slice(bytes)?;
        Ok(Self {
            properties: read.properties,
            partition_columns: read.partition_columns,
            schema: read.schema.as_ref().map(from_json).transpose()?,
        })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let written = OnDisk {
            properties: self.properties.clone(),
            partition_columns: self.partition_columns.clone(),
            schema: self.schema.as_ref().map(to_json),
        };
        serde_json::to_vec_pretty(&written).expect("texts and lists are always JSON")
    }
}

impl Table {
    /// The table's record of itself; empty if it has none.
    pub fn properties(&self) -> Result<Properties> {
        let path = self.name.properties_file();
        let Some(bytes) = self.storage().get(&path)? else {
            return Ok(Properties::default());
        };
        Properties::from_bytes(&bytes).map_err(|source| Error::Malformed {
            path: self.storage().shown(&path),
            source,
        })
    }

    /// Replaces the table's record of itself.
    pub fn set_properties(&self, properties: &Properties) -> Result<()> {
        let path = self.name.properties_file();
        self.storage().put(&path, properties.to_bytes())
    }

    /// Sets one property, or removes it.
    pub fn set_property(&self, name: &str, value: Option<&str>) -> Result<()> {
        let mut properties = self.properties()?;
        match value {
            Some(value) => {
                properties.properties.insert(name.into(), value.into());
            }
            None => {
                properties.properties.remove(name);
            }
        }
        self.set_properties(&properties)
    }

    /// Creates an empty table of these columns; an error if it exists.
    pub fn create(&self, schema: &Schema, partition_columns: &[&str]) -> Result<()> {
        if self.exists()? {
            return Err(Error::TableExists { table: self.name() });
        }
        self.set_properties(&Properties {
            properties: BTreeMap::new(),
            partition_columns: partition_columns.iter().map(|c| (*c).into()).collect(),
            schema: Some(data_columns(schema, partition_columns.iter().copied())),
        })
    }

    /// Appends new columns to the recorded schema (`autoExpand`); an error if a known column has
    /// another type.
    pub fn expand_schema(&self, schema: &Schema) -> Result<Schema> {
        let mut properties = self.properties()?;
        let columns = properties.partition_columns.clone();
        let added = data_columns(schema, columns.iter().map(String::as_str));
        let known = match properties.schema.take() {
            Some(known) => known,
            None => match self.schema() {
                Ok(found) => data_columns(&found, columns.iter().map(String::as_str)),
                Err(Error::NoSuchTable { .. } | Error::NoSchema { .. }) => Schema::default(),
                Err(error) => return Err(error),
            },
        };
        for field in &added.fields {
            if let Some(before) = known.field(&field.name)
                && before.data_type != field.data_type
            {
                return Err(Error::TypeConflict {
                    column: field.name.clone(),
                    first: format!("table {}", self.name),
                    first_type: Box::new(before.data_type.clone()),
                    second: "the new columns".into(),
                    second_type: Box::new(field.data_type.clone()),
                });
            }
        }
        let mut union = Union::default();
        union.add(&known, "")?;
        union.add(&added, "")?;
        let expanded = union.finish();
        properties.schema = Some(expanded.clone());
        self.set_properties(&properties)?;
        Ok(expanded)
    }

    /// Removes the table and all its data.
    pub fn drop_table(&self) -> Result<()> {
        let folder = self.name.folder();
        if self.is_local() {
            if !self.storage().has_folder(&folder)? {
                return Ok(());
            }
            // Out of sight first, so that nobody sees half a table.
            let aside = format!("{}/{}", self.name.staging_folder(), super::unique_id());
            self.storage()
                .rename_tree(&folder, &format!("{aside}/old"))?;
            return self.remove_staging(&aside);
        }
        self.storage().delete_tree(&folder)
    }

    /// Renames the table; an error if there is one of the new name.
    pub fn rename_to(&self, new_name: &str) -> Result<()> {
        let name = TableName::parse(new_name)?;
        let target = Table {
            name,
            inner: std::sync::Arc::clone(&self.inner),
        };
        if !self.exists()? {
            return Err(Error::NoSuchTable {
                table: self.name(),
                warehouse: self.storage().url().into(),
            });
        }
        if target.exists()? {
            return Err(Error::TableExists {
                table: target.name(),
            });
        }
        let (from, to) = (self.name.folder(), target.name.folder());
        self.storage().rename_tree(&from, &to)
    }
}

/// The schema without the partition columns.
pub(super) fn data_columns<'a>(
    schema: &Schema,
    partition_columns: impl IntoIterator<Item = &'a str>,
) -> Schema {
    let partition_columns: Vec<&str> = partition_columns.into_iter().collect();
    let is_partition = |name: &str| {
        let mut columns = partition_columns.iter();
        columns.any(|c| c.eq_ignore_ascii_case(name))
    };
    let fields = schema.fields.iter();
    let fields = fields.filter(|f| !is_partition(&f.name)).cloned();
    Schema::new(fields.collect())
}
