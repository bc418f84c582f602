//! Arithmetic of decimals as `BigDecimal` does it, on 256 bits: exact, then brought to the result's type.

use arrow_buffer::i256;

/// An unscaled value and its scale.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    value: i256,
    scale: i32,
}

impl Number {
    pub(crate) fn new(value: i128, scale: i32) -> Self {
        Self {
            value: i256::from_i128(value),
            scale,
        }
    }
}

fn ten() -> i256 {
    i256::from_i128(10)
}

/// Ten to a power of at most 76.
fn power(exponent: i32) -> Option<i256> {
    let exponent = u32::try_from(exponent).ok().filter(|e| *e <= 76)?;
    Some(ten().wrapping_pow(exponent))
}

/// Both values at the larger of the two scales. The operands have at most 38 digits, so 76 suffice.
fn align(a: Number, b: Number) -> (i256, i256, i32) {
    let scale = a.scale.max(b.scale);
    let raised = |n: Number| {
        let factor = power(scale - n.scale).unwrap_or(i256::ONE);
        n.value.wrapping_mul(factor)
    };
    (raised(a), raised(b), scale)
}

pub(crate) fn add(a: Number, b: Number, subtract: bool) -> Number {
    let (x, y, scale) = align(a, b);
    let value = if subtract {
        x.wrapping_sub(y)
    } else {
        x.wrapping_add(y)
    };
    Number { value, scale }
}

pub(crate) fn multiply(a: Number, b: Number) -> Number {
    Number {
        value: a.value.wrapping_mul(b.value),
        scale: a.scale + b.scale,
    }
}

/// Null by zero; of the dividend's sign.
pub(crate) fn remainder(a: Number, b: Number) -> Option<Number> {
    let (x, y, scale) = align(a, b);
    let value = x.checked_rem(y)?;
    Some(Number { value, scale })
}

pub(crate) fn positive_remainder(a: Number, b: Number) -> Option<Number> {
    let rest = remainder(a, b)?;
    if rest.value >= i256::ZERO {
        return Some(rest);
    }
    remainder(add(rest, b, false), b)
}

/// The whole part of the quotient, its low 64 bits.
pub(crate) fn integral_quotient(a: Number, b: Number) -> Option<i64> {
    let (x, y, _) = align(a, b);
    let quotient = x.checked_div(y)?;
    let bytes = quotient.to_le_bytes();
    let low = <[u8; 8]>::try_from(&bytes[..8]).expect("eight bytes");
    Some(i64::from_le_bytes(low))
}

/// The quotient at the result's type, rounded half up once.
pub(crate) fn divide(a: Number, b: Number, precision: u8, scale: i32) -> Option<i128> {
    if b.value == i256::ZERO {
        return None;
    }
    let wanted = scale + 1;
    // a / b at scale `wanted` is a.value * 10^shift / b.value.
    let shift = wanted - a.scale + b.scale;
    let mut quotient = a.value.wrapping_div(b.value);
    let mut rest = a.value.wrapping_rem(b.value);
    if shift < 0 {
        quotient = quotient.wrapping_div(power(-shift)?);
    }
    let limit = power(40)?;
    for _ in 0..shift.max(0) {
        rest = rest.wrapping_mul(ten());
        quotient = quotient
            .wrapping_mul(ten())
            .wrapping_add(rest.wrapping_div(b.value));
        rest = rest.wrapping_rem(b.value);
        if quotient >= limit || quotient <= limit.wrapping_neg() {
            return None;
        }
    }
    let cut = Number {
        value: quotient,
        scale: wanted,
    };
    fit(cut, precision, scale)
}

/// Rounds half up to the scale; `None` if it has more digits than the precision.
pub(crate) fn fit(number: Number, precision: u8, scale: i32) -> Option<i128> {
    let shift = scale - number.scale;
    let value = if shift >= 0 {
        number.value.checked_mul(power(shift)?)?
    } else {
        let divisor = power(-shift)?;
        let quotient = number.value.wrapping_div(divisor);
        let rest = number.value.wrapping_rem(divisor);
        let twice = rest.wrapping_add(rest);
        if twice >= divisor {
            quotient.wrapping_add(i256::ONE)
        } else if twice <= divisor.wrapping_neg() {
            quotient.wrapping_sub(i256::ONE)
        } else {
            quotient
        }
    };
    let limit = power(i32::from(precision))?;
    let fits = value < limit && value > limit.wrapping_neg();
    fits.then(|| value.to_i128())?
}
