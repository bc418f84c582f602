//! Where messages go that could not be decoded.
//!
//! Promises: what was put is durable when `put` returns, as it came, with why it was rejected. A letter may be there
//! twice after a restart, never not at all. Where nothing keeps letters, they are counted.

mod folder;
mod kafka;

use std::path::Path;
use std::sync::Arc;

pub use folder::Folder;
pub use kafka::KafkaTopic;

use super::{Options, Origin, Topic};
use crate::error::{Error, Result};

/// A message that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Why it could not be decoded; without anything of what it holds.
    pub reason: String,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// What it says.
    pub payload: Option<Vec<u8>>,
    /// When it was rejected, in milliseconds.
    pub at_millis: i64,
}

/// Where they go.
pub trait DeadLetters: Send {
    /// Keeps these letters. An error means that some may not be kept.
    fn put(&mut self, letters: &[DeadLetter]) -> Result<()>;
}

/// Letters that are counted and not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many there were.
    pub letters: u64,
}

impl DeadLetters for Counted {
    fn put(&mut self, letters: &[DeadLetter]) -> Result<()> {
        self.letters += letters.len() as u64;
        Ok(())
    }
}

/// Opens where the letters of a topic go: `kafka:TOPIC` at the same brokers, a folder, or `none`.
pub fn open(address: &str, of: &Topic, options: &Options) -> Result<Box<dyn DeadLetters>> {
    let invalid = |problem: &str| Error::InvalidTopic {
        topic: address.into(),
        problem: problem.into(),
    };
    match address.split_once(':') {
        None if address == "none" => Ok(Box::new(Counted::default())),
        Some(("kafka", "")) => Err(invalid("it names no topic for dead letters")),
        Some(("kafka", topic)) if topic == of.name => {
            Err(invalid("dead letters would come back as messages"))
        }
        Some(("kafka", topic)) => {
            let bootstrap = match &of.origin {
                Origin::Kafka { bootstrap, .. } => bootstrap.as_deref(),
                Origin::Lines { .. } => None,
            };
            let topic = KafkaTopic::open(topic, bootstrap, &options.properties)?;
            Ok(Box::new(topic))
        }
        _ if address.is_empty() => Err(invalid("it is kafka:TOPIC, a folder, or none")),
        _ => {
            let folder = Folder::open(Path::new(address), Arc::clone(&options.clock))?;
            Ok(Box::new(folder))
        }
    }
}

#[cfg(test)]
mod tests;
