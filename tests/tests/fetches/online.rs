//! A warehouse with a store beside it: upload, load, stream, fetch.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value as Json;
use unskewed_connectors::clock::{Clock, ManualClock};
use unskewed_connectors::kv::{Get, KvStore, Timed, open};
use unskewed_connectors::stream::checkpoint::Checkpoints;
use unskewed_connectors::table::Warehouse;
use unskewed_engine::job::{
    self, Context, Job, Kind, MetadataFile, NoWatcher, Options, Outcome, StreamSettings, Topics,
};
use unskewed_fetcher::external::Registry;
use unskewed_fetcher::log::{Background, Logged, ResponseLog, Roll, TableWriter};
use unskewed_fetcher::{Fetcher, Request, Response, Settings, Value};
use unskewed_kernel::codec::stream_row::StreamRow;
use unskewed_planner::definition::{Definition, Dialect};
use unskewed_planner::serving::metadata_key;
use unskewed_tests::topic::{Bad, Topic};

/// A warehouse and a store.
pub(crate) struct Online {
    warehouse: Warehouse,
    clock: Arc<ManualClock>,
    store: Arc<dyn KvStore>,
    workers: usize,
    /// What was logged so far.
    pub(crate) log: Arc<Kept>,
}

/// Keeps what is logged.
#[derive(Default)]
pub(crate) struct Kept(pub(crate) Mutex<Vec<Logged>>);

impl ResponseLog for Kept {
    fn log(&self, logged: Vec<Logged>) {
        self.0.lock().unwrap().extend(logged);
    }
}

impl Online {
    /// Over the tables of a folder, with a store in memory.
    pub(crate) fn new(folder: &Path, workers: usize) -> Self {
        Self::beside(folder, workers, "memory:")
    }

    /// Over the tables of a folder, with the store of an address.
    pub(crate) fn beside(folder: &Path, workers: usize, store: &str) -> Self {
        let clock = Arc::new(ManualClock::at_millis(0));
        let time = Arc::clone(&clock) as Arc<dyn Clock>;
        Self {
            warehouse: Warehouse::open(folder.to_str().unwrap()).unwrap(),
            store: open(store, time).unwrap(),
            clock,
            workers,
            log: Arc::default(),
        }
    }

    fn context(&self) -> Context<'_> {
        Context {
            warehouse: &self.warehouse,
            clock: self.clock.as_ref(),
            workers: self.workers,
            memory_bytes: None,
            watcher: &NoWatcher,
        }
    }

    /// Runs a job until a day.
    pub(crate) fn run(&self, kind: Kind, definition: &Definition, end: &str) -> Outcome {
        self.run_with(kind, definition, Options::until(end.parse().unwrap()))
    }

    /// Runs a job with these options.
    pub(crate) fn run_with(
        &self,
        kind: Kind,
        definition: &Definition,
        options: Options,
    ) -> Outcome {
        let job = Job {
            kind,
            definition: definition.clone(),
            options,
        };
        job::run(&job, &self.context()).unwrap()
    }

    /// Writes what was logged so far to a table, as a service does.
    pub(crate) fn write_log(&self, table: &str) {
        let table = self.warehouse.table(table).unwrap();
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let roll = Roll {
            bytes: 1 << 20,
            age: Duration::from_secs(60),
        };
        let writer = TableWriter::open(table, clock, roll).unwrap();
        let log = Background::start(writer).unwrap();
        log.log(self.log.0.lock().unwrap().clone());
    }

    /// Loads an upload.
    pub(crate) fn load(&self, definition: &Definition) {
        job::bulk_load(definition, self.store.as_ref(), &self.context()).unwrap();
    }

    /// Streams the tables since a day.
    pub(crate) fn stream(&self, definition: &Definition, since: &str) {
        let since = since.parse().unwrap();
        let options = Options::until(since);
        let store = self.store.as_ref();
        job::replay(definition, since, &options, store, &self.context()).unwrap();
    }

    /// Streams a topic to its end.
    pub(crate) fn stream_topic(
        &self,
        definition: &Definition,
        name: &str,
        topic: Topic,
        seed: u64,
    ) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::open(folder.path().to_str().unwrap(), None).unwrap();
        let topics = BTreeMap::from([(name.to_owned(), topic)]);
        let bad = Bad::new(&topics, Arc::clone(&self.clock) as Arc<dyn Clock>, seed);
        let places = (&bad as &dyn Topics, checkpoints, self.store.as_ref());
        let (settings, stop) = (StreamSettings::default(), AtomicBool::new(false));
        let streams = job::streams(std::slice::from_ref(definition), &self.context()).unwrap();
        job::stream(streams, places, &settings, &stop, &self.context()).unwrap()
    }

    /// What a stream stores of keys: times and datums.
    pub(crate) fn streamed(&self, dataset: &str, keys: &[Vec<u8>]) -> Vec<Vec<(i64, Vec<u8>)>> {
        let get = |key| Get {
            dataset,
            generation: None,
            key,
        };
        let gets: Vec<Get<'_>> = keys.iter().map(|key| get(key)).collect();
        let entries = |row: &Timed| -> Vec<(i64, Vec<u8>)> {
            let row = StreamRow::read(&row.bytes).unwrap();
            let owned = |(time, datum): &(i64, &[u8])| (*time, datum.to_vec());
            row.entries.iter().map(owned).collect()
        };
        let rows = self.store.multi_get(&gets).unwrap();
        rows.iter()
            .map(|row| row.as_ref().map_or(vec![], entries))
            .collect()
    }

    /// Stores a definition.
    pub(crate) fn describe(&self, definition: &Definition) {
        let file = MetadataFile {
            key: metadata_key(definition),
            definition: definition.clone(),
        };
        job::metadata_upload(&[file], false, self.store.as_ref(), self.clock.as_ref()).unwrap();
    }

    /// What answers, and logs what it says it should.
    pub(crate) fn fetcher(&self) -> Fetcher {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let store = Arc::clone(&self.store);
        let fetcher = Fetcher::new(store, clock, Registry::default(), Settings::default());
        fetcher.logging(Arc::clone(&self.log) as Arc<dyn ResponseLog>)
    }
}

/// A definition.
pub(crate) fn definition(json: &Json) -> Definition {
    Definition::load(&json.to_string(), Dialect::Airbnb).unwrap()
}

/// A request for keys as of a time.
pub(crate) fn request(name: &str, keys: &Json, at_millis: Option<i64>) -> Request {
    let keys = keys.as_object().unwrap().iter();
    Request {
        name: name.into(),
        keys: keys
            .map(|(name, value)| (name.clone(), Value::from_json(value)))
            .collect(),
        at_millis,
    }
}

/// An answer as the command writes it.
pub(crate) fn answer(response: &Response) -> Json {
    match &response.outcome {
        Ok(Some(features)) => serde_json::json!({"values": Json::Object(features.to_json())}),
        Ok(None) => serde_json::json!({"values": null}),
        Err(error) => serde_json::json!({"error": error.to_string()}),
    }
}
