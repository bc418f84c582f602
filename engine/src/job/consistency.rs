//! `consistency-metrics-compute`: what was served to logged requests, held against what a backfill says should have been.
//!
//! ```text
//! logged requests ─ their keys and times ─ join ─► _comparison ─┐
//!        └───────────── what was served ────────────────────────┴─ compare ─► _consistency, _consistency_upload
//! ```
//! Promises: the backfill is the join's own, computed by the same job; which requests a share takes depends on their
//! keys and times only. The left side is the backfill, the right side what was served.

use unskewed_planner::definition::{EventSource, Join, OrderedMap, Query, Source};
use unskewed_planner::lower::{ComparedTable, ComparisonRun, SCHEMA_HASH_COLUMN, comparison};
use unskewed_planner::naming::{PARTITION_COLUMN, TIME_COLUMN, TableSuffix};
use unskewed_planner::schema::{Field, Schema};
use unskewed_planner::time::PartitionRange;

use super::compare::{Totals, compared_columns, row_keys};
use super::error::{Error, Result};
use super::stored::{self, Stored};
use super::{Context, Event, Job, Kind, Options, Outcome, inputs, step, tables};
use crate::partitions::{Request as HoleRequest, unfilled};

/// The property of tables that exist for the comparison only.
const COMPARISON_TABLE: &str = "chronon_ooc_table";

/// The tables of a run.
struct Tables {
    logged: String,
    comparison: String,
    metrics: String,
    upload: String,
}

/// Runs the job.
pub(super) fn run(job: &Job, join: &Join, context: &Context<'_>) -> Result<Outcome> {
    let percent = percent(join);
    if percent == 0.0 {
        let text = format!(
            "consistencySamplePercent of {} is 0: nothing is compared",
            join.name()
        );
        context.watcher.on(&Event::Note(&text));
        return Ok(Outcome::default());
    }
    let table = tables::output(&join.meta_data)?;
    let named = |suffix: TableSuffix| format!("{table}{}", suffix.text());
    let tables = Tables {
        logged: named(TableSuffix::Logged),
        comparison: named(TableSuffix::Comparison),
        metrics: named(TableSuffix::Consistency),
        upload: named(TableSuffix::ConsistencyUpload),
    };
    let mut outcome = backfill(job, join, percent, &tables, context)?;
    outcome.rows_out = 0;
    let locked = [tables.metrics.clone(), tables.upload.clone()];
    let _locks = tables::lock(context.warehouse, &locked)?;
    let days = holes(job, &tables.metrics, &tables.comparison, context)?;
    let mut totals = Totals::new(("backfilled", "served"));
    for range in step::announce(&tables.metrics, &days, &job.options, context) {
        let table = tables.metrics.as_str();
        context.watcher.on(&Event::StepStarted { table, range });
        let done = compare(job, join, &tables, range, (&outcome, &mut totals), context)?;
        let rows = done.rows_out;
        outcome.add(done);
        context.watcher.on(&Event::StepDone { table, range, rows });
    }
    for (day, count) in totals.days() {
        let text = format!("{count} discrepancies on {day}");
        context.watcher.on(&Event::Note(&text));
    }
    let findings = totals.findings(format!(
        "consistency of {}: backfilled and served",
        join.name()
    ));
    outcome.findings = (!findings.sections.is_empty()).then(|| Box::new(findings));
    Ok(outcome)
}

/// The share of logged requests that are compared, in percent; all unless the definition says otherwise.
fn percent(join: &Join) -> f64 {
    let written = join.meta_data.consistency_sample_percent.as_ref();
    written.map_or(100.0, |number| number.to_string().parse().unwrap_or(100.0))
}

fn holes(
    job: &Job,
    output: &str,
    input: &str,
    context: &Context<'_>,
) -> Result<crate::partitions::Holes> {
    let days = |name: &str| tables::days(&context.warehouse.table(name)?);
    unfilled(&HoleRequest {
        start: job.options.start_override,
        end: job.options.end,
        existing: &days(output)?,
        inputs: Some(&[days(input)?]),
        shift_days: 0,
        skip_first_hole: !job.options.run_first_hole,
    })
    .map_err(|source| Error::NoStart {
        table: output.into(),
        source,
    })
}

/// Fills the table of what should have been served.
fn backfill(
    job: &Job,
    join: &Join,
    percent: f64,
    tables: &Tables,
    context: &Context<'_>,
) -> Result<Outcome> {
    tables::days_of_job(&context.warehouse.table(&tables.logged)?, "log-flattener")?;
    let missing = holes(job, &tables.comparison, &tables.logged, context)?;
    let Some(last) = missing.hull() else {
        return Ok(Outcome::default());
    };
    let copy = comparison_join(join, percent, &tables.logged);
    let options = Options {
        end: last.end,
        ..job.options.clone()
    };
    let definition = unskewed_planner::definition::Definition::Join(copy.clone());
    let job = Job {
        kind: Kind::Join,
        definition,
        options,
    };
    super::join::run(&job, &copy, context)
}

/// The join with logged requests on its left: their keys, at their times.
fn comparison_join(join: &Join, percent: f64, logged: &str) -> Join {
    let keys = join.left_key_columns();
    let mut copy = join.clone();
    let mut wheres = vec![];
    if percent < 100.0 {
        let columns: Vec<String> = keys
            .iter()
            .map(|key| format!("`{}`", key.replace('`', "``")))
            .collect();
        let bound = (percent.max(0.0) * 10_000.0).round();
        let hashed = columns.iter().map(String::as_str).chain([TIME_COLUMN]);
        let hashed = hashed.collect::<Vec<_>>().join(", ");
        wheres.push(format!("pmod(xxhash64({hashed}), 1000000) < {bound}"));
    }
    let selects = keys.iter().map(|key| {
        let quoted = format!("`{}`", key.replace('`', "``"));
        (key.clone(), quoted)
    });
    let query = Query {
        selects: Some(OrderedMap(selects.collect())),
        wheres: Some(wheres),
        start_partition: join.left.query().start_partition.clone(),
        end_partition: None,
        time_column: Some(TIME_COLUMN.into()),
        setups: None,
        mutation_time_column: None,
        reversal_column: None,
        partition_column: None,
    };
    let table = logged.into();
    copy.left = Source::Events(EventSource {
        table,
        topic: None,
        query,
        is_cumulative: None,
    });
    copy.meta_data.name = Some(format!("{}_comparison", join.name()));
    let own = copy
        .meta_data
        .table_properties
        .iter()
        .flat_map(OrderedMap::iter);
    let mut properties: Vec<(String, String)> = own
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    properties.push((COMPARISON_TABLE.into(), "true".into()));
    copy.meta_data.table_properties = Some(OrderedMap(properties));
    copy
}

/// Holds one step's days of both tables against each other.
fn compare(
    job: &Job,
    join: &Join,
    tables: &Tables,
    days: PartitionRange,
    (so_far, totals): (&Outcome, &mut Totals),
    context: &Context<'_>,
) -> Result<Outcome> {
    let selected = inputs::between(PARTITION_COLUMN, days);
    let schema =
        |name: &str| -> Result<Schema> { Ok(context.warehouse.table(name)?.schema_of(&selected)?) };
    let left = schema(&tables.comparison)?;
    let mut right = schema(&tables.logged)?;
    // What is logged besides (external values, say) cannot be computed and is not compared.
    let in_left = |field: &Field| left.fields.iter().any(|other| other.name == field.name);
    right
        .fields
        .retain(|field| field.name != SCHEMA_HASH_COLUMN && in_left(field));
    let keys = row_keys(join, &[TIME_COLUMN, PARTITION_COLUMN]);
    let values = compared_columns(&left, &right, &keys, false).map_err(Error::Definition)?;
    let path = join.path_name();
    let side = |table, schema| ComparedTable {
        table,
        schema,
        days: Some(days),
    };
    let plan = comparison(&ComparisonRun {
        left: side(&tables.comparison, &left),
        right: side(&tables.logged, &right),
        keys: &keys,
        values: &values,
        path: &path,
        rows: None,
        metrics: &tables.metrics,
        daily: true,
    });
    let mut executed = step::execute(&plan, None, context)?;
    executed.check_bad_rows(&job.options, so_far)?;
    let schema = executed.schema_of(&tables.metrics);
    let metrics = executed.take_collected("metrics");
    let mut done = executed.outcome();
    if let Some(rows) = &metrics {
        totals.add(rows, &values);
        done.partitions_written += stored::write(
            &Stored {
                table: &tables.upload,
                kind: "consistency_upload",
                meta_data: &join.meta_data,
                more: vec![],
                path: &path,
                rows,
                values: stored::value_names(rows),
            },
            context,
        )?;
    }
    for filled in executed.commit()? {
        done.rows_out += filled.rows;
        done.partitions_written += filled.days.len() as u64;
    }
    if let Some(schema) = schema {
        let about = tables::Written {
            kind: "consistency",
            meta_data: &join.meta_data,
            hashes: None,
            more: vec![],
        };
        tables::describe(&context.warehouse.table(&tables.metrics)?, &schema, &about)?;
    }
    Ok(done)
}
