//! The store in TiKV, one fault after the other.

use std::sync::Arc;
use std::time::Duration;

use unskewed_connectors::clock::{Clock, ManualClock, SystemClock};
use unskewed_connectors::error::{Error, Retry};
use unskewed_connectors::kv::{Get, KvStore, Put, open};

use crate::server::Server;
use crate::{get, put, text, until};

fn opened(address: &str) -> Arc<dyn KvStore> {
    open(address, Arc::new(SystemClock::new())).unwrap()
}

/// Every fault that passes is got over, in reads and in writes, and nothing is lost.
#[test]
fn faults_that_pass_are_got_over() {
    let Some(server) = Server::start("v1ttl", 3, &[]) else {
        return;
    };
    let store = opened(&server.address(""));
    put(store.as_ref(), "a", "before").unwrap();
    let kinds = [
        "unavailable",
        "internal",
        "deadline_exceeded",
        "resource_exhausted",
        "lost_reply",
        "not_leader",
        "epoch_not_match",
        "region_not_found",
        "server_is_busy",
        "stale_command",
        "store_not_match",
        "disk_full",
        "max_timestamp_not_synced",
        "read_index_not_ready",
        "proposal_in_merging_mode",
    ];
    for kind in kinds {
        for request in ["RawBatchPut", "RawBatchGet"] {
            server.admin(&format!("/inject?rpc={request}&kind={kind}&count=3"));
        }
        put(store.as_ref(), "a", kind).unwrap();
        assert_eq!(get(store.as_ref(), "a").unwrap().as_deref(), Some(kind));
        assert!(
            !server.admin("/faults").contains("\"left\":3"),
            "{kind} was met"
        );
        server.admin("/clear");
    }
}

/// Regions that split, merge and move, and servers that go down, are followed.
#[test]
fn moving_regions_are_followed() {
    let Some(server) = Server::start("v1ttl", 3, &[]) else {
        return;
    };
    // Single rows of dataset D begin with this.
    let prefix = "08756e736b65776564010000000144";
    let store = opened(&server.address(""));
    let keys: Vec<String> = (0..60).map(|number| format!("{number:02}")).collect();
    let all_are = |value: &str| {
        let gets = keys.iter().map(|key| Get {
            dataset: "D",
            generation: None,
            key: key.as_bytes(),
        });
        let found = store.multi_get(&gets.collect::<Vec<_>>()).unwrap();
        for found in found {
            assert_eq!(found.unwrap().bytes, value.as_bytes());
        }
    };
    let put_all = |value: &str| {
        let puts = keys.iter().map(|key| Put {
            dataset: "D",
            key: key.as_bytes(),
            value: value.as_bytes(),
            millis: 0,
            expires_millis: None,
        });
        store.multi_put(&puts.collect::<Vec<_>>()).unwrap();
    };
    put_all("one region");
    all_are("one region");
    let before = server.count("RawBatchGet");
    all_are("one region");
    assert_eq!(
        server.count("RawBatchGet") - before,
        1,
        "a request is one call of the store"
    );
    for number in ["10", "25", "40"] {
        let hex: String = number.bytes().map(|byte| format!("{byte:02x}")).collect();
        server.admin(&format!("/split?hex={prefix}{hex}"));
        all_are("one region");
    }
    let before = server.count("RawBatchGet");
    all_are("one region");
    assert_eq!(server.count("RawBatchGet") - before, 4, "one call a region");
    put_all("four regions");
    all_are("four regions");
    let regions: Vec<String> = server
        .admin("/regions")
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(regions.len(), 4);
    let stores = server.stores();
    for (region, store) in regions.iter().zip(stores.iter().cycle()) {
        let id = region.split(' ').nth(1).unwrap();
        server.admin(&format!("/leader?region={id}&store={store}"));
    }
    all_are("four regions");
    // A fresh store meets a server that is down, whose regions have other leaders later.
    server.admin(&format!("/stop?store={}&elect_ms=300", stores[1]));
    let fresh = opened(&server.address(""));
    for key in &keys {
        let found = get(fresh.as_ref(), key).unwrap();
        assert_eq!(found.as_deref(), Some("four regions"));
    }
    put_all("two servers");
    all_are("two servers");
    let id = regions[0].split(' ').nth(1).unwrap();
    server.admin(&format!("/merge?region={id}"));
    all_are("two servers");
}

/// A store that is down gives errors with reasons, at once after a while, and needs no help when it is back.
#[test]
fn a_store_that_is_down_comes_back() {
    let Some(mut server) = Server::start("v1ttl", 1, &[]) else {
        return;
    };
    let store = opened(&server.address("?read_millis=1000&write_millis=1000"));
    put(store.as_ref(), "a", "1").unwrap();
    assert_eq!(get(store.as_ref(), "a").unwrap().as_deref(), Some("1"));
    server.kill();
    let error = put(store.as_ref(), "b", "1").unwrap_err();
    assert!(
        text(&error).contains("it did not answer within 1000 ms"),
        "{}",
        text(&error)
    );
    for _ in 0..5 {
        let error = get(store.as_ref(), "a").unwrap_err();
        assert!(
            matches!(error, Error::Store { action: "read", .. }),
            "{error:?}"
        );
        assert!(text(&error).contains("within 1000 ms"), "{}", text(&error));
        assert_eq!(error.retry(), Retry::Backoff);
    }
    let error = text(&get(store.as_ref(), "a").unwrap_err());
    assert!(
        error.contains("it was not asked") && error.contains("the last 5 calls"),
        "{error}"
    );
    server.restart();
    until("reads recover", || get(store.as_ref(), "a").is_ok());
    assert_eq!(get(store.as_ref(), "a").unwrap().as_deref(), Some("1"));
    until("writes recover", || put(store.as_ref(), "b", "2").is_ok());
    assert_eq!(get(store.as_ref(), "b").unwrap().as_deref(), Some("2"));
}

/// A server that holds answers back does not hold up a call longer than its limit, and the next one is answered.
#[test]
fn limits_hold() {
    let Some(server) = Server::start("v1ttl", 1, &[]) else {
        return;
    };
    let store = opened(&server.address("?read_millis=2000&write_millis=1000"));
    put(store.as_ref(), "a", "1").unwrap();
    // One that hangs is tried again within the limit.
    server.admin("/inject?rpc=RawBatchGet&kind=delay&ms=20000");
    assert_eq!(get(store.as_ref(), "a").unwrap().as_deref(), Some("1"));
    server.admin("/inject?rpc=RawBatchGet&kind=delay&ms=20000&count=1000");
    let error = text(&get(store.as_ref(), "a").unwrap_err());
    assert!(error.contains("did not answer within 2000 ms"), "{error}");
    server.admin("/clear");
    assert_eq!(get(store.as_ref(), "a").unwrap().as_deref(), Some("1"));
    server.admin("/inject?rpc=RawBatchPut&kind=server_is_busy&count=1000");
    let error = text(&put(store.as_ref(), "a", "2").unwrap_err());
    assert!(error.contains("the server is busy"), "{error}");
}

/// What was given up is not written later, over what was written since.
#[test]
fn what_was_given_up_does_not_come_late() {
    let Some(server) = Server::start("v1ttl", 1, &[]) else {
        return;
    };
    let (store, hasty) = (
        opened(&server.address("")),
        opened(&server.address("?write_millis=400")),
    );
    let reads_until = |millis: u128, wanted: &str| {
        let clock = SystemClock::new();
        while clock.monotonic().as_millis() < millis {
            assert_eq!(get(store.as_ref(), "a").unwrap().as_deref(), Some(wanted));
        }
    };
    until("a write", || put(hasty.as_ref(), "a", "before").is_ok());
    // PD may be asked anew a second after the last time.
    reads_until(1_100, "before");
    // The client has to ask where the row's region is, and nobody tells it; it would wait for that and then write.
    server.admin("/pd?down_ms=0");
    server.admin("/inject?rpc=RawBatchPut&kind=region_not_found");
    put(hasty.as_ref(), "a", "given up").unwrap_err();
    server.admin("/pd?up=1");
    until("a write", || put(hasty.as_ref(), "a", "after").is_ok());
    let puts = server.count("RawBatchPut");
    reads_until(2_500, "after");
    assert_eq!(server.count("RawBatchPut"), puts);
}

/// A load that was overtaken by another of the same dataset is told so, and no reader sees the holes in its batch.
#[test]
fn an_overtaken_load_is_refused() {
    let Some(server) = Server::start("v1ttl", 1, &[]) else {
        return;
    };
    let clock = Arc::new(ManualClock::at_millis(1_000));
    let store = open(&server.address(""), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    let mut overtaken = store.begin_batch("G", 10).unwrap();
    overtaken.put(&[(b"a", b"10")]).unwrap();
    clock.advance(Duration::from_millis(1));
    let mut other = store.begin_batch("G", 20).unwrap();
    overtaken.put(&[(b"b", b"10")]).unwrap();
    let error = overtaken.commit(b"info", b"10").unwrap_err();
    assert!(text(&error).contains("another batch"), "{}", text(&error));
    assert_eq!(store.batch("G").unwrap(), None);
    other.put(&[(b"a", b"20")]).unwrap();
    other.commit(b"info", b"20").unwrap();
    assert_eq!(store.batch("G").unwrap().unwrap().info, b"20");
}

/// What TiKV can never do is refused at once, with its reason, and no reason to ask again.
#[test]
fn refusals_are_final() {
    let Some(server) = Server::start("v1ttl", 1, &[]) else {
        return;
    };
    let store = opened(&server.address(""));
    let large = "x".repeat(9 << 20);
    let error = put(store.as_ref(), "a", &large).unwrap_err();
    assert!(text(&error).contains("too large"), "{}", text(&error));
    assert_eq!(error.retry(), Retry::Never);
    let error = put(store.as_ref(), &"k".repeat(10_000), "1").unwrap_err();
    assert!(text(&error).contains("it refused"), "{}", text(&error));
    assert!(!text(&error).contains("kkk"), "no keys in messages");
    // A cluster of another version than the address says.
    let clock = || Arc::new(SystemClock::new());
    let error = open(&server.address("/features"), clock()).err().unwrap();
    assert!(text(&error).contains("connect to"), "{}", text(&error));
    let Some(server) = Server::start("v2", 1, &[]) else {
        return;
    };
    let error = open(&server.address(""), clock()).err().unwrap();
    assert!(text(&error).contains("Api version"), "{}", text(&error));
}

/// Mutual TLS: with the three files it works, without them the error says what to look at.
#[test]
fn mutual_tls() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        folder
            .path()
            .join(format!("{name}.pem"))
            .display()
            .to_string()
    };
    let option = format!("-tls-dir={}", folder.path().display());
    let Some(server) = Server::start("v2", 2, &[&option]) else {
        return;
    };
    let options = format!(
        "ca={}&cert={}&key={}",
        file("ca"),
        file("cert"),
        file("key")
    );
    let store = opened(&server.address(&format!("/DEFAULT?{options}")));
    put(store.as_ref(), "a", "secret").unwrap();
    assert_eq!(get(store.as_ref(), "a").unwrap().as_deref(), Some("secret"));
    let clock = || Arc::new(SystemClock::new());
    let error = open(&server.address("/DEFAULT"), clock()).err().unwrap();
    assert!(
        text(&error).contains("is TLS on one side only?"),
        "{}",
        text(&error)
    );
    let missing = options.replace("cert.pem", "absent.pem");
    let error = open(&server.address(&format!("/DEFAULT?{missing}")), clock())
        .err()
        .unwrap();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("absent.pem"), "{error}");
}

/// Where nothing listens, opening fails with the endpoint and why.
#[test]
fn an_absent_cluster_is_said() {
    let Some(mut server) = Server::start("v1ttl", 1, &[]) else {
        return;
    };
    let address = server.address("");
    server.kill();
    let error = text(&open(&address, Arc::new(SystemClock::new())).err().unwrap());
    assert!(
        error.contains("refused") && error.contains("127.0.0.1:"),
        "{error}"
    );
}
