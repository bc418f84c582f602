//! What queries mean where the recorded ones do not ask: each a query over constants, and its rows by Spark's rules.

use serde_json::{Value, json};

use super::{answer, plan, tables};

/// Each query with the rows it must give, in order.
fn check(cases: &[(&str, Value)]) {
    let tables = tables();
    for (text, wanted) in cases {
        let found = answer(&tables, text, None).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(json!(found.rows), *wanted, "{text}");
    }
}

/// Each query with the names of its columns.
fn check_names(cases: &[(&str, &[&str])]) {
    let tables = tables();
    for (text, wanted) in cases {
        let found = plan(&tables, text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let names: Vec<&str> = found
            .schema
            .fields
            .iter()
            .map(|f| f.name.as_str())
            .collect();
        assert_eq!(names, *wanted, "{text}");
    }
}

/// Each query with a part of what is said against it.
fn check_refused(cases: &[(&str, &str)]) {
    let tables = tables();
    for (text, part) in cases {
        let error = match answer(&tables, text, None) {
            Err(error) => error,
            Ok(found) => panic!("{text}: gave {:?}", found.rows),
        };
        assert!(error.contains(part), "{text}: {error}");
    }
}

const V: &str =
    "WITH v AS (SELECT * FROM VALUES (1, 'a'), (2, 'b'), (3, null), (null, 'd') AS v(n, s)) ";

/// IN and EXISTS have three truth values, alone in a condition and inside of others.
#[test]
fn subqueries() {
    let v = |text: &str| format!("{V}{text}");
    let texts = [
        v("SELECT n FROM v WHERE n IN (SELECT 1 UNION ALL SELECT null) ORDER BY n"),
        v("SELECT n FROM v WHERE n NOT IN (SELECT 1 UNION ALL SELECT null) ORDER BY n"),
        v("SELECT n FROM v WHERE n NOT IN (SELECT 1) ORDER BY n"),
        v("SELECT n FROM v WHERE n NOT IN (SELECT 1 WHERE false) ORDER BY n"),
        v("SELECT n, n IN (SELECT 1 UNION ALL SELECT null) FROM v ORDER BY n"),
        v("SELECT n FROM v a WHERE EXISTS (SELECT 1 FROM v b WHERE b.n > a.n) ORDER BY n"),
        v("SELECT n FROM v a WHERE NOT EXISTS (SELECT 1 FROM v b WHERE b.n = a.n + 1) ORDER BY n"),
        v(
            "SELECT n FROM v a WHERE n = 3 OR EXISTS (SELECT 1 FROM v b WHERE b.n = a.n + 1) ORDER BY n",
        ),
        v("SELECT n, (SELECT count(*) FROM v b WHERE b.n = a.n AND b.s = 'a') FROM v a ORDER BY n"),
        v("SELECT n, (SELECT max(b.n) FROM v b WHERE b.n < 3) + 1 FROM v a ORDER BY n"),
        v("SELECT (SELECT n FROM v WHERE false)"),
        v("SELECT s FROM v WHERE (n, s) IN (SELECT 1, 'a' UNION ALL SELECT 2, 'x')"),
        v(
            "SELECT count(*) FROM v GROUP BY s HAVING count(*) > (SELECT 0) AND s > (SELECT min(s) FROM v)",
        ),
    ];
    let wanted = [
        json!([[1]]),
        json!([]),
        json!([[2], [3]]),
        json!([[null], [1], [2], [3]]),
        json!([[null, false], [1, true], [2, false], [3, false]]),
        json!([[1], [2]]),
        json!([[null], [3]]),
        json!([[1], [2], [3]]),
        json!([[null, 0], [1, 1], [2, 0], [3, 0]]),
        json!([[null, 3], [1, 3], [2, 3], [3, 3]]),
        json!([[null]]),
        json!([["a"]]),
        json!([[1], [1]]),
    ];
    let cases: Vec<(&str, Value)> = texts.iter().map(String::as_str).zip(wanted).collect();
    check(&cases);
    check_refused(&[
        (
            "SELECT (SELECT * FROM VALUES (1), (2))",
            "more than one row",
        ),
        (
            "SELECT 1 WHERE 1 IN (SELECT 1, 2)",
            "IN compares 1 values with 2 columns",
        ),
        (
            "SELECT (SELECT a FROM VALUES (1) t(a) WHERE a = b) FROM VALUES (1) u(b)",
            "must aggregate",
        ),
    ]);
}

/// Names: of the list before columns or after them, by place, twice.
#[test]
#[expect(clippy::too_many_lines, reason = "a list of cases")]
fn names() {
    check(&[
        ("SELECT 1 AS a, a + 1 AS b", json!([[1, 2]])),
        (
            "SELECT -n AS n FROM VALUES (1), (3), (2) AS t(n) ORDER BY n",
            json!([[-3], [-2], [-1]]),
        ),
        (
            "SELECT n AS k FROM VALUES (1), (3), (2) AS t(n) ORDER BY n DESC",
            json!([[3], [2], [1]]),
        ),
        (
            "SELECT s, count(*) AS n FROM VALUES ('a', 5), ('b', 1), ('a', 2) AS t(s, n) GROUP BY s HAVING n > 1",
            json!([["a", 2]]),
        ),
        (
            "SELECT s FROM VALUES ('a', 5), ('b', 9), ('a', 2) AS t(s, n) GROUP BY s ORDER BY sum(n) DESC",
            json!([["b"], ["a"]]),
        ),
        (
            "SELECT x.y.z FROM (SELECT named_struct('y', named_struct('z', 7)) AS x)",
            json!([[7]]),
        ),
        (
            "SELECT x.* FROM (SELECT named_struct('y', 1, 'z', 7) AS x)",
            json!([[1, 7]]),
        ),
        (
            "SELECT b.* FROM VALUES (1, 2) a(n, m) JOIN VALUES (1, 5) b(n, k) USING (n)",
            json!([[1, 5]]),
        ),
        (
            "SELECT * FROM VALUES (1, 2) a(n, m) FULL JOIN VALUES (3, 5) b(n, k) USING (n) ORDER BY n",
            json!([[1, 2, null], [3, null, 5]]),
        ),
        (
            "SELECT * FROM VALUES (1, 2) a(n, m) NATURAL JOIN VALUES (1, 5), (2, 6) b(n, k)",
            json!([[1, 2, 5]]),
        ),
    ]);
    check_names(&[
        (
            "SELECT 1, 'x', 1.50, null, true",
            &["1", "x", "1.50", "NULL", "true"],
        ),
        (
            "SELECT a.n, a.n + 1, -n, n IS NULL, n = 1 AND n < 2 FROM VALUES (1) a(n)",
            &[
                "n",
                "(n + 1)",
                "(- n)",
                "(n IS NULL)",
                "((n = 1) AND (n < 2))",
            ],
        ),
        (
            "SELECT count(*), count(DISTINCT n), sum(n) FILTER (WHERE n > 0), CAST(n AS \
             BIGINT) FROM VALUES (1) a(n) GROUP BY n",
            &[
                "count(1)",
                "count(DISTINCT n)",
                "sum(n) FILTER (WHERE (n > 0))",
                "n",
            ],
        ),
        (
            "SELECT row_number() OVER (PARTITION BY n ORDER BY n DESC) FROM VALUES (1) a(n)",
            &[
                "row_number() OVER (PARTITION BY n ORDER BY n DESC NULLS LAST ROWS BETWEEN \
                 UNBOUNDED PRECEDING AND CURRENT ROW)",
            ],
        ),
        (
            "SELECT CASE WHEN n = 1 THEN 'a' ELSE 'b' END, n IN (1, 2), transform(array(1), x \
             -> x + 1) FROM VALUES (1) a(n)",
            &[
                "CASE WHEN (n = 1) THEN a ELSE b END",
                "(n IN (1, 2))",
                "transform(array(1), lambdafunction((namedlambdavariable() + 1), namedlambdavariable()))",
            ],
        ),
    ]);
    check_refused(&[
        (
            "SELECT n FROM VALUES (1) a(n), VALUES (1) b(n)",
            "ambiguous",
        ),
        ("SELECT nn, m FROM VALUES (1) a(n)", "unknown column nn"),
        ("SELECT nn, m FROM VALUES (1) a(n)", "unknown column m"),
        ("SELECT c.* FROM VALUES (1) a(n)", "no relation"),
        ("SELECT n FROM VALUES (1) a(n) ORDER BY 2", "no column 2"),
        (
            "SELECT n, m FROM VALUES (1, 2) a(n, m) GROUP BY n",
            "m is neither in GROUP BY",
        ),
        (
            "SELECT sum(sum(n)) FROM VALUES (1) a(n)",
            "has no meaning here",
        ),
        (
            "SELECT n FROM VALUES (1) a(n) WHERE sum(n) > 1",
            "has no meaning here",
        ),
        ("SELECT row_number() FROM VALUES (1) a(n)", "needs OVER"),
        ("SELECT 1 UNION SELECT 1, 2", "same number of columns"),
        ("SELECT array(1) UNION SELECT 1", "column 1 of UNION"),
    ]);
}

/// Joins of every kind, with conditions that are no keys, and nulls.
#[test]
fn joins() {
    let sides =
        "VALUES (1, 1), (2, 5), (null, 7) l(a, x) %% JOIN VALUES (1, 2), (2, 3), (null, 9) r(b, y)";
    let query = |kind: &str, rest: &str| {
        let from = sides.replace("%%", kind);
        format!("SELECT * FROM {from} {rest}")
    };
    let texts = [
        query("INNER", "ON a = b AND x < y ORDER BY a"),
        query("LEFT", "ON a = b AND x < y ORDER BY x"),
        query("RIGHT", "ON a = b AND x < y ORDER BY y"),
        query("FULL", "ON a = b AND x < y ORDER BY x, y"),
        query("LEFT SEMI", "ON a = b AND x < y"),
        query("LEFT ANTI", "ON a = b AND x < y ORDER BY x"),
        query("INNER", "ON a <=> b ORDER BY a"),
        query("LEFT", "ON x > y ORDER BY x, y"),
        query("CROSS", "WHERE a = b AND x + y > 3"),
        query("LEFT", "ON a = b WHERE y IS NULL"),
    ];
    let wanted = [
        json!([[1, 1, 1, 2]]),
        json!([[1, 1, 1, 2], [2, 5, null, null], [null, 7, null, null]]),
        json!([[1, 1, 1, 2], [null, null, 2, 3], [null, null, null, 9]]),
        json!([
            [null, null, 2, 3],
            [null, null, null, 9],
            [1, 1, 1, 2],
            [2, 5, null, null],
            [null, 7, null, null]
        ]),
        json!([[1, 1]]),
        json!([[2, 5], [null, 7]]),
        json!([[null, 7, null, 9], [1, 1, 1, 2], [2, 5, 2, 3]]),
        json!([
            [1, 1, null, null],
            [2, 5, 1, 2],
            [2, 5, 2, 3],
            [null, 7, 1, 2],
            [null, 7, 2, 3]
        ]),
        json!([[2, 5, 2, 3]]),
        json!([[null, 7, null, null]]),
    ];
    let cases: Vec<(&str, Value)> = texts.iter().map(String::as_str).zip(wanted).collect();
    check(&cases);
    check(&[
        (
            "SELECT count(*) FROM VALUES (0.0D), (double('NaN')) l(a) JOIN VALUES (-0.0D), \
             (double('NaN')) r(b) ON a = b",
            json!([[2]]),
        ),
        (
            "SELECT count(*) FROM VALUES (array(1, null)) l(a) JOIN VALUES (array(1, null)), (array(2)) r(b) ON a = b",
            json!([[1]]),
        ),
    ]);
}

/// Groups: sets, cubes, of no rows, of equal floats.
#[test]
fn groups() {
    check(&[
        (
            "SELECT count(*), sum(a) FROM VALUES (1) t(a) WHERE false",
            json!([[0, null]]),
        ),
        (
            "SELECT a, count(*) FROM VALUES (1) t(a) WHERE false GROUP BY a",
            json!([]),
        ),
        (
            "SELECT a, b, sum(c), grouping(a), grouping_id() FROM VALUES (1, 'x', 5), (1, 'y', \
             6), (2, 'x', 7) t(a, b, c) \
             GROUP BY a, b WITH ROLLUP ORDER BY grouping_id(), a, b",
            json!([
                [1, "x", 5, 0, 0],
                [1, "y", 6, 0, 0],
                [2, "x", 7, 0, 0],
                [1, null, 11, 0, 1],
                [2, null, 7, 0, 1],
                [null, null, 18, 1, 3]
            ]),
        ),
        (
            "SELECT a, count(*) FROM VALUES (0.0D), (-0.0D), (double('NaN')), (double('NaN')), \
             (null) t(a) GROUP BY a ORDER BY a",
            json!([[null, 1], [0.0, 2], ["NaN", 2]]),
        ),
        (
            "SELECT count(DISTINCT a, b), sum(DISTINCT a), count(a) FILTER (WHERE b = 'x') \
             FROM VALUES (1, 'x'), (1, 'x'), (1, 'y'), (2, null) t(a, b)",
            json!([[2, 3, 2]]),
        ),
        (
            "SELECT DISTINCT a FROM VALUES (2), (1), (2) t(a) ORDER BY a DESC",
            json!([[2], [1]]),
        ),
        (
            "SELECT sum(a) FROM VALUES (9223372036854775807), (1) t(a)",
            json!([[i64::MIN]]),
        ),
        (
            "SELECT first(a), last(a), first(a, true), min(a), max(a), max_by(a, b), min_by(a, \
             b), mode(b), count_if(a > 1) \
             FROM VALUES (null, 1), (2, 1), (5, 3), (4, 3) t(a, b)",
            json!([[null, 4, 2, 2, 5, 4, 2, 1, 3]]),
        ),
        (
            "SELECT bool_and(a), every(a), some(a), bit_and(b), bit_or(b), bit_xor(b) FROM \
             VALUES (true, 6), (false, 3) t(a, b)",
            json!([[false, false, true, 2, 7, 5]]),
        ),
        (
            "SELECT percentile_cont(0.25) WITHIN GROUP (ORDER BY a), percentile_disc(0.5) \
             WITHIN GROUP (ORDER BY a DESC), \
             median(a), percentile_approx(a, array(0.0, 0.5, 1.0)) FROM VALUES (10), (20), (30), (40) t(a)",
            json!([[17.5, 30.0, 25.0, [10, 20, 40]]]),
        ),
    ]);
}

/// Windows: frames by rows and by value, in both directions, with nulls.
#[test]
fn windows() {
    let t = "FROM VALUES (1, 10), (2, 20), (4, 40), (null, 5) t(a, b) ORDER BY a";
    let texts = [
        format!("SELECT a, sum(b) OVER (ORDER BY a RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING) {t}"),
        format!(
            "SELECT a, sum(b) OVER (ORDER BY a DESC RANGE BETWEEN 2 PRECEDING AND CURRENT ROW) {t}"
        ),
        format!(
            "SELECT a, count(*) OVER (ORDER BY a ROWS BETWEEN 2 FOLLOWING AND 3 FOLLOWING) {t}"
        ),
        format!("SELECT a, sum(CASE WHEN b > 10 THEN b END) OVER (ORDER BY a) {t}"),
        format!(
            "SELECT a, lag(b, 1, 0) OVER w, lead(a) OVER w, ntile(3) OVER w {} WINDOW w AS (ORDER BY a) ORDER BY a",
            t.trim_end_matches(" ORDER BY a")
        ),
        format!("SELECT a, last_value(a) IGNORE NULLS OVER (ORDER BY a DESC) {t}"),
        format!("SELECT a, collect_list(b) OVER (ORDER BY a) {t}"),
        format!("SELECT a, avg(b) OVER () {t}"),
    ];
    let wanted = [
        json!([[null, 5], [1, 30], [2, 30], [4, 40]]),
        json!([[null, 5], [1, 30], [2, 60], [4, 40]]),
        json!([[null, 2], [1, 1], [2, 0], [4, 0]]),
        json!([[null, null], [1, null], [2, 20], [4, 60]]),
        json!([
            [null, 0, 1, 1],
            [1, 5, 2, 1],
            [2, 10, 4, 2],
            [4, 20, null, 3]
        ]),
        json!([[null, 1], [1, 1], [2, 2], [4, 4]]),
        json!([
            [null, [5]],
            [1, [5, 10]],
            [2, [5, 10, 20]],
            [4, [5, 10, 20, 40]]
        ]),
        json!([[null, 18.75], [1, 18.75], [2, 18.75], [4, 18.75]]),
    ];
    let cases: Vec<(&str, Value)> = texts.iter().map(String::as_str).zip(wanted).collect();
    check(&cases);
    check(&[(
        "SELECT d, count(*) OVER (ORDER BY d RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) \
         FROM VALUES (DATE'2024-01-01'), (DATE'2024-01-02'), (DATE'2024-01-04') t(d) ORDER BY d",
        json!([[19723, 1], [19724, 2], [19726, 1]]),
    )]);
}

/// A left join with one generator under projections leaves rows out where it makes none, unless ON or anything else
/// stands in between. Answers of Spark 3.5.
#[test]
fn lateral_generators() {
    let one = json!([[1, 1], [1, 2]]);
    let some = json!([[1, 1], [1, 2], [2, null], [3, null]]);
    let kept = json!([[1, 2], [2, null], [3, null]]);
    let cases = [
        ("explode(a) e(x)", &one),
        ("explode(a) e(x) ON true", &some),
        ("(SELECT explode(a) AS x) e", &one),
        ("(SELECT explode(a) AS x) e ON true", &some),
        ("(SELECT explode(a) AS x) e ON x > 1", &kept),
        ("(SELECT y AS x FROM (SELECT explode(a) AS y)) e", &one),
        (
            "(WITH c AS (SELECT explode(a) AS x) SELECT x FROM c) e",
            &one,
        ),
        ("(SELECT z.x FROM explode(a) z(x)) e", &one),
        ("(SELECT explode_outer(a) AS x) e", &some),
        (
            "(SELECT x FROM (SELECT explode(a) AS x) WHERE x > 1) e",
            &kept,
        ),
        ("(SELECT explode(a) AS x WHERE 1 = 1) e", &some),
        ("(SELECT DISTINCT explode(a) AS x) e", &some),
        (
            "(SELECT max(x) AS x FROM (SELECT explode(a) AS x) GROUP BY x) e",
            &some,
        ),
        (
            "(SELECT explode(array(y)) AS x FROM (SELECT explode(a) AS y)) e",
            &some,
        ),
    ];
    for (right, wanted) in cases {
        let table = "VALUES (1, array(1, 2)), (2, array()), (3, null) t(k, a)";
        let text = format!("SELECT k, x FROM {table} LEFT JOIN LATERAL {right} ORDER BY k, x");
        check(&[(text.as_str(), wanted.clone())]);
    }
}

/// Generators, set operations, pivots.
#[test]
fn shapes() {
    check(&[
        (
            "SELECT n, pos, x FROM VALUES (1, array('a', 'b')), (2, null) t(n, l) LATERAL VIEW \
             OUTER posexplode(l) p AS pos, x ORDER BY n, pos",
            json!([[1, 0, "a"], [1, 1, "b"], [2, null, null]]),
        ),
        ("SELECT explode(array(1, 2)) AS e", json!([[1], [2]])),
        (
            "SELECT k, explode(map('a', n)) AS (x, y) FROM VALUES (1, 2) t(k, n)",
            json!([[1, "a", 2]]),
        ),
        (
            r#"SELECT json_tuple('{"a":1,"b":[1,{}],"a":"x","a":null,"it''s":2.0} tail', 'a', 'b', 'c', "it's")"#,
            json!([["x", "[1,{}]", null, null]]),
        ),
        (
            "SELECT n, x FROM VALUES ('{\"a\": 1}', 'a'), ('[1]', 'a'), ('{\"a\"', 'a') t(n, k) \
             LATERAL VIEW json_tuple(n, k) j AS x",
            json!([["{\"a\": 1}", "1"], ["[1]", null], ["{\"a\"", null]]),
        ),
        ("SELECT * FROM explode(array(3, 4))", json!([[3], [4]])),
        (
            "SELECT inline(array(struct(1 AS a, 'x' AS b)))",
            json!([[1, "x"]]),
        ),
        (
            "SELECT stack(2, 1, 'a', 2, 'b')",
            json!([[1, "a"], [2, "b"]]),
        ),
        ("SELECT id FROM range(5, 1, -2)", json!([[5], [3]])),
        (
            "SELECT a FROM VALUES (1), (1), (2) t(a) INTERSECT ALL SELECT a FROM VALUES (1), (1), (1) t(a)",
            json!([[1], [1]]),
        ),
        (
            "(SELECT 1 AS a UNION SELECT 1 UNION ALL SELECT null) EXCEPT SELECT 2 ORDER BY a",
            json!([[null], [1]]),
        ),
        ("SELECT 1 AS a MINUS SELECT 1", json!([])),
        ("SELECT 1 UNION ALL SELECT 2 LIMIT 1", json!([[1]])),
        (
            "SELECT * FROM (SELECT a, b, c FROM VALUES ('x', 1, 5), ('y', 1, 7), ('x', 2, 9) t(a, b, c)) \
             PIVOT (sum(c) FOR a IN ('x', 'y' AS why, 'z')) ORDER BY b",
            json!([[1, 5, 7, null], [2, 9, null, null]]),
        ),
        (
            "SELECT * FROM VALUES (1, 5, null) t(id, a, b) UNPIVOT INCLUDE NULLS (v FOR k IN (a AS first, b))",
            json!([[1, "first", 5], [1, "b", null]]),
        ),
        (
            "FROM VALUES (1), (2) t(n) SELECT n * 2 AS d WHERE n > 1",
            json!([[4]]),
        ),
        (
            "SELECT * FROM VALUES (3), (null), (1) t(n) ORDER BY n DESC NULLS FIRST LIMIT 2",
            json!([[null], [3]]),
        ),
    ]);
    check_refused(&[
        (
            "SELECT 1 FROM users TABLESAMPLE (10 PERCENT)",
            "TABLESAMPLE",
        ),
        ("INSERT INTO t SELECT 1", "INSERT is refused"),
        ("DROP TABLE users", "DROP is refused"),
        ("SELECT 1 QUALIFY 1", "QUALIFY"),
        ("SELECT 1 FROM", "expected a name"),
        ("SELECT * FROM a.b.c", "db.table"),
        ("SELECT now()", "another value on every run"),
    ]);
}

/// A decimal sum on its way: that of a group must stay within 38 digits, that of all rows or of a window may leave
/// them and come back. Answers are those of Spark 3.5.3.
#[test]
fn decimal_sums_on_their_way() {
    const ROWS: &str = "WITH t AS (SELECT k, CAST(s AS DECIMAL(38, 0)) d FROM VALUES \
        (1, '99999999999999999999999999999999999999'), (1, '5'), \
        (1, '-99999999999999999999999999999999999999') AS v(k, s)) ";
    let with = |rest: &str| format!("{ROWS}{rest}");
    let texts = [
        (with("SELECT sum(d) FROM t"), json!([["5"]])),
        (with("SELECT avg(d) FROM t"), json!([["1.6667"]])),
        (
            with("SELECT k, sum(d) FROM t GROUP BY k"),
            json!([[1, null]]),
        ),
        (
            with("SELECT k, avg(d) FROM t GROUP BY k"),
            json!([[1, null]]),
        ),
        (
            with("SELECT DISTINCT sum(d) OVER (PARTITION BY k) FROM t"),
            json!([["5"]]),
        ),
        (
            with("SELECT DISTINCT avg(d) OVER (PARTITION BY k) FROM t"),
            json!([["1.6667"]]),
        ),
    ];
    let cases: Vec<(&str, Value)> = texts
        .iter()
        .map(|(text, rows)| (text.as_str(), rows.clone()))
        .collect();
    check(&cases);
}
