//! Findings as aligned tables. What only a picture shows is left to the page.

use std::fmt::Write as _;

use unskewed_engine::findings::{Cell, Content, Findings, Table};

use super::cells;

/// The findings.
pub(super) fn render(findings: &Findings) -> String {
    let mut out = format!("{}\n", findings.title);
    for section in &findings.sections {
        let Content::Table(table) = &section.content else {
            continue;
        };
        let _ = write!(out, "\n{}\n", section.title);
        write_table(&mut out, table);
    }
    out
}

fn write_table(out: &mut String, table: &Table) {
    let texts: Vec<Vec<String>> = table
        .rows
        .iter()
        .map(|row| row.iter().map(cells::text).collect())
        .collect();
    let right: Vec<bool> = (0..table.columns.len())
        .map(|column| {
            let mut cells = table.rows.iter().map(|row| &row[column]);
            let empty = |cell: &Cell| *cell == Cell::Empty;
            let some = table.rows.iter().any(|row| !empty(&row[column]));
            some && cells.all(|cell| empty(cell) || cells::is_number(cell))
        })
        .collect();
    let width = |column: usize| {
        let cells = texts.iter().map(|row| row[column].chars().count());
        cells
            .chain([table.columns[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.columns.len()).map(width).collect();
    let mut line = |cells: &[String]| {
        let mut text = String::from("  ");
        for (column, cell) in cells.iter().enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let width = widths[column];
            let _ = match right[column] {
                true => write!(text, "{gap}{cell:>width$}"),
                false => write!(text, "{gap}{cell:<width$}"),
            };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(&table.columns);
    texts.iter().for_each(|row| line(row));
}
