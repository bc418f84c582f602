//! Steps that look at one row at a time: project, filter, expand, generate, limit, the only row.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use arrow_select::take::take;
use unskewed_kernel::eval::{Program, RowGenerator};
use unskewed_planner::expr::{Expr, ExprKind, Generator};

use super::BATCH_ROWS;
use super::step::{Step, Stepped};
use crate::error::EngineError;

type Out = VecDeque<RecordBatch>;

/// A batch of these columns, which may be none.
pub(super) fn batch_of(
    schema: &SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Stepped<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::clone(schema);
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

/// A value for each row: a column as it is, or a program's.
#[derive(Debug)]
pub(super) enum Value {
    Column(usize),
    Program(Program),
}

impl Value {
    pub(super) fn new(expr: &Expr) -> Stepped<Self> {
        Ok(match expr.kind {
            ExprKind::Column(index) => Self::Column(index),
            _ => Self::Program(Program::new(expr)?),
        })
    }

    pub(super) fn all(exprs: &[Expr]) -> Stepped<Vec<Self>> {
        exprs.iter().map(Self::new).collect()
    }

    pub(super) fn of(&self, batch: &RecordBatch) -> Stepped<ArrayRef> {
        Ok(match self {
            Self::Column(index) => Arc::clone(batch.column(*index)),
            Self::Program(program) => program.evaluate(batch)?,
        })
    }

    pub(super) fn of_all(values: &[Self], batch: &RecordBatch) -> Stepped<Vec<ArrayRef>> {
        values.iter().map(|value| value.of(batch)).collect()
    }
}

/// One list of values for each row, or several.
pub(super) struct Project {
    pub(super) schema: SchemaRef,
    pub(super) lists: Vec<Vec<Value>>,
}

impl Step for Project {
    fn push(&mut self, batch: &RecordBatch, out: &mut Out) -> Stepped<()> {
        for list in &self.lists {
            let columns = Value::of_all(list, batch)?;
            out.push_back(batch_of(&self.schema, columns, batch.num_rows())?);
        }
        Ok(())
    }
}

/// The columns of the input with some values after them.
pub(super) struct Append {
    pub(super) schema: SchemaRef,
    pub(super) values: Vec<super::key::KeyValue>,
}

impl Step for Append {
    fn push(&mut self, batch: &RecordBatch, out: &mut Out) -> Stepped<()> {
        let mut columns = batch.columns().to_vec();
        for value in &mut self.values {
            columns.push(value.of(batch)?);
        }
        out.push_back(batch_of(&self.schema, columns, batch.num_rows())?);
        Ok(())
    }
}

/// Some of the columns.
pub(super) struct Keep {
    pub(super) schema: SchemaRef,
    pub(super) columns: Vec<usize>,
}

impl Step for Keep {
    fn push(&mut self, batch: &RecordBatch, out: &mut Out) -> Stepped<()> {
        let columns = self.columns.iter().map(|i| Arc::clone(batch.column(*i)));
        out.push_back(batch_of(&self.schema, columns.collect(), batch.num_rows())?);
        Ok(())
    }
}

/// The rows for which all conditions hold; a condition is not asked of rows that an earlier one dropped.
pub(super) struct Filter {
    pub(super) conditions: Vec<Program>,
}

impl Step for Filter {
    fn push(&mut self, batch: &RecordBatch, out: &mut Out) -> Stepped<()> {
        let mut kept = batch.clone();
        for condition in &self.conditions {
            if kept.num_rows() == 0 {
                return Ok(());
            }
            let selected = condition.select(&kept)?;
            if selected.true_count() < kept.num_rows() {
                kept = filter_record_batch(&kept, &selected)?;
            }
        }
        out.push_back(kept);
        Ok(())
    }
}

/// Rows repeated for what a generator makes of them.
pub(super) struct Generate {
    schema: SchemaRef,
    generator: RowGenerator,
    outer: bool,
}

impl Generate {
    pub(super) fn new(schema: SchemaRef, generator: &Generator) -> Stepped<Self> {
        Ok(Self {
            schema,
            generator: RowGenerator::new(generator)?,
            outer: generator.outer,
        })
    }
}

impl Step for Generate {
    fn push(&mut self, batch: &RecordBatch, out: &mut Out) -> Stepped<()> {
        // A row may become many: few at a time, and no more of what they become than a batch.
        let mut start = 0;
        while start < batch.num_rows() {
            let length = (batch.num_rows() - start).min(BATCH_ROWS / 8);
            let part = batch.slice(start, length);
            start += length;
            let made = self.generator.generate(&part)?;
            debug_assert!(!self.outer || made.rows.len() >= part.num_rows());
            let mut given = 0;
            while given < made.rows.len() {
                let count = (made.rows.len() - given).min(BATCH_ROWS);
                let rows: UInt32Array = made.rows.slice(given, count);
                let mut columns = Vec::with_capacity(self.schema.fields().len());
                for column in part.columns() {
                    columns.push(take(column, &rows, None)?);
                }
                columns.extend(made.columns.iter().map(|column| column.slice(given, count)));
                out.push_back(batch_of(&self.schema, columns, count)?);
                given += count;
            }
        }
        Ok(())
    }
}

/// Rows after the first `offset`, at most `left`.
pub(super) struct Limit {
    pub(super) offset: usize,
    pub(super) left: Option<usize>,
}

impl Step for Limit {
    fn push(&mut self, batch: &RecordBatch, out: &mut Out) -> Stepped<()> {
        let skipped = self.offset.min(batch.num_rows());
        self.offset -= skipped;
        let rest = batch.num_rows() - skipped;
        let taken = self.left.map_or(rest, |left| left.min(rest));
        if let Some(left) = &mut self.left {
            *left -= taken;
        }
        out.push_back(batch.slice(skipped, taken));
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.left == Some(0)
    }
}

/// Exactly one row: the only one, or nulls.
pub(super) struct Single {
    pub(super) schema: SchemaRef,
    pub(super) found: Option<RecordBatch>,
}

impl Step for Single {
    fn push(&mut self, batch: &RecordBatch, _: &mut Out) -> Stepped<()> {
        let rows = batch.num_rows() + self.found.as_ref().map_or(0, RecordBatch::num_rows);
        if rows > 1 {
            return Err(EngineError::Query {
                message: "a scalar subquery gave more than one row".into(),
            });
        }
        if rows == 1 && self.found.is_none() {
            self.found = Some(batch.clone());
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Out) -> Stepped<()> {
        let batch = match self.found.take() {
            Some(batch) => batch,
            None => {
                let fields = self.schema.fields().iter();
                let nulls = fields.map(|field| new_null_array(field.data_type(), 1));
                batch_of(&self.schema, nulls.collect(), 1)?
            }
        };
        out.push_back(batch);
        Ok(())
    }
}
