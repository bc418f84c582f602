//! Containers survive the wire, and splitting one among workers loses and invents no row.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, Float64Array, Int64Array, StringArray};
use timely::dataflow::channels::ContainerBytes;

use super::*;

fn batch(rows: u64, constant: bool) -> Batch {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..rows {
        for item in 0..row % 3 {
            lists
                .values()
                .append_option((item != 1).then(|| format!("{row}.{item}")));
        }
        lists.append(row % 5 != 4);
    }
    let mix = |r: u64| u128::from(r.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(r);
    Batch {
        key: (0..rows).map(|r| mix(r % 7)).collect(),
        ts: (0..rows as i64).map(|r| r * 40_000_000 - 9).collect(),
        position: (0..rows).map(|r| (r % 4) << SPLIT_SHIFT | r).collect(),
        columns: vec![
            Arc::new(Int64Array::from_iter(
                (0..rows as i64).map(|r| (r % 4 != 0).then_some(r)),
            )),
            Arc::new(Float64Array::from_iter_values(
                (0..rows).map(|r| 0.5 - r as f64),
            )),
            Arc::new(lists.finish()),
            Arc::new(StringArray::from_iter((0..rows).map(|r| {
                (r % 9 != 8).then(|| format!("2024-01-{:02}", 1 + r / 20))
            }))),
        ],
        time: if constant {
            Rle::Constant(9)
        } else {
            Rle::Each((0..rows).collect())
        },
        diff: if constant {
            Rle::Constant(-1)
        } else {
            Rle::Each((0..rows as i64).map(|r| 1 - 2 * (r % 2)).collect())
        },
    }
}

fn same(left: &Batch, right: &Batch) {
    assert_eq!(left.key, right.key);
    assert_eq!(left.ts, right.ts);
    assert_eq!(left.position, right.position);
    assert_eq!(left.time, right.time);
    assert_eq!(left.diff, right.diff);
    assert_eq!(left.columns.len(), right.columns.len());
    for (l, r) in left.columns.iter().zip(&right.columns) {
        assert_eq!(l.to_data(), r.to_data());
    }
}

/// Written and read, a container is the same: empty, sliced, with constant and with varying times.
#[test]
fn survives_the_wire() {
    let whole = batch(100, false);
    for sent in [
        batch(0, true),
        batch(33, true),
        whole.slice(13..57),
        Batch::default(),
        Batch {
            key: vec![],
            ts: vec![],
            ..whole.clone()
        },
        whole,
    ] {
        let mut bytes = Vec::new();
        sent.into_bytes(&mut bytes);
        assert_eq!(bytes.len(), sent.length_in_bytes());
        assert_eq!(bytes.len() % 8, 0);
        let bytes = timely::bytes::arc::BytesMut::from(bytes).freeze();
        same(&Batch::from_bytes(bytes), &sent);
    }
}

struct Collect(Rc<RefCell<Vec<Batch>>>);

impl Push<Message<u64, Batch>> for Collect {
    fn push(&mut self, message: &mut Option<Message<u64, Batch>>) {
        if let Some(message) = message.take() {
            self.0.borrow_mut().push(message.data);
        }
    }
}

/// The worker that gets a row, restated.
fn worker(route: &Route, batch: &Batch, row: usize, peers: usize) -> usize {
    match route {
        Route::Key => ((batch.key[row] >> 64) % (1 << 64) % peers as u128) as usize,
        Route::Split(owners) => {
            let split = (batch.position[row] >> SPLIT_SHIFT) as usize;
            if split < owners.len() {
                owners[split] % peers
            } else {
                split % peers
            }
        }
        Route::Together => 0,
        Route::Partition(column) => {
            let values = batch.columns[*column].as_string::<i32>();
            let value = if values.is_null(row) {
                ""
            } else {
                values.value(row)
            };
            owner_of_partition(value, peers)
        }
    }
}

/// Every row arrives once, where its route says, in order.
#[test]
fn splits_by_route() {
    let owners: Arc<[usize]> = Arc::from([1_usize, 0, 1]);
    for route in [
        Route::Key,
        Route::Partition(3),
        Route::Split(owners),
        Route::Together,
    ] {
        for peers in [1_usize, 2, 4] {
            let got: Vec<_> = (0..peers)
                .map(|_| Rc::new(RefCell::new(Vec::new())))
                .collect();
            let mut pushers: Vec<_> = got.iter().map(|g| Collect(Rc::clone(g))).collect();
            let mut distribute = Distribute::new(route.clone(), peers);
            let stamp = Stamp::from_elem(0_u64);
            let sent = batch(101, false);
            distribute.partition(&mut sent.clone(), &stamp, &mut pushers);
            distribute.flush(&stamp, &mut pushers);
            for (peer, got) in got.iter().enumerate() {
                let to = |row: &usize| worker(&route, &sent, *row, peers) == peer;
                let rows: Vec<u32> = (0..sent.len()).filter(to).map(|r| r as u32).collect();
                let got = got.borrow();
                assert_eq!(got.len(), usize::from(!rows.is_empty()));
                if let Some(got) = got.first() {
                    same(got, &sent.take(rows));
                }
            }
        }
    }
}
