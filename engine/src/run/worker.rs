//! The workers of a run: started together, stopped together.
//!
//! Promises: a failure recorded anywhere, a panic included, ends every worker within a moment, and the first is what
//! the caller gets; no worker waits for one that has gone.

use std::sync::Arc;
use std::time::Duration;

use timely::CommunicationConfig;
use timely::WorkerConfig;
use timely::dataflow::operators::probe::Handle;

use crate::error::{EngineError, Failure};
use crate::render::{Shared, build};

/// How long an idle worker sleeps before it looks for failures again.
const PARK: Duration = Duration::from_millis(20);

/// Records a panic of its worker when it is dropped by one.
pub(crate) struct PanicWatch(pub(crate) Failure);

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let message = "it panicked; standard error says where".into();
            self.0.record(EngineError::Worker { message });
        }
    }
}

/// The configuration of this many workers in one process.
pub(crate) fn config(workers: usize) -> timely::Config {
    timely::Config {
        communication: match workers {
            1 => CommunicationConfig::Thread,
            _ => CommunicationConfig::Process(workers),
        },
        worker: WorkerConfig::default(),
    }
}

/// Runs the plan on this many workers to its end.
pub(super) fn run(shared: &Arc<Shared>, workers: usize) -> Result<(), EngineError> {
    let of_workers = Arc::clone(shared);
    let guards = timely::execute(config(workers), move |worker| {
        let shared = Arc::clone(&of_workers);
        let failure = shared.failure.clone();
        let _watch = PanicWatch(failure.clone());
        worker.dataflow::<u64, _, _>(|scope| match build(scope, &shared, &mut Handle::new()) {
            Ok(doors) => {
                if let Some(receiver) = doors.keys().next() {
                    let (node, wanted) = (receiver.0, "rows that end");
                    failure.record(EngineError::Plan { node, wanted });
                }
            }
            Err(error) => failure.record(error),
        });
        drop(shared);
        while worker.has_dataflows() && !failure.is_set() {
            worker.step_or_park(Some(PARK));
        }
        for dataflow in worker.installed_dataflows() {
            worker.drop_dataflow(dataflow);
        }
    });
    let guards = guards.map_err(|message| EngineError::Start { workers, message })?;
    let mut panicked = None;
    for joined in guards.join() {
        if let Err(message) = joined {
            panicked = Some(EngineError::Worker { message });
        }
    }
    match shared.failure.take().or(panicked) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
