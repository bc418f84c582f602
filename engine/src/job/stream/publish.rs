//! Rows of a stream into the store.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use unskewed_connectors::error::Result;
use unskewed_connectors::kv::{KvStore, Put};
use unskewed_kernel::codec::stream_row::stamped;

/// Rows handed to the store at once.
const PUT_ROWS: usize = 4_096;

/// How long after its latest entry a row is kept: by then a batch holds what it says.
const RETENTION_MILLIS: i64 = 7 * 86_400_000;

/// Puts rows as of an epoch: how many. They stay for a while from now on; where there is no now, as in a replay, for
/// good.
pub(super) fn put(
    rows: &RecordBatch,
    dataset: &str,
    (epoch, now): (u64, Option<i64>),
    store: &dyn KvStore,
) -> Result<u64> {
    let column = |name: &str| {
        let found = rows.column_by_name(name);
        found.expect("the plan hands on this column")
    };
    let (keys, values) = (
        column("key_bytes").as_binary::<i32>(),
        column("row").as_binary::<i32>(),
    );
    let millis = column("millis").as_primitive::<Int64Type>();
    let numbers: Vec<usize> = (0..rows.num_rows()).collect();
    for numbers in numbers.chunks(PUT_ROWS) {
        let stamp = |row: &usize| stamped(values.value(*row), epoch);
        let values: std::result::Result<Vec<_>, _> = numbers.iter().map(stamp).collect();
        let values = values.expect("the plan packed these rows");
        let puts: Vec<Put<'_>> = numbers
            .iter()
            .zip(&values)
            .map(|(row, value)| Put {
                dataset,
                key: keys.value(*row),
                value,
                millis: millis.value(*row),
                expires_millis: now.map(|now| now.max(millis.value(*row)) + RETENTION_MILLIS),
            })
            .collect();
        store.multi_put(&puts)?;
    }
    Ok(rows.num_rows() as u64)
}

/// The latest time among rows.
pub(super) fn latest(rows: &RecordBatch) -> Option<i64> {
    let millis = rows.column_by_name("millis")?;
    millis.as_primitive::<Int64Type>().iter().flatten().max()
}
