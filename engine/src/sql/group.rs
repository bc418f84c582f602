//! Grouping: one row for each list of equal keys.
//!
//! Groups come out in the order in which their first rows came in; sorted input gives them out one after the other and
//! keeps one in memory. Aggregates see a group's rows in their order, so equal input gives equal bits.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;
use arrow_select::filter::{filter, prep_null_mask_filter};
use arrow_select::take::take;
use datafusion_execution::TaskContext;
use datafusion_execution::memory_pool::{MemoryConsumer, MemoryReservation};
use unskewed_kernel::hash::{FixedMap, KeyHash, hash_keys};
use unskewed_planner::expr::Expr;
use unskewed_planner::query::tree::Aggregate;

use super::aggregate::{States, bounds_decimals, states};
use super::key::normalized;
use super::rows::{Value, batch_of};
use super::step::{Step, Stepped};
use crate::error::EngineError;

/// What a grouping computes.
pub(super) struct Grouping {
    keys: Vec<Expr>,
    aggregates: Vec<Aggregate>,
    /// Keys, then aggregates.
    pub(super) schema: SchemaRef,
}

impl Grouping {
    pub(super) fn new(keys: &[Expr], aggregates: &[Aggregate], schema: SchemaRef) -> Self {
        Self {
            keys: keys.to_vec(),
            aggregates: aggregates.to_vec(),
            schema,
        }
    }
}

/// An aggregate that runs.
pub(super) struct Running {
    arguments: Vec<Value>,
    filter: Option<Value>,
    /// What was seen of a DISTINCT, with the group before the values.
    distinct: Option<Seen>,
    pub(super) states: Box<dyn States>,
}

#[derive(Default)]
struct Seen(FixedMap<(u32, KeyHash), ()>);

/// About what a group's identity takes in memory.
const IDENTITY_BYTES: usize = 48;

impl Running {
    pub(super) fn new(aggregate: &Aggregate, bounded: bool) -> Stepped<Self> {
        let distinct = aggregate.distinct && !aggregate.arguments.is_empty();
        Ok(Self {
            arguments: Value::all(&aggregate.arguments)?,
            filter: aggregate.filter.as_ref().map(Value::new).transpose()?,
            distinct: distinct.then(Seen::default),
            states: states(aggregate, bounded)?,
        })
    }

    /// Adds rows to their groups.
    pub(super) fn update(&mut self, batch: &RecordBatch, groups: &[u32]) -> Stepped<()> {
        let mut columns = Value::of_all(&self.arguments, batch)?;
        let mut groups = groups.to_vec();
        if let Some(condition) = &self.filter {
            let mask = condition.of(batch)?;
            let mask = arrow_array::cast::AsArray::as_boolean(&mask);
            let mask = match mask.null_count() {
                0 => mask.clone(),
                _ => prep_null_mask_filter(mask),
            };
            (columns, groups) = chosen(&columns, &groups, &mask)?;
        }
        if let Some(seen) = &mut self.distinct {
            let mask = seen.first_time(&columns, &groups)?;
            (columns, groups) = chosen(&columns, &groups, &mask)?;
        }
        self.states.update(&columns, &groups)
    }

    fn bytes(&self) -> usize {
        let seen = self.distinct.as_ref().map_or(0, |seen| seen.0.len());
        self.states.bytes() + seen * IDENTITY_BYTES
    }

    fn forget(&mut self) {
        if let Some(seen) = &mut self.distinct {
            seen.0.clear();
        }
    }
}

fn chosen(
    columns: &[ArrayRef],
    groups: &[u32],
    mask: &BooleanArray,
) -> Stepped<(Vec<ArrayRef>, Vec<u32>)> {
    let columns = columns.iter().map(|column| filter(column, mask));
    let columns = columns.collect::<std::result::Result<_, _>>()?;
    let groups = groups.iter().zip(mask.values().iter());
    let groups = groups.filter(|(_, kept)| *kept).map(|(group, _)| *group);
    Ok((columns, groups.collect()))
}

impl Seen {
    /// The rows whose values a group has not had before.
    fn first_time(&mut self, columns: &[ArrayRef], groups: &[u32]) -> Stepped<BooleanArray> {
        let identities = hash_keys(columns)?;
        let pairs = groups.iter().zip(identities);
        let fresh: Vec<bool> = pairs
            .map(|(group, identity)| self.0.insert((*group, identity), ()).is_none())
            .collect();
        Ok(BooleanArray::from(fresh))
    }
}

/// Groups rows.
pub(super) struct Group {
    keys: Vec<Value>,
    schema: SchemaRef,
    aggregates: Vec<Running>,
    numbers: FixedMap<KeyHash, u32>,
    /// The keys of the groups, in the order of their numbers.
    found: Vec<Vec<ArrayRef>>,
    count: u32,
    key_bytes: usize,
    sorted: bool,
    reservation: MemoryReservation,
}

impl Group {
    pub(super) fn new(grouping: &Grouping, sorted: bool, context: &TaskContext) -> Stepped<Self> {
        let bounded = bounds_decimals(grouping.keys.len(), &grouping.aggregates);
        let aggregates = grouping.aggregates.iter();
        let aggregates = aggregates.map(|aggregate| Running::new(aggregate, bounded));
        Ok(Self {
            keys: Value::all(&grouping.keys)?,
            schema: Arc::clone(&grouping.schema),
            aggregates: aggregates.collect::<Stepped<_>>()?,
            numbers: FixedMap::new(),
            found: vec![Vec::new(); grouping.keys.len()],
            count: 0,
            key_bytes: 0,
            sorted,
            reservation: MemoryConsumer::new("groups").register(context.memory_pool()),
        })
    }

    fn keys_of(&self, batch: &RecordBatch) -> Stepped<Vec<ArrayRef>> {
        let columns = Value::of_all(&self.keys, batch)?;
        Ok(columns.iter().map(normalized).collect())
    }

    /// The group of each row; new groups are numbered as they come.
    fn numbered(&mut self, batch: &RecordBatch) -> Stepped<Vec<u32>> {
        if self.keys.is_empty() {
            self.count = 1;
            return Ok(vec![0; batch.num_rows()]);
        }
        let columns = self.keys_of(batch)?;
        let mut groups = Vec::with_capacity(batch.num_rows());
        let mut fresh: Vec<u32> = Vec::new();
        for (index, identity) in hash_keys(&columns)?.into_iter().enumerate() {
            if let Some(group) = self.numbers.get(&identity) {
                groups.push(*group);
                continue;
            }
            self.numbers.insert(identity, self.count);
            groups.push(self.count);
            fresh.push(u32::try_from(index).unwrap_or(u32::MAX));
            self.count = self.count.checked_add(1).ok_or_else(too_many)?;
        }
        if !fresh.is_empty() {
            let fresh = UInt32Array::from(fresh);
            for (found, column) in self.found.iter_mut().zip(&columns) {
                let keys = take(column, &fresh, None)?;
                self.key_bytes += keys.get_array_memory_size();
                found.push(keys);
            }
        }
        Ok(groups)
    }

    /// Where the last group of sorted rows begins, and whether it is the one at hand.
    fn last_group(&self, batch: &RecordBatch) -> Stepped<(usize, bool)> {
        let identities = hash_keys(&self.keys_of(batch)?)?;
        let Some(last) = identities.last() else {
            return Ok((0, true));
        };
        let run = identities.iter().rev().take_while(|i| *i == last).count();
        let begins = identities.len() - run;
        Ok((begins, self.numbers.contains(last)))
    }

    fn add(&mut self, batch: &RecordBatch) -> Stepped<()> {
        let groups = self.numbered(batch)?;
        let count = self.count as usize;
        for aggregate in &mut self.aggregates {
            aggregate.states.resize(count);
            aggregate.update(batch, &groups)?;
        }
        let bytes: usize = self.aggregates.iter().map(Running::bytes).sum();
        let keys = self.key_bytes + count * IDENTITY_BYTES;
        let reserved = self.reservation.try_resize(bytes + keys);
        reserved.map_err(|error| EngineError::Query {
            message: format!(
                "a group does not fit in memory: {}",
                error.strip_backtrace()
            ),
        })
    }

    /// Gives all groups out and forgets them.
    fn give(&mut self, out: &mut VecDeque<RecordBatch>) -> Stepped<()> {
        let count = std::mem::take(&mut self.count) as usize;
        self.numbers.clear();
        self.key_bytes = 0;
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for found in &mut self.found {
            let parts = std::mem::take(found);
            let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
            columns.push(match parts.as_slice() {
                [] => return Ok(()),
                parts => concat(parts)?,
            });
        }
        for aggregate in &mut self.aggregates {
            aggregate.states.resize(count);
            columns.push(aggregate.states.finish()?);
            aggregate.forget();
        }
        let whole = batch_of(&self.schema, columns, count)?;
        let mut start = 0;
        while start < count {
            let length = (count - start).min(super::BATCH_ROWS);
            out.push_back(whole.slice(start, length));
            start += length;
        }
        Ok(())
    }
}

fn too_many() -> EngineError {
    EngineError::Query {
        message: "more than four billion groups".into(),
    }
}

impl Step for Group {
    fn push(&mut self, batch: &RecordBatch, out: &mut VecDeque<RecordBatch>) -> Stepped<()> {
        if !self.sorted {
            return self.add(batch);
        }
        // In sorted rows only the last group may go on: all before it are complete.
        let (begins, known) = self.last_group(batch)?;
        if begins > 0 {
            self.add(&batch.slice(0, begins))?;
        }
        if begins > 0 || !known && self.count > 0 {
            self.give(out)?;
        }
        self.add(&batch.slice(begins, batch.num_rows() - begins))
    }

    fn finish(&mut self, out: &mut VecDeque<RecordBatch>) -> Stepped<()> {
        if self.keys.is_empty() {
            // Without keys there is a group even of no rows.
            self.count = 1;
        }
        if self.count > 0 {
            self.give(out)?;
        }
        Ok(())
    }
}
