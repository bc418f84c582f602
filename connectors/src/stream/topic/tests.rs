//! What topics say, and what is told of those that are wrong.

use super::*;

fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    owned.collect()
}

fn parse(text: &str, pairs: &[(&str, &str)]) -> Topic {
    Topic::parse(text, &given(pairs)).unwrap()
}

fn problem(text: &str, pairs: &[(&str, &str)]) -> String {
    let error = Topic::parse(text, &given(pairs)).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::InvalidTopic { .. }), "{text}");
    text
}

fn kafka(bootstrap: Option<&str>, group: Option<&str>) -> Origin {
    Origin::Kafka {
        bootstrap: bootstrap.map(Into::into),
        group: group.map(Into::into),
    }
}

/// Type, name and brokers, as definitions write them.
#[test]
fn where_a_topic_lies() {
    let plain = parse("events", &[]);
    assert_eq!(plain.name, "events");
    assert_eq!(plain.origin, kafka(None, None));
    assert_eq!(plain.form.format, Format::Json);
    let written = parse("kafka://ns.events_v1/host=broker/port=9093/fields=a,b", &[]);
    assert_eq!(written.name, "ns.events_v1");
    assert_eq!(written.origin, kafka(Some("broker:9093"), None));
    let host = parse("events/host=broker", &[]);
    assert_eq!(host.origin, kafka(Some("broker"), None));
    let bootstrap = parse(
        "events/host=not_this/bootstrap=a:1,b:2",
        &[("group", "ours")],
    );
    assert_eq!(bootstrap.origin, kafka(Some("a:1,b:2"), Some("ours")));
    let beside = parse("events/bootstrap=a:1", &[("bootstrap", "b:2")]);
    assert_eq!(beside.origin, kafka(Some("b:2"), None));
    let path = PathBuf::from("/data/events.jsonl");
    let lines = [("type", "lines"), ("path", "/data/events.jsonl")];
    let lines = parse("kafka://events/host=broker", &lines);
    assert_eq!(lines.origin, Origin::Lines { path });
}

/// Where the form is not named, a registry means Avro; where a registry is, its framing is.
#[test]
fn forms() {
    let url = ("registry", "http://host:8081");
    let avro = parse("events", &[url]).form;
    assert_eq!((avro.format, avro.framed), (Format::Avro, true));
    assert_eq!(avro.registry.unwrap().url, "http://host:8081");
    let subject = parse("events/schema=events-value/framing=none", &[url]).form;
    assert_eq!((subject.format, subject.framed), (Format::Avro, false));
    let named = SchemaPlace::Subject("events-value".into());
    assert_eq!(subject.schema, Some(named));
    let file = parse("events/format=avro", &[("schema", "/s.avsc")]).form;
    assert_eq!(file.schema, Some(SchemaPlace::File("/s.avsc".into())));
    assert!(!file.framed);
    let json = parse("events/format=json", &[url]).form;
    assert_eq!((json.format, json.framed), (Format::Json, true));
    let protobuf = [("schema", "set.binpb"), ("message", "a.B"), url];
    let protobuf = parse("events/format=protobuf", &protobuf).form;
    assert_eq!(protobuf.message.as_deref(), Some("a.B"));
    assert_eq!(protobuf.schema, Some(SchemaPlace::File("set.binpb".into())));
    assert!(protobuf.framed);
    for (name, format) in FORMATS {
        let protobuf = [("schema", "file"), ("message", "a.B")];
        let form = parse(&format!("events/format={name}"), &protobuf).form;
        assert_eq!(form.format, format);
    }
}

/// Whatever is wrong is told, all of it at once, and what to do.
#[test]
fn wrong_topics() {
    assert!(problem("", &[]).contains("names no topic"));
    assert!(problem("kafka://", &[]).contains("names no topic"));
    assert!(problem("pubsub://events", &[]).contains("kafka and lines"));
    let slash = problem("events/registry=http://host:8081", &[]);
    assert!(slash.contains("beside the definition"), "{slash}");
    assert!(problem("events/format=avo", &[]).contains("did you mean avro?"));
    assert!(problem("events/format=thrift", &[]).contains("debezium-avro"));
    assert!(problem("events/format=avro", &[]).contains("schema is missing"));
    assert!(problem("events/format=avro/framing=confluent", &[]).contains("registry is missing"));
    assert!(problem("events/framing=glue", &[]).contains("confluent and none"));
    assert!(problem("events/schema=mine", &[]).contains("format is missing"));
    assert!(problem("events/host=a/host=b", &[]).contains("given twice"));
    assert!(problem("events/=a", &[]).contains("names no parameter"));
    assert!(problem("events/host=", &[]).contains("host is empty"));
    assert!(problem("events", &[("bootstap", "a:1")]).contains("did you mean bootstrap?"));
    assert!(problem("events", &[("registry_user", "me")]).contains("go together"));
    assert!(problem("lines://events", &[]).contains("path is missing"));
    let many = problem("events/format=protobuf/port=many", &[]);
    for told in [
        "\"many\" is no port",
        "schema is missing",
        "message is missing",
    ] {
        assert!(many.contains(told), "{many}");
    }
}
