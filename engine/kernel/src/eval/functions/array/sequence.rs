//! `sequence`: numbers by a step, dates and timestamps by an interval.

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, DurationMicrosecondType, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, IntervalYearMonthType, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, PrimitiveArray};
use arrow_schema::{DataType as ArrowType, IntervalUnit};
use unskewed_planner::expr::temporal::MICROS_PER_DAY;
use unskewed_planner::schema::DataType;

use crate::eval::build::{Built, finish_list};
use crate::eval::call::Call;
use crate::eval::java::calendar;

/// The most elements that one sequence may have, as in the reference.
const LONGEST: usize = 2_147_483_632;

/// A column's value of one row as 64 bits.
fn integer(call: &Call<'_>, index: usize, row: usize) -> Option<i64> {
    match call.columns[index].array.data_type() {
        ArrowType::Int8 => call.primitives::<Int8Type>(index).get(row).map(Into::into),
        ArrowType::Int16 => call.primitives::<Int16Type>(index).get(row).map(Into::into),
        ArrowType::Int32 => call.primitives::<Int32Type>(index).get(row).map(Into::into),
        ArrowType::Date32 => call
            .primitives::<Date32Type>(index)
            .get(row)
            .map(Into::into),
        ArrowType::Timestamp(..) => call.primitives::<TimestampMicrosecondType>(index).get(row),
        _ => call.primitives::<Int64Type>(index).get(row),
    }
}

/// Months, days and microseconds of the step.
fn step(call: &Call<'_>, row: usize) -> Option<(i64, i64, i64)> {
    match call.columns[2].array.data_type() {
        ArrowType::Duration(_) => {
            let micros = call.primitives::<DurationMicrosecondType>(2).get(row)?;
            Some((0, 0, micros))
        }
        ArrowType::Interval(IntervalUnit::YearMonth) => {
            let months = call.primitives::<IntervalYearMonthType>(2).get(row)?;
            Some((months.into(), 0, 0))
        }
        _ => {
            let step = call.primitives::<IntervalMonthDayNanoType>(2).get(row)?;
            Some((
                step.months.into(),
                step.days.into(),
                step.nanoseconds / 1000,
            ))
        }
    }
}

pub(super) fn sequence(call: &Call<'_>) -> Built {
    let mut values: Vec<i64> = Vec::new();
    let (mut offsets, mut valid) = (vec![0_i32], Vec::new());
    let moments = matches!(
        call.columns[0].array.data_type(),
        ArrowType::Date32 | ArrowType::Timestamp(..)
    );
    for row in 0..call.rows {
        let bounds = integer(call, 0, row).zip(integer(call, 1, row));
        let null_step = call.len() == 3 && call.is_null(2, row);
        valid.push(bounds.is_some() && !null_step);
        if let (Some((start, stop)), false) = (bounds, null_step) {
            let made = match moments {
                true => by_interval(call, row, start, stop, &mut values),
                false => by_number(call, row, start, stop, &mut values),
            };
            made.map_err(|message| Call::row_error(row, message))?;
        }
        offsets.push(i32::try_from(values.len()).map_err(|_| Call::row_error(row, "too long"))?);
    }
    let DataType::Array(element) = call.data_type else {
        return Err(call.unsupported());
    };
    finish_list(elements(&values, element), offsets, &valid, call.data_type)
}

fn elements(values: &[i64], element: &DataType) -> ArrayRef {
    fn narrow<T: ArrowPrimitiveType>(values: &[i64]) -> ArrayRef
    where
        T::Native: TryFrom<i64>,
    {
        let values = values.iter().map(|v| T::Native::try_from(*v).ok());
        Arc::new(values.collect::<PrimitiveArray<T>>())
    }
    match element {
        DataType::Byte => narrow::<Int8Type>(values),
        DataType::Short => narrow::<Int16Type>(values),
        DataType::Int => narrow::<Int32Type>(values),
        DataType::Date => narrow::<Date32Type>(values),
        DataType::Long => narrow::<Int64Type>(values),
        _ => {
            let values = PrimitiveArray::<TimestampMicrosecondType>::from(values.to_vec());
            Arc::new(values.with_data_type(element.to_arrow()))
        }
    }
}

fn check(start: i64, stop: i64, sign: i64, count: i128) -> Result<(), String> {
    let right = match start.cmp(&stop) {
        std::cmp::Ordering::Less => sign > 0,
        std::cmp::Ordering::Greater => sign < 0,
        std::cmp::Ordering::Equal => true,
    };
    if !right {
        return Err(format!("the step does not lead from {start} to {stop}"));
    }
    match usize::try_from(count).is_ok_and(|count| count <= LONGEST) {
        true => Ok(()),
        false => Err("the sequence is too long".into()),
    }
}

fn by_number(
    call: &Call<'_>,
    row: usize,
    start: i64,
    stop: i64,
    out: &mut Vec<i64>,
) -> Result<(), String> {
    let step = match call.len() {
        3 => integer(call, 2, row).unwrap_or(0),
        _ if start <= stop => 1,
        _ => -1,
    };
    let span = i128::from(stop) - i128::from(start);
    let count = if step == 0 {
        1
    } else {
        span / i128::from(step) + 1
    };
    check(start, stop, step.signum(), count)?;
    let mut at = i128::from(start);
    for _ in 0..count {
        out.push(i64::try_from(at).map_err(|_| "the sequence overflows".to_owned())?);
        at += i128::from(step);
    }
    Ok(())
}

/// Each element is the start plus so many whole steps, so that month ends do not drift.
fn by_interval(
    call: &Call<'_>,
    row: usize,
    start: i64,
    stop: i64,
    out: &mut Vec<i64>,
) -> Result<(), String> {
    let date = call.columns[0].array.data_type() == &ArrowType::Date32;
    let unit = if date { MICROS_PER_DAY } else { 1 };
    let (months, days, micros) = match call.len() {
        3 => step(call, row).unwrap_or_default(),
        _ if start <= stop => (0, 1, 0),
        _ => (0, -1, 0),
    };
    // As the reference estimates the direction: a month is 28 days here.
    let length = i128::from(months) * 28 * i128::from(MICROS_PER_DAY)
        + i128::from(days) * i128::from(MICROS_PER_DAY)
        + i128::from(micros);
    let overflow = || "the sequence overflows".to_owned();
    if date && length.unsigned_abs() < MICROS_PER_DAY.unsigned_abs().into() && length != 0 {
        return Err("the step of a sequence of dates must be a day or more".into());
    }
    let (from, upto) = (
        start.checked_mul(unit).ok_or_else(overflow)?,
        stop.checked_mul(unit).ok_or_else(overflow)?,
    );
    let span = i128::from(upto) - i128::from(from);
    let count = if length == 0 { 1 } else { span / length + 2 };
    check(
        start,
        stop,
        i64::try_from(length.signum()).unwrap_or(0),
        count,
    )?;
    for k in 0..i64::try_from(count).map_err(|_| overflow())? {
        let scaled = |part: i64| part.checked_mul(k).ok_or_else(overflow);
        let at = calendar::add_interval(from, scaled(months)?, scaled(days)?, scaled(micros)?);
        let at = at.ok_or_else(overflow)?;
        if length > 0 && at > upto || length < 0 && at < upto {
            break;
        }
        out.push(at.div_euclid(unit));
        if length == 0 {
            break;
        }
    }
    Ok(())
}
