//! Topics of Kafka, by librdkafka.
//!
//! Promises: all partitions are read, those that are added later too. Where to read on is told by [`Source::seek`] and
//! never taken from the broker: a group is only told how far we are. Of transactions, only what is committed is read.
//! A position that the topic no longer holds is an error that says which rows are lost, never a jump. What a client
//! property holds stands in no message of ours.
//!
//! Brokers that cannot be reached are librdkafka's business: it goes on trying, and [`Source::poll`] is idle meanwhile.

pub(super) mod client;
pub(super) mod failure;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};

pub use self::client::ClientProperties;
use self::client::Context;
use self::failure::{Failure, failure};
use super::{Message, Messages, Polled, Positions, Source, Start, TopicPartition};
use crate::clock::Clock;
use crate::error::{Error, Result, Retry};

/// How long a broker may take to answer a question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A poll hands on no more than about this, however many messages it may.
const POLL_BYTES_MAX: usize = 64 << 20;
/// How often partitions are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long that may hold up reading.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// The source.
pub struct Kafka {
    consumer: BaseConsumer<Context>,
    /// Whether the consumer reads already.
    is_reading: bool,
    topic: Arc<str>,
    bootstrap: Option<String>,
    group: Option<String>,
    properties: ClientProperties,
    start: Start,
    is_grouped: bool,
    clock: Arc<dyn Clock>,
    partitions: BTreeMap<i32, Reach>,
    /// Where partitions that are yet to be seen are read from.
    sought: BTreeMap<i32, i64>,
    looked: Duration,
    /// What went wrong after messages that had to be handed on first.
    failed: Option<Error>,
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Kafka");
        shown.field("topic", &self.topic);
        shown.field("partitions", &self.partitions).finish()
    }
}

/// How far a partition is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reach {
    /// Where to read on; `None` for the oldest message.
    next: Option<i64>,
    /// An end that somebody waits for.
    end: Option<i64>,
    /// Whether everything has been read that there was when the broker was asked last.
    is_at_end: bool,
    /// Whether the broker was asked for messages after `end` was known.
    is_asked_since: bool,
}

impl Reach {
    fn at(next: Option<i64>) -> Self {
        Self {
            next,
            end: None,
            is_at_end: false,
            is_asked_since: false,
        }
    }

    fn offset(self) -> Offset {
        self.next.map_or(Offset::Beginning, Offset::Offset)
    }
}

impl Kafka {
    /// Opens a topic.
    pub fn open(
        topic: &str,
        bootstrap: Option<&str>,
        group: Option<&str>,
        options: &super::Options,
    ) -> Result<Self> {
        let opened = client::consumer(topic, bootstrap, group, &options.properties)?;
        let mut kafka = Self {
            consumer: opened.consumer,
            is_reading: false,
            topic: topic.into(),
            bootstrap: bootstrap.map(str::to_owned),
            group: group.map(str::to_owned),
            properties: options.properties.clone(),
            start: options.start,
            is_grouped: opened.is_grouped,
            clock: Arc::clone(&options.clock),
            partitions: BTreeMap::new(),
            sought: BTreeMap::new(),
            looked: options.clock.monotonic(),
            failed: None,
        };
        let partitions = kafka.look(ANSWER_TIMEOUT)?;
        kafka.partitions = kafka.begins(&partitions)?;
        Ok(kafka)
    }

    /// Begins to read. Not before the first poll, so that a source that is sought first reads from there alone.
    fn begin(&mut self) -> Result<()> {
        if !self.is_reading {
            let assigned = self.consumer.assign(&self.list(&self.partitions)?);
            assigned.map_err(|error| self.error("take up", &error))?;
            self.is_reading = true;
        }
        Ok(())
    }

    fn error(&self, action: &'static str, error: &KafkaError) -> Error {
        failure(&self.topic, action, error).into_error(&self.topic)
    }

    /// The error of a call that brokers did not answer: why they did not, where the client knows by now.
    fn cause(&self, action: &'static str, error: &KafkaError) -> Error {
        const TOLD_MAX: usize = 100;
        let failed = failure(&self.topic, action, error);
        if let (Failure::Passing(_), false) = (&failed, self.is_reading) {
            // A poll also ends where the client told something else, so one that gives nothing is not the last.
            let told = (0..TOLD_MAX).filter_map(|_| self.consumer.poll(Duration::ZERO));
            let told = told.filter_map(std::result::Result::err);
            let mut told = told.map(|error| failure(&self.topic, action, &error));
            let lasting = told.find(|failure| matches!(failure, Failure::Lasting { .. }));
            return lasting.unwrap_or(failed).into_error(&self.topic);
        }
        failed.into_error(&self.topic)
    }

    /// The partitions that there are.
    fn look(&self, wait: Duration) -> Result<Vec<i32>> {
        let metadata = self.consumer.fetch_metadata(Some(&self.topic), wait);
        let metadata = metadata.map_err(|error| self.cause("look at", &error))?;
        let found = metadata.topics().iter().find(|t| t.name() == &*self.topic);
        let partitions = found.map_or(&[][..], |topic| topic.partitions());
        let error = found.and_then(|topic| topic.error());
        if let Some(code) = error {
            return Err(self.error("look at", &KafkaError::MetadataFetch(code.into())));
        }
        if partitions.is_empty() {
            return Err(Error::Kafka {
                action: "look at",
                topic: self.topic.to_string(),
                problem: "it has no partitions yet".into(),
                retry: Retry::Backoff,
            });
        }
        Ok(partitions.iter().map(|partition| partition.id()).collect())
    }

    /// Reads these partitions too, from where they were sought or else from the start.
    fn take_up(&mut self, partitions: Vec<i32>) -> Result<()> {
        let new: Vec<i32> = partitions
            .into_iter()
            .filter(|partition| !self.partitions.contains_key(partition))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let begins = self.begins(&new)?;
        if self.is_reading {
            let assigned = self.consumer.incremental_assign(&self.list(&begins)?);
            assigned.map_err(|error| self.error("take up", &error))?;
        }
        self.partitions.extend(begins);
        Ok(())
    }

    /// Where these partitions are read from.
    fn begins(&self, partitions: &[i32]) -> Result<BTreeMap<i32, Reach>> {
        let (sought, rest): (Vec<i32>, Vec<i32>) = partitions
            .iter()
            .partition(|partition| self.sought.contains_key(partition));
        let sought = sought.iter();
        let mut begins: BTreeMap<i32, Reach> = sought
            .map(|partition| (*partition, Reach::at(Some(self.sought[partition]))))
            .collect();
        match self.start {
            Start::Earliest => begins.extend(rest.iter().map(|p| (*p, Reach::at(None)))),
            Start::At(_) if rest.is_empty() => {}
            Start::At(millis) => {
                // Where no message is that young, the place after the last is the first that may be. It is asked for
                // before, so that one which comes in between is not passed over.
                let ends = self.offsets(&rest, Offset::End)?;
                let mut young = self.offsets(&rest, Offset::Offset(millis.max(0)))?;
                for (partition, end) in ends {
                    young.entry(partition).or_insert(end);
                }
                begins.extend(young.into_iter().map(|(p, at)| (p, Reach::at(Some(at)))));
            }
        }
        Ok(begins)
    }

    /// The offsets of partitions at a time, where there is one.
    fn offsets(&self, partitions: &[i32], at: Offset) -> Result<BTreeMap<i32, i64>> {
        let mut asked = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            let added = asked.add_partition_offset(&self.topic, *partition, at);
            added.map_err(|error| self.error("ask for offsets of", &error))?;
        }
        let answer = self.consumer.offsets_for_times(asked, ANSWER_TIMEOUT);
        let answer = answer.map_err(|error| self.error("ask for offsets of", &error))?;
        let mut offsets = BTreeMap::new();
        for element in answer.elements() {
            let answered = element.error();
            answered.map_err(|error| self.error("ask for offsets of", &error))?;
            if let Offset::Offset(offset) = element.offset() {
                offsets.insert(element.partition(), offset);
            }
        }
        Ok(offsets)
    }

    fn list(&self, of: &BTreeMap<i32, Reach>) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(of.len());
        for (partition, reach) in of {
            let added = list.add_partition_offset(&self.topic, *partition, reach.offset());
            added.map_err(|error| self.error("seek in", &error))?;
        }
        Ok(list)
    }

    /// Looks for new partitions now and then. Brokers that cannot be asked are asked later.
    fn look_again(&mut self) -> Result<()> {
        let now = self.clock.monotonic();
        if now.saturating_sub(self.looked) < LOOK_EVERY {
            return Ok(());
        }
        self.looked = now;
        let looked = self
            .look(LOOK_TIMEOUT)
            .and_then(|partitions| self.take_up(partitions));
        match looked {
            Err(error) if error.retry() == Retry::Backoff => {
                tracing::warn!(topic = %self.topic, %error, "new partitions could not be looked for");
                Ok(())
            }
            other => other,
        }
    }

    /// Asks the broker again for what comes after what was read of a partition. What was fetched before is dropped, so
    /// when the end is come to after this, it is an end that was seen after this.
    fn ask_again(&self, partition: i32, reach: Reach) -> Result<()> {
        let asked = self
            .consumer
            .seek(&self.topic, partition, reach.offset(), ANSWER_TIMEOUT);
        asked.map_err(|error| self.error("seek in", &error))
    }

    /// The end of a partition is come to, without messages where it ends in what is no message to us.
    fn come_to_end(&mut self, partition: i32, taken: &mut Taken) -> Result<()> {
        let Some(mut reach) = self.partitions.get(&partition).copied() else {
            return Ok(());
        };
        reach.is_at_end = true;
        if let Some(end) = reach.end.filter(|end| reach.next.unwrap_or(0) < *end) {
            if reach.is_asked_since {
                reach.next = Some(end);
                taken.of(partition).1 = end;
            } else {
                self.ask_again(partition, reach)?;
                reach.is_asked_since = true;
            }
        }
        self.partitions.insert(partition, reach);
        Ok(())
    }

    fn take(&mut self, partition: i32, message: Message, taken: &mut Taken) {
        let Some(reach) = self.partitions.get_mut(&partition) else {
            return;
        };
        if reach.next.is_some_and(|next| message.offset < next) {
            return;
        }
        let next = message.offset + 1;
        let length = message.payload.as_ref().map_or(0, Vec::len);
        reach.next = Some(next);
        reach.is_at_end = false;
        let of = taken.of(partition);
        of.0.push(message);
        of.1 = next;
        taken.count += 1;
        taken.bytes += length;
    }

    /// An error of the consumer; `Ok` for one that passes without us.
    fn failed(&self, error: &KafkaError) -> Result<()> {
        match failure(&self.topic, "read", error) {
            Failure::Passing(problem) => {
                tracing::warn!(topic = %self.topic, problem, "the brokers are in trouble");
                Ok(())
            }
            Failure::Group(problem) if !self.is_grouped => {
                tracing::debug!(topic = %self.topic, problem, "no group is used");
                Ok(())
            }
            Failure::OutOfRange => Err(self.lost()),
            other => Err(other.into_error(&self.topic)),
        }
    }

    /// Which positions the topic no longer holds.
    fn lost(&self) -> Error {
        let mut problems = Vec::new();
        for (partition, reach) in &self.partitions {
            let asked = self
                .consumer
                .fetch_watermarks(&self.topic, *partition, ANSWER_TIMEOUT);
            let (Some(next), Ok((first, end))) = (reach.next, asked) else {
                continue;
            };
            if next < first {
                problems.push(format!(
                    "partition {partition} was read up to offset {next} but begins at {first} now, as retention removed \
                     {} offsets",
                    first - next
                ));
            } else if next > end {
                problems.push(format!(
                    "partition {partition} was read up to offset {next} but ends at {end}, as if it had been made anew"
                ));
            }
        }
        if problems.is_empty() {
            problems.push("a partition no longer holds the offset to read on from".into());
        }
        Error::RowsLost {
            topic: self.topic.to_string(),
            problem: format!(
                "{}; to go on without them, run the batch first and start from its end",
                problems.join("; ")
            ),
        }
    }
}

/// Messages taken in one poll, by partition, with where to read on.
#[derive(Default)]
struct Taken {
    messages: BTreeMap<i32, (Vec<Message>, i64)>,
    count: usize,
    bytes: usize,
}

impl Taken {
    fn of(&mut self, partition: i32) -> &mut (Vec<Message>, i64) {
        self.messages.entry(partition).or_default()
    }

    fn into_polled(self, topic: &Arc<str>) -> Polled {
        if self.messages.is_empty() {
            return Polled::Idle;
        }
        let messages = self.messages.into_iter();
        let messages = messages.map(|(partition, (messages, next))| Messages {
            of: TopicPartition {
                topic: Arc::clone(topic),
                partition,
            },
            messages,
            next,
        });
        Polled::Messages(messages.collect())
    }
}

fn owned(message: &BorrowedMessage<'_>) -> Message {
    Message {
        offset: message.offset(),
        millis: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
    }
}

impl Source for Kafka {
    fn seek(&mut self, positions: &Positions) -> Result<()> {
        let ours = positions.iter().filter(|(of, _)| of.topic == self.topic);
        self.sought = ours.map(|(of, next)| (of.partition, *next)).collect();
        self.failed = None;
        if self.is_reading {
            // What a consumer was told to read before can come after all (a query for the oldest offset that is answered
            // late); a new one has no before.
            let (bootstrap, group) = (self.bootstrap.as_deref(), self.group.as_deref());
            let opened = client::consumer(&self.topic, bootstrap, group, &self.properties)?;
            self.consumer = opened.consumer;
            self.is_reading = false;
        }
        let partitions: Vec<i32> = self.partitions.keys().copied().collect();
        self.partitions = self.begins(&partitions)?;
        Ok(())
    }

    fn poll(&mut self, messages_max: usize, wait: Duration) -> Result<Polled> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.look_again()?;
        self.begin()?;
        let until = self.clock.monotonic() + wait;
        let mut taken = Taken::default();
        while taken.count < messages_max && taken.bytes < POLL_BYTES_MAX {
            let left = match taken.messages.is_empty() {
                true => until.saturating_sub(self.clock.monotonic()),
                false => Duration::ZERO,
            };
            let polled = self.consumer.poll(left);
            let polled = polled.map(|got| got.map(|m| (m.partition(), owned(&m))));
            let went = match polled {
                None => break,
                Some(Ok((partition, message))) => {
                    self.take(partition, message, &mut taken);
                    Ok(())
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.come_to_end(partition, &mut taken)
                }
                Some(Err(error)) => self.failed(&error),
            };
            if let Err(error) = went {
                self.failed = Some(error);
                break;
            }
        }
        match self.failed.take() {
            Some(error) if taken.messages.is_empty() => Err(error),
            failed => {
                self.failed = failed;
                Ok(taken.into_polled(&self.topic))
            }
        }
    }

    fn ends(&mut self) -> Result<Positions> {
        let partitions: Vec<i32> = self.partitions.keys().copied().collect();
        let ends = self.offsets(&partitions, Offset::End)?;
        let mut positions = Positions::new();
        for (partition, end) in ends {
            let Some(mut reach) = self.partitions.get(&partition).copied() else {
                continue;
            };
            reach.end = Some(end);
            reach.is_asked_since = reach.is_at_end && reach.next.unwrap_or(0) < end;
            if reach.is_asked_since {
                self.ask_again(partition, reach)?;
            }
            self.partitions.insert(partition, reach);
            let topic = Arc::clone(&self.topic);
            positions.insert(TopicPartition { topic, partition }, end);
        }
        Ok(positions)
    }

    fn commit(&mut self, positions: &Positions) -> Result<()> {
        if !self.is_grouped {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for (of, next) in positions.iter().filter(|(of, _)| of.topic == self.topic) {
            let added = list.add_partition_offset(&self.topic, of.partition, Offset::Offset(*next));
            added.map_err(|error| self.error("commit positions of", &error))?;
        }
        if list.count() == 0 {
            return Ok(());
        }
        let committed = self.consumer.commit(&list, CommitMode::Async);
        committed.map_err(|error| self.error("commit positions of", &error))
    }
}

#[cfg(test)]
mod tests;
