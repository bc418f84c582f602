//! Formats, encodings and URLs.

use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, DurationMicrosecondType, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, IntervalYearMonthType,
    TimestampMicrosecondType,
};
use unskewed_planner::expr::number_format::NumberFormat;
use unskewed_planner::schema::DataType;

use super::{Entry, eager};
use crate::eval::build::Built;
use crate::eval::call::Call;
use crate::eval::java::decimal::scientific_string;
use crate::eval::java::decimal_format::DecimalFormat;
use crate::eval::java::encode::{self, Charset};
use crate::eval::java::formatter::{self, FormatArgument};
use crate::eval::java::number::Digits;
use crate::eval::java::number::{double_to_string, float_to_string};
use crate::eval::java::url::{self, Url, UrlPart};

pub(super) fn functions() -> Vec<Entry> {
    vec![
        eager("format_string", format_string),
        eager("format_number", format_number),
        eager("to_char", to_char),
        eager("to_number", |call| to_number(call, true)),
        eager("try_to_number", |call| to_number(call, false)),
        eager("to_binary", |call| to_binary(call, true)),
        eager("try_to_binary", |call| to_binary(call, false)),
        eager("base64", |call| {
            let bytes = call.binaries(0);
            call.build_strings(|row| bytes.get(row).map(encode::base64_mime))
        }),
        eager("unbase64", |call| {
            let text = call.strings(0);
            let read = |row: usize| match text.get(row) {
                Some(text) => encode::unbase64(text)
                    .map(Some)
                    .ok_or_else(|| format!("'{text}' is not base64")),
                None => Ok(None),
            };
            try_binaries(call, read)
        }),
        eager("hex", hex),
        eager("unhex", |call| {
            let text = call.strings(0);
            call.build_binaries(|row| encode::unhex(text.get(row)?))
        }),
        eager("encode", |call| {
            let (text, charset) = (call.strings(0), call.strings(1));
            try_binaries(call, |row| match (text.get(row), charset.get(row)) {
                (Some(text), Some(name)) => Ok(Some(charset_of(name)?.encode(text))),
                _ => Ok(None),
            })
        }),
        eager("decode", |call| {
            let (bytes, charset) = (call.binaries(0), call.strings(1));
            call.try_build_strings(|row| match (bytes.get(row), charset.get(row)) {
                (Some(bytes), Some(name)) => Ok(Some(charset_of(name)?.decode(bytes))),
                _ => Ok(None),
            })
        }),
        eager("parse_url", parse_url),
        eager("url_encode", |call| super::map_text(call, url::encode)),
        eager("url_decode", |call| {
            let text = call.strings(0);
            call.try_build_strings(|row| match text.get(row) {
                Some(text) => match url::decode(text) {
                    Some(decoded) => Ok(Some(decoded)),
                    None => Err(format!("cannot decode the URL '{text}'")),
                },
                None => Ok(None),
            })
        }),
    ]
}

fn charset_of(name: &str) -> Result<Charset, String> {
    Charset::of_name(name).ok_or_else(|| format!("unknown character set '{name}'"))
}

fn try_binaries(
    call: &Call<'_>,
    mut value: impl FnMut(usize) -> Result<Option<Vec<u8>>, String>,
) -> Built {
    let rows = 0..call.rows;
    let values: Result<Vec<_>, _> = rows
        .map(|row| value(row).map_err(|message| Call::row_error(row, message)))
        .collect();
    let mut values = values?.into_iter();
    call.build_binaries(|_| values.next().flatten())
}

fn to_binary(call: &Call<'_>, strict: bool) -> Built {
    let (text, format) = (call.strings(0), call.strings(1));
    try_binaries(call, |row| {
        let (Some(text), Some(format)) = (text.get(row), format.get(row)) else {
            return Ok(None);
        };
        let bytes = match format {
            "hex" => encode::unhex(text),
            "base64" => encode::unbase64_strict(text),
            _ => Some(text.as_bytes().to_vec()),
        };
        match bytes {
            None if strict => Err(format!("'{text}' cannot be read as {format}")),
            bytes => Ok(bytes),
        }
    })
}

fn hex(call: &Call<'_>) -> Built {
    match call.types[0] {
        DataType::Long => {
            let value = call.primitives::<Int64Type>(0);
            call.build_strings(|row| value.get(row).map(|v| format!("{v:X}")))
        }
        DataType::Binary => {
            let bytes = call.binaries(0);
            call.build_strings(|row| bytes.get(row).map(encode::hex_bytes))
        }
        _ => {
            let text = call.strings(0);
            call.build_strings(|row| text.get(row).map(|t| encode::hex_bytes(t.as_bytes())))
        }
    }
}

fn parse_url(call: &Call<'_>) -> Built {
    let (text, part) = (call.strings(0), call.strings(1));
    let key = (call.len() > 2).then(|| call.strings(2));
    call.build_strings(|row| {
        let url = Url::parse(text.get(row)?)?;
        let part = UrlPart::of_name(part.get(row)?)?;
        match &key {
            None => url.part(part),
            Some(key) if part == UrlPart::Query => url.query_value(key.get(row)?),
            Some(_) => None,
        }
    })
}

/// The argument as Spark hands its internal value to Java's formatter.
fn argument(call: &Call<'_>, index: usize, row: usize) -> Result<FormatArgument, String> {
    fn number<T: ArrowPrimitiveType>(call: &Call<'_>, index: usize, row: usize) -> T::Native {
        let value = call.primitives::<T>(index).get(row);
        value.expect("nulls were looked for before")
    }
    if call.is_null(index, row) {
        return Ok(FormatArgument::Null);
    }
    let integer = |value: i64, bits: u32| FormatArgument::Integer(value, bits);
    Ok(match call.types[index] {
        DataType::Boolean => {
            FormatArgument::Boolean(call.booleans(index).get(row).unwrap_or_default())
        }
        DataType::Byte => integer(number::<Int8Type>(call, index, row).into(), 8),
        DataType::Short => integer(number::<Int16Type>(call, index, row).into(), 16),
        DataType::Int => integer(number::<Int32Type>(call, index, row).into(), 32),
        DataType::Date => integer(number::<Date32Type>(call, index, row).into(), 32),
        DataType::YearMonthInterval(..) => {
            integer(number::<IntervalYearMonthType>(call, index, row).into(), 32)
        }
        DataType::Long => integer(number::<Int64Type>(call, index, row), 64),
        DataType::Timestamp | DataType::TimestampNtz => {
            integer(number::<TimestampMicrosecondType>(call, index, row), 64)
        }
        DataType::DayTimeInterval(..) => {
            integer(number::<DurationMicrosecondType>(call, index, row), 64)
        }
        DataType::Float => {
            let value = number::<Float32Type>(call, index, row);
            FormatArgument::Floating(value.into(), float_to_string(value))
        }
        DataType::Double => {
            let value = number::<Float64Type>(call, index, row);
            FormatArgument::Floating(value, double_to_string(value))
        }
        DataType::Decimal(_, scale) => {
            let value = number::<Decimal128Type>(call, index, row);
            FormatArgument::Other(scientific_string(value, (*scale).into()), "Decimal")
        }
        DataType::String => {
            let text = call.strings(index).get(row).unwrap_or_default();
            FormatArgument::Other(text.to_owned(), "UTF8String")
        }
        other => return Err(format!("format_string cannot take {other}")),
    })
}

fn format_string(call: &Call<'_>) -> Built {
    let format = call.strings(0);
    call.try_build_strings(|row| {
        let Some(format) = format.get(row) else {
            return Ok(None);
        };
        let arguments: Result<Vec<_>, String> = (1..call.len())
            .map(|index| argument(call, index, row))
            .collect();
        let text = formatter::format(format, &arguments?);
        text.map(Some).map_err(|error| error.to_string())
    })
}

/// By a number of decimals or by a pattern.
fn format_number(call: &Call<'_>) -> Built {
    let decimals = (*call.types[1] == DataType::Int).then(|| call.primitives::<Int32Type>(1));
    call.try_build_strings(|row| {
        if call.is_null(0, row) || call.is_null(1, row) {
            return Ok(None);
        }
        let format = match &decimals {
            Some(decimals) => {
                let count = decimals.get(row).and_then(|d| usize::try_from(d).ok());
                let Some(count) = count else {
                    return Ok(None);
                };
                if count > 1 << 24 {
                    return Err(format!("format_number cannot write {count} decimals"));
                }
                DecimalFormat::with_decimals(count)
            }
            None => match call.strings(1).get(row).unwrap_or_default() {
                "" => DecimalFormat::with_decimals(0),
                pattern => DecimalFormat::parse(pattern).map_err(|error| error.to_string())?,
            },
        };
        Ok(Some(match argument(call, 0, row)? {
            FormatArgument::Integer(value, _) => format.format_decimal(value.into(), 0),
            FormatArgument::Floating(value, _) => format.format_double(value),
            _ => match call.types[0] {
                DataType::Decimal(_, scale) => {
                    let value = call
                        .primitives::<Decimal128Type>(0)
                        .get(row)
                        .unwrap_or_default();
                    format.format_decimal(value, (*scale).into())
                }
                other => return Err(format!("format_number cannot take {other}")),
            },
        }))
    })
}

/// The format is constant; the planner has read it once already.
fn constant_format(call: &Call<'_>) -> Result<Option<NumberFormat>, crate::error::KernelError> {
    let text = call.strings(1).get(0);
    let format = text.map(NumberFormat::parse).transpose();
    format.map_err(|message| Call::row_error(0, message))
}

fn to_char(call: &Call<'_>) -> Built {
    let format = constant_format(call)?;
    let DataType::Decimal(_, scale) = call.types[0] else {
        return Err(call.unsupported());
    };
    let value = call.primitives::<Decimal128Type>(0);
    call.build_strings(|row| {
        let value = value.get(row)?;
        let digits = Digits::of_decimal(value, (*scale).into());
        let (whole, fraction) = digits.split(usize::try_from(*scale).unwrap_or(0));
        Some(format.as_ref()?.write(value < 0, &whole, &fraction))
    })
}

fn to_number(call: &Call<'_>, strict: bool) -> Built {
    let format = constant_format(call)?;
    let text = call.strings(0);
    call.try_build::<Decimal128Type>(|row| {
        let (Some(text), Some(format)) = (text.get(row), &format) else {
            return Ok(None);
        };
        match format.read(text) {
            // On no text at all the reference fails even if asked to try.
            None if strict || text.trim().is_empty() => {
                Err(format!("'{text}' does not match the number format"))
            }
            value => Ok(value),
        }
    })
}
