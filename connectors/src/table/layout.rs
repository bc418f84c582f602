//! Names: of tables, of partition folders, and which partitions are meant.
//!
//! Promises: folder names are escaped and read as Hive and Spark do, so `name=a%2Fb` is the value
//! `a/b` and `__HIVE_DEFAULT_PARTITION__` is null. Pure: touches no file.

use std::collections::BTreeSet;
use std::fmt;

use crate::error::{Error, Result};

/// The folder name of a null partition value.
pub const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// What `db.name/system=mobile` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableName {
    pub(crate) database: String,
    pub(crate) name: String,
    pub(crate) sub_partition: Vec<(String, String)>,
}

impl TableName {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = |problem| Error::InvalidTableName {
            name: text.into(),
            problem,
        };
        let mut parts = text.split('/');
        let full = parts.next().unwrap_or_default();
        let (database, name) = full.split_once('.').unwrap_or(("default", full));
        for word in [database, name] {
            if word.is_empty() {
                return Err(wrong("a part is empty"));
            }
            if word.starts_with(['_', '.']) {
                return Err(wrong("a part starts with _ or ., which is not data"));
            }
            if word.contains(['\\', '\0', '=', '.']) {
                return Err(wrong("it has a character that a folder name cannot hold"));
            }
        }
        let mut sub_partition = Vec::new();
        for part in parts.filter(|p| !p.is_empty()) {
            let (column, value) = part
                .split_once('=')
                .filter(|(column, _)| !column.is_empty())
                .ok_or_else(|| wrong("a sub-partition is not column=value"))?;
            sub_partition.push((column.to_owned(), unescape(value)));
        }
        Ok(Self {
            database: database.into(),
            name: name.into(),
            sub_partition,
        })
    }

    /// The table's folder, relative to the warehouse.
    pub(crate) fn folder(&self) -> String {
        format!("{}.db/{}", self.database, self.name)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.name)
    }
}

/// The values of a partition, outermost column first; empty for an unpartitioned table.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey {
    /// Column and value; `None` is null.
    pub values: Vec<(String, Option<String>)>,
}

impl PartitionKey {
    /// The key of the only partition of an unpartitioned table.
    pub fn unpartitioned() -> Self {
        Self::default()
    }

    /// A key of these columns and values, outermost first.
    pub fn new<C: Into<String>, V: Into<String>>(values: impl IntoIterator<Item = (C, V)>) -> Self {
        let values = values.into_iter();
        Self {
            values: values.map(|(c, v)| (c.into(), Some(v.into()))).collect(),
        }
    }

    /// The value of a column; `None` if there is no such column, or it is null.
    pub fn value(&self, column: &str) -> Option<&str> {
        let found = self.values.iter().find(|(c, _)| c == column)?;
        found.1.as_deref()
    }

    /// The columns, outermost first.
    pub fn columns(&self) -> impl Iterator<Item = &str> + Clone {
        self.values.iter().map(|(column, _)| column.as_str())
    }

    /// The folder below the table's, `ds=2024-03-01/hr=00%3A00`; empty when unpartitioned.
    pub fn folder(&self) -> String {
        let parts: Vec<String> = self.values.iter().map(folder_of).collect();
        parts.join("/")
    }

    /// Reads a folder below the table's.
    pub(crate) fn parse(folder: &str, shown: impl Fn() -> String) -> Result<Self> {
        let mut values = Vec::new();
        for part in folder.split('/').filter(|p| !p.is_empty()) {
            let Some((column, value)) = part.split_once('=').filter(|(c, _)| !c.is_empty()) else {
                return Err(Error::Layout {
                    path: shown(),
                    problem: format!("folder {part:?} is not column=value"),
                });
            };
            let value = (value != NULL_PARTITION).then(|| unescape(value));
            values.push((unescape(column), value));
        }
        Ok(Self { values })
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.values.is_empty() {
            return f.write_str("(unpartitioned)");
        }
        f.write_str(&self.folder())
    }
}

fn folder_of((column, value): &(String, Option<String>)) -> String {
    // Hive stores the empty text like null, too: a folder's name cannot end at the equals sign.
    match value.as_deref() {
        None | Some("") => format!("{}={NULL_PARTITION}", escape(column)),
        Some(value) => format!("{}={}", escape(column), escape(value)),
    }
}

/// The characters that Hive escapes in a folder's name.
fn is_escaped(c: char) -> bool {
    c.is_ascii_control() || "\"#%'*/:=?\\{[]^".contains(c)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_escaped(c) {
            escaped.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Undoes `%XX`; what is no such escape stays as it is.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3);
        let digits = pair.filter(|_| bytes[at] == b'%').and_then(|pair| {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            u8::try_from(high * 16 + low).ok()
        });
        match digits {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).unwrap_or_else(|_| text.to_owned())
}

/// Which partitions are meant: all that pass every filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    filters: Vec<(String, Values)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Values {
    Between(Option<String>, Option<String>),
    OneOf(BTreeSet<String>),
    Null,
}

impl Selection {
    /// Every partition.
    pub fn all() -> Self {
        Self::default()
    }

    /// Those whose value lies between two texts, ends included; an absent end is open. Never null
    /// values.
    #[must_use]
    pub fn between(mut self, column: &str, start: Option<&str>, end: Option<&str>) -> Self {
        let values = Values::Between(start.map(Into::into), end.map(Into::into));
        self.filters.push((column.into(), values));
        self
    }

    /// Those of this value.
    #[must_use]
    pub fn equal(self, column: &str, value: &str) -> Self {
        self.one_of(column, [value])
    }

    /// Those of one of these values.
    #[must_use]
    pub fn one_of<V: Into<String>>(
        mut self,
        column: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.filters.push((column.into(), Values::OneOf(values)));
        self
    }

    /// Those whose value is null.
    #[must_use]
    pub fn null(mut self, column: &str) -> Self {
        self.filters.push((column.into(), Values::Null));
        self
    }

    /// Whether a partition passes; columns that the key lacks do not decide.
    pub fn matches(&self, key: &PartitionKey) -> bool {
        self.filters.iter().all(|(column, values)| {
            let found = key.values.iter().find(|(c, _)| c == column);
            match found {
                None => true,
                Some((_, value)) => values.hold(value.as_deref()),
            }
        })
    }
}

impl Values {
    fn hold(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (Self::Null, value) => value.is_none(),
            (_, None) => false,
            (Self::OneOf(values), Some(value)) => values.contains(value),
            (Self::Between(start, end), Some(value)) => {
                start.as_deref().is_none_or(|s| s <= value)
                    && end.as_deref().is_none_or(|e| value <= e)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(folder: &str) -> PartitionKey {
        PartitionKey::parse(folder, || folder.to_owned()).unwrap()
    }

    /// Table strings give database, name and sub-partitions; malformed ones are refused.
    #[test]
    fn table_names() {
        let name = TableName::parse("src.events/system=mobile/name=a%2Fb").unwrap();
        assert_eq!(name.folder(), "src.db/events");
        let expected = [("system", "mobile"), ("name", "a/b")];
        let expected = expected.map(|(c, v)| (c.to_owned(), v.to_owned()));
        assert_eq!(name.sub_partition, expected);
        assert_eq!(TableName::parse("events").unwrap().database, "default");
        for wrong in [
            "", "a.", ".b", "a.b/c", "a._b", "a.b/=c", "a.b.c", "../x.y", "a.b=c",
        ] {
            assert!(TableName::parse(wrong).is_err(), "{wrong}");
        }
    }

    /// Every text survives the way into a folder's name and back; null has its own name.
    #[test]
    fn folders_escape_as_hive_does() {
        let original = PartitionKey::new([("ds", "2024-03-01"), ("hr", "00:00/ä%=\u{1}")]);
        assert_eq!(original.folder(), "ds=2024-03-01/hr=00%3A00%2Fä%25%3D%01");
        assert_eq!(key(&original.folder()), original);
        assert_eq!(key("a=__HIVE_DEFAULT_PARTITION__").values[0].1, None);
        assert_eq!(key("a=100%").value("a"), Some("100%"));
        assert!(PartitionKey::parse("plain", String::new).is_err());
    }

    /// Filters take ranges and sets, never null, and only columns the key has.
    #[test]
    fn selections() {
        let range = Selection::all().between("ds", Some("2024-01-02"), Some("2024-01-03"));
        let taken = |ds: &str| range.matches(&PartitionKey::new([("ds", ds)]));
        assert!(!taken("2024-01-01") && taken("2024-01-02"));
        assert!(taken("2024-01-03") && !taken("2024-01-04"));
        assert!(!range.matches(&key("ds=__HIVE_DEFAULT_PARTITION__")));
        assert!(Selection::all().equal("hr", "1").matches(&key("ds=1")));
        assert!(!Selection::all().equal("hr", "1").matches(&key("ds=1/hr=2")));
    }
}
