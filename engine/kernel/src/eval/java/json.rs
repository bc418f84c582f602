//! JSON as Jackson reads and writes it for Spark.
//!
//! [`parse()`] reads one value and ignores what follows it; [`JsonValue::write`] prints compactly.
//! Numbers keep their text until they are needed, so that no digit of an integer or decimal is
//! lost.

mod parse;
pub mod path;

use super::number::double_to_string;

pub use parse::{JsonSyntax, parse};

/// A JSON value; objects keep their order and repeated names.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonValue {
    /// `null`
    Null,
    /// `true` and `false`
    Boolean(bool),
    /// A number without point and exponent, as written.
    Integer(String),
    /// Another number, as written; also `NaN` and `Infinity` where they are allowed.
    Real(String),
    /// A string.
    Text(String),
    /// An array.
    Array(Vec<JsonValue>),
    /// An object.
    Object(Vec<(String, JsonValue)>),
}

/// Adds a string in quotes, escaped.
pub fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Adds a double; those that are no numbers in quotes.
pub fn write_double(out: &mut String, value: f64) {
    let text = double_to_string(value);
    if value.is_finite() {
        out.push_str(&text);
    } else {
        write_text(out, &text);
    }
}

impl JsonValue {
    /// The double that a number stands for.
    pub fn as_double(&self) -> Option<f64> {
        match self {
            Self::Integer(text) => text.parse().ok(),
            Self::Real(text) => match text.as_str() {
                "NaN" => Some(f64::NAN),
                "Infinity" | "+Infinity" | "INF" | "+INF" => Some(f64::INFINITY),
                "-Infinity" | "-INF" => Some(f64::NEG_INFINITY),
                number => number.parse().ok(),
            },
            _ => None,
        }
    }

    /// Adds the compact text: integers as they are, other numbers as doubles.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Integer(text) => out.push_str(if text == "-0" { "0" } else { text }),
            Self::Real(_) => write_double(out, self.as_double().unwrap_or(f64::NAN)),
            Self::Text(text) => write_text(out, text),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_text(out, name);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// The compact text.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }
}

#[cfg(test)]
mod tests;
