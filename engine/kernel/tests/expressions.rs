//! Random expressions over random rows: a batch gives what its rows give one by one, and nothing panics.
//!
//! Evaluating row by row is the slow twin: no column is longer than one value, so no selection of rows, no flattening of
//! lists and no constant folding can go wrong in it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_select::concat::concat;
use unskewed_kernel::eval::{Program, RowGenerator};
use unskewed_planner::expr::{Expr, Scope, Selected, bind, bind_select, parse};
use unskewed_planner::schema::Schema;

#[path = "spark_sql/codec.rs"]
mod codec;

fn table() -> (Schema, RecordBatch) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sql/table.json");
    let text = std::fs::read_to_string(path).expect("the vendored table");
    codec::table(&serde_json::from_str(&text).expect("a table"))
}

/// A fixed sequence of numbers for a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const LEAVES: [&str; 44] = [
    "bo",
    "i8",
    "i16",
    "i32",
    "j32",
    "i64",
    "f32",
    "f64",
    "dc",
    "dw",
    "s",
    "su",
    "sn",
    "sb",
    "sd",
    "d",
    "tm",
    "ai",
    "astr",
    "af",
    "ars",
    "msi",
    "msd",
    "st",
    "NULL",
    "0",
    "-1",
    "127Y",
    "1.5",
    "2.50BD",
    "1e10",
    "'a'",
    "'2024-02-29'",
    "''",
    "TRUE",
    "DATE'2024-02-29'",
    "TIMESTAMP'2024-02-29 01:02:03.4'",
    "INTERVAL 1 DAY",
    "INTERVAL '1-2' YEAR TO MONTH",
    "X'1FFF'",
    "st.z",
    "ars.b",
    "msi['a']",
    "ai[1]",
];

/// Shapes with `?` for an operand.
const SHAPES: [&str; 62] = [
    "(? + ?)",
    "(? - ?)",
    "(? * ?)",
    "(? / ?)",
    "(? % ?)",
    "(? DIV ?)",
    "pmod(?, ?)",
    "(-?)",
    "(? = ?)",
    "(? <=> ?)",
    "(? < ?)",
    "(? >= ?)",
    "(? AND ?)",
    "(? OR ?)",
    "(NOT ?)",
    "(? IN (?, ?))",
    "(? BETWEEN ? AND ?)",
    "CASE WHEN ? THEN ? ELSE ? END",
    "IF(?, ?, ?)",
    "coalesce(?, ?)",
    "nullif(?, ?)",
    "greatest(?, ?)",
    "least(?, ?)",
    "CAST(? AS string)",
    "CAST(? AS int)",
    "CAST(? AS tinyint)",
    "CAST(? AS double)",
    "CAST(? AS decimal(10,2))",
    "CAST(? AS date)",
    "CAST(? AS timestamp)",
    "CAST(? AS boolean)",
    "TRY_CAST(? AS int)",
    "array(?, ?)",
    "map(?, ?)",
    "struct(?, ?)",
    "size(?)",
    "?[0]",
    "element_at(?, 1)",
    "array_contains(?, ?)",
    "array_distinct(?)",
    "array_union(?, ?)",
    "sort_array(?)",
    "array_max(?)",
    "concat(?, ?)",
    "transform(?, x -> (x = ?))",
    "transform(?, x -> coalesce(x, ?))",
    "filter(?, x -> x > ?)",
    "exists(?, x -> x IS NULL OR x = ?)",
    "aggregate(?, 0, (a, x) -> a + coalesce(i32, 1))",
    "zip_with(?, ?, (x, y) -> (x, y))",
    "transform_values(?, (k, v) -> v = ?)",
    "map_filter(?, (k, v) -> v > ?)",
    "map_keys(?)",
    "map_entries(?)",
    "arrays_zip(?, ?)",
    "slice(?, 1, 2)",
    "array_join(?, '-')",
    "array_sort(?, (a, b) -> CASE WHEN a < b THEN 1 ELSE 0 END)",
    "(? IS NULL)",
    "upper(?)",
    "array_except(?, ?)",
    "flatten(array(?, ?))",
];

fn expression(random: &mut Random, depth: usize) -> String {
    if depth == 0 || random.below(4) == 0 {
        return random.pick(&LEAVES).to_owned();
    }
    let mut text = String::new();
    for part in random.pick(&SHAPES).split_inclusive('?') {
        match part.strip_suffix('?') {
            Some(before) => {
                text.push_str(before);
                text.push_str(&expression(random, depth - 1));
            }
            None => text.push_str(part),
        }
    }
    text
}

fn row_by_row(program: &Program, batch: &RecordBatch) -> Result<ArrayRef, usize> {
    let mut parts = Vec::new();
    for row in 0..batch.num_rows() {
        parts.push(program.evaluate(&batch.slice(row, 1)).map_err(|_| row)?);
    }
    let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
    Ok(concat(&parts).expect("parts of one type"))
}

fn compare(text: &str, expr: &Expr, batch: &RecordBatch) {
    let program = Program::new(expr).expect("every function has an evaluator");
    let whole = program.evaluate(batch);
    let rows = row_by_row(&program, batch);
    match (whole, rows) {
        (Ok(whole), Ok(rows)) => {
            assert_eq!(*whole.data_type(), expr.data_type.to_arrow(), "{text}");
            for row in 0..batch.num_rows() {
                let (a, b) = (
                    codec::encode(&whole, row, &expr.data_type),
                    codec::encode(&rows, row, &expr.data_type),
                );
                assert_eq!(a.to_string(), b.to_string(), "row {row} of {text}");
            }
        }
        (Err(_), Err(_)) => {}
        (Ok(_), Err(row)) => panic!("{text}: only row {row} by itself fails"),
        (Err(error), Ok(_)) => panic!("{text}: only the whole batch fails: {error}"),
    }
}

#[test]
fn a_batch_gives_what_its_rows_give() {
    let (schema, batch) = table();
    let mut random = Random(2024);
    let mut bound = 0;
    for _ in 0..6_000 {
        let text = expression(&mut random, 3);
        let Ok(expr) = parse(&text).and_then(|ast| bind(&ast, &schema)) else {
            continue;
        };
        bound += 1;
        compare(&text, &expr, &batch);
    }
    assert!(bound > 400, "only {bound} expressions were well typed");
}

/// Every function of the catalogue, with arguments of any type that it takes.
#[test]
fn every_function_gives_by_batch_what_it_gives_by_row() {
    let (schema, batch) = table();
    let mut random = Random(7);
    let mut failed = Vec::new();
    // What makes as many values as it is told would fill the memory.
    let growing = [
        "sequence",
        "repeat",
        "space",
        "lpad",
        "rpad",
        "array_repeat",
        "array_insert",
    ];
    let names = unskewed_planner::expr::functions::evaluated();
    for name in names.into_iter().filter(|name| !growing.contains(name)) {
        for _ in 0..40 {
            let count = random.below(5);
            let arguments: Vec<&str> = (0..count).map(|_| random.pick(&LEAVES)).collect();
            let text = format!("{name}({})", arguments.join(", "));
            if let Ok(expr) = parse(&text).and_then(|ast| bind(&ast, &schema)) {
                let compared = catch_unwind(AssertUnwindSafe(|| compare(&text, &expr, &batch)));
                if compared.is_err() {
                    failed.push(text);
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Every pair of types through every cast and every operator, at least without a panic and alike by rows.
#[test]
fn every_pair_of_types_is_taken_or_refused() {
    let (schema, batch) = table();
    let columns: Vec<String> = schema
        .fields
        .iter()
        .map(|f| format!("`{}`", f.name))
        .collect();
    let operators = [
        "+", "-", "*", "/", "%", "DIV", "=", "<=>", "<", "AND", "||", "&",
    ];
    for left in &columns {
        for right in &columns {
            for operator in operators {
                let text = format!("{left} {operator} {right}");
                if let Ok(expr) = parse(&text).and_then(|ast| bind(&ast, &schema)) {
                    let program = Program::new(&expr).expect("an evaluator");
                    let _answer = program.evaluate(&batch);
                }
            }
        }
        for field in &schema.fields {
            for cast in ["CAST", "TRY_CAST"] {
                let text = format!("{cast}({left} AS {})", field.data_type);
                if let Ok(expr) = parse(&text).and_then(|ast| bind(&ast, &schema)) {
                    compare(&text, &expr, &batch);
                }
            }
        }
    }
}

#[test]
fn generators_make_rows() {
    let (schema, batch) = table();
    let scope = Scope {
        schema: Some(&schema),
        relation: None,
    };
    let generate = |text: &str| {
        let Selected::Generator(generator) = bind_select(&parse(text).unwrap(), &scope).unwrap()
        else {
            panic!("{text} is a generator");
        };
        let made = RowGenerator::new(&generator)
            .unwrap()
            .generate(&batch)
            .unwrap();
        for (column, field) in made.columns.iter().zip(&generator.columns) {
            assert_eq!(*column.data_type(), field.data_type.to_arrow());
            assert_eq!(column.len(), made.rows.len());
        }
        made
    };
    let rows = generate("explode(ai)");
    let sizes = parse("greatest(size(ai), 0)")
        .and_then(|ast| bind(&ast, &schema))
        .unwrap();
    let sizes = Program::new(&sizes).unwrap().evaluate(&batch).unwrap();
    let sizes: &arrow_array::Int32Array = arrow_array::cast::AsArray::as_primitive(&sizes);
    assert_eq!(
        rows.rows.len(),
        sizes.iter().map(|s| s.unwrap() as usize).sum::<usize>()
    );
    let outer = generate("explode_outer(ai)");
    let empty = sizes.iter().filter(|s| *s == Some(0)).count();
    assert_eq!(outer.rows.len(), rows.rows.len() + empty);
    assert_eq!(generate("posexplode(msi)").columns.len(), 3);
    assert_eq!(generate("inline(ars)").columns.len(), 2);
    let stacked = generate("stack(2, 1, s, rid)");
    assert_eq!(stacked.rows.len(), 2 * batch.num_rows());
    let only: Arc<dyn arrow_array::Array> = Arc::clone(&stacked.columns[1]);
    assert!(
        only.is_null(1),
        "the last value of the second row is missing"
    );
}
