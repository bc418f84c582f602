//! Text to tokens, as Spark's lexer cuts them.
//!
//! Promises: every token knows the bytes it came from; no input panics. Never interprets a word: what is a keyword is
//! decided where it stands, since Spark reserves none.

use super::problem::{Problem, Span};

/// One token and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind {
    /// A bare word: a name or a keyword.
    Word(String),
    /// A name in backticks.
    Quoted(String),
    /// A number with its suffix (`1`, `1.5e3BD`).
    Number(String),
    /// A string literal, unescaped.
    Text(String),
    /// An operator or a bracket.
    Symbol(&'static str),
    /// After the last token.
    End,
}

/// Longest first: the first that fits is taken.
const SYMBOLS: [&str; 33] = [
    "<=>", "<=", ">=", "<>", "!=", "==", "!<", "!>", "||", "->", "=>", "::", "<", ">", "=", "!",
    "+", "-", "*", "/", "%", "~", "&", "|", "^", "(", ")", "[", "]", ",", ".", ":", "?",
];

/// Cuts `text` into tokens, the last being [`TokenKind::End`].
pub(crate) fn tokenize(text: &str) -> Result<Vec<Token>, Problem> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank()?;
        let start = lexer.at;
        let kind = lexer.next_kind()?;
        let done = kind == TokenKind::End;
        tokens.push(Token {
            kind,
            span: Span::new(start, lexer.at),
        });
        if done {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn problem<T>(&self, start: usize, message: impl Into<String>) -> Result<T, Problem> {
        Err(Problem::new(Span::new(start, self.text.len()), message))
    }

    fn skip_blank(&mut self) -> Result<(), Problem> {
        loop {
            let rest = self.rest();
            if rest.starts_with("--") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.skip_comment()?;
            } else {
                match rest.chars().next() {
                    Some(c) if c.is_whitespace() || c == '\u{feff}' => self.at += c.len_utf8(),
                    _ => return Ok(()),
                }
            }
        }
    }

    /// A bracketed comment; they nest.
    fn skip_comment(&mut self) -> Result<(), Problem> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            if self.rest().starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if self.rest().starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return Ok(());
                }
            } else {
                match self.peek() {
                    Some(c) => self.at += c.len_utf8(),
                    None => return self.problem(start, "comment is not closed: expected */"),
                }
            }
        }
    }

    fn next_kind(&mut self) -> Result<TokenKind, Problem> {
        let Some(first) = self.peek() else {
            return Ok(TokenKind::End);
        };
        if matches!(first, 'r' | 'R') && self.rest()[1..].starts_with(['\'', '"']) {
            self.at += 1;
            return self.quoted_text(true).map(TokenKind::Text);
        }
        match first {
            '\'' | '"' => self.quoted_text(false).map(TokenKind::Text),
            '`' => self.quoted_name().map(TokenKind::Quoted),
            '0'..='9' => self.number_or_word(),
            '.' if self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                self.number_or_word()
            }
            c if c.is_alphabetic() || c == '_' => Ok(TokenKind::Word(self.word())),
            _ => self.symbol(),
        }
    }

    fn symbol(&mut self) -> Result<TokenKind, Problem> {
        match SYMBOLS.iter().find(|s| self.rest().starts_with(**s)) {
            Some(symbol) => {
                self.at += symbol.len();
                Ok(TokenKind::Symbol(symbol))
            }
            None => {
                let found = self.peek().unwrap_or_default();
                let span = Span::new(self.at, self.at + found.len_utf8());
                Err(Problem::new(
                    span,
                    format!("unexpected character {found:?}"),
                ))
            }
        }
    }

    fn word(&mut self) -> String {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let rest = self.rest();
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let word = rest[..length].to_owned();
        self.at += length;
        word
    }

    /// `1_000` and `0x1F` are names to Spark: the longer of the two readings wins.
    fn number_or_word(&mut self) -> Result<TokenKind, Problem> {
        let start = self.at;
        let number = number_length(self.rest());
        let word = self.word().len();
        if word > number {
            return Ok(TokenKind::Word(self.text[start..self.at].to_owned()));
        }
        self.at = start + number;
        if self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
            return self.problem(start, "malformed number");
        }
        Ok(TokenKind::Number(self.text[start..self.at].to_owned()))
    }

    fn quoted_name(&mut self) -> Result<String, Problem> {
        let start = self.at;
        self.at += 1;
        let mut name = String::new();
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            if c != '`' {
                name.push(c);
            } else if self.peek() == Some('`') {
                self.at += 1;
                name.push('`');
            } else {
                return Ok(name);
            }
        }
        self.problem(start, "name is not closed: expected `")
    }

    fn quoted_text(&mut self, raw: bool) -> Result<String, Problem> {
        let start = self.at;
        let quote = self.peek().unwrap_or_default();
        self.at += 1;
        let body = self.at;
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            if c == quote {
                let inner = &self.text[body..self.at - 1];
                return Ok(if raw {
                    inner.to_owned()
                } else {
                    unescape(inner)
                });
            }
            if c == '\\' && !raw {
                self.at += self.peek().map_or(0, char::len_utf8);
            }
        }
        self.problem(start, format!("string is not closed: expected {quote}"))
    }
}

/// The length of the number literal at the start of `text`, suffix included.
fn number_length(text: &str) -> usize {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or("");
        from + rest.bytes().take_while(u8::is_ascii_digit).count()
    };
    let mut end = digits(0);
    if text[end..].starts_with('.') {
        end = digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    let suffix = &text[end..];
    if suffix
        .get(..2)
        .is_some_and(|suffix| suffix.eq_ignore_ascii_case("BD"))
    {
        return end + 2;
    }
    let letters = ['L', 'S', 'Y', 'F', 'D', 'l', 's', 'y', 'f', 'd'];
    end + usize::from(suffix.starts_with(letters))
}

/// Spark's escapes: `\n`, `\u0041`, `\101`, and `\%` and `\_` kept for LIKE.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // UTF-16 units written as \uD83D\uDE00 pair up at the end.
    let mut units: Vec<u16> = Vec::new();
    let characters: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < characters.len() {
        if characters[at] != '\\' || at + 1 == characters.len() {
            flush(&mut units, &mut out);
            out.push(characters[at]);
            at += 1;
            continue;
        }
        let rest = &characters[at + 1..];
        if let Some(unit) = radix(rest, 'u', 4).and_then(|u| u16::try_from(u).ok()) {
            units.push(unit);
            at += 6;
            continue;
        }
        flush(&mut units, &mut out);
        if let Some(point) = radix(rest, 'U', 8) {
            out.push(char::from_u32(point).unwrap_or('\u{fffd}'));
            at += 10;
        } else if let Some(point) = octal(rest) {
            out.push(char::from_u32(point).unwrap_or('\u{fffd}'));
            at += 4;
        } else {
            push_simple(rest[0], &mut out);
            at += 2;
        }
    }
    flush(&mut units, &mut out);
    out
}

fn flush(units: &mut Vec<u16>, out: &mut String) {
    out.push_str(&String::from_utf16_lossy(units));
    units.clear();
}

fn push_simple(c: char, out: &mut String) {
    match c {
        '0' => out.push('\0'),
        'b' => out.push('\u{8}'),
        'n' => out.push('\n'),
        'r' => out.push('\r'),
        't' => out.push('\t'),
        'Z' => out.push('\u{1a}'),
        '%' => out.push_str("\\%"),
        '_' => out.push_str("\\_"),
        other => out.push(other),
    }
}

fn radix(rest: &[char], letter: char, digits: usize) -> Option<u32> {
    if rest.len() <= digits || rest[0] != letter {
        return None;
    }
    let digits: String = rest[1..=digits].iter().collect();
    u32::from_str_radix(&digits, 16).ok()
}

fn octal(rest: &[char]) -> Option<u32> {
    let digits: String = rest.get(..3)?.iter().collect();
    if !matches!(rest[0], '0' | '1') || !digits.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return None;
    }
    u32::from_str_radix(&digits, 8).ok()
}
