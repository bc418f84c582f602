//! Rows of an entity snapshot as they are: a query gets every row of exactly its time.
//!
//! No aggregation: `n` rows give `n` answers, no row gives none. Where only the first is wanted, that is the one with
//! the least source position, whatever else changes; where one alone is allowed, several are an error.

use std::ops::Range;

use arrow_array::UInt32Array;
use unskewed_planner::physical::Matches;
use unskewed_planner::schema::{Field, Schema};

use crate::error::KernelError;
use crate::run::{Evaluated, Evaluator, Queries, Run};

/// The evaluator.
#[derive(Clone, Debug)]
pub struct Lookup {
    output: Vec<Field>,
    columns: Vec<usize>,
    matches: Matches,
}

impl Lookup {
    /// Passes these columns of the right rows through.
    pub fn new(values: &[Field], right: &Schema) -> Result<Self, KernelError> {
        let find = |field: &Field| {
            right
                .index_of(&field.name)
                .ok_or_else(|| KernelError::MissingColumn {
                    column: field.name.clone(),
                })
        };
        Ok(Self {
            output: values.to_vec(),
            columns: values.iter().map(find).collect::<Result<_, _>>()?,
            matches: Matches::All,
        })
    }

    /// The same, with these of several rows as answers.
    #[must_use]
    pub fn matching(self, matches: Matches) -> Self {
        Self { matches, ..self }
    }
}

impl Evaluator for Lookup {
    fn output(&self) -> &[Field] {
        &self.output
    }

    fn evaluate(&mut self, right: Run<'_>, queries: Queries<'_>) -> Result<Evaluated, KernelError> {
        let (mut query_of, mut rows) = (Vec::new(), Vec::new());
        for key in 0..right.key_count() {
            for query in queries.of_key(key) {
                let found = rows_at(right, key, queries.ts[query]);
                let wanted = match self.matches {
                    Matches::All => found.len(),
                    Matches::First => 1,
                    Matches::Single if found.len() > 1 => {
                        return Err(KernelError::SeveralRows {
                            rows: found.len(),
                            millis: queries.ts[query],
                        });
                    }
                    Matches::Single => 1,
                };
                for row in found.take(wanted) {
                    query_of.push(index(query));
                    rows.push(index(row));
                }
            }
        }
        let rows = UInt32Array::from(rows);
        let take = |column: &usize| arrow_select::take::take(&right.columns[*column], &rows, None);
        let columns = self.columns.iter().map(take).collect::<Result<_, _>>()?;
        debug_assert_eq!(query_of.len(), rows.len());
        Ok(Evaluated {
            query: query_of,
            columns,
        })
    }

    fn reach(&self, ts_millis: i64) -> Range<i64> {
        ts_millis..ts_millis.saturating_add(1)
    }

    fn looks_at(&self, query_millis: i64) -> Range<i64> {
        query_millis..query_millis.saturating_add(1)
    }
}

/// The rows of a key at exactly this time.
pub(crate) fn rows_at(run: Run<'_>, key: usize, millis: i64) -> Range<usize> {
    let rows = run.rows(key);
    let ts = &run.ts[rows.clone()];
    let from = ts.partition_point(|t| *t < millis);
    let count = ts[from..].partition_point(|t| *t == millis);
    rows.start + from..rows.start + from + count
}

fn index(value: usize) -> u32 {
    u32::try_from(value).expect("a run has fewer than 2^32 rows and queries")
}
