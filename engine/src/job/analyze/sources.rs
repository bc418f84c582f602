//! The rows of a definition's sources: how many there are on each day, their times, and frequent values of keys.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use unskewed_planner::lower::{Analysis, TIME_MILLIS_ALLOWED, analysis};
use unskewed_planner::naming::PARTITION_COLUMN;

use super::super::error::{Error, Result};
use super::super::rows::Rows;
use super::super::{Context, Event, Job, Outcome, step};
use crate::findings::{Cell, Content, Findings, Table};

/// Frequent values shown of each key.
const SHOWN_MAX: usize = 20;

/// Looks at the sources and adds what was found.
pub(super) fn look(
    analyses: &[Analysis<'_>],
    job: &Job,
    findings: &mut Findings,
    context: &Context<'_>,
) -> Result<Outcome> {
    let mut there = vec![];
    for analysis in analyses {
        if tables_exist(analysis, context)? {
            there.push(analysis.clone());
        }
    }
    let analyses = there;
    let plan = analysis(&analyses).map_err(Error::Definition)?;
    let mut executed = step::execute(&plan, None, context)?;
    for analysis in &analyses {
        let name = analysis.label;
        let days = executed.take_collected(&format!("{name} days"));
        match &days {
            Some(days) => {
                add_days(analysis, days, findings);
                if job.options.measure.check_times {
                    check_times(analysis, days, findings);
                }
            }
            None => {
                let text = format!("{name}: there are no rows on {}", analysis.days);
                context.watcher.on(&Event::Warning(&text));
            }
        }
        if let Some(hours) = executed.take_collected(&format!("{name} hours")) {
            add_hours(name, &hours, findings);
        }
        if let Some(keys) = executed.take_collected(&format!("{name} keys")) {
            add_keys(analysis, &keys, findings);
        }
    }
    Ok(executed.outcome())
}

/// Whether the sources can be looked at: the table of a chained join is only there once that join has run.
fn tables_exist(analysis: &Analysis<'_>, context: &Context<'_>) -> Result<bool> {
    for source in analysis.sources {
        let table = &source.table.table;
        if !context.warehouse.table(table)?.exists()? {
            let text = format!(
                "{}: there is no table {table} yet to look at",
                analysis.label
            );
            context.watcher.on(&Event::Warning(&text));
            return Ok(false);
        }
    }
    Ok(true)
}

fn add_days(analysis: &Analysis<'_>, days: &RecordBatch, findings: &mut Findings) {
    let rows = Rows(days);
    let (texts, counts) = (rows.texts(PARTITION_COLUMN), rows.longs("rows_sum"));
    let (first, last) = (rows.longs("time_min"), rows.longs("time_max"));
    let time = |column: &arrow_array::Int64Array, row: usize| {
        Cell::from(column.is_valid(row).then(|| Cell::Time(column.value(row))))
    };
    let mut table = Table::new([
        "ds",
        "rows",
        "null_times",
        "odd_times",
        "first_time",
        "last_time",
    ]);
    for row in 0..days.num_rows() {
        table.push([
            texts.value(row).into(),
            Cell::Count(counts.value(row)),
            Cell::Count(rows.count("null_times_sum", row)),
            Cell::Count(rows.count("odd_times_sum", row)),
            time(&first, row),
            time(&last, row),
        ]);
    }
    if analysis.time.is_none() {
        table.columns.truncate(2);
        table.rows.iter_mut().for_each(|row| row.truncate(2));
    }
    let title = format!("rows of {} by day", analysis.label);
    findings.add(
        format!("{}_days", analysis.label),
        title,
        Content::Table(table),
    );
}

/// Times must be there and lie between 1971 and 2099: others are of another unit than milliseconds.
fn check_times(analysis: &Analysis<'_>, days: &RecordBatch, findings: &mut Findings) {
    if analysis.time.is_none() {
        return;
    }
    let rows = Rows(days);
    let sum = |name: &str| {
        (0..days.num_rows())
            .map(|row| rows.count(name, row))
            .sum::<i64>()
    };
    let (all, null, odd) = (sum("rows_sum"), sum("null_times_sum"), sum("odd_times_sum"));
    let name = analysis.label;
    if all > 0 && null == all {
        findings.problems.push(format!(
            "{name}: none of {all} rows has a time; check timeColumn"
        ));
    } else if null > 0 {
        findings
            .problems
            .push(format!("{name}: {null} of {all} rows have no time"));
    }
    if odd > 0 {
        let (from, to) = TIME_MILLIS_ALLOWED;
        findings.problems.push(format!(
            "{name}: {odd} of {all} times are not between {from} and {to}; they must be milliseconds since 1970"
        ));
    }
}

fn add_hours(name: &str, hours: &RecordBatch, findings: &mut Findings) {
    let rows = Rows(hours);
    let (hour, count) = (rows.longs("hour"), rows.longs("rows_sum"));
    let bar = |wanted: i64| {
        let found = (0..hours.num_rows()).find(|row| hour.value(*row) == wanted);
        let value = found.map_or(0, |row| count.value(row));
        (format!("{wanted:02}"), value as f64)
    };
    let bars = (0..24).map(bar).collect();
    let title = format!("rows of {name} by hour of the day, UTC");
    findings.add(format!("{name}_hours"), title, Content::Bars(bars));
}

fn add_keys(analysis: &Analysis<'_>, keys: &RecordBatch, findings: &mut Findings) {
    let name = analysis.label;
    let scaled = |count: i64| (count as f64 / analysis.sample.clamp(1e-6, 1.0)).round() as i64;
    let all = scaled(Rows(keys).count("rows_sum", 0)).max(1);
    let mut table = Table::new(["column", "value", "rows", "share"]);
    let histograms = keys.columns().iter().zip(keys.schema_ref().fields());
    for (column, field) in histograms {
        let Some(map) = column
            .as_map_opt()
            .filter(|map| !map.is_empty() && map.is_valid(0))
        else {
            continue;
        };
        let entries = map.value(0);
        let values = entries.column(0).as_string::<i32>();
        let counts = entries.column(1).as_primitive::<Int64Type>();
        let mut found: Vec<(i64, &str)> = (0..entries.len())
            .map(|at| (counts.value(at), values.value(at)))
            .collect();
        found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        let key = field.name().trim_end_matches("_approx_histogram_k");
        for (count, value) in found.into_iter().take(SHOWN_MAX) {
            let count = scaled(count);
            let share = Cell::Share(count as f64 / all as f64);
            table.push([key.into(), value.into(), Cell::Count(count), share]);
        }
    }
    let title = format!("frequent values of {name}, estimated over {all} rows");
    findings.add(
        format!("{name}_frequent_values"),
        title,
        Content::Table(table),
    );
}
