//! `fetch WAREHOUSE STORE [--group-bys N] [--requests N] [--at DAY]`: how long a fetch takes.
//!
//! Over the events of the workload: uploads, loads and streams N group-bys of three operations over two windows, then
//! asks a join of all of them for random keys. Three ways: one key after the other as fast as they are answered; at a
//! steady rate, where an answer's time counts from when its request was due; and fifty keys a request. Prints a table.
#![allow(clippy::print_stdout, reason = "a command says what it found")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::executor::block_on;
use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};
use unskewed_connectors::clock::{Clock, SystemClock};
use unskewed_connectors::kv::{self, KvStore};
use unskewed_connectors::table::Warehouse;
use unskewed_engine::job::{self, Context, Job, Kind, MetadataFile, NoWatcher, Options};
use unskewed_fetcher::external::Registry;
use unskewed_fetcher::{Fetcher, Request, Settings, Value};
use unskewed_planner::definition::{Definition, Dialect};
use unskewed_planner::serving::metadata_key;
use unskewed_planner::time::Partition;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keys of the workload.
const KEYS: u64 = 200_000;
const JOIN: &str = "perf/fetched.v1";
const BATCH_OF: usize = 50;

struct Asked {
    warehouse: String,
    store: String,
    group_bys: usize,
    requests: u64,
    /// The last day: what comes after the batch.
    day: Partition,
}

fn main() -> Result<()> {
    let asked = arguments()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = kv::open(&asked.store, Arc::clone(&clock))?;
    fill(&asked, store.as_ref(), clock.as_ref())?;
    let fetcher = Fetcher::new(
        store,
        Arc::clone(&clock),
        Registry::default(),
        Settings::default(),
    );
    // As of the middle of the last day.
    let at_millis = asked.day.start_millis() + 43_200_000;
    let bench = Bench {
        fetcher,
        clock,
        at_millis,
    };
    bench.ask(&mut Keys(7), 1)?;
    println!(
        "a join of {} group-bys x 3 operations x 2 windows, {KEYS} keys, store {}\n",
        asked.group_bys,
        asked.store.split(':').next().unwrap_or_default()
    );
    println!("| how | requests | per second | p50 us | p99 us | p99.9 us | max us |");
    println!("|---|---|---|---|---|---|---|");
    let rate = bench.one_by_one(asked.requests)?;
    bench.steadily(asked.requests, rate * 0.5)?;
    bench.many_at_once(asked.requests / BATCH_OF as u64)
}

fn arguments() -> Result<Asked> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [warehouse, store, options @ ..] = &words[..] else {
        bail!("usage: fetch WAREHOUSE STORE [--group-bys N] [--requests N] [--at DAY]");
    };
    let mut asked = Asked {
        warehouse: warehouse.clone(),
        store: store.clone(),
        group_bys: 10,
        requests: 20_000,
        day: "2024-01-30".parse()?,
    };
    for pair in options.chunks(2) {
        match pair {
            [name, value] if name == "--group-bys" => asked.group_bys = value.parse()?,
            [name, value] if name == "--requests" => asked.requests = value.parse()?,
            [name, value] if name == "--at" => asked.day = value.parse()?,
            _ => bail!("{pair:?} is not understood"),
        }
    }
    Ok(asked)
}

fn group_by(number: usize) -> Json {
    let windows = json!([{"length": 1, "timeUnit": 1}, {"length": 7, "timeUnit": 1}]);
    // SUM, COUNT, LAST
    let aggregations = [7, 6, 3].map(|operation| {
        json!({"inputColumn": "amount", "operation": operation, "argMap": {}, "windows": windows})
    });
    json!({
        "metaData": {"name": format!("perf.fetched_{number}"), "online": 1, "team": "perf", "outputNamespace": "perf_out"},
        "sources": [{"events": {"table": "perf.events", "query": {
            "selects": {"user": "user", "amount": "amount"}, "timeColumn": "ts",
        }}}],
        "keyColumns": ["user"], "aggregations": aggregations, "accuracy": 0,
    })
}

/// Uploads, loads and streams everything.
fn fill(asked: &Asked, store: &dyn KvStore, clock: &dyn Clock) -> Result<()> {
    let warehouse = Warehouse::open(&asked.warehouse)?;
    let context = Context {
        warehouse: &warehouse,
        clock,
        workers: 2,
        memory_bytes: None,
        watcher: &NoWatcher,
    };
    let load = |json: &Json| {
        let loaded = Definition::load(&json.to_string(), Dialect::Airbnb);
        loaded.map_err(|problems| anyhow::anyhow!("{problems:?}"))
    };
    let groups: Vec<Json> = (0..asked.group_bys).map(group_by).collect();
    for group in &groups {
        let definition = load(group)?;
        let options = Options::until(asked.day.plus_days(-1));
        let job = Job {
            kind: Kind::GroupByUpload,
            definition: definition.clone(),
            options: options.clone(),
        };
        job::run(&job, &context)?;
        job::bulk_load(&definition, store, &context)?;
        job::replay(&definition, asked.day, &options, store, &context)?;
    }
    let parts: Vec<Json> = groups
        .iter()
        .map(|group| json!({"groupBy": group}))
        .collect();
    let join = load(&json!({
        "metaData": {"name": "perf.fetched.v1", "online": 1, "team": "perf", "outputNamespace": "perf_out"},
        "left": {"events": {"table": "perf.queries", "query": {"selects": {"user": "user"}, "timeColumn": "ts"}}},
        "joinParts": parts,
    }))?;
    let file = MetadataFile {
        key: metadata_key(&join),
        definition: join,
    };
    job::metadata_upload(&[file], false, store, clock)?;
    Ok(())
}

/// Keys in a repeatable random order.
struct Keys(u64);

impl Keys {
    fn next(&mut self) -> Value {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Value::Long(((self.0 >> 33) % KEYS) as i64)
    }
}

struct Bench {
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    at_millis: i64,
}

impl Bench {
    /// Asks for so many random keys in one request, and looks at what comes back.
    fn ask(&self, keys: &mut Keys, count: usize) -> Result<()> {
        let request = |keys: &mut Keys| Request {
            name: JOIN.into(),
            keys: BTreeMap::from([("user".into(), keys.next())]),
            at_millis: Some(self.at_millis),
        };
        let requests: Vec<Request> = (0..count).map(|_| request(keys)).collect();
        for response in block_on(self.fetcher.fetch_join(&requests)) {
            let features = response.outcome?.context("a join has features")?;
            if let Some((prefix, error)) = features.failures.first_key_value() {
                bail!("{prefix}: {error}");
            }
        }
        Ok(())
    }

    /// One request after the other; how many a second.
    fn one_by_one(&self, requests: u64) -> Result<f64> {
        let (mut keys, mut times) = (Keys(1), Histogram::<u64>::new(3)?);
        let begun = self.clock.monotonic();
        for _ in 0..requests {
            let asked = self.clock.monotonic();
            self.ask(&mut keys, 1)?;
            times.record(micros(self.clock.monotonic() - asked))?;
        }
        Ok(show("one by one", &times, self.clock.monotonic() - begun))
    }

    /// Requests at a steady rate: what waits because others were slow counts its waiting.
    fn steadily(&self, requests: u64, rate: f64) -> Result<()> {
        let (mut keys, mut times) = (Keys(2), Histogram::<u64>::new(3)?);
        let begun = self.clock.monotonic();
        for number in 0..requests {
            let due = begun + Duration::from_secs_f64(number as f64 / rate);
            while self.clock.monotonic() < due {
                std::hint::spin_loop();
            }
            self.ask(&mut keys, 1)?;
            times.record(micros(self.clock.monotonic() - due))?;
        }
        show(
            &format!("steadily, {rate:.0} a second"),
            &times,
            self.clock.monotonic() - begun,
        );
        Ok(())
    }

    /// Many keys a request.
    fn many_at_once(&self, requests: u64) -> Result<()> {
        let (mut keys, mut times) = (Keys(3), Histogram::<u64>::new(3)?);
        let begun = self.clock.monotonic();
        for _ in 0..requests {
            let asked = self.clock.monotonic();
            self.ask(&mut keys, BATCH_OF)?;
            times.record(micros(self.clock.monotonic() - asked))?;
        }
        show(
            &format!("{BATCH_OF} keys a request"),
            &times,
            self.clock.monotonic() - begun,
        );
        Ok(())
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn show(how: &str, times: &Histogram<u64>, took: Duration) -> f64 {
    let rate = times.len() as f64 / took.as_secs_f64();
    let at = |quantile| times.value_at_quantile(quantile);
    println!(
        "| {how} | {} | {rate:.0} | {} | {} | {} | {} |",
        times.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        times.max()
    );
    rate
}
