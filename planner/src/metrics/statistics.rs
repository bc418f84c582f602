//! Statistics of a table's columns: how many nulls, how numbers are spread, how many rows.

use super::{Metric, is_number, over, quantiles};
use crate::aggregation::{Arguments, Operation};
use crate::schema::{DataType, Schema};

/// Columns that are never measured, keys aside.
pub const STATISTICS_IGNORED: [&str; 5] = ["ts", "ds", "date_key", "date", "datestamp"];

/// The fractions at which quantiles are shown, as the reference writes them.
pub const FINALIZED_FRACTIONS: [&str; 21] = [
    "0.01", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3", "0.35", "0.4", "0.45", "0.5", "0.55",
    "0.6", "0.65", "0.7", "0.75", "0.8", "0.85", "0.9", "0.95", "0.99",
];

/// The metrics of every column but these, sorted by the column's name; the number of rows last.
pub fn statistics(schema: &Schema, except: &[String]) -> Vec<Metric> {
    let measured = |name: &str| {
        !STATISTICS_IGNORED.contains(&name) && !except.iter().any(|other| other == name)
    };
    let fields = schema.fields.iter().enumerate();
    let mut fields: Vec<_> = fields.filter(|(_, field)| measured(&field.name)).collect();
    fields.sort_by_key(|(_, field)| field.name.as_str());
    let mut metrics = vec![];
    for (index, field) in fields {
        let is_null = over(schema, &format!("c{index} IS NULL"));
        let name = format!("{}__null", field.name);
        metrics.push(Metric::new(
            &name,
            is_null,
            Operation::Sum,
            Arguments::default(),
        ));
        if is_number(&field.data_type) && field.data_type != DataType::Byte {
            let fractions = FINALIZED_FRACTIONS
                .iter()
                .filter_map(|text| text.parse().ok());
            let value = over(schema, &format!("c{index}"));
            let arguments = quantiles(fractions.collect());
            let operation = Operation::ApproxPercentile;
            metrics.push(Metric::new(&field.name, value, operation, arguments));
        }
    }
    metrics.push(Metric::new(
        "total",
        over(schema, "true"),
        Operation::Count,
        Arguments::default(),
    ));
    metrics
}
