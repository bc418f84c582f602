//! Constants as Spark writes them in the names of columns.

use crate::expr::Literal;
use crate::schema::{DataType, IntervalField};

pub(in crate::query) fn literal(value: &Literal, data_type: &DataType) -> String {
    match (value, data_type) {
        (Literal::Null, _) => "NULL".into(),
        (Literal::Boolean(value), _) => value.to_string(),
        (Literal::Integer(days), DataType::Date) => {
            let days = i32::try_from(*days).unwrap_or_default();
            format!("DATE '{}'", crate::time::Partition { day: days })
        }
        (Literal::Integer(micros), DataType::Timestamp) => {
            format!("TIMESTAMP '{}'", timestamp(*micros))
        }
        (Literal::Integer(micros), DataType::DayTimeInterval(from, to)) => {
            interval(&day_time(*micros, *from, *to), *from, *to)
        }
        (Literal::Integer(months), DataType::YearMonthInterval(from, to)) => {
            interval(&year_month(*months, *from, *to), *from, *to)
        }
        (Literal::Integer(value), _) => value.to_string(),
        (Literal::Double(value), DataType::Float) => float(*value),
        (Literal::Double(value), _) => double(*value),
        (Literal::Decimal(value), DataType::Decimal(_, scale)) => decimal(*value, *scale),
        (Literal::Decimal(value), _) => value.to_string(),
        (Literal::String(text), _) => text.clone(),
        (Literal::Binary(bytes), _) => {
            let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02X}")).collect();
            format!("X'{}'", hex.concat())
        }
        (Literal::Calendar { .. }, _) => "INTERVAL".into(),
    }
}

/// As Java prints a double, for numbers of usual size.
fn double(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-3..1e7).contains(&magnitude) {
        let text = format!("{value:E}");
        return match text.split_once('E') {
            Some((mantissa, exponent)) if !mantissa.contains('.') => {
                format!("{mantissa}.0E{exponent}")
            }
            _ => text,
        };
    }
    format!("{value:?}")
}

/// Without fractions of a second where there are none.
fn timestamp(micros: i64) -> String {
    const DAY_MICROS: i64 = 86_400_000_000;
    let day = i32::try_from(micros.div_euclid(DAY_MICROS)).unwrap_or_default();
    let rest = micros.rem_euclid(DAY_MICROS);
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    let day = crate::time::Partition { day };
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let fraction = match fraction {
        0 => String::new(),
        some => format!(".{some:06}").trim_end_matches('0').to_owned(),
    };
    format!("{day} {hour:02}:{minute:02}:{second:02}{fraction}")
}

fn float(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "it was written as a float")]
    let narrow = value as f32;
    match narrow.to_string().parse::<f64>() {
        Ok(value) => double(value),
        Err(_) => double(value),
    }
}

fn decimal(value: i128, scale: i8) -> String {
    let scale = usize::try_from(scale).unwrap_or(0);
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if value < 0 { "-" } else { "" };
    let point = if scale > 0 { "." } else { "" };
    format!("{sign}{whole}{point}{fraction}")
}

fn interval(text: &str, from: IntervalField, to: IntervalField) -> String {
    let field = |field: IntervalField| field.to_string().to_uppercase();
    match from == to {
        true => format!("INTERVAL '{text}' {}", field(from)),
        false => format!("INTERVAL '{text}' {} TO {}", field(from), field(to)),
    }
}

fn year_month(months: i64, from: IntervalField, to: IntervalField) -> String {
    let sign = if months < 0 { "-" } else { "" };
    let months = months.unsigned_abs();
    match (from, to) {
        (IntervalField::Year, IntervalField::Year) => format!("{sign}{}", months / 12),
        (IntervalField::Month, _) => format!("{sign}{months}"),
        _ => format!("{sign}{}-{}", months / 12, months % 12),
    }
}

/// Fields from the first to the last; what is left of the first is not cut at its unit.
fn day_time(micros: i64, from: IntervalField, to: IntervalField) -> String {
    const UNITS: [(IntervalField, u64); 4] = [
        (IntervalField::Day, 86_400_000_000),
        (IntervalField::Hour, 3_600_000_000),
        (IntervalField::Minute, 60_000_000),
        (IntervalField::Second, 1_000_000),
    ];
    let mut text = String::from(if micros < 0 { "-" } else { "" });
    let mut rest = micros.unsigned_abs();
    for (field, unit) in UNITS.into_iter().filter(|(f, _)| (from..=to).contains(f)) {
        let separator = match field {
            _ if field == from => "",
            IntervalField::Hour => " ",
            _ => ":",
        };
        text += separator;
        text += &match field {
            IntervalField::Day => (rest / unit).to_string(),
            _ => format!("{:02}", rest / unit),
        };
        rest %= unit;
    }
    if to == IntervalField::Second && rest > 0 {
        text += format!(".{rest:06}").trim_end_matches('0');
    }
    text
}
