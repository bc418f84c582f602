//! Why a feature, a group-by or a request has no answer.

use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::serving::ServingInfoError;

use crate::columns::Mistyped;

/// Why there is no answer. Cheap to copy, since one failure may fail many features.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No join of the name is in the store.
    #[error("no join {name:?} is in the store; has its metadata been uploaded?")]
    UnknownJoin {
        /// The name.
        name: String,
    },
    /// No batch of the group-by is in the store.
    #[error("no batch of group-by {name:?} is in the store; has it been uploaded and loaded?")]
    UnknownGroupBy {
        /// The name.
        name: String,
    },
    /// What the store has of a definition cannot be used.
    #[error("what the store has of {name:?} cannot be used: {reason}")]
    Unusable {
        /// The join or group-by.
        name: String,
        /// Why.
        reason: String,
    },
    /// The request lacks keys.
    #[error("failed to fetch {name}: missing keys {missing} required by {name} in the query")]
    MissingKeys {
        /// What was asked for.
        name: String,
        /// The keys, comma-separated.
        missing: String,
    },
    /// A key is of another type than its column.
    #[error("key {key:?} cannot be looked up: {problem}")]
    Key {
        /// The key.
        key: String,
        /// Why.
        problem: Mistyped,
    },
    /// Values as of a time that the batch has gone past.
    #[error(
        "asked as of {query_millis} ms since 1970, but the batch of {name} ends at {batch_end_millis}: ask at or after that"
    )]
    BeforeBatch {
        /// The group-by.
        name: String,
        /// The time asked for.
        query_millis: i64,
        /// The end of the batch.
        batch_end_millis: i64,
    },
    /// Stored bytes that are no values.
    #[error("what the store has of a key of {name} cannot be read: {reason}")]
    Undecodable {
        /// The group-by.
        name: String,
        /// Why.
        reason: String,
    },
    /// The store failed.
    #[error("the store could not be read: {reason}")]
    Store {
        /// Why.
        reason: String,
    },
    /// A derivation failed.
    #[error("could not be derived: {reason}")]
    Derivation {
        /// Why.
        reason: String,
    },
    /// An answer that its schema has no form for.
    #[error("the answer of {name} could not be encoded: {reason}")]
    Unencodable {
        /// The join.
        name: String,
        /// Why.
        reason: String,
    },
    /// An external source failed.
    #[error("external source {name} failed: {reason}")]
    External {
        /// The source.
        name: String,
        /// Why.
        reason: String,
    },
    /// An external source that nobody registered.
    #[error("external source {name} is not registered; known are: {known}")]
    Unregistered {
        /// The source.
        name: String,
        /// What is, comma-separated.
        known: String,
    },
}

impl FetchError {
    /// The store's failure, with its causes.
    pub(crate) fn store(error: &unskewed_connectors::error::Error) -> Self {
        Self::Store {
            reason: with_causes(error),
        }
    }

    /// A definition's first problem.
    pub(crate) fn unusable(name: &str, problems: &[Diagnostic]) -> Self {
        let first = problems.first().map(ToString::to_string);
        Self::Unusable {
            name: name.into(),
            reason: first.unwrap_or_default(),
        }
    }

    /// A serving info that cannot be read.
    pub(crate) fn serving_info(name: &str, error: &ServingInfoError) -> Self {
        Self::Unusable {
            name: name.into(),
            reason: with_causes(error),
        }
    }

    /// A short name of the kind, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UnknownJoin { .. } => "unknown_join",
            Self::UnknownGroupBy { .. } => "unknown_group_by",
            Self::Unusable { .. } => "unusable_definition",
            Self::MissingKeys { .. } => "missing_keys",
            Self::Key { .. } => "mistyped_key",
            Self::BeforeBatch { .. } => "before_batch",
            Self::Undecodable { .. } => "undecodable",
            Self::Store { .. } => "store",
            Self::Derivation { .. } => "derivation",
            Self::Unencodable { .. } => "unencodable",
            Self::External { .. } => "external",
            Self::Unregistered { .. } => "unregistered_external",
        }
    }
}

/// An error and what caused it, on one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
