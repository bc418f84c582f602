//! The statements that a staging query runs first.
//!
//! Promises: a temporary view becomes a relation that the query can name; what only tunes Spark is told and passed
//! over; what would write, or load code, is refused by name.

use super::parse::parse;
use crate::expr::problem::ExprError;
use crate::expr::variables::KNOWN;

/// What a setup statement is to us.
#[derive(Clone, Debug, PartialEq)]
pub enum Setup {
    /// A query under a name.
    View {
        /// Its name, without database.
        name: String,
        /// Its text.
        query: String,
    },
    /// Without meaning here: why.
    Ignored(String),
    /// Not to be run: why.
    Refused(String),
}

/// Reads a setup statement.
pub fn setup(text: &str) -> Setup {
    let text = text.trim().trim_end_matches(';').trim();
    let words: Vec<String> = text
        .split_whitespace()
        .take(8)
        .map(str::to_lowercase)
        .collect();
    let word = |i: usize| words.get(i).map_or("", String::as_str);
    match word(0) {
        "set" if changes_answers(text) => Setup::Refused(format!(
            "{text:?} changes what queries answer; write values where they are meant, and times in UTC"
        )),
        "set" | "reset" => Setup::Ignored(format!("{text:?} tunes Spark only")),
        "add" => Setup::Ignored(format!(
            "{text:?} loads code that cannot be run here; functions it brings are unknown"
        )),
        "create" => create(text, &words),
        _ => Setup::Refused(format!(
            "{text:?} is not run: a setup may make temporary views, nothing else"
        )),
    }
}

/// Whether a `SET` gives a variable of texts a value, or a setting that decides on answers another one.
fn changes_answers(text: &str) -> bool {
    let Some(rest) = text.get(3..).map(str::trim) else {
        return false;
    };
    if rest.to_lowercase().starts_with("time") {
        return !rest.to_lowercase().ends_with("'utc'");
    }
    let Some((name, value)) = rest.split_once('=') else {
        return false;
    };
    let (name, value) = (name.trim(), value.trim());
    match KNOWN.iter().find(|(known, _)| *known == name) {
        Some((_, known)) => !value.eq_ignore_ascii_case(known),
        None => !["spark.", "hive.", "mapred"]
            .iter()
            .any(|own| name.starts_with(own)),
    }
}

fn create(text: &str, words: &[String]) -> Setup {
    let mut at = 1;
    let mut next = |word: &str| {
        let found = words.get(at).is_some_and(|w| w == word);
        at += usize::from(found);
        found
    };
    let replaced = next("or");
    if replaced {
        next("replace");
    }
    next("global");
    let temporary = next("temporary") || next("temp");
    if temporary && next("function") || next("function") {
        return Setup::Ignored(format!(
            "{text:?} names code that cannot be run here; the function is unknown"
        ));
    }
    if !temporary || !next("view") {
        return Setup::Refused(format!(
            "{text:?} is not run: a setup may make temporary views, nothing else"
        ));
    }
    for word in ["if", "not", "exists"] {
        next(word);
    }
    let skipped = text.split_whitespace().take(at);
    let mut rest = text;
    for word in skipped {
        rest = rest.trim_start();
        rest = &rest[word.len()..];
    }
    let rest = rest.trim_start();
    let end = rest.find(|c: char| c.is_whitespace() || c == '(');
    let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let rest = rest.trim_start();
    let query = rest.get(..2).filter(|word| word.eq_ignore_ascii_case("as"));
    match query {
        Some(_) if !name.is_empty() => Setup::View {
            name: name.trim_matches('`').to_owned(),
            query: rest[2..].trim().to_owned(),
        },
        _ => Setup::Refused(format!(
            "{text:?} is not understood: expected CREATE TEMPORARY VIEW name AS query"
        )),
    }
}

/// Checks that a text is a query that only reads, without looking at any table.
pub fn check(text: &str) -> Result<(), ExprError> {
    parse(text).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each kind of statement that setups hold.
    #[test]
    fn kinds() {
        let view = |name: &str, query: &str| Setup::View {
            name: name.into(),
            query: query.into(),
        };
        for (text, want) in [
            (
                "create or replace temporary view tv as select 1 as one",
                view("tv", "select 1 as one"),
            ),
            ("CREATE TEMP VIEW `x` AS\nSELECT 2;", view("x", "SELECT 2")),
        ] {
            assert_eq!(setup(text), want);
        }
        for text in [
            "SET spark.x=1",
            "SET",
            "SET spark.sql.session.timeZone = utc",
            "set time zone 'UTC'",
            "ADD JAR s3://a.jar",
            "CREATE TEMPORARY FUNCTION f AS 'a.b.C'",
        ] {
            assert!(matches!(setup(text), Setup::Ignored(_)), "{text}");
        }
        for text in [
            "DROP TABLE t",
            "SET x = 5",
            "SET spark.sql.ansi.enabled=true",
            "SET TIME ZONE 'America/New_York'",
            "CREATE TABLE t AS SELECT 1",
            "INSERT INTO t SELECT 1",
            "CREATE VIEW v AS SELECT 1",
            "",
        ] {
            assert!(matches!(setup(text), Setup::Refused(_)), "{text}");
        }
    }
}
