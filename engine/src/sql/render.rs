//! The relational tree as DataFusion's plan of operators: one for one, no further decision but which side of a join is
//! held in memory.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{SchemaRef, SortOptions};
use datafusion_common::Result;
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion_physical_plan::ExecutionPlan;
use datafusion_physical_plan::sorts::sort::SortExec;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use unskewed_connectors::table::Warehouse;
use unskewed_kernel::eval::Program;
use unskewed_planner::expr::{Expr, Generator};
use unskewed_planner::query::tree::{Operator, Relation, SortKey};
use unskewed_planner::schema::Schema;

use super::group::{Group, Grouping};
use super::key::{KeyValue, layout};
use super::rows::{Append, Filter, Generate, Keep, Limit, Project, Single, Value, batch_of};
use super::scan::{Counted, scan};
use super::step::{MakeStep, Step, StepExec, Stepped, external};
use super::window::{Window, WindowPlan};
use crate::error::EngineError;

/// A plan, and about how many rows it gives.
pub(super) type Rendered = (Arc<dyn ExecutionPlan>, u64);

/// Renders trees.
pub(super) struct Renderer<'a> {
    pub(super) warehouse: &'a Warehouse,
    /// Whether memory is limited.
    pub(super) bounded: bool,
    pub(super) counted: &'a Counted,
}

impl Renderer<'_> {
    /// The plan of a tree, in one partition.
    pub(super) fn render(&self, relation: &Relation) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.relation(relation)?.0)
    }

    pub(super) fn relation(&self, relation: &Relation) -> Result<Rendered> {
        let schema: SchemaRef = Arc::new(relation.schema.to_arrow());
        Ok(match &relation.operator {
            Operator::Scan { table, filters } => scan(
                self.warehouse,
                table,
                &relation.schema,
                filters,
                self.counted,
            )
            .map_err(external)?,
            Operator::Values(rows) => (values(rows, schema).map_err(external)?, rows.len() as u64),
            Operator::Range { start, end, step } => range(*start, *end, *step, schema),
            Operator::Project { input, expressions } => {
                let (input, rows) = self.relation(input)?;
                let lists = vec![expressions.clone()];
                (project(input, schema, lists), rows)
            }
            Operator::Expand { input, projections } => {
                let (input, rows) = self.relation(input)?;
                let rows = rows.saturating_mul(projections.len() as u64);
                (project(input, schema, projections.clone()), rows)
            }
            Operator::Filter { input, conditions } => {
                let (input, rows) = self.relation(input)?;
                (filtered(input, schema, conditions.clone()), rows / 3 + 1)
            }
            Operator::Join(join) => self.join(join, &relation.schema)?,
            Operator::Aggregate {
                input,
                keys,
                aggregates,
            } => {
                let (input, rows) = self.relation(input)?;
                let grouping = Grouping::new(keys, aggregates, Arc::clone(&schema));
                (self.grouped(input, keys, grouping)?, rows / 4 + 1)
            }
            Operator::Window {
                input,
                partition,
                order,
                functions,
            } => {
                let fields = input.schema.clone();
                let (input, rows) = self.relation(input)?;
                let plan =
                    WindowPlan::new(&fields, partition, order, functions, Arc::clone(&schema));
                (windowed(input, &fields, plan)?, rows)
            }
            Operator::Generate { input, generator } => {
                let (input, rows) = self.relation(input)?;
                let generated = generated(input, schema, generator.clone());
                (generated, rows.saturating_mul(4))
            }
            Operator::Sort { input, keys } => {
                let fields = input.schema.clone();
                let (input, rows) = self.relation(input)?;
                (sorted(input, &fields, keys, false)?, rows)
            }
            Operator::Limit {
                input,
                offset,
                limit,
            } => {
                let (input, rows) = self.relation(input)?;
                let given = limit.map_or(rows, |limit| rows.min(limit as u64));
                (limited(input, schema, *offset, *limit), given)
            }
            Operator::Union(inputs) => self.union(inputs, &schema)?,
            Operator::Single(input) => (single(self.relation(input)?.0, schema), 1),
        })
    }

    /// The rows of each input, one input after the other.
    fn union(&self, inputs: &[Relation], schema: &SchemaRef) -> Result<Rendered> {
        let mut plans: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        let mut rows = 0_u64;
        for input in inputs {
            let (plan, some) = self.relation(input)?;
            rows = rows.saturating_add(some);
            plans.push(renamed(plan, schema, input.width()));
        }
        Ok((
            StepExec::one_after_the_other(plans, Arc::clone(schema)),
            rows,
        ))
    }

    /// Groups by hashing, or, where memory is limited, one after the other in sorted rows.
    fn grouped(
        &self,
        input: Arc<dyn ExecutionPlan>,
        keys: &[Expr],
        grouping: Grouping,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let sorted = self.bounded && !keys.is_empty();
        let input = match sorted {
            true => {
                let fields = Schema::from_arrow(&input.schema()).map_err(|e| {
                    external(EngineError::Query {
                        message: e.to_string(),
                    })
                })?;
                let order: Vec<SortKey> = keys.iter().map(rising).collect();
                self::sorted(input, &fields, &order, false)?
            }
            false => input,
        };
        let schema = Arc::clone(&grouping.schema);
        let make: Arc<MakeStep> = Arc::new(move |context| {
            Ok(Box::new(Group::new(&grouping, sorted, context)?) as Box<dyn Step>)
        });
        Ok(StepExec::over("aggregate", input, schema, make))
    }
}

fn rising(expr: &Expr) -> SortKey {
    SortKey {
        expr: expr.clone(),
        descending: false,
        nulls_first: true,
    }
}

type Plan = Arc<dyn ExecutionPlan>;

/// A step over the rows of an input, made anew for each run.
fn step<S: Step + 'static>(
    name: &'static str,
    input: Plan,
    schema: SchemaRef,
    make: impl Fn() -> Stepped<S> + Send + Sync + 'static,
) -> Plan {
    let make: Arc<MakeStep> = Arc::new(move |_| Ok(Box::new(make()?) as Box<dyn Step>));
    StepExec::over(name, input, schema, make)
}

fn filtered(input: Plan, schema: SchemaRef, conditions: Vec<Expr>) -> Plan {
    step("filter", input, schema, move || {
        let programs = conditions.iter().map(Program::new);
        let conditions = programs.collect::<std::result::Result<_, _>>()?;
        Ok(Filter { conditions })
    })
}

fn generated(input: Plan, schema: SchemaRef, generator: Generator) -> Plan {
    let given = Arc::clone(&schema);
    step("generate", input, schema, move || {
        Generate::new(Arc::clone(&given), &generator)
    })
}

fn limited(input: Plan, schema: SchemaRef, offset: usize, left: Option<usize>) -> Plan {
    step("limit", input, schema, move || Ok(Limit { offset, left }))
}

fn single(input: Plan, schema: SchemaRef) -> Plan {
    let given = Arc::clone(&schema);
    step("single", input, schema, move || {
        let (schema, found) = (Arc::clone(&given), None);
        Ok(Single { schema, found })
    })
}

fn project(
    input: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    lists: Vec<Vec<Expr>>,
) -> Arc<dyn ExecutionPlan> {
    let given = Arc::clone(&schema);
    step("project", input, schema, move || {
        let lists = lists.iter().map(|list| Value::all(list));
        let lists = lists.collect::<Stepped<_>>()?;
        let schema = Arc::clone(&given);
        Ok(Project { schema, lists })
    })
}

/// The first columns, under the names of `schema`.
pub(super) fn renamed(
    input: Arc<dyn ExecutionPlan>,
    schema: &SchemaRef,
    width: usize,
) -> Arc<dyn ExecutionPlan> {
    if input.schema() == *schema {
        return input;
    }
    kept(input, schema, (0..width).collect())
}

/// These columns, under the names of `schema`.
pub(super) fn kept(
    input: Arc<dyn ExecutionPlan>,
    schema: &SchemaRef,
    columns: Vec<usize>,
) -> Arc<dyn ExecutionPlan> {
    let given = Arc::clone(schema);
    step("keep", input, Arc::clone(schema), move || {
        let (schema, columns) = (Arc::clone(&given), columns.clone());
        Ok(Keep { schema, columns })
    })
}

/// The columns of the input, then a key for each expression; answers the place of the first.
pub(super) fn with_keys(
    input: Arc<dyn ExecutionPlan>,
    keys: Vec<(Expr, super::key::Layout)>,
) -> (Arc<dyn ExecutionPlan>, usize) {
    let before = input.schema().fields().len();
    let mut fields: Vec<Arc<arrow_schema::Field>> = input.schema().fields().to_vec();
    for (index, (expr, layout)) in keys.iter().enumerate() {
        let data_type = super::key::key_type(&expr.data_type, *layout);
        let field = arrow_schema::Field::new(format!("key {index}"), data_type, true);
        fields.push(Arc::new(field));
    }
    let schema: SchemaRef = Arc::new(arrow_schema::Schema::new(fields));
    let given = Arc::clone(&schema);
    let make: Arc<MakeStep> = Arc::new(move |_| {
        let values = keys
            .iter()
            .map(|(expr, layout)| KeyValue::new(expr, *layout));
        let values = values.collect::<Stepped<_>>()?;
        let schema = Arc::clone(&given);
        Ok(Box::new(Append { schema, values }) as Box<dyn Step>)
    });
    (StepExec::over("keys", input, schema, make), before)
}

/// The rows in order; rows of equal keys in the order they came in. The keys stay behind the columns if asked for.
pub(super) fn sorted(
    input: Arc<dyn ExecutionPlan>,
    fields: &Schema,
    keys: &[SortKey],
    keep_keys: bool,
) -> Result<Arc<dyn ExecutionPlan>> {
    let layouts = keys
        .iter()
        .map(|key| (key.expr.clone(), layout(&key.expr.data_type, false)));
    let (input, first) = with_keys(input, layouts.collect());
    let keyed = input.schema();
    let (input, position) = super::window::numbered(input);
    let column = |index: usize| Arc::new(Column::new(input.schema().field(index).name(), index));
    let sort = |(index, key): (usize, &SortKey)| {
        let options = SortOptions {
            descending: key.descending,
            nulls_first: key.nulls_first,
        };
        PhysicalSortExpr::new(column(first + index), options)
    };
    let mut order: Vec<PhysicalSortExpr> = keys.iter().enumerate().map(sort).collect();
    order.push(PhysicalSortExpr::new(
        column(position),
        SortOptions::default(),
    ));
    let Some(order) = LexOrdering::new(order) else {
        return Ok(input);
    };
    let sorted: Arc<dyn ExecutionPlan> = Arc::new(SortExec::new(order, input));
    let width = fields.fields.len();
    Ok(match keep_keys {
        true => kept(sorted, &keyed, (0..keyed.fields().len()).collect()),
        false => {
            let schema = Arc::new(fields.to_arrow());
            kept(sorted, &schema, (0..width).collect())
        }
    })
}

/// Rows sorted by partition and order, then the window's functions.
fn windowed(
    input: Arc<dyn ExecutionPlan>,
    fields: &Schema,
    plan: WindowPlan,
) -> Result<Arc<dyn ExecutionPlan>> {
    let keys = plan.sort_keys();
    let input = sorted(input, fields, &keys, true)?;
    let schema = Arc::clone(&plan.schema);
    let make: Arc<MakeStep> =
        Arc::new(move |context| Ok(Box::new(Window::new(&plan, context)?) as Box<dyn Step>));
    Ok(StepExec::over("window", input, schema, make))
}

/// Rows of constants.
fn values(rows: &[Vec<Expr>], schema: SchemaRef) -> Stepped<Arc<dyn ExecutionPlan>> {
    let empty: SchemaRef = Arc::new(arrow_schema::Schema::empty());
    let one = batch_of(&empty, Vec::new(), 1)?;
    let mut batches: Vec<RecordBatch> = Vec::new();
    for row in rows {
        let columns = Value::of_all(&Value::all(row)?, &one)?;
        batches.push(batch_of(&schema, columns, 1)?);
    }
    let whole = arrow_select::concat::concat_batches(&schema, &batches);
    let whole = match schema.fields().is_empty() {
        true => batch_of(&schema, Vec::new(), rows.len())?,
        false => whole?,
    };
    let make = move |schema: SchemaRef| {
        let batch = whole.clone();
        let stream = futures::stream::iter([Ok(batch)]);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream))
            as datafusion_execution::SendableRecordBatchStream)
    };
    Ok(StepExec::leaf("values", schema, Arc::new(make)))
}

/// `start, start + step, …` before `end`.
fn range(start: i64, end: i64, step: i64, schema: SchemaRef) -> Rendered {
    let rows = end.abs_diff(start) / step.unsigned_abs().max(1);
    let make = move |schema: SchemaRef| {
        let given = Arc::clone(&schema);
        let batches = Numbers {
            next: Some(start),
            end,
            step,
        };
        let batches = batches.map(move |numbers| {
            let rows = numbers.len();
            let column = Arc::new(arrow_array::Int64Array::from(numbers));
            batch_of(&given, vec![column], rows).map_err(external)
        });
        let stream = futures::stream::iter(batches);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream))
            as datafusion_execution::SendableRecordBatchStream)
    };
    (StepExec::leaf("range", schema, Arc::new(make)), rows)
}

struct Numbers {
    next: Option<i64>,
    end: i64,
    step: i64,
}

impl Iterator for Numbers {
    type Item = Vec<i64>;

    fn next(&mut self) -> Option<Vec<i64>> {
        let mut numbers = Vec::new();
        while numbers.len() < super::BATCH_ROWS
            && let Some(next) = self.next
            && (self.step > 0 && next < self.end || self.step < 0 && next > self.end)
        {
            numbers.push(next);
            self.next = next.checked_add(self.step);
        }
        (!numbers.is_empty()).then_some(numbers)
    }
}
