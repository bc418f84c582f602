//! Arithmetic of dates, timestamps and intervals: which of its forms an operator takes.

use super::{Call, Function, Takes, Typed};
use crate::expr::coerce::{is_numeric, tightest};
use crate::expr::ir::Expr;
use crate::schema::DataType;
use crate::schema::IntervalField::{Day, Month, Second, Year};

pub(super) fn functions() -> Vec<Function> {
    let days = |name: &'static [&'static str]| {
        Function::new(
            name,
            [Takes::Type(DataType::Date), super::int()],
            DataType::Date,
        )
    };
    vec![
        // What `date ± integer` becomes.
        days(&["date plus days"]),
        days(&["date minus days"]),
        Function::custom(&["date minus date"], 2..=2, |call| {
            call.returns(DataType::DayTimeInterval(Day, Day))
        }),
        Function::custom(&["timestamp minus timestamp"], 2..=2, |call| {
            call.returns(DataType::DayTimeInterval(Day, Second))
        }),
        // The interval on the right, of any kind; the result is of the left's type.
        Function::custom(&["add interval"], 2..=2, first_type),
        Function::custom(&["scale interval"], 2..=2, first_type),
        Function::custom(&["divide interval"], 2..=2, first_type),
    ]
}

fn first_type(call: Call<'_, '_>) -> Typed {
    let returns = call.data_type(0).clone();
    call.returns(returns)
}

fn is_interval(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::CalendarInterval
            | DataType::DayTimeInterval(..)
            | DataType::YearMonthInterval(..)
    )
}

fn is_timestamp(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp | DataType::TimestampNtz)
}

/// The call if a date, timestamp or interval takes part; `None` if the operator is plain arithmetic.
pub(super) fn arithmetic(call: &mut Call<'_, '_>, operator: &str) -> Option<Typed> {
    let temporal = |t: &DataType| *t == DataType::Date || is_timestamp(t) || is_interval(t);
    if !temporal(call.data_type(0)) && !temporal(call.data_type(1)) {
        return None;
    }
    let right = call.arguments.pop().expect("two arguments");
    let left = call.arguments.pop().expect("two arguments");
    let (from, to) = (left.data_type.clone(), right.data_type.clone());
    let made = match operator {
        "+" => add(left, right),
        "-" => subtract(left, right),
        "*" if is_interval(&from) => scale("scale interval", left, right),
        "*" => scale("scale interval", right, left),
        _ => scale("divide interval", left, right),
    };
    Some(match made {
        Some(expr) => Ok(expr),
        None => call.fail(format!("{operator} cannot take {from} and {to}")),
    })
}

fn add(left: Expr, right: Expr) -> Option<Expr> {
    if is_interval(&left.data_type) && is_interval(&right.data_type) {
        return same_kind("+", left, right);
    }
    if is_interval(&right.data_type) {
        return shift(left, right);
    }
    if is_interval(&left.data_type) {
        return shift(right, left);
    }
    if left.data_type == DataType::Date {
        return days("date plus days", left, right);
    }
    match right.data_type {
        DataType::Date => days("date plus days", right, left),
        _ => None,
    }
}

fn subtract(left: Expr, right: Expr) -> Option<Expr> {
    if is_interval(&left.data_type) && is_interval(&right.data_type) {
        return same_kind("-", left, right);
    }
    if is_interval(&right.data_type) {
        let data_type = right.data_type.clone();
        return shift(left, Expr::call("negative", vec![right], data_type));
    }
    if is_timestamp(&left.data_type) || is_timestamp(&right.data_type) {
        if left.data_type == DataType::String || right.data_type == DataType::String {
            return None;
        }
        let left = implicit(left, &DataType::Timestamp)?;
        let right = implicit(right, &DataType::Timestamp)?;
        let returns = DataType::DayTimeInterval(Day, Second);
        return Some(Expr::call(
            "timestamp minus timestamp",
            vec![left, right],
            returns,
        ));
    }
    if right.data_type == DataType::Date {
        let left = implicit(left, &DataType::Date)?;
        let returns = DataType::DayTimeInterval(Day, Day);
        return Some(Expr::call("date minus date", vec![left, right], returns));
    }
    if left.data_type != DataType::Date {
        return None;
    }
    days("date minus days", left, right)
}

fn implicit(expr: Expr, to: &DataType) -> Option<Expr> {
    let to = Takes::Type(to.clone()).implicit(&expr.data_type)?;
    Some(expr.cast(&to))
}

fn days(function: &'static str, date: Expr, count: Expr) -> Option<Expr> {
    let small = matches!(
        count.data_type,
        DataType::Int | DataType::Short | DataType::Byte | DataType::Null
    );
    let arguments = vec![date, count.cast(&DataType::Int)];
    small.then(|| Expr::call(function, arguments, DataType::Date))
}

/// Two intervals of one kind; a null takes the other's type.
fn same_kind(operator: &'static str, left: Expr, right: Expr) -> Option<Expr> {
    let common = tightest(&left.data_type, &right.data_type)?;
    let arguments = vec![left.cast(&common), right.cast(&common)];
    Some(Expr::call(operator, arguments, common))
}

/// `date`, timestamp or string plus interval.
fn shift(moment: Expr, interval: Expr) -> Option<Expr> {
    let call = |moment: Expr, interval| {
        let returns = moment.data_type.clone();
        Expr::call("add interval", vec![moment, interval], returns)
    };
    let time = matches!(
        interval.data_type,
        DataType::DayTimeInterval(..) | DataType::CalendarInterval
    );
    match (&moment.data_type, &interval.data_type) {
        (DataType::Null, _) => {
            let returns = interval.data_type.clone();
            Some(Expr::call(
                "+",
                vec![moment.cast(&returns), interval],
                returns,
            ))
        }
        (DataType::Date, DataType::DayTimeInterval(from, to)) if (*from, *to) != (Day, Day) => {
            Some(call(moment.cast(&DataType::Timestamp), interval))
        }
        (DataType::Date, _) => Some(call(moment, interval)),
        (from, _) if is_timestamp(from) => Some(call(moment, interval)),
        (DataType::String, _) if time => {
            let shifted = call(moment.cast(&DataType::Timestamp), interval);
            Some(shifted.cast(&DataType::String))
        }
        _ => None,
    }
}

fn scale(function: &'static str, interval: Expr, factor: Expr) -> Option<Expr> {
    let returns = match interval.data_type {
        DataType::DayTimeInterval(..) => DataType::DayTimeInterval(Day, Second),
        DataType::YearMonthInterval(..) => DataType::YearMonthInterval(Year, Month),
        DataType::CalendarInterval => DataType::CalendarInterval,
        _ => return None,
    };
    let factor = match &factor.data_type {
        DataType::Null | DataType::String => factor.cast(&DataType::Double),
        DataType::Float => factor.cast(&DataType::Double),
        number if is_numeric(number) && returns == DataType::CalendarInterval => {
            factor.cast(&DataType::Double)
        }
        number if is_numeric(number) => factor,
        _ => return None,
    };
    Some(Expr::call(function, vec![interval, factor], returns))
}
