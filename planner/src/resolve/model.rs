//! Models applied to a join's output: the fields they take and give.

use crate::definition::{Join, ModelTransform};
use crate::schema::Field;

use super::Problems;

/// The models of a join, each with its position.
pub(super) fn transforms(join: &Join) -> impl Iterator<Item = (usize, &ModelTransform)> {
    let transforms = join.model_transforms.as_ref();
    let transforms = transforms.and_then(|models| models.transforms.as_deref());
    transforms.unwrap_or_default().iter().enumerate()
}

/// The fields that models add, under their names in the join; equal ones once.
pub(super) fn outputs(join: &Join, problems: &mut Problems) -> Vec<Field> {
    let mut outputs: Vec<Field> = Vec::new();
    for (index, transform) in transforms(join) {
        let path = format!("modelTransforms.transforms[{index}].model.outputSchema");
        let schema = transform
            .model
            .as_ref()
            .and_then(|model| model.output_schema.as_ref());
        let fields = match schema.map(|schema| schema.fields()) {
            Some(Some(fields)) => fields,
            Some(None) => {
                problems.error(path, "a declared list or map lacks the types inside");
                continue;
            }
            None => continue,
        };
        for field in fields {
            let field = Field::new(output_name(transform, &field.name), field.data_type);
            if !outputs.contains(&field) {
                outputs.push(field);
            }
        }
    }
    outputs
}

/// The name in the join of a model's output: mapped, then prefixed.
fn output_name(transform: &ModelTransform, name: &str) -> String {
    let mapped = transform
        .output_mappings
        .as_ref()
        .and_then(|map| map.get(name));
    let mapped = mapped.map_or(name, String::as_str);
    match &transform.prefix {
        Some(prefix) => format!("{prefix}_{mapped}"),
        None => mapped.to_owned(),
    }
}
