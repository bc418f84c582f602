//! A join: its left, its parts, and the columns it writes.

use crate::catalog::Catalog;
use crate::definition::{Join, JoinPart};
use crate::diagnostic::Diagnostic;
use crate::expr::Expr;
use crate::logical::{AssembledColumn, FeatureJoin, FeaturePart, JoinTables, LeftSide};
use crate::naming::{
    self, MATCHED_HASHES_COLUMN, PARTITION_COLUMN, TIME_PARTITION_COLUMN, TableSuffix,
};
use crate::schema::{Field, Schema};

use super::part::Context;
use super::{Problems, bind, bootstrap, derive, external, group, left, part};

/// Resolves a join.
pub(super) fn resolve(
    join: &Join,
    catalog: &dyn Catalog,
    problems: &mut Problems,
) -> Option<FeatureJoin> {
    check_shape(join, problems);
    let left = left::resolve(join, catalog, problems);
    let Some(mut left) = left else {
        report_groups_alone(join, catalog, problems);
        return None;
    };
    left.skew_filter = skew_filter(join, &left, problems);
    let context = Context {
        join,
        left: &left,
        catalog,
    };
    let parts: Vec<Option<FeaturePart>> = parts_of(join)
        .into_iter()
        .map(|(joined, prefix, path, group_path)| {
            part::resolve(&context, &joined, prefix, (path, &group_path), problems)
        })
        .collect();
    let mut parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
    check_tables_differ(&parts, problems);
    external::check(join, &parts, problems);
    let derived = derived_fields(join, &left, &parts, problems)?;
    let bootstraps = bootstrap::resolve(&context, &parts, &derived, problems)?;
    let bootstrap = left::bootstrap(join, &left, &bootstraps.sources, problems);
    let table = Schema::new(bootstrap.iter().map(|(field, _)| field.clone()).collect());
    for part in &mut parts {
        part.unfilled = bootstraps.unfilled(part, &derived, &table, problems);
    }
    let assembled = assembled(&bootstrap, &parts, problems);
    let output = output(join, &left, &assembled, problems)?;
    Some(FeatureJoin {
        name: join.name().into(),
        tables: tables(join)?,
        setups: setups(&left, &parts),
        left,
        known_hashes: bootstraps.known_hashes(),
        bootstrap_sources: bootstraps.sources,
        bootstrap,
        parts,
        assembled,
        output,
    })
}

fn tables(join: &Join) -> Option<JoinTables> {
    let output = if join.has_models() {
        TableSuffix::PreMt.table(&join.meta_data)
    } else {
        naming::output_table(&join.meta_data)
    };
    Some(JoinTables {
        output: output?,
        bootstrap: TableSuffix::Bootstrap.table(&join.meta_data)?,
    })
}

fn setups(left: &LeftSide, parts: &[FeaturePart]) -> Vec<String> {
    let mut setups: Vec<String> = left.rows.rendering.query.setups.clone().unwrap_or_default();
    for statement in parts.iter().flat_map(|part| &part.group.setups) {
        if !setups.contains(statement) {
            setups.push(statement.clone());
        }
    }
    setups
}

fn check_shape(join: &Join, problems: &mut Problems) {
    problems.output_table(&join.meta_data);
    if join.meta_data.team.is_none() {
        problems.report(
            Diagnostic::error("metaData.team", "the join has no team")
                .hint("compile it again; teams come from teams.json"),
        );
    }
}

/// Problems of the group-bys when there is no left to hold them against.
fn report_groups_alone(join: &Join, catalog: &dyn Catalog, problems: &mut Problems) {
    for (joined, _, path, group_path) in parts_of(join) {
        part::check_alone(&joined, &path, problems);
        group::resolve(&joined.group_by, &group_path, catalog, problems);
    }
}

/// Regular parts, then external parts that have a group-by to stand in: part, prefix, path, path of the group-by.
fn parts_of(join: &Join) -> Vec<(JoinPart, String, String, String)> {
    let regular = join.parts().iter().enumerate().map(|(index, part)| {
        let path = format!("joinParts[{index}]");
        let group_path = format!("{path}.groupBy");
        (part.clone(), naming::full_prefix(part), path, group_path)
    });
    let external = join
        .external_parts()
        .iter()
        .enumerate()
        .filter_map(|(index, external)| {
            let part = external.as_part()?;
            let path = format!("onlineExternalParts[{index}]");
            let group_path = format!("{path}.source.offlineGroupBy");
            Some((part, naming::external_prefix(external), path, group_path))
        });
    regular.chain(external).collect()
}

/// The join-level filter of skewed keys: every one must be a key of some part.
fn skew_filter(join: &Join, left: &LeftSide, problems: &mut Problems) -> Option<Expr> {
    let mut keys: Vec<String> = parts_of(join)
        .iter()
        .flat_map(|(part, ..)| part.right_to_left())
        .map(|(_, left)| left)
        .collect();
    keys.sort();
    keys.dedup();
    for (key, _) in join.skew_keys.iter().flat_map(|skewed| skewed.iter()) {
        if !keys.iter().any(|known| known == key) {
            problems.report(
                Diagnostic::error(
                    crate::definition::wire::child("skewKeys", key),
                    format!("{key:?} is not used as a key by any part"),
                )
                .detail(format!("the keys used are {}", keys.join(", ")))
                .meant(key, keys.iter().map(String::as_str)),
            );
        }
    }
    left::skew_filter(join, &keys, str::to_owned, &left.schema, problems)
}

/// Two parts must not keep their values in one table unless they are the same.
fn check_tables_differ(parts: &[FeaturePart], problems: &mut Problems) {
    for (index, part) in parts.iter().enumerate() {
        if let Some(other) = parts[..index]
            .iter()
            .find(|other| other.table == part.table)
        {
            problems.report(
                Diagnostic::error(
                    &part.path,
                    format!("its table {} is also that of {}", part.table, other.path),
                )
                .hint("give one of them a prefix"),
            );
        }
    }
}

/// The left table's columns without its private ones, then features; equal names fall together.
fn assembled(
    bootstrap: &[(Field, Expr)],
    parts: &[FeaturePart],
    problems: &mut Problems,
) -> Vec<AssembledColumn> {
    let private = [MATCHED_HASHES_COLUMN, TIME_PARTITION_COLUMN];
    let mut columns: Vec<AssembledColumn> = bootstrap
        .iter()
        .enumerate()
        .filter(|(_, (field, _))| !private.contains(&field.name.as_str()))
        .map(|(index, (field, _))| AssembledColumn {
            field: field.clone(),
            left: Some(index),
            features: Vec::new(),
        })
        .collect();
    for (number, part) in parts.iter().enumerate() {
        for (index, (_, field)) in part.features.iter().enumerate() {
            let known = columns
                .iter_mut()
                .find(|column| column.field.name == field.name);
            match known {
                None => columns.push(AssembledColumn {
                    field: field.clone(),
                    left: None,
                    features: vec![(number, index)],
                }),
                Some(column) if column.field.data_type == field.data_type => {
                    column.features.push((number, index));
                }
                Some(column) => {
                    let message = format!(
                        "column {:?} is {} here, but {} before",
                        field.name, field.data_type, column.field.data_type
                    );
                    problems.error(&part.path, message);
                }
            }
        }
    }
    columns
}

/// The columns written: derivations applied, `ds` last.
fn output(
    join: &Join,
    left: &LeftSide,
    assembled: &[AssembledColumn],
    problems: &mut Problems,
) -> Option<Vec<(Field, Expr)>> {
    let base = Schema::new(
        assembled
            .iter()
            .map(|column| column.field.clone())
            .collect(),
    );
    let mut columns = if join.derivations().is_empty() {
        derive::identity(&base)
    } else {
        derived(join, left, assembled, &base, problems)?
    };
    drop_contextual_keys(join, left, &mut columns);
    if let Some(index) = columns
        .iter()
        .position(|(field, _)| field.name == PARTITION_COLUMN)
    {
        let day = columns.remove(index);
        columns.push(day);
    } else {
        problems.error(
            "derivations",
            "derivations drop column \"ds\", which the table needs",
        );
        return None;
    }
    Some(columns)
}

/// The derived fields of a join with bootstrap parts and the text each is made from. Here `*` stands for the left's
/// columns too, so that a bootstrap table may hold them.
fn derived_fields(
    join: &Join,
    left: &LeftSide,
    parts: &[FeaturePart],
    problems: &mut Problems,
) -> Option<bootstrap::Derived> {
    let bootstrapped = join
        .bootstrap_parts
        .as_ref()
        .is_some_and(|parts| !parts.is_empty());
    if !bootstrapped || join.derivations().is_empty() {
        return Some(Vec::new());
    }
    let plain = left::bootstrap(join, left, &[], problems);
    let assembled = assembled(&plain, parts, problems);
    let fields = assembled.iter().map(|column| column.field.clone());
    let base = Schema::new(fields.collect());
    let mut names = base_values(join, &assembled, problems);
    for field in &left.schema.fields {
        if !names.contains(&field.name) {
            names.push(field.name.clone());
        }
    }
    let texts = group::derivation_texts(join.derivations(), "");
    let before = problems.list.len();
    let mut derived = Vec::new();
    for derivation in derive::expanded(&texts, &names) {
        let value = bind::expression(&derivation.expression, &base, &derivation.path, problems);
        derived.extend(value.map(|value| {
            let field = Field::new(&derivation.name, value.data_type);
            (field, derivation.expression)
        }));
    }
    (problems.list.len() == before).then_some(derived)
}

/// Derivations at join level: columns that are no values stay where they are; values stay only if derived.
fn derived(
    join: &Join,
    left: &LeftSide,
    assembled: &[AssembledColumn],
    base: &Schema,
    problems: &mut Problems,
) -> Option<Vec<(Field, Expr)>> {
    let values = base_values(join, assembled, problems);
    let texts = group::derivation_texts(join.derivations(), "");
    let projections = derive::expanded(&texts, &values);
    let on_left = |name: &str| left.schema.fields.iter().any(|field| field.name == name);
    let in_base = |name: &str| base.fields.iter().position(|field| field.name == name);
    let mut columns: Vec<(Field, Expr)> = Vec::new();
    let before = problems.list.len();
    for (index, field) in base.fields.iter().enumerate() {
        let column = Expr::column(index, field.data_type.clone());
        let derivation = projections
            .iter()
            .rfind(|derivation| derivation.name == field.name);
        if values.contains(&field.name) {
            continue;
        }
        match derivation {
            None => columns.push((field.clone(), column)),
            Some(derivation) if on_left(&field.name) => {
                let text = format!(
                    "coalesce({}, {})",
                    derive::quoted(&field.name),
                    derivation.expression
                );
                let value = bind::expression(&text, base, &derivation.path, problems);
                columns.extend(value.map(|v| (Field::new(&field.name, v.data_type.clone()), v)));
            }
            Some(_) => {}
        }
    }
    for derivation in &projections {
        let text = match in_base(&derivation.name) {
            Some(_) if on_left(&derivation.name) => continue,
            Some(_) if derivation.expression != derive::quoted(&derivation.name) => {
                let name = derive::quoted(&derivation.name);
                format!("coalesce({name}, {})", derivation.expression)
            }
            _ => derivation.expression.clone(),
        };
        if columns
            .iter()
            .any(|(field, _)| field.name == derivation.name)
        {
            let message = format!("column {:?} is derived twice", derivation.name);
            problems.error(&derivation.path, message);
        }
        let value = bind::expression(&text, base, &derivation.path, problems);
        columns.extend(value.map(|v| (Field::new(&derivation.name, v.data_type.clone()), v)));
    }
    (problems.list.len() == before).then_some(columns)
}

/// Names of all values: features of parts, then declared external values.
fn base_values(join: &Join, assembled: &[AssembledColumn], problems: &mut Problems) -> Vec<String> {
    let mut values: Vec<String> = assembled
        .iter()
        .filter(|column| !column.features.is_empty())
        .map(|column| column.field.name.clone())
        .collect();
    for (index, part) in left::online_only(join) {
        let path = format!("onlineExternalParts[{index}].source");
        let fields = left::external_fields(part, &path, problems);
        for value in fields.into_iter().flat_map(|(_, values)| values) {
            if !values.contains(&value.name) {
                values.push(value.name);
            }
        }
    }
    values
}

/// Keys of contextual parts go unless the left has them or a derivation made them.
fn drop_contextual_keys(join: &Join, left: &LeftSide, columns: &mut Vec<(Field, Expr)>) {
    for part in join
        .external_parts()
        .iter()
        .filter(|part| left::is_contextual(part))
    {
        for key in part.source.key_schema.fields().into_iter().flatten() {
            let on_left = left
                .schema
                .fields
                .iter()
                .any(|field| field.name == key.name);
            let derived = join
                .derivations()
                .iter()
                .any(|derived| derived.name == key.name);
            if !on_left && !derived {
                columns.retain(|(field, _)| field.name != key.name);
            }
        }
    }
}
