//! A file whose every line is a message: a topic of one partition that ends.
//!
//! Offsets are places in the file, in bytes, so reading on is a seek. Empty lines are no messages; those that end a file
//! are handed on as none, so that its end is come to.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Message, Messages, Polled, Positions, Source, TopicPartition};
use crate::error::{Error, Result};

/// The source.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    of: TopicPartition,
    file: BufReader<File>,
    offset: i64,
}

impl Lines {
    /// Reads this file under the name of this topic.
    pub fn open(path: &Path, topic: &str) -> Result<Self> {
        let file = File::open(path).map_err(failed(path, "open"))?;
        Ok(Self {
            path: path.into(),
            of: TopicPartition {
                topic: Arc::from(topic),
                partition: 0,
            },
            file: BufReader::new(file),
            offset: 0,
        })
    }

    /// The next line without what ends it; `None` at the end of the file.
    fn line(&mut self) -> Result<Option<Message>> {
        loop {
            let mut line = Vec::new();
            let read = self.file.read_until(b'\n', &mut line);
            let length = read.map_err(failed(&self.path, "read"))?;
            if length == 0 {
                return Ok(None);
            }
            let offset = self.offset;
            self.offset += length as i64;
            let text = line.trim_ascii_end();
            if !text.is_empty() {
                return Ok(Some(Message {
                    offset,
                    millis: None,
                    key: None,
                    payload: Some(text.to_vec()),
                }));
            }
        }
    }
}

fn failed(path: &Path, action: &'static str) -> impl Fn(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Io {
        action,
        path: path.clone(),
        source,
    }
}

impl Source for Lines {
    fn seek(&mut self, positions: &Positions) -> Result<()> {
        self.offset = positions.get(&self.of).copied().unwrap_or(0);
        let start = SeekFrom::Start(self.offset.cast_unsigned());
        let sought = self.file.seek(start);
        sought.map(drop).map_err(failed(&self.path, "seek in"))
    }

    fn poll(&mut self, messages_max: usize, _: Duration) -> Result<Polled> {
        let (mut messages, start) = (Vec::new(), self.offset);
        while messages.len() < messages_max {
            match self.line()? {
                Some(message) => messages.push(message),
                None => break,
            }
        }
        if self.offset == start {
            return Ok(Polled::End);
        }
        Ok(Polled::Messages(vec![Messages {
            of: self.of.clone(),
            messages,
            next: self.offset,
        }]))
    }

    fn ends(&mut self) -> Result<Positions> {
        let metadata = self.file.get_ref().metadata();
        let length = metadata.map_err(failed(&self.path, "look at"))?.len();
        Ok(Positions::from([(self.of.clone(), length.cast_signed())]))
    }

    fn commit(&mut self, _: &Positions) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads(polled: Polled) -> Vec<(i64, String)> {
        let Polled::Messages(of) = polled else {
            return Vec::new();
        };
        let messages = of.into_iter().flat_map(|of| of.messages);
        let text = |m: Message| (m.offset, String::from_utf8(m.payload.unwrap()).unwrap());
        messages.map(text).collect()
    }

    /// Every line once, from wherever it is read on.
    #[test]
    fn lines_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        std::fs::write(&path, "one\n\ntwo\r\nthree").unwrap();
        let mut lines = Lines::open(&path, "events").unwrap();
        let wait = Duration::ZERO;
        let all = [(0, "one"), (5, "two"), (10, "three")];
        let all: Vec<(i64, String)> = all.map(|(o, t)| (o, t.to_owned())).into();
        assert_eq!(payloads(lines.poll(2, wait).unwrap()), all[..2]);
        assert_eq!(payloads(lines.poll(2, wait).unwrap()), all[2..]);
        assert_eq!(lines.poll(2, wait).unwrap(), Polled::End);
        let of = lines.of.clone();
        assert_eq!(lines.ends().unwrap(), Positions::from([(of.clone(), 15)]));
        lines.seek(&Positions::from([(of.clone(), 5)])).unwrap();
        assert_eq!(payloads(lines.poll(9, wait).unwrap()), all[1..]);
        lines.seek(&Positions::new()).unwrap();
        assert_eq!(payloads(lines.poll(9, wait).unwrap()), all);
    }

    /// What is read on from is the place after what was handed on, and reaches the end of a file that ends in nothing.
    #[test]
    fn reading_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        std::fs::write(&path, "one\ntwo\n\n").unwrap();
        let mut lines = Lines::open(&path, "events").unwrap();
        let mut nexts = Vec::new();
        while let Polled::Messages(of) = lines.poll(1, Duration::ZERO).unwrap() {
            nexts.push((of[0].messages.len(), of[0].next));
        }
        assert_eq!(nexts, [(1, 4), (1, 8), (0, 9)]);
        assert_eq!(lines.ends().unwrap()[&lines.of], 9);
    }
}
