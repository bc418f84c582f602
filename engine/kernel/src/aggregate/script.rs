//! The plain loop: each answer is a sequence of rows added or taken back, in order.
//!
//! Entity evaluators decide per window which rows those are; a query may go on from the state of the one before.

use arrow_array::ArrayRef;

use super::fold::{Fold, Visitor};
use super::output::Output;
use crate::error::KernelError;

/// The steps of one window over all queries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    queries: Vec<Steps>,
    /// A row, and whether it is taken back.
    steps: Vec<(u32, bool)>,
}

/// The steps of one query.
#[derive(Clone, Copy, Debug)]
struct Steps {
    /// Whether the query starts from nothing.
    fresh: bool,
    /// End of its steps; they begin where those of the query before end.
    end: usize,
}

impl Script {
    /// Begins the next query: from nothing, or from the state of the query before.
    pub(crate) fn begin(&mut self, fresh: bool) {
        let end = self.steps.len();
        self.queries.push(Steps { fresh, end });
    }

    /// Adds a row to the query begun last, or takes it back.
    pub(crate) fn step(&mut self, row: usize, take_back: bool) {
        let row = u32::try_from(row).expect("a run has fewer than 2^32 rows");
        self.steps.push((row, take_back));
        if let Some(query) = self.queries.last_mut() {
            query.end = self.steps.len();
        }
    }
}

/// Runs one script per window; one column each.
#[derive(Debug)]
pub(crate) struct Perform<'a> {
    /// The scripts.
    pub(crate) scripts: Vec<&'a Script>,
    /// Whether states are shipped before they are finished, as the reference's are that were grouped.
    pub(crate) shipped: bool,
}

impl Visitor for Perform<'_> {
    type Answer = Vec<ArrayRef>;

    fn visit<F: Fold>(self, fold: &F) -> Result<Vec<ArrayRef>, KernelError> {
        let columns = self.scripts.iter().map(|script| {
            let mut output = fold.output();
            let mut state = None;
            let mut done = 0;
            for query in &script.queries {
                if query.fresh {
                    state = None;
                }
                for (row, take_back) in &script.steps[done..query.end] {
                    if *take_back {
                        fold.delete(&mut state, *row as usize);
                    } else {
                        fold.update(&mut state, *row as usize);
                    }
                }
                done = query.end;
                match &state {
                    Some(state) if self.shipped => fold.finish(&fold.ship(state), &mut output),
                    Some(state) => fold.finish(state, &mut output),
                    None => output.append_null(),
                }
            }
            output.into_array()
        });
        let columns = columns.collect();
        fold.check()?;
        columns
    }
}
