//! A stream of tiles answers as a stream of rows does.
//!
//! Random events of a key before and after a batch, much of it at edges of tiles, windows and of the batch. Both twins are
//! asked as of times after the batch's end, each time with what had come by then: at rows, at edges of tiles, a window
//! after rows, and at the end. Every value must be the same.

use serde_json::Value as Json;

use super::world::{ROWS, TILES, World};

#[test]
fn tiles_answer_as_rows() {
    let mut compared = 0;
    for seed in 0..30 {
        let mut world = World::new(seed + 9_100);
        for query in world.queries() {
            world.put_until(query);
            let expected = world.asked(ROWS, query).unwrap();
            let found = world.asked(TILES, query).unwrap();
            let events = &world.history.ts;
            assert_eq!(
                found, expected,
                "seed {seed}, as of {query}, events {events:?}"
            );
            let values = expected
                .as_ref()
                .and_then(Json::as_object)
                .into_iter()
                .flatten();
            compared += values.filter(|(_, value)| !value.is_null()).count();
        }
    }
    assert!(compared > 10_000, "{compared} values");
}
