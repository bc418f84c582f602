//! The two forks that write the same JSON with colliding codes, and what proves which one wrote a file.
//!
//! A file is read as the dialect the user names. A field or code that only the other fork knows proves the file to be
//! of the other one; it is refused there rather than read with another meaning.

use crate::aggregation::Operation;
use crate::diagnostic::Diagnostic;

/// Which fork compiled the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `chronon-ai`, the reference of the specification.
    #[default]
    Airbnb,
    /// `zipline-ai`.
    Zipline,
}

impl Dialect {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Airbnb => "airbnb",
            Self::Zipline => "zipline",
        }
    }

    /// The dialect of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "airbnb" => Some(Self::Airbnb),
            "zipline" => Some(Self::Zipline),
            _ => None,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Airbnb => Self::Zipline,
            Self::Zipline => Self::Airbnb,
        }
    }
}

/// Fields that only Zipline writes and that change no meaning.
const ZIPLINE_SILENT: &[(&str, &str)] = &[
    ("MetaData", "version"),
    ("MetaData", "tags"),
    ("MetaData", "columnTags"),
    ("MetaData", "columnHashes"),
    ("MetaData", "sourceFile"),
    ("MetaData", "environments"),
    ("MetaData", "driftSpec"),
    ("MetaData", "executionInfo"),
    ("Query", "partitionLag"),
    ("Query", "subPartitionsToWaitFor"),
    ("StagingQuery", "tableDependencies"),
    ("GroupBy", "onlineStrategy"),
];

/// Fields that only Zipline writes and that ask for something this engine does not do.
const ZIPLINE_MEANING: &[(&str, &str)] = &[
    ("MetaData", "additionalOutputPartitionColumns"),
    ("Query", "partitionFormat"),
    ("Query", "partitionInterval"),
    ("Query", "timePartitioned"),
    ("Query", "partitionOffset"),
    ("StagingQuery", "engineType"),
    ("StagingQuery", "recomputeDays"),
    ("GroupBy", "keyFilter"),
];

/// Fields that only Airbnb's fork writes.
const AIRBNB_ONLY: &[(&str, &str)] = &[
    ("MetaData", "dependencies"),
    ("MetaData", "modeToEnvMap"),
    ("MetaData", "offlineSchedule"),
    ("MetaData", "historicalBackfill"),
    ("MetaData", "deprecationDate"),
    ("StagingQuery", "createView"),
    ("Aggregation", "elementWise"),
    ("GroupBy", "backfillStartDate"),
    ("GroupBy", "isIncremental"),
    ("Join", "labelPart"),
    ("Join", "modelTransforms"),
];

/// The problem with a field of this record, if it does not belong to the dialect.
pub(super) fn check_field(
    dialect: Dialect,
    record: &str,
    name: &str,
    path: &str,
) -> Option<Diagnostic> {
    let listed = |list: &[(&str, &str)]| list.contains(&(record, name));
    let foreign = match dialect {
        Dialect::Airbnb => listed(ZIPLINE_SILENT) || listed(ZIPLINE_MEANING),
        Dialect::Zipline => listed(AIRBNB_ONLY),
    };
    let other = dialect.other().name();
    if foreign {
        let message = format!("field {name:?} of {record} is written by the {other} fork only");
        return Some(
            Diagnostic::error(path, message)
                .detail("codes of operations differ between the forks, so the file is refused")
                .hint(format!("read the file with --dialect {other}")),
        );
    }
    (dialect == Dialect::Zipline && listed(ZIPLINE_MEANING)).then(|| {
        Diagnostic::error(path, format!("field {name:?} of {record} is not supported"))
            .hint("leave it out if its default is meant")
    })
}

/// Whether the dialect knows the field but it has no meaning here.
pub(super) fn is_ignored(dialect: Dialect, record: &str, name: &str) -> bool {
    dialect == Dialect::Zipline && ZIPLINE_SILENT.contains(&(record, name))
}

/// A hint when a code is one that only the other fork has.
pub(super) fn check_code(dialect: Dialect, name: &str, code: Option<i64>) -> Option<String> {
    let foreign = matches!(
        (dialect, name, code),
        (Dialect::Airbnb, "TimeUnit", Some(2)) | (Dialect::Airbnb, "Operation", Some(20))
    );
    foreign.then(|| "the zipline fork has this code: read the file with --dialect zipline".into())
}

/// The operation of a code in a dialect; the error names what the code stands for, if anything.
pub(super) fn operation(dialect: Dialect, code: i64) -> Result<Operation, Option<&'static str>> {
    match (dialect, code) {
        (Dialect::Zipline, 18) => Err(Some("APPROX_FREQUENT_K")),
        (Dialect::Zipline, 19) => Err(Some("APPROX_HEAVY_HITTERS_K")),
        (Dialect::Zipline, 20) => Err(Some("UNIQUE_TOP_K")),
        _ => Operation::from_code(code).ok_or(None),
    }
}
