//! Percentiles: exact by sorting, approximate by the summary of Greenwald and Khanna as the reference keeps it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, ListArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_cast::cast;
use arrow_schema::DataType as ArrowType;
use unskewed_planner::schema::DataType;

use super::Fold;
use super::number::doubles;
use crate::error::EngineError;
use crate::sql::step::Stepped;

/// One value for each state, or a list of them; none where there were no rows.
#[expect(clippy::needless_pass_by_value, reason = "callers collect into it")]
fn results(
    values: Vec<Option<Vec<f64>>>,
    array: bool,
    finish: impl Fn(Float64Array) -> Stepped<ArrayRef>,
) -> Stepped<ArrayRef> {
    if !array {
        let firsts = values.iter().map(|v| v.as_ref().map(|v| v[0]));
        return finish(firsts.collect());
    }
    let lengths = values.iter().map(|v| v.as_ref().map_or(0, Vec::len));
    let offsets = OffsetBuffer::from_lengths(lengths);
    let nulls: NullBuffer = values
        .iter()
        .map(Option::is_some)
        .collect::<Vec<_>>()
        .into();
    let flat = values.iter().flatten().flatten().copied();
    let flat = finish(Float64Array::from_iter_values(flat))?;
    let field = arrow_schema::Field::new("element", flat.data_type().clone(), true);
    Ok(Arc::new(ListArray::new(
        field.into(),
        offsets,
        flat,
        Some(nulls),
    )))
}

/// Exact percentiles.
pub(super) struct Percentile {
    pub(super) fractions: Vec<f64>,
    pub(super) array: bool,
    /// The nearest value instead of one between two.
    pub(super) discrete: bool,
    pub(super) descending: bool,
}

/// Numbers in order, each so many times.
struct Sorted {
    numbers: Vec<f64>,
    /// The rows up to each number, itself included.
    ends: Vec<i64>,
}

impl Sorted {
    fn new(mut counted: Vec<(f64, i64)>, descending: bool) -> Self {
        counted.sort_by(|a, b| order(a.0, b.0));
        if descending {
            counted.reverse();
        }
        let mut rows = 0_i64;
        let ends = counted.iter().map(|(_, count)| {
            rows = rows.saturating_add(*count);
            rows
        });
        Self {
            ends: ends.collect(),
            numbers: counted.into_iter().map(|(number, _)| number).collect(),
        }
    }

    fn rows(&self) -> i64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The number of the row at this place.
    fn at(&self, place: i64) -> f64 {
        self.numbers[self.ends.partition_point(|end| *end <= place)]
    }
}

impl Percentile {
    fn values(&self, counted: Vec<(f64, i64)>) -> Option<Vec<f64>> {
        if counted.is_empty() {
            return None;
        }
        let sorted = Sorted::new(counted, self.descending);
        let at = |fraction: f64| match self.discrete {
            true => discrete(&sorted, fraction),
            false => interpolated(&sorted, fraction),
        };
        Some(self.fractions.iter().map(|f| at(*f)).collect())
    }
}

/// As Java sorts doubles: NaN last, `-0.0` before `0.0`.
fn order(a: f64, b: f64) -> std::cmp::Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(&b),
        (x, y) => x.cmp(&y),
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "positions of rows"
)]
fn interpolated(sorted: &Sorted, fraction: f64) -> f64 {
    let position = (sorted.rows() - 1) as f64 * fraction;
    let (lower, higher) = (position.floor(), position.ceil());
    let (low, high) = (sorted.at(lower as i64), sorted.at(higher as i64));
    if lower == higher || low == high {
        return low;
    }
    (higher - position) * low + (position - lower) * high
}

/// The first value whose share of the rows reaches the fraction.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "positions of rows"
)]
fn discrete(sorted: &Sorted, fraction: f64) -> f64 {
    let rows = sorted.rows();
    let place = (fraction * rows as f64).ceil() as i64;
    sorted.at(place.clamp(1, rows) - 1)
}

/// Numbers, and how many times each counts if that is told.
pub(super) struct Counted {
    numbers: Float64Array,
    counts: Option<Int64Array>,
}

impl Fold for Percentile {
    type State = Vec<(f64, i64)>;
    type Input = Counted;

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Counted> {
        let counts = columns
            .get(1)
            .map(|c| c.as_primitive::<Int64Type>().clone());
        let negative = counts.iter().flatten().flatten().find(|count| *count < 0);
        match negative {
            Some(count) => Err(EngineError::Query {
                message: format!(
                    "percentile counts a value {count} times: it must not be negative"
                ),
            }),
            None => Ok(Counted {
                numbers: doubles(&columns[0])?,
                counts,
            }),
        }
    }

    fn add(&self, state: &mut Self::State, input: &Counted, row: usize) {
        let count = match &input.counts {
            Some(counts) if counts.is_null(row) => 0,
            Some(counts) => counts.value(row),
            None => 1,
        };
        if input.numbers.is_valid(row) && count > 0 {
            state.push((input.numbers.value(row), count));
        }
    }

    fn finish(&self, states: Vec<Self::State>) -> Stepped<ArrayRef> {
        let values = states.into_iter().map(|state| self.values(state));
        results(values.collect(), self.array, |a| Ok(Arc::new(a)))
    }

    fn held(&self, state: &Self::State) -> usize {
        state.capacity() * size_of::<(f64, i64)>()
    }
}

/// A value, the ranks it stands for, and how far its rank may be off.
#[derive(Clone, Copy, Debug)]
struct Sample {
    value: f64,
    ranks: i64,
    delta: i64,
}

/// The summary of a stream of numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    samples: Vec<Sample>,
    head: Vec<f64>,
    count: i64,
}

/// Values are taken in after so many …
const HEAD: usize = 50_000;
/// … and samples merged once there are so many.
const COMPRESS: usize = 10_000;

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "ranks, as the reference rounds them"
)]
impl Summary {
    fn insert(&mut self, value: f64, error: f64) {
        self.head.push(value);
        if self.head.len() >= HEAD {
            self.take_head(error);
            if self.samples.len() >= COMPRESS {
                self.compress(error);
            }
        }
    }

    fn take_head(&mut self, error: f64) {
        let mut head = std::mem::take(&mut self.head);
        head.sort_by(|a, b| order(*a, *b));
        let old = std::mem::take(&mut self.samples);
        let mut next = 0;
        for (index, value) in head.iter().enumerate() {
            while next < old.len() && old[next].value <= *value {
                self.samples.push(old[next]);
                next += 1;
            }
            self.count += 1;
            let at_end = next == old.len() && index == head.len() - 1;
            let delta = match self.samples.is_empty() || at_end {
                true => 0,
                false => (2.0 * error * self.count as f64).floor() as i64,
            };
            self.samples.push(Sample {
                value: *value,
                ranks: 1,
                delta,
            });
        }
        self.samples.extend_from_slice(&old[next..]);
    }

    fn compress(&mut self, error: f64) {
        self.take_head(error);
        let threshold = 2.0 * error * self.count as f64;
        let Some(mut head) = self.samples.last().copied() else {
            return;
        };
        let mut kept = Vec::new();
        for sample in self.samples[1.min(self.samples.len() - 1)..self.samples.len() - 1]
            .iter()
            .rev()
        {
            if ((sample.ranks + head.ranks + head.delta) as f64) < threshold {
                head.ranks += sample.ranks;
            } else {
                kept.push(head);
                head = *sample;
            }
        }
        kept.push(head);
        let least = self.samples[0];
        if least.value <= head.value && self.samples.len() > 1 {
            kept.push(least);
        }
        kept.reverse();
        self.samples = kept;
    }

    fn query(&self, fractions: &[f64], error: f64) -> Vec<f64> {
        let widest = self.samples.iter().map(|s| s.delta + s.ranks).max();
        let target = widest.unwrap_or(0) / 2;
        let mut order_of: Vec<usize> = (0..fractions.len()).collect();
        order_of.sort_by(|a, b| fractions[*a].total_cmp(&fractions[*b]));
        let mut answers = vec![0.0; fractions.len()];
        let last = self.samples.len() - 1;
        let (mut index, mut rank) = (0, self.samples[0].ranks);
        for place in order_of {
            let fraction = fractions[place];
            answers[place] = if fraction <= error || last == 0 {
                self.samples[0].value
            } else if fraction >= 1.0 - error {
                self.samples[last].value
            } else {
                let wanted = (fraction * self.count as f64).ceil() as i64;
                let mut found = None;
                let (mut at, mut least) = (index, rank);
                while at < last {
                    let greatest = least + self.samples[at].delta;
                    if greatest - target <= wanted && wanted <= least + target {
                        found = Some(self.samples[at].value);
                        break;
                    }
                    at += 1;
                    least += self.samples[at].ranks;
                }
                (index, rank) = match found {
                    Some(_) => (at, least),
                    None => (last, 0),
                };
                found.unwrap_or(self.samples[last].value)
            };
        }
        answers
    }
}

/// Percentiles from a summary.
pub(super) struct Approximate {
    pub(super) fractions: Vec<f64>,
    pub(super) array: bool,
    pub(super) accuracy: i64,
    /// The type of the values.
    pub(super) from: DataType,
}

impl Approximate {
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    fn error(&self) -> f64 {
        1.0 / self.accuracy as f64
    }

    /// Doubles back to the type of the values.
    fn typed(&self, values: &Float64Array) -> Stepped<ArrayRef> {
        let to = self.from.to_arrow();
        match self.from {
            DataType::Double | DataType::Float | DataType::Decimal(..) => {
                Ok(cast(&(Arc::new(values.clone()) as ArrayRef), &to)?)
            }
            _ => {
                #[expect(clippy::cast_possible_truncation, reason = "they came from integers")]
                let whole: Int64Array = values.unary(|v| v as i64);
                let whole: ArrayRef = Arc::new(whole);
                match to {
                    ArrowType::Date32 | ArrowType::Interval(_) => {
                        let days = cast(&whole, &ArrowType::Int32)?;
                        Ok(cast(&days, &to)?)
                    }
                    _ => Ok(cast(&whole, &to)?),
                }
            }
        }
    }
}

impl Fold for Approximate {
    type State = Summary;
    type Input = Float64Array;

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Float64Array> {
        let column = match self.from {
            DataType::Date => cast(&columns[0], &ArrowType::Int32)?,
            DataType::Timestamp | DataType::TimestampNtz | DataType::DayTimeInterval(..) => {
                cast(&columns[0], &ArrowType::Int64)?
            }
            _ => Arc::clone(&columns[0]),
        };
        let column = cast(&column, &ArrowType::Float64)?;
        Ok(column.as_primitive::<Float64Type>().clone())
    }

    fn add(&self, state: &mut Summary, input: &Float64Array, row: usize) {
        if input.is_valid(row) {
            state.insert(input.value(row), self.error());
        }
    }

    fn finish(&self, states: Vec<Summary>) -> Stepped<ArrayRef> {
        let values = states.into_iter().map(|mut state| {
            state.compress(self.error());
            (!state.samples.is_empty()).then(|| state.query(&self.fractions, self.error()))
        });
        results(values.collect(), self.array, |a| self.typed(&a))
    }

    fn held(&self, state: &Summary) -> usize {
        state.samples.capacity() * size_of::<Sample>() + state.head.capacity() * size_of::<f64>()
    }
}
