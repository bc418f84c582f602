//! Records whose decoded columns bear our own names.
//!
//! Avro's names are cleaned and made distinct over a whole schema; bytes know none of them. A record made here has the
//! bytes of [`Record::of`] and the names of the fields, so that what is decoded has exactly the types that were given.

use unskewed_planner::avro::{Kind, Record, RecordField, Shape};
use unskewed_planner::schema::{DataType, Field, Schema};

use crate::error::KernelError;

/// The record of these fields.
pub(super) fn record_of(name: &str, fields: &[Field]) -> Result<Record, KernelError> {
    let made = Record::of(name, &Schema::new(fields.to_vec()));
    let mut record = made.map_err(|columns| {
        let first = columns.into_iter().next();
        KernelError::Unstorable(first.expect("a record is refused for a column"))
    })?;
    rename(&mut record.fields, fields);
    Ok(record)
}

fn rename(record: &mut [RecordField], fields: &[Field]) {
    for (named, field) in record.iter_mut().zip(fields) {
        named.name.clone_from(&field.name);
        rename_within(&mut named.shape, &field.data_type);
    }
}

fn rename_within(shape: &mut Shape, data_type: &DataType) {
    match (&mut shape.kind, data_type) {
        (Kind::Array(item), DataType::Array(data_type)) => rename_within(item, data_type),
        (Kind::Map(value), DataType::Map(_, data_type)) => rename_within(value, data_type),
        (Kind::Record(record), DataType::Struct(fields)) => rename(&mut record.fields, fields),
        _ => {}
    }
}
