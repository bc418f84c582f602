//! `group-by-streaming`: topics, checkpoints and dead letters as the command line names them, to one engine call.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow_schema::SchemaRef;
use unskewed_connectors::clock::{Clock, SystemClock};
use unskewed_connectors::error::{Error, Result as Connected};
use unskewed_connectors::kv::{KvStore, Memory};
use unskewed_connectors::spawn::stopped_by_signal;
use unskewed_connectors::stream::ClientProperties;
use unskewed_connectors::stream::checkpoint::Checkpoints;
use unskewed_connectors::stream::{self, Start, Topic, dead_letter, form};
use unskewed_engine::job::{
    self, Event, Opened, Outcome, StreamSettings, Streams, Topics, Watcher,
};
use unskewed_planner::definition::{Accuracy, Definition};
use unskewed_planner::physical::Receive;

use crate::args::{FindingsFormat, StreamArgs, StreamOptions};
use crate::report::Failure;
use crate::store::{self, definition_files};
use crate::{Session, load};

/// Streams into the store, until the topics end or the process is told to stop.
pub(crate) fn run(args: &StreamArgs, session: &Session) -> Result<(), Failure> {
    let definitions = definitions(&args.job.conf_path, session)?;
    let warehouse = session.warehouse()?;
    let context = session.context(&warehouse);
    let outcome = if let Some(since) = args.replay_from {
        let [definition] = &definitions[..] else {
            let text = "--replay-from reads the tables of one definition";
            return Err(Failure::usage(text));
        };
        let store = store::open(session)?;
        let options = session.options(&args.job.options, None, since);
        job::replay(definition, since, &options, store.as_ref(), &context).map_err(Failure::job)?
    } else {
        // Before anything is opened or made.
        let streams = job::streams(&definitions, &context).map_err(Failure::job)?;
        let store: Arc<dyn KvStore> = match args.mock_writes {
            true => Arc::new(Memory::new(Arc::new(SystemClock::new()))),
            false => store::open(session)?,
        };
        let stop = stopped_by_signal().map_err(failed)?;
        let until_end = args.until_end;
        let stream = Stream {
            streams,
            path: &args.job.conf_path,
            options: &args.stream,
            until_end,
        };
        stream.run((store.as_ref(), &stop), session)?
    };
    session.finish(&outcome, FindingsFormat::default());
    Ok(())
}

/// What is streamed, and how.
pub(crate) struct Stream<'a> {
    pub(crate) streams: Streams,
    /// Where the definitions are.
    pub(crate) path: &'a Path,
    pub(crate) options: &'a StreamOptions,
    pub(crate) until_end: bool,
}

impl Stream<'_> {
    /// Streams into a store until the end, or until it is told to stop.
    pub(crate) fn run(
        self,
        (store, stop): (&dyn KvStore, &AtomicBool),
        session: &Session,
    ) -> Result<Outcome, Failure> {
        let topics = CommandTopics::new(self.options)?;
        let checkpoints = checkpoints(self.options, self.path, &session.config.kv)?;
        let settings = StreamSettings {
            epoch_millis: self.options.epoch_millis,
            checkpoint_millis: self.options.checkpoint_seconds.saturating_mul(1_000),
            horizon_days: self.options.horizon_days,
            until_end: self.until_end,
            max_bad_rows: session.config.max_bad_rows,
            ..StreamSettings::default()
        };
        let warehouse = session.warehouse()?;
        let context = session.context(&warehouse);
        let places = (&topics as &dyn Topics, checkpoints, store);
        let outcome = job::stream(self.streams, places, &settings, stop, &context);
        outcome.map_err(Failure::job)
    }
}

fn failed(error: Error) -> Failure {
    Failure::job(job::Error::Table(error))
}

/// The definition, or of a folder every group-by that streams.
pub(crate) fn definitions(path: &Path, session: &Session) -> Result<Vec<Definition>, Failure> {
    if !path.is_dir() {
        return Ok(vec![session.load(path)?]);
    }
    let mut definitions = Vec::new();
    for file in definition_files(path)? {
        let definition = load(&file, session.config.dialect)?;
        if streams(&definition) {
            let text = format!("streaming {}", file.display());
            session.progress.on(&Event::Note(&text));
            definitions.push(definition);
        }
    }
    if definitions.is_empty() {
        let text = format!("no group-by in {} has a topic", path.display());
        return Err(Failure::usage(text));
    }
    Ok(definitions)
}

fn streams(definition: &Definition) -> bool {
    let Definition::GroupBy(group_by) = definition else {
        return false;
    };
    let mut sources = group_by.sources.iter();
    group_by.accuracy() == Accuracy::Temporal
        && group_by.aggregations().is_some()
        && sources.any(|source| source.topic().is_some())
}

/// Where checkpoints are: as asked for, else beside the embedded store.
fn checkpoints(args: &StreamOptions, path: &Path, kv: &str) -> Result<Checkpoints, Failure> {
    let beside = || {
        let folder = kv.strip_prefix("embedded:")?;
        let name = path.file_name()?.to_string_lossy();
        let folder = format!("{}-checkpoints", folder.trim_end_matches('/'));
        Some(Path::new(&folder).join(&*name).display().to_string())
    };
    let address = args.checkpoint.clone().or_else(beside).ok_or_else(|| {
        Failure::usage(
            "--checkpoint says where the stream keeps what it has read: a folder, or s3://BUCKET/FOLDER",
        )
    })?;
    Checkpoints::open(&address, None).map_err(failed)
}

/// Topics as definitions and the command line name them.
struct CommandTopics {
    parameters: BTreeMap<String, String>,
    properties: ClientProperties,
    dead_letters: String,
}

impl CommandTopics {
    fn new(args: &StreamOptions) -> Result<Self, Failure> {
        let mut parameters = pairs(&args.topic_parameter, "--topic-parameter")?;
        if let Some(bootstrap) = &args.kafka_bootstrap {
            parameters.insert("bootstrap".into(), bootstrap.clone());
        }
        let mut properties = match &args.kafka_properties {
            Some(file) => properties_of(file)?,
            None => BTreeMap::new(),
        };
        properties.extend(pairs(&args.kafka_property, "--kafka-property")?);
        Ok(Self {
            parameters,
            properties: ClientProperties::new(properties),
            dead_letters: args.dead_letters.clone(),
        })
    }
}

impl Topics for CommandTopics {
    fn open(&self, receive: &Receive, columns: &SchemaRef, start: Start) -> Connected<Opened> {
        let topic = Topic::parse(&receive.topic, &self.parameters)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let options = stream::Options {
            start,
            properties: self.properties.clone(),
            clock,
        };
        let forms = form::Options {
            mutations: receive.mutations,
        };
        Ok(Opened {
            source: stream::open(&topic, &options)?,
            decoder: form::open(&topic, columns, &forms)?,
            dead_letters: dead_letter::open(&self.dead_letters, &topic, &options)?,
        })
    }
}

/// `NAME=VALUE`s by name.
fn pairs(words: &[String], option: &str) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |word: &String| match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        // What stands there may be a secret.
        _ => Err(Failure::usage(format!("{option} takes NAME=VALUE"))),
    };
    words.iter().map(pair).collect()
}

/// A file of `NAME=VALUE` lines; empty ones and those that begin with # say nothing.
fn properties_of(file: &PathBuf) -> Result<BTreeMap<String, String>, Failure> {
    let read = std::fs::read_to_string(file);
    let text = read
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    pairs(&lines, &format!("a line of {}", file.display()))
}
