//! The store in a folder, on the LSM tree of `fjall`.
//!
//! One keyspace a dataset for single rows and one a batch, so that an old batch goes as a whole; a keyspace `batches`
//! names the current one of each dataset. A row is its time, its expiry and its value. The folder belongs to one
//! process at a time. What was committed or put is on disk before the call returns.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::row::{packed, unpacked};
use super::{Batch, BatchWrite, Generation, Get, KvStore, Put, Timed};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// The keyspace that names the current batch of each dataset.
const BATCHES: &str = "batches";

/// The store.
pub struct Embedded {
    folder: PathBuf,
    database: Database,
    batches: Keyspace,
    clock: Arc<dyn Clock>,
}

impl Embedded {
    /// Opens the folder, or makes it.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let database = Database::builder(folder)
            .open()
            .map_err(|error| match error {
                fjall::Error::Locked => Error::StoreLocked {
                    folder: folder.display().to_string(),
                },
                error => failed(folder, "open")(error),
            })?;
        let batches = database
            .keyspace(BATCHES, KeyspaceCreateOptions::default)
            .map_err(failed(folder, "open"))?;
        Ok(Self {
            folder: folder.into(),
            database,
            batches,
            clock,
        })
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(fjall::Error) -> Error {
        failed(&self.folder, action)
    }

    /// A keyspace, made if it is not there.
    fn keyspace(&self, name: &str) -> Result<Keyspace> {
        if u8::try_from(name.len()).is_err() {
            return Err(Error::InvalidStore {
                address: format!("dataset {name}"),
                problem: "its name is too long for the embedded store",
            });
        }
        let made = self.database.keyspace(name, KeyspaceCreateOptions::default);
        made.map_err(self.failed("open a dataset of"))
    }

    /// A keyspace that is there.
    fn existing(&self, name: &str) -> Result<Option<Keyspace>> {
        match self.database.keyspace_exists(name) {
            true => self.keyspace(name).map(Some),
            false => Ok(None),
        }
    }

    fn persist(&self) -> Result<()> {
        let persisted = self.database.persist(PersistMode::SyncAll);
        persisted.map_err(self.failed("write to"))
    }

    /// The batches of a dataset that have rows, by their keyspaces.
    fn generations(&self, dataset: &str) -> Vec<(Generation, String)> {
        let prefix = batch_prefix(dataset);
        let names = self.database.list_keyspace_names().into_iter();
        let generation = |name: String| {
            let number = name.strip_prefix(&prefix)?.parse().ok()?;
            Some((Generation(number), name))
        };
        names
            .filter_map(|name| generation(name.to_string()))
            .collect()
    }

    fn remove(&self, name: &str) -> Result<()> {
        match self.existing(name)? {
            Some(keyspace) => {
                let removed = self.database.delete_keyspace(keyspace);
                removed.map_err(self.failed("remove a batch of"))
            }
            None => Ok(()),
        }
    }
}

fn failed(folder: &Path, action: &'static str) -> impl FnOnce(fjall::Error) -> Error {
    let folder = folder.display().to_string();
    move |source| Error::Store {
        action,
        store: folder,
        source: Box::new(source),
    }
}

fn rows_name(dataset: &str) -> String {
    format!("rows.{dataset}")
}

fn batch_prefix(dataset: &str) -> String {
    format!("batch.{dataset}.")
}

fn batch_name(dataset: &str, generation: Generation) -> String {
    format!("{}{}", batch_prefix(dataset), generation.0)
}

impl KvStore for Embedded {
    fn create(&self, dataset: &str) -> Result<()> {
        self.keyspace(&rows_name(dataset)).map(drop)
    }

    fn batch(&self, dataset: &str) -> Result<Option<Batch>> {
        let found = self.batches.get(dataset).map_err(self.failed("read"))?;
        let Some(bytes) = found else {
            return Ok(None);
        };
        let damaged = || Error::StoreDamaged {
            store: self.folder.display().to_string(),
            dataset: dataset.into(),
        };
        let (generation, end_millis, info) = unpacked(&bytes).ok_or_else(damaged)?;
        Ok(Some(Batch {
            generation: Generation(generation.cast_unsigned()),
            end_millis,
            info: info.to_vec(),
        }))
    }

    fn multi_get(&self, gets: &[Get<'_>]) -> Result<Vec<Option<Timed>>> {
        let now = self.clock.now_millis();
        let mut last: Option<(String, Option<Keyspace>)> = None;
        let mut found = Vec::with_capacity(gets.len());
        for get in gets {
            let name = match get.generation {
                Some(generation) => batch_name(get.dataset, generation),
                None => rows_name(get.dataset),
            };
            // Gets of a dataset mostly come together.
            if last.as_ref().is_none_or(|(known, _)| *known != name) {
                let keyspace = self.existing(&name)?;
                last = Some((name, keyspace));
            }
            let Some((_, Some(keyspace))) = &last else {
                found.push(None);
                continue;
            };
            let bytes = keyspace.get(get.key).map_err(self.failed("read"))?;
            found.push(match &bytes {
                None => None,
                Some(bytes) => {
                    let damaged = || Error::StoreDamaged {
                        store: self.folder.display().to_string(),
                        dataset: get.dataset.into(),
                    };
                    let (millis, expires, value) = unpacked(bytes).ok_or_else(damaged)?;
                    (now < expires).then(|| Timed {
                        bytes: value.to_vec(),
                        millis,
                    })
                }
            });
        }
        Ok(found)
    }

    fn multi_put(&self, puts: &[Put<'_>]) -> Result<()> {
        let mut batch = self.database.batch();
        for put in puts {
            let keyspace = self.keyspace(&rows_name(put.dataset))?;
            batch.insert(
                &keyspace,
                put.key,
                packed(put.value, put.millis, put.expires_millis),
            );
        }
        batch.commit().map_err(self.failed("write to"))?;
        self.persist()
    }

    fn begin_batch(&self, dataset: &str, end_millis: i64) -> Result<Box<dyn BatchWrite + '_>> {
        let current = self.batch(dataset)?.map(|batch| batch.generation);
        let generations = self.generations(dataset);
        let before = generations.iter().map(|(generation, _)| *generation);
        // The one before the current may still be read.
        let before = before
            .filter(|generation| Some(*generation) < current)
            .max();
        for (generation, name) in &generations {
            if ![current, before].contains(&Some(*generation)) {
                self.remove(name)?;
            }
        }
        let generation = Generation(current.map_or(1, |current| current.0 + 1));
        let rows = self.keyspace(&batch_name(dataset, generation))?;
        Ok(Box::new(Writing {
            store: self,
            dataset: dataset.into(),
            generation,
            end_millis,
            rows,
        }))
    }
}

struct Writing<'a> {
    store: &'a Embedded,
    dataset: String,
    generation: Generation,
    end_millis: i64,
    rows: Keyspace,
}

impl BatchWrite for Writing<'_> {
    fn put(&mut self, rows: &[(&[u8], &[u8])]) -> Result<()> {
        let mut batch = self.store.database.batch();
        for (key, value) in rows {
            batch.insert(&self.rows, *key, packed(value, self.end_millis, None));
        }
        batch.commit().map_err(self.store.failed("write to"))
    }

    fn commit(mut self: Box<Self>, info_key: &[u8], info: &[u8]) -> Result<()> {
        self.put(&[(info_key, info)])?;
        // All rows are on disk before the batch is named.
        self.store.persist()?;
        let generation = self.generation.0.cast_signed();
        let named = packed(info, generation, Some(self.end_millis));
        let inserted = self.store.batches.insert(self.dataset.as_str(), named);
        inserted.map_err(self.store.failed("write to"))?;
        self.store.persist()
    }
}
