//! Two tables held against each other: what both jobs that compare share.
//!
//! Promises: everything that stands against a comparison is told at once, before a row is read; what was found comes as
//! findings, the column that differs most first.

mod findings;

use unskewed_planner::definition::Join;
use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::naming::RESERVED_COLUMNS;
use unskewed_planner::schema::{Field, Schema};

pub(super) use findings::Totals;

/// The columns compared, or every problem. With `migrating` the left side may have more columns.
pub(super) fn compared_columns(
    left: &Schema,
    right: &Schema,
    keys: &[String],
    migrating: bool,
) -> Result<Vec<Field>, Vec<Diagnostic>> {
    let mut problems = vec![];
    let mut problem = |text: String| problems.push(Diagnostic::error("", text));
    let (l, r) = (left.fields.len(), right.fields.len());
    let listed = |schema: &Schema| {
        let names: Vec<&str> = schema
            .fields
            .iter()
            .map(|field| field.name.as_str())
            .collect();
        names.join(", ")
    };
    if (migrating && l < r) || (!migrating && l != r) {
        problem(format!(
            "the left side has {l} columns ({}), the right side {r} ({})",
            listed(left),
            listed(right)
        ));
    }
    let find = |schema: &Schema, name: &str| {
        schema
            .fields
            .iter()
            .find(|field| field.name == name)
            .cloned()
    };
    for field in &right.fields {
        match find(left, &field.name) {
            None => problem(format!(
                "column {:?} of the right side is not on the left",
                field.name
            )),
            Some(other) if other.data_type != field.data_type => problem(format!(
                "column {:?} is {} on the left, but {} on the right",
                field.name, other.data_type, field.data_type
            )),
            Some(_) => {}
        }
    }
    for key in keys {
        for (side, schema) in [("left", left), ("right", right)] {
            if find(schema, key).is_none() {
                problem(format!(
                    "key {key:?} is not on the {side} side, which has {}",
                    listed(schema)
                ));
            }
        }
    }
    if !keys.iter().any(|key| ["ts", "ds"].contains(&key.as_str())) {
        let times = RESERVED_COLUMNS.join(", ");
        problem(format!(
            "one of the keys ({}) must tell the time: ts or ds ({times})",
            keys.join(", ")
        ));
    }
    let is_value =
        |field: &&Field| !keys.contains(&field.name) && find(right, &field.name).is_some();
    match problems.is_empty() {
        true => Ok(left.fields.iter().filter(is_value).cloned().collect()),
        false => Err(problems),
    }
}

/// The columns that rows of a join are matched by: its row ids, or its keys and times.
pub(super) fn row_keys(join: &Join, times: &[&str]) -> Vec<String> {
    match &join.row_ids {
        Some(ids) if !ids.is_empty() => ids.clone(),
        _ => {
            let mut keys = join.left_key_columns();
            for time in times {
                if !keys.iter().any(|key| key == time) {
                    keys.push((*time).into());
                }
            }
            keys
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unskewed_planner::schema::DataType;

    fn schema(fields: &[(&str, DataType)]) -> Schema {
        Schema::new(
            fields
                .iter()
                .map(|(name, kind)| Field::new(*name, kind.clone()))
                .collect(),
        )
    }

    /// All that stands against a comparison is told at once.
    #[test]
    fn every_problem_is_told() {
        let left = schema(&[
            ("k", DataType::String),
            ("a", DataType::Long),
            ("ds", DataType::String),
        ]);
        let right = schema(&[
            ("k", DataType::String),
            ("a", DataType::Double),
            ("b", DataType::Long),
        ]);
        let keys = ["k".to_owned(), "ds".into()];
        let problems = compared_columns(&left, &right, &keys, false).unwrap_err();
        let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 3, "{text:?}");
        let keys = ["k".to_owned()];
        let problems = compared_columns(&left, &left, &keys, false).unwrap_err();
        assert_eq!(problems.len(), 1);
    }

    /// A migration compares what both sides have; otherwise both have the same.
    #[test]
    fn migrations_may_lack_columns() {
        let left = schema(&[
            ("k", DataType::String),
            ("a", DataType::Long),
            ("ds", DataType::String),
        ]);
        let right = schema(&[("ds", DataType::String), ("k", DataType::String)]);
        let keys = ["k".to_owned(), "ds".into()];
        assert!(compared_columns(&left, &right, &keys, false).is_err());
        assert_eq!(compared_columns(&left, &right, &keys, true).unwrap(), []);
        assert_eq!(
            compared_columns(&left, &left, &keys, false).unwrap()[0].name,
            "a"
        );
    }
}
