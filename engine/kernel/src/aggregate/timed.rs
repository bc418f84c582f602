//! FIRST and LAST: the value at the smallest or largest time; of equal times the earlier row stays (decision D9).
//!
//! The state is the row, so any type of payload costs the same.

use arrow_array::ArrayRef;
use unskewed_planner::aggregation::{AggregatePart, Operation};

use super::bind::Shape;
use super::count::answer_ranges;
use super::fold::Visitor;
use super::output::Taken;
use super::saved::Placed;
use super::stored::Stored;
use super::{Aggregator, Elements, Windows};
use crate::error::KernelError;

/// Picks the aggregator.
pub(crate) fn bind<V: Visitor>(
    part: &AggregatePart,
    elements: &ArrayRef,
    times: &[i64],
    shape: Shape<V>,
) -> Result<V::Answer, KernelError> {
    shape.with(Edge {
        payload: elements,
        times,
        last: part.operation == Operation::Last,
    })
}

struct Edge<'a> {
    payload: &'a ArrayRef,
    times: &'a [i64],
    last: bool,
}

impl Edge<'_> {
    #[inline]
    fn keep(&self, state: &mut u32, row: u32) {
        let (kept, new) = (self.times[*state as usize], self.times[row as usize]);
        let better = if self.last { new > kept } else { new < kept };
        if better || (new == kept && row < *state) {
            *state = row;
        }
    }

    /// For each row the row that LAST of everything of its key up to it would keep; `u32::MAX` where there is none.
    fn last_rows(&self, elements: Elements<'_>, key_offsets: &[u32]) -> Vec<u32> {
        let mut kept = Vec::with_capacity(elements.row_count);
        for key in key_offsets.windows(2) {
            let mut at = u32::MAX;
            for row in key[0]..key[1] {
                let time = |row: u32| self.times[row as usize];
                let tie = at != u32::MAX && time(at) == time(row);
                if elements.has(row as usize) && !tie {
                    at = row;
                }
                kept.push(at);
            }
        }
        kept
    }

    /// For each row the first row from it on that holds a value; `u32::MAX` where there is none.
    fn first_rows(elements: Elements<'_>) -> Vec<u32> {
        let mut kept = vec![u32::MAX; elements.row_count];
        let mut at = u32::MAX;
        for row in (0..elements.row_count).rev() {
            if elements.has(row) {
                at = row as u32;
            }
            kept[row] = at;
        }
        kept
    }
}

impl Aggregator for Edge<'_> {
    type State = u32;
    type Output = Taken;

    #[inline]
    fn start(&self, element: usize) -> u32 {
        element as u32
    }

    #[inline]
    fn update(&self, state: &mut u32, element: usize) {
        self.keep(state, element as u32);
    }

    #[inline]
    fn merge(&self, state: &mut u32, later: &u32) {
        self.keep(state, *later);
    }

    fn store(&self, state: &u32) -> Stored {
        let time = self.times[*state as usize];
        Stored::Struct(vec![Stored::Whole(time), Stored::Element(*state)])
    }

    fn load(&self, stored: Placed<'_>) -> Option<u32> {
        stored.element()
    }

    fn output(&self, direct: bool) -> Taken {
        Taken::new(self.payload, direct)
    }

    #[inline]
    fn finish(&self, state: &u32, output: &mut Taken) {
        output.append(*state);
    }

    fn by_ranges(&self, elements: Elements<'_>, windows: Windows<'_>) -> Option<Vec<Taken>> {
        let kept = if self.last {
            self.last_rows(elements, windows.timeline.key_offsets())
        } else {
            Self::first_rows(elements)
        };
        Some(answer_ranges(self, windows, |rows| {
            let row = if self.last {
                kept[rows.end - 1]
            } else {
                kept[rows.start]
            };
            (row != u32::MAX && rows.contains(&(row as usize))).then_some(row)
        }))
    }
}
