//! The last step of a select block: the columns of its list, made distinct and sorted.

use super::ast::Select;
use super::bind::{Binder, sorted};
use super::group::{Placed, groupable};
use super::scope::{Kind, kind_of};
use super::select::Block;
use super::set::distinct;
use super::tree::{Operator, Relation, SortKey};
use crate::expr::rewrite::rewrite;
use crate::expr::{Expr, ExprKind};
use crate::schema::{Field, Schema};

/// Columns in the making.
#[derive(Default)]
struct List {
    expressions: Vec<Expr>,
    fields: Vec<Field>,
}

impl List {
    /// Adds a column; answers it.
    fn push(&mut self, name: &str, expr: Expr) -> Expr {
        let column = Expr::column(self.expressions.len(), expr.data_type.clone());
        self.fields.push(Field::new(name, expr.data_type.clone()));
        self.expressions.push(expr);
        column
    }
}

impl Binder<'_> {
    /// The list's columns, then those of conditions on the outer query; sorted. Answers also these conditions and how
    /// many columns are the list's.
    pub(super) fn projected(
        &mut self,
        select: &Select,
        input: Relation,
        correlated: &[Expr],
        block: &Block,
        placed: &Placed<'_>,
    ) -> Option<(Relation, Vec<Expr>, usize)> {
        let mut list = List::default();
        let mut failed = false;
        for output in &block.outputs {
            match self.placed_at(&output.expr, placed, output.span) {
                Some(expr) => {
                    list.push(&output.name, expr);
                }
                None => failed = true,
            }
        }
        if failed {
            return None;
        }
        let visible = list.expressions.len();
        let correlated = over_hidden(correlated, &mut list);
        let width = list.expressions.len();
        let keys = self.sort_columns(select, block, placed, visible, &mut list)?;
        let List {
            expressions,
            fields,
        } = list;
        let input = Box::new(input);
        let operator = Operator::Project { input, expressions };
        let mut relation = Relation::new(Schema::new(fields), operator);
        if select.distinct {
            let mut fields = relation.schema.fields[..visible].iter();
            if let Some(field) = fields.find(|f| !groupable(&f.data_type)) {
                let message = format!("DISTINCT cannot compare column {}", field.name);
                return self.problem(select.span, message);
            }
            relation = distinct(relation);
        }
        if !keys.is_empty() {
            relation = sorted(relation, keys);
        }
        Some((cut(relation, width), correlated, visible))
    }

    /// The keys of ORDER BY over the list, to which columns are added that it does not show.
    fn sort_columns(
        &mut self,
        select: &Select,
        block: &Block,
        placed: &Placed<'_>,
        visible: usize,
        list: &mut List,
    ) -> Option<Vec<SortKey>> {
        let mut keys = Vec::new();
        for key in &block.sort {
            let expr = self.placed_at(&key.expr, placed, select.span)?;
            let expr = match over(&expr, &list.expressions[..visible]) {
                Some(expr) => expr,
                None if select.distinct => {
                    return self.problem(
                        select.span,
                        "ORDER BY of SELECT DISTINCT may only read the columns of its list",
                    );
                }
                None => list.push("sort", expr),
            };
            keys.push(SortKey { expr, ..*key });
        }
        Some(keys)
    }
}

/// Conditions over columns that are added to the list for them.
fn over_hidden(conditions: &[Expr], list: &mut List) -> Vec<Expr> {
    let mut hidden: Vec<(usize, Expr)> = Vec::new();
    let mut place = |number: usize, part: &Expr| {
        let known = hidden.iter().find(|(column, _)| *column == number);
        if let Some((_, place)) = known {
            return place.clone();
        }
        let place = list.push("outer", part.clone());
        hidden.push((number, place.clone()));
        place
    };
    let mut one = |condition: &Expr| {
        rewrite(condition, &mut |part| match part.kind {
            ExprKind::Column(number) if kind_of(number).0 == Kind::Input => {
                Some(place(number, part))
            }
            _ => None,
        })
    };
    conditions.iter().map(&mut one).collect()
}

/// An expression in terms of the list's columns, if it can be told in them.
fn over(expr: &Expr, outputs: &[Expr]) -> Option<Expr> {
    let mut whole = true;
    let told = rewrite(expr, &mut |part| {
        if let Some(index) = outputs.iter().position(|output| output == part)
            && part.as_literal().is_none()
        {
            return Some(Expr::column(index, part.data_type.clone()));
        }
        whole &= !matches!(part.kind, ExprKind::Column(_));
        None
    });
    whole.then_some(told)
}

/// The first columns of a relation.
pub(super) fn cut(input: Relation, width: usize) -> Relation {
    if input.width() == width {
        return input;
    }
    let expressions = (0..width).map(|i| input.column(i)).collect();
    let schema = Schema::new(input.schema.fields[..width].to_vec());
    let input = Box::new(input);
    Relation::new(schema, Operator::Project { input, expressions })
}
