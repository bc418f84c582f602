//! One schema from the schemas of many files, and schemas as JSON.
//!
//! Promises: columns are matched by name, ignoring case; a column that a file lacks is null there;
//! a column whose type differs takes the type that holds every value of both, or the error names
//! both files. The JSON is Spark's own (`StructType.json`). Pure: touches no file.

use serde_json::{Value, json};
use unskewed_planner::schema::{DataType, Field, IntervalField, Schema};

use crate::error::{Error, Result};

/// Collects the schemas of files, in order.
#[derive(Debug, Default)]
pub(crate) struct Union {
    columns: Vec<(Field, String)>,
}

impl Union {
    /// Adds the columns of a file (or of the table's own record, `origin` says which).
    pub(crate) fn add(&mut self, schema: &Schema, origin: &str) -> Result<()> {
        for field in &schema.fields {
            let known = self
                .columns
                .iter_mut()
                .find(|(known, _)| known.name.eq_ignore_ascii_case(&field.name));
            let Some((known, first)) = known else {
                self.columns.push((field.clone(), origin.to_owned()));
                continue;
            };
            if known.data_type == field.data_type {
                continue;
            }
            match widest(&known.data_type, &field.data_type) {
                Some(wider) => known.data_type = wider,
                None => {
                    return Err(Error::TypeConflict {
                        column: known.name.clone(),
                        first: first.clone(),
                        first_type: Box::new(known.data_type.clone()),
                        second: origin.to_owned(),
                        second_type: Box::new(field.data_type.clone()),
                    });
                }
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Schema {
        Schema::new(self.columns.into_iter().map(|(field, _)| field).collect())
    }
}

/// The type that holds every value of both types unchanged, if there is one.
pub fn widest(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Array, Decimal, Map, Null, Struct};
    if a == b {
        return Some(a.clone());
    }
    match (a, b) {
        (Null, other) | (other, Null) => Some(other.clone()),
        (Array(a), Array(b)) => Some(DataType::array(widest(a, b)?)),
        (Map(ka, va), Map(kb, vb)) => Some(DataType::map(widest(ka, kb)?, widest(va, vb)?)),
        (Struct(a), Struct(b)) => {
            let mut union = Union::default();
            for fields in [a, b] {
                union.add(&Schema::new(fields.clone()), "").ok()?;
            }
            Some(Struct(union.finish().fields))
        }
        (Decimal(pa, sa), Decimal(pb, sb)) => {
            let scale = *sa.max(sb);
            let whole = |p: u8, s: i8| i16::from(p) - i16::from(s);
            let precision = whole(*pa, *sa).max(whole(*pb, *sb)) + i16::from(scale);
            let precision = u8::try_from(precision).ok().filter(|p| *p <= 38)?;
            Some(Decimal(precision, scale))
        }
        (integer, Decimal(p, s)) | (Decimal(p, s), integer) => {
            let digits = integer_digits(integer)?;
            (i16::from(*p) - i16::from(*s) >= digits).then_some(Decimal(*p, *s))
        }
        _ => widest_number(a, b),
    }
}

fn widest_number(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Byte, Double, Float, Int, Long, Short};
    let integers = [Byte, Short, Int, Long];
    let rank = |t: &DataType| integers.iter().position(|i| i == t);
    match (rank(a), rank(b)) {
        (Some(ra), Some(rb)) => Some(integers[ra.max(rb)].clone()),
        // A float holds 24 bits and a double 53: a long fits neither.
        (Some(r), None) | (None, Some(r)) => {
            let other = if rank(a).is_some() { b } else { a };
            match (r, other) {
                (0..=1, Float) => Some(Float),
                (2, Float) | (0..=2, Double) => Some(Double),
                _ => None,
            }
        }
        (None, None) => match (a, b) {
            (Float, Double) | (Double, Float) => Some(Double),
            _ => None,
        },
    }
}

fn integer_digits(data_type: &DataType) -> Option<i16> {
    match data_type {
        DataType::Byte => Some(3),
        DataType::Short => Some(5),
        DataType::Int => Some(10),
        DataType::Long => Some(19),
        _ => None,
    }
}

/// A schema in Spark's JSON form.
pub(crate) fn to_json(schema: &Schema) -> Value {
    struct_json(&schema.fields)
}

fn struct_json(fields: &[Field]) -> Value {
    let fields: Vec<Value> = fields
        .iter()
        .map(|f| {
            json!({
                "name": f.name,
                "type": type_json(&f.data_type),
                "nullable": true,
                "metadata": {},
            })
        })
        .collect();
    json!({"type": "struct", "fields": fields})
}

fn type_json(data_type: &DataType) -> Value {
    match data_type {
        DataType::Array(element) => json!({
            "type": "array", "elementType": type_json(element), "containsNull": true,
        }),
        DataType::Map(key, value) => json!({
            "type": "map",
            "keyType": type_json(key),
            "valueType": type_json(value),
            "valueContainsNull": true,
        }),
        DataType::Struct(fields) => struct_json(fields),
        DataType::Byte => "byte".into(),
        DataType::Short => "short".into(),
        DataType::Int => "integer".into(),
        DataType::Long => "long".into(),
        plain => plain.to_string().into(),
    }
}

/// A schema from Spark's JSON form.
pub(crate) fn from_json(value: &Value) -> std::result::Result<Schema, serde_json::Error> {
    match type_from_json(value)? {
        DataType::Struct(fields) => Ok(Schema::new(fields)),
        _ => Err(wrong(value)),
    }
}

fn wrong(value: &Value) -> serde_json::Error {
    serde::de::Error::custom(format!("{value} is not a type"))
}

fn type_from_json(value: &Value) -> std::result::Result<DataType, serde_json::Error> {
    if let Some(name) = value.as_str() {
        return type_from_name(name).ok_or_else(|| wrong(value));
    }
    match value["type"].as_str() {
        Some("array") => Ok(DataType::array(type_from_json(&value["elementType"])?)),
        Some("map") => Ok(DataType::map(
            type_from_json(&value["keyType"])?,
            type_from_json(&value["valueType"])?,
        )),
        Some("struct") => {
            let fields = value["fields"].as_array().ok_or_else(|| wrong(value))?;
            let fields = fields.iter().map(|f| {
                let name = f["name"].as_str().ok_or_else(|| wrong(f))?;
                Ok(Field::new(name, type_from_json(&f["type"])?))
            });
            Ok(DataType::Struct(
                fields.collect::<std::result::Result<_, _>>()?,
            ))
        }
        _ => Err(wrong(value)),
    }
}

fn type_from_name(name: &str) -> Option<DataType> {
    Some(match name {
        "void" | "null" => DataType::Null,
        "boolean" => DataType::Boolean,
        "byte" => DataType::Byte,
        "short" => DataType::Short,
        "integer" => DataType::Int,
        "long" => DataType::Long,
        "float" => DataType::Float,
        "double" => DataType::Double,
        "string" => DataType::String,
        "binary" => DataType::Binary,
        "date" => DataType::Date,
        "timestamp" => DataType::Timestamp,
        "timestamp_ntz" => DataType::TimestampNtz,
        "interval" => DataType::CalendarInterval,
        _ => return decimal(name).or_else(|| interval(name)),
    })
}

fn decimal(name: &str) -> Option<DataType> {
    let inside = name.strip_prefix("decimal(")?.strip_suffix(')')?;
    let (precision, scale) = inside.split_once(',')?;
    let precision = precision.trim().parse().ok()?;
    Some(DataType::Decimal(precision, scale.trim().parse().ok()?))
}

fn interval(name: &str) -> Option<DataType> {
    use IntervalField::{Day, Hour, Minute, Month, Second, Year};
    let range = name.strip_prefix("interval ")?;
    let (from, to) = range.split_once(" to ").unwrap_or((range, range));
    let field = |text: &str| {
        [Year, Month, Day, Hour, Minute, Second]
            .into_iter()
            .find(|f| f.to_string() == text)
    };
    let (from, to) = (field(from)?, field(to)?);
    Some(match from {
        Year | Month => DataType::YearMonthInterval(from, to),
        Day | Hour | Minute | Second => DataType::DayTimeInterval(from, to),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(fields: &[(&str, DataType)]) -> Schema {
        Schema::new(
            fields
                .iter()
                .map(|(n, t)| Field::new(*n, t.clone()))
                .collect(),
        )
    }

    /// Later columns are appended, safe differences widened, unsafe ones refused with both files
    /// named.
    #[test]
    fn union_by_name() {
        let mut union = Union::default();
        let first = schema(&[("a", DataType::Int), ("b", DataType::String)]);
        union.add(&first, "one").unwrap();
        let second = schema(&[("A", DataType::Long), ("c", DataType::Date)]);
        union.add(&second, "two").unwrap();
        let error = union
            .add(&schema(&[("b", DataType::Long)]), "three")
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("one") && text.contains("three"), "{text}");
        let names: Vec<_> = union.finish().fields;
        assert_eq!(names[0], Field::new("a", DataType::Long));
        assert_eq!(names[2], Field::new("c", DataType::Date));
    }

    /// Only widenings that keep every value are safe.
    #[test]
    fn widening() {
        use DataType::{Byte, Decimal, Double, Float, Int, Long, Short, String};
        let safe = [
            (Byte, Short, Short),
            (Short, Float, Float),
            (Int, Float, Double),
            (Int, Double, Double),
            (Float, Double, Double),
            (Decimal(5, 2), Decimal(6, 4), Decimal(7, 4)),
            (Int, Decimal(12, 2), Decimal(12, 2)),
        ];
        for (a, b, wide) in safe {
            assert_eq!(widest(&a, &b).as_ref(), Some(&wide), "{a} {b}");
            assert_eq!(widest(&b, &a), Some(wide));
        }
        for (a, b) in [
            (Long, Double),
            (Long, Float),
            (String, Int),
            (Int, Decimal(11, 2)),
            (Decimal(38, 0), Decimal(38, 10)),
        ] {
            assert_eq!(widest(&a, &b), None, "{a} {b}");
        }
    }

    /// Every type survives the way through JSON, names of any characters included.
    #[test]
    fn json_round_trip() {
        use IntervalField::{Day, Hour, Month, Year};
        let nested = DataType::Struct(vec![
            Field::new("x:>,", DataType::array(DataType::Decimal(10, -2))),
            Field::new("y", DataType::map(DataType::Byte, DataType::Binary)),
        ]);
        let original = schema(&[
            ("nested", nested),
            ("i", DataType::DayTimeInterval(Day, Hour)),
            ("j", DataType::YearMonthInterval(Year, Month)),
            ("k", DataType::YearMonthInterval(Month, Month)),
            ("l", DataType::Long),
            ("m", DataType::CalendarInterval),
            ("n", DataType::TimestampNtz),
            ("o", DataType::Null),
        ]);
        assert_eq!(from_json(&to_json(&original)).unwrap(), original);
        assert!(from_json(&json!({"type": "struct", "fields": [{"name": "a"}]})).is_err());
    }
}
