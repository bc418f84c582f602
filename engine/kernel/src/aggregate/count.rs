//! COUNT of values that are not null.

use arrow_array::types::Int64Type;

use super::output::{Numbers, Output};
use super::saved::Placed;
use super::stored::Stored;
use super::{Aggregator, Elements, Windows};

/// The state is the count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count;

impl Aggregator for Count {
    type State = i64;
    type Output = Numbers<Int64Type>;
    const DELETES: bool = true;

    #[inline]
    fn start(&self, _element: usize) -> i64 {
        1
    }

    #[inline]
    fn update(&self, state: &mut i64, _element: usize) {
        *state = state.wrapping_add(1);
    }

    #[inline]
    fn merge(&self, state: &mut i64, later: &i64) {
        *state = state.wrapping_add(*later);
    }

    fn start_deleted(&self, _element: usize) -> i64 {
        -1
    }

    fn delete(&self, state: &mut i64, _element: usize) {
        *state = state.wrapping_sub(1);
    }

    fn store(&self, state: &i64) -> Stored {
        Stored::Whole(*state)
    }

    fn load(&self, stored: Placed<'_>) -> Option<i64> {
        stored.whole()
    }

    fn output(&self, direct: bool) -> Self::Output {
        Numbers::new(direct)
    }

    #[inline]
    fn finish(&self, state: &i64, output: &mut Self::Output) {
        output.append(*state);
    }

    fn by_ranges(&self, elements: Elements<'_>, windows: Windows<'_>) -> Option<Vec<Self::Output>> {
        let before = elements.nulls.is_some().then(|| prefix_counts(elements));
        let count = |from: usize, to: usize| match &before {
            Some(before) => i64::from(before[to]) - i64::from(before[from]),
            None => (to - from) as i64,
        };
        Some(answer_ranges(self, windows, |rows| {
            Some(count(rows.start, rows.end)).filter(|count| *count > 0)
        }))
    }
}

/// Number of values before each row; one more entry than rows.
pub(crate) fn prefix_counts(elements: Elements<'_>) -> Vec<u32> {
    let mut count = 0;
    let mut before = Vec::with_capacity(elements.row_count + 1);
    before.push(0);
    for row in 0..elements.row_count {
        count += u32::from(elements.has(row));
        before.push(count);
    }
    before
}

/// Every window of every query by a function of its rows; ranges without rows are null.
pub(crate) fn answer_ranges<A: Aggregator>(
    aggregator: &A,
    Windows { timeline, windows }: Windows<'_>,
    answer: impl Fn(std::ops::Range<usize>) -> Option<A::State>,
) -> Vec<A::Output> {
    let window = |window: &usize| {
        let mut output = aggregator.output(true);
        for slot in 0..timeline.slot_count() {
            let first = timeline.first_row(*window, slot);
            for query in timeline.queries_of_slot(slot) {
                let end = timeline.end_row(query);
                let state = (first < end).then(|| answer(first..end)).flatten();
                match state {
                    Some(state) => aggregator.finish(&state, &mut output),
                    None => output.append_null(),
                }
            }
        }
        output
    };
    windows.iter().map(window).collect()
}
