//! `coalesce`, `nanvl`, `greatest` and `least`.

use arrow_array::UInt32Array;
use arrow_array::types::{Float32Type, Float64Type};

use super::{Entry, lazy};
use crate::error::KernelError;
use crate::eval::call::Lazy;
use crate::eval::column::Column;
use crate::eval::node::{Pieces, row_number};
use crate::eval::order::comparator;

pub(super) fn functions() -> Vec<Entry> {
    vec![
        lazy("coalesce", coalesce),
        lazy("nanvl", nanvl),
        lazy("greatest", |call| extreme(call, true)),
        lazy("least", |call| extreme(call, false)),
    ]
}

fn all_rows(rows: usize) -> Vec<u32> {
    (0..row_number(rows)).collect()
}

/// Each argument on the rows where all before it were null.
fn coalesce(call: &Lazy<'_>) -> Result<Column, KernelError> {
    let mut pieces = Pieces::new(call.data_type, call.frame.rows);
    let mut open = all_rows(call.frame.rows);
    for argument in call.arguments {
        let rows = UInt32Array::from(std::mem::take(&mut open));
        let Some(column) = call.frame.evaluate_on(argument, &rows)? else {
            break;
        };
        pieces.fill(&column, &rows);
        let nulls = rows.values().iter().enumerate();
        open = nulls
            .filter(|(i, _)| column.is_null(*i))
            .map(|(_, row)| *row)
            .collect();
    }
    pieces.finish()
}

fn nanvl(call: &Lazy<'_>) -> Result<Column, KernelError> {
    let first = call.evaluate(0)?;
    let mut pieces = Pieces::new(call.data_type, call.frame.rows);
    let all = UInt32Array::from(all_rows(call.frame.rows));
    pieces.fill(&first, &all);
    let is_nan = |row: &u32| {
        let row = usize::try_from(*row).expect("a row of the frame");
        match first.array.data_type() {
            arrow_schema::DataType::Float32 => first
                .primitives::<Float32Type>()
                .get(row)
                .is_some_and(f32::is_nan),
            _ => first
                .primitives::<Float64Type>()
                .get(row)
                .is_some_and(f64::is_nan),
        }
    };
    let nans: Vec<u32> = all.values().iter().copied().filter(is_nan).collect();
    pieces.replace(call.frame, &call.arguments[1], nans)?;
    pieces.finish()
}

/// The greatest or least argument, nulls skipped; the earlier one of equals.
fn extreme(call: &Lazy<'_>, greatest: bool) -> Result<Column, KernelError> {
    let rows = call.frame.rows;
    let all = UInt32Array::from(all_rows(rows));
    let mut best = call.evaluate(0)?;
    for index in 1..call.arguments.len() {
        let next = call.evaluate(index)?;
        let compare = comparator(&next.array, &best.array);
        let better = |row: &u32| {
            let row = usize::try_from(*row).expect("a row of the frame");
            if next.is_null(row) || best.is_null(row) {
                return best.is_null(row) && !next.is_null(row);
            }
            let order = compare(next.index(row), best.index(row));
            if greatest {
                order.is_gt()
            } else {
                order.is_lt()
            }
        };
        let better: Vec<u32> = all.values().iter().copied().filter(better).collect();
        let mut pieces = Pieces::new(call.data_type, rows);
        pieces.fill(&best, &all);
        let better = UInt32Array::from(better);
        pieces.overwrite(&next.take(&better), &better);
        best = pieces.finish()?;
    }
    Ok(best)
}
