//! Spark's casts with ANSI off: what cannot be cast is null.
//!
//! Integers wrap into narrower ones, floating numbers saturate, text is trimmed of blanks and control characters, and
//! nested values are cast part by part.

mod numeric;
mod parse;
mod temporal;
mod text;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, DurationMicrosecondType, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, new_null_array};
use unskewed_planner::schema::DataType;

use super::build;
use crate::error::KernelError;

pub(crate) use parse::double_of_text;

/// The array of type `from` as an array of type `to`.
pub(crate) fn cast(
    array: &ArrayRef,
    from: &DataType,
    to: &DataType,
) -> Result<ArrayRef, KernelError> {
    if from == to {
        return Ok(Arc::clone(array));
    }
    match (from, to) {
        (DataType::Null, _) => Ok(new_null_array(&to.to_arrow(), array.len())),
        (_, DataType::String) => text::to_string(array, from),
        (DataType::Array(a), DataType::Array(b)) => {
            let lists = array.as_list::<i32>();
            let values = cast(lists.values(), a, b)?;
            Ok(build::list_like(lists, values))
        }
        (DataType::Map(k, v), DataType::Map(l, w)) => {
            let map = array.as_map();
            let (keys, values) = (cast(map.keys(), k, l)?, cast(map.values(), v, w)?);
            let valid: Vec<bool> = (0..map.len()).map(|row| map.is_valid(row)).collect();
            build::map(keys, values, map.value_offsets().to_vec(), &valid, to)
        }
        (DataType::Struct(f), DataType::Struct(g)) => {
            let structs = array.as_struct();
            let columns = structs.columns().iter().zip(f.iter().zip(g));
            let columns = columns
                .map(|(column, (from, to))| cast(column, &from.data_type, &to.data_type))
                .collect::<Result<Vec<_>, _>>()?;
            build::structs(columns, structs.len(), structs.nulls().cloned(), to)
        }
        (_, DataType::Boolean) => to_boolean(array, from, to),
        (_, DataType::Binary) => to_binary(array, from, to),
        (_, DataType::Date | DataType::Timestamp | DataType::TimestampNtz) => {
            temporal::to_moment(array, from, to)
        }
        (
            _,
            DataType::DayTimeInterval(..)
            | DataType::YearMonthInterval(..)
            | DataType::CalendarInterval,
        ) => temporal::to_interval(array, from, to),
        _ => numeric::to_number(array, from, to),
    }
}

/// TRY_CAST: as [`cast`], but what would be cut, wrapped or saturated is null.
pub(crate) fn try_cast(
    array: &ArrayRef,
    from: &DataType,
    to: &DataType,
) -> Result<ArrayRef, KernelError> {
    match (from, to) {
        (DataType::Array(a), DataType::Array(b)) => {
            let lists = array.as_list::<i32>();
            let values = try_cast(lists.values(), a, b)?;
            Ok(build::list_like(lists, values))
        }
        (_, DataType::Byte | DataType::Short | DataType::Int | DataType::Long) => {
            numeric::to_integer_strictly(array, from, to)
        }
        (_, DataType::DayTimeInterval(..) | DataType::YearMonthInterval(..)) => {
            one_by_one(array, from, to)
        }
        (DataType::Float | DataType::Double, DataType::Timestamp) => {
            temporal::seconds_in_range(array, from)
        }
        _ => cast(array, from, to),
    }
}

/// What cannot be cast is null where [`cast`] would fail.
fn one_by_one(array: &ArrayRef, from: &DataType, to: &DataType) -> Result<ArrayRef, KernelError> {
    let one = |row| {
        cast(&array.slice(row, 1), from, to).unwrap_or_else(|_| new_null_array(&to.to_arrow(), 1))
    };
    let rows: Vec<ArrayRef> = (0..array.len()).map(one).collect();
    let rows: Vec<&dyn Array> = rows.iter().map(AsRef::as_ref).collect();
    match rows.is_empty() {
        true => Ok(new_null_array(&to.to_arrow(), 0)),
        false => Ok(arrow_select::concat::concat(&rows)?),
    }
}

fn unsupported(from: &DataType, to: &DataType) -> KernelError {
    KernelError::Type {
        operation: format!("CAST to {to}"),
        column: "its argument".into(),
        data_type: from.to_string(),
    }
}

fn nulls(array: &ArrayRef, to: &DataType) -> ArrayRef {
    new_null_array(&to.to_arrow(), array.len())
}

/// Value by value; `None` is a null.
fn map_primitive<F: ArrowPrimitiveType, T: ArrowPrimitiveType>(
    array: &ArrayRef,
    to: &DataType,
    value: impl Fn(F::Native) -> Option<T::Native>,
) -> ArrayRef {
    let input = array.as_primitive::<F>();
    let output: PrimitiveArray<T> = input.iter().map(|v| value(v?)).collect();
    Arc::new(output.with_data_type(to.to_arrow()))
}

fn map_text<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    to: &DataType,
    value: impl Fn(&str) -> Option<T::Native>,
) -> ArrayRef {
    let input = array.as_string::<i32>();
    let output: PrimitiveArray<T> = input.iter().map(|v| value(v?)).collect();
    Arc::new(output.with_data_type(to.to_arrow()))
}

fn to_boolean(array: &ArrayRef, from: &DataType, to: &DataType) -> Result<ArrayRef, KernelError> {
    fn differs<T: ArrowPrimitiveType>(array: &ArrayRef, zero: T::Native) -> BooleanArray {
        let input = array.as_primitive::<T>();
        input.iter().map(|value| value.map(|v| v != zero)).collect()
    }
    Ok(Arc::new(match from {
        DataType::String => {
            let input = array.as_string::<i32>();
            input.iter().map(|v| parse::truth_of_text(v?)).collect()
        }
        DataType::Byte => differs::<Int8Type>(array, 0),
        DataType::Short => differs::<Int16Type>(array, 0),
        DataType::Int => differs::<Int32Type>(array, 0),
        DataType::Long => differs::<Int64Type>(array, 0),
        DataType::Float => differs::<Float32Type>(array, 0.0),
        DataType::Double => differs::<Float64Type>(array, 0.0),
        DataType::Decimal(..) => differs::<Decimal128Type>(array, 0),
        DataType::Timestamp => differs::<TimestampMicrosecondType>(array, 0),
        DataType::Date => return Ok(nulls(array, to)),
        _ => return Err(unsupported(from, to)),
    }))
}

fn to_binary(array: &ArrayRef, from: &DataType, to: &DataType) -> Result<ArrayRef, KernelError> {
    fn bytes<T: ArrowPrimitiveType, const N: usize>(
        array: &ArrayRef,
        bytes: fn(T::Native) -> [u8; N],
    ) -> BinaryArray {
        let input = array.as_primitive::<T>();
        input.iter().map(|value| value.map(bytes)).collect()
    }
    Ok(Arc::new(match from {
        DataType::String => {
            let input = array.as_string::<i32>();
            input
                .iter()
                .map(|value| value.map(str::as_bytes))
                .collect::<BinaryArray>()
        }
        DataType::Byte => bytes::<Int8Type, 1>(array, i8::to_be_bytes),
        DataType::Short => bytes::<Int16Type, 2>(array, i16::to_be_bytes),
        DataType::Int => bytes::<Int32Type, 4>(array, i32::to_be_bytes),
        DataType::Long => bytes::<Int64Type, 8>(array, i64::to_be_bytes),
        _ => return Err(unsupported(from, to)),
    }))
}

/// Reads any integer-like array as 64-bit values.
fn integers<'a>(array: &'a ArrayRef, from: &DataType) -> Option<Box<dyn Fn(usize) -> i64 + 'a>> {
    fn reader<'a, T: ArrowPrimitiveType>(array: &'a ArrayRef) -> Box<dyn Fn(usize) -> i64 + 'a>
    where
        T::Native: Into<i64>,
    {
        let values = array.as_primitive::<T>();
        Box::new(move |row| values.value(row).into())
    }
    Some(match from {
        DataType::Boolean => {
            let values = array.as_boolean();
            Box::new(move |row| i64::from(values.value(row)))
        }
        DataType::Byte => reader::<Int8Type>(array),
        DataType::Short => reader::<Int16Type>(array),
        DataType::Int => reader::<Int32Type>(array),
        DataType::Long => reader::<Int64Type>(array),
        DataType::Date => reader::<Date32Type>(array),
        DataType::Timestamp | DataType::TimestampNtz => reader::<TimestampMicrosecondType>(array),
        DataType::DayTimeInterval(..) => reader::<DurationMicrosecondType>(array),
        DataType::YearMonthInterval(..) => {
            reader::<arrow_array::types::IntervalYearMonthType>(array)
        }
        _ => return None,
    })
}
