//! Times to and from text, numbers and other zones.

use arrow_array::types::{Date32Type, Int32Type, Int64Type};
use unskewed_planner::expr::temporal::Zone;
use unskewed_planner::schema::DataType;

use super::{Entry, Micros, eager};
use crate::eval::build::Built;
use crate::eval::call::Call;
use crate::eval::java::calendar::{MICROS_PER_DAY, MICROS_PER_SECOND};
use crate::eval::java::date_pattern::DatePattern;

pub(super) fn functions() -> Vec<Entry> {
    vec![
        eager("date_format", |call| {
            let (micros, pattern) = (call.primitives::<Micros>(0), call.strings(1));
            let mut compiled = Pattern::new();
            call.try_build_strings(|row| match (micros.get(row), pattern.get(row)) {
                (Some(micros), Some(pattern)) => write(compiled.get(pattern)?, micros),
                _ => Ok(None),
            })
        }),
        eager("from_unixtime", from_unixtime),
        eager("unix_timestamp", |call| {
            let mut compiled = Pattern::new();
            call.try_build::<Int64Type>(|row| {
                let micros = read(call, row, &mut compiled)?;
                Ok(micros.map(|micros| micros / MICROS_PER_SECOND))
            })
        }),
        eager("get timestamp", |call| {
            let mut compiled = Pattern::new();
            call.try_build::<Micros>(|row| read(call, row, &mut compiled))
        }),
        eager("unix_seconds", |call| since_epoch(call, MICROS_PER_SECOND)),
        eager("unix_millis", |call| since_epoch(call, 1000)),
        eager("unix_micros", |call| since_epoch(call, 1)),
        eager("unix_date", |call| {
            let days = call.primitives::<Date32Type>(0);
            call.build::<Int32Type>(|row| days.get(row))
        }),
        eager("date_from_unix_date", |call| {
            let days = call.primitives::<Int32Type>(0);
            call.build::<Date32Type>(|row| days.get(row))
        }),
        eager("timestamp_seconds", timestamp_seconds),
        eager("timestamp_millis", |call| of_integer(call, 1000)),
        eager("timestamp_micros", |call| of_integer(call, 1)),
        eager("from_utc_timestamp", |call| shift(call, Zone::to_local)),
        eager("to_utc_timestamp", |call| shift(call, Zone::to_utc)),
        eager("convert_timezone", convert_timezone),
    ]
}

/// The pattern compiled last.
struct Pattern {
    last: Option<(String, Result<DatePattern, String>)>,
}

impl Pattern {
    fn new() -> Self {
        Self { last: None }
    }

    fn get(&mut self, pattern: &str) -> Result<&DatePattern, String> {
        if self.last.as_ref().is_none_or(|(known, _)| known != pattern) {
            let compiled = DatePattern::parse(pattern).map_err(|error| error.to_string());
            self.last = Some((pattern.to_owned(), compiled));
        }
        let (_, compiled) = self.last.as_ref().expect("set above");
        compiled.as_ref().map_err(Clone::clone)
    }
}

/// The time of argument 0: as it is, or, of a string, by the pattern of argument 1.
fn read(call: &Call<'_>, row: usize, compiled: &mut Pattern) -> Result<Option<i64>, String> {
    let pattern = call.strings(1).get(row);
    Ok(match call.types[0] {
        DataType::Date => {
            let days = call.primitives::<Date32Type>(0).get(row);
            days.map(|days| i64::from(days).wrapping_mul(MICROS_PER_DAY))
        }
        DataType::Timestamp | DataType::TimestampNtz => call.primitives::<Micros>(0).get(row),
        _ => match (call.strings(0).get(row), pattern) {
            (Some(text), Some(pattern)) => {
                let micros = compiled.get(pattern)?.parse_wide(text);
                let micros = micros.map(|micros| i64::try_from(micros).map_err(|_| overflow()));
                micros.transpose()?
            }
            _ => None,
        },
    })
}

/// The text of a time; one whose number in Java's other calendar does not fit fails.
fn write(pattern: &DatePattern, micros: i64) -> Result<Option<String>, String> {
    match DatePattern::writes(micros) {
        true => Ok(Some(pattern.format(micros))),
        false => Err(overflow()),
    }
}

/// Seconds that do not fit wrap, as Java's multiplication does.
fn from_unixtime(call: &Call<'_>) -> Built {
    let seconds = call.primitives::<Int64Type>(0);
    let pattern = (call.len() > 1).then(|| call.strings(1));
    let mut compiled = Pattern::new();
    call.try_build_strings(|row| {
        let pattern = match &pattern {
            Some(pattern) => pattern.get(row),
            None => Some("yyyy-MM-dd HH:mm:ss"),
        };
        let (Some(seconds), Some(pattern)) = (seconds.get(row), pattern) else {
            return Ok(None);
        };
        write(
            compiled.get(pattern)?,
            seconds.wrapping_mul(MICROS_PER_SECOND),
        )
    })
}

fn since_epoch(call: &Call<'_>, unit: i64) -> Built {
    let micros = call.primitives::<Micros>(0);
    call.build::<Int64Type>(|row| micros.get(row).map(|micros| micros.div_euclid(unit)))
}

pub(super) fn overflow() -> String {
    "long overflow".to_owned()
}

/// Integers and decimals exactly or not at all; doubles as near as they come.
#[allow(
    clippy::cast_possible_truncation,
    reason = "doubles saturate, as in Java"
)]
fn timestamp_seconds(call: &Call<'_>) -> Built {
    call.try_build::<Micros>(|row| {
        if matches!(call.types[0], DataType::Float | DataType::Double) {
            let seconds = super::real(call, 0, row).filter(|seconds| seconds.is_finite());
            return Ok(seconds.map(|seconds| (seconds * 1e6) as i64));
        }
        let Some(value) = super::integer(call, 0, row) else {
            return Ok(None);
        };
        let scale = match call.types[0] {
            DataType::Decimal(_, scale) => u32::try_from(*scale).unwrap_or(0),
            _ => 0,
        };
        let micros = value.checked_mul(1_000_000).ok_or_else(overflow)?;
        let unit = 10i128.pow(scale);
        if micros % unit != 0 {
            return Err("rounding necessary".into());
        }
        i64::try_from(micros / unit)
            .map(Some)
            .map_err(|_| overflow())
    })
}

fn of_integer(call: &Call<'_>, unit: i64) -> Built {
    let value = call.primitives::<Int64Type>(0);
    call.try_build::<Micros>(|row| match value.get(row) {
        Some(value) => value.checked_mul(unit).map(Some).ok_or_else(overflow),
        None => Ok(None),
    })
}

pub(super) fn zone(name: &str) -> Result<Zone, String> {
    Zone::parse(name).ok_or_else(|| format!("unknown time zone '{name}'"))
}

fn shift(call: &Call<'_>, shift: fn(Zone, i64) -> Option<i64>) -> Built {
    let (micros, name) = (call.primitives::<Micros>(0), call.strings(1));
    call.try_build::<Micros>(|row| match (micros.get(row), name.get(row)) {
        (Some(micros), Some(name)) => {
            let shifted = shift(zone(name)?, micros);
            shifted
                .map(Some)
                .ok_or_else(|| "timestamp out of range".into())
        }
        _ => Ok(None),
    })
}

fn convert_timezone(call: &Call<'_>) -> Built {
    let (from, to) = (call.strings(0), call.strings(1));
    let local = call.primitives::<Micros>(2);
    call.try_build::<Micros>(|row| match (from.get(row), to.get(row), local.get(row)) {
        (Some(from), Some(to), Some(local)) => {
            let (from, to) = (zone(from)?, zone(to)?);
            let moved = from.to_utc(local).and_then(|utc| to.to_local(utc));
            moved
                .map(Some)
                .ok_or_else(|| "timestamp out of range".into())
        }
        _ => Ok(None),
    })
}
