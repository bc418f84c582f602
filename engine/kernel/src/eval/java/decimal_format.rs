//! `java.text.DecimalFormat` of the US locale: the patterns of `format_number`.
//!
//! Promises HALF_EVEN rounding on the exact value of a decimal and on the printed digits of a
//! double. Knows grouping, minimum and maximum digits, percent and per mille, prefixes, suffixes,
//! quotes and a negative sub-pattern; scientific patterns are refused by name.

use super::decimal::{Rounding, group_thousands};
use super::number::Digits;

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecimalFormat {
    positive: (String, String),
    negative: Option<(String, String)>,
    whole_min: usize,
    fraction_min: usize,
    fraction_max: usize,
    group: usize,
    always_point: bool,
    scale: i32,
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalFormatError {
    /// The pattern is not one.
    #[error("malformed number pattern '{0}'")]
    Malformed(String),
    /// Scientific notation.
    #[error("scientific notation is not supported in the number pattern '{0}'")]
    Scientific(String),
}

impl DecimalFormat {
    /// The format of `format_number(x, decimals)`: `#,###,###,###,###,###,##0.000`.
    pub fn with_decimals(decimals: usize) -> Self {
        Self {
            positive: Default::default(),
            negative: None,
            whole_min: 1,
            fraction_min: decimals,
            fraction_max: decimals,
            group: 3,
            always_point: false,
            scale: 0,
        }
    }

    /// Reads a pattern.
    pub fn parse(pattern: &str) -> Result<Self, DecimalFormatError> {
        let malformed = || DecimalFormatError::Malformed(pattern.to_owned());
        let mut rest = pattern.chars().peekable();
        let mut scale = 0;
        let prefix = read_affix(&mut rest, &mut scale);
        let mut number = String::new();
        while let Some(&c) = rest.peek() {
            if !matches!(c, '#' | '0' | ',' | '.') {
                break;
            }
            number.push(c);
            rest.next();
        }
        if rest.peek() == Some(&'E') {
            return Err(DecimalFormatError::Scientific(pattern.to_owned()));
        }
        let suffix = read_affix(&mut rest, &mut scale);
        let mut negative = None;
        match rest.next() {
            None => {}
            Some(';') => {
                let before = read_affix(&mut rest, &mut 0);
                while rest
                    .next_if(|c| matches!(c, '#' | '0' | ',' | '.'))
                    .is_some()
                {}
                let after = read_affix(&mut rest, &mut 0);
                if rest.next().is_some() {
                    return Err(malformed());
                }
                if (before.as_str(), after.as_str()) != (prefix.as_str(), suffix.as_str()) {
                    negative = Some((before, after));
                }
            }
            Some(_) => return Err(malformed()),
        }
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (number.as_str(), None),
        };
        let fraction_text = fraction.unwrap_or("");
        let ordered = |text: &str, first: char, then: char| {
            text.chars()
                .filter(|c| *c != ',')
                .skip_while(|c| *c == first)
                .all(|c| c == then)
        };
        if fraction_text.contains(['.', ','])
            || !ordered(whole, '#', '0')
            || !ordered(fraction_text, '0', '#')
        {
            return Err(malformed());
        }
        let group = whole.rfind(',').map_or(0, |at| whole.len() - at - 1);
        if whole.ends_with(',') {
            return Err(malformed());
        }
        let whole_min = whole.matches('0').count();
        let fraction_min = fraction_text.matches('0').count();
        Ok(Self {
            positive: (prefix, suffix),
            negative,
            whole_min,
            fraction_min,
            fraction_max: fraction_text.len(),
            group,
            always_point: number.ends_with('.'),
            scale,
        })
    }

    /// Formats a double.
    pub fn format_double(&self, value: f64) -> String {
        if value.is_nan() {
            return "NaN".to_owned();
        }
        if value.is_infinite() {
            return self.with_sign(value < 0.0, "∞");
        }
        // Java prints no more decimals of a double than this.
        const DECIMALS_MAX: usize = 340;
        if self.fraction_max > DECIMALS_MAX {
            let shorter = Self {
                fraction_max: DECIMALS_MAX,
                fraction_min: self.fraction_min.min(DECIMALS_MAX),
                ..self.clone()
            };
            return shorter.format_double(value);
        }
        let value = value * 10f64.powi(self.scale);
        let digits = Digits::of_double(value, true);
        let decimals = digits.digits.len() as i64 - i64::from(digits.exponent);
        if decimals <= self.fraction_max as i64 {
            return self.format_digits(&digits);
        }
        // Where digits are dropped, halves are those of the exact binary value, not of its shortest
        // text.
        let exact = format!("{:.*}", self.fraction_max, value.abs());
        let whole = exact.find('.').unwrap_or(exact.len());
        self.format_digits(&Digits {
            negative: digits.negative,
            exponent: whole as i32,
            digits: exact
                .bytes()
                .filter(u8::is_ascii_digit)
                .map(|b| b - b'0')
                .collect(),
        })
    }

    /// Formats a decimal or whole number.
    pub fn format_decimal(&self, unscaled: i128, scale: i32) -> String {
        let mut digits = Digits::of_decimal(unscaled, scale);
        digits.exponent += self.scale;
        self.format_digits(&digits)
    }

    fn format_digits(&self, digits: &Digits) -> String {
        let rounded = digits.round(self.fraction_max as i32, Rounding::HalfEven);
        let (whole, fraction) = rounded.split(self.fraction_max);
        let mut whole = if whole == "0" { String::new() } else { whole };
        while whole.len() < self.whole_min {
            whole.insert(0, '0');
        }
        let kept = fraction.trim_end_matches('0').len().max(self.fraction_min);
        let fraction = &fraction[..kept];
        // A number without any digit still shows one.
        if whole.is_empty() && fraction.is_empty() {
            whole.push('0');
        }
        let mut body = group_thousands(&whole, self.group);
        if !fraction.is_empty() || self.always_point {
            body.push('.');
            body.push_str(fraction);
        }
        self.with_sign(digits.negative, &body)
    }

    fn with_sign(&self, negative: bool, body: &str) -> String {
        let (prefix, suffix) = &self.positive;
        match (&self.negative, negative) {
            (_, false) => format!("{prefix}{body}{suffix}"),
            (None, true) => format!("-{prefix}{body}{suffix}"),
            (Some((prefix, suffix)), true) => format!("{prefix}{body}{suffix}"),
        }
    }
}

fn read_affix(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, scale: &mut i32) -> String {
    let mut out = String::new();
    let mut quoted = false;
    while let Some(&c) = rest.peek() {
        if c == '\'' {
            rest.next();
            if rest.next_if_eq(&'\'').is_some() {
                out.push('\'');
            } else {
                quoted = !quoted;
            }
            continue;
        }
        if !quoted && matches!(c, '#' | '0' | ',' | '.' | ';') {
            break;
        }
        if !quoted && c == '%' {
            *scale = 2;
        }
        if !quoted && c == '\u{2030}' {
            *scale = 3;
        }
        out.push(if !quoted && c == '\u{a4}' { '$' } else { c });
        rest.next();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_as_java_formats_them() {
        for (pattern, value, text) in [
            ("#,###.00", 1.5, "1.50"),
            ("#,###.00", 0.0, ".00"),
            ("#,###.00", -0.0, "-.00"),
            ("#,###,###,###,###,###,##0", 1234.5, "1,234"),
            ("0.##", 3.24159, "3.24"),
            ("0.##", 3.0, "3"),
            ("00000.0", 12.25, "00012.2"),
            ("#%", 0.256, "26%"),
            ("$#,##0.00;($#)", -1234.567, "($1,234.57)"),
            ("#", 0.2, "0"),
            ("#.#", 12.34, "12.3"),
            ("'#'0", 5.0, "#5"),
            ("##,####", 123456789.0, "1,2345,6789"),
        ] {
            assert_eq!(
                DecimalFormat::parse(pattern).unwrap().format_double(value),
                text,
                "{pattern}"
            );
        }
        assert_eq!(DecimalFormat::with_decimals(0).format_double(2.5), "2");
        assert_eq!(DecimalFormat::with_decimals(2).format_double(1.005), "1.00");
        assert_eq!(DecimalFormat::with_decimals(2).format_double(1.015), "1.01");
        assert_eq!(
            DecimalFormat::with_decimals(20).format_double(0.1),
            "0.10000000000000000000"
        );
        assert_eq!(DecimalFormat::with_decimals(1).format_double(9.96), "10.0");
        assert_eq!(
            DecimalFormat::with_decimals(4).format_decimal(15, 1),
            "1.5000"
        );
        assert!(DecimalFormat::parse("0#").is_err());
        assert!(DecimalFormat::parse("0E0").is_err());
    }
}
