//! The loop of a reader: stored states, and the rows and tiles that came after, merged as of a time.
//!
//! Of each question and window, in this order: the states of the tail's hops from the oldest on, the collapsed state,
//! the tiles that came after the batch, the rows that came after it. The rules by which they count are those of
//! `evaluate::after_batch`. Stored states are only read.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array};
use arrow_select::concat::concat;
use unskewed_planner::aggregation::{AggregatePart, Operation};
use unskewed_planner::time::Window;

use super::WorkOrder;
use super::bind::{bind, in_output_type};
use super::distinct::digests;
use super::fold::{Fold, Inputs, Visitor, merge_option};
use super::output::Output;
use super::restore::{Restored, damaged};
use crate::error::KernelError;
use crate::evaluate::batch_states::{HOPS_MILLIS, cut_millis};

/// A window, and where its tail is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowPlan {
    /// The window.
    pub(crate) window: Window,
    /// Which of the batch's lists of hops are its tail's.
    pub(crate) hop: usize,
}

impl WindowPlan {
    /// The plan of a window.
    pub(crate) fn of(window: Window) -> Self {
        let length = window.tail_hop_millis();
        let hop = HOPS_MILLIS.iter().position(|hop| *hop == length);
        let hop = hop.expect("the hops of windows are those that batches store");
        Self { window, hop }
    }
}

/// A state and when it begins, or came to be known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    /// Milliseconds.
    pub(crate) millis: i64,
    /// Its number among the restored ones.
    pub(crate) state: u32,
}

/// The states of a base in a key's batch.
#[derive(Clone, Debug)]
pub(crate) struct BaseStates {
    /// The states: first the collapsed one of each window.
    pub(crate) restored: Restored,
    /// The states of the hops of each length, by their starts; of one start the edge before the tail.
    pub(crate) hops: [Vec<At>; HOPS_MILLIS.len()],
}

/// The states of a base in a key's tiles, by the time of their latest events.
#[derive(Clone, Debug)]
pub(crate) struct BaseTiles {
    pub(crate) restored: Restored,
    pub(crate) tiles: Vec<At>,
}

/// A question about a base.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BaseQuestion<'a> {
    pub(crate) batch: &'a BaseStates,
    pub(crate) tiles: Option<&'a BaseTiles>,
    pub(crate) end_millis: i64,
    pub(crate) query_millis: i64,
}

/// The rows that came after, as one base reads them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BaseRows<'a> {
    /// The rows of each question; one more entry than questions.
    pub(crate) offsets: &'a [u32],
    /// When each came to be known.
    pub(crate) ts: &'a [i64],
    /// Their own times, where those are others; a row without one counts nowhere.
    pub(crate) own_times: Option<&'a Int64Array>,
    /// Which are taken back.
    pub(crate) taken_back: Option<&'a BooleanArray>,
    /// The input.
    pub(crate) value: &'a ArrayRef,
    /// The bucket, where the base has one.
    pub(crate) bucket: Option<&'a ArrayRef>,
}

impl BaseRows<'_> {
    fn own_times(&self) -> &[i64] {
        self.own_times.map_or(self.ts, |times| times.values())
    }

    /// The own time of a row.
    fn own_time(&self, row: usize) -> Option<i64> {
        match self.own_times {
            None => Some(self.ts[row]),
            Some(times) => times.is_valid(row).then(|| times.value(row)),
        }
    }
}

/// The finished columns of a base's windows: a row for each question.
pub(crate) fn resume(
    part: &AggregatePart,
    windows: &[WindowPlan],
    questions: &[BaseQuestion<'_>],
    rows: BaseRows<'_>,
) -> Result<Vec<ArrayRef>, KernelError> {
    let mut lent = Lending::default();
    let firsts: Vec<[u32; 2]> = questions
        .iter()
        .map(|question| {
            let batch = lent.add(&question.batch.restored);
            let tiles = question.tiles.map_or(0, |tiles| lent.add(&tiles.restored));
            [batch, tiles]
        })
        .collect();
    let digested = part.operation == Operation::BoundedUniqueCount
        && part.element_type.to_arrow() == arrow_schema::DataType::Utf8;
    let digests = digested.then(|| in_digests(part, rows.value)).transpose()?;
    let later = digests.as_ref().unwrap_or(rows.value);
    let value = lent.before(&lent.values, later)?;
    let bucket = rows.bucket.map(|later| lent.before(&lent.buckets, later));
    let bucket = bucket.transpose()?;
    let times = match lent.row_count {
        0 => rows.own_times(),
        _ => &[&lent.times(), rows.own_times()].concat(),
    };
    let inputs = Inputs {
        value: &value,
        bucket: bucket.as_ref(),
        times,
        with_sum: false,
        stored: false,
    };
    let answers = Answers {
        part,
        windows,
        questions,
        firsts: &firsts,
        rows,
        first_row: lent.row_count,
    };
    let columns = bind(part, inputs, answers)?;
    columns.iter().map(|c| in_output_type(part, c)).collect()
}

/// Strings by their digests, as bounded sets of them are stored; also within lists and maps.
fn in_digests(part: &AggregatePart, value: &ArrayRef) -> Result<ArrayRef, KernelError> {
    use arrow_array::cast::AsArray;
    use arrow_array::{ListArray, MapArray, StructArray};
    use arrow_schema::DataType as ArrowType;
    Ok(match value.data_type() {
        ArrowType::Utf8 => digests(value),
        ArrowType::List(item) => {
            let list = value.as_list::<i32>();
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            let items = digests(list.values());
            Arc::new(ListArray::try_new(Arc::clone(item), offsets, items, nulls)?)
        }
        ArrowType::Map(field, sorted) => {
            let map = value.as_map();
            let (_, columns, nulls) = map.entries().clone().into_parts();
            let columns = vec![Arc::clone(&columns[0]), digests(&columns[1])];
            let fields = map.entries().fields().clone();
            let entries = StructArray::try_new(fields, columns, nulls)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            let field = Arc::clone(field);
            Arc::new(MapArray::try_new(field, offsets, entries, nulls, *sorted)?)
        }
        other => return Err(super::bind::type_error(part, other)),
    })
}

/// The lent rows of a call, one behind the other.
#[derive(Default)]
struct Lending<'a> {
    values: Vec<&'a ArrayRef>,
    buckets: Vec<&'a ArrayRef>,
    lenders: Vec<&'a Restored>,
    row_count: usize,
}

impl<'a> Lending<'a> {
    /// Adds the rows of a lender; the number of its first.
    fn add(&mut self, lender: &'a Restored) -> u32 {
        let first = self.row_count as u32;
        if let Some(value) = &lender.value {
            self.values.push(value);
            self.buckets.extend(&lender.bucket);
            self.lenders.push(lender);
            self.row_count += value.len();
        }
        first
    }

    fn times(&self) -> Vec<i64> {
        let lenders = self.lenders.iter();
        lenders.flat_map(|lender| &lender.times).copied().collect()
    }

    /// A column of the lent rows, then the later ones.
    fn before(&self, lent: &[&'a ArrayRef], later: &ArrayRef) -> Result<ArrayRef, KernelError> {
        if lent.is_empty() {
            return Ok(Arc::clone(later));
        }
        if let ([only], true) = (lent, later.is_empty()) {
            return Ok(Arc::clone(only));
        }
        let lent = lent.iter().map(|column| column.as_ref() as &dyn Array);
        let all: Vec<&dyn Array> = lent.chain([later.as_ref() as &dyn Array]).collect();
        Ok(concat(&all)?)
    }
}

/// The loop.
struct Answers<'a> {
    part: &'a AggregatePart,
    windows: &'a [WindowPlan],
    questions: &'a [BaseQuestion<'a>],
    /// Where the lent rows of each question's batch and tiles begin.
    firsts: &'a [[u32; 2]],
    rows: BaseRows<'a>,
    /// Where the later rows begin.
    first_row: usize,
}

impl Visitor for Answers<'_> {
    type Answer = Vec<ArrayRef>;

    fn visit<F: Fold>(self, fold: &F) -> Result<Vec<ArrayRef>, KernelError> {
        let mut outputs: Vec<F::Output> = self.windows.iter().map(|_| fold.output()).collect();
        for (number, question) in self.questions.iter().enumerate() {
            let mut loaded = Loaded::of(fold, self.part, question, self.firsts[number]);
            for (index, (window, output)) in self.windows.iter().zip(&mut outputs).enumerate() {
                let mut state = loaded.up_to_batch(index, *window)?;
                loaded.add_tiles(*window, &mut state)?;
                self.add_rows(fold, number, *window, &mut state);
                match &state {
                    Some(state) => fold.finish(state, output),
                    None => output.append_null(),
                }
            }
        }
        fold.check()?;
        outputs.into_iter().map(Output::into_array).collect()
    }
}

impl Answers<'_> {
    fn add_rows<F: Fold>(
        &self,
        fold: &F,
        number: usize,
        plan: WindowPlan,
        state: &mut Option<F::State>,
    ) {
        let question = &self.questions[number];
        let tail = plan.window.tail_millis(question.query_millis);
        let rows = self.rows.offsets[number] as usize..self.rows.offsets[number + 1] as usize;
        let known = question.end_millis..question.query_millis;
        for row in rows {
            let Some(own) = self.rows.own_time(row) else {
                continue;
            };
            let inside = (tail..question.query_millis).contains(&own);
            if !inside || !known.contains(&self.rows.ts[row]) {
                continue;
            }
            let back = self.rows.taken_back;
            if back.is_some_and(|back| back.is_valid(row) && back.value(row)) {
                fold.delete(state, self.first_row + row);
            } else {
                fold.update(state, self.first_row + row);
            }
        }
    }
}

/// The stored states of a question, loaded when they are first asked for.
struct Loaded<'a, F: Fold> {
    fold: &'a F,
    part: &'a AggregatePart,
    question: &'a BaseQuestion<'a>,
    firsts: [u32; 2],
    hops: [Vec<Option<F::State>>; HOPS_MILLIS.len()],
    tiles: Vec<Option<F::State>>,
}

impl<'a, F: Fold> Loaded<'a, F> {
    fn of(
        fold: &'a F,
        part: &'a AggregatePart,
        question: &'a BaseQuestion<'a>,
        firsts: [u32; 2],
    ) -> Self {
        Self {
            fold,
            part,
            question,
            firsts,
            hops: [const { Vec::new() }; HOPS_MILLIS.len()],
            tiles: Vec::new(),
        }
    }

    fn load(
        &self,
        restored: &Restored,
        state: u32,
        first: u32,
    ) -> Result<Option<F::State>, KernelError> {
        let placed = restored.placed(state as usize, first);
        if placed.is_null() {
            return Ok(None);
        }
        let loaded = self.fold.load(placed);
        loaded.map(Some).ok_or_else(|| damaged(self.part))
    }

    fn load_all(
        &self,
        restored: &Restored,
        states: &[At],
        first: u32,
    ) -> Result<Vec<Option<F::State>>, KernelError> {
        let states = states.iter();
        states
            .map(|at| self.load(restored, at.state, first))
            .collect()
    }

    /// The state of a window up to the batch's end.
    fn up_to_batch(
        &mut self,
        index: usize,
        plan: WindowPlan,
    ) -> Result<Option<F::State>, KernelError> {
        let BaseQuestion {
            batch,
            end_millis,
            query_millis,
            ..
        } = *self.question;
        let mut state = None;
        if plan.window.millis().is_some() {
            let tail = plan.window.tail_millis(query_millis);
            let cut = cut_millis(plan.window, end_millis);
            let within = range_of(&batch.hops[plan.hop], tail..cut);
            if self.hops[plan.hop].is_empty() {
                let hops = self.load_all(&batch.restored, &batch.hops[plan.hop], self.firsts[0])?;
                self.hops[plan.hop] = hops;
            }
            for hop in &self.hops[plan.hop][within] {
                self.merge(&mut state, hop.as_ref());
            }
        }
        let collapsed = self.load(&batch.restored, index as u32, self.firsts[0])?;
        merge_option(self.fold, &mut state, collapsed.as_ref());
        Ok(state)
    }

    /// The tiles that came after it.
    fn add_tiles(
        &mut self,
        plan: WindowPlan,
        state: &mut Option<F::State>,
    ) -> Result<(), KernelError> {
        let Some(tiles) = self.question.tiles else {
            return Ok(());
        };
        let tail = plan.window.tail_millis(self.question.query_millis);
        let from = tail.max(self.question.end_millis);
        let within = range_of(&tiles.tiles, from..self.question.query_millis);
        if self.tiles.is_empty() {
            self.tiles = self.load_all(&tiles.restored, &tiles.tiles, self.firsts[1])?;
        }
        for tile in &self.tiles[within] {
            self.merge(state, tile.as_ref());
        }
        Ok(())
    }

    /// Adds a later state that other windows may read too.
    fn merge(&self, state: &mut Option<F::State>, later: Option<&F::State>) {
        match later {
            // Merging may change what is merged, where states share what they hold.
            Some(later) if self.fold.work_order() == WorkOrder::Questions => {
                merge_option(self.fold, state, Some(&self.fold.copy(later)));
            }
            later => merge_option(self.fold, state, later),
        }
    }
}

/// Those of sorted states that lie in a range of time.
fn range_of(states: &[At], times: Range<i64>) -> Range<usize> {
    let from = states.partition_point(|at| at.millis < times.start);
    let to = states.partition_point(|at| at.millis < times.end);
    from..to.max(from)
}
