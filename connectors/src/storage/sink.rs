//! A file being written, on either kind of storage.
//!
//! Promises: what is not finished leaves nothing behind when dropped, unless the process dies.
//! Parts of large objects are uploaded as they fill, so memory stays bounded.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};

use super::object::failed;
use super::{Backend, Operation, Storage};
use crate::error::Result;

const PART_BYTES: usize = 8 * 1024 * 1024;

/// A file that is being written.
pub(crate) struct FileSink {
    storage: Arc<Storage>,
    path: String,
    inner: Inner,
    bytes: u64,
    finished: bool,
}

enum Inner {
    Local(BufWriter<File>),
    Object {
        buffer: Vec<u8>,
        upload: Option<Box<dyn MultipartUpload>>,
    },
}

impl FileSink {
    pub(crate) fn create(storage: &Arc<Storage>, path: &str) -> Result<Self> {
        storage.pass(Operation::Create, path)?;
        let inner = match &storage.backend {
            Backend::Local(files) => {
                files.create_parent(storage, path)?;
                let file = File::create(files.path(path)).map_err(storage.io("create", path))?;
                Inner::Local(BufWriter::with_capacity(256 * 1024, file))
            }
            Backend::Object(_) => Inner::Object {
                buffer: Vec::new(),
                upload: None,
            },
        };
        Ok(Self {
            storage: Arc::clone(storage),
            path: path.into(),
            inner,
            bytes: 0,
            finished: false,
        })
    }

    /// Makes the whole file durable; its size.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.storage.pass(Operation::Finish, &self.path)?;
        match &mut self.inner {
            Inner::Local(file) => {
                let Backend::Local(files) = &self.storage.backend else {
                    unreachable!("the sink was made for this storage");
                };
                let done = file.flush().and_then(|()| files.sync_file(file.get_ref()));
                done.map_err(self.storage.io("write", &self.path))?;
            }
            Inner::Object { buffer, upload } => {
                let bytes = std::mem::take(buffer);
                match upload.take() {
                    None => {
                        let Backend::Object(files) = &self.storage.backend else {
                            unreachable!("the sink was made for this storage");
                        };
                        files.put(&self.storage, &self.path, bytes.into())?;
                    }
                    Some(upload) => self.complete(upload, bytes)?,
                }
            }
        }
        self.finished = true;
        Ok(self.bytes)
    }

    fn complete(&self, mut upload: Box<dyn MultipartUpload>, bytes: Vec<u8>) -> Result<()> {
        let Backend::Object(files) = &self.storage.backend else {
            unreachable!("the sink was made for this storage");
        };
        let done = files.pool().wait(async move {
            if !bytes.is_empty() {
                upload.put_part(PutPayload::from(bytes)).await?;
            }
            upload.complete().await
        });
        done.map_err(failed(&self.storage, "write", &self.path))?;
        Ok(())
    }

    fn send_part(&mut self) -> Result<()> {
        let Inner::Object { buffer, upload } = &mut self.inner else {
            return Ok(());
        };
        let Backend::Object(files) = &self.storage.backend else {
            unreachable!("the sink was made for this storage");
        };
        let bytes = std::mem::take(buffer);
        let key = files.key(&self.storage, &self.path)?;
        let store = Arc::clone(files.store());
        let begun = upload.take();
        let sent = files.pool().wait(async move {
            let mut upload = match begun {
                Some(upload) => upload,
                None => store.put_multipart(&key).await?,
            };
            match upload.put_part(PutPayload::from(bytes)).await {
                Ok(()) => Ok(upload),
                Err(error) => {
                    // The first error is the one to report.
                    upload.abort().await.ok();
                    Err(error)
                }
            }
        });
        *upload = Some(sent.map_err(failed(&self.storage, "write", &self.path))?);
        Ok(())
    }
}

impl Write for FileSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let passed = self.storage.pass(Operation::Write, &self.path);
        passed.map_err(io::Error::other)?;
        match &mut self.inner {
            Inner::Local(file) => file.write_all(bytes)?,
            Inner::Object { buffer, .. } => {
                buffer.extend_from_slice(bytes);
                if buffer.len() >= PART_BYTES {
                    self.send_part().map_err(io::Error::other)?;
                }
            }
        }
        self.bytes += u64::try_from(bytes.len()).expect("a count fits");
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.inner {
            Inner::Local(file) => file.flush(),
            Inner::Object { .. } => Ok(()),
        }
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if let Inner::Object { upload, .. } = &mut self.inner
            && let Some(mut upload) = upload.take()
            && let Backend::Object(files) = &self.storage.backend
        {
            files.pool().wait(async move { upload.abort().await }).ok();
        }
        // Nobody is left to tell; the next holder of the lock sweeps what stays.
        self.storage.delete(&self.path).ok();
    }
}

impl std::fmt::Debug for FileSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSink")
            .field("path", &self.path)
            .finish()
    }
}
