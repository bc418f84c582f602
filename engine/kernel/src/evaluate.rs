//! The evaluators: pure functions from right rows and queries to features.
//!
//! | evaluator | right rows' `ts` | query `ts` | a query sees |
//! |---|---|---|---|
//! | [`point_in_time`] | event time | left time, or midnight | `tail(q − W) ≤ ts < q` |
//! | [`lookup`] | end of the row's partition | midnight | the rows of exactly that time, as they are |
//! | [`snapshot_rows`] | end of the row's partition | midnight | the rows of that time, `q − W ≤ own time < q` |
//! | [`mutated_snapshot`] | partition end, or mutation time | left time | the day's snapshot and the mutations before `q` |
//! | [`day_states`] | event time | midnight | the unfinished states of `q − 1 day ≤ ts < q` |
//! | [`batch_states`] | event time, or end of the row's partition | midnight | the unfinished states of every window |
//! | [`stream_rows`] | event or mutation time | any | all rows, packed into one value |
//! | [`stream_tiles`] | event time, of one tile a key | any | the state of all rows, as one datum |
//! | [`tile_states`] | of one tile a key | none | the unfinished states of all rows |
//! | [`after_batch`] | after a batch's end | any time after it | the batch's states and what came since |
//!
//! All keep the contract of [`crate::run::Evaluator`]: an answer depends on the key's rows and the query only. The last
//! two have other forms: a tile is asked nothing, and after a batch there are stored states besides rows.

pub mod after_batch;
pub mod batch_states;
pub mod day_states;
pub mod lookup;
pub mod mutated_snapshot;
pub mod point_in_time;
pub mod snapshot_rows;
pub mod stream_rows;
pub mod stream_tiles;
pub mod tile_states;
