//! Left rows joined with the answers of their parts, by position.
//!
//! A left row without an answer of a part reads nulls there (or vanishes, when answers are
//! required); several answers
//! of a part make several rows. Promises: what was given out so far always sums to the join of what
//! came in so far.
//! Never looks at keys: an answer carries the position of the row that asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use unskewed_kernel::eval::Program;
use unskewed_planner::expr::Expr;
use unskewed_planner::schema::Schema;

use super::Changes;
use super::store::{Entry, Store};
use crate::columns::Pieces;
use crate::error::EngineError;
use crate::rle::Rle;

/// Rows given out at once.
const BLOCK_ROWS: usize = 1 << 16;

/// Joins left rows with answers.
#[derive(Debug)]
pub struct Assembler {
    /// The left, then the parts.
    stores: Vec<Store>,
    /// Their columns; column lists of the sides follow each other in `input`.
    widths: Vec<usize>,
    nulls: Vec<ArrayRef>,
    input: arrow_schema::SchemaRef,
    columns: Vec<Program>,
    inner: bool,
}

/// Rows of the join, side by side: where the row lies on each side, or [`NOWHERE`].
type Joined = Vec<Entry>;

/// The place of a side that has no row.
const NOWHERE: Entry = Entry {
    position: 0,
    batch: u32::MAX,
    row: 0,
};

impl Assembler {
    /// A join of a left with parts, all given by their schemas; `columns` are over the left's
    /// columns followed by each
    /// part's. With `inner`, a left row without an answer of each part is not given out.
    pub fn new(
        left: &Schema,
        parts: &[&Schema],
        columns: &[Expr],
        inner: bool,
    ) -> Result<Self, EngineError> {
        let sides: Vec<&Schema> = std::iter::once(left).chain(parts.iter().copied()).collect();
        let fields: Vec<_> = sides.iter().flat_map(|s| &s.fields).cloned().collect();
        // Names may repeat among the parts; expressions go by position.
        let input = arrow_schema::Schema::new(
            fields
                .iter()
                .map(unskewed_planner::schema::Field::to_arrow)
                .collect::<Vec<_>>(),
        );
        Ok(Self {
            stores: sides.iter().map(|_| Store::default()).collect(),
            widths: sides.iter().map(|s| s.fields.len()).collect(),
            nulls: fields
                .iter()
                .map(|f| new_null_array(&f.data_type.to_arrow(), 1))
                .collect(),
            input: Arc::new(input),
            columns: columns.iter().map(Program::new).collect::<Result<_, _>>()?,
            inner,
        })
    }

    /// Takes in changes of left rows in the open epoch.
    pub fn left(&mut self, changes: Changes) {
        self.stores[0].push(changes);
    }

    /// Takes in changes of a part's answers in the open epoch.
    pub fn answers(&mut self, part: usize, changes: Changes) {
        self.stores[part + 1].push(changes);
    }

    /// Ends the epoch: gives `emit` what it changes, in order of position, a block at a time.
    pub fn close(
        &mut self,
        emit: &mut dyn FnMut(Changes) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        if self.stores.iter().all(Store::is_bulk) {
            self.close_bulk(emit)
        } else {
            self.close_changed(emit)
        }
    }

    fn close_bulk(
        &mut self,
        emit: &mut dyn FnMut(Changes) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        self.stores.iter_mut().for_each(Store::close_bulk);
        let mut at = vec![0; self.stores.len()];
        let mut rows = Joined::new();
        let mut found: Vec<&[Entry]> = Vec::with_capacity(self.widths.len());
        for left in self.stores[0].entries() {
            found.clear();
            for (store, at) in self.stores.iter().zip(&mut at).skip(1) {
                let entries = store.entries();
                let start = *at
                    + entries[*at..]
                        .iter()
                        .take_while(|e| e.position < left.position)
                        .count();
                let same = entries[start..]
                    .iter()
                    .take_while(|e| e.position == left.position);
                found.push(&entries[start..start + same.count()]);
                // Not past the answers: several left rows may share a position.
                *at = start;
            }
            cross(*left, &found, self.inner, &mut rows);
            if rows.len() >= BLOCK_ROWS * self.widths.len() {
                emit(self.block(&rows, 1)?)?;
                rows.clear();
            }
        }
        if !rows.is_empty() {
            emit(self.block(&rows, 1)?)?;
        }
        Ok(())
    }

    fn close_changed(
        &mut self,
        emit: &mut dyn FnMut(Changes) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let changed = self
            .stores
            .iter_mut()
            .map(Store::close)
            .collect::<Result<Vec<_>, _>>()?;
        let positions: BTreeSet<u64> = changed.iter().flat_map(|c| c.keys()).copied().collect();
        let (mut old, mut new) = (Joined::new(), Joined::new());
        for position in positions {
            let side = |after: bool, side: usize| match changed[side].get(&position) {
                Some(change) if after => change.new.as_slice(),
                Some(change) => change.old.as_slice(),
                None => self.stores[side].at(position),
            };
            for (after, rows) in [(false, &mut old), (true, &mut new)] {
                let found: Vec<&[Entry]> = (1..self.stores.len()).map(|s| side(after, s)).collect();
                for left in side(after, 0) {
                    cross(*left, &found, self.inner, rows);
                }
            }
            if old.len().max(new.len()) >= BLOCK_ROWS * self.widths.len() {
                self.emit_changed(&mut old, &mut new, emit)?;
            }
        }
        self.emit_changed(&mut old, &mut new, emit)
    }

    fn emit_changed(
        &self,
        old: &mut Joined,
        new: &mut Joined,
        emit: &mut dyn FnMut(Changes) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        for (rows, diff) in [(old, -1), (new, 1)] {
            if !rows.is_empty() {
                emit(self.block(rows, diff)?)?;
                rows.clear();
            }
        }
        Ok(())
    }

    /// The computed columns of joined rows.
    fn block(&self, rows: &[Entry], diff: i64) -> Result<Changes, EngineError> {
        let sides = self.widths.len();
        let mut arrays = Vec::with_capacity(self.nulls.len());
        for (side, width) in self.widths.iter().enumerate() {
            let nulls = &self.nulls[arrays.len()..arrays.len() + width];
            arrays.append(&mut self.gather(rows, side, nulls)?);
        }
        let options =
            arrow_array::RecordBatchOptions::new().with_row_count(Some(rows.len() / sides));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.input), arrays, &options)?;
        let columns = self
            .columns
            .iter()
            .map(|c| c.evaluate(&batch))
            .collect::<Result<Vec<_>, _>>()?;
        let position = rows
            .iter()
            .step_by(sides)
            .map(|left| left.position)
            .collect();
        Ok(Changes {
            position,
            diff: Rle::Constant(diff),
            columns,
        })
    }

    /// The columns of one side of joined rows.
    fn gather(
        &self,
        rows: &[Entry],
        side: usize,
        nulls: &[ArrayRef],
    ) -> Result<Vec<ArrayRef>, EngineError> {
        // Source 0 is the null; only the batches that are met become sources.
        let store = &self.stores[side];
        let mut source_of: Vec<usize> = vec![0; store.batches.len()];
        let mut sources: Vec<&[ArrayRef]> = vec![nulls];
        let mut pieces = Pieces::default();
        for entry in rows.iter().skip(side).step_by(self.widths.len()) {
            if *entry == NOWHERE {
                pieces.push(0, 0..1);
                continue;
            }
            let source = &mut source_of[entry.batch as usize];
            if *source == 0 {
                *source = sources.len();
                sources.push(&store.batches[entry.batch as usize]);
            }
            let row = entry.row as usize;
            pieces.push(*source, row..row + 1);
        }
        Ok(pieces.gather(nulls.len(), |s| sources[s], sources.len())?)
    }
}

/// The position of the row with this number among those made of one left row: the first keeps the left's, others get
/// one of their own (mixed by SplitMix64), for a row's content is a function of its position.
fn told_apart(position: u64, number: usize) -> u64 {
    if number == 0 {
        return position;
    }
    let mut z = position.wrapping_add((number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// All combinations of a left row with one answer of each part; a part without answers counts as
/// one null answer,
/// unless answers are required: then rows stay at the left's position, by which they are found.
fn cross(left: Entry, parts: &[&[Entry]], inner: bool, rows: &mut Joined) {
    if inner && parts.iter().any(|p| p.is_empty()) {
        return;
    }
    let count: usize = parts.iter().map(|p| p.len().max(1)).product();
    for combination in 0..count {
        let position = match inner {
            true => left.position,
            false => told_apart(left.position, combination),
        };
        rows.push(Entry { position, ..left });
        // The last part varies fastest.
        let mut stride = count;
        for answers in parts {
            stride /= answers.len().max(1);
            let pick = combination / stride % answers.len().max(1);
            rows.push(answers.get(pick).copied().unwrap_or(NOWHERE));
        }
    }
}
