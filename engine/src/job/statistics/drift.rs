//! `drift`: two ranges of a join's statistics held against each other, feature by feature.

use unskewed_kernel::distribution::{l_infinity, stability_index};
use unskewed_planner::definition::Join;
use unskewed_planner::time::PartitionRange;

use super::super::error::{Error, Result};
use super::super::{Context, Job, Outcome, tables};
use super::Tables;
use super::summary::Summary;
use crate::findings::{Cell, Content, Findings, Spread, Table};

/// Stability indices from here on are a moderate, and from there on a major drift; the usual rule of thumb.
const LEVELS: [(f64, &str); 2] = [(0.25, "major"), (0.1, "moderate")];

/// Runs the job: the days asked for against as many days before them, unless others are named.
pub(in super::super) fn run(job: &Job, join: &Join, context: &Context<'_>) -> Result<Outcome> {
    let tables = Tables::of(join, job.options.measure.logged)?;
    let end = job.options.end;
    let start = job.options.measure.start.unwrap_or(end).min(end);
    let range = PartitionRange { start, end };
    let days = i32::try_from(range.days()).unwrap_or(i32::MAX);
    let before = PartitionRange {
        start: start.plus_days(-days),
        end: start.plus_days(-1),
    };
    let reference = job.options.measure.reference.unwrap_or(before);
    let existing = tables::days(&context.warehouse.table(&tables.output)?)?;
    for wanted in [reference, range] {
        if !wanted.iter().any(|day| existing.contains(&day)) {
            let table = tables.output.clone();
            return Err(Error::NoStatistics {
                table,
                days: wanted.to_string(),
            });
        }
    }
    let then = Summary::read(&tables.output, reference, context)?;
    let now = Summary::read(&tables.output, range, context)?;
    let rows_in = (then.rows + now.rows).max(0).unsigned_abs();
    let mut findings = Findings::new(format!(
        "drift of {} on {range} from {reference}",
        join.name()
    ));
    let (table, spreads) = compared(&then, &now, (reference, range));
    if let Some(allowed) = job.options.measure.stability_max {
        findings.problems = above(&table, allowed);
    }
    findings.add(
        "drift",
        "features, most drifted first",
        Content::Table(table),
    );
    findings.add(
        "spreads",
        format!("distributions on {range}, and on {reference}"),
        Content::Spreads(spreads),
    );
    let findings = Some(Box::new(findings));
    Ok(Outcome {
        rows_in,
        findings,
        ..Outcome::default()
    })
}

fn above(table: &Table, allowed: f64) -> Vec<String> {
    let index = |row: &Vec<Cell>| match row[1] {
        Cell::Number(index) => index,
        _ => 0.0,
    };
    let named = |row: &Vec<Cell>| match &row[0] {
        Cell::Text(name) => name.clone(),
        _ => String::new(),
    };
    let rows = table.rows.iter().filter(|row| index(row) > allowed);
    rows.map(|row| {
        format!(
            "{}: stability index {:.4} is above {allowed}",
            named(row),
            index(row)
        )
    })
    .collect()
}

/// One feature on both ranges.
struct Drifted {
    name: String,
    index: Option<f64>,
    distance: Option<f64>,
    rates: (f64, f64),
    medians: (Option<f64>, Option<f64>),
}

fn compared(
    then: &Summary,
    now: &Summary,
    (reference, range): (PartitionRange, PartitionRange),
) -> (Table, Vec<Spread>) {
    let mut drifted = vec![];
    let mut spreads = vec![];
    for (name, feature) in &now.features {
        let Some(before) = then.features.get(name) else {
            continue;
        };
        let both = before.values.as_ref().zip(feature.values.as_ref());
        let median = |values: &Option<unskewed_kernel::distribution::Distribution>| {
            values
                .as_ref()?
                .quantiles(&[0.5])
                .map(|found| f64::from(found[0]))
        };
        drifted.push(Drifted {
            name: name.clone(),
            index: both.and_then(|(a, b)| stability_index(a, b)),
            distance: both.and_then(|(a, b)| l_infinity(a, b)),
            rates: (then.null_rate(before), now.null_rate(feature)),
            medians: (median(&before.values), median(&feature.values)),
        });
        if let Some((a, b)) = both {
            let fractions: Vec<f64> = (1..20).map(|i| f64::from(i) / 20.0).collect();
            let of = |values: &unskewed_kernel::distribution::Distribution| {
                let found = values.quantiles(&fractions).unwrap_or_default();
                fractions
                    .iter()
                    .copied()
                    .zip(found.into_iter().map(f64::from))
                    .collect()
            };
            let other = Some((reference.to_string(), of(a)));
            spreads.push(Spread {
                name: name.clone(),
                quantiles: of(b),
                side: range.to_string(),
                other,
            });
        }
    }
    let weight = |d: &Drifted| d.index.unwrap_or(0.0).max((d.rates.1 - d.rates.0).abs());
    drifted.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then(a.name.cmp(&b.name)));
    let place = |spread: &Spread| drifted.iter().position(|d| d.name == spread.name);
    spreads.sort_by_key(place);
    (table(drifted), spreads)
}

fn table(drifted: Vec<Drifted>) -> Table {
    let mut table = Table::new([
        "feature",
        "psi",
        "l_infinity",
        "drift",
        "null_rate_before",
        "null_rate_now",
        "median_before",
        "median_now",
    ]);
    let number = |value: Option<f64>| Cell::from(value.map(Cell::Number));
    for feature in drifted {
        let level = feature.index.map(|index| {
            let found = LEVELS.iter().find(|(from, _)| index >= *from);
            found.map_or("small", |(_, level)| *level)
        });
        table.push([
            feature.name.into(),
            number(feature.index),
            number(feature.distance),
            level.into(),
            Cell::Share(feature.rates.0),
            Cell::Share(feature.rates.1),
            number(feature.medians.0),
            number(feature.medians.1),
        ]);
    }
    table
}
