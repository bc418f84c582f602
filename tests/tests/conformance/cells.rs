//! Tables as plain rows of cells, and when two cells are the same.
//!
//! Promises: reads any Hive-layout folder of Parquet, whoever wrote it; types are the house's types, so that two files
//! of the same Spark schema compare equal whatever their Arrow dress. The rules of equality are those the recorded
//! outputs come with: floats within 1e-9 (1e-5 for averages and moments), quantiles within 5 % of their spread, maps as
//! sets, NaN equal to NaN.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::{Array, types};
use arrow_schema::{DataType as ArrowType, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use unskewed_planner::schema::DataType;

/// One value.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Cell>),
    Map(Vec<(Cell, Cell)>),
    Struct(Vec<(String, Cell)>),
}

/// One row, by column.
pub(crate) type Row = BTreeMap<String, Cell>;

/// A table: types of its columns and its rows, in the order of the files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) types: BTreeMap<String, DataType>,
    pub(crate) rows: Vec<Row>,
}

impl Table {
    /// The table with these columns empty; their types stay.
    pub(crate) fn without(&self, columns: &[&str]) -> Self {
        let mut table = self.clone();
        for row in &mut table.rows {
            for column in columns {
                if let Some(cell) = row.get_mut(*column) {
                    *cell = Cell::Null;
                }
            }
        }
        table
    }
}

/// Reads a folder; an absent one is an empty table.
pub(crate) fn read_table(root: &Path) -> Table {
    let mut files = vec![];
    collect(root, &mut files);
    files.sort();
    let mut table = Table::default();
    for file in files {
        read_file(root, &file, &mut table);
    }
    table
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(['_', '.']) {
            continue;
        }
        if path.is_dir() {
            collect(&path, files);
        } else if name.ends_with(".parquet") {
            files.push(path);
        }
    }
}

fn read_file(root: &Path, file: &Path, table: &mut Table) {
    let folder = file.parent().unwrap().strip_prefix(root).unwrap();
    let mut partition = vec![];
    for piece in folder {
        let piece = piece.to_string_lossy();
        let (column, value) = piece.split_once('=').expect("a partition folder");
        let cell = match value {
            "__HIVE_DEFAULT_PARTITION__" => Cell::Null,
            value => Cell::Text(value.into()),
        };
        partition.push((column.to_owned(), cell));
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        for field in batch.schema().fields() {
            let data_type = DataType::from_arrow(field.name(), field.data_type()).unwrap();
            table.types.insert(field.name().clone(), data_type);
        }
        for index in 0..batch.num_rows() {
            let fields = batch.schema();
            let cells = fields.fields().iter().zip(batch.columns());
            let mut row: Row = cells
                .map(|(field, column)| (field.name().clone(), cell(column, index)))
                .collect();
            row.extend(partition.iter().cloned());
            table.rows.push(row);
        }
    }
    for (column, _) in partition {
        table.types.insert(column, DataType::String);
    }
}

/// The value of an array at a position.
pub(crate) fn cell(array: &dyn Array, index: usize) -> Cell {
    if array.is_null(index) {
        return Cell::Null;
    }
    macro_rules! integer {
        ($type:ty, $scale:expr) => {
            Cell::Int(i128::from(array.as_primitive::<$type>().value(index)) * $scale)
        };
    }
    match array.data_type() {
        ArrowType::Null => Cell::Null,
        ArrowType::Boolean => Cell::Bool(array.as_boolean().value(index)),
        ArrowType::Int8 => integer!(types::Int8Type, 1),
        ArrowType::Int16 => integer!(types::Int16Type, 1),
        ArrowType::Int32 => integer!(types::Int32Type, 1),
        ArrowType::Int64 => integer!(types::Int64Type, 1),
        ArrowType::Date32 => integer!(types::Date32Type, 1),
        ArrowType::Float32 => Cell::Float(
            array
                .as_primitive::<types::Float32Type>()
                .value(index)
                .into(),
        ),
        ArrowType::Float64 => Cell::Float(array.as_primitive::<types::Float64Type>().value(index)),
        ArrowType::Decimal128(_, _) => {
            Cell::Int(array.as_primitive::<types::Decimal128Type>().value(index))
        }
        ArrowType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => integer!(types::TimestampSecondType, 1_000_000_000),
            TimeUnit::Millisecond => integer!(types::TimestampMillisecondType, 1_000_000),
            TimeUnit::Microsecond => integer!(types::TimestampMicrosecondType, 1_000),
            TimeUnit::Nanosecond => integer!(types::TimestampNanosecondType, 1),
        },
        ArrowType::Utf8 => Cell::Text(array.as_string::<i32>().value(index).into()),
        ArrowType::Binary => Cell::Bytes(array.as_binary::<i32>().value(index).into()),
        ArrowType::List(_) => {
            let items = array.as_list::<i32>().value(index);
            Cell::List((0..items.len()).map(|i| cell(&items, i)).collect())
        }
        ArrowType::Map(_, _) => {
            let entries = array.as_map().value(index);
            let pair = |i| (cell(entries.column(0), i), cell(entries.column(1), i));
            Cell::Map((0..entries.len()).map(pair).collect())
        }
        ArrowType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let columns = fields.iter().zip(columns);
            let cells = columns.map(|(field, column)| (field.name().clone(), cell(column, index)));
            Cell::Struct(cells.collect())
        }
        other => panic!("no rule for {other}"),
    }
}

/// Columns whose folds differ in the last digits from engine to engine.
pub(crate) fn is_loose(column: &str) -> bool {
    ["average", "variance", "skew", "kurtosis"]
        .iter()
        .any(|word| holds_word(column, word))
}

fn is_quantile(column: &str) -> bool {
    holds_word(column, "approx_percentile")
}

/// Whether `_word` stands in the name, at its end or before an underscore.
fn holds_word(column: &str, word: &str) -> bool {
    let marked = format!("_{word}");
    column
        .match_indices(&marked)
        .any(|(at, _)| matches!(column.as_bytes().get(at + marked.len()), None | Some(b'_')))
}

/// Whether two cells of a column are the same.
pub(crate) fn same_cell(column: &str, want: &Cell, got: &Cell) -> bool {
    if is_quantile(column) {
        match (want, got) {
            (Cell::Bytes(_), got) => return !matches!(got, Cell::Null),
            (Cell::List(numbers), Cell::List(_)) if !numbers.is_empty() => {
                let values: Vec<f64> = numbers.iter().filter_map(number).collect();
                let least = values.iter().copied().fold(f64::INFINITY, f64::min);
                let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let spread = if values.is_empty() {
                    0.0
                } else {
                    greatest - least
                };
                return same(want, got, 1e-5, Some(spread));
            }
            _ => {}
        }
    }
    same(want, got, if is_loose(column) { 1e-5 } else { 1e-9 }, None)
}

fn number(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Float(value) => Some(*value),
        Cell::Int(value) => Some(*value as f64),
        _ => None,
    }
}

fn same(want: &Cell, got: &Cell, relative: f64, spread: Option<f64>) -> bool {
    match (want, got) {
        (Cell::Null, Cell::Null) => true,
        (Cell::Bool(a), Cell::Bool(b)) => a == b,
        (Cell::Int(a), Cell::Int(b)) => a == b,
        (Cell::Float(a), Cell::Float(b)) => same_float(*a, *b, relative, spread),
        (Cell::Text(a), Cell::Text(b)) => a == b,
        (Cell::Bytes(a), Cell::Bytes(b)) => a == b,
        (Cell::List(a), Cell::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b, relative, spread))
        }
        (Cell::Map(a), Cell::Map(b)) => {
            let has = |entry: &(Cell, Cell)| {
                b.iter().any(|other| {
                    same(&entry.0, &other.0, relative, None)
                        && same(&entry.1, &other.1, relative, None)
                })
            };
            a.len() == b.len() && a.iter().all(has)
        }
        (Cell::Struct(a), Cell::Struct(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|(a, b)| a.0 == b.0 && same(&a.1, &b.1, relative, None))
        }
        _ => false,
    }
}

fn same_float(a: f64, b: f64, relative: f64, spread: Option<f64>) -> bool {
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    if a == b {
        return true;
    }
    if let Some(spread) = spread {
        return (a - b).abs() <= 0.05 * spread + 1e-9;
    }
    if a.is_infinite() || b.is_infinite() {
        return false;
    }
    (a - b).abs() <= (relative * a.abs().max(b.abs())).max(1e-9)
}

/// Why two tables are not the same, rows as multisets, columns by name.
pub(crate) fn difference(want: &Table, got: &Table) -> Option<String> {
    if want.rows.is_empty() {
        return (!got.rows.is_empty())
            .then(|| format!("no rows expected, {} written", got.rows.len()));
    }
    if got.rows.is_empty() {
        return Some(format!("{} rows expected, none written", want.rows.len()));
    }
    if want.types != got.types {
        let only = |a: &Table, b: &Table| -> Vec<String> {
            let missing = a
                .types
                .iter()
                .filter(|(name, kind)| b.types.get(*name) != Some(kind));
            missing
                .map(|(name, kind)| format!("{name} {kind}"))
                .collect()
        };
        let (missing, extra) = (only(want, got), only(got, want));
        return Some(format!(
            "columns differ: expected {missing:?}, written {extra:?}"
        ));
    }
    if want.rows.len() != got.rows.len() {
        return Some(format!(
            "{} rows expected, {} written",
            want.rows.len(),
            got.rows.len()
        ));
    }
    let mut left: Vec<&Row> = got.rows.iter().collect();
    let mut missing = vec![];
    for row in &want.rows {
        match left
            .iter()
            .position(|other| wrong_columns(row, other).next().is_none())
        {
            Some(at) => drop(left.swap_remove(at)),
            None => missing.push(row),
        }
    }
    let row = *missing.first()?;
    let near = left
        .iter()
        .min_by_key(|other| wrong_columns(row, other).count())?;
    let pairs: Vec<String> = wrong_columns(row, near)
        .take(4)
        .map(|name| format!("{name}: {:?} expected, {:?} written", row[name], near[name]))
        .collect();
    let about = format!("{} of {} rows differ", missing.len(), want.rows.len());
    Some(format!("{about}; of the nearest pair {pairs:?} in {row:?}"))
}

fn wrong_columns<'a>(want: &'a Row, got: &'a Row) -> impl Iterator<Item = &'a str> {
    want.iter()
        .filter(|(name, cell)| !same_cell(name, cell, &got[*name]))
        .map(|(name, _)| name.as_str())
}

/// Whether two tables have the same rows in the same order, bit for bit.
pub(crate) fn identical(a: &Table, b: &Table) -> bool {
    // Debug text tells every bit that matters apart: -0.0 from 0.0, shortest digits of floats, order of maps.
    a.types == b.types && format!("{:?}", a.rows) == format!("{:?}", b.rows)
}

/// The rules themselves: what must and must not count as the same.
#[test]
fn rules_of_equality() {
    let float = Cell::Float;
    assert!(same_cell("x_sum", &float(1.0), &float(1.0 + 1e-10)));
    assert!(!same_cell("x_sum", &float(1.0), &float(1.0 + 1e-8)));
    assert!(same_cell("x_average_7d", &float(1.0), &float(1.0 + 1e-6)));
    assert!(!same_cell("x_averages", &float(1.0), &float(1.0 + 1e-6)));
    assert!(same_cell("x", &float(f64::NAN), &float(f64::NAN)));
    assert!(!same_cell("x", &float(f64::NAN), &Cell::Null));
    assert!(!same_cell("x", &float(f64::INFINITY), &float(f64::MAX)));
    assert!(!same_cell("x", &float(1.0), &Cell::Int(1)));
    let list = |values: &[f64]| Cell::List(values.iter().map(|v| float(*v)).collect());
    let column = "v_approx_percentile_3d";
    assert!(same_cell(column, &list(&[0.0, 100.0]), &list(&[4.0, 99.0])));
    assert!(!same_cell(
        column,
        &list(&[0.0, 100.0]),
        &list(&[6.0, 99.0])
    ));
    let entry = |key: &str, value| (Cell::Text(key.into()), Cell::Int(value));
    let (one, other) = (entry("a", 1), entry("b", 2));
    let map = Cell::Map(vec![one.clone(), other.clone()]);
    assert!(same_cell("m", &map, &Cell::Map(vec![other, one.clone()])));
    assert!(!same_cell("m", &map, &Cell::Map(vec![one.clone(), one])));
}
