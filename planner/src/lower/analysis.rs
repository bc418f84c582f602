//! What is asked of a definition's sources before anything is computed of them: how many rows each day has, whether
//! their times make sense, when in a day they happen, and which values of keys are most frequent.

use crate::aggregation::{Arguments, Operation};
use crate::diagnostic::Diagnostic;
use crate::expr::{Expr, Literal};
use crate::logical::{DayRule, RowSource};
use crate::metrics::{Metric, over};
use crate::naming::PARTITION_COLUMN;
use crate::physical::{Collect, DataflowPlan, DayFilter, NodeId, Operator, Project};
use crate::schema::{DataType, Field, Schema};
use crate::time::{PartitionRange, Window};

use super::left::on_day;
use super::measure::{self, Measure};
use super::range::scan_days;
use super::right::{scan, union};

/// Rows that are looked at together: a left side, or the sources of a group-by.
#[derive(Clone, Debug)]
pub struct Analysis<'a> {
    /// What the findings are collected under: `{label} days`, `{label} hours`, `{label} keys`.
    pub label: &'a str,
    /// Where rows come from.
    pub sources: &'a [RowSource],
    /// What all are rendered to.
    pub schema: &'a Schema,
    /// The key columns.
    pub keys: Vec<usize>,
    /// The time in milliseconds, if there is one.
    pub time: Option<usize>,
    /// The days looked at.
    pub days: PartitionRange,
    /// How many frequent values of each key are kept; `None` to look for none.
    pub frequent: Option<u32>,
    /// The share of rows in which frequent values are looked for.
    pub sample: f64,
}

/// Times before 1971 or after 2099 are taken to be of another unit.
pub const TIME_MILLIS_ALLOWED: (i64, i64) = (31_536_000_000, 4_102_473_599_999);

/// The plan of all analyses together.
pub fn analysis(analyses: &[Analysis<'_>]) -> Result<DataflowPlan, Vec<Diagnostic>> {
    let mut plan = DataflowPlan::default();
    for analysis in analyses {
        emit(analysis, &mut plan)?;
    }
    Ok(super::finished(plan))
}

fn emit(analysis: &Analysis<'_>, plan: &mut DataflowPlan) -> Result<(), Vec<Diagnostic>> {
    let rows = rows(analysis, plan)?;
    let schema = analysis.schema;
    let column = |index: usize| over(schema, &format!("c{index}"));
    let day = schema.index_of(PARTITION_COLUMN);
    let day = day.expect("resolution renders the partition column");
    let days = vec![(Field::new(PARTITION_COLUMN, DataType::String), column(day))];
    let time_metrics = analysis.time.map(|time| time_metrics(schema, time));
    let mut metrics = vec![count("rows", schema, "true")];
    metrics.extend(time_metrics.into_iter().flatten());
    collect(analysis, (rows, "days"), (days, &metrics, vec![]), plan);
    if let Some(time) = analysis.time {
        let hour = format!("CAST(pmod(c{time} DIV 3600000, 24) AS INT)");
        let hours = vec![(Field::new("hour", DataType::Int), over(schema, &hour))];
        let timed = over(schema, &format!("c{time} IS NOT NULL"));
        let metrics = [count("rows", schema, "true")];
        collect(
            analysis,
            (rows, "hours"),
            (hours, &metrics, vec![timed]),
            plan,
        );
    }
    if let Some(size) = analysis.frequent {
        let metrics = frequent_metrics(analysis, size);
        let filters = sampled(schema, &identity(analysis), analysis.sample).into_iter();
        collect(
            analysis,
            (rows, "keys"),
            (vec![], &metrics, filters.collect()),
            plan,
        );
    }
    Ok(())
}

fn count(name: &str, schema: &Schema, condition: &str) -> Metric {
    let value = over(schema, condition);
    Metric::new(name, value, Operation::Sum, Arguments::default())
}

fn time_metrics(schema: &Schema, time: usize) -> Vec<Metric> {
    let (first, last) = TIME_MILLIS_ALLOWED;
    let value = || over(schema, &format!("c{time}"));
    let odd = format!("coalesce(c{time} NOT BETWEEN {first} AND {last}, false)");
    vec![
        count("null_times", schema, &format!("c{time} IS NULL")),
        count("odd_times", schema, &odd),
        Metric::new("time", value(), Operation::Min, Arguments::default()),
        Metric::new("time", value(), Operation::Max, Arguments::default()),
    ]
}

/// Frequent values of each key as text, and of the year of the time, which shows times of a wrong unit.
fn frequent_metrics(analysis: &Analysis<'_>, size: u32) -> Vec<Metric> {
    let schema = analysis.schema;
    let sized = || Arguments {
        k: Some(size),
        ..Arguments::default()
    };
    let frequent = |name: &str, text: &str| {
        Metric::new(
            name,
            over(schema, text),
            Operation::ApproxHistogramK,
            sized(),
        )
    };
    let key = |index: &usize| {
        let text = format!("coalesce(CAST(c{index} AS STRING), 'NULL')");
        frequent(&schema.fields[*index].name, &text)
    };
    let mut metrics: Vec<Metric> = analysis.keys.iter().map(key).collect();
    if let Some(time) = analysis.time {
        let year =
            format!("coalesce(date_format(CAST(c{time} DIV 1000 AS TIMESTAMP), 'yyyy'), 'NULL')");
        metrics.push(frequent("ts_year", &year));
    }
    metrics.push(count("rows", schema, "true"));
    metrics
}

/// What tells rows apart when a share of them is looked at.
fn identity(analysis: &Analysis<'_>) -> Vec<usize> {
    let mut columns = analysis.keys.clone();
    columns.extend(analysis.time);
    columns
}

/// A condition that this share of rows meets, by a hash of these columns: the same rows in every run.
pub(super) fn sampled(schema: &Schema, columns: &[usize], share: f64) -> Option<Expr> {
    const PARTS: f64 = 1_000_000.0;
    if share >= 1.0 || columns.is_empty() {
        return None;
    }
    let names: Vec<String> = columns.iter().map(|index| format!("c{index}")).collect();
    let bound = (share.max(0.0) * PARTS).round() as i64;
    let text = format!(
        "pmod(xxhash64({}), {}L) < {bound}L",
        names.join(", "),
        PARTS as i64
    );
    Some(over(schema, &text))
}

/// The rendered rows of all sources.
fn rows(analysis: &Analysis<'_>, plan: &mut DataflowPlan) -> Result<NodeId, Vec<Diagnostic>> {
    let mut inputs = vec![];
    for source in analysis.sources {
        let days = days(source, analysis.days);
        let source = on_day(source, days.as_ref())?;
        let project = Project {
            input: scan(plan, &source.table.table, &source.table_schema, &days),
            filters: source.filters.clone(),
            generator: source.generator.clone(),
            columns: source
                .columns
                .iter()
                .map(|(_, value)| value.clone())
                .collect(),
            output_filters: vec![],
            requirements: vec![],
        };
        let label = format!("source {}", source.table.table);
        inputs.push(plan.add(label, analysis.schema.clone(), Operator::Project(project)));
    }
    Ok(union(plan, inputs, analysis.label))
}

/// The days asked for, as far as the source allows them; of a cumulative one the partition that holds everything.
fn days(source: &RowSource, days: PartitionRange) -> Option<DayFilter> {
    let exact = RowSource {
        days: match source.days {
            DayRule::Cumulative => DayRule::Cumulative,
            _ => DayRule::Exact,
        },
        ..source.clone()
    };
    scan_days(&exact, days, Window::Unbounded)
}

fn collect(
    analysis: &Analysis<'_>,
    (rows, what): (NodeId, &str),
    (bucket, metrics, filters): (Vec<(Field, Expr)>, &[Metric], Vec<Expr>),
    plan: &mut DataflowPlan,
) {
    let label = format!("{} {what}", analysis.label);
    let sort = (0..bucket.len()).collect();
    let measure = Measure {
        label: &label,
        rows,
        filters,
        bucket,
        metrics,
        finished: true,
    };
    let input = measure::emit(&measure, plan);
    let schema = plan.node(input).schema.clone();
    plan.add(&label, schema, Operator::Collect(Collect { input, sort }));
}

/// A text that is the same on every row.
pub(super) fn text(value: &str) -> Expr {
    Expr::literal(Literal::String(value.into()), DataType::String)
}
