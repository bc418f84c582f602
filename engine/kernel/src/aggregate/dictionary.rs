//! Small numbers for the strings of a call.
//!
//! The numbers follow the order of the strings (by bytes), so that whatever is sorted by number comes out in the same
//! order in every call, whichever other rows are in it.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StringArray};

use crate::hash::FixedMap;

/// The number of a null.
pub(crate) const NONE: u32 = u32::MAX;

/// Numbers of the strings of an array.
#[derive(Clone, Debug)]
pub(crate) struct Dictionary {
    /// Per position its string's number; [`NONE`] for a null.
    pub(crate) ids: Vec<u32>,
    /// The string of each number.
    pub(crate) names: ArrayRef,
}

impl Dictionary {
    /// Numbers the strings of an array.
    pub(crate) fn new(strings: &StringArray) -> Self {
        let mut seen: FixedMap<&str, u32> = FixedMap::new();
        let mut names: Vec<&str> = Vec::new();
        let mut ids: Vec<u32> = Vec::with_capacity(strings.len());
        for string in strings {
            let Some(string) = string else {
                ids.push(NONE);
                continue;
            };
            let id = *seen.get_or_insert_with(string, || {
                names.push(string);
                names.len() as u32 - 1
            });
            ids.push(id);
        }
        let mut order: Vec<u32> = (0..names.len() as u32).collect();
        order.sort_unstable_by_key(|id| names[*id as usize]);
        let mut rank = vec![0; names.len()];
        for (place, id) in order.iter().enumerate() {
            rank[*id as usize] = place as u32;
        }
        for id in &mut ids {
            if *id != NONE {
                *id = rank[*id as usize];
            }
        }
        let sorted = order.iter().map(|id| names[*id as usize]);
        Self {
            ids,
            names: Arc::new(StringArray::from_iter_values(sorted)),
        }
    }
}
