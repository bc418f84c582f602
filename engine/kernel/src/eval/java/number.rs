//! `Double.toString` and `Float.toString` as Java 17 does them, and the decimal digits they are
//! made of.
//!
//! Java before 19 does not always print the shortest digits that round-trip (`2.0E-3` is fine, but
//! 2^-44 has one digit more than needed), so the digit generation itself is followed: digits are
//! developed until the rest is within half a unit in the last place of either neighbour. Promises
//! the same text for every value. Never looks at locale.

use std::cmp::Ordering;

use super::big::BigUnsigned;

/// The significant decimal digits of a finite number: its value is `±0.d₁d₂… × 10^exponent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits {
    /// Whether the number carries a minus sign (negative zero does).
    pub negative: bool,
    /// Digits 0 to 9, most significant first; a zero is the single digit 0.
    pub digits: Vec<u8>,
    /// Power of ten of the point's position.
    pub exponent: i32,
}

/// Java's `Double.toString`.
pub fn double_to_string(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    Digits::of_double(value, true).to_java_string()
}

/// Java's `Float.toString`.
pub fn float_to_string(value: f32) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    Digits::of_float(value).to_java_string()
}

impl Digits {
    fn zero(negative: bool) -> Self {
        Self {
            negative,
            digits: vec![0],
            exponent: 1,
        }
    }

    /// The digits of a finite double. `compatible` is how `toString` asks; formatting in plain or
    /// scientific form asks without it and may get one digit more.
    pub fn of_double(value: f64, compatible: bool) -> Self {
        debug_assert!(value.is_finite());
        let bits = value.to_bits();
        let negative = bits >> 63 == 1;
        let exponent = ((bits >> 52) & 0x7ff) as i32;
        let fraction = bits & ((1 << 52) - 1);
        if exponent == 0 && fraction == 0 {
            return Self::zero(negative);
        }
        let (exponent, fraction, significant) = if exponent == 0 {
            let leading = fraction.leading_zeros();
            let shift = leading - 11;
            (1 - shift as i32, fraction << shift, 64 - leading)
        } else {
            (exponent, fraction | (1 << 52), 53)
        };
        Self::develop(
            negative,
            exponent - 1023,
            fraction,
            significant as i32,
            compatible,
        )
    }

    /// The digits of a finite float, as `Float.toString` develops them.
    pub fn of_float(value: f32) -> Self {
        debug_assert!(value.is_finite());
        let bits = value.to_bits();
        let negative = bits >> 31 == 1;
        let exponent = ((bits >> 23) & 0xff) as i32;
        let fraction = bits & ((1 << 23) - 1);
        if exponent == 0 && fraction == 0 {
            return Self::zero(negative);
        }
        let (exponent, fraction, significant) = if exponent == 0 {
            let leading = fraction.leading_zeros();
            let shift = leading - 8;
            (1 - shift as i32, fraction << shift, 32 - leading)
        } else {
            (exponent, fraction | (1 << 23), 24)
        };
        Self::develop(
            negative,
            exponent - 127,
            u64::from(fraction) << 29,
            significant as i32,
            true,
        )
    }

    fn develop(
        negative: bool,
        exponent: i32,
        fraction: u64,
        significant: i32,
        compatible: bool,
    ) -> Self {
        let tail_zeros = fraction.trailing_zeros() as i32;
        let fraction_bits = 53 - tail_zeros;
        let tiny_bits = (fraction_bits - exponent - 1).max(0);
        if (-21..=62).contains(&exponent) && tiny_bits == 0 && fraction_bits < 64 {
            let insignificant = if exponent > significant {
                insignificant_digits(exponent - significant - 1)
            } else {
                0
            };
            let whole = if exponent >= 52 {
                fraction << (exponent - 52)
            } else {
                fraction >> (52 - exponent)
            };
            return Self::of_whole(negative, whole, insignificant);
        }
        let (mut digits, exponent) = develop_fraction(&Scaled {
            exponent,
            fraction,
            significant,
            tail_zeros,
            tiny_bits,
            compatible,
        });
        let mut out_exponent = exponent;
        if digits.1 {
            round_up(&mut digits.0, &mut out_exponent);
        }
        Self {
            negative,
            digits: digits.0,
            exponent: out_exponent,
        }
    }

    fn of_whole(negative: bool, mut whole: u64, insignificant: u32) -> Self {
        let mut zeros = 0;
        if insignificant > 0 {
            let unit = 10u64.pow(insignificant);
            let residue = whole % unit;
            whole /= unit;
            zeros += insignificant as i32;
            if residue >= unit / 2 {
                whole += 1;
            }
        }
        let mut digits: Vec<u8> = whole.to_string().bytes().map(|b| b - b'0').collect();
        let exponent = digits.len() as i32 + zeros;
        while digits.len() > 1 && digits.last() == Some(&0) {
            digits.pop();
        }
        Self {
            negative,
            digits,
            exponent,
        }
    }

    fn to_java_string(&self) -> String {
        let mut out = String::with_capacity(24);
        if self.negative {
            out.push('-');
        }
        let count = self.digits.len() as i32;
        let text =
            |range: std::ops::Range<usize>| self.digits[range].iter().map(|d| char::from(b'0' + d));
        if (1..8).contains(&self.exponent) {
            let whole = count.min(self.exponent) as usize;
            out.extend(text(0..whole));
            out.extend(std::iter::repeat_n(
                '0',
                (self.exponent - count).max(0) as usize,
            ));
            out.push('.');
            if whole < self.digits.len() {
                out.extend(text(whole..self.digits.len()));
            } else {
                out.push('0');
            }
        } else if (-2..=0).contains(&self.exponent) {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', (-self.exponent) as usize));
            out.extend(text(0..self.digits.len()));
        } else {
            out.extend(text(0..1));
            out.push('.');
            if count > 1 {
                out.extend(text(1..self.digits.len()));
            } else {
                out.push('0');
            }
            out.push('E');
            out.push_str(&(self.exponent - 1).to_string());
        }
        if self.digits == [0] {
            return if self.negative { "-0.0" } else { "0.0" }.to_owned();
        }
        out
    }
}

/// How many low decimal digits of an integer shifted left by `power` bits mean nothing.
fn insignificant_digits(power: i32) -> u32 {
    const TABLE: [u8; 64] = [
        0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 8, 8, 8,
        9, 9, 9, 9, 10, 10, 10, 11, 11, 11, 12, 12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 15, 15,
        16, 16, 16, 17, 17, 17, 18, 18, 18, 19,
    ];
    if power <= 1 {
        return 0;
    }
    TABLE
        .get(power as usize)
        .map_or(0, |digits| u32::from(*digits))
}

struct Scaled {
    exponent: i32,
    fraction: u64,
    significant: i32,
    tail_zeros: i32,
    tiny_bits: i32,
    compatible: bool,
}

fn power_of_five_bits(exponent: i32) -> i32 {
    const BITS: [i32; 27] = [
        0, 3, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28, 31, 33, 35, 38, 40, 42, 45, 47, 49, 52, 54,
        56, 59, 61,
    ];
    BITS.get(exponent as usize).copied().unwrap_or(exponent * 3)
}

/// A first guess of the decimal exponent; it may be one too high.
#[allow(clippy::approx_constant, reason = "the digits that Java uses")]
fn estimate_exponent(fraction: u64, exponent: i32) -> i32 {
    let mantissa = f64::from_bits((1023u64 << 52) | (fraction & ((1 << 52) - 1)));
    let guess =
        (mantissa - 1.5) * 0.289529654 + 0.176091259 + f64::from(exponent) * 0.301029995663981;
    guess.floor() as i32
}

/// The digits, whether to round the last one up, and the exponent.
fn develop_fraction(number: &Scaled) -> ((Vec<u8>, bool), i32) {
    let fraction_bits = 53 - number.tail_zeros;
    let mut decimal = estimate_exponent(number.fraction, number.exponent);
    let five_b = (-decimal).max(0);
    let mut two_b = five_b + number.tiny_bits + number.exponent;
    let five_s = decimal.max(0);
    let mut two_s = five_s + number.tiny_bits;
    let five_m = five_b;
    let mut two_m = two_b - number.significant;
    let fraction = number.fraction >> number.tail_zeros;
    two_b -= fraction_bits - 1;
    let common = two_b.min(two_s);
    two_b -= common;
    two_s -= common;
    two_m -= common;
    if fraction_bits == 1 {
        two_m -= 1;
    }
    if two_m < 0 {
        two_b -= two_m;
        two_s -= two_m;
        two_m = 0;
    }
    let b_bits = fraction_bits + two_b + power_of_five_bits(five_b);
    let ten_s_bits = two_s + 1 + power_of_five_bits(five_s + 1);
    let whole = |start: u64, five: i32, two: i32| {
        let mut out = BigUnsigned::new(start);
        out.multiply_power_of_five(five as u32);
        out.shift_left(two as u32);
        out
    };
    let mut b = whole(fraction, five_b, two_b);
    let s = whole(1, five_s, two_s);
    let mut m = whole(1, five_m, two_m);
    let mut ten_s = s.clone();
    ten_s.multiply(10);
    // Java compares strictly where the numbers fit a long, and not strictly where they do not.
    let strict = b_bits < 64 && ten_s_bits < 64;
    let reaches = |b: &BigUnsigned, m: &BigUnsigned| {
        let order = b.plus(m).compare(&ten_s);
        order == Ordering::Greater || (!strict && order == Ordering::Equal)
    };
    let mut digits = Vec::with_capacity(20);
    let first = b.small_quotient(&s);
    b.multiply(10);
    m.multiply(10);
    let mut low = b.compare(&m) == Ordering::Less;
    let mut high = reaches(&b, &m);
    if first == 0 && !high {
        decimal -= 1;
    } else {
        digits.push(first);
    }
    if !number.compatible || !(-3..8).contains(&decimal) {
        high = false;
        low = false;
    }
    while !low && !high {
        digits.push(b.small_quotient(&s));
        b.multiply(10);
        m.multiply(10);
        low = b.compare(&m) == Ordering::Less;
        high = reaches(&b, &m);
    }
    let up = high && (!low || is_upper_half(&b, &ten_s, &digits));
    ((digits, up), decimal + 1)
}

/// Whether the rest is nearer to the next digit; a half goes to the even one.
fn is_upper_half(rest: &BigUnsigned, ten_s: &BigUnsigned, digits: &[u8]) -> bool {
    let mut twice = rest.clone();
    twice.shift_left(1);
    match twice.compare(ten_s) {
        Ordering::Equal => digits.last().is_some_and(|d| d % 2 == 1),
        Ordering::Greater => true,
        Ordering::Less => false,
    }
}

fn round_up(digits: &mut [u8], exponent: &mut i32) {
    for digit in digits.iter_mut().rev() {
        if *digit < 9 {
            *digit += 1;
            return;
        }
        *digit = 0;
    }
    digits[0] = 1;
    *exponent += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_as_java_17_prints_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.0, "100.0"),
            (1e7, "1.0E7"),
            (9999999.0, "9999999.0"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (1e22, "1.0E22"),
            (2e23, "1.9999999999999998E23"),
            (1.1, "1.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            (5e-324, "4.9E-324"),
            (9007199254740993.0, "9.007199254740992E15"),
            (9.223372036854776e18, "9.223372036854776E18"),
            (2.0f64.powi(-44), "5.6843418860808015E-14"),
            (1.0 / 3.0, "0.3333333333333333"),
            (-2.5, "-2.5"),
            (12345.678, "12345.678"),
        ] {
            assert_eq!(double_to_string(value), text);
        }
    }

    #[test]
    fn floats_as_java_17_prints_them() {
        for (value, text) in [
            (1.5f32, "1.5"),
            (0.1, "0.1"),
            (3.4028235e38, "3.4028235E38"),
            (1.4e-45, "1.4E-45"),
            (16777216.0, "1.6777216E7"),
            (1.0e10, "1.0E10"),
            (0.33333334, "0.33333334"),
        ] {
            assert_eq!(float_to_string(value), text);
        }
    }

    #[test]
    fn text_reads_back_as_the_same_number() {
        let mut seed = 11u64;
        for _ in 0..20_000 {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let value = f64::from_bits(seed ^ (seed >> 17));
            if value.is_finite() {
                assert_eq!(double_to_string(value).parse::<f64>().unwrap(), value);
            }
            let value = f32::from_bits((seed >> 21) as u32);
            if value.is_finite() {
                assert_eq!(float_to_string(value).parse::<f32>().unwrap(), value);
            }
        }
    }
}
