//! Subqueries of expressions, turned into joins.
//!
//! `EXISTS` and `IN` that stand alone in a condition are semi joins; everywhere else a subquery becomes columns of a
//! left join, from which its value is computed: so NOT IN has its three truth values. Conditions on columns of the outer
//! query become those of the join, where a subquery aggregates its keys; where that will not do, the subquery is
//! [made to stand alone](super::decorrelate) first.

use std::collections::BTreeSet;

use super::ast::Query;
use super::bind::{Answer, Around, Binder, Reach};
use super::decorrelate::{Domain, outer_columns};
use super::scope::{Columns, Kind, kind_of, pending, reads};
use super::set::distinct;
use super::tree::{Aggregate, AggregateFunction, Join, JoinKey, JoinKind, Operator, Relation};
use crate::expr::coerce::{comparison_type, is_orderable, tightest, wider};
use crate::expr::problem::Span;
use crate::expr::rewrite::{moved, rewrite};
use crate::expr::{Expr, ExprKind, Literal};
use crate::schema::{DataType, Field, Schema};

/// What is asked of a subquery.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Usage {
    Scalar,
    Exists,
    /// Whether these values are among its rows; as a value false where it is not known.
    In(Vec<Expr>),
    /// Whether they are not; false where it is not known.
    NotIn(Vec<Expr>),
}

/// A subquery that waits for its place.
#[derive(Clone, Debug)]
pub(crate) struct PendingSubquery {
    pub(crate) usage: Usage,
    pub(crate) answer: Answer,
    pub(crate) data_type: DataType,
    pub(crate) span: Span,
    /// The answer's relation itself reads columns of the outer query.
    deep: bool,
}

/// Gives what an expression of the outer query is over the relation that a subquery is joined to.
pub(crate) type Placing<'p> = dyn Fn(&Expr) -> Result<Expr, String> + 'p;

/// Two sides of an equality: outer, inner.
type Equality = (Expr, Expr, bool);

impl PendingSubquery {
    /// The columns of the outer query that it reads.
    pub(super) fn reads(&self) -> BTreeSet<usize> {
        let mut found: BTreeSet<usize> = match &self.usage {
            Usage::In(needles) | Usage::NotIn(needles) => {
                needles.iter().flat_map(Expr::columns).collect()
            }
            Usage::Scalar | Usage::Exists => BTreeSet::new(),
        };
        for predicate in &self.answer.correlated {
            let columns = predicate.columns().into_iter().map(kind_of);
            let outer = columns.filter(|(kind, _)| *kind == Kind::Outer);
            found.extend(outer.map(|(_, index)| index));
        }
        found.extend(outer_columns(&self.answer.relation).into_keys());
        found
    }
}

impl Binder<'_> {
    pub(crate) fn pending_subquery(
        &mut self,
        usage: Usage,
        query: &Query,
        columns: &Columns,
        span: Span,
    ) -> Option<PendingSubquery> {
        let mut query = query.clone();
        if usage == Usage::Exists {
            // Only whether there are rows counts.
            query.order.clear();
            query.limit = query
                .limit
                .filter(|limit| super::bind::ordinal(limit) == Some(0));
        }
        let (mut answer, deep) = self.correlated(&query, columns, &usage, span)?;
        if deep && usage == Usage::Scalar && !is_one_row(&answer.relation) {
            return self.problem(span, MUST_AGGREGATE);
        }
        let fields = answer.schema().fields;
        let (usage, data_type) = match usage {
            Usage::Scalar => match fields.as_slice() {
                [field] => (Usage::Scalar, field.data_type.clone()),
                many => {
                    let message = format!("a scalar subquery gives one column, not {}", many.len());
                    return self.problem(span, message);
                }
            },
            Usage::Exists => (Usage::Exists, DataType::Boolean),
            Usage::In(needles) => {
                let needles = self.met(needles, &mut answer, span)?;
                (Usage::In(needles), DataType::Boolean)
            }
            Usage::NotIn(needles) => {
                let needles = self.met(needles, &mut answer, span)?;
                (Usage::NotIn(needles), DataType::Boolean)
            }
        };
        Some(PendingSubquery {
            usage,
            answer,
            data_type,
            span,
            deep,
        })
    }

    /// Binds a query that may read columns of the one around: in its own WHERE if that will do (conditions there become
    /// those of a join), else in all conditions. Says which it was.
    fn correlated(
        &mut self,
        query: &Query,
        columns: &Columns,
        usage: &Usage,
        span: Span,
    ) -> Option<(Answer, bool)> {
        let known = self.problems.len();
        let around = |reach| Around {
            columns: columns.clone(),
            reach,
        };
        let place = (span.start, span.end);
        let outside = self.around.take();
        let mut answer = None;
        let mut deep = self.deep.contains(&place);
        if !deep {
            let before = std::mem::take(&mut self.too_deep);
            self.around = Some(around(Reach::Block));
            answer = self.query(query, Some(columns));
            let too_deep = std::mem::replace(&mut self.too_deep, before);
            deep = match &answer {
                None => too_deep,
                // A value where there are no rows must be known, or a row be there for every row around.
                Some(answer) => {
                    *usage == Usage::Scalar
                        && !answer.correlated.is_empty()
                        && answer.empty.is_none()
                }
            };
        }
        if deep {
            self.deep.insert(place);
            self.problems.truncate(known);
            self.around = Some(around(Reach::Conditions));
            answer = self.query(query, None);
        }
        self.around = outside;
        answer.map(|answer| (answer, deep))
    }

    /// The subquery with its relation standing alone, joined to the rows around by equalities.
    fn alone(
        &mut self,
        left: &Relation,
        mut pending: PendingSubquery,
        place: &Placing<'_>,
    ) -> Option<PendingSubquery> {
        if !pending.deep {
            return Some(pending);
        }
        let span = pending.span;
        let relation = pending.answer.relation;
        let outer = outer_columns(&relation);
        let mut values = Vec::new();
        for (index, data_type) in &outer {
            let column = Expr::column(*index, data_type.clone());
            match place(&column) {
                Ok(value) => values.push(value),
                Err(message) => return self.problem(span, message),
            }
        }
        let domain = Domain::new(left.clone(), &outer, values);
        let (width, own) = (domain.width(), relation.width());
        let whole = match domain.of(&relation) {
            Ok(whole) => whole,
            Err(what) => return self.problem(span, refused(what)),
        };
        let places: Vec<usize> = (width..width + own).chain(0..width).collect();
        pending.answer = Answer {
            relation: columns_at(whole, &places),
            correlated: domain.pairs(own).map(same_as_outer).collect(),
            ..pending.answer
        };
        Some(pending)
    }

    /// The needles and the subquery's columns, brought to common types.
    fn met(&mut self, needles: Vec<Expr>, answer: &mut Answer, span: Span) -> Option<Vec<Expr>> {
        if needles.len() != answer.visible {
            let message = format!(
                "IN compares {} values with {} columns",
                needles.len(),
                answer.visible
            );
            return self.problem(span, message);
        }
        let mut types: Vec<DataType> = Vec::new();
        for (needle, field) in needles.iter().zip(&answer.relation.schema.fields) {
            let (a, b) = (&needle.data_type, &field.data_type);
            let common = comparison_type(a, b)
                .or_else(|| tightest(a, b))
                .or_else(|| wider(a, b));
            match common.filter(is_orderable) {
                Some(common) => types.push(common),
                None => return self.problem(span, format!("IN cannot compare {a} with {b}")),
            }
        }
        let needles = needles.into_iter().zip(&types).map(|(n, t)| n.cast(t));
        let needles = needles.collect();
        let hidden = answer.relation.schema.fields[answer.visible..].iter();
        types.extend(hidden.map(|field| field.data_type.clone()));
        answer.relation = super::set::cast_columns(answer.relation.clone(), &types);
        Some(needles)
    }

    /// Keeps the rows for which a subquery that stands alone in a condition holds.
    pub(crate) fn keep(
        &mut self,
        left: Relation,
        pending: &PendingSubquery,
        negated: bool,
        place: &Placing<'_>,
    ) -> Option<Relation> {
        let kind = match (&pending.usage, negated) {
            (Usage::NotIn(_), _) | (_, true) => JoinKind::Anti,
            _ => JoinKind::Semi,
        };
        let pending = &self.alone(&left, pending.clone(), place)?;
        let right = &pending.answer.relation;
        let mut keys = Vec::new();
        let mut conditions = Vec::new();
        for predicate in &pending.answer.correlated {
            match equality(predicate) {
                Some((outer, inner, null_safe)) => keys.push(JoinKey {
                    left: self.placed(&outer, place, pending.span)?,
                    right: inner,
                    null_safe,
                }),
                None => {
                    let width = left.width();
                    let shifted = shift_inner(predicate, width);
                    conditions.push(self.placed_outer(&shifted, place, pending.span)?);
                }
            }
        }
        if let Usage::In(needles) = &pending.usage {
            for (index, needle) in needles.iter().enumerate() {
                keys.push(JoinKey {
                    left: self.placed(needle, place, pending.span)?,
                    right: right.column(index),
                    null_safe: false,
                });
            }
        }
        if let Usage::NotIn(needles) = &pending.usage {
            // A row stands against it also where it is not known to differ.
            for (index, needle) in needles.iter().enumerate() {
                let needle = self.placed(needle, place, pending.span)?;
                let value = shift_inner(&right.column(index), left.width());
                let same = Expr::call("=", vec![needle, value], DataType::Boolean);
                let unknown = vec![same, truth(true)];
                conditions.push(Expr::call("coalesce", unknown, DataType::Boolean));
            }
        }
        let schema = left.schema.clone();
        let join = Join {
            left,
            right: right.clone(),
            kind,
            keys,
            conditions,
        };
        Some(Relation::new(schema, Operator::Join(Box::new(join))))
    }

    /// Joins what a subquery's value is computed from; answers the relation and the value.
    pub(crate) fn attach(
        &mut self,
        left: Relation,
        pending: &PendingSubquery,
        place: &Placing<'_>,
    ) -> Option<(Relation, Expr)> {
        let mut pending = pending.clone();
        let correlated = &pending.answer.correlated;
        if !correlated
            .iter()
            .all(|predicate| equality(predicate).is_some())
        {
            if pending.usage == Usage::Scalar {
                return self.problem(pending.span, MUST_AGGREGATE);
            }
            // There is no key to join a value by: the conditions go into the relation.
            let conditions = std::mem::take(&mut pending.answer.correlated);
            pending.answer.relation = super::select::filter(pending.answer.relation, conditions);
            pending.deep = true;
        }
        let pending = &self.alone(&left, pending, place)?;
        let mut keys = Vec::new();
        for (outer, inner, null_safe) in pending.answer.correlated.iter().filter_map(equality) {
            let outer = self.placed(&outer, place, pending.span)?;
            keys.push((outer, inner, null_safe));
        }
        match &pending.usage {
            Usage::Scalar => self.attach_scalar(left, pending, keys),
            Usage::Exists => Some(attach_exists(left, &pending.answer.relation, &keys)),
            Usage::In(needles) | Usage::NotIn(needles) => {
                let mut placed = Vec::new();
                for needle in needles {
                    placed.push(self.placed(needle, place, pending.span)?);
                }
                let [needle] = placed.as_slice() else {
                    return self.attach_in_several(left, pending, keys, placed);
                };
                let (joined, found) = attach_in(left, &pending.answer.relation, &keys, needle);
                Some((joined, known(found, &pending.usage)))
            }
        }
    }

    /// `(a, b) IN (…)` as a value, false where it is not known.
    fn attach_in_several(
        &mut self,
        left: Relation,
        pending: &PendingSubquery,
        mut keys: Vec<Equality>,
        needles: Vec<Expr>,
    ) -> Option<(Relation, Expr)> {
        if matches!(pending.usage, Usage::NotIn(_)) {
            return self.problem(
                pending.span,
                "NOT IN with several columns may only stand alone in WHERE",
            );
        }
        let right = &pending.answer.relation;
        let needles = needles.into_iter().enumerate();
        keys.extend(needles.map(|(index, needle)| (needle, right.column(index), false)));
        Some(attach_exists(left, right, &keys))
    }

    fn placed(&mut self, expr: &Expr, place: &Placing<'_>, span: Span) -> Option<Expr> {
        let outer = rewrite(expr, &mut |part| match part.kind {
            ExprKind::Column(number) if kind_of(number).0 == Kind::Outer => {
                Some(Expr::column(kind_of(number).1, part.data_type.clone()))
            }
            _ => None,
        });
        match place(&outer) {
            Ok(expr) => Some(expr),
            Err(message) => self.problem(span, message),
        }
    }

    /// Only the outer columns placed; the others stay.
    fn placed_outer(&mut self, expr: &Expr, place: &Placing<'_>, span: Span) -> Option<Expr> {
        let mut failure = None;
        let placed = rewrite(expr, &mut |part| match part.kind {
            ExprKind::Column(number) if kind_of(number).0 == Kind::Outer => {
                let column = Expr::column(kind_of(number).1, part.data_type.clone());
                match place(&column) {
                    Ok(expr) => Some(expr),
                    Err(message) => {
                        failure = Some(message);
                        None
                    }
                }
            }
            _ => None,
        });
        match failure {
            Some(message) => self.problem(span, message),
            None => Some(placed),
        }
    }

    fn attach_scalar(
        &mut self,
        left: Relation,
        pending: &PendingSubquery,
        keys: Vec<Equality>,
    ) -> Option<(Relation, Expr)> {
        let right = pending.answer.relation.clone();
        let width = left.width();
        if keys.is_empty() {
            let schema = right.schema.clone();
            let single = Relation::new(schema, Operator::Single(Box::new(right)));
            let joined = join(left, single, JoinKind::Inner, Vec::new());
            let value = joined.column(width);
            return Some((joined, value));
        }
        if pending.deep {
            let joined = join(left, right, JoinKind::Left, keys);
            let value = joined.column(width);
            return Some((joined, value));
        }
        let Some(empty) = &pending.answer.empty else {
            return self.problem(pending.span, MUST_AGGREGATE);
        };
        let marker = right.width();
        let joined = join(left, marked(right), JoinKind::Left, keys);
        let value = joined.column(width);
        let found = Expr::call(
            "isnotnull",
            vec![joined.column(width + marker)],
            DataType::Boolean,
        );
        let kind = ExprKind::Case {
            branches: vec![(found, value.clone())],
            otherwise: Some(Box::new(empty[0].clone())),
        };
        Some((joined, Expr::new(value.data_type, kind)))
    }
}

const MUST_AGGREGATE: &str =
    "a scalar subquery that reads columns of the outer query must aggregate without GROUP BY";

/// What to say of what cannot be done for each row of another relation.
pub(super) fn refused(what: &str) -> String {
    format!("{what} cannot read columns of the outer query, or stand above what does")
}

/// Whether a column of the outer query has the value of one of the subquery's.
fn same_as_outer((beside, own): (usize, Expr)) -> Expr {
    let beside = pending(Kind::Outer, beside, own.data_type.clone());
    Expr::call("<=>", vec![beside, own], DataType::Boolean)
}

/// Whether there is one row at most for each row of the outer query.
fn is_one_row(relation: &Relation) -> bool {
    match &relation.operator {
        Operator::Project { input, .. }
        | Operator::Filter { input, .. }
        | Operator::Sort { input, .. } => is_one_row(input),
        Operator::Aggregate { input, keys, .. } => keys.iter().all(|key| is_fixed(input, key)),
        _ => false,
    }
}

/// Whether the expression has one value for each row of the outer query.
fn is_fixed(relation: &Relation, key: &Expr) -> bool {
    let Operator::Filter { input, conditions } = &relation.operator else {
        return false;
    };
    let equal = |condition: &Expr| equality(condition).is_some_and(|(_, inner, _)| inner == *key);
    conditions.iter().any(equal) || is_fixed(input, key)
}

pub(super) fn join(
    left: Relation,
    right: Relation,
    kind: JoinKind,
    keys: Vec<Equality>,
) -> Relation {
    let fields = [left.schema.fields.clone(), right.schema.fields.clone()].concat();
    let key = |(left, right, null_safe)| JoinKey {
        left,
        right,
        null_safe,
    };
    let join = Join {
        left,
        right,
        kind,
        keys: keys.into_iter().map(key).collect(),
        conditions: Vec::new(),
    };
    Relation::new(Schema::new(fields), Operator::Join(Box::new(join)))
}

/// The relation with a column more that is always true, which tells a match from nulls.
pub(super) fn marked(input: Relation) -> Relation {
    let mut expressions: Vec<Expr> = (0..input.width()).map(|i| input.column(i)).collect();
    let mut fields = input.schema.fields.clone();
    expressions.push(truth(true));
    fields.push(Field::new("found", DataType::Boolean));
    let input = Box::new(input);
    Relation::new(
        Schema::new(fields),
        Operator::Project { input, expressions },
    )
}

/// The columns at these places.
pub(super) fn columns_at(input: Relation, places: &[usize]) -> Relation {
    let expressions = places.iter().map(|i| input.column(*i)).collect();
    let fields = places.iter().map(|i| input.schema.fields[*i].clone());
    let schema = Schema::new(fields.collect());
    let input = Box::new(input);
    Relation::new(schema, Operator::Project { input, expressions })
}

fn truth(value: bool) -> Expr {
    Expr::literal(Literal::Boolean(value), DataType::Boolean)
}

/// The relation of these expressions.
pub(super) fn projected(input: Relation, expressions: Vec<Expr>) -> Relation {
    let field = |(i, e): (usize, &Expr)| Field::new(format!("key{i}"), e.data_type.clone());
    let fields = expressions.iter().enumerate().map(field).collect();
    let input = Box::new(input);
    Relation::new(
        Schema::new(fields),
        Operator::Project { input, expressions },
    )
}

fn attach_exists(left: Relation, right: &Relation, keys: &[Equality]) -> (Relation, Expr) {
    let width = left.width();
    let inner: Vec<Expr> = keys.iter().map(|(_, inner, _)| inner.clone()).collect();
    let count = inner.len();
    let mut right = projected(right.clone(), inner);
    if keys.is_empty() {
        // One row at most.
        let schema = right.schema.clone();
        let input = Box::new(right);
        let operator = Operator::Limit {
            input,
            offset: 0,
            limit: Some(1),
        };
        right = Relation::new(schema, operator);
        let marked = marked(right);
        let single = Relation::new(marked.schema.clone(), Operator::Single(Box::new(marked)));
        let joined = join(left, single, JoinKind::Inner, Vec::new());
        let found = present(joined.column(width));
        return (joined, found);
    }
    let found = marked(distinct(right));
    let joined = join(left, found, JoinKind::Left, renumbered(keys));
    let value = present(joined.column(width + count));
    (joined, value)
}

/// What is not known counts as false, whether it was asked for IN or for NOT IN, as the reference's joins have it.
fn known(found: Expr, usage: &Usage) -> Expr {
    let negated = matches!(usage, Usage::NotIn(_));
    let found = Expr::call("coalesce", vec![found, truth(negated)], DataType::Boolean);
    match negated {
        true => Expr::call("not", vec![found], DataType::Boolean),
        false => found,
    }
}

pub(super) fn present(column: Expr) -> Expr {
    Expr::call("isnotnull", vec![column], DataType::Boolean)
}

/// The keys with their inner sides as the first columns.
fn renumbered(keys: &[Equality]) -> Vec<Equality> {
    let keys = keys.iter().enumerate();
    keys.map(|(i, (outer, inner, null_safe))| {
        let column = Expr::column(i, inner.data_type.clone());
        (outer.clone(), column, *null_safe)
    })
    .collect()
}

/// `needle IN (…)` as a value: false if there are no rows, true if one is equal, null if a null is in the way.
fn attach_in(
    left: Relation,
    right: &Relation,
    keys: &[Equality],
    needle: &Expr,
) -> (Relation, Expr) {
    let width = left.width();
    let mut inner: Vec<Expr> = keys.iter().map(|(_, inner, _)| inner.clone()).collect();
    let count = inner.len();
    inner.push(right.column(0));
    let rows = projected(right.clone(), inner);
    let counts = row_counts(rows.clone(), count);
    let joined = match count {
        0 => join(left, counts, JoinKind::Inner, Vec::new()),
        _ => join(left, counts, JoinKind::Left, renumbered(keys)),
    };
    let (all, filled) = (width + count, width + count + 1);
    let mut all_keys = renumbered(keys);
    let value = Expr::column(count, needle.data_type.clone());
    all_keys.push((needle.clone(), value, false));
    let found = width + count + 2 + count + 1;
    let joined = join(joined, marked(distinct(rows)), JoinKind::Left, all_keys);
    let zero = Expr::literal(Literal::Integer(0), DataType::Long);
    let compare = |function, a: Expr, b: Expr| Expr::call(function, vec![a, b], DataType::Boolean);
    let total = Expr::call(
        "coalesce",
        vec![joined.column(all), zero.clone()],
        DataType::Long,
    );
    let none = compare("=", total, zero);
    let is_null = |e: Expr| Expr::call("isnull", vec![e], DataType::Boolean);
    let nulls = compare("<", joined.column(filled), joined.column(all));
    let null = || Expr::null(DataType::Boolean);
    let kind = ExprKind::Case {
        branches: vec![
            (none, truth(false)),
            (is_null(needle.clone()), null()),
            (present(joined.column(found)), truth(true)),
            (nulls, null()),
        ],
        otherwise: Some(Box::new(truth(false))),
    };
    (joined, Expr::new(DataType::Boolean, kind))
}

/// For each list of keys, the rows and those in which the value after the keys is not null.
fn row_counts(rows: Relation, keys: usize) -> Relation {
    let count = |arguments| Aggregate {
        function: AggregateFunction::Count,
        arguments,
        distinct: false,
        filter: None,
        data_type: DataType::Long,
    };
    let aggregates = vec![count(Vec::new()), count(vec![rows.column(keys)])];
    let mut fields: Vec<Field> = rows.schema.fields[..keys].to_vec();
    fields.push(Field::new("all", DataType::Long));
    fields.push(Field::new("filled", DataType::Long));
    let keys = (0..keys).map(|i| rows.column(i)).collect();
    let input = Box::new(rows);
    Relation::new(
        Schema::new(fields),
        Operator::Aggregate {
            input,
            keys,
            aggregates,
        },
    )
}

/// Outer and inner side of an equality of which each side reads one of them only.
pub(crate) fn equality(predicate: &Expr) -> Option<Equality> {
    let ExprKind::Call {
        function,
        arguments,
    } = &predicate.kind
    else {
        return None;
    };
    let null_safe = match *function {
        "=" => false,
        "<=>" => true,
        _ => return None,
    };
    let [a, b] = arguments.as_slice() else {
        return None;
    };
    let only_outer = |e: &Expr| reads(e, Kind::Outer) && !reads(e, Kind::Input);
    let only_inner = |e: &Expr| reads(e, Kind::Input) && !reads(e, Kind::Outer);
    match () {
        () if only_outer(a) && only_inner(b) => Some((a.clone(), b.clone(), null_safe)),
        () if only_inner(a) && only_outer(b) => Some((b.clone(), a.clone(), null_safe)),
        () => None,
    }
}

/// The inner columns moved behind the outer ones.
fn shift_inner(expr: &Expr, width: usize) -> Expr {
    moved(expr, &|number| match kind_of(number).0 {
        Kind::Input => number + width,
        _ => number,
    })
}
