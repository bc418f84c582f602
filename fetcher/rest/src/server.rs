//! Connections: accepted, bounded, drained at the end.
//!
//! Promises: a client that is slow, silent or hostile holds its own connection only, and not for longer than allowed;
//! when told to stop, the server takes no new connection and finishes the requests it has.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::access::Tokens;
use crate::answer::{self, Answer};
use crate::app::App;
use crate::observed;
use crate::route::{NoRoute, Route};
use crate::tls::{self, TlsFiles};

/// How a server listens.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where.
    pub listen: SocketAddr,
    /// The certificate; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// Who is let in.
    pub tokens: Tokens,
    /// How long requests at hand may take to end when told to stop.
    pub drain: Duration,
    /// Threads; the machine's cores when 0.
    pub threads: usize,
}

/// Why a server does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A certificate or key cannot be used.
    #[error("{} cannot be used for TLS: {reason}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Threads could not be started.
    #[error("the server could not be started")]
    Start(#[source] io::Error),
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    settings: Settings,
    shared: Arc<Shared>,
}

struct Shared {
    app: App,
    tokens: Tokens,
    places: Semaphore,
}

impl Server {
    /// Listens; nothing is answered before [`Server::run`].
    pub fn bind(settings: Settings, app: App) -> Result<Self, ServerError> {
        let acceptor = settings.tls.as_ref().map(tls::acceptor).transpose()?;
        let failed = |source| ServerError::Listen {
            address: settings.listen,
            source,
        };
        let listener = TcpListener::bind(settings.listen).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Shared {
            places: Semaphore::new(app.limits().in_flight),
            tokens: settings.tokens.clone(),
            app,
        };
        Ok(Self {
            listener,
            address,
            acceptor,
            settings,
            shared: Arc::new(shared),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is done, then drains.
    pub fn run(self, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.enable_all().thread_name("rest");
        if self.settings.threads > 0 {
            runtime.worker_threads(self.settings.threads);
        }
        let runtime = runtime.build().map_err(ServerError::Start)?;
        runtime.block_on(self.serve(stop))
    }

    async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
        let listener = tokio::net::TcpListener::from_std(self.listener);
        let listener = listener.map_err(ServerError::Start)?;
        let graceful = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let watcher = graceful.watcher();
                        let (shared, acceptor) = (Arc::clone(&self.shared), self.acceptor.clone());
                        tokio::spawn(connection(stream, acceptor, shared, watcher));
                    }
                    // Too many open files, or a client that went away: the next one may fare better.
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                () = &mut stop => break,
            }
        }
        drop(listener);
        if tokio::time::timeout(self.settings.drain, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("requests were still being answered when the time to stop was over");
        }
        Ok(())
    }
}

/// Done when the process is told to stop: by Ctrl-C, or where there are signals by SIGTERM.
pub async fn told_to_stop() {
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    #[cfg(unix)]
    {
        let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        match terminate {
            Ok(mut terminate) => tokio::select! {
                () = interrupted => {}
                _ = terminate.recv() => {}
            },
            Err(_) => interrupted.await,
        }
    }
    #[cfg(not(unix))]
    interrupted.await;
}

async fn connection(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let time = shared.app.limits().time;
    stream.set_nodelay(true).ok();
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(time);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(time));
    let service = hyper::service::service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(respond(&shared, request).await) }
    });
    let ended = match acceptor {
        None => {
            let serving = builder.serve_connection(TokioIo::new(stream), service);
            watcher.watch(serving.into_owned()).await
        }
        Some(acceptor) => match tokio::time::timeout(time, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let serving = builder.serve_connection(TokioIo::new(stream), service);
                watcher.watch(serving.into_owned()).await
            }
            Ok(Err(error)) => return tracing::debug!(%error, "no TLS connection came about"),
            Err(_) => return tracing::debug!("a client began TLS and said no more"),
        },
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection ended");
    }
}

/// One request, whatever it is.
async fn respond(shared: &Shared, request: Request<Incoming>) -> Answer {
    let begun = shared.app.monotonic();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = Route::of(&method, &path, request.uri().query());
    let label = route.as_ref().map_or("none", Route::label);
    let answer = match route {
        Ok(route) => within_limits(shared, &route, request, begun).await,
        Err(NoRoute::Unknown) => {
            answer::errors(StatusCode::NOT_FOUND, format!("there is nothing at {path}"))
        }
        Err(NoRoute::Parameter(query)) => {
            let problem = format!("{query:?} is not understood; known is at_millis=T");
            answer::errors(StatusCode::BAD_REQUEST, problem)
        }
        Err(NoRoute::Name) => answer::errors(StatusCode::BAD_REQUEST, "the name is no UTF-8"),
        Err(NoRoute::Method(wanted)) => {
            let problem = format!("{path} is asked with {wanted}");
            let mut answer = answer::errors(StatusCode::METHOD_NOT_ALLOWED, problem);
            let wanted = HeaderValue::from_str(wanted.as_str());
            answer
                .headers_mut()
                .extend(wanted.ok().map(|wanted| (ALLOW, wanted)));
            answer
        }
    };
    let (status, took) = (
        answer.status().as_u16(),
        shared.app.monotonic().saturating_sub(begun),
    );
    let bytes = answer.body().size_hint().exact().unwrap_or(0);
    observed::answered(
        label,
        status,
        took,
        usize::try_from(bytes).unwrap_or(usize::MAX),
    );
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    tracing::info!(target: "access", %method, path, status, bytes, micros);
    answer
}

async fn within_limits(
    shared: &Shared,
    route: &Route,
    request: Request<Incoming>,
    begun: Duration,
) -> Answer {
    let header = request
        .headers()
        .get(AUTHORIZATION)
        .map(HeaderValue::as_bytes);
    if !route.is_open() && !shared.tokens.admit(header) {
        let problem = "a bearer token is needed: Authorization: Bearer TOKEN";
        let mut answer = answer::errors(StatusCode::UNAUTHORIZED, problem);
        let scheme = HeaderValue::from_static("Bearer");
        answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        return answer;
    }
    let Ok(_place) = shared.places.try_acquire() else {
        let problem = "too many requests are being answered; come again";
        let mut answer = answer::errors(StatusCode::SERVICE_UNAVAILABLE, problem);
        answer
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return answer;
    };
    let limits = shared.app.limits();
    observed::in_flight(limits.in_flight - shared.places.available_permits());
    let answered = async {
        let body = Limited::new(request.into_body(), limits.body_bytes)
            .collect()
            .await;
        match body {
            Ok(body) => shared.app.answer(route, &body.to_bytes()).await,
            Err(error) if error.is::<LengthLimitError>() => {
                let problem = format!("the body is longer than {} bytes", limits.body_bytes);
                answer::errors(StatusCode::PAYLOAD_TOO_LARGE, problem)
            }
            Err(error) => {
                let problem = format!("the body could not be read: {error}");
                answer::errors(StatusCode::BAD_REQUEST, problem)
            }
        }
    };
    let left = (begun + limits.time).saturating_sub(shared.app.monotonic());
    match tokio::time::timeout(left, answered).await {
        Ok(answer) => answer,
        Err(_) => answer::errors(
            StatusCode::GATEWAY_TIMEOUT,
            format!("it took longer than {} ms", limits.time.as_millis()),
        ),
    }
}
