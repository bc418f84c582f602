//! The joins that are online, from the lists that a metadata upload leaves.
//!
//! Promises: no scan of the store; a definition that a list names and the store does not have is left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use unskewed_connectors::kv::{Get, KvStore};
use unskewed_planner::serving::{METADATA_DATASET, TEAM_DATASET};

use crate::error::FetchError;

/// The list of teams that have joins, and the folder of their keys.
const JOINS: &str = "joins";

/// Names of the joins that say they are online, in order.
pub(crate) fn online_joins(store: &dyn KvStore) -> Result<Vec<String>, FetchError> {
    let teams = lists(store, &[JOINS.to_owned()])?.into_iter();
    let teams: Vec<String> = teams.map(|team| format!("{JOINS}/{team}")).collect();
    let keys = lists(store, &teams)?;
    let mut names = Vec::new();
    for (key, text) in keys.iter().zip(read(store, METADATA_DATASET, &keys)?) {
        let Some(text) = text else { continue };
        let definition = serde_json::from_slice(&text).map_err(|error| FetchError::Unusable {
            name: key.clone(),
            reason: error.to_string(),
        })?;
        names.extend(name_if_online(&definition));
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn name_if_online(definition: &Json) -> Option<String> {
    let meta_data = &definition["metaData"];
    // Compiled definitions say 1 for true.
    let online = &meta_data["online"];
    let online = online.as_bool() == Some(true) || online.as_i64() == Some(1);
    let name = meta_data["name"].as_str()?;
    online.then(|| name.to_owned())
}

/// What all lists of these keys name.
fn lists(store: &dyn KvStore, keys: &[String]) -> Result<Vec<String>, FetchError> {
    let mut all = Vec::new();
    for (key, list) in keys.iter().zip(read(store, TEAM_DATASET, keys)?) {
        let text = String::from_utf8(list.unwrap_or_default()).ok();
        let words = text.iter().flat_map(|text| text.split(','));
        for word in words.filter(|word| !word.is_empty()) {
            let bytes = STANDARD.decode(word).ok();
            let word = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            all.push(word.ok_or_else(|| FetchError::Unusable {
                name: key.clone(),
                reason: "the list of the store is no Base64".into(),
            })?);
        }
    }
    Ok(all)
}

fn read(
    store: &dyn KvStore,
    dataset: &str,
    keys: &[String],
) -> Result<Vec<Option<Vec<u8>>>, FetchError> {
    let mut gets = Vec::with_capacity(keys.len());
    for key in keys {
        gets.push(Get {
            dataset,
            generation: None,
            key: key.as_bytes(),
        });
    }
    let found = store.multi_get(&gets);
    let found = found.map_err(|error| FetchError::store(&error))?;
    let bytes = found.into_iter().map(|row| Some(row?.bytes));
    Ok(bytes.collect())
}
