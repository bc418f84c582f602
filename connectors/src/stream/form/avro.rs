//! Messages that are datums of Avro: all of one schema, or each of the schema whose id stands before it.
//!
//! Promises: a schema is fetched when its first message comes, in mid-stream too, and kept. A registry that cannot be
//! asked is an error; a message of a schema that it does not know, or that makes no row, is rejected.
//!
//! Own code, as a decoder that others make cannot be taken back when a datum breaks off half way, which costs either
//! the messages before it or a decoder a message.

mod datum;
mod schema;

use std::collections::BTreeMap;

use arrow_schema::SchemaRef;
use unskewed_planner::schema::DataType;

use self::datum::Read;
use self::schema::AvroSchema;
use super::registry::Registry;
use super::rows;
use super::{Framing, Wanted, wrong_schema};
use crate::error::{self, Error};
use crate::stream::{Decoded, Decoder, Message, SchemaPlace, Topic};

/// The decoder.
#[derive(Debug)]
pub(super) struct Avro {
    wanted: Wanted,
    framing: Framing,
    registry: Option<Registry>,
    /// The schemas by their ids, or why no message of them makes a row.
    known: BTreeMap<Option<u32>, Result<Known, String>>,
}

/// A schema, and how its datums are read.
#[derive(Debug)]
struct Known {
    schema: AvroSchema,
    read: Read,
}

impl Known {
    fn new(texts: &[String], wanted: &Wanted) -> Result<Self, String> {
        let schema = AvroSchema::parse(texts)?;
        let row = DataType::Struct(wanted.schema.fields.clone());
        let read = datum::plan_row(&schema, &row)?;
        Ok(Self { schema, read })
    }
}

impl Avro {
    pub(super) fn open(topic: &Topic, wanted: Wanted, framing: Framing) -> error::Result<Self> {
        let registry = topic.form.registry.as_ref();
        let registry = registry.map(Registry::open).transpose()?;
        let mut known = BTreeMap::new();
        if !framing.is_confluent {
            let texts = fixed(topic, registry.as_ref())?;
            let wrong = |problem: String| wrong_schema(topic, problem);
            let schema = Known::new(&texts, &wanted).map_err(wrong)?;
            known.insert(None, Ok(schema));
        }
        Ok(Self {
            wanted,
            framing,
            registry,
            known,
        })
    }

    /// Gets to know the schema of this id.
    fn know(&mut self, id: Option<u32>) -> error::Result<&Result<Known, String>> {
        let (Some(asked), false) = (id, self.known.contains_key(&id)) else {
            return Ok(&self.known[&id]);
        };
        let texts = match &self.registry {
            Some(registry) => registry.schema(asked)?,
            None => None,
        };
        let known = match texts {
            Some(texts) => Known::new(&texts, &self.wanted)
                .map_err(|problem| format!("its schema, of id {asked}, is of no use: {problem}")),
            None => Err(format!("the registry knows no schema of id {asked}")),
        };
        if let Err(problem) = &known {
            tracing::warn!(problem, "messages of a schema are rejected");
        }
        Ok(self.known.entry(id).or_insert(known))
    }
}

/// The schema that all messages are written with.
fn fixed(topic: &Topic, registry: Option<&Registry>) -> error::Result<Vec<String>> {
    match (&topic.form.schema, registry) {
        (Some(SchemaPlace::File(path)), _) => {
            let text = std::fs::read_to_string(path);
            Ok(vec![text.map_err(|source| Error::Io {
                action: "read the schema",
                path: path.display().to_string(),
                source,
            })?])
        }
        (Some(SchemaPlace::Subject(subject)), Some(registry)) => {
            let latest = registry.latest(subject)?;
            latest.ok_or_else(|| wrong_schema(topic, "the registry has no such subject".into()))
        }
        _ => Err(wrong_schema(topic, "it is not named".into())),
    }
}

impl Decoder for Avro {
    fn schema(&self) -> SchemaRef {
        self.wanted.arrow()
    }

    fn decode(&mut self, messages: &[Message]) -> error::Result<Decoded> {
        let framing = self.framing;
        let wanted = self.wanted.clone();
        rows::of_messages(&wanted, messages, |payload, rows| {
            let framed = match framing.of(payload) {
                Ok(framed) => framed,
                Err(reason) => return Ok(Err(reason)),
            };
            Ok(match self.know(framed.schema)? {
                Ok(known) => datum::read(&known.schema, &known.read, framed.payload, rows.root()),
                Err(reason) => Err(reason.clone()),
            })
        })
    }
}

#[cfg(test)]
mod tests;
