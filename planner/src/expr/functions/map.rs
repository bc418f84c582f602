//! Functions of maps.

use super::{ANY, Call, Function, Takes, Typed};
use crate::expr::coerce::{wider_of, wider_without_strings};
use crate::schema::{DataType, Field};

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::custom(&["map"], 0..=ANY, map),
        Function::custom(&["map_from_arrays"], 2..=2, from_arrays),
        Function::custom(&["map_from_entries"], 1..=1, from_entries),
        Function::custom(&["map_keys"], 1..=1, |mut call| {
            call.take(0, &Takes::Map)?;
            let (key, _) = call.entry(0)?;
            call.returns(DataType::array(key))
        }),
        Function::custom(&["map_values"], 1..=1, |mut call| {
            call.take(0, &Takes::Map)?;
            let (_, value) = call.entry(0)?;
            call.returns(DataType::array(value))
        }),
        Function::custom(&["map_entries"], 1..=1, |mut call| {
            call.take(0, &Takes::Map)?;
            let (key, value) = call.entry(0)?;
            let fields = vec![Field::new("key", key), Field::new("value", value)];
            call.returns(DataType::array(DataType::Struct(fields)))
        }),
        Function::custom(&["map_concat"], 0..=ANY, concat),
        Function::custom(&["map_contains_key"], 2..=2, contains_key),
    ]
}

fn holds_map(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(..) => true,
        DataType::Array(element) => holds_map(element),
        DataType::Struct(fields) => fields.iter().any(|f| holds_map(&f.data_type)),
        _ => false,
    }
}

pub(super) fn map_of(call: Call<'_, '_>, key: DataType, value: DataType) -> Typed {
    if holds_map(&key) {
        return call.fail("the key of a map cannot hold a map");
    }
    call.returns(DataType::map(key, value))
}

fn map(mut call: Call<'_, '_>) -> Typed {
    if call.len() % 2 == 1 {
        return call.fail("map takes keys and values in turn");
    }
    let types = |offset: usize| {
        let sides = call.arguments.iter().skip(offset).step_by(2);
        wider_of(sides.map(|a| &a.data_type))
    };
    let (Some(key), Some(value)) = (types(0), types(1)) else {
        return call.fail("the keys or the values of the map have no common type");
    };
    for index in 0..call.len() {
        let to = if index % 2 == 0 { &key } else { &value };
        call.cast(index, to);
    }
    map_of(call, key, value)
}

fn from_arrays(mut call: Call<'_, '_>) -> Typed {
    call.take(0, &Takes::Array)?;
    call.take(1, &Takes::Array)?;
    let (key, value) = (call.element(0)?, call.element(1)?);
    map_of(call, key, value)
}

fn from_entries(call: Call<'_, '_>) -> Typed {
    match call.element(0)? {
        DataType::Struct(fields) if fields.len() == 2 => {
            let (key, value) = (fields[0].data_type.clone(), fields[1].data_type.clone());
            map_of(call, key, value)
        }
        _ => call.fail("map_from_entries takes an array of structs of two fields"),
    }
}

fn concat(mut call: Call<'_, '_>) -> Typed {
    if call.len() == 0 {
        return call.returns(DataType::map(DataType::String, DataType::String));
    }
    for index in 0..call.len() {
        call.entry(index)?;
    }
    let common = call.same_type(0..call.len())?;
    call.returns(common)
}

fn contains_key(mut call: Call<'_, '_>) -> Typed {
    let (key, value) = call.entry(0)?;
    if *call.data_type(1) == DataType::Null {
        return call.fail("map_contains_key cannot look for a bare null");
    }
    let Some(common) = wider_without_strings(&key, call.data_type(1)) else {
        return call.fail(format!(
            "the map's key is {key}, this is {}",
            call.data_type(1)
        ));
    };
    call.orderable(&common)?;
    call.cast(0, &DataType::map(common.clone(), value));
    call.cast(1, &common);
    call.returns(DataType::Boolean)
}
