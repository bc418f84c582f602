//! Reading JSON.

use super::JsonValue;

/// What is allowed beyond strict JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub struct JsonSyntax {
    /// `'text'` and `'name'`.
    pub single_quotes: bool,
    /// Line breaks and other control characters within strings.
    pub control_characters: bool,
    /// `NaN`, `Infinity` and their like as numbers.
    pub non_numeric_numbers: bool,
    /// `name:` without quotes.
    pub unquoted_names: bool,
    /// `007`.
    pub leading_zeros: bool,
    /// A backslash before any character.
    pub any_escape: bool,
    /// `// …` and `/* … */`.
    pub comments: bool,
}

impl JsonSyntax {
    /// As `get_json_object` and its like read.
    pub const PATH: Self = Self {
        single_quotes: true,
        control_characters: true,
        non_numeric_numbers: false,
        unquoted_names: false,
        leading_zeros: false,
        any_escape: false,
        comments: false,
    };

    /// As `from_json` reads without options.
    pub const SCHEMA: Self = Self {
        single_quotes: true,
        control_characters: false,
        non_numeric_numbers: true,
        unquoted_names: false,
        leading_zeros: false,
        any_escape: false,
        comments: false,
    };
}

const DEPTH_MAX: usize = 1000;

/// Reads one value; `Ok(None)` if there is nothing but blanks, an error if it is malformed.
#[allow(
    clippy::result_unit_err,
    reason = "all callers answer null, whatever is wrong"
)]
pub fn parse(text: &str, syntax: JsonSyntax) -> Result<Option<JsonValue>, ()> {
    let mut reader = Reader {
        text,
        at: 0,
        syntax,
    };
    reader.skip_blanks().ok_or(())?;
    if reader.peek().is_none() {
        return Ok(None);
    }
    let value = reader.value(0).ok_or(())?;
    // A number at the root must end where it ends.
    if matches!(value, JsonValue::Integer(_) | JsonValue::Real(_))
        && reader
            .peek()
            .is_some_and(|c| !matches!(c, ' ' | '\t' | '\n' | '\r'))
    {
        return Err(());
    }
    Ok(Some(value))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    syntax: JsonSyntax,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, wanted: char) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    fn skip_blanks(&mut self) -> Option<()> {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\n' | '\r') => self.at += 1,
                Some('/') if self.syntax.comments => {
                    let rest = &self.text[self.at..];
                    let length = if rest.starts_with("//") {
                        rest.find('\n').unwrap_or(rest.len())
                    } else {
                        rest.strip_prefix("/*")?.find("*/")? + 4
                    };
                    self.at += length;
                }
                _ => return Some(()),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Option<JsonValue> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.peek()? {
            '{' => self.object(depth),
            '[' => self.array(depth),
            '"' => self.quoted('"').map(JsonValue::Text),
            '\'' if self.syntax.single_quotes => self.quoted('\'').map(JsonValue::Text),
            '-' | '+' | '0'..='9' => self.number(),
            _ => self.word(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<JsonValue> {
        self.at += 1;
        let mut fields = Vec::new();
        self.skip_blanks()?;
        if self.peek()? == '}' {
            self.at += 1;
            return Some(JsonValue::Object(fields));
        }
        loop {
            self.skip_blanks()?;
            let name = match self.peek()? {
                '"' => self.quoted('"')?,
                '\'' if self.syntax.single_quotes => self.quoted('\'')?,
                c if self.syntax.unquoted_names && is_name(c) => {
                    let rest = &self.text[self.at..];
                    let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                    self.at += end;
                    rest[..end].to_owned()
                }
                _ => return None,
            };
            self.skip_blanks()?;
            self.eat(':')?;
            self.skip_blanks()?;
            fields.push((name, self.value(depth + 1)?));
            self.skip_blanks()?;
            match self.next()? {
                ',' => {}
                '}' => return Some(JsonValue::Object(fields)),
                _ => return None,
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<JsonValue> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_blanks()?;
        if self.peek()? == ']' {
            self.at += 1;
            return Some(JsonValue::Array(items));
        }
        loop {
            self.skip_blanks()?;
            items.push(self.value(depth + 1)?);
            self.skip_blanks()?;
            match self.next()? {
                ',' => {}
                ']' => return Some(JsonValue::Array(items)),
                _ => return None,
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Option<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            match self.next()? {
                c if c == quote => return Some(out),
                '\\' => out.push(self.escape()?),
                c if c < ' ' && !self.syntax.control_characters => return None,
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            c @ ('"' | '\\' | '/') => c,
            'u' => {
                let high = self.hexadecimal()?;
                let is_high = (0xd800..0xdc00).contains(&high);
                if is_high && self.text[self.at..].starts_with("\\u") {
                    let start = self.at;
                    self.at += 2;
                    let low = self.hexadecimal()?;
                    if (0xdc00..0xe000).contains(&low) {
                        let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        return char::from_u32(code);
                    }
                    self.at = start;
                }
                // Half a pair has no place in UTF-8: Java writes a question mark.
                char::from_u32(high).unwrap_or('?')
            }
            '\'' if self.syntax.single_quotes => '\'',
            c if self.syntax.any_escape => c,
            _ => return None,
        })
    }

    fn hexadecimal(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Option<JsonValue> {
        let start = self.at;
        if matches!(self.peek()?, '-' | '+') {
            let plus = self.peek()? == '+';
            self.at += 1;
            if !self.peek()?.is_ascii_digit() {
                return self.non_numeric(start);
            }
            if plus {
                return None;
            }
        }
        let first = self.at;
        let whole = self.digits();
        let zeros = whole > 1 && self.text[first..].starts_with('0');
        if whole == 0 || (zeros && !self.syntax.leading_zeros) {
            return None;
        }
        let mut integer = true;
        if self.peek() == Some('.') {
            self.at += 1;
            integer = false;
            if self.digits() == 0 {
                return None;
            }
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            self.at += 1;
            integer = false;
            if matches!(self.peek(), Some('+' | '-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return None;
            }
        }
        let text = &self.text[start..self.at];
        if !integer {
            return Some(JsonValue::Real(text.to_owned()));
        }
        if !zeros {
            return Some(JsonValue::Integer(text.to_owned()));
        }
        let sign = &self.text[start..first];
        let digits = self.text[first..self.at].trim_start_matches('0');
        let digits = if digits.is_empty() { "0" } else { digits };
        Some(JsonValue::Integer(format!("{sign}{digits}")))
    }

    fn non_numeric(&mut self, start: usize) -> Option<JsonValue> {
        self.at = start;
        let rest = &self.text[start..];
        let names = [
            "-Infinity",
            "+Infinity",
            "Infinity",
            "-INF",
            "+INF",
            "INF",
            "NaN",
        ];
        let name = names.into_iter().find(|name| rest.starts_with(name))?;
        if !self.syntax.non_numeric_numbers {
            return None;
        }
        self.at += name.len();
        self.ends_word()?;
        Some(JsonValue::Real(name.to_owned()))
    }

    fn ends_word(&self) -> Option<()> {
        self.peek().is_none_or(|c| !is_name(c)).then_some(())
    }

    fn word(&mut self) -> Option<JsonValue> {
        let rest = &self.text[self.at..];
        for (word, value) in [
            ("null", JsonValue::Null),
            ("true", JsonValue::Boolean(true)),
            ("false", JsonValue::Boolean(false)),
        ] {
            if rest.starts_with(word) {
                self.at += word.len();
                self.ends_word()?;
                return Some(value);
            }
        }
        self.non_numeric(self.at)
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '-' | '@' | '#' | '*' | '+')
}
