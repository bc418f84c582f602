//! A select block: from rows to the columns of its list, in the order in which SQL means it.
//!
//! FROM, WHERE, GROUP BY, HAVING, windows, generators, the list, DISTINCT, ORDER BY. Expressions are bound first, with
//! what they wait for (aggregates, windows, subqueries) left open; each step then adds columns and closes some of it.

use super::ast::{Grouping, Item, Select, SortItem};
use super::bind::{Answer, Binder};
use super::from::{conjuncts, generate};
use super::group::{Groups, Placed};
use super::prepare::{Collected, Context};
use super::pretty;
use super::projection::cut;
use super::scope::{Columns, Kind, kind_of, pending, reads};
use super::subquery::{PendingSubquery, Usage};
use super::tree::{Operator, Relation, SortKey, WindowCall};
use crate::expr::ast::{Node, NodeKind};
use crate::expr::problem::Span;
use crate::expr::rewrite::rewrite;
use crate::expr::{Expr, ExprKind, Generator};
use crate::schema::{DataType, Field, Schema};

/// A column of the select list.
pub(super) struct Output {
    pub(super) name: String,
    pub(super) expr: Expr,
    pub(super) span: Span,
}

/// The bound expressions of a block.
pub(super) struct Block {
    pub(super) outputs: Vec<Output>,
    generators: Vec<Generator>,
    having: Option<Expr>,
    pub(super) sort: Vec<SortKey>,
    groups: Option<Groups>,
    collected: Collected,
}

impl Binder<'_> {
    pub(crate) fn select(
        &mut self,
        select: &Select,
        order: &[SortItem],
        outer: Option<&Columns>,
    ) -> Option<Answer> {
        let from = match &select.from {
            Some(from) => self.from(from),
            None => Some((
                Relation::new(Schema::default(), Operator::Values(vec![vec![]])),
                Columns::default(),
            )),
        };
        let (relation, columns) = from?;
        let relation = self.filtered(select, relation, &columns, outer);
        let block = self.block(select, order, &columns);
        let (relation, correlated) = relation?;
        let block = block?;
        self.assembled(select, relation, &columns, correlated, block)
    }

    // --- WHERE ---

    /// The rows that WHERE keeps, and its conditions that read columns of the outer query.
    fn filtered(
        &mut self,
        select: &Select,
        mut relation: Relation,
        columns: &Columns,
        outer: Option<&Columns>,
    ) -> Option<(Relation, Vec<Expr>)> {
        let Some(node) = &select.filter else {
            return Some((relation, Vec::new()));
        };
        let context = Context {
            outer,
            subqueries: true,
            condition: true,
            ..Context::plain(columns)
        };
        let mut collected = Collected::default();
        let condition = self.condition(node, &context, &mut collected)?;
        let (mut local, mut correlated, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for part in conjuncts(condition) {
            let outside = outer.is_some() && reads(&part, Kind::Outer);
            match (outside, reads(&part, Kind::Subquery)) {
                (true, true) => {
                    self.too_deep = true;
                    return self.problem(
                        node.span,
                        "a subquery beside columns of an outer query is not supported",
                    );
                }
                (true, false) => correlated.push(part),
                (false, true) => waiting.push(part),
                (false, false) => local.push(part),
            }
        }
        relation = filter(relation, local);
        relation = self.with_subqueries(relation, waiting, &collected.subqueries)?;
        Some((relation, correlated))
    }

    /// The rows for which conditions with subqueries hold.
    pub(super) fn with_subqueries(
        &mut self,
        mut relation: Relation,
        conditions: Vec<Expr>,
        subqueries: &[PendingSubquery],
    ) -> Option<Relation> {
        let width = relation.width();
        let place = |expr: &Expr| Ok(expr.clone());
        let mut rest = Vec::new();
        for condition in conditions {
            match alone(&condition) {
                Some((index, negated)) if stands_alone(&subqueries[index], negated) => {
                    relation = self.keep(relation, &subqueries[index], negated, &place)?;
                }
                _ => rest.push(condition),
            }
        }
        if rest.is_empty() {
            return Some(relation);
        }
        let mut values: Vec<Option<Expr>> = vec![None; subqueries.len()];
        for (index, subquery) in subqueries.iter().enumerate() {
            if rest.iter().any(|e| reads_subquery(e, index)) {
                let (next, value) = self.attach(relation, subquery, &place)?;
                relation = next;
                values[index] = Some(value);
            }
        }
        let rest = rest.iter().map(|e| close_subqueries(e, &values)).collect();
        Some(cut(filter(relation, rest), width))
    }

    // --- expressions ---

    fn block(&mut self, select: &Select, order: &[SortItem], columns: &Columns) -> Option<Block> {
        let items = self.expanded(&select.items, columns)?;
        let mut collected = Collected::default();
        let mut groups = match &select.grouping {
            Some(Grouping::Items(keys)) => Some(self.groups(keys, &items, columns)?),
            Some(Grouping::All) => Some(self.groups_of_all(&items, columns, select)?),
            None => None,
        };
        let keys = groups.as_ref().map(|groups| groups.keys.clone());
        let keys = keys
            .as_deref()
            .filter(|_| groups.as_ref().is_some_and(|g| g.sets.is_some()));
        let context = Context {
            aggregates: true,
            windows: Some(&select.windows),
            subqueries: true,
            keys,
            ..Context::plain(columns)
        };
        let (outputs, generators) = self.outputs(&items, &context, &mut collected)?;
        let aliases: Vec<(String, Expr)> = outputs
            .iter()
            .map(|output| (output.name.clone(), output.expr.clone()))
            .collect();
        let having = match &select.having {
            Some(node) => {
                let context = Context {
                    windows: None,
                    last: &aliases,
                    condition: true,
                    ..context
                };
                Some(self.having(node, &context, &mut collected, &aliases, groups.as_ref())?)
            }
            None => None,
        };
        let exprs: Vec<Expr> = outputs.iter().map(|output| output.expr.clone()).collect();
        let order = self.ordinals(order, &exprs)?;
        let context = Context {
            first: &aliases,
            windows: None,
            ..context
        };
        let before = collected.subqueries.len();
        let sort = self.sort_keys(&order, &context, &mut collected)?;
        let mut of_order = collected.subqueries[before..].iter();
        if let Some(subquery) = of_order.find(|subquery| !subquery.reads().is_empty()) {
            let message = "in ORDER BY a subquery cannot read columns of this query: give it a name in the list";
            return self.problem(subquery.span, message);
        }
        let aggregated = groups.is_some() || having.is_some() || !collected.aggregates.is_empty();
        if aggregated && groups.is_none() {
            groups = Some(Groups::default());
        }
        Some(Block {
            outputs,
            generators,
            having,
            sort,
            groups,
            collected,
        })
    }

    /// In HAVING a name is a key's column where there is one, else an alias, else a column.
    fn having(
        &mut self,
        node: &Node,
        context: &Context<'_>,
        collected: &mut Collected,
        aliases: &[(String, Expr)],
        groups: Option<&Groups>,
    ) -> Option<Expr> {
        let keys = groups.map_or(&[][..], |groups| &groups.keys);
        let is_key = |name: &str| {
            let single = [name.to_owned()];
            let found = context.columns.resolve(&single).ok().flatten();
            found.is_some_and(|(expr, _)| keys.contains(&expr))
        };
        let first: Vec<(String, Expr)> = aliases
            .iter()
            .filter(|(name, expr)| !is_key(name) && !reads(expr, Kind::Window))
            .cloned()
            .collect();
        // Inside an aggregate an alias of an aggregate has no meaning, a column has.
        let inner_names = super::group::names_in_aggregates(node);
        let first: Vec<(String, Expr)> = first
            .into_iter()
            .filter(|(name, _)| !inner_names.iter().any(|n| super::scope::same(n, name)))
            .collect();
        let context = Context {
            first: &first,
            ..*context
        };
        // A bare null is a condition here, though not in WHERE.
        let expr = self.expression(node, &context, collected)?;
        match expr.data_type {
            DataType::Boolean | DataType::Null => Some(expr.cast(&DataType::Boolean)),
            other => {
                let message = format!("a condition must be boolean, this is {other}");
                self.problem(node.span, message)
            }
        }
    }

    /// The items with each `*` replaced by the columns it stands for.
    fn expanded(&mut self, items: &[Item], columns: &Columns) -> Option<Vec<Item>> {
        let mut expanded = Vec::new();
        let mut failed = false;
        for item in items {
            let NodeKind::Star(qualifier) = &item.node.kind else {
                expanded.push(item.clone());
                continue;
            };
            let found = columns.star(qualifier).map(|found| {
                let found = found.into_iter().map(|c| (c.name.clone(), c.expr.clone()));
                found.collect::<Vec<_>>()
            });
            let found = match found {
                Some(found) => Some(found),
                None => self.struct_fields(qualifier, columns, item.node.span),
            };
            match found {
                Some(found) => expanded.extend(found.into_iter().map(|(name, expr)| Item {
                    node: bound(expr, &name, item.node.span),
                    names: vec![name],
                })),
                None => failed = true,
            }
        }
        if !failed && expanded.is_empty() {
            let span = items.first().map_or(Span::default(), |item| item.node.span);
            return self.problem(span, "'*' stands for no column: there is no FROM");
        }
        (!failed).then_some(expanded)
    }

    /// `column.*` of a struct.
    fn struct_fields(
        &mut self,
        qualifier: &[String],
        columns: &Columns,
        span: Span,
    ) -> Option<Vec<(String, Expr)>> {
        let name = Node::new(NodeKind::Name(qualifier.to_vec()), span);
        let context = Context::plain(columns);
        let found = columns.resolve(qualifier).ok().flatten();
        if found.is_none() {
            let message = format!("{} is no relation of this query", qualifier.join("."));
            return self.problem(span, message);
        }
        let input = self.expression(&name, &context, &mut Collected::default())?;
        let DataType::Struct(fields) = input.data_type.clone() else {
            let message = format!("{}.* needs a relation or a struct", qualifier.join("."));
            return self.problem(span, message);
        };
        let field = |(index, field): (usize, Field)| {
            let input = Box::new(input.clone());
            let kind = ExprKind::Field { input, index };
            (field.name, Expr::new(field.data_type, kind))
        };
        Some(fields.into_iter().enumerate().map(field).collect())
    }

    fn outputs(
        &mut self,
        items: &[Item],
        context: &Context<'_>,
        collected: &mut Collected,
    ) -> Option<(Vec<Output>, Vec<Generator>)> {
        let mut outputs: Vec<Output> = Vec::new();
        let mut generators: Vec<Generator> = Vec::new();
        let mut failed = false;
        let mut aliases: Vec<(String, Expr)> = Vec::new();
        for item in items {
            let context = Context {
                last: &aliases,
                ..*context
            };
            match self.generator(&item.node, &context, collected) {
                None => failed = true,
                Some(Some(found)) => {
                    let before = generators.iter().map(|g| g.columns.len()).sum();
                    match self.generator_outputs(item, &found, before) {
                        Some(more) => outputs.extend(more),
                        None => failed = true,
                    }
                    generators.push(found);
                }
                Some(None) => match self.output(item, &context, collected) {
                    Some(output) => {
                        if !item.names.is_empty() {
                            aliases.push((output.name.clone(), output.expr.clone()));
                        }
                        outputs.push(output);
                    }
                    None => failed = true,
                },
            }
        }
        (!failed).then_some((outputs, generators))
    }

    fn output(
        &mut self,
        item: &Item,
        context: &Context<'_>,
        collected: &mut Collected,
    ) -> Option<Output> {
        let span = item.node.span;
        if item.names.len() > 1 {
            return self.problem(span, "several names are for a generator's columns");
        }
        let expr = self.expression(&item.node, context, collected)?;
        let name = match item.names.first() {
            Some(name) => name.clone(),
            None => pretty::name(
                &item.node,
                context.columns,
                context.windows.unwrap_or_default(),
            ),
        };
        Some(Output { name, expr, span })
    }

    /// The columns of a generator, `before` of earlier ones standing first.
    fn generator_outputs(
        &mut self,
        item: &Item,
        generator: &Generator,
        before: usize,
    ) -> Option<Vec<Output>> {
        let made = generator.columns.len();
        if !item.names.is_empty() && item.names.len() != made {
            let message = format!(
                "the generator makes {made} columns, not {}",
                item.names.len()
            );
            return self.problem(item.node.span, message);
        }
        let columns = generator.columns.iter().enumerate();
        let output = |(index, column): (usize, &Field)| Output {
            name: item.names.get(index).unwrap_or(&column.name).clone(),
            expr: pending(Kind::Generated, before + index, column.data_type.clone()),
            span: item.node.span,
        };
        Some(columns.map(output).collect())
    }

    // --- steps ---

    fn assembled(
        &mut self,
        select: &Select,
        mut relation: Relation,
        columns: &Columns,
        correlated: Vec<Expr>,
        mut block: Block,
    ) -> Option<Answer> {
        if !correlated.is_empty() && !block.collected.windows.is_empty() {
            return self.problem(
                select.span,
                "a subquery with window functions cannot read columns of the outer query",
            );
        }
        let mut placed = Placed::new(columns, &block.collected);
        let mut empty = None;
        let mut correlated = correlated;
        let subqueries = std::mem::take(&mut block.collected.subqueries);
        if let Some(groups) = block.groups.take() {
            let global = groups.keys.is_empty() && groups.sets.is_none();
            let aggregates = block.collected.aggregates.clone();
            relation = self.attached(relation, &subqueries, &mut placed, true, &aggregates)?;
            if global {
                empty = self.empty_outputs(&block, &aggregates);
            }
            let grouped = self.grouped(
                relation,
                groups,
                &aggregates,
                &correlated,
                &mut placed,
                select.span,
            )?;
            (relation, correlated) = grouped;
        }
        relation = self.attached(relation, &subqueries, &mut placed, false, &[])?;
        if let Some(having) = &block.having {
            let having = self.placed_at(having, &placed, select.having.as_ref()?.span)?;
            relation = filter(relation, conjuncts(having));
            empty = None;
        }
        relation = self.windowed(relation, &block.collected, &mut placed, select.span)?;
        placed.generated = relation.width();
        for generator in &block.generators {
            let mut generator = generator.clone();
            for input in &mut generator.inputs {
                *input = self.placed_at(input, &placed, select.span)?;
            }
            relation = generate(relation, generator).0;
            empty = None;
        }
        let (relation, correlated, visible) =
            self.projected(select, relation, &correlated, &block, &placed)?;
        Some(Answer {
            relation,
            visible,
            correlated,
            empty,
        })
    }

    pub(super) fn placed_at(
        &mut self,
        expr: &Expr,
        placed: &Placed<'_>,
        span: Span,
    ) -> Option<Expr> {
        match placed.place(expr) {
            Ok(expr) => Some(expr),
            Err(message) => self.problem(span, message),
        }
    }

    /// Joins the subqueries that aggregates read (`inner`), or the others.
    fn attached(
        &mut self,
        mut relation: Relation,
        subqueries: &[PendingSubquery],
        placed: &mut Placed<'_>,
        inner: bool,
        aggregates: &[super::tree::Aggregate],
    ) -> Option<Relation> {
        for (index, subquery) in subqueries.iter().enumerate() {
            let read = aggregates.iter().any(|aggregate| {
                let exprs = aggregate.arguments.iter().chain(&aggregate.filter);
                exprs.into_iter().any(|e| reads_subquery(e, index))
            });
            if placed.subqueries[index].is_some() || read != inner {
                continue;
            }
            let (next, value) = {
                let place = |expr: &Expr| placed.place(expr);
                self.attach(relation, subquery, &place)?
            };
            relation = next;
            placed.subqueries[index] = Some(value);
        }
        Some(relation)
    }

    /// What the list is over no rows: aggregates of nothing.
    fn empty_outputs(
        &self,
        block: &Block,
        aggregates: &[super::tree::Aggregate],
    ) -> Option<Vec<Expr>> {
        let plain = !block.outputs.iter().any(|output| {
            [Kind::Window, Kind::Subquery, Kind::Generated, Kind::Input]
                .iter()
                .any(|kind| reads(&output.expr, *kind))
        });
        let outputs = block.outputs.iter().map(|output| {
            rewrite(&output.expr, &mut |part| match part.kind {
                ExprKind::Column(number) if kind_of(number).0 == Kind::Aggregate => {
                    Some(super::group::of_no_rows(&aggregates[kind_of(number).1]))
                }
                _ => None,
            })
        });
        plain.then(|| outputs.collect())
    }

    fn windowed(
        &mut self,
        mut relation: Relation,
        collected: &Collected,
        placed: &mut Placed<'_>,
        span: Span,
    ) -> Option<Relation> {
        let mut left: Vec<usize> = (0..collected.windows.len()).collect();
        while let Some(first) = left.first().copied() {
            let window = &collected.windows[first];
            let alike = |i: &usize| {
                let other = &collected.windows[*i];
                other.partition == window.partition && other.order == window.order
            };
            let (same, rest): (Vec<usize>, Vec<usize>) = left.into_iter().partition(alike);
            left = rest;
            let mut partition = Vec::new();
            for key in &window.partition {
                partition.push(self.placed_at(key, placed, span)?);
            }
            let mut order = Vec::new();
            for key in &window.order {
                let expr = self.placed_at(&key.expr, placed, span)?;
                order.push(SortKey { expr, ..*key });
            }
            let mut fields = relation.schema.fields.clone();
            let mut functions: Vec<WindowCall> = Vec::new();
            for index in same {
                let call = &collected.windows[index].call;
                placed.windows[index] = Some(relation.width() + functions.len());
                fields.push(Field::new(format!("window{index}"), call.data_type.clone()));
                match placed.window_call(call) {
                    Ok(call) => functions.push(call),
                    Err(message) => return self.problem(span, message),
                }
            }
            let input = Box::new(relation);
            let operator = Operator::Window {
                input,
                partition,
                order,
                functions,
            };
            relation = Relation::new(Schema::new(fields), operator);
        }
        Some(relation)
    }
}

fn bound(expr: Expr, name: &str, span: Span) -> Node {
    let kind = NodeKind::Bound {
        expr: Box::new(expr),
        name: Some(name.to_owned()),
    };
    Node::new(kind, span)
}

pub(super) fn filter(input: Relation, conditions: Vec<Expr>) -> Relation {
    if conditions.is_empty() {
        return input;
    }
    let schema = input.schema.clone();
    let input = Box::new(input);
    Relation::new(schema, Operator::Filter { input, conditions })
}

/// The subquery that a condition is, and whether it is negated.
fn alone(condition: &Expr) -> Option<(usize, bool)> {
    match &condition.kind {
        ExprKind::Column(number) => match kind_of(*number) {
            (Kind::Subquery, index) => Some((index, false)),
            _ => None,
        },
        ExprKind::Call {
            function: "not",
            arguments,
        } => alone(&arguments[0]).map(|(index, negated)| (index, !negated)),
        _ => None,
    }
}

/// NOT IN must know of nulls, so with one column it is a value of two counts; a scalar subquery always is a value.
fn stands_alone(subquery: &PendingSubquery, negated: bool) -> bool {
    match &subquery.usage {
        Usage::Exists => true,
        Usage::In(_) => !negated,
        Usage::NotIn(needles) => !negated && needles.len() > 1,
        Usage::Scalar => false,
    }
}

pub(super) fn reads_subquery(expr: &Expr, index: usize) -> bool {
    let mut found = false;
    expr.visit(&mut |part| {
        if let ExprKind::Column(number) = part.kind {
            found |= kind_of(number) == (Kind::Subquery, index);
        }
    });
    found
}

fn close_subqueries(expr: &Expr, values: &[Option<Expr>]) -> Expr {
    rewrite(expr, &mut |part| match part.kind {
        ExprKind::Column(number) => match kind_of(number) {
            (Kind::Subquery, index) => values[index].clone(),
            _ => None,
        },
        _ => None,
    })
}
