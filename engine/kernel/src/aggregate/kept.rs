//! TOP_K, BOTTOM_K, FIRST_K and LAST_K: the k best by value or by time, best first.
//!
//! By value, Java's order decides, and equal values are the same; only NaN and zeros of two signs, which compare in one
//! way when they are sorted and in another when they are kept, make the order of work show (`heap.rs`). By time, of
//! equal times at the boundary the later rows stay, and equal times come out in the order of their rows (decision D9).
//! Stored states are the reference's heaps.

use std::cmp::Ordering;
use std::ops::Range;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_schema::DataType as ArrowType;
use unskewed_planner::aggregation::{AggregatePart, Operation};

use super::bind::{Shape, type_error};
use super::count::prefix_counts;
use super::fold::{Inputs, Visitor};
use super::heap::{self, Rank};
use super::output::{Lists, Output, Taken};
use super::saved::Placed;
use super::stored::Stored;
use super::values::{Doubles, Integers, Strings, Values};
use super::{Aggregator, Elements, Windows, WorkOrder};
use crate::error::KernelError;

/// Picks the aggregator of TOP_K or BOTTOM_K by the operand's type.
pub(crate) fn bind_by_value<V: Visitor>(
    part: &AggregatePart,
    elements: &ArrayRef,
    shape: Shape<V>,
) -> Result<V::Answer, KernelError> {
    let k = part.arguments.k.unwrap_or(1) as usize;
    let top = part.operation == Operation::TopK;
    match elements.data_type() {
        ArrowType::Int64 => {
            let values = Integers(elements.as_primitive::<Int64Type>().values());
            shape.with(ByValue::new(values, k, top, false))
        }
        ArrowType::Float64 => {
            let values = elements.as_primitive::<Float64Type>().values();
            let special = |value: &f64| value.is_nan() || *value == 0.0 && value.is_sign_negative();
            let special = values.iter().any(special);
            shape.with(ByValue::new(Doubles(values), k, top, special))
        }
        ArrowType::Utf8 => {
            let values = Strings::new(elements);
            shape.with(ByValue::new(values, k, top, false))
        }
        other => Err(type_error(part, other)),
    }
}

/// Picks the aggregator of FIRST_K or LAST_K.
pub(crate) fn bind_by_time<V: Visitor>(
    part: &AggregatePart,
    elements: &ArrayRef,
    inputs: Inputs<'_>,
    shape: Shape<V>,
) -> Result<V::Answer, KernelError> {
    let by_time = ByTime {
        payload: elements,
        times: inputs.times,
        k: part.arguments.k.unwrap_or(1) as usize,
        last: part.operation == Operation::LastK,
    };
    if inputs.stored {
        shape.with(Heaped(by_time))
    } else {
        shape.with(by_time)
    }
}

/// Puts a new value in its place among at most k kept ones, best first; it goes before its equals.
fn keep<T: Copy>(kept: &mut Vec<T>, new: T, k: usize, compare: impl Fn(T, T) -> Ordering) {
    if kept.len() == k {
        match kept.last() {
            Some(worst) if compare(new, *worst) != Ordering::Greater => {
                kept.pop();
            }
            _ => return,
        }
    }
    let place = kept.partition_point(|old| compare(*old, new) == Ordering::Less);
    kept.insert(place, new);
}

struct ByValue<T> {
    values: T,
    k: usize,
    top: bool,
    /// Whether there are values of which the heap keeps others in another order of work.
    special: bool,
}

impl<T: Values> ByValue<T> {
    fn new(values: T, k: usize, top: bool, special: bool) -> Self {
        Self {
            values,
            k,
            top,
            special,
        }
    }

    fn turned<V>(&self, a: V, b: V) -> (V, V) {
        if self.top { (b, a) } else { (a, b) }
    }
}

impl<T: Values> Rank<T::Value> for ByValue<T> {
    fn compare(&self, a: T::Value, b: T::Value) -> Ordering {
        let (a, b) = self.turned(a, b);
        self.values.compare(a, b)
    }

    fn is_less(&self, a: T::Value, b: T::Value) -> bool {
        let (a, b) = self.turned(a, b);
        self.values.is_less(a, b)
    }

    fn is_at_most(&self, a: T::Value, b: T::Value) -> bool {
        let (a, b) = self.turned(a, b);
        self.values.is_at_most(a, b)
    }
}

impl<T: Values> Aggregator for ByValue<T> {
    /// The heap.
    type State = Vec<T::Value>;
    type Output = Lists<T::Output>;

    fn work_order(&self) -> WorkOrder {
        match self.special {
            true => WorkOrder::Rows,
            false => WorkOrder::Free,
        }
    }

    fn start(&self, element: usize) -> Vec<T::Value> {
        vec![self.values.get(element)]
    }

    fn update(&self, state: &mut Vec<T::Value>, element: usize) {
        heap::insert(state, self.values.get(element), self.k, self);
    }

    fn merge(&self, state: &mut Vec<T::Value>, later: &Vec<T::Value>) {
        heap::merge(state, later, self.k, self);
    }

    fn store(&self, state: &Vec<T::Value>) -> Stored {
        let values = state.iter();
        Stored::List(values.map(|value| self.values.store(*value)).collect())
    }

    fn load(&self, stored: Placed<'_>) -> Option<Vec<T::Value>> {
        let values = stored.list()?.map(|value| self.values.load(value));
        let heap: Vec<T::Value> = values.collect::<Option<_>>()?;
        (heap.len() <= self.k).then_some(heap)
    }

    fn output(&self, _direct: bool) -> Self::Output {
        Lists::new(self.values.output(false))
    }

    fn finish(&self, state: &Vec<T::Value>, output: &mut Self::Output) {
        let sorted = heap::sorted(state, self);
        output.append(|items| {
            for value in sorted {
                self.values.append(value, items);
            }
        });
    }
}

struct ByTime<'a> {
    payload: &'a ArrayRef,
    times: &'a [i64],
    k: usize,
    last: bool,
}

impl ByTime<'_> {
    /// Less is better; of equal times the later row.
    fn compare(&self, a: u32, b: u32) -> Ordering {
        let by_time = self.times[a as usize].cmp(&self.times[b as usize]);
        let by_time = if self.last {
            by_time.reverse()
        } else {
            by_time
        };
        by_time.then(b.cmp(&a))
    }

    /// Of value rows in order of time, the ones that are kept.
    fn kept_of(&self, rows: &[u32], kept: &mut Vec<u32>) {
        kept.clear();
        if rows.len() <= self.k {
            kept.extend_from_slice(rows);
        } else if self.last {
            kept.extend_from_slice(&rows[rows.len() - self.k..]);
        } else {
            let boundary = self.times[rows[self.k - 1] as usize];
            let before = rows.partition_point(|row| self.times[*row as usize] < boundary);
            let end = rows.partition_point(|row| self.times[*row as usize] <= boundary);
            kept.extend_from_slice(&rows[..before]);
            kept.extend_from_slice(&rows[end - (self.k - before)..end]);
        }
    }

    /// Times and elements of rows, as they are stored.
    fn pairs<'b>(&self, rows: impl Iterator<Item = &'b u32>) -> Stored {
        let pair = |row: &u32| {
            let time = self.times[*row as usize];
            Stored::Struct(vec![Stored::Whole(time), Stored::Element(*row)])
        };
        Stored::List(rows.map(pair).collect())
    }

    /// Appends kept rows, best time first, equal times in order of their rows.
    fn append(&self, kept: &mut [u32], output: &mut Lists<Taken>) {
        kept.sort_unstable_by(|a, b| {
            let by_time = self.times[*a as usize].cmp(&self.times[*b as usize]);
            let by_time = if self.last {
                by_time.reverse()
            } else {
                by_time
            };
            by_time.then(a.cmp(b))
        });
        output.append(|items| kept.iter().for_each(|row| items.append(*row)));
    }
}

impl Aggregator for ByTime<'_> {
    type State = Vec<u32>;
    type Output = Lists<Taken>;

    fn start(&self, element: usize) -> Vec<u32> {
        vec![element as u32]
    }

    fn update(&self, state: &mut Vec<u32>, element: usize) {
        keep(state, element as u32, self.k, |a, b| self.compare(a, b));
    }

    fn merge(&self, state: &mut Vec<u32>, later: &Vec<u32>) {
        for row in later {
            keep(state, *row, self.k, |a, b| self.compare(a, b));
        }
    }

    fn store(&self, state: &Vec<u32>) -> Stored {
        self.pairs(state.iter().rev())
    }

    fn load(&self, stored: Placed<'_>) -> Option<Vec<u32>> {
        let mut rows = stored.elements()?;
        rows.sort_unstable_by(|a, b| self.compare(*a, *b));
        (rows.len() <= self.k).then_some(rows)
    }

    fn output(&self, _direct: bool) -> Lists<Taken> {
        Lists::new(Taken::new(self.payload, false))
    }

    fn finish(&self, state: &Vec<u32>, output: &mut Lists<Taken>) {
        self.append(&mut state.clone(), output);
    }

    fn by_ranges(&self, elements: Elements<'_>, windows: Windows<'_>) -> Option<Vec<Lists<Taken>>> {
        let before = prefix_counts(elements);
        let rows: Vec<u32> = (0..elements.row_count)
            .filter(|row| elements.has(*row))
            .map(|row| row as u32)
            .collect();
        let mut kept = Vec::new();
        let mut answer = |range: Range<usize>, output: &mut Lists<Taken>| {
            let rows = &rows[before[range.start] as usize..before[range.end] as usize];
            if rows.is_empty() {
                return output.append_null();
            }
            self.kept_of(rows, &mut kept);
            self.append(&mut kept, output);
        };
        let Windows { timeline, windows } = windows;
        let mut outputs = Vec::with_capacity(windows.len());
        for window in windows {
            let mut output = self.output(true);
            for slot in 0..timeline.slot_count() {
                let first = timeline.first_row(*window, slot);
                for query in timeline.queries_of_slot(slot) {
                    let end = timeline.end_row(query);
                    answer(first.min(end)..end, &mut output);
                }
            }
            outputs.push(output);
        }
        Some(outputs)
    }
}

/// The same as a heap, whose array is what is stored.
struct Heaped<'a>(ByTime<'a>);

impl Rank<u32> for Heaped<'_> {
    fn compare(&self, a: u32, b: u32) -> Ordering {
        let (a, b) = (self.0.times[a as usize], self.0.times[b as usize]);
        if self.0.last { b.cmp(&a) } else { a.cmp(&b) }
    }
}

impl Aggregator for Heaped<'_> {
    type State = Vec<u32>;
    type Output = Lists<Taken>;

    fn work_order(&self) -> WorkOrder {
        WorkOrder::Rows
    }

    fn start(&self, element: usize) -> Vec<u32> {
        vec![element as u32]
    }

    fn update(&self, state: &mut Vec<u32>, element: usize) {
        heap::insert(state, element as u32, self.0.k, self);
    }

    fn merge(&self, state: &mut Vec<u32>, later: &Vec<u32>) {
        heap::merge(state, later, self.0.k, self);
    }

    fn store(&self, state: &Vec<u32>) -> Stored {
        self.0.pairs(state.iter())
    }

    fn load(&self, stored: Placed<'_>) -> Option<Vec<u32>> {
        let heap = stored.elements()?;
        (heap.len() <= self.0.k).then_some(heap)
    }

    fn output(&self, direct: bool) -> Lists<Taken> {
        self.0.output(direct)
    }

    fn finish(&self, state: &Vec<u32>, output: &mut Lists<Taken>) {
        let sorted = heap::sorted(state, self);
        output.append(|items| sorted.iter().for_each(|row| items.append(*row)));
    }
}
