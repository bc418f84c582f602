//! Models applied to a join's output: the fields they take and give, and the table they make.
//!
//! Promises: every input is a column of the join whose type the declared one holds without loss; every output has a
//! name of its own; all that is wrong with any model is said at once.

use std::collections::BTreeMap;

use crate::catalog::Catalog;
use crate::definition::wire::child;
use crate::definition::{Join, Model, ModelTransform, OrderedMap, TDataType};
use crate::diagnostic::Diagnostic;
use crate::logical::{FeatureJoin, FeatureModel, FeatureModels, ModelInput, ModelOutput};
use crate::naming::{self, TableSuffix};
use crate::schema::{DataType, Field, Schema};

use super::{Problems, bind, chain};

/// The models of a join, each with its position.
fn transforms(join: &Join) -> impl Iterator<Item = (usize, &ModelTransform)> {
    let transforms = join.model_transforms.as_ref();
    let transforms = transforms.and_then(|models| models.transforms.as_deref());
    transforms.unwrap_or_default().iter().enumerate()
}

/// The fields that models add, under their names in the join; equal ones once.
pub(super) fn outputs(join: &Join, problems: &mut Problems) -> Vec<Field> {
    let mut outputs: Vec<Field> = Vec::new();
    for (index, transform) in transforms(join) {
        let path = path(index);
        for field in declared(transform, Side::Output, &path, problems) {
            let field = Field::new(output_name(transform, &field.name), field.data_type);
            if !outputs.contains(&field) {
                outputs.push(field);
            }
        }
    }
    outputs
}

fn path(index: usize) -> String {
    format!("modelTransforms.transforms[{index}]")
}

/// The two sides of a model.
#[derive(Clone, Copy)]
enum Side {
    Input,
    Output,
}

impl Side {
    fn schema(self, model: &Model) -> Option<&TDataType> {
        match self {
            Self::Input => model.input_schema.as_ref(),
            Self::Output => model.output_schema.as_ref(),
        }
    }

    fn field_name(self) -> &'static str {
        match self {
            Self::Input => "inputSchema",
            Self::Output => "outputSchema",
        }
    }
}

/// The declared fields of one side of a model; `path` is the transform's.
fn declared(
    transform: &ModelTransform,
    side: Side,
    path: &str,
    problems: &mut Problems,
) -> Vec<Field> {
    let schema = transform.model.as_ref();
    let Some(schema) = schema.and_then(|model| side.schema(model)) else {
        return Vec::new();
    };
    schema.fields().unwrap_or_else(|| {
        problems.error(
            format!("{path}.model.{}", side.field_name()),
            "a declared list or map lacks the types inside",
        );
        Vec::new()
    })
}

/// The name in the join of a model's output: mapped, then prefixed.
fn output_name(transform: &ModelTransform, name: &str) -> String {
    let mapped = transform.output_mappings.as_ref();
    let mapped = mapped.and_then(|map| map.get(name));
    let mapped = mapped.map_or(name, String::as_str);
    match &transform.prefix {
        Some(prefix) => format!("{prefix}_{mapped}"),
        None => mapped.to_owned(),
    }
}

/// Resolves the models of a join.
pub(super) fn resolve(
    join: &Join,
    catalog: &dyn Catalog,
    problems: &mut Problems,
) -> Option<FeatureModels> {
    if !join.has_models() {
        problems.report(
            Diagnostic::error("modelTransforms", "the join has no models")
                .hint("state model_transforms, or run the job on a join that has them"),
        );
        return None;
    }
    let feature = chain::resolve(join, &[], catalog, problems)?;
    let rows = feature.output_schema();
    let models: Vec<Option<FeatureModel>> = transforms(join)
        .map(|(index, transform)| {
            let path = path(index);
            Resolver {
                transform,
                path: &path,
                feature: &feature,
                rows: &rows,
            }
            .resolve(problems)
        })
        .collect();
    let kept = kept(join, &feature, &rows, problems);
    let models = models.into_iter().collect::<Option<Vec<_>>>()?;
    check_names(&models, &kept, &rows, problems);
    Some(FeatureModels {
        name: join.name().into(),
        source: TableSuffix::PreMt.table(&join.meta_data)?,
        output: naming::output_table(&join.meta_data)?,
        rows,
        kept,
        models,
    })
}

/// One transform and the join it stands in.
struct Resolver<'a> {
    transform: &'a ModelTransform,
    path: &'a str,
    feature: &'a FeatureJoin,
    rows: &'a Schema,
}

impl Resolver<'_> {
    fn resolve(&self, problems: &mut Problems) -> Option<FeatureModel> {
        let path = self.path;
        let before = problems.list.len();
        let Some(model) = &self.transform.model else {
            problems.error(path, "there is no model");
            return None;
        };
        let name = model.meta_data.as_ref().and_then(|data| data.name.clone());
        if name.is_none() {
            let at = format!("{path}.model.metaData.name");
            problems.error(at, "the model has no name");
        }
        let (backend, parameters) = self.backend(model, problems);
        let inputs = self.side(Side::Input, &self.transform.input_mappings, problems);
        let outputs = self.side(Side::Output, &self.transform.output_mappings, problems);
        let inputs: Vec<ModelInput> = inputs
            .into_iter()
            .filter_map(|field| self.input(field, problems))
            .collect();
        let outputs = outputs.into_iter().map(|field| self.output(field));
        (problems.list.len() == before).then_some(FeatureModel {
            name: name?,
            backend: backend?,
            parameters,
            inputs,
            outputs: outputs.collect(),
            path: path.into(),
        })
    }

    /// What runs the model, and its parameters.
    fn backend(
        &self,
        model: &Model,
        problems: &mut Problems,
    ) -> (Option<String>, BTreeMap<String, String>) {
        let spec = model.inference_spec.as_ref();
        let backend = spec.and_then(|spec| spec.model_backend.clone());
        if backend.is_none() {
            let at = format!("{}.model.inferenceSpec.modelBackend", self.path);
            problems.report(
                Diagnostic::error(at, "nothing says how the model is run")
                    .hint("\"http\" asks a service that speaks JSON"),
            );
        }
        let parameters = spec.and_then(|spec| spec.model_backend_params.as_ref());
        let parameters = parameters.iter().flat_map(|map| map.iter());
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.clone()));
        (backend, parameters.collect())
    }

    /// The fields of one side, of which there must be some; only they can be mapped.
    fn side(
        &self,
        side: Side,
        mapping: &Option<OrderedMap<String>>,
        problems: &mut Problems,
    ) -> Vec<Field> {
        let before = problems.list.len();
        let fields = declared(self.transform, side, self.path, problems);
        let schema = format!("{}.model.{}", self.path, side.field_name());
        if fields.is_empty() && problems.list.len() == before {
            problems.error(&schema, "the model declares no fields there");
        }
        let mappings = match side {
            Side::Input => "inputMappings",
            Side::Output => "outputMappings",
        };
        for (name, _) in mapping.iter().flat_map(OrderedMap::iter) {
            if fields.iter().all(|field| field.name != name) {
                let at = child(&format!("{}.{mappings}", self.path), name);
                let message = format!("the model declares no field {name:?}");
                let names = fields.iter().map(|field| field.name.as_str());
                problems.report(Diagnostic::error(at, message).meant(name, names));
            }
        }
        fields
    }

    /// Where an input stands among the join's columns.
    fn input(&self, field: Field, problems: &mut Problems) -> Option<ModelInput> {
        let mapped = self.transform.input_mappings.as_ref();
        let mapped = mapped.and_then(|map| map.get(&field.name));
        let name = mapped.unwrap_or(&field.name);
        let at = match mapped {
            Some(_) => child(&format!("{}.inputMappings", self.path), &field.name),
            None => format!("{}.model.inputSchema", self.path),
        };
        let found = self.rows.fields.iter().position(|own| own.name == *name);
        let Some(column) = found else {
            let missing = bind::missing_column(name, self.rows, &at);
            let message = format!(
                "the join has no column {name:?} for the model's input {:?}",
                field.name
            );
            problems.report(Diagnostic { message, ..missing });
            return None;
        };
        let data_type = &self.rows.fields[column].data_type;
        if !holds(&field.data_type, data_type) {
            let message = format!(
                "the model's input {:?} is {}, but column {name:?} is {data_type}",
                field.name, field.data_type
            );
            problems.report(Diagnostic::error(at, message).hint("cast it in a derivation"));
            return None;
        }
        Some(ModelInput { field, column })
    }

    /// An output under its name in the join, and where its value is if it was bootstrapped.
    fn output(&self, field: Field) -> ModelOutput {
        let name = output_name(self.transform, &field.name);
        let is_own = |own: &Field| own.name == name;
        let on_left = self.feature.left.schema.fields.iter().any(is_own);
        let brought = self.feature.bootstrap.iter().any(|(own, _)| is_own(own));
        let bootstrapped = self.rows.fields.iter().position(is_own);
        ModelOutput {
            field,
            name,
            bootstrapped: bootstrapped.filter(|_| brought && !on_left),
        }
    }
}

/// Whether every value of a type is one of a wider type: the same type, or numbers without loss.
fn holds(wider: &DataType, narrower: &DataType) -> bool {
    use DataType::{Byte, Double, Float, Int, Long, Short};
    wider == narrower
        || matches!(
            (wider, narrower),
            (Short | Int | Long | Float | Double, Byte)
                | (Int | Long | Float | Double, Short)
                | (Long | Double, Int)
                | (Double, Float)
        )
}

/// The columns kept beside what models give: those of the left, and the fields passed through.
fn kept(join: &Join, feature: &FeatureJoin, rows: &Schema, problems: &mut Problems) -> Vec<usize> {
    let transforms = join.model_transforms.as_ref();
    let passed = transforms.and_then(|models| models.passthrough_fields.as_deref());
    let passed = passed.unwrap_or_default();
    for (index, name) in passed.iter().enumerate() {
        if rows.fields.iter().all(|field| field.name != *name) {
            let path = format!("modelTransforms.passthroughFields[{index}]");
            problems.report(bind::missing_column(name, rows, &path));
        }
    }
    let left = &feature.left.schema.fields;
    let is_kept = |field: &Field| {
        left.iter().any(|own| own.name == field.name) || passed.contains(&field.name)
    };
    let fields = rows.fields.iter().enumerate();
    let kept = fields.filter(|(_, field)| is_kept(field));
    kept.map(|(index, _)| index).collect()
}

/// No two columns of the table may have one name.
fn check_names(models: &[FeatureModel], kept: &[usize], rows: &Schema, problems: &mut Problems) {
    let kept = kept.iter().map(|index| rows.fields[*index].name.as_str());
    let mut names: Vec<&str> = kept.collect();
    for model in models {
        for output in &model.outputs {
            if names.contains(&output.name.as_str()) {
                let message = format!("output {:?} is a column already", output.name);
                problems.report(
                    Diagnostic::error(&model.path, message)
                        .hint("give the transform a prefix, or map the output to another name"),
                );
            }
            names.push(&output.name);
        }
    }
}
