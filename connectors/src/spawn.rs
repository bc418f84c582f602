//! Threads with names that are joined: the only spawns in the house.
//!
//! Promises: dropping a [`Joined`] waits for its thread; a panic reaches whoever joins. [`IoPool`]
//! runs futures on its own threads, so callers stay synchronous and may
//! themselves stand inside any runtime.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::error::{Error, Result};

/// A flag that is set when the process is told to stop: by Ctrl-C, or where there are signals by SIGTERM. A second time
/// ends it at once.
#[expect(clippy::exit, reason = "the process is told twice to end")]
pub fn stopped_by_signal() -> Result<Arc<AtomicBool>> {
    let failed = |source| Error::Io {
        action: "wait for",
        path: "signals".into(),
        source,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let wait = move || {
        runtime.block_on(async {
            signal().await;
            flag.store(true, Ordering::Release);
            signal().await;
            // Whoever asks twice does not want to wait for what is at hand.
            std::process::exit(130);
        });
    };
    // Nobody waits for it: it ends with the process.
    std::mem::forget(spawn("signals", wait)?);
    Ok(stop)
}

async fn signal() {
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                () = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    interrupted.await;
}

/// A running thread; joined on drop.
#[derive(Debug)]
pub struct Joined<T> {
    name: String,
    handle: Option<JoinHandle<T>>,
}

/// Starts a thread of this name.
pub fn spawn<T: Send + 'static>(
    name: impl Into<String>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Joined<T>> {
    let name = name.into();
    let handle = Builder::new()
        .name(name.clone())
        .spawn(work)
        .map_err(|source| Error::Io {
            action: "start thread",
            path: name.clone(),
            source,
        })?;
    Ok(Joined {
        name,
        handle: Some(handle),
    })
}

impl<T> Joined<T> {
    /// Waits for the thread's answer; an error if it panicked.
    pub fn join(mut self) -> Result<T> {
        let handle = self.handle.take().expect("taken only here and on drop");
        handle.join().map_err(|_panic| Error::Panicked {
            name: self.name.clone(),
        })
    }

    /// Wakes the thread if it is parked.
    pub fn unpark(&self) {
        if let Some(handle) = &self.handle {
            handle.thread().unpark();
        }
    }

    /// Whether the thread has come to its end.
    pub fn is_finished(&self) -> bool {
        self.handle.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl<T> Drop for Joined<T> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take()
            && handle.join().is_err()
        {
            tracing::error!(thread = %self.name, "a thread panicked");
        }
    }
}

/// A few threads that run futures for synchronous callers.
pub(crate) struct IoPool {
    runtime: Option<tokio::runtime::Runtime>,
}

impl fmt::Debug for IoPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IoPool")
    }
}

impl IoPool {
    /// A pool whose threads bear this name.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(name)
            .enable_all()
            .build()
            .map_err(|source| Error::Io {
                action: "start threads for",
                path: name.into(),
                source,
            })?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    /// Runs a future to its end.
    pub(crate) fn wait<F>(&self, future: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.start(future).take()
    }

    /// Starts a future whose answer is taken later.
    pub(crate) fn start<F>(&self, future: F) -> Pending<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (sender, receiver) = mpsc::sync_channel(1);
        let runtime = self.runtime.as_ref().expect("taken only on drop");
        runtime.spawn(async move {
            // The receiver may be gone: then nobody wants the answer.
            sender.send(future.await).ok();
        });
        Pending { receiver }
    }

    /// Ends the pool, and with it whatever still runs on it: once this returns, nothing of it goes on.
    pub(crate) fn stop(mut self, limit: Duration) {
        let runtime = self.runtime.take().expect("taken only here and on drop");
        // A thread of its own, because a caller may stand inside another runtime, where waiting is a panic.
        match spawn("stop a pool", move || runtime.shutdown_timeout(limit)) {
            Ok(stopping) => drop(stopping),
            Err(error) => tracing::error!(%error, "a pool was ended without waiting for it"),
        }
    }
}

impl Drop for IoPool {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A plain drop would panic if the last handle is dropped inside another runtime.
            runtime.shutdown_background();
        }
    }
}

/// An answer under way.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    receiver: mpsc::Receiver<T>,
}

impl<T> Pending<T> {
    pub(crate) fn take(self) -> T {
        self.receiver
            .recv()
            .expect("the pool outlives its callers, and its futures do not panic")
    }

    /// The answer, or `None` if its future panicked or its pool was ended.
    pub(crate) fn get(self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads carry their name, answer, and hand on a panic as an error.
    #[test]
    fn threads_are_named_and_joined() {
        let named = spawn("scout", || std::thread::current().name().map(str::to_owned));
        assert_eq!(named.unwrap().join().unwrap().as_deref(), Some("scout"));
        let failed = spawn("doomed", || panic!("as planned")).unwrap().join();
        assert!(matches!(failed, Err(Error::Panicked { name }) if name == "doomed"));
    }
}
