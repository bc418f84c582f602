//! Text to numbers and truth values, by the rules of Java and of Spark's own scanner.

use unskewed_planner::expr::temporal::trim_all;

/// `t`, `true`, `y`, `yes`, `1` and their opposites.
pub(super) fn truth_of_text(text: &str) -> Option<bool> {
    match trim_all(text).to_ascii_lowercase().as_str() {
        "t" | "true" | "y" | "yes" | "1" => Some(true),
        "f" | "false" | "n" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// An optional sign and digits; digits after a point are cut off. `None` if it does not fit 64 bits.
pub(crate) fn integer_of_text(text: &str) -> Option<i64> {
    let text = trim_all(text);
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned.is_empty() {
        return None;
    }
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    if whole.is_empty() {
        return Some(0);
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    format!("{sign}{whole}").parse().ok()
}

/// What Java's `parseDouble` leaves of the text: the special words, or digits that Rust reads alike.
enum Floating {
    Special(f64),
    Digits(String),
    Hexadecimal(f64),
}

fn floating(text: &str) -> Option<Floating> {
    // String.trim, narrower than `trim_all`.
    let trimmed = text.trim_matches(|c: char| c <= ' ');
    let unsigned = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    let negative = trimmed.starts_with('-');
    let signed = |value: f64| if negative { -value } else { value };
    if unsigned == "NaN" {
        return Some(Floating::Special(f64::NAN));
    }
    if unsigned == "Infinity" {
        return Some(Floating::Special(signed(f64::INFINITY)));
    }
    if let Some(rest) = unsigned.strip_prefix("0x").or(unsigned.strip_prefix("0X")) {
        return hexadecimal(rest).map(|value| Floating::Hexadecimal(signed(value)));
    }
    let body = unsigned
        .strip_suffix(['f', 'F', 'd', 'D'])
        .unwrap_or(unsigned);
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_ok = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    if !digits(whole) || !digits(fraction) || !exponent_ok || whole.len() + fraction.len() == 0 {
        return special(text);
    }
    let sign = if negative { "-" } else { "" };
    Some(Floating::Digits(format!("{sign}{body}")))
}

/// The words that Spark takes beyond Java's.
fn special(text: &str) -> Option<Floating> {
    let value = match text.trim().to_lowercase().as_str() {
        "inf" | "+inf" | "infinity" | "+infinity" => f64::INFINITY,
        "-inf" | "-infinity" => f64::NEG_INFINITY,
        "nan" => f64::NAN,
        _ => return None,
    };
    Some(Floating::Special(value))
}

/// `1.8p3` after the `0x`.
fn hexadecimal(text: &str) -> Option<f64> {
    let text = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    let at = text.find(['p', 'P'])?;
    let exponent: i32 = text[at + 1..].parse().ok()?;
    let (whole, fraction) = text[..at].split_once('.').unwrap_or((&text[..at], ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 13 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mantissa = u64::from_str_radix(&digits, 16).ok()?;
    let shift = exponent - 4 * i32::try_from(fraction.len()).ok()?;
    #[allow(
        clippy::cast_precision_loss,
        reason = "13 hexadecimal digits fit 53 bits"
    )]
    Some(mantissa as f64 * 2_f64.powi(shift))
}

/// `CAST(text AS DOUBLE)`.
pub(crate) fn double_of_text(text: &str) -> Option<f64> {
    match floating(text)? {
        Floating::Special(value) | Floating::Hexadecimal(value) => Some(value),
        Floating::Digits(digits) => digits.parse().ok(),
    }
}

/// `CAST(text AS FLOAT)`: rounded once, not through a double.
pub(crate) fn float_of_text(text: &str) -> Option<f32> {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "special values keep their meaning"
    )]
    match floating(text)? {
        Floating::Special(value) | Floating::Hexadecimal(value) => Some(value as f32),
        Floating::Digits(digits) => digits.parse().ok(),
    }
}

/// Decimal digits, a point anywhere, an exponent: rounded half up to the scale. `None` if it has too many digits.
pub(super) fn decimal_of_text(text: &str, precision: u8, scale: i32) -> Option<i128> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], unsigned[at + 1..].parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let ascii: Option<String> = whole
        .chars()
        .chain(fraction.chars())
        .map(ascii_digit)
        .collect();
    let digits = ascii.filter(|digits| !digits.is_empty())?;
    let point = i64::try_from(whole.chars().count()).ok()? + i64::from(exponent);
    let value = digits_at(digits.as_bytes(), point, scale)?;
    let limit = 10_i128.checked_pow(precision.into())?;
    let value = if text.starts_with('-') { -value } else { value };
    (value.abs() < limit).then_some(value)
}

/// The zeros of the scripts whose digits Java takes in decimals.
const ZEROS: [u32; 36] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
    0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90,
    0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
];

/// A digit of any script as `0` to `9`.
fn ascii_digit(c: char) -> Option<char> {
    if c.is_ascii() {
        return c.is_ascii_digit().then_some(c);
    }
    let code = u32::from(c);
    let value = ZEROS
        .iter()
        .find_map(|zero| code.checked_sub(*zero).filter(|v| *v < 10))?;
    char::from_digit(value, 10)
}

/// The number `0.digits × 10^point` at a scale, rounded half up; `None` beyond 38 digits.
pub(super) fn digits_at(digits: &[u8], point: i64, scale: i32) -> Option<i128> {
    let keep = point + i64::from(scale);
    let mut value = 0_i128;
    let mut position = 0_i64;
    while position < keep {
        let digit = usize::try_from(position).ok().and_then(|at| digits.get(at));
        if digit.is_none() && value == 0 {
            return Some(0);
        }
        let digit = digit.map_or(0, |d| i128::from(d - b'0'));
        value = value.checked_mul(10)?.checked_add(digit)?;
        if value >= 10_i128.pow(38) {
            return None;
        }
        position += 1;
    }
    let next = usize::try_from(keep).ok().and_then(|at| digits.get(at));
    Some(value + i128::from(keep >= 0 && next.is_some_and(|d| *d >= b'5')))
}
