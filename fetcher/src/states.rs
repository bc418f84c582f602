//! Finishing the states of a batch with what came after it.
//!
//! Promises: which later rows count, and how, is the kernel's; a key's bytes that cannot be read fail that key alone. A
//! row of a stream that begins after the batch has ended lacks something, and so is an error.

use arrow_array::ArrayRef;
use unskewed_connectors::kv::Timed;
use unskewed_kernel::codec::stream_row::StreamRow;
use unskewed_kernel::codec::streamed::RowCodec;
use unskewed_kernel::codec::tile::TileCodec;
use unskewed_kernel::error::KernelError;
use unskewed_kernel::evaluate::after_batch::{AfterBatch, BatchState, Question};
use unskewed_planner::definition::DataModel;
use unskewed_planner::resolve::StoredStates;
use unskewed_planner::serving::stream_row;

use crate::columns::value_at;
use crate::error::with_causes;
use crate::value::Value;

/// What finishes states.
pub(crate) struct States {
    after: AfterBatch,
    rows: RowCodec,
    /// Whether streams keep states of tiles rather than rows.
    tiled: bool,
    /// The fingerprint of the schema under which what they keep is read.
    schema: u64,
}

/// What the store has of a key.
pub(crate) struct Held {
    pub(crate) batch: Option<Timed>,
    pub(crate) stream: Option<Timed>,
    /// As of when values are asked for; not before the batch's end.
    pub(crate) query_millis: i64,
}

/// A key whose bytes could be read, and that has any.
struct Read<'a> {
    /// Its place among those asked for.
    number: usize,
    batch: BatchState,
    /// Rows or tiles, each with its time or that of its latest.
    rows: Vec<(i64, &'a [u8])>,
    query_millis: i64,
}

impl States {
    pub(crate) fn new(stored: &StoredStates) -> Result<Self, KernelError> {
        let mutations = stored.model == DataModel::Entities;
        Ok(Self {
            after: AfterBatch::new(&stored.parts, &stored.bases, &stored.inputs)?,
            rows: RowCodec::new(&stored.inputs, mutations)?,
            tiled: stored.tiled,
            schema: match stored.tiled {
                true => TileCodec::new("", &stored.parts, &stored.bases)?.fingerprint(),
                false => stream_row(&stored.selected, stored.model).fingerprint(),
            },
        })
    }

    /// Whether the batch is so old at a time that its longest windows count too much.
    pub(crate) fn is_degraded(&self, batch_end_millis: i64, query_millis: i64) -> bool {
        self.after.is_degraded(batch_end_millis, query_millis)
    }

    /// The values of keys as of their times: nothing where the store has nothing of the key, or why there are none.
    pub(crate) fn finish(
        &self,
        held: &[Held],
        batch_end_millis: i64,
    ) -> Vec<Result<Option<Vec<Value>>, String>> {
        let mut outcomes: Vec<Result<Option<Vec<Value>>, String>> =
            held.iter().map(|_| Ok(None)).collect();
        let mut read = Vec::with_capacity(held.len());
        for (number, held) in held.iter().enumerate() {
            match self.read(number, held, batch_end_millis) {
                Ok(key) => read.extend(key),
                Err(reason) => outcomes[number] = Err(reason),
            }
        }
        match self.evaluate(&read) {
            Ok(columns) => {
                for (row, key) in read.iter().enumerate() {
                    let values = columns.iter().map(|column| value_at(column, row));
                    outcomes[key.number] = Ok(Some(values.collect()));
                }
            }
            // One of them is at fault; the others are not.
            Err(_) => {
                for key in &read {
                    let alone = self.evaluate(std::slice::from_ref(key));
                    outcomes[key.number] = alone.map(|columns| {
                        Some(columns.iter().map(|column| value_at(column, 0)).collect())
                    });
                }
            }
        }
        outcomes
    }

    fn read<'a>(
        &self,
        number: usize,
        held: &'a Held,
        batch_end_millis: i64,
    ) -> Result<Option<Read<'a>>, String> {
        let stream = held
            .stream
            .as_ref()
            .map(|stream| StreamRow::read(&stream.bytes));
        let stream = stream.transpose().map_err(|error| with_causes(&error))?;
        let mut rows = Vec::new();
        if let Some(stream) = stream {
            if stream.schema != self.schema {
                return Err(
                    "its stream keeps rows of another schema than its batch says: one of the two \
                     is of an older definition"
                        .into(),
                );
            }
            if stream.since_millis > batch_end_millis {
                return Err(format!(
                    "its stream is kept since {} ms since 1970, but its batch ends at {batch_end_millis}",
                    stream.since_millis
                ));
            }
            // What is to come is not there yet: a key of which nothing else is known has no values.
            let counts = batch_end_millis..held.query_millis;
            rows = stream.entries;
            rows.retain(|(millis, _)| counts.contains(millis));
        }
        let batch = match &held.batch {
            Some(stored) => self.after.batch_state(&stored.bytes, batch_end_millis),
            None if rows.is_empty() => return Ok(None),
            None => Ok(self.after.no_batch(batch_end_millis)),
        };
        Ok(Some(Read {
            number,
            batch: batch.map_err(|error| with_causes(&error))?,
            rows,
            query_millis: held.query_millis,
        }))
    }

    fn evaluate(&self, keys: &[Read<'_>]) -> Result<Vec<ArrayRef>, String> {
        let rows = keys.iter().map(|key| match self.tiled {
            true => Vec::new(),
            false => key.rows.clone(),
        });
        let rows: Vec<Vec<(i64, &[u8])>> = rows.collect();
        let tiles = keys.iter().filter(|_| self.tiled);
        let tiles: Result<Vec<_>, _> = tiles.map(|key| self.after.tile_states(&key.rows)).collect();
        let tiles = tiles.map_err(|error| with_causes(&error))?;
        let (later, bad) = self
            .rows
            .decode(&rows)
            .map_err(|error| with_causes(&error))?;
        if let Some(bad) = bad.first() {
            return Err(format!("row {} of its stream: {}", bad.row, bad.reason));
        }
        let questions: Vec<Question<'_>> = keys
            .iter()
            .enumerate()
            .map(|(number, key)| Question {
                batch: &key.batch,
                tiles: tiles.get(number),
                query_millis: key.query_millis,
            })
            .collect();
        let answers = self.after.evaluate(&questions, &later);
        answers.map_err(|error| with_causes(&error))
    }
}
