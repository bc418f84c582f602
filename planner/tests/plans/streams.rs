//! The plans of streams, held as text: two group-bys of one topic read it once, and one that asks for tiles keeps states.

use unskewed_planner::definition::Definition;
use unskewed_planner::explain;
use unskewed_planner::lower::{StreamOrigin, stream_rows};
use unskewed_planner::resolve::{UploadGroup, resolve_upload};
use unskewed_planner::time::Partition;

use crate::support::{Case, cases};
use crate::{check, text_of};

fn case(name: &str) -> Case {
    let mut found = cases(&[name]);
    found.retain(|case| case.name == name);
    found.remove(0)
}

/// The case's group-by, as it is and where asked for with tiles under another name.
fn uploads(case: &Case, with_tiled: bool) -> Vec<UploadGroup> {
    let (_, definition) = &case.definitions[0];
    let Definition::GroupBy(plain) = definition else {
        panic!("{} begins with no group-by", case.name);
    };
    let mut all = vec![plain.clone()];
    if with_tiled {
        let mut tiled = plain.clone();
        tiled.meta_data.name = tiled.meta_data.name.map(|name| name + "_tiled");
        tiled.meta_data.custom_json = Some(r#"{"enable_tiling": true}"#.into());
        all.push(tiled);
    }
    let upload = |group_by| {
        let resolved = resolve_upload(group_by, &case.catalog);
        resolved
            .unwrap_or_else(|problems| panic!("{}", text_of(&problems)))
            .value
    };
    all.iter().map(upload).collect()
}

#[test]
fn streams_are_as_held() {
    let since: Partition = "2024-03-01".parse().unwrap();
    for (name, with_tiled, origin, file) in [
        (
            "fetch_temporal_events",
            true,
            StreamOrigin::Topics,
            "topics",
        ),
        (
            "fetch_temporal_events",
            false,
            StreamOrigin::Tables,
            "tables",
        ),
        (
            "fetch_entities_mutations",
            false,
            StreamOrigin::Topics,
            "topics",
        ),
    ] {
        let case = case(name);
        let plan = stream_rows(&uploads(&case, with_tiled), since, origin).unwrap();
        check(&format!("{name}.stream_{file}"), &explain::text(&plan));
    }
}
