//! Functions of maps: keys are never null and never equal.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_select::concat::concat as join;
use arrow_select::take::take;
use unskewed_planner::schema::DataType;

use super::{Entry, eager};
use crate::error::KernelError;
use crate::eval::build::{self, Built};
use crate::eval::call::Call;
use crate::eval::column::Column;
use crate::eval::node::row_number;
use crate::eval::order::comparator;

pub(super) fn functions() -> Vec<Entry> {
    vec![
        eager("map item", item),
        eager("map", map),
        eager("map_from_arrays", from_arrays),
        eager("map_from_entries", from_entries),
        eager("map_keys", |call| {
            let map = call.columns[0].array.as_map();
            side(call, map.keys())
        }),
        eager("map_values", |call| {
            let map = call.columns[0].array.as_map();
            side(call, map.values())
        }),
        eager("map_entries", |call| {
            let map = call.columns[0].array.as_map();
            let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
            side(call, &entries)
        }),
        eager("map_concat", concat),
        eager("map_contains_key", contains_key),
    ]
}

/// The value of a key; null if there is none.
pub(super) fn item(call: &Call<'_>) -> Built {
    let maps = call.maps(0);
    let wanted = &call.columns[1];
    let compare = comparator(maps.keys(), &wanted.array);
    let picks: UInt32Array = (0..call.rows)
        .map(|row| {
            let mut entries = maps.get(row).filter(|_| !wanted.is_null(row))?;
            let found = entries.find(|entry| compare(*entry, wanted.index(row)).is_eq());
            found.map(row_number)
        })
        .collect();
    Ok(take(maps.values(), &picks, None)?)
}

fn contains_key(call: &Call<'_>) -> Built {
    let maps = call.maps(0);
    let wanted = &call.columns[1];
    let compare = comparator(maps.keys(), &wanted.array);
    call.build_booleans(|row| {
        let mut entries = maps.get(row).filter(|_| !wanted.is_null(row))?;
        Some(entries.any(|entry| compare(entry, wanted.index(row)).is_eq()))
    })
}

/// Keys, values or entries as an array.
fn side(call: &Call<'_>, values: &ArrayRef) -> Built {
    let map = call.columns[0].array.as_map();
    let valid: Vec<bool> = (0..map.len()).map(|row| map.is_valid(row)).collect();
    let offsets = map.value_offsets().to_vec();
    build::finish_list(ArrayRef::clone(values), offsets, &valid, call.data_type)
}

/// Entries under construction: for each row the positions of its keys and values in two arrays, or null.
pub(in crate::eval) struct Entries {
    rows: Vec<Option<Vec<(usize, usize)>>>,
}

impl Entries {
    pub(in crate::eval) fn new() -> Self {
        Self { rows: Vec::new() }
    }

    pub(in crate::eval) fn push(&mut self, entries: Option<Vec<(usize, usize)>>) {
        self.rows.push(entries);
    }

    /// The maps; fails at a null or a repeated key.
    pub(in crate::eval) fn finish(
        self,
        keys: &ArrayRef,
        values: &ArrayRef,
        data_type: &DataType,
    ) -> Built {
        let same = comparator(keys, keys);
        let void = keys.data_type().is_null();
        let (mut key_picks, mut value_picks) = (Vec::new(), Vec::new());
        let (mut offsets, mut valid) = (vec![0_i32], Vec::new());
        for (row, entries) in self.rows.into_iter().enumerate() {
            valid.push(entries.is_some());
            let entries = entries.unwrap_or_default();
            for (i, (key, value)) in entries.iter().enumerate() {
                if void || keys.is_null(*key) {
                    return Err(Call::row_error(row, "the key of a map cannot be null"));
                }
                if entries[..i]
                    .iter()
                    .any(|(other, _)| same(*other, *key).is_eq())
                {
                    return Err(Call::row_error(row, "a key of the map is repeated"));
                }
                key_picks.push(row_number(*key));
                value_picks.push(row_number(*value));
            }
            let end = i32::try_from(key_picks.len()).expect("fewer than 2^31 entries in a batch");
            offsets.push(end);
        }
        let keys = take(keys, &UInt32Array::from(key_picks), None)?;
        let values = take(values, &UInt32Array::from(value_picks), None)?;
        build::map(keys, values, offsets, &valid, data_type)
    }
}

/// Columns of one type as one array, and where each begins.
fn joined<'a>(
    columns: impl Iterator<Item = &'a Column>,
) -> Result<(ArrayRef, Vec<usize>), KernelError> {
    let arrays: Vec<&dyn Array> = columns.map(|column| column.array.as_ref()).collect();
    let mut starts = vec![0];
    for array in &arrays {
        starts.push(starts.last().expect("never empty") + array.len());
    }
    Ok((join(&arrays)?, starts))
}

fn map(call: &Call<'_>) -> Built {
    let mut entries = Entries::new();
    if call.len() == 0 {
        (0..call.rows).for_each(|_| entries.push(Some(Vec::new())));
        let nothing = arrow_array::new_empty_array(&arrow_schema::DataType::Null);
        return entries.finish(&nothing, &nothing, call.data_type);
    }
    let (keys, key_starts) = joined(call.columns.iter().step_by(2))?;
    let (values, value_starts) = joined(call.columns.iter().skip(1).step_by(2))?;
    for row in 0..call.rows {
        let pairs = (0..call.len() / 2).map(|i| {
            let key = key_starts[i] + call.columns[2 * i].index(row);
            (key, value_starts[i] + call.columns[2 * i + 1].index(row))
        });
        entries.push(Some(pairs.collect()));
    }
    entries.finish(&keys, &values, call.data_type)
}

fn from_arrays(call: &Call<'_>) -> Built {
    let (keys, values) = (call.lists(0), call.lists(1));
    let mut entries = Entries::new();
    for row in 0..call.rows {
        let pairs = match (keys.get(row), values.get(row)) {
            (Some(keys), Some(values)) if keys.len() != values.len() => {
                return Err(Call::row_error(row, "a map needs as many values as keys"));
            }
            (Some(keys), Some(values)) => Some(keys.zip(values).collect()),
            _ => None,
        };
        entries.push(pairs);
    }
    entries.finish(keys.elements(), values.elements(), call.data_type)
}

fn from_entries(call: &Call<'_>) -> Built {
    let lists = call.lists(0);
    let structs = lists.elements().as_struct();
    let mut entries = Entries::new();
    for row in 0..call.rows {
        let whole = lists
            .get(row)
            .filter(|range| range.clone().all(|at| structs.is_valid(at)));
        entries.push(whole.map(|range| range.map(|at| (at, at)).collect()));
    }
    entries.finish(structs.column(0), structs.column(1), call.data_type)
}

fn concat(call: &Call<'_>) -> Built {
    let mut entries = Entries::new();
    if call.len() == 0 {
        (0..call.rows).for_each(|_| entries.push(Some(Vec::new())));
        let nothing = arrow_array::new_empty_array(&arrow_schema::DataType::Utf8);
        return entries.finish(&nothing, &nothing, call.data_type);
    }
    let maps: Vec<_> = (0..call.len()).map(|i| call.maps(i)).collect();
    let side = |pick: &dyn Fn(usize) -> Column| {
        joined((0..maps.len()).map(pick).collect::<Vec<_>>().iter())
    };
    let (keys, starts) = side(&|i| Column::of_rows(ArrayRef::clone(maps[i].keys())))?;
    let (values, _) = side(&|i| Column::of_rows(ArrayRef::clone(maps[i].values())))?;
    for row in 0..call.rows {
        let ranges: Option<Vec<Range<usize>>> = maps.iter().map(|map| map.get(row)).collect();
        entries.push(ranges.map(|ranges| {
            let shifted = ranges.into_iter().zip(&starts);
            shifted
                .flat_map(|(range, start)| range.map(move |at| (start + at, start + at)))
                .collect()
        }));
    }
    entries.finish(&keys, &values, call.data_type)
}
