//! Which files are a table's data right now.
//!
//! Promises: partitions sorted by key, files by name; either all of a partition's old files or all
//! of its new ones while it is being replaced. The rules stand in
//! `docs/design/0002-partition-commit.md`. Opens no data file.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::files::{Marker, id_of_part};
use super::layout::{PartitionKey, Selection};
use super::{Table, commit};
use crate::error::{Error, Result};
use crate::storage::local::name_of;
use crate::storage::{Backend, FileMeta, is_hidden};

/// How often a listing is begun anew because a commit ran through it.
const LISTING_ATTEMPTS: usize = 20;

/// What a listing found.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) partitions: BTreeMap<PartitionKey, Vec<FileMeta>>,
}

/// What tells a file's content apart from any other's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileIdentity {
    /// The path below the warehouse.
    pub path: String,
    /// The size in bytes.
    pub size: u64,
    /// The entity tag, or the nanosecond of the last change.
    pub version: String,
}

impl FileIdentity {
    pub(crate) fn of(meta: &FileMeta) -> Self {
        Self {
            path: meta.path.clone(),
            size: meta.size,
            version: meta.version.clone(),
        }
    }
}

/// A partition's folder while it is being sorted out.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) files: Vec<FileMeta>,
    pub(super) markers: Vec<Marker>,
}

impl Folder {
    pub(super) fn latest(&self) -> Option<&Marker> {
        self.markers.iter().max()
    }
}

impl Table {
    /// The selected partitions and their files; empty if there is no table.
    pub(crate) fn listing(&self, selection: &Selection) -> Result<Listing> {
        for attempt in 1..=LISTING_ATTEMPTS {
            let last = attempt == LISTING_ATTEMPTS;
            if let Some(listing) = self.list_once(selection, last)? {
                return Ok(listing);
            }
        }
        unreachable!("the last attempt takes what it finds");
    }

    /// `None` if a commit ran through the listing and it should be begun anew.
    fn list_once(&self, selection: &Selection, last: bool) -> Result<Option<Listing>> {
        let mut listing = Listing::default();
        for (key, folder) in self.folders(selection)? {
            let whole = self.visible(&key, folder, &mut listing)?;
            if !whole && !last {
                return Ok(None);
            }
        }
        if let Backend::Local(_) = self.storage().backend {
            for swap in self.pending_swaps()? {
                if !selection.matches(&swap.key) || listing.partitions.contains_key(&swap.key) {
                    continue;
                }
                let files = self.storage().walk(&swap.old_folder, &|_| false)?;
                let files = files.into_iter().filter(is_data).collect::<Vec<_>>();
                if files.is_empty() && !last {
                    return Ok(None);
                }
                listing.partitions.insert(swap.key, files);
            }
        }
        self.check_layout(&listing)?;
        Ok(Some(listing))
    }

    /// Every file of the selected partitions' folders, markers apart.
    pub(super) fn folders(&self, selection: &Selection) -> Result<BTreeMap<PartitionKey, Folder>> {
        let root = self.name.folder();
        let below = |path: &str| path[root.len()..].trim_start_matches('/').to_owned();
        let descend = |folder: &str| {
            let key = PartitionKey::parse(&below(folder), String::new);
            // A folder that is no partition is met later, with its name.
            key.map_or(true, |key| selection.matches(&key))
        };
        let mut folders: BTreeMap<PartitionKey, Folder> = BTreeMap::new();
        for meta in self.storage().walk(&root, &descend)? {
            let name = name_of(&meta.path);
            let marker = Marker::parse(name);
            if marker.is_none() && is_hidden(name) {
                continue;
            }
            let relative = below(&meta.path);
            let parent = relative.rsplit_once('/').map_or("", |(parent, _)| parent);
            let key = PartitionKey::parse(parent, || self.storage().shown(&meta.path))?;
            if !selection.matches(&key) {
                continue;
            }
            let folder = folders.entry(key).or_default();
            match marker {
                Some(marker) => folder.markers.push(marker),
                None => folder.files.push(meta),
            }
        }
        Ok(folders)
    }

    /// Adds what is visible of a folder; false if files of its latest commit are missing.
    fn visible(&self, key: &PartitionKey, folder: Folder, listing: &mut Listing) -> Result<bool> {
        let mut files = folder.files;
        let mut whole = true;
        if let Backend::Object(_) = self.storage().backend {
            let latest = folder.markers.iter().max();
            let foreign = files.iter().any(|f| id_of_part(name_of(&f.path)).is_none());
            let replaced = match latest {
                Some(marker) if foreign => self.replaced_by(key, marker)?,
                _ => BTreeSet::new(),
            };
            files.retain(|file| {
                let name = name_of(&file.path);
                match id_of_part(name) {
                    Some(id) => latest.is_some_and(|marker| marker.id == id),
                    None => !replaced.contains(name),
                }
            });
            if let Some(marker) = latest {
                let ours = |f: &&FileMeta| id_of_part(name_of(&f.path)).is_some();
                whole = files.iter().filter(ours).count() >= marker.file_count;
            }
        }
        if !files.is_empty() {
            files.sort_by(|a, b| a.path.cmp(&b.path));
            listing.partitions.insert(key.clone(), files);
        }
        Ok(whole)
    }

    /// The foreign files that a commit replaced, in case they are not removed yet.
    fn replaced_by(&self, key: &PartitionKey, marker: &Marker) -> Result<BTreeSet<String>> {
        let path = format!("{}/{}", self.partition_folder(key), marker.name());
        let Some(bytes) = self.storage().get(&path)? else {
            return Ok(BTreeSet::new());
        };
        let content: commit::MarkerContent =
            serde_json::from_slice(&bytes).map_err(|source| Error::Malformed {
                path: self.storage().shown(&path),
                source,
            })?;
        Ok(content.replaced.into_iter().collect())
    }

    pub(super) fn partition_folder(&self, key: &PartitionKey) -> String {
        match key.folder().as_str() {
            "" => self.name.folder(),
            folder => format!("{}/{folder}", self.name.folder()),
        }
    }

    /// All partitions must have the same columns.
    fn check_layout(&self, listing: &Listing) -> Result<()> {
        let mut keys = listing.partitions.keys();
        let Some(first) = keys.next() else {
            return Ok(());
        };
        for key in keys {
            if !key.columns().eq(first.columns()) {
                return Err(Error::Layout {
                    path: self.storage().shown(&self.partition_folder(key)),
                    problem: format!("its partition columns are not those of {first}"),
                });
            }
        }
        Ok(())
    }
}

fn is_data(meta: &FileMeta) -> bool {
    !is_hidden(name_of(&meta.path))
}
