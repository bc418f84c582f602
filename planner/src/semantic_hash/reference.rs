//! The reference's own hash of a bootstrap part, which stands in every left table that it or we wrote.
//!
//! Promises: the same ten characters as the reference gives for the same part, so that left tables of either are
//! understood by both: the beginning of the base64 of the MD5 of the part as simple JSON, its fields in the order of
//! their ids and its maps in the order in which a Java hash map gives them. Metadata is left out: there the reference
//! contradicts itself from one call to the next.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde_json::Value;

use crate::definition::wire::Wire;
use crate::definition::{BootstrapPart, Query};

/// Characters kept of the base64.
const LENGTH: usize = 10;

/// The hash of a bootstrap part.
pub fn bootstrap_part_hash(part: &BootstrapPart) -> String {
    let mut digest = STANDARD.encode(Md5::digest(text(part).as_bytes()));
    digest.truncate(LENGTH);
    digest
}

/// The part as simple JSON.
fn text(part: &BootstrapPart) -> String {
    let mut fields = vec![("table", quoted(&part.table))];
    fields.extend(part.query.as_ref().map(|part| ("query", query(part))));
    fields.extend(
        part.key_columns
            .as_ref()
            .map(|keys| ("keyColumns", keys.write().to_string())),
    );
    object(fields.into_iter())
}

fn query(query: &Query) -> String {
    let texts = |list: &Option<Vec<String>>| list.as_ref().map(|list| list.write().to_string());
    let text = |value: &Option<String>| value.as_deref().map(quoted);
    let selects = query.selects.as_ref().map(|selects| {
        let keys: Vec<&str> = selects.iter().map(|(key, _)| key).collect();
        let entries = in_hash_order(keys).into_iter();
        object(entries.map(|key| {
            (
                key,
                selects.get(key).map_or_else(String::new, |v| quoted(v)),
            )
        }))
    });
    let fields = [
        ("selects", selects),
        ("wheres", texts(&query.wheres)),
        ("startPartition", text(&query.start_partition)),
        ("endPartition", text(&query.end_partition)),
        ("timeColumn", text(&query.time_column)),
        // Absent or not, the reference has an empty list there.
        (
            "setups",
            Some(texts(&query.setups).unwrap_or_else(|| "[]".into())),
        ),
        ("mutationTimeColumn", text(&query.mutation_time_column)),
        ("reversalColumn", text(&query.reversal_column)),
        ("partitionColumn", text(&query.partition_column)),
    ];
    let given = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    object(given)
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn object<'a>(fields: impl Iterator<Item = (&'a str, String)>) -> String {
    let fields: Vec<String> = fields
        .map(|(name, value)| format!("{}:{value}", quoted(name)))
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// The order in which `java.util.HashMap` gives these keys after it was copied from a map that had them in this order:
/// buckets of a table of the least power of two above 4/3 of their number, each in the order of insertion.
fn in_hash_order(keys: Vec<&str>) -> Vec<&str> {
    let buckets = (keys.len() * 4 / 3 + 1).next_power_of_two();
    let mut placed: Vec<(usize, &str)> = keys
        .into_iter()
        .map(|key| {
            let hash = java_hash(key);
            ((hash ^ (hash >> 16)) as usize & (buckets - 1), key)
        })
        .collect();
    placed.sort_by_key(|(bucket, _)| *bucket);
    placed.into_iter().map(|(_, key)| key).collect()
}

/// `String.hashCode`.
fn java_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| {
        hash.wrapping_mul(31).wrapping_add(unit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{Definition, Dialect};

    /// The hashes that the reference recorded in its left table for the two parts of a join.
    #[test]
    fn hashes_of_recorded_parts() {
        let text = include_str!(
            "../../tests/definitions/join_bootstrap_table-compiled__joins__alpha__j.v1.json"
        );
        let Ok(Definition::Join(join)) = Definition::load(text, Dialect::Airbnb) else {
            panic!("a join");
        };
        let parts = join.bootstrap_parts.unwrap_or_default();
        let hashes: Vec<String> = parts.iter().map(bootstrap_part_hash).collect();
        assert_eq!(hashes, ["HnyAulZH39", "7FRqfsDpPX"]);
    }

    /// Who owns a part, or what it waits for, does not change its hash.
    #[test]
    fn hashes_of_parts_leave_metadata_out() {
        let read = |text: &str| -> BootstrapPart {
            let value = serde_json::from_str(text).unwrap();
            let mut reader = crate::definition::wire::Reader::new(Dialect::Airbnb);
            Wire::read(&value, "", &mut reader).unwrap()
        };
        let plain = read(r#"{"table": "db.t"}"#);
        let owned = read(r#"{"table": "db.t", "metaData": {"name": "x", "dependencies": ["y"]}}"#);
        assert_eq!(bootstrap_part_hash(&plain), bootstrap_part_hash(&owned));
        assert_ne!(
            bootstrap_part_hash(&plain),
            bootstrap_part_hash(&read(r#"{"table": "db.u"}"#))
        );
    }

    /// Buckets grow with the number of keys; a part without selects has none.
    #[test]
    fn orders_and_absent_fields() {
        assert_eq!(java_hash("hello"), 99_162_322);
        assert_eq!(in_hash_order(vec!["b", "a"]), ["a", "b"]);
        let many: Vec<String> = (0..13).map(|n| format!("k{n}")).collect();
        let many = in_hash_order(many.iter().map(String::as_str).collect());
        assert_eq!(many.len(), 13);
        let part = BootstrapPart {
            meta_data: None,
            table: "db.t\"".into(),
            query: Some(Query::default()),
            key_columns: None,
        };
        assert_eq!(
            super::text(&part),
            r#"{"table":"db.t\"","query":{"setups":[]}}"#
        );
    }
}
