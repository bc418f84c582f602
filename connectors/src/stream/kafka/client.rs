//! Clients of Kafka as we want them.
//!
//! Promises: what a property holds is never shown, neither by `Debug` nor in errors nor in what librdkafka logs. The
//! properties that our promises rest on cannot be set by others.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaConfRes;
use rdkafka::{ClientContext, TopicPartitionList};

use crate::error::{Error, Result, Retry};

/// The group of who gives none: Kafka wants a name, and nothing is ever told to this one.
const NO_GROUP: &str = "unskewed";

/// Properties that are ours, with what they are.
const OURS: [(&str, &str); 4] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "error"),
];

/// Properties of the Kafka client by the names that librdkafka gives them, such as `sasl.password`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientProperties(BTreeMap<String, String>);

impl ClientProperties {
    /// These properties.
    pub fn new(properties: BTreeMap<String, String>) -> Self {
        Self(properties)
    }
}

impl FromIterator<(String, String)> for ClientProperties {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(properties: I) -> Self {
        Self(properties.into_iter().collect())
    }
}

impl fmt::Debug for ClientProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What librdkafka tells, without what is secret.
#[derive(Clone)]
pub(crate) struct Context {
    topic: String,
    secrets: Vec<String>,
}

impl Context {
    pub(crate) fn new(topic: &str, properties: &ClientProperties) -> Self {
        let secret = |name: &str| {
            let words = ["password", "secret", "token", "jaas", ".pem", "oauthbearer"];
            words.iter().any(|word| name.contains(word))
        };
        let secrets = properties.0.iter();
        let secrets = secrets.filter(|(name, value)| secret(name) && !value.is_empty());
        Self {
            topic: topic.into(),
            secrets: secrets.map(|(_, value)| value.clone()).collect(),
        }
    }

    fn without_secrets(&self, text: &str) -> String {
        let secrets = self.secrets.iter();
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

impl Context {
    /// Which property is wrong, without what it holds.
    pub(crate) fn wrong_properties(&self, error: &KafkaError) -> Error {
        let problem = match error {
            KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, name, _) => {
                format!("Kafka's client knows no property {name}")
            }
            KafkaError::ClientConfig(_, _, name, _) => {
                format!("the client property {name} cannot have this value")
            }
            KafkaError::ClientCreation(text) => self.without_secrets(text),
            _ => "Kafka's client does not take these properties".into(),
        };
        Error::Kafka {
            action: "open",
            topic: self.topic.clone(),
            problem,
            retry: Retry::Never,
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        let (topic, text) = (&self.topic, self.without_secrets(text));
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(topic, facility, "{text}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(topic, facility, "{text}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(topic, facility, "{text}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Of the consumer, these come out of `poll` as well.
        let (topic, reason) = (&self.topic, self.without_secrets(reason));
        tracing::debug!(topic, code = ?error.rdkafka_error_code(), "{reason}");
    }
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            let (topic, code) = (&self.topic, error.rdkafka_error_code());
            tracing::warn!(topic, ?code, "the group could not be told how far we are");
        }
    }
}

/// A consumer, and whether a group is told how far it is.
pub(super) struct Opened {
    pub(super) consumer: BaseConsumer<Context>,
    pub(super) is_grouped: bool,
}

/// A consumer that jumps nowhere by itself.
pub(super) fn consumer(
    topic: &str,
    bootstrap: Option<&str>,
    group: Option<&str>,
    properties: &ClientProperties,
) -> Result<Opened> {
    if let Some((ours, _)) = OURS
        .iter()
        .find(|(ours, _)| properties.0.contains_key(*ours))
    {
        return Err(Error::InvalidTopic {
            topic: topic.into(),
            problem: format!(
                "the client property {ours} is not to be set: positions are kept here"
            ),
        });
    }
    let mut config = config(topic, bootstrap, properties)?;
    if config.get("isolation.level").is_none() {
        config.set("isolation.level", "read_committed");
    }
    for (name, value) in OURS {
        config.set(name, value);
    }
    let group = group.or(config.get("group.id")).map(str::to_owned);
    let is_grouped = group.is_some();
    config.set("group.id", group.as_deref().unwrap_or(NO_GROUP));
    let context = Context::new(topic, properties);
    let created = config.create_with_context(context.clone());
    Ok(Opened {
        consumer: created.map_err(|error| context.wrong_properties(&error))?,
        is_grouped,
    })
}

/// What any client is given.
pub(crate) fn config(
    topic: &str,
    bootstrap: Option<&str>,
    properties: &ClientProperties,
) -> Result<ClientConfig> {
    let mut config = ClientConfig::new();
    config.set("client.id", "unskewed");
    for (name, value) in &properties.0 {
        config.set(name, value);
    }
    match bootstrap {
        Some(bootstrap) => config.set("bootstrap.servers", bootstrap),
        None if config.get("bootstrap.servers").is_some() => &mut config,
        None => {
            return Err(Error::InvalidTopic {
                topic: topic.into(),
                problem: "bootstrap is missing: which brokers, as HOST:PORT?".into(),
            });
        }
    };
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> ClientProperties {
        let pairs = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        pairs.collect()
    }

    /// What a property holds is shown nowhere, whether the client takes it or not.
    #[test]
    fn secrets_stay_secret() {
        let secret = "hunter2-or-so";
        let mut all = String::new();
        for pairs in [
            [("sasl.password", secret), ("security.protocol", secret)],
            [("ssl.key.password", secret), ("sasl.passwort", secret)],
            [("sasl.password", secret), ("session.timeout.ms", secret)],
            [("ssl.key.pem", secret), ("security.protocol", "ssl")],
        ] {
            let properties = properties(&pairs);
            all += &format!(
                "{properties:?} {:?}",
                Options {
                    properties: &properties
                }
            );
            let error = consumer("t", Some("localhost:1"), None, &properties);
            let error = error.err().expect("the properties are wrong");
            all += &format!("{error} {error:?}");
        }
        assert!(!all.contains(secret), "{all}");
        for told in ["security.protocol", "sasl.passwort", "session.timeout.ms"] {
            assert!(all.contains(told), "{all}");
        }
        let context = Context::new("t", &properties(&[("sasl.password", secret)]));
        let shown = context.without_secrets(&format!("login me:{secret} failed"));
        assert_eq!(shown, "login me:*** failed");
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "only shown")]
    struct Options<'a> {
        properties: &'a ClientProperties,
    }

    /// What our promises rest on is ours; brokers are wanted.
    #[test]
    fn properties_that_are_ours() {
        for (ours, _) in OURS {
            let error = consumer("t", Some("localhost:1"), None, &properties(&[(ours, "x")]));
            let text = error.err().expect("it is ours").to_string();
            assert!(text.contains(ours), "{text}");
        }
        let error = consumer("t", None, None, &ClientProperties::default());
        let text = error.err().expect("no brokers").to_string();
        assert!(text.contains("bootstrap is missing"), "{text}");
        let brokers = properties(&[("bootstrap.servers", "localhost:1"), ("group.id", "g")]);
        assert!(consumer("t", None, None, &brokers).unwrap().is_grouped);
    }
}
