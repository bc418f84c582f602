//! The one place of the engine that knows an asynchronous runtime: it drives a stream from plain code.
//!
//! Never seen by callers: they pull batches one after the other.

use std::sync::Arc;

use datafusion_common::Result;
use datafusion_execution::SendableRecordBatchStream;
use datafusion_execution::TaskContext;
use datafusion_physical_plan::ExecutionPlan;
use futures::StreamExt;
use tokio::runtime::{Builder, Runtime};

/// A running plan, pulled batch by batch.
pub(crate) struct Pull {
    stream: SendableRecordBatchStream,
    // Dropped last: the stream's tasks live in it.
    runtime: Runtime,
}

impl Pull {
    /// Starts the only partition of a plan.
    pub(crate) fn start(plan: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("unskewed-sql")
            .build()?;
        let stream = {
            let _inside = runtime.enter();
            plan.execute(0, Arc::clone(context))?
        };
        Ok(Self { stream, runtime })
    }

    /// The next rows; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<arrow_array::RecordBatch>> {
        self.runtime.block_on(self.stream.next()).transpose()
    }
}
