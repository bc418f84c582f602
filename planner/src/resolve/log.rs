//! Logs of served requests as bootstrap tables: which fields a row brought is told by the schema it was logged under,
//! and every schema stands in the table's properties under its hash.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::avro::Record;
use crate::schema::Field;

use super::Problems;

/// The property that marks a log.
const LOG_TABLE_PROPERTY: &str = "chronon_log_table";
/// What the properties that hold schemas begin with; the hash follows.
const SCHEMA_HASH_PROPERTY: &str = "schema_hash_";
/// The part of a logged schema that describes values, an Avro schema as text.
const VALUE_SCHEMA: &str = "value_schema";

/// Whether a table with these properties is a log.
pub(super) fn is_log(properties: &BTreeMap<String, String>) -> bool {
    properties.contains_key(LOG_TABLE_PROPERTY)
}

/// The value fields of each logged schema by its hash.
pub(super) fn fields_by_hash(
    properties: &BTreeMap<String, String>,
    path: &str,
    problems: &mut Problems,
) -> BTreeMap<String, Vec<Field>> {
    let mut found = BTreeMap::new();
    for (name, text) in properties {
        let Some(hash) = name.strip_prefix(SCHEMA_HASH_PROPERTY) else {
            continue;
        };
        match value_fields(text) {
            Ok(fields) => {
                found.insert(hash.to_owned(), fields);
            }
            Err(what) => {
                let message = format!("property {name:?} of the log table cannot be read: {what}");
                problems.error(format!("{path}.table"), message);
            }
        }
    }
    found
}

fn value_fields(text: &str) -> Result<Vec<Field>, String> {
    let schema: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let Some(values) = schema[VALUE_SCHEMA].as_str() else {
        return Err(format!("it has no {VALUE_SCHEMA:?}"));
    };
    let record = Record::parse(values).map_err(|error| error.to_string())?;
    Ok(record.clean_schema().fields)
}
