//! An expression as it was written, names not yet resolved.

use super::ir::{Expr, Literal};
use super::problem::Span;
use crate::query::ast::Clause;
use crate::schema::DataType;

/// A parsed expression: its text and its tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Ast {
    pub(crate) text: String,
    pub(crate) root: Node,
}

impl Ast {
    /// The text that was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) span: Span,
    /// Levels of the tree from here down; bounded by the parser so that every later recursion is.
    pub(crate) depth: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NodeKind {
    /// `a.b.c`: a column, perhaps qualified, perhaps with struct fields.
    Name(Vec<String>),
    /// `*` or `t.*`, only in the arguments of `struct` and of `count`.
    Star(Vec<String>),
    Literal(Literal, DataType),
    /// Operators are calls too (`+`, `and`, `in`, …); `name` is in lower case.
    Call {
        name: String,
        arguments: Vec<Node>,
    },
    /// `strict` is TRY_CAST: what does not fit is null instead of wrapped.
    Cast {
        input: Box<Node>,
        to: DataType,
        strict: bool,
    },
    Case {
        branches: Vec<(Node, Node)>,
        otherwise: Option<Box<Node>>,
    },
    Lambda {
        parameters: Vec<String>,
        body: Box<Node>,
    },
    /// `input.name`
    Field {
        input: Box<Node>,
        name: String,
    },
    /// `input[index]`
    Index {
        input: Box<Node>,
        index: Box<Node>,
    },
    /// What only a statement may hold: aggregates with their clauses, windows, subqueries.
    Clause(Box<Clause>),
    /// Typed already, with the name that a struct field made of it gets.
    Bound {
        expr: Box<Expr>,
        name: Option<String>,
    },
}

impl Node {
    pub(crate) fn new(kind: NodeKind, span: Span) -> Self {
        let mut depth = 0;
        kind.each_child(|child| depth = depth.max(child.depth));
        Self {
            kind,
            span,
            depth: depth + 1,
        }
    }

    pub(crate) fn text(value: &str, span: Span) -> Self {
        Self::new(
            NodeKind::Literal(Literal::String(value.to_owned()), DataType::String),
            span,
        )
    }
}

impl NodeKind {
    pub(crate) fn each_child(&self, mut visit: impl FnMut(&Node)) {
        match self {
            Self::Name(_) | Self::Star(_) | Self::Literal(..) | Self::Bound { .. } => {}
            Self::Clause(clause) => clause.each_child(visit),
            Self::Call { arguments, .. } => arguments.iter().for_each(visit),
            Self::Cast { input, .. } | Self::Field { input, .. } => visit(input),
            Self::Lambda { body, .. } => visit(body),
            Self::Index { input, index } => {
                visit(input);
                visit(index);
            }
            Self::Case {
                branches,
                otherwise,
            } => {
                for (condition, value) in branches {
                    visit(condition);
                    visit(value);
                }
                if let Some(value) = otherwise {
                    visit(value);
                }
            }
        }
    }
}
