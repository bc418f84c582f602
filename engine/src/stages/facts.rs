//! What must be known of the left before its parts are planned.
//!
//! Promises: the facts of two shares of the rows merge into the facts of both. Never holds more
//! than the distinct key
//! values of a small left.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_row::{RowConverter, SortField};
use arrow_select::concat::concat;
use unskewed_planner::physical::Facts;
use unskewed_planner::schema::Schema;

use crate::error::EngineError;

/// What is known of the left.
#[derive(Clone, Debug, Default)]
pub struct LeftFacts {
    /// Its rows.
    pub row_count: u64,
    /// Its least and greatest time in milliseconds; none without rows or time.
    pub time_millis: Option<(i64, i64)>,
    /// Its least and greatest `ds`, as text; none without rows.
    pub day: Option<(String, String)>,
    /// Distinct values (null left out) of its key columns by name, unless there are too many rows.
    pub key_values: Option<BTreeMap<String, ArrayRef>>,
}

/// Collects facts of rows.
#[derive(Debug)]
pub struct FactCollector {
    facts: Facts,
    schema: Schema,
    so_far: LeftFacts,
}

impl FactCollector {
    /// A collector for a plan node over rows of this schema.
    pub fn new(facts: &Facts, schema: &Schema) -> Self {
        let so_far = LeftFacts {
            key_values: Some(BTreeMap::new()),
            ..LeftFacts::default()
        };
        Self {
            facts: facts.clone(),
            schema: schema.clone(),
            so_far,
        }
    }

    /// Adds rows.
    pub fn add(&mut self, columns: &[ArrayRef]) -> Result<(), EngineError> {
        let Some(day) = columns.get(self.facts.day) else {
            return Ok(());
        };
        let mut batch = LeftFacts {
            row_count: day.len() as u64,
            ..LeftFacts::default()
        };
        if let Some(time) = self.facts.time {
            let time = columns[time].as_primitive::<Int64Type>();
            let valid = || time.iter().flatten();
            batch.time_millis = valid().min().zip(valid().max());
        }
        let days = day.as_string::<i32>();
        let valid = || days.iter().flatten();
        batch.day = valid()
            .min()
            .zip(valid().max())
            .map(|(a, b)| (a.into(), b.into()));
        if self.so_far.row_count + batch.row_count <= self.facts.small_rows_max {
            let mut values = BTreeMap::new();
            for key in &self.facts.keys {
                values.insert(
                    self.schema.fields[*key].name.clone(),
                    distinct(&columns[*key])?,
                );
            }
            batch.key_values = Some(values);
        }
        self.so_far.merge(batch, self.facts.small_rows_max)
    }

    /// The facts of all rows added.
    pub fn finish(self) -> LeftFacts {
        self.so_far
    }
}

impl LeftFacts {
    /// Adds the facts of other rows of the same left.
    pub fn merge(&mut self, other: LeftFacts, small_rows_max: u64) -> Result<(), EngineError> {
        self.row_count += other.row_count;
        self.time_millis = match (self.time_millis, other.time_millis) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        self.day = match (self.day.take(), other.day) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        self.key_values = match (self.key_values.take(), other.key_values) {
            (Some(mut a), Some(b)) if self.row_count <= small_rows_max => {
                for (name, values) in b {
                    let both = match a.get(&name) {
                        Some(known) => distinct(&concat(&[known.as_ref(), values.as_ref()])?)?,
                        None => values,
                    };
                    a.insert(name, both);
                }
                Some(a)
            }
            _ => None,
        };
        Ok(())
    }
}

/// The distinct values of a column, null left out, in order of first appearance.
fn distinct(column: &ArrayRef) -> Result<ArrayRef, EngineError> {
    let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())])?;
    let rows = converter.convert_columns(&[std::sync::Arc::clone(column)])?;
    let mut seen = std::collections::BTreeSet::new();
    let first =
        |i: &u32| column.is_valid(*i as usize) && seen.insert(rows.row(*i as usize).owned());
    let kept = UInt32Array::from_iter_values((0..column.len() as u32).filter(first));
    Ok(arrow_select::take::take(column, &kept, None)?)
}
