//! Values of callers as columns, and columns as values.
//!
//! Promises: a column is canonical; a value of another kind than the column's is an error that names both. What a key
//! may be turned into is said once, in [`cast`].

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float32Builder, Float64Builder, Int8Builder, Int16Builder,
    Int32Builder, Int64Builder, StringBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray, new_null_array};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType as ArrowType;
use unskewed_planner::schema::{DataType, Field};

use crate::value::Value;

/// A value that does not fit its column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} was given where {wanted} is wanted")]
pub struct Mistyped {
    /// What it is.
    pub found: String,
    /// The column's type.
    pub wanted: DataType,
}

fn mistyped(value: &Value, wanted: &DataType) -> Mistyped {
    Mistyped {
        found: value.kind().into(),
        wanted: wanted.clone(),
    }
}

/// A key as its column's type, by the reference's rules: whole numbers and numbers from either or from text, text from
/// anything that has one; all else as it is.
pub(crate) fn cast(value: &Value, wanted: &DataType) -> Value {
    let cast = match (wanted, value) {
        (DataType::Long, Value::Double(number)) => Some(Value::Long(*number as i64)),
        (DataType::Long, Value::Float(number)) => Some(Value::Long(*number as i64)),
        (DataType::Long, Value::String(text)) => text.parse().ok().map(Value::Long),
        (DataType::Double, Value::Long(number)) => Some(Value::Double(*number as f64)),
        (DataType::Double, Value::Float(number)) => Some(Value::Double(f64::from(*number))),
        (DataType::Double, Value::String(text)) => text.parse().ok().map(Value::Double),
        (DataType::String, Value::Long(number)) => Some(Value::String(number.to_string())),
        (DataType::String, Value::Boolean(value)) => Some(Value::String(value.to_string())),
        (DataType::String, Value::Double(number)) => Some(Value::String(java_text(*number))),
        _ => None,
    };
    cast.unwrap_or_else(|| value.clone())
}

/// A number as the reference's clients write it.
fn java_text(number: f64) -> String {
    unskewed_kernel::eval::java::number::double_to_string(number)
}

macro_rules! primitive {
    ($builder:ident, $values:expr, $wanted:expr, $pattern:pat => $value:expr) => {{
        let mut builder = $builder::new();
        for value in $values {
            match value {
                Value::Null => builder.append_null(),
                $pattern => builder.append_value($value),
                other => return Err(mistyped(other, $wanted)),
            }
        }
        Arc::new(builder.finish()) as ArrayRef
    }};
}

macro_rules! whole {
    ($builder:ident, $values:expr, $wanted:expr) => {{
        let mut builder = $builder::new();
        for value in $values {
            match value {
                Value::Null => builder.append_null(),
                Value::Long(number) => {
                    let narrow = (*number).try_into().map_err(|_| Mistyped {
                        found: number.to_string(),
                        wanted: $wanted.clone(),
                    });
                    builder.append_value(narrow?);
                }
                other => return Err(mistyped(other, $wanted)),
            }
        }
        Arc::new(builder.finish()) as ArrayRef
    }};
}

/// Values as a column of this type.
pub(crate) fn column(values: &[&Value], wanted: &DataType) -> Result<ArrayRef, Mistyped> {
    Ok(match wanted {
        DataType::Boolean => primitive!(BooleanBuilder, values, wanted, Value::Boolean(v) => *v),
        DataType::Byte => whole!(Int8Builder, values, wanted),
        DataType::Short => whole!(Int16Builder, values, wanted),
        DataType::Int => whole!(Int32Builder, values, wanted),
        DataType::Long => primitive!(Int64Builder, values, wanted, Value::Long(v) => *v),
        DataType::Float => floats(values, wanted)?,
        DataType::Double => doubles(values, wanted)?,
        DataType::String => primitive!(StringBuilder, values, wanted, Value::String(v) => v),
        DataType::Binary => primitive!(BinaryBuilder, values, wanted, Value::Bytes(v) => v),
        DataType::Array(item) => list(values, wanted, item)?,
        DataType::Map(key, item) if **key == DataType::String => map(values, wanted, item)?,
        DataType::Struct(fields) => structs(values, wanted, fields)?,
        _ if values.iter().all(|value| value.is_null()) => {
            new_null_array(&wanted.to_arrow(), values.len())
        }
        _ => {
            let given = values.iter().find(|value| !value.is_null());
            return Err(mistyped(given.unwrap_or(&&NOTHING), wanted));
        }
    })
}

fn floats(values: &[&Value], wanted: &DataType) -> Result<ArrayRef, Mistyped> {
    let mut builder = Float32Builder::new();
    for value in values {
        match value {
            Value::Null => builder.append_null(),
            Value::Float(number) => builder.append_value(*number),
            Value::Double(number) => builder.append_value(*number as f32),
            Value::Long(number) => builder.append_value(*number as f32),
            other => return Err(mistyped(other, wanted)),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn doubles(values: &[&Value], wanted: &DataType) -> Result<ArrayRef, Mistyped> {
    let mut builder = Float64Builder::new();
    for value in values {
        match value {
            Value::Null => builder.append_null(),
            Value::Double(number) => builder.append_value(*number),
            Value::Float(number) => builder.append_value(f64::from(*number)),
            Value::Long(number) => builder.append_value(*number as f64),
            other => return Err(mistyped(other, wanted)),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn list(values: &[&Value], wanted: &DataType, item: &DataType) -> Result<ArrayRef, Mistyped> {
    let (mut items, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for value in values {
        let found: &[Value] = match value {
            Value::Null => &[],
            Value::List(found) => found,
            other => return Err(mistyped(other, wanted)),
        };
        items.extend(found);
        lengths.push(found.len());
        valid.push(!value.is_null());
    }
    let inner = column(&items, item)?;
    let ArrowType::List(field) = wanted.to_arrow() else {
        return Err(mistyped(&NOTHING, wanted));
    };
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::new(
        field,
        offsets,
        inner,
        Some(NullBuffer::from(valid)),
    )))
}

fn map(values: &[&Value], wanted: &DataType, item: &DataType) -> Result<ArrayRef, Mistyped> {
    let (mut keys, mut items) = (Vec::new(), Vec::new());
    let (mut lengths, mut valid) = (Vec::new(), Vec::new());
    for value in values {
        let found: &[(String, Value)] = match value {
            Value::Null => &[],
            Value::Map(found) | Value::Struct(found) => found,
            other => return Err(mistyped(other, wanted)),
        };
        for (key, value) in found {
            keys.push(key.as_str());
            items.push(value);
        }
        lengths.push(found.len());
        valid.push(!value.is_null());
    }
    let ArrowType::Map(entries, sorted) = wanted.to_arrow() else {
        return Err(mistyped(&NOTHING, wanted));
    };
    let ArrowType::Struct(fields) = entries.data_type() else {
        return Err(mistyped(&NOTHING, wanted));
    };
    let keys = Arc::new(arrow_array::StringArray::from(keys)) as ArrayRef;
    let pairs = StructArray::new(fields.clone(), vec![keys, column(&items, item)?], None);
    let offsets = OffsetBuffer::from_lengths(lengths);
    let nulls = Some(NullBuffer::from(valid));
    Ok(Arc::new(MapArray::new(
        entries, offsets, pairs, nulls, sorted,
    )))
}

fn structs(values: &[&Value], wanted: &DataType, fields: &[Field]) -> Result<ArrayRef, Mistyped> {
    let mut columns = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        let inner = values.iter().map(|value| member(value, index, &field.name));
        let inner = inner.collect::<Option<Vec<&Value>>>();
        let other = || {
            values
                .iter()
                .find(|value| member(value, index, "").is_none())
        };
        let inner = inner.ok_or_else(|| mistyped(other().unwrap_or(&&NOTHING), wanted))?;
        columns.push(column(&inner, &field.data_type)?);
    }
    let ArrowType::Struct(arrow) = wanted.to_arrow() else {
        return Err(mistyped(&NOTHING, wanted));
    };
    let valid: Vec<bool> = values.iter().map(|value| !value.is_null()).collect();
    let nulls = Some(NullBuffer::from(valid));
    Ok(Arc::new(StructArray::new(arrow, columns, nulls)))
}

const NOTHING: Value = Value::Null;

/// A field of a struct, by name, or by position where it came as a list; `None` if it is no struct.
fn member<'a>(value: &'a Value, index: usize, name: &str) -> Option<&'a Value> {
    match value {
        Value::Null => Some(&NOTHING),
        Value::List(items) => Some(items.get(index).unwrap_or(&NOTHING)),
        Value::Map(found) | Value::Struct(found) => {
            let found = found.iter().find(|(known, _)| known == name);
            Some(found.map_or(&NOTHING, |(_, value)| value))
        }
        _ => None,
    }
}

/// The value of a row.
pub(crate) fn value_at(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        ArrowType::Boolean => Value::Boolean(column.as_boolean().value(row)),
        ArrowType::Int8 => Value::Long(column.as_primitive::<Int8Type>().value(row).into()),
        ArrowType::Int16 => Value::Long(column.as_primitive::<Int16Type>().value(row).into()),
        ArrowType::Int32 => Value::Long(column.as_primitive::<Int32Type>().value(row).into()),
        ArrowType::Int64 => Value::Long(column.as_primitive::<Int64Type>().value(row)),
        ArrowType::Float32 => Value::Float(column.as_primitive::<Float32Type>().value(row)),
        ArrowType::Float64 => Value::Double(column.as_primitive::<Float64Type>().value(row)),
        ArrowType::Utf8 => Value::String(column.as_string::<i32>().value(row).to_owned()),
        ArrowType::Binary => Value::Bytes(column.as_binary::<i32>().value(row).to_vec()),
        ArrowType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            Value::List(
                (0..items.len())
                    .map(|item| value_at(&items, item))
                    .collect(),
            )
        }
        ArrowType::Map(..) => {
            let entries = column.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let text = |entry: usize| match value_at(keys, entry) {
                Value::String(text) => text,
                other => other.to_json().to_string(),
            };
            let entries = 0..entries.len();
            Value::Map(
                entries
                    .map(|entry| (text(entry), value_at(values, entry)))
                    .collect(),
            )
        }
        ArrowType::Struct(fields) => {
            let inner = column.as_struct();
            let named = fields.iter().zip(inner.columns());
            Value::Struct(
                named
                    .map(|(f, c)| (f.name().clone(), value_at(c, row)))
                    .collect(),
            )
        }
        _ => Value::String(in_words(column, row)),
    }
}

/// A value that Avro has no type for, as Spark writes it: dates, times, decimals of derivations.
fn in_words(column: &dyn Array, row: usize) -> String {
    let one = column.slice(row, 1);
    let text = arrow_cast::cast(&one, &ArrowType::Utf8);
    text.map_or_else(
        |_| String::new(),
        |text| text.as_string::<i32>().value(0).to_owned(),
    )
}
