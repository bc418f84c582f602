//! The store in a TiKV cluster, by its raw interface: `tikv://pd1:2379,pd2:2379[/KEYSPACE][?OPTION=VALUE&…]`.
//!
//! Keys lie as [`layout`] says; a row is its time, its expiry and its value, as in the embedded store. A batch is named
//! by one row, which is written when all the others are there. [`address`] lists the options.
//!
//! # Promises, besides the contract
//! * A call is tried again when servers are busy, regions move or replies are lost ([`calls`]), within a limit of time.
//!   While the store is down, calls fail at once, and go on by themselves when it is back.
//! * A read is one request to each region that has one of its keys.
//! * Only puts that may be done twice, and removals of batches that nobody reads or ever will. No compare-and-swap.
//! * Numbers of batches are never used again, so rows of an abandoned batch that arrive late are nobody's.
//!
//! # What it does not promise
//! * Rows of one [`KvStore::multi_put`] are not written at one instant: a reader may see some of them, and a failed call
//!   leaves some.
//! * TiKV's own expiry only saves space, a while after the row's; the row's decides. In a cluster of API v1 without TTL,
//!   expired rows stay until they are replaced.
//!
//! # Around the client's faults (tikv-client 0.4)
//! * Its raw scan repeats rows, or does not end, when the range lies in the last region: never used.
//! * Its batch put says that all went well when it could not find a row's server: what is written is looked at.
//! * Calls that are given up go on: see [`session`]. Where it could not connect to a server it does not ask again who has
//!   the server's regions now: see [`failure::is_disconnected`].
//! * It does not ask a busy server again: see [`calls`].
//!
//! Nor is a key's TTL ever asked for: some servers without TTL crash on it.

mod address;
mod breaker;
mod calls;
mod failure;
mod layout;
mod session;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tikv_client::{Error as ClientError, RawClient, Result as ClientResult};

use self::address::Address;
use self::calls::{Reads, Writes};
use self::failure::Failure;
use self::layout::Layout;
use super::row::{packed, unpacked};
use super::{Batch, BatchWrite, Generation, Get, KvStore, Put, Timed};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// The most bytes of rows that are written by one call.
const PIECE_BYTES: usize = 1 << 20;

/// How long the first connection may take at most.
const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// TiKV may remove a row this long after its expiry: more than clocks of machines differ by.
const TTL_SLACK_SECONDS: u64 = 60;

/// The store.
pub struct Tikv {
    name: String,
    layout: Layout,
    clock: Arc<dyn Clock>,
    reads: Reads,
    writes: Writes,
    /// Whether the cluster lets rows expire; assumed until it says no.
    has_ttl: AtomicBool,
}

/// A row to write.
#[derive(Clone)]
struct Row {
    key: Vec<u8>,
    value: Vec<u8>,
    /// Seconds, or 0 for never.
    ttl: u64,
}

impl Tikv {
    /// Connects to the cluster of an address, which is what stands behind `tikv://`.
    pub(super) fn open(text: &str, clock: Arc<dyn Clock>) -> Result<Self> {
        let address = Address::parse(text).map_err(|problem| Error::InvalidStore {
            address: format!("tikv://{text}"),
            problem,
        })?;
        for file in address.security.iter().flatten() {
            std::fs::File::open(file).map_err(|source| Error::Io {
                action: "read",
                path: file.display().to_string(),
                source,
            })?;
        }
        let store = Self {
            name: address.name(),
            layout: Layout::new(&address.prefix),
            clock,
            reads: Reads::new(&address),
            writes: Writes::new(&address),
            has_ttl: AtomicBool::new(true),
        };
        let limit = address.read.max(OPEN_LIMIT);
        let key = store.layout.named("");
        let answer = store.reads.call_within(limit, |client| {
            let key = key.clone();
            async move { client.get(key).await }
        });
        answer.map_err(|failure| store.failed("connect to", failure))?;
        Ok(store)
    }

    fn failed(&self, action: &'static str, failure: Failure) -> Error {
        Error::Store {
            action,
            store: self.name.clone(),
            source: Box::new(failure),
        }
    }

    fn damaged(&self, dataset: &str) -> Error {
        Error::StoreDamaged {
            store: self.name.clone(),
            dataset: dataset.into(),
        }
    }

    /// What lies under keys, by key.
    fn values(&self, mut keys: Vec<Vec<u8>>) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        keys.sort();
        keys.dedup();
        if keys.is_empty() {
            return Ok(BTreeMap::new());
        }
        let read = self.reads.call(|client| {
            let keys = keys.clone();
            async move { client.batch_get(keys).await }
        });
        let pairs = read.map_err(|failure| self.failed("read", failure))?;
        Ok(pairs
            .into_iter()
            .map(|pair| (pair.0.into(), pair.1))
            .collect())
    }

    /// The row that names the batch readers see.
    fn named(&self, dataset: &str) -> Result<Option<Named>> {
        let key = self.layout.named(dataset);
        let found = self.values(vec![key])?.pop_first();
        let named =
            found.map(|(_, bytes)| Named::unpacked(&bytes).ok_or_else(|| self.damaged(dataset)));
        named.transpose()
    }

    /// Writes rows, of which later ones replace earlier ones, in pieces.
    fn write(&self, rows: Vec<Row>) -> Result<()> {
        // The client sends rows in no order, so a key must be there once.
        let rows: BTreeMap<Vec<u8>, Row> =
            rows.into_iter().map(|row| (row.key.clone(), row)).collect();
        let (mut piece, mut bytes) = (Vec::new(), 0);
        for row in rows.into_values() {
            let size = row.key.len() + row.value.len();
            if bytes + size > PIECE_BYTES && !piece.is_empty() {
                self.write_piece(&std::mem::take(&mut piece))?;
                bytes = 0;
            }
            bytes += size;
            piece.push(row);
        }
        match piece.is_empty() {
            true => Ok(()),
            false => self.write_piece(&piece),
        }
    }

    fn write_piece(&self, rows: &[Row]) -> Result<()> {
        let put = |has_ttl: bool| {
            let put = |client| put_and_look(client, rows.to_vec(), has_ttl);
            self.writes.call(put)
        };
        let has_ttl = self.has_ttl.load(Ordering::Relaxed);
        let written = match put(has_ttl) {
            Err(Failure::Refused { reason })
                if has_ttl && reason.contains("ttl is not enabled") =>
            {
                tracing::info!(store = %self.name, "the cluster has no TTL: expired rows stay until replaced");
                self.has_ttl.store(false, Ordering::Relaxed);
                put(false)
            }
            written => written,
        };
        written.map_err(|failure| self.failed("write to", failure))
    }

    /// A number that is larger than the current batch's, and that no abandoned batch has: the time, and some chance.
    fn unused(&self, current: Option<Generation>) -> Generation {
        const CHANCE_BITS: u32 = 20;
        let now = u64::try_from(self.clock.now_millis()).unwrap_or(0);
        let after = current.map_or(1, |current| current.0 + 1);
        let chance = RandomState::new().build_hasher().finish() >> (u64::BITS - CHANCE_BITS);
        Generation(after.max(now << CHANCE_BITS) + chance)
    }

    /// Removes all batches below a number but two. Never one above it: a removal that arrives late finds nothing new.
    fn remove_others(
        &self,
        dataset: &str,
        below: u64,
        kept: [Option<Generation>; 2],
    ) -> Result<()> {
        let mut from = 0;
        let mut ends: Vec<u64> = kept.into_iter().flatten().map(|kept| kept.0).collect();
        ends.sort_unstable();
        ends.push(below);
        for end in ends {
            if from < end {
                let range = self.layout.rows(dataset, &(from..end));
                let removed = self.writes.call(|client| {
                    let range = range.clone();
                    async move { client.delete_range(range).await }
                });
                removed.map_err(|failure| self.failed("remove a batch of", failure))?;
            }
            from = end + 1;
        }
        Ok(())
    }
}

impl KvStore for Tikv {
    fn create(&self, _dataset: &str) -> Result<()> {
        Ok(())
    }

    fn batch(&self, dataset: &str) -> Result<Option<Batch>> {
        Ok(self.named(dataset)?.map(|named| named.batch))
    }

    fn multi_get(&self, gets: &[Get<'_>]) -> Result<Vec<Option<Timed>>> {
        let now = self.clock.now_millis();
        let key = |get: &Get<'_>| match get.generation {
            Some(generation) => self.layout.row(get.dataset, generation, get.key),
            None => self.layout.single(get.dataset, get.key),
        };
        let keys: Vec<Vec<u8>> = gets.iter().map(key).collect();
        let values = self.values(keys.clone())?;
        let found = gets.iter().zip(&keys).map(|(get, key)| {
            let Some(bytes) = values.get(key) else {
                return Ok(None);
            };
            let unpacked = unpacked(bytes).ok_or_else(|| self.damaged(get.dataset));
            let (millis, expires, value) = unpacked?;
            Ok((now < expires).then(|| Timed {
                bytes: value.to_vec(),
                millis,
            }))
        });
        found.collect()
    }

    fn multi_put(&self, puts: &[Put<'_>]) -> Result<()> {
        let now = self.clock.now_millis();
        let row = |put: &Put<'_>| Row {
            key: self.layout.single(put.dataset, put.key),
            value: packed(put.value, put.millis, put.expires_millis),
            ttl: ttl_seconds(put.expires_millis, now),
        };
        self.write(puts.iter().map(row).collect())
    }

    fn begin_batch(&self, dataset: &str, end_millis: i64) -> Result<Box<dyn BatchWrite + '_>> {
        let named = self.named(dataset)?;
        let current = named.as_ref().map(|named| named.batch.generation);
        let generation = self.unused(current);
        let kept = [named.and_then(|named| named.before), current];
        self.remove_others(dataset, generation.0, kept)?;
        Ok(Box::new(Writing {
            store: self,
            dataset: dataset.into(),
            generation,
            before: current,
            end_millis,
            first: None,
        }))
    }
}

/// Writes rows and looks whether they are there: where the client cannot find out which server a row belongs to, it leaves
/// the row out and says that all went well.
async fn put_and_look(client: RawClient, rows: Vec<Row>, has_ttl: bool) -> ClientResult<()> {
    let ttls = rows.iter().map(|row| if has_ttl { row.ttl } else { 0 });
    let pairs = rows.iter().map(|row| (row.key.clone(), row.value.clone()));
    client
        .batch_put_with_ttl(pairs.collect::<Vec<_>>(), ttls.collect::<Vec<_>>())
        .await?;
    let keys = rows.iter().map(|row| row.key.clone());
    let found = client.batch_get(keys.collect::<Vec<_>>()).await?;
    let found: BTreeMap<&[u8], &[u8]> = found
        .iter()
        .map(|pair| ((&pair.0).into(), &pair.1[..]))
        .collect();
    let is_there = |row: &Row| found.get(&row.key[..]) == Some(&&row.value[..]);
    match rows.iter().all(is_there) {
        true => Ok(()),
        false => Err(ClientError::StringError(
            "not all rows are there after the write".into(),
        )),
    }
}

/// What names the batch readers see.
struct Named {
    batch: Batch,
    /// The one before, which may still be read.
    before: Option<Generation>,
}

impl Named {
    fn packed(&self) -> Vec<u8> {
        let Batch {
            generation,
            end_millis,
            info,
        } = &self.batch;
        let before = self.before.map_or(0, |before| before.0);
        let rest = packed(info, generation.0.cast_signed(), Some(*end_millis));
        [&before.to_be_bytes()[..], &rest].concat()
    }

    fn unpacked(bytes: &[u8]) -> Option<Self> {
        let (before, rest) = bytes.split_first_chunk::<8>()?;
        let before = u64::from_be_bytes(*before);
        let (generation, end_millis, info) = unpacked(rest)?;
        Some(Self {
            batch: Batch {
                generation: Generation(generation.cast_unsigned()),
                end_millis,
                info: info.to_vec(),
            },
            before: (before > 0).then_some(Generation(before)),
        })
    }
}

/// For how long TiKV must keep a row at least; 0 for ever.
fn ttl_seconds(expires_millis: Option<i64>, now_millis: i64) -> u64 {
    let Some(expires) = expires_millis else {
        return 0;
    };
    let left = u64::try_from(expires.saturating_sub(now_millis)).unwrap_or(0);
    left.div_ceil(1000).saturating_add(TTL_SLACK_SECONDS)
}

struct Writing<'a> {
    store: &'a Tikv,
    dataset: String,
    generation: Generation,
    before: Option<Generation>,
    end_millis: i64,
    /// The first row that was written.
    first: Option<Vec<u8>>,
}

impl Writing<'_> {
    /// If another batch of the dataset was begun since, this one's rows are gone, and naming it would show holes.
    fn refuse_if_removed(&self) -> Result<()> {
        let Some(first) = &self.first else {
            return Ok(());
        };
        match self.store.values(vec![first.clone()])?.is_empty() {
            false => Ok(()),
            true => Err(self.store.failed(
                "name a batch in",
                Failure::Refused {
                    reason:
                        "another batch of the dataset was begun meanwhile; write this one again"
                            .into(),
                },
            )),
        }
    }
}

impl BatchWrite for Writing<'_> {
    fn put(&mut self, rows: &[(&[u8], &[u8])]) -> Result<()> {
        let row = |(key, value): &(&[u8], &[u8])| Row {
            key: self.store.layout.row(&self.dataset, self.generation, key),
            value: packed(value, self.end_millis, None),
            ttl: 0,
        };
        let rows: Vec<Row> = rows.iter().map(row).collect();
        let first = rows.first().map(|row| row.key.clone());
        self.store.write(rows)?;
        self.first = self.first.take().or(first);
        Ok(())
    }

    fn commit(mut self: Box<Self>, info_key: &[u8], info: &[u8]) -> Result<()> {
        self.put(&[(info_key, info)])?;
        self.refuse_if_removed()?;
        // All rows are there before the batch is named; naming it twice is naming it once.
        let named = Named {
            batch: Batch {
                generation: self.generation,
                end_millis: self.end_millis,
                info: info.to_vec(),
            },
            before: self.before,
        };
        self.store.write(vec![Row {
            key: self.store.layout.named(&self.dataset),
            value: named.packed(),
            ttl: 0,
        }])
    }
}

/// Whether a failed call may succeed later; `None` if the failure is another store's.
pub(crate) fn passes(source: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<bool> {
    source.downcast_ref::<Failure>().map(Failure::passes)
}
