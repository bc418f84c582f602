//! The contract of stores, held against each of them by the same tests.

use std::sync::Arc;

use unskewed_connectors::clock::{Clock, ManualClock};
use unskewed_connectors::kv::{Generation, Get, KvStore, Put, open};

use crate::server::{Server, cluster};

const INFO_KEY: &[u8] = b"info";

fn put_batch(store: &dyn KvStore, dataset: &str, end_millis: i64, rows: &[(&str, &str)]) {
    let mut write = store.begin_batch(dataset, end_millis).unwrap();
    for (key, value) in rows {
        write.put(&[(key.as_bytes(), value.as_bytes())]).unwrap();
    }
    write.commit(INFO_KEY, &end_millis.to_be_bytes()).unwrap();
}

fn get(
    store: &dyn KvStore,
    dataset: &str,
    generation: Option<Generation>,
    key: &str,
) -> Option<(String, i64)> {
    let get = Get {
        dataset,
        generation,
        key: key.as_bytes(),
    };
    let found = store.multi_get(&[get]).unwrap().remove(0)?;
    Some((String::from_utf8(found.bytes).unwrap(), found.millis))
}

/// Runs a check on every kind of store.
fn on_all(check: impl Fn(&dyn KvStore, &ManualClock)) {
    let on = |address: &str| {
        let clock = Arc::new(ManualClock::at_millis(1_000));
        let store = open(address, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        check(store.as_ref(), &clock);
    };
    on("memory:");
    let folder = tempfile::tempdir().unwrap();
    on(&format!("embedded:{}", folder.path().display()));
    if let Some(address) = cluster() {
        return on(&address);
    }
    if let Some(server) = Server::start("v1ttl", 2, &[]) {
        on(&server.address("?prefix=one"));
        server.admin("/split?key=m");
        on(&server.address(""));
    }
    if let Some(server) = Server::start("v1", 1, &[]) {
        on(&server.address(""));
    }
    if let Some(server) = Server::start("v2", 1, &["-keyspaces=features=7"]) {
        on(&server.address("/DEFAULT"));
        on(&server.address("/features"));
    }
}

/// Single rows come back in the order asked for; later puts replace earlier ones; expired rows are gone.
#[test]
fn single_rows() {
    on_all(|store, clock| {
        store.create("D").unwrap();
        let put = |key: &'static str, value: &'static str, expires_millis| Put {
            dataset: "D",
            key: key.as_bytes(),
            value: value.as_bytes(),
            millis: 7,
            expires_millis,
        };
        let puts = [
            put("a", "1", None),
            put("b", "2", Some(2_000)),
            put("a", "3", None),
        ];
        store.multi_put(&puts).unwrap();
        let key = |dataset: &'static str, key: &'static str| Get {
            dataset,
            generation: None,
            key: key.as_bytes(),
        };
        let gets = [key("D", "b"), key("D", "c"), key("E", "a"), key("D", "a")];
        let found = store.multi_get(&gets).unwrap();
        let texts: Vec<_> = found
            .iter()
            .map(|f| f.as_ref().map(|f| f.bytes.clone()))
            .collect();
        assert_eq!(
            texts,
            [Some(b"2".to_vec()), None, None, Some(b"3".to_vec())]
        );
        assert_eq!(found[3].as_ref().unwrap().millis, 7);
        clock.advance(std::time::Duration::from_millis(1_000));
        assert_eq!(get(store, "D", None, "b"), None);
        assert_eq!(get(store, "D", None, "a"), Some(("3".into(), 7)));
    });
}

/// A batch is seen once its serving info is there, and never in part; the one before it stays readable.
#[test]
fn batches() {
    on_all(|store, _| {
        assert_eq!(store.batch("G").unwrap(), None);
        put_batch(store, "G", 10, &[("a", "1"), ("b", "1")]);
        let first = store.batch("G").unwrap().unwrap();
        assert_eq!(
            (first.end_millis, &first.info[..]),
            (10, &10_i64.to_be_bytes()[..])
        );
        let mut write = store.begin_batch("G", 20).unwrap();
        write.put(&[(b"a", b"2")]).unwrap();
        assert_eq!(
            store.batch("G").unwrap().as_ref(),
            Some(&first),
            "not committed"
        );
        assert_eq!(
            get(store, "G", Some(first.generation), "a"),
            Some(("1".into(), 10))
        );
        write.commit(INFO_KEY, b"info of 20").unwrap();
        let second = store.batch("G").unwrap().unwrap();
        assert!(second.generation > first.generation);
        assert_eq!(second.info, b"info of 20");
        assert_eq!(
            get(store, "G", Some(second.generation), "a"),
            Some(("2".into(), 20))
        );
        assert_eq!(
            get(store, "G", Some(second.generation), "b"),
            None,
            "gone with the batch"
        );
        assert_eq!(
            get(store, "G", Some(first.generation), "b"),
            Some(("1".into(), 10))
        );
        assert_eq!(
            get(store, "G", Some(second.generation), "info").unwrap().1,
            20
        );
        assert_eq!(
            get(store, "G", None, "a"),
            None,
            "rows of batches are no single rows"
        );
        put_batch(store, "G", 30, &[]);
        let third = store.batch("G").unwrap().unwrap();
        put_batch(store, "G", 40, &[("a", "4")]);
        assert_eq!(
            get(store, "G", Some(third.generation), "info").unwrap().1,
            30
        );
        assert_eq!(
            get(store, "G", Some(first.generation), "b"),
            None,
            "two batches ago"
        );
        assert_eq!(store.batch("OTHER").unwrap(), None);
    });
}

/// A batch that was given up leaves nothing in the next one.
#[test]
fn abandoned_batches() {
    on_all(|store, _| {
        put_batch(store, "G", 10, &[("a", "1")]);
        let mut write = store.begin_batch("G", 20).unwrap();
        write.put(&[(b"stray", b"2")]).unwrap();
        drop(write);
        let current = store.batch("G").unwrap().unwrap();
        assert_eq!(current.end_millis, 10);
        put_batch(store, "G", 30, &[("a", "3")]);
        let next = store.batch("G").unwrap().unwrap();
        assert_eq!(get(store, "G", Some(next.generation), "stray"), None);
        assert_eq!(
            get(store, "G", Some(next.generation), "a"),
            Some(("3".into(), 30))
        );
    });
}
