//! A stream from its start to its end: catch up, then epoch by epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use unskewed_connectors::kv::KvStore;
use unskewed_connectors::stream::Start;
use unskewed_connectors::stream::checkpoint::{Checkpoints, Received};
use unskewed_planner::definition::{Definition, GroupBy, Source};
use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::lower::{StreamOrigin, stream_rows, stream_rows_of};
use unskewed_planner::physical::{Node, NodeId, Receive};
use unskewed_planner::resolve::{UploadGroup, resolve_upload};
use unskewed_planner::serving::{batch_dataset, streaming_dataset};
use unskewed_planner::time::Partition;

use super::super::catalog::WarehouseCatalog;
use super::super::error::{Error, Result};
use super::super::{Context, Event, Outcome, SAMPLES_MAX, step, wrong_definition};
use super::feed::{Feed, Numbers, Refused, Topics, fed_again};
use super::patience::Patience;
use super::publish::{latest, put};
use super::replay::nothing_streams;
use crate::live::{Closed, Live};

/// How far clocks of producers may be behind ours, in milliseconds: messages of this much before the horizon are read.
const CLOCK_SKEW_MILLIS: i64 = 3_600_000;
/// Longest wait for one topic while others may have something.
const POLL_WAIT: Duration = Duration::from_millis(5);
/// Epochs that may have been published after the last checkpoint.
const EPOCHS_UNKNOWN: u64 = 1_000_000;

/// How a stream runs.
#[derive(Clone, Debug)]
pub struct StreamSettings {
    /// Longest time between what came and its being published.
    pub epoch_millis: u64,
    /// Messages after which an epoch is closed before its time.
    pub epoch_messages: usize,
    /// Time between checkpoints.
    pub checkpoint_millis: u64,
    /// Days before the end of the last batch that late rows still count in.
    pub horizon_days: i32,
    /// Whether to end once everything is read that was in the topics at the start.
    pub until_end: bool,
    /// Bad rows and messages met before the stream fails; `None` for any number.
    pub max_bad_rows: Option<u64>,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            epoch_millis: 50,
            epoch_messages: 50_000,
            checkpoint_millis: 10_000,
            horizon_days: 2,
            until_end: false,
            max_bad_rows: None,
        }
    }
}

/// Group-bys that can be streamed.
#[derive(Clone, Debug)]
pub struct Streams(Vec<UploadGroup>);

/// What is to be streamed, or everything that is wrong with it. Nothing is read but definitions and schemas.
pub fn streams(definitions: &[Definition], context: &Context<'_>) -> Result<Streams> {
    resolve(definitions, context).map(Streams)
}

/// Streams until the topics end or `stop` is set. `checkpoints` are those of these streams.
pub fn stream(
    streams: Streams,
    (topics, checkpoints, store): (&dyn Topics, Checkpoints, &dyn KvStore),
    settings: &StreamSettings,
    stop: &AtomicBool,
    context: &Context<'_>,
) -> Result<Outcome> {
    let Streams(uploads) = streams;
    let patience = Patience {
        clock: context.clock,
        watcher: context.watcher,
        stop,
    };
    for upload in &uploads {
        patience.call(|| store.create(&streaming_dataset(&upload.group.name)))?;
    }
    let mut running = Running {
        uploads,
        topics,
        store,
        settings,
        context,
        patience,
        epoch: checkpoints.epoch() + EPOCHS_UNKNOWN,
        checkpoints,
        feeds: Vec::new(),
        numbers: Numbers::default(),
        latest_millis: None,
        outcome: Outcome::default(),
    };
    running.run()?;
    Ok(running.outcome)
}

/// The group-bys, and everything that is wrong with any of them.
fn resolve(definitions: &[Definition], context: &Context<'_>) -> Result<Vec<UploadGroup>> {
    let catalog = WarehouseCatalog::new(context.warehouse);
    let mut uploads = Vec::new();
    let mut problems = Vec::new();
    for definition in definitions {
        let Definition::GroupBy(group_by) = definition else {
            return Err(wrong_definition(
                "group-by-streaming",
                "group-by",
                definition,
            ));
        };
        problems.extend(unstreamable(group_by));
        match catalog.checked(resolve_upload(group_by, &catalog)) {
            Err(Error::Definition(more)) => problems.extend(more),
            Err(other) => return Err(other),
            Ok(resolved) => {
                step::warn(&resolved.warnings, context);
                if resolved.value.stores_states() {
                    uploads.push(resolved.value);
                } else {
                    problems.push(nothing_streams(group_by));
                }
            }
        }
    }
    match problems.is_empty() {
        true => Ok(uploads),
        false => Err(Error::Definition(problems)),
    }
}

fn unstreamable(group_by: &GroupBy) -> Vec<Diagnostic> {
    let has_topic = group_by
        .sources
        .iter()
        .any(|source| source.topic().is_some());
    let is_chained = group_by
        .sources
        .iter()
        .any(|source| matches!(source, Source::JoinSource(_)));
    let problem = match (is_chained, has_topic) {
        (true, _) => Diagnostic::error("sources", "a join's output cannot be streamed yet").hint(
            "stream the group-bys of the join, or read the days of its table with --replay-from",
        ),
        (false, false) => Diagnostic::error("sources", "no source has a topic").hint(
            "state topic (of entities mutationTopic), or read the tables' days with --replay-from",
        ),
        (false, true) => return Vec::new(),
    };
    vec![problem.detail(format!("group-by {}", group_by.name()))]
}

struct Running<'a> {
    uploads: Vec<UploadGroup>,
    topics: &'a dyn Topics,
    store: &'a dyn KvStore,
    settings: &'a StreamSettings,
    context: &'a Context<'a>,
    patience: Patience<'a>,
    epoch: u64,
    checkpoints: Checkpoints,
    feeds: Vec<Feed>,
    numbers: Numbers,
    /// The latest time of a row published since the last checkpoint: what was received since is not later.
    latest_millis: Option<i64>,
    outcome: Outcome,
}

impl Running<'_> {
    fn run(&mut self) -> Result<()> {
        let mut since = self.horizon()?;
        let (mut live, kept) = self.start(since)?;
        if !self.catch_up(&mut live, &kept)? {
            return Ok(());
        }
        let mut saved = self.context.clock.monotonic();
        loop {
            let ended = self.settings.until_end || self.feeds.iter().all(|feed| feed.ended);
            let over = ended || self.patience.is_over();
            if !over {
                self.epoch(&mut live)?;
            }
            let now = self.context.clock.monotonic();
            let due = now - saved >= Duration::from_millis(self.settings.checkpoint_millis);
            if over || due {
                saved = now;
                self.checkpoint(since)?;
            }
            if over {
                return Ok(());
            }
            let horizon = if due { self.horizon()? } else { since };
            if horizon > since {
                // A batch has landed: what it holds need not be kept.
                since = horizon;
                self.checkpoint(since)?;
                drop(live);
                live = self.rebuild(since)?;
            }
        }
    }

    /// The first day that counts: so long before the end of the oldest of the last batches; of today, where there is none.
    fn horizon(&self) -> Result<Partition> {
        let now = self.context.clock.now_millis();
        let mut ends = Vec::new();
        for upload in &self.uploads {
            let dataset = batch_dataset(&upload.group.name);
            let batch = self.patience.call(|| self.store.batch(&dataset))?;
            let end = batch.map_or(now, |batch| batch.end_millis);
            ends.push(Partition::of_millis(end));
        }
        let end = ends.into_iter().min();
        let end = end.unwrap_or_else(|| Partition::of_millis(now));
        Ok(end.plus_days(-self.settings.horizon_days))
    }

    /// The plan since a day, fed with what the checkpoint holds; and what it makes of that.
    fn start(&mut self, since: Partition) -> Result<(Live, Closed)> {
        let plan = stream_rows(&self.uploads, since, StreamOrigin::Topics);
        let plan = plan.map_err(Error::Definition)?;
        let live = Live::start(&plan, self.context.workers)?;
        let first_millis = since.start_millis() - CLOCK_SKEW_MILLIS;
        let reaches_back = self.checkpoints.reaches_back_to(first_millis);
        let mut kept = Vec::new();
        for (node, receive) in plan.receivers() {
            let name = name_of(receive);
            self.numbers.take(&self.checkpoints.read(&name));
            if !reaches_back {
                // A batch older than all before: the checkpoint lacks what was forgotten, or never read.
                self.checkpoints.forget(&name);
            }
            let (feed, received) = self.open(node, receive, Start::At(first_millis))?;
            self.feeds.push(feed);
            kept.push((node.id, received));
        }
        refeed(live, kept)
    }

    /// A receiver's reading, and what it has received so far.
    fn open(
        &mut self,
        node: &Node,
        receive: &Receive,
        start: Start,
    ) -> Result<(Feed, Vec<Received>)> {
        let name = name_of(receive);
        let columns = Arc::new(node.schema.to_arrow());
        let received = self.checkpoints.received(&name, &columns)?;
        let received = received.unwrap_or_else(|| {
            // Without a column it now takes, everything is read again.
            self.checkpoints.forget(&name);
            Vec::new()
        });
        let read = self.checkpoints.read(&name);
        let open = || {
            let opened = self.topics.open(receive, &columns, start)?;
            let own = (node.id, name.clone());
            Feed::open(opened, own, Arc::clone(&columns), read.clone())
        };
        Ok((self.patience.call(open)?, received))
    }

    /// The plan since a later day, with the sources as they are.
    fn rebuild(&mut self, since: Partition) -> Result<Live> {
        let plan = stream_rows(&self.uploads, since, StreamOrigin::Topics);
        let plan = plan.map_err(Error::Definition)?;
        let mut kept = Vec::new();
        for (node, receive) in plan.receivers() {
            let name = name_of(receive);
            for feed in self.feeds.iter_mut().filter(|feed| feed.name == name) {
                feed.receiver = node.id;
                let received = self.checkpoints.received(&name, &feed.columns)?;
                kept.push((node.id, received.unwrap_or_default()));
            }
        }
        let live = Live::start(&plan, self.context.workers)?;
        // What is kept is in the store as it is.
        let (live, _) = refeed(live, kept)?;
        let text = format!("a batch has landed; rows since {since} are kept");
        self.context.watcher.on(&Event::Note(&text));
        Ok(live)
    }

    /// Reads to where the topics end now, as one epoch, and publishes all there is: what changed, and of what was kept
    /// before (the store may be another one) the rest. False where it was told to stop on the way.
    fn catch_up(&mut self, live: &mut Live, kept: &Closed) -> Result<bool> {
        let mut ends = Vec::new();
        for feed in &mut self.feeds {
            let patience = self.patience;
            ends.push(patience.call(|| feed.ends())?);
        }
        while !self.patience.is_over() {
            let behind: BTreeSet<usize> = (0..ends.len())
                .filter(|feed| !self.feeds[*feed].is_past(&ends[*feed]))
                .collect();
            if behind.is_empty() {
                break;
            }
            for feed in behind {
                self.poll(feed, self.settings.epoch_messages, live)?;
            }
        }
        if self.patience.is_over() {
            // Less may be known here than was published before; a checkpoint holds what was published.
            return Ok(false);
        }
        let closed = live.close()?;
        let rest = kept.without(&closed, "key_bytes")?;
        let keys = self.publish(&closed)? + self.publish(&rest)?;
        let text = format!(
            "{} messages read, {keys} rows published; now as events come",
            self.outcome.rows_in
        );
        self.context.watcher.on(&Event::Note(&text));
        Ok(true)
    }

    /// What comes in one epoch's time, published.
    fn epoch(&mut self, live: &mut Live) -> Result<()> {
        let clock = self.context.clock;
        let end = clock.monotonic() + Duration::from_millis(self.settings.epoch_millis);
        let mut room = self.settings.epoch_messages;
        let mut any = false;
        while room > 0 && clock.monotonic() < end && !self.patience.is_over() {
            let mut open = 0;
            for feed in 0..self.feeds.len() {
                if !self.feeds[feed].ended {
                    open += 1;
                    let messages = self.poll(feed, room, live)?;
                    any |= messages > 0;
                    room = room.saturating_sub(messages);
                }
            }
            if open == 0 {
                break;
            }
        }
        if any {
            let closed = live.close()?;
            self.publish(&closed)?;
        }
        Ok(())
    }

    fn poll(&mut self, feed: usize, messages_max: usize, live: &mut Live) -> Result<usize> {
        let brought =
            self.feeds[feed].poll((messages_max, POLL_WAIT), &mut self.numbers, self.patience)?;
        for fed in brought.fed {
            live.feed(&fed)?;
        }
        self.outcome.rows_in += brought.messages;
        self.count(brought.refused)?;
        Ok(brought.messages as usize)
    }

    fn count(&mut self, refused: Refused) -> Result<()> {
        let outcome = &mut self.outcome;
        outcome.bad_rows += refused.count;
        let room = SAMPLES_MAX.saturating_sub(outcome.bad_samples.len());
        outcome
            .bad_samples
            .extend(refused.samples.into_iter().take(room));
        match self.settings.max_bad_rows {
            Some(allowed) if outcome.bad_rows > allowed => Err(Error::TooManyBadRows {
                count: outcome.bad_rows,
                allowed,
                first: outcome.bad_samples.first().cloned().unwrap_or_default(),
            }),
            _ => Ok(()),
        }
    }

    /// Puts what an epoch changed: how many rows.
    fn publish(&mut self, closed: &Closed) -> Result<u64> {
        let now = self.context.clock.now_millis();
        self.epoch = (self.epoch + 1).max(now.try_into().unwrap_or(0));
        for (place, bad) in &closed.bad_rows {
            let samples = bad
                .samples
                .iter()
                .map(|sample| format!("{place}: {sample}"));
            self.count(Refused {
                count: bad.count,
                samples: samples.collect(),
            })?;
        }
        let mut published = 0;
        for upload in &self.uploads {
            let label = stream_rows_of(&upload.group.clean_name);
            let dataset = streaming_dataset(&upload.group.name);
            for rows in closed.published.get(&label).into_iter().flatten() {
                let put = || put(rows, &dataset, (self.epoch, Some(now)), self.store);
                published += self.patience.call(put)?;
                self.latest_millis = self.latest_millis.max(latest(rows));
            }
        }
        self.outcome.rows_out += published;
        Ok(published)
    }

    /// Keeps what was read and published so far.
    fn checkpoint(&mut self, since: Partition) -> Result<()> {
        let forget = since.start_millis() - CLOCK_SKEW_MILLIS;
        let latest = self.latest_millis.take();
        let mut additions = BTreeMap::new();
        for feed in &mut self.feeds {
            let mut addition = feed.addition();
            // Times may lie after the moment at which rows came.
            if let (Some((_, last)), Some(latest)) = (&mut addition.span, latest) {
                *last = latest.max(*last);
            }
            additions.insert(feed.name.clone(), addition);
        }
        let (checkpoints, epoch) = (&mut self.checkpoints, self.epoch);
        let save = || checkpoints.save(&additions, forget, epoch);
        self.patience.call(save)?;
        for feed in &mut self.feeds {
            let patience = self.patience;
            patience.call(|| feed.commit())?;
        }
        Ok(())
    }
}

/// A plan fed with what was kept, and what it makes of that. Rows it leaves out were counted when they came.
fn refeed(mut live: Live, kept: Vec<(NodeId, Vec<Received>)>) -> Result<(Live, Closed)> {
    for (receiver, received) in kept {
        for fed in received
            .iter()
            .flat_map(|received| fed_again(receiver, received))
        {
            live.feed(&fed)?;
        }
    }
    let closed = live.close()?;
    Ok((live, closed))
}

/// What checkpoints know a receiver by.
fn name_of(receive: &Receive) -> String {
    format!("{} of {}", receive.topic, receive.table)
}
