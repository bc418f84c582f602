//! When two answers are the same: floats within 1e-9 (averages and moments within 1e-5), exceptions by their name, and
//! a null is as good as nothing.

use std::collections::BTreeSet;

use serde_json::Value as Json;

const LOOSE: [&str; 4] = ["_average", "_variance", "_skew", "_kurtosis"];

/// How an answer differs from the one expected; nothing if it does not.
pub(crate) fn difference(expected: &Json, given: &Json) -> Option<String> {
    if expected.get("error").is_some() != given.get("error").is_some() {
        return Some(format!("{expected} expected, {given} given"));
    }
    if expected.get("error").is_some() {
        return None;
    }
    let (expected, given) = (&expected["values"], &given["values"]);
    let (Some(expected), Some(given)) = (expected.as_object(), given.as_object()) else {
        let same = expected.is_null() && given.is_null();
        return (!same).then(|| format!("{expected} expected, {given} given"));
    };
    let names: BTreeSet<&String> = expected.keys().chain(given.keys()).collect();
    names.into_iter().find_map(|name| {
        let (want, got) = (expected.get(name), given.get(name));
        let same = if name.ends_with("_exception") {
            want.is_some() == got.is_some()
        } else {
            let loose = LOOSE.iter().any(|kind| name.contains(kind));
            let tolerance = if loose { 1e-5 } else { 1e-9 };
            same(
                want.unwrap_or(&Json::Null),
                got.unwrap_or(&Json::Null),
                tolerance,
            )
        };
        (!same).then(|| format!("{name}: {want:?} expected, {got:?} given"))
    })
}

fn same(left: &Json, right: &Json, tolerance: f64) -> bool {
    match (left, right) {
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(a, b)| same(a, b, tolerance))
        }
        (Json::Object(left), Json::Object(right)) => {
            let of = |(name, value): (&String, &Json)| {
                right
                    .get(name)
                    .is_some_and(|other| same(value, other, tolerance))
            };
            left.len() == right.len() && left.iter().all(of)
        }
        (Json::Number(left), Json::Number(right)) if left.is_f64() || right.is_f64() => {
            let (left, right) = (left.as_f64().unwrap(), right.as_f64().unwrap());
            let scale = left.abs().max(right.abs());
            (left - right).abs() <= (tolerance * scale).max(1e-9)
        }
        _ => left == right,
    }
}
