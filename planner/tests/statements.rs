//! Statements: the columns of recorded queries, what is refused and how, and that no text breaks the parser.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use unskewed_planner::catalog::{Catalog, PartitionValues};
use unskewed_planner::expr::parse_schema;
use unskewed_planner::query;
use unskewed_planner::schema::{DataType, Schema};

/// The tables of `tests/sql/queries`.
struct Tables;

const USERS: &str = "user_id bigint, name string, country string, signup date, tags array<string>, \
                     props map<string,string>";
const EVENTS: &str = "event_id bigint, user_id bigint, kind string, item string, qty int, amount double, ts bigint, \
                      ds string";
const ITEMS: &str = "item string, price decimal(10,2), dims struct<w:int,h:double>";
const T: &str = "rid int, bo boolean, i8 tinyint, i16 smallint, i32 int, i64 bigint, f32 float, f64 double, \
                 dc decimal(10,2), dw decimal(38,18), s string, sj string, d date, tm timestamp, ai array<int>, \
                 msi map<string,int>, st struct<x:int,y:string,z:array<double>>, ds string, ts bigint";

impl Catalog for Tables {
    fn schema(&self, table: &str) -> Option<Schema> {
        let columns = match table {
            "default.users" => USERS,
            "default.events" => EVENTS,
            "default.items" => ITEMS,
            "default.t" => T,
            _ => return None,
        };
        match parse_schema(columns) {
            Ok(DataType::Struct(fields)) => Some(Schema::new(fields)),
            other => panic!("{other:?}"),
        }
    }

    fn partition_columns(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn partitions(&self, _: &str) -> Vec<PartitionValues> {
        Vec::new()
    }

    fn properties(&self, _: &str) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

/// Every recorded query has the columns that Spark gave it, names and types, or is refused as there.
#[test]
fn columns_are_those_of_spark() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/sql/queries");
    let mut differing = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the vendored queries") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|ending| ending != "sql") {
            continue;
        }
        count += 1;
        let text = std::fs::read_to_string(&path).expect("a query");
        let record = std::fs::read_to_string(path.with_extension("jsonl")).expect("a record");
        let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
        let found = query::plan(&text, &Tables).map(|relation| {
            let fields = relation.schema.fields.iter();
            let pairs = fields.map(|f| [f.name.clone(), f.data_type.to_string()]);
            pairs.collect::<Vec<_>>()
        });
        match (found, record.get("columns")) {
            (Ok(found), Some(wanted)) if serde_json::json!(found) == *wanted => {}
            (Err(_), None) => {}
            (Ok(found), wanted) => differing.push(format!("{text}\n  {found:?}\n  {wanted:?}")),
            (Err(error), _) => differing.push(format!("{text}\n  {error}")),
        }
    }
    assert!(count > 50);
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// Problems are told together, each with its place.
#[test]
fn all_problems_at_once() {
    let text = "SELECT nme, user_id + country,\n  frist(name) FROM users";
    let error = query::plan(text, &Tables).expect_err("three problems");
    assert!(error.problems.len() >= 2, "{error}");
    let told = error.to_string();
    assert!(
        told.contains("line 1 column 8: unknown column nme"),
        "{told}"
    );
    assert!(told.contains("line 2 column 3"), "{told}");
    assert!(told.contains("first"), "{told}");
}

/// Conditions reach the tables, and columns that nobody reads are not read.
#[test]
fn conditions_and_columns_reach_the_tables() {
    let text = "SELECT e.kind, count(*) n FROM events e LEFT JOIN users u ON e.user_id = u.user_id \
                WHERE e.ds BETWEEN '2024-01-01' AND '2024-01-02' GROUP BY e.kind HAVING e.kind > 'a'";
    let tree = query::plan(text, &Tables).expect("a query");
    let tree = query::text(&tree);
    let scan = tree
        .lines()
        .find(|line| line.contains("scan default.events"))
        .expect("a scan");
    assert!(
        scan.contains("(user_id, kind, ds)") && scan.contains("ds >=") && scan.contains("kind >"),
        "{tree}"
    );
    assert!(tree.contains("scan default.users (user_id)"), "{tree}");
}

const PIECES: [&str; 66] = [
    "SELECT",
    "FROM",
    "users",
    "events",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "1",
    "'a'",
    "(",
    ")",
    ",",
    "*",
    "JOIN",
    "LEFT",
    "ON",
    "USING",
    "u",
    "e",
    "user_id",
    "u.user_id",
    "kind",
    "qty",
    "count(*)",
    "sum(qty)",
    "max",
    "OVER",
    "PARTITION BY",
    "ROWS",
    "BETWEEN",
    "UNBOUNDED",
    "PRECEDING",
    "AND",
    "CURRENT ROW",
    "UNION",
    "ALL",
    "EXCEPT",
    "INTERSECT",
    "WITH",
    "x",
    "AS",
    "VALUES",
    "LATERAL VIEW",
    "explode(tags)",
    "PIVOT",
    "FOR",
    "IN",
    "UNPIVOT",
    "EXISTS",
    "NOT",
    "CASE",
    "WHEN",
    "END",
    "->",
    "CUBE",
    "GROUPING SETS",
    "FILTER",
    "DISTINCT",
    "NULLS",
    "FIRST",
    "=",
    "+",
    "range(3)",
    "WINDOW",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Any text is planned, or refused within its bounds.
    #[test]
    fn no_text_breaks_the_parser(text in "(SELECT )?.{0,60}") {
        try_text(&text);
    }

    /// Nearly right texts go further.
    #[test]
    fn no_sequence_of_words_breaks_the_binder(
        pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..24)
    ) {
        try_text(&format!("SELECT {}", pieces.join(" ")));
        try_text(&pieces.join(" "));
    }
}

fn try_text(text: &str) {
    match query::plan(text, &Tables) {
        Ok(relation) => assert!(!query::text(&relation).is_empty()),
        Err(error) => {
            assert!(!error.problems.is_empty(), "{text}");
            for problem in &error.problems {
                assert!(problem.span.start <= error.text.len(), "{text}");
            }
        }
    }
}

/// Nesting of every kind ends in a message and not in an overflow.
#[test]
fn depth_is_bounded() {
    let deep = |open: &str, core: &str, close: &str, levels: usize| {
        format!("{}{core}{}", open.repeat(levels), close.repeat(levels))
    };
    let texts = [
        deep("SELECT * FROM (", "SELECT 1", ")", 2_000),
        deep("(", "SELECT 1", ")", 2_000),
        deep("SELECT (", "1", ")", 2_000),
        deep("SELECT EXISTS (", "SELECT 1", ")", 2_000),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(5_000)),
        format!("SELECT * FROM users{}", " CROSS JOIN users".repeat(5_000)),
        format!(
            "SELECT 1 FROM users{}",
            " LATERAL VIEW explode(tags)".repeat(5_000)
        ),
        format!("SELECT {}1", "1 + ".repeat(20_000)),
        format!("SELECT 1 WHERE {}", "(".repeat(20_000)),
    ];
    for text in texts {
        assert!(query::plan(&text, &Tables).is_err(), "{:.60}", text);
    }
}

/// A tree that grows twofold with each common table is refused before it fills the memory.
#[test]
fn growth_is_bounded() {
    let mut text = String::from("WITH t0 AS (SELECT user_id FROM users)");
    for n in 1..40 {
        let last = n - 1;
        text +=
            &format!(", t{n} AS (SELECT a.user_id FROM t{last} a JOIN t{last} b USING (user_id))");
    }
    text += " SELECT * FROM t39";
    let error = query::plan(&text, &Tables).expect_err("too large");
    assert!(error.to_string().contains("too large"), "{error}");
}

/// The type of a column is what its query gives, whatever it is called.
#[test]
fn aggregates_have_types_of_spark() {
    for (text, wanted) in [
        ("sum(qty)", "bigint"),
        ("sum(dc)", "decimal(20,2)"),
        ("avg(dc)", "decimal(14,6)"),
        ("sum(s)", "double"),
        ("avg(i64)", "double"),
        (
            "collect_list(st)",
            "array<struct<x:int,y:string,z:array<double>>>",
        ),
        ("percentile_approx(i8, array(0.1, 0.9))", "array<tinyint>"),
        ("max_by(s, tm)", "string"),
        ("count_if(bo)", "bigint"),
        ("grouping(s)", "refused"),
        ("sum(d)", "refused"),
        ("max(msi)", "refused"),
        ("bit_and(f64)", "refused"),
    ] {
        let text = text.replace("qty", "i32");
        let found = match query::plan(&format!("SELECT {text} FROM t"), &Tables) {
            Ok(relation) => relation.schema.fields[0].data_type.to_string(),
            Err(_) => "refused".into(),
        };
        assert_eq!(found, wanted, "{text}");
    }
    let void = query::plan("SELECT null AS n", &Tables).expect("a query");
    assert_eq!(void.schema.fields[0].data_type, DataType::Null);
}
