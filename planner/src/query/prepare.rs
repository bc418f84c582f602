//! An expression of a query, typed: names found in the query's columns, aggregates, windows and subqueries taken out.
//!
//! What is taken out is kept in [`Collected`] and stands in the expression as a column of its own
//! [kind](super::scope::Kind) until the select block places it.

use super::aggregate;
use super::ast::{Clause, FunctionClause, SubqueryUse, WindowSpec};
use super::bind::{Binder, Reach};
use super::scope::{Columns, Kind, pending};
use super::subquery::{PendingSubquery, Usage};
use super::tree::{Aggregate, WindowFunction};
use super::window;
use crate::expr::ast::{Node, NodeKind};
use crate::expr::bind::bind_named;
use crate::expr::functions;
use crate::expr::nearest;
use crate::expr::primary::field_name;
use crate::expr::problem::{Problem, Span};
use crate::expr::rewrite::rewrite;
use crate::expr::{Expr, ExprKind, Literal};
use crate::schema::DataType;

/// What an expression may read and hold where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Context<'c> {
    pub(crate) columns: &'c Columns,
    /// Columns of the outer query, in a subquery.
    pub(crate) outer: Option<&'c Columns>,
    /// Names of the select list, looked at before the columns.
    pub(crate) first: &'c [(String, Expr)],
    /// Names of the select list, looked at after the columns.
    pub(crate) last: &'c [(String, Expr)],
    pub(crate) aggregates: bool,
    pub(crate) windows: Option<&'c [(String, WindowSpec)]>,
    pub(crate) subqueries: bool,
    /// It is a WHERE or a HAVING.
    pub(crate) condition: bool,
    /// The keys of the grouping, for `grouping(key)`.
    pub(crate) keys: Option<&'c [Expr]>,
}

impl<'c> Context<'c> {
    /// Columns only.
    pub(crate) fn plain(columns: &'c Columns) -> Self {
        Self {
            columns,
            outer: None,
            first: &[],
            last: &[],
            aggregates: false,
            windows: None,
            subqueries: false,
            condition: false,
            keys: None,
        }
    }
}

/// A window function and the window it looks at.
#[derive(Clone, Debug)]
pub(crate) struct PendingWindow {
    pub(crate) call: super::tree::WindowCall,
    pub(crate) partition: Vec<Expr>,
    pub(crate) order: Vec<super::tree::SortKey>,
}

/// What was taken out of expressions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collected {
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) windows: Vec<PendingWindow>,
    pub(crate) subqueries: Vec<PendingSubquery>,
}

impl Binder<'_> {
    /// The typed expression; `None` if it is faulty, its problems noted.
    pub(crate) fn expression(
        &mut self,
        node: &Node,
        context: &Context<'_>,
        collected: &mut Collected,
    ) -> Option<Expr> {
        let prepared = self.prepared(node, context, collected)?;
        let bound = bind_named(&prepared);
        self.noted_all(bound)
    }

    /// [`Binder::expression`] that must be a boolean.
    pub(crate) fn condition(
        &mut self,
        node: &Node,
        context: &Context<'_>,
        collected: &mut Collected,
    ) -> Option<Expr> {
        let expr = self.expression(node, context, collected)?;
        match expr.data_type {
            DataType::Boolean => Some(expr),
            other => self.problem(
                node.span,
                format!("a condition must be boolean, this is {other}"),
            ),
        }
    }

    /// The tree with every name typed.
    pub(crate) fn prepared(
        &mut self,
        node: &Node,
        context: &Context<'_>,
        collected: &mut Collected,
    ) -> Option<Node> {
        Preparation {
            binder: self,
            context,
            collected,
            variables: Vec::new(),
        }
        .node(node)
    }

    fn noted_all<T>(&mut self, result: Result<T, Vec<Problem>>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }
}

struct Preparation<'p, 'b, 'c> {
    binder: &'p mut Binder<'b>,
    context: &'p Context<'c>,
    collected: &'p mut Collected,
    /// Parameters of the lambdas around.
    variables: Vec<String>,
}

fn bound(expr: Expr, name: Option<String>, span: Span) -> Node {
    let expr = Box::new(expr);
    Node::new(NodeKind::Bound { expr, name }, span)
}

impl Preparation<'_, '_, '_> {
    fn problem<T>(&mut self, span: Span, message: impl Into<String>) -> Option<T> {
        self.binder.problem(span, message)
    }

    fn node(&mut self, node: &Node) -> Option<Node> {
        let kind = match &node.kind {
            NodeKind::Literal(..) | NodeKind::Bound { .. } => node.kind.clone(),
            NodeKind::Name(parts) => return self.name(parts, node),
            NodeKind::Star(_) => return self.problem(node.span, "'*' has no meaning here"),
            NodeKind::Call { name, arguments } => return self.call(name, arguments, node),
            NodeKind::Cast { input, to, strict } => NodeKind::Cast {
                input: Box::new(self.node(input)?),
                to: to.clone(),
                strict: *strict,
            },
            NodeKind::Case {
                branches,
                otherwise,
            } => {
                let mut pairs = Vec::new();
                for (condition, value) in branches {
                    pairs.push((self.node(condition), self.node(value)));
                }
                let otherwise = match otherwise {
                    Some(value) => Some(Box::new(self.node(value)?)),
                    None => None,
                };
                let pairs = pairs.into_iter().map(|(c, v)| Some((c?, v?)));
                NodeKind::Case {
                    branches: pairs.collect::<Option<_>>()?,
                    otherwise,
                }
            }
            NodeKind::Lambda { parameters, body } => {
                let outer = self.variables.len();
                self.variables.extend(parameters.iter().cloned());
                let body = self.node(body);
                self.variables.truncate(outer);
                NodeKind::Lambda {
                    parameters: parameters.clone(),
                    body: Box::new(body?),
                }
            }
            NodeKind::Field { input, name } => NodeKind::Field {
                input: Box::new(self.node(input)?),
                name: name.clone(),
            },
            NodeKind::Index { input, index } => {
                let (input, index) = (self.node(input), self.node(index));
                NodeKind::Index {
                    input: Box::new(input?),
                    index: Box::new(index?),
                }
            }
            NodeKind::Clause(clause) => return self.clause(clause, node),
        };
        Some(Node::new(kind, node.span))
    }

    fn nodes(&mut self, nodes: &[Node]) -> Option<Vec<Node>> {
        let mut prepared = Vec::new();
        let mut failed = false;
        for node in nodes {
            match &node.kind {
                NodeKind::Star(qualifier) => match self.star(qualifier, node.span) {
                    Some(columns) => prepared.extend(columns),
                    None => failed = true,
                },
                _ => match self.node(node) {
                    Some(node) => prepared.push(node),
                    None => failed = true,
                },
            }
        }
        (!failed).then_some(prepared)
    }

    /// `f(*)`: all columns.
    fn star(&mut self, qualifier: &[String], span: Span) -> Option<Vec<Node>> {
        let Some(columns) = self.context.columns.star(qualifier) else {
            let message = format!("{} is no relation of this query", qualifier.join("."));
            return self.problem(span, message);
        };
        let node =
            |c: &&super::scope::ScopeColumn| bound(c.expr.clone(), Some(c.name.clone()), span);
        Some(columns.iter().map(node).collect())
    }

    // --- names ---

    fn name(&mut self, parts: &[String], node: &Node) -> Option<Node> {
        let variable = |v: &String| v.eq_ignore_ascii_case(&parts[0]);
        if self.variables.iter().any(variable) {
            return Some(node.clone());
        }
        let (expr, used) = match self.resolved(parts) {
            Ok(Some(found)) => found,
            Ok(None) if self.context.keys.is_some() && is_grouping_column(parts) => {
                let id = pending(Kind::GroupingId, 0, DataType::Long);
                return Some(bound(id, None, node.span));
            }
            Ok(None) => {
                let message = self.unknown(parts);
                return self.problem(node.span, message);
            }
            Err(message) => return self.problem(node.span, message),
        };
        let mut result = bound(expr, Some(parts[used - 1].clone()), node.span);
        for part in &parts[used..] {
            let input = Box::new(result);
            let name = part.clone();
            result = Node::new(NodeKind::Field { input, name }, node.span);
        }
        Some(result)
    }

    fn resolved(&mut self, parts: &[String]) -> Result<Option<(Expr, usize)>, String> {
        let context = self.context;
        if let Some(found) = alias(context.first, &parts[0])? {
            // A qualified name is a column's where there is such a column.
            let qualified = match parts.len() {
                1 => None,
                _ => context
                    .columns
                    .resolve(parts)?
                    .filter(|(_, used)| *used > 1),
            };
            return Ok(Some(qualified.unwrap_or((found, 1))));
        }
        if let Some(found) = context.columns.resolve(parts)? {
            return Ok(Some(found));
        }
        if let Some(found) = alias(context.last, &parts[0])? {
            return Ok(Some((found, 1)));
        }
        let outside = match (context.outer, &self.binder.around) {
            (Some(outer), _) => Some(outer),
            (None, Some(around)) => match around.reach {
                Reach::Block => {
                    self.binder.too_deep |= matches!(around.columns.resolve(parts), Ok(Some(_)));
                    None
                }
                Reach::Conditions if !context.condition => None,
                _ => Some(&around.columns),
            },
            (None, None) => None,
        };
        let Some(outside) = outside else {
            return Ok(None);
        };
        let found = outside.resolve(parts)?;
        Ok(found.map(|(expr, used)| (outer(&expr), used)))
    }

    fn unknown(&self, parts: &[String]) -> String {
        let aliases = self.context.first.iter().chain(self.context.last);
        let aliases = aliases.map(|(name, _)| name.as_str());
        let known = self.context.columns.names().chain(aliases);
        let name = parts.last().map_or("", String::as_str);
        format!(
            "unknown column {}{}",
            parts.join("."),
            nearest::hint(name, known)
        )
    }

    // --- calls ---

    fn call(&mut self, name: &str, arguments: &[Node], node: &Node) -> Option<Node> {
        if aggregate::is_aggregate(name) {
            let clause = FunctionClause {
                name: name.to_owned(),
                arguments: arguments.to_vec(),
                distinct: false,
                filter: None,
                within: Vec::new(),
                ignore_nulls: false,
                over: None,
                span: node.span,
            };
            return self.aggregate(&clause, node);
        }
        if matches!(name, "grouping" | "grouping_id") {
            return self.grouping(name, arguments, node);
        }
        if window::is_window_function(name) {
            return self.problem(node.span, format!("{name} needs OVER (…)"));
        }
        if let ("not", [inner]) = (name, arguments)
            && let NodeKind::Clause(clause) = &inner.kind
            && let Clause::Subquery {
                usage: usage @ SubqueryUse::In(_),
                query,
                span,
            } = &**clause
        {
            return self.subquery(usage, true, query, *span);
        }
        let prepared = self.nodes(arguments)?;
        if functions::find(name).is_none()
            && name != "struct"
            && !crate::expr::generator::is_generator(name)
        {
            let message = match nearest::hint(name, aggregate::names()) {
                hint if hint.is_empty() => functions::unknown(name),
                hint => format!("unknown function {name}{hint}"),
            };
            return self.problem(node.span, message);
        }
        let kind = NodeKind::Call {
            name: name.to_owned(),
            arguments: named_fields(name, arguments, prepared),
        };
        Some(Node::new(kind, node.span))
    }

    fn clause(&mut self, clause: &Clause, node: &Node) -> Option<Node> {
        match clause {
            Clause::Call(call) if call.over.is_some() => self.window(call, node),
            Clause::Call(call) if aggregate::is_aggregate(&call.name) => self.aggregate(call, node),
            Clause::Call(call) => {
                let message = match window::is_window_function(&call.name) {
                    true => format!("{} needs OVER (…)", call.name),
                    false => format!(
                        "{} is no aggregate function: DISTINCT, FILTER and their like are not for it",
                        call.name
                    ),
                };
                self.problem(call.span, message)
            }
            Clause::Subquery { usage, query, span } => self.subquery(usage, false, query, *span),
        }
    }

    fn aggregate(&mut self, call: &FunctionClause, node: &Node) -> Option<Node> {
        if !self.context.aggregates {
            let message = format!("the aggregate {} has no meaning here", call.name);
            return self.problem(node.span, message);
        }
        let aggregate = self.typed_aggregate(call, node.span, false)?;
        let data_type = aggregate.data_type.clone();
        let known = &mut self.collected.aggregates;
        let index = known.iter().position(|a| *a == aggregate);
        let index = index.unwrap_or_else(|| {
            known.push(aggregate);
            known.len() - 1
        });
        Some(bound(
            pending(Kind::Aggregate, index, data_type),
            None,
            node.span,
        ))
    }

    /// An aggregate with its arguments typed; they may hold aggregates themselves in a window.
    fn typed_aggregate(
        &mut self,
        call: &FunctionClause,
        span: Span,
        in_window: bool,
    ) -> Option<Aggregate> {
        let context = Context {
            aggregates: in_window && self.context.aggregates,
            windows: None,
            last: if in_window { &[] } else { self.context.last },
            ..*self.context
        };
        let counts = call.name == "count" && !call.distinct;
        let arguments = self.arguments(&call.arguments, &context, counts);
        let filter = match &call.filter {
            Some(filter) => Some(self.binder.condition(filter, &context, self.collected)?),
            None => None,
        };
        let within = match call.within.as_slice() {
            [] => None,
            [item] => {
                let expr = self
                    .binder
                    .expression(&item.node, &context, self.collected)?;
                Some((expr, item.descending))
            }
            [_, second, ..] => {
                return self.problem(second.node.span, "WITHIN GROUP takes one expression");
            }
        };
        let typed = aggregate::typed(aggregate::Call {
            name: &call.name,
            arguments: arguments?,
            distinct: call.distinct,
            filter,
            within,
            ignore_nulls: call.ignore_nulls,
        });
        match typed {
            Ok(aggregate) => Some(aggregate),
            Err(message) => self.problem(span, message),
        }
    }

    /// Typed arguments; `count(*)` has none.
    fn arguments(
        &mut self,
        nodes: &[Node],
        context: &Context<'_>,
        counts: bool,
    ) -> Option<Vec<Expr>> {
        if counts
            && nodes
                .iter()
                .any(|n| matches!(&n.kind, NodeKind::Star(q) if !q.is_empty()))
        {
            return self.problem(
                nodes[0].span,
                "count takes * or columns, not a relation's *",
            );
        }
        if counts
            && let [one] = nodes
            && let NodeKind::Star(qualifier) = &one.kind
            && qualifier.is_empty()
        {
            return Some(Vec::new());
        }
        let mut preparation = Preparation {
            binder: self.binder,
            context,
            collected: self.collected,
            variables: Vec::new(),
        };
        let prepared = preparation.nodes(nodes)?;
        let exprs: Vec<Option<Expr>> = prepared
            .iter()
            .map(|node| {
                let bound = bind_named(node);
                self.binder.noted_all(bound)
            })
            .collect();
        exprs.into_iter().collect()
    }

    /// `grouping(key)`: whether the row's grouping set leaves the key out; `grouping_id(…)`: the same for all, as bits.
    fn grouping(&mut self, name: &str, arguments: &[Node], node: &Node) -> Option<Node> {
        let Some(keys) = self.context.keys else {
            let message = format!("{name} needs GROUPING SETS, ROLLUP or CUBE");
            return self.problem(node.span, message);
        };
        let keys = keys.to_vec();
        let id = pending(Kind::GroupingId, 0, DataType::Long);
        let context = Context {
            aggregates: false,
            windows: None,
            ..*self.context
        };
        let arguments = self.arguments(arguments, &context, false)?;
        let whole = name == "grouping_id" && (arguments.is_empty() || arguments == keys);
        if whole {
            return Some(bound(id, None, node.span));
        }
        if name == "grouping_id" {
            return self.problem(node.span, "grouping_id takes all keys, in their order");
        }
        let place = arguments
            .first()
            .and_then(|argument| keys.iter().position(|key| key == argument));
        let (Some(place), 1) = (place, arguments.len()) else {
            return self.problem(node.span, "grouping takes one key of GROUP BY");
        };
        let shift = i64::try_from(keys.len() - 1 - place).unwrap_or(0);
        let shift = Expr::literal(Literal::Integer(shift), DataType::Int);
        let one = Expr::literal(Literal::Integer(1), DataType::Long);
        let moved = Expr::call("shiftright", vec![id, shift], DataType::Long);
        let bit = Expr::call("&", vec![moved, one], DataType::Long);
        Some(bound(bit.cast(&DataType::Byte), None, node.span))
    }

    // --- windows ---

    fn window(&mut self, call: &FunctionClause, node: &Node) -> Option<Node> {
        let Some(named) = self.context.windows else {
            return self.problem(node.span, "a window function has no meaning here");
        };
        let spec = match window::spec(call, named) {
            Ok(spec) => spec,
            Err(problem) => return self.problem(problem.span, problem.message),
        };
        if call.distinct || call.filter.is_some() {
            return self.problem(
                node.span,
                "Spark 3.5 has neither DISTINCT nor FILTER in window functions",
            );
        }
        // As in Spark, a name of the same list has no meaning in a window.
        let context = Context {
            windows: None,
            last: &[],
            ..*self.context
        };
        let mut partition = Vec::new();
        for key in &spec.partition {
            partition.push(self.binder.expression(key, &context, self.collected)?);
        }
        let order = self
            .binder
            .sort_keys(&spec.order, &context, self.collected)?;
        let function = self.window_function(call, &context, node.span)?;
        let made = window::call(function, &spec, &order, &call.name, &mut |node| {
            bind_named(node).map_err(|mut problems| problems.remove(0))
        });
        let made = match made {
            Ok(made) => made,
            Err(problem) => return self.problem(problem.span, problem.message),
        };
        let data_type = made.data_type.clone();
        self.collected.windows.push(PendingWindow {
            call: made,
            partition,
            order,
        });
        let index = self.collected.windows.len() - 1;
        Some(bound(
            pending(Kind::Window, index, data_type),
            None,
            node.span,
        ))
    }

    fn window_function(
        &mut self,
        call: &FunctionClause,
        context: &Context<'_>,
        span: Span,
    ) -> Option<WindowFunction> {
        if window::is_window_function(&call.name) {
            let arguments = self.arguments(&call.arguments, context, false)?;
            return match window::function(&call.name, arguments, call.ignore_nulls) {
                Ok(function) => Some(function),
                Err(message) => self.problem(span, message),
            };
        }
        if !aggregate::is_aggregate(&call.name) {
            let message = format!("{} is no window function and no aggregate", call.name);
            return self.problem(span, message);
        }
        let aggregate = self.typed_aggregate(call, span, true)?;
        Some(WindowFunction::Aggregate(aggregate))
    }

    // --- subqueries ---

    fn subquery(
        &mut self,
        usage: &SubqueryUse,
        negated: bool,
        query: &super::ast::Query,
        span: Span,
    ) -> Option<Node> {
        if !self.context.subqueries {
            return self.problem(span, "a subquery has no meaning here");
        }
        if !self.variables.is_empty() {
            return self.problem(span, "a subquery has no meaning in a lambda");
        }
        let usage = match usage {
            SubqueryUse::Scalar => Usage::Scalar,
            SubqueryUse::Exists => Usage::Exists,
            SubqueryUse::In(needle) => {
                let needles = match &needle.kind {
                    NodeKind::Call { name, arguments } if name == "struct" => arguments.as_slice(),
                    _ => std::slice::from_ref(&**needle),
                };
                let mut bound = Vec::new();
                for needle in needles {
                    bound.push(
                        self.binder
                            .expression(needle, self.context, self.collected)?,
                    );
                }
                match negated {
                    true => Usage::NotIn(bound),
                    false => Usage::In(bound),
                }
            }
        };
        let pending_query =
            self.binder
                .pending_subquery(usage, query, self.context.columns, span)?;
        let data_type = pending_query.data_type.clone();
        self.collected.subqueries.push(pending_query);
        let index = self.collected.subqueries.len() - 1;
        Some(bound(pending(Kind::Subquery, index, data_type), None, span))
    }
}

/// Hive's name for `grouping_id()`.
fn is_grouping_column(parts: &[String]) -> bool {
    matches!(parts, [name] if name.eq_ignore_ascii_case("grouping__id"))
}

/// The expression over columns of the query around.
fn outer(expr: &Expr) -> Expr {
    rewrite(expr, &mut |part| match part.kind {
        ExprKind::Column(index) => Some(pending(Kind::Outer, index, part.data_type.clone())),
        _ => None,
    })
}

/// The expression that an alias stands for; two different ones are ambiguous.
fn alias(aliases: &[(String, Expr)], name: &str) -> Result<Option<Expr>, String> {
    let mut found: Option<&Expr> = None;
    for (_, expr) in aliases.iter().filter(|(a, _)| super::scope::same(a, name)) {
        match found {
            Some(other) if other != expr => return Err(format!("{name} is ambiguous")),
            _ => found = Some(expr),
        }
    }
    Ok(found.cloned())
}

/// Fields of a struct keep the names they would have had from the text.
fn named_fields(name: &str, written: &[Node], prepared: Vec<Node>) -> Vec<Node> {
    if name != "struct" || written.len() != prepared.len() {
        return prepared;
    }
    let pairs = written.iter().zip(prepared).enumerate();
    pairs
        .map(|(i, (written, prepared))| match prepared.kind {
            NodeKind::Bound { expr, .. } => {
                bound(*expr, Some(field_name(written, i)), prepared.span)
            }
            kind => Node::new(kind, prepared.span),
        })
        .collect()
}
