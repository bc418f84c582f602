//! Findings as one JSON object: a section under its name.

use serde_json::{Map, Value, json};
use unskewed_engine::findings::{Cell, Content, Findings, Table};

/// The findings.
pub(super) fn render(findings: &Findings) -> Value {
    let mut object = Map::new();
    object.insert("title".into(), json!(findings.title));
    object.insert("problems".into(), json!(findings.problems));
    for section in &findings.sections {
        object.insert(section.name.clone(), content(&section.content));
    }
    Value::Object(object)
}

fn content(content: &Content) -> Value {
    match content {
        Content::Table(table) => self::table(table),
        Content::Series(lines) => {
            let point = |(millis, value): &(i64, f64)| json!({"millis": millis, "value": value});
            let line = |line: &unskewed_engine::findings::Line| {
                (
                    line.name.clone(),
                    line.points.iter().map(point).collect::<Value>(),
                )
            };
            Value::Object(lines.iter().map(line).collect())
        }
        Content::Bars(bars) => Value::Object(
            bars.iter()
                .map(|(name, value)| (name.clone(), json!(value)))
                .collect(),
        ),
        Content::Spreads(spreads) => {
            let points = |list: &[(f64, f64)]| {
                list.iter()
                    .map(|(at, value)| json!({"fraction": at, "value": value}))
                    .collect::<Value>()
            };
            let spread = |spread: &unskewed_engine::findings::Spread| {
                let mut value = json!({"quantiles": points(&spread.quantiles)});
                if let Some((name, other)) = &spread.other {
                    value["other"] = json!({"name": name, "quantiles": points(other)});
                }
                (spread.name.clone(), value)
            };
            Value::Object(spreads.iter().map(spread).collect())
        }
    }
}

fn table(table: &Table) -> Value {
    let row = |row: &Vec<Cell>| {
        let cells = table.columns.iter().cloned().zip(row.iter().map(cell));
        Value::Object(cells.collect())
    };
    table.rows.iter().map(row).collect()
}

fn cell(cell: &Cell) -> Value {
    match cell {
        Cell::Empty => Value::Null,
        Cell::Text(text) => json!(text),
        Cell::Count(number) | Cell::Time(number) => json!(number),
        Cell::Number(number) | Cell::Share(number) => json!(number),
    }
}
