//! Columns of finished values under construction.
//!
//! Promises canonical Arrow arrays. A float of a direct column that is not finite is a null, as the reference writes
//! it; inside lists and maps it stays. Never fails on data.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, ListArray, MapArray, PrimitiveArray, StructArray,
    UInt32Array, make_array,
};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow_schema::{DataType as ArrowType, Field, Fields};

use crate::error::KernelError;

/// A column that grows by one value at a time.
pub trait Output {
    /// Appends a null.
    fn append_null(&mut self);

    /// Number of values so far.
    fn len(&self) -> usize;

    /// Whether there is no value yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The column.
    fn into_array(self) -> Result<ArrayRef, KernelError>;
}

/// Numbers.
#[derive(Debug)]
pub struct Numbers<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    valid: Vec<bool>,
    finite_only: bool,
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    /// An empty column; where `direct`, floats that are not finite become null.
    pub fn new(direct: bool) -> Self {
        Self {
            values: Vec::new(),
            valid: Vec::new(),
            finite_only: direct && T::DATA_TYPE.is_floating(),
        }
    }

    /// Appends a value.
    #[inline]
    pub fn append(&mut self, value: T::Native) {
        self.values.push(value);
        self.valid.push(true);
    }

    /// Appends a value or a null.
    #[inline]
    pub fn append_option(&mut self, value: Option<T::Native>) {
        self.values.push(value.unwrap_or_default());
        self.valid.push(value.is_some());
    }
}

impl<T: ArrowPrimitiveType> Output for Numbers<T> {
    #[inline]
    fn append_null(&mut self) {
        self.append_option(None);
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn into_array(self) -> Result<ArrayRef, KernelError> {
        let nulls = NullBuffer::new(BooleanBuffer::from(self.valid));
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        let array: ArrayRef = Arc::new(PrimitiveArray::<T>::new(self.values.into(), nulls));
        Ok(if self.finite_only {
            without_non_finite(&array)
        } else {
            array
        })
    }
}

/// Elements of the bound array, by position.
#[derive(Debug)]
pub struct Taken {
    source: ArrayRef,
    elements: Vec<u32>,
    valid: Vec<bool>,
    direct: bool,
}

impl Taken {
    /// An empty column of elements of `source`.
    pub fn new(source: &ArrayRef, direct: bool) -> Self {
        Self {
            source: Arc::clone(source),
            elements: Vec::new(),
            valid: Vec::new(),
            direct,
        }
    }

    /// Appends an element.
    #[inline]
    pub fn append(&mut self, element: u32) {
        self.elements.push(element);
        self.valid.push(true);
    }
}

impl Output for Taken {
    #[inline]
    fn append_null(&mut self) {
        self.elements.push(0);
        self.valid.push(false);
    }

    fn len(&self) -> usize {
        self.elements.len()
    }

    fn into_array(self) -> Result<ArrayRef, KernelError> {
        let nulls = NullBuffer::new(BooleanBuffer::from(self.valid));
        let elements = UInt32Array::new(self.elements.into(), Some(nulls));
        let array = arrow_select::take::take(&self.source, &elements, None)?;
        Ok(if self.direct {
            without_non_finite(&array)
        } else {
            array
        })
    }
}

/// Two columns side by side, as a struct that is never null.
#[derive(Debug)]
pub struct Pair<O>(pub O, pub O);

impl<O: Output> Output for Pair<O> {
    #[inline]
    fn append_null(&mut self) {
        self.0.append_null();
        self.1.append_null();
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn into_array(self) -> Result<ArrayRef, KernelError> {
        let columns = vec![self.0.into_array()?, self.1.into_array()?];
        let field =
            |name: &str, column: &ArrayRef| Field::new(name, column.data_type().clone(), true);
        let fields = vec![field("first", &columns[0]), field("second", &columns[1])];
        Ok(Arc::new(StructArray::try_new(
            fields.into(),
            columns,
            None,
        )?))
    }
}

/// Lists of values that another output collects.
#[derive(Debug)]
pub struct Lists<O> {
    items: O,
    offsets: Vec<i32>,
    valid: Vec<bool>,
}

impl<O: Output> Lists<O> {
    /// An empty column of lists.
    pub fn new(items: O) -> Self {
        Self {
            items,
            offsets: vec![0],
            valid: Vec::new(),
        }
    }

    /// Appends a list whose items `fill` appends.
    pub fn append(&mut self, fill: impl FnOnce(&mut O)) {
        fill(&mut self.items);
        self.close(true);
    }

    fn close(&mut self, valid: bool) {
        let end =
            i32::try_from(self.items.len()).expect("a run's lists hold fewer than 2^31 items");
        self.offsets.push(end);
        self.valid.push(valid);
    }
}

impl<O: Output> Output for Lists<O> {
    fn append_null(&mut self) {
        self.close(false);
    }

    fn len(&self) -> usize {
        self.valid.len()
    }

    fn into_array(self) -> Result<ArrayRef, KernelError> {
        let items = self.items.into_array()?;
        let field = Field::new("element", items.data_type().clone(), true);
        let nulls = NullBuffer::new(BooleanBuffer::from(self.valid));
        let offsets = OffsetBuffer::new(self.offsets.into());
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        Ok(Arc::new(ListArray::try_new(
            Arc::new(field),
            offsets,
            items,
            nulls,
        )?))
    }
}

/// Maps of keys and values that other outputs collect.
#[derive(Debug)]
pub struct Maps<K, V> {
    keys: K,
    values: V,
    offsets: Vec<i32>,
    valid: Vec<bool>,
}

impl<K: Output, V: Output> Maps<K, V> {
    /// An empty column of maps.
    pub fn new(keys: K, values: V) -> Self {
        Self {
            keys,
            values,
            offsets: vec![0],
            valid: Vec::new(),
        }
    }

    /// Appends a map whose entries `fill` appends, as many keys as values.
    pub fn append(&mut self, fill: impl FnOnce(&mut K, &mut V)) {
        fill(&mut self.keys, &mut self.values);
        debug_assert_eq!(self.keys.len(), self.values.len());
        self.close(true);
    }

    fn close(&mut self, valid: bool) {
        let end =
            i32::try_from(self.keys.len()).expect("a run's maps hold fewer than 2^31 entries");
        self.offsets.push(end);
        self.valid.push(valid);
    }
}

impl<K: Output, V: Output> Output for Maps<K, V> {
    fn append_null(&mut self) {
        self.close(false);
    }

    fn len(&self) -> usize {
        self.valid.len()
    }

    fn into_array(self) -> Result<ArrayRef, KernelError> {
        let (keys, values) = (self.keys.into_array()?, self.values.into_array()?);
        // Keys are never null; the mask that a column under construction carries would say they may be.
        let keys = make_array(keys.to_data().into_builder().nulls(None).build()?);
        let fields = Fields::from(vec![
            Field::new("key", keys.data_type().clone(), false),
            Field::new("value", values.data_type().clone(), true),
        ]);
        let entries = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
        let field = Field::new("entries", ArrowType::Struct(fields), false);
        let nulls = NullBuffer::new(BooleanBuffer::from(self.valid));
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        let offsets = OffsetBuffer::new(self.offsets.into());
        let map = MapArray::try_new(Arc::new(field), offsets, entries, nulls, false)?;
        Ok(Arc::new(map))
    }
}

/// The column with floats that are NaN or infinite made null; other types stay as they are.
pub(crate) fn without_non_finite(array: &ArrayRef) -> ArrayRef {
    fn keep<T: ArrowPrimitiveType>(
        array: &ArrayRef,
        finite: impl Fn(T::Native) -> bool,
    ) -> ArrayRef {
        let array: &PrimitiveArray<T> = array.as_primitive();
        if array.values().iter().all(|v| finite(*v)) {
            return Arc::new(array.clone());
        }
        let finite: BooleanBuffer = array.values().iter().map(|v| finite(*v)).collect();
        let nulls = NullBuffer::union(array.nulls(), Some(&NullBuffer::new(finite)));
        Arc::new(PrimitiveArray::<T>::new(array.values().clone(), nulls))
    }
    match array.data_type() {
        ArrowType::Float32 => keep::<Float32Type>(array, f32::is_finite),
        ArrowType::Float64 => keep::<Float64Type>(array, f64::is_finite),
        _ => Arc::clone(array),
    }
}
