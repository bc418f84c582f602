//! `group-by-upload`: what a key-value store is to hold of a group-by after a day, as one table of bytes.
//!
//! Promises: the table is replaced at once, its last row is the serving info, and keys and values are the bytes that an
//! existing fetcher reads. The joins that a group-by reads are computed until the day first, and the daily states of an
//! incremental one filled.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use unskewed_planner::definition::GroupBy;
use unskewed_planner::lower::{Request, lower};
use unskewed_planner::resolve::resolve_upload;
use unskewed_planner::serving::{EDGE_COLUMN, SERVING_INFO_KEY, ServingInfo};
use unskewed_planner::time::{Partition, PartitionRange};

use super::catalog::WarehouseCatalog;
use super::error::{Error, Result};
use super::tables::{self, Written};
use super::{Context, Event, Job, Outcome, chain, group_by, step};

/// Runs the job.
pub(super) fn run(job: &Job, group_by: &GroupBy, context: &Context<'_>) -> Result<Outcome> {
    let catalog = WarehouseCatalog::new(context.warehouse);
    let resolved = catalog.checked(resolve_upload(group_by, &catalog))?;
    step::warn(&resolved.warnings, context);
    let mut upload = resolved.value;
    let day = job.options.end;
    let mut outcome = Outcome::default();
    if let Some(done) = chain::fill_parents(group_by, day, (&job.options, context))? {
        outcome.add(done);
        // What parents wrote is there now: the same definition, over the tables as they are.
        let catalog = WarehouseCatalog::new(context.warehouse);
        upload = catalog.checked(resolve_upload(group_by, &catalog))?.value;
    }
    let range = PartitionRange {
        start: day,
        end: day,
    };
    if group_by.is_incremental == Some(true) {
        outcome.add(group_by::fill_daily(job, group_by, range, context)?);
    }
    let name = upload.table.as_str();
    let _locks = tables::lock(context.warehouse, &[name.to_owned()])?;
    let steps = [range];
    context.watcher.on(&Event::Planned {
        table: name,
        steps: &steps,
    });
    context
        .watcher
        .on(&Event::StepStarted { table: name, range });
    let request = Request::Upload {
        upload: &upload,
        day,
    };
    let plan = lower(&[request]).map_err(Error::Definition)?;
    let mut executed = step::execute(&plan, None, context)?;
    executed.check_bad_rows(&job.options, &outcome)?;
    let mut done = executed.outcome();
    let info = ServingInfo::of(group_by, &upload, day).to_text();
    let schema = executed.append(name, &serving_row(&info, day, upload.edge.is_some())?)?;
    for filled in executed.commit()? {
        done.rows_out += filled.rows;
        done.partitions_written += 1;
    }
    let written = Written {
        kind: "upload",
        meta_data: &group_by.meta_data,
        hashes: None,
        more: vec![],
    };
    tables::describe(&context.warehouse.table(name)?, &schema, &written)?;
    let rows = done.rows_out;
    outcome.add(done);
    let table = name;
    context.watcher.on(&Event::StepDone { table, range, rows });
    Ok(outcome)
}

/// The row of the serving info; people find its text beside its bytes.
fn serving_row(info: &str, day: Partition, with_edge: bool) -> Result<RecordBatch> {
    let bytes = |text: &str| Arc::new(BinaryArray::from_vec(vec![text.as_bytes()])) as ArrayRef;
    let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let none = Arc::new(BinaryArray::from_opt_vec(vec![None])) as ArrayRef;
    let edge = with_edge.then_some((EDGE_COLUMN, none));
    let columns = [
        ("key_bytes", bytes(SERVING_INFO_KEY)),
        ("value_bytes", bytes(info)),
        ("key_json", text(SERVING_INFO_KEY)),
        ("value_json", text(info)),
        ("ds", text(&day.to_string())),
    ];
    let columns = columns.into_iter().chain(edge).map(|(n, c)| (n, c, true));
    let row = RecordBatch::try_from_iter_with_nullable(columns);
    Ok(row.map_err(crate::error::EngineError::from)?)
}
