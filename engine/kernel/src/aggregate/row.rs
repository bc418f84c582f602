//! The parts of a group-by, compiled against the columns they read.
//!
//! Parts that differ in nothing but the window share one base column: its states are folded once and serve all
//! windows. Promises columns in the order of the parts. Never decides which rows a window holds; the loops it is
//! given do.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use unskewed_planner::aggregation::{AggregatePart, InputShape, Operation};
use unskewed_planner::schema::{DataType, Field, Schema};
use unskewed_planner::time::Window;

use super::WorkOrder;
use super::bind::{bind, elements_of, in_output_type, work_order};
use super::fold::{Inputs, Visitor};
use super::stored::{self, Stored};
use crate::error::KernelError;
use crate::run::Needs;
use crate::window::Resolution;

/// The compiled parts.
#[derive(Clone, Debug)]
pub struct RowAggregate {
    bases: Vec<Base>,
    output: Vec<Field>,
    windows: Vec<Window>,
    stored: bool,
}

/// One state over some windows.
#[derive(Clone, Debug)]
struct Base {
    /// Any of its parts: they differ in window and name only.
    part: AggregatePart,
    /// Position of the input column.
    input: usize,
    /// Position of the bucketing column.
    bucket: Option<usize>,
    /// Its windows, as positions in [`RowAggregate::windows`].
    windows: Vec<usize>,
    /// Which part takes its column from where.
    answers: Vec<Answer>,
    /// Whether this is an AVERAGE that answers the SUM of the same input too, from one state.
    with_sum: bool,
}

/// A part's column among those of its base.
#[derive(Clone, Copy, Debug)]
struct Answer {
    /// Position of the part.
    part: usize,
    /// Position among the base's windows.
    window: usize,
    /// Whether it is the SUM beside an AVERAGE.
    sum: bool,
}

impl Base {
    /// Whether the part can be answered by this base, and if so whether as the SUM beside its AVERAGE.
    fn answers(&self, part: &AggregatePart) -> Option<bool> {
        let mut base = self.part.base();
        if base == part.base() && self.part.arguments == part.arguments {
            return Some(false);
        }
        // The sum in an average is folded as a floating SUM is; in maps the two finish differently.
        base.operation = Operation::Sum;
        let same = base == part.base() && self.part.operation == Operation::Average;
        let direct = matches!(self.part.shape, InputShape::Scalar | InputShape::List);
        let plain = direct && part.bucket.is_none() && part.operand_type == DataType::Double;
        (same && plain).then_some(true)
    }

    /// What this base reads in a call.
    fn inputs<'a>(&self, columns: &'a [ArrayRef], times: &'a [i64], stored: bool) -> Inputs<'a> {
        Inputs {
            value: &columns[self.input],
            bucket: self.bucket.map(|bucket| &columns[bucket]),
            times,
            with_sum: self.with_sum,
            stored,
        }
    }

    /// Adds a part's window.
    fn push(&mut self, part: usize, window: usize, sum: bool) {
        let place = self.windows.iter().position(|w| *w == window);
        let window = place.unwrap_or_else(|| {
            self.windows.push(window);
            self.windows.len() - 1
        });
        self.with_sum |= sum;
        self.answers.push(Answer { part, window, sum });
    }
}

impl RowAggregate {
    /// Compiles parts over the columns of `input`.
    pub fn new(parts: &[AggregatePart], input: &Schema) -> Result<Self, KernelError> {
        Self::compile(parts, input, Base::answers)
    }

    /// Compiles parts whose states are wanted: each operation has a state of its own.
    pub(crate) fn for_states(parts: &[AggregatePart], input: &Schema) -> Result<Self, KernelError> {
        let compiled = Self::compile(parts, input, |base, part| {
            base.answers(part).filter(|as_sum| !as_sum)
        })?;
        Ok(Self {
            stored: true,
            ..compiled
        })
    }

    /// Compiles parts; `answers` says which base answers a part, and whether as its sum.
    fn compile(
        parts: &[AggregatePart],
        input: &Schema,
        answers: impl Fn(&Base, &AggregatePart) -> Option<bool>,
    ) -> Result<Self, KernelError> {
        let mut windows: Vec<Window> = parts.iter().map(|part| part.window).collect();
        windows.sort_unstable();
        windows.dedup();
        let mut bases: Vec<Base> = Vec::new();
        // Averages first, so that sums find them.
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|position| parts[*position].operation != Operation::Average);
        for position in order {
            let part = &parts[position];
            let window = windows
                .binary_search(&part.window)
                .expect("the list was made from these parts");
            let found = bases
                .iter_mut()
                .find_map(|base| answers(base, part).map(|sum| (base, sum)));
            if let Some((base, sum)) = found {
                base.push(position, window, sum);
                continue;
            }
            let find = |column: &str| {
                input
                    .index_of(column)
                    .ok_or_else(|| KernelError::MissingColumn {
                        column: column.into(),
                    })
            };
            let mut base = Base {
                part: part.clone(),
                input: find(&part.input)?,
                bucket: part.bucket.as_deref().map(find).transpose()?,
                windows: Vec::new(),
                answers: Vec::new(),
                with_sum: false,
            };
            base.push(position, window, false);
            bases.push(base);
        }
        let output = parts
            .iter()
            .map(|part| Field::new(&part.output_name, part.output_type.clone()))
            .collect();
        Ok(Self {
            bases,
            output,
            windows,
            stored: false,
        })
    }

    /// What must be handed over so that the parts can be answered by windows with these tails.
    pub fn needs(&self, by: Resolution) -> Needs {
        let orders = self.bases.iter().map(|base| work_order(&base.part));
        let order = orders.max().unwrap_or(WorkOrder::Free);
        Needs {
            positions: self.stored || order.is_followed(by),
            whole_keys: !self.stored && order == WorkOrder::Questions,
        }
    }

    /// Names and types of the finished columns.
    pub fn output(&self) -> &[Field] {
        &self.output
    }

    /// The distinct windows of all parts.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The finished columns of all parts. `visitor` makes the loop that answers one column for each of the windows it
    /// is given, by their positions in [`RowAggregate::windows`].
    pub(crate) fn evaluate<'a, V>(
        &'a self,
        columns: &[ArrayRef],
        times: &[i64],
        visitor: impl Fn(&'a [usize]) -> V,
    ) -> Result<Vec<ArrayRef>, KernelError>
    where
        V: Visitor<Answer = Vec<ArrayRef>>,
    {
        let mut answers: Vec<Option<ArrayRef>> = vec![None; self.output.len()];
        for base in &self.bases {
            let inputs = base.inputs(columns, times, self.stored);
            let finished = bind(&base.part, inputs, visitor(&base.windows))?;
            for answer in &base.answers {
                let column = &finished[answer.window];
                answers[answer.part] = Some(if base.with_sum {
                    Arc::clone(column.as_struct().column(usize::from(answer.sum)))
                } else {
                    in_output_type(&base.part, column)?
                });
            }
        }
        Ok(complete(answers))
    }

    /// The stored states of all parts, each in its state type.
    pub(crate) fn evaluate_states<'a, V>(
        &'a self,
        columns: &[ArrayRef],
        times: &[i64],
        visitor: impl Fn(&'a [usize]) -> V,
    ) -> Result<Vec<ArrayRef>, KernelError>
    where
        V: Visitor<Answer = Vec<Vec<Stored>>>,
    {
        let mut answers: Vec<Option<ArrayRef>> = vec![None; self.output.len()];
        for base in &self.bases {
            let inputs = base.inputs(columns, times, self.stored);
            let states = bind(&base.part, inputs, visitor(&base.windows))?;
            let elements = elements_of(&base.part, inputs)?;
            let state_type = base.part.state_type.to_arrow();
            for answer in &base.answers {
                let states: Vec<&Stored> = states[answer.window].iter().collect();
                answers[answer.part] = Some(stored::column(&states, &state_type, &elements)?);
            }
        }
        Ok(complete(answers))
    }
}

fn complete(answers: Vec<Option<ArrayRef>>) -> Vec<ArrayRef> {
    let missing = "every part belongs to exactly one base";
    let answers = answers.into_iter();
    answers.map(|answer| answer.expect(missing)).collect()
}
