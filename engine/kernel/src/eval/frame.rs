//! The rows at hand: input columns and lambda variables, over all rows of a batch or some of them.

use std::collections::BTreeMap;

use arrow_array::{RecordBatch, UInt32Array};

use super::column::Column;
use super::node::Node;
use crate::error::KernelError;

/// What an expression reads while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) rows: usize,
    columns: BTreeMap<usize, Column>,
    variables: BTreeMap<usize, Column>,
}

impl Frame {
    pub(crate) fn of_batch(batch: &RecordBatch) -> Self {
        let columns = batch.columns().iter().enumerate();
        Self {
            rows: batch.num_rows(),
            columns: columns
                .map(|(i, array)| (i, Column::of_rows(std::sync::Arc::clone(array))))
                .collect(),
            variables: BTreeMap::new(),
        }
    }

    pub(crate) fn column(&self, index: usize) -> Option<&Column> {
        self.columns.get(&index)
    }

    pub(crate) fn variable(&self, slot: usize) -> Option<&Column> {
        self.variables.get(&slot)
    }

    /// The frame over some rows, with repeats if `rows` has any, holding what `node` reads.
    pub(crate) fn select(&self, rows: &UInt32Array, node: &Node) -> Self {
        let pick = |all: &BTreeMap<usize, Column>, read: &[usize]| {
            let held = read
                .iter()
                .filter_map(|i| Some((*i, all.get(i)?.take(rows))));
            held.collect()
        };
        Self {
            rows: rows.values().len(),
            columns: pick(&self.columns, &node.reads.columns),
            variables: pick(&self.variables, &node.reads.variables),
        }
    }

    pub(crate) fn bind(&mut self, slot: usize, column: Column) {
        self.variables.insert(slot, column);
    }

    /// Evaluates over some rows only; `None` if there are none of them. An error names the row of this frame.
    pub(crate) fn evaluate_on(
        &self,
        node: &Node,
        rows: &UInt32Array,
    ) -> Result<Option<Column>, KernelError> {
        if rows.values().is_empty() {
            return Ok(None);
        }
        let result = if rows.values().len() == self.rows {
            node.evaluate(self)
        } else {
            node.evaluate(&self.select(rows, node))
        };
        result.map(Some).map_err(|error| at_row(error, rows))
    }
}

/// Translates the row of an error back to the rows that were selected from.
pub(crate) fn at_row(error: KernelError, rows: &UInt32Array) -> KernelError {
    match error {
        KernelError::Row { row, message } => {
            let row = match row < rows.values().len() {
                true => usize::try_from(rows.value(row)).unwrap_or(row),
                false => row,
            };
            KernelError::Row { row, message }
        }
        other => other,
    }
}
