//! From Java's pattern syntax to that of the regex and fancy-regex crates.

use super::RegexError;
use super::class::{self, Flags};

/// What the translation may take for granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The text has no line terminator.
    NoTerminators,
    /// Any text.
    Exact,
}

/// A translated pattern.
#[derive(Debug)]
pub(super) struct Translated {
    pub(super) text: String,
    pub(super) backtracking: bool,
    pub(super) depends_on_terminators: bool,
    pub(super) group_count: usize,
    pub(super) names: Vec<(String, usize)>,
}

struct Translator<'p> {
    pattern: &'p str,
    chars: Vec<char>,
    at: usize,
    dialect: Dialect,
    flags: Flags,
    out: Translated,
    groups_total: usize,
}

type Outcome<T> = Result<T, RegexError>;

/// Translates a pattern.
pub(super) fn translate(pattern: &str, dialect: Dialect) -> Outcome<Translated> {
    let mut translator = Translator {
        pattern,
        chars: without_quoting(pattern),
        at: 0,
        dialect,
        flags: Flags::default(),
        out: Translated {
            text: String::with_capacity(pattern.len() + 16),
            backtracking: false,
            depends_on_terminators: false,
            group_count: 0,
            names: Vec::new(),
        },
        groups_total: 0,
    };
    translator.groups_total = count_groups(&translator.chars);
    translator.alternatives(0)?;
    if translator.at < translator.chars.len() {
        return Err(translator.invalid("unmatched closing ')'"));
    }
    Ok(translator.out)
}

/// The pattern with what stands between `\\Q` and `\\E` escaped one by one, as Java does before it
/// parses.
fn without_quoting(pattern: &str) -> Vec<char> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = Vec::with_capacity(chars.len());
    let mut quoted = false;
    let mut begins = false;
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        let next = chars.get(at + 1).copied();
        at += 1;
        match (quoted, c, next) {
            (false, '\\', Some('Q')) | (true, '\\', Some('E')) => {
                quoted = !quoted;
                begins = quoted;
                at += 1;
                continue;
            }
            (false, '\\', Some(escaped)) => {
                out.extend([c, escaped]);
                at += 1;
            }
            // A digit must not join an escape before the quotation.
            (true, '0'..='9', _) if begins => out.extend(['\\', 'x', '3', c]),
            (true, c, _) if !c.is_ascii_alphanumeric() => out.extend(['\\', c]),
            (_, c, _) => out.push(c),
        }
        begins = false;
    }
    out
}

/// Capturing groups, counted roughly ahead: it only decides how many digits a back reference takes.
fn count_groups(chars: &[char]) -> usize {
    let open = |i: usize| chars[i] == '(' && (i == 0 || chars[i - 1] != '\\');
    let named =
        |i: usize| chars.get(i + 2) == Some(&'<') && !matches!(chars.get(i + 3), Some('=' | '!'));
    let capturing = |i: usize| chars.get(i + 1) != Some(&'?') || named(i);
    (0..chars.len())
        .filter(|i| open(*i) && capturing(*i))
        .count()
}

impl Translator<'_> {
    fn invalid(&self, reason: &str) -> RegexError {
        RegexError::Invalid {
            pattern: self.pattern.to_owned(),
            reason: format!("{reason} near index {}", self.at),
        }
    }

    fn unsupported(&self, feature: &str) -> RegexError {
        RegexError::Unsupported {
            pattern: self.pattern.to_owned(),
            feature: feature.to_owned(),
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += 1;
        c
    }

    fn eat(&mut self, text: &str) -> bool {
        let length = text.chars().count();
        let found = self.chars[self.at.min(self.chars.len())..]
            .iter()
            .copied()
            .take(length)
            .eq(text.chars());
        if found {
            self.at += length;
        }
        found
    }

    fn push(&mut self, text: &str) {
        self.out.text.push_str(text);
    }

    fn alternatives(&mut self, depth: usize) -> Outcome<()> {
        if depth > 200 {
            return Err(self.unsupported("groups nested this deep"));
        }
        loop {
            if self.flags.comments {
                self.skip_comments();
            }
            match self.peek() {
                None | Some(')') => return Ok(()),
                Some('|') => {
                    self.at += 1;
                    self.push("|");
                }
                Some(_) => self.quantified(depth)?,
            }
        }
    }

    fn skip_comments(&mut self) {
        while let Some(c) = self.peek() {
            if c == '#' {
                while self
                    .peek()
                    .is_some_and(|c| !super::TERMINATORS.contains(&c))
                {
                    self.at += 1;
                }
            } else if c.is_ascii_whitespace() || c == '\x0b' {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    fn quantified(&mut self, depth: usize) -> Outcome<()> {
        let start = self.out.text.len();
        if matches!(self.peek(), Some('*' | '+' | '?')) {
            return Err(self.invalid("dangling meta character"));
        }
        if self.peek() == Some('{') {
            return Err(self.invalid("illegal repetition"));
        }
        if !self.atom(depth)? {
            return Ok(());
        }
        if self.flags.comments {
            self.skip_comments();
        }
        let repeat = match self.peek() {
            Some(c @ ('*' | '+' | '?')) => {
                self.at += 1;
                c.to_string()
            }
            Some('{') => self.counted()?,
            _ => return Ok(()),
        };
        // What may stand for several tokens is held together.
        let atom = self.out.text.split_off(start);
        self.push(&format!("(?:{atom}){repeat}"));
        match self.peek() {
            Some('?') => {
                self.at += 1;
                self.push("?");
            }
            Some('+') => {
                self.at += 1;
                self.out.backtracking = true;
                let body = self.out.text.split_off(start);
                self.push(&format!("(?>{body})"));
            }
            _ => {}
        }
        Ok(())
    }

    fn counted(&mut self) -> Outcome<String> {
        self.at += 1;
        let number = |this: &mut Self| {
            let start = this.at;
            while this.peek().is_some_and(|c| c.is_ascii_digit()) {
                this.at += 1;
            }
            this.chars[start..this.at].iter().collect::<String>()
        };
        let low = number(self);
        if low.is_empty() {
            return Err(self.invalid("illegal repetition"));
        }
        let mut text = format!("{{{low}");
        if self.peek() == Some(',') {
            self.at += 1;
            let high = number(self);
            if let (Ok(low), Ok(high)) = (low.parse::<u64>(), high.parse::<u64>())
                && high < low
            {
                return Err(self.invalid("illegal repetition range"));
            }
            text.push(',');
            text.push_str(&high);
        }
        if self.next() != Some('}') {
            return Err(self.invalid("unclosed counted closure"));
        }
        text.push('}');
        Ok(text)
    }

    /// One element; `false` if it was a flag that stands for nothing.
    fn atom(&mut self, depth: usize) -> Outcome<bool> {
        let c = self.next().expect("the caller has seen a character");
        match c {
            '(' => return self.group(depth),
            '[' => {
                let text = self.class(0)?;
                self.push(&text);
            }
            '.' => {
                let text = match self.flags {
                    Flags { dot_all: true, .. } => "(?s:.)",
                    Flags {
                        unix_lines: true, ..
                    } => r"[^\n]",
                    _ => r"[^\n\r\u{85}\u{2028}\u{2029}]",
                };
                self.push(text);
            }
            '^' => self.line_start(),
            '$' => self.line_end(self.flags.multi_line),
            '\\' => return self.escape(),
            c => self.literal(c),
        }
        Ok(true)
    }

    fn literal(&mut self, c: char) {
        if self.flags.ignore_case && (c.is_ascii_alphabetic() || self.flags.unicode_case) {
            let text = format!("[{}]", class::range(c, c, self.flags));
            self.push(&text);
        } else {
            let text = regex::escape(c.encode_utf8(&mut [0; 4]));
            self.push(&text);
        }
    }

    fn line_start(&mut self) {
        if !self.flags.multi_line {
            return self.push(r"\A");
        }
        self.out.depends_on_terminators = true;
        self.out.backtracking = true;
        let text = match (self.dialect, self.flags.unix_lines) {
            (Dialect::NoTerminators, _) => r"\A(?!\z)",
            (Dialect::Exact, true) => r"(?:\A|(?<=\n))(?!\z)",
            (Dialect::Exact, false) => {
                r"(?:\A|(?<=[\n\u{85}\u{2028}\u{2029}])|(?<=\r)(?!\n))(?!\z)"
            }
        };
        self.push(text);
    }

    fn line_end(&mut self, multi_line: bool) {
        self.out.depends_on_terminators = true;
        if self.dialect == Dialect::NoTerminators {
            return self.push(r"\z");
        }
        self.out.backtracking = true;
        self.push(match (multi_line, self.flags.unix_lines) {
            (true, true) => r"(?=\n|\z)",
            (true, false) => r"(?:\z|(?=[\r\u{85}\u{2028}\u{2029}])|(?<!\r)(?=\n))",
            (false, true) => r"(?=\n?\z)",
            (false, false) => r"(?:\z|(?=\r\n\z)|(?=[\r\u{85}\u{2028}\u{2029}]\z)|(?<!\r)(?=\n\z))",
        });
    }

    fn group(&mut self, depth: usize) -> Outcome<bool> {
        let outer = self.flags;
        if self.eat("?") {
            if self.eat("<=") || self.eat("<!") || self.eat("=") || self.eat("!") || self.eat(">") {
                let sign = self.chars[self.at - 1];
                let behind = self.chars[self.at - 2] == '<';
                self.out.backtracking = true;
                self.push(if behind { "(?<" } else { "(?" });
                self.push(sign.encode_utf8(&mut [0; 4]));
            } else if self.eat("<") {
                let name: String = std::iter::from_fn(|| {
                    let c = self.peek().filter(char::is_ascii_alphanumeric)?;
                    self.at += 1;
                    Some(c)
                })
                .collect();
                if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !self.eat(">") {
                    return Err(self.invalid("named capturing group is missing its name"));
                }
                if self.out.names.iter().any(|(known, _)| *known == name) {
                    return Err(self.invalid("a group of this name is already defined"));
                }
                self.out.group_count += 1;
                self.out.names.push((name, self.out.group_count));
                self.push("(");
            } else {
                self.inline_flags()?;
                if self.eat(")") {
                    return Ok(false);
                }
                if !self.eat(":") {
                    return Err(self.invalid("unknown group type"));
                }
                self.push("(?:");
            }
        } else {
            self.out.group_count += 1;
            self.push("(");
        }
        self.alternatives(depth + 1)?;
        if self.next() != Some(')') {
            return Err(self.invalid("unclosed group"));
        }
        self.push(")");
        self.flags = outer;
        Ok(true)
    }

    fn inline_flags(&mut self) -> Outcome<()> {
        let mut on = true;
        loop {
            let flag = match self.peek() {
                Some('i') => &mut self.flags.ignore_case,
                Some('m') => &mut self.flags.multi_line,
                Some('s') => &mut self.flags.dot_all,
                Some('x') => &mut self.flags.comments,
                Some('u') => &mut self.flags.unicode_case,
                Some('d') => &mut self.flags.unix_lines,
                Some('U') => &mut self.flags.unicode_class,
                Some('-') if on => {
                    on = false;
                    self.at += 1;
                    continue;
                }
                Some(':' | ')') => return Ok(()),
                _ => return Err(self.invalid("unknown inline modifier")),
            };
            *flag = on;
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Outcome<bool> {
        let Some(c) = self.next() else {
            return Err(self.invalid("unexpected internal error"));
        };
        if let Some((inside, negated)) = class::shorthand(c, self.flags) {
            let caret = if negated { "^" } else { "" };
            self.push(&format!("[{caret}{inside}]"));
            return Ok(true);
        }
        match c {
            'p' | 'P' => {
                let text = self.property(c == 'P')?;
                self.push(&format!("[{text}]"));
            }
            'A' => self.push(r"\A"),
            'z' => self.push(r"\z"),
            'Z' => self.line_end(false),
            'b' if self.eat("{g}") => return Err(self.unsupported(r"\b{g}")),
            'b' => self.push(r"\b"),
            'B' => self.push(r"\B"),
            'R' => self.push(r"(?:\r\n|[\n\x0B\x0C\r\u{85}\u{2028}\u{2029}])"),
            'G' => return Err(self.unsupported(r"\G")),
            'X' => return Err(self.unsupported(r"\X")),
            'N' => return Err(self.unsupported(r"\N")),
            '1'..='9' => {
                let mut group = c.to_digit(10).expect("a digit") as usize;
                while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
                    let longer = group * 10 + digit as usize;
                    if longer > self.groups_total {
                        break;
                    }
                    group = longer;
                    self.at += 1;
                }
                self.out.backtracking = true;
                if group > self.groups_total {
                    // Java lets a reference to no group fail to match.
                    self.push("(?!)");
                } else {
                    self.push(&format!(r"(?:\{group})"));
                }
            }
            'k' => {
                let rest: String = self.chars[self.at..].iter().collect();
                let name = rest
                    .strip_prefix('<')
                    .and_then(|r| r.split_once('>'))
                    .map(|(name, _)| name);
                let index = name.and_then(|n| self.out.names.iter().find(|(known, _)| known == n));
                let Some((name, index)) = index.cloned() else {
                    return Err(self.invalid("named capturing group does not exist"));
                };
                self.at += name.len() + 2;
                self.out.backtracking = true;
                self.push(&format!(r"(?:\{index})"));
            }
            _ => {
                let c = self.escaped_character(c)?;
                self.literal(c);
            }
        }
        Ok(true)
    }

    fn property(&mut self, negated: bool) -> Outcome<String> {
        let name: String = if self.eat("{") {
            let name = self.chars[self.at..]
                .iter()
                .take_while(|c| **c != '}')
                .collect::<String>();
            self.at += name.chars().count();
            if !self.eat("}") {
                return Err(self.invalid("unclosed character family"));
            }
            name
        } else {
            self.next()
                .map(String::from)
                .ok_or_else(|| self.invalid("unknown character family"))?
        };
        let (name, negated) = match name.strip_prefix('^') {
            Some(rest) => (rest.to_owned(), !negated),
            None => (name, negated),
        };
        let inside = class::property(&name, self.flags);
        let inside = inside.ok_or_else(|| self.unsupported(&format!(r"\p{{{name}}}")))?;
        Ok(if negated {
            format!("[^{inside}]")
        } else {
            inside
        })
    }

    /// The character that an escape stands for, after its letter.
    fn escaped_character(&mut self, c: char) -> Outcome<char> {
        let code = match c {
            't' => return Ok('\t'),
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            'f' => return Ok('\x0c'),
            'a' => return Ok('\x07'),
            'e' => return Ok('\x1b'),
            '0' => {
                let mut value = None;
                for _ in 0..3 {
                    let digit = self.peek().and_then(|c| c.to_digit(8));
                    let Some(digit) = digit.filter(|d| value.unwrap_or(0) * 8 + d <= 0o377) else {
                        break;
                    };
                    value = Some(value.unwrap_or(0) * 8 + digit);
                    self.at += 1;
                }
                value.ok_or_else(|| self.invalid("illegal octal escape sequence"))?
            }
            'x' if self.eat("{") => {
                let digits: String = self.chars[self.at..]
                    .iter()
                    .take_while(|c| **c != '}')
                    .collect();
                self.at += digits.chars().count() + 1;
                u32::from_str_radix(&digits, 16)
                    .map_err(|_| self.invalid("illegal hexadecimal escape"))?
            }
            'x' => self.hexadecimal(2)?,
            'u' => {
                let high = self.hexadecimal(4)?;
                if (0xd800..0xdc00).contains(&high) && self.eat(r"\u") {
                    let low = self.hexadecimal(4)?;
                    0x10000 + ((high - 0xd800) << 10) + low.wrapping_sub(0xdc00)
                } else {
                    high
                }
            }
            'c' => {
                let c = self
                    .next()
                    .ok_or_else(|| self.invalid("illegal control escape sequence"))?;
                u32::from(c) ^ 64
            }
            c if c.is_ascii_alphabetic() => {
                return Err(self.invalid("illegal/unsupported escape sequence"));
            }
            c => return Ok(c),
        };
        char::from_u32(code).ok_or_else(|| self.unsupported("half a surrogate pair"))
    }

    fn hexadecimal(&mut self, digits: usize) -> Outcome<u32> {
        let end = self.at + digits;
        let text: Option<String> = self.chars.get(self.at..end).map(|c| c.iter().collect());
        let value = text
            .filter(|t| !t.starts_with('+'))
            .and_then(|t| u32::from_str_radix(&t, 16).ok());
        self.at = end;
        value.ok_or_else(|| self.invalid("illegal hexadecimal escape sequence"))
    }

    /// The rest of a bracketed class, after its `[`.
    fn class(&mut self, depth: usize) -> Outcome<String> {
        if depth > 50 {
            return Err(self.unsupported("classes nested this deep"));
        }
        let mut out = String::from("[");
        if self.eat("^") {
            out.push('^');
        }
        let mut empty = true;
        loop {
            let Some(c) = self.next() else {
                return Err(self.invalid("unclosed character class"));
            };
            match c {
                ']' if !empty => {
                    out.push(']');
                    return Ok(out);
                }
                '[' => out.push_str(&self.class(depth + 1)?),
                '&' if self.peek() == Some('&') => {
                    self.at += 1;
                    while self.eat("&") {}
                    if empty || self.peek() == Some(']') {
                        continue;
                    }
                    out.push_str("&&");
                }
                c if self.flags.comments && (c.is_ascii_whitespace() || c == '\x0b') => continue,
                c => out.push_str(&self.class_item(c)?),
            }
            empty = false;
        }
    }

    fn class_item(&mut self, c: char) -> Outcome<String> {
        let from = if c == '\\' {
            let escaped = self
                .next()
                .ok_or_else(|| self.invalid("unclosed character class"))?;
            if let Some((inside, negated)) = class::shorthand(escaped, self.flags) {
                return Ok(if negated {
                    format!("[^{inside}]")
                } else {
                    inside.to_owned()
                });
            }
            if matches!(escaped, 'p' | 'P') {
                return self.property(escaped == 'P');
            }
            self.escaped_character(escaped)?
        } else {
            c
        };
        let after = self.chars.get(self.at + 1).copied();
        if self.peek() != Some('-') || matches!(after, None | Some('[' | ']')) {
            return Ok(class::range(from, from, self.flags));
        }
        self.at += 1;
        let mut to = self.next().expect("looked at above");
        if to == '\\' {
            let escaped = self
                .next()
                .ok_or_else(|| self.invalid("unclosed character class"))?;
            if class::shorthand(escaped, self.flags).is_some() || matches!(escaped, 'p' | 'P') {
                // A class cannot end a range: the hyphen is itself.
                self.at -= 2;
                let dash = class::range('-', '-', self.flags);
                return Ok(class::range(from, from, self.flags) + &dash);
            }
            to = self.escaped_character(escaped)?;
        }
        if to < from {
            return Err(self.invalid("illegal character range"));
        }
        Ok(class::range(from, to, self.flags))
    }
}
