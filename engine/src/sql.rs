//! Staging queries: the planner's relational tree, run.
//!
//! Joins, sorts, memory and spilling are DataFusion's; what a value is, is the kernel's: expressions are the kernel's
//! programs, and grouping, aggregates, windows and set operations are steps of our own around them, because there Spark's
//! answers are not DataFusion's. Promises: rows in one order that depends on the input only; with a limit of memory,
//! sorts and joins spill to a temporary folder and groups are computed one after the other. Never decides what a query
//! means; never writes a table.

mod aggregate;
mod group;
mod join;
mod key;
mod render;
mod rows;
mod scan;
mod step;
mod window;

use std::sync::Arc;

use arrow_array::RecordBatch;
use datafusion_common::DataFusionError;
use datafusion_execution::TaskContext;
use datafusion_execution::config::SessionConfig;
use datafusion_execution::memory_pool::{FairSpillPool, MemoryPool, UnboundedMemoryPool};
use datafusion_execution::runtime_env::RuntimeEnvBuilder;
use unskewed_connectors::table::Warehouse;
use unskewed_planner::query::tree::Relation;

use crate::bridge::Pull;
use crate::error::EngineError;

/// Rows of a batch, about.
pub(crate) const BATCH_ROWS: usize = 8 * 1024;

/// A query that runs.
pub struct Rows {
    pull: Pull,
    counted: scan::Counted,
}

/// Starts a query over the tables of a warehouse, in about so much memory.
pub fn run(
    relation: &Relation,
    warehouse: &Warehouse,
    memory_bytes: Option<u64>,
) -> Result<Rows, EngineError> {
    let counted = scan::Counted::default();
    let renderer = render::Renderer {
        warehouse,
        bounded: memory_bytes.is_some(),
        counted: &counted,
    };
    let plan = renderer.render(relation).map_err(failed)?;
    let context = task_context(memory_bytes).map_err(failed)?;
    let pull = Pull::start(&plan, &context).map_err(failed)?;
    Ok(Rows { pull, counted })
}

impl Rows {
    /// The next rows, columns as the relation's schema has them; `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, EngineError> {
        self.pull.next().map_err(failed)
    }

    /// Rows read from tables so far.
    pub fn rows_in(&self) -> u64 {
        self.counted.get()
    }
}

fn task_context(memory_bytes: Option<u64>) -> datafusion_common::Result<Arc<TaskContext>> {
    let pool: Arc<dyn MemoryPool> = match memory_bytes {
        Some(bytes) => Arc::new(FairSpillPool::new(
            usize::try_from(bytes).unwrap_or(usize::MAX),
        )),
        None => Arc::new(UnboundedMemoryPool::default()),
    };
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(pool)
        .build_arc()?;
    let mut config = SessionConfig::new()
        .with_batch_size(BATCH_ROWS)
        .with_target_partitions(1);
    if let Some(bytes) = memory_bytes {
        // A merge of spilled runs needs room that the rows themselves must not take.
        let reserve = usize::try_from(bytes / 16).unwrap_or(usize::MAX);
        config = config.with_sort_spill_reservation_bytes(reserve.min(10 << 20));
    }
    let context = TaskContext::default()
        .with_session_config(config)
        .with_runtime(runtime);
    Ok(Arc::new(context))
}

/// An error of ours as it went in, anything else as text.
#[expect(
    clippy::needless_pass_by_value,
    reason = "called where errors are mapped"
)]
fn failed(error: DataFusionError) -> EngineError {
    match error.find_root() {
        DataFusionError::External(inner) => match inner.downcast_ref::<step::Broken>() {
            Some(broken) => broken.take(),
            None => EngineError::Query {
                message: inner.to_string(),
            },
        },
        DataFusionError::ResourcesExhausted(message) => EngineError::Query {
            message: format!("not enough memory, even with spilling: {message}"),
        },
        other => EngineError::Query {
            message: other.strip_backtrace(),
        },
    }
}
