//! A group-by: sources, keys, aggregations.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::aggregation::{ArgumentError, Arguments, Operation};
use crate::diagnostic::Diagnostic;
use crate::time;

use super::dialect;
use super::metadata::MetaData;
use super::source::{DataModel, Source};
use super::wire::{OrderedMap, Reader, Wire, codes, record};

codes! {
    /// Whether values are as of the row's time or as of midnight.
    Accuracy {
        /// As of the row's own time.
        Temporal = 0,
        /// As of the last midnight.
        Snapshot = 1,
    }
}

codes! {
    /// The unit of a window's length.
    TimeUnit {
        /// Hours.
        Hours = 0,
        /// Days.
        Days = 1,
    }
}

record! {
    /// How far an aggregation looks back.
    Window {
        /// Number of units; the largest 32-bit number or nothing above zero means unbounded.
        required length: i32 = "length",
        /// The unit.
        required time_unit: TimeUnit = "timeUnit",
    }
}

impl Window {
    /// The window in the house's words.
    pub fn to_window(&self) -> time::Window {
        match (self.length, self.time_unit) {
            (i32::MAX | i32::MIN..=0, _) => time::Window::Unbounded,
            (length, TimeUnit::Hours) => time::Window::Hours(length),
            (length, TimeUnit::Days) => time::Window::Days(length),
        }
    }
}

impl Wire for Operation {
    fn read(value: &Value, path: &str, reader: &mut Reader) -> Option<Self> {
        let found = value
            .as_i64()
            .map(|code| dialect::operation(reader.dialect, code));
        match found {
            Some(Ok(operation)) => Some(operation),
            Some(Err(Some(name))) => {
                let message = format!("operation {name} of the zipline fork is not supported");
                reader.report(Diagnostic::error(path, message));
                None
            }
            Some(Err(None)) | None => {
                let known: Vec<String> = Operation::ALL
                    .iter()
                    .map(|operation| format!("{} {operation}", operation.code()))
                    .collect();
                reader.unknown_code(path, "Operation", value, &known.join(", "));
                None
            }
        }
    }

    fn write(&self) -> Value {
        self.code().into()
    }
}

record! {
    /// One aggregation, over all its windows and buckets.
    Aggregation {
        /// The aggregated column of the selects.
        required input_column: String = "inputColumn",
        /// What is computed.
        required operation: Operation = "operation",
        /// Its arguments as written.
        optional arg_map: OrderedMap<String> = "argMap",
        /// How far back; everything when absent.
        optional windows: Vec<Window> = "windows",
        /// Columns that split the value into a map.
        optional buckets: Vec<String> = "buckets",
        /// Whether positions of a list are aggregated by themselves.
        optional element_wise: bool = "elementWise",
    }
}

impl Aggregation {
    /// The parsed arguments.
    pub fn arguments(&self) -> Result<Arguments, Vec<ArgumentError>> {
        let entries = self.arg_map.iter().flat_map(OrderedMap::iter);
        let written: BTreeMap<String, String> = entries
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect();
        Arguments::parse(self.operation, &written)
    }
}

record! {
    /// A computed column.
    Derivation {
        /// Name; `*` stands for every column not renamed.
        required name: String = "name",
        /// Spark SQL expression.
        required expression: String = "expression",
        /// For people.
        optional meta_data: MetaData = "metaData",
    }
}

record! {
    /// Aggregations of one entity over time.
    GroupBy {
        /// Name and such.
        required meta_data: MetaData = "metaData",
        /// Where rows come from; all select the same columns.
        required sources: Vec<Source> = "sources",
        /// The entity.
        required key_columns: Vec<String> = "keyColumns",
        /// What is computed; rows pass through when absent.
        optional aggregations: Vec<Aggregation> = "aggregations",
        /// As of when; inferred from topics when absent.
        optional accuracy: Accuracy = "accuracy",
        /// First day of its own backfill.
        optional backfill_start_date: String = "backfillStartDate",
        /// Computed columns.
        optional derivations: Vec<Derivation> = "derivations",
        /// Whether daily states are kept in a table.
        optional is_incremental: bool = "isIncremental",
    }
}

impl GroupBy {
    /// The full name; empty when there is none.
    pub fn name(&self) -> &str {
        self.meta_data.name.as_deref().unwrap_or_default()
    }

    /// The stated accuracy, else TEMPORAL when any source has a topic, else SNAPSHOT.
    pub fn accuracy(&self) -> Accuracy {
        let has_topic = self.sources.iter().any(|source| source.topic().is_some());
        let inferred = if has_topic {
            Accuracy::Temporal
        } else {
            Accuracy::Snapshot
        };
        self.accuracy.unwrap_or(inferred)
    }

    /// Events or entities, by the first source; `None` without sources.
    pub fn data_model(&self) -> Option<DataModel> {
        self.sources.first().map(Source::data_model)
    }

    /// The derivations; none when absent.
    pub fn derivations(&self) -> &[Derivation] {
        self.derivations.as_deref().unwrap_or_default()
    }

    /// The aggregations; `None` when rows pass through.
    pub fn aggregations(&self) -> Option<&[Aggregation]> {
        self.aggregations.as_deref().filter(|list| !list.is_empty())
    }
}
