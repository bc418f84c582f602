//! One problem in a definition: what is wrong, where in the user's file, and what to do about it.
//!
//! Messages start with a lower-case letter and end without a full stop; "cannot" is for what can never work, "could
//! not" for what may work later. Problems are collected, never thrown one at a time.

use std::fmt;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is computed.
    Error,
    /// The job goes on; the user should look.
    Warning,
}

/// One problem of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the job can go on.
    pub severity: Severity,
    /// Where: a path in the user's file such as `joinParts[0].groupBy.keyColumns[1]`; empty for the whole file.
    pub path: String,
    /// What is wrong, in one line.
    pub message: String,
    /// What was found, or why it is wrong.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at a path.
    pub fn error(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            path: path.into(),
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    /// A warning at a path.
    pub fn warning(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(path, message)
        }
    }

    /// The same problem with a detail.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same problem with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same problem with the hint that one of `known` was meant, when one is near.
    #[must_use]
    pub fn meant<'a>(self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(written, known) {
            Some(name) => self.hint(format!("did you mean {name:?}?")),
            None => self,
        }
    }

    /// Whether it stops the job.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", self.message)?;
        if !self.path.is_empty() {
            write!(f, "\n  --> {}", self.path)?;
        }
        if let Some(detail) = &self.detail {
            write!(f, "\n   = note: {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n   = help: {hint}")?;
        }
        Ok(())
    }
}

/// Whether any of the problems stops the job.
pub fn any_error(problems: &[Diagnostic]) -> bool {
    problems.iter().any(Diagnostic::is_error)
}

/// The known name nearest to what was written, if it is near enough to be a slip.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    let allowed = (written.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (edit_distance(&written, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

/// Insertions, deletions and replacements between two words.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slip of a letter is recognised, another word is not.
    #[test]
    fn nearest_names() {
        let known = ["windows", "buckets", "operation"];
        assert_eq!(nearest("windws", known), Some("windows"));
        assert_eq!(nearest("Window", known), Some("windows"));
        assert_eq!(nearest("colour", known), None);
    }

    /// The text has the parts that were given, in rustc's order.
    #[test]
    fn text() {
        let problem = Diagnostic::error("a.b", "unknown field \"b\"").hint("leave it out");
        assert_eq!(
            problem.to_string(),
            "error: unknown field \"b\"\n  --> a.b\n   = help: leave it out"
        );
    }
}
