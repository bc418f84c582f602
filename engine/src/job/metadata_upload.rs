//! `metadata-upload`: compiled definitions into the key-value store, each team's list of them, and the list of teams.
//!
//! Promises: all definitions of a call become visible before the lists that name them. A whole folder replaces the
//! lists of its teams; a single file is added to its team's. Teams are only ever added to theirs.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use unskewed_connectors::clock::Clock;
use unskewed_connectors::kv::{Get, KvStore, Put};
use unskewed_planner::definition::Definition;
use unskewed_planner::serving::{METADATA_DATASET, TEAM_DATASET, kind_folder, team};

use super::Outcome;
use super::error::{Error, Result};

/// A definition and the key it is found by: `joins/team/name.v1`.
#[derive(Clone, Debug)]
pub struct MetadataFile {
    /// The key.
    pub key: String,
    /// The definition.
    pub definition: Definition,
}

/// Stores definitions. `whole` says that they are all there are of their teams.
pub fn metadata_upload(
    files: &[MetadataFile],
    whole: bool,
    store: &dyn KvStore,
    clock: &dyn Clock,
) -> Result<Outcome> {
    let mut lists: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for file in files {
        let meta_data = file.definition.meta_data();
        let team = team(meta_data).ok_or_else(|| Error::NoTeam {
            definition: file.key.clone(),
        })?;
        let list = format!("{}/{team}", kind_folder(&file.definition));
        lists.entry(list).or_default().push(&file.key);
    }
    let millis = clock.now_millis();
    let row = |dataset: &'static str, key: &str, value: String| (dataset, key.to_owned(), value);
    let mut rows: Vec<(&str, String, String)> = Vec::new();
    for file in files {
        let text = file.definition.to_json().to_string();
        rows.push(row(METADATA_DATASET, &file.key, text));
    }
    put(&rows, store, millis)?;
    let mut teams: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for list in lists.keys() {
        if let Some((kind, team)) = list.split_once('/') {
            let teams = teams.entry(kind.to_owned()).or_default();
            teams.push(team.to_owned());
        }
    }
    let mut named = Vec::new();
    for (list, keys) in lists {
        let before = if whole {
            Vec::new()
        } else {
            listed(&list, store)?
        };
        let keys = keys.into_iter().map(str::to_owned);
        named.push(row(TEAM_DATASET, &list, list_of(before, keys)));
    }
    for (kind, teams) in teams {
        let before = listed(&kind, store)?;
        named.push(row(TEAM_DATASET, &kind, list_of(before, teams)));
    }
    put(&named, store, millis)?;
    Ok(Outcome {
        rows_in: files.len() as u64,
        rows_out: (rows.len() + named.len()) as u64,
        ..Outcome::default()
    })
}

fn put(rows: &[(&str, String, String)], store: &dyn KvStore, millis: i64) -> Result<()> {
    let puts: Vec<Put<'_>> = rows
        .iter()
        .map(|(dataset, key, value)| Put {
            dataset,
            key: key.as_bytes(),
            value: value.as_bytes(),
            millis,
            expires_millis: None,
        })
        .collect();
    Ok(store.multi_put(&puts)?)
}

/// A list of what it had before and what is new, each once.
fn list_of(mut words: Vec<String>, new: impl IntoIterator<Item = String>) -> String {
    words.extend(new);
    words.sort_unstable();
    words.dedup();
    let encoded = words.iter().map(|word| STANDARD.encode(word));
    encoded.collect::<Vec<_>>().join(",")
}

/// What a list has.
fn listed(list: &str, store: &dyn KvStore) -> Result<Vec<String>> {
    let get = Get {
        dataset: TEAM_DATASET,
        generation: None,
        key: list.as_bytes(),
    };
    let Some(found) = store.multi_get(&[get])?.pop().flatten() else {
        return Ok(Vec::new());
    };
    let text = String::from_utf8_lossy(&found.bytes).into_owned();
    let decode = |key: &str| {
        STANDARD
            .decode(key)
            .ok()
            .and_then(|key| String::from_utf8(key).ok())
    };
    Ok(text.split(',').filter_map(decode).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use unskewed_connectors::clock::ManualClock;
    use unskewed_connectors::kv::Memory;
    use unskewed_planner::definition::Dialect;

    fn file(name: &str, team: &str) -> MetadataFile {
        let text = format!(
            r#"{{"metaData":{{"name":"{team}.{name}","team":"{team}"}},
                "sources":[{{"events":{{"table":"a.b","query":{{}}}}}}],"keyColumns":["k"]}}"#
        );
        MetadataFile {
            key: format!("group_bys/{team}/{name}"),
            definition: Definition::load(&text, Dialect::Airbnb).unwrap(),
        }
    }

    fn read(store: &Memory, dataset: &'static str, key: &str) -> Option<String> {
        let get = Get {
            dataset,
            generation: None,
            key: key.as_bytes(),
        };
        let found = store.multi_get(&[get]).unwrap().remove(0)?;
        Some(String::from_utf8(found.bytes).unwrap())
    }

    /// Definitions are found by their keys, and teams' lists grow by single files and are replaced by folders.
    #[test]
    fn definitions_and_lists() {
        let clock = ManualClock::at_millis(5);
        let store = Memory::new(Arc::new(ManualClock::at_millis(5)));
        let upload =
            |files: &[MetadataFile], whole| metadata_upload(files, whole, &store, &clock).unwrap();
        let files = [
            file("g.v1", "alpha"),
            file("h.v1", "alpha"),
            file("g.v1", "beta"),
        ];
        assert_eq!(upload(&files, true).rows_out, 6);
        let text = read(&store, METADATA_DATASET, "group_bys/beta/g.v1").unwrap();
        assert!(
            text.starts_with(r#"{"metaData":{"name":"beta.g.v1""#),
            "{text}"
        );
        let list = || read(&store, TEAM_DATASET, "group_bys/alpha").unwrap();
        let names = |names: &[&str]| {
            let encoded: Vec<_> = names
                .iter()
                .map(|n| STANDARD.encode(format!("group_bys/alpha/{n}")))
                .collect();
            encoded.join(",")
        };
        assert_eq!(list(), names(&["g.v1", "h.v1"]));
        upload(&[file("i.v1", "alpha")], false);
        assert_eq!(list(), names(&["g.v1", "h.v1", "i.v1"]));
        upload(&[file("i.v1", "alpha")], true);
        assert_eq!(list(), names(&["i.v1"]));
        assert_eq!(read(&store, TEAM_DATASET, "joins/alpha"), None);
        let teams = ["alpha", "beta"]
            .map(|team| STANDARD.encode(team))
            .join(",");
        assert_eq!(read(&store, TEAM_DATASET, "group_bys"), Some(teams));
    }
}
