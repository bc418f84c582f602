//! What a stream keeps of each key where it keeps tiles: the states of all its rows, one for each stretch of time.
//!
//! ```text
//! rows of a key ──┬── [0, 5 min) ──► state ┐
//!                 ├── [5, 10)    ──► state ├─► one value: (time of the tile's latest row, state) …
//!                 └── …                    ┘
//! ```
//! A tile is as long as the shortest hop of its windows, so a window never cuts one. As with rows, which tiles count a
//! reader decides when it asks.
//! *Source: the specification's §5.5.*

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, BooleanArray, Int64Array};
use unskewed_planner::aggregation::AggregatePart;
use unskewed_planner::schema::{Field, Schema};

use super::stream_rows::StreamRows;
use super::tile_states::TilesOfRows;
use crate::codec::stream_row::{StreamRow, pack};
use crate::codec::tile::TileCodec;
use crate::error::KernelError;
use crate::run::{Evaluated, Evaluator, Queries, Run};
use crate::window::floor_to;

/// The evaluator.
#[derive(Clone, Debug)]
pub struct StreamTiles {
    tiles: TilesOfRows,
    codec: TileCodec,
    tile_millis: i64,
    since_millis: i64,
    output: Vec<Field>,
}

impl StreamTiles {
    /// Tiles of this length of parts, whose aggregations and buckets `bases` numbers, over rows with these columns.
    /// `since_millis`: from when on the rows are all there.
    pub fn new(
        parts: &[AggregatePart],
        bases: &[usize],
        right: &Schema,
        (tile_millis, since_millis): (i64, i64),
    ) -> Result<Self, KernelError> {
        Ok(Self {
            tiles: TilesOfRows::new(parts, bases, right)?,
            codec: TileCodec::new("", parts, bases)?,
            tile_millis,
            since_millis,
            output: StreamRows::fields(),
        })
    }

    /// The rows of each tile, as keys of their own; for each key, its first tile.
    fn cut(&self, right: Run<'_>) -> (Vec<u32>, Vec<usize>) {
        let mut offsets = vec![right.offsets.first().copied().unwrap_or(0)];
        let mut first_tiles = Vec::with_capacity(right.key_count() + 1);
        for key in 0..right.key_count() {
            first_tiles.push(offsets.len() - 1);
            let mut tile = None;
            for row in right.rows(key) {
                let start = floor_to(right.ts[row], self.tile_millis);
                if tile.is_some_and(|tile| tile != start) {
                    offsets.push(row as u32);
                }
                tile = Some(start);
            }
            if tile.is_some() {
                offsets.push(right.rows(key).end as u32);
            }
        }
        first_tiles.push(offsets.len() - 1);
        (offsets, first_tiles)
    }
}

impl Evaluator for StreamTiles {
    fn output(&self) -> &[Field] {
        &self.output
    }

    fn evaluate(&mut self, right: Run<'_>, queries: Queries<'_>) -> Result<Evaluated, KernelError> {
        let (offsets, first_tiles) = self.cut(right);
        let tiles = Run {
            offsets: &offsets,
            ..right
        };
        let states = self.tiles.states(tiles)?;
        // Events may always come late, so no tile is complete.
        let complete = BooleanArray::from(vec![false; tiles.key_count()]);
        let encoded = self.codec.encode(states, &complete)?;
        if let Some(bad) = encoded.bad.into_iter().next() {
            return Err(KernelError::Value { reason: bad.reason });
        }
        let datums = encoded.datums;
        let (mut rows, mut latest) = (Vec::new(), Vec::new());
        for key in 0..right.key_count() {
            let own = first_tiles[key]..first_tiles[key + 1];
            let entry =
                |tile: usize| (right.ts[offsets[tile + 1] as usize - 1], datums.value(tile));
            let entries: Vec<(i64, &[u8])> = own.map(entry).collect();
            let last = entries.last().map(|(millis, _)| *millis);
            let packed = pack(&StreamRow {
                epoch: 0,
                schema: self.codec.fingerprint(),
                since_millis: self.since_millis,
                entries,
            });
            for _ in queries.of_key(key) {
                rows.push(packed.clone());
                latest.push(last);
            }
        }
        let rows = BinaryArray::from_iter_values(rows);
        let columns: Vec<ArrayRef> = vec![Arc::new(rows), Arc::new(Int64Array::from(latest))];
        Ok(Evaluated::one_each(queries, columns))
    }

    fn reach(&self, _: i64) -> Range<i64> {
        i64::MIN..i64::MAX
    }

    fn looks_at(&self, _: i64) -> Range<i64> {
        i64::MIN..i64::MAX
    }
}
