//! What is checked before a backfill beyond that the definition resolves: whether the tables reach back far enough.
//!
//! Windows that reach before the first partition of their tables give values over less than they say. That is often
//! meant (the table just began), so these are warnings: the job goes on and the user knows. Looks at the names of
//! partitions only.

use crate::definition::DataModel;
use crate::diagnostic::Diagnostic;
use crate::logical::{DayRule, FeatureGroup, FeatureJoin, FeaturePart, PartMethod};
use crate::resolve::BackfillGroup;
use crate::time::{Partition, Window};

/// Parts of a join whose tables begin after the first day that a backfill from this left day needs.
pub fn join_availability(join: &FeatureJoin, first_unfilled: Partition) -> Vec<Diagnostic> {
    let parts = join.parts.iter();
    parts
        .filter_map(|part| part_availability(join, part, first_unfilled))
        .collect()
}

/// The same for a group-by's own backfill from this day.
pub fn group_availability(group: &BackfillGroup, first_unfilled: Partition) -> Option<Diagnostic> {
    let needed = match group.group.model {
        DataModel::Events => first_needed(&group.group, first_unfilled.plus_days(1), true),
        DataModel::Entities => Some(first_unfilled),
    };
    availability(&group.group, &group.group.path, needed?)
}

fn part_availability(
    join: &FeatureJoin,
    part: &FeaturePart,
    first_unfilled: Partition,
) -> Option<Diagnostic> {
    let (group, day) = (&part.group, first_unfilled);
    let events_left = join.left.model == DataModel::Events;
    let needed = match (part.method, events_left) {
        (PartMethod::TemporalEvents, _) => first_needed(group, day, true),
        (PartMethod::SnapshotEvents, true) => first_needed(group, day.plus_days(-1), true),
        (PartMethod::SnapshotEvents, false) => first_needed(group, day.plus_days(1), true),
        (PartMethod::TemporalEntities, _) => first_needed(group, day.plus_days(-1), true),
        (PartMethod::SnapshotEntities, true) => first_needed(group, day.plus_days(-1), false),
        (PartMethod::SnapshotEntities, false) => first_needed(group, day, false),
    };
    availability(group, &part.path, needed?)
}

/// The first day needed; `None` where there is no bound to hold the tables against.
fn first_needed(group: &FeatureGroup, day: Partition, windowed: bool) -> Option<Partition> {
    let cumulative = group
        .sources
        .iter()
        .any(|source| source.days == DayRule::Cumulative);
    match (group.max_window, windowed) {
        _ if cumulative => None,
        (_, false) => Some(day),
        (Window::Unbounded, true) => None,
        (window, true) => {
            let millis = window.millis()?;
            Some(Partition::of_millis(
                day.start_millis().saturating_sub(millis),
            ))
        }
    }
}

fn availability(group: &FeatureGroup, path: &str, needed: Partition) -> Option<Diagnostic> {
    let first = group
        .sources
        .iter()
        .filter_map(|source| source.available)
        .map(|days| days.0)
        .min();
    let tables: Vec<&str> = group
        .sources
        .iter()
        .map(|source| source.table.table.as_str())
        .collect();
    let tables = tables.join(", ");
    let problem = match first {
        None => Diagnostic::warning(path, format!("{tables} has no partition")),
        Some(first) if first > needed => {
            let message = format!("{tables} begins on {first}, but {needed} is needed");
            Diagnostic::warning(path, message)
        }
        Some(_) => return None,
    };
    Some(
        problem
            .detail(format!(
                "windows of {} that reach further see less",
                group.name
            ))
            .hint("load the earlier days, or begin the backfill later"),
    )
}
