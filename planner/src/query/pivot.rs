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
use crate::expr::coerce::{is_numeric, wider_of, wider_without_strings};
use crate::expr::rewrite::rewrite;
use crate::expr::{Expr, ExprKind, Literal};
use crate::schema::{DataType, Field, Schema};

/// The most values of a PIVOT, as in the reference.
const MAX_VALUES: usize = 10_000;

impl Binder<'_> {
    /// A row for each list of the columns that the clause does not name, columns for each value.
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
                name.unwrap_or_else(|| pretty::name(&item.node, &columns, &[])),
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
        let names: Vec<String> = outputs.iter().map(|(_, name)| name.clone()).collect();
        let outputs: Vec<Expr> = outputs.into_iter().map(|(expr, _)| expr).collect();
        let table = Table {
            rest: &rest,
            by: &by,
            values: &values,
            names: &names,
        };
        let aggregates = &collected.aggregates;
        Some(match outputs.iter().all(|e| is_plain(&e.data_type)) {
            true => table.laid_out(input, aggregates, &outputs),
            false => table.filtered(input, aggregates, &outputs),
        })
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
                names.push(pretty::name(node, &columns, &[]));
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
        NodeKind::Literal(value, data_type @ (DataType::Date | DataType::Timestamp)) => {
            let text = pretty::literal(value, data_type);
            text.split('\'').nth(1).unwrap_or_default().to_owned()
        }
        NodeKind::Call { name, arguments } if name == "struct" => {
            let names: Vec<String> = arguments.iter().map(|n| value_name(n, columns)).collect();
            format!("{{{}}}", names.join(", "))
        }
        _ => pretty::name(node, columns, &[]),
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

/// The types of which the reference lays out rows that are aggregated already.
fn is_plain(data_type: &DataType) -> bool {
    is_numeric(data_type) || *data_type == DataType::Boolean
}

/// What a pivot lays out.
struct Table<'p> {
    /// The columns that rows are grouped by.
    rest: &'p [(String, Expr)],
    /// The pivot's columns.
    by: &'p [Expr],
    values: &'p [(Vec<Expr>, String)],
    names: &'p [String],
}

impl Table<'_> {
    /// Rows aggregated by remaining and pivot columns, then each value's row laid beside the others; null where there
    /// is none.
    fn laid_out(&self, input: Relation, aggregates: &[Aggregate], outputs: &[Expr]) -> Relation {
        let rest = self.rest.iter().map(|(_, e)| e);
        let keys: Vec<Expr> = rest.chain(self.by).cloned().collect();
        let first = aggregate(input, &keys, aggregates);
        let computed: Vec<Expr> = outputs
            .iter()
            .map(|expr| over_aggregates(expr, keys.len()))
            .collect();
        let by: Vec<Expr> = (self.rest.len()..keys.len())
            .map(|i| first.column(i))
            .collect();
        let mut picks = Vec::new();
        for (row, _) in self.values {
            let condition = equal(&by, row);
            picks.extend(computed.iter().map(|expr| Aggregate {
                function: AggregateFunction::First {
                    ignore_nulls: false,
                },
                arguments: vec![expr.clone()],
                distinct: false,
                filter: Some(condition.clone()),
                data_type: expr.data_type.clone(),
            }));
        }
        let keys: Vec<Expr> = (0..self.rest.len()).map(|i| first.column(i)).collect();
        let mut relation = aggregate(first, &keys, &picks);
        relation.schema = self.schema(outputs);
        relation
    }

    /// Rows aggregated by remaining columns only, each value's aggregates over its own rows.
    fn filtered(&self, input: Relation, aggregates: &[Aggregate], outputs: &[Expr]) -> Relation {
        let mut all = Vec::new();
        for (row, _) in self.values {
            let condition = equal(self.by, row);
            all.extend(aggregates.iter().map(|own| restricted(own, &condition)));
        }
        let keys: Vec<Expr> = self.rest.iter().map(|(_, e)| e.clone()).collect();
        let aggregated = aggregate(input, &keys, &all);
        let mut expressions: Vec<Expr> = (0..keys.len()).map(|i| aggregated.column(i)).collect();
        for index in 0..self.values.len() {
            let first = keys.len() + index * aggregates.len();
            expressions.extend(outputs.iter().map(|expr| over_aggregates(expr, first)));
        }
        let input = Box::new(aggregated);
        Relation::new(
            self.schema(outputs),
            Operator::Project { input, expressions },
        )
    }

    fn schema(&self, outputs: &[Expr]) -> Schema {
        let rest = self.rest.iter();
        let mut fields: Vec<Field> = rest
            .map(|(name, e)| Field::new(name, e.data_type.clone()))
            .collect();
        for (_, value) in self.values {
            for (expr, name) in outputs.iter().zip(self.names) {
                let name = match outputs.len() {
                    1 => value.clone(),
                    _ => format!("{value}_{name}"),
                };
                fields.push(Field::new(name, expr.data_type.clone()));
            }
        }
        Schema::new(fields)
    }
}

/// Whether the pivot's columns have these values.
fn equal(by: &[Expr], row: &[Expr]) -> Expr {
    let pairs = by.iter().zip(row);
    let mut equal: Vec<Expr> = pairs
        .map(|(column, value)| {
            let arguments = vec![column.clone(), value.clone()];
            Expr::call("<=>", arguments, DataType::Boolean)
        })
        .collect();
    match equal.len() {
        1 => equal.remove(0),
        _ => Expr::call("and", equal, DataType::Boolean),
    }
}

/// The aggregate over the rows for which a condition holds.
fn restricted(own: &Aggregate, condition: &Expr) -> Aggregate {
    let filter = match &own.filter {
        None => condition.clone(),
        Some(filter) => {
            let both = vec![condition.clone(), filter.clone()];
            Expr::call("and", both, DataType::Boolean)
        }
    };
    let function = match own.function {
        // The reference puts nulls in the place of other rows, which the ends must pass over.
        AggregateFunction::First { .. } => AggregateFunction::First { ignore_nulls: true },
        AggregateFunction::Last { .. } => AggregateFunction::Last { ignore_nulls: true },
        _ => own.function.clone(),
    };
    Aggregate {
        function,
        filter: Some(filter),
        ..own.clone()
    }
}
