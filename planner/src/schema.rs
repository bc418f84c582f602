//! The one type system of the house: Spark SQL's types, which are Chronon's types and a few more.
//!
//! Promises: every type has exactly one canonical Arrow form ([`DataType::to_arrow`]), and every
//! array inside the
//! house is in that form; connectors cast what they read. Never looks at data.

use std::fmt;

use arrow_schema::{DataType as ArrowType, Field as ArrowField, Fields, IntervalUnit, TimeUnit};

/// A Spark SQL type. `Display` prints Spark's `catalogString`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DataType {
    /// The type of a bare `NULL` (`void`).
    Null,
    /// `boolean`
    Boolean,
    /// `tinyint`
    Byte,
    /// `smallint`
    Short,
    /// `int`
    Int,
    /// `bigint`
    Long,
    /// `float`
    Float,
    /// `double`
    Double,
    /// `decimal(precision,scale)`
    Decimal(u8, i8),
    /// `string`
    String,
    /// `binary`
    Binary,
    /// `date`: days since 1970-01-01.
    Date,
    /// `timestamp`: microseconds since the epoch, UTC.
    Timestamp,
    /// `timestamp_ntz`: microseconds of wall-clock time without a zone.
    TimestampNtz,
    /// `interval day to second` and its narrower forms: microseconds.
    DayTimeInterval(IntervalField, IntervalField),
    /// `interval year to month` and its narrower forms: months.
    YearMonthInterval(IntervalField, IntervalField),
    /// `interval`: months, days and microseconds.
    CalendarInterval,
    /// `array<element>`; elements may be null.
    Array(Box<DataType>),
    /// `map<key,value>`; keys are never null, values may be.
    Map(Box<DataType>, Box<DataType>),
    /// `struct<name:type,…>`
    Struct(Vec<Field>),
}

/// The fields an interval type ranges over, largest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are Spark's own words")]
pub enum IntervalField {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

impl fmt::Display for IntervalField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Second => "second",
        })
    }
}

/// A named column or struct field. Nullability is not tracked: every column may hold nulls.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Field {
    /// The name as written; look-ups ignore case as Spark does.
    pub name: String,
    /// The type.
    pub data_type: DataType,
}

impl Field {
    /// A field of this name and type.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self {
            name: name.into(),
            data_type,
        }
    }
}

/// An ordered list of columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// The columns in order.
    pub fields: Vec<Field>,
}

impl Schema {
    /// A schema of these columns.
    pub fn new(fields: Vec<Field>) -> Self {
        Self { fields }
    }

    /// Position of a column: an exact match first, else the first that matches ignoring case.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        let exact = self.fields.iter().position(|f| f.name == name);
        exact.or_else(|| {
            self.fields
                .iter()
                .position(|f| f.name.eq_ignore_ascii_case(name))
        })
    }

    /// The column of this name, found as [`Schema::index_of`] does.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.index_of(name).map(|i| &self.fields[i])
    }

    /// The canonical Arrow schema.
    pub fn to_arrow(&self) -> arrow_schema::Schema {
        arrow_schema::Schema::new(self.fields.iter().map(Field::to_arrow).collect::<Vec<_>>())
    }

    /// The house's view of an Arrow schema; the error names the first column that has no Spark
    /// type.
    pub fn from_arrow(schema: &arrow_schema::Schema) -> Result<Self, UnsupportedType> {
        let fields = schema
            .fields()
            .iter()
            .map(|f| Field::from_arrow(f))
            .collect::<Result<_, _>>();
        Ok(Self { fields: fields? })
    }
}

/// An Arrow type that no Spark type stands for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column} has type {arrow}, which has no Spark type")]
pub struct UnsupportedType {
    /// The column or nested field.
    pub column: String,
    /// Arrow's name of the type.
    pub arrow: String,
}

impl Field {
    /// The canonical Arrow field, nullable.
    pub fn to_arrow(&self) -> ArrowField {
        ArrowField::new(&self.name, self.data_type.to_arrow(), true)
    }

    fn from_arrow(field: &ArrowField) -> Result<Self, UnsupportedType> {
        Ok(Self::new(
            field.name(),
            DataType::from_arrow(field.name(), field.data_type())?,
        ))
    }
}

impl DataType {
    /// An array of this element type.
    pub fn array(element: DataType) -> Self {
        Self::Array(Box::new(element))
    }

    /// A map of these types.
    pub fn map(key: DataType, value: DataType) -> Self {
        Self::Map(Box::new(key), Box::new(value))
    }

    /// The canonical Arrow form: list items are named `element`, map entries `entries{key,value}`,
    /// all nullable but
    /// map keys.
    pub fn to_arrow(&self) -> ArrowType {
        match self {
            Self::Null => ArrowType::Null,
            Self::Boolean => ArrowType::Boolean,
            Self::Byte => ArrowType::Int8,
            Self::Short => ArrowType::Int16,
            Self::Int => ArrowType::Int32,
            Self::Long => ArrowType::Int64,
            Self::Float => ArrowType::Float32,
            Self::Double => ArrowType::Float64,
            Self::Decimal(precision, scale) => ArrowType::Decimal128(*precision, *scale),
            Self::String => ArrowType::Utf8,
            Self::Binary => ArrowType::Binary,
            Self::Date => ArrowType::Date32,
            Self::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::TimestampNtz => ArrowType::Timestamp(TimeUnit::Microsecond, None),
            Self::DayTimeInterval(..) => ArrowType::Duration(TimeUnit::Microsecond),
            Self::YearMonthInterval(..) => ArrowType::Interval(IntervalUnit::YearMonth),
            Self::CalendarInterval => ArrowType::Interval(IntervalUnit::MonthDayNano),
            Self::Array(element) => {
                ArrowType::List(ArrowField::new("element", element.to_arrow(), true).into())
            }
            Self::Map(key, value) => {
                let entries = Fields::from(vec![
                    ArrowField::new("key", key.to_arrow(), false),
                    ArrowField::new("value", value.to_arrow(), true),
                ]);
                let entries = ArrowField::new("entries", ArrowType::Struct(entries), false);
                ArrowType::Map(entries.into(), false)
            }
            Self::Struct(fields) => ArrowType::Struct(
                fields
                    .iter()
                    .map(Field::to_arrow)
                    .collect::<Vec<_>>()
                    .into(),
            ),
        }
    }

    /// The Spark type that an Arrow type (canonical or not) stands for.
    pub fn from_arrow(column: &str, arrow: &ArrowType) -> Result<Self, UnsupportedType> {
        use IntervalField::{Day, Month, Second, Year};
        Ok(match arrow {
            ArrowType::Null => Self::Null,
            ArrowType::Boolean => Self::Boolean,
            ArrowType::Int8 => Self::Byte,
            ArrowType::Int16 | ArrowType::UInt8 => Self::Short,
            ArrowType::Int32 | ArrowType::UInt16 => Self::Int,
            ArrowType::Int64 | ArrowType::UInt32 => Self::Long,
            ArrowType::UInt64 => Self::Decimal(20, 0),
            ArrowType::Float16 | ArrowType::Float32 => Self::Float,
            ArrowType::Float64 => Self::Double,
            ArrowType::Decimal32(p, s)
            | ArrowType::Decimal64(p, s)
            | ArrowType::Decimal128(p, s) => Self::Decimal(*p, *s),
            ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => Self::String,
            ArrowType::Binary
            | ArrowType::LargeBinary
            | ArrowType::BinaryView
            | ArrowType::FixedSizeBinary(_) => Self::Binary,
            ArrowType::Date32 | ArrowType::Date64 => Self::Date,
            ArrowType::Timestamp(_, Some(_)) => Self::Timestamp,
            ArrowType::Timestamp(_, None) => Self::TimestampNtz,
            ArrowType::Duration(_) => Self::DayTimeInterval(Day, Second),
            ArrowType::Interval(IntervalUnit::YearMonth) => Self::YearMonthInterval(Year, Month),
            ArrowType::Interval(_) => Self::CalendarInterval,
            ArrowType::List(item)
            | ArrowType::LargeList(item)
            | ArrowType::ListView(item)
            | ArrowType::LargeListView(item)
            | ArrowType::FixedSizeList(item, _) => {
                Self::array(Self::from_arrow(column, item.data_type())?)
            }
            ArrowType::Map(entries, _) => match entries.data_type() {
                ArrowType::Struct(fields) if fields.len() == 2 => Self::map(
                    Self::from_arrow(column, fields[0].data_type())?,
                    Self::from_arrow(column, fields[1].data_type())?,
                ),
                other => return Err(unsupported(column, other)),
            },
            ArrowType::Struct(fields) => Self::Struct(
                fields
                    .iter()
                    .map(|f| Field::from_arrow(f))
                    .collect::<Result<_, _>>()?,
            ),
            ArrowType::Dictionary(_, value) => Self::from_arrow(column, value)?,
            ArrowType::RunEndEncoded(_, value) => Self::from_arrow(column, value.data_type())?,
            other => return Err(unsupported(column, other)),
        })
    }
}

fn unsupported(column: &str, arrow: &ArrowType) -> UnsupportedType {
    UnsupportedType {
        column: column.into(),
        arrow: arrow.to_string(),
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("void"),
            Self::Boolean => f.write_str("boolean"),
            Self::Byte => f.write_str("tinyint"),
            Self::Short => f.write_str("smallint"),
            Self::Int => f.write_str("int"),
            Self::Long => f.write_str("bigint"),
            Self::Float => f.write_str("float"),
            Self::Double => f.write_str("double"),
            Self::Decimal(precision, scale) => write!(f, "decimal({precision},{scale})"),
            Self::String => f.write_str("string"),
            Self::Binary => f.write_str("binary"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::TimestampNtz => f.write_str("timestamp_ntz"),
            Self::DayTimeInterval(from, to) | Self::YearMonthInterval(from, to) if from == to => {
                write!(f, "interval {from}")
            }
            Self::DayTimeInterval(from, to) | Self::YearMonthInterval(from, to) => {
                write!(f, "interval {from} to {to}")
            }
            Self::CalendarInterval => f.write_str("interval"),
            Self::Array(element) => write!(f, "array<{element}>"),
            Self::Map(key, value) => write!(f, "map<{key},{value}>"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (i, field) in fields.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    write!(f, "{comma}{}:{}", field.name, field.data_type)?;
                }
                f.write_str(">")
            }
        }
    }
}
