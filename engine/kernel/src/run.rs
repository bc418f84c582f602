//! What the engine hands the kernel and gets back: sorted rows of many keys, queries over the same
//! keys, and answers.
//!
//! Hot path: one call for a whole run of keys, never one per row; no allocation per row.

use arrow_array::{Array, ArrayRef, BooleanArray, Int64Array, UInt32Array};
use arrow_select::take::take;
use unskewed_planner::schema::Field;

use crate::error::KernelError;

/// Rows of many keys, sorted by (key, ts, position).
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Row ranges of the keys: key `k` owns rows `offsets[k]..offsets[k + 1]`; one more entry than
    /// keys.
    pub offsets: &'a [u32],
    /// The sort time of each row in milliseconds.
    pub ts: &'a [i64],
    /// The source position of each row, where the evaluator wants it ([`Needs::positions`]); else may be empty.
    pub positions: &'a [u64],
    /// The payload, each as long as `ts`.
    pub columns: &'a [ArrayRef],
}

impl Run<'_> {
    /// Number of keys.
    pub fn key_count(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// The rows of a key.
    pub fn rows(&self, key: usize) -> std::ops::Range<usize> {
        self.offsets[key] as usize..self.offsets[key + 1] as usize
    }
}

/// Query times of the same keys as a [`Run`], sorted by (key, ts).
#[derive(Clone, Copy, Debug)]
pub struct Queries<'a> {
    /// Query ranges of the keys, as in [`Run::offsets`].
    pub offsets: &'a [u32],
    /// Query times in milliseconds.
    pub ts: &'a [i64],
}

impl Queries<'_> {
    /// The queries of a key.
    pub fn of_key(&self, key: usize) -> std::ops::Range<usize> {
        self.offsets[key] as usize..self.offsets[key + 1] as usize
    }
}

/// Rows that came after a batch, for questions in a row.
#[derive(Clone, Debug, Default)]
pub struct LaterRows {
    /// Row ranges of the questions: question `i` owns rows `offsets[i]..offsets[i + 1]`; one more entry than questions.
    pub offsets: Vec<u32>,
    /// When each row came to be known, in milliseconds: an event's time, or a mutation's; ascending in each question.
    pub ts: Vec<i64>,
    /// What is aggregated, each as long as `ts`.
    pub columns: Vec<ArrayRef>,
    /// The rows' own times, by which windows go; `None` for events, whose own time is `ts`.
    pub own_times: Option<Int64Array>,
    /// Which rows are images from before a mutation, to be taken back; `None` where there is none.
    pub taken_back: Option<BooleanArray>,
}

impl LaterRows {
    /// Leaves out rows, which come in ascending order.
    pub fn leave_out(&mut self, rows: impl Iterator<Item = usize>) -> Result<(), KernelError> {
        let mut rows = rows.peekable();
        let mut kept = Vec::with_capacity(self.ts.len());
        let mut offsets = vec![0];
        for question in self.offsets.windows(2) {
            for row in question[0]..question[1] {
                if rows.next_if_eq(&(row as usize)).is_none() {
                    kept.push(row);
                }
            }
            offsets.push(kept.len() as u32);
        }
        let ts = kept.iter().map(|row| self.ts[*row as usize]).collect();
        let kept = UInt32Array::from(kept);
        for column in &mut self.columns {
            *column = take(column, &kept, None)?;
        }
        if let Some(times) = &mut self.own_times {
            *times = take(times, &kept, None)?.to_data().into();
        }
        if let Some(back) = &mut self.taken_back {
            *back = take(back, &kept, None)?.to_data().into();
        }
        (self.offsets, self.ts) = (offsets, ts);
        Ok(())
    }
}

/// Answers to a run of queries.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// Which query each answer row belongs to, ascending. An aggregation answers each query once; a
    /// look-up as often
    /// as it finds a row.
    pub query: Vec<u32>,
    /// The answer's columns, each as long as `query`.
    pub columns: Vec<ArrayRef>,
}

impl Evaluated {
    /// Answers of which every query has exactly one.
    pub fn one_each(queries: Queries<'_>, columns: Vec<ArrayRef>) -> Self {
        let count = u32::try_from(queries.ts.len()).expect("offsets of queries are u32");
        Self {
            query: (0..count).collect(),
            columns,
        }
    }
}

/// What an evaluator must be handed beyond the rows that its queries look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The positions of the rows.
    pub positions: bool,
    /// All queries of a key in one call, with all rows they look at, because answers depend on the other queries.
    pub whole_keys: bool,
}

/// A pure function from right rows and queries to features.
///
/// # Contract
/// The answer to a query depends only on the right rows of its key, their order and the query's
/// time: not on other
/// keys or queries in the call, nor on earlier calls. A right row at `ts` changes no answer outside
/// `reach(ts)`. With [`Needs::whole_keys`] it depends on all queries of the key too, and a row may change any answer of
/// its key.
pub trait Evaluator {
    /// Names and types of the answer's columns.
    fn output(&self) -> &[Field];

    /// What it must be handed.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Answers all queries.
    fn evaluate(&mut self, right: Run<'_>, queries: Queries<'_>) -> Result<Evaluated, KernelError>;

    /// The query times `from..to` that a right row at `ts_millis` may touch.
    fn reach(&self, ts_millis: i64) -> std::ops::Range<i64>;

    /// The right rows' times `from..to` that a query at `query_millis` may look at.
    fn looks_at(&self, query_millis: i64) -> std::ops::Range<i64>;
}
