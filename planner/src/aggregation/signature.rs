//! The signature table: operation × input type → operand, state and output types, or a refusal.
//!
//! The rules stand in the specification's §2 (column dispatch, numeric casting) and §3 (states). A list of scalars
//! is exploded and a map keyed by string is aggregated per key by every operation that does not depend on time.

use crate::schema::{DataType, Field};

use super::Operation;

/// How one input value becomes inputs of the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InputShape {
    /// The value itself.
    Scalar,
    /// Each non-null element of the list by itself.
    List,
    /// Each non-null value of the map, per key of the map.
    Map,
    /// Each position of the list has its own state; all lists must be equally long and hold no null.
    Tensor,
}

/// The types of one operation over one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// How the input is taken apart.
    pub shape: InputShape,
    /// Type of the input column.
    pub input_type: DataType,
    /// Type of one element.
    pub element_type: DataType,
    /// Type computed on.
    pub operand_type: DataType,
    /// Type of the state, wrapped as the value is.
    pub state_type: DataType,
    /// Type of the value, wrapped in a map or list as the shape or bucket says.
    pub output_type: DataType,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Dates and timestamps are taken by no operation.
    #[error(
        "{operation} cannot take column {column} of type {data_type}: dates and timestamps are not aggregated"
    )]
    Temporal {
        /// The operation.
        operation: Operation,
        /// The input column.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// The operation does not take the type.
    #[error("{operation} cannot take column {column} of type {data_type}")]
    Incompatible {
        /// The operation.
        operation: Operation,
        /// The input column.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// Element-wise needs a list of scalars.
    #[error("element-wise {operation} needs a list of scalars, but column {column} is {data_type}")]
    ElementWise {
        /// The operation.
        operation: Operation,
        /// The input column.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// A bucket over a map, or over element-wise aggregation.
    #[error("{operation} of column {column} of type {data_type} cannot be bucketed: {reason}")]
    Bucketed {
        /// The operation.
        operation: Operation,
        /// The input column.
        column: String,
        /// Its type.
        data_type: DataType,
        /// What stands in the way.
        reason: &'static str,
    },
}

impl SignatureError {
    /// The same refusal, naming the column.
    #[must_use]
    pub fn at_column(mut self, name: &str) -> Self {
        match &mut self {
            Self::Temporal { column, .. }
            | Self::Incompatible { column, .. }
            | Self::ElementWise { column, .. }
            | Self::Bucketed { column, .. } => *column = name.into(),
        }
        self
    }
}

impl Signature {
    /// The signature of an operation over an input type.
    pub fn of(
        operation: Operation,
        input_type: &DataType,
        element_wise: bool,
        bucketed: bool,
    ) -> Result<Self, SignatureError> {
        let column = String::new;
        let data_type = || input_type.clone();
        if matches!(
            input_type,
            DataType::Date | DataType::Timestamp | DataType::TimestampNtz
        ) {
            let (column, data_type) = (column(), data_type());
            return Err(SignatureError::Temporal {
                operation,
                column,
                data_type,
            });
        }
        let (shape, element_type) = unwrap_shape(operation, input_type, element_wise);
        if element_wise && shape != InputShape::Tensor {
            let (column, data_type) = (column(), data_type());
            return Err(SignatureError::ElementWise {
                operation,
                column,
                data_type,
            });
        }
        let obstacle = match shape {
            InputShape::Map => Some("a map is already split by its keys"),
            InputShape::Tensor => Some("it is element-wise"),
            _ => None,
        };
        if let (true, Some(reason)) = (bucketed, obstacle) {
            let (column, data_type) = (column(), data_type());
            return Err(SignatureError::Bucketed {
                operation,
                column,
                data_type,
                reason,
            });
        }
        let Some(operand_type) = operand(operation, element_type) else {
            let (column, data_type) = (column(), data_type());
            return Err(SignatureError::Incompatible {
                operation,
                column,
                data_type,
            });
        };
        let wrap = |inner: DataType| match shape {
            InputShape::Tensor => DataType::array(inner),
            InputShape::Map => DataType::map(DataType::String, inner),
            _ if bucketed => DataType::map(DataType::String, inner),
            _ => inner,
        };
        Ok(Self {
            shape,
            input_type: input_type.clone(),
            element_type: element_type.clone(),
            state_type: wrap(state(operation, &operand_type)),
            output_type: wrap(output(operation, &operand_type)),
            operand_type,
        })
    }
}

fn unwrap_shape(
    operation: Operation,
    input_type: &DataType,
    element_wise: bool,
) -> (InputShape, &DataType) {
    match input_type {
        DataType::Array(element) if !operation.is_timed() && is_scalar(element) => {
            let shape = if element_wise {
                InputShape::Tensor
            } else {
                InputShape::List
            };
            (shape, element)
        }
        DataType::Map(key, value) if !operation.is_timed() && **key == DataType::String => {
            (InputShape::Map, value)
        }
        other => (InputShape::Scalar, other),
    }
}

/// The element types whose lists are exploded; a list of bytes is not.
fn is_scalar(element: &DataType) -> bool {
    use DataType::{Binary, Boolean, Double, Float, Int, Long, Short, String};
    matches!(
        element,
        Int | Long | Short | Double | Float | String | Binary | Boolean
    )
}

/// The type computed on, or `None` where the operation does not take the element.
fn operand(operation: Operation, element: &DataType) -> Option<DataType> {
    use DataType::{Binary, Boolean, Double, Float, Int, Long, Short, String};
    use Operation as Op;
    match operation {
        Op::First | Op::Last | Op::FirstK | Op::LastK | Op::Count => Some(element.clone()),
        Op::Histogram => (*element == String).then_some(String),
        Op::Sum => match element {
            Int | Long | Short | Boolean => Some(Long),
            Double | Float => Some(Double),
            _ => None,
        },
        Op::Average | Op::Variance | Op::Skew | Op::Kurtosis => match element {
            Int | Long | Short | Double | Float => Some(Double),
            _ => None,
        },
        Op::Min | Op::Max | Op::TopK | Op::BottomK => match element {
            Int | Long | Short | Double | Float | String => Some(element.clone()),
            _ => None,
        },
        Op::UniqueCount | Op::BoundedUniqueCount => match element {
            Int | Long | Short | Double | Float | String | Binary => Some(element.clone()),
            _ => None,
        },
        Op::ApproxUniqueCount => match element {
            Int | Long | Short => Some(Long),
            Double | Float => Some(Double),
            String | Binary => Some(element.clone()),
            _ => None,
        },
        Op::ApproxPercentile => match element {
            Int | Long | Short | Double | Float => Some(Float),
            _ => None,
        },
        Op::ApproxHistogramK => match element {
            Int | Long | Short => Some(Long),
            Double | Float => Some(Double),
            String => Some(String),
            _ => None,
        },
    }
}

fn state(operation: Operation, operand: &DataType) -> DataType {
    use Operation as Op;
    let field = Field::new;
    match operation {
        Op::Count => DataType::Long,
        Op::Sum | Op::Min | Op::Max => operand.clone(),
        Op::Average => DataType::Struct(vec![
            field("sum", DataType::Double),
            field("count", DataType::Int),
        ]),
        Op::Variance => DataType::Struct(vec![
            field("count", DataType::Int),
            field("mean", DataType::Double),
            field("m2", DataType::Double),
        ]),
        Op::Skew | Op::Kurtosis => DataType::array(DataType::Double),
        Op::UniqueCount | Op::BoundedUniqueCount | Op::TopK | Op::BottomK => {
            DataType::array(operand.clone())
        }
        Op::ApproxUniqueCount | Op::ApproxPercentile | Op::ApproxHistogramK => DataType::Binary,
        Op::Histogram => DataType::map(DataType::String, DataType::Int),
        Op::First | Op::Last => time_pair(operand),
        Op::FirstK | Op::LastK => DataType::array(time_pair(operand)),
    }
}

fn time_pair(payload: &DataType) -> DataType {
    DataType::Struct(vec![
        Field::new("epochMillis", DataType::Long),
        Field::new("payload", payload.clone()),
    ])
}

fn output(operation: Operation, operand: &DataType) -> DataType {
    use Operation as Op;
    match operation {
        Op::Count | Op::UniqueCount | Op::BoundedUniqueCount | Op::ApproxUniqueCount => {
            DataType::Long
        }
        Op::Sum | Op::Min | Op::Max | Op::First | Op::Last => operand.clone(),
        Op::Average | Op::Variance | Op::Skew | Op::Kurtosis => DataType::Double,
        Op::ApproxPercentile => DataType::array(DataType::Float),
        Op::FirstK | Op::LastK | Op::TopK | Op::BottomK => DataType::array(operand.clone()),
        Op::Histogram => DataType::map(DataType::String, DataType::Int),
        Op::ApproxHistogramK => DataType::map(DataType::String, DataType::Long),
    }
}
