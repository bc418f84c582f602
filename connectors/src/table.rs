//! The warehouse: Hive-layout tables of Parquet files, on a local folder or in an object store.
//!
//! ```text
//! Warehouse::open(url) ─ table("db.name") ─┬─ splits(selection) ─ open(columns) ─ next_batch
//!                                          └─ begin_write ─ writer(schema, key) ─ finish ─ commit
//! ```
//! Promises: `<warehouse>/<db>.db/<table>/ds=…/*.parquet`, and the listing is the truth; names
//! starting with `_` or `.` are not data. A partition is replaced at once or not at all
//! (`docs/design/0002-partition-commit.md`). Batches are in canonical Arrow form, partition columns
//! are strings and come last. Synchronous to its callers. Takes no lock by itself: whoever writes
//! holds [`Table::lock`].

use std::sync::Arc;

use arrow_array::RecordBatch;
use unskewed_planner::schema::{DataType, Field, Schema};

use crate::clock::{Clock, SystemClock, compact_utc};
use crate::error::{Error, Result};
use crate::lock::{self, TableLock};
use crate::storage::{Backend, Hook, Storage, is_hidden};

mod commit;
mod conform;
mod files;
mod footer;
mod layout;
mod listing;
mod properties;
mod prune;
mod read;
mod schema;
mod write;

pub use commit::Committed;
pub use layout::{NULL_PARTITION, PartitionKey, Selection};
pub use listing::FileIdentity;
pub use properties::Properties;
pub use prune::{Comparison, Literal, Operator};
pub use read::{Split, SplitReader};
pub use schema::widest;
pub use write::{StagedPartition, TableWrite, WriteOptions, Writer};

use footer::FooterCache;
use layout::TableName;
use listing::Listing;

pub(crate) use files::unique_id;

/// A place that holds tables.
#[derive(Clone, Debug)]
pub struct Warehouse {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    storage: Arc<Storage>,
    footers: FooterCache,
    clock: Arc<dyn Clock>,
    exchange: bool,
}

/// What a warehouse may be given beside its address.
#[derive(Clone, Debug, Default)]
pub struct WarehouseOptions {
    /// Asked before every operation; for faults in tests.
    pub hook: Option<Arc<dyn Hook>>,
    /// The clock of locks and archived names; the system's by default.
    pub clock: Option<Arc<dyn Clock>>,
    /// Does not use the atomic exchange of folders even where there is one.
    pub without_exchange: bool,
    /// Does not wait until the disk has what was written: faster, and safe against kills but not
    /// power loss.
    pub without_sync: bool,
}

impl Warehouse {
    /// Opens a local folder (it need not exist yet), a `file://` address, or the address of an
    /// object store: `s3://bucket/prefix` with feature `s3` (credentials, `AWS_ENDPOINT_URL` and
    /// `AWS_ALLOW_HTTP` from the environment), or `memory://`, which is empty and gone when
    /// dropped.
    pub fn open(url_or_path: &str) -> Result<Self> {
        Self::open_with(url_or_path, WarehouseOptions::default())
    }

    /// As [`Warehouse::open`], with options.
    pub fn open_with(url_or_path: &str, options: WarehouseOptions) -> Result<Self> {
        let hook = options.hook;
        let sync = !options.without_sync;
        let storage = Storage::open(url_or_path, sync, hook)?;
        let system = || Arc::new(SystemClock::new()) as Arc<dyn Clock>;
        Ok(Self {
            inner: Arc::new(Inner {
                storage: Arc::new(storage),
                footers: FooterCache::default(),
                clock: options.clock.unwrap_or_else(system),
                exchange: !options.without_exchange,
            }),
        })
    }

    /// A second handle on the same files with other options, for tests of crashes.
    #[must_use]
    pub fn reopened_with(&self, options: WarehouseOptions) -> Self {
        let storage = match &self.inner.storage.backend {
            Backend::Local(files) => {
                let sync = !options.without_sync;
                Storage::local(files.path(""), sync, options.hook)
            }
            Backend::Object(files) => {
                let url = self.inner.storage.url().to_owned();
                Storage::object(files.clone(), url, options.hook)
            }
        };
        Self {
            inner: Arc::new(Inner {
                storage: Arc::new(storage),
                footers: FooterCache::default(),
                clock: options
                    .clock
                    .unwrap_or_else(|| Arc::clone(&self.inner.clock)),
                exchange: !options.without_exchange,
            }),
        }
    }

    /// The address as it was given.
    pub fn url(&self) -> &str {
        self.inner.storage.url()
    }

    /// A table by its name, `db.name`, or `db.name/column=value` with sub-partitions that
    /// [`Table::partitions`] keeps to. The table need not exist.
    pub fn table(&self, name: &str) -> Result<Table> {
        Ok(Table {
            name: TableName::parse(name)?,
            inner: Arc::clone(&self.inner),
        })
    }

    /// The names of all tables, `db.name`, sorted.
    pub fn tables(&self) -> Result<Vec<String>> {
        let mut tables = Vec::new();
        for database_folder in self.inner.storage.folders("")? {
            let Some(database) = database_folder.strip_suffix(".db") else {
                continue;
            };
            if is_hidden(database) {
                continue;
            }
            for name in self.inner.storage.folders(&database_folder)? {
                if !is_hidden(&name) {
                    tables.push(format!("{database}.{name}"));
                }
            }
        }
        tables.sort();
        Ok(tables)
    }
}

/// One table of a warehouse, existing or not.
#[derive(Clone, Debug)]
pub struct Table {
    name: TableName,
    inner: Arc<Inner>,
}

impl Table {
    /// `db.name`, without sub-partitions.
    pub fn name(&self) -> String {
        self.name.to_string()
    }

    /// Whether the table exists, with or without data.
    pub fn exists(&self) -> Result<bool> {
        if self.storage().has_folder(&self.name.folder())? {
            return Ok(true);
        }
        Ok(!self.listing(&Selection::all())?.partitions.is_empty())
    }

    /// The partitions that hold data, sorted; those of the name's sub-partitions only, if it has
    /// any. An unpartitioned table with data has one, with an empty key.
    pub fn partitions(&self) -> Result<Vec<PartitionKey>> {
        let selection = self.sub_partition_selection();
        let listing = self.existing_listing(&selection)?;
        let keys = listing.partitions.into_keys();
        let wanted = &self.name.sub_partition;
        let keys = keys.filter(|key| {
            let holds = |(column, value): &(String, String)| key.value(column) == Some(value);
            wanted.iter().all(holds)
        });
        Ok(keys.collect())
    }

    /// The values of one partition column over [`Table::partitions`], sorted, each once, nulls left
    /// out.
    pub fn partition_values(&self, column: &str) -> Result<Vec<String>> {
        let keys = self.partitions()?;
        let values = keys.iter().filter_map(|key| key.value(column));
        let mut values: Vec<String> = values.map(str::to_owned).collect();
        values.sort();
        values.dedup();
        Ok(values)
    }

    /// The partition columns, outermost first; empty if unpartitioned.
    pub fn partition_columns(&self) -> Result<Vec<String>> {
        let listing = self.existing_listing(&Selection::all())?;
        self.columns_of(&listing)
    }

    /// The columns of all files, by name, then the partition columns as strings. Reads every file's
    /// footer (kept for the next call); see [`Table::schema_of`] for less.
    pub fn schema(&self) -> Result<Schema> {
        self.schema_of(&Selection::all())
    }

    /// As [`Table::schema`], of the selected partitions' files and the table's own record only.
    pub fn schema_of(&self, selection: &Selection) -> Result<Schema> {
        settled(|| self.schema_once(selection))
    }

    fn schema_once(&self, selection: &Selection) -> Result<Schema> {
        let listing = self.existing_listing(selection)?;
        let partition_columns = self.columns_of(&listing)?;
        let mut union = schema::Union::default();
        let recorded = self.properties()?.schema;
        if let Some(recorded) = &recorded {
            union.add(recorded, &format!("table {}", self.name))?;
        }
        let files: Vec<_> = listing.partitions.values().flatten().cloned().collect();
        for (meta, footer) in files.iter().zip(self.footers(&files)?) {
            union.add(&footer.schema, &self.storage().shown(&meta.path))?;
        }
        if recorded.is_none() && files.is_empty() {
            return Err(Error::NoSchema { table: self.name() });
        }
        let mut schema = union.finish();
        // A file may repeat a partition column; the folder's value holds.
        let is_partition = |f: &Field| {
            let mut columns = partition_columns.iter();
            columns.any(|c| c.eq_ignore_ascii_case(&f.name))
        };
        schema.fields.retain(|f| !is_partition(f));
        let strings = partition_columns.iter();
        schema
            .fields
            .extend(strings.map(|c| Field::new(c, DataType::String)));
        Ok(schema)
    }

    /// Name, size and version of every file of the selected partitions: equal identities, equal
    /// content.
    pub fn files(&self, selection: &Selection) -> Result<Vec<(PartitionKey, Vec<FileIdentity>)>> {
        let listing = self.existing_listing(selection)?;
        let partitions = listing.partitions.into_iter().map(|(key, files)| {
            let identities = files.iter().map(FileIdentity::of).collect();
            (key, identities)
        });
        Ok(partitions.collect())
    }

    /// The pieces in which the selected partitions are read, in the order of (partition, file,
    /// row).
    pub fn splits(&self, selection: &Selection) -> Result<Vec<Split>> {
        settled(|| self.splits_once(selection))
    }

    fn splits_once(&self, selection: &Selection) -> Result<Vec<Split>> {
        let listing = self.existing_listing(selection)?;
        let files: Vec<_> = listing.partitions.values().flatten().cloned().collect();
        let footers = self.footers(&files)?;
        let keyed = listing
            .partitions
            .into_iter()
            .flat_map(|(key, files)| files.into_iter().map(move |file| (key.clone(), file)))
            .zip(footers);
        let mut splits = Vec::new();
        for ((key, file), footer) in keyed {
            read::cut(self.storage(), &key, &file, &footer, &mut splits);
        }
        Ok(splits)
    }

    /// Reads the selected partitions whole: for small tables and tests.
    pub fn read(
        &self,
        selection: &Selection,
        columns: Option<&[&str]>,
    ) -> Result<Vec<RecordBatch>> {
        let schema = self.schema_of(selection)?;
        let wanted = match columns {
            None => schema,
            Some(names) => self.project(&schema, names)?,
        };
        let mut batches = Vec::new();
        for split in self.splits(selection)? {
            let mut reader = split.open(&wanted, &[])?;
            while let Some(batch) = reader.next_batch()? {
                batches.push(batch);
            }
        }
        Ok(batches)
    }

    /// These columns of a schema, in this order; an error names one that is not there.
    pub fn project(&self, schema: &Schema, names: &[&str]) -> Result<Schema> {
        let fields = names.iter().map(|name| {
            schema.field(name).cloned().ok_or_else(|| {
                let known: Vec<_> = schema.fields.iter().map(|f| f.name.as_str()).collect();
                Error::NoSuchColumn {
                    table: self.name(),
                    column: (*name).into(),
                    known: known.join(", "),
                }
            })
        });
        Ok(Schema::new(fields.collect::<Result<_>>()?))
    }

    /// Takes the table's exclusive lock, waiting up to a limit; then sweeps what a killed writer
    /// left.
    pub fn lock(&self, wait_millis_max: i64) -> Result<TableLock> {
        let lock = lock::acquire(
            self.storage(),
            &self.inner.clock,
            &self.name.database,
            &self.name.name,
            wait_millis_max,
        )?;
        self.sweep()?;
        Ok(lock)
    }

    /// Renames the table to `{name}_{yyyyMMddHHmmss}` and marks it archived; the new name.
    pub fn archive(&self) -> Result<String> {
        // Of two archivings in one second the later takes the next second that is free.
        let mut at_millis = self.inner.clock.now_millis();
        let archived = loop {
            let archived = format!("{}_{}", self.name, compact_utc(at_millis));
            match self.rename_to(&archived) {
                Ok(()) => break archived,
                Err(Error::TableExists { .. }) => at_millis += 1_000,
                Err(error) => return Err(error),
            }
        };
        let table = Table {
            name: TableName::parse(&archived)?,
            inner: Arc::clone(&self.inner),
        };
        table.set_property("chronon_archived", Some("true"))?;
        Ok(archived)
    }

    pub(crate) fn storage(&self) -> &Arc<Storage> {
        &self.inner.storage
    }

    fn existing_listing(&self, selection: &Selection) -> Result<Listing> {
        let listing = self.listing(selection)?;
        if listing.partitions.is_empty() && !self.exists()? {
            return Err(Error::NoSuchTable {
                table: self.name(),
                warehouse: self.inner.storage.url().into(),
            });
        }
        Ok(listing)
    }

    fn columns_of(&self, listing: &Listing) -> Result<Vec<String>> {
        match listing.partitions.keys().next() {
            Some(key) => Ok(key.columns().map(str::to_owned).collect()),
            None => Ok(self.properties()?.partition_columns),
        }
    }

    fn sub_partition_selection(&self) -> Selection {
        let filters = self.name.sub_partition.iter();
        filters.fold(Selection::all(), |s, (column, value)| {
            s.equal(column, value)
        })
    }
}

/// Tries anew when a commit replaced files between their listing and their reading.
fn settled<T>(attempt: impl Fn() -> Result<T>) -> Result<T> {
    const ATTEMPTS: usize = 20;
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(Error::FileChanged { .. } | Error::FileVanished { .. }) => {}
            done => return done,
        }
    }
    attempt()
}

#[cfg(test)]
mod tests;
