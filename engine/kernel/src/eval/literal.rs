//! Constants as arrays of one value.

use std::sync::Arc;

use arrow_array::types::IntervalMonthDayNano;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DurationMicrosecondArray,
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array,
    IntervalMonthDayNanoArray, IntervalYearMonthArray, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use unskewed_planner::expr::Literal;
use unskewed_planner::schema::DataType;

use crate::error::KernelError;

pub(crate) fn array(value: &Literal, data_type: &DataType) -> Result<ArrayRef, KernelError> {
    Ok(match value {
        Literal::Null => new_null_array(&data_type.to_arrow(), 1),
        Literal::Boolean(value) => Arc::new(BooleanArray::from(vec![*value])),
        Literal::String(value) => Arc::new(StringArray::from(vec![value.as_str()])),
        Literal::Binary(value) => Arc::new(BinaryArray::from(vec![value.as_slice()])),
        Literal::Integer(value) => integer(*value, data_type)?,
        Literal::Double(value) if *data_type == DataType::Float => {
            #[allow(clippy::cast_possible_truncation, reason = "it was read as a float")]
            let value = *value as f32;
            Arc::new(Float32Array::from(vec![value]))
        }
        Literal::Double(value) => Arc::new(Float64Array::from(vec![*value])),
        Literal::Decimal(value) => {
            let values = Decimal128Array::from(vec![*value]);
            Arc::new(values.with_data_type(data_type.to_arrow()))
        }
        Literal::Calendar {
            months,
            days,
            micros,
        } => {
            let nanos = micros.saturating_mul(1000);
            let value = IntervalMonthDayNano::new(*months, *days, nanos);
            Arc::new(IntervalMonthDayNanoArray::from(vec![value]))
        }
    })
}

fn integer(value: i64, data_type: &DataType) -> Result<ArrayRef, KernelError> {
    let range = || KernelError::Type {
        operation: "a constant".into(),
        column: value.to_string(),
        data_type: data_type.to_string(),
    };
    let int = || i32::try_from(value).map_err(|_| range());
    Ok(match data_type {
        DataType::Byte => {
            let value = i8::try_from(value).map_err(|_| range())?;
            Arc::new(Int8Array::from(vec![value]))
        }
        DataType::Short => {
            let value = i16::try_from(value).map_err(|_| range())?;
            Arc::new(Int16Array::from(vec![value]))
        }
        DataType::Int => Arc::new(Int32Array::from(vec![int()?])),
        DataType::Date => Arc::new(Date32Array::from(vec![int()?])),
        DataType::YearMonthInterval(..) => Arc::new(IntervalYearMonthArray::from(vec![int()?])),
        DataType::Long => Arc::new(Int64Array::from(vec![value])),
        DataType::Timestamp | DataType::TimestampNtz => {
            let values = TimestampMicrosecondArray::from(vec![value]);
            Arc::new(values.with_data_type(data_type.to_arrow()))
        }
        DataType::DayTimeInterval(..) => Arc::new(DurationMicrosecondArray::from(vec![value])),
        _ => return Err(range()),
    })
}
