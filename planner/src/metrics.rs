//! What is measured of columns: for statistics of a table, and for the comparison of two tables.
//!
//! Promises: names, order and operations are those that readers of the reference's statistics rely on; an expression
//! names columns by position, so that no name of a column can be misread. Never touches data.

mod comparison;
mod statistics;
#[cfg(test)]
mod tests;

pub use comparison::{Compared, comparison, comparison_columns};
pub use statistics::{FINALIZED_FRACTIONS, STATISTICS_IGNORED, statistics};

use crate::aggregation::{AggregatePart, Arguments, Operation, PartSpec};
use crate::expr::{self, Expr};
use crate::schema::{DataType, Field, Schema};
use crate::time::Window;

/// A value of each row, and how the values of a bucket are aggregated.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The value, over the columns measured.
    pub value: Expr,
    /// The aggregation; its output name is the metric's.
    pub part: AggregatePart,
}

impl Metric {
    /// `operation` over values called `name`.
    pub fn new(name: &str, value: Expr, operation: Operation, arguments: Arguments) -> Self {
        let spec = PartSpec {
            input: name.into(),
            operation,
            arguments,
            window: Window::Unbounded,
            bucket: None,
            element_wise: false,
        };
        let source = Schema::new(vec![Field::new(name, value.data_type.clone())]);
        let part = spec.typed(&source);
        let part = part.expect("metrics give operations values that they take");
        Self { value, part }
    }
}

/// An expression over columns of a relation, which the text calls `c` and their position.
pub fn over(schema: &Schema, text: &str) -> Expr {
    let column =
        |(index, field): (usize, &Field)| Field::new(format!("c{index}"), field.data_type.clone());
    let positions = Schema::new(schema.fields.iter().enumerate().map(column).collect());
    let bound = expr::parse(text).and_then(|ast| expr::bind(&ast, &positions));
    bound.expect("the text is of the house's own making and its columns were typed")
}

/// Whether statistics treat values as numbers.
pub fn is_number(data_type: &DataType) -> bool {
    use DataType::{Byte, Double, Float, Int, Long, Short};
    matches!(data_type, Byte | Short | Int | Long | Float | Double)
}

/// Arguments of a sketch of quantiles.
fn quantiles(fractions: Vec<f64>) -> Arguments {
    Arguments {
        k: Operation::ApproxPercentile.default_k(),
        percentiles: fractions,
    }
}
