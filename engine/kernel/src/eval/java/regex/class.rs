//! Character classes: what `\d`, `\p{…}` and `[…]` mean to Java, in the syntax of the regex crate.

/// Flags that are on at a point of the pattern.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    pub(super) ignore_case: bool,
    pub(super) multi_line: bool,
    pub(super) dot_all: bool,
    pub(super) comments: bool,
    pub(super) unicode_case: bool,
    pub(super) unix_lines: bool,
    pub(super) unicode_class: bool,
}

/// The inside of the class that a letter escape stands for, and whether it is negated.
pub(super) fn shorthand(letter: char, flags: Flags) -> Option<(&'static str, bool)> {
    let inside = match letter.to_ascii_lowercase() {
        'd' if flags.unicode_class => r"\p{Nd}",
        'd' => "0-9",
        'w' if flags.unicode_class => r"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}",
        'w' => "a-zA-Z0-9_",
        's' if flags.unicode_class => r"\p{White_Space}",
        's' => r"\x20\t\n\x0B\x0C\r",
        'h' => r"\x20\xA0\u{1680}\u{180e}\u{2000}-\u{200a}\u{202f}\u{205f}\u{3000}\t",
        'v' => r"\n\x0B\x0C\r\x85\u{2028}\u{2029}",
        _ => return None,
    };
    Some((inside, letter.is_ascii_uppercase()))
}

/// The inside of the class that a property name stands for; nothing if there is no counterpart.
pub(super) fn property(name: &str, flags: Flags) -> Option<String> {
    if flags.ignore_case && matches!(name, "Lower" | "Upper") {
        return Some("a-zA-Z".to_owned());
    }
    if flags.ignore_case && matches!(name, "Lu" | "Ll" | "Lt" | "IsLu" | "IsLl" | "IsLt") {
        return Some(r"\p{Lu}\p{Ll}\p{Lt}".to_owned());
    }
    let posix = match name {
        "Lower" => "a-z",
        "Upper" => "A-Z",
        "ASCII" => r"\x00-\x7F",
        "Alpha" => "a-zA-Z",
        "Digit" => "0-9",
        "Alnum" => "a-zA-Z0-9",
        "Punct" => r"!-/:-@\[-`\{-~",
        "Graph" => "!-~",
        "Print" => r"\x20-~",
        "Blank" => r"\x20\t",
        "Cntrl" => r"\x00-\x1F\x7F",
        "XDigit" => "0-9a-fA-F",
        "Space" => r"\x20\t\n\x0B\x0C\r",
        "L1" => r"\x00-\xFF",
        "all" => r"\x00-\u{10FFFF}",
        "LC" => r"\p{Lu}\p{Ll}\p{Lt}",
        "javaLowerCase" => r"\p{Lowercase}",
        "javaUpperCase" => r"\p{Uppercase}",
        "javaAlphabetic" => r"\p{Alphabetic}",
        "javaTitleCase" => r"\p{Lt}",
        "javaDigit" => r"\p{Nd}",
        "javaLetter" => r"\p{L}",
        "javaLetterOrDigit" => r"\p{L}\p{Nd}",
        "javaSpaceChar" => r"\p{Z}",
        "javaISOControl" => r"\x00-\x1F\x7F-\x9F",
        "javaWhitespace" => {
            r"\t-\r\x1C-\x20\u{1680}\u{2000}-\u{2006}\u{2008}-\u{200a}\u{2028}\u{2029}\u{205f}\u{3000}"
        }
        _ => "",
    };
    if !posix.is_empty() {
        return Some(posix.to_owned());
    }
    let bare = match name.split_once('=') {
        Some(("general_category" | "gc" | "script" | "sc", value)) => value,
        Some(_) => return None,
        None => name.strip_prefix("Is").unwrap_or(name),
    };
    // Blocks (InGreek) have no counterpart.
    if name.starts_with("In") || !bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let text = format!(r"\p{{{bare}}}");
    regex::Regex::new(&text).is_ok().then_some(text)
}

/// One character inside brackets.
pub(super) fn in_class(c: char) -> String {
    if c.is_ascii_alphanumeric() {
        c.to_string()
    } else {
        format!(r"\u{{{:x}}}", u32::from(c))
    }
}

/// A range inside brackets, with its other case if the flags ask for it.
pub(super) fn range(from: char, to: char, flags: Flags) -> String {
    let mut out = format!("{}-{}", in_class(from), in_class(to));
    if from == to {
        out = in_class(from);
    }
    if flags.ignore_case {
        for (low, high) in [('a', 'z'), ('A', 'Z')] {
            let (start, end) = (from.max(low), to.min(high));
            if start <= end {
                let swap = |c: char| char::from(c as u8 ^ 0x20);
                out.push_str(&format!("{}-{}", swap(start), swap(end)));
            }
        }
        if flags.unicode_case && from == to {
            for other in from.to_lowercase().chain(from.to_uppercase()) {
                out.push_str(&in_class(other));
            }
        }
    }
    out
}
