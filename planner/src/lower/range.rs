//! Which days are read and computed. These rules are meaning: they are the specification's §3.6 and §3.7.

use crate::definition::DataModel;
use crate::logical::{DayRule, FeaturePart, LeftSide, PartMethod, RowSource};
use crate::physical::DayFilter;
use crate::time::{Partition, PartitionRange, Window};

use super::LeftFacts;

/// The days that a part's values are asked for: query days of temporal values, days whose end values are as of
/// otherwise. `None` when no left row asks.
pub fn part_query_days(
    left: &LeftSide,
    part: &FeaturePart,
    facts: &LeftFacts,
) -> Option<PartitionRange> {
    if left.model == DataModel::Entities {
        let (first, last) = facts.days?;
        return PartitionRange::new(first, last);
    }
    let (first, last) = facts.times_millis?;
    let shift = if part.method.is_temporal() { 0 } else { -1 };
    PartitionRange::new(
        Partition::of_millis(first).plus_days(shift),
        Partition::of_millis(last).plus_days(shift),
    )
}

/// The days of a source that are read for queries on these days; `None` for a table without days: everything.
pub fn scan_days(
    source: &RowSource,
    queries: PartitionRange,
    max_window: Window,
) -> Option<DayFilter> {
    if !source.partition.partitioned {
        return None;
    }
    let (allowed_start, allowed_end) = source.allowed;
    let end = allowed_end.map_or(queries.end, |allowed| allowed.min(queries.end));
    let range = match source.days {
        DayRule::Exact => {
            let start = allowed_start.map_or(queries.start, |day| day.max(queries.start));
            PartitionRange::new(start, end)
        }
        DayRule::Cumulative => {
            let last = allowed_end.or(source.available.map(|(_, last)| last));
            last.and_then(|last| PartitionRange::new(last, last))
        }
        DayRule::Windowed => {
            let before = queries.start.plus_days(-1);
            let reach = max_window
                .millis()
                .map(|millis| Partition::of_millis(before.start_millis().saturating_sub(millis)));
            let first = allowed_start.or(source.available.map(|(first, _)| first));
            // Without a bound on either side there is nothing to read: the table has no partition yet.
            let start = match (reach, first) {
                (Some(reach), Some(first)) => Some(reach.max(first)),
                (reach, first) => reach.or(first),
            };
            start.and_then(|start| PartitionRange::new(start, end))
        }
    };
    Some(DayFilter {
        column: source.partition.name.clone(),
        range,
    })
}

/// The snapshot days that mutated values start from: the day before each query day.
pub(super) fn snapshot_days(method: PartMethod, queries: PartitionRange) -> PartitionRange {
    if method == PartMethod::TemporalEntities {
        PartitionRange {
            start: queries.start.plus_days(-1),
            end: queries.end.plus_days(-1),
        }
    } else {
        queries
    }
}
