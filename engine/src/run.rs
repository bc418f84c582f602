//! One plan, run to its end: what goes in and what comes out.
//!
//! Promises: a run stages partitions and makes nothing visible; the first failure of any worker stops all of them and
//! is what the caller gets; what is staged does not depend on the number of workers. Never decides what the plan left
//! open.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow_array::RecordBatch;
use unskewed_connectors::clock::SystemClock;
use unskewed_connectors::table::{
    Selection, Split, StagedPartition, TableWrite, Warehouse, WriteOptions,
};
use unskewed_planner::expr::Literal;
use unskewed_planner::physical::{Comparison, DataflowPlan, DayFilter, NodeId, Operator, Scan};
use unskewed_planner::schema::Schema;

use crate::error::{EngineError, Failure};
use crate::exchange::owner_of_partition;
use crate::meter::{Meters, NodeCount};
use crate::render::{Read, Shared};
use crate::stages::facts::LeftFacts;
use crate::stages::project::BadRows;

mod worker;

pub(crate) use worker::{PanicWatch, config};

/// Bad rows kept as samples of each reason.
pub(crate) const SAMPLES_MAX: usize = 3;

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The plan.
    pub plan: &'a DataflowPlan,
    /// The tables.
    pub warehouse: &'a Warehouse,
    /// Worker threads.
    pub workers: usize,
    /// Memory to stay under.
    pub memory_bytes: Option<u64>,
    /// What an earlier run found about the left, by the numbers of its facts.
    pub left_facts: &'a [LeftFacts],
}

/// What came of it.
#[derive(Debug, Default)]
pub struct RunOutput {
    /// The facts that the plan asks for, by their numbers.
    pub facts: BTreeMap<usize, LeftFacts>,
    /// The staged partitions of each sink.
    pub written: Vec<SinkOutput>,
    /// Rows read.
    pub rows_in: u64,
    /// Rows left out, by reason.
    pub bad_rows: BTreeMap<String, BadRows>,
    /// The rows of each node that hands them on, under its label; without rows there is no entry.
    pub collected: BTreeMap<String, RecordBatch>,
    /// What each node of the plan did.
    pub nodes: Vec<NodeCount>,
}

/// The staged partitions of a sink; nothing is visible before `write.commit(staged)`.
#[derive(Debug)]
pub struct SinkOutput {
    /// The table.
    pub table: String,
    /// The columns written.
    pub schema: Schema,
    /// The write that staged them.
    pub write: TableWrite,
    /// The partitions.
    pub staged: Vec<StagedPartition>,
}

/// How far a run has come; shared with whoever shows it.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    meters: Arc<OnceLock<Meters>>,
}

impl Progress {
    /// What each node of the plan did so far; nothing before the run has begun.
    pub fn nodes(&self) -> Vec<NodeCount> {
        self.meters.get().map(Meters::counts).unwrap_or_default()
    }
}

/// Runs a plan.
pub fn run(run: &Run<'_>) -> Result<RunOutput, EngineError> {
    run_watched(run, &Progress::default())
}

/// As [`run`], telling how far it has come.
pub fn run_watched(run: &Run<'_>, progress: &Progress) -> Result<RunOutput, EngineError> {
    let workers = run.workers.max(1);
    let (reads, owners) = shares(run, workers)?;
    let mut writes = BTreeMap::new();
    for node in &run.plan.nodes {
        if let Operator::Sink(sink) = &node.operator {
            writes.insert(
                node.id,
                run.warehouse.table(&sink.table.name)?.begin_write()?,
            );
        }
    }
    let clock = Arc::new(SystemClock::new());
    let shared = Arc::new(Shared {
        plan: run.plan.clone(),
        reads,
        owners,
        writes,
        write_options: WriteOptions::default(),
        left_facts: run.left_facts.to_vec(),
        failure: Failure::default(),
        meters: Meters::new(clock, run.plan.nodes.len()),
        left_behind: Mutex::default(),
        keeps_running: false,
    });
    // A second run with the same handle shows the first only; that is the caller's choice.
    progress.meters.set(shared.meters.clone()).ok();
    worker::run(&shared, workers)?;
    let shared = Arc::into_inner(shared).ok_or_else(|| EngineError::Worker {
        message: "it did not end".into(),
    })?;
    Ok(collected(shared))
}

/// What the workers left behind, as the caller gets it.
fn collected(shared: Shared) -> RunOutput {
    let Shared {
        plan,
        mut writes,
        left_behind,
        meters,
        ..
    } = shared;
    let mut left_behind = left_behind
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let nodes = meters.counts();
    log_nodes(&plan, &nodes);
    let mut output = RunOutput {
        facts: left_behind.facts,
        collected: left_behind.collected,
        ..RunOutput::default()
    };
    for node in &plan.nodes {
        match &node.operator {
            Operator::Scan(_) => output.rows_in += nodes[node.id.0].rows,
            Operator::Sink(sink) => {
                let Some(write) = writes.remove(&node.id) else {
                    continue;
                };
                let mut staged = left_behind.staged.remove(&node.id).unwrap_or_default();
                staged.sort_by(|a, b| a.partition.cmp(&b.partition));
                let (table, schema) = (sink.table.name.clone(), node.schema.clone());
                output.written.push(SinkOutput {
                    table,
                    schema,
                    write,
                    staged,
                });
            }
            _ => {}
        }
    }
    for (reason, mut bad) in left_behind.bad_rows {
        bad.samples.truncate(SAMPLES_MAX);
        output.bad_rows.insert(reason, bad);
    }
    output.nodes = nodes;
    output
}

/// Where the time went, for whoever asks for the log.
fn log_nodes(plan: &DataflowPlan, counts: &[NodeCount]) {
    for (node, count) in plan.nodes.iter().zip(counts) {
        let busy_millis = count.busy_nanos / 1_000_000;
        let (name, rows, bytes) = (node.operator.name(), count.rows, count.bytes);
        let label = node.label.as_str();
        tracing::info!(node = node.id.0, busy_millis, rows, bytes, "{name} {label}");
    }
}

/// The splits of every scan, and the worker that reads each split, by its ordinal.
type Shares = (BTreeMap<NodeId, Read>, Arc<[usize]>);

/// The splits of every scan, and which worker reads each. Ordinals go through the whole plan, so that no two rows have
/// one position. Days of the left go round the workers, as the partitions written do: so left rows mostly stay where
/// they are read. Other splits go to the worker with the fewest rows so far.
fn shares(run: &Run<'_>, workers: usize) -> Result<Shares, EngineError> {
    let lefts = lefts(run.plan);
    let (mut reads, mut owners) = (BTreeMap::new(), Vec::new());
    for node in &run.plan.nodes {
        let Operator::Scan(scan) = &node.operator else {
            continue;
        };
        let mut splits = splits(run.warehouse, scan)?;
        splits.retain(|split| may_hold(split, scan, &node.schema));
        let day_column = scan.days.as_ref().map(|d| d.column.as_str());
        let is_left = lefts.contains(&node.id);
        let first_ordinal = owners.len() as u64;
        let mut rows = vec![0; workers];
        for split in &splits {
            let day = day_column
                .filter(|_| is_left)
                .and_then(|c| split.partition.value(c));
            let owner = match day {
                Some(day) => owner_of_partition(day, workers),
                None => (0..workers).min_by_key(|w| rows[*w]).unwrap_or(0),
            };
            rows[owner] += split.rows + 1;
            owners.push(owner);
        }
        reads.insert(
            node.id,
            Read {
                first_ordinal,
                splits,
            },
        );
    }
    Ok((reads, owners.into()))
}

/// The nodes that left rows come through.
fn lefts(plan: &DataflowPlan) -> BTreeSet<NodeId> {
    let left_of = |operator: &Operator| match operator {
        Operator::Queries(queries) => Some(queries.left),
        Operator::Assemble(assemble) => Some(assemble.left),
        Operator::Attach(attach) => Some(attach.left),
        _ => None,
    };
    let mut lefts: BTreeSet<NodeId> = plan
        .nodes
        .iter()
        .filter_map(|n| left_of(&n.operator))
        .collect();
    // Inputs come before their users, so one walk back finds all.
    for node in plan.nodes.iter().rev() {
        let is_flat = matches!(node.operator, Operator::Project(_) | Operator::Union { .. });
        if is_flat && lefts.contains(&node.id) {
            lefts.extend(node.operator.inputs());
        }
    }
    lefts
}

/// Whether a split's partition may hold rows that the scan wants: a sub-partition of another value holds none.
fn may_hold(split: &Split, scan: &Scan, schema: &Schema) -> bool {
    scan.skip.iter().all(|predicate| {
        let column = &schema.fields[predicate.column].name;
        match (split.partition.value(column), &predicate.literal) {
            (Some(value), Literal::String(wanted)) => {
                predicate.comparison != Comparison::Equal || value == wanted
            }
            _ => true,
        }
    })
}

fn splits(warehouse: &Warehouse, scan: &Scan) -> Result<Vec<Split>, EngineError> {
    let selection = match &scan.days {
        None => Selection::all(),
        Some(DayFilter { range: None, .. }) => return Ok(Vec::new()),
        Some(DayFilter {
            column,
            range: Some(range),
        }) => {
            let (start, end) = (range.start.to_string(), range.end.to_string());
            Selection::all().between(column, Some(&start), Some(&end))
        }
    };
    Ok(warehouse.table(&scan.table)?.splits(&selection)?)
}

#[cfg(test)]
mod tests;
