//! Where rows come from: queries over event tables, entity tables and other joins.

use serde_json::Value;

use crate::diagnostic::Diagnostic;

use super::join::Join;
use super::wire::{OrderedMap, Reader, Wire, child, record};

record! {
    /// What is selected from a table.
    Query {
        /// Column to Spark SQL expression, in the order of the file; all columns when absent.
        optional selects: OrderedMap<String> = "selects",
        /// Conditions, all of which must hold.
        optional wheres: Vec<String> = "wheres",
        /// First partition that may be read.
        optional start_partition: String = "startPartition",
        /// Last partition that may be read.
        optional end_partition: String = "endPartition",
        /// Expression of the event time in milliseconds.
        optional time_column: String = "timeColumn",
        /// Statements run first.
        optional setups: Vec<String> = "setups",
        /// Expression of the mutation time.
        optional mutation_time_column: String = "mutationTimeColumn",
        /// Expression that says whether a mutation row is the state before.
        optional reversal_column: String = "reversalColumn",
        /// Name of the partition column where it is not `ds`.
        optional partition_column: String = "partitionColumn",
    }
}

impl Default for Query {
    /// Every column and every row.
    fn default() -> Self {
        Self {
            selects: None,
            wheres: None,
            start_partition: None,
            end_partition: None,
            time_column: None,
            setups: None,
            mutation_time_column: None,
            reversal_column: None,
            partition_column: None,
        }
    }
}

record! {
    /// A table of events.
    EventSource {
        /// Table, perhaps followed by `/key=value` sub-partitions.
        required table: String = "table",
        /// Topic of the same events.
        optional topic: String = "topic",
        /// What is selected.
        required query: Query = "query",
        /// Whether each partition holds all events so far.
        optional is_cumulative: bool = "isCumulative",
    }
}

record! {
    /// A table of daily snapshots, perhaps with its mutations.
    EntitySource {
        /// Table of snapshots.
        required snapshot_table: String = "snapshotTable",
        /// Table of mutations.
        optional mutation_table: String = "mutationTable",
        /// Topic of mutations.
        optional mutation_topic: String = "mutationTopic",
        /// What is selected.
        required query: Query = "query",
    }
}

record! {
    /// The output of another join.
    JoinSource {
        /// The join.
        required join: Box<Join> = "join",
        /// What is selected from its output.
        required query: Query = "query",
    }
}

/// Exactly one kind of source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Events.
    Events(EventSource),
    /// Snapshots.
    Entities(EntitySource),
    /// Another join's output.
    JoinSource(JoinSource),
}

impl Wire for Source {
    fn read(value: &Value, path: &str, reader: &mut Reader) -> Option<Self> {
        let kinds = ["events", "entities", "joinSource"];
        let fields = reader.object(value, path, "Source", &kinds)?;
        let given: Vec<&str> = kinds
            .into_iter()
            .filter(|kind| fields.contains_key(*kind))
            .collect();
        let [kind] = given[..] else {
            let found = if given.is_empty() {
                "none".into()
            } else {
                given.join(" and ")
            };
            reader.report(
                Diagnostic::error(
                    path,
                    "a source is exactly one of events, entities, joinSource",
                )
                .detail(format!("found {found}")),
            );
            return None;
        };
        let (value, at) = (&fields[kind], child(path, kind));
        match kind {
            "events" => Wire::read(value, &at, reader).map(Self::Events),
            "entities" => Wire::read(value, &at, reader).map(Self::Entities),
            _ => Wire::read(value, &at, reader).map(Self::JoinSource),
        }
    }

    fn write(&self) -> Value {
        let (kind, value) = match self {
            Self::Events(source) => ("events", source.write()),
            Self::Entities(source) => ("entities", source.write()),
            Self::JoinSource(source) => ("joinSource", source.write()),
        };
        Value::Object([(kind.to_owned(), value)].into_iter().collect())
    }
}

/// Whether rows are events at points in time or daily snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DataModel {
    /// Rows happened at their own time.
    Events,
    /// Rows are the state at a day's end.
    Entities,
}

impl Source {
    /// The word of this kind in a path: `events`, `entities` or `joinSource`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Events(_) => "events",
            Self::Entities(_) => "entities",
            Self::JoinSource(_) => "joinSource",
        }
    }

    /// Events or entities; a join's output is what its left is.
    pub fn data_model(&self) -> DataModel {
        match self {
            Self::Events(_) => DataModel::Events,
            Self::Entities(_) => DataModel::Entities,
            Self::JoinSource(source) => source.join.left.data_model(),
        }
    }

    /// What is selected from the source's own table.
    pub fn query(&self) -> &Query {
        match self {
            Self::Events(source) => &source.query,
            Self::Entities(source) => &source.query,
            Self::JoinSource(source) => &source.query,
        }
    }

    /// The topic: the left's for a join's output.
    pub fn topic(&self) -> Option<&str> {
        match self {
            Self::Events(source) => source.topic.as_deref(),
            Self::Entities(source) => source.mutation_topic.as_deref(),
            Self::JoinSource(source) => source.join.left.topic(),
        }
    }

    /// Whether each partition holds everything so far.
    pub fn is_cumulative(&self) -> bool {
        matches!(self, Self::Events(source) if source.is_cumulative == Some(true))
    }
}
