//! What the reference counts in, plainly: its hash map as a list, and its bounded heap. Only for tests.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::rc::Rc;

use unskewed_planner::aggregation::{AggregatePart, Operation};

use super::state::compare;
use super::value::Value;
use crate::aggregate::frequent::Countable;
use crate::aggregate::frequent::items::Items;
use crate::eval::java::number::double_to_string;

/// A Java hash map of counts: entries in the order of insertion, and how many buckets there are.
#[derive(Clone, Default)]
pub struct JavaMap {
    entries: Vec<(Value, i64)>,
    buckets: usize,
}

impl JavaMap {
    /// Adds to a count.
    pub fn add(&mut self, value: &Value, by: i64) {
        match self.entries.iter_mut().find(|entry| entry.0 == *value) {
            Some(entry) => entry.1 += by,
            None => {
                self.buckets = self.buckets.max(16 * usize::from(self.buckets == 0));
                self.entries.push((value.clone(), by));
                if self.entries.len() * 4 > self.buckets * 3 {
                    self.buckets *= 2;
                }
            }
        }
    }

    /// Forgets counts that came to nothing.
    pub fn forget_zeros(&mut self) {
        self.entries.retain(|entry| entry.1 != 0);
    }

    /// The entries as Java gives them.
    pub fn in_order(&self) -> Vec<(Value, i64)> {
        let mut entries = self.entries.clone();
        entries.sort_by_key(|(value, _)| {
            let hash = value.java_hash().cast_unsigned();
            (hash ^ (hash >> 16)) as usize % self.buckets
        });
        entries
    }

    /// `new HashMap<>(this)`.
    pub fn copied(&self) -> Self {
        let mut buckets = 1;
        while buckets < self.entries.len() * 4 / 3 + 1 {
            buckets *= 2;
        }
        Self {
            buckets: if self.entries.is_empty() { 0 } else { buckets },
            entries: self.in_order(),
        }
    }

    /// Each entry put into a new map.
    pub fn rewritten(&self) -> Self {
        let mut map = Self::default();
        for (value, count) in self.in_order() {
            map.add(&value, count);
        }
        map
    }

    /// The entries as a Scala map made of this one gives them.
    fn in_scala_order(&self) -> Vec<(Value, i64)> {
        let mut entries = self.in_order();
        if entries.len() > 4 {
            entries.sort_by_key(|(value, _)| {
                let mut h = value.scala_hash().cast_unsigned();
                h = h.wrapping_add(!(h << 9));
                h ^= h >> 14;
                h = h.wrapping_add(h << 4);
                h ^= h >> 10;
                // The trie branches by five bits at a time, from the lowest.
                [0, 5, 10, 15, 20, 25, 30].map(|shift| h >> shift & 31)
            });
        }
        entries
    }
}

impl Countable for Value {
    const TYPE: u8 = u8::MAX;

    fn java_hash(&self) -> i32 {
        let fold = |bits: u64| (bits as u32 ^ (bits >> 32) as u32).cast_signed();
        match self {
            Self::Whole(value) => fold(value.cast_unsigned()),
            Self::Double(bits) => fold(*bits),
            Self::Text(text) => {
                let units = text.encode_utf16();
                units.fold(0, |hash: i32, unit| {
                    hash.wrapping_mul(31).wrapping_add(unit.into())
                })
            }
            other => unreachable!("{other:?} is not counted"),
        }
    }

    fn scala_hash(&self) -> i32 {
        match self {
            Self::Whole(value) if *value == i64::from(*value as i32) => *value as i32,
            Self::Double(bits) => {
                let value = f64::from_bits(*bits);
                if f64::from(value as i32) == value {
                    value as i32
                } else if (value as i64) as f64 == value {
                    Self::Whole(value as i64).java_hash()
                } else if f64::from(value as f32) == value {
                    (value as f32).to_bits().cast_signed()
                } else {
                    self.java_hash()
                }
            }
            _ => self.java_hash(),
        }
    }

    fn append_bytes(&self, _bytes: &mut Vec<u8>) {
        unreachable!("the twin stores no states");
    }

    fn print(&self) -> String {
        match self {
            Self::Whole(value) => value.to_string(),
            Self::Double(bits) => double_to_string(f64::from_bits(*bits)),
            Self::Text(text) => text.clone(),
            other => unreachable!("{other:?} is not counted"),
        }
    }
}

/// APPROX_HISTOGRAM_K: exact counts, or a sketch.
#[derive(Clone)]
#[allow(private_interfaces, reason = "the sketch is the kernel's own")]
pub enum Frequent {
    /// Up to k values.
    Exact(JavaMap),
    /// More.
    Sketch(Items<Value>),
}

/// A state that others may hold too.
pub(super) type Held = Rc<RefCell<Frequent>>;

impl Frequent {
    /// Nothing counted.
    pub fn held() -> Held {
        Rc::new(RefCell::new(Self::Exact(JavaMap::default())))
    }

    /// Counts a value once.
    pub fn add(&mut self, value: &Value, k: usize) {
        match self {
            Self::Exact(map) => map.add(value, 1),
            Self::Sketch(sketch) => sketch.update(value, 1),
        }
        self.spill(k);
    }

    fn spill(&mut self, k: usize) {
        if let Self::Exact(map) = self
            && map.entries.len() > k
        {
            let mut sketch = Items::new(k);
            for (value, count) in map.in_scala_order() {
                sketch.update(&value, count);
            }
            *self = Self::Sketch(sketch);
        }
    }

    /// Adds a later state; which of the two holds the sum depends on what they are.
    pub fn merged(state: Held, later: Held, k: usize) -> Held {
        let exact = |held: &Held| match &*held.borrow() {
            Self::Exact(map) => Some(map.in_scala_order()),
            Self::Sketch(_) => None,
        };
        match (exact(&state), exact(&later)) {
            (Some(a), Some(b)) => {
                let mut map = JavaMap::default();
                for (value, count) in a.iter().chain(&b) {
                    map.add(value, *count);
                }
                let mut sum = Self::Exact(map);
                sum.spill(k);
                Rc::new(RefCell::new(sum))
            }
            (Some(counts), None) => {
                later.borrow_mut().feed(&counts);
                later
            }
            (None, Some(counts)) => {
                state.borrow_mut().feed(&counts);
                state
            }
            (None, None) => {
                let other = later.borrow().clone();
                if let (Self::Sketch(sketch), Self::Sketch(other)) =
                    (&mut *state.borrow_mut(), &other)
                {
                    sketch.merge(other);
                }
                state
            }
        }
    }

    fn feed(&mut self, counts: &[(Value, i64)]) {
        if let Self::Sketch(sketch) = self {
            for (value, count) in counts {
                sketch.update(value, *count);
            }
        }
    }

    /// Copied by the map's constructor or by putting each entry, and by the sketch's bytes.
    pub fn moved(&self, map: impl Fn(&JavaMap) -> JavaMap) -> Held {
        Rc::new(RefCell::new(match self {
            Self::Exact(counts) => Self::Exact(map(counts)),
            Self::Sketch(sketch) => Self::Sketch(sketch.reread()),
        }))
    }

    /// What is shown.
    pub fn top(&self, k: usize) -> Value {
        let shown: Vec<(Value, i64)> = match self {
            Self::Exact(map) => map.entries.clone(),
            Self::Sketch(sketch) => {
                let found = sketch.frequent().into_iter().take(k);
                found.map(|(value, count)| (value.clone(), count)).collect()
            }
        };
        let entry =
            |(value, count): (Value, i64)| (Value::Text(value.print()), Value::Whole(count));
        let mut map: Vec<_> = shown.into_iter().map(entry).collect();
        map.sort();
        Value::Map(map)
    }
}

/// The entries that a limited histogram shows.
pub(super) fn limited(map: &JavaMap, k: usize) -> Vec<(Value, i64)> {
    let mut entries = map.in_order();
    if k > 0 && entries.len() > k {
        let mut counts: Vec<i64> = entries.iter().map(|entry| -entry.1).collect();
        counts.sort_unstable();
        entries.retain(|entry| entry.1 >= -counts[k - 1]);
        entries.truncate(k);
    }
    entries
}

/// Whether `a` is to be kept rather than `b`, or as well; no NaN is.
fn at_most(part: &AggregatePart, a: &Value, b: &Value) -> bool {
    if a.is_floating() {
        let (a, b) = (a.as_double(), b.as_double());
        return if part.operation == Operation::TopK {
            a >= b
        } else {
            a <= b
        };
    }
    rank(part, a, b) != Ordering::Greater
}

/// Best first.
pub(super) fn rank(part: &AggregatePart, a: &Value, b: &Value) -> Ordering {
    match part.operation {
        Operation::TopK => compare(b, a),
        _ => compare(a, b),
    }
}

/// Adds a value to the reference's heap.
pub(super) fn heap_insert(part: &AggregatePart, heap: &mut Vec<Value>, value: Value) {
    let k = part.arguments.k.unwrap_or(0) as usize;
    if heap.len() < k {
        heap.push(value);
        if heap.len() == k {
            heap.sort_by(|a, b| rank(part, b, a));
        }
        return;
    }
    if !at_most(part, &value, &heap[0]) {
        return;
    }
    heap[0] = value;
    let mut at = 0;
    while 2 * at + 1 < k {
        let (left, right) = (2 * at + 1, 2 * at + 2);
        // The worse child; where neither is worse, the left one.
        let goes_right = right < k
            && at_most(part, &heap[left], &heap[right])
            && !equal(&heap[left], &heap[right]);
        let child = if goes_right { right } else { left };
        if at_most(part, &heap[child], &heap[at]) {
            return;
        }
        heap.swap(at, child);
        at = child;
    }
}

/// Equal as numbers are, zeros of two signs too.
fn equal(a: &Value, b: &Value) -> bool {
    if a.is_floating() {
        a.as_double() == b.as_double()
    } else {
        a == b
    }
}
