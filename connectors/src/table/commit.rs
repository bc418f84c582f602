//! How staged files become a partition, at once.
//!
//! Promises: `docs/design/0002-partition-commit.md`, in short: on a local disk the staged folder
//! and the partition's are exchanged in one system call; where there is none, a journal of two
//! renames says where the old files are until the new ones are in. In an object store the files
//! carry the writer's id, and creating one marker object makes them the partition. Whatever a
//! killed writer leaves is invisible, and swept by the next holder of the lock.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::{Marker, id_of_part};
use super::layout::{PartitionKey, Selection};
use super::write::{StagedPartition, TableWrite};
use super::{Table, unique_id};
use crate::error::{Error, Result};
use crate::storage::local::{LocalFiles, name_of};
use crate::storage::{Backend, Operation, is_hidden};

const JOURNAL: &str = "swap.json";

/// What a commit put in place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The partitions that were replaced, sorted.
    pub partitions: Vec<PartitionKey>,
    /// Rows in them.
    pub rows: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// What a marker object says.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct MarkerContent {
    /// The files of the commit.
    pub(super) files: Vec<String>,
    /// The foreign files it replaced.
    pub(super) replaced: Vec<String>,
}

/// The journal of two renames, on disks that cannot exchange folders.
#[derive(Debug, Serialize, Deserialize)]
struct Journal {
    partition: String,
}

/// A partition that is between two renames.
#[derive(Debug)]
pub(super) struct PendingSwap {
    pub(super) key: PartitionKey,
    pub(super) old_folder: String,
}

impl TableWrite {
    /// Replaces each staged partition by its staged files, one partition after another, each at
    /// once. Several writers' parts of one partition are joined. A partition with no staged part is
    /// left alone.
    pub fn commit(mut self, staged: Vec<StagedPartition>) -> Result<Committed> {
        let mut by_key: BTreeMap<PartitionKey, Vec<StagedPartition>> = BTreeMap::new();
        for part in staged {
            by_key.entry(part.partition.clone()).or_default().push(part);
        }
        let mut committed = Committed::default();
        if !by_key.is_empty() {
            self.table.record_layout(&self, &by_key)?;
        }
        for (key, parts) in by_key {
            let mut names: Vec<String> = parts.iter().map(|p| p.file.clone()).collect();
            names.sort();
            self.replace(&key, &names)?;
            committed.rows += parts.iter().map(|p| p.rows).sum::<u64>();
            committed.bytes += parts.iter().map(|p| p.bytes).sum::<u64>();
            committed.partitions.push(key);
        }
        self.swept = true;
        self.table.remove_staging(&self.folder())?;
        Ok(committed)
    }

    fn replace(&self, key: &PartitionKey, names: &[String]) -> Result<()> {
        match &self.table.storage().backend {
            Backend::Local(files) => {
                let staged = self.staged_folder(key);
                self.table.drop_unlisted(files, &staged, names)?;
                self.table.place(files, key, &self.folder(), &staged)
            }
            Backend::Object(_) => self.table.mark(key, &self.id, names),
        }
    }
}

impl Table {
    /// Records partition columns and schema before the first partition comes in.
    fn record_layout(
        &self,
        write: &TableWrite,
        staged: &BTreeMap<PartitionKey, Vec<StagedPartition>>,
    ) -> Result<()> {
        let Some((key, parts)) = staged.first_key_value() else {
            return Ok(());
        };
        let mut properties = self.properties()?;
        let recorded = properties.schema.is_some();
        if !recorded {
            properties.partition_columns = key.columns().map(str::to_owned).collect();
            properties.schema = parts.first().map(|p| p.schema.clone());
        }
        if key.values.is_empty() && self.is_local() {
            // The whole folder is exchanged: the record goes with it.
            let path = format!("{}/_properties.json", write.staged_folder(key));
            return self.storage().put(&path, properties.to_bytes());
        }
        if recorded {
            return Ok(());
        }
        self.set_properties(&properties)
    }

    /// A part that was begun and given up must not come along.
    fn drop_unlisted(&self, files: &LocalFiles, staged: &str, names: &[String]) -> Result<()> {
        let failed = || self.storage().io("list", staged);
        let folder = files.path(staged);
        for entry in std::fs::read_dir(&folder).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            let name = name.to_string_lossy();
            if !is_hidden(&name) && !names.iter().any(|n| *n == name) {
                self.storage().delete(&format!("{staged}/{name}"))?;
            }
        }
        files
            .sync_folder(&folder)
            .map_err(self.storage().io("sync", staged))
    }

    /// Moves a staged folder to where the partition is; what was there is in the writer's folder
    /// afterwards.
    fn place(
        &self,
        files: &LocalFiles,
        key: &PartitionKey,
        writer_folder: &str,
        staged: &str,
    ) -> Result<()> {
        let storage = self.storage();
        let target = self.partition_folder(key);
        files.create_parent(storage, &target)?;
        if !files.path(&target).exists() {
            return storage.rename_tree(staged, &target);
        }
        if self.inner.exchange {
            storage.pass(Operation::Swap, &target)?;
            match exchange(&files.path(staged), &files.path(&target)) {
                Ok(()) => return files.sync_parent(storage, &target),
                Err(error) if is_unsupported(&error) => {}
                Err(error) => return Err(storage.io("replace", &target)(error)),
            }
        }
        let journal = Journal {
            partition: key.folder(),
        };
        let journal_file = format!("{writer_folder}/{JOURNAL}");
        let bytes = serde_json::to_vec(&journal).expect("a text is always JSON");
        storage.put(&journal_file, bytes)?;
        storage.rename_tree(&target, &old_folder(writer_folder, key))?;
        storage.rename_tree(staged, &target)?;
        storage.delete(&journal_file)
    }

    /// Partitions of this table that some writer has between two renames.
    pub(super) fn pending_swaps(&self) -> Result<Vec<PendingSwap>> {
        let staging = self.name.staging_folder();
        let mut pending = Vec::new();
        for id in self.storage().folders(&staging)? {
            let writer_folder = format!("{staging}/{id}");
            let path = format!("{writer_folder}/{JOURNAL}");
            let Some(bytes) = self.storage().get(&path)? else {
                continue;
            };
            let journal: Journal =
                serde_json::from_slice(&bytes).map_err(|source| Error::Malformed {
                    path: self.storage().shown(&path),
                    source,
                })?;
            let key = PartitionKey::parse(&journal.partition, || self.storage().shown(&path))?;
            pending.push(PendingSwap {
                old_folder: old_folder(&writer_folder, &key),
                key,
            });
        }
        Ok(pending)
    }

    /// Ends what killed writers began. The caller holds the table's lock.
    pub(crate) fn sweep(&self) -> Result<()> {
        if self.is_local() {
            return self.remove_staging(&self.name.staging_folder());
        }
        self.sweep_objects()
    }

    /// Moves partitions back that a writer under this folder left between two renames.
    fn undo_swaps(&self, files: &LocalFiles, folder: &str) -> Result<()> {
        for swap in self.pending_swaps()? {
            let target = self.partition_folder(&swap.key);
            if swap.old_folder.starts_with(folder) && !files.path(&target).exists() {
                // Back, not forward: readers have been shown the old files, and the job runs anew.
                self.storage().rename_tree(&swap.old_folder, &target)?;
            }
        }
        Ok(())
    }

    /// Removes a folder of staged files, and the folders above it that became empty.
    pub(super) fn remove_staging(&self, folder: &str) -> Result<()> {
        let Backend::Local(files) = &self.storage().backend else {
            return Ok(());
        };
        self.undo_swaps(files, folder)?;
        self.storage().delete_tree(folder)?;
        // Other writers' folders may still be in them, which keeps them.
        let staging = self.name.staging_folder();
        std::fs::remove_dir(files.path(&staging)).ok();
        if let Some((parent, _)) = staging.rsplit_once('/') {
            std::fs::remove_dir(files.path(parent)).ok();
        }
        Ok(())
    }

    /// Makes the objects of a writer the partition, then removes what they replace.
    fn mark(&self, key: &PartitionKey, id: &str, names: &[String]) -> Result<()> {
        let here = Selection::exactly(key);
        let mut folders = self.folders(&here)?;
        let folder = folders.remove(key).unwrap_or_default();
        let existing = folder.files.iter().map(|f| name_of(&f.path).to_owned());
        let (ours, foreign): (Vec<_>, Vec<_>) = existing.partition(|n| id_of_part(n).is_some());
        let marker = Marker {
            sequence: folder.latest().map_or(0, |m| m.sequence + 1),
            id: id.into(),
            file_count: names.len(),
        };
        let content = MarkerContent {
            files: names.to_vec(),
            replaced: foreign.clone(),
        };
        let root = self.partition_folder(key);
        let bytes = serde_json::to_vec(&content).expect("lists of texts are always JSON");
        let path = format!("{root}/{}", marker.name());
        self.storage().put(&path, bytes)?;
        // Oldest markers first would bring their files back if we died between: files go before
        // markers.
        for name in ours.iter().chain(&foreign).filter(|n| !names.contains(n)) {
            self.storage().delete(&format!("{root}/{name}"))?;
        }
        for old in &folder.markers {
            self.storage().delete(&format!("{root}/{}", old.name()))?;
        }
        Ok(())
    }

    /// Removes objects of writers that never committed, and of commits that were replaced.
    fn sweep_objects(&self) -> Result<()> {
        for (key, folder) in self.folders(&Selection::all())? {
            let root = self.partition_folder(&key);
            let latest = folder.latest();
            for file in &folder.files {
                let id = id_of_part(name_of(&file.path));
                if id.is_some_and(|id| latest.is_none_or(|m| m.id != id)) {
                    self.storage().delete(&file.path)?;
                }
            }
            for marker in folder.markers.iter().filter(|m| Some(*m) != latest) {
                self.storage()
                    .delete(&format!("{root}/{}", marker.name()))?;
            }
        }
        Ok(())
    }

    /// Removes a partition at once; fine if there is none.
    pub fn drop_partition(&self, key: &PartitionKey) -> Result<()> {
        if key.values.is_empty() {
            return Err(Error::Layout {
                path: self.storage().shown(&self.name.folder()),
                problem: "it has no partition columns: drop the table".into(),
            });
        }
        let folder = self.partition_folder(key);
        if self.is_local() {
            if !self.storage().has_folder(&folder)? {
                return Ok(());
            }
            let aside = format!("{}/{}", self.name.staging_folder(), unique_id());
            self.storage()
                .rename_tree(&folder, &old_folder(&aside, key))?;
            return self.remove_staging(&aside);
        }
        let inside = Selection::exactly(key);
        for inner in self.folders(&inside)?.into_keys() {
            // An empty commit hides every file; then all may go, in any order.
            self.mark(&inner, &unique_id(), &[])?;
            self.storage().delete_tree(&self.partition_folder(&inner))?;
        }
        Ok(())
    }

    pub(super) fn is_local(&self) -> bool {
        matches!(self.storage().backend, Backend::Local(_))
    }
}

impl Selection {
    /// The partition of this key, and those inside it.
    fn exactly(key: &PartitionKey) -> Self {
        let values = key.values.iter();
        values.fold(Self::all(), |selection, (column, value)| match value {
            Some(value) => selection.equal(column, value),
            None => selection.null(column),
        })
    }
}

pub(super) fn new_folder(writer_folder: &str, key: &PartitionKey) -> String {
    joined(&format!("{writer_folder}/new"), key)
}

fn old_folder(writer_folder: &str, key: &PartitionKey) -> String {
    joined(&format!("{writer_folder}/old"), key)
}

fn joined(root: &str, key: &PartitionKey) -> String {
    match key.folder().as_str() {
        "" => root.to_owned(),
        folder => format!("{root}/{folder}"),
    }
}

#[cfg(target_os = "linux")]
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

#[cfg(not(target_os = "linux"))]
fn exchange(_a: &Path, _b: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// What a disk answers that cannot exchange: not implemented, invalid, not supported.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput
    )
}
