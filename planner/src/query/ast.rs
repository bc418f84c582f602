//! A statement as it was written, names not yet resolved.

use crate::expr::ast::Node;
use crate::expr::problem::Span;

/// `WITH … body ORDER BY … LIMIT … OFFSET …`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Query {
    pub(crate) with: Vec<CommonTable>,
    pub(crate) body: Body,
    pub(crate) order: Vec<SortItem>,
    pub(crate) limit: Option<Node>,
    pub(crate) offset: Option<Node>,
    pub(crate) span: Span,
    /// Levels of expressions and queries from here down.
    pub(crate) depth: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CommonTable {
    pub(crate) alias: Alias,
    pub(crate) query: Query,
}

/// A name given to a relation, and perhaps to its columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alias {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Select(Box<Select>),
    /// `VALUES …`, `TABLE t`: a relation as it is.
    Relation(Box<From>),
    Nested(Box<Query>),
    Set {
        operation: SetOperation,
        all: bool,
        left: Box<Body>,
        right: Box<Body>,
        span: Span,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetOperation {
    Union,
    Intersect,
    Except,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Select {
    pub(crate) distinct: bool,
    pub(crate) items: Vec<Item>,
    pub(crate) from: Option<From>,
    pub(crate) filter: Option<Node>,
    pub(crate) grouping: Option<Grouping>,
    pub(crate) having: Option<Node>,
    pub(crate) windows: Vec<(String, WindowSpec)>,
    pub(crate) span: Span,
}

/// An entry of a select list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub(crate) node: Node,
    /// None, one, or several for a generator.
    pub(crate) names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Grouping {
    /// `GROUP BY ALL`
    All,
    Items(Vec<GroupItem>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GroupItem {
    Key(Node),
    /// The grouping sets that an element stands for, each a list of keys.
    Sets(Vec<Vec<Node>>),
    /// `keys GROUPING SETS (…)`: the keys before it only name their order.
    OnlySets(Vec<Vec<Node>>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum From {
    Table {
        name: Vec<String>,
        alias: Option<Alias>,
        span: Span,
    },
    Query {
        query: Box<Query>,
        alias: Option<Alias>,
    },
    Function {
        name: String,
        arguments: Vec<Node>,
        alias: Option<Alias>,
        span: Span,
    },
    Values {
        rows: Vec<Vec<Node>>,
        alias: Option<Alias>,
        span: Span,
    },
    Join(Box<Join>),
    View(Box<LateralView>),
    Pivot(Box<Pivot>),
    Unpivot(Box<Unpivot>),
    /// A relation in brackets that has a name as a whole.
    Named(Box<From>, Alias),
    /// One that may read columns of the relations before it.
    Lateral(Box<From>),
    /// So many of its rows.
    Sample(Box<From>, Sample),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    All,
    Rows(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Join {
    pub(crate) left: From,
    pub(crate) right: From,
    pub(crate) kind: JoinWord,
    pub(crate) condition: Condition,
    pub(crate) span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinWord {
    Inner,
    Cross,
    Left,
    Right,
    Full,
    Semi,
    Anti,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    None,
    Natural,
    On(Node),
    Using(Vec<String>),
}

/// `LATERAL VIEW [OUTER] generator(…) table AS columns`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LateralView {
    pub(crate) input: From,
    pub(crate) outer: bool,
    pub(crate) generator: Node,
    pub(crate) alias: Alias,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pivot {
    pub(crate) input: From,
    pub(crate) aggregates: Vec<Item>,
    pub(crate) columns: Vec<Node>,
    pub(crate) values: Vec<Item>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unpivot {
    pub(crate) input: From,
    pub(crate) include_nulls: bool,
    pub(crate) values: Vec<String>,
    pub(crate) name: String,
    /// Groups of columns, each perhaps with the name its rows get.
    pub(crate) columns: Vec<(Vec<Node>, Option<String>)>,
    pub(crate) alias: Option<Alias>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SortItem {
    pub(crate) node: Node,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
    /// It is of DISTRIBUTE BY, and says nothing of the order.
    pub(crate) spreads: bool,
}

/// What only a statement may hold in its expressions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Clause {
    Call(FunctionClause),
    Subquery {
        usage: SubqueryUse,
        query: Query,
        span: Span,
    },
}

/// A call with the clauses of aggregates and window functions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FunctionClause {
    pub(crate) name: String,
    pub(crate) arguments: Vec<Node>,
    pub(crate) distinct: bool,
    pub(crate) filter: Option<Node>,
    pub(crate) within: Vec<SortItem>,
    pub(crate) ignore_nulls: bool,
    pub(crate) over: Option<WindowSpec>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SubqueryUse {
    Scalar,
    Exists,
    In(Box<Node>),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WindowSpec {
    /// A window of the WINDOW clause that this one is or begins with.
    pub(crate) base: Option<String>,
    pub(crate) partition: Vec<Node>,
    pub(crate) order: Vec<SortItem>,
    pub(crate) frame: Option<FrameClause>,
    pub(crate) span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FrameClause {
    pub(crate) rows: bool,
    pub(crate) start: BoundClause,
    pub(crate) end: BoundClause,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BoundClause {
    UnboundedPreceding,
    Preceding(Node),
    CurrentRow,
    Following(Node),
    UnboundedFollowing,
}

impl Clause {
    /// What to say where it has no meaning.
    pub(crate) fn out_of_place(&self) -> &'static str {
        match self {
            Self::Call(call) if call.over.is_some() => "a window function has no meaning here",
            Self::Call(_) => "DISTINCT, FILTER and their like belong to aggregate functions",
            Self::Subquery { .. } => "a subquery has no meaning here",
        }
    }

    pub(crate) fn each_child(&self, mut visit: impl FnMut(&Node)) {
        match self {
            Self::Call(call) => {
                call.arguments
                    .iter()
                    .chain(&call.filter)
                    .chain(call.within.iter().map(|item| &item.node))
                    .for_each(&mut visit);
                if let Some(over) = &call.over {
                    let order = over.order.iter().map(|item| &item.node);
                    over.partition.iter().chain(order).for_each(&mut visit);
                }
            }
            Self::Subquery {
                usage: SubqueryUse::In(needle),
                ..
            } => visit(needle),
            Self::Subquery { .. } => {}
        }
    }
}
