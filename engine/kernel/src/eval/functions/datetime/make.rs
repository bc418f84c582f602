//! Dates, timestamps and intervals out of their fields.

use arrow_array::types::{
    Date32Type, Decimal128Type, DurationMicrosecondType, Int32Type, IntervalMonthDayNanoType,
    IntervalYearMonthType,
};
use arrow_buffer::IntervalMonthDayNano;

use super::{Entry, Micros, eager};
use crate::eval::build::Built;
use crate::eval::call::Call;
use crate::eval::java::calendar::{Civil, MICROS_PER_DAY, MICROS_PER_SECOND};

pub(super) fn functions() -> Vec<Entry> {
    vec![
        eager("make_date", make_date),
        eager("make_timestamp", make_timestamp),
        eager("make_timestamp_ntz", make_timestamp),
        eager("make_interval", make_interval),
        eager("make_dt_interval", make_day_time),
        eager("make_ym_interval", make_year_month),
    ]
}

/// An integer argument; 0 if it is left out, nothing if it is null.
fn field(call: &Call<'_>, index: usize, row: usize) -> Option<i64> {
    if index >= call.len() {
        return Some(0);
    }
    call.primitives::<Int32Type>(index).get(row).map(i64::from)
}

/// Seconds with six decimals, in microseconds.
fn seconds(call: &Call<'_>, index: usize, row: usize) -> Option<i64> {
    if index >= call.len() {
        return Some(0);
    }
    i64::try_from(call.primitives::<Decimal128Type>(index).get(row)?).ok()
}

/// The date of three fields, its year within Java's.
fn civil(call: &Call<'_>, row: usize) -> Option<Civil> {
    const YEAR_MAX: i64 = 999_999_999;
    let [year, month, day] = [0, 1, 2].map(|index| field(call, index, row));
    Civil::new(year.filter(|year| year.abs() <= YEAR_MAX)?, month?, day?)
}

/// Null for a field out of range; a date that is one, but has no number, fails.
fn make_date(call: &Call<'_>) -> Built {
    call.try_build::<Date32Type>(|row| match civil(call, row) {
        Some(civil) => {
            let days = i32::try_from(civil.days());
            days.map(Some).map_err(|_| "integer overflow".into())
        }
        None => Ok(None),
    })
}

/// Null for a field out of range; sixty whole seconds are the next minute. A time that is one, but has no number, and
/// an unknown zone fail.
fn make_timestamp(call: &Call<'_>) -> Built {
    let zone = (call.len() > 6).then(|| call.strings(6));
    call.try_build::<Micros>(|row| {
        let missing = (0..5).any(|index| field(call, index, row).is_none());
        if missing || seconds(call, 5, row).is_none() {
            return Ok(None);
        }
        let zone = match zone.as_ref().map(|zone| zone.get(row)) {
            None => None,
            Some(None) => return Ok(None),
            Some(Some(name)) => Some(super::convert::zone(name)?),
        };
        let Some((days, time)) = civil(call, row).zip(time_of_day(call, row)) else {
            return Ok(None);
        };
        let days = days.days().checked_mul(MICROS_PER_DAY);
        let local = days.and_then(|days| days.checked_add(time));
        let moment = match zone {
            Some(zone) => local.and_then(|local| zone.to_utc(local)),
            None => local,
        };
        moment.map(Some).ok_or_else(super::convert::overflow)
    })
}

/// Hour, minute and second as microseconds.
fn time_of_day(call: &Call<'_>, row: usize) -> Option<i64> {
    let (hour, minute) = (field(call, 3, row)?, field(call, 4, row)?);
    let second = seconds(call, 5, row)?;
    let minute_long = 60 * MICROS_PER_SECOND;
    let in_range =
        (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=minute_long).contains(&second);
    in_range.then_some((hour * 60 + minute) * minute_long + second)
}

/// Null if a part does not fit. Arrow counts nanoseconds, so a time of more than 292 years is refused.
fn make_interval(call: &Call<'_>) -> Built {
    let parts = |row: usize| {
        let [years, months, weeks, days, hours, minutes] =
            [0, 1, 2, 3, 4, 5].map(|index| field(call, index, row));
        let months = years? * 12 + months?;
        let days = weeks? * 7 + days?;
        let micros = (hours? * 60 + minutes?) * 60 * MICROS_PER_SECOND;
        let micros = micros.checked_add(seconds(call, 6, row)?)?;
        Some((
            i32::try_from(months).ok()?,
            i32::try_from(days).ok()?,
            micros,
        ))
    };
    call.try_build::<IntervalMonthDayNanoType>(|row| {
        let Some((months, days, micros)) = parts(row) else {
            return Ok(None);
        };
        let nanoseconds = micros.checked_mul(1000);
        let nanoseconds = nanoseconds.ok_or("a time of more than 292 years in an interval")?;
        Ok(Some(IntervalMonthDayNano {
            months,
            days,
            nanoseconds,
        }))
    })
}

fn make_day_time(call: &Call<'_>) -> Built {
    call.try_build::<DurationMicrosecondType>(|row| {
        let [days, hours, minutes] = [0, 1, 2].map(|index| field(call, index, row));
        let (Some(days), Some(hours), Some(minutes), Some(seconds)) =
            (days, hours, minutes, seconds(call, 3, row))
        else {
            return Ok(None);
        };
        let time = (hours * 60 + minutes) * 60 * MICROS_PER_SECOND;
        let whole = days
            .checked_mul(MICROS_PER_DAY)
            .and_then(|days| days.checked_add(time));
        let whole = whole.and_then(|whole| whole.checked_add(seconds));
        whole
            .map(Some)
            .ok_or_else(|| "interval out of range".into())
    })
}

fn make_year_month(call: &Call<'_>) -> Built {
    call.try_build::<IntervalYearMonthType>(|row| {
        let (Some(years), Some(months)) = (field(call, 0, row), field(call, 1, row)) else {
            return Ok(None);
        };
        let whole = i32::try_from(years * 12 + months);
        whole.map(Some).map_err(|_| "interval out of range".into())
    })
}
