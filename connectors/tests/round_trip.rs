//! What is written comes back, for random schemas of every storable type, nested, with nulls.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::*;
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::DataType as Arrow;
use unskewed_connectors::table::{PartitionKey, Selection, Table, Warehouse, WriteOptions};
use unskewed_planner::schema::{DataType, Field, IntervalField, Schema};

/// Steele and Vigna's splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// Often small, sometimes any bits at all.
    fn bits(&mut self) -> i64 {
        match self.below(4) {
            0 => self.next().cast_signed(),
            1 => [i64::MIN, i64::MAX, 0, -1][self.below(4)],
            _ => i64::try_from(self.below(9)).unwrap() - 4,
        }
    }
}

fn random_type(random: &mut Random, depth: usize) -> DataType {
    use IntervalField::{Day, Month, Second, Year};
    let plain = [
        DataType::Null,
        DataType::Boolean,
        DataType::Byte,
        DataType::Short,
        DataType::Int,
        DataType::Long,
        DataType::Float,
        DataType::Double,
        DataType::Decimal(9, 2),
        DataType::Decimal(18, 0),
        DataType::Decimal(38, 18),
        DataType::String,
        DataType::Binary,
        DataType::Date,
        DataType::Timestamp,
        DataType::TimestampNtz,
        DataType::DayTimeInterval(Day, Second),
        DataType::YearMonthInterval(Year, Month),
    ];
    if depth == 0 || random.below(3) > 0 {
        return plain[random.below(plain.len())].clone();
    }
    match random.below(3) {
        0 => DataType::array(random_type(random, depth - 1)),
        1 => {
            // Keys are never null, so neither void nor nested with voids inside.
            let keys = [DataType::String, DataType::Long, DataType::Date];
            DataType::map(
                keys[random.below(3)].clone(),
                random_type(random, depth - 1),
            )
        }
        _ => {
            let count = 1 + random.below(3);
            let fields =
                (0..count).map(|i| Field::new(format!("f {i}"), random_type(random, depth - 1)));
            DataType::Struct(fields.collect())
        }
    }
}

fn random_array(random: &mut Random, to: &DataType, rows: usize, nullable: bool) -> ArrayRef {
    let bits: Vec<i64> = (0..rows).map(|_| random.bits()).collect();
    let valid: Vec<bool> = (0..rows)
        .map(|_| !nullable || random.below(4) > 0)
        .collect();
    let nulls = nullable.then(|| NullBuffer::from(valid.clone()));
    match to {
        DataType::Null => new_null_array(&Arrow::Null, rows),
        DataType::String => {
            let mut builder = StringBuilder::new();
            for (bits, valid) in bits.iter().zip(&valid) {
                let text = format!("ä{bits}");
                builder.append_option(valid.then_some(if *bits == 0 { "" } else { &text }));
            }
            Arc::new(builder.finish())
        }
        DataType::Binary => {
            let mut builder = BinaryBuilder::new();
            for (bits, valid) in bits.iter().zip(&valid) {
                builder.append_option(valid.then_some(bits.to_le_bytes()));
            }
            Arc::new(builder.finish())
        }
        DataType::Array(element) => {
            let lengths: Vec<usize> = valid
                .iter()
                .map(|v| random.below(4) * usize::from(*v))
                .collect();
            let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
            let values = random_array(random, element, lengths.iter().sum(), true);
            let Arrow::List(field) = to.to_arrow() else {
                unreachable!()
            };
            Arc::new(ListArray::new(field, offsets, values, nulls))
        }
        DataType::Map(key, value) => {
            let lengths: Vec<usize> = valid
                .iter()
                .map(|v| random.below(4) * usize::from(*v))
                .collect();
            let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
            let count = lengths.iter().sum();
            let columns = vec![
                random_array(random, key, count, false),
                random_array(random, value, count, true),
            ];
            let Arrow::Map(field, _) = to.to_arrow() else {
                unreachable!()
            };
            let Arrow::Struct(fields) = field.data_type().clone() else {
                unreachable!()
            };
            let entries = StructArray::new(fields, columns, None);
            Arc::new(MapArray::new(field, offsets, entries, nulls, false))
        }
        DataType::Struct(fields) => {
            let columns = fields
                .iter()
                .map(|f| random_array(random, &f.data_type, rows, true))
                .collect();
            let Arrow::Struct(fields) = to.to_arrow() else {
                unreachable!()
            };
            // Nulls of a struct lie over nulls of its fields, as a Parquet reader gives them.
            let array = StructArray::new(fields, columns, nulls);
            mask(&array)
        }
        plain => random_numbers(&bits, nulls, plain),
    }
}

/// A struct whose fields are null wherever it is.
fn mask(array: &StructArray) -> ArrayRef {
    let rows = array.len();
    let order = (0..rows as u64).map(|row| array.is_valid(row as usize).then_some(row));
    let order = UInt64Array::from_iter(order);
    arrow_select::take::take(array, &order, None).unwrap()
}

fn random_numbers(bits: &[i64], nulls: Option<NullBuffer>, to: &DataType) -> ArrayRef {
    let arrow = to.to_arrow();
    macro_rules! numbers {
        ($array:ty, $convert:expr) => {{
            let values: Vec<_> = bits.iter().map(|bits| $convert(*bits)).collect();
            let array = <$array>::new(values.into(), nulls);
            Arc::new(array.with_data_type(arrow)) as ArrayRef
        }};
    }
    match to {
        DataType::Boolean => {
            let values = bits.iter().map(|b| b % 2 == 0).collect::<Vec<_>>();
            Arc::new(BooleanArray::new(values.into(), nulls))
        }
        DataType::Byte => numbers!(Int8Array, |b: i64| b as i8),
        DataType::Short => numbers!(Int16Array, |b: i64| b as i16),
        DataType::Int => numbers!(Int32Array, |b: i64| b as i32),
        DataType::Date => numbers!(Date32Array, |b: i64| b as i32),
        DataType::Long => numbers!(Int64Array, |b: i64| b),
        DataType::Float => numbers!(Float32Array, |b: i64| f32::from_bits(b as u32)),
        DataType::Double => numbers!(Float64Array, |b: i64| f64::from_bits(b as u64)),
        DataType::Decimal(precision, _) => {
            let limit = 10_i128.pow(u32::from(*precision));
            numbers!(Decimal128Array, |b: i64| (i128::from(b) * i128::from(b))
                % limit)
        }
        DataType::Timestamp | DataType::TimestampNtz => {
            numbers!(TimestampMicrosecondArray, |b: i64| b)
        }
        DataType::DayTimeInterval(..) => numbers!(DurationMicrosecondArray, |b: i64| b),
        DataType::YearMonthInterval(..) => numbers!(IntervalYearMonthArray, |b: i64| b as i32),
        other => unreachable!("{other} is built elsewhere"),
    }
}

fn write(table: &Table, schema: &Schema, batches: &[RecordBatch], options: &WriteOptions) {
    let write = table.begin_write().unwrap();
    let key = PartitionKey::new([("ds", "1")]);
    let mut writer = write.writer(schema, &key, 0, options).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    let staged = writer.finish().unwrap();
    write.commit(vec![staged]).unwrap();
}

/// Shows: schema and values come back, whatever the row groups; the same batches give the same
/// bytes. How: random schemas and values by seed, on a disk and in memory.
#[test]
fn random_tables_come_back() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let fields = (0..1 + random.below(6))
            .map(|i| Field::new(format!("c{i}"), random_type(&mut random, 3)))
            .collect();
        let schema = Schema::new(fields);
        let arrow = Arc::new(schema.to_arrow());
        let mut batches = Vec::new();
        for _ in 0..random.below(4) {
            let rows = random.below(300);
            let columns = schema.fields.iter();
            let columns = columns.map(|f| random_array(&mut random, &f.data_type, rows, true));
            let columns = columns.collect();
            batches.push(RecordBatch::try_new(Arc::clone(&arrow), columns).unwrap());
        }
        let options = WriteOptions {
            row_group_rows: 1 + random.below(400),
            ..WriteOptions::default()
        };
        let folder = tempfile::tempdir().unwrap();
        for url in [folder.path().to_str().unwrap(), "memory://"] {
            let warehouse = Warehouse::open(url).unwrap();
            let table = warehouse.table("db.t").unwrap();
            write(&table, &schema, &batches, &options);
            let mut expected = schema.clone();
            expected.fields.push(Field::new("ds", DataType::String));
            assert_eq!(table.schema().unwrap(), expected, "seed {seed}");
            let names: Vec<&str> = schema.fields.iter().map(|f| f.name.as_str()).collect();
            let read = table.read(&Selection::all(), Some(&names)).unwrap();
            let concat =
                |b: &[RecordBatch]| arrow_select::concat::concat_batches(&arrow, b).unwrap();
            let (read, written) = (concat(&read), concat(&batches));
            for (index, field) in schema.fields.iter().enumerate() {
                // NaN is not equal to itself, but prints and encodes alike.
                let (read, written) = (read.column(index), written.column(index));
                let same = read == written || format!("{read:?}") == format!("{written:?}");
                assert!(same, "seed {seed} {field:?}\n{read:?}\n{written:?}");
            }
            let twin = warehouse.table("db.twin").unwrap();
            write(&twin, &schema, &batches, &options);
            let sizes = [&table, &twin].map(|t| t.files(&Selection::all()).unwrap()[0].1[0].size);
            assert_eq!(sizes[0], sizes[1], "seed {seed}");
        }
        let bytes = ["t", "twin"].map(|t| {
            let path = folder
                .path()
                .join(format!("db.db/{t}/ds=1/part-00000.zstd.parquet"));
            std::fs::read(path).unwrap()
        });
        assert!(bytes[0] == bytes[1], "seed {seed}");
    }
}

/// Types that Parquet has no form for are refused before anything is written.
#[test]
fn unstorable_types() {
    let table = Warehouse::open("memory://").unwrap().table("db.t").unwrap();
    let write = table.begin_write().unwrap();
    for data_type in [
        DataType::CalendarInterval,
        DataType::Struct(vec![]),
        DataType::array(DataType::Struct(vec![])),
    ] {
        let schema = Schema::new(vec![Field::new("odd", data_type)]);
        let key = PartitionKey::unpartitioned();
        let error = write.writer(&schema, &key, 0, &WriteOptions::default());
        assert!(error.unwrap_err().to_string().contains("odd"));
    }
}
