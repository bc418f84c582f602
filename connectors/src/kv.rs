//! The key-value store that features are served from.
//!
//! ```text
//! begin_batch(dataset) ─ put … ─ commit(serving info)        readers: batch(dataset) → generation, serving info
//!                                                                     multi_get([dataset, generation, key]) → values
//! ```
//! A dataset holds single rows, or batches, or both. A batch is a *generation*: all its rows are written under a number
//! nobody reads yet, and naming the number together with the serving info, last, makes it the one readers see. So one
//! key is one get, no reader sees half a batch, and none needs a scan.
//!
//! # Contract
//! * Rows that [`KvStore::batch`] has told of are all there, and stay at least until the batch after the next begins.
//! * What was not committed is never seen; what was committed survives a kill.
//! * A row past its expiry is as good as gone. A later put of a key replaces the earlier one.
//! * A failed read is an error, never "nothing there".
//! * A failed write may have been done or not, in whole or in part; doing it again is right.

mod embedded;
mod memory;
mod row;
#[cfg(test)]
mod tests;
mod tikv;

use std::path::Path;
use std::sync::Arc;

pub use embedded::Embedded;
pub use memory::Memory;
pub use tikv::Tikv;
pub(crate) use tikv::passes;

use crate::clock::Clock;
use crate::error::{Error, Result};

/// The number of a batch of a dataset; later ones are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// The batch that readers see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What its rows are read by.
    pub generation: Generation,
    /// The instant it ends at, in milliseconds: everything before is in it.
    pub end_millis: i64,
    /// Its serving info.
    pub info: Vec<u8>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Get<'a> {
    /// The dataset.
    pub dataset: &'a str,
    /// The batch; `None` for a single row.
    pub generation: Option<Generation>,
    /// The key.
    pub key: &'a [u8],
}

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    /// The value.
    pub bytes: Vec<u8>,
    /// Its time in milliseconds: the batch's end, or what it was put with.
    pub millis: i64,
}

/// A single row to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put<'a> {
    /// The dataset.
    pub dataset: &'a str,
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// Its time in milliseconds.
    pub millis: i64,
    /// When it is gone, in milliseconds; `None` for never.
    pub expires_millis: Option<i64>,
}

/// A store.
pub trait KvStore: Send + Sync {
    /// Makes a dataset; fine if it is there.
    fn create(&self, dataset: &str) -> Result<()>;

    /// The batch of a dataset that readers see; `None` before the first.
    fn batch(&self, dataset: &str) -> Result<Option<Batch>>;

    /// What is there, in the order asked for.
    fn multi_get(&self, gets: &[Get<'_>]) -> Result<Vec<Option<Timed>>>;

    /// Writes single rows, all durable when it returns. Of a key that is there twice, the later row stays. Readers may see
    /// some rows before others.
    fn multi_put(&self, puts: &[Put<'_>]) -> Result<()>;

    /// Begins the next batch of a dataset. What an abandoned one left is removed. One batch of a dataset is written at
    /// a time.
    fn begin_batch(&self, dataset: &str, end_millis: i64) -> Result<Box<dyn BatchWrite + '_>>;
}

/// A batch being written. Dropped without a commit, it leaves nothing that readers see.
pub trait BatchWrite {
    /// Writes rows: keys and values.
    fn put(&mut self, rows: &[(&[u8], &[u8])]) -> Result<()>;

    /// Makes the batch the one readers see, with this serving info. The key under which the info lies among the rows,
    /// for readers that look there, is written last of all rows.
    fn commit(self: Box<Self>, info_key: &[u8], info: &[u8]) -> Result<()>;
}

/// Opens the store of an address: `embedded:DIR`, `tikv://PD:PORT,PD:PORT[/KEYSPACE][?OPTION=VALUE&…]` (options: `ca`,
/// `cert`, `key`, `prefix`, `read_millis`, `write_millis`), or `memory:`, which is gone when dropped.
pub fn open(address: &str, clock: Arc<dyn Clock>) -> Result<Arc<dyn KvStore>> {
    let invalid = |problem| Error::InvalidStore {
        address: address.into(),
        problem,
    };
    match address.split_once(':') {
        Some(("embedded", folder)) if !folder.is_empty() => {
            Ok(Arc::new(Embedded::open(Path::new(folder), clock)?))
        }
        Some(("embedded", _)) => Err(invalid("it names no folder")),
        Some(("memory", _)) => Ok(Arc::new(Memory::new(clock))),
        Some(("tikv", rest)) => match rest.strip_prefix("//") {
            Some(rest) => Ok(Arc::new(Tikv::open(rest, clock)?)),
            None => Err(invalid(
                "wanted is tikv://HOST:PORT,HOST:PORT: the members of PD",
            )),
        },
        _ => Err(invalid(
            "known are embedded:DIR, tikv://HOST:PORT,… and memory:",
        )),
    }
}
