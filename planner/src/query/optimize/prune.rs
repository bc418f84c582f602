//! Columns that nobody reads, dropped where they come from.

use std::collections::{BTreeMap, BTreeSet};

use super::arranged;
use crate::expr::rewrite::moved;
use crate::expr::{Expr, Generator};
use crate::query::group::{aggregate_with, call_with};
use crate::query::tree::{
    Aggregate, Join, JoinKey, JoinKind, Operator, Relation, SortKey, WindowCall,
};
use crate::schema::{Field, Schema};

/// Where the columns that are left stand now.
pub(super) type Places = BTreeMap<usize, usize>;

type Needed = BTreeSet<usize>;

/// The relation with the needed columns, and perhaps some more.
pub(super) fn prune(relation: Relation, needed: &Needed) -> (Relation, Places) {
    let needed = &at_least_one(needed, &relation);
    let Relation { schema, operator } = relation;
    match operator {
        Operator::Scan { table, filters } => {
            let needed = with(needed, &filters);
            let places = numbered(&needed);
            let filters = all_at(&filters, &places);
            let schema = kept(&schema, &needed);
            (
                Relation::new(schema, Operator::Scan { table, filters }),
                places,
            )
        }
        Operator::Values(rows) => {
            let row = |row: Vec<Expr>| needed.iter().map(|i| row[*i].clone()).collect();
            let rows = rows.into_iter().map(row).collect();
            let schema = kept(&schema, needed);
            (
                Relation::new(schema, Operator::Values(rows)),
                numbered(needed),
            )
        }
        leaf @ Operator::Range { .. } => (Relation::new(schema, leaf), identity(1)),
        Operator::Project { input, expressions } => {
            let (input, rows) = prune_lists(*input, &[expressions], needed);
            let expressions = rows.into_iter().flatten().collect();
            let operator = Operator::Project { input, expressions };
            let relation = Relation::new(kept(&schema, needed), operator);
            (relation, numbered(needed))
        }
        Operator::Join(join) => prune_join(*join, needed),
        Operator::Aggregate {
            input,
            keys,
            aggregates,
        } => prune_aggregate(*input, (keys, aggregates), &schema, needed),
        Operator::Expand { input, projections } => {
            let (input, projections) = prune_lists(*input, &projections, needed);
            let operator = Operator::Expand { input, projections };
            let relation = Relation::new(kept(&schema, needed), operator);
            (relation, numbered(needed))
        }
        Operator::Window {
            input,
            partition,
            order,
            functions,
        } => prune_window(*input, (partition, order, functions), &schema, needed),
        Operator::Generate { input, generator } => prune_generate(*input, generator, needed),
        Operator::Union(inputs) => {
            let schema = kept(&schema, needed);
            let inputs = inputs.into_iter().map(|input| {
                let (input, places) = prune(input, needed);
                let wanted = needed.iter().enumerate();
                let places = wanted.map(|(new, old)| (new, places[old])).collect();
                arranged(input, &places, schema.clone())
            });
            let operator = Operator::Union(inputs.collect());
            (Relation::new(schema.clone(), operator), numbered(needed))
        }
        operator @ (Operator::Filter { .. }
        | Operator::Sort { .. }
        | Operator::Limit { .. }
        | Operator::Single(_)) => prune_same(operator, needed),
    }
}

/// An operator whose columns are its input's.
fn prune_same(operator: Operator, needed: &Needed) -> (Relation, Places) {
    let reads: Vec<Expr> = match &operator {
        Operator::Filter { conditions, .. } => conditions.clone(),
        Operator::Sort { keys, .. } => keys.iter().map(|key| key.expr.clone()).collect(),
        _ => Vec::new(),
    };
    let (mut schema, mut places) = (Schema::default(), Places::new());
    let mut operator = operator.over(&mut |input| {
        let (input, found) = prune(input, &with(needed, &reads));
        (schema, places) = (input.schema.clone(), found);
        input
    });
    match &mut operator {
        Operator::Filter { conditions, .. } => *conditions = all_at(conditions, &places),
        Operator::Sort { keys, .. } => {
            *keys = keys.iter().map(|key| sort_at(key, &places)).collect();
        }
        _ => {}
    }
    (Relation::new(schema, operator), places)
}

/// The needed expressions of each list, over the columns that they read.
fn prune_lists(
    input: Relation,
    lists: &[Vec<Expr>],
    needed: &Needed,
) -> (Box<Relation>, Vec<Vec<Expr>>) {
    let pick = |list: &Vec<Expr>| needed.iter().map(|i| list[*i].clone()).collect();
    let lists: Vec<Vec<Expr>> = lists.iter().map(pick).collect();
    let all: Vec<Expr> = lists.iter().flatten().cloned().collect();
    let (input, places) = prune(input, &with(&Needed::new(), &all));
    let lists = lists.iter().map(|list| all_at(list, &places)).collect();
    (Box::new(input), lists)
}

/// Rows without any column are trouble for who counts them; the last column of a table is the cheapest.
fn at_least_one(needed: &Needed, relation: &Relation) -> Needed {
    let mut needed = needed.clone();
    if needed.is_empty() && relation.width() > 0 {
        needed.insert(match relation.operator {
            Operator::Scan { .. } => relation.width() - 1,
            _ => 0,
        });
    }
    needed
}

fn with(needed: &Needed, exprs: &[Expr]) -> Needed {
    let read = exprs.iter().flat_map(Expr::columns);
    needed.iter().copied().chain(read).collect()
}

fn numbered(needed: &Needed) -> Places {
    needed
        .iter()
        .enumerate()
        .map(|(new, old)| (*old, new))
        .collect()
}

fn identity(width: usize) -> Places {
    (0..width).map(|i| (i, i)).collect()
}

fn kept(schema: &Schema, needed: &Needed) -> Schema {
    Schema::new(needed.iter().map(|i| schema.fields[*i].clone()).collect())
}

fn at(expr: &Expr, places: &Places) -> Expr {
    moved(expr, &|index| places[&index])
}

fn all_at(exprs: &[Expr], places: &Places) -> Vec<Expr> {
    exprs.iter().map(|e| at(e, places)).collect()
}

fn sort_at(key: &SortKey, places: &Places) -> SortKey {
    SortKey {
        expr: at(&key.expr, places),
        ..*key
    }
}

fn aggregate_at(aggregate: &Aggregate, places: &Places) -> Aggregate {
    aggregate_with(aggregate, &mut |e| at(e, places))
}

fn aggregate_reads(aggregate: &Aggregate) -> Vec<Expr> {
    let exprs = aggregate.arguments.iter().chain(&aggregate.filter);
    exprs.cloned().collect()
}

fn prune_join(join: Join, needed: &Needed) -> (Relation, Places) {
    let width = join.left.width();
    let needed_here = with(needed, &join.conditions);
    let left_keys: Vec<Expr> = join.keys.iter().map(|k| k.left.clone()).collect();
    let right_keys: Vec<Expr> = join.keys.iter().map(|k| k.right.clone()).collect();
    let on_left = needed_here.iter().copied().filter(|c| *c < width).collect();
    let on_right = needed_here.iter().filter(|c| **c >= width);
    let on_right = on_right.map(|c| c - width).collect();
    let (left, left_places) = prune(join.left, &with(&on_left, &left_keys));
    let (right, right_places) = prune(join.right, &with(&on_right, &right_keys));
    let shift = left.width();
    let mut places = left_places.clone();
    places.extend(
        right_places
            .iter()
            .map(|(old, new)| (old + width, new + shift)),
    );
    let keys = join.keys.iter().map(|key| JoinKey {
        left: at(&key.left, &left_places),
        right: at(&key.right, &right_places),
        null_safe: key.null_safe,
    });
    let keys = keys.collect();
    let conditions = all_at(&join.conditions, &places);
    let mut fields = left.schema.fields.clone();
    if matches!(join.kind, JoinKind::Semi | JoinKind::Anti) {
        places = left_places;
    } else {
        fields.extend(right.schema.fields.iter().cloned());
    }
    let join = Join {
        left,
        right,
        kind: join.kind,
        keys,
        conditions,
    };
    let operator = Operator::Join(Box::new(join));
    (Relation::new(Schema::new(fields), operator), places)
}

fn prune_aggregate(
    input: Relation,
    (keys, aggregates): (Vec<Expr>, Vec<Aggregate>),
    schema: &Schema,
    needed: &Needed,
) -> (Relation, Places) {
    let count = keys.len();
    let mut kept_columns: Needed = (0..count).collect();
    kept_columns.extend(needed.iter().copied().filter(|c| *c >= count));
    let aggregates: Vec<Aggregate> = kept_columns
        .iter()
        .filter(|c| **c >= count)
        .map(|c| aggregates[c - count].clone())
        .collect();
    let mut reads = keys.clone();
    reads.extend(aggregates.iter().flat_map(aggregate_reads));
    let (input, places) = prune(input, &with(&Needed::new(), &reads));
    let keys = all_at(&keys, &places);
    let aggregates = aggregates
        .iter()
        .map(|a| aggregate_at(a, &places))
        .collect();
    let schema = kept(schema, &kept_columns);
    let input = Box::new(input);
    let operator = Operator::Aggregate {
        input,
        keys,
        aggregates,
    };
    (Relation::new(schema, operator), numbered(&kept_columns))
}

fn prune_window(
    input: Relation,
    (partition, order, functions): (Vec<Expr>, Vec<SortKey>, Vec<WindowCall>),
    schema: &Schema,
    needed: &Needed,
) -> (Relation, Places) {
    let width = input.width();
    let wanted: Vec<usize> = needed.iter().copied().filter(|c| *c >= width).collect();
    let below: Needed = needed.iter().copied().filter(|c| *c < width).collect();
    if wanted.is_empty() {
        return prune(input, &below);
    }
    let functions: Vec<WindowCall> = wanted
        .iter()
        .map(|c| functions[c - width].clone())
        .collect();
    let mut reads = partition.clone();
    reads.extend(order.iter().map(|key| key.expr.clone()));
    for call in &functions {
        call_with(call, &mut |e| {
            reads.push(e.clone());
            e.clone()
        });
    }
    let (input, mut places) = prune(input, &with(&below, &reads));
    let partition = all_at(&partition, &places);
    let order = order.iter().map(|key| sort_at(key, &places)).collect();
    let functions = functions
        .iter()
        .map(|call| call_with(call, &mut |e| at(e, &places)))
        .collect();
    let mut fields = input.schema.fields.clone();
    for (index, old) in wanted.iter().enumerate() {
        fields.push(schema.fields[*old].clone());
        places.insert(*old, input.width() + index);
    }
    let input = Box::new(input);
    let operator = Operator::Window {
        input,
        partition,
        order,
        functions,
    };
    (Relation::new(Schema::new(fields), operator), places)
}

fn prune_generate(input: Relation, generator: Generator, needed: &Needed) -> (Relation, Places) {
    let width = input.width();
    let below: Needed = needed.iter().copied().filter(|c| *c < width).collect();
    let (input, mut places) = prune(input, &with(&below, &generator.inputs));
    let generator = Generator {
        inputs: all_at(&generator.inputs, &places),
        ..generator
    };
    let mut fields: Vec<Field> = input.schema.fields.clone();
    for (index, column) in generator.columns.iter().enumerate() {
        fields.push(column.clone());
        places.insert(width + index, input.width() + index);
    }
    let input = Box::new(input);
    let operator = Operator::Generate { input, generator };
    (Relation::new(Schema::new(fields), operator), places)
}
