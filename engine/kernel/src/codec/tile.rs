//! The states of tiles as a stream stores them: a datum of the states of all bases, and whether the tile is complete.
//!
//! *Source: the specification's §5.5.*

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BinaryArray, BooleanArray, StructArray};
use arrow_schema::DataType as ArrowType;
use unskewed_planner::aggregation::{AggregatePart, base_parts};
use unskewed_planner::avro::Record;
use unskewed_planner::naming::clean;
use unskewed_planner::schema::{DataType, Field};
use unskewed_planner::serving::{tile_fields, tile_fingerprint};

use super::avro::{self, Encoded};
use super::record::record_of;
use crate::error::KernelError;

/// Reads and writes the tiles of a group-by.
#[derive(Clone, Debug)]
pub struct TileCodec {
    record: Record,
    states: DataType,
    fingerprint: u64,
}

impl TileCodec {
    /// The codec of the group-by of this name, of parts whose aggregations and buckets `bases` numbers.
    pub fn new(
        group_by_name: &str,
        parts: &[AggregatePart],
        bases: &[usize],
    ) -> Result<Self, KernelError> {
        let state =
            |part: &AggregatePart| Field::new(&part.incremental_name, part.state_type.clone());
        let states = base_parts(parts, bases).into_iter().map(state).collect();
        let fields = tile_fields(parts, bases);
        let record = record_of(&(clean(group_by_name) + "_TILE_IR"), &fields)?;
        let states = DataType::Struct(states);
        let fingerprint = tile_fingerprint(parts, bases);
        let fingerprint = fingerprint.ok_or(KernelError::Value {
            reason: "its states cannot be stored".into(),
        })?;
        Ok(Self {
            record,
            states,
            fingerprint,
        })
    }

    /// Encodes tiles: a column of states for each base, and whether each tile is complete.
    pub fn encode(
        &self,
        states: Vec<ArrayRef>,
        complete: &BooleanArray,
    ) -> Result<Encoded, KernelError> {
        let ArrowType::Struct(fields) = self.states.to_arrow() else {
            unreachable!("the states of a tile are a struct");
        };
        let count = complete.len();
        let states = StructArray::try_new_with_length(fields, states, None, count)?;
        avro::encode(
            &self.record,
            &[Arc::new(states), Arc::new(complete.clone())],
        )
    }

    /// Tells tiles of another make apart: the fingerprint of their schema.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Decodes tiles to a column of states for each base.
    pub fn decode(&self, tiles: &[&[u8]]) -> Result<Vec<ArrayRef>, KernelError> {
        let decoded = avro::decode(&self.record, &BinaryArray::from_vec(tiles.to_vec()))?;
        if let Some(bad) = decoded.bad.into_iter().next() {
            return Err(KernelError::Value { reason: bad.reason });
        }
        let states = decoded.columns[0].as_struct();
        Ok(states.columns().to_vec())
    }
}
