//! The same promises, with the store in TiKV: over the test server, whose data lies in several regions.

use super::server::Server;
use super::training::{Streamed, check_in};

/// Four histories, of which each request is one call to each of the two regions that have its rows.
#[test]
fn fetched_from_tikv_is_trained() {
    let Some(server) = Server::start("v1ttl", 2, &[]) else {
        return;
    };
    // Rows of batches lie in one, single rows in the other.
    for seed in 61..=64 {
        let prefix = format!("p{seed}");
        let hex: String = prefix.bytes().map(|byte| format!("{byte:02x}")).collect();
        server.admin(&format!("/split?hex=03{hex}02"));
        let before = server.count("RawBatchGet");
        let (from_topics, tiled) = (seed % 2 == 0, seed % 4 < 2);
        let address = server.address(&format!("?prefix={prefix}"));
        let requests = check_in(&address, seed, Streamed { from_topics, tiled });
        let calls = server.count("RawBatchGet") - before;
        assert!(
            calls >= 2 * requests,
            "{calls} calls of {requests} requests"
        );
        // Besides: what is read back after writes, definitions, batches' names.
        assert!(
            calls <= 2 * requests + 100,
            "{calls} calls of {requests} requests"
        );
    }
}
