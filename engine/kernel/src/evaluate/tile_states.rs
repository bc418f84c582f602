//! The unfinished states of tiles: what a stream stores of a stretch of time, for readers to add to a batch.
//!
//! A state for each aggregation and bucket, whatever its windows; rows are added in the order in which they are given.

use arrow_array::ArrayRef;
use unskewed_planner::aggregation::{AggregatePart, base_parts};
use unskewed_planner::schema::{Field, Schema};
use unskewed_planner::time::Window;

use crate::aggregate::fold::{Fold, Visitor};
use crate::aggregate::row::RowAggregate;
use crate::aggregate::stored::Stored;
use crate::error::KernelError;
use crate::run::Run;

/// The evaluator.
#[derive(Clone, Debug)]
pub struct TilesOfRows {
    aggregate: RowAggregate,
    output: Vec<Field>,
}

impl TilesOfRows {
    /// Compiles parts, whose aggregations and buckets `bases` numbers, over rows with these columns.
    pub fn new(
        parts: &[AggregatePart],
        bases: &[usize],
        right: &Schema,
    ) -> Result<Self, KernelError> {
        let chosen = base_parts(parts, bases).into_iter();
        let unbounded = |part: &AggregatePart| AggregatePart {
            window: Window::Unbounded,
            ..part.clone()
        };
        let parts: Vec<AggregatePart> = chosen.map(unbounded).collect();
        let output =
            |part: &AggregatePart| Field::new(&part.incremental_name, part.state_type.clone());
        Ok(Self {
            aggregate: RowAggregate::for_states(&parts, right)?,
            output: parts.iter().map(output).collect(),
        })
    }

    /// Names and types of the states.
    pub fn output(&self) -> &[Field] {
        &self.output
    }

    /// The states of tiles, each a key of the run: a column for each base, a row for each tile.
    pub fn states(&self, tiles: Run<'_>) -> Result<Vec<ArrayRef>, KernelError> {
        let all = |_: &[usize]| AllRows(tiles);
        self.aggregate.evaluate_states(tiles.columns, tiles.ts, all)
    }
}

/// The state of all rows of each key.
struct AllRows<'a>(Run<'a>);

impl Visitor for AllRows<'_> {
    type Answer = Vec<Vec<Stored>>;

    fn visit<F: Fold>(self, fold: &F) -> Result<Self::Answer, KernelError> {
        let state = |key: usize| {
            let mut state = None;
            self.0
                .rows(key)
                .for_each(|row| fold.update(&mut state, row));
            state.map_or(Stored::Null, |state| fold.store(&state))
        };
        let states = (0..self.0.key_count()).map(state).collect();
        fold.check()?;
        Ok(vec![states])
    }
}
