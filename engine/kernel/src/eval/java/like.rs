//! `LIKE`: `%` for any text, `_` for one character, an escape before either of them or itself.

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LikePattern {
    tokens: Vec<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Exactly(char),
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LikeError {
    /// The escape stands before something else.
    #[error("the escape character stands before '{1}' in the pattern '{0}'")]
    EscapeInTheMiddle(String, char),
    /// The escape stands at the end.
    #[error("the pattern '{0}' ends with the escape character")]
    EscapeAtTheEnd(String),
}

impl LikePattern {
    /// Reads a pattern.
    pub fn parse(pattern: &str, escape: char) -> Result<Self, LikeError> {
        let mut tokens = Vec::new();
        let mut rest = pattern.chars();
        while let Some(c) = rest.next() {
            tokens.push(match c {
                c if c == escape => match rest.next() {
                    Some(next) if next == '_' || next == '%' || next == escape => {
                        Token::Exactly(next)
                    }
                    Some(next) => {
                        return Err(LikeError::EscapeInTheMiddle(pattern.to_owned(), next));
                    }
                    None => return Err(LikeError::EscapeAtTheEnd(pattern.to_owned())),
                },
                '%' => Token::Any,
                '_' => Token::One,
                c => Token::Exactly(c),
            });
        }
        Ok(Self { tokens })
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let mut rest = text.chars();
        let mut token = 0;
        // Where to go on after the last %: its position, and the text it has not swallowed yet.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let before = rest.clone();
            let matched = match (self.tokens.get(token), rest.next()) {
                (Some(Token::Any), _) => {
                    rest = before;
                    retry = Some((token, rest.clone()));
                    true
                }
                (Some(Token::One), Some(_)) => true,
                (Some(Token::Exactly(wanted)), Some(c)) => *wanted == c,
                (None, None) => return true,
                _ => false,
            };
            if matched {
                token += 1;
                continue;
            }
            let Some((position, from)) = &mut retry else {
                return false;
            };
            if from.next().is_none() {
                return false;
            }
            token = *position + 1;
            rest = from.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_sql() {
        for (pattern, text, expected) in [
            ("a%", "abc", true),
            ("%c", "abc", true),
            ("a_c", "abc", true),
            ("a_c", "ac", false),
            ("%b%", "abc", true),
            ("", "", true),
            ("", "a", false),
            ("%", "", true),
            ("100\\%", "100%", true),
            ("100\\%", "1000", false),
            ("%a%b%c", "xaxbxc", true),
            ("%a%b%c", "xaxbx", false),
            ("_é_", "héj", true),
            ("%\n%", "a\nb", true),
            ("a%a", "a", false),
        ] {
            let compiled = LikePattern::parse(pattern, '\\').unwrap();
            assert_eq!(compiled.matches(text), expected, "{pattern} {text}");
        }
        assert!(LikePattern::parse("a\\b", '\\').is_err());
        assert!(LikePattern::parse("a\\", '\\').is_err());
        assert!(LikePattern::parse("a/%", '/').unwrap().matches("a%"));
    }
}
