//! `unskewed metadata-export`: every definition of a repository with its features, into files or a table.
//!
//! Promises: files come in the order of their paths; one that is no definition is told and passed over, one that does
//! not resolve is exported with the reason. Exports into files keep the names of the files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use unskewed_connectors::clock::SystemClock;
use unskewed_connectors::table::Warehouse;
use unskewed_engine::job::{
    self, Context, Event, Exported, Outcome, Watcher, export_definition, export_embedded,
    write_exported,
};
use unskewed_planner::definition::{Definition, GroupBy};
use unskewed_planner::time::Partition;

use crate::args::MetadataExportArgs;
use crate::config::Config;
use crate::report::Failure;

/// Where the export goes.
enum Target<'a> {
    Folder(&'a Path),
    Table(&'a str, Vec<(String, String)>),
}

/// Exports; the numbers are of definitions.
pub(crate) fn run(
    args: &MetadataExportArgs,
    config: &Config,
    watcher: &dyn Watcher,
    today: Partition,
) -> Result<Outcome, Failure> {
    let target = target(args)?;
    let warehouse = Warehouse::open(&config.warehouse)
        .map_err(|error| Failure::job(job::Error::Table(error)))?;
    let clock = SystemClock::new();
    let context = Context {
        warehouse: &warehouse,
        clock: &clock,
        workers: config.workers,
        memory_bytes: config.memory_bytes,
        watcher,
    };
    let mut outcome = Outcome::default();
    let mut exported = vec![];
    let mut definitions = vec![];
    for path in files(&args.input_root_path)? {
        outcome.rows_in += 1;
        let name = path.display().to_string();
        let found = std::fs::read_to_string(&path)
            .ok()
            .and_then(|text| export_definition(&name, &text, config.dialect, &context));
        match found {
            Some((one, definition)) => {
                exported.push(one);
                definitions.extend(definition);
            }
            None => {
                let text = format!("{name} is no compiled definition and is passed over");
                watcher.on(&Event::Warning(&text));
            }
        }
    }
    if args.process_embedded_group_bys {
        let embedded = embedded(&definitions);
        exported.extend(embedded.into_iter().map(|group_by| {
            let name = group_by.meta_data.name.clone().unwrap_or_default();
            let root = args.input_root_path.display();
            export_embedded(
                &format!("{root}/embedded_group_bys/{name}"),
                group_by,
                &context,
            )
        }));
    }
    for one in exported.iter().filter(|one| one.failure.is_some()) {
        outcome.bad_rows += 1;
        let failure = one.failure.as_deref().unwrap_or_default();
        outcome.bad_samples.push(format!("{}: {failure}", one.path));
    }
    outcome.bad_samples.truncate(job::SAMPLES_MAX);
    outcome.rows_out = exported.len() as u64;
    match target {
        Target::Folder(folder) => exported
            .iter()
            .try_for_each(|one| write_file(one, folder))?,
        Target::Table(name, properties) => {
            let day = args.end_date.unwrap_or(today);
            let written = write_exported(&exported, name, day, &properties, &context);
            outcome.partitions_written = written.map_err(Failure::job)?;
        }
    }
    Ok(outcome)
}

fn target(args: &MetadataExportArgs) -> Result<Target<'_>, Failure> {
    match (&args.output_root_path, &args.output_table_name) {
        (Some(folder), None) => Ok(Target::Folder(folder)),
        (None, Some(table)) => {
            let text = args.output_table_properties_json.as_deref().unwrap_or("{}");
            let properties: std::collections::BTreeMap<String, String> = serde_json::from_str(text)
                .map_err(|error| {
                    let about = "--output-table-properties-json must be an object of texts";
                    Failure::usage(format!("{about}: {error}"))
                })?;
            Ok(Target::Table(table, properties.into_iter().collect()))
        }
        _ => Err(Failure::usage(
            "give either --output-root-path (files) or --output-table-name (a table)",
        )),
    }
}

/// All files below a folder, sorted; hidden ones are nobody's definitions.
fn files(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = vec![];
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let failed = |error: std::io::Error| {
            Failure::usage(format!(
                "folder {} cannot be read: {error}",
                folder.display()
            ))
        };
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let hidden = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if hidden {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Group-bys that stand inside joins and have no file of their own, each once.
fn embedded(definitions: &[Definition]) -> Vec<&GroupBy> {
    let mut seen = BTreeSet::new();
    for definition in definitions {
        if let Definition::GroupBy(group_by) = definition {
            seen.insert(group_by.meta_data.name.clone());
        }
    }
    let mut found = vec![];
    for definition in definitions {
        let Definition::Join(join) = definition else {
            continue;
        };
        let parts = join.parts().iter().map(|part| &part.group_by);
        let external = join.external_parts().iter();
        let external = external.filter_map(|part| part.source.offline_group_by.as_deref());
        for group_by in parts.chain(external) {
            if seen.insert(group_by.meta_data.name.clone()) {
                found.push(group_by);
            }
        }
    }
    found
}

fn write_file(one: &Exported, root: &Path) -> Result<(), Failure> {
    let folder = root.join(one.entity.folder());
    let name = Path::new(&one.path).file_name().unwrap_or_default();
    let path = folder.join(name);
    let written = std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&path, one.metadata.to_string()));
    written
        .map_err(|error| Failure::failed(format!("{} cannot be written: {error}", path.display())))
}
