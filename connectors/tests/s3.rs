//! The warehouse in a real S3 dialect, if a server is named: any address and credentials by the
//! usual `AWS_…` variables. For a local one: `pip install 'moto[server]'`, `moto_server -p 19500`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

const URL: &str = "UNSKEWED_TEST_S3_URL";

/// Shows: tables are written, replaced, read, locked and dropped in an S3 bucket.
#[test]
fn tables_in_a_bucket() {
    let Ok(url) = std::env::var(URL) else {
        println!("skipped: {URL} names no bucket, such as s3://bucket/prefix");
        return;
    };
    if !cfg!(feature = "s3") {
        println!("skipped: built without the feature s3");
        return;
    }
    story(&url);
}

fn story(url: &str) {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Int64Array, RecordBatch};
    use unskewed_connectors::error::Error;
    use unskewed_connectors::table::{PartitionKey, Selection, Warehouse, WriteOptions};
    use unskewed_planner::schema::{DataType, Field, Schema};

    let warehouse = Warehouse::open(url).unwrap();
    let table = warehouse.table("unskewed_test.t").unwrap();
    let lock = table.lock(0).unwrap();
    assert!(matches!(table.lock(0), Err(Error::Locked { .. })));
    table.drop_table().unwrap();
    let schema = Schema::new(vec![Field::new("id", DataType::Long)]);
    // Enough rows for an upload of several parts the second time.
    for (generation, rows) in [(1, 10), (2, 3_000_000_i64)] {
        let write = table.begin_write().unwrap();
        let key = PartitionKey::new([("ds", "a/b=c"), ("hr", "00:00")]);
        let options = WriteOptions::default();
        let mut writer = write.writer(&schema, &key, 0, &options).unwrap();
        let values = (0..rows).map(|row| row.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed()));
        let values = Int64Array::from_iter_values(values);
        let arrow = Arc::new(schema.to_arrow());
        let batch = RecordBatch::try_new(arrow, vec![Arc::new(values.clone())]).unwrap();
        writer.write(&batch).unwrap();
        let staged = writer.finish().unwrap();
        write.commit(vec![staged]).unwrap();
        table
            .set_property("generation", Some(&generation.to_string()))
            .unwrap();
        let read = table.read(&Selection::all(), Some(&["id"])).unwrap();
        let read = read
            .iter()
            .flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec());
        assert_eq!(read.collect::<Vec<_>>(), values.values().to_vec());
        assert_eq!(table.partitions().unwrap(), [key]);
    }
    assert_eq!(warehouse.tables().unwrap(), ["unskewed_test.t"]);
    let archived = table.archive().unwrap();
    assert!(!table.exists().unwrap());
    warehouse.table(&archived).unwrap().drop_table().unwrap();
    lock.check().unwrap();
    drop(lock);
    drop(table.lock(0).unwrap());
}
