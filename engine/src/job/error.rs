//! Why a job stopped, and whose matter it is.

use unskewed_connectors::error::{Error as TableError, ErrorKind as TableErrorKind, Retry};
use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::time::{Partition, PartitionRange};

use crate::error::EngineError;
use crate::partitions::NoStart;

/// The result of a job.
pub type Result<T> = std::result::Result<T, Error>;

/// Whose matter an error is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The definition or what was asked for is wrong.
    Definition,
    /// An outside system is in the way; the same call may succeed later.
    Unreachable,
    /// Anything else.
    Failed,
}

/// Why a job stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant's message is its documentation")]
pub enum Error {
    #[error("the definition has {} problems", .0.len())]
    Definition(Vec<Diagnostic>),
    #[error("{job} runs on a {wanted}, but the definition is a {found}")]
    WrongDefinition {
        job: &'static str,
        wanted: &'static str,
        found: &'static str,
    },
    #[error("{what} is not there yet")]
    NotYet { what: String },
    #[error(
        "the left's times on {days} reach from {first} to {last}: values as of midnight would be computed for each day \
         between"
    )]
    TimesTooFar {
        days: PartitionRange,
        first: Partition,
        last: Partition,
    },
    #[error("{table}: {source}")]
    NoStart { table: String, source: NoStart },
    #[error("no part of join {join} is called {part}; its parts are {known}")]
    NoSuchPart {
        join: String,
        part: String,
        known: String,
    },
    #[error("join {join} has nothing logged in {table}")]
    NothingLogged { join: String, table: String },
    #[error("{table}, the table of logged schemas, has no partition")]
    NoSchemas { table: String },
    #[error("{table} has no statistics of {days}")]
    NoStatistics { table: String, days: String },
    #[error("{count} bad rows, more than the {allowed} allowed; the first: {first}")]
    TooManyBadRows {
        count: u64,
        allowed: u64,
        first: String,
    },
    #[error("table {table} is not there yet; {job} writes it")]
    NotComputed { table: String, job: &'static str },
    #[error("table {table} was computed from another definition: {changes}")]
    DefinitionChanged { table: String, changes: String },
    #[error("column {column} of table {table} is {existing} there, but {computed} is computed")]
    ColumnChanged {
        table: String,
        column: String,
        existing: String,
        computed: String,
    },
    #[error("table {table} holds no serving info")]
    NoServingInfo { table: String },
    #[error("definition {definition} names no team")]
    NoTeam { definition: String },
    #[error("{table}: {} ranges of days failed:\n{}", .failures.len(), .failures.join("\n"))]
    Ranges {
        table: String,
        failures: Vec<String>,
    },
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Error {
    /// Whose matter this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Definition(_)
            | Self::WrongDefinition { .. }
            | Self::NotYet { .. }
            | Self::NoStart { .. }
            | Self::NoTeam { .. }
            | Self::NoSuchPart { .. } => ErrorKind::Definition,
            Self::Table(error) | Self::Engine(EngineError::Connectors(error)) => of_table(error),
            _ => ErrorKind::Failed,
        }
    }

    /// What to do, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::DefinitionChanged { .. } => Some(
                "run the job that writes it, or give --unset-semantic-hash to take the table as it is",
            ),
            Self::TooManyBadRows { .. } => {
                Some("look at the rows named, or allow more with --max-bad-rows")
            }
            Self::Ranges { .. } => {
                Some("the days that did not fail are written; run the job again")
            }
            Self::TimesTooFar { .. } => Some(
                "times are milliseconds since 1970; leave rows with other times out in the wheres of the left",
            ),
            Self::Engine(EngineError::NullValue { .. }) => {
                Some("leave such rows out in the wheres of the source, as in `ts IS NOT NULL`")
            }
            Self::Table(error) | Self::Engine(EngineError::Connectors(error))
                if table_hint(error).is_some() =>
            {
                table_hint(error)
            }
            Self::NoStart { .. } => Some(
                "give --start-partition-override, or check that the source table has partitions",
            ),
            Self::NothingLogged { .. } => Some(
                "check that samplePercent was set when requests were served, and that the log was written out",
            ),
            Self::NoSchemas { .. } => Some("run the job that fills it, up to this day"),
            Self::NoStatistics { .. } => {
                Some("run stats-summary (or log-summary) up to these days first")
            }
            Self::ColumnChanged { .. } => {
                Some("drop or rename the existing table, so that it is computed anew")
            }
            Self::Table(TableError::ModelUnreachable { .. }) => {
                Some("days that are done stay; run the job again once the model answers")
            }
            Self::NoServingInfo { .. } => Some("run group-by-upload first"),
            Self::NoTeam { .. } => Some("state metaData.team, or team_override in customJson"),
            Self::Table(TableError::NoSuchTable { table, .. }) if table.ends_with("_upload") => {
                Some("run group-by-upload first")
            }
            _ => None,
        }
    }
}

/// What to do about a table that could not be read or written.
fn table_hint(error: &TableError) -> Option<&'static str> {
    match error {
        TableError::NotParquet { .. } | TableError::DamagedFile { .. } => Some(
            "write the partition again, or take the file away; files whose names begin with _ or . are not read",
        ),
        TableError::TypeConflict { .. } => {
            Some("write the partitions of one of the two again with the type of the other")
        }
        TableError::Io { source, .. } => match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Some("make room and run the job again; no partition is half written")
            }
            std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => {
                Some("the job writes into the warehouse: let it, or name another with --warehouse")
            }
            _ => None,
        },
        TableError::Locked { .. } => {
            Some("wait for the other job, or end it; a lock whose holder died is taken over")
        }
        _ => None,
    }
}

fn of_table(error: &TableError) -> ErrorKind {
    match (error.kind(), error.retry()) {
        (TableErrorKind::External, Retry::Backoff) => ErrorKind::Unreachable,
        (TableErrorKind::External, Retry::Never)
            if matches!(error, TableError::ObjectStore { .. }) =>
        {
            ErrorKind::Unreachable
        }
        _ => ErrorKind::Failed,
    }
}
