//! `join`, `join-left`, `join-final` and single parts: fills the training table of a join and the tables it rests on.
//!
//! ```text
//! left rows ─ facts ─ which parts hold? ─ one plan: left table, part tables, output ─ commit, oldest step first
//! ```
//! Promises: within a step the left table is committed first, then part tables with what they were computed from, the
//! output last: a day of the output is there only if everything it rests on is. A part's day is used again only while
//! all that would be read for it is unchanged.

mod mode;

use std::collections::BTreeSet;

use unskewed_connectors::table::Table;
use unskewed_planner::definition::{DataModel, GroupBy, Join};
use unskewed_planner::logical::{FeatureJoin, FeaturePart};
use unskewed_planner::lower::{
    JoinRun, LeftFacts, LeftOrigin, PartMode, Request, holds_left_keys_only, lower, part_query_days,
};
use unskewed_planner::naming::PARTITION_COLUMN;
use unskewed_planner::resolve::{parents_of_group_by, resolve_join};
use unskewed_planner::schema::Schema;
use unskewed_planner::semantic_hash::SemanticHashes;
use unskewed_planner::time::{Partition, PartitionRange};

use super::catalog::WarehouseCatalog;
use super::chain::{self, Wanted};
use super::error::{Error, Result};
use super::inputs::{self, Digests, Inputs, Record};
use super::step::{self, Executed, Facts};
use super::tables::{self, JoinTableNames, Written};
use super::{Context, Event, Job, Kind, Options, Outcome};
use crate::partitions::{Days, Holes, Request as HoleRequest, unfilled};
use mode::Mode;

/// Values as of midnight are computed for a century of days at most in one step.
const ASKED_DAYS_MAX: usize = 36_525;

/// Runs one of the jobs on a join.
pub(super) fn run(job: &Job, join: &Join, context: &Context<'_>) -> Result<Outcome> {
    let catalog = WarehouseCatalog::new(context.warehouse);
    let resolved = catalog.checked(resolve_join(join, &catalog))?;
    step::warn(&resolved.warnings, context);
    let feature = resolved.value;
    if !feature.setups.is_empty() {
        let text = "setup statements are not run: there is no Spark session they could change";
        context.watcher.on(&Event::Warning(text));
    }
    let mode = Mode::of(job, &feature)?;
    let hashes = SemanticHashes::of(join).expect("a join with an output namespace was resolved");
    let names = JoinTableNames {
        output: feature.tables.output.clone(),
        bootstrap: feature.tables.bootstrap.clone(),
        parts: feature
            .parts
            .iter()
            .map(|part| part.table.clone())
            .collect(),
    };
    let _locks = tables::lock(context.warehouse, &mode.written(&feature))?;
    if job.kind != Kind::JoinFinal {
        tables::set_aside(context, &names, &hashes, job.options.unset_semantic_hash)?;
    }
    let target = context.warehouse.table(mode.target(&feature))?;
    mode.check_columns(&feature, context)?;
    let runner = Runner {
        job,
        join,
        feature: &feature,
        mode: &mode,
        hashes: &hashes,
        context,
    };
    let holes = runner.holes(&target, &catalog)?;
    let wanted = runner.wanted_of_parents(holes.hull())?;
    if wanted.is_empty() {
        return runner.run(&holes);
    }
    let mut outcome = chain::fill(wanted, &job.options, context)?;
    // What parents wrote is there now: the same definition, over the tables as they are.
    let catalog = WarehouseCatalog::new(context.warehouse);
    let feature = catalog.checked(resolve_join(join, &catalog))?.value;
    let runner = Runner {
        feature: &feature,
        ..runner
    };
    outcome.add(runner.run(&holes)?);
    Ok(outcome)
}

/// How a part takes part in a step.
struct PartStep {
    mode: PartMode,
    /// The days of its table that the step asks for, and what they are computed from.
    computed: Option<(Days, Inputs)>,
}

struct Runner<'a> {
    job: &'a Job,
    join: &'a Join,
    feature: &'a FeatureJoin,
    mode: &'a Mode,
    hashes: &'a SemanticHashes,
    context: &'a Context<'a>,
}

impl Runner<'_> {
    fn options(&self) -> &Options {
        &self.job.options
    }

    fn table(&self, name: &str) -> Result<Table> {
        Ok(self.context.warehouse.table(name)?)
    }

    /// Computes the missing days, step by step.
    fn run(&self, holes: &Holes) -> Result<Outcome> {
        let table = self.mode.target(self.feature);
        self.warn_of_short_history(holes.hull());
        let steps = step::announce(table, holes, self.options(), self.context);
        let watcher = self.context.watcher;
        let mut digests = Digests::new(self.context.warehouse);
        let mut outcome = Outcome::default();
        for range in steps {
            watcher.on(&Event::StepStarted { table, range });
            let done = self.step(range, &mut digests, &outcome)?;
            let rows = done.rows_out;
            outcome.add(done);
            watcher.on(&Event::StepDone { table, range, rows });
        }
        Ok(outcome)
    }

    /// The parents of the parts that are computed, each with the last day that the left asks of it in these days. A
    /// part as of its rows' times asks for the day before the last only: its parent may not have the last one yet.
    fn wanted_of_parents(&self, days: Option<PartitionRange>) -> Result<Vec<Wanted<'_>>> {
        let Some(days) = days.filter(|_| self.mode.computes_all()) else {
            return Ok(vec![]);
        };
        let external = self.join.external_parts().iter();
        let external = external.filter_map(|part| part.source.offline_group_by.as_deref());
        let regular = self.join.parts().iter().map(|part| &part.group_by);
        let group_bys: Vec<&GroupBy> = regular.chain(external).collect();
        let of_part = |index: usize| {
            parents_of_group_by(group_bys[index], &self.feature.parts[index].group.path)
        };
        if (0..group_bys.len()).all(|index| of_part(index).is_empty()) {
            return Ok(vec![]);
        }
        let facts = self.facts(days)?.facts;
        let mut wanted = vec![];
        for (index, part) in self.feature.parts.iter().enumerate() {
            let facts = &facts[self.feature.asker_of(index)];
            let Some(asked) = part_query_days(&self.feature.left, part, facts) else {
                continue;
            };
            let back = if part.method.is_temporal() { -1 } else { 0 };
            let end = asked.end.plus_days(back);
            wanted.extend(
                of_part(index)
                    .into_iter()
                    .map(|parent| Wanted { parent, end }),
            );
        }
        Ok(wanted)
    }

    /// Facts about the left rows of these days.
    fn facts(&self, days: PartitionRange) -> Result<Facts> {
        let request = Request::LeftFacts {
            join: self.feature,
            days,
            left: self.mode.left,
        };
        let plan = lower(&[request]).map_err(Error::Definition)?;
        let mut asked = step::execute(&plan, None, self.context)?;
        let facts = asked.take_facts(self.feature.askers().len());
        self.check_times(days, &facts)?;
        Ok(facts)
    }

    /// A wrong unit of time would ask for the values of millions of days.
    fn check_times(&self, days: PartitionRange, facts: &Facts) -> Result<()> {
        for part in self
            .feature
            .parts
            .iter()
            .filter(|part| !part.method.is_temporal())
        {
            for facts in &facts.facts {
                let asked = part_query_days(&self.feature.left, part, facts);
                if let Some(asked) = asked.filter(|asked| asked.days() > ASKED_DAYS_MAX) {
                    return Err(Error::TimesTooFar {
                        days,
                        first: asked.start,
                        last: asked.end,
                    });
                }
            }
        }
        Ok(())
    }

    /// The missing days of the target.
    fn holes(&self, target: &Table, catalog: &WarehouseCatalog<'_>) -> Result<Holes> {
        let options = self.options();
        let rows = &self.feature.left.rows;
        let (allowed_start, allowed_end) = rows.allowed;
        let end = allowed_end.map_or(options.end, |allowed| allowed.min(options.end));
        let historical = self.join.meta_data.historical_backfill != Some(false);
        let start = match historical {
            true => options.start_override.or(allowed_start),
            false => Some(end),
        };
        let inputs = match self.mode.left {
            LeftOrigin::Cached => Some(tables::days_of_job(
                &self.table(&self.feature.tables.bootstrap)?,
                "join-left",
            )?),
            LeftOrigin::Source if !rows.partition.partitioned => None,
            LeftOrigin::Source => Some(catalog.days(&rows.table, &rows.partition.name)?),
        };
        let inputs = inputs.map(|days| [days]);
        let mut existing = tables::days(target)?;
        let first = existing.first().copied();
        if self.job.kind == Kind::JoinLeft {
            self.forget_changed(target, &mut existing)?;
        }
        let mut request = HoleRequest {
            start,
            end,
            existing: &existing,
            inputs: inputs.as_ref().map(|days| &days[..]),
            shift_days: 0,
            skip_first_hole: !options.run_first_hole,
        };
        // Days that changed are computed again even if they were the first.
        let changed_first = existing.first().copied() != first;
        request.skip_first_hole &= !changed_first;
        unfilled(&request).map_err(|source| Error::NoStart {
            table: target.name(),
            source,
        })
    }

    /// Takes out the days of the left table that were computed from other files than there are now.
    fn forget_changed(&self, target: &Table, existing: &mut Days) -> Result<()> {
        if !target.exists()? {
            return Ok(());
        }
        let record = Record::of(target)?;
        let mut digests = Digests::new(self.context.warehouse);
        let mut changed = vec![];
        for day in existing.iter().filter(|day| record.knows(**day)) {
            let range = PartitionRange {
                start: *day,
                end: *day,
            };
            let inputs = self.inputs_of(range, None, &[], &mut digests)?;
            if !record.holds(*day, &inputs, true) {
                changed.push(*day);
            }
        }
        for day in changed {
            existing.remove(&day);
        }
        Ok(())
    }

    /// A part whose source begins later than its windows reach is worth a word: its first values look at less.
    fn warn_of_short_history(&self, days: Option<PartitionRange>) {
        let Some(days) = days else { return };
        for part in &self.feature.parts {
            let Some(window) = part.group.max_window.millis() else {
                continue;
            };
            let reach = days.start.start_millis().saturating_sub(window);
            let wanted = Partition::of_millis(reach);
            let firsts = part
                .group
                .sources
                .iter()
                .filter_map(|source| source.available);
            let first = firsts.map(|(first, _)| first).min();
            let Some(first) = first.filter(|first| *first > wanted) else {
                continue;
            };
            let text = format!(
                "part {}: its windows reach back to {wanted}, but its sources begin on {first}",
                part.full_prefix
            );
            self.context.watcher.on(&Event::Note(&text));
        }
    }

    fn step(
        &self,
        days: PartitionRange,
        digests: &mut Digests<'_>,
        so_far: &Outcome,
    ) -> Result<Outcome> {
        let facts = self.facts(days)?;
        if facts.facts[0].rows == 0 {
            let text = format!("the left has no rows on {days}; nothing is written");
            self.context.watcher.on(&Event::Note(&text));
            return Ok(Outcome::default());
        }
        let mut parts = vec![];
        for index in 0..self.feature.parts.len() {
            parts.push(self.part_step(index, days, &facts.facts, digests)?);
        }
        let left_inputs = match self.mode.write_left {
            true => Some(self.inputs_of(days, None, &[], digests)?),
            false => None,
        };
        let run = JoinRun {
            join: self.feature,
            days,
            left: self.mode.left,
            facts: facts.facts.clone(),
            write_left: self.mode.write_left,
            parts: parts.iter().map(|part| part.mode).collect(),
            write_output: self.mode.write_output,
            unique_parts: self.options().unique_parts,
        };
        let plan = lower(&[Request::Join(run)]).map_err(Error::Definition)?;
        if plan.nodes.is_empty() {
            return Ok(Outcome::default());
        }
        let executed = step::execute(&plan, Some(&facts), self.context)?;
        executed.check_bad_rows(self.options(), so_far)?;
        self.commit(days, executed, parts, left_inputs)
    }

    /// Whether a part is computed, read from its table or left out, in this step.
    fn part_step(
        &self,
        index: usize,
        days: PartitionRange,
        facts: &[LeftFacts],
        digests: &mut Digests<'_>,
    ) -> Result<PartStep> {
        let absent = PartStep {
            mode: PartMode::Absent,
            computed: None,
        };
        if !self.mode.computes(index) {
            return Ok(absent);
        }
        let part = &self.feature.parts[index];
        let table = self.table(&part.table)?;
        if self.mode.final_only {
            if table.exists()? {
                return Ok(PartStep {
                    mode: PartMode::Cached,
                    computed: None,
                });
            }
            let text = format!(
                "part table {} is not there; its columns are null",
                part.table
            );
            self.context.watcher.on(&Event::Warning(&text));
            return Ok(absent);
        }
        let write = self.mode.write_parts;
        if !write {
            return Ok(PartStep {
                mode: PartMode::Computed { write },
                computed: None,
            });
        }
        let asked = self.table_days(part, days, &facts[self.feature.asker_of(index)]);
        let inputs = self.inputs_of(days, Some(index), facts, digests)?;
        let record = Record::of(&table)?;
        let existing = tables::days(&table)?;
        let mut asked_days = asked.iter();
        let holds = asked_days.all(|day| record.holds(*day, &inputs, existing.contains(day)));
        if holds && !asked.is_empty() {
            let used = self.mode.write_output;
            let mode = if used {
                PartMode::Cached
            } else {
                PartMode::Absent
            };
            return Ok(PartStep {
                mode,
                computed: None,
            });
        }
        Ok(PartStep {
            mode: PartMode::Computed { write },
            computed: Some((asked, inputs)),
        })
    }

    /// The days of a part's table that hold the values of these left days.
    fn table_days(&self, part: &FeaturePart, days: PartitionRange, facts: &LeftFacts) -> Days {
        let by_left_day =
            part.method.is_temporal() || self.feature.left.model == DataModel::Entities;
        let range = match by_left_day {
            true => Some(days),
            false => part_query_days(&self.feature.left, part, facts),
        };
        range.into_iter().flat_map(|range| range.iter()).collect()
    }

    /// Everything that is read for a part in these days, the left included; for the left table alone without a part.
    fn inputs_of(
        &self,
        days: PartitionRange,
        part: Option<usize>,
        facts: &[LeftFacts],
        digests: &mut Digests<'_>,
    ) -> Result<Inputs> {
        let mode = |index| match part == Some(index) {
            true => PartMode::Computed { write: true },
            false => PartMode::Absent,
        };
        let run = JoinRun {
            join: self.feature,
            days,
            left: self.mode.left,
            facts: facts.to_vec(),
            write_left: part.is_none(),
            parts: (0..self.feature.parts.len()).map(mode).collect(),
            write_output: false,
            unique_parts: false,
        };
        let plan = lower(&[Request::Join(run)]).map_err(Error::Definition)?;
        let mut inputs = digests.of_plan(&plan)?;
        if let Some(index) = part
            && self.mode.write_output
            && holds_left_keys_only(
                &self.feature.parts[index],
                &facts[self.feature.asker_of(index)],
            )
        {
            let request = Request::LeftFacts {
                join: self.feature,
                days,
                left: self.mode.left,
            };
            let plan = lower(&[request]).map_err(Error::Definition)?;
            for (table, files) in digests.of_plan(&plan)? {
                inputs.entry(table).or_default().extend(files);
            }
        }
        Ok(inputs)
    }

    /// Puts a step's partitions in place, the output last, and notes what they were computed from.
    fn commit(
        &self,
        days: PartitionRange,
        executed: Executed,
        parts: Vec<PartStep>,
        left_inputs: Option<Inputs>,
    ) -> Result<Outcome> {
        let mut done = executed.outcome();
        let tables = &self.feature.tables;
        let order = |name: &str| match name {
            name if name == tables.bootstrap => 0,
            name if name == tables.output => 2,
            _ => 1,
        };
        let mut left = left_inputs.map(|inputs| (days.iter().collect::<Days>(), inputs));
        let mut computed: Vec<_> = parts.into_iter().map(|part| part.computed).collect();
        executed.commit_each(order, |filled| {
            done.partitions_written += filled.days.len() as u64;
            let name = filled.table.as_str();
            let (kind, schema, noted) = if name == tables.output {
                done.rows_out += filled.rows;
                ("join", self.feature.output_schema(), None)
            } else if name == tables.bootstrap {
                ("bootstrap", self.feature.bootstrap_schema(), left.take())
            } else {
                let index = self
                    .feature
                    .parts
                    .iter()
                    .position(|part| part.table == name);
                let index = index.expect("sinks of a join are its own tables");
                let schema = self.feature.parts[index].table_schema.clone();
                ("join_part", schema, computed[index].take())
            };
            self.describe(name, kind, &schema, noted, &filled.days)
        })?;
        Ok(done)
    }

    fn describe(
        &self,
        name: &str,
        kind: &str,
        schema: &Schema,
        noted: Option<(Days, Inputs)>,
        written: &BTreeSet<Partition>,
    ) -> Result<()> {
        let table = self.table(name)?;
        let mut more = vec![];
        if let Some((days, inputs)) = noted {
            let mut record = Record::of(&table)?;
            record.note(days, inputs, written);
            more.push((inputs::PROPERTY, record.to_text()));
        }
        let written = Written {
            kind,
            meta_data: &self.join.meta_data,
            hashes: Some(self.hashes),
            more,
        };
        debug_assert!(
            schema.field(PARTITION_COLUMN).is_some(),
            "{name} has its days"
        );
        tables::describe(&table, schema, &written)
    }
}
