//! What a store holds of a key, and what is answered from it: of rows and of tiles, right bytes and wrong ones.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hostile;
mod tiles;
mod world;
