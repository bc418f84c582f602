//! `java.util.Formatter` of the US locale: `format_string` and `printf`.
//!
//! Promises Java's text for `%b %c %d %o %x %e %f %g %h %s %n %%` with all their flags, widths,
//! precisions and argument indexes, and an error where Java throws. Dates (`%t`) and hexadecimal
//! floats (`%a`) are refused by name.

use super::decimal::{Rounding, group_thousands};
use super::number::Digits;

/// One argument as Spark hands it to the formatter.
#[derive(Clone, Debug, PartialEq)]
pub enum FormatArgument {
    /// A null.
    Null,
    /// A boolean.
    Boolean(bool),
    /// An integer of this many bits; dates and timestamps arrive as their numbers.
    Integer(i64, u32),
    /// A float or double and its own text.
    Floating(f64, String),
    /// Anything else: its text, and the class that messages name.
    Other(String, &'static str),
}

/// Why a format cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A `%` that begins no specifier.
    #[error("unknown format conversion '{0}'")]
    UnknownConversion(String),
    /// Flags, width or precision that the conversion does not take.
    #[error("the format specifier '{0}' is not valid")]
    Invalid(String),
    /// Fewer arguments than specifiers.
    #[error("the format specifier '{0}' has no argument")]
    MissingArgument(String),
    /// An argument of another type.
    #[error("the format conversion '{0}' does not take a {1}")]
    Conversion(char, &'static str),
    /// A conversion that is not supported here.
    #[error("the format conversion '{0}' is not supported")]
    Unsupported(char),
}

#[derive(Clone, Debug, Default)]
struct Specifier {
    text: String,
    index: Option<i32>,
    flags: String,
    width: Option<usize>,
    precision: Option<usize>,
    conversion: char,
}

impl Specifier {
    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    fn invalid(&self) -> FormatError {
        FormatError::Invalid(self.text.clone())
    }
}

/// Formats `arguments` by `format`.
pub fn format(format: &str, arguments: &[FormatArgument]) -> Result<String, FormatError> {
    let chars: Vec<char> = format.chars().collect();
    let mut out = String::with_capacity(format.len() + 16);
    let mut at = 0;
    let mut ordinary = 0;
    let mut last: Option<usize> = None;
    while at < chars.len() {
        if chars[at] != '%' {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        let specifier = read_specifier(&chars, &mut at)?;
        match specifier.conversion {
            'n' => {
                if specifier.width.is_some()
                    || specifier.precision.is_some()
                    || !specifier.flags.is_empty()
                {
                    return Err(specifier.invalid());
                }
                out.push('\n');
                continue;
            }
            '%' => {
                if specifier.precision.is_some()
                    || (specifier.has('-') && specifier.width.is_none())
                {
                    return Err(specifier.invalid());
                }
                out.push_str(&justify("%".to_owned(), &specifier));
                continue;
            }
            _ => {}
        }
        let position = match specifier.index {
            Some(-1) => last,
            Some(index) => Some(index as usize - 1),
            None => {
                ordinary += 1;
                Some(ordinary - 1)
            }
        };
        let argument = position.and_then(|p| arguments.get(p));
        let Some(argument) = argument else {
            return Err(FormatError::MissingArgument(specifier.text));
        };
        last = position;
        out.push_str(&print(&specifier, argument)?);
    }
    Ok(out)
}

fn read_number(chars: &[char], at: &mut usize) -> Option<usize> {
    let start = *at;
    while chars.get(*at).is_some_and(char::is_ascii_digit) {
        *at += 1;
    }
    chars[start..*at].iter().collect::<String>().parse().ok()
}

fn read_specifier(chars: &[char], at: &mut usize) -> Result<Specifier, FormatError> {
    let start = *at;
    *at += 1;
    let mut specifier = Specifier::default();
    if chars.get(*at) == Some(&'<') {
        specifier.index = Some(-1);
        *at += 1;
    } else if chars.get(*at).is_some_and(|c| ('1'..='9').contains(c)) {
        let mut probe = *at;
        let number = read_number(chars, &mut probe);
        if chars.get(probe) == Some(&'$') {
            specifier.index = number.and_then(|n| i32::try_from(n).ok());
            *at = probe + 1;
        }
    }
    while let Some(&c) = chars.get(*at).filter(|c| "-#+ 0,(".contains(**c)) {
        if specifier.flags.contains(c) {
            return Err(FormatError::Invalid(chars[start..=*at].iter().collect()));
        }
        specifier.flags.push(c);
        *at += 1;
    }
    if chars.get(*at).is_some_and(char::is_ascii_digit) {
        specifier.width = read_number(chars, at);
    }
    if chars.get(*at) == Some(&'.') {
        *at += 1;
        specifier.precision = read_number(chars, at);
        if specifier.precision.is_none() {
            let end = (*at + 1).min(chars.len());
            return Err(FormatError::UnknownConversion(
                chars[start..end].iter().collect(),
            ));
        }
    }
    let Some(&conversion) = chars.get(*at) else {
        return Err(FormatError::UnknownConversion("%".to_owned()));
    };
    *at += 1;
    specifier.conversion = conversion;
    specifier.text = chars[start..*at].iter().collect();
    const LONGEST: usize = 1 << 24;
    if specifier.width.max(specifier.precision) > Some(LONGEST) {
        return Err(specifier.invalid());
    }
    if conversion == 't' || conversion == 'T' {
        return Err(FormatError::Unsupported(conversion));
    }
    if !"bBhHsScCdoxXeEfgGaA%n".contains(conversion) {
        return Err(FormatError::UnknownConversion(specifier.text));
    }
    Ok(specifier)
}

fn print(specifier: &Specifier, argument: &FormatArgument) -> Result<String, FormatError> {
    let conversion = specifier.conversion;
    let needs_width = (specifier.has('-') || specifier.has('0')) && specifier.width.is_none();
    let clashes =
        specifier.has('-') && specifier.has('0') || specifier.has('+') && specifier.has(' ');
    if needs_width || clashes {
        return Err(specifier.invalid());
    }
    let text = match conversion.to_ascii_lowercase() {
        'b' | 's' | 'h' => general(specifier, argument)?,
        'c' => character(specifier, argument)?,
        'd' | 'o' | 'x' => integer(specifier, argument)?,
        'e' | 'f' | 'g' => floating(specifier, argument)?,
        _ => return Err(FormatError::Unsupported(conversion)),
    };
    Ok(if conversion.is_ascii_uppercase() {
        text.to_uppercase()
    } else {
        text
    })
}

fn justify(text: String, specifier: &Specifier) -> String {
    let length = text.encode_utf16().count();
    let pad = specifier.width.unwrap_or(0).saturating_sub(length);
    if pad == 0 {
        text
    } else if specifier.has('-') {
        text + &" ".repeat(pad)
    } else {
        " ".repeat(pad) + &text
    }
}

fn general(specifier: &Specifier, argument: &FormatArgument) -> Result<String, FormatError> {
    if specifier.flags.chars().any(|f| f != '-') {
        return Err(specifier.invalid());
    }
    let boolean = specifier.conversion.eq_ignore_ascii_case(&'b');
    if specifier.conversion.eq_ignore_ascii_case(&'h') && *argument != FormatArgument::Null {
        return match argument {
            FormatArgument::Boolean(v) => Ok(justify(
                if *v { "4cf" } else { "4d5" }.to_owned(),
                specifier,
            )),
            FormatArgument::Integer(v, 64) => Ok(justify(
                format!("{:x}", (*v ^ (*v >> 32)) as i32),
                specifier,
            )),
            FormatArgument::Integer(v, _) => Ok(justify(format!("{:x}", *v as i32), specifier)),
            _ => Err(FormatError::Unsupported(specifier.conversion)),
        };
    }
    let text = match argument {
        FormatArgument::Null => if boolean { "false" } else { "null" }.to_owned(),
        FormatArgument::Boolean(value) => value.to_string(),
        _ if boolean => "true".to_owned(),
        FormatArgument::Integer(value, _) => value.to_string(),
        FormatArgument::Floating(_, text) | FormatArgument::Other(text, _) => text.clone(),
    };
    let text = match specifier.precision {
        Some(most) => text.chars().take(most).collect(),
        None => text,
    };
    Ok(justify(text, specifier))
}

fn character(specifier: &Specifier, argument: &FormatArgument) -> Result<String, FormatError> {
    if specifier.precision.is_some() || specifier.flags.chars().any(|f| f != '-') {
        return Err(specifier.invalid());
    }
    let text = match argument {
        FormatArgument::Null => "null".to_owned(),
        FormatArgument::Integer(code, bits) if *bits < 64 => u32::try_from(*code)
            .ok()
            .and_then(char::from_u32)
            .map(String::from)
            .ok_or_else(|| specifier.invalid())?,
        FormatArgument::Integer(..) => return Err(FormatError::Conversion('c', "Long")),
        FormatArgument::Boolean(_) => return Err(FormatError::Conversion('c', "Boolean")),
        FormatArgument::Floating(..) => return Err(FormatError::Conversion('c', "Double")),
        FormatArgument::Other(_, class) => return Err(FormatError::Conversion('c', class)),
    };
    Ok(justify(text, specifier))
}

fn null_text(specifier: &Specifier) -> String {
    let most = specifier.precision.unwrap_or(4);
    justify("null".chars().take(most).collect(), specifier)
}

fn integer(specifier: &Specifier, argument: &FormatArgument) -> Result<String, FormatError> {
    if specifier.precision.is_some() {
        return Err(specifier.invalid());
    }
    let conversion = specifier.conversion.to_ascii_lowercase();
    let refused = if conversion == 'd' { "#" } else { "(, +" };
    // A null prints before the flags of the conversion are looked at by its type, but the common
    // checks still hold.
    if conversion == 'd' && specifier.has('#') || conversion != 'd' && specifier.has(',') {
        return Err(specifier.invalid());
    }
    let (value, bits) = match argument {
        FormatArgument::Null => return Ok(null_text(specifier)),
        FormatArgument::Integer(value, bits) => (*value, *bits),
        FormatArgument::Boolean(_) => return Err(FormatError::Conversion(conversion, "Boolean")),
        FormatArgument::Floating(..) => return Err(FormatError::Conversion(conversion, "Double")),
        FormatArgument::Other(_, class) => return Err(FormatError::Conversion(conversion, class)),
    };
    if specifier.flags.chars().any(|f| refused.contains(f)) {
        return Err(specifier.invalid());
    }
    if conversion == 'd' {
        let whole = value.unsigned_abs().to_string();
        return Ok(signed(specifier, value < 0, whole, ""));
    }
    let mask = if bits >= 64 {
        u64::MAX
    } else {
        (1u64 << bits) - 1
    };
    let value = value as u64 & mask;
    let mut text = if conversion == 'x' {
        format!("{value:x}")
    } else {
        format!("{value:o}")
    };
    let lead = match (specifier.has('#'), conversion) {
        (false, _) => "",
        (true, 'x') => "0x",
        (true, _) => "0",
    };
    if specifier.has('0') {
        let pad = specifier
            .width
            .unwrap_or(0)
            .saturating_sub(lead.len() + text.len());
        text.insert_str(0, &"0".repeat(pad));
    }
    Ok(justify(format!("{lead}{text}"), specifier))
}

/// Sign, grouping, zero padding and parentheses around whole digits and what follows them.
fn signed(specifier: &Specifier, negative: bool, whole: String, rest: &str) -> String {
    let whole = if specifier.has(',') {
        group_thousands(&whole, 3)
    } else {
        whole
    };
    let (before, after) = match negative {
        true if specifier.has('(') => ("(", ")"),
        true => ("-", ""),
        false if specifier.has('+') => ("+", ""),
        false if specifier.has(' ') => (" ", ""),
        false => ("", ""),
    };
    let mut body = whole + rest;
    if specifier.has('0') {
        let length = body.chars().count() + before.len() + after.len();
        let pad = specifier.width.unwrap_or(0).saturating_sub(length);
        body.insert_str(0, &"0".repeat(pad));
    }
    justify(format!("{before}{body}{after}"), specifier)
}

fn floating(specifier: &Specifier, argument: &FormatArgument) -> Result<String, FormatError> {
    let conversion = specifier.conversion.to_ascii_lowercase();
    let refused = match conversion {
        'e' => ",",
        'g' => "#",
        _ => "",
    };
    if specifier.flags.chars().any(|f| refused.contains(f)) {
        return Err(specifier.invalid());
    }
    let value = match argument {
        FormatArgument::Null => return Ok(null_text(specifier)),
        FormatArgument::Floating(value, _) => *value,
        FormatArgument::Integer(_, 64) => return Err(FormatError::Conversion(conversion, "Long")),
        FormatArgument::Integer(..) => return Err(FormatError::Conversion(conversion, "Integer")),
        FormatArgument::Boolean(_) => return Err(FormatError::Conversion(conversion, "Boolean")),
        FormatArgument::Other(_, class) => return Err(FormatError::Conversion(conversion, class)),
    };
    if !value.is_finite() {
        let plain = Specifier {
            flags: specifier.flags.replace(['0', ','], ""),
            ..specifier.clone()
        };
        if value.is_nan() {
            return Ok(justify("NaN".to_owned(), &plain));
        }
        return Ok(signed(&plain, value < 0.0, "Infinity".to_owned(), ""));
    }
    let digits = Digits::of_double(value, false);
    let precision = specifier.precision.unwrap_or(6);
    let (whole, rest) = match conversion {
        'e' => scientific(&digits, precision),
        'f' => plain(&digits, precision),
        _ => either(&digits, precision.max(1)),
    };
    let mark = if specifier.has('#') && rest.is_empty() {
        "."
    } else {
        ""
    };
    Ok(signed(
        specifier,
        digits.negative,
        whole,
        &format!("{mark}{rest}"),
    ))
}

fn plain(digits: &Digits, precision: usize) -> (String, String) {
    let (whole, fraction) = digits
        .round(precision as i32, Rounding::HalfUp)
        .split(precision);
    let point = if precision > 0 { "." } else { "" };
    (whole, format!("{point}{fraction}"))
}

fn scientific(digits: &Digits, precision: usize) -> (String, String) {
    let mantissa = Digits {
        exponent: 1,
        ..digits.clone()
    };
    let rounded = mantissa.round(precision as i32, Rounding::HalfUp);
    let mut exponent = if digits.is_zero() {
        0
    } else {
        digits.exponent - 1
    };
    let normal = Digits {
        exponent: 1,
        ..rounded.clone()
    };
    if rounded.exponent > 1 {
        exponent += 1;
    }
    let (whole, fraction) = normal.split(precision);
    let point = if precision > 0 { "." } else { "" };
    let sign = if exponent < 0 { '-' } else { '+' };
    (
        whole,
        format!("{point}{fraction}e{sign}{:02}", exponent.abs()),
    )
}

/// `%g`: after rounding to the precision, plain from 10^-4 up to 10^precision, scientific outside.
fn either(digits: &Digits, precision: usize) -> (String, String) {
    if digits.is_zero() {
        return plain(digits, precision - 1);
    }
    let rounded = digits.round(precision as i32 - digits.exponent, Rounding::HalfUp);
    if rounded.exponent > -4 && rounded.exponent <= precision as i32 {
        plain(&rounded, (precision as i32 - rounded.exponent) as usize)
    } else {
        scientific(&rounded, precision - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(value: i32) -> FormatArgument {
        FormatArgument::Integer(value.into(), 32)
    }

    fn double(value: f64) -> FormatArgument {
        FormatArgument::Floating(value, super::super::number::double_to_string(value))
    }

    fn text(value: &str) -> FormatArgument {
        FormatArgument::Other(value.to_owned(), "UTF8String")
    }

    #[test]
    fn formats_as_java_does() {
        for (pattern, arguments, expected) in [
            ("%s-%d", vec![text("hello"), int(1)], "hello-1"),
            (
                "%5d|%-5d|%05d",
                vec![int(1), int(1), int(1)],
                "    1|1    |00001",
            ),
            ("%.2f", vec![double(1.005)], "1.01"),
            ("%.2f", vec![FormatArgument::Null], "nu"),
            ("%e", vec![double(1.5)], "1.500000e+00"),
            ("%e", vec![double(9999999.9)], "1.000000e+07"),
            (
                "%X %o",
                vec![int(i32::MAX), int(-1)],
                "7FFFFFFF 37777777777",
            ),
            (
                "%,d",
                vec![FormatArgument::Integer(i64::MAX, 64)],
                "9,223,372,036,854,775,807",
            ),
            ("%%|%n", vec![], "%|\n"),
            ("%2$s %1$s %<s", vec![text("a"), text("b")], "b a a"),
            (
                "%(,.2f|%+d|% d",
                vec![double(-1234.5), int(3), int(4)],
                "(1,234.50)|+3| 4",
            ),
            ("%08.2f", vec![double(-3.24159)], "-0003.24"),
            (
                "%g|%g|%g",
                vec![double(0.0001), double(123456.0), double(0.00001)],
                "0.000100000|123456|1.00000e-05",
            ),
            (
                "%b %B",
                vec![FormatArgument::Boolean(true), FormatArgument::Null],
                "true FALSE",
            ),
            ("%#x %c", vec![int(255), int(65)], "0xff A"),
            ("%.0f %.0f", vec![double(0.5), double(1.5)], "1 2"),
            ("%10.3s|", vec![text("abcdef")], "       abc|"),
            ("%-6s|", vec![text("ab")], "ab    |"),
            ("%f", vec![double(f64::NEG_INFINITY)], "-Infinity"),
        ] {
            assert_eq!(format(pattern, &arguments).unwrap(), expected, "{pattern}");
        }
    }

    #[test]
    fn refuses_what_java_refuses() {
        for (pattern, arguments) in [
            ("%d", vec![text("x")]),
            ("%c", vec![text("x")]),
            ("%d", vec![]),
            ("%y", vec![int(1)]),
            ("%-d", vec![int(1)]),
            ("%", vec![]),
            ("%.2d", vec![int(1)]),
            ("%f", vec![int(1)]),
        ] {
            assert!(format(pattern, &arguments).is_err(), "{pattern}");
        }
    }
}
