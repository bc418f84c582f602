//! `cargo run -p unskewed-connectors --example store -- ADDRESS [--rows N] [--row-bytes N] [--gets N] [--requests N]`:
//! how long a store's calls take.
//!
//! Loads a batch of N rows, reads a fetch's worth of random keys at a time (by one and by four threads), and writes rows
//! as a stream does. Prints a table. Over the test server of `tests/servers/tikv` it measures the way to TiKV, not TiKV.
#![allow(clippy::print_stdout, reason = "a command says what it found")]

use std::sync::Arc;
use std::time::Duration;

use unskewed_connectors::clock::{Clock, SystemClock};
use unskewed_connectors::kv::{self, Generation, Get, KvStore, Put};
use unskewed_connectors::spawn::spawn;

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

const DATASET: &str = "BENCH_BATCH";
const STREAM: &str = "BENCH_STREAMING";
/// Rows of one call while a batch is loaded.
const LOAD_ROWS: u64 = 1_000;
/// Rows of one call of a stream.
const STREAM_ROWS: u64 = 20;

#[derive(Clone)]
struct Asked {
    address: String,
    rows: u64,
    row_bytes: usize,
    gets: u64,
    requests: u64,
}

fn main() -> Result<()> {
    let asked = arguments()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = kv::open(&asked.address, Arc::clone(&clock))?;
    println!(
        "rows of {} bytes, {} gets a request\n",
        asked.row_bytes, asked.gets
    );
    println!("| what | calls | calls per second | p50 us | p99 us | p99.9 us | max us |");
    println!("|---|---|---|---|---|---|---|");
    load(&asked, store.as_ref(), clock.as_ref())?;
    let batch = store.batch(DATASET)?.ok_or("the batch was loaded")?;
    for threads in [1, 4] {
        read(&asked, &store, &clock, batch.generation, threads)?;
    }
    stream(&asked, store.as_ref(), clock.as_ref())
}

fn arguments() -> Result<Asked> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, options @ ..] = &words[..] else {
        return Err(
            "usage: store ADDRESS [--rows N] [--row-bytes N] [--gets N] [--requests N]".into(),
        );
    };
    let mut asked = Asked {
        address: address.clone(),
        rows: 100_000,
        row_bytes: 300,
        gets: 20,
        requests: 5_000,
    };
    for pair in options.chunks(2) {
        match pair {
            [name, value] if name == "--rows" => asked.rows = value.parse()?,
            [name, value] if name == "--row-bytes" => asked.row_bytes = value.parse()?,
            [name, value] if name == "--gets" => asked.gets = value.parse()?,
            [name, value] if name == "--requests" => asked.requests = value.parse()?,
            _ => return Err(format!("{pair:?} is not understood").into()),
        }
    }
    Ok(asked)
}

/// Bytes that do not compress.
fn value(asked: &Asked, number: u64) -> Vec<u8> {
    let mut random = number;
    let next = || {
        random = next(random);
        (random >> 56) as u8
    };
    std::iter::repeat_with(next).take(asked.row_bytes).collect()
}

fn next(random: u64) -> u64 {
    random
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407)
}

fn load(asked: &Asked, store: &dyn KvStore, clock: &dyn Clock) -> Result<()> {
    let mut times: Vec<u64> = Vec::new();
    let begun = clock.monotonic();
    let mut batch = store.begin_batch(DATASET, 1)?;
    for from in (0..asked.rows).step_by(LOAD_ROWS as usize) {
        let numbers = from..asked.rows.min(from + LOAD_ROWS);
        let rows: Vec<_> = numbers
            .map(|number| (number.to_be_bytes(), value(asked, number)))
            .collect();
        let rows: Vec<(&[u8], &[u8])> = rows
            .iter()
            .map(|(key, value)| (&key[..], &value[..]))
            .collect();
        let called = clock.monotonic();
        batch.put(&rows)?;
        times.push(micros(clock.monotonic() - called));
    }
    batch.commit(b"info", b"info")?;
    let took = clock.monotonic() - begun;
    let rate = asked.rows as f64 / took.as_secs_f64();
    show(
        &format!("load {LOAD_ROWS} rows ({rate:.0} rows a second)"),
        times,
        took,
    );
    Ok(())
}

fn read(
    asked: &Asked,
    store: &Arc<dyn KvStore>,
    clock: &Arc<dyn Clock>,
    generation: Generation,
    threads: u64,
) -> Result<()> {
    let begun = clock.monotonic();
    let reading = (0..threads).map(|thread| {
        let (asked, store, clock) = (asked.clone(), Arc::clone(store), Arc::clone(clock));
        spawn("reader", move || -> Result<Vec<u64>> {
            let mut times: Vec<u64> = Vec::new();
            let mut random = thread + 1;
            for _ in 0..asked.requests {
                let mut key = || {
                    random = next(random);
                    ((random >> 33) % asked.rows).to_be_bytes()
                };
                let keys: Vec<[u8; 8]> = (0..asked.gets).map(|_| key()).collect();
                let get = |key| Get {
                    dataset: DATASET,
                    generation: Some(generation),
                    key,
                };
                let gets: Vec<Get<'_>> = keys.iter().map(|key| get(&key[..])).collect();
                let called = clock.monotonic();
                let found = store.multi_get(&gets)?;
                times.push(micros(clock.monotonic() - called));
                if found.iter().any(Option::is_none) {
                    return Err("a row is not there".into());
                }
            }
            Ok(times)
        })
    });
    let reading = reading.collect::<Result<Vec<_>, _>>()?;
    let mut times: Vec<u64> = Vec::new();
    for thread in reading {
        times.extend(thread.join()??);
    }
    let what = format!("read, {threads} at once");
    show(&what, times, clock.monotonic() - begun);
    Ok(())
}

fn stream(asked: &Asked, store: &dyn KvStore, clock: &dyn Clock) -> Result<()> {
    let mut times: Vec<u64> = Vec::new();
    let begun = clock.monotonic();
    let mut random = 7;
    for _ in 0..asked.requests.div_ceil(10) {
        let mut row = || {
            random = next(random);
            let number = (random >> 33) % asked.rows;
            (number.to_be_bytes(), value(asked, random))
        };
        let rows: Vec<_> = (0..STREAM_ROWS).map(|_| row()).collect();
        let puts = rows.iter().map(|(key, value)| Put {
            dataset: STREAM,
            key: &key[..],
            value,
            millis: 0,
            expires_millis: None,
        });
        let puts: Vec<Put<'_>> = puts.collect();
        let called = clock.monotonic();
        store.multi_put(&puts)?;
        times.push(micros(clock.monotonic() - called));
    }
    let what = format!("write {STREAM_ROWS} rows");
    show(&what, times, clock.monotonic() - begun);
    Ok(())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn show(what: &str, mut times: Vec<u64>, took: Duration) {
    times.sort_unstable();
    let rate = times.len() as f64 / took.as_secs_f64();
    let at = |permille: usize| {
        let last = times.len().saturating_sub(1);
        times.get(last * permille / 1000).copied().unwrap_or(0)
    };
    println!(
        "| {what} | {} | {rate:.0} | {} | {} | {} | {} |",
        times.len(),
        at(500),
        at(990),
        at(999),
        at(1000)
    );
}
