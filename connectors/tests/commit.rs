//! A partition is replaced at once or not at all: killed at every step, killed for real, read all
//! the while.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use unskewed_connectors::error::{Error, Result, Retry};
use unskewed_connectors::memory::{CrashAt, Faults};
use unskewed_connectors::table::{
    PartitionKey, Selection, Table, Warehouse, WarehouseOptions, WriteOptions,
};
use unskewed_connectors::{Hook, Operation, Verdict};
use unskewed_planner::schema::{DataType, Field, Schema};

const PARTS: u32 = 2;
const ROWS_OF_PART: usize = 10;

fn schema() -> Schema {
    Schema::new(vec![Field::new("generation", DataType::Long)])
}

/// Every row of every part of every partition says which generation wrote it.
fn write(table: &Table, keys: &[PartitionKey], generation: i64) -> Result<()> {
    let write = table.begin_write()?;
    let mut staged = Vec::new();
    for key in keys {
        for part in 0..PARTS {
            let options = WriteOptions::default();
            let mut writer = write.writer(&schema(), key, part, &options)?;
            let rows = Arc::new(Int64Array::from(vec![generation; ROWS_OF_PART]));
            let arrow = schema().to_arrow().into();
            writer.write(&RecordBatch::try_new(arrow, vec![rows]).expect("one column"))?;
            staged.push(writer.finish()?);
        }
    }
    write.commit(staged)?;
    Ok(())
}

/// The generation of a partition; `None` if it is not there. Panics if it is mixed or incomplete.
fn generation(table: &Table, key: &PartitionKey) -> Result<Option<i64>> {
    let mut selection = Selection::all();
    for (column, value) in &key.values {
        selection = selection.equal(column, value.as_deref().expect("no nulls here"));
    }
    let mut found = Vec::new();
    let splits = match table.splits(&selection) {
        Err(Error::NoSuchTable { .. }) => return Ok(None),
        splits => splits?,
    };
    for split in splits {
        let mut reader = split.open(&schema(), &[])?;
        while let Some(batch) = reader.next_batch()? {
            found.extend(
                batch
                    .column(0)
                    .as_primitive::<Int64Type>()
                    .values()
                    .to_vec(),
            );
        }
    }
    let distinct: BTreeSet<i64> = found.iter().copied().collect();
    assert!(distinct.len() <= 1, "mixed generations {distinct:?}");
    let expected = PARTS as usize * ROWS_OF_PART;
    assert!(
        found.is_empty() || found.len() == expected,
        "{} rows",
        found.len()
    );
    Ok(distinct.first().copied())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Exchange,
    TwoRenames,
    Memory,
}

const KINDS: [Kind; 3] = [Kind::Exchange, Kind::TwoRenames, Kind::Memory];

fn options(kind: Kind, hook: Option<Arc<dyn Hook>>) -> WarehouseOptions {
    WarehouseOptions {
        hook,
        without_exchange: kind == Kind::TwoRenames,
        without_sync: true,
        ..WarehouseOptions::default()
    }
}

fn open(kind: Kind, folder: &tempfile::TempDir) -> Warehouse {
    let url = match kind {
        Kind::Memory => "memory://",
        Kind::Exchange | Kind::TwoRenames => folder.path().to_str().unwrap(),
    };
    Warehouse::open_with(url, options(kind, None)).unwrap()
}

fn days(days: &[&str]) -> Vec<PartitionKey> {
    days.iter()
        .map(|d| PartitionKey::new([("ds", *d)]))
        .collect()
}

/// Shows: whatever change a commit dies before, every partition is old or new; the sweep of the
/// next holder of the lock changes none of them and leaves no staging; a second try succeeds. How:
/// dies before change 0, 1, 2 … until it lives.
#[test]
fn killed_before_every_change() {
    let unpartitioned = vec![PartitionKey::unpartitioned()];
    let cases = [
        (days(&["1", "2"]), days(&["1", "2"])),
        (days(&["1"]), days(&["2"])),
        (vec![], days(&["1"])),
        (unpartitioned.clone(), unpartitioned.clone()),
        (vec![], unpartitioned),
    ];
    for kind in KINDS {
        for (before, written) in &cases {
            let mut change = 0;
            loop {
                let lived = killed_at(kind, before, written, change);
                if lived {
                    break;
                }
                change += 1;
            }
            assert!(change >= 3, "{kind:?} made only {change} changes");
        }
    }
}

fn killed_at(kind: Kind, before: &[PartitionKey], written: &[PartitionKey], change: u64) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = open(kind, &folder);
    let table = warehouse.table("db.t").unwrap();
    if !before.is_empty() {
        write(&table, before, 1).unwrap();
    }
    let crash = Arc::new(CrashAt::change(change));
    let dying = warehouse.reopened_with(options(kind, Some(Arc::clone(&crash) as Arc<dyn Hook>)));
    let result = write(&dying.table("db.t").unwrap(), written, 2);
    assert_eq!(result.is_err(), crash.crashed());
    drop(dying);

    let reopened = warehouse.reopened_with(options(kind, None));
    let table = reopened.table("db.t").unwrap();
    let look = || {
        let all = before.iter().chain(written);
        all.map(|key| generation(&table, key).unwrap())
            .collect::<Vec<_>>()
    };
    let seen = look();
    let context = format!("{kind:?} {before:?} {written:?} change {change}: {seen:?}");
    for (key, seen) in before.iter().chain(written).zip(&seen) {
        let old = before.contains(key).then_some(1);
        let new = written.contains(key).then_some(2);
        assert!(
            *seen == old || (seen.is_some() && *seen == new),
            "{context}"
        );
    }
    if !crash.crashed() {
        for key in written {
            assert_eq!(generation(&table, key).unwrap(), Some(2), "{context}");
        }
    }
    drop(table.lock(0).unwrap());
    assert_eq!(look(), seen, "{context}");
    assert!(!folder.path().join("db.db/_staging").exists(), "{context}");
    write(&table, written, 3).unwrap();
    for key in written {
        assert_eq!(generation(&table, key).unwrap(), Some(3), "{context}");
    }
    !crash.crashed()
}

/// Shows: readers that list and read all the while see one whole generation, or are told that files
/// changed.
#[test]
fn readers_see_old_or_new() {
    for kind in [Kind::Exchange, Kind::Memory] {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = open(kind, &folder);
        let table = warehouse.table("db.t").unwrap();
        let key = &days(&["1"]);
        write(&table, key, 0).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let readers = [(); 2].map(|()| {
                scope.spawn(|| {
                    let (mut last, mut reads) = (0, 0);
                    while !done.load(Ordering::Acquire) {
                        match generation(&table, &key[0]) {
                            Ok(seen) => {
                                let seen = seen.expect("the partition is always there");
                                assert!(seen >= last, "went back from {last} to {seen}");
                                last = seen;
                                reads += 1;
                            }
                            Err(error) => assert_eq!(error.retry(), Retry::Backoff, "{error:?}"),
                        }
                    }
                    reads
                })
            });
            for generation in 1..40 {
                write(&table, key, generation).unwrap();
            }
            done.store(true, Ordering::Release);
            for reader in readers {
                assert!(reader.join().unwrap() > 0, "{kind:?}");
            }
        });
    }
}

const CHILD_FOLDER: &str = "UNSKEWED_TEST_KILLED_CHILD_FOLDER";

/// The process that [`killed_for_real`] kills; in the parent it has nothing to do.
#[test]
fn child_that_is_killed() {
    let Ok(folder) = std::env::var(CHILD_FOLDER) else {
        return;
    };
    let warehouse = Warehouse::open(&folder).unwrap();
    let table = warehouse.table("db.t").unwrap();
    let _lock = table.lock(0).unwrap();
    let keys = days(&["1", "2"]);
    let mut next = generation(&table, &keys[0]).unwrap().unwrap_or(0);
    loop {
        next += 1;
        write(&table, &keys, next).unwrap();
    }
}

/// Shows: kill -9 at any moment leaves every partition whole, frees the lock, and the next process
/// goes on.
#[test]
fn killed_for_real() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let table = Warehouse::open(path).unwrap().table("db.t").unwrap();
    let mut last = [0, 0];
    for round in 0..8_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed"])
            .env(CHILD_FOLDER, path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let begun = last[0];
        // Killed some way into its work, at a moment that differs each time.
        while generation(&table, &days(&["1"])[0])
            .unwrap_or(None)
            .unwrap_or(0)
            <= begun
        {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the child failed by itself"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(round * 1700));
        child.kill().unwrap();
        child.wait().unwrap();
        for (key, last) in days(&["1", "2"]).iter().zip(&mut last) {
            let seen = generation(&table, key).unwrap().unwrap_or(0);
            assert!(seen >= *last, "{key} went back from {last} to {seen}");
            *last = seen;
        }
        assert!(last[0] > begun && last[1] <= last[0], "{last:?}");
    }
    drop(table.lock(1000).unwrap());
    assert!(!folder.path().join("db.db/_staging").exists());
}

/// A disk that is full after so many writes.
#[derive(Debug)]
struct FullDisk;

impl Hook for FullDisk {
    fn before(&self, operation: Operation, _path: &str) -> Verdict {
        match operation {
            Operation::Write => Verdict::Fail,
            _ => Verdict::Proceed,
        }
    }
}

/// Shows: a write that fails is an error, leaves the old partition, and no staged file.
#[test]
fn full_disk() {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = open(kind, &folder);
        let key = &days(&["1"]);
        write(&warehouse.table("db.t").unwrap(), key, 1).unwrap();
        let full = warehouse.reopened_with(options(kind, Some(Arc::new(FullDisk))));
        let error = write(&full.table("db.t").unwrap(), key, 2).unwrap_err();
        assert!(matches!(error, Error::Write { .. }), "{error:?}");
        let table = warehouse.table("db.t").unwrap();
        assert_eq!(generation(&table, &key[0]).unwrap(), Some(1));
        assert!(!folder.path().join("db.db/_staging").exists());
    }
}

/// Shows: under random faults every call answers rightly or with an error, and once they are over
/// all is well.
#[test]
fn random_faults() {
    for seed in 0..15 {
        let kind = KINDS[seed as usize % 3];
        let folder = tempfile::tempdir().unwrap();
        let warehouse = open(kind, &folder);
        let keys = days(&["1", "2"]);
        write(&warehouse.table("db.t").unwrap(), &keys, 0).unwrap();
        let mut faults = Faults::seeded(seed);
        (faults.fail_one_in, faults.truncate_one_in) = (12, 15);
        let faulty = warehouse.reopened_with(options(kind, Some(Arc::new(faults))));
        let table = faulty.table("db.t").unwrap();
        let mut latest = [0, 0];
        for next in 1..8 {
            let Ok(_lock) = table.lock(0) else { continue };
            let committed = write(&table, &keys, next).is_ok();
            for (key, latest) in keys.iter().zip(&mut latest) {
                let sound = warehouse.table("db.t").unwrap();
                let seen = generation(&sound, key).unwrap().expect("never gone");
                assert!(seen == *latest || seen == next, "seed {seed}");
                assert!(!committed || seen == next, "seed {seed}");
                *latest = seen;
                if let Ok(Some(seen)) = generation(&table, key) {
                    assert_eq!(seen, *latest, "seed {seed}");
                }
            }
        }
    }
}
