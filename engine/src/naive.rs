//! The slow twin of the whole dataflow: one node after the other, one thread, every row in memory, no epochs.
//!
//! Promises: the meaning of each plan node, written as plainly as it can be, for tests to hold the real run against.
//! Shares with it the kernel's functions and the stages before and after the sorted part, and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_array::{Int64Array, StringArray, UInt32Array};
use arrow_select::concat::concat;
use arrow_select::take::take;
use unskewed_connectors::table::{Selection, WriteOptions};
use unskewed_kernel::eval::Program;
use unskewed_kernel::evaluate::batch_states::BatchStates;
use unskewed_kernel::evaluate::day_states::DayStates;
use unskewed_kernel::evaluate::lookup::Lookup;
use unskewed_kernel::evaluate::mutated_snapshot::{MutatedSnapshot, MutationColumns};
use unskewed_kernel::evaluate::point_in_time::PointInTime;
use unskewed_kernel::evaluate::snapshot_rows::SnapshotRows;
use unskewed_kernel::evaluate::stream_rows::StreamRows;
use unskewed_kernel::evaluate::stream_tiles::StreamTiles;
use unskewed_kernel::hash::hash_keys;
use unskewed_kernel::run::{Evaluator, Queries as QueryRun, Run as RowRun};
use unskewed_kernel::window;
use unskewed_planner::physical::{
    AnswerRule, Arrange, AsOf, Assemble, Attach, EvaluatorPlan, Node, NodeId, Operator, Queries,
    QueryTime, Resolution, Scan, Snapshots,
};
use unskewed_planner::schema::Schema;
use unskewed_planner::time::Partition;

use crate::error::EngineError;
use crate::rle::Rle;
use crate::run::{Run, RunOutput, SinkOutput};
use crate::stages::Changes;
use crate::stages::assemble::Assembler;
use crate::stages::collect::Collector;
use crate::stages::encode::Encoder;
use crate::stages::facts::FactCollector;
use crate::stages::project::Projector;
use crate::stages::write::PartitionWriter;

/// What a node gives.
enum Given {
    Rows(Changes),
    /// Rows of each key, sorted by time and position.
    Arranged(BTreeMap<u128, Vec<(i64, u64, u32)>>, Vec<ArrayRef>),
    /// Key, time and left position.
    Queries(Vec<(u128, i64, u64)>),
    Nothing,
}

/// Runs a plan.
pub fn run(run: &Run<'_>) -> Result<RunOutput, EngineError> {
    let mut twin = Twin {
        run,
        given: vec![],
        output: RunOutput::default(),
        splits: 0,
    };
    for node in &run.plan.nodes {
        let given = twin.node(node)?;
        twin.given.push(given);
    }
    Ok(twin.output)
}

struct Twin<'a> {
    run: &'a Run<'a>,
    given: Vec<Given>,
    output: RunOutput,
    /// Splits read so far: ordinals go through the whole plan, so that no two rows have one position.
    splits: u64,
}

impl Twin<'_> {
    fn rows(&self, id: NodeId) -> &Changes {
        match &self.given[id.0] {
            Given::Rows(rows) => rows,
            _ => unreachable!("{id:?} gives rows"),
        }
    }

    fn schema(&self, id: NodeId) -> &Schema {
        &self.run.plan.node(id).schema
    }

    fn batch(&self, id: NodeId) -> Result<RecordBatch, EngineError> {
        batch(self.schema(id), self.rows(id))
    }

    fn node(&mut self, node: &Node) -> Result<Given, EngineError> {
        Ok(match &node.operator {
            Operator::Scan(scan) => Given::Rows(self.scan(scan, &node.schema)?),
            Operator::Receive(_) | Operator::Publish { .. } => {
                return Err(EngineError::Plan {
                    node: node.id.0,
                    wanted: "tables only",
                });
            }
            Operator::Project(project) => {
                let facts = self.run.left_facts;
                let mut projector = Projector::new(&node.label, project, &node.schema, facts)?;
                let input = self.batch(project.input)?;
                let rows = projector.apply(&input, self.rows(project.input).clone())?;
                self.output.bad_rows.extend(projector.take_bad_rows());
                Given::Rows(rows)
            }
            Operator::Union { inputs } => {
                let all: Vec<_> = inputs.iter().map(|id| self.rows(*id).clone()).collect();
                Given::Rows(union(&node.schema, &all)?)
            }
            Operator::Arrange(arrange) => self.arrange(arrange)?,
            Operator::Queries(queries) => Given::Queries(self.queries(queries)?),
            Operator::AsOf(as_of) => Given::Rows(self.as_of(as_of, &node.schema)?),
            Operator::Snapshots(snapshots) => Given::Rows(self.snapshots(snapshots, &node.schema)?),
            Operator::Attach(attach) => Given::Rows(self.attach(attach, &node.schema)?),
            Operator::Assemble(assemble) => Given::Rows(self.assemble(assemble, &node.schema)?),
            Operator::Encode(encode) => {
                let mut encoder = Encoder::new(&node.label, encode);
                let rows = encoder.apply(self.rows(encode.input).clone())?;
                let bad_rows = encoder.take_bad_rows();
                self.output.bad_rows.extend(bad_rows);
                Given::Rows(rows)
            }
            Operator::Facts(facts) => {
                let mut collector = FactCollector::new(facts, self.schema(facts.input));
                collector.add(&self.rows(facts.input).columns)?;
                self.output.facts.insert(facts.number, collector.finish());
                Given::Nothing
            }
            Operator::Collect(collect) => {
                let mut collector = Collector::new(collect, &node.schema);
                collector.add(self.rows(collect.input).clone());
                let rows = collector.finish()?;
                if rows.num_rows() > 0 {
                    self.output.collected.insert(node.label.clone(), rows);
                }
                Given::Nothing
            }
            Operator::Sink(sink) => {
                let mut writer = PartitionWriter::new(sink, &node.schema);
                writer.add(self.rows(sink.input))?;
                let write = self.run.warehouse.table(&sink.table.name)?.begin_write()?;
                let staged = writer.finish(&write, &WriteOptions::default())?;
                self.output.written.push(SinkOutput {
                    table: sink.table.name.clone(),
                    schema: node.schema.clone(),
                    write,
                    staged,
                });
                Given::Nothing
            }
        })
    }

    fn scan(&mut self, scan: &Scan, schema: &Schema) -> Result<Changes, EngineError> {
        let selection = match &scan.days {
            None => Selection::all(),
            Some(days) => match days.range {
                Some(range) => {
                    let (start, end) = (range.start.to_string(), range.end.to_string());
                    Selection::all().between(&days.column, Some(&start), Some(&end))
                }
                None => return union(schema, &[]),
            },
        };
        let mut all = vec![];
        let splits = self.run.warehouse.table(&scan.table)?.splits(&selection)?;
        for split in splits {
            let ordinal = self.splits;
            self.splits += 1;
            let mut reader = split.open(schema, &[])?;
            while let Some(batch) = reader.next_batch()? {
                let first = ordinal << 40 | reader.batch_row();
                let count = batch.num_rows() as u64;
                self.output.rows_in += count;
                all.push(Changes {
                    position: (first..first + count).collect(),
                    diff: Rle::Constant(1),
                    columns: batch.columns().to_vec(),
                });
            }
        }
        union(schema, &all)
    }

    fn arrange(&self, arrange: &Arrange) -> Result<Given, EngineError> {
        let rows = self.rows(arrange.input);
        let columns = |list: &[usize]| -> Vec<ArrayRef> {
            list.iter().map(|c| Arc::clone(&rows.columns[*c])).collect()
        };
        let mut keyed: BTreeMap<u128, Vec<(i64, u64, u32)>> = BTreeMap::new();
        let time = rows.columns[arrange.time].as_primitive::<Int64Type>();
        for (row, key) in hash_keys(&columns(&arrange.keys))?.into_iter().enumerate() {
            keyed
                .entry(key)
                .or_default()
                .push((time.value(row), rows.position[row], row as u32));
        }
        keyed.values_mut().for_each(|rows| rows.sort_unstable());
        Ok(Given::Arranged(keyed, columns(&arrange.payload)))
    }

    fn queries(&self, queries: &Queries) -> Result<Vec<(u128, i64, u64)>, EngineError> {
        let rows = self.rows(queries.left);
        let batch = self.batch(queries.left)?;
        let mut asks = BooleanArray::from(vec![true; rows.len()]);
        for filter in &queries.filters {
            let meets = Program::new(filter)?.select(&batch)?;
            asks = (0..rows.len())
                .map(|i| Some(asks.value(i) && meets.value(i)))
                .collect();
        }
        let keys: Vec<ArrayRef> = queries
            .keys
            .iter()
            .map(|c| Arc::clone(&rows.columns[*c]))
            .collect();
        let hashes = hash_keys(&keys)?;
        let mut found = vec![];
        for (row, hash) in hashes.into_iter().enumerate() {
            let whole = keys.iter().all(|key| key.is_valid(row));
            let time = query_time(queries.time, &rows.columns, row);
            if let Some(time) = time.filter(|_| whole && asks.value(row)) {
                found.push((hash, time, rows.position[row]));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn as_of(&self, as_of: &AsOf, schema: &Schema) -> Result<Changes, EngineError> {
        let Given::Queries(queries) = &self.given[as_of.queries.0] else {
            unreachable!("queries of an as-of");
        };
        let (answered, columns) =
            self.answer(as_of.right, &as_of.evaluator, as_of.answer, queries, schema)?;
        let mut order: Vec<u32> = (0..answered.len() as u32).collect();
        order.sort_by_key(|i| queries[answered[*i as usize] as usize].2);
        let position = order
            .iter()
            .map(|i| queries[answered[*i as usize] as usize].2);
        Ok(Changes {
            position: position.collect(),
            diff: Rle::Constant(1),
            columns: taken(&columns, order.clone())?,
        })
    }

    fn snapshots(&self, snapshots: &Snapshots, schema: &Schema) -> Result<Changes, EngineError> {
        let Given::Arranged(keyed, payload) = &self.given[snapshots.right.0] else {
            unreachable!("the right of snapshots is arranged");
        };
        let ends: Vec<i64> = snapshots.days.iter().map(Partition::end_millis).collect();
        let queries: Vec<(u128, i64, u64)> = keyed
            .keys()
            .flat_map(|key| ends.iter().map(|end| (*key, *end, 0)))
            .collect();
        let answers = Schema::new(schema.fields[snapshots.keys.len() + 2..].to_vec());
        let (right, rule) = (snapshots.right, snapshots.answer);
        let (answered, columns) =
            self.answer(right, &snapshots.evaluator, rule, &queries, &answers)?;
        let asked: Vec<_> = answered
            .iter()
            .map(|query| queries[*query as usize])
            .collect();
        let first_rows = asked
            .iter()
            .map(|(key, ..)| keyed[key][0].2)
            .collect::<Vec<u32>>();
        let keys: Vec<ArrayRef> = snapshots
            .keys
            .iter()
            .map(|c| Arc::clone(&payload[*c]))
            .collect();
        let day = |end: i64| Partition::of_millis(end - 1).to_string();
        let days: ArrayRef = Arc::new(StringArray::from_iter_values(
            asked.iter().map(|(_, end, _)| day(*end)),
        ));
        let mut all = taken(&keys, first_rows)?;
        all.push(days);
        all.push(Arc::new(Int64Array::from_iter_values(
            asked.iter().map(|(_, end, _)| *end),
        )));
        all.extend(columns);
        Ok(Changes {
            position: (0..asked.len() as u64).collect(),
            diff: Rle::Constant(1),
            columns: all,
        })
    }

    /// Which query each answer belongs to, and the answers. `queries` are sorted by key and time.
    fn answer(
        &self,
        right: NodeId,
        plan: &EvaluatorPlan,
        rule: AnswerRule,
        queries: &[(u128, i64, u64)],
        schema: &Schema,
    ) -> Result<(Vec<u32>, Vec<ArrayRef>), EngineError> {
        let Given::Arranged(keyed, payload) = &self.given[right.0] else {
            unreachable!("the right of an as-of is arranged");
        };
        let (mut offsets, mut query_offsets) = (vec![0], vec![0]);
        let (mut ts, mut positions, mut rows, mut query_ts) = (vec![], vec![], vec![], vec![]);
        for group in queries.chunk_by(|a, b| a.0 == b.0) {
            for (time, position, row) in keyed
                .get(&group[0].0)
                .map(Vec::as_slice)
                .unwrap_or_default()
            {
                ts.push(*time);
                positions.push(*position);
                rows.push(*row);
            }
            query_ts.extend(group.iter().map(|query| query.1));
            offsets.push(ts.len() as u32);
            query_offsets.push(query_ts.len() as u32);
        }
        let schema_of_right = self.schema(right);
        let mut evaluator = evaluator(plan, schema_of_right, schema)?;
        let columns = taken(payload, rows)?;
        let right = RowRun {
            offsets: &offsets,
            ts: &ts,
            positions: &positions,
            columns: &columns,
        };
        let asked = QueryRun {
            offsets: &query_offsets,
            ts: &query_ts,
        };
        let found = evaluator.evaluate(right, asked)?;
        let mut kept = vec![];
        for (index, query) in found.query.iter().enumerate() {
            let key = query_offsets.partition_point(|offset| offset <= query) - 1;
            let looked = evaluator.looks_at(query_ts[*query as usize]);
            let answers = match rule {
                AnswerRule::Always => true,
                AnswerRule::AnyValue => found.columns.iter().any(|c| c.is_valid(index)),
                AnswerRule::AnyRow => ts[right.rows(key)].iter().any(|ts| looked.contains(ts)),
            };
            if answers {
                kept.push(index as u32);
            }
        }
        let answered = kept
            .iter()
            .map(|index| found.query[*index as usize])
            .collect();
        Ok((answered, taken(&found.columns, kept)?))
    }

    fn attach(&self, attach: &Attach, schema: &Schema) -> Result<Changes, EngineError> {
        let parts = [attach.answers];
        let inputs: Vec<&Schema> = parts.iter().map(|id| self.schema(*id)).collect();
        let left = self.schema(attach.left);
        let assembler = Assembler::new(left, &inputs, &attach.columns, true)?;
        self.joined(assembler, attach.left, &parts, schema)
    }

    fn assemble(&self, assemble: &Assemble, schema: &Schema) -> Result<Changes, EngineError> {
        let inputs: Vec<&Schema> = assemble.parts.iter().map(|id| self.schema(*id)).collect();
        let left = self.schema(assemble.left);
        let assembler = Assembler::new(left, &inputs, &assemble.columns, false)?;
        self.joined(assembler, assemble.left, &assemble.parts, schema)
    }

    fn joined(
        &self,
        mut assembler: Assembler,
        left: NodeId,
        parts: &[NodeId],
        schema: &Schema,
    ) -> Result<Changes, EngineError> {
        assembler.left(self.rows(left).clone());
        for (number, part) in parts.iter().enumerate() {
            assembler.answers(number, self.rows(*part).clone());
        }
        let mut all = vec![];
        assembler.close(&mut |changes| {
            all.push(changes);
            Ok(())
        })?;
        union(schema, &all)
    }
}

/// When a left row asks.
fn query_time(time: QueryTime, columns: &[ArrayRef], row: usize) -> Option<i64> {
    let at = |column: usize| {
        let column = columns[column].as_primitive::<Int64Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    match time {
        QueryTime::At(column) => at(column),
        QueryTime::Fixed(millis) => Some(millis),
        QueryTime::MidnightBefore(column) => {
            at(column).map(|millis| Partition::of_millis(millis).start_millis())
        }
        QueryTime::EndOfDay(column) => {
            let column = columns[column].as_string::<i32>();
            let day = column.is_valid(row).then(|| column.value(row))?;
            day.parse::<Partition>().ok().map(Partition::end_millis)
        }
    }
}

fn evaluator(
    plan: &EvaluatorPlan,
    right: &Schema,
    output: &Schema,
) -> Result<Box<dyn Evaluator>, EngineError> {
    let name = |column: usize| right.fields[column].name.as_str();
    Ok(match plan {
        EvaluatorPlan::PointInTime { parts, resolution } => {
            let resolution = match resolution {
                Resolution::FiveMinutes => window::Resolution::FiveMinutes,
                Resolution::Daily => window::Resolution::Daily,
            };
            Box::new(PointInTime::new(parts, right, resolution)?)
        }
        EvaluatorPlan::Lookup { columns, matches } => {
            let fields: Vec<_> = columns.iter().map(|c| right.fields[*c].clone()).collect();
            debug_assert_eq!(fields.len(), output.fields.len());
            let lookup = Lookup::new(&fields, right)?;
            Box::new(lookup.matching(*matches))
        }
        EvaluatorPlan::SnapshotRows { parts, time } => {
            Box::new(SnapshotRows::new(parts, right, time.map(name))?)
        }
        EvaluatorPlan::DayStates { parts } => Box::new(DayStates::new(parts, right)?),
        EvaluatorPlan::StreamTiles { parts, bases } => {
            Box::new(StreamTiles::new(parts, bases, right)?)
        }
        EvaluatorPlan::StreamRows {
            datum,
            schema,
            since_millis,
        } => Box::new(StreamRows::new(*datum, *schema, *since_millis)),
        EvaluatorPlan::BatchStates { parts, bases, time } => {
            Box::new(BatchStates::new(parts, bases, right, time.map(name))?)
        }
        EvaluatorPlan::MutatedSnapshot {
            parts,
            is_mutation,
            is_before,
            time,
        } => {
            let columns = MutationColumns {
                tag: name(*is_mutation),
                own_time: name(*time),
                reversal: name(*is_before),
            };
            Box::new(MutatedSnapshot::new(parts, right, columns)?)
        }
    })
}

fn batch(schema: &Schema, rows: &Changes) -> Result<RecordBatch, EngineError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let arrow = Arc::new(schema.to_arrow());
    Ok(RecordBatch::try_new_with_options(
        arrow,
        rows.columns.clone(),
        &options,
    )?)
}

fn union(schema: &Schema, all: &[Changes]) -> Result<Changes, EngineError> {
    let mut columns = vec![];
    for (index, field) in schema.fields.iter().enumerate() {
        let pieces: Vec<&dyn Array> = all
            .iter()
            .map(|rows| rows.columns[index].as_ref())
            .collect();
        columns.push(match pieces.as_slice() {
            [] => arrow_array::new_empty_array(&field.data_type.to_arrow()),
            pieces => concat(pieces)?,
        });
    }
    Ok(Changes {
        position: all
            .iter()
            .flat_map(|rows| rows.position.iter().copied())
            .collect(),
        diff: Rle::Constant(1),
        columns,
    })
}

fn taken(columns: &[ArrayRef], rows: Vec<u32>) -> Result<Vec<ArrayRef>, EngineError> {
    let rows = UInt32Array::from(rows);
    let columns = columns.iter().map(|column| take(column, &rows, None));
    Ok(columns.collect::<Result<_, _>>()?)
}
