//! What a fetch does when things are missing, wrong or broken.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../connectors/tests/stores/server.rs"]
#[allow(dead_code, reason = "the tests of the stores use the rest of it")]
mod server;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{Array, ArrayRef, BinaryArray, Float64Array, Int64Array, StringArray};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::executor::block_on;
use futures::future::BoxFuture;
use serde_json::{Value as Json, json};
use unskewed_connectors::clock::{Clock, ManualClock, SystemClock};
use unskewed_connectors::error::{Error, Result};
use unskewed_connectors::kv::{Batch, BatchWrite, Get, KvStore, Put, Timed, open};
use unskewed_fetcher::external::{Answer, Handler, Keys, Registry};
use unskewed_fetcher::{Features, FetchError, Fetcher, Request, Settings, Value};
use unskewed_kernel::codec::avro;
use unskewed_planner::avro::Record;
use unskewed_planner::schema::{DataType, Field, Schema};
use unskewed_planner::serving::{METADATA_DATASET, SERVING_INFO_KEY, TEAM_DATASET, batch_dataset};

/// A store that can be told to fail.
struct Failing {
    store: Arc<dyn KvStore>,
    fails: AtomicBool,
}

impl Failing {
    fn check(&self) -> Result<()> {
        match self.fails.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Error::InvalidStore {
                address: "test".into(),
                problem: "it is down",
            }),
        }
    }
}

impl KvStore for Failing {
    fn create(&self, dataset: &str) -> Result<()> {
        self.store.create(dataset)
    }

    fn batch(&self, dataset: &str) -> Result<Option<Batch>> {
        self.check()?;
        self.store.batch(dataset)
    }

    fn multi_get(&self, gets: &[Get<'_>]) -> Result<Vec<Option<Timed>>> {
        self.check()?;
        self.store.multi_get(gets)
    }

    fn multi_put(&self, puts: &[Put<'_>]) -> Result<()> {
        self.store.multi_put(puts)
    }

    fn begin_batch(&self, dataset: &str, end_millis: i64) -> Result<Box<dyn BatchWrite + '_>> {
        self.store.begin_batch(dataset, end_millis)
    }
}

/// Doubles what it is asked, and knows no negative numbers.
struct Doubling;

impl Handler for Doubling {
    fn fetch<'a>(&'a self, requests: &'a [Keys]) -> BoxFuture<'a, Vec<Answer>> {
        let answer = |keys: &Keys| match keys["n"] {
            Value::Long(n) if n >= 0 => Ok(BTreeMap::from([("twice".into(), Value::Long(2 * n))])),
            _ => Err("no negative numbers".into()),
        };
        Box::pin(std::future::ready(requests.iter().map(answer).collect()))
    }
}

const BATCH_END: i64 = 1_709_251_200_000;

struct World {
    store: Arc<Failing>,
    fetcher: Fetcher,
}

fn group_by(name: &str, key: &str) -> Json {
    json!({
        "metaData": {"name": name, "online": 1, "team": "team", "outputNamespace": "feat"},
        "sources": [{"entities": {"snapshotTable": "feat.t", "query": {"selects": {key: key, "a": "a", "b": "b"}}}}],
        "keyColumns": [key],
    })
}

/// A store with two group-bys of values `a` and `b`, keyed by text and by number, and a join of both.
fn world() -> World {
    world_in("memory:")
}

/// The same in the store of an address.
fn world_in(address: &str) -> World {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at_millis(BATCH_END + 1));
    let store = open(address, Arc::clone(&clock)).unwrap();
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["u1", "u2"]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    load(
        store.as_ref(),
        &group_by("team.by_user", "user"),
        ("user", DataType::String),
        texts,
    );
    load(
        store.as_ref(),
        &group_by("team.by_shop", "shop"),
        ("shop", DataType::Long),
        numbers,
    );
    let join = json!({
        "metaData": {"name": "team.j", "online": 1, "team": "team", "outputNamespace": "feat"},
        "left": {"events": {"table": "feat.l", "query": {"selects": {"user": "user"}, "timeColumn": "ts"}}},
        "joinParts": [
            {"groupBy": group_by("team.by_user", "user")},
            {"groupBy": group_by("team.by_shop", "shop"), "keyMapping": {"store": "shop"}},
        ],
        "onlineExternalParts": [{"source": {
            "metadata": {"name": "doubling"},
            "keySchema": {"kind": 13, "name": "k", "params": [{"name": "n", "dataType": {"kind": 4}}]},
            "valueSchema": {"kind": 13, "name": "v", "params": [{"name": "twice", "dataType": {"kind": 4}}]},
        }}],
        "derivations": [
            {"name": "*", "expression": "*"},
            {"name": "total", "expression": "team_by_user_b + team_by_shop_b"},
            {"name": "own", "expression": "coalesce(team_by_user_b, -1)"},
        ],
    });
    store.create(METADATA_DATASET).unwrap();
    let text = join.to_string();
    let put = Put {
        dataset: METADATA_DATASET,
        key: b"joins/team/j",
        value: text.as_bytes(),
        millis: 0,
        expires_millis: None,
    };
    store.multi_put(&[put]).unwrap();
    let store = Arc::new(Failing {
        store,
        fails: AtomicBool::new(false),
    });
    let mut externals = Registry::default();
    externals.register("doubling", Arc::new(Doubling));
    let fetcher = Fetcher::new(
        Arc::clone(&store) as Arc<dyn KvStore>,
        clock,
        externals,
        Settings::default(),
    );
    World { store, fetcher }
}

/// Loads a batch of two keys.
fn load(store: &dyn KvStore, group_by: &Json, (key, key_type): (&str, DataType), keys: ArrayRef) {
    let record = |name: &str, fields: Vec<Field>| Record::of(name, &Schema::new(fields)).unwrap();
    let key = record("Key", vec![Field::new(key, key_type)]);
    let fields = vec![
        Field::new("a", DataType::String),
        Field::new("b", DataType::Double),
    ];
    let value = record("Value", fields);
    let info = json!({
        "groupBy": group_by, "keyAvroSchema": key.to_text(), "selectedAvroSchema": value.to_text(),
        "batchEndDate": "2024-03-01",
    });
    let columns: [ArrayRef; 2] = [
        Arc::new(StringArray::from(vec![Some("x"), None])),
        Arc::new(Float64Array::from(vec![Some(0.5), Some(2.0)])),
    ];
    let keys = avro::encode(&key, &[keys]).unwrap().datums;
    let values = avro::encode(&value, &columns).unwrap().datums;
    let dataset = batch_dataset(group_by["metaData"]["name"].as_str().unwrap());
    store.create(&dataset).unwrap();
    let mut batch = store.begin_batch(&dataset, BATCH_END).unwrap();
    let rows: Vec<(&[u8], &[u8])> = (0..2)
        .map(|row| (keys.value(row), values.value(row)))
        .collect();
    batch.put(&rows).unwrap();
    batch
        .commit(SERVING_INFO_KEY.as_bytes(), info.to_string().as_bytes())
        .unwrap();
}

fn request(name: &str, keys: &Json) -> Request {
    let keys = keys.as_object().unwrap().iter();
    Request {
        name: name.into(),
        keys: keys
            .map(|(name, value)| (name.clone(), Value::from_json(value)))
            .collect(),
        at_millis: None,
    }
}

impl World {
    fn join(&self, keys: &Json) -> Features {
        let response = block_on(self.fetcher.fetch_join(&[request("team/j", keys)]));
        response
            .into_iter()
            .next()
            .unwrap()
            .outcome
            .unwrap()
            .unwrap()
    }

    fn group_by(
        &self,
        name: &str,
        keys: &Json,
    ) -> std::result::Result<Option<Features>, FetchError> {
        let response = self.fetcher.fetch_group_by(&[request(name, keys)]);
        response.into_iter().next().unwrap().outcome
    }
}

/// Values, derivations and an external source in one answer.
#[test]
fn everything_together() {
    let features = world().join(&json!({"user": "u1", "store": 2, "n": 4}));
    let expected = json!({
        "team_by_user_a": "x", "team_by_user_b": 0.5, "team_by_shop_a": null, "team_by_shop_b": 2.0,
        "ext_doubling_twice": 8, "total": 2.5, "own": 0.5,
    });
    assert_eq!(Json::Object(features.to_json()), expected);
}

/// An answer as a datum is decoded by the schema that is told, and has the answer's values; what failed is null.
#[test]
fn answers_as_datums() {
    let world = world();
    let schema = world.fetcher.join_schema("team/j").unwrap();
    let record = Record::parse(schema["valueSchema"].as_str().unwrap()).unwrap();
    let decoded = |features: &Features| {
        let datum = world.fetcher.join_datum("team/j", features).unwrap();
        let read = avro::decode(&record, &BinaryArray::from_vec(vec![&datum])).unwrap();
        assert!(read.bad.is_empty(), "{:?}", read.bad);
        let names = record.fields.iter().map(|field| field.name.clone());
        let told = |column: &ArrayRef| {
            let text = arrow_cast::display::array_value_to_string(column, 0).unwrap();
            (!column.is_null(0)).then_some(text)
        };
        names
            .zip(read.columns.iter().map(told))
            .collect::<BTreeMap<String, Option<String>>>()
    };
    let all = decoded(&world.join(&json!({"user": "u1", "store": 2, "n": 4})));
    let some = |text: &str| Some(text.to_owned());
    let expected = [
        ("ext_doubling_twice", some("8")),
        ("own", some("0.5")),
        ("team_by_shop_a", None),
        ("team_by_shop_b", some("2.0")),
        ("team_by_user_a", some("x")),
        ("team_by_user_b", some("0.5")),
        ("total", some("2.5")),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(all, BTreeMap::from(expected));
    let failed = decoded(&world.join(&json!({"user": "u2", "n": -1})));
    assert_eq!(failed["total"], None);
    assert_eq!(failed["own"], some("2.0"));
}

/// Where each value before derivations is from, in the words of the reference's service.
#[test]
fn values_say_where_they_are_from() {
    let schema = world().fetcher.join_schema("team/j").unwrap();
    let infos = schema["valueInfos"].as_array().unwrap();
    let of = |name: &str| infos.iter().find(|info| info["fullName"] == name).unwrap();
    assert_eq!(
        *of("team_by_shop_b"),
        json!({
            "fullName": "team_by_shop_b", "groupName": "team.by_shop", "prefix": null, "leftKeys": ["store"],
            "schemaString": "double",
        })
    );
    assert_eq!(
        *of("ext_doubling_twice"),
        json!({
            "fullName": "ext_doubling_twice", "groupName": "doubling", "prefix": null, "leftKeys": ["n"],
            "schemaString": "bigint",
        })
    );
    assert_eq!(infos.len(), 5);
}

/// Joins are listed by what teams' lists name, if they are online and there.
#[test]
fn joins_that_are_online() {
    let world = world();
    assert_eq!(world.fetcher.joins(), Ok(vec![]));
    let put = |dataset: &str, key: &str, value: &str| {
        let put = Put {
            dataset,
            key: key.as_bytes(),
            value: value.as_bytes(),
            millis: 0,
            expires_millis: None,
        };
        world.store.multi_put(&[put]).unwrap();
    };
    let list = |words: &[&str]| {
        words
            .iter()
            .map(|word| STANDARD.encode(word))
            .collect::<Vec<_>>()
            .join(",")
    };
    let off = json!({"metaData": {"name": "other.k", "online": 0}}).to_string();
    put(METADATA_DATASET, "joins/other/k", &off);
    put(TEAM_DATASET, "joins", &list(&["other", "team"]));
    put(
        TEAM_DATASET,
        "joins/other",
        &list(&["joins/other/k", "joins/other/gone"]),
    );
    put(TEAM_DATASET, "joins/team", &list(&["joins/team/j"]));
    assert_eq!(world.fetcher.joins(), Ok(vec!["team.j".to_owned()]));
    put(TEAM_DATASET, "joins/team", "no Base64");
    assert!(matches!(
        world.fetcher.joins(),
        Err(FetchError::Unusable { .. })
    ));
}

/// A part that fails costs its own features and what is derived of them, whatever their names; the others are there.
#[test]
fn a_failed_part_costs_its_own_features() {
    let features = world().join(&json!({"user": "u2", "n": -1}));
    let mut names: Vec<&String> = features.values.keys().collect();
    names.sort();
    assert_eq!(names, ["own", "team_by_user_a", "team_by_user_b"]);
    assert_eq!(features.values["own"], Value::Double(2.0));
    let failed: Vec<&String> = features.failures.keys().collect();
    assert_eq!(failed, ["ext_doubling", "team_by_shop"]);
    let told = features.to_json();
    assert!(
        told["team_by_shop_exception"]
            .as_str()
            .unwrap()
            .contains("missing keys store"),
        "{told:?}"
    );
    assert!(
        told["ext_doubling_exception"]
            .as_str()
            .unwrap()
            .contains("no negative numbers"),
        "{told:?}"
    );
}

/// A null key asks for nothing and fails nothing; derivations see nulls.
#[test]
fn null_keys() {
    let world = world();
    let features = world.join(&json!({"user": null, "store": 1, "n": 0}));
    assert!(features.failures.is_empty(), "{:?}", features.failures);
    assert_eq!(features.values["own"], Value::Double(-1.0));
    assert_eq!(features.values["total"], Value::Null);
    assert_eq!(
        world.group_by("team.by_user", &json!({"user": null})),
        Ok(None)
    );
    assert_eq!(
        world.group_by("team.by_user", &json!({"user": "nobody"})),
        Ok(None)
    );
}

/// Keys are turned into their column's type where the reference turns them, and refused otherwise; one that is absent is
/// an error and not some other entity.
#[test]
fn keys_of_other_types() {
    let world = world();
    for keys in [
        json!({"shop": 2}),
        json!({"shop": "2"}),
        json!({"shop": 2.0}),
    ] {
        let features = world.group_by("team/by_shop", &keys).unwrap().unwrap();
        assert_eq!(features.values["b"], Value::Double(2.0));
    }
    let Err(FetchError::Key { key, .. }) = world.group_by("team.by_shop", &json!({"shop": [2]}))
    else {
        panic!("a list is no key");
    };
    assert_eq!(key, "shop");
    let missing = world.group_by("team.by_shop", &json!({"user": "u1"}));
    assert!(
        matches!(missing, Err(FetchError::MissingKeys { .. })),
        "{missing:?}"
    );
}

/// Unknown names fail their own request and no other of the same call.
#[test]
fn unknown_names() {
    let world = world();
    let requests = [
        request("team/none", &json!({"user": "u1"})),
        request("team.j", &json!({"user": "u1", "store": 1, "n": 1})),
    ];
    let responses = block_on(world.fetcher.fetch_join(&requests));
    assert!(matches!(
        responses[0].outcome,
        Err(FetchError::UnknownJoin { .. })
    ));
    let features = responses[1].outcome.as_ref().unwrap().as_ref().unwrap();
    assert_eq!(features.values["total"], Value::Double(1.0));
    let unknown = world.group_by("team.none", &json!({"user": "u1"}));
    assert!(
        matches!(unknown, Err(FetchError::UnknownGroupBy { .. })),
        "{unknown:?}"
    );
}

/// A store that fails is an error of what was asked of it, never "no value"; it is asked again by the next request.
#[test]
fn a_failed_store_is_no_missing_value() {
    let world = world();
    let keys = json!({"user": "u1", "store": 1, "n": 1});
    world.join(&keys);
    world.store.fails.store(true, Ordering::Relaxed);
    let features = world.join(&keys);
    let failed: Vec<&String> = features.failures.keys().collect();
    assert_eq!(failed, ["team_by_shop", "team_by_user"]);
    assert!(matches!(
        features.failures["team_by_user"],
        FetchError::Store { .. }
    ));
    assert_eq!(
        features.values.keys().collect::<Vec<_>>(),
        ["ext_doubling_twice"]
    );
    let alone = world.group_by("team.by_user", &json!({"user": "u1"}));
    assert!(matches!(alone, Err(FetchError::Store { .. })), "{alone:?}");
    world.store.fails.store(false, Ordering::Relaxed);
    assert!(world.join(&keys).failures.is_empty());
}

/// Over TiKV, a request is one call of the store; a store that is down is an error with its reason, and once it is back the
/// same fetcher answers.
#[test]
fn from_tikv() {
    let Some(mut server) = server::Server::start("v1ttl", 1, &[]) else {
        return;
    };
    let world = world_in(&server.address(""));
    let keys = json!({"user": "u1", "store": 2, "n": 4});
    let features = world.join(&keys);
    assert_eq!(features.values["total"], Value::Double(2.5));
    let before = server.count("RawBatchGet");
    assert_eq!(world.join(&keys), features);
    assert_eq!(server.count("RawBatchGet") - before, 1);
    server.kill();
    let down = world.join(&keys);
    let reason = down.failures["team_by_user"].to_string();
    assert!(reason.contains("did not answer within 2000 ms"), "{reason}");
    server.restart();
    let clock = SystemClock::new();
    while world.join(&keys) != features {
        assert!(clock.monotonic().as_secs() < 30, "it does not recover");
    }
}
