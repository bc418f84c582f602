//! What one receiver of a plan gets: a topic's messages, decoded, each once and with its place.
//!
//! Promises: a message that was delivered again is passed over, by its offset; one that cannot be decoded is told of and
//! passed over too, now and whenever it is read again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::UInt32Array;
use arrow_schema::SchemaRef;
use unskewed_connectors::error::{Error, Result};
use unskewed_connectors::stream::checkpoint::{Addition, Progress, Read, Received};
use unskewed_connectors::stream::dead_letter::{DeadLetter, DeadLetters};
use unskewed_connectors::stream::{
    Decoder, Message, Messages, Polled, Positions, Rejected, Source, Start, TopicPartition,
};
use unskewed_planner::physical::{NodeId, Receive};

use super::patience::Patience;
use crate::exchange::SPLIT_SHIFT;
use crate::live::Fed;

/// Rows that one message gives at most: an entity's change has a side before and a side after.
const ROWS_OF_MESSAGE: u64 = 2;

/// A topic that can be read.
pub struct Opened {
    /// Its messages.
    pub source: Box<dyn Source>,
    /// What makes rows of them.
    pub decoder: Box<dyn Decoder>,
    /// Where those go that give none.
    pub dead_letters: Box<dyn DeadLetters>,
}

/// Where topics are.
pub trait Topics {
    /// Opens a topic for rows of these columns.
    fn open(&self, receive: &Receive, columns: &SchemaRef, start: Start) -> Result<Opened>;
}

/// Messages that could not be decoded.
#[derive(Debug, Default)]
pub(super) struct Refused {
    pub(super) count: u64,
    pub(super) samples: Vec<String>,
}

impl Refused {
    fn add(&mut self, letters: &[DeadLetter]) {
        self.count += letters.len() as u64;
        for letter in letters {
            let (offset, partition, topic) = (letter.offset, letter.partition, &letter.topic);
            self.samples.push(format!(
                "message {offset} of partition {partition} of {topic}: {}",
                letter.reason
            ));
        }
    }
}

/// The reading of one receiver.
pub(super) struct Feed {
    /// The node that gets the rows. It changes with the plan.
    pub(super) receiver: NodeId,
    /// What checkpoints know it by.
    pub(super) name: String,
    pub(super) columns: SchemaRef,
    /// Whether its topic has ended.
    pub(super) ended: bool,
    pub(super) read: Read,
    opened: Opened,
    /// Since the last checkpoint.
    received: Vec<Received>,
    span: Option<(i64, i64)>,
}

/// Numbers for partitions, each given once.
#[derive(Debug, Default)]
pub(super) struct Numbers(u64);

impl Numbers {
    /// That these numbers are taken.
    pub(super) fn take(&mut self, read: &Read) {
        let largest = read.values().map(|progress| progress.number + 1).max();
        self.0 = self.0.max(largest.unwrap_or(0));
    }

    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0 - 1
    }
}

/// What a poll brought.
#[derive(Default)]
pub(super) struct Brought {
    pub(super) fed: Vec<Fed>,
    pub(super) messages: u64,
    pub(super) refused: Refused,
}

impl Feed {
    /// Reads on from what a checkpoint says was read.
    pub(super) fn open(
        mut opened: Opened,
        (receiver, name): (NodeId, String),
        columns: SchemaRef,
        read: Read,
    ) -> Result<Self> {
        opened.source.seek(&positions(&read))?;
        Ok(Self {
            receiver,
            name,
            columns,
            ended: false,
            read,
            opened,
            received: Vec::new(),
            span: None,
        })
    }

    /// How far the topic reaches now.
    pub(super) fn ends(&mut self) -> Result<Positions> {
        self.opened.source.ends()
    }

    /// Whether everything before these positions has been read.
    pub(super) fn is_past(&self, ends: &Positions) -> bool {
        let reached = |(of, end): (&TopicPartition, &i64)| {
            let next = self.read.get(of).map_or(0, |progress| progress.next);
            next >= *end
        };
        self.ended || ends.iter().all(reached)
    }

    /// What there is now.
    pub(super) fn poll(
        &mut self,
        (messages_max, wait): (usize, Duration),
        numbers: &mut Numbers,
        patience: Patience<'_>,
    ) -> Result<Brought> {
        let mut brought = Brought::default();
        match patience.call(|| self.opened.source.poll(messages_max, wait))? {
            Polled::Idle => {}
            Polled::End => self.ended = true,
            Polled::Messages(all) => {
                for messages in all {
                    self.take(messages, &mut brought, numbers, patience)?;
                }
            }
        }
        Ok(brought)
    }

    fn take(
        &mut self,
        messages: Messages,
        brought: &mut Brought,
        numbers: &mut Numbers,
        patience: Patience<'_>,
    ) -> Result<()> {
        let Messages { of, messages, next } = messages;
        let progress = self.read.entry(of.clone()).or_insert_with(|| Progress {
            number: numbers.next(),
            next: i64::MIN,
        });
        let number = progress.number;
        let known = messages.partition_point(|message| message.offset < progress.next);
        let new = &messages[known..];
        if !new.is_empty() {
            let decoded = patience.call(|| self.opened.decoder.decode(new))?;
            brought.messages += new.len() as u64;
            let now = patience.clock.now_millis();
            let letters = letters(new, &decoded.rejected, (&of, now));
            if !letters.is_empty() {
                patience.call(|| self.opened.dead_letters.put(&letters))?;
                brought.refused.add(&letters);
            }
            self.widen(new.iter().map(|message| message.millis.unwrap_or(now)));
            if decoded.rows.num_rows() > 0 {
                let places = places(new, &decoded.message, &of)?;
                self.received.push(Received {
                    partition: vec![number; places.len()],
                    place: places.clone(),
                    rows: decoded.rows.clone(),
                });
                brought.fed.push(Fed {
                    receiver: self.receiver,
                    partition: number,
                    places,
                    rows: decoded.rows,
                });
            }
        }
        // Only now: an error before leaves the messages to be read again.
        if let Some(progress) = self.read.get_mut(&of) {
            progress.next = progress.next.max(next);
        }
        Ok(())
    }

    fn widen(&mut self, millis: impl Iterator<Item = i64>) {
        for millis in millis {
            let (first, last) = self.span.unwrap_or((millis, millis));
            self.span = Some((first.min(millis), last.max(millis)));
        }
    }

    /// What the next checkpoint keeps of it. It is for the caller to see that it is kept.
    pub(super) fn addition(&mut self) -> Addition {
        Addition {
            read: self.read.clone(),
            received: std::mem::take(&mut self.received),
            span: self.span.take(),
        }
    }

    /// Tells the topic how far it is read.
    pub(super) fn commit(&mut self) -> Result<()> {
        self.opened.source.commit(&positions(&self.read))
    }
}

/// What a checkpoint kept, to be fed again.
pub(super) fn fed_again(receiver: NodeId, received: &Received) -> Vec<Fed> {
    // Rows of a partition lie together, and in order.
    let mut rows_of: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (row, number) in received.partition.iter().enumerate() {
        rows_of.entry(*number).or_default().push(row);
    }
    let whole = |rows: &[usize]| rows.len() == received.place.len();
    let take = |rows: &[usize]| {
        let indices = rows.iter().map(|row| *row as u32).collect::<Vec<_>>();
        arrow_select::take::take_record_batch(&received.rows, &UInt32Array::from(indices))
    };
    let fed = |(partition, rows): (u64, Vec<usize>)| Fed {
        receiver,
        partition,
        places: rows.iter().map(|row| received.place[*row]).collect(),
        rows: match whole(&rows) {
            true => received.rows.clone(),
            false => take(&rows).expect("these rows are there"),
        },
    };
    rows_of.into_iter().map(fed).collect()
}

fn positions(read: &Read) -> Positions {
    let next = |(of, progress): (&TopicPartition, &Progress)| (of.clone(), progress.next);
    read.iter().map(next).collect()
}

/// What is kept of messages that were rejected.
fn letters(
    messages: &[Message],
    rejected: &[Rejected],
    (of, at_millis): (&TopicPartition, i64),
) -> Vec<DeadLetter> {
    let letter = |rejected: &Rejected| {
        let message = &messages[rejected.message as usize];
        DeadLetter {
            topic: Arc::clone(&of.topic),
            partition: of.partition,
            offset: message.offset,
            reason: rejected.reason.clone(),
            key: message.key.clone(),
            payload: message.payload.clone(),
            at_millis,
        }
    };
    rejected.iter().map(letter).collect()
}

/// The place of each row: its message's offset, and which of the message's rows it is.
fn places(new: &[Message], message_of: &[u32], of: &TopicPartition) -> Result<Vec<u64>> {
    let mut places = Vec::with_capacity(message_of.len());
    for (row, message) in message_of.iter().enumerate() {
        let second = row > 0 && message_of[row - 1] == *message;
        let offset = new[*message as usize].offset;
        let place = u64::try_from(offset).ok();
        let place = place.and_then(|offset| offset.checked_mul(ROWS_OF_MESSAGE));
        let place = place.filter(|place| *place >> SPLIT_SHIFT == 0);
        let place = place.ok_or_else(|| Error::InvalidTopic {
            topic: Arc::clone(&of.topic).to_string(),
            problem: format!("offset {offset} is larger than a stream can tell apart"),
        })?;
        places.push(place + u64::from(second));
    }
    Ok(places)
}
