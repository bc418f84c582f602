//! `schema_of_json` and `schema_of_csv`: the type that a record seems to be of.

use unskewed_planner::expr::temporal;

use super::csv::tokens;
use super::options::Options;
use crate::eval::build::Built;
use crate::eval::call::Call;
use crate::eval::java::json::{JsonValue, parse};

/// A guessed type.
#[derive(Clone, Debug, PartialEq)]
enum Guess {
    Null,
    Boolean,
    Long,
    Decimal(usize),
    Double,
    Text,
    Array(Box<Guess>),
    /// By name, each as often as the record has it.
    Struct(Vec<(String, Guess)>),
}

pub(super) fn schema_of_json(call: &Call<'_>) -> Built {
    let options = Options::read(call, 1)?;
    for name in [
        "primitivesasstring",
        "prefersdecimal",
        "infertimestamp",
        "dropfieldifallnull",
    ] {
        if options.flag(name, false)? {
            return Err(options.refuse(name));
        }
    }
    let syntax = super::read::syntax(&options)?;
    let text = call.strings(0);
    call.try_build_strings(|row| match text.get(row) {
        None => Err("schema_of_json needs a text".into()),
        Some(text) => match parse(text, syntax) {
            Ok(Some(value)) => Ok(Some(guess(&value).to_sql())),
            Ok(None) => Ok(Some("STRING".to_owned())),
            Err(()) => Err(format!("'{text}' is not JSON")),
        },
    })
}

fn guess(value: &JsonValue) -> Guess {
    match value {
        JsonValue::Null => Guess::Null,
        JsonValue::Boolean(_) => Guess::Boolean,
        JsonValue::Integer(text) if text.parse::<i64>().is_ok() => Guess::Long,
        JsonValue::Integer(text) => match text.trim_start_matches('-').len() {
            digits @ ..=38 => Guess::Decimal(digits),
            _ => Guess::Double,
        },
        JsonValue::Real(_) => Guess::Double,
        JsonValue::Text(text) if text.is_empty() => Guess::Null,
        JsonValue::Text(_) => Guess::Text,
        JsonValue::Array(items) => {
            let element = items.iter().map(guess).fold(Guess::Null, Guess::meet);
            Guess::Array(Box::new(element))
        }
        JsonValue::Object(fields) => {
            let fields = fields.iter();
            let mut all: Vec<_> = fields.map(|(n, v)| (n.clone(), guess(v))).collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            Guess::Struct(all)
        }
    }
}

impl Guess {
    /// The narrowest type that both fit.
    fn meet(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Null, a) | (a, Self::Null) => a,
            (Self::Long, Self::Decimal(digits)) | (Self::Decimal(digits), Self::Long) => {
                Self::Decimal(digits.max(20))
            }
            (Self::Decimal(a), Self::Decimal(b)) => Self::Decimal(a.max(b)),
            (Self::Double, Self::Long | Self::Decimal(_))
            | (Self::Long | Self::Decimal(_), Self::Double) => Self::Double,
            (Self::Array(a), Self::Array(b)) => Self::Array(Box::new(a.meet(*b))),
            (Self::Struct(mut a), Self::Struct(b)) => {
                for (name, guess) in b {
                    match a.iter_mut().find(|known| known.0 == name) {
                        Some(known) => {
                            let before = std::mem::replace(&mut known.1, Self::Null);
                            known.1 = before.meet(guess);
                        }
                        None => a.push((name, guess)),
                    }
                }
                a.sort_by(|a, b| a.0.cmp(&b.0));
                Self::Struct(a)
            }
            _ => Self::Text,
        }
    }

    /// False for a struct without fields and what holds nothing else: no column can have it.
    fn has_values(&self) -> bool {
        match self {
            Self::Struct(fields) => fields.iter().any(|(_, guess)| guess.has_values()),
            Self::Array(element) => element.has_values(),
            _ => true,
        }
    }

    fn to_sql(&self) -> String {
        match self {
            Self::Null | Self::Text => "STRING".to_owned(),
            Self::Boolean => "BOOLEAN".to_owned(),
            Self::Long => "BIGINT".to_owned(),
            Self::Decimal(digits) => format!("DECIMAL({digits},0)"),
            Self::Double => "DOUBLE".to_owned(),
            Self::Array(element) => format!("ARRAY<{}>", element.to_sql()),
            Self::Struct(fields) => {
                let fields = fields.iter().filter(|(_, guess)| guess.has_values());
                let texts: Vec<_> = fields
                    .map(|(n, t)| format!("{}: {}", name(n), t.to_sql()))
                    .collect();
                format!("STRUCT<{}>", texts.join(", "))
            }
        }
    }
}

/// A name, in back quotes if it has other characters than letters, digits and underscores, or
/// digits alone.
fn name(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().any(|c| !c.is_ascii_digit());
    if plain {
        name.to_owned()
    } else {
        format!("`{}`", name.replace('`', "``"))
    }
}

pub(super) fn schema_of_csv(call: &Call<'_>) -> Built {
    let options = Options::read(call, 1)?;
    let separator = options
        .get("sep")
        .or_else(|| options.get("delimiter"))
        .unwrap_or(",");
    let mut chars = separator.chars();
    let (Some(separator), None) = (chars.next(), chars.next()) else {
        return Err(options.refuse("sep"));
    };
    for name in [
        "header",
        "prefersdate",
        "dateformat",
        "timestampformat",
        "nullvalue",
    ] {
        if options.get(name).is_some() {
            return Err(options.refuse(name));
        }
    }
    let text = call.strings(0);
    call.try_build_strings(|row| {
        let Some(text) = text.get(row) else {
            return Err("schema_of_csv needs a text".into());
        };
        if text.is_empty() {
            return Err("schema_of_csv needs a record".into());
        }
        let columns = tokens(text, separator, '"').into_iter().enumerate();
        let columns: Result<Vec<_>, String> = columns
            .map(|(index, (value, _))| Ok(format!("_c{index}: {}", csv_type(&value)?)))
            .collect();
        Ok(Some(format!("STRUCT<{}>", columns?.join(", "))))
    })
}

fn csv_type(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok("STRING".to_owned());
    }
    if text.parse::<i32>().is_ok() {
        return Ok("INT".to_owned());
    }
    if text.parse::<i64>().is_ok() {
        return Ok("BIGINT".to_owned());
    }
    let digits = text.trim_start_matches(['-', '+']);
    let integer = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if integer && digits.trim_start_matches('0').len() <= 38 {
        return Ok(format!(
            "DECIMAL({},0)",
            digits.trim_start_matches('0').len().max(1)
        ));
    }
    if crate::eval::cast::double_of_text(text).is_some() || matches!(text, "NaN" | "Inf" | "-Inf") {
        return Ok("DOUBLE".to_owned());
    }
    if temporal::parse_timestamp(text).is_some() || temporal::parse_date(text).is_some() {
        return Err(format!(
            "schema_of_csv does not support dates and timestamps: '{text}'"
        ));
    }
    Ok(match text.to_ascii_lowercase().as_str() {
        "true" | "false" => "BOOLEAN",
        _ => "STRING",
    }
    .to_owned())
}
