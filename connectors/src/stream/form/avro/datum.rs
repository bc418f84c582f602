//! From the bytes of a datum to a row, as a schema says that they were written.
//!
//! Promises: what a schema has and nobody wants is passed over without being kept. No datum is followed deeper than a
//! bound, and none makes work beyond its own length, whatever its counts claim.

use unskewed_planner::schema::DataType;

use super::schema::{AvroSchema, Id, Node, Unit};
use crate::stream::form::column::{Column, Fit, Misfit};
use crate::stream::form::text;

/// How a value is read.
#[derive(Debug)]
pub(super) enum Read {
    /// Over it.
    Skip(Id),
    /// Into the column, as what it is.
    Take(Id),
    /// Of which the column can hold nothing.
    Misfit,
    Union(Vec<Read>),
    List(Box<Read>),
    Map(Box<Read>),
    /// Each field, and the number of the column it belongs to.
    Record(Vec<(Option<usize>, Read)>),
}

/// Datums within datums beyond this are rejected.
const DEPTH_MAX: usize = 100;

/// How a value of this node is read into a column of this type.
pub(super) fn plan(schema: &AvroSchema, id: Id, wanted: &DataType) -> Read {
    match (schema.node(id), wanted) {
        (Node::Union(branches), _) => {
            let branches = branches.iter();
            Read::Union(branches.map(|id| plan(schema, *id, wanted)).collect())
        }
        (Node::List(items), DataType::Array(element)) => {
            Read::List(Box::new(plan(schema, *items, element)))
        }
        (Node::Map(values), DataType::Map(_, value)) => {
            Read::Map(Box::new(plan(schema, *values, value)))
        }
        (Node::Record(fields), DataType::Struct(columns)) => {
            let read = |(name, id): &(String, Id)| {
                let number = columns.iter().position(|column| column.name == *name);
                let read = number.map(|n| plan(schema, *id, &columns[n].data_type));
                (number, read.unwrap_or(Read::Skip(*id)))
            };
            Read::Record(fields.iter().map(read).collect())
        }
        (Node::List(_) | Node::Map(_) | Node::Record(_), _) => Read::Misfit,
        _ => Read::Take(id),
    }
}

/// How a row is read; it is never null.
pub(super) fn plan_row(schema: &AvroSchema, wanted: &DataType) -> Result<Read, String> {
    let row = |id: Id| match schema.node(id) {
        Node::Record(_) => plan(schema, id, wanted),
        _ => Read::Misfit,
    };
    let root = match schema.node(schema.root()) {
        Node::Union(branches) => Read::Union(branches.iter().map(|id| row(*id)).collect()),
        _ => row(schema.root()),
    };
    match &root {
        Read::Union(branches) if branches.iter().any(|b| matches!(b, Read::Record(_))) => Ok(root),
        Read::Record(_) => Ok(root),
        _ => Err("it is no record".into()),
    }
}

/// What is wrong with a datum.
type Wrong = &'static str;

const SHORT: Wrong = "it ends too early";

/// Reads a datum to its end.
pub(super) fn read(
    schema: &AvroSchema,
    read: &Read,
    datum: &[u8],
    row: &mut Column,
) -> Result<(), String> {
    let mut cursor = Cursor {
        schema,
        rest: datum,
        place: Vec::new(),
    };
    let read = cursor.read(read, row);
    let rest = cursor.rest;
    cursor.place.reverse();
    let place = cursor.place;
    match read {
        Err(wrong) if place.is_empty() => Err(format!("as Avro, {wrong}")),
        Err(wrong) => Err(format!("as Avro, column {}: {wrong}", place.join("."))),
        Ok(()) if !rest.is_empty() => {
            Err("as Avro, it goes on after its end; is this its schema?".into())
        }
        Ok(()) => Ok(()),
    }
}

struct Cursor<'a> {
    schema: &'a AvroSchema,
    rest: &'a [u8],
    /// The fields that something is wrong with, the inmost first.
    place: Vec<String>,
}

fn fit(fit: Fit) -> Result<(), Wrong> {
    fit.map_err(|Misfit| "a value does not fit its type")
}

impl<'a> Cursor<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Wrong> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(SHORT)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        let bytes = self.bytes(N)?;
        Ok(bytes.try_into().expect("so many were taken"))
    }

    fn boolean(&mut self) -> Result<bool, Wrong> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err("a boolean is neither 0 nor 1"),
        }
    }

    /// A number in groups of seven bits, the lowest first, its sign in the lowest of all.
    fn long(&mut self) -> Result<i64, Wrong> {
        let mut value = 0_u64;
        for (number, byte) in self.rest.iter().enumerate() {
            let bits = u64::from(byte & 0x7f);
            if number == 9 && *byte > 1 {
                return Err("a number is too long");
            }
            value |= bits << (7 * number);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[number + 1..];
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(SHORT)
    }

    fn int(&mut self) -> Result<i32, Wrong> {
        self.long()?.try_into().map_err(|_| "a number is too long")
    }

    fn sized(&mut self) -> Result<&'a [u8], Wrong> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| "a length is below 0")?;
        self.bytes(length)
    }

    fn text(&mut self) -> Result<&'a str, Wrong> {
        let bytes = self.sized()?;
        std::str::from_utf8(bytes).map_err(|_| "a text is not in UTF-8")
    }

    /// How many items come next, and how many bytes they take where that is told; 0 items at the end.
    fn block(&mut self) -> Result<(usize, Option<usize>), Wrong> {
        let count = self.long()?;
        let bytes = match count < 0 {
            true => Some(usize::try_from(self.long()?).map_err(|_| "a length is below 0")?),
            false => None,
        };
        let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        // An item takes a byte at least, but for types that say nothing.
        if count > self.rest.len() {
            return Err("it counts more items than it has bytes");
        }
        Ok((count, bytes))
    }

    fn read(&mut self, read: &Read, column: &mut Column) -> Result<(), Wrong> {
        match read {
            Read::Skip(id) => self.skip(*id, 0),
            Read::Take(id) => self.take(*id, column),
            Read::Misfit => fit(Err(Misfit)),
            Read::Union(branches) => {
                let branch = usize::try_from(self.long()?).ok();
                let branch = branch.and_then(|branch| branches.get(branch));
                self.read(branch.ok_or("a union has no such branch")?, column)
            }
            Read::List(item) => {
                loop {
                    let (count, _) = self.block()?;
                    if count == 0 {
                        break;
                    }
                    for _ in 0..count {
                        self.read(item, column.items().expect("planned for a list"))?;
                    }
                }
                column.close();
                Ok(())
            }
            Read::Map(value) => self.map(value, column),
            Read::Record(fields) => {
                let (names, columns) = column.fields().expect("planned for a structure");
                for (number, read) in fields {
                    let Some(number) = number else {
                        let Read::Skip(id) = read else {
                            continue;
                        };
                        self.skip(*id, 0)?;
                        continue;
                    };
                    if let Err(wrong) = self.read(read, &mut columns[*number]) {
                        self.place.push(names[*number].name.clone());
                        return Err(wrong);
                    }
                }
                column.close();
                Ok(())
            }
        }
    }

    fn map(&mut self, value: &Read, column: &mut Column) -> Result<(), Wrong> {
        loop {
            let (count, _) = self.block()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                let key = self.text()?;
                let (keys, values) = column.entries().expect("planned for a map");
                fit(keys.key_of_text(key))?;
                self.read(value, values)?;
            }
        }
        if column.repeats_keys() {
            return Err("a key of a map stands there twice");
        }
        column.close();
        Ok(())
    }

    fn take(&mut self, id: Id, column: &mut Column) -> Result<(), Wrong> {
        let schema = self.schema;
        fit(match schema.node(id) {
            Node::Null => {
                column.null();
                Ok(())
            }
            Node::Boolean => column.boolean(self.boolean()?),
            Node::Int => column.integer(self.int()?.into()),
            Node::Long(unit) => instant(self.long()?, *unit, column),
            Node::Float => column.float(f32::from_le_bytes(self.array()?).into()),
            Node::Double => column.float(f64::from_le_bytes(self.array()?)),
            Node::Bytes(scale) => bytes(self.sized()?, *scale, column),
            Node::Fixed(size, scale) => bytes(self.bytes(*size)?, *scale, column),
            Node::Text => column.text(self.text()?),
            Node::Enum(symbols) => {
                let symbol = usize::try_from(self.int()?).ok();
                let symbol = symbol.and_then(|symbol| symbols.get(symbol));
                column.text(symbol.ok_or("an enum has no such symbol")?)
            }
            _ => Err(Misfit),
        })
    }

    fn skip(&mut self, id: Id, depth: usize) -> Result<(), Wrong> {
        if depth > DEPTH_MAX {
            return Err("it nests too deep");
        }
        let schema = self.schema;
        match schema.node(id) {
            Node::Null | Node::Open => {}
            Node::Boolean => drop(self.boolean()?),
            Node::Int | Node::Long(_) | Node::Enum(_) => drop(self.long()?),
            Node::Float => drop(self.bytes(4)?),
            Node::Double => drop(self.bytes(8)?),
            Node::Bytes(_) | Node::Text => drop(self.sized()?),
            Node::Fixed(size, _) => drop(self.bytes(*size)?),
            Node::Union(branches) => {
                let branch = usize::try_from(self.long()?).ok();
                let branch = branch.and_then(|branch| branches.get(branch));
                self.skip(*branch.ok_or("a union has no such branch")?, depth + 1)?;
            }
            Node::Record(fields) => {
                for (_, field) in fields {
                    self.skip(*field, depth + 1)?;
                }
            }
            Node::List(item) | Node::Map(item) => {
                let is_map = matches!(schema.node(id), Node::Map(_));
                self.skip_blocks(*item, is_map, depth)?;
            }
        }
        Ok(())
    }

    fn skip_blocks(&mut self, item: Id, is_map: bool, depth: usize) -> Result<(), Wrong> {
        loop {
            let (count, bytes) = self.block()?;
            if count == 0 {
                return Ok(());
            }
            if let Some(bytes) = bytes {
                self.bytes(bytes)?;
                continue;
            }
            for _ in 0..count {
                if is_map {
                    self.sized()?;
                }
                self.skip(item, depth + 1)?;
            }
        }
    }
}

fn instant(value: i64, unit: Unit, column: &mut Column) -> Fit {
    match (unit, column.data_type()) {
        (Unit::Micros, DataType::Timestamp | DataType::TimestampNtz) => column.micros(value),
        (Unit::Nanos, DataType::Timestamp | DataType::TimestampNtz) => {
            column.micros(value.div_euclid(1000))
        }
        _ => column.integer(value.into()),
    }
}

fn bytes(value: &[u8], scale: Option<i32>, column: &mut Column) -> Fit {
    match (scale, column.data_type()) {
        (Some(scale), DataType::Decimal(..)) => {
            column.decimal(text::unscaled(value).ok_or(Misfit)?, scale)
        }
        _ => column.bytes(value),
    }
}
