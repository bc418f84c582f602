//! Making arrays row by row, in canonical form.
//!
//! Each maker takes a closure from a row to its value; the `try_` forms take one that may fail with a message, which
//! becomes an error naming the row.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{
    Array, ArrayRef, BooleanArray, ListArray, MapArray, PrimitiveArray, StructArray, UInt32Array,
    make_array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType as ArrowType;
use arrow_select::take::take;
use unskewed_planner::schema::DataType;

use super::call::Call;
use crate::error::KernelError;

/// A built column.
pub(crate) type Built = Result<ArrayRef, KernelError>;

impl Call<'_> {
    /// Numbers, dates, timestamps, decimals: whatever has this native type.
    pub(crate) fn build<T: ArrowPrimitiveType>(
        &self,
        value: impl FnMut(usize) -> Option<T::Native>,
    ) -> Built {
        let values: PrimitiveArray<T> = (0..self.rows).map(value).collect();
        Ok(Arc::new(values.with_data_type(self.data_type.to_arrow())))
    }

    pub(crate) fn try_build<T: ArrowPrimitiveType>(
        &self,
        mut value: impl FnMut(usize) -> Result<Option<T::Native>, String>,
    ) -> Built {
        let row = |row| value(row).map_err(|message| Call::row_error(row, message));
        let values: PrimitiveArray<T> = (0..self.rows).map(row).collect::<Result<_, _>>()?;
        Ok(Arc::new(values.with_data_type(self.data_type.to_arrow())))
    }

    pub(crate) fn build_booleans(&self, value: impl FnMut(usize) -> Option<bool>) -> Built {
        let values: BooleanArray = (0..self.rows).map(value).collect();
        Ok(Arc::new(values))
    }

    pub(crate) fn try_build_booleans(
        &self,
        mut value: impl FnMut(usize) -> Result<Option<bool>, String>,
    ) -> Built {
        let row = |row| value(row).map_err(|message| Call::row_error(row, message));
        let values: BooleanArray = (0..self.rows).map(row).collect::<Result<_, _>>()?;
        Ok(Arc::new(values))
    }

    pub(crate) fn build_strings<S: AsRef<str>>(
        &self,
        mut value: impl FnMut(usize) -> Option<S>,
    ) -> Built {
        self.try_build_strings(|row| Ok(value(row)))
    }

    pub(crate) fn try_build_strings<S: AsRef<str>>(
        &self,
        mut value: impl FnMut(usize) -> Result<Option<S>, String>,
    ) -> Built {
        let mut builder = StringBuilder::new();
        for row in 0..self.rows {
            builder.append_option(value(row).map_err(|message| Call::row_error(row, message))?);
        }
        Ok(Arc::new(builder.finish()))
    }

    pub(crate) fn build_binaries<B: AsRef<[u8]>>(
        &self,
        mut value: impl FnMut(usize) -> Option<B>,
    ) -> Built {
        let mut builder = BinaryBuilder::new();
        (0..self.rows).for_each(|row| builder.append_option(value(row)));
        Ok(Arc::new(builder.finish()))
    }
}

/// Lists under construction whose elements are picked out of existing arrays.
pub(crate) struct ListBuilder {
    offsets: Vec<i32>,
    validity: Vec<bool>,
    picks: Vec<Option<u32>>,
}

impl ListBuilder {
    pub(crate) fn new() -> Self {
        Self {
            offsets: vec![0],
            validity: Vec::new(),
            picks: Vec::new(),
        }
    }

    /// Adds the element at this position to the open list; `None` is a null.
    pub(crate) fn pick(&mut self, position: Option<usize>) {
        self.picks.push(position.map(super::node::row_number));
    }

    /// Closes the open list.
    pub(crate) fn close(&mut self) {
        self.validity.push(true);
        self.push_offset();
    }

    /// Adds a null list.
    pub(crate) fn null(&mut self) {
        self.validity.push(false);
        self.push_offset();
    }

    fn push_offset(&mut self) {
        let end = i32::try_from(self.picks.len()).expect("fewer than 2^31 elements in a batch");
        self.offsets.push(end);
    }

    /// The lists, elements picked out of `source`.
    pub(crate) fn finish(self, source: &dyn Array, data_type: &DataType) -> Built {
        let picks = UInt32Array::from(self.picks);
        let values = take(source, &picks, None)?;
        finish_list(values, self.offsets, &self.validity, data_type)
    }

    /// The maps, keys and values picked out of the same positions of two arrays.
    pub(crate) fn finish_map(
        self,
        keys: &dyn Array,
        values: &dyn Array,
        data_type: &DataType,
    ) -> Built {
        let picks = UInt32Array::from(self.picks);
        let keys = take(keys, &picks, None)?;
        let values = take(values, &picks, None)?;
        map(keys, values, self.offsets, &self.validity, data_type)
    }
}

/// Lists out of their parts.
pub(crate) fn finish_list(
    values: ArrayRef,
    offsets: Vec<i32>,
    validity: &[bool],
    data_type: &DataType,
) -> Built {
    let ArrowType::List(field) = data_type.to_arrow() else {
        unreachable!("the result is a list");
    };
    let nulls = NullBuffer::from(validity.to_vec());
    let values = conform(values, field.data_type());
    let list = ListArray::try_new(
        field,
        OffsetBuffer::new(offsets.into()),
        values,
        Some(nulls),
    );
    Ok(Arc::new(list?))
}

/// Maps out of their parts.
pub(crate) fn map(
    keys: ArrayRef,
    values: ArrayRef,
    offsets: Vec<i32>,
    validity: &[bool],
    data_type: &DataType,
) -> Built {
    let ArrowType::Map(entries, sorted) = data_type.to_arrow() else {
        unreachable!("the result is a map");
    };
    let ArrowType::Struct(fields) = entries.data_type() else {
        unreachable!("a map's entries are structs");
    };
    let keys = conform(keys, fields[0].data_type());
    let values = conform(values, fields[1].data_type());
    let structs = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    let nulls = NullBuffer::from(validity.to_vec());
    let offsets = OffsetBuffer::new(offsets.into());
    let map = MapArray::try_new(entries, offsets, structs, Some(nulls), sorted)?;
    Ok(Arc::new(map))
}

/// Structs out of their columns.
pub(crate) fn structs(
    columns: Vec<ArrayRef>,
    rows: usize,
    nulls: Option<NullBuffer>,
    data_type: &DataType,
) -> Built {
    let ArrowType::Struct(fields) = data_type.to_arrow() else {
        unreachable!("the result is a struct");
    };
    let columns = columns
        .into_iter()
        .zip(fields.iter())
        .map(|(column, field)| conform(column, field.data_type()))
        .collect();
    let array = StructArray::try_new_with_length(fields, columns, nulls, rows)?;
    Ok(Arc::new(array))
}

/// The same values under another type of the same layout: names of struct fields may differ, nothing else.
pub(crate) fn conform(array: ArrayRef, to: &ArrowType) -> ArrayRef {
    if array.data_type() == to {
        return array;
    }
    let data = array.to_data();
    let mut children = Vec::new();
    for (child, child_type) in data.child_data().iter().zip(child_types(to)) {
        let child = make_array(child.clone());
        children.push(conform(child, &child_type).to_data());
    }
    let rebuilt = data
        .into_builder()
        .data_type(to.clone())
        .child_data(children)
        .build();
    rebuilt.map_or(array, make_array)
}

fn child_types(data_type: &ArrowType) -> Vec<ArrowType> {
    match data_type {
        ArrowType::List(field) | ArrowType::Map(field, _) => vec![field.data_type().clone()],
        ArrowType::Struct(fields) => fields.iter().map(|f| f.data_type().clone()).collect(),
        _ => Vec::new(),
    }
}

/// The same lists with other elements.
pub(crate) fn list_like(lists: &ListArray, values: ArrayRef) -> ArrayRef {
    let field = arrow_schema::Field::new("element", values.data_type().clone(), true);
    Arc::new(ListArray::new(
        Arc::new(field),
        lists.offsets().clone(),
        values,
        lists.nulls().cloned(),
    ))
}

/// The values with more nulls.
pub(crate) fn mask(values: &ArrayRef, nulls: Option<&NullBuffer>) -> Built {
    let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else {
        return Ok(Arc::clone(values));
    };
    if values.data_type().is_null() {
        return Ok(Arc::clone(values));
    }
    let both = NullBuffer::union(Some(nulls), values.nulls());
    let data = values.to_data().into_builder().nulls(both).build()?;
    Ok(make_array(data))
}
