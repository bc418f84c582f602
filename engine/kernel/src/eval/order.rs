//! Spark's order of values: nulls first, NaN above every number and equal to itself, `-0.0` equal to `0.0`, text by bytes.

use std::cmp::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, DurationMicrosecondType, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType,
    IntervalYearMonthType, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType as ArrowType, IntervalUnit};

/// Compares a value of one array with a value of another, given by position.
pub(crate) type Comparator = Box<dyn Fn(usize, usize) -> Ordering>;

/// Spark's order of doubles.
pub(crate) fn compare_doubles(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// The comparator of two arrays of one type.
pub(crate) fn comparator(left: &ArrayRef, right: &ArrayRef) -> Comparator {
    let inner = of_values(left, right);
    if left.null_count() == 0 && right.null_count() == 0 {
        return inner;
    }
    let (left, right) = (ArrayRef::clone(left), ArrayRef::clone(right));
    Box::new(move |i, j| match (left.is_null(i), right.is_null(j)) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => inner(i, j),
    })
}

/// The comparator of hash sets: as [`comparator`], but `-0.0` and `0.0` are two values where they are elements themselves.
pub(crate) fn identity(left: &ArrayRef, right: &ArrayRef) -> Comparator {
    fn by_bits<T: ArrowPrimitiveType>(left: &ArrayRef, right: &ArrayRef) -> Comparator
    where
        T::Native: Into<f64>,
    {
        let (a, b) = (
            left.as_primitive::<T>().clone(),
            right.as_primitive::<T>().clone(),
        );
        Box::new(move |i, j| match (a.is_null(i), b.is_null(j)) {
            (false, false) => {
                let (x, y): (f64, f64) = (a.value(i).into(), b.value(j).into());
                let signs = x.is_sign_positive().cmp(&y.is_sign_positive());
                compare_doubles(x, y).then(if x.is_nan() { Ordering::Equal } else { signs })
            }
            (x, y) => y.cmp(&x),
        })
    }
    match left.data_type() {
        ArrowType::Float32 => by_bits::<Float32Type>(left, right),
        ArrowType::Float64 => by_bits::<Float64Type>(left, right),
        _ => comparator(left, right),
    }
}

fn of_values(left: &ArrayRef, right: &ArrayRef) -> Comparator {
    match left.data_type() {
        ArrowType::Null => Box::new(|_, _| Ordering::Equal),
        ArrowType::Boolean => {
            let (a, b) = (left.as_boolean().clone(), right.as_boolean().clone());
            Box::new(move |i, j| a.value(i).cmp(&b.value(j)))
        }
        ArrowType::Int8 => natural::<Int8Type>(left, right),
        ArrowType::Int16 => natural::<Int16Type>(left, right),
        ArrowType::Int32 => natural::<Int32Type>(left, right),
        ArrowType::Int64 => natural::<Int64Type>(left, right),
        ArrowType::Date32 => natural::<Date32Type>(left, right),
        ArrowType::Timestamp(..) => natural::<TimestampMicrosecondType>(left, right),
        ArrowType::Duration(_) => natural::<DurationMicrosecondType>(left, right),
        ArrowType::Interval(IntervalUnit::YearMonth) => {
            natural::<IntervalYearMonthType>(left, right)
        }
        ArrowType::Interval(_) => natural::<IntervalMonthDayNanoType>(left, right),
        ArrowType::Decimal128(..) => natural::<Decimal128Type>(left, right),
        ArrowType::Float32 => {
            let a = left.as_primitive::<Float32Type>().clone();
            let b = right.as_primitive::<Float32Type>().clone();
            Box::new(move |i, j| compare_doubles(a.value(i).into(), b.value(j).into()))
        }
        ArrowType::Float64 => {
            let a = left.as_primitive::<Float64Type>().clone();
            let b = right.as_primitive::<Float64Type>().clone();
            Box::new(move |i, j| compare_doubles(a.value(i), b.value(j)))
        }
        ArrowType::Utf8 => {
            let (a, b) = (
                left.as_string::<i32>().clone(),
                right.as_string::<i32>().clone(),
            );
            Box::new(move |i, j| a.value(i).cmp(b.value(j)))
        }
        ArrowType::Binary => {
            let (a, b) = (
                left.as_binary::<i32>().clone(),
                right.as_binary::<i32>().clone(),
            );
            Box::new(move |i, j| a.value(i).cmp(b.value(j)))
        }
        ArrowType::List(_) => of_lists(left, right),
        ArrowType::Struct(_) => of_structs(left, right),
        ArrowType::Map(..) => of_maps(left, right),
        other => unreachable!("no canonical array has type {other}"),
    }
}

fn natural<T: ArrowPrimitiveType>(left: &ArrayRef, right: &ArrayRef) -> Comparator
where
    T::Native: Ord,
{
    let (a, b) = (
        left.as_primitive::<T>().clone(),
        right.as_primitive::<T>().clone(),
    );
    Box::new(move |i, j| a.value(i).cmp(&b.value(j)))
}

fn of_structs(left: &ArrayRef, right: &ArrayRef) -> Comparator {
    let pairs = left
        .as_struct()
        .columns()
        .iter()
        .zip(right.as_struct().columns());
    let fields: Vec<Comparator> = pairs.map(|(a, b)| comparator(a, b)).collect();
    Box::new(move |i, j| {
        let mut orders = fields.iter().map(|compare| compare(i, j));
        orders
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    })
}

fn of_lists(left: &ArrayRef, right: &ArrayRef) -> Comparator {
    let (a, b) = (
        left.as_list::<i32>().clone(),
        right.as_list::<i32>().clone(),
    );
    let compare = comparator(a.values(), b.values());
    Box::new(move |i, j| {
        let range = |list: &arrow_array::ListArray, k: usize| {
            let offsets = list.value_offsets();
            let at = |k: usize| usize::try_from(offsets[k]).expect("offsets are not negative");
            at(k)..at(k + 1)
        };
        let (x, y) = (range(&a, i), range(&b, j));
        let lengths = x.len().cmp(&y.len());
        let mut orders = x.zip(y).map(|(k, l)| compare(k, l));
        orders.find(|order| order.is_ne()).unwrap_or(lengths)
    })
}

/// Maps have no order in Spark; entry by entry serves for finding equal ones.
fn of_maps(left: &ArrayRef, right: &ArrayRef) -> Comparator {
    let (a, b) = (left.as_map().clone(), right.as_map().clone());
    let keys = comparator(a.keys(), b.keys());
    let values = comparator(a.values(), b.values());
    Box::new(move |i, j| {
        let range = |map: &arrow_array::MapArray, k: usize| {
            let offsets = map.value_offsets();
            let at = |k: usize| usize::try_from(offsets[k]).expect("offsets are not negative");
            at(k)..at(k + 1)
        };
        let (x, y) = (range(&a, i), range(&b, j));
        let lengths = x.len().cmp(&y.len());
        let mut orders = x.zip(y).map(|(k, l)| keys(k, l).then_with(|| values(k, l)));
        orders.find(|order| order.is_ne()).unwrap_or(lengths)
    })
}
