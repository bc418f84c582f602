//! The left side of a join and the table it is kept in.

use crate::catalog::Catalog;
use crate::definition::{DataModel, ExternalPart, Join, OrderedMap, Source};
use crate::diagnostic::Diagnostic;
use crate::expr::{self, Expr};
use crate::logical::{BootstrapSource, DayRule, LeftSide, RowSource};
use crate::naming::{
    self, MATCHED_HASHES_COLUMN, PARTITION_COLUMN, TIME_COLUMN, TIME_PARTITION_COLUMN,
};
use crate::schema::{DataType, Field, Schema};

use super::source::{self, Request, fill};
use super::{Problems, bind};

/// Resolves the left rows; the skew filter comes once the parts' keys are known.
pub(super) fn resolve(
    join: &Join,
    catalog: &dyn Catalog,
    problems: &mut Problems,
) -> Option<LeftSide> {
    let path = format!("left.{}", join.left.kind());
    let model = join.left.data_model();
    let query = join.left.query();
    let query_path = format!("{path}.query");
    let mut fills = Vec::new();
    if model == DataModel::Events {
        let at = format!("{query_path}.timeColumn");
        fills.push(fill(TIME_COLUMN, query.time_column.as_ref(), at));
    }
    let (table, table_path) = match &join.left {
        Source::Events(events) => (events.table.clone(), format!("{path}.table")),
        Source::Entities(entities) => (
            entities.snapshot_table.clone(),
            format!("{path}.snapshotTable"),
        ),
        Source::JoinSource(parent) => {
            let table = naming::output_table(&parent.join.meta_data).unwrap_or_default();
            (table, format!("{path}.join"))
        }
    };
    if join.left.is_cumulative() {
        problems.error(
            format!("{path}.isCumulative"),
            "the left of a join cannot be cumulative",
        );
    }
    let days = DayRule::Exact;
    let request = Request {
        table: &table,
        table_path,
        topic: None,
        query,
        query_path,
        fills,
        days,
    };
    let rows = source::resolve(request, catalog, problems)?;
    let schema = Schema::new(
        rows.columns
            .iter()
            .map(|(field, _)| field.clone())
            .collect(),
    );
    let position = |name: &str| schema.fields.iter().position(|field| field.name == name);
    let time = if model == DataModel::Events {
        position(TIME_COLUMN)
    } else {
        None
    };
    check_time(&schema, time, model, &rows.path, problems);
    check_rows(&rows, &schema, problems);
    let day = position(PARTITION_COLUMN)?;
    Some(LeftSide {
        rows,
        model,
        schema,
        time,
        day,
        skew_filter: None,
    })
}

/// The left must come day by day, and leave the reserved names alone.
fn check_rows(rows: &RowSource, schema: &Schema, problems: &mut Problems) {
    if !rows.partition.partitioned {
        let message = format!(
            "the left table is not partitioned by {:?}",
            rows.partition.name
        );
        problems.report(
            Diagnostic::error(&rows.path, message).hint(
                "name its partition column in partitionColumn; a join is computed day by day",
            ),
        );
    }
    for reserved in [
        MATCHED_HASHES_COLUMN,
        "bootstrap_hash",
        TIME_PARTITION_COLUMN,
    ] {
        if schema.fields.iter().any(|field| field.name == reserved) {
            let message = format!("column {reserved:?} is reserved");
            problems
                .report(Diagnostic::error(&rows.path, message).hint("select it by another name"));
        }
    }
}

fn check_time(
    schema: &Schema,
    time: Option<usize>,
    model: DataModel,
    path: &str,
    problems: &mut Problems,
) {
    let at = format!("{path}.timeColumn");
    match time.map(|time| &schema.fields[time].data_type) {
        Some(DataType::Long) => {}
        Some(other) => problems.report(
            Diagnostic::error(
                at,
                format!("the left's time must be bigint, but is {other}"),
            )
            .hint("convert it to milliseconds, as in UNIX_TIMESTAMP(created_at) * 1000"),
        ),
        None if model == DataModel::Events => {
            problems.error(at, "the left is of events, but has no time");
        }
        None => {}
    }
}

/// A filter that leaves out rows of skewed keys, over the named left columns; `None` when none of them is skewed.
pub(super) fn skew_filter(
    join: &Join,
    keys: &[String],
    renamed: impl Fn(&str) -> String,
    schema: &Schema,
    problems: &mut Problems,
) -> Option<Expr> {
    let skewed: Vec<(&str, &Vec<String>)> = join
        .skew_keys
        .iter()
        .flat_map(OrderedMap::iter)
        .filter(|(key, _)| keys.iter().any(|k| k == key))
        .collect();
    let conditions: Vec<String> = skewed
        .iter()
        .map(|(key, values)| not_skewed(&renamed(key), values))
        .collect();
    if conditions.is_empty() {
        return None;
    }
    let path = match &skewed[..] {
        [(key, _)] => format!("skewKeys.{key}"),
        _ => "skewKeys".into(),
    };
    bind::condition(&conditions.join(" OR "), schema, &path, problems)
}

/// Values are SQL literals as written; `null` among them leaves out rows without the key.
fn not_skewed(key: &str, values: &[String]) -> String {
    let is_null = |value: &&String| ["null", "Null", "NULL"].contains(&value.as_str());
    let listed: Vec<&str> = values
        .iter()
        .filter(|value| !is_null(value))
        .map(String::as_str)
        .collect();
    let key = super::derive::quoted(key);
    let mut conditions = Vec::new();
    if !listed.is_empty() {
        conditions.push(format!("{key} NOT IN ({})", listed.join(", ")));
    }
    if values.iter().any(|value| is_null(&value)) || listed.is_empty() {
        conditions.push(format!("{key} IS NOT NULL"));
    }
    format!("({})", conditions.join(" AND "))
}

/// The columns of the left table over the left's own, followed by the values and the mark of each bootstrap source.
pub(super) fn bootstrap(
    join: &Join,
    left: &LeftSide,
    sources: &[BootstrapSource],
    problems: &mut Problems,
) -> Vec<(Field, Expr)> {
    let mut columns = super::derive::identity(&left.schema);
    if left.time.is_some() {
        let text =
            format!("CAST(CAST(CAST({TIME_COLUMN} DIV 1000 AS TIMESTAMP) AS DATE) AS STRING)");
        let day = bind::expression(&text, &left.schema, &left.rows.path, problems);
        columns.extend(day.map(|day| (Field::new(TIME_PARTITION_COLUMN, DataType::String), day)));
    }
    let marks = take_over(left, sources, &mut columns);
    for (index, part) in online_only(join) {
        let path = format!("onlineExternalParts[{index}].source");
        let Some((keys, values)) = external_fields(part, &path, problems) else {
            continue;
        };
        if is_contextual(part) {
            for key in keys {
                if has_type_of(&columns, &key, &path, problems) {
                    pad_contextual(&mut columns, &key);
                }
            }
        } else {
            keys.into_iter()
                .chain(values)
                .for_each(|field| pad(&mut columns, field));
        }
    }
    let hashes = matched_hashes(&marks);
    columns.push((
        Field::new(MATCHED_HASHES_COLUMN, hashes.data_type.clone()),
        hashes,
    ));
    columns
}

/// Takes bootstrapped values into the columns, each after what stands there by its name; where the marks are.
fn take_over(
    left: &LeftSide,
    sources: &[BootstrapSource],
    columns: &mut Vec<(Field, Expr)>,
) -> Vec<usize> {
    let mut offset = left.schema.fields.len();
    let mut marks = Vec::with_capacity(sources.len());
    for source in sources {
        for column in &source.values {
            let field = &source.rows.columns[*column].0;
            let value = Expr::column(offset, field.data_type.clone());
            offset += 1;
            match columns
                .iter_mut()
                .find(|(known, _)| known.name == field.name)
            {
                None => columns.push((field.clone(), value)),
                Some((known, before)) if known.data_type == field.data_type => {
                    let both = vec![before.clone(), value];
                    *before = Expr::call("coalesce", both, field.data_type.clone());
                }
                // Another type was reported when the source was resolved.
                Some(_) => {}
            }
        }
        marks.push(offset);
        offset += 1;
    }
    marks
}

/// The list of the marks that are not null, each once; null if all are.
fn matched_hashes(marks: &[usize]) -> Expr {
    let none = Expr::null(DataType::array(DataType::String));
    let Some(last) = marks.last() else {
        return none;
    };
    let columns = (0..=*last).map(|index| Field::new(format!("c{index}"), DataType::String));
    let schema = Schema::new(columns.collect());
    let names: Vec<String> = marks.iter().map(|index| format!("c{index}")).collect();
    let names = names.join(", ");
    let text = format!(
        "CASE WHEN coalesce({names}) IS NOT NULL THEN \
         array_distinct(filter(array({names}), mark -> mark IS NOT NULL)) END"
    );
    let bound = expr::parse(&text).and_then(|ast| expr::bind(&ast, &schema));
    bound.expect("the text is made of known columns and functions of the catalogue")
}

/// The external parts without a group-by that stands in for them offline, each with its position.
pub(super) fn online_only(join: &Join) -> impl Iterator<Item = (usize, &ExternalPart)> {
    let parts = join.external_parts().iter().enumerate();
    parts.filter(|(_, part)| part.source.offline_group_by.is_none())
}

/// Whether the part takes its values from the request itself.
pub(super) fn is_contextual(part: &ExternalPart) -> bool {
    part.source.metadata.name.as_deref() == Some("contextual")
}

/// Declared keys under their left names, and values under their names in the join.
pub(super) fn external_fields(
    part: &ExternalPart,
    path: &str,
    problems: &mut Problems,
) -> Option<(Vec<Field>, Vec<Field>)> {
    let keys = part.source.key_schema.fields();
    let values = part.source.value_schema.fields();
    if keys.is_none() || values.is_none() {
        problems.error(path, "a declared list or map lacks the types inside");
    }
    let left_name = |key: &str| {
        let entries = part.key_mapping.iter().flat_map(OrderedMap::iter);
        let found = entries.filter(|(_, right)| *right == key).last();
        found.map_or_else(|| key.to_owned(), |(left, _)| left.to_owned())
    };
    let prefix = naming::external_prefix(part);
    let keys = keys?
        .into_iter()
        .map(|key| Field::new(left_name(&key.name), key.data_type));
    let values = values?.into_iter().map(|value| {
        Field::new(
            naming::feature_column(&prefix, &value.name),
            value.data_type,
        )
    });
    Some((keys.collect(), values.collect()))
}

fn pad(columns: &mut Vec<(Field, Expr)>, field: Field) {
    if columns.iter().all(|(other, _)| other.name != field.name) {
        let null = Expr::null(field.data_type.clone());
        columns.push((field, null));
    }
}

/// Whether a contextual key is declared as the column of its name, or its twin's, is where there is one.
fn has_type_of(
    columns: &[(Field, Expr)],
    key: &Field,
    path: &str,
    problems: &mut Problems,
) -> bool {
    let twin = format!("ext_contextual_{}", key.name);
    let named = |field: &&Field| field.name == key.name || field.name == twin;
    let fields = columns.iter().map(|(field, _)| field).filter(named);
    let mut same = true;
    for field in fields.filter(|field| field.data_type != key.data_type) {
        let (name, declared, found) = (&key.name, &key.data_type, &field.data_type);
        let column = &field.name;
        let message =
            format!("key {name:?} is declared {declared}, but column {column:?} is {found}");
        problems.error(format!("{path}.keySchema"), message);
        same = false;
    }
    same
}

/// The key and its `ext_contextual_` twin each take the other's value where they have none.
fn pad_contextual(columns: &mut Vec<(Field, Expr)>, key: &Field) {
    let twin = Field::new(
        format!("ext_contextual_{}", key.name),
        key.data_type.clone(),
    );
    pad(columns, key.clone());
    pad(columns, twin.clone());
    let value = |columns: &[(Field, Expr)], name: &str| {
        let found = columns.iter().find(|(field, _)| field.name == name);
        found.map(|(_, value)| value.clone())
    };
    let both = value(columns, &key.name)
        .into_iter()
        .chain(value(columns, &twin.name))
        .collect();
    let either = Expr::call("coalesce", both, key.data_type.clone());
    for (field, value) in columns.iter_mut() {
        if field.name == key.name || field.name == twin.name {
            *value = either.clone();
        }
    }
}
