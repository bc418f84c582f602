//! One key at one epoch: which queries may be answered differently, and which rows they look at.
//!
//! Hot path. Only queries in reach of a changed row, and queries that come or go, are evaluated; only rows that these
//! look at are read. A key with many queries is cut into several calls.

use std::ops::Range;

use unskewed_kernel::run::Evaluator;

use super::block::{Block, Query};
use super::versions::{At, Reader, Stretch, versions, within};
use super::walk::Slice;
use crate::exchange::Epoch;

/// All times.
const EVER: Range<i64> = i64::MIN..i64::MAX;

/// Where queries come from.
#[derive(Clone, Debug)]
pub(super) enum Asking {
    /// From an arrangement.
    Arranged,
    /// The same times, ascending, for each key that has rows.
    Fixed {
        /// When.
        times: Vec<i64>,
        /// Whether a key is answered at times that none of its rows reaches.
        always: bool,
    },
}

/// The slices of one key on one input.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) slices: Vec<Slice>,
    /// How many of them are from before all epochs at hand.
    pub(super) history: usize,
}

impl Input {
    fn at(&self, epoch: Epoch) -> At {
        At {
            epoch,
            history: self.history,
        }
    }

    fn rows(&self) -> usize {
        self.slices.iter().map(|s| s.range.len()).sum()
    }

    /// The span of times, if there is no history and all rows come with this epoch.
    fn all_new(&self, epoch: Epoch) -> Option<Range<i64>> {
        let at = |s: &Slice| s.rows.time.is_constant(epoch);
        if self.history > 0 || self.slices.is_empty() || !self.slices.iter().all(at) {
            return None;
        }
        let first = self.slices.iter().map(|s| s.rows.ts[s.range.start]).min()?;
        let last = self
            .slices
            .iter()
            .map(|s| s.rows.ts[s.range.end - 1])
            .max()?;
        Some(first..last)
    }

    /// The times of the rows that change at the epoch; ascending within a slice.
    fn changes(&self, epoch: Epoch) -> impl Iterator<Item = i64> + '_ {
        let at = self.at(epoch);
        self.slices
            .iter()
            .enumerate()
            .skip(self.history)
            .flat_map(move |(index, slice)| {
                let changed = move |&row: &usize| at.is_change(index, slice.rows.time.get(row));
                slice
                    .range
                    .clone()
                    .filter(changed)
                    .map(|row| slice.rows.ts[row])
            })
    }
}

/// Works out changes; keeps its scratch memory from key to key.
#[derive(Debug)]
pub(super) struct Changer {
    asking: Asking,
    /// Queries evaluated in one call at most.
    queries_max: usize,
    /// Keys of up to this many rows are handed over whole: reading fewer would not pay for finding out which.
    small_key_rows: usize,
    intervals: Vec<Range<i64>>,
    readers: Vec<Reader>,
    rows: Vec<Stretch>,
    asked: Vec<Stretch>,
    queries: Vec<Query>,
}

impl Changer {
    pub(super) fn new(asking: Asking, queries_max: usize, small_key_rows: usize) -> Self {
        Self {
            asking,
            queries_max,
            small_key_rows,
            intervals: Vec::new(),
            readers: Vec::new(),
            rows: Vec::new(),
            asked: Vec::new(),
            queries: Vec::new(),
        }
    }

    /// Adds to the block what may change for a key at an epoch, calling `full` wherever the block may be emptied.
    pub(super) fn change<E>(
        &mut self,
        key: u128,
        epoch: Epoch,
        (right, queries): (&Input, &Input),
        evaluator: &mut dyn Evaluator,
        block: &mut Block,
        mut full: impl FnMut(&mut Block, &mut dyn Evaluator) -> Result<(), E>,
    ) -> Result<(), E> {
        self.find_intervals(epoch, right, queries, evaluator);
        for index in 0..self.intervals.len() {
            let interval = self.intervals[index].clone();
            self.find_queries(epoch, queries, &interval);
            let mut start = 0;
            while start < self.queries.len() {
                let (end, times) = self.cluster(start, right, evaluator);
                versions(
                    &right.slices,
                    right.at(epoch),
                    &times,
                    &mut self.readers,
                    &mut self.rows,
                );
                if matches!(self.asking, Asking::Fixed { .. }) {
                    self.count_fixed(start..end);
                }
                let whole = evaluator.needs().whole_keys;
                let queries = &self.queries[start..end];
                block.add(key, &right.slices, &self.rows, queries, whole);
                full(block, evaluator)?;
                start = end;
            }
        }
        Ok(())
    }

    /// The query times that may be touched: sorted, apart.
    fn find_intervals(
        &mut self,
        epoch: Epoch,
        right: &Input,
        queries: &Input,
        evaluator: &dyn Evaluator,
    ) {
        let intervals = &mut self.intervals;
        intervals.clear();
        if matches!(self.asking, Asking::Fixed { always: true, .. }) {
            intervals.push(EVER);
        } else if let Some(span) = right.all_new(epoch) {
            let reach = evaluator.reach(span.start).start..evaluator.reach(span.end).end;
            push_interval(intervals, reach);
        } else {
            for ts in right.changes(epoch) {
                push_interval(intervals, evaluator.reach(ts));
            }
        }
        if let Some(span) = queries.all_new(epoch) {
            push_interval(intervals, span.start..span.end.saturating_add(1));
        } else {
            for ts in queries.changes(epoch) {
                push_interval(intervals, ts..ts.saturating_add(1));
            }
        }
        intervals.sort_unstable_by_key(|i| (i.start, i.end));
        intervals.dedup_by(|next, last| {
            let joined = next.start <= last.end;
            if joined {
                last.end = last.end.max(next.end);
            }
            joined
        });
        if evaluator.needs().whole_keys && !intervals.is_empty() {
            intervals.clear();
            intervals.push(EVER);
        }
    }

    fn find_queries(&mut self, epoch: Epoch, input: &Input, interval: &Range<i64>) {
        self.queries.clear();
        match &self.asking {
            Asking::Arranged => {
                let (readers, asked) = (&mut self.readers, &mut self.asked);
                versions(&input.slices, input.at(epoch), interval, readers, asked);
                for stretch in asked {
                    let rows = &input.slices[stretch.slice].rows;
                    self.queries.extend(stretch.rows.clone().map(|row| Query {
                        ts: rows.ts[row],
                        position: rows.position[row],
                        old: stretch.old,
                        new: stretch.new,
                    }));
                }
            }
            Asking::Fixed { times, .. } => {
                let low = times.partition_point(|&t| t < interval.start);
                let high = times.partition_point(|&t| t < interval.end);
                let query = |&ts| Query {
                    ts,
                    position: 0,
                    old: 1,
                    new: 1,
                };
                self.queries
                    .extend(times[low..high.max(low)].iter().map(query));
            }
        }
    }

    /// Queries of fixed times stand where the key has rows to look at.
    fn count_fixed(&mut self, queries: Range<usize>) {
        let old = i64::from(self.rows.iter().any(|s| s.old > 0));
        let new = i64::from(self.rows.iter().any(|s| s.new > 0));
        for query in &mut self.queries[queries] {
            (query.old, query.new) = (old, new);
        }
    }

    /// How many queries to evaluate together, and the times of the rows they look at.
    fn cluster(
        &self,
        start: usize,
        right: &Input,
        evaluator: &dyn Evaluator,
    ) -> (usize, Range<i64>) {
        if evaluator.needs().whole_keys {
            return (self.queries.len(), EVER);
        }
        let most = self.queries.len().min(start + self.queries_max);
        let rows = right.rows();
        if rows <= self.small_key_rows || matches!(self.asking, Asking::Fixed { always: true, .. })
        {
            return (most, EVER);
        }
        let mut times = evaluator.looks_at(self.queries[start].ts);
        let mut end = start + 1;
        while end < most {
            if self.queries[end].ts != self.queries[end - 1].ts {
                let next = evaluator.looks_at(self.queries[end].ts);
                if next.start > times.end {
                    break;
                }
                times.end = times.end.max(next.end);
            }
            end += 1;
        }
        let looked_at: usize = right.slices.iter().map(|s| within(s, &times).len()).sum();
        if looked_at * 2 >= rows {
            // What lies together is cheaper to hand over than to cut.
            return (end, EVER);
        }
        (end, times)
    }
}

fn push_interval(intervals: &mut Vec<Range<i64>>, interval: Range<i64>) {
    if interval.is_empty() {
        return;
    }
    match intervals.last_mut() {
        Some(last) if last.start <= interval.start && interval.start <= last.end => {
            last.end = last.end.max(interval.end);
        }
        _ => intervals.push(interval),
    }
}
