//! One part of a join: the right side it reads, the evaluator, and its answers at the left.

use crate::diagnostic::Diagnostic;
use crate::expr::Expr;
use crate::logical::{FeaturePart, LeftSide, RowSource};
use crate::naming::{PARTITION_COLUMN, TIME_COLUMN};
use crate::physical::{
    AnswerRule, Arrange, AsOf, Attach, DataflowPlan, DayFilter, EvaluatorPlan, Matches, NodeId,
    Operator, OutputTable, Project, Queries, QueryTime, Requirement, Sink,
};
use crate::schema::{DataType, Field, Schema};
use crate::time::PartitionRange;

use super::left::{all_columns, columns_only, source_days};
use super::right::{RightUse, Rights, scan, union};
use super::{JoinRun, LeftFacts, PartMode, SMALL_ROWS_MAX, group, range, remap};

/// A part before emission.
pub(super) enum PreparedPart {
    /// Null columns.
    Absent,
    /// Read from its table, over these days.
    Cached { days: PartitionRange },
    /// Aggregated.
    Aggregated {
        right: RightUse,
        days: PartitionRange,
        write: bool,
    },
    /// Rows of the day's snapshot as they are.
    PassedThrough {
        sources: Vec<(RowSource, Option<DayFilter>)>,
        small: bool,
        write: bool,
    },
}

/// Settles what a part reads.
pub(super) fn prepare(
    run: &JoinRun<'_>,
    number: usize,
    rights: &mut Rights,
) -> Result<PreparedPart, Vec<Diagnostic>> {
    let (join, part) = (run.join, &run.join.parts[number]);
    let asker = join.asker_of(number);
    let facts = run.facts.get(asker).copied().unwrap_or_default();
    let queries = range::part_query_days(&join.left, part, &facts);
    let write = match run.parts[number] {
        PartMode::Absent => return Ok(PreparedPart::Absent),
        PartMode::Cached => {
            let days = queries.unwrap_or_else(|| cached_days(&join.left, part, run.days));
            // Tables of temporal values are partitioned by the left's day, not by the day of its time.
            let days = if part.method.is_temporal() {
                run.days
            } else {
                days
            };
            return Ok(PreparedPart::Cached { days });
        }
        PartMode::Computed { write } => write,
    };
    let Some(queries) = queries else {
        return Ok(PreparedPart::Absent);
    };
    let small = write && run.write_output && holds_left_keys_only(part, &facts);
    let group = &part.group;
    let days = range::snapshot_days(part.method, queries);
    if group.passes_through() {
        let sources = group
            .sources
            .iter()
            .map(|source| source_days(source, days, group.max_window))
            .collect::<Result<_, _>>()?;
        return Ok(PreparedPart::PassedThrough {
            sources,
            small,
            write,
        });
    }
    let requirements = if small {
        in_left(&join.left, part, asker)
    } else {
        Vec::new()
    };
    let key_filters = part.right_filter.iter().cloned().collect();
    let shape = group::Shape {
        method: part.method,
        snapshots: days,
        mutations: queries,
        key_filters,
        requirements,
        key_payload: write && !part.method.is_temporal(),
        states: false,
    };
    let right = group::intern(group, &shape, rights)?;
    Ok(PreparedPart::Aggregated {
        right,
        days: queries,
        write,
    })
}

/// True if a part's table, written together with the output, holds the keys of these left rows only: what others ask
/// of the same days is not in it.
pub fn holds_left_keys_only(part: &FeaturePart, facts: &LeftFacts) -> bool {
    facts.rows <= SMALL_ROWS_MAX && !part.method.is_temporal()
}

/// Without facts about times, the days that values of these left days are kept under.
fn cached_days(left: &LeftSide, part: &FeaturePart, days: PartitionRange) -> PartitionRange {
    let events = left.model == crate::definition::DataModel::Events;
    let shift = if events && !part.method.is_temporal() {
        -1
    } else {
        0
    };
    PartitionRange {
        start: days.start.plus_days(shift),
        end: days.end.plus_days(shift),
    }
}

/// Keys among the left's values, column by column.
fn in_left(left: &LeftSide, part: &FeaturePart, facts: usize) -> Vec<Requirement> {
    let requirement = |(column, index): (usize, &usize)| Requirement::InLeft {
        column,
        facts,
        left_column: left.schema.fields[*index].name.clone(),
    };
    part.left_keys.iter().enumerate().map(requirement).collect()
}

/// A part's answers: a node of the left's rows and, for each feature, its column there.
pub(super) struct Answers {
    pub(super) node: NodeId,
    pub(super) features: Vec<usize>,
}

/// Adds the nodes of a part, its table included if it is written.
pub(super) fn emit(
    run: &JoinRun<'_>,
    number: usize,
    prepared: &PreparedPart,
    left: NodeId,
    rights: &Rights,
    plan: &mut DataflowPlan,
) -> Option<Answers> {
    let part = &run.join.parts[number];
    let emitter = Emitter {
        run,
        number,
        part,
        left,
    };
    match prepared {
        PreparedPart::Absent => None,
        PreparedPart::Cached { days } => Some(emitter.cached(*days, plan)),
        PreparedPart::PassedThrough {
            sources,
            small,
            write,
        } => Some(emitter.passed_through(sources, *small, *write, plan)),
        PreparedPart::Aggregated { right, days, write } => {
            let arrange = rights.arrange(right, plan);
            Some(match (part.method.is_temporal(), write) {
                (false, true) => emitter.snapshots(right, arrange, *days, plan),
                _ => emitter.as_of(right, arrange, *write, plan),
            })
        }
    }
}

struct Emitter<'a> {
    run: &'a JoinRun<'a>,
    number: usize,
    part: &'a FeaturePart,
    left: NodeId,
}

impl Emitter<'_> {
    fn label(&self) -> String {
        format!("part {}", self.part.full_prefix)
    }

    fn left_side(&self) -> &LeftSide {
        &self.run.join.left
    }

    /// When the left asks for values of this part.
    fn query_time(&self) -> QueryTime {
        match (self.left_side().time, self.part.method.is_temporal()) {
            (Some(time), true) => QueryTime::At(time),
            (Some(time), false) => QueryTime::MidnightBefore(time),
            (None, _) => QueryTime::EndOfDay(self.left_side().day),
        }
    }

    fn queries(&self, keys: Vec<usize>, plan: &mut DataflowPlan) -> NodeId {
        let filters = self.part.left_filter.iter().chain(&self.part.unfilled);
        let queries = Queries {
            left: self.left,
            keys,
            time: self.query_time(),
            filters: filters.cloned().collect(),
        };
        let label = format!("queries of {}", self.part.full_prefix);
        plan.add(label, Schema::default(), Operator::Queries(queries))
    }

    /// Values computed at each query.
    fn as_of(
        &self,
        right: &RightUse,
        arrange: NodeId,
        write: bool,
        plan: &mut DataflowPlan,
    ) -> Answers {
        let part = self.part;
        let queries = self.queries(part.left_keys.clone(), plan);
        let (evaluator, answer) = group::evaluator(&part.group, part.method, right, arrange, plan);
        let schema = Schema::new(part.group.values.clone());
        let as_of = AsOf {
            right: arrange,
            queries,
            evaluator,
            answer,
        };
        let answers = plan.add(self.label(), schema, Operator::AsOf(as_of));
        if !write && part.derived.is_none() {
            let first_value = part.base.fields.len() - part.group.values.len();
            let features = part
                .features
                .iter()
                .map(|(index, _)| index - first_value)
                .collect();
            return Answers {
                node: answers,
                features,
            };
        }
        let attached = self.attach(answers, plan);
        if write {
            self.table(attached, plan);
        }
        self.of_table(attached)
    }

    /// The part's table rows at the left: keys, time and day from the left, values from the answer.
    fn attach(&self, answers: NodeId, plan: &mut DataflowPlan) -> NodeId {
        let (part, left) = (self.part, self.left_side());
        let left_schema = plan.node(self.left).schema.clone();
        let left_column =
            |index: usize| Expr::column(index, left_schema.fields[index].data_type.clone());
        let mut base: Vec<Expr> = part
            .left_keys
            .iter()
            .map(|index| left_column(*index))
            .collect();
        if part.method.is_temporal() {
            base.extend(left.time.map(left_column));
        }
        base.push(left_column(left.day));
        let values = part.group.values.iter().enumerate().map(|(index, field)| {
            Expr::column(left_schema.fields.len() + index, field.data_type.clone())
        });
        base.extend(values);
        let columns = match &part.derived {
            None => base,
            Some(derived) => derived
                .iter()
                .map(|(_, value)| remap::replace(value, &|index| base[index].clone()))
                .collect(),
        };
        let attach = Attach {
            left: self.left,
            answers,
            columns,
        };
        plan.add(
            self.label(),
            part.table_schema.clone(),
            Operator::Attach(attach),
        )
    }

    /// Values of every key at each day's end, kept in the part's table and looked up from there.
    fn snapshots(
        &self,
        right: &RightUse,
        arrange: NodeId,
        days: PartitionRange,
        plan: &mut DataflowPlan,
    ) -> Answers {
        let part = self.part;
        let node = group::snapshots(&part.group, part.method, right, arrange, days, plan);
        let schema = plan.node(node).schema.clone();
        // Keys and `ds` lead both, the day's end stands between them and the values.
        let head = part.group.keys.len() + 1;
        let position = |index: usize| if index < head { index } else { index + 1 };
        let columns = self.table_columns(&schema, &position);
        self.looked_up(node, columns, &schema.fields[head].name, plan)
    }

    /// The columns of the part's table over rows that hold the base columns at these positions.
    fn table_columns(&self, schema: &Schema, position: &dyn Fn(usize) -> usize) -> Vec<Expr> {
        let base = |index: usize| {
            let at = position(index);
            Expr::column(at, schema.fields[at].data_type.clone())
        };
        match &self.part.derived {
            None => (0..self.part.base.fields.len()).map(base).collect(),
            Some(derived) => derived
                .iter()
                .map(|(_, value)| remap::replace(value, &base))
                .collect(),
        }
    }

    /// Writes the part's table and looks its rows up by the time in the named column of `rows`.
    fn looked_up(
        &self,
        rows: NodeId,
        mut columns: Vec<Expr>,
        time: &str,
        plan: &mut DataflowPlan,
    ) -> Answers {
        let part = self.part;
        let table = columns_only(rows, columns.clone());
        let written = plan.add(
            self.label(),
            part.table_schema.clone(),
            Operator::Project(table),
        );
        self.table(written, plan);
        let source = plan.node(rows).schema.clone();
        let at = source.fields.iter().position(|field| field.name == time);
        let at = at.expect("the rows carry their time");
        columns.push(Expr::column(at, DataType::Long));
        self.look_up(rows, columns, plan)
    }

    /// Looks up rows of the part's table columns followed by their time.
    fn look_up(&self, rows: NodeId, columns: Vec<Expr>, plan: &mut DataflowPlan) -> Answers {
        let part = self.part;
        let mut schema = part.table_schema.clone();
        schema.fields.push(Field::new("right_time", DataType::Long));
        let time = schema.fields.len() - 1;
        let timed = plan.add(
            self.label(),
            schema,
            Operator::Project(columns_only(rows, columns)),
        );
        let keys: Vec<usize> = part
            .group
            .keys
            .iter()
            .map(|key| position(&part.table_schema, &key.name))
            .collect();
        let queries = self.queries(part.left_keys.clone(), plan);
        self.arrange_and_ask(timed, keys, time, queries, plan)
    }

    fn arrange_and_ask(
        &self,
        rows: NodeId,
        keys: Vec<usize>,
        time: usize,
        queries: NodeId,
        plan: &mut DataflowPlan,
    ) -> Answers {
        let part = self.part;
        let payload: Vec<usize> = part.features.iter().map(|(index, _)| *index).collect();
        let values = Schema::new(
            payload
                .iter()
                .map(|index| part.table_schema.fields[*index].clone())
                .collect(),
        );
        let arrange = Arrange {
            input: rows,
            keys,
            time,
            payload,
        };
        let right = plan.add(
            format!("rows of {}", part.full_prefix),
            values.clone(),
            Operator::Arrange(arrange),
        );
        let columns: Vec<usize> = (0..values.fields.len()).collect();
        let evaluator = EvaluatorPlan::Lookup {
            columns: columns.clone(),
            matches: if self.run.unique_parts {
                Matches::Single
            } else {
                Matches::All
            },
        };
        let as_of = AsOf {
            right,
            queries,
            evaluator,
            answer: AnswerRule::AnyRow,
        };
        let node = plan.add(self.label(), values, Operator::AsOf(as_of));
        Answers {
            node,
            features: columns,
        }
    }

    /// Rows of the day's snapshot, unaggregated.
    fn passed_through(
        &self,
        sources: &[(RowSource, Option<DayFilter>)],
        small: bool,
        write: bool,
        plan: &mut DataflowPlan,
    ) -> Answers {
        let part = self.part;
        let group = &part.group;
        let keys: Vec<usize> = group
            .keys
            .iter()
            .map(|key| position(&group.rendered, &key.name))
            .collect();
        let on_keys: Vec<Expr> = part
            .right_filter
            .iter()
            .map(|filter| remap::moved(filter, &|key| keys[key]))
            .collect();
        let mut requirements = vec![Requirement::AnyNotNull(keys.clone())];
        if small {
            let asker = self.run.join.asker_of(self.number);
            for requirement in in_left(self.left_side(), part, asker) {
                let Requirement::InLeft {
                    column,
                    facts,
                    left_column,
                } = requirement
                else {
                    continue;
                };
                requirements.push(Requirement::InLeft {
                    column: keys[column],
                    facts,
                    left_column,
                });
            }
        }
        let mut schema = group.rendered.clone();
        schema.fields.push(Field::new("right_time", DataType::Long));
        let inputs: Vec<NodeId> = sources
            .iter()
            .map(|(source, days)| {
                let mut columns: Vec<Expr> = source
                    .columns
                    .iter()
                    .map(|(_, value)| value.clone())
                    .collect();
                columns.push(group::end_of_day(source));
                let project = Project {
                    input: scan(plan, &source.table.table, &source.table_schema, days),
                    filters: source.filters.clone(),
                    generator: source.generator.clone(),
                    columns,
                    output_filters: on_keys.clone(),
                    requirements: requirements.clone(),
                };
                let label = format!("source {}", source.table.table);
                plan.add(label, schema.clone(), Operator::Project(project))
            })
            .collect();
        let rows = union(plan, inputs, &part.full_prefix);
        let mut columns = self.table_columns(&schema, &|index| index);
        if write {
            return self.looked_up(rows, columns, "right_time", plan);
        }
        columns.push(Expr::column(schema.fields.len() - 1, DataType::Long));
        self.look_up(rows, columns, plan)
    }

    /// The part's table, written before, over these days.
    fn cached(&self, days: PartitionRange, plan: &mut DataflowPlan) -> Answers {
        let part = self.part;
        let days = DayFilter {
            column: PARTITION_COLUMN.into(),
            range: Some(days),
        };
        let rows = scan(plan, &part.table, &part.table_schema, &Some(days));
        let mut columns = all_columns(&part.table_schema);
        let day = position(&part.table_schema, PARTITION_COLUMN);
        if !part.method.is_temporal() {
            columns.push(group::end_of_day_column(day));
            return self.look_up(rows, columns, plan);
        }
        // Temporal values belong to a key, a time and a left day: the day is part of what is looked up.
        let time = position(&part.table_schema, TIME_COLUMN);
        let mut keys: Vec<usize> = part
            .group
            .keys
            .iter()
            .map(|key| position(&part.table_schema, &key.name))
            .collect();
        keys.push(day);
        let mut left_keys = part.left_keys.clone();
        left_keys.push(self.left_side().day);
        let queries = self.queries(left_keys, plan);
        self.arrange_and_ask(rows, keys, time, queries, plan)
    }

    /// The part's table as a sink.
    fn table(&self, input: NodeId, plan: &mut DataflowPlan) {
        let part = self.part;
        let schema = plan.node(input).schema.clone();
        let keys = part
            .group
            .keys
            .iter()
            .map(|key| position(&schema, &key.name));
        let mut sort: Vec<usize> = keys.collect();
        let partition = position(&schema, PARTITION_COLUMN);
        let mut distinct = Vec::new();
        if part.method.is_temporal() {
            sort.push(position(&schema, TIME_COLUMN));
            distinct.clone_from(&sort);
            distinct.push(partition);
        }
        let sink = Sink {
            under: Vec::new(),
            input,
            table: OutputTable {
                name: part.table.clone(),
                kind: "join_part",
                expands: false,
            },
            distinct,
            sort,
            partition: Some(partition),
            days: None,
        };
        plan.add(
            format!("table of {}", part.full_prefix),
            schema,
            Operator::Sink(sink),
        );
    }

    fn of_table(&self, node: NodeId) -> Answers {
        Answers {
            node,
            features: self.part.features.iter().map(|(index, _)| *index).collect(),
        }
    }
}

fn position(schema: &Schema, name: &str) -> usize {
    let found = schema.fields.iter().position(|field| field.name == name);
    found.expect("resolution checked that the column is kept")
}
