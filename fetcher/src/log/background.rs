//! A log that is written behind the requests' back, on a thread of its own.
//!
//! Promises: a request never waits for the log: what its writer cannot keep up with is left out, counted and told. What
//! was taken is handed to the writer before the log is gone.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use metrics::counter;
use unskewed_connectors::error::Result;
use unskewed_connectors::spawn::{self, Joined};

use super::{Logged, ResponseLog};

/// Calls whose requests may wait for the writer.
const WAITING_MAX: usize = 4_096;
/// How long a writer is left alone at most.
const TICK: Duration = Duration::from_secs(1);

/// Writes logged requests.
///
/// # Contract
/// It may take its time. What fails it tells, in words; what it could not write it may try again at the next call.
pub trait Writer: Send + 'static {
    /// Takes requests.
    fn take(&mut self, logged: Vec<Logged>) -> std::result::Result<(), String>;

    /// Called about every second when nothing comes, and between what comes.
    fn tick(&mut self) -> std::result::Result<(), String>;

    /// Writes what is waiting: nothing comes after.
    fn close(&mut self) -> std::result::Result<(), String>;
}

/// A log over a writer.
pub struct Background {
    sender: Mutex<Option<SyncSender<Vec<Logged>>>>,
    dropped: AtomicU64,
    thread: Mutex<Option<Joined<()>>>,
}

impl Background {
    /// A log that this writer writes.
    pub fn start(writer: impl Writer) -> Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let thread = spawn::spawn("response log", move || write_all(&receiver, writer))?;
        Ok(Self {
            sender: Mutex::new(Some(sender)),
            dropped: AtomicU64::new(0),
            thread: Mutex::new(Some(thread)),
        })
    }
}

impl ResponseLog for Background {
    fn log(&self, logged: Vec<Logged>) {
        let count = logged.len() as u64;
        let Ok(sender) = self.sender.lock() else {
            return;
        };
        let sender = sender.as_ref();
        if sender.is_some_and(|sender| sender.try_send(logged).is_ok()) {
            return;
        }
        counter!("logging_dropped_count").increment(count);
        if self.dropped.fetch_add(count, Ordering::Relaxed) == 0 {
            tracing::warn!("answers are logged more slowly than given: some are left out");
        }
    }
}

impl Drop for Background {
    /// Writes what is waiting.
    fn drop(&mut self) {
        if let Ok(mut sender) = self.sender.lock() {
            drop(sender.take());
        }
        if let Ok(mut thread) = self.thread.lock() {
            drop(thread.take());
        }
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "answers were left out of the log");
        }
    }
}

fn write_all(receiver: &Receiver<Vec<Logged>>, mut writer: impl Writer) {
    // The same failure every second is told once.
    let mut told: Option<String> = None;
    let mut tell = |written: std::result::Result<(), String>| match written {
        Ok(()) => told = None,
        Err(reason) => {
            counter!("logging_write_failure_count").increment(1);
            if told.as_ref() != Some(&reason) {
                tracing::error!(reason, "the log cannot be written");
                told = Some(reason);
            }
        }
    };
    loop {
        match receiver.recv_timeout(TICK) {
            Ok(logged) => {
                let taken = writer.take(logged);
                tell(taken.and_then(|()| writer.tick()));
            }
            Err(RecvTimeoutError::Timeout) => tell(writer.tick()),
            Err(RecvTimeoutError::Disconnected) => return tell(writer.close()),
        }
    }
}
