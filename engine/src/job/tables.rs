//! The tables a job writes: their locks, columns and properties, and setting aside what a changed definition made
//! worthless.
//!
//! Promises: all locks of a job are taken in the order of names, so that two jobs never wait for each other in a ring.
//! Columns are checked before anything is computed. A table set aside stays readable under its archived name.

use unskewed_connectors::error::Error as TableError;
use unskewed_connectors::lock::TableLock;
use unskewed_connectors::table::{Table, Warehouse};
use unskewed_planner::definition::MetaData;
use unskewed_planner::naming::{PARTITION_COLUMN, checked_output_table};
use unskewed_planner::schema::Schema;
use unskewed_planner::semantic_hash::{
    HASH_PROPERTY, Invalidated, OPTIONS, OPTIONS_PROPERTY, SemanticHashes,
};

use super::error::{Error, Result};
use super::{Context, Event};
use crate::partitions::Days;

/// The output table of a definition.
pub(super) fn output(meta_data: &MetaData) -> Result<String> {
    checked_output_table(meta_data).map_err(Error::Definition)
}

/// How long a job waits for another job on one of its tables.
const LOCK_WAIT_MILLIS: i64 = 60_000;

/// The locks of these tables.
pub(super) fn lock(warehouse: &Warehouse, names: &[String]) -> Result<Vec<TableLock>> {
    let mut names: Vec<&String> = names.iter().collect();
    names.sort();
    names.dedup();
    let locks = names.iter().map(|name| {
        let table = warehouse.table(name)?;
        Ok(table.lock(LOCK_WAIT_MILLIS)?)
    });
    locks.collect()
}

/// The days a written table has; none if there is no such table.
pub(super) fn days(table: &Table) -> Result<Days> {
    let values = match table.partition_values(PARTITION_COLUMN) {
        Ok(values) => values,
        Err(TableError::NoSuchTable { .. }) => return Ok(Days::new()),
        Err(error) => return Err(error.into()),
    };
    Ok(values
        .iter()
        .filter_map(|value| value.parse().ok())
        .collect())
}

/// The days of a table that another job writes, which must have run.
pub(super) fn days_of_job(table: &Table, job: &'static str) -> Result<Days> {
    match table.exists()? {
        true => days(table),
        false => Err(Error::NotComputed {
            table: table.name(),
            job,
        }),
    }
}

/// Refuses columns that an existing table cannot take: another type, or other columns where it does not expand.
pub(super) fn check_columns(table: &Table, computed: &Schema, expands: bool) -> Result<()> {
    let existing = match table.schema() {
        Ok(existing) => existing,
        Err(TableError::NoSuchTable { .. } | TableError::NoSchema { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let changed = |column: &str, existing: &str, computed: &str| Error::ColumnChanged {
        table: table.name(),
        column: column.into(),
        existing: existing.into(),
        computed: computed.into(),
    };
    for field in &computed.fields {
        match existing.field(&field.name) {
            Some(known) if known.data_type != field.data_type => {
                let (known, new) = (known.data_type.to_string(), field.data_type.to_string());
                return Err(changed(&field.name, &known, &new));
            }
            None if !expands => {
                let new = field.data_type.to_string();
                return Err(changed(&field.name, "not", &new));
            }
            _ => {}
        }
    }
    let gone = existing
        .fields
        .iter()
        .find(|field| computed.field(&field.name).is_none());
    match gone {
        Some(field) if !expands => Err(changed(
            &field.name,
            &field.data_type.to_string(),
            "nothing",
        )),
        _ => Ok(()),
    }
}

/// What a table says about itself after a step.
pub(super) struct Written<'a> {
    /// What the reference calls its kind.
    pub(super) kind: &'a str,
    /// Of the definition it belongs to.
    pub(super) meta_data: &'a MetaData,
    /// The hashes of that definition, if it has any.
    pub(super) hashes: Option<&'a SemanticHashes>,
    /// More of its own.
    pub(super) more: Vec<(&'a str, String)>,
}

/// Records what a table is; nothing if there is no table.
pub(super) fn describe(table: &Table, schema: &Schema, written: &Written<'_>) -> Result<()> {
    if !table.exists()? {
        return Ok(());
    }
    table.expand_schema(schema)?;
    let mut record = table.properties()?;
    let before = record.clone();
    let mut set = |name: &str, value: &str| {
        record.properties.insert(name.into(), value.into());
    };
    let own = written.meta_data.table_properties.iter();
    for (name, value) in own.flat_map(|properties| properties.iter()) {
        set(name, value);
    }
    set("chronon_generated", "true");
    set("chronon_table_type", written.kind);
    if let Some(hashes) = written.hashes {
        set(HASH_PROPERTY, &hashes.to_text());
        set(OPTIONS_PROPERTY, OPTIONS);
    }
    for (name, value) in &written.more {
        set(name, value);
    }
    record.properties.remove("chronon_archived");
    if record != before {
        table.set_properties(&record)?;
    }
    Ok(())
}

/// Sets aside the tables of a join that its definition, as it is now, does not give; keeps them if `keep`.
pub(super) fn set_aside(
    context: &Context<'_>,
    names: &JoinTableNames,
    hashes: &SemanticHashes,
    keep: bool,
) -> Result<()> {
    let mut own = vec![names.output.clone(), names.bootstrap.clone()];
    own.extend(names.parts.iter().cloned());
    // Parts that are gone from the definition are named by the output's hashes only.
    if let Some(old) = stored(&context.warehouse.table(&names.output)?)? {
        let found = hashes.invalidated(&old, &names.output, &names.bootstrap);
        own.extend(found.tables);
    }
    own.sort();
    own.dedup();
    let changes = |old: &_| hashes.invalidated(old, &names.output, &names.bootstrap);
    for name in own {
        set_one_aside(context, &name, hashes, keep, changes)?;
    }
    Ok(())
}

/// Sets aside the one table of a join that its definition, as it is now, does not give; keeps it if `keep`.
pub(super) fn set_output_aside(
    context: &Context<'_>,
    names: &JoinTableNames,
    hashes: &SemanticHashes,
    keep: bool,
) -> Result<()> {
    let changes = |old: &_| hashes.invalidated(old, &names.output, &names.bootstrap);
    set_one_aside(context, &names.output, hashes, keep, changes)
}

/// Refuses the output of a join that another definition gave.
pub(super) fn check_output(
    context: &Context<'_>,
    names: &JoinTableNames,
    hashes: &SemanticHashes,
) -> Result<()> {
    let Some(old) = stored(&context.warehouse.table(&names.output)?)? else {
        return Ok(());
    };
    let found = hashes.invalidated(&old, &names.output, &names.bootstrap);
    if found.tables.contains(&names.output) {
        return Err(Error::DefinitionChanged {
            table: names.output.clone(),
            changes: found.reasons.join("; "),
        });
    }
    Ok(())
}

fn set_one_aside(
    context: &Context<'_>,
    name: &str,
    hashes: &SemanticHashes,
    keep: bool,
    changes: impl Fn(&SemanticHashes) -> Invalidated,
) -> Result<()> {
    let table = context.warehouse.table(name)?;
    let Some(found) = stored(&table)?.map(|old| changes(&old)) else {
        return Ok(());
    };
    if found.tables.iter().all(|other| other != name) {
        return Ok(());
    }
    let reasons = found.reasons.join("; ");
    if keep {
        table.set_property(HASH_PROPERTY, Some(&hashes.to_text()))?;
        let text = format!("{name} is kept although {reasons}");
        context.watcher.on(&Event::Warning(&text));
    } else {
        let archived = table.archive()?;
        let text = format!("{name} is set aside as {archived}: {reasons}");
        context.watcher.on(&Event::Note(&text));
    }
    Ok(())
}

/// The tables that belong to a join.
pub(super) struct JoinTableNames {
    pub(super) output: String,
    pub(super) bootstrap: String,
    pub(super) parts: Vec<String>,
}

fn stored(table: &Table) -> Result<Option<SemanticHashes>> {
    if !table.exists()? {
        return Ok(None);
    }
    let properties = table.properties()?.properties;
    let text = properties.get(HASH_PROPERTY).map(String::as_str);
    Ok(text.and_then(SemanticHashes::from_text))
}
