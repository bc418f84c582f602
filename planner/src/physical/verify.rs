//! Whether a plan keeps its promises: what `lower` checks of its own work in debug builds and tests hold it to.

use crate::aggregation::AggregatePart;
use crate::expr::{Expr, ExprKind};
use crate::schema::{DataType, Schema};

use super::{DataflowPlan, EvaluatorPlan, Node, NodeId, Operator, Project, QueryTime, Requirement};

impl DataflowPlan {
    /// The first broken promise, if any: inputs before users, columns in range and of the type that expressions take
    /// them for, schemas as long as what fills them, inputs of the right operator.
    pub fn verify(&self) -> Result<(), String> {
        self.nodes.iter().enumerate().try_for_each(|(index, node)| {
            let found = self.verify_node(index, node);
            found.map_err(|what| {
                format!("n{index} {} [{}]: {what}", node.operator.name(), node.label)
            })
        })
    }

    fn verify_node(&self, index: usize, node: &Node) -> Result<(), String> {
        hold(node.id == NodeId(index), "its id is not its position")?;
        for input in node.operator.inputs() {
            hold(input.0 < index, "it reads a node that comes later")?;
        }
        match &node.operator {
            Operator::Scan(scan) => {
                let known = |predicate: &super::ColumnPredicate| {
                    predicate.column < node.schema.fields.len()
                };
                hold(
                    scan.skip.iter().all(known),
                    "it skips by a column it does not read",
                )
            }
            Operator::Receive(_) => Ok(()),
            Operator::Project(project) => self.verify_project(node, project),
            Operator::Union { inputs } => {
                hold(inputs.len() > 1, "a union has at least two inputs")?;
                let equal = |input: &NodeId| self.node(*input).schema == node.schema;
                hold(inputs.iter().all(equal), "its inputs have other columns")
            }
            Operator::Arrange(arrange) => self.verify_arrange(node, arrange),
            Operator::Queries(queries) => self.verify_queries(queries),
            Operator::AsOf(as_of) => self.verify_as_of(node, as_of),
            Operator::Attach(attach) => {
                let answers = &self.node(attach.answers).operator;
                hold(
                    matches!(answers, Operator::AsOf(_)),
                    "it attaches no answers",
                )?;
                let beside = self.beside(&[attach.left, attach.answers]);
                fills(&node.schema, &attach.columns, &beside)
            }
            Operator::Snapshots(snapshots) => self.verify_snapshots(node, snapshots),
            Operator::Assemble(assemble) => {
                let mut inputs = vec![assemble.left];
                inputs.extend(&assemble.parts);
                fills(&node.schema, &assemble.columns, &self.beside(&inputs))
            }
            Operator::Encode(encode) => self.verify_encode(node, encode),
            Operator::Facts(facts) => {
                let input = &self.node(facts.input).schema;
                in_range(input, &facts.keys)?;
                in_range(input, &[facts.day])?;
                in_range(input, &facts.time.into_iter().collect::<Vec<_>>())
            }
            Operator::Sink(sink) => self.verify_sink(node, sink),
            Operator::Publish { input } => hold(
                self.node(*input).schema == node.schema,
                "it hands on other columns than it reads",
            ),
            Operator::Collect(collect) => {
                let input = &self.node(collect.input).schema;
                hold(
                    *input == node.schema,
                    "it hands on other columns than it reads",
                )?;
                in_range(input, &collect.sort)
            }
        }
    }

    fn verify_arrange(&self, node: &Node, arrange: &super::Arrange) -> Result<(), String> {
        let input = &self.node(arrange.input).schema;
        in_range(input, &arrange.keys)?;
        in_range(input, &[arrange.time])?;
        in_range(input, &arrange.payload)?;
        let time = &input.fields[arrange.time].data_type;
        hold(*time == DataType::Long, "its time is not bigint")?;
        let types = |schema: &Schema, columns: &mut dyn Iterator<Item = usize>| -> Vec<DataType> {
            columns
                .map(|column| schema.fields[column].data_type.clone())
                .collect()
        };
        let kept = types(input, &mut arrange.payload.iter().copied());
        let named = types(&node.schema, &mut (0..node.schema.fields.len()));
        hold(kept == named, "its schema is not its payload")
    }

    fn verify_queries(&self, queries: &super::Queries) -> Result<(), String> {
        let left = &self.node(queries.left).schema;
        in_range(left, &queries.keys)?;
        let time = match queries.time {
            QueryTime::At(column) | QueryTime::MidnightBefore(column) => {
                Some((column, DataType::Long))
            }
            QueryTime::EndOfDay(column) => Some((column, DataType::String)),
            QueryTime::Fixed(_) => None,
        };
        if let Some((column, data_type)) = time {
            in_range(left, &[column])?;
            let found = &left.fields[column].data_type;
            hold(*found == data_type, "its time has another type")?;
        }
        queries
            .filters
            .iter()
            .try_for_each(|filter| condition(filter, left))
    }

    fn verify_as_of(&self, node: &Node, as_of: &super::AsOf) -> Result<(), String> {
        let queries = &self.node(as_of.queries).operator;
        hold(
            matches!(queries, Operator::Queries(_)),
            "it asks no queries",
        )?;
        self.same_keys(as_of.right, as_of.queries)?;
        self.verify_evaluator(as_of.right, &as_of.evaluator, &node.schema.fields)
    }

    fn verify_snapshots(&self, node: &Node, snapshots: &super::Snapshots) -> Result<(), String> {
        let payload = &self.node(snapshots.right).schema;
        in_range(payload, &snapshots.keys)?;
        let head = snapshots.keys.len() + 2;
        hold(
            node.schema.fields.len() >= head,
            "its schema lacks keys or days",
        )?;
        let values = &node.schema.fields[head..];
        self.verify_evaluator(snapshots.right, &snapshots.evaluator, values)
    }

    fn verify_encode(&self, node: &Node, encode: &super::Encode) -> Result<(), String> {
        let input = &self.node(encode.input).schema;
        in_range(input, &encode.kept)?;
        let datums = encode.datums.iter().map(|_| &DataType::Binary);
        let kept = encode
            .kept
            .iter()
            .map(|index| &input.fields[*index].data_type);
        let types = node.schema.fields.iter().map(|field| &field.data_type);
        hold(
            types.eq(datums.chain(kept)),
            "its columns are not its datums and what it keeps",
        )?;
        encode.datums.iter().try_for_each(|datum| {
            in_range(input, &datum.columns)?;
            hold(
                datum.columns.len() == datum.record.fields.len(),
                "a datum has other columns than fields",
            )
        })
    }

    fn verify_sink(&self, node: &Node, sink: &super::Sink) -> Result<(), String> {
        let input = &self.node(sink.input).schema;
        hold(
            *input == node.schema,
            "it writes other columns than it reads",
        )?;
        in_range(input, &sink.distinct)?;
        in_range(input, &sink.sort)?;
        in_range(input, &sink.partition.into_iter().collect::<Vec<_>>())
    }

    fn verify_project(&self, node: &Node, project: &Project) -> Result<(), String> {
        let input = &self.node(project.input).schema;
        project
            .filters
            .iter()
            .try_for_each(|filter| condition(filter, input))?;
        let mut wide = input.clone();
        if let Some(generator) = &project.generator {
            generator
                .inputs
                .iter()
                .try_for_each(|expr| reads(expr, input))?;
            wide.fields.extend(generator.columns.iter().cloned());
        }
        fills(&node.schema, &project.columns, &wide)?;
        let output = &node.schema;
        project
            .output_filters
            .iter()
            .try_for_each(|filter| condition(filter, output))?;
        project
            .requirements
            .iter()
            .try_for_each(|requirement| match requirement {
                Requirement::AnyNotNull(columns) => in_range(output, columns),
                Requirement::CountNull(column)
                | Requirement::FailNull(column)
                | Requirement::CountBefore { column, .. }
                | Requirement::InLeft { column, .. }
                | Requirement::KnownEntries { column, .. } => in_range(output, &[*column]),
            })
    }

    /// The keys of an arrangement and of queries over it have the same types in the same order.
    fn same_keys(&self, right: NodeId, queries: NodeId) -> Result<(), String> {
        let (Operator::Arrange(arrange), Operator::Queries(queries)) =
            (&self.node(right).operator, &self.node(queries).operator)
        else {
            return Err("its right side is not arranged".into());
        };
        let types = |input: NodeId, keys: &[usize]| -> Vec<DataType> {
            let fields = &self.node(input).schema.fields;
            keys.iter()
                .map(|key| fields[*key].data_type.clone())
                .collect()
        };
        let equal = types(arrange.input, &arrange.keys) == types(queries.left, &queries.keys);
        hold(equal, "its queries have keys of other types")
    }

    fn verify_evaluator(
        &self,
        right: NodeId,
        evaluator: &EvaluatorPlan,
        values: &[crate::schema::Field],
    ) -> Result<(), String> {
        let arranged = matches!(self.node(right).operator, Operator::Arrange(_));
        hold(arranged, "its right side is not arranged")?;
        let payload = &self.node(right).schema;
        if let EvaluatorPlan::Lookup { columns, .. } = evaluator {
            in_range(payload, columns)?;
            return hold(columns.len() == values.len(), "it looks up other columns");
        }
        if let EvaluatorPlan::StreamRows { datum, .. } = evaluator {
            in_range(payload, &[*datum])?;
            let types = values.iter().map(|field| &field.data_type);
            hold(
                types.eq(&[DataType::Binary, DataType::Long]),
                "its answer is no packed row",
            )?;
            let packed = &payload.fields[*datum].data_type;
            return hold(*packed == DataType::Binary, "it packs what is no datum");
        }
        let parts = evaluator.parts();
        let wanted: Vec<DataType> = match evaluator {
            EvaluatorPlan::BatchStates { parts, bases, .. } => {
                hold(parts.len() == bases.len(), "a part has no base")?;
                let fields = crate::aggregation::batch_fields(parts, bases);
                fields.into_iter().map(|field| field.data_type).collect()
            }
            EvaluatorPlan::StreamTiles { parts, bases, .. } => {
                hold(parts.len() == bases.len(), "a part has no base")?;
                vec![DataType::Binary, DataType::Long]
            }
            EvaluatorPlan::DayStates { parts } => {
                parts.iter().map(|part| part.state_type.clone()).collect()
            }
            _ => parts.iter().map(|part| part.output_type.clone()).collect(),
        };
        hold(
            wanted
                .iter()
                .eq(values.iter().map(|field| &field.data_type)),
            "its values are not those of its parts",
        )?;
        let held = |part: &AggregatePart| {
            let input = payload.fields.iter().find(|field| field.name == part.input);
            let bucket = part.bucket.as_ref();
            input.is_some_and(|field| field.data_type == part.input_type)
                && bucket.is_none_or(|name| payload.fields.iter().any(|f| f.name == *name))
        };
        hold(parts.iter().all(held), "the payload lacks an input")?;
        let columns = match evaluator {
            EvaluatorPlan::SnapshotRows { time, .. } | EvaluatorPlan::BatchStates { time, .. } => {
                time.iter().copied().collect()
            }
            EvaluatorPlan::MutatedSnapshot {
                is_mutation,
                is_before,
                time,
                ..
            } => {
                vec![*is_mutation, *is_before, *time]
            }
            _ => Vec::new(),
        };
        in_range(payload, &columns)
    }

    fn beside(&self, inputs: &[NodeId]) -> Schema {
        let fields = inputs
            .iter()
            .flat_map(|input| self.node(*input).schema.fields.clone());
        Schema::new(fields.collect())
    }
}

fn hold(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.into()) }
}

fn in_range(schema: &Schema, columns: &[usize]) -> Result<(), String> {
    let width = schema.fields.len();
    hold(
        columns.iter().all(|column| *column < width),
        "a column is out of range",
    )
}

/// The columns an expression reads are there and of the type it takes them for.
fn reads(expr: &Expr, schema: &Schema) -> Result<(), String> {
    let mut found = Ok(());
    expr.visit(&mut |inner| {
        let ExprKind::Column(index) = inner.kind else {
            return;
        };
        match schema.fields.get(index) {
            Some(field) if field.data_type == inner.data_type => {}
            Some(field) => {
                found = Err(format!(
                    "it reads column {} as {}, which is {}",
                    field.name, inner.data_type, field.data_type
                ));
            }
            None => found = Err(format!("it reads column {index}, which is not there")),
        }
    });
    found
}

fn condition(expr: &Expr, schema: &Schema) -> Result<(), String> {
    hold(
        expr.data_type == DataType::Boolean,
        "a condition is not boolean",
    )?;
    reads(expr, schema)
}

fn fills(schema: &Schema, columns: &[Expr], input: &Schema) -> Result<(), String> {
    hold(
        schema.fields.len() == columns.len(),
        "it has other columns than its schema",
    )?;
    for (field, value) in schema.fields.iter().zip(columns) {
        hold(
            field.data_type == value.data_type,
            "a column has another type than its schema says",
        )?;
        reads(value, input)?;
    }
    Ok(())
}
