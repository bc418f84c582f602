//! PIVOT and UNPIVOT, as aggregates and as copies of rows.

use super::ast::{Item, Pivot, Unpivot};
use super::bind::Binder;
use super::from::visible;
use super::group::groupable;
use super::prepare::{Collected, Context};
use super::pretty;
use super::scope::{Columns, Kind, kind_of};
use super::select::filter;
use super::tree::{Aggregate, AggregateFunction, Operator, Relation};
use crate::expr::ast::{Node, NodeKind};
use crate::expr::bind::cast;
use crate::expr::coerce::{wider_of, wider_without_strings};
use crate::expr::rewrite::rewrite;
use crate::expr::{Expr, ExprKind, Literal};
use crate::schema::{DataType, Field, Schema};

/// The most values of a PIVOT, as in the reference.
const MAX_VALUES: usize = 10_000;

impl Binder<'_> {
    /// Rows are aggregated by the columns not named in the clause and the pivot's, then each value's row is laid beside
    /// the others; where there is none, all is null.
    pub(super) fn pivot(&mut self, pivot: &Pivot) -> Option<Relation> {
        let (input, columns) = self.from(&pivot.input)?;
        let context = Context {
            aggregates: true,
            ..Context::plain(&columns)
        };
        let mut collected = Collected::default();
        let mut outputs = Vec::new();
        for item in &pivot.aggregates {
            let expr = self.expression(&item.node, &context, &mut collected)?;
            let name = item.names.first().cloned();
            outputs.push((
                expr,
                name.unwrap_or_else(|| pretty::name(&item.node, &columns)),
            ));
        }
        if collected.aggregates.is_empty() {
            return self.problem(pivot.span, "PIVOT needs an aggregate");
        }
        let plain = Context::plain(&columns);
        let mut by = Vec::new();
        for node in &pivot.columns {
            by.push(self.expression(node, &plain, &mut Collected::default())?);
        }
        let values = self.pivot_values(&pivot.values, &by)?;
        let mut used: Vec<usize> = by.iter().flat_map(Expr::columns).collect();
        for aggregate in &collected.aggregates {
            let exprs = aggregate.arguments.iter().chain(&aggregate.filter);
            used.extend(exprs.flat_map(Expr::columns));
        }
        let rest: Vec<(String, Expr)> = columns
            .0
            .iter()
            .filter(|c| !c.hidden && !c.expr.columns().iter().any(|i| used.contains(i)))
            .map(|c| (c.name.clone(), c.expr.clone()))
            .collect();
        if let Some((name, _)) = rest.iter().find(|(_, e)| !groupable(&e.data_type)) {
            return self.problem(pivot.span, format!("PIVOT cannot group by column {name}"));
        }
        let keys: Vec<Expr> = rest.iter().map(|(_, e)| e.clone()).chain(by).collect();
        let first = aggregate(input, &keys, &collected.aggregates);
        let grouped = keys.len();
        let computed: Vec<Expr> = outputs
            .iter()
            .map(|(expr, _)| over_aggregates(expr, grouped))
            .collect();
        let names: Vec<String> = outputs.into_iter().map(|(_, name)| name).collect();
        Some(laid_out(first, &rest, &values, &computed, &names))
    }

    /// The values of the IN list as constants of the pivot columns' types, each with its name.
    fn pivot_values(&mut self, items: &[Item], by: &[Expr]) -> Option<Vec<(Vec<Expr>, String)>> {
        let empty = Columns::default();
        let context = Context::plain(&empty);
        let mut values = Vec::new();
        for item in items.iter().take(MAX_VALUES) {
            let nodes = match &item.node.kind {
                NodeKind::Call { name, arguments } if name == "struct" && by.len() > 1 => {
                    arguments.as_slice()
                }
                _ => std::slice::from_ref(&item.node),
            };
            if nodes.len() != by.len() {
                let message = format!("expected {} values, found {}", by.len(), nodes.len());
                return self.problem(item.node.span, message);
            }
            let mut row = Vec::new();
            for (node, column) in nodes.iter().zip(by) {
                let expr = self.expression(node, &context, &mut Collected::default())?;
                match cast(expr, &column.data_type, node.span) {
                    Ok(expr) => row.push(expr),
                    Err(problem) => return self.problem(problem.span, problem.message),
                }
            }
            let name = match item.names.first() {
                Some(name) => name.clone(),
                None => value_name(&item.node, &empty),
            };
            values.push((row, name));
        }
        Some(values)
    }

    pub(super) fn unpivot(&mut self, unpivot: &Unpivot) -> Option<Relation> {
        let (input, columns) = self.from(&unpivot.input)?;
        let input = visible(input, &columns);
        let columns = Columns::of(&input.schema, &[]);
        let context = Context::plain(&columns);
        let mut groups: Vec<(Vec<Expr>, String)> = Vec::new();
        for (nodes, name) in &unpivot.columns {
            let mut exprs = Vec::new();
            let mut names = Vec::new();
            for node in nodes {
                exprs.push(self.expression(node, &context, &mut Collected::default())?);
                names.push(pretty::name(node, &columns));
            }
            groups.push((exprs, name.clone().unwrap_or_else(|| names.join("_"))));
        }
        let used: Vec<usize> = groups
            .iter()
            .flat_map(|(exprs, _)| exprs.iter().flat_map(Expr::columns))
            .collect();
        let kept: Vec<usize> = (0..input.width()).filter(|i| !used.contains(i)).collect();
        let mut fields: Vec<Field> = kept
            .iter()
            .map(|i| input.schema.fields[*i].clone())
            .collect();
        fields.push(Field::new(&unpivot.name, DataType::String));
        let mut types = Vec::new();
        for (index, name) in unpivot.values.iter().enumerate() {
            let mut met = Some(DataType::Null);
            for (exprs, _) in &groups {
                met = met.and_then(|met| wider_without_strings(&met, &exprs[index].data_type));
            }
            let Some(common) = met else {
                let all = groups.iter().map(|(exprs, _)| &exprs[index].data_type);
                let hint = match wider_of(all) {
                    Some(common) => format!(": cast them to {common}"),
                    None => String::new(),
                };
                let message = format!("the columns of {name} have no common type{hint}");
                return self.problem(unpivot.span, message);
            };
            fields.push(Field::new(name, common.clone()));
            types.push(common);
        }
        let projections = groups.into_iter().map(|(exprs, name)| {
            let mut row: Vec<Expr> = kept.iter().map(|i| input.column(*i)).collect();
            row.push(Expr::literal(Literal::String(name), DataType::String));
            row.extend(exprs.into_iter().zip(&types).map(|(e, t)| e.cast(t)));
            row
        });
        let projections = projections.collect();
        let input = Box::new(input);
        let operator = Operator::Expand { input, projections };
        let relation = Relation::new(Schema::new(fields), operator);
        if unpivot.include_nulls {
            return Some(relation);
        }
        let first = kept.len() + 1;
        let filled = (first..relation.width())
            .map(|i| Expr::call("isnotnull", vec![relation.column(i)], DataType::Boolean));
        let any = match types.len() {
            1 => {
                let mut filled = filled;
                filled.next_back()?
            }
            _ => Expr::call("or", filled.collect(), DataType::Boolean),
        };
        Some(filter(relation, vec![any]))
    }
}

/// A value's name: its text, as a cast to a string gives it.
fn value_name(node: &Node, columns: &Columns) -> String {
    match &node.kind {
        NodeKind::Literal(Literal::Null, _) => "null".into(),
        NodeKind::Call { name, arguments } if name == "struct" => {
            let names: Vec<String> = arguments.iter().map(|n| value_name(n, columns)).collect();
            format!("{{{}}}", names.join(", "))
        }
        _ => pretty::name(node, columns),
    }
}

fn aggregate(input: Relation, keys: &[Expr], aggregates: &[Aggregate]) -> Relation {
    let fields = keys.iter().map(|e| &e.data_type);
    let fields = fields.chain(aggregates.iter().map(|a| &a.data_type));
    let fields = fields
        .enumerate()
        .map(|(i, t)| Field::new(format!("column{i}"), t.clone()));
    let schema = Schema::new(fields.collect());
    let input = Box::new(input);
    let keys = keys.to_vec();
    let aggregates = aggregates.to_vec();
    Relation::new(
        schema,
        Operator::Aggregate {
            input,
            keys,
            aggregates,
        },
    )
}

fn over_aggregates(expr: &Expr, keys: usize) -> Expr {
    rewrite(expr, &mut |part| match part.kind {
        ExprKind::Column(number) if kind_of(number).0 == Kind::Aggregate => {
            let index = keys + kind_of(number).1;
            Some(Expr::column(index, part.data_type.clone()))
        }
        _ => None,
    })
}

/// One row for each list of the remaining columns; for each value the outputs of its row.
fn laid_out(
    first: Relation,
    rest: &[(String, Expr)],
    values: &[(Vec<Expr>, String)],
    computed: &[Expr],
    names: &[String],
) -> Relation {
    let keys: Vec<Expr> = (0..rest.len()).map(|i| first.column(i)).collect();
    let mut picks = Vec::new();
    let mut fields: Vec<Field> = rest
        .iter()
        .map(|(name, e)| Field::new(name, e.data_type.clone()))
        .collect();
    for (row, value_name) in values {
        let equal = row.iter().enumerate().map(|(i, value)| {
            let column = first.column(rest.len() + i);
            Expr::call("<=>", vec![column, value.clone()], DataType::Boolean)
        });
        let mut equal: Vec<Expr> = equal.collect();
        let condition = match equal.len() {
            1 => equal.remove(0),
            _ => Expr::call("and", equal, DataType::Boolean),
        };
        for (expr, name) in computed.iter().zip(names) {
            picks.push(Aggregate {
                function: AggregateFunction::First {
                    ignore_nulls: false,
                },
                arguments: vec![expr.clone()],
                distinct: false,
                filter: Some(condition.clone()),
                data_type: expr.data_type.clone(),
            });
            let name = match computed.len() {
                1 => value_name.clone(),
                _ => format!("{value_name}_{name}"),
            };
            fields.push(Field::new(name, expr.data_type.clone()));
        }
    }
    let mut relation = aggregate(first, &keys, &picks);
    relation.schema = Schema::new(fields);
    relation
}
