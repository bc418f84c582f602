//! Reading a topic of a cluster that lives in this process.

use std::collections::BTreeSet;

use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;
use crate::clock::{ManualClock, SystemClock};
use crate::stream::Options;

type Cluster = MockCluster<'static, DefaultProducerContext>;

const TOPIC: &str = "events";
/// No test waits longer than this for what is under way.
const PATIENCE: Duration = Duration::from_secs(30);

fn cluster(partitions: i32) -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, partitions, 1).unwrap();
    cluster
}

fn options(start: Start) -> Options {
    Options {
        start,
        properties: ClientProperties::from_iter([
            ("reconnect.backoff.ms".into(), "10".into()),
            ("reconnect.backoff.max.ms".into(), "50".into()),
            ("fetch.error.backoff.ms".into(), "10".into()),
        ]),
        clock: Arc::new(SystemClock::new()),
    }
}

fn open(cluster: &Cluster, start: Start) -> Kafka {
    let servers = cluster.bootstrap_servers();
    Kafka::open(TOPIC, Some(&servers), None, &options(start)).unwrap()
}

/// Sends texts to a partition, and waits until they are there.
fn send(cluster: &Cluster, partition: i32, texts: impl IntoIterator<Item = String>) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    config.set("linger.ms", "0");
    let producer: BaseProducer = config.create().unwrap();
    for text in texts {
        let record = BaseRecord::<str, str>::to(TOPIC);
        let record = record.partition(partition).key("k").payload(&text);
        producer.send(record).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

fn texts(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("m{number}")).collect()
}

/// Polls until the source has come to where the topic ends now; what came, by partition.
fn read(kafka: &mut Kafka) -> BTreeMap<i32, Vec<Message>> {
    let ends = kafka.ends().unwrap();
    let known = kafka.partitions.iter();
    let known = known.map(|(partition, reach)| (of(*partition), reach.next.unwrap_or(0)));
    let mut reached: Positions = known.collect();
    let mut read: BTreeMap<i32, Vec<Message>> = BTreeMap::new();
    let clock = SystemClock::new();
    let is_behind = |reached: &Positions| ends.iter().any(|(of, end)| reached[of] < *end);
    while is_behind(&reached) {
        assert!(
            clock.monotonic() < PATIENCE,
            "{kafka:?} does not come to {ends:?}"
        );
        let polled = kafka.poll(7, Duration::from_millis(100)).unwrap();
        let Polled::Messages(all) = polled else {
            continue;
        };
        for Messages { of, messages, next } in all {
            assert!(messages.iter().all(|message| message.offset < next));
            reached.insert(of.clone(), next);
            read.entry(of.partition).or_default().extend(messages);
        }
    }
    read
}

fn payloads(messages: &[Message]) -> Vec<String> {
    let text = |m: &Message| String::from_utf8(m.payload.clone().unwrap()).unwrap();
    messages.iter().map(text).collect()
}

fn of(partition: i32) -> TopicPartition {
    TopicPartition {
        topic: TOPIC.into(),
        partition,
    }
}

/// Polls until there is an error.
fn error(kafka: &mut Kafka) -> Error {
    let clock = SystemClock::new();
    loop {
        assert!(clock.monotonic() < PATIENCE, "no error came");
        if let Err(error) = kafka.poll(10, Duration::from_millis(100)) {
            return error;
        }
    }
}

/// Messages of a partition come in their order, all of them, with key, time and offset.
#[test]
fn messages_come_in_order() {
    let cluster = cluster(3);
    for partition in 0..3 {
        send(&cluster, partition, texts(0..20));
    }
    let mut kafka = open(&cluster, Start::Earliest);
    let read = read(&mut kafka);
    assert_eq!(read.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    for messages in read.values() {
        assert_eq!(payloads(messages), texts(0..20));
        let offsets: Vec<i64> = messages.iter().map(|message| message.offset).collect();
        assert_eq!(offsets, (0..20).collect::<Vec<i64>>());
        assert!(messages.iter().all(|m| m.key.as_deref() == Some(b"k")));
        assert!(messages.iter().all(|m| m.millis.is_some()));
    }
    assert_eq!(kafka.poll(1, Duration::ZERO).unwrap(), Polled::Idle);
}

/// A poll hands on no more than it was asked for.
#[test]
fn at_most_so_many() {
    let cluster = cluster(1);
    send(&cluster, 0, texts(0..30));
    let mut kafka = open(&cluster, Start::Earliest);
    let clock = SystemClock::new();
    let mut got = Vec::new();
    while got.len() < 30 {
        assert!(clock.monotonic() < PATIENCE);
        if let Polled::Messages(all) = kafka.poll(4, Duration::from_millis(100)).unwrap() {
            assert!(all.iter().map(|of| of.messages.len()).sum::<usize>() <= 4);
            got.extend(all.into_iter().flat_map(|of| of.messages));
        }
    }
    assert_eq!(payloads(&got), texts(0..30));
}

/// After a seek, partitions are read on from their positions, the others from the start; again and again.
#[test]
fn seek_goes_there_and_back() {
    let cluster = cluster(2);
    send(&cluster, 0, texts(0..10));
    send(&cluster, 1, texts(0..10));
    let mut kafka = open(&cluster, Start::Earliest);
    for from in [7, 0, 3, 9] {
        kafka.seek(&Positions::from([(of(1), from)])).unwrap();
        let read = read(&mut kafka);
        assert_eq!(payloads(&read[&0]), texts(0..10));
        let offsets: Vec<i64> = read[&1].iter().map(|message| message.offset).collect();
        assert_eq!(offsets, (from..10).collect::<Vec<i64>>());
    }
    kafka
        .seek(&Positions::from([(of(0), 10), (of(1), 10)]))
        .unwrap();
    send(&cluster, 0, texts(10..12));
    send(&cluster, 1, texts(10..11));
    let read = read(&mut kafka);
    assert_eq!(payloads(&read[&0]), texts(10..12));
    assert_eq!(payloads(&read[&1]), texts(10..11));
}

/// A partition that is added is found after a while, and read from its beginning or its position.
#[test]
fn new_partitions_are_found() {
    let cluster = cluster(3);
    for partition in 0..3 {
        send(&cluster, partition, texts(0..5));
    }
    let clock = Arc::new(ManualClock::at_millis(0));
    let mut kafka = open(&cluster, Start::Earliest);
    kafka.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    kafka.looked = Duration::ZERO;
    // As if the last two had not been there when the topic was opened.
    kafka.partitions.retain(|partition, _| *partition == 0);
    kafka.seek(&Positions::from([(of(2), 3)])).unwrap();
    let first = read(&mut kafka);
    assert_eq!(first.keys().collect::<Vec<_>>(), [&0]);
    clock.advance(LOOK_EVERY);
    kafka.poll(0, Duration::ZERO).unwrap();
    let rest = read(&mut kafka);
    assert_eq!(payloads(&rest[&1]), texts(0..5));
    assert_eq!(payloads(&rest[&2]), texts(3..5));
}

/// Where no message is as young as the start, what comes next is the first that is read.
#[test]
fn start_after_all_there_is() {
    let cluster = cluster(1);
    send(&cluster, 0, texts(0..5));
    let mut kafka = open(&cluster, Start::At(i64::MAX / 2));
    send(&cluster, 0, texts(5..7));
    assert_eq!(payloads(&read(&mut kafka)[&0]), texts(5..7));
}

/// An empty topic has an end that is come to at once.
#[test]
fn nothing_there() {
    let cluster = cluster(2);
    let mut kafka = open(&cluster, Start::Earliest);
    assert_eq!(
        kafka.ends().unwrap(),
        Positions::from([(of(0), 0), (of(1), 0)])
    );
    assert_eq!(
        kafka.poll(9, Duration::from_millis(50)).unwrap(),
        Polled::Idle
    );
}

/// A topic that is not there is an error that says what to do.
#[test]
fn unknown_topics() {
    let cluster = cluster(1);
    let servers = cluster.bootstrap_servers();
    cluster
        .topic_error(
            "nowhere",
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        )
        .unwrap();
    let error = Kafka::open("nowhere", Some(&servers), None, &options(Start::Earliest));
    let error = error.expect_err("there is no such topic");
    let text = error.to_string();
    assert!(
        text.contains("nowhere") && text.contains("its name"),
        "{text}"
    );
    assert_eq!(error.retry(), Retry::Never);
}

/// A position that retention has passed, or that was never there, is an error, not a jump.
#[test]
fn lost_rows_are_told() {
    let cluster = cluster(1);
    send(&cluster, 0, texts(0..5));
    let mut kafka = open(&cluster, Start::Earliest);
    kafka.seek(&Positions::from([(of(0), 100)])).unwrap();
    let beyond = error(&mut kafka);
    assert!(matches!(beyond, Error::RowsLost { .. }), "{beyond}");
    assert!(
        beyond
            .to_string()
            .contains("up to offset 100 but ends at 5"),
        "{beyond}"
    );
    // The cluster keeps no more than 5 MiB of a partition.
    let big = "x".repeat(1 << 16);
    send(&cluster, 0, std::iter::repeat_n(big, 120));
    kafka.seek(&Positions::from([(of(0), 2)])).unwrap();
    let behind = error(&mut kafka);
    assert!(matches!(behind, Error::RowsLost { .. }), "{behind}");
    assert!(
        behind.to_string().contains("up to offset 2 but begins at"),
        "{behind}"
    );
}

/// Requests that brokers answer with errors are made again, and nothing is lost or doubled.
#[test]
fn errors_of_requests() {
    let cluster = cluster(1);
    send(&cluster, 0, texts(0..10));
    cluster.request_errors(
        RDKafkaApiKey::Fetch,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
        ],
    );
    let mut kafka = open(&cluster, Start::Earliest);
    assert_eq!(payloads(&read(&mut kafka)[&0]), texts(0..10));
}

/// A broker that is gone for a while is waited for.
#[test]
fn broker_down_and_up() {
    let cluster = cluster(1);
    send(&cluster, 0, texts(0..5));
    let mut kafka = open(&cluster, Start::Earliest);
    assert_eq!(payloads(&read(&mut kafka)[&0]), texts(0..5));
    cluster.broker_down(1).unwrap();
    for _ in 0..5 {
        assert_eq!(
            kafka.poll(9, Duration::from_millis(100)).unwrap(),
            Polled::Idle
        );
    }
    cluster.broker_up(1).unwrap();
    send(&cluster, 0, texts(5..10));
    assert_eq!(payloads(&read(&mut kafka)[&0]), texts(5..10));
}

/// A group is told how far we are; without one, nobody is.
#[test]
fn commits() {
    let cluster = cluster(2);
    send(&cluster, 0, texts(0..5));
    send(&cluster, 1, texts(0..5));
    let servers = cluster.bootstrap_servers();
    let positions = Positions::from([(of(0), 3), (of(1), 4)]);
    let mut alone = open(&cluster, Start::Earliest);
    alone.commit(&positions).unwrap();
    assert_eq!(committed(&alone), BTreeSet::new());
    let options = options(Start::Earliest);
    let mut grouped = Kafka::open(TOPIC, Some(&servers), Some("ours"), &options).unwrap();
    grouped.commit(&positions).unwrap();
    let clock = SystemClock::new();
    while committed(&grouped) != BTreeSet::from([(0, 3), (1, 4)]) {
        assert!(clock.monotonic() < PATIENCE, "nothing was committed");
        grouped.poll(0, Duration::ZERO).unwrap();
    }
    // It is not what a start relies on.
    assert_eq!(payloads(&read(&mut grouped)[&0]), texts(0..5));
}

fn committed(kafka: &Kafka) -> BTreeSet<(i32, i64)> {
    let committed = kafka.consumer.committed(PATIENCE).unwrap();
    let elements = committed.elements();
    let offsets = elements
        .iter()
        .filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some((element.partition(), offset)),
            _ => None,
        });
    offsets.collect()
}
