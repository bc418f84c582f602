//! What can be typed: global options, jobs and their options, in the words users of the reference know.
//!
//! Promises: every option of the reference's offline jobs is accepted. Those that only make sense on Spark are listed
//! by [`JobOptions::ignored`], those not working yet by [`JobOptions::not_yet`]; nothing is dropped in silence.

mod measure;
mod model;
mod online;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use unskewed_planner::time::Partition;

pub(crate) use measure::{
    AnalyzeArgs, CompareArgs, ConsistencyArgs, DriftArgs, FindingsFormat, LogFlattenerArgs,
    MetadataExportArgs, Shown, StatsArgs,
};
pub(crate) use model::ModelArgs;
pub(crate) use online::{FetchArgs, FetchType, ServeArgs, StreamArgs, StreamOptions};

const EXAMPLES: &str = "\
Examples:
  unskewed join --conf-path production/joins/team/training.v1 --end-date 2024-03-01
  unskewed --warehouse s3://lake/warehouse --workers 8 group-by-backfill --conf-path g.v1 --step-days 10
  unskewed run --mode backfill --conf production/joins/team/training.v1 --ds 2024-03-01
  unskewed explain production/joins/team/training.v1 --format dot
  UNSKEWED__WORKERS=2 unskewed join-left --conf-path production/joins/team/training.v1

Every global option can also stand in a TOML file (--config) under its name with underscores, and in the
environment as UNSKEWED__NAME. Flags beat the environment, which beats the file.

Exit codes: 0 done, 1 the job failed, 2 wrong usage or definition, 3 an outside system could not be reached.";

/// Computes training tables and feature tables from compiled definitions.
#[derive(Debug, Parser)]
#[command(
    name = "unskewed",
    version,
    after_help = EXAMPLES,
    args_override_self = true,
    max_term_width = 110
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every subcommand; texts are checked together with the other layers of the configuration.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Folder or object-store URL of the tables [default: ./warehouse]
    #[arg(long, global = true, value_name = "DIR_OR_URL")]
    pub(crate) warehouse: Option<String>,
    /// Key-value store: embedded:DIR or tikv://PD:PORT,…/KEYSPACE?OPTIONS [default: embedded:./kv]
    #[arg(long, global = true, value_name = "STORE")]
    pub(crate) kv: Option<String>,
    /// TOML file with any of these options
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Worker threads [default: cores]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) workers: Option<String>,
    /// Memory to stay under, such as 8GiB
    #[arg(long, global = true, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// Whose compiled definitions: airbnb or zipline [default: airbnb]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) dialect: Option<String>,
    /// How log lines look: text or json [default: text]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log: Option<String>,
    /// Only warnings, errors and the summary
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    pub(crate) quiet: bool,
    /// Tell more; twice tells even more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Show no progress
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
    /// Bad rows a job may meet before it fails [default: any number]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) max_bad_rows: Option<String>,
    /// Write only the output of a join, not its left and part tables
    #[arg(long, global = true)]
    pub(crate) no_intermediate_tables: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fill the table of a group-by
    GroupByBackfill(JobArgs),
    /// Write what a key-value store is to hold of a group-by after a day
    GroupByUpload(JobArgs),
    /// Load an upload table into the key-value store
    BulkLoad(JobArgs),
    /// Store compiled definitions in the key-value store
    MetadataUpload(JobArgs),
    /// Keep what comes after a group-by's batch in the key-value store
    GroupByStreaming(Box<StreamArgs>),
    /// Fetch features from the key-value store
    Fetch(Box<FetchArgs>),
    /// Answer requests for features over HTTP
    Serve(Box<ServeArgs>),
    /// Fill the training table of a join
    Join(JobArgs),
    /// Fill only the left table of a join, for parts that run apart
    JoinLeft(JobArgs),
    /// Fill the training table from the left table and the part tables
    JoinFinal(JobArgs),
    /// Join labels to left rows as of a day, and to the training rows
    LabelJoin(JobArgs),
    /// Apply the models of a join to its rows
    ModelTransformBatch(Box<ModelArgs>),
    /// Fill the table of a staging query
    StagingQueryBackfill(JobArgs),
    /// The modes and options of run.py, mapped to the jobs above; further options go to the job
    #[command(disable_version_flag = true)]
    Run(Box<RunArgs>),
    /// Look at what a join or group-by reads and gives, and whether its sources are fit for it
    Analyze(Box<AnalyzeArgs>),
    /// Measure the output of a join hour by hour: nulls, rows, distributions
    StatsSummary(Box<StatsArgs>),
    /// Measure the logged requests of a join
    LogSummary(Box<StatsArgs>),
    /// Hold the statistics of two ranges of days against each other
    Drift(Box<DriftArgs>),
    /// Decode the logged requests of a join into a column for each field
    LogFlattener(Box<LogFlattenerArgs>),
    /// Hold what was served to logged requests against what a backfill gives
    ConsistencyMetricsCompute(Box<ConsistencyArgs>),
    /// Hold the output of a join against other rows: of a query, or of a table
    CompareJoinQuery(Box<CompareArgs>),
    /// Print what a definition is: what it reads, computes and writes
    Info(Box<InfoArgs>),
    /// Export every definition of a folder with its features
    MetadataExport(Box<MetadataExportArgs>),
    /// Print the plan of a definition: what is scanned, shared and kept
    Explain(ExplainArgs),
    /// Jobs this version does not know yet
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// One job on one definition.
#[derive(Clone, Debug, Args)]
pub(crate) struct JobArgs {
    /// Compiled definition
    #[arg(long, value_name = "FILE")]
    pub(crate) conf_path: PathBuf,
    /// Last day to compute [default: today, UTC]
    #[arg(long, value_name = "DS")]
    pub(crate) end_date: Option<Partition>,
    #[command(flatten)]
    pub(crate) options: JobOptions,
}

/// What to tell of.
#[derive(Clone, Debug, Args)]
pub(crate) struct InfoArgs {
    /// Compiled definition
    #[arg(long, value_name = "FILE")]
    pub(crate) conf_path: PathBuf,
    /// Accepted: run.py gives every mode a day
    #[arg(long, value_name = "DS", hide = true)]
    pub(crate) end_date: Option<Partition>,
    /// Accepted, as `--end-date`
    #[arg(long, value_name = "DS", hide = true)]
    pub(crate) start_partition_override: Option<Partition>,
}

/// Options of the jobs besides definition and end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct JobOptions {
    /// First day to compute, instead of what the definition says
    #[arg(long, value_name = "DS")]
    pub(crate) start_partition_override: Option<Partition>,
    /// Days computed and written at a time [default: 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) step_days: Option<i32>,
    /// Also fill days before the first existing one
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) run_first_hole: bool,
    /// Forget what the existing tables were computed from: keep them although the definition changed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) unset_semantic_hash: bool,
    /// Fail where a part of a join has several rows of one key and day, instead of multiplying left rows
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) unique_join_parts: bool,
    /// Compute only these parts of a join, by their full prefixes
    #[arg(long, value_name = "PART", num_args = 1.., value_delimiter = ',')]
    pub(crate) selected_join_parts: Vec<String>,
    /// Take the left rows from the left table written before
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) use_cached_left: bool,
    /// Another name of --warehouse
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    pub(crate) local_warehouse_location: Option<String>,
    #[command(flatten)]
    pub(crate) foreign: Foreign,
}

/// Options of the reference that are accepted, and either ignored or refused, but never in silence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Options of the reference, accepted")]
#[allow(missing_docs, reason = "the names are the reference's")]
pub(crate) struct Foreign {
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) use_delta_catalog: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) disable_kryo_serializer: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) online_jar: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) online_class: Option<String>,
    #[arg(long = "conf-type", hide = true)]
    pub(crate) conf_type: Option<String>,
    #[arg(short = 'Z', hide = true)]
    pub(crate) properties: Vec<String>,
    #[arg(long, hide = true, num_args = 1..)]
    pub(crate) local_table_mapping: Vec<String>,
    #[arg(long, hide = true)]
    pub(crate) local_data_path: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) local_table_export_path: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) local_table_export_format: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) local_table_export_prefix: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) expected_result_table: Option<String>,
}

impl JobOptions {
    /// Options given that only make sense on Spark.
    pub(crate) fn ignored(&self) -> Vec<&'static str> {
        let foreign = &self.foreign;
        let given = [
            (foreign.use_delta_catalog.is_some(), "--use-delta-catalog"),
            (
                foreign.disable_kryo_serializer.is_some(),
                "--disable-kryo-serializer",
            ),
            (foreign.online_jar.is_some(), "--online-jar"),
            (foreign.online_class.is_some(), "--online-class"),
            (foreign.conf_type.is_some(), "--conf-type"),
            (!foreign.properties.is_empty(), "-Z"),
        ];
        given
            .iter()
            .filter(|(yes, _)| *yes)
            .map(|(_, name)| *name)
            .collect()
    }

    /// Options given that would change the result and are not there yet.
    pub(crate) fn not_yet(&self) -> Vec<&'static str> {
        let foreign = &self.foreign;
        let given = [
            (
                !foreign.local_table_mapping.is_empty(),
                "--local-table-mapping",
            ),
            (foreign.local_data_path.is_some(), "--local-data-path"),
            (
                foreign.local_table_export_path.is_some()
                    || foreign.local_table_export_format.is_some()
                    || foreign.local_table_export_prefix.is_some(),
                "--local-table-export-*",
            ),
            (
                foreign.expected_result_table.is_some(),
                "--expected-result-table",
            ),
        ];
        given
            .iter()
            .filter(|(yes, _)| *yes)
            .map(|(_, name)| *name)
            .collect()
    }
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    /// Indented text
    #[default]
    Text,
    /// A graph for graphviz
    Dot,
    /// A tree for programs
    Json,
}

/// What to explain.
#[derive(Clone, Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Compiled definitions; several show what they share
    #[arg(value_name = "CONF", required = true)]
    pub(crate) conf: Vec<PathBuf>,
    /// Text, dot or json
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: PlanFormat,
    /// Last day the plan is made for [default: today, UTC]
    #[arg(long, value_name = "DS")]
    pub(crate) end_date: Option<Partition>,
    /// First day the plan is made for, instead of what the definition says
    #[arg(long, value_name = "DS")]
    pub(crate) start_partition_override: Option<Partition>,
}

/// The options of run.py.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunArgs {
    /// Compiled definition, from the repository's folder
    #[arg(long, value_name = "FILE")]
    pub(crate) conf: PathBuf,
    /// What to run, in run.py's words: backfill, backfill-left, upload, analyze, …
    #[arg(long, value_name = "MODE", default_value = "backfill")]
    pub(crate) mode: String,
    /// Which settings of teams.json hold
    #[arg(long, value_name = "NAME", default_value = "dev")]
    pub(crate) env: String,
    /// Last day to compute [default: today, UTC]
    #[arg(long, value_name = "DS")]
    pub(crate) ds: Option<Partition>,
    /// First day to compute
    #[arg(long, value_name = "DS")]
    pub(crate) start_ds: Option<Partition>,
    /// Last day to compute; beats --ds
    #[arg(long, value_name = "DS")]
    pub(crate) end_ds: Option<Partition>,
    /// Cut the days into this many runs, one after the other; needs --start-ds and --end-ds
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) parallelism: i32,
    /// Folder of teams.json and the compiled definitions [default: $CHRONON_REPO_PATH or .]
    #[arg(long, value_name = "DIR")]
    pub(crate) repo: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) launcher: Launcher,
}

/// Options of run.py that only launch Spark.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs, reason = "the names are the reference's")]
pub(crate) struct Launcher {
    #[arg(long, hide = true)]
    app_name: Option<String>,
    #[arg(long, hide = true)]
    chronon_jar: Option<String>,
    #[arg(long, hide = true)]
    online_args: Option<String>,
    #[arg(long, hide = true)]
    online_jar_fetch: Option<String>,
    #[arg(long = "version", hide = true)]
    jar_version: Option<String>,
    #[arg(long, hide = true)]
    release_tag: Option<String>,
    #[arg(long, hide = true)]
    spark_version: Option<String>,
    #[arg(long, hide = true)]
    spark_submit_path: Option<String>,
    #[arg(long, hide = true)]
    spark_streaming_submit_path: Option<String>,
    #[arg(long, hide = true)]
    list_apps: Option<String>,
    #[arg(long, hide = true)]
    render_info: Option<String>,
    #[arg(long, hide = true)]
    online_jar: Option<String>,
    #[arg(long, hide = true)]
    online_class: Option<String>,
    #[arg(long, hide = true)]
    conf_type: Option<String>,
    #[arg(long, hide = true)]
    sub_help: bool,
}

impl Launcher {
    /// Options given that only launch Spark.
    pub(crate) fn ignored(&self) -> Vec<&'static str> {
        let given = [
            (self.app_name.is_some(), "--app-name"),
            (self.chronon_jar.is_some(), "--chronon-jar"),
            (self.online_args.is_some(), "--online-args"),
            (self.online_jar_fetch.is_some(), "--online-jar-fetch"),
            (self.jar_version.is_some(), "--version"),
            (self.release_tag.is_some(), "--release-tag"),
            (self.spark_version.is_some(), "--spark-version"),
            (self.spark_submit_path.is_some(), "--spark-submit-path"),
            (
                self.spark_streaming_submit_path.is_some(),
                "--spark-streaming-submit-path",
            ),
            (self.list_apps.is_some(), "--list-apps"),
            (self.render_info.is_some(), "--render-info"),
            (self.online_jar.is_some(), "--online-jar"),
            (self.online_class.is_some(), "--online-class"),
            (self.conf_type.is_some(), "--conf-type"),
            (self.sub_help, "--sub-help"),
        ];
        given
            .iter()
            .filter(|(yes, _)| *yes)
            .map(|(_, name)| *name)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(words: &str) -> Cli {
        let words = std::iter::once("unskewed").chain(words.split_whitespace());
        Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The definition of the command line has no clash.
    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }

    /// Options of the reference's jobs in the forms its users write them.
    #[test]
    fn options_of_the_reference() {
        let cli = parse(
            "--warehouse W --kv embedded:K join --conf-path j.v1 --end-date 2024-03-03 \
             --selected-join-parts a_v1 b_v1 --use-cached-left --step-days=5 --run-first-hole=true \
             --disable-kryo-serializer --online-jar x.jar",
        );
        let Command::Join(args) = cli.command else {
            panic!("join")
        };
        assert_eq!(args.options.selected_join_parts, ["a_v1", "b_v1"]);
        assert!(args.options.use_cached_left && args.options.run_first_hole);
        assert!(!args.options.unset_semantic_hash);
        assert_eq!(args.options.step_days, Some(5));
        assert_eq!(
            args.options.ignored(),
            ["--disable-kryo-serializer", "--online-jar"]
        );
        assert!(args.options.not_yet().is_empty());
        assert_eq!(cli.global.kv.as_deref(), Some("embedded:K"));
        let cli = parse("join-left --conf-path j --warehouse W --local-data-path here");
        let Command::JoinLeft(args) = cli.command else {
            panic!("join-left")
        };
        assert_eq!(args.options.not_yet(), ["--local-data-path"]);
        assert_eq!(cli.global.warehouse.as_deref(), Some("W"));
    }

    /// Wrong usage is refused where it stands.
    #[test]
    fn wrong_usage() {
        for (words, part) in [
            ("join --conf-path j --end-date 2024-13-01", "--end-date"),
            ("join --conf-path j --step-days 0", "--step-days"),
            ("join --conf-path j --step-dys 1", "--step-days"),
            ("join", "--conf-path"),
            ("run --conf c --parallelism 0", "--parallelism"),
        ] {
            let words = std::iter::once("unskewed").chain(words.split_whitespace());
            let error = Cli::try_parse_from(words).unwrap_err();
            assert!(error.to_string().contains(part), "{part} in {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
