//! Spark's type coercion with ANSI off: which type two operands meet at, and which casts are made unasked.
//!
//! Promises: the tables of Spark 3.5's `TypeCoercion`. Never inserts a cast itself; callers do.

use crate::schema::{DataType, Field};

/// What a function's argument may be, in Spark's abstract types.
#[derive(Clone, Debug)]
pub enum Takes {
    /// Anything, as it is.
    Any,
    /// Exactly this type, by implicit cast.
    Type(DataType),
    /// Exactly this type and nothing cast to it, but for a null.
    Only(DataType),
    /// Any number; a string becomes a double.
    Numeric,
    /// Any integer type; strings are refused.
    Integral,
    /// Any decimal; integers and strings become one.
    Decimal,
    /// `double` or `decimal`.
    DoubleOrDecimal,
    /// A string or a binary; anything else becomes a string.
    StringOrBinary,
    /// Any array.
    Array,
    /// Any map.
    Map,
    /// Any array or map.
    ArrayOrMap,
    /// The first of these that fits as it is, else the first by implicit cast.
    OneOf(Vec<Takes>),
}

impl Takes {
    /// True if a value of the type is taken without a cast.
    fn accepts(&self, data_type: &DataType) -> bool {
        match self {
            Self::Any => true,
            Self::Type(wanted) | Self::Only(wanted) => wanted == data_type,
            Self::Numeric => is_numeric(data_type),
            Self::Integral => is_integral(data_type),
            Self::Decimal => matches!(data_type, DataType::Decimal(..)),
            Self::DoubleOrDecimal => {
                matches!(data_type, DataType::Double | DataType::Decimal(..))
            }
            Self::StringOrBinary => matches!(data_type, DataType::String | DataType::Binary),
            Self::Array => matches!(data_type, DataType::Array(_)),
            Self::Map => matches!(data_type, DataType::Map(..)),
            Self::ArrayOrMap => matches!(data_type, DataType::Array(_) | DataType::Map(..)),
            Self::OneOf(choices) => choices.iter().any(|c| c.accepts(data_type)),
        }
    }

    /// The type an argument is cast to, which is its own where it is accepted.
    pub(crate) fn implicit(&self, from: &DataType) -> Option<DataType> {
        if self.accepts(from) {
            return Some(from.clone());
        }
        match self {
            Self::Any => Some(from.clone()),
            Self::Type(wanted) => implicit_cast(from, wanted),
            Self::Only(wanted) => (*from == DataType::Null).then(|| wanted.clone()),
            Self::Numeric => match from {
                DataType::Null | DataType::String => Some(DataType::Double),
                _ => None,
            },
            Self::Integral => (*from == DataType::Null).then_some(DataType::Int),
            Self::Decimal => match from {
                DataType::Null | DataType::String => Some(DataType::Decimal(38, 18)),
                _ => decimal_for(from),
            },
            Self::DoubleOrDecimal => match from {
                DataType::Null | DataType::String => Some(DataType::Double),
                _ if is_numeric(from) => Some(DataType::Double),
                _ => None,
            },
            Self::StringOrBinary => implicit_cast(from, &DataType::String),
            Self::Array | Self::ArrayOrMap if *from == DataType::Null => {
                Some(DataType::array(DataType::Null))
            }
            Self::Map if *from == DataType::Null => {
                Some(DataType::map(DataType::Null, DataType::Null))
            }
            Self::Array | Self::Map | Self::ArrayOrMap => None,
            Self::OneOf(choices) => choices.iter().find_map(|c| c.implicit(from)),
        }
    }

    /// What to call it in an error.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Any => "any value".into(),
            Self::Type(wanted) | Self::Only(wanted) => wanted.to_string(),
            Self::Numeric => "a number".into(),
            Self::Integral => "an integer".into(),
            Self::Decimal => "a decimal".into(),
            Self::DoubleOrDecimal => "a double or a decimal".into(),
            Self::StringOrBinary => "a string or a binary".into(),
            Self::Array => "an array".into(),
            Self::Map => "a map".into(),
            Self::ArrayOrMap => "an array or a map".into(),
            Self::OneOf(choices) => {
                let names: Vec<String> = choices.iter().map(Takes::describe).collect();
                names.join(" or ")
            }
        }
    }
}

pub(crate) fn is_integral(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Byte | DataType::Short | DataType::Int | DataType::Long
    )
}

pub(crate) fn is_numeric(data_type: &DataType) -> bool {
    is_integral(data_type)
        || matches!(
            data_type,
            DataType::Float | DataType::Double | DataType::Decimal(..)
        )
}

pub(crate) fn is_atomic(data_type: &DataType) -> bool {
    !matches!(
        data_type,
        DataType::Null
            | DataType::CalendarInterval
            | DataType::Array(_)
            | DataType::Map(..)
            | DataType::Struct(_)
    )
}

/// Spark's `implicitCast` to a concrete type.
pub(crate) fn implicit_cast(from: &DataType, to: &DataType) -> Option<DataType> {
    use DataType::{Array, Binary, Date, Decimal, Map, Null, String, Timestamp, TimestampNtz};
    let allowed = match (from, to) {
        (a, b) if a == b => true,
        (Null, _) => true,
        (String, Date | Timestamp | TimestampNtz | Binary) => true,
        (String, number) if is_numeric(number) => true,
        (from, Decimal(..)) if is_numeric(from) => true,
        (from, to) if is_numeric(from) && is_numeric(to) => true,
        (Date, Timestamp | TimestampNtz) | (Timestamp | TimestampNtz, Date) => true,
        (Timestamp, TimestampNtz) | (TimestampNtz, Timestamp) => true,
        (from, String) => is_atomic(from),
        (Array(a), Array(b)) => return Some(DataType::array(implicit_cast(a, b)?)),
        (Map(k, v), Map(l, w)) => {
            return Some(DataType::map(implicit_cast(k, l)?, implicit_cast(v, w)?));
        }
        _ => false,
    };
    allowed.then(|| to.clone())
}

/// The decimal that holds every value of a numeric type.
pub(crate) fn decimal_for(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Byte => DataType::Decimal(3, 0),
        DataType::Short => DataType::Decimal(5, 0),
        DataType::Int => DataType::Decimal(10, 0),
        DataType::Long => DataType::Decimal(20, 0),
        DataType::Float => DataType::Decimal(14, 7),
        DataType::Double => DataType::Decimal(30, 15),
        DataType::Decimal(..) => data_type.clone(),
        _ => return None,
    })
}

/// Precision and scale, cut to 38 without care for the whole part.
pub(crate) fn bounded_decimal(precision: i32, scale: i32) -> DataType {
    let byte = |n: i32| u8::try_from(n.clamp(0, 38)).expect("clamped");
    let scale = i8::try_from(scale.clamp(0, 38)).expect("clamped");
    DataType::Decimal(byte(precision).max(1), scale)
}

/// Precision and scale, cut to 38 by giving up digits after the point, but keeping six of them.
pub(crate) fn adjusted_decimal(precision: i32, scale: i32) -> DataType {
    if precision <= 38 {
        return bounded_decimal(precision, scale);
    }
    let whole = precision - scale;
    bounded_decimal(38, (38 - whole).max(scale.min(6)))
}

fn wider_decimal(a: (u8, i8), b: (u8, i8)) -> DataType {
    let scale = i32::from(a.1.max(b.1));
    let whole = |d: (u8, i8)| i32::from(d.0) - i32::from(d.1);
    bounded_decimal(whole(a).max(whole(b)) + scale, scale)
}

/// Spark's `findTightestCommonType`: no precision lost, no string made.
pub(crate) fn tightest(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{
        Date, DayTimeInterval, Decimal, Null, Timestamp, TimestampNtz, YearMonthInterval,
    };
    if a == b {
        return Some(a.clone());
    }
    match (a, b) {
        (Null, other) | (other, Null) => Some(other.clone()),
        (Decimal(p, s), integer) | (integer, Decimal(p, s)) if is_integral(integer) => {
            let digits = match integer {
                DataType::Byte => 3,
                DataType::Short => 5,
                DataType::Int => 10,
                _ => 20,
            };
            let whole = i32::from(*p) - i32::from(*s);
            (whole >= digits).then_some(Decimal(*p, *s))
        }
        (Decimal(..), _) | (_, Decimal(..)) => None,
        (a, b) if is_numeric(a) && is_numeric(b) => Some(if a > b { a.clone() } else { b.clone() }),
        (Date | TimestampNtz, Timestamp) | (Timestamp, Date | TimestampNtz) => Some(Timestamp),
        (Date, TimestampNtz) | (TimestampNtz, Date) => Some(TimestampNtz),
        (DayTimeInterval(f, t), DayTimeInterval(g, u)) => {
            Some(DayTimeInterval(*f.min(g), *t.max(u)))
        }
        (YearMonthInterval(f, t), YearMonthInterval(g, u)) => {
            Some(YearMonthInterval(*f.min(g), *t.max(u)))
        }
        _ => complex(a, b, tightest),
    }
}

/// Spark's `findWiderTypeForTwo`: loses precision if it must, makes strings.
pub(crate) fn wider(a: &DataType, b: &DataType) -> Option<DataType> {
    tightest(a, b)
        .or_else(|| wider_numeric(a, b))
        .or_else(|| promoted_string(a, b))
        .or_else(|| complex(a, b, wider))
}

/// Spark's `findWiderTypeWithoutStringPromotionForTwo`.
pub(crate) fn wider_without_strings(a: &DataType, b: &DataType) -> Option<DataType> {
    tightest(a, b)
        .or_else(|| wider_numeric(a, b))
        .or_else(|| complex(a, b, wider_without_strings))
}

fn wider_numeric(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Decimal, Double, Float};
    match (a, b) {
        (Decimal(..), Float | Double) | (Float | Double, Decimal(..)) => Some(Double),
        (Decimal(..), _) | (_, Decimal(..)) => match (decimal_for(a)?, decimal_for(b)?) {
            (Decimal(p, s), Decimal(q, t)) => Some(wider_decimal((p, s), (q, t))),
            _ => None,
        },
        _ => None,
    }
}

fn promoted_string(a: &DataType, b: &DataType) -> Option<DataType> {
    let other = match (a, b) {
        (DataType::String, other) | (other, DataType::String) => other,
        _ => return None,
    };
    let promotes = is_atomic(other) && !matches!(other, DataType::Binary | DataType::Boolean);
    promotes.then_some(DataType::String)
}

fn complex(
    a: &DataType,
    b: &DataType,
    inner: fn(&DataType, &DataType) -> Option<DataType>,
) -> Option<DataType> {
    match (a, b) {
        (DataType::Array(x), DataType::Array(y)) => Some(DataType::array(inner(x, y)?)),
        (DataType::Map(k, v), DataType::Map(l, w)) => {
            Some(DataType::map(inner(k, l)?, inner(v, w)?))
        }
        (DataType::Struct(f), DataType::Struct(g)) if f.len() == g.len() => {
            let mut fields = Vec::new();
            for (x, y) in f.iter().zip(g) {
                if !x.name.eq_ignore_ascii_case(&y.name) {
                    return None;
                }
                fields.push(Field::new(&x.name, inner(&x.data_type, &y.data_type)?));
            }
            Some(DataType::Struct(fields))
        }
        _ => None,
    }
}

fn has_string(data_type: &DataType) -> bool {
    match data_type {
        DataType::String => true,
        DataType::Array(element) => has_string(element),
        _ => false,
    }
}

/// Spark's `findWiderCommonType`: strings first, so that the answer does not hang on the order.
pub(crate) fn wider_of<'a>(types: impl Iterator<Item = &'a DataType>) -> Option<DataType> {
    let (strings, others): (Vec<_>, Vec<_>) = types.partition(|t| has_string(t));
    let mut all = strings.into_iter().chain(others);
    all.try_fold(DataType::Null, |met, next| wider(&met, next))
}

/// Spark's `findCommonTypeForBinaryComparison`: a string is read as what it is compared with.
pub(crate) fn comparison_type(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Decimal, Double, Null, String};
    match (a, b) {
        (String, String) => None,
        (String, Null) | (Null, String) => Some(String),
        (String, Decimal(..)) | (Decimal(..), String) => Some(Double),
        // Of which interval a text would be, it does not say.
        (String, other) | (other, String) if is_atomic(other) && !is_interval(other) => {
            Some(other.clone())
        }
        _ => None,
    }
}

/// True for the intervals that columns can hold.
fn is_interval(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::DayTimeInterval(..) | DataType::YearMonthInterval(..)
    )
}

/// True if values can be compared and sorted.
pub(crate) fn is_orderable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(..) | DataType::CalendarInterval => false,
        DataType::Array(element) => is_orderable(element),
        DataType::Struct(fields) => fields.iter().all(|f| is_orderable(&f.data_type)),
        _ => true,
    }
}

/// True if Spark has a cast between the types with ANSI on, as TRY_CAST goes by.
pub(crate) fn can_cast_strictly(from: &DataType, to: &DataType) -> bool {
    use DataType::{Array, Binary, Boolean, Date, Map, Struct, Timestamp};
    match (from, to) {
        (Date, b) if is_numeric(b) || *b == Boolean => false,
        (Timestamp, Boolean) | (Boolean, Timestamp) => false,
        (a, Binary) if is_integral(a) => false,
        (Array(a), Array(b)) => can_cast_strictly(a, b),
        (Map(k, v), Map(l, w)) => can_cast_strictly(k, l) && can_cast_strictly(v, w),
        (Struct(f), Struct(g)) => {
            let pairs = f.iter().zip(g);
            f.len() == g.len()
                && pairs
                    .into_iter()
                    .all(|(x, y)| can_cast_strictly(&x.data_type, &y.data_type))
        }
        _ => can_cast(from, to),
    }
}

/// True if Spark has a cast between the types at all (ANSI off).
pub(crate) fn can_cast(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Array, Binary, Boolean, CalendarInterval, Date, DayTimeInterval, Map, Null, String, Struct,
        Timestamp, TimestampNtz, YearMonthInterval,
    };
    match (from, to) {
        (a, b) if a == b => true,
        (Null, _) | (_, String) => true,
        (String, Binary | Boolean | Timestamp | TimestampNtz | Date | CalendarInterval) => true,
        (String, DayTimeInterval(..) | YearMonthInterval(..)) => true,
        (a, Binary) => is_integral(a),
        (Boolean | Date | Timestamp, Boolean | Timestamp) => true,
        (Date | Timestamp | TimestampNtz, Date | Timestamp | TimestampNtz) => true,
        (a, Boolean | Timestamp) if is_numeric(a) => true,
        (DayTimeInterval(..), DayTimeInterval(..)) => true,
        (YearMonthInterval(..), YearMonthInterval(..)) => true,
        (DayTimeInterval(..) | YearMonthInterval(..), b) if is_integral(b) => true,
        (a, DayTimeInterval(..) | YearMonthInterval(..)) if is_integral(a) => true,
        (DayTimeInterval(..) | YearMonthInterval(..), DataType::Decimal(..)) => true,
        (DataType::Decimal(..), DayTimeInterval(..) | YearMonthInterval(..)) => true,
        (String | Boolean | Date | Timestamp, b) if is_numeric(b) => true,
        (a, b) if is_numeric(a) && is_numeric(b) => true,
        (Array(a), Array(b)) => can_cast(a, b),
        (Map(k, v), Map(l, w)) => can_cast(k, l) && can_cast(v, w),
        (Struct(f), Struct(g)) => {
            f.len() == g.len()
                && f.iter()
                    .zip(g)
                    .all(|(x, y)| can_cast(&x.data_type, &y.data_type))
        }
        _ => false,
    }
}
