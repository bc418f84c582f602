//! A group-by for its upload: what is stored of each key, under which schemas.
//!
//! Promises: every column that Avro cannot hold is a problem that names it and the cast; schemas are those that an
//! existing fetcher derives from the serving info, so bytes mean the same to both.

use crate::aggregation::batch_fields;
use crate::avro::{Record, UnsupportedColumn};
use crate::catalog::Catalog;
use crate::definition::{Accuracy, DataModel, GroupBy, Source, custom_flag};
use crate::diagnostic::Diagnostic;
use crate::expr::Expr;
use crate::logical::{FeatureGroup, RowSource};
use crate::naming::{TIME_COLUMN, TableSuffix};
use crate::schema::{Field, Schema};

use crate::serving::{stream_row, tile_fingerprint};

use super::source::{self, Request, fill};
use super::{Problems, group, scala_order};

/// How many of a batch's columns of states the reference stores.
const REFERENCE_FIELDS: usize = 2;

/// A group-by for its upload.
#[derive(Clone, Debug, PartialEq)]
pub struct UploadGroup {
    /// The group-by.
    pub group: FeatureGroup,
    /// The table written.
    pub table: String,
    /// For each part the number of its aggregation and bucket.
    pub bases: Vec<usize>,
    /// What is stored of a key: finished values, raw ones, or the states of a batch.
    pub values: Vec<Field>,
    /// The schema of keys.
    pub key: Record,
    /// The schema of `values`, but of a batch's states those only that the reference stores too.
    pub value: Record,
    /// The schema of the rest: behind the bytes of `value` it makes one datum of all `values`.
    pub edge: Option<Record>,
    /// The schema of what is aggregated, or of the raw values.
    pub selected: Record,
    /// The columns of `selected`, under their names in the definition.
    pub inputs: Vec<String>,
    /// The schema of what a stream keeps of a row: `selected`, and of a mutation its own time and which side it is.
    pub stream_row: Record,
    /// What a tile is, where a stream keeps states of tiles rather than rows.
    pub tile: Option<Tile>,
    /// The schema of the columns that a stream must give; only where there is one.
    pub input: Option<Record>,
}

/// A stretch of time that has a state of its own in streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// How long it is.
    pub millis: i64,
    /// The fingerprint of its state's schema.
    pub schema: u64,
}

impl UploadGroup {
    /// Whether states are stored, to which a reader adds what came after the batch.
    pub fn stores_states(&self) -> bool {
        self.group.accuracy == Accuracy::Temporal && !self.group.passes_through()
    }
}

pub(super) fn resolve(
    group_by: &GroupBy,
    catalog: &dyn Catalog,
    problems: &mut Problems,
) -> Option<UploadGroup> {
    let table = problems.output_table(&group_by.meta_data);
    let table = table.map(|table| table + TableSuffix::Upload.text());
    let mut group = group::resolve(group_by, "", catalog, problems)?;
    let temporal = group.accuracy == Accuracy::Temporal;
    if group.model == DataModel::Events && !temporal {
        group::require_whole_days(group_by, "", problems);
    }
    if group_by.is_incremental == Some(true) {
        group::check_incremental(group_by, &group, problems);
    }
    let bases = bases(group_by);
    let states = temporal && !group.passes_through();
    if states {
        check_own_time(&group, problems);
    }
    if group.passes_through() {
        group.values = in_rendered_order(&group);
    }
    let values = match states {
        true => batch_fields(&group.parts, &bases),
        false => group.values.clone(),
    };
    let mut record = |name: &str, fields: &[Field]| {
        let made = Record::of(name, &Schema::new(fields.to_vec()));
        made.map_err(|columns| refuse(&columns, &group, problems))
            .ok()
    };
    let key = record("Key", &group.keys);
    let inputs = selected(group_by, &group);
    let selected = record("Value", &inputs);
    let stream_row = selected
        .as_ref()
        .map(|selected| stream_row(selected, group.model));
    let stored = if states {
        REFERENCE_FIELDS
    } else {
        values.len()
    };
    let value = record("Value", &values[..stored]);
    let edge = match &values[stored..] {
        [] => Some(None),
        edge => record("Edge", edge).map(Some),
    };
    let input = input(group_by, &group, catalog, problems);
    let tile = tile(group_by, &group, &bases, states);
    Some(UploadGroup {
        table: table?,
        bases,
        values,
        key: key?,
        value: value?,
        edge: edge?,
        selected: selected?,
        inputs: inputs.into_iter().map(|field| field.name).collect(),
        stream_row: stream_row?,
        tile,
        input: input?,
        group,
    })
}

/// Numbers aggregations and buckets, once for each of their windows.
pub(super) fn bases(group_by: &GroupBy) -> Vec<usize> {
    let mut bases = Vec::new();
    let mut number = 0;
    for aggregation in group_by.aggregations().unwrap_or_default() {
        let windows = aggregation.windows.as_ref().map_or(0, Vec::len).max(1);
        let buckets = aggregation.buckets.as_ref().map_or(0, Vec::len).max(1);
        for _ in 0..buckets {
            bases.extend(std::iter::repeat_n(number, windows));
            number += 1;
        }
    }
    bases
}

/// What a tile is, where a definition asks for them: as long as the shortest hop of its windows, so that no window cuts
/// one. Mutations are not tiled, since what they take back may lie in any.
fn tile(
    group_by: &GroupBy,
    group: &FeatureGroup,
    bases: &[usize],
    stores_states: bool,
) -> Option<Tile> {
    let asked = stores_states && custom_flag(&group_by.meta_data, "enable_tiling");
    let hops = group.parts.iter().map(|part| part.window.tail_hop_millis());
    let millis = hops
        .min()
        .filter(|_| asked && group.model == DataModel::Events)?;
    let schema = tile_fingerprint(&group.parts, bases)?;
    Some(Tile { millis, schema })
}

/// States of entities need the rows' own time even where no window does: what comes after the batch is held against it.
fn check_own_time(group: &FeatureGroup, problems: &mut Problems) {
    let found = group.rendered.fields.iter().any(|f| f.name == TIME_COLUMN);
    if group.model == DataModel::Entities && !found {
        let path = group.sources.first().map_or("", |source| &source.path);
        problems.report(
            Diagnostic::error(
                format!("{path}.timeColumn"),
                "a TEMPORAL group-by over entities needs a time, but there is none",
            )
            .hint("state timeColumn, an expression of milliseconds since 1970"),
        );
    }
}

/// The values that pass through, in the order in which the reference renders them.
fn in_rendered_order(group: &FeatureGroup) -> Vec<Field> {
    let Some(source) = group.sources.first() else {
        return group.values.clone();
    };
    let rendering = &source.rendering;
    let Some(selects) = &rendering.query.selects else {
        return group.values.clone();
    };
    let is_key = |name: &str| group.keys.iter().any(|key| key.name == name);
    let fill = |name: &&crate::logical::Fill| !is_key(&name.name);
    let fills = rendering.fills.iter().filter(fill).map(|f| f.name.as_str());
    // The partition column gets its own name only after it is rendered.
    let order = scala_order::of_map(
        std::iter::once(source.partition.name.as_str())
            .chain(fills)
            .chain(group.keys.iter().map(|key| key.name.as_str()))
            .chain(selects.iter().map(|(name, _)| name)),
    );
    let mut values = group.values.clone();
    values.sort_by_key(|field| order.iter().position(|name| *name == field.name));
    values
}

/// The columns that are aggregated; the raw values where nothing is.
fn selected(group_by: &GroupBy, group: &FeatureGroup) -> Vec<Field> {
    if group_by.aggregations().is_none() {
        return group.values.clone();
    }
    let names = aggregated_columns(group_by);
    let named = |name: &String| {
        let field = group.rendered.field(name)?;
        Some(Field::new(name, field.data_type.clone()))
    };
    names.iter().filter_map(named).collect()
}

/// The columns that are aggregated, buckets before inputs, each once.
pub(super) fn aggregated_columns(group_by: &GroupBy) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for aggregation in group_by.aggregations().unwrap_or_default() {
        let buckets = aggregation.buckets.iter().flatten();
        for name in buckets.chain([&aggregation.input_column]) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

/// Tells of columns that cannot be stored, where they are selected.
fn refuse(columns: &[UnsupportedColumn], group: &FeatureGroup, problems: &mut Problems) {
    let source = group.sources.first();
    for column in columns {
        let named = |name: &&str| {
            let selects = source.and_then(|source| source.rendering.query.selects.as_ref());
            selects.is_some_and(|selects| selects.get(name).is_some())
        };
        let parts = column.column().split('.').flat_map(|name| {
            let of = group
                .parts
                .iter()
                .find(|part| part.output_name == name || part.incremental_name == name);
            of.map(|part| part.input.as_str()).into_iter().chain([name])
        });
        let path = source.map_or("", |source| source.path.as_str());
        let path = match parts.into_iter().find(named) {
            Some(name) => crate::definition::wire::child(&format!("{path}.selects"), name),
            None => path.to_owned(),
        };
        problems.error(path, column.to_string());
    }
}

/// The columns of its table that the streaming source's selects, conditions and time read, in the table's order;
/// `None` inside where nothing streams.
fn input(
    group_by: &GroupBy,
    group: &FeatureGroup,
    catalog: &dyn Catalog,
    problems: &mut Problems,
) -> Option<Option<Record>> {
    let streaming = group_by.sources.iter().position(|s| s.topic().is_some());
    let Some(number) = streaming else {
        return Some(None);
    };
    let source = match root(&group_by.sources[number]) {
        None => group.sources[number].clone(),
        Some(left) => left_of_chain(left, catalog, problems)?,
    };
    let columns = read_columns(&source);
    let fields = columns
        .iter()
        .map(|index| source.table_schema.fields[*index].clone());
    let made = Record::of("Input", &Schema::new(fields.collect()));
    let path = &source.path;
    let tell = |columns: Vec<UnsupportedColumn>| {
        for column in columns {
            problems.report(
                Diagnostic::error(path, column.to_string())
                    .detail(format!("it is read from table {}", source.table.table)),
            );
        }
    };
    made.map_err(tell).ok().map(Some)
}

/// Where a chained source's stream comes from: the left of its join, and of that one's.
fn root(source: &Source) -> Option<&Source> {
    match source {
        Source::JoinSource(chained) => {
            let left = &chained.join.left;
            Some(root(left).unwrap_or(left))
        }
        _ => None,
    }
}

fn left_of_chain(
    left: &Source,
    catalog: &dyn Catalog,
    problems: &mut Problems,
) -> Option<RowSource> {
    let table = match left {
        Source::Events(events) => &events.table,
        Source::Entities(entities) => &entities.snapshot_table,
        Source::JoinSource(_) => return None,
    };
    let path = "sources.joinSource.join.left".to_owned();
    let time = left.query().time_column.as_ref();
    let request = Request {
        table,
        table_path: format!("{path}.table"),
        topic: None,
        query: left.query(),
        query_path: format!("{path}.query"),
        fills: vec![fill(TIME_COLUMN, time, format!("{path}.query.timeColumn"))],
        days: crate::logical::DayRule::Exact,
    };
    source::resolve(request, catalog, problems)
}

/// The table's columns that the query itself reads; all of them where it selects none by name.
fn read_columns(source: &RowSource) -> Vec<usize> {
    let width = source.table_schema.fields.len();
    let Some(selects) = &source.rendering.query.selects else {
        return (0..width).collect();
    };
    let own = |field: &Field| field.name == TIME_COLUMN || selects.get(&field.name).is_some();
    let values = source.columns.iter();
    let values = values
        .filter(|(field, _)| own(field))
        .map(|(_, value)| value);
    let made = source
        .generator
        .iter()
        .flat_map(|generator| &generator.inputs);
    let mut read: Vec<usize> = values
        .chain(&source.filters)
        .chain(made)
        .flat_map(Expr::columns)
        .filter(|index| *index < width)
        .collect();
    read.sort_unstable();
    read.dedup();
    read
}
