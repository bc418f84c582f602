//! `label-join`: what is known of left rows some days later, and the training rows beside it.
//!
//! ```text
//! left rows of the offsets' days ─ labels at the end of the label's day ─► _labels (label_ds, ds)
//! training rows of every day whose rows or labels changed ───────────────► _labeled, _labeled_latest (ds)
//! ```
//! Promises: every run computes the whole range of its offsets anew, as of the end of its label day; other label days
//! stay as they are. The labelled tables are as if they were views: each day of them is made again when its training
//! rows or any version of its labels changed, and goes when its training rows have gone.

use std::collections::{BTreeMap, BTreeSet};

use unskewed_connectors::table::{PartitionKey, Table};
use unskewed_planner::definition::Join;
use unskewed_planner::logical::FeatureLabels;
use unskewed_planner::lower::{LabelRun, LabeledRun, label_facts, labeled, labels};
use unskewed_planner::naming::{LABEL_PARTITION_COLUMN, PARTITION_COLUMN};
use unskewed_planner::resolve::{parents_of_labels, resolve_labels};
use unskewed_planner::schema::Schema;
use unskewed_planner::time::{Partition, PartitionRange};

use super::catalog::WarehouseCatalog;
use super::chain::{self, Wanted};
use super::error::{Error, Result};
use super::inputs::{self, Digests, Inputs, Record};
use super::step::{self, Executed, Facts};
use super::tables::{self, Written};
use super::{Context, Event, Job, Outcome};
use crate::partitions::{Days, chunks};

/// Runs the job.
pub(super) fn run(job: &Job, join: &Join, context: &Context<'_>) -> Result<Outcome> {
    let mut catalog = WarehouseCatalog::new(context.warehouse);
    let resolved = catalog.checked(resolve_labels(join, &catalog))?;
    step::warn(&resolved.warnings, context);
    let mut feature = resolved.value;
    let names = feature.written();
    let _locks = tables::lock(context.warehouse, &names)?;
    let mut outcome = Outcome::default();
    let parents = parents_of_labels(join);
    if !parents.is_empty() {
        let end = job.options.end;
        let wanted = parents.into_iter().map(|parent| Wanted { parent, end });
        outcome.add(chain::fill(wanted.collect(), &job.options, context)?);
        catalog = WarehouseCatalog::new(context.warehouse);
        feature = catalog.checked(resolve_labels(join, &catalog))?.value;
    }
    let runner = Runner {
        job,
        join,
        feature: &feature,
        context,
    };
    runner.check_columns()?;
    for range in runner.announce() {
        let table = &feature.tables.labels;
        context.watcher.on(&Event::StepStarted { table, range });
        let done = runner.step(range, &outcome)?;
        let rows = done.rows_out;
        outcome.add(done);
        context.watcher.on(&Event::StepDone { table, range, rows });
    }
    outcome.add(runner.label_rows()?);
    Ok(outcome)
}

struct Runner<'a> {
    job: &'a Job,
    join: &'a Join,
    feature: &'a FeatureLabels,
    context: &'a Context<'a>,
}

impl Runner<'_> {
    fn label_day(&self) -> Partition {
        self.job.options.end
    }

    fn table(&self, name: &str) -> Result<Table> {
        Ok(self.context.warehouse.table(name)?)
    }

    fn check_columns(&self) -> Result<()> {
        let labels = self.table(&self.feature.tables.labels)?;
        tables::check_columns(&labels, &self.feature.label_schema(), true)?;
        for part in self
            .feature
            .parts
            .iter()
            .filter(|part| !part.group.passes_through())
        {
            let table = self.table(&part.table)?;
            tables::check_columns(&table, &part.part_table_schema(), true)?;
        }
        Ok(())
    }

    /// The left days to be labelled, in steps.
    fn announce(&self) -> Vec<PartitionRange> {
        let days = self.feature.left_days(self.label_day());
        let steps = days.steps(self.job.options.step_days);
        let steps: Vec<PartitionRange> = steps.into_iter().collect();
        self.context.watcher.on(&Event::Planned {
            table: &self.feature.tables.labels,
            steps: &steps,
        });
        steps
    }

    fn step(&self, days: PartitionRange, so_far: &Outcome) -> Result<Outcome> {
        let run = LabelRun {
            labels: self.feature,
            days,
            label_day: self.label_day(),
        };
        let facts = self.facts(&run)?;
        if facts.facts[0].rows == 0 {
            let text = format!("the left has no rows on {days}; nothing is labelled");
            self.context.watcher.on(&Event::Note(&text));
            return Ok(Outcome::default());
        }
        let plan = labels(&run, &facts.facts[0]).map_err(Error::Definition)?;
        let executed = step::execute(&plan, Some(&facts), self.context)?;
        executed.check_bad_rows(&self.job.options, so_far)?;
        self.commit(executed)
    }

    fn facts(&self, run: &LabelRun<'_>) -> Result<Facts> {
        let plan = label_facts(run).map_err(Error::Definition)?;
        let mut asked = step::execute(&plan, None, self.context)?;
        Ok(asked.take_facts(1))
    }

    /// Puts the tables of aggregated labels in place, then the labels.
    fn commit(&self, executed: Executed) -> Result<Outcome> {
        let mut done = executed.outcome();
        let labels = self.feature.tables.labels.as_str();
        executed.commit_each(
            |name| u32::from(name == labels),
            |filled| {
                done.partitions_written += filled.partitions;
                let (kind, schema) = if filled.table == labels {
                    done.rows_out += filled.rows;
                    ("label", self.feature.label_schema())
                } else {
                    let mut parts = self.feature.parts.iter();
                    let part = parts.find(|part| part.table == filled.table);
                    let part = part.expect("sinks of labels are their own tables");
                    ("join_part", part.part_table_schema())
                };
                self.describe(&filled.table, kind, &schema, vec![])
            },
        )?;
        Ok(done)
    }

    fn describe(
        &self,
        name: &str,
        kind: &str,
        schema: &Schema,
        more: Vec<(&str, String)>,
    ) -> Result<()> {
        let written = Written {
            kind,
            meta_data: &self.join.meta_data,
            hashes: None,
            more,
        };
        tables::describe(&self.table(name)?, schema, &written)
    }

    /// Makes the labelled rows of every day again whose training rows or labels changed.
    fn label_rows(&self) -> Result<Outcome> {
        let tables = &self.feature.tables;
        let (output, labels) = (self.table(&tables.output)?, self.table(&tables.labels)?);
        if !output.exists()? || !labels.exists()? {
            let missing = if output.exists()? {
                &tables.labels
            } else {
                &tables.output
            };
            let text = format!(
                "{missing} is not there yet; {} is left as it is",
                tables.labeled
            );
            self.context.watcher.on(&Event::Warning(&text));
            return Ok(Outcome::default());
        }
        let (output_schema, label_schema) = (output.schema()?, labels.schema()?);
        let identifier = self.feature.identifier_names();
        let latest = latest(&labels)?;
        let rows = LabeledRows {
            runner: self,
            run: LabeledRun {
                tables,
                identifier: &identifier,
                output: &output_schema,
                labels: &label_schema,
                days: self.feature.left_days(self.label_day()),
                latest: &latest,
            },
        };
        rows.make(&tables::days(&output)?)
    }
}

/// The latest label day of each day that has labels.
fn latest(labels: &Table) -> Result<BTreeMap<Partition, Partition>> {
    let mut latest = BTreeMap::new();
    for key in labels.partitions()? {
        let day = |column: &str| key.value(column)?.parse::<Partition>().ok();
        if let (Some(day), Some(label)) = (day(PARTITION_COLUMN), day(LABEL_PARTITION_COLUMN)) {
            let known = latest.entry(day).or_insert(label);
            *known = label.max(*known);
        }
    }
    Ok(latest)
}

/// The labelled rows being made.
struct LabeledRows<'a> {
    runner: &'a Runner<'a>,
    run: LabeledRun<'a>,
}

impl LabeledRows<'_> {
    fn make(&self, output: &Days) -> Result<Outcome> {
        let runner = self.runner;
        let names = [&self.run.tables.labeled, &self.run.tables.labeled_latest];
        let tables = [runner.table(names[0])?, runner.table(names[1])?];
        self.drop_gone(&tables, output)?;
        let mut digests = Digests::new(runner.context.warehouse);
        let records = [Record::of(&tables[0])?, Record::of(&tables[1])?];
        let existing = [tables::days(&tables[0])?, tables::days(&tables[1])?];
        let mut changed: Vec<(Partition, Inputs)> = vec![];
        for day in output {
            let days = PartitionRange {
                start: *day,
                end: *day,
            };
            let plan = self.plan(days)?;
            let inputs = digests.of_plan(&plan)?;
            let holds =
                |at: usize| records[at].holds_exactly(*day, &inputs, existing[at].contains(day));
            if !(holds(0) && holds(1)) {
                changed.push((*day, inputs));
            }
        }
        let mut outcome = Outcome::default();
        for days in chunks(changed.iter().map(|(day, _)| *day)) {
            for range in days.steps(runner.job.options.step_days) {
                let inputs = changed.iter().filter(|(day, _)| range.contains(*day));
                outcome.add(self.step(range, inputs, &outcome)?);
            }
        }
        Ok(outcome)
    }

    fn plan(&self, days: PartitionRange) -> Result<unskewed_planner::physical::DataflowPlan> {
        let run = LabeledRun {
            days,
            ..self.run.clone()
        };
        labeled(&run).map_err(Error::Definition)
    }

    /// Days whose training rows have gone.
    fn drop_gone(&self, tables: &[Table; 2], output: &Days) -> Result<()> {
        for table in tables {
            for day in tables::days(table)?.difference(output) {
                let key = PartitionKey::new([(PARTITION_COLUMN, day.to_string())]);
                table.drop_partition(&key)?;
            }
        }
        Ok(())
    }

    fn step<'b>(
        &self,
        days: PartitionRange,
        inputs: impl Iterator<Item = &'b (Partition, Inputs)>,
        so_far: &Outcome,
    ) -> Result<Outcome> {
        let runner = self.runner;
        let executed = step::execute(&self.plan(days)?, None, runner.context)?;
        executed.check_bad_rows(&runner.job.options, so_far)?;
        let schemas: BTreeMap<String, Schema> =
            [&self.run.tables.labeled, &self.run.tables.labeled_latest]
                .into_iter()
                .filter_map(|name| Some((name.clone(), executed.schema_of(name)?)))
                .collect();
        let mut done = executed.outcome();
        let inputs: Vec<&(Partition, Inputs)> = inputs.collect();
        executed.commit_each(
            |_| 0,
            |filled| {
                done.partitions_written += filled.partitions;
                self.note(
                    &filled.table,
                    &schemas[&filled.table],
                    &inputs,
                    &filled.days,
                )
            },
        )?;
        Ok(done)
    }

    fn note(
        &self,
        name: &str,
        schema: &Schema,
        inputs: &[&(Partition, Inputs)],
        written: &BTreeSet<Partition>,
    ) -> Result<()> {
        let tables = self.run.tables;
        let mut record = Record::of(&self.runner.table(name)?)?;
        for (day, inputs) in inputs {
            record.note([*day], inputs.clone(), written);
        }
        let more = vec![
            ("feature_table", tables.output.clone()),
            ("label_table", tables.labels.clone()),
            (inputs::PROPERTY, record.to_text()),
        ];
        self.runner.describe(name, "labeled", schema, more)
    }
}
