//! States as they are stored: the forms that the daily incremental table and uploads hold.
//!
//! [`Stored`] is one state taken out of a fold, [`column()`] a column of them in the part's state type. Lists of kept
//! values are the reference's heaps (`heap.rs`); distinct values come in the order in which a Java hash set would
//! give them (`java_map.rs`), because stored tables are compared with the reference's.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, Float64Array, Int64Array, ListArray, MapArray, StringArray,
    StructArray, UInt32Array, new_null_array,
};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow_schema::{DataType as ArrowType, Field, Fields};

use crate::error::KernelError;

/// A state, or a piece of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// Nothing.
    Null,
    /// A whole number of any width.
    Whole(i64),
    /// A floating number of any width.
    Floating(f64),
    /// A string.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// An element of the input.
    Element(u32),
    /// A list.
    List(Vec<Stored>),
    /// A map keyed by string.
    Map(Vec<(String, Stored)>),
    /// The fields of a struct.
    Struct(Vec<Stored>),
}

/// A column of this type; `elements` is what [`Stored::Element`] points into.
pub(crate) fn column(
    values: &[&Stored],
    data_type: &ArrowType,
    elements: &ArrayRef,
) -> Result<ArrayRef, KernelError> {
    match data_type {
        ArrowType::Struct(fields) if !points(values) => structs(values, fields, elements),
        ArrowType::List(item) if !points(values) => lists(values, item, elements),
        ArrowType::Map(entries, _) if !points(values) => maps(values, entries, elements),
        _ => leaves(values, data_type, elements),
    }
}

/// Whether the values are elements of the input.
fn points(values: &[&Stored]) -> bool {
    values
        .iter()
        .any(|value| matches!(value, Stored::Element(_)))
}

fn presence(values: &[&Stored]) -> NullBuffer {
    let present = values.iter().map(|value| **value != Stored::Null);
    NullBuffer::new(BooleanBuffer::from_iter(present))
}

fn structs(
    values: &[&Stored],
    fields: &Fields,
    elements: &ArrayRef,
) -> Result<ArrayRef, KernelError> {
    let child = |(position, field): (usize, &Arc<Field>)| {
        let part = |value: &&Stored| match value {
            Stored::Struct(parts) => parts.get(position).cloned().unwrap_or(Stored::Null),
            _ => Stored::Null,
        };
        let parts: Vec<Stored> = values.iter().map(part).collect();
        column(
            &parts.iter().collect::<Vec<_>>(),
            field.data_type(),
            elements,
        )
    };
    let columns = fields
        .iter()
        .enumerate()
        .map(child)
        .collect::<Result<_, _>>()?;
    let nulls = Some(presence(values));
    Ok(Arc::new(StructArray::try_new(
        fields.clone(),
        columns,
        nulls,
    )?))
}

fn lists(
    values: &[&Stored],
    item: &Arc<Field>,
    elements: &ArrayRef,
) -> Result<ArrayRef, KernelError> {
    let mut items = Vec::new();
    let mut lengths = Vec::with_capacity(values.len());
    for value in values {
        let list: &[Stored] = match value {
            Stored::List(list) => list,
            _ => &[],
        };
        items.extend(list);
        lengths.push(list.len());
    }
    let items = column(&items, item.data_type(), elements)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let nulls = Some(presence(values));
    Ok(Arc::new(ListArray::try_new(
        Arc::clone(item),
        offsets,
        items,
        nulls,
    )?))
}

fn maps(
    values: &[&Stored],
    entries: &Arc<Field>,
    elements: &ArrayRef,
) -> Result<ArrayRef, KernelError> {
    let (mut keys, mut items) = (Vec::new(), Vec::new());
    let mut lengths = Vec::with_capacity(values.len());
    for value in values {
        let map: &[(String, Stored)] = match value {
            Stored::Map(map) => map,
            _ => &[],
        };
        keys.extend(map.iter().map(|(key, _)| key.as_str()));
        items.extend(map.iter().map(|(_, value)| value));
        lengths.push(map.len());
    }
    let ArrowType::Struct(fields) = entries.data_type() else {
        return Err(KernelError::Type {
            operation: "a stored state".into(),
            column: entries.name().clone(),
            data_type: entries.data_type().to_string(),
        });
    };
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values(keys));
    let items = column(&items, fields[1].data_type(), elements)?;
    let structs = StructArray::try_new(fields.clone(), vec![keys, items], None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let nulls = Some(presence(values));
    let map = MapArray::try_new(Arc::clone(entries), offsets, structs, nulls, false)?;
    Ok(Arc::new(map))
}

fn leaves(
    values: &[&Stored],
    data_type: &ArrowType,
    elements: &ArrayRef,
) -> Result<ArrayRef, KernelError> {
    let shown = values.iter().find(|value| ***value != Stored::Null);
    let array: ArrayRef =
        match shown {
            Some(Stored::Whole(_)) => {
                Arc::new(Int64Array::from_iter(values.iter().map(
                    |value| match value {
                        Stored::Whole(value) => Some(*value),
                        _ => None,
                    },
                )))
            }
            Some(Stored::Floating(_)) => Arc::new(Float64Array::from_iter(values.iter().map(
                |value| match value {
                    Stored::Floating(value) => Some(*value),
                    _ => None,
                },
            ))),
            Some(Stored::Text(_)) => {
                Arc::new(StringArray::from_iter(values.iter().map(
                    |value| match value {
                        Stored::Text(value) => Some(value),
                        _ => None,
                    },
                )))
            }
            Some(Stored::Bytes(_)) => Arc::new(BinaryArray::from_iter(values.iter().map(
                |value| match value {
                    Stored::Bytes(value) => Some(value),
                    _ => None,
                },
            ))),
            Some(Stored::Element(_)) => {
                let places = UInt32Array::from_iter(values.iter().map(|value| match value {
                    Stored::Element(element) => Some(*element),
                    _ => None,
                }));
                arrow_select::take::take(elements, &places, None)?
            }
            _ => new_null_array(data_type, values.len()),
        };
    if array.data_type() == data_type {
        return Ok(array);
    }
    Ok(arrow_cast::cast(&array, data_type)?)
}

/// `java.lang.Long.hashCode`, and of a double's bits `java.lang.Double.hashCode`.
pub(crate) fn hash_of_bits(bits: u64) -> i32 {
    ((bits ^ (bits >> 32)) as u32).cast_signed()
}

/// `java.lang.String.hashCode`.
pub(crate) fn hash_of_text(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}
