//! The value encoding of the data: JSON to arrays and back, and when two values are equal.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, ListArray, MapArray, PrimitiveArray, RecordBatch,
    StringArray, StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType as ArrowType;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use unskewed_planner::expr::parse_data_type;
use unskewed_planner::schema::{DataType, Field, Schema};

pub(crate) fn table(json: &Value) -> (Schema, RecordBatch) {
    let columns = json["columns"].as_array().expect("columns");
    let text = |v: &Value| v.as_str().expect("text").to_owned();
    let fields: Vec<Field> = columns
        .iter()
        .map(|c| Field::new(text(&c[0]), parse_data_type(&text(&c[1])).expect("a type")))
        .collect();
    let rows = json["rows"].as_array().expect("rows");
    let arrays = fields.iter().enumerate().map(|(i, field)| {
        let values: Vec<&Value> = rows.iter().map(|row| &row[i]).collect();
        decode(&values, &field.data_type)
    });
    let arrays: Vec<ArrayRef> = arrays.collect();
    let schema = Schema::new(fields);
    let batch = RecordBatch::try_new(Arc::new(schema.to_arrow()), arrays).expect("a batch");
    (schema, batch)
}

fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.replace("Infinity", "inf").parse().expect("a double")),
        number => Some(number.as_f64().expect("a double")),
    }
}

#[expect(clippy::too_many_lines, reason = "one arm for each type")]
fn decode(values: &[&Value], data_type: &DataType) -> ArrayRef {
    fn integers<T: ArrowPrimitiveType>(values: &[&Value], to: &ArrowType) -> ArrayRef
    where
        T::Native: TryFrom<i64>,
    {
        let one = |v: &&Value| {
            v.as_i64()
                .map(|i| T::Native::try_from(i).ok().expect("in range"))
        };
        let array: PrimitiveArray<T> = values.iter().map(one).collect();
        Arc::new(array.with_data_type(to.clone()))
    }
    let arrow = data_type.to_arrow();
    match data_type {
        DataType::Boolean => Arc::new(values.iter().map(|v| v.as_bool()).collect::<BooleanArray>()),
        DataType::Byte => integers::<Int8Type>(values, &arrow),
        DataType::Short => integers::<Int16Type>(values, &arrow),
        DataType::Int => integers::<Int32Type>(values, &arrow),
        DataType::Long => integers::<Int64Type>(values, &arrow),
        DataType::Date => integers::<Date32Type>(values, &arrow),
        DataType::Timestamp => integers::<TimestampMicrosecondType>(values, &arrow),
        DataType::Float => {
            let one = |v: &&Value| double(v).map(|d| d as f32);
            Arc::new(
                values
                    .iter()
                    .map(one)
                    .collect::<PrimitiveArray<Float32Type>>(),
            )
        }
        DataType::Double => {
            let doubles = values.iter().map(|v| double(v));
            Arc::new(doubles.collect::<PrimitiveArray<Float64Type>>())
        }
        DataType::Decimal(..) => {
            let one = |v: &&Value| {
                v.as_str()
                    .map(|s| s.replace('.', "").parse::<i128>().expect("digits"))
            };
            let array: PrimitiveArray<Decimal128Type> = values.iter().map(one).collect();
            Arc::new(array.with_data_type(arrow))
        }
        DataType::String => Arc::new(values.iter().map(|v| v.as_str()).collect::<StringArray>()),
        DataType::Binary => {
            let one = |v: &&Value| v.as_str().map(|s| STANDARD.decode(s).expect("base64"));
            Arc::new(values.iter().map(one).collect::<BinaryArray>())
        }
        DataType::Array(element) => {
            let ArrowType::List(field) = arrow else {
                panic!("a list")
            };
            let (flat, offsets, nulls) = flatten(values);
            let inner = decode(&flat, element);
            Arc::new(ListArray::new(field, offsets, inner, Some(nulls)))
        }
        DataType::Map(key, value) => {
            let ArrowType::Map(entries, _) = arrow else {
                panic!("a map")
            };
            let ArrowType::Struct(fields) = entries.data_type() else {
                panic!("entries")
            };
            let (flat, offsets, nulls) = flatten(values);
            let side = |i: usize| flat.iter().map(|e| &e[i]).collect::<Vec<_>>();
            let columns = vec![decode(&side(0), key), decode(&side(1), value)];
            let structs = StructArray::new(fields.clone(), columns, None);
            Arc::new(MapArray::new(entries, offsets, structs, Some(nulls), false))
        }
        DataType::Struct(inner) => {
            let ArrowType::Struct(fields) = arrow else {
                panic!("a struct")
            };
            let nulls = NullBuffer::from(values.iter().map(|v| !v.is_null()).collect::<Vec<_>>());
            let columns = inner.iter().enumerate().map(|(i, field)| {
                let side: Vec<&Value> = values
                    .iter()
                    .map(|v| v.get(i).unwrap_or(&Value::Null))
                    .collect();
                decode(&side, &field.data_type)
            });
            Arc::new(StructArray::new(fields, columns.collect(), Some(nulls)))
        }
        other => panic!("no column of the table is {other}"),
    }
}

fn flatten<'a>(values: &[&'a Value]) -> (Vec<&'a Value>, OffsetBuffer<i32>, NullBuffer) {
    let lists = values.iter().map(|v| v.as_array());
    let lengths = lists.clone().map(|l| l.map_or(0, Vec::len));
    let flat = lists.clone().flatten().flatten().collect();
    let valid: Vec<bool> = lists.map(|l| l.is_some()).collect();
    (
        flat,
        OffsetBuffer::from_lengths(lengths),
        NullBuffer::from(valid),
    )
}

fn number(value: f64) -> Value {
    if value.is_nan() {
        json!("NaN")
    } else if value.is_infinite() {
        json!(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        json!(value)
    }
}

/// The value of one row.
pub(crate) fn encode(array: &ArrayRef, row: usize, data_type: &DataType) -> Value {
    assert_eq!(
        *array.data_type(),
        data_type.to_arrow(),
        "not the canonical form"
    );
    encode_value(array, row, data_type)
}

fn encode_value(array: &ArrayRef, row: usize, data_type: &DataType) -> Value {
    if array.is_null(row) || *data_type == DataType::Null {
        return Value::Null;
    }
    match data_type {
        DataType::Null => Value::Null,
        DataType::Boolean => json!(array.as_boolean().value(row)),
        DataType::Byte => json!(array.as_primitive::<Int8Type>().value(row)),
        DataType::Short => json!(array.as_primitive::<Int16Type>().value(row)),
        DataType::Int => json!(array.as_primitive::<Int32Type>().value(row)),
        DataType::Long => json!(array.as_primitive::<Int64Type>().value(row)),
        DataType::Date => json!(array.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp | DataType::TimestampNtz => {
            json!(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Float => number(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Double => number(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal(_, scale) => {
            let value = array.as_primitive::<Decimal128Type>().value(row);
            let scale = usize::try_from(*scale).expect("a scale");
            let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            let sign = if value < 0 { "-" } else { "" };
            let point = if scale > 0 { "." } else { "" };
            json!(format!("{sign}{whole}{point}{fraction}"))
        }
        DataType::String => json!(array.as_string::<i32>().value(row)),
        DataType::Binary => json!(STANDARD.encode(array.as_binary::<i32>().value(row))),
        DataType::DayTimeInterval(..) => {
            json!(array.as_primitive::<DurationMicrosecondType>().value(row))
        }
        DataType::YearMonthInterval(..) => {
            json!(array.as_primitive::<IntervalYearMonthType>().value(row))
        }
        DataType::CalendarInterval => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            json!({"months": value.months, "days": value.days, "micros": value.nanoseconds / 1000})
        }
        DataType::Array(element) => {
            let values = array.as_list::<i32>().value(row);
            (0..values.len())
                .map(|i| encode_value(&values, i, element))
                .collect()
        }
        DataType::Map(key, value) => {
            let entries = array.as_map().value(row);
            let side = |i: usize| entries.column(i);
            let one = |i| {
                json!([
                    encode_value(side(0), i, key),
                    encode_value(side(1), i, value)
                ])
            };
            (0..entries.len()).map(one).collect()
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns().iter().zip(fields);
            columns
                .map(|(column, field)| encode_value(column, row, &field.data_type))
                .collect()
        }
    }
}

/// True if the values are equal by the rules of the data's README.
#[allow(
    dead_code,
    reason = "used by one of the two tests that share this file"
)]
pub(crate) fn same(found: &Value, wanted: &Value, data_type: &DataType, tolerance: f64) -> bool {
    if found.is_null() || wanted.is_null() {
        return found.is_null() && wanted.is_null();
    }
    let all = |a: &Value, b: &Value, types: &mut dyn Iterator<Item = DataType>| {
        let (a, b) = (a.as_array().expect("a list"), b.as_array().expect("a list"));
        a.len() == b.len()
            && a.iter()
                .zip(b)
                .zip(types)
                .all(|((a, b), t)| same(a, b, &t, tolerance))
    };
    match data_type {
        DataType::Float | DataType::Double => {
            let (a, b) = (
                double(found).expect("a double"),
                double(wanted).expect("a double"),
            );
            let close = a.is_finite() && b.is_finite() && (a - b).abs() <= tolerance * b.abs();
            a.is_nan() && b.is_nan() || a.to_bits() == b.to_bits() || tolerance > 0.0 && close
        }
        DataType::Array(element) => all(found, wanted, &mut std::iter::repeat((**element).clone())),
        DataType::Struct(fields) => all(
            found,
            wanted,
            &mut fields.iter().map(|f| f.data_type.clone()),
        ),
        DataType::Map(key, value) => {
            let (a, b) = (
                found.as_array().expect("a map"),
                wanted.as_array().expect("a map"),
            );
            let entry = |x: &Value, y: &Value| {
                same(&x[0], &y[0], key, tolerance) && same(&x[1], &y[1], value, tolerance)
            };
            a.len() == b.len() && b.iter().all(|y| a.iter().any(|x| entry(x, y)))
        }
        _ => found == wanted,
    }
}
