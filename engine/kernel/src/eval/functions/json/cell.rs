//! Single values of any type, and arrays made of them.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray, new_null_array};
use arrow_buffer::NullBuffer;
use unskewed_planner::schema::DataType;

use crate::error::KernelError;
use crate::eval::build::{finish_list, map, structs};

/// A value; which type it is of stands beside it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Boolean(bool),
    /// Integers, dates and timestamps.
    Integer(i64),
    Real(f64),
    Decimal(i128),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Cell>),
    Map(Vec<(String, Cell)>),
    Struct(Vec<Cell>),
}

fn integers<T: ArrowPrimitiveType>(cells: &[Cell], data_type: &DataType) -> ArrayRef
where
    T::Native: TryFrom<i64>,
{
    let values: PrimitiveArray<T> = cells
        .iter()
        .map(|cell| match cell {
            Cell::Integer(value) => T::Native::try_from(*value).ok(),
            _ => None,
        })
        .collect();
    Arc::new(values.with_data_type(data_type.to_arrow()))
}

fn end(length: usize) -> i32 {
    i32::try_from(length).expect("fewer than 2^31 elements in a batch")
}

/// The array of these cells.
pub(super) fn assemble(cells: Vec<Cell>, data_type: &DataType) -> Result<ArrayRef, KernelError> {
    Ok(match data_type {
        DataType::Byte => integers::<Int8Type>(&cells, data_type),
        DataType::Short => integers::<Int16Type>(&cells, data_type),
        DataType::Int => integers::<Int32Type>(&cells, data_type),
        DataType::Long => integers::<Int64Type>(&cells, data_type),
        DataType::Date => integers::<Date32Type>(&cells, data_type),
        DataType::Timestamp | DataType::TimestampNtz => {
            integers::<TimestampMicrosecondType>(&cells, data_type)
        }
        DataType::Boolean => {
            let values = cells.iter().map(|cell| match cell {
                Cell::Boolean(value) => Some(*value),
                _ => None,
            });
            Arc::new(values.collect::<BooleanArray>())
        }
        DataType::Float | DataType::Double => reals(&cells, data_type),
        DataType::Decimal(..) => {
            let values: PrimitiveArray<Decimal128Type> = cells
                .iter()
                .map(|cell| match cell {
                    Cell::Decimal(value) => Some(*value),
                    _ => None,
                })
                .collect();
            Arc::new(values.with_data_type(data_type.to_arrow()))
        }
        DataType::String => {
            let mut builder = StringBuilder::new();
            for cell in &cells {
                builder.append_option(match cell {
                    Cell::Text(text) => Some(text),
                    _ => None,
                });
            }
            Arc::new(builder.finish())
        }
        DataType::Binary => binaries(&cells),
        DataType::Array(element) => lists(cells, element, data_type)?,
        DataType::Map(_, value) => maps(cells, value, data_type)?,
        DataType::Struct(fields) => {
            let rows = cells.len();
            let validity: Vec<bool> = cells.iter().map(|c| matches!(c, Cell::Struct(_))).collect();
            let mut columns: Vec<Vec<Cell>> = fields.iter().map(|_| Vec::new()).collect();
            for cell in cells {
                let mut values = match cell {
                    Cell::Struct(values) => values.into_iter(),
                    _ => Vec::new().into_iter(),
                };
                for column in &mut columns {
                    column.push(values.next().unwrap_or(Cell::Null));
                }
            }
            let columns = columns.into_iter().zip(fields);
            let columns = columns.map(|(column, field)| assemble(column, &field.data_type));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            structs(columns, rows, Some(NullBuffer::from(validity)), data_type)?
        }
        DataType::Null
        | DataType::DayTimeInterval(..)
        | DataType::YearMonthInterval(..)
        | DataType::CalendarInterval => new_null_array(&data_type.to_arrow(), cells.len()),
    })
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a float is the nearest to its double"
)]
fn reals(cells: &[Cell], data_type: &DataType) -> ArrayRef {
    let values = cells.iter().map(|cell| match cell {
        Cell::Real(value) => Some(*value),
        _ => None,
    });
    match data_type {
        DataType::Float => {
            let values = values.map(|value| value.map(|value| value as f32));
            Arc::new(values.collect::<PrimitiveArray<Float32Type>>())
        }
        _ => Arc::new(values.collect::<PrimitiveArray<Float64Type>>()),
    }
}

fn binaries(cells: &[Cell]) -> ArrayRef {
    let mut builder = BinaryBuilder::new();
    for cell in cells {
        builder.append_option(match cell {
            Cell::Bytes(bytes) => Some(bytes),
            _ => None,
        });
    }
    Arc::new(builder.finish())
}

fn lists(
    cells: Vec<Cell>,
    element: &DataType,
    data_type: &DataType,
) -> Result<ArrayRef, KernelError> {
    let mut all = Vec::new();
    let (mut offsets, mut validity) = (vec![0i32], Vec::new());
    for cell in cells {
        validity.push(matches!(cell, Cell::List(_)));
        if let Cell::List(items) = cell {
            all.extend(items);
        }
        offsets.push(end(all.len()));
    }
    finish_list(assemble(all, element)?, offsets, &validity, data_type)
}

fn maps(cells: Vec<Cell>, value: &DataType, data_type: &DataType) -> Result<ArrayRef, KernelError> {
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    let (mut offsets, mut validity) = (vec![0i32], Vec::new());
    for cell in cells {
        validity.push(matches!(cell, Cell::Map(_)));
        if let Cell::Map(entries) = cell {
            for (key, value) in entries {
                keys.push(Cell::Text(key));
                values.push(value);
            }
        }
        offsets.push(end(keys.len()));
    }
    let keys = assemble(keys, &DataType::String)?;
    map(
        keys,
        assemble(values, value)?,
        offsets,
        &validity,
        data_type,
    )
}
