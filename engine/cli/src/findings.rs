//! What a job found, on stdout: aligned text for people, one JSON object for programs.
//!
//! Promises: both say the same; programs find a section under its name, a table as a list of objects.

pub(crate) mod cells;
mod json;
mod text;

use unskewed_engine::findings::Findings;

use crate::args::FindingsFormat;

/// The findings as they are printed.
pub(crate) fn render(findings: &Findings, format: FindingsFormat) -> String {
    match format {
        FindingsFormat::Text => text::render(findings),
        FindingsFormat::Json => format!("{:#}\n", json::render(findings)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unskewed_engine::findings::{Cell, Content, Line, Table};

    fn findings() -> Findings {
        let mut findings = Findings::new("statistics of team.j");
        let mut table = Table::new(["feature", "rows", "null_rate", "p50", "first"]);
        table.push([
            "a".into(),
            Cell::Count(12),
            Cell::Share(0.25),
            Cell::Number(1.5),
            Cell::Time(0),
        ]);
        table.push([
            "long name".into(),
            Cell::Count(3),
            Cell::Share(0.0),
            Cell::Empty,
            Cell::Empty,
        ]);
        findings.add("features", "features", Content::Table(table));
        let line = Line {
            name: "a".into(),
            points: vec![(0, 0.25)],
        };
        findings.add("null_rates", "share of nulls", Content::Series(vec![line]));
        findings.problems.push("a is half null".into());
        findings
    }

    /// Numbers stand to the right, text to the left, and nothing is padded at the end of a line.
    #[test]
    fn text_is_aligned() {
        let text = render(&findings(), FindingsFormat::Text);
        let want = "\
statistics of team.j

features
  feature    rows  null_rate  p50  first
  a            12     25.00%  1.5  1970-01-01T00:00:00.000Z
  long name     3      0.00%    -  -
";
        assert_eq!(text, want);
    }

    /// Programs get values, not their pictures.
    #[test]
    fn json_is_values() {
        let json: serde_json::Value =
            serde_json::from_str(&render(&findings(), FindingsFormat::Json)).unwrap();
        assert_eq!(json["features"][0]["null_rate"], 0.25);
        assert_eq!(json["features"][1]["p50"], serde_json::Value::Null);
        assert_eq!(json["null_rates"]["a"][0]["millis"], 0);
        assert_eq!(json["problems"][0], "a is half null");
        assert_eq!(json["title"], "statistics of team.j");
    }
}
