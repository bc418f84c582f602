//! Everything that can go wrong while a plan runs, and how a failure on one worker stops all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use unskewed_kernel::error::KernelError;

/// A failure of a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The kernel could not compute an answer.
    #[error("could not compute a value")]
    Kernel(#[from] KernelError),
    /// Arrow refused columns.
    #[error("could not move columns")]
    Arrow(#[from] arrow_schema::ArrowError),
    /// The outside failed.
    #[error(transparent)]
    Connectors(#[from] unskewed_connectors::error::Error),
    /// A row lacks a value that the job cannot do without.
    #[error("{place}: column {column} is null in row ({sample})")]
    NullValue {
        /// The part of the definition.
        place: String,
        /// The column.
        column: String,
        /// The row, shortened.
        sample: String,
    },
    /// A row refers to something that the definition no longer has.
    #[error(
        "{place}: {column} holds {entry:?}, which nothing in the definition is called any more, in row ({sample})"
    )]
    UnknownEntry {
        /// The part of the definition.
        place: String,
        /// The column.
        column: String,
        /// What it holds.
        entry: String,
        /// The row, shortened.
        sample: String,
    },
    /// A plan whose nodes do not fit together.
    #[error("node {node} of the plan does not give {wanted}")]
    Plan {
        /// The node's position.
        node: usize,
        /// What another node, or the run, wants of it.
        wanted: &'static str,
    },
    /// The workers could not be started.
    #[error("could not start {workers} workers: {message}")]
    Start {
        /// How many.
        workers: usize,
        /// Why.
        message: String,
    },
    /// A staging query could not be run.
    #[error("the query failed: {message}")]
    Query {
        /// Why.
        message: String,
    },
    /// A worker stopped on a broken assumption.
    #[error("a worker stopped: {message}")]
    Worker {
        /// What the worker said.
        message: String,
    },
}

/// The first failure of any worker; all workers look at it and stop.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    failed: Arc<AtomicBool>,
    first: Arc<Mutex<Option<EngineError>>>,
}

impl Failure {
    /// Records a failure; only the first is kept.
    pub fn record(&self, error: EngineError) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
        self.failed.store(true, Ordering::Release);
    }

    /// Whether anything has failed.
    pub fn is_set(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// The failure, if there was one.
    pub fn take(&self) -> Option<EngineError> {
        self.first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
