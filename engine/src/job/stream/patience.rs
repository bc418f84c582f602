//! Waiting for an outside system that is away.
//!
//! A call that may succeed later is tried again, after pauses that grow, until it does or the stream is to stop. Who
//! watches is told once when it begins to fail, and once when it is over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use unskewed_connectors::clock::Clock;
use unskewed_connectors::error::{Error, Result, Retry};

use super::super::{Event, Watcher};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Who waits.
#[derive(Clone, Copy)]
pub(super) struct Patience<'a> {
    pub(super) clock: &'a dyn Clock,
    pub(super) watcher: &'a dyn Watcher,
    /// Set when the stream is to stop: then nothing is waited for.
    pub(super) stop: &'a AtomicBool,
}

impl Patience<'_> {
    /// Whether the stream is to stop.
    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Calls until it succeeds, or fails for good.
    pub(super) fn call<T>(&self, mut call: impl FnMut() -> Result<T>) -> Result<T> {
        let mut pause = FIRST_PAUSE;
        let mut told = false;
        loop {
            match call() {
                Err(error) if error.retry() == Retry::Backoff && !self.is_over() => {
                    if !told {
                        told = true;
                        let text = format!("{}; it is tried again", with_causes(&error));
                        self.watcher.on(&Event::Warning(&text));
                    }
                    self.clock.sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                other => {
                    if told && other.is_ok() {
                        self.watcher.on(&Event::Note("it answers again"));
                    }
                    return other;
                }
            }
        }
    }
}

fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
