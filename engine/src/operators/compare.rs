//! Whether two rows of answers are the same, bit for bit.
//!
//! Numbers are compared by their bits, so that a NaN equals itself and zero does not equal minus zero: what is taken
//! back must be exactly what was given.

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{Array, ArrayRef, downcast_primitive_array};
use arrow_buffer::ToByteSlice;
use arrow_schema::DataType;

/// For each pair of a left and a right row, whether all columns are the same.
pub(super) fn same_rows(left: &[ArrayRef], right: &[ArrayRef], pairs: &[(u32, u32)]) -> Vec<bool> {
    let mut same = vec![true; pairs.len()];
    for (l, r) in left.iter().zip(right) {
        mark_different(l, r, pairs, &mut same);
    }
    same
}

fn mark_different(left: &ArrayRef, right: &ArrayRef, pairs: &[(u32, u32)], same: &mut [bool]) {
    let values: Box<dyn Fn(usize, usize) -> bool + '_> = {
        let (l, r) = (left.as_ref(), right.as_ref());
        match l.data_type() {
            DataType::Utf8 => {
                let (l, r) = (l.as_string::<i32>(), r.as_string::<i32>());
                Box::new(|i, j| l.value(i) == r.value(j))
            }
            DataType::Binary => {
                let (l, r) = (l.as_binary::<i32>(), r.as_binary::<i32>());
                Box::new(|i, j| l.value(i) == r.value(j))
            }
            DataType::Boolean => {
                let (l, r) = (l.as_boolean(), r.as_boolean());
                Box::new(|i, j| l.value(i) == r.value(j))
            }
            DataType::Null => Box::new(|_, _| true),
            _ => return mark_primitive_or_nested(left, right, pairs, same),
        }
    };
    mark(left, right, pairs, same, values);
}

fn mark(
    left: &ArrayRef,
    right: &ArrayRef,
    pairs: &[(u32, u32)],
    same: &mut [bool],
    equal: impl Fn(usize, usize) -> bool,
) {
    for (&(l, r), same) in pairs.iter().zip(same) {
        let (l, r) = (l as usize, r as usize);
        *same = *same
            && match (left.is_null(l), right.is_null(r)) {
                (false, false) => equal(l, r),
                (left_null, right_null) => left_null == right_null,
            };
    }
}

fn mark_primitive_or_nested(
    left: &ArrayRef,
    right: &ArrayRef,
    pairs: &[(u32, u32)],
    same: &mut [bool],
) {
    let l = left.as_ref();
    downcast_primitive_array! {
        l => mark_primitive(l, left, right, pairs, same),
        _ => {
            let row = |array: &ArrayRef, row: usize| array.slice(row, 1).to_data();
            mark(left, right, pairs, same, |i, j| row(left, i) == row(right, j));
        }
    }
}

fn mark_primitive<T: ArrowPrimitiveType>(
    typed: &arrow_array::PrimitiveArray<T>,
    left: &ArrayRef,
    right: &ArrayRef,
    pairs: &[(u32, u32)],
    same: &mut [bool],
) {
    let (l, r) = (typed.values(), right.as_primitive::<T>().values());
    mark(left, right, pairs, same, |i, j| {
        l[i..=i].to_byte_slice() == r[j..=j].to_byte_slice()
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{Float64Builder, ListBuilder};
    use arrow_array::{Float64Array, StringArray};

    use super::*;

    /// NaN is itself, the two zeros differ, nulls are equal to nulls only, in plain and in nested columns.
    #[test]
    fn compares_bits() {
        let numbers = [Some(f64::NAN), Some(0.0), Some(-0.0), None, Some(1.5)];
        let plain: ArrayRef = Arc::new(Float64Array::from(numbers.to_vec()));
        let mut lists = ListBuilder::new(Float64Builder::new());
        for number in numbers {
            lists.values().append_option(number);
            lists.append(true);
        }
        let nested: ArrayRef = Arc::new(lists.finish());
        let texts: ArrayRef = Arc::new(StringArray::from(vec![
            Some("n"),
            Some("z"),
            Some("m"),
            None,
            Some(""),
        ]));
        let all: Vec<(u32, u32)> = (0..5).flat_map(|i| (0..5).map(move |j| (i, j))).collect();
        let want: Vec<bool> = all.iter().map(|(i, j)| i == j).collect();
        for column in [plain, nested, texts] {
            let columns = [column];
            assert_eq!(same_rows(&columns, &columns, &all), want);
        }
    }
}
