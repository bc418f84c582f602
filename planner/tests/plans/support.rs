//! Recorded cases as the planner sees them: definitions, and a catalog made from the recorded tables' layout.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use unskewed_planner::catalog::{MemoryCatalog, MemoryTable, PartitionValues};
use unskewed_planner::definition::{Definition, Dialect, GroupBy, Source};
use unskewed_planner::expr::parse_schema;
use unskewed_planner::schema::{DataType, Schema};
use unskewed_planner::time::{Partition, PartitionRange};

/// One recorded case.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) definitions: Vec<(String, Definition)>,
    pub(crate) catalog: MemoryCatalog,
}

/// The cases whose names start with one of these, sorted.
pub(crate) fn cases(prefixes: &[&str]) -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/cases");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|name| load(&folder.join(&name), name))
        .collect()
}

/// A range of days.
pub(crate) fn days(start: Partition, end: Partition) -> PartitionRange {
    PartitionRange::new(start, end).unwrap()
}

impl Case {
    /// Whether the definition reads what another job of the case writes first.
    pub(crate) fn reads_other_output(&self, definition: &Definition) -> bool {
        let chained = |group_by: &GroupBy| {
            group_by
                .sources
                .iter()
                .any(|source| matches!(source, Source::JoinSource(_)))
        };
        match definition {
            Definition::GroupBy(group_by) => chained(group_by),
            Definition::Join(join) => join.parts().iter().any(|part| chained(&part.group_by)),
            Definition::StagingQuery(_) => true,
        }
    }
}

fn load(folder: &Path, name: String) -> Case {
    let mut definitions = Vec::new();
    for file in files(folder) {
        let inside = file
            .strip_prefix(folder)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        if inside.starts_with("compiled") {
            let text = std::fs::read_to_string(&file).unwrap();
            let definition = Definition::load(&text, Dialect::Airbnb).unwrap();
            definitions.push((inside, definition));
        }
    }
    Case {
        catalog: catalog(folder),
        name,
        definitions,
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            found.extend(files(&entry));
        } else {
            found.push(entry);
        }
    }
    found
}

fn catalog(folder: &Path) -> MemoryCatalog {
    let text = std::fs::read_to_string(folder.join("schema.json")).unwrap();
    let tables: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut catalog = MemoryCatalog {
        tables: BTreeMap::new(),
    };
    for (name, table) in tables.as_object().unwrap() {
        let Ok(DataType::Struct(fields)) = parse_schema(table["ddl"].as_str().unwrap()) else {
            panic!("{name}: {}", table["ddl"]);
        };
        let columns = table["partition_columns"].as_array().unwrap();
        let partition_columns = columns
            .iter()
            .map(|column| column.as_str().unwrap().to_owned())
            .collect();
        let rows = folder.join("input").join(name);
        let partitions = if rows.is_dir() {
            partitions(&rows, &rows)
        } else {
            Vec::new()
        };
        let schema = Schema::new(fields);
        catalog.tables.insert(
            name.clone(),
            MemoryTable {
                schema,
                partition_columns,
                partitions,
                properties: properties(&table["tblproperties"]),
            },
        );
    }
    catalog
}

fn partitions(table: &Path, folder: &Path) -> Vec<PartitionValues> {
    let mut found: Vec<PartitionValues> = files(folder)
        .iter()
        .map(|file| {
            let inside = file.parent().unwrap().strip_prefix(table).unwrap();
            let pairs = inside.iter().map(|piece| {
                let piece = piece.to_string_lossy();
                let (column, value) = piece.split_once('=').unwrap();
                (column.to_owned(), value.to_owned())
            });
            PartitionValues(pairs.collect())
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

fn properties(written: &serde_json::Value) -> BTreeMap<String, String> {
    let written = written.as_object().into_iter().flatten();
    let text = |(name, value): (&String, &serde_json::Value)| {
        (name.clone(), value.as_str().unwrap_or_default().to_owned())
    };
    written.map(text).collect()
}
