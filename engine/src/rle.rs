//! A column that is constant more often than not: the times and differences of a load.
//!
//! Hot path: a constant column costs no memory and no work per row.

use std::ops::Range;

/// A column of copies, or of one value each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rle<X> {
    /// Every row has this value.
    Constant(X),
    /// Row by row.
    Each(Vec<X>),
}

impl<X: Copy + PartialEq> Rle<X> {
    /// The value of a row.
    #[inline]
    pub fn get(&self, row: usize) -> X {
        match self {
            Self::Constant(value) => *value,
            Self::Each(values) => values[row],
        }
    }

    /// The value all rows share, if that is known without looking at them.
    pub fn constant(&self) -> Option<X> {
        match self {
            Self::Constant(value) => Some(*value),
            Self::Each(_) => None,
        }
    }

    /// Whether all rows are known to have this value.
    pub fn is_constant(&self, value: X) -> bool {
        self.constant() == Some(value)
    }

    /// Appends a value to a column of `length` rows.
    pub fn push(&mut self, length: usize, value: X) {
        self.push_repeated(length, value, 1);
    }

    /// Appends a value `count` times to a column of `length` rows.
    pub fn push_repeated(&mut self, length: usize, value: X, count: usize) {
        if length == 0 {
            *self = Self::Constant(value);
            return;
        }
        match self {
            Self::Constant(have) if *have == value => {}
            Self::Constant(have) => {
                let mut each = vec![*have; length];
                each.resize(length + count, value);
                *self = Self::Each(each);
            }
            Self::Each(each) => each.resize(length + count, value),
        }
    }

    /// Appends rows of another column to a column of `length` rows.
    pub fn extend(&mut self, length: usize, other: &Self, rows: Range<usize>) {
        match other {
            Self::Constant(value) => self.push_repeated(length, *value, rows.len()),
            Self::Each(values) => {
                for (added, &value) in values[rows].iter().enumerate() {
                    self.push(length + added, value);
                }
            }
        }
    }

    /// Keeps the first `length` rows.
    pub fn truncate(&mut self, length: usize) {
        if let Self::Each(values) = self {
            values.truncate(length);
        }
    }

    /// Rows of the column, constant where that is cheap to see.
    #[must_use]
    pub fn slice(&self, rows: Range<usize>) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(*value),
            Self::Each(values) => Self::Each(values[rows].to_vec()),
        }
    }

    /// The values of the given rows.
    #[must_use]
    pub fn take(&self, rows: &[u32]) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(*value),
            Self::Each(values) => Self::Each(rows.iter().map(|&r| values[r as usize]).collect()),
        }
    }

    /// Memory of the column.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Constant(_) => 0,
            Self::Each(values) => std::mem::size_of_val(values.as_slice()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A column built by any mix of pushes reads back what a plain vector holds.
    #[test]
    fn reads_back_what_was_pushed() {
        let mut state = 7_u64;
        let mut random = |n: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695);
            (state >> 33) % n
        };
        for _ in 0..200 {
            let (mut rle, mut plain) = (Rle::Constant(0_u64), Vec::new());
            for _ in 0..random(12) {
                let (value, count) = (random(2), 1 + random(3) as usize);
                let other: Vec<u64> = (0..count).map(|_| random(2)).collect();
                if random(2) == 0 {
                    rle.push_repeated(plain.len(), value, count);
                    plain.extend(std::iter::repeat_n(value, count));
                } else {
                    rle.extend(plain.len(), &Rle::Each(other.clone()), 0..count);
                    plain.extend(other);
                }
            }
            let read: Vec<u64> = (0..plain.len()).map(|row| rle.get(row)).collect();
            assert_eq!(read, plain);
        }
    }
}
