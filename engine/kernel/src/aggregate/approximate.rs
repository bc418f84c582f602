//! APPROX_PERCENTILE and APPROX_UNIQUE_COUNT.
//!
//! Distinct values are counted by Apache's CPC sketch, whose bytes are Java's; empty strings and bytes are ignored
//! there, so that a column of nothing else counts 0. NaN is ignored by the percentiles.

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_schema::DataType as ArrowType;
use datasketches::cpc::{CpcSketch, CpcUnion};
use datasketches::hash::value::{canonical_float, raw_bytes};
use unskewed_planner::aggregation::AggregatePart;

use super::bind::{Shape, type_error};
use super::fold::Visitor;
use super::kll::Kll;
use super::output::{Lists, Numbers, Output};
use super::saved::Placed;
use super::stored::Stored;
use super::{Aggregator, WorkOrder};
use crate::error::KernelError;

/// Picks the aggregator of APPROX_PERCENTILE.
pub(crate) fn bind_percentile<V: Visitor>(
    part: &AggregatePart,
    elements: &ArrayRef,
    shape: Shape<V>,
) -> Result<V::Answer, KernelError> {
    if *elements.data_type() != ArrowType::Float32 {
        return Err(type_error(part, elements.data_type()));
    }
    shape.with(Percentile {
        values: elements.as_primitive::<Float32Type>().values(),
        k: size_of_percentiles(part),
        fractions: &part.arguments.percentiles,
    })
}

/// The size of the sketch behind APPROX_PERCENTILE.
pub(crate) fn size_of_percentiles(part: &AggregatePart) -> u16 {
    let k = part.arguments.k.unwrap_or(128);
    u16::try_from(k).unwrap_or(u16::MAX).max(8)
}

struct Percentile<'a> {
    values: &'a [f32],
    k: u16,
    fractions: &'a [f64],
}

impl Aggregator for Percentile<'_> {
    type State = Kll;
    type Output = Lists<Numbers<Float32Type>>;

    fn work_order(&self) -> WorkOrder {
        WorkOrder::Rows
    }

    fn start(&self, element: usize) -> Kll {
        let mut state = Kll::new(self.k);
        state.update(self.values[element]);
        state
    }

    fn update(&self, state: &mut Kll, element: usize) {
        state.update(self.values[element]);
    }

    fn merge(&self, state: &mut Kll, later: &Kll) {
        state.merge(later);
    }

    fn store(&self, state: &Kll) -> Stored {
        Stored::Bytes(state.to_bytes())
    }

    fn load(&self, stored: Placed<'_>) -> Option<Kll> {
        stored.percentiles().cloned()
    }

    fn output(&self, _direct: bool) -> Self::Output {
        Lists::new(Numbers::new(false))
    }

    fn finish(&self, state: &Kll, output: &mut Self::Output) {
        match state.quantiles(self.fractions) {
            Some(quantiles) => output.append(|items| {
                quantiles.iter().for_each(|value| items.append(*value));
            }),
            None => output.append_null(),
        }
    }
}

/// Picks the aggregator of APPROX_UNIQUE_COUNT by the operand's type.
pub(crate) fn bind_unique<V: Visitor>(
    part: &AggregatePart,
    elements: &ArrayRef,
    shape: Shape<V>,
) -> Result<V::Answer, KernelError> {
    let lg_k = size_of_counter(part);
    let feed = match elements.data_type() {
        ArrowType::Int64 => Feed::Longs(elements.as_primitive::<Int64Type>().values()),
        ArrowType::Float64 => Feed::Doubles(elements.as_primitive::<Float64Type>().values()),
        ArrowType::Utf8 => Feed::Strings(elements.as_string()),
        ArrowType::Binary => Feed::Binaries(elements.as_binary()),
        other => return Err(type_error(part, other)),
    };
    shape.with(Counter { feed, lg_k })
}

/// The log2 size of the sketch behind APPROX_UNIQUE_COUNT.
pub(crate) fn size_of_counter(part: &AggregatePart) -> u8 {
    let lg_k = part.arguments.k.unwrap_or(8).clamp(4, 26);
    u8::try_from(lg_k).unwrap_or(8)
}

enum Feed<'a> {
    Longs(&'a [i64]),
    Doubles(&'a [f64]),
    Strings(&'a arrow_array::StringArray),
    Binaries(&'a arrow_array::BinaryArray),
}

/// Adds bytes to a sketch as Java does, which ignores empty ones.
pub(crate) fn count_bytes(sketch: &mut CpcSketch, bytes: &[u8]) {
    if !bytes.is_empty() {
        sketch.update(raw_bytes::from_slice(bytes));
    }
}

/// Adds a double to a sketch as Java does.
pub(crate) fn count_double(sketch: &mut CpcSketch, value: f64) {
    sketch.update(canonical_float::from_f64(value));
}

struct Counter<'a> {
    feed: Feed<'a>,
    lg_k: u8,
}

/// One sketch, or the union of several.
#[derive(Clone)]
pub(crate) enum Counted {
    One(CpcSketch),
    Many(CpcUnion),
}

impl Counted {
    /// An empty count.
    pub(crate) fn new(lg_k: u8) -> Self {
        Self::One(CpcSketch::new(lg_k).expect("the size was checked with the arguments"))
    }

    /// The count as one sketch.
    pub(crate) fn sketch(&self) -> CpcSketch {
        match self {
            Self::One(sketch) => sketch.clone(),
            Self::Many(union) => union.to_sketch(),
        }
    }

    /// The sketch to add single values to.
    pub(crate) fn one(&mut self) -> &mut CpcSketch {
        if let Self::Many(union) = self {
            *self = Self::One(union.to_sketch());
        }
        match self {
            Self::One(sketch) => sketch,
            Self::Many(_) => unreachable!("made one sketch above"),
        }
    }

    /// Adds another count.
    pub(crate) fn merge(&mut self, later: &Self) {
        const SEED: &str = "all sketches of a run have the same seed";
        if let Self::One(sketch) = self {
            let mut union = CpcUnion::new(sketch.lg_k()).expect("the sketch has this size");
            union.update(sketch).expect(SEED);
            *self = Self::Many(union);
        }
        let Self::Many(union) = self else {
            unreachable!("made a union above");
        };
        match later {
            Self::One(sketch) => union.update(sketch).expect(SEED),
            Self::Many(many) => union.update(&many.to_sketch()).expect(SEED),
        }
    }

    /// The estimate, rounded down.
    pub(crate) fn estimate(&self) -> i64 {
        let estimate = match self {
            Self::One(sketch) => sketch.estimate(),
            Self::Many(union) => union.to_sketch().estimate(),
        };
        estimate.floor() as i64
    }
}

/// Reads the stored bytes of a count; `None` when they are something else, or of a sketch of another size.
pub(crate) fn read_count(bytes: &[u8], lg_k: u8) -> Option<CpcSketch> {
    // The size stands at the fourth place; it is looked at before anything of it is made.
    if bytes.get(3) != Some(&lg_k) {
        return None;
    }
    let sketch = CpcSketch::deserialize(bytes).ok()?;
    // An empty one is read without the weights that the first update needs.
    match sketch.is_empty() {
        true => CpcSketch::new(lg_k).ok(),
        false => Some(sketch),
    }
}

/// Reads the stored bytes of a percentile sketch; `None` when they are something else, or of a sketch of another size.
pub(crate) fn read_percentiles(bytes: &[u8], k: u16) -> Option<Kll> {
    Kll::from_bytes(bytes).filter(|sketch| sketch.k() == k && sketch.count() <= COUNT_READ_MAX)
}

/// The most values that a stored sketch is believed to have seen: what is merged of any number of them can be counted.
const COUNT_READ_MAX: u64 = 1 << 40;

impl Aggregator for Counter<'_> {
    type State = Counted;
    type Output = Numbers<Int64Type>;
    const FROM_ROWS: bool = true;

    fn work_order(&self) -> WorkOrder {
        WorkOrder::Digits
    }

    fn start(&self, element: usize) -> Counted {
        let mut state = Counted::new(self.lg_k);
        self.update(&mut state, element);
        state
    }

    fn update(&self, state: &mut Counted, element: usize) {
        let sketch = state.one();
        match &self.feed {
            Feed::Longs(values) => sketch.update(values[element]),
            Feed::Doubles(values) => count_double(sketch, values[element]),
            Feed::Strings(values) => count_bytes(sketch, values.value(element).as_bytes()),
            Feed::Binaries(values) => count_bytes(sketch, values.value(element)),
        }
    }

    fn merge(&self, state: &mut Counted, later: &Counted) {
        state.merge(later);
    }

    fn store(&self, state: &Counted) -> Stored {
        Stored::Bytes(state.sketch().serialize())
    }

    fn load(&self, stored: Placed<'_>) -> Option<Counted> {
        stored.distinct().cloned().map(Counted::One)
    }

    fn output(&self, direct: bool) -> Self::Output {
        Numbers::new(direct)
    }

    fn finish(&self, state: &Counted, output: &mut Self::Output) {
        output.append(state.estimate());
    }
}
