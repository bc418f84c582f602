//! The number of distinct values, estimated by HyperLogLog++ with the reference's hash, registers and corrections, so
//! that the estimate is the reference's.
//!
//! Heule, Nunkesser, Hall: HyperLogLog in Practice (2013). Small counts come from linear counting. Between its
//! threshold and five times the registers the reference corrects by measured biases, which are not here: such a count
//! is an error and never another number.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int64Array};

use super::Fold;
use super::number::SumLong;
use crate::error::EngineError;
use crate::sql::step::Stepped;

/// Up to these counts linear counting is better, for 4 to 18 bits of index.
const THRESHOLDS: [f64; 15] = [
    10.0, 20.0, 40.0, 80.0, 220.0, 400.0, 900.0, 1800.0, 3100.0, 6500.0, 15500.0, 20000.0, 50000.0,
    120_000.0, 350_000.0,
];

/// Counts distinct hashes.
pub(super) struct CountDistinct {
    bits: u32,
}

impl CountDistinct {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 4 and 32"
    )]
    pub(super) fn new(relative_error: f64) -> Self {
        let bits = (2.0 * (1.106 / relative_error).ln() / 2.0_f64.ln()).ceil();
        Self {
            bits: (bits as u32).max(4),
        }
    }

    fn estimate(&self, registers: &[u8]) -> Result<i64, EngineError> {
        let m = f64::from(1_u32 << self.bits);
        let alpha = match self.bits {
            4 => 0.673,
            5 => 0.697,
            6 => 0.709,
            _ => 0.7213 / (1.0 + 1.079 / m),
        };
        // Registers of an empty state are all zero.
        let zeros =
            m - f64::from(u32::try_from(registers.iter().filter(|r| **r > 0).count()).unwrap_or(0));
        if zeros > 0.0 {
            let linear = m * (m / zeros).ln();
            let threshold = THRESHOLDS.get(self.bits as usize - 4);
            if threshold.is_none_or(|threshold| linear <= *threshold) {
                return Ok(rounded(linear));
            }
        }
        let sum: f64 = registers
            .iter()
            .map(|r| 1.0 / f64::from(2.0_f32.powi(i32::from(*r))))
            .sum();
        let raw = alpha * m * m / sum;
        if self.bits < 19 && raw < 5.0 * m {
            return Err(EngineError::Query {
                message: format!(
                    "approx_count_distinct with 2^{} registers cannot estimate about {raw:.0} values: \
                     give a smaller relative error, or count(DISTINCT …)",
                    self.bits
                ),
            });
        }
        Ok(rounded(raw))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a count")]
fn rounded(value: f64) -> i64 {
    (value + 0.5).floor() as i64
}

impl Fold for CountDistinct {
    type State = Vec<u8>;
    type Input = Int64Array;

    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Int64Array> {
        SumLong.read(columns)
    }

    fn add(&self, state: &mut Vec<u8>, input: &Int64Array, row: usize) {
        if !input.is_valid(row) {
            return;
        }
        if state.is_empty() {
            state.resize(1 << self.bits, 0);
        }
        let hash = input.value(row).cast_unsigned();
        let index = usize::try_from(hash >> (64 - self.bits)).unwrap_or(0);
        let rest = hash << self.bits | 1 << (self.bits - 1);
        let rank = u8::try_from(rest.leading_zeros() + 1).unwrap_or(u8::MAX);
        state[index] = state[index].max(rank);
    }

    fn finish(&self, states: Vec<Vec<u8>>) -> Stepped<ArrayRef> {
        let counts = states.iter().map(|state| self.estimate(state));
        let counts = counts.collect::<Result<Vec<i64>, _>>()?;
        Ok(Arc::new(Int64Array::from(counts)))
    }

    fn held(&self, state: &Vec<u8>) -> usize {
        state.capacity()
    }
}
