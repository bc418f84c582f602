//! What goes wrong when TiKV is asked: which errors may pass by themselves, and their reasons in few words.
//!
//! Reasons name servers and states, never keys, values or what stands in files.

use std::time::Duration;

use tikv_client::{Error as ClientError, ProtoKeyError, ProtoRegionError};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it did not answer within {} ms and {tries} tries: {reason}", .limit.as_millis())]
    Late {
        limit: Duration,
        tries: u32,
        reason: String,
    },
    #[error(
        "it was not asked, because the last {failures} calls failed, and is asked again within {} ms; \
         the last failure: {reason}",
        .wait.as_millis()
    )]
    Paused {
        failures: u32,
        wait: Duration,
        reason: String,
    },
    #[error("it refused: {reason}")]
    Refused { reason: String },
}

impl Failure {
    /// Whether the same call may succeed later.
    pub(super) fn passes(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }
}

/// Whether what was asked for can never be done, so that asking again is in vain.
pub(super) fn is_refusal(error: &ClientError) -> bool {
    /// gRPC's numbers for: invalid argument, permission denied, unimplemented, unauthenticated.
    const REFUSALS: [i32; 4] = [3, 7, 12, 16];
    match error {
        // A store that is overloaded says so in a text, too.
        ClientError::KvError { message } => {
            let message = message.to_lowercase();
            !["timeout", "busy", "deadline"]
                .iter()
                .any(|word| message.contains(word))
        }
        ClientError::MultipleKeyErrors(errors) | ClientError::ExtractedErrors(errors) => {
            errors.iter().any(is_refusal)
        }
        ClientError::RegionError(error) => error.raft_entry_too_large.is_some(),
        ClientError::GrpcAPI(status) => REFUSALS.contains(&(status.code() as i32)),
        ClientError::KeyError(_)
        | ClientError::KeyspaceNotFound(_)
        | ClientError::UnsupportedMode
        | ClientError::ColumnFamilyError(_) => true,
        _ => false,
    }
}

/// Whether the connection is of no more use: servers may have moved.
pub(super) fn is_disconnected(error: &ClientError) -> bool {
    match error {
        ClientError::MultipleKeyErrors(errors) | ClientError::ExtractedErrors(errors) => {
            errors.iter().any(is_disconnected)
        }
        ClientError::RegionError(_) | ClientError::KvError { .. } | ClientError::KeyError(_) => {
            false
        }
        _ => true,
    }
}

/// An error in few words.
pub(super) fn reason(error: &ClientError) -> String {
    match error {
        ClientError::RegionError(error) => of_region(error),
        ClientError::GrpcAPI(status) => format!("{:?}: {}", status.code(), status.message()),
        ClientError::KeyError(error) => of_key(error),
        ClientError::MultipleKeyErrors(errors) | ClientError::ExtractedErrors(errors) => {
            let first = errors.first().map(reason);
            first.unwrap_or_else(|| "an error without a text".into())
        }
        ClientError::RegionForKeyNotFound { .. } | ClientError::RegionForRangeNotFound { .. } => {
            "PD knows no region for a key".into()
        }
        // It begins with a line of the client's source.
        ClientError::InternalError { message } => match message.split_once("]: ") {
            Some((_, text)) => text.into(),
            None => message.clone(),
        },
        other => chain(other),
    }
}

/// An error and its causes, as far as they say something new.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

fn of_region(error: &ProtoRegionError) -> String {
    let kind = match error {
        error if error.server_is_busy.is_some() => "the server is busy",
        error if error.not_leader.is_some() => "a region has no leader",
        error if error.raft_entry_too_large.is_some() => "a row is too large for TiKV",
        error if error.disk_full.is_some() => "a disk is full",
        _ => "a region is not ready",
    };
    format!("{kind} ({})", error.message)
}

fn of_key(error: &ProtoKeyError) -> String {
    let text = [&error.abort, &error.retryable];
    let text = text.into_iter().find(|text| !text.is_empty());
    text.cloned().unwrap_or_else(|| "a row was refused".into())
}
