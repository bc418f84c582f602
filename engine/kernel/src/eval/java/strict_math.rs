//! What `java.lang.StrictMath` computes, where the `libm` crate answers with another last bit.
//!
//! Promises the bits of fdlibm 5.3, which Java specifies `StrictMath` by: its argument reductions,
//! its polynomials and its order of operations. The other functions of `libm` descend from the same
//! source and agree as they are.

const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
const TWO_54: f64 = 18_014_398_509_481_984.0;

fn high(value: f64) -> i32 {
    i32::from_ne_bytes(((value.to_bits() >> 32) as u32).to_ne_bytes())
}

fn with_high(value: f64, high: i32) -> f64 {
    let high = u64::from(high.cast_unsigned()) << 32;
    f64::from_bits(high | value.to_bits() & 0xffff_ffff)
}

/// The natural logarithm (`e_log.c`).
pub(crate) fn log(value: f64) -> f64 {
    if value == 0.0 {
        return f64::NEG_INFINITY;
    }
    if value < 0.0 {
        return f64::NAN;
    }
    if !value.is_finite() {
        return value;
    }
    let (mut x, mut k) = (value, 0);
    if high(x) < 0x0010_0000 {
        k -= 54;
        x *= TWO_54;
    }
    k += (high(x) >> 20) - 1023;
    let mantissa = high(x) & 0x000f_ffff;
    let i = (mantissa + 0x9_5f64) & 0x10_0000;
    x = with_high(x, mantissa | (i ^ 0x3ff0_0000));
    k += i >> 20;
    log_of_reduced(x - 1.0, f64::from(k), mantissa)
}

/// `ln((1 + f) · 2^k)`
fn log_of_reduced(f: f64, k: f64, mantissa: i32) -> f64 {
    const LG: [f64; 7] = [
        6.666_666_666_666_735e-1,
        3.999_999_999_940_942e-1,
        2.857_142_874_366_239e-1,
        2.222_219_843_214_978_4e-1,
        1.818_357_216_161_805e-1,
        1.531_383_769_920_937_3e-1,
        1.479_819_860_511_658_6e-1,
    ];
    if 0x000f_ffff & (2 + mantissa) < 3 {
        if f == 0.0 {
            return k * LN2_HIGH + k * LN2_LOW;
        }
        let r = f * f * (0.5 - 0.333_333_333_333_333_3 * f);
        return match k == 0.0 {
            true => f - r,
            false => k * LN2_HIGH - ((r - k * LN2_LOW) - f),
        };
    }
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = w * (LG[1] + w * (LG[3] + w * LG[5]));
    let odd = z * (LG[0] + w * (LG[2] + w * (LG[4] + w * LG[6])));
    let r = odd + even;
    if (mantissa - 0x6_147a) | (0x6_b851 - mantissa) > 0 {
        let half = 0.5 * f * f;
        return match k == 0.0 {
            true => f - (half - s * (half + r)),
            false => k * LN2_HIGH - ((half - (s * (half + r) + k * LN2_LOW)) - f),
        };
    }
    match k == 0.0 {
        true => f - s * (f - r),
        false => k * LN2_HIGH - ((s * (f - r) - k * LN2_LOW) - f),
    }
}

/// The cube root (`s_cbrt.c`).
pub(crate) fn cbrt(value: f64) -> f64 {
    const B1: i32 = 715_094_163;
    const B2: i32 = 696_219_795;
    const C: f64 = 5.428_571_428_571_428e-1;
    const D: f64 = -7.053_061_224_489_796e-1;
    const E: f64 = 1.414_285_714_285_714_4;
    const F: f64 = 1.607_142_857_142_857_2;
    const G: f64 = 3.571_428_571_428_571_5e-1;
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let x = value.abs();
    let mut t = if high(x) < 0x0010_0000 {
        let scaled = TWO_54 * x;
        with_high(scaled, high(scaled) / 3 + B2)
    } else {
        with_high(0.0, high(x) / 3 + B1)
    };
    let r = t * t / x;
    let s = C + r * t;
    t *= G + F / (s + E + D / s);
    // Twenty bits, made larger than the root.
    t = with_high(0.0, high(t) + 1);
    let r = x / (t * t);
    let r = (r - t) / (t + t + r);
    (t + t * r).copysign(value)
}

/// The hyperbolic tangent (`s_tanh.c`).
pub(crate) fn tanh(value: f64) -> f64 {
    if value.is_nan() {
        return value;
    }
    let x = value.abs();
    let z = if x >= 22.0 {
        1.0
    } else if x < 2f64.powi(-55) {
        return value;
    } else if x >= 1.0 {
        1.0 - 2.0 / (libm::expm1(2.0 * x) + 2.0)
    } else {
        let t = libm::expm1(-2.0 * x);
        -t / (t + 2.0)
    };
    z.copysign(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of Java 17 that other libraries round otherwise.
    #[test]
    fn bits_are_those_of_java() {
        assert_eq!(log(14.0), 2.639_057_329_615_258_4);
        assert_eq!(log(196.0), 5.278_114_659_230_518);
        assert_eq!(cbrt(-2.5), -1.357_208_808_297_453_2);
        assert_eq!(tanh(4.0 / 9.0), 0.417_321_650_058_871_1);
        assert_eq!(log(0.0), f64::NEG_INFINITY);
        assert!(log(-1.0).is_nan());
        assert_eq!(cbrt(27.0), 3.0);
        assert_eq!(tanh(-0.0).to_bits(), (-0.0_f64).to_bits());
    }
}
