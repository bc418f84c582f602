//! What an evaluator is given.

use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{ArrayRef, UInt32Array};
use unskewed_planner::schema::DataType;

use super::column::{Binaries, Booleans, Column, Lists, Maps, Primitives, Strings};
use super::frame::Frame;
use super::node::{Node, NodeKind};
use crate::error::KernelError;

/// How a function is computed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Evaluator {
    /// From the values of its arguments.
    Eager(fn(&Call<'_>) -> Result<ArrayRef, KernelError>),
    /// From the arguments themselves, which it evaluates on the rows it needs; lambdas among them.
    Lazy(fn(&Lazy<'_>) -> Result<Column, KernelError>),
}

/// A call with its arguments' values.
pub(crate) struct Call<'a> {
    pub(crate) function: &'static str,
    /// The type of each argument.
    pub(crate) types: Vec<&'a DataType>,
    pub(crate) columns: Vec<Column>,
    /// The type of the result.
    pub(crate) data_type: &'a DataType,
    /// The number of values to make: 1 if all arguments are constant.
    pub(crate) rows: usize,
}

impl Call<'_> {
    pub(crate) fn len(&self) -> usize {
        self.columns.len()
    }

    pub(crate) fn strings(&self, index: usize) -> Strings<'_> {
        self.columns[index].strings()
    }

    pub(crate) fn binaries(&self, index: usize) -> Binaries<'_> {
        self.columns[index].binaries()
    }

    pub(crate) fn booleans(&self, index: usize) -> Booleans<'_> {
        self.columns[index].booleans()
    }

    pub(crate) fn primitives<T: ArrowPrimitiveType>(&self, index: usize) -> Primitives<'_, T> {
        self.columns[index].primitives()
    }

    pub(crate) fn lists(&self, index: usize) -> Lists<'_> {
        self.columns[index].lists()
    }

    pub(crate) fn maps(&self, index: usize) -> Maps<'_> {
        self.columns[index].maps()
    }

    pub(crate) fn is_null(&self, index: usize, row: usize) -> bool {
        self.columns[index].is_null(row)
    }

    /// An error of one row.
    pub(crate) fn row_error(row: usize, message: impl Into<String>) -> KernelError {
        KernelError::Row {
            row,
            message: message.into(),
        }
    }

    pub(crate) fn unsupported(&self) -> KernelError {
        KernelError::Type {
            operation: self.function.to_owned(),
            column: "its argument".into(),
            data_type: self
                .types
                .first()
                .map_or_else(String::new, ToString::to_string),
        }
    }
}

/// A call whose arguments are not evaluated yet.
pub(crate) struct Lazy<'a> {
    pub(crate) arguments: &'a [Node],
    pub(crate) data_type: &'a DataType,
    pub(crate) frame: &'a Frame,
}

impl Lazy<'_> {
    pub(crate) fn evaluate(&self, index: usize) -> Result<Column, KernelError> {
        self.arguments[index].evaluate(self.frame)
    }

    /// Runs the lambda at `index` once for each of `rows` (rows of the frame, with repeats): the i-th run sees the i-th
    /// values of `parameters`. `None` if there is nothing to run.
    pub(crate) fn lambda(
        &self,
        index: usize,
        rows: &UInt32Array,
        parameters: &[Column],
    ) -> Result<Option<Column>, KernelError> {
        let NodeKind::Lambda {
            parameters: slots,
            body,
        } = &self.arguments[index].kind
        else {
            unreachable!("the planner puts a lambda here");
        };
        if rows.values().is_empty() {
            return Ok(None);
        }
        let mut frame = self.frame.select(rows, body);
        for (slot, column) in slots.iter().zip(parameters) {
            frame.bind(*slot, column.clone());
        }
        let result = body.evaluate(&frame);
        result
            .map(Some)
            .map_err(|error| super::frame::at_row(error, rows))
    }
}
