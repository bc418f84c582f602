//! Logged requests as lines of JSON, with the columns of the raw log table that the log flattener reads.
//!
//! Promises: a request never waits for the file: what the writer cannot keep up with is dropped, counted and told. Lines
//! are whole; a line that cannot be written is told.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use unskewed_connectors::spawn::{self, Joined};
use unskewed_fetcher::log::{Logged, ResponseLog};
use unskewed_planner::time::Partition;

use crate::report::Failure;

/// Calls whose requests may wait for the writer.
const WAITING_MAX: usize = 4_096;
/// How long lines may stay unwritten.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// A file of logged requests.
pub(super) struct FileLog {
    sender: Mutex<Option<SyncSender<Vec<Logged>>>>,
    dropped: AtomicU64,
    writer: Mutex<Option<Joined<()>>>,
}

impl FileLog {
    /// Appends to a file.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|error| {
            Failure::usage(format!("log {} cannot be written: {error}", path.display()))
        })?;
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let writer = spawn::spawn("response log", move || write_all(&receiver, file));
        let writer = writer.map_err(|error| Failure::failed(error.to_string()))?;
        Ok(Self {
            sender: Mutex::new(Some(sender)),
            dropped: AtomicU64::new(0),
            writer: Mutex::new(Some(writer)),
        })
    }
}

impl ResponseLog for FileLog {
    fn log(&self, logged: Vec<Logged>) {
        let count = logged.len() as u64;
        let Ok(sender) = self.sender.lock() else {
            return;
        };
        let sent = sender
            .as_ref()
            .is_some_and(|sender| sender.try_send(logged).is_ok());
        if !sent && self.dropped.fetch_add(count, Ordering::Relaxed) == 0 {
            tracing::warn!(
                "answers are logged more slowly than given: some are left out of the log"
            );
        }
    }
}

impl Drop for FileLog {
    /// Writes what is waiting.
    fn drop(&mut self) {
        if let Ok(mut sender) = self.sender.lock() {
            drop(sender.take());
        }
        if let Ok(mut writer) = self.writer.lock() {
            drop(writer.take());
        }
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "answers were left out of the log");
        }
    }
}

fn write_all(receiver: &Receiver<Vec<Logged>>, file: File) {
    let mut writer = BufWriter::new(file);
    let mut told = false;
    let mut tell = |written: std::io::Result<()>| {
        if let Err(error) = written
            && !std::mem::replace(&mut told, true)
        {
            tracing::error!(%error, "the log cannot be written");
        }
    };
    loop {
        match receiver.recv_timeout(FLUSH_EVERY) {
            Ok(logged) => logged
                .iter()
                .for_each(|row| tell(writeln!(writer, "{}", line(row)))),
            Err(RecvTimeoutError::Timeout) => tell(writer.flush()),
            Err(RecvTimeoutError::Disconnected) => return tell(writer.flush()),
        }
    }
}

/// A row of the raw log table.
fn line(logged: &Logged) -> Value {
    json!({
        "schema_hash": logged.schema_hash,
        "key_base64": STANDARD.encode(&logged.key_bytes),
        "value_base64": STANDARD.encode(&logged.value_bytes),
        "ts_millis": logged.ts_millis,
        "name": logged.join_name,
        "ds": Partition::of_millis(logged.ts_millis).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything given is in the file when the log is gone.
    #[test]
    fn lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let log = FileLog::open(&path).unwrap();
        for millis in 0..100 {
            log.log(vec![Logged {
                join_name: "team/j".into(),
                key_bytes: vec![2, 4],
                value_bytes: vec![0],
                ts_millis: millis * 86_400_000,
                schema_hash: Some("hash".into()),
            }]);
        }
        drop(log);
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 100);
        assert_eq!(
            lines[1],
            json!({
                "schema_hash": "hash", "key_base64": "AgQ=", "value_base64": "AA==", "ts_millis": 86_400_000,
                "name": "team/j", "ds": "1970-01-02",
            })
        );
    }
}
