//! Chained sources: the output of a join as a table that another definition reads, before it is there.
//!
//! Promises: a chain is held against what its parents will write, so that everything wrong with it, at any depth, is
//! said at once and before the first parent is computed. A join that reads its own output, two different joins of one
//! name, and chains deeper than anybody means are problems.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, MemoryTable, PartitionValues};
use crate::definition::{GroupBy, Join, Source};
use crate::diagnostic::Diagnostic;
use crate::logical::FeatureJoin;
use crate::naming::{self, PARTITION_COLUMN};
use crate::schema::Schema;

use super::group::at;
use super::source::missing_table;
use super::{Problems, join};

/// Joins that may stand above each other.
const DEPTH_MAX: usize = 16;

/// A join whose output is a source.
#[derive(Clone, Debug)]
pub struct Parent<'a> {
    /// The join.
    pub join: &'a Join,
    /// Where it stands in the user's file.
    pub path: String,
}

/// The parents of a group-by that stands at this path, in the order of its sources.
pub fn parents_of_group_by<'a>(group_by: &'a GroupBy, path: &str) -> Vec<Parent<'a>> {
    let parent = |(index, source): (usize, &'a Source)| match source {
        Source::JoinSource(source) => Some(Parent {
            join: &source.join,
            path: at(path, &format!("sources[{index}].joinSource.join")),
        }),
        _ => None,
    };
    let sources = group_by.sources.iter().enumerate();
    sources.filter_map(parent).collect()
}

/// The parents of all parts of a join, those of external parts that are computed offline included.
pub fn parents_of_join(join: &Join) -> Vec<Parent<'_>> {
    let regular = join.parts().iter().enumerate().flat_map(|(index, part)| {
        parents_of_group_by(&part.group_by, &format!("joinParts[{index}].groupBy"))
    });
    let external = join.external_parts().iter().enumerate();
    let external = external.flat_map(|(index, part)| {
        let group_by = part.source.offline_group_by.as_deref();
        let path = format!("onlineExternalParts[{index}].source.offlineGroupBy");
        group_by.map_or_else(Vec::new, |group_by| parents_of_group_by(group_by, &path))
    });
    regular.chain(external).collect()
}

/// The parents of the labels of a join.
pub fn parents_of_labels(join: &Join) -> Vec<Parent<'_>> {
    let labels = join.label_part.iter().flat_map(|part| &part.labels);
    labels
        .enumerate()
        .flat_map(|(index, label)| {
            let path = format!("labelPart.labels[{index}].groupBy");
            parents_of_group_by(&label.group_by, &path)
        })
        .collect()
}

/// A catalog with the outputs of parents as they will be.
pub(super) struct Chained<'a> {
    below: &'a dyn Catalog,
    planned: BTreeMap<String, MemoryTable>,
    /// Outputs whose joins have problems of their own.
    unplanned: Vec<String>,
}

/// The catalog that children of these parents see. `above` are the tables of the joins that stand below in the file,
/// the outermost first.
pub(super) fn over<'a>(
    parents: &[Parent<'_>],
    above: &[String],
    catalog: &'a dyn Catalog,
    problems: &mut Problems,
) -> Chained<'a> {
    let mut planned: BTreeMap<String, MemoryTable> = BTreeMap::new();
    let mut unplanned = Vec::new();
    let mut seen: BTreeMap<String, &Join> = BTreeMap::new();
    for parent in parents {
        let Some(table) = naming::output_table(&parent.join.meta_data) else {
            problems.report(
                Diagnostic::error(
                    format!("{}.metaData.outputNamespace", parent.path),
                    "the parent join has no output namespace",
                )
                .hint("compile it again; namespaces come from teams.json"),
            );
            continue;
        };
        match seen.insert(table.clone(), parent.join) {
            Some(other) if other != parent.join => {
                let message = format!("two different joins write {table}");
                problems.report(
                    Diagnostic::error(&parent.path, message)
                        .hint("compile all definitions again, so that both are the same version"),
                );
            }
            Some(_) => continue,
            None => {}
        }
        if parent.join.has_models() {
            // What models give is written by a job of its own; the table is taken as it is.
            continue;
        }
        unplanned.push(table.clone());
        if above.contains(&table) {
            let message = format!("{table} would be computed from itself");
            let chain = above.join(" reads ");
            problems.report(
                Diagnostic::error(&parent.path, message)
                    .detail(format!("{chain} reads {table}"))
                    .hint("read another join, or the table itself as an event source"),
            );
            continue;
        }
        if above.len() >= DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} joins are chained");
            problems.error(&parent.path, message);
            continue;
        }
        let mut own = Problems::default();
        let resolved = resolve(parent.join, above, catalog, &mut own);
        for problem in own.list {
            problems.report(Diagnostic {
                path: at(&parent.path, &problem.path),
                ..problem
            });
        }
        if let Some(resolved) = resolved {
            unplanned.retain(|name| *name != table);
            planned.insert(table.clone(), as_table(&resolved, &table, catalog));
        }
    }
    Chained {
        below: catalog,
        planned,
        unplanned,
    }
}

impl Chained<'_> {
    /// Takes out that an output is not there where its join has problems anyway.
    pub(super) fn forgive(&self, problems: &mut Problems) {
        let missing: Vec<String> = self
            .unplanned
            .iter()
            .map(|table| missing_table(table))
            .collect();
        problems
            .list
            .retain(|problem| !missing.contains(&problem.message));
    }
}

/// A join over the planned outputs of its own parents.
pub(super) fn resolve(
    join: &Join,
    above: &[String],
    catalog: &dyn Catalog,
    problems: &mut Problems,
) -> Option<FeatureJoin> {
    let parents = parents_of_join(join);
    if parents.is_empty() {
        return join::resolve(join, catalog, problems);
    }
    let mut above = above.to_vec();
    above.extend(naming::output_table(&join.meta_data));
    let catalog = over(&parents, &above, catalog, problems);
    let resolved = join::resolve(join, &catalog, problems);
    catalog.forgive(problems);
    resolved
}

/// The output of a parent as it will be: the days there are, and the first and the last that its left has.
fn as_table(parent: &FeatureJoin, table: &str, catalog: &dyn Catalog) -> MemoryTable {
    let mut partitions = catalog.partitions(table);
    let (first, last) = parent.left.rows.allowed;
    let ends = parent.left.rows.available.map(|(start, end)| {
        let start = first.map_or(start, |first| start.max(first));
        (start, last.map_or(end, |last| end.min(last)))
    });
    for day in ends.into_iter().filter(|(start, end)| start <= end) {
        partitions.extend(
            [day.0, day.1]
                .map(|day| PartitionValues(vec![(PARTITION_COLUMN.to_owned(), day.to_string())])),
        );
    }
    MemoryTable {
        schema: parent.output_schema(),
        partition_columns: vec![PARTITION_COLUMN.into()],
        partitions,
        properties: catalog.properties(table),
    }
}

impl Catalog for Chained<'_> {
    fn schema(&self, table: &str) -> Option<Schema> {
        let planned = self.planned.get(table);
        planned.map_or_else(
            || self.below.schema(table),
            |planned| Some(planned.schema.clone()),
        )
    }

    fn partition_columns(&self, table: &str) -> Vec<String> {
        let planned = self.planned.get(table);
        let below = || self.below.partition_columns(table);
        planned.map_or_else(below, |planned| planned.partition_columns.clone())
    }

    fn partitions(&self, table: &str) -> Vec<PartitionValues> {
        let planned = self.planned.get(table);
        let below = || self.below.partitions(table);
        planned.map_or_else(below, |planned| planned.partitions.clone())
    }

    fn properties(&self, table: &str) -> BTreeMap<String, String> {
        self.below.properties(table)
    }
}
