//! Rows and busy time by plan node, counted by all workers and readable while a run goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use unskewed_connectors::clock::Clock;

/// What a node has done so far, on all workers.
#[derive(Debug, Default)]
struct Counters {
    rows: AtomicU64,
    bytes: AtomicU64,
    busy_nanos: AtomicU64,
}

/// The counters of every node of a plan.
#[derive(Clone, Debug)]
pub struct Meters {
    clock: Arc<dyn Clock>,
    nodes: Arc<[Counters]>,
}

/// What a node did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCount {
    /// Rows that left it: for a sink those that reached it, for an arrangement those that it took in.
    pub rows: u64,
    /// Bytes of those, as held in memory.
    pub bytes: u64,
    /// Time its operator was busy, summed over workers.
    pub busy_nanos: u64,
}

impl Meters {
    /// Counters for this many nodes.
    pub fn new(clock: Arc<dyn Clock>, nodes: usize) -> Self {
        Self {
            clock,
            nodes: (0..nodes).map(|_| Counters::default()).collect(),
        }
    }

    /// What each node did so far, by its position in the plan.
    pub fn counts(&self) -> Vec<NodeCount> {
        let read = |c: &Counters| NodeCount {
            rows: c.rows.load(Ordering::Relaxed),
            bytes: c.bytes.load(Ordering::Relaxed),
            busy_nanos: c.busy_nanos.load(Ordering::Relaxed),
        };
        self.nodes.iter().map(read).collect()
    }

    /// The meter of one node.
    pub(crate) fn of(&self, node: usize) -> Meter {
        Meter {
            meters: self.clone(),
            node,
        }
    }
}

/// Counts for one node.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    meters: Meters,
    node: usize,
}

impl Meter {
    /// Does something on the node's account.
    pub(crate) fn time<R>(&self, work: impl FnOnce() -> R) -> R {
        let start = self.meters.clock.monotonic();
        let result = work();
        let busy = self.meters.clock.monotonic().saturating_sub(start);
        let nanos = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
        self.meters.nodes[self.node]
            .busy_nanos
            .fetch_add(nanos, Ordering::Relaxed);
        result
    }

    /// Counts rows.
    pub(crate) fn count(&self, rows: usize, bytes: usize) {
        self.meters.nodes[self.node]
            .rows
            .fetch_add(rows as u64, Ordering::Relaxed);
        self.meters.nodes[self.node]
            .bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
