//! Decimal numbers as text: digit strings rounded, grouped and printed as `BigDecimal` and
//! `DecimalFormat` do.
//!
//! Promises exact decimal arithmetic on [`Digits`]; never goes through binary floating point but to
//! read a double.

use super::number::Digits;

/// How a half is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Away from zero.
    HalfUp,
    /// To the even neighbour.
    HalfEven,
}

impl Digits {
    /// The digits of a decimal: `unscaled × 10^-scale`.
    pub fn of_decimal(unscaled: i128, scale: i32) -> Self {
        let text = unscaled.unsigned_abs().to_string();
        let digits: Vec<u8> = text.bytes().map(|b| b - b'0').collect();
        let exponent = digits.len() as i32 - scale;
        Self {
            negative: unscaled < 0,
            digits,
            exponent,
        }
    }

    /// Whether the value is zero.
    pub fn is_zero(&self) -> bool {
        self.digits.iter().all(|d| *d == 0)
    }

    /// The value with exactly `scale` decimals (a negative scale zeroes whole digits), rounded.
    pub fn round(&self, scale: i32, rounding: Rounding) -> Self {
        let keep = i64::from(self.exponent) + i64::from(scale);
        if keep >= self.digits.len() as i64 {
            return self.clone();
        }
        let zero = Self {
            negative: self.negative,
            digits: vec![0],
            exponent: 1 - scale,
        };
        if keep < 0 {
            return zero;
        }
        let keep = keep as usize;
        let rest = &self.digits[keep..];
        let up = match rest[0].cmp(&5) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => {
                let odd = keep > 0 && self.digits[keep - 1] % 2 == 1;
                rounding == Rounding::HalfUp || odd || rest[1..].iter().any(|d| *d != 0)
            }
        };
        let mut digits = self.digits[..keep].to_vec();
        let mut exponent = self.exponent;
        if up {
            let mut carried = true;
            for digit in digits.iter_mut().rev() {
                if *digit < 9 {
                    *digit += 1;
                    carried = false;
                    break;
                }
                *digit = 0;
            }
            if carried {
                digits.insert(0, 1);
                exponent += 1;
            }
        }
        if digits.is_empty() {
            return zero;
        }
        Self {
            negative: self.negative,
            digits,
            exponent,
        }
    }

    /// The nearest double.
    pub fn to_double(&self) -> f64 {
        let mut text = String::with_capacity(self.digits.len() + 8);
        if self.negative {
            text.push('-');
        }
        text.push_str("0.");
        text.extend(self.digits.iter().map(|d| char::from(b'0' + d)));
        text.push('e');
        text.push_str(&self.exponent.to_string());
        text.parse().expect("digits and an exponent are a number")
    }

    /// Whole digits (without leading zeros but at least one) and exactly `decimals` fraction
    /// digits, of a value that has been rounded to that many.
    pub fn split(&self, decimals: usize) -> (String, String) {
        let digit_at = |position: i64| {
            let index = position + i64::from(self.exponent) - 1;
            usize::try_from(index)
                .ok()
                .and_then(|i| self.digits.get(i))
                .map_or('0', |d| char::from(b'0' + d))
        };
        let whole: String = (0..i64::from(self.exponent.max(1)))
            .map(|i| digit_at(i - i64::from(self.exponent.max(1)) + 1))
            .collect();
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let fraction = (1..=decimals as i64).map(digit_at).collect();
        (whole.to_owned(), fraction)
    }
}

/// `1234567` as `1,234,567`.
pub fn group_thousands(whole: &str, size: usize) -> String {
    let mut out = String::with_capacity(whole.len() + whole.len() / 3);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && size > 0 && (whole.len() - index).is_multiple_of(size) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Java's `BigDecimal.toPlainString`.
pub fn plain_string(unscaled: i128, scale: i32) -> String {
    let (whole, fraction) = Digits::of_decimal(unscaled, scale).split(scale.max(0) as usize);
    let sign = if unscaled < 0 { "-" } else { "" };
    if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

/// Java's `BigDecimal.toString`: scientific when the exponent is below −6 or the scale is negative.
pub fn scientific_string(unscaled: i128, scale: i32) -> String {
    let digits = unscaled.unsigned_abs().to_string();
    let adjusted = digits.len() as i32 - 1 - scale;
    if scale >= 0 && adjusted >= -6 {
        return plain_string(unscaled, scale);
    }
    let sign = if unscaled < 0 { "-" } else { "" };
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    if adjusted == 0 {
        return format!("{sign}{first}{point}{rest}");
    }
    format!("{sign}{first}{point}{rest}E{adjusted:+}")
}

/// Spark's `round` and `bround` of a double.
pub fn round_double(value: f64, scale: i32, rounding: Rounding) -> f64 {
    if !value.is_finite() {
        return value;
    }
    let rounded = Digits::of_double(value, true).round(scale, rounding);
    // Decimals have no negative zero.
    if rounded.is_zero() {
        0.0
    } else {
        rounded.to_double()
    }
}

/// `unscaled` of scale `from` at scale `to`, rounded; nothing when it does not fit 38 digits.
pub fn rescale(unscaled: i128, from: i32, to: i32, rounding: Rounding) -> Option<i128> {
    const LARGEST: i128 = 10i128.pow(38);
    if to >= from {
        let factor = 10i128.checked_pow(u32::try_from(to - from).ok()?)?;
        return unscaled.checked_mul(factor).filter(|v| v.abs() < LARGEST);
    }
    let Some(factor) = u32::try_from(from - to)
        .ok()
        .and_then(|e| 10i128.checked_pow(e))
    else {
        return Some(0);
    };
    let (quotient, rest) = (unscaled / factor, (unscaled % factor).abs());
    let half = factor / 2;
    let up = rest > half || (rest == half && (rounding == Rounding::HalfUp || quotient % 2 != 0));
    Some(quotient + if up { unscaled.signum() } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_doubles_by_their_decimal_digits() {
        for (value, scale, up, even) in [
            (1.005, 2, 1.01, 1.0),
            (2.5, 0, 3.0, 2.0),
            (-2.5, 0, -3.0, -2.0),
            (0.5, 0, 1.0, 0.0),
            (1.5, -2, 0.0, 0.0),
            (55.0, -2, 100.0, 100.0),
            (50.0, -2, 100.0, 0.0),
            (1.5, 20, 1.5, 1.5),
            (9.99, 1, 10.0, 10.0),
        ] {
            assert_eq!(round_double(value, scale, Rounding::HalfUp), up, "{value}");
            assert_eq!(
                round_double(value, scale, Rounding::HalfEven),
                even,
                "{value}"
            );
        }
        assert!(round_double(-0.0, 2, Rounding::HalfUp).is_sign_positive());
    }

    #[test]
    fn prints_decimals() {
        assert_eq!(scientific_string(0, 18), "0E-18");
        assert_eq!(scientific_string(1, 7), "1E-7");
        assert_eq!(scientific_string(-123, 9), "-1.23E-7");
        assert_eq!(scientific_string(1, 6), "0.000001");
        assert_eq!(scientific_string(150, 2), "1.50");
        assert_eq!(plain_string(1, 7), "0.0000001");
        assert_eq!(plain_string(-15, 1), "-1.5");
        assert_eq!(group_thousands("1234567", 3), "1,234,567");
    }

    #[test]
    fn rescales() {
        assert_eq!(rescale(25, 1, 0, Rounding::HalfUp), Some(3));
        assert_eq!(rescale(25, 1, 0, Rounding::HalfEven), Some(2));
        assert_eq!(rescale(-25, 1, 0, Rounding::HalfUp), Some(-3));
        assert_eq!(rescale(5, 0, 38, Rounding::HalfUp), None);
    }
}
