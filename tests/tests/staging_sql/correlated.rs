//! Relations that read columns of another, against their slow twin: the same relation once for each row of the other,
//! with the row's values written into it.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{Answer, answer, tables};

/// Where rows come from.
const SOURCES: [&str; 4] = [
    "events e",
    "(SELECT * FROM events WHERE qty > 0) e",
    "(SELECT event_id, user_id, kind, qty FROM events WHERE qty < $id) e",
    "events e LEFT JOIN items i ON e.item = i.item",
];
const FILTERS: [&str; 6] = [
    "e.user_id = $id",
    "e.user_id <=> $id",
    "e.user_id < $id",
    "e.user_id = $id AND e.qty > $id - 4",
    "e.user_id + 1 = $id OR e.qty = $id",
    "coalesce(e.qty, 0) IN ($id, 1)",
];
/// What is made of them; `$from` is source and filter.
const SHAPES: [&str; 8] = [
    "SELECT e.event_id AS a, e.qty AS b FROM $from",
    "SELECT e.event_id + $id AS a, $id AS b FROM $from",
    "SELECT count(*) AS a, sum(e.qty) AS b FROM $from",
    "SELECT max(e.event_id) - $id AS a, count(e.qty) AS b FROM $from HAVING count(*) > 1",
    "SELECT count(*) AS a, max(e.qty) AS b FROM $from GROUP BY e.kind",
    "SELECT DISTINCT e.qty AS a, e.kind AS b FROM $from",
    "SELECT g.a, g.b FROM (SELECT e.kind AS k, count(*) AS a, min(e.qty) AS b FROM $from GROUP BY e.kind) g \
     WHERE g.a > 1 OR $id > 4",
    "SELECT a, b FROM (SELECT e.event_id AS a, e.qty AS b FROM $from UNION ALL SELECT $id, -1) x",
];

fn sorted(answer: &Answer) -> Vec<String> {
    let mut rows: Vec<String> = answer.rows.iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}

/// For random relations, lateral joins give what evaluating them row by row gives.
#[test]
fn lateral_relations_equal_those_of_each_row() {
    let tables = tables();
    let ids = (1..=7).map(|id| format!("CAST({id} AS BIGINT)"));
    let ids: Vec<String> = ids.chain(["CAST(null AS BIGINT)".to_owned()]).collect();
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let config = Config {
        cases: 48,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, seed);
    let pieces = (
        prop::sample::select(&SOURCES[..]),
        prop::sample::select(&FILTERS[..]),
        prop::sample::select(&SHAPES[..]),
    );
    let run = runner.run(&pieces, |(source, filter, shape)| {
        let inner = shape.replace("$from", &format!("{source} WHERE {filter}"));
        let lateral = inner.replace("$id", "u.user_id");
        let text = format!("SELECT u.user_id, x.* FROM users u, LATERAL ({lateral}) x");
        let found = answer(&tables, &text, None).map_err(TestCaseError::fail)?;
        let mut wanted = Vec::new();
        for id in &ids {
            let inner = inner.replace("$id", id);
            let text = format!("SELECT {id}, x.* FROM ({inner}) x");
            let rows = answer(&tables, &text, None).map_err(TestCaseError::fail)?;
            wanted.extend(sorted(&rows));
        }
        wanted.sort();
        prop_assert_eq!(sorted(&found), wanted, "{}", text);
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}
