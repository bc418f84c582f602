//! Window functions: each partition of sorted rows at once.
//!
//! Rows come sorted by partition and order, the keys behind their columns. One partition is held in memory, as the
//! reference does; frames are ranges of its rows. Promises: every function sees the rows of its frame in their order.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, UInt32Array,
};
use arrow_row::{OwnedRow, RowConverter, Rows, SortField};
use arrow_schema::{DataType as ArrowType, Field, SchemaRef, SortOptions};
use arrow_select::concat::concat_batches;
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use datafusion_execution::TaskContext;
use datafusion_execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion_physical_plan::ExecutionPlan;
use unskewed_planner::expr::Expr;
use unskewed_planner::query::tree::{
    Aggregate, Frame, RangeBound, SortKey, WindowCall, WindowFunction,
};
use unskewed_planner::schema::Schema;

use super::aggregate::{States, states};
use super::key::{KeyValue, Layout};
use super::rows::{Value, batch_of};
use super::step::{MakeStep, Step, StepExec, Stepped};
use crate::error::EngineError;

/// What a window step computes.
pub(super) struct WindowPlan {
    fields: Schema,
    partition: Vec<Expr>,
    order: Vec<SortKey>,
    functions: Vec<WindowCall>,
    /// The input's columns, then one for each function.
    pub(super) schema: SchemaRef,
}

impl WindowPlan {
    pub(super) fn new(
        fields: &Schema,
        partition: &[Expr],
        order: &[SortKey],
        functions: &[WindowCall],
        schema: SchemaRef,
    ) -> Self {
        Self {
            fields: fields.clone(),
            partition: partition.to_vec(),
            order: order.to_vec(),
            functions: functions.to_vec(),
            schema,
        }
    }

    /// The order in which rows must come: partition, then order.
    pub(super) fn sort_keys(&self) -> Vec<SortKey> {
        let partition = self.partition.iter().map(|expr| SortKey {
            expr: expr.clone(),
            descending: false,
            nulls_first: true,
        });
        partition.chain(self.order.iter().cloned()).collect()
    }
}

/// Adds a column that counts the rows; its place.
pub(super) fn numbered(input: Arc<dyn ExecutionPlan>) -> (Arc<dyn ExecutionPlan>, usize) {
    let mut fields = input.schema().fields().to_vec();
    let position = fields.len();
    fields.push(Arc::new(Field::new("position", ArrowType::Int64, false)));
    let schema: SchemaRef = Arc::new(arrow_schema::Schema::new(fields));
    let given = Arc::clone(&schema);
    let make: Arc<MakeStep> = Arc::new(move |_| {
        let schema = Arc::clone(&given);
        Ok(Box::new(Number { schema, next: 0 }) as Box<dyn Step>)
    });
    (StepExec::over("number", input, schema, make), position)
}

struct Number {
    schema: SchemaRef,
    next: i64,
}

impl Step for Number {
    fn push(&mut self, batch: &RecordBatch, out: &mut VecDeque<RecordBatch>) -> Stepped<()> {
        let rows = batch.num_rows();
        let end = self.next + i64::try_from(rows).unwrap_or(0);
        let numbers = Int64Array::from_iter_values(self.next..end);
        self.next = end;
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(numbers));
        out.push_back(batch_of(&self.schema, columns, rows)?);
        Ok(())
    }
}

enum Function {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile(i64),
    Shift {
        input: Value,
        rows: i64,
        default: Value,
        ignore_nulls: bool,
    },
    NthValue {
        input: Value,
        n: i64,
        ignore_nulls: bool,
    },
    Aggregate {
        aggregate: Aggregate,
        arguments: Vec<Value>,
        filter: Option<Value>,
    },
}

enum Bound {
    Unbounded,
    Current,
    Value(KeyValue),
}

#[expect(clippy::large_enum_variant, reason = "one for each window function")]
enum Frames {
    Rows(Option<i64>, Option<i64>),
    Range(Bound, Bound),
}

/// Computes window functions.
pub(super) struct Window {
    schema: SchemaRef,
    fields: usize,
    partition: Range<usize>,
    order: Range<usize>,
    options: Vec<SortOptions>,
    functions: Vec<(Function, Frames)>,
    held: Vec<RecordBatch>,
    last: Option<OwnedRow>,
    converter: Option<RowConverter>,
    reservation: MemoryReservation,
}

impl Window {
    pub(super) fn new(plan: &WindowPlan, context: &TaskContext) -> Stepped<Self> {
        let fields = plan.fields.fields.len();
        let keys = plan.partition.len();
        let types = plan.partition.iter().map(|expr| {
            let layout = super::key::layout(&expr.data_type, false);
            SortField::new(super::key::key_type(&expr.data_type, layout))
        });
        let converter = match keys {
            0 => None,
            _ => Some(RowConverter::new(types.collect())?),
        };
        let functions = plan.functions.iter().map(|call| {
            let function = function(&call.function)?;
            let frames = frames(&call.frame, &plan.order)?;
            Ok((function, frames))
        });
        Ok(Self {
            schema: Arc::clone(&plan.schema),
            fields,
            partition: fields..fields + keys,
            order: fields + keys..fields + keys + plan.order.len(),
            options: plan
                .order
                .iter()
                .map(|key| SortOptions {
                    descending: key.descending,
                    nulls_first: key.nulls_first,
                })
                .collect(),
            functions: functions.collect::<Stepped<_>>()?,
            held: Vec::new(),
            last: None,
            converter,
            reservation: MemoryConsumer::new("window").register(context.memory_pool()),
        })
    }

    fn hold(&mut self, batch: RecordBatch) -> Stepped<()> {
        let bytes = batch.get_array_memory_size();
        let grown = self.reservation.try_grow(bytes);
        grown.map_err(|error| EngineError::Query {
            message: format!(
                "a window's partition does not fit in memory: {}",
                error.strip_backtrace()
            ),
        })?;
        self.held.push(batch);
        Ok(())
    }

    /// The partition at hand is complete.
    fn give(&mut self, out: &mut VecDeque<RecordBatch>) -> Stepped<()> {
        let Some(first) = self.held.first() else {
            return Ok(());
        };
        let rows = match self.held.len() {
            1 => first.clone(),
            _ => concat_batches(&first.schema(), &self.held)?,
        };
        self.held.clear();
        self.reservation.free();
        let peers = Peers::of(&rows, self.order.clone(), &self.options)?;
        let mut columns = rows.columns()[..self.fields].to_vec();
        for (function, frames) in &mut self.functions {
            columns.push(compute(function, frames, &rows, &peers)?);
        }
        let count = rows.num_rows();
        let whole = batch_of(&self.schema, columns, count)?;
        let mut start = 0;
        while start < count {
            let length = (count - start).min(super::BATCH_ROWS);
            out.push_back(whole.slice(start, length));
            start += length;
        }
        Ok(())
    }
}

impl Step for Window {
    fn push(&mut self, batch: &RecordBatch, out: &mut VecDeque<RecordBatch>) -> Stepped<()> {
        let Some(converter) = &mut self.converter else {
            return self.hold(batch.clone());
        };
        let keys = converter.convert_columns(&batch.columns()[self.partition.clone()])?;
        let mut start = 0;
        for row in 0..batch.num_rows() {
            let same = match (&self.last, row) {
                (Some(last), 0) => last.row() == keys.row(0),
                (None, 0) => true,
                _ => keys.row(row - 1) == keys.row(row),
            };
            if !same {
                if row > start {
                    self.hold(batch.slice(start, row - start))?;
                }
                self.give(out)?;
                start = row;
            }
        }
        self.last = Some(keys.row(batch.num_rows() - 1).owned());
        self.hold(batch.slice(start, batch.num_rows() - start))
    }

    fn finish(&mut self, out: &mut VecDeque<RecordBatch>) -> Stepped<()> {
        self.give(out)
    }
}

fn function(function: &WindowFunction) -> Stepped<Function> {
    Ok(match function {
        WindowFunction::RowNumber => Function::RowNumber,
        WindowFunction::Rank => Function::Rank,
        WindowFunction::DenseRank => Function::DenseRank,
        WindowFunction::PercentRank => Function::PercentRank,
        WindowFunction::CumeDist => Function::CumeDist,
        WindowFunction::Ntile(n) => Function::Ntile(*n),
        WindowFunction::Shift {
            input,
            rows,
            default,
            ignore_nulls,
        } => Function::Shift {
            input: Value::new(input)?,
            rows: *rows,
            default: Value::new(default)?,
            ignore_nulls: *ignore_nulls,
        },
        WindowFunction::NthValue {
            input,
            n,
            ignore_nulls,
        } => Function::NthValue {
            input: Value::new(input)?,
            n: *n,
            ignore_nulls: *ignore_nulls,
        },
        WindowFunction::Aggregate(aggregate) => Function::Aggregate {
            arguments: Value::all(&aggregate.arguments)?,
            filter: aggregate.filter.as_ref().map(Value::new).transpose()?,
            aggregate: aggregate.clone(),
        },
    })
}

fn frames(frame: &Frame, order: &[SortKey]) -> Stepped<Frames> {
    let bound = |bound: &RangeBound| {
        Ok::<_, EngineError>(match bound {
            RangeBound::Unbounded => Bound::Unbounded,
            RangeBound::Current => Bound::Current,
            RangeBound::Value(expr) => Bound::Value(KeyValue::new(expr, Layout::Plain)?),
        })
    };
    debug_assert!(
        order.len() == 1
            || !matches!(
                frame,
                Frame::Range {
                    start: RangeBound::Value(_),
                    ..
                }
            )
    );
    Ok(match frame {
        Frame::Rows { start, end } => Frames::Rows(*start, *end),
        Frame::Range { start, end } => Frames::Range(bound(start)?, bound(end)?),
    })
}

/// Which rows of a partition are equal in their order.
struct Peers {
    rows: Rows,
    converter: RowConverter,
    /// For each row its peers.
    groups: Vec<Range<usize>>,
    key: Option<ArrayRef>,
}

impl Peers {
    fn of(batch: &RecordBatch, order: Range<usize>, options: &[SortOptions]) -> Stepped<Self> {
        let keys = &batch.columns()[order];
        let fields = keys.iter().zip(options);
        let fields = fields.map(|(k, o)| SortField::new_with_options(k.data_type().clone(), *o));
        let converter = RowConverter::new(fields.collect())?;
        let rows = match keys.is_empty() {
            true => converter.empty_rows(0, 0),
            false => converter.convert_columns(keys)?,
        };
        let count = batch.num_rows();
        let mut groups = Vec::with_capacity(count);
        let mut start = 0;
        while start < count {
            let mut end = start + 1;
            while end < count && (keys.is_empty() || rows.row(end) == rows.row(start)) {
                end += 1;
            }
            groups.extend(std::iter::repeat_n(start..end, end - start));
            start = end;
        }
        Ok(Self {
            rows,
            converter,
            groups,
            key: keys.first().cloned(),
        })
    }

    /// For each row the first place whose key is not less (`after`: is greater) than the bound's.
    fn search(&self, bounds: &ArrayRef, after: bool) -> Stepped<Vec<usize>> {
        let bounds = self
            .converter
            .convert_columns(std::slice::from_ref(bounds))?;
        let places = bounds.iter().map(|bound| {
            let (mut low, mut high) = (0, self.groups.len());
            while low < high {
                let middle = usize::midpoint(low, high);
                let row = self.rows.row(middle);
                let before = if after { row <= bound } else { row < bound };
                if before {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            low
        });
        Ok(places.collect())
    }
}

impl Frames {
    /// The rows that each row looks at.
    fn ranges(&mut self, batch: &RecordBatch, peers: &Peers) -> Stepped<Vec<Range<usize>>> {
        let count = peers.groups.len();
        match self {
            Self::Rows(start, end) => {
                let at = |row: usize, offset: i64| {
                    let place = i64::try_from(row)
                        .unwrap_or(i64::MAX)
                        .saturating_add(offset);
                    usize::try_from(place.max(0)).unwrap_or(0).min(count)
                };
                let ranges = (0..count).map(|row| {
                    let first = start.map_or(0, |offset| at(row, offset));
                    let last = end.map_or(count, |offset| at(row, offset.saturating_add(1)));
                    first..last.max(first)
                });
                Ok(ranges.collect())
            }
            Self::Range(start, end) => {
                let starts = start.places(batch, peers, false)?;
                let ends = end.places(batch, peers, true)?;
                let ranges = starts.into_iter().zip(ends);
                Ok(ranges.map(|(s, e)| s..e.max(s)).collect())
            }
        }
    }
}

impl Bound {
    fn places(&mut self, batch: &RecordBatch, peers: &Peers, end: bool) -> Stepped<Vec<usize>> {
        let count = peers.groups.len();
        let of_peers = |range: &Range<usize>| if end { range.end } else { range.start };
        match self {
            Self::Unbounded => Ok(vec![if end { count } else { 0 }; count]),
            Self::Current => Ok(peers.groups.iter().map(of_peers).collect()),
            Self::Value(value) => {
                let bounds = value.of(batch)?;
                let mut places = peers.search(&bounds, end)?;
                // A row without a value looks at its like only.
                if let Some(key) = &peers.key {
                    for (row, place) in places.iter_mut().enumerate() {
                        if key.is_null(row) || bounds.is_null(row) {
                            *place = of_peers(&peers.groups[row]);
                        }
                    }
                }
                Ok(places)
            }
        }
    }
}

fn int(value: usize) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "as Spark counts rows in doubles"
)]
fn double(value: usize) -> f64 {
    value as f64
}

fn compute(
    function: &Function,
    frames: &mut Frames,
    batch: &RecordBatch,
    peers: &Peers,
) -> Stepped<ArrayRef> {
    let count = peers.groups.len();
    let ints = |values: &mut dyn Iterator<Item = i32>| -> ArrayRef {
        Arc::new(Int32Array::from_iter_values(values))
    };
    Ok(match function {
        Function::RowNumber => ints(&mut (1..=count).map(int)),
        Function::Rank => ints(&mut peers.groups.iter().map(|g| int(g.start + 1))),
        Function::DenseRank => {
            let mut rank = 0;
            let starts = peers.groups.iter().enumerate();
            let ranks = starts.map(|(row, group)| {
                rank += i32::from(group.start == row);
                rank
            });
            ints(&mut ranks.collect::<Vec<_>>().into_iter())
        }
        Function::PercentRank => {
            let rank = |group: &Range<usize>| match count {
                1 => 0.0,
                _ => double(group.start) / double(count - 1),
            };
            Arc::new(Float64Array::from_iter_values(
                peers.groups.iter().map(rank),
            ))
        }
        Function::CumeDist => {
            let share = |group: &Range<usize>| double(group.end) / double(count);
            Arc::new(Float64Array::from_iter_values(
                peers.groups.iter().map(share),
            ))
        }
        Function::Ntile(buckets) => ints(&mut ntile(count, *buckets).into_iter()),
        Function::Shift {
            input,
            rows,
            default,
            ignore_nulls,
        } => {
            let (values, default) = (input.of(batch)?, default.of(batch)?);
            shifted(&values, &default, *rows, *ignore_nulls)?
        }
        Function::NthValue {
            input,
            n,
            ignore_nulls,
        } => {
            let values = input.of(batch)?;
            let ranges = frames.ranges(batch, peers)?;
            nth(&values, &ranges, *n, *ignore_nulls)?
        }
        Function::Aggregate {
            aggregate,
            arguments,
            filter,
        } => {
            let columns = Value::of_all(arguments, batch)?;
            let ranges = frames.ranges(batch, peers)?;
            aggregated(aggregate, (&columns, filter.as_ref()), batch, ranges)?
        }
    })
}

/// The first `count % buckets` buckets get a row more.
fn ntile(count: usize, buckets: i64) -> Vec<i32> {
    let buckets = usize::try_from(buckets).unwrap_or(usize::MAX);
    let (size, larger) = (count / buckets, count % buckets);
    let bound = larger * (size + 1);
    let bucket = |row: usize| match row < bound {
        true => row / (size + 1),
        false => larger + (row - bound) / size.max(1),
    };
    (0..count).map(|row| int(bucket(row) + 1)).collect()
}

fn shifted(
    values: &ArrayRef,
    default: &ArrayRef,
    rows: i64,
    ignore_nulls: bool,
) -> Stepped<ArrayRef> {
    let count = values.len();
    let nulls = values.logical_nulls();
    let valid = |row: usize| nulls.as_ref().is_none_or(|n| n.is_valid(row));
    let filled: Vec<usize> = (0..count).filter(|row| valid(*row)).collect();
    let target = |row: usize| -> Option<usize> {
        if !ignore_nulls || rows == 0 {
            let place = i64::try_from(row).ok()?.checked_add(rows)?;
            return usize::try_from(place).ok().filter(|p| *p < count);
        }
        let distance = usize::try_from(rows.unsigned_abs()).ok()?;
        if rows < 0 {
            let before = filled.partition_point(|p| *p < row);
            return filled.get(before.checked_sub(distance)?).copied();
        }
        let after = filled.partition_point(|p| *p <= row);
        filled.get(after + distance - 1).copied()
    };
    let picks: Vec<(usize, usize)> = (0..count)
        .map(|row| match target(row) {
            Some(place) => (0, place),
            None => (1, row),
        })
        .collect();
    Ok(interleave(&[values.as_ref(), default.as_ref()], &picks)?)
}

fn nth(
    values: &ArrayRef,
    ranges: &[Range<usize>],
    n: i64,
    ignore_nulls: bool,
) -> Stepped<ArrayRef> {
    let nulls = values.logical_nulls();
    let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let filled: Vec<usize> = (0..values.len()).filter(|row| valid(*row)).collect();
    let skip = usize::try_from(n - 1).unwrap_or(usize::MAX);
    let picks = ranges.iter().map(|range| {
        let place = match ignore_nulls {
            true => {
                let first = filled.partition_point(|p| *p < range.start);
                first.checked_add(skip).and_then(|i| filled.get(i)).copied()
            }
            false => range.start.checked_add(skip),
        };
        let place = place.filter(|p| *p < range.end);
        place.and_then(|p| u32::try_from(p).ok())
    });
    let picks: UInt32Array = picks.collect();
    Ok(take(values, &picks, None)?)
}

/// An aggregate of each row's frame.
fn aggregated(
    aggregate: &Aggregate,
    (columns, filter): (&[ArrayRef], Option<&Value>),
    batch: &RecordBatch,
    mut ranges: Vec<Range<usize>>,
) -> Stepped<ArrayRef> {
    let mut states: Box<dyn States> = states(aggregate, false)?;
    let mut columns = columns.to_vec();
    if let Some(filter) = filter {
        // Only rows that pass are counted: frames shrink to them.
        let mask = filter.of(batch)?;
        let mask = arrow_array::cast::AsArray::as_boolean(&mask);
        let mut before = vec![0];
        for row in 0..mask.len() {
            before.push(before[row] + usize::from(mask.is_valid(row) && mask.value(row)));
        }
        for column in &mut columns {
            *column = arrow_select::filter::filter(column, mask)?;
        }
        for range in &mut ranges {
            *range = before[range.start]..before[range.end];
        }
    }
    let whole = ranges.windows(2).all(|pair| pair[0] == pair[1]);
    if whole && !ranges.is_empty() {
        let one = states.frames(&columns, &ranges[..1])?;
        let rows = UInt32Array::from(vec![0; ranges.len()]);
        return Ok(take(&one, &rows, None)?);
    }
    states.frames(&columns, &ranges)
}
