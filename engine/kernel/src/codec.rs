//! Stored bytes: how rows and states lie in tables of uploads and in key-value stores.
//!
//! No other place knows a byte. Everything that is decoded is taken to be hostile: a wrong length costs an error,
//! never a panic or more memory than the bytes at hand justify.

pub mod avro;
pub mod batch_state;
mod record;
pub mod stream_row;
pub mod streamed;
pub mod tile;
