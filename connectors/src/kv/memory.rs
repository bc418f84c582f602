//! The store in memory: the plain twin of the others, for tests and examples.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, BatchWrite, Generation, Get, KvStore, Put, Timed};
use crate::clock::Clock;
use crate::error::Result;

/// Where a row lies: dataset, batch or none, key.
type Place = (String, Option<Generation>, Vec<u8>);

/// The store.
#[derive(Debug)]
pub struct Memory {
    clock: Arc<dyn Clock>,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    datasets: BTreeSet<String>,
    batches: BTreeMap<String, Batch>,
    rows: BTreeMap<Place, (Timed, Option<i64>)>,
}

impl Memory {
    /// An empty store.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            content: Mutex::default(),
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KvStore for Memory {
    fn create(&self, dataset: &str) -> Result<()> {
        self.content().datasets.insert(dataset.into());
        Ok(())
    }

    fn batch(&self, dataset: &str) -> Result<Option<Batch>> {
        Ok(self.content().batches.get(dataset).cloned())
    }

    fn multi_get(&self, gets: &[Get<'_>]) -> Result<Vec<Option<Timed>>> {
        let now = self.clock.now_millis();
        let content = self.content();
        let get = |get: &Get<'_>| {
            let place = (get.dataset.to_owned(), get.generation, get.key.to_vec());
            let found = content.rows.get(&place);
            let alive = found.filter(|(_, expires)| expires.is_none_or(|at| now < at));
            alive.map(|(value, _)| value.clone())
        };
        Ok(gets.iter().map(get).collect())
    }

    fn multi_put(&self, puts: &[Put<'_>]) -> Result<()> {
        let mut content = self.content();
        for put in puts {
            let value = Timed {
                bytes: put.value.to_vec(),
                millis: put.millis,
            };
            let place = (put.dataset.to_owned(), None, put.key.to_vec());
            content.rows.insert(place, (value, put.expires_millis));
        }
        Ok(())
    }

    fn begin_batch(&self, dataset: &str, end_millis: i64) -> Result<Box<dyn BatchWrite + '_>> {
        let mut content = self.content();
        let current = content.batches.get(dataset).map(|batch| batch.generation);
        let own = |(name, generation, _): &Place| name == dataset && generation.is_some();
        // The one before the current may still be read.
        let before = content.rows.keys().filter(|place| own(place));
        let before = before
            .filter_map(|place| place.1)
            .filter(|g| Some(*g) < current);
        let kept = [current, before.max()];
        content
            .rows
            .retain(|place, _| !own(place) || kept.contains(&place.1));
        let generation = Generation(current.map_or(1, |current| current.0 + 1));
        Ok(Box::new(Writing {
            store: self,
            dataset: dataset.into(),
            generation,
            end_millis,
        }))
    }
}

struct Writing<'a> {
    store: &'a Memory,
    dataset: String,
    generation: Generation,
    end_millis: i64,
}

impl BatchWrite for Writing<'_> {
    fn put(&mut self, rows: &[(&[u8], &[u8])]) -> Result<()> {
        let mut content = self.store.content();
        for (key, value) in rows {
            let value = Timed {
                bytes: value.to_vec(),
                millis: self.end_millis,
            };
            let place = (self.dataset.clone(), Some(self.generation), key.to_vec());
            content.rows.insert(place, (value, None));
        }
        Ok(())
    }

    fn commit(mut self: Box<Self>, info_key: &[u8], info: &[u8]) -> Result<()> {
        self.put(&[(info_key, info)])?;
        let batch = Batch {
            generation: self.generation,
            end_millis: self.end_millis,
            info: info.to_vec(),
        };
        self.store.content().batches.insert(self.dataset, batch);
        Ok(())
    }
}
