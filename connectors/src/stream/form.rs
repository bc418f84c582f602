//! The forms of messages: from bytes to rows of the columns that are wanted.
//!
//! Promises: for every form alike, columns are found by exact names, what is missing is null, and what is not wanted is
//! passed over; values fit their column as the table in [`mod@column`] says or the message is rejected. No message makes a
//! decoder panic, or take memory that is not in proportion to it. A reason never repeats what a message holds.

mod avro;
mod column;
mod debezium;
mod json;
mod protobuf;
mod registry;
mod rows;
#[cfg(test)]
mod sample;
mod text;

use std::sync::Arc;

use arrow_schema::SchemaRef;
use unskewed_planner::schema::{DataType, Schema};

use super::{Decoder, Format, SchemaPlace, Topic};
use crate::error::{self, Error};

/// How messages are turned into rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether rows are mutations of entities. Then a change gives a row after it and a row before it, told apart by
    /// the column `is_before`, at `mutation_ts`. Forms without before and after carry these columns themselves.
    pub mutations: bool,
}

/// Opens the decoder of a topic's messages into these columns.
pub fn open(
    topic: &Topic,
    wanted: &SchemaRef,
    options: &Options,
) -> error::Result<Box<dyn Decoder>> {
    let form = &topic.form;
    let wanted = Wanted::new(topic, wanted)?;
    let framing = Framing {
        is_confluent: form.framed,
    };
    if !matches!(form.format, Format::DebeziumJson | Format::DebeziumAvro) {
        return Ok(match form.format {
            Format::Protobuf => Box::new(protobuf::Protobuf::open(topic, wanted, framing)?),
            Format::Avro => Box::new(avro::Avro::open(topic, wanted, framing)?),
            _ => Box::new(json::Json::new(wanted, framing)),
        });
    }
    wanted.check_mutations(topic, options.mutations)?;
    let envelope = debezium::envelope(&wanted, options.mutations);
    let envelope: Box<dyn Decoder> = match form.format {
        Format::DebeziumAvro => Box::new(avro::Avro::open(topic, envelope, framing)?),
        _ => Box::new(json::Json::new(envelope, framing).unwrapping()),
    };
    let mutations = options.mutations;
    Ok(Box::new(debezium::Debezium::new(
        envelope, wanted, mutations,
    )))
}

/// A schema of a topic that cannot be used.
fn wrong_schema(topic: &Topic, problem: String) -> Error {
    let place = match &topic.form.schema {
        Some(SchemaPlace::File(path)) => path.display().to_string(),
        Some(SchemaPlace::Subject(subject)) => subject.clone(),
        None => String::new(),
    };
    Error::MessageSchema {
        place,
        topic: topic.name.clone(),
        problem,
    }
}

/// The columns that are wanted.
#[derive(Clone, Debug)]
struct Wanted {
    schema: Schema,
    arrow: SchemaRef,
}

impl Wanted {
    fn new(topic: &Topic, wanted: &SchemaRef) -> error::Result<Self> {
        let unknown = |column: &str, data_type: &str| Error::InvalidTopic {
            topic: topic.name.clone(),
            problem: format!("column {column} of type {data_type} cannot be made of messages"),
        };
        let schema =
            Schema::from_arrow(wanted).map_err(|error| unknown(&error.column, &error.arrow))?;
        let strange = schema.fields.iter();
        let strange = strange.filter(|field| !column::is_known(&field.data_type));
        if let Some(field) = strange.into_iter().next() {
            return Err(unknown(&field.name, &field.data_type.to_string()));
        }
        Ok(Self::of(schema))
    }

    fn of(schema: Schema) -> Self {
        let arrow = Arc::new(schema.to_arrow());
        Self { schema, arrow }
    }

    /// The columns that a mutation has of its own are of types that they can have.
    fn check_mutations(&self, topic: &Topic, mutations: bool) -> error::Result<()> {
        let wrong = self.schema.fields.iter().find(|field| {
            let fits = match field.name.as_str() {
                debezium::IS_BEFORE => matches!(field.data_type, DataType::Boolean),
                debezium::MUTATION_TIME => {
                    matches!(field.data_type, DataType::Long | DataType::Timestamp)
                }
                _ => true,
            };
            mutations && !fits
        });
        match wrong {
            None => Ok(()),
            Some(field) => Err(Error::InvalidTopic {
                topic: topic.name.clone(),
                problem: format!("of a mutation, {} is no {}", field.name, field.data_type),
            }),
        }
    }

    fn arrow(&self) -> SchemaRef {
        Arc::clone(&self.arrow)
    }
}

/// What stands before each message.
#[derive(Clone, Copy, Debug)]
struct Framing {
    is_confluent: bool,
}

/// A message without what stood before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Framed<'a> {
    /// The id of its schema.
    schema: Option<u32>,
    payload: &'a [u8],
}

impl Framing {
    /// Confluent's serializers put a zero and the id of the schema first, in four bytes, the highest first.
    fn of(self, payload: &[u8]) -> Result<Framed<'_>, String> {
        if !self.is_confluent {
            return Ok(Framed {
                schema: None,
                payload,
            });
        }
        match payload {
            [0, a, b, c, d, payload @ ..] => Ok(Framed {
                schema: Some(u32::from_be_bytes([*a, *b, *c, *d])),
                payload,
            }),
            _ => Err("it does not begin with a zero and the id of a schema".into()),
        }
    }
}
