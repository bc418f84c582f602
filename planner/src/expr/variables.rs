//! Spark's variables in texts: `${name}` and `${prefix:name}` are replaced before anything is parsed, wherever they stand.
//!
//! Promises: as a Spark that nobody configured, in the session that definitions run in. A variable that nobody set is
//! nothing; one whose value cannot be known here is a problem. *Source: Spark's `ConfigReader` and
//! `VariableSubstitution`.*

use std::borrow::Cow;

use super::problem::{ExprError, Problem, Span};

/// Settings of the session that decide on answers and are the same everywhere.
pub(crate) const KNOWN: [(&str, &str); 3] = [
    ("spark.sql.session.timeZone", "UTC"),
    ("spark.sql.ansi.enabled", "false"),
    ("spark.sql.legacy.timeParserPolicy", "LEGACY"),
];

/// Prefixes of settings of Spark; without a prefix it is one, too.
const OF_SPARK: [&str; 5] = ["", "spark", "sparkconf", "hivevar", "hiveconf"];

/// The text with its variables replaced.
pub(crate) fn substitute(text: &str) -> Result<Cow<'_, str>, ExprError> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let (mut at, mut problems) = (0, vec![]);
    while let Some(found) = text[at..].find("${") {
        let open = at + found;
        out.push_str(&text[at..open]);
        let Some(reference) = reference(&text[open + 2..]) else {
            out.push_str("${");
            at = open + 2;
            continue;
        };
        at = open + 2 + reference.len() + 1;
        match value(reference) {
            Ok(Some(value)) => out.push_str(value),
            Ok(None) => out.push_str(&text[open..at]),
            Err(message) => problems.push(Problem::new(Span::new(open, at), message)),
        }
    }
    out.push_str(&text[at..]);
    match problems.is_empty() {
        true => Ok(Cow::Owned(out)),
        false => Err(ExprError::new(text, problems)),
    }
}

/// What stands before the closing brace: at least one character, none of them blank.
fn reference(rest: &str) -> Option<&str> {
    let first = rest.chars().next()?.len_utf8();
    let close = first + rest.get(first..)?.find('}')?;
    let inner = &rest[..close];
    // Java's blanks, not all of Unicode's.
    let is_blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r');
    (!inner.contains(is_blank)).then_some(inner)
}

/// The value of a variable; `None` if the text stays as it is.
fn value(reference: &str) -> Result<Option<&'static str>, String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (prefix, name) = match reference.split_once(':') {
        Some((prefix, name))
            if !prefix.is_empty() && !name.is_empty() && prefix.chars().all(is_word) =>
        {
            (prefix, name)
        }
        _ => ("", reference),
    };
    if ["env", "system"].contains(&prefix) {
        return Err(format!(
            "${{{reference}}} stands for a setting of the machine, which is not read here; write its value"
        ));
    }
    if !OF_SPARK.contains(&prefix) {
        return Ok(None);
    }
    let known = KNOWN.iter().find(|(known, _)| *known == name);
    match known {
        Some((_, value)) => Ok(Some(value)),
        None if name.starts_with("spark.") => Err(format!(
            "${{{reference}}} stands for a setting of Spark, which there is none of here; write its value"
        )),
        None => Ok(Some("")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a real Spark 3.5 gives for each of these.
    #[test]
    fn variables_are_replaced_as_in_spark() {
        for (text, want) in [
            ("'${x}'", "''"),
            ("a ${x} b", "a  b"),
            ("'${spark.sql.session.timeZone}'", "'UTC'"),
            ("'${hiveconf:spark.sql.session.timeZone}'", "'UTC'"),
            ("'${sparkconf:spark.sql.session.timeZone}'", "'UTC'"),
            ("$x", "$x"),
            ("'${'", "'${'"),
            ("'${a'", "'${a'"),
            ("'${}'", "'${}'"),
            ("'$${x}'", "'$'"),
            ("'${x:y}'", "'${x:y}'"),
            ("'${a b}'", "'${a b}'"),
            ("'${x}' ü '${y}'", "'' ü ''"),
            ("'${${x}}'", "'}'"),
        ] {
            assert_eq!(substitute(text).unwrap(), want, "{text}");
        }
    }

    /// What only the machine or another Spark knows is a problem, where it stands.
    #[test]
    fn unknown_settings_are_problems() {
        for text in [
            "'${env:HOME}'",
            "'${system:user.name}'",
            "'${spark.app.id}'",
        ] {
            let error = substitute(text).unwrap_err();
            assert_eq!(error.problems.len(), 1, "{text}");
            assert_eq!(error.problems[0].span.start, 1, "{text}");
        }
    }
}
