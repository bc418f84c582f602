//! Functions of dates and timestamps.

use super::{Call, Function, Takes, Typed, boolean, int, long, only_string, string};
use crate::expr::coerce::{is_integral, is_numeric};
use crate::expr::ir::{Expr, Literal};
use crate::schema::DataType;
use crate::schema::IntervalField::{Day, Month, Second, Year};

pub(super) fn functions() -> Vec<Function> {
    let mut all = fields();
    all.extend(arithmetic());
    all.extend(conversions());
    all.extend(makers());
    all
}

fn date() -> Takes {
    Takes::Type(DataType::Date)
}

/// A timestamp, with or without a zone.
fn timestamp() -> Takes {
    Takes::OneOf(vec![
        Takes::Type(DataType::Timestamp),
        Takes::Type(DataType::TimestampNtz),
    ])
}

fn fields() -> Vec<Function> {
    let of_date = |names| Function::new(names, [date()], DataType::Int);
    let of_time = |names| Function::new(names, [timestamp()], DataType::Int);
    vec![
        of_date(&["year"]),
        of_date(&["year of week"]),
        of_date(&["quarter"]),
        of_date(&["month"]),
        of_date(&["weekofyear"]),
        of_date(&["day", "dayofmonth"]),
        of_date(&["dayofweek"]),
        of_date(&["weekday"]),
        of_date(&["dayofyear"]),
        of_time(&["hour"]),
        of_time(&["minute"]),
        of_time(&["second"]),
        Function::new(
            &["second with fraction"],
            [timestamp()],
            DataType::Decimal(8, 6),
        ),
        Function::custom(&["interval field"], 2..=2, |call| {
            call.fail("made by EXTRACT")
        }),
        Function::rewrite(&["date_part", "datepart", "extract"], 2..=2, date_part),
    ]
}

fn arithmetic() -> Vec<Function> {
    vec![
        Function::rewrite(&["date_add", "dateadd"], 2..=2, |c| {
            add_days(c, "date plus days")
        }),
        Function::rewrite(&["date_sub"], 2..=2, |c| add_days(c, "date minus days")),
        Function::new(&["datediff", "date_diff"], [date(), date()], DataType::Int),
        Function::custom(&["timestampadd"], 3..=3, timestamp_add),
        Function::custom(&["timestampdiff"], 3..=3, timestamp_diff),
        Function::new(&["add_months"], [date(), int()], DataType::Date),
        Function::new(
            &["months_between"],
            [timestamp_only(), timestamp_only(), boolean()],
            DataType::Double,
        )
        .optional(1),
        Function::new(&["last_day"], [date()], DataType::Date),
        Function::new(&["next_day"], [date(), string()], DataType::Date),
        Function::new(&["trunc"], [date(), string()], DataType::Date),
        Function::new(
            &["date_trunc"],
            [string(), timestamp_only()],
            DataType::Timestamp,
        ),
    ]
}

fn timestamp_only() -> Takes {
    Takes::Type(DataType::Timestamp)
}

fn conversions() -> Vec<Function> {
    let shift = |names| Function::new(names, [timestamp_only(), string()], DataType::Timestamp);
    let since = |names| Function::new(names, [Takes::Only(DataType::Timestamp)], DataType::Long);
    vec![
        Function::new(
            &["date_format"],
            [timestamp_only(), string()],
            DataType::String,
        ),
        Function::new(&["from_unixtime"], [long(), string()], DataType::String).optional(1),
        Function::custom(
            &["unix_timestamp", "to_unix_timestamp"],
            1..=2,
            unix_timestamp,
        ),
        Function::custom(&["get timestamp"], 2..=2, |call| {
            call.fail("made by to_timestamp")
        }),
        Function::rewrite(&["to_date"], 1..=2, |c| parsed(c, &DataType::Date)),
        Function::rewrite(
            &["to_timestamp", "try_to_timestamp", "to_timestamp_ltz"],
            1..=2,
            |c| parsed(c, &DataType::Timestamp),
        ),
        Function::rewrite(&["to_timestamp_ntz"], 1..=2, |c| {
            parsed(c, &DataType::TimestampNtz)
        }),
        since(&["unix_seconds"]),
        since(&["unix_millis"]),
        since(&["unix_micros"]),
        Function::new(&["unix_date"], [Takes::Only(DataType::Date)], DataType::Int),
        Function::new(&["date_from_unix_date"], [int()], DataType::Date),
        Function::custom(&["timestamp_seconds"], 1..=1, timestamp_seconds),
        Function::custom(&["timestamp_millis"], 1..=1, timestamp_of_integer),
        Function::custom(&["timestamp_micros"], 1..=1, timestamp_of_integer),
        shift(&["from_utc_timestamp"]),
        shift(&["to_utc_timestamp"]),
        Function::custom(&["convert_timezone"], 2..=3, convert_timezone),
    ]
}

fn makers() -> Vec<Function> {
    let second = || Takes::Type(DataType::Decimal(16, 6));
    let fraction = || Takes::Type(DataType::Decimal(18, 6));
    let moment = |names, returns| {
        let takes = [int(), int(), int(), int(), int(), second(), string()];
        Function::new(names, takes, returns).optional(1)
    };
    vec![
        Function::new(&["make_date"], [int(), int(), int()], DataType::Date),
        moment(
            &["make_timestamp", "make_timestamp_ltz"],
            DataType::Timestamp,
        ),
        Function::new(
            &["make_timestamp_ntz"],
            [int(), int(), int(), int(), int(), second()],
            DataType::TimestampNtz,
        ),
        Function::new(
            &["make_interval"],
            [int(), int(), int(), int(), int(), int(), fraction()],
            DataType::CalendarInterval,
        )
        .optional(7),
        Function::new(
            &["make_dt_interval"],
            [int(), int(), int(), fraction()],
            DataType::DayTimeInterval(Day, Second),
        )
        .optional(4),
        Function::new(
            &["make_ym_interval"],
            [int(), int()],
            DataType::YearMonthInterval(Year, Month),
        )
        .optional(2),
    ]
}

/// The function that gives a field of a date or timestamp.
fn field_function(field: &str) -> Option<&'static str> {
    Some(match field.to_ascii_uppercase().as_str() {
        "YEAR" | "Y" | "YEARS" | "YR" | "YRS" => "year",
        "YEAROFWEEK" => "year of week",
        "QUARTER" | "QTR" => "quarter",
        "MONTH" | "MON" | "MONS" | "MONTHS" => "month",
        "WEEK" | "W" | "WEEKS" => "weekofyear",
        "DAY" | "D" | "DAYS" => "day",
        "DAYOFWEEK" | "DOW" => "dayofweek",
        "DAYOFWEEK_ISO" | "DOW_ISO" => "weekday",
        "DOY" => "dayofyear",
        "HOUR" | "H" | "HOURS" | "HR" | "HRS" => "hour",
        "MINUTE" | "M" | "MIN" | "MINS" | "MINUTES" => "minute",
        "SECOND" | "S" | "SEC" | "SECONDS" | "SECS" => "second with fraction",
        _ => return None,
    })
}

fn date_part(mut call: Call<'_, '_>) -> Typed {
    let field = call.constant_text(0)?;
    let source = call.arguments.pop().expect("two arguments");
    let from = source.data_type.clone();
    let Some(function) = field_function(&field) else {
        return call.fail(format!("{field} is not a field of {from}"));
    };
    if matches!(
        from,
        DataType::DayTimeInterval(..)
            | DataType::YearMonthInterval(..)
            | DataType::CalendarInterval
    ) {
        return interval_field(&call, function, source);
    }
    let takes = match function {
        "hour" | "minute" | "second with fraction" => timestamp(),
        _ => date(),
    };
    let Some(to) = takes.implicit(&from) else {
        return call.fail(format!("{from} has no {field}"));
    };
    let returns = match function {
        "second with fraction" => DataType::Decimal(8, 6),
        _ => DataType::Int,
    };
    let value = Expr::call(function, vec![source.cast(&to)], returns);
    if function == "weekday" {
        let one = Expr::literal(Literal::Integer(1), DataType::Int);
        return Ok(Expr::call("+", vec![value, one], DataType::Int));
    }
    Ok(value)
}

fn interval_field(call: &Call<'_, '_>, function: &'static str, source: Expr) -> Typed {
    let months = !matches!(source.data_type, DataType::DayTimeInterval(..));
    let time = !matches!(source.data_type, DataType::YearMonthInterval(..));
    let returns = match function {
        "year" if months => DataType::Int,
        "month" if months => DataType::Byte,
        "day" if time => DataType::Int,
        "hour" | "minute" if time => DataType::Byte,
        "second with fraction" if time => DataType::Decimal(8, 6),
        _ => return call.fail(format!("{} has no such field", source.data_type)),
    };
    let name = function.split(' ').next().unwrap_or(function).to_owned();
    let field = Expr::literal(Literal::String(name), DataType::String);
    Ok(Expr::call("interval field", vec![field, source], returns))
}

/// Only narrow integers count days; a constant string may stand for one.
fn add_days(mut call: Call<'_, '_>, function: &'static str) -> Typed {
    call.take(0, &date())?;
    match call.data_type(1) {
        DataType::Int | DataType::Short | DataType::Byte | DataType::Null => {}
        DataType::String => {
            let text = call.constant_text(1)?;
            if text.trim().parse::<i32>().is_err() {
                return call.fail(format!("'{text}' is not a number of days"));
            }
        }
        other => {
            let message = format!(
                "argument 2 of {} must be an int, this is {other}",
                call.name
            );
            return call.fail(message);
        }
    }
    call.cast(1, &DataType::Int);
    Ok(Expr::call(function, call.arguments, DataType::Date))
}

const UNITS: [&str; 11] = [
    "microsecond",
    "millisecond",
    "second",
    "minute",
    "hour",
    "day",
    "dayofyear",
    "week",
    "month",
    "quarter",
    "year",
];

fn unit(call: &mut Call<'_, '_>) -> Result<(), super::Problem> {
    let unit = call.constant_text(0)?.to_ascii_lowercase();
    if !UNITS.contains(&unit.as_str()) {
        return call.fail(format!("{unit} is not a unit of time"));
    }
    Ok(())
}

fn timestamp_add(mut call: Call<'_, '_>) -> Typed {
    unit(&mut call)?;
    call.take(1, &int())?;
    call.take(2, &timestamp())?;
    let returns = call.data_type(2).clone();
    call.returns(returns)
}

fn timestamp_diff(mut call: Call<'_, '_>) -> Typed {
    unit(&mut call)?;
    call.take(1, &timestamp_only())?;
    call.take(2, &timestamp_only())?;
    call.returns(DataType::Long)
}

/// Strings, dates and timestamps; numbers are refused.
fn moment(call: &mut Call<'_, '_>) -> Result<(), super::Problem> {
    match call.data_type(0) {
        DataType::String | DataType::Date | DataType::Timestamp | DataType::TimestampNtz => Ok(()),
        DataType::Null => {
            call.cast(0, &DataType::String);
            Ok(())
        }
        other => {
            let message = format!(
                "argument 1 of {} must be a string or a time, this is {other}",
                call.name
            );
            call.fail(message)
        }
    }
}

fn unix_timestamp(mut call: Call<'_, '_>) -> Typed {
    moment(&mut call)?;
    match call.len() {
        1 => {
            let pattern = Literal::String("yyyy-MM-dd HH:mm:ss".into());
            call.arguments
                .push(Expr::literal(pattern, DataType::String));
        }
        _ => call.take(1, &only_string())?,
    }
    call.returns(DataType::Long)
}

/// Without a pattern a cast; with one the text is read by it.
fn parsed(mut call: Call<'_, '_>, to: &DataType) -> Typed {
    let span = call.span;
    if call.len() == 1 {
        let input = call.arguments.remove(0);
        return crate::expr::bind::cast(input, to, span);
    }
    moment(&mut call)?;
    call.take(1, &string())?;
    let read = Expr::call("get timestamp", call.arguments, DataType::Timestamp);
    Ok(read.cast(to))
}

fn timestamp_seconds(mut call: Call<'_, '_>) -> Typed {
    match call.data_type(0) {
        numeric if is_numeric(numeric) => {}
        DataType::Null => call.cast(0, &DataType::Long),
        other => {
            let message = format!("timestamp_seconds takes a number, not {other}");
            return call.fail(message);
        }
    }
    call.returns(DataType::Timestamp)
}

fn timestamp_of_integer(mut call: Call<'_, '_>) -> Typed {
    match call.data_type(0) {
        integer if is_integral(integer) => {}
        DataType::Null => {}
        other => {
            let message = format!("{} takes an integer, not {other}", call.name);
            return call.fail(message);
        }
    }
    call.cast(0, &DataType::Long);
    call.returns(DataType::Timestamp)
}

/// Two arguments: from UTC.
fn convert_timezone(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &string())?;
    if call.len() == 2 {
        let utc = Expr::literal(Literal::String("UTC".into()), DataType::String);
        let moment = call.arguments.pop().expect("two arguments");
        call.arguments.insert(0, utc);
        let Some(to) = Takes::Type(DataType::TimestampNtz).implicit(&moment.data_type) else {
            return call.fail(format!("convert_timezone cannot take {}", moment.data_type));
        };
        call.arguments.push(moment.cast(&to));
    }
    if call.nodes.len() == 3 {
        call.take(1, &string())?;
        call.take(2, &Takes::Type(DataType::TimestampNtz))?;
    }
    call.returns(DataType::TimestampNtz)
}
