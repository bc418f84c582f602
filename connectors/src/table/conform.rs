//! Arrow arrays as the Parquet reader gives them, turned into the canonical form of a Spark type.
//!
//! Promises: an array that is canonical already is returned as it is; names and nullability of
//! nested fields change without touching values; a value that does not fit is an error, never a
//! null. Hot path: works on whole columns.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{
    Array, ArrayRef, ListArray, MapArray, StructArray, TimestampMicrosecondArray, new_null_array,
};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType as ArrowType, Field as ArrowField, TimeUnit};
use unskewed_planner::schema::{DataType, Field};

/// The array in the canonical form of the type.
pub(crate) fn conform(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if *array.data_type() == to.to_arrow() {
        return Ok(Arc::clone(array));
    }
    match (array.data_type(), to) {
        (ArrowType::Null, _) => Ok(new_null_array(&to.to_arrow(), array.len())),
        (_, DataType::Array(element)) => conform_list(array, element),
        (ArrowType::Map(..), DataType::Map(key, value)) => conform_map(array, key, value),
        (ArrowType::Struct(_), DataType::Struct(fields)) => conform_struct(array, fields),
        (ArrowType::Timestamp(unit, _), DataType::Timestamp | DataType::TimestampNtz) => {
            let micros = to_micros(array, *unit)?;
            let zone = matches!(to, DataType::Timestamp).then(|| Arc::from("UTC"));
            Ok(Arc::new(micros.with_timezone_opt::<Arc<str>>(zone)))
        }
        _ => {
            let options = CastOptions {
                safe: false,
                ..CastOptions::default()
            };
            cast_with_options(array, &to.to_arrow(), &options)
        }
    }
}

fn conform_list(array: &ArrayRef, element: &DataType) -> Result<ArrayRef, ArrowError> {
    let list: ListArray = match array.data_type() {
        ArrowType::List(_) => array.as_list::<i32>().clone(),
        other => {
            let item = match other {
                ArrowType::LargeList(item)
                | ArrowType::FixedSizeList(item, _)
                | ArrowType::ListView(item)
                | ArrowType::LargeListView(item) => item,
                _ => return Err(not_castable(other, &DataType::array(element.clone()))),
            };
            let narrow = ArrowType::List(Arc::clone(item));
            cast_with_options(array, &narrow, &CastOptions::default())?
                .as_list::<i32>()
                .clone()
        }
    };
    let (_field, offsets, values, nulls) = list.into_parts();
    let values = conform(&values, element)?;
    let field = ArrowField::new("element", element.to_arrow(), true);
    let list = ListArray::try_new(Arc::new(field), offsets, values, nulls)?;
    Ok(Arc::new(list))
}

fn conform_map(array: &ArrayRef, key: &DataType, value: &DataType) -> Result<ArrayRef, ArrowError> {
    let (_field, offsets, entries, nulls, _ordered) = array.as_map().clone().into_parts();
    let columns = vec![
        conform(entries.column(0), key)?,
        conform(entries.column(1), value)?,
    ];
    let canonical = DataType::map(key.clone(), value.clone()).to_arrow();
    let ArrowType::Map(field, _) = canonical else {
        unreachable!("the canonical form of a map is a map");
    };
    let ArrowType::Struct(fields) = field.data_type().clone() else {
        unreachable!("the entries of a map are a struct");
    };
    let entries = StructArray::try_new(fields, columns, None)?;
    let map = MapArray::try_new(field, offsets, entries, nulls, false)?;
    Ok(Arc::new(map))
}

fn conform_struct(array: &ArrayRef, fields: &[Field]) -> Result<ArrayRef, ArrowError> {
    let from = array.as_struct();
    let names = from.fields();
    let columns = fields.iter().map(|field| {
        let at = names
            .iter()
            .position(|n| n.name() == &field.name)
            .or_else(|| {
                names
                    .iter()
                    .position(|n| n.name().eq_ignore_ascii_case(&field.name))
            });
        match at {
            Some(at) => conform(from.column(at), &field.data_type),
            None => Ok(new_null_array(&field.data_type.to_arrow(), array.len())),
        }
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let fields: Vec<ArrowField> = fields.iter().map(Field::to_arrow).collect();
    let nulls = from.nulls().cloned();
    let built = StructArray::try_new_with_length(fields.into(), columns, nulls, array.len())?;
    Ok(Arc::new(built))
}

fn to_micros(array: &ArrayRef, unit: TimeUnit) -> Result<TimestampMicrosecondArray, ArrowError> {
    let too_far = |_| ArrowError::ComputeError("a timestamp does not fit microseconds".into());
    let up = |value: i64, factor: i64| value.checked_mul(factor).ok_or(());
    match unit {
        TimeUnit::Microsecond => Ok(array.as_primitive::<TimestampMicrosecondType>().clone()),
        // Downwards, also before 1970: the microsecond that the instant lies in.
        TimeUnit::Nanosecond => Ok(array
            .as_primitive::<TimestampNanosecondType>()
            .unary(|nanos| nanos.div_euclid(1000))),
        TimeUnit::Millisecond => array
            .as_primitive::<TimestampMillisecondType>()
            .try_unary(|millis| up(millis, 1000).map_err(too_far)),
        TimeUnit::Second => array
            .as_primitive::<TimestampSecondType>()
            .try_unary(|seconds| up(seconds, 1_000_000).map_err(too_far)),
    }
}

fn not_castable(from: &ArrowType, to: &DataType) -> ArrowError {
    ArrowError::CastError(format!("{from} is not {to}"))
}

#[cfg(test)]
mod tests {
    use arrow_array::{
        DictionaryArray, Int32Array, LargeStringArray, TimestampNanosecondArray, UInt64Array,
    };

    use super::*;

    fn check(array: impl Into<ArrayRef>, to: &DataType) -> ArrayRef {
        let array = array.into();
        let conformed = conform(&array, to).unwrap();
        assert_eq!(*conformed.data_type(), to.to_arrow());
        assert_eq!(conformed.len(), array.len());
        conformed
    }

    /// Canonical arrays are handed on without a copy.
    #[test]
    fn canonical_is_not_copied() {
        let array: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        let same = check(Arc::clone(&array), &DataType::Int);
        assert!(Arc::ptr_eq(&array, &same));
    }

    /// Foreign forms of text, numbers and time become canonical, time downwards.
    #[test]
    fn foreign_forms() {
        let words: DictionaryArray<arrow_array::types::Int32Type> =
            vec![Some("a"), None, Some("a")].into_iter().collect();
        let words = check(Arc::new(words) as ArrayRef, &DataType::String);
        assert!(words.is_null(1) && words.as_string::<i32>().value(2) == "a");
        check(
            Arc::new(LargeStringArray::from(vec!["x"])) as ArrayRef,
            &DataType::String,
        );
        let large = check(
            Arc::new(UInt64Array::from(vec![u64::MAX])) as ArrayRef,
            &DataType::Decimal(20, 0),
        );
        let large = large.as_primitive::<arrow_array::types::Decimal128Type>();
        assert_eq!(large.value(0), i128::from(u64::MAX));
        let nanos = TimestampNanosecondArray::from(vec![-1, 1999]);
        let micros = check(Arc::new(nanos) as ArrayRef, &DataType::Timestamp);
        let micros = micros.as_primitive::<TimestampMicrosecondType>();
        assert_eq!(micros.values().to_vec(), [-1, 1]);
    }

    /// Structs are matched by name; missing fields become nulls; a value that does not fit is an
    /// error.
    #[test]
    fn nested_by_name() {
        let inner: ArrayRef = Arc::new(Int32Array::from(vec![7]));
        let from = StructArray::from(vec![(
            Arc::new(ArrowField::new("b", ArrowType::Int32, false)),
            inner,
        )]);
        let to = DataType::Struct(vec![
            Field::new("a", DataType::array(DataType::String)),
            Field::new("B", DataType::Long),
        ]);
        let done = check(Arc::new(from) as ArrayRef, &to);
        let done = done.as_struct();
        assert!(done.column(0).is_null(0));
        let large: ArrayRef = Arc::new(Int32Array::from(vec![70_000]));
        assert!(conform(&large, &DataType::Short).is_err());
    }
}
