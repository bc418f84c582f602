//! Names of tables and columns, the ones users already rely on. The only place that makes them.

use crate::definition::{ExternalPart, Join, JoinPart, MetaData};
use crate::diagnostic::Diagnostic;

/// The partition column of every table written, and of every source that names none.
pub const PARTITION_COLUMN: &str = "ds";
/// The day at whose end a label was taken; leads the partition of the table of labels.
pub const LABEL_PARTITION_COLUMN: &str = "label_ds";
/// The event time in a rendered source.
pub const TIME_COLUMN: &str = "ts";
/// The day of the left's event time, kept in the left table only.
pub const TIME_PARTITION_COLUMN: &str = "ts_ds";
/// Whether a mutation row is the state before.
pub const REVERSAL_COLUMN: &str = "is_before";
/// The time of a mutation.
pub const MUTATION_TIME_COLUMN: &str = "mutation_ts";
/// Hashes of bootstrap parts a left row matched; only in the left table.
pub const MATCHED_HASHES_COLUMN: &str = "matched_hashes";
/// The macro that stands for the one day scanned.
pub const RUN_DAY_MACRO: &str = "{{ CHRONON_RUN_DS }}";

/// Columns of a rendered source that are never values of a group-by without aggregations.
pub const RESERVED_COLUMNS: [&str; 5] = [
    TIME_COLUMN,
    PARTITION_COLUMN,
    TIME_PARTITION_COLUMN,
    REVERSAL_COLUMN,
    MUTATION_TIME_COLUMN,
];

/// A name with everything but ASCII letters, digits and underscores replaced by an underscore.
pub fn clean(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// The clean name of a definition; empty when it has none.
pub fn clean_name(meta_data: &MetaData) -> String {
    clean(meta_data.name.as_deref().unwrap_or_default())
}

/// `{namespace}.{clean name}`; the team stands in for a missing namespace nowhere: `None` then.
pub fn output_table(meta_data: &MetaData) -> Option<String> {
    let namespace = meta_data
        .output_namespace
        .as_deref()
        .filter(|name| !name.is_empty())?;
    Some(format!("{namespace}.{}", clean_name(meta_data)))
}

/// The output table of a definition whose namespace and name can stand for folders, or what is wrong with them.
pub fn checked_output_table(meta_data: &MetaData) -> Result<String, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let namespace = meta_data.output_namespace.as_deref().unwrap_or_default();
    if namespace.is_empty() {
        let message = "the output namespace is not set";
        problems.push(
            Diagnostic::error("metaData.outputNamespace", message)
                .hint("state output_namespace, or a namespace for the team in teams.json"),
        );
    } else if namespace.starts_with(['_', '.']) || namespace.contains(NOT_IN_FOLDER_NAMES) {
        let message = format!("{namespace:?} cannot be an output namespace");
        problems.push(
            Diagnostic::error("metaData.outputNamespace", message)
                .detail("a namespace is a folder of the warehouse: it has no /, \\, = or ., and begins with no _")
                .hint("name one folder, of letters, digits and underscores"),
        );
    }
    let name = clean_name(meta_data);
    if name.is_empty() {
        let message = "the definition has no name to call its table by";
        problems.push(Diagnostic::error("metaData.name", message));
    } else if name.starts_with('_') {
        let written = meta_data.name.as_deref().unwrap_or_default();
        let message = format!("{written:?} cannot name a table: it would be called {name}");
        problems.push(
            Diagnostic::error("metaData.name", message)
                .hint("let it begin with a letter or a digit; what begins with _ is not data"),
        );
    }
    match problems.is_empty() {
        true => Ok(format!("{namespace}.{name}")),
        false => Err(problems),
    }
}

/// What the name of a folder of tables cannot hold.
pub(crate) const NOT_IN_FOLDER_NAMES: [char; 5] = ['/', '\\', '\0', '=', '.'];

/// The tables that belong to a definition, by what follows the output table's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the suffixes")]
pub enum TableSuffix {
    DailyInc,
    PreMt,
    Labels,
    Labeled,
    LabeledLatest,
    Logged,
    Schema,
    Bootstrap,
    Comparison,
    Consistency,
    ConsistencyUpload,
    LoggedDailyStats,
    LoggedDailyStatsUpload,
    DailyStats,
    DailyStatsUpload,
    Upload,
}

impl TableSuffix {
    /// What is appended to the output table's name.
    pub fn text(self) -> &'static str {
        match self {
            Self::DailyInc => "_daily_inc",
            Self::PreMt => "_pre_mt",
            Self::Labels => "_labels",
            Self::Labeled => "_labeled",
            Self::LabeledLatest => "_labeled_latest",
            Self::Logged => "_logged",
            Self::Schema => "_schema",
            Self::Bootstrap => "_bootstrap",
            Self::Comparison => "_comparison",
            Self::Consistency => "_consistency",
            Self::ConsistencyUpload => "_consistency_upload",
            Self::LoggedDailyStats => "_logged_daily_stats",
            Self::LoggedDailyStatsUpload => "_logged_daily_stats_upload",
            Self::DailyStats => "_daily_stats",
            Self::DailyStatsUpload => "_daily_stats_upload",
            Self::Upload => "_upload",
        }
    }

    /// The table of a definition.
    pub fn table(self, meta_data: &MetaData) -> Option<String> {
        output_table(meta_data).map(|table| table + self.text())
    }
}

/// The cached table of a join part: `{namespace}.{join}[_{prefix}]_{group-by}`.
pub fn part_table(join: &Join, part: &JoinPart) -> Option<String> {
    let table = output_table(&join.meta_data)?;
    let group_by = clean_name(&part.group_by.meta_data);
    Some(match &part.prefix {
        Some(prefix) => format!("{table}_{prefix}_{group_by}"),
        None => format!("{table}_{group_by}"),
    })
}

/// The prefix of a join part's columns: `[{prefix}_]{group-by}`.
pub fn full_prefix(part: &JoinPart) -> String {
    let group_by = clean_name(&part.group_by.meta_data);
    match &part.prefix {
        Some(prefix) => format!("{prefix}_{group_by}"),
        None => group_by,
    }
}

/// The prefix of an external part's columns: `ext_[{prefix}_]{source}`.
pub fn external_prefix(part: &ExternalPart) -> String {
    let source = clean_name(&part.source.metadata);
    match &part.prefix {
        Some(prefix) => format!("ext_{prefix}_{source}"),
        None => format!("ext_{source}"),
    }
}

/// A column of a join's output.
pub fn feature_column(full_prefix: &str, column: &str) -> String {
    format!("{full_prefix}_{column}")
}

/// A table name and the sub-partitions written behind it: `db.table/system=mobile/hr=00`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableSpec {
    /// The table.
    pub table: String,
    /// Sub-partition column and value, in the order written.
    pub sub_partitions: Vec<(String, String)>,
}

/// A sub-partition that is not of the form `column=value`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no sub-partition of the form column=value")]
pub struct NotASubPartition(pub String);

impl TableSpec {
    /// Splits a table string.
    pub fn parse(text: &str) -> Result<Self, NotASubPartition> {
        let mut pieces = text.split('/');
        let table = pieces.next().unwrap_or_default().to_owned();
        let sub_partitions = pieces
            .map(|piece| match piece.split_once('=') {
                Some((column, value)) if !column.is_empty() => {
                    Ok((column.to_owned(), value.to_owned()))
                }
                _ => Err(NotASubPartition(piece.to_owned())),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            table,
            sub_partitions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{Definition, Dialect};

    /// The names of a real join's tables and columns.
    #[test]
    fn names_of_a_join() {
        let text =
            include_str!("../tests/definitions/join_multi_parts-compiled__joins__alpha__j.v1.json");
        let Ok(Definition::Join(join)) = Definition::load(text, Dialect::Airbnb) else {
            panic!("a join");
        };
        assert_eq!(output_table(&join.meta_data).unwrap(), "feat.alpha_j_v1");
        let bootstrap = TableSuffix::Bootstrap.table(&join.meta_data).unwrap();
        assert_eq!(bootstrap, "feat.alpha_j_v1_bootstrap");
        let parts: Vec<_> = join
            .parts()
            .iter()
            .map(|part| (part_table(&join, part).unwrap(), full_prefix(part)))
            .collect();
        for (table, prefix) in parts {
            assert_eq!(table, format!("feat.alpha_j_v1_{prefix}"));
        }
        assert_eq!(clean("a.b-c é_1"), "a_b_c___1");
    }

    /// Sub-partitions are split off, and nonsense is refused.
    #[test]
    fn table_specs() {
        let spec = TableSpec::parse("db.t/system=mobile/hr=00:00").unwrap();
        assert_eq!(spec.table, "db.t");
        assert_eq!(spec.sub_partitions[1], ("hr".into(), "00:00".into()));
        assert!(TableSpec::parse("db.t/oops").is_err());
        assert!(TableSpec::parse("db.t").unwrap().sub_partitions.is_empty());
    }
}
