//! A plan that keeps running: rows of topics go in epoch by epoch, and what changed comes out.
//!
//! ```text
//! feed(receiver, rows) … close() → rows that each node hands on, as they are after the epoch
//! ```
//! Promises: the dataflow is the one that a run to the end would have, so its answers are the same; what [`Live::close`]
//! gives depends on the rows fed so far only, not on workers or on how rows were cut into epochs; the first failure of
//! any worker is what the caller gets, and nothing comes after it. Knows no source, no store and no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use arrow_array::cast::AsArray;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use timely::communication::WorkerGuards;
use unskewed_connectors::clock::SystemClock;
use unskewed_connectors::table::WriteOptions;
use unskewed_planner::physical::{DataflowPlan, NodeId};

use crate::error::{EngineError, Failure};
use crate::exchange::{Batch, Epoch, SPLIT_SHIFT};
use crate::meter::Meters;
use crate::render::Shared;
use crate::run::config;
use crate::stages::project::BadRows;

mod worker;

use worker::Command;

/// What an epoch brought about.
#[derive(Debug, Default)]
pub struct Closed {
    /// Rows that nodes publish, by their labels: each that changed, as it is now.
    pub published: BTreeMap<String, Vec<RecordBatch>>,
    /// Rows left out in this epoch, by reason.
    pub bad_rows: BTreeMap<String, BadRows>,
}

impl Closed {
    /// The published rows whose key, in this binary column, another epoch did not publish.
    pub fn without(&self, later: &Self, key: &str) -> Result<Self, EngineError> {
        let keys = |rows: &RecordBatch| {
            let column = rows.column_by_name(key);
            let column = column.and_then(|column| column.as_binary_opt::<i32>().cloned());
            column.ok_or_else(|| EngineError::Worker {
                message: format!("no key {key} is published"),
            })
        };
        let mut rest = Self::default();
        for (label, batches) in &self.published {
            let mut known = BTreeSet::new();
            for rows in later.published.get(label).into_iter().flatten() {
                known.extend(keys(rows)?.iter().flatten().map(<[u8]>::to_vec));
            }
            let rest = rest.published.entry(label.clone()).or_default();
            for rows in batches {
                let is_new = |key: Option<&[u8]>| key.map(|key| !known.contains(key));
                let mask: BooleanArray = keys(rows)?.iter().map(is_new).collect();
                rest.push(filter_record_batch(rows, &mask)?);
            }
        }
        Ok(rest)
    }
}

/// Rows of one partition of a topic.
#[derive(Clone, Debug)]
pub struct Fed {
    /// The node that receives them.
    pub receiver: NodeId,
    /// The number of the partition; no other has it, and it keeps it.
    pub partition: u64,
    /// The place of each row in its partition, ascending.
    pub places: Vec<u64>,
    /// The rows, of the receiver's columns.
    pub rows: RecordBatch,
}

/// A plan running.
pub struct Live {
    shared: Arc<Shared>,
    commands: Vec<Sender<Command>>,
    done: Receiver<()>,
    epoch: Epoch,
    guards: Option<WorkerGuards<()>>,
}

impl Live {
    /// Starts the workers.
    pub fn start(plan: &DataflowPlan, workers: usize) -> Result<Self, EngineError> {
        let workers = workers.max(1);
        let clock = Arc::new(SystemClock::new());
        let shared = Arc::new(Shared {
            plan: plan.clone(),
            reads: BTreeMap::new(),
            owners: Arc::from([]),
            writes: BTreeMap::new(),
            write_options: WriteOptions::default(),
            left_facts: Vec::new(),
            failure: Failure::default(),
            meters: Meters::new(clock, plan.nodes.len()),
            left_behind: Mutex::default(),
            keeps_running: true,
        });
        let (commands, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel()).unzip();
        let (done_sender, done) = channel();
        let receivers = Mutex::new(receivers.into_iter().map(Some).collect::<Vec<_>>());
        let of_workers = Arc::clone(&shared);
        let done_sender = Mutex::new(done_sender);
        let guards = timely::execute(config(workers), move |worker| {
            let mine = receivers
                .lock()
                .ok()
                .and_then(|mut all| all[worker.index()].take());
            let told = done_sender.lock().ok().map(|sender| sender.clone());
            if let (Some(commands), Some(done)) = (mine, told) {
                worker::run(worker, &of_workers, &commands, &done);
            }
        });
        let guards = guards.map_err(|message| EngineError::Start { workers, message })?;
        Ok(Self {
            shared,
            commands,
            done,
            epoch: 0,
            guards: Some(guards),
        })
    }

    /// Adds rows to the open epoch.
    pub fn feed(&mut self, fed: &Fed) -> Result<(), EngineError> {
        // A partition's rows are all with one worker, in order.
        let worker = (fed.partition % self.commands.len() as u64) as usize;
        let number = |place: &u64| fed.partition << SPLIT_SHIFT | place;
        let batch = Batch {
            position: fed.places.iter().map(number).collect(),
            columns: fed.rows.columns().to_vec(),
            time: crate::rle::Rle::Constant(self.epoch),
            ..Batch::default()
        };
        let command = Command::Feed(fed.receiver, batch);
        self.commands[worker]
            .send(command)
            .map_err(|_| self.failed())
    }

    /// Closes the open epoch, opens the next, and says what the closed one changed.
    pub fn close(&mut self) -> Result<Closed, EngineError> {
        self.epoch += 1;
        for worker in &self.commands {
            let sent = worker.send(Command::CloseUntil(self.epoch));
            sent.map_err(|_| self.failed())?;
        }
        for _ in &self.commands {
            self.done.recv().map_err(|_| self.failed())?;
        }
        if self.shared.failure.is_set() {
            return Err(self.failed());
        }
        let mut left_behind = self.shared.left_behind();
        Ok(Closed {
            published: std::mem::take(&mut left_behind.published),
            bad_rows: std::mem::take(&mut left_behind.bad_rows),
        })
    }

    fn failed(&self) -> EngineError {
        self.shared
            .failure
            .take()
            .unwrap_or_else(|| EngineError::Worker {
                message: "it ended".into(),
            })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Without commands to come the workers end.
        self.commands.clear();
        if let Some(guards) = self.guards.take() {
            drop(guards.join());
        }
    }
}
