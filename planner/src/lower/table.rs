//! The rows of a small table as they are.

use crate::naming::PARTITION_COLUMN;
use crate::physical::{Collect, DataflowPlan, DayFilter, Operator};
use crate::schema::Schema;
use crate::time::PartitionRange;

use super::left::{all_columns, columns_only};
use super::right::scan;

/// The plan that hands on these days of a table, sorted, under the table's name.
pub fn table_rows(table: &str, schema: &Schema, days: PartitionRange) -> DataflowPlan {
    let mut plan = DataflowPlan::default();
    let filter = DayFilter {
        column: PARTITION_COLUMN.into(),
        range: Some(days),
    };
    let rows = scan(&mut plan, table, schema, &Some(filter));
    let all = Operator::Project(columns_only(rows, all_columns(schema)));
    let input = plan.add(format!("rows of {table}"), schema.clone(), all);
    let day = schema
        .fields
        .iter()
        .position(|field| field.name == PARTITION_COLUMN);
    let collect = Collect {
        input,
        sort: day.into_iter().collect(),
    };
    plan.add(table, schema.clone(), Operator::Collect(collect));
    super::finished(plan)
}
