//! `group-by-backfill`: fills the table of a group-by, day by day as of midnight; an incremental one keeps its daily
//! states beside it.

use unskewed_planner::definition::GroupBy;
use unskewed_planner::lower::{Request, lower};
use unskewed_planner::naming::TableSuffix;
use unskewed_planner::resolve::{BackfillGroup, resolve_group_by};
use unskewed_planner::schema::Schema;
use unskewed_planner::time::{Partition, PartitionRange};

use super::catalog::WarehouseCatalog;
use super::chain;
use super::error::{Error, Result};
use super::step::{self, Filled};
use super::tables::{self, Written};
use super::{Context, Event, Job, Outcome};
use crate::partitions::{Days, Holes, Request as HoleRequest, unfilled};

/// Runs the job.
pub(super) fn run(job: &Job, group_by: &GroupBy, context: &Context<'_>) -> Result<Outcome> {
    let mut catalog = WarehouseCatalog::new(context.warehouse);
    let resolved = catalog.checked(resolve_group_by(group_by, &catalog))?;
    step::warn(&resolved.warnings, context);
    let mut backfill = resolved.value;
    let mut outcome = Outcome::default();
    let incremental = group_by.is_incremental == Some(true);
    let daily = TableSuffix::DailyInc
        .table(&group_by.meta_data)
        .filter(|_| incremental);
    let mut names = vec![backfill.table.clone()];
    names.extend(daily.clone());
    let _locks = tables::lock(context.warehouse, &names)?;
    let table = context.warehouse.table(&backfill.table)?;
    let schema = Schema::new(
        backfill
            .output
            .iter()
            .map(|(field, _)| field.clone())
            .collect(),
    );
    tables::check_columns(&table, &schema, false)?;
    let (options, end) = (&job.options, job.options.end);
    if let Some(done) = chain::fill_parents(group_by, end, (options, context))? {
        outcome.add(done);
        // What parents wrote is there now: the same definition, over the tables as they are.
        catalog = WarehouseCatalog::new(context.warehouse);
        backfill = catalog.checked(resolve_group_by(group_by, &catalog))?.value;
    }
    let inputs = inputs(&backfill, &catalog)?;
    let existing = tables::days(&table)?;
    let holes = missing(job, &backfill, group_by, (&existing, inputs.as_deref()))?;
    let steps = step::announce(&backfill.table, &holes, &job.options, context);
    for range in steps {
        let name = &backfill.table;
        context
            .watcher
            .on(&Event::StepStarted { table: name, range });
        if let Some(daily) = &daily {
            let fill = DailyFill {
                job,
                group_by,
                backfill: &backfill,
                daily,
                inputs: &inputs,
            };
            outcome.add(fill.run(range, context)?);
        }
        let done = fill_step(job, &backfill, range, (&outcome, context))?;
        tables::describe(&table, &schema, &written(group_by, "group_by"))?;
        let rows = done.rows_out;
        outcome.add(done);
        let table = name;
        context.watcher.on(&Event::StepDone { table, range, rows });
    }
    Ok(outcome)
}

/// The days that are to be computed.
fn missing(
    job: &Job,
    backfill: &BackfillGroup,
    group_by: &GroupBy,
    (existing, inputs): (&Days, Option<&[Days]>),
) -> Result<Holes> {
    let historical = group_by.meta_data.historical_backfill != Some(false);
    let start = match historical {
        true => job.options.start_override.unwrap_or(backfill.start),
        false => job.options.end,
    };
    unfilled(&HoleRequest {
        start: Some(start),
        end: job.options.end,
        existing,
        inputs,
        shift_days: 0,
        skip_first_hole: !job.options.run_first_hole,
    })
    .map_err(|source| Error::NoStart {
        table: backfill.table.clone(),
        source,
    })
}

/// Fills the daily states that an incremental group-by's values of these days rest on.
pub(super) fn fill_daily(
    job: &Job,
    group_by: &GroupBy,
    range: PartitionRange,
    context: &Context<'_>,
) -> Result<Outcome> {
    let catalog = WarehouseCatalog::new(context.warehouse);
    let backfill = catalog.checked(resolve_group_by(group_by, &catalog))?.value;
    let daily = TableSuffix::DailyInc.table(&group_by.meta_data);
    let daily = daily.expect("resolution made sure of the namespace");
    let _locks = tables::lock(context.warehouse, std::slice::from_ref(&daily))?;
    let fill = DailyFill {
        job,
        group_by,
        backfill: &backfill,
        daily: &daily,
        inputs: &inputs(&backfill, &catalog)?,
    };
    fill.run(range, context)
}

/// Computes and commits one step.
fn fill_step(
    job: &Job,
    backfill: &BackfillGroup,
    range: PartitionRange,
    (so_far, context): (&Outcome, &Context<'_>),
) -> Result<Outcome> {
    let request = Request::GroupBy {
        group: backfill,
        days: range,
    };
    let plan = lower(&[request]).map_err(Error::Definition)?;
    let executed = step::execute(&plan, None, context)?;
    executed.check_bad_rows(&job.options, so_far)?;
    let mut done = executed.outcome();
    for filled in executed.commit()? {
        done.rows_out += filled.rows;
        done.partitions_written += filled.days.len() as u64;
    }
    Ok(done)
}

fn written<'a>(group_by: &'a GroupBy, kind: &'a str) -> Written<'a> {
    Written {
        kind,
        meta_data: &group_by.meta_data,
        hashes: None,
        more: vec![],
    }
}

/// The days of each source; `None` if a cumulative one stands for every day.
fn inputs(backfill: &BackfillGroup, catalog: &WarehouseCatalog<'_>) -> Result<Option<Vec<Days>>> {
    let sources = &backfill.group.sources;
    let endless = |source: &unskewed_planner::logical::RowSource| {
        source.days == unskewed_planner::logical::DayRule::Cumulative
            || !source.partition.partitioned
    };
    if sources.iter().any(endless) {
        return Ok(None);
    }
    let days = sources
        .iter()
        .map(|source| catalog.days(&source.table, &source.partition.name));
    days.collect::<Result<_>>().map(Some)
}

/// The daily states that a step of an incremental group-by rests on.
struct DailyFill<'a> {
    job: &'a Job,
    group_by: &'a GroupBy,
    backfill: &'a BackfillGroup,
    daily: &'a str,
    inputs: &'a Option<Vec<Days>>,
}

impl DailyFill<'_> {
    /// Fills what is missing from the longest window before the step to its end.
    fn run(&self, range: PartitionRange, context: &Context<'_>) -> Result<Outcome> {
        let table = context.warehouse.table(self.daily)?;
        let reach = self.backfill.group.max_window.millis();
        let start = reach.map(|millis| {
            let first = range.start.start_millis().saturating_sub(millis);
            Partition::of_millis(first)
        });
        let holes = unfilled(&HoleRequest {
            start,
            end: range.end,
            existing: &tables::days(&table)?,
            inputs: self.inputs.as_deref(),
            shift_days: 0,
            skip_first_hole: false,
        })
        .map_err(|source| Error::NoStart {
            table: self.daily.into(),
            source,
        })?;
        let mut outcome = Outcome::default();
        for days in holes.steps(self.job.options.step_days) {
            let request = Request::DailyStates {
                group: self.backfill,
                table: self.daily,
                days,
            };
            let plan = lower(&[request]).map_err(Error::Definition)?;
            let executed = step::execute(&plan, None, context)?;
            executed.check_bad_rows(&self.job.options, &outcome)?;
            let schema = executed.schema_of(self.daily);
            let mut done = executed.outcome();
            let filled: Vec<Filled> = executed.commit()?;
            done.partitions_written = filled.iter().map(|f| f.days.len() as u64).sum();
            if let Some(schema) = schema {
                let written = written(self.group_by, "group_by_incremental");
                tables::describe(&table, &schema, &written)?;
            }
            outcome.add(done);
        }
        Ok(outcome)
    }
}
