//! The tiles of a run, and what each query slot and window is made of.
//!
//! Built once per run and shared by all columns; every index is run-wide. Hot path: linear in rows, queries × windows
//! and tiles; no allocation per key, row or query. Tiles, hours and days without rows do not exist. Rows that no
//! query of their key can see are skipped.

use std::ops::Range;

use unskewed_planner::time::{DAY_MILLIS, FIVE_MINUTES_MILLIS, HOUR_MILLIS, Window};

use super::{Resolution, ceiling_to, floor_to, head_millis};
use crate::run::{Queries, Run};

/// Tiles, slots and windows of a run.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Rows of each five-minute tile.
    tiles: Vec<Range<u32>>,
    /// First tile of each hour; one more entry than hours.
    hour_tiles: Vec<u32>,
    /// First hour of each day; one more entry than days.
    day_hours: Vec<u32>,
    /// The query slots: queries of one key in one five-minute tile.
    slots: Vec<Slot>,
    /// Per window the start in every slot.
    starts: Vec<Vec<Start>>,
    /// Per query the end of its rows.
    query_rows: Vec<u32>,
    /// The run's row ranges of the keys.
    key_offsets: Vec<u32>,
}

/// Queries of one key whose heads start together.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// First query; the next slot's first query ends this one.
    query: u32,
    /// First row not before the head.
    row: u32,
    /// First tile not before the head.
    tile: u32,
    /// First hour not before the head's hour.
    hour: u32,
    /// First day not before the head's day.
    day: u32,
}

/// Where a window begins: its first tile, its first whole hour and its first whole day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Start {
    tile: u32,
    hour: u32,
    day: u32,
}

/// The parts of `[tail, head)` of one window in one slot, in the order they are folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pieces {
    /// Five-minute tiles up to the first whole hour (or to the head, when that comes first).
    pub(crate) first_tiles: Range<usize>,
    /// Hours up to the first whole day (or to the head's hour, when that comes first).
    pub(crate) first_hours: Range<usize>,
    /// Whole days.
    pub(crate) days: Range<usize>,
    /// Hours of the head's day.
    pub(crate) last_hours: Range<usize>,
    /// Five-minute tiles of the head's hour.
    pub(crate) last_tiles: Range<usize>,
}

/// A stretch of time that holds rows, by its number in the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Five minutes.
    Tile(usize),
    /// An hour.
    Hour(usize),
    /// A day.
    Day(usize),
}

/// How much of a slot's fold its successor can take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shared {
    /// Nothing.
    Nothing,
    /// Everything up to the end of the whole days.
    Days,
    /// Everything up to the end of the hours.
    Hours,
}

impl Timeline {
    /// The timeline of a run for these windows.
    pub fn build(run: Run<'_>, queries: Queries<'_>, windows: &[Window], by: Resolution) -> Self {
        let mut builder = Builder::new(run, queries, windows, by);
        for key in 0..run.key_count() {
            builder.key(key);
        }
        builder.finish()
    }

    /// The run's row ranges of the keys.
    pub(crate) fn key_offsets(&self) -> &[u32] {
        &self.key_offsets
    }

    /// Rows of each five-minute tile.
    pub(crate) fn tiles(&self) -> &[Range<u32>] {
        &self.tiles
    }

    /// Number of hours that hold rows.
    pub(crate) fn hour_count(&self) -> usize {
        self.hour_tiles.len() - 1
    }

    /// The tiles of an hour.
    pub(crate) fn tiles_of_hour(&self, hour: usize) -> Range<usize> {
        self.hour_tiles[hour] as usize..self.hour_tiles[hour + 1] as usize
    }

    /// Number of days that hold rows.
    pub(crate) fn day_count(&self) -> usize {
        self.day_hours.len() - 1
    }

    /// The hours of a day.
    pub(crate) fn hours_of_day(&self, day: usize) -> Range<usize> {
        self.day_hours[day] as usize..self.day_hours[day + 1] as usize
    }

    /// The units of a hop (a day, an hour or five minutes) of a key that hold rows, with those, in order of time.
    pub(crate) fn units(
        &self,
        hop_millis: i64,
        run: Run<'_>,
        key: usize,
    ) -> impl Iterator<Item = (Unit, Range<usize>)> {
        let rows = run.rows(key);
        let (make, count): (fn(usize) -> Unit, usize) = match hop_millis {
            DAY_MILLIS => (Unit::Day, self.day_count()),
            HOUR_MILLIS => (Unit::Hour, self.hour_count()),
            _ => (Unit::Tile, self.tiles.len()),
        };
        let before = |row: usize| {
            let (mut low, mut high) = (0, count);
            while low < high {
                let middle = low + (high - low) / 2;
                if self.rows_of(make(middle)).start < row {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            low
        };
        (before(rows.start)..before(rows.end)).map(move |index| {
            let unit = make(index);
            (unit, self.rows_of(unit))
        })
    }

    /// The rows of a unit.
    pub(crate) fn rows_of(&self, unit: Unit) -> Range<usize> {
        let tiles = self.tiles_of(unit);
        let (first, last) = (&self.tiles[tiles.start], &self.tiles[tiles.end - 1]);
        first.start as usize..last.end as usize
    }

    /// The tiles of a unit.
    fn tiles_of(&self, unit: Unit) -> Range<usize> {
        match unit {
            Unit::Tile(tile) => tile..tile + 1,
            Unit::Hour(hour) => self.tiles_of_hour(hour),
            Unit::Day(day) => {
                let hours = self.hours_of_day(day);
                self.tiles_of_hour(hours.start).start..self.tiles_of_hour(hours.end - 1).end
            }
        }
    }

    /// Number of slots.
    pub(crate) fn slot_count(&self) -> usize {
        self.slots.len()
    }

    /// The queries of a slot.
    pub(crate) fn queries_of_slot(&self, slot: usize) -> Range<usize> {
        let end = self
            .slots
            .get(slot + 1)
            .map_or(self.query_rows.len(), |next| next.query as usize);
        self.slots[slot].query as usize..end
    }

    /// First row of a slot's head.
    pub(crate) fn head_row(&self, slot: usize) -> usize {
        self.slots[slot].row as usize
    }

    /// End of the rows before a query.
    pub(crate) fn end_row(&self, query: usize) -> usize {
        self.query_rows[query] as usize
    }

    /// First row of a window in a slot; not before the end of a query's rows when the window is empty.
    pub(crate) fn first_row(&self, window: usize, slot: usize) -> usize {
        let tile = self.starts[window][slot].tile as usize;
        self.tiles
            .get(tile)
            .map_or(usize::MAX, |rows| rows.start as usize)
    }

    /// What `[tail, head)` is made of.
    pub(crate) fn pieces(&self, window: usize, slot: usize) -> Pieces {
        let start = self.starts[window][slot];
        let Slot {
            tile, hour, day, ..
        } = self.slots[slot];
        let range = |from: u32, to: u32| from as usize..(to.max(from)) as usize;
        let hour_tile = |hour: u32| self.hour_tiles[hour as usize];
        let day_hour = |day: u32| self.day_hours[day as usize];
        let none = 0..0;
        if start.hour > hour {
            // Tail and head lie in one hour.
            return Pieces {
                first_tiles: range(start.tile, tile),
                first_hours: none.clone(),
                days: none.clone(),
                last_hours: none.clone(),
                last_tiles: none,
            };
        }
        let first_tiles = range(start.tile, hour_tile(start.hour));
        let last_tiles = range(hour_tile(hour), tile);
        if start.day > day {
            // Tail and head lie in one day.
            return Pieces {
                first_tiles,
                first_hours: range(start.hour, hour),
                days: none.clone(),
                last_hours: none,
                last_tiles,
            };
        }
        Pieces {
            first_tiles,
            first_hours: range(start.hour, day_hour(start.day)),
            days: range(start.day, day),
            last_hours: range(day_hour(day), hour),
            last_tiles,
        }
    }

    /// What the fold of `slot + 1` has in common with that of `slot`.
    pub(crate) fn shared_with_next(&self, window: usize, slot: usize) -> Shared {
        let starts = &self.starts[window];
        let (Some(next_start), Some(next)) = (starts.get(slot + 1), self.slots.get(slot + 1))
        else {
            return Shared::Nothing;
        };
        let (start, this) = (starts[slot], self.slots[slot]);
        if start != *next_start || start.hour > this.hour || start.day > this.day {
            return Shared::Nothing;
        }
        match (this.day == next.day, this.hour == next.hour) {
            (true, true) => Shared::Hours,
            (true, false) => Shared::Days,
            (false, _) => Shared::Nothing,
        }
    }
}

/// Builds a [`Timeline`] key by key.
struct Builder<'a> {
    run: Run<'a>,
    queries: Queries<'a>,
    windows: &'a [Window],
    by: Resolution,
    timeline: Timeline,
    tile_starts: Vec<i64>,
    hour_starts: Vec<i64>,
    day_starts: Vec<i64>,
    tails: Vec<Tail>,
}

/// Where a window of the key at hand begins.
struct Tail {
    window: Window,
    hop_millis: i64,
    /// The tail of the slot before, and what it was placed on.
    millis: Option<i64>,
    start: Start,
}

impl<'a> Builder<'a> {
    fn new(run: Run<'a>, queries: Queries<'a>, windows: &'a [Window], by: Resolution) -> Self {
        let query_count = queries.ts.len();
        let timeline = Timeline {
            starts: windows
                .iter()
                .map(|_| Vec::with_capacity(query_count))
                .collect(),
            query_rows: Vec::with_capacity(query_count),
            slots: Vec::with_capacity(query_count),
            key_offsets: run.offsets.to_vec(),
            ..Timeline::default()
        };
        Self {
            run,
            queries,
            windows,
            by,
            timeline,
            tile_starts: Vec::new(),
            hour_starts: Vec::new(),
            day_starts: Vec::new(),
            tails: windows
                .iter()
                .map(|window| Tail {
                    window: *window,
                    hop_millis: by.tail_hop_millis(*window),
                    millis: None,
                    start: Start {
                        tile: 0,
                        hour: 0,
                        day: 0,
                    },
                })
                .collect(),
        }
    }

    fn key(&mut self, key: usize) {
        let queries = self.queries.of_key(key);
        let (Some(first), Some(last)) = (queries.clone().next(), queries.clone().next_back())
        else {
            return;
        };
        let rows = self.visible_rows(key, self.queries.ts[first], self.queries.ts[last]);
        let base = Start {
            tile: index(self.tile_starts.len()),
            hour: index(self.hour_starts.len()),
            day: index(self.day_starts.len()),
        };
        self.cut(rows.clone());
        self.slots(rows, queries, base);
    }

    /// The rows of a key that at least one of its queries can see.
    fn visible_rows(&self, key: usize, first_query: i64, last_query: i64) -> Range<usize> {
        let rows = self.run.rows(key);
        let ts = &self.run.ts[rows.clone()];
        let tails = self.windows.iter();
        let tail = tails.map(|w| self.by.tail_millis(*w, first_query)).min();
        let from = tail.map_or(0, |tail| ts.partition_point(|t| *t < tail));
        let to = ts.partition_point(|t| *t < last_query).max(from);
        rows.start + from..rows.start + to
    }

    /// Cuts rows into tiles, hours and days.
    fn cut(&mut self, rows: Range<usize>) {
        let timeline = &mut self.timeline;
        let mut tile_end = i64::MIN;
        let (mut hour_end, mut day_end) = (i64::MIN, i64::MIN);
        for row in rows.clone() {
            let ts = self.run.ts[row];
            if ts < tile_end {
                continue;
            }
            if let (true, Some(tile)) = (row > rows.start, timeline.tiles.last_mut()) {
                tile.end = index(row);
            }
            let tile_start = floor_to(ts, FIVE_MINUTES_MILLIS);
            tile_end = tile_start.saturating_add(FIVE_MINUTES_MILLIS);
            if row == rows.start || ts >= hour_end {
                let hour_start = floor_to(ts, HOUR_MILLIS);
                hour_end = hour_start.saturating_add(HOUR_MILLIS);
                if row == rows.start || ts >= day_end {
                    let day_start = floor_to(ts, DAY_MILLIS);
                    day_end = day_start.saturating_add(DAY_MILLIS);
                    self.day_starts.push(day_start);
                    timeline.day_hours.push(index(self.hour_starts.len()));
                }
                self.hour_starts.push(hour_start);
                timeline.hour_tiles.push(index(self.tile_starts.len()));
            }
            self.tile_starts.push(tile_start);
            timeline.tiles.push(index(row)..index(rows.end));
        }
    }

    /// Places a key's queries on its tiles.
    fn slots(&mut self, rows: Range<usize>, queries: Range<usize>, base: Start) {
        let first_row = rows.start;
        let mut slot = Slot {
            query: 0,
            row: index(first_row),
            tile: base.tile,
            hour: base.hour,
            day: base.day,
        };
        for tail in &mut self.tails {
            tail.start = base;
            tail.millis = None;
        }
        let (mut head, mut row) = (i64::MIN, first_row);
        let ts = &self.run.ts[..rows.end];
        for query in queries.clone() {
            let query_millis = self.queries.ts[query];
            let query_head = head_millis(query_millis);
            if query == queries.start || query_head != head {
                head = query_head;
                slot.query = index(query);
                row = advance(ts, slot.row as usize, head);
                slot.row = index(row);
                slot.tile = later(&self.tile_starts, slot.tile, head);
                slot.hour = later(&self.hour_starts, slot.hour, floor_to(head, HOUR_MILLIS));
                slot.day = later(&self.day_starts, slot.day, floor_to(head, DAY_MILLIS));
                self.timeline.slots.push(slot);
                self.starts(query_millis);
            }
            row = advance(ts, row, query_millis);
            self.timeline.query_rows.push(index(row));
        }
    }

    /// Places the windows of a slot.
    fn starts(&mut self, query_millis: i64) {
        let Timeline {
            hour_tiles,
            day_hours,
            starts,
            ..
        } = &mut self.timeline;
        let tile_count = index(self.tile_starts.len());
        let hour_count = index(self.hour_starts.len());
        let first_tile = |hour: u32| hour_tiles.get(hour as usize).copied().unwrap_or(tile_count);
        let first_hour = |day: u32| day_hours.get(day as usize).copied().unwrap_or(hour_count);
        for (tail, starts) in self.tails.iter_mut().zip(starts) {
            let millis = self.by.tail_millis(tail.window, query_millis);
            if tail.millis != Some(millis) {
                tail.millis = Some(millis);
                let start = &mut tail.start;
                start.day = later(&self.day_starts, start.day, whole(millis, DAY_MILLIS));
                // A tail on an hour or a day begins with the first tile from there on.
                start.hour = if tail.hop_millis < DAY_MILLIS {
                    later(&self.hour_starts, start.hour, whole(millis, HOUR_MILLIS))
                } else {
                    first_hour(start.day)
                };
                start.tile = if tail.hop_millis < HOUR_MILLIS {
                    later(&self.tile_starts, start.tile, millis)
                } else {
                    first_tile(start.hour)
                };
            }
            starts.push(tail.start);
        }
    }

    fn finish(mut self) -> Timeline {
        let (tiles, hours) = (index(self.tile_starts.len()), index(self.hour_starts.len()));
        self.timeline.hour_tiles.push(tiles);
        self.timeline.day_hours.push(hours);
        self.timeline
    }
}

/// Start of the first whole hour or day of a window.
fn whole(tail_millis: i64, unit_millis: i64) -> i64 {
    if tail_millis == i64::MIN {
        return i64::MIN;
    }
    ceiling_to(tail_millis, unit_millis)
}

/// First position from `from` on whose time is not before `millis`, found by galloping.
fn advance(times: &[i64], from: usize, millis: i64) -> usize {
    let mut step = 1;
    let mut low = from;
    while low + step <= times.len() && times[low + step - 1] < millis {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(times.len());
    low + times[low..high].partition_point(|t| *t < millis)
}

fn later(starts: &[i64], from: u32, millis: i64) -> u32 {
    index(advance(starts, from as usize, millis))
}

/// Rows, tiles and queries of one run are counted in 32 bits; the offsets of [`Run`] are already.
fn index(value: usize) -> u32 {
    u32::try_from(value).expect("a run has fewer than 2^32 rows, because its offsets are u32")
}
