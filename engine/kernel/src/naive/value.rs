//! One value of any type, compared bit for bit. Only for tests.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType as ArrowType;

/// A value. Floats are kept by their bits, so that equality is exact; all NaN are one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// No value.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number of any width.
    Whole(i64),
    /// The bits of a float.
    Float(u32),
    /// The bits of a double.
    Double(u64),
    /// A string.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Value>),
    /// A map, sorted by key.
    Map(Vec<(Value, Value)>),
    /// The fields of a struct.
    Struct(Vec<Value>),
}

impl Value {
    /// A double.
    pub fn double(value: f64) -> Self {
        let canonical = if value.is_nan() { f64::NAN } else { value };
        Self::Double(canonical.to_bits())
    }

    /// A float.
    pub fn float(value: f32) -> Self {
        let canonical = if value.is_nan() { f32::NAN } else { value };
        Self::Float(canonical.to_bits())
    }

    /// The value of a row.
    pub fn read(array: &ArrayRef, row: usize) -> Self {
        if array.is_null(row) {
            return Self::Null;
        }
        match array.data_type() {
            ArrowType::Boolean => Self::Boolean(array.as_boolean().value(row)),
            ArrowType::Int8 => Self::Whole(array.as_primitive::<Int8Type>().value(row).into()),
            ArrowType::Int16 => Self::Whole(array.as_primitive::<Int16Type>().value(row).into()),
            ArrowType::Int32 => Self::Whole(array.as_primitive::<Int32Type>().value(row).into()),
            ArrowType::Int64 => Self::Whole(array.as_primitive::<Int64Type>().value(row)),
            ArrowType::Float32 => Self::float(array.as_primitive::<Float32Type>().value(row)),
            ArrowType::Float64 => Self::double(array.as_primitive::<Float64Type>().value(row)),
            ArrowType::Utf8 => Self::Text(array.as_string::<i32>().value(row).to_owned()),
            ArrowType::Binary => Self::Bytes(array.as_binary::<i32>().value(row).to_vec()),
            ArrowType::List(_) => Self::List(Self::column(&array.as_list::<i32>().value(row))),
            ArrowType::Map(_, _) => {
                let entries = array.as_map().value(row);
                let keys = Self::column(entries.column(0));
                let mut map: Vec<_> = keys
                    .into_iter()
                    .zip(Self::column(entries.column(1)))
                    .collect();
                map.sort();
                Self::Map(map)
            }
            ArrowType::Struct(_) => {
                let columns = array.as_struct().columns();
                Self::Struct(columns.iter().map(|c| Self::read(c, row)).collect())
            }
            other => unreachable!("tests make no column of type {other}"),
        }
    }

    /// All values of a column.
    pub fn column(array: &ArrayRef) -> Vec<Self> {
        (0..array.len()).map(|row| Self::read(array, row)).collect()
    }

    /// The number as a double, widened.
    pub fn as_double(&self) -> f64 {
        match self {
            Self::Whole(value) => *value as f64,
            Self::Float(bits) => f32::from_bits(*bits).into(),
            Self::Double(bits) => f64::from_bits(*bits),
            Self::Boolean(value) => f64::from(u8::from(*value)),
            other => unreachable!("{other:?} is no number"),
        }
    }

    /// Whether it is a float or double.
    pub fn is_floating(&self) -> bool {
        matches!(self, Self::Float(_) | Self::Double(_))
    }

    /// The finished scalar as it is written: a float that is not finite is a null.
    #[must_use]
    pub fn finite_or_null(self) -> Self {
        if self.is_floating() && !self.as_double().is_finite() {
            Self::Null
        } else {
            self
        }
    }
}
