//! Rows and queries of many keys, collected for one evaluation, and the answers that change.
//!
//! Hot path. Where the rows of consecutive keys lie together in one chunk the kernel gets a slice of it and nothing is
//! copied; otherwise they are gathered once. Answers are asked for before and after an epoch, the former only for what
//! was there before.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

use arrow_array::{Array, ArrayRef, UInt32Array, new_null_array};
use arrow_select::interleave::interleave;
use unskewed_kernel::run::{Evaluated, Evaluator, Queries, Run};

use super::AnswerRule;
use super::compare::same_rows;
use super::versions::Stretch;
use super::walk::Slice;
use crate::arrange::rows::Rows;
use crate::columns::{Piece, Pieces, take_rows};
use crate::error::EngineError;
use crate::exchange::{Batch, Epoch};
use crate::rle::Rle;

/// A query and what became of it.
#[derive(Clone, Copy, Debug)]
struct Asked {
    key: u128,
    ts: i64,
    position: u64,
    old: i64,
    new: i64,
    /// Which of a side's queries answers it, if it was asked there.
    answers: [Option<u32>; 2],
}

/// A query to be answered: how often it counts before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) ts: i64,
    pub(super) position: u64,
    pub(super) old: i64,
    pub(super) new: i64,
}

/// Before the epoch, or after it.
const OLD: usize = 0;
const NEW: usize = 1;

/// The rows and queries of one side.
#[derive(Debug)]
struct Side {
    pieces: Pieces,
    /// Rows that lie between others and are in no query's reach: cheaper carried along than cut out.
    gap_rows: usize,
    row_offsets: Vec<u32>,
    query_offsets: Vec<u32>,
    query_ts: Vec<i64>,
    /// For each query, the row its carried columns come from.
    carried_from: Vec<(u32, u32)>,
}

impl Default for Side {
    fn default() -> Self {
        Self {
            pieces: Pieces::default(),
            gap_rows: 0,
            row_offsets: vec![0],
            query_offsets: vec![0],
            query_ts: Vec::new(),
            carried_from: Vec::new(),
        }
    }
}

/// Rows and queries of many keys at one epoch.
#[derive(Debug, Default)]
pub(super) struct Block {
    sources: Vec<Rc<Rows>>,
    sides: [Side; 2],
    asked: Vec<Asked>,
}

/// What a block's answers look like.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// The columns of a right row, without rows.
    pub(super) payload: Vec<ArrayRef>,
    /// The columns of the key's first row that lead each answer.
    pub(super) carries: Vec<usize>,
    /// Which queries are answered.
    pub(super) rule: AnswerRule,
}

/// The answers of one side: columns, and each query's rows.
struct Answers {
    columns: Vec<ArrayRef>,
    starts: Vec<u32>,
}

impl Answers {
    fn rows(&self, query: u32) -> Range<u32> {
        self.starts[query as usize]..self.starts[query as usize + 1]
    }
}

impl Block {
    /// Rows that would be handed to the kernel, and queries.
    pub(super) fn size(&self) -> (usize, usize) {
        let rows = self.sides.iter().map(|s| s.pieces.len()).max().unwrap_or(0);
        (rows, self.asked.len())
    }

    /// Adds queries of a key with the rows they may look at. Rows that change nothing are looked at once, unless
    /// answers depend on the other queries (`whole`), which change too.
    pub(super) fn add(
        &mut self,
        key: u128,
        slices: &[Slice],
        rows: &[Stretch],
        queries: &[Query],
        whole: bool,
    ) {
        let changed =
            rows.iter().any(|s| s.old != s.new) || whole && queries.iter().any(|q| q.old != q.new);
        let before = queries.iter().any(|q| q.old != 0);
        let sources: Vec<usize> = rows
            .iter()
            .map(|s| self.source(&slices[s.slice].rows))
            .collect();
        let first = self.asked.len();
        self.asked.extend(queries.iter().map(|q| Asked {
            key,
            ts: q.ts,
            position: q.position,
            old: q.old,
            new: q.new,
            answers: [None; 2],
        }));
        if changed && before {
            self.add_side(OLD, &sources, rows, first, |s| s.old, |a| a.old != 0);
            self.add_side(NEW, &sources, rows, first, |s| s.new, |a| a.new != 0);
        } else {
            self.add_side(NEW, &sources, rows, first, |s| s.new, |_| true);
        }
    }

    fn add_side(
        &mut self,
        which: usize,
        sources: &[usize],
        rows: &[Stretch],
        first: usize,
        count: impl Fn(&Stretch) -> i64,
        is_asked: impl Fn(&Asked) -> bool,
    ) {
        let asked = &mut self.asked[first..];
        if !asked.iter().any(&is_asked) {
            return;
        }
        let side = &mut self.sides[which];
        let mut carried = None;
        for (stretch, &source) in rows.iter().zip(sources) {
            let count = count(stretch);
            if count < 1 {
                continue;
            }
            if carried.is_none() {
                carried = Some((source as u32, stretch.rows.start as u32));
                side.close_gap(source, &self.sources[source], stretch.rows.start);
            }
            if count == 1 {
                side.pieces.push(source, stretch.rows.clone());
            } else {
                for row in stretch.rows.clone() {
                    (0..count).for_each(|_| side.pieces.push(source, row..row + 1));
                }
            }
        }
        side.row_offsets.push(side.pieces.len() as u32);
        let start = side.query_ts.len();
        for asked in asked.iter_mut().filter(|a| is_asked(a)) {
            // Queries of one key and time have one answer.
            if side.query_ts.len() == start || side.query_ts.last() != Some(&asked.ts) {
                side.query_ts.push(asked.ts);
                side.carried_from.extend(carried);
            }
            asked.answers[which] = Some(side.query_ts.len() as u32 - 1);
        }
        // A key without rows has nothing to carry; its answers are null and left out.
        side.carried_from.resize(side.query_ts.len(), (u32::MAX, 0));
        side.query_offsets.push(side.query_ts.len() as u32);
    }

    /// The number of a chunk among the sources; the last few are where consecutive keys lie.
    fn source(&mut self, rows: &Rc<Rows>) -> usize {
        let recent = self.sources.len().saturating_sub(RECENT_SOURCES);
        let found = self.sources[recent..]
            .iter()
            .rposition(|s| Rc::ptr_eq(s, rows));
        found.map_or_else(
            || {
                self.sources.push(Rc::clone(rows));
                self.sources.len() - 1
            },
            |index| recent + index,
        )
    }

    /// Evaluates both sides and hands out the changes, each with the epoch; the block is empty afterwards.
    pub(super) fn finish(
        &mut self,
        epoch: Epoch,
        evaluator: &mut dyn Evaluator,
        shape: &Shape,
        mut emit: impl FnMut(Batch),
    ) -> Result<(), EngineError> {
        let block = std::mem::take(self);
        if block.asked.is_empty() {
            return Ok(());
        }
        let new = block.answer(NEW, evaluator, shape)?;
        let old = match block.sides[OLD].query_ts.is_empty() {
            true => None,
            false => Some(block.answer(OLD, evaluator, shape)?),
        };
        let (added, taken) = block.changes(&new, old.as_ref());
        for (changes, answers) in [(added, Some(new)), (taken, old)] {
            if let Some(answers) = answers
                && !changes.rows.is_empty()
            {
                emit(block.batch(epoch, changes, &answers)?);
            }
        }
        Ok(())
    }

    fn answer(
        &self,
        which: usize,
        evaluator: &mut dyn Evaluator,
        shape: &Shape,
    ) -> Result<Answers, EngineError> {
        let side = &self.sides[which];
        let sources = |s: usize| self.sources[s].columns.as_slice();
        let payload = match side.pieces.is_empty() {
            true => shape.payload.clone(),
            false => side
                .pieces
                .gather(shape.payload.len(), sources, self.sources.len())?,
        };
        let ts = self.gathered(side, |rows| &rows.ts);
        let positions = match evaluator.needs().positions {
            true => self.gathered(side, |rows| &rows.position),
            false => Cow::Borrowed([].as_slice()),
        };
        let right = Run {
            offsets: &side.row_offsets,
            ts: &ts,
            positions: &positions,
            columns: &payload,
        };
        let asked = Queries {
            offsets: &side.query_offsets,
            ts: &side.query_ts,
        };
        let Evaluated {
            mut query,
            mut columns,
        } = evaluator.evaluate(right, asked)?;
        if let Some(kept) = kept(shape.rule, evaluator, right, asked, &query, &columns) {
            query = kept.iter().map(|&row| query[row as usize]).collect();
            columns = take_rows(&columns, &UInt32Array::from(kept))?;
        }
        if !shape.carries.is_empty() {
            let mut carried = self.carried(side, &query, shape)?;
            carried.append(&mut columns);
            columns = carried;
        }
        Ok(Answers {
            columns,
            starts: starts(&query, side.query_ts.len()),
        })
    }

    /// What a side's rows have of a column that is not payload; copied only where they lie apart.
    fn gathered<T: Clone>(&self, side: &Side, column: impl Fn(&Rows) -> &[T]) -> Cow<'_, [T]> {
        let of = |piece: &Piece| &column(&self.sources[piece.source as usize])[piece.rows()];
        match side.pieces.as_slice() {
            [] => Cow::Borrowed(&[]),
            [piece] => Cow::Borrowed(of(piece)),
            pieces => {
                let mut copied = Vec::with_capacity(side.pieces.len());
                pieces
                    .iter()
                    .for_each(|piece| copied.extend_from_slice(of(piece)));
                Cow::Owned(copied)
            }
        }
    }

    /// The carried columns of each answer; null where the key has no rows.
    fn carried(
        &self,
        side: &Side,
        query: &[u32],
        shape: &Shape,
    ) -> Result<Vec<ArrayRef>, EngineError> {
        let places = |none: usize| -> Vec<(usize, usize)> {
            let place = |&q: &u32| match side.carried_from[q as usize] {
                (u32::MAX, _) => (none, 0),
                (source, row) => (source as usize, row as usize),
            };
            query.iter().map(place).collect()
        };
        let places = places(self.sources.len());
        let column = |&c: &usize| {
            let null = new_null_array(shape.payload[c].data_type(), 1);
            let sources = self.sources.iter().map(|s| s.columns[c].as_ref());
            let arrays: Vec<&dyn Array> = sources.chain([null.as_ref()]).collect();
            Ok(interleave(&arrays, &places)?)
        };
        shape.carries.iter().map(column).collect()
    }

    /// Which answers are given, and which taken back.
    fn changes(&self, new: &Answers, old: Option<&Answers>) -> (Changes, Changes) {
        let (mut added, mut taken) = (Changes::default(), Changes::default());
        let same = self.unchanged(new, old);
        let mut same = same.into_iter();
        for (index, asked) in self.asked.iter().enumerate() {
            match (asked.answers[OLD], asked.answers[NEW]) {
                (Some(before), Some(after)) => {
                    if same.next() == Some(true) {
                        added.extend(index, new.rows(after), asked.new - asked.old);
                    } else {
                        let rows = old.map_or(0..0, |o| o.rows(before));
                        taken.extend(index, rows, -asked.old);
                        added.extend(index, new.rows(after), asked.new);
                    }
                }
                (Some(before), None) => {
                    let rows = old.map_or(0..0, |o| o.rows(before));
                    taken.extend(index, rows, -asked.old);
                }
                // Asked once because the rows did not change: the answer is the same before and after.
                (None, Some(after)) => {
                    added.extend(index, new.rows(after), asked.new - asked.old);
                }
                (None, None) => {}
            }
        }
        (added, taken)
    }

    /// For each query that was asked on both sides, whether its answer is the same.
    fn unchanged(&self, new: &Answers, old: Option<&Answers>) -> Vec<bool> {
        let Some(old) = old else {
            return Vec::new();
        };
        let (mut pairs, mut counts) = (Vec::new(), Vec::new());
        for asked in &self.asked {
            if let (Some(before), Some(after)) = (asked.answers[OLD], asked.answers[NEW]) {
                let (before, after) = (old.rows(before), new.rows(after));
                let comparable = before.len() == after.len();
                counts.push(comparable.then_some(before.len()));
                if comparable {
                    pairs.extend(before.zip(after));
                }
            }
        }
        let mut same = same_rows(&old.columns, &new.columns, &pairs).into_iter();
        let all = |count: Option<usize>| match count {
            None => false,
            Some(count) => (0..count).fold(true, |all, _| same.next() == Some(true) && all),
        };
        counts.into_iter().map(all).collect()
    }

    fn batch(
        &self,
        epoch: Epoch,
        changes: Changes,
        answers: &Answers,
    ) -> Result<Batch, EngineError> {
        let Changes { rows, asked, diff } = changes;
        let all = answers.starts.last().map_or(0, |&n| n as usize);
        let in_place = rows.len() == all && rows.iter().zip(0..).all(|(&r, at)| r == at);
        let columns = match in_place {
            true => answers.columns.clone(),
            false => take_rows(&answers.columns, &UInt32Array::from(rows))?,
        };
        let of = |index: &u32| &self.asked[*index as usize];
        Ok(Batch {
            key: asked.iter().map(|i| of(i).key).collect(),
            ts: asked.iter().map(|i| of(i).ts).collect(),
            position: asked.iter().map(|i| of(i).position).collect(),
            columns,
            time: Rle::Constant(epoch),
            diff,
        })
    }
}

/// How many sources back a chunk is looked for.
const RECENT_SOURCES: usize = 16;
/// Gaps up to this many rows are carried along.
const GAP_ROWS: usize = 4_096;

impl Side {
    /// Carries along the rows between the last piece and the next, as keys without queries, if that keeps the whole in
    /// one piece and costs little.
    fn close_gap(&mut self, source: usize, rows: &Rows, start: usize) {
        let Some(last) = self.pieces.as_slice().last() else {
            return;
        };
        let end = last.rows().end;
        if last.source as usize != source || end >= start {
            return;
        }
        let gap = start - end;
        let in_one_piece = self.pieces.as_slice().len() == 1;
        if !in_one_piece || gap > GAP_ROWS || self.gap_rows + gap > self.pieces.len() {
            return;
        }
        let mut at = end;
        while at < start {
            let key_end = rows.offsets[rows.key_of_row(at) + 1] as usize;
            let until = key_end.min(start);
            self.pieces.push(source, at..until);
            self.row_offsets.push(self.pieces.len() as u32);
            self.query_offsets.push(self.query_ts.len() as u32);
            at = until;
        }
        self.gap_rows += gap;
    }
}

/// Rows of a side's answers, the queries they answer and how often they are given.
#[derive(Debug)]
struct Changes {
    rows: Vec<u32>,
    asked: Vec<u32>,
    diff: Rle<i64>,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            asked: Vec::new(),
            diff: Rle::Constant(1),
        }
    }
}

impl Changes {
    fn extend(&mut self, asked: usize, rows: Range<u32>, diff: i64) {
        if diff == 0 {
            return;
        }
        self.diff.push_repeated(self.rows.len(), diff, rows.len());
        self.asked.extend(rows.clone().map(|_| asked as u32));
        self.rows.extend(rows);
    }
}

/// Where the answers of each query start, from the ascending list of the queries answered.
fn starts(query: &[u32], queries: usize) -> Vec<u32> {
    let mut starts = Vec::with_capacity(queries + 1);
    let mut row = 0;
    for q in 0..queries as u32 {
        starts.push(row);
        while query.get(row as usize) == Some(&q) {
            row += 1;
        }
    }
    starts.push(row);
    starts
}

/// The rows of an answer that are given; nothing if all are.
fn kept(
    rule: AnswerRule,
    evaluator: &dyn Evaluator,
    right: Run<'_>,
    asked: Queries<'_>,
    query: &[u32],
    columns: &[ArrayRef],
) -> Option<Vec<u32>> {
    let keep: Vec<bool> = match rule {
        AnswerRule::Always => return None,
        AnswerRule::AnyValue => {
            let nulls: Vec<_> = columns.iter().map(|c| c.logical_nulls()).collect();
            if nulls.iter().any(Option::is_none) && !columns.is_empty() {
                return None;
            }
            let any = |row: usize| nulls.iter().flatten().any(|n| n.is_valid(row));
            (0..query.len()).map(any).collect()
        }
        AnswerRule::AnyRow => {
            let mut seen = vec![false; asked.ts.len()];
            for key in 0..right.key_count() {
                let rows = &right.ts[right.rows(key)];
                for q in asked.of_key(key) {
                    let times = evaluator.looks_at(asked.ts[q]);
                    let first = rows.partition_point(|&t| t < times.start);
                    seen[q] = rows.get(first).is_some_and(|&t| t < times.end);
                }
            }
            query.iter().map(|&q| seen[q as usize]).collect()
        }
    };
    if keep.iter().all(|&k| k) {
        return None;
    }
    Some(
        (0..query.len() as u32)
            .filter(|&row| keep[row as usize])
            .collect(),
    )
}
