//! One value as people read it.

use unskewed_engine::findings::Cell;
use unskewed_planner::time::civil_of_days;

const DAY_MILLIS: i64 = 86_400_000;

/// The value's text.
pub(crate) fn text(cell: &Cell) -> String {
    match cell {
        Cell::Empty => "-".into(),
        Cell::Text(text) => text.clone(),
        Cell::Count(count) => count.to_string(),
        Cell::Number(number) => self::number(*number),
        Cell::Share(share) => format!("{:.2}%", share * 100.0),
        Cell::Time(millis) => time(*millis),
    }
}

/// Six significant digits, no zeros behind them.
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 {
            "0".into()
        } else {
            value.to_string()
        };
    }
    let magnitude = value.abs().log10().floor();
    if !(-5.0..15.0).contains(&magnitude) {
        return format!("{value:.5e}");
    }
    let decimals = (5.0 - magnitude).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

/// A point in time, in UTC.
pub(crate) fn time(millis: i64) -> String {
    let days = millis.div_euclid(DAY_MILLIS);
    let Ok(day) = i32::try_from(days) else {
        return format!("{millis} ms");
    };
    let (year, month, day) = civil_of_days(day);
    let rest = millis.rem_euclid(DAY_MILLIS);
    let (hours, minutes) = (rest / 3_600_000, rest / 60_000 % 60);
    let (seconds, millis) = (rest / 1_000 % 60, rest % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z")
}

/// Whether values of this kind stand to the right.
pub(crate) fn is_number(cell: &Cell) -> bool {
    matches!(cell, Cell::Count(_) | Cell::Number(_) | Cell::Share(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-14.5, "-14.5"),
            (0.1 + 0.2, "0.3"),
            (123_456_789.0, "123456789"),
            (0.000_012_345_678, "0.0000123457"),
            (1e30, "1.00000e30"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(time(1_709_204_400_000), "2024-02-29T11:00:00.000Z");
    }
}
