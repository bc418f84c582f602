//! `model-transform-batch`: applies a join's models to its rows, day by day.
//!
//! ```text
//! _pre_mt ─ a batch of rows ─ each model's inputs ─ backend ─ outputs beside what is kept ─► {join}
//! ```
//! Promises: a day is written whole or not at all, and is there as soon as it is done. A call that fails fails the job;
//! a row that a model has no answer for gets nulls in that model's columns, counts as a bad row and is sampled. So no
//! null stands for a fault unsaid. A day is made again when its rows changed, all days when the models did.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_select::filter::filter_record_batch;
use arrow_select::take::take_record_batch;
use arrow_select::zip::zip;
use serde_json::Value;
use unskewed_connectors::model::{FailedRow, Inferred, ModelBackend, ModelCall, open};
use unskewed_connectors::table::{
    PartitionKey, Selection, StagedPartition, Table, TableWrite, WriteOptions,
};
use unskewed_planner::definition::Join;
use unskewed_planner::diagnostic::Diagnostic;
use unskewed_planner::logical::{FeatureModel, FeatureModels, ModelOutput};
use unskewed_planner::naming::{PARTITION_COLUMN, TableSuffix};
use unskewed_planner::resolve::resolve_models;
use unskewed_planner::schema::Schema;
use unskewed_planner::semantic_hash::SemanticHashes;
use unskewed_planner::time::{Partition, PartitionRange};

use super::catalog::WarehouseCatalog;
use super::error::{Error, Result};
use super::inputs::{self, Digests, Inputs, Record};
use super::step;
use super::tables::{self, JoinTableNames, Written};
use super::{Context, Event, Job, Outcome, SAMPLES_MAX};
use crate::error::EngineError;
use crate::partitions::{Days, Holes, Request as HoleRequest, unfilled};

/// Runs the job.
pub(super) fn run(job: &Job, join: &Join, context: &Context<'_>) -> Result<Outcome> {
    let catalog = WarehouseCatalog::new(context.warehouse);
    let resolved = catalog.checked(resolve_models(join, &catalog))?;
    step::warn(&resolved.warnings, context);
    let models = resolved.value;
    let backends = backends(&models)?;
    let _locks = tables::lock(context.warehouse, std::slice::from_ref(&models.output))?;
    let source = context.warehouse.table(&models.source)?;
    if !source.exists()? {
        return Err(Error::NotComputed {
            table: models.source.clone(),
            job: "join",
        });
    }
    let hashes = fresh(join, &models, job.options.unset_semantic_hash, context)?;
    let runner = Runner {
        job,
        join,
        models: &models,
        backends: &backends,
        hashes: &hashes,
        context,
        source,
        output: context.warehouse.table(&models.output)?,
    };
    tables::check_columns(&runner.output, &models.output_schema(), true)?;
    runner.run()
}

/// The hashes of the table written. Rows of another definition are refused; outputs of one are set aside.
fn fresh(
    join: &Join,
    models: &FeatureModels,
    keep: bool,
    context: &Context<'_>,
) -> Result<SemanticHashes> {
    let hashes = SemanticHashes::of(join).expect("a join with an output namespace was resolved");
    let bootstrap = TableSuffix::Bootstrap.table(&join.meta_data);
    let names = |output: &str| JoinTableNames {
        output: output.into(),
        bootstrap: bootstrap.clone().unwrap_or_default(),
        parts: vec![],
    };
    if !keep {
        tables::check_output(context, &names(&models.source), &hashes)?;
    }
    let hashes = hashes.with_models(join);
    tables::set_output_aside(context, &names(&models.output), &hashes, keep)?;
    Ok(hashes)
}

/// What runs each model; all that cannot be opened are told at once.
fn backends(models: &FeatureModels) -> Result<Vec<Arc<dyn ModelBackend>>> {
    let (mut backends, mut problems) = (vec![], vec![]);
    for model in &models.models {
        match open(&model.backend, &model.parameters) {
            Ok(backend) => backends.push(backend),
            Err(error) => {
                let path = format!("{}.model.inferenceSpec", model.path);
                problems.push(Diagnostic::error(path, error.to_string()));
            }
        }
    }
    if problems.is_empty() {
        Ok(backends)
    } else {
        Err(Error::Definition(problems))
    }
}

struct Runner<'a> {
    job: &'a Job,
    join: &'a Join,
    models: &'a FeatureModels,
    backends: &'a [Arc<dyn ModelBackend>],
    hashes: &'a SemanticHashes,
    context: &'a Context<'a>,
    source: Table,
    output: Table,
}

impl Runner<'_> {
    fn run(&self) -> Result<Outcome> {
        let mut digests = Digests::new(self.context.warehouse);
        let holes = self.holes(&mut digests)?;
        let table = &self.models.output;
        let mut outcome = Outcome::default();
        for range in step::announce(table, &holes, &self.job.options, self.context) {
            self.context
                .watcher
                .on(&Event::StepStarted { table, range });
            let before = outcome.rows_out;
            for day in range.iter() {
                self.day(day, &mut digests, &mut outcome)?;
            }
            let rows = outcome.rows_out - before;
            self.context
                .watcher
                .on(&Event::StepDone { table, range, rows });
        }
        Ok(outcome)
    }

    /// The days that are missing, or were made of other rows than there are now.
    fn holes(&self, digests: &mut Digests<'_>) -> Result<Holes> {
        let options = &self.job.options;
        let inputs = [tables::days(&self.source)?];
        let mut existing = tables::days(&self.output)?;
        let first = existing.first().copied();
        self.forget_changed(&mut existing, &inputs[0], digests)?;
        // Days that changed are made again even if they were the first.
        let changed_first = existing.first().copied() != first;
        let historical = self.join.meta_data.historical_backfill != Some(false);
        unfilled(&HoleRequest {
            start: match historical {
                true => options.start_override,
                false => Some(options.end),
            },
            end: options.end,
            existing: &existing,
            inputs: Some(&inputs),
            shift_days: 0,
            skip_first_hole: !options.run_first_hole && !changed_first,
        })
        .map_err(|source| Error::NoStart {
            table: self.models.output.clone(),
            source,
        })
    }

    fn forget_changed(
        &self,
        existing: &mut Days,
        inputs: &Days,
        digests: &mut Digests<'_>,
    ) -> Result<()> {
        if existing.is_empty() {
            return Ok(());
        }
        let record = Record::of(&self.output)?;
        let known = existing
            .intersection(inputs)
            .filter(|day| record.knows(**day));
        let mut changed = vec![];
        for day in known {
            if !record.holds(*day, &self.inputs(*day, digests)?, true) {
                changed.push(*day);
            }
        }
        existing.retain(|day| !changed.contains(day));
        Ok(())
    }

    fn inputs(&self, day: Partition, digests: &mut Digests<'_>) -> Result<Inputs> {
        let day = PartitionRange {
            start: day,
            end: day,
        };
        digests.of_table(&self.models.source, &inputs::between(PARTITION_COLUMN, day))
    }

    /// Computes a day and puts it in place.
    fn day(&self, day: Partition, digests: &mut Digests<'_>, outcome: &mut Outcome) -> Result<()> {
        let inputs = self.inputs(day, digests)?;
        let write = self.output.begin_write()?;
        let staged = self.stage(day, &write, outcome)?;
        self.check_bad_rows(outcome)?;
        let written = match staged {
            Some(staged) => {
                let committed = write.commit(vec![staged])?;
                outcome.rows_out += committed.rows;
                outcome.partitions_written += committed.partitions.len() as u64;
                BTreeSet::from([day])
            }
            None => BTreeSet::new(),
        };
        let mut record = Record::of(&self.output)?;
        record.note([day], inputs, &written);
        let written = Written {
            kind: "join",
            meta_data: &self.join.meta_data,
            hashes: Some(self.hashes),
            more: vec![(inputs::PROPERTY, record.to_text())],
        };
        tables::describe(&self.output, &self.models.output_schema(), &written)
    }

    fn check_bad_rows(&self, outcome: &Outcome) -> Result<()> {
        match self.job.options.max_bad_rows {
            Some(allowed) if outcome.bad_rows > allowed => Err(Error::TooManyBadRows {
                count: outcome.bad_rows,
                allowed,
                first: outcome.bad_samples.first().cloned().unwrap_or_default(),
            }),
            _ => Ok(()),
        }
    }

    /// Stages a day's rows; none if it has no rows.
    fn stage(
        &self,
        day: Partition,
        write: &TableWrite,
        outcome: &mut Outcome,
    ) -> Result<Option<StagedPartition>> {
        let day = day.to_string();
        let selection = Selection::all().equal(PARTITION_COLUMN, &day);
        let schema = self.models.output_schema();
        let key = PartitionKey::new([(PARTITION_COLUMN, day)]);
        let mut writer = write.writer(&schema, &key, 0, &WriteOptions::default())?;
        for split in self.source.splits(&selection)? {
            let mut reader = split.open(&self.models.rows, &[])?;
            while let Some(rows) = reader.next_batch()? {
                outcome.rows_in += rows.num_rows() as u64;
                let columns = self.transformed(&rows, &key, outcome)?;
                writer.write(&with_rows(&schema, columns, rows.num_rows())?)?;
            }
        }
        if writer.rows() == 0 {
            return Ok(None);
        }
        Ok(Some(writer.finish()?))
    }

    /// The columns of the table for a batch of rows.
    fn transformed(
        &self,
        rows: &RecordBatch,
        place: &PartitionKey,
        outcome: &mut Outcome,
    ) -> Result<Vec<ArrayRef>> {
        let is_day = |index: &&usize| self.models.rows.fields[**index].name == PARTITION_COLUMN;
        let kept = || self.models.kept.iter();
        let column = |index: &usize| Arc::clone(rows.column(*index));
        let others = kept().filter(|index| !is_day(index));
        let mut columns: Vec<ArrayRef> = others.map(column).collect();
        for (model, backend) in self.models.models.iter().zip(self.backends) {
            let inferred = self.infer(model, backend.as_ref(), rows)?;
            outcome.add(bad_rows(model, &inferred.failed, place));
            for (output, given) in model.outputs.iter().zip(inferred.outputs.columns()) {
                columns.push(bootstrapped_first(output, given, rows)?);
            }
        }
        columns.extend(kept().filter(is_day).map(column));
        Ok(columns)
    }

    fn infer(
        &self,
        model: &FeatureModel,
        backend: &dyn ModelBackend,
        rows: &RecordBatch,
    ) -> Result<Inferred> {
        let inputs = model.input_schema();
        let columns = model.inputs.iter().map(|input| {
            let (column, wanted) = (rows.column(input.column), input.field.data_type.to_arrow());
            arrow_cast::cast(column, &wanted).map_err(EngineError::Arrow)
        });
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        let inputs = with_rows(&inputs, columns, rows.num_rows())?;
        let context = self.job.options.model_context.as_ref();
        let call = ModelCall {
            model: &model.name,
            parameters: &model.parameters,
            context: context.unwrap_or(&Value::Null),
            outputs: &model.output_schema(),
        };
        let Some(asking) = asking(model, rows) else {
            return Ok(backend.infer(&call, &inputs)?);
        };
        let asked = filter_record_batch(&inputs, &asking).map_err(EngineError::Arrow)?;
        let inferred = backend.infer(&call, &asked)?;
        let mut next = 0..;
        let places = asking.values().iter();
        let places: UInt32Array = places
            .map(|asks| asks.then(|| next.next()).flatten())
            .collect();
        let outputs = take_record_batch(&inferred.outputs, &places).map_err(EngineError::Arrow)?;
        Ok(Inferred {
            outputs,
            ..inferred
        })
    }
}

/// The rows that lack any of a model's outputs; `None` if all rows ask.
fn asking(model: &FeatureModel, rows: &RecordBatch) -> Option<BooleanArray> {
    let brought = model.outputs.iter().map(|output| output.bootstrapped);
    let brought = brought.collect::<Option<Vec<usize>>>()?;
    let lacks = |row| {
        brought
            .iter()
            .any(|column| rows.column(*column).is_null(row))
    };
    Some((0..rows.num_rows()).map(|row| Some(lacks(row))).collect())
}

/// The rows that a model had no answer for, counted and sampled.
fn bad_rows(model: &FeatureModel, failed: &[FailedRow], place: &PartitionKey) -> Outcome {
    let sample =
        |failed: &FailedRow| format!("model {}, a row of {place}: {}", model.name, failed.reason);
    Outcome {
        bad_rows: failed.len() as u64,
        bad_samples: failed.iter().take(SAMPLES_MAX).map(sample).collect(),
        ..Outcome::default()
    }
}

/// An output's column: bootstrapped values stand before the model's.
fn bootstrapped_first(
    output: &ModelOutput,
    given: &ArrayRef,
    rows: &RecordBatch,
) -> Result<ArrayRef> {
    let Some(index) = output.bootstrapped else {
        return Ok(Arc::clone(given));
    };
    let brought = rows.column(index);
    let there: BooleanArray = (0..rows.num_rows())
        .map(|row| Some(brought.is_valid(row)))
        .collect();
    Ok(zip(&there, brought, given).map_err(EngineError::Arrow)?)
}

fn with_rows(schema: &Schema, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::new(schema.to_arrow()), columns, &options);
    Ok(batch.map_err(EngineError::Arrow)?)
}
