//! Scan: each worker reads its share of a table's splits, a batch per activation.

use std::collections::VecDeque;
use std::sync::Arc;

use timely::container::NoopBuilder;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::{Scope, Stream};
use unskewed_connectors::table::{self, SplitReader};
use unskewed_planner::expr::Literal;
use unskewed_planner::physical::{ColumnPredicate, Comparison, Node, Scan};
use unskewed_planner::schema::{DataType, Schema};

use super::{Shared, name_of};
use crate::error::EngineError;
use crate::exchange::{Batch, Epoch, SPLIT_SHIFT};

/// The rows of the splits this worker owns.
pub(super) fn scan<'scope>(
    scope: Scope<'scope, Epoch>,
    shared: &Arc<Shared>,
    node: &Node,
    scan: &Scan,
) -> Stream<'scope, Epoch, Batch> {
    let shared = Arc::clone(shared);
    let me = scope.worker().index();
    let mut reading = Reading::new(&shared, node, scan, me);
    let meter = shared.meters.of(node.id.0);
    source::<_, NoopBuilder<Batch>, _, _>(scope, &name_of(node), move |capability, info| {
        let activator = scope.activator_for(info.address);
        let mut capability = Some(capability);
        move |output| {
            let Some(held) = &capability else {
                return;
            };
            match meter.time(|| reading.next()) {
                Ok(Some(mut batch)) => {
                    meter.count(batch.len(), batch.bytes());
                    output.session_with_builder(held).give_container(&mut batch);
                    activator.activate();
                }
                Ok(None) => capability = None,
                Err(error) => {
                    shared.failure.record(error);
                    capability = None;
                }
            }
        }
    })
}

/// A share of a scan being read.
struct Reading {
    schema: Schema,
    comparisons: Vec<table::Comparison>,
    /// Splits to come, each with its ordinal in the whole plan.
    waiting: VecDeque<(u64, table::Split)>,
    current: Option<(u64, SplitReader)>,
}

impl Reading {
    fn new(shared: &Shared, node: &Node, scan: &Scan, me: usize) -> Self {
        let mut waiting = VecDeque::new();
        if let Some(read) = shared.reads.get(&node.id) {
            for (ordinal, split) in (read.first_ordinal..).zip(&read.splits) {
                if shared.owners[ordinal as usize] == me {
                    waiting.push_back((ordinal, split.clone()));
                }
            }
        }
        let comparisons = scan
            .skip
            .iter()
            .filter_map(|p| comparison(p, &node.schema))
            .collect();
        Self {
            schema: node.schema.clone(),
            comparisons,
            waiting,
            current: None,
        }
    }

    fn next(&mut self) -> Result<Option<Batch>, EngineError> {
        loop {
            if self.current.is_none() {
                let Some((ordinal, split)) = self.waiting.pop_front() else {
                    return Ok(None);
                };
                self.current = Some((ordinal, split.open(&self.schema, &self.comparisons)?));
            }
            let Some((ordinal, reader)) = &mut self.current else {
                continue;
            };
            if let Some(batch) = reader.next_batch()? {
                let first = *ordinal << SPLIT_SHIFT | reader.batch_row();
                return Ok(Some(Batch {
                    position: (first..).take(batch.num_rows()).collect(),
                    columns: batch.columns().to_vec(),
                    ..Batch::default()
                }));
            }
            self.current = None;
        }
    }
}

/// A predicate as the table's statistics take it; nothing where they do not.
fn comparison(predicate: &ColumnPredicate, schema: &Schema) -> Option<table::Comparison> {
    let field = schema.fields.get(predicate.column)?;
    let literal = match (&predicate.literal, &field.data_type) {
        (
            Literal::Integer(n),
            DataType::Byte | DataType::Short | DataType::Int | DataType::Long,
        ) => table::Literal::Long(*n),
        (Literal::Integer(n), DataType::Timestamp | DataType::TimestampNtz) => {
            table::Literal::TimestampMicros(*n)
        }
        (Literal::Integer(n), DataType::Date) => table::Literal::DateDays(i32::try_from(*n).ok()?),
        (Literal::Double(n), DataType::Float | DataType::Double) => table::Literal::Double(*n),
        (Literal::String(text), DataType::String) => table::Literal::String(text.clone()),
        _ => return None,
    };
    let operator = match predicate.comparison {
        Comparison::Equal => table::Operator::Equal,
        Comparison::Less => table::Operator::Less,
        Comparison::LessOrEqual => table::Operator::LessOrEqual,
        Comparison::Greater => table::Operator::Greater,
        Comparison::GreaterOrEqual => table::Operator::GreaterOrEqual,
    };
    Some(table::Comparison::new(&field.name, operator, literal))
}
