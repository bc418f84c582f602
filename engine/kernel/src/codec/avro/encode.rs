//! Columns to datums: a plan of typed writers over the columns, made once, then a walk over the rows.
//!
//! Hot path: the walk appends to one buffer and allocates nothing else; a row that cannot be written is cut off again.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow_schema::ArrowError;
use unskewed_planner::avro::{Kind, Record, Shape};

use super::wire::{put_bytes, put_long};
use super::{BadRow, Encoded};
use crate::error::KernelError;

pub(super) fn encode(record: &Record, columns: &[ArrayRef]) -> Result<Encoded, KernelError> {
    let row_count = columns.first().map_or(0, |column| column.len());
    let writers = fields(record, columns, "")?;
    let mut bytes = Vec::new();
    let mut offsets: Vec<i32> = Vec::with_capacity(row_count + 1);
    offsets.push(0);
    let mut bad = Vec::new();
    for row in 0..row_count {
        let start = bytes.len();
        let refused = writers
            .iter()
            .find_map(|writer| writer.write(row, &mut bytes).err());
        if let Some(NullAt(path)) = refused {
            bytes.truncate(start);
            bad.push(BadRow {
                row,
                reason: format!("{path} is null, which its Avro type does not allow"),
            });
        }
        let end = i32::try_from(bytes.len());
        offsets.push(end.map_err(|_| ArrowError::OffsetOverflowError(bytes.len()))?);
    }
    let mut valid = vec![true; row_count];
    bad.iter().for_each(|bad| valid[bad.row] = false);
    let nulls = (!bad.is_empty()).then(|| NullBuffer::from(valid));
    let datums = BinaryArray::try_new(
        OffsetBuffer::new(offsets.into()),
        Buffer::from_vec(bytes),
        nulls,
    )?;
    Ok(Encoded { datums, bad })
}

/// A null where there may be none; the path of the field.
struct NullAt<'a>(&'a str);

/// Writes the values of one array.
struct Writer<'a> {
    nulls: Option<&'a NullBuffer>,
    null_branch: Option<u8>,
    values: Values<'a>,
    path: String,
}

enum Values<'a> {
    Boolean(&'a BooleanArray),
    Byte(&'a [i8]),
    Short(&'a [i16]),
    Int(&'a [i32]),
    Long(&'a [i64]),
    Float(&'a [f32]),
    Double(&'a [f64]),
    Bytes(&'a BinaryArray),
    Text(&'a StringArray),
    List {
        offsets: &'a OffsetBuffer<i32>,
        items: Box<Writer<'a>>,
    },
    Map {
        offsets: &'a OffsetBuffer<i32>,
        keys: &'a StringArray,
        values: Box<Writer<'a>>,
    },
    Struct(Vec<Writer<'a>>),
}

/// The writers of a record's fields.
fn fields<'a>(
    record: &Record,
    columns: &'a [ArrayRef],
    path: &str,
) -> Result<Vec<Writer<'a>>, KernelError> {
    if let Some(missing) = record.fields.get(columns.len()) {
        return Err(KernelError::MissingColumn {
            column: missing.name.clone(),
        });
    }
    let fields = record.fields.iter().zip(columns);
    fields
        .map(|(field, column)| {
            let path = match path {
                "" => field.name.clone(),
                path => format!("{path}.{}", field.name),
            };
            writer(&field.shape, column, path)
        })
        .collect()
}

fn writer<'a>(
    shape: &Shape,
    column: &'a ArrayRef,
    path: String,
) -> Result<Writer<'a>, KernelError> {
    let data_type = shape.data_type().to_arrow();
    let fits = match (&shape.kind, column.data_type()) {
        // Names inside structs may have been numbered; their types are checked one by one.
        (Kind::Array(_), arrow_schema::DataType::List(_))
        | (Kind::Map(_), arrow_schema::DataType::Map(..))
        | (Kind::Record(_), arrow_schema::DataType::Struct(_)) => true,
        (_, found) => *found == data_type,
    };
    if !fits {
        return Err(KernelError::Type {
            operation: "the Avro form".into(),
            column: path,
            data_type: column.data_type().to_string(),
        });
    }
    let values = match &shape.kind {
        Kind::Boolean => Values::Boolean(column.as_boolean()),
        Kind::Byte => Values::Byte(column.as_primitive::<Int8Type>().values()),
        Kind::Short => Values::Short(column.as_primitive::<Int16Type>().values()),
        Kind::Int => Values::Int(column.as_primitive::<Int32Type>().values()),
        Kind::Long => Values::Long(column.as_primitive::<Int64Type>().values()),
        Kind::Float => Values::Float(column.as_primitive::<Float32Type>().values()),
        Kind::Double => Values::Double(column.as_primitive::<Float64Type>().values()),
        Kind::Bytes => Values::Bytes(column.as_binary()),
        Kind::String => Values::Text(column.as_string()),
        Kind::Array(item) => {
            let lists = column.as_list::<i32>();
            Values::List {
                offsets: lists.offsets(),
                items: Box::new(writer(item, lists.values(), format!("an item of {path}"))?),
            }
        }
        Kind::Map(value) => {
            let maps = column.as_map();
            let keys = maps.keys().as_string_opt();
            Values::Map {
                offsets: maps.offsets(),
                keys: keys.ok_or_else(|| KernelError::Type {
                    operation: "the Avro form".into(),
                    column: format!("the keys of {path}"),
                    data_type: maps.keys().data_type().to_string(),
                })?,
                values: Box::new(writer(value, maps.values(), format!("a value of {path}"))?),
            }
        }
        Kind::Record(record) => {
            Values::Struct(fields(record, column.as_struct().columns(), &path)?)
        }
    };
    Ok(Writer {
        nulls: column.nulls(),
        null_branch: shape.null_branch,
        values,
        path,
    })
}

impl Writer<'_> {
    fn write(&self, row: usize, bytes: &mut Vec<u8>) -> Result<(), NullAt<'_>> {
        let present = self.nulls.is_none_or(|nulls| nulls.is_valid(row));
        match (self.null_branch, present) {
            (Some(branch), false) => {
                put_long(i64::from(branch), bytes);
                return Ok(());
            }
            (Some(branch), true) => put_long(i64::from(1 - branch), bytes),
            (None, false) => return Err(NullAt(&self.path)),
            (None, true) => {}
        }
        match &self.values {
            Values::Boolean(values) => bytes.push(u8::from(values.value(row))),
            Values::Byte(values) => put_long(i64::from(values[row]), bytes),
            Values::Short(values) => put_long(i64::from(values[row]), bytes),
            Values::Int(values) => put_long(i64::from(values[row]), bytes),
            Values::Long(values) => put_long(values[row], bytes),
            Values::Float(values) => bytes.extend(values[row].to_le_bytes()),
            Values::Double(values) => bytes.extend(values[row].to_le_bytes()),
            Values::Bytes(values) => put_bytes(values.value(row), bytes),
            Values::Text(values) => put_bytes(values.value(row).as_bytes(), bytes),
            Values::List { offsets, items } => {
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                if !range.is_empty() {
                    put_long(range.len() as i64, bytes);
                    for item in range {
                        items.write(item, bytes)?;
                    }
                }
                bytes.push(0);
            }
            Values::Map {
                offsets,
                keys,
                values,
            } => {
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                if !range.is_empty() {
                    put_long(range.len() as i64, bytes);
                    for entry in range {
                        put_bytes(keys.value(entry).as_bytes(), bytes);
                        values.write(entry, bytes)?;
                    }
                }
                bytes.push(0);
            }
            Values::Struct(fields) => {
                for field in fields {
                    field.write(row, bytes)?;
                }
            }
        }
        Ok(())
    }
}
