//! What the jobs that measure are told beside the options of every job.

use unskewed_planner::definition::Definition;
use unskewed_planner::time::{Partition, PartitionRange};

/// Options of the jobs that measure.
#[derive(Clone, Debug)]
pub struct MeasureOptions {
    /// First day looked at.
    pub start: Option<Partition>,
    /// The share of rows looked at where a share is enough.
    pub sample: f64,
    /// How many frequent values of each key are looked for; `None` for none.
    pub frequent: Option<u32>,
    /// Whether rows without a sensible time are an error.
    pub check_times: bool,
    /// Whether the output's schema is written to its table.
    pub export_schema: bool,
    /// Whether what was measured before is forgotten.
    pub force: bool,
    /// Whether logged requests are meant, not the backfilled output.
    pub logged: bool,
    /// The days that others are held against.
    pub reference: Option<PartitionRange>,
    /// The stability index above which a drift is an error.
    pub stability_max: Option<f64>,
    /// The table of logged requests.
    pub log_table: Option<String>,
    /// The table of logged schemas.
    pub schema_table: Option<String>,
    /// The staging query that a join is compared with.
    pub query: Option<Definition>,
    /// The table that a join is compared with.
    pub query_table: Option<String>,
}

impl Default for MeasureOptions {
    fn default() -> Self {
        Self {
            start: None,
            sample: 0.1,
            frequent: None,
            check_times: true,
            export_schema: false,
            force: false,
            logged: false,
            reference: None,
            stability_max: None,
            log_table: None,
            schema_table: None,
            query: None,
            query_table: None,
        }
    }
}
