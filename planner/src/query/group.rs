//! Grouping: keys, grouping sets, and where aggregates, windows and subqueries stand once they are computed.

use super::ast::{Clause, GroupItem, Item, Select};
use super::bind::{Binder, ordinal};
use super::prepare::{Collected, Context};
use super::scope::{Columns, Kind, kind_of};
use super::subquery::equality;
use super::tree::{
    Aggregate, AggregateFunction, Frame, Operator, RangeBound, Relation, WindowCall, WindowFunction,
};
use crate::expr::ast::{Node, NodeKind};
use crate::expr::problem::Span;
use crate::expr::rewrite::rewrite;
use crate::expr::{Expr, ExprKind, Literal};
use crate::schema::{DataType, Field, Schema};

/// The most grouping sets.
const MAX_SETS: usize = 4_096;

/// The keys of a GROUP BY.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    pub(super) keys: Vec<Expr>,
    /// For each grouping set the keys it holds; none without grouping sets.
    pub(super) sets: Option<Vec<Vec<usize>>>,
}

/// True if values of the type can be keys.
pub(super) fn groupable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(..) => false,
        DataType::Array(element) => groupable(element),
        DataType::Struct(fields) => fields.iter().all(|f| groupable(&f.data_type)),
        _ => true,
    }
}

impl Binder<'_> {
    pub(super) fn groups(
        &mut self,
        items: &[GroupItem],
        list: &[Item],
        columns: &Columns,
    ) -> Option<Groups> {
        let mut keys: Vec<Expr> = Vec::new();
        let mut sets: Vec<Vec<usize>> = vec![vec![]];
        let mut with_sets = false;
        let mut failed = false;
        for item in items {
            let choices = match item {
                GroupItem::Key(node) => self
                    .group_key(node, list, columns, &mut keys)
                    .map(|key| vec![vec![key]]),
                GroupItem::Sets(given) | GroupItem::OnlySets(given) => {
                    with_sets = true;
                    self.group_sets(given, list, columns, &mut keys)
                }
            };
            let Some(choices) = choices else {
                failed = true;
                continue;
            };
            if matches!(item, GroupItem::OnlySets(_)) {
                sets = choices;
                continue;
            }
            let pairs = sets
                .iter()
                .flat_map(|set| choices.iter().map(|c| [set.clone(), c.clone()].concat()));
            sets = pairs.take(MAX_SETS + 1).collect();
        }
        if failed {
            return None;
        }
        if sets.len() > MAX_SETS {
            let span = list.first().map_or(Span::default(), |item| item.node.span);
            return self.problem(span, format!("more than {MAX_SETS} grouping sets"));
        }
        Some(Groups {
            keys,
            sets: with_sets.then_some(sets),
        })
    }

    fn group_sets(
        &mut self,
        sets: &[Vec<Node>],
        list: &[Item],
        columns: &Columns,
        keys: &mut Vec<Expr>,
    ) -> Option<Vec<Vec<usize>>> {
        let mut bound = Vec::new();
        for set in sets {
            let mut places = Vec::new();
            for node in set {
                places.push(self.group_key(node, list, columns, keys)?);
            }
            bound.push(places);
        }
        Some(bound)
    }

    /// A key's place among the keys: an expression, an ordinal, or a name of the select list.
    fn group_key(
        &mut self,
        node: &Node,
        list: &[Item],
        columns: &Columns,
        keys: &mut Vec<Expr>,
    ) -> Option<usize> {
        let mut node = node;
        if let Some(n) = ordinal(node) {
            let item = usize::try_from(n - 1).ok().and_then(|i| list.get(i));
            let Some(item) = item else {
                let message = format!("there is no column {n} in the select list");
                return self.problem(node.span, message);
            };
            node = &item.node;
        } else if let NodeKind::Name(parts) = &node.kind
            && let [name] = parts.as_slice()
            && matches!(columns.resolve(parts), Ok(None))
        {
            let named = |item: &&Item| {
                item.names
                    .first()
                    .is_some_and(|n| super::scope::same(n, name))
            };
            if let Some(item) = list.iter().find(named) {
                node = &item.node;
            }
        }
        let context = Context::plain(columns);
        let expr = self.expression(node, &context, &mut Collected::default())?;
        if !groupable(&expr.data_type) {
            let message = format!("values of {} cannot be keys", expr.data_type);
            return self.problem(node.span, message);
        }
        let place = keys.iter().position(|key| *key == expr);
        Some(place.unwrap_or_else(|| {
            keys.push(expr);
            keys.len() - 1
        }))
    }

    /// GROUP BY ALL: every item of the list without an aggregate.
    pub(super) fn groups_of_all(
        &mut self,
        items: &[Item],
        columns: &Columns,
        select: &Select,
    ) -> Option<Groups> {
        let context = Context {
            aggregates: true,
            windows: Some(&select.windows),
            subqueries: true,
            ..Context::plain(columns)
        };
        let mut keys = Vec::new();
        for item in items {
            let mut collected = Collected::default();
            let expr = self.expression(&item.node, &context, &mut collected)?;
            let plain = collected.aggregates.is_empty() && collected.windows.is_empty();
            if plain && !keys.contains(&expr) {
                keys.push(expr);
            }
        }
        Some(Groups { keys, sets: None })
    }

    /// The aggregated rows, and the conditions on the outer query over them.
    pub(super) fn grouped(
        &mut self,
        relation: Relation,
        mut groups: Groups,
        aggregates: &[Aggregate],
        correlated: &[Expr],
        placed: &mut Placed<'_>,
        span: Span,
    ) -> Option<(Relation, Vec<Expr>)> {
        let shown = groups.keys.len();
        let mut conditions = Vec::new();
        for condition in correlated {
            let Some((outer, inner, null_safe)) = equality(condition) else {
                self.too_deep = true;
                return self.problem(
                    span,
                    "a subquery that aggregates may read columns of the outer query in equalities only",
                );
            };
            groups.keys.push(inner.clone());
            conditions.push((outer, groups.keys.len() - 1, inner.data_type, null_safe));
        }
        let mut inner = Vec::new();
        for aggregate in aggregates {
            match placed.aggregate(aggregate) {
                Ok(aggregate) => inner.push(aggregate),
                Err(message) => return self.problem(span, message),
            }
        }
        let (relation, offset) = match groups.sets.take() {
            None => (aggregated(relation, groups.keys.clone(), inner), 0),
            Some(sets) => {
                let sets = with_all(sets, shown, groups.keys.len());
                let grouping = (groups.keys.as_slice(), sets.as_slice(), shown);
                (expanded(relation, grouping, &inner), 2)
            }
        };
        let count = groups.keys.len();
        placed.aggregated = Some(Aggregated {
            keys: groups.keys,
            grouping_id: (offset > 0).then_some(count),
            first_aggregate: count + offset,
        });
        let over_keys = |(outer, index, data_type, null_safe): (Expr, usize, DataType, bool)| {
            let function = if null_safe { "<=>" } else { "=" };
            let column = Expr::column(index, data_type);
            Expr::call(function, vec![outer, column], DataType::Boolean)
        };
        let conditions = conditions.into_iter().map(over_keys).collect();
        Some((relation, conditions))
    }
}

/// Keys that conditions on the outer query need belong to every set.
fn with_all(sets: Vec<Vec<usize>>, shown: usize, all: usize) -> Vec<Vec<usize>> {
    let with = |set: Vec<usize>| set.into_iter().chain(shown..all).collect();
    sets.into_iter().map(with).collect()
}

fn aggregated(input: Relation, keys: Vec<Expr>, aggregates: Vec<Aggregate>) -> Relation {
    let key = |(i, e): (usize, &Expr)| Field::new(format!("key{i}"), e.data_type.clone());
    let mut fields: Vec<Field> = keys.iter().enumerate().map(key).collect();
    let value =
        |(i, a): (usize, &Aggregate)| Field::new(format!("aggregate{i}"), a.data_type.clone());
    fields.extend(aggregates.iter().enumerate().map(value));
    let input = Box::new(input);
    Relation::new(
        Schema::new(fields),
        Operator::Aggregate {
            input,
            keys,
            aggregates,
        },
    )
}

/// Grouping sets: each row once for each set, keys outside of it null, with the bits of those and the set's number.
fn expanded(
    input: Relation,
    (keys, sets, shown): (&[Expr], &[Vec<usize>], usize),
    aggregates: &[Aggregate],
) -> Relation {
    let width = input.width();
    let mut fields = input.schema.fields.clone();
    for (index, key) in keys.iter().enumerate() {
        fields.push(Field::new(format!("key{index}"), key.data_type.clone()));
    }
    fields.push(Field::new("grouping_id", DataType::Long));
    fields.push(Field::new("grouping_set", DataType::Long));
    let long = |value: usize| {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        Expr::literal(Literal::Integer(value), DataType::Long)
    };
    let mut projections = Vec::new();
    for (number, set) in sets.iter().enumerate() {
        let mut row: Vec<Expr> = (0..width).map(|i| input.column(i)).collect();
        let mut bits = 0_usize;
        for (index, key) in keys.iter().enumerate() {
            let held = set.contains(&index);
            row.push(match held {
                true => key.clone(),
                false => Expr::null(key.data_type.clone()),
            });
            if index < shown {
                bits = bits << 1 | usize::from(!held);
            }
        }
        row.push(long(bits));
        row.push(long(number));
        projections.push(row);
    }
    let input = Box::new(input);
    let expand = Operator::Expand { input, projections };
    let expand = Relation::new(Schema::new(fields), expand);
    let keys = (width..width + keys.len() + 2)
        .map(|i| expand.column(i))
        .collect();
    aggregated(expand, keys, aggregates.to_vec())
}

/// Where a block's rows are aggregated, what is known of the result.
#[derive(Clone, Debug)]
pub(super) struct Aggregated {
    pub(super) keys: Vec<Expr>,
    pub(super) grouping_id: Option<usize>,
    pub(super) first_aggregate: usize,
}

/// Where the things that expressions wait for stand, as far as they are computed.
pub(super) struct Placed<'c> {
    columns: &'c Columns,
    pub(super) aggregated: Option<Aggregated>,
    pub(super) subqueries: Vec<Option<Expr>>,
    pub(super) windows: Vec<Option<usize>>,
    /// Where the generator's columns begin.
    pub(super) generated: usize,
}

impl<'c> Placed<'c> {
    pub(super) fn new(columns: &'c Columns, collected: &Collected) -> Self {
        Self {
            columns,
            aggregated: None,
            subqueries: vec![None; collected.subqueries.len()],
            windows: vec![None; collected.windows.len()],
            generated: 0,
        }
    }

    /// The expression over the relation as it is now.
    pub(super) fn place(&self, expr: &Expr) -> Result<Expr, String> {
        let mut failure = None;
        let placed = rewrite(expr, &mut |part| match self.part(part) {
            Ok(found) => found,
            Err(message) => {
                failure.get_or_insert(message);
                None
            }
        });
        match failure {
            Some(message) => Err(message),
            None => Ok(placed),
        }
    }

    fn part(&self, part: &Expr) -> Result<Option<Expr>, String> {
        if let Some(aggregated) = &self.aggregated
            && part.as_literal().is_none()
            && let Some(index) = aggregated.keys.iter().position(|key| key == part)
        {
            return Ok(Some(Expr::column(index, part.data_type.clone())));
        }
        let ExprKind::Column(number) = part.kind else {
            return Ok(None);
        };
        let column = |index: usize| Some(Expr::column(index, part.data_type.clone()));
        let (kind, index) = kind_of(number);
        Ok(match (kind, &self.aggregated) {
            (Kind::Input, None) => column(index),
            (Kind::Input, Some(_)) => return Err(self.not_grouped(part)),
            (Kind::Aggregate, Some(aggregated)) => column(aggregated.first_aggregate + index),
            (Kind::GroupingId, Some(aggregated)) => aggregated.grouping_id.and_then(column),
            (Kind::Window, _) => self.windows[index].and_then(column),
            (Kind::Subquery, _) => self.subqueries[index].clone(),
            (Kind::Generated, _) => column(self.generated + index),
            // It stays until the whole relation is given a domain.
            (Kind::Outer, _) => None,
            _ => return Err("this expression has no meaning here".into()),
        })
    }

    fn not_grouped(&self, part: &Expr) -> String {
        let found = self.columns.0.iter().find(|c| c.expr == *part);
        let name = found.map_or("a column", |c| c.name.as_str());
        format!(
            "{name} is neither in GROUP BY nor in an aggregate: group by it, or take first({name})"
        )
    }

    /// An aggregate's expressions over the relation as it is now.
    pub(super) fn aggregate(&self, aggregate: &Aggregate) -> Result<Aggregate, String> {
        let mut failure = None;
        let placed = aggregate_with(aggregate, &mut |e| noted(self.place(e), e, &mut failure));
        failure.map_or(Ok(placed), Err)
    }

    /// A window function's expressions over the relation as it is now.
    pub(super) fn window_call(&self, call: &WindowCall) -> Result<WindowCall, String> {
        let mut failure = None;
        let placed = call_with(call, &mut |e| noted(self.place(e), e, &mut failure));
        failure.map_or(Ok(placed), Err)
    }
}

fn noted(placed: Result<Expr, String>, expr: &Expr, failure: &mut Option<String>) -> Expr {
    placed.unwrap_or_else(|message| {
        failure.get_or_insert(message);
        expr.clone()
    })
}

/// The aggregate with each of its expressions replaced.
pub(super) fn aggregate_with(
    aggregate: &Aggregate,
    replace: &mut dyn FnMut(&Expr) -> Expr,
) -> Aggregate {
    Aggregate {
        arguments: aggregate.arguments.iter().map(&mut *replace).collect(),
        filter: aggregate.filter.as_ref().map(&mut *replace),
        ..aggregate.clone()
    }
}

/// The window function with each of its expressions replaced.
pub(super) fn call_with(call: &WindowCall, replace: &mut dyn FnMut(&Expr) -> Expr) -> WindowCall {
    let function = match &call.function {
        WindowFunction::Shift {
            input,
            rows,
            default,
            ignore_nulls,
        } => WindowFunction::Shift {
            input: replace(input),
            rows: *rows,
            default: replace(default),
            ignore_nulls: *ignore_nulls,
        },
        WindowFunction::NthValue {
            input,
            n,
            ignore_nulls,
        } => WindowFunction::NthValue {
            input: replace(input),
            n: *n,
            ignore_nulls: *ignore_nulls,
        },
        WindowFunction::Aggregate(aggregate) => {
            WindowFunction::Aggregate(aggregate_with(aggregate, replace))
        }
        other => other.clone(),
    };
    let mut bound = |bound: &RangeBound| match bound {
        RangeBound::Value(expr) => RangeBound::Value(replace(expr)),
        other => other.clone(),
    };
    let frame = match &call.frame {
        Frame::Range { start, end } => Frame::Range {
            start: bound(start),
            end: bound(end),
        },
        rows @ Frame::Rows { .. } => rows.clone(),
    };
    WindowCall {
        function,
        frame,
        data_type: call.data_type.clone(),
    }
}

/// The value of an aggregate of no rows.
pub(super) fn of_no_rows(aggregate: &Aggregate) -> Expr {
    let data_type = aggregate.data_type.clone();
    match &aggregate.function {
        AggregateFunction::Count | AggregateFunction::ApproximateCountDistinct { .. } => {
            Expr::literal(Literal::Integer(0), data_type)
        }
        AggregateFunction::Pair(super::tree::PairStatistic::RegressionCount) => {
            Expr::literal(Literal::Integer(0), data_type)
        }
        AggregateFunction::CollectList | AggregateFunction::CollectSet => {
            Expr::call("array", Vec::new(), data_type)
        }
        _ => Expr::null(data_type),
    }
}

/// The bare names inside the aggregates of an expression.
pub(super) fn names_in_aggregates(node: &Node) -> Vec<String> {
    let mut names = Vec::new();
    collect(node, false, &mut names);
    names
}

fn collect(node: &Node, inside: bool, names: &mut Vec<String>) {
    let inside = inside
        || match &node.kind {
            NodeKind::Call { name, .. } => super::aggregate::is_aggregate(name),
            NodeKind::Clause(clause) => matches!(**clause, Clause::Call(_)),
            _ => false,
        };
    if let NodeKind::Name(parts) = &node.kind
        && inside
    {
        names.push(parts[0].clone());
    }
    node.kind.each_child(|child| collect(child, inside, names));
}
