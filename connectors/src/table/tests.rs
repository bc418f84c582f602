//! The table as a whole, on a disk and in memory: written, read back, replaced, renamed, dropped.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;

use super::*;
use crate::clock::ManualClock;

fn schema() -> Schema {
    Schema::new(vec![
        Field::new("id", DataType::Long),
        Field::new("name", DataType::String),
        Field::new("ds", DataType::String),
    ])
}

fn batch(ids: &[i64], ds: &str) -> RecordBatch {
    let names: Vec<String> = ids.iter().map(|id| format!("n{id}")).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids.to_vec())),
        Arc::new(StringArray::from(names)),
        Arc::new(StringArray::from(vec![ds; ids.len()])),
    ];
    let arrow: SchemaRef = schema().to_arrow().into();
    RecordBatch::try_new(arrow, columns).unwrap()
}

fn key(ds: &str) -> PartitionKey {
    PartitionKey::new([("ds", ds)])
}

fn put(table: &Table, ds: &str, ids: &[i64]) -> Result<Committed> {
    let write = table.begin_write()?;
    let mut writer = write.writer(&schema(), &key(ds), 0, &WriteOptions::default())?;
    writer.write(&batch(ids, ds))?;
    let staged = writer.finish()?;
    write.commit(vec![staged])
}

fn ids(table: &Table, selection: &Selection) -> Vec<i64> {
    let batches = table.read(selection, Some(&["id"])).unwrap();
    let ids = batches
        .iter()
        .flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec());
    ids.collect()
}

/// The same stories on every kind of storage.
fn everywhere(story: impl Fn(&Warehouse)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wh");
    story(&Warehouse::open(path.to_str().unwrap()).unwrap());
    let without = WarehouseOptions {
        without_exchange: true,
        ..WarehouseOptions::default()
    };
    let path = folder.path().join("old disk");
    story(&Warehouse::open_with(path.to_str().unwrap(), without).unwrap());
    story(&Warehouse::open("memory://").unwrap());
}

/// What is written is read, partition columns last and as strings, in order.
#[test]
fn write_then_read() {
    everywhere(|warehouse| {
        let table = warehouse.table("db.t").unwrap();
        assert!(!table.exists().unwrap());
        assert!(matches!(table.schema(), Err(Error::NoSuchTable { .. })));
        put(&table, "2024-03-02", &[3, 4]).unwrap();
        put(&table, "2024-03-01", &[1, 2]).unwrap();
        assert!(table.exists().unwrap());
        assert_eq!(table.schema().unwrap(), schema());
        assert_eq!(
            table.partition_values("ds").unwrap(),
            ["2024-03-01", "2024-03-02"]
        );
        assert_eq!(ids(&table, &Selection::all()), [1, 2, 3, 4]);
        let whole = table.read(&Selection::all(), None).unwrap();
        assert_eq!(whole[0], batch(&[1, 2], "2024-03-01"));
        let late = Selection::all().between("ds", Some("2024-03-02"), None);
        assert_eq!(ids(&table, &late), [3, 4]);
        assert_eq!(warehouse.tables().unwrap(), ["db.t"]);
    });
}

/// A partition is replaced whole; the others stay; a staged part without a commit leaves nothing.
#[test]
fn replace_and_give_up() {
    everywhere(|warehouse| {
        let table = warehouse.table("db.t").unwrap();
        put(&table, "2024-03-01", &[1, 2]).unwrap();
        put(&table, "2024-03-02", &[3]).unwrap();
        put(&table, "2024-03-01", &[9]).unwrap();
        assert_eq!(ids(&table, &Selection::all()), [9, 3]);
        let before = table.files(&Selection::all()).unwrap();
        {
            let write = table.begin_write().unwrap();
            let options = WriteOptions::default();
            let day = key("2024-03-01");
            let mut writer = write.writer(&schema(), &day, 0, &options).unwrap();
            writer.write(&batch(&[7], "2024-03-01")).unwrap();
            writer.finish().unwrap();
            let mut half = write.writer(&schema(), &day, 1, &options).unwrap();
            half.write(&batch(&[8], "2024-03-01")).unwrap();
        }
        assert_eq!(table.files(&Selection::all()).unwrap(), before);
        drop(table.lock(0).unwrap());
        assert_eq!(ids(&table, &Selection::all()), [9, 3]);
    });
}

/// Parts of several writers become one partition, read in the order of their numbers.
#[test]
fn several_parts() {
    everywhere(|warehouse| {
        let table = warehouse.table("db.t").unwrap();
        let write = table.begin_write().unwrap();
        let options = WriteOptions::default();
        let staged = std::thread::scope(|scope| {
            let parts = [1_u32, 0].map(|part| {
                let (write, options) = (&write, &options);
                scope.spawn(move || {
                    let mut writer = write.writer(&schema(), &key("a/b"), part, options).unwrap();
                    writer.write(&batch(&[part.into()], "a/b")).unwrap();
                    writer.finish().unwrap()
                })
            });
            parts.map(|p| p.join().unwrap())
        });
        let committed = write.commit(staged.into()).unwrap();
        assert_eq!(committed.rows, 2);
        assert_eq!(ids(&table, &Selection::all()), [0, 1]);
        assert_eq!(table.partition_values("ds").unwrap(), ["a/b"]);
    });
}

/// An unpartitioned table is replaced whole, its properties kept.
#[test]
fn unpartitioned() {
    everywhere(|warehouse| {
        let table = warehouse.table("db.flat").unwrap();
        let flat = Schema::new(schema().fields[..2].to_vec());
        for ids in [&[1_i64, 2][..], &[3]] {
            let write = table.begin_write().unwrap();
            let unpartitioned = PartitionKey::unpartitioned();
            let options = WriteOptions::default();
            let mut writer = write.writer(&flat, &unpartitioned, 0, &options).unwrap();
            let rows = batch(ids, "").project(&[0, 1]).unwrap();
            writer.write(&rows).unwrap();
            let staged = writer.finish().unwrap();
            write.commit(vec![staged]).unwrap();
            table.set_property("k", Some("v")).unwrap();
        }
        assert_eq!(ids(&table, &Selection::all()), [3]);
        assert_eq!(table.properties().unwrap().properties["k"], "v");
        assert_eq!(table.partitions().unwrap(), [PartitionKey::unpartitioned()]);
        let write = table.begin_write().unwrap();
        let wrong = write.writer(&flat, &key("x"), 0, &WriteOptions::default());
        assert!(wrong.is_err());
    });
}

/// Tables are created empty, expanded, renamed, archived and dropped; partitions are dropped.
#[test]
fn life_of_a_table() {
    everywhere(|warehouse| {
        let clock = Arc::new(ManualClock::at_millis(1_709_301_599_000));
        let warehouse = warehouse.reopened_with(WarehouseOptions {
            clock: Some(clock),
            ..WarehouseOptions::default()
        });
        let table = warehouse.table("db.t").unwrap();
        table.create(&schema(), &["ds"]).unwrap();
        assert!(matches!(
            table.create(&schema(), &["ds"]),
            Err(Error::TableExists { .. })
        ));
        assert_eq!(table.schema().unwrap(), schema());
        assert!(table.partitions().unwrap().is_empty());
        put(&table, "1", &[1]).unwrap();
        put(&table, "2", &[2]).unwrap();
        let mut wider = schema();
        wider
            .fields
            .insert(1, Field::new("extra", DataType::Double));
        let expanded = table.expand_schema(&wider).unwrap();
        assert_eq!(expanded.fields[2].name, "extra");
        let changed = Schema::new(vec![Field::new("id", DataType::String)]);
        assert!(matches!(
            table.expand_schema(&changed),
            Err(Error::TypeConflict { .. })
        ));
        let read = table.read(&Selection::all(), Some(&["extra"])).unwrap();
        assert_eq!(read[0].column(0).null_count(), 1);
        table.drop_partition(&key("1")).unwrap();
        table.drop_partition(&key("1")).unwrap();
        assert_eq!(ids(&table, &Selection::all()), [2]);
        let archived = table.archive().unwrap();
        assert_eq!(archived, "db.t_20240301135959");
        assert!(!table.exists().unwrap());
        let archived = warehouse.table(&archived).unwrap();
        assert_eq!(ids(&archived, &Selection::all()), [2]);
        assert_eq!(
            archived.properties().unwrap().properties["chronon_archived"],
            "true"
        );
        archived.drop_table().unwrap();
        assert!(warehouse.tables().unwrap().is_empty());
    });
}

/// Two tables of one name set aside within one second both stay, under names of their own.
#[test]
fn archived_twice_within_a_second() {
    everywhere(|warehouse| {
        let clock = Arc::new(ManualClock::at_millis(1_709_301_599_000));
        let warehouse = warehouse.reopened_with(WarehouseOptions {
            clock: Some(clock),
            ..WarehouseOptions::default()
        });
        let mut archived = vec![];
        for id in [1, 2] {
            let table = warehouse.table("db.t").unwrap();
            put(&table, "1", &[id]).unwrap();
            archived.push(table.archive().unwrap());
        }
        assert_eq!(archived, ["db.t_20240301135959", "db.t_20240301140000"]);
        for (name, id) in archived.iter().zip([1, 2]) {
            assert_eq!(
                ids(&warehouse.table(name).unwrap(), &Selection::all()),
                [id]
            );
        }
    });
}

/// Sub-partitions in a table's name filter what is listed, not what is read.
#[test]
fn sub_partitions() {
    everywhere(|warehouse| {
        let table = warehouse.table("db.t").unwrap();
        for (ds, system) in [("1", "web"), ("1", "mobile"), ("2", "web")] {
            let write = table.begin_write().unwrap();
            let key = PartitionKey::new([("ds", ds), ("system", system)]);
            let options = WriteOptions::default();
            let flat = Schema::new(schema().fields[..1].to_vec());
            let mut writer = write.writer(&flat, &key, 0, &options).unwrap();
            writer
                .write(&batch(&[1], "").project(&[0]).unwrap())
                .unwrap();
            let staged = writer.finish().unwrap();
            write.commit(vec![staged]).unwrap();
        }
        let mobile = warehouse.table("db.t/system=mobile").unwrap();
        assert_eq!(mobile.partition_values("ds").unwrap(), ["1"]);
        assert_eq!(mobile.partitions().unwrap().len(), 1);
        assert_eq!(table.partition_values("ds").unwrap(), ["1", "2"]);
        assert_eq!(ids(&mobile, &Selection::all()), [1, 1, 1]);
        table.drop_partition(&key("1")).unwrap();
        assert_eq!(table.partitions().unwrap().len(), 1);
    });
}

/// The second writer waits, is told who holds the lock, and gets it when the first is done.
#[test]
fn lock_excludes() {
    everywhere(|warehouse| {
        let clock = Arc::new(ManualClock::at_millis(0));
        let warehouse = warehouse.reopened_with(WarehouseOptions {
            clock: Some(clock),
            ..WarehouseOptions::default()
        });
        let table = warehouse.table("db.t").unwrap();
        let held = table.lock(0).unwrap();
        held.check().unwrap();
        let Err(Error::Locked { holder, .. }) = table.lock(1000) else {
            panic!("two holders");
        };
        assert!(holder.contains(&std::process::id().to_string()), "{holder}");
        warehouse.table("db.other").unwrap().lock(0).unwrap();
        drop(held);
        table.lock(0).unwrap();
    });
}
