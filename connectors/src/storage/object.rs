//! Files of an object store.
//!
//! Promises: a read names the version it was listed with, so it never mixes two versions of an
//! object. The store's own retries apply; what fails after them is an error. Objects are not
//! folders: a folder exists while something is in it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
};

use super::local::name_of;
use super::{FileMeta, Operation, Storage, is_hidden};
use crate::error::{Error, Result};
use crate::spawn::{IoPool, Pending};

/// How many requests are under way at once in bulk operations.
const CONCURRENT_REQUESTS: usize = 16;

#[derive(Debug, Clone)]
pub(crate) struct ObjectFiles {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    pool: Arc<IoPool>,
}

/// What a conditional put came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Conditional {
    Done(Option<UpdateVersion>),
    Conflict,
}

impl ObjectFiles {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, prefix: Path) -> Result<Self> {
        Ok(Self {
            store,
            prefix,
            pool: Arc::new(IoPool::new("object-store")?),
        })
    }

    pub(crate) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    pub(crate) fn pool(&self) -> &Arc<IoPool> {
        &self.pool
    }

    /// The full key; names are taken as they are, not encoded once more.
    pub(crate) fn key(&self, storage: &Storage, relative: &str) -> Result<Path> {
        let joined = match (self.prefix.as_ref(), relative) {
            ("", relative) => relative.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, relative) => format!("{prefix}/{relative}"),
        };
        Path::parse(joined).map_err(|source| Error::ObjectStore {
            action: "address",
            path: storage.shown(relative),
            source: Box::new(source.into()),
        })
    }

    fn relative(&self, key: &Path) -> String {
        let key = key.as_ref();
        let prefix = self.prefix.as_ref();
        let rest = key.strip_prefix(prefix).unwrap_or(key);
        rest.trim_start_matches('/').to_owned()
    }

    pub(crate) fn walk(&self, storage: &Storage, folder: &str) -> Result<Vec<FileMeta>> {
        let key = self.key(storage, folder)?;
        let store = Arc::clone(&self.store);
        let listed = self.pool.wait(async move {
            let prefix = (!key.as_ref().is_empty()).then_some(&key);
            store.list(prefix).try_collect::<Vec<_>>().await
        });
        let mut found = Vec::new();
        for meta in listed.map_err(failed(storage, "list", folder))? {
            let path = self.relative(&meta.location);
            let below = path[folder.len()..].trim_start_matches('/');
            let mut folders = below.split('/').rev().skip(1);
            // Some tools put an empty object where a folder would be.
            let marker = meta.size == 0 && !name_of(below).contains('.');
            if !marker && !folders.any(is_hidden) {
                found.push(FileMeta {
                    path,
                    size: meta.size,
                    version: meta.e_tag.unwrap_or_default(),
                    inode: 0,
                });
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    pub(crate) fn folders(&self, storage: &Storage, folder: &str) -> Result<Vec<String>> {
        let key = self.key(storage, folder)?;
        let store = Arc::clone(&self.store);
        let listed = self.pool.wait(async move {
            let prefix = (!key.as_ref().is_empty()).then_some(&key);
            store.list_with_delimiter(prefix).await
        });
        let listed = listed.map_err(failed(storage, "list", folder))?;
        let names = listed.common_prefixes.iter().map(|p| self.relative(p));
        let mut names: Vec<String> = names.map(|p| name_of(&p).to_owned()).collect();
        names.sort();
        Ok(names)
    }

    pub(crate) fn has_folder(&self, storage: &Storage, folder: &str) -> Result<bool> {
        let key = self.key(storage, folder)?;
        let store = Arc::clone(&self.store);
        let first = self
            .pool
            .wait(async move { store.list(Some(&key)).next().await.transpose() });
        let first = first.map_err(failed(storage, "list", folder))?;
        Ok(first.is_some())
    }

    /// A whole object and its version.
    pub(crate) fn get(
        &self,
        storage: &Storage,
        path: &str,
    ) -> Result<Option<(Bytes, UpdateVersion)>> {
        let key = self.key(storage, path)?;
        let store = Arc::clone(&self.store);
        let answer = self.pool.wait(async move {
            let got = store.get(&key).await?;
            let version = UpdateVersion {
                e_tag: got.meta.e_tag.clone(),
                version: got.meta.version.clone(),
            };
            Ok((got.bytes().await?, version))
        });
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(storage, "read", path)(error)),
        }
    }

    pub(crate) fn put(&self, storage: &Storage, path: &str, bytes: Bytes) -> Result<()> {
        let key = self.key(storage, path)?;
        let store = Arc::clone(&self.store);
        let put = self
            .pool
            .wait(async move { store.put(&key, PutPayload::from(bytes)).await });
        put.map_err(failed(storage, "write", path))?;
        Ok(())
    }

    /// Creates an object (`None`), or replaces one that still has this version.
    pub(crate) fn put_if(
        &self,
        storage: &Storage,
        path: &str,
        bytes: Vec<u8>,
        expected: Option<UpdateVersion>,
    ) -> Result<Conditional> {
        storage.pass(Operation::Put, path)?;
        let key = self.key(storage, path)?;
        let store = Arc::clone(&self.store);
        let mode = expected.map_or(PutMode::Create, PutMode::Update);
        let put = self.pool.wait(async move {
            let options = PutOptions {
                mode,
                ..PutOptions::default()
            };
            store.put_opts(&key, PutPayload::from(bytes), options).await
        });
        match put {
            Ok(put) => Ok(Conditional::Done(Some(UpdateVersion {
                e_tag: put.e_tag,
                version: put.version,
            }))),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. }
                | object_store::Error::NotFound { .. },
            ) => Ok(Conditional::Conflict),
            Err(error) => Err(failed(storage, "write", path)(error)),
        }
    }

    pub(crate) fn delete(&self, storage: &Storage, path: &str) -> Result<()> {
        let key = self.key(storage, path)?;
        let store = Arc::clone(&self.store);
        match self.pool.wait(async move { store.delete(&key).await }) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(storage, "remove", path)(error)),
        }
    }

    pub(crate) fn delete_tree(&self, storage: &Storage, folder: &str) -> Result<()> {
        let key = self.key(storage, folder)?;
        let store = Arc::clone(&self.store);
        let deleted = self.pool.wait(async move {
            let listed = store.list(Some(&key)).try_collect::<Vec<_>>().await?;
            for meta in listed {
                match store.delete(&meta.location).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        deleted.map_err(failed(storage, "remove", folder))
    }

    /// Copies every object, then removes the old ones: not at once.
    pub(crate) fn rename_tree(&self, storage: &Storage, from: &str, to: &str) -> Result<()> {
        let (from_key, to_key) = (self.key(storage, from)?, self.key(storage, to)?);
        let store = Arc::clone(&self.store);
        let copied = self.pool.wait(async move {
            let listed = store.list(Some(&from_key)).try_collect::<Vec<_>>().await?;
            let copies = listed.iter().map(|meta| {
                let rest = &meta.location.as_ref()[from_key.as_ref().len()..];
                let target = Path::parse(format!("{to_key}{rest}"));
                let store = Arc::clone(&store);
                let source = meta.location.clone();
                async move { store.copy(&source, &target?).await }
            });
            let copies: Vec<_> = copies.collect();
            futures::stream::iter(copies)
                .buffer_unordered(CONCURRENT_REQUESTS)
                .try_collect::<Vec<()>>()
                .await
        });
        copied.map_err(failed(storage, "copy", from))?;
        self.delete_tree(storage, from)
    }

    /// Starts to read ranges of the listed version of an object.
    pub(crate) fn start_ranges(
        &self,
        storage: &Storage,
        meta: &FileMeta,
        ranges: Vec<Range<u64>>,
    ) -> Result<PendingRanges> {
        let cut = storage.pass(Operation::Read, &meta.path)?;
        let key = self.key(storage, &meta.path)?;
        let store = Arc::clone(&self.store);
        let version = (!meta.version.is_empty()).then(|| meta.version.clone());
        let pending = self.pool.start(async move {
            let reads = coalesce(&ranges).into_iter().map(|range| {
                let (store, key) = (Arc::clone(&store), key.clone());
                let options = GetOptions {
                    range: Some(range.clone().into()),
                    if_match: version.clone(),
                    ..GetOptions::default()
                };
                async move {
                    let bytes = store.get_opts(&key, options).await?.bytes().await?;
                    Ok((range.start, bytes))
                }
            });
            let reads: Vec<_> = reads.collect();
            futures::stream::iter(reads)
                .buffered(CONCURRENT_REQUESTS)
                .try_collect()
                .await
        });
        Ok(PendingRanges {
            pending,
            file: storage.shown(&meta.path),
            cut,
        })
    }
}

/// Joins ranges that lie close together, so that few requests are made.
fn coalesce(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    const GAP_BYTES: u64 = 256 * 1024;
    const REQUEST_BYTES: u64 = 16 * 1024 * 1024;
    let mut sorted = ranges.to_vec();
    sorted.sort_by_key(|r| r.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(last)
                if range.start <= last.end + GAP_BYTES
                    && range.end.saturating_sub(last.start) <= REQUEST_BYTES =>
            {
                last.end = last.end.max(range.end);
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// Ranges under way.
#[derive(Debug)]
pub(crate) struct PendingRanges {
    pending: Pending<std::result::Result<Vec<(u64, Bytes)>, object_store::Error>>,
    file: String,
    cut: bool,
}

impl PendingRanges {
    /// The pieces, by the position they start at.
    pub(crate) fn take(self) -> Result<Vec<(u64, Bytes)>> {
        let file = self.file;
        let mut pieces = self.pending.take().map_err(|error| match error {
            object_store::Error::NotFound { .. } => Error::FileVanished { file },
            object_store::Error::Precondition { .. } => Error::FileChanged { file },
            source => Error::ObjectStore {
                action: "read",
                path: file,
                source: Box::new(source),
            },
        })?;
        if self.cut {
            for (_start, bytes) in &mut pieces {
                bytes.truncate(bytes.len() / 2);
            }
        }
        Ok(pieces)
    }
}

pub(crate) fn failed(
    storage: &Storage,
    action: &'static str,
    path: &str,
) -> impl FnOnce(object_store::Error) -> Error {
    let path = storage.shown(path);
    move |source| Error::ObjectStore {
        action,
        path,
        source: Box::new(source),
    }
}
