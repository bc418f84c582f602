//! Footers of Parquet files: read, understood, kept.
//!
//! Promises: types as Spark reads them (INT96 is a timestamp in microseconds); the reader is told
//! to produce canonical leaves wherever it can, so little is left to cast; a file that is no
//! Parquet says why. Keeps a bounded number.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use arrow_schema::{DataType as ArrowType, Field as ArrowField, Fields, TimeUnit};
use bytes::{Buf, Bytes};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::SchemaDescriptor;
use unskewed_planner::schema::Schema;

use super::Table;
use crate::error::{Error, Result};
use crate::storage::local::LocalFile;
use crate::storage::{Backend, FileMeta, Storage};

/// How many footers are kept; more than any day's job touches, less than hurts.
const FOOTERS_KEPT: usize = 4096;
const TAIL_BYTES: u64 = 64 * 1024;
/// Footers asked for ahead in an object store.
const READ_AHEAD: usize = 16;

/// What a file says about itself.
#[derive(Debug)]
pub(crate) struct Footer {
    pub(crate) metadata: ArrowReaderMetadata,
    pub(crate) schema: Schema,
}

/// Footers by path and version.
#[derive(Debug, Default)]
pub(crate) struct FooterCache {
    kept: Mutex<BTreeMap<(String, String), Arc<Footer>>>,
}

impl FooterCache {
    fn get(&self, meta: &FileMeta) -> Option<Arc<Footer>> {
        let kept = self.kept.lock().expect("no holder panics");
        kept.get(&(meta.path.clone(), cache_version(meta))).cloned()
    }

    fn put(&self, meta: &FileMeta, footer: &Arc<Footer>) {
        let mut kept = self.kept.lock().expect("no holder panics");
        if kept.len() >= FOOTERS_KEPT {
            kept.clear();
        }
        let key = (meta.path.clone(), cache_version(meta));
        kept.insert(key, Arc::clone(footer));
    }
}

fn cache_version(meta: &FileMeta) -> String {
    format!("{}-{}-{}", meta.size, meta.version, meta.inode)
}

impl Table {
    /// The footers of these files, in order.
    pub(super) fn footers(&self, files: &[FileMeta]) -> Result<Vec<Arc<Footer>>> {
        let mut footers = Vec::with_capacity(files.len());
        for group in files.chunks(READ_AHEAD) {
            // All requests of a group are under way before the first is waited for.
            let begun: Vec<_> = group
                .iter()
                .map(|meta| match self.inner.footers.get(meta) {
                    Some(footer) => Ok(Begun::Kept(footer)),
                    None => begin(self.storage(), meta),
                })
                .collect::<Result<_>>()?;
            for (meta, begun) in group.iter().zip(begun) {
                let footer = match begun {
                    Begun::Kept(footer) => footer,
                    Begun::Reading(tail) => {
                        let footer = Arc::new(finish(self.storage(), meta, tail)?);
                        self.inner.footers.put(meta, &footer);
                        footer
                    }
                };
                footers.push(footer);
            }
        }
        Ok(footers)
    }
}

enum Begun {
    Kept(Arc<Footer>),
    Reading(Tail),
}

enum Tail {
    Local(LocalFile),
    Object(crate::storage::object::PendingRanges),
}

fn begin(storage: &Storage, meta: &FileMeta) -> Result<Begun> {
    let reason = match meta.size {
        0 => "it is empty (0 bytes)",
        1..12 => "it is too short to be Parquet",
        _ => {
            return Ok(Begun::Reading(match &storage.backend {
                Backend::Local(files) => Tail::Local(files.open(storage, meta)?),
                Backend::Object(files) => {
                    let start = meta.size.saturating_sub(TAIL_BYTES);
                    let tail = std::iter::once(start..meta.size).collect();
                    Tail::Object(files.start_ranges(storage, meta, tail)?)
                }
            }));
        }
    };
    Err(Error::NotParquet {
        file: storage.shown(&meta.path),
        reason,
    })
}

fn finish(storage: &Storage, meta: &FileMeta, tail: Tail) -> Result<Footer> {
    let file = storage.shown(&meta.path);
    let metadata = match tail {
        Tail::Local(local) => {
            check_magic(&file, |at, length| local.read(at, length).ok(), meta.size)?;
            parse(&file, &Shared(Arc::new(LocalChunks(local))))?
        }
        Tail::Object(pending) => {
            let mut pieces = Pieces {
                size: meta.size,
                pieces: pending.take()?,
            };
            let read = |at, length| pieces.read(at, length).ok();
            if let Some(needed) = footer_bytes(read, meta.size)
                && needed > TAIL_BYTES.min(meta.size)
            {
                let Backend::Object(files) = &storage.backend else {
                    unreachable!("only object stores answer in pieces");
                };
                let start = meta.size.saturating_sub(needed);
                let rest = std::iter::once(start..meta.size).collect();
                let whole = files.start_ranges(storage, meta, rest)?;
                pieces.pieces = whole.take()?;
            }
            check_magic(&file, |at, length| pieces.read(at, length).ok(), meta.size)?;
            parse(&file, &Shared(Arc::new(pieces)))?
        }
    };
    understand(&file, &Arc::new(metadata))
}

/// The footer's length as its last eight bytes tell, those included.
fn footer_bytes(read: impl Fn(u64, usize) -> Option<Bytes>, size: u64) -> Option<u64> {
    let mut end = read(size - 8, 8)?;
    Some(u64::from(end.get_u32_le()) + 8)
}

fn check_magic(file: &str, read: impl Fn(u64, usize) -> Option<Bytes>, size: u64) -> Result<()> {
    let end = read(size - 4, 4);
    let start = read(0, 4);
    let reason = match end.as_deref() {
        Some(b"PAR1") => return Ok(()),
        Some(b"PARE") => "its footer is encrypted",
        _ if start.as_deref() == Some(b"PAR1") => "it is cut off, its footer is missing",
        _ => "it does not end as a Parquet file does",
    };
    Err(Error::NotParquet {
        file: file.into(),
        reason,
    })
}

fn parse(file: &str, chunks: &impl ChunkReader) -> Result<ParquetMetaData> {
    let parsed = ParquetMetaDataReader::new().parse_and_finish(chunks);
    parsed.map_err(|source| damaged(file, source))
}

pub(crate) fn damaged(
    file: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::DamagedFile {
        file: file.into(),
        source: source.into(),
    }
}

/// Decides which Arrow types the reader is to produce.
fn understand(file: &str, metadata: &Arc<ParquetMetaData>) -> Result<Footer> {
    let with = |options| ArrowReaderMetadata::try_new(Arc::clone(metadata), options);
    let plain = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let embedded = with(ArrowReaderOptions::new()).and_then(|found| hinted(&found, &with));
    let found = match embedded {
        Ok(found) => found,
        // The writer's own Arrow types may be none that the file can be read as: take Parquet's.
        Err(_) => with(plain())
            .and_then(|found| hinted(&found, &with))
            .map_err(|source| damaged(file, source))?,
    };
    let schema = Schema::from_arrow(found.schema()).map_err(|source| Error::UnsupportedColumn {
        file: file.into(),
        source,
    })?;
    Ok(Footer {
        metadata: found,
        schema,
    })
}

fn hinted(
    found: &ArrowReaderMetadata,
    with: &impl Fn(ArrowReaderOptions) -> std::result::Result<ArrowReaderMetadata, ParquetError>,
) -> std::result::Result<ArrowReaderMetadata, ParquetError> {
    let mut leaf = 0;
    let fields = found.schema().fields().iter();
    let fields: Vec<ArrowField> = fields
        .map(|f| hint(f, &mut leaf, found.parquet_schema()))
        .collect();
    let schema = arrow_schema::Schema::new(fields);
    if schema.fields() == found.schema().fields() {
        return Ok(found.clone());
    }
    with(ArrowReaderOptions::new().with_schema(Arc::new(schema)))
}

/// The field with every leaf as canonical as the reader can make it. Leaves of both schemas come in
/// the same order.
fn hint(field: &ArrowField, leaf: &mut usize, parquet: &SchemaDescriptor) -> ArrowField {
    let data_type = match field.data_type() {
        ArrowType::List(item)
        | ArrowType::LargeList(item)
        | ArrowType::ListView(item)
        | ArrowType::LargeListView(item) => ArrowType::List(Arc::new(hint(item, leaf, parquet))),
        ArrowType::FixedSizeList(item, size) => {
            ArrowType::FixedSizeList(Arc::new(hint(item, leaf, parquet)), *size)
        }
        ArrowType::Map(entries, ordered) => {
            ArrowType::Map(Arc::new(hint(entries, leaf, parquet)), *ordered)
        }
        ArrowType::Struct(fields) => {
            let fields = fields.iter().map(|f| hint(f, leaf, parquet));
            ArrowType::Struct(fields.collect::<Fields>())
        }
        other => {
            let at = *leaf;
            *leaf += 1;
            let int96 = at < parquet.num_columns()
                && parquet.column(at).physical_type() == PhysicalType::INT96;
            if int96 {
                ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            } else {
                plain_leaf(other)
            }
        }
    };
    field.clone().with_data_type(data_type)
}

fn plain_leaf(data_type: &ArrowType) -> ArrowType {
    match data_type {
        ArrowType::Dictionary(_, value) => plain_leaf(value),
        ArrowType::RunEndEncoded(_, value) => plain_leaf(value.data_type()),
        ArrowType::LargeUtf8 | ArrowType::Utf8View => ArrowType::Utf8,
        ArrowType::LargeBinary | ArrowType::BinaryView => ArrowType::Binary,
        ArrowType::Decimal32(p, s) | ArrowType::Decimal64(p, s) => ArrowType::Decimal128(*p, *s),
        ArrowType::Timestamp(unit, Some(_)) => ArrowType::Timestamp(*unit, Some("UTC".into())),
        other => other.clone(),
    }
}

/// A local file as Parquet's reader wants it.
#[derive(Debug)]
pub(crate) struct LocalChunks(pub(crate) LocalFile);

/// Pieces of an object that were read before.
#[derive(Debug)]
pub(crate) struct Pieces {
    pub(crate) size: u64,
    /// Start and bytes, sorted.
    pub(crate) pieces: Vec<(u64, Bytes)>,
}

impl Pieces {
    fn read(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let after = self.pieces.partition_point(|(at, _)| *at <= start);
        let missing = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let (at, bytes) = self.pieces[..after].last().ok_or_else(missing)?;
        let from = usize::try_from(start - at).map_err(|_| missing())?;
        let to = from.checked_add(length).filter(|to| *to <= bytes.len());
        Ok(bytes.slice(from..to.ok_or_else(missing)?))
    }
}

impl Length for LocalChunks {
    fn len(&self) -> u64 {
        self.0.size()
    }
}

impl Length for Pieces {
    fn len(&self) -> u64 {
        self.size
    }
}

/// Reads on from a position, a block at a time.
#[derive(Debug)]
pub(crate) struct Following<R> {
    source: Arc<R>,
    at: u64,
    block: Bytes,
}

const BLOCK_BYTES: u64 = 8 * 1024;

impl<R: ReadAt> io::Read for Following<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.block.is_empty() {
            self.block = self.source.read_some(self.at, BLOCK_BYTES)?;
            self.at += u64::try_from(self.block.len()).unwrap_or(0);
        }
        let count = into.len().min(self.block.len());
        into[..count].copy_from_slice(&self.block[..count]);
        self.block.advance(count);
        Ok(count)
    }
}

/// Reading up to so many bytes at a position.
pub(crate) trait ReadAt {
    /// Fewer bytes only at the end.
    fn read_some(&self, at: u64, bytes_max: u64) -> io::Result<Bytes>;
}

impl ReadAt for LocalChunks {
    fn read_some(&self, at: u64, bytes_max: u64) -> io::Result<Bytes> {
        let count = bytes_max.min(self.0.size().saturating_sub(at));
        self.0.read(at, usize::try_from(count).unwrap_or(0))
    }
}

impl ReadAt for Pieces {
    fn read_some(&self, at: u64, bytes_max: u64) -> io::Result<Bytes> {
        let after = self.pieces.partition_point(|(start, _)| *start <= at);
        let Some((start, bytes)) = self.pieces[..after].last() else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let from = usize::try_from(at - start).unwrap_or(usize::MAX);
        let rest = bytes.len().saturating_sub(from);
        let count = rest.min(usize::try_from(bytes_max).unwrap_or(rest));
        self.read(at, count)
    }
}

/// Any of the two, shared by the readers of its columns.
#[derive(Debug)]
pub(crate) struct Shared<R>(pub(crate) Arc<R>);

impl<R: Length> Length for Shared<R> {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl<R: ReadAt + Length + Send + Sync> ChunkReader for Shared<R> {
    type T = Following<R>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Following<R>> {
        Ok(Following {
            source: Arc::clone(&self.0),
            at: start,
            block: Bytes::new(),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let wanted = u64::try_from(length).unwrap_or(u64::MAX);
        let bytes = self.0.read_some(start, wanted)?;
        if bytes.len() < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(bytes)
    }
}
