//! What datums of Avro become, under which schemas.

use arrow_avro::schema::FingerprintStrategy;
use arrow_avro::writer::WriterBuilder;
use arrow_avro::writer::format::{AvroBinaryFormat, AvroSoeFormat};
use proptest::prelude::*;
use unskewed_planner::schema::{Field, Schema};

use super::*;
use crate::stream::form::sample::{self, Answers};

fn wanted(columns: &[(&str, DataType)]) -> Wanted {
    let field = |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone());
    of_schema(Schema::new(columns.iter().map(field).collect()))
}

fn of_schema(schema: Schema) -> Wanted {
    let arrow = schema.to_arrow().into();
    Wanted { schema, arrow }
}

/// A decoder of datums of one schema.
fn avro(schema: &str, wanted: Wanted) -> Avro {
    let known = Known::new(&[schema.into()], &wanted).unwrap();
    Avro {
        wanted,
        framing: Framing {
            is_confluent: false,
        },
        registry: None,
        known: BTreeMap::from([(None, Ok(known))]),
    }
}

fn record(field: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{{"name":"v","type":{field}}}]}}"#)
}

fn value(field: &str, data_type: DataType, datum: &[u8]) -> Result<String, String> {
    let mut avro = avro(&record(field), wanted(&[("v", data_type)]));
    let decoded = avro.decode(&sample::messages(&[datum])).unwrap();
    match decoded.rejected.first() {
        Some(rejected) => Err(rejected.reason.clone()),
        None => Ok(sample::shown(decoded.rows.column(0))[0].clone()),
    }
}

fn assert_fits(field: &str, data_type: &DataType, datum: &[u8], shown: &str) {
    let found = value(field, data_type.clone(), datum);
    assert_eq!(found.as_deref(), Ok(shown), "{field} as {data_type}");
}

/// Values by the specification's encoding, in columns of their type and of wider ones.
#[test]
fn values_that_fit() {
    use DataType::*;
    let list = DataType::array(Int);
    let map = DataType::map(String, Long);
    let pair = Struct(vec![Field::new("b", Long), Field::new("none", Long)]);
    let inner = r#"{"type":"record","name":"I","fields":[
        {"name":"a","type":"string"},{"name":"b","type":"int"}]}"#;
    let lists = r#"{"type":"array","items":"int"}"#;
    let maps = r#"{"type":"map","values":"int"}"#;
    let symbols = r#"{"type":"enum","name":"E","symbols":["A","B"]}"#;
    let nullable = r#"["null","string"]"#;
    let least = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let double = 1.5_f64.to_le_bytes();
    let float = 0.5_f32.to_le_bytes();
    for (field, data_type, datum, shown) in [
        (r#""boolean""#, Boolean, &[1][..], "true"),
        (r#""int""#, Int, &[0x03], "-2"),
        (r#""int""#, Long, &[0x80, 0x01], "64"),
        (r#""int""#, Byte, &[0x80, 0x01], "64"),
        (r#""int""#, Double, &[0x02], "1.0"),
        (r#""long""#, Long, &least, "-9223372036854775808"),
        (r#""double""#, Double, &double, "1.5"),
        (r#""float""#, Double, &float, "0.5"),
        (r#""string""#, String, &[4, b'h', b'i'], "hi"),
        (r#""bytes""#, Binary, &[4, 1, 2], "0102"),
        (symbols, String, &[2], "B"),
        (nullable, String, &[2, 2, b'x'], "x"),
        (nullable, String, &[0], ""),
        (r#"["string","long"]"#, Long, &[2, 8], "4"),
        (lists, list.clone(), &[4, 2, 4, 0], "[1, 2]"),
        (lists, list, &[3, 4, 2, 4, 2, 6, 0], "[1, 2, 3]"),
        (maps, map, &[2, 2, b'k', 6, 0], "{k: 3}"),
        (inner, pair, &[2, b'x', 8], "{b: 4, none: }"),
    ] {
        assert_fits(field, &data_type, datum, shown);
    }
}

/// Logical types, and what Debezium names them.
#[test]
fn logical_types() {
    use DataType::*;
    let millis = r#"{"type":"long","logicalType":"timestamp-millis"}"#;
    let micros = r#"{"type":"long","logicalType":"timestamp-micros"}"#;
    let nanos = r#"{"type":"long","logicalType":"timestamp-nanos"}"#;
    let debezium = r#"{"type":"long","connect.name":"io.debezium.time.MicroTimestamp"}"#;
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#;
    let fixed = r#"{"type":"fixed","name":"F","size":2,"logicalType":"decimal","scale":1}"#;
    let date = r#"{"type":"int","logicalType":"date"}"#;
    let thousand = [0xd0, 0x0f];
    let milli = "1970-01-01T00:00:00.001Z";
    for (field, data_type, datum, shown) in [
        (millis, Timestamp, &thousand[..], "1970-01-01T00:00:01Z"),
        (millis, Long, &thousand, "1000"),
        (micros, Timestamp, &thousand, milli),
        (debezium, Timestamp, &thousand, milli),
        (nanos, TimestampNtz, &thousand, "1970-01-01T00:00:00.000001"),
        (date, Date, &[2], "1970-01-02"),
        (decimal, Decimal(9, 2), &[4, 0x04, 0xd2], "12.34"),
        (decimal, Decimal(10, 3), &[4, 0xff, 0xfe], "-0.020"),
        (fixed, Decimal(9, 2), &[0x00, 0x0f], "1.50"),
    ] {
        assert_fits(field, &data_type, datum, shown);
    }
}

/// Datums that are broken, or claim what they do not hold, are rejected.
#[test]
fn values_that_do_not_fit() {
    use DataType::*;
    let ints = r#"{"type":"array","items":"int"}"#;
    let nulls = r#"{"type":"array","items":"null"}"#;
    let map = r#"{"type":"map","values":"int"}"#;
    let long_max = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    for (field, data_type, datum) in [
        (r#""boolean""#, Boolean, &[2][..]),
        (r#""boolean""#, Boolean, &[]),
        (r#""boolean""#, Boolean, &[1, 1]),
        (r#""boolean""#, Long, &[1]),
        (r#""int""#, Int, &[0xff, 0xff, 0xff, 0xff, 0x7f]),
        (r#""int""#, Byte, &[0x80, 0x02]),
        (r#""long""#, Long, &[0xff; 10]),
        (r#""long""#, Timestamp, &long_max),
        (r#""string""#, String, &[4, b'h']),
        (r#""string""#, String, &[2, 0xff]),
        (r#""string""#, String, &[1]),
        (r#""string""#, String, &long_max),
        (r#""string""#, Long, &[2, b'1']),
        (r#"["null","string"]"#, String, &[4]),
        (r#"["null","string"]"#, String, &[1]),
        (ints, DataType::array(Int), &long_max),
        (nulls, DataType::array(Null), &long_max),
        (nulls, Boolean, &long_max),
        (ints, Long, &[0]),
        (
            map,
            DataType::map(String, Int),
            &[4, 2, b'k', 2, 2, b'k', 2, 0],
        ),
        (map, DataType::map(Int, Int), &[2, 2, b'k', 2, 0]),
    ] {
        let reason = value(field, data_type.clone(), datum);
        assert!(reason.is_err(), "{field} as {data_type}: {reason:?}");
    }
    let wide = record(nulls);
    let skipped = avro(&wide, wanted(&[("other", Long)]));
    let mut skipped = skipped;
    let decoded = skipped.decode(&sample::messages(&[&long_max])).unwrap();
    assert_eq!(decoded.rejected.len(), 1);
}

/// What nobody wants is passed over, whatever it is, and a type that contains itself only so deep.
#[test]
fn unwanted_fields() {
    let schema = r#"{"type":"record","name":"N","fields":[
        {"name":"next","type":["null","N"]},
        {"name":"tags","type":{"type":"map","values":{"type":"array","items":"string"}}},
        {"name":"f","type":{"type":"fixed","name":"F","size":2}},
        {"name":"v","type":"long"}]}"#;
    let tags = [1, 12, 2, b'k', 2, 2, b'x', 0, 0];
    let tail = [&tags[..], &[9, 9, 14]].concat();
    let one = [&[0][..], &tail].concat();
    let two = [&[2][..], &one, &tail].concat();
    let endless = vec![2; 1_000_000];
    let mut avro = avro(schema, wanted(&[("v", DataType::Long)]));
    let messages = sample::messages(&[&one, &two, &endless]);
    let decoded = avro.decode(&messages).unwrap();
    assert_eq!(sample::shown(decoded.rows.column(0)), ["7", "7"]);
    assert_eq!(decoded.rejected[0].message, 2);
}

/// A schema that makes no row is of no use.
#[test]
fn schemas_that_make_no_row() {
    for schema in [
        "\"string\"",
        r#"["null","long"]"#,
        r#"{"type":"map","values":"int"}"#,
    ] {
        let known = Known::new(&[schema.into()], &wanted(&[("v", DataType::Long)]));
        assert!(known.unwrap_err().contains("no record"), "{schema}");
    }
    let nullable = format!(r#"["null",{}]"#, record(r#""int""#));
    let mut avro = avro(&nullable, wanted(&[("v", DataType::Long)]));
    let decoded = avro.decode(&sample::messages(&[&[0], &[2, 2]])).unwrap();
    assert_eq!((decoded.message, decoded.rejected.len()), (vec![1], 1));
}

/// Schemas change in mid-stream: each message is read by its own, fetched once.
#[test]
fn schemas_by_their_ids() {
    let body = |field: &str| {
        let schema = serde_json::Value::from(record(field));
        format!("{{\"schema\":{schema}}}")
    };
    let (first, second) = (body(r#""int""#), body(r#"["null","string"]"#));
    let unknown = r#"{"error_code":40403}"#;
    let answers = Answers::of(&[
        ("/schemas/ids/1", 200, &first),
        ("/schemas/ids/258", 200, &second),
        ("/schemas/ids/3", 404, unknown),
        ("/schemas/ids/4", 200, r#"{"schema":"\"int\""}"#),
        ("/schemas/ids/5", 503, ""),
    ]);
    let given = BTreeMap::from([("registry".into(), answers.url())]);
    let topic = Topic::parse("events", &given).unwrap();
    let framing = Framing { is_confluent: true };
    let mut avro = Avro::open(&topic, wanted(&[("v", DataType::Long)]), framing).unwrap();
    let payloads: [&[u8]; 7] = [
        &[0, 0, 0, 0, 1, 2],
        &[0, 0, 0, 1, 2, 0],
        &[0, 0, 0, 1, 2, 2, 2, b'7'],
        &[0, 0, 0, 0, 3, 2],
        &[0, 0, 0, 0, 4, 2],
        &[7],
        &[0, 0, 0, 0, 1, 4],
    ];
    let messages = sample::messages(&payloads);
    for _ in 0..2 {
        let decoded = avro.decode(&messages).unwrap();
        assert_eq!(sample::shown(decoded.rows.column(0)), ["1", "", "2"]);
        assert_eq!(decoded.message, [0, 1, 6]);
        let rejected: Vec<u32> = decoded.rejected.iter().map(|r| r.message).collect();
        assert_eq!(rejected, [2, 3, 4, 5]);
    }
    assert_eq!(answers.heard().len(), 4);
    let error = avro.decode(&sample::messages(&[&[0, 0, 0, 0, 5, 2]]));
    assert_eq!(error.unwrap_err().retry(), crate::error::Retry::Backoff);
}

/// The latest schema of a subject, and the schema of a file.
#[test]
fn one_schema_for_all() {
    let schema = record(r#""int""#);
    let body = format!("{{\"schema\":{}}}", serde_json::Value::from(schema.clone()));
    let answers = Answers::of(&[
        ("/subjects/s-value/versions/latest", 200, &body),
        (
            "/subjects/none/versions/latest",
            404,
            r#"{"error_code":40401}"#,
        ),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.avsc");
    std::fs::write(&path, schema).unwrap();
    let path = path.display().to_string();
    let open = |text: &str, parameter: &str, value: &str| {
        let given = BTreeMap::from([(parameter.into(), value.into())]);
        let topic = Topic::parse(text, &given).unwrap();
        let framing = Framing {
            is_confluent: topic.form.framed,
        };
        Avro::open(&topic, wanted(&[("v", DataType::Long)]), framing)
    };
    let by_file = open("events/format=avro", "schema", &path);
    let by_subject = open(
        "events/framing=none/schema=s-value",
        "registry",
        &answers.url(),
    );
    for avro in [by_file, by_subject] {
        let decoded = avro.unwrap().decode(&sample::messages(&[&[6]])).unwrap();
        assert_eq!(sample::shown(decoded.rows.column(0)), ["3"]);
    }
    let none = open(
        "events/framing=none/schema=none",
        "registry",
        &answers.url(),
    );
    assert!(none.unwrap_err().to_string().contains("no such subject"));
    let missing = open("events/format=avro", "schema", "/no/such/file");
    assert!(missing.unwrap_err().to_string().contains("/no/such/file"));
}

/// The schema that Arrow's writer would give these rows.
fn written_as(rows: &arrow_array::RecordBatch) -> String {
    let schema = arrow_avro::schema::AvroSchema::try_from(rows.schema().as_ref());
    schema.unwrap().json_string
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Rows written as Avro by Arrow are read as they were, by all columns and by some.
    #[test]
    fn rows_come_back(rows in sample::rows(), some in prop::collection::vec(any::<bool>(), 7)) {
        let builder = WriterBuilder::new(rows.schema().as_ref().clone());
        let mut encoder = builder.build_encoder::<AvroBinaryFormat>().unwrap();
        encoder.encode(&rows).unwrap();
        let datums: Vec<Vec<u8>> = encoder.flush().iter().map(|row| row.to_vec()).collect();
        let payloads: Vec<&[u8]> = datums.iter().map(Vec::as_slice).collect();
        let some: Vec<usize> = (0..7).filter(|number| some[*number]).collect();
        for columns in [(0..7).collect(), some] {
            let part = rows.project(&columns).unwrap();
            let wanted = of_schema(Schema::from_arrow(&part.schema()).unwrap());
            let mut avro = avro(&written_as(&rows), wanted);
            let decoded = avro.decode(&sample::messages(&payloads)).unwrap();
            prop_assert_eq!(&decoded.rejected, &vec![]);
            prop_assert_eq!(decoded.rows, part);
        }
    }

    /// Datums that are cut, changed or random never panic, and take no memory that they do not pay for.
    #[test]
    fn anything(
        rows in sample::rows(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        random in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let strategy = FingerprintStrategy::Id(1);
        let builder = WriterBuilder::new(rows.schema().as_ref().clone());
        let builder = builder.with_fingerprint_strategy(strategy);
        let mut encoder = builder.build_encoder::<AvroSoeFormat>().unwrap();
        encoder.encode(&rows).unwrap();
        let mut payloads = vec![random];
        for row in encoder.flush().iter() {
            let row = row[5..].to_vec();
            let cut = at.index(row.len());
            let mut changed = row.clone();
            changed[cut] = byte;
            payloads.extend([row[..cut].to_vec(), changed, row]);
        }
        let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
        let wanted = of_schema(Schema::from_arrow(&rows.schema()).unwrap());
        let mut avro = avro(&written_as(&rows), wanted);
        let decoded = avro.decode(&sample::messages(&payloads)).unwrap();
        let rejected = decoded.rejected.len();
        prop_assert_eq!(decoded.rows.num_rows() + rejected, payloads.len());
        prop_assert!(decoded.rows.num_rows() >= rows.num_rows());
        let whole: Vec<u32> = (0..rows.num_rows() as u32).map(|row| 3 * row + 3).collect();
        prop_assert!(whole.iter().all(|row| decoded.message.contains(row)));
    }
}
