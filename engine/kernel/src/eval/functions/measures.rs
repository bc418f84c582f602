//! What statistics and comparisons measure of values: edits between lists, whether values differ, quantiles. And what
//! a log holds of a request.

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{Array, ArrayRef, BinaryArray, ListArray, MapArray, StructArray, UInt32Array};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType as ArrowType, Field};
use arrow_select::take::take;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use unskewed_planner::avro::Record;

use super::{Entry, eager};
use crate::codec::avro;
use crate::distribution::Distribution;
use crate::error::KernelError;
use crate::eval::build::Built;
use crate::eval::call::Call;
use crate::eval::order;

pub(super) fn functions() -> Vec<Entry> {
    vec![
        eager("edit distance inserts", |call| {
            edits(call, |edits| edits.inserts)
        }),
        eager("edit distance deletes", |call| {
            edits(call, |edits| edits.deletes)
        }),
        eager("values differ", values_differ),
        eager("logged record", logged_record),
        eager("sketch quantiles", sketch_quantiles),
    ]
}

/// Elements to put into the right list and to take out of it, so that it becomes the left one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Edits {
    inserts: i32,
    deletes: i32,
}

impl Edits {
    fn total(self) -> i32 {
        self.inserts + self.deletes
    }
}

/// A null list counts as empty.
fn edits(call: &Call<'_>, part: fn(Edits) -> i32) -> Built {
    let (left, right) = (call.lists(0), call.lists(1));
    let compare = order::comparator(left.elements(), right.elements());
    call.build::<Int32Type>(|row| {
        let (left, right) = (
            left.get(row).unwrap_or_default(),
            right.get(row).unwrap_or_default(),
        );
        let same = |l: usize, r: usize| compare(left.start + l, right.start + r).is_eq();
        Some(part(edits_between(left.len(), right.len(), &same)))
    })
}

/// The least edits without replacement (Wagner and Fischer, "The string-to-string correction problem", 1974, with
/// replacement forbidden), kept a row at a time; between equally many edits the one that inserts last wins.
fn edits_between(left: usize, right: usize, same: &dyn Fn(usize, usize) -> bool) -> Edits {
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let mut above: Vec<Edits> = (0..=left)
        .map(|n| Edits {
            inserts: count(n),
            deletes: 0,
        })
        .collect();
    for r in 0..right {
        let mut current = Vec::with_capacity(left + 1);
        current.push(Edits {
            inserts: 0,
            deletes: count(r + 1),
        });
        for l in 0..left {
            let (deleted, inserted) = (above[l + 1], current[l]);
            current.push(if same(l, r) {
                above[l]
            } else if deleted.total() < inserted.total() {
                Edits {
                    deletes: deleted.deletes + 1,
                    ..deleted
                }
            } else {
                Edits {
                    inserts: inserted.inserts + 1,
                    ..inserted
                }
            });
        }
        above = current;
    }
    above[left]
}

/// False where either is null; maps are equal if their entries are, in any order.
fn values_differ(call: &Call<'_>) -> Built {
    let sides = [0, 1].map(|index| with_sorted_maps(&call.columns[index].array));
    let [left, right] = sides;
    let (left, right) = (left?, right?);
    let compare = order::comparator(&left, &right);
    call.build_booleans(|row| {
        let null = call.is_null(0, row) || call.is_null(1, row);
        let (l, r) = (call.columns[0].index(row), call.columns[1].index(row));
        Some(!null && compare(l, r).is_ne())
    })
}

/// The values with the entries of every map inside sorted by key.
fn with_sorted_maps(values: &ArrayRef) -> Result<ArrayRef, KernelError> {
    if !has_map(values.data_type()) {
        return Ok(Arc::clone(values));
    }
    Ok(match values.data_type() {
        ArrowType::List(field) => {
            let list = values.as_list::<i32>();
            let elements = with_sorted_maps(list.values())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Arc::new(ListArray::try_new(
                Arc::clone(field),
                offsets,
                elements,
                nulls,
            )?)
        }
        ArrowType::Struct(fields) => {
            let columns = values.as_struct().columns().iter().map(with_sorted_maps);
            let columns = columns.collect::<Result<_, _>>()?;
            Arc::new(StructArray::try_new(
                fields.clone(),
                columns,
                values.nulls().cloned(),
            )?)
        }
        ArrowType::Map(field, sorted) => {
            let map = values.as_map();
            let compare = order::comparator(map.keys(), map.keys());
            let mut places: Vec<u32> = (0..map.keys().len() as u32).collect();
            for row in 0..map.len() {
                let at = |row: usize| usize::try_from(map.value_offsets()[row]).unwrap_or_default();
                places[at(row)..at(row + 1)].sort_by(|a, b| compare(*a as usize, *b as usize));
            }
            let places = UInt32Array::from(places);
            let keys = take(map.keys(), &places, None)?;
            let inner = with_sorted_maps(&take(map.values(), &places, None)?)?;
            let fields = map.entries().fields().clone();
            let entries = StructArray::try_new(fields, vec![keys, inner], None)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            let map = MapArray::try_new(Arc::clone(field), offsets, entries, nulls, *sorted)?;
            Arc::new(map)
        }
        _ => Arc::clone(values),
    })
}

fn has_map(data_type: &ArrowType) -> bool {
    match data_type {
        ArrowType::Map(..) => true,
        ArrowType::List(item) => has_map(item.data_type()),
        ArrowType::Struct(fields) => fields.iter().any(|field| has_map(field.data_type())),
        _ => false,
    }
}

/// The record that base64 text holds by an Avro schema; null for text that holds none.
fn logged_record(call: &Call<'_>) -> Built {
    let (texts, schemas) = (call.strings(0), call.strings(1));
    let unreadable = |message: String| KernelError::Row { row: 0, message };
    let record = Record::parse(schemas.get(0).unwrap_or_default());
    let record = record.map_err(|error| unreadable(error.to_string()))?;
    let datums: BinaryArray = (0..call.rows)
        .map(|row| STANDARD.decode(texts.get(row)?).ok())
        .collect();
    let decoded = avro::decode(&record, &datums)?;
    let mut there: Vec<bool> = (0..call.rows).map(|row| datums.is_valid(row)).collect();
    decoded.bad.iter().for_each(|bad| there[bad.row] = false);
    let ArrowType::Struct(fields) = call.data_type.to_arrow() else {
        return Err(call.unsupported());
    };
    let nulls = Some(NullBuffer::from(there));
    Ok(match fields.is_empty() {
        true => Arc::new(StructArray::new_empty_fields(call.rows, nulls)),
        false => Arc::new(StructArray::try_new(fields, decoded.columns, nulls)?),
    })
}

/// Null for bytes that are no sketch, and for an empty one.
fn sketch_quantiles(call: &Call<'_>) -> Built {
    let (sketches, fractions) = (call.binaries(0), call.lists(1));
    let numbers = fractions.elements().as_primitive::<Float64Type>();
    let field = Field::new("element", ArrowType::Float32, true);
    let mut lists = ListBuilder::new(Float32Builder::new()).with_field(field);
    for row in 0..call.rows {
        let wanted = fractions.get(row).map(|at| &numbers.values()[at]);
        let found = sketches
            .get(row)
            .zip(wanted)
            .and_then(|(bytes, fractions)| Distribution::from_bytes(bytes)?.quantiles(fractions));
        match found {
            Some(quantiles) => {
                lists.values().append_slice(&quantiles);
                lists.append(true);
            }
            None => lists.append(false),
        }
    }
    Ok(Arc::new(lists.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(left: &str, right: &str) -> (i32, i32) {
        let (l, r) = (left.as_bytes(), right.as_bytes());
        let edits = edits_between(l.len(), r.len(), &|i, j| l[i] == r[j]);
        (edits.inserts, edits.deletes)
    }

    /// What a plain recursion over all ways finds.
    fn least(left: &[u8], right: &[u8]) -> i32 {
        match (left, right) {
            ([], rest) | (rest, []) => rest.len() as i32,
            ([a, l @ ..], [b, r @ ..]) if a == b => least(l, r),
            ([_, l @ ..], [_, r @ ..]) => 1 + least(l, right).min(least(left, r)),
        }
    }

    /// Inserts and deletes make the right list the left one.
    #[test]
    fn edits_of_lists() {
        for (left, right, edits) in [
            ("", "", (0, 0)),
            ("abc", "", (3, 0)),
            ("", "ab", (0, 2)),
            ("abc", "abc", (0, 0)),
            ("abc", "axc", (1, 1)),
            ("abc", "bcd", (1, 1)),
            ("kitten", "sitting", (2, 3)),
        ] {
            assert_eq!(between(left, right), edits, "{left} {right}");
        }
    }

    /// As few edits as any way needs, on random words of three letters.
    #[test]
    fn edits_are_the_least() {
        let mut state = 1_u64;
        let mut word = || {
            let mut next = || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 33) as usize
            };
            let length = next() % 8;
            (0..length).map(|_| b"abc"[next() % 3]).collect::<Vec<u8>>()
        };
        for _ in 0..300 {
            let (left, right) = (word(), word());
            let edits = edits_between(left.len(), right.len(), &|i, j| left[i] == right[j]);
            assert_eq!(edits.total(), least(&left, &right), "{left:?} {right:?}");
            assert_eq!(
                edits.inserts - edits.deletes,
                left.len() as i32 - right.len() as i32
            );
        }
    }
}
