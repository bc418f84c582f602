//! Packs columns into Avro datums, a binary column for each.
//!
//! Promises: a row that has no datum is left out, counted and sampled; its neighbours go on. Knows no byte: those are
//! the kernel's `codec::avro`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray};
use arrow_select::filter::filter;
use unskewed_kernel::codec::avro;
use unskewed_planner::physical::Encode;

use super::Changes;
use super::project::BadRows;
use crate::error::EngineError;
use crate::job::SAMPLES_MAX;

/// The encoder of a node.
#[derive(Debug)]
pub struct Encoder {
    label: String,
    encode: Encode,
    bad: BTreeMap<String, BadRows>,
}

impl Encoder {
    /// The encoder of a node with this label.
    pub fn new(label: &str, encode: &Encode) -> Self {
        Self {
            label: label.into(),
            encode: encode.clone(),
            bad: BTreeMap::new(),
        }
    }

    /// The rows that have all datums, as those.
    pub fn apply(&mut self, changes: Changes) -> Result<Changes, EngineError> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.encode.datums.len());
        let mut refused: BTreeSet<usize> = BTreeSet::new();
        for datum in &self.encode.datums {
            let inputs = datum
                .columns
                .iter()
                .map(|c| Arc::clone(&changes.columns[*c]));
            let encoded = avro::encode(&datum.record, &inputs.collect::<Vec<_>>())?;
            for bad in encoded.bad {
                refused.insert(bad.row);
                let place = format!("{}: a row has no {}", self.label, datum.record.name);
                let counted = self.bad.entry(place).or_default();
                counted.count += changes.diff.get(bad.row).unsigned_abs();
                if counted.samples.len() < SAMPLES_MAX {
                    counted.samples.push(bad.reason);
                }
            }
            columns.push(Arc::new(encoded.datums));
        }
        let kept = self
            .encode
            .kept
            .iter()
            .map(|c| Arc::clone(&changes.columns[*c]));
        columns.extend(kept);
        if refused.is_empty() {
            return Ok(Changes { columns, ..changes });
        }
        let kept: Vec<u32> = (0..changes.len())
            .filter(|row| !refused.contains(row))
            .map(|row| row as u32)
            .collect();
        let mask: BooleanArray = (0..changes.len())
            .map(|row| Some(!refused.contains(&row)))
            .collect();
        Ok(Changes {
            position: kept
                .iter()
                .map(|row| changes.position[*row as usize])
                .collect(),
            diff: changes.diff.take(&kept),
            columns: columns
                .iter()
                .map(|column| filter(column, &mask))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Rows left out since the last call, by reason.
    pub fn take_bad_rows(&mut self) -> BTreeMap<String, BadRows> {
        std::mem::take(&mut self.bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rle::Rle;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Int64Array, ListArray};
    use unskewed_planner::avro::Record;
    use unskewed_planner::physical::{Datum, NodeId};
    use unskewed_planner::schema::{DataType, Field, Schema};

    /// A row with a null inside a list is counted and named, and its neighbours keep their positions and diffs.
    #[test]
    fn rows_without_a_datum_are_counted() {
        let datum = |name: &str, column: usize, data_type: DataType| Datum {
            record: Record::of(name, &Schema::new(vec![Field::new("c", data_type)])).unwrap(),
            columns: vec![column],
        };
        let encode = Encode {
            input: NodeId(0),
            datums: vec![
                datum("Key", 1, DataType::Long),
                datum("Value", 0, DataType::array(DataType::Long)),
            ],
            kept: vec![1],
        };
        let lists = [Some(vec![Some(1)]), Some(vec![None]), None];
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
        let changes = Changes {
            position: vec![7, 8, 9],
            diff: Rle::Each(vec![1, 2, -1]),
            columns: vec![Arc::new(lists), Arc::new(Int64Array::from(vec![1, 2, 3]))],
        };
        let mut encoder = Encoder::new("datums of g", &encode);
        let packed = encoder.apply(changes).unwrap();
        assert_eq!(packed.position, [7, 9]);
        assert_eq!(packed.diff, Rle::Each(vec![1, -1]));
        assert_eq!(packed.columns[0].as_binary::<i32>().value(1), [2, 6]);
        assert_eq!(packed.columns[1].as_binary::<i32>().value(1), [0]);
        assert_eq!(
            packed.columns[2].as_primitive::<Int64Type>().values(),
            &[1, 3]
        );
        let (place, bad) = encoder.take_bad_rows().into_iter().next().unwrap();
        assert!(
            place.contains("datums of g") && place.contains("Value"),
            "{place}"
        );
        assert_eq!(bad.count, 2);
        assert!(bad.samples[0].contains("an item of c is null"), "{bad:?}");
    }
}
