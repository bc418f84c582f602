//! A relational tree as text, one line for each operator, inputs indented below. For people.

use super::tree::{
    Aggregate, Frame, Join, JoinKind, Operator, RangeBound, Relation, SortKey, WindowCall,
    WindowFunction,
};
use crate::explain::expression_text;
use crate::expr::Expr;

/// The tree, the last operator first.
pub fn text(relation: &Relation) -> String {
    let mut out = String::new();
    write(relation, 0, &mut out);
    out
}

fn write(relation: &Relation, depth: usize, out: &mut String) {
    out.push_str(&"  ".repeat(depth));
    out.push_str(&line(relation));
    out.push('\n');
    for input in relation.inputs() {
        write(input, depth + 1, out);
    }
}

fn line(relation: &Relation) -> String {
    let names: Vec<String> = relation
        .inputs()
        .iter()
        .flat_map(|input| input.schema.fields.iter().map(|f| f.name.clone()))
        .collect();
    let own: Vec<String> = relation
        .schema
        .fields
        .iter()
        .map(|f| f.name.clone())
        .collect();
    let show = |e: &Expr| expression_text(e, &names);
    let list = |exprs: &[Expr]| exprs.iter().map(show).collect::<Vec<_>>().join(", ");
    match &relation.operator {
        Operator::Scan { table, filters } => scan(table, filters, &own),
        Operator::Values(rows) => format!("values: {} rows", rows.len()),
        Operator::Range { start, end, step } => format!("range {start} to {end} by {step}"),
        Operator::Project { expressions, .. } => {
            let columns = expressions.iter().zip(&own).map(|(e, name)| {
                let text = show(e);
                if text == *name {
                    text
                } else {
                    format!("{text} as {name}")
                }
            });
            format!("project {}", columns.collect::<Vec<_>>().join(", "))
        }
        Operator::Filter { conditions, .. } => format!("filter {}", list(conditions)),
        Operator::Join(join) => self::join(join, &names),
        Operator::Aggregate {
            keys, aggregates, ..
        } => {
            let aggregates: Vec<String> = aggregates.iter().map(|a| aggregate(a, &names)).collect();
            format!("aggregate by [{}]: {}", list(keys), aggregates.join(", "))
        }
        Operator::Expand { projections, .. } => format!("expand {} times", projections.len()),
        Operator::Window {
            partition,
            order,
            functions,
            ..
        } => {
            let functions: Vec<String> = functions.iter().map(|c| window(c, &names)).collect();
            format!(
                "window by [{}] order [{}]: {}",
                list(partition),
                sort(order, &names),
                functions.join(", ")
            )
        }
        Operator::Generate { generator, .. } => {
            let outer = if generator.outer { " outer" } else { "" };
            format!(
                "generate{outer} {:?}({})",
                generator.kind,
                list(&generator.inputs)
            )
        }
        Operator::Sort { keys, .. } => format!("sort by [{}]", sort(keys, &names)),
        Operator::Limit { offset, limit, .. } => {
            let limit = limit.map_or_else(|| "all".to_owned(), |limit| limit.to_string());
            format!("limit {limit} offset {offset}")
        }
        Operator::Union(inputs) => format!("union of {}", inputs.len()),
        Operator::Single(_) => "the only row".into(),
    }
}

fn scan(table: &str, filters: &[Expr], columns: &[String]) -> String {
    let filters: Vec<String> = filters
        .iter()
        .map(|e| expression_text(e, columns))
        .collect();
    let filters = match filters.is_empty() {
        true => String::new(),
        false => format!(" where {}", filters.join(" and ")),
    };
    format!("scan {table} ({}){filters}", columns.join(", "))
}

fn join(join: &Join, names: &[String]) -> String {
    let kind = match join.kind {
        JoinKind::Inner if join.keys.is_empty() && join.conditions.is_empty() => "cross",
        JoinKind::Inner => "inner",
        JoinKind::Left => "left",
        JoinKind::Right => "right",
        JoinKind::Full => "full",
        JoinKind::Semi => "semi",
        JoinKind::Anti => "anti",
    };
    let (left, right) = names.split_at(join.left.width());
    let keys = join.keys.iter().map(|key| {
        let operator = if key.null_safe { "<=>" } else { "=" };
        let left = expression_text(&key.left, left);
        format!("{left} {operator} {}", expression_text(&key.right, right))
    });
    let conditions = join.conditions.iter().map(|e| expression_text(e, names));
    let on: Vec<String> = keys.chain(conditions).collect();
    format!("{kind} join on [{}]", on.join(", "))
}

fn window(call: &WindowCall, names: &[String]) -> String {
    let name = match &call.function {
        WindowFunction::Aggregate(inner) => aggregate(inner, names),
        other => format!("{other:?}")
            .split([' ', '('])
            .next()
            .unwrap_or_default()
            .to_lowercase(),
    };
    format!("{name} {}", frame(&call.frame, names))
}

fn aggregate(aggregate: &Aggregate, names: &[String]) -> String {
    let arguments: Vec<String> = aggregate
        .arguments
        .iter()
        .map(|e| expression_text(e, names))
        .collect();
    let distinct = if aggregate.distinct { "distinct " } else { "" };
    let function = format!("{:?}", aggregate.function);
    let function = function
        .split([' ', '{'])
        .next()
        .unwrap_or_default()
        .to_lowercase();
    let filter = match &aggregate.filter {
        Some(filter) => format!(" where {}", expression_text(filter, names)),
        None => String::new(),
    };
    format!("{function}({distinct}{}){filter}", arguments.join(", "))
}

fn frame(frame: &Frame, names: &[String]) -> String {
    match frame {
        Frame::Rows { start, end } => {
            let bound = |b: &Option<i64>| b.map_or_else(|| "unbounded".into(), |n| n.to_string());
            format!("rows {} to {}", bound(start), bound(end))
        }
        Frame::Range { start, end } => {
            let bound = |b: &RangeBound| match b {
                RangeBound::Unbounded => "unbounded".into(),
                RangeBound::Current => "current".into(),
                RangeBound::Value(e) => expression_text(e, names),
            };
            format!("range {} to {}", bound(start), bound(end))
        }
    }
}

fn sort(keys: &[SortKey], names: &[String]) -> String {
    let key = |key: &SortKey| {
        let direction = if key.descending { " desc" } else { "" };
        let nulls = match key.nulls_first == key.descending {
            true if key.nulls_first => " nulls first",
            true => " nulls last",
            false => "",
        };
        format!("{}{direction}{nulls}", expression_text(&key.expr, names))
    };
    keys.iter().map(key).collect::<Vec<_>>().join(", ")
}
