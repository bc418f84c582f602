//! Higher-order functions: a lambda runs once over the elements of all rows.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, Int32Array, UInt32Array, new_empty_array};

use super::map::Entries;
use super::{Entry, lazy};
use crate::error::KernelError;
use crate::eval::build::{self, ListBuilder};
use crate::eval::call::Lazy;
use crate::eval::column::Column;
use crate::eval::node::{Pieces, row_number};
use crate::eval::order::comparator;

mod sort;

pub(super) fn functions() -> Vec<Entry> {
    vec![
        lazy("transform", transform),
        lazy("filter", filter),
        lazy("exists", |call| quantified(call, true)),
        lazy("forall", |call| quantified(call, false)),
        lazy("aggregate", aggregate),
        lazy("zip_with", zip_with),
        lazy("array_sort", sort::array_sort),
        lazy("map_filter", map_filter),
        lazy("transform_keys", |call| map_side(call, true)),
        lazy("transform_values", |call| map_side(call, false)),
        lazy("map_zip_with", map_zip_with),
    ]
}

type Evaluated = Result<Column, KernelError>;

/// The elements of all rows one after the other, with the row and the position each has.
struct Flat {
    rows: Vec<u32>,
    /// Where the element stands in the source.
    sources: Vec<u32>,
    positions: Vec<i32>,
    /// Each row's elements in the flat order; `None` for a null.
    ranges: Vec<Option<Range<usize>>>,
}

impl Flat {
    fn new(rows: usize, range: impl Fn(usize) -> Option<Range<usize>>) -> Self {
        let mut flat = Self {
            rows: Vec::new(),
            sources: Vec::new(),
            positions: Vec::new(),
            ranges: Vec::new(),
        };
        for row in 0..rows {
            let start = flat.rows.len();
            let range = range(row);
            for (position, source) in range.clone().into_iter().flatten().enumerate() {
                flat.rows.push(row_number(row));
                flat.sources.push(row_number(source));
                flat.positions
                    .push(i32::try_from(position).unwrap_or(i32::MAX));
            }
            flat.ranges.push(range.map(|_| start..flat.rows.len()));
        }
        flat
    }

    fn of_lists(rows: usize, column: &Column) -> Self {
        let lists = column.lists();
        Self::new(rows, |row| lists.get(row))
    }

    fn of_maps(rows: usize, column: &Column) -> Self {
        let maps = column.maps();
        Self::new(rows, |row| maps.get(row))
    }

    fn take(&self, source: &ArrayRef) -> Column {
        let sources = UInt32Array::from(self.sources.clone());
        Column::of_rows(ArrayRef::clone(source)).take(&sources)
    }

    fn positions(&self) -> Column {
        Column::of_rows(Arc::new(Int32Array::from(self.positions.clone())))
    }

    /// Runs the lambda at `index` on every element; the result is an array even if there is none.
    fn run(
        &self,
        call: &Lazy<'_>,
        index: usize,
        parameters: &[Column],
    ) -> Result<ArrayRef, KernelError> {
        let rows = UInt32Array::from(self.rows.clone());
        Ok(match call.lambda(index, &rows, parameters)? {
            Some(column) => column.expand(self.rows.len()),
            None => new_empty_array(&call.arguments[index].data_type.to_arrow()),
        })
    }

    fn offsets(&self) -> (Vec<i32>, Vec<bool>) {
        let (mut offsets, mut valid) = (vec![0_i32], Vec::new());
        for range in &self.ranges {
            valid.push(range.is_some());
            let count = range.as_ref().map_or(0, ExactSizeIterator::len);
            let count = i32::try_from(count).expect("fewer than 2^31 elements in a batch");
            offsets.push(offsets.last().expect("never empty") + count);
        }
        (offsets, valid)
    }
}

fn transform(call: &Lazy<'_>) -> Evaluated {
    let input = call.evaluate(0)?;
    let flat = Flat::of_lists(call.frame.rows, &input);
    let elements = flat.take(input.lists().elements());
    let values = flat.run(call, 1, &[elements, flat.positions()])?;
    let (offsets, valid) = flat.offsets();
    Ok(Column::of_rows(build::finish_list(
        values,
        offsets,
        &valid,
        call.data_type,
    )?))
}

fn truth(array: &ArrayRef) -> &BooleanArray {
    array.as_boolean()
}

fn is_true(truth: &BooleanArray, at: usize) -> bool {
    truth.is_valid(at) && truth.value(at)
}

fn filter(call: &Lazy<'_>) -> Evaluated {
    let input = call.evaluate(0)?;
    let flat = Flat::of_lists(call.frame.rows, &input);
    let elements = flat.take(input.lists().elements());
    let kept = flat.run(call, 1, &[elements, flat.positions()])?;
    let kept = truth(&kept);
    let mut builder = ListBuilder::new();
    for range in &flat.ranges {
        let Some(range) = range else {
            builder.null();
            continue;
        };
        for at in range.clone().filter(|at| is_true(kept, *at)) {
            builder.pick(usize::try_from(flat.sources[at]).ok());
        }
        builder.close();
    }
    let source = input.lists().elements();
    Ok(Column::of_rows(builder.finish(source, call.data_type)?))
}

/// `exists` is decided by a true element, `forall` by a false one; nulls leave it open.
fn quantified(call: &Lazy<'_>, decisive: bool) -> Evaluated {
    let input = call.evaluate(0)?;
    let flat = Flat::of_lists(call.frame.rows, &input);
    let elements = flat.take(input.lists().elements());
    let tested = flat.run(call, 1, &[elements])?;
    let tested = truth(&tested);
    let decide = |range: &Option<Range<usize>>| {
        let range = range.clone()?;
        if range
            .clone()
            .any(|at| tested.is_valid(at) && tested.value(at) == decisive)
        {
            return Some(decisive);
        }
        let unknown = range.into_iter().any(|at| tested.is_null(at));
        (!unknown).then_some(!decisive)
    };
    let values: BooleanArray = flat.ranges.iter().map(decide).collect();
    Ok(Column::of_rows(Arc::new(values)))
}

/// All rows take their first step together, then all that have a second, and so on.
fn aggregate(call: &Lazy<'_>) -> Evaluated {
    let rows = call.frame.rows;
    let input = call.evaluate(0)?;
    let flat = Flat::of_lists(rows, &input);
    let elements = input.lists();
    let mut state = Column::of_rows(call.evaluate(1)?.expand(rows));
    let state_type = &call.arguments[1].data_type;
    let longest = flat
        .ranges
        .iter()
        .flatten()
        .map(ExactSizeIterator::len)
        .max();
    for step in 0..longest.unwrap_or(0) {
        let active: Vec<u32> = (0..rows)
            .filter(|row| {
                flat.ranges[*row]
                    .as_ref()
                    .is_some_and(|range| range.len() > step)
            })
            .map(row_number)
            .collect();
        let sources = active.iter().map(|row| {
            let row = usize::try_from(*row).expect("a row of the frame");
            let start = flat.ranges[row].as_ref().map_or(0, |range| range.start);
            flat.sources[start + step]
        });
        let sources: UInt32Array = sources.collect();
        let element = Column::of_rows(ArrayRef::clone(elements.elements())).take(&sources);
        let active = UInt32Array::from(active);
        let parameters = [state.take(&active), element];
        if let Some(next) = call.lambda(2, &active, &parameters)? {
            let mut pieces = Pieces::new(state_type, rows);
            let all: UInt32Array = (0..row_number(rows)).collect();
            pieces.fill(&state, &all);
            pieces.overwrite(&next, &active);
            state = Column::of_rows(pieces.finish()?.expand(rows));
        }
    }
    let present = (0..rows)
        .filter(|row| flat.ranges[*row].is_some())
        .map(row_number);
    let present: UInt32Array = present.collect();
    let mut pieces = Pieces::new(call.data_type, rows);
    let finished = match call.arguments.len() {
        4 => call.lambda(3, &present, &[state.take(&present)])?,
        _ => Some(state.take(&present)),
    };
    if let Some(finished) = finished {
        pieces.fill(&finished, &present);
    }
    pieces.finish()
}

/// The shorter array is continued with nulls.
fn zip_with(call: &Lazy<'_>) -> Evaluated {
    let rows = call.frame.rows;
    let (left, right) = (call.evaluate(0)?, call.evaluate(1)?);
    let (lefts, rights) = (left.lists(), right.lists());
    let both = |row| Some((lefts.get(row)?, rights.get(row)?));
    let flat = Flat::new(rows, |row| both(row).map(|(l, r)| 0..l.len().max(r.len())));
    let picks = |side: usize| {
        let mut picks = Vec::with_capacity(flat.rows.len());
        for (row, position) in flat.rows.iter().zip(&flat.sources) {
            let row = usize::try_from(*row).expect("a row of the frame");
            let range = both(row)
                .map(|(l, r)| if side == 0 { l } else { r })
                .unwrap_or(0..0);
            let at = range.start + usize::try_from(*position).expect("a position");
            picks.push((at < range.end).then(|| row_number(at)));
        }
        UInt32Array::from(picks)
    };
    let parameters = [
        Column::of_rows(arrow_select::take::take(lefts.elements(), &picks(0), None)?),
        Column::of_rows(arrow_select::take::take(
            rights.elements(),
            &picks(1),
            None,
        )?),
    ];
    let values = flat.run(call, 2, &parameters)?;
    let (offsets, valid) = flat.offsets();
    Ok(Column::of_rows(build::finish_list(
        values,
        offsets,
        &valid,
        call.data_type,
    )?))
}

fn map_filter(call: &Lazy<'_>) -> Evaluated {
    let input = call.evaluate(0)?;
    let flat = Flat::of_maps(call.frame.rows, &input);
    let maps = input.maps();
    let kept = flat.run(call, 1, &[flat.take(maps.keys()), flat.take(maps.values())])?;
    let kept = truth(&kept);
    let mut builder = ListBuilder::new();
    for range in &flat.ranges {
        let Some(range) = range else {
            builder.null();
            continue;
        };
        for at in range.clone().filter(|at| is_true(kept, *at)) {
            builder.pick(usize::try_from(flat.sources[at]).ok());
        }
        builder.close();
    }
    Ok(Column::of_rows(builder.finish_map(
        maps.keys(),
        maps.values(),
        call.data_type,
    )?))
}

/// `transform_keys` and `transform_values`.
fn map_side(call: &Lazy<'_>, of_keys: bool) -> Evaluated {
    let input = call.evaluate(0)?;
    let flat = Flat::of_maps(call.frame.rows, &input);
    let maps = input.maps();
    let (keys, values) = (flat.take(maps.keys()), flat.take(maps.values()));
    let made = flat.run(call, 1, &[keys.clone(), values.clone()])?;
    let mut entries = Entries::new();
    for range in &flat.ranges {
        entries.push(
            range
                .clone()
                .map(|range| range.map(|at| (at, at)).collect()),
        );
    }
    let maps = match of_keys {
        true => entries.finish(&made, &values.array, call.data_type)?,
        false => entries.finish(&keys.array, &made, call.data_type)?,
    };
    Ok(Column::of_rows(maps))
}

/// The keys of the left map, then those of the right one that the left lacks.
fn map_zip_with(call: &Lazy<'_>) -> Evaluated {
    let rows = call.frame.rows;
    let (left, right) = (call.evaluate(0)?, call.evaluate(1)?);
    let (lefts, rights) = (left.maps(), right.maps());
    let same = comparator(lefts.keys(), rights.keys());
    let (mut owners, mut left_picks, mut right_picks) = (Vec::new(), Vec::new(), Vec::new());
    let mut entries = Entries::new();
    for row in 0..rows {
        let (Some(l), Some(r)) = (lefts.get(row), rights.get(row)) else {
            entries.push(None);
            continue;
        };
        let start = owners.len();
        for key in l.clone() {
            let other = r.clone().find(|other| same(key, *other).is_eq());
            left_picks.push(Some(row_number(key)));
            right_picks.push(other.map(row_number));
            owners.push(row_number(row));
        }
        for key in r {
            if !l.clone().any(|other| same(other, key).is_eq()) {
                left_picks.push(None);
                right_picks.push(Some(row_number(key)));
                owners.push(row_number(row));
            }
        }
        entries.push(Some((start..owners.len()).map(|at| (at, at)).collect()));
    }
    let pick = |array: &ArrayRef, picks: &[Option<u32>]| {
        arrow_select::take::take(array, &UInt32Array::from(picks.to_vec()), None)
    };
    let left_keys = pick(lefts.keys(), &left_picks)?;
    let right_keys = pick(rights.keys(), &right_picks)?;
    let chosen: Vec<(usize, usize)> = left_picks
        .iter()
        .enumerate()
        .map(|(at, left)| (usize::from(left.is_none()), at))
        .collect();
    let sides: [&dyn Array; 2] = [left_keys.as_ref(), right_keys.as_ref()];
    let keys = match chosen.is_empty() {
        true => left_keys,
        false => arrow_select::interleave::interleave(&sides, &chosen)?,
    };
    let parameters = [
        Column::of_rows(ArrayRef::clone(&keys)),
        Column::of_rows(pick(lefts.values(), &left_picks)?),
        Column::of_rows(pick(rights.values(), &right_picks)?),
    ];
    let owners = UInt32Array::from(owners);
    let values = match call.lambda(2, &owners, &parameters)? {
        Some(column) => column.expand(owners.values().len()),
        None => new_empty_array(&call.arguments[2].data_type.to_arrow()),
    };
    Ok(Column::of_rows(entries.finish(
        &keys,
        &values,
        call.data_type,
    )?))
}
