//! The rows of a stream as they are stored, one datum each: the columns that are aggregated, and of mutations the row's
//! own time and whether it is a before image.
//!
//! *Source: the specification's §5.5.*

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray};
use unskewed_planner::avro::Record;
use unskewed_planner::schema::{DataType, Field, Schema};

use super::avro::{self, BadRow, Encoded};
use super::record::record_of;
use crate::error::KernelError;
use crate::run::LaterRows;

/// Reads and writes the rows that a stream brings of a group-by.
#[derive(Clone, Debug)]
pub struct RowCodec {
    record: Record,
    /// Whether rows are mutations.
    mutations: bool,
}

impl RowCodec {
    /// The codec of rows with these aggregated columns.
    pub fn new(selected: &Schema, mutations: bool) -> Result<Self, KernelError> {
        let mut fields = selected.fields.clone();
        if mutations {
            fields.push(Field::new("ts", DataType::Long));
            fields.push(Field::new("is_before", DataType::Boolean));
        }
        Ok(Self {
            record: record_of("Value", &fields)?,
            mutations,
        })
    }

    /// Encodes rows: the aggregated columns, and of mutations `ts` (long) and `is_before` (boolean) behind them.
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<Encoded, KernelError> {
        avro::encode(&self.record, columns)
    }

    /// Decodes the rows of questions: of each its stored values with their times (an event's, or a mutation's), in the
    /// order in which they came. They are sorted by time, equal times stay in order. A row that cannot be read is left
    /// out and told by its place among all rows as they were given.
    pub fn decode(
        &self,
        questions: &[Vec<(i64, &[u8])>],
    ) -> Result<(LaterRows, Vec<BadRow>), KernelError> {
        let mut offsets = vec![0];
        // The place at which each row was given, its time and its bytes.
        let mut rows: Vec<(usize, i64, &[u8])> = Vec::new();
        for question in questions {
            let (start, given) = (rows.len(), rows.len());
            let numbered = question.iter().enumerate();
            rows.extend(
                numbered.map(|(number, (millis, value))| (given + number, *millis, *value)),
            );
            rows[start..].sort_by_key(|(_, millis, _)| *millis);
            offsets.push(rows.len() as u32);
        }
        let datums: BinaryArray = rows.iter().map(|(_, _, value)| Some(*value)).collect();
        let mut decoded = avro::decode(&self.record, &datums)?;
        let mut later = LaterRows {
            offsets,
            ts: rows.iter().map(|(_, millis, _)| *millis).collect(),
            columns: Vec::new(),
            own_times: None,
            taken_back: None,
        };
        let known = decoded.columns.len() - if self.mutations { 2 } else { 0 };
        if let [own_times, taken_back] = &decoded.columns[known..] {
            later.own_times = Some(own_times.as_primitive().clone());
            later.taken_back = Some(taken_back.as_boolean().clone());
        }
        decoded.columns.truncate(known);
        later.columns = decoded.columns;
        let mut bad = decoded.bad;
        if !bad.is_empty() {
            later.leave_out(bad.iter().map(|bad| bad.row))?;
        }
        bad.iter_mut().for_each(|bad| bad.row = rows[bad.row].0);
        bad.sort_by_key(|bad| bad.row);
        Ok((later, bad))
    }

    /// No rows of so many questions.
    pub fn no_rows(&self, question_count: usize) -> Result<LaterRows, KernelError> {
        Ok(self.decode(&vec![Vec::new(); question_count])?.0)
    }
}
