//! Columns of stored states, read into states that any call can go on from.
//!
//! What states point to (values by the array they lie in, keys by the row that has them) is laid out as rows of the
//! part's own input, the *lent* rows. A call puts them before the rows it adds (`resume.rs`): they are never added
//! themselves, and standing first they count as earlier, as they are.
//!
//! Stored states are taken to be hostile: what is no state of the operation is refused here or when it is loaded.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray, UInt32Array, new_null_array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;
use unskewed_planner::aggregation::{AggregatePart, InputShape, Operation};

use super::approximate::{read_count, read_percentiles, size_of_counter, size_of_percentiles};
use super::frequent::read::SavedCounts;
use super::saved::{Placed, Saved};
use crate::error::KernelError;

/// States of one part, and the rows that lend what they point to.
#[derive(Clone, Debug)]
pub(crate) struct Restored {
    states: Vec<Saved>,
    /// The input column of the lent rows; `None` where there are none.
    pub(crate) value: Option<ArrayRef>,
    /// Their bucket column, where the part has one.
    pub(crate) bucket: Option<ArrayRef>,
    /// Their times.
    pub(crate) times: Vec<i64>,
}

impl Restored {
    /// No states.
    pub(crate) fn none() -> Self {
        Self {
            states: Vec::new(),
            value: None,
            bucket: None,
            times: Vec::new(),
        }
    }

    /// Reads a column of states of the part's state type.
    pub(crate) fn read(part: &AggregatePart, states: &ArrayRef) -> Result<Self, KernelError> {
        if states.null_count() == states.len() {
            let states = vec![Saved::Null; states.len()];
            return Ok(Self {
                states,
                ..Self::none()
            });
        }
        let keyed = part.bucket.is_some() || part.shape == InputShape::Map;
        let (inner, keys, outer) = match states.data_type() {
            ArrowType::Map(..) if keyed => {
                let map = states.as_map();
                let (keys, offsets) = (Arc::clone(map.keys()), map.offsets().clone());
                (Arc::clone(map.values()), Some(keys), Some(offsets))
            }
            ArrowType::List(_) if part.shape == InputShape::Tensor => {
                let lists = states.as_list::<i32>();
                let offsets = lists.offsets().clone();
                (Arc::clone(lists.values()), None, Some(offsets))
            }
            _ => (Arc::clone(states), None, None),
        };
        let leaf = Leaf::of(part, &inner);
        let mut rows = Lent::default();
        let mut read = Vec::with_capacity(inner.len());
        for at in 0..inner.len() {
            let saved = leaf.read(part, at, keys.is_some(), &mut rows);
            read.push(saved.ok_or_else(|| damaged(part))?);
        }
        let keyed = keys.is_some();
        let states = match outer {
            None => read,
            Some(offsets) => {
                let group = |at: usize| {
                    let range = items(&offsets, at);
                    if states.is_null(at) {
                        Saved::Null
                    } else if keyed {
                        let entry = |at: usize| (rows.first[at], read[at].clone());
                        Saved::Keyed(range.map(entry).collect())
                    } else {
                        Saved::List(read[range].to_vec())
                    }
                };
                (0..states.len()).map(group).collect()
            }
        };
        let (mut value, mut bucket) = (None, None);
        if !rows.times.is_empty() {
            let keys = keys.map(|keys| rows.keys(&keys)).transpose()?;
            let elements = rows.elements(part, &leaf)?;
            value = Some(shaped(part, elements, keys.as_ref())?);
            bucket = keys.filter(|_| part.bucket.is_some());
        }
        Ok(Self {
            states,
            value,
            bucket,
            times: rows.times,
        })
    }

    /// A state, in a call in which the lent rows begin at `first_row`.
    pub(crate) fn placed(&self, state: usize, first_row: u32) -> Placed<'_> {
        let saved = self.states.get(state).unwrap_or(&Saved::Null);
        Placed { saved, first_row }
    }
}

/// The refusal of stored states that are none of the part's.
pub(crate) fn damaged(part: &AggregatePart) -> KernelError {
    KernelError::Stored {
        column: part.output_name.clone(),
    }
}

/// Elements as a column of the part's input, a row each.
fn shaped(
    part: &AggregatePart,
    elements: ArrayRef,
    keys: Option<&ArrayRef>,
) -> Result<ArrayRef, KernelError> {
    let count = elements.len();
    let one_each = || OffsetBuffer::from_lengths(std::iter::repeat_n(1, count));
    Ok(match (part.shape, part.input_type.to_arrow()) {
        (InputShape::List | InputShape::Tensor, ArrowType::List(item)) => {
            Arc::new(ListArray::try_new(item, one_each(), elements, None)?)
        }
        (InputShape::Map, ArrowType::Map(field, _)) => {
            let keys = keys.map_or_else(|| new_null_array(&ArrowType::Utf8, count), Arc::clone);
            let ArrowType::Struct(fields) = field.data_type() else {
                unreachable!("entries of a map are structs");
            };
            let entries = StructArray::try_new(fields.clone(), vec![keys, elements], None)?;
            Arc::new(MapArray::try_new(field, one_each(), entries, None, false)?)
        }
        _ => elements,
    })
}

/// The rows that lend elements and keys.
#[derive(Default)]
struct Lent {
    /// Position of each row's element among the leaves; none where a state has no elements.
    elements: Vec<Option<u32>>,
    times: Vec<i64>,
    /// The inner state that each row is of.
    owners: Vec<u32>,
    /// The first row of each inner state.
    first: Vec<u32>,
}

impl Lent {
    fn push(&mut self, owner: usize, element: Option<usize>, time: i64) -> Saved {
        let row = self.times.len() as u32;
        self.elements.push(element.map(|element| element as u32));
        self.times.push(time);
        self.owners.push(owner as u32);
        Saved::Element(row)
    }

    fn elements(&self, part: &AggregatePart, leaf: &Leaf) -> Result<ArrayRef, KernelError> {
        let element_type = part.element_type.to_arrow();
        let Some(leaves) = leaf.elements.as_ref() else {
            return Ok(new_null_array(&element_type, self.times.len()));
        };
        let places = UInt32Array::from_iter(self.elements.iter().copied());
        let taken = arrow_select::take::take(leaves, &places, None)?;
        if *taken.data_type() == element_type {
            return Ok(taken);
        }
        Ok(arrow_cast::cast(&taken, &element_type)?)
    }

    fn keys(&self, keys: &ArrayRef) -> Result<ArrayRef, KernelError> {
        let owners = UInt32Array::from_iter_values(self.owners.iter().copied());
        Ok(arrow_select::take::take(keys, &owners, None)?)
    }
}

/// States of one operation, taken apart.
struct Leaf {
    states: ArrayRef,
    /// The values that states point to, if they do.
    elements: Option<ArrayRef>,
    form: Form,
}

/// How states hold what they know.
enum Form {
    /// Numbers, and structs or lists of numbers.
    Plain,
    /// The bytes of a sketch.
    Sketch,
    /// The state is an element.
    Element,
    /// A list of elements.
    Elements,
    /// An element with its time.
    Timed { times: ArrayRef },
    /// A list of elements with their times.
    TimedList { times: ArrayRef },
    /// Elements with their counts.
    Counted { counts: ArrayRef },
}

impl Leaf {
    fn of(part: &AggregatePart, states: &ArrayRef) -> Self {
        let list_items = || Arc::clone(states.as_list::<i32>().values());
        let timed = |pairs: &ArrayRef| {
            let pairs = pairs.as_struct();
            (Arc::clone(pairs.column(0)), Arc::clone(pairs.column(1)))
        };
        let is_text = |states: &ArrayRef| *states.data_type() == ArrowType::Utf8;
        let (elements, form) = match part.operation {
            Operation::Min | Operation::Max if is_text(states) => {
                (Some(Arc::clone(states)), Form::Element)
            }
            Operation::TopK | Operation::BottomK if is_text(&list_items()) => {
                (Some(list_items()), Form::Elements)
            }
            Operation::UniqueCount | Operation::BoundedUniqueCount => {
                (Some(list_items()), Form::Elements)
            }
            Operation::First | Operation::Last => {
                let (times, payload) = timed(states);
                (Some(payload), Form::Timed { times })
            }
            Operation::FirstK | Operation::LastK => {
                let (times, payload) = timed(&list_items());
                (Some(payload), Form::TimedList { times })
            }
            Operation::Histogram => {
                let map = states.as_map();
                let counts = Arc::clone(map.values());
                (Some(Arc::clone(map.keys())), Form::Counted { counts })
            }
            Operation::ApproxUniqueCount
            | Operation::ApproxPercentile
            | Operation::ApproxHistogramK => (None, Form::Sketch),
            _ => (None, Form::Plain),
        };
        Self {
            states: Arc::clone(states),
            elements,
            form,
        }
    }

    /// A state, its elements laid out as rows; where `keyed`, at least one row, which has the key. `None` when it is
    /// none of the part's.
    fn read(&self, part: &AggregatePart, at: usize, keyed: bool, rows: &mut Lent) -> Option<Saved> {
        let first = rows.times.len();
        rows.first.push(first as u32);
        let saved = if self.states.is_null(at) {
            Saved::Null
        } else {
            self.present(part, at, rows)?
        };
        if keyed && rows.times.len() == first {
            rows.push(at, None, 0);
        }
        Some(saved)
    }

    fn present(&self, part: &AggregatePart, at: usize, rows: &mut Lent) -> Option<Saved> {
        let list = || items(self.states.as_list::<i32>().offsets(), at);
        let mut push = |element: usize, time: i64| rows.push(at, Some(element), time);
        match &self.form {
            Form::Plain => plain(&self.states, at),
            Form::Sketch => sketch(part, self.states.as_binary::<i32>().value(at)),
            Form::Element => Some(push(at, 0)),
            Form::Elements => Some(Saved::List(list().map(|item| push(item, 0)).collect())),
            Form::Timed { times } => Some(push(at, time(times, at)?)),
            Form::TimedList { times } => {
                let pair = |item: usize| Some(push(item, time(times, item)?));
                Some(Saved::List(list().map(pair).collect::<Option<_>>()?))
            }
            Form::Counted { counts } => {
                let range = items(self.states.as_map().offsets(), at);
                let counted =
                    |item: usize| Some(Saved::List(vec![push(item, 0), plain(counts, item)?]));
                Some(Saved::List(range.map(counted).collect::<Option<_>>()?))
            }
        }
    }
}

fn items(offsets: &OffsetBuffer<i32>, at: usize) -> Range<usize> {
    offsets[at] as usize..offsets[at + 1] as usize
}

fn time(times: &ArrayRef, at: usize) -> Option<i64> {
    let times = times.as_primitive::<Int64Type>();
    times.is_valid(at).then(|| times.value(at))
}

/// A sketch.
fn sketch(part: &AggregatePart, bytes: &[u8]) -> Option<Saved> {
    match part.operation {
        Operation::ApproxUniqueCount => {
            read_count(bytes, size_of_counter(part)).map(Saved::Distinct)
        }
        Operation::ApproxPercentile => {
            read_percentiles(bytes, size_of_percentiles(part)).map(Saved::Percentiles)
        }
        _ => {
            let k = part.arguments.k.unwrap_or(8) as usize;
            SavedCounts::read(bytes, k).map(Saved::Frequent)
        }
    }
}

/// A state of numbers, none of which is missing.
fn plain(states: &ArrayRef, at: usize) -> Option<Saved> {
    if states.is_null(at) {
        return None;
    }
    Some(match states.data_type() {
        ArrowType::Int16 => Saved::Whole(states.as_primitive::<Int16Type>().value(at).into()),
        ArrowType::Int32 => Saved::Whole(states.as_primitive::<Int32Type>().value(at).into()),
        ArrowType::Int64 => Saved::Whole(states.as_primitive::<Int64Type>().value(at)),
        ArrowType::Float32 => {
            Saved::Floating(states.as_primitive::<Float32Type>().value(at).into())
        }
        ArrowType::Float64 => Saved::Floating(states.as_primitive::<Float64Type>().value(at)),
        ArrowType::Struct(_) => {
            let columns = states.as_struct().columns().iter();
            let fields = columns.map(|column| plain(column, at));
            Saved::List(fields.collect::<Option<_>>()?)
        }
        ArrowType::List(_) => {
            let lists = states.as_list::<i32>();
            let range = items(lists.offsets(), at);
            let items = range.map(|item| plain(lists.values(), item));
            Saved::List(items.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}
