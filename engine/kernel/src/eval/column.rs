//! A value for every row: an array, or one value that stands for all rows.

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, ListArray, MapArray, PrimitiveArray, StringArray,
    StructArray, UInt32Array,
};
use arrow_select::take::take;

/// The values of an expression over the rows of a frame.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) array: ArrayRef,
    /// True if the array has one value, which every row has.
    pub(crate) constant: bool,
}

impl Column {
    pub(crate) fn of_rows(array: ArrayRef) -> Self {
        Self {
            array,
            constant: false,
        }
    }

    pub(crate) fn constant(array: ArrayRef) -> Self {
        debug_assert_eq!(array.len(), 1, "one value for all rows");
        Self {
            array,
            constant: true,
        }
    }

    /// The position of a row's value in the array.
    pub(crate) fn index(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.array.is_null(self.index(row)) || self.array.data_type().is_null()
    }

    /// An array with a value for each of `rows` rows.
    pub(crate) fn expand(&self, rows: usize) -> ArrayRef {
        if !self.constant {
            return ArrayRef::clone(&self.array);
        }
        let rows = UInt32Array::from_value(0, rows);
        take(&self.array, &rows, None).expect("the first value exists")
    }

    /// The column over the rows that `rows` names, none of them null.
    pub(crate) fn take(&self, rows: &UInt32Array) -> Self {
        if self.constant {
            return self.clone();
        }
        Self::of_rows(take(&self.array, rows, None).expect("the rows lie within the array"))
    }

    pub(crate) fn strings(&self) -> Strings<'_> {
        Strings(Values {
            array: self.array.as_string::<i32>(),
            constant: self.constant,
        })
    }

    pub(crate) fn binaries(&self) -> Binaries<'_> {
        Binaries(Values {
            array: self.array.as_binary::<i32>(),
            constant: self.constant,
        })
    }

    pub(crate) fn booleans(&self) -> Booleans<'_> {
        Booleans(Values {
            array: self.array.as_boolean(),
            constant: self.constant,
        })
    }

    pub(crate) fn primitives<T: ArrowPrimitiveType>(&self) -> Primitives<'_, T> {
        Primitives(Values {
            array: self.array.as_primitive::<T>(),
            constant: self.constant,
        })
    }

    pub(crate) fn lists(&self) -> Lists<'_> {
        Lists(Values {
            array: self.array.as_list::<i32>(),
            constant: self.constant,
        })
    }

    pub(crate) fn maps(&self) -> Maps<'_> {
        Maps(Values {
            array: self.array.as_map(),
            constant: self.constant,
        })
    }

    pub(crate) fn structs(&self) -> &StructArray {
        self.array.as_struct()
    }
}

/// A typed view of a column.
pub(crate) struct Values<'a, A> {
    pub(crate) array: &'a A,
    constant: bool,
}

impl<A: Array> Values<'_, A> {
    /// The position of a row's value, unless it is null.
    fn at(&self, row: usize) -> Option<usize> {
        let index = if self.constant { 0 } else { row };
        (!self.array.is_null(index)).then_some(index)
    }
}

pub(crate) struct Strings<'a>(Values<'a, StringArray>);
pub(crate) struct Binaries<'a>(Values<'a, BinaryArray>);
pub(crate) struct Booleans<'a>(Values<'a, BooleanArray>);
pub(crate) struct Primitives<'a, T: ArrowPrimitiveType>(Values<'a, PrimitiveArray<T>>);
pub(crate) struct Lists<'a>(Values<'a, ListArray>);
pub(crate) struct Maps<'a>(Values<'a, MapArray>);

impl<'a> Strings<'a> {
    pub(crate) fn get(&self, row: usize) -> Option<&'a str> {
        self.0.at(row).map(|index| self.0.array.value(index))
    }
}

impl<'a> Binaries<'a> {
    pub(crate) fn get(&self, row: usize) -> Option<&'a [u8]> {
        self.0.at(row).map(|index| self.0.array.value(index))
    }
}

impl Booleans<'_> {
    pub(crate) fn get(&self, row: usize) -> Option<bool> {
        self.0.at(row).map(|index| self.0.array.value(index))
    }
}

impl<T: ArrowPrimitiveType> Primitives<'_, T> {
    pub(crate) fn get(&self, row: usize) -> Option<T::Native> {
        self.0.at(row).map(|index| self.0.array.value(index))
    }
}

impl<'a> Lists<'a> {
    /// Where a row's elements stand in [`Lists::elements`].
    pub(crate) fn get(&self, row: usize) -> Option<std::ops::Range<usize>> {
        let offsets = self.0.array.value_offsets();
        self.0
            .at(row)
            .map(|index| position(offsets[index])..position(offsets[index + 1]))
    }

    pub(crate) fn elements(&self) -> &'a ArrayRef {
        self.0.array.values()
    }
}

impl<'a> Maps<'a> {
    /// Where a row's entries stand in [`Maps::keys`] and [`Maps::values`].
    pub(crate) fn get(&self, row: usize) -> Option<std::ops::Range<usize>> {
        let offsets = self.0.array.value_offsets();
        self.0
            .at(row)
            .map(|index| position(offsets[index])..position(offsets[index + 1]))
    }

    pub(crate) fn keys(&self) -> &'a ArrayRef {
        self.0.array.keys()
    }

    pub(crate) fn values(&self) -> &'a ArrayRef {
        self.0.array.values()
    }
}

fn position(offset: i32) -> usize {
    usize::try_from(offset).expect("offsets are not negative")
}
