//! What a definition says of a topic: `[type://]topic[/k=v]*`, and what is said of it beside the definition.
//!
//! Promises: everything wrong with a topic is told at once, by parameter. Parameters of a definition that mean nothing
//! here are left alone, as they may mean something to others; those given beside it are for us, so there an unknown name
//! is an error. Never reads a file or asks anybody.
//!
//! The grammar has no way to write a `/` in a value, which is why every parameter can be given beside it too; what is
//! given there holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use unskewed_planner::diagnostic::nearest;

use crate::error::{Error, Result};

/// The parameters that mean something here, and what.
pub const PARAMETERS: [(&str, &str); 13] = [
    ("type", "where the topic lies: kafka or lines"),
    (
        "bootstrap",
        "Kafka brokers to begin with, as HOST:PORT[,HOST:PORT]",
    ),
    (
        "host",
        "a Kafka broker to begin with, where bootstrap is not given",
    ),
    ("port", "its port"),
    ("group", "the consumer group that is told how far we are"),
    ("path", "the file of a topic of lines"),
    ("format", "the form of messages"),
    (
        "framing",
        "what stands before each message: confluent or none",
    ),
    (
        "registry",
        "the address of a schema registry, as http://HOST:PORT",
    ),
    ("registry_user", "who asks the registry"),
    (
        "registry_password_variable",
        "the environment variable that holds their password",
    ),
    (
        "schema",
        "a file that holds the schema, or with a registry the subject",
    ),
    ("message", "the full name of the protobuf message"),
];

/// A topic, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub origin: Origin,
    /// The form of its messages.
    pub form: Form,
}

/// Where a topic lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In Kafka.
    Kafka {
        /// Brokers to begin with, where the topic names any.
        bootstrap: Option<String>,
        /// The consumer group that is told how far we are.
        group: Option<String>,
    },
    /// In a file whose every line is a message.
    Lines {
        /// The file.
        path: PathBuf,
    },
}

/// The form of a topic's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// How they are written.
    pub format: Format,
    /// Whether the id of a schema stands before each, as Confluent's serializers put it.
    pub framed: bool,
    /// Where schemas are kept.
    pub registry: Option<RegistryAddress>,
    /// The schema that all messages are written with.
    pub schema: Option<SchemaPlace>,
    /// The full name of the protobuf message.
    pub message: Option<String>,
}

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the formats' own")]
pub enum Format {
    Json,
    Avro,
    Protobuf,
    DebeziumJson,
    DebeziumAvro,
}

/// Where a schema is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaPlace {
    /// In a file.
    File(PathBuf),
    /// In the registry: the latest of a subject.
    Subject(String),
}

/// Where a schema registry is, and who asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryAddress {
    /// Its address.
    pub url: String,
    /// Who asks.
    pub user: Option<String>,
    /// The environment variable that holds their password.
    pub password_variable: Option<String>,
}

const FORMATS: [(&str, Format); 5] = [
    ("json", Format::Json),
    ("avro", Format::Avro),
    ("protobuf", Format::Protobuf),
    ("debezium-json", Format::DebeziumJson),
    ("debezium-avro", Format::DebeziumAvro),
];

impl Format {
    fn is_avro(self) -> bool {
        matches!(self, Self::Avro | Self::DebeziumAvro)
    }
}

impl Topic {
    /// Reads a topic as a definition has it, with the parameters that are given beside it.
    pub fn parse(text: &str, given: &BTreeMap<String, String>) -> Result<Self> {
        let mut reading = Reading::default();
        let name = reading.read(text);
        reading.give(given);
        let form = reading.form();
        let origin = reading.origin();
        let invalid = |problems: &[String]| Error::InvalidTopic {
            topic: text.into(),
            problem: problems.join("; "),
        };
        match (form, origin) {
            (Some(form), Some(origin)) if reading.problems.is_empty() => Ok(Self {
                name: name.into(),
                origin,
                form,
            }),
            _ => Err(invalid(&reading.problems)),
        }
    }
}

/// The parameters of a topic, and what is wrong with them.
#[derive(Debug, Default)]
struct Reading {
    parameters: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Reading {
    fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    fn get(&self, parameter: &str) -> Option<String> {
        self.parameters.get(parameter).cloned()
    }

    /// The topic's name; its parameters are noted.
    fn read<'a>(&mut self, text: &'a str) -> &'a str {
        let (kind, rest) = match text.split_once("://") {
            // A name ends at the first `/`, so one before `://` belongs to a value.
            Some((kind, rest)) if !kind.contains('/') => (Some(kind), rest),
            _ => (None, text),
        };
        if let Some(kind) = kind {
            self.parameters.insert("type".into(), kind.into());
        }
        let mut parts = rest.split('/');
        let name = parts.next().unwrap_or_default();
        if name.is_empty() {
            self.problem("it names no topic; write [type://]topic[/name=value]…");
        }
        for part in parts {
            match part.split_once('=') {
                Some(("", _)) => {
                    self.problem(format!("{part:?} names no parameter"));
                }
                Some((parameter, value)) => self.note(parameter, value),
                None => self.problem(format!(
                    "{part:?} is no name=value; a value that holds a / cannot stand here, give it as a parameter beside \
                     the definition"
                )),
            }
        }
        name
    }

    fn note(&mut self, parameter: &str, value: &str) {
        let before = self.parameters.insert(parameter.into(), value.into());
        if before.is_some() {
            self.problem(format!("{parameter} is given twice"));
        }
    }

    /// What is given beside the definition holds.
    fn give(&mut self, given: &BTreeMap<String, String>) {
        for (parameter, value) in given {
            let known = PARAMETERS.map(|(known, _)| known);
            if !known.contains(&parameter.as_str()) {
                let near = nearest(parameter, known).map(|near| format!("; did you mean {near}?"));
                self.problem(format!(
                    "there is no parameter {parameter}, but {}{}",
                    known.join(", "),
                    near.unwrap_or_default()
                ));
            }
            self.parameters.insert(parameter.clone(), value.clone());
        }
        let empty = self.parameters.iter();
        let empty = empty.filter(|(name, value)| {
            value.is_empty() && PARAMETERS.iter().any(|(known, _)| known == name)
        });
        let empty: Vec<String> = empty.map(|(name, _)| format!("{name} is empty")).collect();
        self.problems.extend(empty);
    }

    fn origin(&mut self) -> Option<Origin> {
        match self.get("type").as_deref().unwrap_or("kafka") {
            "kafka" => Some(Origin::Kafka {
                bootstrap: self.bootstrap(),
                group: self.get("group"),
            }),
            "lines" => match self.get("path") {
                Some(path) => Some(Origin::Lines { path: path.into() }),
                None => {
                    self.problem("path is missing: which file holds the lines?");
                    None
                }
            },
            other => {
                self.problem(format!(
                    "there is no type {other:?} of topics, but kafka and lines"
                ));
                None
            }
        }
    }

    fn bootstrap(&mut self) -> Option<String> {
        let (bootstrap, host, port) = (self.get("bootstrap"), self.get("host"), self.get("port"));
        if let Some(port) = &port
            && port.parse::<u16>().is_err()
        {
            self.problem(format!("{port:?} is no port"));
        }
        match (bootstrap, host, port) {
            (Some(bootstrap), ..) => Some(bootstrap),
            (None, Some(host), Some(port)) => Some(format!("{host}:{port}")),
            (None, Some(host), None) => Some(host),
            (None, None, Some(_)) => {
                self.problem("port is given without host");
                None
            }
            (None, None, None) => None,
        }
    }

    fn form(&mut self) -> Option<Form> {
        let registry = self.registry();
        let format = match self.get("format") {
            Some(name) => self.format(&name)?,
            None if registry.is_some() => Format::Avro,
            None => {
                if self.get("schema").or(self.get("message")).is_some() {
                    let known = FORMATS.map(|(known, _)| known).join(", ");
                    self.problem(format!(
                        "format is missing: which of {known} is the schema of?"
                    ));
                }
                Format::Json
            }
        };
        let framed = match self.get("framing").as_deref() {
            None => registry.is_some(),
            Some("confluent") => true,
            Some("none") => false,
            Some(other) => {
                self.problem(format!(
                    "there is no framing {other:?}, but confluent and none"
                ));
                return None;
            }
        };
        let form = Form {
            schema: self.schema(format, registry.is_some()),
            message: self.get("message"),
            format,
            framed,
            registry,
        };
        self.check(&form);
        Some(form)
    }

    fn format(&mut self, name: &str) -> Option<Format> {
        let found = FORMATS.iter().find(|(known, _)| *known == name);
        if found.is_none() {
            let known = FORMATS.map(|(known, _)| known);
            let near = nearest(name, known).map(|near| format!("; did you mean {near}?"));
            self.problem(format!(
                "there is no format {name:?}, but {}{}",
                known.join(", "),
                near.unwrap_or_default()
            ));
        }
        found.map(|(_, format)| *format)
    }

    fn registry(&mut self) -> Option<RegistryAddress> {
        let (user, password_variable) = (
            self.get("registry_user"),
            self.get("registry_password_variable"),
        );
        if user.is_some() != password_variable.is_some() {
            self.problem("registry_user and registry_password_variable go together");
        }
        let url = self.get("registry");
        if url.is_none() && user.is_some() {
            self.problem("registry is missing: registry_user asks it");
        }
        Some(RegistryAddress {
            url: url?,
            user,
            password_variable,
        })
    }

    /// A registry keeps schemas of Avro by subject; everything else lies in files.
    fn schema(&self, format: Format, in_registry: bool) -> Option<SchemaPlace> {
        let schema = self.get("schema")?;
        Some(if in_registry && format.is_avro() {
            SchemaPlace::Subject(schema)
        } else {
            SchemaPlace::File(schema.into())
        })
    }

    /// What a form needs.
    fn check(&mut self, form: &Form) {
        let has_registry = form.registry.is_some();
        match form.format {
            Format::Avro | Format::DebeziumAvro if form.framed && !has_registry => {
                self.problem("registry is missing: framed messages name their schema by its id");
            }
            Format::Avro | Format::DebeziumAvro if !form.framed && form.schema.is_none() => {
                self.problem(
                    "schema is missing: messages of Avro without framing do not say theirs; \
                     name its file, or give registry",
                );
            }
            Format::Protobuf => {
                if !matches!(form.schema, Some(SchemaPlace::File(_))) {
                    self.problem(
                        "schema is missing: name the file of descriptors that \
                         protoc --include_imports --descriptor_set_out=FILE writes",
                    );
                }
                if form.message.is_none() {
                    self.problem("message is missing: the full name, such as package.Message");
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
