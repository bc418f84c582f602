//! Messages that are objects of JSON.
//!
//! Promises: columns are taken by their exact names, what is missing is null, what is not wanted is passed over. A
//! message is rejected as a whole if it is no JSON in UTF-8, or a wanted value does not fit its column, or stands in it
//! twice. Why is told by column and kind of value, never by what it holds.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;
use unskewed_planner::schema::{DataType, Field};

use super::column::{Column, Fit};
use super::rows::{self, Rows};
use super::{Framing, Wanted};
use crate::error;
use crate::stream::{Decoded, Decoder, Message};

/// The decoder.
#[derive(Debug)]
pub(super) struct Json {
    wanted: Wanted,
    framing: Framing,
    unwraps: bool,
}

impl Json {
    pub(super) fn new(wanted: Wanted, framing: Framing) -> Self {
        Self {
            wanted,
            framing,
            unwraps: false,
        }
    }

    /// Takes what stands under `payload` beside a `schema`, as Connect's converter writes it, for the message.
    pub(super) fn unwrapping(mut self) -> Self {
        self.unwraps = true;
        self
    }

    fn row(&self, payload: &[u8], rows: &mut Rows) -> Result<(), String> {
        let payload = self.framing.of(payload)?.payload;
        let text = std::str::from_utf8(payload).map_err(|_| "it is not in UTF-8")?;
        let inner = self.unwraps.then(|| unwrapped(text)).flatten();
        read(inner.unwrap_or(text), rows.root())
    }
}

/// What is wrapped.
#[derive(serde::Deserialize)]
struct Wrapper<'a> {
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    op: Option<&'a RawValue>,
}

/// What is wrapped in a message; nothing where it is no wrapper.
fn unwrapped(text: &str) -> Option<&str> {
    let wrapper: Wrapper<'_> = serde_json::from_str(text).ok()?;
    let is_wrapper = wrapper.op.is_none();
    wrapper.payload.filter(|_| is_wrapper).map(RawValue::get)
}

impl Decoder for Json {
    fn schema(&self) -> arrow_schema::SchemaRef {
        self.wanted.arrow()
    }

    fn decode(&mut self, messages: &[Message]) -> error::Result<Decoded> {
        rows::of_messages(&self.wanted, messages, |payload, rows| {
            Ok(self.row(payload, rows))
        })
    }
}

/// Reads an object into a structure.
fn read(text: &str, root: &mut Column) -> Result<(), String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let seed = Value {
        column: root,
        place: &Place::Root,
        is_root: true,
    };
    let read = seed.deserialize(&mut json).and_then(|()| json.end());
    read.map_err(|error| format!("it is no JSON that fits: {error}"))
}

/// Where a value stands.
enum Place<'a> {
    Root,
    Field(&'a Place<'a>, &'a str),
    Within(&'a Place<'a>),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("it"),
            Self::Field(Self::Root, name) => write!(f, "column {name}"),
            Self::Field(outer, name) => write!(f, "{outer}.{name}"),
            Self::Within(outer) => write!(f, "{outer}[]"),
        }
    }
}

/// A value of a column.
struct Value<'a> {
    column: &'a mut Column,
    place: &'a Place<'a>,
    is_root: bool,
}

impl Value<'_> {
    fn fit<E: serde::de::Error>(&self, fit: Fit, kind: &str) -> Result<(), E> {
        fit.map_err(|_| self.misfit(kind))
    }

    fn misfit<E: serde::de::Error>(&self, kind: &str) -> E {
        let place = self.place;
        match self.is_root {
            true => E::custom(format_args!("it is {kind}, not an object")),
            false => {
                let wanted = self.column.data_type();
                E::custom(format_args!("{place} is {kind} that is no {wanted}"))
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if !matches!(self.column.data_type(), DataType::Decimal(..)) {
            return json.deserialize_any(self);
        }
        // The digits as they are written, which a binary fraction would not keep.
        let written = <&RawValue as serde::Deserialize>::deserialize(json)?.get();
        if written == "null" {
            return self.visit_unit();
        }
        let text = written.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
        let fit = self.column.digits(text.unwrap_or(written));
        self.fit(fit, "a value")
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.column.data_type())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        if self.is_root {
            return Err(self.misfit("null"));
        }
        self.column.null();
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        let fit = self.column.boolean(value);
        self.fit(fit, "a boolean")
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        let fit = self.column.integer(value.into());
        self.fit(fit, "a whole number")
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        let fit = self.column.integer(value.into());
        self.fit(fit, "a whole number")
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        let fit = self.column.float(value);
        self.fit(fit, "a number")
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        let fit = self.column.text(value);
        self.fit(fit, "a text")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some(items) = self.column.items() else {
            return Err(self.misfit("a list"));
        };
        let place = Place::Within(self.place);
        while list
            .next_element_seed(Value {
                column: items,
                place: &place,
                is_root: false,
            })?
            .is_some()
        {}
        self.column.close();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<(), A::Error> {
        match self.column.data_type() {
            DataType::Struct(_) => self.structure(object),
            DataType::Map(..) => self.map(object),
            _ => Err(self.misfit("an object")),
        }
    }
}

impl Value<'_> {
    fn structure<'de, A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let (row, place) = (self.column.len(), self.place);
        let (names, fields) = self.column.fields().expect("it is a structure");
        let mut guess = 0;
        while let Some(found) = object.next_key_seed(Name { names, guess })? {
            let Some(number) = found else {
                object.next_value::<IgnoredAny>()?;
                continue;
            };
            guess = number + 1;
            let place = Place::Field(place, &names[number].name);
            let column = &mut fields[number];
            if column.len() > row {
                return Err(A::Error::custom(format_args!("{place} stands there twice")));
            }
            object.next_value_seed(Value {
                column,
                place: &place,
                is_root: false,
            })?;
        }
        self.column.close();
        Ok(())
    }

    fn map<'de, A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let place = Place::Within(self.place);
        let (keys, values) = self.column.entries().expect("it is a map");
        while object
            .next_key_seed(Key {
                column: keys,
                place: &place,
            })?
            .is_some()
        {
            object.next_value_seed(Value {
                column: values,
                place: &place,
                is_root: false,
            })?;
        }
        if self.column.repeats_keys() {
            let place = self.place;
            return Err(A::Error::custom(format_args!("{place} has a key twice")));
        }
        self.column.close();
        Ok(())
    }
}

/// A field's number by its name. Messages mostly name their fields in one order, so the next is guessed.
struct Name<'a> {
    names: &'a [Field],
    guess: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        let is = |number: &usize| self.names.get(*number).is_some_and(|f| f.name == name);
        let guessed = Some(self.guess).filter(is);
        Ok(guessed.or_else(|| self.names.iter().position(|field| field.name == name)))
    }
}

/// A map's key.
struct Key<'a> {
    column: &'a mut Column,
    place: &'a Place<'a>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<(), E> {
        let place = self.place;
        self.column.key_of_text(key).map_err(|_| {
            let wanted = self.column.data_type();
            E::custom(format_args!("a key of {place} is no {wanted}"))
        })
    }
}

#[cfg(test)]
mod tests;
