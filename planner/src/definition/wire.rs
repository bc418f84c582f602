//! How Chronon's thrift JSON maps to Rust: one trait for values, one macro for records.
//!
//! Promises: every problem is collected with its path and reading goes on; what was read writes back as the same
//! tree (booleans as 0 and 1, absent fields left out). Never panics, whatever the tree.

use serde_json::{Map, Value};

use crate::diagnostic::Diagnostic;

use super::Dialect;
use super::dialect;

/// Collects problems while a tree is read.
pub(crate) struct Reader {
    pub(crate) dialect: Dialect,
    pub(crate) problems: Vec<Diagnostic>,
}

impl Reader {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            problems: Vec::new(),
        }
    }

    pub(crate) fn report(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    fn wrong_type(&mut self, path: &str, expected: &str, found: &Value) {
        let message = format!("expected {expected}, found {}", describe(found));
        let mut problem = Diagnostic::error(path, message);
        if found.is_null() {
            problem = problem.hint("leave the field out when it has no value");
        }
        self.report(problem);
    }

    /// The fields of an object after unknown ones have been reported.
    pub(crate) fn object<'a>(
        &mut self,
        value: &'a Value,
        path: &str,
        record: &str,
        known: &[&str],
    ) -> Option<&'a Map<String, Value>> {
        let Value::Object(fields) = value else {
            self.wrong_type(path, &format!("an object ({record})"), value);
            return None;
        };
        for name in fields.keys() {
            let at = child(path, name);
            if let Some(problem) = dialect::check_field(self.dialect, record, name, &at) {
                self.report(problem);
            } else if !known.contains(&name.as_str())
                && !dialect::is_ignored(self.dialect, record, name)
            {
                let message = format!("unknown field {name:?} of {record}");
                self.report(Diagnostic::error(at, message).meant(name, known.iter().copied()));
            }
        }
        Some(fields)
    }

    /// A field that must be there.
    pub(crate) fn required<T: Wire>(
        &mut self,
        fields: &Map<String, Value>,
        path: &str,
        record: &str,
        name: &str,
    ) -> Option<T> {
        if let Some(value) = fields.get(name) {
            T::read(value, &child(path, name), self)
        } else {
            self.report(Diagnostic::error(path, format!("{record} has no {name:?}")));
            None
        }
    }

    /// A field that may be absent; `None` inside when it is, `None` outside when it is wrong.
    pub(crate) fn optional<T: Wire>(
        &mut self,
        fields: &Map<String, Value>,
        path: &str,
        name: &str,
    ) -> Option<Option<T>> {
        match fields.get(name) {
            None => Some(None),
            Some(value) => T::read(value, &child(path, name), self).map(Some),
        }
    }
}

/// The path of a field. Names that are no plain words are quoted.
pub(crate) fn child(path: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    match (plain, path.is_empty()) {
        (true, true) => name.into(),
        (true, false) => format!("{path}.{name}"),
        (false, _) => format!("{path}[{name:?}]"),
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() <= 40 => format!("the string {text:?}"),
        Value::String(_) => "a long string".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

/// A value that can be read from and written to the JSON tree.
pub(crate) trait Wire: Sized {
    /// Reads, reporting what is wrong; `None` when nothing can be made of it.
    fn read(value: &Value, path: &str, reader: &mut Reader) -> Option<Self>;
    /// Writes.
    fn write(&self) -> Value;
}

impl Wire for String {
    fn read(value: &Value, path: &str, reader: &mut Reader) -> Option<Self> {
        match value {
            Value::String(text) => Some(text.clone()),
            other => {
                reader.wrong_type(path, "a string", other);
                None
            }
        }
    }

    fn write(&self) -> Value {
        self.as_str().into()
    }
}

impl Wire for bool {
    fn read(value: &Value, path: &str, reader: &mut Reader) -> Option<Self> {
        match (value, value.as_i64()) {
            (Value::Bool(flag), _) => Some(*flag),
            (_, Some(0)) => Some(false),
            (_, Some(1)) => Some(true),
            (other, _) => {
                reader.wrong_type(path, "a boolean (0, 1, true or false)", other);
                None
            }
        }
    }

    fn write(&self) -> Value {
        i32::from(*self).into()
    }
}

impl Wire for i32 {
    fn read(value: &Value, path: &str, reader: &mut Reader) -> Option<Self> {
        let read = value
            .as_i64()
            .and_then(|number| Self::try_from(number).ok());
        if read.is_none() {
            reader.wrong_type(path, "a 32-bit whole number", value);
        }
        read
    }

    fn write(&self) -> Value {
        (*self).into()
    }
}

/// A number kept as written, so that `5` and `5.0` write back as they were.
impl Wire for serde_json::Number {
    fn read(value: &Value, path: &str, reader: &mut Reader) -> Option<Self> {
        match value {
            Value::Number(number) => Some(number.clone()),
            other => {
                reader.wrong_type(path, "a number", other);
                None
            }
        }
    }

    fn write(&self) -> Value {
        Value::Number(self.clone())
    }
}

impl<T: Wire> Wire for Box<T> {
    fn read(value: &Value, path: &str, reader: &mut Reader) -> Option<Self> {
        T::read(value, path, reader).map(Box::new)
    }

    fn write(&self) -> Value {
        (**self).write()
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn read(value: &Value, path: &str, reader: &mut Reader) -> Option<Self> {
        let Value::Array(items) = value else {
            reader.wrong_type(path, "a list", value);
            return None;
        };
        let mut all = Some(Vec::with_capacity(items.len()));
        for (index, item) in items.iter().enumerate() {
            let read = T::read(item, &format!("{path}[{index}]"), reader);
            match (read, &mut all) {
                (Some(read), Some(list)) => list.push(read),
                _ => all = None,
            }
        }
        all
    }

    fn write(&self) -> Value {
        Value::Array(self.iter().map(Wire::write).collect())
    }
}

/// A map from strings in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OrderedMap<T>(pub Vec<(String, T)>);

impl<T> Default for OrderedMap<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> OrderedMap<T> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&T> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// The entries in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Wire> Wire for OrderedMap<T> {
    fn read(value: &Value, path: &str, reader: &mut Reader) -> Option<Self> {
        let Value::Object(entries) = value else {
            reader.wrong_type(path, "an object", value);
            return None;
        };
        let mut all = Some(Vec::with_capacity(entries.len()));
        for (name, item) in entries {
            let read = T::read(item, &child(path, name), reader);
            match (read, &mut all) {
                (Some(read), Some(list)) => list.push((name.clone(), read)),
                _ => all = None,
            }
        }
        all.map(Self)
    }

    fn write(&self) -> Value {
        Value::Object(
            self.0
                .iter()
                .map(|(name, value)| (name.clone(), value.write()))
                .collect(),
        )
    }
}

/// A record of Chronon's: the Rust struct and its reading and writing, from one list of fields.
///
/// `required` fields have their type, `optional` ones an `Option` of it.
macro_rules! record {
    (
        $(#[$about:meta])*
        $name:ident {
            $( $(#[$field_about:meta])* $kind:ident $field:ident: $type:ty = $wire:literal, )*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name {
            $( $(#[$field_about])* pub $field: record!(@type $kind $type), )*
        }

        impl $crate::definition::wire::Wire for $name {
            fn read(
                value: &serde_json::Value,
                path: &str,
                reader: &mut $crate::definition::wire::Reader,
            ) -> Option<Self> {
                let fields = reader.object(value, path, stringify!($name), &[$($wire),*])?;
                // Every field is read before any failure is acted on, so that all problems are reported.
                $( let $field = record!(@read $kind reader fields path $name $wire); )*
                Some(Self { $( $field: $field?, )* })
            }

            fn write(&self) -> serde_json::Value {
                let mut object = serde_json::Map::new();
                $( record!(@write $kind object self.$field, $wire); )*
                serde_json::Value::Object(object)
            }
        }
    };
    (@type required $type:ty) => { $type };
    (@type optional $type:ty) => { Option<$type> };
    (@read required $reader:ident $fields:ident $path:ident $name:ident $wire:literal) => {
        $reader.required($fields, $path, stringify!($name), $wire)
    };
    (@read optional $reader:ident $fields:ident $path:ident $name:ident $wire:literal) => {
        $reader.optional($fields, $path, $wire)
    };
    (@write required $object:ident $value:expr, $wire:literal) => {
        $object.insert($wire.into(), $crate::definition::wire::Wire::write(&$value));
    };
    (@write optional $object:ident $value:expr, $wire:literal) => {
        if let Some(value) = &$value {
            $object.insert($wire.into(), $crate::definition::wire::Wire::write(value));
        }
    };
}
pub(crate) use record;

/// An enumeration written as its code.
macro_rules! codes {
    ($(#[$about:meta])* $name:ident { $( $(#[$code_about:meta])* $variant:ident = $code:literal, )* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $( $(#[$code_about])* $variant = $code, )* }

        impl $crate::definition::wire::Wire for $name {
            fn read(
                value: &serde_json::Value,
                path: &str,
                reader: &mut $crate::definition::wire::Reader,
            ) -> Option<Self> {
                match value.as_i64() {
                    $( Some($code) => Some(Self::$variant), )*
                    _ => {
                        let known = [$( concat!($code, " ", stringify!($variant)) ),*].join(", ");
                        reader.unknown_code(path, stringify!($name), value, &known);
                        None
                    }
                }
            }

            fn write(&self) -> serde_json::Value {
                (*self as i32).into()
            }
        }
    };
}
pub(crate) use codes;

impl Reader {
    pub(crate) fn unknown_code(&mut self, path: &str, name: &str, found: &Value, known: &str) {
        let message = format!("{} is no code of {name}", describe(found));
        let problem = Diagnostic::error(path, message).detail(format!("known codes are {known}"));
        let foreign = dialect::check_code(self.dialect, name, found.as_i64());
        self.report(match foreign {
            Some(hint) => problem.hint(hint),
            None => problem,
        });
    }
}
