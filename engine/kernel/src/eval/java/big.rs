//! The few operations on unsigned integers of any size that exact decimal conversion needs.
//!
//! Promises exact results. Never used where 128 bits are enough.

use std::cmp::Ordering;

/// An unsigned integer, least significant limb first, without leading zero limbs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BigUnsigned {
    limbs: Vec<u32>,
}

impl BigUnsigned {
    pub(crate) fn new(value: u64) -> Self {
        let mut out = Self {
            limbs: vec![value as u32, (value >> 32) as u32],
        };
        out.trim();
        out
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    pub(crate) fn multiply(&mut self, factor: u32) {
        let mut carry = 0u64;
        for limb in &mut self.limbs {
            let product = u64::from(*limb) * u64::from(factor) + carry;
            *limb = product as u32;
            carry = product >> 32;
        }
        if carry > 0 {
            self.limbs.push(carry as u32);
        }
        self.trim();
    }

    pub(crate) fn multiply_power_of_five(&mut self, mut exponent: u32) {
        while exponent >= 13 {
            self.multiply(1_220_703_125);
            exponent -= 13;
        }
        self.multiply(5u32.pow(exponent));
    }

    pub(crate) fn shift_left(&mut self, bits: u32) {
        if self.is_zero() {
            return;
        }
        let whole = (bits / 32) as usize;
        let part = bits % 32;
        if part > 0 {
            let mut carry = 0u32;
            for limb in &mut self.limbs {
                let next = *limb >> (32 - part);
                *limb = (*limb << part) | carry;
                carry = next;
            }
            if carry > 0 {
                self.limbs.push(carry);
            }
        }
        if whole > 0 {
            self.limbs.splice(0..0, std::iter::repeat_n(0, whole));
        }
    }

    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let by_length = self.limbs.len().cmp(&other.limbs.len());
        by_length.then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()))
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        let mut limbs = Vec::with_capacity(self.limbs.len().max(other.limbs.len()) + 1);
        let mut carry = 0u64;
        for i in 0..self.limbs.len().max(other.limbs.len()) {
            let a = u64::from(self.limbs.get(i).copied().unwrap_or(0));
            let b = u64::from(other.limbs.get(i).copied().unwrap_or(0));
            let sum = a + b + carry;
            limbs.push(sum as u32);
            carry = sum >> 32;
        }
        limbs.push(carry as u32);
        let mut out = Self { limbs };
        out.trim();
        out
    }

    /// `self -= other`, which must not be larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = 0i64;
        for i in 0..self.limbs.len() {
            let b = i64::from(other.limbs.get(i).copied().unwrap_or(0));
            let difference = i64::from(self.limbs[i]) - b + borrow;
            self.limbs[i] = difference as u32;
            borrow = difference >> 32;
        }
        self.trim();
    }

    /// The quotient by `divisor`, known to be below ten; `self` becomes the remainder.
    pub(crate) fn small_quotient(&mut self, divisor: &Self) -> u8 {
        let mut quotient = 0;
        while self.compare(divisor) != Ordering::Less {
            self.subtract(divisor);
            quotient += 1;
        }
        quotient
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(big: &BigUnsigned) -> u128 {
        let limbs = big.limbs.iter().rev();
        limbs.fold(0, |total, limb| (total << 32) | u128::from(*limb))
    }

    #[test]
    fn agrees_with_native_integers() {
        let mut seed = 7u64;
        for _ in 0..2000 {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let (a, b) = (seed >> 9, (seed >> 20) as u32);
            let mut big = BigUnsigned::new(a);
            big.multiply(b);
            assert_eq!(value(&big), u128::from(a) * u128::from(b));
            let sum = big.plus(&BigUnsigned::new(seed));
            assert_eq!(value(&sum), value(&big) + u128::from(seed));
            let mut shifted = BigUnsigned::new(a);
            shifted.shift_left(seed as u32 % 70);
            assert_eq!(value(&shifted), u128::from(a) << (seed as u32 % 70));
            let mut rest = BigUnsigned::new(a).plus(&BigUnsigned::new(seed % 77));
            let quotient = rest.small_quotient(&BigUnsigned::new(a.max(100)));
            assert_eq!(
                value(&rest) + u128::from(quotient) * u128::from(a.max(100)),
                u128::from(a) + u128::from(seed % 77)
            );
        }
    }
}
