//! Stores: the contract of each, and the one in TiKV while its cluster fails in every way the test server knows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a test says what it found")]

mod contract;
mod failing;
mod server;
mod under_load;

use unskewed_connectors::clock::{Clock, SystemClock};
use unskewed_connectors::kv::{Get, KvStore, Put};

/// Writes one single row.
fn put(store: &dyn KvStore, key: &str, value: &str) -> unskewed_connectors::error::Result<()> {
    store.multi_put(&[Put {
        dataset: "D",
        key: key.as_bytes(),
        value: value.as_bytes(),
        millis: 7,
        expires_millis: None,
    }])
}

/// Reads one single row.
fn get(store: &dyn KvStore, key: &str) -> unskewed_connectors::error::Result<Option<String>> {
    let get = Get {
        dataset: "D",
        generation: None,
        key: key.as_bytes(),
    };
    let found = store.multi_get(&[get])?.remove(0);
    Ok(found.map(|found| String::from_utf8(found.bytes).unwrap()))
}

/// An error and its causes, as one text.
fn text(error: &unskewed_connectors::error::Error) -> String {
    let cause = std::error::Error::source(error);
    let cause = cause.map(ToString::to_string).unwrap_or_default();
    format!("{error}: {cause}")
}

/// Does something until it goes well, for a bounded time.
fn until(what: &str, done: impl Fn() -> bool) {
    let clock = SystemClock::new();
    while !done() {
        assert!(clock.monotonic().as_secs() < 30, "{what}: not in time");
    }
}
