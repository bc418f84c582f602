//! The statistics of a range of days, summed up feature by feature.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType as ArrowType;
use unskewed_kernel::distribution::Distribution;
use unskewed_planner::lower::table_rows;
use unskewed_planner::naming::{PARTITION_COLUMN, TIME_COLUMN};
use unskewed_planner::time::PartitionRange;

use super::super::error::Result;
use super::super::rows::Rows;
use super::super::{Context, inputs, step};
use crate::findings::{Cell, Content, Findings, Line, Spread, Table};

const NULLS: &str = "__null_sum";
const SKETCH: &str = "_approx_percentile";
/// The fractions shown of a distribution.
const SHOWN: [f64; 21] = [
    0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8,
    0.85, 0.9, 0.95, 0.99,
];
/// Up to so many days values are shown by the hour, beyond by the day.
const HOURLY_DAYS_MAX: usize = 3;

/// Statistics of a range of days.
#[derive(Default)]
pub(super) struct Summary {
    /// Rows measured.
    pub(super) rows: i64,
    /// Every feature by its name.
    pub(super) features: BTreeMap<String, Feature>,
    /// Rows by day.
    days: BTreeMap<String, i64>,
    /// Rows by point in time.
    times: BTreeMap<i64, i64>,
}

/// Statistics of one feature.
#[derive(Default)]
pub(super) struct Feature {
    pub(super) nulls: i64,
    pub(super) values: Option<Distribution>,
    /// Nulls by point in time.
    times: BTreeMap<i64, i64>,
}

impl Summary {
    /// Sums up the days of a table of statistics.
    pub(super) fn read(table: &str, days: PartitionRange, context: &Context<'_>) -> Result<Self> {
        let found = context.warehouse.table(table)?;
        let schema = found.schema_of(&inputs::between(PARTITION_COLUMN, days))?;
        let plan = table_rows(table, &schema, days);
        let mut executed = step::execute(&plan, None, context)?;
        let mut summary = Self::default();
        if let Some(rows) = executed.take_collected(table) {
            summary.add(&rows, days.days() <= HOURLY_DAYS_MAX);
        }
        Ok(summary)
    }

    fn add(&mut self, batch: &RecordBatch, hourly: bool) {
        let rows = Rows(batch);
        let (totals, times) = (rows.longs("total_count"), rows.longs(TIME_COLUMN));
        let days = rows.texts(PARTITION_COLUMN);
        let of_time = |row: usize| match hourly {
            true => times.value(row),
            false => times.value(row) - times.value(row).rem_euclid(86_400_000),
        };
        for row in 0..batch.num_rows() {
            let total = if totals.is_valid(row) {
                totals.value(row)
            } else {
                0
            };
            self.rows += total;
            *self.days.entry(days.value(row).into()).or_default() += total;
            *self.times.entry(of_time(row)).or_default() += total;
        }
        for (column, field) in batch.columns().iter().zip(batch.schema_ref().fields()) {
            if let Some(name) = field.name().strip_suffix(NULLS) {
                let feature = self.features.entry(name.into()).or_default();
                let nulls = rows.longs(field.name());
                for row in (0..batch.num_rows()).filter(|row| nulls.is_valid(*row)) {
                    feature.nulls += nulls.value(row);
                    *feature.times.entry(of_time(row)).or_default() += nulls.value(row);
                }
            } else if let Some(name) = field.name().strip_suffix(SKETCH)
                && *field.data_type() == ArrowType::Binary
            {
                let feature = self.features.entry(name.into()).or_default();
                let sketches = column.as_binary::<i32>().iter().flatten();
                for sketch in sketches.filter_map(Distribution::from_bytes) {
                    match &mut feature.values {
                        Some(values) => values.merge(&sketch),
                        none => *none = Some(sketch),
                    }
                }
            }
        }
    }

    /// The share of rows in which a feature is null.
    pub(super) fn null_rate(&self, feature: &Feature) -> f64 {
        if self.rows == 0 {
            0.0
        } else {
            feature.nulls as f64 / self.rows as f64
        }
    }

    /// The features, those with the most nulls first.
    fn worst_first(&self) -> Vec<(&String, &Feature)> {
        let mut features: Vec<_> = self.features.iter().collect();
        features.sort_by(|a, b| b.1.nulls.cmp(&a.1.nulls).then(a.0.cmp(b.0)));
        features
    }

    /// What there is to say.
    pub(super) fn findings(&self, title: String, range: PartitionRange) -> Findings {
        let mut findings = Findings::new(title);
        let mut days = Table::new(["ds", "rows"]);
        for (day, rows) in &self.days {
            days.push([day.as_str().into(), Cell::Count(*rows)]);
        }
        let mut table = Table::new([
            "feature",
            "rows",
            "nulls",
            "null_rate",
            "p1",
            "p25",
            "p50",
            "p75",
            "p99",
        ]);
        let (mut lines, mut spreads) = (vec![], vec![]);
        for (name, feature) in self.worst_first() {
            let quantiles = |fractions: &[f64]| feature.values.as_ref()?.quantiles(fractions);
            let shown = quantiles(&[0.01, 0.25, 0.5, 0.75, 0.99]);
            let cell = |index: usize| {
                Cell::from(
                    shown
                        .as_ref()
                        .map(|found| Cell::Number(f64::from(found[index]))),
                )
            };
            let rate = Cell::Share(self.null_rate(feature));
            let (rows, nulls) = (Cell::Count(self.rows), Cell::Count(feature.nulls));
            let name_cell = Cell::from(name.as_str());
            table.push([
                name_cell,
                rows,
                nulls,
                rate,
                cell(0),
                cell(1),
                cell(2),
                cell(3),
                cell(4),
            ]);
            lines.push(self.null_line(name, feature));
            if let Some(values) = quantiles(&SHOWN) {
                let quantiles = SHOWN.into_iter().zip(values.into_iter().map(f64::from));
                spreads.push(Spread {
                    name: name.clone(),
                    quantiles: quantiles.collect(),
                    side: String::new(),
                    other: None,
                });
            }
        }
        findings.add(
            "features",
            format!("features on {range}, most nulls first"),
            Content::Table(table),
        );
        findings.add(
            "null_rates",
            "share of nulls over time",
            Content::Series(lines),
        );
        findings.add("spreads", "distributions", Content::Spreads(spreads));
        findings.add("days", "rows by day", Content::Table(days));
        findings
    }

    fn null_line(&self, name: &str, feature: &Feature) -> Line {
        let point = |(time, rows): (&i64, &i64)| {
            let nulls = feature.times.get(time).copied().unwrap_or(0);
            (
                *time,
                if *rows == 0 {
                    0.0
                } else {
                    nulls as f64 / *rows as f64
                },
            )
        };
        Line {
            name: name.into(),
            points: self.times.iter().map(point).collect(),
        }
    }
}
