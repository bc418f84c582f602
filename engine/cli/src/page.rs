//! Findings as one HTML page: tables, curves and distributions, the worst first.
//!
//! Promises: the page needs nothing beside it and asks no network; every table of the findings is a table with the
//! section's name as its id; what cannot be drawn is left out and the tables still tell it. The same findings give the
//! same page.

mod plots;

use std::fmt::Write as _;

use unskewed_engine::findings::{Cell, Content, Findings, Section, Spread, Table};

use crate::findings::cells;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// Plots shown of one section; the tables hold the rest.
const PLOTS_MAX: usize = 24;

/// The page.
pub(crate) fn render(findings: &Findings) -> String {
    let title = escaped(&findings.title);
    let mut body = format!("<header><h1>{title}</h1>{}</header>\n", contents(findings));
    if !findings.problems.is_empty() {
        let items: String = findings
            .problems
            .iter()
            .map(|p| format!("<li>{}</li>", escaped(p)))
            .collect();
        let _ = writeln!(
            body,
            "<section class=\"problems\"><h2>Problems</h2><ul>{items}</ul></section>"
        );
    }
    for section in &findings.sections {
        let title = escaped(&section.title);
        let _ = writeln!(body, "<section><h2 id=\"{}\">{title}</h2>", anchor(section));
        write_content(&mut body, section);
        body.push_str("</section>\n");
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title>\n<style>\n{STYLE}</style></head>\n<body>\n{body}\
         <footer>unskewed {}</footer>\n<script>\n{SCRIPT}</script>\n</body></html>\n",
        env!("CARGO_PKG_VERSION")
    )
}

fn anchor(section: &Section) -> String {
    format!("section-{}", escaped(&section.name))
}

fn contents(findings: &Findings) -> String {
    let link = |section: &Section| {
        format!(
            "<a href=\"#{}\">{}</a>",
            anchor(section),
            escaped(&section.title)
        )
    };
    let links: Vec<String> = findings.sections.iter().map(link).collect();
    format!("<nav>{}</nav>", links.join(" "))
}

fn write_content(out: &mut String, section: &Section) {
    match &section.content {
        Content::Table(table) => write_table(out, &section.name, table),
        Content::Series(lines) => {
            let drawn = lines
                .iter()
                .map(|line| (escaped(&line.name), plots::line(line)));
            write_plots(out, drawn.take(PLOTS_MAX), lines.len());
        }
        Content::Bars(bars) => {
            let plot = plots::bars(bars).unwrap_or_default();
            let _ = writeln!(out, "<figure>{plot}</figure>");
        }
        Content::Spreads(spreads) => {
            let drawn = spreads
                .iter()
                .map(|spread| (caption(spread), plots::spread(spread)));
            write_plots(out, drawn.take(PLOTS_MAX), spreads.len());
        }
    }
}

/// What a distribution is of, with a key of its lines where there are two.
fn caption(spread: &Spread) -> String {
    let name = escaped(&spread.name);
    match &spread.other {
        None => name,
        Some((other, _)) => {
            let (own, other) = (escaped(&spread.side), escaped(other));
            format!(
                "{name}<div class=\"keys\"><span><i class=\"first\"></i>{own}</span>\
                 <span><i class=\"second\"></i>{other}</span></div>"
            )
        }
    }
}

/// Captions are markup, plots are SVG.
fn write_plots(
    out: &mut String,
    plots: impl Iterator<Item = (String, Option<String>)>,
    count: usize,
) {
    out.push_str("<div class=\"plots\">\n");
    for (caption, plot) in plots {
        if let Some(plot) = plot {
            let _ = writeln!(
                out,
                "<figure><figcaption>{caption}</figcaption>{plot}</figure>"
            );
        }
    }
    out.push_str("</div>\n");
    if count > PLOTS_MAX {
        let _ = writeln!(
            out,
            "<p class=\"note\">The first {PLOTS_MAX} of {count} are drawn.</p>"
        );
    }
}

fn write_table(out: &mut String, name: &str, table: &Table) {
    let _ = write!(
        out,
        "<div class=\"wide\"><table id=\"{}\"><thead><tr>",
        escaped(name)
    );
    for column in &table.columns {
        let _ = write!(out, "<th>{}</th>", escaped(&column.replace('_', " ")));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        row.iter().for_each(|cell| write_cell(out, cell));
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

/// The value behind the text is kept for sorting; shares have a bar.
fn write_cell(out: &mut String, cell: &Cell) {
    let text = escaped(&cells::text(cell));
    let _ = match cell {
        Cell::Count(number) | Cell::Time(number) => {
            let class = if cells::is_number(cell) {
                "number"
            } else {
                "time"
            };
            write!(
                out,
                "<td class=\"{class}\" data-value=\"{number}\">{text}</td>"
            )
        }
        Cell::Number(number) => write!(
            out,
            "<td class=\"number\" data-value=\"{number}\">{text}</td>"
        ),
        Cell::Share(share) => {
            let width = (share.clamp(0.0, 1.0) * 100.0).round();
            write!(
                out,
                "<td class=\"number share\" data-value=\"{share}\" style=\"--share:{width}%\">{text}</td>"
            )
        }
        Cell::Empty => write!(out, "<td class=\"empty\">{text}</td>"),
        Cell::Text(word) => {
            let class = match word.as_str() {
                "error" | "major" => " class=\"bad\"",
                "warning" | "moderate" => " class=\"doubtful\"",
                "ok" | "small" => " class=\"good\"",
                _ => "",
            };
            write!(out, "<td{class}>{text}</td>")
        }
    };
}

/// Text that means itself in HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use unskewed_engine::findings::Line;

    /// Names cannot become markup, a share has its bar, and each form is drawn.
    #[test]
    fn a_page_of_everything() {
        let mut findings = Findings::new("a <b> & c");
        let mut table = Table::new(["feature", "null_rate"]);
        table.push(["<script>x</script>".into(), Cell::Share(0.256)]);
        findings.add("features", "features", Content::Table(table));
        let points = vec![(0, 0.0), (3_600_000, 0.5)];
        findings.add(
            "s",
            "series",
            Content::Series(vec![Line {
                name: "f".into(),
                points,
            }]),
        );
        findings.add(
            "b",
            "bars",
            Content::Bars(vec![("00".into(), 1.0), ("01".into(), 3.0)]),
        );
        let quantiles = vec![(0.1, 1.0), (0.5, 2.0), (0.9, 4.0)];
        let other = Some(("before".into(), vec![(0.1, 0.0), (0.9, 3.0)]));
        let spread = Spread {
            name: "f".into(),
            quantiles,
            side: "now".into(),
            other,
        };
        findings.add("d", "distributions", Content::Spreads(vec![spread]));
        let page = render(&findings);
        assert!(page.contains("a &lt;b&gt; &amp; c") && !page.contains("<script>x"));
        assert!(page.contains("--share:26%") && page.contains("<table id=\"features\">"));
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(page.contains("</i>now</span>") && page.contains("</i>before</span>"));
        assert!(!page.contains("http://") || page.contains("www.w3.org/2000/svg"));
        assert_eq!(page, render(&findings));
    }

    /// One point, equal values and values that are no numbers are drawn or left out, but break nothing.
    #[test]
    fn odd_values_are_drawn_or_left_out() {
        let line = |points| {
            plots::line(&Line {
                name: "f".into(),
                points,
            })
        };
        assert!(line(vec![(5, 1.0)]).is_some());
        assert!(line(vec![]).is_none());
        assert!(line(vec![(0, f64::NAN)]).is_none());
        let flat = vec![(0.1, 2.0), (0.9, 2.0)];
        assert!(
            plots::spread(&Spread {
                name: "f".into(),
                quantiles: flat,
                side: String::new(),
                other: None
            })
            .is_some()
        );
        assert!(plots::bars(&[]).is_none());
        assert!(plots::bars(&[("a".into(), 0.0)]).is_some());
    }
}
