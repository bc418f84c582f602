//! What makes a tree cheaper without changing its rows: conditions near the tables, only the columns that are read.

mod prune;
mod push;

use super::tree::{Operator, Relation};
use crate::schema::Schema;

/// The same rows, cheaper.
pub(super) fn optimized(relation: Relation) -> Relation {
    let schema = relation.schema.clone();
    let pushed = push::push(relation, Vec::new());
    let all = (0..schema.fields.len()).collect();
    let (pruned, places) = prune::prune(pushed, &all);
    arranged(pruned, &places, schema)
}

/// The columns at these places, under these names.
fn arranged(relation: Relation, places: &prune::Places, schema: Schema) -> Relation {
    let wanted: Vec<usize> = (0..schema.fields.len()).map(|i| places[&i]).collect();
    let same = wanted.len() == relation.width() && wanted.iter().enumerate().all(|(i, p)| i == *p);
    if same {
        return Relation { schema, ..relation };
    }
    let expressions = wanted.iter().map(|i| relation.column(*i)).collect();
    let input = Box::new(relation);
    Relation::new(schema, Operator::Project { input, expressions })
}
