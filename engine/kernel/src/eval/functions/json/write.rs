//! `to_json`.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};
use base64::Engine as _;
use unskewed_planner::expr::temporal::MICROS_PER_DAY;
use unskewed_planner::schema::{DataType, Field};

use super::options::{DATE, Options, TIMESTAMP};
use super::read::is_valid;
use crate::error::KernelError;
use crate::eval::build::Built;
use crate::eval::call::Call;
use crate::eval::cast::cast;
use crate::eval::java::date_pattern::DatePattern;
use crate::eval::java::decimal::scientific_string;
use crate::eval::java::json::{write_double, write_text};
use crate::eval::java::number::{double_to_string, float_to_string};

/// How values are written.
pub(super) struct Writer {
    date: DatePattern,
    timestamp: DatePattern,
    local: DatePattern,
    skip_nulls: bool,
    pretty: bool,
}

impl Writer {
    pub(super) fn new(options: &Options) -> Result<Self, KernelError> {
        Ok(Self {
            date: options.pattern("dateformat", DATE)?,
            timestamp: options.pattern("timestampformat", TIMESTAMP)?,
            local: options.pattern("", "yyyy-MM-dd'T'HH:mm:ss.SSS")?,
            skip_nulls: options.flag("ignorenullfields", true)?,
            pretty: options.flag("pretty", false)?,
        })
    }
}

pub(super) fn to_json(call: &Call<'_>) -> Built {
    let writer = Writer::new(&Options::read(call, 1)?)?;
    let column = &call.columns[0];
    call.try_build_strings(|row| {
        let index = column.index(row);
        if !is_valid(&column.array, index) {
            return Ok(None);
        }
        let mut out = String::new();
        writer.value(&mut out, &column.array, call.types[0], index, 0)?;
        Ok(Some(out))
    })
}

impl Writer {
    fn line(&self, out: &mut String, depth: usize) {
        if self.pretty {
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        }
    }

    fn value(
        &self,
        out: &mut String,
        array: &ArrayRef,
        data_type: &DataType,
        row: usize,
        depth: usize,
    ) -> Result<(), String> {
        if !is_valid(array, row) {
            out.push_str("null");
            return Ok(());
        }
        match data_type {
            DataType::Struct(fields) => return self.object(out, array, fields, row, depth),
            DataType::Map(key, value) => return self.map(out, array, (key, value), row, depth),
            DataType::Array(element) => {
                let items = array.as_list::<i32>().value(row);
                let blank = if self.pretty { " " } else { "" };
                out.push('[');
                for index in 0..items.len() {
                    out.push_str(if index > 0 { "," } else { "" });
                    out.push_str(blank);
                    self.value(out, &items, element, index, depth)?;
                }
                out.push_str(blank);
                out.push(']');
            }
            DataType::Boolean
            | DataType::Byte
            | DataType::Short
            | DataType::Int
            | DataType::Long => {
                out.push_str(&self.plain(array, data_type, row)?);
            }
            DataType::Decimal(..) => out.push_str(&self.plain(array, data_type, row)?),
            DataType::Float => {
                let value = array.as_primitive::<Float32Type>().value(row);
                match value.is_finite() {
                    true => out.push_str(&float_to_string(value)),
                    false => write_text(out, &float_to_string(value)),
                }
            }
            DataType::Double => write_double(out, array.as_primitive::<Float64Type>().value(row)),
            _ => write_text(out, &self.plain(array, data_type, row)?),
        }
        Ok(())
    }

    fn object(
        &self,
        out: &mut String,
        array: &ArrayRef,
        fields: &[Field],
        row: usize,
        depth: usize,
    ) -> Result<(), String> {
        let columns = array.as_struct().columns().iter().zip(fields);
        let given = columns.filter(|(column, _)| !self.skip_nulls || is_valid(column, row));
        let mut first = true;
        out.push('{');
        for (column, field) in given {
            self.name(out, &field.name, depth, &mut first);
            self.value(out, column, &field.data_type, row, depth + 1)?;
        }
        self.close(out, first, depth);
        Ok(())
    }

    fn map(
        &self,
        out: &mut String,
        array: &ArrayRef,
        (key, value): (&DataType, &DataType),
        row: usize,
        depth: usize,
    ) -> Result<(), String> {
        let entries = array.as_map().value(row);
        let (keys, values) = (entries.column(0), entries.column(1));
        let mut first = true;
        out.push('{');
        for index in 0..entries.len() {
            let name = key_text(keys, key, index)?;
            self.name(out, &name, depth, &mut first);
            self.value(out, values, value, index, depth + 1)?;
        }
        self.close(out, first, depth);
        Ok(())
    }

    fn name(&self, out: &mut String, name: &str, depth: usize, first: &mut bool) {
        if !std::mem::take(first) {
            out.push(',');
        }
        self.line(out, depth + 1);
        write_text(out, name);
        out.push_str(if self.pretty { " : " } else { ":" });
    }

    fn close(&self, out: &mut String, empty: bool, depth: usize) {
        match (empty, self.pretty) {
            (true, true) => out.push(' '),
            (true, false) => {}
            (false, _) => self.line(out, depth),
        }
        out.push('}');
    }

    /// A scalar without quotes.
    pub(super) fn plain(
        &self,
        array: &ArrayRef,
        data_type: &DataType,
        row: usize,
    ) -> Result<String, String> {
        let micros = || array.as_primitive::<TimestampMicrosecondType>().value(row);
        Ok(match data_type {
            DataType::Date => {
                let days = array.as_primitive::<Date32Type>().value(row);
                self.date.format(i64::from(days) * MICROS_PER_DAY)
            }
            DataType::Timestamp => self.timestamp.format(micros()),
            DataType::TimestampNtz => self.local.format(micros()),
            DataType::Binary => {
                let bytes = array.as_binary::<i32>().value(row);
                base64::engine::general_purpose::STANDARD.encode(bytes)
            }
            DataType::DayTimeInterval(..)
            | DataType::YearMonthInterval(..)
            | DataType::CalendarInterval => {
                let one = array.slice(row, 1);
                let text = cast(&one, data_type, &DataType::String);
                let text = text.map_err(|error| error.to_string())?;
                text.as_string::<i32>().value(0).to_owned()
            }
            _ => internal_text(array, data_type, row)?,
        })
    }
}

/// A value as Spark's own representation of it prints itself.
fn internal_text(array: &ArrayRef, data_type: &DataType, row: usize) -> Result<String, String> {
    Ok(match data_type {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Byte => array.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Short => array.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Long => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Date => array.as_primitive::<Date32Type>().value(row).to_string(),
        DataType::Timestamp | DataType::TimestampNtz => array
            .as_primitive::<TimestampMicrosecondType>()
            .value(row)
            .to_string(),
        DataType::Float => float_to_string(array.as_primitive::<Float32Type>().value(row)),
        DataType::Double => double_to_string(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal(_, scale) => {
            let value = array.as_primitive::<Decimal128Type>().value(row);
            scientific_string(value, (*scale).into())
        }
        DataType::String => array.as_string::<i32>().value(row).to_owned(),
        other => return Err(format!("{other} cannot be written as text")),
    })
}

/// A map's key as a name: a struct as its values in brackets.
fn key_text(keys: &ArrayRef, data_type: &DataType, row: usize) -> Result<String, String> {
    let DataType::Struct(fields) = data_type else {
        return internal_text(keys, data_type, row);
    };
    let columns = keys.as_struct().columns().iter().zip(fields);
    let texts: Result<Vec<_>, String> = columns
        .map(|(column, field)| match is_valid(column, row) {
            true => key_text(column, &field.data_type, row),
            false => Ok("null".to_owned()),
        })
        .collect();
    Ok(format!("[{}]", texts?.join(",")))
}
