//! The dataflow plan: nodes in one list, inputs by id, every decision made. Rendering adds none.
//!
//! ```text
//! scan ─ project ─┬─ union ─ arrange ──┬── as_of ─ attach ─┬─ assemble ─ project ─ sink
//! scan ─ project ─┘                    │    │              │
//! scan ─ project ─ (left) ─────────────┼─ queries          │
//!                    └─────────────────┼───────────────────┘
//!                                      └── snapshots ─ project ─┬─ sink
//!                                                               └─ arrange ─ as_of …
//! ```
//! Promises: a node's inputs stand before it; every column an expression reads is a position in its input's
//! [`Node::schema`]; a node that several consumers need exists once. Column pruning, partition pruning and sharing
//! are done. Never holds data.

mod verify;

use crate::aggregation::AggregatePart;
use crate::avro::Record;
use crate::expr::{Expr, Generator, Literal};
use crate::schema::Schema;
use crate::time::PartitionRange;

/// Position of a node in [`DataflowPlan::nodes`]; its name in errors, metrics and pictures is `n` and the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// A whole plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataflowPlan {
    /// The nodes; inputs come before their users.
    pub nodes: Vec<Node>,
}

/// One operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its position in the plan.
    pub id: NodeId,
    /// What it is for, in the words of the definition: `left`, `part alpha_g_v1`, `source feat.events`.
    pub label: String,
    /// The columns that leave it. For an [`Operator::Arrange`] the payload (names are its own), for an
    /// [`Operator::Queries`] nothing, for an [`Operator::AsOf`] the evaluator's answer, for a
    /// [`Operator::Sink`] what is written.
    pub schema: Schema,
    /// What it does.
    pub operator: Operator,
}

/// What a node does.
#[derive(Clone, Debug, PartialEq)]
pub enum Operator {
    /// Rows of a table. Each row's identity is its source position.
    Scan(Scan),
    /// Rows of a topic as they come, each with its source position.
    Receive(Receive),
    /// Drops rows and computes columns.
    Project(Project),
    /// All rows of the inputs, whose schemas are equal.
    Union {
        /// At least two.
        inputs: Vec<NodeId>,
    },
    /// Rows by key and time.
    Arrange(Arrange),
    /// Points in time at which the left asks.
    Queries(Queries),
    /// Answers to queries, each by the position of the left row that asked.
    AsOf(AsOf),
    /// Answers brought to the rows that asked.
    Attach(Attach),
    /// Values of every key at each day's end.
    Snapshots(Snapshots),
    /// Left rows with the columns of all parts.
    Assemble(Assemble),
    /// Columns packed into Avro datums.
    Encode(Encode),
    /// Facts about the left that decide the rest of the plan.
    Facts(Facts),
    /// Rows into a table.
    Sink(Sink),
    /// Rows to whoever runs the plan.
    Collect(Collect),
    /// Rows to whoever keeps the plan running: after each epoch those that changed, as they are then.
    Publish {
        /// The rows.
        input: NodeId,
    },
}

/// Rows of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// The table, without sub-partitions.
    pub table: String,
    /// The days read; `None` for a table that has no such partition column: everything.
    pub days: Option<DayFilter>,
    /// Conditions that let whole row groups be skipped. They repeat part of a later filter: ignoring them is right.
    pub skip: Vec<ColumnPredicate>,
}

/// Rows of a topic as they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receive {
    /// The topic, as written in the definition.
    pub topic: String,
    /// The table that holds what came on it.
    pub table: String,
    /// Whether its rows are mutations of entities: of a change the side after and the side before.
    pub mutations: bool,
}

/// A range of a partition column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayFilter {
    /// The partition column.
    pub column: String,
    /// Its days; `None` reads nothing at all (the schema still holds).
    pub range: Option<PartitionRange>,
}

/// `column operator literal`, true for no null.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnPredicate {
    /// Position in the scan's schema.
    pub column: usize,
    /// How it is compared.
    pub comparison: Comparison,
    /// Of the column's type.
    pub literal: Literal,
}

/// A comparison of a column with a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Drops rows and computes columns, in the order of the fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// The input.
    pub input: NodeId,
    /// Conditions on input columns: a row stays if all are true (not null).
    pub filters: Vec<Expr>,
    /// Makes several rows of one; its columns follow the input's, and `columns` may read them there.
    pub generator: Option<Generator>,
    /// One for each field of the node's schema.
    pub columns: Vec<Expr>,
    /// Conditions on the computed columns, as `filters`.
    pub output_filters: Vec<Expr>,
    /// What is required of the computed columns.
    pub requirements: Vec<Requirement>,
}

/// What is required of a row's computed columns, by position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// At least one of these is not null; others are dropped without a word (they can match no left row).
    AnyNotNull(Vec<usize>),
    /// Not null; others are dropped, counted and sampled as bad rows.
    CountNull(usize),
    /// Not before an instant; others are dropped, counted and sampled as bad rows.
    CountBefore {
        /// The computed column (long, milliseconds, not null).
        column: usize,
        /// The instant.
        millis: i64,
    },
    /// Not null; any other fails the job with a sample.
    FailNull(usize),
    /// One of the values that this column of the left has. The values come from the left's facts.
    InLeft {
        /// The computed column.
        column: usize,
        /// Which of the facts: their [`Facts::number`].
        facts: usize,
        /// The left column, of the same type.
        left_column: String,
    },
    /// A list whose every entry is one of these; any other fails the job with a sample.
    KnownEntries {
        /// The computed column, a list of strings.
        column: usize,
        /// The entries it may have.
        known: Vec<String>,
    },
}

/// Rows by key and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrange {
    /// The input.
    pub input: NodeId,
    /// Key columns of the input, in the order in which queries give theirs.
    pub keys: Vec<usize>,
    /// The input column (long, milliseconds, not null) that rows are sorted by.
    pub time: usize,
    /// The input columns kept, in the order of the node's schema.
    pub payload: Vec<usize>,
}

/// When a left row asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueryTime {
    /// At the time in this left column (long, milliseconds).
    At(usize),
    /// At the midnight that begins the day of the time in this left column.
    MidnightBefore(usize),
    /// At the midnight that ends the day in this left column (a `yyyy-MM-dd` string).
    EndOfDay(usize),
    /// At this time, in milliseconds, whatever the row.
    Fixed(i64),
}

/// Points in time at which the left asks. A row with a null key or without a time does not ask.
#[derive(Clone, Debug, PartialEq)]
pub struct Queries {
    /// The left.
    pub left: NodeId,
    /// Its key columns.
    pub keys: Vec<usize>,
    /// When.
    pub time: QueryTime,
    /// Conditions on left columns; a row that does not meet all does not ask.
    pub filters: Vec<Expr>,
}

/// Answers to queries.
#[derive(Clone, Debug, PartialEq)]
pub struct AsOf {
    /// An [`Operator::Arrange`].
    pub right: NodeId,
    /// An [`Operator::Queries`].
    pub queries: NodeId,
    /// How an answer is computed from the payload.
    pub evaluator: EvaluatorPlan,
    /// Which queries have an answer.
    pub answer: AnswerRule,
}

/// Which queries (of an as-of) or keys and days (of snapshots) give a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerRule {
    /// All.
    Always,
    /// Those whose answer is not null in every column.
    AnyValue,
    /// Those for which the evaluator looked at a row at all.
    AnyRow,
}

/// How an answer is computed. Columns are positions in the arrangement's payload; inputs of parts are found there by
/// name.
#[derive(Clone, Debug, PartialEq)]
pub enum EvaluatorPlan {
    /// Windows that end before the query, tails on their hops.
    PointInTime {
        /// The answer's columns.
        parts: Vec<AggregatePart>,
        /// Which hops there are.
        resolution: Resolution,
    },
    /// Rows of exactly the query's time, passed through: none, one or several answers.
    Lookup {
        /// The payload columns given back.
        columns: Vec<usize>,
        /// Which rows answer, where there are several.
        matches: Matches,
    },
    /// Rows of exactly the query's time, aggregated; windows are exact and end at the query.
    SnapshotRows {
        /// The answer's columns.
        parts: Vec<AggregatePart>,
        /// The rows' own time, where a part needs one.
        time: Option<usize>,
    },
    /// Snapshot rows of the query's midnight, then the mutations of its day up to the query.
    MutatedSnapshot {
        /// The answer's columns.
        parts: Vec<AggregatePart>,
        /// Boolean: whether the row is a mutation.
        is_mutation: usize,
        /// Boolean: whether a mutation is the state before.
        is_before: usize,
        /// Long: the rows' own time.
        time: usize,
    },
    /// Unfinished states of the rows of the day that ends at the query, windows aside.
    DayStates {
        /// The answer's columns, each of its part's state type.
        parts: Vec<AggregatePart>,
    },
    /// The unfinished states that a batch ending at the query leaves to a reader; the answer's columns are those of
    /// [`crate::aggregation::batch_fields`].
    BatchStates {
        /// What a reader finishes.
        parts: Vec<AggregatePart>,
        /// For each part the number of its aggregation and bucket: parts of one number share states in tails.
        bases: Vec<usize>,
        /// Long: the rows' own time, where rows are those of exactly the query's time; else the sort time counts.
        time: Option<usize>,
    },
    /// All rows of a key packed into one value of the store, and the time of the latest.
    StreamRows {
        /// Binary: the payload column that is packed.
        datum: usize,
        /// The fingerprint of its schema.
        schema: u64,
        /// From when on the rows are all there, in milliseconds.
        since_millis: i64,
    },
    /// The unfinished states of all rows of a tile, which its key names, as one datum, and the time of the latest.
    StreamTiles {
        /// What a reader finishes.
        parts: Vec<AggregatePart>,
        /// For each part the number of its aggregation and bucket: parts of one number share states.
        bases: Vec<usize>,
    },
}

impl EvaluatorPlan {
    /// The aggregate parts; none where rows are not aggregated.
    pub fn parts(&self) -> &[AggregatePart] {
        match self {
            Self::PointInTime { parts, .. }
            | Self::SnapshotRows { parts, .. }
            | Self::DayStates { parts }
            | Self::BatchStates { parts, .. }
            | Self::StreamTiles { parts, .. }
            | Self::MutatedSnapshot { parts, .. } => parts,
            Self::Lookup { .. } | Self::StreamRows { .. } => &[],
        }
    }
}

/// Which rows of a look-up answer, where there are several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Matches {
    /// All, each with an answer of its own.
    #[default]
    All,
    /// The first by source position.
    First,
    /// None: several rows fail the job.
    Single,
}

/// Which hops windows are built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Days, hours and five minutes.
    FiveMinutes,
    /// Days only: every window is a whole number of days and every query a midnight.
    Daily,
}

/// Answers brought to the rows that asked: one row for each answer, in the left's place.
#[derive(Clone, Debug, PartialEq)]
pub struct Attach {
    /// The left.
    pub left: NodeId,
    /// An [`Operator::AsOf`] whose queries are of this left.
    pub answers: NodeId,
    /// One for each field of the node's schema, over the left's columns followed by the answer's.
    pub columns: Vec<Expr>,
}

/// Values of every key at each day's end.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshots {
    /// An [`Operator::Arrange`].
    pub right: NodeId,
    /// The days; the query of a day is the midnight that ends it.
    pub days: PartitionRange,
    /// How a value is computed.
    pub evaluator: EvaluatorPlan,
    /// Payload columns that hold the key; they lead the node's schema, then `ds` (string), then `day_end` (long: the
    /// query's time), then the evaluator's answer.
    pub keys: Vec<usize>,
    /// Which keys and days give a row.
    pub answer: AnswerRule,
}

/// Left rows with the columns of all parts. A left row without an answer of a part reads nulls there; several answers
/// make several rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Assemble {
    /// The left.
    pub left: NodeId,
    /// [`Operator::AsOf`] or [`Operator::Attach`] nodes of this left.
    pub parts: Vec<NodeId>,
    /// One for each field of the node's schema, over the left's columns followed by each part's.
    pub columns: Vec<Expr>,
}

/// Columns packed into Avro datums: one binary column for each, then what is kept as it is. A row that has no datum is
/// dropped, counted and sampled as a bad row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encode {
    /// The input.
    pub input: NodeId,
    /// The first columns of the node's schema.
    pub datums: Vec<Datum>,
    /// Input columns that follow as they are.
    pub kept: Vec<usize>,
}

/// What a datum is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datum {
    /// Its schema.
    pub record: Record,
    /// Input columns, one for each field of the record.
    pub columns: Vec<usize>,
}

/// What is asked about the left before the rest is planned: row count, least and greatest time and day, and, while
/// there are no more rows than `small_rows_max`, the distinct values of key columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its place among the facts of the plan.
    pub number: usize,
    /// The left.
    pub input: NodeId,
    /// Its time column; `None` for entities.
    pub time: Option<usize>,
    /// Its `ds` column.
    pub day: usize,
    /// Its key columns.
    pub keys: Vec<usize>,
    /// The most rows for which key values are kept.
    pub small_rows_max: u64,
}

/// Rows into a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// Partition columns that lead the others and have one value for all rows, which do not carry them.
    pub under: Vec<(String, String)>,
    /// The input.
    pub input: NodeId,
    /// What the table is.
    pub table: OutputTable,
    /// Input columns that tell rows apart: of rows equal in them only one is written. Empty: all are.
    pub distinct: Vec<usize>,
    /// Input columns that rows of a partition are sorted by.
    pub sort: Vec<usize>,
    /// The input column (string) that is the partition; `None` for a table without partitions, replaced as a whole.
    pub partition: Option<usize>,
    /// The days written; rows of other days are dropped.
    pub days: Option<PartitionRange>,
}

/// Rows handed to whoever runs the plan, under the node's label: findings, a few per day or per table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collect {
    /// The input.
    pub input: NodeId,
    /// Input columns that rows are sorted by.
    pub sort: Vec<usize>,
}

/// A table written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputTable {
    /// Its name.
    pub name: String,
    /// What the reference calls its kind: `join`, `join_part`, `bootstrap`, `group_by`.
    pub kind: &'static str,
    /// Whether columns may be added to an existing table.
    pub expands: bool,
}

impl Operator {
    /// The nodes it reads.
    pub fn inputs(&self) -> Vec<NodeId> {
        match self {
            Self::Scan(_) | Self::Receive(_) => Vec::new(),
            Self::Project(project) => vec![project.input],
            Self::Union { inputs } => inputs.clone(),
            Self::Arrange(arrange) => vec![arrange.input],
            Self::Queries(queries) => vec![queries.left],
            Self::AsOf(as_of) => vec![as_of.right, as_of.queries],
            Self::Attach(attach) => vec![attach.left, attach.answers],
            Self::Snapshots(snapshots) => vec![snapshots.right],
            Self::Assemble(assemble) => {
                let mut inputs = vec![assemble.left];
                inputs.extend(&assemble.parts);
                inputs
            }
            Self::Encode(encode) => vec![encode.input],
            Self::Facts(facts) => vec![facts.input],
            Self::Sink(sink) => vec![sink.input],
            Self::Collect(collect) => vec![collect.input],
            Self::Publish { input } => vec![*input],
        }
    }

    /// The operator's name in explanations and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Scan(_) => "scan",
            Self::Receive(_) => "receive",
            Self::Project(_) => "project",
            Self::Union { .. } => "union",
            Self::Arrange(_) => "arrange",
            Self::Queries(_) => "queries",
            Self::AsOf(_) => "as_of",
            Self::Attach(_) => "attach",
            Self::Snapshots(_) => "snapshots",
            Self::Assemble(_) => "assemble",
            Self::Encode(_) => "encode",
            Self::Facts(_) => "facts",
            Self::Sink(_) => "sink",
            Self::Collect(_) => "collect",
            Self::Publish { .. } => "publish",
        }
    }
}

impl DataflowPlan {
    /// The node of an id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// Adds a node, or finds the equal one that is there: what is planned twice runs once.
    pub fn add(&mut self, label: impl Into<String>, schema: Schema, operator: Operator) -> NodeId {
        let shared = !matches!(
            operator,
            Operator::Sink(_) | Operator::Collect(_) | Operator::Publish { .. }
        );
        let equal = |node: &&Node| node.operator == operator && node.schema == schema;
        if let Some(node) = self.nodes.iter().find(equal).filter(|_| shared) {
            return node.id;
        }
        let id = NodeId(self.nodes.len());
        self.nodes.push(Node {
            id,
            label: label.into(),
            schema,
            operator,
        });
        id
    }

    /// How many nodes read this one.
    pub fn user_count(&self, id: NodeId) -> usize {
        self.nodes
            .iter()
            .flat_map(|node| node.operator.inputs())
            .filter(|input| *input == id)
            .count()
    }

    /// The nodes that receive what comes on topics.
    pub fn receivers(&self) -> impl Iterator<Item = (&Node, &Receive)> {
        self.nodes.iter().filter_map(|node| match &node.operator {
            Operator::Receive(receive) => Some((node, receive)),
            _ => None,
        })
    }

    /// The tables that are read, sorted.
    pub fn tables_read(&self) -> Vec<&str> {
        let mut tables: Vec<&str> = self
            .nodes
            .iter()
            .filter_map(|node| match &node.operator {
                Operator::Scan(scan) => Some(scan.table.as_str()),
                _ => None,
            })
            .collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }
}
