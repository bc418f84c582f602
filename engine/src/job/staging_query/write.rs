//! What a query gives, written: rows to the partitions that their values name.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow_select::take::take_record_batch;
use unskewed_connectors::table::{PartitionKey, WriteOptions, Writer};
use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::naming::PARTITION_COLUMN;
use unskewed_planner::query::tree::{Operator, Relation};
use unskewed_planner::schema::{DataType, Field, Schema};
use unskewed_planner::time::Partition;

use crate::job::error::{Error, Result};
use crate::job::{Context, Outcome};
use crate::sql;

/// Where rows go.
pub(super) struct Target {
    table: String,
    partition_columns: Vec<String>,
    /// The query, with the partition columns last and as strings.
    pub(super) relation: Relation,
}

impl Target {
    /// Checks that the query's columns can be a table.
    pub(super) fn new(table: &str, partition: &[String], relation: Relation) -> Result<Self> {
        let fields = &relation.schema.fields;
        let mut problems = Vec::new();
        for (index, field) in fields.iter().enumerate() {
            let again = fields[..index]
                .iter()
                .any(|other| other.name.eq_ignore_ascii_case(&field.name));
            if again {
                let message = format!("two columns are named {}", field.name);
                problems.push(Diagnostic::error("query", message));
            }
            if has_void(&field.data_type) {
                let message = format!("column {} is null without a type", field.name);
                let hint = "cast it to the type it should have";
                problems.push(Diagnostic::error("query", message).hint(hint));
            }
        }
        for column in partition {
            if relation.schema.index_of(column).is_none() {
                let message = format!("the query has no column {column} to partition its table by");
                problems.push(Diagnostic::error("query", message));
            }
        }
        if !problems.is_empty() {
            return Err(Error::Definition(problems));
        }
        Ok(Self {
            table: table.to_owned(),
            partition_columns: partition.to_vec(),
            relation: arranged(relation, partition),
        })
    }

    /// Runs the query and replaces the partitions that it has rows of.
    pub(super) fn write(&self, context: &Context<'_>) -> Result<Outcome> {
        let table = context.warehouse.table(&self.table)?;
        let write = table.begin_write()?;
        let mut rows = sql::run(&self.relation, context.warehouse, context.memory_bytes)?;
        let options = WriteOptions::default();
        let mut writers: BTreeMap<PartitionKey, Writer> = BTreeMap::new();
        while let Some(batch) = rows.next_batch()? {
            for (key, part) in self.parts(&batch)? {
                let writer = match writers.entry(key.clone()) {
                    std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                    std::collections::btree_map::Entry::Vacant(entry) => {
                        entry.insert(write.writer(&self.relation.schema, &key, 0, &options)?)
                    }
                };
                writer.write(&part)?;
            }
        }
        if self.partition_columns.is_empty() && writers.is_empty() {
            // A view without rows is an empty table, not the rows of the run before.
            let key = PartitionKey::unpartitioned();
            let writer = write.writer(&self.relation.schema, &key, 0, &options)?;
            writers.insert(key, writer);
        }
        let staged = writers.into_values().map(Writer::finish);
        let staged = staged.collect::<std::result::Result<Vec<_>, _>>()?;
        let committed = write.commit(staged)?;
        Ok(Outcome {
            rows_in: rows.rows_in(),
            rows_out: committed.rows,
            partitions_written: committed.partitions.len() as u64,
            ..Outcome::default()
        })
    }

    /// The rows of a batch by the partition they belong to.
    fn parts(&self, batch: &RecordBatch) -> Result<Vec<(PartitionKey, RecordBatch)>> {
        let count = self.partition_columns.len();
        if count == 0 {
            return Ok(vec![(PartitionKey::unpartitioned(), batch.clone())]);
        }
        let first = batch.num_columns() - count;
        let columns: Vec<_> = batch.columns()[first..]
            .iter()
            .map(|column| column.as_string::<i32>())
            .collect();
        let mut rows: BTreeMap<Vec<Option<&str>>, Vec<u32>> = BTreeMap::new();
        for row in 0..batch.num_rows() {
            let values = columns
                .iter()
                .map(|column| column.is_valid(row).then(|| column.value(row)));
            let rows = rows.entry(values.collect()).or_default();
            rows.push(u32::try_from(row).unwrap_or(u32::MAX));
        }
        let mut parts = Vec::new();
        for (values, rows) in rows {
            let values = self.partition_columns.iter().zip(values);
            let values = values.map(|(column, value)| (column.clone(), value.map(str::to_owned)));
            let key = PartitionKey {
                values: values.collect(),
            };
            let part = match rows.len() == batch.num_rows() {
                true => batch.clone(),
                false => take_record_batch(batch, &UInt32Array::from(rows))
                    .map_err(crate::error::EngineError::Arrow)?,
            };
            parts.push((key, part));
        }
        Ok(parts)
    }
}

fn has_void(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null => true,
        DataType::Array(element) => has_void(element),
        DataType::Map(key, value) => has_void(key) || has_void(value),
        DataType::Struct(fields) => fields.iter().any(|field| has_void(&field.data_type)),
        _ => false,
    }
}

/// The partition columns moved to the end, as strings, under the names they have in the table.
fn arranged(relation: Relation, partition: &[String]) -> Relation {
    if partition.is_empty() {
        return relation;
    }
    let fields = &relation.schema.fields;
    let place = |name: &String| relation.schema.index_of(name);
    let last: Vec<usize> = partition.iter().filter_map(place).collect();
    let mut columns = Vec::new();
    let mut expressions = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        if !last.contains(&index) {
            columns.push(field.clone());
            expressions.push(relation.column(index));
        }
    }
    for (name, index) in partition.iter().zip(&last) {
        columns.push(Field::new(name, DataType::String));
        expressions.push(relation.column(*index).cast(&DataType::String));
    }
    let input = Box::new(relation);
    Relation::new(
        Schema::new(columns),
        Operator::Project { input, expressions },
    )
}

/// Says that a view's day is there.
pub(super) fn signal(
    namespace: &str,
    view: &str,
    day: Partition,
    context: &Context<'_>,
) -> Result<()> {
    let name = format!("{namespace}.chronon_signal_partitions");
    let locks = crate::job::tables::lock(context.warehouse, std::slice::from_ref(&name))?;
    let table = context.warehouse.table(&name)?;
    let write = table.begin_write()?;
    let schema = Schema::new(vec![Field::new("created_at", DataType::Timestamp)]);
    let key = PartitionKey::new([
        (PARTITION_COLUMN, day.to_string()),
        ("table_name", view.to_owned()),
    ]);
    let micros = context.clock.now_millis().saturating_mul(1_000);
    let created = TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC");
    let arrow = std::sync::Arc::new(schema.to_arrow());
    let batch = RecordBatch::try_new(arrow, vec![std::sync::Arc::new(created)])
        .map_err(crate::error::EngineError::Arrow)?;
    let mut writer = write.writer(&schema, &key, 0, &WriteOptions::default())?;
    writer.write(&batch)?;
    write.commit(vec![writer.finish()?])?;
    drop(locks);
    Ok(())
}
