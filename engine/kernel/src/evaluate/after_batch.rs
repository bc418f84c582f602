//! Features as of a time after a batch: its stored states brought up to the query by what came since.
//!
//! ```text
//!  floor(q − W, hop)                  cut                              B, the batch's end          q, the query
//!        ├── states of the tail's hops ─┼─── one collapsed state ────────┼─ tiles, rows ─────────────)
//! ```
//! **What counts** for a window W of a query at `q ≥ B`: the tail's hops that start in `floor(q − W, hop) ≤ start < cut`;
//! the collapsed state, whole; tiles whose latest event lies in `B ≤ ts < q` and not before the tail; events with
//! `B ≤ ts < q` not before the tail. A mutation counts if it came to be known in `B ≤ ts < q` and its row's own time lies
//! in `floor(q − W, hop) ≤ own < q`; before images are taken back where the operation can.
//! *Source: the specification's §5.4; the edge, which the reference does not store, by rule 4 of `docs/semantics.md`.*
//!
//! **Promises** the values of [`super::point_in_time`] over all rows while the tail has not moved beyond the cut, two
//! days ([`AfterBatch::is_degraded`]): floating sums to rounding, as they are folded in another order; everything else
//! exactly, but for sketches and for what shows the order of work (rule 22). Tiles answer as their rows do where no tile
//! reaches over the query or over the tail.
//!
//! Everything that depends on the group-by only is settled once; a [`BatchState`] is decoded once and serves any number
//! of questions on any thread. Stored bytes are taken to be hostile: they cost an error, never a panic.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, ListArray, new_null_array};
use arrow_select::concat::concat;
use unskewed_planner::aggregation::AggregatePart;
use unskewed_planner::schema::{Field, Schema};

use super::batch_states::{HOPS_MILLIS, cut_millis};
use crate::aggregate::restore::Restored;
use crate::aggregate::resume::{
    At, BaseQuestion, BaseRows, BaseStates, BaseTiles, WindowPlan, resume,
};
use crate::codec::batch_state::BatchCodec;
use crate::codec::tile::TileCodec;
use crate::error::KernelError;
use crate::run::LaterRows;

/// The evaluator of a group-by.
#[derive(Clone, Debug)]
pub struct AfterBatch {
    bases: Vec<Base>,
    output: Vec<Field>,
    batches: BatchCodec,
    tiles: TileCodec,
}

/// An aggregation and bucket over all its windows.
#[derive(Clone, Debug)]
struct Base {
    /// Any of its parts: they differ in window and name only.
    part: AggregatePart,
    /// Its parts, among all.
    parts: Range<usize>,
    windows: Vec<WindowPlan>,
    /// Position of the input column.
    input: usize,
    /// Position of the bucketing column.
    bucket: Option<usize>,
}

/// What a batch holds of a key, decoded.
#[derive(Clone, Debug)]
pub struct BatchState {
    bases: Vec<BaseStates>,
    end_millis: i64,
    present: bool,
}

impl BatchState {
    /// The end of the batch: it holds everything before.
    pub fn end_millis(&self) -> i64 {
        self.end_millis
    }

    /// Whether the batch has the key.
    pub fn is_present(&self) -> bool {
        self.present
    }
}

/// The tiles of a key that came after a batch, decoded.
#[derive(Clone, Debug)]
pub struct TileStates {
    bases: Vec<BaseTiles>,
}

/// A question: what are the features of a key as of a time?
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The key's batch.
    pub batch: &'a BatchState,
    /// Its tiles, where the stream stores such.
    pub tiles: Option<&'a TileStates>,
    /// The time.
    pub query_millis: i64,
}

impl AfterBatch {
    /// Compiles parts, whose aggregations and buckets `bases` numbers (equal numbers stand together), over later rows
    /// with these columns.
    pub fn new(
        parts: &[AggregatePart],
        bases: &[usize],
        selected: &Schema,
    ) -> Result<Self, KernelError> {
        let find = |column: &str| {
            let missing = || KernelError::MissingColumn {
                column: column.into(),
            };
            selected.index_of(column).ok_or_else(missing)
        };
        let mut compiled: Vec<Base> = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let window = WindowPlan::of(part.window);
            match compiled.last_mut() {
                Some(base) if bases[index - 1] == bases[index] => {
                    base.parts.end = index + 1;
                    base.windows.push(window);
                }
                _ => compiled.push(Base {
                    part: part.clone(),
                    parts: index..index + 1,
                    windows: vec![window],
                    input: find(&part.input)?,
                    bucket: part.bucket.as_deref().map(find).transpose()?,
                }),
            }
        }
        let output = |part: &AggregatePart| Field::new(&part.output_name, part.output_type.clone());
        Ok(Self {
            bases: compiled,
            output: parts.iter().map(output).collect(),
            batches: BatchCodec::new(parts, bases)?,
            tiles: TileCodec::new("", parts, bases)?,
        })
    }

    /// Names and types of the answer's columns.
    pub fn output(&self) -> &[Field] {
        &self.output
    }

    /// Decodes what a batch that ends at `end_millis` stored of a key.
    pub fn batch_state(&self, value: &[u8], end_millis: i64) -> Result<BatchState, KernelError> {
        self.batch_of(&self.batches.decode(value)?, end_millis)
    }

    /// A batch that has not got the key.
    pub fn no_batch(&self, end_millis: i64) -> BatchState {
        let none = |_: &Base| BaseStates {
            restored: Restored::none(),
            hops: [const { Vec::new() }; HOPS_MILLIS.len()],
        };
        BatchState {
            bases: self.bases.iter().map(none).collect(),
            end_millis,
            present: false,
        }
    }

    fn batch_of(&self, columns: &[ArrayRef], end_millis: i64) -> Result<BatchState, KernelError> {
        let [collapsed, tail, edge] = columns else {
            let column = "edgeHopIrs".into();
            return Err(KernelError::MissingColumn { column });
        };
        let (edge, tail) = (Hops::of(edge)?, Hops::of(tail)?);
        let base = |(number, base): (usize, &Base)| {
            let none = new_null_array(&base.part.state_type.to_arrow(), 1);
            let mut columns: Vec<&dyn Array> = match collapsed.is_valid(0) {
                true => {
                    let parts = &collapsed.as_struct().columns()[base.parts.clone()];
                    parts.iter().map(|column| column as &dyn Array).collect()
                }
                false => vec![&none; base.parts.len()],
            };
            let mut hops = [const { Vec::new() }; HOPS_MILLIS.len()];
            let mut before = base.parts.len() as u32;
            for stored in [&edge, &tail] {
                columns.push(&stored.states[number]);
                for (hops, all) in hops.iter_mut().zip(&stored.units) {
                    hops.extend(all.clone().map(|unit| At {
                        millis: stored.starts[unit],
                        state: before + unit as u32,
                    }));
                }
                before += stored.starts.len() as u32;
            }
            // Stable: edges were put first.
            hops.iter_mut()
                .for_each(|hops| hops.sort_by_key(|at| at.millis));
            let restored = Restored::read(&base.part, &concat(&columns)?)?;
            Ok(BaseStates { restored, hops })
        };
        let bases = self.bases.iter().enumerate().map(base);
        Ok(BatchState {
            bases: bases.collect::<Result<_, KernelError>>()?,
            end_millis,
            present: true,
        })
    }

    /// Decodes a key's tiles, each with the time of its latest event, in any order.
    pub fn tile_states(&self, tiles: &[(i64, &[u8])]) -> Result<TileStates, KernelError> {
        let values: Vec<&[u8]> = tiles.iter().map(|(_, value)| *value).collect();
        let columns = self.tiles.decode(&values)?;
        let at = |(number, (millis, _)): (usize, &(i64, &[u8]))| At {
            millis: *millis,
            state: number as u32,
        };
        let mut sorted: Vec<At> = tiles.iter().enumerate().map(at).collect();
        sorted.sort_by_key(|at| at.millis);
        let base = |(base, states): (&Base, &ArrayRef)| {
            Ok(BaseTiles {
                restored: Restored::read(&base.part, states)?,
                tiles: sorted.clone(),
            })
        };
        let bases = self.bases.iter().zip(&columns).map(base);
        Ok(TileStates {
            bases: bases.collect::<Result<_, KernelError>>()?,
        })
    }

    /// Whether a tail has moved on further than the batch's states tell apart: the answer then counts too much.
    pub fn is_degraded(&self, end_millis: i64, query_millis: i64) -> bool {
        let windows = self.bases.iter().flat_map(|base| &base.windows);
        windows.into_iter().any(|plan| {
            let cut = cut_millis(plan.window, end_millis);
            cut < end_millis && plan.window.tail_millis(query_millis) > cut
        })
    }

    /// The answers: a column for each part, a row for each question. `later` are the rows of these questions.
    pub fn evaluate(
        &self,
        questions: &[Question<'_>],
        later: &LaterRows,
    ) -> Result<Vec<ArrayRef>, KernelError> {
        for question in questions {
            let end_millis = question.batch.end_millis;
            if question.query_millis < end_millis {
                return Err(KernelError::BeforeBatch {
                    query_millis: question.query_millis,
                    end_millis,
                });
            }
        }
        let mut columns = Vec::with_capacity(self.output.len());
        for (number, base) in self.bases.iter().enumerate() {
            let of_base = questions.iter().map(|question| BaseQuestion {
                batch: &question.batch.bases[number],
                tiles: question.tiles.map(|tiles| &tiles.bases[number]),
                end_millis: question.batch.end_millis,
                query_millis: question.query_millis,
            });
            let questions: Vec<BaseQuestion<'_>> = of_base.collect();
            let rows = BaseRows {
                offsets: &later.offsets,
                ts: &later.ts,
                own_times: later.own_times.as_ref(),
                taken_back: later.taken_back.as_ref(),
                value: &later.columns[base.input],
                bucket: base.bucket.map(|bucket| &later.columns[bucket]),
            };
            columns.extend(resume(&base.part, &base.windows, &questions, rows)?);
        }
        Ok(columns)
    }
}

/// The states of hops in a stored value.
struct Hops {
    /// Where the hops of each length lie.
    units: [Range<usize>; HOPS_MILLIS.len()],
    starts: Vec<i64>,
    /// For each base the states of all hops.
    states: Vec<ArrayRef>,
}

impl Hops {
    /// The hops of a value, decoded to a column of one row.
    fn of(column: &ArrayRef) -> Result<Self, KernelError> {
        let lists: &ListArray = column.as_list();
        let units: &ListArray = lists.values().as_list();
        let (starts, states) = units
            .values()
            .as_struct()
            .columns()
            .split_last()
            .expect("hops have at least a start");
        let starts = starts.as_primitive::<Int64Type>();
        let mut ranges = [const { 0..0 }; HOPS_MILLIS.len()];
        if lists.is_valid(0) {
            if lists.value_length(0) as usize != ranges.len() || starts.null_count() > 0 {
                let reason = "it has not the three lists of hops with their starts".into();
                return Err(KernelError::Value { reason });
            }
            let ends = units.offsets().windows(2);
            for (range, ends) in ranges.iter_mut().zip(ends) {
                *range = ends[0] as usize..ends[1] as usize;
            }
        }
        Ok(Self {
            units: ranges,
            starts: starts.values().to_vec(),
            states: states.to_vec(),
        })
    }
}
