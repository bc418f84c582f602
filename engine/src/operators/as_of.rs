//! Queries answered as of their time: one operator over right rows and queries, whatever the evaluator.
//!
//! ```text
//! arrangement of right rows ─┐
//!                            ├─ keys that changed ─ old and new rows, queries in reach ─ kernel ─ new − old
//! arrangement of queries ────┘
//! ```
//! Promises: the answers given so far always sum to what answering from scratch would give, bit for bit; a bulk load
//! is answered chunk by chunk; an activation gives out a bounded number of answers and then yields. Keeps no output:
//! what is taken back is computed again, which the evaluators' contract makes exact.

use std::cell::Cell;
use std::collections::VecDeque;

use arrow_array::new_empty_array;
use arrow_schema::DataType;
use differential_dataflow::trace::TraceReader;
use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::{Capability, CapabilitySet, InputCapability};
use timely::progress::Antichain;
use timely::progress::frontier::MutableAntichain;
use unskewed_kernel::run::Evaluator;

use super::AnswerRule;
use super::block::{Block, Shape};
use super::change::{Asking, Changer, Input};
use super::walk::Walk;
use crate::arrange::{Arrangement, RowBatch, RowSpan, RowTrace};
use crate::error::{EngineError, Failure};
use crate::exchange::{Batch, Epoch};
use crate::meter::Meter;
use crate::rle::Rle;

/// How queries are answered.
pub struct AsOf {
    /// The operator's name.
    pub name: String,
    /// The function that answers, from the columns of right rows.
    pub evaluator: Box<dyn Evaluator>,
    /// The types of those columns.
    pub payload: Vec<DataType>,
    /// Columns of the key's first row that lead each answer; for [`snapshots`].
    pub carries: Vec<usize>,
    /// Which queries are answered.
    pub rule: AnswerRule,
    /// How much is done at once.
    pub limits: Limits,
    /// Where a failure goes.
    pub failure: Failure,
    /// Who counts the work.
    pub(crate) meter: Option<Meter>,
}

/// How much is done at once; none of it changes an answer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Answers given out in one activation, about.
    pub fuel_rows: usize,
    /// Rows handed to the kernel in one call, about.
    pub block_rows: usize,
    /// Values of answers computed in one call, about.
    pub block_values: usize,
    /// Keys of up to this many rows are handed over whole.
    pub small_key_rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel_rows: 1 << 16,
            block_rows: 1 << 16,
            block_values: 1 << 22,
            small_key_rows: 256,
        }
    }
}

/// Answers each query of an arrangement: answers have the query's key, time and position, and the evaluator's columns.
pub fn as_of<'scope, const TARGET: usize>(
    right: Arrangement<'scope, TARGET>,
    queries: Arrangement<'scope, TARGET>,
    options: AsOf,
) -> Stream<'scope, Epoch, Batch> {
    let scope = right.stream.scope();
    let name = options.name.clone();
    let mut core = Core::new(right.trace, Some(queries.trace), Asking::Arranged, options);
    right
        .stream
        .binary_frontier::<_, NoopBuilder<Batch>, _, _, _, _>(
            queries.stream,
            Pipeline,
            Pipeline,
            &name,
            move |_capability, info| {
                let activator = scope.activator_for(info.address);
                move |(rights, right_frontier), (queries, query_frontier), output| {
                    rights.for_each(|capability, spans| core.receive(0, &capability, spans));
                    queries.for_each(|capability, spans| core.receive(1, &capability, spans));
                    let upper = bound(right_frontier).min(bound(query_frontier));
                    core.advance(upper);
                    let more = core.metered_work(|capability, mut batch| {
                        output
                            .session_with_builder(capability)
                            .give_container(&mut batch);
                    });
                    if more {
                        activator.activate();
                    }
                }
            },
        )
}

/// Answers the same times (ascending) for every key that has rows: answers have the key, the time, the columns carried
/// from the key's first row, and the evaluator's columns.
pub fn snapshots<'scope, const TARGET: usize>(
    right: Arrangement<'scope, TARGET>,
    times: Vec<i64>,
    options: AsOf,
) -> Stream<'scope, Epoch, Batch> {
    let scope = right.stream.scope();
    let name = options.name.clone();
    let asking = Asking::Fixed {
        times,
        always: options.rule == AnswerRule::Always,
    };
    let mut core = Core::new(right.trace, None, asking, options);
    right.stream.unary_frontier::<NoopBuilder<Batch>, _, _, _>(
        Pipeline,
        &name,
        move |_capability, info| {
            let activator = scope.activator_for(info.address);
            move |(rights, frontier), output| {
                rights.for_each(|capability, spans| core.receive(0, &capability, spans));
                core.advance(bound(frontier));
                let more = core.metered_work(|capability, mut batch| {
                    output
                        .session_with_builder(capability)
                        .give_container(&mut batch);
                });
                if more {
                    activator.activate();
                }
            }
        },
    )
}

/// The least epoch that may still come; past all when none may.
fn bound(frontier: &MutableAntichain<Epoch>) -> Epoch {
    frontier
        .frontier()
        .iter()
        .next()
        .copied()
        .unwrap_or(Epoch::MAX)
}

fn least(frontier: &Antichain<Epoch>) -> Epoch {
    frontier.elements().first().copied().unwrap_or(Epoch::MAX)
}

/// One input: its trace, and batches that are not yet due.
struct Source<const TARGET: usize> {
    trace: RowTrace<TARGET>,
    spans: VecDeque<RowSpan<TARGET>>,
    /// The end of the last batch that was taken.
    taken: Antichain<Epoch>,
}

impl<const TARGET: usize> Source<TARGET> {
    fn new(trace: RowTrace<TARGET>) -> Self {
        Self {
            trace,
            spans: VecDeque::new(),
            taken: Antichain::from_elem(0),
        }
    }

    fn history(&mut self) -> Vec<RowBatch<TARGET>> {
        self.trace
            .batches_through(self.taken.borrow())
            .expect("physical compaction is held at the end of the last batch taken")
    }

    /// The batches that end by `upper`.
    fn take_through(&mut self, upper: Epoch) -> Vec<RowBatch<TARGET>> {
        let mut batches = Vec::new();
        while self
            .spans
            .front()
            .is_some_and(|s| least(s.upper()) <= upper)
            && let Some(span) = self.spans.pop_front()
        {
            self.taken.clone_from(span.upper());
            batches.extend(span.inner);
        }
        if self.spans.is_empty() {
            // Empty batches are not sent: the trace knows them.
            self.trace.advance_upper(&mut self.taken);
        }
        batches
    }

    /// Lets the trace forget the difference between epochs before `upper`.
    fn compact(&mut self, upper: &Antichain<Epoch>) {
        self.trace.set_logical_compaction(upper.borrow());
        self.trace.set_physical_compaction(self.taken.borrow());
    }
}

/// Changes whose epochs are complete, answered as far as the walk has come.
struct Due<const TARGET: usize> {
    new: [Walk<TARGET>; 2],
    history: [Walk<TARGET>; 2],
    epochs: Vec<(Epoch, Block)>,
    capabilities: CapabilitySet<Epoch>,
}

struct Core<const TARGET: usize> {
    /// Right rows, and queries if they are arranged.
    sources: Vec<Source<TARGET>>,
    capabilities: CapabilitySet<Epoch>,
    lower: Epoch,
    due: VecDeque<Due<TARGET>>,
    evaluator: Box<dyn Evaluator>,
    changer: Changer,
    asking: Asking,
    shape: Shape,
    queries_max: usize,
    limits: Limits,
    failure: Failure,
    meter: Option<Meter>,
    inputs: [Input; 2],
}

impl<const TARGET: usize> Core<TARGET> {
    fn new(
        right: RowTrace<TARGET>,
        queries: Option<RowTrace<TARGET>>,
        asking: Asking,
        options: AsOf,
    ) -> Self {
        let limits = options.limits;
        let values = options.evaluator.output().len().max(1);
        let queries_max = (limits.block_values / values).clamp(1, limits.block_rows.max(1));
        Self {
            sources: std::iter::once(right)
                .chain(queries)
                .map(Source::new)
                .collect(),
            capabilities: CapabilitySet::new(),
            lower: 0,
            due: VecDeque::new(),
            evaluator: options.evaluator,
            changer: Changer::new(asking.clone(), queries_max, limits.small_key_rows),
            asking,
            shape: Shape {
                payload: options.payload.iter().map(new_empty_array).collect(),
                carries: options.carries,
                rule: options.rule,
            },
            queries_max,
            limits,
            failure: options.failure,
            meter: options.meter,
            inputs: Default::default(),
        }
    }

    fn receive(
        &mut self,
        source: usize,
        capability: &InputCapability<Epoch>,
        spans: &mut Vec<RowSpan<TARGET>>,
    ) {
        for capability in capability.retain_stamp(0).iter() {
            self.capabilities.insert(capability.clone());
        }
        self.sources[source].spans.extend(spans.drain(..));
    }

    /// The last epoch up to `upper` at which no batch has to be cut: one that reaches past it waits, and so does the
    /// other input.
    fn cut(&self, mut upper: Epoch) -> Epoch {
        let spans = || self.sources.iter().flat_map(|s| &s.spans);
        let crosses = |s: &&RowSpan<TARGET>, at| least(s.lower()) < at && least(s.upper()) > at;
        while let Some(span) = spans().find(|s| crosses(s, upper)) {
            upper = least(span.lower());
        }
        upper
    }

    /// Takes up the batches of epochs before `upper`.
    fn advance(&mut self, upper: Epoch) {
        let upper = self.cut(upper);
        if upper <= self.lower {
            return;
        }
        let frontier = match upper {
            Epoch::MAX => Antichain::new(),
            upper => Antichain::from_elem(upper),
        };
        let (mut new, mut history) = (Vec::new(), Vec::new());
        for source in &mut self.sources {
            history.push(source.history());
            new.push(source.take_through(upper));
        }
        let epochs = epochs_of(new.iter().flatten());
        if !epochs.is_empty() {
            let walks = |batches: Vec<Vec<RowBatch<TARGET>>>| {
                let mut batches = batches.into_iter().map(Walk::new);
                [
                    batches.next().unwrap_or_default(),
                    batches.next().unwrap_or_default(),
                ]
            };
            self.due.push_back(Due {
                new: walks(new),
                history: walks(history),
                epochs: epochs.into_iter().map(|e| (e, Block::default())).collect(),
                capabilities: self.capabilities.clone(),
            });
        }
        // Batches that wait hold rows from `upper` on; without any, nothing may be given out.
        if self.sources.iter().all(|s| s.spans.is_empty()) {
            self.capabilities = CapabilitySet::new();
        } else if self.capabilities.iter().any(|c| *c.time() <= upper) {
            self.capabilities.downgrade(frontier.iter());
        }
        for source in &mut self.sources {
            source.compact(&frontier);
        }
        self.lower = upper;
    }

    fn metered_work(&mut self, mut give: impl FnMut(&Capability<Epoch>, Batch)) -> bool {
        if self.due.is_empty() {
            return false;
        }
        let Some(meter) = self.meter.clone() else {
            return self.work(give);
        };
        meter.time(|| {
            self.work(|capability, batch| {
                meter.count(batch.len(), batch.bytes());
                give(capability, batch);
            })
        })
    }

    /// Answers until the fuel is used up; says whether there is more to do.
    fn work(&mut self, mut give: impl FnMut(&Capability<Epoch>, Batch)) -> bool {
        let given = Cell::new(0);
        while let Some(mut due) = self.due.pop_front() {
            let mut emit = |capability: &Capability<Epoch>, batch: Batch| {
                given.set(given.get() + batch.len());
                give(capability, batch);
            };
            loop {
                match self.work_key(&mut due, &mut emit) {
                    Err(error) => {
                        self.fail(error);
                        return false;
                    }
                    Ok(false) => break,
                    Ok(true) => {}
                }
                if given.get() >= self.limits.fuel_rows {
                    self.due.push_front(due);
                    return true;
                }
            }
        }
        false
    }

    fn fail(&mut self, error: EngineError) {
        self.failure.record(error);
        self.due.clear();
        self.capabilities = CapabilitySet::new();
    }

    /// Answers the next key, or, after the last, what is left in the blocks; says whether there is more.
    fn work_key(
        &mut self,
        due: &mut Due<TARGET>,
        emit: &mut impl FnMut(&Capability<Epoch>, Batch),
    ) -> Result<bool, EngineError> {
        let (rows_max, queries_max) = (self.limits.block_rows, self.queries_max);
        let capabilities = &due.capabilities;
        let shape = &self.shape;
        let Some(key) = due.new.iter().filter_map(Walk::peek).min() else {
            for (epoch, block) in &mut due.epochs {
                let evaluator = self.evaluator.as_mut();
                let capability = || capabilities.delayed(epoch);
                block.finish(*epoch, evaluator, shape, |batch| emit(&capability(), batch))?;
            }
            return Ok(false);
        };
        for (which, input) in self.inputs.iter_mut().enumerate() {
            input.slices.clear();
            due.history[which].take(key, &mut input.slices);
            input.history = input.slices.len();
            due.new[which].take(key, &mut input.slices);
        }
        let [right, queries] = &self.inputs;
        if queries.slices.is_empty() && matches!(self.asking, Asking::Arranged) {
            return Ok(true);
        }
        for (epoch, block) in &mut due.epochs {
            let full = |block: &mut Block, evaluator: &mut dyn Evaluator| {
                let (rows, asked) = block.size();
                if rows < rows_max && asked < queries_max {
                    return Ok(());
                }
                let capability = capabilities.delayed(epoch);
                block.finish(*epoch, evaluator, shape, |batch| emit(&capability, batch))
            };
            let inputs = (right, queries);
            self.changer
                .change(key, *epoch, inputs, self.evaluator.as_mut(), block, full)?;
        }
        Ok(true)
    }
}

/// The epochs of the rows of these batches, ascending.
fn epochs_of<'a, const TARGET: usize>(
    batches: impl Iterator<Item = &'a RowBatch<TARGET>>,
) -> Vec<Epoch> {
    let mut epochs = Vec::new();
    for chunk in batches.flat_map(|b| &b.chunks) {
        match &chunk.0.time {
            Rle::Constant(time) => epochs.push(*time),
            Rle::Each(times) => epochs.extend_from_slice(times),
        }
        epochs.sort_unstable();
        epochs.dedup();
    }
    epochs
}
