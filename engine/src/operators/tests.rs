//! The operators against slow twins: random histories of rows and queries that come, go and come late, over several
//! epochs, several of them in one activation, on one, two and four workers, moved and through the wire, with chunks
//! and blocks so small that keys straddle them. What was given out by each epoch must sum to what recomputing from
//! scratch gives, bit for bit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;

use arrow_array::{Array, ArrayRef, Float64Array, Int64Array};
use arrow_row::{RowConverter, SortField};
use arrow_schema::DataType as ArrowType;
use timely::CommunicationConfig;
use timely::container::NoopBuilder;
use timely::dataflow::InputHandle;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Input;
use timely::dataflow::operators::generic::Operator;
use unskewed_kernel::error::KernelError;
use unskewed_kernel::evaluate::lookup::Lookup;
use unskewed_kernel::evaluate::point_in_time::PointInTime;
use unskewed_kernel::evaluate::snapshot_rows::SnapshotRows;
use unskewed_kernel::run::{Evaluated, Evaluator, Queries, Run};
use unskewed_kernel::window::Resolution;
use unskewed_planner::aggregation::{AggregatePart, Arguments, Operation, PartSpec};
use unskewed_planner::physical::Matches;
use unskewed_planner::schema::{DataType, Field, Schema};
use unskewed_planner::time::{DAY_MILLIS, Window};

use super::*;
use crate::arrange::arrange;
use crate::error::Failure;
use crate::exchange::{Batch, Epoch};
use crate::testing::Random;

/// Order-dependent sums of a float column over `[query − window, query)`, and the rows there.
#[derive(Clone)]
struct Sums {
    window: i64,
    /// Gives back rows of exactly the query's time instead.
    exact: bool,
    output: Vec<Field>,
}

impl Sums {
    fn new(window: i64, exact: bool) -> Self {
        let field = |name: &str, data_type| Field {
            name: name.into(),
            data_type,
        };
        let output = vec![
            field("sum", DataType::Double),
            field("rows", DataType::Long),
        ];
        Self {
            window,
            exact,
            output,
        }
    }

    /// The answers to one query, from all rows of its key in order.
    fn plain(&self, rows: &[(i64, Option<f64>)], query: i64) -> Vec<(Option<f64>, Option<i64>)> {
        if self.exact {
            let exact = rows.iter().filter(|(ts, _)| *ts == query);
            return exact.map(|(_, value)| (*value, Some(1))).collect();
        }
        let seen = rows
            .iter()
            .filter(|(ts, _)| query - self.window <= *ts && *ts < query);
        let (mut sum, mut count) = (None, None);
        for (_, value) in seen {
            // Not a plain sum: the order of the rows shows in the bits.
            if let Some(value) = value {
                sum = Some(sum.unwrap_or(0.1) * 1.000_1 + value);
            }
            count = Some(count.unwrap_or(0) + 1);
        }
        vec![(sum, count)]
    }
}

impl Evaluator for Sums {
    fn output(&self) -> &[Field] {
        &self.output
    }

    fn evaluate(&mut self, right: Run<'_>, queries: Queries<'_>) -> Result<Evaluated, KernelError> {
        assert_eq!(right.offsets.len(), queries.offsets.len());
        assert_eq!(*right.offsets.last().unwrap() as usize, right.ts.len());
        assert_eq!(*queries.offsets.last().unwrap() as usize, queries.ts.len());
        let values = right.columns[0].as_primitive::<Float64Type>();
        assert_eq!(values.len(), right.ts.len());
        let (mut query, mut sums, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for key in 0..right.key_count() {
            let rows = right.rows(key);
            assert!(
                right.ts[rows.clone()].is_sorted() && queries.ts[queries.of_key(key)].is_sorted()
            );
            let value = |r: usize| values.is_valid(r).then(|| values.value(r));
            let rows: Vec<_> = rows.map(|r| (right.ts[r], value(r))).collect();
            for q in queries.of_key(key) {
                for (sum, count) in self.plain(&rows, queries.ts[q]) {
                    query.push(q as u32);
                    sums.push(sum);
                    counts.push(count);
                }
            }
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from(sums)),
            Arc::new(Int64Array::from(counts)),
        ];
        Ok(Evaluated { query, columns })
    }

    fn reach(&self, ts: i64) -> std::ops::Range<i64> {
        if self.exact {
            ts..ts + 1
        } else {
            ts + 1..ts + self.window + 1
        }
    }

    fn looks_at(&self, query: i64) -> std::ops::Range<i64> {
        if self.exact {
            query..query + 1
        } else {
            query - self.window..query
        }
    }
}

/// A change: epoch, key, time, position, how often.
type Change = (Epoch, u64, i64, u64, i64);

/// A random history: right rows and queries that come and go.
struct History {
    right: Vec<Change>,
    queries: Vec<Change>,
    epochs: Epoch,
}

impl History {
    fn random(random: &mut Random, epochs: Epoch, scale: i64) -> Self {
        let (keys, span) = (1 + random.below(6), 1 + random.below(300));
        let mut live = [Vec::new(), Vec::new()];
        let mut changes = [Vec::new(), Vec::new()];
        let mut position = 0;
        let skewed = random.below(2) == 0;
        for epoch in 0..epochs {
            for which in 0..2 {
                let rows = if epoch == 0 || random.below(4) == 0 {
                    90
                } else {
                    6
                };
                for _ in 0..random.below(rows) {
                    let live: &mut Vec<(u64, i64, u64)> = &mut live[which];
                    if random.below(3) == 0 && !live.is_empty() {
                        let gone = live.swap_remove(random.below(live.len() as u64) as usize);
                        changes[which].push((epoch, gone.0, gone.1, gone.2, -1));
                    } else {
                        position += 1;
                        let key = random.below(keys);
                        let key = if skewed && random.below(3) > 0 {
                            0
                        } else {
                            key
                        };
                        // Positions do not follow times, so ties are ordered by them alone.
                        let at = position * 7_919 % 100_003;
                        let row = (key, random.below(span) as i64 * scale, at);
                        live.push(row);
                        changes[which].push((epoch, row.0, row.1, row.2, 1));
                    }
                }
            }
        }
        let [right, queries] = changes;
        Self {
            right,
            queries,
            epochs,
        }
    }

    /// What counts after an epoch: (key, ts, position), in order.
    fn live(changes: &[Change], epoch: Epoch) -> Vec<(u64, i64, u64)> {
        let mut counts: BTreeMap<(u64, i64, u64), i64> = BTreeMap::new();
        for &(at, key, ts, position, diff) in changes {
            if at <= epoch {
                *counts.entry((key, ts, position)).or_default() += diff;
            }
        }
        counts
            .into_iter()
            .filter(|(_, n)| *n > 0)
            .map(|(row, _)| row)
            .collect()
    }
}

fn value_of(position: u64) -> Option<f64> {
    (!position.is_multiple_of(5)).then_some(position as f64 * 0.37 - 11.0)
}

fn identity(key: u64) -> u128 {
    u128::from(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(key)
}

/// Changes as a container. Right rows carry their value and the name of their key.
fn batch(changes: &[Change], payload: bool) -> Batch {
    let mut batch = Batch::default();
    for (row, &(epoch, key, ts, position, diff)) in changes.iter().enumerate() {
        batch.key.push(identity(key));
        batch.ts.push(ts);
        batch.position.push(position);
        batch.time.push(row, epoch);
        batch.diff.push(row, diff);
    }
    if payload {
        let values = changes.iter().map(|c| value_of(c.3));
        let keys = changes.iter().map(|c| c.1 as i64 + 1_000);
        batch.columns = vec![
            Arc::new(Float64Array::from_iter(values)),
            Arc::new(Int64Array::from_iter_values(keys)),
        ];
    }
    batch
}

/// An answer: key, time, position, and its columns as bytes, floats by their bits.
type Answer = (u128, i64, u64, Vec<u8>);
type Given = BTreeMap<(Epoch, Answer), i64>;

fn encoded(columns: &[ArrayRef]) -> Vec<Vec<u8>> {
    let fields = columns
        .iter()
        .map(|c| SortField::new(c.data_type().clone()));
    let converter = RowConverter::new(fields.collect()).unwrap();
    let rows = converter.convert_columns(columns).unwrap();
    rows.iter().map(|row| row.as_ref().to_vec()).collect()
}

fn read(batch: &Batch, given: &mut Given) {
    for (row, bytes) in encoded(&batch.columns).into_iter().enumerate() {
        let answer = (batch.key[row], batch.ts[row], batch.position[row], bytes);
        *given.entry((batch.time.get(row), answer)).or_default() += batch.diff.get(row);
    }
}

/// Which function answers.
#[derive(Clone, Copy, Debug)]
enum Function {
    Sums {
        window: i64,
        exact: bool,
    },
    /// The kernel's windows; daily ones answer at midnights.
    Windows(Resolution),
    /// The same for operations whose answers show the order of work, some of them the other queries too.
    Ordered(Resolution),
    /// The kernel's look-up of rows of exactly the query's time.
    Lookup,
    /// The first of them by position.
    FirstRow,
    /// The kernel's aggregates of rows of exactly the query's time.
    SnapshotRows,
}

impl Function {
    #[expect(clippy::too_many_lines, reason = "a list of cases")]
    fn evaluator(self) -> Box<dyn Evaluator> {
        let right = Schema::new(vec![
            Field::new("v", DataType::Double),
            Field::new("k", DataType::Long),
        ]);
        let part = |operation, window| {
            let spec = PartSpec {
                input: "v".into(),
                operation,
                arguments: Arguments {
                    k: Some(3),
                    ..Arguments::default()
                },
                window,
                bucket: None,
                element_wise: false,
            };
            spec.typed(&right).unwrap()
        };
        let operations = [
            Operation::Sum,
            Operation::Average,
            Operation::Count,
            Operation::Last,
            Operation::First,
            Operation::Max,
            Operation::Variance,
            Operation::LastK,
            Operation::UniqueCount,
        ];
        let parts = |windows: &[Window]| -> Vec<AggregatePart> {
            let each = operations.iter().enumerate();
            each.map(|(i, o)| part(*o, windows[i % windows.len()]))
                .collect()
        };
        match self {
            Self::Sums { window, exact } => Box::new(Sums::new(window, exact)),
            Self::Windows(resolution) | Self::Ordered(resolution) => {
                let windows = match resolution {
                    Resolution::Daily => &[Window::Days(1), Window::Days(3), Window::Unbounded][..],
                    Resolution::FiveMinutes | Resolution::Collapsed => &[
                        Window::Hours(1),
                        Window::Days(2),
                        Window::Unbounded,
                        Window::Days(13),
                    ],
                };
                let parts = match self {
                    Self::Ordered(_) => {
                        let each = windows.iter().flat_map(|window| {
                            let operations = [
                                Operation::ApproxHistogramK,
                                Operation::Kurtosis,
                                Operation::TopK,
                            ];
                            operations.map(|o| part(o, *window))
                        });
                        each.collect()
                    }
                    _ => parts(windows),
                };
                Box::new(PointInTime::new(&parts, &right, resolution).unwrap())
            }
            Self::Lookup => Box::new(Lookup::new(&right.fields, &right).unwrap()),
            Self::FirstRow => {
                let lookup = Lookup::new(&right.fields, &right).unwrap();
                Box::new(lookup.matching(Matches::First))
            }
            Self::SnapshotRows => {
                let untimed = [Operation::Sum, Operation::Max, Operation::Count];
                let parts: Vec<_> = untimed.map(|o| part(o, Window::Unbounded)).into();
                Box::new(SnapshotRows::new(&parts, &right, None).unwrap())
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Setting {
    seed: u64,
    workers: usize,
    serialised: bool,
    fixed: bool,
    function: Function,
    rule: AnswerRule,
    /// Milliseconds between the times there are.
    scale: i64,
    limits: Limits,
}

/// Runs a history through the dataflow and collects all that is given out.
#[expect(clippy::too_many_lines, reason = "one run, from its start to its end")]
fn run<const TARGET: usize>(setting: Setting, history: &Arc<History>, times: &[i64]) -> Given {
    let given = Arc::new(Mutex::new(Given::new()));
    let failure = Failure::default();
    let communication = match (setting.workers, setting.serialised) {
        (1, false) => CommunicationConfig::Thread,
        (workers, false) => CommunicationConfig::Process(workers),
        (workers, true) => CommunicationConfig::ProcessBinary(workers),
    };
    let config = timely::Config {
        communication,
        worker: timely::WorkerConfig::default(),
    };
    let (history, times) = (Arc::clone(history), times.to_vec());
    let (results, failed) = (Arc::clone(&given), failure.clone());
    let guards = timely::execute(config, move |worker| {
        let (index, peers) = (worker.index(), worker.peers());
        let mut right = <InputHandle<u64, NoopBuilder<Batch>>>::new_with_builder();
        let mut queries = <InputHandle<u64, NoopBuilder<Batch>>>::new_with_builder();
        let (results, failed, times) = (Arc::clone(&results), failed.clone(), times.clone());
        worker.dataflow::<u64, _, _>(|scope| {
            let options = AsOf {
                name: "test".into(),
                evaluator: setting.function.evaluator(),
                payload: vec![ArrowType::Float64, ArrowType::Int64],
                carries: if setting.fixed { vec![1] } else { vec![] },
                rule: setting.rule,
                limits: setting.limits,
                failure: failed,
                meter: None,
            };
            let rights = arrange::<TARGET>(scope.input_from(&mut right), "right");
            let asked = arrange::<TARGET>(scope.input_from(&mut queries), "queries");
            let answers = match setting.fixed {
                true => snapshots(rights, times, options),
                false => as_of(rights, asked, options),
            };
            answers.unary::<NoopBuilder<Batch>, _, _, _>(Pipeline, "collect", move |_, _| {
                move |input, _| {
                    input.for_each(|_, batch: &mut Batch| {
                        read(batch, &mut results.lock().unwrap());
                    });
                }
            });
        });
        let mut random = Random::new(setting.seed ^ 0xfeed);
        for epoch in 0..history.epochs {
            let mine = |changes: &[Change]| -> Vec<Change> {
                let of_epoch = changes.iter().filter(|c| c.0 == epoch).enumerate();
                of_epoch
                    .filter(|(i, _)| i % peers == index)
                    .map(|(_, c)| *c)
                    .collect()
            };
            for (changes, handle, payload) in [
                (&history.right, &mut right, true),
                (&history.queries, &mut queries, false),
            ] {
                for part in mine(changes).chunks(1 + random.below(40) as usize) {
                    handle.send_batch(&mut batch(part, payload));
                }
            }
            // Now and then several epochs are closed at once, the inputs at different moments.
            if random.below(3) == 0 {
                right.advance_to(epoch + 1);
                (0..random.below(4)).for_each(|_| _ = worker.step());
                queries.advance_to(epoch + 1 - random.below(2).min(epoch + 1 - queries.time()));
                (0..random.below(30)).for_each(|_| _ = worker.step());
            }
        }
    })
    .unwrap();
    guards.join().into_iter().for_each(|worker| worker.unwrap());
    assert!(failure.take().is_none());
    Arc::try_unwrap(given).unwrap().into_inner().unwrap()
}

/// What recomputing from scratch gives after an epoch: each key alone, all its rows and queries in one call.
fn from_scratch(
    setting: Setting,
    history: &History,
    times: &[i64],
    epoch: Epoch,
) -> BTreeMap<Answer, i64> {
    let right = History::live(&history.right, epoch);
    let mut queries = History::live(&history.queries, epoch);
    let mut keys: Vec<u64> = right.iter().map(|r| r.0).collect();
    keys.dedup();
    if setting.fixed {
        queries = keys
            .iter()
            .flat_map(|k| times.iter().map(|t| (*k, *t, 0)))
            .collect();
    }
    let mut evaluator = setting.function.evaluator();
    let mut answers = BTreeMap::new();
    for asked in queries.chunk_by(|a, b| a.0 == b.0) {
        let key = asked[0].0;
        let rows: Vec<_> = right.iter().filter(|r| r.0 == key).collect();
        let ts: Vec<i64> = rows.iter().map(|r| r.1).collect();
        let positions: Vec<u64> = rows.iter().map(|r| r.2).collect();
        let query_ts: Vec<i64> = asked.iter().map(|q| q.1).collect();
        let names = rows.iter().map(|r| r.0 as i64 + 1_000);
        let payload: [ArrayRef; 2] = [
            Arc::new(Float64Array::from_iter(rows.iter().map(|r| value_of(r.2)))),
            Arc::new(Int64Array::from_iter_values(names)),
        ];
        let run = Run {
            offsets: &[0, rows.len() as u32],
            ts: &ts,
            positions: &positions,
            columns: &payload,
        };
        let asks = Queries {
            offsets: &[0, asked.len() as u32],
            ts: &query_ts,
        };
        let Evaluated { query, mut columns } = evaluator.evaluate(run, asks).unwrap();
        let values = columns.clone();
        if setting.fixed {
            let name = Int64Array::from_value(key as i64 + 1_000, query.len());
            columns.insert(0, Arc::new(name));
        }
        for (row, bytes) in encoded(&columns).into_iter().enumerate() {
            let (_, at, position) = asked[query[row] as usize];
            let kept = match setting.rule {
                AnswerRule::Always => true,
                AnswerRule::AnyRow => ts.iter().any(|t| evaluator.looks_at(at).contains(t)),
                AnswerRule::AnyValue => values.iter().any(|c| c.is_valid(row)),
            };
            if kept {
                *answers
                    .entry((identity(key), at, position, bytes))
                    .or_default() += 1;
            }
        }
    }
    answers
}

fn check<const TARGET: usize>(setting: Setting) {
    let mut random = Random::new(setting.seed);
    let epochs = 1 + random.below(12);
    let history = Arc::new(History::random(&mut random, epochs, setting.scale));
    let mut times: Vec<i64> = (0..random.below(9))
        .map(|_| match setting.function {
            Function::Windows(Resolution::Daily) | Function::Ordered(Resolution::Daily) => {
                random.below(16) as i64 * DAY_MILLIS
            }
            _ => random.below(320) as i64 * setting.scale,
        })
        .collect();
    times.sort_unstable();
    times.dedup();
    let given = run::<TARGET>(setting, &history, &times);
    for epoch in 0..epochs {
        let mut sum: BTreeMap<Answer, i64> = BTreeMap::new();
        for ((at, answer), diff) in &given {
            if *at <= epoch {
                *sum.entry(answer.clone()).or_default() += diff;
            }
        }
        sum.retain(|_, diff| *diff != 0);
        let want = from_scratch(setting, &history, &times, epoch);
        if sum != want {
            let missing: Vec<_> = want
                .iter()
                .filter(|(a, n)| sum.get(a) != Some(n))
                .take(3)
                .collect();
            let extra: Vec<_> = sum
                .iter()
                .filter(|(a, n)| want.get(a) != Some(n))
                .take(3)
                .collect();
            panic!("{setting:?} epoch {epoch} of {epochs}: missing {missing:?}, extra {extra:?}");
        }
    }
}

fn settings(
    seeds: std::ops::Range<u64>,
    fixed: bool,
    kernel: bool,
) -> impl Iterator<Item = Setting> {
    seeds.map(move |seed| {
        let mut random = Random::new(seed.wrapping_mul(31) + u64::from(fixed));
        let mut pick = |list: &[usize]| list[random.below(list.len() as u64) as usize];
        let limits = Limits {
            fuel_rows: pick(&[1, 50, 1 << 16]),
            block_rows: pick(&[1, 16, 300, 1 << 16]),
            block_values: pick(&[2, 64, 1 << 20]),
            small_key_rows: pick(&[0, 10, 1_000]),
        };
        let workers = pick(&[1, 1, 2, 4]);
        let serialised = pick(&[0, 0, 1]) == 1;
        let exact = pick(&[0, 0, 1]) == 1;
        let window = pick(&[10, 250, 1_000, 100_000]) as i64;
        let resolution = match fixed {
            true => Resolution::Daily,
            false => Resolution::FiveMinutes,
        };
        let (windows, ordered) = (Function::Windows(resolution), Function::Ordered(resolution));
        let function = match kernel {
            true => {
                let others = [Function::Lookup, Function::FirstRow, Function::SnapshotRows];
                [windows, ordered, others[0], others[1], others[2]][pick(&[0, 1, 2, 3, 4])]
            }
            false => Function::Sums { window, exact },
        };
        let scale = if matches!(function, Function::Windows(_) | Function::Ordered(_)) {
            4_200_000
        } else {
            10
        };
        let rule = [AnswerRule::Always, AnswerRule::AnyRow, AnswerRule::AnyValue][pick(&[0, 1, 2])];
        Setting {
            seed,
            workers,
            serialised,
            fixed,
            function,
            rule,
            scale,
            limits,
        }
    })
}

fn check_all(settings: impl Iterator<Item = Setting>) {
    for setting in settings {
        match setting.seed % 3 {
            0 => check::<1_000>(setting),
            _ => check::<16>(setting),
        }
    }
}

#[test]
fn as_of_equals_from_scratch() {
    check_all(settings(0..150, false, false));
}

#[test]
fn snapshots_equal_from_scratch() {
    check_all(settings(1_000..1_100, true, false));
}

/// The kernel's own functions keep their contract under the operator: bits do not depend on history.
#[test]
fn kernel_functions_as_of_equal_from_scratch() {
    check_all(settings(2_000..2_060, false, true));
}

#[test]
fn kernel_functions_at_days_equal_from_scratch() {
    check_all(settings(3_000..3_040, true, true));
}
