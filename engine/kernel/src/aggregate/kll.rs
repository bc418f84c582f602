//! A KLL sketch of floats (Karnin, Lang and Liberty, "Optimal quantile approximation in streams", 2016) that is a
//! function of its history.
//!
//! Apache's sketches flip a coin from a generator seeded anew in every thread; a feature must not. Here the coin is a
//! hash of the sketch itself, so the same updates and merges give the same bits everywhere. Everything else is Apache's
//! (0.13.4): sizes of levels, which values are halved when, exclusive ranks, and the bytes ([`Kll::to_bytes`]), which
//! Apache's readers take. So what the coin does not decide is what the reference answers.

/// Smallest size of a level.
const LEVEL_MIN: u64 = 8;

/// The sketch. Level `l` holds values that stand for `2^l` each; level 0 is not sorted.
#[derive(Clone, Debug)]
pub(crate) struct Kll {
    k: u16,
    count: u64,
    levels: Vec<Vec<f32>>,
    min: f32,
    max: f32,
    /// Number of values kept, and how many may be at this number of levels.
    retained: u64,
    capacity: u64,
}

impl Kll {
    /// An empty sketch; a larger `k` is more exact.
    pub(crate) fn new(k: u16) -> Self {
        Self {
            k,
            count: 0,
            levels: vec![Vec::new()],
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
            retained: 0,
            capacity: total_capacity(k, 1),
        }
    }

    /// Whether no value was seen.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a value; NaN is ignored.
    pub(crate) fn update(&mut self, value: f32) {
        if value.is_nan() {
            return;
        }
        self.extend_bounds(value, value);
        if self.retained == self.capacity {
            self.make_room();
        }
        self.count += 1;
        self.levels[0].push(value);
        self.retained += 1;
    }

    /// Adds the values of another sketch.
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        let count = self.count + other.count;
        // The newest first, as they lie in Apache's array.
        other.levels[0].iter().rev().for_each(|v| self.update(*v));
        self.extend_bounds(other.min, other.max);
        self.count = count;
        if other.levels.len() == 1 {
            return;
        }
        if self.levels.len() < other.levels.len() {
            self.levels.resize_with(other.levels.len(), Vec::new);
            self.capacity = total_capacity(self.k, self.levels.len());
        }
        for (mine, theirs) in self.levels.iter_mut().zip(&other.levels).skip(1) {
            merge_sorted(mine, theirs);
            self.retained += theirs.len() as u64;
        }
        self.compress();
    }

    fn extend_bounds(&mut self, min: f32, max: f32) {
        if self.is_empty() {
            (self.min, self.max) = (min, max);
        } else {
            self.min = self.min.min(min);
            self.max = self.max.max(max);
        }
    }

    /// Halves the lowest full level of a full sketch.
    fn make_room(&mut self) {
        let mut levels = 0..self.levels.len();
        let full = levels.find(|level| self.is_full(*level));
        self.halve(full.expect("a full sketch has a full level"));
    }

    /// Halves full levels, from the lowest up, while the sketch is full.
    fn compress(&mut self) {
        let mut level = 0;
        while level < self.levels.len() {
            if self.retained >= self.capacity && self.is_full(level) {
                self.halve(level);
            }
            level += 1;
        }
    }

    fn is_full(&self, level: usize) -> bool {
        let capacity = level_capacity(self.k, self.levels.len(), level);
        self.levels[level].len() as u64 >= capacity
    }

    /// Moves every other value of a level up, where it stands for two.
    fn halve(&mut self, level: usize) {
        if level + 1 == self.levels.len() {
            self.levels.push(Vec::new());
            self.capacity = total_capacity(self.k, self.levels.len());
        }
        let mut values = std::mem::take(&mut self.levels[level]);
        // Of an odd number one stays: the newest where they are not sorted, else the least.
        if level == 0 {
            let even = values.len() & !1;
            values[..even].sort_by(f32::total_cmp);
        } else if values.len() % 2 == 1 {
            values.rotate_left(1);
        }
        let stays = values.split_off(values.len() & !1);
        let coin = self.coin(level, &values);
        let up: Vec<f32> = values.iter().skip(coin).step_by(2).copied().collect();
        self.retained -= (values.len() - up.len()) as u64;
        self.levels[level] = stays;
        merge_sorted(&mut self.levels[level + 1], &up);
    }

    /// 0 or 1, from what the sketch holds.
    fn coin(&self, level: usize, values: &[f32]) -> usize {
        let middle = values[values.len() / 2].to_bits();
        let mut z = self.count ^ (u64::from(middle) << 32) ^ (level as u64).rotate_right(8);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) & 1) as usize
    }

    /// The values at these fractions of the whole, by exclusive rank; `None` when there is none.
    pub(crate) fn quantiles(&self, fractions: &[f64]) -> Option<Vec<f32>> {
        if self.is_empty() {
            return None;
        }
        // Sorting integers is several times as fast as comparing floats; the level rides in the low bits.
        let mut packed: Vec<u64> = Vec::with_capacity(self.retained as usize);
        for (level, values) in self.levels.iter().enumerate() {
            let pack = |value: &f32| (u64::from(order_of(*value)) << 8) | level as u64;
            packed.extend(values.iter().map(pack));
        }
        packed.sort_unstable();
        let quantile = |fraction: &f64| match *fraction {
            fraction if fraction <= 0.0 => self.min,
            fraction if fraction >= 1.0 => self.max,
            fraction => {
                let rank = (fraction * self.count as f64) as u64;
                let mut upto = 0;
                let place = packed.iter().position(|packed| {
                    upto += 1_u64 << (packed & 0xff);
                    upto > rank
                });
                let place = place.unwrap_or(packed.len() - 1);
                value_of((packed[place] >> 8) as u32)
            }
        };
        Some(fractions.iter().map(quantile).collect())
    }

    /// Apache's compact form.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let short = self.count < 2;
        let (preamble, version) = match self.count {
            0 => (2, 1),
            1 => (2, 2),
            _ => (5, 1),
        };
        let flags = u8::from(self.count == 0) | (u8::from(self.count == 1) << 2);
        let mut bytes = vec![preamble, version, FAMILY, flags];
        bytes.extend(self.k.to_le_bytes());
        bytes.extend([LEVEL_MIN as u8, 0]);
        if !short {
            bytes.extend(self.count.to_le_bytes());
            bytes.extend(self.k.to_le_bytes());
            bytes.extend([self.levels.len() as u8, 0]);
            let mut offset = (self.capacity - self.retained) as u32;
            for level in &self.levels {
                bytes.extend(offset.to_le_bytes());
                offset += level.len() as u32;
            }
            bytes.extend(self.min.to_le_bytes());
            bytes.extend(self.max.to_le_bytes());
        }
        for level in &self.levels {
            bytes.extend(level.iter().flat_map(|value| value.to_le_bytes()));
        }
        bytes
    }

    /// Its size.
    pub(crate) fn k(&self) -> u16 {
        self.k
    }

    /// How many values were seen.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The share of values below each of these.
    pub(crate) fn ranks(&self, points: &[f32]) -> Vec<f64> {
        let below = |point: &f32| {
            let of_level = |(level, values): (usize, &Vec<f32>)| {
                let count = values.iter().filter(|value| *value < point).count() as u64;
                count << level
            };
            let weight: u64 = self.levels.iter().enumerate().map(of_level).sum();
            weight as f64 / self.count as f64
        };
        points.iter().map(below).collect()
    }

    /// Reads Apache's compact form; `None` when the bytes are something else.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let u16_at = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let f32_at = |at: usize| Some(f32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let (flags, family) = (*bytes.get(3)?, *bytes.get(2)?);
        let mut sketch = Self::new(u16_at(4)?);
        if family != FAMILY || sketch.k < LEVEL_MIN as u16 {
            return None;
        }
        if flags & 1 != 0 {
            return Some(sketch);
        }
        if flags & 4 != 0 {
            sketch.update(f32_at(8)?);
            return (!sketch.is_empty()).then_some(sketch);
        }
        sketch.count = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
        let level_count = usize::from(*bytes.get(18)?);
        if !(1..=60).contains(&level_count) {
            return None;
        }
        let mut offsets = Vec::with_capacity(level_count + 1);
        for level in 0..level_count {
            offsets.push(u64::from(u32_at(20 + 4 * level)?));
        }
        sketch.capacity = total_capacity(sketch.k, level_count);
        offsets.push(sketch.capacity);
        let mut at = 20 + 4 * level_count;
        (sketch.min, sketch.max) = (f32_at(at)?, f32_at(at + 4)?);
        at += 8;
        sketch.levels.clear();
        for (number, bounds) in offsets.windows(2).enumerate() {
            let mut level = Vec::new();
            for _ in 0..bounds[1].checked_sub(bounds[0])? {
                let value = f32_at(at)?;
                if value.is_nan() {
                    return None;
                }
                level.push(value);
                at += 4;
            }
            sketch.retained += level.len() as u64;
            if number > 0 {
                level.sort_by(f32::total_cmp);
            }
            sketch.levels.push(level);
        }
        let weight: u64 = (0_u32..)
            .zip(&sketch.levels)
            .map(|(level, values)| (values.len() as u64) << level)
            .sum();
        (at == bytes.len() && weight == sketch.count).then_some(sketch)
    }
}

/// Apache's number of the KLL family.
const FAMILY: u8 = 15;

/// Room of one of `level_count` levels: two thirds of the level above, `k` at the top, rounded.
fn level_capacity(k: u16, level_count: usize, level: usize) -> u64 {
    let depth = level_count - level - 1;
    let capacity = if depth <= 30 {
        capacity_at(u64::from(k), depth)
    } else {
        let half = depth / 2;
        capacity_at(capacity_at(u64::from(k), half), depth - half)
    };
    capacity.max(LEVEL_MIN)
}

fn capacity_at(k: u64, depth: usize) -> u64 {
    let twice = (u128::from(k) << (depth + 1)) / 3_u128.pow(depth as u32);
    ((twice + 1) >> 1) as u64
}

fn total_capacity(k: u16, level_count: usize) -> u64 {
    (0..level_count)
        .map(|level| level_capacity(k, level_count, level))
        .sum()
}

/// Merges sorted values into sorted values, from the back, in place.
fn merge_sorted(into: &mut Vec<f32>, values: &[f32]) {
    let mut old = into.len();
    into.extend_from_slice(values);
    let mut new = values.len();
    let mut place = into.len();
    while new > 0 && old > 0 {
        place -= 1;
        into[place] = if into[old - 1].total_cmp(&values[new - 1]).is_gt() {
            old -= 1;
            into[old]
        } else {
            new -= 1;
            values[new]
        };
    }
    into[..new].copy_from_slice(&values[..new]);
}

/// An integer that sorts as `f32::total_cmp` does.
fn order_of(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    }
}

/// The float that [`order_of`] was made from.
fn value_of(order: u32) -> f32 {
    let bits = if order >> 31 == 1 {
        order & !(1 << 31)
    } else {
        !order
    };
    f32::from_bits(bits)
}

#[cfg(test)]
mod tests;
