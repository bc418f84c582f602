//! One part of a join: how its values are computed, how it meets the left, and under which names.

use crate::catalog::Catalog;
use crate::definition::{Accuracy, DataModel, Join, JoinPart, OrderedMap};
use crate::diagnostic::Diagnostic;
use crate::logical::{FeatureGroup, FeaturePart, LeftSide, PartMethod};
use crate::naming::{self, PARTITION_COLUMN, TIME_COLUMN, TIME_PARTITION_COLUMN};
use crate::schema::{Field, Schema};

use super::derive::{self, Projection};
use super::{Problems, bind, group, left};

/// What a part needs to know of its surroundings.
pub(super) struct Context<'a> {
    pub(super) join: &'a Join,
    pub(super) left: &'a LeftSide,
    pub(super) catalog: &'a dyn Catalog,
}

/// Resolves a part. `path` is the part's, `group_path` its group-by's.
pub(super) fn resolve(
    context: &Context<'_>,
    part: &JoinPart,
    full_prefix: String,
    (path, group_path): (String, &str),
    problems: &mut Problems,
) -> Option<FeaturePart> {
    if part.group_by.meta_data.team.is_none() {
        let at = format!("{group_path}.metaData.team");
        problems.report(
            Diagnostic::error(at, "the group-by has no team")
                .hint("compile it again; teams come from teams.json"),
        );
    }
    check_alone(part, &path, problems);
    let resolved = group::resolve(&part.group_by, group_path, context.catalog, problems);
    let Some(resolved) = resolved else {
        left_keys(context.left, part, None, &path, problems);
        return None;
    };
    let method = method(context.left.model, &resolved);
    check_method(part, &resolved, method, group_path, problems);
    let left_keys = left_keys(context.left, part, Some(&resolved), &path, problems);
    let base = group::base_schema(&resolved, method.is_temporal());
    let derived = match &resolved.derivations[..] {
        [] => None,
        derivations => Some(derive::project(Projection {
            derivations,
            base: &base,
            ensured: &group::ensured_keys(&resolved),
            problems,
        })?),
    };
    let table_schema = match &derived {
        None => base.clone(),
        Some(columns) => Schema::new(columns.iter().map(|(field, _)| field.clone()).collect()),
    };
    check_keys_kept(&table_schema, &resolved, group_path, problems);
    let features = features(&table_schema, &resolved, &full_prefix);
    let (left_filter, right_filter) = skew_filters(context, part, &resolved, problems);
    let Some(table) = naming::part_table(context.join, part) else {
        return None; // the join's missing namespace is reported once, with the join
    };
    Some(FeaturePart {
        full_prefix,
        table,
        path,
        left_keys: left_keys?,
        left_filter,
        right_filter,
        unfilled: None,
        method,
        base,
        derived,
        table_schema,
        features,
        group: resolved,
    })
}

fn method(left: DataModel, group: &FeatureGroup) -> PartMethod {
    match (left, group.model, group.accuracy) {
        (DataModel::Events, DataModel::Events, Accuracy::Temporal) => PartMethod::TemporalEvents,
        (_, DataModel::Events, _) => PartMethod::SnapshotEvents,
        (DataModel::Events, DataModel::Entities, Accuracy::Temporal) => {
            PartMethod::TemporalEntities
        }
        (_, DataModel::Entities, _) => PartMethod::SnapshotEntities,
    }
}

fn check_method(
    part: &JoinPart,
    group: &FeatureGroup,
    method: PartMethod,
    path: &str,
    problems: &mut Problems,
) {
    if method == PartMethod::SnapshotEvents {
        group::require_whole_days(&part.group_by, path, problems);
    }
    if method != PartMethod::TemporalEntities {
        return;
    }
    if group.mutations.is_empty() {
        problems.report(
            Diagnostic::error(
                format!("{path}.sources"),
                "values as of a row's time need the mutations of the entity",
            )
            .hint("state mutationTable, or make the group-by SNAPSHOT"),
        );
    }
    if group.passes_through() {
        problems.report(
            Diagnostic::error(
                format!("{path}.aggregations"),
                "a TEMPORAL group-by over entities needs aggregations",
            )
            .hint("LAST of each column gives the latest row"),
        );
    }
    if group.rendered.index_of(TIME_COLUMN).is_none() {
        problems.error(
            format!("{path}.sources"),
            "a TEMPORAL group-by over entities needs the rows' own time in timeColumn",
        );
    }
}

/// What can be said of a part without its left.
pub(super) fn check_alone(part: &JoinPart, path: &str, problems: &mut Problems) {
    check_key_mapping(part, path, problems);
    check_prefix(part, path, problems);
}

/// Mapped keys must be keys of the group-by.
fn check_key_mapping(part: &JoinPart, path: &str, problems: &mut Problems) {
    for (left, right) in part.key_mapping.iter().flat_map(OrderedMap::iter) {
        if !part.group_by.key_columns.contains(right) {
            let keys = part.group_by.key_columns.iter().map(String::as_str);
            problems.report(
                Diagnostic::error(
                    crate::definition::wire::child(&format!("{path}.keyMapping"), left),
                    format!("{right:?} is no key of the group-by"),
                )
                .detail(format!(
                    "its keys are {}",
                    part.group_by.key_columns.join(", ")
                ))
                .meant(right, keys),
            );
        }
    }
}

/// A prefix is part of the name of a table.
fn check_prefix(part: &JoinPart, path: &str, problems: &mut Problems) {
    let prefix = part.prefix.as_deref().unwrap_or_default();
    if prefix.contains(naming::NOT_IN_FOLDER_NAMES) {
        problems.report(
            Diagnostic::error(
                format!("{path}.prefix"),
                format!("{prefix:?} cannot be part of a table's name"),
            )
            .hint("use letters, digits and underscores"),
        );
    }
}

/// The left column of every key, of the same type.
fn left_keys(
    left: &LeftSide,
    part: &JoinPart,
    group: Option<&FeatureGroup>,
    path: &str,
    problems: &mut Problems,
) -> Option<Vec<usize>> {
    let mut positions = Vec::new();
    for (right, left_name) in part.right_to_left() {
        let found = left
            .schema
            .fields
            .iter()
            .position(|field| field.name == left_name);
        let Some(index) = found else {
            let hint = "select the column on the left, or map another to the key in keyMapping";
            let problem = bind::missing_column(&left_name, &left.schema, path);
            let message = format!("the left has no column {left_name:?} for key {right:?}");
            problems.report(match problem.hint {
                Some(near) => Diagnostic {
                    message,
                    hint: Some(near),
                    ..problem
                },
                None => Diagnostic { message, ..problem }.hint(hint),
            });
            continue;
        };
        let left_type = &left.schema.fields[index].data_type;
        let key = group.and_then(|group| group.keys.iter().find(|key| key.name == right));
        if let Some(key) = key.filter(|key| key.data_type != *left_type) {
            problems.report(
                Diagnostic::error(
                    path,
                    format!(
                        "key {right:?} is {} in the group-by, but {left_name:?} is {left_type} on the left",
                        key.data_type
                    ),
                )
                .hint("cast one of them in its selects"),
            );
        }
        positions.push(index);
    }
    (positions.len() == part.group_by.key_columns.len()).then_some(positions)
}

/// Derivations must leave what the part's table is joined by.
fn check_keys_kept(schema: &Schema, group: &FeatureGroup, path: &str, problems: &mut Problems) {
    for name in group
        .keys
        .iter()
        .map(|key| key.name.as_str())
        .chain([PARTITION_COLUMN])
    {
        if schema.fields.iter().all(|field| field.name != name) {
            let message = format!("derivations drop column {name:?}, which the join needs");
            problems.error(format!("{path}.derivations"), message);
        }
    }
}

fn features(schema: &Schema, group: &FeatureGroup, full_prefix: &str) -> Vec<(usize, Field)> {
    let is_value = |name: &str| {
        group.keys.iter().all(|key| key.name != name)
            && ![TIME_COLUMN, PARTITION_COLUMN, TIME_PARTITION_COLUMN].contains(&name)
    };
    let kept = |name: &str| !group.passes_through() || !naming::RESERVED_COLUMNS.contains(&name);
    let columns = schema.fields.iter().enumerate();
    columns
        .filter(|(_, field)| is_value(&field.name) && kept(&field.name))
        .map(|(index, field)| {
            let name = naming::feature_column(full_prefix, &field.name);
            (index, Field::new(name, field.data_type.clone()))
        })
        .collect()
}

type Filters = (Option<crate::expr::Expr>, Option<crate::expr::Expr>);

/// The filters of skewed keys on either side, for the keys of this part.
fn skew_filters(
    context: &Context<'_>,
    part: &JoinPart,
    group: &FeatureGroup,
    problems: &mut Problems,
) -> Filters {
    let pairs = part.right_to_left();
    let left_names: Vec<String> = pairs.iter().map(|(_, left)| left.clone()).collect();
    let same = |name: &str| name.to_owned();
    let schema = &context.left.schema;
    let on_left = left::skew_filter(context.join, &left_names, same, schema, problems);
    let right_name = |name: &str| {
        let found = pairs.iter().find(|(_, left)| left == name);
        found.map_or_else(|| name.to_owned(), |(right, _)| right.clone())
    };
    let keys = Schema::new(group.keys.clone());
    let on_right = left::skew_filter(context.join, &left_names, right_name, &keys, problems);
    (on_left, on_right)
}
