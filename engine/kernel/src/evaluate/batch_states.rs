//! The unfinished states that a batch leaves to a reader: what an upload of a TEMPORAL group-by stores of a key.
//!
//! ```text
//!   floor(B − W, hop)  B − W              cut = ceiling(B − W + 2 days, hop)                  B, the query
//!        ├──── edge ────]── tail, a state a hop ──┤────────── one collapsed state ────────────┤
//! ```
//! A reader at `q ≥ B` takes the hops from `floor(q − W, hop)` on, the collapsed state, and what came since `B`; while
//! `q` is less than two days after `B` that is the window of `q` exactly. A window of two days or less has no collapsed
//! state, an unbounded one nothing else. Where the order shows, rows are added to states in the order of positions.
//!
//! The reference stores neither edge nor a row of the instant `B − W`, so its readers miss what a training table has
//! (deviation D13); here the edge stands apart, where they do not look.
//!
//! Rows are either events by their time, or snapshot rows of exactly `B` with a time of their own.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, ListArray, PrimitiveArray, StructArray, UInt32Array};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType as ArrowType, Field as ArrowField};
use unskewed_planner::aggregation::{AggregatePart, base_parts, batch_fields};
use unskewed_planner::schema::{Field, Schema};
use unskewed_planner::time::{DAY_MILLIS, FIVE_MINUTES_MILLIS, HOUR_MILLIS, Window};

use super::lookup::rows_at;
use super::snapshot_rows::{Times, own_time};
use crate::aggregate::Windows;
use crate::aggregate::replay::{Asked, StoredStates};
use crate::aggregate::row::RowAggregate;
use crate::aggregate::sawtooth::{SawtoothStates, Stretch, UnitStates};
use crate::error::KernelError;
use crate::run::{Evaluated, Evaluator, Needs, Queries, Run};
use crate::window::timeline::{Timeline, Unit};
use crate::window::{Resolution, ceiling_to, floor_to};

/// How long a batch serves readers: what a tail may move on.
pub const TAIL_MILLIS: i64 = 2 * DAY_MILLIS;

/// The hops, in the order in which their states are stored.
pub const HOPS_MILLIS: [i64; 3] = [DAY_MILLIS, HOUR_MILLIS, FIVE_MINUTES_MILLIS];

/// Where a window of a batch ending at `end_millis` is cut: from here on rows are collapsed. `i64::MIN` when unbounded.
pub fn cut_millis(window: Window, end_millis: i64) -> i64 {
    window.millis().map_or(i64::MIN, |length| {
        let cut = end_millis
            .saturating_sub(length)
            .saturating_add(TAIL_MILLIS);
        ceiling_to(cut, window.tail_hop_millis()).min(end_millis)
    })
}

/// The evaluator.
#[derive(Clone, Debug)]
pub struct BatchStates {
    /// All parts, each over what is collapsed of its window.
    collapsed: RowAggregate,
    /// One part for each base, windows aside.
    tails: RowAggregate,
    /// For each base the windows of its parts.
    windows: Vec<Vec<Window>>,
    time: Option<usize>,
    output: Vec<Field>,
}

impl BatchStates {
    /// Compiles parts over right rows with these columns. `bases` numbers the parts' aggregations and buckets;
    /// `time_column` names the rows' own time (milliseconds, `long`) where rows are those of exactly the query's time.
    pub fn new(
        parts: &[AggregatePart],
        bases: &[usize],
        right: &Schema,
        time_column: Option<&str>,
    ) -> Result<Self, KernelError> {
        let unbounded = |part: &AggregatePart| AggregatePart {
            window: Window::Unbounded,
            ..part.clone()
        };
        let chosen: Vec<_> = base_parts(parts, bases)
            .into_iter()
            .map(unbounded)
            .collect();
        let mut windows: Vec<Vec<Window>> = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            if index == 0 || bases[index] != bases[index - 1] {
                windows.push(Vec::new());
            }
            if let Some(windows) = windows.last_mut() {
                windows.push(part.window);
            }
        }
        Ok(Self {
            collapsed: RowAggregate::for_states(parts, right)?,
            tails: RowAggregate::for_states(&chosen, right)?,
            windows,
            time: time_column
                .map(|column| own_time(right, column))
                .transpose()?,
            output: batch_fields(parts, bases),
        })
    }

    /// The windows of a base that keep states of this hop.
    fn windows_of(&self, base: usize, hop_millis: i64) -> impl Iterator<Item = Window> {
        let of_hop = move |window: &Window| {
            window.millis().is_some() && window.tail_hop_millis() == hop_millis
        };
        self.windows[base].iter().copied().filter(of_hop)
    }

    /// Which rows of a unit a base keeps in its tail, and which in its edge.
    fn kept(&self, base: usize, unit: &Held<'_>, end_millis: i64) -> (Range<usize>, Range<usize>) {
        let holds = |window: &Window| {
            let tail = window.tail_millis(end_millis)..cut_millis(*window, end_millis);
            tail.contains(&unit.start_millis)
        };
        let windows = self.windows_of(base, unit.hop_millis).filter(holds);
        let starts = windows.filter_map(|window| Some(end_millis - window.millis()?));
        let Some(start) = starts.min() else {
            return (0..0, 0..0);
        };
        let Range { start: first, end } = unit.rows;
        let split = first + unit.ts.partition_point(|ts| *ts <= start);
        (split..end, first..split)
    }

    fn answer(&self, run: Run<'_>, queries: Queries<'_>) -> Result<Evaluated, KernelError> {
        let (windows, by) = (self.collapsed.windows(), Resolution::Collapsed);
        let timeline = Timeline::build(run, queries, windows, by);
        let collapsed = self
            .collapsed
            .evaluate_states(run.columns, run.ts, |chosen| StoredStates {
                sawtooth: SawtoothStates(Windows {
                    timeline: &timeline,
                    windows: chosen,
                }),
                asked: Asked { run, queries, by },
                windows: chosen.iter().map(|window| windows[*window]).collect(),
            })?;
        let bounded = |window: &Window| window.millis().is_some();
        let windows: Vec<Window> = self.windows.concat().into_iter().filter(bounded).collect();
        let timeline = Timeline::build(run, queries, &windows, Resolution::FiveMinutes);
        let (stretches, tail, edge) = self.hops(run, queries, &timeline);
        let states = self
            .tails
            .evaluate_states(run.columns, run.ts, |_| UnitStates {
                run,
                timeline: &timeline,
                stretches: &stretches,
            })?;
        let columns = vec![
            self.collapsed_column(collapsed, queries.ts.len())?,
            self.hop_column(1, &states, &tail, None)?,
            self.hop_column(2, &states, &edge, Some(edge.present()))?,
        ];
        Ok(Evaluated::one_each(queries, columns))
    }

    /// The stretches of rows whose states are stored, and which of them stand where.
    fn hops(
        &self,
        run: Run<'_>,
        queries: Queries<'_>,
        timeline: &Timeline,
    ) -> (Vec<Stretch>, Hops, Hops) {
        let mut stretches = Stretches::default();
        let bases = self.windows.len();
        let (mut tail, mut edge) = (Hops::new(bases), Hops::new(bases));
        for key in 0..run.key_count() {
            for query in queries.of_key(key) {
                for hop_millis in HOPS_MILLIS {
                    let used = (0..bases).any(|base| self.windows_of(base, hop_millis).count() > 0);
                    let units = used.then(|| timeline.units(hop_millis, run, key));
                    for (unit, rows) in units.into_iter().flatten() {
                        let held = Held {
                            hop_millis,
                            start_millis: floor_to(run.ts[rows.start], hop_millis),
                            ts: &run.ts[rows.clone()],
                            rows,
                        };
                        let (mut tails, mut edges) = (Vec::new(), Vec::new());
                        for base in 0..bases {
                            let (inside, outside) = self.kept(base, &held, queries.ts[query]);
                            tails.push(stretches.find(unit, inside));
                            edges.push(stretches.find(unit, outside));
                        }
                        tail.push(held.start_millis, tails);
                        edge.push(held.start_millis, edges);
                    }
                    tail.close();
                    edge.close();
                }
            }
        }
        (stretches.all, tail, edge)
    }

    fn collapsed_column(
        &self,
        states: Vec<ArrayRef>,
        query_count: usize,
    ) -> Result<ArrayRef, KernelError> {
        let ArrowType::Struct(fields) = self.output[0].data_type.to_arrow() else {
            unreachable!("collapsed states are a struct");
        };
        Ok(Arc::new(StructArray::try_new_with_length(
            fields,
            states,
            None,
            query_count,
        )?))
    }

    /// Per query a list for each hop, of structs with a state for each base.
    fn hop_column(
        &self,
        output: usize,
        states: &[ArrayRef],
        hops: &Hops,
        present: Option<NullBuffer>,
    ) -> Result<ArrayRef, KernelError> {
        let ArrowType::List(of_hops) = self.output[output].data_type.to_arrow() else {
            unreachable!("there is a list for each hop");
        };
        let ArrowType::List(of_units) = of_hops.data_type() else {
            unreachable!("a hop's states are a list");
        };
        let ArrowType::Struct(fields) = of_units.data_type() else {
            unreachable!("a unit's states are a struct");
        };
        let mut columns = Vec::with_capacity(fields.len());
        for (states, picks) in states.iter().zip(&hops.picks) {
            let picks = UInt32Array::from(picks.clone());
            columns.push(arrow_select::take::take(states, &picks, None)?);
        }
        let starts = hops.starts.iter().copied();
        columns.push(Arc::new(PrimitiveArray::<Int64Type>::from_iter_values(
            starts,
        )));
        let count = hops.starts.len();
        let units = StructArray::try_new_with_length(fields.clone(), columns, None, count)?;
        let lists = list(of_units, &hops.lengths, Arc::new(units), None)?;
        let queries = vec![HOPS_MILLIS.len(); hops.lengths.len() / HOPS_MILLIS.len()];
        list(&of_hops, &queries, lists, present)
    }
}

/// A list of these lengths over items.
fn list(
    item: &Arc<ArrowField>,
    lengths: &[usize],
    items: ArrayRef,
    present: Option<NullBuffer>,
) -> Result<ArrayRef, KernelError> {
    let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
    let list = ListArray::try_new(Arc::clone(item), offsets, items, present)?;
    Ok(Arc::new(list))
}

/// A unit of a hop and its rows.
struct Held<'a> {
    hop_millis: i64,
    start_millis: i64,
    rows: Range<usize>,
    /// Times of the rows.
    ts: &'a [i64],
}

/// Stretches of rows, each once; those of one unit come together.
#[derive(Default)]
struct Stretches {
    all: Vec<Stretch>,
}

impl Stretches {
    /// The number of a stretch; `None` for no rows.
    fn find(&mut self, unit: Unit, rows: Range<usize>) -> Option<u32> {
        if rows.is_empty() {
            return None;
        }
        let stretch = Stretch { unit, rows };
        let latest = self.all.iter().rposition(|other| other.unit != unit);
        let from = latest.map_or(0, |at| at + 1);
        let known = self.all[from..].iter().position(|other| *other == stretch);
        let number = known.map_or(self.all.len(), |at| from + at);
        if known.is_none() {
            self.all.push(stretch);
        }
        Some(number as u32)
    }
}

/// Hops whose states are stored, query by query and by length of the hop.
struct Hops {
    starts: Vec<i64>,
    /// For each base the numbers of the stretches whose states it keeps.
    picks: Vec<Vec<Option<u32>>>,
    /// How many there are for each query and length.
    lengths: Vec<usize>,
    /// How many there are in all that are ended.
    closed: usize,
}

impl Hops {
    fn new(bases: usize) -> Self {
        Self {
            starts: Vec::new(),
            picks: vec![Vec::new(); bases],
            lengths: Vec::new(),
            closed: 0,
        }
    }

    /// Adds a hop, if any base keeps a state of it.
    fn push(&mut self, start_millis: i64, picks: Vec<Option<u32>>) {
        if picks.iter().all(Option::is_none) {
            return;
        }
        self.starts.push(start_millis);
        for (all, pick) in self.picks.iter_mut().zip(picks) {
            all.push(pick);
        }
    }

    /// Ends the hops of a length.
    fn close(&mut self) {
        self.lengths.push(self.starts.len() - self.closed);
        self.closed = self.starts.len();
    }

    /// Which queries have any.
    fn present(&self) -> NullBuffer {
        let queries = self.lengths.chunks(HOPS_MILLIS.len());
        let any: Vec<bool> = queries
            .map(|lengths| lengths.iter().any(|l| *l > 0))
            .collect();
        any.into()
    }
}

impl Evaluator for BatchStates {
    fn output(&self) -> &[Field] {
        &self.output
    }

    fn needs(&self) -> Needs {
        self.collapsed.needs(Resolution::Collapsed)
    }

    fn evaluate(&mut self, right: Run<'_>, queries: Queries<'_>) -> Result<Evaluated, KernelError> {
        let Some(time) = self.time else {
            return self.answer(right, queries);
        };
        let sorted = ByOwnTime::new(right, queries, time)?;
        self.answer(sorted.run(), sorted.queries())
    }

    /// Every query, as there is one for each key.
    fn reach(&self, _ts_millis: i64) -> Range<i64> {
        i64::MIN..i64::MAX
    }

    fn looks_at(&self, query_millis: i64) -> Range<i64> {
        match self.time {
            Some(_) => query_millis..query_millis.saturating_add(1),
            None => i64::MIN..query_millis,
        }
    }
}

/// Snapshot rows as a run sorted by their own time, with each query as a key of its own.
struct ByOwnTime {
    row_offsets: Vec<u32>,
    ts: Vec<i64>,
    positions: Vec<u64>,
    columns: Vec<ArrayRef>,
    query_offsets: Vec<u32>,
    query_ts: Vec<i64>,
}

impl ByOwnTime {
    fn new(right: Run<'_>, queries: Queries<'_>, time: usize) -> Result<Self, KernelError> {
        let times = Times::new(right, Some(time));
        let mut rows: Vec<u32> = Vec::new();
        let (mut row_offsets, mut query_offsets) = (vec![0], vec![0]);
        for key in 0..right.key_count() {
            for query in queries.of_key(key) {
                let start = rows.len();
                let own = rows_at(right, key, queries.ts[query]);
                let timed = own.filter(|row| times.of(*row).is_some());
                rows.extend(timed.map(|row| row as u32));
                // Stable: of equal times the earlier row stays first.
                rows[start..].sort_by_key(|row| times.values[*row as usize]);
                row_offsets.push(rows.len() as u32);
                query_offsets.push(query_offsets.len() as u32);
            }
        }
        let ts = rows.iter().map(|row| times.values[*row as usize]).collect();
        // Positions may not be wanted, and then there are none.
        let position = |row: &u32| right.positions.get(*row as usize).copied();
        let positions = rows.iter().filter_map(position).collect();
        let rows = UInt32Array::from(rows);
        let take = |column: &ArrayRef| arrow_select::take::take(column, &rows, None);
        Ok(Self {
            columns: right.columns.iter().map(take).collect::<Result<_, _>>()?,
            row_offsets,
            ts,
            positions,
            query_offsets,
            query_ts: queries.ts.to_vec(),
        })
    }

    fn run(&self) -> Run<'_> {
        Run {
            offsets: &self.row_offsets,
            ts: &self.ts,
            positions: &self.positions,
            columns: &self.columns,
        }
    }

    fn queries(&self) -> Queries<'_> {
        Queries {
            offsets: &self.query_offsets,
            ts: &self.query_ts,
        }
    }
}
