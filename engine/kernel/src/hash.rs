//! Identity of keys, and a look-up map whose order cannot leak.
//!
//! [`hash_keys`] turns the key columns of a batch into one `u128` per row, column at a time. It promises: equal keys
//! have equal hashes on every worker, in every process and on every machine; nulls are part of the key, so `(null, a)`
//! and `(a, null)` differ; a single integer column is mixed by a bijection, so it cannot collide at all. As Spark does
//! when it groups, `-0.0` equals `0.0` and all NaN are equal. Routing uses the low bits of the upper half.
//! Never depends on hash seeds, pointer values or the order of rows.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, Float32Array, Float64Array, ListArray, PrimitiveArray,
    StringArray, StructArray,
};
use arrow_row::{RowConverter, SortField};
use arrow_schema::DataType as ArrowType;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::error::KernelError;

/// The identity of a key: equal for equal keys, different for different ones up to a chance of about 2⁻¹²⁸.
pub type KeyHash = u128;

/// The identity of a null in a single-column key; no integer maps to it because their lower half is zero.
const NULL_KEY: KeyHash = ((mix(0x6e75_6c6c) as u128) << 64) | 1;

/// One identity per row of the key columns, which must be equally long.
///
/// No column at all gives no identity at all: the caller knows how many rows share the one empty key.
pub fn hash_keys(columns: &[ArrayRef]) -> Result<Vec<KeyHash>, KernelError> {
    match columns {
        [] => Ok(Vec::new()),
        [column] => match column.data_type() {
            ArrowType::Int64 => Ok(integers::<Int64Type>(column)),
            ArrowType::Int32 => Ok(integers::<Int32Type>(column)),
            ArrowType::Int16 => Ok(integers::<Int16Type>(column)),
            ArrowType::Int8 => Ok(integers::<Int8Type>(column)),
            ArrowType::Utf8 => Ok(strings(column.as_string::<i32>())),
            _ => hash_rows(columns),
        },
        _ => hash_rows(columns),
    }
}

fn integers<T: ArrowPrimitiveType>(column: &ArrayRef) -> Vec<KeyHash>
where
    T::Native: Into<i64>,
{
    let column: &PrimitiveArray<T> = column.as_primitive();
    let hash = |value: T::Native| KeyHash::from(mix(value.into() as u64)) << 64;
    if column.null_count() == 0 {
        return column.values().iter().map(|v| hash(*v)).collect();
    }
    column.iter().map(|v| v.map_or(NULL_KEY, hash)).collect()
}

fn strings(column: &StringArray) -> Vec<KeyHash> {
    let hash = |value: &str| xxh3_128(value.as_bytes());
    column.iter().map(|v| v.map_or(NULL_KEY, hash)).collect()
}

/// Any columns, through Arrow's self-delimiting row encoding.
fn hash_rows(columns: &[ArrayRef]) -> Result<Vec<KeyHash>, KernelError> {
    let columns: Vec<ArrayRef> = columns.iter().map(normalise_floats).collect();
    let fields = columns
        .iter()
        .map(|c| SortField::new(c.data_type().clone()))
        .collect();
    let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
    Ok(rows.iter().map(|row| xxh3_128(row.as_ref())).collect())
}

/// The column with `-0.0` and the many NaN replaced by one of each, also inside lists and structs.
fn normalise_floats(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        ArrowType::Float32 => {
            let values = column.as_primitive::<Float32Type>();
            let unary: Float32Array = values.unary(|v| if v.is_nan() { f32::NAN } else { v + 0.0 });
            Arc::new(unary)
        }
        ArrowType::Float64 => {
            let values = column.as_primitive::<Float64Type>();
            let unary: Float64Array = values.unary(|v| if v.is_nan() { f64::NAN } else { v + 0.0 });
            Arc::new(unary)
        }
        ArrowType::List(field) => {
            let list = column.as_list::<i32>();
            let values = normalise_floats(list.values());
            let offsets = list.offsets().clone();
            let nulls = list.nulls().cloned();
            Arc::new(ListArray::new(Arc::clone(field), offsets, values, nulls))
        }
        ArrowType::Struct(fields) => {
            let list = column.as_struct();
            let columns: Vec<_> = list.columns().iter().map(normalise_floats).collect();
            let nulls = list.nulls().cloned();
            match StructArray::try_new_with_length(fields.clone(), columns, nulls, list.len()) {
                Ok(array) => Arc::new(array),
                Err(_) => Arc::clone(column),
            }
        }
        _ => Arc::clone(column),
    }
}

/// A bijection of 64 bits that spreads every input bit over all output bits (the finaliser of splitmix64; Steele, Lea
/// and Flood, "Fast splittable pseudorandom number generators", 2014).
const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The hasher of [`FixedMap`]: the same on every machine and in every run.
#[derive(Clone, Copy, Debug, Default)]
pub struct FixedHasher(u64);

impl Hasher for FixedHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0 ^ xxh3_64(bytes));
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = mix(self.0 ^ value);
    }

    fn write_u128(&mut self, value: u128) {
        self.write_u64(value as u64 ^ (value >> 64) as u64);
    }

    fn write_i64(&mut self, value: i64) {
        self.write_u64(value as u64);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[expect(
    clippy::disallowed_types,
    reason = "wrapped here so that it can be looked up but not iterated"
)]
type Inner<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<FixedHasher>>;

/// A hash map for look-up only: it cannot be iterated, so its order cannot reach an output.
#[derive(Clone, Debug)]
pub struct FixedMap<K, V>(Inner<K, V>);

impl<K, V> Default for FixedMap<K, V> {
    fn default() -> Self {
        Self(Inner::default())
    }
}

impl<K: Hash + Eq, V> FixedMap<K, V> {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty map with room for `capacity` entries.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Inner::with_capacity_and_hasher(
            capacity,
            BuildHasherDefault::default(),
        ))
    }

    /// The value of a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.get(key)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.get_mut(key)
    }

    /// Whether the key is there.
    pub fn contains<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    /// Sets the value of a key and gives back the former one.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    /// The value of a key, made by `value` when it is not there yet.
    pub fn get_or_insert_with(&mut self, key: K, value: impl FnOnce() -> V) -> &mut V {
        self.0.entry(key).or_insert_with(value)
    }

    /// Takes a key out.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.0.remove(key)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets all entries but keeps the room.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests;
