//! Hashes and checksums.

use super::{ANY, Call, Function, Takes, Typed, int};
use crate::schema::DataType;

pub(super) fn functions() -> Vec<Function> {
    let binary = || Takes::Type(DataType::Binary);
    vec![
        Function::custom(&["hash"], 1..=ANY, |call| hash(call, DataType::Int)),
        Function::custom(&["xxhash64"], 1..=ANY, |call| hash(call, DataType::Long)),
        Function::new(&["crc32"], [binary()], DataType::Long),
        Function::new(&["md5"], [binary()], DataType::String),
        Function::new(&["sha1", "sha"], [binary()], DataType::String),
        Function::new(&["sha2"], [binary(), int()], DataType::String),
    ]
}

/// Maps have no order of entries, so they have no hash.
fn hash(call: Call<'_, '_>, returns: DataType) -> Typed {
    if let Some(map) = call.arguments.iter().find(|a| has_map(&a.data_type)) {
        let message = format!(
            "{} cannot take {}, which holds a map",
            call.name, map.data_type
        );
        return call.fail(message);
    }
    call.returns(returns)
}

fn has_map(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(..) => true,
        DataType::Array(element) => has_map(element),
        DataType::Struct(fields) => fields.iter().any(|f| has_map(&f.data_type)),
        _ => false,
    }
}
