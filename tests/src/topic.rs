//! A topic in memory whose messages are rows, and which behaves as badly as a real one may: polls of any size, messages
//! delivered again, offsets with gaps, failures that pass and failures that do not.
//!
//! Anything unexpected panics: only tests call this.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::{RecordBatch, UInt32Array, new_null_array};
use arrow_schema::SchemaRef;
use unskewed_connectors::clock::Clock;
use unskewed_connectors::error::{Error, Result};
use unskewed_connectors::stream::dead_letter::Counted;
use unskewed_connectors::stream::{
    Decoded, Decoder, Message, Messages, Polled, Positions, Rejected, Source, Start, TopicPartition,
};
use unskewed_engine::job::{Opened, Topics};
use unskewed_planner::physical::Receive;

use crate::random_join::Random;

/// A payload that no decoder takes.
pub const POISON: &[u8] = b"poison";

/// Rows on the partitions of a topic, in the order in which they came.
#[derive(Debug)]
pub struct Topic {
    rows: RecordBatch,
    partitions: Vec<Vec<Message>>,
    /// How many messages of each partition have come so far. It grows while the topic is read.
    come: Arc<Mutex<Vec<usize>>>,
}

impl Topic {
    /// A topic of these rows: for each partition, which come on it; `None` is a message that cannot be decoded.
    pub fn new(rows: RecordBatch, partitions: &[Vec<Option<u32>>], random: &mut Random) -> Self {
        let mut numbered = |rows: &Vec<Option<u32>>| {
            let mut offset = 0;
            let mut message = |row: &Option<u32>| {
                offset += 1 + random.below(3);
                let payload = row.map_or(POISON.to_vec(), |row| row.to_be_bytes().to_vec());
                Message {
                    offset,
                    millis: None,
                    key: None,
                    payload: Some(payload),
                }
            };
            rows.iter().map(&mut message).collect()
        };
        let partitions: Vec<_> = partitions.iter().map(&mut numbered).collect();
        Self {
            rows,
            come: Arc::new(Mutex::new(vec![0; partitions.len()])),
            partitions,
        }
    }

    /// The rows that come on it.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// Which rows come, in their order within a partition.
    pub fn arriving(&self) -> impl Iterator<Item = u32> {
        let messages = self.partitions.iter().flatten();
        let payloads = messages.filter_map(|message| message.payload.as_deref());
        payloads.filter_map(|payload| payload.try_into().ok().map(u32::from_be_bytes))
    }
}

/// Topics by name, read badly.
pub struct Bad<'a> {
    topics: &'a BTreeMap<String, Topic>,
    clock: Arc<dyn Clock>,
    random: Mutex<Random>,
    /// Of so many calls one fails, but would not the next time; 0 for none.
    pub hiccups: i64,
}

impl<'a> Bad<'a> {
    /// These topics. The clock goes on while a reader waits.
    pub fn new(topics: &'a BTreeMap<String, Topic>, clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self {
            topics,
            clock,
            random: Mutex::new(Random(seed)),
            hiccups: 0,
        }
    }
}

impl Topics for Bad<'_> {
    fn open(&self, receive: &Receive, columns: &SchemaRef, _: Start) -> Result<Opened> {
        let found = &self.topics[&receive.topic];
        let seed = self.random.lock().unwrap().below(1 << 30);
        let of = |partition| TopicPartition {
            topic: Arc::from(receive.topic.as_str()),
            partition,
        };
        let partitions = found.partitions.iter().zip(0..);
        let partitions = partitions.map(|(messages, number)| (of(number), messages.clone(), 0));
        let source = BadSource {
            partitions: partitions.collect(),
            come: Arc::clone(&found.come),
            random: Random(seed.cast_unsigned()),
            clock: Arc::clone(&self.clock),
            hiccups: self.hiccups,
        };
        let columns = Arc::clone(columns);
        let rows = found.rows.clone();
        Ok(Opened {
            source: Box::new(source),
            decoder: Box::new(RowDecoder { rows, columns }),
            dead_letters: Box::new(Counted::default()),
        })
    }
}

struct BadSource {
    /// Each with the number of messages read.
    partitions: Vec<(TopicPartition, Vec<Message>, usize)>,
    come: Arc<Mutex<Vec<usize>>>,
    random: Random,
    clock: Arc<dyn Clock>,
    hiccups: i64,
}

impl Source for BadSource {
    fn seek(&mut self, positions: &Positions) -> Result<()> {
        for (of, messages, read) in &mut self.partitions {
            let next = positions.get(of).copied().unwrap_or(0);
            *read = messages.partition_point(|message| message.offset < next);
        }
        Ok(())
    }

    fn poll(&mut self, messages_max: usize, wait: Duration) -> Result<Polled> {
        if self.hiccups > 0 && self.random.below(self.hiccups) == 0 {
            return Err(Error::Injected {
                operation: "poll",
                path: "a topic".into(),
            });
        }
        if self
            .partitions
            .iter()
            .all(|(_, all, read)| *read == all.len())
        {
            return Ok(Polled::End);
        }
        if self.random.below(4) == 0 {
            self.clock.sleep(wait);
            return Ok(Polled::Idle);
        }
        let mut polled = Vec::new();
        let mut come = self.come.lock().unwrap();
        for ((of, all, read), come) in self.partitions.iter_mut().zip(come.iter_mut()) {
            *come = all.len().min(*come + self.random.below(5) as usize);
            // Now and then some come again.
            let again = match self.random.below(3) {
                0 => self.random.below(4) as usize,
                _ => 0,
            };
            let first = read.saturating_sub(again);
            let most = (*come - *read).min(messages_max) as i64;
            let end = *read + self.random.below(most.min(9) + 1) as usize;
            let messages = all[first..end].to_vec();
            let next = all.get(end).map_or(1 << 30, |message| message.offset);
            *read = end;
            polled.push(Messages {
                of: of.clone(),
                messages,
                next,
            });
        }
        Ok(Polled::Messages(polled))
    }

    fn ends(&mut self) -> Result<Positions> {
        let come = self.come.lock().unwrap();
        let mut ends = Positions::new();
        for ((of, all, _), come) in self.partitions.iter().zip(come.iter()) {
            let last = all[..*come].last();
            ends.insert(of.clone(), last.map_or(0, |last| last.offset + 1));
        }
        Ok(ends)
    }

    fn commit(&mut self, _: &Positions) -> Result<()> {
        Ok(())
    }
}

/// Takes the rows that messages name.
struct RowDecoder {
    rows: RecordBatch,
    columns: SchemaRef,
}

impl Decoder for RowDecoder {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns)
    }

    fn decode(&mut self, messages: &[Message]) -> Result<Decoded> {
        let (mut taken, mut of, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
        for (message, number) in messages.iter().zip(0..) {
            let payload = message.payload.as_deref().unwrap();
            match payload.try_into() {
                Ok(row) => {
                    taken.push(u32::from_be_bytes(row));
                    of.push(number);
                }
                Err(_) => rejected.push(Rejected {
                    message: number,
                    reason: "it is poison".into(),
                }),
            }
        }
        let taken = UInt32Array::from(taken);
        let column = |field: &Arc<arrow_schema::Field>| match self.rows.column_by_name(field.name())
        {
            Some(column) => arrow_select::take::take(column, &taken, None).unwrap(),
            None => new_null_array(field.data_type(), of.len()),
        };
        let columns = self.columns.fields().iter().map(column).collect();
        Ok(Decoded {
            rows: RecordBatch::try_new(Arc::clone(&self.columns), columns).unwrap(),
            message: of,
            rejected,
        })
    }
}
