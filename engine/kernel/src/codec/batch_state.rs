//! The states of a batch as stored values, and back to columns.
//!
//! A value is the datum of two fields, collapsed and tail states, as an existing fetcher reads it; right behind lies a
//! third, the edge (see `evaluate::batch_states`), so that all three are one datum too. Values without the third, as
//! others write them, are read as having none.

use arrow_array::{ArrayRef, BinaryArray};
use unskewed_planner::aggregation::{AggregatePart, batch_fields};
use unskewed_planner::avro::Record;

use super::avro::{self, Decoded, Encoded};
use super::record::record_of;
use crate::error::KernelError;

/// Reads and writes the states of a group-by's batches.
#[derive(Clone, Debug)]
pub struct BatchCodec {
    record: Record,
}

impl BatchCodec {
    /// The codec of parts whose aggregations and buckets `bases` numbers.
    pub fn new(parts: &[AggregatePart], bases: &[usize]) -> Result<Self, KernelError> {
        Ok(Self {
            record: record_of("Value", &batch_fields(parts, bases))?,
        })
    }

    /// Encodes the columns of [`batch_fields`].
    pub fn encode(&self, columns: &[ArrayRef]) -> Result<Encoded, KernelError> {
        avro::encode(&self.record, columns)
    }

    /// Decodes a value to the columns of [`batch_fields`], of one row each.
    pub fn decode(&self, value: &[u8]) -> Result<Vec<ArrayRef>, KernelError> {
        let whole = decode_one(&self.record, value)?;
        if whole.bad.is_empty() {
            return Ok(whole.columns);
        }
        // What is no datum of three fields may be one of two: a null makes the third.
        let completed = decode_one(&self.record, &[value, &[0]].concat())?;
        if completed.bad.is_empty() {
            return Ok(completed.columns);
        }
        let reason = whole.bad.into_iter().map(|bad| bad.reason).collect();
        Err(KernelError::Value { reason })
    }
}

/// Decodes one datum.
pub(super) fn decode_one(record: &Record, value: &[u8]) -> Result<Decoded, KernelError> {
    avro::decode(record, &BinaryArray::from_vec(vec![value]))
}
