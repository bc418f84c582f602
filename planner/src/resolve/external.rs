//! An external source with a group-by that stands in for it: both must declare the same keys and values, or offline
//! and online would differ.

use std::collections::BTreeMap;

use crate::definition::{ExternalPart, Join};
use crate::diagnostic::Diagnostic;
use crate::logical::FeaturePart;
use crate::naming;
use crate::schema::DataType;

use super::{Problems, left};

/// Holds every declared schema against the group-by that stands in.
pub(super) fn check(join: &Join, parts: &[FeaturePart], problems: &mut Problems) {
    for (index, external) in join.external_parts().iter().enumerate() {
        let prefix = naming::external_prefix(external);
        let path = format!("onlineExternalParts[{index}]");
        let stands_in = external.source.offline_group_by.is_some();
        let part = parts
            .iter()
            .find(|part| part.full_prefix == prefix && part.path == path);
        if let (true, Some(part)) = (stands_in, part) {
            check_part(external, part, &format!("{path}.source"), problems);
        }
    }
}

fn check_part(external: &ExternalPart, part: &FeaturePart, path: &str, problems: &mut Problems) {
    let Some((_, values)) = left::external_fields(external, path, problems) else {
        return;
    };
    let keys = external.source.key_schema.fields().unwrap_or_default();
    let declared: Vec<(&str, &DataType)> = keys
        .iter()
        .map(|key| (key.name.as_str(), &key.data_type))
        .collect();
    let computed: Vec<(&str, &DataType)> = part
        .group
        .keys
        .iter()
        .map(|key| (key.name.as_str(), &key.data_type))
        .collect();
    compare(
        &declared,
        &computed,
        "key",
        &format!("{path}.keySchema"),
        problems,
    );
    let declared: Vec<(&str, &DataType)> = values
        .iter()
        .map(|value| (value.name.as_str(), &value.data_type))
        .collect();
    let computed: Vec<(&str, &DataType)> = part
        .features
        .iter()
        .map(|(_, f)| (f.name.as_str(), &f.data_type))
        .collect();
    compare(
        &declared,
        &computed,
        "value",
        &format!("{path}.valueSchema"),
        problems,
    );
}

fn compare(
    declared: &[(&str, &DataType)],
    computed: &[(&str, &DataType)],
    what: &str,
    path: &str,
    problems: &mut Problems,
) {
    let declared: BTreeMap<_, _> = declared.iter().copied().collect();
    let computed: BTreeMap<_, _> = computed.iter().copied().collect();
    for (name, data_type) in &declared {
        match computed.get(name) {
            None => problems.report(
                Diagnostic::error(
                    path,
                    format!("{what} {name:?} is declared, but not computed"),
                )
                .hint("offlineGroupBy must give what the source declares"),
            ),
            Some(other) if other != data_type => {
                let message = format!("{what} {name:?} is declared {data_type}, computed {other}");
                problems.error(path, message);
            }
            Some(_) => {}
        }
    }
    for name in computed.keys().filter(|name| !declared.contains_key(*name)) {
        problems.error(
            path,
            format!("{what} {name:?} is computed, but not declared"),
        );
    }
}
