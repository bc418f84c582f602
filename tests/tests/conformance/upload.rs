//! Upload tables: keys byte for byte, serving info by its content, values by the states they decode to; and what a
//! bulk load makes of them, against the rows the reference's store held.
//!
//! Values are compared bit by bit, but for the order of sets and maps, which have none, and sketches that draw random
//! bits.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::BinaryArray;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use unskewed_connectors::kv::{Get, KvStore};
use unskewed_connectors::table::Warehouse;
use unskewed_engine::job::WarehouseCatalog;
use unskewed_kernel::codec::avro;
use unskewed_planner::avro::Record;
use unskewed_planner::definition::{Definition, Dialect};
use unskewed_planner::resolve::resolve_upload;
use unskewed_planner::serving::{EDGE_COLUMN, SERVING_INFO_KEY, batch_dataset};

use crate::cells::{Cell, Table, cell, read_table};

/// Keys and values of an upload table.
fn pairs(table: &Table) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let pair = |row: &BTreeMap<String, Cell>| match (&row["key_bytes"], &row["value_bytes"]) {
        (Cell::Bytes(key), Cell::Bytes(value)) => (key.clone(), value.clone()),
        other => panic!("a row without key or value: {other:?}"),
    };
    table.rows.iter().map(pair).collect()
}

/// Why an upload is not the recorded one.
pub(crate) fn difference(
    definition: &Definition,
    warehouse: &Warehouse,
    want: &Path,
    got: &Path,
) -> Option<String> {
    let (want, got) = (read_table(want), read_table(got));
    let mut types = got.types.clone();
    types.remove(EDGE_COLUMN);
    if want.types != types {
        return Some(format!(
            "columns differ: expected {:?}, written {types:?}",
            want.types
        ));
    }
    let (mut want, mut got) = (pairs(&want), pairs(&got));
    let info = SERVING_INFO_KEY.as_bytes();
    let (expected, written) = (want.remove(info)?, got.remove(info)?);
    if let Some(problem) = wrong_info(&expected, &written) {
        return Some(problem);
    }
    if !want.keys().eq(got.keys()) {
        return Some(format!(
            "keys differ: {:?} expected, {:?} written",
            want.keys(),
            got.keys()
        ));
    }
    let record = value_record(definition, warehouse);
    if !is_random(&record.to_pretty_text()) {
        // The bytes themselves, where sets and maps may stand in another order.
        let differ = |key: &&Vec<u8>| sorted(&want[*key]) != sorted(&got[*key]);
        if let Some(key) = want.keys().find(differ) {
            return Some(format!("key {}: other bytes", STANDARD.encode(key)));
        }
    }
    let columns = |pairs: &BTreeMap<Vec<u8>, Vec<u8>>| {
        let values = BinaryArray::from_iter_values(pairs.values());
        let decoded = avro::decode(&record, &values).unwrap();
        assert!(decoded.bad.is_empty(), "{:?}", decoded.bad);
        decoded.columns
    };
    let (expected, written) = (columns(&want), columns(&got));
    let columns = record.fields.iter().zip(expected.iter().zip(&written));
    for (field, (expected, written)) in columns {
        for (row, key) in want.keys().enumerate() {
            let (expected, written) = (cell(expected, row), cell(written, row));
            let (expected, written) = (state(&field.name, &expected), state(&field.name, &written));
            if expected != written {
                let (key, name) = (STANDARD.encode(key), &field.name);
                return Some(format!(
                    "key {key}: {name}: {expected} expected, {written} written"
                ));
            }
        }
    }
    None
}

/// Whether a name, or a schema, tells of sketches that draw random bits, or that have a form of our own.
fn is_random(name: &str) -> bool {
    ["approx_percentile", "approx_histogram_k"]
        .iter()
        .any(|operation| name.contains(operation))
}

fn sorted(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.sort_unstable();
    bytes
}

/// A state as text, every bit of it; sets and maps in one order, and of random sketches only that they are there.
fn state(name: &str, cell: &Cell) -> String {
    let all = |cells: &[Cell]| -> Vec<String> { cells.iter().map(|c| state(name, c)).collect() };
    match cell {
        Cell::Struct(members) => {
            let member = |(name, cell): &(String, Cell)| format!("{name}: {}", state(name, cell));
            format!(
                "{{{}}}",
                members.iter().map(member).collect::<Vec<_>>().join(", ")
            )
        }
        Cell::List(cells) if name.contains("unique_count") && !holds_structs(cells) => {
            let mut texts = all(cells);
            texts.sort();
            format!("{texts:?}")
        }
        Cell::List(cells) => format!("{:?}", all(cells)),
        Cell::Map(entries) => {
            let entry = |(key, value): &(Cell, Cell)| (state("", key), state(name, value));
            let mut entries: Vec<_> = entries.iter().map(entry).collect();
            entries.sort();
            format!("{entries:?}")
        }
        Cell::Bytes(_) if is_random(name) => "a sketch".into(),
        Cell::Float(value) => format!("{value} {:#x}", value.to_bits()),
        other => format!("{other:?}"),
    }
}

/// The serving info's parts as JSON, its schemas as texts.
fn wrong_info(want: &[u8], got: &[u8]) -> Option<String> {
    let (want, got): (Value, Value) = (
        serde_json::from_slice(want).unwrap(),
        serde_json::from_slice(got).unwrap(),
    );
    let names = want.as_object()?.keys().chain(got.as_object()?.keys());
    let wrong = names.into_iter().find(|name| want[*name] != got[*name])?;
    Some(format!(
        "serving info: {wrong}: {} expected, {} written",
        want[wrong], got[wrong]
    ))
}

/// The schema of values, as resolution finds it.
fn value_record(definition: &Definition, warehouse: &Warehouse) -> Record {
    let Definition::GroupBy(group_by) = definition else {
        panic!("an upload is one of a group-by");
    };
    let catalog = WarehouseCatalog::new(warehouse);
    resolve_upload(group_by, &catalog).unwrap().value.value
}

fn holds_structs(cells: &[Cell]) -> bool {
    let nested = |cell: &Cell| match cell {
        Cell::Struct(_) => true,
        Cell::List(inner) => inner.is_empty() || holds_structs(inner),
        _ => false,
    };
    !cells.is_empty() && cells.iter().all(nested)
}

/// Why the store does not hold what the reference's held: the keys of the dump under its times, with the values of the
/// upload table.
pub(crate) fn wrong_store(
    dump: &Path,
    definition: &Definition,
    store: &dyn KvStore,
    table: &Path,
) -> Option<String> {
    let dataset = batch_dataset(definition.meta_data().name.as_deref()?);
    let Some(batch) = store.batch(&dataset).unwrap() else {
        return Some(format!("{dataset} has no batch"));
    };
    let uploaded = pairs(&read_table(table));
    let text = std::fs::read_to_string(dump).unwrap();
    let mut seen = 0;
    for line in text.lines().filter(|line| !line.is_empty()) {
        let row: Value = serde_json::from_str(line).unwrap();
        if row["dataset"] != dataset.as_str() {
            continue;
        }
        seen += 1;
        let key = STANDARD.decode(row["key_b64"].as_str().unwrap()).unwrap();
        let get = Get {
            dataset: &dataset,
            generation: Some(batch.generation),
            key: &key,
        };
        let Some(found) = store.multi_get(&[get]).unwrap().remove(0) else {
            return Some(format!("{dataset} lacks key {}", row["key_b64"]));
        };
        if Some(found.millis) != row["ts"].as_i64() {
            return Some(format!(
                "{} is of {}, not {}",
                row["key_b64"], found.millis, row["ts"]
            ));
        }
        // Beyond the table's value there may be the edge.
        if !found.bytes.starts_with(&uploaded[&key]) {
            return Some(format!(
                "{} has another value than the table",
                row["key_b64"]
            ));
        }
    }
    (seen == 0).then(|| format!("the dump has no row of {dataset}"))
}

/// A definition of a case.
pub(crate) fn load(path: &Path) -> Definition {
    Definition::load(&std::fs::read_to_string(path).unwrap(), Dialect::Airbnb).unwrap()
}
