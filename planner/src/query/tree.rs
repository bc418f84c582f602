//! The typed relational tree: what the engine runs.
//!
//! Promises: every column and expression is typed by Spark's rules, every cast is explicit, every name is a position;
//! expressions read the columns of their relation's input (a join's: left, then right). Correlated subqueries are
//! joins already. Never holds an unresolved name, never decides how rows are moved.

use crate::expr::{Expr, Generator};
use crate::schema::{DataType, Schema};

/// A relation: its columns, and how its rows come about.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// The columns of its rows; names may repeat.
    pub schema: Schema,
    /// Where the rows come from.
    pub operator: Operator,
}

/// How the rows of a relation come about.
#[derive(Clone, Debug, PartialEq)]
pub enum Operator {
    /// The rows of a table, these columns of it.
    Scan {
        /// `db.name`
        table: String,
        /// Conditions that all rows given on meet; over the scan's columns.
        filters: Vec<Expr>,
    },
    /// Rows of constants; expressions without columns.
    Values(Vec<Vec<Expr>>),
    /// `start, start + step, …` before `end`.
    Range {
        /// First number.
        start: i64,
        /// Where to stop.
        end: i64,
        /// Never zero.
        step: i64,
    },
    /// One value for each column, from each row.
    Project {
        /// The rows.
        input: Box<Relation>,
        /// One for each column.
        expressions: Vec<Expr>,
    },
    /// The rows for which all conditions are true.
    Filter {
        /// The rows.
        input: Box<Relation>,
        /// Booleans.
        conditions: Vec<Expr>,
    },
    /// Pairs of rows.
    Join(Box<Join>),
    /// One row for each group of equal keys: keys first, then the aggregates. Without keys always one row.
    Aggregate {
        /// The rows.
        input: Box<Relation>,
        /// Equality is Spark's: nulls are equal, so are NaNs and zeros.
        keys: Vec<Expr>,
        /// What is computed of each group.
        aggregates: Vec<Aggregate>,
    },
    /// Each row once for each list of expressions.
    Expand {
        /// The rows.
        input: Box<Relation>,
        /// Of the same length and types each.
        projections: Vec<Vec<Expr>>,
    },
    /// Each row with the values of window functions after its own.
    Window {
        /// The rows.
        input: Box<Relation>,
        /// Rows of equal values belong together.
        partition: Vec<Expr>,
        /// Their order.
        order: Vec<SortKey>,
        /// One column each.
        functions: Vec<WindowCall>,
    },
    /// Each row with each of the rows that a generator makes of it.
    Generate {
        /// The rows.
        input: Box<Relation>,
        /// Its columns come after the row's own.
        generator: Generator,
    },
    /// The rows in order.
    Sort {
        /// The rows.
        input: Box<Relation>,
        /// Most significant first.
        keys: Vec<SortKey>,
    },
    /// Some of the rows, in their order.
    Limit {
        /// The rows.
        input: Box<Relation>,
        /// Rows left out first.
        offset: usize,
        /// Rows given on, all without it.
        limit: Option<usize>,
    },
    /// The rows of all, one after the other.
    Union(Vec<Relation>),
    /// Exactly one row: the only one, or nulls if there is none; more are an error.
    Single(Box<Relation>),
}

/// Two relations whose rows are paired.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// The left rows.
    pub left: Relation,
    /// The right rows.
    pub right: Relation,
    /// Which rows come out.
    pub kind: JoinKind,
    /// Pairs that must be equal.
    pub keys: Vec<JoinKey>,
    /// Conditions over left and right columns.
    pub conditions: Vec<Expr>,
}

/// Which rows of a join come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Matching pairs.
    Inner,
    /// And left rows without a match.
    Left,
    /// And right rows without a match.
    Right,
    /// And both.
    Full,
    /// Left rows with a match, without the right columns.
    Semi,
    /// Left rows without a match, without the right columns.
    Anti,
}

/// Two expressions of one type that must be equal.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinKey {
    /// Over the left columns.
    pub left: Expr,
    /// Over the right columns, numbered from zero.
    pub right: Expr,
    /// Nulls are equal (`<=>`).
    pub null_safe: bool,
}

/// A sort key.
#[derive(Clone, Debug, PartialEq)]
pub struct SortKey {
    /// What is compared.
    pub expr: Expr,
    /// Greatest first.
    pub descending: bool,
    /// Nulls before all values.
    pub nulls_first: bool,
}

/// An aggregate of a group or of a window's frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// What is computed.
    pub function: AggregateFunction,
    /// Of what; already of the types the function takes.
    pub arguments: Vec<Expr>,
    /// Of each list of values once.
    pub distinct: bool,
    /// Of these rows only.
    pub filter: Option<Expr>,
    /// The type of the result.
    pub data_type: DataType,
}

/// The aggregates there are, with their constants.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are Spark's own words")]
pub enum AggregateFunction {
    /// Rows in which no argument is null; all rows without arguments.
    Count,
    /// Integers wrap, decimals out of range are null.
    Sum,
    /// A sum of integers that does not fit is null.
    TrySum,
    Average,
    Min,
    Max,
    First {
        ignore_nulls: bool,
    },
    Last {
        ignore_nulls: bool,
    },
    CollectList,
    CollectSet,
    MinBy,
    MaxBy,
    /// Moments around the mean.
    Moment(Moment),
    /// Of pairs.
    Pair(PairStatistic),
    /// Interpolated; several give an array. The flag takes the nearest value instead.
    Percentile {
        fractions: Vec<f64>,
        array: bool,
        discrete: bool,
        descending: bool,
    },
    /// Of hashed values (`xxhash64`).
    ApproximateCountDistinct {
        relative_error: f64,
    },
    ApproximatePercentile {
        fractions: Vec<f64>,
        array: bool,
        accuracy: i64,
    },
    Mode,
    BoolAnd,
    BoolOr,
    BitAnd,
    BitOr,
    BitXor,
}

/// Statistics of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Spark's own words")]
pub enum Moment {
    StddevSample,
    StddevPopulation,
    VarianceSample,
    VariancePopulation,
    Skewness,
    Kurtosis,
}

/// Statistics of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Spark's own words")]
pub enum PairStatistic {
    Correlation,
    CovariancePopulation,
    CovarianceSample,
    RegressionCount,
    RegressionAverageX,
    RegressionAverageY,
    RegressionR2,
    RegressionSlope,
    RegressionIntercept,
    RegressionSxx,
    RegressionSxy,
    RegressionSyy,
}

/// A window function over its frame.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowCall {
    /// What is computed.
    pub function: WindowFunction,
    /// The rows it looks at.
    pub frame: Frame,
    /// The type of the result.
    pub data_type: DataType,
}

/// The window functions.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are Spark's own words")]
pub enum WindowFunction {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile(i64),
    /// The value so many rows further on (back if negative), or the default where there is none.
    Shift {
        input: Expr,
        rows: i64,
        default: Expr,
        ignore_nulls: bool,
    },
    NthValue {
        input: Expr,
        n: i64,
        ignore_nulls: bool,
    },
    Aggregate(Aggregate),
}

/// The rows around a row that a window function looks at.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// Counted in rows: offsets from the current row, unbounded without one.
    Rows {
        /// First row.
        start: Option<i64>,
        /// Last row.
        end: Option<i64>,
    },
    /// By the value of the order: all rows from the first bound to the second, peers included.
    Range {
        /// First value.
        start: RangeBound,
        /// Last value.
        end: RangeBound,
    },
}

/// A bound of a frame by value.
#[derive(Clone, Debug, PartialEq)]
pub enum RangeBound {
    /// The partition's end.
    Unbounded,
    /// The current row's peers.
    Current,
    /// This value, of the type of the only sort key.
    Value(Expr),
}

impl Relation {
    /// A relation of these columns.
    pub fn new(schema: Schema, operator: Operator) -> Self {
        Self { schema, operator }
    }

    /// The column at this position.
    pub fn column(&self, index: usize) -> Expr {
        Expr::column(index, self.schema.fields[index].data_type.clone())
    }

    /// The number of columns.
    pub fn width(&self) -> usize {
        self.schema.fields.len()
    }

    /// The relations it reads.
    pub fn inputs(&self) -> Vec<&Relation> {
        match &self.operator {
            Operator::Scan { .. } | Operator::Values(_) | Operator::Range { .. } => vec![],
            Operator::Join(join) => vec![&join.left, &join.right],
            Operator::Union(inputs) => inputs.iter().collect(),
            Operator::Project { input, .. }
            | Operator::Filter { input, .. }
            | Operator::Aggregate { input, .. }
            | Operator::Expand { input, .. }
            | Operator::Window { input, .. }
            | Operator::Generate { input, .. }
            | Operator::Sort { input, .. }
            | Operator::Limit { input, .. }
            | Operator::Single(input) => vec![input],
        }
    }

    /// The tables that are read, sorted and without repeats.
    pub fn tables(&self) -> Vec<String> {
        let mut found = std::collections::BTreeSet::new();
        let mut waiting = vec![self];
        while let Some(relation) = waiting.pop() {
            if let Operator::Scan { table, .. } = &relation.operator {
                found.insert(table.clone());
            }
            waiting.extend(relation.inputs());
        }
        found.into_iter().collect()
    }
}

impl Operator {
    /// The same operator over what `change` makes of its inputs.
    pub(crate) fn over(mut self, change: &mut dyn FnMut(Relation) -> Relation) -> Self {
        let mut replace = |input: &mut Relation| {
            let nothing = Self::Values(Vec::new());
            let taken = std::mem::replace(input, Relation::new(Schema::default(), nothing));
            *input = change(taken);
        };
        match &mut self {
            Self::Scan { .. } | Self::Values(_) | Self::Range { .. } => {}
            Self::Join(join) => {
                replace(&mut join.left);
                replace(&mut join.right);
            }
            Self::Union(inputs) => inputs.iter_mut().for_each(replace),
            Self::Project { input, .. }
            | Self::Filter { input, .. }
            | Self::Aggregate { input, .. }
            | Self::Expand { input, .. }
            | Self::Window { input, .. }
            | Self::Generate { input, .. }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. }
            | Self::Single(input) => replace(input),
        }
        self
    }
}
