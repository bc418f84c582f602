//! Logged requests as a table of the warehouse: the raw log table that the log flattener reads.
//!
//! ```text
//! db.table / ds=2024-03-01 / name=team%2Fjoin.v1 / written=20240301101500-7d0c… / one file
//! ```
//! What is taken waits in memory until it is large or old enough; then it becomes partitions of its own, all under one
//! value of `written`. So files are only ever added, and any number of services may log into one table.
//!
//! Promises: a reader sees whole files or none, whenever the process dies; what waits then is lost. A roll that fails is
//! tried again under the same value of `written`, so no row is there twice. While the table cannot be written, four rolls
//! wait at most; what comes then is left out and counted.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metrics::counter;
use unskewed_connectors::clock::{Clock, compact_utc};
use unskewed_connectors::error::{Error, Result};
use unskewed_connectors::table::{PartitionKey, Table, WriteOptions};
use unskewed_planner::schema::{DataType, Field, Schema};
use unskewed_planner::time::Partition;

use super::Logged;
use super::background::Writer;
use crate::error::with_causes;

/// The columns of partitions, outermost first.
const PARTITIONS: [&str; 3] = ["ds", "name", "written"];
/// How long a roll waits for another writer of the table.
const LOCK_MILLIS_MAX: i64 = 30_000;
/// Rolls that may wait for a table that cannot be written.
const ROLLS_MAX: usize = 4;

/// When what waits is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roll {
    /// When it has so many bytes of keys and values.
    pub bytes: usize,
    /// When the first of it has waited so long.
    pub age: Duration,
}

/// A table that logged requests are added to.
pub struct TableWriter {
    table: Table,
    clock: Arc<dyn Clock>,
    roll: Roll,
    open: Option<Rolled>,
    /// Rolls that could not be written yet, the oldest first.
    sealed: Vec<Rolled>,
}

/// What is written together.
struct Rolled {
    written: String,
    since: Duration,
    bytes: usize,
    rows: BTreeMap<(Partition, String), Vec<Logged>>,
}

impl TableWriter {
    /// Adds to a table, which need not exist.
    pub fn open(table: Table, clock: Arc<dyn Clock>, roll: Roll) -> Result<Self> {
        let columns = match table.partition_columns() {
            Err(Error::NoSuchTable { .. }) => Vec::new(),
            columns => columns?,
        };
        if !columns.is_empty() && columns != PARTITIONS {
            return Err(Error::Layout {
                path: format!("table {}", table.name()),
                problem: format!(
                    "its partition columns are ({}), but a log has ({}): name another table",
                    columns.join(", "),
                    PARTITIONS.join(", ")
                ),
            });
        }
        Ok(Self {
            table,
            clock,
            roll,
            open: None,
            sealed: Vec::new(),
        })
    }

    fn begin(clock: &dyn Clock) -> Rolled {
        let millis = clock.now_millis();
        let random = RandomState::new().hash_one(millis);
        Rolled {
            written: format!("{}-{random:016x}", compact_utc(millis)),
            since: clock.monotonic(),
            bytes: 0,
            rows: BTreeMap::new(),
        }
    }

    /// Whether what waits is large or old enough.
    fn is_due(&self) -> bool {
        let age = |open: &Rolled| self.clock.monotonic().saturating_sub(open.since);
        let due = |open: &Rolled| open.bytes >= self.roll.bytes || age(open) >= self.roll.age;
        self.open.as_ref().is_some_and(due)
    }

    /// Writes all sealed rolls.
    fn flush(&mut self) -> std::result::Result<(), String> {
        while let Some(rolled) = self.sealed.first() {
            let written = write(&self.table, rolled);
            written.map_err(|error| with_causes(&error))?;
            self.sealed.remove(0);
        }
        Ok(())
    }
}

impl Writer for TableWriter {
    fn take(&mut self, logged: Vec<Logged>) -> std::result::Result<(), String> {
        if self.sealed.len() >= ROLLS_MAX {
            counter!("logging_dropped_count").increment(logged.len() as u64);
            return Ok(());
        }
        let clock = self.clock.as_ref();
        let open = self.open.get_or_insert_with(|| Self::begin(clock));
        for row in logged {
            let day = Partition::of_millis(row.ts_millis);
            open.bytes += row.key_bytes.len() + row.value_bytes.len();
            let rows = open.rows.entry((day, row.join_name.clone()));
            rows.or_default().push(row);
        }
        Ok(())
    }

    fn tick(&mut self) -> std::result::Result<(), String> {
        if self.is_due() {
            self.sealed.extend(self.open.take());
        }
        self.flush()
    }

    fn close(&mut self) -> std::result::Result<(), String> {
        self.sealed.extend(self.open.take());
        self.flush()
    }
}

fn write(table: &Table, rolled: &Rolled) -> Result<()> {
    let lock = table.lock(LOCK_MILLIS_MAX)?;
    let writes = table.begin_write()?;
    let mut staged = Vec::with_capacity(rolled.rows.len());
    for ((day, name), rows) in &rolled.rows {
        let values = [day.to_string(), name.clone(), rolled.written.clone()];
        let key = PartitionKey::new(PARTITIONS.into_iter().zip(values));
        let mut writer = writes.writer(&schema(), &key, 0, &WriteOptions::default())?;
        writer.write(&batch(rows))?;
        staged.push(writer.finish()?);
    }
    lock.check()?;
    writes.commit(staged)?;
    Ok(())
}

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("schema_hash", DataType::String),
        Field::new("key_base64", DataType::String),
        Field::new("value_base64", DataType::String),
        Field::new("ts_millis", DataType::Long),
    ])
}

fn batch(rows: &[Logged]) -> RecordBatch {
    let hashes: StringArray = rows.iter().map(|row| row.schema_hash.as_deref()).collect();
    let encoded = |bytes: &Vec<u8>| STANDARD.encode(bytes);
    let keys = rows.iter().map(|row| encoded(&row.key_bytes));
    let values = rows.iter().map(|row| encoded(&row.value_bytes));
    let times: Int64Array = rows.iter().map(|row| Some(row.ts_millis)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(hashes),
        Arc::new(StringArray::from_iter_values(keys)),
        Arc::new(StringArray::from_iter_values(values)),
        Arc::new(times),
    ];
    RecordBatch::try_new(Arc::new(schema().to_arrow()), columns)
        .expect("the columns are those of the schema, as many of each as there are rows")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use unskewed_connectors::clock::ManualClock;
    use unskewed_connectors::table::{Selection, Warehouse};

    const DAY_MILLIS: i64 = 86_400_000;

    fn table(folder: &Path) -> Table {
        let warehouse = Warehouse::open(folder.to_str().unwrap()).unwrap();
        warehouse.table("logs.raw").unwrap()
    }

    fn logged(name: &str, ts_millis: i64) -> Logged {
        Logged {
            join_name: name.into(),
            key_bytes: vec![2, 4],
            value_bytes: vec![0; 10],
            ts_millis,
            schema_hash: Some("hash".into()),
        }
    }

    /// Times in the table, by day and name.
    fn times(table: &Table, ds: &str, name: &str) -> Vec<i64> {
        let selection = Selection::all().equal("ds", ds).equal("name", name);
        let batches = table.read(&selection, None).unwrap();
        let column = |batch: &RecordBatch| {
            let times = batch.column_by_name("ts_millis").unwrap();
            times.as_primitive::<Int64Type>().values().to_vec()
        };
        let mut times: Vec<i64> = batches.iter().flat_map(column).collect();
        times.sort_unstable();
        times
    }

    /// What waits is written when it is large, when it is old, and at the end; each time whole, beside what was there.
    #[test]
    fn rolls() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at_millis(5 * DAY_MILLIS));
        let roll = Roll {
            bytes: 30,
            age: Duration::from_secs(60),
        };
        let open = || TableWriter::open(table(folder.path()), Arc::clone(&clock) as _, roll);
        let mut writer = open().unwrap();
        let table = table(folder.path());
        writer
            .take(vec![logged("team/a", 1), logged("team/b", 2)])
            .unwrap();
        writer.tick().unwrap();
        assert!(!table.exists().unwrap());
        writer.take(vec![logged("team/a", DAY_MILLIS)]).unwrap();
        writer.tick().unwrap();
        assert_eq!(times(&table, "1970-01-01", "team/a"), [1]);
        assert_eq!(times(&table, "1970-01-01", "team/b"), [2]);
        assert_eq!(times(&table, "1970-01-02", "team/a"), [DAY_MILLIS]);
        writer.take(vec![logged("team/a", 3)]).unwrap();
        clock.advance(Duration::from_secs(59));
        writer.tick().unwrap();
        assert_eq!(times(&table, "1970-01-01", "team/a"), [1]);
        clock.advance(Duration::from_secs(1));
        writer.tick().unwrap();
        assert_eq!(times(&table, "1970-01-01", "team/a"), [1, 3]);
        writer.take(vec![logged("team/a", 4)]).unwrap();
        writer.close().unwrap();
        let mut other = open().unwrap();
        other.take(vec![logged("team/a", 5)]).unwrap();
        other.close().unwrap();
        assert_eq!(times(&table, "1970-01-01", "team/a"), [1, 3, 4, 5]);
    }

    /// A roll that fails is kept and written later, once; when too much waits, what comes is left out.
    #[test]
    fn a_table_that_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at_millis(0));
        let roll = Roll {
            bytes: 1,
            age: Duration::from_secs(60),
        };
        let place = table(folder.path());
        let mut writer = TableWriter::open(place.clone(), clock, roll).unwrap();
        let database = folder.path().join("logs.db");
        std::fs::write(&database, "no folder").unwrap();
        for millis in 0..6 {
            writer.take(vec![logged("team/a", millis)]).unwrap();
            assert!(writer.tick().is_err());
        }
        std::fs::remove_file(&database).unwrap();
        writer.close().unwrap();
        assert_eq!(times(&place, "1970-01-01", "team/a"), [0, 1, 2, 3]);
    }

    /// A table of another layout is refused before anything is logged.
    #[test]
    fn another_layout() {
        let folder = tempfile::tempdir().unwrap();
        let place = table(folder.path());
        place.create(&schema(), &["ds"]).unwrap();
        let clock = Arc::new(ManualClock::at_millis(0));
        let roll = Roll {
            bytes: 1,
            age: Duration::ZERO,
        };
        let refused = TableWriter::open(place, clock, roll).err().unwrap();
        assert!(
            refused.to_string().contains("ds, name, written"),
            "{refused}"
        );
    }
}
