//! Logged requests: what was asked and answered, as the raw log table holds it, ready for the log flattener.
//!
//! Promises: which requests are logged depends on their keys only, so a key's requests are all logged or none; a log
//! that fails never fails a fetch.

mod background;
mod file;
mod table;

use arrow_array::{Array, ArrayRef};
use md5::{Digest, Md5};
use unskewed_kernel::codec::avro;
use unskewed_planner::avro::Record;
use unskewed_planner::schema::Field;

use crate::columns;
use crate::error::with_causes;
use crate::value::Value;

pub use background::{Background, Writer};
pub use file::FileWriter;
pub use table::{Roll, TableWriter};

/// The join name under which schemas are published.
pub const SCHEMA_PUBLISH_EVENT: &str = "SCHEMA_PUBLISH_EVENT";

/// A logged request; or a published schema, whose keys are its hash and whose values are its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The join, as its definition is found: `team/name`.
    pub join_name: String,
    /// The keys, an Avro datum.
    pub key_bytes: Vec<u8>,
    /// The values, an Avro datum.
    pub value_bytes: Vec<u8>,
    /// As of when, in milliseconds.
    pub ts_millis: i64,
    /// The schema of keys and values; none for a published schema.
    pub schema_hash: Option<String>,
}

/// Where logged requests go.
///
/// # Contract
/// It returns at once: what takes time is done elsewhere, and what fails is told elsewhere.
pub trait ResponseLog: Send + Sync {
    /// Takes logged requests.
    fn log(&self, logged: Vec<Logged>);
}

/// Whether the requests of a key are logged when so many percent are: by the key's MD5, in steps of a thousandth percent.
pub(crate) fn is_sampled(key_bytes: &[u8], percent: f64) -> bool {
    let digest = Md5::digest(key_bytes);
    let head = digest
        .first_chunk::<8>()
        .map_or(0, |head| i64::from_be_bytes(*head));
    // The one number that has no absolute value stays negative, and is never logged.
    let hash = head.wrapping_abs();
    hash > 0 && (hash % 100_000) as f64 <= percent * 1_000.0
}

/// Values as a datum, each cast to its field's type; why there is none.
pub(crate) fn datum(
    record: &Record,
    fields: &[Field],
    values: &[&Value],
) -> Result<Vec<u8>, String> {
    let column = |(field, value): (&Field, &&Value)| {
        let cast = columns::cast(value, &field.data_type);
        columns::column(&[&cast], &field.data_type)
            .map_err(|problem| format!("{}: {problem}", field.name))
    };
    let columns = fields.iter().zip(values).map(column);
    let columns = columns.collect::<Result<Vec<ArrayRef>, String>>()?;
    let encoded = avro::encode(record, &columns).map_err(|error| with_causes(&error))?;
    match encoded.bad.first() {
        Some(bad) => Err(bad.reason.clone()),
        None if encoded.datums.is_null(0) => Err("there is no datum".into()),
        None => Ok(encoded.datums.value(0).to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// About as many keys are logged as are asked for, the same ones every time.
    #[test]
    fn sampling() {
        let sampled = |percent| {
            let keys = (0..20_000_u32).filter(|key| is_sampled(&key.to_be_bytes(), percent));
            keys.collect::<Vec<_>>()
        };
        assert_eq!(sampled(100.0).len(), 20_000);
        let tenth = sampled(10.0);
        assert!((1_800..2_200).contains(&tenth.len()), "{}", tenth.len());
        assert_eq!(tenth, sampled(10.0));
        assert!(sampled(5.0).iter().all(|key| tenth.contains(key)));
    }
}
