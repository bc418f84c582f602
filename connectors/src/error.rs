//! What can go wrong at the edge of the house, in one enum.
//!
//! Promises: every error names the table, file or address it is about; [`Error::kind`] says whose
//! matter it is and [`Error::retry`] whether the same call may succeed later. Causes are sources,
//! never part of `Display`.

use std::io;

use unskewed_planner::schema::{DataType, UnsupportedType};

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Whose matter an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// What was asked for, or the data it was asked of, is wrong: somebody has to change something.
    User,
    /// An outside system (disk, object store, another job) is in the way.
    External,
    /// A fault of this program.
    Internal,
}

/// Whether the same call may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It will fail again.
    Never,
    /// It may succeed after a pause.
    Backoff,
}

/// Everything that can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant's message is its documentation")]
pub enum Error {
    #[error("could not {action} {path}: {source}")]
    Io {
        action: &'static str,
        path: String,
        source: io::Error,
    },
    #[error("could not {action} {path} in the object store")]
    ObjectStore {
        action: &'static str,
        path: String,
        source: Box<object_store::Error>,
    },
    #[error("{url:?} is not a warehouse address: {problem}")]
    InvalidWarehouse { url: String, problem: &'static str },
    #[error("{name:?} is not a table name: {problem}")]
    InvalidTableName { name: String, problem: &'static str },
    #[error("table {table} does not exist in warehouse {warehouse}")]
    NoSuchTable { table: String, warehouse: String },
    #[error("table {table} exists already")]
    TableExists { table: String },
    #[error("table {table} has no file to take a schema from, and no schema of its own")]
    NoSchema { table: String },
    #[error("table {table} has no column {column}; it has {known}")]
    NoSuchColumn {
        table: String,
        column: String,
        known: String,
    },
    #[error("file {file} is not readable Parquet: {reason}")]
    NotParquet { file: String, reason: &'static str },
    #[error("file {file} is damaged")]
    DamagedFile {
        file: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("file {file} vanished while it was being read")]
    FileVanished { file: String },
    #[error("file {file} was replaced while it was being read")]
    FileChanged { file: String },
    #[error("file {file} cannot be read as a table")]
    UnsupportedColumn {
        file: String,
        source: UnsupportedType,
    },
    #[error(
        "column {column} is {first_type} in {first} but {second_type} in {second}, \
         and neither holds the other"
    )]
    TypeConflict {
        column: String,
        first: String,
        first_type: Box<DataType>,
        second: String,
        second_type: Box<DataType>,
    },
    #[error("column {column} cannot be turned from {from} into {to}")]
    Conversion {
        column: String,
        from: String,
        to: Box<DataType>,
        source: arrow_schema::ArrowError,
    },
    #[error("{path} does not fit a partitioned table: {problem}")]
    Layout { path: String, problem: String },
    #[error("could not write {path}")]
    Write {
        path: String,
        source: parquet::errors::ParquetError,
    },
    #[error("column {column} of type {data_type} cannot be stored in Parquet")]
    Unstorable {
        column: String,
        data_type: Box<DataType>,
    },
    #[error("a batch for {table} does not have the writer's schema: {problem}")]
    WrongBatch { table: String, problem: String },
    #[error("file {path} does not hold what it should")]
    Malformed {
        path: String,
        source: serde_json::Error,
    },
    #[error("table {table} is locked by {holder}; waited {waited_millis} ms")]
    Locked {
        table: String,
        holder: String,
        waited_millis: i64,
    },
    #[error("the lock of table {table} was lost to {holder}")]
    LockLost { table: String, holder: String },
    #[error("{address:?} is not a key-value store: {problem}")]
    InvalidStore {
        address: String,
        problem: &'static str,
    },
    #[error(
        "the key-value store in {folder} belongs to another process; end it, or name another folder"
    )]
    StoreLocked { folder: String },
    #[error("could not {action} the key-value store {store}")]
    Store {
        action: &'static str,
        store: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("a row of dataset {dataset} in the key-value store {store} is damaged")]
    StoreDamaged { store: String, dataset: String },
    #[error("the model's {parameter} is wrong: {problem}")]
    ModelParameter {
        parameter: &'static str,
        problem: String,
    },
    #[error("model {model} could not be asked: {problem}")]
    ModelUnreachable { model: String, problem: String },
    #[error("model {model} was asked in vain: {problem}")]
    ModelAnswer { model: String, problem: String },
    #[error("topic {topic:?} cannot be read: {problem}")]
    InvalidTopic { topic: String, problem: String },
    #[error("checkpoint {path}: {problem}")]
    Checkpoint { path: String, problem: String },
    #[error("could not {action} topic {topic}: {problem}")]
    Kafka {
        action: &'static str,
        topic: String,
        problem: String,
        retry: Retry,
    },
    #[error("rows of topic {topic} are lost: {problem}")]
    RowsLost { topic: String, problem: String },
    #[error("schema registry {url} {problem}")]
    Registry {
        url: String,
        problem: String,
        retry: Retry,
    },
    #[error("schema {place} of topic {topic} cannot be used: {problem}")]
    MessageSchema {
        place: String,
        topic: String,
        problem: String,
    },
    #[error("thread {name} panicked")]
    Panicked { name: String },
    #[error("an injected fault at {operation} {path}")]
    Injected {
        operation: &'static str,
        path: String,
    },
}

impl Error {
    /// Whose matter this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. }
            | Self::ObjectStore { .. }
            | Self::FileVanished { .. }
            | Self::FileChanged { .. }
            | Self::Write { .. }
            | Self::Locked { .. }
            | Self::LockLost { .. }
            | Self::StoreLocked { .. }
            | Self::Store { .. }
            | Self::ModelUnreachable { .. }
            | Self::ModelAnswer { .. }
            | Self::Kafka { .. }
            | Self::Registry { .. }
            | Self::Injected { .. } => ErrorKind::External,
            Self::InvalidWarehouse { .. }
            | Self::InvalidStore { .. }
            | Self::ModelParameter { .. }
            | Self::RowsLost { .. }
            | Self::MessageSchema { .. }
            | Self::StoreDamaged { .. }
            | Self::InvalidTopic { .. }
            | Self::Checkpoint { .. }
            | Self::InvalidTableName { .. }
            | Self::NoSuchTable { .. }
            | Self::TableExists { .. }
            | Self::NoSchema { .. }
            | Self::NoSuchColumn { .. }
            | Self::NotParquet { .. }
            | Self::DamagedFile { .. }
            | Self::UnsupportedColumn { .. }
            | Self::TypeConflict { .. }
            | Self::Conversion { .. }
            | Self::Layout { .. }
            | Self::Unstorable { .. }
            | Self::Malformed { .. } => ErrorKind::User,
            Self::WrongBatch { .. } | Self::Panicked { .. } => ErrorKind::Internal,
        }
    }

    /// Whether the same call may succeed later.
    pub fn retry(&self) -> Retry {
        match self {
            Self::ObjectStore { source, .. } => match **source {
                object_store::Error::Generic { .. } => Retry::Backoff,
                _ => Retry::Never,
            },
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::Interrupted | io::ErrorKind::TimedOut => Retry::Backoff,
                _ => Retry::Never,
            },
            Self::Store { source, .. } => match crate::kv::passes(source.as_ref()) {
                Some(true) => Retry::Backoff,
                _ => Retry::Never,
            },
            Self::Kafka { retry, .. } | Self::Registry { retry, .. } => *retry,
            Self::FileVanished { .. }
            | Self::FileChanged { .. }
            | Self::Locked { .. }
            | Self::LockLost { .. }
            | Self::StoreLocked { .. }
            | Self::ModelUnreachable { .. }
            | Self::Injected { .. } => Retry::Backoff,
            _ => Retry::Never,
        }
    }
}
