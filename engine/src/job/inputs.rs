//! What a table's days were computed from, so that they are computed anew when that changed.
//!
//! Promises: a day counts as computed only if everything that would be read for it now was read for it then, and is
//! the same file for file. Partitions that retention has removed since do not count against it. Kept as one property
//! of the table; a table without it was written by somebody else, and none of its days count.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use unskewed_connectors::table::{FileIdentity, Selection, Table, Warehouse};
use unskewed_planner::physical::{DataflowPlan, Operator};
use unskewed_planner::time::{Partition, PartitionRange};

use super::error::Result;

/// The property that holds a [`Record`].
pub(super) const PROPERTY: &str = "unskewed_computed_from";

/// Table to partition to a digest of its files.
pub(super) type Inputs = BTreeMap<String, BTreeMap<String, String>>;

/// What each day of a table was computed from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    sets: Vec<Inputs>,
    days: BTreeMap<String, Day>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Day {
    /// Position in `sets`.
    set: usize,
    /// Whether there were any rows, and so a partition.
    written: bool,
}

impl Record {
    /// The record of a table; empty if it has none that can be read.
    pub(super) fn of(table: &Table) -> Result<Self> {
        let properties = table.properties()?.properties;
        let text = properties.get(PROPERTY).map_or("", String::as_str);
        Ok(serde_json::from_str(text).unwrap_or_default())
    }

    /// The property's text.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether anything is known of the day.
    pub(super) fn knows(&self, day: Partition) -> bool {
        self.days.contains_key(&day.to_string())
    }

    /// Whether the day was computed from just these inputs; `exists` says whether its partition is there.
    pub(super) fn holds(&self, day: Partition, inputs: &Inputs, exists: bool) -> bool {
        let Some(known) = self.days.get(&day.to_string()) else {
            return false;
        };
        let Some(then) = self.sets.get(known.set) else {
            return false;
        };
        let same = |table: &str, partition: &str, digest: &String| {
            then.get(table).and_then(|files| files.get(partition)) == Some(digest)
        };
        let unchanged = inputs.iter().all(|(table, files)| {
            let mut files = files.iter();
            files.all(|(partition, digest)| same(table, partition, digest))
        });
        known.written == exists && unchanged
    }

    /// Whether the day was computed from these inputs and nothing else; for tables that follow what they are made from
    /// in everything.
    pub(super) fn holds_exactly(&self, day: Partition, inputs: &Inputs, exists: bool) -> bool {
        let known = self.days.get(&day.to_string());
        let then = known.and_then(|known| self.sets.get(known.set));
        known.is_some_and(|known| known.written == exists) && then == Some(inputs)
    }

    /// Notes what days were computed from; `written` are those that have rows.
    pub(super) fn note(
        &mut self,
        days: impl IntoIterator<Item = Partition>,
        inputs: Inputs,
        written: &BTreeSet<Partition>,
    ) {
        let set = self.sets.iter().position(|known| *known == inputs);
        let set = set.unwrap_or_else(|| {
            self.sets.push(inputs);
            self.sets.len() - 1
        });
        for day in days {
            let written = written.contains(&day);
            self.days.insert(day.to_string(), Day { set, written });
        }
        self.forget_unused();
    }

    fn forget_unused(&mut self) {
        let used: BTreeSet<usize> = self.days.values().map(|day| day.set).collect();
        let place: BTreeMap<usize, usize> = used.iter().enumerate().map(|(n, o)| (*o, n)).collect();
        let mut index = 0;
        self.sets.retain(|_| {
            index += 1;
            used.contains(&(index - 1))
        });
        for day in self.days.values_mut() {
            day.set = place[&day.set];
        }
    }
}

/// Digests of the files that plans read; each table is listed once.
pub(super) struct Digests<'a> {
    warehouse: &'a Warehouse,
    listed: BTreeMap<String, Vec<(unskewed_connectors::table::PartitionKey, String)>>,
}

impl<'a> Digests<'a> {
    pub(super) fn new(warehouse: &'a Warehouse) -> Self {
        Self {
            warehouse,
            listed: BTreeMap::new(),
        }
    }

    /// What a plan reads.
    pub(super) fn of_plan(&mut self, plan: &DataflowPlan) -> Result<Inputs> {
        let mut inputs = Inputs::new();
        for node in &plan.nodes {
            let Operator::Scan(scan) = &node.operator else {
                continue;
            };
            let selection = match &scan.days {
                None => Selection::all(),
                Some(days) => match days.range {
                    Some(range) => between(&days.column, range),
                    None => continue,
                },
            };
            let known = inputs.entry(scan.table.clone()).or_default();
            for (key, digest) in self.list(&scan.table)? {
                if selection.matches(key) {
                    known.insert(key.folder(), digest.clone());
                }
            }
        }
        Ok(inputs)
    }

    /// The matching partitions of one table.
    pub(super) fn of_table(&mut self, table: &str, selection: &Selection) -> Result<Inputs> {
        let files = self.list(table)?.iter();
        let files = files.filter(|(key, _)| selection.matches(key));
        let files = files.map(|(key, digest)| (key.folder(), digest.clone()));
        Ok(Inputs::from([(table.to_owned(), files.collect())]))
    }

    fn list(
        &mut self,
        table: &str,
    ) -> Result<&[(unskewed_connectors::table::PartitionKey, String)]> {
        if !self.listed.contains_key(table) {
            let found = self.warehouse.table(table)?;
            let files = if found.exists()? {
                found.files(&Selection::all())?
            } else {
                vec![]
            };
            let digests = files.into_iter().map(|(key, files)| (key, digest(&files)));
            self.listed.insert(table.into(), digests.collect());
        }
        Ok(&self.listed[table])
    }
}

/// The partitions of a column in a range of days.
pub(super) fn between(column: &str, range: PartitionRange) -> Selection {
    let (start, end) = (range.start.to_string(), range.end.to_string());
    Selection::all().between(column, Some(&start), Some(&end))
}

/// FNV-1a over the identities, each piece ended by a zero byte.
fn digest(files: &[FileIdentity]) -> String {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    let mut feed = |text: &str| {
        for byte in text.bytes().chain([0]) {
            state ^= u64::from(byte);
            state = state.wrapping_mul(0x0100_0000_01b3);
        }
    };
    for file in files {
        feed(&file.path);
        feed(&file.size.to_string());
        feed(&file.version);
    }
    format!("{state:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Partition {
        text.parse().unwrap()
    }

    fn inputs(entries: &[(&str, &str, &str)]) -> Inputs {
        let mut inputs = Inputs::new();
        for (table, partition, digest) in entries {
            let files = inputs.entry((*table).into()).or_default();
            files.insert((*partition).into(), (*digest).into());
        }
        inputs
    }

    /// A day holds while its inputs are unchanged or gone; a changed, new or dropped one ends it.
    #[test]
    fn days_hold_while_inputs_do() {
        let read = inputs(&[("e", "ds=1", "a"), ("e", "ds=2", "b"), ("l", "ds=2", "c")]);
        let mut record = Record::default();
        let (first, second) = (day("2024-03-01"), day("2024-03-02"));
        record.note([first, second], read.clone(), &BTreeSet::from([first]));
        let record: Record = serde_json::from_str(&record.to_text()).unwrap();
        assert!(record.holds(first, &read, true));
        assert!(!record.holds(first, &read, false), "dropped by hand");
        assert!(record.holds(second, &read, false), "it had no rows");
        assert!(!record.holds(day("2024-03-03"), &read, false));
        let fewer = inputs(&[("e", "ds=2", "b")]);
        assert!(record.holds(first, &fewer, true), "removed by retention");
        let changed = inputs(&[("e", "ds=2", "x"), ("l", "ds=2", "c")]);
        assert!(!record.holds(first, &changed, true));
        let more = inputs(&[("e", "ds=0", "z"), ("e", "ds=2", "b")]);
        assert!(!record.holds(first, &more, true));
    }

    /// Inputs no day refers to any more are forgotten; equal ones are kept once.
    #[test]
    fn unused_inputs_are_forgotten() {
        let mut record = Record::default();
        let days = [day("2024-03-01"), day("2024-03-02")];
        let one = inputs(&[("e", "ds=1", "a")]);
        let two = inputs(&[("e", "ds=1", "b")]);
        record.note([days[0]], one.clone(), &BTreeSet::new());
        record.note([days[1]], two.clone(), &BTreeSet::new());
        assert_eq!(record.sets.len(), 2);
        record.note([days[0]], two.clone(), &BTreeSet::new());
        assert_eq!(record.sets, std::slice::from_ref(&two));
        assert!(record.holds(days[0], &two, false) && record.holds(days[1], &two, false));
        assert!(!record.holds(days[0], &one, false));
    }
}
