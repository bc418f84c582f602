//! `from_csv` and `to_csv`: one record, no line breaks outside quotes.

use arrow_array::cast::AsArray;
use unskewed_planner::expr::temporal;
use unskewed_planner::schema::{DataType, Field};

use super::cell::{Cell, assemble};
use super::options::Options;
use super::read::{Reader, decimal, is_valid};
use super::write::Writer;
use crate::error::KernelError;
use crate::eval::build::Built;
use crate::eval::call::Call;
use crate::eval::java::number::{double_to_string, float_to_string};

const QUOTE: char = '"';
const ESCAPE: char = '\\';

/// What separates and surrounds values, and what stands for special ones.
struct Format {
    separator: char,
    null: String,
    quote: char,
    empty: String,
    not_a_number: String,
    infinity: String,
    negative_infinity: String,
}

/// Options that change an answer in a way that is not known here.
const UNKNOWN: [&str; 5] = [
    "quoteall",
    "maxcharspercolumn",
    "maxcolumns",
    "escapequotes",
    "header",
];

impl Format {
    fn new(options: &Options) -> Result<Self, KernelError> {
        let separator = options
            .get("sep")
            .or_else(|| options.get("delimiter"))
            .unwrap_or(",");
        let separator = if separator == "\\t" { "\t" } else { separator };
        let one = |text: &str, name| {
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(only), None) => Ok(only),
                _ => Err(options.refuse(name)),
            }
        };
        if let Some(name) = UNKNOWN.iter().find(|name| options.get(name).is_some()) {
            return Err(options.refuse(name));
        }
        let text = |name, default: &str| options.get(name).unwrap_or(default).to_owned();
        Ok(Self {
            separator: one(separator, "sep")?,
            null: text("nullvalue", ""),
            quote: one(options.get("quote").unwrap_or("\""), "quote")?,
            empty: text("emptyvalue", ""),
            not_a_number: text("nanvalue", "NaN"),
            infinity: text("positiveinf", "Inf"),
            negative_infinity: text("negativeinf", "-Inf"),
        })
    }
}

/// The values of a record, and whether each was quoted.
pub(super) fn tokens(text: &str, separator: char, quote: char) -> Vec<(String, bool)> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        let quoted = rest.strip_prefix(quote).and_then(|inner| {
            let (value, after) = quoted(inner, quote);
            let after = after.trim_start_matches([' ', '\t']);
            (after.is_empty() || after.starts_with(separator)).then_some((value, after))
        });
        let (value, after) = match &quoted {
            Some((value, after)) => (value.clone(), *after),
            // More after a quote: the value is what stands there.
            None => {
                let end = rest.find(separator).unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        out.push((value, quoted.is_some()));
        match after.strip_prefix(separator) {
            Some(next) => rest = next,
            None => return out,
        }
    }
}

/// What stands until the closing quote or the end, and what follows.
fn quoted(text: &str, quote: char) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            ESCAPE
                if chars
                    .peek()
                    .is_some_and(|(_, n)| *n == quote || *n == ESCAPE) =>
            {
                value.extend(chars.next().map(|(_, escaped)| escaped));
            }
            c if c == quote => return (value, &text[at + c.len_utf8()..]),
            c => value.push(c),
        }
    }
    (value, "")
}

pub(super) fn from_csv(call: &Call<'_>) -> Built {
    let options = Options::read(call, 1)?;
    let (format, reader) = (Format::new(&options)?, Reader::new(&options)?);
    let fails_fast = options.fails_fast()?;
    for name in ["ignoreleadingwhitespace", "ignoretrailingwhitespace"] {
        if options.flag(name, false)? {
            return Err(options.refuse(name));
        }
    }
    let DataType::Struct(fields) = call.data_type else {
        return Err(call.unsupported());
    };
    if let Some(field) = fields.iter().find(|f| f.data_type == DataType::Binary) {
        return Err(Call::row_error(
            0,
            format!("no column of CSV is binary: {}", field.name),
        ));
    }
    let corrupt = options
        .get("columnnameofcorruptrecord")
        .unwrap_or("_corrupt_record");
    let corrupt = fields
        .iter()
        .position(|f| f.name == corrupt && f.data_type == DataType::String);
    let text = call.strings(0);
    let mut cells = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let Some(text) = text.get(row) else {
            cells.push(Cell::Null);
            continue;
        };
        let (mut values, whole) = record(text, fields, corrupt, &format, &reader);
        if !whole && fails_fast {
            return Err(Call::row_error(row, format!("malformed record '{text}'")));
        }
        if let Some(at) = corrupt.filter(|_| !whole) {
            values[at] = Cell::Text(text.to_owned());
        }
        cells.push(Cell::Struct(values));
    }
    assemble(cells, call.data_type)
}

fn record(
    text: &str,
    fields: &[Field],
    corrupt: Option<usize>,
    format: &Format,
    reader: &Reader,
) -> (Vec<Cell>, bool) {
    let given = tokens(text, format.separator, format.quote);
    let wanted = fields.len() - usize::from(corrupt.is_some());
    let mut whole = given.len() == wanted;
    let mut given = given.into_iter();
    let mut values = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        if Some(index) == corrupt {
            values.push(Cell::Null);
            continue;
        }
        let cell = match given.next() {
            None => Some(Cell::Null),
            Some((text, false)) if text.is_empty() => Some(Cell::Null),
            Some((text, _)) => {
                let text = if text.is_empty() {
                    &format.empty
                } else {
                    &text
                };
                match *text == format.null {
                    true => Some(Cell::Null),
                    false => scalar(text, &field.data_type, format, reader),
                }
            }
        };
        whole &= cell.is_some();
        values.push(cell.unwrap_or(Cell::Null));
    }
    (values, whole)
}

fn scalar(text: &str, data_type: &DataType, format: &Format, reader: &Reader) -> Option<Cell> {
    let integer = |low: i64, high: i64| {
        let value = text.parse::<i64>().ok()?;
        (low..=high)
            .contains(&value)
            .then_some(Cell::Integer(value))
    };
    match data_type {
        DataType::String => Some(Cell::Text(text.to_owned())),
        DataType::Byte => integer(i8::MIN.into(), i8::MAX.into()),
        DataType::Short => integer(i16::MIN.into(), i16::MAX.into()),
        DataType::Int => integer(i32::MIN.into(), i32::MAX.into()),
        DataType::Long => integer(i64::MIN, i64::MAX),
        DataType::Boolean => match text.to_ascii_lowercase().as_str() {
            "true" => Some(Cell::Boolean(true)),
            "false" => Some(Cell::Boolean(false)),
            _ => None,
        },
        DataType::Float | DataType::Double => Some(Cell::Real(match text {
            nan if nan == format.not_a_number => f64::NAN,
            infinity if infinity == format.infinity => f64::INFINITY,
            infinity if infinity == format.negative_infinity => f64::NEG_INFINITY,
            other => java_double(other)?,
        })),
        DataType::Decimal(precision, scale) => {
            decimal(&text.replace(',', ""), *precision, *scale).map(Cell::Decimal)
        }
        // Unlike in JSON, a number alone is no date.
        DataType::Date if text.len() < 4 && text.parse::<i32>().is_ok() => None,
        DataType::Date => reader.date(text).map(Cell::Integer),
        DataType::Timestamp => reader.timestamp(text).map(Cell::Integer),
        DataType::TimestampNtz => temporal::parse_timestamp_ntz(text, false).map(Cell::Integer),
        _ => None,
    }
}

/// As Java reads doubles: without the words that Spark's casts take besides.
fn java_double(text: &str) -> Option<f64> {
    let word = text.trim().trim_start_matches(['+', '-']);
    let letters = word.starts_with(|c: char| c.is_ascii_alphabetic());
    let known = !letters || matches!(word, "NaN" | "Infinity");
    known.then(|| crate::eval::cast::double_of_text(text))?
}

pub(super) fn to_csv(call: &Call<'_>) -> Built {
    let options = Options::read(call, 1)?;
    let (format, writer) = (Format::new(&options)?, Writer::new(&options)?);
    for name in ["ignoreleadingwhitespace", "ignoretrailingwhitespace"] {
        if !options.flag(name, true)? {
            return Err(options.refuse(name));
        }
    }
    let DataType::Struct(fields) = call.types[0] else {
        return Err(call.unsupported());
    };
    let column = &call.columns[0];
    let structs = column.array.as_struct();
    call.try_build_strings(|row| {
        let index = column.index(row);
        if !is_valid(&column.array, index) {
            return Ok(None);
        }
        let alone = structs.columns().len() == 1;
        if alone && format.null.is_empty() && !is_valid(&structs.columns()[0], index) {
            return Err("the reference writes no record of a single null".into());
        }
        let mut out = String::new();
        for (position, (values, field)) in structs.columns().iter().zip(fields).enumerate() {
            if position > 0 {
                out.push(format.separator);
            }
            if !is_valid(values, index) {
                out.push_str(&format.null);
                continue;
            }
            let text = match field.data_type {
                DataType::Float => {
                    let values = values.as_primitive::<arrow_array::types::Float32Type>();
                    float_to_string(values.value(index))
                }
                DataType::Double => {
                    let values = values.as_primitive::<arrow_array::types::Float64Type>();
                    double_to_string(values.value(index))
                }
                DataType::Binary => return Err("to_csv cannot take binary".into()),
                _ => writer.plain(values, &field.data_type, index)?,
            };
            match text.trim().is_empty() && !format.empty.is_empty() {
                true => out.push_str(&format.empty),
                false => write_value(&mut out, &text, format.separator),
            }
        }
        Ok(Some(out))
    })
}

/// Blanks around a value are dropped; an empty value is a pair of quotes.
fn write_value(out: &mut String, text: &str, separator: char) {
    let text = text.trim_matches(|c: char| c <= ' ');
    let needs_quotes = text.is_empty() || text.contains([separator, QUOTE, '\n', '\r']);
    if !needs_quotes {
        out.push_str(text);
        return;
    }
    out.push(QUOTE);
    for c in text.chars() {
        if c == QUOTE || c == ESCAPE {
            out.push(ESCAPE);
        }
        out.push(c);
    }
    out.push(QUOTE);
}
