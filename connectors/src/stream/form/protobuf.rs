//! Messages of Protocol Buffers, by descriptors that `protoc --include_imports --descriptor_set_out=FILE` wrote.
//!
//! Promises: columns are taken by the names that fields have in the file; fields that are not there are null where the
//! file can tell that from their default, and their default elsewhere. Confluent's framing says which message of a file
//! follows; one that is not the message wanted is rejected.

use std::collections::BTreeMap;

use arrow_schema::SchemaRef;
use prost_reflect::{
    DescriptorPool, DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage, Value,
};
use unskewed_planner::schema::DataType;

use super::column::{Column, Fit, Misfit};
use super::rows::{self, Rows};
use super::{Framing, Wanted, wrong_schema};
use crate::error::{self, Error};
use crate::stream::{Decoded, Decoder, Message, SchemaPlace, Topic};

/// The decoder.
#[derive(Debug)]
pub(super) struct Protobuf {
    wanted: Wanted,
    framing: Framing,
    message: MessageDescriptor,
}

impl Protobuf {
    pub(super) fn open(topic: &Topic, wanted: Wanted, framing: Framing) -> error::Result<Self> {
        let (Some(SchemaPlace::File(path)), Some(name)) = (&topic.form.schema, &topic.form.message)
        else {
            return Err(wrong_schema(topic, "file and message are not named".into()));
        };
        let bytes = std::fs::read(path).map_err(|source| Error::Io {
            action: "read the descriptors",
            path: path.display().to_string(),
            source,
        })?;
        let pool = DescriptorPool::decode(bytes.as_slice()).map_err(|error| {
            wrong_schema(topic, format!("it is no set of descriptors: {error}"))
        })?;
        let message = pool.get_message_by_name(name).ok_or_else(|| {
            let known = pool.all_messages();
            let known: Vec<String> = known
                .map(|message| message.full_name().to_owned())
                .collect();
            let known = known.join(", ");
            wrong_schema(topic, format!("it has no message {name}, but {known}"))
        })?;
        Ok(Self {
            wanted,
            framing,
            message,
        })
    }

    fn row(&self, payload: &[u8], rows: &mut Rows) -> Result<(), String> {
        let mut payload = self.framing.of(payload)?.payload;
        if self.framing.is_confluent {
            payload = self.indexed(payload)?;
        }
        let message = DynamicMessage::decode(self.message.clone(), payload)
            .map_err(|_| format!("it is no {}", self.message.full_name()))?;
        structure(&message, rows.root()).map_err(|place| match place.as_slice() {
            [] => "it fits no row".into(),
            names => {
                let names: Vec<&str> = names.iter().rev().map(String::as_str).collect();
                format!("column {} does not fit its type", names.join("."))
            }
        })
    }

    /// What comes after the place of the message in its file: how many numbers, and each; a lone 0 for the first.
    fn indexed<'a>(&self, payload: &'a [u8]) -> Result<&'a [u8], String> {
        let mut rest = payload;
        let mut number = || number(&mut rest).ok_or("it has no place of a message");
        let count = number()?;
        // The path has the tags of messages between the numbers.
        let own = self.message.path().iter().skip(1).step_by(2);
        let own: Vec<i64> = own.map(|place| i64::from(*place)).collect();
        let is_ours = match count {
            0 => own == [0],
            _ if usize::try_from(count) != Ok(own.len()) => false,
            _ => {
                let mut is_ours = true;
                for place in own {
                    is_ours &= number()? == place;
                }
                is_ours
            }
        };
        match is_ours {
            true => Ok(rest),
            false => Err(format!(
                "it is another message than {} of its file",
                self.message.full_name()
            )),
        }
    }
}

/// A number in groups of seven bits, the lowest first, its sign in the lowest of all.
fn number(rest: &mut &[u8]) -> Option<i64> {
    let length = rest.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let (bytes, after) = rest.split_at(length);
    *rest = after;
    let mut value = 0_u64;
    for (place, byte) in bytes.iter().enumerate() {
        let bits = u64::from(byte & 0x7f);
        value |= bits.checked_shl(u32::try_from(7 * place).ok()?)?;
    }
    Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

impl Decoder for Protobuf {
    fn schema(&self) -> SchemaRef {
        self.wanted.arrow()
    }

    fn decode(&mut self, messages: &[Message]) -> error::Result<Decoded> {
        rows::of_messages(&self.wanted, messages, |payload, rows| {
            Ok(self.row(payload, rows))
        })
    }
}

/// The fields that a value does not fit, the inmost first.
type Misplaced = Vec<String>;

fn structure(message: &DynamicMessage, column: &mut Column) -> Result<(), Misplaced> {
    let (names, columns) = column.fields().ok_or_else(Vec::new)?;
    let descriptor = message.descriptor();
    for (name, column) in names.iter().zip(columns) {
        let field = descriptor.get_field_by_name(&name.name);
        let is_absent = |field: &prost_reflect::FieldDescriptor| {
            field.supports_presence() && !message.has_field(field)
        };
        match field.filter(|field| !is_absent(field)) {
            None => column.null(),
            Some(field) => {
                let value = message.get_field(&field);
                let kind = field.kind();
                append(&value, &kind, column).map_err(|mut place| {
                    place.push(name.name.clone());
                    place
                })?;
            }
        }
    }
    column.close();
    Ok(())
}

fn append(value: &Value, kind: &Kind, column: &mut Column) -> Result<(), Misplaced> {
    match value {
        Value::Message(message) => return nested(message, column),
        Value::List(items) => {
            for item in items {
                append(item, kind, column.items().ok_or_else(Vec::new)?)?;
            }
            column.items().ok_or_else(Vec::new)?;
            column.close();
        }
        Value::Map(entries) => {
            let Kind::Message(entry) = kind else {
                return Err(vec![]);
            };
            let kind = entry.map_entry_value_field().kind();
            // In the order of keys, as a map of the library has none.
            let entries: BTreeMap<&MapKey, &Value> = entries.iter().collect();
            column.entries().ok_or_else(Vec::new)?;
            for (key, value) in entries {
                let (keys, values) = column.entries().ok_or_else(Vec::new)?;
                map_key(key, keys).map_err(|Misfit| vec![])?;
                append(value, &kind, values)?;
            }
            column.close();
        }
        _ => scalar(value, kind, column).map_err(|Misfit| vec![])?,
    }
    Ok(())
}

fn scalar(value: &Value, kind: &Kind, column: &mut Column) -> Fit {
    match value {
        Value::Bool(value) => column.boolean(*value),
        Value::I32(value) => column.integer((*value).into()),
        Value::I64(value) => column.integer((*value).into()),
        Value::U32(value) => column.integer((*value).into()),
        Value::U64(value) => column.integer((*value).into()),
        Value::F32(value) => column.float((*value).into()),
        Value::F64(value) => column.float(*value),
        Value::String(value) => column.text(value),
        Value::Bytes(value) => column.bytes(value),
        Value::EnumNumber(number) => match (column.data_type(), kind) {
            (DataType::String, Kind::Enum(of)) => {
                column.text(of.get_value(*number).ok_or(Misfit)?.name())
            }
            _ => column.integer((*number).into()),
        },
        _ => Err(Misfit),
    }
}

fn map_key(key: &MapKey, column: &mut Column) -> Fit {
    match key {
        MapKey::Bool(key) => column.boolean(*key),
        MapKey::I32(key) => column.integer((*key).into()),
        MapKey::I64(key) => column.integer((*key).into()),
        MapKey::U32(key) => column.integer((*key).into()),
        MapKey::U64(key) => column.integer((*key).into()),
        MapKey::String(key) => column.key_of_text(key),
    }
}

/// A message within a message: a structure, or one of those that stand for a plain value.
fn nested(message: &DynamicMessage, column: &mut Column) -> Result<(), Misplaced> {
    let descriptor = message.descriptor();
    let is_structure = matches!(column.data_type(), DataType::Struct(_));
    let by_name = |name| {
        message
            .get_field_by_name(name)
            .map(|value| value.into_owned())
    };
    match descriptor.full_name() {
        "google.protobuf.Timestamp" if !is_structure => {
            let (Some(Value::I64(seconds)), Some(Value::I32(nanos))) =
                (by_name("seconds"), by_name("nanos"))
            else {
                return Err(vec![]);
            };
            let fit = instant(seconds, nanos, column);
            fit.map_err(|Misfit| vec![])
        }
        "google.protobuf.DoubleValue"
        | "google.protobuf.FloatValue"
        | "google.protobuf.Int64Value"
        | "google.protobuf.UInt64Value"
        | "google.protobuf.Int32Value"
        | "google.protobuf.UInt32Value"
        | "google.protobuf.BoolValue"
        | "google.protobuf.StringValue"
        | "google.protobuf.BytesValue"
            if !is_structure =>
        {
            let field = descriptor.get_field_by_name("value").ok_or_else(Vec::new)?;
            append(&message.get_field(&field), &field.kind(), column)
        }
        _ => structure(message, column),
    }
}

/// An instant; in a column of whole numbers, its milliseconds.
fn instant(seconds: i64, nanos: i32, column: &mut Column) -> Fit {
    if !(0..1_000_000_000).contains(&nanos) {
        return Err(Misfit);
    }
    let micros = i128::from(seconds) * 1_000_000 + i128::from(nanos / 1000);
    match column.data_type() {
        DataType::Timestamp | DataType::TimestampNtz => {
            column.micros(micros.try_into().map_err(|_| Misfit)?)
        }
        _ => column.integer(micros.div_euclid(1000)),
    }
}

#[cfg(test)]
mod tests;
