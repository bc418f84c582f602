//! Changes of a database's rows, as Debezium tells them: `before`, `after`, and what was done.
//!
//! | `op` | events | mutations |
//! |---|---|---|
//! | `c`, `r` created or read | after | after |
//! | `u` updated | after | after, then before |
//! | `d` deleted | none | before |
//! | `t`, `m` truncated, or not about a row | none | none |
//!
//! Promises: it knows no form, as a form's decoder gives it the envelope as a row. Rows of a message stand at one time,
//! when the database did it: `ts_ms` of `source`, else of the envelope. A message whose before equals its after in the
//! columns that are wanted gives none. What cannot be told fully (an update of mutations without its before) is
//! rejected, as half of it would count a row twice.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int64Array, PrimitiveArray, RecordBatch, RecordBatchOptions,
    StructArray,
};
use arrow_schema::SchemaRef;
use arrow_select::interleave::interleave;
use unskewed_planner::schema::{DataType, Field, Schema};

use super::Wanted;
use crate::error;
use crate::stream::{Decoded, Decoder, Message, Rejected};

/// The columns that a mutation's rows have of their own.
pub(super) const IS_BEFORE: &str = "is_before";
pub(super) const MUTATION_TIME: &str = "mutation_ts";

/// The decoder.
pub(super) struct Debezium {
    envelope: Box<dyn Decoder>,
    wanted: Wanted,
    mutations: bool,
}

/// A row to be: a message's, its number in the envelopes, and which side of it.
#[derive(Clone, Copy)]
struct Side {
    message: u32,
    row: usize,
    is_before: bool,
}

/// The columns that a row of the database has, among those wanted.
fn content(wanted: &Wanted, mutations: bool) -> Vec<Field> {
    let is_own = |name: &str| mutations && (name == IS_BEFORE || name == MUTATION_TIME);
    let fields = wanted.schema.fields.iter();
    fields
        .filter(|field| !is_own(&field.name))
        .cloned()
        .collect()
}

/// What is wanted of an envelope, for these columns.
pub(super) fn envelope(wanted: &Wanted, mutations: bool) -> Wanted {
    let side = DataType::Struct(content(wanted, mutations));
    let time = Field::new("ts_ms", DataType::Long);
    Wanted::of(Schema::new(vec![
        Field::new("before", side.clone()),
        Field::new("after", side),
        Field::new("source", DataType::Struct(vec![time.clone()])),
        Field::new("op", DataType::String),
        time,
    ]))
}

impl Debezium {
    /// Reads what this decoder makes of an [`envelope`].
    pub(super) fn new(envelope: Box<dyn Decoder>, wanted: Wanted, mutations: bool) -> Self {
        Self {
            envelope,
            wanted,
            mutations,
        }
    }

    /// The rows of a message, and why there are none where it is rejected.
    fn sides(
        &self,
        envelopes: &Envelopes<'_>,
        message: u32,
        row: usize,
    ) -> Result<Vec<Side>, &'static str> {
        let (has_before, has_after) = (
            envelopes.before.is_valid(row),
            envelopes.after.is_valid(row),
        );
        let side = |is_before| Side {
            message,
            row,
            is_before,
        };
        let known = match envelopes.operation(row) {
            None => return Err("it has no op; is it an envelope of Debezium?"),
            Some("t" | "m") => return Ok(vec![]),
            Some("c" | "r") if has_after => vec![side(false)],
            Some("u") if has_after && has_before => match envelopes.is_same(row) {
                true => vec![],
                false => vec![side(false), side(true)],
            },
            Some("u") if has_after && !self.mutations => vec![side(false)],
            Some("d") if has_before || !self.mutations => vec![side(true)],
            Some("u" | "d") if has_after || !has_before => {
                return Err(
                    "its before is missing; let the database log whole rows, as REPLICA IDENTITY FULL does",
                );
            }
            Some("c" | "r" | "u") => return Err("its after is missing"),
            Some(_) => return Err("its op is none of c, r, u, d, t and m"),
        };
        if !self.mutations {
            return Ok(known.into_iter().filter(|side| !side.is_before).collect());
        }
        match known.is_empty() || envelopes.millis(row).is_some() {
            true => Ok(known),
            false => Err("it has no ts_ms, neither in its source nor of its own"),
        }
    }

    fn rows(&self, envelopes: &Envelopes<'_>, sides: &[Side]) -> RecordBatch {
        let picks = sides
            .iter()
            .map(|side| (usize::from(side.is_before), side.row));
        let picks: Vec<(usize, usize)> = picks.collect();
        let mut contents = envelopes
            .after
            .columns()
            .iter()
            .zip(envelopes.before.columns());
        let columns = self.wanted.schema.fields.iter().map(|field| {
            match (field.name.as_str(), self.mutations) {
                (IS_BEFORE, true) => {
                    let is_before = sides.iter().map(|side| side.is_before);
                    Arc::new(BooleanArray::from_iter(is_before.map(Some))) as ArrayRef
                }
                (MUTATION_TIME, true) => times(sides, envelopes, &field.data_type),
                _ => {
                    let (after, before) = contents.next().expect("one for each that is wanted");
                    let picked = interleave(&[&**after, &**before], &picks);
                    picked.expect("both sides have one type")
                }
            }
        });
        let columns: Vec<ArrayRef> = columns.collect();
        let options = RecordBatchOptions::new().with_row_count(Some(sides.len()));
        RecordBatch::try_new_with_options(self.wanted.arrow(), columns, &options)
            .expect("columns are built of the schema's types")
    }
}

/// When a side's mutation was; those without a time were rejected.
fn times(sides: &[Side], envelopes: &Envelopes<'_>, data_type: &DataType) -> ArrayRef {
    let millis = sides.iter().map(|side| envelopes.millis(side.row));
    match data_type {
        DataType::Timestamp => {
            let micros = millis.map(|millis| millis.and_then(|millis| millis.checked_mul(1000)));
            let times: PrimitiveArray<TimestampMicrosecondType> = micros.collect();
            Arc::new(times.with_timezone("UTC"))
        }
        _ => Arc::new(millis.collect::<Int64Array>()),
    }
}

impl Decoder for Debezium {
    fn schema(&self) -> SchemaRef {
        self.wanted.arrow()
    }

    fn decode(&mut self, messages: &[Message]) -> error::Result<Decoded> {
        let decoded = self.envelope.decode(messages)?;
        let envelopes = Envelopes::of(&decoded.rows);
        let (mut sides, mut rejected) = (vec![], decoded.rejected);
        for (row, message) in decoded.message.iter().enumerate() {
            match self.sides(&envelopes, *message, row) {
                Ok(known) => sides.extend(known),
                Err(reason) => rejected.push(Rejected {
                    message: *message,
                    reason: reason.into(),
                }),
            }
        }
        rejected.sort_by_key(|rejected| rejected.message);
        Ok(Decoded {
            rows: self.rows(&envelopes, &sides),
            message: sides.iter().map(|side| side.message).collect(),
            rejected,
        })
    }
}

/// The columns of envelopes.
struct Envelopes<'a> {
    before: &'a StructArray,
    after: &'a StructArray,
    operations: &'a ArrayRef,
    times: &'a Int64Array,
    source_times: &'a Int64Array,
}

impl<'a> Envelopes<'a> {
    fn of(rows: &'a RecordBatch) -> Self {
        Self {
            before: rows.column(0).as_struct(),
            after: rows.column(1).as_struct(),
            source_times: rows
                .column(2)
                .as_struct()
                .column(0)
                .as_primitive::<Int64Type>(),
            operations: rows.column(3),
            times: rows.column(4).as_primitive::<Int64Type>(),
        }
    }

    fn operation(&self, row: usize) -> Option<&str> {
        let operations = self.operations.as_string::<i32>();
        operations.is_valid(row).then(|| operations.value(row))
    }

    fn millis(&self, row: usize) -> Option<i64> {
        let of = |times: &Int64Array| times.is_valid(row).then(|| times.value(row));
        of(self.source_times).or_else(|| of(self.times))
    }

    /// Whether nothing changed that is wanted.
    fn is_same(&self, row: usize) -> bool {
        let mut columns = self.before.columns().iter().zip(self.after.columns());
        columns.all(|(before, after)| before.slice(row, 1) == after.slice(row, 1))
    }
}

#[cfg(test)]
mod tests;
