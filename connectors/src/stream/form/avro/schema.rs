//! Schemas of Avro: what stands in a datum, in which order.
//!
//! Promises: names are resolved as the specification says (Apache Avro 1.11, "Names"), those of other schemas too where
//! a schema refers to them. A logical type that is not known is none.

use std::collections::BTreeMap;

use serde_json::Value;

/// A node's place in its schema.
pub(super) type Id = usize;

/// A schema: nodes that name each other by place, as types may contain themselves.
#[derive(Debug, Default)]
pub(super) struct AvroSchema {
    nodes: Vec<Node>,
    root: Id,
}

/// A type.
#[derive(Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Boolean,
    Int,
    Long(Unit),
    Float,
    Double,
    Bytes(Option<i32>),
    Text,
    Fixed(usize, Option<i32>),
    Enum(Vec<String>),
    List(Id),
    Map(Id),
    Union(Vec<Id>),
    Record(Vec<(String, Id)>),
    /// A name whose type is being read.
    Open,
}

/// What a long counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Nothing, or milliseconds.
    Plain,
    Micros,
    Nanos,
}

impl AvroSchema {
    /// Reads a schema; those it refers to come first.
    pub(super) fn parse(texts: &[String]) -> Result<Self, String> {
        let mut parser = Parser::default();
        for text in texts {
            let json: Value =
                serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
            parser.schema.root = parser.node(&json, "", 0)?;
        }
        Ok(parser.schema)
    }

    pub(super) fn root(&self) -> Id {
        self.root
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }
}

/// Types within types beyond this are nobody's schema.
const DEPTH_MAX: usize = 100;

#[derive(Debug, Default)]
struct Parser {
    schema: AvroSchema,
    names: BTreeMap<String, Id>,
}

impl Parser {
    fn add(&mut self, node: Node) -> Id {
        self.schema.nodes.push(node);
        self.schema.nodes.len() - 1
    }

    fn node(&mut self, json: &Value, space: &str, depth: usize) -> Result<Id, String> {
        if depth > DEPTH_MAX {
            return Err(format!("its types nest deeper than {DEPTH_MAX}"));
        }
        match json {
            Value::String(name) => self.named(name, space),
            Value::Array(branches) => {
                let branches = branches.iter();
                let branches: Result<_, _> = branches
                    .map(|branch| self.node(branch, space, depth + 1))
                    .collect();
                Ok(self.add(Node::Union(branches?)))
            }
            Value::Object(_) => self.object(json, space, depth),
            _ => Err("a type is neither a name, a list nor an object".into()),
        }
    }

    /// A primitive type, or one that was given this name before.
    fn named(&mut self, name: &str, space: &str) -> Result<Id, String> {
        let node = match name {
            "null" => Node::Null,
            "boolean" => Node::Boolean,
            "int" => Node::Int,
            "long" => Node::Long(Unit::Plain),
            "float" => Node::Float,
            "double" => Node::Double,
            "bytes" => Node::Bytes(None),
            "string" => Node::Text,
            _ => {
                let full = full(name, space);
                let found = self.names.get(&full).or_else(|| self.names.get(name));
                return found
                    .copied()
                    .ok_or_else(|| format!("there is no type {full}"));
            }
        };
        Ok(self.add(node))
    }

    fn object(&mut self, json: &Value, space: &str, depth: usize) -> Result<Id, String> {
        let text = |key: &str| json.get(key).and_then(Value::as_str);
        let Some(kind) = text("type") else {
            let inner = json.get("type").ok_or("a type has no \"type\"")?;
            return self.node(inner, space, depth + 1);
        };
        match kind {
            "array" => {
                let items = json.get("items").ok_or("an array has no \"items\"")?;
                let items = self.node(items, space, depth + 1)?;
                Ok(self.add(Node::List(items)))
            }
            "map" => {
                let values = json.get("values").ok_or("a map has no \"values\"")?;
                let values = self.node(values, space, depth + 1)?;
                Ok(self.add(Node::Map(values)))
            }
            "record" | "error" | "enum" | "fixed" => self.definition(kind, json, space, depth),
            "long" => Ok(self.add(Node::Long(unit(json)))),
            "bytes" => Ok(self.add(Node::Bytes(scale(json)))),
            _ => self.named(kind, space),
        }
    }

    /// A type that has a name.
    fn definition(
        &mut self,
        kind: &str,
        json: &Value,
        space: &str,
        depth: usize,
    ) -> Result<Id, String> {
        let text = |key: &str| json.get(key).and_then(Value::as_str);
        let name = text("name").ok_or_else(|| format!("a type {kind} has no name"))?;
        let name = full(name, text("namespace").unwrap_or(space));
        let id = self.add(Node::Open);
        if self.names.insert(name.clone(), id).is_some() {
            return Err(format!("there are two types {name}"));
        }
        let space = name.rsplit_once('.').map_or("", |(space, _)| space);
        self.schema.nodes[id] = match kind {
            "enum" => {
                let symbols = json.get("symbols").and_then(Value::as_array);
                let symbols = symbols.ok_or_else(|| format!("{name} has no \"symbols\""))?;
                let symbols = symbols.iter().filter_map(Value::as_str);
                Node::Enum(symbols.map(str::to_owned).collect())
            }
            "fixed" => {
                let size = json.get("size").and_then(Value::as_u64);
                let size = size.ok_or_else(|| format!("{name} has no \"size\""))?;
                let size = usize::try_from(size).map_err(|_| format!("{name} is too long"))?;
                Node::Fixed(size, scale(json))
            }
            _ => {
                let fields = json.get("fields").and_then(Value::as_array);
                let fields = fields.ok_or_else(|| format!("{name} has no \"fields\""))?;
                let mut known = Vec::with_capacity(fields.len());
                for field in fields {
                    let own = field.get("name").and_then(Value::as_str);
                    let own = own.ok_or_else(|| format!("a field of {name} has no name"))?;
                    let field = field.get("type");
                    let field = field.ok_or_else(|| format!("{name}.{own} has no type"))?;
                    known.push((own.to_owned(), self.node(field, space, depth + 1)?));
                }
                Node::Record(known)
            }
        };
        Ok(id)
    }
}

fn full(name: &str, space: &str) -> String {
    match name.contains('.') || space.is_empty() {
        true => name.into(),
        false => format!("{space}.{name}"),
    }
}

/// What a long counts, as its logical type or Debezium's name for it says.
fn unit(json: &Value) -> Unit {
    let text = |key: &str| json.get(key).and_then(Value::as_str).unwrap_or_default();
    match (text("logicalType"), text("connect.name")) {
        ("timestamp-micros" | "local-timestamp-micros", _)
        | (_, "io.debezium.time.MicroTimestamp") => Unit::Micros,
        ("timestamp-nanos" | "local-timestamp-nanos", _)
        | (_, "io.debezium.time.NanoTimestamp") => Unit::Nanos,
        _ => Unit::Plain,
    }
}

/// The decimal places of a decimal.
fn scale(json: &Value) -> Option<i32> {
    let is_decimal = json.get("logicalType").and_then(Value::as_str) == Some("decimal");
    let scale = json.get("scale").map_or(Some(0), Value::as_i64);
    is_decimal
        .then_some(scale?)
        .and_then(|scale| scale.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AvroSchema, String> {
        AvroSchema::parse(&[text.into()])
    }

    /// Names lie in the namespace they are written in, and may be used before their type is ended.
    #[test]
    fn names() {
        let schema = parse(
            r#"{"type":"record","name":"a.b.Node","fields":[
                {"name":"next","type":["null","Node"]},
                {"name":"size","type":{"type":"fixed","name":"Size","size":4}},
                {"name":"other","type":"a.b.Size"},
                {"name":"kind","type":{"type":"enum","namespace":"c","name":"Kind","symbols":["X"]}},
                {"name":"again","type":"c.Kind"}]}"#,
        )
        .unwrap();
        let Node::Record(fields) = schema.node(schema.root()) else {
            panic!("a record")
        };
        assert_eq!(schema.node(fields[2].1), &Node::Fixed(4, None));
        assert_eq!(fields[3].1, fields[4].1);
        let Node::Union(next) = schema.node(fields[0].1) else {
            panic!("a union")
        };
        assert_eq!(next[1], schema.root());
    }

    /// A schema may use the types of those it refers to.
    #[test]
    fn references() {
        let first = r#"{"type":"enum","name":"x.Kind","symbols":["A","B"]}"#;
        let second = r#"{"type":"record","name":"E","fields":[{"name":"k","type":"x.Kind"}]}"#;
        let both = AvroSchema::parse(&[first.into(), second.into()]).unwrap();
        assert!(matches!(both.node(both.root()), Node::Record(_)));
        let error = parse(second).unwrap_err();
        assert!(error.contains("no type x.Kind"), "{error}");
    }

    /// What is wrong with a schema is told.
    #[test]
    fn wrong_schemas() {
        let deep = format!("{}\"int\"{}", "[".repeat(120), "]".repeat(120));
        for (text, told) in [
            ("", "no JSON"),
            ("7", "neither"),
            ("\"Nobody\"", "no type Nobody"),
            ("{}", "has no \"type\""),
            (r#"{"type":"array"}"#, "items"),
            (r#"{"type":"record","fields":[]}"#, "no name"),
            (r#"{"type":"record","name":"R"}"#, "fields"),
            (r#"{"type":"fixed","name":"F","size":-1}"#, "size"),
            (&deep, "deeper"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
