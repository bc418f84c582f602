//! Every expression and condition of `tests/sql`, against the answers of a real Spark 3.5.
//!
//! Promises: no answer differs from Spark's, outside [`DIFFERENT`]; the share of equal answers does
//! not fall below [`FLOOR`]. What is not supported must be a clean error. `SQL_ONLY=cast` (a
//! category), `SQL_ONLY=cast-12ab` (an id) or `SQL_ONLY='+ INTERVAL'` (a part of the text) runs
//! those records only and prints each that does not pass: `SQL_ONLY=… cargo test -p unskewed-kernel
//! --test spark_sql -- --nocapture`. `SQL_FILE=/a/path.jsonl` takes the records from elsewhere, to
//! try more of them before they are added to `more.jsonl`.
#![allow(
    clippy::print_stdout,
    reason = "a report for who asks with --nocapture"
)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::RecordBatch;
use serde_json::Value;
use unskewed_kernel::eval::Program;
use unskewed_planner::expr::{Expr, Scope, bind_condition, bind_in, parse};
use unskewed_planner::schema::Schema;

#[path = "spark_sql/codec.rs"]
mod codec;

/// Answers known to differ, each with the reason. Aim: none.
const DIFFERENT: &[(&str, &str)] = &[];

/// The tables of Spark's answers.
const FILES: [&str; 3] = ["expressions.jsonl", "where.jsonl", "more.jsonl"];

/// The least share of equal answers, in percent.
const FLOOR: f64 = 99.2;

/// Functions that the reference computes to within a unit in the last place or two.
const TRANSCENDENTAL: [&str; 27] = [
    "exp", "expm1", "ln", "log", "log2", "log10", "log1p", "pow", "power", "sin", "cos", "tan",
    "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "cbrt", "hypot", "degrees", "radians",
    "cot", "csc", "sec", "asinh",
];

enum Outcome {
    Equal,
    Refused(String),
    Different(String),
}

/// The records of a file of `tests/sql`, or of any absolute path.
fn lines(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/sql")
        .join(name);
    let text = std::fs::read_to_string(path).expect("the vendored data");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a record"))
        .collect()
}

fn table() -> (Schema, RecordBatch) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sql/table.json");
    let text = std::fs::read_to_string(path).expect("the vendored table");
    codec::table(&serde_json::from_str(&text).expect("a table"))
}

struct Judge {
    schema: Schema,
    batch: RecordBatch,
    /// The answers of Spark's other way of running, right as well.
    other_answers: BTreeMap<String, Value>,
}

impl Judge {
    fn new() -> Self {
        let (schema, batch) = table();
        let other_answers = lines("interpreted_diff.jsonl")
            .into_iter()
            .map(|r| {
                (
                    r["id"].as_str().expect("an id").to_owned(),
                    r["interpreted"].clone(),
                )
            })
            .collect();
        Self {
            schema,
            batch,
            other_answers,
        }
    }

    fn scope(&self) -> Scope<'_> {
        Scope {
            schema: Some(&self.schema),
            relation: Some("t"),
        }
    }

    fn bind(&self, text: &str) -> Result<Expr, String> {
        let ast = parse(text).map_err(|e| e.to_string())?;
        bind_in(&ast, &self.scope()).map_err(|e| e.to_string())
    }

    fn judge(&self, record: &Value) -> Outcome {
        let judged = catch_unwind(AssertUnwindSafe(|| match record.get("where") {
            Some(_) => self.judge_condition(record),
            None => self.judge_expression(record),
        }));
        judged.unwrap_or_else(|_| Outcome::Different("panic".into()))
    }

    fn judge_condition(&self, record: &Value) -> Outcome {
        let text = record["where"].as_str().expect("a condition");
        let bound = parse(text).and_then(|ast| bind_condition(&ast, &self.scope()));
        let program = bound
            .map_err(|e| e.to_string())
            .and_then(|e| Program::new(&e).map_err(|e| e.to_string()));
        let selected = match program {
            Err(message) => Err(message),
            Ok(program) => program.select(&self.batch).map_err(|e| e.to_string()),
        };
        match (selected, record.get("rids")) {
            (Err(_), None) => Outcome::Equal,
            (Err(message), Some(_)) => Outcome::Refused(message),
            (Ok(_), None) => Outcome::Different("Spark refuses it".into()),
            (Ok(selected), Some(rids)) => {
                let kept: Vec<usize> = (0..selected.len()).filter(|i| selected.value(*i)).collect();
                match serde_json::json!(kept) == *rids {
                    true => Outcome::Equal,
                    false => Outcome::Different(format!("kept {kept:?}, Spark {rids}")),
                }
            }
        }
    }

    fn judge_expression(&self, record: &Value) -> Outcome {
        let text = record["expr"].as_str().expect("an expression");
        let phase = record["error"]["phase"].as_str();
        let bound = self.bind(text);
        if matches!(phase, Some("parse" | "analysis" | "generator")) {
            return match bound {
                Err(_) => Outcome::Equal,
                Ok(_) => {
                    Outcome::Different(format!("Spark refuses it: {}", record["error"]["message"]))
                }
            };
        }
        let expr = match bound {
            Ok(expr) => expr,
            Err(message) => return Outcome::Refused(message),
        };
        let program = match Program::new(&expr) {
            Ok(program) => program,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let wanted = record["result_type"].as_str().expect("a type");
        if expr.data_type.to_string() != wanted {
            return Outcome::Different(format!("type {}, Spark {wanted}", expr.data_type));
        }
        let first = self.judge_values(&program, record, text, phase.is_some());
        match (
            first,
            self.other_answers
                .get(record["id"].as_str().expect("an id")),
        ) {
            (Outcome::Equal, _) => Outcome::Equal,
            (first, None) => first,
            (first, Some(other)) => match self.judge_rows(&program, other, text) {
                Outcome::Equal => Outcome::Equal,
                _ => first,
            },
        }
    }

    fn judge_values(&self, program: &Program, record: &Value, text: &str, fails: bool) -> Outcome {
        let whole = program.evaluate(&self.batch);
        match whole {
            Ok(_) if fails => {
                Outcome::Different(format!("Spark fails: {}", record["error"]["message"]))
            }
            Err(_) if fails => self.judge_rows(program, record, text),
            Err(error) => Outcome::Refused(error.to_string()),
            Ok(array) => {
                let tolerance = tolerance(text);
                let expected = record["values"].as_array().expect("values");
                for (row, wanted) in expected.iter().enumerate() {
                    let found = codec::encode(&array, row, program.data_type());
                    if !codec::same(&found, wanted, program.data_type(), tolerance) {
                        return Outcome::Different(format!("row {row}: {found}, Spark {wanted}"));
                    }
                }
                Outcome::Equal
            }
        }
    }

    /// Row by row, as Spark was asked when the whole table failed.
    fn judge_rows(&self, program: &Program, record: &Value, text: &str) -> Outcome {
        let Some(expected) = record["values"].as_array() else {
            return Outcome::Equal;
        };
        for (row, wanted) in expected.iter().enumerate() {
            let one = self.batch.slice(row, 1);
            let fails = wanted.get("$error").is_some();
            match program.evaluate(&one) {
                Err(_) if fails => {}
                Err(error) => return Outcome::Refused(format!("row {row}: {error}")),
                Ok(_) if fails => return Outcome::Different(format!("row {row}: Spark fails")),
                Ok(array) => {
                    let found = codec::encode(&array, 0, program.data_type());
                    if !codec::same(&found, wanted, program.data_type(), tolerance(text)) {
                        return Outcome::Different(format!("row {row}: {found}, Spark {wanted}"));
                    }
                }
            }
        }
        Outcome::Equal
    }
}

fn tolerance(text: &str) -> f64 {
    let lower = text.to_lowercase();
    let called = |name: &str| {
        lower.match_indices(name).any(|(at, _)| {
            let before = lower[..at].chars().next_back();
            let inside = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
            !inside && lower[at + name.len()..].trim_start().starts_with('(')
        })
    };
    if TRANSCENDENTAL.iter().any(|name| called(name)) || called("acosh") || called("atanh") {
        1e-12
    } else {
        0.0
    }
}

#[derive(Default)]
struct Count {
    equal: usize,
    refused: usize,
    different: usize,
}

#[test]
fn answers_are_those_of_spark() {
    let only = std::env::var("SQL_ONLY").ok();
    let other = std::env::var("SQL_FILE").ok();
    let files = match &other {
        Some(path) => vec![path.as_str()],
        None => FILES.to_vec(),
    };
    let judge = Judge::new();
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    let mut differing = Vec::new();
    for record in files.into_iter().flat_map(lines) {
        let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
        let (id, category) = (text("id"), text("category"));
        let written = format!("{}{}", text("expr"), text("where"));
        if let Some(only) = &only
            && *only != category
            && *only != id
            && !written.contains(only.as_str())
        {
            continue;
        }
        let count = counts.entry(category).or_default();
        let (word, message) = match judge.judge(&record) {
            Outcome::Equal => {
                count.equal += 1;
                continue;
            }
            Outcome::Refused(message) => {
                count.refused += 1;
                ("refused", message)
            }
            Outcome::Different(message) => {
                count.different += 1;
                if !DIFFERENT.iter().any(|(known, _)| *known == id) {
                    differing.push(format!("{id} {written:?}: {message}"));
                }
                ("DIFFERENT", message)
            }
        };
        if only.is_some() || other.is_some() {
            println!("{word} {id} {written}\n    {message}");
        }
    }
    report(&counts, &differing, only.is_none() && other.is_none());
}

fn report(counts: &BTreeMap<String, Count>, differing: &[String], judge: bool) {
    let (mut equal, mut all) = (0, 0);
    for (category, count) in counts {
        let total = count.equal + count.refused + count.different;
        println!(
            "{category:16} {:4} of {total:4} equal, {:3} refused, {:3} different",
            count.equal, count.refused, count.different
        );
        equal += count.equal;
        all += total;
    }
    #[allow(clippy::cast_precision_loss, reason = "thousands")]
    let share = 100.0 * equal as f64 / all as f64;
    println!("all              {equal:4} of {all:4} equal: {share:.2} %");
    if judge {
        assert!(
            differing.is_empty(),
            "different answers:\n{}",
            differing.join("\n")
        );
        assert!(share >= FLOOR, "{share:.2} % equal, the floor is {FLOOR} %");
    }
}

/// The planner's catalogue and the kernel's library name the same functions.
#[test]
fn every_function_has_an_evaluator() {
    let planned = unskewed_planner::expr::functions::evaluated();
    let computed = unskewed_kernel::eval::evaluators();
    let missing: Vec<_> = planned
        .iter()
        .filter(|name| !computed.contains(name))
        .collect();
    let extra: Vec<_> = computed
        .iter()
        .filter(|name| !planned.contains(name))
        .collect();
    assert!(missing.is_empty(), "no evaluator: {missing:?}");
    assert!(extra.is_empty(), "not in the catalogue: {extra:?}");
}
