//! Java's regular expressions on Rust's engines.
//!
//! [`translate`] parses Java's syntax and writes the same meaning for the `regex` crate, or, where
//! a pattern looks around, refers back or does not backtrack, for `fancy-regex`. Promises Java's
//! matches, groups, empty-match steps, replacement references and split rules; what cannot be said
//! is an error that names it. Never gives another match silently.

mod class;
mod translate;

use translate::Dialect;

/// A compiled pattern.
#[derive(Debug)]
pub struct JavaRegex {
    /// For texts without line terminators, where `$` and `\Z` are plainly the end.
    plain: Engine,
    /// For all other texts, if the difference matters.
    exact: Option<Engine>,
    group_count: usize,
    names: Vec<(String, usize)>,
}

#[derive(Debug)]
enum Engine {
    Linear(Box<regex::Regex>),
    Backtracking(Box<fancy_regex::Regex>),
}

/// Why a pattern or replacement cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegexError {
    /// Not a pattern to Java either.
    #[error("the regular expression '{pattern}' is not valid: {reason}")]
    Invalid {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// A Java pattern with something that has no counterpart here.
    #[error("the regular expression '{pattern}' uses {feature}, which is not supported")]
    Unsupported {
        /// The pattern.
        pattern: String,
        /// The construct.
        feature: String,
    },
    /// A group that the pattern lacks.
    #[error("the regular expression has {count} groups, there is no group {group}")]
    NoSuchGroup {
        /// The group asked for.
        group: String,
        /// How many there are.
        count: usize,
    },
    /// A `$` or `\` in a replacement that means nothing.
    #[error("the replacement '{0}' has an illegal group reference")]
    Replacement(String),
    /// A match took too many steps.
    #[error("the regular expression backtracks too much")]
    Backtracking,
}

/// Where a match and its groups lie, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    groups: Vec<Option<(usize, usize)>>,
}

impl Match {
    /// The bytes of the whole match.
    pub fn span(&self) -> (usize, usize) {
        self.groups[0].expect("a match has its whole")
    }

    /// The text of a group, if it took part.
    pub fn group<'t>(&self, text: &'t str, index: usize) -> Option<&'t str> {
        self.groups
            .get(index)
            .copied()
            .flatten()
            .map(|(from, to)| &text[from..to])
    }
}

const TERMINATORS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

impl Engine {
    fn new(pattern: &str, translated: &translate::Translated) -> Result<Self, RegexError> {
        let unsupported = |error: String| RegexError::Unsupported {
            pattern: pattern.to_owned(),
            feature: error.lines().last().unwrap_or("a construct").to_owned(),
        };
        if translated.backtracking {
            let built = fancy_regex::Regex::new(&translated.text);
            built
                .map(|r| Self::Backtracking(Box::new(r)))
                .map_err(|e| unsupported(e.to_string()))
        } else {
            let built = regex::Regex::new(&translated.text);
            built
                .map(|r| Self::Linear(Box::new(r)))
                .map_err(|e| unsupported(e.to_string()))
        }
    }

    fn find_at(&self, text: &str, from: usize) -> Result<Option<Match>, RegexError> {
        Ok(match self {
            Self::Linear(regex) => regex.captures_at(text, from).map(|captures| Match {
                groups: captures
                    .iter()
                    .map(|g| g.map(|g| (g.start(), g.end())))
                    .collect(),
            }),
            Self::Backtracking(regex) => regex
                .captures_from_pos(text, from)
                .map_err(|_| RegexError::Backtracking)?
                .map(|captures| Match {
                    groups: captures
                        .iter()
                        .map(|g| g.map(|g| (g.start(), g.end())))
                        .collect(),
                }),
        })
    }
}

impl JavaRegex {
    /// Compiles a Java pattern.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        let plain = translate::translate(pattern, Dialect::NoTerminators)?;
        let exact = plain
            .depends_on_terminators
            .then(|| translate::translate(pattern, Dialect::Exact))
            .transpose()?;
        Ok(Self {
            plain: Engine::new(pattern, &plain)?,
            exact: exact
                .map(|exact| Engine::new(pattern, &exact))
                .transpose()?,
            group_count: plain.group_count,
            names: plain.names,
        })
    }

    /// How many capturing groups the pattern has.
    pub fn group_count(&self) -> usize {
        self.group_count
    }

    fn engine(&self, text: &str) -> &Engine {
        match &self.exact {
            Some(exact) if text.contains(TERMINATORS) => exact,
            _ => &self.plain,
        }
    }

    /// Whether the pattern occurs in the text.
    pub fn is_match(&self, text: &str) -> Result<bool, RegexError> {
        match self.engine(text) {
            Engine::Linear(regex) => Ok(regex.is_match(text)),
            Engine::Backtracking(regex) => {
                regex.is_match(text).map_err(|_| RegexError::Backtracking)
            }
        }
    }

    /// The first match.
    pub fn find(&self, text: &str) -> Result<Option<Match>, RegexError> {
        self.engine(text).find_at(text, 0)
    }

    /// All matches, as repeated `Matcher.find` gives them.
    pub fn find_all(&self, text: &str) -> Result<Vec<Match>, RegexError> {
        let engine = self.engine(text);
        let mut out = Vec::new();
        let mut from = 0;
        while from <= text.len() {
            let Some(found) = engine.find_at(text, from)? else {
                break;
            };
            let (start, end) = found.span();
            from = end;
            if start == end {
                from += text[end..].chars().next().map_or(1, char::len_utf8);
            }
            out.push(found);
        }
        Ok(out)
    }

    /// `Matcher.replaceAll`.
    pub fn replace_all(&self, text: &str, replacement: &str) -> Result<String, RegexError> {
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for found in self.find_all(text)? {
            let (start, end) = found.span();
            out.push_str(&text[done..start]);
            self.append_replacement(&mut out, text, &found, replacement)?;
            done = end;
        }
        out.push_str(&text[done..]);
        Ok(out)
    }

    fn append_replacement(
        &self,
        out: &mut String,
        text: &str,
        found: &Match,
        replacement: &str,
    ) -> Result<(), RegexError> {
        let illegal = || RegexError::Replacement(replacement.to_owned());
        let no_group = |group: String| RegexError::NoSuchGroup {
            group,
            count: self.group_count,
        };
        let mut rest = replacement.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\\' => out.push(rest.next().ok_or_else(illegal)?),
                '$' if rest.next_if_eq(&'{').is_some() => {
                    let name: String =
                        std::iter::from_fn(|| rest.next_if(char::is_ascii_alphanumeric)).collect();
                    if rest.next() != Some('}') {
                        return Err(illegal());
                    }
                    let index = self
                        .names
                        .iter()
                        .find(|(known, _)| *known == name)
                        .map(|(_, i)| *i);
                    let index = index.ok_or_else(|| no_group(name))?;
                    out.push_str(found.group(text, index).unwrap_or(""));
                }
                '$' => {
                    let first = rest
                        .next()
                        .and_then(|c| c.to_digit(10))
                        .ok_or_else(illegal)?;
                    let mut index = first as usize;
                    if index > self.group_count {
                        return Err(no_group(index.to_string()));
                    }
                    while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
                        let longer = index * 10 + digit as usize;
                        if longer > self.group_count {
                            break;
                        }
                        index = longer;
                        rest.next();
                    }
                    out.push_str(found.group(text, index).unwrap_or(""));
                }
                c => out.push(c),
            }
        }
        Ok(())
    }

    /// `String.split(pattern, limit)` as Spark calls it: no limit (zero or less) keeps trailing
    /// empty strings.
    pub fn split<'t>(&self, text: &'t str, limit: i32) -> Result<Vec<&'t str>, RegexError> {
        let mut out = Vec::new();
        let mut done = 0;
        for found in self.find_all(text)? {
            if limit > 0 && out.len() as i64 >= i64::from(limit) - 1 {
                break;
            }
            let (start, end) = found.span();
            // A match of nothing at the very beginning does not cut off an empty string.
            if end == 0 {
                continue;
            }
            out.push(&text[done..start]);
            done = end;
        }
        out.push(&text[done..]);
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
