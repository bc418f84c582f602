//! `stream FOLDER [--events N] [--keys N] [--rate N] [--seconds N] [--tiled] [--workers N]`: what a stream takes in.
//!
//! Events of a topic in memory, by Zipf-like keys, to a group-by of six operations over two windows in the embedded
//! store. First as fast as they are taken; then at a steady rate, where an event's delay counts from when it was due to
//! when a fetch would see it. Prints a table.
#![allow(clippy::print_stdout, reason = "a command says what it found")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, new_null_array};
use arrow_schema::SchemaRef;
use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};
use unskewed_connectors::clock::{Clock, SystemClock};
use unskewed_connectors::error::Result as Connected;
use unskewed_connectors::kv::{self, Batch, BatchWrite, Get, KvStore, Put, Timed};
use unskewed_connectors::stream::checkpoint::Checkpoints;
use unskewed_connectors::stream::{
    Decoded, Decoder, Message, Messages, Polled, Positions, Source, Start, TopicPartition,
    dead_letter,
};
use unskewed_connectors::table::{PartitionKey, Warehouse, WriteOptions};
use unskewed_engine::job::{self, Context, NoWatcher, Opened, StreamSettings, Topics};
use unskewed_planner::definition::{Definition, Dialect};
use unskewed_planner::physical::Receive;
use unskewed_planner::schema::{DataType, Field, Schema};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone, Debug)]
struct Asked {
    folder: String,
    events: u64,
    keys: u64,
    rate: u64,
    seconds: u64,
    tiled: bool,
    workers: usize,
}

fn main() -> Result<()> {
    let asked = arguments()?;
    println!("{asked:?}\n");
    println!(
        "| how | events | seconds | CPU s | events/s | events/s/core | delay p50 ms | p99 ms | max ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    run(&asked, "as fast as they are taken", asked.events, None)?;
    let steady = asked.rate * asked.seconds;
    let how = format!("steadily, {} a second", asked.rate);
    run(&asked, &how, steady, Some(asked.rate))
}

fn arguments() -> Result<Asked> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, options @ ..] = &words[..] else {
        bail!(
            "usage: stream FOLDER [--events N] [--keys N] [--rate N] [--seconds N] [--tiled] [--workers N]"
        );
    };
    let mut asked = Asked {
        folder: folder.clone(),
        events: 2_000_000,
        keys: 200_000,
        rate: 20_000,
        seconds: 20,
        tiled: false,
        workers: 1,
    };
    let mut options = options.iter();
    while let Some(name) = options.next() {
        let mut value = || options.next().map_or("", String::as_str);
        match name.as_str() {
            "--events" => asked.events = value().parse()?,
            "--keys" => asked.keys = value().parse()?,
            "--rate" => asked.rate = value().parse()?,
            "--seconds" => asked.seconds = value().parse()?,
            "--workers" => asked.workers = value().parse()?,
            "--tiled" => asked.tiled = true,
            _ => bail!("{name:?} is not understood"),
        }
    }
    Ok(asked)
}

fn group_by(tiled: bool) -> Json {
    let windows = json!([{"length": 1, "timeUnit": 0}, {"length": 7, "timeUnit": 1}]);
    // SUM, COUNT, LAST, MIN, MAX, AVERAGE
    let aggregations = [7, 6, 3, 0, 1, 8].map(|operation| {
        json!({"inputColumn": "amount", "operation": operation, "argMap": {}, "windows": windows})
    });
    json!({
        "metaData": {
            "name": "perf.streamed", "online": 1, "team": "perf", "outputNamespace": "perf_out",
            "customJson": json!({"enable_tiling": tiled}).to_string(),
        },
        "sources": [{"events": {"table": "perf.events", "topic": "events", "query": {
            "selects": {"user": "user", "amount": "amount"}, "timeColumn": "ts",
        }}}],
        "keyColumns": ["user"], "aggregations": aggregations, "accuracy": 0,
    })
}

/// The table behind the topic, for its columns.
fn write_table(warehouse: &Warehouse) -> Result<()> {
    let types = [
        ("user", DataType::Long),
        ("amount", DataType::Double),
        ("ts", DataType::Long),
    ];
    let fields = types.map(|(name, data_type)| Field::new(name, data_type));
    let schema = Schema::new(fields.into());
    let write = warehouse.table("perf.events")?.begin_write()?;
    let key = PartitionKey::new([("ds", "2024-01-01".to_owned())]);
    let mut writer = write.writer(&schema, &key, 0, &WriteOptions::default())?;
    let arrow: SchemaRef = Arc::new(schema.to_arrow());
    writer.write(&rows(&arrow, &[0], 1))?;
    write.commit(vec![writer.finish()?])?;
    Ok(())
}

/// One run to the end of so many events, at a rate or as fast as possible.
fn run(asked: &Asked, how: &str, events: u64, rate: Option<u64>) -> Result<()> {
    let folder = tempfile_in(&asked.folder)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let warehouse = Warehouse::open(&format!("{folder}/warehouse"))?;
    write_table(&warehouse)?;
    let definition = Definition::load(&group_by(asked.tiled).to_string(), Dialect::Airbnb);
    let definition = definition.map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let puts = Arc::new(AtomicU64::new(0));
    let store = Counted {
        inner: kv::open(&format!("embedded:{folder}/kv"), Arc::clone(&clock))?,
        puts: Arc::clone(&puts),
    };
    let topic = Generated {
        events,
        keys: asked.keys,
        rate,
        clock: Arc::clone(&clock),
        puts,
        delays: Arc::new(Mutex::new(Histogram::new_with_bounds(1, 60_000_000, 3)?)),
    };
    let checkpoints = Checkpoints::open(&format!("{folder}/checkpoints"), None)?;
    let context = Context {
        warehouse: &warehouse,
        clock: clock.as_ref(),
        workers: asked.workers,
        memory_bytes: None,
        watcher: &NoWatcher,
    };
    let (began, cpu) = (clock.monotonic(), cpu_seconds());
    let places = (&topic as &dyn Topics, checkpoints, &store as &dyn KvStore);
    let settings = StreamSettings::default();
    let streams = job::streams(&[definition], &context)?;
    let outcome = job::stream(
        streams,
        places,
        &settings,
        &AtomicBool::new(false),
        &context,
    )?;
    anyhow::ensure!(outcome.bad_rows == 0 && outcome.rows_out > 0, "{outcome:?}");
    let (took, cpu) = (clock.monotonic() - began, cpu_seconds() - cpu);
    let delays = topic.delays.lock().unwrap_or_else(PoisonError::into_inner);
    let millis = |quantile| delays.value_at_quantile(quantile) as f64 / 1_000.0;
    println!(
        "| {how} | {events} | {:.1} | {cpu:.1} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} |",
        took.as_secs_f64(),
        events as f64 / took.as_secs_f64(),
        events as f64 / cpu,
        millis(0.5),
        millis(0.99),
        millis(1.0),
    );
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

/// A new folder below another.
fn tempfile_in(folder: &str) -> Result<String> {
    let folder = Path::new(folder).join(format!("stream-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder.display().to_string())
}

/// CPU time of this process so far.
fn cpu_seconds() -> f64 {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / TICKS_A_SECOND
}

/// A store that counts writes.
struct Counted {
    inner: Arc<dyn KvStore>,
    puts: Arc<AtomicU64>,
}

impl KvStore for Counted {
    fn create(&self, dataset: &str) -> Connected<()> {
        self.inner.create(dataset)
    }

    fn batch(&self, dataset: &str) -> Connected<Option<Batch>> {
        self.inner.batch(dataset)
    }

    fn multi_get(&self, gets: &[Get<'_>]) -> Connected<Vec<Option<Timed>>> {
        self.inner.multi_get(gets)
    }

    fn multi_put(&self, puts: &[Put<'_>]) -> Connected<()> {
        self.inner.multi_put(puts)?;
        self.puts.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn begin_batch(&self, dataset: &str, end_millis: i64) -> Connected<Box<dyn BatchWrite + '_>> {
        self.inner.begin_batch(dataset, end_millis)
    }
}

/// A topic of so many events, each made of its offset.
struct Generated {
    events: u64,
    keys: u64,
    rate: Option<u64>,
    clock: Arc<dyn Clock>,
    puts: Arc<AtomicU64>,
    /// In microseconds.
    delays: Arc<Mutex<Histogram<u64>>>,
}

impl Topics for Generated {
    fn open(&self, receive: &Receive, columns: &SchemaRef, _: Start) -> Connected<Opened> {
        let of = TopicPartition {
            topic: Arc::from(receive.topic.as_str()),
            partition: 0,
        };
        let reader = Reader {
            of,
            next: 0,
            events: self.events,
            rate: self.rate,
            began: self.clock.monotonic(),
            clock: Arc::clone(&self.clock),
            puts: Arc::clone(&self.puts),
            puts_seen: 0,
            due: Vec::new(),
            delays: Arc::clone(&self.delays),
        };
        let maker = Maker {
            columns: Arc::clone(columns),
            keys: self.keys,
        };
        Ok(Opened {
            source: Box::new(reader),
            decoder: Box::new(maker),
            dead_letters: Box::new(dead_letter::Counted::default()),
        })
    }
}

struct Reader {
    of: TopicPartition,
    next: u64,
    events: u64,
    rate: Option<u64>,
    began: Duration,
    clock: Arc<dyn Clock>,
    puts: Arc<AtomicU64>,
    puts_seen: u64,
    /// When the events handed on and not yet published were due.
    due: Vec<Duration>,
    delays: Arc<Mutex<Histogram<u64>>>,
}

impl Reader {
    /// After a put everything handed on before is published: a poll comes after the epoch.
    fn note_published(&mut self, now: Duration) {
        let puts = self.puts.load(Ordering::Acquire);
        if puts != self.puts_seen {
            self.puts_seen = puts;
            let mut delays = self.delays.lock().unwrap_or_else(PoisonError::into_inner);
            for due in self.due.drain(..) {
                let micros = now.saturating_sub(due).as_micros();
                delays.saturating_record(u64::try_from(micros).unwrap_or(u64::MAX));
            }
        }
    }
}

impl Source for Reader {
    fn seek(&mut self, _: &Positions) -> Connected<()> {
        Ok(())
    }

    fn poll(&mut self, messages_max: usize, wait: Duration) -> Connected<Polled> {
        let now = self.clock.monotonic();
        self.note_published(now);
        if self.next == self.events {
            return Ok(Polled::End);
        }
        let come = match self.rate {
            None => self.events,
            Some(rate) => {
                let elapsed = (now - self.began).as_secs_f64();
                self.events.min((elapsed * rate as f64) as u64)
            }
        };
        let end = come.min(self.next + messages_max as u64);
        if end == self.next {
            self.clock.sleep(wait.min(Duration::from_millis(1)));
            return Ok(Polled::Idle);
        }
        if let Some(rate) = self.rate {
            let due = |event: u64| self.began + Duration::from_secs_f64(event as f64 / rate as f64);
            self.due.extend((self.next..end).map(due));
        }
        let message = |event: u64| Message {
            offset: event as i64,
            millis: None,
            key: None,
            payload: None,
        };
        let messages = (self.next..end).map(message).collect();
        self.next = end;
        Ok(Polled::Messages(vec![Messages {
            of: self.of.clone(),
            messages,
            next: end as i64,
        }]))
    }

    fn ends(&mut self) -> Connected<Positions> {
        Ok(Positions::new())
    }

    fn commit(&mut self, _: &Positions) -> Connected<()> {
        Ok(())
    }
}

struct Maker {
    columns: SchemaRef,
    keys: u64,
}

impl Decoder for Maker {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns)
    }

    fn decode(&mut self, messages: &[Message]) -> Connected<Decoded> {
        let offsets: Vec<i64> = messages.iter().map(|message| message.offset).collect();
        Ok(Decoded {
            rows: rows(&self.columns, &offsets, self.keys),
            message: (0..messages.len() as u32).collect(),
            rejected: Vec::new(),
        })
    }
}

/// The events of these offsets, now.
fn rows(columns: &SchemaRef, offsets: &[i64], keys: u64) -> RecordBatch {
    let now = SystemClock::new().now_millis();
    // Small numbers are much more common, as with Zipf's law.
    let key = |offset: &i64| {
        let random = offset.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11;
        let share = random as f64 / (1_u64 << 53) as f64;
        ((keys as f64).powf(share) - 1.0) as i64
    };
    let column = |name: &str| -> Option<ArrayRef> {
        Some(match name {
            "user" => Arc::new(offsets.iter().map(key).collect::<Int64Array>()),
            "amount" => Arc::new(
                offsets
                    .iter()
                    .map(|offset| (offset % 1_000) as f64 * 0.25)
                    .collect::<Float64Array>(),
            ),
            "ts" => Arc::new(Int64Array::from(vec![now; offsets.len()])),
            _ => return None,
        })
    };
    let columns_of = columns.fields().iter().map(|field| {
        let made = column(field.name());
        made.unwrap_or_else(|| new_null_array(field.data_type(), offsets.len()))
    });
    RecordBatch::try_new(Arc::clone(columns), columns_of.collect())
        .expect("the columns are those of the table")
}
