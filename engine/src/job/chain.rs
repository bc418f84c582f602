//! Chained sources: parents first, then the child that reads what they wrote.
//!
//! Promises: a parent is an ordinary run of its join over its own missing days, so it is computed once however many
//! children read it, and is itself preceded by its own parents. After it the parent's table exists, if only without
//! rows.
//!
//! A child holds the locks of its tables while its parents take theirs. Chains have no cycles, so nobody waits in one.

use unskewed_planner::definition::{Definition, GroupBy, Join};
use unskewed_planner::naming::{self, PARTITION_COLUMN};
use unskewed_planner::resolve::{Parent, parents_of_group_by, resolve_join};
use unskewed_planner::time::Partition;

use super::catalog::WarehouseCatalog;
use super::error::Result;
use super::{Context, Event, Job, Kind, Options, Outcome, join};

/// A parent and the last day asked of it.
pub(super) struct Wanted<'a> {
    pub(super) parent: Parent<'a>,
    pub(super) end: Partition,
}

/// Computes what a group-by's parents lack until this day; whether it has parents, and what was done.
pub(super) fn fill_parents(
    group_by: &GroupBy,
    end: Partition,
    (options, context): (&Options, &Context<'_>),
) -> Result<Option<Outcome>> {
    let parents = parents_of_group_by(group_by, "");
    if parents.is_empty() {
        return Ok(None);
    }
    let wanted = parents.into_iter().map(|parent| Wanted { parent, end });
    fill(wanted.collect(), options, context).map(Some)
}

/// Computes what is missing of parents. Rows they write count as those of intermediate tables.
pub(super) fn fill(
    wanted: Vec<Wanted<'_>>,
    options: &Options,
    context: &Context<'_>,
) -> Result<Outcome> {
    let mut joins: Vec<(&Join, Partition)> = Vec::new();
    for Wanted { parent, end } in wanted {
        if parent.join.has_models() {
            let name = parent.join.name();
            let text =
                format!("join {name} is read as its models left it; it is not computed here");
            context.watcher.on(&Event::Note(&text));
            continue;
        }
        match joins.iter_mut().find(|(join, _)| *join == parent.join) {
            Some((_, last)) => *last = end.max(*last),
            None => joins.push((parent.join, end)),
        }
    }
    let mut outcome = Outcome::default();
    for (parent, end) in joins {
        let text = format!("join {} comes first, until {end}", parent.name());
        context.watcher.on(&Event::Note(&text));
        let job = Job {
            kind: Kind::Join,
            definition: Definition::Join(parent.clone()),
            options: of_parent(options, end),
        };
        let mut done = join::run(&job, parent, context)?;
        done.rows_out = 0;
        outcome.add(done);
        ensure_table(parent, context)?;
    }
    Ok(outcome)
}

/// How a parent runs: to its own day, from its own start, with all its parts.
fn of_parent(child: &Options, end: Partition) -> Options {
    Options {
        end,
        step_days: child.step_days,
        unset_semantic_hash: child.unset_semantic_hash,
        unique_parts: child.unique_parts,
        intermediate_tables: child.intermediate_tables,
        max_bad_rows: child.max_bad_rows,
        ..Options::until(end)
    }
}

/// A parent without any rows leaves no table; its child still reads its columns.
fn ensure_table(parent: &Join, context: &Context<'_>) -> Result<()> {
    let name = naming::output_table(&parent.meta_data).expect("the parent was resolved");
    let table = context.warehouse.table(&name)?;
    if table.exists()? {
        return Ok(());
    }
    let catalog = WarehouseCatalog::new(context.warehouse);
    let resolved = catalog.checked(resolve_join(parent, &catalog))?;
    Ok(table.create(&resolved.value.output_schema(), &[PARTITION_COLUMN])?)
}
