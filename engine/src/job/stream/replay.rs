//! `group-by-streaming --replay-from`: the days of the tables behind topics, read once.

use unskewed_connectors::kv::KvStore;
use unskewed_planner::definition::{Definition, GroupBy};
use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::lower::{StreamOrigin, stream_rows, stream_rows_of};
use unskewed_planner::resolve::resolve_upload;
use unskewed_planner::serving::streaming_dataset;
use unskewed_planner::time::Partition;

use super::super::catalog::WarehouseCatalog;
use super::super::error::{Error, Result};
use super::super::{Context, Event, Options, Outcome, step, wrong_definition};
use super::publish::put;

/// Streams the days of the tables behind a group-by's topics, from this day to the last, and ends.
pub fn replay(
    definition: &Definition,
    since: Partition,
    options: &Options,
    store: &dyn KvStore,
    context: &Context<'_>,
) -> Result<Outcome> {
    let Definition::GroupBy(group_by) = definition else {
        return Err(wrong_definition(
            "group-by-streaming",
            "group-by",
            definition,
        ));
    };
    let catalog = WarehouseCatalog::new(context.warehouse);
    let resolved = catalog.checked(resolve_upload(group_by, &catalog))?;
    step::warn(&resolved.warnings, context);
    let upload = resolved.value;
    let label = stream_rows_of(&upload.group.clean_name);
    let plan = stream_rows(&[upload], since, StreamOrigin::Tables).map_err(Error::Definition)?;
    if plan.nodes.is_empty() {
        return Err(Error::Definition(vec![nothing_streams(group_by)]));
    }
    let mut executed = step::execute(&plan, None, context)?;
    executed.check_bad_rows(options, &Outcome::default())?;
    let mut outcome = executed.outcome();
    let dataset = streaming_dataset(group_by.name());
    store.create(&dataset)?;
    if let Some(rows) = executed.take_collected(&label) {
        outcome.rows_out = put(&rows, &dataset, (0, None), store)?;
    }
    let text = format!("{dataset}: {} keys, from {since} on", outcome.rows_out);
    context.watcher.on(&Event::Note(&text));
    Ok(outcome)
}

pub(super) fn nothing_streams(group_by: &GroupBy) -> Diagnostic {
    Diagnostic::error("accuracy", "nothing comes after a batch of this group-by")
        .detail(format!(
            "{} is answered from its batch alone",
            group_by.name()
        ))
        .hint("values as of now need accuracy TEMPORAL, and a mutationTable for entities")
}
