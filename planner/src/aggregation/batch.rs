//! What a batch leaves to a reader of one key: collapsed states and tail states (the specification's §5.3).
//!
//! A window of more than two days is cut two days after its tail: what lies behind the cut is one collapsed state a
//! part, what lies before it stays apart in states of the window's hop, so that a reader can let the tail move on.

use crate::schema::{DataType, Field};

use super::AggregatePart;

/// One part for each base, in the order of the definition: `bases` numbers the parts' aggregations and buckets, equal
/// numbers stand together.
pub fn base_parts<'a>(parts: &'a [AggregatePart], bases: &[usize]) -> Vec<&'a AggregatePart> {
    let mut chosen: Vec<&AggregatePart> = Vec::new();
    let mut last = None;
    for (part, base) in parts.iter().zip(bases) {
        if last != Some(base) {
            chosen.push(part);
        }
        last = Some(base);
    }
    chosen
}

/// The columns of a batch's states: `collapsedIr`, a struct with a state for each part; `tailHopIrs`, for days, hours and
/// five minutes a list of structs with a state for each base and the start `ts` of the hop; and `edgeHopIrs`, of the same
/// form or null, what a hop at a window's very tail holds beyond the reference's.
pub fn batch_fields(parts: &[AggregatePart], bases: &[usize]) -> Vec<Field> {
    let collapsed = parts
        .iter()
        .map(|part| Field::new(&part.output_name, part.state_type.clone()));
    let mut hop: Vec<Field> = base_parts(parts, bases)
        .into_iter()
        .map(|part| Field::new(&part.incremental_name, part.state_type.clone()))
        .collect();
    hop.push(Field::new("ts", DataType::Long));
    let hops = DataType::array(DataType::array(DataType::Struct(hop)));
    vec![
        Field::new("collapsedIr", DataType::Struct(collapsed.collect())),
        Field::new("tailHopIrs", hops.clone()),
        Field::new("edgeHopIrs", hops),
    ]
}
