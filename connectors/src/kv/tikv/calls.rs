//! Calls that are tried again within a limit of time.
//!
//! [`Reads`] share a connection. [`Writes`] have one to themselves each while they last: a try that was cut off is ended with
//! its connection before the next, so it cannot arrive late and put an old value over a new one. (What a server has
//! taken in by then, no client can take back.) Both pause when the store is down ([`Breaker`]).

use std::future::Future;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tikv_client::{Backoff, RawClient, Result as ClientResult};

use super::address::Address;
use super::breaker::Breaker;
use super::failure::Failure;
use super::session::{Session, Trouble};
use crate::clock::{Clock, SystemClock};

/// The least time that a try is given.
const TRY_MIN: Duration = Duration::from_millis(100);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What both have.
struct Caller {
    address: Address,
    limit: Duration,
    breaker: Mutex<Breaker>,
    /// Time that passes on the wire, whatever time it is for rows.
    clock: SystemClock,
}

impl Caller {
    fn new(address: Address, limit: Duration) -> Self {
        Self {
            address,
            limit,
            breaker: Mutex::default(),
            clock: SystemClock::new(),
        }
    }

    /// Tries until it goes well, is refused, or the time is over; each try is told how long it may take.
    fn persist<T>(
        &self,
        limit: Duration,
        mut attempt: impl FnMut(Duration) -> Result<T, Trouble>,
    ) -> Result<T, Failure> {
        let begun = self.clock.monotonic();
        locked(&self.breaker).enter(begun, limit)?;
        // Random pauses, so that those who failed together do not come back together.
        let mut pauses = Backoff::decorrelated_jitter_backoff(5, 500, u32::MAX);
        let (mut tries, mut reason) = (0, String::from("no answer came"));
        loop {
            tries += 1;
            let left = limit.saturating_sub(self.clock.monotonic() - begun);
            // Half of what is left, so that a try that hangs leaves time for another.
            match attempt((left / 2).max(TRY_MIN.min(left))) {
                Ok(answer) => {
                    locked(&self.breaker).answered();
                    return Ok(answer);
                }
                Err(Trouble::Refused(reason)) => {
                    locked(&self.breaker).answered();
                    return Err(Failure::Refused { reason });
                }
                Err(Trouble::Passing { reason: new, .. }) => reason = new,
                // What was said before says more.
                Err(Trouble::Silence) => {}
            }
            let pause = pauses.next_delay_duration().unwrap_or_default();
            let now = self.clock.monotonic();
            if now - begun + pause + TRY_MIN.min(limit / 4) >= limit {
                locked(&self.breaker).failed(now, reason.clone());
                return Err(Failure::Late {
                    limit,
                    tries,
                    reason,
                });
            }
            self.clock.sleep(pause);
        }
    }
}

/// Calls that change nothing.
pub(super) struct Reads {
    caller: Caller,
    shared: Mutex<Shared>,
    changed: Condvar,
}

#[derive(Default)]
struct Shared {
    session: Option<Arc<Session>>,
    connecting: bool,
}

impl Reads {
    /// Reads of a cluster; nothing is connected yet.
    pub(super) fn new(address: &Address) -> Self {
        Self {
            caller: Caller::new(address.clone(), address.read),
            shared: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Asks until there is an answer.
    pub(super) fn call<T, F>(&self, ask: impl Fn(RawClient) -> F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = ClientResult<T>> + Send + 'static,
    {
        self.call_within(self.caller.limit, ask)
    }

    /// The same, with another limit.
    pub(super) fn call_within<T, F>(
        &self,
        limit: Duration,
        ask: impl Fn(RawClient) -> F,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = ClientResult<T>> + Send + 'static,
    {
        self.caller.persist(limit, |limit| {
            let session = self.session(limit)?;
            let answer = session.ask(limit, &ask);
            if answer.as_ref().is_err_and(Trouble::disconnects) {
                self.forget(&session);
            }
            answer
        })
    }

    /// The connection of all reads; one of those that need it makes it, the others wait for that.
    fn session(&self, limit: Duration) -> Result<Arc<Session>, Trouble> {
        let begun = self.caller.clock.monotonic();
        let mut shared = locked(&self.shared);
        loop {
            if let Some(session) = &shared.session {
                return Ok(Arc::clone(session));
            }
            if !shared.connecting {
                shared.connecting = true;
                break;
            }
            let left = limit.saturating_sub(self.caller.clock.monotonic() - begun);
            if left.is_zero() {
                return Err(Trouble::Passing {
                    reason: "a connection is still being made".into(),
                    disconnected: false,
                });
            }
            let waited = self.changed.wait_timeout(shared, left);
            shared = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(shared);
        let Caller {
            address,
            limit: request,
            ..
        } = &self.caller;
        let connected = Session::connect(address, "tikv-read", *request, limit).map(Arc::new);
        let mut shared = locked(&self.shared);
        shared.connecting = false;
        shared.session = connected.as_ref().ok().cloned();
        self.changed.notify_all();
        connected
    }

    /// The next read connects anew, unless another has seen to it.
    fn forget(&self, session: &Arc<Session>) {
        let mut shared = locked(&self.shared);
        if shared
            .session
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, session))
        {
            shared.session = None;
        }
    }
}

/// Calls that change rows. They must be such that doing them twice is doing them once.
pub(super) struct Writes {
    caller: Caller,
    idle: Mutex<Vec<Session>>,
}

impl Writes {
    /// Writes to a cluster; nothing is connected yet.
    pub(super) fn new(address: &Address) -> Self {
        Self {
            caller: Caller::new(address.clone(), address.write),
            idle: Mutex::default(),
        }
    }

    /// Asks until it is done. If it fails, it may have been done or not, in whole or in part.
    pub(super) fn call<F>(&self, ask: impl Fn(RawClient) -> F) -> Result<(), Failure>
    where
        F: Future<Output = ClientResult<()>> + Send + 'static,
    {
        let Caller {
            address,
            limit: request,
            ..
        } = &self.caller;
        self.caller.persist(*request, |limit| {
            let idle = locked(&self.idle).pop();
            let session = match idle {
                Some(session) => session,
                None => Session::connect(address, "tikv-write", *request, limit)?,
            };
            let answer = session.ask(limit, &ask);
            match answer.as_ref().is_err_and(Trouble::disconnects) {
                true => session.end(),
                // A put that came back, well or not, has nothing under way; a busy server is not asked by new connections.
                false => locked(&self.idle).push(session),
            }
            answer
        })
    }
}
