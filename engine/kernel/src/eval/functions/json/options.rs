//! The options of JSON and CSV functions: a constant map, looked up without regard to case.

use std::collections::BTreeMap;

use arrow_array::Array;
use arrow_array::cast::AsArray;

use crate::error::KernelError;
use crate::eval::call::Call;
use crate::eval::java::date_pattern::DatePattern;

/// Options by lower-case name.
pub(super) struct Options {
    values: BTreeMap<String, String>,
    function: &'static str,
}

/// Options that change an answer in a way that is not known here.
const UNSUPPORTED: [&str; 12] = [
    "timezone",
    "locale",
    "encoding",
    "charset",
    "linesep",
    "multiline",
    "comment",
    "escape",
    "chartoescapequoteescaping",
    "enabledatetimeparsingfallback",
    "timestampntzformat",
    "unescapedquotehandling",
];

impl Options {
    /// Reads the map at this position, if there is one.
    pub(super) fn read(call: &Call<'_>, index: usize) -> Result<Self, KernelError> {
        let mut values = BTreeMap::new();
        if index < call.len()
            && let Some(range) = call.maps(index).get(0)
        {
            let maps = call.maps(index);
            let (names, texts) = (
                maps.keys().as_string::<i32>(),
                maps.values().as_string::<i32>(),
            );
            for entry in range.filter(|entry| texts.is_valid(*entry)) {
                let name = names.value(entry).to_ascii_lowercase();
                values.insert(name, texts.value(entry).to_owned());
            }
        }
        let options = Self {
            values,
            function: call.function,
        };
        match UNSUPPORTED
            .iter()
            .find(|name| options.values.contains_key(**name))
        {
            Some(name) => Err(options.refuse(name)),
            None => Ok(options),
        }
    }

    /// The error that names an option.
    pub(super) fn refuse(&self, name: &str) -> KernelError {
        KernelError::Row {
            row: 0,
            message: format!("{} does not support the option {name}", self.function),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, KernelError> {
        match self.get(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(self.refuse(name)),
        }
    }

    /// A date pattern, by the rules of JSON and CSV.
    pub(super) fn pattern(&self, name: &str, default: &str) -> Result<DatePattern, KernelError> {
        let text = self.get(name).unwrap_or(default);
        DatePattern::parse_fast(text).map_err(|error| KernelError::Row {
            row: 0,
            message: error.to_string(),
        })
    }

    /// Whether a malformed record is an error.
    pub(super) fn fails_fast(&self) -> Result<bool, KernelError> {
        match self.get("mode").map(str::to_ascii_uppercase).as_deref() {
            None | Some("PERMISSIVE") => Ok(false),
            Some("FAILFAST") => Ok(true),
            Some(_) => Err(self.refuse("mode")),
        }
    }
}

/// How dates and timestamps are written where no option says so.
pub(super) const DATE: &str = "yyyy-MM-dd";
pub(super) const TIMESTAMP: &str = "yyyy-MM-dd'T'HH:mm:ss.SSSXXX";
