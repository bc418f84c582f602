//! `assert_true`, `raise_error`, `bit_count`, and the places of numbers in bitmaps.

use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, new_null_array};
use arrow_schema::DataType as ArrowType;

use super::{Entry, eager};
use crate::eval::build::Built;
use crate::eval::call::Call;
use crate::eval::cast;

pub(super) fn functions() -> Vec<Entry> {
    vec![
        eager("assert_true", assert_true),
        eager("try cast", |call| {
            cast::try_cast(&call.columns[0].array, call.types[0], call.data_type)
        }),
        eager("raise_error", raise_error),
        eager("bit_count", bit_count),
        eager("bitmap_bit_position", bitmap_bit_position),
        eager("bitmap_bucket_number", bitmap_bucket_number),
        eager("bitmap_count", |call| {
            let bytes = call.binaries(0);
            call.build::<Int64Type>(|row| {
                let ones = bytes
                    .get(row)?
                    .iter()
                    .map(|byte| i64::from(byte.count_ones()));
                Some(ones.sum())
            })
        }),
    ]
}

/// Bits of one bitmap: four kilobytes.
const BITMAP_BITS: i64 = 8 * 4096;

/// Negative numbers are counted the other way.
fn bitmap_bit_position(call: &Call<'_>) -> Built {
    let values = call.primitives::<Int64Type>(0);
    call.build::<Int64Type>(|row| {
        let place = match values.get(row)? {
            value if value > 0 => value - 1,
            value => value.wrapping_neg(),
        };
        Some(place % BITMAP_BITS)
    })
}

/// Bitmaps of positive numbers begin with one.
fn bitmap_bucket_number(call: &Call<'_>) -> Built {
    let values = call.primitives::<Int64Type>(0);
    call.build::<Int64Type>(|row| {
        Some(match values.get(row)? {
            value if value > 0 => 1 + (value - 1) / BITMAP_BITS,
            value => value / BITMAP_BITS,
        })
    })
}

fn assert_true(call: &Call<'_>) -> Built {
    let condition = call.booleans(0);
    for row in 0..call.rows {
        if condition.get(row) != Some(true) {
            let message = match call.len() {
                2 => call.strings(1).get(row).unwrap_or("null"),
                _ => "the condition is not true",
            };
            return Err(Call::row_error(row, message));
        }
    }
    Ok(new_null_array(&ArrowType::Null, call.rows))
}

fn raise_error(call: &Call<'_>) -> Built {
    let message = call.strings(0).get(0).unwrap_or("null");
    Err(Call::row_error(0, message))
}

/// The ones among the bits, a negative number counted with 64 of them.
fn bit_count(call: &Call<'_>) -> Built {
    let ones = |value: i64| i32::try_from(value.count_ones()).ok();
    match call.columns[0].array.data_type() {
        ArrowType::Boolean => {
            let values = call.booleans(0);
            call.build::<Int32Type>(|row| values.get(row).map(i32::from))
        }
        ArrowType::Int8 => {
            let values = call.primitives::<Int8Type>(0);
            call.build::<Int32Type>(|row| ones(values.get(row)?.into()))
        }
        ArrowType::Int16 => {
            let values = call.primitives::<Int16Type>(0);
            call.build::<Int32Type>(|row| ones(values.get(row)?.into()))
        }
        ArrowType::Int32 => {
            let values = call.primitives::<Int32Type>(0);
            call.build::<Int32Type>(|row| ones(values.get(row)?.into()))
        }
        _ => {
            let values = call.primitives::<Int64Type>(0);
            call.build::<Int32Type>(|row| ones(values.get(row)?))
        }
    }
}
