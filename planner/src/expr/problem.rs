//! What is wrong with an expression, and where.

use std::fmt;

/// A range of bytes in the expression's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    pub(crate) fn to(self, other: Span) -> Self {
        Self::new(self.start.min(other.start), self.end.max(other.end))
    }
}

/// One thing wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub span: Span,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
        }
    }
}

/// Everything wrong with one expression, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ExprError {
    /// The expression.
    pub text: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl ExprError {
    pub(crate) fn new(text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|p| p.span);
        problems.dedup();
        Self {
            text: text.to_owned(),
            problems,
        }
    }
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let upto = &self.text[..problem.span.start.min(self.text.len())];
            let line = upto.matches('\n').count() + 1;
            let column = upto.chars().rev().take_while(|c| *c != '\n').count() + 1;
            let separator = if i == 0 { "" } else { "; " };
            write!(
                f,
                "{separator}line {line} column {column}: {}",
                problem.message
            )?;
        }
        Ok(())
    }
}
