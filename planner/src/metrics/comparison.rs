//! What is measured of two tables side by side: where one lacks a value, where values differ, and by how much.

use super::{Metric, is_number, over, quantiles};
use crate::aggregation::{Arguments, Operation};
use crate::expr::Expr;
use crate::schema::{DataType, Field, Schema};

/// Quantiles of differences are at multiples of one over this.
const BINS: u32 = 41;

/// A column of both sides: its name, and where it stands beside each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The name, that of the left side.
    pub name: String,
    /// The type of both.
    pub data_type: DataType,
    /// Position of the left side's value.
    pub left: usize,
    /// Position of the right side's value.
    pub right: usize,
}

/// The columns of the compared rows: keys, the left side's values, the right side's values.
pub fn comparison_columns(keys: &[Field], left: &[Field], right: &[Field]) -> Schema {
    let suffixed = |fields: &[Field], suffix: &str| -> Vec<Field> {
        let renamed =
            |field: &Field| Field::new(format!("{}{suffix}", field.name), field.data_type.clone());
        fields.iter().map(renamed).collect()
    };
    let mut fields = keys.to_vec();
    fields.extend(suffixed(left, "_left"));
    fields.extend(suffixed(right, "_right"));
    Schema::new(fields)
}

/// The metrics of every compared column, in their order.
pub fn comparison(schema: &Schema, columns: &[Compared]) -> Vec<Metric> {
    let metrics = columns.iter().flat_map(|column| {
        let (left, right) = (format!("c{}", column.left), format!("c{}", column.right));
        Sides {
            schema,
            column,
            left,
            right,
        }
        .metrics()
    });
    metrics.collect()
}

/// Both values of a column, and what they are called in texts.
struct Sides<'a> {
    schema: &'a Schema,
    column: &'a Compared,
    left: String,
    right: String,
}

impl Sides<'_> {
    fn metrics(&self) -> Vec<Metric> {
        let Self {
            left: l, right: r, ..
        } = self;
        let mut metrics = vec![
            self.count("both_null", &format!("{l} IS NULL AND {r} IS NULL")),
            self.count("left_null", &format!("{l} IS NULL AND {r} IS NOT NULL")),
            self.count("right_null", &format!("{l} IS NOT NULL AND {r} IS NULL")),
        ];
        match &self.column.data_type {
            number if is_number(number) => metrics.extend(self.of_numbers()),
            DataType::Array(_) => metrics.extend(self.of_lists()),
            _ => {}
        }
        let differs = self.call("values differ", DataType::Boolean);
        metrics.push(self.metric("mismatch", differs, Operation::Sum, Arguments::default()));
        let all = over(self.schema, "true");
        metrics.push(self.metric("total", all, Operation::Count, Arguments::default()));
        metrics
    }

    /// The symmetric mean absolute percentage error, which is nothing where a side lacks its value, and spreads.
    fn of_numbers(&self) -> Vec<Metric> {
        let Self {
            left: l, right: r, ..
        } = self;
        let sum = format!("(abs({l}) + abs({r}))");
        let smape = format!(
            "CASE WHEN {sum} != 0.0D THEN CAST(abs({l} - {r}) * 2 AS DOUBLE) / {sum} ELSE 0.0D END"
        );
        let smape = over(self.schema, &smape);
        // Sketches take no bytes.
        let wide = |text: String| match self.column.data_type {
            DataType::Byte => over(self.schema, &format!("CAST({text} AS INT)")),
            _ => over(self.schema, &text),
        };
        vec![
            self.metric("smape", smape, Operation::Average, Arguments::default()),
            self.spread("left_minus_right", wide(format!("{l} - {r}"))),
            self.spread("left", wide(l.clone())),
            self.spread("right", wide(r.clone())),
        ]
    }

    fn of_lists(&self) -> Vec<Metric> {
        let Self {
            left: l, right: r, ..
        } = self;
        let length = |side: &str| over(self.schema, &format!("size({side})"));
        let both = format!("{l} IS NOT NULL AND {r} IS NOT NULL");
        let edits = |function| self.call(function, DataType::Int);
        vec![
            self.spread("edit_distance_insert", edits("edit distance inserts")),
            self.spread("edit_distance_delete", edits("edit distance deletes")),
            self.spread("left_length", length(l)),
            self.spread("right_length", length(r)),
            self.count(
                "mismatch_length",
                &format!("{both} AND size({l}) != size({r})"),
            ),
        ]
    }

    fn call(&self, function: &'static str, data_type: DataType) -> Expr {
        let sides = [&self.left, &self.right].map(|side| over(self.schema, side));
        Expr::call(function, sides.into(), data_type)
    }

    fn metric(
        &self,
        suffix: &str,
        value: Expr,
        operation: Operation,
        arguments: Arguments,
    ) -> Metric {
        Metric::new(
            &format!("{}_{suffix}", self.column.name),
            value,
            operation,
            arguments,
        )
    }

    fn count(&self, suffix: &str, condition: &str) -> Metric {
        let value = over(self.schema, condition);
        self.metric(suffix, value, Operation::Sum, Arguments::default())
    }

    fn spread(&self, suffix: &str, value: Expr) -> Metric {
        let fractions = (0..=BINS).map(|i| f64::from(i) / f64::from(BINS)).collect();
        self.metric(
            suffix,
            value,
            Operation::ApproxPercentile,
            quantiles(fractions),
        )
    }
}
