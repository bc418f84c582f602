//! The macros of staging queries: `{{ start_date }}`, `{{ end_date }}`, `{{ latest_date }}`, `{{ max_date(table=db.t) }}`.
//!
//! Promises: every macro is replaced or named in an error; text in braces that begins with no word is left alone.

/// What macros stand for in one step.
#[derive(Clone, Copy)]
pub struct Macros<'a> {
    /// First and last day of the step; `None` where there are no steps.
    pub days: Option<(&'a str, &'a str)>,
    /// The last day asked for.
    pub latest: &'a str,
    /// The greatest partition of a table, if it has any.
    pub max_date: &'a dyn Fn(&str) -> Option<String>,
}

/// The text with its macros replaced; all problems at once.
pub fn expand(text: &str, macros: &Macros<'_>) -> Result<String, Vec<String>> {
    let mut out = String::with_capacity(text.len());
    let mut problems = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        let Some(close) = from.find("}}") else {
            rest = from;
            break;
        };
        let inner = from[2..close].trim();
        if !inner.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            out.push_str("{{");
            rest = &from[2..];
            continue;
        }
        match value(inner, macros) {
            Ok(value) => out.push_str(&value),
            Err(problem) => problems.push(problem),
        }
        rest = &from[close + 2..];
    }
    out.push_str(rest);
    match problems.is_empty() {
        true => Ok(out),
        false => Err(problems),
    }
}

fn value(inner: &str, macros: &Macros<'_>) -> Result<String, String> {
    let (name, arguments) = match inner.split_once('(') {
        Some((name, rest)) => match rest.trim_end().strip_suffix(')') {
            Some(arguments) => (name.trim(), arguments),
            None => return Err(format!("the macro {{{{ {inner} }}}} lacks its ')'")),
        },
        None => (inner, ""),
    };
    let of_step = |day: fn((&str, &str)) -> String| match macros.days {
        Some(days) => Ok(day(days)),
        None => Err(format!(
            "the macro {name} has no value: the query has no startPartition, or makes a view"
        )),
    };
    match name {
        "start_date" => of_step(|(start, _)| start.to_owned()),
        "end_date" => of_step(|(_, end)| end.to_owned()),
        "latest_date" => Ok(macros.latest.to_owned()),
        "max_date" => {
            let pairs = arguments.split(',').filter_map(|pair| pair.split_once('='));
            let mut tables = pairs.filter(|(key, _)| key.trim() == "table");
            let table = tables.next().map(|(_, table)| table.trim());
            let Some(table) = table.filter(|table| !table.is_empty()) else {
                return Err("the macro max_date needs a table: max_date(table=db.table)".into());
            };
            (macros.max_date)(table)
                .ok_or_else(|| format!("the macro max_date finds no partition of table {table}"))
        }
        other => {
            let known = ["start_date", "end_date", "latest_date", "max_date"];
            let hint = match crate::diagnostic::nearest(other, known) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("known are {}", known.join(", ")),
            };
            Err(format!("unknown macro {other}; {hint}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, Vec<String>> {
        expand(
            text,
            &Macros {
                days: Some(("2024-01-01", "2024-01-07")),
                latest: "2024-02-01",
                max_date: &|table| (table == "db.t").then(|| "2024-01-31".into()),
            },
        )
    }

    /// Every macro in the spellings users write, and text that is none.
    #[test]
    fn values() {
        for (text, want) in [
            ("a '{{ start_date }}' b", "a '2024-01-01' b"),
            ("{{start_date}}..{{ end_date}}", "2024-01-01..2024-01-07"),
            ("{{ latest_date() }}", "2024-02-01"),
            ("{{ max_date(table=db.t) }}", "2024-01-31"),
            ("{{ max_date( table = db.t ) }}", "2024-01-31"),
            ("'{{ 1 }}' {{", "'{{ 1 }}' {{"),
            ("{{{{ start_date }}", "{{2024-01-01"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(want), "{text}");
        }
    }

    /// What is wrong is named, all of it.
    #[test]
    fn problems() {
        let found = expanded("{{ strat_date }} {{ max_date(table=x.y) }} {{ max_date }} {{ a(b }}");
        let found = found.unwrap_err();
        assert_eq!(found.len(), 4);
        assert!(found[0].contains("strat_date") && found[0].contains("start_date"));
        assert!(found[1].contains("x.y"));
        let nothing = |_: &str| None;
        let macros = Macros {
            days: None,
            latest: "2024-01-01",
            max_date: &nothing,
        };
        assert!(expand("{{ end_date }}", &macros).unwrap_err()[0].contains("end_date"));
    }
}
