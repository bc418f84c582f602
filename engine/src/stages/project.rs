//! Drops rows and computes columns: one plan node's projection, compiled.
//!
//! Promises: a row's fate and values depend on the row alone. Rows dropped for being bad are
//! counted, and the first few
//! are kept as samples. Never reorders rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_buffer::BooleanBuffer;
use arrow_row::{RowConverter, SortField};
use arrow_select::filter::{filter, filter_record_batch};
use unskewed_kernel::eval::{Program, RowGenerator};
use unskewed_planner::physical::{Project, Requirement};
use unskewed_planner::schema::Schema;

use super::Changes;
use super::facts::LeftFacts;
use crate::error::EngineError;

/// Samples kept of each kind of bad row.
const SAMPLES_MAX: usize = 3;

/// A compiled projection.
#[derive(Debug)]
pub struct Projector {
    label: String,
    filters: Vec<Program>,
    generator: Option<(RowGenerator, Vec<arrow_schema::Field>)>,
    columns: Vec<Program>,
    output: arrow_schema::SchemaRef,
    output_filters: Vec<Program>,
    requirements: Vec<Check>,
    bad: BTreeMap<String, BadRows>,
}

/// Rows left out because of what they hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BadRows {
    /// How many.
    pub count: u64,
    /// The first few, as text.
    pub samples: Vec<String>,
}

/// A compiled requirement.
#[derive(Debug)]
enum Check {
    AnyNotNull(Vec<usize>),
    CountNull(usize),
    CountBefore { column: usize, millis: i64 },
    FailNull(usize),
    OneOf { column: usize, values: ValueSet },
    KnownEntries { column: usize, known: Vec<String> },
}

/// The values of a column, to test others against.
#[derive(Debug)]
struct ValueSet {
    converter: RowConverter,
    values: std::collections::BTreeSet<Vec<u8>>,
}

impl ValueSet {
    fn new(values: &ArrayRef) -> Result<Self, EngineError> {
        let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
        let rows = converter.convert_columns(&[Arc::clone(values)])?;
        let values = rows.iter().map(|row| row.as_ref().to_vec()).collect();
        Ok(Self { converter, values })
    }

    fn contains(&self, column: &ArrayRef) -> Result<BooleanArray, EngineError> {
        let rows = self.converter.convert_columns(&[Arc::clone(column)])?;
        let found = |i| column.is_valid(i) && self.values.contains(rows.row(i).as_ref());
        Ok(BooleanArray::new(
            BooleanBuffer::collect_bool(column.len(), found),
            None,
        ))
    }
}

impl Projector {
    /// Compiles a projection. `facts` are the left's, by number, where a requirement asks for its values.
    pub fn new(
        label: &str,
        project: &Project,
        output: &Schema,
        facts: &[LeftFacts],
    ) -> Result<Self, EngineError> {
        let compiled = |exprs: &[unskewed_planner::expr::Expr]| {
            exprs
                .iter()
                .map(Program::new)
                .collect::<Result<Vec<_>, _>>()
        };
        let mut requirements = Vec::new();
        for requirement in &project.requirements {
            requirements.push(match requirement {
                Requirement::AnyNotNull(columns) => Check::AnyNotNull(columns.clone()),
                Requirement::CountNull(column) => Check::CountNull(*column),
                Requirement::CountBefore { column, millis } => Check::CountBefore {
                    column: *column,
                    millis: *millis,
                },
                Requirement::FailNull(column) => Check::FailNull(*column),
                Requirement::KnownEntries { column, known } => Check::KnownEntries {
                    column: *column,
                    known: known.clone(),
                },
                Requirement::InLeft {
                    column,
                    facts: number,
                    left_column,
                } => {
                    // Facts of a large left hold no values: then nothing is left out.
                    match facts
                        .get(*number)
                        .and_then(|f| f.key_values.as_ref())
                        .and_then(|v| v.get(left_column))
                    {
                        Some(values) => Check::OneOf {
                            column: *column,
                            values: ValueSet::new(values)?,
                        },
                        None => continue,
                    }
                }
            });
        }
        let generator = match &project.generator {
            Some(generator) => {
                let fields = generator
                    .columns
                    .iter()
                    .map(unskewed_planner::schema::Field::to_arrow);
                Some((RowGenerator::new(generator)?, fields.collect()))
            }
            None => None,
        };
        Ok(Self {
            label: label.into(),
            filters: compiled(&project.filters)?,
            generator,
            columns: compiled(&project.columns)?,
            output: output.to_arrow().into(),
            output_filters: compiled(&project.output_filters)?,
            requirements,
            bad: BTreeMap::new(),
        })
    }

    /// The rows that stay, with the computed columns.
    pub fn apply(&mut self, input: &RecordBatch, changes: Changes) -> Result<Changes, EngineError> {
        let mut rows = Kept::all(changes);
        let mut batch = input.clone();
        for condition in &self.filters {
            let mask = condition.select(&batch)?;
            batch = rows.keep(&batch, &mask)?;
        }
        if let Some((generator, fields)) = &self.generator {
            let generated = generator.generate(&batch)?;
            let taken = UInt32Array::from(generated.rows);
            let mut columns = batch
                .columns()
                .iter()
                .map(|c| arrow_select::take::take(c, &taken, None))
                .collect::<Result<Vec<_>, _>>()?;
            let input = batch.schema();
            let fields: Vec<_> = input
                .fields()
                .iter()
                .map(|f| f.as_ref().clone())
                .chain(fields.clone())
                .collect();
            columns.extend(generated.columns);
            rows.take(taken.values());
            batch = with_rows(
                arrow_schema::Schema::new(fields).into(),
                columns,
                taken.len(),
            )?;
        }
        let count = batch.num_rows();
        let columns = self
            .columns
            .iter()
            .map(|c| c.evaluate(&batch))
            .collect::<Result<Vec<_>, _>>()?;
        let mut batch = with_rows(Arc::clone(&self.output), columns, count)?;
        for condition in &self.output_filters {
            let mask = condition.select(&batch)?;
            batch = rows.keep(&batch, &mask)?;
        }
        for check in 0..self.requirements.len() {
            if let Some(mask) = self.check(check, &batch, &rows)? {
                batch = rows.keep(&batch, &mask)?;
            }
        }
        Ok(Changes {
            columns: batch.columns().to_vec(),
            ..rows.changes
        })
    }

    /// Counts a row that cannot be computed.
    pub fn refuse(&mut self, reason: &str) {
        let place = format!("{}: {reason}", self.label);
        self.bad.entry(place).or_default().count += 1;
    }

    /// Rows left out since the last call, by reason.
    pub fn take_bad_rows(&mut self) -> BTreeMap<String, BadRows> {
        std::mem::take(&mut self.bad)
    }

    /// The rows that meet a requirement; `None` if all do.
    fn check(
        &mut self,
        check: usize,
        batch: &RecordBatch,
        rows: &Kept,
    ) -> Result<Option<BooleanArray>, EngineError> {
        let valid = |column: usize| {
            let column = batch.column(column);
            BooleanArray::new(
                BooleanBuffer::collect_bool(column.len(), |i| column.is_valid(i)),
                None,
            )
        };
        let (column, fails) = match &self.requirements[check] {
            Check::AnyNotNull(columns)
                if columns.iter().any(|c| batch.column(*c).null_count() == 0) =>
            {
                return Ok(None);
            }
            Check::AnyNotNull(columns) => {
                let any = |i| columns.iter().any(|c| batch.column(*c).is_valid(i));
                let any = BooleanBuffer::collect_bool(batch.num_rows(), any);
                return Ok(Some(BooleanArray::new(any, None)));
            }
            Check::OneOf { column, values } => {
                return values.contains(batch.column(*column)).map(Some);
            }
            Check::KnownEntries { column, known } => {
                return self.check_entries(batch, *column, known).map(|()| None);
            }
            Check::CountBefore { column, millis } => {
                let (times, millis) = (batch.column(*column), *millis);
                let times = times.as_primitive::<Int64Type>();
                let mask: BooleanArray = times.iter().map(|t| Some(t >= Some(millis))).collect();
                let reason = format!("{} is too long ago", self.output.field(*column).name());
                self.count(&reason, &mask, batch, rows);
                return Ok(Some(mask));
            }
            Check::CountNull(column) => (*column, false),
            Check::FailNull(column) => (*column, true),
        };
        if batch.column(column).null_count() == 0 {
            return Ok(None);
        }
        let mask = valid(column);
        let name = self.output.field(column).name().clone();
        if fails {
            let first = (0..mask.len()).find(|row| !mask.value(*row));
            return Err(EngineError::NullValue {
                place: self.label.clone(),
                column: name,
                sample: sample(batch, first.unwrap_or(0)),
            });
        }
        self.count(&format!("{name} is null"), &mask, batch, rows);
        Ok(Some(mask))
    }

    /// Counts and samples the rows that a mask leaves out.
    fn count(&mut self, reason: &str, mask: &BooleanArray, batch: &RecordBatch, rows: &Kept) {
        if mask.true_count() == mask.len() {
            return;
        }
        let reason = format!("{}: {reason}", self.label);
        let counted = self.bad.entry(reason).or_default();
        for row in (0..mask.len()).filter(|row| !mask.value(*row)) {
            counted.count += rows.changes.diff.get(row).unsigned_abs();
            if counted.samples.len() < SAMPLES_MAX {
                counted.samples.push(sample(batch, row));
            }
        }
    }

    /// Fails on the first entry of a list that is not known.
    fn check_entries(
        &self,
        batch: &RecordBatch,
        column: usize,
        known: &[String],
    ) -> Result<(), EngineError> {
        let lists = batch.column(column).as_list::<i32>();
        for row in (0..lists.len()).filter(|row| lists.is_valid(*row)) {
            let entries = lists.value(row);
            let mut entries = entries.as_string::<i32>().iter().flatten();
            if let Some(entry) = entries.find(|entry| known.iter().all(|k| k != entry)) {
                return Err(EngineError::UnknownEntry {
                    place: self.label.clone(),
                    column: self.output.field(column).name().clone(),
                    entry: entry.into(),
                    sample: sample(batch, row),
                });
            }
        }
        Ok(())
    }
}

/// Positions and diffs that follow the rows of a batch.
struct Kept {
    changes: Changes,
}

impl Kept {
    fn all(changes: Changes) -> Self {
        Self {
            changes: Changes {
                columns: Vec::new(),
                ..changes
            },
        }
    }

    fn keep(
        &mut self,
        batch: &RecordBatch,
        mask: &BooleanArray,
    ) -> Result<RecordBatch, EngineError> {
        if mask.true_count() == mask.len() {
            return Ok(batch.clone());
        }
        let numbers: ArrayRef = Arc::new(UInt32Array::from_iter_values(0..mask.len() as u32));
        let kept = filter(&numbers, mask)?;
        let kept = kept
            .as_any()
            .downcast_ref::<UInt32Array>()
            .map(|k| k.values().to_vec());
        self.take(&kept.unwrap_or_default());
        Ok(filter_record_batch(batch, mask)?)
    }

    fn take(&mut self, rows: &[u32]) {
        self.changes.position = rows
            .iter()
            .map(|r| self.changes.position[*r as usize])
            .collect();
        self.changes.diff = self.changes.diff.take(rows);
    }
}

fn with_rows(
    schema: arrow_schema::SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, EngineError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

/// A row as text, for a message.
fn sample(batch: &RecordBatch, row: usize) -> String {
    let schema = batch.schema();
    let cells = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            let value = arrow_cast::display::array_value_to_string(column, row);
            let value = if column.is_null(row) {
                "null".into()
            } else {
                value.unwrap_or_default()
            };
            format!(
                "{}={}",
                field.name(),
                value.chars().take(40).collect::<String>()
            )
        });
    cells.collect::<Vec<_>>().join(", ")
}
