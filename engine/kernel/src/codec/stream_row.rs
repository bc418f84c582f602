//! What a stream keeps of one key: everything that happened since an instant, as one value of the store.
//!
//! ```text
//! version │ epoch │ schema │ since │ count │ times, each less the one before │ lengths │ datums
//! ```
//! All numbers are zigzag varints. Entries stand in the order of (time, source position), so that order-sensitive
//! operations see equal times as a backfill does. What an entry's datum is, its group-by knows; the fingerprint of its
//! schema says whether it is still that one.
//!
//! Promises: [`pack`] of what [`StreamRow::read`] gave is the same bytes; foreign or cut bytes are an error, and never
//! cost more memory than their length justifies.

use super::avro::{Reader, put_long};

/// The form of the bytes; the next form takes the next number.
const VERSION: i64 = 2;

/// Bytes that are no row of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoStreamRow {
    /// Another form, or none.
    #[error("it is of form {0}, known is {VERSION}")]
    Version(i64),
    /// Cut, or with something behind.
    #[error("its length is not what it says")]
    Length,
    /// A number that cannot be.
    #[error("a number in it is out of range")]
    Number,
}

/// What happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRow<'a> {
    /// The epoch that wrote it.
    pub epoch: u64,
    /// The fingerprint of the schema of its datums.
    pub schema: u64,
    /// It holds everything from this time on, in milliseconds.
    pub since_millis: i64,
    /// Times in milliseconds and datums, in order.
    pub entries: Vec<(i64, &'a [u8])>,
}

/// The bytes of a row.
pub fn pack(row: &StreamRow<'_>) -> Vec<u8> {
    let datums: usize = row.entries.iter().map(|(_, datum)| datum.len()).sum();
    let mut bytes = Vec::with_capacity(datums + 8 * row.entries.len() + 32);
    put_long(VERSION, &mut bytes);
    put_long(row.epoch.cast_signed(), &mut bytes);
    put_long(row.schema.cast_signed(), &mut bytes);
    put_long(row.since_millis, &mut bytes);
    put_long(row.entries.len() as i64, &mut bytes);
    let mut before = row.since_millis;
    for (millis, _) in &row.entries {
        put_long(millis.wrapping_sub(before), &mut bytes);
        before = *millis;
    }
    for (_, datum) in &row.entries {
        put_long(datum.len() as i64, &mut bytes);
    }
    for (_, datum) in &row.entries {
        bytes.extend_from_slice(datum);
    }
    bytes
}

/// The row as another epoch would have written it.
pub fn stamped(bytes: &[u8], epoch: u64) -> Result<Vec<u8>, NoStreamRow> {
    let mut reader = Reader::new(bytes);
    let mut number = || reader.long().map_err(|_| NoStreamRow::Length);
    match number()? {
        VERSION => {}
        other => return Err(NoStreamRow::Version(other)),
    }
    number()?;
    let rest = reader.rest();
    let mut stamped = Vec::with_capacity(rest.len() + 12);
    put_long(VERSION, &mut stamped);
    put_long(epoch.cast_signed(), &mut stamped);
    stamped.extend_from_slice(rest);
    Ok(stamped)
}

impl<'a> StreamRow<'a> {
    /// Reads a row.
    pub fn read(bytes: &'a [u8]) -> Result<Self, NoStreamRow> {
        let mut reader = Reader::new(bytes);
        let mut number = || reader.long().map_err(|_| NoStreamRow::Length);
        match number()? {
            VERSION => {}
            other => return Err(NoStreamRow::Version(other)),
        }
        let epoch = number()?.cast_unsigned();
        let schema = number()?.cast_unsigned();
        let since_millis = number()?;
        let count = usize::try_from(number()?).map_err(|_| NoStreamRow::Number)?;
        // An entry takes two bytes at least.
        if count > bytes.len() / 2 {
            return Err(NoStreamRow::Length);
        }
        let mut times = Vec::with_capacity(count);
        let mut before = since_millis;
        for _ in 0..count {
            before = before.wrapping_add(number()?);
            times.push(before);
        }
        let mut lengths = Vec::with_capacity(count);
        for _ in 0..count {
            lengths.push(usize::try_from(number()?).map_err(|_| NoStreamRow::Number)?);
        }
        let mut rest = reader.rest();
        let mut entries = Vec::with_capacity(count);
        for (millis, length) in times.into_iter().zip(lengths) {
            let (datum, more) = rest.split_at_checked(length).ok_or(NoStreamRow::Length)?;
            entries.push((millis, datum));
            rest = more;
        }
        if !rest.is_empty() {
            return Err(NoStreamRow::Length);
        }
        Ok(Self {
            epoch,
            schema,
            since_millis,
            entries,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Rows come back as they were.
        #[test]
        fn round_trip(
            epoch: u64,
            other: u64,
            schema: u64,
            since_millis: i64,
            entries in proptest::collection::vec((any::<i64>(), proptest::collection::vec(any::<u8>(), 0..9)), 0..9),
        ) {
            let entries: Vec<(i64, &[u8])> = entries.iter().map(|(t, d)| (*t, &d[..])).collect();
            let row = StreamRow { epoch, schema, since_millis, entries };
            let bytes = pack(&row);
            let restamped = stamped(&bytes, other).unwrap();
            prop_assert_eq!(StreamRow::read(&restamped), Ok(StreamRow { epoch: other, ..row.clone() }));
            prop_assert_eq!(StreamRow::read(&bytes), Ok(row));
            for cut in 0..bytes.len() {
                prop_assert!(StreamRow::read(&bytes[..cut]).is_err());
            }
        }

        /// Foreign bytes are a row or an error, never a panic.
        #[test]
        fn foreign_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(row) = StreamRow::read(&bytes) {
                let again = pack(&row);
                prop_assert_eq!(StreamRow::read(&again), Ok(row));
            }
        }
    }
}
