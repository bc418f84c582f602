//! Spark's hash functions: Murmur3 (`hash`, 32 bits) and XXH64 (`xxhash64`), as its expressions
//! apply them.
//!
//! Promises Spark's bits, which differ from the textbook where a tail is not a multiple of four
//! bytes (each tail byte is mixed as a whole word). Both fold values one after another: the result
//! of one is the seed of the next.

const C1: u32 = 0xcc9e_2d51;
const C2: u32 = 0x1b87_3593;

/// A hash that folds a value into a seed.
pub trait SparkHash: Copy {
    /// Folds four bytes.
    fn int(self, value: i32) -> Self;
    /// Folds eight bytes.
    fn long(self, value: i64) -> Self;
    /// Folds a byte string.
    fn bytes(self, value: &[u8]) -> Self;
}

/// Murmur3_x86_32 as Spark's `hash` uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Murmur3(pub i32);

impl Murmur3 {
    fn mix(seed: u32, word: u32) -> u32 {
        let mixed = word.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
        (seed ^ mixed)
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64)
    }

    fn finish(seed: u32, length: u32) -> Self {
        let mut hash = seed ^ length;
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        Self((hash ^ (hash >> 16)) as i32)
    }
}

impl SparkHash for Murmur3 {
    fn int(self, value: i32) -> Self {
        Self::finish(Self::mix(self.0 as u32, value as u32), 4)
    }

    fn long(self, value: i64) -> Self {
        let low = Self::mix(self.0 as u32, value as u32);
        Self::finish(Self::mix(low, (value >> 32) as u32), 8)
    }

    fn bytes(self, value: &[u8]) -> Self {
        let mut seed = self.0 as u32;
        let (words, tail) = value.as_chunks::<4>();
        for word in words {
            seed = Self::mix(seed, u32::from_le_bytes(*word));
        }
        for byte in tail {
            seed = Self::mix(seed, i32::from(*byte as i8) as u32);
        }
        Self::finish(seed, value.len() as u32)
    }
}

const P1: u64 = 0x9E37_79B1_85EB_CA87;
const P2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const P3: u64 = 0x1656_67B1_9E37_79F9;
const P4: u64 = 0x85EB_CA77_C2B2_AE63;
const P5: u64 = 0x27D4_EB2F_1656_67C5;

/// XXH64 as Spark's `xxhash64` uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XxHash64(pub i64);

fn round(accumulator: u64, word: u64) -> u64 {
    accumulator
        .wrapping_add(word.wrapping_mul(P2))
        .rotate_left(31)
        .wrapping_mul(P1)
}

fn mix_long(hash: u64, word: u64) -> u64 {
    (hash ^ round(0, word))
        .rotate_left(27)
        .wrapping_mul(P1)
        .wrapping_add(P4)
}

fn mix_int(hash: u64, word: u32) -> u64 {
    (hash ^ u64::from(word).wrapping_mul(P1))
        .rotate_left(23)
        .wrapping_mul(P2)
        .wrapping_add(P3)
}

fn finish(mut hash: u64) -> XxHash64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(P2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(P3);
    XxHash64((hash ^ (hash >> 32)) as i64)
}

impl SparkHash for XxHash64 {
    fn int(self, value: i32) -> Self {
        let start = (self.0 as u64).wrapping_add(P5).wrapping_add(4);
        finish(mix_int(start, value as u32))
    }

    fn long(self, value: i64) -> Self {
        let start = (self.0 as u64).wrapping_add(P5).wrapping_add(8);
        finish(mix_long(start, value as u64))
    }

    fn bytes(self, value: &[u8]) -> Self {
        let seed = self.0 as u64;
        let (blocks, rest) = value.as_chunks::<32>();
        let mut hash = if blocks.is_empty() {
            seed.wrapping_add(P5)
        } else {
            let mut lanes = [
                seed.wrapping_add(P1).wrapping_add(P2),
                seed.wrapping_add(P2),
                seed,
                seed.wrapping_sub(P1),
            ];
            for block in blocks {
                let (words, _) = block.as_chunks::<8>();
                for (lane, word) in lanes.iter_mut().zip(words) {
                    *lane = round(*lane, u64::from_le_bytes(*word));
                }
            }
            let [a, b, c, d] = lanes;
            let mut hash = a.rotate_left(1);
            hash = hash
                .wrapping_add(b.rotate_left(7))
                .wrapping_add(c.rotate_left(12))
                .wrapping_add(d.rotate_left(18));
            for lane in lanes {
                hash = (hash ^ round(0, lane)).wrapping_mul(P1).wrapping_add(P4);
            }
            hash
        };
        hash = hash.wrapping_add(value.len() as u64);
        let (longs, rest) = rest.as_chunks::<8>();
        for word in longs {
            hash = mix_long(hash, u64::from_le_bytes(*word));
        }
        let (ints, rest) = rest.as_chunks::<4>();
        for word in ints {
            hash = mix_int(hash, u32::from_le_bytes(*word));
        }
        for byte in rest {
            hash = (hash ^ u64::from(*byte).wrapping_mul(P5))
                .rotate_left(11)
                .wrapping_mul(P1);
        }
        finish(hash)
    }
}

/// Folds a double: negative zero as zero.
pub fn fold_double<H: SparkHash>(hash: H, value: f64) -> H {
    if value == 0.0 {
        return hash.long(0);
    }
    let bits = if value.is_nan() {
        0x7ff8_0000_0000_0000
    } else {
        value.to_bits()
    };
    hash.long(bits as i64)
}

/// Folds a float: negative zero as zero.
pub fn fold_float<H: SparkHash>(hash: H, value: f32) -> H {
    if value == 0.0 {
        return hash.int(0);
    }
    let bits = if value.is_nan() {
        0x7fc0_0000
    } else {
        value.to_bits()
    };
    hash.int(bits as i32)
}

/// Folds a decimal: as a long up to 18 digits of precision, else as the shortest big-endian two's
/// complement.
pub fn fold_decimal<H: SparkHash>(hash: H, unscaled: i128, precision: u8) -> H {
    if precision <= 18 {
        return hash.long(unscaled as i64);
    }
    let bytes = unscaled.to_be_bytes();
    let sign: u8 = if unscaled < 0 { 0xff } else { 0 };
    let mut skip = 0;
    while skip < 15 && bytes[skip] == sign && (bytes[skip + 1] ^ sign) < 0x80 {
        skip += 1;
    }
    hash.bytes(&bytes[skip..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_spark_answers() {
        let murmur = Murmur3(42);
        assert_eq!(murmur.int(1).0, -559_580_957);
        assert_eq!(murmur.int(i32::MAX).0, 133_916_647);
        assert_eq!(murmur.long(1).0, -1_712_319_331);
        assert_eq!(fold_double(murmur, 0.0).0, -1_670_924_195);
        assert_eq!(fold_double(murmur, -0.0).0, -1_670_924_195);
        assert_eq!(fold_float(murmur, 1.5).0, -221_251_528);
        assert_eq!(
            murmur.bytes("abcdefghi".repeat(10).as_bytes()).0,
            -281_182_323
        );
        assert_eq!(murmur.bytes(b"").0, 142_593_372);
        assert_eq!(murmur.bytes(b"abc").0, 1_322_437_556);
        let xx = XxHash64(42);
        assert_eq!(xx.int(1).0, -6_698_625_589_789_238_999);
        assert_eq!(xx.long(1).0, -7_001_672_635_703_045_582);
        assert_eq!(xx.bytes(b"hello").0, -4_367_754_540_140_381_902);
        assert_eq!(xx.bytes(b"abc").0, 1_423_657_621_850_124_518);
        assert_eq!(xx.bytes(b"").0, -7_444_071_767_201_028_348);
    }

    #[test]
    fn shortest_two_complement() {
        for (value, length) in [
            (0i128, 1),
            (127, 1),
            (128, 2),
            (-128, 1),
            (-129, 2),
            (i128::MAX, 16),
        ] {
            let bytes = value.to_be_bytes();
            assert_eq!(
                fold_decimal(Murmur3(42), value, 38),
                Murmur3(42).bytes(&bytes[16 - length..])
            );
        }
    }
}
