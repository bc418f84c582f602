//! Files under a warehouse's root, on a local disk or in an object store, for synchronous callers.
//!
//! Promises: paths are relative to the root, with `/` between parts; every operation first passes
//! the [`Hook`], so that a test can fail, cut, delay or kill at any step. Knows no table and no
//! Parquet: what a partition is, and how it is replaced at once, is [`crate::table`]'s matter.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, Result};

pub(crate) mod local;
pub(crate) mod object;
pub(crate) mod sink;

use local::LocalFiles;
use object::ObjectFiles;

/// What is about to be done to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// List a folder.
    List,
    /// Read a file or a part of it.
    Read,
    /// Create a file to be written.
    Create,
    /// Write some bytes of a file.
    Write,
    /// Make a written file durable.
    Finish,
    /// Replace a small file at once.
    Put,
    /// Move a file or folder.
    Rename,
    /// Exchange two folders.
    Swap,
    /// Remove a file or folder.
    Delete,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Read => "read",
            Self::Create => "create",
            Self::Write => "write",
            Self::Finish => "finish",
            Self::Put => "put",
            Self::Rename => "rename",
            Self::Swap => "swap",
            Self::Delete => "delete",
        }
    }
}

/// What a hook says to an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Proceed,
    /// Fail with [`Error::Injected`], having done nothing.
    Fail,
    /// Read, but answer only the first half of the bytes.
    Truncate,
}

/// Asked before every operation: the seam for faults.
pub trait Hook: fmt::Debug + Send + Sync {
    /// Decides about one operation; may also wait.
    fn before(&self, operation: Operation, path: &str) -> Verdict;
}

/// One file as a listing saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileMeta {
    /// Relative to the root.
    pub(crate) path: String,
    pub(crate) size: u64,
    /// The entity tag, or the time of change; changes when the content does.
    pub(crate) version: String,
    /// The inode, where there is one.
    pub(crate) inode: u64,
}

/// Where the files are.
#[derive(Debug)]
pub(crate) enum Backend {
    Local(LocalFiles),
    Object(ObjectFiles),
}

/// The files under one root.
#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) backend: Backend,
    hook: Option<Arc<dyn Hook>>,
    /// As the user gave it, for messages.
    url: String,
}

impl Storage {
    /// The files of a folder, or of the same in an object store.
    pub(crate) fn open(url: &str, sync: bool, hook: Option<Arc<dyn Hook>>) -> Result<Self> {
        Ok(match url.split_once("://") {
            None if url.is_empty() => {
                return Err(Error::InvalidWarehouse {
                    url: url.into(),
                    problem: "it is empty",
                });
            }
            None => Self::local(PathBuf::from(url), sync, hook),
            Some(("file", path)) => Self::local(PathBuf::from(path), sync, hook),
            Some(("memory", _)) => {
                let store = Arc::new(object_store::memory::InMemory::new());
                let files = ObjectFiles::new(store, object_store::path::Path::default())?;
                Self::object(files, url.into(), hook)
            }
            Some(("s3" | "s3a", rest)) => open_s3(url, rest, hook)?,
            Some(_) => {
                return Err(Error::InvalidWarehouse {
                    url: url.into(),
                    problem: "known are a folder, file://, s3:// and memory://",
                });
            }
        })
    }

    pub(crate) fn local(root: PathBuf, sync: bool, hook: Option<Arc<dyn Hook>>) -> Self {
        Self {
            url: root.display().to_string(),
            backend: Backend::Local(LocalFiles::new(root, sync)),
            hook,
        }
    }

    pub(crate) fn object(files: ObjectFiles, url: String, hook: Option<Arc<dyn Hook>>) -> Self {
        Self {
            backend: Backend::Object(files),
            hook,
            url,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The path as a user would write it.
    pub(crate) fn shown(&self, path: &str) -> String {
        format!("{}/{path}", self.url.trim_end_matches('/'))
    }

    /// Passes the hook; true when the answer is to be cut.
    pub(crate) fn pass(&self, operation: Operation, path: &str) -> Result<bool> {
        let verdict = match &self.hook {
            Some(hook) => hook.before(operation, path),
            None => Verdict::Proceed,
        };
        match verdict {
            Verdict::Proceed => Ok(false),
            Verdict::Truncate => Ok(true),
            Verdict::Fail => Err(Error::Injected {
                operation: operation.name(),
                path: path.into(),
            }),
        }
    }

    pub(crate) fn io(
        &self,
        action: &'static str,
        path: &str,
    ) -> impl FnOnce(std::io::Error) -> Error {
        let path = self.shown(path);
        move |source| Error::Io {
            action,
            path,
            source,
        }
    }

    /// All files below a folder, those in hidden folders (and, locally, those refused by `descend`)
    /// left out. Hidden files directly in a visible folder are included.
    pub(crate) fn walk(
        &self,
        folder: &str,
        descend: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<FileMeta>> {
        self.pass(Operation::List, folder)?;
        match &self.backend {
            Backend::Local(files) => {
                let mut found = Vec::new();
                files.walk(self, folder, descend, &mut found)?;
                Ok(found)
            }
            Backend::Object(files) => files.walk(self, folder),
        }
    }

    /// The names of the folders directly in a folder.
    pub(crate) fn folders(&self, folder: &str) -> Result<Vec<String>> {
        self.pass(Operation::List, folder)?;
        match &self.backend {
            Backend::Local(files) => files.folders(self, folder),
            Backend::Object(files) => files.folders(self, folder),
        }
    }

    /// Whether a folder exists (in an object store: holds anything).
    pub(crate) fn has_folder(&self, folder: &str) -> Result<bool> {
        self.pass(Operation::List, folder)?;
        match &self.backend {
            Backend::Local(files) => Ok(files.path(folder).is_dir()),
            Backend::Object(files) => files.has_folder(self, folder),
        }
    }

    /// A whole small file; `None` if there is none.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Bytes>> {
        let cut = self.pass(Operation::Read, path)?;
        let bytes = match &self.backend {
            Backend::Local(files) => match std::fs::read(files.path(path)) {
                Ok(bytes) => Some(Bytes::from(bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => return Err(self.io("read", path)(error)),
            },
            Backend::Object(files) => files.get(self, path)?.map(|(bytes, _version)| bytes),
        };
        Ok(bytes.map(|b| if cut { b.slice(..b.len() / 2) } else { b }))
    }

    /// Replaces a small file at once.
    pub(crate) fn put(&self, path: &str, bytes: Vec<u8>) -> Result<()> {
        self.pass(Operation::Put, path)?;
        match &self.backend {
            Backend::Local(files) => files.put(self, path, &bytes),
            Backend::Object(files) => files.put(self, path, bytes.into()),
        }
    }

    /// Removes a file; fine if there is none.
    pub(crate) fn delete(&self, path: &str) -> Result<()> {
        self.pass(Operation::Delete, path)?;
        match &self.backend {
            Backend::Local(files) => match std::fs::remove_file(files.path(path)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(self.io("remove", path)(error))
                }
                _ => Ok(()),
            },
            Backend::Object(files) => files.delete(self, path),
        }
    }

    /// Removes a folder and all in it; fine if there is none.
    pub(crate) fn delete_tree(&self, folder: &str) -> Result<()> {
        self.pass(Operation::Delete, folder)?;
        match &self.backend {
            Backend::Local(files) => match std::fs::remove_dir_all(files.path(folder)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(self.io("remove", folder)(error))
                }
                _ => Ok(()),
            },
            Backend::Object(files) => files.delete_tree(self, folder),
        }
    }

    /// Moves a folder. At once on a local disk; in an object store every file is copied, then the
    /// old ones removed.
    pub(crate) fn rename_tree(&self, from: &str, to: &str) -> Result<()> {
        self.pass(Operation::Rename, from)?;
        match &self.backend {
            Backend::Local(files) => files.rename(self, from, to),
            Backend::Object(files) => files.rename_tree(self, from, to),
        }
    }
}

#[cfg(feature = "s3")]
fn open_s3(url: &str, rest: &str, hook: Option<Arc<dyn Hook>>) -> Result<Storage> {
    use object_store::aws::AmazonS3Builder;
    use object_store::path::Path;
    let wrong = |problem| Error::InvalidWarehouse {
        url: url.into(),
        problem,
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(wrong("it names no bucket"));
    }
    let prefix = Path::parse(prefix).map_err(|_| wrong("its path is malformed"))?;
    let built = AmazonS3Builder::from_env().with_bucket_name(bucket).build();
    let store = built.map_err(|source| Error::ObjectStore {
        action: "open",
        path: url.into(),
        source: Box::new(source),
    })?;
    let files = ObjectFiles::new(Arc::new(store), prefix)?;
    Ok(Storage::object(files, url.into(), hook))
}

#[cfg(not(feature = "s3"))]
fn open_s3(url: &str, _rest: &str, _hook: Option<Arc<dyn Hook>>) -> Result<Storage> {
    Err(Error::InvalidWarehouse {
        url: url.into(),
        problem: "this program was built without the feature s3",
    })
}

/// Whether a file or folder name is not data.
pub(crate) fn is_hidden(name: &str) -> bool {
    name.starts_with('_') || name.starts_with('.')
}
