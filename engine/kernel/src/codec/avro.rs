//! Rows of Arrow columns as Avro datums, and back: raw binary, without header or fingerprint, by the Avro 1.11
//! specification ("Binary Encoding").
//!
//! Promises: [`encode()`] writes what Avro's Java library writes (blocks unsized, one block a list); [`decode()`] reads
//! any encoding of the schema, and gives columns in canonical form. A row that cannot be written or read is null in
//! the answer and told by its index and a reason; the others go on. Memory is in proportion to the bytes read.

mod decode;
mod encode;
#[cfg(test)]
mod tests;
mod wire;

pub(super) use wire::{Reader, put_long};

use arrow_array::{ArrayRef, BinaryArray};
use unskewed_planner::avro::Record;

use crate::error::KernelError;

/// A row that has no datum, or a datum that holds no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Its index.
    pub row: usize,
    /// What is wrong with it, for people.
    pub reason: String,
}

/// Rows as datums.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// A datum a row; null where the row has none.
    pub datums: BinaryArray,
    /// The rows that could not be written, in order.
    pub bad: Vec<BadRow>,
}

/// Datums as rows.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// A column for each field of the record; null in the rows of null and of bad datums.
    pub columns: Vec<ArrayRef>,
    /// The datums that could not be read, in order.
    pub bad: Vec<BadRow>,
}

/// Encodes rows. `columns` are one for each field of the record, canonical and of its type.
pub fn encode(record: &Record, columns: &[ArrayRef]) -> Result<Encoded, KernelError> {
    encode::encode(record, columns)
}

/// Decodes datums; a null datum is a row of nulls.
pub fn decode(record: &Record, datums: &BinaryArray) -> Result<Decoded, KernelError> {
    decode::decode(record, datums)
}
