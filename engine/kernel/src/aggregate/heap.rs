//! The reference's bounded heap: the k best values in an array whose first is the worst kept.
//!
//! The array is what is stored, and with NaN among the values, of which no comparison holds, even what is kept depends
//! on it. So its steps are the reference's: values are appended until there are k, then sorted worst first; from then
//! on a value that is not worse than the first takes its place and sinks. *Source: the reference's behaviour, checked
//! against recorded outputs.*

use std::cmp::Ordering;

/// How the values are ordered; less is better.
pub(crate) trait Rank<T> {
    /// The total order, by which arrays are sorted.
    fn compare(&self, a: T, b: T) -> Ordering;

    /// Whether `a` is less; NaN may be neither less nor equal.
    fn is_less(&self, a: T, b: T) -> bool {
        self.compare(a, b) == Ordering::Less
    }

    /// Whether `a` is less or equal; NaN may be neither.
    fn is_at_most(&self, a: T, b: T) -> bool {
        self.compare(a, b) != Ordering::Greater
    }
}

/// Adds a value to at most k kept ones.
pub(crate) fn insert<T: Copy>(kept: &mut Vec<T>, value: T, k: usize, rank: &impl Rank<T>) {
    if kept.len() + 1 < k {
        kept.push(value);
    } else if kept.len() + 1 == k {
        kept.push(value);
        kept.sort_by(|a, b| rank.compare(*b, *a));
    } else if kept.len() == k && rank.is_at_most(value, kept[0]) {
        kept[0] = value;
        sink(kept, rank);
    }
}

/// Adds later kept values to kept ones.
pub(crate) fn merge<T: Copy>(kept: &mut Vec<T>, later: &[T], k: usize, rank: &impl Rank<T>) {
    if kept.len() + later.len() < k {
        kept.extend_from_slice(later);
    } else {
        later.iter().for_each(|value| insert(kept, *value, k, rank));
    }
}

/// The kept values, best first.
pub(crate) fn sorted<T: Copy>(kept: &[T], rank: &impl Rank<T>) -> Vec<T> {
    let mut sorted = kept.to_vec();
    sorted.sort_by(|a, b| rank.compare(*a, *b));
    sorted
}

/// Lets the first value sink below worse ones.
fn sink<T: Copy>(kept: &mut [T], rank: &impl Rank<T>) {
    let mut parent = 0;
    loop {
        let left = 2 * parent + 1;
        let Some(mut candidate) = kept.get(left).copied() else {
            return;
        };
        let mut place = left;
        if let Some(right) = kept.get(left + 1)
            && rank.is_less(candidate, *right)
        {
            (candidate, place) = (*right, left + 1);
        }
        if rank.is_at_most(candidate, kept[parent]) {
            return;
        }
        kept.swap(parent, place);
        parent = place;
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::{Rank, insert, merge, sorted};

    struct Least;

    impl Rank<i64> for Least {
        fn compare(&self, a: i64, b: i64) -> Ordering {
            a.cmp(&b)
        }
    }

    /// The k least of any values are kept, whatever the order and however they are split.
    #[test]
    fn the_best_are_kept() {
        let values: Vec<i64> = (0..60).map(|at| at * 37 % 23 - 9).collect();
        for k in [1, 2, 3, 7, 50, 70] {
            for split in [0, 1, 30] {
                let (mut left, mut right) = (Vec::new(), Vec::new());
                for (at, value) in values.iter().enumerate() {
                    let heap = if at < split { &mut left } else { &mut right };
                    insert(heap, *value, k, &Least);
                }
                merge(&mut left, &right, k, &Least);
                let mut expected = values.clone();
                expected.sort_unstable();
                expected.truncate(k);
                assert_eq!(sorted(&left, &Least), expected, "k {k}, split {split}");
            }
        }
    }

    /// Fewer than k stand as they came; with the k-th the worst comes first.
    #[test]
    fn the_array_is_sorted_when_it_is_full() {
        let mut heap = Vec::new();
        for value in [2, 9] {
            insert(&mut heap, value, 3, &Least);
        }
        assert_eq!(heap, [2, 9]);
        insert(&mut heap, 5, 3, &Least);
        assert_eq!(heap, [9, 5, 2]);
        insert(&mut heap, 1, 3, &Least);
        assert_eq!(heap, [5, 1, 2]);
    }
}
