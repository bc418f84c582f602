//! Reading topics of a real broker: what the cluster in the process cannot show (times, transactions, new partitions,
//! removed records, logins).
//!
//! Runs where `UNSKEWED_TEST_KAFKA=HOST:PORT` names a broker without a login, and `UNSKEWED_TEST_KAFKA_SASL=HOST:PORT`
//! one where `app` logs in with `app-secret` by SASL/PLAIN; says so and passes elsewhere. Topics are made anew.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests, and a skipped test says so"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use unskewed_connectors::clock::{Clock, ManualClock, SystemClock};
use unskewed_connectors::error::{Error, Result, Retry};
use unskewed_connectors::stream::dead_letter::{self, DeadLetter};
use unskewed_connectors::stream::{
    self, ClientProperties, Messages, Options, Polled, Positions, Source, Start, Topic,
    TopicPartition,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// The broker of a variable.
fn broker(variable: &str) -> Option<String> {
    let broker = std::env::var(variable).ok();
    if broker.is_none() {
        println!("skipped: {variable} names no broker");
    }
    broker
}

/// A topic that nobody had before.
struct Events {
    broker: String,
    name: String,
}

impl Events {
    fn new(broker: &str, name: &str, partitions: i32) -> Self {
        let events = Self {
            broker: broker.into(),
            name: format!("{name}-{}", SystemClock::new().now_millis()),
        };
        let topic = NewTopic::new(&events.name, partitions, TopicReplication::Fixed(1));
        // What is asked is answered only while the client lives.
        let admin = events.admin();
        let made = admin.create_topics([&topic], &AdminOptions::new());
        let made = futures::executor::block_on(made).unwrap();
        assert!(made.iter().all(|topic| topic.is_ok()), "{made:?}");
        events
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.broker);
        config.set("linger.ms", "0");
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().unwrap()
    }

    fn producer(&self) -> BaseProducer {
        self.config().create().unwrap()
    }

    /// Sends texts, each at its number in seconds.
    fn send(&self, producer: &BaseProducer, partition: i32, numbers: std::ops::Range<i64>) {
        for number in numbers {
            let text = format!("m{number}");
            let record = BaseRecord::<str, str>::to(&self.name).partition(partition);
            let record = record
                .key("k")
                .payload(&text)
                .timestamp(1_000_000_000_000 + number * 1000);
            producer.send(record).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    fn options(start: Start) -> Options {
        Options {
            start,
            properties: ClientProperties::default(),
            clock: Arc::new(SystemClock::new()),
        }
    }

    fn topic(&self, given: &[(&str, &str)]) -> Topic {
        let given = given
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let mut given: BTreeMap<String, String> = given.collect();
        given.insert("bootstrap".into(), self.broker.clone());
        Topic::parse(&self.name, &given).unwrap()
    }

    fn open(&self, start: Start) -> Box<dyn Source> {
        stream::open(&self.topic(&[]), &Self::options(start)).unwrap()
    }

    fn of(&self, partition: i32) -> TopicPartition {
        TopicPartition {
            topic: self.name.as_str().into(),
            partition,
        }
    }
}

/// What comes until the topic's end of now; the texts, by partition, and where to read on.
fn read(source: &mut dyn Source, reached: &mut Positions) -> Result<BTreeMap<i32, Vec<String>>> {
    let ends = source.ends()?;
    let clock = SystemClock::new();
    let mut texts: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    let is_behind = |reached: &Positions| {
        let mut ends = ends.iter();
        ends.any(|(of, end)| reached.get(of).copied().unwrap_or(0) < *end)
    };
    while is_behind(reached) {
        assert!(
            clock.monotonic() < PATIENCE,
            "{reached:?} does not come to {ends:?}"
        );
        let Polled::Messages(all) = source.poll(100, Duration::from_millis(100))? else {
            continue;
        };
        for Messages { of, messages, next } in all {
            let payloads = messages
                .into_iter()
                .map(|m| String::from_utf8(m.payload.unwrap()));
            let payloads = payloads.map(std::result::Result::unwrap);
            texts.entry(of.partition).or_default().extend(payloads);
            reached.insert(of, next);
        }
    }
    Ok(texts)
}

fn texts(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|number| format!("m{number}")).collect()
}

/// A start at a time begins at the first message that is as young, in each partition, or after the last.
#[test]
fn start_at_a_time() {
    let Some(broker) = broker("UNSKEWED_TEST_KAFKA") else {
        return;
    };
    let events = Events::new(&broker, "times", 2);
    let producer = events.producer();
    events.send(&producer, 0, 0..10);
    events.send(&producer, 1, 0..3);
    let mut source = events.open(Start::At(1_000_000_000_000 + 6_500));
    events.send(&producer, 1, 20..22);
    let read = read(&mut *source, &mut Positions::new()).unwrap();
    assert_eq!(read[&0], texts(7..10));
    assert_eq!(read[&1], texts(20..22));
}

/// Of transactions only what is committed is read; an end in marks alone is come to, again and again.
#[test]
fn transactions() {
    let Some(broker) = broker("UNSKEWED_TEST_KAFKA") else {
        return;
    };
    let events = Events::new(&broker, "transactions", 1);
    let mut config = events.config();
    config.set("transactional.id", &events.name);
    let producer: BaseProducer = config.create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    let mut source = events.open(Start::Earliest);
    let mut reached = Positions::new();
    for round in 0..4 {
        let numbers = round * 10..round * 10 + 5;
        producer.begin_transaction().unwrap();
        events.send(&producer, 0, numbers.clone());
        let is_kept = round % 2 == 0;
        match is_kept {
            true => producer.commit_transaction(PATIENCE).unwrap(),
            false => producer.abort_transaction(PATIENCE).unwrap(),
        }
        // The marks come a while after the producer was told that it is done: five messages and a mark a round.
        let (end, clock) = ((round + 1) * 6, SystemClock::new());
        while source.ends().unwrap()[&events.of(0)] < end {
            assert!(clock.monotonic() < PATIENCE, "the transaction does not end");
        }
        let read = read(&mut *source, &mut reached).unwrap();
        let kept = if is_kept { texts(numbers) } else { vec![] };
        assert_eq!(read.into_values().flatten().collect::<Vec<_>>(), kept);
    }
    // From the start, the same in one go.
    let mut again = events.open(Start::Earliest);
    let all = read(&mut *again, &mut Positions::new()).unwrap();
    assert_eq!(all[&0], [texts(0..5), texts(20..25)].concat());
}

/// Partitions that are added while we read are found and read from their beginning.
#[test]
fn new_partitions() {
    let Some(broker) = broker("UNSKEWED_TEST_KAFKA") else {
        return;
    };
    let events = Events::new(&broker, "partitions", 1);
    let producer = events.producer();
    events.send(&producer, 0, 0..5);
    let clock = Arc::new(ManualClock::at_millis(0));
    let options = Options {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ..Events::options(Start::Earliest)
    };
    let mut source = stream::open(&events.topic(&[]), &options).unwrap();
    let mut reached = Positions::new();
    assert_eq!(read(&mut *source, &mut reached).unwrap()[&0], texts(0..5));
    let more = NewPartitions::new(&events.name, 3);
    let admin = events.admin();
    let made = admin.create_partitions([&more], &AdminOptions::new());
    futures::executor::block_on(made).unwrap()[0]
        .as_ref()
        .unwrap();
    let producer = events.producer();
    events.send(&producer, 2, 5..8);
    let patience = SystemClock::new();
    while !source.ends().unwrap().contains_key(&events.of(2)) {
        assert!(patience.monotonic() < PATIENCE, "they are not found");
        clock.advance(Duration::from_secs(60));
        source.poll(0, Duration::ZERO).unwrap();
    }
    assert_eq!(read(&mut *source, &mut reached).unwrap()[&2], texts(5..8));
}

/// Records that were removed before we came are an error that says how many, and the rest can be sought.
#[test]
fn removed_records() {
    let Some(broker) = broker("UNSKEWED_TEST_KAFKA") else {
        return;
    };
    let events = Events::new(&broker, "removed", 1);
    events.send(&events.producer(), 0, 0..10);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&events.name, 0, Offset::Offset(6))
        .unwrap();
    let admin = events.admin();
    let removed = admin.delete_records(&list, &AdminOptions::new());
    futures::executor::block_on(removed).unwrap();
    let mut source = events.open(Start::Earliest);
    source.seek(&Positions::from([(events.of(0), 2)])).unwrap();
    let error = read(&mut *source, &mut Positions::new()).unwrap_err();
    assert!(matches!(error, Error::RowsLost { .. }), "{error}");
    assert!(error.to_string().contains("removed 4 offsets"), "{error}");
    source.seek(&Positions::from([(events.of(0), 7)])).unwrap();
    let rest = read(&mut *source, &mut Positions::new()).unwrap();
    assert_eq!(rest[&0], texts(7..10));
    let mut oldest = events.open(Start::Earliest);
    let rest = read(&mut *oldest, &mut Positions::new()).unwrap();
    assert_eq!(rest[&0], texts(6..10));
}

/// A group is told how far we are.
#[test]
fn groups() {
    let Some(broker) = broker("UNSKEWED_TEST_KAFKA") else {
        return;
    };
    let events = Events::new(&broker, "groups", 1);
    events.send(&events.producer(), 0, 0..10);
    let topic = events.topic(&[("group", &events.name)]);
    let mut source = stream::open(&topic, &Events::options(Start::Earliest)).unwrap();
    read(&mut *source, &mut Positions::new()).unwrap();
    source
        .commit(&Positions::from([(events.of(0), 8)]))
        .unwrap();
    let mut config = events.config();
    config.set("group.id", &events.name);
    let consumer: rdkafka::consumer::BaseConsumer = config.create().unwrap();
    let clock = SystemClock::new();
    loop {
        assert!(clock.monotonic() < PATIENCE, "nothing was committed");
        let mut list = TopicPartitionList::new();
        list.add_partition(&events.name, 0);
        let committed = rdkafka::consumer::Consumer::committed_offsets(&consumer, list, PATIENCE);
        if committed.unwrap().elements()[0].offset() == Offset::Offset(8) {
            break;
        }
        source.poll(0, Duration::ZERO).unwrap();
    }
}

/// Dead letters are acknowledged by the broker, and read back as they came.
#[test]
fn dead_letters() {
    let Some(broker) = broker("UNSKEWED_TEST_KAFKA") else {
        return;
    };
    let letters = Events::new(&broker, "letters", 1);
    let events = Events::new(&broker, "rejected", 1);
    let address = format!("kafka:{}", letters.name);
    let options = Events::options(Start::Earliest);
    let mut dead = dead_letter::open(&address, &events.topic(&[]), &options).unwrap();
    let letter = |offset| DeadLetter {
        topic: events.name.as_str().into(),
        partition: 0,
        offset,
        reason: "it is no JSON".into(),
        key: None,
        payload: Some(format!("m{offset}").into_bytes()),
        at_millis: 1,
    };
    dead.put(&(0..1000).map(letter).collect::<Vec<_>>())
        .unwrap();
    let mut source = letters.open(Start::Earliest);
    let read = read(&mut *source, &mut Positions::new()).unwrap();
    assert_eq!(read[&0], texts(0..1000));
}

/// Who logs in reads; who may not is told so, and the password is in no message.
#[test]
fn logins() {
    let Some(broker) = broker("UNSKEWED_TEST_KAFKA_SASL") else {
        return;
    };
    let given = BTreeMap::from([("bootstrap".to_owned(), broker)]);
    let topic = Topic::parse("no-such-topic", &given).unwrap();
    let open = |password: &str| {
        let properties = [
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "app"),
            ("sasl.password", password),
            ("allow.auto.create.topics", "false"),
        ];
        let properties = properties.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let options = Options {
            properties: properties.into_iter().collect(),
            ..Events::options(Start::Earliest)
        };
        assert!(!format!("{options:?}").contains(password));
        stream::open(&topic, &options).err().unwrap()
    };
    let logged_in = open("app-secret");
    assert_eq!(logged_in.retry(), Retry::Never);
    assert!(logged_in.to_string().contains("its name"), "{logged_in}");
    let refused = open("hunter2-or-so");
    let text = format!("{refused} {refused:?}");
    assert!(
        text.contains("sasl.password") && !text.contains("hunter2"),
        "{text}"
    );
}
