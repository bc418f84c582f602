//! What a stream has read, kept outside of it, so that one that was killed goes on where it was.
//!
//! ```text
//! DIR/manifest.json      how far each partition is read, and which segments count
//! DIR/segment-N.arrow    rows as they were received since the checkpoint before; never changed
//! ```
//! Rows are kept and not what was computed of them: a dataflow fed with them again is where it was. A checkpoint
//! costs what came since the last one, and now and then the merging of small segments of a day; whole segments go when
//! all that is in them came before an instant.
//!
//! Promises: a manifest is replaced at once, after the segments it names are durable, so a kill leaves the checkpoint
//! before or the one after. Files that no manifest names are removed by the next to open the folder. One process at a
//! time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use arrow_ipc::CompressionType;
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use super::TopicPartition;
use crate::error::{Error, Result};
use crate::storage::{Hook, Storage};

const MANIFEST: &str = "manifest.json";
/// The form of the files; the next form takes the next number.
const VERSION: u32 = 1;
/// Segments of one receiver and day are merged when the next is at least half as large as the one before.
const MERGE_RATIO: u64 = 2;
const DAY_MILLIS: i64 = 86_400_000;

/// How far a partition is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The number of the partition; no other of the stream has it.
    pub number: u64,
    /// The next offset to read.
    pub next: i64,
}

/// Partitions as one receiver has read them.
pub type Read = BTreeMap<TopicPartition, Progress>;

/// Rows as they were received.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The number of each row's partition.
    pub partition: Vec<u64>,
    /// The place of each row in its partition.
    pub place: Vec<u64>,
    /// The rows.
    pub rows: RecordBatch,
}

/// What one receiver adds to a checkpoint.
#[derive(Clone, Debug, Default)]
pub struct Addition {
    /// How far it has read.
    pub read: Read,
    /// What it received since the checkpoint before.
    pub received: Vec<Received>,
    /// When that was produced, or came: the earliest and the latest, in milliseconds.
    pub span: Option<(i64, i64)>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Manifest {
    version: u32,
    next_segment: u64,
    /// The last epoch that was published.
    epoch: u64,
    /// Everything is there that came since this instant.
    since_millis: Option<i64>,
    receivers: BTreeMap<String, Kept>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Kept {
    partitions: Vec<KeptPartition>,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptPartition {
    topic: String,
    partition: i32,
    number: u64,
    next: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Segment {
    file: String,
    rows: u64,
    first_millis: i64,
    last_millis: i64,
}

/// The checkpoints of a stream.
#[derive(Debug)]
pub struct Checkpoints {
    storage: Arc<Storage>,
    manifest: Manifest,
    /// Segments that are, or may be, in the folder. Those that the manifest does not name go after a checkpoint.
    files: BTreeSet<String>,
}

impl Checkpoints {
    /// Opens a folder, or the same in an object store: what is there is the last checkpoint.
    pub fn open(address: &str, hook: Option<Arc<dyn Hook>>) -> Result<Self> {
        let storage = Arc::new(Storage::open(address, true, hook)?);
        let manifest = match storage.get(MANIFEST)? {
            None => Manifest {
                version: VERSION,
                ..Manifest::default()
            },
            Some(bytes) => {
                let malformed = |source| Error::Malformed {
                    path: storage.shown(MANIFEST),
                    source,
                };
                serde_json::from_slice(&bytes).map_err(malformed)?
            }
        };
        if manifest.version != VERSION {
            return Err(Error::Checkpoint {
                path: storage.shown(MANIFEST),
                problem: format!(
                    "it is of form {}, known is {VERSION}: name another folder, and the topics are read again",
                    manifest.version
                ),
            });
        }
        let files = storage.walk("", &|_| false)?.into_iter();
        let files = files.map(|file| file.path).filter(|path| is_segment(path));
        let mut checkpoints = Self {
            manifest,
            files: files.collect(),
            storage,
        };
        checkpoints.collect_garbage()?;
        Ok(checkpoints)
    }

    /// How far a receiver has read; nothing where it is new.
    pub fn read(&self, receiver: &str) -> Read {
        let kept = self.manifest.receivers.get(receiver);
        let partitions = kept.into_iter().flat_map(|kept| &kept.partitions);
        let progress = |kept: &KeptPartition| {
            let of = TopicPartition {
                topic: Arc::from(kept.topic.as_str()),
                partition: kept.partition,
            };
            let (number, next) = (kept.number, kept.next);
            (of, Progress { number, next })
        };
        partitions.map(progress).collect()
    }

    /// What a receiver has received so far, segment by segment, with these columns. `None` where a column was not kept.
    pub fn received(&self, receiver: &str, columns: &SchemaRef) -> Result<Option<Vec<Received>>> {
        let kept = self.manifest.receivers.get(receiver);
        let mut received = Vec::new();
        for segment in kept.into_iter().flat_map(|kept| &kept.segments) {
            for batch in self.segment(&segment.file)? {
                match projected(&batch, columns) {
                    Some(batch) => received.push(batch),
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(received))
    }

    /// Whether everything is there that came since an instant.
    pub fn reaches_back_to(&self, millis: i64) -> bool {
        self.manifest
            .since_millis
            .is_none_or(|since| since <= millis)
    }

    /// What a receiver has read no longer counts: it reads anew. The next checkpoint says so.
    pub fn forget(&mut self, receiver: &str) {
        self.manifest.receivers.remove(receiver);
    }

    /// The last epoch that was published before the checkpoint.
    pub fn epoch(&self) -> u64 {
        self.manifest.epoch
    }

    /// The next checkpoint: what these receivers have read by now, and the last epoch published. Others are forgotten,
    /// and so are segments whose every row came before this instant.
    pub fn save(
        &mut self,
        additions: &BTreeMap<String, Addition>,
        forget_before_millis: i64,
        epoch: u64,
    ) -> Result<()> {
        let mut next = Manifest {
            version: VERSION,
            next_segment: self.manifest.next_segment,
            epoch,
            since_millis: Some(forget_before_millis),
            receivers: BTreeMap::new(),
        };
        for (receiver, addition) in additions {
            let before = self.manifest.receivers.get(receiver);
            let mut kept = Kept {
                partitions: partitions(&addition.read),
                segments: before.map(|kept| kept.segments.clone()).unwrap_or_default(),
            };
            let is_kept = |segment: &Segment| segment.last_millis >= forget_before_millis;
            kept.segments.retain(is_kept);
            if let (Some((first, last)), false) = (addition.span, addition.received.is_empty()) {
                let added = self.write(&mut next, &addition.received, (first, last))?;
                kept.segments.push(added);
                self.merge(&mut next, &mut kept.segments)?;
            }
            next.receivers.insert(receiver.clone(), kept);
        }
        let text = serde_json::to_vec_pretty(&next).map_err(|source| Error::Malformed {
            path: self.storage.shown(MANIFEST),
            source,
        })?;
        self.storage.put(MANIFEST, text)?;
        self.manifest = next;
        // The checkpoint is made: to fail now would have the same rows saved again.
        if let Err(error) = self.collect_garbage() {
            tracing::warn!(%error, "segments that are no longer needed are left for the next checkpoint");
        }
        Ok(())
    }

    /// Rows and files that the checkpoint holds.
    pub fn size(&self) -> (u64, usize) {
        let rows = self.manifest.segments().map(|segment| segment.rows).sum();
        (rows, self.manifest.segments().count())
    }

    /// Removes what the manifest does not name, which must be the one that is stored.
    fn collect_garbage(&mut self) -> Result<()> {
        let named: BTreeSet<&String> = self.manifest.segments().map(|s| &s.file).collect();
        let garbage = self.files.iter().filter(|file| !named.contains(file));
        for file in garbage.cloned().collect::<Vec<_>>() {
            self.storage.delete(&file)?;
            self.files.remove(&file);
        }
        Ok(())
    }

    fn write(
        &mut self,
        next: &mut Manifest,
        received: &[Received],
        (first_millis, last_millis): (i64, i64),
    ) -> Result<Segment> {
        let file = format!("segment-{:08}.arrow", next.next_segment);
        next.next_segment += 1;
        let failed = |error: arrow_schema::ArrowError| Error::Checkpoint {
            path: self.storage.shown(&file),
            problem: error.to_string(),
        };
        let bytes = packed(received).map_err(failed)?;
        self.files.insert(file.clone());
        self.storage.put(&file, bytes)?;
        Ok(Segment {
            file,
            rows: received.iter().map(|batch| batch.place.len() as u64).sum(),
            first_millis,
            last_millis,
        })
    }

    fn segment(&self, file: &str) -> Result<Vec<RecordBatch>> {
        let damaged = |problem: String| Error::Checkpoint {
            path: self.storage.shown(file),
            problem,
        };
        let bytes = self.storage.get(file)?;
        let bytes = bytes.ok_or_else(|| damaged("it is not there".into()))?;
        let reader = FileReader::try_new(Cursor::new(bytes), None);
        let batches = reader.and_then(Iterator::collect::<std::result::Result<_, _>>);
        batches.map_err(|error| damaged(error.to_string()))
    }

    /// Makes one of the last segments while they are of about one size and of one day: so there are few of a day, and a
    /// row is written again a few times only.
    fn merge(&mut self, next: &mut Manifest, segments: &mut Vec<Segment>) -> Result<()> {
        while let [.., before, last] = segments.as_slice() {
            let day = |segment: &Segment| segment.first_millis.div_euclid(DAY_MILLIS);
            if day(before) != day(last) || before.rows > MERGE_RATIO * last.rows {
                break;
            }
            let span = (
                before.first_millis.min(last.first_millis),
                before.last_millis.max(last.last_millis),
            );
            let mut received = Vec::new();
            for segment in [before, last] {
                for batch in self.segment(&segment.file)? {
                    received.push(unpacked(&batch));
                }
            }
            if received
                .iter()
                .any(|batch| batch.rows.schema() != received[0].rows.schema())
            {
                // A definition has taken on columns since.
                break;
            }
            let merged = self.write(next, &received, span)?;
            segments.truncate(segments.len() - 2);
            segments.push(merged);
        }
        Ok(())
    }
}

impl Manifest {
    fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.receivers.values().flat_map(|kept| &kept.segments)
    }
}

fn is_segment(path: &str) -> bool {
    path.starts_with("segment-") && path.ends_with(".arrow")
}

fn partitions(read: &Read) -> Vec<KeptPartition> {
    let kept = |(of, progress): (&TopicPartition, &Progress)| KeptPartition {
        topic: of.topic.to_string(),
        partition: of.partition,
        number: progress.number,
        next: progress.next,
    };
    read.iter().map(kept).collect()
}

/// Columns that lead those of the rows.
const LEADING: [&str; 2] = ["__partition", "__place"];

fn packed(received: &[Received]) -> std::result::Result<Vec<u8>, arrow_schema::ArrowError> {
    let Some(first) = received.first() else {
        return Ok(Vec::new());
    };
    let leading = LEADING.map(|name| Field::new(name, DataType::UInt64, false));
    let own = first.rows.schema();
    let own = own.fields().iter().map(|field| field.as_ref().clone());
    let schema = Arc::new(Schema::new(
        leading.into_iter().chain(own).collect::<Vec<_>>(),
    ));
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD))?;
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &schema, options)?;
    for batch in received {
        let numbers = [&batch.partition, &batch.place];
        let numbers = numbers.map(|n| Arc::new(UInt64Array::from(n.clone())) as ArrayRef);
        let columns = numbers
            .into_iter()
            .chain(batch.rows.columns().iter().cloned());
        writer.write(&RecordBatch::try_new(
            Arc::clone(&schema),
            columns.collect(),
        )?)?;
    }
    writer.into_inner()
}

fn unpacked(batch: &RecordBatch) -> Received {
    let numbers = |column: usize| {
        let column = batch.column(column).as_primitive::<UInt64Type>();
        column.values().to_vec()
    };
    let own: Vec<usize> = (LEADING.len()..batch.num_columns()).collect();
    Received {
        partition: numbers(0),
        place: numbers(1),
        rows: batch.project(&own).expect("these columns are there"),
    }
}

/// The rows with these columns, if they are all there.
fn projected(batch: &RecordBatch, columns: &SchemaRef) -> Option<Received> {
    let all = unpacked(batch);
    let schema = all.rows.schema();
    let at = |field: &Arc<Field>| {
        let (at, found) = schema.column_with_name(field.name())?;
        (found.data_type() == field.data_type()).then_some(at)
    };
    let own: Option<Vec<usize>> = columns.fields().iter().map(at).collect();
    let rows = all.rows.project(&own?).ok()?;
    Some(Received { rows, ..all })
}

#[cfg(test)]
mod tests;
