//! `serve`: the fetcher over HTTP, until told to stop.

mod streaming;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use unskewed_connectors::clock::{Clock, SystemClock};
use unskewed_connectors::spawn::{self, Joined};
use unskewed_engine::job::{self, Event, Watcher as _};
use unskewed_fetcher::external::Registry;
use unskewed_fetcher::log::{Background, FileWriter, ResponseLog, Roll, TableWriter};
use unskewed_fetcher::{Fetcher, Settings};
use unskewed_rest::{
    App, HttpSource, Limits, Metrics, Patience, Server, ServerError, TlsFiles, Tokens, told_to_stop,
};

use crate::args::ServeArgs;
use crate::report::Failure;
use crate::{Session, store};

/// How long requests at hand may take to end.
const DRAIN: Duration = Duration::from_secs(30);

/// What looks for new batches and definitions.
struct Refresher {
    stopped: Arc<AtomicBool>,
    thread: Joined<()>,
}

impl Drop for Refresher {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Serves.
pub(crate) fn run(args: &ServeArgs, session: &Session) -> Result<(), Failure> {
    let tokens = match &args.token_file {
        None => Tokens::default(),
        Some(path) => tokens(path)?,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let every = Duration::from_secs(args.refresh_seconds.max(1));
    let settings = Settings {
        dialect: session.config.dialect,
        max_age: every * 6,
    };
    let externals = externals(args)?;
    let store = store::open(session)?;
    let mut streaming = None;
    if let Some(path) = &args.stream {
        let store = Arc::clone(&store);
        streaming = Some(streaming::start(path, &args.streaming, store, session)?);
    }
    let fetcher = Fetcher::new(store, Arc::clone(&clock), externals, settings);
    let fetcher = match log(args, session, &clock)? {
        None => fetcher,
        Some(log) => fetcher.logging(log),
    };
    let fetcher = Arc::new(fetcher);
    let limits = Limits {
        body_bytes: args.max_body_bytes,
        rows: args.max_rows,
        time: Duration::from_millis(args.max_millis),
        in_flight: args.max_in_flight,
    };
    let metrics = Metrics::install().map_err(|error| Failure::failed(error.to_string()))?;
    let config = shown(args, session);
    let app = App::new(Arc::clone(&fetcher), limits, metrics, clock, config);
    let tls = args.tls_cert.clone().zip(args.tls_key.clone());
    let scheme = if tls.is_some() { "https" } else { "http" };
    let listening = unskewed_rest::Settings {
        listen: args.listen,
        tls: tls.map(|(certificates, key)| TlsFiles { certificates, key }),
        tokens,
        drain: DRAIN,
        threads: session.config.workers,
    };
    let server = Server::bind(listening, app).map_err(|error| failure(&error))?;
    let _refresher = refresher(fetcher, every)?;
    let text = format!("listening on {scheme}://{}", server.address());
    session.progress.on(&Event::Note(&text));
    let Some(mut streaming) = streaming else {
        return server.run(told_to_stop()).map_err(|error| failure(&error));
    };
    let served = server.run(streaming.or_failed(told_to_stop()));
    streaming.finish()?;
    served.map_err(|error| failure(&error))
}

fn refresher(fetcher: Arc<Fetcher>, every: Duration) -> Result<Refresher, Failure> {
    let stopped = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stopped);
    let work = move || {
        while !told.load(Ordering::Acquire) {
            for (name, error) in fetcher.refresh() {
                tracing::warn!(name, %error, "could not be refreshed");
            }
            std::thread::park_timeout(every);
        }
    };
    let thread = spawn::spawn("refresh", work);
    let thread = thread.map_err(|error| Failure::failed(error.to_string()))?;
    Ok(Refresher { stopped, thread })
}

/// Where answers are logged.
fn log(
    args: &ServeArgs,
    session: &Session,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<dyn ResponseLog>>, Failure> {
    let log = match (&args.log_table, &args.log_responses) {
        (None, None) => return Ok(None),
        (Some(name), _) => {
            let table = session.warehouse()?.table(name).map_err(table_failure)?;
            let roll = Roll {
                bytes: args.log_roll_bytes,
                age: Duration::from_secs(args.log_roll_seconds),
            };
            let writer = TableWriter::open(table, Arc::clone(clock), roll);
            Background::start(writer.map_err(table_failure)?)
        }
        (None, Some(path)) => {
            let writer = FileWriter::open(path).map_err(|error| {
                let path = path.display();
                Failure::usage(format!("log {path} cannot be written: {error}"))
            })?;
            Background::start(writer)
        }
    };
    let log = log.map_err(|error| Failure::failed(error.to_string()))?;
    Ok(Some(Arc::new(log)))
}

fn table_failure(error: unskewed_connectors::error::Error) -> Failure {
    Failure::job(job::Error::Table(error))
}

/// The external sources that options name.
fn externals(args: &ServeArgs) -> Result<Registry, Failure> {
    let patience = Patience {
        time: Duration::from_millis(args.external_max_millis),
        concurrency: args.external_concurrency,
    };
    let mut externals = Registry::default();
    for option in &args.external {
        let Some((name, url)) = option.split_once('=') else {
            let text = "--external wants NAME=URL, as in scores=http://localhost:9000/scores";
            return Err(Failure::usage(text));
        };
        let source = HttpSource::new(name, url, patience);
        let source = source.map_err(|error| Failure::usage(error.to_string()))?;
        externals.register(name, Arc::new(source));
    }
    Ok(externals)
}

fn tokens(path: &Path) -> Result<Tokens, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!(
            "token file {} cannot be read: {error}",
            path.display()
        ))
    })?;
    let tokens = Tokens::parse(&text);
    if tokens.is_open() {
        let text = format!(
            "token file {} holds no token, so nobody could ask",
            path.display()
        );
        return Err(Failure::usage(text));
    }
    Ok(tokens)
}

/// What `GET /config` shows.
fn shown(args: &ServeArgs, session: &Session) -> serde_json::Value {
    serde_json::json!({
        "listen": args.listen.to_string(),
        "tls": args.tls_cert.is_some(),
        "tokens": args.token_file.is_some(),
        "kv": session.config.kv,
        "max_body_bytes": args.max_body_bytes,
        "max_rows": args.max_rows,
        "max_millis": args.max_millis,
        "max_in_flight": args.max_in_flight,
        "refresh_seconds": args.refresh_seconds,
        "externals": args.external.iter().filter_map(|option| option.split('=').next()).collect::<Vec<_>>(),
    })
}

fn failure(error: &ServerError) -> Failure {
    let cause = std::error::Error::source(error);
    let text = cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
    match error {
        ServerError::Listen { .. } | ServerError::Tls { .. } => Failure::usage(text),
        _ => Failure::failed(text),
    }
}
