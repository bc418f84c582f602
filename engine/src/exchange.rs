//! What workers send each other, and who gets it.
//!
//! One container serves every edge: right rows, queries and answers are all columns of rows with a key, a time, a
//! position and a payload. Promises: rows of one key meet on one worker, answers meet the left rows they belong to,
//! and splitting a container among workers touches each column once. Never looks at a payload.

use std::collections::BTreeMap;
use std::fmt;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, UInt32Array};
use timely::communication::Push;
use timely::dataflow::channels::Message;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::progress::Stamp;

use crate::columns::take_rows;
use crate::rle::Rle;

mod wire;

/// One round of input: the timestamp of the dataflow. Event time is data.
pub type Epoch = u64;

/// Rows on an edge of the dataflow, column by column. All columns are equally long, but that rows which have not been
/// given a key and a time yet have none.
#[derive(Clone)]
pub struct Batch {
    /// Identity of each row's key, or nothing.
    pub key: Vec<u128>,
    /// Sort time of each row in milliseconds, or nothing.
    pub ts: Vec<i64>,
    /// Source position of each row; it decides the payload, and ties.
    pub position: Vec<u64>,
    /// The payload.
    pub columns: Vec<ArrayRef>,
    /// The epoch of each change.
    pub time: Rle<Epoch>,
    /// How many of each row are added, or taken away when negative.
    pub diff: Rle<i64>,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            key: Vec::new(),
            ts: Vec::new(),
            position: Vec::new(),
            columns: Vec::new(),
            time: Rle::Constant(0),
            diff: Rle::Constant(1),
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("rows", &self.len())
            .field("columns", &self.columns.len())
            .field("time", &self.time)
            .field("diff", &self.diff)
            .finish_non_exhaustive()
    }
}

impl Batch {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.position.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.position.is_empty()
    }

    /// Whether rows have keys and times.
    pub fn is_keyed(&self) -> bool {
        !self.ts.is_empty()
    }

    /// The rows of each epoch.
    pub(crate) fn by_epoch(self) -> Vec<(Epoch, Self)> {
        if let Some(time) = self.time.constant() {
            return vec![(time, self)];
        }
        let mut rows: BTreeMap<Epoch, Vec<u32>> = BTreeMap::new();
        for row in 0..self.len() {
            rows.entry(self.time.get(row)).or_default().push(row as u32);
        }
        let of_epoch = |(time, rows)| {
            let mut batch = self.take(rows);
            batch.time = Rle::Constant(time);
            (time, batch)
        };
        rows.into_iter().map(of_epoch).collect()
    }

    /// Memory of the rows.
    pub fn bytes(&self) -> usize {
        let payload: usize = self.columns.iter().map(|c| c.get_array_memory_size()).sum();
        self.len() * 32 + payload + self.time.bytes() + self.diff.bytes()
    }

    /// The given rows, in the given order.
    #[must_use]
    pub fn take(&self, rows: Vec<u32>) -> Self {
        let at = |r: &u32| *r as usize;
        let (time, diff) = (self.time.take(&rows), self.diff.take(&rows));
        let (mut key, mut ts) = (Vec::new(), Vec::new());
        if self.is_keyed() {
            key = rows.iter().map(|r| self.key[at(r)]).collect();
            ts = rows.iter().map(|r| self.ts[at(r)]).collect();
        }
        let position = rows.iter().map(|r| self.position[at(r)]).collect();
        let columns = take_rows(&self.columns, &UInt32Array::from(rows))
            .expect("a batch holds at most two gigabytes of one column");
        Self {
            key,
            ts,
            position,
            columns,
            time,
            diff,
        }
    }

    /// Consecutive rows; the payload is not copied.
    #[must_use]
    pub fn slice(&self, rows: std::ops::Range<usize>) -> Self {
        let column = |c: &ArrayRef| c.slice(rows.start, rows.len());
        let keyed = if self.is_keyed() { rows.clone() } else { 0..0 };
        Self {
            key: self.key[keyed.clone()].to_vec(),
            ts: self.ts[keyed].to_vec(),
            position: self.position[rows.clone()].to_vec(),
            columns: self.columns.iter().map(column).collect(),
            time: self.time.slice(rows.clone()),
            diff: self.diff.slice(rows),
        }
    }
}

impl timely::Accountable for Batch {
    fn record_count(&self) -> i64 {
        self.len() as i64
    }
}

/// By what rows are routed to workers.
#[derive(Clone, Debug)]
pub enum Route {
    /// By key: the low bits of the upper half of its identity.
    Key,
    /// By the owner of the split that the row's position lies in; entry `s` is the owner of split `s`, and splits past
    /// the end go round the workers.
    Split(std::sync::Arc<[usize]>),
    /// By the value of a text column, which names a partition.
    Partition(usize),
    /// All to one worker.
    Together,
}

/// The worker, of `peers`, that owns a partition: days go round, other values by their hash.
pub fn owner_of_partition(value: &str, peers: usize) -> usize {
    let number = match value.parse::<unskewed_planner::time::Partition>() {
        Ok(partition) => i64::from(partition.day).rem_euclid(peers as i64) as u64,
        // FNV-1a; any fixed hash would do.
        Err(_) => value
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            }),
    };
    (number % peers as u64) as usize
}

/// Rows within a split take this many low bits of a position; the split's ordinal takes the rest.
pub const SPLIT_SHIFT: u32 = 40;

/// Splits containers among workers, a column at a time.
#[derive(Debug)]
pub struct Distribute {
    route: Route,
    rows: Vec<Vec<u32>>,
}

impl Distribute {
    /// A distributor for this many workers.
    pub fn new(route: Route, peers: usize) -> Self {
        Self {
            route,
            rows: vec![Vec::new(); peers],
        }
    }

    /// Sorts out which rows go to which worker.
    fn split(&mut self, batch: &Batch) {
        let peers = self.rows.len();
        for rows in &mut self.rows {
            rows.clear();
        }
        match &self.route {
            Route::Key => {
                for (row, key) in batch.key.iter().enumerate() {
                    let worker = ((key >> 64) as u64 % peers as u64) as usize;
                    self.rows[worker].push(row as u32);
                }
            }
            Route::Split(owners) => {
                for (row, position) in batch.position.iter().enumerate() {
                    let split = (position >> SPLIT_SHIFT) as usize;
                    let owner = owners.get(split).copied().unwrap_or(split);
                    self.rows[owner % peers].push(row as u32);
                }
            }
            Route::Partition(column) => {
                let values = batch.columns[*column].as_string::<i32>();
                // Rows of a partition mostly come together.
                let mut last = ("", owner_of_partition("", peers));
                for row in 0..batch.len() {
                    let value = if values.is_valid(row) {
                        values.value(row)
                    } else {
                        ""
                    };
                    if value != last.0 {
                        last = (value, owner_of_partition(value, peers));
                    }
                    self.rows[last.1].push(row as u32);
                }
            }
            Route::Together => self.rows[0].extend(0..batch.len() as u32),
        }
    }
}

impl Distributor<Batch> for Distribute {
    fn partition<T: Clone, P: Push<Message<T, Batch>>>(
        &mut self,
        batch: &mut Batch,
        stamp: &Stamp<T>,
        pushers: &mut [P],
    ) {
        let mut batch = std::mem::take(batch);
        self.split(&batch);
        for (rows, pusher) in self.rows.iter_mut().zip(pushers) {
            if rows.len() == batch.len() && !batch.is_empty() {
                Message::push_at(&mut batch, stamp.clone(), pusher);
                return;
            }
            if !rows.is_empty() {
                let mut part = batch.take(std::mem::take(rows));
                Message::push_at(&mut part, stamp.clone(), pusher);
            }
        }
    }

    fn flush<T: Clone, P: Push<Message<T, Batch>>>(&mut self, _: &Stamp<T>, _: &mut [P]) {
        // Nothing is held back: containers are as large as their makers saw fit.
    }
}

#[cfg(test)]
mod tests;
