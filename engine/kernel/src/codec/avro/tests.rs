//! Bytes written out by hand, random rows there and back, and random bytes, which may never do harm.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{
    Array, ArrayRef, BinaryArray, Int8Array, Int64Array, StringArray, new_null_array,
};
use proptest::prelude::*;
use unskewed_planner::avro::Record;
use unskewed_planner::schema::{DataType, Field, Schema};

use super::{decode, encode};

fn record(columns: &[(&str, DataType)]) -> (Record, Schema) {
    let field = |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone());
    let schema = Schema::new(columns.iter().map(field).collect());
    (Record::of("Row", &schema).unwrap(), schema)
}

/// The bytes of Avro's specification: zigzag numbers, lengths before bytes, blocks that end with zero.
#[test]
fn datums_have_the_specified_bytes() {
    let (record, _) = record(&[
        ("user", DataType::String),
        ("small", DataType::Byte),
        ("list", DataType::array(DataType::Long)),
    ]);
    let users: ArrayRef = Arc::new(StringArray::from(vec![Some("u1"), None]));
    let small: ArrayRef = Arc::new(Int8Array::from(vec![Some(-3), Some(64)]));
    let mut lists = ListBuilder::new(Int64Builder::new()).with_field(arrow_schema::Field::new(
        "element",
        arrow_schema::DataType::Int64,
        true,
    ));
    lists.append_value([Some(1), Some(-65)]);
    lists.append_value([]);
    let encoded = encode(&record, &[users, small, Arc::new(lists.finish())]).unwrap();
    assert!(encoded.bad.is_empty());
    assert_eq!(
        encoded.datums.value(0),
        b"\x02\x04u1\x02\x05\x02\x04\x02\x81\x01\x00"
    );
    assert_eq!(encoded.datums.value(1), b"\x00\x02\x80\x01\x02\x00");
}

/// A null inside a list has no Avro form: its row is told, the others stand.
#[test]
fn rows_that_cannot_be_written_are_told() {
    let (record, _) = record(&[("list", DataType::array(DataType::Long))]);
    let mut lists = ListBuilder::new(Int64Builder::new()).with_field(arrow_schema::Field::new(
        "element",
        arrow_schema::DataType::Int64,
        true,
    ));
    lists.append_value([Some(1)]);
    lists.append_value([Some(1), None]);
    lists.append_null();
    let encoded = encode(&record, &[Arc::new(lists.finish())]).unwrap();
    assert_eq!(encoded.bad.len(), 1);
    assert_eq!(encoded.bad[0].row, 1);
    assert!(encoded.bad[0].reason.contains("an item of list is null"));
    assert!(encoded.datums.is_null(1) && encoded.datums.value(2) == [0]);
}

/// Columns of another type than the record's, and missing ones, are errors.
#[test]
fn columns_must_fit_the_record() {
    let (record, _) = record(&[
        ("n", DataType::Long),
        ("m", DataType::array(DataType::Long)),
    ]);
    let longs: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    for columns in [vec![], vec![Arc::clone(&longs), longs], vec![texts]] {
        assert!(encode(&record, &columns).is_err());
    }
}

/// Broken datums are told by index and reason, and leave nothing behind in the rows around them.
#[test]
fn broken_datums_are_told() {
    let (record, _) = record(&[
        ("n", DataType::Long),
        ("words", DataType::map(DataType::String, DataType::String)),
    ]);
    let good: &[u8] = b"\x02\x06\x02\x02\x02a\x02b\x00";
    let datums = [
        Some(good),
        Some(b"\x02\x06\x02\x04\x02a\x02b\x02c"),
        Some(b"\x04\x06"),
        None,
        Some(b"\x02\x06\x02\x02\x02a\x02\xff\x00"),
        Some(b"\x02\x06\x00!"),
        Some(good),
    ];
    let decoded = decode(&record, &BinaryArray::from_iter(datums)).unwrap();
    let told: Vec<_> = decoded
        .bad
        .iter()
        .map(|bad| (bad.row, bad.reason.as_str()))
        .collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(
        told[0].0 == 1 && told[0].1.contains("field words: it ends too early"),
        "{told:?}"
    );
    assert!(
        told[1].0 == 2 && told[1].1.contains("field n: 2 is no branch"),
        "{told:?}"
    );
    assert!(
        told[2].0 == 4 && told[2].1.contains("not UTF-8"),
        "{told:?}"
    );
    assert!(
        told[3].0 == 5 && told[3].1.contains("1 bytes follow"),
        "{told:?}"
    );
    for column in &decoded.columns {
        assert_eq!(column.null_count(), 5);
        assert_eq!(column.slice(0, 1).to_data(), column.slice(6, 1).to_data());
    }
    let words = arrow_array::cast::AsArray::as_map(&decoded.columns[1]);
    let entries = format!("{:?}", words.value(6));
    assert!(
        entries.contains("\"a\"") && entries.contains("\"b\""),
        "{entries}"
    );
}

/// Blocks that carry their size, as other writers make them, are read.
#[test]
fn sized_blocks_are_read() {
    let (record, _) = record(&[("list", DataType::array(DataType::Long))]);
    let datums = BinaryArray::from_iter_values([b"\x02\x03\x04\x02\x04\x02\x06\x00"]);
    let decoded = decode(&record, &datums).unwrap();
    assert!(decoded.bad.is_empty(), "{:?}", decoded.bad);
    let list = arrow_array::cast::AsArray::as_list::<i32>(&decoded.columns[0]).value(0);
    let longs = arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Int64Type>(&list);
    assert_eq!(longs.values(), &[1, 2, 3]);
}

/// Any type that can be stored, a few levels deep.
fn any_type() -> impl Strategy<Value = DataType> {
    let leaf = prop_oneof![
        Just(DataType::Boolean),
        Just(DataType::Byte),
        Just(DataType::Short),
        Just(DataType::Int),
        Just(DataType::Long),
        Just(DataType::Float),
        Just(DataType::Double),
        Just(DataType::String),
        Just(DataType::Binary),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(DataType::array),
            inner
                .clone()
                .prop_map(|value| DataType::map(DataType::String, value)),
            prop::collection::vec(inner, 1..4).prop_map(|types| {
                let fields = types.into_iter().enumerate();
                let field = |(place, data_type)| Field::new(format!("f{place}"), data_type);
                DataType::Struct(fields.map(field).collect())
            }),
        ]
    })
}

fn any_columns() -> impl Strategy<Value = Vec<(String, DataType)>> {
    prop::collection::vec(any_type(), 1..4).prop_map(|types| {
        let name = |(place, data_type)| (format!("c{place}"), data_type);
        types.into_iter().enumerate().map(name).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    /// Random bytes never panic, and what they decode to encodes and decodes to the same again.
    #[test]
    fn random_bytes_do_no_harm(
        columns in any_columns(),
        rows in prop::collection::vec(prop::option::of(
            prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(2), Just(4), any::<u8>()], 0..60),
        ), 0..12),
    ) {
        let columns: Vec<(&str, DataType)> =
            columns.iter().map(|(name, data_type)| (name.as_str(), data_type.clone())).collect();
        let (record, _) = record(&columns);
        let datums = BinaryArray::from_iter(rows.iter().map(|row| row.as_deref()));
        let decoded = decode(&record, &datums).unwrap();
        let again = encode(&record, &decoded.columns).unwrap();
        prop_assert!(again.bad.is_empty());
        let back = decode(&record, &again.datums).unwrap();
        prop_assert!(back.bad.is_empty());
        for ((column, back), field) in decoded.columns.iter().zip(&back.columns).zip(&record.fields) {
            prop_assert_eq!(column.data_type(), &field.shape.data_type().to_arrow());
            prop_assert_eq!(format!("{column:?}"), format!("{back:?}"));
        }
    }
}

/// A datum of nulls for every kind, and none at all.
#[test]
fn nulls_of_every_kind() {
    let inner = DataType::Struct(vec![Field::new("x", DataType::Float)]);
    let (record, schema) = record(&[
        ("a", DataType::Boolean),
        ("b", DataType::Binary),
        ("c", DataType::array(inner.clone())),
        ("d", DataType::map(DataType::String, DataType::Short)),
        ("e", inner),
    ]);
    for rows in [0, 2] {
        let nulls = |field: &Field| new_null_array(&field.data_type.to_arrow(), rows);
        let columns: Vec<ArrayRef> = schema.fields.iter().map(nulls).collect();
        let encoded = encode(&record, &columns).unwrap();
        assert!((0..rows).all(|row| encoded.datums.value(row) == [0; 5]));
        let decoded = decode(&record, &encoded.datums).unwrap();
        assert!(
            decoded
                .columns
                .iter()
                .all(|column| column.null_count() == rows)
        );
    }
}
