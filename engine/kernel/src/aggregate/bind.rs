//! The one place where an operation and its types pick an aggregator and a fold.
//!
//! Binding happens once per call and column; the loop behind it is compiled for the exact types. Operands are cast to
//! the few types that operations compute on (integers to 64 bits, floats to 64 bits), results are cast back.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType as ArrowType;
use unskewed_planner::aggregation::{AggregatePart, InputShape, Operation};
use unskewed_planner::schema::DataType;

use super::dictionary::Dictionary;
use super::fold::{Exploded, Inputs, Items, Scalar, Visitor};
use super::keyed::{Entries, Keyed};
use super::tensor::Tensor;
use super::{
    Aggregator, WorkOrder, approximate, count, distinct, extremes, frequent, histogram, kept,
    moments, sum, timed,
};
use crate::error::KernelError;

/// A part's input taken apart, waiting for the aggregator of its elements.
#[derive(Debug)]
pub struct Shape<V> {
    visitor: V,
    form: Form,
    row_count: usize,
}

/// How rows become elements.
#[derive(Debug)]
enum Form {
    Scalar {
        nulls: Option<arrow_buffer::NullBuffer>,
    },
    Exploded {
        items: Items,
    },
    Keyed {
        entries: Entries,
        keys: Dictionary,
    },
    Tensor {
        items: Items,
    },
}

impl<V: Visitor> Shape<V> {
    /// Runs the visitor with this aggregator in the part's shape.
    pub fn with<A: Aggregator>(self, aggregator: A) -> Result<V::Answer, KernelError> {
        match self.form {
            Form::Scalar { nulls } => self.visitor.visit(&Scalar {
                aggregator,
                nulls,
                row_count: self.row_count,
            }),
            Form::Exploded { items } => self.visitor.visit(&Exploded { aggregator, items }),
            Form::Keyed { entries, keys } => self.visitor.visit(&Keyed {
                aggregator,
                entries,
                keys,
            }),
            Form::Tensor { items } => self.visitor.visit(&Tensor::new(aggregator, items)),
        }
    }
}

/// Binds a part to its columns and runs the visitor.
pub fn bind<V: Visitor>(
    part: &AggregatePart,
    inputs: Inputs<'_>,
    visitor: V,
) -> Result<V::Answer, KernelError> {
    let (elements, form) = take_apart(part, inputs)?;
    let elements = operand(part, &elements)?;
    let shape = Shape {
        visitor,
        form,
        row_count: inputs.value.len(),
    };
    match part.operation {
        Operation::Count => shape.with(count::Count),
        Operation::Sum | Operation::Average => sum::bind(part, &elements, inputs.with_sum, shape),
        Operation::Min | Operation::Max => extremes::bind(part, &elements, shape),
        Operation::First | Operation::Last => timed::bind(part, &elements, inputs.times, shape),
        Operation::Variance | Operation::Skew | Operation::Kurtosis => {
            moments::bind(part, &elements, shape)
        }
        Operation::TopK | Operation::BottomK => kept::bind_by_value(part, &elements, shape),
        Operation::FirstK | Operation::LastK => kept::bind_by_time(part, &elements, inputs, shape),
        Operation::UniqueCount | Operation::BoundedUniqueCount => {
            distinct::bind_unique(part, &elements, inputs.stored, shape)
        }
        Operation::Histogram => histogram::bind(part, &elements, shape),
        Operation::ApproxUniqueCount => approximate::bind_unique(part, &elements, shape),
        Operation::ApproxPercentile => approximate::bind_percentile(part, &elements, shape),
        Operation::ApproxHistogramK => frequent::bind(part, &elements, shape),
    }
}

/// Whether the order of work may show in what a part answers: no less than its aggregator says.
pub(crate) fn work_order(part: &AggregatePart) -> WorkOrder {
    match part.operation {
        Operation::Histogram if part.arguments.k.unwrap_or(0) > 0 => WorkOrder::Questions,
        Operation::ApproxHistogramK => WorkOrder::Questions,
        Operation::Skew | Operation::Kurtosis | Operation::ApproxPercentile => WorkOrder::Rows,
        Operation::TopK | Operation::BottomK
            if matches!(part.operand_type, DataType::Double | DataType::Float) =>
        {
            WorkOrder::Rows
        }
        Operation::Average | Operation::Variance | Operation::ApproxUniqueCount => {
            WorkOrder::Digits
        }
        Operation::Sum if part.operand_type == DataType::Double => WorkOrder::Digits,
        _ => WorkOrder::Free,
    }
}

/// The elements of the input column, in their own type.
pub(crate) fn elements_of(
    part: &AggregatePart,
    inputs: Inputs<'_>,
) -> Result<ArrayRef, KernelError> {
    Ok(take_apart(part, inputs)?.0)
}

/// The elements of the input column and how rows are made of them.
fn take_apart(part: &AggregatePart, inputs: Inputs<'_>) -> Result<(ArrayRef, Form), KernelError> {
    let value = inputs.value;
    let (elements, form) = match (part.shape, value.data_type()) {
        (InputShape::Scalar, _) => {
            let nulls = value.logical_nulls().filter(|n| n.null_count() > 0);
            (Arc::clone(value), Form::Scalar { nulls })
        }
        (InputShape::List, ArrowType::List(_)) => {
            let (values, items) = items_of(value);
            (values, Form::Exploded { items })
        }
        (InputShape::Tensor, ArrowType::List(_)) => {
            let (values, items) = items_of(value);
            (values, Form::Tensor { items })
        }
        (InputShape::Map, ArrowType::Map(_, _)) => {
            let map = value.as_map();
            let (offsets, range) = from_zero(map.offsets());
            let keys = map.keys().slice(range.start, range.len());
            let values = map.values().slice(range.start, range.len());
            let Some(keys) = keys.as_string_opt::<i32>() else {
                return Err(type_error(part, value.data_type()));
            };
            let keys = Dictionary::new(keys);
            let entries = Entries::Map {
                offsets,
                maps: map.nulls().cloned(),
                values: values.logical_nulls(),
            };
            (values, Form::Keyed { entries, keys })
        }
        (_, other) => return Err(type_error(part, other)),
    };
    let Some(bucket) = inputs.bucket else {
        return Ok((elements, form));
    };
    let Some(buckets) = bucket.as_string_opt::<i32>() else {
        return Err(type_error(part, bucket.data_type()));
    };
    let entries = match form {
        Form::Scalar { nulls } => Entries::Bucket(nulls),
        Form::Exploded { items } => Entries::BucketOfItems(items),
        Form::Keyed { .. } | Form::Tensor { .. } => {
            return Err(type_error(part, value.data_type()));
        }
    };
    let keys = Dictionary::new(buckets);
    Ok((elements, Form::Keyed { entries, keys }))
}

/// The items of a list column, and where they lie.
fn items_of(lists: &ArrayRef) -> (ArrayRef, Items) {
    let lists = lists.as_list::<i32>();
    let (offsets, range) = from_zero(lists.offsets());
    let values = lists.values().slice(range.start, range.len());
    let items = Items {
        offsets,
        lists: lists.nulls().cloned(),
        items: values.logical_nulls(),
    };
    (values, items)
}

/// Offsets that begin at zero, and the range of children they are about: a slice of a long column must not pay for
/// the children of all of it.
fn from_zero(offsets: &OffsetBuffer<i32>) -> (OffsetBuffer<i32>, Range<usize>) {
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    let range = first as usize..last as usize;
    if first == 0 {
        return (offsets.clone(), range);
    }
    let moved: Vec<i32> = offsets.iter().map(|offset| offset - first).collect();
    (OffsetBuffer::new(moved.into()), range)
}

/// The elements in the type that the operation computes on.
fn operand(part: &AggregatePart, elements: &ArrayRef) -> Result<ArrayRef, KernelError> {
    use ArrowType::{Boolean, Float32, Float64, Int8, Int16, Int32, Int64};
    let target = match (part.operation, elements.data_type()) {
        (
            Operation::Count
            | Operation::First
            | Operation::Last
            | Operation::FirstK
            | Operation::LastK,
            _,
        ) => return Ok(Arc::clone(elements)),
        (Operation::ApproxPercentile, _) => Float32,
        (Operation::Average | Operation::Variance | Operation::Skew | Operation::Kurtosis, _) => {
            Float64
        }
        (_, Int8 | Int16 | Int32 | Int64) => Int64,
        (_, Float32 | Float64) => Float64,
        (Operation::Sum, Boolean) => Int64,
        _ => return Ok(Arc::clone(elements)),
    };
    if *elements.data_type() == target {
        return Ok(Arc::clone(elements));
    }
    Ok(arrow_cast::cast(elements, &target)?)
}

/// The finished column in the part's own type, where it was computed in a wider one.
pub(crate) fn in_output_type(
    part: &AggregatePart,
    column: &ArrayRef,
) -> Result<ArrayRef, KernelError> {
    let expected = part.output_type.to_arrow();
    if *column.data_type() == expected {
        return Ok(Arc::clone(column));
    }
    Ok(arrow_cast::cast(column, &expected)?)
}

/// The refusal of a type that the plan should not have let through.
pub(crate) fn type_error(part: &AggregatePart, found: &ArrowType) -> KernelError {
    KernelError::Type {
        operation: part.operation.name().into(),
        column: part.input.clone(),
        data_type: found.to_string(),
    }
}
