//! Avro schemas of stored rows: from our types to schema text and back. Says nothing of bytes; those are the
//! kernel's `codec::avro`.
//!
//! Promises: a record made here is the one an existing fetcher expects: namespace `ai.chronon.data`, every field a
//! union of null and its type, names cleaned and made distinct over the whole schema (`_REPEATED_NAME_0`, …), bytes and
//! shorts as annotated ints, items of arrays and values of maps never null. What has no Avro form is refused by
//! column, all columns at once. The reader takes any record of such types, also with bare or reversed unions.

mod parse;
mod text;

use std::collections::BTreeSet;

use crate::naming::clean;
use crate::schema::{DataType, Field, Schema};

pub use parse::ParseError;

/// The namespace of every record written.
pub const NAMESPACE: &str = "ai.chronon.data";

/// What stands between a name and its number when the name was taken.
const REPEATED: &str = "_REPEATED_NAME_";

/// A record: the type of a whole datum, or of a nested struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The name without its namespace.
    pub name: String,
    /// Its fields, in the order of their bytes.
    pub fields: Vec<RecordField>,
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordField {
    /// The name.
    pub name: String,
    /// The type.
    pub shape: Shape,
}

/// A type and whether it may be null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The type of what is present.
    pub kind: Kind,
    /// Which of the two branches of the union is null; `None` where there is no union and so never a null.
    pub null_branch: Option<u8>,
}

/// The types that have an Avro form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `boolean`
    Boolean,
    /// `int` annotated as byte.
    Byte,
    /// `int` annotated as short.
    Short,
    /// `int`
    Int,
    /// `long`
    Long,
    /// `float`
    Float,
    /// `double`
    Double,
    /// `bytes`
    Bytes,
    /// `string`
    String,
    /// `array`
    Array(Box<Shape>),
    /// `map`, whose keys are strings.
    Map(Box<Shape>),
    /// A nested `record`.
    Record(Record),
}

/// A column that cannot be stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum UnsupportedColumn {
    /// No Avro type stands for this one.
    #[error(
        "column {column} has type {data_type}, which cannot be stored in Avro: cast it to string"
    )]
    Type {
        /// The column, or the path of a nested field.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// Keys of Avro's maps are strings.
    #[error(
        "column {column} is a map with keys of type {data_type}, but Avro stores string keys only: cast the keys to string"
    )]
    MapKey {
        /// The column, or the path of a nested field.
        column: String,
        /// The type of its keys.
        data_type: DataType,
    },
    /// Avro's names begin with a letter or underscore.
    #[error(
        "column {column} cannot be stored in Avro, whose names begin with a letter or an underscore: rename it"
    )]
    Name {
        /// The column, or the path of a nested field.
        column: String,
    },
}

impl UnsupportedColumn {
    /// The column at fault, or the path of the nested field.
    pub fn column(&self) -> &str {
        match self {
            Self::Type { column, .. } | Self::MapKey { column, .. } | Self::Name { column } => {
                column
            }
        }
    }
}

fn rabin(bytes: &[u8]) -> u64 {
    const EMPTY: u64 = 0xc15d_213a_a4d7_a795;
    let shift = |print: u64| (print >> 1) ^ (EMPTY & (print & 1).wrapping_neg());
    let entry = |byte: u64| (0..8).fold(byte, |print, _| shift(print));
    let add = |print: u64, byte: &u8| (print >> 8) ^ entry((print ^ u64::from(*byte)) & 0xff);
    bytes.iter().fold(EMPTY, add)
}

impl Record {
    /// The record that stores rows of this schema; every column that cannot be stored.
    pub fn of(name: &str, schema: &Schema) -> Result<Self, Vec<UnsupportedColumn>> {
        let mut maker = Maker::default();
        let record = maker.record(name, &schema.fields, "");
        if maker.problems.is_empty() {
            Ok(record)
        } else {
            Err(maker.problems)
        }
    }

    /// Reads a schema's text.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::record(text)
    }

    /// The schema's text on one line.
    pub fn to_text(&self) -> String {
        text::of(self).to_string()
    }

    /// The schema's text with a field a line, byte for byte as Avro's Java library prints it.
    pub fn to_pretty_text(&self) -> String {
        text::pretty(&text::of(self))
    }

    /// Tells schemas apart: the Rabin fingerprint CRC-64-AVRO (Avro specification 1.11, "Schema Fingerprints") of the
    /// schema's text.
    pub fn fingerprint(&self) -> u64 {
        rabin(self.to_text().as_bytes())
    }

    /// Our types of the fields, by the names in the schema.
    pub fn schema(&self) -> Schema {
        self.named(str::to_owned)
    }

    /// Our types of the fields, with names as they were before they were made distinct.
    pub fn clean_schema(&self) -> Schema {
        self.named(|name| without_number(name).to_owned())
    }

    fn named(&self, name: fn(&str) -> String) -> Schema {
        Schema::new(fields_of(self, name))
    }
}

impl Shape {
    /// Our type.
    pub fn data_type(&self) -> DataType {
        data_type(self, str::to_owned)
    }
}

/// A name without the number that made it distinct.
pub fn without_number(name: &str) -> &str {
    name.find(REPEATED).map_or(name, |end| &name[..end])
}

fn fields_of(record: &Record, name: fn(&str) -> String) -> Vec<Field> {
    let fields = record.fields.iter();
    fields
        .map(|field| Field::new(name(&field.name), data_type(&field.shape, name)))
        .collect()
}

fn data_type(shape: &Shape, name: fn(&str) -> String) -> DataType {
    match &shape.kind {
        Kind::Boolean => DataType::Boolean,
        Kind::Byte => DataType::Byte,
        Kind::Short => DataType::Short,
        Kind::Int => DataType::Int,
        Kind::Long => DataType::Long,
        Kind::Float => DataType::Float,
        Kind::Double => DataType::Double,
        Kind::Bytes => DataType::Binary,
        Kind::String => DataType::String,
        Kind::Array(item) => DataType::array(data_type(item, name)),
        Kind::Map(value) => DataType::map(DataType::String, data_type(value, name)),
        Kind::Record(record) => DataType::Struct(fields_of(record, name)),
    }
}

/// Makes a record: the names taken so far, and what went wrong.
#[derive(Default)]
struct Maker {
    names: BTreeSet<String>,
    problems: Vec<UnsupportedColumn>,
}

impl Maker {
    fn record(&mut self, name: &str, fields: &[Field], path: &str) -> Record {
        let name = self.distinct(name);
        let fields = fields.iter().map(|field| {
            let path = match path {
                "" => field.name.clone(),
                path => format!("{path}.{}", field.name),
            };
            let name = self.distinct(&field.name);
            if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                let column = path.clone();
                self.problems.push(UnsupportedColumn::Name { column });
            }
            let kind = self.kind(&capitalized(&field.name), &field.data_type, &path);
            RecordField {
                name,
                shape: Shape {
                    kind,
                    null_branch: Some(0),
                },
            }
        });
        let fields = fields.collect();
        Record { name, fields }
    }

    /// The type of a value; `name` is what a struct in it is named after.
    fn kind(&mut self, name: &str, data_type: &DataType, path: &str) -> Kind {
        match data_type {
            DataType::Boolean => Kind::Boolean,
            DataType::Byte => Kind::Byte,
            DataType::Short => Kind::Short,
            DataType::Int => Kind::Int,
            DataType::Long => Kind::Long,
            DataType::Float => Kind::Float,
            DataType::Double => Kind::Double,
            DataType::Binary => Kind::Bytes,
            DataType::String => Kind::String,
            DataType::Array(element) => {
                Kind::Array(self.present(&format!("{name}Element"), element, path))
            }
            DataType::Map(key, value) => {
                if **key != DataType::String {
                    self.problems.push(UnsupportedColumn::MapKey {
                        column: path.to_owned(),
                        data_type: (**key).clone(),
                    });
                }
                Kind::Map(self.present(&format!("{name}Value"), value, path))
            }
            DataType::Struct(fields) => {
                Kind::Record(self.record(&format!("{name}Struct"), fields, path))
            }
            other => {
                self.problems.push(UnsupportedColumn::Type {
                    column: path.to_owned(),
                    data_type: other.clone(),
                });
                Kind::String
            }
        }
    }

    /// The type of an item or of a map's value, which is never null.
    fn present(&mut self, name: &str, data_type: &DataType, path: &str) -> Box<Shape> {
        Box::new(Shape {
            kind: self.kind(name, data_type, path),
            null_branch: None,
        })
    }

    /// The clean name, numbered when it is taken.
    fn distinct(&mut self, name: &str) -> String {
        let clean = clean(name);
        let is_free = |name: &String| !self.names.contains(name);
        let numbered = (0_usize..).map(|number| format!("{clean}{REPEATED}{number}"));
        let mut names = std::iter::once(clean.clone()).chain(numbered);
        let name = names.find(is_free).unwrap_or(clean);
        self.names.insert(name.clone());
        name
    }
}

fn capitalized(name: &str) -> String {
    let mut characters = name.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
