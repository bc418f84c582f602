//! What resolution makes of a group-by for its upload.

use super::*;
use crate::catalog::Catalog;

/// The names of values, in the order in which they are stored.
fn values(query: &Value, catalog: &dyn Catalog) -> Vec<String> {
    let tree = json!({
        "metaData": {"name": "t.g", "team": "t", "outputNamespace": "out"},
        "sources": [{"entities": {"snapshotTable": "db.raw", "query": query}}],
        "keyColumns": ["user"]
    });
    let Ok(Definition::GroupBy(group_by)) = Definition::from_json(&tree, Dialect::Airbnb) else {
        panic!("{tree}");
    };
    let upload = resolve_upload(&group_by, catalog).unwrap().value;
    let names: Vec<String> = upload.values.iter().map(|v| v.name.clone()).collect();
    let selected = upload.selected.fields.iter().map(|v| v.name.clone());
    assert_eq!(names, selected.collect::<Vec<_>>());
    names
}

/// Raw values stand as the reference renders them: by the file up to four columns, which the day, the time and keys
/// count to; by their hashes beyond; by the table where nothing is selected.
#[test]
fn raw_values_stand_in_rendered_order() {
    let columns = "amount double, user string, category string, ts bigint, day string";
    let catalog = MemoryCatalog::default().with_table(
        "db.raw",
        schema(columns),
        "day",
        &["2024-02-01", "2024-02-02"],
    );
    let selects = json!({"user": "user", "category": "category", "amount": "amount"});
    let mut query = json!({"selects": selects, "partitionColumn": "day"});
    assert_eq!(values(&query, &catalog), ["category", "amount"]);
    query["timeColumn"] = json!("ts");
    assert_eq!(values(&query, &catalog), ["amount", "category"]);
    query.as_object_mut().unwrap().remove("selects");
    assert_eq!(values(&query, &catalog), ["amount", "category"]);
}
