//! Dead letters in files of a folder, one object of JSON a line; key and payload in base64.
//!
//! Promises: a file is of one process, and begun anew when it has grown; none is written over. What is put is synced
//! before `put` returns. A line that a crash cut off is the last of its file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{DeadLetter, DeadLetters};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// A file that has grown to this is ended.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The folder.
#[derive(Debug)]
pub struct Folder {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    file: Option<(File, u64)>,
}

impl Folder {
    /// Opens a folder; it is made if it is not there.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(failed(folder, "make the folder"))?;
        Ok(Self {
            folder: folder.into(),
            clock,
            file: None,
        })
    }

    /// A new file, under a name that no other has.
    fn begin(&self) -> io::Result<File> {
        let millis = self.clock.now_millis();
        let names = (0..).map(|number| format!("dead-letters-{millis}-{number}.jsonl"));
        for name in names {
            let path = self.folder.join(name);
            match OpenOptions::new().append(true).create_new(true).open(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(file) => {
                    // Its name must outlast a crash as well.
                    File::open(&self.folder)?.sync_all()?;
                    return Ok(file);
                }
            }
        }
        unreachable!("there are more numbers than files")
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let (mut file, length) = match self.file.take() {
            Some((file, length)) if length < FILE_BYTES_MAX => (file, length),
            _ => (self.begin()?, 0),
        };
        // A file that could not be written to whole is left, so that a cut line stays its last.
        file.write_all(lines)?;
        file.sync_data()?;
        self.file = Some((file, length + lines.len() as u64));
        Ok(())
    }
}

fn failed(path: &Path, action: &'static str) -> impl Fn(io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Io {
        action,
        path: path.clone(),
        source,
    }
}

impl DeadLetters for Folder {
    fn put(&mut self, letters: &[DeadLetter]) -> Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        for letter in letters {
            let base64 = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|b| STANDARD.encode(b));
            let line = json!({
                "topic": &*letter.topic,
                "partition": letter.partition,
                "offset": letter.offset,
                "reason": letter.reason,
                "key": base64(&letter.key),
                "payload": base64(&letter.payload),
                "at_millis": letter.at_millis,
            });
            lines.extend_from_slice(line.to_string().as_bytes());
            lines.push(b'\n');
        }
        let appended = self.append(&lines);
        appended.map_err(failed(&self.folder, "write dead letters to"))
    }
}
