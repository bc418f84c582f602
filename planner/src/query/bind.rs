//! A statement, typed: common tables, set operations, ORDER BY and LIMIT around select blocks.
//!
//! Promises: all problems of a statement that can be told at once are; a part that failed is left out of the checks of
//! what it stands in. A common table is bound once and copied where it is used.

use std::collections::BTreeSet;

use super::ast::{Alias, Body, CommonTable, Query, SetOperation, SortItem};
use super::constant::integer;
use super::group::groupable;
use super::prepare::{Collected, Context};
use super::scope::{Columns, same};
use super::subquery::columns_at;
use super::tree::{Operator, Relation, SortKey};
use crate::catalog::Catalog;
use crate::expr::ast::{Node, NodeKind};
use crate::expr::coerce::is_orderable;
use crate::expr::problem::{Problem, Span};
use crate::expr::{Expr, Literal};
use crate::schema::{DataType, Schema};

/// Operators of a statement, common tables copied.
const MAX_RELATIONS: usize = 4_000;

/// A bound query.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The select list's columns, then those that [`Answer::correlated`] reads.
    pub(crate) relation: Relation,
    pub(crate) visible: usize,
    /// Conditions with columns of the outer query, over the relation's columns.
    pub(crate) correlated: Vec<Expr>,
    /// What the select list is where there are no rows, if it always is one row.
    pub(crate) empty: Option<Vec<Expr>>,
}

impl Answer {
    pub(crate) fn plain(relation: Relation) -> Self {
        Self {
            visible: relation.width(),
            relation,
            correlated: Vec::new(),
            empty: None,
        }
    }

    /// The columns that are seen from outside.
    pub(crate) fn schema(&self) -> Schema {
        Schema::new(self.relation.schema.fields[..self.visible].to_vec())
    }
}

/// The query around the one that is bound.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    pub(crate) columns: Columns,
    pub(crate) reach: Reach,
}

/// Where columns of the query around may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// In the WHERE of the subquery's own block, from where conditions move to the join.
    Block,
    /// In every WHERE and HAVING of the subquery.
    Conditions,
    /// Everywhere: it is a lateral relation.
    Everywhere,
}

pub(crate) struct Binder<'a> {
    pub(crate) catalog: &'a dyn Catalog,
    pub(crate) problems: Vec<Problem>,
    pub(crate) around: Option<Around>,
    /// Subqueries that read columns of the query around elsewhere than in their own WHERE.
    pub(super) deep: BTreeSet<(usize, usize)>,
    /// The subquery at hand turned out to be one.
    pub(super) too_deep: bool,
    /// Common tables in sight, the nearest last.
    common: Vec<(String, Option<Relation>)>,
    relations: usize,
}

impl<'a> Binder<'a> {
    pub(crate) fn new(catalog: &'a dyn Catalog) -> Self {
        Self {
            catalog,
            problems: Vec::new(),
            around: None,
            deep: BTreeSet::new(),
            too_deep: false,
            common: Vec::new(),
            relations: 0,
        }
    }

    pub(crate) fn problem<T>(&mut self, span: Span, message: impl Into<String>) -> Option<T> {
        self.problems.push(Problem::new(span, message));
        None
    }

    /// Lets a name stand for a relation in all that follows.
    pub(crate) fn name_relation(&mut self, name: &str, relation: Option<Relation>) {
        self.common.push((name.to_owned(), relation));
    }

    /// The common table of this name; `Some(None)` if it is faulty.
    pub(crate) fn common_table(&self, name: &str) -> Option<Option<Relation>> {
        let found = self.common.iter().rev().find(|(n, _)| same(n, name));
        found.map(|(_, relation)| relation.clone())
    }

    pub(crate) fn query(&mut self, query: &Query, outer: Option<&Columns>) -> Option<Answer> {
        let before = self.common.len();
        for table in &query.with {
            self.define(table, &query.with);
        }
        let bound = self.ordered(query, outer);
        self.common.truncate(before);
        let answer = bound?;
        self.limited(query, answer)
    }

    fn define(&mut self, table: &CommonTable, all: &[CommonTable]) {
        let name = &table.alias.name;
        if all.iter().filter(|t| same(&t.alias.name, name)).count() > 1 {
            let message = format!("two common tables are named {name}");
            self.problems.push(Problem::new(table.alias.span, message));
        }
        let relation = self.query(&table.query, None).map(|answer| answer.relation);
        let relation = relation.and_then(|relation| self.renamed(relation, &table.alias));
        self.common.push((name.clone(), relation));
    }

    /// The relation with the column names that an alias gives.
    pub(crate) fn renamed(&mut self, mut relation: Relation, alias: &Alias) -> Option<Relation> {
        if alias.columns.is_empty() {
            return Some(relation);
        }
        if alias.columns.len() != relation.width() {
            let message = format!(
                "{} names {} columns, but there are {}",
                alias.name,
                alias.columns.len(),
                relation.width()
            );
            return self.problem(alias.span, message);
        }
        if matches!(relation.operator, Operator::Scan { .. }) {
            // A table is read by its own names.
            let all: Vec<usize> = (0..relation.width()).collect();
            relation = columns_at(relation, &all);
        }
        for (field, name) in relation.schema.fields.iter_mut().zip(&alias.columns) {
            field.name.clone_from(name);
        }
        Some(relation)
    }

    fn ordered(&mut self, query: &Query, outer: Option<&Columns>) -> Option<Answer> {
        if let Body::Select(select) = &query.body {
            return self.select(select, &query.order, outer);
        }
        let answer = self.body(&query.body, outer)?;
        if query.order.is_empty() {
            return Some(answer);
        }
        let columns = Columns::of(&answer.schema(), &[]);
        let context = Context::plain(&columns);
        let outputs: Vec<Expr> = (0..answer.visible)
            .map(|i| answer.relation.column(i))
            .collect();
        let items = self.ordinals(&query.order, &outputs)?;
        let keys = self.sort_keys(&items, &context, &mut Collected::default())?;
        let relation = match keys.is_empty() {
            true => answer.relation,
            false => sorted(answer.relation, keys),
        };
        Some(Answer { relation, ..answer })
    }

    /// ORDER BY with its ordinals replaced by what they stand for.
    pub(crate) fn ordinals(
        &mut self,
        items: &[SortItem],
        outputs: &[Expr],
    ) -> Option<Vec<SortItem>> {
        if let [item] = items
            && is_all(&item.node)
        {
            return Some(of_all(item, outputs));
        }
        let mut replaced = Vec::new();
        for item in items {
            let mut item = item.clone();
            if let Some(n) = ordinal(&item.node) {
                let index = usize::try_from(n).unwrap_or(0);
                if index == 0 || index > outputs.len() {
                    let message = format!("there is no column {n} in the select list");
                    return self.problem(item.node.span, message);
                }
                let expr = Box::new(outputs[index - 1].clone());
                let kind = crate::expr::ast::NodeKind::Bound { expr, name: None };
                item.node = Node::new(kind, item.node.span);
            }
            replaced.push(item);
        }
        Some(replaced)
    }

    pub(crate) fn sort_keys(
        &mut self,
        items: &[SortItem],
        context: &Context<'_>,
        collected: &mut Collected,
    ) -> Option<Vec<SortKey>> {
        let mut keys = Vec::new();
        let mut failed = false;
        for item in items {
            match self.expression(&item.node, context, collected) {
                Some(_) if item.spreads => {}
                Some(expr) if !is_orderable(&expr.data_type) => {
                    let message = format!("values of {} have no order", expr.data_type);
                    self.problems.push(Problem::new(item.node.span, message));
                    failed = true;
                }
                Some(expr) => keys.push(SortKey {
                    expr,
                    descending: item.descending,
                    nulls_first: item.nulls_first,
                }),
                None => failed = true,
            }
        }
        (!failed).then_some(keys)
    }

    fn limited(&mut self, query: &Query, answer: Answer) -> Option<Answer> {
        if query.limit.is_none() && query.offset.is_none() {
            return Some(answer);
        }
        let limit = match &query.limit {
            Some(node) => Some(self.row_count(node, "LIMIT")?),
            None => None,
        };
        let offset = match &query.offset {
            Some(node) => self.row_count(node, "OFFSET")?,
            None => 0,
        };
        if !answer.correlated.is_empty() {
            return self.problem(
                query.span,
                "LIMIT in a subquery that reads columns of the outer query is not supported",
            );
        }
        let schema = answer.relation.schema.clone();
        let input = Box::new(answer.relation);
        let operator = Operator::Limit {
            input,
            offset,
            limit,
        };
        Some(Answer {
            relation: Relation::new(schema, operator),
            // No rows of an aggregate are no row.
            empty: None,
            ..answer
        })
    }

    fn row_count(&mut self, node: &Node, word: &str) -> Option<usize> {
        let columns = Columns::default();
        let context = Context::plain(&columns);
        let expr = self.expression(node, &context, &mut Collected::default())?;
        match integer(&expr).and_then(|n| usize::try_from(n).ok()) {
            Some(count) => Some(count),
            None => self.problem(
                node.span,
                format!("{word} takes a constant that is not negative"),
            ),
        }
    }

    pub(crate) fn body(&mut self, body: &Body, outer: Option<&Columns>) -> Option<Answer> {
        match body {
            Body::Select(select) => self.select(select, &[], outer),
            Body::Nested(query) => self.query(query, outer),
            Body::Relation(from) => {
                let (relation, _) = self.from(from)?;
                Some(Answer::plain(relation))
            }
            Body::Set {
                operation,
                all,
                left,
                right,
                span,
            } => {
                let left = self.body(left, None);
                let right = self.body(right, None);
                let (left, right) = (left?.relation, right?.relation);
                let (left, right) = self.widened(left, right, *span, word(*operation))?;
                let compares = *operation != SetOperation::Union || !all;
                let fields = &left.schema.fields;
                if compares && let Some(field) = fields.iter().find(|f| !groupable(&f.data_type)) {
                    let message = format!(
                        "{} cannot compare column {}, which is {}",
                        word(*operation),
                        field.name,
                        field.data_type
                    );
                    return self.problem(*span, message);
                }
                let relation = super::set::combine(*operation, *all, left, right);
                self.counted(relation, *span).map(Answer::plain)
            }
        }
    }

    /// The relation, unless the statement grew beyond measure.
    pub(crate) fn counted(&mut self, relation: Relation, span: Span) -> Option<Relation> {
        let mut waiting = vec![&relation];
        let mut count = 0;
        while let Some(relation) = waiting.pop() {
            count += 1;
            waiting.extend(relation.inputs());
            if count > MAX_RELATIONS {
                break;
            }
        }
        self.relations = self.relations.max(count);
        if count > MAX_RELATIONS {
            return self.problem(
                span,
                "the query is too large once its common tables are put in",
            );
        }
        Some(relation)
    }
}

pub(crate) fn word(operation: SetOperation) -> &'static str {
    match operation {
        SetOperation::Union => "UNION",
        SetOperation::Intersect => "INTERSECT",
        SetOperation::Except => "EXCEPT",
    }
}

/// The number of a bare integer constant.
pub(crate) fn ordinal(node: &Node) -> Option<i64> {
    match &node.kind {
        crate::expr::ast::NodeKind::Literal(Literal::Integer(n), DataType::Int) => Some(*n),
        _ => None,
    }
}

/// `ORDER BY ALL`
fn is_all(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Name(parts) => matches!(parts.as_slice(), [name] if same(name, "all")),
        _ => false,
    }
}

/// The item's direction for each column of the select list.
fn of_all(item: &SortItem, outputs: &[Expr]) -> Vec<SortItem> {
    let one = |expr: &Expr| {
        let expr = Box::new(expr.clone());
        SortItem {
            node: Node::new(NodeKind::Bound { expr, name: None }, item.node.span),
            ..item.clone()
        }
    };
    outputs.iter().map(one).collect()
}

pub(crate) fn sorted(input: Relation, keys: Vec<SortKey>) -> Relation {
    let schema = input.schema.clone();
    let input = Box::new(input);
    Relation::new(schema, Operator::Sort { input, keys })
}
