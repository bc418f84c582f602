//! A value as a caller gives and gets it, and its JSON.
//!
//! Promises: JSON is what clients of the reference's service read: numbers as they are, bytes in Base64, structs as
//! lists of their values in order, and what JSON has no number for (NaN, infinities) as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number of any width.
    Long(i64),
    /// A number of single precision.
    Float(f32),
    /// A number of double precision.
    Double(f64),
    /// Text.
    String(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Values in order.
    List(Vec<Value>),
    /// Values by text, in the order given.
    Map(Vec<(String, Value)>),
    /// Values by name, in the order of the type.
    Struct(Vec<(String, Value)>),
}

impl Value {
    /// Whether it is nothing.
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Long(_) => "a whole number",
            Self::Float(_) | Self::Double(_) => "a number",
            Self::String(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Struct(_) => "a struct",
        }
    }

    /// The value that a JSON value says.
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Boolean(*value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(value) => Self::Long(value),
                None => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::String(text.clone()),
            serde_json::Value::Array(items) => {
                Self::List(items.iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(entries) => {
                let entries = entries.iter();
                Self::Map(
                    entries
                        .map(|(name, value)| (name.clone(), Self::from_json(value)))
                        .collect(),
                )
            }
        }
    }

    /// Its JSON.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Boolean(value) => (*value).into(),
            Self::Long(value) => (*value).into(),
            // The shortest digits that give the single back, not those of the double it widens to.
            Self::Float(value) => number(value.to_string().parse().unwrap_or(f64::from(*value))),
            Self::Double(value) => number(*value),
            Self::String(text) => text.clone().into(),
            Self::Bytes(bytes) => STANDARD.encode(bytes).into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => {
                let entries = entries.iter();
                let entries = entries.map(|(name, value)| (name.clone(), value.to_json()));
                serde_json::Value::Object(entries.collect::<Map<_, _>>())
            }
            Self::Struct(fields) => fields.iter().map(|(_, value)| value.to_json()).collect(),
        }
    }
}

fn number(value: f64) -> serde_json::Value {
    match Number::from_f64(value) {
        Some(number) => serde_json::Value::Number(number),
        None if value.is_nan() => "NaN".into(),
        None if value > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What JSON cannot say as a number is text; singles keep their digits.
    #[test]
    fn numbers() {
        assert_eq!(Value::Float(0.1).to_json().to_string(), "0.1");
        assert_eq!(Value::Double(f64::NAN).to_json(), "NaN");
        assert_eq!(Value::Double(f64::NEG_INFINITY).to_json(), "-Infinity");
        assert_eq!(Value::from_json(&serde_json::json!(7)), Value::Long(7));
        let pair = vec![("a".into(), Value::Long(1)), ("b".into(), Value::Null)];
        assert_eq!(
            Value::Struct(pair.clone()).to_json().to_string(),
            "[1,null]"
        );
        assert_eq!(
            Value::Map(pair).to_json().to_string(),
            r#"{"a":1,"b":null}"#
        );
    }
}
