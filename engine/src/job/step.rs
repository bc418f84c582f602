//! One plan run, and its partitions put in place.
//!
//! Promises: nothing is committed before the whole plan ran without failure and within the allowed bad rows; a table
//! gets its partitions one after the other, each at once.

use std::collections::BTreeSet;

use arrow_array::RecordBatch;
use unskewed_connectors::table::{PartitionKey, WriteOptions};
use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::lower::LeftFacts;
use unskewed_planner::naming::PARTITION_COLUMN;
use unskewed_planner::physical::DataflowPlan;
use unskewed_planner::schema::Schema;
use unskewed_planner::time::{Partition, PartitionRange};

use super::error::{Error, Result};
use super::{Context, Event, Options, Outcome, SAMPLES_MAX};
use crate::partitions::Holes;
use crate::run::{Run, RunOutput, run};
use crate::stages::facts::LeftFacts as RunFacts;

/// Facts about a left, by their numbers: what the planner must know, and the key values that the run needs.
pub(super) struct Facts {
    pub(super) facts: Vec<LeftFacts>,
    pub(super) run: Vec<RunFacts>,
}

/// A plan that ran; nothing of it is visible yet.
pub(super) struct Executed {
    output: RunOutput,
}

/// What a commit put in place.
pub(super) struct Filled {
    pub(super) table: String,
    pub(super) days: BTreeSet<Partition>,
    pub(super) partitions: u64,
    pub(super) rows: u64,
}

/// Runs a plan.
pub(super) fn execute(
    plan: &DataflowPlan,
    facts: Option<&Facts>,
    context: &Context<'_>,
) -> Result<Executed> {
    let output = run(&Run {
        plan,
        warehouse: context.warehouse,
        workers: context.workers,
        memory_bytes: context.memory_bytes,
        left_facts: facts.map_or(&[], |facts| &facts.run),
    })?;
    Ok(Executed { output })
}

impl Executed {
    /// The facts that the plan asked for, `count` of them; none found is no rows.
    pub(super) fn take_facts(&mut self, count: usize) -> Facts {
        let mut found = std::mem::take(&mut self.output.facts);
        let run = (0..count).map(|number| found.remove(&number).unwrap_or_default());
        let run: Vec<RunFacts> = run.collect();
        let facts = run.iter().map(of_rows).collect();
        Facts { facts, run }
    }

    /// The rows that a node handed on, if there were any.
    pub(super) fn take_collected(&mut self, label: &str) -> Option<RecordBatch> {
        self.output.collected.remove(label)
    }

    /// The counts of the run, without what is only known after the commit.
    pub(super) fn outcome(&self) -> Outcome {
        let bad = &self.output.bad_rows;
        let samples = bad.iter().flat_map(|(place, rows)| {
            rows.samples
                .iter()
                .map(move |sample| format!("{place}: {sample}"))
        });
        Outcome {
            rows_in: self.output.rows_in,
            bad_rows: bad.values().map(|rows| rows.count).sum(),
            bad_samples: samples.take(SAMPLES_MAX).collect(),
            ..Outcome::default()
        }
    }

    /// Fails if there are more bad rows than allowed, those of earlier steps counted.
    pub(super) fn check_bad_rows(&self, options: &Options, so_far: &Outcome) -> Result<()> {
        let own = self.outcome();
        let count = so_far.bad_rows + own.bad_rows;
        match options.max_bad_rows {
            Some(allowed) if count > allowed => Err(Error::TooManyBadRows {
                count,
                allowed,
                first: own.bad_samples.into_iter().next().unwrap_or_default(),
            }),
            _ => Ok(()),
        }
    }

    /// The columns written to a table.
    pub(super) fn schema_of(&self, table: &str) -> Option<Schema> {
        let mut written = self.output.written.iter();
        written
            .find(|sink| sink.table == table)
            .map(|sink| sink.schema.clone())
    }

    /// Adds rows behind those of a table without partitions; the table's columns.
    pub(super) fn append(&mut self, table: &str, rows: &RecordBatch) -> Result<Schema> {
        let mut sinks = self.output.written.iter_mut();
        let sink = sinks.find(|sink| sink.table == table);
        let sink = sink.expect("the plan has a sink of the table");
        let part = sink.staged.len() as u32;
        let (key, options) = (PartitionKey::unpartitioned(), WriteOptions::default());
        let mut writer = sink.write.writer(&sink.schema, &key, part, &options)?;
        writer.write(rows)?;
        sink.staged.push(writer.finish()?);
        Ok(sink.schema.clone())
    }

    /// Puts the partitions of every table in place.
    pub(super) fn commit(self) -> Result<Vec<Filled>> {
        let mut all = vec![];
        self.commit_each(
            |_| 0,
            |filled| {
                all.push(filled);
                Ok(())
            },
        )?;
        Ok(all)
    }

    /// Puts the partitions of each table in place, tables of lower `order` first, and tells of each.
    pub(super) fn commit_each(
        self,
        order: impl Fn(&str) -> u32,
        mut done: impl FnMut(Filled) -> Result<()>,
    ) -> Result<()> {
        let mut sinks = self.output.written;
        sinks.sort_by_key(|sink| order(&sink.table));
        for sink in sinks {
            let committed = sink.write.commit(sink.staged)?;
            let days = committed
                .partitions
                .iter()
                .filter_map(|key| key.value(PARTITION_COLUMN));
            done(Filled {
                table: sink.table,
                days: days.filter_map(|day| day.parse().ok()).collect(),
                partitions: committed.partitions.len() as u64,
                rows: committed.rows,
            })?;
        }
        Ok(())
    }
}

/// What the planner must know.
fn of_rows(run: &RunFacts) -> LeftFacts {
    let day = |text: &String| text.parse::<Partition>().ok();
    let days = run.day.as_ref();
    LeftFacts {
        rows: run.row_count,
        times_millis: run.time_millis,
        days: days.and_then(|(first, last)| day(first).zip(day(last))),
    }
}

/// Tells of warnings.
pub(super) fn warn(warnings: &[Diagnostic], context: &Context<'_>) {
    for warning in warnings {
        // The event says that it is a warning.
        let text = warning.to_string();
        let text = text.strip_prefix("warning: ").unwrap_or(&text);
        context.watcher.on(&Event::Warning(text));
    }
}

/// Tells what is computed and what is left alone; the steps.
pub(super) fn announce(
    table: &str,
    holes: &Holes,
    options: &Options,
    context: &Context<'_>,
) -> Vec<PartitionRange> {
    let list = |ranges: &[PartitionRange]| {
        let texts: Vec<String> = ranges.iter().map(ToString::to_string).collect();
        texts.join(", ")
    };
    if !holes.before_first.is_empty() {
        let text = format!(
            "{table}: {} lie before its first partition and are left alone; --run-first-hole fills them",
            list(&holes.before_first)
        );
        context.watcher.on(&Event::Warning(&text));
    }
    if !holes.without_input.is_empty() {
        let text = format!("{table}: no source has {}", list(&holes.without_input));
        context.watcher.on(&Event::Note(&text));
    }
    let steps = holes.steps(options.step_days);
    context.watcher.on(&Event::Planned {
        table,
        steps: &steps,
    });
    steps
}
