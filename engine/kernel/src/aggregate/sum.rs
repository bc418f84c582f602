//! SUM and AVERAGE.
//!
//! Integer sums wrap at 64 bits as Java's do, so they do not depend on the order and may be taken from prefix sums.
//! Floating sums are folded in the canonical order or the reference's, never by differences.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_schema::DataType as ArrowType;
use unskewed_planner::aggregation::{AggregatePart, Operation};

use super::bind::{Shape, type_error};
use super::count::{answer_ranges, prefix_counts};
use super::fold::Visitor;
use super::output::{Numbers, Pair};
use super::saved::Placed;
use super::stored::Stored;
use super::{Aggregator, Elements, Windows, WorkOrder};
use crate::error::KernelError;

/// Picks the aggregator by the operand's type.
pub(crate) fn bind<V: Visitor>(
    part: &AggregatePart,
    elements: &ArrayRef,
    with_sum: bool,
    shape: Shape<V>,
) -> Result<V::Answer, KernelError> {
    match (part.operation, elements.data_type()) {
        (Operation::Sum, ArrowType::Int64) => {
            shape.with(IntegerSum(elements.as_primitive::<Int64Type>().values()))
        }
        (Operation::Sum, ArrowType::Float64) => {
            shape.with(Sum(elements.as_primitive::<Float64Type>().values()))
        }
        (Operation::Average, ArrowType::Float64) => {
            let average = Average(elements.as_primitive::<Float64Type>().values());
            if with_sum {
                shape.with(AverageAndSum(average))
            } else {
                shape.with(average)
            }
        }
        (_, other) => Err(type_error(part, other)),
    }
}

struct IntegerSum<'a>(&'a [i64]);

impl Aggregator for IntegerSum<'_> {
    type State = i64;
    type Output = Numbers<Int64Type>;
    const DELETES: bool = true;

    #[inline]
    fn start(&self, element: usize) -> i64 {
        self.0[element]
    }

    #[inline]
    fn update(&self, state: &mut i64, element: usize) {
        *state = state.wrapping_add(self.0[element]);
    }

    #[inline]
    fn merge(&self, state: &mut i64, later: &i64) {
        *state = state.wrapping_add(*later);
    }

    fn start_deleted(&self, element: usize) -> i64 {
        self.0[element].wrapping_neg()
    }

    fn delete(&self, state: &mut i64, element: usize) {
        *state = state.wrapping_sub(self.0[element]);
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

    fn by_ranges(&self, elements: Elements<'_>, windows: Windows<'_>) -> Option<Vec<Self::Output>> {
        let counts = elements.nulls.is_some().then(|| prefix_counts(elements));
        let mut sum = 0_i64;
        let mut sums = Vec::with_capacity(elements.row_count + 1);
        sums.push(0);
        for row in 0..elements.row_count {
            if elements.has(row) {
                sum = sum.wrapping_add(self.0[row]);
            }
            sums.push(sum);
        }
        Some(answer_ranges(self, windows, |rows| {
            let empty = counts
                .as_ref()
                .is_some_and(|counts| counts[rows.start] == counts[rows.end]);
            (!empty).then(|| sums[rows.end].wrapping_sub(sums[rows.start]))
        }))
    }
}

struct Sum<'a>(&'a [f64]);

impl Aggregator for Sum<'_> {
    type State = f64;
    type Output = Numbers<Float64Type>;
    const DELETES: bool = true;

    fn work_order(&self) -> WorkOrder {
        WorkOrder::Digits
    }

    #[inline]
    fn start(&self, element: usize) -> f64 {
        self.0[element]
    }

    #[inline]
    fn update(&self, state: &mut f64, element: usize) {
        *state += self.0[element];
    }

    #[inline]
    fn merge(&self, state: &mut f64, later: &f64) {
        *state += later;
    }

    fn start_deleted(&self, element: usize) -> f64 {
        -self.0[element]
    }

    fn delete(&self, state: &mut f64, element: usize) {
        *state -= self.0[element];
    }

    fn store(&self, state: &f64) -> Stored {
        Stored::Floating(*state)
    }

    fn load(&self, stored: Placed<'_>) -> Option<f64> {
        stored.floating()
    }

    fn output(&self, direct: bool) -> Self::Output {
        Numbers::new(direct)
    }

    #[inline]
    fn finish(&self, state: &f64, output: &mut Self::Output) {
        output.append(*state);
    }
}

struct Average<'a>(&'a [f64]);

/// Sum and count; the count wraps at 32 bits where it is stored, not here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AverageState {
    pub(crate) sum: f64,
    pub(crate) count: i64,
}

impl Aggregator for Average<'_> {
    type State = AverageState;
    type Output = Numbers<Float64Type>;
    const DELETES: bool = true;

    fn work_order(&self) -> WorkOrder {
        WorkOrder::Digits
    }

    #[inline]
    fn start(&self, element: usize) -> AverageState {
        AverageState {
            sum: self.0[element],
            count: 1,
        }
    }

    #[inline]
    fn update(&self, state: &mut AverageState, element: usize) {
        state.sum += self.0[element];
        state.count += 1;
    }

    #[inline]
    fn merge(&self, state: &mut AverageState, later: &AverageState) {
        state.sum += later.sum;
        state.count += later.count;
    }

    fn start_deleted(&self, element: usize) -> AverageState {
        AverageState {
            sum: -self.0[element],
            count: -1,
        }
    }

    fn delete(&self, state: &mut AverageState, element: usize) {
        state.sum -= self.0[element];
        state.count -= 1;
    }

    fn store(&self, state: &AverageState) -> Stored {
        let count = i64::from(state.count as i32);
        Stored::Struct(vec![Stored::Floating(state.sum), Stored::Whole(count)])
    }

    fn load(&self, stored: Placed<'_>) -> Option<AverageState> {
        let [sum, count] = stored.fields()?;
        Some(AverageState {
            sum: sum.floating()?,
            count: count.whole()?,
        })
    }

    fn output(&self, direct: bool) -> Self::Output {
        Numbers::new(direct)
    }

    #[inline]
    fn finish(&self, state: &AverageState, output: &mut Self::Output) {
        output.append(state.sum / state.count as f64);
    }
}

/// An AVERAGE whose sum is wanted too: the sum within it is folded exactly as a SUM is.
struct AverageAndSum<'a>(Average<'a>);

impl Aggregator for AverageAndSum<'_> {
    type State = AverageState;
    type Output = Pair<Numbers<Float64Type>>;
    const DELETES: bool = true;

    fn work_order(&self) -> WorkOrder {
        WorkOrder::Digits
    }

    #[inline]
    fn start(&self, element: usize) -> AverageState {
        self.0.start(element)
    }

    #[inline]
    fn update(&self, state: &mut AverageState, element: usize) {
        self.0.update(state, element);
    }

    #[inline]
    fn merge(&self, state: &mut AverageState, later: &AverageState) {
        self.0.merge(state, later);
    }

    fn start_deleted(&self, element: usize) -> AverageState {
        self.0.start_deleted(element)
    }

    fn delete(&self, state: &mut AverageState, element: usize) {
        self.0.delete(state, element);
    }

    fn store(&self, state: &AverageState) -> Stored {
        self.0.store(state)
    }

    fn load(&self, stored: Placed<'_>) -> Option<AverageState> {
        self.0.load(stored)
    }

    fn output(&self, direct: bool) -> Self::Output {
        Pair(Numbers::new(direct), Numbers::new(direct))
    }

    #[inline]
    fn finish(&self, state: &AverageState, output: &mut Self::Output) {
        self.0.finish(state, &mut output.0);
        output.1.append(state.sum);
    }
}
