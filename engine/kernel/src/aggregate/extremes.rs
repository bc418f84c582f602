//! MIN and MAX by Java's order; of doubles, one NaN makes the result NaN, as `Math.min` and `Math.max` do.
//! Of values that compare equal the earlier one stays, but equal values have equal bits.

use std::cmp::Ordering;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_schema::DataType as ArrowType;
use unskewed_planner::aggregation::{AggregatePart, Operation};

use super::Aggregator;
use super::bind::{Shape, type_error};
use super::fold::Visitor;
use super::output::{Numbers, Taken};
use super::saved::Placed;
use super::stored::Stored;
use super::values::{Strings, Values};
use crate::error::KernelError;

/// Picks the aggregator by the operand's type.
pub(crate) fn bind<V: Visitor>(
    part: &AggregatePart,
    elements: &ArrayRef,
    shape: Shape<V>,
) -> Result<V::Answer, KernelError> {
    let max = part.operation == Operation::Max;
    match elements.data_type() {
        ArrowType::Int64 => {
            let values: &[i64] = elements.as_primitive::<Int64Type>().values();
            match max {
                true => shape.with(Whole::<true>(values)),
                false => shape.with(Whole::<false>(values)),
            }
        }
        ArrowType::Float64 => {
            let values: &[f64] = elements.as_primitive::<Float64Type>().values();
            match max {
                true => shape.with(Floating::<true>(values)),
                false => shape.with(Floating::<false>(values)),
            }
        }
        ArrowType::Utf8 => shape.with(Text {
            values: Strings::new(elements),
            better: if max {
                Ordering::Greater
            } else {
                Ordering::Less
            },
        }),
        other => Err(type_error(part, other)),
    }
}

/// Integers.
struct Whole<'a, const MAX: bool>(&'a [i64]);

/// The better of two keys.
#[inline]
fn better<const MAX: bool>(a: i64, b: i64) -> i64 {
    if MAX { a.max(b) } else { a.min(b) }
}

impl<const MAX: bool> Aggregator for Whole<'_, MAX> {
    type State = i64;
    type Output = Numbers<Int64Type>;

    #[inline]
    fn start(&self, element: usize) -> i64 {
        self.0[element]
    }

    #[inline]
    fn update(&self, state: &mut i64, element: usize) {
        *state = better::<MAX>(*state, self.0[element]);
    }

    #[inline]
    fn merge(&self, state: &mut i64, later: &i64) {
        *state = better::<MAX>(*state, *later);
    }

    fn store(&self, state: &i64) -> Stored {
        Stored::Whole(*state)
    }

    fn load(&self, stored: Placed<'_>) -> Option<i64> {
        stored.whole()
    }

    fn output(&self, direct: bool) -> Self::Output {
        Numbers::new(direct)
    }

    #[inline]
    fn finish(&self, state: &i64, output: &mut Self::Output) {
        output.append(*state);
    }
}

/// Doubles, compared as integers in the same order; NaN lies at the far end of the better side, so that it wins.
struct Floating<'a, const MAX: bool>(&'a [f64]);

impl<const MAX: bool> Floating<'_, MAX> {
    #[inline]
    fn key(value: f64) -> i64 {
        if value.is_nan() {
            return if MAX { i64::MAX } else { i64::MIN };
        }
        flip(value.to_bits().cast_signed())
    }
}

/// Turns the bits of a double into an integer of the same order, and back.
#[inline]
fn flip(bits: i64) -> i64 {
    bits ^ (((bits >> 63).cast_unsigned()) >> 1).cast_signed()
}

impl<const MAX: bool> Aggregator for Floating<'_, MAX> {
    type State = i64;
    type Output = Numbers<Float64Type>;

    #[inline]
    fn start(&self, element: usize) -> i64 {
        Self::key(self.0[element])
    }

    #[inline]
    fn update(&self, state: &mut i64, element: usize) {
        *state = better::<MAX>(*state, Self::key(self.0[element]));
    }

    #[inline]
    fn merge(&self, state: &mut i64, later: &i64) {
        *state = better::<MAX>(*state, *later);
    }

    fn store(&self, state: &i64) -> Stored {
        Stored::Floating(f64::from_bits(flip(*state).cast_unsigned()))
    }

    fn load(&self, stored: Placed<'_>) -> Option<i64> {
        stored.floating().map(Self::key)
    }

    fn output(&self, direct: bool) -> Self::Output {
        Numbers::new(direct)
    }

    #[inline]
    fn finish(&self, state: &i64, output: &mut Self::Output) {
        output.append(f64::from_bits(flip(*state).cast_unsigned()));
    }
}

/// Strings, by position in the bound array.
struct Text<'a> {
    values: Strings<'a>,
    /// The side of the order on which a new value replaces the kept one.
    better: Ordering,
}

impl Text<'_> {
    #[inline]
    fn keep(&self, state: &mut u32, value: u32) {
        if self.values.compare(value, *state) == self.better {
            *state = value;
        }
    }
}

impl Aggregator for Text<'_> {
    type State = u32;
    type Output = Taken;

    #[inline]
    fn start(&self, element: usize) -> u32 {
        self.values.get(element)
    }

    #[inline]
    fn update(&self, state: &mut u32, element: usize) {
        self.keep(state, self.values.get(element));
    }

    #[inline]
    fn merge(&self, state: &mut u32, later: &u32) {
        self.keep(state, *later);
    }

    fn store(&self, state: &u32) -> Stored {
        Stored::Element(*state)
    }

    fn load(&self, stored: Placed<'_>) -> Option<u32> {
        stored.element()
    }

    fn output(&self, direct: bool) -> Taken {
        self.values.output(direct)
    }

    #[inline]
    fn finish(&self, state: &u32, output: &mut Taken) {
        output.append(*state);
    }
}
