//! Schema texts: those that the reference wrote, names that clash, what is refused, and texts of others.

use super::*;

fn schema(fields: &[(&str, DataType)]) -> Schema {
    let field = |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone());
    Schema::new(fields.iter().map(field).collect())
}

/// The text is byte for byte what the reference stores in its serving info.
#[test]
fn pretty_text_is_the_reference_s() {
    let columns = [
        ("li", DataType::array(DataType::String)),
        ("amount", DataType::Long),
    ];
    let record = Record::of("Value", &schema(&columns)).unwrap();
    let expected = "{\n  \"type\" : \"record\",\n  \"name\" : \"Value\",\n  \"namespace\" : \"ai.chronon.data\",\n  \
        \"doc\" : \"\",\n  \"fields\" : [ {\n    \"name\" : \"li\",\n    \"type\" : [ \"null\", {\n      \
        \"type\" : \"array\",\n      \"items\" : \"string\"\n    } ],\n    \"doc\" : \"\"\n  }, {\n    \
        \"name\" : \"amount\",\n    \"type\" : [ \"null\", \"long\" ],\n    \"doc\" : \"\"\n  } ]\n}";
    assert_eq!(record.to_pretty_text(), expected);
}

/// Everything that can be stored comes back from the text, one line or many.
#[test]
fn texts_are_read_back() {
    let inner = DataType::Struct(vec![
        Field::new("x", DataType::Byte),
        Field::new("y", DataType::Short),
        Field::new("z", DataType::map(DataType::String, DataType::Float)),
    ]);
    let columns = [
        ("flag", DataType::Boolean),
        ("whole", DataType::Int),
        ("wide", DataType::Double),
        ("raw", DataType::Binary),
        ("nested", DataType::array(inner.clone())),
        ("by_name", DataType::map(DataType::String, inner)),
    ];
    let schema = schema(&columns);
    let record = Record::of("Key", &schema).unwrap();
    assert_eq!(Record::parse(&record.to_text()).unwrap(), record);
    assert_eq!(Record::parse(&record.to_pretty_text()).unwrap(), record);
    assert_eq!(record.clean_schema(), schema);
    assert_ne!(record.schema(), schema, "x, y and z occur twice");
    let text = record.to_text();
    assert!(
        text.contains(r#"{"type":"int","logicalType":"byte"}"#),
        "{text}"
    );
    assert!(
        text.contains("NestedElementStruct") && text.contains("By_nameValueStruct"),
        "{text}"
    );
}

/// Names are cleaned, and repeated ones are numbered over the whole schema, records included.
#[test]
fn names_are_distinct() {
    let inner = DataType::Struct(vec![Field::new("Value", DataType::Long)]);
    let columns = [
        ("a.b", DataType::Long),
        ("a-b", inner.clone()),
        ("a b", inner),
        ("Value", DataType::Long),
    ];
    let record = Record::of("Value", &schema(&columns)).unwrap();
    let names: Vec<_> = record.fields.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "a_b",
            "a_b_REPEATED_NAME_0",
            "a_b_REPEATED_NAME_1",
            "Value_REPEATED_NAME_2"
        ]
    );
    let Kind::Record(nested) = &record.fields[2].shape.kind else {
        panic!("a record");
    };
    assert_eq!(nested.name, "A_bStruct_REPEATED_NAME_0");
    assert_eq!(nested.fields[0].name, "Value_REPEATED_NAME_1");
    assert_eq!(without_number("a_REPEATED_NAME_12"), "a");
}

/// All columns without an Avro form are named, with what to do.
#[test]
fn unsupported_columns_are_named() {
    let inner = DataType::Struct(vec![Field::new("when", DataType::Timestamp)]);
    let columns = [
        ("day", DataType::Date),
        ("nested", DataType::array(inner)),
        ("counts", DataType::map(DataType::Long, DataType::Long)),
        ("price", DataType::Decimal(10, 2)),
        ("1st", DataType::Long),
    ];
    let problems = Record::of("Value", &schema(&columns)).unwrap_err();
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 5, "{texts:#?}");
    assert!(texts[0].contains("column day") && texts[0].contains("cast it to string"));
    assert_eq!(problems[1].column(), "nested.when");
    assert!(texts[2].contains("keys of type bigint"));
    assert!(texts[3].contains("decimal(10,2)"));
    assert!(texts[4].contains("rename"));
}

/// Texts that others write: reversed unions, references to records, annotations that do not matter.
#[test]
fn foreign_texts_are_read() {
    let text = r#"{"type":"record","name":"a.Row","fields":[
        {"name":"p","type":{"type":"record","name":"Point","fields":[{"name":"x","type":"double"}]},"default":null},
        {"name":"q","type":["a.Point","null"]},
        {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"s","type":{"type":"string","avro.java.string":"String"}}]}"#;
    let record = Record::parse(text).unwrap();
    assert_eq!(record.name, "Row");
    assert_eq!(record.fields[0].shape.kind, record.fields[1].shape.kind);
    assert_eq!(record.fields[1].shape.null_branch, Some(1));
    assert_eq!(record.schema().fields[2].data_type, DataType::Long);
}

/// A text whose records each hold the one before twice, so that written out it would be huge.
fn doubling(levels: usize) -> String {
    let mut text =
        String::from(r#"{"type":"record","name":"L0","fields":[{"name":"x","type":"int"}]}"#);
    for level in 1..levels {
        let before = level - 1;
        text = format!(
            r#"{{"type":"record","name":"L{level}","fields":[{{"name":"a","type":{text}}},{{"name":"b","type":"L{before}"}}]}}"#
        );
    }
    text
}

/// What cannot be decoded is refused with its place.
#[test]
fn unreadable_texts_are_refused() {
    let field = |inner: &str| {
        format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":{inner}}}]}}"#)
    };
    let texts = [
        "nonsense".to_owned(),
        r#""long""#.to_owned(),
        field(r#"["null","long","string"]"#),
        field(r#"["null","null"]"#),
        field(r#"["long"]"#),
        field(r#""R""#),
        field(r#""null""#),
        field(r#"{"type":"fixed","name":"F","size":4}"#),
        field(r#"{"type":"enum","name":"E","symbols":["A"]}"#),
        field(r#"{"type":"int","logicalType":"date"}"#),
        field(r#"{"type":"array"}"#),
        field(r#"{"type":"array","items":{"type":"record","name":"Nothing","fields":[]}}"#),
        field(r#"{"type":"record","name":"R","fields":[]}"#),
        r#"{"type":"record","name":"R"}"#.to_owned(),
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}"#
            .to_owned(),
        field(&format!("{}\"long\"{}", r#"{"type":"array","items":"#.repeat(200), "}".repeat(200))),
    ];
    for text in texts.into_iter().chain([doubling(40)]) {
        assert!(Record::parse(&text).is_err(), "{text}");
    }
    let error = Record::parse(&field(r#""fixed""#)).unwrap_err();
    assert!(error.to_string().contains("at f"), "{error}");
}

/// The fingerprint of the specification's example, `"int"`.
#[test]
fn fingerprint() {
    assert_eq!(super::rabin(b"\"int\""), 0x7275_d51a_3f39_5c8f);
}
