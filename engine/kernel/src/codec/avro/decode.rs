//! Datums to columns: a tree of builders shaped as the record, fed datum by datum.
//!
//! Hot path. A datum that turns out broken is cut off from every builder again, nested ones by the offsets of their
//! parents; so no datum is walked twice.

use std::sync::Arc;

use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, ListArray, MapArray, PrimitiveArray, StringArray,
    StructArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType as ArrowType, Field, Fields};
use unskewed_planner::avro::{Kind, Record, Shape};

use super::wire::{Broken, Reader};
use super::{BadRow, Decoded};
use crate::error::KernelError;

pub(super) fn decode(record: &Record, datums: &BinaryArray) -> Result<Decoded, KernelError> {
    let fields = record.fields.iter();
    let mut builders: Vec<Builder> = fields.map(|field| Builder::new(&field.shape)).collect();
    let mut bad = Vec::new();
    for row in 0..datums.len() {
        if datums.is_null(row) {
            builders.iter_mut().for_each(Builder::push_null);
            continue;
        }
        let mut reader = Reader::new(datums.value(row));
        let fields = record.fields.iter().zip(&mut builders);
        let read = read_fields(fields.map(|(f, b)| (&f.name, b)), &mut reader);
        let read = read.and_then(|()| reader.end().map_err(|broken| (None, broken)));
        if let Err((field, broken)) = read {
            for builder in &mut builders {
                builder.truncate(row);
                builder.push_null();
            }
            let reason = match field {
                Some(field) => format!("the datum cannot be read at field {field}: {broken}"),
                None => format!("the datum cannot be read: {broken}"),
            };
            bad.push(BadRow { row, reason });
        }
    }
    let columns = builders.into_iter().map(Builder::finish);
    Ok(Decoded {
        columns: columns.collect::<Result<_, _>>()?,
        bad,
    })
}

/// Reads the fields of a datum; the first that breaks.
fn read_fields<'a, 'b>(
    fields: impl Iterator<Item = (&'a String, &'b mut Builder)>,
    reader: &mut Reader<'_>,
) -> Result<(), (Option<&'a str>, Broken)> {
    for (name, builder) in fields {
        builder
            .read(reader)
            .map_err(|broken| (Some(name.as_str()), broken))?;
    }
    Ok(())
}

/// A column in the making.
struct Builder {
    null_branch: Option<u8>,
    valid: Vec<bool>,
    values: Values,
}

enum Values {
    Boolean(Vec<bool>),
    Byte(Vec<i8>),
    Short(Vec<i16>),
    Int(Vec<i32>),
    Long(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Slices),
    Text(Slices),
    List {
        ends: Vec<usize>,
        items: Box<Builder>,
    },
    Map {
        ends: Vec<usize>,
        keys: Slices,
        values: Box<Builder>,
    },
    Struct {
        names: Vec<String>,
        fields: Vec<Builder>,
    },
}

/// Byte strings one behind the other.
#[derive(Default)]
struct Slices {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Slices {
    fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
    }

    fn truncate(&mut self, count: usize) {
        self.ends.truncate(count);
        self.bytes.truncate(last(&self.ends));
    }

    fn parts(self) -> Result<(OffsetBuffer<i32>, Buffer), ArrowError> {
        Ok((offsets(&self.ends)?, Buffer::from_vec(self.bytes)))
    }
}

fn last(ends: &[usize]) -> usize {
    ends.last().copied().unwrap_or(0)
}

fn offsets(ends: &[usize]) -> Result<OffsetBuffer<i32>, ArrowError> {
    let narrow =
        |end: &usize| i32::try_from(*end).map_err(|_| ArrowError::OffsetOverflowError(*end));
    let offsets = std::iter::once(&0).chain(ends).map(narrow);
    Ok(OffsetBuffer::new(
        offsets.collect::<Result<Vec<_>, _>>()?.into(),
    ))
}

impl Builder {
    fn new(shape: &Shape) -> Self {
        let values = match &shape.kind {
            Kind::Boolean => Values::Boolean(Vec::new()),
            Kind::Byte => Values::Byte(Vec::new()),
            Kind::Short => Values::Short(Vec::new()),
            Kind::Int => Values::Int(Vec::new()),
            Kind::Long => Values::Long(Vec::new()),
            Kind::Float => Values::Float(Vec::new()),
            Kind::Double => Values::Double(Vec::new()),
            Kind::Bytes => Values::Bytes(Slices::default()),
            Kind::String => Values::Text(Slices::default()),
            Kind::Array(item) => Values::List {
                ends: Vec::new(),
                items: Box::new(Self::new(item)),
            },
            Kind::Map(value) => Values::Map {
                ends: Vec::new(),
                keys: Slices::default(),
                values: Box::new(Self::new(value)),
            },
            Kind::Record(record) => Values::Struct {
                names: record.fields.iter().map(|f| f.name.clone()).collect(),
                fields: record.fields.iter().map(|f| Self::new(&f.shape)).collect(),
            },
        };
        Self {
            null_branch: shape.null_branch,
            valid: Vec::new(),
            values,
        }
    }

    /// Appends the next value of a datum. What was appended before an error stays until [`Builder::truncate`].
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), Broken> {
        if let Some(null_branch) = self.null_branch {
            let branch = reader.long()?;
            if !(0..=1).contains(&branch) {
                return Err(Broken::Branch(branch));
            }
            if branch == i64::from(null_branch) {
                self.push_null();
                return Ok(());
            }
        }
        match &mut self.values {
            Values::Boolean(values) => values.push(reader.boolean()?),
            Values::Byte(values) => values.push(reader.narrow()?),
            Values::Short(values) => values.push(reader.narrow()?),
            Values::Int(values) => values.push(reader.narrow()?),
            Values::Long(values) => values.push(reader.long()?),
            Values::Float(values) => values.push(reader.float()?),
            Values::Double(values) => values.push(reader.double()?),
            Values::Bytes(values) => values.push(reader.bytes()?),
            Values::Text(values) => values.push(reader.text()?.as_bytes()),
            Values::List { ends, items } => {
                let mut end = last(ends);
                loop {
                    let count = reader.block()?;
                    if count == 0 {
                        break;
                    }
                    for _ in 0..count {
                        items.read(reader)?;
                    }
                    end += count;
                }
                ends.push(end);
            }
            Values::Map { ends, keys, values } => {
                let mut end = last(ends);
                loop {
                    let count = reader.block()?;
                    if count == 0 {
                        break;
                    }
                    for _ in 0..count {
                        keys.push(reader.text()?.as_bytes());
                        values.read(reader)?;
                    }
                    end += count;
                }
                ends.push(end);
            }
            Values::Struct { fields, .. } => {
                for field in fields {
                    field.read(reader)?;
                }
            }
        }
        self.valid.push(true);
        Ok(())
    }

    fn push_null(&mut self) {
        self.valid.push(false);
        match &mut self.values {
            Values::Boolean(values) => values.push(false),
            Values::Byte(values) => values.push(0),
            Values::Short(values) => values.push(0),
            Values::Int(values) => values.push(0),
            Values::Long(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Double(values) => values.push(0.0),
            Values::Bytes(values) | Values::Text(values) => values.push(&[]),
            Values::List { ends, .. } | Values::Map { ends, .. } => ends.push(last(ends)),
            Values::Struct { fields, .. } => fields.iter_mut().for_each(Self::push_null),
        }
    }

    /// Keeps the first values only, and of what they hold nothing else.
    fn truncate(&mut self, count: usize) {
        self.valid.truncate(count);
        match &mut self.values {
            Values::Boolean(values) => values.truncate(count),
            Values::Byte(values) => values.truncate(count),
            Values::Short(values) => values.truncate(count),
            Values::Int(values) => values.truncate(count),
            Values::Long(values) => values.truncate(count),
            Values::Float(values) => values.truncate(count),
            Values::Double(values) => values.truncate(count),
            Values::Bytes(values) | Values::Text(values) => values.truncate(count),
            Values::List { ends, items } => {
                ends.truncate(count);
                items.truncate(last(ends));
            }
            Values::Map { ends, keys, values } => {
                ends.truncate(count);
                keys.truncate(last(ends));
                values.truncate(last(ends));
            }
            Values::Struct { fields, .. } => {
                fields.iter_mut().for_each(|field| field.truncate(count));
            }
        }
    }

    fn finish(self) -> Result<ArrayRef, KernelError> {
        let length = self.valid.len();
        let nulls = self
            .valid
            .contains(&false)
            .then(|| NullBuffer::from(self.valid));
        Ok(match self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.into(), nulls)),
            Values::Byte(v) => Arc::new(PrimitiveArray::<Int8Type>::new(v.into(), nulls)),
            Values::Short(v) => Arc::new(PrimitiveArray::<Int16Type>::new(v.into(), nulls)),
            Values::Int(v) => Arc::new(PrimitiveArray::<Int32Type>::new(v.into(), nulls)),
            Values::Long(v) => Arc::new(PrimitiveArray::<Int64Type>::new(v.into(), nulls)),
            Values::Float(v) => Arc::new(PrimitiveArray::<Float32Type>::new(v.into(), nulls)),
            Values::Double(v) => Arc::new(PrimitiveArray::<Float64Type>::new(v.into(), nulls)),
            Values::Bytes(slices) => {
                let (offsets, bytes) = slices.parts()?;
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
            Values::Text(slices) => {
                let (offsets, bytes) = slices.parts()?;
                Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
            }
            Values::List { ends, items } => {
                let items = items.finish()?;
                let item = Field::new("element", items.data_type().clone(), true);
                let offsets = offsets(&ends)?;
                Arc::new(ListArray::try_new(item.into(), offsets, items, nulls)?)
            }
            Values::Map { ends, keys, values } => maps(&ends, keys, *values, nulls)?,
            Values::Struct { names, fields } => {
                let columns = fields.into_iter().map(Self::finish);
                let columns = columns.collect::<Result<Vec<_>, _>>()?;
                let field = |(name, column): (String, &ArrayRef)| {
                    Field::new(name, column.data_type().clone(), true)
                };
                let fields: Fields = names.into_iter().zip(&columns).map(field).collect();
                Arc::new(StructArray::try_new_with_length(
                    fields, columns, nulls, length,
                )?)
            }
        })
    }
}

fn maps(
    ends: &[usize],
    keys: Slices,
    values: Builder,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, KernelError> {
    let (key_offsets, bytes) = keys.parts()?;
    let keys: ArrayRef = Arc::new(StringArray::try_new(key_offsets, bytes, None)?);
    let values = values.finish()?;
    let fields = Fields::from(vec![
        Field::new("key", ArrowType::Utf8, false),
        Field::new("value", values.data_type().clone(), true),
    ]);
    let entries = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    let field = Field::new("entries", ArrowType::Struct(fields), false);
    let map = MapArray::try_new(field.into(), offsets(ends)?, entries, nulls, false)?;
    Ok(Arc::new(map))
}
