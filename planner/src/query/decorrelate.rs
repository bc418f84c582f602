//! Relations that read columns of a relation beside them, made to stand alone.
//!
//! What they read of it, each list of values once, is their domain. It is put before their own columns at the leaves
//! and kept by every operator, so that each row says for which values it holds, and a join by these finds it (Neumann
//! and Kemper, *Unnesting Arbitrary Queries*, BTW 2015). Promises: the rows are those of evaluating the relation anew
//! for each row beside it. Never moves a window or a limit, which Spark refuses there too.

use std::collections::BTreeMap;

use super::group::{aggregate_with, call_with, of_no_rows};
use super::scope::{Kind, kind_of, reads};
use super::set::distinct;
use super::subquery::{join, marked, present, projected};
use super::tree::{Aggregate, Join, JoinKey, JoinKind, Operator, Relation};
use crate::expr::rewrite::{moved, rewrite};
use crate::expr::{Expr, ExprKind, Generator};
use crate::schema::{DataType, Schema};

/// Columns of the relation beside, by position.
pub(super) type OuterColumns = BTreeMap<usize, DataType>;

/// The lists of values for which a relation is wanted.
pub(super) struct Domain {
    rows: Relation,
    /// Which column beside each of its columns is.
    columns: Vec<usize>,
}

/// What a relation reads of the one beside it.
pub(super) fn outer_columns(relation: &Relation) -> OuterColumns {
    let mut found = OuterColumns::new();
    let mut waiting = vec![relation];
    while let Some(relation) = waiting.pop() {
        each_expression(&relation.operator, &mut |expr| {
            expr.visit(&mut |part| {
                if let ExprKind::Column(number) = part.kind
                    && let (Kind::Outer, index) = kind_of(number)
                {
                    found.insert(index, part.data_type.clone());
                }
            });
        });
        waiting.extend(relation.inputs());
    }
    found
}

/// The operator's own expressions, not its inputs'.
fn each_expression(operator: &Operator, visit: &mut dyn FnMut(&Expr)) {
    match operator {
        Operator::Scan { filters: list, .. }
        | Operator::Project {
            expressions: list, ..
        }
        | Operator::Filter {
            conditions: list, ..
        } => list.iter().for_each(visit),
        Operator::Values(rows) => rows.iter().flatten().for_each(visit),
        Operator::Expand { projections, .. } => projections.iter().flatten().for_each(visit),
        Operator::Generate { generator, .. } => generator.inputs.iter().for_each(visit),
        Operator::Sort { keys, .. } => keys.iter().for_each(|key| visit(&key.expr)),
        Operator::Join(join) => {
            join.conditions.iter().for_each(&mut *visit);
            for key in &join.keys {
                visit(&key.left);
                visit(&key.right);
            }
        }
        Operator::Aggregate {
            keys, aggregates, ..
        } => {
            keys.iter().for_each(&mut *visit);
            let inside = |a: &Aggregate| a.arguments.iter().chain(&a.filter).for_each(&mut *visit);
            aggregates.iter().for_each(inside);
        }
        Operator::Window {
            partition,
            order,
            functions,
            ..
        } => {
            partition.iter().for_each(&mut *visit);
            order.iter().for_each(|key| visit(&key.expr));
            for call in functions {
                call_with(call, &mut |expr| {
                    visit(expr);
                    expr.clone()
                });
            }
        }
        Operator::Range { .. }
        | Operator::Limit { .. }
        | Operator::Union(_)
        | Operator::Single(_) => {}
    }
}

impl Domain {
    /// The values that these expressions over `beside` have for the columns.
    pub(super) fn new(beside: Relation, columns: &OuterColumns, values: Vec<Expr>) -> Self {
        Self {
            rows: distinct(projected(beside, values)),
            columns: columns.keys().copied().collect(),
        }
    }

    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Columns of the relation beside, and the domain's own for them, which begin at `from`.
    pub(super) fn pairs(&self, from: usize) -> impl Iterator<Item = (usize, Expr)> {
        let fields = self.rows.schema.fields.iter().enumerate();
        let own = fields.map(move |(i, field)| Expr::column(from + i, field.data_type.clone()));
        self.columns.iter().copied().zip(own)
    }

    /// The relation for all values: the domain's columns, then its own. Says what it cannot take along.
    pub(super) fn of(&self, relation: &Relation) -> Result<Relation, &'static str> {
        if self.columns.is_empty() {
            return Ok(relation.clone());
        }
        if outer_columns(relation).is_empty() {
            return Ok(join(
                self.rows.clone(),
                relation.clone(),
                JoinKind::Inner,
                Vec::new(),
            ));
        }
        let input = |input: &Relation| self.of(input).map(Box::new);
        let operator = match &relation.operator {
            Operator::Project {
                input: below,
                expressions,
            } => Operator::Project {
                input: input(below)?,
                expressions: self.before(expressions),
            },
            Operator::Filter {
                input: below,
                conditions,
            } => Operator::Filter {
                input: input(below)?,
                conditions: self.all(conditions),
            },
            Operator::Expand {
                input: below,
                projections,
            } => Operator::Expand {
                input: input(below)?,
                projections: projections.iter().map(|row| self.before(row)).collect(),
            },
            Operator::Generate {
                input: below,
                generator,
            } => Operator::Generate {
                input: input(below)?,
                generator: Generator {
                    inputs: self.all(&generator.inputs),
                    ..generator.clone()
                },
            },
            // What comes out of a join has no order.
            Operator::Sort { input: below, .. } => return self.of(below),
            Operator::Union(inputs) => {
                let inputs = inputs.iter().map(|input| self.of(input));
                Operator::Union(inputs.collect::<Result<_, _>>()?)
            }
            Operator::Join(join) => return self.join(join, &relation.schema),
            Operator::Aggregate {
                input,
                keys,
                aggregates,
            } => return self.aggregate(input, keys, aggregates, &relation.schema),
            Operator::Window { .. } => return Err("a window function"),
            Operator::Limit { .. } | Operator::Single(_) => return Err("LIMIT"),
            Operator::Scan { .. } | Operator::Values(_) | Operator::Range { .. } => {
                return Err("VALUES");
            }
        };
        Ok(Relation::new(self.schema(&relation.schema), operator))
    }

    /// The relation's columns after the domain's.
    fn schema(&self, own: &Schema) -> Schema {
        let fields = self.rows.schema.fields.iter().chain(&own.fields);
        Schema::new(fields.cloned().collect())
    }

    fn own(&self) -> impl Iterator<Item = Expr> {
        (0..self.width()).map(|index| self.rows.column(index))
    }

    /// The expression over rows that begin with the domain.
    fn moved(&self, expr: &Expr) -> Expr {
        rewrite(expr, &mut |part| {
            let ExprKind::Column(number) = part.kind else {
                return None;
            };
            let index = match kind_of(number) {
                (Kind::Outer, column) => self.columns.iter().position(|c| *c == column)?,
                _ => number + self.width(),
            };
            Some(Expr::column(index, part.data_type.clone()))
        })
    }

    fn all(&self, exprs: &[Expr]) -> Vec<Expr> {
        exprs.iter().map(|expr| self.moved(expr)).collect()
    }

    /// The domain's columns, then the expressions.
    fn before(&self, exprs: &[Expr]) -> Vec<Expr> {
        self.own().chain(self.all(exprs)).collect()
    }

    /// Pairs of rows for the same values. The right side goes without the domain where it does not matter.
    fn join(&self, old: &Join, schema: &Schema) -> Result<Relation, &'static str> {
        let left = self.of(&old.left)?;
        let both = old.keys.iter().any(|key| reads(&key.right, Kind::Outer))
            || matches!(old.kind, JoinKind::Right | JoinKind::Full)
            || !outer_columns(&old.right).is_empty();
        let right = match both {
            true => self.of(&old.right)?,
            false => old.right.clone(),
        };
        let mut keys = Vec::new();
        for key in &old.keys {
            keys.push(JoinKey {
                left: self.moved(&key.left),
                right: match both {
                    true => self.moved(&key.right),
                    false => key.right.clone(),
                },
                null_safe: key.null_safe,
            });
        }
        let split = self.width() + old.left.width();
        let mut conditions = self.all(&old.conditions);
        if both {
            keys.extend(self.own().map(|column| JoinKey {
                left: column.clone(),
                right: column,
                null_safe: true,
            }));
            let behind = |index: usize| match index < split {
                true => index,
                false => index + self.width(),
            };
            for condition in &mut conditions {
                *condition = moved(condition, &behind);
            }
        }
        let kind = old.kind;
        let halves = matches!(kind, JoinKind::Semi | JoinKind::Anti);
        let mut fields = left.schema.fields.clone();
        if !halves {
            fields.extend(right.schema.fields.iter().cloned());
        }
        let join = Join {
            left,
            right,
            kind,
            keys,
            conditions,
        };
        let joined = Relation::new(Schema::new(fields), Operator::Join(Box::new(join)));
        Ok(match both && !halves {
            true => self.without_second(joined, split, kind, schema),
            false => joined,
        })
    }

    /// The domain once, from the side that has it.
    fn without_second(
        &self,
        joined: Relation,
        split: usize,
        kind: JoinKind,
        schema: &Schema,
    ) -> Relation {
        let domain = (0..self.width()).map(|index| {
            let (left, right) = (joined.column(index), joined.column(split + index));
            let data_type = left.data_type.clone();
            match kind {
                JoinKind::Right => right,
                JoinKind::Full => Expr::call("coalesce", vec![left, right], data_type),
                _ => left,
            }
        });
        let own = (self.width()..split).chain(split + self.width()..joined.width());
        let expressions = domain.chain(own.map(|i| joined.column(i))).collect();
        let input = Box::new(joined);
        let operator = Operator::Project { input, expressions };
        Relation::new(self.schema(schema), operator)
    }

    /// Groups for each list of values; without keys one, also where there were no rows.
    fn aggregate(
        &self,
        input: &Relation,
        keys: &[Expr],
        aggregates: &[Aggregate],
        schema: &Schema,
    ) -> Result<Relation, &'static str> {
        let moved = |a: &Aggregate| aggregate_with(a, &mut |expr| self.moved(expr));
        let operator = Operator::Aggregate {
            input: Box::new(self.of(input)?),
            keys: self.before(keys),
            aggregates: aggregates.iter().map(moved).collect(),
        };
        let grouped = Relation::new(self.schema(schema), operator);
        if !keys.is_empty() {
            return Ok(grouped);
        }
        let (domain, width) = (self.width(), grouped.width());
        let same = self.own().map(|column| (column.clone(), column, true));
        let joined = join(
            self.rows.clone(),
            marked(grouped),
            JoinKind::Left,
            same.collect(),
        );
        let found = present(joined.column(domain + width));
        let values = aggregates.iter().enumerate().map(|(index, aggregate)| {
            let value = joined.column(domain + domain + index);
            let data_type = value.data_type.clone();
            let kind = ExprKind::Case {
                branches: vec![(found.clone(), value)],
                otherwise: Some(Box::new(of_no_rows(aggregate))),
            };
            Expr::new(data_type, kind)
        });
        let expressions = self.own().chain(values).collect();
        let input = Box::new(joined);
        let operator = Operator::Project { input, expressions };
        Ok(Relation::new(self.schema(schema), operator))
    }
}
