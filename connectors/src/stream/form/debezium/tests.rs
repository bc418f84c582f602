//! What becomes of changes, told in JSON with and without its wrapper, and in Avro.

use arrow_array::types::Int64Type;

use super::*;
use crate::stream::form::{self, sample};
use crate::stream::{Format, Topic};

fn topic(text: &str) -> Topic {
    Topic::parse(text, &std::collections::BTreeMap::new()).unwrap()
}

fn wanted(mutations: bool) -> SchemaRef {
    let mut fields = vec![Field::new("id", DataType::Long)];
    if mutations {
        fields.push(Field::new(IS_BEFORE, DataType::Boolean));
    }
    fields.push(Field::new("name", DataType::String));
    if mutations {
        fields.push(Field::new(MUTATION_TIME, DataType::Long));
    }
    Schema::new(fields).to_arrow().into()
}

fn decode(payloads: &[&str], mutations: bool) -> Decoded {
    let options = form::Options { mutations };
    let topic = topic("t/format=debezium-json");
    let mut decoder = form::open(&topic, &wanted(mutations), &options).unwrap();
    assert_eq!(decoder.schema(), wanted(mutations));
    let payloads: Vec<&[u8]> = payloads.iter().map(|text| text.as_bytes()).collect();
    decoder.decode(&sample::messages(&payloads)).unwrap()
}

/// Rows as text, each after the number of its message.
fn shown(decoded: &Decoded) -> Vec<String> {
    let columns = decoded.rows.columns().iter().map(sample::shown);
    let columns: Vec<Vec<String>> = columns.collect();
    let rows = decoded.message.iter().enumerate();
    rows.map(|(row, message)| {
        let values: Vec<&str> = columns.iter().map(|column| column[row].as_str()).collect();
        format!("{message}: {}", values.join(" "))
    })
    .collect()
}

const CREATED: &str = r#"{"before":null,"after":{"id":1,"name":"a"},"source":{"ts_ms":100,"db":"x"},"op":"c","ts_ms":105}"#;
const READ: &str = r#"{"op":"r","after":{"id":2,"name":"b"},"source":{"ts_ms":90}}"#;
const UPDATED: &str = r#"{"before":{"id":1,"name":"a"},"after":{"id":1,"name":"A"},"source":{"ts_ms":200},"op":"u","ts_ms":205}"#;
const DELETED: &str =
    r#"{"before":{"id":1,"name":"A"},"after":null,"source":{},"op":"d","ts_ms":305}"#;
const SAME: &str = r#"{"before":{"id":1,"x":1},"after":{"id":1,"x":2},"op":"u","ts_ms":1}"#;
const TRUNCATED: &str = r#"{"op":"t","ts_ms":1}"#;

/// Of mutations, an update is the row after it and the row before it, at the time of the source.
#[test]
fn mutations() {
    let messages = [CREATED, READ, UPDATED, DELETED, SAME, TRUNCATED];
    let decoded = decode(&messages, true);
    assert_eq!(decoded.rejected, []);
    let rows = [
        "0: 1 false a 100",
        "1: 2 false b 90",
        "2: 1 false A 200",
        "2: 1 true a 200",
        "3: 1 true A 305",
    ];
    assert_eq!(shown(&decoded), rows);
}

/// Of events, what is new is a row, and what is gone is none.
#[test]
fn events() {
    let no_before = r#"{"after":{"id":7},"op":"u"}"#;
    let decoded = decode(
        &[CREATED, UPDATED, DELETED, SAME, TRUNCATED, no_before],
        false,
    );
    assert_eq!(decoded.rejected, []);
    assert_eq!(shown(&decoded), ["0: 1 a", "1: 1 A", "5: 7 "]);
}

/// The wrapper of Connect's converter changes nothing; a tombstone is no row.
#[test]
fn wrapped() {
    let plain = decode(&[CREATED, UPDATED, DELETED], true);
    let wrap = |text: &str| {
        format!("{{\"schema\":{{\"type\":\"struct\",\"fields\":[]}},\"payload\":{text}}}")
    };
    let wrapped: Vec<String> = [CREATED, UPDATED, DELETED].map(wrap).into();
    let wrapped: Vec<&str> = wrapped.iter().map(String::as_str).collect();
    assert_eq!(shown(&decode(&wrapped, true)), shown(&plain));
    let topic = topic("t/format=debezium-json");
    let options = form::Options { mutations: true };
    let mut decoder = form::open(&topic, &wanted(true), &options).unwrap();
    let mut messages = sample::messages(&[b"", CREATED.as_bytes()]);
    messages[0].payload = None;
    let decoded = decoder.decode(&messages).unwrap();
    assert_eq!((decoded.message, decoded.rejected), (vec![1], vec![]));
}

/// What tells only half of a change, or is none, is rejected among the others.
#[test]
fn rejected() {
    for (text, told) in [
        ("{}", "no op"),
        ("[]", "not an object"),
        (r#"{"op":"x","after":{"id":1}}"#, "none of c"),
        (r#"{"op":"c","ts_ms":1}"#, "after is missing"),
        (
            r#"{"op":"u","ts_ms":1,"before":{"id":1}}"#,
            "after is missing",
        ),
        (
            r#"{"op":"u","ts_ms":1,"after":{"id":1}}"#,
            "REPLICA IDENTITY",
        ),
        (r#"{"op":"d","ts_ms":1}"#, "REPLICA IDENTITY"),
        (r#"{"op":"c","after":{"id":1}}"#, "no ts_ms"),
        (
            r#"{"op":"c","ts_ms":1,"after":{"id":"secret"}}"#,
            "after.id",
        ),
    ] {
        let decoded = decode(&[CREATED, text, READ], true);
        assert_eq!(decoded.message, [0, 2], "{text}");
        let [rejected] = &decoded.rejected[..] else {
            panic!("{text}: {:?}", decoded.rejected)
        };
        assert_eq!(rejected.message, 1);
        let reason = &rejected.reason;
        assert!(
            reason.contains(told) && !reason.contains("secret"),
            "{reason}"
        );
    }
}

/// In Avro it is the same.
#[test]
fn avro() {
    let row = r#"{"type":"record","name":"Value","fields":[
        {"name":"id","type":"long"},{"name":"extra","type":"string"},{"name":"name","type":["null","string"]}]}"#;
    let schema = format!(
        r#"{{"type":"record","name":"Envelope","namespace":"db.t","fields":[
        {{"name":"before","type":["null",{row}],"default":null}},
        {{"name":"after","type":["null","Value"],"default":null}},
        {{"name":"source","type":{{"type":"record","name":"Source","fields":[
            {{"name":"version","type":"string"}},{{"name":"ts_ms","type":"long"}}]}}}},
        {{"name":"op","type":"string"}},
        {{"name":"ts_ms","type":["null","long"]}}]}}"#
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("envelope.avsc");
    std::fs::write(&path, schema).unwrap();
    let given = [("schema".to_owned(), path.display().to_string())];
    let topic = Topic::parse("t/format=debezium-avro", &given.into()).unwrap();
    assert_eq!(topic.form.format, Format::DebeziumAvro);
    let options = form::Options { mutations: true };
    let mut decoder = form::open(&topic, &wanted(true), &options).unwrap();
    // before {id 1, extra "", name null}, after {id 1, extra "x", name "n"}, source {version "", ts_ms 50}, op, no ts_ms
    let update = [2, 2, 0, 0, 2, 2, 2, b'x', 2, 2, b'n', 0, 100, 2, b'u', 0];
    let create = [0, 2, 4, 0, 0, 0, 102, 2, b'c', 0];
    let decoded = decoder.decode(&sample::messages(&[&update, &create, &create[..5]]));
    let decoded = decoded.unwrap();
    let rows = ["0: 1 false n 50", "0: 1 true  50", "1: 2 false  51"];
    assert_eq!(shown(&decoded), rows);
    assert_eq!(decoded.rejected.len(), 1);
    let times = decoded.rows.column(3).as_primitive::<Int64Type>();
    assert_eq!(times.null_count(), 0);
}

/// The columns of a mutation's own have types that they can have.
#[test]
fn wrong_columns() {
    let fields = vec![Field::new(IS_BEFORE, DataType::Long)];
    let wanted: SchemaRef = Schema::new(fields).to_arrow().into();
    let topic = topic("t/format=debezium-json");
    let options = form::Options { mutations: true };
    let error = form::open(&topic, &wanted, &options).err().unwrap();
    assert!(
        error.to_string().contains("is_before is no bigint"),
        "{error}"
    );
    assert!(form::open(&topic, &wanted, &form::Options::default()).is_ok());
}
