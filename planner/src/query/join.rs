//! Joins, typed: their conditions and keys, USING and NATURAL, lateral relations, subqueries in ON.

use super::ast::{Condition, From, Join, JoinWord};
use super::bind::{Around, Binder, Reach};
use super::decorrelate::{Domain, outer_columns};
use super::from::{Bound, conjuncts};
use super::prepare::{Collected, Context};
use super::scope::{Columns, Kind, ScopeColumn, kind_of, reads, same};
use super::subquery::{PendingSubquery, columns_at, refused};
use super::tree::{Join as JoinTree, JoinKey, JoinKind, Operator, Relation};
use crate::expr::problem::Span;
use crate::expr::rewrite::{moved, rewrite};
use crate::expr::{Expr, ExprKind};
use crate::schema::{DataType, Schema};

impl Binder<'_> {
    pub(super) fn join(&mut self, join: &Join) -> Option<Bound> {
        let left = self.from(&join.left);
        if let From::Lateral(right) = &join.right {
            return self.lateral(join, left?, right);
        }
        let right = self.from(&join.right);
        let ((left, left_columns), (right, right_columns)) = (left?, right?);
        let right_columns = right_columns.shifted(left.width());
        let names = match &join.condition {
            Condition::Using(names) => names.clone(),
            Condition::Natural => common_names(&left_columns, &right_columns),
            Condition::None | Condition::On(_) => Vec::new(),
        };
        let kind = kind(join.kind);
        if !names.is_empty() {
            let (conditions, columns) =
                self.using(&names, join.kind, left_columns, right_columns, join.span)?;
            return Some((joined(left, right, kind, conditions), columns));
        }
        let all = Columns([left_columns.0.clone(), right_columns.0].concat());
        let mut collected = Collected::default();
        let conditions = self.on(&join.condition, &all, &mut collected)?;
        let relation = match collected.subqueries.is_empty() {
            true => joined(left, right, kind, conditions),
            false => self.joined_on_subqueries(
                (left, right, kind),
                conditions,
                &collected.subqueries,
                join.span,
            )?,
        };
        let columns = match kind {
            JoinKind::Semi | JoinKind::Anti => left_columns,
            _ => all,
        };
        Some((relation, columns))
    }

    /// The conditions of ON; none without it.
    fn on(
        &mut self,
        condition: &Condition,
        columns: &Columns,
        collected: &mut Collected,
    ) -> Option<Vec<Expr>> {
        let Condition::On(node) = condition else {
            return Some(Vec::new());
        };
        let context = Context {
            subqueries: true,
            ..Context::plain(columns)
        };
        self.condition(node, &context, collected).map(conjuncts)
    }

    /// Rows with those of a relation that reads columns of theirs.
    fn lateral(&mut self, join: &Join, (left, left_columns): Bound, right: &From) -> Option<Bound> {
        let kind = kind(join.kind);
        if !matches!(kind, JoinKind::Inner | JoinKind::Left)
            || matches!(join.condition, Condition::Using(_) | Condition::Natural)
        {
            let message = "LATERAL goes with inner, cross and left joins, and with ON";
            return self.problem(join.span, message);
        }
        let around = Around {
            columns: left_columns.clone(),
            reach: Reach::Everywhere,
        };
        let outside = self.around.replace(around);
        let bound = self.from(right);
        self.around = outside;
        let (relation, columns) = bound?;
        let kind = match join.condition {
            // As in the reference: without ON a row for which a generator alone makes none is left out.
            Condition::None if only_generates(&relation) => JoinKind::Inner,
            _ => kind,
        };
        let outer = outer_columns(&relation);
        let values = outer.iter().map(|(i, t)| Expr::column(*i, t.clone()));
        let domain = Domain::new(left.clone(), &outer, values.collect());
        let relation = match domain.of(&relation) {
            Ok(relation) => relation,
            Err(what) => return self.problem(join.span, refused(what)),
        };
        let relation = self.counted(relation, join.span)?;
        let columns = columns.shifted(left.width() + domain.width());
        let all = Columns([left_columns.0, columns.0].concat());
        let mut collected = Collected::default();
        let mut conditions = self.on(&join.condition, &all, &mut collected)?;
        if !collected.subqueries.is_empty() {
            let message = "a subquery has no meaning in ON of a lateral relation";
            return self.problem(join.span, message);
        }
        conditions.extend(domain.pairs(left.width()).map(|(beside, own)| {
            let beside = left.column(beside);
            Expr::call("<=>", vec![beside, own], DataType::Boolean)
        }));
        Some((joined(left, relation, kind, conditions), all))
    }

    /// A join whose condition holds subqueries: of an inner join they are a filter's, else values of a side's rows.
    fn joined_on_subqueries(
        &mut self,
        (left, right, kind): (Relation, Relation, JoinKind),
        conditions: Vec<Expr>,
        subqueries: &[PendingSubquery],
        span: Span,
    ) -> Option<Relation> {
        if kind == JoinKind::Inner {
            let waits = |e: &Expr| reads(e, Kind::Subquery);
            let (waiting, plain) = conditions.into_iter().partition(waits);
            let relation = joined(left, right, kind, plain);
            return self.with_subqueries(relation, waiting, subqueries);
        }
        let (split, whole) = (left.width(), left.width() + right.width());
        let (mut left, mut right) = (left, right);
        let mut values = Vec::new();
        for subquery in subqueries {
            let read = subquery.reads();
            let on_right = read.iter().any(|column| *column >= split);
            if on_right && read.iter().any(|column| *column < split) {
                let message = "a subquery in ON of an outer join may read columns of one side";
                return self.problem(span, message);
            }
            let place = |expr: &Expr| {
                Ok(match on_right {
                    true => moved(expr, &|column| column - split),
                    false => expr.clone(),
                })
            };
            let side = if on_right { &mut right } else { &mut left };
            let (attached, value) = self.attach(side.clone(), subquery, &place)?;
            *side = attached;
            values.push((on_right, value));
        }
        let width = left.width();
        let behind = |column: usize| column + width;
        let conditions = conditions.iter().map(|condition| {
            rewrite(condition, &mut |part| match part.kind {
                ExprKind::Column(number) => match kind_of(number) {
                    (Kind::Subquery, index) => Some(match &values[index] {
                        (true, value) => moved(value, &behind),
                        (false, value) => value.clone(),
                    }),
                    (Kind::Input, column) if column >= split => {
                        Some(Expr::column(behind(column - split), part.data_type.clone()))
                    }
                    _ => None,
                },
                _ => None,
            })
        });
        let conditions = conditions.collect();
        let places: Vec<usize> = match kind {
            JoinKind::Semi | JoinKind::Anti => (0..split).collect(),
            _ => (0..split).chain(width..width + whole - split).collect(),
        };
        Some(columns_at(joined(left, right, kind, conditions), &places))
    }

    /// The equalities of USING, and its columns: the named ones first, once.
    fn using(
        &mut self,
        names: &[String],
        kind: JoinWord,
        left: Columns,
        right: Columns,
        span: Span,
    ) -> Option<(Vec<Expr>, Columns)> {
        let mut pairs = Vec::new();
        let mut first = Vec::new();
        let (mut left, mut right) = (left, right);
        for name in names {
            let single = std::slice::from_ref(name);
            let mut sides = Vec::new();
            for (side, which) in [(&left, "left"), (&right, "right")] {
                match side.resolve(single) {
                    Ok(Some((expr, _))) => sides.push(expr),
                    Ok(None) => {
                        return self
                            .problem(span, format!("the {which} side has no column {name}"));
                    }
                    Err(message) => return self.problem(span, message),
                }
            }
            let (l, r) = (sides.remove(0), sides.remove(0));
            let equal = self.call_of("=", vec![l.clone(), r.clone()], span)?;
            pairs.push(equal);
            let shown = match kind {
                JoinWord::Right => r,
                JoinWord::Full => self.call_of("coalesce", vec![l, r], span)?,
                _ => l,
            };
            first.push(ScopeColumn {
                qualifier: Vec::new(),
                name: name.clone(),
                expr: shown,
                hidden: false,
            });
            for column in left.0.iter_mut().chain(&mut right.0) {
                column.hidden |= same(&column.name, name);
            }
        }
        let mut columns = first;
        columns.extend(left.0);
        if !matches!(kind, JoinWord::Semi | JoinWord::Anti) {
            columns.extend(right.0);
        }
        Some((pairs, Columns(columns)))
    }
}

/// Whether the relation is what one generator makes of no table, its columns renamed or computed on, nothing else.
fn only_generates(relation: &Relation) -> bool {
    match &relation.operator {
        Operator::Project { input, .. } => only_generates(input),
        Operator::Generate { input, .. } => is_no_table(input),
        _ => false,
    }
}

/// Whether the relation is the one row that stands where there is no FROM.
fn is_no_table(relation: &Relation) -> bool {
    match &relation.operator {
        Operator::Project { input, .. } => is_no_table(input),
        Operator::Values(rows) => matches!(rows.as_slice(), [row] if row.is_empty()),
        _ => false,
    }
}

fn kind(word: JoinWord) -> JoinKind {
    match word {
        JoinWord::Inner | JoinWord::Cross => JoinKind::Inner,
        JoinWord::Left => JoinKind::Left,
        JoinWord::Right => JoinKind::Right,
        JoinWord::Full => JoinKind::Full,
        JoinWord::Semi => JoinKind::Semi,
        JoinWord::Anti => JoinKind::Anti,
    }
}

fn common_names(left: &Columns, right: &Columns) -> Vec<String> {
    let shown = left.0.iter().filter(|c| !c.hidden);
    let names = shown.filter(|l| right.0.iter().any(|r| !r.hidden && same(&l.name, &r.name)));
    names.map(|c| c.name.clone()).collect()
}

/// A join whose equalities between the sides are its keys.
pub(crate) fn joined(
    left: Relation,
    right: Relation,
    kind: JoinKind,
    conditions: Vec<Expr>,
) -> Relation {
    let mut fields = left.schema.fields.clone();
    if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
        fields.extend(right.schema.fields.iter().cloned());
    }
    let width = left.width();
    let (mut keys, mut rest) = (Vec::new(), Vec::new());
    for condition in conditions {
        // A column of the query around belongs to neither side.
        let own = !reads(&condition, Kind::Outer);
        match key(&condition, width).filter(|_| own) {
            Some(key) => keys.push(key),
            None => rest.push(condition),
        }
    }
    let join = JoinTree {
        left,
        right,
        kind,
        keys,
        conditions: rest,
    };
    Relation::new(Schema::new(fields), Operator::Join(Box::new(join)))
}

/// The key that an equality between the sides is.
pub(crate) fn key(condition: &Expr, width: usize) -> Option<JoinKey> {
    let ExprKind::Call {
        function: function @ ("=" | "<=>"),
        arguments,
    } = &condition.kind
    else {
        return None;
    };
    let [a, b] = arguments.as_slice() else {
        return None;
    };
    let side = |e: &Expr| {
        let columns = e.columns();
        match (
            columns.iter().all(|c| *c < width),
            columns.iter().all(|c| *c >= width),
        ) {
            _ if columns.is_empty() => None,
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    };
    let (left, right) = match (side(a)?, side(b)?) {
        (true, false) => (a, b),
        (false, true) => (b, a),
        _ => return None,
    };
    Some(JoinKey {
        left: left.clone(),
        right: moved(right, &|index| index - width),
        null_safe: *function == "<=>",
    })
}
