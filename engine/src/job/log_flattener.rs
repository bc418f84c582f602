//! `log-flattener`: logged requests of a join, decoded into a column for each field.
//!
//! Promises: every version of the join that logged anything is read by its own schema; a row that cannot be decoded is
//! counted and sampled, and the rest goes on. What each version logged is kept among the table's properties.

use arrow_array::Array;
use unskewed_planner::avro::Record;
use unskewed_planner::definition::Join;
use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::lower::{
    LogRun, LogVersion, SCHEMA_HASH_COLUMN, check_log, flat_logs, table_rows,
};
use unskewed_planner::naming::{PARTITION_COLUMN, TableSpec, TableSuffix};
use unskewed_planner::schema::Schema;
use unskewed_planner::time::PartitionRange;

use super::catalog::WarehouseCatalog;
use super::error::{Error, Result};
use super::rows::Rows;
use super::{Context, Event, Job, Outcome, inputs, step, tables};
use crate::partitions::{Request as HoleRequest, unfilled};

/// The property that makes a table a log for those who bootstrap from it.
const LOG_TABLE: &str = "chronon_log_table";

/// A version and the text it was published with.
struct Published {
    version: LogVersion,
    text: String,
}

/// Runs the job.
pub(super) fn run(job: &Job, join: &Join, context: &Context<'_>) -> Result<Outcome> {
    if join.meta_data.sample_percent.is_none() {
        let text = format!(
            "samplePercent of {} is not set: nothing was logged",
            join.name()
        );
        context.watcher.on(&Event::Note(&text));
        return Ok(Outcome::default());
    }
    let (raw, published) = named_tables(job)?;
    let output = tables::output(&join.meta_data)? + TableSuffix::Logged.text();
    let _locks = tables::lock(context.warehouse, std::slice::from_ref(&output))?;
    let path = join.path_name();
    let catalog = WarehouseCatalog::new(context.warehouse);
    let spec = TableSpec {
        table: raw.clone(),
        sub_partitions: vec![("name".into(), path.clone())],
    };
    let logged = catalog.days(&spec, PARTITION_COLUMN)?;
    let table = context.warehouse.table(&output)?;
    let holes = unfilled(&HoleRequest {
        start: job.options.start_override,
        end: job.options.end,
        existing: &tables::days(&table)?,
        inputs: Some(&[logged]),
        shift_days: 0,
        skip_first_hole: !job.options.run_first_hole,
    })
    .map_err(|_| Error::NothingLogged {
        join: path.clone(),
        table: raw.clone(),
    })?;
    let steps = step::announce(&output, &holes, &job.options, context);
    let mut outcome = Outcome::default();
    if steps.is_empty() {
        return Ok(outcome);
    }
    let versions = versions(&published, &path, context)?;
    for range in steps {
        context.watcher.on(&Event::StepStarted {
            table: &output,
            range,
        });
        let flat = Flat {
            job,
            join,
            raw: &raw,
            output: &output,
            versions: &versions,
        };
        let done = flat.step(range, &outcome, context)?;
        let rows = done.rows_out;
        outcome.add(done);
        context.watcher.on(&Event::StepDone {
            table: &output,
            range,
            rows,
        });
    }
    Ok(outcome)
}

fn named_tables(job: &Job) -> Result<(String, String)> {
    let measure = &job.options.measure;
    let missing = |option: &str, what: &str| {
        Diagnostic::error("", format!("{option} is missing: the table of {what}"))
    };
    match (&measure.log_table, &measure.schema_table) {
        (Some(raw), Some(published)) => Ok((raw.clone(), published.clone())),
        (raw, published) => {
            let raw = raw
                .is_none()
                .then(|| missing("--log-table", "logged requests"));
            let published = published
                .is_none()
                .then(|| missing("--schema-table", "logged schemas"));
            Err(Error::Definition(
                raw.into_iter().chain(published).collect(),
            ))
        }
    }
}

/// The versions of a join's log, from the last day of the table of schemas, sorted by hash.
fn versions(table: &str, path: &str, context: &Context<'_>) -> Result<Vec<Published>> {
    let found = context.warehouse.table(table)?;
    let last = tables::days(&found)?.last().copied();
    let last = last.ok_or_else(|| Error::NoSchemas {
        table: table.into(),
    })?;
    let days = PartitionRange {
        start: last,
        end: last,
    };
    let schema = found.schema_of(&inputs::between(PARTITION_COLUMN, days))?;
    let mut executed = step::execute(&table_rows(table, &schema, days), None, context)?;
    let mut versions: Vec<Published> = vec![];
    let mut problems = vec![];
    if let Some(rows) = executed.take_collected(table) {
        let rows = Rows(&rows);
        let (hashes, texts) = (
            rows.texts(SCHEMA_HASH_COLUMN),
            rows.texts("schema_value_last"),
        );
        for row in 0..hashes.len() {
            if hashes.is_null(row) || texts.is_null(row) {
                continue;
            }
            match parse(hashes.value(row), texts.value(row), path) {
                Ok(version) => versions.extend(version),
                Err(what) => problems.push(Diagnostic::error(
                    "",
                    format!(
                        "version {} in table {table} cannot be read: {what}",
                        hashes.value(row)
                    ),
                )),
            }
        }
    }
    if !problems.is_empty() {
        return Err(Error::Definition(problems));
    }
    versions.sort_by(|a, b| a.version.hash.cmp(&b.version.hash));
    versions.dedup_by(|a, b| a.version.hash == b.version.hash);
    Ok(versions)
}

/// A version of this join; nothing for one of another join.
fn parse(hash: &str, text: &str, path: &str) -> std::result::Result<Option<Published>, String> {
    let schema: serde_json::Value =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let name = schema["join_name"].as_str().unwrap_or_default();
    if !name.is_empty() && name.replacen('.', "/", 1) != path {
        return Ok(None);
    }
    let record = |part: &str| {
        let text = schema[part]
            .as_str()
            .ok_or_else(|| format!("it has no {part:?}"))?;
        Record::parse(text).map_err(|error| format!("{part}: {error}"))
    };
    let (keys, values) = (record("key_schema")?, record("value_schema")?);
    let version = LogVersion {
        hash: hash.into(),
        keys,
        values,
    };
    Ok(Some(Published {
        version,
        text: text.into(),
    }))
}

struct Flat<'a> {
    job: &'a Job,
    join: &'a Join,
    raw: &'a str,
    output: &'a str,
    versions: &'a [Published],
}

impl Flat<'_> {
    fn step(
        &self,
        days: PartitionRange,
        so_far: &Outcome,
        context: &Context<'_>,
    ) -> Result<Outcome> {
        let raw = context.warehouse.table(self.raw)?;
        let schema = raw.schema_of(&inputs::between(PARTITION_COLUMN, days))?;
        let problems = check_log(self.raw, &schema);
        if !problems.is_empty() {
            return Err(Error::Definition(problems));
        }
        let versions: Vec<LogVersion> = self.versions.iter().map(|v| v.version.clone()).collect();
        let plan = flat_logs(&LogRun {
            table: self.raw,
            schema: &schema,
            days,
            path: &self.join.path_name(),
            versions: &versions,
            output: self.output,
        })
        .map_err(Error::Definition)?;
        let executed = step::execute(&plan, None, context)?;
        executed.check_bad_rows(&self.job.options, so_far)?;
        let written = executed.schema_of(self.output);
        let table = context.warehouse.table(self.output)?;
        if let Some(schema) = &written {
            tables::check_columns(&table, schema, true)?;
        }
        let mut done = executed.outcome();
        for filled in executed.commit()? {
            done.rows_out += filled.rows;
            done.partitions_written += filled.days.len() as u64;
        }
        self.describe(written.as_ref(), context)?;
        Ok(done)
    }

    /// Every version ever flattened stays among the properties.
    fn describe(&self, schema: Option<&Schema>, context: &Context<'_>) -> Result<()> {
        let Some(schema) = schema else { return Ok(()) };
        let names: Vec<String> = self
            .versions
            .iter()
            .map(|published| format!("{SCHEMA_HASH_COLUMN}_{}", published.version.hash))
            .collect();
        let texts = self.versions.iter().map(|published| published.text.clone());
        let mut more: Vec<(&str, String)> = names.iter().map(String::as_str).zip(texts).collect();
        more.push((LOG_TABLE, "true".into()));
        let about = tables::Written {
            kind: "logged",
            meta_data: &self.join.meta_data,
            hashes: None,
            more,
        };
        tables::describe(&context.warehouse.table(self.output)?, schema, &about)
    }
}
