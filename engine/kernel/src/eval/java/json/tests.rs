//! JSON functions against answers of Spark.

use super::path::JsonPath;
use super::*;

fn find(text: &str, path: &str) -> Option<String> {
    JsonPath::parse(path)?.find(text)
}

#[test]
fn paths() {
    for (text, path, expected) in [
        (r#"{"a":1,"b":"x"}"#, "$.b", Some("x")),
        (r#"{"a":1,"b":"x"}"#, "$", Some(r#"{"a":1,"b":"x"}"#)),
        (
            r#"{"a":{"b":[1,{"c":"deep"}]}}"#,
            "$.a.b[1].c",
            Some("deep"),
        ),
        (r#"{"a":[{"b":1},{"b":2}]}"#, "$.a[*].b", Some("[1,2]")),
        (r#"{"a":[{"b":"x"}]}"#, "$.a[*].b", Some("\"x\"")),
        (r#"{"a":[[1,2],[3]]}"#, "$.a[*][0]", Some("[1,3]")),
        (r#"{"a":[[1,2],[3]]}"#, "$.a[*][*]", Some("[1,2,3]")),
        (r#"{"a":[1,2]}"#, "$.a[-1]", None),
        (r#"{"a":1e5}"#, "$.a", Some("100000.0")),
        (r#"{"a":null}"#, "$.a", None),
        (r#"{"a":"b"} trailing"#, "$.a", Some("b")),
        (r#"{"a":"b""#, "$.a", None),
        (r#"{'a':'b'}"#, "$['a']", Some("b")),
        ("{\"a\":\"x\ny\"}", "$.a", Some("x\ny")),
        (r#"{"a":1}"#, "$.*", None),
        (r#"{"a":01}"#, "$.a", None),
        ("", "$", None),
        (r#"{"a":1}"#, "a", None),
        (r#"{"a":1}"#, "$..a", None),
    ] {
        assert_eq!(find(text, path).as_deref(), expected, "{text} {path}");
    }
}

#[test]
fn texts() {
    let read = |text: &str| parse(text, JsonSyntax::SCHEMA).ok().flatten();
    assert_eq!(
        read("\"\\u00e9\\ud83d\\ude00\""),
        Some(JsonValue::Text("é😀".into()))
    );
    assert_eq!(
        read("[1, 2.50, -0.0, true]").unwrap().to_text(),
        "[1,2.5,-0.0,true]"
    );
    assert_eq!(
        read("{\"a\":\"q\\\"\\u0001\"}").unwrap().to_text(),
        "{\"a\":\"q\\\"\\u0001\"}"
    );
    assert_eq!(read("nope"), None);
    assert_eq!(read("[1,]"), None);
    assert_eq!(
        read("12345678901234567890").unwrap().to_text(),
        "12345678901234567890"
    );
    assert!(parse("  ", JsonSyntax::SCHEMA).unwrap().is_none());
    let deep = "[".repeat(5000);
    assert!(parse(&deep, JsonSyntax::SCHEMA).is_err());
}
