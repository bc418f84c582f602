//! The left rows of a join, from its source or from its table.

use crate::diagnostic::Diagnostic;
use crate::expr::Expr;
use crate::logical::{FeatureJoin, RowSource};
use crate::naming::PARTITION_COLUMN;
use crate::physical::{
    DataflowPlan, DayFilter, Facts, NodeId, Operator, OutputTable, Project, Requirement, Sink,
};
use crate::resolve;
use crate::schema::Schema;
use crate::time::{PartitionRange, Window};

use super::right::scan;
use super::{LeftOrigin, SMALL_ROWS_MAX, range};

/// The left rows of a run, before emission.
pub(super) struct PreparedLeft {
    /// The source, bound to the run's day where it names it.
    rows: RowSource,
    days: Option<DayFilter>,
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
    Ok(PreparedLeft { rows, days: filter })
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

/// The left rows. Their columns are those of the left; from the left table, declared external columns follow.
pub(super) fn emit(
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
pub(super) fn emit_table(join: &FeatureJoin, left: NodeId, plan: &mut DataflowPlan) {
    let schema = join.bootstrap_schema();
    let columns = join
        .bootstrap
        .iter()
        .map(|(_, value)| value.clone())
        .collect();
    let label = format!("left table of {}", join.name);
    let project = Operator::Project(columns_only(left, columns));
    let input = plan.add(label.clone(), schema.clone(), project);
    let mut sort = join.left_keys();
    sort.extend(join.left.time);
    let sink = Sink {
        input,
        table: OutputTable {
            name: join.tables.bootstrap.clone(),
            kind: "bootstrap",
            expands: true,
        },
        distinct: Vec::new(),
        sort,
        partition: join.left.day,
        days: None,
    };
    plan.add(label, schema, Operator::Sink(sink));
}

/// The facts that decide the rest of the plan.
pub(super) fn emit_facts(join: &FeatureJoin, left: NodeId, plan: &mut DataflowPlan) {
    let facts = Facts {
        input: left,
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

/// The days of a source for queries on these days, and the source bound to them.
pub(super) fn source_days(
    source: &RowSource,
    queries: PartitionRange,
    max_window: Window,
) -> Result<(RowSource, Option<DayFilter>), Vec<Diagnostic>> {
    let days = range::scan_days(source, queries, max_window);
    Ok((on_day(source, days.as_ref())?, days))
}
