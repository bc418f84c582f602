//! What each operation means, on plain values. Only for tests.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use unskewed_planner::aggregation::{AggregatePart, InputShape, Operation};

use super::java::{self, Frequent, Held, JavaMap};
use super::value::Value;
use crate::aggregate::approximate::{Counted, count_bytes, count_double};
use crate::aggregate::kll::Kll;

/// One row as a part sees it.
#[derive(Clone, Debug)]
pub struct Item {
    /// The time by which FIRST, LAST and their kin order it.
    pub time: i64,
    /// Its position, which breaks ties of time.
    pub row: usize,
    /// The input.
    pub value: Value,
    /// The bucket, where the part has one.
    pub bucket: Option<Value>,
}

/// What is known of at least one value.
#[derive(Clone)]
#[allow(private_interfaces, reason = "the sketches are the kernel's own")]
pub enum State {
    /// COUNT, and SUM of whole numbers.
    Whole(i64),
    /// SUM of floats.
    Sum(f64),
    /// AVERAGE: sum and count.
    Average(f64, i64),
    /// VARIANCE: count, mean, sum of squared deviations.
    Variance(i64, f64, f64),
    /// SKEW and KURTOSIS: count and four moments.
    Moments([f64; 5]),
    /// MIN and MAX.
    Extreme(Value),
    /// FIRST, LAST, FIRST_K, LAST_K: every item.
    Items(Vec<(i64, usize, Value)>),
    /// TOP_K, BOTTOM_K: the heap.
    Values(Vec<Value>),
    /// UNIQUE_COUNT, BOUNDED_UNIQUE_COUNT: how often each value was seen, in order of appearance.
    Counts(Vec<(Value, i64)>),
    /// APPROX_PERCENTILE.
    Percentile(Kll),
    /// APPROX_UNIQUE_COUNT.
    Counted(Counted),
    /// APPROX_HISTOGRAM_K.
    Frequent(Held),
    /// HISTOGRAM: how often each value was seen.
    Histogram(JavaMap),
    /// A state per bucket or map key.
    Keyed(BTreeMap<String, State>),
    /// A state per position of a list.
    Positions(Vec<State>),
}

impl State {
    /// Adds an item.
    pub fn updated(part: &AggregatePart, state: Option<Self>, item: &Item) -> Option<Self> {
        Self::with_item(part, state, item, false)
    }

    /// Takes an item back, where the operation can.
    pub fn deleted(part: &AggregatePart, state: Option<Self>, item: &Item) -> Option<Self> {
        if part.operation.is_deletable() {
            Self::with_item(part, state, item, true)
        } else {
            state
        }
    }

    fn with_item(
        part: &AggregatePart,
        state: Option<Self>,
        item: &Item,
        delete: bool,
    ) -> Option<Self> {
        let elements = |value: &Value| match value {
            Value::Null => Vec::new(),
            Value::List(items) if part.shape == InputShape::List => {
                let present = items.iter().filter(|item| **item != Value::Null);
                present.cloned().collect()
            }
            value => vec![value.clone()],
        };
        let add = |mut state: Option<Self>, elements: Vec<Value>| {
            for element in elements {
                state = Some(Self::with_element(part, state, item, &element, delete));
            }
            state
        };
        let keyed = match (&item.bucket, &item.value) {
            (_, Value::Null) | (Some(Value::Null), _) => return state,
            (Some(Value::Text(bucket)), value) => vec![(bucket.clone(), elements(value))],
            (None, Value::Map(entries)) if part.shape == InputShape::Map => {
                let entry = |(key, value): &(Value, Value)| match key {
                    Value::Text(key) => (key.clone(), elements(value)),
                    other => unreachable!("map key {other:?}"),
                };
                entries.iter().map(entry).collect()
            }
            (None, Value::List(items)) if part.shape == InputShape::Tensor => {
                let before = match state {
                    Some(Self::Positions(states)) => states.into_iter().map(Some).collect(),
                    _ => vec![None; items.len()],
                };
                let positions = before.into_iter().zip(items);
                let states = positions.filter_map(|(state, item)| add(state, vec![item.clone()]));
                return Some(Self::Positions(states.collect()));
            }
            (None, value) => return add(state, elements(value)),
            other => unreachable!("{other:?}"),
        };
        let is_map = part.shape == InputShape::Map;
        if state.is_none() && !is_map && keyed.iter().all(|(_, elements)| elements.is_empty()) {
            return None;
        }
        let mut states = match state {
            Some(Self::Keyed(states)) => states,
            _ => BTreeMap::new(),
        };
        for (key, elements) in keyed {
            if let Some(inner) = add(states.remove(&key), elements) {
                states.insert(key, inner);
            }
        }
        Some(Self::Keyed(states))
    }

    /// One element added to a state, or taken back.
    fn with_element(
        part: &AggregatePart,
        state: Option<Self>,
        item: &Item,
        element: &Value,
        delete: bool,
    ) -> Self {
        let sign = if delete { -1 } else { 1 };
        match part.operation {
            Operation::Count => match state {
                Some(Self::Whole(count)) => Self::Whole(count + sign),
                _ => Self::Whole(sign),
            },
            Operation::Sum if element.is_floating() => match state {
                Some(Self::Sum(sum)) if delete => Self::Sum(sum - element.as_double()),
                Some(Self::Sum(sum)) => Self::Sum(sum + element.as_double()),
                _ if delete => Self::Sum(-element.as_double()),
                _ => Self::Sum(element.as_double()),
            },
            Operation::Sum => {
                let value = whole(element);
                match state {
                    Some(Self::Whole(sum)) => Self::Whole(sum.wrapping_add(value * sign)),
                    _ => Self::Whole(value.wrapping_mul(sign)),
                }
            }
            Operation::Average => {
                let value = element.as_double();
                match state {
                    Some(Self::Average(sum, n)) if delete => Self::Average(sum - value, n - 1),
                    Some(Self::Average(sum, n)) => Self::Average(sum + value, n + 1),
                    _ if delete => Self::Average(-value, -1),
                    _ => Self::Average(value, 1),
                }
            }
            Operation::Variance => {
                let value = element.as_double();
                let (n, mean, m2) = match state {
                    Some(Self::Variance(n, mean, m2)) => (n, mean, m2),
                    _ => (0, 0.0, 0.0),
                };
                let delta = value - mean;
                let new_mean = mean + delta / (n + 1) as f64;
                Self::Variance(n + 1, new_mean, m2 + delta * (value - new_mean))
            }
            Operation::Skew | Operation::Kurtosis => {
                let before = match state {
                    Some(Self::Moments(moments)) => moments,
                    _ => [0.0; 5],
                };
                Self::Moments(add_to_moments(before, element.as_double()))
            }
            Operation::Min | Operation::Max => match state {
                Some(Self::Extreme(kept)) => Self::Extreme(extreme(part, kept, element.clone())),
                _ => Self::Extreme(element.clone()),
            },
            Operation::First
            | Operation::Last
            | Operation::FirstK
            | Operation::LastK
            | Operation::TopK
            | Operation::BottomK
            | Operation::UniqueCount
            | Operation::BoundedUniqueCount
            | Operation::Histogram => Self::collected(part, state, item, element, sign),
            Operation::ApproxPercentile
            | Operation::ApproxUniqueCount
            | Operation::ApproxHistogramK => Self::sketched(part, state, element),
        }
    }

    /// One element added to those seen, or taken back from their counts.
    fn collected(
        part: &AggregatePart,
        state: Option<Self>,
        item: &Item,
        element: &Value,
        sign: i64,
    ) -> Self {
        match part.operation {
            Operation::First | Operation::Last | Operation::FirstK | Operation::LastK => {
                let mut items = match state {
                    Some(Self::Items(items)) => items,
                    _ => Vec::new(),
                };
                items.push((item.time, item.row, element.clone()));
                Self::Items(items)
            }
            Operation::TopK | Operation::BottomK => {
                let mut values = match state {
                    Some(Self::Values(values)) => values,
                    _ => Vec::new(),
                };
                java::heap_insert(part, &mut values, element.clone());
                Self::Values(values)
            }
            Operation::Histogram => {
                let mut map = match state {
                    Some(Self::Histogram(map)) => map,
                    _ => JavaMap::default(),
                };
                map.add(element, sign);
                map.forget_zeros();
                Self::Histogram(map)
            }
            _ => {
                let mut counts = match state {
                    Some(Self::Counts(counts)) => counts,
                    _ => Vec::new(),
                };
                // Every row of bytes is a value of its own.
                let value = match element {
                    Value::Bytes(_) => Value::Whole(item.row as i64),
                    other => other.clone(),
                };
                count(&mut counts, value, sign);
                Self::Counts(counts)
            }
        }
    }

    /// One element added to a sketch.
    fn sketched(part: &AggregatePart, state: Option<Self>, element: &Value) -> Self {
        let k = part.arguments.k.unwrap_or(0) as usize;
        if part.operation == Operation::ApproxPercentile {
            let mut sketch = match state {
                Some(Self::Percentile(sketch)) => sketch,
                _ => Kll::new(k as u16),
            };
            sketch.update(element.as_double() as f32);
            return Self::Percentile(sketch);
        }
        if part.operation == Operation::ApproxUniqueCount {
            let mut counted = match state {
                Some(Self::Counted(counted)) => counted,
                _ => Counted::new(k as u8),
            };
            match element {
                Value::Text(text) => count_bytes(counted.one(), text.as_bytes()),
                Value::Bytes(bytes) => count_bytes(counted.one(), bytes),
                Value::Whole(value) => counted.one().update(*value),
                value => count_double(counted.one(), value.as_double()),
            }
            return Self::Counted(counted);
        }
        let held = match state {
            Some(Self::Frequent(held)) => held,
            _ => Frequent::held(),
        };
        let counted = match element {
            Value::Float(_) => Value::double(element.as_double()),
            element => element.clone(),
        };
        held.borrow_mut().add(&counted, k);
        Self::Frequent(held)
    }

    /// A state that later changes to this one leave alone, as the reference copies it.
    #[must_use]
    pub fn copied(&self) -> Self {
        match self {
            Self::Histogram(map) => Self::Histogram(map.copied()),
            Self::Frequent(held) => Self::Frequent(held.borrow().moved(JavaMap::copied)),
            Self::Keyed(states) => Self::Keyed(
                states
                    .iter()
                    .map(|(key, state)| (key.clone(), state.copied()))
                    .collect(),
            ),
            Self::Positions(states) => Self::Positions(states.iter().map(Self::copied).collect()),
            state => state.clone(),
        }
    }

    /// The state after it was written for another task and read back.
    #[must_use]
    pub fn shipped(&self) -> Self {
        match self {
            Self::Histogram(map) => Self::Histogram(map.rewritten()),
            Self::Frequent(held) => Self::Frequent(held.borrow().moved(JavaMap::rewritten)),
            Self::Keyed(states) => Self::Keyed(
                states
                    .iter()
                    .map(|(key, state)| (key.clone(), state.shipped()))
                    .collect(),
            ),
            Self::Positions(states) => Self::Positions(states.iter().map(Self::shipped).collect()),
            state => state.clone(),
        }
    }

    /// Adds a later state.
    pub fn merged(part: &AggregatePart, state: Option<Self>, later: Option<Self>) -> Option<Self> {
        let (state, later) = match (state, later) {
            (Some(state), Some(later)) => (state, later),
            (state, None) => return state,
            (None, later) => return later.map(|later| later.copied()),
        };
        Some(match (state, later) {
            (Self::Whole(a), Self::Whole(b)) => Self::Whole(a.wrapping_add(b)),
            (Self::Sum(a), Self::Sum(b)) => Self::Sum(a + b),
            (Self::Average(a, n), Self::Average(b, m)) => Self::Average(a + b, n + m),
            (Self::Variance(n, a, s), Self::Variance(m, b, t)) => {
                merge_variances((n, a, s), (m, b, t))
            }
            (Self::Moments(a), Self::Moments(b)) => Self::Moments(merge_moments(a, b)),
            (Self::Extreme(a), Self::Extreme(b)) => Self::Extreme(extreme(part, a, b)),
            (Self::Items(mut a), Self::Items(b)) => {
                a.extend(b);
                Self::Items(a)
            }
            (Self::Values(mut a), Self::Values(b)) => {
                let k = part.arguments.k.unwrap_or(0) as usize;
                if a.len() + b.len() < k {
                    a.extend(b);
                } else {
                    b.into_iter()
                        .for_each(|value| java::heap_insert(part, &mut a, value));
                }
                Self::Values(a)
            }
            (Self::Counts(mut a), Self::Counts(b)) => {
                for (value, times) in b {
                    count(&mut a, value, times);
                }
                Self::Counts(a)
            }
            (Self::Percentile(mut a), Self::Percentile(b)) => {
                a.merge(&b);
                Self::Percentile(a)
            }
            (Self::Counted(mut a), Self::Counted(b)) => {
                a.merge(&b);
                Self::Counted(a)
            }
            (Self::Histogram(mut a), Self::Histogram(b)) => {
                for (value, times) in b.in_order() {
                    a.add(&value, times);
                    a.forget_zeros();
                }
                Self::Histogram(a)
            }
            (Self::Frequent(a), Self::Frequent(b)) => {
                let k = part.arguments.k.unwrap_or(0) as usize;
                Self::Frequent(Frequent::merged(a, b, k))
            }
            (Self::Positions(a), Self::Positions(b)) => {
                let pairs = a.into_iter().zip(b);
                let merged = pairs.filter_map(|(a, b)| Self::merged(part, Some(a), Some(b)));
                Self::Positions(merged.collect())
            }
            (Self::Keyed(mut a), Self::Keyed(b)) => {
                for (key, later) in b {
                    let state = Self::merged(part, a.remove(&key), Some(later));
                    a.extend(state.map(|state| (key, state)));
                }
                Self::Keyed(a)
            }
            _ => unreachable!("states of different operations"),
        })
    }

    /// The finished value as it is written.
    pub fn finish(self, part: &AggregatePart) -> Value {
        match self {
            Self::Keyed(states) => Value::Map(
                states
                    .into_iter()
                    .map(|(key, state)| (Value::Text(key), state.finish_element(part)))
                    .collect(),
            ),
            Self::Positions(states) => {
                let finished = states.into_iter().map(|state| state.finish_element(part));
                Value::List(finished.collect())
            }
            state => state.finish_element(part).finite_or_null(),
        }
    }

    fn finish_element(self, part: &AggregatePart) -> Value {
        let k = part.arguments.k.unwrap_or(0) as usize;
        match self {
            Self::Whole(value) => Value::Whole(value),
            Self::Sum(sum) => Value::double(sum),
            Self::Average(sum, n) => Value::double(sum / n as f64),
            Self::Variance(n, _, m2) => Value::double(m2 / n as f64),
            Self::Moments(moments) => Value::double(shape_of(part, moments)),
            Self::Extreme(value) => value,
            Self::Items(mut items) => {
                let last = matches!(part.operation, Operation::Last | Operation::LastK);
                items.sort_by_key(|(time, row, _)| (if last { -*time } else { *time }, *row));
                if matches!(part.operation, Operation::First | Operation::Last) {
                    return items.swap_remove(0).2;
                }
                keep_by_time(items, k)
            }
            Self::Values(mut values) => {
                values.sort_by(|a, b| java::rank(part, a, b));
                Value::List(values)
            }
            Self::Histogram(map) => {
                let mut entries = java::limited(&map, k);
                entries.sort();
                let whole = |(value, count)| (value, Value::Whole(count));
                Value::Map(entries.into_iter().map(whole).collect())
            }
            Self::Frequent(held) => held.borrow().top(k),
            Self::Counts(counts) => {
                let bounded = part.operation == Operation::BoundedUniqueCount;
                let bound = if bounded { k } else { usize::MAX };
                Value::Whole(counts.len().min(bound) as i64)
            }
            Self::Percentile(sketch) => match sketch.quantiles(&part.arguments.percentiles) {
                Some(list) => Value::List(list.into_iter().map(Value::float).collect()),
                None => Value::Null,
            },
            Self::Counted(counted) => Value::Whole(counted.estimate()),
            Self::Keyed(_) | Self::Positions(_) => unreachable!("shapes are not nested"),
        }
    }
}

/// Counts a value; one that comes to nothing is forgotten.
fn count(counts: &mut Vec<(Value, i64)>, value: Value, by: i64) {
    match counts.iter().position(|(known, _)| *known == value) {
        None => counts.push((value, by)),
        Some(place) => {
            counts[place].1 += by;
            if counts[place].1 == 0 {
                counts.remove(place);
            }
        }
    }
}

fn whole(value: &Value) -> i64 {
    match value {
        Value::Whole(value) => *value,
        Value::Boolean(value) => i64::from(*value),
        other => unreachable!("{other:?} is no whole number"),
    }
}

/// The first k by time; of those that share the k-th time the later rows.
fn keep_by_time(items: Vec<(i64, usize, Value)>, k: usize) -> Value {
    let Some((boundary, ..)) = items.get(k.saturating_sub(1)).cloned() else {
        return Value::List(items.into_iter().map(|item| item.2).collect());
    };
    let sooner = items.iter().take_while(|item| item.0 != boundary).count();
    let ties: Vec<_> = items.iter().filter(|item| item.0 == boundary).collect();
    let kept_ties = ties.iter().skip(ties.len() - (k - sooner)).copied();
    let kept = items.iter().take(sooner).chain(kept_ties);
    Value::List(kept.map(|item| item.2.clone()).collect())
}

/// Java's order of two values of one type.
pub fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.encode_utf16().cmp(b.encode_utf16()),
        (Value::Whole(a), Value::Whole(b)) => a.cmp(b),
        _ => {
            let (a, b) = (a.as_double(), b.as_double());
            a.is_nan().cmp(&b.is_nan()).then_with(|| {
                if a.is_nan() {
                    Ordering::Equal
                } else {
                    a.total_cmp(&b)
                }
            })
        }
    }
}

fn extreme(part: &AggregatePart, a: Value, b: Value) -> Value {
    for value in [&a, &b] {
        if value.is_floating() && value.as_double().is_nan() {
            return value.clone();
        }
    }
    match (part.operation, compare(&a, &b)) {
        (Operation::Max, Ordering::Less) | (Operation::Min, Ordering::Greater) => b,
        _ => a,
    }
}

fn merge_variances((n, a, s): (i64, f64, f64), (m, b, t): (i64, f64, f64)) -> State {
    let (wn, wm) = (n as f64, m as f64);
    let delta = b - a;
    let m2 = s + t + delta * (delta / (wn + wm)) * wn * wm;
    let (heavy, light) = if wn < wm {
        ((wm, b), (wn, a))
    } else {
        ((wn, a), (wm, b))
    };
    let scaling = light.0 / (wn + wm);
    let mean = if scaling < 0.1 {
        heavy.1 + (light.1 - heavy.1) * scaling
    } else {
        (heavy.0 * heavy.1 + light.0 * light.1) / (wn + wm)
    };
    State::Variance(n + m, mean, m2)
}

fn add_to_moments([n1, m1, m2, m3, m4]: [f64; 5], x: f64) -> [f64; 5] {
    let n = n1 + 1.0;
    let delta = x - m1;
    let dn = delta / n;
    let dn2 = dn * dn;
    let t = delta * dn * n1;
    let fourth = t * dn2 * (n * n - 3.0 * n + 3.0) + 6.0 * dn2 * m2 - 4.0 * dn * m3;
    let third = t * dn * (n - 2.0) - 3.0 * dn * m2;
    [n, m1 + dn, m2 + t, m3 + third, m4 + fourth]
}

fn merge_moments(a: [f64; 5], b: [f64; 5]) -> [f64; 5] {
    let (na, nb) = (a[0], b[0]);
    let n = na + nb;
    let d = b[1] - a[1];
    let d2 = d * d;
    let m2 = a[2] + b[2] + d2 * na * nb / n;
    let m3 = a[3]
        + b[3]
        + (d * d2) * na * nb * (na - nb) / (n * n)
        + 3.0 * d * (na * b[2] - nb * a[2]) / n;
    let m4 = a[4]
        + b[4]
        + (d2 * d2) * na * nb * (na * na - na * nb + nb * nb) / (n * n * n)
        + 6.0 * d2 * (na * na * b[2] + nb * nb * a[2]) / (n * n)
        + 4.0 * d * (na * b[3] - nb * a[3]) / n;
    [n, (na * a[1] + nb * b[1]) / n, m2, m3, m4]
}

fn shape_of(part: &AggregatePart, [n, _, m2, m3, m4]: [f64; 5]) -> f64 {
    let least = if part.operation == Operation::Skew {
        3.0
    } else {
        4.0
    };
    if n < least || m2 == 0.0 {
        f64::NAN
    } else if part.operation == Operation::Skew {
        n.sqrt() * m3 / m2.powf(1.5)
    } else {
        n * m4 / (m2 * m2) - 3.0
    }
}
