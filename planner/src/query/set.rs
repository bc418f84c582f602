//! Set operations: columns brought to common types; INTERSECT and EXCEPT as joins and counts.

use super::ast::SetOperation;
use super::bind::Binder;
use super::tree::{Aggregate, AggregateFunction, Join, JoinKey, JoinKind, Operator, Relation};
use crate::expr::coerce::wider;
use crate::expr::problem::Span;
use crate::expr::{Expr, Generator, GeneratorKind, Literal};
use crate::schema::{DataType, Field, Schema};

impl Binder<'_> {
    /// Both sides with columns of the types at which they meet.
    pub(crate) fn widened(
        &mut self,
        left: Relation,
        right: Relation,
        span: Span,
        word: &str,
    ) -> Option<(Relation, Relation)> {
        if left.width() != right.width() {
            let message = format!(
                "{word} needs the same number of columns: left has {}, right {}",
                left.width(),
                right.width()
            );
            return self.problem(span, message);
        }
        let mut types = Vec::new();
        let pairs = left.schema.fields.iter().zip(&right.schema.fields);
        for (index, (a, b)) in pairs.enumerate() {
            match wider(&a.data_type, &b.data_type) {
                Some(common) => types.push(common),
                None => {
                    let message = format!(
                        "column {} of {word} is {} on the left and {} on the right",
                        index + 1,
                        a.data_type,
                        b.data_type
                    );
                    return self.problem(span, message);
                }
            }
        }
        Some((cast_columns(left, &types), cast_columns(right, &types)))
    }
}

/// The relation with columns of these types; itself if it has them.
pub(crate) fn cast_columns(relation: Relation, types: &[DataType]) -> Relation {
    let fields = &relation.schema.fields;
    if fields.iter().zip(types).all(|(f, t)| f.data_type == *t) {
        return relation;
    }
    let expressions = types
        .iter()
        .enumerate()
        .map(|(i, t)| relation.column(i).cast(t))
        .collect();
    let fields = fields.iter().zip(types);
    let fields = fields
        .map(|(f, t)| Field::new(&f.name, t.clone()))
        .collect();
    let input = Box::new(relation);
    Relation::new(
        Schema::new(fields),
        Operator::Project { input, expressions },
    )
}

/// Two relations of the same types, combined.
pub(crate) fn combine(
    operation: SetOperation,
    all: bool,
    left: Relation,
    right: Relation,
) -> Relation {
    match (operation, all) {
        (SetOperation::Union, true) => union(vec![left, right]),
        (SetOperation::Union, false) => distinct(union(vec![left, right])),
        (SetOperation::Intersect, false) => kept(distinct(left), right, JoinKind::Semi),
        (SetOperation::Except, false) => kept(distinct(left), right, JoinKind::Anti),
        (SetOperation::Intersect | SetOperation::Except, true) => by_count(operation, left, right),
    }
}

pub(crate) fn union(inputs: Vec<Relation>) -> Relation {
    let schema = inputs[0].schema.clone();
    let mut flat = Vec::new();
    for input in inputs {
        match input.operator {
            Operator::Union(inner) => flat.extend(inner),
            operator => flat.push(Relation { operator, ..input }),
        }
    }
    Relation::new(schema, Operator::Union(flat))
}

/// Each row once.
pub(crate) fn distinct(input: Relation) -> Relation {
    let schema = input.schema.clone();
    let keys = (0..input.width()).map(|i| input.column(i)).collect();
    let input = Box::new(input);
    let aggregates = Vec::new();
    Relation::new(
        schema,
        Operator::Aggregate {
            input,
            keys,
            aggregates,
        },
    )
}

fn kept(left: Relation, right: Relation, kind: JoinKind) -> Relation {
    let schema = left.schema.clone();
    let keys = (0..left.width()).map(|i| JoinKey {
        left: left.column(i),
        right: right.column(i),
        null_safe: true,
    });
    let keys = keys.collect();
    let join = Join {
        left,
        right,
        kind,
        keys,
        conditions: Vec::new(),
    };
    Relation::new(schema, Operator::Join(Box::new(join)))
}

/// INTERSECT ALL and EXCEPT ALL: the times a row stands left and right, and as many copies as are left of it.
fn by_count(operation: SetOperation, left: Relation, right: Relation) -> Relation {
    let schema = left.schema.clone();
    let width = left.width();
    let marked = |side: Relation, on_left: i64| {
        let mut expressions: Vec<Expr> = (0..width).map(|i| side.column(i)).collect();
        let mut fields = side.schema.fields.clone();
        for (name, value) in [("left", on_left), ("right", 1 - on_left)] {
            expressions.push(Expr::literal(Literal::Integer(value), DataType::Long));
            fields.push(Field::new(name, DataType::Long));
        }
        let input = Box::new(side);
        let operator = Operator::Project { input, expressions };
        Relation::new(Schema::new(fields), operator)
    };
    let both = union(vec![marked(left, 1), marked(right, 0)]);
    let sum = |index: usize| Aggregate {
        function: AggregateFunction::Sum,
        arguments: vec![both.column(index)],
        distinct: false,
        filter: None,
        data_type: DataType::Long,
    };
    let aggregates = vec![sum(width), sum(width + 1)];
    let keys = (0..width).map(|i| both.column(i)).collect();
    let counted = Relation::new(
        both.schema.clone(),
        Operator::Aggregate {
            input: Box::new(both),
            keys,
            aggregates,
        },
    );
    let (l, r) = (counted.column(width), counted.column(width + 1));
    let copies = match operation {
        SetOperation::Except => Expr::call("-", vec![l, r], DataType::Long),
        _ => Expr::call("least", vec![l, r], DataType::Long),
    };
    repeated(counted, copies, schema)
}

/// Each row as often as `copies` says, with the columns of `schema` only.
fn repeated(input: Relation, copies: Expr, schema: Schema) -> Relation {
    let zero = Expr::literal(Literal::Integer(0), DataType::Long);
    let some = Expr::call(">", vec![copies.clone(), zero], DataType::Boolean);
    let all = input.schema.clone();
    let input = Box::new(input);
    let conditions = vec![some];
    let positive = Relation::new(all.clone(), Operator::Filter { input, conditions });
    let one = Expr::literal(Literal::Integer(1), DataType::Int);
    let copies = copies.cast(&DataType::Int);
    let list = DataType::array(DataType::Int);
    let repeat = Expr::call("array_repeat", vec![one, copies], list);
    let generator = Generator {
        kind: GeneratorKind::Explode,
        inputs: vec![repeat],
        outer: false,
        columns: vec![Field::new("copy", DataType::Int)],
    };
    let mut fields = all.fields;
    fields.push(generator.columns[0].clone());
    let input = Box::new(positive);
    let operator = Operator::Generate { input, generator };
    let generated = Relation::new(Schema::new(fields), operator);
    let expressions = (0..schema.fields.len())
        .map(|i| generated.column(i))
        .collect();
    let input = Box::new(generated);
    Relation::new(schema, Operator::Project { input, expressions })
}
