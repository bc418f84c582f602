//! Rows kept for whoever runs the plan, in an order that depends on them only.
//!
//! Promises: sorted by the plan's columns, then by every other column that can be sorted, then by position; a row that
//! is added several times is there several times. For few rows: all are held in memory.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_row::{RowConverter, SortField};
use arrow_select::interleave::interleave;
use unskewed_planner::physical::Collect;
use unskewed_planner::schema::Schema;

use super::Changes;
use crate::error::EngineError;

/// Collects the rows of a node.
#[derive(Debug)]
pub struct Collector {
    sort: Vec<usize>,
    schema: Schema,
    batches: Vec<Changes>,
}

impl Collector {
    /// A collector of rows of this schema.
    pub fn new(collect: &Collect, schema: &Schema) -> Self {
        let mut sort = collect.sort.clone();
        sort.extend((0..schema.fields.len()).filter(|column| !collect.sort.contains(column)));
        let sortable = |column: &usize| {
            let arrow = schema.fields[*column].data_type.to_arrow();
            RowConverter::supports_fields(&[SortField::new(arrow)])
        };
        sort.retain(sortable);
        Self {
            sort,
            schema: schema.clone(),
            batches: vec![],
        }
    }

    /// Takes in rows.
    pub fn add(&mut self, changes: Changes) {
        if !changes.is_empty() {
            self.batches.push(changes);
        }
    }

    /// All rows, in order.
    pub fn finish(self) -> Result<RecordBatch, EngineError> {
        let mut keys = vec![];
        for (number, batch) in self.batches.iter().enumerate() {
            let columns: Vec<ArrayRef> = self
                .sort
                .iter()
                .map(|c| Arc::clone(&batch.columns[*c]))
                .collect();
            let fields = columns
                .iter()
                .map(|c| SortField::new(c.data_type().clone()));
            let rows = RowConverter::new(fields.collect())?.convert_columns(&columns);
            let rows = if columns.is_empty() {
                None
            } else {
                Some(rows?)
            };
            for row in 0..batch.len() {
                let key = rows.as_ref().map(|rows| rows.row(row).data().to_vec());
                let place = (key, batch.position[row], number, row);
                for _ in 0..batch.diff.get(row).max(0) {
                    keys.push(place.clone());
                }
            }
        }
        keys.sort();
        let order: Vec<(usize, usize)> =
            keys.iter().map(|(.., batch, row)| (*batch, *row)).collect();
        let column = |index: usize| {
            let sources: Vec<&dyn Array> = self
                .batches
                .iter()
                .map(|batch| batch.columns[index].as_ref())
                .collect();
            interleave(&sources, &order)
        };
        let schema = Arc::new(self.schema.to_arrow());
        if order.is_empty() {
            return Ok(RecordBatch::new_empty(schema));
        }
        let columns = (0..self.schema.fields.len())
            .map(column)
            .collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(order.len()));
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }
}
