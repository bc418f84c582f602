//! `stats-summary`, `log-summary` and `drift`: how the columns of a join's output, or of its logged requests, are
//! spread, hour by hour, and how far two ranges of days have moved apart.
//!
//! Promises: only missing days are measured; a changed definition measures all anew. Hours are kept unfinished, so any
//! range is their sum. Which rows a share takes depends on their keys and times only.

mod drift;
mod summary;

use unskewed_connectors::table::Table;
use unskewed_planner::definition::Join;
use unskewed_planner::lower::{StatisticsRun, statistics};
use unskewed_planner::naming::{PARTITION_COLUMN, TableSuffix, output_table};
use unskewed_planner::schema::Schema;
use unskewed_planner::semantic_hash::{HASH_PROPERTY, SemanticHashes};
use unskewed_planner::time::PartitionRange;

use super::error::{Error, Result};
use super::stored::{self, Stored};
use super::{Context, Event, Job, Kind, Outcome, step, tables};
use crate::findings::Findings;
use crate::partitions::{Request as HoleRequest, unfilled};

pub(super) use drift::run as drift;

/// The tables of a run.
struct Tables {
    /// What is measured.
    input: String,
    /// The statistics.
    output: String,
    /// The statistics as a key-value store takes them.
    upload: String,
}

impl Tables {
    fn of(join: &Join, logged: bool) -> Result<Self> {
        let meta_data = &join.meta_data;
        let suffixes = match logged {
            true => (
                TableSuffix::LoggedDailyStats,
                TableSuffix::LoggedDailyStatsUpload,
            ),
            false => (TableSuffix::DailyStats, TableSuffix::DailyStatsUpload),
        };
        let table = tables::output(meta_data)?;
        Ok(Self {
            output: format!("{table}{}", suffixes.0.text()),
            upload: format!("{table}{}", suffixes.1.text()),
            input: match logged {
                true => table + TableSuffix::Logged.text(),
                false => table,
            },
        })
    }
}

/// Measures the missing days, and sums up the days asked for.
pub(super) fn run(job: &Job, join: &Join, context: &Context<'_>) -> Result<Outcome> {
    let tables = Tables::of(join, job.kind == Kind::LogSummary)?;
    let locked = [tables.output.clone(), tables.upload.clone()];
    let _locks = tables::lock(context.warehouse, &locked)?;
    let input = context.warehouse.table(&tables.input)?;
    let output = context.warehouse.table(&tables.output)?;
    let writer = match job.kind {
        Kind::LogSummary => "log-flattener",
        _ => "join",
    };
    let measured = tables::days_of_job(&input, writer)?;
    forget_if_changed(job, join, &tables, context)?;
    let holes = unfilled(&HoleRequest {
        start: job.options.start_override,
        end: job.options.end,
        existing: &tables::days(&output)?,
        inputs: Some(&[measured]),
        shift_days: 0,
        skip_first_hole: !job.options.run_first_hole,
    })
    .map_err(|source| Error::NoStart {
        table: tables.output.clone(),
        source,
    })?;
    let mut outcome = Outcome::default();
    for range in step::announce(&tables.output, &holes, &job.options, context) {
        let table = tables.output.as_str();
        context.watcher.on(&Event::StepStarted { table, range });
        let done = measure(
            job,
            join,
            (&tables, &input, &output),
            range,
            &outcome,
            context,
        )?;
        let rows = done.rows_out;
        outcome.add(done);
        context.watcher.on(&Event::StepDone { table, range, rows });
    }
    let findings = findings(job, join, (&tables, &output), context)?;
    outcome.findings = findings.map(Box::new);
    Ok(outcome)
}

/// Drops statistics that were measured of another definition's output.
fn forget_if_changed(job: &Job, join: &Join, tables: &Tables, context: &Context<'_>) -> Result<()> {
    let output = context.warehouse.table(&tables.output)?;
    if !output.exists()? {
        return Ok(());
    }
    let hashes = SemanticHashes::of(join).expect("its output table was named");
    let stored = output.properties()?.properties;
    let old = stored
        .get(HASH_PROPERTY)
        .and_then(|text| SemanticHashes::from_text(text));
    let bootstrap = TableSuffix::Bootstrap
        .table(&join.meta_data)
        .unwrap_or_default();
    let whole = output_table(&join.meta_data).unwrap_or_default();
    let changed = old.is_some_and(|old| {
        !hashes
            .invalidated(&old, &whole, &bootstrap)
            .reasons
            .is_empty()
    });
    if !changed && !job.options.measure.force {
        return Ok(());
    }
    for name in [&tables.output, &tables.upload] {
        context.warehouse.table(name)?.drop_table()?;
    }
    let why = if changed {
        "the definition changed"
    } else {
        "all is asked for"
    };
    let text = format!("{} is measured anew: {why}", tables.output);
    context.watcher.on(&Event::Note(&text));
    Ok(())
}

fn measure(
    job: &Job,
    join: &Join,
    (tables, input, output): (&Tables, &Table, &Table),
    days: PartitionRange,
    so_far: &Outcome,
    context: &Context<'_>,
) -> Result<Outcome> {
    let selected = super::inputs::between(PARTITION_COLUMN, days);
    let schema = input.schema_of(&selected)?;
    let path = join.path_name();
    let plan = statistics(&StatisticsRun {
        table: &tables.input,
        schema: &schema,
        days,
        keys: &join.left_key_columns(),
        sample: job.options.measure.sample,
        path: &path,
        output: &tables.output,
    });
    let mut executed = step::execute(&plan, None, context)?;
    executed.check_bad_rows(&job.options, so_far)?;
    let schema = executed.schema_of(&tables.output);
    let mut done = executed.outcome();
    // The stored form comes first: a day that has statistics has both.
    if let Some(rows) = executed.take_collected("statistics") {
        let stored = Stored {
            table: &tables.upload,
            kind: "daily_stats_upload",
            meta_data: &join.meta_data,
            more: properties(join, context)?,
            path: &path,
            rows: &rows,
            values: stored::value_names(&rows),
        };
        done.partitions_written += stored::write(&stored, context)?;
    }
    for filled in executed.commit()? {
        done.rows_out += filled.rows;
        done.partitions_written += filled.days.len() as u64;
    }
    describe(join, output, schema.as_ref(), "daily_stats", context)?;
    Ok(done)
}

/// Statistics say of themselves what the join's output says, and their own kind.
fn describe(
    join: &Join,
    table: &Table,
    schema: Option<&Schema>,
    kind: &str,
    context: &Context<'_>,
) -> Result<()> {
    let Some(schema) = schema else {
        return Ok(());
    };
    let more = properties(join, context)?;
    let more = more
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()));
    let more = more.collect();
    let about = tables::Written {
        kind,
        meta_data: &join.meta_data,
        hashes: None,
        more,
    };
    tables::describe(table, schema, &about)
}

/// What the join's output says of itself, its kind left out.
fn properties(join: &Join, context: &Context<'_>) -> Result<Vec<(String, String)>> {
    let name = tables::output(&join.meta_data)?;
    let measured = context.warehouse.table(&name)?;
    if !measured.exists()? {
        return Ok(vec![]);
    }
    let own = measured.properties()?.properties.into_iter();
    let private = [super::inputs::PROPERTY, "chronon_table_type"];
    Ok(own
        .filter(|(name, _)| !private.contains(&name.as_str()))
        .collect())
}

/// What the statistics of the days asked for say.
fn findings(
    job: &Job,
    join: &Join,
    (tables, output): (&Tables, &Table),
    context: &Context<'_>,
) -> Result<Option<Findings>> {
    let days = tables::days(output)?;
    let end = job.options.end;
    let Some(first) = days.range(..=end).next().copied() else {
        return Ok(None);
    };
    let start = job
        .options
        .measure
        .start
        .unwrap_or(first.max(end.plus_days(-29)));
    let range = PartitionRange {
        start: start.min(end),
        end,
    };
    let summary = summary::Summary::read(&tables.output, range, context)?;
    let title = format!("statistics of {} ({})", join.name(), tables.input);
    Ok(Some(summary.findings(title, range)))
}
