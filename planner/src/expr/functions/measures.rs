//! What statistics and comparisons measure of values, and how logs are read. Users cannot write these: their names
//! have blanks.

use super::{Function, Takes};
use crate::schema::DataType;

pub(super) fn functions() -> Vec<Function> {
    let doubles = DataType::array(DataType::Double);
    vec![
        Function::custom(&["edit distance inserts"], 2..=2, |call| {
            call.returns(DataType::Int)
        }),
        Function::custom(&["edit distance deletes"], 2..=2, |call| {
            call.returns(DataType::Int)
        }),
        Function::custom(&["values differ"], 2..=2, |call| {
            call.returns(DataType::Boolean)
        }),
        // Typed by the schema that is its second argument.
        Function::custom(&["logged record"], 2..=2, |call| {
            call.returns(DataType::Struct(vec![]))
        }),
        Function::new(
            &["sketch quantiles"],
            [Takes::Type(DataType::Binary), Takes::Type(doubles)],
            DataType::array(DataType::Float),
        ),
    ]
}
