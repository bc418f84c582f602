//! Where events come from that do not end: topics, and files read as if they were topics.
//!
//! ```text
//! Source::seek(positions) ─► poll ─► Messages ─► Decoder::decode ─► rows (Arrow), rejected messages
//!        ▲                                                              │ epoch, durable
//!        └────────────────────────── commit(positions) ◄────────────────┘
//! ```
//! A source hands on bytes with their position (topic, partition, offset) and knows no form; a [`Decoder`] knows a form
//! and no source.
//!
//! # Contract
//! * Messages of a partition come in the order of their offsets, each at least once. After [`Source::seek`] the next
//!   message of a partition is the first one at or after the position. Positions are [`Messages::next`]; nobody
//!   calculates with offsets.
//! * A message that cannot be decoded is handed on as rejected, with why; it never stops the others, and is never
//!   decoded differently the next time.
//! * [`Source::commit`] tells others how far we are. It is never what a restart relies on.

pub mod checkpoint;
pub mod dead_letter;
pub mod form;
mod kafka;
mod lines;
mod topic;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

pub use kafka::{ClientProperties, Kafka};
pub use lines::Lines;
pub use topic::{Form, Format, Origin, PARAMETERS, RegistryAddress, SchemaPlace, Topic};

use crate::clock::Clock;
use crate::error::Result;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
}

/// The next offset to read, by partition. One that is not named is read from where the source begins.
pub type Positions = BTreeMap<TopicPartition, i64>;

/// Messages of one partition, in the order of their offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messages {
    /// The partition.
    pub of: TopicPartition,
    /// The messages; none where the source only knows that there is nothing more before `next`.
    pub messages: Vec<Message>,
    /// The position after these messages: where to read on. It can lie beyond the last offset and one, as offsets have
    /// gaps (places in a file, transactions' marks, compaction).
    pub next: i64,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its offset.
    pub offset: i64,
    /// When it was produced, in milliseconds, where the topic says so.
    pub millis: Option<i64>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// What it says; `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
}

/// What a poll gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Messages.
    Messages(Vec<Messages>),
    /// Nothing new in the time given; more may come.
    Idle,
    /// All there is has been read, and nothing will come.
    End,
}

/// Where a source begins in partitions that have no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest message.
    Earliest,
    /// At the first message produced at or after this instant, in milliseconds.
    At(i64),
}

/// How a topic is read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it begins in partitions that have no position.
    pub start: Start,
    /// Properties of the Kafka client.
    pub properties: ClientProperties,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Opens the source of a topic.
pub fn open(topic: &Topic, options: &Options) -> Result<Box<dyn Source>> {
    Ok(match &topic.origin {
        Origin::Kafka { bootstrap, group } => Box::new(Kafka::open(
            &topic.name,
            bootstrap.as_deref(),
            group.as_deref(),
            options,
        )?),
        Origin::Lines { path } => Box::new(Lines::open(path, &topic.name)?),
    })
}

/// A source of messages.
pub trait Source: Send {
    /// Reads on from here.
    fn seek(&mut self, positions: &Positions) -> Result<()>;

    /// Messages, as soon as there are any: at most about this many, after at most about this long.
    fn poll(&mut self, messages_max: usize, wait: Duration) -> Result<Polled>;

    /// How far every partition reaches now. Who reads on comes to a [`Messages::next`] at or after each of them, even if
    /// no message is left before it.
    fn ends(&mut self) -> Result<Positions>;

    /// Everything before these positions is durable here.
    fn commit(&mut self, positions: &Positions) -> Result<()>;
}

/// Rows of a partition's messages.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The rows, of the decoder's schema.
    pub rows: RecordBatch,
    /// Which message each row is of, by its number among those decoded; ascending. A message may have none, or two.
    pub message: Vec<u32>,
    /// Messages that could not be decoded.
    pub rejected: Vec<Rejected>,
}

/// A message that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its number among those decoded.
    pub message: u32,
    /// Why; without anything of what it holds.
    pub reason: String,
}

/// What makes rows of messages.
pub trait Decoder: Send {
    /// The columns of its rows.
    fn schema(&self) -> SchemaRef;

    /// The rows of messages. An error is one of an outside system (a registry that does not answer), and worth trying
    /// again; a message's own fault is in [`Decoded::rejected`].
    fn decode(&mut self, messages: &[Message]) -> Result<Decoded>;
}
