//! What a stream keeps of a tile, where its keys are tiles: the state of all their rows as a datum, and the time of the
//! latest of them.
//!
//! A tile is a stretch of time of a key, as long as the shortest hop of its windows, so a window never cuts one. Which
//! tiles count, a reader decides when it asks.
//! *Source: the specification's §5.5.*

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, UInt32Array};
use unskewed_planner::aggregation::AggregatePart;
use unskewed_planner::schema::{DataType, Field, Schema};

use super::tile_states::TilesOfRows;
use crate::codec::tile::TileCodec;
use crate::error::KernelError;
use crate::run::{Evaluated, Evaluator, Queries, Run};

/// The evaluator.
#[derive(Clone, Debug)]
pub struct StreamTiles {
    tiles: TilesOfRows,
    codec: TileCodec,
    output: Vec<Field>,
}

impl StreamTiles {
    /// States of parts, whose aggregations and buckets `bases` numbers, over rows with these columns.
    pub fn new(
        parts: &[AggregatePart],
        bases: &[usize],
        right: &Schema,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            tiles: TilesOfRows::new(parts, bases, right)?,
            codec: TileCodec::new("", parts, bases)?,
            output: vec![
                Field::new("datum", DataType::Binary),
                Field::new("millis", DataType::Long),
            ],
        })
    }
}

impl Evaluator for StreamTiles {
    fn output(&self) -> &[Field] {
        &self.output
    }

    fn evaluate(&mut self, right: Run<'_>, queries: Queries<'_>) -> Result<Evaluated, KernelError> {
        let states = self.tiles.states(right)?;
        // Events may always come late, so no tile is complete.
        let complete = BooleanArray::from(vec![false; right.key_count()]);
        let encoded = self.codec.encode(states, &complete)?;
        if let Some(bad) = encoded.bad.into_iter().next() {
            return Err(KernelError::Value { reason: bad.reason });
        }
        let (mut tiles, mut latest) = (Vec::new(), Vec::new());
        for key in 0..right.key_count() {
            let last = right.rows(key).next_back().map(|row| right.ts[row]);
            for _ in queries.of_key(key) {
                tiles.push(key as u32);
                latest.push(last);
            }
        }
        let datums = arrow_select::take::take(&encoded.datums, &UInt32Array::from(tiles), None)?;
        let columns: Vec<ArrayRef> = vec![datums, Arc::new(Int64Array::from(latest))];
        Ok(Evaluated::one_each(queries, columns))
    }

    fn reach(&self, _: i64) -> Range<i64> {
        i64::MIN..i64::MAX
    }

    fn looks_at(&self, _: i64) -> Range<i64> {
        i64::MIN..i64::MAX
    }
}
