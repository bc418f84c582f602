//! No definition makes the planner panic: mutated real definitions resolve and lower to a plan that keeps its promises,
//! or are refused with at least one problem.

use proptest::prelude::*;
use serde_json::{Value, json};
use unskewed_planner::definition::{Definition, Dialect};
use unskewed_planner::diagnostic::any_error;

use crate::plan_of;
use crate::support::{Case, cases};

/// Texts that stand somewhere in real definitions, good and bad ones.
const TEXTS: [&str; 30] = [
    "user",
    "user",
    "ts",
    "ds",
    "amount",
    "item",
    "nothing",
    "",
    "`",
    "a b",
    "*",
    "is_before",
    "mutation_ts",
    "amount + 1",
    "explode(array(1, 2))",
    "count(1)",
    "user = 'x'",
    "null",
    "'{{ CHRONON_RUN_DS }}'",
    "2024-02-28",
    "2024-13-01",
    "src.events",
    "src.events/ds=1",
    "src.events/oops",
    "src.queries",
    "cast(ts as date)",
    "named_struct('a', 1)",
    "contextual",
    "alpha_g_v1_amount_sum_1d",
    "2147483647",
];

/// Changes one thing somewhere in a tree; most often a leaf, to another of its kind.
fn mutate(tree: &mut Value, steps: &[u8], choice: u8) {
    let (step, rest) = steps
        .split_first()
        .map_or((choice, steps), |(step, rest)| (*step, rest));
    match tree {
        Value::Object(fields) if !fields.is_empty() => {
            let index = usize::from(step) % fields.len();
            let name = fields.keys().nth(index).cloned().unwrap();
            let text = TEXTS[usize::from(choice) % TEXTS.len()];
            let derived =
                json!([{"name": "*", "expression": "*"}, {"name": text, "expression": "ds"}]);
            match step {
                0..8 => drop(fields.remove(&name)),
                8 => drop(fields.insert("derivations".into(), derived)),
                9 => drop(fields.insert("wheres".into(), json!([text]))),
                10 => drop(fields.insert("keyMapping".into(), json!({text: "user"}))),
                11 => drop(fields.insert("skewKeys".into(), json!({text: ["null", "'u1'"]}))),
                12 => drop(fields.insert("partitionColumn".into(), json!(text))),
                13 => drop(fields.insert("isCumulative".into(), json!(1))),
                14 => drop(fields.insert("topic".into(), json!(text))),
                15 => drop(fields.insert("buckets".into(), json!(["user", text]))),
                16 => drop(fields.insert("elementWise".into(), json!(1))),
                17 => drop(fields.insert(text.into(), json!(text))),
                _ => mutate(&mut fields[&name], rest, choice),
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let index = usize::from(step) % items.len();
            if step % 16 == 0 {
                let copy = items[index].clone();
                items.push(copy);
            } else {
                mutate(&mut items[index], rest, choice);
            }
        }
        Value::String(text) => *text = TEXTS[usize::from(choice) % TEXTS.len()].into(),
        Value::Number(number) => {
            let value = (i64::from(choice) % 22 - 1).min(i64::from(choice % 5));
            *number = value.into();
        }
        other => *other = json!(choice.is_multiple_of(2)),
    }
}

fn try_plan(case: &Case, tree: &Value) {
    match Definition::from_json(tree, Dialect::Airbnb) {
        Err(problems) => assert!(any_error(&problems)),
        Ok(definition) => match plan_of(case, &definition) {
            Err(problems) => assert!(any_error(&problems)),
            Ok(plan) => assert_eq!(plan.verify(), Ok(()), "{tree}"),
        },
    }
}

/// Up to three mutations of a recorded definition at a time.
#[test]
fn mutated_definitions_are_planned_or_refused() {
    let all = cases(&["gb_", "join_"]);
    let count = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(400);
    let mutation = (prop::collection::vec(any::<u8>(), 12), any::<u8>());
    let mutations = prop::collection::vec(mutation, 1..4);
    let one = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        mutations,
    );
    let config = ProptestConfig {
        cases: count,
        failure_persistence: None,
        ..Default::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&one, |(case, file, mutations)| {
        let case = &all[case.index(all.len())];
        let (_, definition) = &case.definitions[file.index(case.definitions.len())];
        let mut tree = definition.to_json();
        for (steps, choice) in &mutations {
            mutate(&mut tree, steps, *choice);
        }
        try_plan(case, &tree);
        Ok(())
    });
    outcome.unwrap();
}

/// A contextual key of another type than the left's column is refused, and not read as something else.
#[test]
fn contextual_keys_have_the_types_of_the_left() {
    let all = cases(&["join_external_contextual"]);
    let trees = all[0]
        .definitions
        .iter()
        .map(|(_, definition)| definition.to_json());
    let with_externals = |tree: &Value| tree["onlineExternalParts"].is_array();
    let mut tree = trees.into_iter().find(with_externals).unwrap();
    let parts = tree["onlineExternalParts"].as_array_mut().unwrap();
    let contextual = parts
        .iter_mut()
        .find(|part| part["source"]["metadata"]["name"] == "contextual");
    let source = &mut contextual.unwrap()["source"];
    for schema in ["keySchema", "valueSchema"] {
        for key in source[schema]["params"].as_array_mut().unwrap() {
            // BOOLEAN: no left column of the case is one.
            key["dataType"] = json!({"kind": 0});
        }
    }
    let definition = Definition::from_json(&tree, Dialect::Airbnb).unwrap();
    let problems = plan_of(&all[0], &definition).unwrap_err();
    let told = problems
        .iter()
        .any(|problem| problem.to_string().contains("is declared"));
    assert!(told, "{problems:?}");
}
