//! Aggregates with Spark's answers: states of many groups side by side.
//!
//! An aggregate is a [`Fold`]: how a state takes a row and what it comes to. [`Folded`] makes of it what groups and
//! windows need. Promises: a state sees its rows in the order of the input, and sums are folded in that order.
//!
//! **Adding an aggregate** is a fold here and its line in [`states`]; its name and types are the planner's.

mod approximate;
mod number;
mod percentile;
mod statistic;
mod values;

use std::ops::Range;

use arrow_array::{Array, ArrayRef};
use arrow_select::concat::concat;
use unskewed_planner::query::tree::{Aggregate, AggregateFunction};
use unskewed_planner::schema::DataType;

use super::BATCH_ROWS;
use super::step::Stepped;

/// The states of an aggregate, one for each group.
pub(super) trait States: Send {
    /// As many groups as this; new ones are empty.
    fn resize(&mut self, groups: usize);

    /// Adds rows, each to its group.
    fn update(&mut self, columns: &[ArrayRef], groups: &[u32]) -> Stepped<()>;

    /// The value of each range of rows.
    fn frames(&mut self, columns: &[ArrayRef], frames: &[Range<usize>]) -> Stepped<ArrayRef>;

    /// The values of all groups, which are forgotten.
    fn finish(&mut self) -> Stepped<ArrayRef>;

    /// Memory held, about.
    fn bytes(&self) -> usize;
}

/// How an aggregate folds rows.
pub(super) trait Fold: Send {
    /// What is known of a group.
    type State: Clone + Default + Send;
    /// The arguments, ready to be read row by row.
    type Input;

    /// Makes the arguments ready.
    fn read(&mut self, columns: &[ArrayRef]) -> Stepped<Self::Input>;

    /// Takes one row.
    fn add(&self, state: &mut Self::State, input: &Self::Input, row: usize);

    /// What the states come to.
    fn finish(&self, states: Vec<Self::State>) -> Stepped<ArrayRef>;

    /// Memory that a state holds beside itself.
    fn held(&self, _state: &Self::State) -> usize {
        0
    }
}

/// The states of a fold.
struct Folded<F: Fold> {
    fold: F,
    states: Vec<F::State>,
    held: usize,
    counts_held: bool,
}

impl<F: Fold> Folded<F> {
    fn plain(fold: F) -> Self {
        Self {
            fold,
            states: Vec::new(),
            held: 0,
            counts_held: false,
        }
    }

    fn growing(fold: F) -> Self {
        Self {
            counts_held: true,
            ..Self::plain(fold)
        }
    }
}

impl<F: Fold> States for Folded<F> {
    fn resize(&mut self, groups: usize) {
        self.states.resize(groups, F::State::default());
    }

    fn update(&mut self, columns: &[ArrayRef], groups: &[u32]) -> Stepped<()> {
        let input = self.fold.read(columns)?;
        for (row, group) in groups.iter().enumerate() {
            let state = &mut self.states[*group as usize];
            let before = if self.counts_held {
                self.fold.held(state)
            } else {
                0
            };
            self.fold.add(state, &input, row);
            if self.counts_held {
                self.held = (self.held + self.fold.held(state)).saturating_sub(before);
            }
        }
        Ok(())
    }

    /// A frame that begins where the one before began goes on from its state; any other begins anew, so that no value
    /// is ever taken out of a sum. A state may be large: only a batch of them is held.
    fn frames(&mut self, columns: &[ArrayRef], frames: &[Range<usize>]) -> Stepped<ArrayRef> {
        let input = self.fold.read(columns)?;
        let mut parts: Vec<ArrayRef> = Vec::new();
        let mut last: Option<(&Range<usize>, F::State)> = None;
        for some in frames.chunks(BATCH_ROWS) {
            let mut states = Vec::with_capacity(some.len());
            for frame in some {
                let grown = last.filter(|(l, _)| l.start == frame.start && l.end <= frame.end);
                let (from, mut state) = match grown {
                    Some((last, state)) => (last.end, state),
                    None => (frame.start, F::State::default()),
                };
                for row in from..frame.end {
                    self.fold.add(&mut state, &input, row);
                }
                states.push(state.clone());
                last = Some((frame, state));
            }
            parts.push(self.fold.finish(states)?);
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(match parts.as_slice() {
            [] => self.fold.finish(Vec::new())?,
            parts => concat(parts)?,
        })
    }

    fn finish(&mut self) -> Stepped<ArrayRef> {
        self.held = 0;
        self.fold.finish(std::mem::take(&mut self.states))
    }

    fn bytes(&self) -> usize {
        self.states.capacity() * size_of::<F::State>() + self.held
    }
}

/// The states of an aggregate, empty; `bounded` if [`bounds_decimals`] of its group.
pub(super) fn states(aggregate: &Aggregate, bounded: bool) -> Stepped<Box<dyn States>> {
    use AggregateFunction as F;
    let argument = argument_type(aggregate);
    let result = &aggregate.data_type;
    Ok(match &aggregate.function {
        F::Count => plain(number::Count),
        F::Sum | F::TrySum | F::Average => sums(aggregate, bounded),
        F::BoolAnd => plain(number::Bool { and: true }),
        F::BoolOr => plain(number::Bool { and: false }),
        F::BitAnd | F::BitOr | F::BitXor => plain(number::Bits {
            function: aggregate.function.clone(),
            to: result.clone(),
        }),
        F::Min => growing(values::Extreme::new(&argument, false)?),
        F::Max => growing(values::Extreme::new(&argument, true)?),
        F::MinBy | F::MaxBy => {
            let order = &aggregate.arguments[1].data_type;
            let greatest = aggregate.function == F::MaxBy;
            growing(values::ExtremeBy::new(&argument, order, greatest)?)
        }
        F::First { ignore_nulls } => growing(values::End::new(&argument, true, *ignore_nulls)?),
        F::Last { ignore_nulls } => growing(values::End::new(&argument, false, *ignore_nulls)?),
        F::CollectList => growing(values::Collect::new(&argument, false)?),
        F::CollectSet => growing(values::Collect::new(&argument, true)?),
        F::Mode => growing(values::Mode::new(&argument)?),
        F::Moment(moment) => plain(statistic::Moments(*moment)),
        F::Pair(pair) => plain(statistic::Pairs(*pair)),
        F::Percentile {
            fractions,
            array,
            discrete,
            descending,
        } => growing(percentile::Percentile {
            fractions: fractions.clone(),
            array: *array,
            discrete: *discrete,
            descending: *descending,
        }),
        F::ApproximatePercentile {
            fractions,
            array,
            accuracy,
        } => growing(percentile::Approximate {
            fractions: fractions.clone(),
            array: *array,
            accuracy: *accuracy,
            from: argument,
        }),
        F::ApproximateCountDistinct { relative_error } => {
            growing(approximate::CountDistinct::new(*relative_error))
        }
    })
}

/// Sums and means, by the type of what is added.
fn sums(aggregate: &Aggregate, bounded: bool) -> Box<dyn States> {
    let function = &aggregate.function;
    let averages = *function == AggregateFunction::Average;
    match (argument_type(aggregate), &aggregate.data_type) {
        (DataType::Decimal(_, from), DataType::Decimal(precision, scale)) if averages => {
            plain(number::AverageDecimal {
                bounded,
                from,
                precision: *precision,
                scale: *scale,
            })
        }
        (_, DataType::Decimal(precision, scale)) => plain(number::SumDecimal {
            bounded,
            precision: *precision,
            scale: *scale,
        }),
        (_, DataType::Long) => match function {
            AggregateFunction::TrySum => plain(number::TrySumLong),
            _ => plain(number::SumLong),
        },
        _ if averages => plain(number::AverageDouble),
        _ => plain(number::SumDouble),
    }
}

/// Whether a group's decimal sums must stay within 38 digits all the time. Spark hashes groups into rows of fixed
/// width, which hold no more; it has none where there are no keys, or where a state has no fixed width.
pub(super) fn bounds_decimals(keys: usize, aggregates: &[Aggregate]) -> bool {
    keys > 0 && aggregates.iter().all(has_fixed_width)
}

fn has_fixed_width(aggregate: &Aggregate) -> bool {
    use AggregateFunction as F;
    let fixed = |data_type: &DataType| {
        !matches!(
            data_type,
            DataType::String
                | DataType::Binary
                | DataType::Array(_)
                | DataType::Struct(_)
                | DataType::Map(..)
        )
    };
    match &aggregate.function {
        F::CollectList
        | F::CollectSet
        | F::Mode
        | F::Percentile { .. }
        | F::ApproximatePercentile { .. } => false,
        F::Min | F::Max | F::MinBy | F::MaxBy | F::First { .. } | F::Last { .. } => {
            aggregate.arguments.iter().all(|a| fixed(&a.data_type))
        }
        _ => true,
    }
}

fn argument_type(aggregate: &Aggregate) -> DataType {
    let first = aggregate.arguments.first();
    first.map_or(DataType::Null, |argument| argument.data_type.clone())
}

fn plain<F: Fold<State: 'static> + 'static>(fold: F) -> Box<dyn States> {
    Box::new(Folded::plain(fold))
}

fn growing<F: Fold<State: 'static> + 'static>(fold: F) -> Box<dyn States> {
    Box::new(Folded::growing(fold))
}
