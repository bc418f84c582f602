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

/// What separates values and what stands for a null.
struct Format {
    separator: char,
    null: String,
}

impl Format {
    fn new(options: &Options) -> Result<Self, KernelError> {
        let separator = options
            .get("sep")
            .or_else(|| options.get("delimiter"))
            .unwrap_or(",");
        let separator = if separator == "\\t" { "\t" } else { separator };
        let mut chars = separator.chars();
        let (Some(separator), None) = (chars.next(), chars.next()) else {
            return Err(options.refuse("sep"));
        };
        for name in [
            "quote",
            "quoteall",
            "emptyvalue",
            "nanvalue",
            "positiveinf",
            "negativeinf",
        ] {
            if options.get(name).is_some() {
                return Err(options.refuse(name));
            }
        }
        Ok(Self {
            separator,
            null: options.get("nullvalue").unwrap_or("").to_owned(),
        })
    }
}

/// The values of a record; a quoted one is never a null.
pub(super) fn tokens(text: &str, separator: char) -> Vec<(String, bool)> {
    let mut out = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        let mut value = String::new();
        let quoted = rest.next_if_eq(&QUOTE).is_some();
        if quoted {
            while let Some(c) = rest.next() {
                match c {
                    ESCAPE if matches!(rest.peek(), Some(&(QUOTE | ESCAPE))) => {
                        value.extend(rest.next());
                    }
                    QUOTE if rest.peek() == Some(&QUOTE) => value.extend(rest.next()),
                    QUOTE => break,
                    c => value.push(c),
                }
            }
        }
        while let Some(c) = rest.next_if(|c| *c != separator) {
            value.push(c);
        }
        out.push((value, quoted));
        if rest.next().is_none() {
            return out;
        }
    }
}

pub(super) fn from_csv(call: &Call<'_>) -> Built {
    let options = Options::read(call, 1)?;
    let (format, reader) = (Format::new(&options)?, Reader::new(&options)?);
    let fails_fast = options.fails_fast()?;
    for name in [
        "ignoreleadingwhitespace",
        "ignoretrailingwhitespace",
        "header",
    ] {
        if options.flag(name, false)? {
            return Err(options.refuse(name));
        }
    }
    let DataType::Struct(fields) = call.data_type else {
        return Err(call.unsupported());
    };
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
    let given = tokens(text, format.separator);
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
            Some((text, quoted)) if text == format.null && !(quoted && text.is_empty()) => {
                Some(Cell::Null)
            }
            Some((text, _)) => scalar(&text, &field.data_type, reader),
        };
        whole &= cell.is_some();
        values.push(cell.unwrap_or(Cell::Null));
    }
    (values, whole)
}

fn scalar(text: &str, data_type: &DataType, reader: &Reader) -> Option<Cell> {
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
            "NaN" => f64::NAN,
            "Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            other => crate::eval::cast::double_of_text(other)?,
        })),
        DataType::Decimal(precision, scale) => {
            decimal(&text.replace(',', ""), *precision, *scale).map(Cell::Decimal)
        }
        DataType::Date => reader.date(text).map(Cell::Integer),
        DataType::Timestamp => reader.timestamp(text).map(Cell::Integer),
        DataType::TimestampNtz => temporal::parse_timestamp_ntz(text, false).map(Cell::Integer),
        DataType::Binary => Some(Cell::Bytes(text.as_bytes().to_vec())),
        _ => None,
    }
}

pub(super) fn to_csv(call: &Call<'_>) -> Built {
    let options = Options::read(call, 1)?;
    let (format, writer) = (Format::new(&options)?, Writer::new(&options)?);
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
            write_value(&mut out, &text, format.separator);
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
