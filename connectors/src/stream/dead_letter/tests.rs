//! Where letters end up.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};

use super::*;
use crate::clock::{ManualClock, SystemClock};
use crate::stream::{ClientProperties, Start};

fn letter(offset: i64, payload: Option<&[u8]>) -> DeadLetter {
    DeadLetter {
        topic: "events".into(),
        partition: 3,
        offset,
        reason: "column a does not fit".into(),
        key: (offset > 0).then(|| b"key\xff".to_vec()),
        payload: payload.map(<[u8]>::to_vec),
        at_millis: 42,
    }
}

fn options(clock: Arc<dyn crate::clock::Clock>) -> Options {
    Options {
        start: Start::Earliest,
        properties: ClientProperties::default(),
        clock,
    }
}

fn topic(bootstrap: &str) -> Topic {
    let given = BTreeMap::from([("bootstrap".into(), bootstrap.into())]);
    Topic::parse("events", &given).unwrap()
}

fn lines(folder: &Path) -> BTreeMap<String, Vec<serde_json::Value>> {
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|file| {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, lines.collect())
    });
    files.collect()
}

/// A folder keeps letters as they came, in the order they came, and a restart at the same instant writes over nothing.
#[test]
fn a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("of/dead letters");
    let address = path.display().to_string();
    let clock = Arc::new(ManualClock::at_millis(7));
    let options = options(clock);
    let topic = topic("localhost:1");
    let mut first = open(&address, &topic, &options).unwrap();
    first.put(&[]).unwrap();
    assert!(lines(&path).is_empty());
    first
        .put(&[letter(0, Some(b"\x00bad")), letter(1, None)])
        .unwrap();
    first.put(&[letter(2, Some(b""))]).unwrap();
    let mut second = open(&address, &topic, &options).unwrap();
    second.put(&[letter(3, Some(b"x"))]).unwrap();
    let lines = lines(&path);
    let offsets = |lines: &Vec<serde_json::Value>| -> Vec<i64> {
        lines
            .iter()
            .map(|line| line["offset"].as_i64().unwrap())
            .collect()
    };
    let offsets: Vec<Vec<i64>> = lines.values().map(offsets).collect();
    assert_eq!(offsets, [vec![0, 1, 2], vec![3]]);
    let first = &lines.values().next().unwrap()[0];
    assert_eq!(first["topic"], "events");
    assert_eq!(first["partition"], 3);
    assert_eq!(first["reason"], "column a does not fit");
    assert_eq!(first["at_millis"], 42);
    assert!(first["key"].is_null());
    assert_eq!(first["payload"], STANDARD.encode(b"\x00bad"));
    assert!(lines.values().next().unwrap()[1]["payload"].is_null());
}

/// Letters nobody keeps are counted.
#[test]
fn none() {
    let mut counted = Counted::default();
    counted.put(&[letter(0, None), letter(1, None)]).unwrap();
    counted.put(&[letter(2, None)]).unwrap();
    assert_eq!(counted.letters, 3);
}

/// Wrong addresses say what is meant.
#[test]
fn wrong_addresses() {
    let options = options(Arc::new(SystemClock::new()));
    let topic = topic("localhost:1");
    for (address, told) in [
        ("", "a folder"),
        ("kafka:", "no topic"),
        ("kafka:events", "come back"),
    ] {
        let error = open(address, &topic, &options).err().unwrap().to_string();
        assert!(error.contains(told), "{error}");
    }
    assert!(open("none", &topic, &options).is_ok());
}

/// A topic keeps key and payload as they came, and says the rest in headers; what is too long comes without payload.
#[test]
fn a_topic() {
    let cluster: MockCluster<'static, DefaultProducerContext> = MockCluster::new(1).unwrap();
    cluster.create_topic("dead", 1, 1).unwrap();
    let options = options(Arc::new(SystemClock::new()));
    let servers = cluster.bootstrap_servers();
    let mut letters = open("kafka:dead", &topic(&servers), &options).unwrap();
    let long = vec![b'x'; 2 << 20];
    letters
        .put(&[letter(0, Some(b"\x00bad")), letter(1, None)])
        .unwrap();
    letters.put(&[letter(2, Some(&long))]).unwrap();
    let read = messages(&servers, 3);
    let header = |n: usize, key: &str| read[n].2.get(key).cloned();
    assert_eq!(read[0].0, None);
    assert_eq!(read[0].1.as_deref(), Some(&b"\x00bad"[..]));
    assert_eq!(
        header(0, "reason").as_deref(),
        Some("column a does not fit")
    );
    assert_eq!(header(0, "topic").as_deref(), Some("events"));
    assert_eq!(header(0, "partition").as_deref(), Some("3"));
    assert_eq!(header(0, "offset").as_deref(), Some("0"));
    assert_eq!(header(0, "payload_left_out_bytes"), None);
    assert_eq!(read[1].0.as_deref(), Some(&b"key\xff"[..]));
    assert_eq!(
        (read[1].1.clone(), header(1, "payload_left_out_bytes")),
        (None, None)
    );
    assert_eq!(read[2].1, None);
    assert_eq!(
        header(2, "payload_left_out_bytes"),
        Some(long.len().to_string())
    );
}

type Read = (Option<Vec<u8>>, Option<Vec<u8>>, BTreeMap<String, String>);

fn messages(servers: &str, count: usize) -> Vec<Read> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        .set("group.id", "test");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset("dead", 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&list).unwrap();
    let mut read = vec![];
    while read.len() < count {
        let message = consumer
            .poll(Duration::from_secs(30))
            .expect("in time")
            .unwrap();
        let headers = message.headers().unwrap().iter();
        let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap().to_vec()).unwrap();
        read.push((
            message.key().map(<[u8]>::to_vec),
            message.payload().map(<[u8]>::to_vec),
            headers.map(|h| (h.key.to_owned(), text(h.value))).collect(),
        ));
    }
    read
}
