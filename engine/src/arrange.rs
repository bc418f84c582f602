//! Sorting rows and keeping them: differential's arrangement over columns of our own.
//!
//! Everything of differential's trace interface that we use is used here. Differential does epochs, frontiers,
//! merging and compaction; the rows, their order and how a bulk load is sorted are ours.
//! Promises: an arrangement holds each row once, whatever the order and the epochs in which changes came.

use differential_dataflow::operators::arrange::arrangement::arrange_core;
use differential_dataflow::operators::arrange::{Arranged, TraceAgent};
use differential_dataflow::trace::Span;
use differential_dataflow::trace::chunk::{ChunkBatch, ChunkSpine};
use std::rc::Rc;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::DistributorPact;

use crate::exchange::{Batch, Distribute, Epoch, Route};
use crate::meter::Meter;

pub mod batcher;
pub mod chunk;
pub mod rows;

use batcher::RadixBatcher;
use chunk::RowChunk;

/// Rows of a chunk in a backfill.
pub const CHUNK_ROWS: usize = 1 << 16;

/// A trace of chunks of about `TARGET` rows.
pub type RowSpine<const TARGET: usize> = ChunkSpine<RowChunk<TARGET>>;
/// What a trace is made of.
pub type RowBatch<const TARGET: usize> = Rc<ChunkBatch<RowChunk<TARGET>>>;
/// A batch and the epochs it covers.
pub type RowSpan<const TARGET: usize> = Span<Epoch, RowBatch<TARGET>>;
/// A shared handle to a trace.
pub type RowTrace<const TARGET: usize> = TraceAgent<RowSpine<TARGET>>;
/// A stream of batches and the trace they are kept in.
pub type Arrangement<'scope, const TARGET: usize> = Arranged<'scope, RowTrace<TARGET>>;

/// Sends rows to the workers of their keys, sorts them by (key, ts, position) and keeps them.
pub fn arrange<'scope, const TARGET: usize>(
    rows: Stream<'scope, Epoch, Batch>,
    name: &str,
) -> Arrangement<'scope, TARGET> {
    arrange_with(rows, name, RadixBatcher::<TARGET>::default())
}

/// As [`arrange`], on a node's account.
pub(crate) fn arrange_metered<'scope, const TARGET: usize>(
    rows: Stream<'scope, Epoch, Batch>,
    name: &str,
    meter: Meter,
) -> Arrangement<'scope, TARGET> {
    arrange_with(rows, name, RadixBatcher::<TARGET>::metered(meter))
}

fn arrange_with<'scope, const TARGET: usize>(
    rows: Stream<'scope, Epoch, Batch>,
    name: &str,
    batcher: RadixBatcher<TARGET>,
) -> Arrangement<'scope, TARGET> {
    let pact = DistributorPact(|peers| Distribute::new(Route::Key, peers));
    arrange_core(rows, pact, name, |_logger, _operator| batcher)
}
