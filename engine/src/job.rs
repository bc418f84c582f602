//! What can be asked of the engine: one job on one definition, and what came of it.
//!
//! Promises: a job is a function of definition, warehouse and options; everything wrong with a definition is reported
//! at once and before anything is written; a job that fails or is killed leaves every table readable and the next run
//! completes it. Never prints: it tells its [`Watcher`].

mod analyze;
mod bulk_load;
mod catalog;
mod chain;
mod compare;
mod compare_query;
mod consistency;
mod error;
mod explain;
mod group_by;
mod inputs;
mod join;
mod label_join;
mod log_flattener;
mod measure;
mod metadata_export;
mod metadata_upload;
mod model_transform;
mod rows;
#[cfg(feature = "sql")]
mod staging_query;
mod statistics;
mod step;
mod stored;
mod stream;
mod tables;
mod upload;

pub use bulk_load::bulk_load;
pub use catalog::WarehouseCatalog;
pub use error::{Error, ErrorKind, Result};
pub use explain::plan;
pub use measure::MeasureOptions;
pub use metadata_export::{Entity, Exported, export_definition, export_embedded, write_exported};
pub use metadata_upload::{MetadataFile, metadata_upload};
#[cfg(feature = "sql")]
pub use staging_query::explain as explain_query;
pub use stream::{Opened, StreamSettings, Streams, Topics, replay, stream, streams};

use unskewed_connectors::clock::Clock;
use unskewed_connectors::table::Warehouse;
use unskewed_planner::definition::Definition;
use unskewed_planner::time::{Partition, PartitionRange};

use crate::findings::Findings;

/// The jobs there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fill the table of a group-by.
    GroupByBackfill,
    /// Write what a key-value store is to hold of a group-by.
    GroupByUpload,
    /// Fill the output of a join and its intermediate tables.
    Join,
    /// Fill only the left table of a join.
    JoinLeft,
    /// Fill the output of a join from its left table and part tables.
    JoinFinal,
    /// Join what is known some days later to left rows, and to the training rows.
    LabelJoin,
    /// Apply the models of a join to its rows.
    ModelTransformBatch,
    /// Fill the table of a staging query.
    StagingQueryBackfill,
    /// Look at what a definition reads and gives.
    Analyze,
    /// Measure the output of a join, day by day.
    StatsSummary,
    /// Measure the logged requests of a join, day by day.
    LogSummary,
    /// Hold the statistics of two ranges of days against each other.
    Drift,
    /// Decode logged requests into columns.
    LogFlattener,
    /// Hold what was served against what a backfill gives.
    Consistency,
    /// Hold the output of a join against other rows.
    CompareJoinQuery,
}

impl Kind {
    /// The name users type.
    pub fn name(self) -> &'static str {
        match self {
            Self::GroupByBackfill => "group-by-backfill",
            Self::GroupByUpload => "group-by-upload",
            Self::Join => "join",
            Self::JoinLeft => "join-left",
            Self::JoinFinal => "join-final",
            Self::LabelJoin => "label-join",
            Self::ModelTransformBatch => "model-transform-batch",
            Self::StagingQueryBackfill => "staging-query-backfill",
            Self::Analyze => "analyze",
            Self::StatsSummary => "stats-summary",
            Self::LogSummary => "log-summary",
            Self::Drift => "drift",
            Self::LogFlattener => "log-flattener",
            Self::Consistency => "consistency-metrics-compute",
            Self::CompareJoinQuery => "compare-join-query",
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which job.
    pub kind: Kind,
    /// On what.
    pub definition: Definition,
    /// How.
    pub options: Options,
}

/// How a job runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Last day to compute.
    pub end: Partition,
    /// First day to compute, instead of what the definition says.
    pub start_override: Option<Partition>,
    /// Days computed and written at a time.
    pub step_days: i32,
    /// Also fill days before the first existing one.
    pub run_first_hole: bool,
    /// Keep existing tables although the definition changed.
    pub unset_semantic_hash: bool,
    /// Fail where a part has several rows for one left row.
    pub unique_parts: bool,
    /// Compute only these parts, by full prefix; empty for all, with the output.
    pub selected_parts: Vec<String>,
    /// Take left rows from the left table written before.
    pub use_cached_left: bool,
    /// Write the left and part tables of a join beside its output.
    pub intermediate_tables: bool,
    /// Bad rows met before the job fails; `None` for any number.
    pub max_bad_rows: Option<u64>,
    /// What is told to models besides their inputs.
    pub model_context: Option<serde_json::Value>,
    /// What only jobs that measure look at.
    pub measure: MeasureOptions,
}

impl Options {
    /// The usual options for a job that ends on this day.
    pub fn until(end: Partition) -> Self {
        Self {
            end,
            start_override: None,
            step_days: 30,
            run_first_hole: false,
            unset_semantic_hash: false,
            unique_parts: false,
            selected_parts: vec![],
            use_cached_left: false,
            intermediate_tables: true,
            max_bad_rows: None,
            model_context: None,
            measure: MeasureOptions::default(),
        }
    }
}

/// Where a job runs.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The tables.
    pub warehouse: &'a Warehouse,
    /// The time of day, for names of archived tables.
    pub clock: &'a dyn Clock,
    /// Worker threads.
    pub workers: usize,
    /// Memory to stay under.
    pub memory_bytes: Option<u64>,
    /// Who is told how it goes.
    pub watcher: &'a dyn Watcher,
}

/// What happens while a job runs.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The days to compute are known.
    Planned {
        /// The table that is filled.
        table: &'a str,
        /// The steps, oldest first.
        steps: &'a [PartitionRange],
    },
    /// A step begins.
    StepStarted {
        /// The table that is filled.
        table: &'a str,
        /// The days.
        range: PartitionRange,
    },
    /// A step's days are written.
    StepDone {
        /// The table that is filled.
        table: &'a str,
        /// The days.
        range: PartitionRange,
        /// Rows written.
        rows: u64,
    },
    /// Something worth knowing.
    Note(&'a str),
    /// Something the user should look at.
    Warning(&'a str),
}

/// Is told how a job goes; must not block.
pub trait Watcher: Sync {
    /// Something happened.
    fn on(&self, event: &Event<'_>);
}

/// A watcher that looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWatcher;

impl Watcher for NoWatcher {
    fn on(&self, _event: &Event<'_>) {}
}

/// What a job did, in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Rows read from sources.
    pub rows_in: u64,
    /// Rows written to the output, intermediate tables not counted.
    pub rows_out: u64,
    /// Rows that could not be used.
    pub bad_rows: u64,
    /// The first bad rows, each with its cause and place.
    pub bad_samples: Vec<String>,
    /// Partitions written, intermediate tables counted.
    pub partitions_written: u64,
    /// What a job that measures has found.
    pub findings: Option<Box<Findings>>,
}

impl Outcome {
    /// Adds what another step did.
    pub fn add(&mut self, other: Outcome) {
        self.rows_in += other.rows_in;
        self.rows_out += other.rows_out;
        self.bad_rows += other.bad_rows;
        self.partitions_written += other.partitions_written;
        self.findings = other.findings.or(self.findings.take());
        let room = SAMPLES_MAX.saturating_sub(self.bad_samples.len());
        self.bad_samples
            .extend(other.bad_samples.into_iter().take(room));
    }
}

/// Bad rows kept as samples.
pub const SAMPLES_MAX: usize = 20;

/// Runs a job to its end.
pub fn run(job: &Job, context: &Context<'_>) -> Result<Outcome> {
    let wrong = |wanted| {
        let name = job.kind.name();
        Err(wrong_definition(name, wanted, &job.definition))
    };
    match (job.kind, &job.definition) {
        (Kind::GroupByBackfill, Definition::GroupBy(group_by)) => {
            group_by::run(job, group_by, context)
        }
        (Kind::GroupByUpload, Definition::GroupBy(group_by)) => upload::run(job, group_by, context),
        (Kind::GroupByBackfill | Kind::GroupByUpload, _) => wrong("group-by"),
        #[cfg(feature = "sql")]
        (Kind::StagingQueryBackfill, Definition::StagingQuery(query)) => {
            staging_query::run(job, query, context)
        }
        #[cfg(not(feature = "sql"))]
        (Kind::StagingQueryBackfill, Definition::StagingQuery(_)) => Err(Error::NotYet {
            what: "staging-query-backfill in a build without the feature sql".into(),
        }),
        (Kind::StagingQueryBackfill, _) => wrong("staging query"),
        (Kind::Analyze, _) => analyze::run(job, context),
        (Kind::StatsSummary | Kind::LogSummary, Definition::Join(join)) => {
            statistics::run(job, join, context)
        }
        (Kind::Drift, Definition::Join(join)) => statistics::drift(job, join, context),
        (Kind::LogFlattener, Definition::Join(join)) => log_flattener::run(job, join, context),
        (Kind::Consistency, Definition::Join(join)) => consistency::run(job, join, context),
        (Kind::CompareJoinQuery, Definition::Join(join)) => compare_query::run(job, join, context),
        (Kind::LabelJoin, Definition::Join(join)) => label_join::run(job, join, context),
        (Kind::ModelTransformBatch, Definition::Join(join)) => {
            model_transform::run(job, join, context)
        }
        (_, Definition::Join(join)) => join::run(job, join, context),
        _ => wrong("join"),
    }
}

/// The error of a job that runs on another kind of definition.
fn wrong_definition(job: &'static str, wanted: &'static str, definition: &Definition) -> Error {
    let found = match definition {
        Definition::GroupBy(_) => "group-by",
        Definition::Join(_) => "join",
        Definition::StagingQuery(_) => "staging query",
    };
    Error::WrongDefinition { job, wanted, found }
}
