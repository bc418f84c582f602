//! Making structs.

use super::{Entry, eager};
use crate::eval::build;

pub(super) fn functions() -> Vec<Entry> {
    vec![eager("struct", |call| {
        let columns = call.columns.iter().map(|column| column.expand(call.rows));
        build::structs(columns.collect(), call.rows, None, call.data_type)
    })]
}
