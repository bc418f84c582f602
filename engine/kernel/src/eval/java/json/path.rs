//! `get_json_object`: a path into a JSON text, with the rules that Spark took over from Hive.
//!
//! A wildcard over an array gives an array of what was found, or the thing itself if it is one; two
//! wildcards in a row flatten.

use super::{JsonSyntax, JsonValue, parse, write_text};

/// A parsed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Named(String),
    Index(usize),
    Every,
    /// `.*`, which finds nothing in objects.
    AnyName,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Raw,
    Quoted,
    Flatten,
}

impl JsonPath {
    /// Reads a path; nothing if it is malformed.
    pub fn parse(path: &str) -> Option<Self> {
        let mut rest = path.trim_start().strip_prefix('$')?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = step(rest)?;
            steps.push(step);
            rest = after;
        }
        Some(Self { steps })
    }

    /// What the path finds in a text; nothing also if the text is malformed.
    pub fn find(&self, text: &str) -> Option<String> {
        let value = parse(text, JsonSyntax::PATH).ok().flatten()?;
        let mut out = Output::default();
        walk(&value, &self.steps, Style::Raw, &mut out).then_some(out.text)
    }
}

/// One step; blanks may stand before each of its parts.
fn step(rest: &str) -> Option<(Step, &str)> {
    let rest = rest.trim_start();
    if let Some(after) = rest.strip_prefix(".*") {
        return Some((Step::AnyName, after));
    }
    if let Some(after) = rest.strip_prefix("['*']") {
        return Some((Step::AnyName, after));
    }
    if let Some(after) = rest.strip_prefix('.') {
        let after = after.trim_start();
        let end = after.find(['.', '[']).unwrap_or(after.len());
        return (end > 0).then(|| (Step::Named(after[..end].to_owned()), &after[end..]));
    }
    if let Some(after) = rest.strip_prefix("['") {
        let after = after.trim_start();
        let end = after.find(['\'', '?']).unwrap_or(after.len());
        let closed = after[end..].trim_start().strip_prefix("']")?;
        return (end > 0).then(|| (Step::Named(after[..end].to_owned()), closed));
    }
    let inside = rest.strip_prefix('[')?.trim_start();
    if let Some(after) = inside.strip_prefix('*') {
        return Some((Step::Every, after.trim_start().strip_prefix(']')?));
    }
    let end = inside.find(|c: char| !c.is_ascii_digit())?;
    let index = inside[..end].parse().ok()?;
    Some((
        Step::Index(index),
        inside[end..].trim_start().strip_prefix(']')?,
    ))
}

/// What a generator has written: values within an array are apart by commas.
#[derive(Default)]
struct Output {
    text: String,
    count: usize,
    in_array: bool,
}

impl Output {
    fn array() -> Self {
        Self {
            in_array: true,
            ..Self::default()
        }
    }

    fn raw(&mut self, text: &str) {
        if self.count > 0 {
            // Values at the root are apart by a blank, as Jackson writes them.
            self.text.push(if self.in_array { ',' } else { ' ' });
        }
        self.text.push_str(text);
        self.count += 1;
    }
}

fn walk(value: &JsonValue, steps: &[Step], style: Style, out: &mut Output) -> bool {
    match (value, steps) {
        (JsonValue::Text(text), []) if style == Style::Raw => {
            // Written as it is, without the separation of values.
            out.text.push_str(text);
            true
        }
        (JsonValue::Array(items), []) if style == Style::Flatten => items
            .iter()
            .fold(false, |found, item| walk(item, &[], style, out) | found),
        (value, []) => {
            let mut text = String::new();
            match value {
                JsonValue::Text(inner) => write_text(&mut text, inner),
                other => other.write(&mut text),
            }
            out.raw(&text);
            true
        }
        (JsonValue::Object(fields), [Step::Named(name), rest @ ..]) => fields
            .iter()
            .filter(|(known, value)| known == name && *value != JsonValue::Null)
            .any(|(_, value)| walk(value, rest, style, out)),
        (JsonValue::Array(items), [Step::Every, Step::Every, rest @ ..]) => {
            let mut inner = Output::array();
            let found = items.iter().fold(false, |found, item| {
                walk(item, rest, Style::Flatten, &mut inner) | found
            });
            out.raw(&format!("[{}]", inner.text));
            found
        }
        (JsonValue::Array(items), [Step::Every, rest @ ..]) if style != Style::Quoted => {
            let next = if style == Style::Raw {
                Style::Quoted
            } else {
                Style::Flatten
            };
            let mut inner = Output::array();
            let found = items
                .iter()
                .filter(|item| walk(item, rest, next, &mut inner))
                .count();
            match found {
                0 => {}
                1 => out.raw(&inner.text),
                _ => out.raw(&format!("[{}]", inner.text)),
            }
            found > 0
        }
        (JsonValue::Array(items), [Step::Every, rest @ ..]) => {
            let mut inner = Output::array();
            let found = items.iter().fold(false, |found, item| {
                walk(item, rest, Style::Quoted, &mut inner) | found
            });
            out.raw(&format!("[{}]", inner.text));
            found
        }
        (JsonValue::Array(items), [Step::Index(index), rest @ ..]) => {
            let style = if rest.first() == Some(&Step::Every) {
                Style::Quoted
            } else {
                style
            };
            items
                .get(*index)
                .is_some_and(|item| walk(item, rest, style, out))
        }
        _ => false,
    }
}
