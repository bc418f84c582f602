//! A stream killed again and again, at any step, ends where one that was never killed does; and whoever reads meanwhile
//! sees what was true a moment ago, never less than was seen before.
//!
//! A kill is a failure that does not pass: of the store in the middle of its rows, of a checkpoint's file, of the topic.
//! Besides, messages come again, calls fail now and then, a batch lands, and some messages are broken.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use serde_json::json;
use unskewed_connectors::clock::{Clock, ManualClock};
use unskewed_connectors::error::{Error, Result};
use unskewed_connectors::kv::{Batch, BatchWrite, Get, KvStore, Memory, Put, Timed};
use unskewed_connectors::stream::checkpoint::Checkpoints;
use unskewed_connectors::table::Warehouse;
use unskewed_connectors::{Hook, Operation, Verdict};
use unskewed_engine::job::{self, Context, NoWatcher, Options, StreamSettings};
use unskewed_kernel::codec::stream_row::StreamRow;
use unskewed_planner::definition::Definition;
use unskewed_planner::serving::batch_dataset;
use unskewed_tests::random_join::Random;
use unskewed_tests::tables::code::TEMPORAL;
use unskewed_tests::tables::{DAY, START, group_by};
use unskewed_tests::topic::{Bad, Topic};

use super::online::definition;
use super::training::{TOPIC, fill, topic_of};

/// Steps until a kill; one budget for everything that can fail.
#[derive(Debug, Default)]
struct Fuse {
    steps: AtomicI64,
    /// From then on: nothing is waited for any more.
    burnt: AtomicBool,
}

impl Fuse {
    fn set(&self, steps: i64) {
        self.steps.store(steps, Ordering::Relaxed);
        self.burnt.store(false, Ordering::Release);
    }

    /// Whether it still burns.
    fn step(&self) -> bool {
        let burns = self.steps.fetch_sub(1, Ordering::Relaxed) > 0;
        self.burnt.fetch_or(!burns, Ordering::AcqRel);
        burns
    }
}

fn killed() -> Error {
    Error::Panicked {
        name: "killed by the test".into(),
    }
}

impl Hook for Fuse {
    fn before(&self, _: Operation, _: &str) -> Verdict {
        match self.step() {
            true => Verdict::Proceed,
            false => Verdict::Fail,
        }
    }
}

/// What is in the store of each key, and what it may be.
#[derive(Default)]
struct Seen {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// How many of a key's events have arrived at least, as rows show.
    arrived: BTreeMap<Vec<u8>, usize>,
}

/// A store that may be killed in the middle, and looks at all that is put.
struct Watched<'a> {
    inner: Memory,
    fuse: Arc<Fuse>,
    seen: Mutex<Seen>,
    /// The times of each key's events in the order in which they arrive; unknown of a first run.
    arrivals: Option<&'a BTreeMap<Vec<u8>, Vec<i64>>>,
}

impl Watched<'_> {
    /// That the row shows the first so many events of its key, and not fewer than before.
    fn look(&self, put: &Put<'_>) {
        let mut seen = self.seen.lock().unwrap();
        if let Some(arrivals) = self.arrivals {
            let row = StreamRow::read(put.value).unwrap();
            let times: Vec<i64> = row.entries.iter().map(|(time, _)| *time).collect();
            let all = &arrivals[put.key];
            let before = seen.arrived.get(put.key).copied().unwrap_or(0);
            let shown = |count: usize| {
                let mut first = all[..count].to_vec();
                first.retain(|time| *time >= row.since_millis);
                first.sort_unstable();
                first == times
            };
            let count = (before..=all.len()).find(|count| shown(*count));
            let count = count.unwrap_or_else(|| panic!("{times:?} after {before} of {all:?}"));
            seen.arrived.insert(put.key.to_vec(), count);
        }
        seen.rows.insert(put.key.to_vec(), put.value.to_vec());
    }
}

impl KvStore for Watched<'_> {
    fn create(&self, dataset: &str) -> Result<()> {
        self.inner.create(dataset)
    }

    fn batch(&self, dataset: &str) -> Result<Option<Batch>> {
        self.inner.batch(dataset)
    }

    fn multi_get(&self, gets: &[Get<'_>]) -> Result<Vec<Option<Timed>>> {
        self.inner.multi_get(gets)
    }

    fn multi_put(&self, puts: &[Put<'_>]) -> Result<()> {
        for put in puts {
            if !self.fuse.step() {
                return Err(killed());
            }
            self.look(put);
            self.inner.multi_put(std::slice::from_ref(put))?;
        }
        Ok(())
    }

    fn begin_batch(&self, dataset: &str, end_millis: i64) -> Result<Box<dyn BatchWrite + '_>> {
        self.inner.begin_batch(dataset, end_millis)
    }
}

/// One history.
struct History {
    folder: tempfile::TempDir,
    warehouse: Warehouse,
    clock: Arc<ManualClock>,
    definition: Definition,
    topics: BTreeMap<String, Topic>,
    arrivals: BTreeMap<Vec<u8>, Vec<i64>>,
}

impl History {
    fn new(random: &mut Random) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), random, 1);
        let sums = json!([{
            "inputColumn": "x", "operation": 7, "argMap": {},
            "windows": [{"length": 1, "timeUnit": 1}],
        }]);
        let mut right = group_by(&["user"], &["user", "x", "word"], &sums, TEMPORAL);
        right["sources"][0]["events"]["topic"] = json!(TOPIC);
        let topic = topic_of(folder.path(), "2024-01-01", random);
        let arrivals = arrivals(&topic);
        Self {
            warehouse: Warehouse::open(folder.path().to_str().unwrap()).unwrap(),
            folder,
            clock: Arc::new(ManualClock::at_millis(START)),
            definition: definition(&right),
            topics: BTreeMap::from([(TOPIC.to_owned(), topic)]),
            arrivals,
        }
    }

    fn store(&self, fuse: &Arc<Fuse>) -> Watched<'_> {
        Watched {
            inner: Memory::new(Arc::clone(&self.clock) as Arc<dyn Clock>),
            fuse: Arc::clone(fuse),
            seen: Mutex::default(),
            arrivals: Some(&self.arrivals),
        }
    }

    fn context(&self, workers: usize) -> Context<'_> {
        Context {
            warehouse: &self.warehouse,
            clock: self.clock.as_ref(),
            workers,
            memory_bytes: None,
            watcher: &NoWatcher,
        }
    }

    /// The rows that reading the tables once gives.
    fn expected(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let fuse = Arc::new(Fuse::default());
        fuse.set(i64::MAX);
        let store = Watched {
            arrivals: None,
            ..self.store(&fuse)
        };
        let since = "2024-01-01".parse().unwrap();
        let options = Options::until(since);
        job::replay(&self.definition, since, &options, &store, &self.context(1)).unwrap();
        store.seen.into_inner().unwrap().rows
    }

    /// Runs until the end of the topics or a kill.
    fn run(
        &self,
        store: &Watched<'_>,
        checkpoints: &Path,
        random: &mut Random,
    ) -> std::result::Result<(), String> {
        let hook = Arc::clone(&store.fuse) as Arc<dyn Hook>;
        let checkpoints = Checkpoints::open(checkpoints.to_str().unwrap(), Some(hook));
        let checkpoints = checkpoints.map_err(|error| error.to_string())?;
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let seed = random.below(1 << 30).cast_unsigned();
        let mut topics = Bad::new(&self.topics, clock, seed);
        topics.hiccups = [0, 3, 9][random.below(3) as usize];
        let settings = StreamSettings {
            epoch_messages: 1 + random.below(30) as usize,
            checkpoint_millis: random.below(2).cast_unsigned() * 20,
            ..StreamSettings::default()
        };
        let context = self.context(1 + random.below(2) as usize);
        let places = (
            &topics as &dyn job::Topics,
            checkpoints,
            store as &dyn KvStore,
        );
        let definitions = std::slice::from_ref(&self.definition);
        let streams = job::streams(definitions, &context).unwrap();
        let stop = &store.fuse.burnt;
        let done = job::stream(streams, places, &settings, stop, &context);
        done.map(drop).map_err(|error| error.to_string())
    }

    /// A batch until this instant is there from now on.
    fn land_batch(&self, store: &Watched<'_>, end_millis: i64) {
        let dataset = batch_dataset("team/right.v1");
        let batch = store.inner.begin_batch(&dataset, end_millis).unwrap();
        batch.commit(b"info", b"{}").unwrap();
    }
}

/// The times of each key's events as they arrive, by the key's bytes.
fn arrivals(topic: &Topic) -> BTreeMap<Vec<u8>, Vec<i64>> {
    let rows = topic.rows();
    let users = rows.column_by_name("user").unwrap().as_string::<i32>();
    let times = rows
        .column_by_name("ts")
        .unwrap()
        .as_primitive::<Int64Type>();
    let mut arrivals: BTreeMap<Vec<u8>, Vec<i64>> = BTreeMap::new();
    for row in topic.arriving() {
        let Some(user) = users.iter().nth(row as usize).flatten() else {
            continue;
        };
        // A record of one text that may be null.
        let mut key = vec![2, 2 * user.len() as u8];
        key.extend(user.as_bytes());
        arrivals
            .entry(key)
            .or_default()
            .push(times.value(row as usize));
    }
    arrivals
}

/// The entries of a row since an instant.
fn entries(row: &[u8], since: i64) -> Vec<(i64, Vec<u8>)> {
    let row = StreamRow::read(row).unwrap();
    assert!(row.since_millis <= since);
    let entries = row.entries.into_iter().filter(|(time, _)| *time >= since);
    entries
        .map(|(time, datum)| (time, datum.to_vec()))
        .collect()
}

fn check(seed: u64) -> usize {
    let mut random = Random(seed);
    let history = History::new(&mut random);
    let expected = history.expected();
    let fuse = Arc::new(Fuse::default());
    let store = history.store(&fuse);
    let checkpoints = history.folder.path().join("checkpoints");
    let (mut kills, mut since) = (0, 0);
    loop {
        let steps = match kills {
            // Enough to come to an end.
            120.. => i64::MAX,
            _ => random.below(14),
        };
        fuse.set(steps);
        match history.run(&store, &checkpoints, &mut random) {
            Ok(()) if !fuse.burnt.load(Ordering::Acquire) => break,
            // It was told to stop before it had caught up.
            Ok(()) => {}
            Err(error) => {
                let injected = error.contains("killed by the test") || error.contains("injected");
                assert!(injected, "seed {seed}, kill {kills}: {error}");
            }
        }
        kills += 1;
        if random.below(30) == 0 {
            let days = 2 + random.below(3);
            if START + days * DAY > since + 2 * DAY {
                since = START + (days - 2) * DAY;
                history.land_batch(&store, since + 2 * DAY);
            }
        }
    }
    let found = store.seen.into_inner().unwrap().rows;
    for (key, row) in &expected {
        let wanted = entries(row, START.max(since));
        let found = found.get(key).map(|row| entries(row, START.max(since)));
        assert_eq!(
            found.unwrap_or_default(),
            wanted,
            "seed {seed}, key {key:?}"
        );
    }
    kills
}

/// Some hundred kills.
#[test]
fn killed_anywhere() {
    let kills: usize = (1..=40).map(check).sum();
    assert!(kills > 300, "{kills}");
}
