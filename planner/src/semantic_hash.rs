//! Which change of a definition makes which table worthless.
//!
//! Promises: the hashes of a definition depend on what it computes only: not on topics, on the order of JSON fields or
//! maps, on descriptions, owners or schedules, and not on this program's version. They are our own, not the
//! reference's, whose hashes depend on the order of Java maps and pass over key mappings. Never looks at tables.

mod reference;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::definition::wire::Wire;
use crate::definition::{Join, Source};
use crate::naming::{TableSuffix, part_table};

pub use reference::bootstrap_part_hash;

/// The property that holds a table's hashes, as a JSON object.
pub const HASH_PROPERTY: &str = "semantic_hash";
/// The property that says how hashes were made.
pub const OPTIONS_PROPERTY: &str = "semantic_hash_options";
/// The only way hashes are made now.
pub const OPTIONS: &str = "{\"exclude_topic\":\"true\"}";

const LEFT: &str = "left_source";
const DERIVED: &str = "derived";
const MODELS: &str = "models";
/// Parameters of a model's backend that say how it is asked and not what it answers.
const HOW_ASKED: [&str; 6] = [
    "timeout_millis",
    "attempts",
    "pause_millis",
    "batch_rows",
    "concurrency",
    "token_variable",
];

/// A definition's hashes: of its left, of each part by its table, of its bootstrap parts by their table, of its
/// derivations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SemanticHashes(BTreeMap<String, String>);

/// What a change of a definition makes worthless.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalidated {
    /// The tables to set aside: part tables, the left table, the output; sorted.
    pub tables: Vec<String>,
    /// What changed, for people.
    pub reasons: Vec<String>,
}

impl SemanticHashes {
    /// The hashes of a join; `None` if it has no output namespace.
    pub fn of(join: &Join) -> Option<Self> {
        let mut hashes = BTreeMap::new();
        hashes.insert(LEFT.to_owned(), hash(&source(&join.left)));
        for part in join.parts().iter().chain(&join.offline_external_parts()) {
            let mut group_by = part.group_by.write();
            remove(&mut group_by, &["metaData"]);
            remove_surroundings(&mut group_by);
            let mapping = part.key_mapping.as_ref().map_or(Value::Null, Wire::write);
            let tree = Value::Array(vec![group_by, mapping]);
            hashes.insert(part_table(join, part)?, hash(&tree));
        }
        let bootstrap = TableSuffix::Bootstrap.table(&join.meta_data)?;
        let parts = join.bootstrap_parts.as_deref().unwrap_or_default();
        let mut trees: Vec<Value> = parts.iter().map(Wire::write).collect();
        for tree in &mut trees {
            remove(tree, &["metaData"]);
        }
        hashes.insert(bootstrap, hash(&Value::Array(trees)));
        if !join.derivations().is_empty() {
            let pair = |d: &crate::definition::Derivation| {
                let mut tree = d.write();
                remove(&mut tree, &["metaData"]);
                tree
            };
            let trees = join.derivations().iter().map(pair).collect();
            hashes.insert(DERIVED.to_owned(), hash(&Value::Array(trees)));
        }
        Some(Self(hashes))
    }

    /// The hashes of a join together with its models: those of the table that models write.
    pub fn with_models(mut self, join: &Join) -> Self {
        let mut tree = join
            .model_transforms
            .as_ref()
            .map_or(Value::Null, Wire::write);
        remove_surroundings(&mut tree);
        let transforms = tree.get_mut("transforms").and_then(Value::as_array_mut);
        for transform in transforms.into_iter().flatten() {
            if let Some(parameters) =
                transform.pointer_mut("/model/inferenceSpec/modelBackendParams")
            {
                remove(parameters, &HOW_ASKED);
            }
        }
        self.0.insert(MODELS.to_owned(), hash(&tree));
        self
    }

    /// Reads what [`SemanticHashes::to_text`] wrote.
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// The hashes as a JSON object.
    pub fn to_text(&self) -> String {
        let object = self.0.iter().map(|(k, v)| (k.clone(), v.as_str().into()));
        Value::Object(object.collect()).to_string()
    }

    /// The hash under a name: a table or one of the private names.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// What the tables written under `old` hashes are no longer worth. `output` and `bootstrap` name the join's own
    /// tables.
    pub fn invalidated(&self, old: &Self, output: &str, bootstrap: &str) -> Invalidated {
        let differs = |name: &str| old.get(name) != self.get(name);
        let is_part = |name: &&String| ![LEFT, DERIVED, MODELS, bootstrap].contains(&name.as_str());
        let mut found = Invalidated::default();
        let known_bootstrap = old.get(bootstrap).is_some();
        if differs(LEFT) || (known_bootstrap && differs(bootstrap)) {
            let reason = if differs(LEFT) {
                "the left source changed"
            } else {
                "the bootstrap parts changed"
            };
            found.reasons.push(reason.into());
            found.tables.extend(old.0.keys().filter(is_part).cloned());
            found.tables.push(bootstrap.into());
            found.tables.push(output.into());
        } else {
            for part in old.0.keys().filter(is_part).filter(|part| differs(part)) {
                let what = match self.get(part) {
                    Some(_) => "changed",
                    None => "is gone",
                };
                found.reasons.push(format!("the part of {part} {what}"));
                found.tables.push(part.clone());
            }
            let added = self.0.keys().filter(is_part);
            for part in added.filter(|part| old.get(part).is_none()) {
                found.reasons.push(format!("the part of {part} is new"));
            }
            if differs(DERIVED) {
                found.reasons.push("the derivations changed".into());
            }
            if differs(MODELS) {
                found.reasons.push("the models changed".into());
            }
            if !found.reasons.is_empty() {
                found.tables.push(output.into());
            }
        }
        found.tables.sort();
        found.tables.dedup();
        found
    }
}

fn source(source: &Source) -> Value {
    let mut tree = source.write();
    remove_surroundings(&mut tree);
    tree
}

/// Topics say where changes come from, not what they are; of a chained join's metadata only the names of its tables
/// count.
fn remove_surroundings(tree: &mut Value) {
    match tree {
        Value::Object(fields) => {
            fields.remove("topic");
            fields.remove("mutationTopic");
            if let Some(Value::Object(meta_data)) = fields.get_mut("metaData") {
                meta_data.retain(|name, _| ["name", "outputNamespace"].contains(&name.as_str()));
            }
            fields.values_mut().for_each(remove_surroundings);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_surroundings),
        _ => {}
    }
}

fn remove(tree: &mut Value, names: &[&str]) {
    if let Value::Object(fields) = tree {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
}

/// FNV-1a over 128 bits of the tree, fields in sorted order and every piece delimited.
fn hash(tree: &Value) -> String {
    let mut state = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128;
    feed(tree, &mut |bytes| {
        for byte in bytes {
            state ^= u128::from(*byte);
            state = state.wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    });
    format!("{state:032x}")
}

fn feed(tree: &Value, sink: &mut dyn FnMut(&[u8])) {
    match tree {
        Value::Null => sink(b"n"),
        Value::Bool(truth) => sink(if *truth { b"1" } else { b"0" }),
        Value::Number(number) => sink(format!("#{number};").as_bytes()),
        Value::String(text) => sink(format!("s{}:{text}", text.len()).as_bytes()),
        Value::Array(items) => {
            sink(b"[");
            for item in items {
                feed(item, sink);
            }
            sink(b"]");
        }
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            sink(b"{");
            for (name, value) in sorted {
                sink(format!("{}:{name}", name.len()).as_bytes());
                feed(value, sink);
            }
            sink(b"}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{Definition, Dialect};

    fn join(text: &str) -> Join {
        match Definition::load(text, Dialect::Airbnb) {
            Ok(Definition::Join(join)) => join,
            other => panic!("{other:?}"),
        }
    }

    fn text(left: &str, parts: &[(&str, &str)], derivation: &str) -> String {
        let part = |(name, window): &(&str, &str)| {
            format!(
                r#"{{"groupBy": {{"metaData": {{"name": "{name}", "description": "x"}}, "keyColumns": ["k"],
                "sources": [{{"events": {{"table": "db.e", "topic": "t-{name}",
                    "query": {{"selects": {{"k": "k", "v": "v"}}, "timeColumn": "ts", "setups": []}}}}}}],
                "aggregations": [{{"inputColumn": "v", "operation": 7, "argMap": {{}},
                    "windows": [{{"length": {window}, "timeUnit": 1}}]}}]}}}}"#
            )
        };
        let parts: Vec<String> = parts.iter().map(part).collect();
        format!(
            r#"{{"metaData": {{"name": "a.j", "outputNamespace": "db"}},
            "left": {{"events": {{"table": "{left}", "topic": "live", "query": {{"setups": []}}}}}},
            "joinParts": [{}] {derivation}}}"#,
            parts.join(",")
        )
    }

    fn change(old: &str, new: &str) -> Vec<String> {
        let (old, new) = (join(old), join(new));
        let old = SemanticHashes::of(&old).unwrap();
        let old = SemanticHashes::from_text(&old.to_text()).unwrap();
        let new = SemanticHashes::of(&new).unwrap();
        new.invalidated(&old, "db.a_j", "db.a_j_bootstrap").tables
    }

    /// Each kind of change sets aside what it makes worthless, and nothing else.
    #[test]
    fn changes() {
        let parts = [("a.g", "1"), ("a.h", "2")];
        let base = text("db.l", &parts, "");
        assert!(change(&base, &base).is_empty());
        let described = base.replace("\"x\"", "\"y\"").replace("live", "other");
        assert!(change(&base, &described).is_empty());
        let reordered = base.replace(r#""k": "k", "v": "v""#, r#""v": "v", "k": "k""#);
        assert!(change(&base, &reordered).is_empty());
        assert_eq!(
            change(&base, &text("db.m", &parts, "")),
            ["db.a_j", "db.a_j_a_g", "db.a_j_a_h", "db.a_j_bootstrap"]
        );
        let window = text("db.l", &[("a.g", "1"), ("a.h", "3")], "");
        assert_eq!(change(&base, &window), ["db.a_j", "db.a_j_a_h"]);
        let mapped = base.replacen(
            r#"{"groupBy""#,
            r#"{"keyMapping": {"u": "k"}, "groupBy""#,
            1,
        );
        assert_eq!(change(&base, &mapped), ["db.a_j", "db.a_j_a_g"]);
        let chained = |about: &str, table: &str| {
            let parent = text(table, &parts[1..], "").replacen("a.j", "a.parent", 1);
            let parent = parent.replacen(
                r#""outputNamespace""#,
                &format!(r#"{about} "outputNamespace""#),
                1,
            );
            let source =
                format!(r#"{{"joinSource": {{"join": {parent}, "query": {{"setups": []}}}}}}"#);
            let events = base.split(r#""sources": ["#).nth(1).unwrap();
            let events = events.split("],\n").next().unwrap();
            base.replacen(events, &source, 1)
        };
        let parent = chained("", "db.l");
        assert!(change(&parent, &chained(r#""team": "other","#, "db.l")).is_empty());
        assert_eq!(
            change(&parent, &chained("", "db.m")),
            ["db.a_j", "db.a_j_a_g"]
        );
        let fewer = text("db.l", &parts[..1], "");
        assert_eq!(change(&base, &fewer), ["db.a_j", "db.a_j_a_h"]);
        assert_eq!(change(&fewer, &base), ["db.a_j"]);
        let derived = text(
            "db.l",
            &parts,
            r#", "derivations": [{"name": "*", "expression": "*"}]"#,
        );
        assert_eq!(change(&base, &derived), ["db.a_j"]);
        assert_eq!(change(&derived, &base), ["db.a_j"]);
        let bootstrap = r#", "bootstrapParts": [{"table": "db.b"}]"#;
        let bootstrapped = text("db.l", &parts, bootstrap);
        assert_eq!(change(&base, &bootstrapped).len(), 4);
    }

    /// What a model answers makes its table worthless; how it is asked does not.
    #[test]
    fn changed_models_set_their_table_aside() {
        let models = |url: &str, timeout: &str| {
            let text = format!(
                r#", "modelTransforms": {{"transforms": [{{"model": {{"metaData": {{"name": "a.m"}},
                "inferenceSpec": {{"modelBackend": "http", "modelBackendParams":
                    {{"url": "{url}", "timeout_millis": "{timeout}"}}}}}}}}]}}"#
            );
            let join = join(&text_of(&text));
            SemanticHashes::of(&join).unwrap().with_models(&join)
        };
        fn text_of(models: &str) -> String {
            text("db.l", &[("a.g", "1")], models)
        }
        let old = models("http://one", "10");
        let changed =
            |new: &SemanticHashes| new.invalidated(&old, "db.a_j", "db.a_j_bootstrap").tables;
        assert!(changed(&models("http://one", "20")).is_empty());
        assert_eq!(changed(&models("http://two", "10")), ["db.a_j"]);
        let before = SemanticHashes::of(&join(&text_of(""))).unwrap();
        assert_eq!(changed(&before), ["db.a_j"]);
    }

    /// The hash of a known join stays what it is from version to version.
    #[test]
    fn hashes_are_stable() {
        let hashes = SemanticHashes::of(&join(&text("db.l", &[], ""))).unwrap();
        assert_eq!(hashes.get("db.a_j_bootstrap").unwrap().len(), 32);
        assert_eq!(hash(&Value::Null), "d228cb69661a8caf78912b704e4a7e51");
    }
}
