//! Comparisons and boolean connectives.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_arith::boolean::{and_kleene, or_kleene};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, BooleanArray, Datum, Scalar, UInt32Array};
use arrow_schema::DataType as ArrowType;

use super::{Entry, eager, lazy};
use crate::error::KernelError;
use crate::eval::build::Built;
use crate::eval::call::{Call, Lazy};
use crate::eval::column::Column;
use crate::eval::node::row_number;
use crate::eval::order::comparator;

pub(super) fn functions() -> Vec<Entry> {
    vec![
        eager("=", |call| compare(call, Ordering::is_eq)),
        eager("<", |call| compare(call, Ordering::is_lt)),
        eager("<=", |call| compare(call, Ordering::is_le)),
        eager(">", |call| compare(call, Ordering::is_gt)),
        eager(">=", |call| compare(call, Ordering::is_ge)),
        eager("<=>", null_safe_equal),
        lazy("and", |call| connect(call, false)),
        lazy("or", |call| connect(call, true)),
        eager("not", |call| {
            let input = call.booleans(0);
            call.build_booleans(|row| input.get(row).map(|value| !value))
        }),
        lazy("in", member),
        eager("isnull", |call| {
            call.build_booleans(|row| Some(call.is_null(0, row)))
        }),
        eager("isnotnull", |call| {
            call.build_booleans(|row| Some(!call.is_null(0, row)))
        }),
        eager("isnan", is_nan),
    ]
}

fn compare(call: &Call<'_>, test: fn(Ordering) -> bool) -> Built {
    if let Some(compared) = compare_vectors(call) {
        return compared;
    }
    let (left, right) = (&call.columns[0], &call.columns[1]);
    let compare = comparator(&left.array, &right.array);
    call.build_booleans(|row| {
        let null = left.is_null(row) || right.is_null(row);
        (!null).then(|| test(compare(left.index(row), right.index(row))))
    })
}

/// Types whose order is Arrow's too, so not floating numbers and nothing nested.
fn compare_vectors(call: &Call<'_>) -> Option<Built> {
    let array = |index: usize| &call.columns[index].array;
    let simple = matches!(
        array(0).data_type(),
        ArrowType::Int8
            | ArrowType::Int16
            | ArrowType::Int32
            | ArrowType::Int64
            | ArrowType::Date32
            | ArrowType::Timestamp(..)
            | ArrowType::Decimal128(..)
            | ArrowType::Utf8
            | ArrowType::Binary
            | ArrowType::Boolean
    );
    if !simple || array(0).data_type() != array(1).data_type() {
        return None;
    }
    let kernel = match call.function {
        "=" => arrow_ord::cmp::eq,
        "<" => arrow_ord::cmp::lt,
        "<=" => arrow_ord::cmp::lt_eq,
        ">" => arrow_ord::cmp::gt,
        _ => arrow_ord::cmp::gt_eq,
    };
    let operand = |index: usize| -> Box<dyn Datum> {
        match call.columns[index].constant && call.rows != 1 {
            true => Box::new(Scalar::new(Arc::clone(array(index)))),
            false => Box::new(Arc::clone(array(index))),
        }
    };
    let compared = kernel(operand(0).as_ref(), operand(1).as_ref());
    Some(
        compared
            .map(|array| Arc::new(array) as _)
            .map_err(KernelError::from),
    )
}

fn null_safe_equal(call: &Call<'_>) -> Built {
    let (left, right) = (&call.columns[0], &call.columns[1]);
    let compare = comparator(&left.array, &right.array);
    call.build_booleans(|row| match (left.is_null(row), right.is_null(row)) {
        (false, false) => Some(compare(left.index(row), right.index(row)).is_eq()),
        (a, b) => Some(a && b),
    })
}

/// AND (`decisive` is false) and OR (true): a later argument that can fail runs on the rows that are still open.
fn connect(call: &Lazy<'_>, decisive: bool) -> Result<Column, KernelError> {
    let first = call.evaluate(0)?;
    if call.arguments[1..]
        .iter()
        .all(|argument| !argument.can_fail)
    {
        return connect_whole(call, first, decisive);
    }
    let rows = call.frame.rows;
    let truth = first.booleans();
    let mut values: Vec<Option<bool>> = (0..rows).map(|row| truth.get(row)).collect();
    for argument in &call.arguments[1..] {
        let open: Vec<u32> = (0..rows)
            .filter(|row| values[*row] != Some(decisive))
            .map(row_number)
            .collect();
        let open = UInt32Array::from(open);
        let Some(next) = call.frame.evaluate_on(argument, &open)? else {
            break;
        };
        let next = next.booleans();
        for (i, row) in open.values().iter().enumerate() {
            let value = &mut values[usize::try_from(*row).expect("a row of the frame")];
            *value = match (*value, next.get(i)) {
                (_, Some(side)) if side == decisive => Some(decisive),
                (Some(_), Some(_)) => Some(!decisive),
                _ => None,
            };
        }
    }
    Ok(Column::of_rows(Arc::new(BooleanArray::from(values))))
}

/// The same on whole columns, for arguments that cannot fail.
fn connect_whole(call: &Lazy<'_>, first: Column, decisive: bool) -> Result<Column, KernelError> {
    let rows = call.frame.rows;
    let mut met = first;
    for index in 1..call.arguments.len() {
        let next = call.evaluate(index)?;
        let constant = met.constant && next.constant;
        let (left, right) = match constant {
            true => (Arc::clone(&met.array), Arc::clone(&next.array)),
            false => (met.expand(rows), next.expand(rows)),
        };
        let (left, right) = (left.as_boolean(), right.as_boolean());
        let array = match decisive {
            true => or_kleene(left, right)?,
            false => and_kleene(left, right)?,
        };
        met = Column {
            array: Arc::new(array),
            constant,
        };
    }
    Ok(met)
}

/// `value IN (…)`: a null among the rest makes "not found" unknown. Rest values run on the rows not yet found.
fn member(call: &Lazy<'_>) -> Result<Column, KernelError> {
    let value = call.evaluate(0)?;
    let rows = call.frame.rows;
    let mut found: Vec<Option<bool>> = (0..rows)
        .map(|row| (!value.is_null(row)).then_some(false))
        .collect();
    if call.arguments.len() == 1 {
        let nothing = BooleanArray::from(vec![false; rows]);
        return Ok(Column::of_rows(Arc::new(nothing)));
    }
    for argument in &call.arguments[1..] {
        let open: Vec<u32> = (0..rows)
            .filter(|row| !value.is_null(*row) && found[*row] != Some(true))
            .map(row_number)
            .collect();
        let open = UInt32Array::from(open);
        let Some(other) = call.frame.evaluate_on(argument, &open)? else {
            break;
        };
        let compare = comparator(&value.array, &other.array);
        for (i, row) in open.values().iter().enumerate() {
            let row = usize::try_from(*row).expect("a row of the frame");
            if other.is_null(i) {
                found[row] = None;
            } else if compare(value.index(row), other.index(i)).is_eq() {
                found[row] = Some(true);
            }
        }
    }
    Ok(Column::of_rows(Arc::new(BooleanArray::from(found))))
}

fn is_nan(call: &Call<'_>) -> Built {
    if call.columns[0]
        .array
        .data_type()
        .equals_datatype(&arrow_schema::DataType::Float32)
    {
        let values = call.primitives::<Float32Type>(0);
        return call.build_booleans(|row| Some(values.get(row).is_some_and(f32::is_nan)));
    }
    let values = call.primitives::<Float64Type>(0);
    call.build_booleans(|row| Some(values.get(row).is_some_and(f64::is_nan)))
}
