//! Aggregates that keep values as they are: extremes, ends, lists, sets, the most frequent.
//!
//! A value is kept as bytes in Arrow's row format, which holds every type and compares in Spark's order once floats
//! are normal; what comes out is decoded from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, ListArray};
use arrow_buffer::OffsetBuffer;
use arrow_row::{RowConverter, Rows, SortField};
use arrow_schema::DataType as ArrowType;
use unskewed_planner::schema::DataType;

use super::Fold;
use crate::sql::key::normalized;
use crate::sql::step::Stepped;

type Bytes = Arc<[u8]>;

/// Values to bytes and back.
struct Codec {
    converter: RowConverter,
    data_type: ArrowType,
    null: Bytes,
}

/// Encoded values; which of them are null.
pub(super) struct Encoded {
    rows: Rows,
    nulls: Option<arrow_buffer::NullBuffer>,
}

impl Encoded {
    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    fn bytes(&self, row: usize) -> &[u8] {
        self.rows.row(row).data()
    }
}

impl Codec {
    fn new(data_type: &DataType) -> Stepped<Self> {
        let data_type = data_type.to_arrow();
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())])?;
        let null = arrow_array::new_null_array(&data_type, 1);
        let rows = converter.convert_columns(std::slice::from_ref(&null))?;
        let null = rows.row(0).data().into();
        Ok(Self {
            converter,
            data_type,
            null,
        })
    }

    fn encode(&self, column: &ArrayRef) -> Stepped<Encoded> {
        Ok(Encoded {
            rows: self
                .converter
                .convert_columns(std::slice::from_ref(column))?,
            nulls: column.logical_nulls(),
        })
    }

    fn decode<'a>(&self, values: impl Iterator<Item = &'a Bytes>) -> Stepped<ArrayRef> {
        let parser = self.converter.parser();
        let rows: Vec<_> = values.map(|bytes| parser.parse(bytes)).collect();
        let mut columns = self.converter.convert_rows(rows)?;
        let column = columns.remove(0);
        // The row format knows no names of nested fields.
        match *column.data_type() == self.data_type {
            true => Ok(column),
            false => Ok(arrow_cast::cast(&column, &self.data_type)?),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers collect into it")]
    fn decode_or_null(&self, values: Vec<Option<Bytes>>) -> Stepped<ArrayRef> {
        self.decode(values.iter().map(|v| v.as_ref().unwrap_or(&self.null)))
    }
}

/// The least or the greatest value; of equal ones the first.
pub(super) struct Extreme {
    codec: Codec,
    greatest: bool,
}

impl Extreme {
    pub(super) fn new(data_type: &DataType, greatest: bool) -> Stepped<Self> {
        let codec = Codec::new(data_type)?;
        Ok(Self { codec, greatest })
    }
}

impl Fold for Extreme {
    type State = Option<Bytes>;
    type Input = Encoded;

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Encoded> {
        self.codec.encode(&normalized(&columns[0]))
    }

    fn add(&self, state: &mut Option<Bytes>, input: &Encoded, row: usize) {
        if input.is_null(row) {
            return;
        }
        let value = input.bytes(row);
        let better = state.as_deref().is_none_or(|held| match self.greatest {
            true => value > held,
            false => value < held,
        });
        if better {
            *state = Some(value.into());
        }
    }

    fn finish(&self, states: Vec<Option<Bytes>>) -> Stepped<ArrayRef> {
        self.codec.decode_or_null(states)
    }

    fn held(&self, state: &Option<Bytes>) -> usize {
        state.as_ref().map_or(0, |bytes| bytes.len() + 16)
    }
}

/// The value beside the least or greatest; of equal ones the last.
pub(super) struct ExtremeBy {
    values: Codec,
    order: Codec,
    greatest: bool,
}

impl ExtremeBy {
    pub(super) fn new(value: &DataType, order: &DataType, greatest: bool) -> Stepped<Self> {
        Ok(Self {
            values: Codec::new(value)?,
            order: Codec::new(order)?,
            greatest,
        })
    }
}

impl Fold for ExtremeBy {
    type State = Option<(Bytes, Bytes)>;
    type Input = (Encoded, Encoded);

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Self::Input> {
        let values = self.values.encode(&columns[0])?;
        Ok((values, self.order.encode(&normalized(&columns[1]))?))
    }

    fn add(&self, state: &mut Self::State, (values, order): &Self::Input, row: usize) {
        if order.is_null(row) {
            return;
        }
        let key = order.bytes(row);
        let better = state.as_ref().is_none_or(|(held, _)| match self.greatest {
            true => key >= &held[..],
            false => key <= &held[..],
        });
        if better {
            *state = Some((key.into(), values.bytes(row).into()));
        }
    }

    fn finish(&self, states: Vec<Self::State>) -> Stepped<ArrayRef> {
        let values = states
            .into_iter()
            .map(|state| state.map(|(_, value)| value));
        self.values.decode_or_null(values.collect())
    }

    fn held(&self, state: &Self::State) -> usize {
        state.as_ref().map_or(0, |(a, b)| a.len() + b.len() + 32)
    }
}

/// The first or the last value.
pub(super) struct End {
    codec: Codec,
    first: bool,
    ignore_nulls: bool,
}

impl End {
    pub(super) fn new(data_type: &DataType, first: bool, ignore_nulls: bool) -> Stepped<Self> {
        Ok(Self {
            codec: Codec::new(data_type)?,
            first,
            ignore_nulls,
        })
    }
}

impl Fold for End {
    type State = Option<Bytes>;
    type Input = Encoded;

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Encoded> {
        self.codec.encode(&columns[0])
    }

    fn add(&self, state: &mut Option<Bytes>, input: &Encoded, row: usize) {
        let skipped = self.ignore_nulls && input.is_null(row);
        if !skipped && (!self.first || state.is_none()) {
            *state = Some(input.bytes(row).into());
        }
    }

    fn finish(&self, states: Vec<Option<Bytes>>) -> Stepped<ArrayRef> {
        self.codec.decode_or_null(states)
    }

    fn held(&self, state: &Option<Bytes>) -> usize {
        state.as_ref().map_or(0, |bytes| bytes.len() + 16)
    }
}

/// A list that knows how much it holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    values: Vec<Bytes>,
    seen: BTreeSet<Bytes>,
    bytes: usize,
}

/// All values but nulls, in order; as a set each once.
pub(super) struct Collect {
    codec: Codec,
    set: bool,
}

impl Collect {
    pub(super) fn new(data_type: &DataType, set: bool) -> Stepped<Self> {
        let codec = Codec::new(data_type)?;
        Ok(Self { codec, set })
    }
}

/// What a list takes: values, and what tells them apart in a set.
pub(super) struct Collected {
    values: Encoded,
    identities: Option<Encoded>,
    floats: Option<Float64Array>,
}

impl Fold for Collect {
    type State = Held;
    type Input = Collected;

    /// As in the reference's hash sets, zeros are one value, the first that came, and every NaN is one of its own.
    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Collected> {
        let column = &columns[0];
        let is_float = matches!(column.data_type(), ArrowType::Float32 | ArrowType::Float64);
        let (identities, floats) = match self.set {
            false => (None, None),
            true if is_float => {
                let identities = self.codec.encode(&normalized(column))?;
                (Some(identities), Some(super::number::doubles(column)?))
            }
            true => (Some(self.codec.encode(column)?), None),
        };
        Ok(Collected {
            values: self.codec.encode(column)?,
            identities,
            floats,
        })
    }

    fn add(&self, state: &mut Held, input: &Collected, row: usize) {
        if input.values.is_null(row) {
            return;
        }
        let alone = input.floats.as_ref().is_some_and(|f| f.value(row).is_nan());
        if let Some(identities) = &input.identities
            && !alone
            && !state.seen.insert(identities.bytes(row).into())
        {
            return;
        }
        let value: Bytes = input.values.bytes(row).into();
        state.bytes += value.len() + 48;
        state.values.push(value);
    }

    fn finish(&self, states: Vec<Held>) -> Stepped<ArrayRef> {
        let lengths = states.iter().map(|state| state.values.len());
        let offsets = OffsetBuffer::from_lengths(lengths);
        let all = states.iter().flat_map(|state| &state.values);
        let values = self.codec.decode(all)?;
        let field = arrow_schema::Field::new("element", self.codec.data_type.clone(), true);
        Ok(Arc::new(ListArray::new(
            field.into(),
            offsets,
            values,
            None,
        )))
    }

    fn held(&self, state: &Held) -> usize {
        state.bytes
    }
}

/// Counts of values, with the place of their first.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    counts: BTreeMap<Bytes, (u64, usize)>,
    bytes: usize,
}

/// The most frequent value; of equally frequent ones the first met.
pub(super) struct Mode {
    codec: Codec,
}

impl Mode {
    pub(super) fn new(data_type: &DataType) -> Stepped<Self> {
        let codec = Codec::new(data_type)?;
        Ok(Self { codec })
    }
}

impl Fold for Mode {
    type State = Counts;
    type Input = Encoded;

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Encoded> {
        self.codec.encode(&normalized(&columns[0]))
    }

    fn add(&self, state: &mut Counts, input: &Encoded, row: usize) {
        if input.is_null(row) {
            return;
        }
        let value = input.bytes(row);
        if let Some((count, _)) = state.counts.get_mut(value) {
            *count += 1;
            return;
        }
        let place = state.counts.len();
        state.bytes += value.len() + 64;
        state.counts.insert(value.into(), (1, place));
    }

    fn finish(&self, states: Vec<Counts>) -> Stepped<ArrayRef> {
        let most = states.into_iter().map(|state| {
            let counts = state.counts.into_iter();
            let best = counts.max_by_key(|(_, (count, place))| (*count, std::cmp::Reverse(*place)));
            best.map(|(value, _)| value)
        });
        self.codec.decode_or_null(most.collect())
    }

    fn held(&self, state: &Counts) -> usize {
        state.bytes
    }
}
