//! Joins: keys laid out for comparing, the smaller side held in memory; where memory is limited, sorted and merged.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType as ArrowType, Schema as ArrowSchema, SchemaRef, SortOptions};
use datafusion_common::{JoinSide, JoinType, NullEquality, Result};
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion_physical_plan::joins::utils::{ColumnIndex, JoinFilter, JoinOn};
use datafusion_physical_plan::joins::{
    HashJoinExec, NestedLoopJoinExec, PartitionMode, SortMergeJoinExec,
};
use datafusion_physical_plan::sorts::sort::SortExec;
use datafusion_physical_plan::{ColumnarValue, ExecutionPlan};
use unskewed_kernel::eval::Program;
use unskewed_planner::expr::Expr;
use unskewed_planner::query::tree::{Join, JoinKind};
use unskewed_planner::schema::{DataType, Schema};

use super::key::{Layout, layout};
use super::render::{Rendered, Renderer, kept, with_keys};
use super::step::external;

/// The sides of a join, as DataFusion takes them.
struct Sides {
    left: Arc<dyn ExecutionPlan>,
    right: Arc<dyn ExecutionPlan>,
    left_width: usize,
    right_width: usize,
    on: JoinOn,
    filter: Option<JoinFilter>,
    kind: JoinType,
}

impl Renderer<'_> {
    pub(super) fn join(&self, join: &Join, schema: &Schema) -> Result<Rendered> {
        let (left, left_rows) = self.relation(&join.left)?;
        let (right, right_rows) = self.relation(&join.right)?;
        let layouts: Vec<Layout> = join
            .keys
            .iter()
            .map(|key| layout(&key.left.data_type, key.null_safe))
            .collect();
        let keys = |right: bool| {
            let keys = join.keys.iter().zip(&layouts);
            let side = move |(key, layout): (&unskewed_planner::query::tree::JoinKey, &Layout)| {
                let expr = if right { &key.right } else { &key.left };
                (expr.clone(), *layout)
            };
            keys.map(side).collect::<Vec<_>>()
        };
        let (left, left_width) = with_keys(left, keys(false));
        let (right, right_width) = with_keys(right, keys(true));
        let on = (0..join.keys.len()).map(|i| {
            let column = |plan: &Arc<dyn ExecutionPlan>, index: usize| {
                let name = plan.schema().field(index).name().clone();
                Arc::new(Column::new(&name, index)) as Arc<dyn PhysicalExpr>
            };
            (
                column(&left, left_width + i),
                column(&right, right_width + i),
            )
        });
        let sides = Sides {
            on: on.collect(),
            filter: filter(join, (&left, left_width), (&right, right_width))?,
            left,
            right,
            left_width,
            right_width,
            kind: join_type(join.kind),
        };
        let rows = estimate(join, left_rows, right_rows);
        let swap = right_rows < left_rows;
        let plan = match () {
            () if join.keys.is_empty() => nested(sides, swap, schema)?,
            () if self.bounded => merged(sides, schema)?,
            () => hashed(sides, swap, schema)?,
        };
        Ok((plan, rows))
    }
}

fn estimate(join: &Join, left: u64, right: u64) -> u64 {
    match join.kind {
        JoinKind::Semi | JoinKind::Anti => left,
        _ if join.keys.is_empty() && join.conditions.is_empty() => left.saturating_mul(right),
        _ => left.max(right),
    }
}

fn join_type(kind: JoinKind) -> JoinType {
    match kind {
        JoinKind::Inner => JoinType::Inner,
        JoinKind::Left => JoinType::Left,
        JoinKind::Right => JoinType::Right,
        JoinKind::Full => JoinType::Full,
        JoinKind::Semi => JoinType::LeftSemi,
        JoinKind::Anti => JoinType::LeftAnti,
    }
}

/// The conditions that are no keys, over the columns that they read.
fn filter(
    join: &Join,
    (left, left_width): (&Arc<dyn ExecutionPlan>, usize),
    (right, _): (&Arc<dyn ExecutionPlan>, usize),
) -> Result<Option<JoinFilter>> {
    let condition = match join.conditions.as_slice() {
        [] => return Ok(None),
        [one] => one.clone(),
        many => Expr::call("and", many.to_vec(), DataType::Boolean),
    };
    let read = condition.columns();
    // Rows of no column cannot be counted: any column will do.
    let read = if read.is_empty() { vec![0] } else { read };
    let mut indices = Vec::new();
    let mut fields = Vec::new();
    for column in &read {
        let (side, index, schema) = match *column < left_width {
            true => (JoinSide::Left, *column, left.schema()),
            false => (JoinSide::Right, column - left_width, right.schema()),
        };
        indices.push(ColumnIndex { index, side });
        fields.push(Arc::clone(&schema.fields()[index]));
    }
    let moved =
        condition.with_columns(&|column| read.iter().position(|c| *c == column).unwrap_or(0));
    let program = Program::new(&moved).map_err(|error| external(error.into()))?;
    let expression = Arc::new(Condition(Arc::new(program)));
    let schema = Arc::new(ArrowSchema::new(fields));
    Ok(Some(JoinFilter::new(expression, indices, schema)))
}

/// The left and right columns of a join's output without its keys.
fn columns_kept(sides: &Sides, swapped: bool) -> Vec<usize> {
    let all = sides.left.schema().fields().len();
    let right_all = sides.right.schema().fields().len();
    let (left_first, right_first) = match swapped {
        true => (right_all, 0),
        false => (0, all),
    };
    let left = left_first..left_first + sides.left_width;
    let right = right_first..right_first + sides.right_width;
    match sides.kind {
        JoinType::LeftSemi | JoinType::LeftAnti => (0..sides.left_width).collect(),
        _ => left.chain(right).collect(),
    }
}

/// Held in memory: the left side of the plan, so the smaller one is put there.
fn hashed(sides: Sides, swap: bool, schema: &Schema) -> Result<Arc<dyn ExecutionPlan>> {
    let columns = columns_kept(&sides, swap);
    let schema: SchemaRef = Arc::new(schema.to_arrow());
    let (left, right, on, filter, kind) = match swap {
        false => (sides.left, sides.right, sides.on, sides.filter, sides.kind),
        true => {
            let on = sides.on.into_iter().map(|(l, r)| (r, l)).collect();
            let filter = sides.filter.map(|filter| filter.swap());
            (sides.right, sides.left, on, filter, sides.kind.swap())
        }
    };
    let join = HashJoinExec::try_new(
        left,
        right,
        on,
        filter,
        &kind,
        None,
        PartitionMode::CollectLeft,
        NullEquality::NullEqualsNothing,
        false,
    )?;
    Ok(kept(Arc::new(join), &schema, columns))
}

fn nested(sides: Sides, swap: bool, schema: &Schema) -> Result<Arc<dyn ExecutionPlan>> {
    let columns = columns_kept(&sides, swap);
    let schema: SchemaRef = Arc::new(schema.to_arrow());
    let (left, right, filter, kind) = match swap {
        false => (sides.left, sides.right, sides.filter, sides.kind),
        true => {
            let filter = sides.filter.map(|filter| filter.swap());
            (sides.right, sides.left, filter, sides.kind.swap())
        }
    };
    let join = NestedLoopJoinExec::try_new(left, right, filter, &kind, None)?;
    Ok(kept(Arc::new(join), &schema, columns))
}

/// Both sides sorted by their keys, which spills, and merged.
fn merged(sides: Sides, schema: &Schema) -> Result<Arc<dyn ExecutionPlan>> {
    let columns = columns_kept(&sides, false);
    let schema: SchemaRef = Arc::new(schema.to_arrow());
    let options = SortOptions::default();
    let by = |plan: Arc<dyn ExecutionPlan>, keys: Vec<Arc<dyn PhysicalExpr>>| {
        let keys = keys.into_iter();
        let order = LexOrdering::new(keys.map(|key| PhysicalSortExpr::new(key, options)));
        match order {
            Some(order) => Arc::new(SortExec::new(order, plan)) as Arc<dyn ExecutionPlan>,
            None => plan,
        }
    };
    let left_keys = sides.on.iter().map(|(l, _)| Arc::clone(l)).collect();
    let right_keys = sides.on.iter().map(|(_, r)| Arc::clone(r)).collect();
    let options = vec![options; sides.on.len()];
    let join = SortMergeJoinExec::try_new(
        by(sides.left, left_keys),
        by(sides.right, right_keys),
        sides.on,
        sides.filter,
        sides.kind,
        options,
        NullEquality::NullEqualsNothing,
    )?;
    Ok(kept(Arc::new(join), &schema, columns))
}

/// A condition of the kernel as an expression of DataFusion.
#[derive(Debug)]
struct Condition(Arc<Program>);

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Condition {}

impl Hash for Condition {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("condition")
    }
}

impl PhysicalExpr for Condition {
    fn data_type(&self, _: &ArrowSchema) -> Result<ArrowType> {
        Ok(ArrowType::Boolean)
    }

    fn nullable(&self, _: &ArrowSchema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let values = self.0.evaluate(batch);
        let values = values.map_err(|error| external(error.into()))?;
        Ok(ColumnarValue::Array(values))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(self)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("condition")
    }
}
