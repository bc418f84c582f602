//! Hashes and checksums.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType, IntervalYearMonthType,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};
use md5::Digest;
use unskewed_planner::schema::DataType;

use super::{Entry, eager};
use crate::eval::build::Built;
use crate::eval::call::Call;
use crate::eval::java::hash::{
    Murmur3, SparkHash, XxHash64, fold_decimal, fold_double, fold_float,
};

pub(super) fn functions() -> Vec<Entry> {
    vec![
        eager("hash", |call| {
            call.build::<Int32Type>(|row| Some(fold_row(call, row, Murmur3(42)).0))
        }),
        eager("xxhash64", |call| {
            call.build::<Int64Type>(|row| Some(fold_row(call, row, XxHash64(42)).0))
        }),
        eager("crc32", |call| {
            let bytes = call.binaries(0);
            call.build::<Int64Type>(|row| bytes.get(row).map(|b| crc32fast::hash(b).into()))
        }),
        eager("md5", |call| {
            digest(call, |bytes| hexadecimal(&md5::Md5::digest(bytes)))
        }),
        eager("sha1", |call| {
            digest(call, |bytes| hexadecimal(&sha1::Sha1::digest(bytes)))
        }),
        eager("sha2", sha2),
    ]
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(call: &Call<'_>, digest: fn(&[u8]) -> String) -> Built {
    let bytes = call.binaries(0);
    call.build_strings(|row| bytes.get(row).map(digest))
}

/// Null for a length that there is no hash of.
fn sha2(call: &Call<'_>) -> Built {
    let (bytes, bits) = (call.binaries(0), call.primitives::<Int32Type>(1));
    call.build_strings(|row| {
        let bytes = bytes.get(row)?;
        Some(match bits.get(row)? {
            224 => hexadecimal(&sha2::Sha224::digest(bytes)),
            0 | 256 => hexadecimal(&sha2::Sha256::digest(bytes)),
            384 => hexadecimal(&sha2::Sha384::digest(bytes)),
            512 => hexadecimal(&sha2::Sha512::digest(bytes)),
            _ => return None,
        })
    })
}

fn fold_row<H: SparkHash>(call: &Call<'_>, row: usize, seed: H) -> H {
    let columns = call.columns.iter().zip(&call.types);
    columns.fold(seed, |hash, (column, data_type)| {
        fold(hash, &column.array, data_type, column.index(row))
    })
}

/// Folds one value; a null leaves the hash as it is.
fn fold<H: SparkHash>(hash: H, array: &ArrayRef, data_type: &DataType, index: usize) -> H {
    if array.is_null(index) || *data_type == DataType::Null {
        return hash;
    }
    match data_type {
        DataType::Boolean => hash.int(array.as_boolean().value(index).into()),
        DataType::Byte => hash.int(array.as_primitive::<Int8Type>().value(index).into()),
        DataType::Short => hash.int(array.as_primitive::<Int16Type>().value(index).into()),
        DataType::Int => hash.int(array.as_primitive::<Int32Type>().value(index)),
        DataType::Date => hash.int(array.as_primitive::<Date32Type>().value(index)),
        DataType::YearMonthInterval(..) => {
            hash.int(array.as_primitive::<IntervalYearMonthType>().value(index))
        }
        DataType::Long => hash.long(array.as_primitive::<Int64Type>().value(index)),
        DataType::Timestamp | DataType::TimestampNtz => hash.long(
            array
                .as_primitive::<TimestampMicrosecondType>()
                .value(index),
        ),
        DataType::DayTimeInterval(..) => {
            hash.long(array.as_primitive::<DurationMicrosecondType>().value(index))
        }
        DataType::CalendarInterval => {
            let value = array
                .as_primitive::<IntervalMonthDayNanoType>()
                .value(index);
            hash.long(value.nanoseconds / 1000)
                .int(value.days)
                .int(value.months)
        }
        DataType::Float => fold_float(hash, array.as_primitive::<Float32Type>().value(index)),
        DataType::Double => fold_double(hash, array.as_primitive::<Float64Type>().value(index)),
        DataType::Decimal(precision, _) => {
            let value = array.as_primitive::<Decimal128Type>().value(index);
            fold_decimal(hash, value, *precision)
        }
        DataType::String => hash.bytes(array.as_string::<i32>().value(index).as_bytes()),
        DataType::Binary => hash.bytes(array.as_binary::<i32>().value(index)),
        DataType::Array(element) => {
            let list = array.as_list::<i32>().value(index);
            (0..list.len()).fold(hash, |hash, i| fold(hash, &list, element, i))
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns().iter().zip(fields);
            columns.fold(hash, |hash, (column, field)| {
                fold(hash, column, &field.data_type, index)
            })
        }
        // Refused by the planner, or of no value.
        DataType::Map(..) | DataType::Null => hash,
    }
}
