//! The values that operations compare and collect, as cheap copies.
//!
//! Order is Java's: doubles by `Double.compare` (NaN above everything, `-0.0` below `0.0`), strings by UTF-16 code
//! units. A string is its position in the bound array.

use std::cmp::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{ArrayRef, StringArray};

use super::output::{Numbers, Output, Taken};
use super::saved::Placed;
use super::stored::Stored;

/// Elements with an order.
pub(crate) trait Values {
    /// A cheap copy of an element.
    type Value: Copy + PartialEq;
    /// A column of them.
    type Output: Output;

    /// The element at a position.
    fn get(&self, element: usize) -> Self::Value;

    /// Java's order.
    fn compare(&self, a: Self::Value, b: Self::Value) -> Ordering;

    /// Whether `a < b`, which no NaN is.
    fn is_less(&self, a: Self::Value, b: Self::Value) -> bool {
        self.compare(a, b) == Ordering::Less
    }

    /// Whether `a <= b`, which no NaN is.
    fn is_at_most(&self, a: Self::Value, b: Self::Value) -> bool {
        self.compare(a, b) != Ordering::Greater
    }

    /// An empty column.
    fn output(&self, direct: bool) -> Self::Output;

    /// The value as it is stored.
    fn store(&self, value: Self::Value) -> Stored;

    /// The value that was stored as this.
    fn load(&self, stored: Placed<'_>) -> Option<Self::Value>;

    /// Appends a value.
    fn append(&self, value: Self::Value, output: &mut Self::Output);
}

/// 64-bit integers.
pub(crate) struct Integers<'a>(pub(crate) &'a [i64]);

impl Values for Integers<'_> {
    type Value = i64;
    type Output = Numbers<Int64Type>;

    #[inline]
    fn get(&self, element: usize) -> i64 {
        self.0[element]
    }

    #[inline]
    fn compare(&self, a: i64, b: i64) -> Ordering {
        a.cmp(&b)
    }

    fn store(&self, value: i64) -> Stored {
        Stored::Whole(value)
    }

    fn load(&self, stored: Placed<'_>) -> Option<i64> {
        stored.whole()
    }

    fn output(&self, direct: bool) -> Self::Output {
        Numbers::new(direct)
    }

    #[inline]
    fn append(&self, value: i64, output: &mut Self::Output) {
        output.append(value);
    }
}

/// Doubles.
pub(crate) struct Doubles<'a>(pub(crate) &'a [f64]);

impl Values for Doubles<'_> {
    type Value = f64;
    type Output = Numbers<Float64Type>;

    #[inline]
    fn get(&self, element: usize) -> f64 {
        self.0[element]
    }

    #[inline]
    fn compare(&self, a: f64, b: f64) -> Ordering {
        compare_doubles(a, b)
    }

    fn is_less(&self, a: f64, b: f64) -> bool {
        a < b
    }

    fn is_at_most(&self, a: f64, b: f64) -> bool {
        a <= b
    }

    fn store(&self, value: f64) -> Stored {
        Stored::Floating(value)
    }

    fn load(&self, stored: Placed<'_>) -> Option<f64> {
        stored.floating()
    }

    fn output(&self, direct: bool) -> Self::Output {
        Numbers::new(direct)
    }

    #[inline]
    fn append(&self, value: f64, output: &mut Self::Output) {
        output.append(value);
    }
}

/// Strings.
pub(crate) struct Strings<'a> {
    pub(crate) values: &'a StringArray,
    pub(crate) source: &'a ArrayRef,
}

impl<'a> Strings<'a> {
    pub(crate) fn new(source: &'a ArrayRef) -> Self {
        let values = source.as_string::<i32>();
        Self { values, source }
    }
}

impl Values for Strings<'_> {
    type Value = u32;
    type Output = Taken;

    #[inline]
    fn get(&self, element: usize) -> u32 {
        element as u32
    }

    #[inline]
    fn compare(&self, a: u32, b: u32) -> Ordering {
        compare_strings(self.values.value(a as usize), self.values.value(b as usize))
    }

    fn store(&self, value: u32) -> Stored {
        Stored::Element(value)
    }

    fn load(&self, stored: Placed<'_>) -> Option<u32> {
        stored.element()
    }

    fn output(&self, direct: bool) -> Taken {
        Taken::new(self.source, direct)
    }

    #[inline]
    fn append(&self, value: u32, output: &mut Taken) {
        output.append(value);
    }
}

/// `java.lang.Double.compare`.
#[inline]
pub(crate) fn compare_doubles(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(&b),
        (a_nan, b_nan) => a_nan.cmp(&b_nan),
    }
}

/// `java.lang.String.compareTo`: by UTF-16 code units, which puts characters beyond the basic plane below
/// U+E000..=U+FFFF. In UTF-8 only the lead bytes of the two groups are in the other order.
pub(crate) fn compare_strings(a: &str, b: &str) -> Ordering {
    let first = a.bytes().zip(b.bytes()).find(|(x, y)| x != y);
    match first {
        None => a.len().cmp(&b.len()),
        Some((x, y)) if x >= 0xF0 && (y == 0xEE || y == 0xEF) => Ordering::Less,
        Some((x, y)) if y >= 0xF0 && (x == 0xEE || x == 0xEF) => Ordering::Greater,
        Some((x, y)) => x.cmp(&y),
    }
}
