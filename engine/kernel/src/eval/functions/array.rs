//! Functions of arrays.

use arrow_array::Array;
use arrow_array::UInt32Array;
use arrow_array::types::Int64Type;
use arrow_select::concat::concat as join;
use arrow_select::take::take;

use super::{Entry, eager};
use crate::eval::build::{Built, ListBuilder};
use crate::eval::call::Call;
use crate::eval::node::row_number;

mod make;
mod search;
mod sequence;
mod sets;

pub(super) fn functions() -> Vec<Entry> {
    vec![
        eager("array item", item),
        eager("array", make::array),
        eager("size", |call| make::size(call, Some(-1))),
        eager("array_size", |call| make::size(call, None)),
        eager("element_at", make::element_at),
        eager("slice", make::slice),
        eager("array_append", |call| make::extend(call, false)),
        eager("array_prepend", |call| make::extend(call, true)),
        eager("array_insert", make::insert),
        eager("array_compact", make::compact),
        eager("array_repeat", make::repeat),
        eager("array_join", make::join_text),
        eager("arrays_zip", make::zip),
        eager("flatten", make::flatten),
        eager("sequence", sequence::sequence),
        eager("array_contains", search::contains),
        eager("array_position", search::position),
        eager("array_remove", search::remove),
        eager("array_min", |call| search::extreme(call, false)),
        eager("array_max", |call| search::extreme(call, true)),
        eager("sort_array", search::sort),
        eager("array_distinct", sets::distinct),
        eager("array_union", sets::union),
        eager("array_intersect", |call| sets::by_membership(call, true)),
        eager("array_except", |call| sets::by_membership(call, false)),
        eager("arrays_overlap", sets::overlap),
    ]
}

/// Several arrays as one, to pick elements of all of them.
struct Joined {
    source: arrow_array::ArrayRef,
    starts: Vec<usize>,
}

impl Joined {
    fn new(parts: &[&dyn Array]) -> Result<Self, crate::error::KernelError> {
        let mut starts = vec![0];
        for part in parts {
            starts.push(starts.last().expect("never empty") + part.len());
        }
        Ok(Self {
            source: join(parts)?,
            starts,
        })
    }

    /// The position of an element of a part.
    fn at(&self, part: usize, element: usize) -> usize {
        self.starts[part] + element
    }
}

/// The element at a position from zero; null outside.
fn item(call: &Call<'_>) -> Built {
    let lists = call.lists(0);
    let index = call.primitives::<Int64Type>(1);
    let picks: UInt32Array = (0..call.rows)
        .map(|row| {
            let range = lists.get(row)?;
            let index = usize::try_from(index.get(row)?).ok()?;
            (index < range.len()).then(|| row_number(range.start + index))
        })
        .collect();
    Ok(take(lists.elements(), &picks, None)?)
}

/// Arrays one after the other; null if any is.
pub(super) fn concat(call: &Call<'_>) -> Built {
    let parts: Vec<_> = (0..call.len()).map(|i| call.lists(i)).collect();
    let sources: Vec<&dyn Array> = parts.iter().map(|p| p.elements().as_ref()).collect();
    let mut starts = vec![0];
    for source in &sources {
        starts.push(starts.last().expect("never empty") + source.len());
    }
    let mut builder = ListBuilder::new();
    for row in 0..call.rows {
        let ranges: Option<Vec<_>> = parts.iter().map(|part| part.get(row)).collect();
        let Some(ranges) = ranges else {
            builder.null();
            continue;
        };
        for (start, range) in starts.iter().zip(ranges) {
            range.for_each(|at| builder.pick(Some(start + at)));
        }
        builder.close();
    }
    builder.finish(&join(&sources)?, call.data_type)
}
