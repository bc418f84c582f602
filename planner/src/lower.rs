//! From resolved definitions and a range of days to the dataflow plan.
//!
//! Promises: which days are scanned follows the specification's §3.7 exactly, because it is meaning and no
//! optimisation. What several parts (of one definition or of several in a set) read alike exists once: sources with
//! the same table, days, conditions, key and time share one scan, one projection and one arrangement. Columns nobody
//! reads are gone. Never looks at data: what must be known about the left comes as [`LeftFacts`].

mod analysis;
mod bootstrap;
mod comparison;
mod compute;
mod group;
mod label;
mod labeled;
mod left;
mod logs;
mod look_up;
mod measure;
mod part;
mod prune;
mod range;
mod remap;
mod right;
mod share;
mod skip;
mod statistics;
mod stream;
mod table;
mod upload;

use crate::diagnostic::Diagnostic;
use crate::logical::FeatureJoin;
use crate::physical::DataflowPlan;
use crate::resolve::{BackfillGroup, UploadGroup};
use crate::time::{Partition, PartitionRange};

pub use analysis::{Analysis, TIME_MILLIS_ALLOWED, analysis};
pub use comparison::{ComparedTable, ComparisonRun, comparison};
pub use label::{LabelRun, label_facts, labels};
pub use labeled::{LabeledRun, labeled};
pub use logs::{LogRun, LogVersion, SCHEMA_HASH_COLUMN, check_log, flat_logs, log_fields};
pub use part::holds_left_keys_only;
pub use range::{part_query_days, scan_days};
pub use statistics::{StatisticsRun, statistics};
pub use stream::{StreamOrigin, stream_rows, stream_rows_of};
pub use table::table_rows;

/// Up to this many left rows, part tables are computed for the left's key values only.
pub const SMALL_ROWS_MAX: u64 = 5_000;

/// What is known about the left rows of a run before the rest is planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftFacts {
    /// How many rows.
    pub rows: u64,
    /// Least and greatest time, of rows that have one.
    pub times_millis: Option<(i64, i64)>,
    /// Least and greatest `ds`.
    pub days: Option<(Partition, Partition)>,
}

/// Where left rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOrigin {
    /// The left's own source.
    Source,
    /// The left table written before.
    Cached,
}

/// How a part takes part in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartMode {
    /// Not at all: its columns are null.
    Absent,
    /// Read from its table.
    Cached,
    /// Computed from its sources.
    Computed {
        /// Whether its table is written too.
        write: bool,
    },
}

/// One run of a join over a range of left days.
#[derive(Clone, Debug)]
pub struct JoinRun<'a> {
    /// The join.
    pub join: &'a FeatureJoin,
    /// The left days.
    pub days: PartitionRange,
    /// Where the left comes from.
    pub left: LeftOrigin,
    /// Facts about it, one for each of [`FeatureJoin::askers`]; needed where a part is computed.
    pub facts: Vec<LeftFacts>,
    /// Whether the left table is written.
    pub write_left: bool,
    /// One for each part of the join.
    pub parts: Vec<PartMode>,
    /// Whether the training table is written.
    pub write_output: bool,
    /// Whether several rows of a part for one left row are a failure.
    pub unique_parts: bool,
}

/// One thing a plan does.
#[derive(Clone, Debug)]
pub enum Request<'a> {
    /// Facts about a join's left, and nothing else.
    LeftFacts {
        /// The join.
        join: &'a FeatureJoin,
        /// The left days.
        days: PartitionRange,
        /// Where the left comes from.
        left: LeftOrigin,
    },
    /// A run of a join.
    Join(JoinRun<'a>),
    /// A group-by's own table.
    GroupBy {
        /// The group-by.
        group: &'a BackfillGroup,
        /// The days written.
        days: PartitionRange,
    },
    /// The daily states of an incremental group-by.
    DailyStates {
        /// The group-by.
        group: &'a BackfillGroup,
        /// The table written.
        table: &'a str,
        /// The days written.
        days: PartitionRange,
    },
    /// What an upload stores of a group-by: one row for each key.
    Upload {
        /// The group-by.
        upload: &'a UploadGroup,
        /// The last day of the batch.
        day: Partition,
    },
}

/// The plan of all requests together; what they share runs once.
pub fn lower(requests: &[Request<'_>]) -> Result<DataflowPlan, Vec<Diagnostic>> {
    let mut rights = right::Rights::default();
    let mut prepared = Vec::with_capacity(requests.len());
    for request in requests {
        prepared.push(compute::prepare(request, &mut rights)?);
    }
    let mut plan = DataflowPlan::default();
    for (request, prepared) in requests.iter().zip(&prepared) {
        compute::emit(request, prepared, &rights, &mut plan);
    }
    Ok(finished(plan))
}

/// A plan with what it reads shared, pruned and skipped.
fn finished(mut plan: DataflowPlan) -> DataflowPlan {
    share::merge_scans(&mut plan);
    let mut plan = prune::prune(&plan);
    skip::push_down(&mut plan);
    debug_assert_eq!(plan.verify(), Ok(()));
    plan
}
