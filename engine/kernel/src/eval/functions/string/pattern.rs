//! LIKE and regular expressions. A constant pattern is compiled once, others when they change.

use std::sync::Arc;

use arrow_array::StringArray;
use arrow_array::types::Int32Type;

use super::{Entry, eager, small};
use crate::eval::build::{Built, finish_list};
use crate::eval::call::Call;
use crate::eval::java::like::{LikeError, LikePattern};
use crate::eval::java::regex::{JavaRegex, Match};

pub(super) fn functions() -> Vec<Entry> {
    vec![
        eager("like", |call| like(call, false)),
        eager("ilike", |call| like(call, true)),
        eager("rlike", rlike),
        eager("split", |call| {
            let (text, limit) = (
                call.strings(0),
                (call.len() > 2).then(|| call.primitives::<Int32Type>(2)),
            );
            let mut compiled = Compiled::new();
            lists(call, |row| {
                let limit = match &limit {
                    Some(limit) => limit.get(row),
                    None => Some(-1),
                };
                let (Some(text), Some(pattern), Some(limit)) =
                    (text.get(row), call.strings(1).get(row), limit)
                else {
                    return Ok(None);
                };
                let parts = split(&mut compiled, text, pattern, limit)?;
                Ok(Some(parts.into_iter().map(str::to_owned).collect()))
            })
        }),
        eager("regexp_extract", extract),
        eager("regexp_extract_all", extract_all),
        eager("regexp_replace", replace),
        eager("regexp_count", |call| {
            let mut compiled = Compiled::new();
            numbers(call, |text, pattern| {
                let found = compiled
                    .get(pattern)?
                    .find_all(text)
                    .map_err(|e| e.to_string())?;
                Ok(small(found.len()))
            })
        }),
        eager("regexp_instr", |call| {
            let mut compiled = Compiled::new();
            numbers(call, |text, pattern| {
                let found = compiled
                    .get(pattern)?
                    .find(text)
                    .map_err(|e| e.to_string())?;
                let at = found.map(|found| text[..found.span().0].encode_utf16().count() + 1);
                Ok(at.map_or(0, small))
            })
        }),
        eager("regexp_substr", |call| {
            let (text, pattern) = (call.strings(0), call.strings(1));
            let mut compiled = Compiled::new();
            call.try_build_strings(|row| {
                let (Some(text), Some(pattern)) = (text.get(row), pattern.get(row)) else {
                    return Ok(None);
                };
                let found = compiled
                    .get(pattern)?
                    .find(text)
                    .map_err(|e| e.to_string())?;
                let found = found.and_then(|found| found.group(text, 0));
                Ok(found.filter(|found| !found.is_empty()).map(str::to_owned))
            })
        }),
    ]
}

/// The pattern compiled last.
pub(super) struct Compiled {
    last: Option<(String, Result<JavaRegex, String>)>,
}

impl Compiled {
    pub(super) fn new() -> Self {
        Self { last: None }
    }

    pub(super) fn get(&mut self, pattern: &str) -> Result<&JavaRegex, String> {
        if self.last.as_ref().is_none_or(|(known, _)| known != pattern) {
            let compiled = JavaRegex::new(pattern).map_err(|error| error.to_string());
            self.last = Some((pattern.to_owned(), compiled));
        }
        let (_, compiled) = self.last.as_ref().expect("set above");
        compiled.as_ref().map_err(Clone::clone)
    }
}

/// Spark's split: an empty pattern cuts into characters.
pub(super) fn split<'t>(
    compiled: &mut Compiled,
    text: &'t str,
    pattern: &str,
    limit: i32,
) -> Result<Vec<&'t str>, String> {
    if pattern.is_empty() && !text.is_empty() {
        let most = usize::try_from(limit)
            .ok()
            .filter(|l| *l > 0)
            .unwrap_or(usize::MAX);
        let characters = text
            .char_indices()
            .map(|(at, c)| &text[at..at + c.len_utf8()]);
        return Ok(characters.take(most).collect());
    }
    compiled
        .get(pattern)?
        .split(text, limit)
        .map_err(|error| error.to_string())
}

/// Lists of strings, row by row.
fn lists(
    call: &Call<'_>,
    mut value: impl FnMut(usize) -> Result<Option<Vec<String>>, String>,
) -> Built {
    let mut all = Vec::new();
    let (mut offsets, mut validity) = (vec![0i32], Vec::new());
    for row in 0..call.rows {
        let list = value(row).map_err(|message| Call::row_error(row, message))?;
        validity.push(list.is_some());
        all.extend(list.into_iter().flatten());
        offsets.push(small(all.len()));
    }
    let values = Arc::new(StringArray::from_iter_values(all));
    finish_list(values, offsets, &validity, call.data_type)
}

fn numbers(call: &Call<'_>, mut count: impl FnMut(&str, &str) -> Result<i32, String>) -> Built {
    let (text, pattern) = (call.strings(0), call.strings(1));
    call.try_build::<Int32Type>(|row| match (text.get(row), pattern.get(row)) {
        // A group that is given and null makes the answer null.
        (Some(_), Some(_)) if call.len() > 2 && call.is_null(2, row) => Ok(None),
        (Some(text), Some(pattern)) => count(text, pattern).map(Some),
        _ => Ok(None),
    })
}

fn like(call: &Call<'_>, ignore_case: bool) -> Built {
    let (text, pattern) = (call.strings(0), call.strings(1));
    let escape = (call.len() > 2).then(|| call.strings(2));
    let mut last: Option<(String, char, Result<LikePattern, LikeError>)> = None;
    call.try_build_booleans(|row| {
        let escape = match &escape {
            Some(escape) => escape.get(row).map(|e| e.chars().next().unwrap_or('\\')),
            None => Some('\\'),
        };
        let (Some(text), Some(pattern), Some(escape)) = (text.get(row), pattern.get(row), escape)
        else {
            return Ok(None);
        };
        let known = last
            .as_ref()
            .is_some_and(|(p, e, _)| p == pattern && *e == escape);
        if !known {
            let folded = if ignore_case {
                pattern.to_lowercase()
            } else {
                pattern.to_owned()
            };
            last = Some((
                pattern.to_owned(),
                escape,
                LikePattern::parse(&folded, escape),
            ));
        }
        let (_, _, compiled) = last.as_ref().expect("set above");
        let compiled = compiled.as_ref().map_err(ToString::to_string)?;
        Ok(Some(match ignore_case {
            true => compiled.matches(&text.to_lowercase()),
            false => compiled.matches(text),
        }))
    })
}

fn rlike(call: &Call<'_>) -> Built {
    let (text, pattern) = (call.strings(0), call.strings(1));
    let mut compiled = Compiled::new();
    call.try_build_booleans(|row| match (text.get(row), pattern.get(row)) {
        (Some(text), Some(pattern)) => {
            let found = compiled.get(pattern)?.is_match(text);
            found.map(Some).map_err(|error| error.to_string())
        }
        _ => Ok(None),
    })
}

/// The group's number, checked against the pattern; 1 if it is left out.
fn group(regex: &JavaRegex, wanted: i32) -> Result<usize, String> {
    let count = regex.group_count();
    match usize::try_from(wanted) {
        Ok(group) if group <= count => Ok(group),
        _ => Err(format!(
            "the regular expression has {count} groups, there is no group {wanted}"
        )),
    }
}

fn group_text(found: &Match, text: &str, group: usize) -> String {
    found.group(text, group).unwrap_or("").to_owned()
}

fn wanted_group(call: &Call<'_>, row: usize) -> Option<i32> {
    match call.len() > 2 {
        true => call.primitives::<Int32Type>(2).get(row),
        false => Some(1),
    }
}

/// The group of the first match, or the empty string; the group is checked where there is a match.
fn extract(call: &Call<'_>) -> Built {
    let (text, pattern) = (call.strings(0), call.strings(1));
    let mut compiled = Compiled::new();
    call.try_build_strings(|row| {
        let (Some(text), Some(pattern), Some(wanted)) =
            (text.get(row), pattern.get(row), wanted_group(call, row))
        else {
            return Ok(None);
        };
        let regex = compiled.get(pattern)?;
        match regex.find(text).map_err(|error| error.to_string())? {
            Some(found) => Ok(Some(group_text(&found, text, group(regex, wanted)?))),
            None => Ok(Some(String::new())),
        }
    })
}

fn extract_all(call: &Call<'_>) -> Built {
    let (text, pattern) = (call.strings(0), call.strings(1));
    let mut compiled = Compiled::new();
    lists(call, |row| {
        let (Some(text), Some(pattern), Some(wanted)) =
            (text.get(row), pattern.get(row), wanted_group(call, row))
        else {
            return Ok(None);
        };
        let regex = compiled.get(pattern)?;
        let found = regex.find_all(text).map_err(|error| error.to_string())?;
        let groups = found
            .iter()
            .map(|found| Ok(group_text(found, text, group(regex, wanted)?)));
        groups.collect::<Result<Vec<_>, String>>().map(Some)
    })
}

/// Replaces from a position (counted from 1) on; beyond the end nothing.
fn replace(call: &Call<'_>) -> Built {
    let (text, pattern, with) = (call.strings(0), call.strings(1), call.strings(2));
    let position = (call.len() > 3).then(|| call.primitives::<Int32Type>(3));
    let mut compiled = Compiled::new();
    call.try_build_strings(|row| {
        let position = match &position {
            Some(position) => position.get(row),
            None => Some(1),
        };
        let (Some(text), Some(pattern), Some(with), Some(position)) =
            (text.get(row), pattern.get(row), with.get(row), position)
        else {
            return Ok(None);
        };
        let regex = compiled.get(pattern)?;
        let Some(skipped) = usize::try_from(position)
            .ok()
            .and_then(|p| p.checked_sub(1))
        else {
            return Err("the position of regexp_replace must be at least 1".into());
        };
        let Some((start, _)) = text
            .char_indices()
            .nth(skipped)
            .or((skipped == 0).then_some((0, ' ')))
        else {
            return Ok(Some(text.to_owned()));
        };
        let replaced = regex
            .replace_all(&text[start..], with)
            .map_err(|error| error.to_string())?;
        Ok(Some(format!("{}{replaced}", &text[..start])))
    })
}
