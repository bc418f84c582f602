//! A plan becomes a dataflow: one file per kind of node, walked once, in order.
//!
//! ```text
//! scan ─ project ─ union ─ arrange ─┐            (rows travel as columns; a node's output is a stream,
//! scan ─ project ─┬─ queries ───────┴─ as-of ─┐   an arrangement, or what it leaves in `Shared`)
//!                 └───────────────────────────┴─ assemble ─ project ─ sink
//! ```
//! Promises: every worker builds the same dataflow; types are resolved here and not per row; a failure anywhere is
//! recorded once and stops all. Adds no decision to the plan's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::{RecordBatch, RecordBatchOptions};
use timely::container::NoopBuilder;
use timely::dataflow::operators::Concatenate;
use timely::dataflow::operators::Input;
use timely::dataflow::operators::probe::{Handle, Probe};
use timely::dataflow::{InputHandle, Scope, Stream};
use unskewed_connectors::table::{Split, StagedPartition, TableWrite, WriteOptions};
use unskewed_planner::physical::{DataflowPlan, Node, NodeId, Operator};
use unskewed_planner::schema::Schema;

use crate::arrange::{Arrangement, CHUNK_ROWS};
use crate::error::{EngineError, Failure};
use crate::exchange::{Batch, Epoch};
use crate::meter::Meters;
use crate::run::SAMPLES_MAX;
use crate::stages::Changes;
use crate::stages::facts::LeftFacts;
use crate::stages::project::BadRows;

mod answers;
mod arrange;
mod assemble;
mod encode;
mod evaluator;
mod project;
mod publish;
mod scan;
mod sink;

use assemble::Join;

/// What all workers of a run share.
pub(crate) struct Shared {
    /// The plan.
    pub(crate) plan: DataflowPlan,
    /// For each scan, its splits and the ordinal that the first has in the whole plan.
    pub(crate) reads: BTreeMap<NodeId, Read>,
    /// The worker that reads each split, by its ordinal in the whole plan.
    pub(crate) owners: Arc<[usize]>,
    /// The open write of each sink.
    pub(crate) writes: BTreeMap<NodeId, TableWrite>,
    /// How files are written.
    pub(crate) write_options: WriteOptions,
    /// What was known of the left before.
    pub(crate) left_facts: Vec<LeftFacts>,
    /// The first failure.
    pub(crate) failure: Failure,
    /// Rows and time by node.
    pub(crate) meters: Meters,
    /// What the workers leave behind.
    pub(crate) left_behind: Mutex<LeftBehind>,
    /// Whether epochs go on, so that what was left out is told of each.
    pub(crate) keeps_running: bool,
}

/// The splits of a scan.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) first_ordinal: u64,
    pub(crate) splits: Vec<Split>,
}

/// What the workers of a run leave behind.
#[derive(Debug, Default)]
pub(crate) struct LeftBehind {
    pub(crate) staged: BTreeMap<NodeId, Vec<StagedPartition>>,
    pub(crate) facts: BTreeMap<usize, LeftFacts>,
    pub(crate) bad_rows: BTreeMap<String, BadRows>,
    pub(crate) collected: BTreeMap<String, RecordBatch>,
    pub(crate) published: BTreeMap<String, Vec<RecordBatch>>,
}

impl Shared {
    /// What the workers left behind so far.
    pub(crate) fn left_behind(&self) -> MutexGuard<'_, LeftBehind> {
        self.left_behind
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn schema(&self, id: NodeId) -> &Schema {
        &self.plan.node(id).schema
    }

    /// Adds rows that a node left out, by reason.
    fn report(&self, bad_rows: &BTreeMap<String, BadRows>) {
        let mut left_behind = self.left_behind();
        for (reason, bad) in bad_rows {
            let all = left_behind.bad_rows.entry(reason.clone()).or_default();
            all.count += bad.count;
            all.samples.extend(bad.samples.iter().cloned());
            all.samples.sort();
            all.samples.truncate(SAMPLES_MAX);
        }
    }
}

/// A node's output.
#[derive(Clone)]
enum Rendered<'scope> {
    /// Rows, or answers.
    Rows(Stream<'scope, Epoch, Batch>),
    /// Rows by key and time, kept.
    Arranged(Arrangement<'scope, CHUNK_ROWS>),
    /// Nothing that another node reads.
    Nothing,
}

/// Where rows of topics go in, by receiver.
pub(crate) type Doors = BTreeMap<NodeId, InputHandle<Epoch, NoopBuilder<Batch>>>;

/// The outputs of the nodes so far.
struct Outputs<'scope>(Vec<Rendered<'scope>>);

impl<'scope> Outputs<'scope> {
    fn rows(&self, id: NodeId) -> Result<Stream<'scope, Epoch, Batch>, EngineError> {
        match self.0.get(id.0) {
            Some(Rendered::Rows(rows)) => Ok(rows.clone()),
            _ => Err(malformed(id, "rows")),
        }
    }

    fn arranged(&self, id: NodeId) -> Result<Arrangement<'scope, CHUNK_ROWS>, EngineError> {
        match self.0.get(id.0) {
            Some(Rendered::Arranged(arranged)) => Ok(arranged.clone()),
            _ => Err(malformed(id, "an arrangement")),
        }
    }
}

fn malformed(id: NodeId, wanted: &'static str) -> EngineError {
    EngineError::Plan { node: id.0, wanted }
}

/// Builds the dataflow of a plan on one worker. The probe is behind all that is handed on.
pub(crate) fn build(
    scope: Scope<'_, Epoch>,
    shared: &Arc<Shared>,
    probe: &mut Handle<Epoch>,
) -> Result<Doors, EngineError> {
    let mut outputs = Outputs(Vec::with_capacity(shared.plan.nodes.len()));
    let mut doors = Doors::new();
    for node in &shared.plan.nodes {
        let rendered = match &node.operator {
            Operator::Receive(_) => {
                let mut door = InputHandle::new_with_builder();
                let rows = scope.input_from(&mut door);
                doors.insert(node.id, door);
                Rendered::Rows(rows)
            }
            Operator::Publish { input } => {
                publish::publish(outputs.rows(*input)?, shared, node).probe_with(probe);
                Rendered::Nothing
            }
            _ => build_node(scope, shared, node, &outputs)?,
        };
        outputs.0.push(rendered);
    }
    Ok(doors)
}

fn build_node<'scope>(
    scope: Scope<'scope, Epoch>,
    shared: &Arc<Shared>,
    node: &Node,
    outputs: &Outputs<'scope>,
) -> Result<Rendered<'scope>, EngineError> {
    Ok(match &node.operator {
        Operator::Scan(scan) => Rendered::Rows(scan::scan(scope, shared, node, scan)),
        Operator::Project(project) => {
            let input = outputs.rows(project.input)?;
            Rendered::Rows(project::project(input, shared, node, project)?)
        }
        Operator::Union { inputs } => {
            let inputs = inputs.iter().map(|i| outputs.rows(*i));
            let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
            Rendered::Rows(scope.concatenate(inputs))
        }
        Operator::Arrange(arrange) => {
            let input = outputs.rows(arrange.input)?;
            Rendered::Arranged(arrange::arrange_rows(input, shared, node, arrange))
        }
        Operator::Queries(queries) => {
            let left = outputs.rows(queries.left)?;
            Rendered::Arranged(arrange::arrange_queries(left, shared, node, queries)?)
        }
        Operator::AsOf(as_of) => {
            let (right, queries) = (
                outputs.arranged(as_of.right)?,
                outputs.arranged(as_of.queries)?,
            );
            Rendered::Rows(answers::as_of(right, queries, shared, node, as_of)?)
        }
        Operator::Snapshots(snapshots) => {
            let right = outputs.arranged(snapshots.right)?;
            Rendered::Rows(answers::snapshots(right, shared, node, snapshots)?)
        }
        Operator::Attach(attach) => {
            let join = Join {
                left: attach.left,
                parts: &[attach.answers],
                columns: &attach.columns,
                inner: true,
            };
            join_left(&join, outputs, shared, node)?
        }
        Operator::Assemble(assemble) => {
            let join = Join {
                left: assemble.left,
                parts: &assemble.parts,
                columns: &assemble.columns,
                inner: false,
            };
            join_left(&join, outputs, shared, node)?
        }
        Operator::Encode(encode) => {
            let input = outputs.rows(encode.input)?;
            Rendered::Rows(encode::encode(input, shared, node, encode))
        }
        Operator::Facts(facts) => {
            sink::facts(outputs.rows(facts.input)?, shared, node, facts);
            Rendered::Nothing
        }
        Operator::Sink(sink) => {
            sink::sink(outputs.rows(sink.input)?, shared, node, sink);
            Rendered::Nothing
        }
        Operator::Collect(collect) => {
            sink::collect(outputs.rows(collect.input)?, shared, node, collect);
            Rendered::Nothing
        }
        Operator::Receive(_) | Operator::Publish { .. } => {
            return Err(malformed(node.id, "rows that end"));
        }
    })
}

fn join_left<'scope>(
    join: &Join<'_>,
    outputs: &Outputs<'scope>,
    shared: &Arc<Shared>,
    node: &Node,
) -> Result<Rendered<'scope>, EngineError> {
    let answers = join.parts.iter().map(|p| outputs.rows(*p));
    let answers = answers.collect::<Result<Vec<_>, _>>()?;
    let left = outputs.rows(join.left)?;
    Ok(Rendered::Rows(assemble::assemble(
        join, left, answers, shared, node,
    )?))
}

/// The operator's name in timely's eyes: the node's.
fn name_of(node: &Node) -> String {
    format!("n{} {} {}", node.id.0, node.operator.name(), node.label)
}

impl Batch {
    fn from_changes(epoch: Epoch, changes: Changes) -> Self {
        Self {
            position: changes.position,
            columns: changes.columns,
            diff: changes.diff,
            time: crate::rle::Rle::Constant(epoch),
            ..Self::default()
        }
    }

    fn into_changes(self) -> Changes {
        Changes {
            position: self.position,
            diff: self.diff,
            columns: self.columns,
        }
    }

    fn to_record_batch(
        &self,
        schema: &arrow_schema::SchemaRef,
    ) -> Result<RecordBatch, EngineError> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.len()));
        let columns = self.columns.clone();
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(schema),
            columns,
            &options,
        )?)
    }
}
