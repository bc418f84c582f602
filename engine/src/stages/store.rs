//! Rows kept by position, with the changes of one epoch applied at once.
//!
//! A bulk load costs one sort of 16-byte entries; the rows themselves are never moved. A later
//! epoch costs one merge of
//! the entries and work for the positions that changed. Promises: entries are sorted by position,
//! and rows of one
//! position keep the order in which they came. Never holds a row that was taken away longer than
//! the epoch needs it.

use std::collections::BTreeMap;

use arrow_array::{ArrayRef, UInt32Array};
use arrow_row::{RowConverter, SortField};
use arrow_schema::ArrowError;

use super::Changes;

/// Where a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// Its source position.
    pub(super) position: u64,
    /// Its batch in [`Store::batches`].
    pub(super) batch: u32,
    /// Its row there.
    pub(super) row: u32,
}

/// Rows by position.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// Columns by batch. A batch all of whose rows are gone is emptied.
    pub(super) batches: Vec<Vec<ArrayRef>>,
    entries: Vec<Entry>,
    added: Vec<Entry>,
    removed: Vec<Entry>,
}

/// The rows of one position before and after an epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct Changed {
    /// Before.
    pub(super) old: Vec<Entry>,
    /// After.
    pub(super) new: Vec<Entry>,
}

impl Store {
    /// Takes in changes of the open epoch.
    pub(super) fn push(&mut self, changes: Changes) {
        let batch = self.batches.len() as u32;
        for (row, position) in changes.position.iter().enumerate() {
            let entry = Entry {
                position: *position,
                batch,
                row: row as u32,
            };
            let diff = changes.diff.get(row);
            let side = if diff > 0 {
                &mut self.added
            } else {
                &mut self.removed
            };
            side.extend(std::iter::repeat_n(entry, diff.unsigned_abs() as usize));
        }
        self.batches.push(changes.columns);
    }

    /// Whether nothing is kept yet, so that all that came is new.
    pub(super) fn is_bulk(&self) -> bool {
        self.entries.is_empty() && self.removed.is_empty()
    }

    /// The kept rows, after [`Store::close`].
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The rows of a position among the kept ones.
    pub(super) fn at(&self, position: u64) -> &[Entry] {
        let start = self.entries.partition_point(|e| e.position < position);
        let count = self.entries[start..]
            .iter()
            .take_while(|e| e.position == position)
            .count();
        &self.entries[start..start + count]
    }

    /// Applies a bulk load: everything that came is kept.
    pub(super) fn close_bulk(&mut self) {
        self.entries = std::mem::take(&mut self.added);
        if !self.entries.is_sorted_by_key(|e| e.position) {
            self.entries.sort_unstable();
        }
    }

    /// Applies the epoch's changes and says what they did, by position. Rows taken away that were
    /// never there are
    /// forgotten.
    pub(super) fn close(&mut self) -> Result<BTreeMap<u64, Changed>, ArrowError> {
        let mut changed: BTreeMap<u64, Changed> = BTreeMap::new();
        let added = std::mem::take(&mut self.added);
        let removed = std::mem::take(&mut self.removed);
        for entry in added.iter().chain(&removed) {
            changed.entry(entry.position).or_default();
        }
        for (position, change) in &mut changed {
            change.old = self.at(*position).to_vec();
            change.new.clone_from(&change.old);
        }
        for entry in added {
            if let Some(change) = changed.get_mut(&entry.position) {
                change.new.push(entry);
            }
        }
        for entry in removed {
            if let Some(change) = changed.get_mut(&entry.position)
                && let Some(at) = self.find(&change.new, entry)?
            {
                change.new.remove(at);
            }
        }
        let kept = |e: &Entry| !changed.contains_key(&e.position);
        let mut entries: Vec<Entry> = self.entries.iter().copied().filter(kept).collect();
        entries.extend(changed.values().flat_map(|c| &c.new));
        entries.sort_by_key(|e| e.position);
        self.entries = entries;
        Ok(changed)
    }

    /// The first of `candidates` whose columns equal those of `wanted`.
    fn find(&self, candidates: &[Entry], wanted: Entry) -> Result<Option<usize>, ArrowError> {
        if candidates.is_empty() {
            return Ok(None);
        }
        let wanted = self.row_bytes(wanted)?;
        for (at, candidate) in candidates.iter().enumerate() {
            if self.row_bytes(*candidate)? == wanted {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    fn row_bytes(&self, entry: Entry) -> Result<Vec<u8>, ArrowError> {
        let columns = &self.batches[entry.batch as usize];
        if columns.is_empty() {
            return Ok(Vec::new());
        }
        let row = UInt32Array::from(vec![entry.row]);
        let taken: Vec<ArrayRef> = columns
            .iter()
            .map(|c| arrow_select::take::take(c, &row, None))
            .collect::<Result<_, _>>()?;
        let plain: Vec<ArrayRef> = taken.iter().map(comparable).collect::<Result<_, _>>()?;
        let fields = plain
            .iter()
            .map(|c| SortField::new(c.data_type().clone()))
            .collect();
        let rows = RowConverter::new(fields)?.convert_columns(&plain)?;
        Ok(rows.row(0).as_ref().to_vec())
    }
}

/// The same values in a type that the row format takes: a map as the list of its entries, at any
/// depth.
fn comparable(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    use arrow_array::cast::AsArray;
    use arrow_array::{Array, ListArray, StructArray};
    use arrow_schema::{DataType, Field};
    Ok(match column.data_type() {
        DataType::Map(..) => {
            let map = column.as_map();
            let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
            let entries = comparable(&entries)?;
            let field = Field::new("entries", entries.data_type().clone(), true);
            std::sync::Arc::new(ListArray::try_new(
                field.into(),
                map.offsets().clone(),
                entries,
                map.nulls().cloned(),
            )?)
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let values = comparable(list.values())?;
            let field = Field::new("element", values.data_type().clone(), true);
            std::sync::Arc::new(ListArray::try_new(
                field.into(),
                list.offsets().clone(),
                values,
                list.nulls().cloned(),
            )?)
        }
        DataType::Struct(fields) if !fields.is_empty() => {
            let input = column.as_struct();
            let columns = input
                .columns()
                .iter()
                .map(comparable)
                .collect::<Result<Vec<ArrayRef>, _>>()?;
            let fields: Vec<Field> = fields
                .iter()
                .zip(&columns)
                .map(|(f, c)| Field::new(f.name(), c.data_type().clone(), true))
                .collect();
            std::sync::Arc::new(StructArray::try_new(
                fields.into(),
                columns,
                input.nulls().cloned(),
            )?)
        }
        _ => std::sync::Arc::clone(column),
    })
}
