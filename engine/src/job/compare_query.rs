//! `compare-join-query`: a join's output held against other rows, as when features move from a query to a join.
//!
//! Promises: never fails over a difference; both tables written are replaced as a whole. The other rows may be any table;
//! of one with days the days compared are read.

use unskewed_connectors::table::Table;
use unskewed_planner::definition::{DataModel, Definition, Join, StagingQuery};
use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::lower::{ComparedTable, ComparisonRun, comparison};
use unskewed_planner::naming::{PARTITION_COLUMN, TIME_COLUMN, clean, clean_name};
use unskewed_planner::schema::Schema;
use unskewed_planner::time::PartitionRange;

use super::compare::{Totals, compared_columns, row_keys};
use super::error::{Error, Result};
#[cfg(feature = "sql")]
use super::staging_query;
use super::{Context, Event, Job, Outcome, inputs, step, tables};

/// What the metrics' rows are called.
const PATH: &str = "undefined";

/// The tables of a run.
struct Tables {
    joined: String,
    rows: String,
    metrics: String,
}

impl Tables {
    /// `other` is what the other side is called.
    fn of(join: &Join, other: &str) -> Result<Self> {
        let joined = tables::output(&join.meta_data)?;
        let namespace = join
            .meta_data
            .output_namespace
            .as_deref()
            .unwrap_or_default();
        let both = format!("{}_{other}", clean_name(&join.meta_data));
        Ok(Self {
            joined,
            rows: format!("{namespace}.compare_join_query_{both}"),
            metrics: format!("{namespace}.compare_stats_join_query_{both}"),
        })
    }
}

/// Runs the job.
pub(super) fn run(job: &Job, join: &Join, context: &Context<'_>) -> Result<Outcome> {
    let measure = &job.options.measure;
    let end = job.options.end;
    let days = PartitionRange {
        start: measure.start.unwrap_or(end).min(end),
        end,
    };
    match (&measure.query_table, &measure.query) {
        (Some(table), _) => {
            let names = Tables::of(join, &clean(table))?;
            let _locks = tables::lock(
                context.warehouse,
                &[names.rows.clone(), names.metrics.clone()],
            )?;
            let found = context.warehouse.table(table)?;
            if !found.exists()? {
                let message = format!("there is no table {table}");
                return Err(Error::Definition(vec![
                    Diagnostic::error("--query-table", message)
                        .hint("check the name, and that the warehouse is the one meant"),
                ]));
            }
            let daily = found
                .partition_columns()?
                .iter()
                .any(|column| column == PARTITION_COLUMN);
            let schema = match daily {
                true => found.schema_of(&inputs::between(PARTITION_COLUMN, days))?,
                false => found.schema()?,
            };
            let right = ComparedTable {
                table,
                schema: &schema,
                days: daily.then_some(days),
            };
            Compared {
                job,
                join,
                names: &names,
                days,
                right,
                other: table,
            }
            .run(context)
        }
        (None, Some(Definition::StagingQuery(query))) => {
            let compared = (job, join, query, days);
            with_answer(compared, context)
        }
        _ => {
            let problem =
                "--query-conf or --query-table is missing: what the join is compared with";
            Err(Error::Definition(vec![Diagnostic::error("", problem)]))
        }
    }
}

/// The answer of the query is computed once, into a table that goes when the comparison is done.
#[cfg(feature = "sql")]
fn with_answer(
    (job, join, query, days): (&Job, &Join, &StagingQuery, PartitionRange),
    context: &Context<'_>,
) -> Result<Outcome> {
    let other = clean_name(&query.meta_data);
    let names = Tables::of(join, &other)?;
    let namespace = join
        .meta_data
        .output_namespace
        .as_deref()
        .unwrap_or_default();
    let answer = format!(
        "{namespace}.compare_answer_{}_{other}",
        clean_name(&join.meta_data)
    );
    let locked = [names.rows.clone(), names.metrics.clone(), answer.clone()];
    let _locks = tables::lock(context.warehouse, &locked)?;
    let (schema, rows_in) = staging_query::answer(query, days, &answer, context)?;
    let right = ComparedTable {
        table: &answer,
        schema: &schema,
        days: None,
    };
    let compared = Compared {
        job,
        join,
        names: &names,
        days,
        right,
        other: query.meta_data.name.as_deref().unwrap_or(&other),
    };
    let outcome = compared.run(context);
    context.warehouse.table(&answer)?.drop_table()?;
    let mut outcome = outcome?;
    outcome.rows_in += rows_in;
    Ok(outcome)
}

/// Without SQL there is no answer to compare with.
#[cfg(not(feature = "sql"))]
fn with_answer(
    _: (&Job, &Join, &StagingQuery, PartitionRange),
    _: &Context<'_>,
) -> Result<Outcome> {
    let what = "comparing with what a staging query gives, in a build without SQL".into();
    Err(Error::NotYet { what })
}

struct Compared<'a> {
    job: &'a Job,
    join: &'a Join,
    names: &'a Tables,
    days: PartitionRange,
    right: ComparedTable<'a>,
    /// What the other side is called to people.
    other: &'a str,
}

impl Compared<'_> {
    fn run(&self, context: &Context<'_>) -> Result<Outcome> {
        let Self {
            join, names, right, ..
        } = self;
        let days = self.days;
        let joined = context.warehouse.table(&names.joined)?;
        if !joined.exists()? {
            let table = names.joined.clone();
            return Err(Error::NotComputed { table, job: "join" });
        }
        let left = joined.schema_of(&inputs::between(PARTITION_COLUMN, days))?;
        let times: &[&str] = match join.left.data_model() {
            DataModel::Events => &[PARTITION_COLUMN, TIME_COLUMN],
            DataModel::Entities => &[PARTITION_COLUMN],
        };
        let keys = row_keys(join, times);
        let values =
            compared_columns(&left, right.schema, &keys, true).map_err(Error::Definition)?;
        self.tell_of_missing(&left, context);
        let plan = comparison(&ComparisonRun {
            left: ComparedTable {
                table: &names.joined,
                schema: &left,
                days: Some(days),
            },
            right: right.clone(),
            keys: &keys,
            values: &values,
            path: PATH,
            rows: Some(&names.rows),
            metrics: &names.metrics,
            daily: false,
        });
        let mut executed = step::execute(&plan, None, context)?;
        executed.check_bad_rows(&self.job.options, &Outcome::default())?;
        let mut totals = Totals::new(("join", "other"));
        if let Some(metrics) = executed.take_collected("metrics") {
            totals.add(&metrics, &values);
        }
        let schemas = [&names.rows, &names.metrics].map(|name| executed.schema_of(name));
        let mut outcome = executed.outcome();
        for filled in executed.commit()? {
            outcome.rows_out += if filled.table == names.rows {
                filled.rows
            } else {
                0
            };
            outcome.partitions_written += 1;
        }
        let kinds = [
            (&names.rows, "comparison"),
            (&names.metrics, "comparison_stats"),
        ];
        for ((name, kind), schema) in kinds.into_iter().zip(schemas) {
            self.describe(&context.warehouse.table(name)?, kind, schema)?;
        }
        self.tell(&totals, context);
        let title = format!("{} and {}", join.name(), self.other);
        outcome.findings = Some(Box::new(totals.findings(title)));
        Ok(outcome)
    }

    fn describe(&self, table: &Table, kind: &str, schema: Option<Schema>) -> Result<()> {
        let Some(schema) = schema else { return Ok(()) };
        let meta_data = &self.join.meta_data;
        let about = tables::Written {
            kind,
            meta_data,
            hashes: None,
            more: vec![],
        };
        tables::describe(table, &schema, &about)
    }

    /// In a migration the other side may lack columns of the join; they are not compared.
    fn tell_of_missing(&self, left: &Schema, context: &Context<'_>) {
        let on_right = |name: &str| {
            self.right
                .schema
                .fields
                .iter()
                .any(|field| field.name == name)
        };
        let missing = left.fields.iter().map(|field| field.name.as_str());
        let missing: Vec<&str> = missing.filter(|name| !on_right(name)).collect();
        if !missing.is_empty() {
            let text = format!(
                "not compared, for the other side has no such column: {}",
                missing.join(", ")
            );
            context.watcher.on(&Event::Note(&text));
        }
    }

    fn tell(&self, totals: &Totals, context: &Context<'_>) {
        let mut any = false;
        for (day, count) in totals.days() {
            any = true;
            let text = format!("{count} discrepancies on {day}");
            context.watcher.on(&Event::Note(&text));
        }
        if !any {
            context.watcher.on(&Event::Note("no discrepancies"));
        }
    }
}
