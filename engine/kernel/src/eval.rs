//! Typed expressions, run column by column.
//!
//! [`Program::new`] compiles an `Expr` of the planner once; [`Program::evaluate`] runs it on batches. Arrays come in and go
//! out in canonical form (`DataType::to_arrow`).
//! Promises: Spark 3.5's values (ANSI off), the same on every run; the errors of values that are not needed (branches of
//! CASE not taken, later arguments of `coalesce`, right sides of AND and OR) are not raised, for those are evaluated on the
//! rows that need them only. An error names its row. Never reads a clock, never draws a random number.

mod build;
mod call;
mod cast;
mod column;
mod decimal;
mod frame;
mod functions;
mod generate;
pub mod java;
mod literal;
mod node;
mod order;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, new_empty_array};
use unskewed_planner::expr::Expr;
use unskewed_planner::schema::DataType;

pub use functions::evaluators;
pub use generate::{Generated, RowGenerator};

use crate::error::KernelError;
use frame::Frame;
use node::Node;

/// A compiled expression.
#[derive(Debug)]
pub struct Program {
    root: Node,
}

impl Program {
    /// Compiles; fails if a function of the catalogue has no evaluator.
    pub fn new(expr: &Expr) -> Result<Self, KernelError> {
        Ok(Self {
            root: Node::compile(expr)?,
        })
    }

    /// The type of the result.
    pub fn data_type(&self) -> &DataType {
        &self.root.data_type
    }

    /// One value for each row of the batch.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef, KernelError> {
        if batch.num_rows() == 0 {
            return Ok(new_empty_array(&self.root.data_type.to_arrow()));
        }
        let frame = Frame::of_batch(batch);
        Ok(self.root.evaluate(&frame)?.expand(batch.num_rows()))
    }

    /// The rows for which a condition is true; null counts as false.
    pub fn select(&self, batch: &RecordBatch) -> Result<BooleanArray, KernelError> {
        let values = self.evaluate(batch)?;
        let condition = values
            .as_any()
            .downcast_ref::<BooleanArray>()
            .ok_or_else(|| KernelError::Type {
                operation: "a condition".into(),
                column: "the expression".into(),
                data_type: self.root.data_type.to_string(),
            })?;
        Ok(match condition.nulls() {
            None => condition.clone(),
            Some(nulls) => BooleanArray::new(condition.values() & nulls.inner(), None),
        })
    }
}
