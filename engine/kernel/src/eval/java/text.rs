//! String functions that are rules of their own: edit distance, sounds, masks, pieces, paddings.
//!
//! All positions count characters (code points), as Spark's do.

/// The edit distance.
pub fn levenshtein(a: &str, b: &str) -> i32 {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<i32> = (0..=b.len() as i32).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i as i32 + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + i32::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The edit distance, or −1 if it is above the threshold.
pub fn levenshtein_within(a: &str, b: &str, threshold: i32) -> i32 {
    let distance = levenshtein(a, b);
    if distance > threshold { -1 } else { distance }
}

/// Soundex of the US, or the text itself if it does not begin with a letter of ASCII.
pub fn soundex(text: &str) -> String {
    const CODES: &[u8; 26] = b"01230127022455012623010202";
    let Some(first) = text.bytes().next().map(|b| b.to_ascii_uppercase()) else {
        return String::new();
    };
    if !first.is_ascii_uppercase() {
        return text.to_owned();
    }
    let mut out = vec![first];
    let mut last = CODES[usize::from(first - b'A')];
    for byte in text.bytes().skip(1) {
        let upper = byte.to_ascii_uppercase();
        if !upper.is_ascii_uppercase() {
            last = b'0';
            continue;
        }
        let code = CODES[usize::from(upper - b'A')];
        // H and W do not separate equal sounds, vowels do.
        if code == b'7' || matches!(upper, b'H' | b'W') {
            continue;
        }
        if code != b'0' && code != last {
            out.push(code);
            if out.len() == 4 {
                break;
            }
        }
        last = code;
    }
    out.resize(4, b'0');
    out.into_iter().map(char::from).collect()
}

/// Replaces characters one by one; those without a counterpart are dropped, the first mapping of a
/// character holds.
pub fn translate(text: &str, from: &str, to: &str) -> String {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    text.chars()
        .filter_map(|c| match from.iter().position(|f| *f == c) {
            // A NUL as a counterpart deletes, as it does in Spark.
            Some(index) => to.get(index).copied().filter(|t| *t != '\0'),
            None => Some(c),
        })
        .collect()
}

/// Characters `start` to `end` (exclusive), of which either may lie outside.
pub fn slice_characters(text: &str, start: i64, end: i64) -> &str {
    if start >= end || end <= 0 {
        return "";
    }
    let start = start.max(0) as usize;
    let end = end as usize;
    if text.is_ascii() {
        let length = text.len();
        return &text[start.min(length)..end.min(length)];
    }
    let offset = |count: usize| {
        text.char_indices()
            .nth(count)
            .map_or(text.len(), |(at, _)| at)
    };
    &text[offset(start)..offset(end)]
}

/// The window of `substring(x, position, length)` over something of `count` elements: from 1, or
/// from the end.
pub fn substring_window(count: i64, position: i32, length: i32) -> (i64, i64) {
    let position = i64::from(position);
    let start = match position {
        p if p > 0 => p - 1,
        p if p < 0 => p + count,
        _ => 0,
    };
    let end = start + i64::from(length).clamp(0, i64::from(i32::MAX));
    // Spark adds in 32 bits and takes an overflow for "to the end", or, below, for the far left.
    let end = end.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    (start, end)
}

/// `substring` by characters.
pub fn substring(text: &str, position: i32, length: i32) -> &str {
    let (start, end) = substring_window(text.chars().count() as i64, position, length);
    slice_characters(text, start, end)
}

/// `substring` by bytes.
pub fn substring_bytes(bytes: &[u8], position: i32, length: i32) -> &[u8] {
    let count = bytes.len() as i64;
    let (start, end) = substring_window(count, position, length);
    let (start, end) = (start.clamp(0, count), end.clamp(0, count));
    if start >= end {
        &[]
    } else {
        &bytes[start as usize..end as usize]
    }
}

/// What stands before the count-th delimiter, or after it counted from the end.
pub fn substring_index<'t>(text: &'t str, delimiter: &str, count: i32) -> &'t str {
    if delimiter.is_empty() || count == 0 {
        return "";
    }
    let step = |found: usize| found + delimiter.chars().next().map_or(1, char::len_utf8);
    if count > 0 {
        let mut from = 0;
        let mut at = 0;
        for _ in 0..count {
            let Some(found) = text.get(from..).and_then(|rest| rest.find(delimiter)) else {
                return text;
            };
            at = from + found;
            from = step(at);
        }
        &text[..at]
    } else {
        let mut limit = text.len();
        let mut at = 0;
        for _ in 0..count.unsigned_abs() {
            // Delimiters may overlap: the next one ends before the last byte of this one.
            let Some(found) = text[..limit].rfind(delimiter) else {
                return text;
            };
            at = found;
            limit = at + delimiter.len() - delimiter.chars().next_back().map_or(1, char::len_utf8);
        }
        &text[at + delimiter.len()..]
    }
}

/// First letters of words (apart by single spaces) large, all others small.
pub fn initcap(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let lower = text.to_lowercase();
    let mut first = true;
    for c in lower.chars() {
        if first {
            out.extend(title_case(c));
        } else {
            out.push(c);
        }
        first = c == ' ';
    }
    out
}

fn title_case(c: char) -> impl Iterator<Item = char> {
    // Java titles one character by one: letters that grow (ß, ﬁ) stay as they are.
    let mut upper = c.to_uppercase();
    let single = if upper.len() == 1 { upper.next() } else { None };
    let titled = match c {
        'ǆ' | 'ǅ' | 'Ǆ' => Some('ǅ'),
        'ǉ' | 'ǈ' | 'Ǉ' => Some('ǈ'),
        'ǌ' | 'ǋ' | 'Ǌ' => Some('ǋ'),
        'ǳ' | 'ǲ' | 'Ǳ' => Some('ǲ'),
        _ => single,
    };
    std::iter::once(titled.unwrap_or(c))
}

/// Replaces letters and digits by what hides them; nothing keeps a kind as it is.
pub fn mask(
    text: &str,
    upper: Option<&str>,
    lower: Option<&str>,
    digit: Option<&str>,
    other: Option<&str>,
) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Java sees what lies beyond the basic plane as two characters that are no letters.
        let halves = c.len_utf16() == 2;
        let replacement = if halves {
            other
        } else if c.is_uppercase() {
            upper
        } else if c.is_lowercase() {
            lower
        } else if c.is_ascii_digit() {
            digit
        } else {
            other
        };
        match replacement {
            Some(text) if halves => out.push_str(&text.repeat(2)),
            Some(text) => out.push_str(text),
            None => out.push(c),
        }
    }
    out
}

/// Position of the item in a comma-separated list, from 1; 0 if absent or if it holds a comma
/// itself.
pub fn find_in_set(item: &str, list: &str) -> i32 {
    if item.contains(',') {
        return 0;
    }
    list.split(',')
        .position(|part| part == item)
        .map_or(0, |i| i as i32 + 1)
}

/// Position of a text from 1, looked for from character `start` (from 1) on; 0 if absent.
pub fn locate(needle: &str, text: &str, start: i32) -> i32 {
    if start < 1 {
        return 0;
    }
    if needle.is_empty() {
        return 1;
    }
    let skipped = slice_characters(text, 0, i64::from(start) - 1).len();
    match text[skipped..].find(needle) {
        Some(found) => text[..skipped + found].chars().count() as i32 + 1,
        None => 0,
    }
}

/// Pads or cuts to a number of characters.
pub fn pad(text: &str, length: i32, padding: &str, left: bool) -> String {
    let length = length.max(0) as usize;
    let count = text.chars().count();
    if count >= length {
        return slice_characters(text, 0, length as i64).to_owned();
    }
    let fill: String = padding
        .chars()
        .cycle()
        .take(if padding.is_empty() {
            0
        } else {
            length - count
        })
        .collect();
    if left {
        fill + text
    } else {
        text.to_owned() + &fill
    }
}

/// Pads or cuts to a number of bytes.
pub fn pad_bytes(bytes: &[u8], length: i32, padding: &[u8], left: bool) -> Vec<u8> {
    let length = length.max(0) as usize;
    if bytes.len() >= length {
        return bytes[..length].to_vec();
    }
    let missing = if padding.is_empty() {
        0
    } else {
        length - bytes.len()
    };
    let mut fill: Vec<u8> = padding.iter().copied().cycle().take(missing).collect();
    if left {
        fill.extend_from_slice(bytes);
        fill
    } else {
        [bytes, &fill].concat()
    }
}

/// Puts `replacement` over `length` characters from `position` (from 1); a negative length takes
/// the replacement's own.
pub fn overlay(text: &str, replacement: &str, position: i32, length: i32) -> String {
    let length = if length >= 0 {
        length
    } else {
        replacement.chars().count() as i32
    };
    let before = substring(text, 1, position.wrapping_sub(1));
    let after = substring(text, position.wrapping_add(length), i32::MAX);
    format!("{before}{replacement}{after}")
}

/// The parts between delimiters, taken literally; an empty delimiter does not split.
pub fn split_literal<'t>(text: &'t str, delimiter: &str) -> Vec<&'t str> {
    if delimiter.is_empty() {
        vec![text]
    } else {
        text.split(delimiter).collect()
    }
}

/// Whether a string of digits passes Luhn's check.
pub fn luhn_check(text: &str) -> bool {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let sum: u32 = text
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, byte)| {
            let digit = u32::from(byte - b'0') << (index % 2);
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The characters of `trim`: those in the set are taken off the chosen ends.
pub fn trim<'t>(text: &'t str, set: &str, left: bool, right: bool) -> &'t str {
    let in_set = |c: char| set.contains(c);
    let text = if left {
        text.trim_start_matches(in_set)
    } else {
        text
    };
    if right {
        text.trim_end_matches(in_set)
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_spark_answers() {
        assert_eq!(levenshtein("kitten", "sitting"), 3);
        assert_eq!(levenshtein_within("kitten", "sitting", 2), -1);
        for (text, code) in [
            ("Robert", "R163"),
            ("Miller", "M460"),
            ("Ashcraft", "A261"),
            ("Tymczak", "T522"),
            ("", ""),
            ("1a", "1a"),
            ("héllo", "H400"),
            ("日本", "日本"),
            ("Pfister", "P236"),
        ] {
            assert_eq!(soundex(text), code);
        }
        assert_eq!(translate("hello", "lo", "0"), "he00");
        assert_eq!(substring("hello", -100, 98), "hel");
        assert_eq!(substring("héllo", 2, 2), "él");
        assert_eq!(substring("hello", 2147483647, 2147483647), "");
        assert_eq!(substring("hello", i32::MIN, i32::MAX), "hell");
        assert_eq!(substring_index("a.b.c", ".", 2), "a.b");
        assert_eq!(substring_index("a.b.c", ".", -1), "c");
        assert_eq!(substring_index("aaaa", "aa", 2), "a");
        assert_eq!(substring_index("aaaa", "aa", -2), "a");
        assert_eq!(initcap("hello wORLD"), "Hello World");
        assert_eq!(
            mask("AbCD123-@$#", Some("Q"), Some("q"), Some("d"), Some("o")),
            "QqQQdddoooo"
        );
        assert_eq!(find_in_set("", ",a"), 1);
        assert_eq!(locate("o", "Hello World", 6), 8);
        assert_eq!(locate("", "abc", 3), 1);
        assert_eq!(pad("hello", 12, "ab", true), "abababahello");
        assert_eq!(pad("hello", 8, "", true), "hello");
        assert_eq!(overlay("hello", "##", 2, 4), "h##");
        assert_eq!(overlay("hello", "X", 1, 0), "Xhello");
        assert!(luhn_check("8112189876"));
        assert!(!luhn_check("8112189875"));
    }
}
