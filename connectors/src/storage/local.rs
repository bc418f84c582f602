//! Files of a local disk.
//!
//! Promises: a folder's listing is of one folder, even if the folder is exchanged for another while
//! it is read; a file that is opened is the one that was listed, or an error says so. Reads by
//! position, so a file may be shared.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{FileMeta, Operation, Storage, is_hidden};
use crate::error::{Error, Result};

/// How often a listing is begun anew when its folder was exchanged meanwhile.
const LISTING_ATTEMPTS: usize = 100;

#[derive(Debug)]
pub(crate) struct LocalFiles {
    root: PathBuf,
    sync: bool,
}

impl LocalFiles {
    pub(crate) fn new(root: PathBuf, sync: bool) -> Self {
        Self { root, sync }
    }

    /// Makes a file's bytes durable.
    pub(crate) fn sync_file(&self, file: &File) -> io::Result<()> {
        if self.sync { file.sync_all() } else { Ok(()) }
    }

    /// Makes a folder's names durable.
    pub(crate) fn sync_folder(&self, path: &Path) -> io::Result<()> {
        if self.sync {
            File::open(path)?.sync_all()?;
        }
        Ok(())
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        if relative.is_empty() {
            return self.root.clone();
        }
        self.root.join(relative)
    }

    pub(crate) fn walk(
        &self,
        storage: &Storage,
        folder: &str,
        descend: &dyn Fn(&str) -> bool,
        found: &mut Vec<FileMeta>,
    ) -> Result<()> {
        let Some((files, folders)) = self.list(storage, folder)? else {
            return Ok(());
        };
        found.extend(files);
        for child in folders {
            if !is_hidden(name_of(&child)) && descend(&child) {
                self.walk(storage, &child, descend, found)?;
            }
        }
        Ok(())
    }

    /// Files and folders directly in a folder, each sorted; `None` if there is no such folder.
    fn list(
        &self,
        storage: &Storage,
        folder: &str,
    ) -> Result<Option<(Vec<FileMeta>, Vec<String>)>> {
        let path = self.path(folder);
        for _ in 0..LISTING_ATTEMPTS {
            match list_once(&path, folder) {
                Ok(Some(listed)) => return Ok(Some(listed)),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(storage.io("list", folder)(error)),
            }
        }
        Err(Error::FileChanged {
            file: storage.shown(folder),
        })
    }

    pub(crate) fn folders(&self, storage: &Storage, folder: &str) -> Result<Vec<String>> {
        let listed = self.list(storage, folder)?;
        let (_files, folders) = listed.unwrap_or_default();
        Ok(folders.iter().map(|f| name_of(f).to_owned()).collect())
    }

    pub(crate) fn put(&self, storage: &Storage, path: &str, bytes: &[u8]) -> Result<()> {
        let target = self.path(path);
        self.create_parent(storage, path)?;
        let name = format!(".{}.{}.tmp", name_of(path), crate::table::unique_id());
        let temporary = target.with_file_name(name);
        let written = fs::write(&temporary, bytes)
            .and_then(|()| self.sync_file(&File::open(&temporary)?))
            .and_then(|()| fs::rename(&temporary, &target));
        if let Err(error) = written {
            // The first error is the one to report.
            fs::remove_file(&temporary).ok();
            return Err(storage.io("write", path)(error));
        }
        self.sync_parent(storage, path)
    }

    pub(crate) fn rename(&self, storage: &Storage, from: &str, to: &str) -> Result<()> {
        self.create_parent(storage, to)?;
        fs::rename(self.path(from), self.path(to)).map_err(storage.io("move", from))?;
        self.sync_parent(storage, to)
    }

    pub(crate) fn create_parent(&self, storage: &Storage, path: &str) -> Result<()> {
        let target = self.path(path);
        let parent = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent).map_err(storage.io("create the folder of", path))
    }

    /// Makes a change of names durable.
    pub(crate) fn sync_parent(&self, storage: &Storage, path: &str) -> Result<()> {
        let target = self.path(path);
        let parent = target.parent().unwrap_or(&self.root);
        self.sync_folder(parent)
            .map_err(storage.io("sync the folder of", path))
    }

    /// Opens a file for reading; an error unless it is still the listed one.
    pub(crate) fn open(&self, storage: &Storage, meta: &FileMeta) -> Result<LocalFile> {
        let cut = storage.pass(Operation::Read, &meta.path)?;
        let file = File::open(self.path(&meta.path)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::FileVanished {
                file: storage.shown(&meta.path),
            },
            _ => storage.io("open", &meta.path)(error),
        })?;
        let now = file.metadata().map_err(storage.io("look at", &meta.path))?;
        if (now.len(), version_of(&now), inode_of(&now))
            != (meta.size, meta.version.clone(), meta.inode)
        {
            return Err(Error::FileChanged {
                file: storage.shown(&meta.path),
            });
        }
        let size = if cut { meta.size / 2 } else { meta.size };
        Ok(LocalFile { file, size })
    }
}

/// `None` if the folder was exchanged, or lost a file, while it was read.
#[allow(clippy::type_complexity, reason = "two lists, named by the caller")]
fn list_once(path: &Path, folder: &str) -> io::Result<Option<(Vec<FileMeta>, Vec<String>)>> {
    let before = inode_of(&fs::metadata(path)?);
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a file name is not UTF-8",
            ));
        };
        let relative = match folder {
            "" => name,
            folder => format!("{folder}/{name}"),
        };
        // A link to a partition's folder counts as the folder.
        let metadata = match fs::metadata(entry.path()) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if entry.file_type().is_ok_and(|t| t.is_symlink()) {
                    return Err(error);
                }
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if metadata.is_dir() {
            folders.push(relative);
        } else {
            files.push(FileMeta {
                path: relative,
                size: metadata.len(),
                version: version_of(&metadata),
                inode: inode_of(&metadata),
            });
        }
    }
    let after = match fs::metadata(path) {
        Ok(metadata) => inode_of(&metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    files.sort_by(|a, b| a.path.cmp(&b.path));
    folders.sort();
    Ok((before == after).then_some((files, folders)))
}

pub(crate) fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(unix)]
fn inode_of(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode_of(_metadata: &fs::Metadata) -> u64 {
    0
}

/// The time of the last change, to the nanosecond where the disk keeps it.
fn version_of(metadata: &fs::Metadata) -> String {
    let changed = metadata.modified().ok();
    let since = changed.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or_else(String::new, |d| d.as_nanos().to_string())
}

/// An open file, read by position.
#[derive(Debug)]
pub(crate) struct LocalFile {
    file: File,
    size: u64,
}

impl LocalFile {
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn read(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let mut buffer = vec![0; length];
        let end = start.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        if end > self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read_exact_at(&self.file, &mut buffer, start)?;
        Ok(buffer.into())
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], start: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, start)
}

#[cfg(not(unix))]
fn read_exact_at(file: &File, buffer: &mut [u8], start: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(buffer)
}
