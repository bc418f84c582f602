//! Statistics of a table's columns, an hour at a time: unfinished, so that hours can be merged, with the quantiles of
//! each sketch beside it for people.

use crate::expr::Expr;
use crate::metrics::{FINALIZED_FRACTIONS, over, statistics as metrics};
use crate::naming::{PARTITION_COLUMN, TIME_COLUMN};
use crate::physical::{Collect, DataflowPlan, DayFilter, NodeId, Operator, OutputTable, Sink};
use crate::schema::{DataType, Field, Schema};
use crate::time::PartitionRange;

use super::analysis::{sampled, text};
use super::left::columns_only;
use super::measure::{self, Measure};
use super::remap;
use super::right::scan;

/// Where a row's join is named.
pub(super) const PATH_COLUMN: &str = "JoinPath";

/// One run of statistics.
#[derive(Clone, Debug)]
pub struct StatisticsRun<'a> {
    /// The table measured.
    pub table: &'a str,
    /// Its columns.
    pub schema: &'a Schema,
    /// The days measured.
    pub days: PartitionRange,
    /// The join's keys, which are not measured.
    pub keys: &'a [String],
    /// The share of rows measured.
    pub sample: f64,
    /// The join's name as a path.
    pub path: &'a str,
    /// The table written.
    pub output: &'a str,
}

/// The plan: statistics into the table, and the same rows to the job, under `statistics`.
pub fn statistics(run: &StatisticsRun<'_>) -> DataflowPlan {
    let mut plan = DataflowPlan::default();
    let schema = run.schema;
    let days = DayFilter {
        column: PARTITION_COLUMN.into(),
        range: Some(run.days),
    };
    let rows = scan(&mut plan, run.table, schema, &Some(days));
    let position = |name: &str| schema.fields.iter().position(|field| field.name == name);
    let identity = run.keys.iter().map(String::as_str).chain([TIME_COLUMN]);
    let identity: Vec<usize> = identity.filter_map(position).collect();
    let day = position(PARTITION_COLUMN).expect("a table of days has their column");
    let bucket = vec![
        (Field::new(TIME_COLUMN, DataType::Long), hour(schema, day)),
        (
            Field::new(PARTITION_COLUMN, DataType::String),
            over(schema, &format!("c{day}")),
        ),
    ];
    let metrics = metrics(schema, run.keys);
    let label = format!("statistics of {}", run.table);
    let measure = Measure {
        label: &label,
        rows,
        filters: sampled(schema, &identity, run.sample).into_iter().collect(),
        bucket,
        metrics: &metrics,
        finished: false,
    };
    let measured = measure::emit(&measure, &mut plan);
    let node = with_path_and_quantiles(run.path, measured, &label, &mut plan);
    emit_table(run, node, &mut plan);
    super::finished(plan)
}

/// The hour that a row lies in; the day's beginning where rows have no time.
pub(super) fn hour(schema: &Schema, day: usize) -> Expr {
    let time = schema
        .fields
        .iter()
        .position(|field| field.name == TIME_COLUMN);
    match time.filter(|time| schema.fields[*time].data_type == DataType::Long) {
        Some(time) => over(schema, &format!("c{time} - pmod(c{time}, 3600000)")),
        None => {
            let start = format!("CAST(CAST(CAST(c{day} AS DATE) AS TIMESTAMP) AS BIGINT) * 1000");
            over(schema, &start)
        }
    }
    .cast(&DataType::Long)
}

/// Path, states, the hour, quantiles, the day.
fn with_path_and_quantiles(
    path: &str,
    measured: NodeId,
    label: &str,
    plan: &mut DataflowPlan,
) -> NodeId {
    let states = plan.node(measured).schema.clone();
    let column = |index: usize| Expr::column(index, states.fields[index].data_type.clone());
    let mut fields = vec![Field::new(PATH_COLUMN, DataType::String)];
    let mut columns = vec![text(path)];
    for index in 2..states.fields.len() {
        fields.push(states.fields[index].clone());
        columns.push(column(index));
    }
    fields.push(states.fields[0].clone());
    columns.push(column(0));
    for (index, field) in states.fields.iter().enumerate().skip(2) {
        if field.data_type == DataType::Binary {
            let quantiles = quantiles(column(index));
            let name = format!("{}_finalized", field.name);
            fields.push(Field::new(name, quantiles.data_type.clone()));
            columns.push(quantiles);
        }
    }
    fields.push(states.fields[1].clone());
    columns.push(column(1));
    let project = Operator::Project(columns_only(measured, columns));
    plan.add(label, Schema::new(fields), project)
}

/// A map from fractions to quantiles, both as text.
fn quantiles(sketch: Expr) -> Expr {
    let empty = Schema::default();
    let numbers: Vec<String> = FINALIZED_FRACTIONS
        .iter()
        .map(|f| format!("{f}D"))
        .collect();
    let fractions = over(&empty, &format!("array({})", numbers.join(", ")));
    let floats = DataType::array(DataType::Float);
    let values = Expr::call("sketch quantiles", vec![sketch, fractions], floats.clone());
    let texts: Vec<String> = FINALIZED_FRACTIONS
        .iter()
        .map(|f| format!("'{f}'"))
        .collect();
    let map = format!(
        "map_from_arrays(array({}), transform(c0, x -> CAST(x AS STRING)))",
        texts.join(", ")
    );
    let map = over(&Schema::new(vec![Field::new("values", floats)]), &map);
    remap::replace(&map, &|_| values.clone())
}

fn emit_table(run: &StatisticsRun<'_>, input: NodeId, plan: &mut DataflowPlan) {
    let schema = plan.node(input).schema.clone();
    let position = |name: &str| schema.fields.iter().position(|field| field.name == name);
    let time = position(TIME_COLUMN).expect("statistics have an hour");
    let sink = Sink {
        under: Vec::new(),
        input,
        table: OutputTable {
            name: run.output.into(),
            kind: "daily_stats",
            expands: true,
        },
        distinct: vec![],
        sort: vec![time],
        partition: position(PARTITION_COLUMN),
        days: Some(run.days),
    };
    let table = format!("table {}", run.output);
    plan.add(table, schema.clone(), Operator::Sink(sink));
    plan.add(
        "statistics",
        schema,
        Operator::Collect(Collect {
            input,
            sort: vec![time],
        }),
    );
}
