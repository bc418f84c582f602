//! What resolution infers and what it refuses, with everything wrong said at once.

mod models;
mod upload;

use serde_json::{Value, json};

use super::*;
use crate::catalog::MemoryCatalog;
use crate::definition::{Definition, Dialect};
use crate::expr::parse_schema;
use crate::logical::{FeatureJoin, PartMethod};
use crate::lower::{LeftFacts, part_query_days, scan_days};
use crate::schema::DataType;
use crate::time::PartitionRange;

fn schema(columns: &str) -> Schema {
    match parse_schema(columns) {
        Ok(DataType::Struct(fields)) => Schema::new(fields),
        other => panic!("{other:?}"),
    }
}

fn catalog() -> MemoryCatalog {
    let days = ["2024-02-01", "2024-02-02", "2024-02-03", "2024-02-04"];
    let events = "user string, item bigint, amount double, day date, ts bigint, ds string";
    let dim = "user string, tier int, ts bigint, ds string";
    let mutations =
        "user string, tier int, ts bigint, mutation_ts bigint, is_before boolean, ds string";
    MemoryCatalog::default()
        .with_table("db.events", schema(events), "ds", &days)
        .with_table("db.dim", schema(dim), "ds", &days)
        .with_table("db.dim_mutations", schema(mutations), "ds", &days)
        .with_table(
            "db.left",
            schema("user string, item int, ts bigint, ds string"),
            "ds",
            &days[1..],
        )
}

fn events(selects: &Value) -> Value {
    json!({"events": {"table": "db.events", "query": {"selects": selects, "timeColumn": "ts"}}})
}

fn group(name: &str, source: &Value, accuracy: i32, windows: &Value) -> Value {
    json!({
        "metaData": {"name": name, "team": "t", "outputNamespace": "out"},
        "sources": [source],
        "keyColumns": ["user"],
        "accuracy": accuracy,
        "aggregations": [{"inputColumn": "amount", "operation": 7, "argMap": {}, "windows": windows}]
    })
}

fn join_of(parts: &Value) -> Value {
    json!({
        "metaData": {"name": "t.j", "team": "t", "outputNamespace": "out"},
        "left": {"events": {"table": "db.left", "query": {
            "selects": {"user": "user", "item": "item"}, "timeColumn": "ts"}}},
        "joinParts": parts
    })
}

fn resolved(tree: &Value) -> Result<FeatureJoin, Vec<Diagnostic>> {
    match Definition::from_json(tree, Dialect::Airbnb)? {
        Definition::Join(join) => resolve_join(&join, &catalog()).map(|resolved| resolved.value),
        other => panic!("{other:?}"),
    }
}

fn problems(tree: &Value) -> String {
    let found = resolved(tree).unwrap_err();
    found
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[track_caller]
fn assert_all(text: &str, expected: &[&str]) {
    for piece in expected {
        assert!(text.contains(piece), "no {piece:?} in:\n{text}");
    }
}

fn selects() -> Value {
    json!({"user": "user", "amount": "amount"})
}

fn days_3() -> Value {
    json!([{"length": 3, "timeUnit": 1}])
}

/// Problems of the left, of sources, of aggregations and of keys come together.
#[test]
fn all_problems_at_once() {
    let mut wrong = group(
        "t.a",
        &events(&json!({"user": "usr", "amount": "amount"})),
        1,
        &days_3(),
    );
    wrong["aggregations"][0]["operation"] = json!(12);
    wrong["aggregations"][0]["argMap"] = json!({"percentiles": "half"});
    let mut typed = group(
        "t.b",
        &events(&json!({"user": "user", "amount": "day"})),
        0,
        &days_3(),
    );
    typed["sources"][0]["events"]["query"]["wheres"] = json!(["amount +", "item"]);
    let hours = group(
        "t.c",
        &events(&selects()),
        1,
        &json!([{"length": 6, "timeUnit": 0}]),
    );
    let mut key = group(
        "t.d",
        &events(&json!({"item": "item", "amount": "amount"})),
        0,
        &days_3(),
    );
    key["keyColumns"] = json!(["item"]);
    let missing = group(
        "t.e",
        &json!({"events": {"table": "db.evnts", "query": {}}}),
        0,
        &days_3(),
    );
    let mut tree = join_of(&json!([
        {"groupBy": wrong}, {"groupBy": typed}, {"groupBy": hours}, {"groupBy": key},
        {"groupBy": missing, "keyMapping": {"user": "usr"}}
    ]));
    tree["metaData"].as_object_mut().unwrap().remove("team");
    tree["skewKeys"] = json!({"nobody": ["1"]});
    let text = problems(&tree);
    assert_all(
        &text,
        &[
            "the join has no team\n  --> metaData.team",
            "\"nobody\" is not used as a key by any part\n  --> skewKeys.nobody",
            "--> joinParts[0].groupBy.sources[0].events.query.selects.user",
            "--> joinParts[1].groupBy.sources[0].events.query.wheres[0]",
            "--> joinParts[1].groupBy.sources[0].events.query.wheres[1]",
            "values as of midnight cannot have windows in hours\n  --> joinParts[2].groupBy.aggregations[0].windows[0]",
            "key \"item\" is bigint in the group-by, but \"item\" is int on the left\n  --> joinParts[3]",
            "there is no table db.evnts\n  --> joinParts[4].groupBy.sources[0].events.table",
            "\"usr\" is no key of the group-by\n  --> joinParts[4].keyMapping.user",
        ],
    );
}

/// An operation that cannot take its input, an argument that cannot be read, and a name computed twice.
#[test]
fn aggregations_are_checked() {
    let mut dates = group(
        "t.a",
        &events(&json!({"user": "user", "amount": "day"})),
        0,
        &days_3(),
    );
    dates["aggregations"] = json!([
        {"inputColumn": "amount", "operation": 7, "argMap": {}},
        {"inputColumn": "amont", "operation": 7, "argMap": {}},
        {"inputColumn": "amount", "operation": 12, "argMap": {"percentiles": "half"}},
        {"inputColumn": "user", "operation": 6, "argMap": {}, "buckets": ["amount"]},
        {"inputColumn": "user", "operation": 6, "argMap": {}},
        {"inputColumn": "user", "operation": 6, "argMap": {}},
    ]);
    let text = problems(&join_of(&json!([{"groupBy": dates}])));
    assert_all(
        &text,
        &[
            "dates and timestamps are not aggregated\n  --> joinParts[0].groupBy.aggregations[0]",
            "column amont is not among the selected columns\n  --> joinParts[0].groupBy.aggregations[1]",
            "from 0 to 1, but is \"half\"\n  --> joinParts[0].groupBy.aggregations[2].argMap",
            "bucket column amount must be string, but is date\n  --> joinParts[0].groupBy.aggregations[3]",
            "column \"user_count\" is computed twice\n  --> joinParts[0].groupBy.aggregations[5]",
        ],
    );
}

/// Which method computes a part follows from the left, the right and the accuracy, stated or inferred.
#[test]
fn methods() {
    let entities = |mutation: bool| {
        let mut source = json!({"entities": {"snapshotTable": "db.dim",
            "query": {"selects": {"user": "user", "amount": "tier"}, "timeColumn": "ts"}}});
        if mutation {
            source["entities"]["mutationTable"] = json!("db.dim_mutations");
        }
        source
    };
    let mut inferred = group("t.d", &events(&selects()), 0, &days_3());
    inferred.as_object_mut().unwrap().remove("accuracy");
    inferred["sources"][0]["events"]["topic"] = json!("kafka://events");
    let parts = json!([
        {"groupBy": group("t.a", &events(&selects()), 0, &days_3())},
        {"groupBy": group("t.b", &events(&selects()), 1, &days_3())},
        {"groupBy": group("t.c", &entities(true), 0, &days_3())},
        {"groupBy": inferred},
        {"groupBy": group("t.e", &entities(false), 1, &days_3())},
    ]);
    let methods = |tree: &Value| -> Vec<PartMethod> {
        let join = resolved(tree).unwrap_or_else(|found| panic!("{}", found[0]));
        join.parts.iter().map(|part| part.method).collect()
    };
    let mut tree = join_of(&parts);
    assert_eq!(
        methods(&tree),
        [
            PartMethod::TemporalEvents,
            PartMethod::SnapshotEvents,
            PartMethod::TemporalEntities,
            PartMethod::TemporalEvents,
            PartMethod::SnapshotEntities
        ]
    );
    tree["left"] = json!({"entities": {"snapshotTable": "db.dim", "query": {}}});
    assert_eq!(methods(&tree)[..2], [PartMethod::SnapshotEvents; 2]);
    assert_eq!(methods(&tree)[2], PartMethod::SnapshotEntities);
    let without = join_of(&json!([{"groupBy": group("t.c", &entities(false), 0, &days_3())}]));
    assert_all(&problems(&without), &["need the mutations of the entity"]);
}

/// The days asked for and scanned, by accuracy, window, and the source's own bounds.
#[test]
fn days() {
    let day = |text: &str| text.parse::<Partition>().unwrap();
    let range = |start: &str, end: &str| PartitionRange::new(day(start), day(end)).unwrap();
    let hour = 3_600_000;
    let facts = LeftFacts {
        rows: 10,
        times_millis: Some((
            day("2024-02-10").start_millis() + hour,
            day("2024-02-12").end_millis() - hour,
        )),
        days: Some((day("2024-02-10"), day("2024-02-11"))),
    };
    let scanned = |part: &Value| {
        let join = resolved(&join_of(&json!([{"groupBy": part}]))).unwrap();
        let part = &join.parts[0];
        let queries = part_query_days(&join.left, part, &facts).unwrap();
        let mut source = part.group.sources[0].clone();
        source.available = Some((day("2024-01-01"), day("2024-03-01")));
        let days = scan_days(&source, queries, part.group.max_window).unwrap();
        (queries, days.range)
    };
    let temporal = group("t.a", &events(&selects()), 0, &days_3());
    let expected = (
        range("2024-02-10", "2024-02-12"),
        Some(range("2024-02-06", "2024-02-12")),
    );
    assert_eq!(scanned(&temporal), expected);
    let snapshot = group("t.a", &events(&selects()), 1, &days_3());
    let expected = (
        range("2024-02-09", "2024-02-11"),
        Some(range("2024-02-05", "2024-02-11")),
    );
    assert_eq!(scanned(&snapshot), expected);
    let hours = group(
        "t.a",
        &events(&selects()),
        0,
        &json!([{"length": 6, "timeUnit": 0}]),
    );
    assert_eq!(scanned(&hours).1, Some(range("2024-02-08", "2024-02-12")));
    let mut unbounded = group("t.a", &events(&selects()), 0, &days_3());
    unbounded["aggregations"][0]
        .as_object_mut()
        .unwrap()
        .remove("windows");
    assert_eq!(
        scanned(&unbounded).1,
        Some(range("2024-01-01", "2024-02-12"))
    );
    let mut bounded = temporal.clone();
    bounded["sources"][0]["events"]["query"]["startPartition"] = json!("2024-02-08");
    bounded["sources"][0]["events"]["query"]["endPartition"] = json!("2024-02-11");
    assert_eq!(scanned(&bounded).1, Some(range("2024-02-08", "2024-02-11")));
    bounded["sources"][0]["events"]["query"]["startPartition"] = json!("2024-02-11");
    bounded["sources"][0]["events"]["query"]["endPartition"] = json!("2024-02-11");
    assert_eq!(scanned(&bounded).1, Some(range("2024-02-11", "2024-02-11")));
    let mut cumulative = temporal;
    cumulative["sources"][0]["events"]["isCumulative"] = json!(1);
    assert_eq!(
        scanned(&cumulative).1,
        Some(range("2024-03-01", "2024-03-01"))
    );
}

/// Derivations: `*` keeps what is not renamed, left columns win, unknown names are refused with their path.
#[test]
fn derivations() {
    let part = json!([{"groupBy": group("t.a", &events(&selects()), 0, &days_3())}]);
    let names = |derivations: Value| -> Vec<String> {
        let mut tree = join_of(&part);
        tree["derivations"] = derivations;
        let join = resolved(&tree).unwrap_or_else(|found| panic!("{}", found[0]));
        join.output
            .iter()
            .map(|(field, _)| field.name.clone())
            .collect()
    };
    let star = json!([{"name": "*", "expression": "*"}, {"name": "twice", "expression": "t_a_amount_sum_3d * 2"}]);
    assert_eq!(
        names(star),
        ["user", "item", "ts", "t_a_amount_sum_3d", "twice", "ds"]
    );
    let renamed =
        json!([{"name": "*", "expression": "*"}, {"name": "s", "expression": "t_a_amount_sum_3d"}]);
    assert_eq!(names(renamed), ["user", "item", "ts", "s", "ds"]);
    let only = json!([{"name": "s", "expression": "t_a_amount_sum_3d + item"}]);
    assert_eq!(names(only), ["user", "item", "ts", "s", "ds"]);
    let mut tree = join_of(&part);
    tree["derivations"] =
        json!([{"name": "x", "expression": "nothing + 1"}, {"name": "x", "expression": "item"}]);
    let text = problems(&tree);
    assert_all(&text, &["--> derivations[0].expression"]);
    tree["derivations"] =
        json!([{"name": "x", "expression": "item"}, {"name": "x", "expression": "item"}]);
    assert_all(
        &problems(&tree),
        &["\"x\" is derived twice\n  --> derivations[1].expression"],
    );
}

/// A group-by's own backfill needs a first day, a table and whole days.
#[test]
fn backfills() {
    let backfill = |tree: &Value| match Definition::from_json(tree, Dialect::Airbnb) {
        Ok(Definition::GroupBy(group_by)) => resolve_group_by(&group_by, &catalog()),
        other => panic!("{other:?}"),
    };
    let mut tree = group(
        "t.a",
        &events(&selects()),
        0,
        &json!([{"length": 6, "timeUnit": 0}]),
    );
    tree["metaData"]
        .as_object_mut()
        .unwrap()
        .remove("outputNamespace");
    let found = backfill(&tree).unwrap_err();
    let text = found
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n");
    assert_all(
        &text,
        &[
            "no backfillStartDate",
            "the output namespace is not set",
            "cannot have windows in hours",
        ],
    );
    let mut tree = group("t.a", &events(&selects()), 0, &days_3());
    tree["backfillStartDate"] = json!("2024-02-30");
    assert_all(
        &backfill(&tree).unwrap_err()[0].to_string(),
        &["is not a day", "--> backfillStartDate"],
    );
    tree["backfillStartDate"] = json!("2024-02-03");
    let group = backfill(&tree).unwrap().value;
    assert_eq!(group.table, "out.t_a");
    let columns: Vec<_> = group
        .output
        .iter()
        .map(|(field, _)| field.name.as_str())
        .collect();
    assert_eq!(columns, ["user", "ds", "amount_sum_3d"]);
}

/// The macro of the day scanned is bound once the day is known.
#[test]
fn run_day() {
    let selects = json!({"user": "user", "amount": "amount", "day": "'{{ CHRONON_RUN_DS }}'"});
    let join = resolved(&join_of(
        &json!([{"groupBy": group("t.a", &events(&selects), 1, &days_3())}]),
    ));
    let source = &join.unwrap().parts[0].group.sources[0];
    assert!(source.names_run_day);
    let bound = for_run_day(source, "2024-02-03".parse().unwrap()).unwrap();
    let day = bound
        .columns
        .iter()
        .find(|(field, _)| field.name == "day")
        .unwrap();
    assert_eq!(day.1.as_text(), Some("2024-02-03"));
}

/// Left rows of one partition whose times lie on other days are answered on all of those days.
#[test]
fn midnight_values_follow_times_and_not_partitions() {
    let part = group("t.a", &events(&selects()), 1, &days_3());
    let join = resolved(&join_of(&json!([{ "groupBy": part }]))).unwrap();
    let day = |text: &str| text.parse::<Partition>().unwrap();
    let times = (
        day("2024-02-10").start_millis(),
        day("2024-02-20").start_millis(),
    );
    let only = Some((day("2024-02-15"), day("2024-02-15")));
    let facts = LeftFacts {
        rows: 2,
        times_millis: Some(times),
        days: only,
    };
    let queries = part_query_days(&join.left, &join.parts[0], &facts).unwrap();
    assert_eq!(
        (queries.start, queries.end),
        (day("2024-02-09"), day("2024-02-19"))
    );
}

/// A source partitioned by another column than `ds` has the days of that column.
#[test]
fn days_are_those_of_the_column_named() {
    let columns = schema("user string, amount double, ts bigint, day_key string");
    let days = ["2024-01-05", "2024-01-06"];
    let catalog = catalog().with_table("db.keyed", columns, "day_key", &days);
    let source = json!({"events": {"table": "db.keyed", "isCumulative": 1, "query": {
        "selects": selects(), "timeColumn": "ts", "partitionColumn": "day_key"}}});
    let mut tree = group("t.a", &source, 1, &days_3());
    tree["backfillStartDate"] = json!("2024-01-05");
    let Ok(Definition::GroupBy(group_by)) = Definition::from_json(&tree, Dialect::Airbnb) else {
        panic!("a group-by");
    };
    let group = resolve_group_by(&group_by, &catalog).unwrap().value.group;
    let first = |text: &str| text.parse::<Partition>().unwrap();
    assert_eq!(
        group.sources[0].available,
        Some((first("2024-01-05"), first("2024-01-06")))
    );
    let query = PartitionRange {
        start: first("2024-01-01"),
        end: first("2024-01-02"),
    };
    let scanned = scan_days(&group.sources[0], query, group.max_window).unwrap();
    assert_eq!(scanned.column, "day_key");
    assert_eq!(
        scanned.range.map(|range| range.end),
        Some(first("2024-01-06"))
    );
    assert!(group.rendered.index_of("ds").is_some());
}

fn bootstrapped(parts: &Value) -> Value {
    let mut tree = join_of(&json!([
        {"groupBy": group("t.a", &events(&selects()), 0, &days_3())}
    ]));
    tree["bootstrapParts"] = parts.clone();
    tree["derivations"] = json!([
        {"name": "*", "expression": "*"},
        {"name": "twice", "expression": "t_a_amount_sum_3d * 2"},
    ]);
    tree
}

fn with_boot(columns: &str) -> MemoryCatalog {
    catalog().with_table("db.boot", schema(columns), "ds", &["2024-02-02"])
}

fn resolved_in(tree: &Value, catalog: &MemoryCatalog) -> Result<FeatureJoin, Vec<Diagnostic>> {
    let Ok(Definition::Join(join)) = Definition::from_json(tree, Dialect::Airbnb) else {
        panic!("a join");
    };
    resolve_join(&join, catalog).map(|resolved| resolved.value)
}

/// Everything wrong with bootstrap parts comes at once, each with its path and what to do.
#[test]
fn problems_of_bootstrap_parts() {
    let mut catalog = with_boot(
        "user bigint, t_a_amount_sum_3 double, twice string, schema_hash string, ds string",
    );
    let mut bare = catalog.tables["db.boot"].clone();
    bare.schema = schema("item int, t_a_amount_sum_3d double, ds string");
    catalog.tables.insert("db.bare".into(), bare);
    let tree = bootstrapped(&json!([
        {"table": "db.bot", "keyColumns": ["user"]},
        {"table": "db.boot", "keyColumns": ["user", "ds"]},
        {"table": "db.bare", "keyColumns": ["user", "nobody"]},
        {"table": "db.bare"},
        {"table": "db.bare", "keyColumns": ["item"], "query": {"selects": {"t_a_amount_sum_3d": "1"}}},
    ]));
    let found = resolved_in(&tree, &catalog).unwrap_err();
    let text: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_all(
        &text.join("\n"),
        &[
            "there is no table db.bot\n  --> bootstrapParts[0].table",
            "key \"user\" is string on the left, but bigint in table db.boot",
            "gives \"t_a_amount_sum_3\", which the join does not have\n  --> bootstrapParts[1].query",
            "did you mean \"t_a_amount_sum_3d\"?",
            "gives \"twice\" as string, but it is double",
            "column \"schema_hash\" of table db.boot is reserved",
            "table db.bare has no column \"user\", which is a key",
            "the left has no column \"nobody\", which is a key of bootstrapParts[2]\n  --> bootstrapParts[2].keyColumns",
            "nothing says which left rows its rows belong to\n  --> bootstrapParts[3].keyColumns",
            "table db.bare has no column \"item\", which is a key\n  --> bootstrapParts[4].query",
            "gives \"t_a_amount_sum_3d\" as int, but it is double",
        ],
    );
}

/// A part is not asked for rows whose every dependent field was brought, itself or by its base fields; a log row
/// brought what its schema says, and stale marks are told from known ones.
#[test]
fn covered_rows_do_not_ask() {
    let asks = |columns: &str, properties: &[(&str, &str)]| {
        let mut catalog = with_boot(columns);
        let table = catalog.tables.get_mut("db.boot").unwrap();
        let pairs = properties
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        table.properties = pairs.collect();
        let tree = bootstrapped(&json!([{"table": "db.boot", "keyColumns": ["user"]}]));
        resolved_in(&tree, &catalog).unwrap()
    };
    let base = asks("user string, t_a_amount_sum_3d double, ds string", &[]);
    assert!(base.parts[0].unfilled.is_some());
    assert_eq!(base.known_hashes.len(), 1);
    assert_eq!(base.askers().len(), 2);
    let derived_only = asks("user string, twice double, ds string", &[]);
    assert!(
        derived_only.parts[0].unfilled.is_none(),
        "the sum itself is written too"
    );
    let value = json!({"type": "record", "name": "v", "fields": [
        {"name": "t_a_amount_sum_3d", "type": ["null", "double"]},
        {"name": "ext_contextual_x", "type": ["null", "string"]},
    ]});
    let logged = json!({"join_name": "t.j", "key_schema": "", "value_schema": value.to_string()});
    let properties = [
        ("chronon_log_table", "true"),
        ("schema_hash_abc", &logged.to_string()),
    ];
    let columns =
        "schema_hash string, user string, ts bigint, t_a_amount_sum_3d double, gone int, ds string";
    let log = asks(columns, &properties);
    assert_eq!(log.known_hashes, ["abc"]);
    assert!(log.parts[0].unfilled.is_some());
    let values = &log.bootstrap_sources[0].values;
    let names: Vec<&str> = values
        .iter()
        .map(|index| {
            log.bootstrap_sources[0].rows.columns[*index]
                .0
                .name
                .as_str()
        })
        .collect();
    assert_eq!(
        names,
        ["t_a_amount_sum_3d"],
        "what the join no longer has is left alone"
    );
}

/// A join whose part reads this parent.
fn child_of(name: &str, parent: &Value, selects: &Value) -> Value {
    let source =
        json!({"joinSource": {"join": parent, "query": {"selects": selects, "timeColumn": "ts"}}});
    let mut child = join_of(&json!([{"groupBy": group("t.c", &source, 0, &days_3())}]));
    child["metaData"]["name"] = json!(name);
    child
}

/// A chain is typed over what its parents will write, at any depth, though none of their tables is there.
#[test]
fn chains_resolve_before_they_are_computed() {
    let sum = json!({"user": "user", "amount": "t_a_amount_sum_3d"});
    let parent = join_of(&json!([{"groupBy": group("t.a", &events(&selects()), 0, &days_3())}]));
    let child = child_of("t.child", &parent, &sum);
    let grandchild = child_of(
        "t.grandchild",
        &child,
        &json!({"user": "user", "amount": "t_c_amount_sum_3d"}),
    );
    let found = resolved(&grandchild).unwrap();
    let source = &found.parts[0].group.sources[0];
    assert_eq!(source.table.table, "out.t_child");
    assert_eq!(found.parts[0].group.values[0].data_type, DataType::Double);
    let days = source
        .available
        .map(|(first, last)| (first.to_string(), last.to_string()));
    assert_eq!(days, Some(("2024-02-02".into(), "2024-02-04".into())));
}

/// Problems of parents come with those of the child, under the child's file; a join cannot read itself.
#[test]
fn problems_of_chains() {
    let mut wrong = group(
        "t.a",
        &events(&json!({"user": "usr", "amount": "amount"})),
        0,
        &days_3(),
    );
    wrong["metaData"].as_object_mut().unwrap().remove("team");
    let parent = join_of(&json!([{"groupBy": wrong}]));
    let mut child = child_of(
        "t.child",
        &parent,
        &json!({"user": "user", "amount": "amount"}),
    );
    child["metaData"].as_object_mut().unwrap().remove("team");
    let text = problems(&child);
    let at = "joinParts[0].groupBy.sources[0].joinSource.join.joinParts[0].groupBy";
    assert_all(
        &text,
        &[
            "the join has no team\n  --> metaData.team",
            &format!(
                "unknown column usr; did you mean user?\n  --> {at}.sources[0].events.query.selects.user"
            ),
            &format!("the group-by has no team\n  --> {at}.metaData.team"),
        ],
    );
    assert!(!text.contains("there is no table"), "{text}");
    let good = join_of(&json!([{"groupBy": group("t.a", &events(&selects()), 0, &days_3())}]));
    let sum = json!({"user": "user", "amount": "t_a_amount_sum_3d"});
    let text = problems(&child_of("t.j", &good, &sum));
    assert_all(
        &text,
        &[
            "out.t_j would be computed from itself",
            "out.t_j reads out.t_j",
        ],
    );
    let mut other = good.clone();
    other["rowIds"] = json!(["user"]);
    let mut two = child_of("t.child", &good, &sum);
    two["joinParts"][0]["groupBy"]["sources"] = json!([
        two["joinParts"][0]["groupBy"]["sources"][0],
        child_of("t.child", &other, &sum)["joinParts"][0]["groupBy"]["sources"][0],
    ]);
    assert_all(&problems(&two), &["two different joins write out.t_j"]);
    let mut deep = good;
    for level in 0..17 {
        let column = if level == 0 {
            "t_a_amount_sum_3d"
        } else {
            "t_c_amount_sum_3d"
        };
        deep = child_of(
            &format!("t.deep{level}"),
            &deep,
            &json!({"user": "user", "amount": column}),
        );
    }
    assert_all(&problems(&deep), &["more than 16 joins are chained"]);
}

fn labelled(labels: &Value, start: &Value, end: &Value) -> String {
    let mut tree = join_of(&json!([{"groupBy": group("t.a", &events(&selects()), 0, &days_3())}]));
    tree["labelPart"] = json!({"labels": labels, "leftStartOffset": start, "leftEndOffset": end});
    let Ok(Definition::Join(join)) = Definition::from_json(&tree, Dialect::Airbnb) else {
        panic!("a join");
    };
    let problems = match resolve_labels(&join, &catalog()) {
        Ok(resolved) => resolved.warnings,
        Err(problems) => problems,
    };
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    texts.join("\n")
}

/// Everything wrong with labels comes at once: offsets, groups, windows, tables.
#[test]
fn problems_of_labels() {
    let hours = json!([{"length": 3, "timeUnit": 0}]);
    let two = json!([{"length": 3, "timeUnit": 1}, {"length": 1, "timeUnit": 1}]);
    let mut several = group("t.l2", &events(&selects()), 0, &days_3());
    several["aggregations"] = json!([several["aggregations"][0], several["aggregations"][0]]);
    let mut bare = group("t.l3", &events(&selects()), 0, &days_3());
    bare.as_object_mut().unwrap().remove("aggregations");
    let text = labelled(
        &json!([
            {"groupBy": group("t.l0", &events(&selects()), 0, &hours)},
            {"groupBy": group("t.l1", &events(&selects()), 0, &two)},
            {"groupBy": several},
            {"groupBy": bare},
            {"groupBy": group("t.a", &events(&selects()), 0, &days_3())},
        ]),
        &json!(2),
        &json!(3),
    );
    assert_all(
        &text,
        &[
            "left rows would begin 2 days and end 3 days before the label: the end comes first\n  \
             --> labelPart.leftStartOffset",
            "the window of a label must be in days\n  --> labelPart.labels[0].groupBy.aggregations[0].windows",
            "a label needs exactly one window\n  --> labelPart.labels[1].groupBy.aggregations[0].windows",
            "a label is one aggregation, but \"amount\" is a second",
            "a label without aggregations must be of entities\n  --> labelPart.labels[3].groupBy.sources",
        ],
    );
    let same = json!([{"groupBy": group("t.a", &events(&selects()), 0, &days_3())}]);
    assert_all(
        &labelled(&same, &json!(3), &json!(3)),
        &["its table out.t_j_t_a is also that of a part of the join\n  --> labelPart.labels[0]"],
    );
    let good = json!([{"groupBy": group("t.l", &events(&selects()), 0, &days_3())}]);
    assert_all(
        &labelled(&good, &json!(0), &json!(-1)),
        &[
            "an offset of 0 days is after the label's own day\n  --> labelPart.leftStartOffset",
            "an offset of -1 days is after the label's own day\n  --> labelPart.leftEndOffset",
        ],
    );
    assert_all(
        &labelled(&good, &json!(5), &json!(3)),
        &["warning: the label looks back 3 days, but left rows are not of the day it begins on"],
    );
    assert_eq!(labelled(&good, &json!(3), &json!(3)), "");
    let Ok(Definition::Join(none)) = Definition::from_json(&join_of(&json!([])), Dialect::Airbnb)
    else {
        panic!("a join");
    };
    let found = resolve_labels(&none, &catalog()).unwrap_err();
    assert_all(
        &found[0].to_string(),
        &["the join has no labels\n  --> labelPart"],
    );
}
