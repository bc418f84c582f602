//! Schema text as a record. Names every place by its path; refuses what a reader of our rows could not decode:
//! recursive records, unions of more than one type, types without a counterpart.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Kind, Record, RecordField, Shape};

/// A schema text that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// It is no JSON.
    #[error("the Avro schema is no JSON")]
    Json(#[from] serde_json::Error),
    /// A part of it is not understood.
    #[error("the Avro schema cannot be read at {path}: {problem}")]
    Schema {
        /// The fields on the way to the place.
        path: String,
        /// What is wrong there.
        problem: String,
    },
}

pub(super) fn record(text: &str) -> Result<Record, ParseError> {
    let value: Value = serde_json::from_str(text)?;
    let mut reader = Reader::default();
    match reader.shape(&value, "", "the top")? {
        Shape {
            kind: Kind::Record(record),
            null_branch: None,
        } => Ok(record),
        _ => Err(problem("the top", "a record is expected")),
    }
}

fn problem(path: &str, problem: impl Into<String>) -> ParseError {
    ParseError::Schema {
        path: path.into(),
        problem: problem.into(),
    }
}

/// Records met so far by full name, which later places may refer to; `None` while a record is being read.
#[derive(Default)]
struct Reader {
    records: BTreeMap<String, Option<Record>>,
    /// Fields read so far, those behind references included.
    field_count: usize,
}

/// References let a short text stand for a huge schema; no real one has this many fields.
const FIELDS_MAX: usize = 100_000;

impl Reader {
    fn shape(&mut self, value: &Value, space: &str, path: &str) -> Result<Shape, ParseError> {
        let Value::Array(branches) = value else {
            return Ok(Shape {
                kind: self.kind(value, space, path)?,
                null_branch: None,
            });
        };
        let null = branches.iter().position(is_null);
        match (branches.as_slice(), null) {
            ([first, second], Some(null)) if !(is_null(first) && is_null(second)) => Ok(Shape {
                kind: self.kind(&branches[1 - null], space, path)?,
                null_branch: Some(u8::from(null == 1)),
            }),
            _ => Err(problem(
                path,
                "a union may only have null and one other type",
            )),
        }
    }

    fn kind(&mut self, value: &Value, space: &str, path: &str) -> Result<Kind, ParseError> {
        match value {
            Value::String(name) => self.named(name, space, path),
            Value::Object(object) => self.object(object, space, path),
            _ => Err(problem(path, format!("{value} is no type"))),
        }
    }

    /// A primitive type, or a record read before.
    fn named(&mut self, name: &str, space: &str, path: &str) -> Result<Kind, ParseError> {
        Ok(match name {
            "boolean" => Kind::Boolean,
            "int" => Kind::Int,
            "long" => Kind::Long,
            "float" => Kind::Float,
            "double" => Kind::Double,
            "bytes" => Kind::Bytes,
            "string" => Kind::String,
            _ => match self.records.get(&full_name(name, space)) {
                Some(Some(record)) => {
                    self.field_count += fields_in(record);
                    if self.field_count > FIELDS_MAX {
                        return Err(problem(path, format!("more than {FIELDS_MAX} fields")));
                    }
                    Kind::Record(record.clone())
                }
                Some(None) => {
                    return Err(problem(path, format!("record {name} contains itself")));
                }
                None => return Err(problem(path, format!("type {name} is not supported"))),
            },
        })
    }

    fn object(
        &mut self,
        object: &Map<String, Value>,
        space: &str,
        path: &str,
    ) -> Result<Kind, ParseError> {
        let inner = |key: &str| {
            object
                .get(key)
                .ok_or_else(|| problem(path, format!("{key} is missing")))
        };
        match inner("type")? {
            Value::String(name) => match name.as_str() {
                "array" => Ok(Kind::Array(self.item(inner("items")?, space, path)?)),
                "map" => Ok(Kind::Map(self.item(inner("values")?, space, path)?)),
                "record" => Ok(Kind::Record(self.record(object, space, path)?)),
                "int" => match object.get("logicalType").and_then(Value::as_str) {
                    None => Ok(Kind::Int),
                    Some("byte") => Ok(Kind::Byte),
                    Some("short") => Ok(Kind::Short),
                    Some(other) => Err(problem(
                        path,
                        format!("logical type {other} of an int is not supported"),
                    )),
                },
                name => self.named(name, space, path),
            },
            nested => self.kind(nested, space, path),
        }
    }

    /// An item of an array or a value of a map. It takes bytes, so that no count of them can be a lie.
    fn item(&mut self, value: &Value, space: &str, path: &str) -> Result<Box<Shape>, ParseError> {
        let shape = self.shape(value, space, &format!("{path}[]"))?;
        if shape.null_branch.is_none()
            && matches!(&shape.kind, Kind::Record(record) if takes_no_bytes(record))
        {
            return Err(problem(path, "items are records without fields"));
        }
        Ok(Box::new(shape))
    }

    fn record(
        &mut self,
        object: &Map<String, Value>,
        space: &str,
        path: &str,
    ) -> Result<Record, ParseError> {
        let text = |key: &str| object.get(key).and_then(Value::as_str);
        let name = text("name").ok_or_else(|| problem(path, "a record has no name"))?;
        let full = full_name(name, text("namespace").unwrap_or(space));
        let (space, name) = full.rsplit_once('.').unwrap_or(("", &full));
        if self.records.insert(full.clone(), None).is_some() {
            return Err(problem(path, format!("record {full} is defined twice")));
        }
        let Some(Value::Array(written)) = object.get("fields") else {
            return Err(problem(path, format!("record {full} has no fields")));
        };
        let mut fields: Vec<RecordField> = Vec::with_capacity(written.len());
        for (position, field) in written.iter().enumerate() {
            let name = field.get("name").and_then(Value::as_str);
            let name = name
                .ok_or_else(|| problem(path, format!("field {position} of {full} has no name")))?;
            let path = match path {
                "the top" => name.to_owned(),
                path => format!("{path}.{name}"),
            };
            let value = field
                .get("type")
                .ok_or_else(|| problem(&path, "a field has no type"))?;
            if fields.iter().any(|field| field.name == name) {
                return Err(problem(&path, "the name is used twice"));
            }
            fields.push(RecordField {
                name: name.to_owned(),
                shape: self.shape(value, space, &path)?,
            });
        }
        let record = Record {
            name: name.to_owned(),
            fields,
        };
        self.records.insert(full.clone(), Some(record.clone()));
        Ok(record)
    }
}

fn is_null(value: &Value) -> bool {
    value == "null" || value.get("type").is_some_and(|inner| inner == "null")
}

/// Whether a record's datum is always empty.
fn takes_no_bytes(record: &Record) -> bool {
    record.fields.iter().all(|field| {
        field.shape.null_branch.is_none()
            && matches!(&field.shape.kind, Kind::Record(inner) if takes_no_bytes(inner))
    })
}

/// Fields of a record and of what it holds.
fn fields_in(record: &Record) -> usize {
    let inner = |field: &RecordField| fields_in_kind(&field.shape.kind);
    record.fields.len() + record.fields.iter().map(inner).sum::<usize>()
}

fn fields_in_kind(kind: &Kind) -> usize {
    match kind {
        Kind::Record(record) => fields_in(record),
        Kind::Array(item) | Kind::Map(item) => fields_in_kind(&item.kind),
        _ => 0,
    }
}

fn full_name(name: &str, space: &str) -> String {
    if name.contains('.') || space.is_empty() {
        name.to_owned()
    } else {
        format!("{space}.{name}")
    }
}
