//! Numbers, bytes and texts in other notations: `conv`, `hex`, `unhex`, `base64`, character sets.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Spark's `conv`: a number of one base as text in another; a negative target base means signed.
pub fn convert_base(text: &str, from: i32, to: i32) -> Option<String> {
    let text = text.trim_matches(' ');
    let valid = |base: i32| (2..=36).contains(&base.unsigned_abs());
    if text.is_empty() || from < 2 || !valid(from) || !valid(to) {
        return None;
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let radix = from.unsigned_abs();
    let mut value = 0u64;
    for digit in digits.chars().map_while(|c| c.to_digit(radix)) {
        let next = value
            .checked_mul(u64::from(radix))
            .and_then(|v| v.checked_add(u64::from(digit)));
        value = match next {
            Some(next) => next,
            None => {
                value = u64::MAX;
                break;
            }
        };
    }
    let mut out_negative = negative && to < 0;
    if negative && to > 0 {
        value = if (value as i64) < 0 {
            u64::MAX
        } else {
            (value as i64).wrapping_neg() as u64
        };
    }
    if to < 0 && !negative && (value as i64) < 0 {
        value = (value as i64).wrapping_neg() as u64;
        out_negative = true;
    }
    let text = in_base(value, to.unsigned_abs());
    Some(if out_negative {
        format!("-{text}")
    } else {
        text
    })
}

fn in_base(mut value: u64, base: u32) -> String {
    if value == 0 {
        return "0".to_owned();
    }
    let mut out = Vec::new();
    while value > 0 {
        let digit = (value % u64::from(base)) as u32;
        out.push(
            char::from_digit(digit, base)
                .expect("below the base")
                .to_ascii_uppercase(),
        );
        value /= u64::from(base);
    }
    out.into_iter().rev().collect()
}

/// Bytes as pairs of capital hexadecimal digits.
pub fn hex_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}

/// Bytes of hexadecimal digits, of which an odd first one stands alone; nothing if there is another
/// character.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).map(|d| d as u8))
        .collect();
    let digits = digits?;
    let (first, pairs) = digits.split_at(digits.len() % 2);
    let mut out = first.to_vec();
    out.extend(pairs.chunks(2).map(|pair| pair[0] << 4 | pair[1]));
    Some(out)
}

/// MIME base64: lines of 76 characters apart by CRLF.
pub fn base64_mime(bytes: &[u8]) -> String {
    let plain = base64::engine::general_purpose::STANDARD.encode(bytes);
    let lines: Vec<&str> = (0..plain.len())
        .step_by(76)
        .map(|i| &plain[i..(i + 76).min(plain.len())])
        .collect();
    lines.join("\r\n")
}

/// Reads MIME base64: other characters are passed over; nothing if it ends in the middle of a byte.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, config);
    let kept: String = text
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='))
        .collect();
    let (data, padding) = match kept.find('=') {
        Some(at) => kept.split_at(at),
        None => (kept.as_str(), ""),
    };
    if !padding.trim_start_matches('=').is_empty() {
        return None;
    }
    let needed = (4 - data.len() % 4) % 4;
    let padded = padding.is_empty() || (needed > 0 && needed < 3 && padding.len() >= needed);
    if needed == 3 || !padded {
        return None;
    }
    engine.decode(data).ok()
}

/// Reads base64 as `to_binary` does: blanks are passed over, any other foreign character is
/// refused. The padding may be left out, but not be of another length than it should.
pub fn unbase64_strict(text: &str) -> Option<Vec<u8>> {
    let kept: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let padded = kept.contains('=');
    if !kept.chars().all(fine) || padded && !kept.len().is_multiple_of(4) {
        return None;
    }
    unbase64(&kept)
}

/// Reads base64 as JSON does: whole groups of four.
pub fn unbase64_padded(text: &str) -> Option<Vec<u8>> {
    let signs = text.chars().filter(|c| !c.is_ascii_whitespace()).count();
    signs.is_multiple_of(4).then(|| unbase64_strict(text))?
}

/// A character set that `encode` and `decode` know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the sets' own")]
pub enum Charset {
    UsAscii,
    Iso8859_1,
    Utf8,
    Utf16Be,
    Utf16Le,
    Utf16,
}

impl Charset {
    /// The set of a name, in any case.
    pub fn of_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "US-ASCII" | "ASCII" | "ISO646-US" => Self::UsAscii,
            "ISO-8859-1" | "ISO8859_1" | "LATIN1" | "ISO_8859-1" | "ISO8859-1" | "L1" => {
                Self::Iso8859_1
            }
            "UTF-8" | "UTF8" => Self::Utf8,
            "UTF-16BE" | "UTF_16BE" => Self::Utf16Be,
            "UTF-16LE" | "UTF_16LE" => Self::Utf16Le,
            "UTF-16" | "UTF16" | "UTF_16" => Self::Utf16,
            _ => return None,
        })
    }

    /// The bytes of a text; what the set lacks becomes a question mark.
    pub fn encode(self, text: &str) -> Vec<u8> {
        let narrow = |last: u32| {
            text.chars()
                .map(|c| {
                    u8::try_from(u32::from(c))
                        .ok()
                        .filter(|b| u32::from(*b) <= last)
                        .unwrap_or(b'?')
                })
                .collect()
        };
        match self {
            Self::UsAscii => narrow(127),
            Self::Iso8859_1 => narrow(255),
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Self::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Self::Utf16 if text.is_empty() => Vec::new(),
            Self::Utf16 => [vec![0xfe, 0xff], Self::Utf16Be.encode(text)].concat(),
        }
    }

    /// The text of bytes; what is malformed becomes U+FFFD.
    pub fn decode(self, bytes: &[u8]) -> String {
        let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
            let (pairs, rest) = bytes.as_chunks::<2>();
            let units = pairs.iter().map(|pair| unit(*pair));
            let mut out = String::from_utf16_lossy(&units.collect::<Vec<_>>());
            if !rest.is_empty() {
                out.push('\u{fffd}');
            }
            out
        };
        match self {
            Self::UsAscii => bytes
                .iter()
                .map(|b| if *b < 128 { char::from(*b) } else { '\u{fffd}' })
                .collect(),
            Self::Iso8859_1 => bytes.iter().map(|b| char::from(*b)).collect(),
            Self::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            Self::Utf16Be => wide(bytes, u16::from_be_bytes),
            Self::Utf16Le => wide(bytes, u16::from_le_bytes),
            Self::Utf16 => match bytes {
                [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
                [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
                all => wide(all, u16::from_be_bytes),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases() {
        for (text, from, to, expected) in [
            ("100", 2, 10, Some("4")),
            ("-10", 16, -10, Some("-16")),
            ("-1", 10, 16, Some("FFFFFFFFFFFFFFFF")),
            ("18446744073709551616", 10, 16, Some("FFFFFFFFFFFFFFFF")),
            ("12x", 10, 2, Some("1100")),
            ("1", 1, 10, None),
            ("", 10, 2, None),
            ("9223372036854775807", 36, 16, Some("FFFFFFFFFFFFFFFF")),
            ("FFFFFFFFFFFFFFFF", 16, -10, Some("-1")),
            ("xyz", 10, 2, Some("0")),
        ] {
            assert_eq!(convert_base(text, from, to).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn notations() {
        assert_eq!(unhex("F"), Some(vec![15]));
        assert_eq!(unhex("xyz"), None);
        assert_eq!(base64_mime(&[b'a'; 80]).len(), 110);
        assert_eq!(unbase64("Zg=="), Some(vec![b'f']));
        assert_eq!(unbase64("!!!!"), Some(vec![]));
        assert_eq!(unbase64("Zg"), Some(vec![b'f']));
        assert_eq!(unbase64("Z"), None);
        assert_eq!(Charset::Utf16.encode("é"), [0xfe, 0xff, 0, 0xe9]);
        assert_eq!(Charset::UsAscii.encode("é"), b"?");
        assert_eq!(Charset::Utf16.decode(&[0xff, 0xfe, 0xe9, 0]), "é");
    }
}
