//! A record as schema text. The order of keys is that of Avro's Java library, because schema texts are hashed and
//! compared.

use serde_json::{Value, json};

use super::{Kind, NAMESPACE, Record, Shape};

/// The schema of a whole datum.
pub(super) fn of(record: &Record) -> Value {
    self::record(record, true)
}

/// A nested record has the namespace of the one around it and does not repeat it.
fn record(record: &Record, outermost: bool) -> Value {
    let field = |field: &super::RecordField| {
        json!({
            "name": field.name,
            "type": shape(&field.shape),
            "doc": "",
        })
    };
    let fields: Vec<Value> = record.fields.iter().map(field).collect();
    if outermost {
        json!({
            "type": "record",
            "name": record.name,
            "namespace": NAMESPACE,
            "doc": "",
            "fields": fields,
        })
    } else {
        json!({
            "type": "record",
            "name": record.name,
            "doc": "",
            "fields": fields,
        })
    }
}

fn shape(shape: &Shape) -> Value {
    match shape.null_branch {
        None => kind(&shape.kind),
        Some(0) => json!(["null", kind(&shape.kind)]),
        Some(_) => json!([kind(&shape.kind), "null"]),
    }
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Boolean => json!("boolean"),
        Kind::Byte => json!({"type": "int", "logicalType": "byte"}),
        Kind::Short => json!({"type": "int", "logicalType": "short"}),
        Kind::Int => json!("int"),
        Kind::Long => json!("long"),
        Kind::Float => json!("float"),
        Kind::Double => json!("double"),
        Kind::Bytes => json!("bytes"),
        Kind::String => json!("string"),
        Kind::Array(item) => json!({"type": "array", "items": shape(item)}),
        Kind::Map(value) => json!({"type": "map", "values": shape(value)}),
        Kind::Record(nested) => record(nested, false),
    }
}

/// Prints as Java's Jackson does: an entry of an object a line, lists on one line.
pub(super) fn pretty(value: &Value) -> String {
    let mut text = String::new();
    print(value, 0, &mut text);
    text
}

fn print(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(entries) if entries.is_empty() => text.push_str("{ }"),
        Value::Object(entries) => {
            for (position, (key, value)) in entries.iter().enumerate() {
                text.push_str(if position == 0 { "{\n" } else { ",\n" });
                text.push_str(&"  ".repeat(depth + 1));
                text.push_str(&Value::String(key.clone()).to_string());
                text.push_str(" : ");
                print(value, depth + 1, text);
            }
            text.push('\n');
            text.push_str(&"  ".repeat(depth));
            text.push('}');
        }
        Value::Array(items) if items.is_empty() => text.push_str("[ ]"),
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                text.push_str(if position == 0 { "[ " } else { ", " });
                print(item, depth, text);
            }
            text.push_str(" ]");
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}
