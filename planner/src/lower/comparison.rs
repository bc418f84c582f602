//! Two tables side by side: every row of both, matched by keys, and what the differences amount to, hour by hour.
//!
//! The full outer join is two look-ups. Each left row asks the right for the rows of its keys, each right row the left;
//! the left rows with their answers, and the right rows without one, are all rows. A null key asks nothing.

use crate::expr::{Expr, Literal};
use crate::metrics::{Compared, comparison as metrics, comparison_columns, over};
use crate::naming::{PARTITION_COLUMN, TIME_COLUMN};
use crate::physical::{
    AnswerRule, Arrange, AsOf, Assemble, Collect, DataflowPlan, DayFilter, EvaluatorPlan, Matches,
    NodeId, Operator, OutputTable, Project, Queries, QueryTime, Sink,
};
use crate::schema::{DataType, Field, Schema};
use crate::time::PartitionRange;

use super::analysis::text;
use super::left::{all_columns, columns_only};
use super::measure::{self, Measure};
use super::right::{scan, union};
use super::statistics::{PATH_COLUMN, hour};

/// One side of a comparison.
#[derive(Clone, Debug)]
pub struct ComparedTable<'a> {
    /// The table.
    pub table: &'a str,
    /// Its columns.
    pub schema: &'a Schema,
    /// The days compared; `None` for all there is.
    pub days: Option<PartitionRange>,
}

/// One comparison.
#[derive(Clone, Debug)]
pub struct ComparisonRun<'a> {
    /// What is held against the other.
    pub left: ComparedTable<'a>,
    /// The other.
    pub right: ComparedTable<'a>,
    /// The columns that rows are matched by; both sides have them, and one of them is `ts` or `ds`.
    pub keys: &'a [String],
    /// The columns compared; both sides have them, of the same types.
    pub values: &'a [Field],
    /// What the comparison is called.
    pub path: &'a str,
    /// The table of all rows, replaced as a whole; `None` to write none.
    pub rows: Option<&'a str>,
    /// The table of the metrics.
    pub metrics: &'a str,
    /// Whether that table has days; without, it is replaced as a whole.
    pub daily: bool,
}

/// The plan: rows and metrics into their tables, and the metrics to the job, under `metrics`.
pub fn comparison(run: &ComparisonRun<'_>) -> DataflowPlan {
    let mut plan = DataflowPlan::default();
    let left = Side::emit(run, &run.left, "left", &mut plan);
    let right = Side::emit(run, &run.right, "right", &mut plan);
    let keys = run
        .keys
        .iter()
        .map(|key| field(run.left.schema, key))
        .collect::<Vec<_>>();
    let schema = comparison_columns(&keys, run.values, run.values);
    let matched = matched(run, (&left, &right), &schema, &mut plan);
    let alone = alone(run, (&left, &right), &schema, &mut plan);
    let rows = union(&mut plan, vec![matched, alone], "the comparison");
    if let Some(table) = run.rows {
        let table = OutputTable {
            name: table.into(),
            kind: "comparison",
            expands: true,
        };
        let sort = (0..keys.len()).collect();
        sink(rows, table, sort, None, &mut plan);
    }
    emit_metrics(run, rows, &schema, &mut plan);
    super::finished(plan)
}

fn field(schema: &Schema, name: &str) -> Field {
    let found = schema.fields.iter().find(|field| field.name == name);
    found
        .cloned()
        .expect("both sides were checked to have the columns")
}

/// The rows of a side: keys, values, a mark, and a time that all rows share; and the same arranged.
struct Side {
    rows: NodeId,
    arranged: NodeId,
    /// Columns before the mark.
    width: usize,
}

impl Side {
    fn emit(
        run: &ComparisonRun<'_>,
        side: &ComparedTable<'_>,
        name: &str,
        plan: &mut DataflowPlan,
    ) -> Self {
        let days = side.days.map(|range| DayFilter {
            column: PARTITION_COLUMN.into(),
            range: Some(range),
        });
        let input = scan(plan, side.table, side.schema, &days);
        let names = run.keys.iter().map(String::as_str);
        let names = names.chain(run.values.iter().map(|value| value.name.as_str()));
        let mut fields = vec![];
        let mut columns = vec![];
        for name in names {
            let index = side
                .schema
                .fields
                .iter()
                .position(|field| field.name == name);
            let index = index.expect("both sides were checked to have the columns");
            fields.push(side.schema.fields[index].clone());
            columns.push(Expr::column(
                index,
                fields[fields.len() - 1].data_type.clone(),
            ));
        }
        let width = fields.len();
        fields.push(Field::new("is_there", DataType::Boolean));
        columns.push(Expr::literal(Literal::Boolean(true), DataType::Boolean));
        fields.push(Field::new("compared_at", DataType::Long));
        columns.push(Expr::literal(Literal::Integer(0), DataType::Long));
        let schema = Schema::new(fields);
        let label = format!("{name} of the comparison: {}", side.table);
        let project = Operator::Project(columns_only(input, columns));
        let rows = plan.add(&label, schema.clone(), project);
        let payload: Vec<usize> = (run.keys.len()..=width).collect();
        let kept = payload
            .iter()
            .map(|index| schema.fields[*index].clone())
            .collect();
        let keys = (0..run.keys.len()).collect();
        let arrange = Arrange {
            input: rows,
            keys,
            time: width + 1,
            payload,
        };
        let arranged = plan.add(&label, Schema::new(kept), Operator::Arrange(arrange));
        Self {
            rows,
            arranged,
            width,
        }
    }

    /// Asks the other side for these columns of its arrangement.
    fn ask(
        &self,
        run: &ComparisonRun<'_>,
        other: &Self,
        wanted: Vec<usize>,
        plan: &mut DataflowPlan,
    ) -> NodeId {
        let queries = Queries {
            left: self.rows,
            keys: (0..run.keys.len()).collect(),
            time: QueryTime::At(self.width + 1),
            filters: vec![],
        };
        let queries = plan.add("matches", Schema::default(), Operator::Queries(queries));
        let payload = &plan.node(other.arranged).schema.fields;
        let schema = Schema::new(wanted.iter().map(|index| payload[*index].clone()).collect());
        let as_of = AsOf {
            right: other.arranged,
            queries,
            evaluator: EvaluatorPlan::Lookup {
                columns: wanted,
                matches: Matches::All,
            },
            answer: AnswerRule::AnyRow,
        };
        plan.add("matches", schema, Operator::AsOf(as_of))
    }
}

/// Left rows with the values of the right rows that match, or nulls.
fn matched(
    run: &ComparisonRun<'_>,
    (left, right): (&Side, &Side),
    schema: &Schema,
    plan: &mut DataflowPlan,
) -> NodeId {
    let values = run.values.len();
    let answers = left.ask(run, right, (0..values).collect(), plan);
    let own = run.keys.len() + values;
    // The left's mark and time stand between its columns and the answer's.
    let column = |index: usize| {
        let at = if index < own { index } else { index + 2 };
        Expr::column(at, schema.fields[index].data_type.clone())
    };
    let columns = (0..schema.fields.len()).map(column).collect();
    let assemble = Assemble {
        left: left.rows,
        parts: vec![answers],
        columns,
    };
    plan.add(
        "rows of the left side",
        schema.clone(),
        Operator::Assemble(assemble),
    )
}

/// Right rows that no left row matches.
fn alone(
    run: &ComparisonRun<'_>,
    (left, right): (&Side, &Side),
    schema: &Schema,
    plan: &mut DataflowPlan,
) -> NodeId {
    let (keys, values) = (run.keys.len(), run.values.len());
    let answers = right.ask(run, left, vec![values], plan);
    let column = |index: usize| {
        let data_type = schema.fields[index].data_type.clone();
        match index {
            key if key < keys => Expr::column(key, data_type),
            left_value if left_value < keys + values => Expr::null(data_type),
            right_value => Expr::column(right_value - values, data_type),
        }
    };
    let mut columns: Vec<Expr> = (0..schema.fields.len()).map(column).collect();
    columns.push(Expr::column(right.width + 2, DataType::Boolean));
    let mut marked = schema.clone();
    marked
        .fields
        .push(Field::new("has_match", DataType::Boolean));
    let assemble = Assemble {
        left: right.rows,
        parts: vec![answers],
        columns,
    };
    let input = plan.add(
        "rows of the right side",
        marked.clone(),
        Operator::Assemble(assemble),
    );
    let unmatched = over(&marked, &format!("c{} IS NULL", schema.fields.len()));
    let project = Project {
        filters: vec![unmatched],
        ..columns_only(input, all_columns(schema))
    };
    plan.add(
        "rows of the right side alone",
        schema.clone(),
        Operator::Project(project),
    )
}

fn emit_metrics(run: &ComparisonRun<'_>, rows: NodeId, schema: &Schema, plan: &mut DataflowPlan) {
    let (keys, count) = (run.keys.len(), run.values.len());
    let compared = |(index, value): (usize, &Field)| Compared {
        name: value.name.clone(),
        data_type: value.data_type.clone(),
        left: keys + index,
        right: keys + count + index,
    };
    let compared: Vec<Compared> = run.values.iter().enumerate().map(compared).collect();
    let metrics = metrics(schema, &compared);
    let day = schema.fields[..keys]
        .iter()
        .position(|field| field.name == PARTITION_COLUMN);
    let key_columns = Schema::new(schema.fields[..keys].to_vec());
    let mut bucket = vec![(
        Field::new(TIME_COLUMN, DataType::Long),
        hour(&key_columns, day.unwrap_or_default()),
    )];
    if let Some(day) = day.filter(|_| run.daily) {
        bucket.push((
            Field::new(PARTITION_COLUMN, DataType::String),
            over(schema, &format!("c{day}")),
        ));
    }
    let buckets = bucket.len();
    let label = format!("metrics of {}", run.path);
    let measure = Measure {
        label: &label,
        rows,
        filters: vec![],
        bucket,
        metrics: &metrics,
        finished: true,
    };
    let measured = measure::emit(&measure, plan);
    let found = plan.node(measured).schema.clone();
    // The path, metrics, the hour, the day.
    let mut fields = vec![Field::new(PATH_COLUMN, DataType::String)];
    let mut columns = vec![text(run.path)];
    for index in (buckets..found.fields.len()).chain(0..buckets) {
        fields.push(found.fields[index].clone());
        columns.push(Expr::column(index, found.fields[index].data_type.clone()));
    }
    let output = Schema::new(fields);
    let time = 1 + found.fields.len() - buckets;
    let project = Operator::Project(columns_only(measured, columns));
    let input = plan.add(&label, output.clone(), project);
    let kind = if run.daily {
        "consistency"
    } else {
        "comparison_stats"
    };
    let table = OutputTable {
        name: run.metrics.into(),
        kind,
        expands: true,
    };
    sink(
        input,
        table,
        vec![time],
        run.daily.then_some(time + 1),
        plan,
    );
    plan.add(
        "metrics",
        output,
        Operator::Collect(Collect {
            input,
            sort: vec![time],
        }),
    );
}

fn sink(
    input: NodeId,
    table: OutputTable,
    sort: Vec<usize>,
    partition: Option<usize>,
    plan: &mut DataflowPlan,
) {
    let label = format!("table {}", table.name);
    let schema = plan.node(input).schema.clone();
    let sink = Sink {
        input,
        under: Vec::new(),
        table,
        distinct: vec![],
        sort,
        partition,
        days: None,
    };
    plan.add(label, schema, Operator::Sink(sink));
}
