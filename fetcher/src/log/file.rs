//! Logged requests as lines of JSON, with the columns of the raw log table that the log flattener reads.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use unskewed_planner::time::Partition;

use super::Logged;
use super::background::Writer;

/// A file that lines are added to.
#[derive(Debug)]
pub struct FileWriter(BufWriter<File>);

impl FileWriter {
    /// Adds to a file, made if need be.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(BufWriter::new(file)))
    }
}

impl Writer for FileWriter {
    fn take(&mut self, logged: Vec<Logged>) -> Result<(), String> {
        let mut write = |row: &Logged| writeln!(self.0, "{}", line(row));
        let written: std::io::Result<()> = logged.iter().try_for_each(&mut write);
        written.map_err(|error| error.to_string())
    }

    fn tick(&mut self) -> Result<(), String> {
        self.0.flush().map_err(|error| error.to_string())
    }

    fn close(&mut self) -> Result<(), String> {
        self.tick()
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
    use super::super::ResponseLog as _;
    use super::super::background::Background;
    use super::*;

    /// Everything given is in the file when the log is gone.
    #[test]
    fn lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let log = Background::start(FileWriter::open(&path).unwrap()).unwrap();
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
