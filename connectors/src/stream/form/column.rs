//! Columns under construction, value by value, for forms that are read value by value.
//!
//! Promises: a value is taken as its column's type or not at all: no number is cut, no text is read as a number. A row
//! that went wrong half way is made whole by [`Column::seal`], however deep it broke off, and can be left out then.
//!
//! One table of meanings holds for all forms:
//!
//! | wanted | taken from |
//! |---|---|
//! | boolean | boolean |
//! | tinyint … bigint | whole number in its range |
//! | float, double | number; the texts NaN, Infinity and -Infinity |
//! | decimal | number or text of digits that fits without rounding |
//! | string | text |
//! | binary | bytes; text in base64 |
//! | date | text yyyy-MM-dd; days since 1970 |
//! | timestamp | text as in ISO 8601, in UTC where it names no zone; milliseconds since 1970 |

use std::sync::Arc;

use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType,
};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, MapArray, NullArray,
    PrimitiveArray, StringArray, StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType as ArrowType, Field as ArrowField, FieldRef};
use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use unskewed_planner::schema::{DataType, Field};

use super::text;

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A value did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misfit;

/// Whether a value fitted.
pub(super) type Fit = Result<(), Misfit>;

/// A column under construction.
#[derive(Debug)]
pub(super) struct Column {
    data_type: DataType,
    valid: Vec<bool>,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Null,
    Boolean(Vec<bool>),
    Byte(Vec<i8>),
    Short(Vec<i16>),
    Int(Vec<i32>),
    Long(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Decimal(Vec<i128>),
    Bytes(Vec<i32>, Vec<u8>),
    List(Vec<i32>, Box<Column>),
    Map(Vec<i32>, Box<(Column, Column)>),
    Struct(Vec<Column>),
}

/// Whether columns of this type can be made of messages.
pub(super) fn is_known(data_type: &DataType) -> bool {
    match data_type {
        DataType::DayTimeInterval(..)
        | DataType::YearMonthInterval(..)
        | DataType::CalendarInterval => false,
        DataType::Array(element) => is_known(element),
        DataType::Map(key, value) => is_known(key) && is_known(value),
        DataType::Struct(fields) => fields.iter().all(|field| is_known(&field.data_type)),
        _ => true,
    }
}

/// The place after so many values of a child, as lists count.
fn place(length: usize) -> i32 {
    i32::try_from(length).expect("the messages of a batch hold less than 2 GiB")
}

impl Column {
    /// An empty column of a type that [`is_known`].
    pub(super) fn new(data_type: &DataType) -> Self {
        let data = match data_type {
            DataType::Boolean => Data::Boolean(vec![]),
            DataType::Byte => Data::Byte(vec![]),
            DataType::Short => Data::Short(vec![]),
            DataType::Int | DataType::Date => Data::Int(vec![]),
            DataType::Long | DataType::Timestamp | DataType::TimestampNtz => Data::Long(vec![]),
            DataType::Float => Data::Float(vec![]),
            DataType::Double => Data::Double(vec![]),
            DataType::Decimal(..) => Data::Decimal(vec![]),
            DataType::String | DataType::Binary => Data::Bytes(vec![0], vec![]),
            DataType::Array(element) => Data::List(vec![0], Box::new(Self::new(element))),
            DataType::Map(key, value) => {
                Data::Map(vec![0], Box::new((Self::new(key), Self::new(value))))
            }
            DataType::Struct(fields) => {
                let fields = fields.iter();
                Data::Struct(fields.map(|field| Self::new(&field.data_type)).collect())
            }
            _ => Data::Null,
        };
        Self {
            data_type: data_type.clone(),
            valid: vec![],
            data,
        }
    }

    pub(super) fn data_type(&self) -> &DataType {
        &self.data_type
    }

    pub(super) fn len(&self) -> usize {
        self.valid.len()
    }

    /// Appends a null; where nothing may be null, something that stands for it.
    pub(super) fn null(&mut self) {
        match &mut self.data {
            Data::Null => {}
            Data::Boolean(values) => values.push(false),
            Data::Byte(values) => values.push(0),
            Data::Short(values) => values.push(0),
            Data::Int(values) => values.push(0),
            Data::Long(values) => values.push(0),
            Data::Float(values) => values.push(0.0),
            Data::Double(values) => values.push(0.0),
            Data::Decimal(values) => values.push(0),
            Data::Bytes(ends, bytes) => ends.push(place(bytes.len())),
            Data::List(ends, items) => ends.push(place(items.len())),
            Data::Map(ends, entries) => ends.push(place(entries.0.len())),
            Data::Struct(fields) => fields.iter_mut().for_each(Self::null),
        }
        self.valid.push(false);
    }

    pub(super) fn boolean(&mut self, value: bool) -> Fit {
        let Data::Boolean(values) = &mut self.data else {
            return Err(Misfit);
        };
        values.push(value);
        self.valid.push(true);
        Ok(())
    }

    /// A whole number; of a timestamp, milliseconds.
    pub(super) fn integer(&mut self, value: i128) -> Fit {
        #[expect(clippy::cast_precision_loss, reason = "a number is what is nearest")]
        match (&mut self.data, &self.data_type) {
            (Data::Byte(values), _) => values.push(value.try_into().map_err(|_| Misfit)?),
            (Data::Short(values), _) => values.push(value.try_into().map_err(|_| Misfit)?),
            (Data::Int(values), _) => values.push(value.try_into().map_err(|_| Misfit)?),
            (Data::Long(values), DataType::Long) => {
                values.push(value.try_into().map_err(|_| Misfit)?);
            }
            (Data::Long(values), _) => {
                let micros = value.checked_mul(1000).ok_or(Misfit)?;
                values.push(micros.try_into().map_err(|_| Misfit)?);
            }
            (Data::Float(values), _) => values.push(value as f32),
            (Data::Double(values), _) => values.push(value as f64),
            (Data::Decimal(values), DataType::Decimal(precision, scale)) => {
                values.push(text::decimal(value, 0, *precision, *scale).ok_or(Misfit)?);
            }
            _ => return Err(Misfit),
        }
        self.valid.push(true);
        Ok(())
    }

    /// A number with a point. For decimals see [`Column::digits`].
    pub(super) fn float(&mut self, value: f64) -> Fit {
        match &mut self.data {
            Data::Float(values) => {
                #[expect(clippy::cast_possible_truncation, reason = "checked")]
                let narrow = value as f32;
                if narrow.is_infinite() && value.is_finite() {
                    return Err(Misfit);
                }
                values.push(narrow);
            }
            Data::Double(values) => values.push(value),
            _ => return Err(Misfit),
        }
        self.valid.push(true);
        Ok(())
    }

    /// A number as it is written, for decimals.
    pub(super) fn digits(&mut self, written: &str) -> Fit {
        let (Data::Decimal(values), DataType::Decimal(precision, scale)) =
            (&mut self.data, &self.data_type)
        else {
            return Err(Misfit);
        };
        values.push(text::digits(written, *precision, *scale).ok_or(Misfit)?);
        self.valid.push(true);
        Ok(())
    }

    /// A number of this many decimal places.
    pub(super) fn decimal(&mut self, value: i128, places: i32) -> Fit {
        let (Data::Decimal(values), DataType::Decimal(precision, scale)) =
            (&mut self.data, &self.data_type)
        else {
            return Err(Misfit);
        };
        values.push(text::decimal(value, places, *precision, *scale).ok_or(Misfit)?);
        self.valid.push(true);
        Ok(())
    }

    /// Microseconds since 1970.
    pub(super) fn micros(&mut self, value: i64) -> Fit {
        match (&mut self.data, &self.data_type) {
            (Data::Long(values), DataType::Timestamp | DataType::TimestampNtz) => {
                values.push(value);
            }
            _ => return Err(Misfit),
        }
        self.valid.push(true);
        Ok(())
    }

    pub(super) fn text(&mut self, value: &str) -> Fit {
        match (&mut self.data, &self.data_type) {
            (Data::Bytes(ends, bytes), DataType::String) => {
                bytes.extend_from_slice(value.as_bytes());
                ends.push(place(bytes.len()));
            }
            (Data::Bytes(ends, bytes), _) => {
                bytes.extend(BASE64.decode(value).map_err(|_| Misfit)?);
                ends.push(place(bytes.len()));
            }
            (Data::Int(values), DataType::Date) => values.push(text::date(value).ok_or(Misfit)?),
            (Data::Long(values), DataType::Timestamp) => {
                values.push(text::timestamp(value).ok_or(Misfit)?);
            }
            (Data::Long(values), DataType::TimestampNtz) => {
                values.push(text::timestamp_ntz(value).ok_or(Misfit)?);
            }
            (Data::Float(_) | Data::Double(_), _) => {
                return self.float(text::not_finite(value).ok_or(Misfit)?);
            }
            (Data::Decimal(_), _) => return self.digits(value),
            _ => return Err(Misfit),
        }
        self.valid.push(true);
        Ok(())
    }

    /// A map's key, which a form may only have as text.
    pub(super) fn key_of_text(&mut self, value: &str) -> Fit {
        match self.data_type {
            DataType::Boolean => self.boolean(value.parse().map_err(|_| Misfit)?),
            DataType::Byte | DataType::Short | DataType::Int | DataType::Long => {
                self.integer(value.parse::<i64>().map_err(|_| Misfit)?.into())
            }
            DataType::Float | DataType::Double => match text::not_finite(value) {
                Some(value) => self.float(value),
                None => self.float(text::number(value).ok_or(Misfit)?),
            },
            _ => self.text(value),
        }
    }

    pub(super) fn bytes(&mut self, value: &[u8]) -> Fit {
        match (&mut self.data, &self.data_type) {
            (Data::Bytes(ends, bytes), DataType::Binary) => {
                bytes.extend_from_slice(value);
                ends.push(place(bytes.len()));
            }
            _ => return Err(Misfit),
        }
        self.valid.push(true);
        Ok(())
    }

    /// The column of a list's items; [`Column::close`] ends the list.
    pub(super) fn items(&mut self) -> Option<&mut Self> {
        match &mut self.data {
            Data::List(_, items) => Some(items),
            _ => None,
        }
    }

    /// The columns of a map's keys and values; [`Column::close`] ends the map.
    pub(super) fn entries(&mut self) -> Option<&mut (Self, Self)> {
        match &mut self.data {
            Data::Map(_, entries) => Some(entries),
            _ => None,
        }
    }

    /// The names and columns of a structure's fields; [`Column::close`] ends the structure.
    pub(super) fn fields(&mut self) -> Option<(&[Field], &mut [Self])> {
        match (&self.data_type, &mut self.data) {
            (DataType::Struct(names), Data::Struct(fields)) => Some((names, fields)),
            _ => None,
        }
    }

    /// Ends a list, map or structure that is no null.
    pub(super) fn close(&mut self) {
        let length = self.valid.len() + 1;
        match &mut self.data {
            Data::List(ends, items) => ends.push(place(items.len())),
            Data::Map(ends, entries) => ends.push(place(entries.0.len())),
            Data::Struct(fields) => fields.iter_mut().for_each(|field| field.seal(length)),
            _ => {}
        }
        self.valid.push(true);
    }

    /// Whether a key stands twice in a map that is not ended yet.
    pub(super) fn repeats_keys(&self) -> bool {
        let Data::Map(ends, entries) = &self.data else {
            return false;
        };
        let start = ends.last().map_or(0, |end| end.cast_unsigned() as usize);
        entries.0.repeats(start)
    }

    fn repeats(&self, start: usize) -> bool {
        fn any<T: Ord>(mut keys: Vec<T>) -> bool {
            keys.sort_unstable();
            keys.windows(2).any(|pair| pair[0] == pair[1])
        }
        match &self.data {
            Data::Boolean(values) => any(values[start..].to_vec()),
            Data::Byte(values) => any(values[start..].to_vec()),
            Data::Short(values) => any(values[start..].to_vec()),
            Data::Int(values) => any(values[start..].to_vec()),
            Data::Long(values) => any(values[start..].to_vec()),
            Data::Decimal(values) => any(values[start..].to_vec()),
            Data::Float(values) => any(values[start..].iter().map(|f| f.to_bits()).collect()),
            Data::Double(values) => any(values[start..].iter().map(|f| f.to_bits()).collect()),
            Data::Bytes(ends, bytes) => {
                let ends = ends[start..].windows(2);
                any(ends
                    .map(|pair| &bytes[pair[0] as usize..pair[1] as usize])
                    .collect())
            }
            _ => false,
        }
    }

    /// Makes the column this long, by nulls, whatever broke off in it.
    pub(super) fn seal(&mut self, length: usize) {
        match &mut self.data {
            Data::List(_, items) => {
                let length = items.reached();
                items.seal(length);
            }
            Data::Map(_, entries) => {
                let length = entries.0.reached().max(entries.1.reached());
                entries.0.seal(length);
                entries.1.seal(length);
            }
            Data::Struct(fields) => {
                // One that broke off has some of its fields already, so they are made whole one by one.
                fields.iter_mut().for_each(|field| field.seal(length));
                self.valid.resize(length, false);
                return;
            }
            _ => {}
        }
        while self.valid.len() < length {
            self.null();
        }
    }

    /// How many values there are, counting one that broke off.
    fn reached(&self) -> usize {
        match &self.data {
            Data::Struct(fields) => {
                let fields = fields.iter().map(Self::reached).max();
                self.valid.len().max(fields.unwrap_or(0))
            }
            _ => self.valid.len(),
        }
    }

    /// The arrays of a structure's fields.
    pub(super) fn finish_fields(self) -> Vec<ArrayRef> {
        match self.data {
            Data::Struct(fields) => fields.into_iter().map(Self::finish).collect(),
            _ => vec![],
        }
    }

    /// The array.
    fn finish(self) -> ArrayRef {
        let length = self.valid.len();
        let nulls = NullBuffer::from(self.valid);
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        let arrow = self.data_type.to_arrow();
        match self.data {
            Data::Null => Arc::new(NullArray::new(length)),
            Data::Boolean(values) => Arc::new(BooleanArray::new(values.into(), nulls)),
            Data::Byte(values) => primitive::<Int8Type>(values, nulls, arrow),
            Data::Short(values) => primitive::<Int16Type>(values, nulls, arrow),
            Data::Int(values) if self.data_type == DataType::Date => {
                primitive::<Date32Type>(values, nulls, arrow)
            }
            Data::Int(values) => primitive::<Int32Type>(values, nulls, arrow),
            Data::Long(values) if self.data_type == DataType::Long => {
                primitive::<Int64Type>(values, nulls, arrow)
            }
            Data::Long(values) => primitive::<TimestampMicrosecondType>(values, nulls, arrow),
            Data::Float(values) => primitive::<Float32Type>(values, nulls, arrow),
            Data::Double(values) => primitive::<Float64Type>(values, nulls, arrow),
            Data::Decimal(values) => primitive::<Decimal128Type>(values, nulls, arrow),
            Data::Bytes(ends, bytes) => {
                let ends = OffsetBuffer::new(ends.into());
                match self.data_type {
                    DataType::String => Arc::new(StringArray::new(ends, bytes.into(), nulls)),
                    _ => Arc::new(BinaryArray::new(ends, bytes.into(), nulls)),
                }
            }
            Data::List(ends, items) => {
                let ArrowType::List(item) = arrow else {
                    unreachable!("the type of an array is a list")
                };
                let ends = OffsetBuffer::new(ends.into());
                Arc::new(ListArray::new(item, ends, items.finish(), nulls))
            }
            Data::Map(ends, entries) => map(&arrow, ends, *entries, nulls),
            Data::Struct(fields) => {
                let ArrowType::Struct(names) = arrow else {
                    unreachable!("the type of a structure is a structure")
                };
                let fields: Vec<ArrayRef> = fields.into_iter().map(Self::finish).collect();
                match fields.is_empty() {
                    true => Arc::new(StructArray::new_empty_fields(length, nulls)),
                    false => Arc::new(StructArray::new(names, fields, nulls)),
                }
            }
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    nulls: Option<NullBuffer>,
    arrow: ArrowType,
) -> ArrayRef {
    let values = PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls);
    Arc::new(values.with_data_type(arrow))
}

/// Keys are never null; those that stand for one lie in rows that are left out.
fn map(
    arrow: &ArrowType,
    ends: Vec<i32>,
    (keys, values): (Column, Column),
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    let ArrowType::Map(entries, is_sorted) = arrow else {
        unreachable!("the type of a map is a map")
    };
    let ArrowType::Struct(fields) = entries.data_type() else {
        unreachable!("entries are structures")
    };
    let keys = keys.without_nulls().finish();
    let columns = vec![keys, values.finish()];
    let columns = StructArray::new(fields.clone(), columns, None);
    let entries: FieldRef = Arc::new(ArrowField::new(
        "entries",
        entries.data_type().clone(),
        false,
    ));
    let ends = OffsetBuffer::new(ends.into());
    Arc::new(MapArray::new(entries, ends, columns, nulls, *is_sorted))
}

impl Column {
    fn without_nulls(mut self) -> Self {
        self.valid.fill(true);
        self
    }
}
