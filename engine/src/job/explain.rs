//! The plan of definitions over a range of days, as a job would run it, without reading a row.

use unskewed_connectors::table::Warehouse;
use unskewed_planner::definition::{DataModel, Definition};
use unskewed_planner::logical::FeatureJoin;
use unskewed_planner::lower::{JoinRun, LeftFacts, LeftOrigin, PartMode, Request, lower};
use unskewed_planner::physical::DataflowPlan;
use unskewed_planner::resolve::{BackfillGroup, resolve_group_by, resolve_join};
use unskewed_planner::time::{Partition, PartitionRange};

use super::catalog::WarehouseCatalog;
use super::error::{Error, Result};

/// A definition, resolved.
#[allow(clippy::large_enum_variant, reason = "a handful exist")]
enum Resolved {
    GroupBy(BackfillGroup),
    Join(FeatureJoin),
}

/// The plan of all definitions together, for days up to `end`; what they share is planned once. A left is taken to be
/// large and its times to lie in its days.
pub fn plan(
    definitions: &[Definition],
    start: Option<Partition>,
    end: Partition,
    intermediate_tables: bool,
    warehouse: &Warehouse,
) -> Result<DataflowPlan> {
    let catalog = WarehouseCatalog::new(warehouse);
    let mut resolved = vec![];
    for definition in definitions {
        resolved.push(match definition {
            Definition::GroupBy(group_by) => {
                let backfill = catalog.checked(resolve_group_by(group_by, &catalog))?;
                Resolved::GroupBy(backfill.value)
            }
            Definition::Join(join) => {
                Resolved::Join(catalog.checked(resolve_join(join, &catalog))?.value)
            }
            Definition::StagingQuery(_) => {
                let what = "a staging query beside other definitions in one plan".into();
                return Err(Error::NotYet { what });
            }
        });
    }
    let requests = resolved.iter().map(|definition| match definition {
        Resolved::GroupBy(group) => Request::GroupBy {
            group,
            days: days(start.unwrap_or(group.start), end),
        },
        Resolved::Join(join) => {
            let rows = &join.left.rows;
            let first = start
                .or(rows.allowed.0)
                .or(rows.available.map(|days| days.0));
            let last = rows.allowed.1.map_or(end, |allowed| allowed.min(end));
            let days = days(first.unwrap_or(last), last);
            Request::Join(JoinRun {
                join,
                days,
                left: LeftOrigin::Source,
                facts: vec![facts(join, days); join.askers().len()],
                write_left: intermediate_tables,
                parts: vec![
                    PartMode::Computed {
                        write: intermediate_tables
                    };
                    join.parts.len()
                ],
                write_output: true,
                unique_parts: false,
            })
        }
    });
    lower(&requests.collect::<Vec<_>>()).map_err(Error::Definition)
}

fn days(start: Partition, end: Partition) -> PartitionRange {
    PartitionRange {
        start: start.min(end),
        end,
    }
}

fn facts(join: &FeatureJoin, days: PartitionRange) -> LeftFacts {
    let times = (days.start.start_millis(), days.end.end_millis() - 1);
    LeftFacts {
        rows: u64::MAX,
        times_millis: (join.left.model == DataModel::Events).then_some(times),
        days: Some((days.start, days.end)),
    }
}
