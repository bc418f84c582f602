//! Dead letters in a topic of Kafka: key and payload as they came, the rest in headers.
//!
//! Promises: every letter is acknowledged by the brokers before `put` returns. One that is too long for the topic is
//! sent without its payload, as none may stop the stream; a header says so.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::{DeadLetter, DeadLetters};
use crate::error::{Error, Result, Retry};
use crate::stream::ClientProperties;
use crate::stream::kafka::client::{self, Context};
use crate::stream::kafka::failure::failure;

/// How long brokers may take to acknowledge letters.
const DELIVERY_MILLIS: u64 = 30_000;
const ACTION: &str = "write dead letters to";

/// The topic.
pub struct KafkaTopic {
    topic: String,
    producer: BaseProducer<Deliveries>,
}

impl fmt::Debug for KafkaTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KafkaTopic").field(&self.topic).finish()
    }
}

/// What became of letters.
struct Deliveries {
    context: Context,
    failed: Mutex<Option<KafkaError>>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.context.log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut failed = self.failed.lock().expect("no holder panics");
            *failed = Some(error.clone());
        }
    }
}

impl KafkaTopic {
    /// Opens a topic.
    pub fn open(
        topic: &str,
        bootstrap: Option<&str>,
        properties: &ClientProperties,
    ) -> Result<Self> {
        let mut config = client::config(topic, bootstrap, properties)?;
        config.remove("group.id");
        config.remove("isolation.level");
        config.set("enable.idempotence", "true");
        config.set("linger.ms", "5");
        config.set("message.timeout.ms", DELIVERY_MILLIS.to_string());
        let context = Context::new(topic, properties);
        let deliveries = Deliveries {
            context: context.clone(),
            failed: Mutex::new(None),
        };
        let producer = config.create_with_context(deliveries);
        Ok(Self {
            topic: topic.into(),
            producer: producer.map_err(|error| context.wrong_properties(&error))?,
        })
    }

    fn error(&self, error: &KafkaError) -> Error {
        failure(&self.topic, ACTION, error).into_error(&self.topic)
    }

    /// Hands a letter to the client, once it has room for it.
    fn send(&self, letter: &DeadLetter, payload: Option<&[u8]>) -> Result<()> {
        let mut record =
            BaseRecord::<[u8], [u8]>::to(&self.topic).headers(headers(letter, payload));
        if let Some(key) = &letter.key {
            record = record.key(key);
        }
        if let Some(payload) = payload {
            record = record.payload(payload);
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    self.producer.poll(Duration::from_millis(100));
                    record = back;
                }
                Err((error, _)) if is_too_long(&error) && payload.is_some() => {
                    return self.send(letter, None);
                }
                Err((error, _)) => return Err(self.error(&error)),
            }
        }
    }
}

fn is_too_long(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
}

fn headers(letter: &DeadLetter, payload: Option<&[u8]>) -> OwnedHeaders {
    let (partition, offset) = (letter.partition.to_string(), letter.offset.to_string());
    let at_millis = letter.at_millis.to_string();
    let texts = [
        ("reason", letter.reason.as_str()),
        ("topic", &letter.topic),
        ("partition", &partition),
        ("offset", &offset),
        ("at_millis", &at_millis),
    ];
    let mut headers = OwnedHeaders::new();
    for (key, value) in texts {
        headers = headers.insert(Header {
            key,
            value: Some(value),
        });
    }
    match (&letter.payload, payload) {
        (Some(whole), None) => headers.insert(Header {
            key: "payload_left_out_bytes",
            value: Some(&whole.len().to_string()),
        }),
        _ => headers,
    }
}

impl DeadLetters for KafkaTopic {
    fn put(&mut self, letters: &[DeadLetter]) -> Result<()> {
        for letter in letters {
            self.send(letter, letter.payload.as_deref())?;
        }
        let wait = Duration::from_millis(DELIVERY_MILLIS + 5_000);
        let flushed = self.producer.flush(wait);
        let mut failed = self
            .producer
            .context()
            .failed
            .lock()
            .expect("no holder panics");
        match failed.take() {
            // Not our call, but whether an earlier letter was refused is told to whoever puts it again.
            Some(error) => Err(Error::Kafka {
                action: ACTION,
                topic: self.topic.clone(),
                problem: error
                    .rdkafka_error_code()
                    .map_or_else(String::new, |code| code.to_string()),
                retry: Retry::Backoff,
            }),
            None => flushed.map_err(|error| self.error(&error)),
        }
    }
}
