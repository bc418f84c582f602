//! Functions of dates and timestamps, all in UTC.

use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, DurationMicrosecondType, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType,
    IntervalYearMonthType, TimestampMicrosecondType,
};
use unskewed_planner::schema::DataType;

use super::{Entry, eager};
use crate::eval::build::Built;
use crate::eval::call::Call;
use crate::eval::java::calendar::{
    self, Civil, MICROS_PER_DAY, MICROS_PER_SECOND, TruncateTo, split_micros,
};

mod convert;
mod make;

type Micros = TimestampMicrosecondType;

pub(super) fn functions() -> Vec<Entry> {
    let mut all = date_fields();
    all.extend(time_fields());
    all.extend(arithmetic());
    all.extend(convert::functions());
    all.extend(make::functions());
    all
}

fn of_date(call: &Call<'_>, field: fn(i64) -> i64) -> Built {
    let days = call.primitives::<Date32Type>(0);
    call.build::<Int32Type>(|row| i32::try_from(field(days.get(row)?.into())).ok())
}

fn of_time(call: &Call<'_>, field: fn(i64) -> i64) -> Built {
    let micros = call.primitives::<Micros>(0);
    call.build::<Int32Type>(|row| {
        let (_, time) = split_micros(micros.get(row)?);
        i32::try_from(field(time / MICROS_PER_SECOND)).ok()
    })
}

fn date_fields() -> Vec<Entry> {
    vec![
        eager("year", |call| {
            of_date(call, |days| Civil::of_days(days).year)
        }),
        eager("year of week", |call| {
            of_date(call, |days| calendar::iso_week(days).0)
        }),
        eager("quarter", |call| {
            of_date(call, |days| (Civil::of_days(days).month + 2) / 3)
        }),
        eager("month", |call| {
            of_date(call, |days| Civil::of_days(days).month)
        }),
        eager("weekofyear", |call| {
            of_date(call, |days| calendar::iso_week(days).1)
        }),
        eager("day", |call| of_date(call, |days| Civil::of_days(days).day)),
        eager("dayofweek", |call| {
            of_date(call, |days| (calendar::weekday(days) + 1) % 7 + 1)
        }),
        eager("weekday", |call| of_date(call, calendar::weekday)),
        eager("dayofyear", |call| {
            of_date(call, |days| Civil::of_days(days).day_of_year())
        }),
    ]
}

fn time_fields() -> Vec<Entry> {
    vec![
        eager("hour", |call| of_time(call, |second| second / 3600)),
        eager("minute", |call| of_time(call, |second| second / 60 % 60)),
        eager("second", |call| of_time(call, |second| second % 60)),
        eager("second with fraction", |call| {
            let micros = call.primitives::<Micros>(0);
            call.build::<Decimal128Type>(|row| {
                Some(micros.get(row)?.rem_euclid(60 * MICROS_PER_SECOND).into())
            })
        }),
        eager("interval field", interval_field),
    ]
}

/// Months, days and microseconds of an interval of any kind; days count as time where the kind has
/// no days of its own.
fn parts_of_interval(call: &Call<'_>, index: usize, row: usize) -> Option<(i64, i64, i64)> {
    Some(match call.types[index] {
        DataType::YearMonthInterval(..) => (
            call.primitives::<IntervalYearMonthType>(index)
                .get(row)?
                .into(),
            0,
            0,
        ),
        DataType::DayTimeInterval(..) => {
            let micros = call.primitives::<DurationMicrosecondType>(index).get(row)?;
            (0, micros / MICROS_PER_DAY, micros % MICROS_PER_DAY)
        }
        _ => {
            let value = call
                .primitives::<IntervalMonthDayNanoType>(index)
                .get(row)?;
            (
                value.months.into(),
                value.days.into(),
                value.nanoseconds / 1000,
            )
        }
    })
}

fn interval_field(call: &Call<'_>) -> Built {
    let name = call.strings(0);
    let field = |row: usize| {
        let (months, days, micros) = parts_of_interval(call, 1, row)?;
        let micros = micros % MICROS_PER_DAY;
        Some(match name.get(row)? {
            "year" => months / 12,
            "month" => months % 12,
            "day" => days,
            "hour" => micros / (3600 * MICROS_PER_SECOND),
            "minute" => micros / (60 * MICROS_PER_SECOND) % 60,
            _ => micros % (60 * MICROS_PER_SECOND),
        })
    };
    match call.data_type {
        DataType::Byte => call.build::<Int8Type>(|row| i8::try_from(field(row)?).ok()),
        DataType::Int => call.build::<Int32Type>(|row| i32::try_from(field(row)?).ok()),
        _ => call.build::<Decimal128Type>(|row| field(row).map(i128::from)),
    }
}

fn arithmetic() -> Vec<Entry> {
    vec![
        eager("datediff", |call| {
            let (end, start) = (
                call.primitives::<Date32Type>(0),
                call.primitives::<Date32Type>(1),
            );
            call.build::<Int32Type>(|row| Some(end.get(row)?.wrapping_sub(start.get(row)?)))
        }),
        eager("timestampadd", timestamp_add),
        eager("timestampdiff", timestamp_diff),
        eager("add_months", |call| {
            let (days, months) = (
                call.primitives::<Date32Type>(0),
                call.primitives::<Int32Type>(1),
            );
            call.try_build::<Date32Type>(|row| match (days.get(row), months.get(row)) {
                (Some(days), Some(months)) => {
                    let moved = calendar::add_months(days.into(), months.into());
                    i32::try_from(moved)
                        .map(Some)
                        .map_err(|_| "date out of range".into())
                }
                _ => Ok(None),
            })
        }),
        eager("months_between", |call| {
            let (end, start) = (call.primitives::<Micros>(0), call.primitives::<Micros>(1));
            let round_off = (call.len() > 2).then(|| call.booleans(2));
            call.build::<Float64Type>(|row| {
                let round_off = match &round_off {
                    Some(round_off) => round_off.get(row)?,
                    None => true,
                };
                Some(calendar::months_between(
                    end.get(row)?,
                    start.get(row)?,
                    round_off,
                ))
            })
        }),
        eager("last_day", |call| {
            let days = call.primitives::<Date32Type>(0);
            call.build::<Date32Type>(|row| {
                i32::try_from(calendar::last_day(days.get(row)?.into())).ok()
            })
        }),
        eager("next_day", |call| {
            let (days, name) = (call.primitives::<Date32Type>(0), call.strings(1));
            call.build::<Date32Type>(|row| {
                let weekday = calendar::weekday_of_name(name.get(row)?)?;
                i32::try_from(calendar::next_day(days.get(row)?.into(), weekday)).ok()
            })
        }),
        eager("trunc", |call| {
            let (days, unit) = (call.primitives::<Date32Type>(0), call.strings(1));
            call.build::<Date32Type>(|row| {
                let unit = TruncateTo::of_name(unit.get(row)?);
                let unit = unit.filter(|unit| *unit >= TruncateTo::Week)?;
                i32::try_from(calendar::truncate_date(days.get(row)?.into(), unit)).ok()
            })
        }),
        eager("date_trunc", |call| {
            let (unit, micros) = (call.strings(0), call.primitives::<Micros>(1));
            call.build::<Micros>(|row| {
                let unit = TruncateTo::of_name(unit.get(row)?)?;
                Some(calendar::truncate_micros(micros.get(row)?, unit))
            })
        }),
    ]
}

/// A unit as months, or as microseconds.
enum Unit {
    Months(i64),
    Micros(i64),
}

fn unit_of(name: &str) -> Unit {
    match name.to_ascii_lowercase().as_str() {
        "microsecond" => Unit::Micros(1),
        "millisecond" => Unit::Micros(1000),
        "second" => Unit::Micros(MICROS_PER_SECOND),
        "minute" => Unit::Micros(60 * MICROS_PER_SECOND),
        "hour" => Unit::Micros(3600 * MICROS_PER_SECOND),
        "week" => Unit::Micros(7 * MICROS_PER_DAY),
        "month" => Unit::Months(1),
        "quarter" => Unit::Months(3),
        "year" => Unit::Months(12),
        // Days, of the month or of the year.
        _ => Unit::Micros(MICROS_PER_DAY),
    }
}

fn timestamp_add(call: &Call<'_>) -> Built {
    let (unit, micros) = (call.strings(0), call.primitives::<Micros>(2));
    let count = call.primitives::<Int32Type>(1);
    call.try_build::<Micros>(|row| {
        let (Some(unit), Some(count), Some(micros)) =
            (unit.get(row), count.get(row), micros.get(row))
        else {
            return Ok(None);
        };
        let moved = match unit_of(unit) {
            Unit::Months(months) => calendar::add_interval(micros, i64::from(count) * months, 0, 0),
            Unit::Micros(unit) => i64::from(count)
                .checked_mul(unit)
                .and_then(|by| micros.checked_add(by)),
        };
        moved
            .map(Some)
            .ok_or_else(|| "timestamp out of range".into())
    })
}

fn timestamp_diff(call: &Call<'_>) -> Built {
    let (unit, start) = (call.strings(0), call.primitives::<Micros>(1));
    let end = call.primitives::<Micros>(2);
    call.build::<Int64Type>(|row| {
        let (start, end) = (start.get(row)?, end.get(row)?);
        Some(match unit_of(unit.get(row)?) {
            Unit::Months(months) => calendar::whole_months_between(start, end) / months,
            Unit::Micros(unit) => {
                let distance = i128::from(end) - i128::from(start);
                i64::try_from(distance / i128::from(unit)).ok()?
            }
        })
    })
}

/// A number of any type, widened; decimals by their unscaled value.
fn integer(call: &Call<'_>, index: usize, row: usize) -> Option<i128> {
    fn of<T: ArrowPrimitiveType>(call: &Call<'_>, index: usize, row: usize) -> Option<i128>
    where
        T::Native: Into<i128>,
    {
        call.primitives::<T>(index).get(row).map(Into::into)
    }
    match call.types[index] {
        DataType::Byte => of::<Int8Type>(call, index, row),
        DataType::Short => of::<Int16Type>(call, index, row),
        DataType::Int => of::<Int32Type>(call, index, row),
        DataType::Long => of::<Int64Type>(call, index, row),
        DataType::Decimal(..) => of::<Decimal128Type>(call, index, row),
        _ => None,
    }
}

/// A float or double.
fn real(call: &Call<'_>, index: usize, row: usize) -> Option<f64> {
    match call.types[index] {
        DataType::Float => call
            .primitives::<Float32Type>(index)
            .get(row)
            .map(f64::from),
        _ => call.primitives::<Float64Type>(index).get(row),
    }
}
