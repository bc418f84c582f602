//! What a job that measures has found, as data: the command shows it as text, as JSON or as a page.
//!
//! Promises: sections come in the order in which a reader should see them, the worst first within a table; what is a
//! problem is also listed as one. Never formats: a cell is a value.

/// Everything a job has found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// What was looked at.
    pub title: String,
    /// What is wrong; the job fails if there is any.
    pub problems: Vec<String>,
    /// The findings.
    pub sections: Vec<Section>,
}

/// Findings of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// What programs call it: lower case, words joined by underscores.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What was found.
    pub content: Content,
}

/// The forms of findings.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Rows of cells.
    Table(Table),
    /// Values over time.
    Series(Vec<Line>),
    /// Numbers side by side, a bar each.
    Bars(Vec<(String, f64)>),
    /// Distributions of two sides of the same thing, or of one.
    Spreads(Vec<Spread>),
}

/// Rows of cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The names of the columns, as programs call them.
    pub columns: Vec<String>,
    /// Each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// Text.
    Text(String),
    /// A whole number.
    Count(i64),
    /// Any number.
    Number(f64),
    /// A part of a whole, from 0 to 1.
    Share(f64),
    /// A point in time, in milliseconds.
    Time(i64),
}

/// A value over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// What it is of.
    pub name: String,
    /// Milliseconds and value.
    pub points: Vec<(i64, f64)>,
}

/// A distribution by its quantiles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spread {
    /// What it is of.
    pub name: String,
    /// Fractions and the values at them.
    pub quantiles: Vec<(f64, f64)>,
    /// What its own line is called beside another.
    pub side: String,
    /// What it is held against: what that is called, and its quantiles.
    pub other: Option<(String, Vec<(f64, f64)>)>,
}

impl Findings {
    /// Nothing found yet.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    /// Adds a section; an empty one is left out.
    pub fn add(&mut self, name: impl Into<String>, title: impl Into<String>, content: Content) {
        if !content.is_empty() {
            let (name, title) = (name.into(), title.into());
            self.sections.push(Section {
                name,
                title,
                content,
            });
        }
    }

    /// The table of a section.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.sections
            .iter()
            .find(|section| section.name == name)
            .and_then(|section| match &section.content {
                Content::Table(table) => Some(table),
                _ => None,
            })
    }
}

impl Content {
    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Table(table) => table.rows.is_empty(),
            Self::Series(lines) => lines.is_empty(),
            Self::Bars(bars) => bars.is_empty(),
            Self::Spreads(spreads) => spreads.is_empty(),
        }
    }
}

impl Table {
    /// A table of these columns, without rows.
    pub fn new<const N: usize>(columns: [&str; N]) -> Self {
        Self {
            columns: columns.map(str::to_owned).to_vec(),
            rows: vec![],
        }
    }

    /// Adds a row.
    pub fn push<const N: usize>(&mut self, row: [Cell; N]) {
        debug_assert_eq!(
            N,
            self.columns.len(),
            "a row is as long as the table is wide"
        );
        self.rows.push(Vec::from(row));
    }

    /// The cell of a row in a column.
    pub fn cell(&self, row: usize, column: &str) -> Option<&Cell> {
        let column = self.columns.iter().position(|name| name == column)?;
        self.rows.get(row)?.get(column)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}
