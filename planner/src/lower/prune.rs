//! Columns nobody reads are taken out of every node, and nodes nobody reads out of the plan.
//!
//! One walk backwards finds the columns of each node that are read; one walk forwards rebuilds the plan with only
//! those, every expression's columns moved along. Rows and the order of columns stay as they were.

use std::collections::BTreeSet;

use crate::aggregation::AggregatePart;
use crate::expr::{Expr, Generator};
use crate::physical::{
    Arrange, AsOf, Assemble, Attach, Collect, DataflowPlan, Datum, Encode, EvaluatorPlan, Facts,
    Node, NodeId, Operator, Project, Queries, QueryTime, Requirement, Sink, Snapshots,
};
use crate::schema::Schema;

use super::remap::{moved, moved_generator};

type Needed = Vec<BTreeSet<usize>>;

/// The plan with only what is read.
pub(super) fn prune(plan: &DataflowPlan) -> DataflowPlan {
    let (needed, live) = needed(plan);
    let mut pruned = DataflowPlan::default();
    let mut ids: Vec<Option<NodeId>> = vec![None; plan.nodes.len()];
    for node in plan.nodes.iter().filter(|node| live[node.id.0]) {
        let rebuild = Rebuild {
            plan,
            needed: &needed,
            ids: &ids,
        };
        let operator = rebuild.operator(node);
        let fields = needed[node.id.0]
            .iter()
            .map(|index| node.schema.fields[*index].clone());
        let schema = Schema::new(fields.collect());
        ids[node.id.0] = Some(pruned.add(node.label.clone(), schema, operator));
    }
    pruned
}

/// For each node the columns read, and whether it is read at all: sets only grow until nothing changes.
fn needed(plan: &DataflowPlan) -> (Needed, Vec<bool>) {
    let mut needed: Needed = vec![BTreeSet::new(); plan.nodes.len()];
    let mut live = vec![false; plan.nodes.len()];
    loop {
        let before = (needed.clone(), live.clone());
        for node in plan.nodes.iter().rev() {
            visit(plan, node, &mut needed, &mut live);
        }
        if before == (needed.clone(), live.clone()) {
            return (needed, live);
        }
    }
}

fn visit(plan: &DataflowPlan, node: &Node, needed: &mut Needed, live: &mut [bool]) {
    let id = node.id.0;
    let wanted_always = matches!(
        node.operator,
        Operator::Sink(_) | Operator::Collect(_) | Operator::Publish { .. } | Operator::Facts(_)
    );
    if !wanted_always && !live[id] {
        return;
    }
    live[id] = true;
    if wanted_always || keeps_all(&node.operator) {
        needed[id].extend(0..node.schema.fields.len());
    }
    let own: Vec<usize> = needed[id].iter().copied().collect();
    match &node.operator {
        Operator::Project(project) => needed[id] = kept_columns(project, &own),
        // The inputs of a union have one schema, its own.
        Operator::Union { inputs } => {
            for input in inputs {
                let theirs = needed[input.0].clone();
                needed[id].extend(theirs);
            }
        }
        _ => {}
    }
    let has_rows = matches!(
        node.operator,
        Operator::Scan(_) | Operator::Receive(_) | Operator::Project(_)
    );
    if has_rows && needed[id].is_empty() && !node.schema.fields.is_empty() {
        // A row without columns still is a row.
        needed[id].insert(0);
    }
    let own: Vec<usize> = needed[id].iter().copied().collect();
    for (input, columns) in reads(plan, node, &own) {
        live[input.0] = true;
        needed[input.0].extend(columns);
    }
}

/// Operators whose every column stays: evaluators answer as a whole.
fn keeps_all(operator: &Operator) -> bool {
    match operator {
        Operator::AsOf(as_of) => !matches!(as_of.evaluator, EvaluatorPlan::Lookup { .. }),
        Operator::Snapshots(_) | Operator::Encode(_) => true,
        _ => false,
    }
}

/// What a node reads of its inputs to give these of its columns.
fn reads(plan: &DataflowPlan, node: &Node, own: &[usize]) -> Vec<(NodeId, BTreeSet<usize>)> {
    match &node.operator {
        Operator::Scan(_) | Operator::Receive(_) => Vec::new(),
        Operator::Project(project) => vec![(project.input, project_reads(plan, project, own))],
        Operator::Union { inputs } => inputs
            .iter()
            .map(|input| (*input, own.iter().copied().collect()))
            .collect(),
        Operator::Arrange(arrange) => {
            let mut columns: BTreeSet<usize> = arrange.keys.iter().copied().collect();
            columns.insert(arrange.time);
            columns.extend(own.iter().map(|index| arrange.payload[*index]));
            vec![(arrange.input, columns)]
        }
        Operator::Queries(queries) => {
            let mut columns: BTreeSet<usize> = queries.keys.iter().copied().collect();
            columns.extend(time_column(queries.time));
            columns.extend(queries.filters.iter().flat_map(Expr::columns));
            vec![(queries.left, columns)]
        }
        Operator::AsOf(as_of) => {
            let payload = payload_reads(plan, as_of.right, &as_of.evaluator, &[], own);
            vec![(as_of.right, payload), (as_of.queries, BTreeSet::new())]
        }
        Operator::Snapshots(snapshots) => {
            let (right, evaluator) = (snapshots.right, &snapshots.evaluator);
            vec![(
                right,
                payload_reads(plan, right, evaluator, &snapshots.keys, own),
            )]
        }
        Operator::Attach(attach) => {
            let columns = own
                .iter()
                .flat_map(|index| attach.columns[*index].columns())
                .collect();
            split(plan, &[attach.left, attach.answers], &columns)
        }
        Operator::Assemble(assemble) => {
            let columns = own
                .iter()
                .flat_map(|index| assemble.columns[*index].columns())
                .collect();
            let mut inputs = vec![assemble.left];
            inputs.extend(&assemble.parts);
            split(plan, &inputs, &columns)
        }
        Operator::Encode(encode) => {
            let columns = encode.datums.iter().flat_map(|datum| &datum.columns);
            vec![(encode.input, columns.chain(&encode.kept).copied().collect())]
        }
        Operator::Facts(facts) => {
            let mut columns: BTreeSet<usize> = facts.keys.iter().copied().collect();
            columns.extend(facts.time);
            columns.insert(facts.day);
            vec![(facts.input, columns)]
        }
        Operator::Sink(Sink { input, .. })
        | Operator::Publish { input }
        | Operator::Collect(Collect { input, .. }) => {
            vec![(*input, own.iter().copied().collect())]
        }
    }
}

fn time_column(time: QueryTime) -> Option<usize> {
    match time {
        QueryTime::At(index) | QueryTime::MidnightBefore(index) | QueryTime::EndOfDay(index) => {
            Some(index)
        }
        QueryTime::Fixed(_) => None,
    }
}

/// The computed columns that stay: those read, and those something is required of.
fn kept_columns(project: &Project, own: &[usize]) -> BTreeSet<usize> {
    let mut kept: BTreeSet<usize> = own.iter().copied().collect();
    kept.extend(project.output_filters.iter().flat_map(Expr::columns));
    for requirement in &project.requirements {
        match requirement {
            Requirement::AnyNotNull(columns) => kept.extend(columns),
            Requirement::CountNull(column) | Requirement::FailNull(column) => {
                kept.insert(*column);
            }
            Requirement::InLeft { column, .. }
            | Requirement::CountBefore { column, .. }
            | Requirement::KnownEntries { column, .. } => {
                kept.insert(*column);
            }
        }
    }
    kept
}

fn project_reads(plan: &DataflowPlan, project: &Project, own: &[usize]) -> BTreeSet<usize> {
    let mut columns: BTreeSet<usize> = project.filters.iter().flat_map(Expr::columns).collect();
    for index in kept_columns(project, own) {
        columns.extend(project.columns[index].columns());
    }
    let generator = project
        .generator
        .iter()
        .flat_map(|generator| &generator.inputs);
    columns.extend(generator.flat_map(Expr::columns));
    let width = plan.node(project.input).schema.fields.len();
    columns.retain(|column| *column < width);
    columns
}

/// The payload columns an evaluator looks at.
fn payload_reads(
    plan: &DataflowPlan,
    arrange: NodeId,
    evaluator: &EvaluatorPlan,
    keys: &[usize],
    own: &[usize],
) -> BTreeSet<usize> {
    let schema = &plan.node(arrange).schema;
    let mut columns: BTreeSet<usize> = keys.iter().copied().collect();
    let named = |part: &AggregatePart| {
        let names = [Some(part.input.clone()), part.bucket.clone()];
        let found = names
            .into_iter()
            .flatten()
            .filter_map(|name| schema.fields.iter().position(|field| field.name == name));
        found.collect::<Vec<_>>()
    };
    columns.extend(evaluator.parts().iter().flat_map(named));
    match evaluator {
        EvaluatorPlan::PointInTime { .. }
        | EvaluatorPlan::DayStates { .. }
        | EvaluatorPlan::StreamTiles { .. } => {}
        EvaluatorPlan::Lookup {
            columns: looked_up, ..
        } => {
            columns.extend(own.iter().map(|index| looked_up[*index]));
        }
        EvaluatorPlan::StreamRows { datum, .. } => drop(columns.insert(*datum)),
        EvaluatorPlan::SnapshotRows { time, .. } | EvaluatorPlan::BatchStates { time, .. } => {
            columns.extend(time);
        }
        EvaluatorPlan::MutatedSnapshot {
            is_mutation,
            is_before,
            time,
            ..
        } => {
            columns.extend([is_mutation, is_before, time]);
        }
    }
    columns
}

/// Columns of several inputs side by side, back to each input.
fn split(
    plan: &DataflowPlan,
    inputs: &[NodeId],
    columns: &BTreeSet<usize>,
) -> Vec<(NodeId, BTreeSet<usize>)> {
    let mut offset = 0;
    let mut parts = Vec::with_capacity(inputs.len());
    for input in inputs {
        let width = plan.node(*input).schema.fields.len();
        let own = columns
            .range(offset..offset + width)
            .map(|column| column - offset)
            .collect();
        parts.push((*input, own));
        offset += width;
    }
    parts
}

struct Rebuild<'a> {
    plan: &'a DataflowPlan,
    needed: &'a Needed,
    ids: &'a [Option<NodeId>],
}

impl Rebuild<'_> {
    fn id(&self, old: NodeId) -> NodeId {
        self.ids[old.0].expect("inputs come before their users and are live with them")
    }

    fn own(&self, node: &Node) -> Vec<usize> {
        self.needed[node.id.0].iter().copied().collect()
    }

    /// Where a column of an input is now.
    fn at(&self, input: NodeId, column: usize) -> usize {
        self.needed[input.0].range(..column).count()
    }

    /// Where a column of inputs side by side is now.
    fn beside(&self, inputs: &[NodeId], column: usize) -> usize {
        let (mut old, mut new) = (0, 0);
        for input in inputs {
            let width = self.plan.node(*input).schema.fields.len();
            if column < old + width {
                return new + self.at(*input, column - old);
            }
            old += width;
            new += self.needed[input.0].len();
        }
        new + column - old
    }

    fn all_at(&self, input: NodeId, columns: &[usize]) -> Vec<usize> {
        columns
            .iter()
            .map(|column| self.at(input, *column))
            .collect()
    }

    fn operator(&self, node: &Node) -> Operator {
        match &node.operator {
            Operator::Scan(_) | Operator::Receive(_) => node.operator.clone(),
            Operator::Project(project) => Operator::Project(self.project(node, project)),
            Operator::Union { inputs } => Operator::Union {
                inputs: inputs.iter().map(|input| self.id(*input)).collect(),
            },
            Operator::Arrange(arrange) => Operator::Arrange(Arrange {
                input: self.id(arrange.input),
                keys: self.all_at(arrange.input, &arrange.keys),
                time: self.at(arrange.input, arrange.time),
                payload: self
                    .own(node)
                    .iter()
                    .map(|index| self.at(arrange.input, arrange.payload[*index]))
                    .collect(),
            }),
            Operator::Queries(queries) => Operator::Queries(self.queries(queries)),
            Operator::AsOf(as_of) => Operator::AsOf(AsOf {
                right: self.id(as_of.right),
                queries: self.id(as_of.queries),
                evaluator: self.evaluator(as_of.right, &as_of.evaluator, &self.own(node)),
                answer: as_of.answer,
            }),
            Operator::Snapshots(snapshots) => Operator::Snapshots(Snapshots {
                right: self.id(snapshots.right),
                evaluator: self.evaluator(snapshots.right, &snapshots.evaluator, &self.own(node)),
                keys: self.all_at(snapshots.right, &snapshots.keys),
                ..snapshots.clone()
            }),
            Operator::Attach(attach) => {
                let inputs = [attach.left, attach.answers];
                Operator::Attach(Attach {
                    left: self.id(attach.left),
                    answers: self.id(attach.answers),
                    columns: self.columns_beside(node, &inputs, &attach.columns),
                })
            }
            Operator::Assemble(assemble) => {
                let mut inputs = vec![assemble.left];
                inputs.extend(&assemble.parts);
                Operator::Assemble(Assemble {
                    left: self.id(assemble.left),
                    parts: assemble.parts.iter().map(|part| self.id(*part)).collect(),
                    columns: self.columns_beside(node, &inputs, &assemble.columns),
                })
            }
            Operator::Encode(encode) => Operator::Encode(self.encode(encode)),
            Operator::Facts(facts) => Operator::Facts(Facts {
                number: facts.number,
                input: self.id(facts.input),
                time: facts.time.map(|time| self.at(facts.input, time)),
                day: self.at(facts.input, facts.day),
                keys: self.all_at(facts.input, &facts.keys),
                small_rows_max: facts.small_rows_max,
            }),
            Operator::Sink(sink) => Operator::Sink(Sink {
                input: self.id(sink.input),
                distinct: self.all_at(sink.input, &sink.distinct),
                sort: self.all_at(sink.input, &sink.sort),
                partition: sink.partition.map(|column| self.at(sink.input, column)),
                ..sink.clone()
            }),
            Operator::Publish { input } => Operator::Publish {
                input: self.id(*input),
            },
            Operator::Collect(collect) => Operator::Collect(Collect {
                input: self.id(collect.input),
                sort: self.all_at(collect.input, &collect.sort),
            }),
        }
    }

    fn columns_beside(&self, node: &Node, inputs: &[NodeId], columns: &[Expr]) -> Vec<Expr> {
        let position = |column: usize| self.beside(inputs, column);
        self.own(node)
            .iter()
            .map(|index| moved(&columns[*index], &position))
            .collect()
    }

    fn encode(&self, encode: &Encode) -> Encode {
        let datum = |datum: &Datum| Datum {
            record: datum.record.clone(),
            columns: self.all_at(encode.input, &datum.columns),
        };
        Encode {
            input: self.id(encode.input),
            datums: encode.datums.iter().map(datum).collect(),
            kept: self.all_at(encode.input, &encode.kept),
        }
    }

    fn queries(&self, queries: &Queries) -> Queries {
        let position = |column: usize| self.at(queries.left, column);
        Queries {
            left: self.id(queries.left),
            keys: self.all_at(queries.left, &queries.keys),
            time: match queries.time {
                QueryTime::At(index) => QueryTime::At(position(index)),
                QueryTime::MidnightBefore(index) => QueryTime::MidnightBefore(position(index)),
                QueryTime::EndOfDay(index) => QueryTime::EndOfDay(position(index)),
                fixed @ QueryTime::Fixed(_) => fixed,
            },
            filters: queries
                .filters
                .iter()
                .map(|filter| moved(filter, &position))
                .collect(),
        }
    }

    fn project(&self, node: &Node, project: &Project) -> Project {
        let inputs = [project.input];
        // Columns of a generator stand behind the input's.
        let before = |column: usize| self.beside(&inputs, column);
        let own = self.own(node);
        let after = |column: usize| own.iter().filter(|index| **index < column).count();
        let all_after = |columns: &[usize]| columns.iter().map(|column| after(*column)).collect();
        Project {
            input: self.id(project.input),
            filters: project
                .filters
                .iter()
                .map(|filter| moved(filter, &before))
                .collect(),
            generator: project
                .generator
                .as_ref()
                .map(|generator: &Generator| moved_generator(generator, &before)),
            columns: own
                .iter()
                .map(|index| moved(&project.columns[*index], &before))
                .collect(),
            output_filters: project
                .output_filters
                .iter()
                .map(|filter| moved(filter, &after))
                .collect(),
            requirements: project
                .requirements
                .iter()
                .map(|requirement| match requirement {
                    Requirement::AnyNotNull(columns) => Requirement::AnyNotNull(all_after(columns)),
                    Requirement::CountNull(column) => Requirement::CountNull(after(*column)),
                    Requirement::FailNull(column) => Requirement::FailNull(after(*column)),
                    Requirement::CountBefore { column, millis } => Requirement::CountBefore {
                        column: after(*column),
                        millis: *millis,
                    },
                    Requirement::InLeft {
                        column,
                        facts,
                        left_column,
                    } => Requirement::InLeft {
                        column: after(*column),
                        facts: *facts,
                        left_column: left_column.clone(),
                    },
                    Requirement::KnownEntries { column, known } => Requirement::KnownEntries {
                        column: after(*column),
                        known: known.clone(),
                    },
                })
                .collect(),
        }
    }

    fn evaluator(&self, right: NodeId, evaluator: &EvaluatorPlan, own: &[usize]) -> EvaluatorPlan {
        let position = |column: usize| self.at(right, column);
        match evaluator {
            EvaluatorPlan::PointInTime { .. }
            | EvaluatorPlan::DayStates { .. }
            | EvaluatorPlan::StreamTiles { .. } => evaluator.clone(),
            EvaluatorPlan::Lookup { columns, matches } => EvaluatorPlan::Lookup {
                columns: own.iter().map(|index| position(columns[*index])).collect(),
                matches: *matches,
            },
            EvaluatorPlan::StreamRows {
                datum,
                schema,
                since_millis,
            } => EvaluatorPlan::StreamRows {
                datum: position(*datum),
                schema: *schema,
                since_millis: *since_millis,
            },
            EvaluatorPlan::SnapshotRows { parts, time } => EvaluatorPlan::SnapshotRows {
                parts: parts.clone(),
                time: time.map(position),
            },
            EvaluatorPlan::BatchStates { parts, bases, time } => EvaluatorPlan::BatchStates {
                parts: parts.clone(),
                bases: bases.clone(),
                time: time.map(position),
            },
            EvaluatorPlan::MutatedSnapshot {
                parts,
                is_mutation,
                is_before,
                time,
            } => EvaluatorPlan::MutatedSnapshot {
                parts: parts.clone(),
                is_mutation: position(*is_mutation),
                is_before: position(*is_before),
                time: position(*time),
            },
        }
    }
}
