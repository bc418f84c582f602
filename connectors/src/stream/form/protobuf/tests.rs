//! What messages of protobuf become.

use proptest::prelude::*;
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileDescriptorSet, MessageOptions, OneofDescriptorProto,
};
use unskewed_planner::schema::{Field, Schema};

use super::*;
use crate::stream::form::sample;

fn field(name: &str, number: i32, kind: Type) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.into()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(kind.into()),
        ..Default::default()
    }
}

fn typed(name: &str, number: i32, kind: Type, of: &str) -> FieldDescriptorProto {
    FieldDescriptorProto {
        type_name: Some(of.into()),
        ..field(name, number, kind)
    }
}

fn repeated(field: FieldDescriptorProto) -> FieldDescriptorProto {
    FieldDescriptorProto {
        label: Some(Label::Repeated.into()),
        ..field
    }
}

fn optional(field: FieldDescriptorProto) -> FieldDescriptorProto {
    FieldDescriptorProto {
        proto3_optional: Some(true),
        oneof_index: Some(0),
        ..field
    }
}

fn message(name: &str, fields: Vec<FieldDescriptorProto>) -> DescriptorProto {
    DescriptorProto {
        name: Some(name.into()),
        field: fields,
        ..Default::default()
    }
}

fn event_fields() -> Vec<FieldDescriptorProto> {
    vec![
        field("id", 1, Type::Int64),
        optional(field("maybe", 2, Type::Int64)),
        field("name", 3, Type::String),
        field("raw", 4, Type::Bytes),
        field("share", 5, Type::Double),
        repeated(field("numbers", 6, Type::Sint32)),
        typed("inner", 7, Type::Message, ".t.Event.Inner"),
        repeated(typed("counts", 8, Type::Message, ".t.Event.CountsEntry")),
        typed("kind", 9, Type::Enum, ".t.Event.Kind"),
        typed("at", 10, Type::Message, ".google.protobuf.Timestamp"),
        typed("boxed", 11, Type::Message, ".google.protobuf.Int64Value"),
        field("big", 12, Type::Uint64),
        field("yes", 13, Type::Bool),
    ]
}

/// What protoc writes for a file with an `Other` and an `Event`, in which an `Inner` lies.
fn descriptors() -> Vec<u8> {
    let event = DescriptorProto {
        nested_type: vec![
            message("Inner", vec![field("a", 1, Type::Int32)]),
            DescriptorProto {
                options: Some(MessageOptions {
                    map_entry: Some(true),
                    ..Default::default()
                }),
                ..message(
                    "CountsEntry",
                    vec![
                        field("key", 1, Type::String),
                        field("value", 2, Type::Int64),
                    ],
                )
            },
        ],
        enum_type: vec![EnumDescriptorProto {
            name: Some("Kind".into()),
            value: ["NONE", "SOME"]
                .iter()
                .zip(0..)
                .map(|(name, number)| EnumValueDescriptorProto {
                    name: Some((*name).into()),
                    number: Some(number),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }],
        oneof_decl: vec![OneofDescriptorProto {
            name: Some("_maybe".into()),
            ..Default::default()
        }],
        ..message("Event", event_fields())
    };
    let file = FileDescriptorProto {
        name: Some("t.proto".into()),
        package: Some("t".into()),
        syntax: Some("proto3".into()),
        dependency: vec![
            "google/protobuf/timestamp.proto".into(),
            "google/protobuf/wrappers.proto".into(),
        ],
        message_type: vec![message("Other", vec![field("id", 1, Type::Int64)]), event],
        ..Default::default()
    };
    let known = ["timestamp", "wrappers"].map(|name| {
        let name = format!("google/protobuf/{name}.proto");
        let file = DescriptorPool::global().get_file_by_name(&name);
        file.expect("it comes with protobuf")
            .file_descriptor_proto()
            .clone()
    });
    let file = known.into_iter().chain([file]).collect();
    FileDescriptorSet { file }.encode_to_vec()
}

/// All columns that an event can have.
fn columns() -> Schema {
    use DataType::*;
    let inner = Struct(vec![Field::new("a", Int), Field::new("b", Int)]);
    Schema::new(vec![
        Field::new("id", Long),
        Field::new("maybe", Long),
        Field::new("name", String),
        Field::new("raw", Binary),
        Field::new("share", Double),
        Field::new("numbers", DataType::array(Int)),
        Field::new("inner", inner),
        Field::new("counts", DataType::map(String, Long)),
        Field::new("kind", String),
        Field::new("at", Timestamp),
        Field::new("boxed", Long),
        Field::new("big", Decimal(20, 0)),
        Field::new("yes", Boolean),
        Field::new("nowhere", String),
    ])
}

fn protobuf(name: &str, wanted: Schema, is_confluent: bool) -> error::Result<Protobuf> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.binpb");
    std::fs::write(&path, descriptors()).unwrap();
    let given = [
        ("format".to_owned(), "protobuf".to_owned()),
        ("schema".to_owned(), path.display().to_string()),
        ("message".to_owned(), name.to_owned()),
    ];
    let topic = Topic::parse("events", &given.into()).unwrap();
    Protobuf::open(&topic, Wanted::of(wanted), Framing { is_confluent })
}

fn row(payload: &[u8]) -> Vec<std::string::String> {
    let mut protobuf = protobuf("t.Event", columns(), false).unwrap();
    let decoded = protobuf.decode(&sample::messages(&[payload])).unwrap();
    assert_eq!(decoded.rejected, []);
    let columns = decoded.rows.columns().iter();
    columns
        .map(|column| sample::shown(column)[0].clone())
        .collect()
}

/// What is there is taken; what is not is null where that can be told, and its default elsewhere.
#[test]
fn fields_by_name() {
    let nothing = [
        "0", "", "", "", "0.0", "[]", "", "{}", "NONE", "", "", "0", "false", "",
    ];
    assert_eq!(row(b""), nothing);
    let event = [
        &[0x08, 0x07, 0x10, 0x00, 0x1a, 2, b'h', b'i', 0x22, 1, 0xff][..],
        &[0x29, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0x32, 2, 1, 2],
        &[
            0x3a, 2, 8, 5, 0x42, 5, 0x0a, 1, b'z', 0x10, 1, 0x42, 5, 0x0a, 1, b'a', 0x10, 2,
        ],
        &[
            0x48, 1, 0x52, 6, 8, 1, 0x10, 0x80, 0x89, 0x7a, 0x5a, 2, 8, 9, 0x60, 3, 0x68, 1,
        ],
        &[0xfa, 0x01, 1, b'?'],
    ]
    .concat();
    let all = [
        "7",
        "0",
        "hi",
        "ff",
        "1.5",
        "[-1, 1]",
        "{a: 5, b: }",
        "{a: 2, z: 1}",
        "SOME",
        "1970-01-01T00:00:01.002Z",
        "9",
        "3",
        "true",
        "",
    ];
    assert_eq!(row(&event), all);
}

/// Values that do not fit, and bytes that are no message, reject it alone.
#[test]
fn rejected() {
    let narrow = Schema::new(vec![
        Field::new("id", DataType::Byte),
        Field::new("kind", DataType::String),
        Field::new(
            "inner",
            DataType::Struct(vec![Field::new("a", DataType::Byte)]),
        ),
    ]);
    let mut protobuf = protobuf("t.Event", narrow, false).unwrap();
    let payloads: [&[u8]; 7] = [
        &[0x08, 0x07],
        &[0x08, 0x80, 0x01],
        &[0x48, 0x07],
        &[0x3a, 3, 8, 0x80, 0x01],
        &[0x0a],
        &[0x1a, 1, 0xff],
        &[0x08, 0x06],
    ];
    let decoded = protobuf.decode(&sample::messages(&payloads)).unwrap();
    assert_eq!(decoded.message, [0, 6]);
    let reasons = decoded
        .rejected
        .iter()
        .map(|rejected| rejected.reason.as_str());
    let told = [
        "column id",
        "column kind",
        "column inner.a",
        "no t.Event",
        "no t.Event",
    ];
    for (reason, told) in reasons.zip(told) {
        assert!(reason.contains(told), "{reason}");
    }
    assert_eq!(decoded.rejected.len(), told.len());
}

/// Confluent's framing says which message of the file it is.
#[test]
fn framed() {
    let wanted = || Schema::new(vec![Field::new("id", DataType::Long)]);
    let decode = |name: &str, payloads: &[&[u8]]| {
        let mut protobuf = protobuf(name, wanted(), true).unwrap();
        protobuf
            .decode(&sample::messages(payloads))
            .unwrap()
            .message
    };
    let first = [0, 0, 0, 0, 1, 0, 8, 7];
    let first_told = [0, 0, 0, 0, 1, 2, 0, 8, 7];
    let second = [0, 0, 0, 0, 1, 2, 2, 8, 7];
    let inner = [0, 0, 0, 0, 1, 4, 2, 0, 8, 7];
    let cut = [0, 0, 0, 0, 1, 4, 2];
    let huge = [
        0, 0, 0, 0, 1, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
    ];
    let all: [&[u8]; 7] = [
        &first,
        &first_told,
        &second,
        &inner,
        &cut,
        &huge,
        &[0, 0, 0, 0, 1],
    ];
    assert_eq!(decode("t.Other", &all), [0, 1]);
    assert_eq!(decode("t.Event", &all), [2]);
    assert_eq!(decode("t.Event.Inner", &all), [3]);
}

/// What is wrong with the file is told.
#[test]
fn wrong_files() {
    let error = protobuf("t.Evnt", columns(), false).unwrap_err();
    assert!(error.to_string().contains("t.Event"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes never panic, and each message is a row or rejected.
    #[test]
    fn anything(
        random in prop::collection::vec(any::<u8>(), 0..60),
        tags in prop::collection::vec((1_u8..14, 0_u8..6, any::<u8>()), 0..8),
    ) {
        let tagged: Vec<u8> = tags.iter().flat_map(|(field, kind, byte)| [field << 3 | kind, *byte]).collect();
        for is_confluent in [false, true] {
            let mut protobuf = protobuf("t.Event", columns(), is_confluent).unwrap();
            let decoded = protobuf.decode(&sample::messages(&[&random, &tagged])).unwrap();
            prop_assert_eq!(decoded.rows.num_rows() + decoded.rejected.len(), 2);
        }
    }
}
