//! Values made fit for comparing: equal by Spark's rules means equal bits, less means less.
//!
//! In Spark `-0.0` equals `0.0` and all NaN are one; Arrow compares bits. Nested values are compared as bytes in
//! Arrow's row format, whose order is Spark's once the floats in them are normal.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, StructArray};
use arrow_row::{RowConverter, SortField};
use arrow_schema::DataType as ArrowType;
use unskewed_planner::expr::Expr;
use unskewed_planner::schema::DataType;

use super::rows::Value;
use super::step::Stepped;

/// Equal floats with equal bits, at any depth; canonical arrays stay canonical.
pub(super) fn normalized(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        ArrowType::Float32 => {
            let values = array.as_primitive::<Float32Type>();
            Arc::new(
                values.unary::<_, Float32Type>(|v| if v.is_nan() { f32::NAN } else { v + 0.0 }),
            )
        }
        ArrowType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            Arc::new(
                values.unary::<_, Float64Type>(|v| if v.is_nan() { f64::NAN } else { v + 0.0 }),
            )
        }
        ArrowType::List(field) if has_floats(field.data_type()) => {
            let list = array.as_list::<i32>();
            let values = normalized(list.values());
            let field = Arc::clone(field);
            let offsets = list.offsets().clone();
            Arc::new(ListArray::new(
                field,
                offsets,
                values,
                list.nulls().cloned(),
            ))
        }
        ArrowType::Struct(fields) if has_floats(array.data_type()) => {
            let structs = array.as_struct();
            let columns = structs.columns().iter().map(normalized).collect();
            Arc::new(StructArray::new(
                fields.clone(),
                columns,
                structs.nulls().cloned(),
            ))
        }
        _ => Arc::clone(array),
    }
}

fn has_floats(data_type: &ArrowType) -> bool {
    match data_type {
        ArrowType::Float32 | ArrowType::Float64 => true,
        ArrowType::List(field) => has_floats(field.data_type()),
        ArrowType::Struct(fields) => fields.iter().any(|f| has_floats(f.data_type())),
        _ => false,
    }
}

/// How a key's values are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// As they are, floats normal.
    Plain,
    /// As bytes in row format; a null stays a null.
    Bytes,
    /// As bytes in row format, nulls too: nulls are equal.
    NullSafe,
}

/// The layout in which values of a type can be compared and sorted.
pub(super) fn layout(data_type: &DataType, null_safe: bool) -> Layout {
    match data_type {
        _ if null_safe => Layout::NullSafe,
        DataType::Array(_)
        | DataType::Map(..)
        | DataType::Struct(_)
        | DataType::Null
        | DataType::CalendarInterval => Layout::Bytes,
        _ => Layout::Plain,
    }
}

/// The Arrow type of a key.
pub(super) fn key_type(data_type: &DataType, layout: Layout) -> ArrowType {
    match layout {
        Layout::Plain => data_type.to_arrow(),
        Layout::Bytes | Layout::NullSafe => ArrowType::Binary,
    }
}

/// A key of each row.
pub(super) struct KeyValue {
    value: Value,
    layout: Layout,
    converter: Option<RowConverter>,
}

impl KeyValue {
    pub(super) fn new(expr: &Expr, layout: Layout) -> Stepped<Self> {
        let converter = match layout {
            Layout::Plain => None,
            _ => Some(RowConverter::new(vec![SortField::new(
                expr.data_type.to_arrow(),
            )])?),
        };
        Ok(Self {
            value: Value::new(expr)?,
            layout,
            converter,
        })
    }

    pub(super) fn of(&mut self, batch: &RecordBatch) -> Stepped<ArrayRef> {
        let values = normalized(&self.value.of(batch)?);
        let Some(converter) = &mut self.converter else {
            return Ok(values);
        };
        let rows = converter.convert_columns(std::slice::from_ref(&values))?;
        let bytes = rows.try_into_binary()?;
        if self.layout == Layout::NullSafe {
            return Ok(Arc::new(bytes));
        }
        let (offsets, data, _) = bytes.into_parts();
        let nulls = values.logical_nulls();
        Ok(Arc::new(arrow_array::BinaryArray::new(
            offsets, data, nulls,
        )))
    }
}
