//! Moving rows of Arrow columns: a list of pieces of several sources becomes one set of columns.
//!
//! Hot path: one decision for a whole list, then Arrow's own kernels column by column. A single piece is a slice and
//! copies nothing; long pieces are concatenated; short ones are interleaved by index.

use std::ops::Range;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::ArrowError;
use arrow_select::concat::concat;
use arrow_select::interleave::interleave;
use arrow_select::take::take;

/// Consecutive rows of one of several sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Which source.
    pub(crate) source: u32,
    /// First row.
    pub(crate) start: u32,
    /// How many rows.
    pub(crate) length: u32,
}

impl Piece {
    /// The rows of the source.
    pub(crate) fn rows(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.length as usize
    }
}

/// An ordered list of pieces; a piece that continues the last one is joined to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pieces {
    list: Vec<Piece>,
    rows: usize,
}

impl Pieces {
    /// Appends rows.
    pub(crate) fn push(&mut self, source: usize, rows: Range<usize>) {
        if rows.is_empty() {
            return;
        }
        self.rows += rows.len();
        if let Some(last) = self.list.last_mut()
            && last.source as usize == source
            && (last.start + last.length) as usize == rows.start
        {
            last.length += rows.len() as u32;
            return;
        }
        self.list.push(Piece {
            source: source as u32,
            start: rows.start as u32,
            length: rows.len() as u32,
        });
    }

    /// Takes the last row off.
    pub(crate) fn pop_row(&mut self) {
        if let Some(last) = self.list.last_mut() {
            last.length -= 1;
            self.rows -= 1;
            if last.length == 0 {
                self.list.pop();
            }
        }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The pieces in order.
    pub(crate) fn as_slice(&self) -> &[Piece] {
        &self.list
    }

    /// Forgets all pieces.
    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.rows = 0;
    }

    /// The rows of these pieces, column by column. All sources have the same columns; `columns` says how many.
    pub(crate) fn gather<'a>(
        &self,
        columns: usize,
        sources: impl Fn(usize) -> &'a [ArrayRef],
        source_count: usize,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        if columns == 0 || self.list.is_empty() {
            let empty = (0..columns).map(|c| sources(0)[c].slice(0, 0));
            return Ok(empty.collect());
        }
        if let [piece] = self.list.as_slice() {
            let source = &sources(piece.source as usize)[..columns];
            let slice = |c: &ArrayRef| {
                if c.len() == piece.length as usize {
                    ArrayRef::clone(c)
                } else {
                    c.slice(piece.start as usize, piece.length as usize)
                }
            };
            return Ok(source.iter().map(slice).collect());
        }
        if self.rows / self.list.len() >= PIECE_WORTH_A_SLICE {
            return (0..columns)
                .map(|c| self.concatenated(c, &sources))
                .collect();
        }
        let mut indices = Vec::with_capacity(self.rows);
        for piece in &self.list {
            indices.extend(piece.rows().map(|row| (piece.source as usize, row)));
        }
        let column = |c: usize| {
            let arrays: Vec<&dyn Array> =
                (0..source_count).map(|s| sources(s)[c].as_ref()).collect();
            interleave(&arrays, &indices)
        };
        (0..columns).map(column).collect()
    }

    fn concatenated<'a>(
        &self,
        column: usize,
        sources: &impl Fn(usize) -> &'a [ArrayRef],
    ) -> Result<ArrayRef, ArrowError> {
        let slice = |p: &Piece| {
            sources(p.source as usize)[column].slice(p.start as usize, p.length as usize)
        };
        let slices: Vec<ArrayRef> = self.list.iter().map(slice).collect();
        let arrays: Vec<&dyn Array> = slices.iter().map(|s| s.as_ref()).collect();
        concat(&arrays)
    }
}

/// From this many rows a piece on, slicing it costs less than naming its rows one by one.
const PIECE_WORTH_A_SLICE: usize = 32;

/// The given rows of each column.
pub(crate) fn take_rows(
    columns: &[ArrayRef],
    rows: &UInt32Array,
) -> Result<Vec<ArrayRef>, ArrowError> {
    columns.iter().map(|c| take(c, rows, None)).collect()
}
