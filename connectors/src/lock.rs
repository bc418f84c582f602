//! One writer per table.
//!
//! Promises: at most one holder, across processes; who holds it is known to who waits. On a local
//! disk it is an advisory lock of the system, gone with its process. In an object store it is a
//! lease, created by a conditional put and renewed by its own thread; a holder that cannot renew
//! loses it, and [`TableLock::check`] tells. The lock guards writers from each other; readers never
//! take it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use object_store::UpdateVersion;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::spawn::{Joined, spawn};
use crate::storage::object::{Conditional, ObjectFiles};
use crate::storage::{Backend, Storage};
use crate::table::unique_id;

/// How long a lease holds without being renewed.
pub const LEASE_MILLIS: i64 = 60_000;
const POLL: Duration = Duration::from_millis(50);
/// How often the renewing thread looks whether it should stop or renew.
const RENEW_POLL: Duration = Duration::from_millis(100);

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    token: String,
    pid: u32,
    host: String,
    since_millis: i64,
    /// Only of leases.
    #[serde(default)]
    expires_millis: Option<i64>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let since = crate::clock::compact_utc(self.since_millis);
        write!(f, "process {} on {} since {since}", self.pid, self.host)
    }
}

/// The exclusive lock of a table, released when dropped.
#[derive(Debug)]
pub struct TableLock {
    table: String,
    held: Held,
}

#[derive(Debug)]
enum Held {
    /// The system frees it when the file is closed.
    Local(#[allow(dead_code, reason = "held, not read")] File),
    Lease(Lease),
}

impl TableLock {
    /// An error if the lock was lost meanwhile: the lease could not be renewed in time.
    pub fn check(&self) -> Result<()> {
        match &self.held {
            Held::Local(_) => Ok(()),
            Held::Lease(lease) => lease.check(&self.table),
        }
    }
}

/// Takes the lock of a table, waiting up to a limit.
pub(crate) fn acquire(
    storage: &Arc<Storage>,
    clock: &Arc<dyn Clock>,
    database: &str,
    name: &str,
    wait_millis_max: i64,
) -> Result<TableLock> {
    let path = format!("{database}.db/_locks/{name}.lock");
    let table = format!("{database}.{name}");
    let begun = clock.monotonic();
    loop {
        let me = Holder {
            token: unique_id(),
            pid: std::process::id(),
            host: host(),
            since_millis: clock.now_millis(),
            expires_millis: None,
        };
        let attempt = match &storage.backend {
            Backend::Local(_) => try_local(storage, &path, &me)?.map(Held::Local),
            Backend::Object(files) => try_lease(storage, files, clock, &path, me)?.map(Held::Lease),
        };
        let holder = match attempt {
            Attempt::Got(held) => return Ok(TableLock { table, held }),
            Attempt::HeldBy(holder) => holder,
        };
        let waited = (clock.monotonic() - begun).as_millis();
        let waited_millis = i64::try_from(waited).unwrap_or(i64::MAX);
        if waited_millis >= wait_millis_max {
            return Err(Error::Locked {
                table,
                holder: holder.map_or_else(|| "an unknown process".into(), |h| h.to_string()),
                waited_millis,
            });
        }
        clock.sleep(POLL);
    }
}

enum Attempt<T> {
    Got(T),
    HeldBy(Option<Holder>),
}

impl<T> Attempt<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Attempt<U> {
        match self {
            Self::Got(held) => Attempt::Got(change(held)),
            Self::HeldBy(holder) => Attempt::HeldBy(holder),
        }
    }
}

fn try_local(storage: &Storage, path: &str, me: &Holder) -> Result<Attempt<File>> {
    let Backend::Local(files) = &storage.backend else {
        unreachable!("the caller looked");
    };
    files.create_parent(storage, path)?;
    let failed = || storage.io("lock", path);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(files.path(path))
        .map_err(failed())?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Best effort: the holder may be writing it.
            file.read_to_string(&mut text).ok();
            return Ok(Attempt::HeldBy(serde_json::from_str(&text).ok()));
        }
        Err(TryLockError::Error(error)) => return Err(failed()(error)),
    }
    let text = serde_json::to_vec(me).expect("numbers and texts are always JSON");
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(&text))
        .map_err(failed())?;
    Ok(Attempt::Got(file))
}

fn host() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let named = named.ok().map(|n| n.trim().to_owned());
    named
        .or_else(|| std::env::var("HOSTNAME").ok())
        .filter(|n| !n.is_empty())
        .unwrap_or_else(|| "an unnamed host".into())
}

/// A lease in an object store, and the thread that renews it.
#[derive(Debug)]
struct Lease {
    shared: Arc<LeaseState>,
    renewer: Option<Joined<()>>,
}

#[derive(Debug)]
struct LeaseState {
    storage: Arc<Storage>,
    clock: Arc<dyn Clock>,
    path: String,
    stop: AtomicBool,
    lost: AtomicBool,
    current: Mutex<(Holder, Option<UpdateVersion>)>,
}

fn try_lease(
    storage: &Arc<Storage>,
    files: &ObjectFiles,
    clock: &Arc<dyn Clock>,
    path: &str,
    mut me: Holder,
) -> Result<Attempt<Lease>> {
    me.expires_millis = Some(clock.now_millis() + LEASE_MILLIS);
    let expected = match files.get(storage, path)? {
        None => None,
        Some((bytes, version)) => {
            let holder: Option<Holder> = serde_json::from_slice(&bytes).ok();
            let expires = holder.as_ref().and_then(|h| h.expires_millis);
            if expires.is_some_and(|at| clock.now_millis() < at) {
                return Ok(Attempt::HeldBy(holder));
            }
            Some(version)
        }
    };
    let bytes = serde_json::to_vec(&me).expect("numbers and texts are always JSON");
    let version = match files.put_if(storage, path, bytes, expected)? {
        Conditional::Done(version) => version,
        Conditional::Conflict => return Ok(Attempt::HeldBy(None)),
    };
    let shared = Arc::new(LeaseState {
        storage: Arc::clone(storage),
        clock: Arc::clone(clock),
        path: path.into(),
        stop: AtomicBool::new(false),
        lost: AtomicBool::new(false),
        current: Mutex::new((me, version)),
    });
    let state = Arc::clone(&shared);
    let renewer = spawn("lease-renewer", move || state.renew_until_stopped())?;
    Ok(Attempt::Got(Lease {
        shared,
        renewer: Some(renewer),
    }))
}

impl LeaseState {
    fn renew_until_stopped(&self) {
        while !self.stop.load(Ordering::Acquire) && !self.lost.load(Ordering::Acquire) {
            // A real pause even under a manual clock, which decides only when it is time.
            std::thread::park_timeout(RENEW_POLL);
            if self.is_due()
                && let Err(error) = self.renew()
            {
                tracing::warn!(path = %self.path, %error, "could not renew a lease");
            }
        }
    }

    fn is_due(&self) -> bool {
        let current = self.current.lock().expect("no holder panics");
        let expires = current.0.expires_millis.unwrap_or(0);
        self.clock.now_millis() >= expires - LEASE_MILLIS * 2 / 3
    }

    fn renew(&self) -> Result<()> {
        let Backend::Object(files) = &self.storage.backend else {
            unreachable!("leases are only in object stores");
        };
        let mut current = self.current.lock().expect("no holder panics");
        let mut renewed = current.0.clone();
        renewed.expires_millis = Some(self.clock.now_millis() + LEASE_MILLIS);
        let bytes = serde_json::to_vec(&renewed).expect("numbers and texts are always JSON");
        match files.put_if(&self.storage, &self.path, bytes, current.1.clone())? {
            Conditional::Done(version) => *current = (renewed, version),
            Conditional::Conflict => self.lost.store(true, Ordering::Release),
        }
        Ok(())
    }
}

impl Lease {
    fn check(&self, table: &str) -> Result<()> {
        let current = self.shared.current.lock().expect("no holder panics");
        let expires = current.0.expires_millis.unwrap_or(0);
        let expired = self.shared.clock.now_millis() >= expires;
        if expired || self.shared.lost.load(Ordering::Acquire) {
            return Err(Error::LockLost {
                table: table.into(),
                holder: "another process, or nobody after it ran out".into(),
            });
        }
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(renewer) = self.renewer.take() {
            renewer.unpark();
            drop(renewer);
        }
        let Backend::Object(files) = &self.shared.storage.backend else {
            return;
        };
        if self.shared.lost.load(Ordering::Acquire) {
            return;
        }
        // Set as run out rather than removed: a removal could hit the lease of whoever came after
        // us.
        let current = self.shared.current.lock().expect("no holder panics");
        let mut released = current.0.clone();
        released.expires_millis = Some(0);
        let bytes = serde_json::to_vec(&released).expect("numbers and texts are always JSON");
        let version = current.1.clone();
        files
            .put_if(&self.shared.storage, &self.shared.path, bytes, version)
            .ok();
    }
}
