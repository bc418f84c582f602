//! The loader against real definitions, against broken ones, and against mutations of real ones.

use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn compiled() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/definitions");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn problems(text: &str) -> Vec<String> {
    let found = Definition::load(text, Dialect::Airbnb).unwrap_err();
    found.iter().map(ToString::to_string).collect()
}

/// Every compiled file loads, and writes back as the tree it was.
#[test]
fn compiled_files_round_trip() {
    let files = compiled();
    assert!(files.len() > 100);
    for (name, text) in files {
        let definition = Definition::load(&text, Dialect::Airbnb)
            .unwrap_or_else(|found| panic!("{name}: {}", found[0]));
        let tree: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(definition.to_json(), tree, "{name}");
    }
}

fn small_group_by() -> Value {
    json!({
        "metaData": {"name": "team.g.v1", "online": true},
        "sources": [{"events": {"table": "db.t", "query": {"selects": {"k": "k"}}}}],
        "keyColumns": ["k"],
        "aggregations": [{"inputColumn": "v", "operation": 7, "argMap": {}}]
    })
}

/// Problems come all at once, each with its path.
#[test]
fn all_problems_at_once() {
    let mut tree = small_group_by();
    tree["sources"][0]["events"]["query"]["selcts"] = json!({});
    tree["aggregations"][0]["operation"] = json!(77);
    tree["keyColumns"] = json!("k");
    tree["accuracy"] = json!("TEMPORAL");
    tree["metaData"]["online"] = json!(2);
    let found = problems(&tree.to_string()).join("\n");
    for expected in [
        "unknown field \"selcts\" of Query\n  --> sources[0].events.query.selcts\n   = help: did you mean \"selects\"?",
        "the number 77 is no code of Operation\n  --> aggregations[0].operation",
        "expected a list, found the string \"k\"\n  --> keyColumns",
        "the string \"TEMPORAL\" is no code of Accuracy\n  --> accuracy",
        "expected a boolean (0, 1, true or false), found the number 2\n  --> metaData.online",
    ] {
        assert!(found.contains(expected), "no {expected:?} in:\n{found}");
    }
}

/// What is missing or doubled is said.
#[test]
fn missing_and_doubled() {
    let mut tree = small_group_by();
    tree["metaData"] = json!({});
    tree["sources"] = json!([{"events": {"table": "t", "query": {}}, "entities": {}}, {}]);
    let found = problems(&tree.to_string()).join("\n");
    assert!(found.contains("found events and entities"), "{found}");
    assert!(
        found.contains("found none\n") || found.ends_with("found none"),
        "{found}"
    );
    tree = small_group_by();
    tree["metaData"] = json!({});
    assert!(problems(&tree.to_string())[0].contains("has no name"));
    tree.as_object_mut().unwrap().remove("keyColumns");
    assert!(problems(&tree.to_string())[0].contains("GroupBy has no \"keyColumns\""));
    assert!(problems("{\"sources\": [], \"sources\": []}")[0].contains("appears twice"));
    assert!(problems("[]")[0].contains("JSON object"));
    assert!(problems("{\"a\": ")[0].contains("not JSON"));
    assert!(problems("{}")[0].contains("no group-by, join or staging query"));
    assert!(problems(&"[".repeat(100_000))[0].contains("not JSON"));
}

/// Booleans are read in both forms.
#[test]
fn booleans() {
    let Ok(Definition::GroupBy(group_by)) =
        Definition::load(&small_group_by().to_string(), Dialect::Airbnb)
    else {
        panic!("loads");
    };
    assert_eq!(group_by.meta_data.online, Some(true));
    assert_eq!(group_by.accuracy(), Accuracy::Snapshot);
}

/// A file of the other fork is refused where its own field stands, and read under its own name.
#[test]
fn dialects() {
    let mut tree = small_group_by();
    tree["metaData"]["executionInfo"] = json!({"scheduleCron": "@daily"});
    assert!(problems(&tree.to_string())[0].contains("--dialect zipline"));
    assert!(Definition::load(&tree.to_string(), Dialect::Zipline).is_ok());
    tree["aggregations"][0]["operation"] = json!(19);
    let found = Definition::load(&tree.to_string(), Dialect::Zipline).unwrap_err();
    assert!(found[0].message.contains("APPROX_HEAVY_HITTERS_K"));
    let mut airbnb = small_group_by();
    airbnb["backfillStartDate"] = json!("2024-01-01");
    let found = Definition::load(&airbnb.to_string(), Dialect::Zipline).unwrap_err();
    assert!(found[0].to_string().contains("--dialect airbnb"));
    let mut minutes = small_group_by();
    minutes["aggregations"][0]["windows"] = json!([{"length": 5, "timeUnit": 2}]);
    assert!(problems(&minutes.to_string())[0].contains("--dialect zipline"));
}

/// Teams keep what they do not know and look variables up as the launcher does.
#[test]
fn teams() {
    let teams = Teams::load(
        r#"{"default": {"namespace": "d", "common_env": {"A": "1"}, "production": {"backfill": {"B": "2"}}},
            "x": {"description": "y", "dev": {"backfill": {"B": "3"}}}}"#,
    )
    .unwrap();
    assert_eq!(teams.namespace("x"), Some("d"));
    assert_eq!(teams.variable("x", "dev", "backfill", "B"), Some("3"));
    assert_eq!(
        teams.variable("x", "production", "backfill", "B"),
        Some("2")
    );
    assert_eq!(teams.variable("x", "production", "upload", "A"), Some("1"));
    assert!(Teams::load(r#"{"x": {"namespace": 3}}"#).unwrap_err()[0].path == "x.namespace");
}

/// Replaces, removes or adds one thing somewhere in a tree.
fn mutate(tree: &mut Value, steps: &[u8], replacement: &Value) {
    let Some((step, rest)) = steps.split_first() else {
        *tree = replacement.clone();
        return;
    };
    match tree {
        Value::Object(fields) if !fields.is_empty() => {
            let index = usize::from(*step) % fields.len();
            let name = fields.keys().nth(index).cloned().unwrap_or_default();
            match step % 16 {
                0 => drop(fields.remove(&name)),
                1 => drop(fields.insert(format!("{name}x"), replacement.clone())),
                _ => mutate(&mut fields[&name], rest, replacement),
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let index = usize::from(*step) % items.len();
            mutate(&mut items[index], rest, replacement);
        }
        other => *other = replacement.clone(),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,8}", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    /// No mutation of a real definition makes the loader panic; it loads or says at least one problem, and what
    /// loads writes back to what loads again.
    #[test]
    fn mutations(
        index in any::<prop::sample::Index>(),
        steps in prop::collection::vec(any::<u8>(), 0..9),
        replacement in any_json(),
    ) {
        let files = compiled();
        let mut tree: Value = serde_json::from_str(&files[index.index(files.len())].1).unwrap();
        mutate(&mut tree, &steps, &replacement);
        match Definition::load(&tree.to_string(), Dialect::Airbnb) {
            Ok(definition) => {
                let again = Definition::from_json(&definition.to_json(), Dialect::Airbnb);
                prop_assert_eq!(again.unwrap(), definition);
            }
            Err(found) => prop_assert!(!found.is_empty()),
        }
    }

    /// No text makes the loader panic.
    #[test]
    fn texts(text in "[\\[\\]{}\",:a-z0-9.\\\\ -]{0,60}") {
        let _ = Definition::load(&text, Dialect::Airbnb).is_ok();
        let _ = Teams::load(&text).is_ok();
    }
}
