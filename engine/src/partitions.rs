//! Hole filling: which days of an output table are missing, and in which slices they are computed.
//!
//! Promises: a pure function of the lists of existing days; the same lists give the same slices, oldest first.
//! Days before the first existing output day are taken for deleted by retention and stay unfilled unless asked for.
//! Never lists a table, never reads a clock.

use std::collections::BTreeSet;

use unskewed_planner::time::{Partition, PartitionRange};

/// The days of a table.
pub type Days = BTreeSet<Partition>;

/// What is to be filled, and what is there.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// First day wanted; `None` takes the first day of any input.
    pub start: Option<Partition>,
    /// Last day wanted.
    pub end: Partition,
    /// The days the output table holds.
    pub existing: &'a Days,
    /// The days of each input; `None` when the inputs do not limit what can be computed.
    pub inputs: Option<&'a [Days]>,
    /// An input day `D` gives the output day `D + shift_days`.
    pub shift_days: i32,
    /// Leave the days before the first existing output day alone.
    pub skip_first_hole: bool,
}

/// The missing days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holes {
    /// Runs of consecutive missing days, oldest first.
    pub ranges: Vec<PartitionRange>,
    /// Missing days left alone because they lie before the first existing one; worth a warning.
    pub before_first: Vec<PartitionRange>,
    /// Missing days that no input has; they stay missing.
    pub without_input: Vec<PartitionRange>,
}

impl Holes {
    /// Whether there is nothing to compute.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The missing days in slices of at most `step_days` days, oldest first.
    pub fn steps(&self, step_days: i32) -> Vec<PartitionRange> {
        let steps = self.ranges.iter().flat_map(|range| range.steps(step_days));
        steps.collect()
    }

    /// From the first missing day to the last.
    pub fn hull(&self) -> Option<PartitionRange> {
        let (first, last) = (self.ranges.first()?, self.ranges.last()?);
        PartitionRange::new(first.start, last.end)
    }
}

/// No start was given and no input has a single day to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no start partition is given and no input table has any partition to start from")]
pub struct NoStart;

/// The missing days of an output.
pub fn unfilled(request: &Request<'_>) -> Result<Holes, NoStart> {
    let start = match request.start {
        Some(start) => start,
        None => {
            let inputs = request.inputs.unwrap_or_default();
            let first = inputs.iter().filter_map(|days| days.first()).min();
            first.ok_or(NoStart)?.plus_days(request.shift_days)
        }
    };
    let Some(range) = PartitionRange::new(start, request.end) else {
        return Ok(Holes::default());
    };
    let cutoff = match request.existing.first() {
        Some(first) if request.skip_first_hole => (*first).max(start),
        _ => start,
    };
    let has_input = |day: Partition| {
        let source = day.plus_days(-request.shift_days);
        request
            .inputs
            .is_none_or(|inputs| inputs.iter().any(|days| days.contains(&source)))
    };
    let (mut missing, mut before_first, mut without_input) = (vec![], vec![], vec![]);
    for day in range.iter().filter(|day| !request.existing.contains(day)) {
        let list = match (has_input(day), day < cutoff) {
            (false, _) => &mut without_input,
            (true, true) => &mut before_first,
            (true, false) => &mut missing,
        };
        list.push(day);
    }
    Ok(Holes {
        ranges: chunks(missing),
        before_first: chunks(before_first),
        without_input: chunks(without_input),
    })
}

/// Runs of consecutive days; `days` must come in order.
pub fn chunks(days: impl IntoIterator<Item = Partition>) -> Vec<PartitionRange> {
    let mut ranges: Vec<PartitionRange> = vec![];
    for day in days {
        match ranges.last_mut() {
            Some(last) if last.end.plus_days(1) == day => last.end = day,
            _ => ranges.push(PartitionRange {
                start: day,
                end: day,
            }),
        }
    }
    ranges
}

/// The days of both lists of ranges together, as a set.
pub fn days_of(ranges: &[PartitionRange]) -> Days {
    ranges.iter().flat_map(|range| range.iter()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Partition {
        text.parse().unwrap()
    }

    fn days(list: &[&str]) -> Days {
        list.iter().map(|d| day(d)).collect()
    }

    fn span(start: &str, end: &str) -> Days {
        let range = PartitionRange::new(day(start), day(end)).unwrap();
        range.iter().collect()
    }

    fn text(ranges: &[PartitionRange]) -> Vec<String> {
        let pair = |r: &PartitionRange| format!("{}..{}", r.start, r.end);
        ranges.iter().map(pair).collect()
    }

    /// The sequence of runs that the reference's outputs of `gb_incremental_holes` record: a first run, two
    /// partitions dropped (the first and an inner one), a second run that leaves the first alone, and a third with
    /// `--run-first-hole` that fills it.
    #[test]
    fn runs_of_incremental_holes() {
        let inputs = [span("2024-02-25", "2024-03-05")];
        let run = |existing: &Days, end: &str, first_hole: bool| {
            unfilled(&Request {
                start: Some(day("2024-02-27")),
                end: day(end),
                existing,
                inputs: Some(&inputs),
                shift_days: 0,
                skip_first_hole: !first_hole,
            })
            .unwrap()
        };
        let first = run(&Days::new(), "2024-03-01", false);
        let steps = text(&first.steps(2));
        assert_eq!(steps, ["2024-02-27..2024-02-28", "2024-02-29..2024-03-01"]);
        let mut existing = days(&["2024-02-28", "2024-03-01"]);
        let second = run(&existing, "2024-03-05", false);
        assert_eq!(
            text(&second.steps(3)),
            [
                "2024-02-29..2024-02-29",
                "2024-03-02..2024-03-04",
                "2024-03-05..2024-03-05"
            ]
        );
        assert_eq!(text(&second.before_first), ["2024-02-27..2024-02-27"]);
        existing.extend(days_of(&second.ranges));
        let third = run(&existing, "2024-03-05", true);
        assert_eq!(text(&third.ranges), ["2024-02-27..2024-02-27"]);
        existing.extend(days_of(&third.ranges));
        assert!(run(&existing, "2024-03-05", true).is_empty());
    }

    /// Days that no input has stay missing; one input with the day is enough; the shift moves input days.
    #[test]
    fn inputs_limit_the_days() {
        let inputs = [days(&["2024-03-01"]), days(&["2024-03-03"])];
        let mut request = Request {
            start: None,
            end: day("2024-03-05"),
            existing: &Days::new(),
            inputs: Some(&inputs),
            shift_days: 0,
            skip_first_hole: true,
        };
        let holes = unfilled(&request).unwrap();
        assert_eq!(
            text(&holes.ranges),
            ["2024-03-01..2024-03-01", "2024-03-03..2024-03-03"]
        );
        assert_eq!(
            text(&holes.without_input),
            ["2024-03-02..2024-03-02", "2024-03-04..2024-03-05"]
        );
        assert_eq!(holes.hull().unwrap().days(), 3);
        request.shift_days = 1;
        let holes = unfilled(&request).unwrap();
        assert_eq!(
            text(&holes.ranges),
            ["2024-03-02..2024-03-02", "2024-03-04..2024-03-04"]
        );
        request.inputs = None;
        assert_eq!(unfilled(&request), Err(NoStart));
        request.start = Some(day("2024-03-06"));
        assert!(unfilled(&request).unwrap().is_empty());
    }

    /// Against a plain restatement of the rule, over many small random situations.
    #[test]
    fn agrees_with_the_rule_restated() {
        let mut seed = 7_u64;
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        for _ in 0..2_000 {
            let mut set = |count: u64| -> Days {
                (0..count)
                    .map(|_| Partition {
                        day: next(12) as i32,
                    })
                    .collect()
            };
            let (existing, one, two) = (set(4), set(5), set(3));
            let inputs = [one, two];
            let shift = next(3) as i32 - 1;
            let start = Partition {
                day: next(12) as i32,
            };
            let request = Request {
                start: Some(start),
                end: Partition { day: 11 },
                existing: &existing,
                inputs: Some(&inputs),
                shift_days: shift,
                skip_first_hole: next(2) == 0,
            };
            let want: Days = (start.day..=11)
                .map(|day| Partition { day })
                .filter(|d| !existing.contains(d))
                .filter(|d| inputs.iter().flatten().any(|i| i.plus_days(shift) == *d))
                .filter(|d| {
                    !request.skip_first_hole
                        || existing.iter().all(|e| e > d) == existing.is_empty()
                })
                .collect();
            let holes = unfilled(&request).unwrap();
            assert_eq!(days_of(&holes.ranges), want, "{request:?}");
            for pair in holes.ranges.windows(2) {
                assert!(pair[0].end.plus_days(1) < pair[1].start, "{holes:?}");
            }
        }
    }
}
