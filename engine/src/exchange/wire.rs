//! The wire form of a container: a head of five words, then an Arrow IPC stream of one record batch.
//!
//! Used only between processes; workers of one process move containers.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, UInt64Array};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Field, Schema};
use timely::dataflow::channels::ContainerBytes;

use super::Batch;
use crate::rle::Rle;

/// Columns before the payload: position, then, if rows are keyed, upper and lower half of the key, and time.
const KEYED_COLUMNS: usize = 4;
/// Bytes before the stream: whether rows are keyed, then epoch and difference, each with a word that says whether it
/// is constant.
const HEAD_BYTES: usize = 40;

impl Batch {
    fn to_wire_columns(&self) -> Result<RecordBatch, ArrowError> {
        let half = |shift: u32| self.key.iter().map(move |k| (k >> shift) as u64);
        let mut columns: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from(self.position.clone()))];
        if self.is_keyed() {
            columns.push(Arc::new(UInt64Array::from_iter_values(half(64))));
            columns.push(Arc::new(UInt64Array::from_iter_values(half(0))));
            columns.push(Arc::new(Int64Array::from(self.ts.clone())));
        }
        columns.extend(self.columns.iter().cloned());
        if let Rle::Each(time) = &self.time {
            columns.push(Arc::new(UInt64Array::from(time.clone())));
        }
        if let Rle::Each(diff) = &self.diff {
            columns.push(Arc::new(Int64Array::from(diff.clone())));
        }
        let field =
            |(i, c): (usize, &ArrayRef)| Field::new(i.to_string(), c.data_type().clone(), true);
        let fields: Vec<Field> = columns.iter().enumerate().map(field).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    }

    fn write_to(&self, writer: &mut impl Write) -> Result<(), ArrowError> {
        let (time, diff) = (self.time.constant(), self.diff.constant());
        let head = [
            u64::from(self.is_keyed()),
            u64::from(time.is_some()),
            time.unwrap_or(0),
            u64::from(diff.is_some()),
            diff.unwrap_or(0).cast_unsigned(),
        ];
        for word in head {
            writer.write_all(&word.to_le_bytes())?;
        }
        let batch = self.to_wire_columns()?;
        let mut stream = StreamWriter::try_new(writer, &batch.schema())?;
        stream.write(&batch)?;
        stream.finish()
    }

    fn read_from(bytes: &[u8]) -> Result<Self, ArrowError> {
        let cut = || ArrowError::IpcError("the container is cut short".into());
        let head = bytes.get(..HEAD_BYTES).ok_or_else(cut)?;
        let mut words = head.chunks_exact(8).map(|w| {
            let mut word = [0; 8];
            word.copy_from_slice(w);
            u64::from_le_bytes(word)
        });
        let mut word = || words.next().ok_or_else(cut);
        let keyed = word()? != 0;
        let (time_constant, time, diff_constant, diff) = (word()?, word()?, word()?, word()?);
        let mut stream = StreamReader::try_new(&bytes[HEAD_BYTES..], None)?;
        let batch = stream.next().ok_or_else(cut)??;
        let mut columns = batch.columns().to_vec();
        let head = if keyed { KEYED_COLUMNS } else { 1 };
        let wanted = head + usize::from(time_constant == 0) + usize::from(diff_constant == 0);
        if columns.len() < wanted {
            return Err(cut());
        }
        let diff = match diff_constant {
            0 => Rle::Each(signed(&columns.pop().ok_or_else(cut)?)),
            _ => Rle::Constant(diff.cast_signed()),
        };
        let time = match time_constant {
            0 => Rle::Each(unsigned(&columns.pop().ok_or_else(cut)?)),
            _ => Rle::Constant(time),
        };
        let payload = columns.split_off(head);
        let (mut keys, mut ts) = (Vec::new(), Vec::new());
        if keyed {
            let (upper, lower) = (unsigned(&columns[1]), unsigned(&columns[2]));
            let key = |(u, l): (&u64, &u64)| u128::from(*u) << 64 | u128::from(*l);
            keys.extend(upper.iter().zip(&lower).map(key));
            ts = signed(&columns[3]);
        }
        Ok(Self {
            key: keys,
            ts,
            position: unsigned(&columns[0]),
            columns: payload,
            time,
            diff,
        })
    }
}

fn unsigned(column: &ArrayRef) -> Vec<u64> {
    column.as_primitive::<UInt64Type>().values().to_vec()
}

fn signed(column: &ArrayRef) -> Vec<i64> {
    column.as_primitive::<Int64Type>().values().to_vec()
}

/// Counts what is written and forgets it.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Batch {
    fn counted(&self) -> usize {
        let mut counter = Counter(0);
        self.write_to(&mut counter)
            .expect("equally long columns of canonical types have a wire form");
        counter.0
    }
}

impl ContainerBytes for Batch {
    fn from_bytes(bytes: timely::bytes::arc::Bytes) -> Self {
        Self::read_from(&bytes).expect("a peer of the same build wrote these bytes")
    }

    fn length_in_bytes(&self) -> usize {
        self.counted().next_multiple_of(8)
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let mut buffer = Vec::new();
        self.write_to(&mut buffer)
            .expect("equally long columns of canonical types have a wire form");
        buffer.resize(buffer.len().next_multiple_of(8), 0);
        writer
            .write_all(&buffer)
            .expect("the runtime gave a buffer of the length it was told");
    }
}
