//! Answers "these features, these keys, now".
//!
//! The story of a request: [`Fetcher::fetch_join`] asks what is [`known`] of the join, turns its keys into the keys of
//! every group-by, reads all of them with one call to the store, lets each [`group`] answer from its rows, asks
//! [`external`] sources beside, and derives.
//!
//! Promises: values are those a training table has for the same keys and time, since the same functions of the kernel
//! compute them; a part that fails costs its own features, with the reason, and no others; nothing that failed is
//! passed off as "no value". Never depends on the engine, never writes features.

mod columns;
mod error;
pub mod external;
mod fetcher;
mod group;
mod join;
mod known;
mod listing;
pub mod log;
mod observed;
mod request;
mod states;
mod value;

pub use error::FetchError;
pub use fetcher::{Fetcher, Settings};
pub use request::{Features, Request, Response};
pub use value::Value;
