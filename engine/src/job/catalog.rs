//! What the planner asks about tables, answered from the warehouse.
//!
//! Promises: each table is asked for once, so answers do not change while a definition is resolved. A table that
//! cannot be read is no missing table: the failure is kept and [`WarehouseCatalog::checked`] returns it instead of
//! the diagnostics it would cause.

use std::cell::RefCell;
use std::collections::BTreeMap;

use unskewed_connectors::error::Error as TableError;
use unskewed_connectors::table::{PartitionKey, Warehouse};
use unskewed_planner::catalog::{Catalog, MemoryTable, PartitionValues, partition_values};
use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::naming::TableSpec;
use unskewed_planner::schema::Schema;

use super::error::{Error, Result};
use crate::partitions::Days;

/// Facts about the tables of a warehouse.
pub struct WarehouseCatalog<'a> {
    warehouse: &'a Warehouse,
    known: RefCell<BTreeMap<String, Option<MemoryTable>>>,
    failure: RefCell<Option<TableError>>,
}

impl<'a> WarehouseCatalog<'a> {
    /// A catalog that has asked nothing yet.
    pub fn new(warehouse: &'a Warehouse) -> Self {
        Self {
            warehouse,
            known: RefCell::default(),
            failure: RefCell::default(),
        }
    }

    /// What came of planning with this catalog; a table that could not be read comes first.
    pub fn checked<T>(&self, planned: std::result::Result<T, Vec<Diagnostic>>) -> Result<T> {
        match (self.failure.take(), planned) {
            (Some(failure), _) => Err(Error::Table(failure)),
            (None, Ok(value)) => Ok(value),
            (None, Err(problems)) => Err(Error::Definition(problems)),
        }
    }

    /// The days a table holds, in the partitions that match its sub-partitions.
    pub fn days(&self, table: &TableSpec, column: &str) -> Result<Days> {
        let values = partition_values(self, &table.table, column, &table.sub_partitions);
        self.checked(Ok(()))?;
        // A value that is no day cannot be asked for by day.
        Ok(values
            .iter()
            .filter_map(|value| value.parse().ok())
            .collect())
    }

    fn ask<T>(&self, table: &str, answer: impl FnOnce(&MemoryTable) -> T) -> Option<T> {
        let mut known = self.known.borrow_mut();
        let entry = known.entry(table.into()).or_insert_with(|| {
            self.read(table).unwrap_or_else(|error| {
                self.failure.borrow_mut().get_or_insert(error);
                None
            })
        });
        entry.as_ref().map(answer)
    }

    fn read(&self, name: &str) -> std::result::Result<Option<MemoryTable>, TableError> {
        let table = match self.warehouse.table(name) {
            Ok(table) => table,
            // The planner says where the wrong name stands.
            Err(TableError::InvalidTableName { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let schema = match table.schema() {
            Ok(schema) => schema,
            Err(TableError::NoSuchTable { .. } | TableError::NoSchema { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let partitions = table.partitions()?;
        Ok(Some(MemoryTable {
            schema,
            partition_columns: table.partition_columns()?,
            partitions: partitions.into_iter().map(values).collect(),
            properties: table.properties()?.properties,
        }))
    }
}

fn values(key: PartitionKey) -> PartitionValues {
    let named = |(column, value): (String, Option<String>)| value.map(|value| (column, value));
    PartitionValues(key.values.into_iter().filter_map(named).collect())
}

impl Catalog for WarehouseCatalog<'_> {
    fn schema(&self, table: &str) -> Option<Schema> {
        self.ask(table, |known| known.schema.clone())
    }

    fn partition_columns(&self, table: &str) -> Vec<String> {
        let columns = self.ask(table, |known| known.partition_columns.clone());
        columns.unwrap_or_default()
    }

    fn partitions(&self, table: &str) -> Vec<PartitionValues> {
        let partitions = self.ask(table, |known| known.partitions.clone());
        partitions.unwrap_or_default()
    }

    fn properties(&self, table: &str) -> BTreeMap<String, String> {
        let properties = self.ask(table, |known| known.properties.clone());
        properties.unwrap_or_default()
    }
}
