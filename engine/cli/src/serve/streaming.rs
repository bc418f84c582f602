//! A stream beside the service, into the store that it serves from: an embedded store has one owner.
//!
//! Promises: a stream that fails ends the service, as what it would answer grows old; a service that ends lets the stream
//! make its checkpoint first.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::channel::oneshot;
use futures::future::{self, Either};
use unskewed_connectors::kv::KvStore;
use unskewed_connectors::spawn::{self, Joined};
use unskewed_engine::job::{self, Outcome};

use crate::Session;
use crate::args::StreamOptions;
use crate::report::Failure;
use crate::stream::{Stream, definitions};

/// A stream at work.
pub(super) struct Streaming {
    stop: Arc<AtomicBool>,
    thread: Joined<Result<Outcome, Failure>>,
    failed: oneshot::Receiver<()>,
}

/// Starts a stream of what a path holds.
pub(super) fn start(
    path: &Path,
    options: &StreamOptions,
    store: Arc<dyn KvStore>,
    session: &Session,
) -> Result<Streaming, Failure> {
    let streams = {
        let warehouse = session.warehouse()?;
        let definitions = definitions(path, session)?;
        job::streams(&definitions, &session.context(&warehouse)).map_err(Failure::job)?
    };
    let stop = Arc::new(AtomicBool::new(false));
    let (tell, failed) = oneshot::channel();
    let (told, session) = (Arc::clone(&stop), session.beside());
    let (path, options): (PathBuf, StreamOptions) = (path.into(), options.clone());
    let work = move || {
        let stream = Stream {
            streams,
            path: &path,
            options: &options,
            until_end: false,
        };
        let outcome = stream.run((store.as_ref(), &told), &session);
        if outcome.is_err() {
            // Who waited may be gone already.
            tell.send(()).ok();
        }
        outcome
    };
    let thread = spawn::spawn("stream", work);
    let thread = thread.map_err(|error| Failure::failed(error.to_string()))?;
    Ok(Streaming {
        stop,
        thread,
        failed,
    })
}

impl Streaming {
    /// Done when the service is told to stop, or its stream has failed.
    pub(super) async fn or_failed(&mut self, told: impl Future<Output = ()>) {
        let told = Box::pin(told);
        if let Either::Right((Err(oneshot::Canceled), told)) =
            future::select(told, &mut self.failed).await
        {
            // It has come to the end of its topics.
            told.await;
        }
    }

    /// Stops the stream, if it has not; why it failed, if it did.
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Release);
        let ended = self.thread.join();
        ended
            .map_err(|error| Failure::failed(error.to_string()))?
            .map(drop)
    }
}
