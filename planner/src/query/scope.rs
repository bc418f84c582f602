//! Which columns a name may mean while a query is bound.
//!
//! Beside the columns of its input, an expression may read values that are computed on the way: aggregates, windows,
//! subqueries, columns of an outer query. Until it is known where they stand, they are columns of a kind of their own.

use crate::expr::{Expr, ExprKind};
use crate::schema::DataType;

/// What a column's number stands for before it is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A column of the input.
    Input,
    /// The n-th aggregate.
    Aggregate,
    /// The n-th window function.
    Window,
    /// The value of the n-th subquery.
    Subquery,
    /// A column of the outer query.
    Outer,
    /// Which keys a grouping set leaves out, one bit each.
    GroupingId,
    /// The n-th column of the select list's generator.
    Generated,
    /// A column of the select list, in ORDER BY.
    Output,
}

const KINDS: [Kind; 8] = [
    Kind::Input,
    Kind::Aggregate,
    Kind::Window,
    Kind::Subquery,
    Kind::Outer,
    Kind::GroupingId,
    Kind::Generated,
    Kind::Output,
];
const SHIFT: u32 = 40;

/// A column that is placed later.
pub(crate) fn pending(kind: Kind, index: usize, data_type: DataType) -> Expr {
    let position = KINDS.iter().position(|k| *k == kind).unwrap_or_default();
    Expr::column((position << SHIFT) + index, data_type)
}

/// What a column's number stands for.
pub(crate) fn kind_of(number: usize) -> (Kind, usize) {
    let kind = KINDS.get(number >> SHIFT).copied().unwrap_or(Kind::Input);
    (kind, number & ((1 << SHIFT) - 1))
}

/// True if the expression reads a column of this kind.
pub(crate) fn reads(expr: &Expr, kind: Kind) -> bool {
    let mut found = false;
    expr.visit(&mut |part| {
        if let ExprKind::Column(number) = part.kind {
            found |= kind_of(number).0 == kind;
        }
    });
    found
}

/// A column that a name may mean.
#[derive(Clone, Debug)]
pub(crate) struct ScopeColumn {
    /// The relation's name, `db.table` or alias; empty without one.
    pub(crate) qualifier: Vec<String>,
    pub(crate) name: String,
    pub(crate) expr: Expr,
    /// Only found by its qualified name: the side of a USING column that is not shown.
    pub(crate) hidden: bool,
}

/// The columns that names may mean, in the order of `*`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns(pub(crate) Vec<ScopeColumn>);

impl Columns {
    /// All columns of a schema under one qualifier.
    pub(crate) fn of(schema: &crate::schema::Schema, qualifier: &[String]) -> Self {
        let fields = schema.fields.iter().enumerate();
        let columns = fields.map(|(index, field)| ScopeColumn {
            qualifier: qualifier.to_vec(),
            name: field.name.clone(),
            expr: Expr::column(index, field.data_type.clone()),
            hidden: false,
        });
        Self(columns.collect())
    }

    /// The column that a name means and how many of its parts it took.
    pub(crate) fn resolve(&self, parts: &[String]) -> Result<Option<(Expr, usize)>, String> {
        for qualified in (0..parts.len().min(3)).rev() {
            let (qualifier, name) = (&parts[..qualified], &parts[qualified]);
            let found = self.0.iter().filter(|column| {
                same(&column.name, name)
                    && match qualifier {
                        [] => !column.hidden,
                        _ => ends_with(&column.qualifier, qualifier),
                    }
            });
            let found: Vec<&ScopeColumn> = found.collect();
            match found.as_slice() {
                [] => {}
                [one] => return Ok(Some((one.expr.clone(), qualified + 1))),
                [first, rest @ ..] if rest.iter().all(|c| c.expr == first.expr) => {
                    return Ok(Some((first.expr.clone(), qualified + 1)));
                }
                many => {
                    let shown = |c: &&ScopeColumn| {
                        let mut all = c.qualifier.clone();
                        all.push(c.name.clone());
                        all.join(".")
                    };
                    let could: Vec<String> = many.iter().map(shown).collect();
                    return Err(format!(
                        "{} is ambiguous: it could be {}",
                        parts.join("."),
                        could.join(" or ")
                    ));
                }
            }
        }
        Ok(None)
    }

    /// What `*` or `qualifier.*` stands for; `None` if there is no such relation.
    pub(crate) fn star(&self, qualifier: &[String]) -> Option<Vec<&ScopeColumn>> {
        if qualifier.is_empty() {
            return Some(self.0.iter().filter(|c| !c.hidden).collect());
        }
        let found: Vec<&ScopeColumn> = self
            .0
            .iter()
            .filter(|c| ends_with(&c.qualifier, qualifier))
            .collect();
        (!found.is_empty()).then_some(found)
    }

    /// The same columns, moved by so many positions.
    pub(crate) fn shifted(mut self, by: usize) -> Self {
        for column in &mut self.0 {
            column.expr = crate::expr::rewrite::moved(&column.expr, &|index| index + by);
        }
        self
    }

    /// Names to choose from in a hint.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|c| c.name.as_str())
    }
}

/// Names are equal without regard to case.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

fn ends_with(whole: &[String], end: &[String]) -> bool {
    whole.len() >= end.len()
        && whole[whole.len() - end.len()..]
            .iter()
            .zip(end)
            .all(|(a, b)| same(a, b))
}
