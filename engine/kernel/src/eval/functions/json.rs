//! JSON and CSV.
//!
//! `from_json` and `from_csv` read into [`cell::Cell`]s, which become arrays at the end; `to_json`
//! and `to_csv` print straight from arrays. Malformed records follow the mode: nulls (as far as
//! needed) or an error.

use std::sync::Arc;

use arrow_array::StringArray;
use arrow_array::types::Int32Type;

use super::{Entry, eager};
use crate::eval::build::{Built, finish_list};
use crate::eval::call::Call;
use crate::eval::java::json::path::JsonPath;
use crate::eval::java::json::{JsonSyntax, JsonValue, parse};

mod cell;
mod csv;
mod options;
mod read;
mod schema;
mod write;

pub(super) fn functions() -> Vec<Entry> {
    vec![
        eager("get_json_object", get_json_object),
        eager("json member", |call| {
            let (text, name) = (call.strings(0), call.strings(1));
            call.build_strings(|row| member(text.get(row)?, name.get(row)?))
        }),
        eager("json_array_length", |call| {
            let text = call.strings(0);
            call.build::<Int32Type>(|row| match read_path(text.get(row)?)? {
                JsonValue::Array(items) => i32::try_from(items.len()).ok(),
                _ => None,
            })
        }),
        eager("json_object_keys", object_keys),
        eager("from_json", read::from_json),
        eager("to_json", write::to_json),
        eager("schema_of_json", schema::schema_of_json),
        eager("from_csv", csv::from_csv),
        eager("to_csv", csv::to_csv),
        eager("schema_of_csv", schema::schema_of_csv),
    ]
}

fn read_path(text: &str) -> Option<JsonValue> {
    parse(text, JsonSyntax::PATH).ok().flatten()
}

fn get_json_object(call: &Call<'_>) -> Built {
    let (text, path) = (call.strings(0), call.strings(1));
    let mut last: Option<(&str, Option<JsonPath>)> = None;
    call.build_strings(|row| {
        let (text, path) = (text.get(row)?, path.get(row)?);
        if last.as_ref().is_none_or(|(known, _)| *known != path) {
            last = Some((path, JsonPath::parse(path)));
        }
        let (_, compiled) = last.as_ref()?;
        compiled.as_ref()?.find(text)
    })
}

/// A member of the outermost object as text; of repeated ones the last that is not null.
fn member(text: &str, name: &str) -> Option<String> {
    let JsonValue::Object(fields) = read_path(text)? else {
        return None;
    };
    let mut found = fields.into_iter().rev();
    let (_, value) = found.find(|(known, value)| known == name && *value != JsonValue::Null)?;
    Some(match value {
        JsonValue::Text(text) => text,
        other => other.to_text(),
    })
}

/// The names of the outermost object; null for anything else.
fn object_keys(call: &Call<'_>) -> Built {
    let text = call.strings(0);
    let mut names = Vec::new();
    let (mut offsets, mut validity) = (vec![0i32], Vec::new());
    for row in 0..call.rows {
        let found = text.get(row).and_then(read_path);
        let fields = match found {
            Some(JsonValue::Object(fields)) => Some(fields),
            _ => None,
        };
        validity.push(fields.is_some());
        names.extend(fields.into_iter().flatten().map(|(name, _)| name));
        offsets.push(i32::try_from(names.len()).expect("fewer than 2^31 names in a batch"));
    }
    let names = Arc::new(StringArray::from_iter_values(names));
    finish_list(names, offsets, &validity, call.data_type)
}
