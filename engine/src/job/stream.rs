//! `group-by-streaming`: what came after the batches of TEMPORAL group-bys, kept in the store one row a key.
//!
//! ```text
//! topic ─ Source ─ Decoder ─► feed ─► live plan ─► publish ─► store        an epoch: some milliseconds of this
//!                      │       ▲
//!                      └─► checkpoint: rows as received, how far each partition is read
//! ```
//! A stream that starts takes up its checkpoint, reads on to where its topics end at that moment, and only then
//! publishes: so what a killed stream had published is never followed by less. From then on an epoch is published as
//! soon as it is through; a checkpoint is made after what it holds was published.
//!
//! Promises: a key's row is written whole, so writing it again changes nothing; no message is lost or counted twice,
//! whenever it is killed; a message that cannot be decoded is set aside and stops nothing; a store, topic or registry
//! that is away is waited for. What happened before the horizon, two days before the last batch ended, is counted and
//! left out.

mod feed;
mod patience;
mod publish;
mod replay;
mod running;

pub use feed::{Opened, Topics};
pub use replay::replay;
pub use running::{StreamSettings, Streams, stream, streams};
