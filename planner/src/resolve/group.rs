//! A group-by: its sources, keys and aggregations, and its own backfill.

use crate::aggregation::{AggregatePart, expand};
use crate::catalog::Catalog;
use crate::definition::{Accuracy, DataModel, GroupBy, Source};
use crate::diagnostic::Diagnostic;
use crate::expr::Expr;
use crate::logical::{DayRule, DerivationText, FeatureGroup, RowSource};
use crate::naming::{self, MUTATION_TIME_COLUMN, RESERVED_COLUMNS, REVERSAL_COLUMN, TIME_COLUMN};
use crate::schema::{DataType, Field, Schema};
use crate::time::Window;

use super::derive::{self, Projection};
use super::source::{self, Request, fill, same_named};
use super::{BackfillGroup, GroupFeatures, Problems, bind};

/// The path of a field inside an object that may be the whole file.
pub(super) fn at(path: &str, field: &str) -> String {
    if path.is_empty() {
        field.into()
    } else {
        format!("{path}.{field}")
    }
}

/// A group-by for its own backfill.
pub(super) fn resolve_backfill(
    group_by: &GroupBy,
    catalog: &dyn Catalog,
    problems: &mut Problems,
) -> Option<BackfillGroup> {
    let table = problems.output_table(&group_by.meta_data);
    let start = group_by.backfill_start_date.as_deref();
    if start.is_none() {
        problems.report(
            Diagnostic::error("backfillStartDate", "the group-by has no backfillStartDate")
                .hint("a group-by is backfilled by itself only from the day this names"),
        );
    }
    let start = source::day(start, "backfillStartDate", problems).flatten();
    let group = resolve(group_by, "", catalog, problems)?;
    let daily = group.model == DataModel::Events;
    if daily {
        require_whole_days(group_by, "", problems);
    }
    if group_by.is_incremental == Some(true) {
        check_incremental(group_by, &group, problems);
    }
    let base = base_schema(&group, false);
    let output = output(&group, &base, problems)?;
    Some(BackfillGroup {
        table: table?,
        base,
        output,
        start: start?,
        group,
    })
}

/// The columns of the base, or what derivations make of them.
fn output(
    group: &FeatureGroup,
    base: &Schema,
    problems: &mut Problems,
) -> Option<Vec<(Field, Expr)>> {
    match &group.derivations[..] {
        [] => Some(derive::identity(base)),
        derivations => derive::project(Projection {
            derivations,
            base,
            ensured: &ensured_keys(group),
            problems,
        }),
    }
}

/// A group-by by itself.
pub(super) fn resolve_features(
    group_by: &GroupBy,
    catalog: &dyn Catalog,
    problems: &mut Problems,
) -> Option<GroupFeatures> {
    let group = resolve(group_by, "", catalog, problems)?;
    let base = base_schema(&group, group.accuracy == Accuracy::Temporal);
    let derived = output(&group, &base, problems)?;
    let values = match group.derivations[..] {
        [] => group.values.clone(),
        _ => {
            let kept = ensured_keys(&group);
            let fields = derived.into_iter().map(|(field, _)| field);
            fields.filter(|field| !kept.contains(&field.name)).collect()
        }
    };
    Some(GroupFeatures { group, values })
}

pub(super) fn check_incremental(group_by: &GroupBy, group: &FeatureGroup, problems: &mut Problems) {
    let snapshot_events = group.model == DataModel::Events && group.accuracy == Accuracy::Snapshot;
    if !snapshot_events {
        problems.error(
            "isIncremental",
            "only SNAPSHOT group-bys over events can be incremental",
        );
    }
    let unbounded = |aggregation: &crate::definition::Aggregation| aggregation.windows.is_none();
    if let Some(index) = group_by
        .aggregations()
        .unwrap_or_default()
        .iter()
        .position(unbounded)
    {
        problems.report(
            Diagnostic::error(
                format!("aggregations[{index}]"),
                "an incremental group-by needs a window on every aggregation",
            )
            .hint("state how far back it looks in \"windows\""),
        );
    }
}

/// The columns before derivations: keys, `ts` if values belong to a time, `ds`, values.
pub(super) fn base_schema(group: &FeatureGroup, timed: bool) -> Schema {
    if group.passes_through() {
        return group.rendered.clone();
    }
    let mut fields = group.keys.clone();
    if timed {
        fields.push(Field::new(TIME_COLUMN, DataType::Long));
    }
    fields.push(Field::new(naming::PARTITION_COLUMN, DataType::String));
    fields.extend(group.values.iter().cloned());
    Schema::new(fields)
}

/// The columns that derivations keep although they do not name them.
pub(super) fn ensured_keys(group: &FeatureGroup) -> Vec<String> {
    let mut keys: Vec<String> = group.keys.iter().map(|key| key.name.clone()).collect();
    let mut add = |name: &str| {
        if keys.iter().all(|key| key != name) {
            keys.push(name.into());
        }
    };
    add(naming::PARTITION_COLUMN);
    if group.accuracy == Accuracy::Temporal {
        add(TIME_COLUMN);
    }
    keys
}

/// A group-by wherever it stands.
pub(super) fn resolve(
    group_by: &GroupBy,
    path: &str,
    catalog: &dyn Catalog,
    problems: &mut Problems,
) -> Option<FeatureGroup> {
    let model = check_shape(group_by, path, problems);
    let accuracy = group_by.accuracy();
    let rendered: Vec<Option<RowSource>> = group_by
        .sources
        .iter()
        .enumerate()
        .map(|(index, source)| {
            let at_source = at(path, &format!("sources[{index}]"));
            resolve_source(group_by, source, &at_source, catalog, problems)
        })
        .collect();
    let mutations: Vec<Option<RowSource>> = mutation_sources(group_by, path)
        .into_iter()
        .map(|request| source::resolve(request, catalog, problems))
        .collect();
    let found = (
        rendered.into_iter().collect::<Option<Vec<_>>>(),
        mutations.into_iter().collect::<Option<Vec<_>>>(),
    );
    let (Some(mut sources), Some(mut mutations)) = found else {
        check_aggregations_alone(group_by, path, problems);
        return None;
    };
    let schema = align(&mut sources, problems)?;
    let mut mutation_schema = schema.clone();
    mutation_schema
        .fields
        .push(Field::new(REVERSAL_COLUMN, DataType::Boolean));
    mutation_schema
        .fields
        .push(Field::new(MUTATION_TIME_COLUMN, DataType::Long));
    for source in &mut mutations {
        align_to(source, &mutation_schema, problems);
    }
    let keys = keys(group_by, &schema, path, problems);
    let parts = parts(group_by, &schema, path, problems);
    let values = match group_by.aggregations() {
        Some(_) => parts
            .iter()
            .map(|part| Field::new(&part.output_name, part.output_type.clone()))
            .collect(),
        None => pass_through_values(&schema, &group_by.key_columns),
    };
    let derivations = derivation_texts(group_by.derivations(), path);
    let group = FeatureGroup {
        name: group_by.name().into(),
        clean_name: naming::clean_name(&group_by.meta_data),
        path: path.into(),
        model: model?,
        accuracy,
        sources,
        mutations,
        rendered: schema,
        keys: keys?,
        max_window: max_window(&parts),
        parts,
        values,
        derivations,
        setups: setups(group_by),
    };
    check_time(&group, problems);
    Some(group)
}

pub(super) fn derivation_texts(
    derivations: &[crate::definition::Derivation],
    path: &str,
) -> Vec<DerivationText> {
    let text = |(index, derivation): (usize, &crate::definition::Derivation)| DerivationText {
        name: derivation.name.clone(),
        expression: derivation.expression.clone(),
        path: at(path, &format!("derivations[{index}].expression")),
    };
    derivations.iter().enumerate().map(text).collect()
}

fn setups(group_by: &GroupBy) -> Vec<String> {
    let mut setups: Vec<String> = Vec::new();
    for statement in group_by
        .sources
        .iter()
        .flat_map(|source| source.query().setups.iter().flatten())
    {
        if !setups.contains(statement) {
            setups.push(statement.clone());
        }
    }
    setups
}

fn max_window(parts: &[AggregatePart]) -> Window {
    let longest = parts
        .iter()
        .map(|part| part.window)
        .max_by_key(|window| window.millis().unwrap_or(i64::MAX));
    longest.unwrap_or(Window::Unbounded)
}

/// What can be said without looking at tables.
fn check_shape(group_by: &GroupBy, path: &str, problems: &mut Problems) -> Option<DataModel> {
    let model = group_by.data_model();
    if model.is_none() {
        problems.error(at(path, "sources"), "a group-by needs at least one source");
    }
    for (index, source) in group_by.sources.iter().enumerate() {
        if Some(source.data_model()) != model {
            problems.report(
                Diagnostic::error(
                    at(path, &format!("sources[{index}]")),
                    "the sources of a group-by must be all events or all entities",
                )
                .detail(format!("this one is {}, the first is not", source.kind())),
            );
        }
    }
    if group_by.key_columns.is_empty() {
        problems.error(
            at(path, "keyColumns"),
            "a group-by needs at least one key column",
        );
    }
    if model == Some(DataModel::Events) && group_by.aggregations().is_none() {
        problems.report(
            Diagnostic::error(
                at(path, "aggregations"),
                "a group-by over events needs aggregations",
            )
            .hint("only entities can pass through as they are"),
        );
    }
    model
}

fn resolve_source(
    group_by: &GroupBy,
    source: &Source,
    path: &str,
    catalog: &dyn Catalog,
    problems: &mut Problems,
) -> Option<RowSource> {
    let inner = format!("{path}.{}", source.kind());
    let query = source.query();
    let query_path = format!("{inner}.query");
    let time_path = format!("{query_path}.timeColumn");
    let time = query.time_column.as_ref();
    let mut fills: Vec<_> = group_by
        .key_columns
        .iter()
        .map(|key| same_named(key))
        .collect();
    match (source.data_model(), group_by.accuracy()) {
        (DataModel::Entities, _) => {
            fills.extend(time.map(|time| fill(TIME_COLUMN, Some(time), time_path)));
        }
        (DataModel::Events, Accuracy::Temporal) => fills.push(fill(TIME_COLUMN, time, time_path)),
        (DataModel::Events, Accuracy::Snapshot) => {
            let last_millisecond = end_of_day(query.partition_column.as_deref());
            let time = time.cloned().unwrap_or(last_millisecond);
            fills.push(fill(TIME_COLUMN, Some(&time), time_path));
        }
    }
    let (table, table_path, days) = match source {
        Source::Events(events) if source.is_cumulative() => (
            events.table.clone(),
            format!("{inner}.table"),
            DayRule::Cumulative,
        ),
        Source::Events(events) => (
            events.table.clone(),
            format!("{inner}.table"),
            DayRule::Windowed,
        ),
        Source::Entities(entities) => (
            entities.snapshot_table.clone(),
            format!("{inner}.snapshotTable"),
            DayRule::Exact,
        ),
        Source::JoinSource(parent) => {
            let days = match source.data_model() {
                DataModel::Events => DayRule::Windowed,
                DataModel::Entities => DayRule::Exact,
            };
            let table = naming::output_table(&parent.join.meta_data);
            (table.unwrap_or_default(), format!("{inner}.join"), days)
        }
    };
    let request = Request {
        table: &table,
        table_path,
        topic: source.topic(),
        query,
        query_path,
        fills,
        days,
    };
    source::resolve(request, catalog, problems)
}

/// One millisecond before the end of the row's day.
fn end_of_day(partition_column: Option<&str>) -> String {
    let column = partition_column.unwrap_or(naming::PARTITION_COLUMN);
    let midnight = format!("CAST(CAST(CAST(`{column}` AS DATE) AS TIMESTAMP) AS BIGINT)");
    format!("(({midnight} + 86400) * 1000) - 1")
}

/// The mutation tables, where values are as of a row's time.
fn mutation_sources<'a>(group_by: &'a GroupBy, path: &str) -> Vec<Request<'a>> {
    if group_by.accuracy() != Accuracy::Temporal {
        return Vec::new();
    }
    let request = |(index, source): (usize, &'a Source)| {
        let Source::Entities(entities) = source else {
            return None;
        };
        let table = entities.mutation_table.as_deref()?;
        let inner = at(path, &format!("sources[{index}].entities"));
        let query_path = format!("{inner}.query");
        let query = &entities.query;
        let mut fills: Vec<_> = group_by
            .key_columns
            .iter()
            .map(|key| same_named(key))
            .collect();
        let written = |field: &str| format!("{query_path}.{field}");
        if query.time_column.is_some() {
            fills.push(fill(
                TIME_COLUMN,
                query.time_column.as_ref(),
                written("timeColumn"),
            ));
        }
        let reversal = query.reversal_column.as_ref();
        fills.push(fill(REVERSAL_COLUMN, reversal, written("reversalColumn")));
        let time = query.mutation_time_column.as_ref();
        fills.push(fill(
            MUTATION_TIME_COLUMN,
            time,
            written("mutationTimeColumn"),
        ));
        let table_path = format!("{inner}.mutationTable");
        Some(Request {
            table,
            table_path,
            topic: source.topic(),
            query,
            query_path,
            fills,
            days: DayRule::Exact,
        })
    };
    group_by
        .sources
        .iter()
        .enumerate()
        .filter_map(request)
        .collect()
}

/// Brings all sources to the columns of the first, in its order; types are widened where they differ.
fn align(sources: &mut [RowSource], problems: &mut Problems) -> Option<Schema> {
    let first = sources.first()?;
    let mut schema = Schema::new(
        first
            .columns
            .iter()
            .map(|(field, _)| field.clone())
            .collect(),
    );
    let mut complete = true;
    for source in sources.iter().skip(1) {
        for field in &mut schema.fields {
            let Some((other, _)) = source.columns.iter().find(|(f, _)| f.name == field.name) else {
                continue;
            };
            match widened(&field.data_type, &other.data_type) {
                Some(data_type) => field.data_type = data_type,
                None => {
                    complete = false;
                    let message = format!(
                        "column {:?} is {} in the first source and {} here",
                        field.name, field.data_type, other.data_type
                    );
                    problems.error(&source.path, message);
                }
            }
        }
    }
    for source in sources {
        complete &= align_to(source, &schema, problems);
    }
    complete.then_some(schema)
}

/// Brings a source to these columns: all there, in order, of the type.
fn align_to(source: &mut RowSource, schema: &Schema, problems: &mut Problems) -> bool {
    let mut columns = Vec::with_capacity(schema.fields.len());
    let mut complete = true;
    for field in &schema.fields {
        let found = source
            .columns
            .iter()
            .find(|(other, _)| other.name == field.name);
        match found {
            Some((other, value))
                if widened(&other.data_type, &field.data_type).as_ref()
                    == Some(&field.data_type) =>
            {
                columns.push((field.clone(), value.clone().cast(&field.data_type)));
            }
            Some((other, _)) => {
                complete = false;
                let message = format!(
                    "column {:?} must be {}, but is {}",
                    field.name, field.data_type, other.data_type
                );
                problems.error(&source.path, message);
            }
            None => {
                complete = false;
                let names = Schema::new(source.columns.iter().map(|(f, _)| f.clone()).collect());
                problems.report(
                    bind::missing_column(&field.name, &names, &source.path)
                        .detail("all sources of a group-by must give the same columns"),
                );
            }
        }
    }
    source.columns = columns;
    complete
}

/// The type that holds both, as a union of queries finds it.
fn widened(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Byte, Double, Float, Int, Long, Null, Short};
    let rank = |data_type: &DataType| {
        [Byte, Short, Int, Long, Float, Double]
            .iter()
            .position(|known| known == data_type)
    };
    match (left, right) {
        _ if left == right => Some(left.clone()),
        (Null, other) | (other, Null) => Some(other.clone()),
        _ => match (rank(left)?, rank(right)?) {
            (a, b) if a > b => Some(left.clone()),
            _ => Some(right.clone()),
        },
    }
}

fn keys(
    group_by: &GroupBy,
    schema: &Schema,
    path: &str,
    problems: &mut Problems,
) -> Option<Vec<Field>> {
    let mut keys: Vec<Field> = Vec::new();
    for (index, name) in group_by.key_columns.iter().enumerate() {
        let at_key = at(path, &format!("keyColumns[{index}]"));
        if keys.iter().any(|key| key.name == *name) {
            problems.error(&at_key, format!("key column {name:?} appears twice"));
        }
        match schema.fields.iter().find(|field| field.name == *name) {
            Some(field) if matches!(field.data_type, DataType::Map(..)) => {
                problems.error(&at_key, format!("key column {name:?} cannot be a map"));
            }
            Some(field) => keys.push(field.clone()),
            None => problems.report(bind::missing_column(name, schema, &at_key)),
        }
    }
    (keys.len() == group_by.key_columns.len()).then_some(keys)
}

pub(super) fn parts(
    group_by: &GroupBy,
    schema: &Schema,
    path: &str,
    problems: &mut Problems,
) -> Vec<AggregatePart> {
    let mut parts: Vec<AggregatePart> = Vec::new();
    for (index, aggregation) in group_by
        .aggregations()
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        let at_aggregation = at(path, &format!("aggregations[{index}]"));
        let arguments = match aggregation.arguments() {
            Ok(arguments) => arguments,
            Err(errors) => {
                for error in errors {
                    problems.error(format!("{at_aggregation}.argMap"), error.to_string());
                }
                continue;
            }
        };
        let windows: Vec<Window> = aggregation
            .windows
            .iter()
            .flatten()
            .map(|window| window.to_window())
            .collect();
        let buckets = aggregation.buckets.as_deref().unwrap_or_default();
        let element_wise = aggregation.element_wise == Some(true);
        let (input, operation) = (&aggregation.input_column, aggregation.operation);
        for spec in expand(
            input,
            operation,
            &arguments,
            &windows,
            buckets,
            element_wise,
        ) {
            match spec.typed(schema) {
                Ok(part)
                    if parts
                        .iter()
                        .any(|other| other.output_name == part.output_name) =>
                {
                    problems.report(
                        Diagnostic::error(
                            &at_aggregation,
                            format!("column {:?} is computed twice", part.output_name),
                        )
                        .hint("give one of the input columns another name in the selects"),
                    );
                }
                Ok(part) => parts.push(part),
                Err(errors) => {
                    for error in errors {
                        problems.error(&at_aggregation, error.to_string());
                    }
                }
            }
        }
    }
    parts
}

/// What can be said of aggregations when the columns they take could not be settled: arguments, and inputs that no
/// select gives.
fn check_aggregations_alone(group_by: &GroupBy, path: &str, problems: &mut Problems) {
    let mut given: Vec<&str> = group_by.key_columns.iter().map(String::as_str).collect();
    given.push(TIME_COLUMN);
    let selects = group_by.sources.iter().map(|source| source.query());
    let selects: Vec<_> = selects.map(|query| query.selects.as_ref()).collect();
    for names in selects.iter().flatten() {
        given.extend(names.iter().map(|(name, _)| name));
    }
    let named = selects.iter().all(Option::is_some);
    for (index, aggregation) in group_by
        .aggregations()
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        let at_aggregation = at(path, &format!("aggregations[{index}]"));
        for error in aggregation.arguments().err().into_iter().flatten() {
            problems.error(format!("{at_aggregation}.argMap"), error.to_string());
        }
        let input = aggregation.input_column.as_str();
        if named && !given.contains(&input) {
            let message = format!("no select gives column {input:?}");
            problems.report(
                Diagnostic::error(format!("{at_aggregation}.inputColumn"), message)
                    .meant(input, given.iter().copied()),
            );
        }
    }
}

fn pass_through_values(schema: &Schema, keys: &[String]) -> Vec<Field> {
    let is_value = |field: &&Field| {
        !keys.contains(&field.name) && !RESERVED_COLUMNS.contains(&field.name.as_str())
    };
    schema.fields.iter().filter(is_value).cloned().collect()
}

/// Events need their time; entities only where an aggregation looks at it.
fn check_time(group: &FeatureGroup, problems: &mut Problems) {
    let needed = group.model == DataModel::Events || group.needs_time();
    let found = group
        .rendered
        .fields
        .iter()
        .find(|field| field.name == TIME_COLUMN);
    let path = group.sources.first().map_or("", |source| &source.path);
    let at_time = format!("{path}.timeColumn");
    match found {
        _ if !needed => {}
        Some(field) if field.data_type == DataType::Long => {}
        Some(field) => problems.report(
            Diagnostic::error(
                at_time,
                format!(
                    "the time must be bigint (milliseconds), but is {}",
                    field.data_type
                ),
            )
            .hint("convert it, as in UNIX_TIMESTAMP(created_at) * 1000"),
        ),
        None => problems.report(
            Diagnostic::error(
                at_time,
                "windows, FIRST and LAST need a time, but there is none",
            )
            .hint("state timeColumn, an expression of milliseconds since 1970"),
        ),
    }
}

/// Values as of midnight have windows of whole days only.
pub(super) fn require_whole_days(group_by: &GroupBy, path: &str, problems: &mut Problems) {
    for (index, aggregation) in group_by
        .aggregations()
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        for (number, window) in aggregation.windows.iter().flatten().enumerate() {
            if matches!(window.to_window(), Window::Hours(_)) {
                problems.report(
                    Diagnostic::error(
                        at(path, &format!("aggregations[{index}].windows[{number}]")),
                        "values as of midnight cannot have windows in hours",
                    )
                    .hint("state the window in days, or make the group-by TEMPORAL in a join"),
                );
            }
        }
    }
}
