//! What a comparison found, summed up column by column and day by day.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, RecordBatch};
use unskewed_planner::naming::TIME_COLUMN;
use unskewed_planner::schema::Field;
use unskewed_planner::time::Partition;

use super::super::rows::Rows;
use crate::findings::{Cell, Content, Findings, Line, Spread, Table};

/// One column over all buckets.
#[derive(Default)]
struct Column {
    rows: i64,
    both_null: i64,
    left_null: i64,
    right_null: i64,
    mismatches: i64,
    /// Errors weighted by rows.
    error: f64,
    /// Differing and all rows by point in time.
    times: BTreeMap<i64, (i64, i64)>,
    /// Quantiles of both sides, each a sum over buckets weighted by rows.
    spreads: Option<(Vec<f64>, Vec<f64>, f64)>,
}

impl Column {
    fn differing(&self) -> i64 {
        self.left_null + self.right_null + self.mismatches
    }
}

/// Comparisons summed up.
pub(in super::super) struct Totals {
    sides: (&'static str, &'static str),
    columns: BTreeMap<String, Column>,
    /// Discrepancies by day: of each bucket the worst column of each kind.
    days: BTreeMap<String, i64>,
}

impl Totals {
    /// Nothing yet; `sides` are what left and right are called.
    pub(in super::super) fn new(sides: (&'static str, &'static str)) -> Self {
        Self {
            sides,
            columns: BTreeMap::new(),
            days: BTreeMap::new(),
        }
    }

    /// Adds metrics of these columns.
    pub(in super::super) fn add(&mut self, batch: &RecordBatch, values: &[Field]) {
        let rows = Rows(batch);
        let times = rows.longs(TIME_COLUMN);
        let mut worst = vec![[0_i64; 3]; batch.num_rows()];
        for value in values {
            let name = &value.name;
            let sums = |suffix: &str| rows.longs(&format!("{name}_{suffix}"));
            let kinds = ["left_null_sum", "right_null_sum", "mismatch_sum"].map(sums);
            let (both, total) = (sums("both_null_sum"), sums("total_count"));
            let smape = batch.column_by_name(&format!("{name}_smape_average"));
            let smape = smape.and_then(|column| {
                column
                    .as_primitive_opt::<arrow_array::types::Float64Type>()
                    .cloned()
            });
            let column = self.columns.entry(name.clone()).or_default();
            let at = |list: &arrow_array::Int64Array, row: usize| {
                if list.is_valid(row) {
                    list.value(row)
                } else {
                    0
                }
            };
            for row in 0..batch.num_rows() {
                let [left, right, mismatch] = [0, 1, 2].map(|kind| at(&kinds[kind], row));
                let all = at(&total, row);
                column.left_null += left;
                column.right_null += right;
                column.mismatches += mismatch;
                column.both_null += at(&both, row);
                column.rows += all;
                let error = smape.as_ref().filter(|list| list.is_valid(row));
                column.error += error.map_or(0.0, |list| list.value(row) * all as f64);
                let time = column.times.entry(times.value(row)).or_default();
                time.0 += left + right + mismatch;
                time.1 += all;
                for (worst, found) in worst[row].iter_mut().zip([left, right, mismatch]) {
                    *worst = (*worst).max(found);
                }
            }
            column.add_spreads(batch, name, &total);
        }
        for (row, kinds) in worst.iter().enumerate() {
            let count: i64 = kinds.iter().sum();
            if count > 0 {
                let day = Partition::of_millis(times.value(row)).to_string();
                *self.days.entry(day).or_default() += count;
            }
        }
    }

    /// Discrepancies by day, days without any left out.
    pub(in super::super) fn days(&self) -> impl Iterator<Item = (&str, i64)> {
        self.days.iter().map(|(day, count)| (day.as_str(), *count))
    }

    /// What there is to say.
    pub(in super::super) fn findings(&self, title: String) -> Findings {
        let mut findings = Findings::new(title);
        let (left, right) = self.sides;
        let mut columns: Vec<(&String, &Column)> = self.columns.iter().collect();
        columns.sort_by(|a, b| b.1.differing().cmp(&a.1.differing()).then(a.0.cmp(b.0)));
        let mut table = Table::new(["column", "rows", "differing", "share", "mismatches"]);
        table
            .columns
            .extend([format!("only_{right}"), format!("only_{left}")]);
        table
            .columns
            .extend(["both_null".to_owned(), "smape".into()]);
        let (mut lines, mut spreads) = (vec![], vec![]);
        for (name, column) in columns {
            let share = |count: i64, all: i64| {
                if all == 0 {
                    0.0
                } else {
                    count as f64 / all as f64
                }
            };
            let rows = column.rows;
            table.rows.push(vec![
                name.as_str().into(),
                Cell::Count(rows),
                Cell::Count(column.differing()),
                Cell::Share(share(column.differing(), rows)),
                Cell::Count(column.mismatches),
                Cell::Count(column.left_null),
                Cell::Count(column.right_null),
                Cell::Count(column.both_null),
                match column.spreads {
                    Some(_) => Cell::Number(column.error / (rows.max(1) as f64)),
                    None => Cell::Empty,
                },
            ]);
            let point = |(time, (count, all)): (&i64, &(i64, i64))| (*time, share(*count, *all));
            lines.push(Line {
                name: name.clone(),
                points: column.times.iter().map(point).collect(),
            });
            spreads.extend(column.spread(name, self.sides));
        }
        findings.add(
            "columns",
            "columns, most differing first",
            Content::Table(table),
        );
        findings.add(
            "differing",
            "share of differing rows over time",
            Content::Series(lines),
        );
        findings.add(
            "spreads",
            format!("distributions, {left} and {right}"),
            Content::Spreads(spreads),
        );
        let mut days = Table::new(["ds", "discrepancies"]);
        for (day, count) in &self.days {
            days.push([day.as_str().into(), Cell::Count(*count)]);
        }
        findings.add("days", "days with discrepancies", Content::Table(days));
        findings
    }
}

impl Column {
    fn add_spreads(&mut self, batch: &RecordBatch, name: &str, total: &arrow_array::Int64Array) {
        let list = |side: &str| {
            let column = batch.column_by_name(&format!("{name}_{side}_approx_percentile"))?;
            column.as_list_opt::<i32>().cloned()
        };
        let Some((left, right)) = list("left").zip(list("right")) else {
            return;
        };
        let (l, r, weight) = self.spreads.get_or_insert_with(|| (vec![], vec![], 0.0));
        for row in (0..batch.num_rows()).filter(|row| left.is_valid(*row) && right.is_valid(*row)) {
            let rows = total.value(row) as f64;
            *weight += rows;
            for (sums, list) in [(&mut *l, &left), (&mut *r, &right)] {
                let values = list.value(row);
                let values = values.as_primitive::<Float32Type>();
                sums.resize(values.len(), 0.0);
                for (sum, value) in sums.iter_mut().zip(values.values()) {
                    *sum += f64::from(*value) * rows;
                }
            }
        }
    }

    fn spread(&self, name: &str, sides: (&str, &str)) -> Option<Spread> {
        let (left, right, weight) = self.spreads.as_ref().filter(|found| found.2 > 0.0)?;
        let quantiles = |sums: &[f64]| -> Vec<(f64, f64)> {
            let last = (sums.len().max(2) - 1) as f64;
            let point = |(index, sum): (usize, &f64)| (index as f64 / last, sum / weight);
            sums.iter().enumerate().map(point).collect()
        };
        Some(Spread {
            name: name.into(),
            quantiles: quantiles(left),
            side: sides.0.into(),
            other: Some((sides.1.into(), quantiles(right))),
        })
    }
}
