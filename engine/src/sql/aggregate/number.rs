//! Counts, sums, averages, and folds of bits and truth values.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array};
use arrow_buffer::{NullBuffer, i256};
use arrow_cast::cast;
use arrow_schema::DataType as ArrowType;
use unskewed_planner::query::tree::AggregateFunction;
use unskewed_planner::schema::DataType;

use super::Fold;
use crate::sql::step::Stepped;

/// Rows in which no argument is null.
pub(super) struct Count;

impl Fold for Count {
    type State = i64;
    type Input = Option<NullBuffer>;

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Self::Input> {
        let nulls = columns.iter().map(|column| column.logical_nulls());
        Ok(nulls.fold(None, |all, one| {
            NullBuffer::union(all.as_ref(), one.as_ref())
        }))
    }

    fn add(&self, state: &mut i64, input: &Self::Input, row: usize) {
        *state += i64::from(input.as_ref().is_none_or(|nulls| nulls.is_valid(row)));
    }

    fn finish(&self, states: Vec<i64>) -> Stepped<ArrayRef> {
        Ok(Arc::new(Int64Array::from(states)))
    }
}

/// Integers; too large a sum wraps, as with ANSI off.
pub(super) struct SumLong;

impl Fold for SumLong {
    type State = Option<i64>;
    type Input = Int64Array;

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Int64Array> {
        let column = cast(&columns[0], &ArrowType::Int64)?;
        Ok(column.as_primitive::<Int64Type>().clone())
    }

    fn add(&self, state: &mut Option<i64>, input: &Int64Array, row: usize) {
        if input.is_valid(row) {
            *state = Some(state.unwrap_or(0).wrapping_add(input.value(row)));
        }
    }

    fn finish(&self, states: Vec<Option<i64>>) -> Stepped<ArrayRef> {
        Ok(Arc::new(Int64Array::from(states)))
    }
}

/// Integers; once the sum does not fit it is null.
pub(super) struct TrySumLong;

impl Fold for TrySumLong {
    /// The sum, and whether it got lost.
    type State = (Option<i64>, bool);
    type Input = Int64Array;

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Int64Array> {
        SumLong.read(columns)
    }

    fn add(&self, (sum, lost): &mut Self::State, input: &Int64Array, row: usize) {
        if input.is_valid(row) {
            let next = sum.unwrap_or(0).checked_add(input.value(row));
            *lost |= next.is_none();
            *sum = next;
        }
    }

    fn finish(&self, states: Vec<Self::State>) -> Stepped<ArrayRef> {
        let sums = states.into_iter().map(|(sum, lost)| sum.filter(|_| !lost));
        Ok(Arc::new(sums.collect::<Int64Array>()))
    }
}

/// Floats, added in the order of the rows.
pub(super) struct SumDouble;

impl Fold for SumDouble {
    type State = Option<f64>;
    type Input = Float64Array;

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Float64Array> {
        doubles(&columns[0])
    }

    fn add(&self, state: &mut Option<f64>, input: &Float64Array, row: usize) {
        if input.is_valid(row) {
            *state = Some(state.unwrap_or(0.0) + input.value(row));
        }
    }

    fn finish(&self, states: Vec<Option<f64>>) -> Stepped<ArrayRef> {
        Ok(Arc::new(Float64Array::from(states)))
    }
}

pub(super) fn doubles(column: &ArrayRef) -> Stepped<Float64Array> {
    let column = cast(column, &ArrowType::Float64)?;
    Ok(column.as_primitive::<Float64Type>().clone())
}

/// A decimal sum. A bounded one is lost once it leaves 38 digits; any other is only held against them in the end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decimal {
    sum: Option<i256>,
    count: i64,
    lost: bool,
}

/// The least number of 39 digits.
const LIMIT: i128 = 10_i128.pow(38);

impl Decimal {
    fn add(&mut self, value: i128, bounded: bool) {
        self.count += 1;
        let sum = self.sum.unwrap_or(i256::ZERO);
        // Room for more additions of 38 digits than there can be rows.
        let sum = sum.wrapping_add(i256::from_i128(value));
        self.lost |= bounded && !within_limit(sum);
        self.sum = Some(sum);
    }

    fn value(self) -> Option<i128> {
        let sum = self.sum.filter(|sum| !self.lost && within_limit(*sum))?;
        sum.to_i128()
    }
}

fn within_limit(sum: i256) -> bool {
    sum.to_i128().is_some_and(|sum| sum.abs() < LIMIT)
}

fn fits(value: i128, precision: u8) -> bool {
    value.unsigned_abs() < 10_u128.pow(u32::from(precision))
}

fn decimal_array(values: Vec<Option<i128>>, precision: u8, scale: i8) -> Stepped<ArrayRef> {
    let array = Decimal128Array::from(values);
    Ok(Arc::new(array.with_precision_and_scale(precision, scale)?))
}

/// Decimals; a sum that does not fit is null.
pub(super) struct SumDecimal {
    pub(super) bounded: bool,
    pub(super) precision: u8,
    pub(super) scale: i8,
}

impl Fold for SumDecimal {
    type State = Decimal;
    type Input = Decimal128Array;

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Decimal128Array> {
        Ok(columns[0].as_primitive::<Decimal128Type>().clone())
    }

    fn add(&self, state: &mut Decimal, input: &Decimal128Array, row: usize) {
        if input.is_valid(row) {
            state.add(input.value(row), self.bounded);
        }
    }

    fn finish(&self, states: Vec<Decimal>) -> Stepped<ArrayRef> {
        let values = states
            .into_iter()
            .map(|state| state.value().filter(|v| fits(*v, self.precision)));
        decimal_array(values.collect(), self.precision, self.scale)
    }
}

/// The mean of numbers, as doubles.
pub(super) struct AverageDouble;

impl Fold for AverageDouble {
    type State = (f64, i64);
    type Input = Float64Array;

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Float64Array> {
        doubles(&columns[0])
    }

    fn add(&self, (sum, count): &mut (f64, i64), input: &Float64Array, row: usize) {
        if input.is_valid(row) {
            *sum += input.value(row);
            *count += 1;
        }
    }

    fn finish(&self, states: Vec<(f64, i64)>) -> Stepped<ArrayRef> {
        #[expect(clippy::cast_precision_loss, reason = "as Spark divides by a count")]
        let mean = |(sum, count): (f64, i64)| (count > 0).then(|| sum / count as f64);
        Ok(Arc::new(
            states.into_iter().map(mean).collect::<Float64Array>(),
        ))
    }
}

/// The mean of decimals, with four digits more after the point, half away from zero.
pub(super) struct AverageDecimal {
    pub(super) bounded: bool,
    pub(super) from: i8,
    pub(super) precision: u8,
    pub(super) scale: i8,
}

impl AverageDecimal {
    fn mean(&self, state: Decimal) -> Option<i128> {
        let sum = i256::from_i128(state.value()?);
        let raise = u32::try_from(self.scale - self.from).ok()?;
        let scaled = sum.checked_mul(i256::from_i128(10_i128.pow(raise)))?;
        let count = i256::from_i128(i128::from(state.count));
        let quotient = scaled.checked_div(count)?;
        let rest = scaled.checked_rem(count)?;
        let twice = rest.wrapping_abs().checked_mul(i256::from_i128(2))?;
        let up = twice >= count;
        let away = if scaled.is_negative() { -1 } else { 1 };
        let rounded = match up {
            true => quotient.checked_add(i256::from_i128(away))?,
            false => quotient,
        };
        rounded.to_i128().filter(|v| fits(*v, self.precision))
    }
}

impl Fold for AverageDecimal {
    type State = Decimal;
    type Input = Decimal128Array;

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Decimal128Array> {
        Ok(columns[0].as_primitive::<Decimal128Type>().clone())
    }

    fn add(&self, state: &mut Decimal, input: &Decimal128Array, row: usize) {
        if input.is_valid(row) {
            state.add(input.value(row), self.bounded);
        }
    }

    fn finish(&self, states: Vec<Decimal>) -> Stepped<ArrayRef> {
        let values = states.into_iter().map(|state| self.mean(state));
        decimal_array(values.collect(), self.precision, self.scale)
    }
}

/// Whether all, or any, are true; nulls do not count.
pub(super) struct Bool {
    pub(super) and: bool,
}

impl Fold for Bool {
    type State = Option<bool>;
    type Input = BooleanArray;

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<BooleanArray> {
        Ok(columns[0].as_boolean().clone())
    }

    fn add(&self, state: &mut Option<bool>, input: &BooleanArray, row: usize) {
        if input.is_valid(row) {
            let value = input.value(row);
            *state = Some(match (*state, self.and) {
                (None, _) => value,
                (Some(so_far), true) => so_far && value,
                (Some(so_far), false) => so_far || value,
            });
        }
    }

    fn finish(&self, states: Vec<Option<bool>>) -> Stepped<ArrayRef> {
        Ok(Arc::new(BooleanArray::from(states)))
    }
}

/// Integers folded bit by bit.
pub(super) struct Bits {
    pub(super) function: AggregateFunction,
    pub(super) to: DataType,
}

impl Fold for Bits {
    type State = Option<i64>;
    type Input = Int64Array;

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Int64Array> {
        SumLong.read(columns)
    }

    fn add(&self, state: &mut Option<i64>, input: &Int64Array, row: usize) {
        if input.is_valid(row) {
            let value = input.value(row);
            *state = Some(match (*state, &self.function) {
                (None, _) => value,
                (Some(so_far), AggregateFunction::BitAnd) => so_far & value,
                (Some(so_far), AggregateFunction::BitOr) => so_far | value,
                (Some(so_far), _) => so_far ^ value,
            });
        }
    }

    fn finish(&self, states: Vec<Option<i64>>) -> Stepped<ArrayRef> {
        let array: ArrayRef = Arc::new(Int64Array::from(states));
        Ok(cast(&array, &self.to.to_arrow())?)
    }
}
