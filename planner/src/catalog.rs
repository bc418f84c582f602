//! What the planner may ask about tables: their columns and the partitions they hold. Answers are facts taken before
//! planning; the planner itself never reads.

use std::collections::BTreeMap;

use crate::schema::Schema;

/// Facts about the tables of a warehouse.
///
/// # Contract
/// Answers do not change while one definition is resolved.
pub trait Catalog {
    /// The columns of a table, partition columns included; `None` when there is no such table.
    fn schema(&self, table: &str) -> Option<Schema>;

    /// The names of the partition columns, outermost first; empty for an unpartitioned or absent table.
    fn partition_columns(&self, table: &str) -> Vec<String>;

    /// The partitions a table holds: column and value pairs, outermost first, in any order.
    fn partitions(&self, table: &str) -> Vec<PartitionValues>;

    /// What a table says about itself; empty for one that says nothing.
    fn properties(&self, table: &str) -> BTreeMap<String, String>;
}

/// One partition: column and value pairs, outermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionValues(pub Vec<(String, String)>);

impl PartitionValues {
    /// The value of a partition column.
    pub fn get(&self, column: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name == column)
            .map(|(_, value)| value.as_str())
    }
}

/// The sorted, distinct values of a partition column over the partitions that match every sub-partition.
pub fn partition_values(
    catalog: &dyn Catalog,
    table: &str,
    column: &str,
    sub_partitions: &[(String, String)],
) -> Vec<String> {
    let mut values: Vec<String> = catalog
        .partitions(table)
        .into_iter()
        .filter(|partition| {
            sub_partitions
                .iter()
                .all(|(name, value)| partition.get(name) == Some(value.as_str()))
        })
        .filter_map(|partition| partition.get(column).map(str::to_owned))
        .collect();
    values.sort();
    values.dedup();
    values
}

/// A table held in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryTable {
    /// Columns, partition columns included.
    pub schema: Schema,
    /// Names of the partition columns.
    pub partition_columns: Vec<String>,
    /// Partitions held.
    pub partitions: Vec<PartitionValues>,
    /// What it says about itself.
    pub properties: BTreeMap<String, String>,
}

/// A catalog held in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryCatalog {
    /// Tables by name.
    pub tables: BTreeMap<String, MemoryTable>,
}

impl MemoryCatalog {
    /// Adds a table partitioned by one column.
    #[must_use]
    pub fn with_table(
        mut self,
        name: &str,
        schema: Schema,
        partition_column: &str,
        days: &[&str],
    ) -> Self {
        let partitions = days
            .iter()
            .map(|day| PartitionValues(vec![(partition_column.into(), (*day).into())]))
            .collect();
        let partition_columns = vec![partition_column.into()];
        self.tables.insert(
            name.into(),
            MemoryTable {
                schema,
                partition_columns,
                partitions,
                properties: BTreeMap::new(),
            },
        );
        self
    }
}

impl Catalog for MemoryCatalog {
    fn schema(&self, table: &str) -> Option<Schema> {
        self.tables.get(table).map(|table| table.schema.clone())
    }

    fn partition_columns(&self, table: &str) -> Vec<String> {
        self.tables
            .get(table)
            .map_or_else(Vec::new, |table| table.partition_columns.clone())
    }

    fn partitions(&self, table: &str) -> Vec<PartitionValues> {
        self.tables
            .get(table)
            .map_or_else(Vec::new, |table| table.partitions.clone())
    }

    fn properties(&self, table: &str) -> BTreeMap<String, String> {
        self.tables
            .get(table)
            .map_or_else(BTreeMap::new, |table| table.properties.clone())
    }
}
