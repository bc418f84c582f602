//! Which row groups cannot hold a row that is wanted.
//!
//! Promises: a row group is left out only if its statistics prove that every row fails one of the
//! comparisons, by Spark's order (NaN above all numbers, null equal to nothing). Never looks at
//! rows: callers filter what they get.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::RowGroupMetaData;
use unskewed_planner::schema::DataType;

use super::conform::conform;
use super::footer::Footer;

/// How a column compares to a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// What a column is compared to.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// For `tinyint` to `bigint`.
    Long(i64),
    /// For `float` and `double`.
    Double(f64),
    /// For `string`.
    String(String),
    /// For `timestamp` and `timestamp_ntz`: microseconds.
    TimestampMicros(i64),
    /// For `date`: days.
    DateDays(i32),
}

/// A condition that every wanted row meets, as far as it is known; several are joined by *and*.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The column's name.
    pub column: String,
    /// The comparison.
    pub operator: Operator,
    /// The literal.
    pub literal: Literal,
}

impl Comparison {
    /// `column operator literal`
    pub fn new(column: &str, operator: Operator, literal: Literal) -> Self {
        Self {
            column: column.into(),
            operator,
            literal,
        }
    }
}

/// Those of the row groups that may hold a wanted row.
pub(super) fn kept(
    footer: &Footer,
    row_groups: std::ops::Range<usize>,
    comparisons: &[Comparison],
) -> Vec<usize> {
    let mut kept: Vec<usize> = row_groups.collect();
    for comparison in comparisons {
        if let Some(hopeless) = hopeless(footer, &kept, comparison) {
            let mut hopeless = hopeless.into_iter();
            kept.retain(|_| !hopeless.next().unwrap_or(false));
        }
    }
    kept
}

/// For each row group, whether no row of it meets the comparison; `None` if the statistics cannot
/// say.
fn hopeless(footer: &Footer, groups: &[usize], comparison: &Comparison) -> Option<Vec<bool>> {
    let at = footer.schema.index_of(&comparison.column)?;
    let field = &footer.schema.fields[at];
    let metadata = &footer.metadata;
    let name = metadata.schema().field(at).name();
    let converter =
        StatisticsConverter::try_new(name, metadata.schema(), metadata.parquet_schema()).ok()?;
    let groups: Vec<&RowGroupMetaData> = groups
        .iter()
        .map(|g| metadata.metadata().row_group(*g))
        .collect();
    let least = converter.row_group_mins(groups.iter().copied()).ok()?;
    let most = converter.row_group_maxes(groups.iter().copied()).ok()?;
    let (least, most) = comparable(&field.data_type, &comparison.literal, &least, &most)?;
    let hopeless = (0..groups.len()).map(|group| {
        let order = |bounds: &ArrayRef| order(bounds, group, &comparison.literal);
        let (least, most) = (order(&least), order(&most));
        use std::cmp::Ordering::{Equal, Greater, Less};
        // Statistics of floating columns leave NaN out, which is above every literal.
        let top = !matches!(field.data_type, DataType::Float | DataType::Double);
        match comparison.operator {
            Operator::Equal => least == Some(Greater) || most == Some(Less),
            Operator::Less => matches!(least, Some(Greater | Equal)),
            Operator::LessOrEqual => least == Some(Greater),
            Operator::Greater => top && matches!(most, Some(Less | Equal)),
            Operator::GreaterOrEqual => top && most == Some(Less),
        }
    });
    Some(hopeless.collect())
}

/// Bounds in the form that is compared to the literal; `None` if column and literal do not go
/// together.
fn comparable(
    data_type: &DataType,
    literal: &Literal,
    least: &ArrayRef,
    most: &ArrayRef,
) -> Option<(ArrayRef, ArrayRef)> {
    use DataType::{Byte, Date, Double, Float, Int, Long, Short, String, Timestamp, TimestampNtz};
    let form = match (data_type, literal) {
        (Byte | Short | Int | Long, Literal::Long(_)) => Long,
        (Float | Double, Literal::Double(value)) if !value.is_nan() => Double,
        (String, Literal::String(_)) => String,
        (Timestamp | TimestampNtz, Literal::TimestampMicros(_)) => data_type.clone(),
        (Date, Literal::DateDays(_)) => Date,
        _ => return None,
    };
    Some((conform(least, &form).ok()?, conform(most, &form).ok()?))
}

/// How a bound stands to the literal; `None` if the bound is not known.
fn order(bounds: &ArrayRef, at: usize, literal: &Literal) -> Option<std::cmp::Ordering> {
    if bounds.is_null(at) {
        return None;
    }
    match literal {
        Literal::Long(to) => Some(bounds.as_primitive::<Int64Type>().value(at).cmp(to)),
        Literal::Double(to) => {
            let bound = bounds.as_primitive::<Float64Type>().value(at);
            bound.partial_cmp(to)
        }
        Literal::String(to) => Some(bounds.as_string::<i32>().value(at).cmp(to)),
        Literal::TimestampMicros(to) => {
            let bounds = bounds.as_primitive::<TimestampMicrosecondType>();
            Some(bounds.value(at).cmp(to))
        }
        Literal::DateDays(to) => Some(bounds.as_primitive::<Date32Type>().value(at).cmp(to)),
    }
}
