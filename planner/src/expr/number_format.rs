//! The number formats of `to_number` and `to_char`: `$9,999.99`, `S00.0`, `999PR`.
//!
//! A format is `[MI|S] [$] digits [. digits] [$] [PR|MI|S]`; whole digits may be grouped by `,` or
//! `G`. A run of digits that begins with 0 stands for exactly as many, one that begins with 9 for
//! at most as many.

/// A parsed format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberFormat {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// Runs of digits and separators between them, from left to right.
    Digits(Vec<Part>),
    Point,
    Dollar,
    Sign,
    Minus,
    Open,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Run { count: usize, exact: bool },
    Separator,
}

fn run_lengths(parts: &[Part]) -> impl DoubleEndedIterator<Item = (usize, bool)> {
    parts.iter().filter_map(|part| match part {
        Part::Run { count, exact } => Some((*count, *exact)),
        Part::Separator => None,
    })
}

impl NumberFormat {
    /// Reads a format; the error says what is wrong.
    pub fn parse(format: &str) -> Result<Self, String> {
        let chars: Vec<char> = format.chars().collect();
        let mut tokens: Vec<Token> = Vec::new();
        let mut at = 0;
        while at < chars.len() {
            let next = chars.get(at + 1).copied();
            let c = chars[at];
            at += 1;
            let token = match (c, next) {
                ('0' | '9', _) => {
                    let more = chars[at..].iter().take_while(|c| matches!(c, '0' | '9'));
                    let count = 1 + more.count();
                    at += count - 1;
                    let exact = c == '0' && !tokens.contains(&Token::Point);
                    Self::extend(&mut tokens, Part::Run { count, exact });
                    continue;
                }
                (',' | 'G', _) => {
                    Self::extend(&mut tokens, Part::Separator);
                    continue;
                }
                ('.' | 'D', _) => Token::Point,
                ('$', _) => Token::Dollar,
                ('S', _) => Token::Sign,
                ('M', Some('I')) => Token::Minus,
                ('P', Some('R')) => {
                    tokens.insert(0, Token::Open);
                    Token::Close
                }
                _ => return Err(format!("'{format}' has the unexpected character '{c}'")),
            };
            at += usize::from(matches!(token, Token::Minus | Token::Close));
            tokens.push(token);
        }
        let parsed = Self { tokens };
        match parsed.problem() {
            Some(problem) => Err(format!("'{format}' is not a number format: {problem}")),
            None => Ok(parsed),
        }
    }

    fn extend(tokens: &mut Vec<Token>, part: Part) {
        match tokens.last_mut() {
            Some(Token::Digits(parts)) => parts.push(part),
            _ => tokens.push(Token::Digits(vec![part])),
        }
    }

    fn problem(&self) -> Option<&'static str> {
        let mut after_point = false;
        let mut digits = 0;
        for token in &self.tokens {
            match token {
                Token::Point => after_point = true,
                Token::Digits(parts) => {
                    digits += run_lengths(parts).count();
                    let separated =
                        |pair: &[Part]| pair[0] == Part::Separator && pair[1] == pair[0];
                    let outside = parts.first() == Some(&Part::Separator)
                        || parts.last() == Some(&Part::Separator);
                    if after_point && parts.contains(&Part::Separator) {
                        return Some("separators stand before the point");
                    }
                    if outside || parts.windows(2).any(separated) {
                        return Some("a separator stands between digits");
                    }
                }
                _ => {}
            }
        }
        if digits == 0 {
            return Some("it has no digit");
        }
        let (precision, _) = self.counts();
        if precision > 38 {
            return Some("it has more than 38 digits");
        }
        let first_digits = self
            .tokens
            .iter()
            .position(|t| matches!(t, Token::Digits(_)));
        let first_dollar = self.tokens.iter().position(|t| *t == Token::Dollar);
        if first_dollar > first_digits {
            return Some("the currency sign stands before the digits");
        }
        // Each place takes one of these, or nothing.
        let places: [fn(&Token) -> bool; 8] = [
            |t| *t == Token::Open,
            |t| matches!(t, Token::Minus | Token::Sign),
            |t| *t == Token::Dollar,
            |t| matches!(t, Token::Digits(_)),
            |t| *t == Token::Point,
            |t| matches!(t, Token::Digits(_)),
            |t| *t == Token::Dollar,
            |t| matches!(t, Token::Minus | Token::Sign | Token::Close),
        ];
        let mut rest = self.tokens.iter().peekable();
        for place in places {
            rest.next_if(|token| place(token));
        }
        if rest.next().is_some() {
            return Some("its parts are out of order");
        }
        let repeated = |token: &Token| self.tokens.iter().filter(|t| *t == token).count() > 1;
        [
            Token::Point,
            Token::Sign,
            Token::Minus,
            Token::Dollar,
            Token::Close,
        ]
        .iter()
        .any(repeated)
        .then_some("a part occurs twice")
    }

    /// Digits in all and behind the point.
    fn counts(&self) -> (usize, usize) {
        let (mut all, mut behind) = (0, 0);
        let mut after_point = false;
        for token in &self.tokens {
            match token {
                Token::Point => after_point = true,
                Token::Digits(parts) => {
                    let count: usize = run_lengths(parts).map(|(count, _)| count).sum();
                    all += count;
                    behind += if after_point { count } else { 0 };
                }
                _ => {}
            }
        }
        (all, behind)
    }

    /// Precision and scale of the decimals it reads.
    pub fn precision_and_scale(&self) -> (u8, i8) {
        let (all, behind) = self.counts();
        (
            u8::try_from(all).unwrap_or(38),
            i8::try_from(behind).unwrap_or(38),
        )
    }

    /// The number a text stands for, times ten to the scale; `None` if the text does not match.
    pub fn read(&self, text: &str) -> Option<i128> {
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        let (mut before, mut after) = (String::new(), String::new());
        let (mut negative, mut after_point, mut open) = (false, false, false);
        let mut closed = false;
        for token in &self.tokens {
            let next = chars.get(at).copied();
            match token {
                Token::Digits(parts) => {
                    let digits = if after_point { &mut after } else { &mut before };
                    at = read_digits(parts, &chars, at, digits)?;
                }
                Token::Point if next == Some('.') => {
                    after_point = true;
                    at += 1;
                }
                Token::Dollar => match next {
                    Some('$') => at += 1,
                    Some(_) => return None,
                    None => {}
                },
                Token::Sign if matches!(next, Some('+' | '-')) => {
                    negative ^= next == Some('-');
                    at += 1;
                }
                Token::Minus if next == Some('-') => {
                    negative = !negative;
                    at += 1;
                }
                Token::Open if next == Some('<') => {
                    open = true;
                    at += 1;
                }
                Token::Close if next == Some('>') => {
                    if !open {
                        return None;
                    }
                    closed = true;
                    negative = !negative;
                    at += 1;
                }
                _ => {}
            }
        }
        if at < chars.len() || open != closed || before.len() + after.len() == 0 {
            return None;
        }
        let (_, scale) = self.counts();
        let value: i128 = format!("{before}{after:0<scale$}").parse().ok()?;
        Some(if negative { -value } else { value })
    }

    /// A number, given by its digits before and behind the point, as text; too large ones as `#`.
    pub fn write(&self, negative: bool, whole: &str, fraction: &str) -> String {
        let (all, behind) = self.counts();
        let ahead = all - behind;
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let overflows = whole.len() > ahead || fraction.len() > behind;
        let (whole, fraction) = match overflows {
            true => ("#".repeat(ahead), "#".repeat(behind)),
            false => (format!("{whole:>ahead$}"), format!("{fraction:0<behind$}")),
        };
        let mut writer = Writer {
            out: Vec::new(),
            whole: whole.chars().collect(),
            fraction: fraction.chars().collect(),
        };
        let mut after_point = false;
        for token in &self.tokens {
            match token {
                Token::Digits(parts) => writer.digits(parts, after_point),
                Token::Point => {
                    if let Some(last) = writer.out.last_mut().filter(|last| **last == ' ') {
                        *last = '0';
                    }
                    writer.out.push('.');
                    after_point = true;
                }
                Token::Dollar => writer.out.push('$'),
                Token::Sign => {
                    writer.drop_lone_point();
                    writer.sign(if negative { '-' } else { '+' });
                }
                Token::Minus if negative => {
                    writer.drop_lone_point();
                    writer.sign('-');
                }
                Token::Minus => writer.out.push(' '),
                Token::Open if negative => writer.out.push('<'),
                Token::Open => {}
                Token::Close => {
                    writer.drop_lone_point();
                    match negative {
                        true => writer.sign('>'),
                        false => writer.out.extend([' ', ' ']),
                    }
                }
            }
        }
        writer.drop_lone_point();
        let text: String = writer.out.into_iter().collect();
        if matches!(text.as_str(), "" | "+" | "-") {
            "0".to_owned()
        } else {
            text
        }
    }
}

/// Digits, separators and blanks from a position on; the groups must be as long as the format
/// wants, from the right.
fn read_digits(parts: &[Part], chars: &[char], from: usize, digits: &mut String) -> Option<usize> {
    let mut sizes = vec![0];
    let mut at = from;
    while let Some(c) = chars.get(at) {
        match c {
            c if c.is_whitespace() => {}
            c if c.is_ascii_digit() => {
                digits.push(*c);
                *sizes.last_mut().expect("never empty") += 1;
            }
            ',' => sizes.push(0),
            _ => break,
        }
        at += 1;
    }
    if sizes.len() > run_lengths(parts).count() {
        return None;
    }
    let mut given = sizes.into_iter().rev();
    for (count, exact) in run_lengths(parts).rev() {
        let size = given.next().unwrap_or(0);
        if size > count || (exact && size != count) {
            return None;
        }
    }
    Some(at)
}

struct Writer {
    out: Vec<char>,
    whole: std::collections::VecDeque<char>,
    fraction: std::collections::VecDeque<char>,
}

impl Writer {
    fn digits(&mut self, parts: &[Part], after_point: bool) {
        for part in parts {
            match part {
                Part::Run { count, .. } if after_point => {
                    for _ in 0..*count {
                        self.out.extend(self.fraction.pop_front());
                    }
                }
                Part::Run { count, exact } => {
                    for _ in 0..*count {
                        match self.whole.pop_front() {
                            Some(' ') if *exact => self.out.push('0'),
                            Some(' ') => self.blank(),
                            digit => self.out.extend(digit),
                        }
                    }
                }
                Part::Separator => match self.out.last() {
                    Some(last) if last.is_ascii_digit() => self.out.push(','),
                    _ => self.blank(),
                },
            }
        }
    }

    /// A blank goes before a sign that stands last.
    fn blank(&mut self) {
        let signs = self
            .out
            .iter()
            .rev()
            .take_while(|c| matches!(c, '+' | '-' | '<'))
            .count();
        let at = self.out.len() - signs;
        self.out.insert(at, ' ');
    }

    /// A sign goes before the blanks that stand last.
    fn sign(&mut self, sign: char) {
        let blanks = self.out.iter().rev().take_while(|c| **c == ' ').count();
        let at = self.out.len() - blanks;
        self.out.insert(at, sign);
    }

    /// A point without digits behind it becomes a blank.
    fn drop_lone_point(&mut self) {
        if let Some(at) = self.out.iter().position(|c| *c == '.')
            && matches!(self.out.get(at + 1), None | Some(' '))
        {
            self.out[at] = ' ';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        let format = |text| NumberFormat::parse(text).unwrap();
        assert_eq!(format("$9,999.99").read("$1,234.56"), Some(123_456));
        assert_eq!(format("999").read("454"), Some(454));
        assert_eq!(format("999").read("abc"), None);
        assert_eq!(format("000").read("54"), None);
        assert_eq!(format("99,999").read("12,454"), Some(12_454));
        assert_eq!(format("999.9S").read("12.5-"), Some(-125));
        assert_eq!(format("999PR").read("<12>"), Some(-12));
        assert_eq!(format("S$999,099.99").precision_and_scale(), (8, 2));
        for (text, value, expected) in [
            ("999", (false, "454", ""), "454"),
            ("S99.99", (true, "12", "5"), "-12.50"),
            ("000.00", (false, "454", "00"), "454.00"),
            ("00000", (false, "78", ""), "00078"),
            ("99,999", (false, "12454", ""), "12,454"),
            ("$99.99", (false, "78", "12"), "$78.12"),
            ("99.9S", (true, "12", "5"), "12.5-"),
            ("99", (false, "454", ""), "##"),
            ("9999", (false, "12", ""), "  12"),
            ("S9999", (true, "12", ""), "  -12"),
            ("999PR", (true, "12", ""), " <12>"),
        ] {
            let (negative, whole, fraction) = value;
            assert_eq!(
                format(text).write(negative, whole, fraction),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn refuses() {
        for text in [
            "", "S", "9,", ",9", "9,,9", "9.9,9", "9$", "99.99.9", "9S9", "x9", "9SS",
        ] {
            assert!(NumberFormat::parse(text).is_err(), "{text}");
        }
    }
}
