//! The left rows of a join, from its source or from its table.

use crate::diagnostic::Diagnostic;
use crate::expr::Expr;
use crate::logical::{FeatureJoin, RowSource};
use crate::naming::{MATCHED_HASHES_COLUMN, PARTITION_COLUMN};
use crate::physical::{
    DataflowPlan, DayFilter, Facts, NodeId, Operator, OutputTable, Project, Requirement, Sink,
};
use crate::resolve;
use crate::schema::Schema;
use crate::time::{PartitionRange, Window};

use super::right::scan;
use super::{LeftOrigin, SMALL_ROWS_MAX, bootstrap, range};

/// The left rows of a run, before emission.
pub(super) struct PreparedLeft {
    /// The source, bound to the run's day where it names it.
    rows: RowSource,
    days: Option<DayFilter>,
    bootstraps: Vec<(RowSource, Option<DayFilter>)>,
}

/// Left rows in a plan.
#[derive(Clone, Copy)]
pub(super) struct LeftRows {
    pub(super) node: NodeId,
    /// Whether they have the columns of the left table; else those of the left.
    pub(super) is_table: bool,
}

/// Settles what the left scans.
pub(super) fn prepare(
    join: &FeatureJoin,
    days: PartitionRange,
) -> Result<PreparedLeft, Vec<Diagnostic>> {
    let rows = &join.left.rows;
    // The left is read for exactly the days of the run: its own start and end bound the run, not the scan.
    let filter = rows.partition.partitioned.then(|| DayFilter {
        column: rows.partition.name.clone(),
        range: Some(days),
    });
    let rows = on_day(rows, filter.as_ref())?;
    let bootstraps = join.bootstrap_sources.iter();
    let bootstraps = bootstraps.map(|source| source_days(&source.rows, days, Window::Unbounded));
    Ok(PreparedLeft {
        rows,
        days: filter,
        bootstraps: bootstraps.collect::<Result<_, _>>()?,
    })
}

/// The source bound to the one day scanned, if it names the day.
pub(super) fn on_day(
    source: &RowSource,
    days: Option<&DayFilter>,
) -> Result<RowSource, Vec<Diagnostic>> {
    if !source.names_run_day {
        return Ok(source.clone());
    }
    match days.and_then(|days| days.range) {
        Some(range) if range.days() == 1 => resolve::for_run_day(source, range.start),
        scanned => {
            let scanned = scanned.map_or_else(|| "no day".into(), |range| range.to_string());
            Err(vec![
                Diagnostic::error(
                    &source.path,
                    "the day scanned is named, but it is not one day",
                )
                .detail(format!("scanned are {scanned}"))
                .hint("run day by day (--step-days 1), with windows that need no other day"),
            ])
        }
    }
}

/// The left rows, with bootstrapped values where there are any.
pub(super) fn emit(
    join: &FeatureJoin,
    origin: LeftOrigin,
    prepared: &PreparedLeft,
    days: PartitionRange,
    plan: &mut DataflowPlan,
) -> LeftRows {
    let node = emit_plain(join, origin, prepared, days, plan);
    let is_table = origin == LeftOrigin::Cached;
    if is_table || prepared.bootstraps.is_empty() {
        return LeftRows { node, is_table };
    }
    LeftRows {
        node: bootstrap::emit(join, &prepared.bootstraps, node, plan),
        is_table: true,
    }
}

/// The left rows. Their columns are those of the left; from the left table, declared external columns follow.
fn emit_plain(
    join: &FeatureJoin,
    origin: LeftOrigin,
    prepared: &PreparedLeft,
    days: PartitionRange,
    plan: &mut DataflowPlan,
) -> NodeId {
    let mut requirements = Vec::new();
    if let Some(time) = join.left.time
        && join.parts.iter().any(|part| part.method.is_temporal())
    {
        requirements.push(Requirement::FailNull(time));
    }
    let (project, schema) = match origin {
        LeftOrigin::Source => {
            let rows = &prepared.rows;
            let project = Project {
                input: scan(plan, &rows.table.table, &rows.table_schema, &prepared.days),
                filters: rows.filters.clone(),
                generator: rows.generator.clone(),
                columns: rows
                    .columns
                    .iter()
                    .map(|(_, value)| value.clone())
                    .collect(),
                output_filters: join.left.skew_filter.iter().cloned().collect(),
                requirements,
            };
            (project, join.left.schema.clone())
        }
        LeftOrigin::Cached => {
            let schema = join.bootstrap_schema();
            let days = DayFilter {
                column: PARTITION_COLUMN.into(),
                range: Some(days),
            };
            let input = scan(plan, &join.tables.bootstrap, &schema, &Some(days));
            let hashes = schema
                .fields
                .iter()
                .position(|f| f.name == MATCHED_HASHES_COLUMN);
            let bootstrapped = hashes.filter(|_| !join.known_hashes.is_empty());
            requirements.extend(bootstrapped.map(|column| Requirement::KnownEntries {
                column,
                known: join.known_hashes.clone(),
            }));
            let columns = all_columns(&schema);
            let (filters, output_filters) = (Vec::new(), Vec::new());
            let generator = None;
            (
                Project {
                    input,
                    filters,
                    generator,
                    columns,
                    output_filters,
                    requirements,
                },
                schema,
            )
        }
    };
    plan.add(
        format!("left of {}", join.name),
        schema,
        Operator::Project(project),
    )
}

/// Every column as it is.
pub(super) fn all_columns(schema: &Schema) -> Vec<Expr> {
    let column = |(index, field): (usize, &crate::schema::Field)| {
        Expr::column(index, field.data_type.clone())
    };
    schema.fields.iter().enumerate().map(column).collect()
}

/// A projection without conditions.
pub(super) fn columns_only(input: NodeId, columns: Vec<Expr>) -> Project {
    Project {
        input,
        filters: Vec::new(),
        generator: None,
        columns,
        output_filters: Vec::new(),
        requirements: Vec::new(),
    }
}

/// The left table written from left rows of the source.
pub(super) fn emit_table(join: &FeatureJoin, left: LeftRows, plan: &mut DataflowPlan) {
    let schema = join.bootstrap_schema();
    let label = format!("left table of {}", join.name);
    let input = if left.is_table {
        left.node
    } else {
        let columns = join.bootstrap.iter().map(|(_, value)| value.clone());
        let project = columns_only(left.node, columns.collect());
        plan.add(label.clone(), schema.clone(), Operator::Project(project))
    };
    let mut sort = join.left_keys();
    sort.extend(join.left.time);
    let sink = Sink {
        under: Vec::new(),
        input,
        table: OutputTable {
            name: join.tables.bootstrap.clone(),
            kind: "bootstrap",
            expands: true,
        },
        distinct: Vec::new(),
        sort,
        partition: Some(join.left.day),
        days: None,
    };
    plan.add(label, schema, Operator::Sink(sink));
}

/// The facts that decide the rest of the plan, for each set of rows that parts ask for.
pub(super) fn emit_facts(
    join: &FeatureJoin,
    origin: LeftOrigin,
    prepared: &PreparedLeft,
    days: PartitionRange,
    plan: &mut DataflowPlan,
) {
    let askers = join.askers();
    let rows = match &askers[..] {
        // Who asks does not depend on what is bootstrapped.
        [None] => emit_plain(join, origin, prepared, days, plan),
        _ => emit(join, origin, prepared, days, plan).node,
    };
    for (number, asker) in askers.into_iter().enumerate() {
        let schema = plan.node(rows).schema.clone();
        let input = match asker {
            None => rows,
            Some(asker) => {
                let mut project = columns_only(rows, all_columns(&schema));
                project.filters.push(asker.clone());
                let label = format!("rows of {} not covered", join.name);
                plan.add(label, schema, Operator::Project(project))
            }
        };
        let facts = Facts {
            number,
            input,
            time: join.left.time,
            day: join.left.day,
            keys: join.left_keys(),
            small_rows_max: SMALL_ROWS_MAX,
        };
        plan.add(
            format!("facts of {}", join.name),
            Schema::default(),
            Operator::Facts(facts),
        );
    }
}

/// The days of a source for queries on these days, and the source bound to them.
pub(super) fn source_days(
    source: &RowSource,
    queries: PartitionRange,
    max_window: Window,
) -> Result<(RowSource, Option<DayFilter>), Vec<Diagnostic>> {
    let days = range::scan_days(source, queries, max_window);
    Ok((on_day(source, days.as_ref())?, days))
}
