//! Models of a join: where their inputs are found, what their table holds, and what is refused.

use super::*;

const LONG: i32 = 4;
const DOUBLE: i32 = 6;
const STRING: i32 = 7;

fn fields(fields: &[(&str, i32)]) -> Value {
    let field = |(name, kind): &(&str, i32)| json!({"name": name, "dataType": {"kind": kind}});
    let fields: Vec<Value> = fields.iter().map(field).collect();
    json!({"kind": 13, "name": "fields", "params": fields})
}

fn transform(inputs: &[(&str, i32)], outputs: &[(&str, i32)]) -> Value {
    json!({"model": {
        "metaData": {"name": "fraud"},
        "inferenceSpec": {"modelBackend": "http", "modelBackendParams": {"url": "http://here"}},
        "inputSchema": fields(inputs), "outputSchema": fields(outputs),
    }})
}

/// The inputs of a good transform: a feature, and a column of the left that is narrower than declared.
fn good() -> Value {
    let inputs = [("spent", DOUBLE), ("item", LONG)];
    let mut transform = transform(&inputs, &[("score", DOUBLE), ("word", STRING)]);
    transform["inputMappings"] = json!({"spent": "t_a_amount_sum_3d"});
    transform["outputMappings"] = json!({"score": "risk"});
    transform["prefix"] = json!("m");
    transform
}

fn with_models(transforms: &Value, passed: &[&str]) -> Value {
    let group = group("t.a", &events(&selects()), 1, &days_3());
    let mut tree = join_of(&json!([{"groupBy": group}]));
    tree["modelTransforms"] = json!({"transforms": transforms, "passthroughFields": passed});
    tree
}

fn resolved_models(
    tree: &Value,
    catalog: &MemoryCatalog,
) -> Result<crate::logical::FeatureModels, String> {
    let join = match Definition::from_json(tree, Dialect::Airbnb) {
        Ok(Definition::Join(join)) => join,
        other => panic!("{other:?}"),
    };
    let found = resolve_models(&join, catalog).map(|resolved| resolved.value);
    found.map_err(|problems| {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        texts.join("\n")
    })
}

fn names(schema: &Schema) -> Vec<&str> {
    schema
        .fields
        .iter()
        .map(|field| field.name.as_str())
        .collect()
}

/// The table has the left's columns, what is passed through and what models give, mapped and prefixed.
#[test]
fn the_table_of_models() {
    let models = resolved_models(&with_models(&json!([good()]), &[]), &catalog()).unwrap();
    assert_eq!(models.source, "out.t_j_pre_mt");
    assert_eq!(models.output, "out.t_j");
    let schema = models.output_schema();
    assert_eq!(
        names(&schema),
        ["user", "item", "ts", "m_risk", "m_word", "ds"]
    );
    let model = &models.models[0];
    let taken = model
        .inputs
        .iter()
        .map(|input| &models.rows.fields[input.column].name);
    assert_eq!(taken.collect::<Vec<_>>(), ["t_a_amount_sum_3d", "item"]);
    let passed = with_models(&json!([good()]), &["t_a_amount_sum_3d"]);
    let schema = resolved_models(&passed, &catalog())
        .unwrap()
        .output_schema();
    assert!(names(&schema).contains(&"t_a_amount_sum_3d"));
}

/// An output that a bootstrap part brings is taken from there first.
#[test]
fn outputs_can_be_bootstrapped() {
    let mut tree = with_models(&json!([good()]), &[]);
    tree["bootstrapParts"] = json!([{"table": "db.boot", "keyColumns": ["user"],
        "query": {"selects": {"user": "user", "m_risk": "m_risk"}, "setups": []}}]);
    let catalog = catalog().with_table(
        "db.boot",
        schema("user string, m_risk double, ds string"),
        "ds",
        &["2024-02-02"],
    );
    let models = resolved_models(&tree, &catalog).unwrap();
    let outputs = &models.models[0].outputs;
    let column = outputs[0].bootstrapped.unwrap();
    assert_eq!(models.rows.fields[column].name, "m_risk");
    assert_eq!(outputs[1].bootstrapped, None);
}

/// Everything wrong with models comes at once, each with its path and what to do.
#[test]
fn problems_of_models() {
    let mut nameless = transform(&[("item", LONG)], &[("score", DOUBLE)]);
    nameless["model"]
        .as_object_mut()
        .unwrap()
        .remove("metaData");
    nameless["model"]
        .as_object_mut()
        .unwrap()
        .remove("inferenceSpec");
    let mut mapped = transform(&[("spent", DOUBLE), ("user", LONG)], &[("score", DOUBLE)]);
    mapped["inputMappings"] = json!({"spent": "t_a_amount_sum_3", "spend": "item"});
    let mut open = transform(&[], &[("user", STRING)]);
    open["model"]["outputSchema"]["params"][0]["dataType"] = json!({"kind": 12});
    let clash = transform(&[("item", LONG)], &[("user", STRING)]);
    let transforms = json!([nameless, mapped, open, {}, clash]);
    let text = resolved_models(&with_models(&transforms, &["usr"]), &catalog()).unwrap_err();
    assert_all(
        &text,
        &[
            "the model has no name\n  --> modelTransforms.transforms[0].model.metaData.name",
            "nothing says how the model is run\n  --> modelTransforms.transforms[0].model.inferenceSpec",
            "no column \"t_a_amount_sum_3\" for the model's input \"spent\"\n  --> modelTransforms.transforms[1].input",
            "did you mean \"t_a_amount_sum_3d\"?",
            "the model declares no field \"spend\"",
            "input \"user\" is bigint, but column \"user\" is string",
            "lacks the types inside\n  --> modelTransforms.transforms[2].model.outputSchema",
            "declares no fields there\n  --> modelTransforms.transforms[2].model.inputSchema",
            "there is no model\n  --> modelTransforms.transforms[3]",
            "there is no column \"usr\"\n  --> modelTransforms.passthroughFields[0]",
        ],
    );
    let twice = json!([good(), good(), clash]);
    let text = resolved_models(&with_models(&twice, &[]), &catalog()).unwrap_err();
    assert_all(
        &text,
        &[
            "output \"m_risk\" is a column already\n  --> modelTransforms.transforms[1]",
            "output \"user\" is a column already\n  --> modelTransforms.transforms[2]",
        ],
    );
    let none = resolved_models(&with_models(&json!([]), &[]), &catalog()).unwrap_err();
    assert_all(&none, &["the join has no models\n  --> modelTransforms"]);
}
