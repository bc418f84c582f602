//! Labels of a join: what is known about left rows some days later, joined to them by their keys alone.
//!
//! Promises: offsets, groups and columns are all checked before any label is computed. A label is as of the end of the
//! label's day, for every left row of the days that the offsets name.

use crate::catalog::Catalog;
use crate::definition::{DataModel, Join, JoinPart, LabelPart, TimeUnit};
use crate::diagnostic::Diagnostic;
use crate::logical::{FeatureLabels, FeaturePart, LabelTables, LeftSide};
use crate::naming::{self, PARTITION_COLUMN, TableSuffix};
use crate::schema::Field;

use super::part::Context;
use super::{Problems, bind, chain, left, part};

/// Resolves the labels of a join.
pub(super) fn resolve(
    join: &Join,
    catalog: &dyn Catalog,
    problems: &mut Problems,
) -> Option<FeatureLabels> {
    let Some(labels) = &join.label_part else {
        problems.report(
            Diagnostic::error("labelPart", "the join has no labels")
                .hint("state label_part, or run the job on a join that has one"),
        );
        return None;
    };
    let offsets = offsets(labels, problems);
    check_left(join, problems);
    for (index, label) in labels.labels.iter().enumerate() {
        check_label(label, labels, &path(index), problems);
    }
    if labels.labels.is_empty() {
        problems.error("labelPart.labels", "there is no label");
    }
    let tables = tables(join, problems);
    let left = left::resolve(join, catalog, problems)?;
    let as_of_a_day = LeftSide {
        model: DataModel::Entities,
        time: None,
        ..left.clone()
    };
    let chained = chain::over(&chain::parents_of_labels(join), &[], catalog, problems);
    let context = Context {
        join,
        left: &as_of_a_day,
        catalog: &chained,
    };
    let parts: Vec<Option<FeaturePart>> = labels
        .labels
        .iter()
        .enumerate()
        .map(|(index, label)| {
            let path = path(index);
            let group_path = format!("{path}.groupBy");
            let prefix = naming::full_prefix(label);
            part::resolve(&context, label, prefix, (path, &group_path), problems)
        })
        .collect();
    chained.forgive(problems);
    let identifier = identifier(join, labels, &left, problems);
    let parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
    check_names(join, &parts, problems);
    Some(FeatureLabels {
        name: join.name().into(),
        tables: tables?,
        left,
        identifier: identifier?,
        parts,
        offsets: offsets?,
    })
}

fn path(index: usize) -> String {
    format!("labelPart.labels[{index}]")
}

fn tables(join: &Join, problems: &mut Problems) -> Option<LabelTables> {
    let output = problems.output_table(&join.meta_data);
    let table = |suffix: TableSuffix| suffix.table(&join.meta_data);
    Some(LabelTables {
        output: output?,
        labels: table(TableSuffix::Labels)?,
        labeled: table(TableSuffix::Labeled)?,
        labeled_latest: table(TableSuffix::LabeledLatest)?,
    })
}

/// Left rows are not sought further back than a century.
const OFFSET_DAYS_MAX: i32 = 36_525;

/// First and last day of left rows, in days before the label's day, that itself counting as the first.
fn offsets(labels: &LabelPart, problems: &mut Problems) -> Option<(i32, i32)> {
    let mut offset = |value: Option<i32>, name: &str, what: &str| {
        let path = format!("labelPart.{name}");
        match value {
            Some(days) if (1..=OFFSET_DAYS_MAX).contains(&days) => Some(days),
            Some(days) if days > OFFSET_DAYS_MAX => {
                let message = format!("an offset of {days} days is longer than a lifetime of data");
                problems.report(Diagnostic::error(path, message).hint(format!(
                    "offsets are days; the greatest is {OFFSET_DAYS_MAX}"
                )));
                None
            }
            Some(days) => {
                let message = format!("an offset of {days} days is after the label's own day");
                problems.report(
                    Diagnostic::error(path, message)
                        .hint("the least offset is 1: left rows of the label's own day"),
                );
                None
            }
            None => {
                let message = format!("nothing says which left rows are the {what} to be labelled");
                problems.report(
                    Diagnostic::error(path, message)
                        .hint("state both offsets, in days before the label's day"),
                );
                None
            }
        }
    };
    let start = offset(labels.left_start_offset, "leftStartOffset", "first");
    let end = offset(labels.left_end_offset, "leftEndOffset", "last");
    let (start, end) = (start?, end?);
    if start < end {
        let message = format!(
            "left rows would begin {start} days and end {end} days before the label: the end comes first"
        );
        problems.report(
            Diagnostic::error("labelPart.leftStartOffset", message)
                .hint("the start offset is the greater one"),
        );
        return None;
    }
    Some((start, end))
}

fn check_left(join: &Join, problems: &mut Problems) {
    if join.left.data_model() != DataModel::Events {
        let path = format!("left.{}", join.left.kind());
        problems.report(
            Diagnostic::error(path, "labels belong to left rows that are events")
                .hint("label the table of entities by a join of its own"),
        );
    }
}

/// Labels are a day's snapshot as it is, or one aggregation of events over one window of whole days.
fn check_label(label: &JoinPart, labels: &LabelPart, path: &str, problems: &mut Problems) {
    let group = &label.group_by;
    let model = group.data_model();
    let Some(aggregations) = group.aggregations() else {
        if model == Some(DataModel::Events) {
            problems.report(
                Diagnostic::error(
                    format!("{path}.groupBy.sources"),
                    "a label without aggregations must be of entities",
                )
                .hint("aggregate the events, or take a table of snapshots"),
            );
        }
        return;
    };
    let at = format!("{path}.groupBy.aggregations");
    if model == Some(DataModel::Entities) {
        problems.error(
            format!("{path}.groupBy.sources"),
            "an aggregated label must be of events",
        );
    }
    if let [_, second, ..] = aggregations {
        let message = format!(
            "a label is one aggregation, but {:?} is a second",
            second.input_column
        );
        problems.report(
            Diagnostic::error(&at, message).hint("make a label of each, without aggregations"),
        );
    }
    for (index, aggregation) in aggregations.iter().enumerate() {
        let at = format!("{at}[{index}].windows");
        match aggregation.windows.as_deref() {
            Some([window]) if window.time_unit == TimeUnit::Days => {
                let days = window.length;
                let fits = |offset: Option<i32>| offset.is_none_or(|offset| offset == days);
                if !fits(labels.left_start_offset) || !fits(labels.left_end_offset) {
                    let message = format!(
                        "the label looks back {days} days, but left rows are not of the day it begins on"
                    );
                    problems.report(
                        Diagnostic::warning(&at, message).hint(format!("make both offsets {days}")),
                    );
                }
            }
            Some([_]) => problems.error(at, "the window of a label must be in days"),
            _ => problems.error(at, "a label needs exactly one window"),
        }
    }
}

/// The columns that tell left rows apart, besides the day: row ids, else the keys of the labels.
fn identifier(
    join: &Join,
    labels: &LabelPart,
    left: &LeftSide,
    problems: &mut Problems,
) -> Option<Vec<usize>> {
    let row_ids = join.row_ids.as_deref().filter(|ids| !ids.is_empty());
    let mut names: Vec<String> = match row_ids {
        Some(ids) => ids.to_vec(),
        None => {
            let keys = labels.labels.iter().flat_map(JoinPart::right_to_left);
            keys.map(|(_, left)| left).collect()
        }
    };
    names.retain(|name| name != PARTITION_COLUMN);
    let mut positions: Vec<usize> = Vec::new();
    for name in names {
        let found = left
            .schema
            .fields
            .iter()
            .position(|field| field.name == name);
        match found {
            Some(index) if positions.contains(&index) => {}
            Some(index) => positions.push(index),
            // Keys that are not there were reported with their label.
            None if row_ids.is_none() => return None,
            None => {
                problems.report(bind::missing_column(&name, &left.schema, "rowIds"));
                return None;
            }
        }
    }
    Some(positions)
}

/// Two labels cannot have one column, and a label no table that a part of the join has.
fn check_names(join: &Join, parts: &[FeaturePart], problems: &mut Problems) {
    let others: Vec<Option<String>> = join
        .parts()
        .iter()
        .map(|p| naming::part_table(join, p))
        .collect();
    let mut seen: Vec<&Field> = Vec::new();
    for part in parts {
        if !part.group.passes_through() && others.contains(&Some(part.table.clone())) {
            let message = format!(
                "its table {} is also that of a part of the join",
                part.table
            );
            problems.report(Diagnostic::error(&part.path, message).hint("give the label a prefix"));
        }
        for (_, field) in &part.features {
            if seen.iter().any(|other| other.name == field.name) {
                let message = format!("column {:?} is also that of another label", field.name);
                problems.report(
                    Diagnostic::error(&part.path, message).hint("give one of them a prefix"),
                );
            }
            seen.push(field);
        }
    }
}
