//! Making, cutting and widening arrays.

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_select::take::take;
use unskewed_planner::schema::DataType;

use super::Joined;
use crate::eval::build::{self, Built, ListBuilder};
use crate::eval::call::Call;
use crate::eval::node::row_number;

pub(super) fn array(call: &Call<'_>) -> Built {
    let mut builder = ListBuilder::new();
    if call.len() == 0 {
        for _ in 0..call.rows {
            builder.close();
        }
        let nothing = arrow_array::new_empty_array(&arrow_schema::DataType::Null);
        return builder.finish(&nothing, call.data_type);
    }
    let parts: Vec<&dyn Array> = call.columns.iter().map(|c| c.array.as_ref()).collect();
    let joined = Joined::new(&parts)?;
    for row in 0..call.rows {
        for (part, column) in call.columns.iter().enumerate() {
            builder.pick(Some(joined.at(part, column.index(row))));
        }
        builder.close();
    }
    builder.finish(&joined.source, call.data_type)
}

/// The number of elements or entries; of a null `of_null`.
pub(super) fn size(call: &Call<'_>, of_null: Option<i32>) -> Built {
    let map = matches!(call.types[0], DataType::Map(..));
    call.build::<Int32Type>(|row| {
        let range = if map {
            call.maps(0).get(row)
        } else {
            call.lists(0).get(row)
        };
        range.map_or(of_null, |range| i32::try_from(range.len()).ok())
    })
}

/// From one, or from the end if negative; null outside, an error at zero.
pub(super) fn element_at(call: &Call<'_>) -> Built {
    let (lists, index) = (call.lists(0), call.primitives::<Int32Type>(1));
    let mut picks = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let (Some(range), Some(index)) = (lists.get(row), index.get(row)) else {
            picks.push(None);
            continue;
        };
        if index == 0 {
            return Err(Call::row_error(row, "array indices start at 1, this is 0"));
        }
        if index == i32::MIN {
            return Err(Call::row_error(row, "no array has so many elements"));
        }
        let size = i64::try_from(range.len()).unwrap_or(i64::MAX);
        let index = i64::from(index);
        let at = if index > 0 { index - 1 } else { size + index };
        let inside = (0..size).contains(&at);
        let at = usize::try_from(at).unwrap_or(0);
        picks.push(inside.then(|| row_number(range.start + at)));
    }
    Ok(take(lists.elements(), &UInt32Array::from(picks), None)?)
}

pub(super) fn slice(call: &Call<'_>) -> Built {
    let lists = call.lists(0);
    let (start, length) = (
        call.primitives::<Int32Type>(1),
        call.primitives::<Int32Type>(2),
    );
    let mut builder = ListBuilder::new();
    for row in 0..call.rows {
        let (Some(range), Some(start), Some(length)) =
            (lists.get(row), start.get(row), length.get(row))
        else {
            builder.null();
            continue;
        };
        if start == 0 {
            return Err(Call::row_error(
                row,
                "array indices start at 1, the slice starts at 0",
            ));
        }
        if length < 0 {
            return Err(Call::row_error(
                row,
                "the length of a slice must not be negative",
            ));
        }
        let size = i64::try_from(range.len()).unwrap_or(i64::MAX);
        let start = i64::from(start);
        let from = if start > 0 { start - 1 } else { size + start };
        if (0..size).contains(&from) {
            let upto = (from + i64::from(length)).min(size);
            let offset = |at: i64| range.start + usize::try_from(at).unwrap_or(0);
            (offset(from)..offset(upto)).for_each(|at| builder.pick(Some(at)));
        }
        builder.close();
    }
    builder.finish(lists.elements(), call.data_type)
}

/// The array with one more element, in front or at the end.
pub(super) fn extend(call: &Call<'_>, front: bool) -> Built {
    let (lists, value) = (call.lists(0), &call.columns[1]);
    let joined = Joined::new(&[lists.elements().as_ref(), value.array.as_ref()])?;
    let mut builder = ListBuilder::new();
    for row in 0..call.rows {
        let Some(range) = lists.get(row) else {
            builder.null();
            continue;
        };
        let new = joined.at(1, value.index(row));
        if front {
            builder.pick(Some(new));
        }
        range.for_each(|at| builder.pick(Some(at)));
        if !front {
            builder.pick(Some(new));
        }
        builder.close();
    }
    builder.finish(&joined.source, call.data_type)
}

/// Beyond the end, nulls fill the gap; negative positions count from the end.
pub(super) fn insert(call: &Call<'_>) -> Built {
    let (lists, value) = (call.lists(0), &call.columns[2]);
    let position = call.primitives::<Int32Type>(1);
    let joined = Joined::new(&[lists.elements().as_ref(), value.array.as_ref()])?;
    let mut builder = ListBuilder::new();
    for row in 0..call.rows {
        let (Some(range), Some(position)) = (lists.get(row), position.get(row)) else {
            builder.null();
            continue;
        };
        let new = Some(joined.at(1, value.index(row)));
        let size = range.len();
        let distance = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
        if position == 0 || distance > 2_000_000_000 {
            return Err(Call::row_error(
                row,
                format!("cannot insert at position {position}"),
            ));
        }
        if position < 0 && distance > size + 1 {
            builder.pick(new);
            (size + 1..distance).for_each(|_| builder.pick(None));
            range.for_each(|at| builder.pick(Some(at)));
        } else {
            let at = if position > 0 {
                distance - 1
            } else {
                size + 1 - distance
            };
            let kept = range.start + at.min(size);
            (range.start..kept).for_each(|k| builder.pick(Some(k)));
            (size..at).for_each(|_| builder.pick(None));
            builder.pick(new);
            (kept..range.end).for_each(|k| builder.pick(Some(k)));
        }
        builder.close();
    }
    builder.finish(&joined.source, call.data_type)
}

pub(super) fn compact(call: &Call<'_>) -> Built {
    let lists = call.lists(0);
    let elements = lists.elements();
    let void = elements.data_type().is_null();
    let mut builder = ListBuilder::new();
    for row in 0..call.rows {
        let Some(range) = lists.get(row) else {
            builder.null();
            continue;
        };
        let kept = range.filter(|at| !void && elements.is_valid(*at));
        kept.for_each(|at| builder.pick(Some(at)));
        builder.close();
    }
    builder.finish(elements, call.data_type)
}

pub(super) fn repeat(call: &Call<'_>) -> Built {
    let (value, count) = (&call.columns[0], call.primitives::<Int32Type>(1));
    let mut builder = ListBuilder::new();
    for row in 0..call.rows {
        let Some(count) = count.get(row) else {
            builder.null();
            continue;
        };
        (0..count).for_each(|_| builder.pick(Some(value.index(row))));
        builder.close();
    }
    builder.finish(&value.array, call.data_type)
}

/// Elements one after the other with a delimiter; nulls left out, or replaced.
pub(super) fn join_text(call: &Call<'_>) -> Built {
    let (lists, delimiter) = (call.lists(0), call.strings(1));
    let elements = lists.elements().as_string::<i32>();
    let replaces = call.len() == 3;
    call.build_strings(|row| {
        let (range, delimiter) = (lists.get(row)?, delimiter.get(row)?);
        let replacement = match replaces {
            true => Some(call.strings(2).get(row)?),
            false => None,
        };
        let parts = range.filter_map(|at| match elements.is_null(at) {
            true => replacement,
            false => Some(elements.value(at)),
        });
        Some(parts.collect::<Vec<_>>().join(delimiter))
    })
}

/// An array of structs as long as the longest argument; null if any is null.
pub(super) fn zip(call: &Call<'_>) -> Built {
    let lists: Vec<_> = (0..call.len()).map(|i| call.lists(i)).collect();
    let mut picks: Vec<Vec<Option<u32>>> = vec![Vec::new(); lists.len()];
    let (mut offsets, mut valid) = (vec![0_i32], Vec::new());
    for row in 0..call.rows {
        let ranges: Option<Vec<_>> = lists.iter().map(|list| list.get(row)).collect();
        valid.push(ranges.is_some());
        let ranges = ranges.unwrap_or_default();
        let longest = ranges.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        for (range, picks) in ranges.iter().zip(&mut picks) {
            let one = |k| (k < range.len()).then(|| row_number(range.start + k));
            picks.extend((0..longest).map(one));
        }
        let added = i32::try_from(longest).expect("fewer than 2^31 elements in an array");
        offsets.push(offsets.last().expect("never empty") + added);
    }
    let length = picks.first().map_or(0, Vec::len);
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (list, picks) in lists.iter().zip(picks) {
        columns.push(take(list.elements(), &UInt32Array::from(picks), None)?);
    }
    let DataType::Array(element) = call.data_type else {
        return Err(call.unsupported());
    };
    let structs = build::structs(columns, length, None, element)?;
    build::finish_list(structs, offsets, &valid, call.data_type)
}

/// Null if any inner array is.
pub(super) fn flatten(call: &Call<'_>) -> Built {
    let lists = call.lists(0);
    let inner = crate::eval::column::Column::of_rows(ArrayRef::clone(lists.elements()));
    let inner = inner.lists();
    let mut builder = ListBuilder::new();
    for row in 0..call.rows {
        let ranges: Option<Vec<_>> = lists
            .get(row)
            .and_then(|range| range.map(|at| inner.get(at)).collect());
        let Some(ranges) = ranges else {
            builder.null();
            continue;
        };
        ranges
            .into_iter()
            .flatten()
            .for_each(|at| builder.pick(Some(at)));
        builder.close();
    }
    builder.finish(inner.elements(), call.data_type)
}
