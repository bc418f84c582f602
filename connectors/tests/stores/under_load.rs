//! The store in TiKV under load, while servers fail by a seeded schedule: no wrong value is ever read, nothing that was
//! written is lost, no value goes back in time, batches are whole, and when all is well again all reads are answered.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unskewed_connectors::clock::{Clock, SystemClock};
use unskewed_connectors::kv::{Get, KvStore, Put, Timed, open};
use unskewed_connectors::spawn::spawn;

use crate::server::Server;

const KEYS: usize = 24;
const BATCH_ROWS: usize = 40;
const STEPS: u64 = 30;

/// What the writers know.
#[derive(Default)]
struct Known {
    /// Of each key the last number whose write was answered, and the last that was tried.
    written: Vec<AtomicU64>,
    tried: Vec<AtomicU64>,
    /// The last batch that was begun, and the last whose commit was answered.
    begun: AtomicU64,
    committed: AtomicU64,
    ended: AtomicBool,
    failures: AtomicU64,
    reasons: Mutex<Vec<String>>,
}

impl Known {
    fn new() -> Self {
        let zeros = || (0..KEYS).map(|_| AtomicU64::new(0)).collect();
        Self {
            written: zeros(),
            tried: zeros(),
            ..Self::default()
        }
    }

    fn failed(&self, error: &unskewed_connectors::error::Error) {
        self.failures.fetch_add(1, Ordering::SeqCst);
        let mut reasons = self.reasons.lock().unwrap();
        if reasons.len() < 200 {
            reasons.push(crate::text(error));
        }
        drop(reasons);
        // While calls fail at once, servers need the processor more.
        SystemClock::new().sleep(Duration::from_millis(20));
    }

    fn goes_on(&self) -> bool {
        !self.ended.load(Ordering::SeqCst)
    }
}

fn key(number: usize) -> String {
    format!("key {number:03}")
}

/// Puts growing numbers under the keys of one writer.
fn write(store: &dyn KvStore, known: &Known, keys: std::ops::Range<usize>) {
    let mut number = 0_u64;
    while known.goes_on() {
        number += 1;
        let rows: Vec<(String, String)> = keys
            .clone()
            .map(|at| (key(at), format!("{}={number}", key(at))))
            .collect();
        let puts = rows.iter().map(|(key, value)| Put {
            dataset: "D",
            key: key.as_bytes(),
            value: value.as_bytes(),
            millis: 0,
            expires_millis: None,
        });
        for at in keys.clone() {
            known.tried[at].store(number, Ordering::SeqCst);
        }
        match store.multi_put(&puts.collect::<Vec<_>>()) {
            Ok(()) => {
                for at in keys.clone() {
                    known.written[at].store(number, Ordering::SeqCst);
                }
            }
            Err(error) => known.failed(&error),
        }
    }
}

/// Reads all keys: each number is at least what was written before the read, and at most what was tried before its end.
fn read_once(store: &dyn KvStore, known: &Known, seen: &mut [u64]) -> bool {
    let keys: Vec<String> = (0..KEYS).map(key).collect();
    let gets = keys.iter().map(|key| Get {
        dataset: "D",
        generation: None,
        key: key.as_bytes(),
    });
    let load = |numbers: &[AtomicU64]| -> Vec<u64> {
        numbers
            .iter()
            .map(|number| number.load(Ordering::SeqCst))
            .collect()
    };
    let written = load(&known.written);
    let found = match store.multi_get(&gets.collect::<Vec<_>>()) {
        Ok(found) => found,
        Err(error) => {
            known.failed(&error);
            return false;
        }
    };
    let tried = load(&known.tried);
    for (at, found) in found.iter().enumerate() {
        let number = found
            .as_ref()
            .map_or(0, |found| number_of(&keys[at], found));
        let least = written[at].max(seen[at]);
        assert!(number >= least, "{} is {number}, and was {least}", keys[at]);
        assert!(number <= tried[at], "{} is {number}", keys[at]);
        seen[at] = number;
    }
    true
}

fn number_of(key: &str, found: &Timed) -> u64 {
    let text = String::from_utf8(found.bytes.clone()).unwrap();
    let (of, number) = text.split_once('=').unwrap();
    assert_eq!(of, key, "another key's value");
    number.parse().unwrap()
}

/// Writes one batch after the other; all rows of the batch that ends at `n` hold `n`.
fn publish(store: &dyn KvStore, known: &Known) {
    let mut number = 0_u64;
    while known.goes_on() {
        number += 1;
        known.begun.store(number, Ordering::SeqCst);
        let written = (|| {
            let mut batch = store.begin_batch("G", i64::try_from(number).unwrap())?;
            for from in (0..BATCH_ROWS).step_by(10) {
                let rows = (from..from + 10).map(|at| (key(at), format!("{}={number}", key(at))));
                let rows: Vec<(String, String)> = rows.collect();
                let rows = rows
                    .iter()
                    .map(|(key, value)| (key.as_bytes(), value.as_bytes()));
                batch.put(&rows.collect::<Vec<_>>())?;
            }
            batch.commit(b"info", &number.to_be_bytes())
        })();
        match written {
            Ok(()) => known.committed.store(number, Ordering::SeqCst),
            Err(error) => known.failed(&error),
        }
    }
}

/// Reads the named batch: it is whole, and no older than the last one committed.
fn read_batch(
    store: &dyn KvStore,
    known: &Known,
    seen: &mut u64,
) -> unskewed_connectors::error::Result<()> {
    let committed = known.committed.load(Ordering::SeqCst);
    let Some(batch) = store.batch("G")? else {
        assert_eq!(committed, 0, "a committed batch is gone");
        return Ok(());
    };
    let number = u64::try_from(batch.end_millis).unwrap();
    assert_eq!(batch.info, number.to_be_bytes());
    assert!(
        number >= committed.max(*seen),
        "batch {number} after {committed}, {seen}"
    );
    *seen = number;
    let keys: Vec<String> = (0..BATCH_ROWS).map(key).collect();
    let gets = keys.iter().map(|key| Get {
        dataset: "G",
        generation: Some(batch.generation),
        key: key.as_bytes(),
    });
    let found = store.multi_get(&gets.collect::<Vec<_>>())?;
    // Its rows may go once the batch after the next has begun.
    let kept = known.begun.load(Ordering::SeqCst) < number + 2;
    for (key, found) in keys.iter().zip(&found) {
        match found {
            Some(found) => assert_eq!(number_of(key, found), number),
            None => assert!(!kept, "{key} of batch {number} is gone"),
        }
    }
    Ok(())
}

/// Ends the threads also when a check fails.
struct End(Arc<Known>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::SeqCst);
    }
}

/// Random numbers by a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// One thing goes wrong.
fn fail(server: &mut Server, random: &mut Random) {
    const KINDS: [&str; 8] = [
        "unavailable",
        "lost_reply",
        "not_leader",
        "epoch_not_match",
        "region_not_found",
        "server_is_busy",
        "store_not_match",
        "internal",
    ];
    let count = 1 + random.below(30);
    let stores = server.stores();
    let store = stores[random.below(stores.len() as u64) as usize];
    match random.below(9) {
        0 => {
            let dataset = if random.below(2) == 0 {
                "0100000001444b6579"
            } else {
                "020000000147"
            };
            let byte = random.below(256);
            server.admin(&format!("/split?hex=08756e736b65776564{dataset}{byte:02x}"));
        }
        1 => {
            let regions = server.admin("/regions");
            let all: Vec<&str> = regions.lines().collect();
            let at = random.below(all.len() as u64) as usize;
            let region = all[at].split(' ').nth(1).unwrap();
            server.admin(&format!("/leader?region={region}&store={store}"));
        }
        2 => {
            let millis = 20 + random.below(200);
            server.admin(&format!(
                "/inject?rpc=*&kind=delay&ms={millis}&count={count}"
            ));
        }
        3 => {
            server.admin(&format!("/stop?store={store}&down_ms=300&elect_ms=100"));
        }
        4 => {
            server.admin("/pd?down_ms=200");
        }
        5 => {
            server.admin("/pd?hang_ms=200");
        }
        6 if random.below(2) == 0 => {
            server.kill();
            server.restart();
        }
        _ => {
            let kind = KINDS[random.below(KINDS.len() as u64) as usize];
            server.admin(&format!("/inject?rpc=*&kind={kind}&count={count}"));
        }
    }
}

fn everything_fails(api: &str, rest: &str, seed: u64) {
    let Some(mut server) = Server::start(api, 3, &[]) else {
        return;
    };
    let address = server.address(&format!("{rest}?write_millis=5000"));
    let store = open(&address, Arc::new(SystemClock::new())).unwrap();
    let known = Arc::new(Known::new());
    let mut threads = Vec::new();
    for number in 0..2 {
        let (writer, of_writer) = (Arc::clone(&store), Arc::clone(&known));
        let keys = number * KEYS / 2..(number + 1) * KEYS / 2;
        let writing = move || write(writer.as_ref(), &of_writer, keys);
        threads.push(spawn("writer", writing).unwrap());
        // A reader as in another process.
        let reader = open(&address, Arc::new(SystemClock::new())).unwrap();
        let of_reader = Arc::clone(&known);
        let read = move || {
            let mut seen = vec![0; KEYS];
            while of_reader.goes_on() {
                read_once(reader.as_ref(), &of_reader, &mut seen);
            }
        };
        threads.push(spawn("reader", read).unwrap());
    }
    let (publisher, of_publisher) = (Arc::clone(&store), Arc::clone(&known));
    let publishing = move || publish(publisher.as_ref(), &of_publisher);
    threads.push(spawn("publisher", publishing).unwrap());
    let end = End(Arc::clone(&known));
    let mut random = Random(seed);
    let (mut seen, mut seen_batch) = (vec![0; KEYS], 0);
    let clock = SystemClock::new();
    for _ in 0..STEPS {
        fail(&mut server, &mut random);
        for _ in 0..10 {
            read_once(store.as_ref(), &known, &mut seen);
            if let Err(error) = read_batch(store.as_ref(), &known, &mut seen_batch) {
                known.failed(&error);
            }
        }
        if clock.monotonic().as_secs() > 15 {
            break;
        }
    }
    server.admin("/clear");
    let begun = clock.monotonic();
    let goes_on =
        |seen: &[u64], seen_batch| seen.iter().all(|number| *number > 0) && seen_batch > 0;
    while !read_once(store.as_ref(), &known, &mut seen)
        || read_batch(store.as_ref(), &known, &mut seen_batch).is_err()
        || !goes_on(&seen, seen_batch)
    {
        let waited = (clock.monotonic() - begun).as_secs();
        assert!(waited < 40, "reads and writes do not recover");
    }
    drop(end);
    for thread in threads {
        thread.join().unwrap();
    }
    let writes = seen.iter().sum::<u64>();
    let failures = known.failures.load(Ordering::SeqCst);
    println!("{api}, seed {seed}: {writes} rows, {seen_batch} batches, {failures} failed calls");
    for reason in known.reasons.lock().unwrap().iter() {
        assert!(
            reason.contains("it did not answer") || reason.contains("it was not asked"),
            "{reason}"
        );
    }
}

/// The seed of the schedule; `UNSKEWED_TEST_SEED` adds to it.
fn seed(seed: u64) -> u64 {
    let more = std::env::var("UNSKEWED_TEST_SEED").ok();
    seed + more.map_or(0, |more| more.parse::<u64>().unwrap())
}

/// API v1 with TTL.
#[test]
fn everything_fails_in_v1() {
    everything_fails("v1ttl", "", seed(0x5eed));
}

/// API v2, in a keyspace.
#[test]
fn everything_fails_in_v2() {
    everything_fails("v2", "/DEFAULT", seed(0xfeed));
}
