//! Stored states read back, waiting for the fold that goes on from them.
//!
//! A state may point into the array that a fold is bound to. What a stored state points to is lent by rows that stand
//! before all others of a call (`restore.rs`), and a [`Saved`] counts them from its own first; [`Placed`] says where
//! that one came to stand. So states that were read once serve any number of calls.

use datasketches::cpc::CpcSketch;

use super::frequent::read::SavedCounts;
use super::kll::Kll;

/// A stored state, or a piece of one.
#[derive(Clone, Debug)]
pub(crate) enum Saved {
    /// Nothing.
    Null,
    /// A whole number of any width.
    Whole(i64),
    /// A floating number of any width.
    Floating(f64),
    /// An element, by the row that lends it.
    Element(u32),
    /// A list, or the fields of a struct.
    List(Vec<Saved>),
    /// A state for each key, told by a row that has it.
    Keyed(Vec<(u32, Saved)>),
    /// A sketch of percentiles.
    Percentiles(Kll),
    /// A sketch of distinct values.
    Distinct(CpcSketch),
    /// Counts of frequent values.
    Frequent(SavedCounts),
}

/// A stored state in a call.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// The state.
    pub(crate) saved: &'a Saved,
    /// Where the first of its lending rows stands.
    pub(crate) first_row: u32,
}

impl<'a> Placed<'a> {
    fn piece(self, saved: &'a Saved) -> Self {
        Self { saved, ..self }
    }

    /// Whether there is a state.
    pub(crate) fn is_null(self) -> bool {
        matches!(self.saved, Saved::Null)
    }

    /// A whole number.
    pub(crate) fn whole(self) -> Option<i64> {
        match self.saved {
            Saved::Whole(value) => Some(*value),
            _ => None,
        }
    }

    /// A floating number.
    pub(crate) fn floating(self) -> Option<f64> {
        match self.saved {
            Saved::Floating(value) => Some(*value),
            _ => None,
        }
    }

    /// An element.
    pub(crate) fn element(self) -> Option<u32> {
        match self.saved {
            Saved::Element(row) => Some(self.first_row + row),
            _ => None,
        }
    }

    /// The items of a list.
    pub(crate) fn list(self) -> Option<impl ExactSizeIterator<Item = Self>> {
        match self.saved {
            Saved::List(items) => Some(items.iter().map(move |item| self.piece(item))),
            _ => None,
        }
    }

    /// The items of a list of so many.
    pub(crate) fn fields<const COUNT: usize>(self) -> Option<[Self; COUNT]> {
        match self.saved {
            Saved::List(items) => {
                let items: &[Saved; COUNT] = items.as_slice().try_into().ok()?;
                Some(items.each_ref().map(|item| self.piece(item)))
            }
            _ => None,
        }
    }

    /// The elements of a list.
    pub(crate) fn elements(self) -> Option<Vec<u32>> {
        self.list()?.map(Self::element).collect()
    }

    /// The states of keys, each told by a row.
    pub(crate) fn keyed(self) -> Option<impl ExactSizeIterator<Item = (u32, Self)>> {
        match self.saved {
            Saved::Keyed(entries) => Some(
                entries
                    .iter()
                    .map(move |(row, saved)| (self.first_row + row, self.piece(saved))),
            ),
            _ => None,
        }
    }

    /// A sketch of percentiles.
    pub(crate) fn percentiles(self) -> Option<&'a Kll> {
        match self.saved {
            Saved::Percentiles(sketch) => Some(sketch),
            _ => None,
        }
    }

    /// A sketch of distinct values.
    pub(crate) fn distinct(self) -> Option<&'a CpcSketch> {
        match self.saved {
            Saved::Distinct(sketch) => Some(sketch),
            _ => None,
        }
    }

    /// Counts of frequent values.
    pub(crate) fn frequent(self) -> Option<&'a SavedCounts> {
        match self.saved {
            Saved::Frequent(counts) => Some(counts),
            _ => None,
        }
    }
}
