//! In-memory twins of the outside, and seeded faults for any of it.
//!
//! Promises: [`warehouse`] is the real table code over a store in memory, so nothing is told twice.
//! [`Faults`] decides by its seed alone which operations fail or are cut; [`CrashAt`] lets a number
//! of changes happen and then none, as if the process were killed there: what would have cleaned up
//! does not run either.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;
use crate::storage::{Hook, Operation, Verdict};
use crate::table::{Warehouse, WarehouseOptions};

/// An empty warehouse in memory.
pub fn warehouse(options: WarehouseOptions) -> Result<Warehouse> {
    Warehouse::open_with("memory://", options)
}

/// Fails or cuts operations at random, by a seed.
#[derive(Debug)]
pub struct Faults {
    state: Mutex<u64>,
    /// One in so many operations fails; 0 for none.
    pub fail_one_in: u64,
    /// One in so many reads is cut; 0 for none.
    pub truncate_one_in: u64,
    /// Milliseconds that each listing takes longer.
    pub listing_millis: u64,
}

impl Faults {
    /// No faults yet, to be drawn from this seed.
    pub fn seeded(seed: u64) -> Self {
        Self {
            state: Mutex::new(seed ^ 0x9E37_79B9_7F4A_7C15),
            fail_one_in: 0,
            truncate_one_in: 0,
            listing_millis: 0,
        }
    }

    fn draws(&self, one_in: u64) -> bool {
        if one_in == 0 {
            return false;
        }
        // Steele and Vigna's splitmix64.
        let mut state = self.state.lock().expect("no holder panics");
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)).is_multiple_of(one_in)
    }
}

impl Hook for Faults {
    fn before(&self, operation: Operation, _path: &str) -> Verdict {
        if operation == Operation::List && self.listing_millis > 0 {
            std::thread::sleep(std::time::Duration::from_millis(self.listing_millis));
        }
        if self.draws(self.fail_one_in) {
            return Verdict::Fail;
        }
        if operation == Operation::Read && self.draws(self.truncate_one_in) {
            return Verdict::Truncate;
        }
        Verdict::Proceed
    }
}

/// Lets so many changes happen, and then fails every operation.
#[derive(Debug)]
pub struct CrashAt {
    left: AtomicU64,
}

impl CrashAt {
    /// Dies before the change of this number, counted from zero.
    pub fn change(number: u64) -> Self {
        Self {
            left: AtomicU64::new(number),
        }
    }

    /// Whether the crash has come.
    pub fn crashed(&self) -> bool {
        self.left.load(Ordering::Acquire) == u64::MAX
    }
}

impl Hook for CrashAt {
    fn before(&self, operation: Operation, _path: &str) -> Verdict {
        let is_change = !matches!(operation, Operation::List | Operation::Read);
        let next = |left: u64| match left {
            u64::MAX => None,
            0 if is_change => Some(u64::MAX),
            left if is_change => Some(left - 1),
            left => Some(left),
        };
        let before = self
            .left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        match before {
            Err(_) => Verdict::Fail,
            Ok(0) if is_change => Verdict::Fail,
            Ok(_) => Verdict::Proceed,
        }
    }
}
