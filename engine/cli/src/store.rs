//! The jobs that fill the key-value store at once: `bulk-load` and `metadata-upload`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use unskewed_connectors::clock::SystemClock;
use unskewed_connectors::kv::{self, KvStore};
use unskewed_engine::job::{self, Event, MetadataFile, Watcher};
use unskewed_planner::definition::{Definition, Dialect};
use unskewed_planner::serving::metadata_key_of;

use crate::args::{FindingsFormat, JobArgs};
use crate::report::Failure;
use crate::{Session, load};

/// Folders of compiled definitions.
const KINDS: [&str; 3] = ["group_bys", "joins", "staging_queries"];

/// Loads an upload table.
pub(crate) fn bulk_load(args: &JobArgs, session: &Session) -> Result<(), Failure> {
    let definition = session.load(&args.conf_path)?;
    let store = open(session)?;
    let warehouse = session.warehouse()?;
    let outcome = job::bulk_load(&definition, store.as_ref(), &session.context(&warehouse));
    session.finish(&outcome.map_err(Failure::job)?, FindingsFormat::default());
    Ok(())
}

/// Stores a definition, or all of a folder.
pub(crate) fn metadata_upload(args: &JobArgs, session: &Session) -> Result<(), Failure> {
    let whole = args.conf_path.is_dir();
    let paths = match whole {
        true => definition_files(&args.conf_path)?,
        false => vec![args.conf_path.clone()],
    };
    let mut files = Vec::new();
    for path in &paths {
        match named(path, session.config.dialect, whole)? {
            Some(file) => files.push(file),
            None => {
                let text = format!(
                    "{} is no compiled definition and is left out",
                    path.display()
                );
                session.progress.on(&Event::Warning(&text));
            }
        }
    }
    if files.is_empty() {
        let text = format!("no compiled definition in {}", args.conf_path.display());
        return Err(Failure::usage(text));
    }
    let store = open(session)?;
    let outcome = job::metadata_upload(&files, whole, store.as_ref(), &session.clock);
    session.finish(&outcome.map_err(Failure::job)?, FindingsFormat::default());
    Ok(())
}

pub(crate) fn open(session: &Session) -> Result<Arc<dyn KvStore>, Failure> {
    let store = kv::open(&session.config.kv, Arc::new(SystemClock::new()));
    store.map_err(|error| Failure::job(job::Error::Table(error)))
}

/// The files of a folder that may be compiled definitions.
pub(crate) fn definition_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    walk(folder, &mut paths)?;
    paths.retain(|path| path.components().any(|name| is_kind(name.as_os_str())));
    Ok(paths)
}

fn is_kind(name: &std::ffi::OsStr) -> bool {
    KINDS.iter().any(|kind| name == *kind)
}

/// The files below a folder, in order; hidden ones are none.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| {
        Failure::usage(format!(
            "folder {} cannot be read: {error}",
            folder.display()
        ))
    })?;
    let mut paths: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            walk(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// A definition and its key; `None` for a file of a folder that is no definition with a name.
fn named(path: &Path, dialect: Dialect, in_folder: bool) -> Result<Option<MetadataFile>, Failure> {
    let has_name = |text: &str| {
        let tree: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        tree["metaData"]["name"].is_string()
    };
    if in_folder && !std::fs::read_to_string(path).is_ok_and(|text| has_name(&text)) {
        return Ok(None);
    }
    let definition: Definition = load(path, dialect)?;
    Ok(Some(MetadataFile {
        key: metadata_key_of(&path.to_string_lossy(), &definition),
        definition,
    }))
}
