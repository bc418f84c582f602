//! What JSON becomes, what is refused, and that nothing of it is told.

use arrow_array::cast::AsArray;
use arrow_json::writer::{LineDelimited, WriterBuilder};
use proptest::prelude::*;
use unskewed_planner::schema::Schema;

use super::*;
use crate::stream::form::sample;

fn wanted(columns: &[(&str, DataType)]) -> Wanted {
    let field = |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone());
    let schema = Schema::new(columns.iter().map(field).collect());
    let arrow = schema.to_arrow().into();
    Wanted { schema, arrow }
}

fn decode(columns: &[(&str, DataType)], payloads: &[&[u8]]) -> Decoded {
    let framing = Framing {
        is_confluent: false,
    };
    let mut json = Json::new(wanted(columns), framing);
    json.decode(&sample::messages(payloads)).unwrap()
}

/// The only column's value of the only row, as Arrow shows it, or why it was rejected.
fn value(data_type: DataType, json: &str) -> Result<String, String> {
    let payload = format!("{{\"v\":{json}}}");
    let decoded = decode(&[("v", data_type)], &[payload.as_bytes()]);
    match decoded.rejected.first() {
        Some(rejected) => {
            assert_eq!(decoded.rows.num_rows(), 0);
            Err(rejected.reason.clone())
        }
        None => Ok(sample::shown(decoded.rows.column(0))[0].clone()),
    }
}

/// What fits a column.
#[test]
fn values_that_fit() {
    use DataType::*;
    let list = DataType::array(Int);
    let map = DataType::map(String, Long);
    let counts = DataType::map(Int, String);
    let pair = Struct(vec![Field::new("a", Long), Field::new("b", list.clone())]);
    for (data_type, json, shown) in [
        (Boolean, "true", "true"),
        (Byte, "-128", "-128"),
        (Short, "32767", "32767"),
        (Int, "0", "0"),
        (Long, "-9223372036854775808", "-9223372036854775808"),
        (Float, "1.5", "1.5"),
        (Double, "7", "7.0"),
        (Double, "\"NaN\"", "NaN"),
        (Double, "\"-Infinity\"", "-inf"),
        (Decimal(10, 2), "12.3", "12.30"),
        (
            Decimal(38, 18),
            "0.123456789012345678",
            "0.123456789012345678",
        ),
        (Decimal(10, 2), "\"-7\"", "-7.00"),
        (String, r#""a\u00e9\n""#, "aé\n"),
        (Binary, "\"AQID\"", "010203"),
        (Binary, "\"AQI\"", "0102"),
        (Date, "\"2024-02-29\"", "2024-02-29"),
        (Date, "1", "1970-01-02"),
        (Timestamp, "1700000000123", "2023-11-14T22:13:20.123Z"),
        (
            Timestamp,
            "\"2023-11-14T23:13:20+01:00\"",
            "2023-11-14T22:13:20Z",
        ),
        (
            TimestampNtz,
            "\"2023-11-14 22:13:20\"",
            "2023-11-14T22:13:20",
        ),
        (list, "[1,null,2]", "[1, , 2]"),
        (map, r#"{"x":1,"y":null}"#, "{x: 1, y: }"),
        (counts, r#"{"-3":"x"}"#, "{-3: x}"),
        (pair, r#"{"b":[1],"c":{"d":[[]]}}"#, "{a: , b: [1]}"),
        (Long, "null", ""),
        (Decimal(5, 1), "null", ""),
        (Null, "null", ""),
    ] {
        let found = value(data_type.clone(), json);
        assert_eq!(found.as_deref(), Ok(shown), "{json} as {data_type}");
    }
}

/// What does not fit a column rejects the message, and nothing that it holds is told.
#[test]
fn values_that_do_not_fit() {
    use DataType::*;
    let list = DataType::array(Int);
    let map = DataType::map(Int, Long);
    let texts = DataType::map(String, Long);
    let pair = Struct(vec![Field::new("a", Long)]);
    for (data_type, json) in [
        (Boolean, "1"),
        (Byte, "128"),
        (Int, "4242424242"),
        (Long, "9223372036854775808"),
        (Long, "4242.0"),
        (Long, "\"4242\""),
        (Long, "1e999"),
        (Float, "4242e300"),
        (Double, "\"4242\""),
        (Double, "NaN"),
        (Decimal(10, 2), "4242.001"),
        (Decimal(4, 2), "4242"),
        (Decimal(4, 2), "true"),
        (Decimal(4, 2), "[4242]"),
        (String, "4242"),
        (String, "{\"x\":4242}"),
        (String, "\"\\ud800 4242\""),
        (Binary, "\"4242!\""),
        (Date, "\"4242-13-01\""),
        (Date, "4242424242"),
        (Timestamp, "\"yesterday 4242\""),
        (Timestamp, "4242.5"),
        (Timestamp, "9223372036854775807"),
        (TimestampNtz, "\"2023-11-14T22:42:42Z\""),
        (list.clone(), "4242"),
        (list.clone(), "[1,\"4242\"]"),
        (list, "{\"0\":4242}"),
        (map, "{\"x4242\":1}"),
        (texts, "{\"4242\":1,\"x\":2,\"4242\":3}"),
        (pair.clone(), "[4242]"),
        (pair.clone(), "{\"a\":1,\"a\":4242}"),
        (pair, "{\"a\":\"4242\"}"),
        (Null, "4242"),
    ] {
        let reason = value(data_type.clone(), json).expect_err(json);
        assert!(!reason.contains("42"), "{reason}");
    }
}

/// A message that is no object of JSON is rejected, and does not stop the others.
#[test]
fn messages_that_are_none() {
    let deep_list = "[".repeat(100_000);
    let deep = format!("{{\"v\":{deep_list}");
    let bad: [&[u8]; 13] = [
        b"",
        b" ",
        b"null",
        b"[]",
        b"\"text\"",
        b"{\"v\":1",
        b"{\"v\":1}}",
        b"{\"v\":1} {\"v\":2}",
        b"{\"v\":1,\"v\":1}",
        b"{'v':1}",
        b"{\"v\":1,\"x\":\"\xff\"}",
        b"\xef\xbb\xbf{\"v\":1}",
        deep.as_bytes(),
    ];
    let columns = [("v", DataType::Long)];
    for bad in bad {
        let all = [&b"{\"v\":7}"[..], bad, b"{\"v\":8}"];
        let decoded = decode(&columns, &all);
        let numbers: Vec<u32> = decoded.rejected.iter().map(|r| r.message).collect();
        assert_eq!(numbers, [1], "{:?}", std::str::from_utf8(bad));
        assert_eq!(decoded.message, [0, 2]);
        let values = decoded
            .rows
            .column(0)
            .as_primitive::<arrow_array::types::Int64Type>();
        assert_eq!(values.values(), &[7, 8]);
    }
}

/// What is missing is null, names are taken exactly, a tombstone is no row, and no column is a row still.
#[test]
fn columns_by_name() {
    let columns = [("a", DataType::Long), ("B", DataType::String)];
    let decoded = decode(&columns, &[b"{}", b"{\"b\":1,\"B\":\"x\",\"A\":2}"]);
    assert!(decoded.rejected.is_empty());
    assert_eq!(sample::shown(decoded.rows.column(0)), ["", ""]);
    assert_eq!(sample::shown(decoded.rows.column(1)), ["", "x"]);
    let mut messages = sample::messages(&[b"{}", b"{}"]);
    messages[0].payload = None;
    let framing = Framing {
        is_confluent: false,
    };
    let decoded = Json::new(wanted(&[]), framing).decode(&messages).unwrap();
    assert_eq!(decoded.message, [1]);
    assert_eq!(decoded.rows.num_rows(), 1);
}

/// What Confluent's serializer puts first is taken off.
#[test]
fn framed() {
    let mut json = Json::new(
        wanted(&[("v", DataType::Long)]),
        Framing { is_confluent: true },
    );
    let payloads: [&[u8]; 4] = [
        b"\0\0\0\0\x07{\"v\":1}",
        b"{\"v\":1}",
        b"\0\0\0",
        b"\x01\0\0\0\x07{}",
    ];
    let decoded = json.decode(&sample::messages(&payloads)).unwrap();
    assert_eq!(decoded.message, [0]);
    assert_eq!(decoded.rejected.len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Rows written as JSON by Arrow are read as they were.
    #[test]
    fn rows_come_back(rows in sample::rows()) {
        let builder = WriterBuilder::new().with_explicit_nulls(true);
        let mut writer = builder.build::<_, LineDelimited>(vec![]);
        writer.write(&rows).unwrap();
        writer.finish().unwrap();
        let written = writer.into_inner();
        let lines: Vec<&[u8]> = written.split(|b| *b == b'\n').filter(|l| !l.is_empty()).collect();
        let schema = Schema::from_arrow(&rows.schema()).unwrap();
        let wanted = Wanted { arrow: schema.to_arrow().into(), schema };
        let mut json = Json::new(wanted, Framing { is_confluent: false });
        let decoded = json.decode(&sample::messages(&lines)).unwrap();
        prop_assert_eq!(&decoded.rejected, &vec![]);
        prop_assert_eq!(decoded.rows, rows);
    }

    /// Bytes with an error somewhere never panic, and each message is a row or rejected.
    #[test]
    fn anything(
        mut bytes in prop::collection::vec(any::<u8>(), 0..64),
        written in r#"\{"(v|w|x)":([0-9eE.+-]{0,9}|"[a-z\\"]{0,5}|[\[\]{},:"0-9]{0,20}|null|true)\}?"#,
    ) {
        let columns = [
            ("v", DataType::array(DataType::Struct(vec![Field::new("w", DataType::Decimal(9, 3))]))),
            ("w", DataType::map(DataType::Long, DataType::Timestamp)),
            ("x", DataType::Double),
        ];
        let mut mixed = written.clone().into_bytes();
        mixed.append(&mut bytes);
        let messages = [&mixed[..], written.as_bytes(), b"{\"x\":1}"];
        let decoded = decode(&columns, &messages);
        prop_assert_eq!(decoded.rows.num_rows() + decoded.rejected.len(), 3);
        prop_assert_eq!(decoded.message.last(), Some(&2));
    }
}
