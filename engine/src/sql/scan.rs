//! Rows of a table: the partitions, row groups and columns that the scan's conditions leave, read ahead on a thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion_common::Result;
use datafusion_physical_plan::ExecutionPlan;
use datafusion_physical_plan::stream::RecordBatchReceiverStream;
use unskewed_connectors::table::{Comparison, Literal, Operator, Selection, Split, Warehouse};
use unskewed_planner::expr::{Expr, ExprKind, Literal as Constant};
use unskewed_planner::schema::{DataType, Schema};

use super::rows::Filter;
use super::step::{Step, StepExec, Stepped, external};

/// Batches read ahead.
const AHEAD: usize = 4;

/// Rows read, counted from many threads.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted(Arc<AtomicU64>);

impl Counted {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, rows: usize) {
        self.0.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

/// A scan, and about how many rows it gives.
pub(super) fn scan(
    warehouse: &Warehouse,
    name: &str,
    schema: &Schema,
    filters: &[Expr],
    counted: &Counted,
) -> Stepped<(Arc<dyn ExecutionPlan>, u64)> {
    let table = warehouse.table(name)?;
    let partition_columns = table.partition_columns()?;
    let mut selection = Selection::all();
    let mut comparisons = Vec::new();
    for comparison in filters.iter().flat_map(|f| comparisons_of(f, schema)) {
        let partition = partition_columns
            .iter()
            .find(|c| c.eq_ignore_ascii_case(&comparison.column));
        match (partition, &comparison.literal) {
            (Some(column), Literal::String(text)) => {
                let bound = Some(text.as_str());
                selection = match comparison.operator {
                    Operator::Equal => selection.between(column, bound, bound),
                    Operator::Less | Operator::LessOrEqual => {
                        selection.between(column, None, bound)
                    }
                    Operator::Greater | Operator::GreaterOrEqual => {
                        selection.between(column, bound, None)
                    }
                };
            }
            (Some(_), _) => {}
            (None, _) => comparisons.push(comparison),
        }
    }
    let splits = table.splits(&selection)?;
    let rows = splits.iter().map(|split| split.rows).sum();
    let reading = Reading {
        splits: Arc::new(splits),
        schema: schema.clone(),
        comparisons: Arc::new(comparisons),
        filters: filters.into(),
        counted: counted.clone(),
    };
    let arrow = Arc::new(schema.to_arrow());
    let plan = StepExec::leaf("scan", arrow, Arc::new(move |schema| reading.start(schema)));
    Ok((plan, rows))
}

#[derive(Clone)]
struct Reading {
    splits: Arc<Vec<Split>>,
    schema: Schema,
    comparisons: Arc<Vec<Comparison>>,
    filters: Arc<[Expr]>,
    counted: Counted,
}

impl Reading {
    fn start(
        &self,
        schema: arrow_schema::SchemaRef,
    ) -> Result<datafusion_execution::SendableRecordBatchStream> {
        let mut builder = RecordBatchReceiverStream::builder(schema, AHEAD);
        let sender = builder.tx();
        let reading = self.clone();
        builder.spawn_blocking(move || {
            let sent = reading.read(&mut |batch| sender.blocking_send(Ok(batch)).is_ok());
            sent.map_err(external)
        });
        Ok(builder.build())
    }

    /// Gives batches on until all are read, or nobody wants more.
    fn read(&self, give: &mut dyn FnMut(arrow_array::RecordBatch) -> bool) -> Stepped<()> {
        let conditions = self.filters.iter().map(unskewed_kernel::eval::Program::new);
        let mut filter = Filter {
            conditions: conditions.collect::<std::result::Result<_, _>>()?,
        };
        let mut ready = std::collections::VecDeque::new();
        for split in self.splits.iter() {
            let mut reader = split.open(&self.schema, &self.comparisons)?;
            while let Some(batch) = reader.next_batch()? {
                self.counted.add(batch.num_rows());
                filter.push(&batch, &mut ready)?;
                while let Some(batch) = ready.pop_front() {
                    if batch.num_rows() > 0 && !give(batch) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}

/// What a condition says of single columns, as far as it is a comparison with a constant.
fn comparisons_of(filter: &Expr, schema: &Schema) -> Vec<Comparison> {
    let ExprKind::Call {
        function,
        arguments,
    } = &filter.kind
    else {
        return Vec::new();
    };
    if *function == "and" {
        return arguments
            .iter()
            .flat_map(|a| comparisons_of(a, schema))
            .collect();
    }
    let [left, right] = arguments.as_slice() else {
        return Vec::new();
    };
    let operator = match *function {
        "=" => Operator::Equal,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        _ => return Vec::new(),
    };
    let pair = match (&left.kind, &right.kind) {
        (ExprKind::Column(column), ExprKind::Literal(value)) => {
            Some((*column, operator, value, &right.data_type))
        }
        (ExprKind::Literal(value), ExprKind::Column(column)) => {
            Some((*column, turned(operator), value, &left.data_type))
        }
        _ => None,
    };
    let found = pair.and_then(|(column, operator, value, data_type)| {
        let literal = literal(value, data_type)?;
        Some(Comparison::new(
            &schema.fields[column].name,
            operator,
            literal,
        ))
    });
    found.into_iter().collect()
}

fn turned(operator: Operator) -> Operator {
    match operator {
        Operator::Equal => Operator::Equal,
        Operator::Less => Operator::Greater,
        Operator::LessOrEqual => Operator::GreaterOrEqual,
        Operator::Greater => Operator::Less,
        Operator::GreaterOrEqual => Operator::LessOrEqual,
    }
}

fn literal(value: &Constant, data_type: &DataType) -> Option<Literal> {
    Some(match (value, data_type) {
        (
            Constant::Integer(value),
            DataType::Byte | DataType::Short | DataType::Int | DataType::Long,
        ) => Literal::Long(*value),
        (Constant::Integer(days), DataType::Date) => Literal::DateDays(i32::try_from(*days).ok()?),
        (Constant::Integer(micros), DataType::Timestamp | DataType::TimestampNtz) => {
            Literal::TimestampMicros(*micros)
        }
        (Constant::Double(value), _) => Literal::Double(*value),
        (Constant::String(text), _) => Literal::String(text.clone()),
        _ => return None,
    })
}
