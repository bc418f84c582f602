//! One connection to a cluster: a client of TiKV and the threads it runs on.
//!
//! The client starts tasks that go on when a call is given up. Ending a session ends them too, so nothing that was given
//! up is sent later.

use std::future::Future;
use std::time::Duration;

use futures::future::join_all;
use tikv_client::{Backoff, Config, Error as ClientError, RawClient, Result as ClientResult};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::address::Address;
use super::failure::{is_disconnected, is_refusal, reason};
use crate::spawn::IoPool;

/// The most an answer may hold.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// How long the end of a session is waited for; it takes milliseconds.
const END_LIMIT: Duration = Duration::from_secs(5);

/// A connection.
pub(super) struct Session {
    client: RawClient,
    pool: IoPool,
}

/// Why a try failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// What was asked for can never be done.
    Refused(String),
    /// It may go well later.
    Passing {
        reason: String,
        /// Whether a new connection is needed.
        disconnected: bool,
    },
    /// No answer came in time.
    Silence,
}

impl Trouble {
    fn lost(reason: impl Into<String>) -> Self {
        Self::Passing {
            reason: reason.into(),
            disconnected: true,
        }
    }

    /// Whether the next try needs a new connection.
    pub(super) fn disconnects(&self) -> bool {
        match self {
            Self::Refused(_) => false,
            Self::Passing { disconnected, .. } => *disconnected,
            Self::Silence => true,
        }
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        let text = reason(&error);
        match is_refusal(&error) {
            true => Self::Refused(text),
            false => Self::Passing {
                reason: text,
                disconnected: is_disconnected(&error),
            },
        }
    }
}

impl Session {
    /// Connects. A single request of the session takes no longer than `request`.
    pub(super) fn connect(
        address: &Address,
        name: &str,
        request: Duration,
        limit: Duration,
    ) -> Result<Self, Trouble> {
        let pool = IoPool::new(name).map_err(|error| Trouble::lost(error.to_string()))?;
        let mut config = Config::default()
            .with_timeout(request)
            .with_grpc_max_decoding_message_size(ANSWER_BYTES_MAX);
        if let Some([ca, cert, key]) = &address.security {
            config = config.with_security(ca, cert, key);
        }
        if let Some(keyspace) = &address.keyspace {
            config = config.with_keyspace(keyspace);
        }
        let connecting = RawClient::new_with_config(address.endpoints.clone(), config);
        let endpoints = address.endpoints.clone();
        let connected = pool.start(async move {
            let trouble = match timeout(limit * 3 / 4, connecting).await {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(error)) => Trouble::from(error),
                Err(_late) => Trouble::lost("PD did not answer"),
            };
            Err(explained(trouble, &endpoints, limit / 4).await)
        });
        let connected = connected.get();
        let client = connected.unwrap_or_else(|| Err(Trouble::lost("the client broke")))?;
        // A few tries of its own are cheap, since it knows which server to ask next.
        let backoff = Backoff::equal_jitter_backoff(4, 64, 4);
        Ok(Self {
            client: client.with_backoff(backoff),
            pool,
        })
    }

    /// Asks. It may go on after the limit, until the session ends.
    pub(super) fn ask<T, F>(
        &self,
        limit: Duration,
        ask: impl FnOnce(RawClient) -> F,
    ) -> Result<T, Trouble>
    where
        T: Send + 'static,
        F: Future<Output = ClientResult<T>> + Send + 'static,
    {
        let asked = ask(self.client.clone());
        let answer = self.pool.start(async move { timeout(limit, asked).await });
        match answer.get() {
            Some(Ok(Ok(answer))) => Ok(answer),
            Some(Ok(Err(error))) => Err(error.into()),
            Some(Err(_late)) => Err(Trouble::Silence),
            None => Err(Trouble::lost("the client broke")),
        }
    }

    /// Ends it, and with it all that still goes on.
    pub(super) fn end(self) {
        self.pool.stop(END_LIMIT);
    }
}

/// The client does not say why PD was not reached; so look at each endpoint.
async fn explained(trouble: Trouble, endpoints: &[String], limit: Duration) -> Trouble {
    let Trouble::Passing { reason, .. } = trouble else {
        return trouble;
    };
    let look = async |endpoint: &String| match timeout(limit, TcpStream::connect(endpoint)).await {
        Ok(Ok(_)) => format!(
            "{endpoint} takes connections, but does not answer as PD (is TLS on one side only?)"
        ),
        Ok(Err(error)) => format!("{endpoint}: {error}"),
        Err(_late) => format!("{endpoint} does not answer"),
    };
    let found = join_all(endpoints.iter().map(look)).await;
    Trouble::lost(format!("{reason}; {}", found.join("; ")))
}
