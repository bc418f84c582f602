//! Plans as text: each recorded definition resolves against its recorded tables, and a chosen set of plans is held
//! word for word in `held/`. `UPDATE=1 cargo test -p unskewed-planner --test plans` writes them anew.

#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod fuzz;
mod outlines;
mod streams;
mod support;

use std::path::PathBuf;

use support::{Case, cases, days};
use unskewed_planner::catalog::MemoryCatalog;
use unskewed_planner::definition::{Definition, Dialect};
use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::explain;
use unskewed_planner::expr::parse_schema;
use unskewed_planner::logical::FeatureJoin;
use unskewed_planner::lower::{JoinRun, LeftFacts, LeftOrigin, PartMode, Request, lower};
use unskewed_planner::naming::TableSuffix;
use unskewed_planner::physical::{DataflowPlan, Operator};
use unskewed_planner::resolve::{resolve_group_by, resolve_join};
use unskewed_planner::schema::{DataType, Schema};
use unskewed_planner::time::Partition;

/// Cases whose group-bys or joins are refused, and a piece of the reason.
const REFUSED: &[(&str, &str)] = &[
    ("gb_type_errors", "aggregations"),
    (
        "join_key_types-compiled/joins/alpha/j.v2",
        "\"ki\" is int on the left",
    ),
    ("gb_snapshot_elementwise", "computed twice"),
];

fn facts(join: &FeatureJoin, rows: u64) -> LeftFacts {
    let (first, last) = join.left.rows.available.unwrap();
    LeftFacts {
        rows,
        times_millis: Some((first.start_millis() + 1, last.end_millis() - 1)),
        days: Some((first, last)),
    }
}

fn fused<'a>(join: &'a FeatureJoin, rows: u64, write: bool) -> Request<'a> {
    let (start, end) = join.left.rows.available.unwrap();
    Request::Join(JoinRun {
        join,
        days: days(start, end),
        left: LeftOrigin::Source,
        facts: vec![facts(join, rows); join.askers().len()],
        write_left: write,
        parts: vec![PartMode::Computed { write }; join.parts.len()],
        write_output: true,
        unique_parts: false,
    })
}

fn plan_of(case: &Case, definition: &Definition) -> Result<DataflowPlan, Vec<Diagnostic>> {
    match definition {
        Definition::Join(join) => {
            let join = resolve_join(join, &case.catalog)?.value;
            lower(&[fused(&join, 100, true)])
        }
        Definition::GroupBy(group_by) => {
            let group = resolve_group_by(group_by, &case.catalog)?.value;
            let days = days(group.start, group.start.plus_days(4));
            let output = Request::GroupBy {
                group: &group,
                days,
            };
            if group_by.is_incremental != Some(true) {
                return lower(&[output]);
            }
            let table = TableSuffix::DailyInc.table(&group_by.meta_data).unwrap();
            let states = Request::DailyStates {
                group: &group,
                table: &table,
                days,
            };
            lower(&[output, states])
        }
        Definition::StagingQuery(_) => Ok(DataflowPlan::default()),
    }
}

fn text_of(problems: &[Diagnostic]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

fn check(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/plans/held")
        .join(format!("{name}.plan"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        held == text,
        "{name}.plan differs; UPDATE=1 writes it anew. It now is:\n{text}"
    );
}

/// Every recorded definition of a group-by with a backfill or of a join resolves and lowers, or is refused for the
/// reason expected; and every plan is well formed.
#[test]
fn recorded_definitions_resolve() {
    let mut planned = 0;
    for case in cases(&["gb_", "join_"]) {
        for (file, definition) in &case.definitions {
            let no_backfill = matches!(definition,
                Definition::GroupBy(group_by) if group_by.backfill_start_date.is_none());
            if no_backfill || case.reads_other_output(definition) {
                continue;
            }
            let name = format!("{}-{file}", case.name);
            let refused = REFUSED.iter().find(|(prefix, _)| name.starts_with(prefix));
            match (plan_of(&case, definition), refused) {
                (Ok(plan), _) => {
                    check_well_formed(&name, &plan);
                    planned += 1;
                }
                (Err(found), Some((_, reason))) => {
                    let text = text_of(&found);
                    assert!(
                        text.contains(reason),
                        "{name} is refused otherwise:\n{text}"
                    );
                }
                (Err(found), None) => panic!("{name} is refused:\n{}", text_of(&found)),
            }
        }
    }
    assert!(planned > 48, "only {planned} definitions were planned");
}

/// Columns and types of every table written are those of the recorded tables.
#[test]
fn recorded_tables_have_the_planned_columns() {
    let mut compared = 0;
    for case in cases(&["gb_", "join_"]) {
        // Their tables hold the columns of two definitions.
        if ["join_schema_evolution", "join_bootstrap_log"].contains(&case.name.as_str()) {
            continue;
        }
        for (file, definition) in &case.definitions {
            let Ok(plan) = plan_of(&case, definition) else {
                continue;
            };
            for node in &plan.nodes {
                let Operator::Sink(sink) = &node.operator else {
                    continue;
                };
                let Some(recorded) = case.catalog.tables.get(&sink.table.name) else {
                    continue;
                };
                let sorted = |schema: &Schema| {
                    let mut columns: Vec<String> = schema
                        .fields
                        .iter()
                        .map(|field| format!("{} {}", field.name, field.data_type))
                        .collect();
                    columns.sort();
                    columns
                };
                let name = format!("{} {file}: {}", case.name, sink.table.name);
                assert_eq!(sorted(&node.schema), sorted(&recorded.schema), "{name}");
                compared += 1;
            }
        }
    }
    assert!(compared > 60, "only {compared} tables were compared");
}

/// Inputs stand before users, nothing is idle, and every table is written once.
fn check_well_formed(name: &str, plan: &DataflowPlan) {
    assert_eq!(plan.verify(), Ok(()), "{name}");
    for node in &plan.nodes {
        for input in node.operator.inputs() {
            assert!(input < node.id, "{name}: {:?} reads a later node", node.id);
        }
        let ends = ["sink", "collect", "facts"].contains(&node.operator.name());
        assert!(
            ends || plan.user_count(node.id) > 0,
            "{name}: {:?} has no user",
            node.id
        );
    }
    assert!(explain::dot(plan).starts_with("digraph"));
    assert_eq!(
        explain::json(plan)["nodes"].as_array().unwrap().len(),
        plan.nodes.len()
    );
}

/// Plans of whole jobs, held as text.
#[test]
fn plans_are_as_held() {
    let held = [
        ("join_multi_parts", "j.v1"),
        ("join_snapshot_events", "j.v1"),
        ("join_entities_mutations", "j.v1"),
        ("join_left_entities", "j.v1"),
        ("join_skew_wheres", "j.v1"),
        ("join_derivations", "j.v1"),
        ("gb_entities_no_agg", "g.v1"),
        ("gb_entities_no_agg", "j.v1"),
        ("gb_multi_source", "g.v1"),
        ("gb_select_exprs", "g.v1"),
        ("gb_cumulative", "g.v1"),
        ("gb_is_incremental", "g.v1"),
        ("gb_partition_column_subpart", "g.v2"),
        ("gb_derivations", "g.v1"),
    ];
    for (case_name, file) in held {
        let case = cases(&[case_name])
            .into_iter()
            .find(|case| case.name == case_name)
            .unwrap();
        let found = case
            .definitions
            .iter()
            .find(|(name, _)| name.ends_with(file));
        let plan = plan_of(&case, &found.unwrap().1).unwrap_or_else(|p| panic!("{}", text_of(&p)));
        check(&format!("{case_name}.{file}"), &explain::text(&plan));
    }
}

/// The pieces a job asks for one by one: facts, the left table, a part from the kept left, the join of kept tables.
#[test]
fn pieces_of_a_join() {
    let case = cases(&["join_multi_parts"]).remove(0);
    let Some((_, Definition::Join(join))) = case
        .definitions
        .iter()
        .find(|(name, _)| name.contains("joins"))
    else {
        panic!("a join");
    };
    let join = resolve_join(join, &case.catalog).unwrap().value;
    let (start, end) = join.left.rows.available.unwrap();
    let days = days(start, end);
    let run = |left, parts: Vec<PartMode>, write_left, write_output| {
        let facts = vec![facts(&join, 100_000)];
        Request::Join(JoinRun {
            join: &join,
            days,
            left,
            facts,
            write_left,
            parts,
            write_output,
            unique_parts: false,
        })
    };
    let none = vec![PartMode::Absent; join.parts.len()];
    let mut one = none.clone();
    one[3] = PartMode::Computed { write: true };
    let cached = vec![PartMode::Cached; join.parts.len()];
    let facts_only = Request::LeftFacts {
        join: &join,
        days,
        left: LeftOrigin::Source,
    };
    let unwritten = vec![PartMode::Computed { write: false }; join.parts.len()];
    for (name, request) in [
        ("facts", facts_only),
        ("left", run(LeftOrigin::Source, none, true, false)),
        ("part", run(LeftOrigin::Cached, one, false, false)),
        ("final", run(LeftOrigin::Cached, cached, false, true)),
        ("fused", run(LeftOrigin::Source, unwritten, false, true)),
    ] {
        let plan = lower(&[request]).unwrap();
        check_well_formed(name, &plan);
        check(&format!("join_multi_parts.{name}"), &explain::text(&plan));
    }
}

/// Definitions lowered together read what they have in common once.
#[test]
fn sets_share_arrangements() {
    let case = cases(&["join_multi_parts"]).remove(0);
    let Some((_, Definition::Join(join))) = case
        .definitions
        .iter()
        .find(|(name, _)| name.contains("joins"))
    else {
        panic!("a join");
    };
    let join = resolve_join(join, &case.catalog).unwrap().value;
    let count = |plan: &DataflowPlan, operator: &str| {
        plan.nodes
            .iter()
            .filter(|node| node.operator.name() == operator)
            .count()
    };
    let alone = lower(&[fused(&join, 100_000, false)]).unwrap();
    // Three parts by user over the same days are one arrangement, however the left names the key.
    assert_eq!(count(&alone, "arrange"), 3);
    let mut other = join.clone();
    other.name = "other".into();
    other.tables.output = "feat.other".into();
    let both = lower(&[fused(&join, 100_000, false), fused(&other, 100_000, false)]).unwrap();
    for operator in ["scan", "arrange", "as_of"] {
        assert_eq!(
            count(&both, operator),
            count(&alone, operator),
            "{operator}"
        );
    }
    assert_eq!(count(&both, "sink"), 2);
}

/// Group-bys that differ in how far back they look share scan and arrangement; each input is null on days that only
/// the other reads.
#[test]
fn windows_of_any_length_share_an_arrangement() {
    let part = |name: &str, days: i32, operation: i32| {
        serde_json::json!({"groupBy": {
            "metaData": {"name": name, "team": "t"},
            "sources": [{"events": {"table": "db.events", "query": {
                "selects": {"user": "user", "amount": "amount"}, "timeColumn": "ts"}}}],
            "keyColumns": ["user"], "accuracy": 0,
            "aggregations": [{"inputColumn": "amount", "operation": operation, "argMap": {},
                "windows": [{"length": days, "timeUnit": 1}]}]
        }})
    };
    let text = serde_json::json!({
        "metaData": {"name": "t.j", "team": "t", "outputNamespace": "out"},
        "left": {"events": {"table": "db.left", "query": {
            "selects": {"user": "user"}, "timeColumn": "ts"}}},
        "joinParts": [part("short", 3, 7), part("long", 30, 8), part("again", 30, 0)],
    });
    let Ok(Definition::Join(join)) = Definition::load(&text.to_string(), Dialect::Airbnb) else {
        panic!("a join");
    };
    let schema = |columns: &str| match parse_schema(columns) {
        Ok(DataType::Struct(fields)) => Schema::new(fields),
        other => panic!("{other:?}"),
    };
    let start: Partition = "2024-01-01".parse().unwrap();
    let all: Vec<String> = days(start, start.plus_days(90))
        .iter()
        .map(|d| d.to_string())
        .collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let catalog = MemoryCatalog::default()
        .with_table(
            "db.events",
            schema("user string, amount double, ts bigint, ds string"),
            "ds",
            &all,
        )
        .with_table(
            "db.left",
            schema("user string, ts bigint, ds string"),
            "ds",
            &all[80..],
        );
    let join = resolve_join(&join, &catalog)
        .unwrap_or_else(|p| panic!("{}", text_of(&p)))
        .value;
    let plan = lower(&[fused(&join, 100_000, false)]).unwrap();
    check_well_formed("windows", &plan);
    check("windows_share", &explain::text(&plan));
    let count = |operator: &str| {
        plan.nodes
            .iter()
            .filter(|node| node.operator.name() == operator)
            .count()
    };
    assert_eq!((count("scan"), count("arrange"), count("as_of")), (2, 1, 3));
}
