//! Files of every kind that others write, good and bad.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::*;

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::data_type::{Int96, Int96Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use unskewed_connectors::error::{Error, ErrorKind};
use unskewed_connectors::table::{Comparison, Literal, Operator, Selection, Table, Warehouse};
use unskewed_planner::schema::Schema;

fn vendored() -> Warehouse {
    Warehouse::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data")).unwrap()
}

fn types(schema: &Schema) -> String {
    let fields = schema.fields.iter();
    let fields: Vec<String> = fields
        .map(|f| format!("{} {}", f.name, f.data_type))
        .collect();
    fields.join(", ")
}

/// Reads everything, and checks that every batch is canonical.
fn read(table: &Table) -> RecordBatch {
    let schema = table.schema().unwrap();
    let batches = table.read(&Selection::all(), None).unwrap();
    let arrow = Arc::new(schema.to_arrow());
    for batch in &batches {
        assert_eq!(batch.schema(), arrow);
    }
    arrow_select::concat::concat_batches(&arrow, &batches).unwrap()
}

/// Files that Spark 3.5 wrote: nested types, keys of every type.
#[test]
fn spark_wrote_them() {
    let nested = vendored().table("spark.nested").unwrap();
    let schema = types(&nested.schema().unwrap());
    assert!(schema.contains("array<struct<"), "{schema}");
    assert!(schema.contains("map<string,"), "{schema}");
    assert!(schema.ends_with("ds string"), "{schema}");
    let rows = read(&nested);
    assert_eq!(rows.num_rows(), 12);
    let keys = vendored().table("spark.keys").unwrap();
    assert!(read(&keys).num_rows() > 0);
}

/// Files that pyarrow wrote, with its own Arrow schema inside.
#[test]
fn pyarrow_wrote_them() {
    let table = vendored().table("foreign.events").unwrap();
    assert_eq!(
        types(&table.schema().unwrap()),
        "user string, dte date, tst timestamp, dec decimal(18,4), s string, by tinyint, \
         st struct<a:bigint,b:string>, ts bigint, ds string"
    );
    assert!(read(&table).num_rows() > 0);
    let mobile = vendored().table("foreign.by_system/system=mobile").unwrap();
    let days = ["2024-02-26", "2024-02-27"];
    assert_eq!(mobile.partition_values("ds").unwrap(), days);
    assert_eq!(mobile.partitions().unwrap().len(), 2);
    assert_eq!(mobile.partition_columns().unwrap(), ["ds", "system"]);
}

struct Folder {
    _root: tempfile::TempDir,
    path: std::path::PathBuf,
    table: Table,
}

fn folder() -> Folder {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("db.db/t");
    fs::create_dir_all(path.join("ds=1")).unwrap();
    let table = Warehouse::open(root.path().to_str().unwrap()).unwrap();
    Folder {
        table: table.table("db.t").unwrap(),
        path,
        _root: root,
    }
}

fn put(path: &Path, columns: Vec<(&str, ArrayRef)>, embed: bool, group_rows: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .build();
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(!embed);
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new_with_options(file, batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn longs(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn strange_columns() -> Vec<(&'static str, ArrayRef)> {
    let words: DictionaryArray<types::Int32Type> = vec![Some("a"), None].into_iter().collect();
    let mut lists = builder::LargeListBuilder::new(builder::StringViewBuilder::new());
    lists.append_value([Some("x"), None]);
    lists.append_null();
    let mut fixed = builder::FixedSizeListBuilder::new(builder::Int32Builder::new(), 2);
    fixed.values().append_slice(&[1, 2, 3, 4]);
    fixed.append(true);
    fixed.append(false);
    let decimal64 = Decimal64Array::from(vec![1234, -1]).with_precision_and_scale(12, 2);
    let zone = "America/New_York";
    vec![
        ("words", Arc::new(words)),
        ("large", Arc::new(LargeStringArray::from(vec!["l", "m"]))),
        (
            "view",
            Arc::new(StringViewArray::from(vec!["a rather long text", "s"])),
        ),
        (
            "bytes",
            Arc::new(LargeBinaryArray::from_vec(vec![b"b", b""])),
        ),
        ("byte", Arc::new(UInt8Array::from(vec![255, 0]))),
        ("wide", Arc::new(UInt64Array::from(vec![u64::MAX, 0]))),
        ("dec", Arc::new(decimal64.unwrap())),
        ("lists", Arc::new(lists.finish())),
        ("fixed", Arc::new(fixed.finish())),
        (
            "millis",
            Arc::new(TimestampMillisecondArray::from(vec![1, -1]).with_timezone(zone)),
        ),
        (
            "nanos",
            Arc::new(TimestampNanosecondArray::from(vec![1999, -1])),
        ),
        ("seconds", Arc::new(TimestampSecondArray::from(vec![1, -1]))),
        ("half", Arc::new(Float32Array::from(vec![0.5, f32::NAN]))),
        ("day", Arc::new(Date64Array::from(vec![86_400_000, 0]))),
        ("nothing", Arc::new(NullArray::new(2))),
    ]
}

/// Arrow's and Parquet's other forms of the same types become canonical, with and without Arrow's
/// schema inside.
#[test]
fn strange_forms_become_canonical() {
    for embed in [true, false] {
        let place = folder();
        put(
            &place.path.join("ds=1/f.parquet"),
            strange_columns(),
            embed,
            10,
        );
        let schema = place.table.schema().unwrap();
        let all = types(&schema);
        let expected = "words string, large string, view string, bytes binary, byte smallint, \
             wide decimal(20,0), dec decimal(12,2), lists array<string>, fixed array<int>, \
             millis timestamp, nanos timestamp_ntz, ";
        assert!(all.starts_with(expected), "{all}");
        // Parquet itself has no seconds, no Date64 and no nulls: only Arrow's schema tells.
        let rest = match embed {
            true => "seconds timestamp_ntz, half float, day date, nothing void, ds string",
            false => "seconds bigint, half float, day bigint, nothing void, ds string",
        };
        assert!(all.ends_with(rest), "{all}");
        let rows = read(&place.table);
        let micros = |name: &str| {
            let column = rows.column_by_name(name).unwrap();
            column
                .as_primitive::<TimestampMicrosecondType>()
                .values()
                .to_vec()
        };
        assert_eq!(micros("millis"), [1000, -1000]);
        assert_eq!(micros("nanos"), [1, -1]);
        if embed {
            assert_eq!(micros("seconds"), [1_000_000, -1_000_000]);
        }
        let lists = rows.column_by_name("lists").unwrap().as_list::<i32>();
        assert!(lists.is_null(1) && lists.value(0).is_null(1));
        assert_eq!(lists.value(0).as_string::<i32>().value(0), "x");
        assert!(rows.column_by_name("fixed").unwrap().is_null(1));
    }
}

/// INT96, as Spark writes timestamps by default, reaches the years that nanoseconds do not.
#[test]
fn int96_timestamps() {
    let place = folder();
    let message = "message spark { optional int96 t; optional group s { optional int96 u; } }";
    let schema = Arc::new(parse_message_type(message).unwrap());
    let file = File::create(place.path.join("ds=1/f.parquet")).unwrap();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(file, schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    // Noon of 1970-01-01, and of 9999-12-31: Julian days and nanoseconds of the day.
    let noon = |julian_day: u32| {
        let nanos = 43_200_000_000_000_u64;
        let mut value = Int96::new();
        value.set_data(nanos as u32, (nanos >> 32) as u32, julian_day);
        value
    };
    let values = [noon(2_440_588), noon(5_373_484)];
    for levels in [[1, 1], [2, 2]] {
        let mut column = group.next_column().unwrap().unwrap();
        let typed = column.typed::<Int96Type>();
        typed.write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    let schema = types(&place.table.schema().unwrap());
    assert_eq!(schema, "t timestamp, s struct<u:timestamp>, ds string");
    let rows = read(&place.table);
    let noons = [43_200_000_000, 253_402_257_600_000_000];
    let outer = rows.column(0).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(outer.values().to_vec(), noons);
    let inner = rows.column(1).as_struct().column(0);
    let inner = inner.as_primitive::<TimestampMicrosecondType>();
    assert_eq!(inner.values().to_vec(), noons);
}

/// Files of one table may differ: a column more, a narrower type; not a type that fits no other.
#[test]
fn siblings_of_another_schema() {
    let place = folder();
    let small: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    put(
        &place.path.join("ds=1/a.parquet"),
        vec![("id", small)],
        true,
        10,
    );
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let columns = vec![("ID", longs([2])), ("more", Arc::clone(&text))];
    put(&place.path.join("ds=2/b.parquet"), columns, true, 10);
    let schema = place.table.schema().unwrap();
    assert_eq!(types(&schema), "id bigint, more string, ds string");
    let rows = read(&place.table);
    assert_eq!(
        rows.column(0).as_primitive::<Int64Type>().values().to_vec(),
        [1, 2]
    );
    assert!(rows.column(1).is_null(0) && rows.column(1).is_valid(1));

    put(
        &place.path.join("ds=3/c.parquet"),
        vec![("id", text)],
        true,
        10,
    );
    let error = place.table.schema().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::User);
    let said = error.to_string();
    assert!(
        said.contains("a.parquet") && said.contains("c.parquet"),
        "{said}"
    );
    assert!(said.contains("bigint") && said.contains("string"), "{said}");
    // What is not touched does not matter, and a split says which file does not fit.
    let two = Selection::all().between("ds", None, Some("2"));
    assert_eq!(types(&place.table.schema_of(&two).unwrap()), types(&schema));
    let splits = place.table.splits(&Selection::all()).unwrap();
    assert!(splits[0].open(&schema, &[]).is_ok());
    let said = splits[2].open(&schema, &[]).unwrap_err().to_string();
    assert!(said.contains("c.parquet"), "{said}");
}

/// A column of the file that is named like the partition's gives way to the folder.
#[test]
fn partition_column_inside_the_file() {
    let place = folder();
    let inside: ArrayRef = Arc::new(StringArray::from(vec!["inside"]));
    let columns = vec![("ds", inside), ("id", longs([1]))];
    put(
        &place.path.join("ds=1/a.parquet"),
        columns.clone(),
        true,
        10,
    );
    put(
        &place.path.join("ds=__HIVE_DEFAULT_PARTITION__/a.parquet"),
        columns,
        true,
        10,
    );
    assert_eq!(
        types(&place.table.schema().unwrap()),
        "id bigint, ds string"
    );
    let rows = read(&place.table);
    let days = rows.column(1).as_string::<i32>();
    assert!(days.is_null(0) && days.value(1) == "1");
    assert_eq!(place.table.partition_values("ds").unwrap(), ["1"]);
}

fn refusal(bytes: &[u8]) -> Error {
    let place = folder();
    fs::write(place.path.join("ds=1/bad.parquet"), bytes).unwrap();
    let error = place.table.read(&Selection::all(), None).unwrap_err();
    assert!(error.to_string().contains("bad.parquet"), "{error}");
    error
}

/// Empty, foreign, cut and scratched files are named with the reason; none gives a wrong row.
#[test]
fn bad_files() {
    let place = folder();
    let good = place.path.join("ds=1/good.parquet");
    put(&good, vec![("id", longs(0..5000))], true, 1000);
    let bytes = fs::read(&good).unwrap();
    for (bad, reason) in [
        (&b""[..], "empty"),
        (b"PAR1", "too short"),
        (b"id,name\n1,a\n2,b\n", "does not end"),
        (&bytes[..bytes.len() - 7], "cut off"),
        (&bytes[..bytes.len() / 2], "cut off"),
    ] {
        let error = refusal(bad);
        assert!(matches!(error, Error::NotParquet { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(error.kind(), ErrorKind::User);
    }
    // A footer that promises more than there is, as of a file whose middle is lost.
    let lost = [&bytes[..4], &bytes[bytes.len() / 2..]].concat();
    assert!(matches!(refusal(&lost), Error::DamagedFile { .. }));
    let mut wild = bytes.clone();
    let at = wild.len() - 8;
    wild[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(refusal(&wild), Error::DamagedFile { .. }));
}

/// Files that go or change between listing and reading are told from damaged ones.
#[test]
fn files_that_vanish_or_change() {
    let place = folder();
    let file = place.path.join("ds=1/a.parquet");
    put(&file, vec![("id", longs(0..10))], true, 10);
    let schema = place.table.schema().unwrap();
    let splits = place.table.splits(&Selection::all()).unwrap();
    put(&file, vec![("id", longs(0..11))], true, 10);
    assert!(matches!(
        splits[0].open(&schema, &[]),
        Err(Error::FileChanged { .. })
    ));
    fs::remove_file(&file).unwrap();
    assert!(matches!(
        splits[0].open(&schema, &[]),
        Err(Error::FileVanished { .. })
    ));
    assert!(place.table.partitions().unwrap().is_empty());
}

/// Folders that are no partitions, and partitions of other columns, are refused by name; hidden
/// ones are not seen.
#[test]
fn odd_folders() {
    let place = folder();
    let id = || vec![("id", longs([1]))];
    put(&place.path.join("ds=1/a.parquet"), id(), true, 10);
    fs::create_dir_all(place.path.join("_temporary/0")).unwrap();
    fs::write(place.path.join("_temporary/0/junk"), "x").unwrap();
    fs::write(place.path.join("ds=1/_SUCCESS"), "").unwrap();
    fs::write(place.path.join("ds=1/.a.parquet.crc"), "x").unwrap();
    assert_eq!(read(&place.table).num_rows(), 1);
    put(&place.path.join("ds=1/hr=2/a.parquet"), id(), true, 10);
    let error = place.table.partitions().unwrap_err();
    assert!(error.to_string().contains("hr=2"), "{error}");
    fs::remove_dir_all(place.path.join("ds=1/hr=2")).unwrap();
    put(&place.path.join("plain/a.parquet"), id(), true, 10);
    let error = place.table.partitions().unwrap_err();
    assert!(error.to_string().contains("plain"), "{error}");
}

fn thousand_rows() -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("id", longs(0..1000)),
        ("down", longs((0..1000).map(|i| -i))),
        (
            "x",
            Arc::new(Float64Array::from_iter((0..1000).map(|i| match i % 100 {
                0 => f64::NAN,
                i => f64::from(i),
            }))),
        ),
        (
            "s",
            Arc::new(StringArray::from_iter(
                (0..1000).map(|i| (i % 7 != 0).then(|| format!("{i:04}"))),
            )),
        ),
        (
            "t",
            Arc::new(TimestampMillisecondArray::from_iter_values(0..1000)),
        ),
    ]
}

/// Pruned reading gives every wanted row, at the positions that unpruned reading gives; and it does
/// leave groups out.
#[test]
fn pruning_against_reading_all() {
    let place = folder();
    let columns = thousand_rows();
    put(&place.path.join("ds=1/a.parquet"), columns, true, 100);
    let schema = place.table.schema().unwrap();
    let split = &place.table.splits(&Selection::all()).unwrap()[0];
    let read = |comparisons: &[Comparison]| {
        let mut reader = split.open(&schema, comparisons).unwrap();
        let mut found = Vec::new();
        while let Some(batch) = reader.next_batch().unwrap() {
            let first = reader.batch_row();
            for (row, id) in batch
                .column(0)
                .as_primitive::<Int64Type>()
                .values()
                .iter()
                .enumerate()
            {
                assert_eq!(u64::try_from(*id).unwrap(), first + row as u64);
                found.push(*id);
            }
        }
        found
    };
    assert_eq!(read(&[]).len(), 1000);
    let at = |literal: i64| {
        [
            ("id", Literal::Long(literal)),
            ("down", Literal::Long(-literal)),
            ("x", Literal::Double(literal as f64)),
            ("s", Literal::String(format!("{literal:04}"))),
            ("t", Literal::TimestampMicros(literal * 1000)),
            ("nowhere", Literal::Long(literal)),
            ("id", Literal::String("x".into())),
        ]
    };
    let mut pruned = 0;
    for literal in [-1, 0, 99, 100, 555, 999, 1000] {
        for (column, literal) in at(literal) {
            for operator in [
                Operator::Equal,
                Operator::Less,
                Operator::LessOrEqual,
                Operator::Greater,
                Operator::GreaterOrEqual,
            ] {
                let comparison = Comparison::new(column, operator, literal.clone());
                let found = read(std::slice::from_ref(&comparison));
                for id in 0..1000 {
                    assert!(
                        found.binary_search(&id).is_ok() || !meets(id, &comparison),
                        "{id} {comparison:?}"
                    );
                }
                pruned += 1000 - found.len();
            }
        }
    }
    assert!(pruned > 50_000, "{pruned}");
}

/// The naive twin of the comparison, by Spark's order.
fn meets(id: i64, comparison: &Comparison) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let order = match (comparison.column.as_str(), &comparison.literal) {
        ("id", Literal::Long(to)) => id.cmp(to),
        ("down", Literal::Long(to)) => (-id).cmp(to),
        ("x", Literal::Double(_)) if id % 100 == 0 => Greater,
        ("x", Literal::Double(to)) => ((id % 100) as f64).total_cmp(to),
        ("s", Literal::String(_)) if id % 7 == 0 => return false,
        ("s", Literal::String(to)) => format!("{id:04}").cmp(to),
        ("t", Literal::TimestampMicros(to)) => (id * 1000).cmp(to),
        // A comparison that cannot be judged keeps every row.
        _ => return true,
    };
    match comparison.operator {
        Operator::Equal => order == Equal,
        Operator::Less => order == Less,
        Operator::LessOrEqual => order != Greater,
        Operator::Greater => order == Greater,
        Operator::GreaterOrEqual => order != Less,
    }
}

/// Columns are read in the order asked for; none at all still gives the number of rows.
#[test]
fn chosen_columns() {
    let place = folder();
    let columns = vec![("a", longs(0..3)), ("b", longs(3..6)), ("c", longs(6..9))];
    put(&place.path.join("ds=1/f.parquet"), columns, true, 10);
    let rows = &place
        .table
        .read(&Selection::all(), Some(&["c", "ds", "a"]))
        .unwrap()[0];
    assert_eq!(rows.column(0).as_primitive::<Int64Type>().value(0), 6);
    assert_eq!(rows.column(1).as_string::<i32>().value(2), "1");
    assert_eq!(rows.column(2).as_primitive::<Int64Type>().value(0), 0);
    let none = &place.table.read(&Selection::all(), Some(&[])).unwrap()[0];
    assert_eq!((none.num_rows(), none.num_columns()), (3, 0));
    let error = place
        .table
        .read(&Selection::all(), Some(&["d"]))
        .unwrap_err();
    assert!(error.to_string().contains("a, b, c, ds"), "{error}");
}

/// Types without a place in Spark are refused by name.
#[test]
fn unsupported_types() {
    let place = folder();
    let times: ArrayRef = Arc::new(Time64MicrosecondArray::from(vec![1]));
    put(
        &place.path.join("ds=1/f.parquet"),
        vec![("clock", times)],
        true,
        10,
    );
    let error = place.table.schema().unwrap_err();
    assert!(error.to_string().contains("f.parquet"), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("clock"), "{cause}");
}
