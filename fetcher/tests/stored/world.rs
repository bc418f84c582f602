//! A key's random history in a store: of one group-by as rows, of its twin as tiles.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, StringArray};
use serde_json::{Value as Json, json};
use unskewed_connectors::clock::{Clock, ManualClock};
use unskewed_connectors::kv::{KvStore, Memory, Put};
use unskewed_fetcher::external::Registry;
use unskewed_fetcher::{Features, FetchError, Fetcher, Request, Settings, Value};
use unskewed_kernel::codec::avro;
use unskewed_kernel::codec::batch_state::BatchCodec;
use unskewed_kernel::codec::stream_row::{StreamRow, pack};
use unskewed_kernel::codec::streamed::RowCodec;
use unskewed_kernel::evaluate::batch_states::BatchStates;
use unskewed_kernel::evaluate::stream_tiles::StreamTiles;
use unskewed_kernel::naive::generate::Random;
use unskewed_kernel::run::{Evaluator, Queries, Run};
use unskewed_planner::avro::Record;
use unskewed_planner::definition::Dialect;
use unskewed_planner::resolve::{Stored, StoredStates, resolve_served_group};
use unskewed_planner::schema::{DataType, Field, Schema};
use unskewed_planner::serving::{
    SERVING_INFO_KEY, ServingInfo, batch_dataset, stream_row, streaming_dataset, tile_fingerprint,
};
use unskewed_planner::time::{DAY_MILLIS, FIVE_MINUTES_MILLIS, HOUR_MILLIS, Window, floor_to};

/// 2024-03-01.
pub(crate) const BATCH_END: i64 = 1_709_251_200_000;
/// Streams keep what happened since.
const KEPT_SINCE: i64 = BATCH_END - 2 * DAY_MILLIS;
pub(crate) const ROWS: &str = "team.rows";
pub(crate) const TILES: &str = "team.tiles";

/// Windows whose shortest tail hop is five minutes, an hour and a day.
const WINDOWS: [&[Window]; 3] = [
    &[Window::Hours(1), Window::Hours(7), Window::Days(7)],
    &[Window::Hours(13), Window::Days(2), Window::Unbounded],
    &[Window::Days(12), Window::Days(30)],
];

/// Every operation that a column takes, by its code in compiled definitions.
fn aggregations(windows: &[Window]) -> Json {
    let window = |window: &Window| match window {
        Window::Hours(hours) => json!({"length": hours, "timeUnit": 0}),
        Window::Days(days) => json!({"length": days, "timeUnit": 1}),
        Window::Unbounded => json!({"length": i32::MAX, "timeUnit": 1}),
    };
    let windows: Vec<Json> = windows.iter().map(window).collect();
    let one = |input: &str, operation: u8, arguments: Json| {
        json!({
            "inputColumn": input, "operation": operation, "argMap": arguments, "windows": windows,
        })
    };
    let bucketed = |mut aggregation: Json| {
        aggregation["buckets"] = json!(["word"]);
        aggregation
    };
    // MIN to BOTTOM_K of numbers: floating averages are of whole numbers, so their sums have one order.
    let plain = [0, 1, 2, 3, 4, 6, 7, 8].map(|code| one("x", code, json!({})));
    let few = [13, 14, 15, 16].map(|code| one("x", code, json!({"k": "2"})));
    let others = [
        one("word", 17, json!({})),
        one("word", 19, json!({"k": "3"})),
        one("word", 5, json!({})),
        bucketed(one("x", 7, json!({}))),
        bucketed(one("x", 14, json!({"k": "2"}))),
    ];
    plain.into_iter().chain(few).chain(others).collect()
}

fn info(name: &str, custom: &str, windows: &[Window]) -> String {
    let record = |name: &str, fields: Vec<Field>| Record::of(name, &Schema::new(fields)).unwrap();
    let selected = vec![
        Field::new("x", DataType::Long),
        Field::new("word", DataType::String),
    ];
    json!({
        "groupBy": {
            "metaData": {
                "name": name, "online": 1, "team": "team", "outputNamespace": "feat", "customJson": custom,
            },
            "sources": [{"events": {"table": "feat.t", "topic": "t", "query": {
                "selects": {"user": "user", "x": "x", "word": "word"}, "timeColumn": "ts",
            }}}],
            "keyColumns": ["user"], "accuracy": 0, "aggregations": aggregations(windows),
        },
        "keyAvroSchema": record("Key", vec![Field::new("user", DataType::String)]).to_text(),
        "selectedAvroSchema": record("Value", selected).to_text(),
        "batchEndDate": "2024-03-01",
    })
    .to_string()
}

fn states(info: &str) -> StoredStates {
    let info = ServingInfo::from_text(info, Dialect::Airbnb).unwrap();
    match resolve_served_group(&info).unwrap().value.stored {
        Stored::States(states) => *states,
        Stored::Values(_) => panic!("it is as of the millisecond"),
    }
}

/// Events of one key in the order of time.
pub(crate) struct History {
    pub(crate) ts: Vec<i64>,
    columns: Vec<ArrayRef>,
}

impl History {
    fn random(random: &mut Random, windows: &[Window]) -> Self {
        let hops = [1, FIVE_MINUTES_MILLIS, HOUR_MILLIS, DAY_MILLIS];
        let near = |random: &mut Random| random.pick(&[-1, 0, 1]);
        let at = |random: &mut Random| match random.below(4) {
            0 => BATCH_END + random.between(-40 * DAY_MILLIS, 2 * DAY_MILLIS),
            1 => {
                let hop = random.pick(&hops);
                BATCH_END + random.between(-4, 20) * hop + near(random)
            }
            2 => {
                let length = random.pick(windows).millis().unwrap_or(DAY_MILLIS);
                BATCH_END - length + random.between(0, 40) * FIVE_MINUTES_MILLIS + near(random)
            }
            _ => BATCH_END + random.between(0, DAY_MILLIS),
        };
        let mut ts: Vec<i64> = (0..random.between(1, 60)).map(|_| at(random)).collect();
        ts.sort_unstable();
        // Of equal times stored states do not tell which came last.
        ts.dedup();
        let maybe = |random: &mut Random| !random.one_in(7);
        let numbers = ts
            .iter()
            .map(|_| maybe(random).then(|| random.between(-9, 30)));
        let numbers: Int64Array = numbers.collect();
        let words = ts
            .iter()
            .map(|_| maybe(random).then(|| format!("w{}", random.below(5))));
        let words: StringArray = words.collect();
        Self {
            ts,
            columns: vec![Arc::new(numbers), Arc::new(words)],
        }
    }

    /// Times of queries from the batch's end to two days after.
    pub(crate) fn queries(&self, random: &mut Random, windows: &[Window]) -> Vec<i64> {
        let last = BATCH_END + 2 * DAY_MILLIS;
        let mut queries = vec![BATCH_END, BATCH_END + 1, last];
        for _ in 0..12 {
            let near = random.pick(&[-1, 0, 1, FIVE_MINUTES_MILLIS]);
            let row = random.pick(&self.ts);
            let length = random.pick(windows).millis().unwrap_or(0);
            let hop = random.pick(&[FIVE_MINUTES_MILLIS, HOUR_MILLIS, DAY_MILLIS]);
            queries.extend([row, row + length, floor_to(row, hop) + hop].map(|at| at + near));
        }
        queries.retain(|query| (BATCH_END..=last).contains(query));
        queries
    }

    /// How many events come before a time.
    fn before(&self, millis: i64) -> usize {
        self.ts.partition_point(|ts| *ts < millis)
    }

    fn run<'a>(&'a self, offsets: &'a [u32]) -> Run<'a> {
        Run {
            offsets,
            ts: &self.ts,
            positions: &[],
            columns: &self.columns,
        }
    }

    /// The batch's value.
    pub(crate) fn batch(&self, states: &StoredStates) -> Vec<u8> {
        let StoredStates {
            parts,
            bases,
            inputs,
            ..
        } = states;
        let mut batches = BatchStates::new(parts, bases, inputs, None).unwrap();
        let queries = Queries {
            offsets: &[0, 1],
            ts: &[BATCH_END],
        };
        let own = [0, self.before(BATCH_END) as u32];
        let columns = batches.evaluate(self.run(&own), queries).unwrap().columns;
        let codec = BatchCodec::new(parts, bases).unwrap();
        codec.encode(&columns).unwrap().datums.value(0).to_vec()
    }

    /// The stream's value of rows from two days before the batch's end to a time.
    pub(crate) fn rows(&self, states: &StoredStates, until: i64) -> Vec<u8> {
        let codec = RowCodec::new(&states.inputs, false).unwrap();
        let datums = codec.encode(&self.columns).unwrap().datums;
        let kept = self.before(KEPT_SINCE)..self.before(until);
        let entries = kept.map(|row| (self.ts[row], datums.value(row)));
        pack(&StreamRow {
            epoch: 1,
            schema: stream_row(&states.selected, states.model).fingerprint(),
            since_millis: KEPT_SINCE,
            entries: entries.collect(),
        })
    }

    /// The same of tiles.
    fn tiles(&self, states: &StoredStates, until: i64) -> Vec<u8> {
        let StoredStates {
            parts,
            bases,
            inputs,
            ..
        } = states;
        let hops = parts.iter().map(|part| part.window.tail_hop_millis());
        let tile_millis = hops.min().unwrap();
        let kept = self.before(KEPT_SINCE)..self.before(until);
        // Each tile is a key of its own.
        let mut offsets = vec![kept.start as u32];
        let tile = |row: usize| self.ts[row].div_euclid(tile_millis);
        let ends = kept
            .clone()
            .filter(|row| row + 1 == kept.end || tile(*row) != tile(row + 1));
        offsets.extend(ends.map(|row| row as u32 + 1));
        let tiles = offsets.len() - 1;
        let each: Vec<u32> = (0..=tiles as u32).collect();
        let queries = Queries {
            offsets: &each,
            ts: &vec![until; tiles],
        };
        let mut evaluator = StreamTiles::new(parts, bases, inputs).unwrap();
        let columns = evaluator
            .evaluate(self.run(&offsets), queries)
            .unwrap()
            .columns;
        let (datums, latest) = (
            columns[0].as_binary::<i32>(),
            columns[1].as_primitive::<Int64Type>(),
        );
        pack(&StreamRow {
            epoch: 1,
            schema: tile_fingerprint(parts, bases).unwrap(),
            since_millis: KEPT_SINCE,
            entries: (0..tiles)
                .map(|tile| (latest.value(tile), datums.value(tile)))
                .collect(),
        })
    }
}

/// A store with both group-bys, and what answers from it.
pub(crate) struct World {
    random: Random,
    windows: &'static [Window],
    pub(crate) history: History,
    store: Arc<Memory>,
    fetcher: Fetcher,
    key: Vec<u8>,
    rows: StoredStates,
    tiles: StoredStates,
}

impl World {
    /// A random history, its batch loaded; nothing streamed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let windows = WINDOWS[seed as usize % WINDOWS.len()];
        let history = History::random(&mut random, windows);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at_millis(BATCH_END));
        let store = Arc::new(Memory::new(Arc::clone(&clock)));
        let shared = Arc::clone(&store) as Arc<dyn KvStore>;
        let fetcher = Fetcher::new(shared, clock, Registry::default(), Settings::default());
        let user: ArrayRef = Arc::new(StringArray::from(vec!["u"]));
        let schema = Schema::new(vec![Field::new("user", DataType::String)]);
        let key = avro::encode(&Record::of("Key", &schema).unwrap(), &[user]).unwrap();
        let key = key.datums.value(0).to_vec();
        let load = |name, custom| {
            let info = info(name, custom, windows);
            let states = states(&info);
            let batch = history.batch(&states);
            // Now and then the batch has nothing of the key.
            let row = (!seed.is_multiple_of(5)).then_some((&key[..], &batch[..]));
            load(&store, name, &info, row);
            states
        };
        let (rows, tiles) = (load(ROWS, "{}"), load(TILES, r#"{"enable_tiling": true}"#));
        assert!(!rows.tiled && tiles.tiled);
        Self {
            random,
            windows,
            history,
            store,
            fetcher,
            key,
            rows,
            tiles,
        }
    }

    /// Times to ask as of.
    pub(crate) fn queries(&mut self) -> Vec<i64> {
        self.history.queries(&mut self.random, self.windows)
    }

    /// Streams what came before a time, to both.
    pub(crate) fn put_until(&self, until: i64) {
        self.put(ROWS, &self.history.rows(&self.rows, until));
        self.put(TILES, &self.history.tiles(&self.tiles, until));
    }

    /// What the streams hold of what came before a time: rows and tiles.
    pub(crate) fn streamed(&self, until: i64) -> [Vec<u8>; 2] {
        [
            self.history.rows(&self.rows, until),
            self.history.tiles(&self.tiles, until),
        ]
    }

    /// Streams a value of the key.
    pub(crate) fn put(&self, name: &str, value: &[u8]) {
        let put = Put {
            dataset: &streaming_dataset(name),
            key: &self.key,
            value,
            millis: 0,
            expires_millis: None,
        };
        self.store.multi_put(&[put]).unwrap();
    }

    /// Loads a batch with this value of the key.
    pub(crate) fn load(&self, name: &str, value: &[u8]) {
        let info = info(
            name,
            if name == TILES {
                r#"{"enable_tiling": true}"#
            } else {
                "{}"
            },
            self.windows,
        );
        load(&self.store, name, &info, Some((&self.key, value)));
        self.fetcher.refresh();
    }

    /// The batch's value.
    pub(crate) fn batch(&self) -> Vec<u8> {
        self.history.batch(&self.rows)
    }

    /// Values of the key as of a time; or why there are none.
    pub(crate) fn asked(&self, name: &str, at_millis: i64) -> Result<Option<Json>, FetchError> {
        let request = Request {
            name: name.into(),
            keys: [("user".to_owned(), Value::String("u".into()))].into(),
            at_millis: Some(at_millis),
        };
        let response = self.fetcher.fetch_group_by(&[request]).remove(0);
        let json = |features: Features| Json::Object(features.to_json());
        response.outcome.map(|features| features.map(json))
    }
}

fn load(store: &Memory, name: &str, info: &str, row: Option<(&[u8], &[u8])>) {
    let dataset = batch_dataset(name);
    store.create(&dataset).unwrap();
    store.create(&streaming_dataset(name)).unwrap();
    let mut batch = store.begin_batch(&dataset, BATCH_END).unwrap();
    batch.put(row.as_slice()).unwrap();
    batch
        .commit(SERVING_INFO_KEY.as_bytes(), info.as_bytes())
        .unwrap();
}
