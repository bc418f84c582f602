//! What happens to rows before and after the sorted part of the dataflow, as plain structs: no
//! timely, no channels.
//!
//! [`project`] drops rows and computes columns, [`assemble`] brings answers to the left rows that
//! asked, [`encode`] packs columns into bytes, [`mod@write`] turns
//! a day's rows into a partition, [`facts`] sums up the left. The operators of `render` are thin
//! shells around them.
//! All take rows as columns with a source position and a diff, and are as incremental as the
//! operators between them.

pub mod assemble;
pub mod collect;
pub mod encode;
pub mod facts;
pub mod project;
mod store;
pub mod write;

pub use facts::LeftFacts;

use arrow_array::ArrayRef;

use crate::rle::Rle;

/// Rows with where they come from and how many of each are added (or taken away).
#[derive(Clone, Debug)]
pub struct Changes {
    /// Source position of each row.
    pub position: Vec<u64>,
    /// How many of each row.
    pub diff: Rle<i64>,
    /// The columns, each as long as `position`.
    pub columns: Vec<ArrayRef>,
}

impl Changes {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.position.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.position.is_empty()
    }
}

#[cfg(test)]
mod tests;
