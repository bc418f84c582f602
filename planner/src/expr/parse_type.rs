//! Type names: `decimal(10,2)`, `array<struct<a:int>>`, `interval day to second`, and column lists as `from_json` takes.

use super::parse::{Parsed, Parser};
use super::problem::{ExprError, Problem};
use super::token::TokenKind;
use crate::schema::{DataType, Field, IntervalField};

/// Parses a type as `CAST` takes it.
pub fn parse_data_type(text: &str) -> Result<DataType, ExprError> {
    let fail = |problem| ExprError::new(text, vec![problem]);
    let mut parser = Parser::new(text).map_err(fail)?;
    let data_type = parser.data_type().map_err(fail)?;
    parser.expect_end().map_err(fail)?;
    Ok(data_type)
}

/// Parses what `from_json` takes: a type, or a list of columns (`a INT, b STRING`) standing for a struct.
pub fn parse_schema(text: &str) -> Result<DataType, ExprError> {
    if let Ok(data_type) = parse_data_type(text) {
        return Ok(data_type);
    }
    let fail = |problem| ExprError::new(text, vec![problem]);
    let mut parser = Parser::new(text).map_err(fail)?;
    let mut fields = Vec::new();
    loop {
        fields.push(parser.field().map_err(fail)?);
        if !parser.accept(",") {
            break;
        }
    }
    parser.expect_end().map_err(fail)?;
    Ok(DataType::Struct(fields))
}

impl Parser<'_> {
    pub(crate) fn data_type(&mut self) -> Parsed<DataType> {
        self.deeper(Self::data_type_at_depth)
    }

    fn data_type_at_depth(&mut self) -> Parsed<DataType> {
        let span = self.span();
        let TokenKind::Word(word) = self.peek().clone() else {
            return self.unexpected("a type");
        };
        self.advance();
        Ok(match word.to_ascii_lowercase().as_str() {
            "boolean" => DataType::Boolean,
            "tinyint" | "byte" => DataType::Byte,
            "smallint" | "short" => DataType::Short,
            "int" | "integer" => DataType::Int,
            "bigint" | "long" => DataType::Long,
            "float" | "real" => DataType::Float,
            "double" => DataType::Double,
            "decimal" | "dec" | "numeric" => self.decimal_type()?,
            "string" => DataType::String,
            "varchar" | "char" | "character" => {
                self.expect("(")?;
                self.small_number()?;
                self.expect(")")?;
                DataType::String
            }
            "binary" => DataType::Binary,
            "date" => DataType::Date,
            "timestamp" | "timestamp_ltz" => DataType::Timestamp,
            "timestamp_ntz" => DataType::TimestampNtz,
            "void" => DataType::Null,
            "interval" => self.interval_type()?,
            "array" => {
                self.expect("<")?;
                let element = self.data_type()?;
                self.expect(">")?;
                DataType::array(element)
            }
            "map" => {
                self.expect("<")?;
                let key = self.data_type()?;
                self.expect(",")?;
                let value = self.data_type()?;
                self.expect(">")?;
                DataType::map(key, value)
            }
            "struct" => self.struct_type()?,
            other => return Err(Problem::new(span, format!("unknown type {other}"))),
        })
    }

    fn small_number(&mut self) -> Parsed<i16> {
        let span = self.span();
        let negative = self.accept("-");
        match self.advance() {
            TokenKind::Number(digits) => match digits.parse::<i16>() {
                Ok(number) => Ok(if negative { -number } else { number }),
                Err(_) => Err(Problem::new(span, "number out of range")),
            },
            _ => Err(Problem::new(span, "expected a number")),
        }
    }

    fn decimal_type(&mut self) -> Parsed<DataType> {
        let span = self.span();
        if !self.accept("(") {
            return Ok(DataType::Decimal(10, 0));
        }
        let precision = self.small_number()?;
        let scale = if self.accept(",") {
            self.small_number()?
        } else {
            0
        };
        self.expect(")")?;
        match (u8::try_from(precision), i8::try_from(scale)) {
            (Ok(p), Ok(s)) if (1..=38).contains(&p) && s >= 0 && i16::from(s) <= precision => {
                Ok(DataType::Decimal(p, s))
            }
            _ => Err(Problem::new(
                span,
                format!(
                    "decimal({precision},{scale}) is not a type: 1 <= precision <= 38, 0 <= scale <= precision"
                ),
            )),
        }
    }

    fn struct_type(&mut self) -> Parsed<DataType> {
        let mut fields = Vec::new();
        if self.accept("<>") {
            return Ok(DataType::Struct(fields));
        }
        self.expect("<")?;
        while !self.accept(">") {
            if !fields.is_empty() {
                self.expect(",")?;
            }
            fields.push(self.field()?);
        }
        Ok(DataType::Struct(fields))
    }

    /// `name[:] type [NOT NULL] [COMMENT '…']`
    fn field(&mut self) -> Parsed<Field> {
        let name = self.identifier()?;
        self.accept(":");
        let data_type = self.data_type()?;
        if self.accept_word("not") {
            self.expect_word("null")?;
        }
        if self.accept_word("comment") {
            self.text_literal()?;
        }
        Ok(Field::new(name, data_type))
    }

    fn interval_type(&mut self) -> Parsed<DataType> {
        let Some(from) = self.interval_field() else {
            return Ok(DataType::CalendarInterval);
        };
        let to = match self.accept_word("to") {
            true => match self.interval_field() {
                Some(to) => to,
                None => return self.unexpected("a unit of time"),
            },
            false => from,
        };
        match interval_of(from, to) {
            Some(data_type) => Ok(data_type),
            None => self.fail(format!("there is no interval {from} to {to}")),
        }
    }

    pub(crate) fn interval_field(&mut self) -> Option<IntervalField> {
        let TokenKind::Word(word) = self.peek() else {
            return None;
        };
        let field = field_of(word)?;
        self.advance();
        Some(field)
    }
}

fn field_of(word: &str) -> Option<IntervalField> {
    Some(match word.to_ascii_lowercase().as_str() {
        "year" | "years" => IntervalField::Year,
        "month" | "months" => IntervalField::Month,
        "day" | "days" => IntervalField::Day,
        "hour" | "hours" => IntervalField::Hour,
        "minute" | "minutes" => IntervalField::Minute,
        "second" | "seconds" => IntervalField::Second,
        _ => return None,
    })
}

/// The interval type over these fields, if they are of one kind and in order.
pub(crate) fn interval_of(from: IntervalField, to: IntervalField) -> Option<DataType> {
    let year_month = |field| field <= IntervalField::Month;
    if from > to || year_month(from) != year_month(to) {
        return None;
    }
    Some(match year_month(from) {
        true => DataType::YearMonthInterval(from, to),
        false => DataType::DayTimeInterval(from, to),
    })
}
