//! What only the embedded store promises, and addresses. The contract of all stores is held by `tests/stores`.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::clock::ManualClock;

fn embedded(folder: &Path) -> Result<Embedded> {
    Embedded::open(folder, Arc::new(ManualClock::at_millis(0)))
}

/// A second owner is told so; what was written is there for the next.
#[test]
fn one_owner_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = embedded(folder.path()).unwrap();
    let write = store.begin_batch("G", 10).unwrap();
    write.commit(b"info", b"of 10").unwrap();
    let error = embedded(folder.path()).err().unwrap();
    assert!(matches!(error, Error::StoreLocked { .. }), "{error}");
    assert!(error.to_string().contains("another process"), "{error}");
    drop(store);
    let store = embedded(folder.path()).unwrap();
    let batch = store.batch("G").unwrap().unwrap();
    assert_eq!((batch.end_millis, &batch.info[..]), (10, &b"of 10"[..]));
}

/// Addresses that name no store are refused with the ones that do.
#[test]
fn addresses() {
    let clock = || Arc::new(ManualClock::at_millis(0)) as Arc<dyn Clock>;
    let folder = tempfile::tempdir().unwrap();
    let address = format!("embedded:{}", folder.path().display());
    assert!(open(&address, clock()).is_ok() && open("memory:", clock()).is_ok());
    for wrong in [
        "embedded:",
        "redis:localhost",
        "",
        "tikv:pd:2379",
        "tikv://pd",
    ] {
        let error = open(wrong, clock()).err().unwrap();
        assert!(matches!(error, Error::InvalidStore { .. }), "{error}");
    }
}

/// Stores hold what they say of rows that are none.
#[test]
fn damaged_rows_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let store = embedded(folder.path()).unwrap();
    store.create("D").unwrap();
    drop(store);
    let database = fjall::Database::builder(folder.path()).open().unwrap();
    let rows = database
        .keyspace("rows.D", fjall::KeyspaceCreateOptions::default)
        .unwrap();
    rows.insert("a", "short").unwrap();
    drop((rows, database));
    let store = embedded(folder.path()).unwrap();
    let key = Get {
        dataset: "D",
        generation: None,
        key: b"a",
    };
    let error = store.multi_get(&[key]).unwrap_err();
    assert!(matches!(error, Error::StoreDamaged { .. }), "{error}");
}
