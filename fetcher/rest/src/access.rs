//! Who may ask: bearer tokens.
//!
//! Promises: comparing takes as long for a wrong token as for a right one of its length; tokens are never shown.

use std::fmt;

/// The tokens that are let in; none lets everybody in.
#[derive(Clone, Default)]
pub struct Tokens(Vec<String>);

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.0.len())
    }
}

impl Tokens {
    /// The tokens of a file: one a line, empty lines and lines that begin with `#` left out.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim);
        let tokens = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(tokens.map(str::to_owned).collect())
    }

    /// Whether none is needed.
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the value of an `Authorization` header lets in.
    pub(crate) fn admit(&self, header: Option<&[u8]>) -> bool {
        if self.is_open() {
            return true;
        }
        let Some((scheme, given)) = header.and_then(|header| header.split_at_checked(7)) else {
            return false;
        };
        let mut admitted = false;
        for token in &self.0 {
            admitted |= same(token.as_bytes(), given);
        }
        admitted && scheme.eq_ignore_ascii_case(b"bearer ")
    }
}

/// Whether two byte strings are equal, in a time that depends on their lengths only.
fn same(left: &[u8], right: &[u8]) -> bool {
    let differing = left.iter().zip(right).fold(0, |all, (a, b)| all | (a ^ b));
    left.len() == right.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right token of any is let in; nothing else is, and none is shown.
    #[test]
    fn tokens() {
        let tokens = Tokens::parse("# of the batch job\nsecret-1\n\n  secret-2 \n");
        assert!(tokens.admit(Some(b"Bearer secret-2")));
        assert!(tokens.admit(Some(b"bearer secret-1")));
        for wrong in [
            &b"Bearer secret-3"[..],
            b"Bearer secret-",
            b"Basic secret-1",
            b"",
            b"Bearer ",
        ] {
            assert!(!tokens.admit(Some(wrong)), "{wrong:?}");
        }
        assert!(!tokens.admit(None));
        assert!(Tokens::default().admit(None));
        assert_eq!(format!("{tokens:?}"), "2 tokens");
    }
}
