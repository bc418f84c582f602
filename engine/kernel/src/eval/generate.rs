//! Generators: rows out of rows (`explode`, `posexplode`, `inline`, `stack`).

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int32Array, RecordBatch, UInt32Array};
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use unskewed_planner::expr::{Generator, GeneratorKind};
use unskewed_planner::schema::DataType;

use super::Program;
use super::column::Column;
use super::node::row_number;
use crate::error::KernelError;

/// A compiled generator.
#[derive(Debug)]
pub struct RowGenerator {
    generator: Generator,
    inputs: Vec<Program>,
}

/// The rows that a generator made.
#[derive(Debug)]
pub struct Generated {
    /// For each new row the input row it comes from, rising.
    pub rows: UInt32Array,
    /// The generator's columns over the new rows.
    pub columns: Vec<ArrayRef>,
}

impl RowGenerator {
    /// Compiles the generator's inputs.
    pub fn new(generator: &Generator) -> Result<Self, KernelError> {
        Ok(Self {
            generator: generator.clone(),
            inputs: generator
                .inputs
                .iter()
                .map(Program::new)
                .collect::<Result<_, _>>()?,
        })
    }

    /// The new rows of a batch; the caller repeats its other columns by [`Generated::rows`].
    pub fn generate(&self, batch: &RecordBatch) -> Result<Generated, KernelError> {
        let inputs: Vec<ArrayRef> = self
            .inputs
            .iter()
            .map(|input| input.evaluate(batch))
            .collect::<Result<_, _>>()?;
        match self.generator.kind {
            GeneratorKind::Stack(rows) => self.stack(&inputs, rows, batch.num_rows()),
            _ => self.flatten(&Column::of_rows(Arc::clone(&inputs[0])), batch.num_rows()),
        }
    }

    fn stack(
        &self,
        inputs: &[ArrayRef],
        rows: usize,
        count: usize,
    ) -> Result<Generated, KernelError> {
        let width = self.generator.columns.len();
        let from = (0..count).flat_map(|row| std::iter::repeat_n(row_number(row), rows));
        let mut columns = Vec::new();
        for (index, column) in self.generator.columns.iter().enumerate() {
            let null = arrow_array::new_null_array(&column.data_type.to_arrow(), 1);
            let mut values: Vec<&dyn Array> = vec![null.as_ref()];
            values.extend(inputs.iter().skip(index).step_by(width).map(AsRef::as_ref));
            let filled = values.len() - 1;
            let picks: Vec<(usize, usize)> = (0..count)
                .flat_map(|row| {
                    (0..rows).map(move |k| if k < filled { (k + 1, row) } else { (0, 0) })
                })
                .collect();
            columns.push(interleave(&values, &picks)?);
        }
        Ok(Generated {
            rows: from.collect(),
            columns,
        })
    }

    fn flatten(&self, input: &Column, count: usize) -> Result<Generated, KernelError> {
        let map = matches!(self.inputs[0].data_type(), DataType::Map(..));
        let range = |row| {
            if map {
                input.maps().get(row)
            } else {
                input.lists().get(row)
            }
        };
        let (mut rows, mut positions, mut picks) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..count {
            let elements = range(row).unwrap_or(0..0);
            if elements.is_empty() && self.generator.outer {
                rows.push(row_number(row));
                positions.push(None);
                picks.push(None);
            }
            for (position, element) in elements.enumerate() {
                rows.push(row_number(row));
                positions.push(i32::try_from(position).ok());
                picks.push(Some(row_number(element)));
            }
        }
        let picks = UInt32Array::from(picks);
        let mut columns: Vec<ArrayRef> = Vec::new();
        if self.generator.kind == GeneratorKind::PositionExplode {
            columns.push(Arc::new(Int32Array::from(positions)));
        }
        if map {
            columns.push(take(input.maps().keys(), &picks, None)?);
            columns.push(take(input.maps().values(), &picks, None)?);
        } else if self.generator.kind == GeneratorKind::Inline {
            let structs = take(input.lists().elements(), &picks, None)?;
            let structs = Column::of_rows(structs);
            for column in structs.structs().columns() {
                columns.push(super::build::mask(column, structs.structs().nulls())?);
            }
        } else {
            columns.push(take(input.lists().elements(), &picks, None)?);
        }
        Ok(Generated {
            rows: UInt32Array::from(rows),
            columns,
        })
    }
}
