//! `staging-query-backfill`: a statement of Spark SQL fills a table, day by day; a view becomes a table.
//!
//! Promises: a query that cannot be planned stops the job before anything is written; a range of days that fails is
//! told, and the ranges after it still run; a partition is replaced at once; nothing is written where a step gives no
//! rows. On plain folders there are no views: `createView` writes its rows as one unpartitioned table, replaced as a
//! whole by each run, and a row of `{namespace}.chronon_signal_partitions` says that the day is there.

mod write;

use unskewed_planner::definition::{StagingQuery, custom_json};
use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::expr::ExprError;
use unskewed_planner::naming::{PARTITION_COLUMN, checked_output_table};
use unskewed_planner::query::macros::{Macros, expand};
use unskewed_planner::query::setup::{Setup, setup};
use unskewed_planner::query::tree::Relation;
use unskewed_planner::query::{plan_with, text as tree_text};
use unskewed_planner::schema::{Field, Schema};
use unskewed_planner::time::{Partition, PartitionRange};

use super::catalog::WarehouseCatalog;
use super::error::{Error, Result};
use super::step;
use super::tables::{self, Written};
use super::{Context, Event, Job, Options, Outcome};
use crate::partitions::{Holes, Request as HoleRequest, unfilled};
use write::Target;

/// A definition, checked.
struct Query<'a> {
    definition: &'a StagingQuery,
    table: String,
    /// `ds`, then what `additional_partition_cols` adds.
    partition_columns: Vec<String>,
    views: Vec<(String, String)>,
    start: Option<Partition>,
    latest: String,
}

/// Runs the job.
pub(super) fn run(job: &Job, definition: &StagingQuery, context: &Context<'_>) -> Result<Outcome> {
    let mut notes = Vec::new();
    let query = Query::new(definition, job.options.end, &mut notes)?;
    for note in &notes {
        context.watcher.on(&Event::Warning(note));
    }
    let first = query.first_day(&job.options);
    query.check(first, &job.options, context)?;
    let _locks = tables::lock(context.warehouse, std::slice::from_ref(&query.table))?;
    match first {
        _ if query.is_view() => query.make_view(job, context),
        Some(first) => query.fill_holes(first, &job.options, context),
        None => query.fill(None, context),
    }
}

/// The rows that a query gives on these days, as a table of their own that is replaced as a whole: its columns, and how
/// many rows were read. The caller holds the table's lock.
pub(super) fn answer(
    definition: &StagingQuery,
    days: PartitionRange,
    table: &str,
    context: &Context<'_>,
) -> Result<(Schema, u64)> {
    let query = Query::new(definition, days.end, &mut Vec::new())?;
    let relation = query.plan(Some(days), &WarehouseCatalog::new(context.warehouse))?;
    let target = Target::new(table, &[], relation)?;
    let done = target.write(context)?;
    Ok((target.relation.schema.clone(), done.rows_in))
}

/// The columns that a query gives; macros stand for two days long past.
pub(super) fn columns(definition: &StagingQuery, context: &Context<'_>) -> Result<Vec<Field>> {
    let start = Partition::of_millis(946_684_800_000);
    let days = PartitionRange {
        start,
        end: start.plus_days(1),
    };
    let query = Query::new(definition, days.end, &mut Vec::new())?;
    let relation = query.plan(Some(days), &WarehouseCatalog::new(context.warehouse))?;
    Ok(relation.schema.fields)
}

/// The tree of a definition's query, as its first step would run it.
pub fn explain(
    definition: &StagingQuery,
    start: Option<Partition>,
    end: Partition,
    context_warehouse: &unskewed_connectors::table::Warehouse,
) -> Result<String> {
    let query = Query::new(definition, end, &mut Vec::new())?;
    let view = definition.create_view == Some(true);
    let days = start
        .or(query.start)
        .filter(|_| !view)
        .map(|start| PartitionRange {
            start: start.min(end),
            end,
        });
    let catalog = WarehouseCatalog::new(context_warehouse);
    Ok(tree_text(&query.plan(days, &catalog)?))
}

impl<'a> Query<'a> {
    /// Checks what can be checked without a table; all problems at once.
    fn new(definition: &'a StagingQuery, end: Partition, notes: &mut Vec<String>) -> Result<Self> {
        let mut problems = Vec::new();
        let table = checked_output_table(&definition.meta_data);
        let table = table.map_err(|wrong| problems.extend(wrong)).ok();
        let start = match definition.start_partition.as_deref() {
            None => None,
            Some(text) => match text.parse() {
                Ok(day) => Some(day),
                Err(_) => {
                    let message = format!("{text:?} is no day: expected yyyy-MM-dd");
                    problems.push(Diagnostic::error("startPartition", message));
                    None
                }
            },
        };
        let mut views = Vec::new();
        for (index, text) in definition.setups.iter().flatten().enumerate() {
            match setup(text) {
                Setup::View { name, query } => views.push((name, query)),
                Setup::Ignored(why) => notes.push(format!("setups[{index}]: {why}")),
                Setup::Refused(why) => {
                    problems.push(Diagnostic::error(format!("setups[{index}]"), why));
                }
            }
        }
        let partition_columns = match partition_columns(definition) {
            Ok(columns) => columns,
            Err(problem) => {
                problems.push(problem);
                Vec::new()
            }
        };
        match (table, problems.is_empty()) {
            (Some(table), true) => Ok(Self {
                definition,
                table,
                partition_columns,
                views,
                start,
                latest: end.to_string(),
            }),
            _ => Err(Error::Definition(problems)),
        }
    }

    /// The tree of the query over these days.
    fn plan(
        &self,
        days: Option<PartitionRange>,
        catalog: &WarehouseCatalog<'_>,
    ) -> Result<Relation> {
        let texts = days.map(|days| (days.start.to_string(), days.end.to_string()));
        let greatest = |table: &str| {
            let spec = unskewed_planner::naming::TableSpec::parse(table).ok()?;
            unskewed_planner::catalog::partition_values(
                catalog,
                &spec.table,
                PARTITION_COLUMN,
                &spec.sub_partitions,
            )
            .pop()
        };
        let macros = Macros {
            days: texts.as_ref().map(|(s, e)| (s.as_str(), e.as_str())),
            latest: &self.latest,
            max_date: &greatest,
        };
        let text = expand(&self.definition.query, &macros).map_err(|problems| {
            problems
                .into_iter()
                .map(|problem| Diagnostic::error("query", problem))
                .collect()
        });
        let text = catalog.checked(text)?;
        let planned = plan_with(&text, &self.views, catalog);
        catalog.checked(planned.map_err(|error| diagnostics(&error)))
    }

    /// Plans the query as its runs will, so that one that cannot be planned leaves nothing behind, not even a lock.
    fn check(
        &self,
        first: Option<Partition>,
        options: &Options,
        context: &Context<'_>,
    ) -> Result<()> {
        let end = options.end;
        let days = PartitionRange { start: end, end };
        let (days, partition) = match first {
            _ if self.is_view() => (None, &[][..]),
            Some(first) if self.holes(first, options, context)?.is_empty() => return Ok(()),
            first => (first.map(|_| days), &self.partition_columns[..]),
        };
        let relation = self.plan(days, &WarehouseCatalog::new(context.warehouse))?;
        Target::new(&self.table, partition, relation).map(drop)
    }

    fn is_view(&self) -> bool {
        self.definition.create_view == Some(true)
    }

    /// The first day that the table should have; none where one run makes whatever days its rows name.
    fn first_day(&self, options: &Options) -> Option<Partition> {
        let first = options.start_override.or(self.start)?;
        match self.definition.meta_data.historical_backfill {
            Some(false) => Some(options.end),
            _ => Some(first),
        }
    }

    /// The missing days.
    fn holes(&self, first: Partition, options: &Options, context: &Context<'_>) -> Result<Holes> {
        let table = context.warehouse.table(&self.table)?;
        unfilled(&HoleRequest {
            start: Some(first),
            end: options.end,
            existing: &tables::days(&table)?,
            inputs: None,
            shift_days: 0,
            skip_first_hole: !options.run_first_hole,
        })
        .map_err(|source| Error::NoStart {
            table: self.table.clone(),
            source,
        })
    }

    /// Fills the missing days, each run of them for itself.
    fn fill_holes(
        &self,
        start: Partition,
        options: &Options,
        context: &Context<'_>,
    ) -> Result<Outcome> {
        let holes = self.holes(start, options, context)?;
        let steps = step::announce(&self.table, &holes, options, context);
        let mut outcome = Outcome::default();
        let mut failures = Vec::new();
        for hole in &holes.ranges {
            for days in steps.iter().filter(|days| hole.contains(days.start)) {
                let table = self.table.as_str();
                let range = *days;
                context.watcher.on(&Event::StepStarted { table, range });
                match self.fill(Some(range), context) {
                    Ok(done) => {
                        let rows = done.rows_out;
                        outcome.add(done);
                        context.watcher.on(&Event::StepDone { table, range, rows });
                    }
                    // A wrong query is wrong in every range.
                    Err(error @ Error::Definition(_)) => return Err(error),
                    Err(error) => {
                        let text = format!("{range}: {}", full_text(&error));
                        context.watcher.on(&Event::Warning(&text));
                        failures.push(text);
                        break;
                    }
                }
            }
        }
        match failures.is_empty() {
            true => Ok(outcome),
            false => Err(Error::Ranges {
                table: self.table.clone(),
                failures,
            }),
        }
    }

    /// Runs the query and puts its partitions in place.
    fn fill(&self, days: Option<PartitionRange>, context: &Context<'_>) -> Result<Outcome> {
        let catalog = WarehouseCatalog::new(context.warehouse);
        let relation = self.plan(days, &catalog)?;
        let target = Target::new(&self.table, &self.partition_columns, relation)?;
        self.write(&target, context)
    }

    fn write(&self, target: &Target, context: &Context<'_>) -> Result<Outcome> {
        let table = context.warehouse.table(&self.table)?;
        tables::check_columns(&table, &target.relation.schema, true)?;
        let outcome = target.write(context)?;
        let written = Written {
            kind: "staging_query",
            meta_data: &self.definition.meta_data,
            hashes: None,
            more: vec![],
        };
        tables::describe(&table, &target.relation.schema, &written)?;
        Ok(outcome)
    }

    /// A view's rows as one table, and the sign that they are there.
    fn make_view(&self, job: &Job, context: &Context<'_>) -> Result<Outcome> {
        let catalog = WarehouseCatalog::new(context.warehouse);
        let relation = self.plan(None, &catalog)?;
        let target = Target::new(&self.table, &[], relation)?;
        let outcome = self.write(&target, context)?;
        let namespace = self.definition.meta_data.output_namespace.as_deref();
        let namespace = namespace.unwrap_or_default();
        write::signal(namespace, &self.table, job.options.end, context)?;
        Ok(outcome)
    }
}

/// `ds`, then the columns of `additional_partition_cols` in `customJson`.
fn partition_columns(definition: &StagingQuery) -> std::result::Result<Vec<String>, Diagnostic> {
    let custom = custom_json(&definition.meta_data)?;
    let mut columns = vec![PARTITION_COLUMN.to_owned()];
    let Some(more) = custom.get("additional_partition_cols") else {
        return Ok(columns);
    };
    let more = more.as_array().map(|names| {
        let names = names.iter().map(|name| name.as_str().map(str::to_owned));
        names.collect::<Option<Vec<String>>>()
    });
    match more {
        Some(Some(names)) => {
            columns.extend(names.into_iter().filter(|name| name != PARTITION_COLUMN));
            Ok(columns)
        }
        _ => Err(Diagnostic::error(
            "metaData.customJson",
            "additional_partition_cols is not a list of names",
        )),
    }
}

/// Every problem of a statement, with its place.
fn diagnostics(error: &ExprError) -> Vec<Diagnostic> {
    let one = |problem: &unskewed_planner::expr::Problem| {
        let single = ExprError {
            text: error.text.clone(),
            problems: vec![problem.clone()],
        };
        Diagnostic::error("query", single.to_string())
    };
    error.problems.iter().map(one).collect()
}

/// An error with its causes.
fn full_text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let line = inner.to_string();
        if !text.ends_with(&line) {
            text = format!("{text}: {line}");
        }
        cause = inner.source();
    }
    text
}
