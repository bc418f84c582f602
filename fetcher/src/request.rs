//! What is asked, and what comes back.

use std::collections::BTreeMap;

use crate::error::FetchError;
use crate::value::Value;

/// What a name of a failed part ends with among the features of an answer's JSON.
pub(crate) const EXCEPTION_SUFFIX: &str = "_exception";

/// What is asked of a join or a group-by.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The name of the join or group-by; `team/name` and `team.name` are the same.
    pub name: String,
    /// The keys by name.
    pub keys: BTreeMap<String, Value>,
    /// As of when, in milliseconds since 1970; now when absent.
    pub at_millis: Option<i64>,
}

/// What comes back.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The features. `None`: the group-by has nothing of the keys, or a key is null.
    pub outcome: Result<Option<Features>, FetchError>,
}

/// Features by name, and what could not be had.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// The values.
    pub values: BTreeMap<String, Value>,
    /// What failed: the prefix of the features that are missing, and why.
    pub failures: BTreeMap<String, FetchError>,
}

impl Features {
    /// Values and failures in one object; a failure is the text of `{prefix}_exception`.
    pub fn to_json(&self) -> serde_json::Map<String, serde_json::Value> {
        let values = self.values.iter();
        let values = values.map(|(name, value)| (name.clone(), value.to_json()));
        let failures = self.failures.iter();
        let failures = failures.map(|(prefix, error)| {
            let name = format!("{prefix}{EXCEPTION_SUFFIX}");
            (name, error.to_string().into())
        });
        values.chain(failures).collect()
    }
}
