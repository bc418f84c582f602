//! Rows under construction, message by message.
//!
//! Promises: what a rejected message left behind is left out; the others keep their order.

use arrow_array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use unskewed_planner::schema::{DataType, Schema};

use super::Wanted;
use super::column::Column;
use crate::error::Result;
use crate::stream::{Decoded, Message, Rejected};

/// Rows of the messages of a batch.
#[derive(Debug)]
pub(super) struct Rows {
    schema: SchemaRef,
    root: Column,
    message: Vec<u32>,
    is_kept: Vec<bool>,
    rejected: Vec<Rejected>,
}

/// The rows of messages: `row` appends what a payload holds, or says why it cannot be. Its errors are those of outside
/// systems. A message without a payload says that a key is gone, which is no row.
pub(super) fn of_messages(
    wanted: &Wanted,
    messages: &[Message],
    mut row: impl FnMut(&[u8], &mut Rows) -> Result<std::result::Result<(), String>>,
) -> Result<Decoded> {
    let mut rows = Rows::new(&wanted.schema, &wanted.arrow);
    for (number, message) in (0..).zip(messages) {
        let Some(payload) = &message.payload else {
            continue;
        };
        match row(payload, &mut rows)? {
            Ok(()) => rows.keep(number),
            Err(reason) => rows.reject(number, reason),
        }
    }
    Ok(rows.finish())
}

impl Rows {
    pub(super) fn new(schema: &Schema, arrow: &SchemaRef) -> Self {
        Self {
            schema: SchemaRef::clone(arrow),
            root: Column::new(&DataType::Struct(schema.fields.clone())),
            message: vec![],
            is_kept: vec![],
            rejected: vec![],
        }
    }

    /// The structure that a row is appended to.
    pub(super) fn root(&mut self) -> &mut Column {
        &mut self.root
    }

    /// Keeps what was appended as a row of this message.
    pub(super) fn keep(&mut self, message: u32) {
        self.end_row(message, true);
    }

    /// Rejects this message, with what was appended for it.
    pub(super) fn reject(&mut self, message: u32, reason: String) {
        let of_message = self.message.iter().rev().take_while(|of| **of == message);
        let start = self.message.len() - of_message.count();
        self.is_kept[start..].fill(false);
        self.rejected.push(Rejected { message, reason });
        self.end_row(message, false);
    }

    fn end_row(&mut self, message: u32, is_kept: bool) {
        self.message.push(message);
        self.is_kept.push(is_kept);
        self.root.seal(self.message.len());
    }

    pub(super) fn finish(self) -> Decoded {
        let options = RecordBatchOptions::new().with_row_count(Some(self.message.len()));
        let columns = self.root.finish_fields();
        let rows = RecordBatch::try_new_with_options(self.schema, columns, &options)
            .expect("columns are built of the schema's types");
        if self.rejected.is_empty() {
            return Decoded {
                rows,
                message: self.message,
                rejected: vec![],
            };
        }
        let kept = self.message.iter().zip(&self.is_kept);
        let kept = kept.filter(|(_, is_kept)| **is_kept);
        let message = kept.map(|(message, _)| *message).collect();
        let is_kept = BooleanArray::from(self.is_kept);
        Decoded {
            rows: filter_record_batch(&rows, &is_kept).expect("one answer a row"),
            message,
            rejected: self.rejected,
        }
    }
}
