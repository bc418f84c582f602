//! Dates, timestamps and intervals out of their fields.

use arrow_array::types::{
    Date32Type, Decimal128Type, DurationMicrosecondType, Int32Type, IntervalMonthDayNanoType,
    IntervalYearMonthType,
};
use arrow_buffer::IntervalMonthDayNano;
use unskewed_planner::expr::temporal::Zone;

use super::{Entry, Micros, eager};
use crate::eval::build::Built;
use crate::eval::call::Call;
use crate::eval::java::calendar::{Civil, MICROS_PER_DAY, MICROS_PER_SECOND};

pub(super) fn functions() -> Vec<Entry> {
    vec![
        eager("make_date", |call| {
            call.build::<Date32Type>(|row| {
                let civil = Civil::new(
                    field(call, 0, row)?,
                    field(call, 1, row)?,
                    field(call, 2, row)?,
                );
                i32::try_from(civil?.days()).ok()
            })
        }),
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

/// Null for a field out of range; sixty whole seconds are the next minute.
fn make_timestamp(call: &Call<'_>) -> Built {
    let zone = (call.len() > 6).then(|| call.strings(6));
    call.build::<Micros>(|row| {
        let zone = match &zone {
            Some(zone) => Some(zone.get(row)?),
            None => None,
        };
        let civil = Civil::new(
            field(call, 0, row)?,
            field(call, 1, row)?,
            field(call, 2, row)?,
        );
        let (hour, minute) = (field(call, 3, row)?, field(call, 4, row)?);
        let second = seconds(call, 5, row)?;
        let minute_long = 60 * MICROS_PER_SECOND;
        let in_range = (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..=minute_long).contains(&second);
        let time = in_range.then_some((hour * 60 + minute) * minute_long + second)?;
        let local = civil?
            .days()
            .checked_mul(MICROS_PER_DAY)?
            .checked_add(time)?;
        match zone {
            Some(zone) => Zone::parse(zone)?.to_utc(local),
            None => Some(local),
        }
    })
}

/// Null if a part does not fit.
fn make_interval(call: &Call<'_>) -> Built {
    call.build::<IntervalMonthDayNanoType>(|row| {
        let [years, months, weeks, days, hours, minutes] =
            [0, 1, 2, 3, 4, 5].map(|index| field(call, index, row));
        let months = years? * 12 + months?;
        let days = weeks? * 7 + days?;
        let micros = (hours? * 60 + minutes?) * 60 * MICROS_PER_SECOND;
        let micros = micros.checked_add(seconds(call, 6, row)?)?;
        Some(IntervalMonthDayNano {
            months: i32::try_from(months).ok()?,
            days: i32::try_from(days).ok()?,
            nanoseconds: micros.checked_mul(1000)?,
        })
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
