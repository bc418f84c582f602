//! Options of the jobs that measure, and of those that read logs.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use unskewed_engine::job::MeasureOptions;
use unskewed_planner::definition::Definition;
use unskewed_planner::time::{Partition, PartitionRange};

use super::{JobArgs, JobOptions};

/// How findings are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct Shown {
    /// Text for people or JSON for programs
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: FindingsFormat,
    /// Also write one HTML page that needs nothing beside it
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

/// The forms in which findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FindingsFormat {
    /// Aligned tables
    #[default]
    Text,
    /// One object
    Json,
}

/// `analyze`.
#[derive(Clone, Debug, Args)]
pub(crate) struct AnalyzeArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// First day looked at [default: three days before the last]
    #[arg(long, value_name = "DS")]
    start_date: Option<Partition>,
    /// Look for frequent values of keys
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    enable_hitter: bool,
    /// How many frequent values are kept of each key
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(2..=1 << 20))]
    count: u32,
    /// The share of rows in which frequent values are looked for
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    sample: f64,
    /// Do not hold rows without a sensible time against the definition
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    skip_timestamp_check: bool,
    /// Accepted: a table that cannot be read fails in any case
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, hide_short_help = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    skip_table_permission_check: bool,
    /// Write the names and types of the output to its _schema table
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    export_schema: bool,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

impl AnalyzeArgs {
    pub(crate) fn options(&self) -> MeasureOptions {
        MeasureOptions {
            start: self.start_date,
            sample: self.sample,
            frequent: self.enable_hitter.then_some(self.count),
            check_times: !self.skip_timestamp_check,
            export_schema: self.export_schema,
            ..MeasureOptions::default()
        }
    }
}

/// `stats-summary` and `log-summary`.
#[derive(Clone, Debug, Args)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// The share of rows measured
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    sample: f64,
    /// Forget what was measured before
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    force_backfill: bool,
    /// First day summed up in what is printed [default: the last 30 days]
    #[arg(long, value_name = "DS")]
    start_date: Option<Partition>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

impl StatsArgs {
    pub(crate) fn options(&self) -> MeasureOptions {
        MeasureOptions {
            start: self.start_date,
            sample: self.sample,
            force: self.force_backfill,
            ..MeasureOptions::default()
        }
    }
}

/// `drift`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DriftArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// First day of the range looked at; --end-date is its last [default: that day alone]
    #[arg(long, value_name = "DS")]
    start_date: Option<Partition>,
    /// First day of the range it is held against [default: as many days, right before]
    #[arg(long, value_name = "DS", requires = "reference_end_date")]
    reference_start_date: Option<Partition>,
    /// Last day of the range it is held against
    #[arg(long, value_name = "DS", requires = "reference_start_date")]
    reference_end_date: Option<Partition>,
    /// Of logged requests (log-summary), not of the backfilled output (stats-summary)
    #[arg(long)]
    logged: bool,
    /// Fail if a feature's stability index is above this
    #[arg(long, value_name = "PSI")]
    max_psi: Option<f64>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

impl DriftArgs {
    pub(crate) fn options(&self) -> Result<MeasureOptions, String> {
        let reference = match self.reference_start_date.zip(self.reference_end_date) {
            None => None,
            Some((start, end)) => Some(PartitionRange::new(start, end).ok_or_else(|| {
                format!("--reference-start-date {start} is after --reference-end-date {end}")
            })?),
        };
        Ok(MeasureOptions {
            start: self.start_date,
            logged: self.logged,
            reference,
            stability_max: self.max_psi,
            ..MeasureOptions::default()
        })
    }
}

/// `log-flattener`.
#[derive(Clone, Debug, Args)]
pub(crate) struct LogFlattenerArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Table of logged requests, with a partition for each join [default: $CHRONON_LOG_TABLE]
    #[arg(long, value_name = "TABLE", env = "CHRONON_LOG_TABLE", hide_env = true)]
    log_table: Option<String>,
    /// Table of logged schemas by their hashes [default: $CHRONON_SCHEMA_TABLE]
    #[arg(
        long,
        value_name = "TABLE",
        env = "CHRONON_SCHEMA_TABLE",
        hide_env = true
    )]
    schema_table: Option<String>,
}

impl LogFlattenerArgs {
    pub(crate) fn options(&self) -> MeasureOptions {
        MeasureOptions {
            log_table: self.log_table.clone(),
            schema_table: self.schema_table.clone(),
            ..MeasureOptions::default()
        }
    }
}

/// `consistency-metrics-compute`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConsistencyArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// `compare-join-query`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompareArgs {
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Compiled staging query whose answer the join is compared with
    #[arg(long, value_name = "FILE")]
    pub(crate) query_conf: Option<PathBuf>,
    /// Table that the join is compared with, instead of a query
    #[arg(long, value_name = "TABLE", conflicts_with = "query_conf")]
    query_table: Option<String>,
    /// First day compared; --end-date is the last [default: that day alone]
    #[arg(long, value_name = "DS")]
    start_date: Option<Partition>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

impl CompareArgs {
    pub(crate) fn options(&self, query: Option<Definition>) -> MeasureOptions {
        MeasureOptions {
            start: self.start_date,
            query,
            query_table: self.query_table.clone(),
            ..MeasureOptions::default()
        }
    }
}

/// `metadata-export`.
#[derive(Clone, Debug, Args)]
pub(crate) struct MetadataExportArgs {
    /// Folder of compiled definitions
    #[arg(long, value_name = "DIR")]
    pub(crate) input_root_path: PathBuf,
    /// Folder that the exported files go to
    #[arg(long, value_name = "DIR")]
    pub(crate) output_root_path: Option<PathBuf>,
    /// Table that the exported definitions go to
    #[arg(long, value_name = "TABLE")]
    pub(crate) output_table_name: Option<String>,
    /// Properties of that table, as a JSON object
    #[arg(long, value_name = "JSON")]
    pub(crate) output_table_properties_json: Option<String>,
    /// Also export group-bys that only stand inside joins
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) process_embedded_group_bys: bool,
    /// The day written into the table [default: today, UTC]
    #[arg(long, value_name = "DS")]
    pub(crate) end_date: Option<Partition>,
    /// Accepted: run.py names a definition for every mode
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) conf_path: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) options: JobOptions,
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if share > 0.0 && share <= 1.0 {
        Ok(share)
    } else {
        Err("a share is above 0 and at most 1".into())
    }
}
