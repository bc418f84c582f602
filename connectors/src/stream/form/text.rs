//! Values that stand in messages as text: instants, days, decimals.
//!
//! Promises: exact or not at all, but for instants, whose digits beyond microseconds are dropped as Spark drops them.

use arrow_array::timezone::Tz;
use arrow_array::types::{Date32Type, TimestampMicrosecondType};
use arrow_cast::parse::{Parser, string_to_datetime};

/// The days since 1970 of `yyyy-MM-dd`.
pub(super) fn date(text: &str) -> Option<i32> {
    let is_day = text.len() == 10 && text.is_ascii();
    is_day.then(|| Date32Type::parse(text)).flatten()
}

/// The microseconds since 1970 of an instant as in ISO 8601; in UTC where it names no zone.
pub(super) fn timestamp(text: &str) -> Option<i64> {
    let utc: Tz = "+00:00".parse().expect("UTC is a zone");
    let instant = string_to_datetime(&utc, text).ok()?;
    Some(instant.timestamp_micros())
}

/// The microseconds since 1970 of a time that names no zone.
pub(super) fn timestamp_ntz(text: &str) -> Option<i64> {
    let time = text.get(10..).unwrap_or_default();
    let names_zone = time.contains(['Z', 'z', '+', '-'])
        || time.contains(char::is_whitespace) && time.trim_start().contains(char::is_alphabetic);
    let parse = || TimestampMicrosecondType::parse(text).or_else(|| timestamp(text));
    (!names_zone).then(parse).flatten()
}

/// The numbers that JSON has no number for.
pub(super) fn not_finite(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// A number with or without a point.
pub(super) fn number(text: &str) -> Option<f64> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let number = is_number.then(|| text.parse::<f64>().ok()).flatten()?;
    number.is_finite().then_some(number)
}

/// What stands for a number of digits, `[-]digits[.digits][e[+-]digits]`, in a decimal type.
pub(super) fn digits(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (is_negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value: i128 = 0;
    // Zeros at the end say nothing, and would not fit if there were many.
    let mut zeros: u32 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        match digit {
            b'0' if value == 0 => {}
            b'0' => zeros += 1,
            b'1'..=b'9' => {
                let shift = 10_i128.checked_pow(zeros + 1)?;
                value = value.checked_mul(shift)?;
                value = value.checked_add(i128::from(digit - b'0'))?;
                zeros = 0;
            }
            _ => return None,
        }
    }
    let dropped = i32::try_from(zeros).ok()?;
    let value = if is_negative { -value } else { value };
    let written = i32::try_from(fraction.len()).ok()?;
    let places = written.checked_sub(exponent)?.checked_sub(dropped)?;
    decimal(value, places, precision, scale)
}

/// What stands for `value` / 10^`places` in a decimal type, where it fits without rounding.
pub(super) fn decimal(value: i128, places: i32, precision: u8, scale: i8) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    let shift = i32::from(scale).checked_sub(places)?;
    let factor = 10_i128.checked_pow(shift.unsigned_abs())?;
    let stands = match shift >= 0 {
        true => value.checked_mul(factor)?,
        false if value % factor == 0 => value / factor,
        false => return None,
    };
    let bound = 10_i128.checked_pow(precision.into())?;
    (stands.abs() < bound).then_some(stands)
}

/// What stands for a two's complement number, the highest byte first, as Avro and Connect write decimals.
pub(super) fn unscaled(bytes: &[u8]) -> Option<i128> {
    let first = *bytes.first()?;
    let sign = if first & 0x80 == 0 { 0 } else { 0xff };
    let extra = bytes.len().saturating_sub(16);
    if bytes[..extra].iter().any(|byte| *byte != sign) {
        return None;
    }
    let mut whole = [sign; 16];
    whole[16 - (bytes.len() - extra)..].copy_from_slice(&bytes[extra..]);
    let value = i128::from_be_bytes(whole);
    ((value < 0) == (sign != 0)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decimals are exact or refused.
    #[test]
    fn decimals() {
        for (text, stands) in [
            ("12.3", Some(1230)),
            ("-12.30", Some(-1230)),
            ("+0.05", Some(5)),
            (".5", Some(50)),
            ("1e2", Some(10_000)),
            ("100e-2", Some(100)),
            ("0.00000000000000000000000000000000000000000000000", Some(0)),
            ("99999999.99", Some(9_999_999_999)),
            ("100000000", None),
            ("0.005", None),
            (
                "12.34000000000000000000000000000000000000000000",
                Some(1234),
            ),
            ("0e999999999999", None),
            ("1e2147483647", None),
            ("1e-2147483648", None),
            ("", None),
            (".", None),
            ("-", None),
            ("1 2", None),
            ("NaN", None),
            ("12.3x", None),
        ] {
            assert_eq!(digits(text, 10, 2), stands, "{text}");
        }
        let most = "99999999999999999999999999999999999999";
        assert_eq!(digits(most, 38, 0), most.parse().ok());
        assert_eq!(digits("5", 38, 38), None);
        assert_eq!(digits("500", 3, -2), Some(5));
    }

    /// Bytes of a number that may be longer than needed.
    #[test]
    fn unscaled_numbers() {
        assert_eq!(unscaled(&[]), None);
        assert_eq!(unscaled(&[0x04, 0xd2]), Some(1234));
        assert_eq!(unscaled(&[0xff, 0xfe]), Some(-2));
        assert_eq!(unscaled(&[0xff; 40]), Some(-1));
        assert_eq!(unscaled(&[0x01; 17]), None);
        let mut longer = vec![0; 20];
        longer[4] = 0x80;
        assert_eq!(unscaled(&longer), None);
    }

    /// Instants and days.
    #[test]
    fn instants() {
        let micros = 1_700_000_000_123_456;
        for text in [
            "2023-11-14T22:13:20.123456Z",
            "2023-11-14 22:13:20.123456",
            "2023-11-14T23:13:20.123456789+01:00",
        ] {
            assert_eq!(timestamp(text), Some(micros), "{text}");
        }
        assert_eq!(timestamp_ntz("2023-11-14T22:13:20.123456"), Some(micros));
        assert_eq!(timestamp_ntz("2023-11-14 22:13:20.123456Z"), None);
        assert_eq!(timestamp_ntz("2023-11-14T22:13:20+01:00"), None);
        assert_eq!(timestamp("1700000000123"), None);
        assert_eq!(timestamp(""), None);
        assert_eq!(date("2023-11-14"), Some(19_675));
        for wrong in ["2023-11-31", "2023-1-14", "14", "", "2023-11-14T"] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
    }
}
