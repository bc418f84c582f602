//! A worker of a plan that keeps running: takes in rows, and says when an epoch is through.
//!
//! Promises: it ends when nobody can tell it anything any more, or when any worker failed; a panic is recorded as the
//! failure.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use timely::dataflow::operators::probe::Handle;
use timely::worker::Worker;
use unskewed_planner::physical::NodeId;

use crate::error::EngineError;
use crate::exchange::{Batch, Epoch};
use crate::render::{Doors, Shared, build};
use crate::run::PanicWatch;

/// How long an idle worker sleeps before it looks around.
const PARK: Duration = Duration::from_millis(20);

/// What a worker is told.
pub(super) enum Command {
    /// Rows for a receiver, in the open epoch.
    Feed(NodeId, Batch),
    /// All epochs before this one are complete.
    CloseUntil(Epoch),
}

/// Runs until there is nothing to be told, or something has failed.
pub(super) fn run(
    worker: &mut Worker,
    shared: &Arc<Shared>,
    commands: &Receiver<Command>,
    done: &Sender<()>,
) {
    let failure = shared.failure.clone();
    let _watch = PanicWatch(failure.clone());
    let mut probe = Handle::new();
    let doors = worker.dataflow::<Epoch, _, _>(|scope| build(scope, shared, &mut probe));
    let mut doors = doors.unwrap_or_else(|error| {
        failure.record(error);
        Doors::default()
    });
    while !failure.is_set() {
        match commands.recv_timeout(PARK) {
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => _ = worker.step(),
            Ok(Command::Feed(receiver, mut batch)) => match doors.get_mut(&receiver) {
                Some(door) => {
                    door.send_batch(&mut batch);
                    worker.step();
                }
                None => failure.record(EngineError::Plan {
                    node: receiver.0,
                    wanted: "a receiver",
                }),
            },
            Ok(Command::CloseUntil(epoch)) => {
                doors.values_mut().for_each(|door| door.advance_to(epoch));
                while probe.less_than(&epoch) && !failure.is_set() {
                    worker.step_or_park(Some(PARK));
                }
                if done.send(()).is_err() {
                    break;
                }
            }
        }
    }
    drop(doors);
    for dataflow in worker.installed_dataflows() {
        worker.drop_dataflow(dataflow);
    }
}
