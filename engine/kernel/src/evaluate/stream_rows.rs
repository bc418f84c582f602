//! What a stream keeps of each key: all its rows in their order, each as a datum, in one value.
//!
//! A query gets every row there is, whatever its time: which of them count, a reader decides when it asks.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray, Int64Array};
use unskewed_planner::schema::{DataType, Field};

use crate::codec::stream_row::{StreamRow, pack};
use crate::error::KernelError;
use crate::run::{Evaluated, Evaluator, Queries, Run};

/// The evaluator.
#[derive(Clone, Debug)]
pub struct StreamRows {
    datum: usize,
    schema: u64,
    since_millis: i64,
    output: Vec<Field>,
}

impl StreamRows {
    /// Packs this payload column, which is binary, of datums under the schema of this fingerprint. `since_millis`: from
    /// when on the rows are all there.
    pub fn new(datum: usize, schema: u64, since_millis: i64) -> Self {
        Self {
            datum,
            schema,
            since_millis,
            output: Self::fields(),
        }
    }

    /// The answer: the value, and the time of its latest row.
    pub fn fields() -> Vec<Field> {
        vec![
            Field::new("row", DataType::Binary),
            Field::new("millis", DataType::Long),
        ]
    }
}

impl Evaluator for StreamRows {
    fn output(&self) -> &[Field] {
        &self.output
    }

    fn evaluate(&mut self, right: Run<'_>, queries: Queries<'_>) -> Result<Evaluated, KernelError> {
        let datums = &right.columns[self.datum];
        let datums = datums
            .as_binary_opt::<i32>()
            .ok_or_else(|| KernelError::Type {
                operation: "a packed row".into(),
                column: self.datum.to_string(),
                data_type: datums.data_type().to_string(),
            })?;
        let (mut rows, mut latest) = (Vec::new(), Vec::new());
        for key in 0..right.key_count() {
            let own = right.rows(key);
            let last = own.clone().last().map(|row| right.ts[row]);
            let entries = own.map(|row| (right.ts[row], datums.value(row)));
            let packed = pack(&StreamRow {
                epoch: 0,
                schema: self.schema,
                since_millis: self.since_millis,
                entries: entries.collect(),
            });
            for _ in queries.of_key(key) {
                rows.push(packed.clone());
                latest.push(last);
            }
        }
        let rows = BinaryArray::from_iter_values(rows);
        let columns: Vec<ArrayRef> = vec![Arc::new(rows), Arc::new(Int64Array::from(latest))];
        Ok(Evaluated::one_each(queries, columns))
    }

    fn reach(&self, _: i64) -> Range<i64> {
        i64::MIN..i64::MAX
    }

    fn looks_at(&self, _: i64) -> Range<i64> {
        i64::MIN..i64::MAX
    }
}
